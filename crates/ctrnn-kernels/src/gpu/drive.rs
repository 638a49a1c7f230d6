//! What drives the recurrence from outside: inputs, bias and noise, for all time steps at once.

use cubecl::prelude::*;
use cubecl::server::Handle;

use super::launches::count;
use super::problem::Problem;
use super::product::{Operand, product};
use super::tile::elementwise;
use crate::Form;

/// Up to this many inputs are summed where the drive is made; more are a product of matrices in front.
const FEW_INPUTS: usize = 8;

/// `e = scale (W_in u + b) + noise_scale n` for each `[network, time, trial, unit]`; the scale is gain or 1. What `drive` holds
/// is `W_in u` where it is `projected`.
#[cube(launch_unchecked)]
fn fill(
    drive: &mut Array<f32>,
    inputs: &Array<f32>,
    w_in: &Array<f32>,
    bias: &Array<f32>,
    gain: &Array<f32>,
    noise_scale: &Array<f32>,
    normals: &Array<f32>,
    rows: u32,
    units: u32,
    n_inputs: u32,
    total: u32,
    #[comptime] projected: bool,
    #[comptime] scaled: bool,
    #[comptime] noisy: bool,
) {
    let at = ABSOLUTE_POS;
    if at < total as usize {
        let n = units as usize;
        let row = at / n; // [network, time, trial]
        let of_unit = row / rows as usize * n + at % n; // [network, unit]
        let mut sum = bias[of_unit];
        if comptime!(projected) {
            sum += drive[at];
        } else {
            let width = n_inputs as usize;
            for i in 0..width {
                sum = fma(w_in[of_unit * width + i], inputs[row * width + i], sum);
            }
        }
        if comptime!(scaled) {
            sum *= gain[of_unit];
        }
        if comptime!(noisy) {
            sum = fma(noise_scale[of_unit], normals[at], sum);
        }
        drive[at] = sum;
    }
}

/// The drive `[K, T, B, N]`; `normals` are those of `eps` where they are a part of it.
pub(super) fn drive<R: Runtime>(
    client: &ComputeClient<R>,
    problem: &Problem,
    normals: Option<&Handle>,
) -> Handle {
    let size = &problem.size;
    let (shape, states, networks) = (&size.shape, size.states(), size.networks);
    let (n, i) = (shape.units, shape.inputs);
    let projected = i > FEW_INPUTS;
    let drive = match projected {
        true => product(
            client,
            &Operand::new(&problem.operands.inputs, networks, size.rows(), i),
            &Operand::new(&problem.operands.w_in, networks, n, i).transposed(),
            None,
            [size.rows(), n, i],
        ),
        false => client.empty(states * size_of::<f32>()),
    };
    let (cubes, dim) = elementwise(states);
    let array = |handle: &Handle, len: usize| {
        // SAFETY: the lengths are those of the problem.
        unsafe { ArrayArg::from_raw_parts(handle.clone(), len) }
    };
    count(|launches| &mut launches.other);
    // SAFETY: a thread touches its own number of the drive, and rows and units that exist.
    unsafe {
        fill::launch_unchecked::<R>(
            client,
            cubes,
            dim,
            array(&drive, states),
            array(&problem.operands.inputs, networks * size.rows() * i),
            array(&problem.operands.w_in, networks * n * i),
            array(&problem.operands.bias, networks * n),
            array(&problem.operands.gain, networks * n),
            array(&problem.operands.noise_scale, networks * n),
            array(
                normals.unwrap_or(&problem.operands.bias),
                normals.map_or(networks * n, |_| states),
            ),
            size.rows() as u32,
            n as u32,
            i as u32,
            states as u32,
            projected,
            problem.form == Form::Voltage,
            normals.is_some(),
        );
    }
    drive
}

/// `r(t+1) + sigma xi`, what a noisy readout hears.
#[cube(launch_unchecked)]
fn add_noise(
    heard: &mut Array<f32>,
    rates: &Array<f32>,
    normals: &Array<f32>,
    sigma: f32,
    state: u32,
    states: u32,
    total: u32,
) {
    let at = ABSOLUTE_POS;
    if at < total as usize {
        let network = at / states as usize;
        let rate = rates[at + (network + 1) * state as usize];
        heard[at] = fma(sigma, normals[at], rate);
    }
}

/// Rates with the noise of the readout, `[K, T, B, N]`.
pub(super) fn heard<R: Runtime>(
    client: &ComputeClient<R>,
    problem: &Problem,
    rates: &Handle,
    normals: &Handle,
) -> Handle {
    let size = &problem.size;
    let heard = client.empty(size.states() * size_of::<f32>());
    let (cubes, dim) = elementwise(size.states());
    count(|launches| &mut launches.other);
    // SAFETY: rates of a network have one state more than normals, which is skipped.
    unsafe {
        add_noise::launch_unchecked::<R>(
            client,
            cubes,
            dim,
            ArrayArg::from_raw_parts(heard.clone(), size.states()),
            ArrayArg::from_raw_parts(rates.clone(), size.history()),
            ArrayArg::from_raw_parts(normals.clone(), size.states()),
            problem.sigma_post,
            (size.shape.trials * size.shape.units) as u32,
            size.shape.states() as u32,
            size.states() as u32,
        );
    }
    heard
}
