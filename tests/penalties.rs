//! Penalties with bounds, and penalties that yield to the task: what they do to a training, and resuming.

use std::path::Path;

use crate::project::{NOISE, Project, TINY};

/// Measurements at the end of a training of `healthy_rates.toml`.
struct Trained {
    /// Smallest and largest mean rate of a unit.
    rates: [f64; 2],
    /// Largest sum of the absolute recurrent weights onto a unit.
    in_degree: f64,
    participation: f64,
    accuracy: f64,
}

impl Trained {
    fn of(project: &Project, run: &str, more: &[&str]) -> Self {
        let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs/healthy_rates.toml");
        let config = config.display().to_string();
        let arguments = ["train", &config, "--run-dir", run];
        project.run(&[&arguments[..], more].concat()).exits(0);
        let rows = project.metrics(run);
        let last = rows.iter().rfind(|row| row["split"] == "val").unwrap();
        let number = |column: &str| last[column].parse::<f64>().unwrap();
        let units = project.text(format!("{run}/units.csv"));
        let step = format!("{},", last["step"]);
        let rows = units.lines().filter(|row| row.starts_with(&step));
        let means = rows.map(|row| row.split(',').nth(2).unwrap().parse::<f64>().unwrap());
        let weights = &project.arrays(&format!("{run}/model/weights.npz"))["recurrent.weight"];
        let n_units = means.clone().count();
        let weights = weights.to_f64().unwrap();
        let sums = weights
            .chunks(n_units)
            .map(|row| row.iter().map(|w| w.abs()).sum::<f64>());
        Self {
            rates: [
                means.clone().fold(f64::INFINITY, f64::min),
                means.fold(0.0, f64::max),
            ],
            in_degree: sums.fold(0.0, f64::max),
            participation: number("participation"),
            accuracy: number("accuracy"),
        }
    }
}

/// Within a tenth of the bounds: a penalty weighs against the loss, and counts batches of training, not the trials of the monitors.
#[test]
fn a_configuration_keeps_rates_weights_and_dimensions_within_bounds() {
    let project = Project::in_memory();
    let plain = Trained::of(&project, "plain", &["train.loss={}"]);
    let [_, highest] = plain.rates;
    assert!(highest > 1.5 && plain.in_degree > 8.0 && plain.participation < 1.5);
    let bounded = Trained::of(&project, "bounded", &[]);
    let [lowest, highest] = bounded.rates;
    assert!(lowest > 0.09 && highest < 0.66, "{lowest} to {highest}");
    assert!(bounded.in_degree < 5.5, "{}", bounded.in_degree);
    assert!(bounded.participation > 1.8, "{}", bounded.participation);
    assert!(bounded.accuracy > 0.95, "{}", bounded.accuracy);
}

fn train<'a>(run: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let begin = ["train", "smoke.toml", "--run-dir", run, NOISE];
    [&begin[..], &TINY, &["train.steps=12"], more].concat()
}

const SGD: &str = "train.optimizer={name=\"sgd\",lr=0.1}";

/// Stopped twice, with bounds and with gradients in parts; a penalty opposes the task, which shows in the weights of a training without the key.
#[test]
fn a_stopped_run_whose_penalties_yield_equals_an_uninterrupted_one() {
    let project = Project::in_memory();
    let bounds = [
        SGD,
        "train.loss.rate_range={weight=1,at_most=0.1}",
        "train.loss.in_degree={weight=0.1,at_most=0.5}",
        "train.loss.participation={weight=1,at_most=1.2}",
        "train.loss.yield_to_task=[\"rate_range\",\"in_degree\"]",
    ];
    let sums = [
        SGD,
        "train.loss.rate_entropy=1",
        "train.loss.yield_to_task=[\"rate_entropy\"]",
        "train.accumulate=2",
        "train.truncate_steps=4",
    ];
    for (name, arguments) in [("bounds", bounds), ("sums", sums)] {
        let [whole, parts, free] = ["whole", "parts", "free"].map(|run| format!("{name}-{run}"));
        project.run(&train(&whole, &arguments)).exits(0);
        let stopped = [&arguments[..], &["--max-time", "0s"]].concat();
        project.run(&train(&parts, &stopped)).exits(75);
        project
            .run(&["resume", &parts, "--max-time", "0s"])
            .exits(75);
        project.run(&["resume", &parts]).exits(0);
        project.assert_same_run(&whole, &parts);
        let opposed: Vec<&str> = (arguments.iter().copied())
            .filter(|argument| !argument.starts_with("train.loss.yield_to_task"))
            .collect();
        project.run(&train(&free, &opposed)).exits(0);
        let weights = |run: &str| {
            let arrays = project.arrays(&format!("{run}/model/weights.npz"));
            arrays["recurrent.weight"].to_f64().unwrap()
        };
        let pairs = weights(&whole).into_iter().zip(weights(&free));
        let change = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(
            change > 1e-4,
            "{name}: no penalty opposed the task, {change}"
        );
    }
}

#[test]
fn check_tells_bounds_without_effect_and_explain_the_keys() {
    let project = Project::in_memory();
    let bound = "train.loss.participation={weight=1,at_most=8}";
    project
        .run(&["check", "smoke.toml", "model.n_units=8", bound])
        .exits(0)
        .says(&[
            "train.loss.participation.at_most has no effect: no participation ratio is above 8",
        ]);
    for key in ["rate_range", "in_degree", "participation", "yield_to_task"] {
        let key = format!("train.loss.{key}");
        let explained = project.run(&["config", "explain", &key]).exits(0).stdout;
        assert!(explained.contains(&key), "{explained}");
    }
}
