//! Preparation of the data of analyses from a run folder.

use std::collections::BTreeMap;
use std::path::Path;

use burn::tensor::backend::AutodiffBackend;
use ctrnn_analysis::{
    ANALYSES, Analysis, Basis, Dynamics, Findings, LayerStates, Metrics, OptionSet, Peer,
    Perturbation, PopulationAnalysis, Shared, Study, SynapseStates, Unsuitable, simulate_perturbed,
    three_dimensional,
};
use ctrnn_config::{Run, only_under, overridden, word_like};
use ctrnn_files::{Array, RunFolder};
use ctrnn_model::{CtrnnConfig, CtrnnModule, Forward, Matrix, Noise, RecurrenceBackend};
use ctrnn_random::{Key, Stream};
use ctrnn_runs::{RunWeights, initial_network};
use ctrnn_tasks::{Mask, Registry, Target, Task, TrialBatch};
use ctrnn_train::{condition_numbers, evaluation_trials};
use serde_json::{Map, Value};

use crate::args::AnalyzedTrials;
use crate::backend::{CheckEvery, Job, with_backend};
use crate::eval::{evaluation_noise, note_unused_noise};
use crate::failure::{DATA, Failure, USAGE};
use crate::perturbation::{Shown, check_windows, perturbation};
use crate::run_path::{Needs, asked_stage, existing_with_data, note_stage, weights_of};
use crate::terminal::Terminal;
use crate::trial_count::trial_count;

/// Largest number of values in the rates of all trials: 160 MB in double precision.
const MOST_STATES: usize = 20_000_000;

/// Words after the run on a command line: names of analyses, their settings, and overrides of the configuration.
pub struct Words {
    /// Names of analyses.
    pub names: Vec<String>,
    /// Overrides of keys under task and time.
    pub overrides: Vec<String>,
    /// Settings of each analysis by its name.
    pub settings: AnalysisSettings,
}

/// Settings of analyses, by the name of the analysis.
pub type AnalysisSettings = BTreeMap<&'static str, Map<String, Value>>;

/// Name and settings of an analysis, by its name.
pub type Catalogue = fn(&str) -> Option<(&'static str, OptionSet)>;

/// Returns name and settings of an analysis of one network.
pub fn of_one_network(name: &str) -> Option<(&'static str, OptionSet)> {
    Analysis::named(name).map(|analysis| (analysis.name, analysis.options))
}

impl Words {
    /// Sorts the words of a command line; settings are those of the analyses in a catalogue.
    pub fn sort(words: &[String], catalogue: Catalogue) -> Result<Self, Failure> {
        let is_override = |word: &&String| word.contains('=') || word.starts_with('~');
        let (assignments, names) = words.iter().partition::<Vec<&String>, _>(is_override);
        let (settings, overrides): (Vec<&String>, Vec<&String>) = assignments
            .into_iter()
            .partition(|word| analysis_of_setting(word, catalogue).is_some());
        Ok(Self {
            names: names.into_iter().cloned().collect(),
            overrides: overrides.into_iter().cloned().collect(),
            settings: settings_of(
                &settings.into_iter().cloned().collect::<Vec<_>>(),
                catalogue,
            )?,
        })
    }

    /// Returns true if all analyses are asked for.
    pub fn asks_for_all(&self) -> bool {
        self.names.iter().any(|name| name == "all")
    }

    /// Returns the analyses that are asked for, of which `all` lists every one.
    ///
    /// # Errors
    /// If `named` knows no analysis of a name.
    pub fn wanted<T>(
        &self,
        all: &'static [T],
        named: fn(&str) -> Result<&'static T, Failure>,
    ) -> Result<Vec<&'static T>, Failure> {
        if self.asks_for_all() {
            return Ok(all.iter().collect());
        }
        self.names.iter().map(|name| named(name)).collect()
    }
}

/// Returns the analysis that a word ANALYSIS.KEY=VALUE is a setting of.
fn analysis_of_setting(word: &str, catalogue: Catalogue) -> Option<(&'static str, OptionSet)> {
    let (name, _) = word.split_once('=')?.0.split_once('.')?;
    catalogue(name.trim())
}

/// Returns the settings that are given by words ANALYSIS.KEY=VALUE.
fn settings_of(words: &[String], catalogue: Catalogue) -> Result<AnalysisSettings, Failure> {
    let mut settings = AnalysisSettings::new();
    for word in words {
        let found = analysis_of_setting(word, catalogue).zip(word.split_once('='));
        let Some(((name, options), (key, _))) = found else {
            continue;
        };
        only_under(&[name], std::slice::from_ref(word))?;
        let value = overridden(std::slice::from_ref(word), key.trim());
        let value = value.and_then(|value| serde_json::to_value(value).ok());
        let key = key.trim().split_once('.').map_or("", |(_, key)| key);
        let own = settings.entry(name).or_default();
        own.insert(key.to_owned(), value.unwrap_or_default());
        options.check(own).map_err(|error| {
            let help = "`train-ctrnn analyze --help` lists the settings of every analysis";
            Failure::new(USAGE, "C033", error.to_string(), help)
        })?;
    }
    Ok(settings)
}

/// Returns the analysis with this name.
pub fn named(name: &str) -> Result<&'static Analysis, Failure> {
    Analysis::named(name).ok_or_else(|| {
        if PopulationAnalysis::named(name).is_some() {
            let what = format!("{name} is an analysis of several runs");
            let help = format!("name them, `analyze RUN RUN {name} -o DIR`, or a sweep");
            return Failure::new(USAGE, "C033", what, help);
        }
        let names = ANALYSES.iter().map(|analysis| analysis.name);
        unknown("an analysis", name, names.collect())
    })
}

/// Creates the error of a name that no analysis of this kind has.
pub fn unknown(kind: &str, name: &str, names: Vec<&str>) -> Failure {
    let what = if name.contains(std::path::MAIN_SEPARATOR) {
        format!("{name} is not a run: it has no RUN.json")
    } else {
        format!("{name:?} is not {kind}")
    };
    let near = word_like(name, names.iter().copied());
    let near = near.map_or(String::new(), |near| format!("did you mean {near}? "));
    let help = format!("{near}analyses: all, {}", names.join(", "));
    Failure::new(USAGE, "C033", what, help)
}

/// Prints notes on options that have no effect on any of these analyses.
pub fn note_unused(args: &AnalyzedTrials, wanted: &[&Analysis], run: &Run, terminal: &Terminal) {
    note_unused_noise(args.noise, run, terminal);
    let note = |option: &str, why: &str| terminal.note(format!("{option} has no effect: {why}"));
    if !args.with.is_empty() && !wanted.iter().any(|analysis| analysis.sees_peers) {
        let with_peers = ANALYSES.iter().filter(|analysis| analysis.sees_peers);
        let names: Vec<&str> = with_peers.map(|analysis| analysis.name).collect();
        let names = names.join(" and ");
        note(
            "--with",
            &format!("only the analyses {names} look at other runs"),
        );
    }
    let without: Vec<&str> = wanted
        .iter()
        .filter(|analysis| !analysis.sees_groups)
        .map(|analysis| analysis.name)
        .collect();
    if !args.by.is_empty() && !without.is_empty() {
        let names = without.join(", ");
        terminal.note(format!("--by has no effect on {names}"));
    }
    let has_curves = wanted
        .iter()
        .any(|analysis| analysis.basis == Basis::Metrics);
    let needs_trials = wanted
        .iter()
        .any(|analysis| analysis.basis >= Basis::Trials);
    if args.trials.is_some() && !has_curves && !needs_trials {
        note("--trials", "the weights are enough for these analyses");
    }
    if wanted
        .iter()
        .all(|analysis| analysis.basis == Basis::Metrics)
    {
        let why = "curves are those of the training";
        let options = [
            ("--checkpoint", args.checkpoint.is_some()),
            ("--trials", args.trials.is_some()),
            ("--noise", args.noise),
        ];
        let given = options.into_iter().filter(|(_, is_given)| *is_given);
        let given = given.map(|(option, _)| option);
        given.for_each(|option| note(option, why));
        for (kind, _) in args.perturb.given() {
            note(&format!("--{kind}"), why);
        }
    }
}

/// Creates the error of an analysis that has no result.
pub fn refused(name: &str, why: &Unsuitable) -> Failure {
    let help = "`train-ctrnn analyze RUN all` does every analysis that suits the task";
    Failure::new(USAGE, "C034", format!("{name}: {why}"), help)
}

/// A loaded run.
pub struct Loaded {
    /// Run folder.
    pub folder: RunFolder,
    /// Configuration of the run.
    pub run: Run,
    /// Weights of the run.
    pub weights: RunWeights,
    /// True if the weights are those of a requested checkpoint.
    is_asked_for: bool,
    /// Number of trials to analyse.
    n_trials: usize,
}

impl Loaded {
    /// Returns the metrics of training. Rows later than the newest state, written by a killed or running process, are
    /// left out, because `resume` removes them too.
    fn metrics(&self) -> Option<Metrics> {
        let metrics = Metrics::read(&self.folder.metrics()).ok()?;
        Some(if self.is_asked_for {
            metrics
        } else {
            metrics.until(self.weights.step)
        })
    }
}

/// Loads a run with overrides under task and time.
pub fn load(
    path: &Path,
    args: &AnalyzedTrials,
    overrides: &[String],
    registry: &Registry,
    needs: Needs,
    terminal: &Terminal,
) -> Result<Loaded, Failure> {
    only_under(&["task", "time"], overrides)?;
    let checkpoint = args.checkpoint.as_deref();
    let mut loaded = load_at(path, checkpoint, args, overrides, registry, needs, terminal)?;
    loaded.n_trials = n_trials(&loaded.run, args.trials, terminal);
    Ok(loaded)
}

/// Loads a run with overrides under task and time that sees the trials of another one; no program is started.
pub fn load_shared(
    path: &Path,
    args: &AnalyzedTrials,
    overrides: &[String],
    registry: &Registry,
    terminal: &Terminal,
) -> Result<Loaded, Failure> {
    let (checkpoint, needs) = (args.checkpoint.as_deref(), Needs::Network);
    load_at(path, checkpoint, args, overrides, registry, needs, terminal)
}

/// Loads a run without determining the number of its trials.
fn load_at(
    path: &Path,
    checkpoint: Option<&str>,
    args: &AnalyzedTrials,
    overrides: &[String],
    registry: &Registry,
    needs: Needs,
    terminal: &Terminal,
) -> Result<Loaded, Failure> {
    let stage = asked_stage(args.stage.as_deref());
    let (folder, run) = existing_with_data(path, &args.data, overrides, registry, needs, stage)?;
    note_stage(&run, terminal);
    let weights = weights_of(&folder, &run, checkpoint, terminal)?;
    Ok(Loaded {
        folder,
        run,
        weights,
        is_asked_for: checkpoint.is_some(),
        n_trials: 0,
    })
}

/// Returns the requested number of trials, or by default a number whose states fit into memory; prints a note if trials
/// of test files are left out.
fn n_trials(run: &Run, asked: Option<u32>, terminal: &Terminal) -> usize {
    let default = || (50 * run.task.n_conditions()).clamp(200, 1000);
    let n = trial_count(run, asked, default, terminal);
    let Some(set) = run.task.trial_set().filter(|_| asked.is_none()) else {
        return n;
    };
    let fitting = fitting(run, *set.n_steps().end());
    if fitting < n && set.n_training() == 0 {
        terminal.note(format!(
            "the first {fitting} of {n} trials are analysed, to save memory; --trials {n} takes all"
        ));
    }
    n.min(fitting)
}

/// Computes the number of trials whose states fit into memory.
fn fitting(run: &Run, max_steps: usize) -> usize {
    let n_units = run.model.n_units_of_layers();
    (MOST_STATES / (max_steps * n_units).max(1)).max(8)
}

/// Trials of one run that several networks see.
#[derive(Clone)]
pub struct SharedTrials<'a> {
    /// Run whose task makes the trials.
    run: &'a Run,
    batch: TrialBatch,
}

impl<'a> SharedTrials<'a> {
    /// Makes the trials of a run.
    ///
    /// # Errors
    /// If they cannot be made.
    pub fn of(loaded: &'a Loaded, args: &AnalyzedTrials) -> Result<Self, Failure> {
        Ok(Self {
            run: &loaded.run,
            batch: trials(loaded, args.trials.is_some())?,
        })
    }
}

/// Runs a network, and those that it is compared with, on its trials, and passes the resulting study to `then`.
pub fn with_study<T>(
    loaded: &Loaded,
    args: &AnalyzedTrials,
    registry: &Registry,
    terminal: &Terminal,
    then: impl FnOnce(&Study) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let trials = SharedTrials::of(loaded, args)?;
    with_study_of(loaded, trials, args, registry, terminal, then)
}

/// Runs a network, and those that it is compared with, on the trials of another run of the task, and passes the resulting study to `then`.
pub fn with_study_of<T>(
    loaded: &Loaded,
    trials: SharedTrials,
    args: &AnalyzedTrials,
    registry: &Registry,
    terminal: &Terminal,
    then: impl FnOnce(&Study) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let peers = args.with.iter().map(|path| {
        let peer = load_at(path, None, args, &[], registry, Needs::Network, terminal)?;
        Ok((path.display().to_string(), peer))
    });
    let peers = peers.collect::<Result<Vec<_>, Failure>>()?;
    let job = StudyJob {
        loaded,
        trials,
        args,
        peers: &peers,
        terminal,
    };
    let mut study = with_backend(&loaded.run, job)?;
    if let Some(area) = &args.area
        && !study.restrict_to_area(area)
    {
        return Err(no_area(area, "the network", &study.area_names()));
    }
    if study.batch.n_trials > 0 {
        select(&mut study, args)?;
    }
    then(&study)
}

/// Creates the error of an area that a network does not have.
fn no_area(area: &str, network: &str, areas: &[&str]) -> Failure {
    let what = format!("--area: {network} has no area {area}");
    let help = match areas {
        [] => "a network has areas if its configuration has [model.areas]".to_owned(),
        areas => format!("areas: {}", areas.join(", ")),
    };
    Failure::new(USAGE, "C033", what, help)
}

/// Restricts a study to the trials of `--where`, and checks the conditions of `--by`.
fn select(study: &mut Study, args: &AnalyzedTrials) -> Result<(), Failure> {
    let wrong = |option: &str, problem: String| {
        let help = "`train-ctrnn eval RUN` lists the conditions of the trials and their values";
        Failure::new(USAGE, "C033", format!("{option}: {problem}"), help)
    };
    if let Some(selection) = &args.selection {
        let restricted = study.restrict(selection);
        restricted.map_err(|error| wrong("--where", error.to_string()))?;
    }
    study.by.clone_from(&args.by);
    let cells = study.cells(&args.by);
    cells.map_err(|error| wrong("--by", error.to_string()))?;
    Ok(())
}

/// Analysis with its findings, or the reason why it is unsuitable.
pub type AnalysisResult = (&'static Analysis, Result<Findings, Unsuitable>);

/// Runs analyses.
pub fn analyse(
    study: &Study,
    wanted: &[&'static Analysis],
    settings: &AnalysisSettings,
) -> Vec<AnalysisResult> {
    let without_trials = study.task.unstarted_program().map(|program| {
        format!(
            "needs trials, which a program makes that is not started here: {program}; if you trust it, add --trust"
        )
    });
    let found = |analysis: &Analysis| match &without_trials {
        Some(why) if analysis.basis >= Basis::Trials => Err(Unsuitable::Lacks(why.clone())),
        _ => analysis.run_with(study, &settings_for(settings, analysis)),
    };
    wanted
        .iter()
        .map(|analysis| (*analysis, found(analysis)))
        .collect()
}

/// Returns the settings of one analysis.
pub fn settings_for(settings: &AnalysisSettings, analysis: &Analysis) -> Map<String, Value> {
    settings.get(analysis.name).cloned().unwrap_or_default()
}

struct StudyJob<'a> {
    loaded: &'a Loaded,
    trials: SharedTrials<'a>,
    args: &'a AnalyzedTrials,
    peers: &'a [(String, Loaded)],
    terminal: &'a Terminal,
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
            trials: SharedTrials { run: shown, batch },
            args,
            peers,
            terminal,
        } = self;
        let run = &loaded.run;
        let network = loaded.weights.network::<B::InnerBackend>(run, device)?;
        let task = shown.task.as_ref();
        same_channels(
            &loaded.folder.root().display().to_string(),
            network.config(),
            &shown.model,
        )?;
        let noise = || {
            if args.noise {
                Noise::Drawn(evaluation_noise(run))
            } else {
                Noise::Off
            }
        };
        let perturbation = perturbation(&args.perturb, &network, run, &loaded.folder)?;
        let layer = layer(args, &run.model, "the network")?;
        let dynamics = lasting_dynamics(&perturbation, &network, layer, run, &batch, terminal)?;
        let mut states = pass(&network, (run, task), &batch, noise(), &perturbation)?;
        let below = layer.checked_sub(1).map(|below| &states.below[below].rates);
        let rates_below = below.map(three_dimensional);
        take_layer(&mut states, layer);
        let signs = network.config().layer(layer).signs(Matrix::Recurrent);
        let others = peers.iter().map(|(name, peer)| {
            let other = peer.weights.network::<B::InnerBackend>(&peer.run, device)?;
            same_channels(name, other.config(), network.config())?;
            let own = (&peer.run, peer.run.task.as_ref());
            let mut states = pass(&other, own, &batch, noise(), &Perturbation::default())?;
            take_layer(&mut states, self::layer(args, other.config(), name)?);
            let mut peer = Peer {
                name: name.clone(),
                rates: three_dimensional(&states.rates),
                metrics: peer.metrics(),
            };
            if let Some(area) = &args.area {
                let config = other.config();
                let units = config.area_units(area).ok_or_else(|| {
                    no_area(area, name, &config.areas.names().collect::<Vec<_>>())
                })?;
                peer.restrict_to_units(units);
            }
            Ok(peer)
        });
        let before = match initial_network::<B>(run, device) {
            Ok(before) => Some(Dynamics::of_layer(&before, layer)),
            Err(error) => {
                terminal.note(format!("the network before training is not known: {error}"));
                None
            }
        };
        Ok(Study {
            peers: others.collect::<Result<_, Failure>>()?,
            before,
            dynamics,
            potentials: three_dimensional(&states.potentials),
            rates: three_dimensional(&states.rates),
            outputs: three_dimensional(&states.outputs),
            rates_below,
            synapses: states
                .synapses
                .as_ref()
                .map(|[utilisation, resources]| SynapseStates {
                    utilisation: three_dimensional(utilisation),
                    resources: three_dimensional(resources),
                }),
            task,
            by: Vec::new(),
            shared: Shared::default(),
            signs,
            groups: network.config().groups.clone(),
            area: None,
            metrics: loaded.metrics(),
            seed: run.config.seed,
            batch,
        })
    }
}

/// Returns the number of the layer to be analysed: that of `--layer`, or the last one.
fn layer(args: &AnalyzedTrials, model: &CtrnnConfig, network: &str) -> Result<usize, Failure> {
    let last = model.n_layers() - 1;
    match args.layer.unwrap_or(last) {
        layer if layer <= last => Ok(layer),
        layer => {
            let what = format!("--layer: {network} has no layer {layer}");
            let help = match last {
                0 => "a network has several layers if its configuration has [[model.layer]]"
                    .to_owned(),
                last => format!("layers: 0 to {last}"),
            };
            Err(Failure::new(USAGE, "C033", what, help))
        }
    }
}

/// Puts the states of a layer in the place of those of the last one; outputs and inputs stay those of the network.
fn take_layer(states: &mut ctrnn_analysis::States, layer: usize) {
    if layer < states.below.len() {
        let of_layer = states.below.swap_remove(layer);
        states.potentials = of_layer.potentials;
        states.rates = of_layer.rates;
        states.synapses = of_layer.synapses;
    }
}

/// Checks that a network of this name fits the trials of another one.
fn same_channels(name: &str, own: &CtrnnConfig, of_trials: &CtrnnConfig) -> Result<(), Failure> {
    let channels = |config: &CtrnnConfig| [config.first_layer().n_inputs, config.n_outputs];
    if channels(own) == channels(of_trials) && own.dt_ms == of_trials.dt_ms {
        return Ok(());
    }
    let what = format!(
        "{name} has {:?} inputs and outputs at dt_ms = {}, but the trials are of a run with {:?} at {}",
        channels(own),
        own.dt_ms,
        channels(of_trials),
        of_trials.dt_ms
    );
    Err(Failure::new(
        DATA,
        "D003",
        what,
        "compare runs of one task with the same time step",
    ))
}

/// Returns the trials of an analysis; fewer if memory cannot hold their states and no number was requested.
fn trials(loaded: &Loaded, is_asked: bool) -> Result<TrialBatch, Failure> {
    let Loaded { run, n_trials, .. } = loaded;
    if run.task.unstarted_program().is_some() {
        return Ok(no_trials(run));
    }
    let key = Key::new(run.config.seed, Stream::Eval, 0);
    let batch = TrialBatch::new(&evaluation_trials(
        run.task.as_ref(),
        run.clock,
        key,
        run.config.validate.balance.order(),
        0..*n_trials,
    )?);
    let fitting = fitting(run, batch.max_steps);
    if is_asked || batch.n_trials <= fitting {
        return Ok(batch);
    }
    let kept: Vec<_> = (0..fitting).map(|b| batch.trial(b)).collect();
    Ok(TrialBatch::new(&kept))
}

/// Returns a batch without trials, used if the program that makes them is not started.
fn no_trials(run: &Run) -> TrialBatch {
    TrialBatch {
        n_trials: 0,
        max_steps: 0,
        n_inputs: run.model.first_layer().n_inputs,
        n_outputs: run.model.n_outputs,
        inputs: Vec::new(),
        target: Target::Values(Vec::new()),
        mask: Mask::Steps(Vec::new()),
        unit_targets: Vec::new(),
        n_steps: Vec::new(),
        conditions: Vec::new(),
        correct: Vec::new(),
        timelines: Vec::new(),
    }
}

/// Returns the states of a network in zero trials.
fn no_states(run: &Run) -> ctrnn_analysis::States {
    let none = |width: usize| Array::f32(&[0, 0, width], Vec::new());
    let model = &run.model;
    let of_layer = |layer: &CtrnnConfig| LayerStates {
        potentials: none(layer.n_units),
        rates: none(layer.n_units),
        synapses: (layer.short_term_plasticity.as_ref())
            .map(|_| [none(layer.n_units), none(layer.n_units)]),
    };
    let last = of_layer(model);
    ctrnn_analysis::States {
        potentials: last.potentials,
        rates: last.rates,
        synapses: last.synapses,
        below: model.below.iter().map(of_layer).collect(),
        inputs: none(model.first_layer().n_inputs),
        outputs: none(model.n_outputs),
        t_ms: Vec::new(),
    }
}

/// Runs the network of a run on the trials of a batch, which a task made.
fn pass<B: RecurrenceBackend>(
    network: &CtrnnModule<B>,
    (run, task): (&Run, &dyn Task),
    batch: &TrialBatch,
    noise: Noise<B>,
    perturbation: &Perturbation,
) -> Result<ctrnn_analysis::States, Failure> {
    if batch.n_trials == 0 {
        return Ok(no_states(run));
    }
    let shape = [batch.n_trials, batch.max_steps, batch.n_inputs];
    let inputs = Array::f32(&shape, batch.inputs.clone());
    let forward = Forward {
        noise,
        conditions: condition_numbers(network, task, batch)?,
        ..Forward::default()
    };
    let run = |forward: Forward<B>| -> Result<ctrnn_analysis::States, Failure> {
        let timelines = &batch.timelines;
        let states = simulate_perturbed(network, &inputs, forward, timelines, perturbation)?;
        Ok(states)
    };
    let states = run(forward.clone())?;
    if states.are_finite() {
        return Ok(states);
    }
    // Short trials may overflow in their padding, which is not analysed.
    let forward = Forward {
        lengths: batch.n_steps.clone(),
        ..forward
    };
    run(forward)
}

/// Returns the dynamics of a layer of a network with those perturbations that last all the time, and prints a note on others: what
/// is computed from the dynamics, such as fixed points, does not see them.
fn lasting_dynamics<B: RecurrenceBackend>(
    perturbation: &Perturbation,
    network: &CtrnnModule<B>,
    layer: usize,
    run: &Run,
    batch: &TrialBatch,
    terminal: &Terminal,
) -> Result<Dynamics, Failure> {
    let shown = || {
        (0..batch.n_trials)
            .map(|b| Shown::of(&batch.trial(b)))
            .collect()
    };
    check_windows(perturbation, shown, run)?;
    let lasting = perturbation.lasting();
    if lasting != *perturbation {
        terminal.note("perturbations with a window are seen in the states of the trials; what is computed from the weights, such as fixed points, leaves them out");
    }
    let lasting = lasting.of_layer(layer, network.n_layers());
    let mut dynamics = Dynamics::of(&lasting.apply(&network.layer(layer))?);
    if network.config().layer(layer).n_outputs == 0 && !dynamics.w_out.is_empty() {
        let intact = Dynamics::of_layer(network, layer);
        (dynamics.w_out, dynamics.bias_out) = (intact.w_out, intact.bias_out); // a perturbed layer has an output of zeros
    }
    for current in &lasting.currents {
        current
            .units
            .iter()
            .for_each(|&unit| dynamics.bias[unit] += current.value);
    }
    Ok(dynamics)
}
