//! Learning-rate schedules.

use crate::config::Schedule;

impl Schedule {
    /// The learning rate of the update that follows `step` updates, for a base rate `lr`.
    pub fn rate(&self, lr: f64, _step: u64) -> f64 {
        match self {
            Self::Constant {} => lr,
        }
    }
}
