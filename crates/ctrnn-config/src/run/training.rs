//! Rules of `[train]`.

use ctrnn_model::{CtrnnConfig, Form, Role};
use ctrnn_tasks::{Clock, counted};
use ctrnn_train::{
    Bound, Loss, LossConfig, Measure, Objective, Optimizer, PopulationKl, TrainConfig,
};

use super::check::Check;
use crate::diagnostic::{Code, Diagnostic};

impl Check<'_> {
    /// Checks that `train.stop` has one bound, or only a patience.
    pub(super) fn check_stop(&mut self, train: &TrainConfig) {
        let Some(stop) = &train.stop else { return };
        let one_bound = "give one of the two, for instance at_least = 0.9";
        match (stop.at_least, stop.at_most) {
            (Some(_), Some(_)) => self.report_stop("two bounds", one_bound),
            (None, None) if stop.patience.is_none() => self.report_stop("no bound", one_bound),
            (None, None) if stop.required => self.report_stop(
                "no bound that could be required",
                "add one, for instance at_least = 0.9, or remove required",
            ),
            _ => {}
        }
        if let Some(bound) = stop.bound() {
            self.check_accuracy_bound(stop.metric.measure, bound);
        }
    }

    fn report_stop(&mut self, has: &str, help: &str) {
        if self.is_sound(&["train.stop"]) {
            let problem = Diagnostic::new(Code::StopRule, format!("train.stop has {has}"));
            self.report(problem.help(help), &[("train.stop", "")]);
        }
    }

    /// Checks that a bound of an accuracy is a fraction.
    fn check_accuracy_bound(&mut self, measure: Measure, bound: Bound) {
        let (key, value) = match bound {
            Bound::AtLeast(value) => ("train.stop.at_least", value),
            Bound::AtMost(value) => ("train.stop.at_most", value),
        };
        if measure != Measure::Loss && !(0.0..=1.0).contains(&value) {
            let message =
                format!("{key} = {value} is not an accuracy; expected a fraction from 0 to 1");
            let problem = Diagnostic::new(Code::OutOfRange, message).help("90 % is written 0.9");
            self.report(problem, &[(key, "")]);
        }
    }

    /// Refuses a penalty on rates together with recomputation, which does not keep the rates.
    pub(super) fn check_recompute(&mut self, train: &TrainConfig, objective: &Objective) {
        let needs_rates = !objective.sums_suffice() || !train.loss.python.is_empty();
        if !train.recompute || !needs_rates {
            return;
        }
        let message = "train.recompute does not keep the rates that a penalty of train.loss needs";
        let problem = Diagnostic::new(Code::Training, message)
            .help("remove train.recompute, or the penalties on rates");
        let labels = [("train.recompute", ""), ("train.loss", "")];
        self.report(problem, &labels);
    }

    /// Checks that windows of truncated backpropagation have a stride that divides them, and refuses what cannot be computed in parts
    /// of a batch: penalties that are not sums, and delays if trials are cut.
    pub(super) fn check_parts(
        &mut self,
        train: &TrainConfig,
        objective: &Objective,
        model: &CtrnnConfig,
    ) {
        self.check_stride(train);
        let cut = train.truncate_steps.map(|_| "train.truncate_steps");
        let accumulated = (train.accumulate > 1).then_some("train.accumulate");
        let Some(key) = cut.or(accumulated) else {
            return;
        };
        for term in objective.indivisible() {
            let message = format!(
                "train.loss.{term} is not a sum over trials and time steps, so {key} cannot split a batch"
            );
            let problem = Diagnostic::new(Code::Training, message).help(format!(
                "remove {key} or the penalty; weight_l1, weight_l2, weight_deviation, in_degree, rate_l1, rate_l2, rate_entropy and unit_rates are sums"
            ));
            self.report(problem, &[(&format!("train.loss.{term}"), ""), (key, "")]);
        }
        if let (Some(key), Some(delay_ms)) = (cut, model.longest_delay_ms()) {
            let message = format!(
                "{key} cuts trials, but recurrent connections are delayed by up to {delay_ms} ms: the state at a cut does not hold the rates before it"
            );
            let problem = Diagnostic::new(Code::Training, message)
                .help(format!("remove {key} or the delays"));
            self.report(problem, &[(key, "")]);
        }
    }

    fn check_stride(&mut self, train: &TrainConfig) {
        let key = "train.truncate_stride";
        let Some(stride) = train.truncate_stride.filter(|_| self.is_sound(&[key])) else {
            return;
        };
        let (message, help) = match train.truncate_steps {
            None => (
                format!("{key} = {stride} is the stride of windows that do not exist"),
                format!(
                    "train.truncate_steps = {stride} cuts trials into windows; or remove {key}"
                ),
            ),
            Some(window) if stride == 0 || !window.is_multiple_of(stride) => (
                format!(
                    "{key} = {stride} is not a divisor of train.truncate_steps = {window}; expected one, so that each window begins where another one ended"
                ),
                format!("for instance {key} = {window}"),
            ),
            Some(_) => return,
        };
        let problem = Diagnostic::new(Code::Training, message).help(help);
        self.report(problem, &[(key, ""), ("train.truncate_steps", "")]);
    }

    /// Checks that a warm-up fits into the run, Nesterov momentum has a momentum, and at most one way of clipping is
    /// set.
    pub(super) fn check_training(&mut self, train: &TrainConfig) {
        let warmup = train.schedule.warmup_steps();
        let keys = ["train.steps", "train.schedule"];
        if warmup > train.steps && train.steps > 0 && self.is_sound(&keys) {
            let message = format!(
                "a warm-up of {} is longer than the run of {}",
                counted(warmup, "step"),
                counted(train.steps, "step")
            );
            let problem = Diagnostic::new(Code::Training, message).help(format!(
                "the rate would never reach train.optimizer.lr: train.schedule.warmup_steps = {} or less, or a longer run",
                train.steps
            ));
            let labels = [
                ("train.schedule.warmup_steps", "the warm-up"),
                ("train.steps", "the run"),
            ];
            self.report(problem, &labels);
        }
        if let Optimizer::Sgd(sgd) = &train.optimizer
            && sgd.nesterov
            && sgd.momentum == 0.0
            && self.is_sound(&["train.optimizer"])
        {
            let problem = Diagnostic::new(
                Code::Training,
                "Nesterov's correction without momentum does nothing",
            )
            .help("add momentum = 0.9, or remove nesterov");
            self.report(problem, &[("train.optimizer.nesterov", "")]);
        }
        let ways = [
            ("train.clip_grad_norm", train.clip_grad_norm),
            (
                "train.clip_grad_norm_per_tensor",
                train.clip_grad_norm_per_tensor,
            ),
            ("train.clip_grad_value", train.clip_grad_value),
        ];
        let given: Vec<_> = ways
            .iter()
            .filter(|(_, bound)| bound.is_some())
            .map(|(key, _)| (*key, ""))
            .collect();
        if given.len() > 1 {
            let problem = Diagnostic::new(
                Code::Training,
                "the gradient is clipped in one way, not several",
            )
            .help("keep one of them; train.clip_grad_norm is the usual one");
            self.report(problem, &given);
        }
    }

    /// Resolves the objective: the lag of state prediction must be on the time grid, and groups of units must exist.
    pub(super) fn objective(
        &mut self,
        config: &LossConfig,
        loss: Loss,
        model: &CtrnnConfig,
        clock: Clock,
    ) -> Objective {
        let lag = config.state_prediction.and_then(|p| {
            let steps = clock.steps(p.lag_ms);
            if let Err(error) = &steps {
                let key = "train.loss.state_prediction.lag_ms";
                let problem =
                    Diagnostic::new(Code::Training, format!("{key}: {error}")).help(format!(
                        "a multiple of time.dt_ms, for instance {key} = {}",
                        clock.dt_ms()
                    ));
                self.report(problem, &[(key, "")]);
            }
            steps.ok()
        });
        if let Some(groups) = &config.population_kl {
            self.check_populations(groups, model.n_units);
        }
        self.check_penalised_parts(config, model);
        self.check_bounds(config, model);
        if config.omega.is_some() {
            self.check_omega(model);
        }
        Objective {
            loss,
            normalisation: config.normalisation,
            penalties: config.penalties(lag.unwrap_or(1), model),
            omega: config.omega,
            yielding: config.yield_to_task.clone(),
        }
    }

    /// Checks that the areas and projections with penalties of their own exist.
    fn check_penalised_parts(&mut self, config: &LossConfig, model: &CtrnnConfig) {
        if !self.is_sound(&["model.areas", "model.projections"]) || !self.problems.is_empty() {
            return; // areas that are broken were taken out of the network
        }
        let areas: Vec<&str> = model.areas.names().collect();
        let unknown_areas = config.areas.names().filter(|name| !areas.contains(name));
        let unknown = unknown_areas.map(|name| (format!("areas.{name}"), "an area", name));
        let projections = config.projections.names();
        let unconnected = projections.filter(|key| !model.is_projection(key));
        let unknown = unknown.chain(unconnected.map(|key| {
            (
                format!("projections.{key}"),
                "a projection of the network",
                key,
            )
        }));
        for (path, kind, name) in unknown {
            let path = format!("train.loss.{path}");
            let help = match areas.as_slice() {
                [] => "`train-ctrnn config explain model.areas` says how to give a network areas"
                    .to_owned(),
                areas => format!(
                    "areas: {}; a projection is \"FROM -> TO\", where there are connections between two of them",
                    areas.join(", ")
                ),
            };
            let message = format!("{name:?} in {path} is not {kind}");
            self.report(
                Diagnostic::new(Code::UnknownWord, message).help(help),
                &[(&path, "")],
            );
        }
    }

    /// Checks that the network has gradients that `omega` can compare.
    fn check_omega(&mut self, model: &CtrnnConfig) {
        let plasticity = &*model.key_in_last("model.short_term_plasticity");
        if model.form == Form::Rate {
            let message = "train.loss.omega is defined for model.form = \"voltage\"";
            self.report_omega(
                message,
                "model.form = \"voltage\"",
                &[(&model.key_in_last("model.form"), "the rate form")],
            );
        }
        if model.short_term_plasticity.is_some() {
            let message = "train.loss.omega is defined for synapses that transmit the rate";
            self.report_omega(
                message,
                plasticity,
                &[(plasticity, "short-term plasticity")],
            );
        }
        if model.longest_delay_ms().is_some() {
            let message = "train.loss.omega compares the gradients of adjacent time steps, but recurrent connections are delayed";
            let places = ["model.connectivity.file", "model.projections"];
            let places = places.map(|key| model.key_in_last(key));
            self.report_omega(
                message,
                "the delays",
                &places.each_ref().map(|key| (key.as_str(), "the delays")),
            );
        }
    }

    fn report_omega(&mut self, message: &str, other: &str, places: &[(&str, &str)]) {
        let help = format!("remove train.loss.omega, or {other}");
        let problem = Diagnostic::new(Code::Training, message).help(help);
        self.report(problem, &[&[("train.loss.omega", "")], places].concat());
    }

    /// Checks that two groups of units have the same size and are both in the network.
    fn check_populations(&mut self, groups: &PopulationKl, n_units: usize) {
        if !self.is_sound(&[POPULATION_KL, "model.n_units"]) {
            return;
        }
        if let Some((key, message)) = problem_of_populations(groups, n_units) {
            let half = n_units / 2;
            let help = format!(
                "for instance the halves of the network: first = [0, {half}], second = [{half}, {}]",
                2 * half
            );
            let problem = Diagnostic::new(Code::Training, message).help(help);
            self.report(problem, &[(&key, "")]);
        }
    }

    /// Checks that a run that trains has a parameter that is not frozen.
    pub(super) fn check_something_is_trained(&mut self, train: &TrainConfig, model: &CtrnnConfig) {
        let mut trained = model
            .parameters()
            .into_iter()
            .filter(|spec| spec.is_trained);
        if train.steps == 0
            || !trained.all(|spec| model.is_held(spec.parameter))
            || !self.is_sound(&["train.freeze"])
        {
            return;
        }
        let problem = Diagnostic::new(
            Code::Training,
            "train.freeze leaves nothing to train: every parameter of the network is in it",
        )
        .help("take a parameter out of train.freeze, or train.steps = 0 for the network as it is");
        self.report(problem, &[("train.freeze", "")]);
    }

    /// Checks that parameters with a learning rate or a weight decay of their own are trained.
    pub(super) fn check_groups(&mut self, train: &TrainConfig, model: &CtrnnConfig) {
        let trained: Vec<Role> = (model.parameters().into_iter())
            .filter(|spec| spec.is_trained)
            .map(|spec| spec.parameter.role)
            .collect();
        for role in Role::ALL {
            let Some(group) = train.groups.of(role) else {
                continue;
            };
            let name = role.name();
            let has = match (group.lr, group.weight_decay) {
                (Some(_), _) => "a learning rate",
                (None, Some(_)) => "a weight decay",
                (None, None) => {
                    let message =
                        format!("train.groups.{name} is empty; expected lr or weight_decay");
                    let problem = Diagnostic::new(Code::Training, message)
                        .help("for instance { lr = 1e-4 }; or remove the group");
                    self.report(problem, &[(&format!("train.groups.{name}"), "")]);
                    continue;
                }
            };
            if trained.contains(&role) {
                continue;
            }
            let message = format!("train.groups.{name} has {has}, but {name} is not trained");
            let problem = Diagnostic::new(Code::Training, message).help(help_of_untrained(role));
            self.report(problem, &[(&format!("train.groups.{name}"), "")]);
        }
    }
}

const POPULATION_KL: &str = "train.loss.population_kl";

/// Returns the key and the message of the problem of two groups of units that are compared, if there is one.
fn problem_of_populations(groups: &PopulationKl, n_units: usize) -> Option<(String, String)> {
    let key = POPULATION_KL;
    let size = |[from, to]: [usize; 2]| to.saturating_sub(from);
    let is_inside = |group: [usize; 2]| size(group) > 0 && group[1] <= n_units;
    let mut both = [("first", groups.first), ("second", groups.second)].into_iter();
    if let Some((name, [from, to])) = both.find(|(_, group)| !is_inside(*group)) {
        let message = format!(
            "{key}.{name} = [{from}, {to}] is not a group of the {n_units} units, which are counted from 0"
        );
        return Some((format!("{key}.{name}"), message));
    }
    let [first, second] = [groups.first, groups.second].map(size);
    (first != second).then(|| {
        let message = format!("{key} compares {first} units with {second}, one with one");
        (key.to_owned(), message)
    })
}

/// Returns the help for a parameter that has settings of its own and is not trained.
fn help_of_untrained(role: Role) -> &'static str {
    match role {
        Role::InitialState => "model.initial_state = \"learned\" trains it; else remove the group",
        Role::TimeConstants => {
            "`train-ctrnn config explain model.tau_ms` says how to train it; else remove the group"
        }
        Role::RecurrentWeight | Role::RecurrentLeft | Role::RecurrentRight => {
            "`train-ctrnn config explain model.low_rank` says which parts W_rc has; else remove the group"
        }
        _ => "`train-ctrnn config explain model.bias` says how to train it; else remove the group",
    }
}
