//! The time loop forward.

use cubecl::prelude::*;
use cubecl::server::Handle;

use super::activation::rates;
use super::launches::count;
use super::problem::{Kept, Problem};
use super::quad::{Quad, load, load_or_zero, store};
use super::tile::{CHUNK, Tile, elementwise};
use crate::{Activation, Form};

/// What a kernel is compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Kind {
    tile: Tile,
    form: Form,
    activation: Activation,
    /// Noise is added to the new rates.
    is_kicked: bool,
    keeps_responses: bool,
    keeps_potentials: bool,
}

/// Adds `sum_k w[k, unit] x[k]` to the sums of a thread's units, for `len` presynaptic units of which `w_row` is the first row
/// of the weights and `from` the first place in shared memory.
#[cube]
pub(super) fn accumulate(
    sums: &mut Array<Quad>,
    w: &Array<f32>,
    shared: &SharedMemory<Quad>,
    w_row: usize,
    from: usize,
    len: usize,
    first_unit: usize,
    n: usize,
    #[comptime] tile: Tile,
) {
    for k in 0..len {
        #[unroll]
        for q in 0..comptime![tile.per_thread] {
            let unit = min(first_unit + q * comptime![tile.threads], n - 1);
            let weight = Quad::new(w[(w_row + k) * n + unit]);
            #[unroll]
            for m in 0..comptime![tile.quads] {
                let i = q * comptime![tile.quads] + m;
                let x = shared[from + k * comptime![tile.quads] + m];
                sums[i] = fma(weight, x, sums[i]);
            }
        }
    }
}

/// [`accumulate`] over all presynaptic units, staged in shared memory from the rows of `source` that start at `row`; zeros for
/// trials beyond the last, which have no part in sums over trials.
#[cube]
pub(super) fn accumulate_staged(
    sums: &mut Array<Quad>,
    w: &Array<f32>,
    shared: &mut SharedMemory<Quad>,
    source: &Array<f32>,
    w_row: usize,
    row: usize,
    first_trial: usize,
    trials: usize,
    first_unit: usize,
    n: usize,
    #[comptime] tile: Tile,
) {
    let threads = comptime![tile.threads];
    let quads = comptime![tile.quads];
    let turns = comptime![(CHUNK * tile.quads).div_ceil(tile.threads)];
    let chunks = (n + comptime![CHUNK - 1]) / comptime![CHUNK];
    for chunk in 0..chunks {
        let k0 = chunk * comptime![CHUNK];
        #[unroll]
        for turn in 0..turns {
            let at = UNIT_POS as usize + turn * threads;
            if at < comptime![CHUNK * tile.quads] {
                let k = at % comptime![CHUNK];
                let m = at / comptime![CHUNK];
                shared[k * quads + m] =
                    load_or_zero(source, row, first_trial + m * 4, trials, k0 + k, n);
            }
        }
        sync_cube();
        let len = min(n - k0, comptime![CHUNK]);
        accumulate(
            sums,
            w,
            shared,
            w_row + k0,
            0usize,
            len,
            first_unit,
            n,
            tile,
        );
        sync_cube();
    }
}

/// The new state of a unit in four trials from the sum over its synapses; writes what is kept on the way. `row` is that of the
/// time step in buffers `[network, time, trial]`.
#[cube]
fn advanced(
    sum: Quad,
    drive: Quad,
    kick: Quad,
    state: Quad,
    decay: f32,
    gain: f32,
    responses: &mut Array<f32>,
    potentials: &mut Array<f32>,
    row: usize,
    trial: usize,
    trials: usize,
    unit: usize,
    n: usize,
    #[comptime] kind: Kind,
) -> Quad {
    let keep = Quad::new(decay);
    let add = Quad::new(gain);
    if comptime!(kind.form == Form::Voltage) {
        let v = fma(keep, state, fma(add, sum, drive));
        if comptime!(kind.keeps_potentials) {
            store(potentials, v, row, trial, trials, unit, n);
        }
        v
    } else {
        let z = sum + drive;
        let response = rates(z, kind.activation);
        if comptime!(kind.keeps_potentials) {
            store(potentials, z, row, trial, trials, unit, n);
        }
        if comptime!(kind.keeps_responses) {
            store(responses, response, row, trial, trials, unit, n);
        }
        fma(keep, state, fma(add, response, kick))
    }
}

/// The rates that belong to a state.
#[cube]
fn rates_of_state(state: Quad, #[comptime] kind: Kind) -> Quad {
    if comptime!(kind.form == Form::Voltage) {
        rates(state, kind.activation)
    } else {
        state
    }
}

/// Noise on the new state of four trials.
#[cube]
fn kick(
    noise_scale: f32,
    normals: &Array<f32>,
    row: usize,
    trial: usize,
    trials: usize,
    unit: usize,
    n: usize,
    #[comptime] kind: Kind,
) -> Quad {
    if comptime!(kind.is_kicked) {
        Quad::new(noise_scale) * load(normals, row, trial, trials, unit, n)
    } else {
        Quad::new(0.0f32)
    }
}

/// All time steps of a tile of trials.
#[cube(launch_unchecked)]
fn all_steps(
    w: &Array<f32>,
    drive: &Array<f32>,
    normals: &Array<f32>,
    decay: &Array<f32>,
    gain: &Array<f32>,
    noise_scale: &Array<f32>,
    initial_state: &Array<f32>,
    history: &mut Array<f32>,
    responses: &mut Array<f32>,
    potentials: &mut Array<f32>,
    final_state: &mut Array<f32>,
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
    let mut state = Array::<Quad>::new(comptime![kind.tile.per_thread * kind.tile.quads]);
    let mut sums = Array::<Quad>::new(comptime![kind.tile.per_thread * kind.tile.quads]);
    let mut drives = Array::<Quad>::new(comptime![kind.tile.per_thread * kind.tile.quads]);
    let mut kicks = Array::<Quad>::new(comptime![kind.tile.per_thread * kind.tile.quads]);
    let n = units as usize;
    let b = trials as usize;
    let network = CUBE_POS_Y as usize;
    let first = CUBE_POS_X as usize * comptime![kind.tile.trials()];
    let thread = UNIT_POS as usize;
    let row0 = network * steps as usize * b; // of time step 0 in [network, time, trial]
    #[unroll]
    for q in 0..per_thread {
        let unit = thread + q * threads;
        #[unroll]
        for m in 0..quads {
            let i = q * quads + m;
            let trial = first + m * 4;
            state[i] = load(initial_state, network * b, trial, b, unit, n);
            let r = rates_of_state(state[i], kind);
            shared[unit * quads + m] = r;
            store(history, r, row0 + network * b, trial, b, unit, n);
        }
    }
    sync_cube();
    for t in 0..steps as usize {
        let row = row0 + t * b;
        #[unroll]
        for q in 0..per_thread {
            let unit = thread + q * threads;
            #[unroll]
            for m in 0..quads {
                let i = q * quads + m;
                let trial = first + m * 4;
                // Read before the sums, which take long enough for it to arrive.
                drives[i] = load(drive, row, trial, b, unit, n);
                let scale = noise_scale[network * n + min(unit, n - 1)];
                kicks[i] = kick(scale, normals, row, trial, b, unit, n, kind);
                sums[i] = Quad::new(0.0f32);
            }
        }
        let from = (t % 2) * half;
        let to = half - from;
        accumulate(
            &mut sums,
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
                state[i] = advanced(
                    sums[i],
                    drives[i],
                    kicks[i],
                    state[i],
                    decay[of_unit],
                    gain[of_unit],
                    responses,
                    potentials,
                    row,
                    trial,
                    b,
                    unit,
                    n,
                    kind,
                );
                let r = rates_of_state(state[i], kind);
                shared[to + unit * quads + m] = r;
                store(history, r, row + (network + 1) * b, trial, b, unit, n);
            }
        }
        sync_cube();
    }
    #[unroll]
    for q in 0..per_thread {
        #[unroll]
        for m in 0..quads {
            let unit = thread + q * threads;
            let trial = first + m * 4;
            store(
                final_state,
                state[q * quads + m],
                network * b,
                trial,
                b,
                unit,
                n,
            );
        }
    }
}

/// One time step of a tile of trials and units; `state` holds the state before and then that after it.
#[cube(launch_unchecked)]
fn one_step(
    w: &Array<f32>,
    drive: &Array<f32>,
    normals: &Array<f32>,
    decay: &Array<f32>,
    gain: &Array<f32>,
    noise_scale: &Array<f32>,
    state: &mut Array<f32>,
    history: &mut Array<f32>,
    responses: &mut Array<f32>,
    potentials: &mut Array<f32>,
    time: u32,
    steps: u32,
    trials: u32,
    units: u32,
    #[comptime] kind: Kind,
) {
    let threads = comptime![kind.tile.threads];
    let quads = comptime![kind.tile.quads];
    let per_thread = comptime![kind.tile.per_thread];
    let mut shared = SharedMemory::<Quad>::new(comptime![CHUNK * kind.tile.quads]);
    let mut sums = Array::<Quad>::new(comptime![kind.tile.per_thread * kind.tile.quads]);
    #[unroll]
    for i in 0..comptime![kind.tile.per_thread * kind.tile.quads] {
        sums[i] = Quad::new(0.0f32);
    }
    let n = units as usize;
    let b = trials as usize;
    let network = CUBE_POS_Y as usize;
    let first = CUBE_POS_X as usize * comptime![kind.tile.trials()];
    let first_unit = CUBE_POS_Z as usize * comptime![kind.tile.units()] + UNIT_POS as usize;
    let row = (network * steps as usize + time as usize) * b;
    accumulate_staged(
        &mut sums,
        w,
        &mut shared,
        history,
        network * n,
        row + network * b,
        first,
        b,
        first_unit,
        n,
        kind.tile,
    );
    #[unroll]
    for q in 0..per_thread {
        let unit = first_unit + q * threads;
        let of_unit = network * n + min(unit, n - 1);
        #[unroll]
        for m in 0..quads {
            let trial = first + m * 4;
            let kick = kick(noise_scale[of_unit], normals, row, trial, b, unit, n, kind);
            let next = advanced(
                sums[q * quads + m],
                load(drive, row, trial, b, unit, n),
                kick,
                load(state, network * b, trial, b, unit, n),
                decay[of_unit],
                gain[of_unit],
                responses,
                potentials,
                row,
                trial,
                b,
                unit,
                n,
                kind,
            );
            store(state, next, network * b, trial, b, unit, n);
            let r = rates_of_state(next, kind);
            store(history, r, row + (network + 1) * b, trial, b, unit, n);
        }
    }
}

/// The rates of the initial state, and a copy of it; a thread takes four trials of a unit.
#[cube(launch_unchecked)]
fn begin(
    initial_state: &Array<f32>,
    state: &mut Array<f32>,
    history: &mut Array<f32>,
    steps: u32,
    trials: u32,
    units: u32,
    networks: u32,
    #[comptime] kind: Kind,
) {
    let n = units as usize;
    let b = trials as usize;
    let quads = (b + 3) / 4;
    let at = ABSOLUTE_POS;
    let unit = at % n;
    let trial = (at / n) % quads * 4;
    let network = at / (n * quads);
    if network < networks as usize {
        let v = load(initial_state, network * b, trial, b, unit, n);
        store(state, v, network * b, trial, b, unit, n);
        let row = network * (steps as usize + 1) * b;
        store(history, rates_of_state(v, kind), row, trial, b, unit, n);
    }
}

/// What the time loop forward writes.
pub(super) struct Loop {
    pub(super) rates: Handle,
    pub(super) responses: Option<Handle>,
    pub(super) potentials: Option<Handle>,
    pub(super) final_state: Handle,
}

/// Runs the time loop; `normals` are those of `eps` where they are added to the state beside the drive.
pub(super) fn run<R: Runtime>(
    client: &ComputeClient<R>,
    problem: &Problem,
    kept: Kept,
    drive: &Handle,
    normals: Option<&Handle>,
) -> Loop {
    let size = &problem.size;
    let kind = Kind {
        tile: Tile::of(client, size),
        form: problem.form,
        activation: problem.activation,
        is_kicked: normals.is_some(),
        keeps_responses: kept.responses,
        keeps_potentials: kept.potentials,
    };
    let empty = |n: usize| client.empty(n * size_of::<f32>());
    let result = Loop {
        rates: empty(size.history()),
        responses: kept.responses.then(|| empty(size.states())),
        potentials: kept.potentials.then(|| empty(size.states())),
        final_state: empty(size.state()),
    };
    let unused = empty(1);
    let shape = &size.shape;
    let array = |handle: &Handle, len: usize| {
        // SAFETY: the lengths are those of the problem.
        unsafe { ArrayArg::<R>::from_raw_parts(handle.clone(), len) }
    };
    let per_unit = size.networks * shape.units;
    let weights = || array(&problem.w_rc_transposed, per_unit * shape.units);
    let drives = || array(drive, size.states());
    let noise = || match normals {
        Some(normals) => array(normals, size.states()),
        None => array(&problem.operands.decay, per_unit),
    };
    let of_units = |handle: &Handle| array(handle, per_unit);
    let states = |handle: &Option<Handle>| match handle {
        Some(handle) => array(handle, size.states()),
        None => array(&unused, 1),
    };
    let (steps, trials, units) = (shape.steps as u32, shape.trials as u32, shape.units as u32);
    let (cubes, dim) = (kind.tile.cubes(size), kind.tile.dim());
    if kind.tile.resident {
        count(|launches| &mut launches.forward);
        // SAFETY: units, trials and time steps are within the buffers; `load` and `store` see to the last tile.
        unsafe {
            all_steps::launch_unchecked::<R>(
                client,
                cubes,
                dim,
                weights(),
                drives(),
                noise(),
                of_units(&problem.operands.decay),
                of_units(&problem.operands.gain),
                of_units(&problem.operands.noise_scale),
                array(&problem.operands.initial_state, size.state()),
                array(&result.rates, size.history()),
                states(&result.responses),
                states(&result.potentials),
                array(&result.final_state, size.state()),
                steps,
                trials,
                units,
                kind,
            );
        }
        return result;
    }
    let threads = size.networks * shape.trials.div_ceil(4) * shape.units;
    let (begin_cubes, begin_dim) = elementwise(threads);
    count(|launches| &mut launches.other);
    // SAFETY: as above.
    unsafe {
        begin::launch_unchecked::<R>(
            client,
            begin_cubes,
            begin_dim,
            array(&problem.operands.initial_state, size.state()),
            array(&result.final_state, size.state()),
            array(&result.rates, size.history()),
            steps,
            trials,
            units,
            size.networks as u32,
            kind,
        );
    }
    for time in 0..steps {
        count(|launches| &mut launches.forward);
        // SAFETY: as above; cubes of a launch write units and trials of their own, and read rates of the time step before.
        unsafe {
            one_step::launch_unchecked::<R>(
                client,
                cubes.clone(),
                dim,
                weights(),
                drives(),
                noise(),
                of_units(&problem.operands.decay),
                of_units(&problem.operands.gain),
                of_units(&problem.operands.noise_scale),
                array(&result.final_state, size.state()),
                array(&result.rates, size.history()),
                states(&result.responses),
                states(&result.potentials),
                time,
                steps,
                trials,
                units,
                kind,
            );
        }
    }
    result
}
