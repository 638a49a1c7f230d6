//! The ending of a run, and the bound that it has to meet.

use ctrnn_model::TrainingBackend;

use super::{Ending, Trainer};
use crate::TrainError;
use crate::settings::StopConfig;

impl<B: TrainingBackend> Trainer<'_, B> {
    /// Returns the ending of a run, or an error if the run is over without having met its required bound.
    pub(super) fn ended(&self, ending: Ending) -> Result<Ending, TrainError> {
        let is_over = !matches!(ending, Ending::TargetMet { .. } | Ending::Asked(_));
        let missed = self.missed().filter(|_| is_over);
        missed.map_or(Ok(ending), |stop| Err(self.target_missed(stop)))
    }

    /// Returns the stop rule if its bound is required and not met.
    pub(super) fn missed(&self) -> Option<&StopConfig> {
        let stop = self.settings.train.stop.as_ref()?;
        (stop.required && !stop.is_met(self.counters.last_metric)).then_some(stop)
    }

    fn target_missed(&self, stop: &StopConfig) -> TrainError {
        let found = self.counters.last_metric;
        TrainError::TargetNotMet {
            metric: match stop.over {
                1 => stop.metric.name(),
                n => format!("the mean of {} over {n} validations", stop.metric.name()),
            },
            found: found.map_or("not measured".to_owned(), |x| format!("{x:.4}")),
            bound: stop.bound().expect("a required target has a bound"),
            step: self.counters.step,
        }
    }
}
