//! Values of conditions as they were written, before a file stored them in fewer bits.

use ctrnn_files::{Array, ArrayData, Dtype, ValueError};

/// Returns the shortest decimal that half precision rounds to `x`, itself a number in half precision.
fn shortest_of_half(x: f32) -> f64 {
    const DIGITS_OF_MANTISSA: f64 = 10.0;
    const SMALLEST_EXPONENT: f64 = -14.0;
    let size = f64::from(x).abs();
    let exponent = size.log2().floor().max(SMALLEST_EXPONENT);
    let above = (exponent - DIGITS_OF_MANTISSA).exp2();
    // Below a power of two the numbers are twice as close.
    let below = if size == exponent.exp2() {
        above / 2.0
    } else {
        above
    };
    let decimal = |digits: usize| {
        let decimal: f64 = format!("{x:.digits$e}").parse().ok()?;
        let off = decimal.abs() - size;
        (-below / 2.0 < off && off < above / 2.0).then_some(decimal)
    };
    (0..5).find_map(decimal).unwrap_or(f64::from(x))
}

/// Returns values as originally written: 6.4 saved in single precision is 6.4, not 6.400000095367432.
pub(crate) fn decimal(values: ArrayData, saved_as: Dtype) -> Result<Vec<f64>, ValueError> {
    match values {
        ArrayData::F32(values) if saved_as == Dtype::F16 => {
            Ok(values.into_iter().map(shortest_of_half).collect())
        }
        ArrayData::F32(values) => {
            let shortest = |x: &f32| x.to_string().parse().unwrap_or(f64::from(*x));
            Ok(values.iter().map(shortest).collect())
        }
        other => Array::new(&[other.len()], other).to_f64(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The left numbers are the nearest ones to the right in half precision.
    #[test]
    fn numbers_in_half_precision_are_what_was_written() {
        for (half, written) in [
            (0.0, 0.0),
            (0.099_975_586, 0.1),
            (0.199_951_17, 0.2),
            (-0.399_902_34, -0.4),
            (6.398_437_5, 6.4),
            (12.796_875, 12.8),
            (51.187_5, 51.2),
            (0.25, 0.25),
            (0.007_812_5, 0.007_812), // 2^-7, below which the numbers are closer
            (2048.0, 2048.0),
            (5.960_464_5e-8, 6e-8),
        ] {
            assert_eq!(shortest_of_half(half), written, "{half}");
        }
        assert!(shortest_of_half(f32::NAN).is_nan());
        assert_eq!(shortest_of_half(f32::INFINITY), f64::INFINITY);
        let values = || ArrayData::F32(vec![0.099_975_586]);
        let read = |saved_as| decimal(values(), saved_as).unwrap();
        assert_eq!(
            (read(Dtype::F16), read(Dtype::F32)),
            (vec![0.1], vec![0.099_975_586])
        );
    }
}
