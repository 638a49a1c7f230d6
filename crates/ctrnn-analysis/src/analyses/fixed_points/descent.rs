//! Minimisation of q, from a start to a fixed or slow point.

use ndarray::{Array1, Array2};

use crate::Dynamics;
use crate::linear_algebra::solve;

/// Number of times that a Newton step is halved before a Levenberg-Marquardt step is taken instead.
const MOST_HALVINGS: usize = 5;
/// Number of such failures after which no more Newton steps are tried: the descent is then towards a slow point.
const MOST_FAILURES: usize = 3;
/// Damping beyond which no step makes q smaller.
const MOST_DAMPING: f64 = 1e12;

/// The dynamics under a held input.
#[derive(Clone, Copy)]
pub struct Problem<'a> {
    pub dynamics: &'a Dynamics,
    pub input_drive: &'a Array1<f64>,
}

/// A state, its residual `F(s) - s`, and `q = 1/2 |F(s) - s|^2`.
struct Iterate {
    state: Array1<f64>,
    residual: Array1<f64>,
    q: f64,
}

impl Problem<'_> {
    /// Descends from a start by Newton steps `J d = -(F - s)` with `J = dF/ds - I`, halved until q falls, and where that
    /// does not help by Levenberg-Marquardt steps `(J'J + lambda I) d = -J' (F - s)`, whose damping lambda grows until q
    /// falls. No step is longer than `longest`. Ends once q is below `goal`; returns the last state and its q.
    pub fn descend(
        &self,
        start: Array1<f64>,
        n_steps: usize,
        goal: f64,
        longest: f64,
    ) -> (Array1<f64>, f64) {
        let mut here = self.place(start);
        let (mut damping, mut n_failures) = (1e-3, 0);
        for _ in 0..n_steps {
            if here.q <= goal || damping > MOST_DAMPING {
                break;
            }
            let jacobian = self.jacobian(&here.state);
            if n_failures < MOST_FAILURES {
                if let Some(next) = self.newton(&here, &jacobian, longest) {
                    here = next;
                    continue;
                }
                n_failures += 1;
            }
            if let Some(next) = self.levenberg_marquardt(&here, &jacobian, &mut damping, longest) {
                here = next;
            }
        }
        (here.state, here.q)
    }

    fn place(&self, state: Array1<f64>) -> Iterate {
        let residual = self.dynamics.target(&state, self.input_drive) - &state;
        let q = half_square(&residual);
        Iterate { state, residual, q }
    }

    /// Computes the Jacobian of the residual, `dF/ds - I`.
    fn jacobian(&self, state: &Array1<f64>) -> Array2<f64> {
        let mut jacobian = self.dynamics.jacobian(state, self.input_drive);
        jacobian.diag_mut().mapv_inplace(|x| x - 1.0);
        jacobian
    }

    fn newton(&self, here: &Iterate, jacobian: &Array2<f64>, longest: f64) -> Option<Iterate> {
        let step = no_longer_than(longest, -solve(jacobian.view(), &here.residual));
        let halved = (0..=MOST_HALVINGS).map(|k| 0.5f64.powi(k as i32));
        let mut proposed = halved.map(|part| (part, self.place(&here.state + &(&step * part))));
        // A fall that is much smaller than the step promises leads to a point where J is singular.
        let found = proposed.find(|(part, next)| next.q <= here.q * (1.0 - 0.1 * part));
        found.map(|(_, next)| next)
    }

    fn levenberg_marquardt(
        &self,
        here: &Iterate,
        jacobian: &Array2<f64>,
        damping: &mut f64,
        longest: f64,
    ) -> Option<Iterate> {
        let normal = jacobian.t().dot(jacobian);
        let downhill = -jacobian.t().dot(&here.residual);
        let scale = normal.diag().mean().unwrap_or(1.0);
        while *damping <= MOST_DAMPING {
            let mut damped = normal.clone();
            damped.diag_mut().mapv_inplace(|x| x + *damping * scale);
            let step = no_longer_than(longest, solve(damped.view(), &downhill));
            let next = self.place(&here.state + &step);
            if next.q < here.q {
                *damping = (*damping * 0.1).max(1e-15);
                return Some(next);
            }
            *damping *= 10.0;
        }
        None
    }
}

fn no_longer_than(longest: f64, step: Array1<f64>) -> Array1<f64> {
    let length = (2.0 * half_square(&step)).sqrt();
    if length > longest {
        step * (longest / length)
    } else {
        step
    }
}

pub fn half_square(x: &Array1<f64>) -> f64 {
    0.5 * x.dot(x)
}
