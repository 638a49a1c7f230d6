//! Population code of an angle: encoding in tuned channels, and decoding.

use std::f64::consts::{PI, TAU};

/// Channels with evenly spaced preferred angles, in radians: 0, 2 pi / n, ...
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ring {
    /// Number of channels n.
    pub n: usize,
    /// Tuning curve of each channel.
    pub tuning: Tuning,
    /// Rate at the preferred angle.
    pub height: f64,
}

/// A tuning curve: the rate at distance d from the preferred angle, as a fraction of the height.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Tuning {
    /// A Gaussian, `exp(-(d / width)^2 / 2)`; Yang et al. (2019) have the width pi / 8.
    Gaussian {
        /// Width in radians.
        width: f64,
    },
    /// A von Mises curve, `exp(kappa (cos d - 1))`; Masse et al. (2019) have kappa = 2.
    VonMises {
        /// Concentration.
        kappa: f64,
    },
}

impl Ring {
    /// Creates the ring of Yang et al. (2019): Gaussian of width pi / 8 and height 0.8.
    #[must_use]
    pub fn gaussian(n: usize) -> Self {
        let tuning = Tuning::Gaussian { width: PI / 8.0 };
        Self {
            n,
            tuning,
            height: 0.8,
        }
    }

    /// Creates the ring of Masse et al. (2019): von Mises of concentration 2, here of height 1 (there 4).
    #[must_use]
    pub fn von_mises(n: usize) -> Self {
        let tuning = Tuning::VonMises { kappa: 2.0 };
        Self {
            n,
            tuning,
            height: 1.0,
        }
    }

    /// Returns the preferred angle of a channel.
    #[must_use]
    pub fn preferred(&self, channel: usize) -> f64 {
        TAU * channel as f64 / self.n as f64
    }

    /// Returns the rates of all channels for an angle.
    #[must_use]
    pub fn encode(&self, angle: f64) -> Vec<f64> {
        (0..self.n)
            .map(|channel| {
                let d = angular_distance(angle, self.preferred(channel));
                self.height
                    * match self.tuning {
                        Tuning::Gaussian { width } => (-(d / width).powi(2) / 2.0).exp(),
                        Tuning::VonMises { kappa } => (kappa * (d.cos() - 1.0)).exp(),
                    }
            })
            .collect()
    }

    /// Returns the angle of the population vector `sum_k r_k exp(i angle_k)`, from 0 to 2 pi.
    #[must_use]
    pub fn decode(&self, rates: &[f32]) -> f64 {
        let (mut x, mut y) = (0.0, 0.0);
        for (channel, &rate) in rates.iter().enumerate() {
            let (sin, cos) = self.preferred(channel).sin_cos();
            x += f64::from(rate) * cos;
            y += f64::from(rate) * sin;
        }
        y.atan2(x).rem_euclid(TAU)
    }

    /// Returns names of the channels: `name 0`, `name 1`, ...
    pub fn names(&self, name: &str) -> impl Iterator<Item = String> + use<> {
        let name = name.to_owned();
        (0..self.n).map(move |channel| format!("{name} {channel}"))
    }
}

/// Returns `n` directions evenly spaced on the circle, in degrees: 0, 360 / n, ...
pub(crate) fn directions_deg(n: usize) -> Vec<f64> {
    (0..n).map(|k| k as f64 * 360.0 / n as f64).collect()
}

/// Returns the distance between two angles on the circle, from 0 to pi.
#[must_use]
pub fn angular_distance(a: f64, b: f64) -> f64 {
    let d = (a - b).rem_euclid(TAU);
    d.min(TAU - d)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// At pi / 8, one width off, the Gaussian is exp(-1/2); opposite, the von Mises is exp(-2 kappa).
    #[test]
    fn tuning_by_hand() {
        let gaussian = Ring::gaussian(16).encode(0.0);
        assert!((gaussian[0] - 0.8).abs() < 1e-12);
        assert!((gaussian[1] - 0.8 * (-0.5f64).exp()).abs() < 1e-12);
        assert!((gaussian[15] - gaussian[1]).abs() < 1e-12);
        let von_mises = Ring::von_mises(4).encode(PI / 2.0);
        assert!((von_mises[1] - 1.0).abs() < 1e-12);
        assert!((von_mises[3] - (-4.0f64).exp()).abs() < 1e-12);
    }

    #[test]
    fn the_population_vector_finds_the_angle() {
        for ring in [Ring::gaussian(32), Ring::von_mises(24)] {
            for angle in [0.0, 0.3, 2.0, 3.5, 6.2] {
                let rates: Vec<f32> = ring.encode(angle).iter().map(|&r| r as f32).collect();
                assert!(
                    angular_distance(ring.decode(&rates), angle) < 1e-6,
                    "{angle}"
                );
            }
        }
    }

    #[test]
    fn distances_go_the_shorter_way() {
        for (a, b, d) in [
            (0.1, TAU - 0.1, 0.2),
            (-PI / 2.0, PI, PI / 2.0),
            (0.0, PI, PI),
        ] {
            assert!((angular_distance(a, b) - d).abs() < 1e-12);
        }
    }
}
