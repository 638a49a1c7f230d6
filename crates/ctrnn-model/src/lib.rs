//! The leaky recurrent network as a burn module.
//!
//! # The equation
//!
//! ```text
//! v(t+1) = (1 - alpha) v(t) + alpha [ W_rc r(t) + W_in u(t) + b + eps(t) ]     r(t) = f(v(t))     alpha = dt / tau
//! y(t)   = W_out [ r(t) + xi(t) ] + b_out
//! ```
//!
//! `v` is the membrane potential, `r` the firing rate, `u` the input, `y` the readout. `eps` is carried on by the
//! dynamics, `xi` is seen by the readout alone. In the rate form the leak acts on `r`:
//! `r(t+1) = (1 - alpha) r(t) + alpha f(z(t))` with `z = W_rc r + W_in u + b + eps`. `W_rc` may be a product of two thin factors
//! ([`LowRank`]).
//!
//! # Conventions
//!
//! * Weights are `[post, pre]`: `W_in [N,I]`, `W_rc [N,N]`, `W_out [O,N]`, so `y = W r`.
//! * Tensors are `[trial, time, unit]`.
//! * Input `u[k]` drives the step from state k to state k+1; what is returned at index k is the state after that step,
//!   at `t_ms[k] = (k+1) dt_ms`.
//!
//! # One complete use
//!
//! ```
//! use burn::backend::NdArray;
//! use burn::tensor::Tensor;
//! use ctrnn_model::{CtrnnConfig, Forward, Record};
//!
//! let device = Default::default();
//! let network = CtrnnConfig::new(3, 64, 2).init::<NdArray>(42, &device)?;
//! let inputs = Tensor::ones([16, 50, 3], &device); // 16 trials of 50 time steps
//! let trajectory = network.forward(inputs, &Forward { record: Record::RATES, ..Forward::default() });
//! assert_eq!(trajectory.outputs.dims(), [16, 50, 2]);
//! assert_eq!(trajectory.rates.unwrap().dims(), [16, 50, 64]);
//! # Ok::<(), ctrnn_model::ModelError>(())
//! ```
//!
//! The same module trains under `Autodiff<NdArray>`; the `ctrnn-train` crate wraps it with a loss and an optimizer.

pub mod activation;
mod areas;
mod closed_loop;
mod config;
mod connectivity;
mod delays;
mod error;
mod factors;
mod feedback;
mod forcing;
mod fused_ops;
mod host_sweep;
mod init;
mod initial_state;
mod input_path;
mod layers;
mod lengths;
mod low_rank;
mod module;
mod named;
mod noise;
mod noise_sources;
mod parameters;
mod readout;
mod recurrence;
mod rules;
mod short_term_plasticity;
mod similar;
mod sparse;
mod spectrum;
mod stack;
mod starting_states;
mod step_factors;
mod summary;
mod synapses;
mod time_constants;
mod trajectory;
mod violation;
mod weight_init;
mod weights;
mod wiring;
mod word_or_table;
mod words;

pub use areas::{
    Area, CellType, Direction, PairOfAreas, Projection, Projections, ReadOut, Sign, UNIT_AREA,
    UNIT_TYPE, UnitGroup,
};
pub use config::{Biases, CtrnnConfig, Densities, InputStage, Sizes};
pub use connectivity::{
    Connections, Connectivity, Dale, Matrix, Parametrization, ReadoutSigns, Share, SparseBlock,
};
#[cfg(feature = "gpu")]
pub use ctrnn_kernels::gpu::{Launches, launches};
pub use ctrnn_kernels::{
    Activation, AdamStep, Ceiling, Delays, DrawAddress, Form, Leak, NoiseSource, NoiseTarget,
    OmegaTerm, Operands, PowerLaw, RateMeasure, RateTerm, Shape as SweepShape, SweepResults,
    SynapseConstants, UnitState, add_scaled, decay_and_add, subtract_square,
};
pub use error::ModelError;
pub use feedback::{FEEDBACK, Feedback};
pub use forcing::Forcing;
pub use fused_ops::{AdamUpdate, FusedOps};
pub use host_sweep::{HostState, HostSweep};
pub use initial_state::{FirstValues, InitialState, NormalValues};
pub use input_path::InputPath;
pub use low_rank::{Factor, FactorInit, FullMatrix, LowRank};
pub use module::CtrnnModule;
pub use named::Named;
pub use noise::{NoiseConvention, NoiseLevels, PreactivationNoise};
pub use parameters::{CONDITION_VALUES, Parameter, ParameterSpec, Role, Weights, host_tensor};
pub use readout::OutputNonlinearity;
#[cfg(feature = "cuda")]
pub use recurrence::Cuda;
#[cfg(feature = "wgpu")]
pub use recurrence::Gpu;
pub use recurrence::{
    GradientTensors, NormalTensors, Pullback, RecurrenceBackend, ResultTensors, SweepTensors,
    TrainingBackend, primitive, tensor,
};
pub use short_term_plasticity::{
    GivenSynapses, PerUnit, ShortTermPlasticity, Synapse, SynapseKind,
};
pub use similar::{edit_distance, quoted, word_like};
pub use spectrum::spectral_radius;
pub use stack::layer_prefix;
pub use summary::{ParameterSummary, Summary};
pub use synapses::{Synapses, plastic_gradient, scaled_update};
pub use time_constants::{Integrator, LearnedTimeConstants, LogNormal, PerType, TimeConstants};
pub use trajectory::{
    Forward, FusedOmega, LayerStart, Noise, NoiseAddress, RateSums, Record, Trajectory, cat_rows,
    map_rows,
};
pub use violation::{Topic, Violation};
pub use weight_init::{
    Balance, Gain, Gamma, Gaussian, Lognormal, SpectralRadius, Uniform, WeightInit, WeightInits,
};
