//! `check`: every error of a configuration at once; then what it would train.

use std::fmt::Write as _;
use std::time::Instant;

use burn::tensor::backend::AutodiffBackend;
use ctrnn_model::{Form, Parameter, RecurrenceBackend};
use ctrnn_random::{Key, Stream};
use ctrnn_tasks::{BatchRequest, ConditionOrder, Registry};
use ctrnn_train::{Run, RunConfig, trainer_at};

use crate::args::CheckArgs;
use crate::backend::{CheckEvery, Job, device_name, with_backend};
use crate::failure::Failure;
use crate::progress::clock;
use crate::terminal::Terminal;

/// Training steps that are timed.
const TIMED_STEPS: u64 = 3;

/// Checks a configuration.
pub fn run(args: &CheckArgs, registry: &Registry, terminal: &Terminal) -> Result<u8, Failure> {
    let root = args.data.data_root.as_deref();
    let run = RunConfig::load_with_data(&args.config, root, &args.overrides, registry)?;
    run.notes.iter().for_each(|note| terminal.note(note));
    let timing = with_backend(&run.device, Timing(&run))?;
    let size = Size::of(&run)?;
    terminal.print(|| text(&run, &size, &timing), || json(&run, &size, &timing))?;
    Ok(0)
}

/// How large a run is.
struct Size {
    parameters: usize,
    max_steps: usize,
    batch_mib: f64,
}

impl Size {
    fn of(run: &Run) -> Result<Self, Failure> {
        let trained = Parameter::ALL
            .into_iter()
            .filter(|p| p.is_trained(&run.model));
        let request = BatchRequest {
            clock: run.clock,
            n_trials: run.train.batch_size,
            key: Key::new(run.seed, Stream::Trials, 0),
            step: 0,
            conditions: ConditionOrder::Weighted,
        };
        let max_steps = run.task.sample_batch(&request)?.max_steps;
        // The sweep keeps the rates of every step for the way back; the rate form keeps its responses besides.
        let arrays = if run.model.form == Form::Rate { 2 } else { 1 };
        let kept =
            arrays * run.train.batch_size * (max_steps + 1) * run.model.n_units * size_of::<f32>();
        Ok(Self {
            parameters: trained
                .map(|p| p.shape(&run.model).iter().product::<usize>())
                .sum(),
            max_steps,
            batch_mib: kept as f64 / f64::from(1 << 20),
        })
    }
}

/// Times real training steps.
struct Timing<'a>(&'a Run);

struct Timed {
    device: String,
    steps_per_s: f64,
}

impl Job for Timing<'_> {
    type Output = Timed;

    fn run<B>(self, device: &B::Device, _: CheckEvery) -> Result<Timed, Failure>
    where
        B: AutodiffBackend + RecurrenceBackend,
        B::InnerBackend: RecurrenceBackend,
    {
        let mut trainer = trainer_at::<B>(self.0, None, 1, device)?;
        trainer.steps_only(1)?; // memory, threads, caches
        let began = Instant::now();
        trainer.steps_only(TIMED_STEPS)?;
        Ok(Timed {
            device: device_name::<B>(device),
            steps_per_s: TIMED_STEPS as f64 / began.elapsed().as_secs_f64(),
        })
    }
}

fn text(run: &Run, size: &Size, timed: &Timed) -> String {
    let m = &run.model;
    let layout = run.task.layout();
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        let _ = writeln!(text, "{name:<12} {value}");
    };
    line(
        "task",
        format!(
            "{}: {} conditions",
            run.task_name,
            run.task.conditions().len()
        ),
    );
    line(
        "inputs",
        format!("{}: {}", m.n_inputs, layout.inputs.join(", ")),
    );
    line(
        "outputs",
        format!("{}: {}", m.n_outputs, layout.outputs.join(", ")),
    );
    line(
        "network",
        format!(
            "{} units, {}, {:?} form, {} parameters",
            m.n_units,
            m.activation.name(),
            m.form,
            size.parameters
        )
        .to_lowercase(),
    );
    line(
        "time",
        format!(
            "dt {} ms, tau {} ms, alpha {:.3}; up to {} steps in a trial",
            m.dt_ms,
            m.tau_ms,
            m.alpha(),
            size.max_steps
        ),
    );
    line(
        "training",
        format!(
            "{} steps of {} trials, {}, loss {}",
            run.train.steps,
            run.train.batch_size,
            optimizer(run),
            run.train.loss.name()
        ),
    );
    line(
        "memory",
        format!("{:.1} MiB of states for a batch", size.batch_mib),
    );
    line("device", timed.device.clone());
    let seconds = run.train.steps as f64 / timed.steps_per_s;
    line(
        "speed",
        format!(
            "about {:.0} steps/s: {} for all steps",
            timed.steps_per_s,
            clock(seconds)
        ),
    );
    text
}

fn optimizer(run: &Run) -> String {
    format!(
        "{} lr {}",
        run.train.optimizer.name(),
        run.train.optimizer.lr()
    )
}

fn json(run: &Run, size: &Size, timed: &Timed) -> serde_json::Value {
    serde_json::json!({
        "task": run.task_name,
        "n_inputs": run.model.n_inputs,
        "n_units": run.model.n_units,
        "n_outputs": run.model.n_outputs,
        "parameters": size.parameters,
        "max_steps_in_a_trial": size.max_steps,
        "state_mib": size.batch_mib,
        "device": timed.device,
        "steps_per_s": timed.steps_per_s,
    })
}
