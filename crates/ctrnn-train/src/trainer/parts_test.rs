//! Gradients in parts against those of whole batches, and against numpy.

use burn::backend::{Autodiff, NdArray};
use burn::tensor::TensorData;
use ctrnn_model::{
    Activation, CtrnnConfig, InitialState, LearnedTimeConstants, NoiseLevels, PreactivationNoise,
    ShortTermPlasticity, TimeConstants,
};
use ctrnn_random::Rng;
use ctrnn_tasks::{Clock, Condition, Layout, Timeline, Trial};

use super::parts::windows;
use super::*;
use crate::objective::config::{Normalisation, Omega, Pairing, PerMatrix, RateTarget};
use crate::objective::{Objective, Penalty};
use crate::optimizer::config::Optimizer;
use crate::settings::TrainConfig;
use crate::{Loss, Sgd};

type Grad64 = Autodiff<NdArray<f64>>;
type Grad32 = Autodiff<NdArray<f32>>;

/// A task with two inputs and one output, in which everything differs from time step to time step; a trial of condition k has
/// `lengths[k]` time steps.
pub(super) struct Waves {
    pub lengths: Vec<usize>,
}

fn wave(phase: f64, t: usize) -> f64 {
    (phase + 1.3 * t as f64).sin()
}

impl Task for Waves {
    fn layout(&self) -> Layout {
        Layout::new(["a", "b"], ["y"])
    }

    fn conditions(&self) -> Vec<Condition> {
        let numbers = 0..self.lengths.len();
        numbers.map(|k| Condition::new([("k", k as f64)])).collect()
    }

    fn sample_trial(&self, condition: &Condition, _: Clock, rng: &mut Rng) -> Trial {
        let phase = condition.values[0].1;
        let mut timeline = Timeline::default();
        timeline.push("early", 3);
        timeline.push("late", self.lengths[phase as usize] - 3);
        let mut trial = Trial::new(&self.layout(), condition, timeline);
        for t in 0..trial.n_steps {
            trial.set_input(t..t + 1, 0, wave(phase, t));
            trial.set_input(t..t + 1, 1, wave(phase + 2.0, t));
            trial.set_target(t..t + 1, 0, wave(phase + 4.0, t));
            trial.set_mask(t..t + 1, if t % 3 == 1 { 0.0 } else { 1.0 + t as f64 });
        }
        trial.add_input_noise(0.2, rng);
        trial
    }
}

/// Builds a network of two layers with every kind of state and noise.
pub(super) fn network() -> CtrnnConfig {
    let below = CtrnnConfig {
        activation: Activation::Softplus,
        noise: NoiseLevels {
            preactivation: 0.3.into(),
            input: 0.2,
            initial_state: 0.1,
            ..NoiseLevels::default()
        },
        short_term_plasticity: Some(ShortTermPlasticity::Half),
        ..CtrnnConfig::new(2, 4, 0)
    };
    let covariance = (0..3).map(|i| (0..3).map(|j| if i == j { 0.2 } else { 0.1 }).collect());
    let last = CtrnnConfig {
        activation: Activation::Tanh,
        tau_ms: TimeConstants::Learned(LearnedTimeConstants {
            initial: Box::new(80.0.into()),
            bounds: [20.0, 500.0],
            per_unit: true,
        }),
        noise: NoiseLevels {
            preactivation: PreactivationNoise::Covariance {
                covariance: covariance.collect(),
            },
            postactivation: 0.2,
            ..NoiseLevels::default()
        },
        ..CtrnnConfig::new(4, 3, 1)
    };
    CtrnnConfig::stacked(vec![below, last])
}

/// Returns an objective whose terms are all sums.
fn sums(normalisation: Normalisation) -> Objective {
    let all = PerMatrix {
        input: 0.1,
        recurrent: 0.2,
        output: 0.3,
        ..PerMatrix::default()
    };
    Objective {
        normalisation,
        penalties: vec![
            Penalty::WeightL2(all),
            Penalty::RateL1(0.1),
            Penalty::RateL2(0.2),
            Penalty::RateEntropy(0.3),
        ],
        ..Loss::Mse.into()
    }
}

pub(super) fn settings(train: TrainConfig, objective: Objective) -> TrainSettings {
    TrainSettings {
        train: TrainConfig {
            steps: 4,
            optimizer: Optimizer::Sgd(Sgd {
                lr: 0.05,
                ..Sgd::default()
            }),
            log_every: 1,
            ..train
        },
        objective,
        validate: crate::ValidateConfig {
            trials: 2,
            every_steps: 0,
            ..Default::default()
        },
        ..TrainSettings::default()
    }
}

fn truncated(window: usize, stride: usize) -> TrainConfig {
    TrainConfig {
        batch_size: 6,
        truncate_steps: Some(window),
        truncate_stride: Some(stride),
        ..TrainConfig::default()
    }
}

pub(super) fn whole() -> TrainConfig {
    TrainConfig {
        batch_size: 6,
        ..TrainConfig::default()
    }
}

/// Computes the gradients of the first batch.
fn computed<B: TrainingBackend>(
    config: &CtrnnConfig,
    task: &dyn Task,
    settings: TrainSettings,
) -> Result<Computed<B>, TrainError> {
    gradients_of(
        config.init::<B>(3, &Default::default()).unwrap(),
        task,
        settings,
    )
}

/// Computes the gradients of the first batch for a network.
pub(super) fn gradients_of<B: TrainingBackend>(
    network: CtrnnModule<B>,
    task: &dyn Task,
    settings: TrainSettings,
) -> Result<Computed<B>, TrainError> {
    let mut trainer = Trainer::new(network, task, settings)?;
    let trials = trainer.trials(&|| None)?;
    let batch = Batch::<B>::new(&trials, &trainer.network.device());
    let pass = trainer.pass(0, &trials)?;
    trainer.interventions = trainer.draw_interventions(&trials);
    trainer.gradients(&batch, pass)
}

pub(super) fn flat<B: TrainingBackend>(computed: &Computed<B>) -> Vec<f64> {
    let all = computed.gradients.0.values();
    all.flat_map(|gradient| gradient.to_data().iter::<f64>().collect::<Vec<_>>())
        .collect()
}

pub(super) fn assert_close(found: &[f64], expected: &[f64], tolerance: f64, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (a, b) in found.iter().zip(expected) {
        assert!((a - b).abs() < tolerance, "{what}: {a} is not {b}");
    }
}

/// A window as long as the trial, whatever its stride, gives the full gradient, the loss and its terms.
#[test]
fn a_window_that_covers_the_trial_gives_the_full_gradient() {
    let task = Waves {
        lengths: vec![10, 7, 12],
    };
    for normalisation in [
        Normalisation::Mask,
        Normalisation::Entries,
        Normalisation::Trials,
    ] {
        let of = |train| {
            let found = computed::<Grad64>(&network(), &task, settings(train, sums(normalisation)));
            let found = found.unwrap();
            let numbers = found.numbers.as_ref().unwrap();
            let mut values = vec![numbers.loss, numbers.grad_norm];
            values.extend(&numbers.terms);
            (flat(&found), values)
        };
        let (expected, values) = of(whole());
        assert!(expected.len() > 50 && expected.iter().any(|g| g.abs() > 1e-2));
        for train in [
            truncated(12, 12),
            truncated(100, 100),
            truncated(12, 3),
            truncated(15, 5),
        ] {
            let name = format!("{:?} {:?}", train.truncate_steps, train.truncate_stride);
            let (found, of_terms) = of(train);
            // The slope of the entropy is exact to 1e-12 divided by the smallest share of a unit in the sweep of a whole trial.
            assert_close(&found, &expected, 1e-11, &name);
            assert_close(&of_terms, &values, 1e-11, &name);
        }
        let (short, of_terms) = of(truncated(4, 2));
        assert_close(
            &of_terms,
            &[&values[..1], &of_terms[1..2], &values[2..]].concat(),
            1e-12,
            "loss",
        );
        assert!(
            short
                .iter()
                .zip(&expected)
                .any(|(a, b)| (a - b).abs() > 1e-4)
        );
    }
}

/// Outputs and final states of a trial are those of the untruncated run to the bit, with noise of every kind, synapses and layers,
/// whether or not windows begin at a multiple of the four time steps for which noise is drawn.
#[test]
fn states_are_those_of_the_whole_trial_to_the_bit() {
    let task = Waves {
        lengths: vec![23, 23],
    };
    let bits = |train| {
        let found = computed::<Grad32>(&network(), &task, settings(train, Loss::Mse.into()));
        let trajectory = found.unwrap().trajectory;
        let mut bits: Vec<u32> = trajectory
            .outputs
            .to_data()
            .iter::<f32>()
            .map(f32::to_bits)
            .collect();
        for layer in trajectory.layers() {
            for variable in layer.final_state.clone().into_array() {
                bits.extend(variable.to_data().iter::<f32>().map(f32::to_bits));
            }
        }
        bits
    };
    let expected = bits(whole());
    for (window, stride) in [(8, 8), (8, 4), (5, 5), (6, 2), (1, 1), (22, 11)] {
        assert!(
            bits(truncated(window, stride)) == expected,
            "{window}, {stride}"
        );
    }
}

/// A loop in numpy that carries derivatives forward in time (`tests/golden/make_truncated.py`).
#[test]
fn truncated_gradients_are_those_of_numpy() {
    struct Fixed(serde_json::Value);
    impl Task for Fixed {
        fn layout(&self) -> Layout {
            Layout::new(["a", "b"], ["y"])
        }
        fn conditions(&self) -> Vec<Condition> {
            vec![Condition::new([])]
        }
        fn sample_trial(&self, condition: &Condition, _: Clock, _: &mut Rng) -> Trial {
            let mut timeline = Timeline::default();
            timeline.push("trial", numbers(&self.0["mask"]).len());
            let mut trial = Trial::new(&self.layout(), condition, timeline);
            for (k, u) in numbers(&self.0["inputs"]).into_iter().enumerate() {
                trial.set_input(k / 2..k / 2 + 1, k % 2, u);
            }
            for (t, target) in numbers(&self.0["targets"]).into_iter().enumerate() {
                trial.set_target(t..t + 1, 0, target);
                trial.set_mask(t..t + 1, numbers(&self.0["mask"])[t]);
            }
            trial
        }
    }
    let text = include_str!("../../../../tests/golden/truncated.json");
    let task = Fixed(serde_json::from_str(text).unwrap());
    let config = CtrnnConfig {
        activation: Activation::Tanh,
        tau_ms: (20.0 / task.0["alpha"].as_f64().unwrap()).into(),
        initial_state: InitialState::Learned,
        ..CtrnnConfig::new(2, 3, 1)
    };
    let network = config.init::<Grad64>(3, &Default::default()).unwrap();
    let trained = config.parameters().into_iter();
    let weights = trained.filter(|spec| spec.is_trained).map(|spec| {
        let name = spec.parameter.name();
        let values = numbers(&task.0["parameters"][&name]);
        (name, TensorData::new(values, spec.shape))
    });
    let network = network.with_weights(&weights.collect()).unwrap();
    for case in task.0["cases"].as_array().unwrap() {
        let [window, stride] = ["window", "stride"].map(|key| case[key].as_u64().unwrap() as usize);
        let train = TrainConfig {
            batch_size: 2, // twice the same trial
            ..truncated(window, stride)
        };
        let settings = settings(train, Loss::Mse.into());
        let found = gradients_of(network.clone(), &task, settings);
        let found = found.unwrap().gradients;
        assert_eq!(found.0.len(), 6);
        for (parameter, gradient) in found.0 {
            let expected = numbers(&case["gradients"][parameter.name()]);
            let found: Vec<f64> = gradient.to_data().iter().collect();
            let name = format!("{window} {stride} {}", parameter.name());
            assert_close(&found, &expected, 1e-12, &name);
        }
    }
}

/// Returns the numbers of nested lists, one after the other.
fn numbers(value: &serde_json::Value) -> Vec<f64> {
    match value.as_array() {
        Some(list) => list.iter().flat_map(numbers).collect(),
        None => vec![value.as_f64().expect("a number")],
    }
}

/// Three batches of two trials train as one of six does, to rounding, carried states and truncation included.
#[test]
fn accumulated_batches_train_as_one() {
    let task = Waves {
        lengths: vec![9, 6, 11],
    };
    let config = network().map_layers(|layer| CtrnnConfig {
        initial_state: InitialState::Carry,
        noise: NoiseLevels {
            initial_state: 0.0,
            ..layer.noise
        },
        ..layer
    });
    for normalisation in [
        Normalisation::Mask,
        Normalisation::Entries,
        Normalisation::Trials,
    ] {
        for truncate_steps in [None, Some(4)] {
            let trained = |batch_size: usize, accumulate: usize| {
                let train = TrainConfig {
                    batch_size,
                    accumulate,
                    truncate_steps,
                    ..TrainConfig::default()
                };
                let network = config.init::<Grad64>(3, &Default::default()).unwrap();
                let settings = settings(train, sums(normalisation));
                let mut trainer = Trainer::new(network, &task, settings).unwrap();
                trainer.run().unwrap();
                assert_eq!(trainer.counters().trials, 24);
                let weights = trainer.network().weights();
                weights
                    .values()
                    .flat_map(|data| data.iter::<f64>().collect::<Vec<_>>())
                    .collect::<Vec<f64>>()
            };
            assert_close(&trained(2, 3), &trained(6, 1), 1e-12, "2 x 3");
            assert_close(&trained(3, 2), &trained(6, 1), 1e-12, "3 x 2");
        }
    }
}

/// Refuses by name terms that are not sums over trials and time steps, and delays in trials that are cut.
#[test]
fn indivisible_terms_are_refused() {
    let task = Waves { lengths: vec![6] };
    let refused = |config: &CtrnnConfig, train, objective| {
        let found = computed::<Grad64>(config, &task, settings(train, objective));
        found.err().map(|error| error.to_string())
    };
    let objective = Objective {
        penalties: vec![
            Penalty::RateL2(1.0),
            Penalty::RateTarget(RateTarget {
                weight: 1.0,
                rate: 0.1,
            }),
        ],
        omega: Some(Omega {
            weight: 1.0,
            pairing: Pairing::Paper,
            bound: 1e-20,
        }),
        ..Loss::Mse.into()
    };
    let plain = CtrnnConfig::new(2, 3, 1);
    let accumulated = TrainConfig {
        accumulate: 2,
        ..whole()
    };
    for train in [truncated(3, 3), accumulated.clone()] {
        let message = refused(&plain, train, objective.clone()).unwrap();
        assert!(message.contains("rate_target, omega"), "{message}");
    }
    assert_eq!(refused(&plain, accumulated, Loss::Mse.into()), None);

    let network = plain.init::<Grad64>(3, &Default::default()).unwrap();
    let settings = settings(truncated(3, 3), Loss::Mse.into());
    let mut trainer = Trainer::new(network, &task, settings).unwrap();
    trainer.add_loss("own", |inputs| inputs.outputs.clone().mean());
    let message = trainer.run().unwrap_err().to_string();
    assert!(message.contains("with own"), "{message}");
}

/// Windows overlap by what their stride leaves, and the last one may be shorter.
#[test]
fn windows_by_hand() {
    let all: Vec<_> = windows(7, 4, 2).map(|w| (w.run, w.seen)).collect();
    assert_eq!(
        all,
        [(0..2, 0..2), (0..4, 2..4), (2..6, 4..6), (4..7, 6..7)]
    );
}
