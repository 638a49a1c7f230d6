//! Feedback of the readout into the network: the table `model.feedback`, and its weights. The closed loop is in `closed_loop.rs`.
//!
//! The readout of the state before a time step is a linear function of the rates, so a network with feedback is the one without, with
//!
//! ```text
//! W_rc + W_fb W_out   in place of W_rc,      b + W_fb b_out   in place of b
//! ```
//!
//! and every sweep, its backward pass included, computes it as any other. Weight files hold `W_rc` and, as `feedback.weight`, `W_fb`.

use burn::tensor::TensorData;
use ctrnn_random::{Key, Rng};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::weight_init::WeightInit;
use crate::{Uniform, word_or_table};

/// Name of the feedback weights `[N,O]` in weight files.
pub const FEEDBACK: &str = "feedback.weight";

/// Generator of the feedback weights, after those of the matrices (0 to 2), of their masks (3 to 5) and of factors.
const GENERATOR: u64 = 1 << 20;

/// Feedback of the readout into the network: the drive of each unit has a further term, `W_fb y`, where y is the readout of the state before
/// the time step, without readout noise and before the output nonlinearity. `W_fb` is drawn once and not trained.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Feedback {
    /// Distribution of `W_fb [N,O]` (fan-in F = number of outputs); words and tables are those of `model.init.input`. `uniform`, for
    /// one output between -1 and 1, is that of Sussillo and Abbott (2009).
    #[serde(with = "word_or_table")]
    #[schemars(schema_with = "word_or_table::schema::<WeightInit>")]
    pub init: WeightInit,
}

impl Default for Feedback {
    fn default() -> Self {
        Self {
            init: WeightInit::Uniform(Uniform::default()),
        }
    }
}

impl Feedback {
    /// Draws `W_fb [N,O]` of a layer, given the key of its weights.
    pub(crate) fn draw(&self, [n, outputs]: [usize; 2], key: Key) -> TensorData {
        let bound = 1.0 / (outputs.max(1) as f64).sqrt();
        let drawn = self
            .init
            .draw(n, outputs, bound, &mut Rng::new(key, GENERATOR, 0));
        TensorData::new(drawn, [n, outputs])
    }
}
