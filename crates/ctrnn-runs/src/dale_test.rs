//! Tests that networks under Dale's law train with default settings, also on long trials.

use std::path::Path;

use burn::backend::{Autodiff, NdArray};
use ctrnn_model::Parametrization;

use ctrnn_config::{Run, RunConfig};
use ctrnn_train::{Observer, StepReport, TrainError};

use crate::{initial_network, registry, trainer_at};

type Grad = Autodiff<NdArray<f32>>;

/// Configuration with trials of 200 time steps and 128 units.
const LONG: &str = "seed = 1
    [task.perceptual_decision]
    fixation_ms = 100
    stimulus_ms = 3800
    response_ms = 100
    [validate]
    trials = 4
    [train]
    batch_size = 16
    log_every = 1
    clip_grad_norm = 1
    divergence = { max_rollbacks = 0 }
    steps = 3";

fn run(overrides: &[&str]) -> Run {
    let overrides: Vec<String> = overrides.iter().map(|&o| o.to_owned()).collect();
    RunConfig::from_text(LONG, "run.toml", Path::new("."), &overrides, &registry()).unwrap()
}

/// Records the loss before each step.
struct Losses(Vec<f64>);

impl Observer for Losses {
    fn stepped(&mut self, report: &StepReport) -> Result<(), TrainError> {
        self.0.push(report.loss);
        Ok(())
    }
}

fn losses(overrides: &[&str]) -> Vec<f64> {
    let run = run(overrides);
    let mut trainer = trainer_at::<Grad>(&run, None, 1, &Default::default()).unwrap();
    let mut losses = Losses(Vec::new());
    let ending = trainer.run_with(&mut [&mut losses]);
    ending.unwrap_or_else(|error| panic!("{overrides:?}: {error}"));
    losses.0
}

#[test]
fn every_parametrization_trains_with_its_defaults() {
    for parametrization in Parametrization::ALL.map(Parametrization::name) {
        let dale = format!("model.dale={{parametrization={parametrization:?}}}");
        let losses = losses(&[&dale, "train.steps=40"]);
        let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
        let (first, last) = (losses[0], mean(&losses[35..]));
        assert!(
            first < 10.0 && last < 0.7 * first,
            "{parametrization}: {losses:?}"
        );
    }
}

/// Covers few connections, positive inputs, every compatible activation, both forms, and cell types in any number and
/// order.
#[test]
fn other_networks_under_dales_law_stay_small_with_their_defaults() {
    let signs = (0..128).map(|unit| if unit % 3 == 0 { "-1" } else { "1" });
    let listed = format!("model.dale.signs=[{}]", signs.collect::<Vec<_>>().join(","));
    let variants: [&[&str]; 15] = [
        &["model.density.recurrent=0.1"],
        &["model.density.recurrent=0.02"],
        &[
            "model.density={input=0.5,recurrent=0.3,output=0.5}",
            "model.self_connections=false",
        ],
        &["model.positive_input=true"],
        &["model.positive_input=true", "model.density.recurrent=0.1"],
        &["model.activation=softplus"],
        &["model.activation=sigmoid"],
        &["model.activation=retanh"],
        &["model.activation=power"],
        &["model.form=rate"],
        &["model.form=rate", "model.activation=power"],
        &["model.init.recurrent=lognormal"],
        &["model.dale.excitatory_fraction=1.0"],
        &["model.dale.excitatory_fraction=0.5"],
        &[&listed],
    ];
    for variant in variants {
        let losses = losses(&[&["model.dale={}"], variant].concat());
        assert!(
            losses.iter().all(|loss| loss.is_finite()) && losses[0] < 1e3,
            "{variant:?}: {losses:?}"
        );
    }
}

#[test]
fn the_defaults_of_dales_law_are_written_out_and_explicit_settings_win() {
    let init = |overrides: &[&str]| {
        let run = run(overrides);
        let toml = run.resolved_toml();
        let again = RunConfig::from_text(&toml, "again.toml", Path::new("."), &[], &registry());
        assert_eq!(again.unwrap().model, run.model);
        let init = &run.resolved_table()["model"]["init"];
        let word = |key: &str| init.get(key).map_or(String::new(), ToString::to_string);
        [word("balance"), word("spectral_radius")]
    };
    let dale = "model.dale={}";
    let table: [(&[&str], [&str; 2]); 11] = [
        (&[], ["\"none\"", ""]),
        (&[dale], ["\"row\"", "1.0"]),
        (&[dale, "model.activation=power"], ["\"row\"", "0.2"]),
        (&[dale, "model.init.balance=\"none\""], ["\"none\"", ""]),
        (&[dale, "model.init.balance=total"], ["\"total\"", ""]),
        (
            &[dale, "model.init.spectral_radius=1.5"],
            ["\"row\"", "1.5"],
        ),
        (
            &[dale, "model.init.spectral_radius=natural"],
            ["\"row\"", "\"natural\""],
        ),
        (&[dale, "model.init.recurrent=zero"], ["\"none\"", ""]),
        (
            &[dale, "model.init.recurrent=diagonal"],
            ["\"none\"", "1.0"],
        ),
        (&["model.dale.excitatory_fraction=1.0"], ["\"none\"", "1.0"]),
        (
            &[
                "model.dale.signs=[1,-1]",
                "model.n_units=2",
                "model.self_connections=false",
            ],
            ["\"none\"", "1.0"],
        ),
    ];
    for (overrides, expected) in table {
        assert_eq!(init(overrides), expected, "{overrides:?}");
        initial_network::<Grad>(&run(overrides), &Default::default()).unwrap();
    }
}
