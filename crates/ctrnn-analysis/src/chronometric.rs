//! Chronometric curves: when a decision is made, as a function of the evidence.

use ndarray::{ArrayView1, ArrayView2};

/// Measures how far a readout `[O]` is ahead for `choice`: of all other `choices`; where a single output chooses by its sign (0 below
/// zero, 1 above), of zero.
pub fn lead(readout: ArrayView1<f64>, choices: &[usize], choice: usize) -> f64 {
    if let [only] = choices {
        return if choice == 1 {
            readout[*only]
        } else {
            -readout[*only]
        };
    }
    let others = choices.iter().filter(|&&other| other != choice);
    others
        .map(|&other| readout[choice] - readout[other])
        .fold(f64::INFINITY, f64::min)
}

/// The time step at which a readout `[T, O]` has made up its mind: from which on, until `last`, `choice` keeps a lead of at
/// least `margin`. None if it never does.
pub fn decision_step(
    readout: ArrayView2<f64>,
    choices: &[usize],
    choice: usize,
    last: usize,
    margin: f64,
) -> Option<usize> {
    let is_ahead = |t: usize| lead(readout.row(t), choices, choice) >= margin;
    let mut steps = (0..=last).rev().take_while(|&t| is_ahead(t));
    let first = steps.next()?;
    Some(steps.last().unwrap_or(first))
}

/// Mean and standard error of decision times at one level of the evidence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DecisionTime {
    /// Strength of the evidence.
    pub strength: f64,
    /// Mean in ms.
    pub mean_ms: f64,
    /// Standard error of the mean, in ms; NaN for a single trial.
    pub error_ms: f64,
    /// Trials with a decision.
    pub n: usize,
}

/// Groups `(strength, time in ms)` of trials by strength, in ascending order.
pub fn chronometric(trials: &[(f64, f64)]) -> Vec<DecisionTime> {
    let mut strengths: Vec<f64> = trials.iter().map(|(strength, _)| *strength).collect();
    strengths.sort_by(f64::total_cmp);
    strengths.dedup();
    let group = |strength: f64| {
        let times: Vec<f64> = trials
            .iter()
            .filter(|(s, _)| *s == strength)
            .map(|(_, t)| *t)
            .collect();
        let n = times.len() as f64;
        let mean_ms = times.iter().sum::<f64>() / n;
        let variance = times.iter().map(|t| (t - mean_ms).powi(2)).sum::<f64>() / (n - 1.0);
        DecisionTime {
            strength,
            mean_ms,
            error_ms: (variance / n).sqrt(),
            n: times.len(),
        }
    };
    strengths.into_iter().map(group).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ahead by 1 at steps 0 and 2 to 4, behind at step 1: decided at 2; never ahead by 3.
    #[test]
    fn a_decision_lasts() {
        let y = ndarray::array![
            [1.0, 0.0],
            [0.0, 1.0],
            [1.0, 0.0],
            [2.0, 0.0],
            [1.0, 0.0],
            [0.0, 9.0]
        ];
        assert_eq!(decision_step(y.view(), &[0, 1], 0, 4, 0.5), Some(2));
        assert_eq!(decision_step(y.view(), &[0, 1], 0, 4, 3.0), None);
        assert_eq!(decision_step(y.view(), &[0, 1], 1, 5, 0.5), Some(5));
        // The sign of output 0 alone: above zero at steps 2 to 4, never below.
        assert_eq!(decision_step(y.view(), &[0], 1, 4, 0.5), Some(2));
        assert_eq!(decision_step(y.view(), &[0], 0, 4, 0.5), None);
    }

    /// 100 and 300 ms: mean 200, standard deviation 141.4, standard error 100.
    #[test]
    fn times_are_averaged_by_strength() {
        let found = chronometric(&[(0.5, 100.0), (0.1, 400.0), (0.5, 300.0)]);
        assert_eq!(
            (found[0].strength, found[0].mean_ms, found[0].n),
            (0.1, 400.0, 1)
        );
        assert!(found[0].error_ms.is_nan());
        assert!(
            (found[1].mean_ms - 200.0).abs() < 1e-12 && (found[1].error_ms - 100.0).abs() < 1e-9
        );
    }
}
