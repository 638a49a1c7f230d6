//! A fixed or slow point, and the linearisation around it.

use faer::c64;
use ndarray::{Array1, s};

use crate::Dynamics;
use crate::linear_algebra::{Modes, NotConverged, modes};

/// Number of leading modes whose eigenvectors are kept.
pub const N_MODES: usize = 3;

/// Time scale, in time constants of the network, above which a mode is marginal, neither growing nor decaying: weights
/// in single precision and the accuracy of training do not determine it more precisely.
const MARGINAL: f64 = 200.0;

/// A fixed or slow point of the dynamics, with the linearisation around it.
#[derive(Clone, Debug)]
pub struct FixedPoint {
    /// State `[N]`: potentials, or rates in the rate form.
    pub state: Array1<f64>,
    /// Residual `q = 1/2 |F(s) - s|^2`.
    pub q: f64,
    /// True if q is zero up to rounding; otherwise the point is slow.
    pub is_fixed: bool,
    /// Number of starts of the search that ended here.
    pub hits: usize,
    /// Number of growing modes, which is the number of unstable dimensions.
    pub n_unstable: usize,
    /// Number of marginal modes, with a time scale above 200 time constants.
    pub n_marginal: usize,
    /// Eigenvalues of the Jacobian of one time step in order of falling modulus, and the eigenvectors of the leading
    /// ones. With short-term plasticity it is that of units and synapses, and of the eigenvectors those entries are kept that belong to
    /// the units.
    pub modes: Modes,
}

impl FixedPoint {
    /// Linearises the dynamics around a state.
    ///
    /// # Errors
    /// [`NotConverged`] if the eigenvalues cannot be computed.
    pub fn new(
        dynamics: &Dynamics,
        input_drive: &Array1<f64>,
        state: Array1<f64>,
        [q, fixed_q]: [f64; 2],
    ) -> Result<Self, NotConverged> {
        let jacobian = dynamics.joint_jacobian(&state, None, input_drive);
        let mut modes = modes(jacobian.view(), N_MODES)?;
        for vector in modes.left.iter_mut().chain(&mut modes.right) {
            *vector = vector.slice(s![..state.len()]).to_owned();
        }
        let gain = dynamics.gain.mean().unwrap_or(1.0);
        let growth = |m: &c64| m.norm().ln() / gain;
        let count =
            |is: &dyn Fn(f64) -> bool| modes.values.iter().filter(|m| is(growth(m))).count();
        Ok(Self {
            q,
            is_fixed: q <= fixed_q,
            hits: 1,
            n_unstable: count(&|growth| growth > 1.0 / MARGINAL),
            n_marginal: count(&|growth| growth.abs() <= 1.0 / MARGINAL),
            modes,
            state,
        })
    }

    /// Returns true if every mode decays: all eigenvalues of a time step lie within the unit circle.
    pub fn is_stable(&self) -> bool {
        self.n_unstable == 0 && self.n_marginal == 0
    }

    /// Returns true if no mode grows, but some do not decay either, as along a line of fixed points.
    pub fn is_marginal(&self) -> bool {
        self.n_unstable == 0 && self.n_marginal > 0
    }
}
