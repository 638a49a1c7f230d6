//! Trials from files that a run was trained on.

use std::path::{Path, PathBuf};

use ctrnn_files::read_arrays;
use ctrnn_tasks::{Programs, Trained};

use crate::conformance::{self, InputFile};
use crate::document::Node;

/// Inputs and outputs of a network that was trained on trials from files.
#[derive(Clone, Debug)]
pub struct TrainedChannels {
    /// Number of inputs.
    pub n_inputs: usize,
    /// Number of outputs.
    pub n_outputs: usize,
    /// Indices of the outputs that were choices; `None` if not recorded.
    pub choices: Option<Vec<usize>>,
}

/// The trial files on which a run was trained, as recorded in its resolved configuration.
pub(super) struct TrainedOn {
    /// The table of the task, with the present paths of the files.
    table: toml::Table,
    /// The original paths of the files.
    pub(super) named: Vec<PathBuf>,
    channels: TrainedChannels,
}

impl TrainedOn {
    pub(super) fn recorded(
        document: &Node,
        data_root: Option<&Path>,
        channels: &dyn Fn() -> Option<TrainedChannels>,
    ) -> Option<Self> {
        let (_, task) = document.get("task")?.entries().next()?;
        let mut table = task.to_toml().as_table()?.clone();
        let named = files_of(&table)?;
        if let Some(root) = data_root {
            let path = |path: &PathBuf| conformance::re_pointed(path, root).display().to_string();
            let files: Vec<String> = named.iter().map(path).collect();
            table.insert("files".to_owned(), files.into());
        }
        Some(Self {
            table,
            named,
            channels: channels()?,
        })
    }

    /// Describes the training data to a task whose table is now `table`, with `files` in their present places.
    pub(super) fn now(&self, table: &toml::Table, files: &[InputFile]) -> Trained<'_> {
        let named = |path: PathBuf| {
            let file = files.iter().find(|file| file.path == path);
            file.map_or(path, |file| file.named.clone())
        };
        let now = files_of(table).unwrap_or_default().into_iter().map(named);
        Trained {
            n_inputs: self.channels.n_inputs,
            n_outputs: self.channels.n_outputs,
            choices: self.channels.choices.as_deref(),
            table: &self.table,
            is_test: !now.eq(self.named.iter().cloned()),
            is_new: false,
        }
    }
}

/// Describes the network of a task with trials from files whose weights are given: by an import, whose programs are
/// never started, or by a file of initial weights. `table` is that of the task.
pub(super) fn given_network<'a>(
    table: &'a toml::Table,
    programs: Programs,
    init_file: Option<&Path>,
) -> Option<Trained<'a>> {
    files_of(table)?;
    let (n_inputs, n_outputs, is_new) = match (programs, init_file) {
        (
            Programs::Never {
                layout: Some(layout),
            },
            _,
        ) => (layout.inputs.len(), layout.outputs.len(), false),
        (_, Some(file)) => {
            let weights = read_arrays(file).ok()?; // reported where the weights are needed
            let size = |name: &str, side: usize| weights.get(name)?.shape().get(side).copied();
            (size("input.weight", 1)?, size("output.weight", 0)?, true)
        }
        _ => return None,
    };
    Some(Trained {
        n_inputs,
        n_outputs,
        choices: None,
        table,
        is_test: false,
        is_new,
    })
}

/// Returns the trial files named in the table of a task.
fn files_of(table: &toml::Table) -> Option<Vec<PathBuf>> {
    let paths = table.get("files")?.as_array()?.iter();
    paths.map(|path| path.as_str().map(PathBuf::from)).collect()
}
