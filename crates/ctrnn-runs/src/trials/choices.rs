//! Choices in external trials: the outputs that represent them, and the correct one in each trial.

use std::collections::BTreeMap;

use ctrnn_tasks::{Layout, TargetKind, TaskError, Trial, target_answer, value_bits};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Index or name of an output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OutputName {
    /// Index of an output, from 0.
    Index(usize),
    /// Name of an output in the layout of the task.
    Name(String),
}

impl OutputName {
    fn index(&self, layout: &Layout) -> Option<usize> {
        let n_outputs = layout.outputs.len();
        match self {
            Self::Index(index) => Some(*index).filter(|&index| index < n_outputs),
            Self::Name(name) => layout.outputs.iter().position(|output| output == name),
        }
    }
}

impl std::fmt::Display for OutputName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Index(index) => write!(f, "{index}"),
            Self::Name(name) => write!(f, "{name:?}"),
        }
    }
}

impl Serialize for OutputName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Index(index) => serializer.serialize_u64(*index as u64),
            Self::Name(name) => serializer.serialize_str(name),
        }
    }
}

impl<'de> Deserialize<'de> for OutputName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match toml::Value::deserialize(deserializer)? {
            toml::Value::String(name) => Ok(Self::Name(name)),
            index => index.try_into().map(Self::Index).map_err(D::Error::custom),
        }
    }
}

impl JsonSchema for OutputName {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "OutputName".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [{ "type": "integer", "minimum": 0 }, { "type": "string" }] })
    }
}

/// Returns the indices of the outputs that the key `choices` names.
///
/// # Errors
/// If one is not an output or is named twice, or if only one is given for a task with labels.
pub(crate) fn named(names: &[OutputName], layout: &Layout) -> Result<Vec<usize>, TaskError> {
    let outputs = layout.outputs.len();
    let refuse = |message: String| {
        let help = format!(
            "the {outputs} outputs are counted from 0: task.npz.choices = [0, 1], for instance; [] for none"
        );
        TaskError::config("choices", message).with_help(help)
    };
    let mut choices = Vec::new();
    for name in names {
        let index = name
            .index(layout)
            .ok_or_else(|| refuse(format!("{name} is not an output of the trials")))?;
        if choices.contains(&index) {
            return Err(refuse(format!("{name} is named twice")));
        }
        choices.push(index);
    }
    if choices.len() == 1 && layout.target == TargetKind::Classes {
        return Err(refuse(format!(
            "{} alone is not a choice: labels are classes, of which one is chosen",
            names[0]
        )));
    }
    Ok(choices)
}

/// Returns true if the condition of a trial is not among those of `no_answer`.
pub(crate) fn has_answer(trial: &Trial, no_answer: &BTreeMap<String, Vec<f64>>) -> bool {
    !trial.condition.iter().any(|(name, value)| {
        no_answer.get(name).is_some_and(|values| {
            values
                .iter()
                .any(|none| value_bits(*none) == value_bits(*value))
        })
    })
}

/// Sets the correct choice of each trial from its target; trials with a condition in `no_answer` have none.
pub(crate) fn set_answers(
    trials: &mut [Trial],
    choices: &[usize],
    no_answer: &BTreeMap<String, Vec<f64>>,
) {
    for trial in trials {
        trial.correct = target_answer(trial, choices).filter(|_| has_answer(trial, no_answer));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use ctrnn_files::{Array, npz};
    use ctrnn_tasks::{BuildContext, Clock, Registry, Task};

    use super::*;
    use crate::trials::trials_from_file::{NpzConfig, TrialsFromFile};
    use ctrnn_config::InputPath;

    /// Builds a task from a file of trials with one input and one time step, these targets `[trial][output]`, and their
    /// numbers as `cond_k`.
    fn task(targets: &[&[f64]], config: NpzConfig) -> Result<TrialsFromFile, TaskError> {
        let n = targets.len();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("trials.npz");
        let arrays = BTreeMap::from([
            ("inputs".to_owned(), Array::f64(&[n, 1, 1], vec![0.0; n])),
            (
                "targets".to_owned(),
                Array::f64(&[n, 1, targets[0].len()], targets.concat()),
            ),
            (
                "cond_k".to_owned(),
                Array::f64(&[n], (0..n).map(|k| k as f64).collect()),
            ),
        ]);
        npz::write(&path, &arrays).unwrap();
        let config = NpzConfig {
            files: vec![InputPath(path)],
            ..config
        };
        let context = BuildContext {
            clock: Clock::new(20.0).unwrap(),
            seed: 1,
            base_dir: Path::new("."),
            registry: &Registry::new(),
            programs: ctrnn_tasks::Programs::NEVER,
            trained: None,
        };
        TrialsFromFile::read(&config, &context).map_err(|mut errors| errors.remove(0))
    }

    fn given(choices: &[OutputName]) -> NpzConfig {
        NpzConfig {
            choices: Some(choices.to_vec()),
            ..NpzConfig::default()
        }
    }

    /// Returns the number and the correct choice of each held-out trial.
    fn answers(task: &TrialsFromFile) -> Vec<(usize, Option<usize>)> {
        let set = task.trial_set().unwrap();
        (0..set.n_held_out())
            .map(|number| set.held_out(number))
            .map(|trial| (trial.condition[0].1 as usize, trial.correct))
            .collect()
    }

    /// Returns a configuration that holds out all but one of ten trials.
    fn most() -> NpzConfig {
        NpzConfig {
            validation_fraction: 0.9,
            ..NpzConfig::default()
        }
    }

    #[test]
    fn one_hot_targets_have_answers_but_ties_do_not() {
        let targets: Vec<&[f64]> = (0..10)
            .map(|k| [&[0.0, 1.0][..], &[1.0, 0.0], &[0.0, 0.0]][k % 3])
            .collect();
        let task = task(&targets, most()).unwrap();
        assert_eq!(task.layout().choices, [0, 1]);
        for (k, correct) in answers(&task) {
            assert_eq!(correct, [Some(1), Some(0), None][k % 3], "trial {k}");
        }
    }

    #[test]
    fn a_regression_has_no_answers() {
        let angles = (0..10).map(|k| f64::from(k).sin_cos());
        let targets: Vec<[f64; 2]> = angles.map(|(sin, cos)| [cos, sin]).collect();
        let targets: Vec<&[f64]> = targets.iter().map(|row| &row[..]).collect();
        let none = task(&targets, most()).unwrap();
        assert!(none.layout().choices.is_empty());
        assert_eq!(none.chance(), None);
        assert!(answers(&none).iter().all(|(_, correct)| correct.is_none()));
        let config = NpzConfig {
            validation_fraction: 0.9,
            ..given(&[
                OutputName::Index(0),
                OutputName::Name("output 1".to_owned()),
            ])
        };
        let asked = task(&targets, config).unwrap();
        for (k, correct) in answers(&asked) {
            let [cos, sin] = targets[k] else { panic!() };
            assert_eq!(correct, Some(usize::from(sin > cos)), "trial {k}");
        }
    }

    #[test]
    fn one_output_of_two_signs_has_answers() {
        let targets: Vec<&[f64]> = (0..10).map(|k| [&[1.0][..], &[-1.0]][k % 2]).collect();
        let task = task(&targets, most()).unwrap();
        assert_eq!((task.layout().choices, task.chance()), (vec![0], Some(0.5)));
        let trial = &task.trial_set().unwrap().held_out(0);
        let is_positive = trial.correct == Some(1);
        assert_eq!(task.is_correct(trial, &[0.2]), Some(is_positive));
        assert_eq!(task.is_correct(trial, &[-3.0]), Some(!is_positive));
        assert_eq!(task.is_correct(trial, &[0.0]), Some(false));
        let rule = task.correct_rule();
        assert_eq!(
            rule,
            "The choice is the sign of the output output 0 at the last time step that counts."
        );
    }

    /// Checks that graded targets of trials without an answer do not turn the others into a regression.
    #[test]
    fn trials_without_an_answer_are_not_looked_at() {
        let mut targets: Vec<&[f64]> = (0..10)
            .map(|k| [&[0.0, 1.0][..], &[1.0, 0.0]][k % 2])
            .collect();
        targets[4] = &[0.3, 0.7];
        let config = NpzConfig {
            no_answer: BTreeMap::from([("k".to_owned(), vec![4.0])]),
            ..most()
        };
        let task = task(&targets, config).unwrap();
        assert_eq!(task.layout().choices, [0, 1]);
        for (k, correct) in answers(&task) {
            assert_eq!(correct.is_none(), k == 4, "trial {k}");
        }
    }

    #[test]
    fn choices_are_outputs_named_once() {
        let targets: [&[f64]; 2] = [&[0.0, 1.0], &[1.0, 0.0]];
        let refused = |choices: &[OutputName]| task(&targets, given(choices)).unwrap_err().message;
        let (two, other) = (OutputName::Index(2), OutputName::Name("left".to_owned()));
        assert_eq!(refused(&[two]), "2 is not an output of the trials");
        assert_eq!(refused(&[other]), "\"left\" is not an output of the trials");
        let twice = [
            OutputName::Index(0),
            OutputName::Name("output 0".to_owned()),
        ];
        assert_eq!(refused(&twice), "\"output 0\" is named twice");
        assert!(
            task(&targets, given(&[]))
                .unwrap()
                .layout()
                .choices
                .is_empty()
        );
    }
}
