//! Updates of the optimizer Adam.

use crate::simd::Element;

/// Coefficients of an update of Adam or AdamW.
///
/// ```text
/// g' = g + penalty w
/// m' = beta_1 m + (1 - beta_1) g'     s' = beta_2 s + (1 - beta_2) g'^2
/// w' = keep w - lr (correction m' / (sqrt(s') + eps))
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamStep {
    /// Factor of the weight before the update: 1, or less with AdamW's weight decay.
    pub keep: f64,
    /// Weight decay (L2): this fraction of the weight is added to its gradient; 0 in AdamW.
    pub penalty: f32,
    /// Decay rates of the two moments.
    pub betas: [f32; 2],
    /// Learning rate.
    pub lr: f64,
    /// Bias correction of both moments: `sqrt(1 - beta_2^t) / (1 - beta_1^t)` at update t.
    pub correction: f32,
    /// Term that keeps the quotient finite, with the bias correction of the second moment applied.
    pub eps: f32,
}

/// Returns the next weights and their next two moments, given `[weights, gradient, first moments, second moments]`.
///
/// Each operation rounds as in the order above, so that an update equals one by tensor operations to the bit.
///
/// # Panics
/// If the four differ in length.
pub fn adam<E: Element>(step: &AdamStep, now: [&[E]; 4]) -> [Vec<E>; 3] {
    let [weights, gradient, first, second] = now;
    let n = weights.len();
    let lengths = [gradient.len(), first.len(), second.len()];
    assert_eq!(lengths, [n; 3], "a gradient and two moments of each weight");
    let [keep, lr] = [step.keep, step.lr].map(E::from_f64);
    let [penalty, correction, eps] = [step.penalty, step.correction, step.eps].map(E::from);
    let betas = step.betas.map(E::from);
    let rests = step.betas.map(|beta| E::from(1.0 - beta));
    let mut next = [(); 3].map(|()| vec![E::default(); n]);
    let [next_weights, next_first, next_second] = next.each_mut().map(|next| &mut next[..n]);
    for k in 0..n {
        let g = match step.penalty {
            0.0 => gradient[k], // unchanged to the bit
            _ => gradient[k] + weights[k] * penalty,
        };
        let m = first[k] * betas[0] + g * rests[0];
        let s = second[k] * betas[1] + g * g * rests[1];
        next_weights[k] = weights[k] * keep - m * correction / (s.sqrt() + eps) * lr;
        (next_first[k], next_second[k]) = (m, s);
    }
    next
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The second update of two weights, worked by hand with powers of two.
    #[test]
    fn an_update_follows_its_equations() {
        let step = AdamStep {
            keep: 0.5,
            penalty: 1.0,
            betas: [0.5, 0.75],
            lr: 0.25,
            correction: 2.0,
            eps: 1.0,
        };
        let found = adam(
            &step,
            [&[2.0, -4.0], &[2.0, 6.0], &[4.0, 2.0], &[0.0, 16.0]],
        );
        // g' = 4, 2; m' = 4, 2; s' = 4, 13.
        let second = 1.0 + 13.0_f64.sqrt();
        let expected = [
            vec![1.0 - 0.25 * (8.0 / 3.0), -2.0 - 0.25 * (4.0 / second)],
            vec![4.0, 2.0],
            vec![4.0, 13.0],
        ];
        for (found, expected) in found.iter().flatten().zip(expected.iter().flatten()) {
            assert!((found - expected).abs() < 1e-15, "{found} {expected}");
        }
    }
}
