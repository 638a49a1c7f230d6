//! The leaky recurrence over time, forward and backward, as arithmetic on slices.
//!
//! This crate knows no tensors, tasks or files. [`forward`] takes every trial of a batch through all its time steps, [`backward`]
//! takes gradients back (BPTT); both run on the vector instructions of the machine and on all threads of the current rayon
//! pool, and return the same bits for any number of threads.
//!
//! # The sweep forward
//!
//! Time steps are t = 0..T-1; index t of a result is the state AFTER input `u[t]`. With `n` and `xi` standard normals for each
//! trial, unit and time step, and `f` an [`Activation`],
//!
//! ```text
//! voltage:  v(t+1) = decay v(t) + gain (W_rc r(t) + W_in u(t) + b) + noise_scale n(t)        r = f(v)
//! rate:     z(t)   = W_rc r(t) + W_in u(t) + b                                               r(t+1) = decay r(t) + gain f(z(t))
//! readout:  y(t)   = W_out (r(t+1) + sigma_post xi(t)) + b_out
//! ```
//!
//! In the rate form `noise_scale n(t)` is added to `r(t+1)` or to `z(t)` ([`NoiseTarget`]). Decay, gain and noise scale are
//! vectors over units: time constants, integrators and noise conventions are converted to them before the sweep. `xi` never
//! enters the recurrence.
//!
//! `W_rc` is a matrix `w_rc`, or the product `left right' / N` of two thin factors `[N, R]`, or the sum of both. The product is
//! never formed: `W_rc r = w_rc r + left kappa` with `kappa = right' r / N`.
//! With short-term plasticity ([`SynapseConstants`]) `W_rc` sees `r(t) u(t+1) x(t+1)` in place of `r(t)`, where
//!
//! ```text
//! u(t+1) = u(t) + a_u (U - u(t)) + dt U (1 - u(t)) r(t)        x(t+1) = x(t) + a_x (1 - x(t)) - dt u(t) x(t) r(t)
//! ```
//!
//! are clipped to [0, 1]. The backward sweep then takes `W_rc' g_z` back through this step (`cpu/synapses.rs`), and needs 8 bytes more.
//! A connection from j to i with [delay](Delays) d takes `r_j(t - d)`, or what its synapses transmitted then, in place of that of t;
//! before t = 0 it is that of t = 0.
//!
//! # The sweep backward
//!
//! Write `g_x` for the gradient of the loss with respect to `x`, and `G_x` for the part of it that the loss puts on a result
//! directly. From the last time step to the first,
//!
//! ```text
//!           g_r(t+1) = G_r + W_out' G_y(t) + W_rc' g_z(t+1)
//! voltage:  g_v(t+1) = f'(v(t+1)) g_r(t+1) + decay g_v(t+2) + G_v           g_z(t) = gain g_v(t+1)
//! rate:     g_r(t+1) = ... + decay g_r(t+2)                                 g_z(t) = f'(z(t)) gain g_r(t+1) + G_z
//! ```
//!
//! where without delays `W_rc' g_z = w_rc' g_z + right g_kappa / N` with `g_kappa = left' g_z`; and, summed over trials and time,
//! `g_w_rc = g_z r(t)'`, `g_left = g_z kappa'`, `g_right = r(t) g_kappa' / N`, `g_W_in = g_z u'`, `g_b = g_z`,
//! `g_W_out = G_y (r(t+1) + sigma_post xi)'`; with s the state (v or r) `g_decay = g_s(t+1) s(t)`, `g_noise_scale = g n` where g is the
//! gradient of what the noise is added to, and `g_gain = g_v z` (voltage) or `g_r f(z)` (rate).
//!
//! With delays, `W_rc' g_z(t+1)` is the sum over connections of `W_ij g_z_i(t+1+d)` for the times within the sweep, and the rates
//! of the initial state gather that of every time up to d.
//!
//! `f'` is computed from `f`, so that the backward sweep needs little memory. In `f32`, bytes per trial, unit and time step:
//!
//! | form | always | for the gradient of decay |
//! |---|--:|--:|
//! | voltage | 4 (`r`) | 4 (`v`) |
//! | rate | 8 (`r`, `f(z)`) | 0 |
//!
//! # Memory, threads, instructions
//!
//! Buffers are time-major, `[time, trial, unit]`; weights are `[post, pre]`, row by row. Results go where the caller says; all
//! else lives in a [`Workspace`] and is reused by the next sweep. The batch is split into tiles of trials by its shape alone, a
//! thread takes a tile through all time steps, and sums over tiles are added in their order.
//!
//! The instruction set is chosen when the program runs ([`KernelPath`]); the environment variable `CTRNN_KERNEL` overrides it.
//! Paths differ in the order of sums and in fused multiply-adds, thus by rounding; normals are the same bits on all of them.
//! Activations have a relative error below 4e-7 (`f32`) and 1e-15 (`f64`) for potentials above -86 and -700; below, exponentials stay at their
//! value there (1e-38, 1e-308).
//!
//! # Example
//!
//! Two units without weights leak from 1 and are driven by their bias: v = 0.8 v + 0.2 b.
//!
//! ```
//! use ctrnn_kernels::*;
//!
//! let shape = Shape { trials: 1, steps: 2, units: 2, outputs: 1, ..Shape::default() };
//! let sweep = SweepSlices {
//!     shape,
//!     form: Form::Voltage,
//!     activation: Activation::Relu,
//!     noise_target: NoiseTarget::State,
//!     operands: Operands {
//!         inputs: &[][..],
//!         w_in: &[],
//!         w_rc: &[0.0; 4],
//!         left: &[],
//!         right: &[],
//!         bias: &[0.0, 1.0],
//!         w_out: &[1.0, -1.0],
//!         bias_out: &[0.0],
//!         decay: &[0.8, 0.8],
//!         gain: &[0.2, 0.2],
//!         noise_scale: &[0.0, 0.0],
//!         initial_state: UnitState { activity: &[1.0, 1.0], ..UnitState::default() },
//!     },
//!     synapses: SynapseConstants::default(),
//!     eps: NoiseSource::None,
//!     xi: NoiseSource::None,
//!     sigma_post: 0.0,
//!     delays: None,
//!     lengths: None,
//!     rate_terms: &[],
//! };
//! let workspace = Workspace::new(KernelPath::selected()?);
//! let (mut rates, mut outputs) = (vec![0.0_f64; shape.history()], vec![0.0; 2]);
//! let trajectory = TrajectorySlices {
//!     rates: Some(&mut rates),
//!     outputs: Some(&mut outputs),
//!     ..TrajectorySlices::default()
//! };
//! forward(&sweep, trajectory, &workspace);
//! assert!((rates[4] - 0.64).abs() < 1e-12 && (rates[5] - 1.0).abs() < 1e-12); // 0.8^2, and the fixed point 1
//!
//! // The loss is the last output: dy/dv_0(0) = 0.8^2.
//! let saved = Saved { rates: &rates, ..Saved::default() };
//! let upstream = UpstreamSlices { outputs: Some(&[0.0, 1.0]), ..UpstreamSlices::default() };
//! let mut initial_state = [0.0; 2];
//! let gradients = GradientSlices {
//!     initial_state: UnitState { activity: Some(&mut initial_state), ..UnitState::default() },
//!     ..GradientSlices::default()
//! };
//! backward(&sweep, &saved, &upstream, gradients, &workspace);
//! assert!((initial_state[0] - 0.64).abs() < 1e-12 && (initial_state[1] + 0.64).abs() < 1e-12);
//! # Ok::<(), KernelPathError>(())
//! ```

mod activation;
mod adam;
mod coefficients;
mod cpu;
mod delays;
mod dense;
#[cfg(feature = "gpu")]
pub mod gpu;
mod instruction_set;
mod omega;
mod operands;
mod rate_term;
mod shape;
mod simd;
mod sweep;
mod sweeps;
mod workspace;

pub use activation::{Activation, Ceiling, Leak, PowerLaw};
pub use adam::{AdamStep, adam};
pub use cpu::backward::Saved;
pub use cpu::forward::TrajectorySlices;
pub use cpu::recompute::{SegmentSlices, kept_states, segment_steps};
pub use cpu::sums::{cross_entropy, squared_deviations, squared_error, sum_of_squares};
pub use cpu::synapses::kept_synapses;
pub use delays::Delays;
pub use dense::{add_scaled, decay_and_add, subtract_square};
pub use instruction_set::{KernelPath, KernelPathError};
pub use omega::OmegaTerm;
pub use operands::{
    GradientSlices, Operands, SweepResults, SynapseConstants, UnitState, UpstreamSlices,
};
pub use rate_term::{RateMeasure, RateTerm};
pub use shape::Shape;
pub use simd::Element;
pub use sweep::{DrawAddress, Form, NoiseSource, NoiseTarget, SweepSlices, TrialLengths};
pub use sweeps::{
    SweepElement, backward, backward_recomputing, backward_with_omega, draw_normals, forward,
    forward_keeping_states, quadratic_forms, rate_terms, second_moment_slopes, second_moments,
};
pub use workspace::Workspace;
