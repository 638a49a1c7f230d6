//! Networks whose sizes fit a task.

use ctrnn_model::{CtrnnConfig, Sizes};
use ctrnn_tasks::Task;

/// Returns the sizes of a network for a task.
pub fn sizes_of(task: &dyn Task) -> Sizes {
    let layout = task.layout();
    Sizes {
        inputs: layout.inputs.len(),
        outputs: layout.outputs.len(),
        conditions: task.n_conditions(),
    }
}

/// Adds [`ForTask::for_task`] to [`CtrnnConfig`].
pub trait ForTask {
    /// Returns a network of the default kind, of `n_units` units, with the inputs, outputs and conditions of a task.
    ///
    /// ```
    /// use ctrnn_model::CtrnnConfig;
    /// use ctrnn_tasks::GoNogo;
    /// use ctrnn_train::ForTask;
    ///
    /// let config = CtrnnConfig::for_task(&GoNogo::default(), 64);
    /// assert_eq!((config.n_inputs, config.n_units, config.n_outputs), (3, 64, 2));
    /// ```
    fn for_task(task: &dyn Task, n_units: usize) -> Self;
}

impl ForTask for CtrnnConfig {
    fn for_task(task: &dyn Task, n_units: usize) -> Self {
        Self {
            n_units,
            ..Self::default()
        }
        .with_sizes(sizes_of(task))
    }
}
