//! `check`: every error of a configuration at once; then what it would train.

use std::fmt::Write as _;
use std::time::Instant;

use burn::tensor::backend::AutodiffBackend;
use ctrnn_kernels::{KernelPath, Shape, kept_states, segment_steps};
use ctrnn_model::{Form, ParameterSummary, RecurrenceBackend, Summary};
use ctrnn_random::{Key, Stream};
use ctrnn_tasks::{BatchRequest, ConditionOrder, Programs, Registry, TrialSet};
use ctrnn_train::{Backend, Objective, Reading, Run, TrainError, trainer_at};

use crate::advice::advice;
use crate::args::CheckArgs;
use crate::backend::{CheckEvery, Job, device_name, with_backend};
use crate::check_without_trials;
use crate::failure::Failure;
use crate::progress::clock;
use crate::terminal::Terminal;

/// Training steps that are timed.
const TIMED_STEPS: u64 = 3;

/// Checks a configuration.
pub fn run(args: &CheckArgs, registry: &Registry, terminal: &Terminal) -> Result<u8, Failure> {
    if args.no_trials {
        return check_without_trials::run(args, registry, terminal);
    }
    let consent = args.trust.consent(terminal);
    let overrides = args.data.overrides(&args.overrides);
    let reading = Reading {
        registry,
        overrides: &overrides,
        data_root: args.data.data_root.as_deref(),
        programs: Programs::Agreed(&|words| consent.agree(words)),
        sizes: None,
    };
    let run = reading.file(&args.config)?;
    run.notes.iter().for_each(|note| terminal.note(note));
    let timing = with_backend(&run, Timing(&run))?;
    let size = Size::of(&run)?;
    terminal.print(|| text(&run, &size, &timing), || json(&run, &size, &timing))?;
    Ok(0)
}

/// How large a run is.
struct Size {
    max_steps: usize,
    batch_mib: f64,
}

impl Size {
    fn of(run: &Run) -> Result<Self, Failure> {
        let request = BatchRequest {
            clock: run.clock,
            first_trial: 0,
            n_trials: run.train.batch_size,
            key: Key::new(run.seed, Stream::Trials, 0),
            step: 0,
            conditions: ConditionOrder::Weighted,
        };
        let max_steps = run.task.sample_batch(&request)?.max_steps;
        let kept = kept_numbers(run, max_steps) * size_of::<f32>();
        Ok(Self {
            max_steps,
            batch_mib: kept as f64 / f64::from(1 << 20),
        })
    }
}

/// Numbers that a sweep over a batch keeps for the way back: the rates of every time step; the responses of the rate form, or
/// the potentials where time constants are learned; few of them where the states are recomputed.
fn kept_numbers(run: &Run, max_steps: usize) -> usize {
    let model = &run.model;
    let shape = Shape {
        trials: run.train.batch_size,
        steps: max_steps,
        inputs: model.n_inputs,
        units: model.n_units,
        outputs: model.n_outputs,
    };
    let besides = model.form == Form::Rate || model.tau_ms.learned().is_some();
    let arrays = if besides { 2 } else { 1 };
    let of_steps = |steps: usize| arrays * shape.trials * (steps + 1) * shape.units;
    match run.train.recompute {
        false => of_steps(max_steps),
        true => {
            let segment = segment_steps(&shape);
            kept_states(&shape, segment) + of_steps(segment.min(max_steps))
        }
    }
}

impl Size {
    fn trial_kib(&self, run: &Run) -> f64 {
        1024.0 * self.batch_mib / run.train.batch_size as f64
    }
}

/// Times real training steps.
struct Timing<'a>(&'a Run);

struct Timed {
    device: String,
    /// Of the CPU.
    threads: usize,
    steps_per_s: f64,
    /// Of the network before its first step.
    network: Summary,
}

impl Job for Timing<'_> {
    type Output = Timed;
    const TRAINS: bool = true;

    fn run<B>(self, device: &B::Device, _: CheckEvery) -> Result<Timed, Failure>
    where
        B: AutodiffBackend + RecurrenceBackend,
        B::InnerBackend: RecurrenceBackend,
    {
        let mut trainer = trainer_at::<B>(self.0, None, 1, device)?;
        let network = trainer.network().summary().map_err(TrainError::from)?;
        trainer.steps_only(1)?; // memory, threads, caches
        let began = Instant::now();
        trainer.steps_only(TIMED_STEPS)?;
        Ok(Timed {
            device: device_name::<B>(device),
            threads: rayon::current_num_threads(),
            steps_per_s: TIMED_STEPS as f64 / began.elapsed().as_secs_f64(),
            network,
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
            "{}: {}",
            run.task_name,
            counted(run.task.n_conditions(), "condition")
        ),
    );
    if let Some(set) = run.task.trial_set() {
        line("trials", trials(set));
    }
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
            "{} units, {}, {:?} form, {}",
            m.n_units,
            m.activation.name(),
            m.form,
            parameters(timed.network.count(), timed.network.free()),
        )
        .to_lowercase(),
    );
    for parameter in &timed.network.parameters {
        line("", described(parameter));
    }
    line("recurrence", recurrence(&timed.network));
    line("", beginning(run));
    line(
        "time",
        format!(
            "dt {} ms, {}, tau {}, alpha {}; up to {} steps in a trial",
            m.dt_ms,
            m.integrator.name(),
            range(timed.network.tau_ms, |tau| tau.to_string()),
            range(m.alpha_range(), |alpha| format!("{alpha:.3}")),
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
            loss(&run.train.objective)
        ),
    );
    line(
        "memory",
        format!(
            "{:.1} MiB of states for a batch, {:.1} KiB for a trial",
            size.batch_mib,
            size.trial_kib(run)
        ),
    );
    line(
        "device",
        format!(
            "{}, threads {}, kernels {}",
            timed.device,
            timed.threads,
            kernels(run)
        ),
    );
    let seconds = run.train.steps as f64 / timed.steps_per_s;
    line(
        "speed",
        format!(
            "about {:.0} steps/s: {} for all steps",
            timed.steps_per_s,
            clock(seconds)
        ),
    );
    line("advice", advised(run, size, timed));
    text
}

/// "1 condition", "2 conditions"
fn counted(n: usize, what: &str) -> String {
    match n {
        1 => format!("1 {what}"),
        n => format!("{n} {what}s"),
    }
}

/// "400 of 14 to 22 time steps, 80 of them held out for validation"
fn trials(set: &dyn TrialSet) -> String {
    let (shortest, longest) = set.n_steps().into_inner();
    let steps = match shortest == longest {
        true => longest.to_string(),
        false => format!("{shortest} to {longest}"),
    };
    let held_out = set.n_held_out();
    let all = held_out + set.n_training();
    format!("{all} of {steps} time steps, {held_out} of them held out for validation")
}

fn trials_json(set: &dyn TrialSet) -> serde_json::Value {
    serde_json::json!({
        "training": set.n_training(), "held_out": set.n_held_out(), "steps": set.n_steps().into_inner(),
    })
}

fn advised(run: &Run, size: &Size, timed: &Timed) -> String {
    advice(run, size.max_steps, 1e3 / timed.steps_per_s)
}

/// The loss and what is added to it.
fn loss(objective: &Objective) -> String {
    let names = objective.term_names();
    match names.is_empty() {
        true => objective.loss.name().to_owned(),
        false => names.join(" + "),
    }
}

/// "172 parameters, 82 of them free"
fn parameters(count: usize, free: usize) -> String {
    match free == count {
        true => format!("{count} parameters"),
        false => format!("{count} parameters, {free} of them free"),
    }
}

/// "recurrent.weight [10,10], 100 parameters, 44 of them free: abs, 45 of 100 connections"
fn described(parameter: &ParameterSummary) -> String {
    let shape: Vec<String> = parameter.shape.iter().map(usize::to_string).collect();
    let counts = parameters(parameter.count, parameter.free);
    let text = format!("{} [{}], {counts}", parameter.name, shape.join(","));
    match parameter.constraint.as_str() {
        "" => text,
        constraint => format!("{text}: {constraint}"),
    }
}

fn recurrence(network: &Summary) -> String {
    let radius = match network.spectral_radius {
        Some(radius) => format!("spectral radius {radius:.4}"),
        None => "spectral radius not computed above 1024 units".to_owned(),
    };
    format!(
        "{radius}; weights above zero sum to {:.3}, below to -{:.3}; largest imbalance of a unit {:.3}",
        network.excitation, network.inhibition, network.largest_imbalance
    )
}

/// "drawn gaussian, balance row, spectral radius 1"
fn beginning(run: &Run) -> String {
    let init = &run.model.init;
    let radius = match init.spectral_radius {
        Some(radius) => format!("spectral radius {radius}"),
        None => "its natural scale".to_owned(),
    };
    let file = match run.init_file {
        Some(_) => ", where model.init.file has none",
        None => "",
    };
    format!(
        "drawn {}, balance {}, {radius}{file}",
        init.recurrent.name(),
        init.balance.name()
    )
}

/// One number, or two.
fn range([low, high]: [f64; 2], text: impl Fn(f64) -> String) -> String {
    match low == high {
        true => text(low),
        false => format!("{} to {}", text(low), text(high)),
    }
}

/// The kernels that compute the recurrence: those of the CPU by their instruction set, or those of a GPU.
fn kernels(run: &Run) -> &'static str {
    match run.device.backend {
        Backend::Cpu => KernelPath::selected().map_or("none", KernelPath::name),
        Backend::Wgpu(_) | Backend::Cuda(_) => "cubecl",
    }
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
        "trials": run.task.trial_set().map(trials_json),
        "n_inputs": run.model.n_inputs,
        "n_units": run.model.n_units,
        "n_outputs": run.model.n_outputs,
        "alpha": run.model.alpha_range(),
        "parameters": timed.network.count(),
        "free_parameters": timed.network.free(),
        "network": network_json(&timed.network),
        "init": run.model.init,
        "max_steps_in_a_trial": size.max_steps,
        "state_mib": size.batch_mib,
        "state_kib_of_a_trial": size.trial_kib(run),
        "device": timed.device,
        "threads": timed.threads,
        "kernel_path": kernels(run),
        "steps_per_s": timed.steps_per_s,
        "advice": advised(run, size, timed),
    })
}

fn network_json(network: &Summary) -> serde_json::Value {
    let parameter = |p: &ParameterSummary| {
        serde_json::json!({
            "name": p.name, "shape": p.shape, "count": p.count, "free": p.free, "constraint": p.constraint,
        })
    };
    serde_json::json!({
        "parameters": network.parameters.iter().map(parameter).collect::<Vec<_>>(),
        "tau_ms": network.tau_ms,
        "spectral_radius": network.spectral_radius,
        "excitation": network.excitation,
        "inhibition": network.inhibition,
        "largest_imbalance": network.largest_imbalance,
    })
}
