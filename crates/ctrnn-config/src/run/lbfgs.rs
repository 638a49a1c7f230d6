//! Rules of L-BFGS: with which other keys of a configuration the objective is one function, whose gradient is exact.

use ctrnn_model::{CtrnnConfig, InitialState, Matrix, Parametrization};
use ctrnn_train::{Objective, Optimizer, TrainConfig};

use super::check::Check;
use super::rule::Refusal;

impl Check<'_> {
    /// Checks that the objective is one function of parameters that may take any value, if the optimizer is L-BFGS.
    pub(super) fn check_lbfgs(
        &mut self,
        train: &TrainConfig,
        objective: &Objective,
        model: &CtrnnConfig,
    ) {
        let is_lbfgs = matches!(train.optimizer, Optimizer::Lbfgs(_));
        if !is_lbfgs || !self.is_sound(&["train.optimizer", "model"]) {
            return;
        }
        let mut refusals = of_gradients(train, objective);
        refusals.extend(of_changes_from_step_to_step(train, model));
        refusals.extend(of_bounds(model));
        self.refuse(
            "train.optimizer = \"lbfgs\"",
            ", or take another train.optimizer",
            ("train.optimizer", "the optimizer"),
            refusals,
        );
    }
}

/// Lists what makes the gradient another one than that of the objective.
fn of_gradients(train: &TrainConfig, objective: &Objective) -> Vec<Refusal> {
    let exact = "compares the objective with its gradient, which has to be exact and unclipped";
    let clips = [
        ("train.clip_grad_norm", train.clip_grad_norm),
        (
            "train.clip_grad_norm_per_tensor",
            train.clip_grad_norm_per_tensor,
        ),
        ("train.clip_grad_value", train.clip_grad_value),
    ];
    let clips = clips.into_iter().map(|(key, bound)| {
        (
            bound.is_some(),
            key.to_owned(),
            exact,
            "remove the clipping",
        )
    });
    let others = [
        (
            !train.rule.is_gradient(),
            "train.rule",
            "follows the gradient of the loss",
            "train.rule.name = \"gradient\"",
        ),
        (
            train.truncate_steps.is_some(),
            "train.truncate_steps",
            exact,
            "remove train.truncate_steps",
        ),
        (
            objective.omega.is_some(),
            "train.loss.omega",
            exact,
            "remove train.loss.omega, part of which is held constant in its gradient",
        ),
        (
            !train.loss.yield_to_task.is_empty(),
            "train.loss.yield_to_task",
            exact,
            "remove train.loss.yield_to_task, which changes the gradient",
        ),
        (
            !train.continual.is_none(),
            "train.continual",
            "minimises the loss alone",
            "remove train.continual",
        ),
        (
            !train.groups.is_empty(),
            "train.groups",
            "moves all parameters along one direction, without rates of their own",
            "remove train.groups; train.freeze holds a parameter",
        ),
    ];
    let others = others
        .into_iter()
        .map(|(is_given, key, reason, help)| (is_given, key.to_owned(), reason, help));
    clips.chain(others).collect()
}

/// Lists what makes the objective another function at each step.
fn of_changes_from_step_to_step(train: &TrainConfig, model: &CtrnnConfig) -> Vec<Refusal> {
    let one = "minimises one function, but this changes from step to step";
    let changes = [
        (!train.perturbation.is_empty(), "train.perturbation"),
        (train.dropout > 0.0, "train.dropout"),
        (train.noise_schedule.is_some(), "train.noise_schedule"),
        (train.teacher_forcing.is_some(), "train.teacher_forcing"),
    ];
    let mut refusals: Vec<Refusal> = changes
        .into_iter()
        .map(|(is_given, key)| (is_given, key.to_owned(), one, "remove it"))
        .collect();
    let mut layers = model.layers();
    refusals.push((
        layers.any(|layer| layer.initial_state == InitialState::Carry),
        "model.initial_state".to_owned(),
        one,
        "model.initial_state = \"zero\"",
    ));
    refusals
}

/// Lists what keeps parameters from the values that a line search tries.
fn of_bounds(model: &CtrnnConfig) -> Vec<Refusal> {
    let any =
        "tries any value of a parameter, and cannot keep it within bounds or at a rate of its own";
    let mut layers = model.layers();
    let is_clamped = layers.any(|layer| {
        let dale = layer.dale.as_ref();
        dale.is_some_and(|dale| dale.parametrization == Parametrization::Clamp)
    });
    let has_range = model.layers().any(|layer| layer.bias.range.is_some());
    let is_slow = model.layers().any(has_slow_weights);
    let of_units = model.parameters().into_iter().any(|spec| {
        let factors = model.update_factors(spec.parameter);
        factors.is_some_and(|factors| factors.into_iter().any(is_partial))
    });
    vec![
        (
            is_clamped,
            "model.dale.parametrization".to_owned(),
            any,
            "model.dale.parametrization = \"rectify\"",
        ),
        (has_range, "model.bias.range".to_owned(), any, "remove it"),
        (
            is_slow || of_units,
            "model".to_owned(),
            any,
            "give plasticity 1 or 0",
        ),
    ]
}

/// Returns true if a weight has a factor of its updates other than 0 and 1.
fn has_slow_weights(layer: &CtrnnConfig) -> bool {
    Matrix::ALL.into_iter().any(|matrix| {
        let factors = layer.connectivity.of(matrix).plasticity.iter().flatten();
        { factors }.copied().any(is_partial)
    })
}

fn is_partial(factor: f64) -> bool {
    factor != 0.0 && factor != 1.0
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::run::Run;
    use crate::{ConfigErrors, RunConfig};

    fn read(model: &str, train: &str) -> Result<Run, ConfigErrors> {
        let text = format!(
            "[task.go_nogo]\n[model]\nn_units = 10\n{model}\n[train]\noptimizer.name = 'lbfgs'\n{train}"
        );
        let registry = ctrnn_runs::registry();
        RunConfig::from_text(&text, "run.toml", Path::new("/lab"), &[], &registry)
    }

    #[test]
    fn constraints_that_the_gradient_knows_are_accepted() {
        for model in [
            "dale = {}",
            "density = { recurrent = 0.5 }",
            "low_rank = { rank = 2 }",
            "noise.preactivation = 0.1",
        ] {
            read(model, "freeze = ['input']\naccumulate = 2").unwrap();
        }
    }

    #[test]
    fn keys_that_make_several_functions_of_the_objective_are_refused() {
        for (model, train, key) in [
            ("", "clip_grad_norm = 1", "train.clip_grad_norm"),
            ("", "truncate_steps = 5", "train.truncate_steps"),
            ("", "rule.name = 'eprop'", "train.rule"),
            ("", "loss = { omega = { weight = 1 } }", "train.loss.omega"),
            (
                "",
                "loss = { rate_l2 = 1, yield_to_task = ['rate_l2'] }",
                "train.loss.yield_to_task",
            ),
            ("", "dropout = 0.1", "train.dropout"),
            ("", "noise_schedule = { to = 0 }", "train.noise_schedule"),
            (
                "",
                "perturbation = [{ silence = ['1'] }]",
                "train.perturbation",
            ),
            ("", "groups.recurrent.weight.lr = 0.1", "train.groups"),
            ("initial_state = 'carry'", "", "model.initial_state"),
            (
                "dale = { parametrization = 'clamp' }",
                "",
                "model.dale.parametrization",
            ),
            ("bias = { range = [0, 1] }", "", "model.bias.range"),
        ] {
            let text = read(model, train).expect_err(key).to_string();
            for part in ["train.optimizer = \"lbfgs\" ", "help: ", "the optimizer"] {
                assert!(text.contains(part), "{part:?} is not in\n{text}");
            }
        }
    }
}
