//! Meanings of conditions: quantities with their units, and names of values.

/// The meaning of a condition's values, for axes, legends and reports.
#[derive(Clone, Debug, PartialEq)]
pub enum Meaning {
    /// A quantity.
    Quantity(Quantity),
    /// Values that only distinguish trials, each with its name.
    Names(Vec<(f64, String)>),
    /// An index that has a meaning only together with another condition, such as the number of a condition within a
    /// task of a mixture.
    Index,
}

/// A quantity as figures show it.
#[derive(Clone, Debug, PartialEq)]
pub struct Quantity {
    /// Label, such as "coherence".
    pub label: String,
    /// Unit, such as "%" or "Hz"; empty for a number without unit.
    pub unit: String,
    /// Number of units in a condition's value of 1: 100 for a fraction that is shown in per cent.
    pub factor: f64,
}

impl Quantity {
    /// Returns the text of an axis: the label, with the unit in parentheses.
    #[must_use]
    pub fn axis(&self) -> String {
        if self.unit.is_empty() {
            self.label.clone()
        } else {
            format!("{} ({})", self.label, self.unit)
        }
    }
}

impl Meaning {
    /// Creates the meaning of a quantity.
    #[must_use]
    pub fn quantity(label: &str, unit: &str) -> Self {
        Self::Quantity(Quantity {
            label: label.to_owned(),
            unit: unit.to_owned(),
            factor: 1.0,
        })
    }

    /// Creates the meaning of a fraction that is shown in per cent.
    #[must_use]
    pub fn percent(label: &str) -> Self {
        Self::Quantity(Quantity {
            label: label.to_owned(),
            unit: "%".to_owned(),
            factor: 100.0,
        })
    }

    /// Creates the meaning of the values 0, 1, ... with these names.
    #[must_use]
    pub fn names(names: &[&str]) -> Self {
        let numbered = names.iter().enumerate();
        Self::Names(
            numbered
                .map(|(k, &name)| (k as f64, name.to_owned()))
                .collect(),
        )
    }

    /// Creates the meaning of a side: -1 is left, 1 is right.
    #[must_use]
    pub fn sides() -> Self {
        Self::Names(vec![(-1.0, "left".to_owned()), (1.0, "right".to_owned())])
    }

    /// Infers the meaning from the name of a condition: `catch` marks catch trials; an ending `_ms`, `_hz`, `_deg` or
    /// `_cm` is a unit; anything else is a number.
    #[must_use]
    pub fn of_name(condition: &str) -> Self {
        if condition == "catch" {
            return Self::names(&["no catch trial", "catch trial"]);
        }
        let units = [("_ms", "ms"), ("_hz", "Hz"), ("_deg", "deg"), ("_cm", "cm")];
        let of_unit = |(ending, unit): (&str, &'static str)| {
            let label = condition.strip_suffix(ending)?;
            Some((label, unit))
        };
        let (label, unit) = units
            .into_iter()
            .find_map(of_unit)
            .unwrap_or((condition, ""));
        Self::quantity(&label.replace('_', " "), unit)
    }
}

/// A condition that shows one of two cues, or both together, so that the combination can be compared with the optimal
/// one.
#[derive(Clone, Debug, PartialEq)]
pub struct Cues {
    /// Name of the condition.
    pub condition: String,
    /// Its values with a single cue.
    pub single: [f64; 2],
    /// Its value with both cues.
    pub both: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_units() {
        for (name, axis) in [
            ("first_hz", "first (Hz)"),
            ("delay_ms", "delay (ms)"),
            ("sample_deg", "sample (deg)"),
            ("load", "load"),
        ] {
            let Meaning::Quantity(found) = Meaning::of_name(name) else {
                panic!("{name} is a quantity");
            };
            assert_eq!(found.axis(), axis);
        }
        let catch = Meaning::names(&["no catch trial", "catch trial"]);
        assert_eq!(Meaning::of_name("catch"), catch);
    }
}
