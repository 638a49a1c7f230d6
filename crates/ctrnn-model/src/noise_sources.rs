//! Sources of the noise of a pass: off, drawn by address, or given; and the inputs with their noise.

use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use ctrnn_kernels::{DrawAddress, NoiseSource};
use ctrnn_random::{Key, Stream};

use crate::parameters::host_tensor;
use crate::recurrence::{NormalTensors, drawn, one_by_one};
use crate::{CtrnnConfig, Noise, NoiseAddress};

/// Returns the source of the draws of `stream` for a layer.
fn source<B: Backend>(
    noise: &Noise<B>,
    (stream, layer): (Stream, u16),
    given: Option<&Tensor<B, 3>>,
) -> NormalTensors<B> {
    match noise {
        Noise::Off => NoiseSource::None,
        Noise::Drawn(address) => NoiseSource::Drawn(draws(stream, layer, *address)),
        Noise::Given { .. } => match given {
            Some(normals) => NoiseSource::Given(normals.clone().swap_dims(0, 1)),
            None => NoiseSource::None,
        },
    }
}

fn draws(stream: Stream, layer: u16, address: NoiseAddress) -> DrawAddress {
    DrawAddress::new(
        Key::new(address.seed, stream, layer.into()),
        address.step,
        address.first_trial,
    )
}

/// Draws the normals of every kind of noise that a network has, for `trials` trials of `steps` time steps.
pub(crate) fn all_drawn<B: Backend>(
    config: &CtrnnConfig,
    noise: &Noise<B>,
    [trials, steps]: [usize; 2],
    device: &B::Device,
) -> Noise<B> {
    let of = |stream, width| match source::<B>(noise, (stream, config.layer), None) {
        NoiseSource::Drawn(draws) if width > 0 => {
            let normals = drawn(draws, [steps, trials, width], None, device);
            Some(normals.swap_dims(0, 1))
        }
        _ => None,
    };
    let (levels, n) = (&config.noise, config.n_units);
    let is_heard = |level: f64| level > 0.0;
    Noise::Given {
        preactivation: (!levels.preactivation.is_silent())
            .then(|| of(Stream::Eps, n))
            .flatten(),
        postactivation: is_heard(levels.postactivation)
            .then(|| of(Stream::Xi, n))
            .flatten(),
        input: is_heard(levels.input)
            .then(|| of(Stream::InputNoise, config.n_inputs))
            .flatten(),
    }
}

/// Returns the source of the normals of `eps`, multiplied by the factor of the covariance where there is one.
///
/// # Shapes
/// `shape` is `[T, B, N]`; `factor [N,N]` row by row.
pub(crate) fn preactivation<B: Backend>(
    config: &CtrnnConfig,
    noise: &Noise<B>,
    factor: Option<&[f64]>,
    shape: [usize; 3],
    device: &B::Device,
) -> NormalTensors<B> {
    if config.noise.preactivation.is_silent() {
        return NoiseSource::None;
    }
    let given = match noise {
        Noise::Given { preactivation, .. } => preactivation.as_ref(),
        _ => None,
    };
    let source = source(noise, (Stream::Eps, config.layer), given);
    match (source, factor) {
        (source, None) => source,
        (NoiseSource::None, _) => NoiseSource::None,
        (NoiseSource::Drawn(draws), _) => NoiseSource::Given(drawn(draws, shape, factor, device)),
        (NoiseSource::Given(normals), Some(factor)) => {
            let [t, b, n] = shape;
            let factor = TensorData::new(factor.to_vec(), [n, n]);
            let factor: Tensor<B, 2> = host_tensor(factor, device);
            let correlated = normals.reshape([t * b, n]).matmul(factor.transpose());
            NoiseSource::Given(correlated.reshape(shape))
        }
    }
}

/// Returns the source of the normals of `xi`.
pub(crate) fn postactivation<B: Backend>(
    config: &CtrnnConfig,
    noise: &Noise<B>,
) -> NormalTensors<B> {
    if config.noise.postactivation == 0.0 {
        return NoiseSource::None;
    }
    let given = match noise {
        Noise::Given { postactivation, .. } => postactivation.as_ref(),
        _ => None,
    };
    source(noise, (Stream::Xi, config.layer), given)
}

/// Returns the inputs that the network sees: with baseline, noise and rectification.
///
/// ```text
/// u <- u + baseline + std n,   then max(u, 0) if rectified
/// ```
/// # Shapes
/// `inputs [T,B,I]`.
pub(crate) fn seen_inputs<B: Backend>(
    config: &CtrnnConfig,
    noise: &Noise<B>,
    inputs: Tensor<B, 3>,
) -> Tensor<B, 3> {
    let (shape, device) = (inputs.dims(), inputs.device());
    if shape.contains(&0) {
        return inputs;
    }
    let given = match noise {
        Noise::Given { input, .. } => input.as_ref(),
        _ => None,
    };
    let std = config.noise.input_std(config.integrator, config.dt_ms);
    let source = if std > 0.0 {
        source(noise, (Stream::InputNoise, config.layer), given)
    } else {
        NoiseSource::None
    };
    let normals = match source {
        NoiseSource::None => None,
        NoiseSource::Drawn(draws) => Some(drawn(draws, shape, None, &device)),
        NoiseSource::Given(normals) => Some(normals),
    };
    let raised = if config.input.baseline == 0.0 {
        inputs
    } else {
        inputs + config.input.baseline
    };
    let noisy = match normals {
        Some(normals) => raised + normals * std,
        None => raised,
    };
    if config.input.rectify {
        burn::tensor::activation::relu(noisy)
    } else {
        noisy
    }
}

/// Returns the noise that is added to the initial states `[B,N]`, if any.
pub(crate) fn of_initial_state<B: Backend>(
    config: &CtrnnConfig,
    noise: &Noise<B>,
    [trials, units]: [usize; 2],
    device: &B::Device,
) -> Option<Tensor<B, 2>> {
    let Noise::Drawn(address) = noise else {
        return None;
    };
    if config.noise.initial_state == 0.0 {
        return None;
    }
    let source = NormalTensors::<B>::Drawn(draws(Stream::InitialState, config.layer, *address));
    let normals = one_by_one(&source, [1, trials, units], device)?;
    Some(normals.reshape([trials, units]) * config.noise.initial_state)
}
