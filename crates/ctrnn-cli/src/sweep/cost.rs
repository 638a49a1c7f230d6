//! Cost of trials: memory, and the time of a training step.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use ctrnn_config::{Reading, Run, counted};
use ctrnn_sweep::{Sweep, Trial};
use ctrnn_tasks::{Programs, Registry};
use serde_json::{Value as Json, json};

use crate::backend::with_backend;
use crate::check::first_steps::{FirstSteps, Outcome};
use crate::check::size::Size;
use crate::failure::Failure;
use crate::progress::clock;
use crate::terminal::{Terminal, path_text};
use crate::trust::Consent;

/// Time after which no further network is timed; the rest is estimated.
const LONGEST: Duration = Duration::from_secs(2);
/// Largest number of trials that are listed as text.
const MOST_LISTED: usize = 60;
/// MiB that a training takes if that is not known.
const UNKNOWN_MIB: f64 = 300.0;

/// Returns the MiB that the training of a trial takes.
pub fn memory_mib(sweep: &Sweep, trial: &Trial, registry: &Registry) -> f64 {
    let reading = Reading {
        overrides: &trial.overrides,
        programs: Programs::NEVER,
        ..Reading::new(registry)
    };
    let run = reading.file(&sweep.file.base).ok();
    let size = run.and_then(|run| Size::of(&run).ok());
    size.and_then(|size| size.training_mib)
        .unwrap_or(UNKNOWN_MIB)
}

/// Time of a training step of one kind of network.
struct Timed {
    /// Multiplications of a time step, by which untimed networks are estimated.
    work: f64,
    step_s: f64,
}

/// Prints the trials of a sweep and the time that they take on a number of processes.
///
/// # Errors
/// If a trial cannot be trained.
pub fn check(
    sweep: &Sweep,
    jobs: usize,
    consent: Consent,
    registry: &Registry,
    terminal: &Terminal,
) -> Result<(), Failure> {
    let began = Instant::now();
    let mut timed: BTreeMap<String, Timed> = BTreeMap::new();
    let mut seconds: BTreeMap<Vec<&str>, f64> = BTreeMap::new();
    let (mut n_estimated, mut total_s) = (0_usize, 0.0);
    let agree = |words: &[String]| consent.agree(words);
    for trial in &sweep.trials {
        let (point, cost_keys) = (without_seed(trial), cost_keys(trial));
        if let Some(known) = seconds.get(&cost_keys) {
            total_s += known;
            continue;
        }
        let one_thread = ["device.threads=1".to_owned()];
        let overrides = [point, &one_thread].concat();
        let reading = Reading {
            overrides: &overrides,
            programs: Programs::Agreed(&agree),
            ..Reading::new(registry)
        };
        let run = reading.file(&sweep.file.base)?;
        let (shape, work) = (shape(&run), work(&run));
        if !timed.contains_key(&shape) && (timed.is_empty() || began.elapsed() < LONGEST) {
            let step_s = time_step(&run)?;
            timed.insert(shape.clone(), Timed { work, step_s });
        }
        let step_s = match timed.get(&shape) {
            Some(timed) => timed.step_s,
            None => {
                n_estimated += 1;
                let distance = |timed: &Timed| (timed.work / work).ln().abs();
                let nearest = timed
                    .values()
                    .min_by(|a, b| distance(a).total_cmp(&distance(b)));
                nearest.map_or(0.0, |timed| timed.step_s * work / timed.work)
            }
        };
        let trial_s = step_s * run.config.train.steps as f64;
        seconds.insert(cost_keys, trial_s);
        total_s += trial_s;
    }
    let of = |trial: &Trial| seconds.get(&cost_keys(trial)).copied().unwrap_or(0.0);
    let longest = sweep.trials.iter().map(of).fold(0.0, f64::max);
    let on_jobs = (total_s / jobs as f64).max(longest);
    if n_estimated > 0 {
        terminal.note(format!(
            "{} timed, {} estimated from them",
            counted(timed.len() as u64, "network"),
            n_estimated
        ));
    }
    let time = |seconds: f64| {
        let time = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
        clock(time.as_secs_f64())
    };
    let text = || {
        let mut lines = Vec::new();
        for (i, trial) in sweep.trials.iter().enumerate().take(MOST_LISTED) {
            lines.push(format!(
                "{:>6}  {}  {:>9}  {}",
                i + 1,
                trial.name,
                time(of(trial)),
                trial.words()
            ));
        }
        if sweep.trials.len() > MOST_LISTED {
            lines.push(format!(
                "        and {} more (--json lists all)",
                sweep.trials.len() - MOST_LISTED
            ));
        }
        lines.push(format!(
            "{} into {}: {} of training steps on one core, {} on {jobs}",
            counted(sweep.trials.len() as u64, "trial"),
            sweep.folder().display(),
            time(total_s),
            time(on_jobs),
        ));
        lines.join("\n")
    };
    terminal.print(text, || {
        let trials = sweep.trials.iter().map(|trial| {
            json!({ "trial": trial.name, "overrides": trial.overrides, "seconds": of(trial) })
        });
        json!({
            "folder": path_text(sweep.folder()), "total_s": total_s, "jobs": jobs,
            "on_jobs_s": on_jobs, "trials": trials.collect::<Vec<_>>(),
        })
    })
}

fn without_seed(trial: &Trial) -> &[String] {
    match trial.overrides.split_last() {
        Some((last, rest)) if last.starts_with("seed=") => rest,
        _ => &trial.overrides,
    }
}

/// Returns the settings on which time and memory of a trial depend: without the seed and the values of real numbers of network and training, as
/// in [`shape`]. Of ten thousand trials few differ in them, and only those are resolved.
pub fn cost_keys(trial: &Trial) -> Vec<&str> {
    without_seed(trial)
        .iter()
        .map(|given| cost_key(given))
        .collect()
}

fn cost_key(given: &str) -> &str {
    let (key, value) = given.split_once('=').unwrap_or((given, ""));
    let is_of_network = key.starts_with("model.") || key.starts_with("train.");
    let is_real = value.contains(['.', 'e']) && value.parse::<f64>().is_ok();
    if is_of_network && is_real { key } else { given }
}

/// Returns the seconds of a training step.
fn time_step(run: &Run) -> Result<f64, Failure> {
    let tried = with_backend(run, FirstSteps(run))?;
    Ok(match tried.outcome {
        Outcome::Timed { steps_per_s } => 1.0 / steps_per_s,
        Outcome::Diverged(..) => 0.0, // ends after its first steps
    })
}

/// Returns the multiplications of a time step of a batch.
fn work(run: &Run) -> f64 {
    let others = 16 * run.model.n_units_of_layers();
    (run.config.train.trials_of_step() * (run.model.multiplications() + others)) as f64
}

/// Returns the part of a configuration on which the time of a step depends: without seed, learning rate, number of steps
/// and other real numbers of network and training.
fn shape(run: &Run) -> String {
    let mut table = run.config.table();
    for key in ["seed", "checkpoint", "validate"] {
        table.remove(key);
    }
    let mut json = serde_json::to_value(table).expect("TOML fits JSON");
    if let Some(train) = json["train"].as_object_mut() {
        for key in ["steps", "schedule", "stop", "divergence"] {
            train.remove(key);
        }
    }
    for key in ["model", "train"] {
        drop_reals(&mut json[key]);
    }
    json.to_string()
}

fn drop_reals(value: &mut Json) {
    match value {
        Json::Number(number) if number.is_f64() => *value = Json::Null,
        Json::Array(items) => items.iter_mut().for_each(drop_reals),
        Json::Object(fields) => fields.values_mut().for_each(drop_reals),
        _ => {}
    }
}
