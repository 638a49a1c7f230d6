//! Mean and spread over networks.

use crate::statistics::mean_and_std;
use crate::text::short;

/// Mean over networks, with the spread between them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// Number of networks with a finite value.
    pub n: usize,
    /// Mean; NaN without any.
    pub mean: f64,
    /// Standard deviation with n - 1 in the denominator; NaN for fewer than two.
    pub deviation: f64,
}

/// Quantiles 0.975 of Student's t distribution for 1 to 30 degrees of freedom.
const T: [f64; 30] = [
    12.706_205, 4.302_653, 3.182_446, 2.776_445, 2.570_582, 2.446_912, 2.364_624, 2.306_004,
    2.262_157, 2.228_139, 2.200_985, 2.178_813, 2.160_369, 2.144_787, 2.131_450, 2.119_905,
    2.109_816, 2.100_922, 2.093_024, 2.085_963, 2.079_614, 2.073_873, 2.068_658, 2.063_899,
    2.059_539, 2.055_529, 2.051_831, 2.048_407, 2.045_230, 2.042_272,
];

impl Spread {
    /// Computes mean and spread of the finite values.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let known: Vec<f64> = values.into_iter().filter(|x| x.is_finite()).collect();
        let (mean, deviation) = mean_and_std(&known);
        Self {
            n: known.len(),
            mean,
            deviation: if known.len() > 1 { deviation } else { f64::NAN },
        }
    }

    /// Returns the 95 % confidence interval of the mean over networks, by Student's t distribution; NaN for fewer than two.
    pub fn interval(&self) -> [f64; 2] {
        let half = t_quantile(self.n.saturating_sub(1)) * self.deviation / (self.n as f64).sqrt();
        [self.mean - half, self.mean + half]
    }
}

/// Formats `mean ± deviation`, or the value of a single network.
impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.n {
            0 | 1 => f.write_str(&short(self.mean)),
            _ => write!(f, "{} ± {}", short(self.mean), short(self.deviation)),
        }
    }
}

/// Returns the quantile 0.975 of Student's t distribution; above 30 degrees of freedom by the expansion of Cornish and Fisher, which is exact to
/// seven digits there.
fn t_quantile(degrees: usize) -> f64 {
    const Z: f64 = 1.959_963_985;
    match degrees {
        0 => f64::NAN,
        1..=30 => T[degrees - 1],
        _ => {
            let v = degrees as f64;
            let (z3, z5, z7, z9) = (Z.powi(3), Z.powi(5), Z.powi(7), Z.powi(9));
            let terms = [
                Z,
                (z3 + Z) / 4.0,
                (5.0 * z5 + 16.0 * z3 + 3.0 * Z) / 96.0,
                (3.0 * z7 + 19.0 * z5 + 17.0 * z3 - 15.0 * Z) / 384.0,
                (79.0 * z9 + 776.0 * z7 + 1482.0 * z5 - 1920.0 * z3 - 945.0 * Z) / 92160.0,
            ];
            terms.iter().rev().fold(0.0, |sum, term| sum / v + term)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The mean of 1, 2 and 6 is 3 and their variance (4 + 1 + 9) / 2 = 7; t(0.975, 2) = 4.302653 and sqrt(7 / 3) = 1.527525.
    #[test]
    fn mean_spread_and_interval_by_hand() {
        let found = Spread::of([1.0, f64::NAN, 2.0, 6.0]);
        assert_eq!(
            (found.n, found.mean, found.deviation),
            (3, 3.0, 7f64.sqrt())
        );
        let [low, high] = found.interval();
        assert!((low - (3.0 - 6.572_411)).abs() < 1e-5 && (high - 9.572_411).abs() < 1e-5);
        assert_eq!(found.to_string(), "3 ± 2.65");
        let one = Spread::of([4.0]);
        assert!(one.deviation.is_nan() && one.interval()[0].is_nan());
        assert_eq!(one.to_string(), "4");
    }

    /// scipy.stats.t.ppf(0.975, [31, 60, 200]) = 2.039513446, 2.000297822, 1.971896224.
    #[test]
    fn the_expansion_continues_the_table() {
        for (degrees, exact) in [
            (31, 2.039_513_446),
            (60, 2.000_297_822),
            (200, 1.971_896_224),
        ] {
            assert!((t_quantile(degrees) - exact).abs() < 1e-7, "{degrees}");
        }
    }
}
