//! Factors of a time step: decay, gain and noise scale, and the constants of synapses with short-term plasticity.

use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use burn_ndarray::{NdArray, NdArrayDevice};
use ctrnn_kernels::SynapseConstants;

use crate::parameters::host_tensor;
use crate::{CtrnnConfig, Synapse};

/// Factors of a sweep that depend on the time step and the noise, per unit `[N]`.
#[derive(Clone, Debug)]
pub(crate) struct StepFactors<T> {
    /// Decay: the fraction of a state that survives a time step.
    pub decay: T,
    /// Gain: the factor of the drive in a time step.
    pub gain: T,
    /// Noise scale: the factor of the standard normals of the pre-activation noise.
    pub noise_scale: T,
}

impl<B: Backend> StepFactors<Tensor<B, 1>> {
    /// Returns the factors for time constants `tau`, one or N, through which gradients flow.
    pub fn new(config: &CtrnnConfig, tau: Tensor<B, 1>) -> Self {
        let tau = tau.expand([config.n_units]);
        let gain = config.integrator.gain(config.dt_ms, tau);
        Self {
            decay: gain.clone().neg() + 1.0,
            noise_scale: config
                .noise
                .scale(config.form, config.integrator, gain.clone()),
            gain,
        }
    }

    /// Returns the factors as tensors on a device.
    pub fn on_device(factors: &StepFactors<TensorData>, device: &B::Device) -> Self {
        let moved = |values: &TensorData| host_tensor(values.clone(), device);
        Self {
            decay: moved(&factors.decay),
            gain: moved(&factors.gain),
            noise_scale: moved(&factors.noise_scale),
        }
    }
}

impl StepFactors<TensorData> {
    /// Returns the factors for time constants that are not trained, computed in double precision.
    pub fn fixed(config: &CtrnnConfig, tau_ms: &[f64]) -> Self {
        let tau_ms = TensorData::new(tau_ms.to_vec(), [tau_ms.len()]);
        let tau = host_tensor::<NdArray<f64>, 1>(tau_ms, &NdArrayDevice::default());
        let exact = StepFactors::new(config, tau);
        Self {
            decay: exact.decay.into_data(),
            gain: exact.gain.into_data(),
            noise_scale: exact.noise_scale.into_data(),
        }
    }
}

impl CtrnnConfig {
    /// Returns the constants of the synapses of each unit; `None` without short-term plasticity.
    pub fn unit_synapses(&self) -> Option<Vec<Synapse>> {
        let plasticity = self.short_term_plasticity.as_ref()?;
        let signs = self.unit_signs().unwrap_or_default();
        Some(plasticity.of_units(self.n_units, &signs))
    }

    /// Returns the constants of a time step of the synapses: fractions of the way that utilisation and resources return, by the
    /// integrator of the network, and the time step in seconds.
    pub fn synapse_constants(&self) -> Option<SynapseConstants<Vec<f64>>> {
        let synapses = self.unit_synapses()?;
        let gain = |tau_ms| self.integrator.gain_of(self.dt_ms, tau_ms);
        Some(SynapseConstants {
            baseline: synapses.iter().map(|s| s.baseline).collect(),
            utilisation_gain: synapses.iter().map(|s| gain(s.tau_u_ms)).collect(),
            resources_gain: synapses.iter().map(|s| gain(s.tau_x_ms)).collect(),
            spikes: vec![self.dt_ms / 1000.0; self.n_units],
        })
    }
}

/// Returns the constants of the synapses in a time step as tensors.
pub(crate) fn synapse_constants<B: Backend>(
    config: &CtrnnConfig,
    device: &B::Device,
) -> Option<SynapseConstants<Tensor<B, 1>>> {
    let constants = config.synapse_constants()?;
    Some(constants.map(|values| {
        let len = values.len();
        host_tensor(TensorData::new(values, [len]), device)
    }))
}
