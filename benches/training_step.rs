//! The parts of a training step at 128 units, 64 trials of the decision task: `cargo bench`.
//!
//! What is outside of forward and backward should stay below 15 % of the whole.

use burn::backend::{Autodiff, NdArray};
use burn::module::AutodiffModule;
use burn::tensor::Tensor;
use criterion::{Criterion, criterion_group, criterion_main};
use ctrnn::model::{CtrnnConfig, CtrnnModule, Forward, RecurrenceBackend};
use ctrnn::random::{Key, Stream};
use ctrnn::tasks::{BatchRequest, Clock, ConditionOrder, PerceptualDecision, Task, TrialBatch};
use ctrnn::train::{
    Batch, Clip, Gradients, Loss, Optimizer, OptimizerState, TrainSettings, Trainer,
};

type Backend = Autodiff<NdArray>;

fn trials(task: &PerceptualDecision) -> TrialBatch {
    let request = BatchRequest {
        clock: Clock::new(20.0).expect("a positive time step"),
        first_trial: 0,
        n_trials: 64,
        key: Key::new(1, Stream::Trials, 0),
        step: 0,
        conditions: ConditionOrder::Weighted,
    };
    task.sample_batch(&request)
        .expect("a task that draws its trials")
}

fn loss<B: RecurrenceBackend>(network: &CtrnnModule<B>, batch: &Batch<B>) -> Tensor<B, 1> {
    let trajectory = network.forward(batch.inputs.clone(), &Forward::default());
    Loss::Mse.value(trajectory.outputs, batch)
}

fn parts(c: &mut Criterion) {
    let device = Default::default();
    let task = PerceptualDecision::default();
    let network = CtrnnConfig::new(3, 128, 3)
        .init::<Backend>(1, &device)
        .expect("a valid network");
    let host = trials(&task);
    let batch = Batch::<Backend>::new(&host, &device);
    let gradients = Gradients::of(&network, loss(&network, &batch).backward());
    // With a graph that nobody takes back, burn would hold on to every trajectory.
    let (untracked, untracked_batch) = (network.valid(), Batch::<NdArray>::new(&host, &device));

    let mut group = c.benchmark_group("n128_t60_b64");
    group.bench_function("trials", |b| b.iter(|| trials(&task)));
    group.bench_function("to_tensors", |b| {
        b.iter(|| Batch::<Backend>::new(&host, &device));
    });
    group.bench_function("forward_and_loss", |b| {
        b.iter(|| loss(&untracked, &untracked_batch));
    });
    group.bench_function("forward_loss_backward", |b| {
        b.iter(|| loss(&network, &batch).backward());
    });
    group.bench_function("norm_and_clip", |b| {
        b.iter(|| {
            gradients
                .clone()
                .clipped(&gradients.global_norm(), Clip::GlobalNorm(1.0))
        });
    });
    group.bench_function("whole_step", |b| {
        let mut trainer = Trainer::new(network.clone(), &task, TrainSettings::default())
            .expect("trials that count");
        b.iter(|| trainer.steps_only(1).expect("a finite step"));
    });
    // Last: burn keeps each of these networks in mind until a backward pass, which would then take longer.
    group.bench_function("optimizer", |b| {
        let mut optimizer = OptimizerState::new(Optimizer::default());
        b.iter(|| optimizer.step(1e-3, network.clone(), gradients.clone()));
    });
    group.finish();
}

criterion_group!(benches, parts);
criterion_main!(benches);
