//! `simulate`: every state of a trained network, as npz.

use std::collections::BTreeMap;
use std::ops::Range;

use burn::tensor::backend::AutodiffBackend;
use ctrnn_analysis::{Injected, Perturbation, States, simulate_perturbed};
use ctrnn_files::{Array, RunFolder, npz::NpzWriter};
use ctrnn_model::{CtrnnModule, Forward, Noise, NoiseAddress, RecurrenceBackend};
use ctrnn_random::{Key, Stream};
use ctrnn_tasks::{Registry, Trial, TrialBatch};
use ctrnn_train::{
    Backend, Run, condition_numbers, evaluation_trials, only_under, trained_network,
};

use crate::args::{Recorded, SimulateArgs};
use crate::backend::{CheckEvery, Job, with_backend, with_f64};
use crate::eval::{evaluation_noise, note_unused_noise};
use crate::failure::{DATA, Failure, USAGE};
use crate::perturbation::perturbation;
use crate::run_path::existing_with_data;
use crate::terminal::Terminal;
use crate::trial_arrays::trial_arrays;

/// Trials that run together; their states are written before the next ones run.
const TOGETHER: usize = 64;

/// Simulates a run.
pub fn run(args: &SimulateArgs, registry: &Registry, terminal: &Terminal) -> Result<u8, Failure> {
    let tables: &[&str] = match args.inputs {
        Some(_) => &["time"],
        None => &["task", "time"],
    };
    only_under(tables, &args.overrides)?;
    let (folder, run) = existing_with_data(&args.run, &args.data, &args.overrides, registry)?;
    note_unused_noise(args.noise, &run, terminal);
    if args.f64 && run.device.backend != Backend::Cpu {
        terminal.note(format!(
            "device.backend = {} has no effect: double precision is computed on the CPU",
            run.device.backend
        ));
    }
    let job = SimulateJob {
        args,
        run: &run,
        folder: &folder,
    };
    let [trials, steps, units] = match args.f64 {
        true => with_f64(&run.device, job)?,
        false => with_backend(&run, job)?,
    };
    terminal.wrote(&args.output)?;
    terminal.say(format!(
        "wrote {}: {trials} trials, {steps} time steps, {units} units",
        args.output.display()
    ));
    Ok(0)
}

struct SimulateJob<'a> {
    args: &'a SimulateArgs,
    run: &'a Run,
    folder: &'a RunFolder,
}

impl Job for SimulateJob<'_> {
    /// Trials, time steps, units.
    type Output = [usize; 3];

    fn run<B>(self, device: &B::Device, _: CheckEvery) -> Result<Self::Output, Failure>
    where
        B: AutodiffBackend + RecurrenceBackend,
        B::InnerBackend: RecurrenceBackend,
    {
        let Self { args, run, folder } = self;
        let network =
            trained_network::<B::InnerBackend>(run, folder, args.checkpoint.as_deref(), device)?;
        let perturbation = perturbation(&args.perturb, run.model.n_units, run.clock)?;
        let shown = match &args.inputs {
            Some(path) => Shown::File(Box::new(Injected::read(path, network.config())?)),
            None => Shown::Trials(EvaluationTrials::of(run, args.trials)?),
        };
        let [n_trials, n_steps] = shown.size();
        check_currents(&perturbation, n_steps, run)?;
        if let (true, Shown::File(injected)) = (args.noise, &shown)
            && !matches!(injected.noise::<B::InnerBackend>(device), Noise::Off)
        {
            let what = "--noise has no effect: the file of --inputs gives the noise";
            let help =
                "leave --noise out, or the arrays preactivation_noise and postactivation_noise";
            return Err(Failure::new(USAGE, "U005", what, help));
        }
        let simulation = Simulation {
            network: &network,
            perturbation: &perturbation,
            noise: args.noise.then(|| evaluation_noise(run)),
            device,
        };
        let mut writer = NpzWriter::create(&args.output)?;
        for first in (0..n_trials).step_by(TOGETHER) {
            let numbers = first..n_trials.min(first + TOGETHER);
            let (injected, beside) = shown.some(&network, numbers)?;
            beside
                .iter()
                .try_for_each(|(name, array)| writer.append(name, array))?;
            simulation.write(first, &injected, &args.record, &mut writer)?;
        }
        writer.finish()?;
        Ok([n_trials, n_steps, run.model.n_units])
    }
}

/// Refuses a current that comes after the end of every trial.
fn check_currents(perturbation: &Perturbation, n_steps: usize, run: &Run) -> Result<(), Failure> {
    let mut currents = perturbation.currents.iter();
    let Some(late) = currents.find(|current| current.steps.start >= n_steps) else {
        return Ok(());
    };
    let ms = |steps: usize| steps as f64 * run.clock.dt_ms();
    let what = format!(
        "--current from {} ms on has no effect: the longest trial ends at {} ms",
        ms(late.steps.start),
        ms(n_steps)
    );
    Err(Failure::new(USAGE, "C036", what, "give an earlier time"))
}

/// A network, and what is done to it.
struct Simulation<'a, B: RecurrenceBackend> {
    network: &'a CtrnnModule<B>,
    perturbation: &'a Perturbation,
    /// Drawn only where no noise is given.
    noise: Option<NoiseAddress>,
    device: &'a B::Device,
}

impl<B: RecurrenceBackend> Simulation<'_, B> {
    /// Runs trials, of which `first` is the number of the first, and writes their states.
    fn write(
        &self,
        first: usize,
        injected: &Injected,
        record: &[Recorded],
        writer: &mut NpzWriter,
    ) -> Result<(), Failure> {
        let states = self.states(first, injected)?;
        if first == 0 {
            let t_ms = states.t_ms.clone();
            writer.add("t_ms", &Array::f32(&[t_ms.len()], t_ms))?;
        }
        for (what, name, array) in [
            (Recorded::Potentials, "potentials", &states.potentials),
            (Recorded::Rates, "rates", &states.rates),
            (Recorded::Inputs, "inputs", &states.inputs),
            (Recorded::Outputs, "outputs", &states.outputs),
        ] {
            if record.is_empty() || record.contains(&what) {
                writer.append(name, array)?;
            }
        }
        Ok(())
    }

    fn states(&self, first: usize, injected: &Injected) -> Result<States, Failure> {
        let noise = match (injected.noise(self.device), self.noise) {
            (Noise::Off, Some(address)) => Noise::Drawn(NoiseAddress {
                first_trial: address.first_trial + first as u32,
                ..address
            }),
            (given, _) => given,
        };
        let pass = Forward {
            noise,
            initial_state: injected.state(self.device),
            conditions: injected.conditions.clone(),
            ..Forward::default()
        };
        Ok(simulate_perturbed(
            self.network,
            &injected.inputs,
            pass,
            self.perturbation,
        )?)
    }
}

/// What the network is shown.
enum Shown<'a> {
    /// Inputs, and perhaps more, of a file.
    File(Box<Injected>),
    /// Trials of the task.
    Trials(EvaluationTrials<'a>),
}

impl Shown<'_> {
    /// Trials and time steps.
    fn size(&self) -> [usize; 2] {
        match self {
            Self::File(injected) => [0, 1].map(|side| injected.inputs.shape()[side]),
            Self::Trials(trials) => [trials.n_trials, trials.max_steps],
        }
    }

    /// Some trials, and what stands beside their states in the file.
    fn some<B: RecurrenceBackend>(
        &self,
        network: &CtrnnModule<B>,
        numbers: Range<usize>,
    ) -> Result<(Injected, BTreeMap<String, Array>), Failure> {
        match self {
            Self::File(injected) => Ok((injected.rows(numbers), BTreeMap::new())),
            Self::Trials(trials) => trials.some(network, numbers),
        }
    }
}

/// The trials of an evaluation, made when they are needed.
struct EvaluationTrials<'a> {
    run: &'a Run,
    n_trials: usize,
    /// The length to which all are padded.
    max_steps: usize,
}

impl<'a> EvaluationTrials<'a> {
    /// Makes all trials once, to know the length of the longest.
    fn of(run: &'a Run, n_trials: Option<u32>) -> Result<Self, Failure> {
        let wanted = n_trials.map_or_else(|| run.task.conditions().len(), |n| n as usize);
        let n_trials = run
            .task
            .held_out()
            .map_or(wanted, |held_out| wanted.min(held_out.len()));
        let mut trials = Self {
            run,
            n_trials,
            max_steps: 0,
        };
        for first in (0..n_trials).step_by(TOGETHER) {
            let made = trials.make(first..n_trials.min(first + TOGETHER))?;
            let longest = made.iter().map(|trial| trial.n_steps).max();
            trials.max_steps = trials.max_steps.max(longest.unwrap_or(0));
        }
        Ok(trials)
    }

    fn make(&self, numbers: Range<usize>) -> Result<Vec<Trial>, Failure> {
        let key = Key::new(self.run.seed, Stream::Eval, 0);
        let task = self.run.task.as_ref();
        Ok(evaluation_trials(task, self.run.clock, key, numbers)?)
    }

    fn some<B: RecurrenceBackend>(
        &self,
        network: &CtrnnModule<B>,
        numbers: Range<usize>,
    ) -> Result<(Injected, BTreeMap<String, Array>), Failure> {
        let made = self.make(numbers)?;
        if made.iter().any(|trial| trial.n_steps > self.max_steps) {
            return Err(other_trials());
        }
        let batch = TrialBatch::padded(&made, self.max_steps);
        let mut arrays = trial_arrays(&batch);
        let shape = [batch.n_trials, batch.max_steps, batch.n_outputs];
        let targets = Array::f32(&shape, batch.target_rows().into_owned());
        arrays.insert("targets".to_owned(), targets);
        let injected = Injected {
            inputs: arrays.remove("inputs").expect("trials have inputs"),
            initial_state: None,
            preactivation_noise: None,
            postactivation_noise: None,
            input_noise: None,
            conditions: condition_numbers(network, self.run.task.as_ref(), &batch)?,
        };
        Ok((injected, arrays))
    }
}

/// The program of the task `command` may break its promise.
fn other_trials() -> Failure {
    let what = "the task made longer trials when it was asked for the same ones again";
    let help = "the program that makes trials must make the same ones from the same seed and step";
    Failure::new(DATA, "D003", what, help)
}
