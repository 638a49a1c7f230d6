//! Array jobs of Slurm.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use ctrnn_files::{FileError, atomic, read_at_most};

use crate::SweepError;
use crate::status::{Status, TrialState};
use crate::sweep::Sweep;

/// Built-in template of the job script; words in double braces are replaced.
pub const JOB_TEMPLATE: &str = include_str!("job.sh");

/// Options of an array job.
#[derive(Clone, Debug)]
pub struct SlurmOptions {
    /// Program that runs the trials, and its first arguments.
    pub program: Vec<PathBuf>,
    /// Sweep file.
    pub sweep_file: PathBuf,
    /// Number of trials in a task.
    pub pack: usize,
    /// CPUs of a task.
    pub cpus: u32,
    /// Number of tasks that run at the same time; absent: no limit.
    pub at_once: Option<u32>,
    /// Further options of sbatch, each a line of the script.
    pub options: Vec<String>,
    /// Template of the script.
    pub template: String,
}

/// A job script and its list of trials, ready to be submitted.
#[derive(Debug)]
pub struct Submission {
    /// Job script.
    pub script: PathBuf,
    /// Number of trials.
    pub n_trials: usize,
    /// Number of tasks of the array.
    pub n_tasks: usize,
}

impl Submission {
    /// Writes the script and the list of the trials that are missing, in the folder `slurm` of the sweep; `None` if there is none.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn write(sweep: &Sweep, options: &SlurmOptions) -> Result<Option<Self>, SweepError> {
        let names = missing(sweep);
        if names.is_empty() {
            return Ok(None);
        }
        let folder = absolute(sweep.folder());
        let slurm = folder.join("slurm");
        fs::create_dir_all(&slurm).map_err(FileError::io("create", &slurm))?;
        // Process and time, so that two submissions at once have different files.
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let stem = format!("{}-{}", now.as_millis(), std::process::id());
        let (list, script) = (
            slurm.join(format!("{stem}.txt")),
            slurm.join(format!("{stem}.sh")),
        );
        let n_tasks = names.len().div_ceil(options.pack);
        let text = script_text(sweep, options, &folder, &list, n_tasks);
        atomic::write(&list, (names.join("\n") + "\n").as_bytes())?;
        atomic::write(&script, text.as_bytes())?;
        Ok(Some(Self {
            script,
            n_trials: names.len(),
            n_tasks,
        }))
    }

    /// Submits the job and returns its number, which is kept for [`cancel_jobs`].
    ///
    /// # Errors
    /// If sbatch cannot be started or refuses the job.
    pub fn submit(&self, sweep: &Sweep) -> Result<String, SweepError> {
        let script = self.script.to_string_lossy();
        let said = output_of("sbatch", &["--parsable", &script])?;
        let job = said.trim().split(';').next().unwrap_or_default().to_owned(); // JOB;CLUSTER
        let path = jobs_path(sweep);
        let mut jobs = jobs_of(sweep);
        jobs.push(job.clone());
        atomic::write(&path, (jobs.join("\n") + "\n").as_bytes())?;
        Ok(job)
    }
}

/// Returns the names of the trials that have to be run.
fn missing(sweep: &Sweep) -> Vec<&str> {
    let is_missing = |status: &Status| match status.state {
        TrialState::Waiting | TrialState::Stopped => true,
        TrialState::Failed => status.is_worth_repeating(),
        TrialState::Done | TrialState::Running => false,
    };
    let trials = sweep.trials.iter();
    let missing = trials.filter(|trial| is_missing(&Status::of(&sweep.run(trial))));
    missing.map(|trial| trial.name.as_str()).collect()
}

/// Cancels the Slurm jobs of a sweep and returns their numbers.
///
/// # Errors
/// If scancel cannot be started or fails.
pub fn cancel_jobs(sweep: &Sweep) -> Result<Vec<String>, SweepError> {
    let jobs = jobs_of(sweep);
    if !jobs.is_empty() {
        let jobs: Vec<&str> = jobs.iter().map(String::as_str).collect();
        output_of("scancel", &jobs)?;
    }
    Ok(jobs)
}

fn jobs_path(sweep: &Sweep) -> PathBuf {
    sweep.folder().join("slurm").join("jobs.txt")
}

/// Returns the numbers of the jobs that were submitted. The file is untrusted: other words are left out.
fn jobs_of(sweep: &Sweep) -> Vec<String> {
    let text = read_at_most(&jobs_path(sweep), 1 << 20).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let is_number = |line: &&str| !line.is_empty() && line.chars().all(|c| c.is_ascii_digit());
    text.lines().filter(is_number).map(str::to_owned).collect()
}

fn script_text(
    sweep: &Sweep,
    options: &SlurmOptions,
    folder: &Path,
    list: &Path,
    n_tasks: usize,
) -> String {
    let further = options
        .options
        .iter()
        .map(|option| format!("#SBATCH {option}"));
    let at_once = options.at_once.map_or(String::new(), |n| format!("%{n}"));
    let here = std::env::current_dir().unwrap_or_default();
    let program: Vec<String> = options.program.iter().map(|word| quoted(word)).collect();
    let values = [
        ("name", sweep.file.name.clone()),
        ("n_tasks", n_tasks.to_string()),
        ("at_once", at_once),
        ("cpus", options.cpus.to_string()),
        ("pack", options.pack.to_string()),
        ("options", further.collect::<Vec<_>>().join("\n")),
        ("here", quoted(&here)),
        ("trials", quoted(list)),
        ("program", program.join(" ")),
        ("sweep", quoted(&absolute(&options.sweep_file))),
    ];
    // In a line of sbatch a path is not quoted, elsewhere it is.
    let lines = options.template.lines().map(|line| {
        let folder = if line.starts_with("#SBATCH") {
            folder.display().to_string()
        } else {
            quoted(folder)
        };
        let known = values
            .iter()
            .chain([&("folder", folder)])
            .fold(line.to_owned(), |line, (key, value)| {
                line.replace(&format!("{{{{{key}}}}}"), value)
            });
        known + "\n"
    });
    lines.collect()
}

fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', "'\\''"))
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

fn output_of(program: &str, arguments: &[&str]) -> Result<String, SweepError> {
    let output = Command::new(program).args(arguments).output();
    let output = output.map_err(|error| SweepError::NotStarted {
        program: program.to_owned(),
        error,
    })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(SweepError::Program {
        program: format!("{program} {}", arguments.join(" ")),
        reason: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
    })
}
