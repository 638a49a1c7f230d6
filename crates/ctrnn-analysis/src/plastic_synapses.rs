//! Short-term plasticity of synapses: their constants, and their states in the trials of a study.

use ctrnn_model::{CtrnnConfig, SynapseConstants};
use ndarray::{Array2, Array3, ArrayView2, Axis};

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

impl PlasticSynapses {
    /// Returns the synapses of a network; `None` without short-term plasticity.
    pub fn of(config: &CtrnnConfig) -> Option<Self> {
        let units = config.unit_synapses()?;
        Some(Self {
            constants: config.synapse_constants()?,
            facilitate: units.iter().map(|s| s.tau_u_ms > s.tau_x_ms).collect(),
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
            let c = self.constants.each_ref().map(|values| values[i]);
            let emitted = c.spikes * r;
            let next_u =
                u + c.utilisation_gain * (c.baseline - u) + emitted * c.baseline * (1.0 - u);
            let next_x = x + c.resources_gain * (1.0 - x) - emitted * u * x;
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
