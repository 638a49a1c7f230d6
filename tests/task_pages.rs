//! Tests that `docs/tasks.md` shows every task, that every task can be trained on, and that a custom task takes 40 lines.

use std::fs;
use std::path::{Path, PathBuf};

use burn::backend::{Autodiff, NdArray};
use ctrnn::analysis::{example_trials, trial_figure};
use ctrnn::model::CtrnnConfig;
use ctrnn::tasks::{BuildContext, Clock, Programs, Task, TaskEntry};
use ctrnn::train::{TrainSettings, Trainer};

/// Maximum size of a committed picture.
const MAX_BYTES: u64 = 80_000;

const INTRODUCTION: &str = "# Tasks

Every task with three of its trials: inputs, targets, and the mask, which is dark where a time step counts in the loss. Shaded bands are
epochs. `train-ctrnn tasks describe NAME` prints all keys with their defaults, and `train-ctrnn tasks preview NAME -o fig.svg` draws
such a picture. [Trainings of tasks](task_trainings.md) lists accuracies, numbers of steps and times of trained networks. All of this works for your own tasks too,
written as a [class in Python](../examples/my_task.py) or as [a type in Rust](../examples/03_your_own_task.rs).

`just task-pages` generates this page and its pictures.

";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_path_buf()
}

fn clock() -> Clock {
    Clock::new(20.0).expect("20 ms is a time step")
}

/// A task with its defaults; none if it needs options.
fn built(entry: &TaskEntry) -> Option<Box<dyn Task>> {
    let registry = ctrnn::runs::registry();
    let context = BuildContext {
        clock: clock(),
        seed: 0,
        base_dir: Path::new("."),
        registry: &registry,
        programs: Programs::NEVER,
        trained: None,
    };
    entry.build(Default::default(), &context).ok()
}

/// A picture with the defaults of a task; none if it has no trials without options.
fn picture(entry: &TaskEntry) -> Option<String> {
    let task = built(entry)?;
    let batch = example_trials(&*task, clock(), 0, 3).ok()?;
    Some(trial_figure("", &*task, &batch, clock()).to_svg())
}

fn picture_path(name: &str) -> String {
    format!("docs/tasks/{name}.svg")
}

/// The text of a task up to its options, which `tasks describe` has.
fn section(entry: &TaskEntry) -> String {
    let text = entry
        .description()
        .split("\n\n## ")
        .next()
        .unwrap_or_default();
    let name = &entry.name;
    let picture = match picture(entry) {
        Some(_) => format!("![Three trials of {name}](tasks/{name}.svg)\n\n"),
        None => String::new(),
    };
    format!("## {name}\n\n{picture}{text}\n\n")
}

fn page() -> String {
    let registry = ctrnn::runs::registry();
    let line = |entry: &TaskEntry| format!("* [{0}](#{0}): {1}\n", entry.name, entry.summary());
    let contents: String = registry.entries().map(line).collect();
    let sections: String = registry.entries().map(section).collect();
    format!("{INTRODUCTION}{contents}\n{}\n", sections.trim_end())
}

#[test]
fn the_page_of_tasks_is_up_to_date() {
    let path = root().join("docs/tasks.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::create_dir_all(root().join("docs/tasks")).unwrap();
        for entry in ctrnn::runs::registry().entries() {
            if let Some(svg) = picture(entry) {
                fs::write(root().join(picture_path(&entry.name)), svg).unwrap();
            }
        }
        fs::write(&path, page()).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == page(),
        "docs/tasks.md is not what the tasks say: run `just task-pages`"
    );
    for entry in ctrnn::runs::registry().entries() {
        if picture(entry).is_some() {
            assert_small(&root().join(picture_path(&entry.name)));
        }
    }
}

#[track_caller]
fn assert_small(picture: &Path) {
    let size = fs::metadata(picture).map_or(u64::MAX, |file| file.len());
    assert!(
        size < MAX_BYTES,
        "{} is missing or too large: run `just task-pages`",
        picture.display()
    );
}

/// Two steps of a tiny network on every task: what a task makes can be trained on.
#[test]
fn every_task_can_be_trained_on() {
    for entry in ctrnn::runs::registry().entries() {
        let Some(task) = built(entry) else {
            continue; // it needs options
        };
        let layout = task.layout();
        let config = CtrnnConfig::new(layout.inputs.len(), 8, layout.outputs.len());
        let network = config.init(1, &Default::default()).unwrap();
        let mut settings = TrainSettings::default();
        settings.train.steps = 2;
        settings.train.batch_size = 4;
        settings.validate.trials = 4;
        let mut trainer = Trainer::<Autodiff<NdArray>>::new(network, &*task, settings).unwrap();
        let ending = trainer.run();
        assert!(ending.is_ok(), "{}: {ending:?}", entry.name);
    }
}

/// Lines of the task in the example, without comments and blank ones.
#[test]
fn a_task_of_ones_own_takes_40_lines() {
    let example = fs::read_to_string(root().join("examples/03_your_own_task.rs")).unwrap();
    let start = example.find("#[derive").expect("the task begins");
    let end = example.find("fn main()").expect("the task ends");
    let is_code = |line: &&str| !line.trim().is_empty() && !line.trim().starts_with("//");
    let lines = example[start..end].lines().filter(is_code).count();
    assert!(lines <= 40, "{lines} lines");
}
