//! Whole sweeps: their launches in order.

use cubecl::prelude::*;
use cubecl::server::Handle;

use super::buffers::{GradientBuffers, Keep, SweepBuffers, TrajectoryBuffers, UpstreamBuffers};
use super::drive::{drive, noisy_rates};
use super::normals::drawn;
use super::product::{Operand, product, sum_of_parts};
use super::{backward as backward_loop, forward as forward_loop};
use crate::{Form, NoiseSource, NoiseTarget, Operands, Shape};

/// Returns the normals of a source, if it has any.
fn normals<R: Runtime>(
    client: &ComputeClient<R>,
    shape: &Shape,
    source: &NoiseSource<Handle>,
) -> Option<Handle> {
    match source {
        NoiseSource::None => None,
        NoiseSource::Given(normals) => Some(normals.clone()),
        NoiseSource::Drawn(address) => Some(drawn(client, shape, *address)),
    }
}

/// Runs the forward sweep: takes every trial through all time steps. It does not wait for the device.
pub fn forward<R: Runtime>(
    client: &ComputeClient<R>,
    sweep: &SweepBuffers,
    keep: Keep,
) -> TrajectoryBuffers {
    let shape = &sweep.shape;
    let eps = normals(client, shape, &sweep.eps);
    let (in_drive, on_state) = match sweep.noise_place() {
        NoiseTarget::Drive => (eps.as_ref(), None),
        NoiseTarget::State => (None, eps.as_ref()),
    };
    let drive = drive(client, sweep, in_drive);
    let found = forward_loop::run(client, sweep, keep, &drive, on_state);
    let xi = if sweep.has_readout_noise() {
        normals(client, shape, &sweep.xi)
    } else {
        None
    };
    let noisy_rates = xi.map(|xi| noisy_rates(client, sweep, &found.rates, &xi));
    let outputs = readout(client, sweep, &found.rates, noisy_rates.as_ref());
    TrajectoryBuffers {
        rates: found.rates,
        responses: found.responses,
        potentials: found.potentials,
        noisy_rates,
        outputs,
        final_state: found.final_state,
    }
}

/// Returns the rates that the readout sees, a row for each trial and time step.
fn seen<'a>(shape: &Shape, rates: &'a Handle, noisy_rates: Option<&'a Handle>) -> Operand<'a> {
    let (rows, trials, n) = (shape.rows(), shape.trials, shape.units);
    match noisy_rates {
        Some(noisy_rates) => Operand::new(noisy_rates, rows, n),
        None => Operand::new(rates, rows + trials, n).rows_from(trials),
    }
}

/// Computes `y = W_out r + b_out`, `[T, B, O]`.
fn readout<R: Runtime>(
    client: &ComputeClient<R>,
    sweep: &SweepBuffers,
    rates: &Handle,
    noisy_rates: Option<&Handle>,
) -> Handle {
    let shape = &sweep.shape;
    let (n, o) = (shape.units, shape.outputs);
    if o == 0 {
        return client.empty(size_of::<f32>());
    }
    let w_out = Operand::new(&sweep.operands.w_out, o, n).transposed();
    let rates = seen(shape, rates, noisy_rates);
    let bias = Some(&sweep.operands.bias_out);
    product(client, &rates, &w_out, bias, [shape.rows(), o, n])
}

/// Runs the backward sweep: takes the gradients of a loss back through all time steps. It does not wait for the device.
///
/// # Panics
/// If the trajectory lacks a part that the backward sweep needs.
pub fn backward<R: Runtime>(
    client: &ComputeClient<R>,
    sweep: &SweepBuffers,
    trajectory: &TrajectoryBuffers,
    upstream: &UpstreamBuffers,
    wanted: Operands<bool>,
) -> GradientBuffers {
    assert!(
        sweep.form == Form::Voltage || trajectory.responses.is_some(),
        "the backward sweep of the rate form needs responses"
    );
    assert!(
        sweep.form == Form::Rate || trajectory.potentials.is_some() || !wanted.decay,
        "the gradient of decay needs potentials"
    );
    let shape = &sweep.shape;
    let rows = shape.rows();
    let (n, o) = (shape.units, shape.outputs);
    let g_y = upstream.outputs.as_ref().filter(|_| o > 0);
    let w_out = Operand::new(&sweep.operands.w_out, o, n);
    let upstream = UpstreamBuffers {
        outputs: g_y.map(|g_y| {
            product(
                client,
                &Operand::new(g_y, rows, o),
                &w_out,
                None,
                [rows, n, o],
            )
        }),
        ..upstream.clone()
    };
    let eps = if wanted.noise_scale {
        normals(client, shape, &sweep.eps)
    } else {
        None
    };
    let back = backward_loop::run(
        client,
        sweep,
        trajectory,
        &upstream,
        wanted.decay,
        eps.as_ref(),
    );
    let of_matrices = matrix_gradients(client, sweep, trajectory, &back.drive, g_y, wanted);
    GradientBuffers {
        operands: Operands {
            initial_state: back.initial_state.map(Some),
            ..of_matrices
        },
        units: back.units,
    }
}

/// Returns the gradients that are products of matrices, and that of the readout bias, from those of drive and readout.
fn matrix_gradients<R: Runtime>(
    client: &ComputeClient<R>,
    sweep: &SweepBuffers,
    trajectory: &TrajectoryBuffers,
    g_z: &Handle,
    g_y: Option<&Handle>,
    wanted: Operands<bool>,
) -> Operands<Option<Handle>> {
    let shape = &sweep.shape;
    let rows = shape.rows();
    let (n, i, o) = (shape.units, shape.inputs, shape.outputs);
    let g_z = Operand::new(g_z, rows, n);
    let inputs = Operand::new(&sweep.operands.inputs, rows, i);
    let before = Operand::new(&trajectory.rates, rows + shape.trials, n);
    let w_in = Operand::new(&sweep.operands.w_in, n, i);
    let seen = seen(shape, &trajectory.rates, trajectory.noisy_rates.as_ref());
    let weights = |g: Operand, x: &Operand, [post, pre]: [usize; 2]| {
        product(client, &g.transposed(), x, None, [post, pre, rows])
    };
    // Projections of rates and of gradients, a row for each trial and time step: thin, so that they are made once more rather than kept.
    let r = shape.rank;
    let thin = |x: &Operand, factor: &Handle| {
        product(client, x, &Operand::new(factor, n, r), None, [rows, r, n])
    };
    let left = (wanted.left && r > 0).then(|| {
        let kappa = thin(&before, &sweep.operands.right);
        weights(g_z.clone(), &Operand::new(&kappa, rows, r), [n, r])
    });
    let right = (wanted.right && r > 0).then(|| {
        let g_kappa = thin(&g_z, &sweep.operands.left);
        weights(before.clone(), &Operand::new(&g_kappa, rows, r), [n, r])
    });
    Operands {
        inputs: (wanted.inputs && i > 0).then(|| product(client, &g_z, &w_in, None, [rows, i, n])),
        w_in: (wanted.w_in && i > 0).then(|| weights(g_z.clone(), &inputs, [n, i])),
        w_rc: (wanted.w_rc && !shape.without_full).then(|| weights(g_z.clone(), &before, [n, n])),
        left,
        right,
        w_out: g_y
            .filter(|_| wanted.w_out)
            .map(|g_y| weights(Operand::new(g_y, rows, o), &seen, [o, n])),
        bias_out: g_y.map(|g_y| column_sums(client, g_y, [rows, o])),
        ..Operands::default()
    }
}

/// Returns the sums of `[row, column]` over rows, first within blocks of them.
fn column_sums<R: Runtime>(
    client: &ComputeClient<R>,
    matrix: &Handle,
    [rows, columns]: [usize; 2],
) -> Handle {
    let block = (rows.isqrt()..=rows)
        .find(|&block| rows.is_multiple_of(block))
        .unwrap_or(rows);
    let blocks = rows / block;
    let sums = sum_of_parts(client, matrix.clone(), [blocks, block, columns]);
    sum_of_parts(client, sums, [1, blocks, columns])
}
