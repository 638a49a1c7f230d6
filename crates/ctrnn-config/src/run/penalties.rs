//! Rules of penalties: bounds that can be met and have an effect, and penalties that yield to the task.

use ctrnn_model::{CtrnnConfig, Direction};
use ctrnn_train::{LossConfig, Objective, RangePenalty};

use super::check::Check;
use super::resolved::Run;
use crate::diagnostic::{Code, Diagnostic};

/// A penalty on what lies beyond bounds.
struct Bounded {
    /// The path of the key.
    key: String,
    range: RangePenalty,
    quantity: &'static str,
    /// The smallest value of the quantity in each layer, and the largest one: the range of each over the layers.
    smallest: [f64; 2],
    largest: [f64; 2],
}

/// A bound that cannot be met or has no effect: its key, its value and the reason.
type Reason = (String, f64, String);

impl Bounded {
    /// Creates a penalty of a quantity that has the given range of values in each layer, if the penalty is set.
    fn new(
        path: String,
        range: Option<RangePenalty>,
        quantity: &'static str,
        values: &[[f64; 2]],
    ) -> Option<Self> {
        let over_layers = |end: usize| {
            let all = values.iter().map(move |range| range[end]);
            [
                all.clone().fold(f64::INFINITY, f64::min),
                all.fold(f64::NEG_INFINITY, f64::max),
            ]
        };
        Some(Self {
            key: format!("train.loss.{path}"),
            range: range?,
            quantity,
            smallest: over_layers(0),
            largest: over_layers(1),
        })
    }

    /// Returns the penalties of an objective that have bounds. Areas and projections that the network does not have are left out.
    fn all(config: &LossConfig, model: &CtrnnConfig) -> Vec<Self> {
        let rates: Vec<[f64; 2]> = model.layers().map(|l| l.activation.range()).collect();
        let of_units = |n_units: usize| [1.0, n_units as f64];
        let ratios: Vec<[f64; 2]> = model.layers().map(|l| of_units(l.n_units)).collect();
        let sums = [[0.0, f64::INFINITY]];
        let key = str::to_owned;
        let mut all = vec![
            Self::new(key("rate_range"), config.rate_range, RATE, &rates),
            Self::new(key("participation"), config.participation, RATIO, &ratios),
            Self::new(key("in_degree"), config.in_degree, DEGREE, &sums),
        ];
        for (name, own) in config.areas.iter() {
            if let Some(units) = model.area_units(name) {
                let key = |penalty: &str| format!("areas.{name}.{penalty}");
                let ratios = [of_units(units.len())];
                all.push(Self::new(key("rate_range"), own.rate_range, RATE, &rates));
                all.push(Self::new(
                    key("participation"),
                    own.participation,
                    RATIO,
                    &ratios,
                ));
            }
        }
        for (name, own) in config.projections.iter() {
            let direction = Direction::parse(name);
            if direction
                .and_then(|direction| model.units_of(direction))
                .is_some()
            {
                let key = format!("projections.{name}.in_degree");
                all.push(Self::new(key, own.in_degree, DEGREE, &sums));
            }
        }
        all.into_iter().flatten().collect()
    }

    /// Lists the bounds that cannot be met in some layer.
    fn unreachable(&self) -> Vec<Reason> {
        let (low, high) = (self.smallest[1], self.largest[0]);
        let at_least = self.range.at_least.filter(|bound| *bound > high);
        let at_most = self.range.at_most.filter(|bound| *bound < low);
        let at_least = at_least.map(|bound| self.reason("at_least", bound, "above", high));
        let at_most = at_most.map(|bound| self.reason("at_most", bound, "below", low));
        at_least.into_iter().chain(at_most).collect()
    }

    /// Lists the bounds that hold in any case.
    fn without_effect(&self) -> Vec<Reason> {
        let (low, high) = (self.smallest[0], self.largest[1]);
        let at_least = self.range.at_least.filter(|bound| *bound <= low);
        let at_most = self.range.at_most.filter(|bound| *bound >= high);
        let at_least = at_least.map(|bound| self.reason("at_least", bound, "below", low));
        let at_most = at_most.map(|bound| self.reason("at_most", bound, "above", high));
        at_least.into_iter().chain(at_most).collect()
    }

    fn reason(&self, name: &str, bound: f64, side: &str, end: f64) -> Reason {
        let why = format!("no {} is {side} {end}", self.quantity);
        (format!("{}.{name}", self.key), bound, why)
    }

    /// Returns the message and the help of the problem of the bounds by themselves, if there is one.
    fn problem(&self) -> Option<(String, String)> {
        let key = &self.key;
        match (self.range.at_least, self.range.at_most) {
            (None, None) => Some((
                format!("{key} has no bound; expected at_least, at_most or both"),
                format!("for instance {key}.at_most = {}", self.largest[0].min(4.0)),
            )),
            (Some(least), Some(most)) if least > most => Some((
                format!("{key}.at_least = {least} is above {key}.at_most = {most}"),
                "the lower bound is at_least, the upper one at_most".to_owned(),
            )),
            _ => None,
        }
    }
}

const RATE: &str = "rate";
const RATIO: &str = "participation ratio";
const DEGREE: &str = "in-degree";

impl Check<'_> {
    /// Checks that penalties with bounds have one that can be met.
    pub(super) fn check_bounds(&mut self, config: &LossConfig, model: &CtrnnConfig) {
        for bounded in Bounded::all(config, model) {
            if !self.is_sound(&[&bounded.key, "model"]) {
                continue;
            }
            if let Some((message, help)) = bounded.problem() {
                let problem = Diagnostic::new(Code::Training, message).help(help);
                self.report(problem, &[(&bounded.key, "")]);
                continue;
            }
            let remedy = match bounded.quantity {
                RATE => "change the bound, or model.activation",
                _ => "change the bound",
            };
            for (key, bound, reason) in bounded.unreachable() {
                let message = format!("{key} = {bound} cannot be met: {reason}");
                let problem = Diagnostic::new(Code::Training, message).help(remedy);
                self.report(problem, &[(&key, "")]);
            }
        }
    }

    /// Checks that terms which yield to the task are penalties of the objective.
    pub(super) fn check_yielding(&mut self, loss: &LossConfig, objective: &Objective) {
        if loss.yield_to_task.is_empty() || !self.is_sound(&["train.loss", "model"]) {
            return;
        }
        let names = objective.term_names_with(loss.python.keys().map(String::as_str));
        let penalties = names.get(1..).unwrap_or_default(); // after the loss itself
        let help = match penalties {
            [] => "train.loss has no penalty: give one, or remove train.loss.yield_to_task".into(),
            names => format!("penalties: {}", names.join(", ")),
        };
        let given = loss.yield_to_task.iter().enumerate();
        for (k, name) in given.filter(|(_, name)| !penalties.contains(name)) {
            let key = format!("train.loss.yield_to_task[{k}]");
            let message = format!(
                "{key} = {name:?} is not a penalty of train.loss; expected the key of one that is given"
            );
            let problem = Diagnostic::new(Code::UnknownWord, message).help(help.clone());
            self.report(problem, &[(&key, "")]);
        }
    }
}

impl Run {
    /// Lists bounds of penalties that hold in any case.
    pub(super) fn unused_bounds(&self) -> Vec<(String, String)> {
        let all = Bounded::all(&self.config.train.loss, &self.model).into_iter();
        all.flat_map(|bounded| {
            let unused = bounded.without_effect().into_iter();
            unused.map(|(key, _, reason)| (key, reason))
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::run::Run;
    use crate::{ConfigErrors, RunConfig};

    fn read(model: &str, loss: &str) -> Result<Run, ConfigErrors> {
        let text = format!("[task.go_nogo]\n[model]\nn_units = 10\n{model}\n[train.loss]\n{loss}");
        let registry = ctrnn_runs::registry();
        RunConfig::from_text(&text, "run.toml", Path::new("/lab"), &[], &registry)
    }

    const AREAS: &str = "areas.a.units = 4\nareas.b.units = 6\nprojections.\"a -> b\" = {}";

    #[test]
    fn a_bound_that_cannot_be_met_is_refused_at_its_place() {
        let tanh = "activation = \"tanh\"";
        for (model, loss, message, line) in [
            (
                "",
                "rate_range = { weight = 1 }",
                "train.loss.rate_range has no bound; expected at_least, at_most or both",
                "6:",
            ),
            (
                "",
                "rate_range = { weight = 1, at_least = 2, at_most = 1 }",
                "train.loss.rate_range.at_least = 2 is above train.loss.rate_range.at_most = 1",
                "6:",
            ),
            (
                "",
                "rate_range = { weight = 1, at_most = -0.1 }",
                "rate_range.at_most = -0.1 cannot be met: no rate is below 0",
                "6:",
            ),
            (
                tanh,
                "rate_range = { weight = 1, at_least = 2 }",
                "rate_range.at_least = 2 cannot be met: no rate is above 1",
                "6:",
            ),
            (
                "",
                "participation = { weight = 1, at_least = 11 }",
                "train.loss.participation.at_least = 11 cannot be met: no participation ratio is above 10",
                "6:",
            ),
            (
                "",
                "participation = { weight = 1, at_most = 0.5 }",
                "cannot be met: no participation ratio is below 1",
                "6:",
            ),
            (
                "",
                "in_degree = { weight = 1, at_most = -1 }",
                "cannot be met: no in-degree is below 0",
                "6:",
            ),
            (
                AREAS,
                "areas.a.participation = { weight = 1, at_least = 5 }",
                "train.loss.areas.a.participation.at_least = 5 cannot be met: no participation ratio is above 4",
                "8:",
            ),
            (
                AREAS,
                "projections.\"a -> b\".in_degree = { weight = 1 }",
                "train.loss.projections.a -> b.in_degree has no bound",
                "8:",
            ),
            (
                "",
                "rate_range = { weight = -1, at_most = 1 }",
                "must be at least 0",
                "6:",
            ),
        ] {
            let errors = read(model, loss).expect_err(loss).to_string();
            assert!(errors.contains(message), "{message:?} is not in\n{errors}");
            assert!(
                errors.contains(&format!("run.toml:{line}")),
                "{line} is not in\n{errors}"
            );
            assert!(errors.contains("help: "), "{errors}");
        }
        let of_both = "layer = [{ n_units = 4, activation = \"tanh\" }, { n_units = 8 }]";
        let stack = RunConfig::from_text(
            &format!(
                "[task.go_nogo]\n[model]\n{of_both}\n[train.loss]\nrate_range = {{ weight = 1, at_least = 2 }}"
            ),
            "run.toml",
            Path::new("/lab"),
            &[],
            &ctrnn_runs::registry(),
        );
        let errors = stack.expect_err("a layer has no such rates").to_string();
        assert!(errors.contains("no rate is above 1"), "{errors}");
    }

    #[test]
    fn a_bound_that_holds_in_any_case_is_told() {
        let noted = |model: &str, loss: &str| read(model, loss).unwrap().unused_keys();
        assert_eq!(
            noted("", "rate_range = { weight = 1, at_least = 0, at_most = 1 }"),
            ["train.loss.rate_range.at_least has no effect: no rate is below 0"]
        );
        assert_eq!(
            noted("", "participation = { weight = 1, at_most = 10 }"),
            ["train.loss.participation.at_most has no effect: no participation ratio is above 10"]
        );
        let all = "rate_range = { weight = 1, at_least = 0.1 }\nparticipation = { weight = 1, at_least = 2 }\nin_degree = { weight = 0, at_most = 3 }";
        assert_eq!(
            noted("", all),
            ["train.loss.in_degree has no effect: its weight is 0"]
        );
    }

    #[test]
    fn a_term_that_is_no_penalty_cannot_yield() {
        for (loss, message, help) in [
            (
                "rate_l2 = 0.1\nomega = { weight = 1 }\nyield_to_task = [\"rate_l2\", \"rate_l1\"]",
                "train.loss.yield_to_task[1] = \"rate_l1\" is not a penalty of train.loss; expected the key of one that is given",
                "help: penalties: rate_l2, omega",
            ),
            (
                "yield_to_task = [\"mse\"]",
                "train.loss.yield_to_task[0] = \"mse\" is not a penalty of train.loss",
                "help: train.loss has no penalty: give one, or remove train.loss.yield_to_task",
            ),
        ] {
            let errors = read("", loss).expect_err(loss).to_string();
            for part in [message, help, "run.toml:"] {
                assert!(errors.contains(part), "{part:?} is not in\n{errors}");
            }
        }
        let areas = "areas.a.rate_l2 = 0.1\nin_degree = { weight = 1, at_most = 2 }\nyield_to_task = [\"areas.a.rate_l2\", \"in_degree\"]";
        let run = read(AREAS, areas).unwrap();
        assert_eq!(run.objective.yielding, ["areas.a.rate_l2", "in_degree"]);
        assert_eq!(run.unused_keys(), [""; 0]);
        let again = run.resolved_toml();
        let again = RunConfig::from_text(
            &again,
            "run.toml",
            Path::new("/lab"),
            &[],
            &ctrnn_runs::registry(),
        );
        assert_eq!(again.unwrap().objective, run.objective);
    }
}
