//! Penalties on firing rates and weights, each a function of tensors that may or may not be tracked.
//!
//! A penalty on rates is a function of means over the samples of a batch, its [`Statistic`]. The statistics of
//! successive batches can be joined, so that the penalty over all trials does not depend on how they are divided into
//! batches. Rates are time-major `[T,B,N]`; padding is never included.

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

use crate::batch::Batch;
use crate::objective::config::{PopulationKl, Spread};

/// Small constant that keeps logarithms, roots and quotients finite for silent units.
const TINY: f64 = 1e-12;

/// Means over samples, such as the time steps of some trials.
#[derive(Clone, Debug)]
pub(crate) struct Statistic<B: Backend> {
    /// The mean, `[1,1,K]`.
    mean: Tensor<B, 3>,
    /// The variance about the mean, `[1,1,K]`, if the penalty depends on it.
    variance: Option<Tensor<B, 3>>,
    /// Number of samples.
    samples: f64,
}

impl<B: Backend> Statistic<B> {
    /// Wraps the mean of a scalar, `[1]`, over this many samples.
    pub fn of_one(mean: Tensor<B, 1>, samples: f64) -> Self {
        Self {
            mean: mean.reshape([1, 1, 1]),
            variance: None,
            samples,
        }
    }

    /// Unwraps the mean of a scalar, `[1]`.
    pub fn one(self) -> Tensor<B, 1> {
        self.mean.reshape([1])
    }

    /// Returns true if all entries are finite.
    pub fn is_finite(&self) -> bool {
        let mut all = std::iter::once(&self.mean).chain(&self.variance);
        all.all(|tensor| tensor.to_data().iter::<f64>().all(f64::is_finite))
    }

    /// Merges the statistics of two sets of samples (Chan, Golub and LeVeque 1983).
    #[must_use]
    pub fn joined(self, other: Self) -> Self {
        let samples = self.samples + other.samples;
        if samples == 0.0 {
            return self;
        }
        let part = other.samples / samples;
        let change = other.mean - self.mean.clone();
        let join = |(own, other): (Tensor<B, 3>, Tensor<B, 3>)| {
            own.clone() + (other - own) * part + change.clone().square() * (part * (1.0 - part))
        };
        Self {
            variance: self.variance.zip(other.variance).map(join),
            mean: self.mean + change * part,
            samples,
        }
    }
}

/// Computes `mean |r|`.
pub(crate) fn rate_l1<B: Backend>(rates: Tensor<B, 3>, batch: &Batch<B>) -> Statistic<B> {
    mean(rates.abs(), batch)
}

/// Computes `mean r^2`.
pub(crate) fn rate_l2<B: Backend>(rates: Tensor<B, 3>, batch: &Batch<B>) -> Statistic<B> {
    mean(rates.square(), batch)
}

/// Computes a mean over all units and all samples from the sums of the units.
pub(crate) fn mean_of_sums<B: Backend>(sums: Tensor<B, 1>, batch: &Batch<B>) -> Statistic<B> {
    let [units] = sums.dims();
    let mean = sums.sum() / (batch.within_sum * units as f64);
    Statistic::of_one(mean, batch.within_sum)
}

/// Computes [`unit_rates`] from the sums of the units.
pub(crate) fn unit_rates_of_sums<B: Backend>(sums: Tensor<B, 1>, batch: &Batch<B>) -> Statistic<B> {
    Statistic {
        mean: sums.unsqueeze() / batch.within_sum,
        variance: None,
        samples: batch.within_sum,
    }
}

/// Computes `mu_i`, the mean rate of each unit.
pub(crate) fn unit_rates<B: Backend>(rates: Tensor<B, 3>, batch: &Batch<B>) -> Statistic<B> {
    Statistic {
        mean: unit_means(rates, batch),
        variance: None,
        samples: batch.within_sum,
    }
}

/// Computes `mean_i (mu_i - rate)^2`, `[1]`.
pub(crate) fn rate_target<B: Backend>(of_units: Statistic<B>, rate: f64) -> Tensor<B, 1> {
    (of_units.mean - rate).square().mean()
}

/// Computes the spread of the units' mean rates, `[1]`.
pub(crate) fn rate_spread<B: Backend>(of_units: Statistic<B>, measure: Spread) -> Tensor<B, 1> {
    let mean = of_units.mean.clone().mean_dim(2);
    let deviation = of_units.mean - mean.clone();
    let sd = |deviation: Tensor<B, 3>| (deviation.square().mean() + TINY).sqrt();
    match measure {
        Spread::Sd => sd(deviation),
        Spread::Cv => sd(deviation) / (mean.reshape([1]).abs() + TINY),
        Spread::MeanAd => deviation.abs().mean(),
        Spread::MaxAd => deviation.abs().max(),
    }
}

/// Computes `- sum_i p_i log p_i` with `p_i = |r_i| / sum_j |r_j|`, averaged over trials and times; 0 if all units are
/// silent.
pub(crate) fn rate_entropy<B: Backend>(rates: Tensor<B, 3>, batch: &Batch<B>) -> Statistic<B> {
    let size = rates.abs();
    let p = size.clone() / (size.sum_dim(2) + TINY);
    mean(-(p.clone() * (p + TINY).log()).sum_dim(2), batch)
}

/// Computes mean and variance of every unit of the first group, followed by those of the second.
pub(crate) fn group_moments<B: Backend>(
    rates: Tensor<B, 3>,
    batch: &Batch<B>,
    groups: &PopulationKl,
) -> Statistic<B> {
    let group = |[from, to]: [usize; 2]| rates.clone().narrow(2, from, to - from);
    let both = Tensor::cat(vec![group(groups.first), group(groups.second)], 2);
    let mean = unit_means(both.clone(), batch);
    let deviation = both - mean.clone();
    Statistic {
        mean,
        variance: Some(unit_means(deviation.square(), batch)),
        samples: batch.within_sum,
    }
}

/// Computes `mean_k KL_k` between two groups of units from their moments (formula at [`PopulationKl`]), `[1]`.
pub(crate) fn population_kl<B: Backend>(moments: Statistic<B>) -> Tensor<B, 1> {
    let halves = |both: Tensor<B, 3>| {
        let size = both.dims()[2] / 2;
        (both.clone().narrow(2, 0, size), both.narrow(2, size, size))
    };
    let (mean_a, mean_b) = halves(moments.mean);
    let (v, w) = halves(moments.variance.expect("moments have a variance") + TINY);
    let d = (mean_a - mean_b).square();
    let both = (v.clone() + d.clone()) / w.clone() + (w + d) / v - 2.0;
    both.mean() / 4.0
}

/// Computes `mean_b | mean_t r^T W r |` over trials b and their times t; `weights [N,N]`.
pub(crate) fn hebbian<B: Backend>(
    rates: Tensor<B, 3>,
    weights: Tensor<B, 2>,
    batch: &Batch<B>,
) -> Statistic<B> {
    let [steps, trials, units] = rates.dims();
    let rows = rates.reshape([steps * trials, units]);
    let drive = rows.clone().matmul(weights.transpose());
    let products = (rows * drive).sum_dim(1).reshape([steps, trials, 1]);
    let lengths = batch.within.clone().sum_dim(0); // [1,B,1]
    let by_trial = (products * batch.within.clone()).sum_dim(0) / lengths;
    Statistic::of_one(by_trial.abs().mean(), trials as f64)
}

/// Computes `mean (r(t + lag) - r(t))^2` over trials, units and those times t for which `t + lag` is within the trial;
/// 0 if there are no such times.
pub(crate) fn state_prediction<B: Backend>(
    rates: Tensor<B, 3>,
    batch: &Batch<B>,
    lag: usize,
) -> Statistic<B> {
    let [steps, _, units] = rates.dims();
    let samples: usize = batch
        .n_steps
        .iter()
        .map(|n_steps| n_steps.saturating_sub(lag))
        .sum();
    if samples == 0 {
        return Statistic::of_one(rates.sum() * 0.0, 0.0);
    }
    let pairs = steps - lag;
    let later = rates.clone().narrow(0, lag, pairs);
    let change = (later - rates.narrow(0, 0, pairs)).square();
    let within = batch.within.clone().narrow(0, lag, pairs);
    let sum = (change * within).sum();
    Statistic::of_one(sum / (samples * units) as f64, samples as f64)
}

/// Computes `mean |W|`, `[1]`; 0 for a matrix without entries.
pub(crate) fn weight_l1<B: Backend>(weights: Tensor<B, 2>) -> Tensor<B, 1> {
    let n = weights.shape().num_elements().max(1);
    weights.abs().sum() / n as f64
}

/// Computes `mean W^2`, `[1]`; 0 for a matrix without entries.
pub(crate) fn weight_l2<B: Backend>(weights: Tensor<B, 2>) -> Tensor<B, 1> {
    let n = weights.shape().num_elements().max(1);
    weights.square().sum() / n as f64
}

/// Computes the mean over all entries within the trials.
fn mean<B: Backend>(values: Tensor<B, 3>, batch: &Batch<B>) -> Statistic<B> {
    let [_, _, width] = values.dims();
    let sum = within(values, batch).sum();
    Statistic::of_one(sum / (batch.within_sum * width as f64), batch.within_sum)
}

/// Computes the mean of each unit over trials and times, `[1,1,N]`.
fn unit_means<B: Backend>(values: Tensor<B, 3>, batch: &Batch<B>) -> Tensor<B, 3> {
    let sums = within(values, batch).sum_dim(0).sum_dim(1);
    sums / batch.within_sum
}

/// Sets the values in the padding to zero.
fn within<B: Backend>(values: Tensor<B, 3>, batch: &Batch<B>) -> Tensor<B, 3> {
    if batch.is_padded() {
        values * batch.within.clone()
    } else {
        values
    }
}
