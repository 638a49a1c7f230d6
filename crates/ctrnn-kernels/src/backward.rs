//! The sweep backward in time (BPTT).

use std::ops::Range;

use crate::activation::for_activation;
use crate::forward::{Rows, add_noise, add_products, padded_rows, write_rows};
use crate::noise::{Noise, NoiseSource};
use crate::operands::{Gradients, Operands, Upstream, assert_len};
use crate::shape::{NoiseTarget, Shape, Sweep};
use crate::simd::{
    Accumulate, Block, Element, GROUP, Job, Packed, Product, Simd, Term, dots, each_vector, groups,
    groups_mut, padded,
};
use crate::tile::{Tile, for_each, split, tiles};
use crate::workspace::{Scratch, Workspace};
use crate::{Activation, Form};

/// Rows (time steps times trials) that a weight gradient is summed over at once: deep enough to keep the registers busy, few
/// enough to stay in the cache.
const BLOCK_ROWS: usize = 256;

/// What the forward sweep of the same [`Sweep`] recorded.
#[derive(Clone, Copy, Debug)]
pub struct Saved<'a, E> {
    /// Rates `[T + 1, B, N]`.
    pub rates: &'a [E],
    /// `f(z)` `[T, B, N]`; needed in the rate form.
    pub responses: Option<&'a [E]>,
    /// `v` `[T, B, N]`; needed in the voltage form for the gradient of decay.
    pub potentials: Option<&'a [E]>,
}

/// Takes the gradients of a loss back through all time steps.
///
/// # Panics
/// When a slice has not the length that the shape says, or the record of the forward sweep lacks what is needed.
pub fn backward<E: Element>(
    sweep: &Sweep<'_, E>,
    saved: &Saved<'_, E>,
    upstream: &Upstream<'_, E>,
    gradients: Gradients<'_, E>,
    workspace: &Workspace<E>,
) {
    E::backward(sweep, saved, upstream, gradients, workspace);
}

/// [`backward`], to be compiled for each element type.
pub(crate) fn sweep<E: Element>(
    sweep: &Sweep<'_, E>,
    saved: &Saved<'_, E>,
    upstream: &Upstream<'_, E>,
    mut gradients: Gradients<'_, E>,
    workspace: &Workspace<E>,
) {
    sweep.assert_lens();
    saved.assert_lens(sweep, gradients.decay.is_some());
    upstream.assert_lens(&sweep.shape);
    gradients.assert_lens(&sweep.shape);
    let shape = &sweep.shape;
    let wanted = Wanted::by(&gradients, sweep, upstream);
    let make = MakePlan {
        sweep,
        saved,
        upstream,
        wanted,
        workspace,
    };
    let plan = E::dispatch(workspace.path(), make);
    let tiles = tiles(shape);
    let mut inputs = split(gradients.inputs.take(), &tiles, shape, shape.inputs).into_iter();
    let initial_state = gradients.initial_state.take();
    let mut initial_states = split(initial_state, &tiles, shape, shape.units).into_iter();
    let jobs = tiles
        .iter()
        .map(|&tile| TileJob {
            plan: &plan,
            tile,
            inputs: inputs.next().flatten(),
            initial_states: initial_states.next().flatten(),
        })
        .collect();
    let sums = for_each(jobs, |job: TileJob<'_, E>| {
        E::dispatch(workspace.path(), job)
    });
    let total = sums
        .into_iter()
        .reduce(plus)
        .expect("a batch has at least one tile");
    write(&total, sweep, gradients);
}

impl<E: Element> Saved<'_, E> {
    fn assert_lens(&self, sweep: &Sweep<'_, E>, decay: bool) {
        let states = sweep.shape.states();
        assert_len("saved rates", self.rates, sweep.shape.history());
        match sweep.form {
            Form::Rate => {
                let responses = self.responses.expect("the rate form needs saved responses");
                assert_len("saved responses", responses, states);
            }
            Form::Voltage if decay => {
                let potentials = self
                    .potentials
                    .expect("the gradient of decay needs saved potentials");
                assert_len("saved potentials", potentials, states);
            }
            Form::Voltage => {}
        }
    }
}

/// Which groups of gradients are computed.
#[derive(Clone, Copy)]
struct Wanted {
    /// Input and recurrent weights, bias; in the voltage form also gain, which follows from them.
    recurrence: bool,
    readout: bool,
    decay: bool,
    /// Gain in the rate form.
    gain: bool,
    noise_scale: bool,
}

impl Wanted {
    fn by<E: Element>(
        gradients: &Gradients<'_, E>,
        sweep: &Sweep<'_, E>,
        upstream: &Upstream<'_, E>,
    ) -> Self {
        let gain = gradients.gain.is_some();
        let rate_form = sweep.form == Form::Rate;
        let weights =
            gradients.w_in.is_some() || gradients.w_rc.is_some() || gradients.bias.is_some();
        Self {
            recurrence: weights || (gain && !rate_form),
            readout: upstream.outputs.is_some()
                && (gradients.w_out.is_some() || gradients.bias_out.is_some()),
            decay: gradients.decay.is_some(),
            gain: gain && rate_form,
            noise_scale: gradients.noise_scale.is_some(),
        }
    }
}

/// What all tiles share.
struct Plan<'a, E: Element> {
    sweep: &'a Sweep<'a, E>,
    saved: &'a Saved<'a, E>,
    upstream: &'a Upstream<'a, E>,
    wanted: Wanted,
    workspace: &'a Workspace<E>,
    /// `W_rc` with the scale of the drive, above `W_out`.
    weights: Packed<'a, E>,
    /// `W_in` with the scale of the drive, transposed: a row for each input.
    w_in: Scratch<'a, E>,
    decay: Scratch<'a, E>,
    gain: Scratch<'a, E>,
    zeros: Scratch<'a, E>,
}

struct MakePlan<'a, E: Element> {
    sweep: &'a Sweep<'a, E>,
    saved: &'a Saved<'a, E>,
    upstream: &'a Upstream<'a, E>,
    wanted: Wanted,
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
            outputs,
            ..
        } = sweep.shape;
        let w = &sweep.operands;
        let weights =
            Packed::new::<S>(
                workspace,
                [units, outputs],
                units,
                |part, post, pre| match part {
                    0 => sweep.drive_scale(post) * w.w_rc[post * units + pre],
                    _ => w.w_out[post * units + pre],
                },
            );
        let stride = padded(units);
        let mut w_in = workspace.zeros(inputs * stride);
        for (input, row) in w_in.chunks_exact_mut(stride).enumerate() {
            for (post, weight) in row[..units].iter_mut().enumerate() {
                *weight = sweep.drive_scale(post) * w.w_in[post * inputs + input];
            }
        }
        Plan {
            sweep,
            saved: self.saved,
            upstream: self.upstream,
            wanted: self.wanted,
            workspace,
            weights,
            w_in,
            decay: padded_rows(workspace, sweep.operands.decay, units),
            gain: padded_rows(workspace, sweep.operands.gain, units),
            zeros: workspace.zeros(stride.max(inputs)),
        }
    }
}

impl<'a, E: Element> Plan<'a, E> {
    /// The row of a trial in a buffer `[time, trial, unit]`.
    #[inline(always)]
    fn row(&self, buffer: &'a [E], t: usize, trial: usize) -> &'a [E] {
        let Shape { trials, units, .. } = self.sweep.shape;
        &buffer[(t * trials + trial) * units..][..units]
    }

    /// The state of a trial before time step `t`: `v` in the voltage form, `r` in the rate form.
    #[inline(always)]
    fn state_before(&self, t: usize, trial: usize) -> &'a [E] {
        match (self.sweep.form, self.saved.potentials) {
            (Form::Rate, _) => self.row(self.saved.rates, t, trial),
            (Form::Voltage, Some(potentials)) if t > 0 => self.row(potentials, t - 1, trial),
            (Form::Voltage, _) => self.sweep.initial_state(trial),
        }
    }
}

/// Sums over the trials and times of a tile, in rows of [`padded`] units. Gradients of weights are with respect to the scaled ones.
/// Gradients of the input weights are transposed, `[I + 1, N]`, with the bias as the last row; `inputs`, `bias` and `initial_state`
/// are empty, since the first and the last are not summed.
type Sums<'a, E> = Operands<Scratch<'a, E>>;

fn zero_sums<'a, E: Element>(workspace: &'a Workspace<E>, shape: &Shape) -> Sums<'a, E> {
    let stride = padded(shape.units);
    // Accumulate writes eight rows at once.
    let rows = |n: usize| workspace.zeros(n.next_multiple_of(8) * stride);
    let empty = || workspace.zeros(0);
    Operands {
        inputs: empty(),
        w_in: rows(shape.inputs + 1),
        w_rc: rows(shape.units),
        bias: empty(),
        w_out: rows(shape.outputs),
        bias_out: workspace.zeros(shape.outputs),
        decay: workspace.zeros(stride),
        gain: workspace.zeros(stride),
        noise_scale: workspace.zeros(stride),
        initial_state: empty(),
    }
}

fn plus<'a, E: Element>(mut sums: Sums<'a, E>, others: Sums<'a, E>) -> Sums<'a, E> {
    for (sums, others) in sums.each_mut().zip(others.each_ref()).into_array() {
        add(sums, others);
    }
    sums
}

/// Writes sums over all tiles to where the gradients go.
fn write<E: Element>(sums: &Sums<'_, E>, sweep: &Sweep<'_, E>, gradients: Gradients<'_, E>) {
    let Shape { units, inputs, .. } = sweep.shape;
    let stride = padded(units);
    let bias = &sums.w_in[inputs * stride..][..units];
    if let Some(gain) = gradients.gain {
        write_gain(sums, sweep, gain);
    }
    if let Some(w_rc) = gradients.w_rc {
        for (post, row) in w_rc.chunks_exact_mut(units).enumerate() {
            for (to, &sum) in row.iter_mut().zip(&sums.w_rc[post * stride..]) {
                *to = sweep.drive_scale(post) * sum;
            }
        }
    }
    if let Some(w_in) = gradients.w_in.filter(|_| inputs > 0) {
        for (post, row) in w_in.chunks_exact_mut(inputs).enumerate() {
            for (input, to) in row.iter_mut().enumerate() {
                *to = sweep.drive_scale(post) * sums.w_in[input * stride + post];
            }
        }
    }
    if let Some(to) = gradients.bias {
        for (post, to) in to.iter_mut().enumerate() {
            *to = sweep.drive_scale(post) * bias[post];
        }
    }
    if let Some(w_out) = gradients.w_out {
        for (to, row) in w_out
            .chunks_exact_mut(units)
            .zip(sums.w_out.chunks_exact(stride))
        {
            to.copy_from_slice(&row[..units]);
        }
    }
    if let Some(bias_out) = gradients.bias_out {
        bias_out.copy_from_slice(&sums.bias_out);
    }
    let vectors = [
        (gradients.decay, &sums.decay),
        (gradients.noise_scale, &sums.noise_scale),
    ];
    for (to, vector) in vectors {
        if let Some(to) = to {
            to.copy_from_slice(&vector[..units]);
        }
    }
}

/// In the voltage form the gradient of a gain is the sum of (gradient of v) * (drive), and the drive is linear in the
/// weights: it follows from the gradients of the weights, without the drive itself.
fn write_gain<E: Element>(sums: &Sums<'_, E>, sweep: &Sweep<'_, E>, gain: &mut [E]) {
    let Shape { units, inputs, .. } = sweep.shape;
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
        for (&weight, &gradient) in w.w_rc[post * units..][..units]
            .iter()
            .zip(&sums.w_rc[post * stride..])
        {
            sum += weight * gradient;
        }
        *gain = sum;
    }
}

#[inline(always)]
pub(crate) fn add<E: Element>(sums: &mut [E], others: &[E]) {
    for (sum, &other) in sums.iter_mut().zip(others) {
        *sum += other;
    }
}

/// The sweep of one tile.
struct TileJob<'a, E: Element> {
    plan: &'a Plan<'a, E>,
    tile: Tile,
    inputs: Rows<'a, E>,
    initial_states: Rows<'a, E>,
}

/// What goes back from one time step to the one before, a row of [`padded`] units for each trial.
struct Adjoint<'a, E: Element> {
    /// With respect to the (scaled) drive of the step after.
    drive: Scratch<'a, E>,
    /// With respect to the state, along the leak.
    carry: Scratch<'a, E>,
    /// With respect to the rates, along the weights and the readout.
    rates: Scratch<'a, E>,
}

/// What the weight gradients of some time steps are computed from. Row `s * trials + m` is trial `m` in the `s`-th step.
struct History<'a, E: Element> {
    /// Gradients with respect to the drive.
    drives: Block<'a, E>,
    /// Rates before each step, and after the last.
    rates: Block<'a, E>,
    /// What the readout sees after each step, where it differs from the rates.
    heard: Option<Block<'a, E>>,
    /// Inputs and a one, whose weight is the bias.
    inputs: Block<'a, E>,
    /// Gradients with respect to the readout.
    outputs: Block<'a, E>,
}

impl<'a, E: Element> Job<E> for TileJob<'a, E> {
    type Output = Sums<'a, E>;

    #[inline(always)]
    fn run<S: Simd<Elem = E>>(mut self) -> Sums<'a, E> {
        let plan = self.plan;
        let shape = &plan.sweep.shape;
        let block_steps = (BLOCK_ROWS / self.tile.trials).clamp(1, shape.steps);
        let sizes = [shape.steps, shape.trials, shape.units];
        let noise = |source| Noise::new(plan.workspace, source, self.tile, sizes);
        let mut eps = noise(if plan.wanted.noise_scale {
            plan.sweep.eps
        } else {
            NoiseSource::None
        });
        let mut xi = noise(if plan.wanted.readout {
            plan.sweep.audible_xi()
        } else {
            NoiseSource::None
        });
        let mut sums = zero_sums(plan.workspace, shape);
        let mut adjoint = self.adjoint();
        let mut history = self.history::<S>(block_steps, xi.is_some());
        let mut end = shape.steps;
        while end > 0 {
            let start = end.saturating_sub(block_steps);
            self.load::<S>(&mut history, start..end);
            if let Some(xi) = &mut xi {
                self.load_heard::<S>(&mut history, start..end, xi);
            }
            for t in (start..end).rev() {
                self.back_to_rates::<S>(&mut adjoint, t);
                let noise = eps.as_mut().map(|eps| eps.at(t));
                match plan.sweep.form {
                    Form::Voltage => self.update_potentials::<S>(&mut adjoint, &mut sums, noise, t),
                    Form::Rate => self.update_rates::<S>(&mut adjoint, &mut sums, noise, t),
                }
                for m in 0..self.tile.trials {
                    let drive = &adjoint.drive[m * padded(shape.units)..][..shape.units];
                    history
                        .drives
                        .set_row::<S>((t - start) * self.tile.trials + m, drive);
                }
                self.write_inputs::<S>(&adjoint, t);
            }
            self.add_weights::<S>(&mut sums, &history, end - start);
            end = start;
        }
        if plan.wanted.readout {
            self.add_output_bias(&mut sums.bias_out);
        }
        self.write_initial_state::<S>(&mut adjoint);
        sums
    }
}

impl<'a, E: Element> TileJob<'a, E> {
    fn adjoint(&self) -> Adjoint<'a, E> {
        let units = self.plan.sweep.shape.units;
        let zeros = || self.plan.workspace.zeros(self.tile.trials * padded(units));
        let mut adjoint = Adjoint {
            drive: zeros(),
            carry: zeros(),
            rates: zeros(),
        };
        if let Some(last) = self.plan.upstream.final_state {
            for (m, row) in adjoint.carry.chunks_exact_mut(padded(units)).enumerate() {
                row[..units].copy_from_slice(self.plan.row(last, 0, self.tile.first + m));
            }
        }
        adjoint
    }

    #[inline(always)]
    fn history<S: Simd<Elem = E>>(&self, block_steps: usize, post_noise: bool) -> History<'a, E> {
        let shape = &self.plan.sweep.shape;
        let workspace = self.plan.workspace;
        let rows = block_steps * self.tile.trials;
        let mut inputs = Block::matrix::<S>(workspace, rows, shape.inputs + 1);
        for row in 0..rows {
            inputs.row_mut(0, row)[shape.inputs] = E::from(1.0);
        }
        History {
            drives: Block::strips::<S>(workspace, rows, shape.units),
            rates: Block::strips::<S>(workspace, rows + self.tile.trials, shape.units),
            heard: post_noise.then(|| Block::strips::<S>(workspace, rows, shape.units)),
            inputs,
            outputs: Block::matrix::<S>(workspace, rows, shape.outputs),
        }
    }

    /// Fetches the rates, inputs and output gradients of some time steps.
    #[inline(always)]
    fn load<S: Simd<Elem = E>>(&self, history: &mut History<'_, E>, times: Range<usize>) {
        if !self.plan.wanted.recurrence && !self.plan.wanted.readout {
            return;
        }
        let Shape {
            trials,
            inputs,
            outputs,
            ..
        } = self.plan.sweep.shape;
        let of_tile = |slice: &'a [E], t: usize, width: usize| {
            &slice[(t * trials + self.tile.first) * width..][..self.tile.trials * width]
        };
        for t in times.start..=times.end {
            let first = (t - times.start) * self.tile.trials;
            for m in 0..self.tile.trials {
                let rates = self.plan.row(self.plan.saved.rates, t, self.tile.first + m);
                history.rates.set_row::<S>(first + m, rates);
            }
            if t < times.end {
                let now = of_tile(self.plan.sweep.operands.inputs, t, inputs);
                history.inputs.set_rows(first, now, inputs);
                if let Some(gradient) = self.plan.upstream.outputs {
                    history
                        .outputs
                        .set_rows(first, of_tile(gradient, t, outputs), outputs);
                }
            }
        }
    }

    /// What the readout saw: rates and its noise.
    #[inline(always)]
    fn load_heard<S: Simd<Elem = E>>(
        &self,
        history: &mut History<'_, E>,
        times: Range<usize>,
        xi: &mut Noise<'_, E>,
    ) {
        let units = self.plan.sweep.shape.units;
        let mut heard = self.plan.workspace.zeros(padded(units));
        for t in times.clone() {
            let noise = xi.at(t);
            for m in 0..self.tile.trials {
                let rates = self
                    .plan
                    .row(self.plan.saved.rates, t + 1, self.tile.first + m);
                add_noise::<S>(
                    &mut heard,
                    rates,
                    self.plan.sweep.sigma_post,
                    &noise[m * padded(units)..][..padded(units)],
                );
                if let Some(block) = &mut history.heard {
                    let row = (t - times.start) * self.tile.trials + m;
                    block.set_row::<S>(row, &heard[..units]);
                }
            }
        }
    }

    /// The gradients of the rates after step `t`: from the drives of the next step and from the readout.
    #[inline(always)]
    fn back_to_rates<S: Simd<Elem = E>>(&self, adjoint: &mut Adjoint<'_, E>, t: usize) {
        let Shape {
            trials,
            units,
            outputs,
            ..
        } = self.plan.sweep.shape;
        let drives = Term {
            rows: &adjoint.drive,
            stride: padded(units),
            depth: units,
        };
        let no_outputs = Term {
            rows: &[],
            stride: 0,
            depth: 0,
        };
        let outputs = self
            .plan
            .upstream
            .outputs
            .map_or(no_outputs, |gradient| Term {
                rows: &gradient[(t * trials + self.tile.first) * outputs..],
                stride: outputs,
                depth: outputs,
            });
        self.product::<S>(&[drives, outputs], &mut adjoint.rates);
    }

    #[inline(always)]
    fn product<S: Simd<Elem = E>>(&self, terms: &[Term<'_, E>], out: &mut [E]) {
        let stride = padded(self.plan.sweep.shape.units);
        S::outlined(Product {
            weights: &self.plan.weights,
            start: &self.plan.zeros,
            terms,
            out,
            out_stride: stride,
            n_rows: self.tile.trials,
        });
    }

    /// The voltage form, from the gradients of the rates after a step to those of its (scaled) drive, which are those of the
    /// potentials, and of the potentials before it along the leak.
    #[inline(always)]
    fn update_potentials<S: Simd<Elem = E>>(
        &self,
        adjoint: &mut Adjoint<'_, E>,
        sums: &mut Sums<'_, E>,
        noise: Option<&[E]>,
        t: usize,
    ) {
        let plan = self.plan;
        let (units, f) = (plan.sweep.shape.units, plan.sweep.activation);
        let (stride, width) = (padded(units), units.next_multiple_of(GROUP));
        let decay = groups(&plan.decay[..width]);
        for_activation!(f, f => for m in 0..self.tile.trials {
            let (trial, row) = (self.tile.first + m, m * stride..m * stride + width);
            let rates = &mut adjoint.rates[row.clone()];
            let carry = &mut adjoint.carry[row.clone()];
            let drive = &mut adjoint.drive[row.clone()];
            if let Some(gradient) = plan.upstream.rates {
                add(rates, plan.row(gradient, t, trial));
            }
            if let Some(gradient) = plan.upstream.potentials {
                add(carry, plan.row(gradient, t, trial));
            }
            let after = plan.row(plan.saved.rates, t + 1, trial);
            let (rates, carry) = (groups(rates), groups_mut(carry));
            let to = groups_mut(drive);
            each_vector!(S, decay.len(), |g, lane| {
                if g * GROUP + lane < units {
                    let slope = f.slope(S::load(after, g * GROUP + lane));
                    let v = slope.mul_add(S::load(&rates[g], lane), S::load(&carry[g], lane));
                    v.store(&mut to[g], lane);
                    (S::load(&decay[g], lane) * v).store(&mut carry[g], lane);
                }
            });
            if plan.wanted.decay {
                add_products::<S>(&mut sums.decay[..width], drive, plan.state_before(t, trial));
            }
            if let Some(noise) = noise {
                add_products::<S>(&mut sums.noise_scale[..width], drive, &noise[row]);
            }
        });
    }

    /// The rate form, from the gradients of the rates after a step to those of its drive, and of the rates before it along the
    /// leak.
    #[inline(always)]
    fn update_rates<S: Simd<Elem = E>>(
        &self,
        adjoint: &mut Adjoint<'_, E>,
        sums: &mut Sums<'_, E>,
        noise: Option<&[E]>,
        t: usize,
    ) {
        let plan = self.plan;
        let (units, f) = (plan.sweep.shape.units, plan.sweep.activation);
        let (stride, width) = (padded(units), units.next_multiple_of(GROUP));
        let (decay, gain) = (groups(&plan.decay[..width]), groups(&plan.gain[..width]));
        let all_responses = plan.saved.responses.unwrap_or_default();
        for_activation!(f, f => for m in 0..self.tile.trials {
            let (trial, row) = (self.tile.first + m, m * stride..m * stride + width);
            let rates = &mut adjoint.rates[row.clone()];
            let carry = &mut adjoint.carry[row.clone()];
            let drive = &mut adjoint.drive[row.clone()];
            let responses = plan.row(all_responses, t, trial);
            add(rates, carry);
            if let Some(gradient) = plan.upstream.rates {
                add(rates, plan.row(gradient, t, trial));
            }
            let (from, to) = (groups(rates), groups_mut(drive));
            let carry = groups_mut(carry);
            each_vector!(S, decay.len(), |g, lane| {
                if g * GROUP + lane < units {
                    let slope = f.slope(S::load(responses, g * GROUP + lane));
                    let r = S::load(&from[g], lane);
                    (slope * (S::load(&gain[g], lane) * r)).store(&mut to[g], lane);
                    (S::load(&decay[g], lane) * r).store(&mut carry[g], lane);
                }
            });
            if let Some(gradient) = plan.upstream.potentials {
                add(drive, plan.row(gradient, t, trial));
            }
            if plan.wanted.decay {
                add_products::<S>(&mut sums.decay[..width], rates, plan.state_before(t, trial));
            }
            if plan.wanted.gain {
                add_products::<S>(&mut sums.gain[..width], rates, responses);
            }
            if let Some(noise) = noise {
                let noisy = match plan.sweep.noise_target {
                    NoiseTarget::State => &*rates,
                    NoiseTarget::Drive => &*drive,
                };
                add_products::<S>(&mut sums.noise_scale[..width], noisy, &noise[row]);
            }
        });
    }

    /// Gradients of the inputs of step `t`, if wanted.
    #[inline(always)]
    fn write_inputs<S: Simd<Elem = E>>(&mut self, adjoint: &Adjoint<'_, E>, t: usize) {
        let Shape { units, inputs, .. } = self.plan.sweep.shape;
        if let Some(rows) = &mut self.inputs {
            dots::<S>(
                &self.plan.w_in,
                &self.plan.zeros[..inputs],
                &adjoint.drive,
                [units.next_multiple_of(S::LANES), padded(units)],
                rows[t],
                self.tile.trials,
            );
        }
    }

    /// Adds what `steps` time steps of history give to the gradients of weights.
    #[inline(always)]
    fn add_weights<S: Simd<Elem = E>>(
        &self,
        sums: &mut Sums<'_, E>,
        history: &History<'_, E>,
        steps: usize,
    ) {
        let Shape {
            units,
            inputs,
            outputs,
            ..
        } = self.plan.sweep.shape;
        let (stride, rows) = (padded(units), steps * self.tile.trials);
        if self.plan.wanted.recurrence {
            S::outlined(Accumulate {
                sums: &mut sums.w_rc,
                stride,
                a: &history.drives,
                columns: units,
                b: &history.rates,
                first: 0,
                rows,
            });
            S::outlined(Accumulate {
                sums: &mut sums.w_in,
                stride,
                a: &history.inputs,
                columns: inputs + 1,
                b: &history.drives,
                first: 0,
                rows,
            });
        }
        if self.plan.wanted.readout {
            let (heard, first) = match &history.heard {
                Some(heard) => (heard, 0),
                None => (&history.rates, self.tile.trials),
            };
            S::outlined(Accumulate {
                sums: &mut sums.w_out,
                stride,
                a: &history.outputs,
                columns: outputs,
                b: heard,
                first,
                rows,
            });
        }
    }

    fn add_output_bias(&self, sums: &mut [E]) {
        let Shape {
            trials, outputs, ..
        } = self.plan.sweep.shape;
        let Some(gradient) = self.plan.upstream.outputs.filter(|_| outputs > 0) else {
            return;
        };
        for at_time in gradient.chunks_exact(trials * outputs) {
            let rows = &at_time[self.tile.first * outputs..][..self.tile.trials * outputs];
            for row in rows.chunks_exact(outputs) {
                add(sums, row);
            }
        }
    }

    /// The gradient of the initial state: through the first drive and along the leak.
    #[inline(always)]
    fn write_initial_state<S: Simd<Elem = E>>(&mut self, adjoint: &mut Adjoint<'_, E>) {
        let (plan, units) = (self.plan, self.plan.sweep.shape.units);
        let drives = Term {
            rows: &adjoint.drive,
            stride: padded(units),
            depth: units,
        };
        self.product::<S>(&[drives], &mut adjoint.rates);
        let (stride, width) = (padded(units), units.next_multiple_of(GROUP));
        let f = match plan.sweep.form {
            Form::Voltage => plan.sweep.activation,
            Form::Rate => Activation::Linear,
        };
        for m in 0..self.tile.trials {
            let row = m * stride..m * stride + width;
            let carry = &mut adjoint.carry[row.clone()];
            let before = plan.row(plan.saved.rates, 0, self.tile.first + m);
            let (rates, state) = (groups(&adjoint.rates[row]), groups_mut(carry));
            each_vector!(S, rates.len(), |g, lane| {
                if g * GROUP + lane < units {
                    let slope = f.slope(S::load(before, g * GROUP + lane));
                    let v = slope.mul_add(S::load(&rates[g], lane), S::load(&state[g], lane));
                    v.store(&mut state[g], lane);
                }
            });
        }
        write_rows(&mut self.initial_states, 0, &adjoint.carry, units);
    }
}
