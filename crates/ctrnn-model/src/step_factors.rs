//! Decay, gain and noise scale of a time step.

use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use burn_ndarray::{NdArray, NdArrayDevice};

use crate::CtrnnConfig;
use crate::parameters::host_tensor;

/// Factors of a sweep that depend on the time step and the noise, per unit `[N]`.
pub(crate) struct StepFactors<B: Backend> {
    /// Decay: the fraction of a state that survives a time step.
    pub decay: Tensor<B, 1>,
    /// Gain: the factor of the drive in a time step.
    pub gain: Tensor<B, 1>,
    /// Noise scale: the factor of the standard normals of the pre-activation noise.
    pub noise_scale: Tensor<B, 1>,
}

impl<B: Backend> StepFactors<B> {
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

    /// Returns the factors for time constants that are not trained, computed in double precision.
    pub fn fixed(config: &CtrnnConfig, tau_ms: &[f64], device: &B::Device) -> Self {
        let tau_ms = TensorData::new(tau_ms.to_vec(), [tau_ms.len()]);
        let tau = host_tensor(tau_ms, &NdArrayDevice::default());
        let exact = StepFactors::<NdArray<f64>>::new(config, tau);
        let moved = |x: Tensor<NdArray<f64>, 1>| host_tensor(x.into_data(), device);
        Self {
            decay: moved(exact.decay),
            gain: moved(exact.gain),
            noise_scale: moved(exact.noise_scale),
        }
    }
}
