//! Part of the backward sweep that all tiles share.

use crate::OmegaTerm;
use crate::cpu::bands::{Bands, Columns};
use crate::cpu::moments::MomentGradients;
use crate::cpu::rows::{copy_row, padded_rows, projection_rows, transposed_rows};
use crate::cpu::synapses::{Synapses, kept_synapses};
use crate::cpu::tile::Tile;
use crate::operands::{GradientSlices, UpstreamSlices, assert_len};
use crate::shape::Shape;
use crate::simd::{Element, Job, Packed, Simd, padded};
use crate::sweep::{Form, SweepSlices};
use crate::workspace::{Scratch, Workspace};

/// Results of the forward sweep of the same [`SweepSlices`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Saved<'a, E> {
    /// Rates `[T + 1, B, N]`.
    pub rates: &'a [E],
    /// `f(z)` `[T, B, N]`; needed in the rate form.
    pub responses: Option<&'a [E]>,
    /// `v` `[T, B, N]`; needed in the voltage form for the gradient of decay.
    pub potentials: Option<&'a [E]>,
    /// Utilisation and resources before every few time steps ([`kept_synapses`]); needed with short-term plasticity.
    pub synapses: Option<[&'a [E]; 2]>,
}

impl<E: Element> Saved<'_, E> {
    pub(super) fn assert_lens(&self, sweep: &SweepSlices<'_, E>, decay: bool) {
        let states = sweep.shape.states();
        assert_len("saved rates", self.rates, sweep.shape.history());
        if sweep.shape.synapses > 0 {
            let len = kept_synapses(&sweep.shape, sweep.delays);
            for kept in self.synapses.expect("plasticity needs kept synapses") {
                assert_len("kept synapses", kept, len);
            }
        }
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
    /// Input weights, factors and bias; in the voltage form also gain, which follows from them and from `w_rc`.
    pub(super) recurrence: bool,
    pub(super) w_rc: bool,
    pub(super) readout: bool,
    pub(super) bias_out: bool,
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
        let gain_of_weights = gain && !rate_form;
        let w_rc = gradients.w_rc.is_some() || gain_of_weights;
        let weights = [
            gradients.w_in.is_some(),
            gradients.left.is_some(),
            gradients.right.is_some(),
            gradients.bias.is_some(),
        ];
        let has_outputs = upstream.outputs.is_some();
        Self {
            recurrence: w_rc || weights.contains(&true),
            w_rc: w_rc && !sweep.shape.without_full,
            readout: has_outputs && (gradients.w_out.is_some() || gradients.bias_out.is_some()),
            bias_out: has_outputs && gradients.bias_out.is_some(),
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
    pub(super) omega: Option<OmegaTerm>,
    pub(super) workspace: &'a Workspace<E>,
    /// `w_rc` with the scale of the drive, above the right factor divided by N, above `W_out`.
    pub(super) weights: Bands<'a, E>,
    /// Left factor with the scale of the drive, transposed: a row for each dimension.
    pub(super) left: Scratch<'a, E>,
    /// Right factor divided by N, transposed: a row for each dimension.
    pub(super) right: Scratch<'a, E>,
    /// `W_out` alone, for plastic synapses, where `W_rc` leads to the transmitted rates and `W_out` to the rates, and for Omega, which
    /// needs the product with `W_rc` by itself.
    pub(super) w_out: Option<Packed<'a, E>>,
    pub(super) synapses: Option<Synapses<'a, E>>,
    /// `W_in` with the scale of the drive, transposed: a row for each input.
    pub(super) w_in: Scratch<'a, E>,
    pub(super) decay: Scratch<'a, E>,
    pub(super) gain: Scratch<'a, E>,
    pub(super) zeros: Scratch<'a, E>,
    /// Gradients with respect to the sums of rates, if the loss has any.
    pub(super) moments: Option<MomentGradients<'a, E>>,
}

pub(super) struct MakePlan<'a, E: Element> {
    pub(super) sweep: &'a SweepSlices<'a, E>,
    pub(super) saved: &'a Saved<'a, E>,
    pub(super) upstream: &'a UpstreamSlices<'a, E>,
    pub(super) wanted: WantedSums,
    pub(super) omega: Option<OmegaTerm>,
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
            rank,
            ..
        } = sweep.shape;
        let w = &sweep.operands;
        let n = E::from_f64(units as f64);
        let entry = |part: usize, post: usize, pre: usize| match part {
            0 => sweep.drive_scale(post) * w.w_rc[post * units + pre],
            1 => w.right[pre * rank + post] / n,
            _ => w.w_out[post * units + pre],
        };
        let depths = [sweep.shape.full_rows(), rank, outputs];
        let weights = Bands::new::<S>(workspace, sweep.delays, Columns::Pre, depths, units, entry);
        let synapses = Synapses::new(sweep, workspace);
        let w_out = (synapses.is_some() || self.omega.is_some()).then(|| {
            Packed::new::<S, 2>(workspace, [0, outputs], units, |_, output, pre| {
                w.w_out[output * units + pre]
            })
        });
        Plan {
            sweep,
            saved: self.saved,
            upstream: self.upstream,
            wanted: self.wanted,
            omega: self.omega,
            workspace,
            weights,
            w_out,
            synapses,
            left: transposed_rows(workspace, units, rank, |unit, dimension| {
                sweep.drive_scale(unit) * w.left[unit * rank + dimension]
            }),
            right: projection_rows(workspace, sweep),
            w_in: transposed_rows(workspace, units, inputs, |unit, input| {
                sweep.drive_scale(unit) * w.w_in[unit * inputs + input]
            }),
            decay: padded_rows(workspace, sweep.operands.decay, units),
            gain: padded_rows(workspace, sweep.operands.gain, units),
            moments: MomentGradients::new(self.upstream, units, workspace),
            zeros: workspace.zeros(padded(units).max(inputs).max(rank).max(outputs)),
        }
    }
}

impl<'a, E: Element> Plan<'a, E> {
    /// Returns the row of a trial in a buffer `[time, trial, unit]`.
    #[inline(always)]
    pub(super) fn row(&self, buffer: &'a [E], t: usize, trial: usize) -> &'a [E] {
        self.sweep.shape.row(buffer, t, trial)
    }

    /// Copies the rates before time step `t` into padded rows, one for each of a tile's first trials.
    #[inline(always)]
    pub(super) fn copy_rates<S: Simd<Elem = E>>(&self, t: usize, tile: Tile<'_>, rows: &mut [E]) {
        let stride = padded(self.sweep.shape.units);
        for (m, row) in rows.chunks_exact_mut(stride).enumerate() {
            copy_row::<S>(row, self.row(self.saved.rates, t, tile.trial(m)));
        }
    }

    /// Returns the `k`-th kept utilisation and resources of a trial.
    #[inline(always)]
    pub(super) fn kept_synapses(&self, k: usize, trial: usize) -> [&'a [E]; 2] {
        let kept = self.saved.synapses.expect("asserted before the sweep");
        kept.map(|kept| self.row(kept, k, trial))
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
