//! Every number of a configuration at the limits of its type: it is either refused with its place, or the run neither
//! panics nor writes a number that is not finite.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use burn::backend::{Autodiff, NdArray};
use ctrnn_random::{Key, Stream};
use ctrnn_tasks::{BatchRequest, ConditionOrder, Registry};
use ctrnn_train::{TrainError, Trainer};
use serde_json::Value as Json;

use super::broken_keys::{named_table, setting};
use super::{Run, RunConfig};
use crate::diagnostic::ConfigErrors;
use crate::schema::{self, keys, shapes, types};

type Cpu = Autodiff<NdArray<f32>>;

const FLOATS: &[&str] = &[
    "-0.0",
    "1e-320",
    "1e-45",
    "1e-38",
    "1e-9",
    "0.99999999",
    "1e9",
    "1e38",
    "3.4e38",
    "1e39",
    "1e308",
    "-1e39",
];

const INTEGERS: &[&str] = &["1", "4294967296", "9007199254740993", "9223372036854775807"];

/// Settings of a small run, in addition to the key under test.
const SMALL: [&str; 4] = [
    "train.steps=1",
    "train.batch_size=2",
    "model.n_units=4",
    "validate.trials=2",
];

/// Lists the numbers to try for this shape.
fn numbers(shape: &Json) -> &'static [&'static str] {
    match types(shape)[..] {
        ["number"] => FLOATS,
        ["integer"] => INTEGERS,
        _ => &[],
    }
}

/// Lists the values to try at a key: numbers, or lists of numbers of the required length.
fn values(root: &Json, schema: &Json) -> Vec<String> {
    let mut all = Vec::new();
    for shape in shapes(root, schema) {
        all.extend(numbers(shape).iter().map(|value| (*value).to_owned()));
        if types(shape) == ["array"] {
            let n = shape["minItems"].as_u64().unwrap_or(1).max(1) as usize;
            let items = shapes(root, &shape["items"]);
            let numbers = items.into_iter().flat_map(numbers);
            all.extend(numbers.map(|value| format!("[{}]", vec![*value; n].join(", "))));
        }
    }
    all
}

fn load(text: &str, path: &str, registry: &Registry) -> Result<Run, ConfigErrors> {
    let others = SMALL
        .iter()
        .filter(|small| !small.starts_with(&format!("{path}=")));
    let overrides: Vec<String> = others.map(|small| (*small).to_owned()).collect();
    RunConfig::from_text(text, "run.toml", Path::new("/lab"), &overrides, registry)
}

/// Checks that a run can make trials, with at least one time step.
fn assert_has_trials(run: &Run) {
    let request = BatchRequest {
        clock: run.clock,
        first_trial: 0,
        n_trials: 2,
        key: Key::new(run.config.seed, Stream::Trials, 0),
        step: 0,
        conditions: ConditionOrder::Weighted,
    };
    let batch = run.task.sample_batch(&request).unwrap();
    assert!(batch.n_steps.iter().all(|&n| n > 0), "{:?}", batch.n_steps);
}

/// Trains a run for one step. It may diverge; in that case nothing is written.
fn assert_trains(run: &Run) {
    let trainer = || -> Result<_, TrainError> {
        let network = run
            .model
            .init::<Cpu>(run.config.seed, &Default::default())?;
        Trainer::new(network, run.task.as_ref(), run.settings())
    };
    let mut trainer = match trainer() {
        Ok(trainer) => trainer,
        Err(error) => return assert_ne!(error.exit_code(), 1, "{error}"),
    };
    if trainer.run().is_ok() {
        for (name, array) in trainer.network().weights() {
            assert!(array.iter::<f64>().all(f64::is_finite), "{name}");
        }
    }
}

/// Collects the settings that cause a panic, or are refused without a remedy.
fn complaints(
    registry: &Registry,
    is_wanted: impl Fn(&str) -> bool,
    try_run: impl Fn(&Run),
) -> Vec<String> {
    let root = schema::schema(registry);
    let mut complaints = Vec::new();
    for path in keys(root).into_iter().filter(|path| is_wanted(path)) {
        for (of, found) in schema::find(root, &path) {
            for value in values(root, found) {
                let (text, ..) = setting(&path, of, named_table(root, &path), &value);
                let tried = catch_unwind(AssertUnwindSafe(|| match load(&text, &path, registry) {
                    Ok(run) => try_run(&run),
                    Err(errors) => assert!(errors.0.iter().all(|problem| !problem.help.is_empty())),
                }));
                if tried.is_err() {
                    complaints.push(text);
                }
            }
        }
    }
    complaints
}

fn of_tasks(path: &str) -> bool {
    path.starts_with("task.")
}

#[test]
fn extreme_numbers_of_a_run_are_refused_or_harmless() {
    let registry = ctrnn_runs::registry();
    let mut registries = registry.one_by_one();
    let go_nogo = registries
        .find(|registry| registry.get("go_nogo").is_some())
        .unwrap();
    // A run with an extreme number of steps would never end.
    let is_wanted = |path: &str| !of_tasks(path) && path != "train.steps";
    let all = complaints(&go_nogo, is_wanted, assert_trains);
    assert!(all.is_empty(), "{}", all.join("\n\n"));
}

#[test]
fn extreme_numbers_of_a_task_are_refused_or_give_trials() {
    let mut all = Vec::new();
    for registry in ctrnn_runs::registry().one_by_one() {
        all.extend(complaints(&registry, of_tasks, assert_has_trials));
    }
    assert!(all.is_empty(), "{}", all.join("\n\n"));
}
