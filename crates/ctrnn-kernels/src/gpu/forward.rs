//! The forward time loop.

use cubecl::prelude::*;
use cubecl::server::Handle;

use super::activation::rates;
use super::buffers::{Keep, SweepBuffers};
use super::launches::count;
use super::list::array;
use super::quad::{Place, Quad, Sizes, first_place, load, nth_place, place, sizes, store};
use super::staging::{accumulate_resident, accumulate_staged};
use super::tile::{Tile, elementwise};
use crate::{Activation, Form, Shape, UnitState};

/// Properties that a kernel is compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Kind {
    tile: Tile,
    form: Form,
    activation: Activation,
    /// True if noise is added to the new rates.
    has_state_noise: bool,
    keep: Keep,
}

/// Buffers that the time loop reads.
#[derive(CubeType, CubeLaunch)]
struct Given {
    /// Recurrent weights `[pre, post]`, and the factors.
    w: Array<f32>,
    drive: Array<f32>,
    normals: Array<f32>,
    decay: Array<f32>,
    gain: Array<f32>,
    noise_scale: Array<f32>,
    initial_state: Array<f32>,
}

/// Buffers that the time loop writes.
#[derive(CubeType, CubeLaunch)]
struct Found {
    /// Rates `[T + 1, B, N]`.
    history: Array<f32>,
    responses: Array<f32>,
    potentials: Array<f32>,
    /// Final state; until the last time step, the current state.
    state: Array<f32>,
}

/// Returns the new state of a unit in four trials from the sum over its synapses, and writes the results that are kept.
#[cube]
fn advanced(
    sum: Quad,
    drive: Quad,
    noise: Quad,
    state: Quad,
    given: &Given,
    found: &mut Found,
    at: Place,
    #[comptime] kind: Kind,
) -> Quad {
    let unit = min(at.unit, at.units - 1);
    let keep = Quad::new(given.decay[unit]);
    let add = Quad::new(given.gain[unit]);
    if comptime!(kind.form == Form::Voltage) {
        let v = fma(keep, state, fma(add, sum, drive));
        if comptime!(kind.keep.potentials) {
            store(&mut found.potentials, v, at);
        }
        v
    } else {
        let z = sum + drive;
        let response = rates(z, kind.activation);
        if comptime!(kind.keep.potentials) {
            store(&mut found.potentials, z, at);
        }
        if comptime!(kind.keep.responses) {
            store(&mut found.responses, response, at);
        }
        fma(keep, state, fma(add, response, noise))
    }
}

/// Returns the rates that belong to a state.
#[cube]
fn rates_of_state(state: Quad, #[comptime] kind: Kind) -> Quad {
    if comptime!(kind.form == Form::Voltage) {
        rates(state, kind.activation)
    } else {
        state
    }
}

/// Returns the noise on the new state of four trials.
#[cube]
fn state_noise(given: &Given, at: Place, #[comptime] kind: Kind) -> Quad {
    if comptime!(kind.has_state_noise) {
        let scale = given.noise_scale[min(at.unit, at.units - 1)];
        Quad::new(scale) * load(&given.normals, at)
    } else {
        Quad::new(0.0f32)
    }
}

/// Takes a tile of trials through all time steps.
#[cube(launch_unchecked)]
fn all_steps(given: &Given, found: &mut Found, sizes: &Sizes, #[comptime] kind: Kind) {
    let quads = comptime![kind.tile.quads];
    let per_thread = comptime![kind.tile.per_thread];
    let second = comptime![kind.tile.second_buffer()];
    let mut shared = SharedMemory::<Quad>::new(comptime![kind.tile.shared_quads()]);
    let mut state = Array::<Quad>::new(comptime![kind.tile.per_thread * kind.tile.quads]);
    let mut sums = Array::<Quad>::new(comptime![kind.tile.per_thread * kind.tile.quads]);
    let mut drives = Array::<Quad>::new(comptime![kind.tile.per_thread * kind.tile.quads]);
    let mut noises = Array::<Quad>::new(comptime![kind.tile.per_thread * kind.tile.quads]);
    let b = sizes.trials as usize;
    let steps = sizes.steps as usize;
    let first = first_place(sizes, kind.tile);
    #[unroll]
    for q in 0..per_thread {
        #[unroll]
        for m in 0..quads {
            let i = q * quads + m;
            let at = nth_place(first, q, m, kind.tile);
            state[i] = load(&given.initial_state, at);
            let r = rates_of_state(state[i], kind);
            shared[at.unit * quads + m] = r;
            store(&mut found.history, r, at);
        }
    }
    sync_cube();
    for t in 0..steps {
        #[unroll]
        for q in 0..per_thread {
            #[unroll]
            for m in 0..quads {
                let i = q * quads + m;
                let at = nth_place(first, q, m, kind.tile).at_row(t * b);
                // Read before the sums, which take long enough for it to arrive.
                drives[i] = load(&given.drive, at);
                noises[i] = state_noise(given, at, kind);
                sums[i] = Quad::new(0.0f32);
            }
        }
        let from = (t % 2) * second;
        let to = second - from;
        accumulate_resident(&mut sums, &given.w, &mut shared, from, first, kind.tile);
        #[unroll]
        for q in 0..per_thread {
            #[unroll]
            for m in 0..quads {
                let i = q * quads + m;
                let at = nth_place(first, q, m, kind.tile).at_row(t * b);
                state[i] = advanced(
                    sums[i], drives[i], noises[i], state[i], given, found, at, kind,
                );
                let r = rates_of_state(state[i], kind);
                shared[to + at.unit * quads + m] = r;
                store(&mut found.history, r, at.at_row(t * b + b));
            }
        }
        sync_cube();
    }
    #[unroll]
    for q in 0..per_thread {
        #[unroll]
        for m in 0..quads {
            let at = nth_place(first, q, m, kind.tile);
            store(&mut found.state, state[q * quads + m], at);
        }
    }
}

/// Takes a tile of trials and units through one time step; `found.state` holds the state before it and then the one after it.
#[cube(launch_unchecked)]
fn one_step(given: &Given, found: &mut Found, time: u32, sizes: &Sizes, #[comptime] kind: Kind) {
    let quads = comptime![kind.tile.quads];
    let per_thread = comptime![kind.tile.per_thread];
    let mut shared = SharedMemory::<Quad>::new(comptime![kind.tile.shared_quads()]);
    let mut sums = Array::<Quad>::new(comptime![kind.tile.per_thread * kind.tile.quads]);
    #[unroll]
    for i in 0..comptime![kind.tile.per_thread * kind.tile.quads] {
        sums[i] = Quad::new(0.0f32);
    }
    let b = sizes.trials as usize;
    let row = time as usize * b;
    let first = first_place(sizes, kind.tile).at_row(row);
    let history = &found.history;
    accumulate_staged(&mut sums, &given.w, &mut shared, history, first, kind.tile);
    #[unroll]
    for q in 0..per_thread {
        #[unroll]
        for m in 0..quads {
            let at = nth_place(first, q, m, kind.tile);
            let first_rows = at.at_row(0usize.runtime());
            let next = advanced(
                sums[q * quads + m],
                load(&given.drive, at),
                state_noise(given, at, kind),
                load(&found.state, first_rows),
                given,
                found,
                at,
                kind,
            );
            store(&mut found.state, next, first_rows);
            let r = rates_of_state(next, kind);
            store(&mut found.history, r, at.at_row(row + b));
        }
    }
}

/// Computes the rates of the initial state, and copies it; a thread takes four trials of a unit.
#[cube(launch_unchecked)]
fn begin(given: &Given, found: &mut Found, sizes: &Sizes, #[comptime] kind: Kind) {
    let n = sizes.units as usize;
    let b = sizes.trials as usize;
    let quads = (b + 3) / 4;
    let thread = ABSOLUTE_POS;
    if thread < quads * n {
        let at = place(thread / n * 4, thread % n, sizes);
        let v = load(&given.initial_state, at);
        store(&mut found.state, v, at);
        store(&mut found.history, rates_of_state(v, kind), at);
    }
}

/// Results of the time loop.
pub(super) struct Loop {
    pub(super) rates: Handle,
    pub(super) responses: Option<Handle>,
    pub(super) potentials: Option<Handle>,
    pub(super) final_state: UnitState<Handle>,
}

/// Runs the time loop; `normals` are those of `eps` where they are added to the state.
pub(super) fn run<R: Runtime>(
    client: &ComputeClient<R>,
    sweep: &SweepBuffers,
    keep: Keep,
    drive: &Handle,
    normals: Option<&Handle>,
) -> Loop {
    let shape = &sweep.shape;
    let kind = Kind {
        tile: Tile::of(client, shape),
        form: sweep.form,
        activation: sweep.activation,
        has_state_noise: normals.is_some(),
        keep,
    };
    let empty = |n: usize| client.empty(n * size_of::<f32>());
    let result = Loop {
        rates: empty(shape.history()),
        responses: keep.responses.then(|| empty(shape.states())),
        potentials: keep.potentials.then(|| empty(shape.states())),
        final_state: UnitState {
            activity: empty(shape.state()),
            // No kernel covers plastic synapses.
            utilisation: empty(1),
            resources: empty(1),
        },
    };
    let unused = empty(1);
    let given = || given::<R>(sweep, drive, normals);
    let found = || found::<R>(&result, shape, &unused);
    let (cubes, dim) = (kind.tile.cubes(shape), kind.tile.dim());
    if kind.tile.resident {
        count(|launches| &mut launches.forward);
        let sizes = sizes(shape);
        // SAFETY: units, trials and time steps are within the buffers; `load` and `store` bound the last tile.
        unsafe {
            all_steps::launch_unchecked::<R>(client, cubes, dim, given(), found(), sizes, kind);
        }
        return result;
    }
    count(|launches| &mut launches.other);
    let (quads, quads_dim) = elementwise(shape.trials.div_ceil(4) * shape.units);
    let sizes_now = sizes(shape);
    // SAFETY: as above.
    unsafe {
        begin::launch_unchecked::<R>(client, quads, quads_dim, given(), found(), sizes_now, kind);
    }
    for time in 0..shape.steps as u32 {
        count(|launches| &mut launches.forward);
        let (cubes, sizes) = (cubes.clone(), sizes(shape));
        // SAFETY: as above; cubes of a launch write units and trials of their own, and read rates of the previous time step.
        unsafe {
            one_step::launch_unchecked::<R>(
                client,
                cubes,
                dim,
                given(),
                found(),
                time,
                sizes,
                kind,
            );
        }
    }
    result
}

fn given<R: Runtime>(
    sweep: &SweepBuffers,
    drive: &Handle,
    normals: Option<&Handle>,
) -> GivenLaunch<R> {
    let (shape, operands) = (&sweep.shape, &sweep.operands);
    let of_units = |handle: &Handle| array(handle, shape.units);
    GivenLaunch::new(
        array(&sweep.w_forward, sweep.weights()),
        array(drive, shape.states()),
        match normals {
            Some(normals) => array(normals, shape.states()),
            None => of_units(&operands.decay), // not read
        },
        of_units(&operands.decay),
        of_units(&operands.gain),
        of_units(&operands.noise_scale),
        array(&operands.initial_state.activity, shape.state()),
    )
}

fn found<R: Runtime>(result: &Loop, shape: &Shape, unused: &Handle) -> FoundLaunch<R> {
    let states = |handle: &Option<Handle>| match handle {
        Some(handle) => array(handle, shape.states()),
        None => array(unused, 1),
    };
    FoundLaunch::new(
        array(&result.rates, shape.history()),
        states(&result.responses),
        states(&result.potentials),
        array(&result.final_state.activity, shape.state()),
    )
}
