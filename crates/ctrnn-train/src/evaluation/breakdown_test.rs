//! Evaluations of some of the trials, and of each combination of conditions.

use burn::backend::NdArray;
use ctrnn_model::{CtrnnConfig, NoiseLevels, PreactivationNoise};
use ctrnn_tasks::{ContextDecision, Target};

use super::*;
use crate::for_task::ForTask;
use crate::objective::config::{Loss, Normalisation};

type Cpu = NdArray<f64>;

const N_TRIALS: usize = 600; // three blocks

/// A network with noise of every kind.
fn network(task: &ContextDecision) -> CtrnnModule<Cpu> {
    let config = CtrnnConfig {
        noise: NoiseLevels {
            preactivation: PreactivationNoise::Shared(0.5),
            postactivation: 0.5,
            input: 0.5,
            initial_state: 0.5,
            ..NoiseLevels::default()
        },
        ..CtrnnConfig::for_task(task, 8)
    };
    config.init(3, &Default::default()).unwrap()
}

/// The expected numbers are counted from the readouts of one pass over all trials.
#[test]
fn groups_and_selections_count_the_trials_that_they_name() {
    let task = ContextDecision::default();
    let network = network(&task);
    let clock = Clock::new(20.0).unwrap();
    let key = Key::new(1, Stream::Eval, 0);
    let order = ConditionOrder::Balanced;
    let trials = EvaluationTrials::of(&task, clock, key, order, N_TRIALS).unwrap();
    let noise = Noise::Drawn(evaluation_noise(1));
    let made = trials.some(0..N_TRIALS);
    let batch = TrialBatch::new(made.iter());
    let tensors = Batch::<Cpu>::new(&batch, &network.device());
    let forward = Forward {
        noise: noise.clone(),
        ..Forward::default()
    };
    let outputs = network.forward(tensors.inputs, &forward).outputs;
    let outputs: Vec<f32> = outputs.into_data().convert::<f32>().into_vec().unwrap();
    let is_correct = |b: usize| task.is_correct(&made[b], batch.rows(&outputs, b, batch.n_outputs));
    let objective = Objective {
        normalisation: Normalisation::Mask,
        ..Loss::Mse.into()
    };
    let report = |breakdown: Breakdown| {
        evaluate_with(
            &network, &task, &trials, &objective, &noise, breakdown, None,
        )
        .unwrap()
    };

    let by = ["context", "motion"].map(str::to_owned);
    let crossed = Breakdown {
        only: None,
        by: &by,
    };
    let groups = report(crossed).groups;
    assert_eq!(
        groups.iter().map(|group| group.score.trials).sum::<usize>(),
        N_TRIALS
    );
    let values =
        |b: usize| -> Vec<f64> { by.iter().map(|name| made[b].value(name).unwrap()).collect() };
    for group in &groups {
        let own: Vec<f64> = group.condition.iter().map(|(_, x)| *x).collect();
        let is_in = |b: &usize| values(*b) == own;
        let members: Vec<usize> = (0..N_TRIALS).filter(is_in).collect();
        let answers: Vec<bool> = members.iter().filter_map(|&b| is_correct(b)).collect();
        let right = answers.iter().filter(|&&right| right).count();
        assert_eq!(group.score.trials, members.len());
        assert_eq!((group.right, group.answered), (right, answers.len()));
        let selected = report(Breakdown {
            only: Some(&members),
            by: &[],
        });
        assert_eq!(selected.trials, members.len());
        assert_eq!(selected.accuracy, group.score.accuracy);
        let expected = squared_error(&made, &batch, &outputs, &members);
        assert!(
            (selected.loss / expected - 1.0).abs() < 1e-5,
            "{} {expected}",
            selected.loss
        );
    }
    let order: Vec<[f64; 2]> = groups
        .iter()
        .map(|group| [group.condition[0].1, group.condition[1].1])
        .collect();
    assert!(order.is_sorted(), "{order:?}");
    assert!(groups.len() > 6, "{order:?}");
}

/// Computes the mean squared error over the entries that count in some trials.
fn squared_error(trials: &[Trial], batch: &TrialBatch, outputs: &[f32], some: &[usize]) -> f64 {
    let (mut sum, mut weight) = (0.0, 0.0);
    for &b in some {
        let trial = &trials[b];
        let (Target::Values(targets), ctrnn_tasks::Mask::Steps(mask)) =
            (&trial.target, &trial.mask)
        else {
            panic!("the task has values as targets and a mask of time steps");
        };
        let rows = batch.rows(outputs, b, batch.n_outputs);
        for (t, &m) in mask.iter().enumerate() {
            let row = t * batch.n_outputs..(t + 1) * batch.n_outputs;
            let errors = rows[row.clone()].iter().zip(&targets[row]);
            let squares = errors.map(|(y, target)| f64::from(y - target).powi(2));
            sum += f64::from(m) * squares.sum::<f64>() / batch.n_outputs as f64;
            weight += f64::from(m);
        }
    }
    sum / weight
}
