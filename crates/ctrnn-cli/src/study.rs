//! From a run folder to what analyses start from.

use std::path::Path;

use burn::tensor::backend::AutodiffBackend;
use ctrnn_analysis::{
    Analysis, Dynamics, Findings, Metrics, Peer, Study, Unsuitable, analysis, simulate,
    three_dimensional,
};
use ctrnn_files::{Array, RunFolder};
use ctrnn_model::{CtrnnModule, Forward, Matrix, Noise, RecurrenceBackend};
use ctrnn_random::{Key, Stream};
use ctrnn_tasks::{Registry, TrialBatch};
use ctrnn_train::{
    Run, condition_numbers, evaluation_trials, initial_network, only_under, trained_network,
    word_like,
};

use crate::args::AnalyzedTrials;
use crate::backend::{CheckEvery, Job, with_backend};
use crate::eval::{evaluation_noise, note_unused_noise};
use crate::failure::{DATA, Failure, USAGE};
use crate::run_path::existing_with_data;
use crate::terminal::Terminal;

/// Most numbers in the rates of all trials: 160 MB in double precision.
const MOST_STATES: usize = 20_000_000;

/// The words of a command line that name something, and the overrides among them.
pub fn names_and_overrides(words: &[String]) -> (Vec<String>, Vec<String>) {
    let is_override = |word: &&String| word.contains('=') || word.starts_with('~');
    let (overrides, names) = words.iter().partition::<Vec<&String>, _>(is_override);
    let owned = |words: Vec<&String>| words.into_iter().cloned().collect();
    (owned(names), owned(overrides))
}

/// The analysis of a name.
pub fn named(name: &str) -> Result<&'static Analysis, Failure> {
    analysis(name).ok_or_else(|| {
        let names: Vec<&str> = ctrnn_analysis::ANALYSES
            .iter()
            .map(|analysis| analysis.name)
            .collect();
        let what = format!("{name:?} is not an analysis");
        let near = word_like(name, names.iter().copied());
        let near = near.map_or(String::new(), |near| format!("did you mean {near}? "));
        let help = format!("{near}analyses: all, {}", names.join(", "));
        Failure::new(USAGE, "C033", what, help)
    })
}

/// Says which options have no effect on any of these analyses.
pub fn note_unused(args: &AnalyzedTrials, names: &[&str], run: &Run, terminal: &Terminal) {
    note_unused_noise(args.noise, run, terminal);
    let note = |option: &str, why: &str| terminal.note(format!("{option} has no effect: {why}"));
    if !args.with.is_empty() && !names.iter().any(|name| OF_PEERS.contains(name)) {
        note(
            "--with",
            "only the analyses curves and comparison look at other runs",
        );
    }
    if names.iter().all(|name| *name == "curves") {
        let why = "curves are those of the training";
        let options = [
            ("--checkpoint", args.checkpoint.is_some()),
            ("--trials", args.trials.is_some()),
            ("--noise", args.noise),
        ];
        let given = options.into_iter().filter(|(_, is_given)| *is_given);
        given.for_each(|(option, _)| note(option, why));
    }
}

/// The analyses that look at other runs.
const OF_PEERS: [&str; 2] = ["curves", "comparison"];

/// The error of an analysis that has no result.
pub fn refused(name: &str, why: &Unsuitable) -> Failure {
    let help = "`train-ctrnn analyze RUN all` does every analysis that suits the task";
    Failure::new(USAGE, "C034", format!("{name}: {why}"), help)
}

/// A run, loaded.
pub struct Loaded {
    /// Its folder.
    pub folder: RunFolder,
    /// Its configuration.
    pub run: Run,
}

/// Loads a run with overrides under task and time.
pub fn load(
    path: &Path,
    args: &AnalyzedTrials,
    overrides: &[String],
    registry: &Registry,
) -> Result<Loaded, Failure> {
    only_under(&["task", "time"], overrides)?;
    let (folder, run) = existing_with_data(path, &args.data, overrides, registry)?;
    Ok(Loaded { folder, run })
}

/// Lets a network, and those that it is compared with, go through trials; then does something with what they did.
pub fn with_study<T>(
    loaded: &Loaded,
    args: &AnalyzedTrials,
    registry: &Registry,
    then: impl FnOnce(&Study) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let peers = args.with.iter().map(|path| {
        let (folder, run) = existing_with_data(path, &args.data, &[], registry)?;
        Ok((path.display().to_string(), Loaded { folder, run }))
    });
    let peers = peers.collect::<Result<Vec<_>, Failure>>()?;
    let job = StudyJob {
        loaded,
        args,
        peers: &peers,
    };
    let study = with_backend(&loaded.run, job)?;
    then(&study)
}

/// Does analyses, each with its name; those that do not suit are given with their reason.
pub fn analyse(
    study: &Study,
    wanted: &[&'static Analysis],
) -> Vec<(&'static Analysis, Result<Findings, Unsuitable>)> {
    wanted
        .iter()
        .map(|analysis| (*analysis, (analysis.run)(study)))
        .collect()
}

struct StudyJob<'a> {
    loaded: &'a Loaded,
    args: &'a AnalyzedTrials,
    peers: &'a [(String, Loaded)],
}

impl<'a> Job for StudyJob<'a> {
    type Output = Study<'a>;

    fn run<B>(self, device: &B::Device, _: CheckEvery) -> Result<Self::Output, Failure>
    where
        B: AutodiffBackend + RecurrenceBackend,
        B::InnerBackend: RecurrenceBackend,
    {
        let Self {
            loaded,
            args,
            peers,
        } = self;
        let run = &loaded.run;
        let checkpoint = args.checkpoint.as_deref();
        let network = trained_network::<B::InnerBackend>(run, &loaded.folder, checkpoint, device)?;
        let batch = trials(run, args)?;
        let noise = || match args.noise {
            true => Noise::Drawn(evaluation_noise(run)),
            false => Noise::Off,
        };
        let states = pass(&network, run, &batch, noise())?;
        let signs = network
            .config()
            .connectivity
            .signs(Matrix::Recurrent, network.config());
        let others = peers.iter().map(|(name, peer)| {
            let other = trained_network::<B::InnerBackend>(&peer.run, &peer.folder, None, device)?;
            same_channels(name, network.config(), other.config())?;
            let states = pass(&other, &peer.run, &batch, noise())?;
            Ok(Peer {
                name: name.clone(),
                rates: three_dimensional(&states.rates),
                metrics: Metrics::read(&peer.folder.metrics()).ok(),
            })
        });
        Ok(Study {
            peers: others.collect::<Result<_, Failure>>()?,
            before: initial_network::<B>(run, device)
                .ok()
                .map(|before| Dynamics::of(&before)),
            dynamics: Dynamics::of(&network),
            potentials: three_dimensional(&states.potentials),
            rates: three_dimensional(&states.rates),
            outputs: three_dimensional(&states.outputs),
            task: run.task.as_ref(),
            signs,
            metrics: Metrics::read(&loaded.folder.metrics()).ok(),
            seed: run.seed,
            batch,
        })
    }
}

fn same_channels(
    name: &str,
    own: &ctrnn_model::CtrnnConfig,
    other: &ctrnn_model::CtrnnConfig,
) -> Result<(), Failure> {
    let channels = |config: &ctrnn_model::CtrnnConfig| [config.n_inputs, config.n_outputs];
    if channels(own) == channels(other) && own.dt_ms == other.dt_ms {
        return Ok(());
    }
    let what = format!(
        "{name} has {:?} inputs and outputs at dt_ms = {}, this run {:?} at {}",
        channels(other),
        other.dt_ms,
        channels(own),
        own.dt_ms
    );
    Err(Failure::new(
        DATA,
        "D003",
        what,
        "compare runs of one task with the same time step",
    ))
}

/// The trials of an analysis, as many as memory can hold the states of.
fn trials(run: &Run, args: &AnalyzedTrials) -> Result<TrialBatch, Failure> {
    let wanted = match args.trials {
        Some(n) => n as usize,
        None => (50 * run.task.conditions().len()).clamp(200, 1000),
    };
    let key = Key::new(run.seed, Stream::Eval, 0);
    let batch = TrialBatch::new(&evaluation_trials(
        run.task.as_ref(),
        run.clock,
        key,
        0..wanted,
    )?);
    let fitting = (MOST_STATES / (batch.max_steps * run.model.n_units).max(1)).max(8);
    if args.trials.is_some() || batch.n_trials <= fitting {
        return Ok(batch);
    }
    let kept: Vec<_> = (0..fitting).map(|b| batch.trial(b)).collect();
    Ok(TrialBatch::new(&kept))
}

/// A pass of a network over the trials of a batch.
fn pass<B: RecurrenceBackend>(
    network: &CtrnnModule<B>,
    run: &Run,
    batch: &TrialBatch,
    noise: Noise<B>,
) -> Result<ctrnn_analysis::States, Failure> {
    let shape = [batch.n_trials, batch.max_steps, batch.n_inputs];
    let inputs = Array::f32(&shape, batch.inputs.clone());
    let forward = Forward {
        noise,
        conditions: condition_numbers(network, run.task.as_ref(), batch)?,
        ..Forward::default()
    };
    Ok(simulate(network, &inputs, forward))
}
