//! Sources of the noise of a pass: off, drawn by address, or given; and the inputs with their noise.

use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use ctrnn_kernels::{DrawAddress, NoiseSource};
use ctrnn_random::{Key, Stream};

use crate::parameters::host_tensor;
use crate::recurrence::{NormalTensors, drawn, one_by_one};
use crate::{CtrnnConfig, Noise, NoiseAddress};

/// Returns the source of the draws of `stream` for a layer, in a pass with normals of `shape` `[T,B,*]`.
fn source<B: Backend>(
    noise: &Noise<B>,
    (stream, layer): (Stream, u16),
    given: Option<&Tensor<B, 3>>,
    shape: [usize; 3],
    device: &B::Device,
) -> NormalTensors<B> {
    match noise {
        Noise::Off => NoiseSource::None,
        Noise::Drawn(address) => {
            let draws = draws(stream, layer, *address);
            match skipped(*address) {
                0 => NoiseSource::Drawn(draws),
                skipped => NoiseSource::Given(drawn_after(skipped, draws, shape, None, device)),
            }
        }
        Noise::Given { .. } => match given {
            Some(normals) => NoiseSource::Given(normals.clone().swap_dims(0, 1)),
            None => NoiseSource::None,
        },
    }
}

/// Returns the address of the draws from the last multiple of four time steps on, for which they are made together.
fn draws(stream: Stream, layer: u16, address: NoiseAddress) -> DrawAddress {
    DrawAddress {
        first_time_block: (address.first_time_step / DrawAddress::TIMES) as u32,
        ..DrawAddress::new(
            Key::new(address.seed, stream, layer.into()),
            address.step,
            address.first_trial,
        )
    }
}

/// Returns the number of time steps between the first draw at an address and its first time step.
const fn skipped(address: NoiseAddress) -> usize {
    address.first_time_step % DrawAddress::TIMES
}

/// Draws normals `[T,B,*]` without those of the first time steps.
fn drawn_after<B: Backend>(
    skipped: usize,
    draws: DrawAddress,
    [steps, trials, width]: [usize; 3],
    factor: Option<&[f64]>,
    device: &B::Device,
) -> Tensor<B, 3> {
    let all = drawn(draws, [skipped + steps, trials, width], factor, device);
    match skipped {
        0 => all,
        skipped => all.narrow(0, skipped, steps),
    }
}

/// Draws the normals of every kind of noise that a network has, for `trials` trials of `steps` time steps.
pub(crate) fn all_drawn<B: Backend>(
    config: &CtrnnConfig,
    noise: &Noise<B>,
    [trials, steps]: [usize; 2],
    device: &B::Device,
) -> Noise<B> {
    let of = |stream, width| match noise {
        Noise::Drawn(address) if width > 0 => {
            let draws = draws(stream, config.layer, *address);
            let shape = [steps, trials, width];
            let normals = drawn_after::<B>(skipped(*address), draws, shape, None, device);
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
        Noise::Drawn(address) if factor.is_some() => {
            let draws = draws(Stream::Eps, config.layer, *address);
            let normals = drawn_after(skipped(*address), draws, shape, factor, device);
            return NoiseSource::Given(normals);
        }
        _ => None,
    };
    let source = source(noise, (Stream::Eps, config.layer), given, shape, device);
    match (source, factor) {
        (NoiseSource::Given(normals), Some(factor)) => {
            let [t, b, n] = shape;
            let factor = TensorData::new(factor.to_vec(), [n, n]);
            let factor: Tensor<B, 2> = host_tensor(factor, device);
            let correlated = normals.reshape([t * b, n]).matmul(factor.transpose());
            NoiseSource::Given(correlated.reshape(shape))
        }
        (source, _) => source,
    }
}

/// Returns the source of the normals of `xi`; `shape` is `[T, B, N]`.
pub(crate) fn postactivation<B: Backend>(
    config: &CtrnnConfig,
    noise: &Noise<B>,
    shape: [usize; 3],
    device: &B::Device,
) -> NormalTensors<B> {
    if config.noise.postactivation == 0.0 {
        return NoiseSource::None;
    }
    let given = match noise {
        Noise::Given { postactivation, .. } => postactivation.as_ref(),
        _ => None,
    };
    source(noise, (Stream::Xi, config.layer), given, shape, device)
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
        source(
            noise,
            (Stream::InputNoise, config.layer),
            given,
            shape,
            &device,
        )
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
