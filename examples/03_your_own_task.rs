//! A task of your own: which of two flashes came first? Nothing of ours has to be touched.
//!
//! ```text
//! cargo run --release --example 03_your_own_task -- train examples/first_flash.toml
//! cargo run --release --example 03_your_own_task -- eval runs/first_flash-s0
//! cargo run --release --example 03_your_own_task -- tasks describe first_flash
//! cargo run --release --example 03_your_own_task -- tasks preview first_flash -o first_flash.svg
//! ```
//!
//! A crate of your own needs `ctrnn`, `serde` (with `derive`) and `schemars`.

use ctrnn::random::Rng;
use ctrnn::tasks::{Clock, Condition, Duration, Epoch, Layout, Task, Trial};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Tell which of two flashes came first.
///
/// Two flashes, A and B, of 100 ms come one after the other; in the response epoch the output of the first one should be 1.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct FirstFlash {
    /// Between the flashes.
    gap_ms: Duration,
}

impl Default for FirstFlash {
    fn default() -> Self {
        let gap_ms = Duration::Uniform([100.0, 400.0]);
        Self { gap_ms }
    }
}

impl Task for FirstFlash {
    fn layout(&self) -> Layout {
        Layout::new(["A", "B"], ["A", "B"])
    }

    fn epochs(&self) -> Vec<Epoch> {
        let fixed = |name, ms: f64| Epoch::new(name, &ms.into());
        let gap = Epoch::new("gap", &self.gap_ms);
        let (first, second) = (fixed("first", 100.0), fixed("second", 100.0));
        vec![first, gap, second, fixed("response", 200.0)]
    }

    fn conditions(&self) -> Vec<Condition> {
        Condition::grid(&[("first", &[0.0, 1.0])])
    }

    fn sample_trial(&self, condition: &Condition, clock: Clock, rng: &mut Rng) -> Trial {
        let mut trial = Trial::blank(self, condition, clock, rng);
        let steps = |name| trial.timeline.steps(name);
        let [first, second, response] = ["first", "second", "response"].map(steps);
        let answer = condition.value("first") as usize;
        trial.set_input(first, answer, 1.0);
        trial.set_input(second, 1 - answer, 1.0);
        trial.add_input_noise(0.1, rng);
        trial.answer(response, answer);
        trial
    }
}

fn main() -> std::process::ExitCode {
    let mut registry = ctrnn::runs::registry();
    registry.add::<FirstFlash>("first_flash");
    ctrnn::cli::run(registry)
}
