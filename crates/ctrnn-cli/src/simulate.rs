//! `simulate`: every state of a trained network, as npz.

use std::collections::BTreeMap;

use burn::tensor::Tensor;
use burn::tensor::backend::AutodiffBackend;
use ctrnn_analysis::{Injected, Perturbation, States, simulate_perturbed};
use ctrnn_files::{Array, RunFolder, npz::NpzWriter};
use ctrnn_model::{CtrnnModule, Forward, Noise, NoiseAddress, RecurrenceBackend};
use ctrnn_random::{Key, Stream};
use ctrnn_tasks::{Registry, TrialBatch};
use ctrnn_train::{Run, condition_numbers, evaluation_trials, only_under, trained_network};

use crate::args::{Recorded, SimulateArgs};
use crate::backend::{CheckEvery, Job, with_backend, with_f64};
use crate::eval::evaluation_noise;
use crate::failure::Failure;
use crate::perturbation::perturbation;
use crate::run_path::existing_with_data;
use crate::terminal::Terminal;
use crate::trial_arrays::trial_arrays;

/// Trials that run together; their states are written before the next ones run.
const TOGETHER: usize = 64;

/// Simulates a run.
pub fn run(args: &SimulateArgs, registry: &Registry, terminal: &Terminal) -> Result<u8, Failure> {
    only_under(&["task", "validate", "time"], &args.overrides)?;
    let (folder, run) = existing_with_data(&args.run, &args.data, &args.overrides, registry)?;
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
        let (injected, whole) = match &args.inputs {
            Some(path) => (Injected::read(path, network.config())?, BTreeMap::new()),
            None => trials(&network, args, run)?,
        };
        let simulation = Simulation {
            network: &network,
            perturbation: &perturbation,
            injected: &injected,
            noise: args.noise.then(|| evaluation_noise(run)),
            device,
        };
        let mut writer = NpzWriter::create(&args.output)?;
        whole
            .iter()
            .try_for_each(|(name, array)| writer.add(name, array))?;
        simulation.write(&args.record, &mut writer)?;
        writer.finish()?;
        let shape = injected.inputs.shape();
        Ok([shape[0], shape[1], run.model.n_units])
    }
}

/// A network, what is done to it, and what it is shown.
struct Simulation<'a, B: RecurrenceBackend> {
    network: &'a CtrnnModule<B>,
    perturbation: &'a Perturbation,
    injected: &'a Injected,
    /// Drawn only where no noise is given.
    noise: Option<NoiseAddress>,
    device: &'a B::Device,
}

impl<B: RecurrenceBackend> Simulation<'_, B> {
    /// Runs some trials after others, so that no more than their states are in memory.
    fn write(&self, record: &[Recorded], writer: &mut NpzWriter) -> Result<(), Failure> {
        let n_trials = self.injected.inputs.shape()[0];
        for first in (0..n_trials).step_by(TOGETHER) {
            let states = self.states(first..n_trials.min(first + TOGETHER))?;
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
        }
        Ok(())
    }

    fn states(&self, trials: std::ops::Range<usize>) -> Result<States, Failure> {
        let some = |rows: Tensor<B, 3>| {
            let [_, steps, width] = rows.dims();
            rows.slice([trials.clone(), 0..steps, 0..width])
        };
        let noise = match (self.injected.noise(self.device), self.noise) {
            (Noise::Off, Some(address)) => Noise::Drawn(NoiseAddress {
                first_trial: address.first_trial + trials.start as u32,
                ..address
            }),
            (
                Noise::Given {
                    preactivation,
                    postactivation,
                    input,
                },
                _,
            ) => Noise::Given {
                preactivation: preactivation.map(some),
                postactivation: postactivation.map(some),
                input: input.map(some),
            },
            (given, _) => given,
        };
        let conditions = &self.injected.conditions;
        let pass = Forward {
            noise,
            initial_state: self.injected.state(self.device).map(|state| {
                let n = state.dims()[1];
                state.slice([trials.clone(), 0..n])
            }),
            conditions: conditions
                .get(trials.clone())
                .map(<[usize]>::to_vec)
                .unwrap_or_default(),
            ..Forward::default()
        };
        let inputs = rows(&self.injected.inputs, trials);
        Ok(simulate_perturbed(
            self.network,
            &inputs,
            pass,
            self.perturbation,
        )?)
    }
}

/// Some rows along the first dimension.
fn rows(array: &Array, rows: std::ops::Range<usize>) -> Array {
    let shape = array.shape();
    let width: usize = shape[1..].iter().product();
    let some = rows.start * width..rows.end * width;
    let shape = [&[rows.len()], &shape[1..]].concat();
    match array.data() {
        ctrnn_files::ArrayData::F32(values) => Array::f32(&shape, values[some].to_vec()),
        _ => {
            let values = array.to_f64().expect("numbers that f32 holds are f64 too");
            Array::f64(&shape, values[some].to_vec())
        }
    }
}

/// The inputs of trials of the task, and what stands beside the states in the file.
fn trials<B: RecurrenceBackend>(
    network: &CtrnnModule<B>,
    args: &SimulateArgs,
    run: &Run,
) -> Result<(Injected, BTreeMap<String, Array>), Failure> {
    let n = args
        .trials
        .map_or_else(|| run.task.conditions().len(), |n| n as usize);
    let key = Key::new(run.seed, Stream::Eval, 0);
    let batch = TrialBatch::new(&evaluation_trials(run.task.as_ref(), run.clock, key, n)?);
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
        conditions: condition_numbers(network, run.task.as_ref(), &batch)?,
    };
    Ok((injected, arrays))
}
