//! States that overflow after the end of a short trial do not change any number of a run.

use ctrnn_model::{Activation, Biases, CtrnnConfig, CtrnnModule, InitialState, Noise};
use ctrnn_random::Rng;
use ctrnn_tasks::{Clock, Condition, Layout, Task, Timeline, Trial};

use super::*;
use crate::EvaluationTrials;
use crate::burn_test::Grad;
use crate::evaluation::evaluate;
use crate::objective::config::{LossConfig, Omega, Pairing, RateTarget, StatePrediction};
use crate::objective::{Objective, Penalty};
use crate::settings::TrainConfig;
use crate::{Constant, Loss, Optimizer, Sgd};

/// A task with trials of two time steps, the second of which has an input of 1, and long trials without input, in which
/// only the first time step counts.
struct ShortAndLong {
    long: usize,
}

impl Task for ShortAndLong {
    fn layout(&self) -> Layout {
        Layout::new(["u"], ["y"])
    }

    fn conditions(&self) -> Vec<Condition> {
        [0.0, 1.0]
            .map(|is_long| Condition::new([("is_long", is_long)]))
            .into()
    }

    fn sample_trial(&self, condition: &Condition, _: Clock, _: &mut Rng) -> Trial {
        let is_long = condition.values[0].1 == 1.0;
        let n_steps = if is_long { self.long } else { 2 };
        let mut timeline = Timeline::default();
        timeline.push("trial", n_steps);
        let mut trial = Trial::new(&self.layout(), condition, timeline);
        if is_long {
            trial.set_mask(1..n_steps, 0.0);
        } else {
            trial.set_input(1..2, 0, 1.0);
        }
        trial
    }
}

/// Builds one linear unit without leak or bias, whose state grows by a factor of 1e37 at each step.
fn network() -> CtrnnModule<Grad> {
    let config = CtrnnConfig {
        tau_ms: 20.0.into(),
        activation: Activation::Linear,
        bias: Biases {
            recurrent: false,
            readout: false,
            range: None,
        },
        initial_state: InitialState::Zero,
        ..CtrnnConfig::new(1, 1, 1)
    };
    let weight = |value: f64| burn::tensor::TensorData::new(vec![value], [1, 1]);
    let weights = [
        ("input.weight".to_owned(), weight(1.0)),
        ("recurrent.weight".to_owned(), weight(1e37)),
        ("output.weight".to_owned(), weight(1.0)),
    ];
    let network = config.init(1, &Default::default()).unwrap();
    network.with_weights(&weights.into()).unwrap()
}

/// Returns the weights after some training steps; the long trials have `long` time steps.
fn trained(long: usize, check_every: u64, objective: Objective) -> Vec<f64> {
    trained_in_parts(long, check_every, objective, [None, None])
}

/// Returns the weights after the same training with windows of some time steps, and with batches of some trials.
fn trained_in_parts(
    long: usize,
    check_every: u64,
    objective: Objective,
    [truncate_steps, together]: [Option<usize>; 2],
) -> Vec<f64> {
    let batch_size = together.unwrap_or(8);
    let settings = TrainSettings {
        train: TrainConfig {
            steps: 6,
            batch_size,
            accumulate: 8 / batch_size,
            truncate_steps,
            optimizer: Optimizer::Sgd(Sgd {
                lr: 0.01,
                ..Sgd::default()
            }),
            schedule: Schedule::Constant(Constant::default()),
            log_every: 6,
            ..TrainConfig::default()
        },
        objective,
        validate: crate::ValidateConfig {
            trials: 4,
            every_steps: 6,
            ..Default::default()
        },
        check_every,
        ..TrainSettings::default()
    };
    let task = ShortAndLong { long };
    let mut trainer = Trainer::new(network(), &task, settings).unwrap();
    trainer.run().unwrap();
    assert_eq!(trainer.counters().rollbacks.lr_scale, 1.0);
    let weights = trainer.network().weights();
    ["input.weight", "recurrent.weight", "output.weight"]
        .iter()
        .flat_map(|&name| weights[name].iter::<f64>().collect::<Vec<_>>())
        .collect()
}

/// The weights are the same as with long trials that end after two steps, whether or not every step is checked.
#[test]
fn training_goes_on_whatever_the_padding_does() {
    let expected = trained(2, 1, Loss::Mse.into());
    assert!(expected[0] < 1.0, "it learns: {expected:?}");
    assert_eq!(trained(12, 1, Loss::Mse.into()), expected);
    assert_eq!(trained(12, 100, Loss::Mse.into()), expected);
}

/// In parts, too: windows that end before the overflow, and batches of two trials.
#[test]
fn parts_of_a_batch_go_on_whatever_the_padding_does() {
    let expected = trained(2, 1, Loss::Mse.into());
    for parts in [[Some(5), None], [None, Some(2)], [Some(5), Some(2)]] {
        let found = trained_in_parts(12, 1, Loss::Mse.into(), parts);
        for (a, b) in found.iter().zip(&expected) {
            assert!((a - b).abs() <= 1e-9 * b.abs(), "{parts:?}: {found:?}");
        }
    }
}

/// Penalties and Omega are unaffected as well: one unit, whose gradient grows by 1e74 per step in the one pair that
/// counts.
#[test]
fn no_term_sees_what_overflowed() {
    let config = LossConfig {
        rate_l1: Some(1.0),
        rate_l2: Some(1.0),
        rate_entropy: Some(1.0),
        hebbian: Some(1e-37),
        state_prediction: Some(StatePrediction {
            weight: 1.0,
            lag_ms: 20.0,
        }),
        ..LossConfig::default()
    };
    let mut objective = Objective {
        penalties: config.penalties(1, &CtrnnConfig::default()),
        omega: Some(Omega {
            weight: 1e-148,
            pairing: Pairing::Paper,
            bound: 1e-20,
        }),
        ..Loss::Mse.into()
    };
    let found = trained(12, 1, objective.clone());
    assert!(found.iter().all(|x| x.is_finite()), "{found:?}");
    // Its gradient reaches every step of the long trial, where it overflows with reason.
    objective.penalties.push(Penalty::RateTarget(RateTarget {
        weight: 1.0,
        rate: 0.0,
    }));
    let task = ShortAndLong { long: 12 };
    let clock = Clock::new(20.0).unwrap();
    let key = Key::new(1, Stream::Validation, 0);
    let trials = EvaluationTrials::of(&task, clock, key, ConditionOrder::Balanced, 2).unwrap();
    let network = burn::module::AutodiffModule::valid(&network());
    let report = evaluate(&network, &task, &trials, &objective, &Noise::Off).unwrap();
    // The short trial: rates 0 and 1, squared error 1 over 3 steps that count. The long one: 12 rates of 0.
    let expected = [
        ("mse", 1.0 / 3.0),
        ("rate_l1", 1.0 / 14.0),
        ("rate_l2", 1.0 / 14.0),
        ("rate_entropy", 0.0),
        ("hebbian", 0.25),
        ("state_prediction", 1.0 / 12.0),
        ("rate_target", (1.0f64 / 14.0).powi(2)),
    ];
    assert_eq!(report.terms.len(), expected.len());
    for (name, expected) in expected {
        let found = report.terms[name];
        assert!((found - expected).abs() < 1e-9, "{name}: {found}");
    }
}
