//! Search for fixed and slow points of the dynamics.

use ndarray::{Array1, Array2, ArrayView1, ArrayView2};
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Dynamics;
use crate::linear_algebra::{Eigen, NotConverged, eigen, solve};

/// Settings of the search for fixed points.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Search {
    /// Number of gradient-descent steps on q, which move a state into the basin of a point.
    pub gradient_steps: usize,
    /// Largest number of Levenberg-Marquardt (damped Newton) steps, which follow the gradient descent.
    pub newton_steps: usize,
    /// Largest q of a fixed point.
    pub fixed_q: f64,
    /// Largest q of a slow point; points with a larger q are dropped.
    pub slow_q: f64,
    /// Euclidean distance below which points are duplicates.
    pub distance: f64,
    /// Largest distance of a point from the mean of the starts, as a multiple of that of the furthest start.
    pub reach: f64,
}

impl Default for Search {
    fn default() -> Self {
        Self {
            gradient_steps: 100,
            newton_steps: 100,
            fixed_q: 1e-20,
            slow_q: 1e-6,
            distance: 1e-3,
            reach: 3.0,
        }
    }
}

impl Search {
    /// Searches from every row of `starts [n, N]` for a point with `F(s, u) = s`, under a constant input given as
    /// `input_drive = W_in u + b`. Returns distinct points: fixed ones before slow ones, each in ascending order of q.
    ///
    /// ```text
    /// q(s) = 1/2 |F(s, u) - s|^2
    /// ```
    ///
    /// is minimised by gradient descent, then by Newton steps `(J'J + lambda I) d = -J' (F - s)` with `J = dF/ds - I`, whose damping
    /// lambda grows until a step makes q smaller.
    ///
    /// # Errors
    /// [`NotConverged`] if the eigenvalues at a point cannot be computed.
    ///
    /// # References
    /// Sussillo & Barak (2013), Opening the black box; Levenberg (1944); Marquardt (1963).
    pub fn run(
        &self,
        dynamics: &Dynamics,
        input_drive: &Array1<f64>,
        starts: ArrayView2<f64>,
    ) -> Result<Vec<FixedPoint>, NotConverged> {
        let problem = Problem {
            dynamics,
            input_drive,
        };
        let rows: Vec<ArrayView1<f64>> = starts.outer_iter().collect();
        let minimised: Vec<(Array1<f64>, f64)> = rows
            .par_iter()
            .map(|start| {
                let near = problem.descend(start.to_owned(), self.gradient_steps);
                problem.newton(near, self)
            })
            .collect();
        let is_in_reach = within_reach(starts, self.reach);
        let mut found: Vec<(Array1<f64>, f64)> = minimised
            .into_iter()
            .filter(|(state, q)| *q <= self.slow_q && is_in_reach(state))
            .collect();
        found.sort_by(|(_, a), (_, b)| a.total_cmp(b));
        let distinct = distinct(found, self.distance);
        let point = |(state, q): &(Array1<f64>, f64)| {
            Ok(FixedPoint {
                q: *q,
                is_fixed: *q <= self.fixed_q,
                modes: eigen(dynamics.step_jacobian(state, input_drive).view())?,
                state: state.clone(),
            })
        };
        distinct.par_iter().map(point).collect()
    }
}

/// A fixed or slow point of the dynamics, with the linearisation around it.
#[derive(Clone, Debug)]
pub struct FixedPoint {
    /// State `[N]`: potentials, or rates in the rate form.
    pub state: Array1<f64>,
    /// Residual `q = 1/2
    /// F(s) - s
    /// ^2`.
    pub q: f64,
    /// True if q is zero up to rounding; otherwise the point is slow.
    pub is_fixed: bool,
    /// Eigenvalues of the Jacobian of one time step, in order of falling modulus, and the modes.
    pub modes: Eigen,
}

/// Distance of the modulus of an eigenvalue from 1 below which its mode is marginal, neither growing nor decaying:
/// weights in single precision and the accuracy of training do not determine it more precisely.
const MARGINAL: f64 = 1e-3;

impl FixedPoint {
    /// Returns true if every mode decays: all eigenvalues of a time step lie within the unit circle.
    pub fn is_stable(&self) -> bool {
        self.n_unstable() == 0 && self.n_marginal() == 0
    }

    /// Returns true if no mode grows, but some do not decay either, as along a line of fixed points.
    pub fn is_marginal(&self) -> bool {
        self.n_unstable() == 0 && self.n_marginal() > 0
    }

    /// Returns the number of growing modes, which is the number of unstable dimensions.
    pub fn n_unstable(&self) -> usize {
        self.count(|modulus| modulus > 1.0 + MARGINAL)
    }

    /// Returns the number of marginal modes, with an eigenvalue modulus of 1 to within 0.001.
    pub fn n_marginal(&self) -> usize {
        self.count(|modulus| (modulus - 1.0).abs() <= MARGINAL)
    }

    fn count(&self, is: impl Fn(f64) -> bool) -> usize {
        let moduli = self.modes.values.iter().map(|z| z.re.hypot(z.im));
        moduli.filter(|modulus| is(*modulus)).count()
    }
}

struct Problem<'a> {
    dynamics: &'a Dynamics,
    input_drive: &'a Array1<f64>,
}

impl Problem<'_> {
    /// Computes `F(s) - s`.
    fn residual(&self, state: &Array1<f64>) -> Array1<f64> {
        self.dynamics.target(state, self.input_drive) - state
    }

    /// Computes its Jacobian `dF/ds - I`.
    fn jacobian(&self, state: &Array1<f64>) -> Array2<f64> {
        let mut jacobian = self.dynamics.jacobian(state, self.input_drive);
        jacobian.diag_mut().mapv_inplace(|x| x - 1.0);
        jacobian
    }

    /// Runs gradient descent on q with an adaptive step: a step that would raise q is halved, after a successful one
    /// the next may be larger.
    fn descend(&self, mut state: Array1<f64>, n_steps: usize) -> Array1<f64> {
        let mut q = half_square(&self.residual(&state));
        let mut rate = 0.1;
        for _ in 0..n_steps {
            let gradient = self.jacobian(&state).t().dot(&self.residual(&state));
            let proposed = &state - &(&gradient * rate);
            let next = half_square(&self.residual(&proposed));
            if next < q {
                (state, q) = (proposed, next);
                rate *= 1.3;
            } else {
                rate *= 0.5;
            }
        }
        state
    }

    fn newton(&self, mut state: Array1<f64>, search: &Search) -> (Array1<f64>, f64) {
        let mut residual = self.residual(&state);
        let mut q = half_square(&residual);
        let mut damping = 1e-3;
        for _ in 0..search.newton_steps {
            // Converged up to rounding, or no step reduces q any further.
            if q < 1e-30 || damping > 1e12 {
                break;
            }
            let jacobian = self.jacobian(&state);
            let normal = jacobian.t().dot(&jacobian);
            let downhill = -jacobian.t().dot(&residual);
            let scale = normal.diag().mean().unwrap_or(1.0);
            loop {
                let mut damped = normal.clone();
                damped.diag_mut().mapv_inplace(|x| x + damping * scale);
                let proposed = &state + &solve(damped.view(), &downhill);
                let next = self.residual(&proposed);
                let next_q = half_square(&next);
                if next_q < q {
                    (state, residual, q) = (proposed, next, next_q);
                    damping = (damping * 0.1).max(1e-15);
                    break;
                }
                damping *= 10.0;
                if damping > 1e12 {
                    break;
                }
            }
        }
        (state, q)
    }
}

fn half_square(x: &Array1<f64>) -> f64 {
    0.5 * x.dot(x)
}

/// Removes states closer than `distance` to a preferred one; the states are given in order of preference.
fn distinct(states: Vec<(Array1<f64>, f64)>, distance: f64) -> Vec<(Array1<f64>, f64)> {
    let mut kept: Vec<(Array1<f64>, f64)> = Vec::new();
    for (state, q) in states {
        let is_new = |(other, _): &(Array1<f64>, f64)| {
            2.0 * half_square(&(other - &state)) >= distance * distance
        };
        if kept.iter().all(is_new) {
            kept.push((state, q));
        }
    }
    kept
}

/// Returns a predicate that is true for states at most `reach` times as far from the mean of the starts as the furthest
/// start, whose distance counts as at least 1, because the starts may coincide.
fn within_reach(starts: ArrayView2<f64>, reach: f64) -> impl Fn(&Array1<f64>) -> bool {
    let mean = starts.mean_axis(ndarray::Axis(0)).unwrap_or_default();
    let distance = {
        let mean = mean.clone();
        move |state: ArrayView1<f64>| (2.0 * half_square(&(&state - &mean))).sqrt()
    };
    let furthest = starts.outer_iter().map(&distance).fold(0.0, f64::max);
    move |state| distance(state.view()) <= reach * furthest.max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dynamics::tests::map;
    use ctrnn_model::{Activation, Form};
    use ctrnn_random::{Key, Rng, Stream};

    fn starts(n: usize, n_units: usize, scale: f64) -> Array2<f64> {
        let mut rng = Rng::new(Key::new(3, Stream::Eval, 0), 0, 0);
        Array2::from_shape_simple_fn((n, n_units), || scale * f64::from(rng.normal()))
    }

    /// `h' = tanh(w h)` with w = 2 has the fixed points 0, unstable with eigenvalue 2, and +-h* with h* = tanh(2 h*) =
    /// 0.957504, stable with eigenvalue 2 (1 - h*^2). Two such uncoupled units have the nine pairs.
    #[test]
    fn the_nine_points_of_two_bistable_units() {
        let w = Array2::from_diag_elem(2, 2.0);
        for form in [Form::Rate, Form::Voltage] {
            let dynamics = map(w.clone(), Activation::Tanh, form);
            let none = Array1::zeros(2);
            let scale = if form == Form::Rate { 1.0 } else { 2.0 };
            let found = Search::default()
                .run(&dynamics, &none, starts(200, 2, scale).view())
                .unwrap();
            assert_eq!(found.len(), 9, "{form:?}");
            for point in &found {
                let residual = dynamics.target(&point.state, &none) - &point.state;
                assert!(point.is_fixed && residual.iter().all(|x| x.abs() < 1e-9));
                let at_zero = dynamics
                    .rates(&point.state)
                    .iter()
                    .filter(|h| h.abs() < 0.5)
                    .count();
                assert_eq!(point.n_unstable(), at_zero);
                for h in dynamics.rates(&point.state) {
                    assert!(
                        h.abs() < 1e-9 || (h.abs() - 0.957_504_024).abs() < 1e-8,
                        "{h}"
                    );
                }
            }
            assert_eq!(found.iter().filter(|point| point.is_stable()).count(), 4);
            let stable = found.iter().find(|point| point.is_stable()).unwrap();
            let expected = 2.0 * (1.0 - 0.957_504_024f64.powi(2));
            assert!((stable.modes.values[0].re - expected).abs() < 1e-6);
        }
    }

    /// A linear network without drive has one fixed point, the origin, where its eigenvalues are those of the weights.
    #[test]
    fn a_linear_network_rests_at_the_origin() {
        let w = ndarray::array![[0.5, -0.9], [0.9, 0.5]];
        let dynamics = map(w, Activation::Linear, Form::Voltage);
        let found = Search::default()
            .run(&dynamics, &Array1::zeros(2), starts(20, 2, 3.0).view())
            .unwrap();
        assert_eq!(found.len(), 1);
        assert!(found[0].state.iter().all(|v| v.abs() < 1e-9));
        assert!(!found[0].is_stable(), "|0.5 + 0.9 i| = 1.03");
        assert!((found[0].modes.values[0].im.abs() - 0.9).abs() < 1e-9);
    }

    /// `h' = h` in two of three dimensions: every point of a plane is fixed and marginal within the plane. A saddle
    /// with a marginal direction is unstable.
    #[test]
    fn a_plane_of_fixed_points_is_marginal() {
        let found = |third: f64| {
            let w = Array2::from_diag(&ndarray::array![1.0, 1.0 + 1e-7, third]);
            let dynamics = map(w, Activation::Linear, Form::Voltage);
            let starts = starts(40, 3, 1.0);
            Search::default()
                .run(&dynamics, &Array1::zeros(3), starts.view())
                .unwrap()
        };
        let stable_beside = found(0.5);
        assert!(stable_beside.len() > 30, "{}", stable_beside.len());
        assert!(
            stable_beside
                .iter()
                .all(|point| point.is_marginal() && !point.is_stable())
        );
        assert!(stable_beside.iter().all(|point| point.n_marginal() == 2));
        for point in found(2.0) {
            assert!(!point.is_stable() && !point.is_marginal());
            assert_eq!((point.n_unstable(), point.n_marginal()), (1, 2));
        }
    }

    /// `h' = h - eps`: no point is fixed, every point is slow with q = eps^2 / 2.
    #[test]
    fn a_drifting_line_is_slow() {
        let mut dynamics = map(Array2::eye(1), Activation::Linear, Form::Voltage);
        dynamics.bias[0] = -1e-4;
        let drive = dynamics.bias.clone();
        let starts = starts(5, 1, 1.0);
        let found = Search::default()
            .run(&dynamics, &drive, starts.view())
            .unwrap();
        assert_eq!(found.len(), 5);
        assert!(
            found
                .iter()
                .all(|point| !point.is_fixed && (point.q - 5e-9).abs() < 1e-15)
        );
    }
}
