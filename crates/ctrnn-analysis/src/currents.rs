//! Excitatory and inhibitory currents, and how they balance.

use ndarray::{Array2, Array3, ArrayView2, ArrayView3, Axis};

/// The recurrent currents into every unit, `[trial, time, unit]`.
#[derive(Clone, Debug)]
pub struct Currents {
    /// From positive weights.
    pub excitatory: Array3<f64>,
    /// From negative weights, below zero.
    pub inhibitory: Array3<f64>,
}

impl Currents {
    /// `max(W, 0) r` and `min(W, 0) r` for `weights [N,N]` and rates that are not negative. (Of negative rates the signs change
    /// places: what counts is the sign of each product.)
    pub fn of(weights: ArrayView2<f64>, rates: ArrayView3<f64>) -> Self {
        let (b, t, n) = rates.dim();
        let flat = rates.to_shape((b * t, n)).expect("a product of sizes");
        let positive = weights.mapv(|w| w.max(0.0));
        let negative = weights.mapv(|w| w.min(0.0));
        let above = flat.mapv(|r| r.max(0.0));
        let below = flat.mapv(|r| r.min(0.0));
        let excitatory = above.dot(&positive.t()) + below.dot(&negative.t());
        let inhibitory = above.dot(&negative.t()) + below.dot(&positive.t());
        let shaped = |x: Array2<f64>| {
            x.into_shape_with_order((b, t, weights.nrows()))
                .expect("a product of sizes")
        };
        Self {
            excitatory: shaped(excitatory),
            inhibitory: shaped(inhibitory),
        }
    }

    /// `|E + I| / (|E| + |I|)` of the currents into every unit, averaged over the states that `counts [trial, time]`: 0 where inhibition
    /// cancels excitation at every time, 1 where there is only one of them; NaN where there is neither.
    pub fn imbalance(&self, counts: ArrayView2<bool>) -> ndarray::Array1<f64> {
        let n = self.excitatory.dim().2;
        let unit = |n: usize| {
            let (mut net, mut gross) = (0.0, 0.0);
            let (e, i) = (
                self.excitatory.index_axis(Axis(2), n),
                self.inhibitory.index_axis(Axis(2), n),
            );
            ndarray::Zip::from(&e)
                .and(&i)
                .and(&counts)
                .for_each(|e, i, &counts| {
                    if counts {
                        net += (e + i).abs();
                        gross += e - i;
                    }
                });
            net / gross
        };
        (0..n).map(unit).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    /// Rates (2, 3): unit 0 receives 2 x 3 = 6 and -2 x 1 = -2, so |4| / 8; unit 1 only 3.
    #[test]
    fn currents_by_hand() {
        let weights = array![[-1.0, 2.0], [0.0, 1.0]];
        let found = Currents::of(weights.view(), array![[[2.0, 3.0]]].view());
        assert_eq!(found.excitatory, array![[[6.0, 3.0]]]);
        assert_eq!(found.inhibitory, array![[[-2.0, 0.0]]]);
        assert_eq!(found.imbalance(array![[true]].view()), array![0.5, 1.0]);
    }

    #[test]
    fn a_negative_rate_turns_the_sign() {
        let found = Currents::of(array![[-2.0]].view(), array![[[-3.0]]].view());
        assert_eq!(
            (found.excitatory[[0, 0, 0]], found.inhibitory[[0, 0, 0]]),
            (6.0, 0.0)
        );
    }
}
