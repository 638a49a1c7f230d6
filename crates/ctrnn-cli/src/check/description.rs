//! Description of a training, as text and as JSON.

use ctrnn_config::{Backend, Run, Stage, counted};
use ctrnn_kernels::KernelPath;
use ctrnn_model::{CtrnnConfig, LowRank, ParameterSummary, Summary};
use ctrnn_tasks::TrialSet;
use ctrnn_train::{Overflow, Rule, ValidationSetConfig};
use serde_json::json;

use super::advice::advice;
use super::areas;
use super::first_steps::{Outcome, Tried};
use super::size::Size;
use super::words::{Row, channels, parameters, table};
use crate::progress::clock;

/// Describes a run and its first steps in lines.
pub fn text(run: &Run, size: &Size, tried: &Tried) -> String {
    let sections = [
        task_rows(run),
        network_rows(run, &tried.network),
        areas::rows(run),
        vec![("time", time(run, &tried.network, size))],
        training_rows(run, size),
        set_rows(run),
        stage_rows(run),
        device_rows(run, size, tried),
    ];
    table(sections.into_iter().flatten())
}

fn task_rows(run: &Run) -> Vec<Row> {
    let conditions = counted(run.task.n_conditions(), "condition");
    let layout = run.task.layout();
    let mut rows = vec![("task", format!("{}: {conditions}", run.task_name))];
    rows.extend(run.task.trial_set().map(|set| ("trials", trials(set))));
    rows.push(("inputs", channels(&layout.inputs)));
    rows.push(("outputs", channels(&layout.outputs)));
    rows
}

fn network_rows(run: &Run, network: &Summary) -> Vec<Row> {
    let model = &run.model;
    let counts = parameters(network.count(), network.free());
    let units = match model.n_layers() {
        1 => format!("{}, {counts}", units(model)),
        n => format!("{n} layers, {counts}"),
    };
    let mut rows = vec![("network", units.to_lowercase())];
    if !model.below.is_empty() {
        rows.extend(model.layers().enumerate().map(layer));
    }
    rows.extend(network.parameters.iter().map(|p| ("", parameter(p))));
    rows.push(("recurrence", recurrence(network)));
    rows.push(("", beginning(run)));
    let plasticity = model.short_term_plasticity.as_ref();
    rows.extend(plasticity.map(|kind| ("", format!("short-term plasticity: {kind}"))));
    rows
}

/// Describes the units of a layer: "64 units, relu, voltage form".
fn units(model: &CtrnnConfig) -> String {
    let n_units = counted(model.n_units, "unit");
    let activation = model.activation.name();
    let feedback = match model.feedback {
        Some(_) => ", feedback of the readout",
        None => "",
    };
    format!("{n_units}, {activation}, {:?} form{feedback}", model.form).to_lowercase()
}

/// Describes a layer of a stack: "layer 0: 64 units, relu, voltage form, tau 100 ms".
fn layer((number, layer): (usize, &CtrnnConfig)) -> Row {
    let tau = range(layer.tau_ms.range_ms(), |tau| tau.to_string());
    (
        "",
        format!("layer {number}: {}, tau {tau} ms", units(layer)),
    )
}

fn time(run: &Run, network: &Summary, size: &Size) -> String {
    format!(
        "dt {} ms, {}, tau {}, alpha {}; {}",
        run.model.dt_ms,
        run.model.integrator.name(),
        range(network.tau_ms, |tau| tau.to_string()),
        range(run.model.alpha_range(), |alpha| format!("{alpha:.3}")),
        size.longest
    )
}

/// Returns a line for each named set of validation trials.
fn set_rows(run: &Run) -> Vec<Row> {
    let validate = &run.config.validate;
    let row = |(name, set): (&String, &ValidationSetConfig)| {
        let own = validate.of_set(Some(name));
        let noise = if own.noise { "" } else { ", without noise" };
        let task = match set.task.keys().next() {
            Some(task) => format!(" of {task} with other keys"),
            None => String::new(),
        };
        format!("{name}: {}{task}{noise}", counted(own.trials, "trial"))
    };
    let rows = validate.sets.iter().map(row).enumerate();
    rows.map(|(k, text)| (if k == 0 { "validation sets" } else { "" }, text))
        .collect()
}

/// Returns a line for each stage.
fn stage_rows(run: &Run) -> Vec<Row> {
    let row = |stage: &Stage| {
        let train = &stage.run.config.train;
        let until = train.stop.as_ref().map_or(String::new(), |stop| {
            let bound = stop
                .bound()
                .map_or("it no longer improves".to_owned(), |b| b.to_string());
            format!(", or until {} is {bound}", stop.metric.name())
        });
        format!(
            "{}: {} of {}{until}",
            stage.settings.name,
            counted(train.steps, "step"),
            stage.run.task_name
        )
    };
    let rows = run.stages.iter().map(row).enumerate();
    rows.map(|(k, text)| (if k == 0 { "stages" } else { "" }, text))
        .collect()
}

fn training_rows(run: &Run, size: &Size) -> Vec<Row> {
    let train = &run.config.train;
    let rule = train.rule.name();
    let optimizer = format!("{} lr {}", train.optimizer.name(), train.optimizer.lr());
    let learning = match &train.rule {
        Rule::Gradient(_) => optimizer,
        squares if squares.is_least_squares() => format!("{rule} (recursive least squares)"),
        _ => format!("{rule}, {optimizer}"),
    };
    let training = format!(
        "{} of {}, {learning}, loss {}",
        counted(train.steps, "step"),
        counted(train.trials_of_step(), "trial"),
        loss(run)
    );
    let whole = size.training_mib.map_or(String::new(), |mib| {
        format!("about {mib:.0} MiB for the training; of these ")
    });
    let memory = format!(
        "{whole}{:.1} MiB of states for a batch, {:.1} KiB for a trial",
        size.states_mib,
        size.trial_kib(run)
    );
    vec![("training", training), ("memory", memory)]
}

fn device_rows(run: &Run, size: &Size, tried: &Tried) -> Vec<Row> {
    let device = format!(
        "{}, threads {}, kernels {}",
        tried.device,
        tried.threads,
        kernels(run)
    );
    let mut rows = vec![("device", device)];
    if let Outcome::Timed { steps_per_s } = tried.outcome {
        let all = clock(run.config.train.steps as f64 / steps_per_s);
        let speed = format!("about {steps_per_s:.0} steps/s: {all} for all steps");
        let advice = advice(run, size.longest.n_steps, 1e3 / steps_per_s);
        rows.extend([("speed", speed), ("advice", advice)]);
    }
    rows
}

/// Describes an overflow: "the states overflow in a trial of 207 steps, from time step 93 on (counted from 0)".
pub fn describe_overflow(overflow: Overflow) -> String {
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
    json!({
        "training": set.n_training(), "held_out": set.n_held_out(), "steps": set.n_steps().into_inner(),
    })
}

/// Names the loss and the penalties.
fn loss(run: &Run) -> String {
    let names = run.term_names();
    if names.is_empty() {
        run.objective.loss.name().to_owned()
    } else {
        names.join(" + ")
    }
}

/// Describes a parameter: "recurrent.weight [10,10], 100 parameters, 44 of them free: abs, 45 of 100 connections".
fn parameter(parameter: &ParameterSummary) -> String {
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
    if let Some(factors) = &run.model.low_rank {
        return beginning_of_factors(run, factors);
    }
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

/// Describes the initial factors: "rank 2, factors drawn with standard deviations 1 and 1, on a fixed gaussian matrix of gain 0.8".
fn beginning_of_factors(run: &Run, factors: &LowRank) -> String {
    let [left, right] = [factors.init.left_std, factors.init.right_std];
    let product = format!(
        "rank {}, factors drawn with standard deviations {left} and {right}",
        factors.rank
    );
    let file = match run.init_file {
        Some(_) => ", where model.init.file has none",
        None => "",
    };
    if !factors.has_full() {
        return format!("{product}{file}");
    }
    let scale = match run.model.spectral_radius() {
        Some(radius) => format!("spectral radius {radius}"),
        None => format!("gain {}", factors.gain),
    };
    format!(
        "{product}, on a {} {} matrix of {scale}{file}",
        factors.full,
        run.model.init.recurrent.name()
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
        Backend::Wgpu(_) | Backend::Cuda(_) => {
            match run.model.n_layers() - run.model.without_gpu_kernels().len() {
                0 => "none, tensor operations",
                n if n == run.model.n_layers() => "cubecl",
                _ => "cubecl, and tensor operations in some layers",
            }
        }
    }
}

/// Describes a run and its first steps as JSON.
pub fn json(run: &Run, size: &Size, tried: &Tried) -> serde_json::Value {
    let mut json = json!({
        "task": run.task_name,
        "trials": run.task.trial_set().map(trials_json),
        "n_inputs": run.model.first_layer().n_inputs,
        "n_units": run.model.n_units,
        "n_outputs": run.model.n_outputs,
        "alpha": run.model.alpha_range(),
        "parameters": tried.network.count(),
        "free_parameters": tried.network.free(),
        "network": network_json(&tried.network),
        "init": init_json(run),
        "max_steps_in_a_trial": size.longest.n_steps,
        "drawn_trials": size.longest.of_drawn,
        "training_mib": size.training_mib,
        "state_mib": size.states_mib,
        "state_kib_of_a_trial": size.trial_kib(run),
        "device": tried.device,
        "threads": tried.threads,
        "kernel_path": kernels(run),
    });
    if !run.model.areas.is_empty() {
        json["areas"] = areas::json(run);
    }
    if !run.model.below.is_empty() {
        let layers = run.model.layers();
        json["layers"] = layers
            .map(|layer| json!({ "n_units": layer.n_units }))
            .collect();
    }
    match &tried.outcome {
        Outcome::Timed { steps_per_s } => {
            json["steps_per_s"] = (*steps_per_s).into();
            json["advice"] = advice(run, size.longest.n_steps, 1e3 / steps_per_s).into();
        }
        Outcome::Diverged(found, overflow) => {
            json["not_finite"] = found.what.to_string().into();
            json["overflow"] = describe_overflow(*overflow).into();
        }
    }
    json
}

fn init_json(run: &Run) -> serde_json::Value {
    let init = &run.model.init;
    json!({
        "input": init.input,
        "recurrent": init.recurrent,
        "output": init.output,
        "balance": run.model.balance(),
        "spectral_radius": run.model.spectral_radius(),
    })
}

fn network_json(network: &Summary) -> serde_json::Value {
    let parameter = |p: &ParameterSummary| {
        json!({
            "name": p.name, "shape": p.shape, "count": p.count, "free": p.free, "constraint": p.constraint,
        })
    };
    json!({
        "parameters": network.parameters.iter().map(parameter).collect::<Vec<_>>(),
        "tau_ms": network.tau_ms,
        "spectral_radius": network.spectral_radius,
        "excitation": network.excitation,
        "inhibition": network.inhibition,
        "largest_imbalance": network.largest_imbalance,
    })
}
