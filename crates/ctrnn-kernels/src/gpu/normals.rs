//! Standard normals: the same integers as on the CPU, and its normals to 1e-6.

use ctrnn_random::normal;
use cubecl::prelude::*;

use super::activation::{Polynomial, polynomial};
use super::launches::count;
use super::tile::elementwise;
use crate::{DrawAddress, Shape};

const LN: Polynomial = Polynomial(&normal::LN);
const SIN: Polynomial = Polynomial(&normal::SIN);
const COS: Polynomial = Polynomial(&normal::COS);
const WORD: f32 = normal::WORD;

/// Applies Philox4x32-10 in place. `ctrnn_random::philox` has the reference and its known answers.
#[cube]
fn philox(words: &mut Array<u32>, key0: u32, key1: u32) {
    let mut k0 = key0;
    let mut k1 = key1;
    #[unroll]
    for _round in 0..10usize {
        let a = words[0];
        let b = words[2];
        let m0 = 0xD251_1F53u32;
        let m1 = 0xCD9E_8D57u32;
        words[0] = b.mul_hi(m1) ^ words[1] ^ k0;
        words[2] = a.mul_hi(m0) ^ words[3] ^ k1;
        words[1] = b * m1;
        words[3] = a * m0;
        k0 += 0x9E37_79B9u32;
        k1 += 0xBB67_AE85u32;
    }
}

/// Returns `ln u`, `u = (word | 1) / 2^32`; see `ctrnn_random::normal::ln`.
#[cube]
fn ln(word: u32) -> f32 {
    let signed = f32::cast_from(i32::reinterpret(word | 1u32));
    let bits = u32::reinterpret(signed);
    let exponent = f32::cast_from(bits >> 23u32) - 158.0f32;
    let mantissa = f32::reinterpret((bits & 0x007F_FFFFu32) | 0x3F00_0000u32);
    let upper = signed < 0.0f32;
    let f = select(upper, signed * f32::new(WORD), mantissa - 1.0f32);
    let whole = select(upper, 0.0f32, exponent * f32::new(std::f32::consts::LN_2));
    whole + f * polynomial(f, LN)
}

/// Writes two normals from a word for the radius and one for the angle; see `ctrnn_random::normal::box_muller`.
#[cube]
fn box_muller(radius: u32, angle: u32, normals: &mut Array<f32>, #[comptime] at: usize) {
    let r = f32::sqrt(-2.0f32 * ln(radius));
    let quadrant = (angle + 0x2000_0000u32) >> 30u32;
    let t = f32::cast_from(i32::reinterpret(angle - (quadrant << 30u32))) * f32::new(WORD);
    let z = t * t;
    let s = t * polynomial(z, SIN);
    let c = polynomial(z, COS);
    let swap = (quadrant & 1u32) == 1u32;
    let sin = select(swap, c, s);
    let cos = select(swap, s, c);
    let sin_negative = (quadrant & 2u32) == 2u32;
    let cos_negative = ((quadrant + 1u32) & 2u32) == 2u32;
    normals[at] = r * select(cos_negative, -cos, cos);
    normals[at + 1] = r * select(sin_negative, -sin, sin);
}

/// [`DrawAddress`] on the device.
#[derive(CubeType, CubeLaunch)]
struct Address {
    key0: u32,
    key1: u32,
    step: u32,
    first_trial: u32,
    first_time_block: u32,
}

/// Draws for one unit of a trial and four time steps in each thread; `normals` is `[time, trial, unit]`.
#[cube(launch_unchecked)]
fn draw(normals: &mut Array<f32>, address: &Address, steps: u32, trials: u32, units: u32) {
    let n = units as usize;
    let b = trials as usize;
    let at = ABSOLUTE_POS;
    let unit = at % n;
    let trial = (at / n) % b;
    let block = at / (n * b);
    if block * 4 < steps as usize {
        let mut words = Array::<u32>::new(4usize);
        words[0] = unit as u32;
        words[1] = address.first_trial + trial as u32;
        words[2] = address.first_time_block + block as u32;
        words[3] = address.step;
        philox(&mut words, address.key0, address.key1);
        let mut four = Array::<f32>::new(4usize);
        box_muller(words[0], words[1], &mut four, 0usize);
        box_muller(words[2], words[3], &mut four, 2usize);
        #[unroll]
        for c in 0..4usize {
            let t = block * 4 + c;
            if t < steps as usize {
                normals[(t * b + trial) * n + unit] = four[c];
            }
        }
    }
}

/// Returns normals `[time, trial, unit]` drawn at an address.
pub(super) fn drawn<R: Runtime>(
    client: &ComputeClient<R>,
    shape: &Shape,
    address: DrawAddress,
) -> cubecl::server::Handle {
    let normals = client.empty(shape.states() * size_of::<f32>());
    let threads = shape.steps.div_ceil(4) * shape.trials * shape.units;
    let (cubes, dim) = elementwise(threads);
    count(|launches| &mut launches.other);
    // SAFETY: a thread writes at most the four numbers of its unit, trial and time steps.
    unsafe {
        draw::launch_unchecked::<R>(
            client,
            cubes,
            dim,
            ArrayArg::from_raw_parts(normals.clone(), shape.states()),
            AddressLaunch::new(
                address.key.0[0],
                address.key.0[1],
                address.step,
                address.first_trial,
                address.first_time_block,
            ),
            shape.steps as u32,
            shape.trials as u32,
            shape.units as u32,
        );
    }
    normals
}
