//! `check`: all errors of a configuration at once; without any, a description of the training.

use std::fmt::Write as _;
use std::time::Instant;

use burn::tensor::backend::AutodiffBackend;
use ctrnn_config::{Backend, Reading, Run, counted};
use ctrnn_kernels::{KernelPath, Shape, kept_states, segment_steps};
use ctrnn_model::{Form, ParameterSummary, RecurrenceBackend, Summary};
use ctrnn_runs::{initial_states_note, trainer_at};
use ctrnn_tasks::{Programs, Registry, TrialSet};
use ctrnn_train::{NotFinite, Objective, Overflow, TrainError, Trainer};

use crate::advice::advice;
use crate::args::CheckArgs;
use crate::backend::{CheckEvery, Job, device_name, with_backend};
use crate::check_without_trials;
use crate::failure::Failure;
use crate::progress::clock;
use crate::terminal::Terminal;
use crate::training_memory;
use crate::trial_length::LongestTrial;

/// Number of training steps that are timed; the fastest counts, because other work of the machine can only slow one down.
const TIMED_STEPS: usize = 5;
/// Memory of a training above which it is reported before a step is tried.
const MUCH_MIB: f64 = 1024.0;
/// Seconds after which no further step is timed.
const LONGEST_TIMING_S: f64 = 2.0;

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
        trained: None,
    };
    let run = reading.file(&args.config)?;
    let (unused, states) = (run.unused_keys(), initial_states_note(&run));
    run.notes
        .iter()
        .chain(&unused)
        .chain(&states)
        .for_each(|note| terminal.note(note));
    let size = Size::of(&run)?;
    if let Some(mib) = size.training_mib.filter(|&mib| mib > MUCH_MIB) {
        // If there is less memory, the process is killed before it can print anything else.
        terminal.note(format!(
            "training takes about {mib:.0} MiB of memory; one step of it is tried now"
        ));
    }
    let tried = with_backend(&run, Trying(&run))?;
    terminal.print(|| text(&run, &size, &tried), || json(&run, &size, &tried))?;
    match tried.outcome {
        Outcome::Timed { .. } => Ok(0),
        Outcome::Diverged(found, overflow) => {
            let message = format!(
                "{}: {}",
                described_overflow(overflow),
                found.what_and_step()
            );
            if let Overflow::Elsewhere { largest, .. } = overflow
                && largest < LARGE_STATE
            {
                return Err(Failure::new(3, "T001", message, large_besides_states(&run)));
            }
            let radius = tried.network.spectral_radius;
            Err(Failure::diverged(&found, message, &run, radius, None))
        }
    }
}

/// Largest state that does not explain an infinite loss.
const LARGE_STATE: f64 = 1e6;

/// Returns the remedy for a loss that overflows while the states stay small.
fn large_besides_states(run: &Run) -> String {
    let mut large = vec!["targets and mask, where the task's trials are made".to_owned()];
    let penalties = run.objective.term_names();
    if !penalties.is_empty() {
        large.push(format!(
            "the weights of the penalties: {}",
            penalties.join(", ")
        ));
    }
    if run.model.noise.postactivation > 0.0 {
        let sigma = run.model.noise.postactivation;
        large.push(format!(
            "model.noise.postactivation (now {sigma:e}), which the readout sees"
        ));
    }
    format!(
        "the states stay small, so something else is too large:\n        {}",
        large.join("\n        ")
    )
}

/// Describes an overflow: "the states overflow in a trial of 207 steps, from time step 93 on (counted from 0)".
fn described_overflow(overflow: Overflow) -> String {
    match overflow {
        Overflow::States { from_step, n_steps } => format!(
            "the states overflow in a trial of {}, from time step {from_step} on (counted from 0)",
            counted(n_steps, "step")
        ),
        Overflow::Elsewhere { largest, n_steps } => {
            let steps = counted(n_steps, "step");
            format!("the states reach {largest:.1e} in a trial of {steps}")
        }
    }
}

/// Sizes of a run.
struct Size {
    longest: LongestTrial,
    /// MiB of states that are kept for the backward pass of a batch.
    states_mib: f64,
    /// Peak memory of the training in MiB; unknown on a GPU, which has its own memory.
    training_mib: Option<f64>,
}

impl Size {
    fn of(run: &Run) -> Result<Self, Failure> {
        let longest = LongestTrial::of(run)?;
        let states = kept_numbers(run, longest.n_steps);
        let mib = |bytes: f64| bytes / f64::from(1 << 20);
        let is_on_cpu = run.config.device.backend == Backend::Cpu;
        let training = is_on_cpu.then(|| mib(training_memory::bytes(run, longest.n_steps, states)));
        Ok(Self {
            longest,
            states_mib: mib((states * size_of::<f32>()) as f64),
            training_mib: training,
        })
    }
}

/// Counts the numbers that a sweep over a batch keeps for the backward pass: the rates of every time step, and the
/// responses in the rate form or the potentials if time constants are learned. With recomputation only a few of them
/// are kept.
fn kept_numbers(run: &Run, max_steps: usize) -> usize {
    let model = &run.model;
    let shape = Shape {
        trials: run.config.train.batch_size,
        steps: max_steps,
        inputs: model.n_inputs,
        units: model.n_units,
        outputs: model.n_outputs,
    };
    let besides = model.form == Form::Rate || model.tau_ms.learned().is_some();
    let arrays = if besides { 2 } else { 1 };
    let of_steps = |steps: usize| arrays * shape.trials * (steps + 1) * shape.units;
    if run.config.train.recompute {
        let segment = segment_steps(&shape);
        kept_states(&shape, segment) + of_steps(segment.min(max_steps))
    } else {
        of_steps(max_steps)
    }
}

impl Size {
    fn trial_kib(&self, run: &Run) -> f64 {
        1024.0 * self.states_mib / run.config.train.batch_size as f64
    }
}

/// A job that makes and times real training steps.
struct Trying<'a>(&'a Run);

struct Tried {
    device: String,
    /// Number of CPU threads.
    threads: usize,
    /// Summary of the network before its first step.
    network: Summary,
    outcome: Outcome,
}

enum Outcome {
    Timed { steps_per_s: f64 },
    Diverged(Box<NotFinite>, Overflow),
}

impl Job for Trying<'_> {
    type Output = Tried;
    const TRAINS: bool = true;

    fn run<B>(self, device: &B::Device, _: CheckEvery) -> Result<Tried, Failure>
    where
        B: AutodiffBackend + RecurrenceBackend,
        B::InnerBackend: RecurrenceBackend,
    {
        let mut trainer = trainer_at::<B>(self.0, None, 1, device)?;
        let network = trainer.network().summary().map_err(TrainError::from)?;
        let outcome = match time(&mut trainer) {
            Ok(steps_per_s) => Outcome::Timed { steps_per_s },
            Err(TrainError::NotFinite(found)) if !found.what.is_data() => {
                Outcome::Diverged(found, trainer.overflow()?)
            }
            Err(error) => return Err(error.into()),
        };
        Ok(Tried {
            device: device_name::<B>(device),
            threads: rayon::current_num_threads(),
            network,
            outcome,
        })
    }
}

/// Measures steps per second by the fastest of a few steps.
fn time<B>(trainer: &mut Trainer<'_, B>) -> Result<f64, TrainError>
where
    B: AutodiffBackend + RecurrenceBackend,
    B::InnerBackend: RecurrenceBackend,
{
    trainer.steps_only(1)?; // not timed: it allocates memory, starts threads and fills caches
    let began = Instant::now();
    let mut fastest_s = f64::INFINITY;
    for _ in 0..TIMED_STEPS {
        let step = Instant::now();
        trainer.steps_only(1)?;
        fastest_s = fastest_s.min(step.elapsed().as_secs_f64());
        if began.elapsed().as_secs_f64() > LONGEST_TIMING_S {
            break;
        }
    }
    Ok(1.0 / fastest_s)
}

fn text(run: &Run, size: &Size, tried: &Tried) -> String {
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
            "{}, {}, {:?} form, {}",
            counted(m.n_units, "unit"),
            m.activation.name(),
            m.form,
            parameters(tried.network.count(), tried.network.free()),
        )
        .to_lowercase(),
    );
    for parameter in &tried.network.parameters {
        line("", described(parameter));
    }
    line("recurrence", recurrence(&tried.network));
    line("", beginning(run));
    line(
        "time",
        format!(
            "dt {} ms, {}, tau {}, alpha {}; {}",
            m.dt_ms,
            m.integrator.name(),
            range(tried.network.tau_ms, |tau| tau.to_string()),
            range(m.alpha_range(), |alpha| format!("{alpha:.3}")),
            size.longest
        ),
    );
    line(
        "training",
        format!(
            "{} of {}, {}, loss {}",
            counted(run.config.train.steps, "step"),
            counted(run.config.train.batch_size, "trial"),
            optimizer(run),
            loss(&run.objective)
        ),
    );
    let training = size.training_mib.map_or(String::new(), |mib| {
        format!("about {mib:.0} MiB for the training; of these ")
    });
    line(
        "memory",
        format!(
            "{training}{:.1} MiB of states for a batch, {:.1} KiB for a trial",
            size.states_mib,
            size.trial_kib(run)
        ),
    );
    line(
        "device",
        format!(
            "{}, threads {}, kernels {}",
            tried.device,
            tried.threads,
            kernels(run)
        ),
    );
    if let Outcome::Timed { steps_per_s } = tried.outcome {
        let seconds = run.config.train.steps as f64 / steps_per_s;
        line(
            "speed",
            format!(
                "about {steps_per_s:.0} steps/s: {} for all steps",
                clock(seconds)
            ),
        );
        line(
            "advice",
            advice(run, size.longest.n_steps, 1e3 / steps_per_s),
        );
    }
    text
}

/// Describes trials: "400 of 14 to 22 time steps, 80 of them held out for validation".
fn trials(set: &dyn TrialSet) -> String {
    let (shortest, longest) = set.n_steps().into_inner();
    let steps = if shortest == longest {
        longest.to_string()
    } else {
        format!("{shortest} to {longest}")
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

/// Names the loss and the penalties.
fn loss(objective: &Objective) -> String {
    let names = objective.term_names();
    if names.is_empty() {
        objective.loss.name().to_owned()
    } else {
        names.join(" + ")
    }
}

/// Formats numbers of parameters: "172 parameters, 82 of them free".
pub fn parameters(count: usize, free: usize) -> String {
    let parameters = counted(count, "parameter");
    if free == count {
        parameters
    } else {
        format!("{parameters}, {free} of them free")
    }
}

/// Describes a parameter: "recurrent.weight [10,10], 100 parameters, 44 of them free: abs, 45 of 100 connections".
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
        "{radius}; positive weights sum to {:.3}, negative weights to -{:.3}; largest imbalance of a unit {:.3}",
        network.excitation, network.inhibition, network.largest_imbalance
    )
}

/// Describes the initial weights: "drawn gaussian, balance row, spectral radius 1".
fn beginning(run: &Run) -> String {
    let init = &run.model.init;
    let radius = match run.model.spectral_radius() {
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
        run.model.balance()
    )
}

/// Formats a range, or a single number if both ends are equal.
fn range([low, high]: [f64; 2], text: impl Fn(f64) -> String) -> String {
    if low == high {
        text(low)
    } else {
        format!("{} to {}", text(low), text(high))
    }
}

/// Names the kernels that compute the recurrence: those of the CPU by their instruction set, or those of a GPU.
fn kernels(run: &Run) -> &'static str {
    match run.config.device.backend {
        Backend::Cpu => KernelPath::selected().map_or("none", KernelPath::name),
        Backend::Wgpu(_) | Backend::Cuda(_) => "cubecl",
    }
}

fn optimizer(run: &Run) -> String {
    format!(
        "{} lr {}",
        run.config.train.optimizer.name(),
        run.config.train.optimizer.lr()
    )
}

fn json(run: &Run, size: &Size, tried: &Tried) -> serde_json::Value {
    let mut json = serde_json::json!({
        "task": run.task_name,
        "trials": run.task.trial_set().map(trials_json),
        "n_inputs": run.model.n_inputs,
        "n_units": run.model.n_units,
        "n_outputs": run.model.n_outputs,
        "alpha": run.model.alpha_range(),
        "parameters": tried.network.count(),
        "free_parameters": tried.network.free(),
        "network": network_json(&tried.network),
        "init": {
            "input": run.model.init.input,
            "recurrent": run.model.init.recurrent,
            "output": run.model.init.output,
            "balance": run.model.balance(),
            "spectral_radius": run.model.spectral_radius(),
        },
        "max_steps_in_a_trial": size.longest.n_steps,
        "drawn_trials": size.longest.of_drawn,
        "training_mib": size.training_mib,
        "state_mib": size.states_mib,
        "state_kib_of_a_trial": size.trial_kib(run),
        "device": tried.device,
        "threads": tried.threads,
        "kernel_path": kernels(run),
    });
    match &tried.outcome {
        Outcome::Timed { steps_per_s } => {
            json["steps_per_s"] = (*steps_per_s).into();
            json["advice"] = advice(run, size.longest.n_steps, 1e3 / steps_per_s).into();
        }
        Outcome::Diverged(found, overflow) => {
            json["not_finite"] = found.what.to_string().into();
            json["overflow"] = described_overflow(*overflow).into();
        }
    }
    json
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
