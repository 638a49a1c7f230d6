//! The backward sweep (BPTT).

mod history;
mod later;
mod omega;
mod plan;
mod replay;
mod sums;

use super::activation::for_activation;
use super::bands::BandProduct;
use super::noise::Noise;
use super::rate_terms::AddSlopes;
use super::rows::{Rows, add, add_products, write_dots, write_rows};
use super::synapses::StepGradients;
use super::tile::{Tile, Tiles, for_each};
use crate::operands::{GradientSlices, UnitState, UpstreamSlices};
use crate::shape::Shape;
use crate::simd::{
    Element, GROUP, Job, Product, Simd, Term, dots, each_vector, groups, groups_mut, padded,
};
use crate::sweep::{Form, NoiseSource, NoiseTarget, SweepSlices};
use crate::workspace::{Scratch, Workspace};
use crate::{Activation, OmegaTerm};
use history::History;
use later::LaterDrives;
use omega::{OmegaSums, TileOmega};
pub use plan::Saved;
use plan::{MakePlan, Plan, WantedSums};
use sums::{Sums, plus, write, zero_sums};

/// Rows (time steps times trials) that a weight gradient is summed over at once: deep enough to keep the registers busy, few enough
/// to stay in the cache.
const BLOCK_ROWS: usize = 256;

/// Implements [`backward`](crate::backward) and [`backward_with_omega`](crate::backward_with_omega) for every path; returns the value of
/// Omega if it is requested.
pub(crate) fn backward<E: Element>(
    sweep: &SweepSlices<'_, E>,
    saved: &Saved<'_, E>,
    upstream: &UpstreamSlices<'_, E>,
    mut gradients: GradientSlices<'_, E>,
    omega: Option<&OmegaTerm>,
    workspace: &Workspace<E>,
) -> Option<f64> {
    if omega.is_some() {
        assert_fits_omega(sweep);
    }
    sweep.assert_lens();
    saved.assert_lens(sweep, gradients.decay.is_some());
    upstream.assert_lens(&sweep.shape);
    gradients.assert_lens(&sweep.shape);
    let wanted = WantedSums::by(&gradients, sweep, upstream);
    let make = MakePlan {
        sweep,
        saved,
        upstream,
        wanted,
        omega: omega.copied(),
        workspace,
    };
    let tiles = Tiles::new(&sweep.shape, sweep.lengths);
    let plan = E::dispatch(workspace.path(), make);
    let inputs = gradients.inputs.take();
    let initial_state = std::mem::take(&mut gradients.initial_state);
    let jobs = tile_jobs(&plan, &tiles, inputs, initial_state);
    let sums = for_each(jobs, |job: TileJob<'_, E>| {
        E::dispatch(workspace.path(), job)
    });
    let total = sums.into_iter().reduce(|(sums, omega), (others, other)| {
        let omega = omega
            .zip(other.as_ref())
            .map(|(own, other)| own.plus(other));
        (plus(sums, others), omega)
    });
    let (total, of_omega) = total.expect("a batch has at least one tile");
    let destinations = gradients.each_mut().map(Option::as_deref_mut);
    write(&total, sweep, destinations);
    let (of_omega, term) = of_omega.zip(omega)?;
    Some(of_omega.finish(term, sweep, gradients.w_rc))
}

/// Asserts that Omega is defined for the network of a sweep.
fn assert_fits_omega<E>(sweep: &SweepSlices<'_, E>) {
    let shape = &sweep.shape;
    assert!(
        sweep.form == Form::Voltage && shape.rank == 0 && !shape.without_full,
        "Omega is computed in the voltage form, with a full matrix"
    );
    assert!(
        shape.synapses == 0 && sweep.delays.is_none(),
        "Omega is computed without plasticity and delays"
    );
}

/// Returns the sweep of each tile, with the tile's part of the gradients that are not sums.
fn tile_jobs<'a, E: Element>(
    plan: &'a Plan<'a, E>,
    tiles: &'a Tiles,
    inputs: Option<&'a mut [E]>,
    initial_state: UnitState<Option<&'a mut [E]>>,
) -> Vec<TileJob<'a, E>> {
    let shape = &plan.sweep.shape;
    let mut inputs = tiles.split(inputs, shape.inputs);
    let mut initial_state = tiles.split_state(initial_state, shape);
    tiles
        .iter()
        .map(|tile| TileJob {
            plan,
            tile,
            inputs: inputs.next().flatten(),
            initial_state: initial_state.each_mut().map(|rows| rows.next().flatten()),
        })
        .collect()
}

/// Backward sweep of one tile.
struct TileJob<'a, E: Element> {
    plan: &'a Plan<'a, E>,
    tile: Tile<'a>,
    inputs: Rows<'a, E>,
    initial_state: UnitState<Rows<'a, E>>,
}

/// Gradients that go back from one time step to the one before, a row of [`padded`] units for each trial.
struct Adjoint<'a, E: Element> {
    /// Gradient with respect to the (scaled) drive of the next step.
    drive: Scratch<'a, E>,
    /// Gradient with respect to the projections of the rates onto the right factor, a row of R numbers for each trial.
    kappa: Scratch<'a, E>,
    /// Gradient with respect to the state, from the next step.
    carry: UnitState<Scratch<'a, E>>,
    /// Gradient with respect to the rates, along the weights and the readout.
    rates: Scratch<'a, E>,
    /// Gradient with respect to the transmitted rates; empty unless synapses are plastic.
    transmitted: Scratch<'a, E>,
    /// Gradients with respect to the drives of later steps; with delays only.
    later: Option<LaterDrives<'a, E>>,
    /// Gradients of the loss with respect to the readout of a time step, where those of the tile do not stand together in the batch.
    outputs: Scratch<'a, E>,
    /// Gradients with respect to the inputs of a time step.
    inputs: Scratch<'a, E>,
}

impl<'a, E: Element> Job<E> for TileJob<'a, E> {
    /// Sums of the gradients, and those of Omega if it is requested.
    type Output = (Sums<'a, E>, Option<OmegaSums<'a, E>>);

    #[inline(always)]
    fn run<S: Simd<Elem = E>>(mut self) -> Self::Output {
        let plan = self.plan;
        let shape = &plan.sweep.shape;
        let block_steps = (BLOCK_ROWS / self.tile.len()).clamp(1, shape.steps);
        let noise = |source| Noise::new(plan.workspace, source, self.tile, shape);
        let mut eps = noise(if plan.wanted.noise_scale {
            plan.sweep.eps
        } else {
            NoiseSource::None
        });
        let mut xi = noise(if plan.wanted.readout {
            plan.sweep.used_xi()
        } else {
            NoiseSource::None
        });
        let mut sums = zero_sums(plan.workspace, plan.sweep, plan.wanted);
        let mut adjoint = self.adjoint();
        let mut history = History::new::<S>(plan, self.tile, block_steps, xi.is_some());
        let mut omega =
            (plan.omega).map(|term| TileOmega::new::<S>(term, plan, self.tile.len(), block_steps));
        let mut end = self.tile.longest();
        while end > 0 {
            let start = end.saturating_sub(block_steps);
            history.load::<S>(start..end);
            if let Some(xi) = &mut xi {
                history.load_noisy_rates::<S>(start..end, xi);
            }
            for t in (start..end).rev() {
                let n_rows = self.tile.active(t);
                let recurrent = omega.as_ref().map(|omega| &*omega.recurrent);
                self.back_to_rates::<S>(&mut adjoint, &history, recurrent, t, n_rows);
                let noise = eps.as_mut().map(|eps| eps.at(t));
                match plan.sweep.form {
                    Form::Voltage => {
                        self.update_potentials::<S>(&mut adjoint, &mut sums, noise, t, n_rows);
                    }
                    Form::Rate => {
                        self.update_rates::<S>(&mut adjoint, &mut sums, noise, t, n_rows);
                    }
                }
                if let Some(later) = &mut adjoint.later {
                    later.set(t, &adjoint.drive);
                }
                history.set_drives::<S>(t - start, &adjoint.drive);
                if shape.rank > 0 {
                    self.project_drives::<S>(&mut adjoint, n_rows);
                    history.set_kappa_gradients(t - start, &adjoint.kappa);
                }
                self.write_inputs::<S>(&mut adjoint, t, n_rows);
                if let Some(omega) = &mut omega {
                    let none = [Term::NONE, Term::NONE];
                    let drives = &*adjoint.drive;
                    self.product::<S, _>(|_| drives, none, &mut omega.recurrent, n_rows);
                    let place = [t, (t - start) * history.n_rows, history.n_rows];
                    omega.visit::<S>(plan, self.tile, drives, place);
                }
            }
            history.add_weights::<S>(&mut sums, end - start);
            if let Some(omega) = &mut omega {
                let rows = (end - start) * history.n_rows;
                omega.add_weights::<S>(plan, &history.drives, rows);
            }
            end = start;
        }
        if plan.wanted.bias_out {
            self.add_output_bias(&mut sums.bias_out);
        }
        self.write_initial_state::<S>(&mut adjoint, &history);
        (sums, omega.map(TileOmega::sums))
    }
}

impl<'a, E: Element> TileJob<'a, E> {
    fn adjoint(&self) -> Adjoint<'a, E> {
        let (sweep, workspace) = (self.plan.sweep, self.plan.workspace);
        let (shape, stride) = (&sweep.shape, padded(sweep.shape.units));
        let trials = self.tile.len();
        let rows = |width: usize| workspace.zeros(trials * width);
        let plastic = if shape.synapses > 0 { stride } else { 0 };
        let later = |delays| LaterDrives::new(workspace, delays, shape.steps, trials * stride);
        let mut adjoint = Adjoint {
            drive: rows(stride),
            kappa: rows(shape.rank),
            carry: UnitState {
                activity: rows(stride),
                utilisation: rows(plastic),
                resources: rows(plastic),
            },
            rates: rows(stride),
            transmitted: rows(plastic),
            later: sweep.delays.map(later),
            outputs: rows(shape.outputs),
            inputs: rows(shape.inputs),
        };
        let upstream = self.plan.upstream.final_state;
        for (carry, last) in adjoint.carry.each_mut().zip(upstream).into_array() {
            let Some(last) = last else { continue };
            for (m, row) in carry.chunks_exact_mut(stride).enumerate() {
                row[..shape.units].copy_from_slice(self.plan.row(last, 0, self.tile.trial(m)));
            }
        }
        adjoint
    }

    /// Computes the gradients of the rates after step `t`: from the drives of the next step and from the readout. Where the part from
    /// the drives is known, it is `recurrent`.
    #[inline(always)]
    fn back_to_rates<S: Simd<Elem = E>>(
        &self,
        adjoint: &mut Adjoint<'_, E>,
        history: &History<'_, E>,
        recurrent: Option<&[E]>,
        t: usize,
        n_rows: usize,
    ) {
        let shape = &self.plan.sweep.shape;
        let (place, copy) = ([t, shape.trials, shape.outputs], &mut adjoint.outputs);
        let outputs = match self.plan.upstream.outputs {
            Some(all) => Term::new(self.tile.gather(all, place, n_rows, copy), shape.outputs),
            None => Term::NONE,
        };
        let (drive, later) = (&*adjoint.drive, &adjoint.later);
        let of_delay = |delay| later.as_ref().map_or(drive, |later| later.at(t + 1, delay));
        let kappa = Term::new(&adjoint.kappa, shape.rank);
        let Some(w_out) = &self.plan.w_out else {
            let others = [kappa, outputs];
            return self.product::<S, _>(of_delay, others, &mut adjoint.rates, n_rows);
        };
        let stride = padded(shape.units);
        S::outlined(Product {
            weights: w_out,
            start: &self.plan.zeros,
            terms: &[outputs],
            out: &mut adjoint.rates,
            out_stride: stride,
            n_rows,
        });
        if let Some(recurrent) = recurrent {
            add(&mut adjoint.rates[..n_rows * stride], recurrent);
            return;
        }
        let others = [kappa, Term::NONE];
        self.product::<S, _>(of_delay, others, &mut adjoint.transmitted, n_rows);
        if t + 1 < shape.steps {
            self.back_through_synapses::<S>(adjoint, history, t + 1);
        }
        self.add_to_synapses(adjoint, t, n_rows);
    }

    /// Computes the gradients of the projections of the rates from those of the (scaled) drives.
    #[inline(always)]
    fn project_drives<S: Simd<Elem = E>>(&self, adjoint: &mut Adjoint<'_, E>, n_rows: usize) {
        let Shape { units, rank, .. } = self.plan.sweep.shape;
        dots::<S>(
            &self.plan.left,
            &self.plan.zeros[..rank],
            &adjoint.drive,
            units,
            &mut adjoint.kappa,
            n_rows,
        );
    }

    /// Takes the gradients of the transmitted rates and of the synapses back through time step `t`, to the rates and the synapses
    /// before it.
    #[inline(always)]
    fn back_through_synapses<S: Simd<Elem = E>>(
        &self,
        adjoint: &mut Adjoint<'_, E>,
        history: &History<'_, E>,
        t: usize,
    ) {
        let Some(synapses) = &self.plan.synapses else {
            return;
        };
        let units = self.plan.sweep.shape.units;
        let (stride, width) = (padded(units), units.next_multiple_of(GROUP));
        for m in 0..self.tile.active(t) {
            let row = m * stride..m * stride + width;
            let gradients = StepGradients {
                transmitted: &adjoint.transmitted[row.clone()],
                utilisation: &mut adjoint.carry.utilisation[row.clone()],
                resources: &mut adjoint.carry.resources[row.clone()],
                rates: &mut adjoint.rates[row],
            };
            synapses.back::<S>(history.synapse_rows(t, m), gradients);
        }
    }

    /// Adds the gradients that a loss has for the synapses after step `t`.
    fn add_to_synapses(&self, adjoint: &mut Adjoint<'_, E>, t: usize, n_rows: usize) {
        let (plan, stride) = (self.plan, padded(self.plan.sweep.shape.units));
        let carry = &mut adjoint.carry;
        for (carry, upstream) in [
            (&mut carry.utilisation, plan.upstream.utilisation),
            (&mut carry.resources, plan.upstream.resources),
        ] {
            let Some(gradient) = upstream else { continue };
            for (m, row) in carry.chunks_exact_mut(stride).take(n_rows).enumerate() {
                add(row, plan.row(gradient, t, self.tile.trial(m)));
            }
        }
    }

    /// Computes `W_rc' g_z` by the rows of `g_z` at the place of each delay, and the products with other terms.
    #[inline(always)]
    fn product<'p, S: Simd<Elem = E>, R: Fn(usize) -> &'p [E]>(
        &self,
        drives: R,
        others: [Term<'p, E>; 2],
        out: &'p mut [E],
        n_rows: usize,
    ) where
        'a: 'p,
    {
        self.plan.weights.product::<S, _>(BandProduct {
            rows: drives,
            stride: padded(self.plan.sweep.shape.units),
            others,
            start: &self.plan.zeros,
            out,
            n_rows,
        });
    }

    /// Adds the gradients that a loss has for the rates of a trial after step `t`, for their sums and for terms of them.
    #[inline(always)]
    fn add_upstream_rates<S: Simd<Elem = E>>(&self, rates: &mut [E], t: usize, trial: usize) {
        let plan = self.plan;
        if let Some(gradient) = plan.upstream.rates {
            add(rates, plan.row(gradient, t, trial));
        }
        if let Some(moments) = &plan.moments {
            moments.add_to::<S>(rates, plan.row(plan.saved.rates, t + 1, trial));
        }
        if let Some(weights) = plan.upstream.rate_terms {
            // Outlined: the compiler takes long over a large sweep.
            S::outlined(AddSlopes {
                sweep: plan.sweep,
                rates: plan.saved.rates,
                weights,
                gradients: rates,
                t,
                trial,
            });
        }
    }

    /// Adds the gradients that a loss has for the potentials of a trial after step `t`.
    #[inline(always)]
    fn add_upstream_potentials(&self, potentials: &mut [E], t: usize, trial: usize) {
        if let Some(gradient) = self.plan.upstream.potentials {
            add(potentials, self.plan.row(gradient, t, trial));
        }
    }

    /// Adds the products of a trial's gradients in step `t` to the sums of decay and noise scale: those of the state with the state
    /// before the step, and those of the variable that has noise with the noise, `(gradients, normals)`.
    #[inline(always)]
    fn add_to_sums<S: Simd<Elem = E>>(
        &self,
        sums: &mut Sums<'_, E>,
        state: &[E],
        noise: Option<(&[E], &[E])>,
        [t, trial]: [usize; 2],
    ) {
        let width = state.len();
        if self.plan.wanted.decay {
            let before = self.plan.state_before(t, trial);
            add_products::<S>(&mut sums.decay[..width], state, before);
        }
        if let Some((gradients, normals)) = noise {
            add_products::<S>(&mut sums.noise_scale[..width], gradients, normals);
        }
    }

    /// Takes one step of the voltage form: from the gradients of the rates after a step to those of its (scaled) drive, which are
    /// those of the potentials, and of the potentials before it along the leak.
    ///
    /// Each form has its own function, although they begin alike: the loop over lanes holds another equation, and the gradients
    /// from outside are added at another place. The order of these additions decides the rounding, so one function would have a
    /// branch at each of them.
    #[inline(always)]
    fn update_potentials<S: Simd<Elem = E>>(
        &self,
        adjoint: &mut Adjoint<'_, E>,
        sums: &mut Sums<'_, E>,
        noise: Option<&[E]>,
        t: usize,
        n_rows: usize,
    ) {
        let plan = self.plan;
        let (units, f) = (plan.sweep.shape.units, plan.sweep.activation);
        let (stride, width) = (padded(units), units.next_multiple_of(GROUP));
        let decay = groups(&plan.decay[..width]);
        for m in 0..n_rows {
            let (trial, row) = (self.tile.trial(m), m * stride..m * stride + width);
            let rates = &mut adjoint.rates[row.clone()];
            let carry = &mut adjoint.carry.activity[row.clone()];
            let drive = &mut adjoint.drive[row.clone()];
            self.add_upstream_rates::<S>(rates, t, trial);
            self.add_upstream_potentials(carry, t, trial);
            let after = plan.row(plan.saved.rates, t + 1, trial);
            let (rates, carry) = (groups(rates), groups_mut(carry));
            let to = groups_mut(drive);
            for_activation!(f, f => each_vector!(S, decay.len(), |g, lane| {
                if g * GROUP + lane < units {
                    let slope = f.slopes(S::load(after, g * GROUP + lane));
                    let v = slope.mul_add(S::load(&rates[g], lane), S::load(&carry[g], lane));
                    let v = v.without_negligible();
                    v.store(&mut to[g], lane);
                    (S::load(&decay[g], lane) * v).store(&mut carry[g], lane);
                }
            }));
            let noise = noise.map(|noise| (&*drive, &noise[row]));
            self.add_to_sums::<S>(sums, drive, noise, [t, trial]);
        }
    }

    /// Takes one step of the rate form: from the gradients of the rates after a step to those of its drive, and of the rates before
    /// it along the leak.
    #[inline(always)]
    fn update_rates<S: Simd<Elem = E>>(
        &self,
        adjoint: &mut Adjoint<'_, E>,
        sums: &mut Sums<'_, E>,
        noise: Option<&[E]>,
        t: usize,
        n_rows: usize,
    ) {
        let plan = self.plan;
        let (units, f) = (plan.sweep.shape.units, plan.sweep.activation);
        let (stride, width) = (padded(units), units.next_multiple_of(GROUP));
        let (decay, gain) = (groups(&plan.decay[..width]), groups(&plan.gain[..width]));
        let all_responses = plan.saved.responses.unwrap_or_default();
        for m in 0..n_rows {
            let (trial, row) = (self.tile.trial(m), m * stride..m * stride + width);
            let rates = &mut adjoint.rates[row.clone()];
            let carry = &mut adjoint.carry.activity[row.clone()];
            let drive = &mut adjoint.drive[row.clone()];
            let responses = plan.row(all_responses, t, trial);
            add(rates, carry);
            self.add_upstream_rates::<S>(rates, t, trial);
            let (from, to) = (groups(rates), groups_mut(drive));
            let carry = groups_mut(carry);
            for_activation!(f, f => each_vector!(S, decay.len(), |g, lane| {
                if g * GROUP + lane < units {
                    let slope = f.slopes(S::load(responses, g * GROUP + lane));
                    let r = S::load(&from[g], lane).without_negligible();
                    (slope * (S::load(&gain[g], lane) * r)).store(&mut to[g], lane);
                    (S::load(&decay[g], lane) * r).store(&mut carry[g], lane);
                }
            }));
            self.add_upstream_potentials(drive, t, trial);
            if plan.wanted.gain {
                add_products::<S>(&mut sums.gain[..width], rates, responses);
            }
            let noisy = match plan.sweep.noise_target {
                NoiseTarget::State => &*rates,
                NoiseTarget::Drive => &*drive,
            };
            let noise = noise.map(|noise| (noisy, &noise[row]));
            self.add_to_sums::<S>(sums, rates, noise, [t, trial]);
        }
    }

    /// Writes the gradients of the inputs of step `t`, if wanted.
    #[inline(always)]
    fn write_inputs<S: Simd<Elem = E>>(
        &mut self,
        adjoint: &mut Adjoint<'_, E>,
        t: usize,
        n_rows: usize,
    ) {
        let Shape { units, inputs, .. } = self.plan.sweep.shape;
        write_dots::<S>(
            &mut self.inputs,
            t,
            &mut adjoint.inputs,
            [&*self.plan.w_in, &self.plan.zeros[..inputs]],
            &adjoint.drive,
            units,
            n_rows,
        );
    }

    fn add_output_bias(&self, sums: &mut [E]) {
        let Shape {
            trials, outputs, ..
        } = self.plan.sweep.shape;
        let Some(gradient) = self.plan.upstream.outputs.filter(|_| outputs > 0) else {
            return;
        };
        for (t, at_time) in gradient.chunks_exact(trials * outputs).enumerate() {
            for m in 0..self.tile.active(t) {
                add(sums, &at_time[self.tile.trial(m) * outputs..][..outputs]);
            }
        }
    }

    /// Writes the gradient of the initial state: through the first drive and along the leak.
    #[inline(always)]
    fn write_initial_state<S: Simd<Elem = E>>(
        &mut self,
        adjoint: &mut Adjoint<'_, E>,
        history: &History<'_, E>,
    ) {
        let wanted = self.initial_state.each_ref().into_array();
        if wanted.iter().all(|rows| rows.is_none()) {
            return;
        }
        let plan = self.plan;
        let Shape { units, rank, .. } = plan.sweep.shape;
        let (drive, later) = (&*adjoint.drive, &adjoint.later);
        let of_delay = |delay| later.as_ref().map_or(drive, |later| later.of_start(delay));
        let others = [Term::new(&adjoint.kappa, rank), Term::NONE];
        let n_rows = self.tile.len();
        if plan.synapses.is_some() {
            self.product::<S, _>(of_delay, others, &mut adjoint.transmitted, n_rows);
            adjoint.rates.fill(E::default());
            self.back_through_synapses::<S>(adjoint, history, 0);
        } else {
            self.product::<S, _>(of_delay, others, &mut adjoint.rates, n_rows);
        }
        let (stride, width) = (padded(units), units.next_multiple_of(GROUP));
        let f = match plan.sweep.form {
            Form::Voltage => plan.sweep.activation,
            Form::Rate => Activation::Linear,
        };
        for m in 0..n_rows {
            let row = m * stride..m * stride + width;
            let carry = &mut adjoint.carry.activity[row.clone()];
            let before = plan.row(plan.saved.rates, 0, self.tile.trial(m));
            let (rates, state) = (groups(&adjoint.rates[row]), groups_mut(carry));
            each_vector!(S, rates.len(), |g, lane| {
                if g * GROUP + lane < units {
                    let slope = f.slopes(S::load(before, g * GROUP + lane));
                    let v = slope.mul_add(S::load(&rates[g], lane), S::load(&state[g], lane));
                    v.store(&mut state[g], lane);
                }
            });
        }
        let places = self.initial_state.each_mut().zip(adjoint.carry.each_ref());
        for (to, carry) in places.into_array() {
            write_rows::<S>(to, 0, carry, units);
        }
    }
}
