//! The sweep forward in time.

use crate::Form;
use crate::activation::for_activation;
use crate::noise::Noise;
use crate::operands::assert_len;
use crate::shape::{NoiseTarget, Shape, Sweep};
use crate::simd::{
    Element, GROUP, Job, Packed, Product, Simd, Term, dots, each_vector, groups, groups_mut, padded,
};
use crate::tile::{Tile, for_each, split, tiles};
use crate::workspace::{Scratch, Workspace};

/// Where the results of a forward sweep go; what is `None` is not computed. Index k of a trial is the state after input k.
///
/// The backward sweep needs `rates`, in the rate form also `responses`, and in the voltage form `potentials` if the gradient of
/// decay is wanted. In `f32` these are 4 bytes each per trial, unit and time step.
#[derive(Debug)]
pub struct Record<'a, E> {
    /// Rates `[T + 1, B, N]`; the first are those of the initial state.
    pub rates: Option<&'a mut [E]>,
    /// `f(z)` `[T, B, N]`; rate form only.
    pub responses: Option<&'a mut [E]>,
    /// Potentials `[T, B, N]`: `v` in the voltage form, `z` in the rate form.
    pub potentials: Option<&'a mut [E]>,
    /// Readout `[T, B, O]`.
    pub outputs: Option<&'a mut [E]>,
    /// The last state `[B, N]`: `v` in the voltage form, `r` in the rate form.
    pub final_state: Option<&'a mut [E]>,
}

impl<E> Default for Record<'_, E> {
    fn default() -> Self {
        Self {
            rates: None,
            responses: None,
            potentials: None,
            outputs: None,
            final_state: None,
        }
    }
}

impl<E> Record<'_, E> {
    fn assert_lens(&self, shape: &Shape, form: Form) {
        let states = shape.states();
        let lengths = [
            ("rates", &self.rates, shape.history()),
            ("responses", &self.responses, states),
            ("potentials", &self.potentials, states),
            (
                "outputs",
                &self.outputs,
                shape.steps * shape.trials * shape.outputs,
            ),
            ("final state", &self.final_state, shape.trials * shape.units),
        ];
        for (name, buffer, expected) in lengths {
            if let Some(buffer) = buffer {
                assert_len(name, buffer, expected);
            }
        }
        assert!(
            self.responses.is_none() || form == Form::Rate,
            "responses exist in the rate form only"
        );
    }
}

/// Takes every trial through all time steps and records what is asked for.
///
/// # Panics
/// When a slice has not the length that the shape says.
pub fn forward<E: Element>(sweep: &Sweep<'_, E>, record: Record<'_, E>, workspace: &Workspace<E>) {
    E::forward(sweep, record, workspace);
}

/// [`forward`], to be compiled for each element type.
pub(crate) fn sweep<E: Element>(
    sweep: &Sweep<'_, E>,
    record: Record<'_, E>,
    workspace: &Workspace<E>,
) {
    sweep.assert_lens();
    let shape = &sweep.shape;
    record.assert_lens(shape, sweep.form);
    let plan = E::dispatch(workspace.path(), MakePlan { sweep, workspace });
    let tiles = tiles(shape);
    let mut rates = split(record.rates, &tiles, shape, shape.units).into_iter();
    let mut responses = split(record.responses, &tiles, shape, shape.units).into_iter();
    let mut potentials = split(record.potentials, &tiles, shape, shape.units).into_iter();
    let mut outputs = split(record.outputs, &tiles, shape, shape.outputs).into_iter();
    let mut final_states = split(record.final_state, &tiles, shape, shape.units).into_iter();
    let jobs = tiles
        .iter()
        .map(|&tile| TileJob {
            plan: &plan,
            tile,
            rates: rates.next().flatten(),
            responses: responses.next().flatten(),
            potentials: potentials.next().flatten(),
            outputs: outputs.next().flatten(),
            final_state: final_states.next().flatten(),
        })
        .collect();
    for_each(jobs, |job: TileJob<'_, E>| {
        E::dispatch(workspace.path(), job);
    });
}

/// What all tiles share: weights and vectors in the layout of the path, filled up with zeros.
struct Plan<'a, E: Element> {
    sweep: &'a Sweep<'a, E>,
    workspace: &'a Workspace<E>,
    /// `W_rc` above `W_in`, transposed, with the scale of the drive.
    weights: Packed<'a, E>,
    bias: Scratch<'a, E>,
    decay: Scratch<'a, E>,
    gain: Scratch<'a, E>,
    noise_scale: Scratch<'a, E>,
    w_out: Scratch<'a, E>,
}

struct MakePlan<'a, E: Element> {
    sweep: &'a Sweep<'a, E>,
    workspace: &'a Workspace<E>,
}

impl<'a, E: Element> Job<E> for MakePlan<'a, E> {
    type Output = Plan<'a, E>;

    #[inline(always)]
    fn run<S: Simd<Elem = E>>(self) -> Plan<'a, E> {
        let (sweep, workspace) = (self.sweep, self.workspace);
        let Shape { units, inputs, .. } = sweep.shape;
        let operands = &sweep.operands;
        let weights = Packed::new::<S>(workspace, [units, inputs], units, |part, pre, post| {
            let weight = match part {
                0 => operands.w_rc[post * units + pre],
                _ => operands.w_in[post * inputs + pre],
            };
            sweep.drive_scale(post) * weight
        });
        let mut bias = padded_rows(workspace, operands.bias, units);
        for (post, bias) in bias[..units].iter_mut().enumerate() {
            *bias = sweep.drive_scale(post) * *bias;
        }
        Plan {
            sweep,
            workspace,
            weights,
            bias,
            decay: padded_rows(workspace, operands.decay, units),
            gain: padded_rows(workspace, operands.gain, units),
            noise_scale: padded_rows(workspace, operands.noise_scale, units),
            w_out: padded_rows(workspace, operands.w_out, units),
        }
    }
}

/// Copies rows of `units` numbers into rows of [`padded`] numbers.
pub(crate) fn padded_rows<'a, E: Element>(
    workspace: &'a Workspace<E>,
    rows: &[E],
    units: usize,
) -> Scratch<'a, E> {
    let stride = padded(units);
    let mut copy = workspace.zeros(rows.len() / units * stride);
    for (to, from) in copy.chunks_exact_mut(stride).zip(rows.chunks_exact(units)) {
        to[..units].copy_from_slice(from);
    }
    copy
}

/// A tile's part of a record, by time.
pub(crate) type Rows<'a, E> = Option<Vec<&'a mut [E]>>;

/// The sweep of one tile.
struct TileJob<'a, E: Element> {
    plan: &'a Plan<'a, E>,
    tile: Tile,
    rates: Rows<'a, E>,
    responses: Rows<'a, E>,
    potentials: Rows<'a, E>,
    outputs: Rows<'a, E>,
    final_state: Rows<'a, E>,
}

/// The state of a tile, a row of [`padded`] units for each trial.
struct State<'a, E: Element> {
    /// `v`; voltage form only.
    potentials: Scratch<'a, E>,
    /// `f(z)`; rate form only.
    responses: Scratch<'a, E>,
    rates: Scratch<'a, E>,
    /// What the products give: the drive of the next state.
    drive: Scratch<'a, E>,
}

impl<E: Element> Job<E> for TileJob<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<Elem = E>>(mut self) {
        let sweep = self.plan.sweep;
        let Shape {
            trials,
            steps,
            units,
            ..
        } = sweep.shape;
        let sizes = [steps, trials, units];
        let mut eps = Noise::new(self.plan.workspace, sweep.audible_eps(), self.tile, sizes);
        let xi = sweep.audible_xi();
        let mut readout = Readout {
            noise: Noise::new(self.plan.workspace, xi, self.tile, sizes),
            heard: self.plan.workspace.zeros(self.tile.trials * padded(units)),
        };
        let mut state = self.initial_state::<S>();
        for t in 0..steps {
            self.drive::<S>(&mut state, t);
            let noise = eps.as_mut().map(|eps| eps.at(t));
            match sweep.form {
                Form::Voltage => self.update_potentials::<S>(&mut state, noise, t),
                Form::Rate => self.update_rates::<S>(&mut state, noise, t),
            }
            if let Some(outputs) = self.outputs.as_mut() {
                readout.write::<S>(self.plan, &state.rates, t, outputs[t]);
            }
        }
        self.write_final_state(&state);
    }
}

impl<'a, E: Element> TileJob<'a, E> {
    #[inline(always)]
    fn initial_state<S: Simd<Elem = E>>(&mut self) -> State<'a, E> {
        let sweep = self.plan.sweep;
        let (units, stride) = (sweep.shape.units, padded(sweep.shape.units));
        let zeros = || self.plan.workspace.zeros(self.tile.trials * stride);
        let mut state = State {
            potentials: zeros(),
            responses: zeros(),
            rates: zeros(),
            drive: zeros(),
        };
        let start = match sweep.form {
            Form::Voltage => &mut state.potentials,
            Form::Rate => &mut state.rates,
        };
        for (m, row) in start.chunks_exact_mut(stride).enumerate() {
            let initial = sweep.initial_state(self.tile.first + m);
            row[..units].copy_from_slice(initial);
        }
        if sweep.form == Form::Voltage {
            let f = sweep.activation;
            f.rates::<S>(&state.potentials, &mut state.rates);
        }
        write_rows(&mut self.rates, 0, &state.rates, units);
        state
    }

    /// `drive = scale (W_rc r + W_in u + b)`
    #[inline(always)]
    fn drive<S: Simd<Elem = E>>(&self, state: &mut State<'_, E>, t: usize) {
        let sweep = self.plan.sweep;
        let Shape {
            trials,
            inputs,
            units,
            ..
        } = sweep.shape;
        let stride = padded(units);
        let rates = Term {
            rows: &state.rates,
            stride,
            depth: units,
        };
        let inputs = Term {
            rows: &sweep.operands.inputs[(t * trials + self.tile.first) * inputs..],
            stride: inputs,
            depth: inputs,
        };
        S::outlined(Product {
            weights: &self.plan.weights,
            start: &self.plan.bias,
            terms: &[rates, inputs],
            out: &mut state.drive,
            out_stride: stride,
            n_rows: self.tile.trials,
        });
    }

    /// The voltage form, from drives to the next state: `v = decay v + drive + noise_scale n`, `r = f(v)`.
    #[inline(always)]
    fn update_potentials<S: Simd<Elem = E>>(
        &mut self,
        state: &mut State<'_, E>,
        noise: Option<&[E]>,
        t: usize,
    ) {
        let units = self.plan.sweep.shape.units;
        let (stride, width) = (padded(units), units.next_multiple_of(GROUP));
        let decay = groups(&self.plan.decay[..width]);
        for_activation!(self.plan.sweep.activation, f => for m in 0..self.tile.trials {
            let row = m * stride..m * stride + width;
            if let Some(noise) = noise {
                let drive = &mut state.drive[row.clone()];
                add_products::<S>(drive, &self.plan.noise_scale, &noise[row.clone()]);
            }
            let drive = groups(&state.drive[row.clone()]);
            let potentials = groups_mut(&mut state.potentials[row.clone()]);
            let rates = groups_mut(&mut state.rates[row]);
            each_vector!(S, decay.len(), |g, lane| {
                let kept = S::load(&potentials[g], lane);
                let v = S::load(&decay[g], lane).mul_add(kept, S::load(&drive[g], lane));
                v.store(&mut potentials[g], lane);
                f.value(v).store(&mut rates[g], lane);
            });
        });
        write_rows(&mut self.potentials, t, &state.potentials, units);
        write_rows(&mut self.rates, t + 1, &state.rates, units);
    }

    /// The rate form, from drives to the next state: `r = decay r + gain f(z)`, with `noise_scale n` in `z` or beside it.
    #[inline(always)]
    fn update_rates<S: Simd<Elem = E>>(
        &mut self,
        state: &mut State<'_, E>,
        noise: Option<&[E]>,
        t: usize,
    ) {
        let sweep = self.plan.sweep;
        let units = sweep.shape.units;
        let (stride, width) = (padded(units), units.next_multiple_of(GROUP));
        let (in_drive, in_state) = match sweep.noise_target {
            NoiseTarget::Drive => (noise, None),
            NoiseTarget::State => (None, noise),
        };
        let decay = groups(&self.plan.decay[..width]);
        let gain = groups(&self.plan.gain[..width]);
        for_activation!(sweep.activation, f => for m in 0..self.tile.trials {
            let row = m * stride..m * stride + width;
            if let Some(noise) = in_drive {
                let z = &mut state.drive[row.clone()];
                add_products::<S>(z, &self.plan.noise_scale, &noise[row.clone()]);
            }
            let z = groups(&state.drive[row.clone()]);
            let responses = groups_mut(&mut state.responses[row.clone()]);
            let rates = groups_mut(&mut state.rates[row.clone()]);
            each_vector!(S, decay.len(), |g, lane| {
                let response = f.value(S::load(&z[g], lane));
                let kept = S::load(&decay[g], lane) * S::load(&rates[g], lane);
                response.store(&mut responses[g], lane);
                let r = S::load(&gain[g], lane).mul_add(response, kept);
                r.store(&mut rates[g], lane);
            });
            if let Some(noise) = in_state {
                let r = &mut state.rates[row.clone()];
                add_products::<S>(r, &self.plan.noise_scale, &noise[row]);
            }
        });
        write_rows(&mut self.potentials, t, &state.drive, units);
        write_rows(&mut self.responses, t, &state.responses, units);
        write_rows(&mut self.rates, t + 1, &state.rates, units);
    }

    fn write_final_state(&mut self, state: &State<'_, E>) {
        let units = self.plan.sweep.shape.units;
        let rows = match self.plan.sweep.form {
            Form::Voltage => &state.potentials,
            Form::Rate => &state.rates,
        };
        write_rows(&mut self.final_state, 0, rows, units);
    }
}

/// Copies the rows of a tile to their place at time `t`, if they are recorded.
#[inline(always)]
pub(crate) fn write_rows<E: Element>(to: &mut Rows<'_, E>, t: usize, rows: &[E], units: usize) {
    if let Some(to) = to {
        let places = to[t].chunks_exact_mut(units);
        for (place, row) in places.zip(rows.chunks_exact(padded(units))) {
            place.copy_from_slice(&row[..units]);
        }
    }
}

/// `sums += a b` for a padded row `sums`; `b` may end before its padding.
#[inline(always)]
pub(crate) fn add_products<S: Simd>(sums: &mut [S::Elem], a: &[S::Elem], b: &[S::Elem]) {
    let (sums, a) = (groups_mut(sums), groups(a));
    each_vector!(S, b.len().div_ceil(GROUP), |g, lane| {
        if g * GROUP + lane < b.len() {
            let factor = S::load(b, g * GROUP + lane);
            let sum = S::load(&a[g], lane).mul_add(factor, S::load(&sums[g], lane));
            sum.store(&mut sums[g], lane);
        }
    });
}

/// `y = W_out (r + sigma_post xi) + b_out`
struct Readout<'a, E: Element> {
    noise: Option<Noise<'a, E>>,
    /// `r + sigma_post xi`, where there is noise.
    heard: Scratch<'a, E>,
}

impl<E: Element> Readout<'_, E> {
    #[inline(always)]
    fn write<S: Simd<Elem = E>>(
        &mut self,
        plan: &Plan<'_, E>,
        rates: &[E],
        t: usize,
        outputs: &mut [E],
    ) {
        let shape = &plan.sweep.shape;
        let (stride, width) = (padded(shape.units), shape.units.next_multiple_of(S::LANES));
        let mut rows = rates;
        if let Some(noise) = &mut self.noise {
            add_noise::<S>(&mut self.heard, rates, plan.sweep.sigma_post, noise.at(t));
            rows = &self.heard;
        }
        let n_rows = rates.len() / stride;
        dots::<S>(
            &plan.w_out,
            plan.sweep.operands.bias_out,
            rows,
            [width, stride],
            outputs,
            n_rows,
        );
    }
}

/// `heard = rates + sigma noise` for padded rows; the padding of the rates may be missing.
#[inline(always)]
pub(crate) fn add_noise<S: Simd>(
    heard: &mut [S::Elem],
    rates: &[S::Elem],
    sigma: S::Elem,
    noise: &[S::Elem],
) {
    let (heard, noise) = (groups_mut(heard), groups(noise));
    each_vector!(S, heard.len(), |g, lane| {
        if g * GROUP + lane < rates.len() {
            let rates = S::load(rates, g * GROUP + lane);
            let sum = S::splat(sigma).mul_add(S::load(&noise[g], lane), rates);
            sum.store(&mut heard[g], lane);
        }
    });
}
