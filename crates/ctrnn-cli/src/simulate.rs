//! `simulate`: every state of a trained network, as npz.

use std::collections::BTreeMap;

use burn::tensor::backend::AutodiffBackend;
use ctrnn_analysis::{Injected, simulate};
use ctrnn_files::{Array, RunFolder, npz};
use ctrnn_model::{CtrnnModule, Forward, Noise, RecurrenceBackend};
use ctrnn_random::{Key, Stream};
use ctrnn_tasks::{Registry, TrialBatch};
use ctrnn_train::{Run, condition_numbers, evaluation_trials, only_under, trained_network};

use crate::args::SimulateArgs;
use crate::backend::{CheckEvery, Job, with_backend, with_f64};
use crate::eval::evaluation_noise;
use crate::failure::Failure;
use crate::run_path::existing_with_data;
use crate::terminal::Terminal;
use crate::trial_arrays::trial_arrays;

/// Simulates a run.
pub fn run(args: &SimulateArgs, registry: &Registry, terminal: &Terminal) -> Result<u8, Failure> {
    only_under(&["task", "validate", "time"], &args.overrides)?;
    let (folder, run) = existing_with_data(&args.run, &args.data, &args.overrides, registry)?;
    let job = SimulateJob {
        args,
        run: &run,
        folder: &folder,
    };
    let arrays = match args.f64 {
        true => with_f64(&run.device, job)?,
        false => with_backend(&run, job)?,
    };
    npz::write(&args.output, &arrays)?;
    let shape = arrays["potentials"].shape();
    terminal.wrote(&args.output)?;
    terminal.say(format!(
        "wrote {}: {} trials, {} time steps, {} units",
        args.output.display(),
        shape[0],
        shape[1],
        shape[2]
    ));
    Ok(0)
}

struct SimulateJob<'a> {
    args: &'a SimulateArgs,
    run: &'a Run,
    folder: &'a RunFolder,
}

impl Job for SimulateJob<'_> {
    type Output = BTreeMap<String, Array>;

    fn run<B>(self, device: &B::Device, _: CheckEvery) -> Result<Self::Output, Failure>
    where
        B: AutodiffBackend + RecurrenceBackend,
        B::InnerBackend: RecurrenceBackend,
    {
        let Self { args, run, folder } = self;
        let network =
            trained_network::<B::InnerBackend>(run, folder, args.checkpoint.as_deref(), device)?;
        match &args.inputs {
            Some(path) => {
                let injected = Injected::read(path, network.config())?;
                Ok(simulate_injected(
                    &network,
                    &injected,
                    self.args.noise,
                    run,
                    device,
                ))
            }
            None => simulate_trials(&network, args, run),
        }
    }
}

/// Given noise is used whether or not noise is asked for; it is drawn only where none is given.
fn simulate_injected<B: RecurrenceBackend>(
    network: &CtrnnModule<B>,
    injected: &Injected,
    with_noise: bool,
    run: &Run,
    device: &B::Device,
) -> BTreeMap<String, Array> {
    let noise = match injected.noise(device) {
        Noise::Off if with_noise => Noise::Drawn(evaluation_noise(run)),
        given => given,
    };
    let pass = Forward {
        noise,
        initial_state: injected.state(device),
        conditions: injected.conditions.clone(),
        ..Forward::default()
    };
    simulate(network, &injected.inputs, pass).into_arrays()
}

fn simulate_trials<B: RecurrenceBackend>(
    network: &CtrnnModule<B>,
    args: &SimulateArgs,
    run: &Run,
) -> Result<BTreeMap<String, Array>, Failure> {
    let n = args
        .trials
        .map_or_else(|| run.task.conditions().len(), |n| n as usize);
    let key = Key::new(run.seed, Stream::Eval, 0);
    let trials = evaluation_trials(run.task.as_ref(), run.clock, key, n)?;
    let noise = match args.noise {
        true => Noise::Drawn(evaluation_noise(run)),
        false => Noise::Off,
    };
    let batch = TrialBatch::new(&trials);
    let mut arrays = trial_arrays(&batch);
    let shape = [batch.n_trials, batch.max_steps, batch.n_outputs];
    arrays.insert(
        "targets".to_owned(),
        Array::f32(&shape, batch.target_rows().into_owned()),
    );
    let inputs = arrays["inputs"].clone();
    let pass = Forward {
        noise,
        conditions: condition_numbers(network, run.task.as_ref(), &batch)?,
        ..Forward::default()
    };
    arrays.extend(simulate(network, &inputs, pass).into_arrays());
    Ok(arrays)
}
