//! Definition of the command line.

mod shared;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args as ClapArgs, CommandFactory, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use ctrnn_analysis::plot::Style;
use ctrnn_analysis::{AnalysisOption, Selection};

use crate::figure::FigureFormat;
use crate::sweep::SweepArgs;

pub use shared::{Trust, parse_duration};

/// Train continuous-time recurrent neural networks on cognitive tasks.
#[derive(Debug, Parser)]
#[command(name = "train-ctrnn", version, max_term_width = 100)]
#[command(after_help = "Examples:
  train-ctrnn init my_project
  train-ctrnn train configs/smoke.toml train.batch_size=32 --seed 7
  train-ctrnn eval runs/smoke-s7 --json

Exit codes: 0 success, 2 wrong command line or configuration, 3 training failed, 4 data or
checkpoint, 5 input/output, 6 device, 75 stopped and saved (`resume` continues), 1 a bug.")]
pub struct Args {
    #[command(subcommand)]
    pub command: Command,
    #[command(flatten)]
    pub output: Output,
}

/// Options for messages and results.
#[derive(Clone, Debug, Default, ClapArgs)]
pub struct Output {
    /// Print only errors.
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Print more details.
    #[arg(short, long, global = true, conflicts_with = "quiet")]
    pub verbose: bool,
    /// Print results as JSON on stdout, and nothing else there.
    #[arg(long, global = true)]
    pub json: bool,
    /// When to use colours.
    #[arg(long, global = true, value_enum, default_value_t = When::Auto, value_name = "WHEN")]
    pub color: When,
    /// Style of the progress display; auto is a bar on a terminal and plain lines elsewhere.
    #[arg(long, global = true, value_enum, default_value_t = ProgressStyle::Auto, value_name = "STYLE")]
    pub progress: ProgressStyle,
}

/// Condition for using colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum When {
    #[default]
    Auto,
    Always,
    Never,
}

/// A style of the progress display.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ProgressStyle {
    #[default]
    Auto,
    Bar,
    Plain,
    None,
}

/// Largest value of `--trials`, the same as that of `validate.trials`.
const MOST_TRIALS: i64 = 1_000_000;

/// A subcommand.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Create a project that is ready to train.
    Init(InitArgs),
    /// List the tasks; describe or draw one, or write its trials to a file.
    Tasks(TasksArgs),
    /// Report all errors of a configuration, or show what it would train.
    Check(CheckArgs),
    /// Train a network.
    Train(TrainArgs),
    /// Continue a run from its newest undamaged checkpoint.
    Resume(ResumeArgs),
    /// Run populations of networks: grids, lists, random draws, seeds.
    Sweep(SweepArgs),
    /// Measure the accuracy and loss of a trained network.
    Eval(EvalArgs),
    /// Run a trained network and write its states to an npz file.
    Simulate(SimulateArgs),
    /// Write the weights of a run for other programs.
    Export(ExportArgs),
    /// Create a finished run from a network that another program trained.
    Import(ImportArgs),
    /// Analyse trained networks: behaviour, state space, fixed points, units, weights.
    Analyze(AnalyzeArgs),
    /// Draw one analysis of a trained network.
    Plot(PlotArgs),
    /// Write an HTML page about runs: configuration, curves, figures of all analyses.
    Report(ReportArgs),
    /// List, verify, show or remove the checkpoints of a run.
    Ckpt(CkptArgs),
    /// Inspect configurations: schema, all values, differences, one key.
    Config(ConfigArgs),
    /// Show version, machine, kernels and devices.
    Info,
    /// Print a completion script for a shell.
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Print the manual page.
    Man,
}

impl Command {
    /// Returns true if it computes with a network, on several threads.
    pub fn computes(&self) -> bool {
        !matches!(
            self,
            Self::Init(_)
                | Self::Tasks(_)
                | Self::Ckpt(_)
                | Self::Config(_)
                | Self::Completions { .. }
                | Self::Man
        )
    }
}

/// Options that depend on the machine.
#[derive(Clone, Debug, Default, ClapArgs)]
pub struct Data {
    /// Folder in which to look for the input files instead of their original place; files that have changed are refused.
    #[arg(
        long,
        value_name = "DIR",
        env = "CTRNN_DATA_ROOT",
        hide_env_values = true
    )]
    pub data_root: Option<PathBuf>,
    /// Number of CPU threads, as device.threads; 0 means all cores, or one for a small network.
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,
}

impl Data {
    /// Returns the overrides of a command line, including `--threads`.
    pub fn overrides(&self, given: &[String]) -> Vec<String> {
        let threads = self.threads.map(|n| format!("device.threads={n}"));
        given.iter().cloned().chain(threads).collect()
    }
}

const OVERRIDES: &str = "Overrides: KEY=VALUE as in the file, such as model.n_units=64; '~KEY' removes a key, and so does KEY=none unless none is a value of the key";

#[derive(Debug, ClapArgs)]
pub struct InitArgs {
    /// Folder of the project.
    #[arg(default_value = ".")]
    pub dir: PathBuf,
}

#[derive(Debug, ClapArgs)]
pub struct TasksArgs {
    #[command(subcommand)]
    pub command: TasksCommand,
}

#[derive(Debug, Subcommand)]
pub enum TasksCommand {
    /// List all tasks.
    List,
    /// Describe a task: epochs, inputs, outputs, conditions, keys and the rule for correct trials.
    Describe {
        /// Name of the task.
        name: String,
    },
    /// Draw trials of a task with its default options: inputs, targets, mask, epochs.
    Preview {
        /// Name of the task.
        name: String,
        #[command(flatten)]
        source: TrialSource,
        /// Number of trials; each is a column.
        #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=12))]
        trials: u32,
        /// File to write, .svg, .pdf or .png [default: the name of the task and .svg].
        #[arg(short, long, value_name = "FIG")]
        output: Option<PathBuf>,
        /// Replace an existing file.
        #[arg(long)]
        force: bool,
    },
    /// Write trials of a task with its default options to an npz file that the task `npz` reads.
    Export {
        /// Name of the task.
        name: String,
        #[command(flatten)]
        source: TrialSource,
        /// Number of trials, which cycle through the conditions.
        #[arg(long, value_parser = clap::value_parser!(u32).range(1..=MOST_TRIALS))]
        trials: u32,
        /// File to write.
        #[arg(short, long, value_name = "FILE.npz")]
        output: PathBuf,
        /// Replace an existing file.
        #[arg(long)]
        force: bool,
    },
}

/// Source of trials without a run.
#[derive(Debug, ClapArgs)]
pub struct TrialSource {
    /// Options of the task, as in `task.go_nogo.delay_ms=400`.
    #[arg(value_name = "KEY=VALUE")]
    pub overrides: Vec<String>,
    /// Seed of the trials.
    #[arg(long, default_value_t = 0, value_name = "S")]
    pub seed: u64,
    /// Length of a time step in ms.
    #[arg(long, default_value_t = 20.0, value_name = "MS")]
    pub dt_ms: f64,
    #[command(flatten)]
    pub trust: Trust,
}

#[derive(Debug, ClapArgs)]
pub struct CheckArgs {
    /// The configuration, a TOML file.
    pub config: PathBuf,
    #[arg(help = OVERRIDES, value_name = "KEY=VALUE")]
    pub overrides: Vec<String>,
    #[command(flatten)]
    pub data: Data,
    /// Make no trials and start no program; leaves out the results that need trials.
    #[arg(long, conflicts_with = "trust")]
    pub no_trials: bool,
    #[command(flatten)]
    pub trust: Trust,
}

/// Action if the run folder exists already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Resume {
    /// Continue a run of the same command, or begin one if there is none; a run of another command is an error.
    Auto,
    /// Begin a run; an existing one is an error.
    Never,
    /// Continue a run of the same command; it is an error if there is none.
    Must,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  train-ctrnn train configs/smoke.toml train.batch_size=32 --seed 7
  train-ctrnn train fine.toml train.optimizer.lr=1e-4 --init-from runs/smoke-s1 --checkpoint best")]
pub struct TrainArgs {
    /// The configuration, a TOML file.
    pub config: PathBuf,
    #[arg(help = OVERRIDES, value_name = "KEY=VALUE")]
    pub overrides: Vec<String>,
    /// Folder of the run [default: runs/<config>-s<seed>].
    #[arg(long, value_name = "DIR")]
    pub run_dir: Option<PathBuf>,
    /// Seed of the run, as seed=N.
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Device that computes: cpu, wgpu, wgpu:INDEX, wgpu:NAME, cuda or cuda:INDEX.
    #[arg(long, value_name = "BACKEND")]
    pub device: Option<String>,
    /// Action if the run folder exists already [default: auto under Slurm, else never].
    #[arg(long, value_enum)]
    pub resume: Option<Resume>,
    /// Replace an existing run; a requeued Slurm job continues the run that it began itself.
    #[arg(long, conflicts_with = "resume")]
    pub force: bool,
    /// Stop and save after this time, such as 3h50m; `resume` continues.
    #[arg(long, value_parser = parse_duration, value_name = "TIME")]
    pub max_time: Option<Duration>,
    /// Begin with the weights of another run: the newest, or those of RUN@best, RUN@last or RUN@STEP. The step starts at 0, and
    /// so does the optimizer's state without --with-optimizer.
    #[arg(long, visible_alias = "from", value_name = "RUN")]
    pub init_from: Option<PathBuf>,
    /// Begin with the state of that run's optimizer, too; train.optimizer.name must be the same.
    #[arg(long, requires = "init_from")]
    pub with_optimizer: bool,
    /// Checkpoint of that run to begin with: last, best or a number of steps.
    #[arg(long, value_name = "WHICH", requires = "init_from")]
    pub checkpoint: Option<String>,
    #[command(flatten)]
    pub data: Data,
    /// Check everything and report what would be done, but write nothing.
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub trust: Trust,
}

#[derive(Debug, ClapArgs)]
pub struct ResumeArgs {
    /// The run folder.
    pub run: PathBuf,
    /// Overrides of train.steps, train.schedule.steps, train.stop, train.divergence, checkpoint.*, validate.* and
    /// device.*; other keys of a run cannot change. A cosine schedule keeps its length unless train.schedule.steps is set.
    #[arg(value_name = "KEY=VALUE")]
    pub overrides: Vec<String>,
    /// Stop and save after this time, such as 3h50m.
    #[arg(long, value_parser = parse_duration, value_name = "TIME")]
    pub max_time: Option<Duration>,
    #[command(flatten)]
    pub data: Data,
    #[command(flatten)]
    pub trust: Trust,
    /// Refused, with a hint at the way that works: a run continues from its newest checkpoint.
    #[arg(long, value_name = "WHICH", hide = true)]
    pub checkpoint: Option<String>,
}

#[derive(Debug, ClapArgs)]
pub struct EvalArgs {
    /// The run folder.
    pub run: PathBuf,
    /// Overrides of validate.trials, validate.balance and of keys under task and time, such as
    /// 'task.perceptual_decision.coherences=[0.1]'.
    #[arg(value_name = "KEY=VALUE")]
    pub overrides: Vec<String>,
    /// Checkpoint to use instead of the newest weights: last, best or a number of steps.
    #[arg(long, value_name = "WHICH")]
    pub checkpoint: Option<String>,
    /// Number of trials [default: validate.trials; with task.npz.files=[...] other than the run's files, all trials].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=MOST_TRIALS))]
    pub trials: Option<u32>,
    /// Evaluate the validation trials of the run, with the noise that they had: gives the numbers of metrics.csv at the
    /// step of the weights. --validation=NAME evaluates those of [validate.NAME].
    #[arg(long, conflicts_with = "trials", value_name = "NAME", num_args = 0..=1, require_equals = true)]
    pub validation: Option<Option<String>>,
    /// Simulate the network's own noise [default: as in validation: validate.noise, which is true unless it was set].
    #[arg(long, conflicts_with = "no_noise")]
    pub noise: bool,
    /// Leave out the network's own noise.
    #[arg(long)]
    pub no_noise: bool,
    /// Evaluate only the trials in which all these conditions hold: context=motion,coh>0.1.
    #[arg(long = "where", value_name = "NAME=VALUE,...")]
    pub selection: Option<Selection>,
    /// Score each combination of the values of these conditions: context,coh.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub by: Vec<String>,
    /// Stage of a training with stages whose task, validation and noise are used: its name or number [default: the last].
    #[arg(long, value_name = "STAGE")]
    pub stage: Option<String>,
    #[command(flatten)]
    pub data: Data,
    #[command(flatten)]
    pub trust: Trust,
    #[command(flatten)]
    pub perturb: PerturbArgs,
}

#[derive(Debug, ClapArgs)]
pub struct SimulateArgs {
    /// The run folder.
    pub run: PathBuf,
    /// Overrides of keys under task and time; with --inputs, only under time.
    #[arg(value_name = "KEY=VALUE")]
    pub overrides: Vec<String>,
    /// Checkpoint to use instead of the newest weights: last, best or a number of steps.
    #[arg(long, value_name = "WHICH")]
    pub checkpoint: Option<String>,
    /// Number of trials of the task, which cycle through the conditions [default: one of each condition; with
    /// task.npz.files=[...] other than the run's files, all trials].
    #[arg(long, value_name = "N", conflicts_with = "inputs", value_parser = clap::value_parser!(u32).range(1..=MOST_TRIALS))]
    pub trials: Option<u32>,
    /// Simulate the validation trials of the run, with --noise with the noise that they have there. --validation=NAME: those of
    /// [validate.NAME].
    #[arg(long, conflicts_with_all = ["trials", "inputs"], value_name = "NAME", num_args = 0..=1, require_equals = true)]
    pub validation: Option<Option<String>>,
    /// File of inputs to use instead of trials: inputs [B,T,I] and optionally initial_state, preactivation_noise,
    /// postactivation_noise, and with short-term plasticity initial_utilisation, initial_resources.
    #[arg(long, value_name = "FILE.npz")]
    pub inputs: Option<PathBuf>,
    /// Simulate the network's own noise.
    #[arg(long)]
    pub noise: bool,
    /// Stage of a training with stages whose task, validation and noise are used: its name or number [default: the last].
    #[arg(long, value_name = "STAGE")]
    pub stage: Option<String>,
    #[command(flatten)]
    pub data: Data,
    #[command(flatten)]
    pub trust: Trust,
    /// Compute in double precision.
    #[arg(long)]
    pub f64: bool,
    /// Arrays to write: potentials, rates, synapses (utilisation and resources), inputs, outputs [default: all].
    #[arg(long, value_name = "ARRAYS", value_delimiter = ',', value_enum)]
    pub record: Vec<Recorded>,
    #[command(flatten)]
    pub perturb: PerturbArgs,
    /// File to write.
    #[arg(short, long, value_name = "STATES.npz")]
    pub output: PathBuf,
    /// Replace an existing file.
    #[arg(long)]
    pub force: bool,
}

/// A format of exported weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// A file for numpy, with the configuration as bytes of JSON.
    Npz,
    /// A file with the configuration in its metadata.
    Safetensors,
    /// A folder: weights.safetensors, and torch_model.py, which runs the network and needs only torch.
    Torch,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  train-ctrnn export runs/smoke-s1 --to npz -o smoke.npz
  train-ctrnn export runs/smoke-s1 --to torch -o smoke_torch")]
pub struct ExportArgs {
    /// The run folder.
    pub run: PathBuf,
    /// Format to write.
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub to: ExportFormat,
    /// Checkpoint to use instead of the newest weights: last, best or a number of steps.
    #[arg(long, value_name = "WHICH")]
    pub checkpoint: Option<String>,
    #[command(flatten)]
    pub data: Data,
    /// File to write; a folder with `--to torch`.
    #[arg(short, long, value_name = "PATH")]
    pub output: PathBuf,
    /// Replace an existing file, or a folder of an earlier export.
    #[arg(long)]
    pub force: bool,
}

/// A format of weights from another program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ImportFormat {
    /// torch.save of the state_dict of a torch.nn.RNN, with or without a linear readout.
    Torch,
    /// torch.save of the state_dict of nn4n's CTRNN, version 1.1.1 or 1.2.0.
    Nn4n,
    /// PsychRNN's Basic.save.
    Psychrnn,
    /// np.savez of arrays named as in train-ctrnn, or `export --to npz`.
    Npz,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  train-ctrnn import model.pt --from nn4n -o runs/nn4n model.activation=tanh time.dt_ms=10
  train-ctrnn import checkpoint.pt --from torch --entry model -o runs/torch
  train-ctrnn import weights.npz --from psychrnn -o runs/psychrnn model.tau_ms=50 'task.perceptual_decision={}'

Values that the file does not contain are assumed; a note names each of them, and overrides change them.
docs/python.md explains how the conventions of each program are converted.")]
pub struct ImportArgs {
    /// File of weights. Nothing in it is executed.
    pub file: PathBuf,
    #[arg(help = OVERRIDES, value_name = "KEY=VALUE")]
    pub overrides: Vec<String>,
    /// Program that wrote it.
    #[arg(long, value_enum, value_name = "PROGRAM")]
    pub from: ImportFormat,
    /// Key of the state_dict in a file of torch.save that holds several, such as model or ema.model.
    #[arg(long, value_name = "NAME")]
    pub entry: Option<String>,
    #[command(flatten)]
    pub data: Data,
    /// Folder of the run.
    #[arg(short, long, value_name = "RUN")]
    pub output: PathBuf,
    /// Replace an existing run.
    #[arg(long)]
    pub force: bool,
}

/// An array of a simulation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Recorded {
    Potentials,
    Rates,
    Synapses,
    Inputs,
    Outputs,
}

/// Perturbations of a network while it runs. UNITS are numbers from 0 and ranges, such as 3,8-11, and groups: all, e and
/// i (Dale's law), area:NAME and the names of cell types (model.areas), sign:+ and sign:- (by their outgoing weights),
/// cluster:K (of the last `analyze RUN task_variance`);
/// GROUP:FRACTION is a random fraction of a group, by the seed of the run. WINDOW is a time in ms, such as 200..400, 200.. or ..400, or an epoch of the trials, such as
/// stimulus; without it the perturbation lasts for the whole trial.
#[derive(Clone, Debug, Default, ClapArgs)]
#[command(next_help_heading = "Perturbations")]
pub struct PerturbArgs {
    /// Set the rates of these units to 0: e:0.25@stimulus. UNITS: 3,8-11, all, e, i, sign:+, area:NAME, a cell type,
    /// cluster:0, GROUP:FRACTION; in a layer below the last one layers.0.UNITS. WINDOW: ms, such as 200..400, or an epoch.
    #[arg(long, value_name = "UNITS[@WINDOW]")]
    pub silence: Vec<String>,
    /// Set the outgoing weights of these units to zero; their own rates are unaffected: 3,8-11@200..400.
    #[arg(long, value_name = "UNITS[@WINDOW]")]
    pub lesion: Vec<String>,
    /// Clamp the rates of these units to a value: 4@delay=0.5.
    #[arg(long, value_name = "UNITS[@WINDOW]=RATE")]
    pub clamp: Vec<String>,
    /// Inject a current into units, in addition to W_in u: 0-9@200..400=0.5.
    #[arg(long, value_name = "UNITS[@WINDOW]=VALUE")]
    pub current: Vec<String>,
    /// Set the recurrent connections from presynaptic to postsynaptic units to zero: 0-9>20-29@delay.
    #[arg(long, value_name = "PRE>POST[@WINDOW]")]
    pub cut: Vec<String>,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = format!("{}\n\n{}", analyses_help(), population_help()))]
pub struct AnalyzeArgs {
    /// The run folder; or a sweep, its file or its folder.
    #[arg(value_name = "RUN")]
    pub run: PathBuf,
    /// Further run folders, which are analysed together with the first; names of analyses, or `all` for every one that applies to the task;
    /// KEY=VALUE overrides of keys under task and time; ANALYSIS.KEY=VALUE settings of an analysis.
    #[arg(required = true, value_name = "WHAT")]
    pub what: Vec<String>,
    #[command(flatten)]
    pub trials: AnalyzedTrials,
    /// Folder to write to [default: RUN/analysis, or that of the sweep, where results of earlier analyses are replaced].
    #[arg(short, long, value_name = "DIR")]
    pub output: Option<PathBuf>,
    /// Formats of the figures.
    #[arg(
        long,
        value_name = "FORMATS",
        value_delimiter = ',',
        value_enum,
        default_value = "svg"
    )]
    pub format: Vec<FigureFormat>,
    /// Width of the figures in mm and font size in points: width=85,font=7, or one of them.
    #[arg(long, value_name = "STYLE", default_value = "font=7")]
    pub style: Style,
    /// Replace existing files.
    #[arg(long)]
    pub force: bool,
}

/// The network and the trials to be analysed.
#[derive(Clone, Debug, Default, ClapArgs)]
pub struct AnalyzedTrials {
    /// Checkpoint to use instead of the newest weights: last, best or a number of steps.
    #[arg(long, value_name = "WHICH")]
    pub checkpoint: Option<String>,
    /// Number of trials, which cycle through the conditions [default: 50 of each condition, but 200 to 1000 in all; with
    /// task.npz.files=[...] other than the run's files, all trials].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=MOST_TRIALS))]
    pub trials: Option<u32>,
    /// Simulate the network's own noise.
    #[arg(long)]
    pub noise: bool,
    /// Analyse only the trials in which all these conditions hold: context=motion,coh>0.1.
    #[arg(long = "where", value_name = "NAME=VALUE,...")]
    pub selection: Option<Selection>,
    /// Analyse only the units of this area of model.areas; analyses of the whole network refuse it.
    #[arg(long, value_name = "NAME")]
    pub area: Option<String>,
    /// Analyse the units of this layer of model.layer, counted from 0 at the inputs [default: the last]; choices stay those of the
    /// network.
    #[arg(long, value_name = "K")]
    pub layer: Option<usize>,
    /// Group or split the trials by these conditions, crossed: context,coh. Analyses of weights and of training do not
    /// depend on it.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub by: Vec<String>,
    /// Another run of the task to compare with; may be repeated.
    #[arg(long, value_name = "RUN")]
    pub with: Vec<PathBuf>,
    /// Stage of a training with stages whose task, validation and noise are used: its name or number [default: the last].
    #[arg(long, value_name = "STAGE")]
    pub stage: Option<String>,
    #[command(flatten)]
    pub data: Data,
    #[command(flatten)]
    pub trust: Trust,
    #[command(flatten)]
    pub perturb: PerturbArgs,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = analyses_help())]
pub struct PlotArgs {
    /// The run folder.
    pub run: PathBuf,
    /// Name of an analysis, KEY=VALUE overrides of keys under task and time, and ANALYSIS.KEY=VALUE settings.
    #[arg(required = true, value_name = "WHAT")]
    pub what: Vec<String>,
    #[command(flatten)]
    pub trials: AnalyzedTrials,
    /// File to write, .svg, .pdf or .png; further figures of the analysis are named by it and a suffix. Next to them are
    /// written the arrays as npz and a Python script that draws each figure with matplotlib.
    #[arg(short, long, value_name = "FIG")]
    pub output: PathBuf,
    /// Width of the figure in mm and font size in points: width=85,font=7, or one of them.
    #[arg(long, value_name = "STYLE", default_value = "font=7")]
    pub style: Style,
    /// Replace existing files.
    #[arg(long)]
    pub force: bool,
}

#[derive(Debug, ClapArgs)]
pub struct ReportArgs {
    /// The run folder; or a sweep, its file or its folder.
    #[arg(value_name = "RUN")]
    pub run: PathBuf,
    /// Further run folders, for a page about all of them.
    #[arg(value_name = "RUN")]
    pub further: Vec<PathBuf>,
    #[command(flatten)]
    pub trials: AnalyzedTrials,
    /// File to write [default: report.html in the folder of the run or sweep, which replaces an earlier report].
    #[arg(short, long, value_name = "FILE.html")]
    pub output: Option<PathBuf>,
    /// Replace an existing file.
    #[arg(long)]
    pub force: bool,
}

/// Lists the analyses, one on each line.
fn analyses_help() -> String {
    let lines: String = ctrnn_analysis::ANALYSES
        .iter()
        .map(|analysis| format!("  {:14} {}\n", analysis.name, analysis.summary))
        .collect();
    let settings: String = ctrnn_analysis::ANALYSES
        .iter()
        .flat_map(|analysis| {
            let options = analysis.options.list().into_iter();
            options.map(|option| setting_help(analysis.name, &option))
        })
        .collect();
    format!(
        "Analyses:\n{lines}\nSettings, as in `analyze RUN lyapunov lyapunov.n_steps=5000`:\n{settings}\nThe trials are those of \
         `simulate`. The network's noise is off unless --noise is given."
    )
}

/// Lists the analyses of several networks, one on each line.
fn population_help() -> String {
    let analyses = ctrnn_analysis::POPULATION_ANALYSES.iter();
    let lines = analyses.map(|analysis| format!("  {:14} {}\n", analysis.name, analysis.summary));
    format!(
        "Analyses of several runs, as in `analyze RUN RUN compare -o DIR`, or of a sweep, as in `analyze SWEEP similarity`; all networks see the \
         trials of the first:\n{}",
        lines.collect::<String>()
    )
}

/// Formats a setting of an analysis with its default and the first sentence of its documentation.
fn setting_help(analysis: &str, option: &AnalysisOption) -> String {
    let summary = option.summary.split("\n\n").next().unwrap_or_default();
    let default = match &option.default {
        serde_json::Value::Null => String::new(),
        value => format!(" [default: {value}]"),
    };
    let key = format!("{analysis}.{}", option.key);
    format!("  {key}\n      {}{default}\n", summary.replace('\n', " "))
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  train-ctrnn ckpt list runs/smoke-s7
  train-ctrnn ckpt verify runs/smoke-s7 --json
  train-ctrnn ckpt show runs/smoke-s7 best
  train-ctrnn ckpt prune runs/smoke-s7 --keep 1 --dry-run")]
pub struct CkptArgs {
    #[command(subcommand)]
    pub command: CkptCommand,
}

#[derive(Debug, Subcommand)]
pub enum CkptCommand {
    /// List the checkpoints with their sizes, reading only their manifests.
    List {
        /// The run folder.
        run: PathBuf,
    },
    /// Verify every byte of the checkpoints; the exit code is 4 if one is damaged.
    Verify {
        /// The run folder.
        run: PathBuf,
        /// Checkpoints to verify: last, best or numbers of steps [default: all].
        #[arg(value_name = "WHICH")]
        which: Vec<String>,
    },
    /// Show the content of a checkpoint: counters, and every array with its shape and range.
    Show {
        /// The run folder.
        run: PathBuf,
        /// Checkpoint to show: last, best or a number of steps.
        #[arg(value_name = "WHICH", default_value = "last")]
        which: String,
    },
    /// Remove older checkpoints, except `last`, `best` and the newest undamaged one.
    Prune {
        /// The run folder.
        run: PathBuf,
        /// Number of the newest checkpoints to keep [default: the run's checkpoint.keep_last].
        #[arg(long, value_name = "N")]
        keep: Option<usize>,
        /// Report what would be removed, but remove nothing.
        #[arg(long)]
        dry_run: bool,
    },
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  train-ctrnn config show runs/smoke-s7
  train-ctrnn config diff runs/smoke-s7 configs/smoke.toml
  train-ctrnn config explain tau_ms")]
pub struct ConfigArgs {
    #[command(subcommand)]
    pub command: ConfigCommand,
}

#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Print the JSON schema of configurations, for editors.
    Schema,
    /// Print all values of a run or of a configuration.
    Show {
        /// A run folder or a TOML file.
        run: PathBuf,
        #[arg(help = OVERRIDES, value_name = "KEY=VALUE")]
        overrides: Vec<String>,
    },
    /// Compare the values of two configurations; the exit code is 0 whether or not they differ.
    Diff {
        /// A run folder or a TOML file.
        a: PathBuf,
        /// Another run folder or TOML file.
        b: PathBuf,
    },
    /// Explain a key: its meaning, unit, default and allowed values; or list the keys of a table, one on each line.
    Explain {
        /// Key or table, such as model.tau_ms, tau_ms or model [default: all tables].
        key: Option<String>,
    },
}

/// Returns the completion script for a shell.
pub fn completions(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "train-ctrnn", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

/// Returns the manual page.
pub fn manual() -> String {
    let mut page = Vec::new();
    let rendered = clap_mangen::Man::new(Args::command()).render(&mut page);
    rendered.expect("writing to memory succeeds");
    String::from_utf8_lossy(&page).into_owned()
}
