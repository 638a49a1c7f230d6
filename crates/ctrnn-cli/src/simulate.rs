//! `simulate`: runs a trained network and writes its states as npz.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use burn::tensor::backend::AutodiffBackend;
use ctrnn_analysis::{
    EpochNames, Injected, Perturbation, README, STATES_ARRAYS, States, TRIAL_ARRAYS, TrialRecord,
    channel_arrays, readme, simulate_perturbed,
};
use ctrnn_config::{Backend, Run, counted, only_under};
use ctrnn_files::{Array, RunFolder, npz::NpzWriter, output::OutputFile};
use ctrnn_model::{CtrnnModule, Forward, Matrix, Noise, NoiseAddress, RecurrenceBackend};
use ctrnn_random::{Key, Stream};
use ctrnn_runs::RunWeights;
use ctrnn_tasks::{Registry, Timeline, Trial, TrialBatch};
use ctrnn_train::{condition_numbers, evaluation_trials, validation_noise};

use crate::args::{Recorded, SimulateArgs};
use crate::backend::{CheckEvery, Job, with_backend, with_f64};
use crate::eval::{evaluation_noise, note_unused_noise};
use crate::failure::{DATA, Failure, USAGE};
use crate::output;
use crate::perturbation::{Shown, check_windows, perturbation};
use crate::run_path::{
    Needs, RunPart, asked_stage, existing_with_data, named_set, note_stage, weights_of,
};
use crate::terminal::Terminal;
use crate::trial_arrays::trial_arrays;
use crate::trial_count::trial_count;

/// Number of trials that run together; their states are written before the next ones run, which bounds the memory.
const TOGETHER: usize = 64;

/// Simulates a run.
pub fn run(args: &SimulateArgs, registry: &Registry, terminal: &Terminal) -> Result<(), Failure> {
    let tables: &[&str] = match args.inputs {
        Some(_) => &["time"],
        None => &["task", "time"],
    };
    only_under(tables, &args.overrides)?;
    output::check(&args.output, args.force, terminal)?;
    let part = RunPart {
        validation: named_set(&args.validation),
        ..asked_stage(args.stage.as_deref())
    };
    let needs = match args.inputs {
        Some(_) => Needs::Network,
        None => Needs::Trials(args.trust.consent(terminal)),
    };
    let (folder, run) = existing_with_data(
        &args.run,
        &args.data,
        &args.overrides,
        registry,
        needs,
        part,
    )?;
    note_stage(&run, terminal);
    note_unused_noise(args.noise, &run, terminal);
    if args.f64 && run.config.device.backend != Backend::Cpu {
        terminal.note(format!(
            "device.backend = {} has no effect: double precision is computed on the CPU",
            run.config.device.backend
        ));
    }
    let weights = weights_of(&folder, &run, args.checkpoint.as_deref(), terminal)?;
    let job = SimulateJob {
        args,
        terminal,
        folder: &folder,
        run: &run,
        weights: &weights,
    };
    let [trials, steps, units] = if args.f64 {
        with_f64(&run.config.device, job)?
    } else {
        with_backend(&run, job)?
    };
    terminal.wrote(&args.output)?;
    terminal.say(format!(
        "wrote {}: {}, {}, {}",
        args.output.display(),
        counted(trials, "trial"),
        counted(steps, "time step"),
        counted(units, "unit")
    ));
    Ok(())
}

struct SimulateJob<'a> {
    args: &'a SimulateArgs,
    terminal: &'a Terminal,
    folder: &'a RunFolder,
    run: &'a Run,
    weights: &'a RunWeights,
}

impl Job for SimulateJob<'_> {
    /// Number of trials, time steps and units.
    type Output = [usize; 3];

    fn run<B>(self, device: &B::Device, _: CheckEvery) -> Result<Self::Output, Failure>
    where
        B: AutodiffBackend + RecurrenceBackend,
        B::InnerBackend: RecurrenceBackend,
    {
        let Self {
            args,
            terminal,
            folder,
            run,
            weights,
        } = self;
        let network = weights.network::<B::InnerBackend>(run, device)?;
        let perturbation = perturbation(&args.perturb, &network, run, folder)?;
        let shown = match &args.inputs {
            Some(path) => Inputs::File(Box::new(Injected::read(path, network.config())?)),
            None => {
                let (stream, n_trials) = if args.validation.is_some() {
                    let n_trials = run.config.validate.trials;
                    let set = run.task.trial_set();
                    let held_out = set.map_or(n_trials, ctrnn_tasks::TrialSet::n_held_out);
                    (Stream::Validation, n_trials.min(held_out))
                } else {
                    let default = || run.task.n_conditions();
                    let n_trials = trial_count(run, args.trials, default, terminal);
                    (Stream::Eval, n_trials)
                };
                Inputs::Trials(PaddedTrials::of(run, stream, n_trials)?)
            }
        };
        let [n_trials, n_steps] = shown.size();
        check_windows(&perturbation, || shown.all(), run)?;
        if let (true, Inputs::File(injected)) = (args.noise, &shown)
            && !matches!(injected.noise::<B::InnerBackend>(device), Noise::Off)
        {
            let what = "--noise has no effect: the file of --inputs contains the noise";
            let help = "remove --noise, or the arrays preactivation_noise and postactivation_noise";
            return Err(Failure::new(USAGE, "U005", what, help));
        }
        let simulation = Simulation {
            network: &network,
            shown: &shown,
            perturbation: &perturbation,
            noise: args.noise.then(|| match args.validation {
                Some(_) => validation_noise(run.config.seed),
                None => evaluation_noise(run),
            }),
            device,
        };
        let mut writer = NpzWriter::to(OutputFile::create(&args.output, args.force)?);
        for first in (0..n_trials).step_by(TOGETHER) {
            let numbers = first..n_trials.min(first + TOGETHER);
            let some = shown.some(&network, numbers)?;
            simulation.write(first, some, &args.record, &mut writer)?;
        }
        shown.write_names(run, &network, &mut writer)?;
        writer.finish()?;
        let n_units = run.model.n_units_of_layers();
        Ok([n_trials, n_steps, n_units])
    }
}

/// A network with its perturbation and noise.
struct Simulation<'a, B: RecurrenceBackend> {
    network: &'a CtrnnModule<B>,
    shown: &'a Inputs<'a>,
    perturbation: &'a Perturbation,
    /// Address of the noise, used only if the file does not contain any.
    noise: Option<NoiseAddress>,
    device: &'a B::Device,
}

impl<B: RecurrenceBackend> Simulation<'_, B> {
    /// Runs trials from number `first` on, and writes them and their states; those after the end of a trial are NaN.
    fn write(
        &self,
        first: usize,
        some: SomeTrials,
        record: &[Recorded],
        writer: &mut NpzWriter,
    ) -> Result<(), Failure> {
        let timelines = some
            .batch
            .as_ref()
            .map_or(&[][..], |batch| &batch.timelines);
        let mut states = self.states(first, &some.injected, timelines)?;
        let mut rows = some.arrays;
        if let (Some(batch), Inputs::Trials(trials)) = (&some.batch, self.shown) {
            let record = TrialRecord {
                task: trials.run.task.as_ref(),
                batch,
                epochs: &trials.epochs,
            };
            rows.extend(record.rows(|b| states.readout(b, batch.n_steps[b])));
            states.end_at(&batch.n_steps);
        }
        rows.iter()
            .try_for_each(|(name, array)| writer.append(name, array))?;
        if first == 0 {
            let t_ms = states.t_ms.clone();
            writer.add("t_ms", &Array::f32(&[t_ms.len()], t_ms))?;
        }
        let synapses = (states.synapses.iter().flatten())
            .zip(["utilisation", "resources"])
            .map(|(array, name)| (Recorded::Synapses, name, array));
        for (own, name, array) in states.below_arrays() {
            let what = match own {
                "potentials" => Recorded::Potentials,
                "rates" => Recorded::Rates,
                _ => Recorded::Synapses,
            };
            if record.is_empty() || record.contains(&what) {
                writer.append(&name, array)?;
            }
        }
        let states = [
            (Recorded::Potentials, "potentials", &states.potentials),
            (Recorded::Rates, "rates", &states.rates),
            (Recorded::Inputs, "inputs", &states.inputs),
            (Recorded::Outputs, "outputs", &states.outputs),
        ];
        for (what, name, array) in states.into_iter().chain(synapses) {
            if record.is_empty() || record.contains(&what) {
                writer.append(name, array)?;
            }
        }
        Ok(())
    }

    fn states(
        &self,
        first: usize,
        injected: &Injected,
        timelines: &[Timeline],
    ) -> Result<States, Failure> {
        let noise = match (injected.noise(self.device), self.noise) {
            (Noise::Off, Some(address)) => Noise::Drawn(NoiseAddress {
                first_trial: address.first_trial + first as u32,
                ..address
            }),
            (given, _) => given,
        };
        let pass = Forward {
            noise,
            initial_state: injected.state(self.network),
            conditions: injected.conditions.clone(),
            ..Forward::default()
        };
        Ok(simulate_perturbed(
            self.network,
            &injected.inputs,
            pass,
            timelines,
            self.perturbation,
        )?)
    }
}

/// The inputs of a simulation.
enum Inputs<'a> {
    /// Inputs from a file, perhaps with initial states and noise.
    File(Box<Injected>),
    /// Trials of the task.
    Trials(PaddedTrials<'a>),
}

impl Inputs<'_> {
    /// Returns the number of trials and time steps.
    fn size(&self) -> [usize; 2] {
        match self {
            Self::File(injected) => [0, 1].map(|side| injected.inputs.shape()[side]),
            Self::Trials(trials) => [trials.n_trials, trials.max_steps],
        }
    }

    /// Returns what windows of perturbations need to know of all trials.
    fn all(&self) -> Vec<Shown> {
        match self {
            Self::File(_) => vec![Shown::of_file(self.size()[1])],
            Self::Trials(trials) => trials.shown.iter().cloned().collect(),
        }
    }

    /// Returns some trials.
    fn some<B: RecurrenceBackend>(
        &self,
        network: &CtrnnModule<B>,
        numbers: Range<usize>,
    ) -> Result<SomeTrials, Failure> {
        match self {
            Self::File(injected) => Ok(SomeTrials {
                injected: injected.rows(numbers),
                arrays: BTreeMap::new(),
                batch: None,
            }),
            Self::Trials(trials) => trials.some(network, numbers),
        }
    }

    /// Writes the names of epochs, choices, channels and units, and the documentation of all arrays.
    fn write_names<B: RecurrenceBackend>(
        &self,
        run: &Run,
        network: &CtrnnModule<B>,
        writer: &mut NpzWriter,
    ) -> Result<(), Failure> {
        let signs = network.config().signs(Matrix::Recurrent);
        let groups = &run.model.groups;
        let mut names = channel_arrays(
            run.task.layout(),
            run.model.n_units,
            signs.as_deref(),
            groups,
        );
        if let Self::Trials(trials) = self {
            names.extend(trials.epochs.names(run.task.as_ref()));
        }
        names
            .iter()
            .try_for_each(|(name, array)| writer.add(name, array))?;
        let written: Vec<&str> = writer.names().collect();
        let readme = readme(&written, STATES_ARRAYS.iter().chain(TRIAL_ARRAYS));
        Ok(writer.add(README.name, &readme)?)
    }
}

/// Trials that run together.
struct SomeTrials {
    injected: Injected,
    /// Arrays that are written together with their states.
    arrays: BTreeMap<String, Array>,
    /// The trials, unless they are only inputs.
    batch: Option<TrialBatch>,
}

/// The trials of an evaluation, made when they are needed.
struct PaddedTrials<'a> {
    run: &'a Run,
    /// Stream from which they are drawn.
    stream: Stream,
    n_trials: usize,
    /// Length to which all are padded.
    max_steps: usize,
    /// Names of the epochs of all.
    epochs: EpochNames,
    /// Lengths and epochs that occur.
    shown: BTreeSet<Shown>,
}

impl<'a> PaddedTrials<'a> {
    /// Makes all trials once to find the length of the longest and the names of their epochs.
    fn of(run: &'a Run, stream: Stream, n_trials: usize) -> Result<Self, Failure> {
        let mut trials = Self {
            run,
            stream,
            n_trials,
            max_steps: 0,
            epochs: EpochNames::default(),
            shown: BTreeSet::new(),
        };
        for first in (0..n_trials).step_by(TOGETHER) {
            let made = trials.make(first..n_trials.min(first + TOGETHER))?;
            let longest = made.iter().map(|trial| trial.n_steps).max();
            trials.max_steps = trials.max_steps.max(longest.unwrap_or(0));
            made.iter()
                .for_each(|trial| trials.epochs.add(&trial.timeline));
            trials.shown.extend(made.iter().map(Shown::of));
        }
        Ok(trials)
    }

    fn make(&self, numbers: Range<usize>) -> Result<Vec<Trial>, Failure> {
        let key = Key::new(self.run.config.seed, self.stream, 0);
        let task = self.run.task.as_ref();
        let order = self.run.config.validate.balance.order();
        Ok(evaluation_trials(
            task,
            self.run.clock,
            key,
            order,
            numbers,
        )?)
    }

    fn some<B: RecurrenceBackend>(
        &self,
        network: &CtrnnModule<B>,
        numbers: Range<usize>,
    ) -> Result<SomeTrials, Failure> {
        let made = self.make(numbers.clone())?;
        if made.iter().any(|trial| trial.n_steps > self.max_steps) {
            return Err(other_trials());
        }
        let batch = TrialBatch::padded(&made, self.max_steps);
        let mut arrays = trial_arrays(&batch);
        let shape = [batch.n_trials, batch.max_steps, batch.n_outputs];
        let targets = Array::f32(&shape, batch.target_rows().into_owned());
        arrays.insert("targets".to_owned(), targets);
        let places = self.places_in_files(numbers);
        arrays.extend(places.map(|places| ("trial_index".to_owned(), places)));
        let injected = Injected {
            inputs: arrays.remove("inputs").expect("trials have inputs"),
            initial_state: None,
            initial_utilisation: None,
            initial_resources: None,
            preactivation_noise: None,
            postactivation_noise: None,
            input_noise: None,
            conditions: condition_numbers(network, self.run.task.as_ref(), &batch)?,
        };
        Ok(SomeTrials {
            injected,
            arrays,
            batch: Some(batch),
        })
    }

    /// Returns file and trial in it for each of these trials, `[trial, 2]`, if they come from files.
    fn places_in_files(&self, numbers: Range<usize>) -> Option<Array> {
        let set = self.run.task.trial_set()?;
        let n_trials = numbers.len();
        let places = numbers.flat_map(|number| set.source(number));
        let places = places.map(|place| place as i64).collect();
        Some(Array::i64(&[n_trials, 2], places))
    }
}

/// Creates the error of a task whose program does not make the same trials again.
fn other_trials() -> Failure {
    let what = "the task made longer trials when the same ones were requested again";
    let help = "the program that makes trials must make the same ones from the same seed and step";
    Failure::new(DATA, "D003", what, help)
}
