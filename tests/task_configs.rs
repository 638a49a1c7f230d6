//! Every built-in task has a configuration in `configs/tasks`, and it trains.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use ctrnn_tasks::Registry;

use crate::project::Project;

/// Two steps of a tiny network.
const SHORT: [&str; 6] = [
    "train.steps=2",
    "train.batch_size=4",
    "train.stop=none",
    "model.n_units=8",
    "validate.trials=8",
    "validate.every_steps=2",
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("configs/tasks")
}

/// The names of the files, which are those of the tasks.
fn names() -> BTreeSet<String> {
    let files = fs::read_dir(folder()).expect("the folder of configurations");
    let paths = files.map(|file| file.expect("a file").path());
    let tables = paths.filter(|path| path.extension().is_some_and(|end| end == "toml"));
    let stem = |path: PathBuf| {
        path.file_stem()
            .expect("a name")
            .to_string_lossy()
            .into_owned()
    };
    tables.map(stem).collect()
}

#[test]
fn every_task_has_a_configuration() {
    let registry = Registry::built_in();
    assert!(registry.names().eq(names().iter().map(String::as_str)));
}

#[test]
fn the_configuration_of_every_task_trains() {
    let project = Project::new();
    for name in names() {
        let path = folder().join(format!("{name}.toml")).display().to_string();
        let arguments = [&["train", &path, "--run-dir", &name][..], &SHORT].concat();
        project.run(&arguments).exits(0);
        let metrics = fs::read_to_string(project.path(&name).join("metrics.csv"));
        let metrics = metrics.expect("the metrics of a run");
        let validated = metrics
            .lines()
            .any(|row| row.starts_with("2,") && row.contains(",val,"));
        assert!(validated, "{name}: {metrics}");
    }
}
