//! Sigmoid curves of choices: probability of a choice as a function of the evidence for it.

use ctrnn_random::{Key, Rng, Stream};
use ndarray::{Array1, Array2};

use crate::linear_algebra::solve;

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

    /// Computes the derivative `F'(z)`.
    fn slope(self, z: f64) -> f64 {
        match self {
            Self::Logistic => self.at(z) * self.at(-z),
            Self::Probit => density(z),
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
#[derive(Clone, Debug, PartialEq)]
pub struct SigmoidIntervals {
    /// Maximum-likelihood fit.
    pub fit: SigmoidFit,
    /// Fits of the bootstrap samples.
    pub samples: Vec<SigmoidFit>,
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
        let best = fits
            .into_iter()
            .max_by(|a, b| a.log_likelihood.total_cmp(&b.log_likelihood))?;
        Some(best.polished(levels, &bounds))
    }

    /// Refines a fit to the precision of the arithmetic by Fisher scoring: Newton steps with the expected information.
    /// A parameter at a bound, such as a lapse of 0, stays there while the likelihood would rise beyond it.
    fn polished(self, levels: &[Level], bounds: &Bounds) -> Self {
        const MOST_STEPS: usize = 100;
        let [low, high] = bounds.limits();
        let mut best = self;
        for _ in 0..MOST_STEPS {
            let at = best.parameters();
            let step = best.scoring_step(levels, [low, high]);
            if !step.iter().all(|x| x.is_finite()) {
                return best;
            }
            let tried = (0..20).map(|halvings| {
                let part = 0.5f64.powi(halvings);
                let moved =
                    std::array::from_fn(|k| (at[k] + part * step[k]).clamp(low[k], high[k]));
                best.with_parameters(moved, levels)
            });
            // At the maximum, the likelihood of equally good fits differs by rounding.
            let least = best.log_likelihood - 1e-14 * best.log_likelihood.abs();
            let Some(next) = tried.into_iter().find(|fit| fit.log_likelihood >= least) else {
                return best;
            };
            let is_at_rest = next
                .parameters()
                .iter()
                .zip(at)
                .all(|(new, old)| (new - old).abs() <= 1e-13 * old.abs());
            best = next;
            if is_at_rest {
                break;
            }
        }
        best
    }

    /// Computes the step of Fisher scoring; 0 for a parameter at a bound beyond which the likelihood would rise.
    fn scoring_step(&self, levels: &[Level], [low, high]: [[f64; 3]; 2]) -> Array1<f64> {
        let (mut gradient, mut information) = self.score(levels);
        let at = self.parameters();
        for k in 0..3 {
            let is_held =
                (at[k] <= low[k] && gradient[k] <= 0.0) || (at[k] >= high[k] && gradient[k] >= 0.0);
            if is_held {
                gradient[k] = 0.0;
                information.row_mut(k).fill(0.0);
                information.column_mut(k).fill(0.0);
                information[[k, k]] = 1.0;
            }
            // Two levels do not determine three parameters.
            information[[k, k]] *= 1.0 + 1e-9;
        }
        solve(information.view(), &gradient)
    }

    fn parameters(&self) -> [f64; 3] {
        [self.bias, self.width, self.lapse]
    }

    fn with_parameters(&self, [bias, width, lapse]: [f64; 3], levels: &[Level]) -> Self {
        let moved = Self {
            bias,
            width,
            lapse,
            ..*self
        };
        Self {
            log_likelihood: moved.likelihood(levels),
            ..moved
        }
    }

    /// Computes the gradient of the log-likelihood by bias, width and lapse, and its expected information.
    fn score(&self, levels: &[Level]) -> (Array1<f64>, Array2<f64>) {
        let (mut gradient, mut information) = (Array1::zeros(3), Array2::zeros((3, 3)));
        for level in levels.iter().filter(|level| level.x.is_finite()) {
            let z = (level.x - self.bias) / self.width;
            let slope = (1.0 - 2.0 * self.lapse) * self.shape.slope(z) / self.width;
            let slopes = [-slope, -slope * z, 1.0 - 2.0 * self.shape.at(z)];
            let p = self.at(level.x).clamp(LEAST_CHANCE, 1.0 - LEAST_CHANCE);
            let (n, variance) = (level.n as f64, p * (1.0 - p));
            for i in 0..3 {
                gradient[i] += (level.chosen as f64 - n * p) / variance * slopes[i];
                for j in 0..3 {
                    information[[i, j]] += n / variance * slopes[i] * slopes[j];
                }
            }
        }
        (gradient, information)
    }

    fn likelihood(&self, levels: &[Level]) -> f64 {
        let of = |level: &Level| {
            if !level.x.is_finite() {
                return 0.0; // such a level has no position on the curve
            }
            let p = self.at(level.x).clamp(LEAST_CHANCE, 1.0 - LEAST_CHANCE);
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
            samples,
        })
    }
}

/// Returns the percentiles 2.5 and 97.5.
pub(crate) fn percentiles(mut values: Vec<f64>) -> [f64; 2] {
    values.sort_by(f64::total_cmp);
    [0.025, 0.975].map(|part| {
        let place = (part * (values.len().saturating_sub(1)) as f64).round() as usize;
        values.get(place).copied().unwrap_or(f64::NAN)
    })
}

const MOST_LAPSE: f64 = 0.4;
/// Least distance of a probability from 0 and 1, which would have an infinite logarithm.
const LEAST_CHANCE: f64 = 1e-12;

/// Logarithm of the largest width, in half ranges of the evidence.
const MOST_LOG_WIDTH: f64 = 5.0;

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

    /// Returns the least and the largest bias, width and lapse.
    fn limits(&self) -> [[f64; 3]; 2] {
        let low = [self.centre - 2.0 * self.scale, self.least_width, 0.0];
        let most_width = self.least_width + self.scale * MOST_LOG_WIDTH.exp();
        [
            low,
            [self.centre + 2.0 * self.scale, most_width, MOST_LAPSE],
        ]
    }

    fn curve(&self, shape: Sigmoid, [bias, width, lapse]: [f64; 3]) -> SigmoidFit {
        SigmoidFit {
            shape,
            bias: self.centre + self.scale * bias.clamp(-2.0, 2.0),
            width: self.least_width + self.scale * width.clamp(-30.0, MOST_LOG_WIDTH).exp(),
            lapse: MOST_LAPSE / (1.0 + (-lapse).exp()),
            log_likelihood: 0.0,
        }
    }
}

/// Minimises a function of three parameters by the simplex method of Nelder & Mead (1965).
fn minimise(f: &dyn Fn([f64; 3]) -> f64, start: [f64; 3]) -> [f64; 3] {
    let corner = |k: usize| {
        let mut p = start;
        if k > 0 {
            p[k - 1] += if k == 1 { 0.3 } else { 1.0 };
        }
        (p, f(p))
    };
    let mut simplex: [Vertex; 4] = std::array::from_fn(corner);
    for _ in 0..400 {
        simplex.sort_by(|a, b| a.1.total_cmp(&b.1));
        if (simplex[3].1 - simplex[0].1).abs() < 1e-10 {
            break;
        }
        let next = moved_vertex(f, &simplex);
        if next.1 < simplex[3].1 {
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

/// A vertex of a simplex, with the value of the function there.
type Vertex = ([f64; 3], f64);

/// Reflects, expands or contracts the last vertex, which is the worst, through the centre of the others.
fn moved_vertex(f: &dyn Fn([f64; 3]) -> f64, simplex: &[Vertex; 4]) -> Vertex {
    let centre: [f64; 3] =
        std::array::from_fn(|k| (0..3).map(|i| simplex[i].0[k]).sum::<f64>() / 3.0);
    let worst = simplex[3];
    let tried = |t: f64| {
        let p = along(centre, worst.0, t);
        (p, f(p))
    };
    let reflected = tried(-1.0);
    if reflected.1 < simplex[0].1 {
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
    }
}

/// Returns the point at the fraction `t` of the way from `a` to `b`.
fn along(a: [f64; 3], b: [f64; 3], t: f64) -> [f64; 3] {
    std::array::from_fn(|k| a[k] + t * (b[k] - a[k]))
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

    /// The parameters are those that scipy finds (`tests/golden/make_psychometric.py`).
    #[test]
    fn fits_are_those_of_scipy() {
        let level = |(x, n, chosen): &(f64, usize, usize)| Level {
            x: *x,
            n: *n,
            chosen: *chosen,
        };
        let lapses = [
            (-0.5, 100, 4),
            (-0.25, 100, 7),
            (-0.1, 100, 14),
            (0.0, 100, 41),
            (0.1, 100, 79),
            (0.25, 100, 94),
            (0.5, 100, 97),
        ];
        let no_lapses = [
            (-8.0, 40, 0),
            (-4.0, 40, 2),
            (-2.0, 40, 9),
            (-1.0, 40, 14),
            (1.0, 40, 28),
            (2.0, 40, 34),
            (4.0, 40, 39),
            (8.0, 40, 40),
        ];
        let rates = [
            (9.0, 50, 2),
            (10.0, 50, 5),
            (11.0, 50, 12),
            (12.0, 50, 19),
            (13.0, 50, 33),
            (14.0, 50, 38),
            (15.0, 50, 47),
            (16.0, 50, 48),
        ];
        let observers: [(&[_], _, _, _); 6] = [
            (
                &lapses,
                Sigmoid::Logistic,
                [0.0195945671788, 0.0563594601486, 0.0428819199351],
                -238.565263597,
            ),
            (
                &lapses,
                Sigmoid::Probit,
                [0.0194685857788, 0.0924691215991, 0.0475071974126],
                -238.904512303,
            ),
            (
                &no_lapses,
                Sigmoid::Logistic,
                [-0.239423729711, 1.27797712918, 0.0],
                -101.537907039,
            ),
            (
                &no_lapses,
                Sigmoid::Probit,
                [-0.242601584591, 2.22499386315, 0.0],
                -101.27174154,
            ),
            (
                &rates,
                Sigmoid::Logistic,
                [12.4157343693, 1.10511451785, 0.0],
                -165.638797847,
            ),
            (
                &rates,
                Sigmoid::Probit,
                [12.4144388978, 1.80881609046, 0.011702954738],
                -165.573879913,
            ),
        ];
        for (observer, shape, expected, likelihood) in observers {
            let levels: Vec<Level> = observer.iter().map(level).collect();
            let found = SigmoidFit::fit(shape, &levels).unwrap();
            for (value, expected) in found.parameters().into_iter().zip(expected) {
                assert!((value - expected).abs() < 1e-9, "{found:?}: {expected}");
            }
            assert!(
                (found.log_likelihood - likelihood).abs() < 1e-8,
                "{found:?}"
            );
        }
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
