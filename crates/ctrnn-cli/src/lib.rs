//! The `train-ctrnn` command line as a library, so that a program with its own tasks has all commands.
//!
//! ```no_run
//! fn main() -> std::process::ExitCode {
//!     let registry = ctrnn_runs::registry(); // .add::<MyTask>("my_task") for a task of your own
//!     ctrnn_cli::run(registry)
//! }
//! ```
//!
//! Data goes to stdout, everything else to stderr. An error is printed once, here, as `error[CODE]: message` with the
//! remedy after `help:`; scripts can use the [`exit codes`](failure).

#[cfg(feature = "wgpu")]
mod adapter;
mod analyze;
mod args;
mod backend;
mod check;
mod ckpt;
mod config;
#[cfg(feature = "wgpu")]
mod device_memory;
mod eval;
mod export;
pub mod failure;
mod figure;
mod folder_name;
mod import;
mod info;
mod init;
mod memory;
mod outcomes;
mod output;
mod perturbation;
mod plot;
mod population;
mod progress;
mod report;
mod run_path;
mod shell;
mod simulate;
mod stop;
mod study;
mod sweep;
mod tasks;
mod terminal;
mod threads;
mod train;
mod trial_arrays;
mod trial_count;
mod trial_length;
mod trust;

use std::ffi::OsString;
use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;
use ctrnn_kernels::KernelPath;
use ctrnn_tasks::Registry;
use serde_json::json;

use args::{Args, Command, Output};
use failure::Failure;
pub use run_path::network_of;
use terminal::Terminal;

/// Runs the command line of this process with these tasks.
pub fn run(registry: Registry) -> ExitCode {
    ExitCode::from(run_words(std::env::args_os().collect(), &registry))
}

/// Runs a command line, the name of the program first, with these tasks, and returns the [exit code](failure).
pub fn run_words(words: Vec<OsString>, registry: &Registry) -> u8 {
    memory::keep_freed();
    let has_json = words.iter().any(|word| word == "--json");
    let args = match Args::try_parse_from(words) {
        Ok(args) => args,
        Err(error) => return usage(&error, has_json),
    };
    let terminal = Terminal::new(&args.output);
    let outcome = panic::catch_unwind(AssertUnwindSafe(|| {
        dispatch(args.command, registry, &terminal)
    }));
    match outcome.unwrap_or_else(|_| Err(Failure::bug())) {
        Ok(code) => code,
        Err(failure) => {
            terminal.error(&failure);
            failure.exit_code
        }
    }
}

/// Prints the result of clap: help and version on stdout, a wrong command line on stderr with exit code 2.
fn usage(error: &clap::Error, has_json: bool) -> u8 {
    let output = Output {
        json: has_json,
        ..Output::default()
    };
    let terminal = Terminal::new(&output);
    let printed = match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion if has_json => {
            terminal.print_json(|| json!({ "text": error.render().to_string() }))
        }
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => terminal::printed(error.print()),
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            // On stderr. Best effort: if that fails, there is no other place to report it.
            let _ = error.print();
            return failure::USAGE;
        }
        _ => Err(Failure::command_line(error)),
    };
    match printed {
        Ok(()) => 0,
        Err(failure) => {
            terminal.error(&failure);
            failure.exit_code
        }
    }
}

fn dispatch(command: Command, registry: &Registry, terminal: &Terminal) -> Result<u8, Failure> {
    KernelPath::selected().map_err(|error| Failure::kernel(&error))?;
    if command.computes() {
        threads::tell_variables(terminal);
    }
    match command {
        Command::Init(args) => init::run(&args, registry, terminal)?,
        Command::Tasks(args) => tasks::run(&args, registry, terminal)?,
        Command::Check(args) => check::run(&args, registry, terminal)?,
        Command::Train(args) => return train::train(&args, registry, terminal),
        Command::Resume(args) => return train::resume(&args, registry, terminal),
        Command::Eval(args) => eval::run(&args, registry, terminal)?,
        Command::Simulate(args) => simulate::run(&args, registry, terminal)?,
        Command::Sweep(args) => return sweep::run(&args, registry, terminal),
        Command::Export(args) => export::run(&args, registry, terminal)?,
        Command::Import(args) => import::run(&args, registry, terminal)?,
        Command::Analyze(args) => analyze::run(&args, registry, terminal)?,
        Command::Plot(args) => plot::run(&args, registry, terminal)?,
        Command::Report(args) => report::run(&args, registry, terminal)?,
        Command::Ckpt(args) => ckpt::run(&args, terminal)?,
        Command::Config(args) => config::run(&args, registry, terminal)?,
        Command::Info => info::run(terminal)?,
        Command::Completions { shell } => {
            let script = args::completions(shell);
            let json = || json!({ "shell": shell.to_string(), "script": script });
            terminal.print(|| script.clone(), json)?;
        }
        Command::Man => {
            let page = args::manual();
            terminal.print(|| page.clone(), || json!({ "page": page }))?;
        }
    }
    Ok(0)
}
