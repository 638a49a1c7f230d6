//! Learning rules without a backward pass through time, in the training loop.

use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use ctrnn_model::{
    CtrnnModule, Forward, HostSweep, Matrix, TrainingBackend, Trajectory, host_tensor,
};
use ctrnn_tasks::TrialBatch;

use super::{Computed, Done, Trainer};
use crate::TrainError;
use crate::batch::Batch;
use crate::divergence::Culprit;
use crate::gradients::{Gradients, flat};
use crate::online::config::Rule;
use crate::online::{self, Estimate, OnlineWeights, Recorded, TargetNetwork, Targets};

impl<B: TrainingBackend> Trainer<'_, B> {
    /// Runs the trials of a batch and updates the weights within them by recursive least squares.
    pub(super) fn learn_by_least_squares(
        &mut self,
        trials: TrialBatch,
        batch: &Batch<B>,
        pass: &Forward<B>,
    ) -> Result<Done<B>, TrainError> {
        let config = self.network.config();
        let sweep = HostSweep::new(&self.network, batch.inputs.clone(), pass);
        let targets = targets_of(batch);
        let before = OnlineWeights::of(&self.network.weights());
        let mut weights = before.clone();
        let mut rls = self.optimizer.least_squares();
        let recorded = match &self.settings.train.rule {
            Rule::FullForce(rule) => {
                let [n, outputs] = [config.n_units, config.n_outputs];
                let target = TargetNetwork::draw(rule, n, outputs, self.settings.seed);
                online::full_force(rule, &sweep, &targets, &target, &mut weights, &mut rls)
            }
            Rule::Force(rule) => online::force(rule, &sweep, &targets, &mut weights, &mut rls),
            _ => unreachable!("other rules have gradients"),
        };
        let step = self.counters.step + 1;
        let change = weights.distance(&before);
        if !change.is_finite() {
            let culprit = Culprit::Weights(Matrix::Output.parameter().name());
            return Err(self.not_finite_in(batch, step, culprit).into());
        }
        let trajectory = self.recorded_trajectory(&recorded, batch);
        let loss = self.minimised.of(&self.network, pass, &trajectory, batch)?;
        let norm = flat::<B::InnerBackend>(vec![change], &self.network.device());
        let none = Gradients(Default::default());
        let numbers = self.read(batch, &trajectory.outputs, &loss, &norm, &none)?;
        let arrays = weights.arrays(rls.parameters(), self.network.config());
        self.network = self.network.clone().with_weights(&arrays)?;
        let lr = rls.rate();
        self.optimizer.keep_least_squares(rls);
        self.finish_step(&trajectory, &trials);
        Ok(Done {
            trials,
            outputs: trajectory.outputs.inner(),
            numbers,
            lr,
        })
    }

    /// Estimates the gradients of a batch by eligibility traces.
    pub(super) fn gradients_of_traces(
        &mut self,
        batch: &Batch<B>,
        pass: &Forward<B>,
    ) -> Result<Computed<B>, TrainError> {
        let sweep = HostSweep::new(&self.network, batch.inputs.clone(), pass);
        let weights = OnlineWeights::of(&self.network.weights());
        let recorded = online::run(&sweep, &weights, &batch.n_steps);
        let mut trajectory = self.recorded_trajectory(&recorded, batch);
        let outputs = trajectory.outputs.clone().require_grad();
        trajectory.outputs = outputs.clone();
        let loss = self.minimised.of(&self.network, pass, &trajectory, batch)?;
        let by_output = outputs.grad(&loss.value.backward());
        let by_output = by_output.expect("the loss depends on the outputs");
        let errors = host(by_output.swap_dims(0, 1));
        let broadcast = match &self.settings.train.rule {
            Rule::Rflo(_) => {
                let config = self.network.config();
                online::random_feedback(config.n_units, config.n_outputs, self.settings.seed)
            }
            _ => host(self.network.effective_weights(Matrix::Output).transpose()),
        };
        let estimate =
            online::traced_gradients(&sweep, &weights, &batch.n_steps, &errors, &broadcast);
        let gradients = gradients_of_estimate(&self.network, &estimate);
        self.computed(batch, trajectory, &loss, gradients)
    }

    /// Returns the trajectory of a batch that was run on the host.
    fn recorded_trajectory(&self, recorded: &Recorded, batch: &Batch<B>) -> Trajectory<B> {
        let device = self.network.device();
        let config = self.network.config();
        let [steps, trials, _] = batch.targets.dims();
        let by_trial = |values: &[f64], width: usize| -> Tensor<B, 3> {
            let data = TensorData::new(values.to_vec(), [steps, trials, width]);
            host_tensor(data, &device).swap_dims(0, 1)
        };
        let last = TensorData::new(recorded.final_state.clone(), [trials, config.n_units]);
        Trajectory {
            outputs: by_trial(&recorded.outputs, config.n_outputs),
            rates: (self.minimised.record().rates)
                .then(|| by_trial(&recorded.rates, config.n_units)),
            potentials: None,
            utilisation: None,
            resources: None,
            rate_sums: None,
            final_state: self.network.rested(host_tensor(last, &device)),
            below: Vec::new(),
        }
    }
}

/// Turns estimated gradients of the effective weights into those of the parameters, as backpropagation through signs, masks and factors
/// does.
fn gradients_of_estimate<B: TrainingBackend>(
    network: &CtrnnModule<B>,
    estimate: &Estimate,
) -> Gradients<B::InnerBackend> {
    let device = network.device();
    let [w_in, w_rc, bias, w_out, bias_out] = estimate.parts();
    let matrix = |matrix: Matrix| {
        let weights = network.effective_weights(matrix);
        let size = weights.shape().num_elements();
        (size > 0).then(|| weights.reshape([size])) // burn reads a 0 here as "keep"
    };
    let vector =
        |p: &Option<burn::module::Param<Tensor<B, 1>>>| p.as_ref().map(burn::module::Param::val);
    let all = [
        (matrix(Matrix::Input), w_in),
        (matrix(Matrix::Recurrent), w_rc),
        (vector(&network.bias), bias),
        (matrix(Matrix::Output), w_out),
        (vector(&network.bias_out), bias_out),
    ];
    let term = |(weights, gradient): (Option<Tensor<B, 1>>, Vec<f64>)| {
        Some((weights? * flat::<B>(gradient, &device)).sum())
    };
    let sum = all.into_iter().filter_map(term).reduce(|a, b| a + b);
    let sum = sum.expect("a network has a readout");
    Gradients::of(network, sum.backward())
}

fn targets_of<B: Backend>(batch: &Batch<B>) -> Targets {
    let [_, _, n_outputs] = batch.targets.dims();
    let [_, _, width] = batch.mask.dims();
    Targets::new(
        host(batch.targets.clone()),
        host(batch.mask.clone()),
        [n_outputs, width],
        batch.n_steps.clone(),
    )
}

fn host<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> Vec<f64> {
    tensor.into_data().iter::<f64>().collect()
}
