//! Accuracy of tasks whose target is a time course.

use crate::{Mask, Target, Trial};

/// Computes the root mean square error between a readout `[T, O]` and the target, over the
/// outputs in `outputs` where the mask is positive; its values are not used as weights. NaN if
/// nothing counts.
pub(crate) fn rms_error(trial: &Trial, readout: &[f32], outputs: std::ops::Range<usize>) -> f64 {
    let Target::Values(target) = &trial.target else {
        return f64::NAN;
    };
    let width = trial.n_outputs;
    let (mut sum, mut n) = (0.0, 0_usize);
    for t in 0..trial.n_steps {
        for k in outputs.clone().map(|output| t * width + output) {
            let weight = match &trial.mask {
                Mask::Steps(mask) => mask[t],
                Mask::Outputs(mask) => mask[k],
            };
            if weight > 0.0 {
                sum += f64::from(readout[k] - target[k]).powi(2);
                n += 1;
            }
        }
    }
    (sum / n as f64).sqrt()
}

/// Describes the rule of tasks whose target is a time course, in a sentence.
pub(crate) fn rms_rule(what: &str, tolerance: f64) -> String {
    format!(
        "A trial is correct if the root mean square error of {what}, over the time steps that count, is at \
         most {tolerance}."
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Condition, Layout, Timeline};

    /// Errors 3 and 4 count, 100 does not: sqrt((9 + 16) / 2).
    #[test]
    fn the_error_is_that_of_what_counts() {
        let mut timeline = Timeline::default();
        timeline.push("trial", 3);
        let layout = Layout::new([], ["a", "b"]);
        let mut trial = Trial::new(&layout, &Condition::new([]), timeline);
        trial.set_mask(1..2, 0.0);
        trial.set_mask(2..3, 5.0);
        let readout = [3.0, 7.0, 100.0, 7.0, 4.0, 7.0];
        assert!((rms_error(&trial, &readout, 0..1) - 12.5f64.sqrt()).abs() < 1e-9);
        trial.set_mask(0..3, 0.0);
        assert!(rms_error(&trial, &readout, 0..1).is_nan());
    }
}
