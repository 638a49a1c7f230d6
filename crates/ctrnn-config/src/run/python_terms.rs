//! Terms of the loss in Python: their names, and the consent to the programs that compute them.

use ctrnn_tasks::Programs;
use ctrnn_train::{Objective, TrainConfig};

use super::check::Check;
use super::resolved::{Run, TermPrograms};
use super::stages::is_plain_name;
use crate::diagnostic::{Code, Diagnostic};
use crate::python::programs_of_terms;

impl Run {
    /// Returns the names of all terms of the loss in training; empty if the loss is the only one.
    pub fn term_names(&self) -> Vec<String> {
        let python = self.config.train.loss.python.keys().map(String::as_str);
        self.objective.term_names_with(python)
    }
}

impl Check<'_> {
    /// Checks that the names of terms in Python can be names of columns, and are not those of other terms.
    pub(super) fn check_python_terms(&mut self, train: &TrainConfig, objective: &Objective) {
        let mut taken = objective.term_names();
        taken.push(objective.loss.name().to_owned());
        for name in train.loss.python.keys() {
            let why = if !is_plain_name(name) {
                "is not a name of a term; expected at most 40 letters, digits, _ and -"
            } else if taken.contains(name) {
                "is the name of another term of the loss"
            } else {
                continue;
            };
            let problem = Diagnostic::new(Code::Training, format!("train.loss.python: {name:?} {why}"))
                .help("it names the column loss_NAME of metrics.csv, and unless `function` is given, the function");
            self.report(problem, &[(&format!("train.loss.python.{name}"), "")]);
        }
    }

    /// Returns the programs that compute terms of the loss, if the caller may start programs and the user agrees to these.
    pub(super) fn agreed_programs(
        &mut self,
        train: &TrainConfig,
        programs: Programs,
    ) -> TermPrograms {
        let Programs::Agreed(agree) = programs else {
            return TermPrograms::new();
        };
        let wanted = programs_of_terms(train);
        for (name, words) in &wanted {
            if let Err(error) = agree(words) {
                let key = format!("train.loss.python.{name}");
                let problem = Diagnostic::new(Code::Program, format!("{key}: {}", error.message));
                let problem = error.help.into_iter().fold(problem, Diagnostic::help);
                self.report(problem, &[(&key, "")]);
            }
        }
        wanted
    }
}
