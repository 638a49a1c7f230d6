//! The time loop backward (BPTT).

use cubecl::prelude::*;
use cubecl::server::Handle;

use super::activation::slopes;
use super::forward::{accumulate, accumulate_staged};
use super::launches::count;
use super::problem::{Problem, Trajectory, Upstream};
use super::product::sum_of_parts;
use super::quad::{Quad, load, load_or_zero, store, total};
use super::tile::{CHUNK, Tile};
use crate::{Activation, Form};

/// Sums over trials and time that a unit has: bias, decay, gain, noise scale.
const SUMS: usize = 4;

/// What a kernel is compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Kind {
    tile: Tile,
    form: Form,
    activation: Activation,
    /// Which gradients come from outside.
    has_outputs: bool,
    has_rates: bool,
    has_potentials: bool,
    has_final_state: bool,
    /// Which sums are wanted beside those that need nothing more.
    wants_decay: bool,
    wants_noise_scale: bool,
    is_kicked: bool,
}

/// What comes from outside to the rates of a time step.
#[cube]
fn upstream(
    from_outputs: &Array<f32>,
    from_rates: &Array<f32>,
    row: usize,
    trial: usize,
    trials: usize,
    unit: usize,
    n: usize,
    #[comptime] kind: Kind,
) -> Quad {
    let mut sum = Quad::new(0.0f32);
    if comptime!(kind.has_outputs) {
        sum += load_or_zero(from_outputs, row, trial, trials, unit, n);
    }
    if comptime!(kind.has_rates) {
        sum += load_or_zero(from_rates, row, trial, trials, unit, n);
    }
    sum
}

/// `g_z` of a unit in four trials from the gradient of its rates. `carry` is the part of the gradient of its state that comes
/// from the next time step, and then from this one; `sums` are those of the unit.
#[cube]
fn taken_back(
    g_r: Quad,
    carry: &mut Array<Quad>,
    #[comptime] at: usize,
    sums: &mut Array<f32>,
    #[comptime] first_sum: usize,
    decay: f32,
    gain: f32,
    history: &Array<f32>,
    responses: &Array<f32>,
    potentials: &Array<f32>,
    from_potentials: &Array<f32>,
    initial_state: &Array<f32>,
    normals: &Array<f32>,
    network: usize,
    time: usize,
    row: usize,
    trial: usize,
    trials: usize,
    unit: usize,
    n: usize,
    #[comptime] kind: Kind,
) -> Quad {
    let keep = Quad::new(decay);
    let scale = Quad::new(gain);
    let now = row + network * trials; // of the rates before this time step
    let mut outside = Quad::new(0.0f32);
    if comptime!(kind.has_potentials) {
        outside = load_or_zero(from_potentials, row, trial, trials, unit, n);
    }
    let (g_state, g_z) = if comptime!(kind.form == Form::Voltage) {
        let r = load(history, now + trials, trial, trials, unit, n);
        let g_v = fma(slopes(r, kind.activation), g_r, carry[at] + outside);
        (g_v, scale * g_v)
    } else {
        let response = load(responses, row, trial, trials, unit, n);
        let g = g_r + carry[at];
        sums[first_sum + 2] += total(g * response);
        (
            g,
            fma(slopes(response, kind.activation), scale * g, outside),
        )
    };
    carry[at] = keep * g_state;
    sums[first_sum] += total(g_z);
    if comptime!(kind.wants_decay) {
        let before = if comptime!(kind.form == Form::Rate) {
            load(history, now, trial, trials, unit, n)
        } else {
            let start = load(initial_state, network * trials, trial, trials, unit, n);
            potential_before(start, potentials, time, row, trial, trials, unit, n)
        };
        sums[first_sum + 1] += total(g_state * before);
    }
    if comptime!(kind.wants_noise_scale) {
        let noise = load(normals, row, trial, trials, unit, n);
        let g = if comptime!(kind.form == Form::Rate && !kind.is_kicked) {
            g_z
        } else {
            g_state
        };
        sums[first_sum + 3] += total(g * noise);
    }
    g_z
}

/// The potentials before a time step, which of the first one are `start`.
#[cube]
fn potential_before(
    start: Quad,
    potentials: &Array<f32>,
    time: usize,
    row: usize,
    trial: usize,
    trials: usize,
    unit: usize,
    n: usize,
) -> Quad {
    let mut v = start;
    if time > 0 {
        v = load(potentials, row - trials, trial, trials, unit, n);
    }
    v
}

/// The gradient of a unit's initial state in four trials, from that of its rates.
#[cube]
fn of_initial_state(
    g_r: Quad,
    carry: Quad,
    history: &Array<f32>,
    row: usize,
    trial: usize,
    trials: usize,
    unit: usize,
    n: usize,
    #[comptime] kind: Kind,
) -> Quad {
    if comptime!(kind.form == Form::Voltage) {
        let r = load(history, row, trial, trials, unit, n);
        fma(slopes(r, kind.activation), g_r, carry)
    } else {
        g_r + carry
    }
}

/// All time steps of a tile of trials, from the last to the first.
#[cube(launch_unchecked)]
fn all_steps(
    w: &Array<f32>,
    decay: &Array<f32>,
    gain: &Array<f32>,
    history: &Array<f32>,
    responses: &Array<f32>,
    potentials: &Array<f32>,
    initial_state: &Array<f32>,
    normals: &Array<f32>,
    from_outputs: &Array<f32>,
    from_rates: &Array<f32>,
    from_potentials: &Array<f32>,
    from_final_state: &Array<f32>,
    drive_gradient: &mut Array<f32>,
    initial_gradient: &mut Array<f32>,
    unit_sums: &mut Array<f32>,
    steps: u32,
    trials: u32,
    units: u32,
    #[comptime] kind: Kind,
) {
    let threads = comptime![kind.tile.threads];
    let quads = comptime![kind.tile.quads];
    let per_thread = comptime![kind.tile.per_thread];
    let half = comptime![kind.tile.units() * kind.tile.quads];
    let mut shared = SharedMemory::<Quad>::new(comptime![2 * kind.tile.units() * kind.tile.quads]);
    let mut carry = Array::<Quad>::new(comptime![kind.tile.per_thread * kind.tile.quads]);
    let mut back = Array::<Quad>::new(comptime![kind.tile.per_thread * kind.tile.quads]);
    let mut sums = Array::<f32>::new(comptime![kind.tile.per_thread * SUMS]);
    let n = units as usize;
    let b = trials as usize;
    let network = CUBE_POS_Y as usize;
    let first = CUBE_POS_X as usize * comptime![kind.tile.trials()];
    let thread = UNIT_POS as usize;
    let row0 = network * steps as usize * b;
    #[unroll]
    for s in 0..comptime![kind.tile.per_thread * SUMS] {
        sums[s] = 0.0f32;
    }
    #[unroll]
    for q in 0..per_thread {
        let unit = thread + q * threads;
        #[unroll]
        for m in 0..quads {
            let i = q * quads + m;
            carry[i] = Quad::new(0.0f32);
            if comptime!(kind.has_final_state) {
                let trial = first + m * 4;
                carry[i] = load_or_zero(from_final_state, network * b, trial, b, unit, n);
            }
            shared[unit * quads + m] = Quad::new(0.0f32);
        }
    }
    sync_cube();
    for passed in 0..steps as usize {
        let time = steps as usize - 1 - passed;
        let row = row0 + time * b;
        #[unroll]
        for q in 0..per_thread {
            let unit = thread + q * threads;
            #[unroll]
            for m in 0..quads {
                let trial = first + m * 4;
                // Read before the sums, which take long enough for it to arrive.
                back[q * quads + m] =
                    upstream(from_outputs, from_rates, row, trial, b, unit, n, kind);
            }
        }
        let from = (passed % 2) * half;
        let to = half - from;
        accumulate(
            &mut back,
            w,
            &shared,
            network * n,
            from,
            n,
            thread,
            n,
            kind.tile,
        );
        #[unroll]
        for q in 0..per_thread {
            let unit = thread + q * threads;
            let of_unit = network * n + min(unit, n - 1);
            #[unroll]
            for m in 0..quads {
                let i = q * quads + m;
                let trial = first + m * 4;
                let g_z = taken_back(
                    back[i],
                    &mut carry,
                    comptime![q * quads + m],
                    &mut sums,
                    comptime![q * SUMS],
                    decay[of_unit],
                    gain[of_unit],
                    history,
                    responses,
                    potentials,
                    from_potentials,
                    initial_state,
                    normals,
                    network,
                    time,
                    row,
                    trial,
                    b,
                    unit,
                    n,
                    kind,
                );
                shared[to + unit * quads + m] = g_z;
                store(drive_gradient, g_z, row, trial, b, unit, n);
            }
        }
        sync_cube();
    }
    #[unroll]
    for i in 0..comptime![kind.tile.per_thread * kind.tile.quads] {
        back[i] = Quad::new(0.0f32);
    }
    let from = (steps as usize % 2) * half;
    accumulate(
        &mut back,
        w,
        &shared,
        network * n,
        from,
        n,
        thread,
        n,
        kind.tile,
    );
    let tile = network * CUBE_COUNT_X as usize + CUBE_POS_X as usize;
    #[unroll]
    for q in 0..per_thread {
        let unit = thread + q * threads;
        #[unroll]
        for m in 0..quads {
            let i = q * quads + m;
            let trial = first + m * 4;
            let row = network * (steps as usize + 1) * b;
            let g = of_initial_state(back[i], carry[i], history, row, trial, b, unit, n, kind);
            store(initial_gradient, g, network * b, trial, b, unit, n);
        }
        if unit < n {
            #[unroll]
            for s in 0..comptime![SUMS] {
                unit_sums[(tile * comptime![SUMS] + s) * n + unit] = sums[q * comptime![SUMS] + s];
            }
        }
    }
}

/// One time step of a tile of trials and units, or, after the first of them (`is_initial`), the gradient of the initial state.
/// `carry` is in the buffer of the latter; sums go on from the time step before.
#[cube(launch_unchecked)]
fn one_step(
    w: &Array<f32>,
    decay: &Array<f32>,
    gain: &Array<f32>,
    history: &Array<f32>,
    responses: &Array<f32>,
    potentials: &Array<f32>,
    initial_state: &Array<f32>,
    normals: &Array<f32>,
    from_outputs: &Array<f32>,
    from_rates: &Array<f32>,
    from_potentials: &Array<f32>,
    from_final_state: &Array<f32>,
    drive_gradient: &mut Array<f32>,
    initial_gradient: &mut Array<f32>,
    unit_sums: &mut Array<f32>,
    time: u32,
    steps: u32,
    trials: u32,
    units: u32,
    #[comptime] kind: Kind,
    #[comptime] is_last: bool,
    #[comptime] is_initial: bool,
) {
    let threads = comptime![kind.tile.threads];
    let quads = comptime![kind.tile.quads];
    let per_thread = comptime![kind.tile.per_thread];
    let mut shared = SharedMemory::<Quad>::new(comptime![CHUNK * kind.tile.quads]);
    let mut carry = Array::<Quad>::new(comptime![kind.tile.per_thread * kind.tile.quads]);
    let mut back = Array::<Quad>::new(comptime![kind.tile.per_thread * kind.tile.quads]);
    let mut sums = Array::<f32>::new(comptime![kind.tile.per_thread * SUMS]);
    let n = units as usize;
    let b = trials as usize;
    let network = CUBE_POS_Y as usize;
    let first = CUBE_POS_X as usize * comptime![kind.tile.trials()];
    let first_unit = CUBE_POS_Z as usize * comptime![kind.tile.units()] + UNIT_POS as usize;
    let t = time as usize;
    let row = (network * steps as usize + t) * b;
    let tile = network * CUBE_COUNT_X as usize + CUBE_POS_X as usize;
    #[unroll]
    for q in 0..per_thread {
        let unit = first_unit + q * threads;
        let column = min(unit, n - 1);
        #[unroll]
        for m in 0..quads {
            let i = q * quads + m;
            let trial = first + m * 4;
            back[i] = Quad::new(0.0f32);
            carry[i] = Quad::new(0.0f32);
            if comptime!(!is_initial) {
                back[i] = upstream(from_outputs, from_rates, row, trial, b, unit, n, kind);
            }
            if comptime!(!is_last) {
                carry[i] = load_or_zero(initial_gradient, network * b, trial, b, unit, n);
            } else if comptime!(kind.has_final_state) {
                carry[i] = load_or_zero(from_final_state, network * b, trial, b, unit, n);
            }
        }
        #[unroll]
        for s in 0..comptime![SUMS] {
            sums[q * comptime![SUMS] + s] = if comptime!(is_last) {
                0.0f32.runtime()
            } else {
                unit_sums[(tile * comptime![SUMS] + s) * n + column]
            };
        }
    }
    if comptime!(!is_last) {
        let next = if comptime!(is_initial) { row } else { row + b };
        accumulate_staged(
            &mut back,
            w,
            &mut shared,
            drive_gradient,
            network * n,
            next,
            first,
            b,
            first_unit,
            n,
            kind.tile,
        );
    }
    #[unroll]
    for q in 0..per_thread {
        let unit = first_unit + q * threads;
        let of_unit = network * n + min(unit, n - 1);
        #[unroll]
        for m in 0..quads {
            let i = q * quads + m;
            let trial = first + m * 4;
            if comptime!(is_initial) {
                let row = network * (steps as usize + 1) * b;
                let g = of_initial_state(back[i], carry[i], history, row, trial, b, unit, n, kind);
                store(initial_gradient, g, network * b, trial, b, unit, n);
            } else {
                let g_z = taken_back(
                    back[i],
                    &mut carry,
                    comptime![q * quads + m],
                    &mut sums,
                    comptime![q * SUMS],
                    decay[of_unit],
                    gain[of_unit],
                    history,
                    responses,
                    potentials,
                    from_potentials,
                    initial_state,
                    normals,
                    network,
                    t,
                    row,
                    trial,
                    b,
                    unit,
                    n,
                    kind,
                );
                store(drive_gradient, g_z, row, trial, b, unit, n);
                store(initial_gradient, carry[i], network * b, trial, b, unit, n);
            }
        }
        if comptime!(!is_initial) {
            if unit < n {
                #[unroll]
                for s in 0..comptime![SUMS] {
                    unit_sums[(tile * comptime![SUMS] + s) * n + unit] =
                        sums[q * comptime![SUMS] + s];
                }
            }
        }
    }
}

/// What the time loop backward writes.
pub(super) struct Loop {
    /// `g_z [K, T, B, N]`
    pub(super) drive: Handle,
    /// `[K, B, N]`
    pub(super) initial_state: Handle,
    /// Bias, decay, gain, noise scale `[K, 4, N]`.
    pub(super) units: Handle,
}

/// Runs the time loop; `upstream.outputs` are gradients of the rates by way of the readout, `[K, T, B, N]`, and `normals`
/// those of `eps` where the gradient of the noise scale is wanted.
pub(super) fn run<R: Runtime>(
    client: &ComputeClient<R>,
    problem: &Problem,
    trajectory: &Trajectory,
    upstream: &Upstream,
    wants_decay: bool,
    normals: Option<&Handle>,
) -> Loop {
    let size = &problem.size;
    let kind = Kind {
        tile: Tile::of(client, size),
        form: problem.form,
        activation: problem.activation,
        has_outputs: upstream.outputs.is_some(),
        has_rates: upstream.rates.is_some(),
        has_potentials: upstream.potentials.is_some(),
        has_final_state: upstream.final_state.is_some(),
        wants_decay,
        wants_noise_scale: normals.is_some(),
        is_kicked: problem.is_kicked(),
    };
    let empty = |n: usize| client.empty(n * size_of::<f32>());
    let shape = &size.shape;
    let tiles = kind.tile.trial_tiles(size);
    let parts = empty(size.networks * tiles * SUMS * shape.units);
    let (drive, initial_state) = (empty(size.states()), empty(size.state()));
    let array = |handle: &Handle, len: usize| {
        // SAFETY: the lengths are those of the problem.
        unsafe { ArrayArg::<R>::from_raw_parts(handle.clone(), len) }
    };
    let per_unit = size.networks * shape.units;
    let optional = |handle: Option<&Handle>, len: usize| match handle {
        Some(handle) => array(handle, len),
        None => array(&problem.operands.decay, per_unit),
    };
    let states = |handle: &Option<Handle>| optional(handle.as_ref(), size.states());
    let (steps, trials, units) = (shape.steps as u32, shape.trials as u32, shape.units as u32);
    let (cubes, dim) = (kind.tile.cubes(size), kind.tile.dim());
    macro_rules! launch {
        ($kernel:ident, $($rest:expr),+) => {{
            count(|launches| &mut launches.backward);
            // SAFETY: units, trials and time steps are within the buffers; `load` and `store` see to the last tile, and cubes of
            // a launch write units and trials of their own.
            unsafe {
                $kernel::launch_unchecked::<R>(
                    client,
                    cubes.clone(),
                    dim,
                    array(&problem.operands.w_rc, per_unit * shape.units),
                    array(&problem.operands.decay, per_unit),
                    array(&problem.operands.gain, per_unit),
                    array(&trajectory.rates, size.history()),
                    states(&trajectory.responses),
                    states(&trajectory.potentials),
                    array(&problem.operands.initial_state, size.state()),
                    optional(normals, size.states()),
                    states(&upstream.outputs),
                    states(&upstream.rates),
                    states(&upstream.potentials),
                    optional(upstream.final_state.as_ref(), size.state()),
                    array(&drive, size.states()),
                    array(&initial_state, size.state()),
                    array(&parts, size.networks * tiles * SUMS * shape.units),
                    $($rest),+
                );
            }
        }};
    }
    if kind.tile.resident {
        launch!(all_steps, steps, trials, units, kind);
    } else {
        for time in (0..steps).rev() {
            launch!(
                one_step,
                time,
                steps,
                trials,
                units,
                kind,
                time + 1 == steps,
                false
            );
        }
        launch!(one_step, 0, steps, trials, units, kind, false, true);
    }
    let sums = sum_of_parts(client, parts, [size.networks, tiles, SUMS * shape.units]);
    Loop {
        drive,
        initial_state,
        units: sums,
    }
}
