//! How weights begin: drawn on the host, from the seed alone, the same on every device.

use ctrnn_random::{Key, Rng, Stream};
use faer::Mat;

use crate::{CtrnnConfig, ModelError, WeightInit};

/// The weight matrices before the first training step, row-major `[post, pre]`.
pub(crate) struct InitialWeights {
    pub input: Vec<f64>,
    pub recurrent: Vec<f64>,
    pub output: Vec<f64>,
}

impl InitialWeights {
    /// Draws the weights of `config` from `seed`.
    ///
    /// # Errors
    /// [`ModelError::ZeroSpectralRadius`] if a matrix whose spectral radius is zero is to be scaled to another one.
    pub fn draw(config: &CtrnnConfig, seed: u64) -> Result<Self, ModelError> {
        let (i, n, o) = (config.n_inputs, config.n_units, config.n_outputs);
        let key = Key::new(seed, Stream::Weights, 0);
        let draw = |matrix: u64, init: WeightInit, post: usize, pre: usize| {
            init.draw(post, pre, &mut Rng::new(key, matrix, 0))
        };
        let mut recurrent = draw(1, config.init.recurrent, n, n);
        if let Some(asked) = config.init.spectral_radius {
            scale_to(&mut recurrent, n, asked)?;
        }
        Ok(Self {
            input: draw(0, config.init.input, n, i),
            recurrent,
            output: draw(2, config.init.output, o, n),
        })
    }
}

impl WeightInit {
    /// A matrix `[post, pre]`, row-major.
    fn draw(self, post: usize, pre: usize, rng: &mut Rng) -> Vec<f64> {
        let size = post * pre;
        if size == 0 {
            return Vec::new();
        }
        let bound = 1.0 / (pre.max(1) as f64).sqrt();
        let mut normals = || {
            (0..size)
                .map(|_| f64::from(rng.normal()))
                .collect::<Vec<_>>()
        };
        match self {
            Self::Gaussian => normals().into_iter().map(|x| bound * x).collect(),
            Self::Uniform => (0..size).map(|_| rng.uniform_in(-bound, bound)).collect(),
            Self::Orthogonal => orthonormal(&normals(), post, pre),
            Self::Zero => vec![0.0; size],
        }
    }
}

/// The orthonormal factor of a gaussian matrix, with signs chosen so that it is uniform over orthogonal matrices.
///
/// # References
/// Mezzadri (2007), "How to generate random matrices from the classical compact groups", section 5.
fn orthonormal(normals: &[f64], post: usize, pre: usize) -> Vec<f64> {
    let (long, short) = (post.max(pre), post.min(pre));
    let qr = Mat::from_fn(long, short, |row, col| normals[row * short + col]).qr();
    let (q, r) = (qr.compute_thin_Q(), qr.thin_R());
    let entry = |row: usize, col: usize| q[(row, col)] * r[(col, col)].signum();
    (0..post * pre)
        .map(|k| (k / pre, k % pre))
        .map(|(row, col)| {
            if post >= pre {
                entry(row, col)
            } else {
                entry(col, row)
            }
        })
        .collect()
}

/// The largest modulus of an eigenvalue of a row-major `[n, n]` matrix.
///
/// # Errors
/// [`ModelError::Eigenvalues`] if the iteration does not converge, as with entries that are not finite.
pub fn spectral_radius(matrix: &[f64], n: usize) -> Result<f64, ModelError> {
    assert_eq!(
        matrix.len(),
        n * n,
        "a matrix of {} entries is not [{n}, {n}]",
        matrix.len()
    );
    let eigenvalues = Mat::from_fn(n, n, |row, col| matrix[row * n + col])
        .eigenvalues()
        .map_err(|error| ModelError::Eigenvalues(format!("{error:?}")))?;
    Ok(eigenvalues
        .iter()
        .map(|z| z.re.hypot(z.im))
        .fold(0.0, f64::max))
}

fn scale_to(matrix: &mut [f64], n: usize, asked: f64) -> Result<(), ModelError> {
    let found = spectral_radius(matrix, n)?;
    if found == 0.0 {
        return Err(ModelError::ZeroSpectralRadius { asked });
    }
    matrix.iter_mut().for_each(|w| *w *= asked / found);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::WeightInits;

    fn network(recurrent: WeightInit, spectral_radius: Option<f64>) -> CtrnnConfig {
        let init = WeightInits {
            recurrent,
            spectral_radius,
            ..WeightInits::default()
        };
        CtrnnConfig {
            init,
            ..CtrnnConfig::new(3, 50, 2)
        }
    }

    #[test]
    fn spectral_radius_is_the_one_asked_for() {
        for init in [
            WeightInit::Gaussian,
            WeightInit::Uniform,
            WeightInit::Orthogonal,
        ] {
            for seed in 0..5 {
                let weights = InitialWeights::draw(&network(init, Some(1.3)), seed).unwrap();
                let found = spectral_radius(&weights.recurrent, 50).unwrap();
                assert!((found - 1.3).abs() < 1e-9, "{init:?}: {found}");
            }
        }
    }

    #[test]
    fn spectral_radius_of_a_rotation_is_its_scale() {
        // [[0, -2], [2, 0]] has the eigenvalues +-2i.
        let radius = spectral_radius(&[0.0, -2.0, 2.0, 0.0], 2).unwrap();
        assert!((radius - 2.0).abs() < 1e-12);
    }

    #[test]
    fn orthogonal_weights_have_orthonormal_rows_or_columns() {
        let mut rng = Rng::new(Key::new(7, Stream::Weights, 0), 0, 0);
        for (post, pre) in [(4, 4), (3, 5), (5, 3), (1, 4)] {
            let w = WeightInit::Orthogonal.draw(post, pre, &mut rng);
            let short = post.min(pre);
            for a in 0..short {
                for b in 0..short {
                    let dot: f64 = (0..post.max(pre))
                        .map(|k| match post >= pre {
                            true => w[k * pre + a] * w[k * pre + b],
                            false => w[a * pre + k] * w[b * pre + k],
                        })
                        .sum();
                    let expected = f64::from(u8::from(a == b));
                    assert!((dot - expected).abs() < 1e-12, "[{post},{pre}]: {dot}");
                }
            }
        }
    }

    #[test]
    fn gaussian_weights_have_the_standard_deviation_of_their_fan_in() {
        let weights = InitialWeights::draw(&network(WeightInit::Gaussian, None), 1).unwrap();
        let variance = weights.recurrent.iter().map(|w| w * w).sum::<f64>() / 2500.0;
        // 1/50, and the standard error of a variance of 2500 draws is 2.8 %.
        assert!((variance * 50.0 - 1.0).abs() < 0.1, "{variance}");
    }

    #[test]
    fn a_zero_matrix_has_no_radius_to_scale() {
        let mut zero = vec![0.0; 4];
        assert_eq!(
            scale_to(&mut zero, 2, 1.0),
            Err(ModelError::ZeroSpectralRadius { asked: 1.0 })
        );
    }

    #[test]
    fn each_matrix_has_its_own_draws_and_each_seed_its_own_network() {
        let config = network(WeightInit::Gaussian, None);
        let (a, b) = (
            InitialWeights::draw(&config, 1).unwrap(),
            InitialWeights::draw(&config, 2).unwrap(),
        );
        assert_ne!(a.recurrent, b.recurrent);
        assert_ne!(a.input[0] / a.recurrent[0], (50.0f64 / 3.0).sqrt());
        assert_eq!(a.output, InitialWeights::draw(&config, 1).unwrap().output);
    }
}
