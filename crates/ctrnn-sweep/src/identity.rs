//! Identity of a trial: the digest of its resolved configuration and of the files that it reads.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Mutex;

use ctrnn_config::Values;
use ctrnn_files::digest;
use serde_json::Value as Json;

/// Number of hexadecimal digits of a trial's name.
const DIGITS: usize = 12;

/// Digests of input files, each read once.
#[derive(Default)]
pub(crate) struct FileDigests(Mutex<BTreeMap<PathBuf, String>>);

impl FileDigests {
    /// Returns the digest of a file; an unreadable one has none, which the run itself reports.
    fn of(&self, path: &PathBuf) -> Option<String> {
        let mut known = self.0.lock().expect("no thread panics while it holds this");
        if let Some(digest) = known.get(path) {
            return Some(digest.clone());
        }
        let digest = digest::blake3_file(path).ok()?;
        known.insert(path.clone(), digest.clone());
        Some(digest)
    }
}

/// The part of a configuration that decides the result of a trial, apart from its seed.
pub(crate) struct Resolved {
    config: Json,
    seed: u64,
    files: Vec<Option<String>>,
}

impl Resolved {
    /// Takes a configuration without its device. Input files count by their content and name, wherever they are.
    pub(crate) fn of(values: &Values, digests: &FileDigests) -> Self {
        let mut table = values.resolved().table();
        table.remove("device");
        let mut config = serde_json::to_value(table).expect("TOML fits JSON");
        let files = match values {
            Values::Run(run) => run.input_files.as_slice(),
            Values::Undecided { .. } => &[],
        };
        for file in files {
            let name = file.path.file_name().unwrap_or_default().to_string_lossy();
            replace(&mut config, &file.path.to_string_lossy(), &name);
        }
        Self {
            seed: values.resolved().seed,
            files: files.iter().map(|file| digests.of(&file.path)).collect(),
            config,
        }
    }

    /// Returns the name of the trial with a seed; that of the configuration by default.
    pub(crate) fn name(&mut self, seed: Option<i64>) -> String {
        self.config["seed"] = seed.map_or(Json::from(self.seed), Json::from);
        let content = serde_json::json!([self.config, self.files]).to_string();
        digest::blake3(content.as_bytes())[..DIGITS].to_owned()
    }
}

fn replace(value: &mut Json, from: &str, to: &str) {
    match value {
        Json::String(text) if text == from => to.clone_into(text),
        Json::Array(items) => items.iter_mut().for_each(|item| replace(item, from, to)),
        Json::Object(fields) => fields
            .values_mut()
            .for_each(|field| replace(field, from, to)),
        _ => {}
    }
}
