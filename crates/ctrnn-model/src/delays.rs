//! Delays of recurrent connections: from milliseconds to time steps.

use ctrnn_kernels::Delays;

use crate::{CtrnnConfig, Matrix, ModelError, Weights};

/// Name of the delays in weight files, `[N,N]` in ms: written if the network has them.
pub(crate) const DELAY_MS: &str = "recurrent.delay_ms";

/// Largest distance of a delay from a whole number of time steps, and that relative to their number: decimal fractions are not exact
/// in binary, less so in a file of single precision.
const TOLERANCE: [f64; 2] = [1e-6, 1e-7];

/// Most time steps of a delay. A longer one is taken for a typing error.
const MAX_STEPS: f64 = 1e6;

/// Returns a delay as a whole number of time steps; `None` if it is none.
pub(crate) fn whole_steps(delay_ms: f64, dt_ms: f64) -> Option<usize> {
    let steps = delay_ms / dt_ms;
    let nearest = steps.round();
    let tolerance = TOLERANCE[0].max(TOLERANCE[1] * nearest);
    let is_whole = (steps - nearest).abs() <= tolerance && (nearest > 0.0 || delay_ms == 0.0);
    (is_whole && (0.0..=MAX_STEPS).contains(&nearest)).then_some(nearest as usize)
}

impl CtrnnConfig {
    /// Returns the longest delay of a recurrent connection in ms; `None` if no connection is delayed.
    pub fn longest_delay_ms(&self) -> Option<f64> {
        let delay_ms = self.connectivity.delay_ms.iter().flatten().copied();
        delay_ms.filter(|&delay| delay > 0.0).max_by(f64::total_cmp)
    }

    /// Returns the delays of the recurrent connections in time steps; `None` if no connection is delayed.
    ///
    /// # Panics
    /// If [`CtrnnConfig::check`] refuses the configuration.
    pub fn delays(&self) -> Option<Delays> {
        let delay_ms = self.connectivity.delay_ms.as_ref()?;
        let steps = |&delay: &f64| {
            whole_steps(delay, self.dt_ms).expect("the configuration has been checked")
        };
        Delays::new(&delay_ms.iter().map(steps).collect::<Vec<_>>())
    }

    /// Checks that the delays of a file are those of the configuration, which determines them.
    pub(crate) fn check_delays(&self, weights: &Weights) -> Result<(), ModelError> {
        let Some(found) = weights.get(DELAY_MS) else {
            return Ok(());
        };
        let [_, pre] = Matrix::Recurrent.shape(self);
        let own = |k: usize| {
            self.connectivity
                .delay_ms
                .as_ref()
                .map_or(0.0, |own| own[k])
        };
        let differs = |(k, x): &(usize, f64)| *x != own(*k) && *x != f64::from(own(*k) as f32);
        match found.iter::<f64>().enumerate().find(differs) {
            None => Ok(()),
            Some((k, x)) => Err(ModelError::Contradiction {
                name: DELAY_MS.to_owned(),
                reason: format!(
                    "{x} ms at [{}, {}]; the configuration says {} ms",
                    k / pre,
                    k % pre,
                    own(k)
                ),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_are_whole_time_steps() {
        assert_eq!(whole_steps(40.0, 20.0), Some(2));
        assert_eq!(whole_steps(f64::from(0.3_f32), 0.1), Some(3));
        assert_eq!(whole_steps(f64::from(123.4_f32), 0.1), Some(1234));
        assert_eq!(whole_steps(0.0, 20.0), Some(0));
        for wrong in [30.0, -20.0, 1e-9, f64::NAN, f64::INFINITY, 1e9] {
            assert_eq!(whole_steps(wrong, 20.0), None, "{wrong}");
        }
    }
}
