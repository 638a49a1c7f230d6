//! Rules of fitting recordings: `train.loss.unit_rates` and `train.teacher_forcing`.

use ctrnn_model::CtrnnConfig;
use ctrnn_tasks::{Task, counted};
use ctrnn_train::{RateError, RecordedUnits, TrainConfig, UnitRates};

use super::check::Check;
use crate::diagnostic::{Code, Diagnostic};
use crate::run_config::RunConfig;

const UNITS: &str = "train.loss.unit_rates.units";

/// Returns a note on recordings to which nothing is fitted.
pub(super) fn unfitted_recordings(train: &TrainConfig, task: &dyn Task) -> Vec<String> {
    match task.layout().recorded {
        recorded if recorded > 0 && train.loss.unit_rates.is_none() => vec![format!(
            "the trials have unit_targets of {}, to which nothing is fitted without train.loss.unit_rates",
            counted(recorded, "unit")
        )],
        _ => Vec::new(),
    }
}

impl Check<'_> {
    /// Checks that the recorded units exist, that the trials have their recordings, and that teacher forcing can force them.
    pub(super) fn check_recordings(
        &mut self,
        config: &RunConfig,
        model: &CtrnnConfig,
        task: &dyn Task,
    ) {
        let fitted = config.train.loss.unit_rates.as_ref();
        if let Some(own) = fitted.filter(|_| self.is_sound(&["train.loss.unit_rates"])) {
            self.check_recorded_units(own, model, task);
        }
        if config.train.teacher_forcing.is_some() && self.is_sound(&["train.loss.unit_rates"]) {
            self.check_teacher_forcing(config, model);
        }
    }

    fn check_recorded_units(&mut self, own: &UnitRates, model: &CtrnnConfig, task: &dyn Task) {
        let Some(units) = own.units.indices(model) else {
            return self.report_recorded_area(&own.units, model);
        };
        let n_units = model.n_units;
        let missing = units.iter().find(|&&unit| unit >= n_units);
        let mut sorted = units.clone();
        sorted.sort_unstable();
        let twice = sorted.windows(2).find(|pair| pair[0] == pair[1]);
        let recorded = task.layout().recorded;
        let (message, help) = if let Some(unit) = missing {
            (
                format!(
                    "{UNITS} has the unit {unit}, which the network of {n_units} units does not have"
                ),
                format!("units are counted from 0 to {}", n_units - 1),
            )
        } else if let Some(pair) = twice {
            (
                format!(
                    "{UNITS} has the unit {} twice; expected a unit for each recording",
                    pair[0]
                ),
                "name each unit once, in the order of unit_targets".to_owned(),
            )
        } else if recorded == 0 {
            (
                "train.loss.unit_rates fits recordings, but the trials of this task have no unit_targets".to_owned(),
                "add unit_targets [trial, time, unit] to the file, as docs/recordings.md says; or remove train.loss.unit_rates".to_owned(),
            )
        } else if recorded != units.len() {
            (
                format!(
                    "{UNITS} names {}, but unit_targets has recordings of {recorded}",
                    counted(units.len(), "unit")
                ),
                "name one unit of the network for each unit of unit_targets, in its order"
                    .to_owned(),
            )
        } else {
            return;
        };
        if self.is_sound(&["model"]) {
            let problem = Diagnostic::new(Code::Training, message).help(help);
            self.report(problem, &[(UNITS, "")]);
        }
    }

    fn report_recorded_area(&mut self, units: &RecordedUnits, model: &CtrnnConfig) {
        if !self.is_sound(&["model.areas"]) || !self.problems.is_empty() {
            return; // areas that are broken were taken out of the network
        }
        let RecordedUnits::Area(name) = units else {
            return;
        };
        let areas: Vec<&str> = model.areas.names().collect();
        let help = match areas.as_slice() {
            [] => "give the indices of the units, such as [0, 3, 7]".to_owned(),
            areas => format!("areas: {}; or the indices of the units", areas.join(", ")),
        };
        let message = format!("{name:?} in {UNITS} is not an area");
        self.report(
            Diagnostic::new(Code::UnknownWord, message).help(help),
            &[(UNITS, "")],
        );
    }

    /// Refuses teacher forcing where no rates of the network were recorded, or a unit sends more than its rate.
    fn check_teacher_forcing(&mut self, config: &RunConfig, model: &CtrnnConfig) {
        let train = &config.train;
        let fitted = train.loss.unit_rates.as_ref();
        let gives_rates =
            fitted.is_none_or(|own| own.kind == RateError::SquaredError && own.output.is_none());
        let of_model = |key: &str| model.key_in_last(key);
        let key = str::to_owned;
        let refusals = [
            (
                fitted.is_none(),
                key("train.loss.unit_rates"),
                "takes the recorded rates of train.loss.unit_rates, which is absent",
            ),
            (
                !gives_rates,
                key("train.loss.unit_rates"),
                "needs recorded rates of the network, which neither spike counts nor rates behind an output are",
            ),
            (
                train.truncate_steps.is_some(),
                key("train.truncate_steps"),
                "runs whole trials",
            ),
            (
                !train.perturbation.is_empty(),
                key("train.perturbation"),
                "cannot force a unit that is perturbed",
            ),
            (
                train.dropout > 0.0,
                key("train.dropout"),
                "cannot force a unit that is left out",
            ),
            (
                train.loss.omega.is_some(),
                key("train.loss.omega"),
                "is not in the second pass that train.loss.omega takes",
            ),
            (
                model.low_rank.is_some(),
                of_model("model.low_rank"),
                "mixes rates into single columns of the recurrent matrix, which a product of factors does not have",
            ),
            (
                model.short_term_plasticity.is_some(),
                of_model("model.short_term_plasticity"),
                "mixes rates, which plastic synapses do not transmit as they are",
            ),
            (
                model.feedback.is_some(),
                of_model("model.feedback"),
                "would be fed back through a readout that does not see it",
            ),
            (
                model.longest_delay_ms().is_some(),
                of_model("model.connectivity.file"),
                "mixes rates without delays, but recurrent connections are delayed",
            ),
        ];
        for (_, key, why) in refusals.iter().filter(|(is_refused, ..)| *is_refused) {
            let help = match fitted {
                None => "add train.loss.unit_rates, or remove train.teacher_forcing".to_owned(),
                Some(_) => format!("remove train.teacher_forcing, or change {key}"),
            };
            let problem =
                Diagnostic::new(Code::Training, format!("train.teacher_forcing {why}")).help(help);
            self.report(problem, &[("train.teacher_forcing", ""), (key, "")]);
        }
    }
}
