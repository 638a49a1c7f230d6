//! `ckpt`: the checkpoints of a run.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use ctrnn_config::{Code, counted};
use ctrnn_files::{CheckpointManifest, FileError, Holder, RunFolder, RunLock, read_pointer};
use ctrnn_runs::{Checkpoint, TensorSummary, checkpoint_step, now};
use serde_json::{Value as Json, json};

use crate::args::{CkptArgs, CkptCommand};
use crate::failure::{DATA, Failure};
use crate::run_path::{existing_folder, recorded};
use crate::terminal::{Terminal, path_text};

/// Lists, checks, shows or removes checkpoints.
pub fn run(args: &CkptArgs, terminal: &Terminal) -> Result<(), Failure> {
    match &args.command {
        CkptCommand::List { run } => list(run, terminal),
        CkptCommand::Verify { run, which } => verify(run, which, terminal),
        CkptCommand::Show { run, which } => show(run, which, terminal),
        CkptCommand::Prune { run, keep, dry_run } => prune(run, *keep, *dry_run, terminal),
    }
}

/// The checkpoints that the pointers `last` and `best` name.
struct Pointers {
    last: Option<u64>,
    best: Option<u64>,
}

impl Pointers {
    fn read(folder: &RunFolder) -> Result<Self, FileError> {
        let step = |pointer: &Path| match read_pointer(pointer) {
            Err(FileError::Missing { .. }) => Ok(None),
            step => step.map(Some),
        };
        Ok(Self {
            last: step(&folder.last())?,
            best: step(&folder.best())?,
        })
    }

    /// Returns the pointers to a step: `last`, `best`, both or neither.
    fn names(&self, step: u64) -> Vec<&'static str> {
        [("last", self.last), ("best", self.best)]
            .into_iter()
            .filter(|(_, named)| *named == Some(step))
            .map(|(name, _)| name)
            .collect()
    }
}

fn list(run: &Path, terminal: &Terminal) -> Result<(), Failure> {
    let folder = existing_folder(run)?;
    let pointers = Pointers::read(&folder)?;
    let rows: Vec<_> = folder
        .list_checkpoints()?
        .into_iter()
        .map(|step| (step, CheckpointManifest::load(&folder.checkpoint(step))))
        .collect();
    let text = || {
        let mut text = format!("{:>10}  {:>12}\n", "step", "bytes");
        for (step, manifest) in &rows {
            let names = pointers.names(*step).join(", ");
            let _ = match manifest {
                Ok(manifest) => writeln!(text, "{step:>10}  {:>12}  {names}", bytes(manifest)),
                Err(error) => writeln!(text, "{step:>10}  {:>12}  {names} damaged: {error}", "?"),
            };
        }
        text
    };
    let json = || {
        let rows = rows.iter().map(|(step, manifest)| {
            json!({
                "step": step,
                "bytes": manifest.as_ref().ok().map(bytes),
                "last": pointers.last == Some(*step),
                "best": pointers.best == Some(*step),
                "problem": manifest.as_ref().err().map(ToString::to_string),
            })
        });
        json!({ "run": path_text(run), "checkpoints": rows.collect::<Vec<_>>() })
    };
    terminal.print(text, json)
}

/// Returns the size of a checkpoint.
fn bytes(manifest: &CheckpointManifest) -> u64 {
    let sizes = manifest.files.values().map(|file| file.bytes);
    sizes.fold(0, u64::saturating_add)
}

fn verify(run: &Path, which: &[String], terminal: &Terminal) -> Result<(), Failure> {
    let folder = existing_folder(run)?;
    let steps = match which {
        [] => folder.list_checkpoints()?,
        which => {
            let found = which.iter().map(|word| checkpoint_step(&folder, word));
            found.collect::<Result<_, _>>()?
        }
    };
    let (mut whole, mut damaged) = (Vec::new(), BTreeMap::new());
    for step in steps {
        match Checkpoint::read(&folder.checkpoint(step)) {
            Ok(_) => whole.push(step),
            Err(error) => drop(damaged.insert(step, error.to_string())),
        }
    }
    let text = || {
        let whole = whole.iter().map(|step| format!("{step:>10}  whole\n"));
        let damaged = damaged
            .iter()
            .map(|(step, problem)| format!("{step:>10}  damaged: {problem}\n"));
        whole.chain(damaged).collect()
    };
    let json = || {
        let damaged = damaged
            .iter()
            .map(|(step, problem)| json!({ "step": step, "problem": problem }));
        json!({ "run": path_text(run), "whole": whole, "damaged": damaged.collect::<Vec<_>>() })
    };
    terminal.print(text, json)?;
    check_undamaged(&whole, &damaged)
}

/// Checks that none of the verified checkpoints is damaged.
fn check_undamaged(whole: &[u64], damaged: &BTreeMap<u64, String>) -> Result<(), Failure> {
    let Some((_, problem)) = damaged.last_key_value() else {
        return Ok(());
    };
    let what = format!(
        "of {}, {} {} damaged; the newest of these: {problem}",
        counted(damaged.len() + whole.len(), "checkpoint"),
        damaged.len(),
        if damaged.len() == 1 { "is" } else { "are" }
    );
    let help = match whole.last() {
        Some(step) => format!(
            "`resume` continues from the newest undamaged one; --checkpoint {step} uses the one of step {step}"
        ),
        None => {
            "no checkpoint is undamaged: restore the folder from a copy, or train again".to_owned()
        }
    };
    Err(Failure::new(DATA, "D005", what, help))
}

fn show(run: &Path, which: &str, terminal: &Terminal) -> Result<(), Failure> {
    let folder = existing_folder(run)?;
    let step = checkpoint_step(&folder, which)?;
    let checkpoint = Checkpoint::read(&folder.checkpoint(step))?;
    let names = Pointers::read(&folder)?.names(step);
    let counters = serde_json::to_value(&checkpoint.counters).expect("counters are plain numbers");
    let (weights, optimizer) = checkpoint.summary();
    let text = || {
        let mut text = format!("step {step}  {}\n", names.join(", "));
        for (name, value) in counters.as_object().into_iter().flatten() {
            let _ = writeln!(text, "{name:<14} {value}");
        }
        for (title, arrays) in [("weights", &weights), ("optimizer", &optimizer)] {
            let _ = writeln!(text, "{title}");
            arrays
                .iter()
                .for_each(|array| text.push_str(&array_text(array)));
        }
        text
    };
    let json = || {
        json!({
            "run": path_text(run),
            "step": step,
            "names": names,
            "counters": counters,
            "weights": weights.iter().map(array_json).collect::<Vec<_>>(),
            "optimizer": optimizer.iter().map(array_json).collect::<Vec<_>>(),
        })
    };
    terminal.print(text, json)
}

fn array_text(array: &TensorSummary) -> String {
    let shape = format!("{:?}", array.shape);
    let range = match array.range {
        Some((low, high)) => format!("{low:>12.4e} to {high:.4e}"),
        None => "empty".to_owned(),
    };
    format!("  {:<28} {shape:<14} {range}\n", array.name)
}

fn array_json(array: &TensorSummary) -> Json {
    json!({
        "name": array.name,
        "shape": array.shape,
        "min": array.range.map(|(low, _)| low),
        "max": array.range.map(|(_, high)| high),
    })
}

fn prune(
    run: &Path,
    keep: Option<usize>,
    dry_run: bool,
    terminal: &Terminal,
) -> Result<(), Failure> {
    let mut folder = existing_folder(run)?;
    // Kept to the end of the function, so that no process trains the run meanwhile.
    let lock = if dry_run {
        None
    } else {
        let holder = Holder::this_process(&now());
        Some(Arc::new(RunLock::acquire(run, &holder)?))
    };
    if let Some(lock) = &lock {
        folder = folder.held_by(lock);
    }
    let keep_last = keep.map_or_else(|| keep_last(&folder), Ok)?;
    let (word, removed) = if dry_run {
        let removed = folder.checkpoints_to_prune(keep_last, &needed(&folder)?)?;
        ("would remove", removed)
    } else {
        let removed = folder.prune_checkpoints(keep_last, &needed(&folder)?)?;
        ("removed", removed)
    };
    let mut left = folder.list_checkpoints()?;
    left.retain(|step| !removed.contains(step));
    terminal.print(
        || format!("{word}: {}\nkept: {}\n", listed(&removed), listed(&left)),
        || json!({ "run": path_text(run), "removed": removed, "kept": left, "dry_run": dry_run }),
    )
}

/// Returns the steps of the checkpoints that a run needs, however old: those of the pointers, the newest undamaged one,
/// and those that this one names as the best.
fn needed(folder: &RunFolder) -> Result<Vec<u64>, Failure> {
    let pointers = Pointers::read(folder)?;
    let mut needed: Vec<u64> = pointers.last.into_iter().chain(pointers.best).collect();
    if let Some(step) = folder.newest_whole_checkpoint()?.step {
        let newest = Checkpoint::read(&folder.checkpoint(step))?;
        needed.push(step);
        needed.extend(newest.counters.best_steps());
    }
    Ok(needed)
}

/// Formats steps: "100, 200", or "none".
fn listed(steps: &[u64]) -> String {
    if steps.is_empty() {
        return "none".to_owned();
    }
    let steps: Vec<String> = steps.iter().map(u64::to_string).collect();
    steps.join(", ")
}

/// Reads `checkpoint.keep_last` from the recorded configuration of a run.
fn keep_last(folder: &RunFolder) -> Result<usize, Failure> {
    let config = recorded(folder)?;
    let keep = config
        .get("checkpoint")
        .and_then(|table| table.get("keep_last"))
        .and_then(toml::Value::as_integer)
        .and_then(|keep| usize::try_from(keep).ok());
    keep.ok_or_else(|| {
        let what = format!(
            "{} has no checkpoint.keep_last",
            folder.resolved().display()
        );
        Failure::of_code(Code::Data, what, "give the number to keep: --keep 3")
    })
}
