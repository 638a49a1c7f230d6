//! Errors as shown to the user: code, message, remedy and exit code.
//!
//! | exit code | meaning |
//! |---|---|
//! | 0 | success |
//! | 1 | a bug |
//! | 2 | wrong command line or configuration; nothing was written |
//! | 3 | training failed: not finite, or a required target not met |
//! | 4 | a checkpoint or data missing, corrupt or of another model |
//! | 5 | input/output: disk full, permission, lock, existing run folder |
//! | 6 | device: no adapter, out of memory, or a binary without that backend |
//! | 75 | stopped by a signal or `--max-time`, and saved |
//! | 130, 143 | stopped at once |

use std::path::Path;

use ctrnn_analysis::InjectedError;
use ctrnn_config::{ConfigErrors, Diagnostic, Run, render_error, word_like};
use ctrnn_files::{ErrorKind, FileError, FormatError, RunFolder};
use ctrnn_kernels::KernelPathError;
use ctrnn_model::ModelError;
use ctrnn_runs::RunError;
use ctrnn_tasks::{TaskError, TaskErrorKind};
use ctrnn_train::{Culprit, NotFinite, TrainError};

use crate::run_path::folder_beside;
use crate::train::quoted;

/// Exit code of a wrong command line or configuration.
pub const USAGE: u8 = 2;
/// Exit code of data that is missing, corrupt or of another model.
pub const DATA: u8 = 4;
/// Exit code of input/output.
pub const IO: u8 = 5;
/// Exit code of a device that cannot be used.
pub const DEVICE: u8 = 6;

/// An error, ready to be printed.
#[derive(Debug)]
pub struct Failure {
    /// Exit code of the process.
    pub exit_code: u8,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Config(ConfigErrors),
    Plain {
        code: &'static str,
        message: String,
        help: String,
    },
}

impl Failure {
    /// Creates an error with a remedy.
    pub fn new(
        exit_code: u8,
        code: &'static str,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        Self {
            exit_code,
            kind: Kind::Plain {
                code,
                message: message.into(),
                help: help.into(),
            },
        }
    }

    /// Creates the error of a wrong command line, with clap's advice and the usage.
    pub fn command_line(error: &clap::Error) -> Self {
        let text = error.render().to_string();
        let in_one_line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let mut paragraphs = text.split("\n\n").map(in_one_line);
        let message = paragraphs.next().unwrap_or_default();
        let (mut tips, mut usage) = (Vec::new(), String::new());
        for paragraph in paragraphs {
            if let Some(tip) = paragraph.strip_prefix("tip: ") {
                tips.push(tip.to_owned());
            } else if paragraph.starts_with("Usage: ") {
                usage = paragraph;
            }
        }
        tips.push(usage);
        tips.push("`--help` explains all options".to_owned());
        tips.retain(|tip| !tip.is_empty());
        let message = message.strip_prefix("error: ").unwrap_or(&message);
        Self::new(
            USAGE,
            command_line_code(error.kind()),
            message,
            tips.join("\n      "),
        )
    }

    /// Creates an error of a training.
    pub fn of_training(error: RunError, run: &Run, folder: &RunFolder) -> Self {
        match &error {
            RunError::Train(TrainError::NotFinite(found)) => {
                let radius = run.model.spectral_radius();
                Self::diverged(found, error.to_string(), run, radius, Some(folder))
            }
            _ => error.into(),
        }
    }

    /// Creates the error of numbers that are not finite, with a remedy that depends on their cause and on the settings
    /// of the run. `spectral_radius` is that of the network before its first step, `folder` the folder of the run, if
    /// there is one.
    pub fn diverged(
        found: &NotFinite,
        message: String,
        run: &Run,
        spectral_radius: Option<f64>,
        folder: Option<&RunFolder>,
    ) -> Self {
        let help = if found.what.is_data() {
            diverged_somewhere(found)
        } else if found.is_before_any_update() {
            unstable_states(found, run, spectral_radius)
        } else {
            unstable_updates(found, run, folder)
        };
        Self::new(3, "T001", message, help)
    }

    /// Creates the error after a panic, which is always a bug; its message has been printed already.
    pub fn bug() -> Self {
        let help = "please report it with the lines above, the command and the configuration; `train-ctrnn info` prints the version";
        Self::new(1, "B001", "this is a bug in train-ctrnn", help)
    }

    /// Creates the error of an instruction set that is not available.
    pub fn kernel(error: &KernelPathError) -> Self {
        Self::new(
            USAGE,
            "C020",
            error.to_string(),
            "unset CTRNN_KERNEL to use the fastest",
        )
    }

    /// Creates the error of writing to stdout.
    pub fn stdout(error: &std::io::Error) -> Self {
        Self::new(
            IO,
            "F001",
            format!("cannot write to stdout: {error}"),
            "check where the output goes",
        )
    }

    /// Formats the error for the terminal.
    pub fn render(&self, color: bool) -> String {
        match &self.kind {
            Kind::Config(errors) => errors.render(color),
            Kind::Plain {
                code,
                message,
                help,
            } => render_error(code, message, help, color),
        }
    }
}

/// Returns the code of a wrong command line.
fn command_line_code(kind: clap::error::ErrorKind) -> &'static str {
    use clap::error::ErrorKind;
    match kind {
        ErrorKind::InvalidSubcommand => "U001",
        ErrorKind::UnknownArgument => "U002",
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => "U003",
        ErrorKind::MissingRequiredArgument | ErrorKind::MissingSubcommand => "U004",
        ErrorKind::ArgumentConflict => "U005",
        _ => "U006",
    }
}

impl From<ConfigErrors> for Failure {
    fn from(errors: ConfigErrors) -> Self {
        Self {
            exit_code: errors.exit_code(),
            kind: Kind::Config(errors),
        }
    }
}

impl From<Diagnostic> for Failure {
    fn from(diagnostic: Diagnostic) -> Self {
        ConfigErrors::from(diagnostic).into()
    }
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        if let RunError::Train(error) = error {
            return error.into();
        }
        let (code, help) = match &error {
            RunError::Config(errors) => return errors.clone().into(),
            RunError::NoCheckpoint { steps, .. } if steps.is_empty() => (
                "D007",
                "leave out --checkpoint to read the newest weights, here the initial ones; the first checkpoint is written after checkpoint.every_steps",
            ),
            RunError::NoCheckpoint { .. } => (
                "D007",
                "`train-ctrnn ckpt list RUN` lists them; without --checkpoint the newest weights are read",
            ),
            RunError::LostCheckpoints { .. } => (
                "D007",
                "put the checkpoints back; or begin a new run with this network: train with --init-from",
            ),
            _ => ("D003", "check that the file belongs to this network"),
        };
        Self::new(error.exit_code(), code, error.to_string(), help)
    }
}

impl From<TrainError> for Failure {
    fn from(error: TrainError) -> Self {
        let help = match &error {
            TrainError::File(error) => return file_failure(error),
            TrainError::NotFinite(found) => {
                return Self::new(3, "T001", error.to_string(), diverged_somewhere(found));
            }
            TrainError::TargetNotMet { .. } => {
                "train longer (`resume RUN train.steps=...`), lower the target, or remove train.stop.required"
            }
            TrainError::UnknownCondition { .. } => {
                "leave such trials out, or train a network that has one initial state for all: model.initial_state = \"learned\" or \"zero\""
            }
            TrainError::EmptyMask(_) => "mask must be above 0 where outputs count",
            TrainError::OptimizerState(_) => {
                "resume with the optimizer with which the run was trained"
            }
            TrainError::Model(error) => match undrawable(error) {
                Some(help) => return Self::new(USAGE, "C016", error.to_string(), help),
                None => "check that the file belongs to this network",
            },
            TrainError::Task(error) => return task_failure(error),
            _ => "`train-ctrnn tasks describe` with the name of the task explains its keys",
        };
        let exit_code = error.exit_code();
        let code = if exit_code == 3 { "T001" } else { "D003" };
        Self::new(exit_code, code, error.to_string(), help)
    }
}

impl From<FileError> for Failure {
    fn from(error: FileError) -> Self {
        file_failure(&error)
    }
}

impl From<ModelError> for Failure {
    fn from(error: ModelError) -> Self {
        TrainError::from(error).into()
    }
}

impl From<TaskError> for Failure {
    fn from(error: TaskError) -> Self {
        TrainError::from(error).into()
    }
}

impl From<InjectedError> for Failure {
    fn from(error: InjectedError) -> Self {
        match error {
            InjectedError::File(error) => file_failure(&error),
            error @ InjectedError::Array(_) => {
                let help = "numpy.savez(FILE, inputs=array of shape [trial, time, input]) writes such a file";
                Self::new(DATA, "D004", error.to_string(), help)
            }
        }
    }
}

/// Creates the error of a task that could not make its trials, with the task's own remedy if it has one.
fn task_failure(error: &TaskError) -> Failure {
    let message = TaskError {
        help: None,
        ..error.clone()
    };
    let help = error.help.as_deref();
    let help = help.unwrap_or(if error.kind == TaskErrorKind::Data {
        "correct the program or the file that the task's table names, which provides its trials"
    } else {
        "`train-ctrnn tasks describe` with the name of the task explains its keys"
    });
    let code = if error.kind == TaskErrorKind::Program {
        "D006"
    } else {
        "D003"
    };
    let exit_code = TrainError::Task(error.clone()).exit_code();
    Failure::new(exit_code, code, message.to_string(), help)
}

/// Returns the remedy for initial weights that cannot be drawn as the keys of the network ask.
fn undrawable(error: &ModelError) -> Option<&'static str> {
    match error {
        ModelError::Unbalanced => Some(
            "model.init.balance=none; or excitatory and inhibitory units, which model.dale gives, with connections to one unit",
        ),
        ModelError::ZeroSpectralRadius { .. } => Some(
            "model.init.spectral_radius=natural; or more connections: model.density.recurrent, model.connectivity.file",
        ),
        ModelError::FixedSpectralRadius { .. } => Some(
            "a larger model.init.spectral_radius, or smaller fixed weights in model.connectivity.file",
        ),
        _ => None,
    }
}

/// Returns the remedy for numbers that are not finite that does not depend on the configuration.
fn diverged_somewhere(found: &NotFinite) -> String {
    if found.what.is_data() {
        "the numbers come from the task, not from training: check its table and its files"
            .to_owned()
    } else {
        format!(
            "a smaller learning rate usually helps: train.optimizer.lr={:.0e}",
            found.lr / 10.0
        )
    }
}

/// Standard deviation of the readout noise above which it explains a loss that is not finite.
const LARGE_NOISE: f64 = 1e6;

/// Returns the remedy for inputs or targets so large that their squares or products are not finite.
fn large_data(found: &NotFinite) -> Option<String> {
    const LARGE: f64 = 1e6;
    let named = ["inputs", "targets"].into_iter().zip(found.largest?);
    let large = named.filter(|(_, largest)| *largest > LARGE);
    let shown: Vec<String> = large
        .map(|(name, largest)| format!("{name} as large as {largest:.1e}"))
        .collect();
    (!shown.is_empty()).then(|| {
        format!(
            "no update was made: the task gives {}, whose squares or products are not finite in single precision. \
             Scale them to about 1 where the trials are made",
            shown.join(" and ")
        )
    })
}

/// Returns the remedy for states that diverge before the first update, or numbers besides them that are too large.
fn unstable_states(found: &NotFinite, run: &Run, spectral_radius: Option<f64>) -> String {
    if let Some(help) = large_data(found) {
        return help;
    }
    let mut remedies = match spectral_radius {
        Some(radius) if radius > 1.0 && run.init_file.is_some() => vec![format!(
            "smaller recurrent weights in the file of model.init.file (their spectral radius is {radius:.3})"
        )],
        Some(radius) if radius > 1.0 => {
            vec![format!("model.init.spectral_radius=1 (now {radius:.3})")]
        }
        _ => Vec::new(),
    };
    remedies.push(format!("a smaller time.dt_ms (now {})", run.model.dt_ms));
    if run.model.activation.range()[1].is_infinite() {
        let name = run.model.activation.name();
        let others = match run.model.dale {
            Some(_) => "retanh or sigmoid",
            None => "tanh, retanh or sigmoid",
        };
        remedies.push(format!(
            "a saturating model.activation: {others} (now {name})"
        ));
    }
    let noise = run.model.noise.postactivation;
    let why = match found.what {
        Culprit::Loss => {
            let beside = "smaller targets, or a mask nearer to 1, in the trials; smaller coefficients in train.loss";
            remedies.insert(0, beside.to_owned());
            "the readout is finite, the loss is not"
        }
        Culprit::Outputs if noise > LARGE_NOISE => {
            remedies = vec![format!(
                "a smaller model.noise.postactivation (now {noise:e})"
            )];
            "the noise of the readout is too large"
        }
        _ => "the states themselves grow over a trial",
    };
    format!(
        "no update was made: {why}, whatever the learning rate. Possible remedies:\n        {}",
        remedies.join("\n        ")
    )
}

/// Returns the remedy for numbers that have become too large through updates.
fn unstable_updates(found: &NotFinite, run: &Run, folder: Option<&RunFolder>) -> String {
    let clip = match run.config.train.clip() {
        Some(_) => "",
        None => " or train.clip_grad_norm=1.0",
    };
    let mut help = format!(
        "a smaller learning rate{} usually helps: train again with\n        train.optimizer.lr={:.0e}{clip}",
        if clip.is_empty() {
            ""
        } else {
            " or a bound on the gradient"
        },
        found.lr / 10.0
    );
    let newest =
        folder.and_then(|folder| Some((folder, folder.newest_whole_checkpoint().ok()?.step?)));
    if let Some((folder, step)) = newest {
        let tries = 2 * found.rollbacks.max(2);
        help += &format!(
            "; or continue from the checkpoint of step {step} and allow more attempts:\n        \
             train-ctrnn resume {} train.divergence.max_rollbacks={tries}",
            folder.root().display()
        );
    }
    help
}

/// Returns the remedy for a file that does not exist: a missing folder, or a file of a similar name.
fn missing(path: &Path) -> String {
    /// Maximum number of files that are searched.
    const MAX_FILES: usize = 1000;
    let folder = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let Ok(files) = folder.read_dir() else {
        return format!(
            "check the path: the folder {} does not exist",
            folder.display()
        );
    };
    let files = files.take(MAX_FILES).filter_map(Result::ok);
    let names: Vec<String> = files
        .filter_map(|file| file.file_name().into_string().ok())
        .collect();
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    match word_like(&name, names.iter().map(String::as_str)) {
        Some(near) => format!(
            "check the path; did you mean {}?",
            path.with_file_name(near).display()
        ),
        None => "check the path".to_owned(),
    }
}

/// Returns true if a file belongs to a checkpoint of a run.
fn is_of_checkpoint(path: &Path) -> bool {
    path.ancestors()
        .any(|folder| folder.ends_with("checkpoints"))
}

fn file_failure(error: &FileError) -> Failure {
    let (exit_code, code) = match error.kind() {
        ErrorKind::Io => (IO, "F002"),
        ErrorKind::Data => (DATA, "D005"),
    };
    let owned;
    let help: &str = match error {
        FileError::Locked { path, .. } => {
            owned = format!(
                "wait until it has ended, or stop that process; another run needs its own folder: train with --run-dir {}",
                quoted(&folder_beside(path, &[]).display().to_string()),
            );
            &owned
        }
        FileError::Displaced { now: Some(now), .. } => {
            owned = format!(
                "continue in its current folder: train-ctrnn resume {}; do not rename the folder of a run that is training",
                quoted(&now.display().to_string())
            );
            &owned
        }
        FileError::Displaced { now: None, path } if path.join("RUN.json").is_file() => {
            owned = format!(
                "a run is at that place: if it is this one, and only its .lock was removed, continue it: train-ctrnn resume {}",
                quoted(&path.display().to_string())
            );
            &owned
        }
        FileError::Displaced { now: None, .. } => {
            "everything that was saved has been lost with the folder; begin again with --run-dir and another folder, and keep it while the run is training"
        }
        FileError::AlreadyExists { .. } => "choose another name, or replace it: --force",
        FileError::OfRun { .. } => "choose a path outside of the run, or next to its report.html",
        FileError::NotWritable { .. } => "name a file, such as FOLDER/NAME",
        FileError::NoFolder { folder, .. } => {
            owned = match folder.symlink_metadata() {
                Ok(_) => "choose another place".to_owned(),
                Err(_) => format!(
                    "make it: mkdir -p {}",
                    quoted(&folder.display().to_string())
                ),
            };
            &owned
        }
        FileError::Foreign { .. } => "move these files to another folder, or choose another name",
        FileError::Missing { path } => {
            return Failure::new(exit_code, code, error.to_string(), missing(path));
        }
        FileError::NotAFile { .. } => "give the path of a file",
        FileError::Linked { .. } => {
            "copy the run with its content, for instance with `cp -rL RUN COPY`"
        }
        FileError::Format {
            rule:
                FormatError::NoStateDict { .. }
                | FormatError::StateDict { .. }
                | FormatError::ForeignCode { .. },
            ..
        } => "in Python: torch.save(model.state_dict(), \"model.pt\")",
        FileError::Format {
            rule: FormatError::Container { container },
            ..
        } => container.remedy(),
        FileError::Format {
            rule: FormatError::Entries { dictionaries, .. },
            ..
        } => {
            if *dictionaries > 0 {
                "choose one: --entry NAME"
            } else {
                "in Python: torch.save(model.state_dict(), \"model.pt\")"
            }
        }
        FileError::Format { path, .. } if is_of_checkpoint(path) => {
            "`train-ctrnn ckpt verify RUN` shows which checkpoints are undamaged; eval, simulate, analyze, plot, report and export \
             use one with --checkpoint STEP"
        }
        FileError::Format { .. } => {
            "write it again with the program that made it, or copy it again"
        }
        _ => "check that the folder exists, its free space and its permissions",
    };
    Failure::new(exit_code, code, error.to_string(), help)
}
