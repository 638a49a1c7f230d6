//! The `train-ctrnn` command line, as a library, so that a program with tasks of its own gets all of it.
//!
//! ```no_run
//! fn main() -> std::process::ExitCode {
//!     let registry = ctrnn_train::registry(); // .add::<MyTask>("my_task") for a task of your own
//!     ctrnn_cli::run(registry)
//! }
//! ```
//!
//! Data goes to stdout, everything else to stderr. An error is printed once, here, as `error[CODE]: what` with `help:`
//! on the exact thing to type; [`exit codes`](failure) tell a script what happened.

#[cfg(feature = "wgpu")]
mod adapter;
mod advice;
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
mod import;
mod info;
mod init;
mod memory;
mod perturbation;
mod plot;
mod progress;
mod report;
mod run_path;
mod simulate;
mod stop;
mod study;
mod tasks;
mod terminal;
mod train;
mod training_memory;
mod trial_arrays;
mod trial_length;

use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;
use ctrnn_kernels::KernelPath;
use ctrnn_tasks::Registry;

use args::{Args, Command, Output};
use failure::Failure;
use terminal::Terminal;

/// Runs the command line of this process with these tasks.
pub fn run(registry: Registry) -> ExitCode {
    memory::keep_freed();
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => return usage(&error),
    };
    let terminal = Terminal::new(&args.output);
    let outcome = panic::catch_unwind(AssertUnwindSafe(|| {
        dispatch(args.command, &registry, &terminal)
    }));
    match outcome.unwrap_or_else(|_| Err(Failure::bug())) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            terminal.error(&failure);
            ExitCode::from(failure.exit_code)
        }
    }
}

/// What clap has to say: help and version on stdout, a wrong command line on stderr with code 2.
fn usage(error: &clap::Error) -> ExitCode {
    let is_help = matches!(
        error.kind(),
        ErrorKind::DisplayHelp
            | ErrorKind::DisplayVersion
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    );
    if is_help {
        // Nothing is left to tell the user if the terminal is gone.
        let _ = error.print();
    } else {
        Terminal::new(&Output::default()).error(&Failure::command_line(error));
    }
    ExitCode::from(if error.use_stderr() {
        failure::USAGE
    } else {
        0
    })
}

fn dispatch(command: Command, registry: &Registry, terminal: &Terminal) -> Result<u8, Failure> {
    KernelPath::selected().map_err(|error| Failure::kernel(&error))?;
    match command {
        Command::Init(args) => init::run(&args, registry, terminal),
        Command::Tasks(args) => tasks::run(&args, registry, terminal),
        Command::Check(args) => check::run(&args, registry, terminal),
        Command::Train(args) => train::train(&args, registry, terminal),
        Command::Resume(args) => train::resume(&args, registry, terminal),
        Command::Eval(args) => eval::run(&args, registry, terminal),
        Command::Simulate(args) => simulate::run(&args, registry, terminal),
        Command::Export(args) => export::run(&args, registry, terminal),
        Command::Import(args) => import::run(&args, registry, terminal),
        Command::Analyze(args) => analyze::run(&args, registry, terminal),
        Command::Plot(args) => plot::run(&args, registry, terminal),
        Command::Report(args) => report::run(&args, registry, terminal),
        Command::Ckpt(args) => ckpt::run(&args, terminal),
        Command::Config(args) => config::run(&args, registry, terminal),
        Command::Info => info::run(terminal),
        Command::Completions { shell } => Ok(args::print_completions(shell)),
        Command::Man => args::print_man(),
    }
}
