//! A folder of its own for each test, with a copy of `configs/smoke.toml`, in which the program is run.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use ctrnn_files::{Array, npz};
use tempfile::TempDir;

/// The committed configuration that the tests vary.
pub const SMOKE: &str = include_str!("../configs/smoke.toml");

/// Makes a run of `smoke.toml` last a few milliseconds, with something to see at every fifth step.
pub const TINY: [&str; 6] = [
    "model.n_units=8",
    "train.batch_size=4",
    "train.log_every=1",
    "validate.trials=4",
    "validate.every_steps=5",
    "checkpoint.every_steps=5",
];

/// Both noises, so that what depends on the stream of random numbers shows it.
pub const NOISE: &str = "model.noise={preactivation=0.1,postactivation=0.1,convention=\"song\"}";

/// A folder with `smoke.toml` in it, removed at the end of the test.
pub struct Project {
    folder: TempDir,
    /// The home of a user who has agreed to nothing.
    home: TempDir,
}

/// What the program answered.
#[derive(Debug)]
pub struct Answer {
    /// The exit code; none after a signal.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Answer {
    /// Asserts the exit code.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }

    /// Asserts that stderr says all of `parts`.
    #[track_caller]
    pub fn says(self, parts: &[&str]) -> Self {
        for part in parts {
            assert!(self.stderr.contains(part), "{part:?} is not in {self:#?}");
        }
        self
    }

    /// Stdout as one JSON value.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }
}

/// Whether these tests were started with a signal ignored, as in the background of a script: the program then ignores it
/// too. Linux tells; elsewhere it is assumed that they were not.
pub fn is_ignored(signal: &str) -> bool {
    let number = match signal {
        "HUP" => 1,
        "INT" => 2,
        "USR1" => 10,
        "USR2" => 12,
        "TERM" => 15,
        other => panic!("{other} has no number here"),
    };
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    ignored.is_some_and(|mask| mask >> (number - 1) & 1 == 1)
}

impl From<Output> for Answer {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("the program writes UTF-8");
        Self {
            code: output.status.code(),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }
}

/// The peak of the resident memory of a process, which runs to its end.
#[cfg(target_os = "linux")]
pub fn peak_kilobytes(command: &mut Command) -> u64 {
    let peak = |id: u32| -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
        let mut lines = status.lines();
        let line = lines.find_map(|line| line.strip_prefix("VmHWM:"))?;
        line.split_whitespace().next()?.parse().ok()
    };
    let silent = command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = silent.spawn().expect("the program starts");
    let mut most = 0;
    while child.try_wait().expect("the child is ours").is_none() {
        most = most.max(peak(child.id()).unwrap_or(0));
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    most
}

impl Project {
    pub fn new() -> Self {
        let project = Self::in_folder(tempfile::tempdir().expect("a temporary folder"));
        project.write("smoke.toml", SMOKE);
        project
    }

    /// The same in memory, where there is such a file system: for tests that write hundreds of checkpoints.
    pub fn in_memory() -> Self {
        let memory = Path::new("/dev/shm");
        if !memory.is_dir() {
            return Self::new();
        }
        let project = Self::in_folder(tempfile::tempdir_in(memory).expect("a temporary folder"));
        project.write("smoke.toml", SMOKE);
        project
    }

    fn in_folder(folder: TempDir) -> Self {
        let home = tempfile::tempdir().expect("a temporary folder");
        Self { folder, home }
    }

    /// The home of the user who runs the program.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path(name), content).expect("the folder is writable");
    }

    #[track_caller]
    pub fn bytes(&self, name: impl AsRef<Path>) -> Vec<u8> {
        let path = self.path(name);
        fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    #[track_caller]
    pub fn text(&self, name: impl AsRef<Path>) -> String {
        String::from_utf8(self.bytes(name)).expect("a text file")
    }

    #[track_caller]
    pub fn json(&self, name: impl AsRef<Path>) -> serde_json::Value {
        serde_json::from_str(&self.text(name)).expect("a JSON file")
    }

    #[track_caller]
    pub fn arrays(&self, name: &str) -> BTreeMap<String, Array> {
        npz::read(&self.path(name)).expect("an npz file")
    }

    pub fn write_arrays<const N: usize>(&self, name: &str, arrays: [(&str, Array); N]) {
        let arrays = arrays.map(|(name, array)| (name.to_owned(), array)).into();
        npz::write(&self.path(name), &arrays).expect("the folder is writable");
    }

    /// Everything below a folder, by its path in it; a folder has no content.
    pub fn tree(&self, folder: &str) -> BTreeMap<String, Option<Vec<u8>>> {
        let root = self.path(folder);
        let (mut tree, mut pending) = (BTreeMap::new(), vec![root.clone()]);
        while let Some(folder) = pending.pop() {
            for entry in fs::read_dir(&folder).expect("a folder") {
                let path = entry.expect("an entry").path();
                let name = path.strip_prefix(&root).expect("below the root");
                let name = name.to_string_lossy().replace('\\', "/");
                tree.insert(
                    name,
                    path.is_file().then(|| fs::read(&path).expect("a file")),
                );
                pending.extend(path.is_dir().then_some(path));
            }
        }
        tree
    }

    /// The program, in this folder: that of the tests, or another build of it that the environment names.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let program = std::env::var_os("CTRNN_PROGRAM");
        let program = program.unwrap_or_else(|| env!("CARGO_BIN_EXE_train-ctrnn").into());
        let mut command = Command::new(program);
        command.current_dir(self.folder.path()).args(arguments);
        command.env("HOME", self.home.path());
        for variable in [
            "COLUMNS",
            "NO_COLOR",
            "CLICOLOR_FORCE",
            "SLURM_JOB_ID",
            "SLURM_CPUS_PER_TASK",
            "SLURM_RESTART_COUNT",
            "RAYON_NUM_THREADS",
            "CTRNN_DATA_ROOT",
            "XDG_STATE_HOME",
        ] {
            command.env_remove(variable);
        }
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Answer {
        let output = self
            .command(arguments)
            .output()
            .expect("the program starts");
        output.into()
    }

    /// The arguments that train `smoke.toml`, made tiny, into a run folder.
    pub fn training<'a>(run: &'a str, arguments: &[&'a str]) -> Vec<&'a str> {
        [
            &["train", "smoke.toml", "--run-dir", run],
            &TINY[..],
            arguments,
        ]
        .concat()
    }

    /// Trains `smoke.toml`, made tiny.
    pub fn train(&self, run: &str, arguments: &[&str]) -> Answer {
        self.run(&Self::training(run, arguments))
    }

    /// Trains by `command` into the folder `run`, interrupted at the first chance each time; returns how often it was.
    #[track_caller]
    pub fn train_in_parts(&self, command: &[&str], run: &str) -> usize {
        const STOP: [&str; 2] = ["--max-time", "0s"];
        self.run(&[command, &STOP].concat()).exits(75);
        let resume = |_: &usize| self.run(&[&["resume", run][..], &STOP].concat()).code;
        let again = (0..100).take_while(|k| resume(k) == Some(75)).count();
        1 + again
    }

    /// The rows of `metrics.csv` by column, without the time that they took.
    #[track_caller]
    pub fn metrics(&self, run: &str) -> Vec<BTreeMap<String, String>> {
        let text = self.text(format!("{run}/metrics.csv"));
        let mut lines = text.lines().map(|line| line.split(',').map(str::to_owned));
        let header: Vec<String> = lines.next().expect("a header").collect();
        let rows = lines.map(|line| header.iter().cloned().zip(line));
        rows.map(|row| row.filter(|(column, _)| column != "wall_s").collect())
            .collect()
    }

    /// Asserts that two runs went the same way: the same numbers and the same weights and optimizer, to the bit.
    #[track_caller]
    pub fn assert_same_run(&self, left: &str, right: &str) {
        assert_eq!(self.metrics(left), self.metrics(right), "{left}, {right}");
        let last = self.text(format!("{left}/checkpoints/last"));
        let last = format!("checkpoints/{}", last.trim());
        for file in [
            "model/weights.npz",
            "model/weights.safetensors",
            "model/model.json",
            "checkpoints/last",
            "checkpoints/best",
            &format!("{last}/weights.safetensors"),
            &format!("{last}/optimizer.safetensors"),
        ] {
            let bytes = |run| self.bytes(format!("{run}/{file}"));
            assert!(bytes(left) == bytes(right), "{file} of {left} and {right}");
        }
    }
}
