//! A corpus of malicious files, each made here: whatever a file says, the program answers with an error that names it,
//! the exit code of the README, and nothing written.
//!
//! Every case runs in a process of its own that may take 320 MiB of memory, its own code included (where the system can limit that) and has
//! ten times the second that a refusal should take; `just stop-times` prints how long the slowest one took.

mod archive;
mod configurations;
mod runs;
mod trials;
mod weights;

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::project::{Answer, Project};

/// Ten times what a refusal should take.
const WATCHDOG: Duration = Duration::from_secs(10);

/// What a file is, where it is not just bytes.
pub enum Evil {
    Bytes(Vec<u8>),
    Folder,
    #[cfg(unix)]
    LinkTo(&'static str),
    #[cfg(unix)]
    Pipe,
    /// Zeros that take no room on the disk, after these bytes.
    Hole(Vec<u8>, u64),
}

impl From<Vec<u8>> for Evil {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes)
    }
}

impl From<&str> for Evil {
    fn from(text: &str) -> Self {
        Self::Bytes(text.into())
    }
}

impl From<String> for Evil {
    fn from(text: String) -> Self {
        Self::Bytes(text.into())
    }
}

impl Evil {
    /// Puts it where a file should be.
    fn place(&self, path: &Path) {
        remove(path);
        match self {
            Self::Bytes(bytes) => std::fs::write(path, bytes).unwrap(),
            Self::Folder => std::fs::create_dir(path).unwrap(),
            #[cfg(unix)]
            Self::LinkTo(target) => std::os::unix::fs::symlink(target, path).unwrap(),
            #[cfg(unix)]
            Self::Pipe => assert!(
                Command::new("mkfifo").arg(path).status().unwrap().success(),
                "mkfifo"
            ),
            Self::Hole(bytes, length) => {
                std::fs::write(path, bytes).unwrap();
                let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
                file.set_len(*length).unwrap();
            }
        }
    }
}

fn remove(path: &Path) {
    match path.symlink_metadata() {
        Ok(found) if found.is_dir() => std::fs::remove_dir_all(path).unwrap(),
        Ok(_) => std::fs::remove_file(path).unwrap(),
        Err(_) => {}
    }
}

/// One malicious file: its name in the report, what it is, and what stderr must say about it.
pub type Case = (&'static str, Evil, &'static str);

/// A case from anything that can be one.
pub fn case(name: &'static str, evil: impl Into<Evil>, says: &'static str) -> Case {
    (name, evil.into(), says)
}

/// Runs the program in the folder with little memory; none if it does not end in time.
fn run_limited(project: &Project, arguments: &[&str]) -> Option<Answer> {
    let plain = project.command(arguments);
    let mut command = Command::new("sh");
    let limit = if cfg!(target_os = "linux") {
        "ulimit -v 327680 && "
    } else {
        ""
    };
    command
        .args(["-c", &format!("{limit}exec \"$0\" \"$@\"")])
        .arg(plain.get_program())
        .args(plain.get_args())
        .current_dir(project.path(""))
        .env("MALLOC_ARENA_MAX", "1") // else each thread reserves 64 MiB of addresses
        .env("RAYON_NUM_THREADS", "1")
        .env_remove("SLURM_JOB_ID")
        .env_remove("XDG_STATE_HOME")
        .env("HOME", project.home())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let child = command.spawn().expect("sh starts");
    let id = child.id().to_string();
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || sender.send(child.wait_with_output()));
    match receiver.recv_timeout(WATCHDOG) {
        Ok(output) => Some(output.expect("the child is ours").into()),
        Err(_) => {
            let _ended_meanwhile = Command::new("kill").args(["-9", &id]).status();
            None
        }
    }
}

/// Everything that is wrong with the answer to one malicious file.
fn complaint(answer: Option<Answer>, code: i32, says: &str) -> Option<String> {
    let Some(answer) = answer else {
        return Some("did not end in time".to_owned());
    };
    let wrong = if answer.code != Some(code) {
        format!("exit code {:?}, expected {code}", answer.code)
    } else if !answer.stderr.starts_with("error[") || !answer.stderr.contains("help: ") {
        "no error with a remedy".to_owned()
    } else if answer.stderr.contains("error[B001]") || answer.stderr.contains("panicked") {
        "a panic".to_owned()
    } else if !answer.stderr.contains(says) {
        format!("does not say {says:?}")
    } else if answer.stderr.contains('\x1b') || answer.stderr.len() > 100_000 {
        "the terminal gets what the file says".to_owned()
    } else if !answer.stdout.is_empty() {
        "something on stdout".to_owned()
    } else {
        return None;
    };
    let shown: String = answer.stderr.chars().take(600).collect();
    Some(format!("{wrong}\n{shown}"))
}

/// Puts each case in turn at `file` and runs the program on it.
#[track_caller]
pub fn assert_all_refused(
    project: &Project,
    file: &str,
    cases: Vec<Case>,
    arguments: &[&str],
    code: i32,
) {
    let mut failures = Vec::new();
    let mut slowest = (Duration::ZERO, "");
    let count = cases.len();
    for (name, evil, says) in cases {
        evil.place(&project.path(file));
        let begun = Instant::now();
        let answer = run_limited(project, arguments);
        slowest = slowest.max((begun.elapsed(), name));
        if let Some(complaint) = complaint(answer, code, says) {
            failures.push(format!("{file}: {name}: {complaint}"));
        }
        remove(&project.path(file));
    }
    let (took, name) = slowest;
    println!(
        "{count} times {file}: the slowest answer took {took:.2?} ({name}; should be under 1 s)"
    );
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}
