//! Axes: their ranges and ticks.

use crate::text::short;

/// One axis of a panel.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Axis {
    /// Label with the quantity and its unit; empty for none.
    pub label: String,
    /// Range; that of the data if it is not set.
    pub range: Option<[f64; 2]>,
    /// Ticks of the axis.
    pub ticks: Ticks,
}

/// The ticks of an axis.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Ticks {
    /// Ticks at round numbers.
    #[default]
    Round,
    /// Ticks at these positions, with these labels.
    At(Vec<(f64, String)>),
    /// No ticks, and no line.
    None,
}

impl Axis {
    /// Creates an axis with this label.
    #[must_use]
    pub fn new(label: &str) -> Self {
        Self {
            label: label.to_owned(),
            ..Self::default()
        }
    }

    /// Creates an axis without label, ticks and line.
    #[must_use]
    pub fn hidden() -> Self {
        Self {
            ticks: Ticks::None,
            ..Self::default()
        }
    }

    /// Returns the axis with the range from `low` to `high`.
    #[must_use]
    pub fn with_range(self, low: f64, high: f64) -> Self {
        Self {
            range: Some([low, high]),
            ..self
        }
    }

    /// Returns the axis with these ticks.
    #[must_use]
    pub fn with_ticks(self, ticks: Ticks) -> Self {
        Self { ticks, ..self }
    }

    /// Returns positions and labels of the ticks on a drawable range; those outside of it are left out.
    pub(super) fn ticks_on(&self, range: [f64; 2]) -> Vec<(f64, String)> {
        // The tolerance keeps a tick that rounding moved just beyond an end.
        let is_on = |(at, _): &&(f64, String)| (-1e-9..=1.0 + 1e-9).contains(&fraction(*at, range));
        match &self.ticks {
            Ticks::Round => round_ticks(range),
            Ticks::At(ticks) => ticks.iter().filter(is_on).cloned().collect(),
            Ticks::None => Vec::new(),
        }
    }
}

impl Ticks {
    /// Returns the ticks of a logarithmic axis, whose positions are exponents: at most nine powers of ten; if there are
    /// fewer than three, also multiples of them, or round numbers if these are too far apart.
    #[must_use]
    pub fn logarithmic(range: [f64; 2]) -> Self {
        const MOST: i32 = 8;
        // Limits the range to powers of ten that double precision can represent.
        let range = drawable(range.map(|power| power.clamp(-300.0, 300.0)));
        let (low, high) = (range[0].min(range[1]), range[0].max(range[1]));
        let (first, last) = (low.floor() as i32, high.ceil() as i32);
        let every = (last - first) / MOST + 1;
        let is_seen = |x: f64| (low - 1e-9..=high + 1e-9).contains(&x);
        let places = |factors: &[f64]| -> Vec<(f64, String)> {
            let powers = (first.div_euclid(every)..=last.div_euclid(every)).map(|k| k * every);
            let all = powers.flat_map(|power| factors.iter().map(move |&factor| (factor, power)));
            let seen: Vec<(f64, i32)> = all
                .filter(|(factor, power)| is_seen(factor.log10() + f64::from(*power)))
                .collect();
            // All labels of an axis are of one kind.
            let is_short = seen.iter().all(|(_, power)| (-3..6).contains(power));
            let label = |(factor, power): (f64, i32)| {
                if is_short {
                    short(factor * 10f64.powi(power))
                } else {
                    format!("{factor}e{power}").replace('-', "−")
                }
            };
            let tick = |tick: (f64, i32)| (tick.0.log10() + f64::from(tick.1), label(tick));
            seen.into_iter().map(tick).collect()
        };
        let sets: [&[f64]; 3] = [
            &[1.0],
            &[1.0, 2.0, 5.0],
            &[1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0],
        ];
        let tried = sets.map(places);
        if let Some(enough) = tried.iter().find(|ticks| ticks.len() >= 3) {
            return Self::At(enough.clone());
        }
        let between = round_ticks(drawable([10f64.powf(low), 10f64.powf(high)]));
        Self::At(
            between
                .into_iter()
                .map(|(x, label)| (x.log10(), label))
                .filter(|(x, _)| is_seen(*x))
                .collect(),
        )
    }

    /// Returns ticks at the middle of rows or columns, with these labels.
    #[must_use]
    pub fn named(names: &[String]) -> Self {
        let places = (0..).map(|k| f64::from(k) + 0.5);
        Self::At(places.zip(names.iter().cloned()).collect())
    }

    /// Returns the numbers of the first and the last of `n` rows or columns, counted from 0, at their middles.
    #[must_use]
    pub fn first_and_last(n: usize) -> Self {
        let mut shown = vec![0, n.saturating_sub(1)];
        shown.dedup();
        let tick = |k: usize| (k as f64 + 0.5, k.to_string());
        Self::At(shown.into_iter().map(tick).collect())
    }
}

/// Returns the range of finite values, extended at both ends by the fraction `room`; [0, 1] without values.
pub(crate) fn range_of(values: impl IntoIterator<Item = f64>, room: f64) -> [f64; 2] {
    let finite = values.into_iter().filter(|x| x.is_finite());
    let [low, high] = finite.fold([f64::INFINITY, f64::NEG_INFINITY], |[low, high], x| {
        [low.min(x), high.max(x)]
    });
    if !are_apart([low, high]) {
        return drawable([low, high]);
    }
    let more = 2.0 * (room * (high / 2.0 - low / 2.0));
    [low - more, high + more].map(|end| end.clamp(f64::MIN, f64::MAX))
}

/// Returns the range from 0 to the largest of some magnitudes, or to 1 if they are all 0.
pub(crate) fn up_to(values: impl IntoIterator<Item = f64>) -> [f64; 2] {
    let largest = values
        .into_iter()
        .filter(|x| x.is_finite())
        .fold(0.0, f64::max);
    [0.0, if largest > 0.0 { largest } else { 1.0 }]
}

/// Returns a drawable range: its ends are finite and differ by more than rounding. A single value becomes the middle of
/// its range; without a finite end the range is [0, 1].
pub(crate) fn drawable(range: [f64; 2]) -> [f64; 2] {
    if are_apart(range) {
        return range;
    }
    let middle = match range.map(f64::is_finite) {
        [true, true] => range[0] / 2.0 + range[1] / 2.0,
        [true, false] => range[0],
        [false, true] => range[1],
        [false, false] => return [0.0, 1.0],
    };
    let room = f64::max(0.5, 0.05 * middle.abs());
    [middle - room, middle + room].map(|end| end.clamp(f64::MIN, f64::MAX))
}

fn are_apart([low, high]: [f64; 2]) -> bool {
    let half = (high / 2.0 - low / 2.0).abs();
    half.is_finite() && half > 1e-300 && half > 1e-12 * f64::max(low.abs(), high.abs())
}

/// Returns the relative position of a value on a drawable range: 0 at its first end, 1 at its second. Halving the
/// values avoids an overflow.
pub(crate) fn fraction(value: f64, [low, high]: [f64; 2]) -> f64 {
    (value / 2.0 - low / 2.0) / (high / 2.0 - low / 2.0)
}

/// Returns about four, at most ten ticks at multiples of 1, 2 or 5 times a power of ten, on a drawable range.
pub(crate) fn round_ticks(range: [f64; 2]) -> Vec<(f64, String)> {
    const MOST: f64 = 10.0;
    let (low, high) = (range[0].min(range[1]), range[0].max(range[1]));
    let rough = high / 4.0 - low / 4.0;
    let unit = 10f64.powf(rough.log10().floor());
    let step = match rough / unit {
        r if r < 1.5 => unit,
        r if r < 3.5 => 2.0 * unit,
        r if r < 7.5 => 5.0 * unit,
        _ => 10.0 * unit,
    };
    // The tolerance keeps a tick at an end in spite of rounding.
    let first = (low / step - 1e-9).ceil();
    let last = (high / step + 1e-9).floor();
    let n = (last - first + 1.0).clamp(0.0, MOST) as usize;
    let is_short = step > 0.999e-5 && f64::max(-low, high) < 1e7;
    let label = |value: f64| {
        if is_short {
            number(value, (-exponent(step)).max(0) as usize)
        } else {
            scientific(value, step)
        }
    };
    (0..n)
        .map(|k| (first + k as f64) * step)
        .filter(|value| value.is_finite())
        .map(|value| (value, label(value)))
        .collect()
}

/// Returns the power of ten of a number, with tolerance for a step slightly below one by rounding.
fn exponent(value: f64) -> i32 {
    (value.abs() * 1.000_001).log10().floor() as i32
}

/// Formats a number with the typographic minus sign.
fn number(value: f64, decimals: usize) -> String {
    format!("{value:.decimals$}").replace('-', "−")
}

/// Formats a number in scientific notation, with digits down to those of a step.
fn scientific(value: f64, step: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let digits = (exponent(value) - exponent(step)).clamp(0, 15) as usize;
    format!("{value:.digits$e}").replace('-', "−")
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
        assert_eq!(labels([1.0, 0.0]), labels([0.0, 1.0]), "upside down");
        assert_eq!(
            labels([0.0, 1e-9]),
            ["0", "2e−10", "4e−10", "6e−10", "8e−10", "1.0e−9"]
        );
        assert_eq!(labels([1e9, 1e9 + 4.0])[1], "1.000000001e9");
        assert_eq!(labels([-1e300, 1e300])[0], "−1.0e300");
    }

    /// A constant is in the middle of its axis, at any magnitude; a non-finite number has no position.
    #[test]
    fn every_range_can_be_drawn() {
        assert_eq!(range_of([], 0.1), [0.0, 1.0]);
        assert_eq!(range_of([f64::NAN, f64::INFINITY], 0.1), [0.0, 1.0]);
        assert_eq!(range_of([3.0, 3.0], 0.1), [2.5, 3.5]);
        assert_eq!(range_of([0.0, 10.0], 0.1), [-1.0, 11.0]);
        assert_eq!(range_of([f64::MAX, f64::MIN], 0.1), [f64::MIN, f64::MAX]);
        assert_eq!(drawable([5e-324, 0.0]), [-0.5, 0.5]);
        assert_eq!(drawable([4.0, f64::INFINITY]), [3.5, 4.5]);
        assert_eq!(drawable([8.0, 0.0]), [8.0, 0.0], "upside down");
        assert_eq!(fraction(0.0, drawable([f64::MIN, f64::MAX])), 0.5);
        for middle in [1.0, -7e4, 1e308] {
            let [low, high] = drawable([middle, middle * (1.0 + 1e-15)]);
            assert!(low < middle && middle < high && high.is_finite());
        }
    }

    #[test]
    fn ticks_of_a_logarithmic_axis() {
        let labels = |range| match Ticks::logarithmic(range) {
            Ticks::At(ticks) => ticks
                .into_iter()
                .map(|(_, label)| label)
                .collect::<Vec<_>>(),
            _ => Vec::new(),
        };
        assert_eq!(labels([-2.1, 0.1]), ["0.01", "0.1", "1"]);
        assert_eq!(labels([-1.1, -0.2]), ["0.1", "0.2", "0.5"]);
        assert_eq!(
            labels([-1.6, -0.9]),
            ["0.03", "0.04", "0.06", "0.08", "0.1"]
        );
        assert_eq!(
            labels([2.0, 2.004]),
            ["100.0", "100.2", "100.4", "100.6", "100.8"]
        );
        assert_eq!(
            labels([-9.0, 9.0]),
            ["1e−9", "1e−6", "1e−3", "1e0", "1e3", "1e6", "1e9"]
        );
        assert_eq!(labels([5.1, 6.2]), ["2e5", "5e5", "1e6"]);
        assert_eq!(labels([3.9, 5.1]), ["10000", "20000", "50000", "100000"]);
        for range in [
            [f64::NEG_INFINITY, 2.0],
            [1.0, f64::INFINITY],
            [f64::INFINITY, 0.0],
            [f64::NAN, 2.0],
            [f64::NAN, f64::NAN],
        ] {
            assert!((3..=9).contains(&labels(range).len()), "{range:?}");
        }
    }
}
