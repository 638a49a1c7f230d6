//! Part of the backward sweep that all tiles share.

use crate::cpu::bands::{Bands, Columns};
use crate::cpu::rows::padded_rows;
use crate::operands::{GradientSlices, UpstreamSlices, assert_len};
use crate::shape::Shape;
use crate::simd::{Element, Job, Simd, padded};
use crate::sweep::{Form, SweepSlices};
use crate::workspace::{Scratch, Workspace};

/// Results of the forward sweep of the same [`SweepSlices`].
#[derive(Clone, Copy, Debug)]
pub struct Saved<'a, E> {
    /// Rates `[T + 1, B, N]`.
    pub rates: &'a [E],
    /// `f(z)` `[T, B, N]`; needed in the rate form.
    pub responses: Option<&'a [E]>,
    /// `v` `[T, B, N]`; needed in the voltage form for the gradient of decay.
    pub potentials: Option<&'a [E]>,
}

impl<E: Element> Saved<'_, E> {
    pub(super) fn assert_lens(&self, sweep: &SweepSlices<'_, E>, decay: bool) {
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

/// Groups of sums that are computed.
#[derive(Clone, Copy)]
pub(super) struct WantedSums {
    /// Input and recurrent weights, bias; in the voltage form also gain, which follows from them.
    pub(super) recurrence: bool,
    pub(super) readout: bool,
    pub(super) decay: bool,
    /// Gain in the rate form.
    pub(super) gain: bool,
    pub(super) noise_scale: bool,
}

impl WantedSums {
    pub(super) fn by<E: Element>(
        gradients: &GradientSlices<'_, E>,
        sweep: &SweepSlices<'_, E>,
        upstream: &UpstreamSlices<'_, E>,
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

/// Part of the backward sweep that all tiles share.
pub(super) struct Plan<'a, E: Element> {
    pub(super) sweep: &'a SweepSlices<'a, E>,
    pub(super) saved: &'a Saved<'a, E>,
    pub(super) upstream: &'a UpstreamSlices<'a, E>,
    pub(super) wanted: WantedSums,
    pub(super) workspace: &'a Workspace<E>,
    /// `W_rc` with the scale of the drive, above `W_out`.
    pub(super) weights: Bands<'a, E>,
    /// `W_in` with the scale of the drive, transposed: a row for each input.
    pub(super) w_in: Scratch<'a, E>,
    pub(super) decay: Scratch<'a, E>,
    pub(super) gain: Scratch<'a, E>,
    pub(super) zeros: Scratch<'a, E>,
}

pub(super) struct MakePlan<'a, E: Element> {
    pub(super) sweep: &'a SweepSlices<'a, E>,
    pub(super) saved: &'a Saved<'a, E>,
    pub(super) upstream: &'a UpstreamSlices<'a, E>,
    pub(super) wanted: WantedSums,
    pub(super) workspace: &'a Workspace<E>,
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
        let entry = |part: usize, post: usize, pre: usize| match part {
            0 => sweep.drive_scale(post) * w.w_rc[post * units + pre],
            _ => w.w_out[post * units + pre],
        };
        let sizes = [units, outputs];
        let weights = Bands::new::<S>(workspace, sweep.delays, Columns::Pre, sizes, entry);
        Plan {
            sweep,
            saved: self.saved,
            upstream: self.upstream,
            wanted: self.wanted,
            workspace,
            weights,
            w_in: transposed_w_in(sweep, workspace),
            decay: padded_rows(workspace, sweep.operands.decay, units),
            gain: padded_rows(workspace, sweep.operands.gain, units),
            zeros: workspace.zeros(padded(units).max(inputs)),
        }
    }
}

/// Returns `W_in` with the scale of the drive, a padded row for each input.
fn transposed_w_in<'a, E: Element>(
    sweep: &SweepSlices<'_, E>,
    workspace: &'a Workspace<E>,
) -> Scratch<'a, E> {
    let Shape { units, inputs, .. } = sweep.shape;
    let stride = padded(units);
    let mut w_in = workspace.zeros(inputs * stride);
    for (input, row) in w_in.chunks_exact_mut(stride).enumerate() {
        for (post, weight) in row[..units].iter_mut().enumerate() {
            *weight = sweep.drive_scale(post) * sweep.operands.w_in[post * inputs + input];
        }
    }
    w_in
}

impl<'a, E: Element> Plan<'a, E> {
    /// Returns the row of a trial in a buffer `[time, trial, unit]`.
    #[inline(always)]
    pub(super) fn row(&self, buffer: &'a [E], t: usize, trial: usize) -> &'a [E] {
        let Shape { trials, units, .. } = self.sweep.shape;
        &buffer[(t * trials + trial) * units..][..units]
    }

    /// Returns the activity of a trial before time step `t`: `v` in the voltage form, `r` in the rate form.
    #[inline(always)]
    pub(super) fn state_before(&self, t: usize, trial: usize) -> &'a [E] {
        match (self.sweep.form, self.saved.potentials) {
            (Form::Rate, _) => self.row(self.saved.rates, t, trial),
            (Form::Voltage, Some(potentials)) if t > 0 => self.row(potentials, t - 1, trial),
            (Form::Voltage, _) => self.sweep.initial_state(trial),
        }
    }
}
