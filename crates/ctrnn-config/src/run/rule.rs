//! Rules of `train.rule`: what a learning rule without a backward pass can train, and with which other keys.

use ctrnn_model::{
    Connectivity, CtrnnConfig, Densities, InitialState, Matrix, OutputNonlinearity, Parameter,
};
use ctrnn_train::{Continual, FeedbackSource, Loss, Objective, Rule, TrainConfig};

use super::Run;
use super::check::Check;
use crate::diagnostic::{Code, Diagnostic};

/// A key that another one cannot go with: true if it is given, the key, the reason, and the remedy.
pub(super) type Refusal = (bool, String, &'static str, &'static str);

/// Keys that act on a gradient or on a learning rate.
const KEYS_OF_GRADIENTS: [&str; 7] = [
    "train.optimizer",
    "train.schedule",
    "train.groups",
    "train.clip_grad_norm",
    "train.clip_grad_norm_per_tensor",
    "train.clip_grad_value",
    "train.divergence",
];

impl Check<'_> {
    /// Checks that the learning rule can train the network towards the objective.
    pub(super) fn check_rule(
        &mut self,
        train: &TrainConfig,
        objective: &Objective,
        model: &CtrnnConfig,
    ) {
        let rule = &train.rule;
        if rule.is_gradient() || !self.is_sound(&["train.rule", "model"]) {
            return;
        }
        let mut refusals = of_every_rule(train, objective, model);
        if rule.is_least_squares() {
            refusals.extend(of_least_squares(rule, objective, model));
        }
        refusals.extend(of_feedback(rule, model));
        let subject = format!("train.rule = {:?}", rule.name());
        let another = ", or take another train.rule";
        self.refuse(&subject, another, ("train.rule", "the rule"), refusals);
    }

    /// Refuses the keys that are given: the message begins with the subject, whose key and label are given, and the help ends with
    /// `another`.
    pub(super) fn refuse(
        &mut self,
        subject: &str,
        another: &str,
        label: (&str, &str),
        refusals: impl IntoIterator<Item = Refusal>,
    ) {
        for (is_given, key, reason, help) in refusals {
            if is_given {
                let problem = Diagnostic::new(Code::Training, format!("{subject} {reason}"));
                let help = format!("{help}{another}");
                self.report(problem.help(help), &[label, (&*key, "the other")]);
            }
        }
    }

    /// Checks that the protection of earlier stages has stages, and that it fits the network and the learning rule.
    pub(super) fn check_continual(&mut self, train: &TrainConfig, model: &CtrnnConfig) {
        let continual = &train.continual;
        if continual.is_none() || !self.is_sound(&["train.continual", "train.rule", "model"]) {
            return;
        }
        let is_projection = matches!(continual, Continual::Projection(_));
        let has_rules = model.dale.is_some()
            || model.positive_input
            || model.density != Densities::default()
            || !model.self_connections
            || model.connectivity != Connectivity::default()
            || !model.areas.is_empty();
        let is_plain = model.n_layers() == 1
            && model.low_rank.is_none()
            && model.short_term_plasticity.is_none()
            && model.longest_delay_ms().is_none();
        let refusals: [Refusal; 3] = [
            (
                train.rule.is_least_squares(),
                "train.rule".to_owned(),
                "holds gradients back, but the learning rule has none",
                "remove train.continual",
            ),
            (
                is_projection && has_rules,
                "model".to_owned(),
                "changes all weights of a matrix together, which signs, masks, fixed weights and plasticity do not allow",
                "take synaptic_intelligence or ewc",
            ),
            (
                is_projection && !is_plain,
                "model".to_owned(),
                "is defined for one layer with full recurrent weights, whose synapses transmit the rates of the time step before",
                "take synaptic_intelligence or ewc",
            ),
        ];
        let subject = format!("train.continual = {:?}", continual.name());
        let label = ("train.continual", "the protection");
        self.refuse(&subject, "", label, refusals);
    }
}

impl Run {
    /// Lists keys of the optimizer that have no effect because the learning rule has none, and a protection of stages where there are none.
    pub(super) fn unused_of_rule(&self) -> Vec<(String, String)> {
        if !self.stages.is_empty() {
            return Vec::new(); // each stage may have a rule of its own
        }
        let train = &self.config.train;
        let mut found = Vec::new();
        if !train.continual.is_none() {
            let why = "the training has no stages; [[train.stage]] begins each";
            found.push(("train.continual".to_owned(), why.to_owned()));
        }
        if train.rule.is_least_squares() {
            let unused = KEYS_OF_GRADIENTS.iter().filter(|key| self.is_given(key));
            let why = format!(
                "train.rule = {:?} has neither a gradient nor a learning rate",
                train.rule.name()
            );
            found.extend(unused.map(|key| ((*key).to_owned(), why.clone())));
        }
        found
    }
}

/// Lists what no rule without a backward pass goes with.
fn of_every_rule(train: &TrainConfig, objective: &Objective, model: &CtrnnConfig) -> Vec<Refusal> {
    let key = str::to_owned;
    vec![
        (
            model.n_layers() > 1,
            key("model.layer"),
            "trains networks of one layer",
            "write the keys of a layer into [model]",
        ),
        (
            model.short_term_plasticity.is_some(),
            key("model.short_term_plasticity"),
            "does not support synapses with a state of their own",
            "remove model.short_term_plasticity",
        ),
        (
            model.longest_delay_ms().is_some(),
            key("model.connectivity.file"),
            "takes the rates of the time step before, but recurrent connections are delayed",
            "remove the delays",
        ),
        (
            !objective.penalties.is_empty()
                || objective.omega.is_some()
                || !train.loss.python.is_empty(),
            key("train.loss"),
            "follows the errors of the readout alone, not penalties",
            "remove the penalties of train.loss",
        ),
        (
            train.recompute,
            key("train.recompute"),
            "keeps no states, so there is nothing to recompute",
            "remove train.recompute",
        ),
        (
            train.truncate_steps.is_some(),
            key("train.truncate_steps"),
            "runs forward in time only, so there is nothing to cut",
            "remove train.truncate_steps",
        ),
        (
            train.accumulate > 1,
            key("train.accumulate"),
            "takes a batch as a whole",
            "remove train.accumulate",
        ),
        (
            !train.perturbation.is_empty(),
            key("train.perturbation"),
            "runs the network as it is, without perturbations",
            "remove train.perturbation",
        ),
        (
            train.dropout > 0.0,
            key("train.dropout"),
            "runs the network as it is, without dropout",
            "remove train.dropout",
        ),
        (
            train.noise_schedule.is_some(),
            key("train.noise_schedule"),
            "runs the network as it is, with constant noise",
            "remove train.noise_schedule",
        ),
        (
            train.teacher_forcing.is_some(),
            key("train.teacher_forcing"),
            "runs the network freely",
            "remove train.teacher_forcing",
        ),
    ]
}

/// Lists what recursive least squares do not go with.
fn of_least_squares(rule: &Rule, objective: &Objective, model: &CtrnnConfig) -> Vec<Refusal> {
    let squares_recurrence = rule.squares_recurrence();
    let key = str::to_owned;
    let holds = |matrix: Matrix| model.is_frozen(matrix.parameter());
    let nothing = holds(Matrix::Output) && (!squares_recurrence || holds(Matrix::Recurrent));
    vec![
        (
            objective.loss != Loss::Mse,
            key("train.loss.name"),
            "minimises the squared error of the readout, not another loss",
            "train.loss.name = \"mse\"",
        ),
        (
            model.output_nonlinearity != OutputNonlinearity::Identity,
            key("model.output_nonlinearity"),
            "trains a linear readout",
            "model.output_nonlinearity = \"identity\"",
        ),
        (
            model.signs(Matrix::Output).is_some(),
            key("model.dale"),
            "cannot preserve the signs of the readout",
            "model.dale.readout = \"free\"",
        ),
        (
            squares_recurrence && model.signs(Matrix::Recurrent).is_some(),
            key("model.dale"),
            "cannot preserve the signs of recurrent weights that it trains",
            "remove model.dale, or train the readout alone",
        ),
        (
            squares_recurrence && model.low_rank.is_some(),
            key("model.low_rank"),
            "trains single recurrent weights, which a network of low rank does not have",
            "remove model.low_rank, or train the readout alone",
        ),
        (
            has_slow_weights(model, squares_recurrence),
            key("model"),
            "trains a weight or leaves it as it is, but the plasticity of some is neither 1 nor 0, or an area is frozen",
            "give plasticity 1 or 0",
        ),
        (
            nothing,
            key("train.freeze"),
            "has nothing to train: train.freeze holds the weights that it changes",
            "take the readout out of train.freeze",
        ),
    ]
}

/// Lists what a rule does not go with because of feedback and initial states.
fn of_feedback(rule: &Rule, model: &CtrnnConfig) -> Vec<Refusal> {
    let key = str::to_owned;
    let has_feedback = model.feedback.is_some();
    match rule {
        Rule::Force(force) => vec![(
            force.feedback == FeedbackSource::Target && !has_feedback,
            key("train.rule.feedback"),
            "with feedback = \"target\" needs weights that carry the targets into the network",
            "add [model.feedback]",
        )],
        Rule::FullForce(_) => vec![
            (
                has_feedback,
                key("model.feedback"),
                "transfers the effect of feedback into the recurrent weights",
                "remove model.feedback",
            ),
            (
                model.initial_state == InitialState::Carry,
                key("model.initial_state"),
                "begins each trial in the network and in the one that generates its targets with the same state, which a carried one is not",
                "model.initial_state = \"zero\"",
            ),
        ],
        _ => Vec::new(),
    }
}

/// Returns true if a trained weight or bias has a factor of its updates other than 0 and 1.
fn has_slow_weights(model: &CtrnnConfig, squares_recurrence: bool) -> bool {
    let matrices = [Matrix::Output, Matrix::Recurrent];
    let trained = &matrices[..1 + usize::from(squares_recurrence)];
    let is_slow = |matrix: &Matrix| {
        let factors = model.connectivity.of(*matrix).plasticity.iter().flatten();
        { factors }.any(|&factor| factor != 0.0 && factor != 1.0)
    };
    let of_biases = || model.update_factors(Parameter::RECURRENT_BIAS).is_some();
    trained.iter().any(is_slow) || squares_recurrence && model.bias.recurrent && of_biases()
}
