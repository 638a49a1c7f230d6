//! Evidence encoded in pairs of inputs.

/// Returns the two inputs of a pair at signed coherence `coh`: `(1 - coh) / 2` and `(1 + coh) / 2`.
pub(crate) fn shares(coh: f64) -> [f64; 2] {
    [(1.0 - coh) / 2.0, (1.0 + coh) / 2.0]
}

/// Returns each strength with both signs, and 0 once.
pub(crate) fn signed(strengths: &[f64]) -> Vec<f64> {
    let both = |&strength: &f64| match strength {
        0.0 => vec![0.0],
        _ => vec![-strength, strength],
    };
    strengths.iter().flat_map(both).collect()
}

/// Encodes a frequency in two tuned inputs, which rise and fall with it: from 0.4 at one end of the range to
/// 1.2 at the other, as in Song, Yang & Wang (2016).
pub(crate) fn rising_and_falling(frequency: f64, [low, high]: [f64; 2]) -> [f64; 2] {
    let position = (frequency - low) / (high - low);
    [0.4 + 0.8 * position, 1.2 - 0.8 * position]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        assert_eq!(shares(0.5), [0.25, 0.75]);
        assert_eq!(signed(&[0.0, 0.5]), [0.0, -0.5, 0.5]);
        let close = |a: [f64; 2], b: [f64; 2]| a.iter().zip(b).all(|(x, y)| (x - y).abs() < 1e-12);
        assert!(close(rising_and_falling(9.0, [9.0, 16.0]), [0.4, 1.2]));
        assert!(close(rising_and_falling(12.5, [9.0, 16.0]), [0.8, 0.8]));
    }
}
