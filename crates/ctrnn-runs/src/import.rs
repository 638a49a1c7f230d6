//! Import of networks trained by other programs: their weights become a finished run of 0 steps.
//!
//! Each format has its own file, which converts the conventions of that program to ours: weights `[post, pre]`, a
//! single recurrent bias, and a configuration with form, activation and time constants. Values that a file lacks are
//! assumed and listed in [`Imported::notes`]; networks that this crate cannot represent are refused.

mod arrays;
mod imported;
mod nn4n;
mod own;
mod psychrnn;
mod torch_rnn;

use std::path::Path;

use ctrnn_config::{Run, overridden};
use ctrnn_files::{StateDict, is_torch_file, npz, read_state_dict};
use ctrnn_model::{CtrnnModule, TrainingBackend, Weights};
use ctrnn_tasks::Layout;
use ctrnn_train::Trainer;
use serde_json::json;

use crate::RunError;
use crate::record::manifest::unnamed_layout;
use crate::record::run_log::RunLog;
use crate::record::run_trainer::{states, with_place};
use crate::record::{GivenConfig, RunRecord, columns};
use crate::weights::weight_file::tensors_of;

pub use imported::{Imported, Note};

/// Program or format from which a weight file originates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// File of `torch.save` with the state_dict of a `torch.nn.RNN`, alone or with a linear readout.
    Torch,
    /// File of `torch.save` with the state_dict of nn4n's `CTRNN`, version 1.1.1 or 1.2.0.
    Nn4n,
    /// File of PsychRNN's `Basic.save`.
    PsychRnn,
    /// File of `np.savez` with arrays named as in this crate, or of `train-ctrnn export --to npz`.
    Npz,
}

impl Imported {
    /// Returns the notes that apply to a run of this network: values set on the command line were not assumed.
    pub fn notes(&self, run: &Run) -> Vec<String> {
        let holds = |note: &&Note| {
            note.key
                .is_none_or(|key| run.origin(key) == ctrnn_config::Origin::File)
        };
        let notes = self.notes.iter().filter(holds);
        let weights = tensors_of(self.weights.clone());
        let (_, of_states) = states(run, weights);
        let notes = notes.map(|note| note.text.clone());
        notes.chain(of_states).collect()
    }
}

impl Imported {
    /// Returns the unnamed inputs and outputs implied by the shapes of the weights, or `None` if the weights are
    /// missing.
    pub fn layout(&self) -> Option<Layout> {
        let size = |name: &str, side: usize| {
            let shape = self.weights.get(name)?.shape();
            shape.get(side).copied()
        };
        let loss = self.config.get("train").and_then(|train| train.get("loss"));
        let loss = loss.and_then(|loss| loss.get("name"));
        unnamed_layout(
            size("input.weight", 1)?,
            size("output.weight", 0)?,
            loss.and_then(toml::Value::as_str),
        )
    }
}

impl Origin {
    /// Returns the name used on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Torch => "torch",
            Self::Nn4n => "nn4n",
            Self::PsychRnn => "psychrnn",
            Self::Npz => "npz",
        }
    }

    /// Reads a file. In a file of `torch.save`, `entry` names the state_dict, unless there is only one. `overrides`
    /// supply values that the file lacks: if the file fixes alpha, time constants follow the time step.
    ///
    /// # Errors
    /// If the file is missing, damaged, of another program, or holds a network that cannot be represented here.
    pub fn read(
        self,
        path: &Path,
        entry: Option<&str>,
        overrides: &[String],
    ) -> Result<Imported, RunError> {
        let refuse = |reason: String| RunError::Data {
            path: path.to_owned(),
            reason,
        };
        self.check_container(path, entry).map_err(refuse)?;
        let mut taken = None;
        let mut tensors = || -> Result<_, RunError> {
            let StateDict { entry, tensors } = read_state_dict(path, entry)?;
            let note = format!("the weights are those of its entry {entry:?}");
            taken = (!entry.is_empty()).then(|| Note::new(note));
            Ok(arrays::Arrays::new(tensors))
        };
        let dt_ms = overridden(overrides, "time.dt_ms");
        let dt_ms = dt_ms.and_then(|dt| dt.as_float().or(dt.as_integer().map(|dt| dt as f64)));
        let network = match self {
            Self::Torch => torch_rnn::convert(tensors()?, dt_ms),
            Self::Nn4n => nn4n::convert(tensors()?, dt_ms),
            Self::PsychRnn => psychrnn::convert(psychrnn::read(path)?),
            Self::Npz => own::convert(arrays::Arrays::new(npz::read(path)?)),
        };
        let mut network = network.map_err(refuse)?;
        if let Some(note) = taken {
            network.notes.insert(0, note);
        }
        Ok(network)
    }

    /// Checks that a file is of the kind that the program writes: of `torch.save` or npz.
    fn check_container(self, path: &Path, entry: Option<&str>) -> Result<(), String> {
        let is_of_torch = matches!(self, Self::Torch | Self::Nn4n);
        let reason = if !is_of_torch && is_torch_file(path) {
            "is a file of torch.save: import it with --from torch or --from nn4n"
        } else if is_of_torch && !is_torch_file(path) && npz::NpzReader::open_foreign(path).is_ok()
        {
            "is an npz file: import it with --from npz or --from psychrnn"
        } else if !is_of_torch && entry.is_some() {
            "is an npz file, which has no entries: --entry is for files of torch.save"
        } else {
            return Ok(());
        };
        Err(reason.to_owned())
    }
}

/// Writes an imported network as a finished run of 0 steps, which is the number that its configuration asks for.
///
/// # Errors
/// If the weights do not fit the configuration, or the folder exists or cannot be written.
pub fn record_import<B: TrainingBackend>(
    path: &Path,
    run: &Run,
    given: &GivenConfig,
    imported: &Imported,
    source: &serde_json::Value,
    device: (&str, &B::Device),
    replace: bool,
) -> Result<(), RunError> {
    let (device_name, device) = device;
    let weights: Weights = tensors_of(imported.weights.clone());
    let (weights, _) = states(run, weights);
    let network = CtrnnModule::<B>::from_weights(&run.model, &weights, device)?;
    let mut settings = run.settings();
    if run.task.unstarted_program().is_some() {
        settings.validate.trials = 0; // no trials can be made to validate the network
    }
    let trainer = Trainer::new(network, run.task.as_ref(), settings);
    let mut trainer = trainer.map_err(|error| with_place(run, error))?;
    let mut record = RunRecord::create(path, run, given, device_name, trainer.network(), replace)?;
    let detail = json!({ "source": source, "assumed": imported.notes(run) });
    let columns = columns(run, trainer.term_names());
    RunLog::open(record.folder(), &columns)?.event("imported", detail)?;
    record.train(run, &mut trainer, &mut [], &|| None)?;
    Ok(())
}
