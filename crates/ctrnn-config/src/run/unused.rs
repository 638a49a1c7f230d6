//! Keys that are given but have no effect under the other settings.

use ctrnn_model::{Matrix, NoiseConvention};
use ctrnn_tasks::counted;
use ctrnn_train::{PerMatrix, Schedule, StageConfig};

use super::{Origin, Run, Stage};
use crate::run_config::RunConfig;

/// Keys that control the random initialisation of weights, and have no effect if a file holds the weights.
pub const KEYS_OF_DRAWN_WEIGHTS: [&str; 7] = [
    "model.init.input",
    "model.init.recurrent",
    "model.init.output",
    "model.init.balance",
    "model.init.spectral_radius",
    "model.low_rank.gain",
    "model.low_rank.init",
];

/// Returns true if a stage gives a key, such as `task.multitask.turns`.
fn gives(stage: &StageConfig, key: &str) -> bool {
    let mut words = key.split('.');
    let table = match words.next() {
        Some("task") => &stage.task,
        Some("train") => &stage.train,
        Some("validate") => &stage.validate,
        Some("model") => &stage.model,
        _ => return false,
    };
    let mut tables = Some(table);
    words.all(|word| {
        let found = tables.and_then(|table| table.get(word));
        tables = found.and_then(toml::Value::as_table);
        found.is_some()
    })
}

impl Run {
    /// Returns a note for each key that differs from its default and has no effect under the other settings.
    pub fn unused_keys(&self) -> Vec<String> {
        let found = self.unused().into_iter().chain(self.unused_of_stages());
        found
            .map(|(key, why)| format!("{key} has no effect: {why}"))
            .collect()
    }

    /// Returns the keys without effect outside of stages, with the reasons.
    fn unused(&self) -> Vec<(String, String)> {
        self.unused_of_task()
            .into_iter()
            .chain(self.unused_of_model())
            .chain(self.unused_of_training())
            .chain(self.unused_of_loss())
            .chain(self.unused_bounds())
            .chain(self.unused_of_rule())
            .collect()
    }

    /// Returns the keys that a stage gives and that have no effect in it.
    fn unused_of_stages(&self) -> Vec<(String, String)> {
        let stages = self.stages.iter().zip(&self.config.train.stage);
        let of_stage = |(stage, given): (&Stage, &StageConfig)| {
            let own = stage.run.unused().into_iter();
            let own = own.filter(|(key, _)| gives(given, key));
            let name = stage.settings.name.clone();
            own.map(move |(key, why)| (format!("{key} of stage {name}"), why))
                .collect::<Vec<_>>()
        };
        stages.flat_map(of_stage).collect()
    }

    /// Returns true if a key was set to a value other than its default. The resolved configuration of a run sets every
    /// key, so presence alone does not count.
    pub(super) fn is_given(&self, key: &str) -> bool {
        let is_usual = || {
            let value = |table: toml::Table| {
                let mut words = key.split('.');
                words.try_fold(toml::Value::Table(table), |value, word| {
                    value.as_table()?.get(word).cloned()
                })
            };
            value(self.config.table()) == value(RunConfig::default().table())
        };
        self.origin(key) != Origin::Default && !is_usual()
    }

    fn unused_of_task(&self) -> Vec<(String, String)> {
        let table = format!("task.{}", self.task_name);
        let unused = self.task.unused_keys().into_iter();
        unused
            .map(|(key, why)| (format!("{table}.{key}"), why))
            .collect()
    }

    fn unused_of_model(&self) -> Vec<(String, String)> {
        let (noise, usual) = (&self.model.noise, RunConfig::default().model.noise);
        let mut found = Vec::new();
        let mut note = |key: &str, why: &str| found.push((key.to_owned(), why.to_owned()));
        if noise.convention != usual.convention
            && noise.preactivation.is_silent()
            && noise.input == 0.0
        {
            let why = "there is no noise that it could scale; model.noise.preactivation=SIGMA or model.noise.input=SIGMA makes some";
            note("model.noise.convention", why);
        }
        let has_input_tau = noise.input > 0.0 && noise.convention == NoiseConvention::Song;
        if noise.input_tau_ms != usual.input_tau_ms && !has_input_tau {
            let why = "only model.noise.input has this time constant, and only under convention = \"song\"";
            note("model.noise.input_tau_ms", why);
        }
        let of_inputs = [
            "model.noise.input",
            "model.input.baseline",
            "model.input.rectify",
            "model.positive_input",
            "model.density.input",
            "model.init.input",
        ];
        for key in of_inputs {
            if self.model.first_layer().n_inputs == 0 && self.is_given(key) {
                note(key, "the task has no inputs");
            }
        }
        let factors = self.model.low_rank.as_ref();
        if factors.is_some_and(|factors| !factors.has_full()) {
            for key in ["model.init.recurrent", "model.low_rank.gain"] {
                if self.is_given(key) {
                    note(
                        key,
                        "W_rc is the product of its factors alone; model.low_rank.full = \"fixed\" adds a full matrix",
                    );
                }
            }
        }
        for key in KEYS_OF_DRAWN_WEIGHTS {
            if self.init_file.is_some() && self.is_given(key) {
                note(
                    key,
                    "on the weights that model.init.file holds; what it lacks is drawn",
                );
            }
        }
        found
    }

    fn unused_of_training(&self) -> Vec<(String, String)> {
        let train = &self.config.train;
        let mut found = self.unused_of_parameters();
        let mut note = |key: String, why: String| found.push((key, why));
        let divergence = &train.divergence;
        if divergence.max_rollbacks == 0
            && divergence.lr_factor != RunConfig::default().train.divergence.lr_factor
        {
            let why = "max_rollbacks = 0, so the run never goes back";
            note("train.divergence.lr_factor".to_owned(), why.to_owned());
        }
        let usual = RunConfig::default().validate;
        let validate = &self.config.validate;
        if validate.noise != usual.noise && self.model.noise.is_silent() {
            let why = "every level of model.noise is 0";
            note("validate.noise".to_owned(), why.to_owned());
        }
        if validate.balance != usual.balance && self.task.mixed_tasks().is_empty() {
            let why = "only a mixture of tasks (task.multitask) has trials of several tasks";
            note("validate.balance".to_owned(), why.to_owned());
        }
        if train.steps == 0 {
            return found; // a run of no steps only writes the initial network
        }
        if train.recompute && self.model.longest_delay_ms().is_some() {
            let why = "recurrent connections are delayed, so the states of all time steps are kept";
            note("train.recompute".to_owned(), why.to_owned());
        }
        if train.recompute && self.objective.omega.is_some() {
            let why = "train.loss.omega needs the rates of all time steps";
            note("train.recompute".to_owned(), why.to_owned());
        }
        if train.noise_schedule.is_some()
            && self.model.layers().all(|layer| layer.noise.is_silent())
        {
            let why = "every level of model.noise is 0";
            note("train.noise_schedule".to_owned(), why.to_owned());
        }
        let longest = self.task.longest_steps(self.clock);
        if let (Some(window), Some(n_steps)) = (train.truncate_steps, longest)
            && window >= n_steps.max(1)
        {
            let why = format!("the longest trial has {}", counted(n_steps, "time step"));
            note("train.truncate_steps".to_owned(), why);
        }
        if train.log_every > train.steps {
            let steps = counted(train.steps, "step");
            let why = format!("on a run of {steps}: no training loss is reported");
            note("train.log_every".to_owned(), why);
        }
        for (key, every, done) in [
            (
                "validate.every_steps",
                self.config.validate.every_steps,
                "validation",
            ),
            (
                "checkpoint.every_steps",
                self.config.checkpoint.every_steps,
                "checkpoint",
            ),
        ] {
            if every > train.steps && self.is_given(key) {
                let steps = counted(train.steps, "step");
                let why = format!("on a run of {steps}: the only {done} is that at its end");
                note(key.to_owned(), why);
            }
        }
        if let Some(key) = flat_schedule(&train.schedule) {
            let why = "it is 1, so the learning rate does not change";
            note(format!("train.schedule.{key}"), why.to_owned());
        }
        found.extend(self.unreached_stop());
        found.extend(self.unreached_schedule());
        found
    }

    /// Lists groups of frozen parameters, and frozen parameters that are not trained anyway.
    fn unused_of_parameters(&self) -> Vec<(String, String)> {
        let train = &self.config.train;
        let mut found = Vec::new();
        let mut note = |key: String, why: String| found.push((key, why));
        for spec in self.model.parameters() {
            let (role, frozen) = (spec.parameter.role, &train.freeze);
            let name = spec.parameter.name();
            let word = frozen.iter().find(|word| spec.parameter.is_called(word));
            if let (Some(word), Some(_)) = (word, train.groups.of(role)) {
                let why = format!("train.freeze has {word:?}, so {name} does not change");
                note(format!("train.groups.{}", role.name()), why);
            }
            let layer = self.model.layer(usize::from(spec.parameter.layer));
            let held = layer.low_rank.as_ref();
            let is_held = held.is_some_and(|factors| factors.holds(role));
            if is_held && train.groups.of(role).is_some() {
                let why = format!("model.low_rank leaves {name} as it is drawn");
                note(format!("train.groups.{}", role.name()), why);
            }
            if frozen.contains(&name) && !spec.is_trained {
                note(
                    "train.freeze".to_owned(),
                    format!("on {name}, which is not trained anyway"),
                );
            }
        }
        found
    }

    /// Returns the number of validations in the run.
    fn n_validations(&self) -> u64 {
        match self.config.validate.every_steps {
            0 => 1,
            every => self.config.train.steps.div_ceil(every),
        }
    }

    /// Returns the key of `train.stop` that cannot stop the run, and why.
    fn unreached_stop(&self) -> Option<(String, String)> {
        let stop = self.config.train.stop.as_ref()?;
        let n = self.n_validations();
        if n == 1 {
            let why = format!("the only validation is that at the end of the run; {MORE_OFTEN}");
            return Some(("train.stop".to_owned(), why));
        }
        if stop.over as u64 > n {
            let why = format!(
                "the run has {}, fewer than train.stop.over = {}; {MORE_OFTEN}",
                counted(n, "validation"),
                stop.over
            );
            return Some(("train.stop".to_owned(), why));
        }
        let is_unreached = stop.patience.is_some_and(|patience| patience >= n);
        is_unreached.then(|| ("train.stop.patience".to_owned(), too_few(n)))
    }

    /// Returns the key of the schedule whose change of the learning rate the run does not reach, and why.
    fn unreached_schedule(&self) -> Option<(String, String)> {
        let train = &self.config.train;
        let steps = counted(train.steps, "step");
        let (key, why) = match &train.schedule {
            Schedule::Plateau(plateau) if plateau.patience >= self.n_validations() => {
                ("patience", too_few(self.n_validations()))
            }
            schedule if schedule.end().is_some_and(|end| end > train.steps) => (
                "steps",
                format!(
                    "from step {} on, which the run of {steps} does not reach: the learning rate is not yet at its end",
                    train.steps
                ),
            ),
            Schedule::Step(step) if step.warmup_steps + step.every_steps >= train.steps => (
                "every_steps",
                format!("the run has {steps}: the rate never changes"),
            ),
            _ => return None,
        };
        Some((format!("train.schedule.{key}"), why))
    }

    /// Lists penalties with the coefficient 0, of weights that are not trained, or over a lag that no trial has.
    fn unused_of_loss(&self) -> Vec<(String, String)> {
        let loss = &self.config.train.loss;
        let mut found = Vec::new();
        let mut note = |key: &str, why: String| found.push((format!("train.loss.{key}"), why));
        let of_weights = [
            ("weight_l1", loss.weight_l1),
            ("weight_l2", loss.weight_l2),
            ("weight_deviation", loss.weight_deviation),
        ];
        let of_weights = of_weights
            .into_iter()
            .filter_map(|(key, penalty)| Some((key, penalty?)));
        for (key, penalty) in of_weights {
            let penalised = penalised(&penalty);
            if penalised.is_empty() {
                note(key, NO_WEIGHT.to_owned());
            }
            for matrix in penalised {
                let all = self.model.parameters().into_iter();
                let mut parameters = all.map(|spec| spec.parameter).filter(|p| match matrix {
                    Matrix::Recurrent => p.role.is_recurrent_matrix(),
                    _ => p.role == matrix.parameter().role,
                });
                if parameters.all(|p| self.model.is_frozen(p)) {
                    let name = matrix.array("weight");
                    note(key, format!("on {name}, which train.freeze holds"));
                }
            }
        }
        let penalties = self.objective.penalties.iter();
        let penalties = penalties.map(|penalty| (penalty.name(), penalty.coefficient()));
        let omega = loss
            .omega
            .map(|omega| ("omega".to_owned(), Some(omega.weight)));
        for (key, _) in penalties.chain(omega).filter(|(_, c)| *c == Some(0.0)) {
            note(&key, NO_WEIGHT.to_owned());
        }
        let areas = (loss.areas.iter()).filter(|(_, own)| **own == Default::default());
        let areas = areas.map(|(name, _)| format!("areas.{name}"));
        let projections = loss
            .projections
            .iter()
            .filter(|(_, own)| **own == Default::default());
        let projections = projections.map(|(key, _)| format!("projections.{key}"));
        for path in areas.chain(projections) {
            note(&path, "it has no penalty".to_owned());
        }
        let longest = self.task.longest_steps(self.clock);
        if let (Some(lagged), Some(n_steps)) = (loss.state_prediction, longest)
            && n_steps > 0
            && lagged.lag_ms >= n_steps as f64 * self.clock.dt_ms()
        {
            let why = format!(
                "its lag_ms = {} is not shorter than the longest trial, which takes {} ms",
                lagged.lag_ms,
                n_steps as f64 * self.clock.dt_ms()
            );
            note("state_prediction", why);
        }
        found
    }
}

const NO_WEIGHT: &str = "its weight is 0";
const MORE_OFTEN: &str = "validate.every_steps=N validates more often";

/// Returns the reason why so many validations are too few.
fn too_few(n: u64) -> String {
    format!("the run has {}; {MORE_OFTEN}", counted(n, "validation"))
}

/// Returns the matrices to which a penalty gives a weight.
fn penalised(penalty: &PerMatrix) -> Vec<Matrix> {
    let weights = [
        (Matrix::Input, penalty.input),
        (Matrix::Recurrent, penalty.recurrent),
        (Matrix::Output, penalty.output),
    ];
    let given = weights.into_iter().filter(|(_, weight)| *weight != 0.0);
    given.map(|(matrix, _)| matrix).collect()
}

/// Returns the key by whose value of 1 a schedule does not change the learning rate, if there is one.
fn flat_schedule(schedule: &Schedule) -> Option<&'static str> {
    let (key, value) = match schedule {
        Schedule::Constant(_) => return None,
        Schedule::Cosine(cosine) => ("final_fraction", cosine.final_fraction),
        Schedule::Exponential(exponential) => ("factor", exponential.factor),
        Schedule::Step(step) => ("factor", step.factor),
        Schedule::Plateau(plateau) if plateau.factor == 1.0 => ("factor", plateau.factor),
        Schedule::Plateau(plateau) => ("final_fraction", plateau.final_fraction),
    };
    (value == 1.0).then_some(key)
}
