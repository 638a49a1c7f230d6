//! Differences between two resolved configurations, and the keys that a resumed run may change.

use std::path::Path;

use toml::{Table, Value};

use crate::diagnostic::{Code, ConfigErrors, Diagnostic};
use crate::overrides::is_within;

/// A key whose value differs between two configurations; a side without the key is `None`.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// The full path of the key.
    pub key: String,
    /// The value on the left, or in the run that is resumed.
    pub left: Option<Value>,
    /// The value on the right, or as now requested.
    pub right: Option<Value>,
}

impl Difference {
    /// Returns the value on the left as text, or "absent".
    pub fn left_word(&self) -> String {
        word(self.left.as_ref())
    }

    /// Returns the value on the right as text, or "absent".
    pub fn right_word(&self) -> String {
        word(self.right.as_ref())
    }
}

fn word(value: Option<&Value>) -> String {
    value.map_or("absent".to_owned(), Value::to_string)
}

/// Returns the keys that differ between two resolved configurations, sorted; lists are compared as a whole.
pub fn differences(left: &Table, right: &Table) -> Vec<Difference> {
    let mut found = Vec::new();
    collect("", left, right, &mut found);
    found
}

fn collect(table: &str, left: &Table, right: &Table, found: &mut Vec<Difference>) {
    let mut keys: Vec<&String> = left.keys().chain(right.keys()).collect();
    keys.sort();
    keys.dedup();
    for key in keys {
        let path = crate::schema::join(table, key);
        match (left.get(key), right.get(key)) {
            (Some(Value::Table(left)), Some(Value::Table(right))) => {
                collect(&path, left, right, found);
            }
            (left, right) if left == right => {}
            (left, right) => found.push(Difference {
                key: path,
                left: left.cloned(),
                right: right.cloned(),
            }),
        }
    }
}

/// The keys that a resumed run may change; a table includes all of its keys.
pub const CHANGEABLE_ON_RESUME: [&str; 7] = [
    "train.steps",
    "train.schedule.steps",
    "train.stop",
    "train.divergence",
    "checkpoint",
    "validate",
    "device",
];

/// Checks that a resumed run changes only the keys that it may; the remedy suggests `other` as the folder of a new run.
///
/// # Errors
/// One problem for each differing key that must not change.
pub fn check_resume(before: &Table, now: &Table, other: &Path) -> Result<(), ConfigErrors> {
    let allowed = |key: &str| {
        let mut changeable = CHANGEABLE_ON_RESUME.iter();
        changeable.any(|may| is_within(key, may))
    };
    let fixed: Vec<_> = differences(before, now)
        .into_iter()
        .filter(|d| !allowed(&d.key))
        .map(|d| fixed_key(&d, other))
        .collect();
    if fixed.is_empty() {
        Ok(())
    } else {
        Err(ConfigErrors(fixed))
    }
}

fn fixed_key(found: &Difference, other: &Path) -> Diagnostic {
    let message = format!(
        "{} was {} when this run began and cannot become {}",
        found.key,
        found.left_word(),
        found.right_word()
    );
    let keys = CHANGEABLE_ON_RESUME.join(", ");
    Diagnostic::new(Code::FixedKey, message).help(format!(
        "a resumed run may change {keys}; for anything else begin a run in a folder of its own: train with --run-dir {}",
        other.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &str) -> Table {
        text.parse().unwrap()
    }

    #[test]
    fn differences_are_found_on_both_sides_and_at_any_depth() {
        let left = table("seed = 1\n[model]\nn_units = 32\nbetas = [1, 2]");
        let right = table("seed = 1\n[model]\nbetas = [1, 3]\n[train]\nsteps = 5");
        let found = differences(&left, &right);
        let keys: Vec<&str> = found.iter().map(|d| d.key.as_str()).collect();
        assert_eq!(keys, ["model.betas", "model.n_units", "train"]);
        assert_eq!(
            (&found[1].left, &found[1].right),
            (&Some(Value::Integer(32)), &None)
        );
    }

    #[test]
    fn a_resumed_run_may_train_longer_but_not_be_another_one() {
        let before = table(
            "[train]\nsteps = 5\nbatch_size = 8\n[validate]\ntrials = 9\n[device]\nthreads = 0",
        );
        let longer = table(
            "[train]\nsteps = 50\nbatch_size = 8\nstop = { metric = 'val.loss' }\n[validate]\ntrials = 8\n[device]\nthreads = 2",
        );
        let other = Path::new("runs/smoke-s1-batch_size16");
        assert_eq!(check_resume(&before, &longer, other), Ok(()));
        let fixed = table(
            "[train]\nsteps = 50\nsteps_more = 1\nbatch_size = 16\n[validate]\ntrials = 9\n[device]\nthreads = 0",
        );
        insta::assert_snapshot!(check_resume(&before, &fixed, other).unwrap_err(), @"
        error[C018]: train.batch_size was 8 when this run began and cannot become 16
        help: a resumed run may change train.steps, train.schedule.steps, train.stop, train.divergence, checkpoint, validate, device; for anything else begin a run in a folder of its own: train with --run-dir runs/smoke-s1-batch_size16

        error[C018]: train.steps_more was absent when this run began and cannot become 1
        help: a resumed run may change train.steps, train.schedule.steps, train.stop, train.divergence, checkpoint, validate, device; for anything else begin a run in a folder of its own: train with --run-dir runs/smoke-s1-batch_size16
        ");
    }
}
