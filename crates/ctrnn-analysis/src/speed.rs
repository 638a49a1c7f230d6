//! How fast states move.

use ndarray::{Array2, ArrayView3};

/// The Euclidean distance between one state and the next of `states [trial, time, unit]`, per ms, `[trial, time - 1]`.
pub fn speed(states: ArrayView3<f64>, dt_ms: f64) -> Array2<f64> {
    let (n_trials, n_steps, _) = states.dim();
    Array2::from_shape_fn((n_trials, n_steps.saturating_sub(1)), |(b, t)| {
        let here = states.slice(ndarray::s![b, t, ..]);
        let there = states.slice(ndarray::s![b, t + 1, ..]);
        let moved = &there - &here;
        moved.dot(&moved).sqrt() / dt_ms
    })
}

#[cfg(test)]
mod tests {
    /// From (0, 0) to (3, 4) in 20 ms.
    #[test]
    fn a_step_by_hand() {
        let states = ndarray::array![[[0.0, 0.0], [3.0, 4.0], [3.0, 4.0]]];
        assert_eq!(
            super::speed(states.view(), 20.0),
            ndarray::array![[0.25, 0.0]]
        );
    }
}
