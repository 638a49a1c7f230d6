//! The forward sweep.

use std::ops::Range;

use super::activation::for_activation;
use super::bands::{BandProduct, Bands, Columns, Past};
use super::moments::{self, Moments, TileMoments};
use super::noise::Noise;
use super::rows::{
    Rows, add_noise, add_products, padded_rows, projection_rows, transposed_rows, write_dots,
    write_rows,
};
use super::synapses::{SynapseState, Synapses, kept_every, kept_synapses};
use super::tile::{Tile, Tiles, for_each};
use crate::operands::{SweepResults, UnitState, assert_len};
use crate::shape::Shape;
use crate::simd::{Element, GROUP, Job, Simd, Term, dots, each_vector, groups, groups_mut, padded};
use crate::sweep::{Form, NoiseTarget, SweepSlices};
use crate::workspace::{Scratch, Workspace};

/// Destinations of the results of a forward sweep; results without one are not computed. Index k of a trial is the state after
/// input k.
///
/// The backward sweep needs `rates`, in the rate form also `responses`, and in the voltage form `potentials` if the gradient of
/// decay is wanted. In `f32` these are 4 bytes each per trial, unit and time step.
#[derive(Debug)]
pub struct TrajectorySlices<'a, E> {
    /// Rates `[T + 1, B, N]`; the first are those of the initial state.
    pub rates: Option<&'a mut [E]>,
    /// `f(z)` `[T, B, N]`; rate form only.
    pub responses: Option<&'a mut [E]>,
    /// Potentials `[T, B, N]`: `v` in the voltage form, `z` in the rate form.
    pub potentials: Option<&'a mut [E]>,
    /// Readout `[T, B, O]`.
    pub outputs: Option<&'a mut [E]>,
    /// Utilisation `[T, B, N]` of short-term plasticity.
    pub utilisation: Option<&'a mut [E]>,
    /// Resources `[T, B, N]` of short-term plasticity.
    pub resources: Option<&'a mut [E]>,
    /// Utilisation and resources that the backward sweep needs: those before every few time steps
    /// ([`kept_synapses`](crate::kept_synapses)).
    pub kept_synapses: Option<[&'a mut [E]; 2]>,
    /// Sums of each unit's rates, of their absolute values and of their squares, `[N]`, over the time steps of all trials.
    pub moments: Option<[&'a mut [E]; 3]>,
    /// State after the last time step.
    pub final_state: UnitState<Option<&'a mut [E]>>,
}

impl<E> Default for TrajectorySlices<'_, E> {
    fn default() -> Self {
        Self {
            rates: None,
            responses: None,
            potentials: None,
            outputs: None,
            utilisation: None,
            resources: None,
            kept_synapses: None,
            moments: None,
            final_state: UnitState::default(),
        }
    }
}

impl<E> TrajectorySlices<'_, E> {
    fn assert_lens(&self, sweep: &SweepSlices<'_, E>) {
        let (shape, form) = (&sweep.shape, sweep.form);
        let moments = self.moments.as_ref();
        let moment = |k: usize| moments.map(|moments| &*moments[k]);
        let results = SweepResults {
            rate_sums: moment(0),
            rate_sizes: moment(1),
            rate_squares: moment(2),
            outputs: self.outputs.as_deref(),
            rates: None,      // has a row more
            rate_terms: None, // see `rate_terms`
            potentials: self.potentials.as_deref(),
            utilisation: self.utilisation.as_deref(),
            resources: self.resources.as_deref(),
            final_state: self.final_state.each_ref().map(Option::as_deref),
        };
        results.assert_lens(shape);
        if let Some(rates) = &self.rates {
            assert_len("rates", rates, shape.history());
        }
        for kept in self.kept_synapses.iter().flatten() {
            assert_len("kept synapses", kept, kept_synapses(shape, sweep.delays));
        }
        if let Some(responses) = &self.responses {
            assert_len("responses", responses, shape.states());
            assert!(form == Form::Rate, "responses exist in the rate form only");
        }
    }
}

/// Implements [`forward`](crate::forward) for every path.
pub(crate) fn forward<E: Element>(
    sweep: &SweepSlices<'_, E>,
    trajectory: TrajectorySlices<'_, E>,
    workspace: &Workspace<E>,
) {
    sweep.assert_lens();
    let shape = &sweep.shape;
    trajectory.assert_lens(sweep);
    let plan = E::dispatch(workspace.path(), MakePlan { sweep, workspace });
    let tiles = Tiles::new(shape, sweep.lengths);
    let mut rates = tiles.split(trajectory.rates, shape.units);
    let mut responses = tiles.split(trajectory.responses, shape.units);
    let mut potentials = tiles.split(trajectory.potentials, shape.units);
    let mut outputs = tiles.split(trajectory.outputs, shape.outputs);
    let mut utilisation = tiles.split(trajectory.utilisation, shape.synapses);
    let mut resources = tiles.split(trajectory.resources, shape.synapses);
    let [kept_u, kept_x] = trajectory
        .kept_synapses
        .map_or([None, None], |kept| kept.map(Some));
    let mut kept_u = tiles.split(kept_u, shape.synapses);
    let mut kept_x = tiles.split(kept_x, shape.synapses);
    let mut final_state = tiles.split_state(trajectory.final_state, shape);
    let jobs = tiles
        .iter()
        .map(|tile| TileJob {
            plan: &plan,
            tile,
            rates: rates.next().flatten(),
            responses: responses.next().flatten(),
            potentials: potentials.next().flatten(),
            outputs: outputs.next().flatten(),
            utilisation: utilisation.next().flatten(),
            resources: resources.next().flatten(),
            kept_synapses: [kept_u.next().flatten(), kept_x.next().flatten()],
            moments: (trajectory.moments.as_ref())
                .map(|_| TileMoments::new(workspace, shape.units)),
            final_state: final_state.each_mut().map(|rows| rows.next().flatten()),
        })
        .collect();
    let moments = for_each(jobs, |job: TileJob<'_, E>| {
        E::dispatch(workspace.path(), job)
    });
    if let Some(to) = trajectory.moments {
        moments::write(moments.into_iter().flatten(), to);
    }
}

/// Part of the forward sweep that all tiles share: weights and vectors in the layout of the path, padded with zeros.
struct Plan<'a, E: Element> {
    sweep: &'a SweepSlices<'a, E>,
    workspace: &'a Workspace<E>,
    /// `w_rc` above `W_in` above the left factor, transposed, with the scale of the drive.
    weights: Bands<'a, E>,
    /// Right factor, transposed and divided by N: a row for each dimension.
    right: Scratch<'a, E>,
    bias: Scratch<'a, E>,
    decay: Scratch<'a, E>,
    gain: Scratch<'a, E>,
    noise_scale: Scratch<'a, E>,
    w_out: Scratch<'a, E>,
    /// A zero for each dimension of the factors.
    zeros: Scratch<'a, E>,
    synapses: Option<Synapses<'a, E>>,
}

struct MakePlan<'a, E: Element> {
    sweep: &'a SweepSlices<'a, E>,
    workspace: &'a Workspace<E>,
}

impl<'a, E: Element> Job<E> for MakePlan<'a, E> {
    type Output = Plan<'a, E>;

    #[inline(always)]
    fn run<S: Simd<Elem = E>>(self) -> Plan<'a, E> {
        let (sweep, workspace) = (self.sweep, self.workspace);
        let Shape {
            units,
            inputs,
            rank,
            ..
        } = sweep.shape;
        let operands = &sweep.operands;
        let entry = |part: usize, pre: usize, post: usize| {
            let weight = match part {
                0 => operands.w_rc[post * units + pre],
                1 => operands.w_in[post * inputs + pre],
                _ => operands.left[post * rank + pre],
            };
            sweep.drive_scale(post) * weight
        };
        let depths = [sweep.shape.full_rows(), inputs, rank];
        let weights = Bands::new::<S>(workspace, sweep.delays, Columns::Post, depths, units, entry);
        Plan {
            sweep,
            workspace,
            weights,
            right: projection_rows(workspace, sweep),
            bias: transposed_rows(workspace, units, 1, |unit, _| {
                sweep.drive_scale(unit) * operands.bias[unit]
            }),
            decay: padded_rows(workspace, operands.decay, units),
            gain: padded_rows(workspace, operands.gain, units),
            noise_scale: padded_rows(workspace, operands.noise_scale, units),
            w_out: padded_rows(workspace, operands.w_out, units),
            zeros: workspace.zeros(rank),
            synapses: Synapses::new(sweep, workspace),
        }
    }
}

impl<E: Element> Plan<'_, E> {
    /// Adds `noise_scale n`, if there is noise, to the row of a trial.
    #[inline(always)]
    fn add_noise<S: Simd<Elem = E>>(&self, to: &mut [E], noise: Option<&[E]>, row: Range<usize>) {
        if let Some(noise) = noise {
            let to = &mut to[row.clone()];
            add_products::<S>(to, &self.noise_scale, &noise[row]);
        }
    }
}

/// Forward sweep of one tile.
struct TileJob<'a, E: Element> {
    plan: &'a Plan<'a, E>,
    tile: Tile<'a>,
    rates: Rows<'a, E>,
    responses: Rows<'a, E>,
    potentials: Rows<'a, E>,
    outputs: Rows<'a, E>,
    utilisation: Rows<'a, E>,
    resources: Rows<'a, E>,
    kept_synapses: [Rows<'a, E>; 2],
    moments: Option<TileMoments<'a, E>>,
    final_state: UnitState<Rows<'a, E>>,
}

/// State of a tile, a row of [`padded`] units for each trial.
struct State<'a, E: Element> {
    /// `v`; voltage form only.
    potentials: Scratch<'a, E>,
    /// `f(z)`; rate form only.
    responses: Scratch<'a, E>,
    rates: Scratch<'a, E>,
    /// Projections of the rates onto the right factor, a row of R numbers for each trial.
    kappa: Scratch<'a, E>,
    /// Drive of the next state, as the products return it.
    drive: Scratch<'a, E>,
    /// State of the synapses; with short-term plasticity only.
    synapses: Option<SynapseState<'a, E>>,
    /// Rates of earlier time steps; with delays only.
    past: Option<Past<'a, E>>,
    /// Inputs of a time step, where those of the tile do not stand together in the batch.
    inputs: Scratch<'a, E>,
}

impl<E: Element> State<'_, E> {
    /// Keeps what the recurrent weights see in time step `t` for the connections that will take it later.
    fn remember(&mut self, t: usize) {
        if let Some(past) = &mut self.past {
            past.set(t, seen(&self.synapses, &self.rates));
        }
    }
}

/// Returns what the recurrent weights see: the transmitted rates where synapses are plastic, otherwise the rates.
fn seen<'s, E: Element>(synapses: &'s Option<SynapseState<'_, E>>, rates: &'s [E]) -> &'s [E] {
    synapses
        .as_ref()
        .map_or(rates, |synapses| &synapses.transmitted)
}

impl<E: Element> Job<E> for TileJob<'_, E> {
    /// Sums of the rates, if they are wanted.
    type Output = Option<Moments<Vec<f64>>>;

    #[inline(always)]
    fn run<S: Simd<Elem = E>>(mut self) -> Self::Output {
        let (sweep, workspace) = (self.plan.sweep, self.plan.workspace);
        let mut eps = Noise::new(workspace, sweep.used_eps(), self.tile, &sweep.shape);
        let mut readout = Readout::new(self.plan, self.tile);
        let mut state = self.initial_state::<S>();
        for t in 0..sweep.shape.steps {
            let n_rows = self.tile.active(t);
            if n_rows == 0 {
                break;
            }
            self.advance_synapses::<S>(&mut state, t, n_rows);
            state.remember(t);
            self.drive::<S>(&mut state, t, n_rows);
            let noise = eps.as_mut().map(|eps| eps.at(t));
            match sweep.form {
                Form::Voltage => self.update_potentials::<S>(&mut state, noise, t, n_rows),
                Form::Rate => self.update_rates::<S>(&mut state, noise, t, n_rows),
            }
            let rates = &state.rates[..n_rows * padded(sweep.shape.units)];
            if let Some(moments) = &mut self.moments {
                moments.add::<S>(rates);
            }
            if self.outputs.is_some() {
                readout.write::<S>(self.plan, rates, t, &mut self.outputs);
            }
        }
        self.write_final_state::<S>(&state);
        self.clear_padding();
        self.moments.map(TileMoments::totals)
    }
}

impl<'a, E: Element> TileJob<'a, E> {
    #[inline(always)]
    fn initial_state<S: Simd<Elem = E>>(&mut self) -> State<'a, E> {
        let sweep = self.plan.sweep;
        let (units, stride) = (sweep.shape.units, padded(sweep.shape.units));
        let rows = |width: usize| self.plan.workspace.zeros(self.tile.len() * width);
        let zeros = || rows(stride);
        let mut state = State {
            potentials: zeros(),
            responses: zeros(),
            rates: zeros(),
            kappa: rows(sweep.shape.rank),
            drive: zeros(),
            synapses: (self.plan.synapses.as_ref())
                .map(|_| SynapseState::initial(sweep, self.tile, self.plan.workspace)),
            past: sweep.delays.map(|delays| {
                let len = self.tile.len() * stride;
                Past::new(self.plan.workspace, delays, sweep.shape.steps, len)
            }),
            inputs: rows(sweep.shape.inputs),
        };
        let start = match sweep.form {
            Form::Voltage => &mut state.potentials,
            Form::Rate => &mut state.rates,
        };
        for (m, row) in start.chunks_exact_mut(stride).enumerate() {
            let initial = sweep.initial_state(self.tile.trial(m));
            row[..units].copy_from_slice(initial);
        }
        if sweep.form == Form::Voltage {
            let f = sweep.activation;
            f.write_rates::<S>(&state.potentials, &mut state.rates);
        }
        write_rows::<S>(&mut self.rates, 0, &state.rates, units);
        state
    }

    /// Takes the synapses, where they are plastic, through time step `t`, by the rates before it.
    #[inline(always)]
    fn advance_synapses<S: Simd<Elem = E>>(
        &mut self,
        state: &mut State<'_, E>,
        t: usize,
        n_rows: usize,
    ) {
        let (Some(constants), Some(synapses)) = (&self.plan.synapses, &mut state.synapses) else {
            return;
        };
        let units = self.plan.sweep.shape.units;
        let active = ..n_rows * padded(units);
        let every = kept_every(self.plan.sweep.delays);
        if t.is_multiple_of(every) {
            let [utilisation, resources] = &mut self.kept_synapses;
            write_rows::<S>(utilisation, t / every, &synapses.utilisation[active], units);
            write_rows::<S>(resources, t / every, &synapses.resources[active], units);
        }
        constants.advance::<S>(synapses, &state.rates[active], units);
        write_rows::<S>(
            &mut self.utilisation,
            t,
            &synapses.utilisation[active],
            units,
        );
        write_rows::<S>(&mut self.resources, t, &synapses.resources[active], units);
    }

    /// Computes the projections `kappa = right' r / N`; the transmitted rates take the place of `r` where synapses are plastic.
    #[inline(always)]
    fn project_rates<S: Simd<Elem = E>>(&self, state: &mut State<'_, E>, n_rows: usize) {
        let units = self.plan.sweep.shape.units;
        dots::<S>(
            &self.plan.right,
            &self.plan.zeros,
            seen(&state.synapses, &state.rates),
            units,
            &mut state.kappa,
            n_rows,
        );
    }

    /// Computes `drive = scale (W_rc r + W_in u + b)`, where `W_rc r = w_rc r + left kappa`; the transmitted rates take the place of `r`
    /// where synapses are plastic.
    #[inline(always)]
    fn drive<S: Simd<Elem = E>>(&self, state: &mut State<'_, E>, t: usize, n_rows: usize) {
        let (sweep, shape) = (self.plan.sweep, &self.plan.sweep.shape);
        if shape.rank > 0 {
            self.project_rates::<S>(state, n_rows);
        }
        let (seen, past) = (seen(&state.synapses, &state.rates), &state.past);
        let place = [t, shape.trials, shape.inputs];
        let inputs = (self.tile).gather(sweep.operands.inputs, place, n_rows, &mut state.inputs);
        self.plan.weights.product::<S, _>(BandProduct {
            rows: |delay| match (sweep.delays, past) {
                (Some(delays), Some(past)) => past.at(t.saturating_sub(delays.steps()[delay])),
                _ => seen,
            },
            stride: padded(shape.units),
            others: [
                Term::new(inputs, shape.inputs),
                Term::new(&state.kappa, shape.rank),
            ],
            start: &self.plan.bias,
            out: &mut state.drive,
            n_rows,
        });
    }

    /// Computes the next state from the drives in the voltage form: `v = decay v + drive + noise_scale n`, `r = f(v)`.
    #[inline(always)]
    fn update_potentials<S: Simd<Elem = E>>(
        &mut self,
        state: &mut State<'_, E>,
        noise: Option<&[E]>,
        t: usize,
        n_rows: usize,
    ) {
        let units = self.plan.sweep.shape.units;
        let (stride, width) = (padded(units), units.next_multiple_of(GROUP));
        let decay = groups(&self.plan.decay[..width]);
        for m in 0..n_rows {
            let row = m * stride..m * stride + width;
            self.plan
                .add_noise::<S>(&mut state.drive, noise, row.clone());
            let drive = groups(&state.drive[row.clone()]);
            let potentials = groups_mut(&mut state.potentials[row.clone()]);
            let rates = groups_mut(&mut state.rates[row]);
            for_activation!(self.plan.sweep.activation, f => each_vector!(S, decay.len(), |g, lane| {
                let kept = S::load(&potentials[g], lane);
                let v = S::load(&decay[g], lane).mul_add(kept, S::load(&drive[g], lane));
                let v = v.without_negligible();
                v.store(&mut potentials[g], lane);
                f.rates(v).store(&mut rates[g], lane);
            }));
        }
        let active = ..n_rows * stride;
        write_rows::<S>(&mut self.potentials, t, &state.potentials[active], units);
        write_rows::<S>(&mut self.rates, t + 1, &state.rates[active], units);
    }

    /// Computes the next state from the drives in the rate form: `r = decay r + gain f(z)`, with `noise_scale n` added to `z` or to
    /// `r`.
    #[inline(always)]
    fn update_rates<S: Simd<Elem = E>>(
        &mut self,
        state: &mut State<'_, E>,
        noise: Option<&[E]>,
        t: usize,
        n_rows: usize,
    ) {
        let (plan, sweep) = (self.plan, self.plan.sweep);
        let units = sweep.shape.units;
        let (stride, width) = (padded(units), units.next_multiple_of(GROUP));
        let (in_drive, in_state) = match sweep.noise_target {
            NoiseTarget::Drive => (noise, None),
            NoiseTarget::State => (None, noise),
        };
        let (decay, gain) = (groups(&plan.decay[..width]), groups(&plan.gain[..width]));
        for m in 0..n_rows {
            let row = m * stride..m * stride + width;
            plan.add_noise::<S>(&mut state.drive, in_drive, row.clone());
            let z = groups(&state.drive[row.clone()]);
            let responses = groups_mut(&mut state.responses[row.clone()]);
            let rates = groups_mut(&mut state.rates[row.clone()]);
            for_activation!(sweep.activation, f => each_vector!(S, decay.len(), |g, lane| {
                let response = f.rates(S::load(&z[g], lane));
                let kept = S::load(&decay[g], lane) * S::load(&rates[g], lane);
                response.store(&mut responses[g], lane);
                let r = S::load(&gain[g], lane).mul_add(response, kept);
                r.without_negligible().store(&mut rates[g], lane);
            }));
            plan.add_noise::<S>(&mut state.rates, in_state, row);
        }
        let active = ..n_rows * stride;
        write_rows::<S>(&mut self.potentials, t, &state.drive[active], units);
        write_rows::<S>(&mut self.responses, t, &state.responses[active], units);
        write_rows::<S>(&mut self.rates, t + 1, &state.rates[active], units);
    }

    #[inline(always)]
    fn write_final_state<S: Simd<Elem = E>>(&mut self, state: &State<'_, E>) {
        let units = self.plan.sweep.shape.units;
        let rows = match self.plan.sweep.form {
            Form::Voltage => &state.potentials,
            Form::Rate => &state.rates,
        };
        write_rows::<S>(&mut self.final_state.activity, 0, rows, units);
        if let Some(synapses) = &state.synapses {
            let to = &mut self.final_state;
            write_rows::<S>(&mut to.utilisation, 0, &synapses.utilisation, units);
            write_rows::<S>(&mut to.resources, 0, &synapses.resources, units);
        }
    }

    /// Writes zeros for the time steps after the end of each trial until the tile's longest one ends: the backward sweep reads those.
    fn clear_padding(&mut self) {
        if self.tile.is_of_one_length() {
            return;
        }
        let every = kept_every(self.plan.sweep.delays);
        let [kept_u, kept_x] = &mut self.kept_synapses;
        let (longest, n_trials) = (self.tile.longest(), self.tile.len());
        clear_from(&mut self.rates, [longest + 1, n_trials], |t| match t {
            0 => self.tile.len(), // the initial state
            t => self.tile.active(t - 1),
        });
        let kept = longest.div_ceil(every);
        clear_from(kept_u, [kept, n_trials], |k| self.tile.active(k * every));
        clear_from(kept_x, [kept, n_trials], |k| self.tile.active(k * every));
        for rows in [
            &mut self.responses,
            &mut self.potentials,
            &mut self.outputs,
            &mut self.utilisation,
            &mut self.resources,
        ] {
            clear_from(rows, [longest, n_trials], |t| self.tile.active(t));
        }
    }
}

/// Writes zeros to the rows of the first `times` times, at each from the row whose number `first` returns.
fn clear_from<E: Element>(
    rows: &mut Rows<'_, E>,
    [times, n_trials]: [usize; 2],
    first: impl Fn(usize) -> usize,
) {
    let Some(rows) = rows else { return };
    for t in 0..times {
        let chunks = rows.at(t);
        if let [whole] = chunks {
            let width = whole.len() / n_trials;
            whole[first(t) * width..].fill(E::default());
            continue;
        }
        for row in &mut chunks[first(t)..] {
            row.fill(E::default());
        }
    }
}

/// Readout `y = W_out (r + sigma_post xi) + b_out`.
struct Readout<'a, E: Element> {
    noise: Option<Noise<'a, E>>,
    /// `r + sigma_post xi`, where there is noise.
    noisy_rates: Scratch<'a, E>,
    /// Outputs of a time step.
    outputs: Scratch<'a, E>,
}

impl<'a, E: Element> Readout<'a, E> {
    fn new(plan: &Plan<'a, E>, tile: Tile<'a>) -> Self {
        let (sweep, workspace) = (plan.sweep, plan.workspace);
        Self {
            noise: Noise::new(workspace, sweep.used_xi(), tile, &sweep.shape),
            noisy_rates: workspace.zeros(tile.len() * padded(sweep.shape.units)),
            outputs: workspace.zeros(tile.len() * sweep.shape.outputs),
        }
    }

    #[inline(always)]
    fn write<S: Simd<Elem = E>>(
        &mut self,
        plan: &Plan<'_, E>,
        rates: &[E],
        t: usize,
        to: &mut Rows<'_, E>,
    ) {
        let units = plan.sweep.shape.units;
        let mut rows = rates;
        if let Some(noise) = &mut self.noise {
            add_noise::<S>(
                &mut self.noisy_rates[..rates.len()],
                rates,
                plan.sweep.sigma_post,
                noise.at(t),
            );
            rows = &self.noisy_rates[..rates.len()];
        }
        let n_rows = rates.len() / padded(units);
        let matrix = [&*plan.w_out, plan.sweep.operands.bias_out];
        write_dots::<S>(to, t, &mut self.outputs, matrix, rows, units, n_rows);
    }
}
