//! Trials from files that a run was trained on.

use std::path::{Path, PathBuf};

use ctrnn_tasks::Trained;

use super::TrainedChannels;
use crate::conformance::{self, InputFile};
use crate::document::Node;

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
        }
    }
}

/// Returns the trial files named in the table of a task.
fn files_of(table: &toml::Table) -> Option<Vec<PathBuf>> {
    let paths = table.get("files")?.as_array()?.iter();
    paths.map(|path| path.as_str().map(PathBuf::from)).collect()
}
