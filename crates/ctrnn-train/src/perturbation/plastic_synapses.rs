//! Short-term plasticity of synapses: their constants, and their states in the trials of a study.

use ctrnn_model::{CtrnnConfig, SynapseConstants};
use ndarray::{Array1, Array2, Array3, ArrayView2, Axis};

/// Constants of the synapses that leave each unit, for a time step.
#[derive(Clone, Debug, PartialEq)]
pub struct PlasticSynapses {
    constants: SynapseConstants<Vec<f64>>,
    /// True for the units whose utilisation outlives their resources, `tau_u > tau_x`.
    pub facilitate: Vec<bool>,
}

/// States of the synapses that leave each unit, `[.., unit]`.
#[derive(Clone, Debug, PartialEq)]
pub struct SynapseStates<T> {
    /// Utilisation `u`.
    pub utilisation: T,
    /// Resources `x`.
    pub resources: T,
}

/// Partial derivatives of the time step of the synapses of each unit by its rate r, utilisation u and resources x.
pub struct SynapseSlopes {
    /// Derivatives of the next utilisation; that by x is 0.
    pub utilisation: [Array1<f64>; 3],
    /// Derivatives of the next resources.
    pub resources: [Array1<f64>; 3],
    /// Derivatives of the transmitted rate.
    pub transmitted: [Array1<f64>; 3],
}

impl PlasticSynapses {
    /// Returns the synapses of a network; `None` without short-term plasticity.
    pub fn of(config: &CtrnnConfig) -> Option<Self> {
        let units = config.unit_synapses()?;
        Some(Self {
            constants: config.synapse_constants()?,
            facilitate: units.iter().map(|s| s.tau_u_ms > s.tau_x_ms).collect(),
        })
    }

    /// Returns the synapses of some units.
    #[must_use]
    pub fn of_units(&self, units: &[usize]) -> Self {
        let constants = self.constants.each_ref();
        Self {
            constants: constants.map(|values| units.iter().map(|&unit| values[unit]).collect()),
            facilitate: units.iter().map(|&unit| self.facilitate[unit]).collect(),
        }
    }

    /// Returns the states at which synapses rest while the rates are constant, with `e` the spikes of a time step at rate r and `g_u`, `g_x`
    /// the fractions `dt / tau`:
    ///
    /// ```text
    /// u = U (g_u + e) / (g_u + e U)        x = g_x / (g_x + e u)
    /// ```
    pub fn at_rest(&self, rates: &Array1<f64>) -> SynapseStates<Array1<f64>> {
        let rest = |i: usize| {
            let c = self.constants.each_ref().map(|values| values[i]);
            let emitted = c.spikes * rates[i];
            let u = c.baseline * (c.utilisation_gain + emitted)
                / (c.utilisation_gain + emitted * c.baseline);
            (u, c.resources_gain / (c.resources_gain + emitted * u))
        };
        let (utilisation, resources): (Vec<f64>, Vec<f64>) = (0..rates.len()).map(rest).unzip();
        SynapseStates {
            utilisation: utilisation.into(),
            resources: resources.into(),
        }
    }

    /// Computes the derivatives by the rates of what synapses transmit that rest at these rates, `d(r u x)/dr`.
    pub fn slopes_at_rest(&self, rates: &Array1<f64>) -> Array1<f64> {
        let states = self.at_rest(rates);
        Array1::from_shape_fn(rates.len(), |i| {
            let c = self.constants.each_ref().map(|values| values[i]);
            let (r, u, x) = (rates[i], states.utilisation[i], states.resources[i]);
            let emitted = c.spikes * r;
            let sum = c.utilisation_gain + emitted * c.baseline;
            let of_u =
                c.spikes * c.baseline * c.utilisation_gain * (1.0 - c.baseline) / (sum * sum);
            let of_x = -x * x / c.resources_gain * (c.spikes * u + emitted * of_u);
            u * x + r * (of_u * x + u * of_x)
        })
    }

    /// Computes the derivatives of a time step from these rates and states. A state that is cut off at 0 or 1 has none.
    pub fn slopes(
        &self,
        rates: &Array1<f64>,
        states: &SynapseStates<Array1<f64>>,
    ) -> SynapseSlopes {
        let n = rates.len();
        let zeros = || [0; 3].map(|_| Array1::zeros(n));
        let mut slopes = SynapseSlopes {
            utilisation: zeros(),
            resources: zeros(),
            transmitted: zeros(),
        };
        for i in 0..n {
            let c = self.constants.each_ref().map(|values| values[i]);
            let (r, u, x) = (rates[i], states.utilisation[i], states.resources[i]);
            let (next_u, next_x) = self.next(i, r, u, x);
            let emitted = c.spikes * r;
            let of_u = [
                c.spikes * c.baseline * (1.0 - u),
                1.0 - c.utilisation_gain - emitted * c.baseline,
                0.0,
            ];
            let of_x = [
                -c.spikes * u * x,
                -emitted * x,
                1.0 - c.resources_gain - emitted * u,
            ];
            let kept = |next: f64| f64::from((0.0..=1.0).contains(&next));
            let (of_u, of_x) = (
                of_u.map(|d| d * kept(next_u)),
                of_x.map(|d| d * kept(next_x)),
            );
            let (next_u, next_x) = (next_u.clamp(0.0, 1.0), next_x.clamp(0.0, 1.0));
            for by in 0..3 {
                let own = if by == 0 { next_u * next_x } else { 0.0 };
                slopes.utilisation[by][i] = of_u[by];
                slopes.resources[by][i] = of_x[by];
                slopes.transmitted[by][i] = own + r * (of_u[by] * next_x + next_u * of_x[by]);
            }
        }
        slopes
    }

    /// Computes utilisation and resources of a unit after a time step that begins with this rate, before they are cut off.
    fn next(&self, unit: usize, rate: f64, u: f64, x: f64) -> (f64, f64) {
        let c = self.constants.each_ref().map(|values| values[unit]);
        let emitted = c.spikes * rate;
        let next_u = u + c.utilisation_gain * (c.baseline - u) + emitted * c.baseline * (1.0 - u);
        (next_u, x + c.resources_gain * (1.0 - x) - emitted * u * x)
    }

    /// Computes what synapses in these states transmit in a time step that begins with these rates, `r u' x'`.
    pub fn transmitted(
        &self,
        rates: &Array1<f64>,
        states: &SynapseStates<Array1<f64>>,
    ) -> Array1<f64> {
        Array1::from_shape_fn(rates.len(), |i| {
            let (u, x) = (states.utilisation[i], states.resources[i]);
            let (next_u, next_x) = self.next(i, rates[i], u, x);
            rates[i] * next_u.clamp(0.0, 1.0) * next_x.clamp(0.0, 1.0)
        })
    }

    /// Takes states `[trial, unit]` through a time step that begins with these rates, and returns what the synapses transmit in it,
    /// `r u' x'`.
    pub fn transmit(
        &self,
        rates: ArrayView2<f64>,
        states: &mut SynapseStates<Array2<f64>>,
    ) -> Array2<f64> {
        Array2::from_shape_fn(rates.dim(), |(b, i)| {
            let r = rates[[b, i]];
            let place = [b, i];
            let (u, x) = (states.utilisation[place], states.resources[place]);
            let (next_u, next_x) = self.next(i, r, u, x);
            states.utilisation[place] = next_u.clamp(0.0, 1.0);
            states.resources[place] = next_x.clamp(0.0, 1.0);
            r * states.utilisation[place] * states.resources[place]
        })
    }
}

impl SynapseStates<Array3<f64>> {
    /// Returns the states `[trial, unit]` of some trials at a time step.
    pub fn at(&self, t: usize, trials: &[usize]) -> SynapseStates<Array2<f64>> {
        let at = |all: &Array3<f64>| all.index_axis(Axis(1), t).select(Axis(0), trials);
        SynapseStates {
            utilisation: at(&self.utilisation),
            resources: at(&self.resources),
        }
    }

    /// Computes the efficacies `u x`.
    pub fn efficacy(&self) -> Array3<f64> {
        &self.utilisation * &self.resources
    }
}
