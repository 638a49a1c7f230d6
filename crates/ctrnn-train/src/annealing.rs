//! Factors that change over the steps of a run.

/// Returns the value at a step of a course that goes linearly from one value to another over `n_steps`, and stays there.
pub(crate) fn linear([from, to]: [f64; 2], step: u64, n_steps: u64) -> f64 {
    let part = (step as f64 / n_steps.max(1) as f64).min(1.0);
    from + (to - from) * part
}
