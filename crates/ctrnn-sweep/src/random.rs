//! Random values of a key.

use ctrnn_random::{Key, Rng, Stream};
use toml::Value;

/// Distribution from which the values of a key are drawn.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Distribution {
    /// Uniform between two numbers.
    Uniform(f64, f64),
    /// Uniform in the logarithm, between two positive numbers.
    LogUniform(f64, f64),
    /// Integers between two numbers, both included.
    Integer(i64, i64),
    /// One of these values.
    Choice(Vec<Value>),
}

impl Distribution {
    /// Words of the sweep file.
    pub(crate) const WORDS: [&str; 4] = ["uniform", "log_uniform", "integer", "choice"];

    /// Returns draw `k` of a key. It depends on the seed, the key and `k` alone, so that neither more draws nor other keys
    /// change it.
    ///
    /// Real numbers are rounded to six digits, so that they can be typed, and do not depend on the machine's logarithm.
    pub(crate) fn draw(&self, seed: u64, key: &str, k: u64) -> Value {
        let layer = u32::from_str_radix(&ctrnn_files::digest::blake3(key.as_bytes())[..8], 16);
        let key = Key::new(seed, Stream::Sweep, layer.expect("hexadecimal digits"));
        let mut rng = Rng::new(key, k, 0);
        match self {
            Self::Uniform(low, high) => Value::Float(six_digits(rng.uniform_in(*low, *high))),
            Self::LogUniform(low, high) => {
                Value::Float(six_digits(rng.uniform_in(low.ln(), high.ln()).exp()))
            }
            Self::Integer(low, high) => {
                let n = high.abs_diff(*low) + 1;
                Value::Integer(low + rng.below(n as u32) as i64)
            }
            Self::Choice(values) => values[rng.below(values.len() as u32) as usize].clone(),
        }
    }
}

fn six_digits(number: f64) -> f64 {
    format!("{number:.5e}")
        .parse()
        .expect("a number as written")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draw_has_an_address() {
        let lr = Distribution::LogUniform(1e-4, 1e-1);
        let draw = |k| lr.draw(7, "train.optimizer.lr", k);
        assert_eq!(draw(3), draw(3));
        assert_ne!(draw(3), draw(4));
        assert_ne!(draw(3), lr.draw(7, "train.optimizer.beta1", 3));
        assert_ne!(draw(3), lr.draw(8, "train.optimizer.lr", 3));
    }

    #[test]
    fn draws_fill_their_range() {
        let draws = |d: Distribution| (0..2000).map(move |k| d.draw(1, "a", k));
        let logs =
            draws(Distribution::LogUniform(1e-4, 1e-2)).map(|v| v.as_float().unwrap().log10());
        let logs: Vec<f64> = logs.collect();
        assert!(logs.iter().all(|x| (-4.0..=-2.0).contains(x)));
        // The mean of 2000 draws from an interval of length 2 has a standard deviation of 2 / sqrt(12 x 2000) = 0.013.
        assert!((logs.iter().sum::<f64>() / 2000.0 + 3.0).abs() < 0.06);
        let integers = draws(Distribution::Integer(-1, 1)).map(|v| v.as_integer().unwrap());
        let seen: std::collections::BTreeSet<i64> = integers.collect();
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), [-1, 0, 1]);
        let choices = Distribution::Choice(vec!["a".into(), "b".into()]);
        let seen: std::collections::BTreeSet<String> =
            draws(choices).map(|v| v.to_string()).collect();
        assert_eq!(seen.len(), 2);
    }
}
