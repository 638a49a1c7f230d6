//! Rules of interventions in training: perturbations, dropout and the course of the noise.

use std::collections::BTreeSet;

use ctrnn_model::CtrnnConfig;
use ctrnn_random::{Key, Stream};
use ctrnn_tasks::{BatchRequest, Clock, ConditionOrder, Task};
use ctrnn_train::TrainedPerturbation;
use ctrnn_train::perturbation::Perturbation;

use super::check::Check;
use crate::diagnostic::{Code, Diagnostic};
use crate::run_config::RunConfig;

/// Most trials that are made to learn the names of the epochs of a task.
const MOST_TRIALS: usize = 64;

impl Check<'_> {
    /// Reads `train.perturbation` for a network, and refuses what has no gradient, no effect, or no meaning together.
    pub(super) fn perturbations(
        &mut self,
        config: &RunConfig,
        network: &CtrnnConfig,
        task: &dyn Task,
        clock: Clock,
    ) -> Vec<TrainedPerturbation> {
        self.check_interventions_and_omega(config);
        if config.train.perturbation.is_empty() || !self.problems.is_empty() {
            return Vec::new(); // units belong to areas and layers, which are in order
        }
        let mut found = Vec::new();
        for (k, own) in config.train.perturbation.iter().enumerate() {
            let key = format!("train.perturbation[{k}]");
            match own.read(&key, network, config.seed, clock) {
                Ok(read) => {
                    self.check_windows(&key, &read.perturbation, task, clock);
                    self.check_clamped_synapses(&key, &read.perturbation, network);
                    found.push(read);
                }
                Err(error) => {
                    let problem = Diagnostic::new(Code::Training, error.what).help(error.help);
                    self.report(problem, &[(&key, "")]);
                }
            }
        }
        self.check_together(&found, network);
        self.check_uncut(config);
        found
    }

    /// Refuses perturbations together with windows of a gradient.
    fn check_uncut(&mut self, config: &RunConfig) {
        if config.train.truncate_steps.is_some() {
            let message = "train.truncate_steps cuts trials, in whose windows train.perturbation has its times";
            let problem = Diagnostic::new(Code::Training, message)
                .help("remove train.truncate_steps or the perturbations");
            let labels = [("train.truncate_steps", ""), ("train.perturbation", "")];
            self.report(problem, &labels);
        }
    }

    /// Refuses the vanishing-gradient penalty under interventions: its second pass would be without them.
    fn check_interventions_and_omega(&mut self, config: &RunConfig) {
        let given = [
            ("train.perturbation", !config.train.perturbation.is_empty()),
            ("train.dropout", config.train.dropout > 0.0),
        ];
        let given = given.iter().find(|(_, is_given)| *is_given);
        let (Some((key, _)), Some(_)) = (given, &config.train.loss.omega) else {
            return;
        };
        let message = format!("train.loss.omega takes a second pass, which runs without {key}");
        let problem = Diagnostic::new(Code::Training, message)
            .help(format!("remove {key} or train.loss.omega"));
        self.report(problem, &[("train.loss.omega", ""), (key, "")]);
    }

    /// Refuses clamped units whose synapses are plastic: the course of these under a clamp has no gradient.
    fn check_clamped_synapses(&mut self, key: &str, own: &Perturbation, network: &CtrnnConfig) {
        let n_layers = network.n_layers();
        let is_clamped = |number: usize| !own.of_layer(number, n_layers).clamped.is_empty();
        let mut layers = network.layers().enumerate();
        if !layers
            .any(|(number, layer)| layer.short_term_plasticity.is_some() && is_clamped(number))
        {
            return;
        }
        let message = format!(
            "{key} holds rates of units with short-term plasticity, through which there is no gradient"
        );
        let problem = Diagnostic::new(Code::Training, message)
            .help("a lesion takes the units out as well, and their synapses continue to evolve");
        self.report(problem, &[(key, "")]);
    }

    /// Refuses epochs that the task does not have, and times after the end of its trials.
    fn check_windows(&mut self, key: &str, own: &Perturbation, task: &dyn Task, clock: Clock) {
        let asked = own.epochs();
        let known = if asked.is_empty() {
            BTreeSet::new()
        } else {
            epochs(task, clock)
        };
        let unknown = asked.iter().find(|epoch| !known.contains(**epoch));
        if let Some(unknown) = unknown.filter(|_| !known.is_empty()) {
            let known: Vec<&str> = known.iter().map(String::as_str).collect();
            let problem = Diagnostic::new(
                Code::UnknownWord,
                format!("{key}: no trial has an epoch {unknown}"),
            );
            let help = format!(
                "epochs are {}; or give times in ms, such as 200..400",
                known.join(", ")
            );
            self.report(problem.help(help), &[(key, "")]);
        }
        let (latest, longest) = (own.latest_start(), task.longest_steps(clock));
        if let (Some(start), Some(end)) = (latest, longest)
            && start >= end
        {
            let ms = |steps: usize| steps as f64 * clock.dt_ms();
            let message = format!(
                "{key} begins at {} ms, but the longest trial ends at {} ms",
                ms(start),
                ms(end)
            );
            let problem = Diagnostic::new(Code::Training, message).help("give an earlier time");
            self.report(problem, &[(key, "")]);
        }
    }

    /// Refuses perturbations of which a trial may have two that hold the same unit.
    fn check_together(&mut self, found: &[TrainedPerturbation], network: &CtrnnConfig) {
        let all = found.iter().map(|own| own.perturbation.clone());
        let all = all.reduce(Perturbation::joined).unwrap_or_default();
        let n_layers = network.n_layers();
        for (number, layer) in network.layers().enumerate() {
            if let Err(error) = all.of_layer(number, n_layers).check(layer.n_units) {
                let error = error.with_remedy(layer.n_units);
                let message = format!("train.perturbation: {}", error.what);
                let problem = Diagnostic::new(Code::Training, message).help(error.help);
                self.report(problem, &[("train.perturbation", "")]);
                return;
            }
        }
    }
}

/// Returns the names of the epochs of a task; empty if they are not known.
fn epochs(task: &dyn Task, clock: Clock) -> BTreeSet<String> {
    let listed = task.epochs();
    if !listed.is_empty() {
        return listed.iter().map(|epoch| epoch.name.to_owned()).collect();
    }
    if task.interrupt().is_some() {
        return BTreeSet::new(); // a program is not asked for trials to check words
    }
    let request = BatchRequest {
        clock,
        first_trial: 0,
        n_trials: task.conditions().len().clamp(1, MOST_TRIALS),
        key: Key::new(0, Stream::Validation, 0),
        step: 0,
        conditions: ConditionOrder::Balanced,
    };
    let timelines = task.sample_batch(&request).map(|batch| batch.timelines);
    let timelines = timelines.unwrap_or_default();
    let names = timelines.iter().flat_map(|timeline| &timeline.epochs);
    names.map(|(name, _)| (*name).to_owned()).collect()
}
