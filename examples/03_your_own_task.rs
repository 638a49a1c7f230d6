//! A task of your own: which of two flashes came first? Nothing of ours has to be touched.
//!
//! ```text
//! cargo run --release --example 03_your_own_task -- train examples/first_flash.toml
//! cargo run --release --example 03_your_own_task -- eval runs/first_flash-s0
//! cargo run --release --example 03_your_own_task -- tasks describe first_flash
//! ```
//!
//! A crate of your own needs `ctrnn`, `serde` (with `derive`) and `schemars`.

use ctrnn::random::Rng;
use ctrnn::tasks::{Clock, Condition, Duration, Epoch, Layout, Task, Trial};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Tell which of two flashes came first.
///
/// Two flashes, A and B, come one after the other; at the go cue the output of the first one should be 1.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct FirstFlash {
    /// The first flash.
    first_ms: Duration,
    /// Between the flashes.
    gap_ms: Duration,
    /// The second flash.
    second_ms: Duration,
    /// The answer.
    response_ms: Duration,
}

impl Default for FirstFlash {
    fn default() -> Self {
        Self {
            first_ms: 100.0.into(),
            gap_ms: Duration::Uniform([100.0, 400.0]),
            second_ms: 100.0.into(),
            response_ms: 200.0.into(),
        }
    }
}

impl Task for FirstFlash {
    fn layout(&self) -> Layout {
        Layout::new(["A", "B", "go"], ["A", "B"])
    }

    fn epochs(&self) -> Vec<Epoch> {
        vec![
            Epoch::new("first", &self.first_ms),
            Epoch::new("gap", &self.gap_ms),
            Epoch::new("second", &self.second_ms),
            Epoch::new("response", &self.response_ms),
        ]
    }

    fn conditions(&self) -> Vec<Condition> {
        Condition::grid(&[("first", &[0.0, 1.0])])
    }

    fn sample_trial(&self, condition: &Condition, clock: Clock, rng: &mut Rng) -> Trial {
        let mut trial = Trial::blank(self, condition, clock, rng);
        let [first, second, response] =
            ["first", "second", "response"].map(|name| trial.timeline.steps(name));
        let answer = condition.value("first") as usize;
        trial.set_input(first, answer, 1.0);
        trial.set_input(second, 1 - answer, 1.0);
        trial.set_input(response.clone(), 2, 1.0);
        trial.add_input_noise(0.1, rng);
        trial.set_target(response, answer, 1.0);
        trial.correct = Some(answer);
        trial
    }
}

fn main() -> std::process::ExitCode {
    let mut registry = ctrnn::train::registry();
    registry.add::<FirstFlash>("first_flash");
    ctrnn::cli::run(registry)
}
