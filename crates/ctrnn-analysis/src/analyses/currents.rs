//! Excitatory and inhibitory currents, and their balance.

use ndarray::{Array1, Array2, Array3, ArrayView2, ArrayView3, Axis};

use super::{Answer, NoOptions, Unsuitable};
use crate::groups::{mean_course, of_all};
use crate::plot::{Figure, Layer, Rgb, colour};
use crate::text::short;
use crate::{Arrays, Study};

/// Recurrent currents, averaged over units and trials, and their imbalance.
#[derive(Clone, Debug)]
pub struct Currents {
    /// Mean excitatory current over time.
    pub excitatory: Vec<f64>,
    /// Mean inhibitory current over time.
    pub inhibitory: Vec<f64>,
    /// Imbalance `
    /// E + I
    ///  / (
    /// E
    ///  +
    /// I
    /// )` of each unit; NaN if it receives no current.
    pub imbalance: Array1<f64>,
    t_ms: Vec<f64>,
}

impl Answer for Currents {
    type Options = NoOptions;

    fn compute(study: &Study, _: &NoOptions) -> Result<Self, Unsuitable> {
        let found = SplitCurrents::of(study.dynamics.w_rc.view(), study.rates.view());
        let imbalance = found.imbalance(study.counts().view());
        if !imbalance.iter().any(|x| x.is_finite()) {
            return Err(Unsuitable::lacks("no unit receives a recurrent current"));
        }
        let whole = of_all(study);
        let population = |values: &Array3<f64>| {
            let mean = values.mean_axis(Axis(2)).unwrap_or_default();
            let course = mean_course(study, &mean.insert_axis(Axis(2)), &whole);
            course.column(0).to_vec()
        };
        let excitatory = population(&found.excitatory);
        Ok(Self {
            inhibitory: population(&found.inhibitory),
            t_ms: study.times_ms(excitatory.len()),
            excitatory,
            imbalance,
        })
    }

    fn arrays(&self) -> Arrays {
        Arrays::default()
            .with("excitatory", &self.excitatory)
            .with("inhibitory", &self.inhibitory)
            .with("imbalance", &self.imbalance)
    }

    fn statements(&self) -> Vec<String> {
        let driven = || self.imbalance.iter().filter(|x| x.is_finite());
        let mean = driven().sum::<f64>() / driven().count() as f64;
        vec![format!(
            "imbalance |E + I| / (|E| + |I|) of the recurrent currents: {} on average (0 is balance)",
            short(mean)
        )]
    }

    fn figures(&self) -> Vec<(&'static str, Figure)> {
        let pairs = self.excitatory.iter().zip(&self.inhibitory);
        let sum = pairs.map(|(e, i)| e + i).collect();
        let line = |current: Vec<f64>, ink| Layer::line(self.t_ms.clone(), current, ink).wide(0.35);
        let end = self.t_ms.last().copied().unwrap_or(1.0);
        let mut figure = Figure::new(&[48.0, 34.0], &[34.0]);
        figure
            .cell(0, 0)
            .x_label("time (ms)")
            .y_label("current per unit")
            .add(Layer::guide([0.0, end], [0.0, 0.0]))
            .add(line(self.excitatory.clone(), colour(1)).named("excitatory"))
            .add(line(self.inhibitory.clone(), colour(0)).named("inhibitory"))
            .add(line(sum, Rgb::BLACK).named("sum"));
        let panel = figure.cell(0, 1);
        let values = self.imbalance.to_vec();
        panel.histogram(["imbalance", "units"], &values, [0.0, 1.0], 20);
        vec![("", figure)]
    }
}

/// Recurrent currents into every unit, split by sign, `[trial, time, unit]`.
#[derive(Clone, Debug)]
pub struct SplitCurrents {
    /// Excitatory currents, at least zero.
    pub excitatory: Array3<f64>,
    /// Inhibitory currents, at most zero.
    pub inhibitory: Array3<f64>,
}

impl SplitCurrents {
    /// Computes `max(W, 0) r` and `min(W, 0) r` for `weights [N,N]` and nonnegative rates. For negative rates the two
    /// are exchanged, because the sign of each product counts.
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

    /// Returns the imbalance `
    /// E + I
    ///  / (
    /// E
    ///  +
    /// I
    /// )` of every unit, with numerator and denominator summed over the states selected by `counts [trial, time]`: 0 if
    /// inhibition cancels excitation at every time, 1 if only one of them is present, NaN if neither is.
    pub fn imbalance(&self, counts: ArrayView2<bool>) -> Array1<f64> {
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

    /// Rates (2, 3): unit 0 receives 2 x 3 = 6 and -2 x 1 = -2, so
    /// 4
    ///  / 8; unit 1 receives only 3.
    #[test]
    fn currents_by_hand() {
        let weights = array![[-1.0, 2.0], [0.0, 1.0]];
        let found = SplitCurrents::of(weights.view(), array![[[2.0, 3.0]]].view());
        assert_eq!(found.excitatory, array![[[6.0, 3.0]]]);
        assert_eq!(found.inhibitory, array![[[-2.0, 0.0]]]);
        assert_eq!(found.imbalance(array![[true]].view()), array![0.5, 1.0]);
    }

    #[test]
    fn a_negative_rate_turns_the_sign() {
        let found = SplitCurrents::of(array![[-2.0]].view(), array![[[-3.0]]].view());
        assert_eq!(
            (found.excitatory[[0, 0, 0]], found.inhibitory[[0, 0, 0]]),
            (6.0, 0.0)
        );
    }
}
