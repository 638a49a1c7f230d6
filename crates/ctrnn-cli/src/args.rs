//! The command line: what may be typed.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args as ClapArgs, CommandFactory, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::trust::Trust;

/// Train continuous-time recurrent neural networks on cognitive tasks.
#[derive(Debug, Parser)]
#[command(name = "train-ctrnn", version, max_term_width = 100)]
#[command(after_help = "Examples:
  train-ctrnn init my_project
  train-ctrnn train configs/smoke.toml train.batch_size=32 --seed 7
  train-ctrnn eval runs/smoke-s7 --json

Exit codes: 0 done, 2 wrong command line or configuration, 3 training failed, 4 data or checkpoint,
5 input/output, 6 device, 75 stopped and saved (`resume` continues), 1 a bug.")]
pub struct Args {
    #[command(subcommand)]
    pub command: Command,
    #[command(flatten)]
    pub output: Output,
}

/// How to talk to the user.
#[derive(Clone, Debug, Default, ClapArgs)]
pub struct Output {
    /// Say nothing but errors.
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Say more.
    #[arg(short, long, global = true, conflicts_with = "quiet")]
    pub verbose: bool,
    /// Print results as JSON on stdout, and nothing else there.
    #[arg(long, global = true)]
    pub json: bool,
    /// When to use colours.
    #[arg(long, global = true, value_enum, default_value_t = When::Auto, value_name = "WHEN")]
    pub color: When,
    /// How to show progress; auto is a bar on a terminal and plain lines elsewhere.
    #[arg(long, global = true, value_enum, default_value_t = ProgressStyle::Auto, value_name = "STYLE")]
    pub progress: ProgressStyle,
}

/// When to do something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum When {
    #[default]
    Auto,
    Always,
    Never,
}

/// How to show progress.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ProgressStyle {
    #[default]
    Auto,
    Bar,
    Plain,
    None,
}

/// The bound of `--trials`, which is that of `validate.trials`.
const MOST_TRIALS: i64 = 1_000_000;

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a project that runs at once.
    Init(InitArgs),
    /// List the tasks; describe or draw one, or write trials of one to a file.
    Tasks(TasksArgs),
    /// Find everything that is wrong with a configuration; then show what it would train.
    Check(CheckArgs),
    /// Train a network.
    Train(TrainArgs),
    /// Continue a run from its newest whole checkpoint.
    Resume(ResumeArgs),
    /// Measure how a trained network does.
    Eval(EvalArgs),
    /// Run a trained network and write every state to an npz file.
    Simulate(SimulateArgs),
    /// Write the weights of a run for other programs.
    Export(ExportArgs),
    /// Make a finished run of a network that another program trained.
    Import(ImportArgs),
    /// Analyse a trained network: behaviour, state space, fixed points, units, weights.
    Analyze(AnalyzeArgs),
    /// Draw one analysis of a trained network.
    Plot(PlotArgs),
    /// Write a page about a run: configuration, curves, behaviour, state space, weights.
    Report(ReportArgs),
    /// List, check, show or remove the checkpoints of a run.
    Ckpt(CkptArgs),
    /// Look at configurations: schema, every value, differences, one key.
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
    /// Whether it computes with a network, on as many threads as there are for it.
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

/// Options that differ from machine to machine.
#[derive(Clone, Debug, Default, ClapArgs)]
pub struct Data {
    /// Folder in which the input files are looked for instead of where they were; others than they were are refused.
    #[arg(
        long,
        value_name = "DIR",
        env = "CTRNN_DATA_ROOT",
        hide_env_values = true
    )]
    pub data_root: Option<PathBuf>,
    /// Number of CPU threads, as device.threads; 0: all cores, one for a small network.
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,
}

impl Data {
    /// The overrides of a command line, with `--threads` among them.
    pub fn overrides(&self, given: &[String]) -> Vec<String> {
        let threads = self.threads.map(|n| format!("device.threads={n}"));
        given.iter().cloned().chain(threads).collect()
    }
}

const OVERRIDES: &str = "Overrides: KEY=VALUE as in the file, such as model.n_units=64; '~KEY' removes, and so does KEY=none unless none is a value of the key";

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
    /// Describe a task: epochs, inputs, outputs, conditions, keys, what counts as correct.
    Describe {
        /// Name of the task.
        name: String,
    },
    /// Draw trials of a task, with complete defaults: inputs, targets, mask, epochs.
    Preview {
        /// Name of the task.
        name: String,
        #[command(flatten)]
        source: TrialSource,
        /// Number of trials, each in a column.
        #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=12))]
        trials: u32,
        /// File to write, .svg or .png [default: the name of the task and .svg].
        #[arg(short, long, value_name = "FIG")]
        output: Option<PathBuf>,
        /// Replace a file that is there.
        #[arg(long)]
        force: bool,
    },
    /// Write trials of a task, with complete defaults, to an npz file that the npz task reads.
    Export {
        /// Name of the task.
        name: String,
        #[command(flatten)]
        source: TrialSource,
        /// Number of trials; the conditions take turns.
        #[arg(long, value_parser = clap::value_parser!(u32).range(1..=MOST_TRIALS))]
        trials: u32,
        /// File to write.
        #[arg(short, long, value_name = "FILE.npz")]
        output: PathBuf,
        /// Replace a file that is there.
        #[arg(long)]
        force: bool,
    },
}

/// Where trials come from that no run needs.
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
    /// Make no trials: start no program, and leave out what they would tell.
    #[arg(long, conflicts_with = "trust")]
    pub no_trials: bool,
    #[command(flatten)]
    pub trust: Trust,
}

/// What to do about a run folder that is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Resume {
    /// Continue where there is a run of the same command, begin one where there is none; a run of another command is an error.
    Auto,
    /// Begin a run; one that is there is an error.
    Never,
    /// Continue a run of the same command; no run is an error.
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
    /// The seed, as seed=N.
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// What computes: cpu, wgpu, wgpu:INDEX, wgpu:NAME, cuda or cuda:INDEX.
    #[arg(long, value_name = "BACKEND")]
    pub device: Option<String>,
    /// What to do if the run folder is there already [default: auto under Slurm, else never].
    #[arg(long, value_enum)]
    pub resume: Option<Resume>,
    /// Replace a run that is there.
    #[arg(long, conflicts_with = "resume")]
    pub force: bool,
    /// Stop and save after this time, such as 3h50m; `resume` continues.
    #[arg(long, value_parser = parse_duration, value_name = "TIME")]
    pub max_time: Option<Duration>,
    /// Begin with the newest weights of another run; the optimizer and the step start at 0.
    #[arg(long, value_name = "RUN")]
    pub init_from: Option<PathBuf>,
    /// The checkpoint of that run to begin with: last, best or a number of steps.
    #[arg(long, value_name = "WHICH", requires = "init_from")]
    pub checkpoint: Option<String>,
    #[command(flatten)]
    pub data: Data,
    /// Check everything and say what would be done, but write nothing.
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub trust: Trust,
}

#[derive(Debug, ClapArgs)]
pub struct ResumeArgs {
    /// The run folder.
    pub run: PathBuf,
    /// Overrides of train.steps, train.schedule.steps, train.stop, train.divergence, checkpoint.*, validate.* and device.*; other keys
    /// are fixed in a run. A cosine schedule keeps its length unless train.schedule.steps says otherwise.
    #[arg(value_name = "KEY=VALUE")]
    pub overrides: Vec<String>,
    /// Stop and save after this time, such as 3h50m.
    #[arg(long, value_parser = parse_duration, value_name = "TIME")]
    pub max_time: Option<Duration>,
    #[command(flatten)]
    pub data: Data,
    #[command(flatten)]
    pub trust: Trust,
    /// Refused, with the way that works: a run goes on from its newest checkpoint.
    #[arg(long, value_name = "WHICH", hide = true)]
    pub checkpoint: Option<String>,
}

#[derive(Debug, ClapArgs)]
pub struct EvalArgs {
    /// The run folder.
    pub run: PathBuf,
    /// Overrides of validate.trials and under task and time, such as 'task.perceptual_decision.coherences=[0.1]'.
    #[arg(value_name = "KEY=VALUE")]
    pub overrides: Vec<String>,
    /// A checkpoint instead of the newest weights: last, best or a number of steps.
    #[arg(long, value_name = "WHICH")]
    pub checkpoint: Option<String>,
    /// Number of trials [default: validate.trials; all of other files than the run's, task.npz.files=[...]].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=MOST_TRIALS))]
    pub trials: Option<u32>,
    /// With the network's own noise.
    #[arg(long)]
    pub noise: bool,
    #[command(flatten)]
    pub data: Data,
    #[command(flatten)]
    pub trust: Trust,
}

#[derive(Debug, ClapArgs)]
pub struct SimulateArgs {
    /// The run folder.
    pub run: PathBuf,
    /// Overrides under task and time; with --inputs, under time.
    #[arg(value_name = "KEY=VALUE")]
    pub overrides: Vec<String>,
    /// A checkpoint instead of the newest weights: last, best or a number of steps.
    #[arg(long, value_name = "WHICH")]
    pub checkpoint: Option<String>,
    /// Number of trials of the task; the conditions take turns [default: one of each condition; all of other files than the
    /// run's, task.npz.files=[...]].
    #[arg(long, value_name = "N", conflicts_with = "inputs", value_parser = clap::value_parser!(u32).range(1..=MOST_TRIALS))]
    pub trials: Option<u32>,
    /// Inputs instead of trials: inputs [B,T,I] and optionally initial_state, preactivation_noise, postactivation_noise.
    #[arg(long, value_name = "FILE.npz")]
    pub inputs: Option<PathBuf>,
    /// With the network's own noise.
    #[arg(long)]
    pub noise: bool,
    #[command(flatten)]
    pub data: Data,
    #[command(flatten)]
    pub trust: Trust,
    /// Compute in double precision.
    #[arg(long)]
    pub f64: bool,
    /// The arrays to write: potentials, rates, inputs, outputs [default: all].
    #[arg(long, value_name = "ARRAYS", value_delimiter = ',', value_enum)]
    pub record: Vec<Recorded>,
    #[command(flatten)]
    pub perturb: PerturbArgs,
    /// File to write.
    #[arg(short, long, value_name = "STATES.npz")]
    pub output: PathBuf,
    /// Replace a file that is there.
    #[arg(long)]
    pub force: bool,
}

/// What weights are written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// A file for numpy, with the configuration as bytes of JSON.
    Npz,
    /// A file with the configuration in its metadata.
    Safetensors,
    /// A folder: weights.safetensors, and torch_model.py, which runs the network with torch alone.
    Torch,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  train-ctrnn export runs/smoke-s1 --to npz -o smoke.npz
  train-ctrnn export runs/smoke-s1 --to torch -o smoke_torch")]
pub struct ExportArgs {
    /// The run folder.
    pub run: PathBuf,
    /// What to write.
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub to: ExportFormat,
    /// A checkpoint instead of the newest weights: last, best or a number of steps.
    #[arg(long, value_name = "WHICH")]
    pub checkpoint: Option<String>,
    #[command(flatten)]
    pub data: Data,
    /// File to write, or folder with `--to torch`.
    #[arg(short, long, value_name = "PATH")]
    pub output: PathBuf,
    /// Replace a file that is there, or a folder of another export.
    #[arg(long)]
    pub force: bool,
}

/// What wrote the weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ImportFormat {
    /// torch.save of the state_dict of a torch.nn.RNN, with or without a linear readout.
    Torch,
    /// torch.save of the state_dict of nn4n's CTRNN, version 1.1.1 or 1.2.0.
    Nn4n,
    /// PsychRNN's Basic.save.
    Psychrnn,
    /// np.savez of arrays by our names, or `export --to npz`.
    Npz,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  train-ctrnn import model.pt --from nn4n -o runs/nn4n model.activation=tanh time.dt_ms=10
  train-ctrnn import checkpoint.pt --from torch --entry model -o runs/torch
  train-ctrnn import weights.npz --from psychrnn -o runs/psychrnn model.tau_ms=50 'task.perceptual_decision={}'

What a file does not say is assumed, told as a note, and changed by overrides; docs/python.md says how each program's
conventions become ours.")]
pub struct ImportArgs {
    /// The file of weights. Nothing in it is executed.
    pub file: PathBuf,
    #[arg(help = OVERRIDES, value_name = "KEY=VALUE")]
    pub overrides: Vec<String>,
    /// What wrote it.
    #[arg(long, value_enum, value_name = "PROGRAM")]
    pub from: ImportFormat,
    /// Key of the state_dict in a file of torch.save that holds several, such as model or ema.model.
    #[arg(long, value_name = "NAME")]
    pub entry: Option<String>,
    /// Folder of the run.
    #[arg(short, long, value_name = "RUN")]
    pub output: PathBuf,
    /// Replace a run that is there.
    #[arg(long)]
    pub force: bool,
}

/// An array of a simulation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Recorded {
    Potentials,
    Rates,
    Inputs,
    Outputs,
}

/// What is done to a network while it runs. Units are numbers from 0 and ranges, such as 3,8-11.
#[derive(Clone, Debug, Default, ClapArgs)]
pub struct PerturbArgs {
    /// A current into units from one time to another, beside W_in u: 0-9@200..400=0.5.
    #[arg(long, value_name = "UNITS@FROM..TO=VALUE")]
    pub current: Vec<String>,
    /// Units that nobody hears any more.
    #[arg(long, value_name = "UNITS")]
    pub lesion: Vec<String>,
    /// Recurrent connections that are zero, from presynaptic to postsynaptic units: 0-9>20-29.
    #[arg(long, value_name = "PRE>POST")]
    pub cut: Vec<String>,
    /// Units whose rate is held: 4=0.5.
    #[arg(long, value_name = "UNITS=RATE")]
    pub clamp: Vec<String>,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = analyses_help())]
pub struct AnalyzeArgs {
    /// The run folder.
    pub run: PathBuf,
    /// Names of analyses, or `all` of those that suit the task; KEY=VALUE overrides under task and time.
    #[arg(required = true, value_name = "WHAT")]
    pub what: Vec<String>,
    #[command(flatten)]
    pub trials: AnalyzedTrials,
    /// Folder to write to [default: RUN/analysis, where what earlier analyses wrote is replaced].
    #[arg(short, long, value_name = "DIR")]
    pub output: Option<PathBuf>,
    /// Replace files that are there.
    #[arg(long)]
    pub force: bool,
}

/// Which network goes through which trials.
#[derive(Clone, Debug, Default, ClapArgs)]
pub struct AnalyzedTrials {
    /// A checkpoint instead of the newest weights: last, best or a number of steps.
    #[arg(long, value_name = "WHICH")]
    pub checkpoint: Option<String>,
    /// Number of trials; the conditions take turns [default: 50 of each condition, 200 to 1000; all of other files than the
    /// run's, task.npz.files=[...]].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=MOST_TRIALS))]
    pub trials: Option<u32>,
    /// With the network's own noise.
    #[arg(long)]
    pub noise: bool,
    /// Another run of the task to compare with; may be given several times.
    #[arg(long, value_name = "RUN")]
    pub with: Vec<PathBuf>,
    #[command(flatten)]
    pub data: Data,
    #[command(flatten)]
    pub trust: Trust,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = analyses_help())]
pub struct PlotArgs {
    /// The run folder.
    pub run: PathBuf,
    /// Name of an analysis, and KEY=VALUE overrides under task and time.
    #[arg(required = true, value_name = "WHAT")]
    pub what: Vec<String>,
    #[command(flatten)]
    pub trials: AnalyzedTrials,
    /// File to write, .svg or .png; further figures of the analysis get its name and a suffix.
    #[arg(short, long, value_name = "FIG")]
    pub output: PathBuf,
    /// Replace files that are there.
    #[arg(long)]
    pub force: bool,
}

#[derive(Debug, ClapArgs)]
pub struct ReportArgs {
    /// The run folder.
    pub run: PathBuf,
    #[command(flatten)]
    pub trials: AnalyzedTrials,
    /// File to write [default: RUN/report.html, where an earlier report is replaced].
    #[arg(short, long, value_name = "FILE.html")]
    pub output: Option<PathBuf>,
    /// Replace a file that is there.
    #[arg(long)]
    pub force: bool,
}

/// The analyses, a line for each.
fn analyses_help() -> String {
    let line = |analysis: &ctrnn_analysis::Analysis| {
        format!("  {:14} {}\n", analysis.name, analysis.summary)
    };
    let lines: String = ctrnn_analysis::ANALYSES.iter().map(line).collect();
    format!(
        "Analyses:\n{lines}\nThe trials are those of `simulate`, without the network's noise unless --noise is given."
    )
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
    /// List the checkpoints with their sizes, by their manifests alone.
    List {
        /// The run folder.
        run: PathBuf,
    },
    /// Read every byte of the checkpoints and check it; a damaged one is exit code 4.
    Verify {
        /// The run folder.
        run: PathBuf,
        /// The checkpoints: last, best or numbers of steps [default: all].
        #[arg(value_name = "WHICH")]
        which: Vec<String>,
    },
    /// Show what a checkpoint holds: counters, and every array with its shape and range.
    Show {
        /// The run folder.
        run: PathBuf,
        /// The checkpoint: last, best or a number of steps.
        #[arg(value_name = "WHICH", default_value = "last")]
        which: String,
    },
    /// Remove older checkpoints; those that `last` and `best` name and the newest whole one stay.
    Prune {
        /// The run folder.
        run: PathBuf,
        /// How many of the newest stay [default: the run's checkpoint.keep_last].
        #[arg(long, value_name = "N")]
        keep: Option<usize>,
        /// Say what would be removed, but remove nothing.
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
    /// Print every value of a run or of a configuration.
    Show {
        /// A run folder or a TOML file.
        run: PathBuf,
        #[arg(help = OVERRIDES, value_name = "KEY=VALUE")]
        overrides: Vec<String>,
    },
    /// Compare two configurations by their values; the exit code is 0 whether or not they differ.
    Diff {
        /// A run folder or a TOML file.
        a: PathBuf,
        /// Another one.
        b: PathBuf,
    },
    /// Explain a key: what it is, its unit, its default, the values it takes; or list the keys of a table with a line each.
    Explain {
        /// The key or table, such as model.tau_ms, tau_ms or model [default: all tables].
        key: Option<String>,
    },
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no time; write for instance 3h50m, 90s or 45m");
    let duration: jiff::SignedDuration = text.parse().map_err(|_| wrong())?;
    Duration::try_from(duration).map_err(|_| wrong())
}

/// The completion script of a shell.
pub fn completions(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "train-ctrnn", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

/// The manual page.
pub fn manual() -> String {
    let mut page = Vec::new();
    let rendered = clap_mangen::Man::new(Args::command()).render(&mut page);
    rendered.expect("writing to memory succeeds");
    String::from_utf8_lossy(&page).into_owned()
}
