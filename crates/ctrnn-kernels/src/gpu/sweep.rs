//! Whole sweeps: the launches in their order.

use cubecl::prelude::*;
use cubecl::server::Handle;

use super::drive::{drive, heard};
use super::normals::drawn;
use super::problem::{Gradients, Kept, Normals, Problem, Trajectory, Upstream};
use super::product::{Operand, product, sum_of_parts};
use super::{backward as way_back, forward as time_loop};
use crate::{Form, Operands};

/// The normals of a source, if it has any.
fn normals<R: Runtime>(
    client: &ComputeClient<R>,
    problem: &Problem,
    source: &Normals,
) -> Option<Handle> {
    match source {
        Normals::None => None,
        Normals::Given(normals) => Some(normals.clone()),
        Normals::Drawn(draws) => Some(drawn(client, &problem.size, *draws)),
    }
}

/// Takes every trial through all time steps. Nothing here waits for the device.
pub fn forward<R: Runtime>(client: &ComputeClient<R>, problem: &Problem, kept: Kept) -> Trajectory {
    let eps = normals(client, problem, &problem.eps);
    let in_drive = eps.as_ref().filter(|_| problem.has_noisy_drive());
    let on_state = eps.as_ref().filter(|_| problem.is_kicked());
    let drive = drive(client, problem, in_drive);
    let swept = time_loop::run(client, problem, kept, &drive, on_state);
    let xi = match problem.hears_noise() {
        true => normals(client, problem, &problem.xi),
        false => None,
    };
    let heard = xi.map(|xi| heard(client, problem, &swept.rates, &xi));
    let outputs = readout(client, problem, &swept.rates, heard.as_ref());
    Trajectory {
        rates: swept.rates,
        responses: swept.responses,
        potentials: swept.potentials,
        heard,
        outputs,
        final_state: swept.final_state,
    }
}

/// The rates that the readout sees, a row for each trial and time step.
fn seen<'a>(problem: &Problem, rates: &'a Handle, heard: Option<&'a Handle>) -> Operand<'a> {
    let size = &problem.size;
    let (networks, rows, n) = (size.networks, size.rows(), size.shape.units);
    match heard {
        Some(heard) => Operand::new(heard, networks, rows, n),
        None => {
            let trials = size.shape.trials;
            Operand::new(rates, networks, rows + trials, n).rows_from(trials)
        }
    }
}

/// `y = W_out r + b_out`, `[K, T, B, O]`.
fn readout<R: Runtime>(
    client: &ComputeClient<R>,
    problem: &Problem,
    rates: &Handle,
    heard: Option<&Handle>,
) -> Handle {
    let size = &problem.size;
    let (networks, n, o) = (size.networks, size.shape.units, size.shape.outputs);
    if o == 0 {
        return client.empty(size_of::<f32>());
    }
    let w_out = Operand::new(&problem.operands.w_out, networks, o, n).transposed();
    let rates = seen(problem, rates, heard);
    let bias = Some(&problem.operands.bias_out);
    product(client, &rates, &w_out, bias, [size.rows(), o, n])
}

/// Takes the gradients of a loss back through all time steps. Nothing here waits for the device.
///
/// # Panics
/// If the trajectory lacks what the way back needs.
pub fn backward<R: Runtime>(
    client: &ComputeClient<R>,
    problem: &Problem,
    trajectory: &Trajectory,
    upstream: &Upstream,
    wanted: Operands<bool>,
) -> Gradients {
    assert!(
        problem.form == Form::Voltage || trajectory.responses.is_some(),
        "the way back of the rate form needs responses"
    );
    assert!(
        problem.form == Form::Rate || trajectory.potentials.is_some() || !wanted.decay,
        "the gradient of decay needs potentials"
    );
    let size = &problem.size;
    let (networks, rows) = (size.networks, size.rows());
    let (n, i, o) = (size.shape.units, size.shape.inputs, size.shape.outputs);
    let g_y = upstream.outputs.as_ref().filter(|_| o > 0);
    let of_outputs = g_y.map(|g_y| Operand::new(g_y, networks, rows, o));
    let w_out = Operand::new(&problem.operands.w_out, networks, o, n);
    let by_readout = of_outputs
        .as_ref()
        .map(|g_y| product(client, g_y, &w_out, None, [rows, n, o]));
    let upstream = Upstream {
        outputs: by_readout,
        ..upstream.clone()
    };
    let eps = match wanted.noise_scale {
        true => normals(client, problem, &problem.eps),
        false => None,
    };
    let back = way_back::run(
        client,
        problem,
        trajectory,
        &upstream,
        wanted.decay,
        eps.as_ref(),
    );
    let g_z = Operand::new(&back.drive, networks, rows, n);
    let inputs = Operand::new(&problem.operands.inputs, networks, rows, i);
    let before = Operand::new(&trajectory.rates, networks, rows + size.shape.trials, n);
    let w_in = Operand::new(&problem.operands.w_in, networks, n, i);
    let seen = seen(problem, &trajectory.rates, trajectory.heard.as_ref());
    let weights = |g: &Operand, x: &Operand, [post, pre]: [usize; 2]| {
        product(client, &g.clone().transposed(), x, None, [post, pre, rows])
    };
    Gradients {
        inputs: (wanted.inputs && i > 0).then(|| product(client, &g_z, &w_in, None, [rows, i, n])),
        w_in: (wanted.w_in && i > 0).then(|| weights(&g_z, &inputs, [n, i])),
        w_rc: wanted.w_rc.then(|| weights(&g_z, &before, [n, n])),
        w_out: of_outputs
            .as_ref()
            .filter(|_| wanted.w_out)
            .map(|g_y| weights(g_y, &seen, [o, n])),
        bias_out: g_y.map(|g_y| column_sums(client, g_y, [networks, rows, o])),
        initial_state: back.initial_state,
        units: back.units,
    }
}

/// The sums of `[network, row, column]` over rows, first within blocks of them.
fn column_sums<R: Runtime>(
    client: &ComputeClient<R>,
    matrix: &Handle,
    [networks, rows, columns]: [usize; 3],
) -> Handle {
    let block = (rows.isqrt()..=rows)
        .find(|&block| rows.is_multiple_of(block))
        .unwrap_or(rows);
    let blocks = rows / block;
    let sums = sum_of_parts(client, matrix.clone(), [networks * blocks, block, columns]);
    sum_of_parts(client, sums, [networks, blocks, columns])
}
