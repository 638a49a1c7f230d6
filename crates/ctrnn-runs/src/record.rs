//! Record of a run: the contents of its folder.

mod machine_history;
pub mod manifest;
pub mod model_files;
mod result;
pub mod resumed;
pub mod run_log;
pub mod run_trainer;
pub mod tensorboard_log;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use burn::tensor::backend::{AutodiffBackend, Backend};
use ctrnn_config::{InitialWeights, Run, TrainedChannels, check_resume, counted, differences};
use ctrnn_files::{
    FileError, Holder, RunFolder, RunJson, RunLock, RunState, TensorFile, atomic, digest,
    host_name, refuse_if_held,
};
use ctrnn_model::{CtrnnModule, RecurrenceBackend};
use ctrnn_train::{
    Ending, Observer, StopRequest, TrainError, Trainer, ValidationSet, check_metrics,
};
use serde_json::json;

use crate::RunError;
use crate::checkpoint::{Checkpoint, CheckpointWriter, WEIGHTS};
use crate::record::machine_history::note_changes;
use crate::record::manifest::{OPTIMIZER_BLAKE3, manifest, note_channels, note_stage};
use crate::record::model_files::{ModelFiles, weight_metadata, write_model};
use crate::record::result::{remove_result, write_result};
use crate::record::resumed::{changes_json, effects, parts_header, recorded};
use crate::record::run_log::{MetricsColumns, RunLog, cut_metrics, metrics_header, now};
use crate::record::run_trainer::{begin_stage, has_monitors, with_place};
use crate::record::tensorboard_log::TensorBoardLog;
use crate::weights::weight_file::safetensors_bytes;

/// User input to a run, kept byte for byte.
#[derive(Clone, Debug, Default)]
pub struct GivenConfig {
    /// Content of the configuration file.
    pub config: Vec<u8>,
    /// Overrides from the command line.
    pub overrides: Vec<String>,
}

impl GivenConfig {
    /// Returns the content of overrides.txt, with a line for each override.
    pub fn overrides_text(&self) -> String {
        self.overrides.iter().map(|o| format!("{o}\n")).collect()
    }
}

/// A run folder that this process may write to, and the state of its run.
pub struct RunRecord {
    folder: RunFolder,
    json: RunJson,
    _lock: Arc<RunLock>,
}

/// A resumed run: its record, and the checkpoint from which it continues.
pub struct Reopened {
    /// Record of the run.
    pub record: RunRecord,
    /// Newest undamaged checkpoint; `None` to start at step 0.
    pub checkpoint: Option<Checkpoint>,
    /// Notes for the user, such as on damaged checkpoints that were skipped.
    pub notes: Vec<String>,
}

impl RunRecord {
    /// Creates the folder of a new run that begins with `network`; it appears atomically. With `replace` an existing
    /// run is replaced.
    ///
    /// # Errors
    /// If the path exists and `replace` is not set, or the folder cannot be written.
    pub fn create<B: Backend>(
        path: &Path,
        run: &Run,
        given: &GivenConfig,
        device: &str,
        network: &CtrnnModule<B>,
        replace: bool,
    ) -> Result<Self, RunError> {
        let started = now();
        let json = RunJson {
            schema: RunJson::VERSIONS.current(),
            id: run_id(&given.config, &started),
            state: RunState::Created,
            exit_code: None,
            reason: None,
            created: started.clone(),
            started: None,
            ended: None,
            host: host_name(),
            pid: std::process::id(),
            restarts: 0,
        };
        let target = if replace && path.is_symlink() {
            path.canonicalize().map_err(FileError::io("read", path))? // replaces the target and keeps the link
        } else {
            path.to_owned()
        };
        let path = target.as_path();
        let initial = ModelFiles::of(run, network, 0);
        let optimizer = run
            .given
            .as_ref()
            .and_then(|given| given.optimizer.as_ref());
        let optimizer = optimizer.map(|state| safetensors_bytes(state, BTreeMap::new()));
        let of_optimizer = optimizer.as_deref().map(digest::blake3);
        let of_weights = digest::blake3(&initial.safetensors);
        let manifest = manifest(run, device, &of_weights, of_optimizer.as_deref())?;
        let resolved = run.kept().toml();
        let header = metrics_header(&columns(run, run.term_names()));
        let mut lock = None;
        let fill = |staged: &Path| -> Result<(), RunError> {
            let taken = RunLock::acquire(staged, &Holder::this_process(&started))?;
            lock = Some(Arc::new(taken));
            let folder = RunFolder::at(staged);
            atomic::write(&folder.config(), &given.config)?;
            atomic::write(&folder.overrides(), given.overrides_text().as_bytes())?;
            atomic::write(&folder.resolved(), resolved.as_bytes())?;
            atomic::write(&folder.manifest(), manifest.as_bytes())?;
            atomic::create_folder(&staged.join("initial"), |staged| initial.write(staged))?;
            if let Some(optimizer) = &optimizer {
                atomic::write(&folder.initial_optimizer(), optimizer)?;
            }
            atomic::write(&folder.metrics(), header.as_bytes())?;
            atomic::write(&folder.events(), b"")?;
            json.store(&folder)?;
            Ok(())
        };
        if replace {
            if path.exists() && !RunFolder::at(path).run_json().is_file() {
                return Err(FileError::AlreadyExists {
                    path: path.to_owned(),
                }
                .into());
            }
            let old = lock_existing(path)?;
            let is_that = || old.as_ref().map_or(Ok(()), |lock| lock.check(path));
            atomic::replace_folder(path, fill, is_that)?;
        } else {
            atomic::clean_staged_runs(path)?;
            if let Err(error) = atomic::create_folder(path, fill) {
                refuse_if_held(path)?; // another process created the run first, and trains it
                return Err(error);
            }
        }
        let lock = lock.expect("a folder was filled, and its lock taken");
        Ok(Self {
            folder: RunFolder::at(path).held_by(&lock),
            json,
            _lock: lock,
        })
    }

    /// Reopens an existing run; `run` is its present configuration, which results from `overrides`.
    ///
    /// Repairs anything that a killed process left unfinished: metrics.csv is truncated to the checkpoint, and a run
    /// without an undamaged checkpoint starts at step 0. Differences from the previous configuration are recorded in
    /// events.jsonl and manifest.json.
    ///
    /// # Errors
    /// If another process holds the run, its data have changed, or a file is missing, damaged or not writable.
    pub fn reopen(
        path: &Path,
        run: &Run,
        device: &str,
        overrides: &[String],
    ) -> Result<Reopened, RunError> {
        let folder = RunFolder::at(path);
        check_inputs(&folder, run)?;
        check_measurable(run)?; // before anything is written
        let lock = RunLock::acquire(path, &Holder::this_process(&now()))?;
        let lock = Arc::new(lock);
        let folder = folder.held_by(&lock);
        folder.check_held()?; // before leftovers of it are removed
        check_model_folder(&folder)?;
        let (before, asked) = (recorded(&folder)?, run.table_in(&folder));
        check_resume(&before, &asked, path)?;
        let changed = differences(&before, &asked);
        let mut json = RunJson::load(&folder.run_json())?;
        folder.clean_leftovers()?;
        let (checkpoint, mut notes) = newest_checkpoint(&folder)?;
        let reached = checkpoint
            .as_ref()
            .map(|checkpoint| checkpoint.counters.step);
        let step = reached.unwrap_or(0);
        // From here on the run is not what its last process left, whether or not this one comes to train.
        let was_killed = json.state == RunState::Running // it could not say so itself
            || json.exit_code.is_some_and(|code| code > 128);
        json.state = RunState::Stopped;
        json.store(&folder)?;
        cut_metrics(&folder, reached)?;
        remove_result(&folder)?;
        // What is later was not reached from here: figures would show another network than the curves.
        if let Some(later) = folder.remove_model_after(step)? {
            notes.push(format!(
                "removed model/, the network of step {later}: the run continues from step {step}"
            ));
        }
        note_channels(&folder, run)?;
        let (manifest, note) = note_changes(&folder, run, device, step, &changed)?;
        let resolved = parts_header(&manifest, run) + &run.kept_in(&folder).toml();
        folder.write(&folder.resolved(), resolved.as_bytes())?;
        notes.extend(note);
        notes.extend(effects(&changed, run, step));
        let mut log = RunLog::open(&folder, &columns(run, run.term_names()))?;
        if was_killed {
            log.event("killed", json!({ "pid": json.pid, "host": json.host }))?;
        }
        let changed = changes_json(&changed);
        log.event(
            "resumed",
            json!({ "from_step": step, "notes": notes, "overrides": overrides, "changed": changed }),
        )?;
        json.restarts += 1;
        json.pid = std::process::id();
        json.host = host_name();
        let record = Self {
            folder,
            json,
            _lock: lock,
        };
        Ok(Reopened {
            record,
            checkpoint,
            notes,
        })
    }

    /// Returns the run folder.
    pub fn folder(&self) -> &RunFolder {
        &self.folder
    }

    /// Trains, with log and checkpoints in the folder, and records the outcome.
    ///
    /// # Errors
    /// See [`Trainer::run`]; the folder records the error too.
    pub fn train<'r, B>(
        &mut self,
        run: &'r Run,
        trainer: &mut Trainer<'r, B>,
        observers: &mut [&mut dyn Observer],
        stop: StopRequest,
    ) -> Result<Ending, RunError>
    where
        B: AutodiffBackend + RecurrenceBackend,
        B::InnerBackend: RecurrenceBackend,
    {
        self.json.state = RunState::Running;
        self.json.started = Some(now());
        (self.json.ended, self.json.exit_code, self.json.reason) = (None, None, None);
        self.json.store(&self.folder)?;
        let mut ended = self.train_and_write_model(run, trainer, observers, stop);
        if let (Err(RunError::Train(TrainError::File(_))), Err(cause)) =
            (&ended, self.folder.check_held())
        {
            ended = Err(cause.into()); // the actual cause: a missing file, for instance, went missing with its folder
        }
        let written = self.write_ending(&ended);
        ended.and_then(|ending| written.map(|()| ending))
    }

    fn train_and_write_model<'r, B>(
        &self,
        run: &'r Run,
        trainer: &mut Trainer<'r, B>,
        observers: &mut [&mut dyn Observer],
        stop: StopRequest,
    ) -> Result<Ending, RunError>
    where
        B: AutodiffBackend + RecurrenceBackend,
        B::InnerBackend: RecurrenceBackend,
    {
        let mut log = RunLog::open(&self.folder, &columns(run, trainer.term_names()))?;
        log.event("started", json!({ "step": trainer.counters().step, "pid": self.json.pid, "host": self.json.host }))?;
        let mut checkpoints = CheckpointWriter::new(
            &self.folder,
            weight_metadata(run),
            run.config.checkpoint.keep_last,
        );
        let mut tensorboard = TensorBoardLog::new(&self.folder, trainer.counters().step);
        self.note_stage(run, trainer, &mut log)?;
        let ended = loop {
            // The checkpoint writer comes first, so that the log reports a checkpoint only once it exists.
            let mut all: Vec<&mut dyn Observer> =
                vec![&mut checkpoints, &mut log, &mut tensorboard];
            for observer in observers.iter_mut() {
                all.push(&mut **observer);
            }
            let ended = trainer.run_until(&mut all, stop);
            if ended.is_err() || !trainer.is_stage_over() {
                break ended;
            }
            let next = trainer.counters().stage.map_or(0, |stage| stage.index + 1);
            begin_stage(run, next, trainer)?;
            self.note_stage(run, trainer, &mut log)?;
        };
        let (name, detail) = match &ended {
            Ok(Ending::AllSteps) => ("done", json!({ "reason": "all steps" })),
            Ok(Ending::TargetMet { value }) => {
                ("done", json!({ "reason": "target met", "value": value }))
            }
            Ok(Ending::NoProgress { validations }) => (
                "done",
                json!({ "reason": "no progress", "validations": validations }),
            ),
            Ok(Ending::Converged) => ("done", json!({ "reason": "converged" })),
            Ok(Ending::Asked(reason)) => ("stopped", json!({ "reason": reason })),
            Err(error) => ("failed", json!({ "reason": error.to_string() })),
        };
        let logged = log.event(name, detail);
        if !matches!(ended, Ok(_) | Err(TrainError::TargetNotMet { .. })) {
            return Ok(ended?); // the first error is the cause, so it takes precedence over that of the log
        }
        logged?;
        let step = trainer.counters().step;
        write_model(&self.folder, run, trainer.network(), step)?;
        match &ended {
            Ok(Ending::Asked(_)) => {}
            _ => write_result(&self.folder, trainer.counters(), run)?,
        }
        Ok(ended?)
    }

    /// Records in manifest.json and events.jsonl that the present stage begins, unless the manifest shows it already.
    fn note_stage<B>(
        &self,
        run: &Run,
        trainer: &Trainer<B>,
        log: &mut RunLog,
    ) -> Result<(), RunError>
    where
        B: AutodiffBackend + RecurrenceBackend,
        B::InnerBackend: RecurrenceBackend,
    {
        let Some(progress) = trainer.counters().stage else {
            return Ok(());
        };
        let (index, from_step) = (progress.index, progress.first_step);
        let stage = json!({ "name": run.stages[index].settings.name, "from_step": from_step });
        if note_stage(&self.folder, index, &stage)? {
            log.event("stage", stage)?;
        }
        Ok(())
    }

    /// Records the outcome of the run in `RUN.json`.
    fn write_ending(&mut self, ended: &Result<Ending, RunError>) -> Result<(), RunError> {
        let (state, code, reason) = match ended {
            Ok(Ending::AllSteps) => (RunState::Done, 0, None),
            Ok(Ending::TargetMet { value }) => {
                (RunState::Done, 0, Some(format!("target met: {value}")))
            }
            Ok(Ending::NoProgress { validations }) => {
                let reason = format!("no progress for {}", counted(*validations, "validation"));
                (RunState::Done, 0, Some(reason))
            }
            Ok(Ending::Converged) => (RunState::Done, 0, Some("converged".to_owned())),
            Ok(Ending::Asked(reason)) => (
                RunState::Stopped,
                Ending::STOPPED_EXIT_CODE,
                Some(reason.clone()),
            ),
            Err(error) => (RunState::Failed, error.exit_code(), Some(error.to_string())),
        };
        self.json.state = state;
        self.json.exit_code = Some(code);
        self.json.reason = reason;
        self.json.ended = Some(now());
        Ok(self.json.store(&self.folder)?)
    }
}

/// Records in `RUN.json` that this process, which trains the run, is ending now, at any point of its work.
///
/// # Errors
/// If `RUN.json` cannot be read or written, or the folder no longer belongs to the run.
pub fn note_abrupt_end(run: &RunFolder, exit_code: u8, reason: &str) -> Result<(), FileError> {
    run.check_held()?;
    let mut json = RunJson::load(&run.run_json())?;
    if json.state != RunState::Running {
        return Ok(()); // no step was made, or the end is already recorded
    }
    json.state = RunState::Stopped;
    json.exit_code = Some(exit_code);
    json.reason = Some(reason.to_owned());
    json.ended = Some(now());
    json.store(run)
}

/// Returns the columns of metrics.csv that depend on the run, given the `terms` of the loss in one of its stages.
pub(crate) fn columns(run: &Run, terms: Vec<String>) -> MetricsColumns {
    let mut columns = MetricsColumns {
        terms,
        tasks: Vec::new(),
        has_stages: !run.stages.is_empty(),
        has_monitors: has_monitors(run),
    };
    for part in std::iter::once(run).chain(run.stages.iter().map(|stage| &stage.run)) {
        add_new(&mut columns.terms, part.term_names());
        add_new(&mut columns.tasks, part.task.mixed_tasks());
        for set in &part.set_tasks {
            add_new(&mut columns.tasks, set.task.mixed_tasks());
        }
    }
    columns
}

fn add_new(names: &mut Vec<String>, further: Vec<String>) {
    for name in further {
        if !names.contains(&name) {
            names.push(name);
        }
    }
}

/// Records a panic during training in the run folder.
impl Drop for RunRecord {
    fn drop(&mut self) {
        if self.json.state == RunState::Running {
            self.json.state = RunState::Failed;
            self.json.exit_code = Some(1);
            self.json.reason = Some("a bug in the program".to_owned());
            self.json.ended = Some(now());
            let _nobody_is_left_to_tell = self.json.store(&self.folder);
        }
    }
}

/// Checks that the metrics of a run can be measured: a run that keeps another one could not be resumed any more.
fn check_measurable(run: &Run) -> Result<(), RunError> {
    for run in std::iter::once(run).chain(run.stages.iter().map(|stage| &stage.run)) {
        let settings = run.settings();
        let sets = ValidationSet::all(&run.tasks(), &settings)?;
        check_metrics(&settings, &sets).map_err(|error| with_place(run, error))?;
    }
    Ok(())
}

/// Checks that `model/`, which is replaced at the end, holds nothing but the run's own files.
fn check_model_folder(folder: &RunFolder) -> Result<(), FileError> {
    let foreign = folder.foreign_in_states()?;
    let foreign = foreign.iter().filter(|name| name.starts_with("model"));
    let names: Vec<String> = foreign.map(|name| name.display().to_string()).collect();
    if names.is_empty() {
        return Ok(());
    }
    let path = folder.root().to_owned();
    Err(FileError::Foreign { path, names })
}

/// Reads the newest whole checkpoint of a run, if it has one, and removes damaged ones that are newer; a note names each.
///
/// # Errors
/// If there are checkpoints and none is whole, or if there are none but `model/` shows that there were.
fn newest_checkpoint(folder: &RunFolder) -> Result<(Option<Checkpoint>, Vec<String>), RunError> {
    let newest = folder.newest_whole_checkpoint()?;
    if let (None, Some((_, error))) = (newest.step, newest.passed_over.first()) {
        return Err(RunError::Data {
            path: folder.checkpoints(),
            reason: format!("holds no whole checkpoint; the newest: {error}"),
        });
    }
    let Some(step) = newest.step else {
        return match folder.model_step() {
            Ok(step @ 1..) => Err(RunError::LostCheckpoints {
                run: folder.root().to_owned(),
                step,
            }),
            _ => Ok((None, Vec::new())),
        };
    };
    let mut notes = Vec::new();
    for (step, error) in &newest.passed_over {
        notes.push(format!(
            "passed over and removed the damaged checkpoint of step {step}: {error}"
        ));
        folder.remove(&folder.checkpoint(*step))?; // else pruning would count it among the newest
    }
    let checkpoint = Checkpoint::read(&folder.checkpoint(step))?;
    // A process may have been killed between a checkpoint and its pointer.
    folder.point_last(step)?;
    if let Some(best) = checkpoint.counters.best {
        folder.point_best(best.step)?;
    }
    Ok((Some(checkpoint), notes))
}

/// Checks that the files of trials, noise and connections that a run reads are those that it was begun with.
///
/// # Errors
/// Names a file that is missing or has a different digest.
pub fn check_inputs(folder: &RunFolder, run: &Run) -> Result<(), RunError> {
    check_files(folder, run, &run.data_files())
}

/// Checks that these files have not changed since the run began; their paths may differ.
///
/// # Errors
/// Names a file that is missing or has a different digest.
pub fn check_files(folder: &RunFolder, run: &Run, files: &[PathBuf]) -> Result<(), RunError> {
    let manifest: serde_json::Value = ctrnn_files::json::read(&folder.manifest())?;
    let inputs = manifest["inputs"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let path_of = |input: &serde_json::Value| input["path"].as_str().map(PathBuf::from);
    let own = folder.initial_weights().canonicalize().ok();
    let named = inputs.iter().map(path_of).chain([own]);
    let digests = inputs.iter().chain([&manifest["initial"]]);
    for (named, promised) in named.zip(digests.map(|input| input["blake3"].as_str())) {
        let (Some(named), Some(promised)) = (named, promised) else {
            continue;
        };
        let moved = run.input_files.iter().find(|file| file.named == named);
        let path = moved.map_or(named.as_path(), |file| &file.path);
        let is_read = files.iter().any(|file| file == path);
        if is_read && digest::blake3_file(path)? != promised {
            return Err(RunError::Data {
                path: path.to_owned(),
                reason: "is not the file that this run was trained on: its digest differs"
                    .to_owned(),
            });
        }
    }
    Ok(())
}

/// Locks a run that is about to be replaced, so that no process trains it meanwhile.
fn lock_existing(path: &Path) -> Result<Option<RunLock>, FileError> {
    if path.is_dir() {
        RunLock::acquire(path, &Holder::this_process(&now())).map(Some)
    } else {
        Ok(None)
    }
}

/// Returns `run` with the initial weights that this folder keeps.
///
/// # Errors
/// If its manifest is damaged.
pub fn begun_in(mut run: Run, folder: &RunFolder) -> Result<Run, RunError> {
    let manifest: serde_json::Value = match ctrnn_files::json::read(&folder.manifest()) {
        Err(FileError::Missing { .. }) => return Ok(run), // reported by a command that needs it
        manifest => manifest?,
    };
    let promised = manifest["initial"]["blake3"].as_str();
    run.initial = promised.map(|blake3| InitialWeights {
        path: folder.initial_weights(),
        blake3: blake3.to_owned(),
        optimizer_blake3: manifest["initial"][OPTIMIZER_BLAKE3]
            .as_str()
            .map(str::to_owned),
    });
    Ok(run)
}

/// Returns the identifier of a run, which does not depend on the location of its folder.
fn run_id(config: &[u8], created: &str) -> String {
    let seed = format!("{created} {} {}", host_name(), std::process::id());
    let digest = digest::blake3(&[config, seed.as_bytes()].concat());
    digest[..16].to_owned()
}

/// Returns the inputs and outputs of the network of a run; their numbers come from the first readable weight file.
pub fn trained_channels(folder: &RunFolder) -> Option<TrainedChannels> {
    let newest = || {
        let step = folder.newest_whole_checkpoint().ok()?.step?;
        TensorFile::read(&folder.checkpoint(step).join(WEIGHTS)).ok()
    };
    let weights = TensorFile::read(&folder.model_weights())
        .ok()
        .or_else(newest)
        .or_else(|| TensorFile::read(&folder.initial_weights()).ok())?;
    let size = |name: &str, side: usize| weights.tensors.get(name)?.shape().get(side).copied();
    let n_outputs = size("output.weight", 0)?;
    let choices = manifest::recorded_choices(folder);
    Some(TrainedChannels {
        n_inputs: size("input.weight", 1)?,
        n_outputs,
        choices: choices.filter(|choices| choices.iter().all(|&k| k < n_outputs)),
    })
}
