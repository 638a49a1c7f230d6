//! Shared parts of the timing tasks: a pulse starts an interval, a ramp measures it, and a threshold crossing ends it.

use crate::{Clock, Target, TaskError, Trial};

/// Time for which the ramp continues after the interval, as a fraction of it, so that a late response can still be
/// observed.
pub(crate) const OVERSHOOT: f64 = 0.25;

/// Accuracy of a blind readout: standard normal noise reaches 1 within a few time steps, and in less than 1 % of the
/// trials as late as it should.
pub(crate) const CHANCE: f64 = 0.0;

/// Returns the number of time steps from the start of the ramp to the end of the trial.
pub(crate) fn ramp_steps(interval_ms: f64, clock: Clock) -> usize {
    clock.nearest((1.0 + OVERSHOOT) * interval_ms)
}

/// Sets the target of output 0 to the time since `start` as a fraction of the interval, up to the end of
/// the trial; it reaches 1 at the end of the interval.
pub(crate) fn set_ramp(trial: &mut Trial, start: usize, interval_ms: f64, clock: Clock) {
    for t in start..trial.n_steps {
        let elapsed_ms = (t + 1 - start) as f64 * clock.dt_ms();
        trial.set_target(t..t + 1, 0, elapsed_ms / interval_ms);
    }
}

/// Returns the number of time steps from `start` until output 0 of a readout first reaches 1.
fn produced(readout: &[f32], width: usize, start: usize) -> Option<usize> {
    let mut outputs = readout.chunks_exact(width).skip(start);
    // The tolerance allows for the rounding of a ramp that reaches 1 exactly.
    let first = outputs.position(|row| row[0] >= 1.0 - 1e-5);
    first.map(|t| t + 1)
}

/// Returns true if the produced interval is within `tolerance` of the target interval, as a fraction of it.
pub(crate) fn is_in_time(
    trial: &Trial,
    readout: &[f32],
    start: usize,
    tolerance: f64,
) -> Option<bool> {
    let Target::Values(target) = &trial.target else {
        return None;
    };
    let expected = produced(target, trial.n_outputs, start)? as f64;
    let produced = produced(readout, trial.n_outputs, start);
    Some(produced.is_some_and(|steps| (steps as f64 - expected).abs() <= tolerance * expected))
}

/// Describes the rule of [`is_in_time`] in a sentence.
pub(crate) fn in_time_rule(from: &str, tolerance: f64) -> String {
    format!(
        "The produced interval ends when the output first reaches 1 after the onset of {from}. A trial is \
         correct if it differs from the target interval by at most {} %.",
        100.0 * tolerance
    )
}

/// Returns the errors of a list of intervals: each must be a multiple of the time step, and at least `shortest_ms` long.
pub(crate) fn check_intervals(
    key: &str,
    intervals_ms: &[f64],
    shortest_ms: f64,
    clock: Clock,
) -> Vec<TaskError> {
    if intervals_ms.is_empty() {
        let message = "the list is empty; give at least one number";
        return vec![TaskError::config(key, message)];
    }
    intervals_ms
        .iter()
        .filter_map(|&ms| match clock.steps(ms) {
            Err(error) => Some(error.to_string()),
            Ok(_) if ms < shortest_ms || ms == 0.0 => Some(format!(
                "{ms} ms is shorter than the pulse, {shortest_ms} ms"
            )),
            Ok(_) => None,
        })
        .map(|message| TaskError::config(key, message))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Condition, Layout, Timeline};

    fn trial() -> (Trial, Vec<f32>) {
        let mut timeline = Timeline::default();
        timeline.push("before", 1);
        timeline.push("produce", 5);
        let mut trial = Trial::new(&Layout::new([], ["ramp"]), &Condition::new([]), timeline);
        set_ramp(&mut trial, 1, 80.0, Clock::new(20.0).unwrap());
        let Target::Values(values) = trial.target.clone() else {
            panic!("values");
        };
        (trial, values)
    }

    /// 80 ms are four time steps of 20 ms: the fourth output of the ramp is 1.
    #[test]
    fn the_ramp_reaches_one_when_the_interval_is_over() {
        let (trial, values) = trial();
        assert_eq!(values, [0.0, 0.25, 0.5, 0.75, 1.0, 1.25]);
        assert_eq!(produced(&values, 1, 1), Some(4));
        assert_eq!(is_in_time(&trial, &values, 1, 0.0), Some(true));
        assert_eq!(ramp_steps(80.0, Clock::new(20.0).unwrap()), 5);
    }

    /// One time step early is a quarter of the interval.
    #[test]
    fn a_quarter_off_is_right_at_a_tolerance_of_a_quarter() {
        let (trial, _) = trial();
        let early = [9.0, 0.0, 0.0, 1.1, 0.0, 0.0];
        assert_eq!(is_in_time(&trial, &early, 1, 0.25), Some(true));
        assert_eq!(is_in_time(&trial, &early, 1, 0.24), Some(false));
        assert_eq!(is_in_time(&trial, &[0.0; 6], 1, 0.9), Some(false));
    }

    #[test]
    fn intervals_are_on_the_grid_and_outlast_the_pulse() {
        let clock = Clock::new(20.0).unwrap();
        let messages: Vec<String> =
            check_intervals("intervals_ms", &[90.0, 40.0, 100.0], 80.0, clock)
                .iter()
                .map(ToString::to_string)
                .collect();
        assert_eq!(
            messages,
            [
                "intervals_ms: 90 ms is not a multiple of dt_ms = 20; the nearest are 80 and 100",
                "intervals_ms: 40 ms is shorter than the pulse, 80 ms",
            ]
        );
        assert_eq!(check_intervals("intervals_ms", &[], 80.0, clock).len(), 1);
    }
}
