//! Gradients under interventions against finite differences, and passes against numbers worked out otherwise.

use burn::backend::{Autodiff, NdArray};
use burn::tensor::TensorData;
use ctrnn_model::{Activation, CtrnnConfig, Dale, LearnedTimeConstants, TimeConstants};
use ctrnn_tasks::Clock;

use super::parts_test::{Waves, assert_close, flat, gradients_of, network, settings, whole};
use super::*;
use crate::gradients::flat as flat_tensor;
use crate::interventions::{NoiseSchedule, PerturbationConfig};
use crate::optimizer::config::Optimizer;
use crate::settings::TrainConfig;
use crate::{Loss, Objective, Penalty, Sgd};

type Grad = Autodiff<NdArray<f64>>;

fn task() -> Waves {
    Waves {
        lengths: vec![8, 6, 7],
    }
}

/// Returns settings with perturbations read from their words.
fn perturbed(
    config: &CtrnnConfig,
    train: TrainConfig,
    all: &[PerturbationConfig],
) -> TrainSettings {
    let clock = Clock::new(20.0).unwrap();
    let read = |(k, own): (usize, &PerturbationConfig)| {
        own.read(&format!("train.perturbation[{k}]"), config, 1, clock)
    };
    let all = all.iter().enumerate().map(read).collect::<Result<_, _>>();
    let objective = Objective {
        penalties: vec![Penalty::RateL2(0.3), Penalty::RateEntropy(0.1)],
        ..Loss::Mse.into()
    };
    TrainSettings {
        perturbations: all.unwrap(),
        ..settings(train, objective)
    }
}

fn words(all: &[&str]) -> Vec<String> {
    all.iter().map(|word| (*word).to_owned()).collect()
}

/// Returns perturbations of every kind, in all trials or some.
fn every_kind() -> Vec<PerturbationConfig> {
    vec![
        PerturbationConfig {
            silence: words(&["0@early"]),
            current: words(&["1,2@late=0.4"]),
            fraction: 0.5,
            ..PerturbationConfig::default()
        },
        PerturbationConfig {
            clamp: words(&["3@40..80=0.7"]),
            cut: words(&["1>2"]),
            ..PerturbationConfig::default()
        },
        PerturbationConfig {
            lesion: words(&["1@..60"]),
            fraction: 0.4,
            ..PerturbationConfig::default()
        },
    ]
}

/// Gradients of every parameter against central differences of the loss.
fn check_gradients(config: &CtrnnConfig, settings: &TrainSettings) {
    let network = config.init::<Grad>(3, &Default::default()).unwrap();
    let loss = |network: CtrnnModule<Grad>| {
        let found = gradients_of(network, &task(), settings.clone()).unwrap();
        found.numbers.unwrap().loss
    };
    let found = gradients_of(network.clone(), &task(), settings.clone()).unwrap();
    let step = 1e-5;
    for (&parameter, gradient) in &found.gradients.0 {
        let gradient: Vec<f64> = gradient.to_data().iter().collect();
        for k in [0, gradient.len() / 2, gradient.len() - 1] {
            // Plain descent along one entry moves that entry alone.
            let moved = |by: f64| {
                let mut along = vec![0.0; gradient.len()];
                along[k] = -1.0;
                let along = flat_tensor(along, &Default::default());
                let mut descent = OptimizerState::new(Optimizer::Sgd(Sgd::default()));
                loss(descent.step(by, network.clone(), Gradients([(parameter, along)].into())))
            };
            let expected = (moved(step) - moved(-step)) / (2.0 * step);
            let (name, found) = (parameter.name(), gradient[k]);
            assert!(
                (found - expected).abs() < 1e-6 * (1.0 + expected.abs()),
                "{name}[{k}]: {found} is not {expected}"
            );
        }
    }
}

#[test]
fn gradients_reach_parameters_through_perturbations() {
    let config = CtrnnConfig {
        activation: Activation::Softplus,
        dale: Some(Dale::default()),
        tau_ms: TimeConstants::Learned(LearnedTimeConstants {
            initial: Box::new(80.0.into()),
            bounds: [20.0, 500.0],
            per_unit: false,
        }),
        ..CtrnnConfig::new(2, 5, 1)
    };
    let with = |train| perturbed(&config, train, &every_kind());
    check_gradients(&config, &with(whole()));
    let dropout = TrainConfig {
        dropout: 0.3,
        ..whole()
    };
    check_gradients(&config, &with(dropout));
    let accumulated = TrainConfig {
        batch_size: 2,
        accumulate: 3,
        ..whole()
    };
    check_gradients(&config, &with(accumulated.clone()));
    let [one, parts] = [whole(), accumulated].map(|train| {
        let network = config.init::<Grad>(3, &Default::default()).unwrap();
        flat(&gradients_of(network, &task(), with(train)).unwrap())
    });
    assert_close(&parts, &one, 1e-12, "accumulated");
}

fn outputs(config: &CtrnnConfig, settings: TrainSettings) -> Vec<f64> {
    let network = config.init::<Grad>(3, &Default::default()).unwrap();
    let found = gradients_of(network, &task(), settings).unwrap();
    found.trajectory.outputs.to_data().iter().collect()
}

/// In a network of two layers with noise of every kind, half of the trials are perturbed; the others are as without, draw by draw.
#[test]
fn other_trials_are_as_they_were() {
    let config = network();
    let own = PerturbationConfig {
        lesion: words(&["layers.0.1@late", "2"]),
        fraction: 0.5,
        ..PerturbationConfig::default()
    };
    let plain = outputs(&config, perturbed(&config, whole(), &[]));
    let found = outputs(
        &config,
        perturbed(&config, whole(), std::slice::from_ref(&own)),
    );
    let n_steps = plain.len() / 6;
    let trials = plain.chunks(n_steps).zip(found.chunks(n_steps));
    let differ: Vec<f64> = trials
        .map(|(a, b)| {
            a.iter()
                .zip(b)
                .map(|(a, b)| (a - b).abs())
                .fold(0.0, f64::max)
        })
        .collect();
    let n_same = differ.iter().filter(|&&d| d < 1e-12).count();
    let n_other = differ.iter().filter(|&&d| d > 1e-4).count();
    assert_eq!(n_same + n_other, 6, "{differ:?}");
    assert!(n_same > 0 && n_other > 0, "{differ:?}");
}

/// The factor of the noise at step 0 of 4 is `from`; noise times 0 is none, and noise times 1 the whole.
#[test]
fn noise_follows_its_schedule() {
    let config = network();
    let of = |from: f64| {
        let train = TrainConfig {
            noise_schedule: Some(NoiseSchedule {
                from,
                to: 0.5,
                steps: None,
            }),
            ..whole()
        };
        outputs(&config, settings(train, Loss::Mse.into()))
    };
    let plain = outputs(&config, settings(whole(), Loss::Mse.into()));
    assert_eq!(of(1.0), plain);
    let silent = config.clone().map_layers(|layer| CtrnnConfig {
        noise: Default::default(),
        ..layer
    });
    let silent = outputs(&silent, settings(whole(), Loss::Mse.into()));
    assert_close(&of(0.0), &silent, 1e-12, "no noise");
    assert!(of(0.5) != plain && of(0.5) != silent);
}

/// The outputs are those of a network whose outgoing weights are multiplied by the factors that were drawn.
#[test]
fn dropout_scales_outgoing_weights() {
    let config = CtrnnConfig {
        activation: Activation::Tanh,
        ..CtrnnConfig::new(2, 6, 1)
    };
    let train = TrainConfig {
        dropout: 0.4,
        ..whole()
    };
    let dropped = settings(train, Loss::Mse.into());
    let network = config.init::<Grad>(3, &Default::default()).unwrap();
    let task = task();
    let mut trainer = Trainer::new(network.clone(), &task, dropped.clone()).unwrap();
    let trials = trainer.trials(&|| None).unwrap();
    let factors = trainer.draw_interventions(&trials).groups[0]
        .0
        .outgoing
        .clone()
        .unwrap();
    assert!(
        factors.contains(&0.0) && factors.contains(&(1.0 / 0.6)),
        "{factors:?}"
    );
    let scaled = ["recurrent.weight", "output.weight"].map(|name| {
        let data = &network.weights()[name];
        let values = data.iter::<f64>().zip(factors.iter().cycle());
        let values: Vec<f64> = values.map(|(w, factor)| w * factor).collect();
        (name.to_owned(), TensorData::new(values, data.shape.clone()))
    });
    let scaled = network.clone().with_weights(&scaled.into()).unwrap();
    let plain = settings(whole(), Loss::Mse.into());
    let values = |network, settings| -> Vec<f64> {
        let found = gradients_of(network, &task, settings).unwrap();
        found.trajectory.outputs.to_data().iter().collect()
    };
    assert_close(
        &values(network, dropped),
        &values(scaled, plain),
        1e-12,
        "dropout",
    );
}
