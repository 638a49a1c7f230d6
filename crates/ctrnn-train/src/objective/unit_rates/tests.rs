use ctrnn_tasks::{Condition, Layout, Timeline, Trial};

use super::*;
use crate::burn_test::{Grad, outputs, values};

const NAN: f32 = f32::NAN;

/// Builds trials with these recordings of two units, `[time, unit]` of each.
fn recorded(trials: &[&[f32]]) -> TrialBatch {
    let layout = Layout {
        recorded: 2,
        ..Layout::new([], ["y"])
    };
    let trials = trials.iter().map(|rates| {
        let mut timeline = Timeline::default();
        timeline.push("trial", rates.len() / 2);
        let mut trial = Trial::new(&layout, &Condition::new([]), timeline);
        trial.unit_targets = rates.to_vec();
        trial
    });
    TrialBatch::new(trials.collect::<Vec<_>>())
}

fn batch(trials: &[&[f32]]) -> Batch<Grad> {
    Batch::new(&recorded(trials), &Default::default())
}

/// Fits units 2 and 0 of a network of three.
fn fitted(kind: RateError, output: Option<RateOutput>, rate_hz: f64) -> FittedRates {
    let units = vec![2, 0];
    FittedRates {
        config: UnitRates {
            weight: 1.0,
            units: RecordedUnits::Listed(units.clone()),
            kind,
            output,
            rate_hz,
        },
        units,
        dt_ms: 20.0,
    }
}

/// Computes the term for rates `[trial, time, unit]`.
fn value(fitted: &FittedRates, rates: Tensor<Grad, 3>, batch: &Batch<Grad>) -> Tensor<Grad, 1> {
    fitted.statistic(rates.swap_dims(0, 1), batch).one()
}

/// Rates 1, _, 2 and 3, _, 4 of units 0, 1, 2: errors of unit 2 against 2.5, of unit 0 against 0.5; then unit 2 is missing, and unit 0
/// is 1 off; the second trial ends after a step with errors 1 and 3. Squares 0.25, 0.25, 1, 1, 9 over 5 entries.
#[test]
fn squared_error_by_hand_leaves_missing_entries_and_padding_out() {
    let batch = batch(&[&[2.5, 0.5, NAN, 2.0], &[4.0, 3.0]]);
    let rates = [
        1.0, 9.0, 2.0, 3.0, 9.0, 4.0, 6.0, 9.0, 5.0, 70.0, 80.0, 90.0,
    ];
    let fitted = fitted(RateError::SquaredError, None, 1.0);
    let found = value(&fitted, outputs([2, 2, 3], &rates), &batch);
    assert!((values(&found)[0] - 11.5 / 5.0).abs() < 1e-12, "{found}");
    let n_observed = batch.recordings.as_ref().unwrap().n_observed;
    assert_eq!(n_observed, 5.0);
}

/// numpy: `m = 100 * g(r) * 0.02; (m - x * np.log(m)).mean()` for r = (0.3, -0.2) and x = (3, 0), with g = exp and softplus.
#[test]
fn the_poisson_likelihood_is_that_of_numpy() {
    let batch = batch(&[&[3.0, 0.0]]);
    let rates = outputs([1, 1, 3], &[-0.2, 9.0, 0.3]);
    let m = |g: f64| 100.0 * g * 0.02;
    for (output, g) in [
        (None, f64::exp as fn(f64) -> f64),
        (Some(RateOutput::Exponential), f64::exp),
        (Some(RateOutput::Softplus), |r| r.exp().ln_1p()),
    ] {
        let fitted = fitted(RateError::Poisson, output, 100.0);
        let found = values(&value(&fitted, rates.clone(), &batch))[0];
        let (spiking, silent) = (m(g(0.3)), m(g(-0.2)));
        let expected = f64::midpoint(spiking - 3.0 * spiking.ln(), silent);
        assert!(
            (found - expected).abs() < 1e-10,
            "{output:?}: {found} {expected}"
        );
    }
    let large = outputs([1, 1, 3], &[-800.0, 0.0, 800.0]);
    let softplus = fitted(RateError::Poisson, Some(RateOutput::Softplus), 100.0);
    let found = values(&value(&softplus, large, &batch))[0];
    let expected = f64::midpoint(1600.0 - 3.0 * 1600f64.ln(), 0.0);
    assert!((found - expected).abs() < 1e-9, "{found} {expected}");
}

/// Central differences of every error and output; a rate of 0 is where `max` and `abs` have kinks.
#[test]
fn gradients_are_those_of_finite_differences() {
    let batch = batch(&[&[2.0, 0.0, NAN, 1.0], &[3.0, 1.0]]);
    let start = [0.0, 0.4, -0.7, 0.9, -0.3, 1.2, 0.2, 0.6, 0.0, 0.1, 0.1, 0.1];
    for kind in [RateError::SquaredError, RateError::Poisson] {
        for output in [
            None,
            Some(RateOutput::Exponential),
            Some(RateOutput::Softplus),
        ] {
            let fitted = fitted(kind, output, 30.0);
            let rates = outputs([2, 2, 3], &start).require_grad();
            let gradients = value(&fitted, rates.clone(), &batch).backward();
            let found: Vec<f64> = rates.grad(&gradients).unwrap().into_data().iter().collect();
            for k in 0..start.len() {
                let at = |h: f64| {
                    let mut moved = start;
                    moved[k] += h;
                    values(&value(&fitted, outputs([2, 2, 3], &moved), &batch))[0]
                };
                let slope = (at(1e-5) - at(-1e-5)) / 2e-5;
                let error = (found[k] - slope).abs() / slope.abs().max(1.0);
                assert!(
                    error < 1e-7,
                    "{kind:?} {output:?} {k}: {} {slope}",
                    found[k]
                );
            }
        }
    }
}

#[test]
fn the_parts_of_a_batch_add_up() {
    let whole = batch(&[&[2.5, 0.5, NAN, 2.0], &[4.0, 3.0, 1.0, NAN]]);
    let rates: Vec<f64> = (0..12).map(|k| f64::from(k) / 7.0).collect();
    let rates = outputs([2, 2, 3], &rates);
    let fitted = fitted(RateError::SquaredError, Some(RateOutput::Softplus), 2.0);
    let all = values(&value(&fitted, rates.clone(), &whole))[0];
    let mut sum = 0.0;
    for b in 0..2 {
        for t in 0..2 {
            let some = rates.clone().narrow(0, b, 1).narrow(1, t, 1);
            let part = whole.part(b..b + 1, t..t + 1);
            sum += values(&value(&fitted, some, &part))[0];
        }
    }
    assert!((all - sum).abs() < 1e-14, "{all} {sum}");
}

#[test]
fn negative_counts_are_refused_as_spikes_and_taken_as_rates() {
    let trials = recorded(&[&[1.0, NAN, -0.5, 0.0]]);
    let rates = fitted(RateError::SquaredError, None, 1.0);
    assert!(rates.check_counts(&trials).is_ok());
    let counts = fitted(RateError::Poisson, None, 1.0);
    let error = counts.check_counts(&trials).unwrap_err().to_string();
    assert!(
        error.contains("-0.5, which is not a number of spikes"),
        "{error}"
    );
}
