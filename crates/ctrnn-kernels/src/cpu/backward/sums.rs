//! Sums over trials and times, from which the gradients of weights and vectors are written.

use super::plan::WantedSums;
use crate::cpu::rows::add;
use crate::operands::{GradientSlices, Operands, UnitState};
use crate::shape::Shape;
use crate::simd::{Element, padded};
use crate::sweep::{Form, SweepSlices};
use crate::workspace::{Scratch, Workspace};

/// Sums over the trials and times of a tile, in rows of [`padded`] units. Gradients of weights are with respect to the scaled ones.
/// Gradients of the input weights are transposed, `[I + 1, N]`, with the bias as the last row, and so are those of the factors,
/// `[R, N]`; `inputs`, `bias` and `initial_state` are empty, since the first and the last are not summed.
pub(super) type Sums<'a, E> = Operands<Scratch<'a, E>>;

pub(super) fn zero_sums<'a, E: Element>(
    workspace: &'a Workspace<E>,
    sweep: &SweepSlices<'_, E>,
    wanted: WantedSums,
) -> Sums<'a, E> {
    let shape = &sweep.shape;
    let stride = padded(shape.units);
    let n_delays = sweep.delays.map_or(1, |delays| delays.steps().len());
    // Accumulate writes eight rows at once.
    let rows = |n: usize| workspace.zeros(n.next_multiple_of(8) * stride);
    let empty = || workspace.zeros(0);
    Operands {
        inputs: empty(),
        w_in: rows(shape.inputs + 1),
        w_rc: workspace.zeros(if wanted.w_rc {
            n_delays * recurrent_len(shape.units)
        } else {
            0
        }),
        left: rows(shape.rank),
        right: rows(shape.rank),
        bias: empty(),
        w_out: rows(shape.outputs),
        bias_out: workspace.zeros(shape.outputs),
        decay: workspace.zeros(stride),
        gain: workspace.zeros(stride),
        noise_scale: workspace.zeros(stride),
        initial_state: UnitState::from_fn(empty),
    }
}

/// Returns the length of the sums of a recurrent matrix, of which there is one for each distinct delay.
pub(super) const fn recurrent_len(units: usize) -> usize {
    units.next_multiple_of(8) * padded(units)
}

/// Returns the sums of the recurrent weights onto a unit, each from the matrix of its delay.
fn onto<E: Element>(
    sums: &Sums<'_, E>,
    sweep: &SweepSlices<'_, E>,
    post: usize,
) -> impl Fn(usize) -> E {
    let units = sweep.shape.units;
    move |pre| {
        let delay = sweep.delays.map_or(0, |delays| delays.number(post, pre));
        sums.w_rc[delay * recurrent_len(units) + post * padded(units) + pre]
    }
}

pub(super) fn plus<'a, E: Element>(mut sums: Sums<'a, E>, others: Sums<'a, E>) -> Sums<'a, E> {
    for (sums, others) in sums.each_mut().zip(others.each_ref()).into_array() {
        add(sums, others);
    }
    sums
}

/// Writes sums over all tiles to the destinations of the gradients.
pub(super) fn write<E: Element>(
    sums: &Sums<'_, E>,
    sweep: &SweepSlices<'_, E>,
    gradients: GradientSlices<'_, E>,
) {
    let Shape {
        units,
        inputs,
        rank,
        ..
    } = sweep.shape;
    let stride = padded(units);
    let bias = &sums.w_in[inputs * stride..][..units];
    if let Some(gain) = gradients.gain {
        write_gain(sums, sweep, gain);
    }
    if let Some(w_rc) = gradients.w_rc {
        for (post, row) in w_rc.chunks_exact_mut(units).enumerate() {
            let sum = onto(sums, sweep, post);
            for (pre, to) in row.iter_mut().enumerate() {
                *to = sweep.drive_scale(post) * sum(pre);
            }
        }
    }
    if let Some(left) = gradients.left.filter(|_| rank > 0) {
        write_scaled(left, rank, sweep, |post, dimension| {
            sums.left[dimension * stride + post]
        });
    }
    if let Some(right) = gradients.right.filter(|_| rank > 0) {
        let n = E::from_f64(units as f64);
        for (unit, row) in right.chunks_exact_mut(rank).enumerate() {
            for (dimension, to) in row.iter_mut().enumerate() {
                *to = sums.right[dimension * stride + unit] / n;
            }
        }
    }
    if let Some(w_in) = gradients.w_in.filter(|_| inputs > 0) {
        write_scaled(w_in, inputs, sweep, |post, input| {
            sums.w_in[input * stride + post]
        });
    }
    if let Some(to) = gradients.bias {
        write_scaled(to, 1, sweep, |post, _| bias[post]);
    }
    write_readout(sums, units, gradients.w_out, gradients.bias_out);
    if let Some(decay) = gradients.decay {
        decay.copy_from_slice(&sums.decay[..units]);
    }
    if let Some(noise_scale) = gradients.noise_scale {
        noise_scale.copy_from_slice(&sums.noise_scale[..units]);
    }
}

fn write_readout<E: Element>(
    sums: &Sums<'_, E>,
    units: usize,
    w_out: Option<&mut [E]>,
    bias_out: Option<&mut [E]>,
) {
    if let Some(w_out) = w_out {
        for (to, row) in w_out
            .chunks_exact_mut(units)
            .zip(sums.w_out.chunks_exact(padded(units)))
        {
            to.copy_from_slice(&row[..units]);
        }
    }
    if let Some(bias_out) = bias_out {
        bias_out.copy_from_slice(&sums.bias_out);
    }
}

/// Writes sums as rows of `width` numbers, each multiplied by the scale of the drive of its row.
fn write_scaled<E: Element>(
    to: &mut [E],
    width: usize,
    sweep: &SweepSlices<'_, E>,
    sum: impl Fn(usize, usize) -> E,
) {
    for (post, row) in to.chunks_exact_mut(width).enumerate() {
        for (pre, to) in row.iter_mut().enumerate() {
            *to = sweep.drive_scale(post) * sum(post, pre);
        }
    }
}

/// Writes the gradient of the gain. In the voltage form it is the sum of (gradient of v) * (drive); the drive is linear in the
/// weights, so it follows from the gradients of the weights, without the drive itself.
fn write_gain<E: Element>(sums: &Sums<'_, E>, sweep: &SweepSlices<'_, E>, gain: &mut [E]) {
    let Shape {
        units,
        inputs,
        rank,
        without_full,
        ..
    } = sweep.shape;
    let stride = padded(units);
    if sweep.form == Form::Rate {
        gain.copy_from_slice(&sums.gain[..units]);
        return;
    }
    let w = &sweep.operands;
    for (post, gain) in gain.iter_mut().enumerate() {
        let mut sum = w.bias[post] * sums.w_in[inputs * stride + post];
        for input in 0..inputs {
            sum += w.w_in[post * inputs + input] * sums.w_in[input * stride + post];
        }
        if !without_full {
            let gradient = onto(sums, sweep, post);
            for (pre, &weight) in w.w_rc[post * units..][..units].iter().enumerate() {
                sum += weight * gradient(pre);
            }
        }
        for dimension in 0..rank {
            sum += w.left[post * rank + dimension] * sums.left[dimension * stride + post];
        }
        *gain = sum;
    }
}
