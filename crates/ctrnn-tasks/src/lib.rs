//! Cognitive tasks: trials as host arrays.
//!
//! A [`Task`] makes a [`Trial`]: inputs `[time, input]`, targets, a mask that weights the loss, and
//! the correct choice. Trials of a batch are padded to one length ([`TrialBatch`]). Milliseconds
//! are converted to time steps here ([`Clock`], [`Duration`], [`Timeline`]); nothing is rounded silently. A
//! batch is a function of (seed, stream, step): see [`Task::sample_batch`].
//!
//! This crate depends on neither networks nor files.
//!
//! # How to add a task
//!
//! The struct is the task's table in a configuration: its fields are the keys, `tasks describe` prints their
//! documentation, and its `Default` gives every key a value. Copy `src/go_nogo.rs`, or start
//! from this task, which asks whether the interval between two pulses was short or long:
//!
//! ```
//! use ctrnn_random::Rng;
//! use ctrnn_tasks::{Clock, Condition, Duration, Epoch, Layout, Registry, Task, Trial};
//! use schemars::JsonSchema;
//! use serde::{Deserialize, Serialize};
//!
//! /// Distinguish a long interval between two pulses from a short one.
//! #[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
//! #[serde(default, deny_unknown_fields)]
//! struct Interval {
//!     /// Duration of the interval between the pulses: short or long.
//!     delay_ms: Duration,
//!     /// Duration of the response.
//!     response_ms: Duration,
//! }
//!
//! impl Default for Interval {
//!     fn default() -> Self {
//!         Self { delay_ms: Duration::Choice(vec![200.0, 600.0]), response_ms: 200.0.into() }
//!     }
//! }
//!
//! impl Task for Interval {
//!     fn layout(&self) -> Layout {
//!         Layout::new(["pulse"], ["short", "long"])
//!     }
//!     fn epochs(&self) -> Vec<Epoch> {
//!         let (delay, response) = (&self.delay_ms, &self.response_ms);
//!         vec![Epoch::new("delay", delay), Epoch::new("response", response)]
//!     }
//!     fn conditions(&self) -> Vec<Condition> {
//!         vec![Condition::new([])]
//!     }
//!     fn sample_trial(&self, condition: &Condition, clock: Clock, rng: &mut Rng) -> Trial {
//!         let mut trial = Trial::blank(self, condition, clock, rng);
//!         let response = trial.timeline.steps("response");
//!         let long = usize::from(response.start as f64 * clock.dt_ms() > 400.0);
//!         trial.set_input(0..1, 0, 1.0);
//!         trial.set_input(response.start..response.start + 1, 0, 1.0);
//!         trial.set_target(response, long, 1.0);
//!         trial.correct = Some(long);
//!         trial
//!     }
//! }
//!
//! let mut registry = Registry::built_in();
//! registry.add::<Interval>("interval"); // [task.interval] in a configuration
//! assert!(registry.get("interval").unwrap().description().contains("Distinguish a long interval"));
//! ```
//!
//! A task of this crate has its own file and a line in `all_tasks.rs`; `tests/tasks.rs` then tests it together with all
//! others.

mod abba;
mod all_tasks;
mod answers;
mod anti;
mod batch;
mod channels;
mod check;
mod clock;
mod condition;
mod context_decision;
mod count;
mod delay_go;
mod delayed_discrimination;
mod delayed_match_to_sample;
mod description;
mod dual_delayed_match_to_sample;
mod duration;
mod economic_decision;
mod epoch;
mod error;
mod evidence;
mod flip_flop;
mod from_toml;
mod go_nogo;
mod head_direction;
mod integrator;
mod interval;
mod interval_discrimination;
mod layout;
mod lorenz;
mod match_to_category;
mod meaning;
mod motor_timing;
mod multisensory;
mod multitask;
mod one_two_three_go;
mod oscillation;
mod path_integration;
mod perceptual_decision;
mod place_fields;
mod programs;
mod pulse_accumulation;
mod random_walk;
mod reaction_time;
mod ready_set_go;
mod registry;
mod ring;
mod sequence_reproduction;
mod sine;
mod task;
mod tracking;
mod trial;
mod yang;

pub use abba::Abba;
pub use answers::{implied_choices, target_answer};
pub use anti::Anti;
pub use batch::TrialBatch;
pub use channels::Channels;
pub use check::Check;
pub use clock::{Clock, ClockError, MAX_STEPS};
pub use condition::{Condition, value_bits};
pub use context_decision::ContextDecision;
pub use count::counted;
pub use delay_go::DelayGo;
pub use delayed_discrimination::DelayedDiscrimination;
pub use delayed_match_to_sample::DelayedMatchToSample;
pub use dual_delayed_match_to_sample::DualDelayedMatchToSample;
pub use duration::{Duration, TruncatedExponential};
pub use economic_decision::EconomicDecision;
pub use epoch::{Epoch, Timeline};
pub use error::{TaskError, TaskErrorKind};
pub use flip_flop::FlipFlop;
pub use from_toml::{RefusedValue, from_toml};
pub use go_nogo::GoNogo;
pub use head_direction::HeadDirection;
pub use integrator::Integrator;
pub use interval_discrimination::IntervalDiscrimination;
pub use layout::{Layout, TargetKind};
pub use lorenz::Lorenz;
pub use match_to_category::MatchToCategory;
pub use meaning::{Cues, Meaning, Quantity};
pub use motor_timing::MotorTiming;
pub use multisensory::Multisensory;
pub use multitask::{Mixing, Multitask, MultitaskConfig};
pub use one_two_three_go::OneTwoThreeGo;
pub use oscillation::Oscillation;
pub use path_integration::PathIntegration;
pub use perceptual_decision::PerceptualDecision;
pub use place_fields::PlaceFields;
pub use programs::Programs;
pub use pulse_accumulation::PulseAccumulation;
pub use reaction_time::ReactionTime;
pub use ready_set_go::ReadySetGo;
pub use registry::{BuildContext, Registry, TaskEntry, Trained};
pub use ring::{Ring, Tuning, angular_distance};
pub use sequence_reproduction::SequenceReproduction;
pub use sine::Sine;
pub use task::{BatchRequest, ConditionOrder, Interrupt, Task, TrialSet, rule_of_choices};
pub use trial::{Mask, Target, Trial};
pub use yang::{Evidence, YangDecision, YangDelayedDecision, YangGo, YangMatch};
