//! Studies of synthetic observers, for tests.

use burn::backend::NdArray;
use ctrnn_model::CtrnnConfig;
use ctrnn_random::{Key, Stream};
use ctrnn_tasks::{BatchRequest, Clock, ConditionOrder, Task, TrialBatch};
use ndarray::Array3;

use crate::{Dynamics, Shared, Study};

/// Number of units of an observer.
pub const N_UNITS: usize = 3;

/// Returns trials with equally many of every condition, at time steps of 20 ms.
pub fn batch(task: &dyn Task, n_trials: usize) -> TrialBatch {
    let request = BatchRequest {
        clock: Clock::new(20.0).expect("a time step"),
        first_trial: 0,
        n_trials,
        key: Key::new(1, Stream::Eval, 0),
        step: 0,
        conditions: ConditionOrder::Balanced,
    };
    task.sample_batch(&request).expect("a batch")
}

/// Creates the study of an observer with silent units and these outputs `[trial, time, output]`.
pub fn study(task: &dyn Task, batch: TrialBatch, outputs: Array3<f64>) -> Study<'_> {
    let config = CtrnnConfig::new(batch.n_inputs, N_UNITS, batch.n_outputs);
    let network = config
        .init::<NdArray>(1, &Default::default())
        .expect("a network");
    let states = Array3::zeros((batch.n_trials, batch.max_steps, N_UNITS));
    Study {
        task,
        dynamics: Dynamics::of(&network),
        before: None,
        potentials: states.clone(),
        rates: states,
        outputs,
        rates_below: None,
        synapses: None,
        signs: None,
        groups: Vec::new(),
        area: None,
        metrics: None,
        peers: Vec::new(),
        by: Vec::new(),
        shared: Shared::default(),
        seed: 1,
        batch,
    }
}
