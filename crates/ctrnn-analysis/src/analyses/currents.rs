//! Excitatory and inhibitory currents, and their balance.

use ndarray::{Array1, Array2, Array3, ArrayView2, Axis};

use super::{Answer, NoOptions, Unsuitable};
use crate::epochs::Epochs;
use crate::groups::{mean_course, of_all};
use crate::plot::{Figure, Layer, Rgb, colour};
use crate::text::short;
use crate::{ArrayDoc, Arrays, Study};

/// Recurrent currents, averaged over units and trials, and their imbalance.
#[derive(Clone, Debug)]
pub struct Currents {
    /// Mean excitatory current over time.
    pub excitatory: Vec<f64>,
    /// Mean inhibitory current over time.
    pub inhibitory: Vec<f64>,
    /// Imbalance `|E + I| / (|E| + |I|)` of each unit; NaN if it receives no current.
    pub imbalance: Array1<f64>,
    epochs: Epochs,
    t_ms: Vec<f64>,
}

impl Answer for Currents {
    type Options = NoOptions;
    const NEEDS_WHOLE: bool = true;
    const SEES_GROUPS: bool = false;
    const ARRAYS: &'static [ArrayDoc] = &[
        ArrayDoc::new(
            "excitatory",
            "[time]",
            "",
            "excitatory recurrent current, averaged over units and trials",
        ),
        ArrayDoc::new(
            "inhibitory",
            "[time]",
            "",
            "inhibitory recurrent current, averaged over units and trials",
        ),
        ArrayDoc::new(
            "imbalance",
            "[unit]",
            "",
            "|E + I| / (|E| + |I|) of each unit: 0 is balance; NaN without currents",
        ),
    ];

    fn compute(study: &Study, _: &NoOptions) -> Result<Self, Unsuitable> {
        if study.dynamics.is_delayed {
            let why = "recurrent connections are delayed: the currents of a time step come from the rates of earlier ones, which the analysis does not follow";
            return Err(Unsuitable::lacks(why));
        }
        let n = study.dynamics.n_units();
        let [mut excitatory, mut inhibitory] =
            [(); 2].map(|()| Array3::zeros((study.batch.n_trials, study.batch.max_steps, 1)));
        let (mut net, mut gross) = (Array1::<f64>::zeros(n), Array1::<f64>::zeros(n));
        for (b, &n_steps) in study.batch.n_steps.iter().enumerate() {
            let rates = study.transmitted(b);
            let found = SplitCurrents::of(study.dynamics.w_rc.view(), rates.view());
            net += &(&found.excitatory + &found.inhibitory)
                .mapv(f64::abs)
                .sum_axis(Axis(0));
            gross += &(&found.excitatory - &found.inhibitory).sum_axis(Axis(0));
            for (all, own) in [
                (&mut excitatory, &found.excitatory),
                (&mut inhibitory, &found.inhibitory),
            ] {
                let mean = own.mean_axis(Axis(1)).unwrap_or_default();
                all.slice_mut(ndarray::s![b, ..n_steps, 0]).assign(&mean);
            }
        }
        let imbalance = net / gross;
        if !imbalance.iter().any(|x| x.is_finite()) {
            return Err(Unsuitable::lacks("no unit receives a recurrent current"));
        }
        let whole = of_all(study);
        let course =
            |values: &Array3<f64>| mean_course(study, values, &whole).mean.column(0).to_vec();
        let excitatory = course(&excitatory);
        Ok(Self {
            inhibitory: course(&inhibitory),
            t_ms: study.times_ms(excitatory.len()),
            excitatory,
            imbalance,
            epochs: Epochs::of(study),
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
        let panel = figure.cell(0, 0);
        panel
            .x_label("time (ms)")
            .y_label("current per unit")
            .add(Layer::guide([0.0, end], [0.0, 0.0]))
            .add(line(self.excitatory.clone(), colour(1)).named("excitatory"))
            .add(line(self.inhibitory.clone(), colour(0)).named("inhibitory"))
            .add(line(sum, Rgb::BLACK).named("sum"));
        self.epochs.mark(panel);
        let panel = figure.cell(0, 1);
        let values = self.imbalance.to_vec();
        panel.histogram(["imbalance", "units"], &values, [0.0, 1.0], 20);
        vec![("", figure)]
    }
}

/// Recurrent currents into every unit, split by sign, `[time, unit]`.
#[derive(Clone, Debug)]
pub struct SplitCurrents {
    /// Excitatory currents, at least zero.
    pub excitatory: Array2<f64>,
    /// Inhibitory currents, at most zero.
    pub inhibitory: Array2<f64>,
}

impl SplitCurrents {
    /// Computes `max(W, 0) r` and `min(W, 0) r` for `weights [N,N]` and nonnegative `rates [time, unit]`. For negative
    /// rates the two are exchanged, because the sign of each product counts.
    pub fn of(weights: ArrayView2<f64>, rates: ArrayView2<f64>) -> Self {
        let positive = weights.mapv(|w| w.max(0.0));
        let negative = weights.mapv(|w| w.min(0.0));
        let above = rates.mapv(|r| r.max(0.0));
        let below = rates.mapv(|r| r.min(0.0));
        Self {
            excitatory: above.dot(&positive.t()) + below.dot(&negative.t()),
            inhibitory: above.dot(&negative.t()) + below.dot(&positive.t()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    /// Unit 0 receives 2 x 3 = 6 and -2 x 1 = -2 at the rates (2, 3); unit 1 receives only 3.
    #[test]
    fn currents_by_hand() {
        let weights = array![[-1.0, 2.0], [0.0, 1.0]];
        let found = SplitCurrents::of(weights.view(), array![[2.0, 3.0]].view());
        assert_eq!(found.excitatory, array![[6.0, 3.0]]);
        assert_eq!(found.inhibitory, array![[-2.0, 0.0]]);
    }

    #[test]
    fn a_negative_rate_turns_the_sign() {
        let found = SplitCurrents::of(array![[-2.0]].view(), array![[-3.0]].view());
        assert_eq!(
            (found.excitatory[[0, 0]], found.inhibitory[[0, 0]]),
            (6.0, 0.0)
        );
    }
}
