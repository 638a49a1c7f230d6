//! Axes: their ranges and ticks.

/// One axis of a panel.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Axis {
    /// What it measures, with its unit; empty for none.
    pub label: String,
    /// From where to where; as far as the data go, if it is not said.
    pub range: Option<[f64; 2]>,
    /// Its ticks.
    pub ticks: Ticks,
}

/// The ticks of an axis.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Ticks {
    /// At round numbers.
    #[default]
    Round,
    /// At these places, with these labels.
    At(Vec<(f64, String)>),
    /// No ticks, and no line.
    None,
}

impl Axis {
    /// An axis with this label.
    #[must_use]
    pub fn new(label: &str) -> Self {
        Self {
            label: label.to_owned(),
            ..Self::default()
        }
    }

    /// Neither label nor ticks nor line.
    #[must_use]
    pub fn hidden() -> Self {
        Self {
            ticks: Ticks::None,
            ..Self::default()
        }
    }

    /// The same axis from `low` to `high`.
    #[must_use]
    pub fn with_range(self, low: f64, high: f64) -> Self {
        Self {
            range: Some([low, high]),
            ..self
        }
    }

    /// The same axis with these ticks.
    #[must_use]
    pub fn with_ticks(self, ticks: Ticks) -> Self {
        Self { ticks, ..self }
    }

    /// Places and labels of the ticks on a range.
    pub(super) fn ticks_on(&self, range: [f64; 2]) -> Vec<(f64, String)> {
        match &self.ticks {
            Ticks::Round => round_ticks(range),
            Ticks::At(ticks) => ticks.clone(),
            Ticks::None => Vec::new(),
        }
    }
}

/// About four ticks at multiples of 1, 2 or 5 times a power of ten.
fn round_ticks([low, high]: [f64; 2]) -> Vec<(f64, String)> {
    let rough = (high - low) / 4.0;
    if !(rough > 0.0 && rough.is_finite()) {
        return vec![(low, number(low, 0))];
    }
    let power = rough.log10().floor();
    let unit = 10f64.powf(power);
    let step = match rough / unit {
        r if r < 1.5 => unit,
        r if r < 3.5 => 2.0 * unit,
        r if r < 7.5 => 5.0 * unit,
        _ => 10.0 * unit,
    };
    let decimals = (-(step * 1.000_001).log10().floor()).max(0.0) as usize;
    let first = (low / step - 1e-9).ceil() as i64;
    let last = (high / step + 1e-9).floor() as i64;
    (first..=last)
        .map(|k| (k as f64 * step, number(k as f64 * step, decimals)))
        .collect()
}

/// With the minus sign of typography.
fn number(value: f64, decimals: usize) -> String {
    format!("{value:.decimals$}").replace('-', "−")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round() {
        let labels = |range| -> Vec<String> {
            round_ticks(range)
                .into_iter()
                .map(|(_, label)| label)
                .collect()
        };
        assert_eq!(
            labels([0.0, 1.0]),
            ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]
        );
        assert_eq!(
            labels([0.0, 1100.0]),
            ["0", "200", "400", "600", "800", "1000"]
        );
        assert_eq!(labels([-1.0, 1.0]), ["−1.0", "−0.5", "0.0", "0.5", "1.0"]);
        assert_eq!(labels([3.0, 3.0]), ["3"]);
    }
}
