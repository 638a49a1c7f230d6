//! Penalties on firing rates and weights, each a function of tensors that may or may not be tracked.
//!
//! Rates are time-major `[T,B,N]`; padding never counts.

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

use crate::batch::Batch;
use crate::loss_config::{PopulationKl, Spread};

/// Keeps logarithms, roots and quotients of silent units finite.
const TINY: f64 = 1e-12;

/// `mean |r|`, `[1]`.
pub(crate) fn rate_l1<B: Backend>(rates: Tensor<B, 3>, batch: &Batch<B>) -> Tensor<B, 1> {
    mean(rates.abs(), batch)
}

/// `mean r^2`, `[1]`.
pub(crate) fn rate_l2<B: Backend>(rates: Tensor<B, 3>, batch: &Batch<B>) -> Tensor<B, 1> {
    mean(rates.square(), batch)
}

/// `mean_i (mu_i - rate)^2`, `[1]`.
pub(crate) fn rate_target<B: Backend>(
    rates: Tensor<B, 3>,
    batch: &Batch<B>,
    rate: f64,
) -> Tensor<B, 1> {
    (unit_means(rates, batch) - rate).square().mean()
}

/// The spread of the units' mean rates, `[1]`.
pub(crate) fn rate_spread<B: Backend>(
    rates: Tensor<B, 3>,
    batch: &Batch<B>,
    measure: Spread,
) -> Tensor<B, 1> {
    let of_units = unit_means(rates, batch);
    let mean = of_units.clone().mean_dim(2);
    let deviation = of_units - mean.clone();
    let sd = |deviation: Tensor<B, 3>| (deviation.square().mean() + TINY).sqrt();
    match measure {
        Spread::Sd => sd(deviation),
        Spread::Cv => sd(deviation) / (mean.reshape([1]).abs() + TINY),
        Spread::MeanAd => deviation.abs().mean(),
        Spread::MaxAd => deviation.abs().max(),
    }
}

/// `- sum_i p_i log p_i` with `p_i = |r_i| / sum_j |r_j|`, averaged over trials and times, `[1]`; 0 where all are silent.
pub(crate) fn rate_entropy<B: Backend>(rates: Tensor<B, 3>, batch: &Batch<B>) -> Tensor<B, 1> {
    let size = rates.abs();
    let p = size.clone() / (size.sum_dim(2) + TINY);
    let entropy = -(p.clone() * (p + TINY).log()).sum_dim(2); // [T,B,1]
    within(entropy, batch).sum() / batch.within_sum
}

/// `mean_k KL_k` between two groups of units (formula at [`PopulationKl`]), `[1]`.
pub(crate) fn population_kl<B: Backend>(
    rates: Tensor<B, 3>,
    batch: &Batch<B>,
    groups: &PopulationKl,
) -> Tensor<B, 1> {
    let moments = |[from, to]: [usize; 2]| {
        let group = rates.clone().narrow(2, from, to - from);
        let mean = unit_means(group.clone(), batch);
        let deviation = group - mean.clone();
        (mean, unit_means(deviation.square(), batch) + TINY)
    };
    let ((mean_a, v), (mean_b, w)) = (moments(groups.first), moments(groups.second));
    let d = (mean_a - mean_b).square();
    let both = (v.clone() + d.clone()) / w.clone() + (w + d) / v - 2.0;
    both.mean() / 4.0
}

/// `mean_b | mean_t r^T W r |` over trials b and their times t, `[1]`; `weights [N,N]`.
pub(crate) fn hebbian<B: Backend>(
    rates: Tensor<B, 3>,
    weights: Tensor<B, 2>,
    batch: &Batch<B>,
) -> Tensor<B, 1> {
    let [steps, trials, units] = rates.dims();
    let rows = rates.reshape([steps * trials, units]);
    let drive = rows.clone().matmul(weights.transpose());
    let products = (rows * drive).sum_dim(1).reshape([steps, trials, 1]);
    let lengths = batch.within.clone().sum_dim(0); // [1,B,1]
    let by_trial = (products * batch.within.clone()).sum_dim(0) / lengths;
    by_trial.abs().mean()
}

/// `mean (r(t + lag) - r(t))^2` over trials, units and the times t of which `t + lag` is within the trial, `[1]`; 0 where
/// there is no such time.
pub(crate) fn state_prediction<B: Backend>(
    rates: Tensor<B, 3>,
    batch: &Batch<B>,
    lag: usize,
) -> Tensor<B, 1> {
    let [steps, _, units] = rates.dims();
    let Some(pairs) = steps.checked_sub(lag).filter(|&pairs| pairs > 0) else {
        return rates.sum() * 0.0;
    };
    let later = rates.clone().narrow(0, lag, pairs);
    let change = (later - rates.narrow(0, 0, pairs)).square();
    let within = batch.within.clone().narrow(0, lag, pairs);
    let samples = within.clone().sum().clamp_min(1.0) * units as f64;
    (change * within).sum() / samples
}

/// `mean |W|`, `[1]`; 0 of a matrix without entries.
pub(crate) fn weight_l1<B: Backend>(weights: Tensor<B, 2>) -> Tensor<B, 1> {
    let n = weights.shape().num_elements().max(1);
    weights.abs().sum() / n as f64
}

/// `mean W^2`, `[1]`; 0 of a matrix without entries.
pub(crate) fn weight_l2<B: Backend>(weights: Tensor<B, 2>) -> Tensor<B, 1> {
    let n = weights.shape().num_elements().max(1);
    weights.square().sum() / n as f64
}

/// The mean over everything within the trials, `[1]`.
fn mean<B: Backend>(values: Tensor<B, 3>, batch: &Batch<B>) -> Tensor<B, 1> {
    let [_, _, units] = values.dims();
    within(values, batch).sum() / (batch.within_sum * units as f64)
}

/// The mean of each unit over trials and times, `[1,1,N]`.
fn unit_means<B: Backend>(values: Tensor<B, 3>, batch: &Batch<B>) -> Tensor<B, 3> {
    let sums = within(values, batch).sum_dim(0).sum_dim(1);
    sums / batch.within_sum
}

/// The values with zeros in the padding.
fn within<B: Backend>(values: Tensor<B, 3>, batch: &Batch<B>) -> Tensor<B, 3> {
    match batch.is_padded() {
        true => values * batch.within.clone(),
        false => values,
    }
}
