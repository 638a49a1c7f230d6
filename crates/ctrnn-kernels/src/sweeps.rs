//! Entry points of the sweeps, compiled for each element type.
//!
//! Generic functions are compiled by every crate that calls them, and these hold all paths and activations: as methods of
//! [`SweepElement`] they are compiled once, here, and with the optimisation level of this crate.

use crate::OmegaTerm;
use crate::cpu::backward::{self, Saved};
use crate::cpu::draw;
use crate::cpu::forward::{self, TrajectorySlices};
use crate::cpu::rate_products;
use crate::cpu::rate_terms;
use crate::cpu::recompute::{self, SegmentSlices};
use crate::operands::{GradientSlices, UnitState, UpstreamSlices};
use crate::simd::Element;
use crate::sweep::{DrawAddress, SweepSlices};
use crate::workspace::Workspace;

/// Runs the forward sweep: takes every trial through all time steps and writes the results that have a destination.
///
/// # Panics
/// If a slice does not have the length that the shape implies.
pub fn forward<E: SweepElement>(
    sweep: &SweepSlices<'_, E>,
    trajectory: TrajectorySlices<'_, E>,
    workspace: &Workspace<E>,
) {
    E::forward(sweep, trajectory, workspace);
}

/// Runs the backward sweep (BPTT): takes the gradients of a loss back through all time steps.
///
/// # Panics
/// If a slice does not have the length that the shape implies, or a needed part of the saved forward results is absent.
pub fn backward<E: SweepElement>(
    sweep: &SweepSlices<'_, E>,
    saved: &Saved<'_, E>,
    upstream: &UpstreamSlices<'_, E>,
    gradients: GradientSlices<'_, E>,
    workspace: &Workspace<E>,
) {
    E::backward(sweep, saved, upstream, gradients, None, workspace);
}

/// Runs [`backward()`] and adds the gradient of the vanishing-gradient penalty to that of the recurrent weights; returns the value of
/// the penalty. The gradients `upstream` are those of the loss whose norm it keeps.
///
/// # Panics
/// As [`backward()`], and if the network has the rate form, factors, plastic synapses or delays.
pub fn backward_with_omega<E: SweepElement>(
    sweep: &SweepSlices<'_, E>,
    saved: &Saved<'_, E>,
    upstream: &UpstreamSlices<'_, E>,
    gradients: GradientSlices<'_, E>,
    omega: &OmegaTerm,
    workspace: &Workspace<E>,
) -> f64 {
    let omega = Some(omega);
    let value = E::backward(sweep, saved, upstream, gradients, omega, workspace);
    value.expect("computed on request")
}

/// Runs [`forward()`] and keeps the state before every `segment`-th time step, for [`backward_recomputing`].
///
/// # Panics
/// If a slice does not have the length that the shape implies, `segment` is not a multiple of four, or connections are delayed.
pub fn forward_keeping_states<E: SweepElement>(
    sweep: &SweepSlices<'_, E>,
    segment: usize,
    to: SegmentSlices<'_, E>,
    workspace: &Workspace<E>,
) {
    E::forward_keeping_states(sweep, segment, to, workspace);
}

/// Runs [`backward()`] from the states that [`forward_keeping_states`] kept for the same sweep.
///
/// # Panics
/// As [`backward()`].
pub fn backward_recomputing<E: SweepElement>(
    sweep: &SweepSlices<'_, E>,
    segment: usize,
    states: UnitState<&[E]>,
    upstream: &UpstreamSlices<'_, E>,
    gradients: GradientSlices<'_, E>,
    workspace: &Workspace<E>,
) {
    E::backward_recomputing(sweep, segment, states, upstream, gradients, workspace);
}

/// Computes the terms of the rates of a sweep ([`SweepSlices::rate_terms`]) from its rates `[T + 1, B, N]`, `[K]`.
///
/// # Panics
/// If a slice does not have the length that the shape implies.
pub fn rate_terms<E: SweepElement>(
    sweep: &SweepSlices<'_, E>,
    rates: &[E],
    to: &mut [E],
    workspace: &Workspace<E>,
) {
    E::rate_terms(sweep, rates, to, workspace);
}

/// Returns the weighted second moments `sum_k w_k (r_k - mean)(r_k - mean)' [N, N]` of rows `r_k` of N rates.
///
/// # Panics
/// If there is not a weight for each row, and an entry of the mean for each unit.
pub fn second_moments<E: SweepElement>(
    rates: &[E],
    mean: &[E],
    weights: &[E],
    workspace: &Workspace<E>,
) -> Vec<E> {
    E::second_moments(rates, mean, weights, workspace)
}

/// Returns the gradient `w_k (G + G') (r_k - mean)` with respect to the rates, of which [`second_moments`] have the gradient `G`; the mean
/// is held constant.
///
/// # Panics
/// As [`second_moments`], or if the gradient does not have `N N` numbers.
pub fn second_moment_slopes<E: SweepElement>(
    rates: &[E],
    mean: &[E],
    weights: &[E],
    of_moments: &[E],
    workspace: &Workspace<E>,
) -> Vec<E> {
    E::second_moment_slopes(rates, mean, weights, of_moments, workspace)
}

/// Returns `r_k' M r_k` for each row of N rates, given `M [N, N]`.
///
/// # Panics
/// If the matrix does not have `N N` numbers.
pub fn quadratic_forms<E: SweepElement>(
    rates: &[E],
    matrix: &[E],
    units: usize,
    workspace: &Workspace<E>,
) -> Vec<E> {
    E::quadratic_forms(rates, matrix, units, workspace)
}

/// Draws standard normals `[T, B, N]`, the same bits as [`NoiseSource::Drawn`](crate::NoiseSource::Drawn); with a lower triangular
/// `factor` `L [N, N]`, row by row, returns `L n` in place of `n`. Entries above the diagonal of `L` are not read.
///
/// # Panics
/// If the factor does not have `N N` numbers.
pub fn draw_normals<E: SweepElement>(
    address: DrawAddress,
    sizes: [usize; 3],
    factor: Option<&[E]>,
    workspace: &Workspace<E>,
) -> Vec<E> {
    E::draw_normals(address, sizes, factor, workspace)
}

/// Element type whose sweeps this crate has compiled: `f32` or `f64`. The methods implement the functions with the same names.
pub trait SweepElement: Element {
    /// See [`forward()`].
    fn forward(
        sweep: &SweepSlices<'_, Self>,
        trajectory: TrajectorySlices<'_, Self>,
        workspace: &Workspace<Self>,
    );

    /// See [`backward()`] and [`backward_with_omega`]; returns the value of the penalty if there is one.
    fn backward(
        sweep: &SweepSlices<'_, Self>,
        saved: &Saved<'_, Self>,
        upstream: &UpstreamSlices<'_, Self>,
        gradients: GradientSlices<'_, Self>,
        omega: Option<&OmegaTerm>,
        workspace: &Workspace<Self>,
    ) -> Option<f64>;

    /// See [`forward_keeping_states`].
    fn forward_keeping_states(
        sweep: &SweepSlices<'_, Self>,
        segment: usize,
        to: SegmentSlices<'_, Self>,
        workspace: &Workspace<Self>,
    );

    /// See [`backward_recomputing`].
    fn backward_recomputing(
        sweep: &SweepSlices<'_, Self>,
        segment: usize,
        states: UnitState<&[Self]>,
        upstream: &UpstreamSlices<'_, Self>,
        gradients: GradientSlices<'_, Self>,
        workspace: &Workspace<Self>,
    );

    /// See [`rate_terms`].
    fn rate_terms(
        sweep: &SweepSlices<'_, Self>,
        rates: &[Self],
        to: &mut [Self],
        workspace: &Workspace<Self>,
    );

    /// See [`second_moments`].
    fn second_moments(
        rates: &[Self],
        mean: &[Self],
        weights: &[Self],
        workspace: &Workspace<Self>,
    ) -> Vec<Self>;

    /// See [`second_moment_slopes`].
    fn second_moment_slopes(
        rates: &[Self],
        mean: &[Self],
        weights: &[Self],
        of_moments: &[Self],
        workspace: &Workspace<Self>,
    ) -> Vec<Self>;

    /// See [`quadratic_forms`].
    fn quadratic_forms(
        rates: &[Self],
        matrix: &[Self],
        units: usize,
        workspace: &Workspace<Self>,
    ) -> Vec<Self>;

    /// See [`draw_normals`].
    fn draw_normals(
        address: DrawAddress,
        sizes: [usize; 3],
        factor: Option<&[Self]>,
        workspace: &Workspace<Self>,
    ) -> Vec<Self>;
}

macro_rules! compiled {
    ($elem:ty) => {
        impl SweepElement for $elem {
            fn forward(
                sweep: &SweepSlices<'_, Self>,
                trajectory: TrajectorySlices<'_, Self>,
                workspace: &Workspace<Self>,
            ) {
                forward::forward(sweep, trajectory, workspace);
            }

            fn backward(
                sweep: &SweepSlices<'_, Self>,
                saved: &Saved<'_, Self>,
                upstream: &UpstreamSlices<'_, Self>,
                gradients: GradientSlices<'_, Self>,
                omega: Option<&OmegaTerm>,
                workspace: &Workspace<Self>,
            ) -> Option<f64> {
                backward::backward(sweep, saved, upstream, gradients, omega, workspace)
            }

            fn forward_keeping_states(
                sweep: &SweepSlices<'_, Self>,
                segment: usize,
                to: SegmentSlices<'_, Self>,
                workspace: &Workspace<Self>,
            ) {
                recompute::forward_keeping_states(sweep, segment, to, workspace);
            }

            fn backward_recomputing(
                sweep: &SweepSlices<'_, Self>,
                segment: usize,
                states: UnitState<&[Self]>,
                upstream: &UpstreamSlices<'_, Self>,
                gradients: GradientSlices<'_, Self>,
                workspace: &Workspace<Self>,
            ) {
                recompute::backward_recomputing(
                    sweep, segment, states, upstream, gradients, workspace,
                );
            }

            fn rate_terms(
                sweep: &SweepSlices<'_, Self>,
                rates: &[Self],
                to: &mut [Self],
                workspace: &Workspace<Self>,
            ) {
                rate_terms::values(sweep, rates, to, workspace);
            }

            fn second_moments(
                rates: &[Self],
                mean: &[Self],
                weights: &[Self],
                workspace: &Workspace<Self>,
            ) -> Vec<Self> {
                rate_products::second_moments(rates, mean, weights, workspace)
            }

            fn second_moment_slopes(
                rates: &[Self],
                mean: &[Self],
                weights: &[Self],
                of_moments: &[Self],
                workspace: &Workspace<Self>,
            ) -> Vec<Self> {
                rate_products::second_moment_slopes(rates, mean, weights, of_moments, workspace)
            }

            fn quadratic_forms(
                rates: &[Self],
                matrix: &[Self],
                units: usize,
                workspace: &Workspace<Self>,
            ) -> Vec<Self> {
                rate_products::quadratic_forms(rates, matrix, units, workspace)
            }

            fn draw_normals(
                address: DrawAddress,
                sizes: [usize; 3],
                factor: Option<&[Self]>,
                workspace: &Workspace<Self>,
            ) -> Vec<Self> {
                draw::draw_normals(address, sizes, factor, workspace)
            }
        }
    };
}
compiled!(f32);
compiled!(f64);
