//! L-BFGS in training, against Adam on the same function, and its end.

use burn::backend::{Autodiff, NdArray};
use ctrnn_model::{Activation, CtrnnConfig, NoiseLevels};
use ctrnn_random::Rng;
use ctrnn_tasks::{Clock, Condition, Layout, Trial};

use super::parts_test::{Waves, settings};
use super::*;
use crate::optimizer::config::{Adam, Lbfgs};
use crate::settings::TrainConfig;
use crate::{Loss, ValidateConfig};

type Grad64 = Autodiff<NdArray<f64>>;

/// A task whose trials of a condition are all the same, so that every batch of one condition is.
struct Constant(Waves);

impl Task for Constant {
    fn layout(&self) -> Layout {
        self.0.layout()
    }

    fn conditions(&self) -> Vec<Condition> {
        self.0.conditions()
    }

    fn sample_trial(&self, condition: &Condition, clock: Clock, _: &mut Rng) -> Trial {
        let mut always = Rng::new(Key::new(1, Stream::Trials, 0), 0, 0);
        self.0.sample_trial(condition, clock, &mut always)
    }
}

/// Losses before each update.
#[derive(Default)]
struct Losses(Vec<f64>);

impl Observer for Losses {
    fn stepped(&mut self, report: &StepReport) -> Result<(), TrainError> {
        self.0.push(report.loss);
        Ok(())
    }
}

fn task() -> Constant {
    Constant(Waves { lengths: vec![40] })
}

fn network(config: CtrnnConfig) -> CtrnnModule<Grad64> {
    config.init(3, &Default::default()).unwrap()
}

fn trained(
    task: &dyn Task,
    network: CtrnnModule<Grad64>,
    optimizer: Optimizer,
    steps: u64,
) -> (Vec<f64>, Ending, CtrnnModule<Grad64>) {
    let train = TrainConfig {
        batch_size: 4,
        ..TrainConfig::default()
    };
    let mut settings = settings(train, Loss::Mse.into());
    (settings.train.optimizer, settings.train.steps) = (optimizer, steps);
    let mut losses = Losses::default();
    let mut trainer = Trainer::new(network, task, settings).unwrap();
    let ending = trainer.run_with(&mut [&mut losses]).unwrap();
    (losses.0, ending, trainer.network.clone())
}

fn lbfgs() -> Optimizer {
    Optimizer::Lbfgs(Lbfgs::default())
}

/// With a rate of 0.03, which is large for other tasks, Adam is faster here.
#[test]
fn a_hundred_steps_reach_a_lower_loss_than_three_hundred_of_adam() {
    let begin = || {
        network(CtrnnConfig {
            activation: Activation::Tanh,
            ..CtrnnConfig::new(2, 8, 1)
        })
    };
    let (fast, ..) = trained(&task(), begin(), lbfgs(), 100);
    let falls = fast.windows(2).all(|pair| pair[1] < pair[0]);
    assert!(falls, "{fast:?}");
    for lr in [0.001, 0.003, 0.01] {
        let adam = Optimizer::Adam(Adam {
            lr,
            ..Adam::default()
        });
        let (slow, ..) = trained(&task(), begin(), adam, 300);
        assert_eq!(slow[0], fast[0]);
        assert!(
            fast[99] < slow[299],
            "{} and {} at lr {lr}",
            fast[99],
            slow[299]
        );
    }
}

/// With noise and random trials the objective is still one function, that of the first batch: its loss falls at every step.
#[test]
fn every_step_has_the_trials_and_the_noise_of_the_first() {
    let config = CtrnnConfig {
        noise: NoiseLevels {
            preactivation: 0.3.into(),
            input: 0.2,
            postactivation: 0.1,
            ..NoiseLevels::default()
        },
        ..CtrnnConfig::new(2, 8, 1)
    };
    let task = Waves {
        lengths: vec![12, 9, 7],
    };
    let (losses, ..) = trained(&task, network(config), lbfgs(), 20);
    assert_eq!(losses.len(), 20);
    assert!(
        losses.windows(2).all(|pair| pair[1] < pair[0]),
        "{losses:?}"
    );
}

/// A readout of frozen rates is a linear regression, whose minimum is reached; all other parameters keep every bit.
#[test]
fn a_linear_regression_converges_before_the_last_step() {
    let config = CtrnnConfig {
        frozen: ["input", "recurrent", "initial_state"]
            .map(str::to_owned)
            .into(),
        ..CtrnnConfig::new(2, 4, 1)
    };
    let begin = network(config);
    let before = begin.weights();
    let (losses, ending, end) = trained(&task(), begin, lbfgs(), 200);
    assert_eq!(ending, Ending::Converged);
    assert!(losses.len() < 200, "{} steps", losses.len());
    let after = end.weights();
    for (name, values) in &before {
        let is_same = values == &after[name];
        assert_eq!(is_same, !name.starts_with("output"), "{name}");
    }
}

/// Weight decay alone, with coefficient 1, is a quadratic around 0 with one curvature, on top of a loss that does not depend on the
/// hidden weights: they end near 0.
#[test]
fn weight_decay_is_part_of_the_objective() {
    let decayed = Optimizer::Lbfgs(Lbfgs {
        weight_decay: 10.0,
        ..Lbfgs::default()
    });
    let size = |network: &CtrnnModule<Grad64>| -> f64 {
        let weights = network.weights();
        let values = weights["recurrent.weight"].iter::<f64>();
        values.map(|w| w * w).sum()
    };
    let begin = network(CtrnnConfig::new(2, 8, 1));
    let before = size(&begin);
    let (_, ending, end) = trained(&task(), begin, decayed, 200);
    assert_eq!(ending, Ending::Converged);
    assert!(size(&end) < 1e-4 * before, "{} of {before}", size(&end));
}

/// The history goes through the arrays of a checkpoint without loss.
#[test]
fn the_history_is_restored_to_the_bit() {
    let train = TrainConfig {
        batch_size: 4,
        ..TrainConfig::default()
    };
    let mut settings = settings(train, Loss::Mse.into());
    settings.train.optimizer = lbfgs();
    settings.validate = ValidateConfig {
        trials: 2,
        ..ValidateConfig::default()
    };
    let task = task();
    let begin = network(CtrnnConfig::new(2, 8, 1));
    let mut whole = Trainer::new(begin, &task, settings.clone()).unwrap();
    whole.run().unwrap();
    let state = whole.optimizer.state();
    assert!(state.contains_key("curvature.gradient_change.3.recurrent.weight"));
    let config = whole.network.config();
    let restore = |state| {
        OptimizerState::<NdArray<f64>>::restore(lbfgs(), state, config, &Default::default())
    };
    let restored = restore(&state).unwrap();
    assert_eq!(restored.curvature(), whole.optimizer.curvature());
    let mut broken = state.clone();
    broken.remove("curvature.step.1.output.weight");
    assert!(restore(&broken).is_err());
}
