//! Sums over many numbers, added in double precision, in an order that depends on the shape alone.

use super::tile::for_each;
use crate::simd::Element;

/// Returns `sum w (y - target)^2`; writes its gradient with respect to `y`, `2 w (y - target)`, to `gradient`.
///
/// `weights` holds a weight for each number, or one for each row of them, the rows being equally long.
///
/// # Panics
/// If the lengths do not fit each other.
pub fn squared_error<E: Element>(y: &[E], target: &[E], weights: &[E], gradient: &mut [E]) -> E {
    assert_lens(y, target, gradient);
    if y.is_empty() {
        return E::default();
    }
    assert!(!weights.is_empty(), "numbers have weights");
    let width = y.len() / weights.len();
    assert_eq!(width * weights.len(), y.len(), "rows are equally long");
    let rows = y.chunks_exact(width).zip(target.chunks_exact(width));
    let mut sum = 0.0;
    for ((row, slopes), &w) in rows.zip(gradient.chunks_exact_mut(width)).zip(weights) {
        let mut squares = 0.0;
        for ((&y, &target), slope) in row.0.iter().zip(row.1).zip(slopes) {
            let error = y - target;
            *slope = (w + w) * error;
            squares += error.into() * error.into();
        }
        sum += w.into() * squares;
    }
    E::from_f64(sum)
}

/// Asserts that there are a target and a gradient for each number.
fn assert_lens<E>(y: &[E], target: &[E], gradient: &[E]) {
    assert_eq!(y.len(), target.len(), "a target for each number");
    assert_eq!(y.len(), gradient.len(), "a gradient for each number");
}

/// Returns `sum_k w_k target_k (- log softmax(y)_k)` over rows of `outputs` numbers; writes its gradient with respect to `y`,
/// `softmax(y) sum_k w_k target_k - w target`, to `gradient`. Both are finite for any finite `y`.
///
/// `weights` holds a weight for each number, or one for each row.
///
/// # Panics
/// If the lengths do not fit each other.
pub fn cross_entropy<E: Element>(
    y: &[E],
    target: &[E],
    weights: &[E],
    outputs: usize,
    gradient: &mut [E],
) -> E {
    assert_lens(y, target, gradient);
    if y.is_empty() {
        return E::default();
    }
    let rows = y.len() / outputs;
    assert_eq!(rows * outputs, y.len(), "rows of {outputs} numbers");
    let width = weights.len() / rows;
    assert!(
        width * rows == weights.len() && [1, outputs].contains(&width),
        "a weight for each number or row"
    );
    let (mut sum, mut probabilities) = (0.0, vec![0.0; outputs]);
    let rows = y.chunks_exact(outputs).zip(target.chunks_exact(outputs));
    let slopes = gradient.chunks_exact_mut(outputs);
    for (((y, target), slopes), weights) in rows.zip(slopes).zip(weights.chunks_exact(width)) {
        let (largest, log_total) = softmax(y, &mut probabilities);
        let wanted = (target.iter().enumerate()).map(|(k, &target)| -> f64 {
            (target * weights[if width == 1 { 0 } else { k }]).into()
        });
        let of_row: f64 = wanted.clone().sum();
        let numbers = slopes.iter_mut().zip(&probabilities).zip(y);
        for (((slope, &probability), &y), wanted) in numbers.zip(wanted) {
            *slope = E::from_f64(probability * of_row - wanted);
            sum += (log_total - (y.into() - largest)) * wanted;
        }
    }
    E::from_f64(sum)
}

/// Writes the softmax of a row to `probabilities`; returns the largest number `m` of the row, and `log sum_k exp(y_k - m)`.
fn softmax<E: Element>(y: &[E], probabilities: &mut [f64]) -> (f64, f64) {
    let numbers = y.iter().map(|&y| -> f64 { y.into() });
    // Subtracting the largest number keeps the exponential from overflowing; the softmax is unchanged.
    let largest = numbers.clone().fold(f64::NEG_INFINITY, f64::max);
    for (exp, y) in probabilities.iter_mut().zip(numbers) {
        *exp = (y - largest).exp();
    }
    let total: f64 = probabilities.iter().sum();
    for exp in probabilities {
        *exp /= total;
    }
    (largest, total.ln())
}

/// Returns the sum of `w_k (r_ki - mean_i)^2` over rows `r_k` of rates, `[N]`; the weights are 0 or 1.
///
/// # Panics
/// If there is not a weight for each row, and an entry of the mean for each unit.
pub fn squared_deviations<E: Element>(rates: &[E], mean: &[E], weights: &[E]) -> Vec<E> {
    /// Rows that a thread takes at once.
    const CHUNK: usize = 1024;
    /// Rows whose sums are added in the precision of the rates.
    const BLOCK: usize = 32;
    let units = mean.len();
    assert_eq!(rates.len(), weights.len() * units, "a weight for each row");
    let chunks = rates.chunks(CHUNK * units).zip(weights.chunks(CHUNK));
    let of_chunks = for_each(chunks.collect(), |(rates, weights): (&[E], &[E])| {
        let mut totals = vec![0.0; units];
        let mut sums = vec![E::default(); units];
        for (rates, weights) in rates.chunks(BLOCK * units).zip(weights.chunks(BLOCK)) {
            sums.fill(E::default());
            for (row, &weight) in rates.chunks_exact(units).zip(weights) {
                if weight == E::default() {
                    continue; // padding, where rates may not be finite
                }
                for ((sum, &r), &mean) in sums.iter_mut().zip(row).zip(mean) {
                    *sum += (r - mean) * (r - mean);
                }
            }
            for (total, &sum) in totals.iter_mut().zip(&sums) {
                *total += sum.into();
            }
        }
        totals
    });
    let total = |unit: usize| of_chunks.iter().map(|totals| totals[unit]).sum();
    (0..units).map(|unit| E::from_f64(total(unit))).collect()
}

/// Returns `sum x^2`.
pub fn sum_of_squares<E: Element>(numbers: &[E]) -> f64 {
    const LANES: usize = 8;
    let square = |x: &E| -> f64 { (*x).into() * (*x).into() };
    let chunks = numbers.chunks_exact(LANES);
    let rest: f64 = chunks.remainder().iter().map(square).sum();
    let mut sums = [0.0; LANES];
    for chunk in chunks {
        for (sum, x) in sums.iter_mut().zip(chunk) {
            *sum += square(x);
        }
    }
    sums.iter().sum::<f64>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Errors 1, 2 and 3, 4; weights 1 and 0.5 of the two rows: 1 + 4 + 0.5 (9 + 16).
    #[test]
    fn squared_errors_by_hand() {
        let (y, target) = ([2.0, 2.0, 2.0, 2.0], [1.0, 0.0, -1.0, -2.0]);
        let mut gradient = [0.0; 4];
        let by_row = squared_error(&y, &target, &[1.0, 0.5], &mut gradient);
        assert_eq!((by_row, gradient), (17.5, [2.0, 4.0, 3.0, 4.0]));
        let by_number = [1.0, 1.0, 0.5, 0.5];
        assert_eq!(
            squared_error(&y, &target, &by_number, &mut gradient),
            by_row
        );
        assert_eq!(squared_error::<f32>(&[], &[], &[], &mut []), 0.0);
    }

    /// In single precision four million times 0.01 is off by a few parts in a thousand.
    #[test]
    fn many_small_numbers_are_not_lost() {
        let n = 1 << 22;
        let (y, zero) = (vec![0.1_f32; n], vec![0.0; n]);
        let exact = n as f64 * f64::from(0.1_f32).powi(2);
        let near = |sum: f64| assert!((sum / exact - 1.0).abs() < 1e-7, "{sum} {exact}");
        near(squared_error(&y, &zero, &[1.0], &mut zero.clone()).into());
        near(sum_of_squares(&y));
    }

    /// Readout (0, ln 3): softmax (1/4, 3/4). Class 1 costs -ln(3/4), class 0 costs -ln(1/4); weights 1 and 3.
    #[test]
    fn cross_entropies_by_hand() {
        let ln3 = 3.0_f64.ln();
        let (y, target) = ([0.0, ln3, 0.0, ln3], [0.0, 1.0, 1.0, 0.0]);
        let mut gradient = [0.0; 4];
        let expected = (4.0_f64 / 3.0).ln() + 3.0 * 4.0_f64.ln();
        for weights in [&[1.0, 3.0][..], &[1.0, 1.0, 3.0, 3.0]] {
            let sum = cross_entropy(&y, &target, weights, 2, &mut gradient);
            assert!((sum - expected).abs() < 1e-14);
            for (found, slope) in gradient.iter().zip([0.25, -0.25, -2.25, 2.25]) {
                assert!((found - slope).abs() < 1e-14, "{gradient:?}");
            }
        }
        let large = cross_entropy(&[0.0, 1e4], &[1.0, 0.0], &[1.0], 2, &mut [0.0; 2]);
        assert_eq!(large, 1e4);
        assert!(cross_entropy(&[f64::NAN, 1.0], &[1.0, 0.0], &[1.0], 2, &mut [0.0; 2]).is_nan());
        assert_eq!(cross_entropy::<f32>(&[], &[], &[], 2, &mut []), 0.0);
    }

    /// Rows (1, 2), (3, 2), (9, 9) of weights 1, 1, 0 about (2, 1): 1 + 1 and 1 + 1. A mean a thousand times as large as the
    /// deviations costs no digits.
    #[test]
    fn squared_deviations_by_hand() {
        let rates = [1.0, 2.0, 3.0, 2.0, 9.0, 9.0];
        let found = squared_deviations(&rates, &[2.0, 1.0], &[1.0, 1.0, 0.0]);
        assert_eq!(found, [2.0, 2.0]);
        let rates: Vec<f32> = (0..4096).map(|k| 1000.0 + (k % 2) as f32).collect();
        let found = squared_deviations(&rates, &[1000.5], &[1.0; 4096]);
        assert_eq!(found, [1024.0]);
    }

    #[test]
    fn squares_by_hand() {
        let numbers: Vec<f32> = (1..=11).map(|i| i as f32).collect();
        assert_eq!(sum_of_squares(&numbers), 506.0); // 11 12 23 / 6
    }
}
