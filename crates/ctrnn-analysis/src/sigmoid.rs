//! Sigmoid curves of choices: probability of a choice as a function of the evidence for it.

use ctrnn_random::{Key, Rng, Stream};

/// Trials at one level of the evidence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Level {
    /// Signed evidence of the level.
    pub x: f64,
    /// Number of trials.
    pub n: usize,
    /// Number of trials in which the choice was made.
    pub chosen: usize,
}

impl Level {
    /// Returns the fraction of trials in which the choice was made.
    pub fn fraction(&self) -> f64 {
        self.chosen as f64 / self.n as f64
    }

    /// Returns the 95 % interval of Wilson (1927) for the probability of the choice.
    pub fn interval(&self) -> [f64; 2] {
        const Z: f64 = 1.959_964;
        let n = self.n.max(1) as f64;
        let p = self.chosen as f64 / n;
        let centre = p + Z * Z / (2.0 * n);
        let half = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
        [-1.0, 1.0].map(|side| (centre + side * half) / (1.0 + Z * Z / n))
    }
}

/// Shape of a psychometric function: a distribution function F with F(0) = 1/2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sigmoid {
    /// Logistic function `F(z) = 1 / (1 + exp(-z))`.
    Logistic,
    /// Normal distribution function `F(z) = Phi(z)`.
    Probit,
}

impl Sigmoid {
    /// Returns the name used in files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Logistic => "logistic",
            Self::Probit => "probit",
        }
    }

    fn at(self, z: f64) -> f64 {
        match self {
            Self::Logistic => 0.5 * (1.0 + (0.5 * z).tanh()),
            Self::Probit => normal_cdf(z),
        }
    }
}

/// Psychometric function `P(x) = lapse + (1 - 2 lapse) F((x - bias) / width)`: the probability of the choice at the
/// evidence x.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SigmoidFit {
    /// Shape F of the function.
    pub shape: Sigmoid,
    /// Bias: the evidence at which both choices are equally likely.
    pub bias: f64,
    /// Width (threshold): the increase of evidence that raises F from 1/2 to F(1), which is 0.73 (logistic) or 0.84
    /// (probit).
    pub width: f64,
    /// Lapse rate: the fraction of trials in which the choice does not follow the evidence, on either side.
    pub lapse: f64,
    /// Log-likelihood of the fit.
    pub log_likelihood: f64,
}

/// A fit with 95 % confidence intervals of its parameters: percentiles 2.5 and 97.5 of a parametric bootstrap.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SigmoidIntervals {
    /// Maximum-likelihood fit.
    pub fit: SigmoidFit,
    /// Interval of the bias; NaN, like the others, if no sample could be fitted.
    pub bias: [f64; 2],
    /// Interval of the width.
    pub width: [f64; 2],
    /// Interval of the lapse.
    pub lapse: [f64; 2],
}

impl SigmoidFit {
    /// Computes the probability `P(x)`.
    pub fn at(&self, x: f64) -> f64 {
        self.lapse + (1.0 - 2.0 * self.lapse) * self.shape.at((x - self.bias) / self.width)
    }

    /// Fits the curve by maximum likelihood, with a lapse of at most 0.4 and a width of at least a hundredth of the
    /// largest distance of neighbouring levels. Returns `None` with fewer than two levels, only one choice in all
    /// trials, or levels too far apart or too close for double precision.
    pub fn fit(shape: Sigmoid, levels: &[Level]) -> Option<Self> {
        let bounds = Bounds::of(levels)?;
        let is_made = |level: &Level| level.chosen > 0;
        let is_left = |level: &Level| level.chosen < level.n;
        if !levels.iter().any(is_made) || !levels.iter().any(is_left) {
            return None;
        }
        let start = |width: f64| {
            let minimum = minimise(
                &|p| -bounds.curve(shape, p).likelihood(levels),
                [0.0, width, -4.0],
            );
            bounds.curve(shape, minimum)
        };
        let fits = [-2.0, 0.0, 2.0].map(start).map(|curve| Self {
            log_likelihood: curve.likelihood(levels),
            ..curve
        });
        fits.into_iter()
            .max_by(|a, b| a.log_likelihood.total_cmp(&b.log_likelihood))
    }

    fn likelihood(&self, levels: &[Level]) -> f64 {
        let of = |level: &Level| {
            if !level.x.is_finite() {
                return 0.0; // such a level has no position on the curve
            }
            // A probability of exactly 0 or 1 would have an infinite logarithm.
            let p = self.at(level.x).clamp(1e-12, 1.0 - 1e-12);
            level.chosen as f64 * p.ln() + (level.n - level.chosen) as f64 * (1.0 - p).ln()
        };
        levels.iter().map(of).sum()
    }

    /// Fits the curve by maximum likelihood with confidence intervals: `n_samples` times, choices are drawn from the
    /// fit and fitted again; sample k has its own random address of `seed`.
    ///
    /// # References
    /// Wichmann & Hill (2001), The psychometric function: I and II.
    pub fn fit_with_intervals(
        shape: Sigmoid,
        levels: &[Level],
        n_samples: usize,
        seed: u64,
    ) -> Option<SigmoidIntervals> {
        let fit = Self::fit(shape, levels)?;
        let key = Key::new(seed, Stream::Eval, 1);
        let sample = |k: usize| {
            let mut rng = Rng::new(key, k as u64, 0);
            let drawn: Vec<Level> = levels
                .iter()
                .map(|level| {
                    let p = fit.at(level.x);
                    let chosen = (0..level.n).filter(|_| rng.uniform() < p).count();
                    Level { chosen, ..*level }
                })
                .collect();
            Self::fit(shape, &drawn)
        };
        let samples: Vec<Self> = (0..n_samples).filter_map(sample).collect();
        let interval = |of: fn(&Self) -> f64| percentiles(samples.iter().map(of).collect());
        Some(SigmoidIntervals {
            fit,
            bias: interval(|fit| fit.bias),
            width: interval(|fit| fit.width),
            lapse: interval(|fit| fit.lapse),
        })
    }
}

/// Returns the percentiles 2.5 and 97.5.
fn percentiles(mut values: Vec<f64>) -> [f64; 2] {
    values.sort_by(f64::total_cmp);
    [0.025, 0.975].map(|part| {
        let place = (part * (values.len().saturating_sub(1)) as f64).round() as usize;
        values.get(place).copied().unwrap_or(f64::NAN)
    })
}

const MOST_LAPSE: f64 = 0.4;

/// Mapping from the unbounded parameters of the search to those of the curve.
struct Bounds {
    /// Half of the range of the evidence.
    scale: f64,
    centre: f64,
    least_width: f64,
}

impl Bounds {
    fn of(levels: &[Level]) -> Option<Self> {
        let mut xs: Vec<f64> = levels
            .iter()
            .filter(|level| level.n > 0 && level.x.is_finite())
            .map(|level| level.x)
            .collect();
        xs.sort_by(f64::total_cmp);
        xs.dedup();
        let (first, last) = (*xs.first()?, *xs.last()?);
        let widest = xs
            .windows(2)
            .map(|pair| pair[1] - pair[0])
            .fold(0.0, f64::max);
        let scale = last / 2.0 - first / 2.0;
        (1e-290..1e290).contains(&scale).then_some(Self {
            scale,
            centre: last / 2.0 + first / 2.0,
            least_width: widest / 100.0,
        })
    }

    fn curve(&self, shape: Sigmoid, [bias, width, lapse]: [f64; 3]) -> SigmoidFit {
        SigmoidFit {
            shape,
            bias: self.centre + self.scale * bias.clamp(-2.0, 2.0),
            width: self.least_width + self.scale * width.clamp(-30.0, 5.0).exp(),
            lapse: MOST_LAPSE / (1.0 + (-lapse).exp()),
            log_likelihood: 0.0,
        }
    }
}

/// Minimises a function of three parameters by the simplex method of Nelder & Mead (1965).
fn minimise(f: &dyn Fn([f64; 3]) -> f64, start: [f64; 3]) -> [f64; 3] {
    let mut simplex: Vec<([f64; 3], f64)> = (0..4)
        .map(|k| {
            let mut p = start;
            if k > 0 {
                p[k - 1] += if k == 1 { 0.3 } else { 1.0 };
            }
            (p, f(p))
        })
        .collect();
    let along = |a: [f64; 3], b: [f64; 3], t: f64| -> [f64; 3] {
        std::array::from_fn(|k| a[k] + t * (b[k] - a[k]))
    };
    for _ in 0..400 {
        simplex.sort_by(|a, b| a.1.total_cmp(&b.1));
        if (simplex[3].1 - simplex[0].1).abs() < 1e-10 {
            break;
        }
        let centre: [f64; 3] =
            std::array::from_fn(|k| (0..3).map(|i| simplex[i].0[k]).sum::<f64>() / 3.0);
        let worst = simplex[3];
        let tried = |t: f64| {
            let p = along(centre, worst.0, t);
            (p, f(p))
        };
        let reflected = tried(-1.0);
        let next = if reflected.1 < simplex[0].1 {
            let expanded = tried(-2.0);
            if expanded.1 < reflected.1 {
                expanded
            } else {
                reflected
            }
        } else if reflected.1 < simplex[2].1 {
            reflected
        } else {
            tried(if reflected.1 < worst.1 { -0.5 } else { 0.5 })
        };
        if next.1 < worst.1 {
            simplex[3] = next;
            continue;
        }
        let best = simplex[0].0;
        for vertex in &mut simplex[1..] {
            let p = along(best, vertex.0, 0.5);
            *vertex = (p, f(p));
        }
    }
    simplex.sort_by(|a, b| a.1.total_cmp(&b.1));
    simplex[0].0
}

/// Computes `Phi(z)` to 1e-15: the series of Marsaglia (2004) near 0, a continued fraction in the tails.
pub(crate) fn normal_cdf(z: f64) -> f64 {
    if z.abs() > 6.0 {
        let x = z.abs();
        let fraction = (1..40).rev().fold(x, |tail, k| x + f64::from(k) / tail);
        let tail = density(x) / fraction;
        return if z > 0.0 { 1.0 - tail } else { tail };
    }
    let (mut term, mut sum) = (z, z);
    for k in 1..200 {
        term *= z * z / f64::from(2 * k + 1);
        sum += term;
        if term.abs() < 1e-17 * sum.abs() {
            break;
        }
    }
    0.5 + sum * density(z)
}

fn density(z: f64) -> f64 {
    (-0.5 * z * z).exp() / (2.0 * std::f64::consts::PI).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn synthetic(truth: &SigmoidFit, n: usize, seed: u64) -> Vec<Level> {
        let mut rng = Rng::new(Key::new(seed, Stream::Eval, 0), 0, 0);
        let xs = [
            -0.5, -0.25, -0.12, -0.06, -0.03, 0.0, 0.03, 0.06, 0.12, 0.25, 0.5,
        ];
        let level = |x: f64| Level {
            x,
            n,
            chosen: (0..n).filter(|_| rng.uniform() < truth.at(x)).count(),
        };
        xs.map(level).to_vec()
    }

    #[test]
    fn known_parameters_lie_in_their_intervals() {
        for (shape, seed) in [(Sigmoid::Logistic, 1), (Sigmoid::Probit, 2)] {
            let truth = SigmoidFit {
                shape,
                bias: 0.02,
                width: 0.08,
                lapse: 0.05,
                log_likelihood: 0.0,
            };
            let levels = synthetic(&truth, 500, seed);
            let found = SigmoidFit::fit_with_intervals(shape, &levels, 200, 7).unwrap();
            for (value, interval, most) in [
                (truth.bias, found.bias, 0.03),
                (truth.width, found.width, 0.05),
                (truth.lapse, found.lapse, 0.06),
            ] {
                assert!(
                    interval[0] <= value && value <= interval[1],
                    "{value} {interval:?}"
                );
                assert!(interval[1] - interval[0] < most, "{interval:?} says little");
            }
            assert!(found.fit.log_likelihood >= truth.likelihood(&levels));
        }
    }

    /// Expects 34 of 36 intervals at 95 %, from six observers of each shape, to contain the true value.
    #[test]
    fn intervals_hold_the_truth_as_often_as_they_say() {
        let mut n_held = 0;
        for (shape, seed) in
            (0..12).map(|k| ([Sigmoid::Logistic, Sigmoid::Probit][k % 2], k as u64))
        {
            let truth = SigmoidFit {
                shape,
                bias: 0.01 * (seed as f64 - 6.0),
                width: 0.05 + 0.01 * seed as f64,
                lapse: 0.04,
                log_likelihood: 0.0,
            };
            let levels = synthetic(&truth, 200, 100 + seed);
            let found = SigmoidFit::fit_with_intervals(shape, &levels, 100, seed).unwrap();
            let pairs = [
                (truth.bias, found.bias),
                (truth.width, found.width),
                (truth.lapse, found.lapse),
            ];
            let held = |(value, [low, high]): &(f64, [f64; 2])| low <= value && value <= high;
            n_held += pairs.iter().filter(|pair| held(pair)).count();
        }
        assert!(n_held >= 31, "{n_held} of 36");
    }

    /// Three of four and one of four, symmetric about 0: the logistic curve with bias 0 passes through 3/4 at ln 3
    /// widths.
    #[test]
    fn two_levels_are_met_exactly() {
        let level = |x, chosen| Level { x, n: 4000, chosen };
        let found =
            SigmoidFit::fit(Sigmoid::Logistic, &[level(-1.0, 1000), level(1.0, 3000)]).unwrap();
        assert!(found.bias.abs() < 1e-3, "{found:?}");
        assert!((found.at(1.0) - 0.75).abs() < 1e-3, "{found:?}");
        assert!(SigmoidFit::fit(Sigmoid::Logistic, &[level(1.0, 10)]).is_none());
        let never = [level(-1.0, 0), level(1.0, 0)];
        assert!(SigmoidFit::fit(Sigmoid::Logistic, &never).is_none());
    }

    /// Compared with tables of the normal distribution; Wilson's interval of 8 of 10 is 0.490 to 0.943.
    #[test]
    fn distributions_by_the_book() {
        for (z, p) in [
            (0.0, 0.5),
            (1.0, 0.841_344_746_068_543),
            (-1.959_963_984_540_054, 0.025),
            (-7.0, 1.279_812_543_885_8e-12),
        ] {
            assert!(
                (normal_cdf(z) - p).abs() < 1e-12 * p.max(1e-3),
                "{z} {}",
                normal_cdf(z)
            );
        }
        let [low, high] = Level {
            x: 0.0,
            n: 10,
            chosen: 8,
        }
        .interval();
        assert!((low - 0.490).abs() < 1e-3 && (high - 0.943).abs() < 1e-3);
    }
}
