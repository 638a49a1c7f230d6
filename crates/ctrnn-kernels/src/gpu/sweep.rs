//! Whole sweeps: their launches in order.

use cubecl::prelude::*;
use cubecl::server::Handle;

use super::backward::Loop;
use super::buffers::{GradientBuffers, Keep, SweepBuffers, TrajectoryBuffers, UpstreamBuffers};
use super::drive::{drive, noisy_rates};
use super::normals::drawn;
use super::parts::sums_of_parts;
use super::product::{Operand, Product, parts_of_products, product, products};
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
    let readout = Product::new(rates, w_out, [shape.rows(), o, n]);
    product(client, readout.with_bias(&sweep.operands.bias_out))
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
            let g_y = Operand::new(g_y, rows, o);
            product(client, Product::new(g_y, w_out, [rows, n, o]))
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
    let (of_matrices, units) = gradients(client, sweep, trajectory, &back, g_y, wanted);
    GradientBuffers {
        operands: Operands {
            initial_state: back.initial_state.map(Some),
            ..of_matrices
        },
        units,
    }
}

/// Returns the gradients that are products of matrices, and that of the readout bias, from those of drive and readout; and the sums of
/// the time loop over tiles of trials.
fn gradients<R: Runtime>(
    client: &ComputeClient<R>,
    sweep: &SweepBuffers,
    trajectory: &TrajectoryBuffers,
    back: &Loop,
    g_y: Option<&Handle>,
    wanted: Operands<bool>,
) -> (Operands<Option<Handle>>, Handle) {
    let shape = &sweep.shape;
    let (rows, n, r) = (shape.rows(), shape.units, shape.rank);
    // Projections of rates and of gradients, a row for each trial and time step: thin, so that they are made once more rather than kept.
    let projections = if r > 0 && (wanted.left || wanted.right) {
        let [left, right] = [&sweep.operands.left, &sweep.operands.right];
        let before = Operand::new(&trajectory.rates, rows + shape.trials, n);
        let g_z = Operand::new(&back.drive, rows, n);
        let sizes = [rows, r, n];
        let both = [(before, right), (g_z, left)];
        products(
            client,
            &both.map(|(x, factor)| Product::new(x, Operand::new(factor, n, r), sizes)),
        )
    } else {
        Vec::new()
    };
    let sought = matrix_gradients(sweep, trajectory, &back.drive, g_y, &projections, wanted);
    let present: Vec<_> = sought
        .each_ref()
        .into_array()
        .into_iter()
        .flatten()
        .cloned()
        .collect();
    let mut parts = parts_of_products(client, &present);
    parts.push(back.units.clone());
    let mut sums = sums_of_parts(client, parts);
    let units = sums.pop().expect("the last of the sums");
    let mut sums = sums.into_iter();
    let found = sought.map(|product| product.and_then(|_| sums.next()));
    (found, units)
}

/// Returns the products that are gradients; `projections` are those of rates and of gradients, where the recurrent matrix has factors.
fn matrix_gradients<'a>(
    sweep: &'a SweepBuffers,
    trajectory: &'a TrajectoryBuffers,
    g_z: &'a Handle,
    g_y: Option<&'a Handle>,
    projections: &'a [Handle],
    wanted: Operands<bool>,
) -> Operands<Option<Product<'a>>> {
    let shape = &sweep.shape;
    let rows = shape.rows();
    let (n, i, o, r) = (shape.units, shape.inputs, shape.outputs, shape.rank);
    let g_z = Operand::new(g_z, rows, n);
    let g_y = g_y.map(|g_y| Operand::new(g_y, rows, o));
    let inputs = Operand::new(&sweep.operands.inputs, rows, i);
    let before = Operand::new(&trajectory.rates, rows + shape.trials, n);
    let w_in = Operand::new(&sweep.operands.w_in, n, i);
    let seen = seen(shape, &trajectory.rates, trajectory.noisy_rates.as_ref());
    let weights = |g: &Operand<'a>, x: &Operand<'a>, [post, pre]: [usize; 2]| {
        Product::new(g.clone().transposed(), x.clone(), [post, pre, rows])
    };
    let thin = |k: usize| projections.get(k).map(|x| Operand::new(x, rows, r));
    let (kappa, g_kappa) = (thin(0), thin(1));
    let if_wanted = |is_wanted: bool, product: Product<'a>| is_wanted.then_some(product);
    Operands {
        inputs: if_wanted(
            wanted.inputs && i > 0,
            Product::new(g_z.clone(), w_in, [rows, i, n]),
        ),
        w_in: if_wanted(wanted.w_in && i > 0, weights(&g_z, &inputs, [n, i])),
        w_rc: if_wanted(
            wanted.w_rc && !shape.without_full,
            weights(&g_z, &before, [n, n]),
        ),
        left: (kappa.filter(|_| wanted.left)).map(|kappa| weights(&g_z, &kappa, [n, r])),
        right: (g_kappa.filter(|_| wanted.right)).map(|g| weights(&before, &g, [n, r])),
        w_out: (g_y.as_ref().filter(|_| wanted.w_out)).map(|g_y| weights(g_y, &seen, [o, n])),
        bias_out: g_y.map(|g_y| Product::row_sums(g_y.transposed(), [o, rows])),
        ..Operands::default()
    }
}
