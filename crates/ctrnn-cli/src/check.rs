//! `check`: all errors of a configuration at once; without any, a description of the training.

mod advice;
mod areas;
mod description;
pub mod first_steps;
pub mod size;
mod training_memory;
mod without_trials;
mod words;

use ctrnn_config::{Reading, Run};
use ctrnn_runs::initial_states_note;
use ctrnn_tasks::{Programs, Registry};
use ctrnn_train::Overflow;

use crate::args::CheckArgs;
use crate::backend::with_backend;
use crate::failure::{FAILED, Failure};
use crate::terminal::Terminal;
use first_steps::{FirstSteps, Outcome, Tried};
use size::Size;

/// Memory of a training above which it is reported before a step is tried.
const MUCH_MIB: f64 = 1024.0;
/// Largest state that does not explain an infinite loss.
const LARGE_STATE: f64 = 1e6;

/// Checks a configuration.
pub fn run(args: &CheckArgs, registry: &Registry, terminal: &Terminal) -> Result<(), Failure> {
    if args.no_trials {
        return without_trials::run(args, registry, terminal);
    }
    let consent = args.trust.consent(terminal);
    let overrides = args.data.overrides(&args.overrides);
    let reading = Reading {
        overrides: &overrides,
        data_root: args.data.data_root.as_deref(),
        programs: Programs::Agreed(&|words| consent.agree(words)),
        ..Reading::new(registry)
    };
    let run = reading.file(&args.config)?;
    terminal.notes(run.notes.iter().chain(&run.unused_keys()));
    terminal.notes(initial_states_note(&run));
    terminal.notes(advice::plain_path_note(&run));
    terminal.notes(run.unconnected());
    let size = Size::of(&run)?;
    if let Some(mib) = size.training_mib.filter(|&mib| mib > MUCH_MIB) {
        // If there is less memory, the process is killed before it can print anything else.
        terminal.note(format!(
            "training takes about {mib:.0} MiB of memory; one step of it is tried now"
        ));
    }
    let tried = with_backend(&run, FirstSteps(&run))?;
    terminal.print(
        || description::text(&run, &size, &tried),
        || description::json(&run, &size, &tried),
    )?;
    check_finite(&run, &tried)
}

/// Checks that the numbers of the first steps are finite.
fn check_finite(run: &Run, tried: &Tried) -> Result<(), Failure> {
    let Outcome::Diverged(found, overflow) = &tried.outcome else {
        return Ok(());
    };
    let overflowed = description::describe_overflow(*overflow);
    let message = format!("{overflowed}: {}", found.what_and_step());
    Err(match overflow {
        Overflow::Elsewhere { largest, .. } if *largest < LARGE_STATE => {
            Failure::new(FAILED, "T001", message, large_besides_states(run))
        }
        _ => {
            let radius = tried.network.spectral_radius;
            Failure::diverged(found, message, run, radius, None)
        }
    })
}

/// Returns the remedy for a loss that overflows while the states stay small.
fn large_besides_states(run: &Run) -> String {
    let mut large = vec!["targets and mask, where the task's trials are made".to_owned()];
    let penalties = run.term_names();
    if !penalties.is_empty() {
        large.push(format!(
            "the weights of the penalties: {}",
            penalties.join(", ")
        ));
    }
    if run.model.noise.postactivation > 0.0 {
        let sigma = run.model.noise.postactivation;
        large.push(format!(
            "model.noise.postactivation (now {sigma:e}), which the readout sees"
        ));
    }
    format!(
        "the states stay small, so something else is too large:\n        {}",
        large.join("\n        ")
    )
}
