//! Trials as arrays for Python: padded, with a column for each condition.

use std::collections::BTreeMap;

use ctrnn_files::Array;
use ctrnn_tasks::{Mask, TrialBatch};

/// Returns `inputs [B,T,I]`, `mask [B,T]` or `[B,T,O]`, and `cond_<name> [B]`.
pub fn trial_arrays(batch: &TrialBatch) -> BTreeMap<String, Array> {
    let (b, t, o) = (batch.n_trials, batch.max_steps, batch.n_outputs);
    let mask = match &batch.mask {
        Mask::Steps(mask) => Array::f32(&[b, t], mask.clone()),
        Mask::Outputs(mask) => Array::f32(&[b, t, o], mask.clone()),
    };
    let inputs = Array::f32(&[b, t, batch.n_inputs], batch.inputs.clone());
    let mut arrays: BTreeMap<String, Array> =
        [("inputs".to_owned(), inputs), ("mask".to_owned(), mask)].into();
    for (name, values) in &batch.conditions {
        let column = values.iter().map(|&x| x as f32).collect();
        arrays.insert(format!("cond_{name}"), Array::f32(&[b], column));
    }
    arrays
}
