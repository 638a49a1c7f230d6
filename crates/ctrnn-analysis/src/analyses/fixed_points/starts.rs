//! Starts of a search: visited states with noise, states spread beyond them, and midpoints of points found so far.

use ctrnn_model::{Activation, Form};
use ctrnn_random::Rng;
use ndarray::{Array1, Array2, ArrayView2, Axis};

use super::descent::half_square;
use super::point::FixedPoint;
use crate::Dynamics;

/// Least standard deviation of a unit, as a fraction of the mean over units.
const FLOOR: f64 = 0.1;
/// Number of visited states that are followed under the held input, and for how many time constants and time steps.
const N_FOLLOWED: usize = 8;
const FOLLOWED_TAUS: f64 = 100.0;
const FOLLOWED_STEPS: usize = 1000;
/// Distance moved in a time constant, as a fraction of the radius, below which a state has settled.
const SETTLED: f64 = 0.01;

/// The part of the state space that a search covers.
pub struct Region {
    /// Mean of the visited states, `[N]`.
    pub mean: Array1<f64>,
    /// Standard deviation of each unit over the visited states, with a floor, `[N]`.
    pub scale: Array1<f64>,
    /// Largest distance of a visited state from the mean; at least that of a typical start.
    pub radius: f64,
}

impl Region {
    /// Measures the region of some visited states. The floor of a unit's standard deviation is a tenth of the root mean
    /// square over units. If the states are all the same, as without inputs and noise, it is the standard deviation that
    /// rates spread over half of the range of the activation would cause: their own in the rate form, that of `W r` in
    /// the voltage form.
    pub fn of(dynamics: &Dynamics, visited: ArrayView2<f64>) -> Self {
        let n = dynamics.n_units();
        let mean = visited
            .mean_axis(Axis(0))
            .unwrap_or_else(|| Array1::zeros(n));
        let std = if visited.nrows() > 1 {
            visited.std_axis(Axis(0), 0.0)
        } else {
            Array1::zeros(n)
        };
        let whole = (std.dot(&std) / n as f64).sqrt();
        let rate = match dynamics.activation {
            Activation::Sigmoid => 0.25,
            _ => 0.5,
        };
        let least = match dynamics.form {
            Form::Rate => Array1::from_elem(n, rate),
            Form::Voltage => {
                let sums = (&dynamics.w_rc * &dynamics.w_rc).sum_axis(Axis(1));
                sums.mapv(|sum| rate * sum.sqrt().max(1.0))
            }
        };
        let is_spread = whole > 1e-3 * (least.dot(&least) / n as f64).sqrt();
        let scale = if is_spread {
            std.mapv(|s| s.max(FLOOR * whole))
        } else {
            least
        };
        let distances = visited
            .outer_iter()
            .map(|state| distance(&state.to_owned(), &mean));
        let typical = 2.0 * scale.dot(&scale).sqrt();
        let radius = distances.fold(typical, f64::max);
        Self {
            mean,
            scale,
            radius,
        }
    }

    /// Widens the region to some settled states.
    pub fn widen(&mut self, settled: &Array2<f64>) {
        for state in settled.outer_iter() {
            self.radius = self.radius.max(distance(&state.to_owned(), &self.mean));
        }
    }

    /// Tells whether a state is at most `reach` radii from the mean.
    pub fn holds(&self, state: &Array1<f64>, reach: f64) -> bool {
        distance(state, &self.mean) <= reach * self.radius
    }
}

/// Some visited states, followed without noise under the held input.
#[derive(Clone, Debug)]
pub struct Followed {
    /// Last states `[k, N]`.
    pub ends: Array2<f64>,
    /// True for each that has settled, up to a drift of a hundredth of the visited range in a time constant.
    pub has_settled: Vec<bool>,
    /// Time at which each left the surroundings of the visited states for good, in time steps, if it did.
    pub left_at: Vec<Option<usize>>,
    /// Distance of each from the mean of the visited states after every time step, in radii of these, `[time, k]`.
    pub distances: Array2<f64>,
}

impl Followed {
    /// Follows up to 8 of the visited states for 100 time constants, at most 1000 time steps; synapses with short-term plasticity start at
    /// rest.
    pub fn from(
        dynamics: &Dynamics,
        drive: &Array1<f64>,
        visited: ArrayView2<f64>,
        region: &Region,
        reach: f64,
    ) -> Self {
        let n = visited.nrows().min(N_FOLLOWED);
        let chosen: Vec<usize> = (0..n).map(|k| k * visited.nrows() / n).collect();
        let mut states = visited.select(Axis(0), &chosen);
        let mut synapses = dynamics.rested(&states);
        let slowest = dynamics.tau_ms.iter().copied().fold(0.0, f64::max);
        let n_steps = (FOLLOWED_TAUS * slowest / dynamics.dt_ms) as usize;
        let mut rows: Vec<Array1<f64>> = Vec::new();
        for _ in 0..n_steps.clamp(1, FOLLOWED_STEPS) {
            states = dynamics.next_of_all(&states, &mut synapses, drive);
            let from = |state: ndarray::ArrayView1<f64>| {
                distance(&state.to_owned(), &region.mean) / region.radius
            };
            rows.push(states.outer_iter().map(from).collect());
            let is_lost = |distance: &f64| !distance.is_finite() || *distance > 1e100;
            if rows.last().is_some_and(|row| row.iter().all(is_lost)) {
                break;
            }
        }
        let gain = dynamics.gain.mean().unwrap_or(1.0);
        let moved = dynamics.next_of_all(&states, &mut synapses, drive) - &states;
        let speed = |row: ndarray::ArrayView1<f64>| row.dot(&row).sqrt() / gain / region.radius;
        let has_settled = moved.outer_iter().map(|row| speed(row) < SETTLED);
        let left_at = |k: usize| {
            let is_near = |row: &Array1<f64>| row[k] <= reach;
            let last = rows.iter().rposition(is_near).map_or(0, |t| t + 1);
            (last < rows.len()).then_some(last)
        };
        Self {
            has_settled: has_settled.collect(),
            left_at: (0..n).map(left_at).collect(),
            distances: Array2::from_shape_fn((rows.len(), n), |(t, k)| rows[t][k]),
            ends: states,
        }
    }

    /// Returns the last states of those that have settled, `[k, N]`.
    pub fn settled(&self) -> Array2<f64> {
        let settled = (0..self.has_settled.len()).filter(|&k| self.has_settled[k]);
        self.ends.select(Axis(0), &settled.collect::<Vec<_>>())
    }

    /// Tells which of the states run away: they have left the surroundings of the visited states and do not settle.
    pub fn runs_away(&self, k: usize) -> bool {
        self.left_at[k].is_some() && !self.has_settled[k]
    }

    /// Returns the number of states that run away, and the time step at which the first left the surroundings of the
    /// visited ones; `None` if none does.
    pub fn divergence(&self) -> Option<(usize, usize)> {
        let away = || (0..self.has_settled.len()).filter(|&k| self.runs_away(k));
        let first = away().filter_map(|k| self.left_at[k]).min()?;
        Some((away().count(), first))
    }
}

/// State of a search before a round, from which the starts of the round are drawn.
pub struct Known<'a> {
    /// True before the first round.
    pub is_first: bool,
    /// Visited states `[n, N]`.
    pub visited: ArrayView2<'a, f64>,
    /// Ends of followed states that have settled, `[k, N]`.
    pub followed: ArrayView2<'a, f64>,
    /// Region of the search.
    pub region: &'a Region,
    /// Points found so far.
    pub points: &'a [FixedPoint],
    /// Standard deviation of the noise, as a multiple of that of each unit.
    pub noise: f64,
}

impl Known<'_> {
    /// Draws the `n` starts of a round. In the first one these are the ends of followed states and visited states;
    /// later a quarter are midpoints of points found so far. Of the others, half are visited states with noise, and
    /// half are spread around their mean, twice as far.
    pub fn draw(&self, n: usize, rng: &mut Rng) -> Vec<Array1<f64>> {
        (0..n).map(|k| self.start(k, rng)).collect()
    }

    fn start(&self, k: usize, rng: &mut Rng) -> Array1<f64> {
        match k % 4 {
            _ if self.is_first && k < self.followed.nrows() => self.followed.row(k).to_owned(),
            0 if self.is_first => self.visited_row(rng),
            0 | 1 if self.points.len() > 1 => {
                let centre = self.midpoint(rng);
                let size = if k.is_multiple_of(4) {
                    0.0
                } else {
                    0.1 * self.noise
                };
                self.noisy(centre, size, rng)
            }
            2 => self.noisy(self.region.mean.clone(), 2.0 * self.noise, rng),
            _ => {
                let row = self.visited_row(rng);
                self.noisy(row, self.noise, rng)
            }
        }
    }

    /// Draws one of the visited states.
    fn visited_row(&self, rng: &mut Rng) -> Array1<f64> {
        let row = rng.below(self.visited.nrows() as u32) as usize;
        self.visited.row(row).to_owned()
    }

    /// Adds noise of a size to a state.
    fn noisy(&self, centre: Array1<f64>, size: f64, rng: &mut Rng) -> Array1<f64> {
        let scale = &self.region.scale;
        centre + scale.mapv(|s| s * size * f64::from(rng.normal()))
    }

    /// Returns the midpoint of two different points.
    fn midpoint(&self, rng: &mut Rng) -> Array1<f64> {
        let n = self.points.len() as u32;
        let a = rng.below(n);
        let b = (a + 1 + rng.below(n - 1)) % n;
        let [a, b] = [a, b].map(|k| &self.points[k as usize].state);
        (a + b) / 2.0
    }
}

pub fn distance(a: &Array1<f64>, b: &Array1<f64>) -> f64 {
    (2.0 * half_square(&(a - b))).sqrt()
}
