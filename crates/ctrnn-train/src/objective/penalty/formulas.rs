//! Penalties on firing rates and weights, each a function of tensors that may or may not be tracked.
//!
//! A penalty on rates is a function of means over the samples of a batch, its [`Statistic`]. The statistics of
//! successive batches can be joined, so that the penalty over all trials does not depend on how they are divided into
//! batches. Rates are time-major `[T,B,N]`; padding is never included.

use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use ctrnn_model::{FusedOps, RateSums, host_tensor};

use crate::batch::Batch;
use crate::objective::config::{PopulationKl, RangePenalty, Spread};

/// Small constant that keeps logarithms, roots and quotients finite for silent units.
const TINY: f64 = 1e-12;

/// Means over samples, such as the time steps of some trials.
#[derive(Clone, Debug)]
pub(crate) struct Statistic<B: Backend> {
    /// The mean, `[1,1,K]`.
    mean: Tensor<B, 3>,
    /// The variance about the mean, `[1,1,K]`, if the penalty depends on it.
    variance: Option<Tensor<B, 3>>,
    /// The covariance, `[1,K,K]`, if the penalty depends on it.
    covariance: Option<Tensor<B, 3>>,
    /// Number of samples.
    samples: f64,
}

impl<B: Backend> Statistic<B> {
    /// Wraps the mean of a scalar, `[1]`, over this many samples.
    pub fn of_one(mean: Tensor<B, 1>, samples: f64) -> Self {
        Self::of_means(mean.reshape([1, 1, 1]), samples)
    }

    /// Wraps means `[1,1,K]` over this many samples.
    fn of_means(mean: Tensor<B, 3>, samples: f64) -> Self {
        Self {
            mean,
            variance: None,
            covariance: None,
            samples,
        }
    }

    /// Unwraps the mean of a scalar, `[1]`.
    pub fn one(self) -> Tensor<B, 1> {
        self.mean.reshape([1])
    }

    /// Returns true if all entries are finite.
    pub fn is_finite(&self) -> bool {
        let spread = self.variance.iter().chain(&self.covariance);
        let mut all = std::iter::once(&self.mean).chain(spread);
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
        let join = |own: Tensor<B, 3>, other: Tensor<B, 3>, products: Tensor<B, 3>| {
            own.clone() + (other - own) * part + products * (part * (1.0 - part))
        };
        let squares = || change.clone().square();
        let products = || change.clone().swap_dims(1, 2).matmul(change.clone());
        let variances = self.variance.zip(other.variance);
        let covariances = self.covariance.zip(other.covariance);
        Self {
            variance: variances.map(|(own, other)| join(own, other, squares())),
            covariance: covariances.map(|(own, other)| join(own, other, products())),
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
    Statistic::of_means(sums.unsqueeze() / batch.within_sum, batch.within_sum)
}

/// Computes `mu_i`, the mean rate of each unit.
pub(crate) fn unit_rates<B: Backend>(rates: Tensor<B, 3>, batch: &Batch<B>) -> Statistic<B> {
    Statistic::of_means(unit_means(rates, batch), batch.within_sum)
}

/// Computes `mean_i (mu_i - rate)^2`, `[1]`.
pub(crate) fn rate_target<B: Backend>(of_units: Statistic<B>, rate: f64) -> Tensor<B, 1> {
    (of_units.mean - rate).square().mean()
}

/// Computes `mean_i [ max(0, at_least - mu_i)^2 + max(0, mu_i - at_most)^2 ]`, `[1]`.
pub(crate) fn rate_range<B: Backend>(of_units: Statistic<B>, range: &RangePenalty) -> Tensor<B, 1> {
    beyond(of_units.mean, range, |_| 1.0).mean()
}

/// Computes `mean_i [ max(0, at_least - s_i)^2 + max(0, s_i - at_most)^2 ]` with `s_i = sum_j |W_ij|`, `[1]`.
pub(crate) fn in_degree<B: Backend>(weights: Tensor<B, 2>, range: &RangePenalty) -> Tensor<B, 1> {
    beyond(weights.abs().sum_dim(1), range, |_| 1.0).mean()
}

/// Computes the square of the distance of each entry from a range, in units that `unit` gives for each bound; 0 within the range.
fn beyond<B: Backend, const D: usize>(
    values: Tensor<B, D>,
    range: &RangePenalty,
    unit: impl Fn(f64) -> f64,
) -> Tensor<B, D> {
    let below = (range.at_least).map(|bound| (-values.clone() + bound) / unit(bound));
    let above = (range.at_most).map(|bound| (values.clone() - bound) / unit(bound));
    let squares = below.into_iter().chain(above);
    let squares = squares.map(|distance| distance.clamp_min(0.0).square());
    let sum = squares.reduce(|below, above| below + above);
    sum.unwrap_or_else(|| values.zeros_like())
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

/// Computes [`rate_entropy`] from the sum of the entropies of all trials and times.
pub(crate) fn rate_entropy_of_sum<B: Backend>(sum: Tensor<B, 1>, batch: &Batch<B>) -> Statistic<B> {
    Statistic::of_one(sum / batch.within_sum, batch.within_sum)
}

/// Computes the mean rate of each unit, and the covariance of the rates; the mean from the sums of the rates where the pass has them.
pub(crate) fn covariance<B: FusedOps>(
    rates: Tensor<B, 3>,
    sums: Option<RateSums<Tensor<B, 1>>>,
    batch: &Batch<B>,
) -> Statistic<B> {
    // The covariance has no slope in the mean, since deviations sum to 0.
    let mean = match sums {
        Some(sums) => sums.rates.detach().unsqueeze() / batch.within_sum,
        None => unit_means(rates.clone().detach(), batch),
    };
    let moments = B::second_moments(rates, mean.clone(), batch.within.clone());
    let covariance = moments / batch.within_sum;
    Statistic {
        covariance: Some(covariance.unsqueeze()),
        ..Statistic::of_means(mean, batch.within_sum)
    }
}

/// Computes `max(0, 1 - PR / at_least)^2 + max(0, PR / at_most - 1)^2` with the participation ratio `PR`, `[1]`.
pub(crate) fn participation<B: Backend>(
    moments: Statistic<B>,
    range: &RangePenalty,
) -> Tensor<B, 1> {
    let covariance = moments.covariance.expect("moments have a covariance");
    let ratio = participation_ratio(covariance.squeeze_dim::<2>(0));
    beyond(ratio, range, |bound| bound)
}

/// Computes the participation ratio `(tr C)^2 / tr C^2` of a covariance `[N,N]`, which may have any factor, `[1]`; 0 if no rate changes.
///
/// # References
/// Gao et al. (2017), A theory of multineuronal dimensionality, dynamics and measurement.
pub(crate) fn participation_ratio<B: Backend>(covariance: Tensor<B, 2>) -> Tensor<B, 1> {
    let [units, _] = covariance.dims();
    let diagonal = (0..units * units).map(|k| f32::from(u8::from(k % (units + 1) == 0)));
    let diagonal = TensorData::new(diagonal.collect(), [units, units]);
    let diagonal = host_tensor(diagonal, &covariance.device());
    let trace = (covariance.clone() * diagonal).sum();
    // Divided by the trace first: squares of small variances are 0 in single precision.
    let size = trace.clone().clamp_min(TINY);
    let shares = covariance / size.clone().unsqueeze::<2>();
    (trace / size).square() / shares.square().sum().clamp_min(TINY)
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
        variance: Some(unit_means(deviation.square(), batch)),
        ..Statistic::of_means(mean, batch.within_sum)
    }
}

/// Computes [`group_moments`] from the sums of the units; the rates give the variance its value, and have no gradient of their own.
///
/// The gradient in a rate is a constant plus a multiple of the rate, that of the sums of rates and squares. The difference of these sums
/// would be the variance too, but for rounding where it is much smaller than the square of the mean.
pub(crate) fn group_moments_of_sums<B: FusedOps>(
    sums: RateSums<Tensor<B, 1>>,
    rates: Tensor<B, 3>,
    batch: &Batch<B>,
    groups: &PopulationKl,
) -> Statistic<B> {
    let mean = sums.rates.unsqueeze::<3>() / batch.within_sum;
    let variance = sums.squares.unsqueeze::<3>() / batch.within_sum - mean.clone().square();
    let exact = B::squared_deviations(rates, mean.clone(), batch.within.clone());
    let variance = variance.clone() + (exact / batch.within_sum - variance.detach());
    let both = |of_units: Tensor<B, 3>| {
        let group = |[from, to]: [usize; 2]| of_units.clone().narrow(2, from, to - from);
        Tensor::cat(vec![group(groups.first), group(groups.second)], 2)
    };
    Statistic {
        variance: Some(both(variance)),
        ..Statistic::of_means(both(mean), batch.within_sum)
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
///
/// With the sign `s_b` of each mean over time, it is a linear function of the weights and of second moments of the rates,
/// `sum_ij W_ij sum_bt s_b / (B T_b) r_i r_j`.
pub(crate) fn hebbian<B: FusedOps>(
    rates: Tensor<B, 3>,
    weights: Tensor<B, 2>,
    batch: &Batch<B>,
) -> Statistic<B> {
    let [_, trials, units] = rates.dims();
    let within = batch.within.clone();
    let products = B::quadratic_forms(rates.clone(), weights.clone());
    let signs = (products * within.clone()).sum_dim(0).sign();
    let lengths = within.clone().sum_dim(0) * trials as f64; // [1,B,1]
    let no_mean = TensorData::zeros::<f32, _>([1, 1, units]);
    let no_mean = host_tensor(no_mean, &rates.device());
    let moments = B::second_moments(rates, no_mean, within * (signs / lengths));
    Statistic::of_one((weights * moments).sum(), trials as f64)
}

/// Computes `mean (r(t + lag) - r(t))^2` over trials, units and those times t for which `t + lag` is within the trial;
/// 0 if there are no such times.
pub(crate) fn state_prediction<B: Backend>(
    rates: Tensor<B, 3>,
    batch: &Batch<B>,
    lag: usize,
) -> Statistic<B> {
    let [steps, _, units] = rates.dims();
    if steps <= lag {
        return state_prediction_of_sum(rates.sum() * 0.0, batch, lag, units);
    }
    let pairs = steps - lag;
    let later = rates.clone().narrow(0, lag, pairs);
    let change = (later - rates.narrow(0, 0, pairs)).square();
    let within = batch.within.clone().narrow(0, lag, pairs);
    state_prediction_of_sum((change * within).sum(), batch, lag, units)
}

/// Computes [`state_prediction`] from the sum of the squared changes of all trials, times and units.
pub(crate) fn state_prediction_of_sum<B: Backend>(
    sum: Tensor<B, 1>,
    batch: &Batch<B>,
    lag: usize,
    units: usize,
) -> Statistic<B> {
    let pairs = |n_steps: &usize| n_steps.saturating_sub(lag);
    let samples: usize = batch.n_steps.iter().map(pairs).sum();
    Statistic::of_one(sum / (samples * units).max(1) as f64, samples as f64)
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
