//! Arguments of `sweep`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args as ClapArgs, Subcommand};

use crate::args::{Trust, parse_duration};

#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  train-ctrnn sweep check lr.toml
  train-ctrnn sweep run lr.toml
  train-ctrnn sweep collect lr.toml -o lr.csv

docs/sweeps.md describes the sweep file and other engines.")]
pub struct SweepArgs {
    #[command(subcommand)]
    pub command: SweepCommand,
}

/// A sweep.
#[derive(Debug, ClapArgs)]
pub struct SweepPlace {
    /// The sweep file, a TOML file; for `status`, `collect`, `report` and `cancel` also the folder of the sweep.
    #[arg(value_name = "SWEEP")]
    pub file: PathBuf,
    /// Folder of the sweep [default: sweeps/NAME].
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

/// Consent to another base configuration.
#[derive(Clone, Copy, Debug, ClapArgs)]
pub struct NewBase {
    /// Continue although the base configuration has changed since the sweep began; trials that the change affects are run,
    /// and the earlier runs stay where they are.
    #[arg(long)]
    pub new_base: bool,
}

#[derive(Debug, Subcommand)]
pub enum SweepCommand {
    /// List the trials, time a few training steps of each network, and give the total; nothing is written.
    Check {
        #[command(flatten)]
        place: SweepPlace,
        /// Number of processes for which the total is given [default: the cores of this process].
        #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
        jobs: usize,
        #[command(flatten)]
        trust: Trust,
    },
    /// Run all trials that are missing, as processes of one thread each.
    Run {
        #[command(flatten)]
        place: SweepPlace,
        #[command(flatten)]
        pool: PoolArgs,
        /// Try trials again whose training failed; without it they are listed only, since they would fail in the same way.
        #[arg(long)]
        again: bool,
        #[command(flatten)]
        new_base: NewBase,
    },
    /// Run some trials, for cluster engines; the exit code is 0 if all of them are done, also by another process, which is waited for.
    RunTask {
        #[command(flatten)]
        place: SweepPlace,
        /// Trials, each by its number, counted from 1, or by the first digits of its name.
        #[arg(required = true, value_name = "TRIAL")]
        trials: Vec<String>,
        #[command(flatten)]
        pool: PoolArgs,
    },
    /// Show the state of every trial.
    Status {
        #[command(flatten)]
        place: SweepPlace,
    },
    /// Write a table with a row for each trial, and print means over seeds.
    Collect {
        #[command(flatten)]
        place: SweepPlace,
        /// File to write: a Parquet table if its name ends with .parquet, otherwise CSV.
        #[arg(short, long, value_name = "TABLE")]
        output: PathBuf,
        /// Write means and standard deviations over seeds instead, a row for each group.
        #[arg(long)]
        means: bool,
        /// Replace an existing file.
        #[arg(long)]
        force: bool,
    },
    /// Write an HTML page: means, best trials, the metric against each key, curves, failures.
    Report {
        #[command(flatten)]
        place: SweepPlace,
        /// File to write.
        #[arg(short, long, value_name = "FILE.html")]
        output: PathBuf,
        /// Replace an existing file.
        #[arg(long)]
        force: bool,
    },
    /// Stop everything that runs trials of the sweep: drivers on all machines, and Slurm jobs.
    Cancel {
        #[command(flatten)]
        place: SweepPlace,
    },
    /// Submit the missing trials as an array job of a cluster.
    Submit(SubmitArgs),
}

/// Settings of a pool of processes.
#[derive(Debug, ClapArgs)]
pub struct PoolArgs {
    /// Largest number of processes [default: the CPUs of a Slurm task, or the cores of this process].
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub jobs: usize,
    /// Number of further attempts at a trial whose process was killed, or that failed for another reason than its training.
    #[arg(long, value_name = "K", default_value_t = 1)]
    pub retries: u32,
    /// Stop and save after this time, such as 3h50m.
    #[arg(long, value_parser = parse_duration, value_name = "TIME")]
    pub max_time: Option<Duration>,
}

#[derive(Debug, ClapArgs)]
pub struct SubmitArgs {
    #[command(flatten)]
    pub place: SweepPlace,
    /// Submit to Slurm.
    #[arg(long, required = true)]
    pub slurm: bool,
    /// Number of trials in each task of the array.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub pack: u32,
    /// CPUs of each task, on which its trials run at the same time.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub cpus: u32,
    /// Number of tasks that run at the same time [default: no limit].
    #[arg(long, value_name = "N")]
    pub at_once: Option<u32>,
    /// Template of the job script; `--print-template` shows the built-in one.
    #[arg(long, value_name = "FILE")]
    pub template: Option<PathBuf>,
    /// Print the built-in template and do nothing else.
    #[arg(long)]
    pub print_template: bool,
    /// Write the job script but do not submit it.
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub new_base: NewBase,
    /// Further options of sbatch, such as --time=4:00:00 --partition=cpu --account=lab.
    #[arg(last = true, value_name = "SBATCH_OPTION")]
    pub options: Vec<String>,
}
