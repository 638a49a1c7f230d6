//! External drive of the recurrence: inputs, bias and noise, for all time steps at once.

use cubecl::prelude::*;
use cubecl::server::Handle;

use super::buffers::SweepBuffers;
use super::launches::count;
use super::list::array;
use super::product::{Operand, Product, product};
use super::tile::elementwise;
use crate::Form;

/// Largest number of inputs that are summed where the drive is made; more are a matrix product before it.
const FEW_INPUTS: usize = 8;

/// Operands of the drive.
#[derive(CubeType, CubeLaunch)]
struct Given {
    inputs: Array<f32>,
    w_in: Array<f32>,
    bias: Array<f32>,
    gain: Array<f32>,
    noise_scale: Array<f32>,
    normals: Array<f32>,
}

/// Properties that a kernel is compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Kind {
    /// True if the drive holds `W_in u` already.
    is_projected: bool,
    /// True if the drive is multiplied by the gain.
    is_scaled: bool,
    has_noise: bool,
}

impl Kind {
    fn new(sweep: &SweepBuffers, has_noise: bool) -> Self {
        Self {
            is_projected: sweep.shape.inputs > FEW_INPUTS,
            is_scaled: sweep.form == Form::Voltage,
            has_noise,
        }
    }
}

/// Computes `e = scale (W_in u + b) + noise_scale n` for each `[time, trial, unit]`; the scale is gain or 1.
#[cube(launch_unchecked)]
fn fill(
    drive: &mut Array<f32>,
    given: &Given,
    units: u32,
    n_inputs: u32,
    total: u32,
    #[comptime] kind: Kind,
) {
    let at = ABSOLUTE_POS;
    if at < total as usize {
        let n = units as usize;
        let row = at / n; // [time, trial]
        let unit = at % n;
        let mut sum = given.bias[unit];
        if comptime!(kind.is_projected) {
            sum += drive[at];
        } else {
            let width = n_inputs as usize;
            for i in 0..width {
                sum = fma(
                    given.w_in[unit * width + i],
                    given.inputs[row * width + i],
                    sum,
                );
            }
        }
        if comptime!(kind.is_scaled) {
            sum *= given.gain[unit];
        }
        if comptime!(kind.has_noise) {
            sum = fma(given.noise_scale[unit], given.normals[at], sum);
        }
        drive[at] = sum;
    }
}

/// Computes the drive `[T, B, N]`; `normals` are those of `eps` where they are a part of it.
pub(super) fn drive<R: Runtime>(
    client: &ComputeClient<R>,
    sweep: &SweepBuffers,
    normals: Option<&Handle>,
) -> Handle {
    let (shape, operands) = (&sweep.shape, &sweep.operands);
    let (states, rows, n, i) = (shape.states(), shape.rows(), shape.units, shape.inputs);
    let kind = Kind::new(sweep, normals.is_some());
    let drive = if kind.is_projected {
        let w_in = Operand::new(&operands.w_in, n, i).transposed();
        let inputs = Operand::new(&operands.inputs, rows, i);
        product(client, Product::new(inputs, w_in, [rows, n, i]))
    } else {
        client.empty(states * size_of::<f32>())
    };
    let (cubes, dim) = elementwise(states);
    count(|launches| &mut launches.other);
    // SAFETY: a thread touches its own number of the drive, and rows and units that exist.
    unsafe {
        fill::launch_unchecked::<R>(
            client,
            cubes,
            dim,
            array(&drive, states),
            given(sweep, normals),
            n as u32,
            i as u32,
            states as u32,
            kind,
        );
    }
    drive
}

fn given<R: Runtime>(sweep: &SweepBuffers, normals: Option<&Handle>) -> GivenLaunch<R> {
    let (shape, operands) = (&sweep.shape, &sweep.operands);
    let (n, i) = (shape.units, shape.inputs);
    GivenLaunch::new(
        array(&operands.inputs, shape.rows() * i),
        array(&operands.w_in, n * i),
        array(&operands.bias, n),
        array(&operands.gain, n),
        array(&operands.noise_scale, n),
        match normals {
            Some(normals) => array(normals, shape.states()),
            None => array(&operands.bias, n), // not read
        },
    )
}

/// Computes `r(t+1) + sigma xi`, the rates that a noisy readout sees.
#[cube(launch_unchecked)]
fn add_noise(
    noisy: &mut Array<f32>,
    rates: &Array<f32>,
    normals: &Array<f32>,
    sigma: f32,
    state: u32,
    total: u32,
) {
    let at = ABSOLUTE_POS;
    if at < total as usize {
        noisy[at] = fma(sigma, normals[at], rates[at + state as usize]);
    }
}

/// Computes the rates with the noise of the readout, `[T, B, N]`.
pub(super) fn noisy_rates<R: Runtime>(
    client: &ComputeClient<R>,
    sweep: &SweepBuffers,
    rates: &Handle,
    normals: &Handle,
) -> Handle {
    let shape = &sweep.shape;
    let noisy = client.empty(shape.states() * size_of::<f32>());
    let (cubes, dim) = elementwise(shape.states());
    count(|launches| &mut launches.other);
    // SAFETY: rates have one more state than normals, the initial one, which is skipped.
    unsafe {
        add_noise::launch_unchecked::<R>(
            client,
            cubes,
            dim,
            array(&noisy, shape.states()),
            array(rates, shape.history()),
            array(normals, shape.states()),
            sweep.sigma_post,
            shape.state() as u32,
            shape.states() as u32,
        );
    }
    noisy
}
