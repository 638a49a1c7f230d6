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

mod divergence;
mod file;

use ctrnn_analysis::InjectedError;
use ctrnn_config::{Code, ConfigErrors, Diagnostic, Run, render_error};
use ctrnn_files::{ErrorKind, FileError, RunFolder};
use ctrnn_kernels::KernelPathError;
use ctrnn_model::ModelError;
use ctrnn_runs::RunError;
use ctrnn_tasks::{TaskError, TaskErrorKind};
use ctrnn_train::{NotFinite, TrainError};

/// Exit code of a wrong command line or configuration.
pub const USAGE: u8 = 2;
/// Exit code of a training that failed.
pub const FAILED: u8 = 3;
/// Exit code of data that is missing, corrupt or of another model.
pub const DATA: u8 = 4;
/// Exit code of input/output.
pub const IO: u8 = 5;
/// Exit code of a device that cannot be used.
pub const DEVICE: u8 = 6;

const TASK_HELP: &str = "`train-ctrnn tasks describe` with the name of the task explains its keys";

/// An error, ready to be printed.
#[derive(Debug)]
pub struct Failure {
    /// Exit code of the process.
    pub exit_code: u8,
    kind: FailureContent,
}

#[derive(Debug)]
enum FailureContent {
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
            kind: FailureContent::Plain {
                code,
                message: message.into(),
                help: help.into(),
            },
        }
    }

    /// Creates an error with the code and the exit code of a problem of a configuration or its data.
    pub fn of_code(code: Code, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self::new(code.exit_code(), code.id(), message, help)
    }

    /// Creates the error of a wrong command line, with clap's advice and the usage.
    pub fn command_line(error: &clap::Error) -> Self {
        let text = error.render().to_string();
        let mut paragraphs = text
            .split("\n\n")
            .map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "));
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
        let help = divergence::remedy(found, run, spectral_radius, folder);
        Self::new(FAILED, "T001", message, help)
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
            FailureContent::Config(errors) => errors.render(color),
            FailureContent::Plain {
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
            kind: FailureContent::Config(errors),
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
        let (code, help) = match error {
            RunError::Train(error) => return error.into(),
            RunError::Config(errors) => return errors.into(),
            RunError::NoCheckpoint { ref steps, .. } if steps.is_empty() => (
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
        let help = match error {
            TrainError::File(error) => return error.into(),
            TrainError::Task(error) => return error.into(),
            TrainError::NotFinite(found) => {
                let help = divergence::remedy_anywhere(&found);
                return Self::new(FAILED, "T001", found.to_string(), help);
            }
            TrainError::TargetNotMet { .. } => {
                "train longer (`resume RUN train.steps=...`), lower the target, or remove train.stop.required"
            }
            TrainError::UnknownCondition { .. } => {
                "leave such trials out, or train a network that has one initial state for all: model.initial_state = \"learned\" or \"zero\""
            }
            TrainError::Indivisible(_) => {
                "remove train.truncate_steps and train.accumulate, or the terms"
            }
            TrainError::EmptyMask(_) => {
                "mask must be above 0 where outputs count; trials that have recordings alone are fitted by train.loss.unit_rates"
            }
            TrainError::OptimizerState(_) => {
                "resume with the optimizer with which the run was trained; a new run that begins from another one needs the same train.optimizer, or leaves out --with-optimizer"
            }
            TrainError::Model(ref error) => match undrawable(error) {
                Some(help) => return Self::of_code(Code::Initial, error.to_string(), help),
                None => "check that the file belongs to this network",
            },
            _ => TASK_HELP,
        };
        let exit_code = error.exit_code();
        let code = if exit_code == FAILED { "T001" } else { "D003" };
        Self::new(exit_code, code, error.to_string(), help)
    }
}

impl From<ModelError> for Failure {
    fn from(error: ModelError) -> Self {
        TrainError::from(error).into()
    }
}

impl From<TaskError> for Failure {
    fn from(mut error: TaskError) -> Self {
        let own_help = error.help.take();
        let (code, help) = match error.kind {
            TaskErrorKind::Program => (Code::Program.id(), TASK_HELP),
            TaskErrorKind::Data => (
                "D003",
                "correct the program or the file that the task's table names, which provides its trials",
            ),
            TaskErrorKind::Config | TaskErrorKind::Io => ("D003", TASK_HELP),
        };
        let error = TrainError::from(error);
        let help = own_help.unwrap_or_else(|| help.to_owned());
        Self::new(error.exit_code(), code, error.to_string(), help)
    }
}

impl From<FileError> for Failure {
    fn from(error: FileError) -> Self {
        let (exit_code, code) = match error.kind() {
            ErrorKind::Io => (IO, "F002"),
            ErrorKind::Data => (DATA, "D005"),
        };
        Self::new(exit_code, code, error.to_string(), file::remedy(&error))
    }
}

impl From<InjectedError> for Failure {
    fn from(error: InjectedError) -> Self {
        match error {
            InjectedError::File(error) => error.into(),
            InjectedError::Array(_) => Self::new(
                DATA,
                "D004",
                error.to_string(),
                "numpy.savez(FILE, inputs=array of shape [trial, time, input]) writes such a file",
            ),
        }
    }
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
        ModelError::Overlap { .. } => Some(
            "smaller overlaps in model.low_rank.init, or a larger model.low_rank.init.left_std or right_std; the vectors that one overlaps with must differ and not be zero",
        ),
        _ => None,
    }
}
