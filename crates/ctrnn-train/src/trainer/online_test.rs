//! Learning rules without a backward pass, in the training loop.

use ctrnn_model::{
    Activation, Biases, CtrnnConfig, CtrnnModule, Dale, Feedback, FirstValues, Form, InitialState,
    NormalValues, ReadoutSigns, WeightInit,
};
use ctrnn_tasks::{Clock, GoNogo, Sine};

use super::*;
use crate::burn_test::Grad;
use crate::online::config::{Eprop, FeedbackSource, Force, FullForce, Rflo, Rule};
use crate::{Carried, Loss, StageSettings};

/// Builds a network of tanh units at 1 ms and 10 ms, without biases, that begins at random states.
fn reservoir(n_units: usize, feedback: bool) -> CtrnnModule<Grad> {
    let mut config = CtrnnConfig {
        activation: Activation::Tanh,
        tau_ms: 10.0.into(),
        dt_ms: 1.0,
        initial_state: InitialState::LearnedFrom(FirstValues::Normal(NormalValues {
            mean: 0.0,
            std: 0.5,
        })),
        bias: Biases {
            recurrent: false,
            readout: false,
            range: None,
        },
        feedback: feedback.then(Feedback::default),
        ..CtrnnConfig::new(0, n_units, 1)
    };
    config.init.recurrent = gaussian(1.5);
    config.init.output = WeightInit::Zero;
    config.init(1, &Default::default()).unwrap()
}

fn gaussian(gain: f64) -> WeightInit {
    WeightInit::Gaussian(ctrnn_model::Gaussian {
        gain,
        ..Default::default()
    })
}

fn sine(trial_ms: f64) -> Sine {
    Sine {
        period_ms: 200.0,
        trial_ms: trial_ms.into(),
        ..Sine::default()
    }
}

fn settings(rule: Rule, steps: u64) -> TrainSettings {
    let mut settings = TrainSettings {
        clock: Clock::new(1.0).unwrap(),
        ..TrainSettings::default()
    };
    (settings.train.rule, settings.train.steps) = (rule, steps);
    settings.train.batch_size = 1;
    (settings.validate.trials, settings.validate.every_steps) = (1, 0);
    settings
}

fn weights_of(trainer: &Trainer<Grad>) -> Vec<(String, Vec<f64>)> {
    let weights = trainer.network().weights().into_iter();
    weights
        .map(|(name, data)| (name, data.iter::<f64>().collect()))
        .collect()
}

/// The root mean square error over 20 periods after training on 8 of them, and every weight but those of the readout is what it was, to
/// the bit.
#[test]
fn force_keeps_a_sine_for_twenty_periods() {
    let network = reservoir(300, true);
    let before = network.weights();
    let task = sine(1600.0);
    let rule = Rule::Force(Force {
        every_steps: 2,
        ..Force::default()
    });
    let mut trainer = Trainer::new(network, &task, settings(rule, 12)).unwrap();
    trainer.run().unwrap();
    for (name, data) in trainer.network().weights() {
        assert_eq!(data == before[&name], name != "output.weight", "{name}");
    }
    let long = sine(4000.0);
    let clock = Clock::new(1.0).unwrap();
    let key = Key::new(1, Stream::Validation, 0);
    let order = ConditionOrder::Balanced;
    let trials = crate::EvaluationTrials::of(&long, clock, key, order, 1).unwrap();
    let network = burn::module::AutodiffModule::valid(trainer.network());
    let objective = Loss::Mse.into();
    let report = crate::evaluate(&network, &long, &trials, &objective, &Noise::Off).unwrap();
    println!("root mean square error {}", report.loss.sqrt());
    assert!(report.loss.sqrt() < 0.05, "{}", report.loss.sqrt());
    assert_eq!(report.accuracy, Some(1.0));
}

/// Each rule of least squares goes on from a snapshot to the bit, with its inverse correlations.
#[test]
fn least_squares_resume_to_the_bit() {
    let rules = [
        (Rule::Force(Force::default()), true),
        (
            Rule::Force(Force {
                recurrent: true,
                feedback: FeedbackSource::Target,
                ..Force::default()
            }),
            true,
        ),
        (Rule::FullForce(FullForce::default()), false),
    ];
    for (rule, feedback) in rules {
        let task = sine(100.0);
        let begin = |steps| {
            let settings = settings(rule.clone(), steps);
            Trainer::new(reservoir(20, feedback), &task, settings).unwrap()
        };
        let mut whole = begin(4);
        whole.run().unwrap();
        let mut half = begin(2);
        half.run().unwrap();
        let saved = half.snapshot(false);
        let config = half.network().config().clone();
        let device = Default::default();
        let network = CtrnnModule::from_weights(&config, &saved.weights, &device).unwrap();
        let optimizer = Default::default();
        let restore = |state| OptimizerState::restore(optimizer, state, &config, &device);
        let optimizer = restore(&saved.optimizer).unwrap();
        let resumed = Trainer::resume(
            network.clone(),
            optimizer.clone(),
            saved.counters.clone(),
            &Tasks::of(&task),
            settings(rule.clone(), 4),
        );
        let mut resumed = resumed.unwrap();
        resumed.run().unwrap();
        assert_eq!(weights_of(&resumed), weights_of(&whole), "{rule:?}");
        let of_other = Trainer::resume(
            network,
            optimizer,
            saved.counters,
            &Tasks::of(&task),
            settings(Rule::default(), 4),
        );
        let error = of_other.err().expect("another rule's state").to_string();
        assert!(error.contains("inverse_correlation.0"), "{error}");
    }
}

/// Feedback of the target makes the first trial that of a network driven by it; without feedback all of this is a reservoir.
#[test]
fn the_recurrence_learns_if_asked() {
    let task = sine(400.0);
    let error_after = |rule: Rule, feedback: bool| {
        let mut trainer = Trainer::new(reservoir(100, feedback), &task, settings(rule, 6)).unwrap();
        let before = trainer.network().weights()["recurrent.weight"].clone();
        trainer.run().unwrap();
        let moved = trainer.network().weights()["recurrent.weight"] != before;
        (
            trainer.counters().best.as_ref().unwrap().value.sqrt(),
            moved,
        )
    };
    let force = |recurrent, feedback| {
        Rule::Force(Force {
            recurrent,
            feedback,
            ..Force::default()
        })
    };
    let found = [
        error_after(force(true, FeedbackSource::Readout), false),
        error_after(force(false, FeedbackSource::Target), true),
        error_after(Rule::FullForce(FullForce::default()), false),
    ];
    println!("{found:?}");
    assert_eq!(found.map(|(_, moved)| moved), [true, false, true]);
    assert!(found.iter().all(|(error, _)| *error < 0.2), "{found:?}");
}

/// Without recurrent connections no path goes through other units, so that e-prop is backpropagation through time: both forms, units with
/// different time constants, noise of every kind, Dale's law, trials of different lengths, and the gradients of all parameters that it
/// trains.
#[test]
fn eprop_without_recurrence_is_the_gradient() {
    let task = GoNogo {
        delay_ms: ctrnn_tasks::Duration::Uniform([0.0, 100.0]),
        ..GoNogo::default()
    };
    for form in [Form::Voltage, Form::Rate] {
        for dale in [
            None,
            Some(Dale {
                readout: ReadoutSigns::Signed,
                ..Dale::default()
            }),
        ] {
            let mut config = CtrnnConfig {
                form,
                activation: Activation::Softplus,
                tau_ms: ctrnn_model::TimeConstants::Uniform([40.0, 200.0]),
                dale,
                ..CtrnnConfig::new(3, 6, 2)
            };
            config.noise.preactivation = ctrnn_model::PreactivationNoise::Shared(0.2);
            (config.noise.input, config.noise.postactivation) = (0.1, 0.1);
            let network: CtrnnModule<Grad> = config.init(1, &Default::default()).unwrap();
            let zero = burn::tensor::TensorData::new(vec![0.0; 36], [6, 6]);
            let zero = [("recurrent.weight".to_owned(), zero)];
            let network = network.with_weights(&zero.into()).unwrap();
            let gradients = |rule: Rule| {
                let mut settings = settings(rule, 1);
                settings.clock = Clock::new(20.0).unwrap();
                settings.train.batch_size = 5;
                settings.objective = Loss::CrossEntropy.into();
                let mut trainer = Trainer::new(network.clone(), &task, settings).unwrap();
                let trials = trainer.trials(&|| None).unwrap();
                let batch = Batch::new(&trials, &Default::default());
                let pass = trainer.pass(0, &trials).unwrap();
                let found = trainer.gradients(&batch, pass).unwrap();
                (found.gradients.0, found.norm)
            };
            let (exact, _) = gradients(Rule::default());
            let (traced, _) = gradients(Rule::Eprop(Eprop {}));
            let (random, _) = gradients(Rule::Rflo(Rflo {}));
            assert_eq!(traced.len(), 5);
            for (parameter, found) in &traced {
                let numbers = |x: &Tensor<_, 1>| x.to_data().iter::<f64>().collect::<Vec<_>>();
                let (found, expected) = (numbers(found), numbers(&exact[parameter]));
                assert!(expected.iter().any(|g| *g != 0.0), "{parameter}");
                for (a, b) in found.iter().zip(&expected) {
                    assert!((a - b).abs() < 1e-12, "{parameter} {form:?}: {a} {b}");
                }
                let is_same = numbers(&random[parameter]) == found;
                assert_eq!(is_same, parameter.role.is_of_readout(), "{parameter}");
            }
        }
    }
}

/// A stage that carries the optimizer goes on with the inverse correlations; one with another rule begins its own.
#[test]
fn a_stage_carries_the_correlations() {
    let task = sine(100.0);
    let stage = |index: usize, carry: Vec<Carried>, rule: Rule| TrainSettings {
        stage: Some(StageSettings {
            index,
            of: 3,
            name: index.to_string(),
            carry,
        }),
        ..settings(rule, 1)
    };
    let force = || Rule::Force(Force::default());
    let first = stage(0, vec![], force());
    let mut trainer = Trainer::new(reservoir(10, true), &task, first).unwrap();
    trainer.run().unwrap();
    let config = trainer.network().config().clone();
    let rate = |trainer: &Trainer<Grad>| trainer.optimizer.least_squares().rate();
    let after_first = rate(&trainer);
    let tasks = Tasks::of(&task);
    let second = stage(1, vec![Carried::Optimizer], force());
    trainer.begin_stage(&config, &tasks, second).unwrap();
    assert_eq!(rate(&trainer), after_first);
    let second = stage(1, vec![], force());
    trainer.begin_stage(&config, &tasks, second).unwrap();
    assert_eq!(rate(&trainer), 1.0);
    let third = stage(2, vec![Carried::Optimizer], Rule::default());
    trainer.begin_stage(&config, &tasks, third).unwrap();
    assert!(trainer.optimizer.state().is_empty());
}
