//! The backward time loop (BPTT).

use cubecl::prelude::*;
use cubecl::server::Handle;

use super::activation::slopes;
use super::buffers::{SweepBuffers, TrajectoryBuffers, UpstreamBuffers};
use super::launches::count;
use super::list::array;
use super::parts::Parts;
use super::quad::{
    Place, Quad, Sizes, first_place, load, load_or_zero, nth_place, sizes, store, total,
};
use super::staging::{accumulate_resident, accumulate_staged};
use super::tile::Tile;
use crate::{Activation, Form, NoiseTarget, Shape, UnitState};

/// Number of sums over trials and time for each unit: bias, decay, gain, noise scale.
const SUMS: usize = 4;

/// Properties that a kernel is compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Kind {
    tile: Tile,
    form: Form,
    activation: Activation,
    noise_target: NoiseTarget,
    /// True for each result that the loss has a gradient for.
    has_outputs: bool,
    has_rates: bool,
    has_potentials: bool,
    has_final_state: bool,
    /// True for each wanted sum, of those that need more than the others.
    wants_decay: bool,
    wants_noise_scale: bool,
}

/// Buffers of the network and its trajectory.
#[derive(CubeType, CubeLaunch)]
struct Given {
    /// Recurrent weights `[post, pre]`, and the factors.
    w: Array<f32>,
    decay: Array<f32>,
    gain: Array<f32>,
    /// Rates `[T + 1, B, N]`.
    history: Array<f32>,
    responses: Array<f32>,
    potentials: Array<f32>,
    initial_state: Array<f32>,
    normals: Array<f32>,
}

/// Gradients with respect to the results of the forward sweep; those of the outputs have passed the readout, `[T, B, N]`.
#[derive(CubeType, CubeLaunch)]
struct From {
    outputs: Array<f32>,
    rates: Array<f32>,
    potentials: Array<f32>,
    final_state: Array<f32>,
}

/// Buffers that the time loop writes.
#[derive(CubeType, CubeLaunch)]
struct Found {
    /// Gradient with respect to the drive, `g_z [T, B, N]`.
    drive: Array<f32>,
    /// Gradient with respect to the initial state; before that, of the state before the time step so far.
    initial_state: Array<f32>,
    /// Sums of each tile of trials, `[tile, 4, N]`.
    units: Array<f32>,
}

/// Gradients of the units of a thread, in registers: entry `q * quads + m` is that of the `q`-th unit in the `m`-th four trials.
#[derive(CubeType)]
struct Adjoint {
    /// With respect to the rates.
    rates: Array<Quad>,
    /// With respect to the state, from the next time step.
    carry: Array<Quad>,
    /// Sums over trials and time, `[unit, 4]`.
    sums: Array<f32>,
}

#[cube]
impl Adjoint {
    /// Returns arrays for the units of a thread, with zeros for the sums.
    fn new(#[comptime] tile: Tile) -> Adjoint {
        let mut sums = Array::<f32>::new(comptime![tile.per_thread * SUMS]);
        #[unroll]
        for s in 0..comptime![tile.per_thread * SUMS] {
            sums[s] = 0.0f32;
        }
        Adjoint {
            rates: Array::<Quad>::new(comptime![tile.per_thread * tile.quads]),
            carry: Array::<Quad>::new(comptime![tile.per_thread * tile.quads]),
            sums,
        }
    }
}

/// Returns the upstream gradient of the loss with respect to the rates of a time step.
#[cube]
fn upstream(from: &From, at: Place, #[comptime] kind: Kind) -> Quad {
    let mut sum = Quad::new(0.0f32);
    if comptime!(kind.has_outputs) {
        sum += load_or_zero(&from.outputs, at);
    }
    if comptime!(kind.has_rates) {
        sum += load_or_zero(&from.rates, at);
    }
    sum
}

/// Returns the gradient of the loss with respect to the final state.
#[cube]
fn final_state(from: &From, at: Place, #[comptime] kind: Kind) -> Quad {
    let mut gradient = Quad::new(0.0f32);
    if comptime!(kind.has_final_state) {
        gradient = load_or_zero(&from.final_state, at);
    }
    gradient
}

/// Returns `g_z` of the thread's `q`-th unit in the `m`-th four trials from the gradient of its rates. Takes `carry` from the next
/// time step to this one, and adds to the sums of the unit.
#[cube]
fn drive_gradient(
    adjoint: &mut Adjoint,
    #[comptime] q: usize,
    #[comptime] m: usize,
    given: &Given,
    from: &From,
    at: Place,
    #[comptime] kind: Kind,
) -> Quad {
    let i = comptime![q * kind.tile.quads + m];
    let first_sum = comptime![q * SUMS];
    let g_r = adjoint.rates[i];
    let carry = adjoint.carry[i];
    let column = min(at.unit, at.units - 1);
    let keep = Quad::new(given.decay[column]);
    let scale = Quad::new(given.gain[column]);
    let mut outside = Quad::new(0.0f32);
    if comptime!(kind.has_potentials) {
        outside = load_or_zero(&from.potentials, at);
    }
    let (g_state, g_z) = if comptime!(kind.form == Form::Voltage) {
        let r = load(&given.history, at.at_row(at.row + at.trials));
        let g_v = fma(slopes(r, kind.activation), g_r, carry + outside);
        (g_v, scale * g_v)
    } else {
        let response = load(&given.responses, at);
        let g = g_r + carry;
        adjoint.sums[first_sum + 2] += total(g * response);
        (
            g,
            fma(slopes(response, kind.activation), scale * g, outside),
        )
    };
    adjoint.carry[i] = keep * g_state;
    adjoint.sums[first_sum] += total(g_z);
    if comptime!(kind.wants_decay) {
        let before = if comptime!(kind.form == Form::Rate) {
            load(&given.history, at)
        } else {
            potential_before(given, at)
        };
        adjoint.sums[first_sum + 1] += total(g_state * before);
    }
    if comptime!(kind.wants_noise_scale) {
        let noise = load(&given.normals, at);
        let g = if comptime!(kind.noise_target == NoiseTarget::Drive) {
            g_z
        } else {
            g_state
        };
        adjoint.sums[first_sum + 3] += total(g * noise);
    }
    g_z
}

/// Returns the potentials before a time step: those of the initial state before the first.
#[cube]
fn potential_before(given: &Given, at: Place) -> Quad {
    let mut v = load(&given.initial_state, at.at_row(0usize.runtime()));
    if at.row > 0 {
        v = load(&given.potentials, at.at_row(at.row - at.trials));
    }
    v
}

/// Returns the gradient of the initial state of the thread's `q`-th unit in the `m`-th four trials, from that of its rates.
#[cube]
fn initial_state_gradient(
    adjoint: &Adjoint,
    #[comptime] q: usize,
    #[comptime] m: usize,
    given: &Given,
    at: Place,
    #[comptime] kind: Kind,
) -> Quad {
    let g_r = adjoint.rates[comptime![q * kind.tile.quads + m]];
    let carry = adjoint.carry[comptime![q * kind.tile.quads + m]];
    if comptime!(kind.form == Form::Voltage) {
        let r = load(&given.history, at);
        fma(slopes(r, kind.activation), g_r, carry)
    } else {
        g_r + carry
    }
}

/// Takes a tile of trials through all time steps, from the last to the first.
#[cube(launch_unchecked)]
fn all_steps(given: &Given, from: &From, found: &mut Found, sizes: &Sizes, #[comptime] kind: Kind) {
    let quads = comptime![kind.tile.quads];
    let per_thread = comptime![kind.tile.per_thread];
    let second = comptime![kind.tile.second_buffer()];
    let mut shared = SharedMemory::<Quad>::new(comptime![kind.tile.shared_quads()]);
    let mut adjoint = Adjoint::new(kind.tile);
    let b = sizes.trials as usize;
    let steps = sizes.steps as usize;
    let first = first_place(sizes, kind.tile);
    #[unroll]
    for q in 0..per_thread {
        #[unroll]
        for m in 0..quads {
            let at = nth_place(first, q, m, kind.tile);
            adjoint.carry[q * quads + m] = final_state(from, at, kind);
            shared[at.unit * quads + m] = Quad::new(0.0f32);
        }
    }
    sync_cube();
    for passed in 0..steps {
        let row = (steps - 1 - passed) * b;
        #[unroll]
        for q in 0..per_thread {
            #[unroll]
            for m in 0..quads {
                let at = nth_place(first, q, m, kind.tile).at_row(row);
                // Read before the sums, which take long enough for it to arrive.
                adjoint.rates[q * quads + m] = upstream(from, at, kind);
            }
        }
        let read = (passed % 2) * second;
        let write = second - read;
        let back = &mut adjoint.rates;
        accumulate_resident(back, &given.w, &mut shared, read, first, kind.tile);
        #[unroll]
        for q in 0..per_thread {
            #[unroll]
            for m in 0..quads {
                let at = nth_place(first, q, m, kind.tile).at_row(row);
                let g_z = drive_gradient(&mut adjoint, q, m, given, from, at, kind);
                shared[write + at.unit * quads + m] = g_z;
                store(&mut found.drive, g_z, at);
            }
        }
        sync_cube();
    }
    #[unroll]
    for i in 0..comptime![kind.tile.per_thread * kind.tile.quads] {
        adjoint.rates[i] = Quad::new(0.0f32);
    }
    let read = (steps % 2) * second;
    let back = &mut adjoint.rates;
    accumulate_resident(back, &given.w, &mut shared, read, first, kind.tile);
    #[unroll]
    for q in 0..per_thread {
        #[unroll]
        for m in 0..quads {
            let at = nth_place(first, q, m, kind.tile);
            let g = initial_state_gradient(&adjoint, q, m, given, at, kind);
            store(&mut found.initial_state, g, at);
        }
        write_sums(&adjoint.sums, q, first, found, kind);
    }
}

/// Returns the place of the first sum of the thread's `q`-th unit for the tile of trials of this cube. The others follow N apart.
#[cube]
fn sums_at(first: Place, #[comptime] q: usize, #[comptime] tile: Tile) -> usize {
    let unit = first.unit + comptime![q * tile.threads];
    CUBE_POS_X as usize * comptime![SUMS] * first.units + min(unit, first.units - 1)
}

/// Writes the sums of the thread's `q`-th unit.
#[cube]
fn write_sums(
    sums: &Array<f32>,
    #[comptime] q: usize,
    first: Place,
    found: &mut Found,
    #[comptime] kind: Kind,
) {
    if first.unit + comptime![q * kind.tile.threads] < first.units {
        let at = sums_at(first, q, kind.tile);
        #[unroll]
        for s in 0..comptime![SUMS] {
            found.units[at + s * first.units] = sums[comptime![q * SUMS] + s];
        }
    }
}

/// Reads the sums of the thread's `q`-th unit that the launch before wrote.
#[cube]
fn read_sums(
    sums: &mut Array<f32>,
    #[comptime] q: usize,
    first: Place,
    found: &Found,
    #[comptime] kind: Kind,
) {
    let at = sums_at(first, q, kind.tile);
    #[unroll]
    for s in 0..comptime![SUMS] {
        sums[comptime![q * SUMS] + s] = found.units[at + s * first.units];
    }
}

/// Time step of a launch, where each time step is a launch of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum StepKind {
    /// Last time step, where the backward sweep starts.
    Last,
    Inner,
    /// Step after the first time step: the gradient of the initial state.
    Initial,
}

/// Takes a tile of trials and units through one time step, or computes the gradient of the initial state. `carry` is in the buffer
/// of the latter; sums continue from the previous launch.
#[cube(launch_unchecked)]
fn one_step(
    given: &Given,
    from: &From,
    found: &mut Found,
    time: u32,
    sizes: &Sizes,
    #[comptime] kind: Kind,
    #[comptime] step: StepKind,
) {
    let quads = comptime![kind.tile.quads];
    let per_thread = comptime![kind.tile.per_thread];
    let mut shared = SharedMemory::<Quad>::new(comptime![kind.tile.shared_quads()]);
    let mut adjoint = Adjoint::new(kind.tile);
    let b = sizes.trials as usize;
    let row = time as usize * b;
    let first = first_place(sizes, kind.tile);
    #[unroll]
    for q in 0..per_thread {
        #[unroll]
        for m in 0..quads {
            let at = nth_place(first, q, m, kind.tile);
            if comptime!(step == StepKind::Initial) {
                adjoint.rates[q * quads + m] = Quad::new(0.0f32);
            } else {
                adjoint.rates[q * quads + m] = upstream(from, at.at_row(row), kind);
            }
            if comptime!(step == StepKind::Last) {
                adjoint.carry[q * quads + m] = final_state(from, at, kind);
            } else {
                adjoint.carry[q * quads + m] = load_or_zero(&found.initial_state, at);
            }
        }
        if comptime!(step != StepKind::Last) {
            read_sums(&mut adjoint.sums, q, first, found, kind);
        }
    }
    if comptime!(step != StepKind::Last) {
        let next = if comptime!(step == StepKind::Initial) {
            first.at_row(row)
        } else {
            first.at_row(row + b)
        };
        let (back, source) = (&mut adjoint.rates, &found.drive);
        accumulate_staged(back, &given.w, &mut shared, source, next, kind.tile);
    }
    #[unroll]
    for q in 0..per_thread {
        #[unroll]
        for m in 0..quads {
            let at = nth_place(first, q, m, kind.tile);
            if comptime!(step == StepKind::Initial) {
                let g = initial_state_gradient(&adjoint, q, m, given, at, kind);
                store(&mut found.initial_state, g, at);
            } else {
                let now = at.at_row(row);
                let g_z = drive_gradient(&mut adjoint, q, m, given, from, now, kind);
                store(&mut found.drive, g_z, now);
                store(&mut found.initial_state, adjoint.carry[q * quads + m], at);
            }
        }
        if comptime!(step != StepKind::Initial) {
            write_sums(&adjoint.sums, q, first, found, kind);
        }
    }
}

/// Results of the time loop.
pub(super) struct Loop {
    /// `g_z [T, B, N]`
    pub(super) drive: Handle,
    pub(super) initial_state: UnitState<Handle>,
    /// Bias, decay, gain, noise scale `[4, N]`, a part for each tile of trials.
    pub(super) units: Parts,
}

/// Runs the time loop; `upstream.outputs` are gradients of the rates by way of the readout, `[T, B, N]`, and `normals`
/// those of `eps` where the gradient of the noise scale is wanted.
pub(super) fn run<R: Runtime>(
    client: &ComputeClient<R>,
    sweep: &SweepBuffers,
    trajectory: &TrajectoryBuffers,
    upstream: &UpstreamBuffers,
    wants_decay: bool,
    normals: Option<&Handle>,
) -> Loop {
    let shape = &sweep.shape;
    let kind = Kind {
        wants_decay,
        wants_noise_scale: normals.is_some(),
        ..Kind::new(Tile::of(client, shape), sweep, upstream)
    };
    let empty = |n: usize| client.empty(n * size_of::<f32>());
    let tiles = kind.tile.trial_tiles(shape);
    let results = Loop {
        drive: empty(shape.states()),
        initial_state: UnitState {
            activity: empty(shape.state()),
            utilisation: empty(1),
            resources: empty(1),
        },
        units: Parts {
            handle: empty(tiles * SUMS * shape.units),
            n_parts: tiles,
            length: SUMS * shape.units,
        },
    };
    let given = || given::<R>(sweep, trajectory, normals);
    let from = || from::<R>(sweep, upstream);
    let found = || found::<R>(&results, shape);
    let (cubes, dim) = (kind.tile.cubes(shape), kind.tile.dim());
    if kind.tile.resident {
        count(|launches| &mut launches.backward);
        let (found, sizes) = (found(), sizes(shape));
        // SAFETY: units, trials and time steps are within the buffers; `load` and `store` bound the last tile, and cubes of a launch
        // write units and trials of their own.
        unsafe {
            all_steps::launch_unchecked::<R>(
                client,
                cubes,
                dim,
                given(),
                from(),
                found,
                sizes,
                kind,
            );
        }
    } else {
        for (time, step) in launches_of_steps(shape.steps as u32) {
            count(|launches| &mut launches.backward);
            let (cubes, found, sizes) = (cubes.clone(), found(), sizes(shape));
            // SAFETY: as above.
            unsafe {
                one_step::launch_unchecked::<R>(
                    client,
                    cubes,
                    dim,
                    given(),
                    from(),
                    found,
                    time,
                    sizes,
                    kind,
                    step,
                );
            }
        }
    }
    results
}

/// Returns the time step and the kind of each launch, in order.
fn launches_of_steps(steps: u32) -> impl Iterator<Item = (u32, StepKind)> {
    let inner = (0..steps - 1).rev().map(|time| (time, StepKind::Inner));
    std::iter::once((steps - 1, StepKind::Last))
        .chain(inner)
        .chain([(0, StepKind::Initial)])
}

impl Kind {
    /// Returns the properties that follow from the sweep and its loss.
    fn new(tile: Tile, sweep: &SweepBuffers, upstream: &UpstreamBuffers) -> Self {
        Self {
            tile,
            form: sweep.form,
            activation: sweep.activation,
            noise_target: sweep.noise_target,
            has_outputs: upstream.outputs.is_some(),
            has_rates: upstream.rates.is_some(),
            has_potentials: upstream.potentials.is_some(),
            has_final_state: upstream.final_state.activity.is_some(),
            wants_decay: false,
            wants_noise_scale: false,
        }
    }
}

fn found<R: Runtime>(results: &Loop, shape: &Shape) -> FoundLaunch<R> {
    FoundLaunch::new(
        array(&results.drive, shape.states()),
        array(&results.initial_state.activity, shape.state()),
        array(
            &results.units.handle,
            results.units.n_parts * results.units.length,
        ),
    )
}

/// Returns a buffer as an argument; where there is none, a shorter one that is not read.
fn optional<R: Runtime>(sweep: &SweepBuffers, handle: Option<&Handle>, len: usize) -> ArrayArg<R> {
    match handle {
        Some(handle) => array(handle, len),
        None => array(&sweep.operands.decay, sweep.shape.units),
    }
}

fn given<R: Runtime>(
    sweep: &SweepBuffers,
    trajectory: &TrajectoryBuffers,
    normals: Option<&Handle>,
) -> GivenLaunch<R> {
    let (shape, operands) = (&sweep.shape, &sweep.operands);
    GivenLaunch::new(
        array(&sweep.w_backward, sweep.weights()),
        array(&operands.decay, shape.units),
        array(&operands.gain, shape.units),
        array(&trajectory.rates, shape.history()),
        optional(sweep, trajectory.responses.as_ref(), shape.states()),
        optional(sweep, trajectory.potentials.as_ref(), shape.states()),
        array(&operands.initial_state.activity, shape.state()),
        optional(sweep, normals, shape.states()),
    )
}

fn from<R: Runtime>(sweep: &SweepBuffers, upstream: &UpstreamBuffers) -> FromLaunch<R> {
    let (states, state) = (sweep.shape.states(), sweep.shape.state());
    FromLaunch::new(
        optional(sweep, upstream.outputs.as_ref(), states),
        optional(sweep, upstream.rates.as_ref(), states),
        optional(sweep, upstream.potentials.as_ref(), states),
        optional(sweep, upstream.final_state.activity.as_ref(), state),
    )
}
