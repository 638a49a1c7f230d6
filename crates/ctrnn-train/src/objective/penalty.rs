//! The penalties: their list, and the value of each with its coefficient. Their formulas are in `formulas.rs`.

mod formulas;

use std::sync::Arc;

use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use ctrnn_model::{CtrnnModule, Matrix, Weights, host_tensor, layer_prefix};

use crate::objective::config::{LossConfig, On, PerMatrix, PopulationKl, RateSpread, RateTarget};
use crate::objective::inputs::LossInputs;
pub(crate) use formulas::Statistic;

/// A penalty with its coefficient; for the formulas, see the fields of [`LossConfig`].
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the names are those of the keys")]
pub enum Penalty {
    WeightL1(PerMatrix),
    WeightL2(PerMatrix),
    /// The coefficients, and the weights at step 0; `None` until [`measured_from`](super::Objective::measured_from) supplies them.
    WeightDeviation(PerMatrix, Option<Arc<Weights>>),
    RateL1(f64),
    RateL2(f64),
    RateTarget(RateTarget),
    RateSpread(RateSpread),
    RateEntropy(f64),
    PopulationKl(PopulationKl),
    Hebbian(f64),
    /// The coefficient, and the lag in time steps.
    StatePrediction(f64, usize),
}

impl LossConfig {
    /// Returns the penalties that are set, in the order of the fields; `lag` is that of `state_prediction` in time
    /// steps.
    pub fn penalties(&self, lag: usize) -> Vec<Penalty> {
        [
            self.weight_l1.map(Penalty::WeightL1),
            self.weight_l2.map(Penalty::WeightL2),
            self.weight_deviation
                .map(|c| Penalty::WeightDeviation(c, None)),
            self.rate_l1.map(Penalty::RateL1),
            self.rate_l2.map(Penalty::RateL2),
            self.rate_target.map(Penalty::RateTarget),
            self.rate_spread.map(Penalty::RateSpread),
            self.rate_entropy.map(Penalty::RateEntropy),
            self.population_kl.map(Penalty::PopulationKl),
            self.hebbian.map(Penalty::Hebbian),
            self.state_prediction
                .map(|p| Penalty::StatePrediction(p.weight, lag)),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

impl Penalty {
    /// Returns the key of the penalty in configurations.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::WeightL1(_) => "weight_l1",
            Self::WeightL2(_) => "weight_l2",
            Self::WeightDeviation(..) => "weight_deviation",
            Self::RateL1(_) => "rate_l1",
            Self::RateL2(_) => "rate_l2",
            Self::RateTarget(_) => "rate_target",
            Self::RateSpread(_) => "rate_spread",
            Self::RateEntropy(_) => "rate_entropy",
            Self::PopulationKl(_) => "population_kl",
            Self::Hebbian(_) => "hebbian",
            Self::StatePrediction(..) => "state_prediction",
        }
    }

    /// Returns true if the penalty depends on the rates of a pass.
    pub(crate) const fn needs_rates(&self) -> bool {
        !matches!(
            self,
            Self::WeightL1(_) | Self::WeightL2(_) | Self::WeightDeviation(..)
        )
    }

    /// Computes the penalty times its coefficient, `[1]`.
    pub fn value<B: Backend>(&self, inputs: &LossInputs<B>) -> Tensor<B, 1> {
        self.of(self.statistics(inputs))
    }

    /// Computes the means on which the penalty depends, for each layer on which it acts: all of them, but for `population_kl`, which
    /// compares units of the last one.
    pub(crate) fn statistics<B: Backend>(&self, inputs: &LossInputs<B>) -> Vec<Statistic<B>> {
        let n_layers = inputs.network.n_layers();
        let first = match self {
            Self::PopulationKl(_) => n_layers - 1,
            _ => 0,
        };
        let layers = inputs.network.layers().enumerate().skip(first);
        let statistic = |(number, layer)| self.statistic(inputs, number, layer);
        layers.map(statistic).collect()
    }

    /// Computes the means on which the penalty of a layer depends.
    fn statistic<B: Backend>(
        &self,
        inputs: &LossInputs<B>,
        number: usize,
        layer: &CtrnnModule<B>,
    ) -> Statistic<B> {
        let batch = inputs.batch;
        let rates = || inputs.rates_of_layer(number).swap_dims(0, 1); // [T,B,N]
        let weights = |value| Statistic::of_one(value, 1.0);
        match self {
            Self::WeightL1(c) => {
                weights(by_matrix(c, number, layer, |_, w| formulas::weight_l1(w)))
            }
            Self::WeightL2(c) => {
                weights(by_matrix(c, number, layer, |_, w| formulas::weight_l2(w)))
            }
            Self::WeightDeviation(c, from) => weights(by_matrix(c, number, layer, |name, w| {
                let plain = name.strip_suffix("_raw"); // where raw and effective weights are the same
                let names = [Some(name), plain].into_iter().flatten();
                let initial = |from: &Weights| names.clone().find_map(|n| from.get(n).cloned());
                formulas::weight_l2(deviation(w, from.as_deref().and_then(initial)))
            })),
            Self::RateL1(_) => formulas::rate_l1(rates(), batch),
            Self::RateL2(_) => formulas::rate_l2(rates(), batch),
            Self::RateTarget(_) | Self::RateSpread(_) => formulas::unit_rates(rates(), batch),
            Self::RateEntropy(_) => formulas::rate_entropy(rates(), batch),
            Self::PopulationKl(groups) => formulas::group_moments(rates(), batch, groups),
            Self::Hebbian(_) => {
                formulas::hebbian(rates(), layer.effective_weights(Matrix::Recurrent), batch)
            }
            Self::StatePrediction(_, lag) => formulas::state_prediction(rates(), batch, *lag),
        }
    }

    /// Computes the penalty times its coefficient, `[1]`, from the statistics of the layers: their sum.
    pub(crate) fn of<B: Backend>(&self, layers: Vec<Statistic<B>>) -> Tensor<B, 1> {
        let all = layers.into_iter().map(|layer| self.of_layer(layer));
        all.reduce(|sum, layer| sum + layer)
            .expect("a network has a layer")
    }

    fn of_layer<B: Backend>(&self, statistic: Statistic<B>) -> Tensor<B, 1> {
        match self {
            Self::WeightL1(_) | Self::WeightL2(_) | Self::WeightDeviation(..) => statistic.one(),
            Self::RateL1(c)
            | Self::RateL2(c)
            | Self::RateEntropy(c)
            | Self::Hebbian(c)
            | Self::StatePrediction(c, _) => statistic.one() * *c,
            Self::RateTarget(target) => {
                formulas::rate_target(statistic, target.rate) * target.weight
            }
            Self::RateSpread(spread) => {
                formulas::rate_spread(statistic, spread.measure) * spread.weight
            }
            Self::PopulationKl(groups) => formulas::population_kl(statistic) * groups.weight,
        }
    }
}

/// Sums a function of each weight matrix of a layer, times the coefficient of the matrix. The function gets the name of the array in
/// weight files; of the raw weights of a recurrent matrix of low rank it gets one factor after the other.
fn by_matrix<B: Backend>(
    coefficients: &PerMatrix,
    number: usize,
    layer: &CtrnnModule<B>,
    of_one: impl Fn(&str, Tensor<B, 2>) -> Tensor<B, 1>,
) -> Tensor<B, 1> {
    let tensors = |matrix: Matrix| match coefficients.on {
        On::Effective => vec![(matrix.array("weight"), layer.effective_weights(matrix))],
        On::Raw => layer.raw_tensors(matrix),
    };
    let prefix = |matrix: Matrix| match matrix {
        Matrix::Output => String::new(),
        _ => layer_prefix(number),
    };
    let weighted = [
        (Matrix::Input, coefficients.input),
        (Matrix::Recurrent, coefficients.recurrent),
        (Matrix::Output, coefficients.output),
    ];
    let values = weighted
        .into_iter()
        .filter(|(_, coefficient)| *coefficient != 0.0)
        .filter(|(matrix, _)| *matrix != Matrix::Output || layer.config().n_outputs > 0)
        .flat_map(|(matrix, coefficient)| {
            let tensors = tensors(matrix).into_iter();
            let prefix = prefix(matrix);
            tensors.map(move |(name, tensor)| ((prefix.clone() + &name, tensor), coefficient))
        })
        .map(|((name, w), coefficient)| of_one(&name, w) * coefficient);
    let none = || host_tensor(TensorData::new(vec![0.0], [1]), &layer.device());
    values.reduce(|sum, value| sum + value).unwrap_or_else(none)
}

/// Returns `weights` minus their initial values. Without initial values the difference is to the weights themselves:
/// zero.
fn deviation<B: Backend>(weights: Tensor<B, 2>, initial: Option<TensorData>) -> Tensor<B, 2> {
    match initial {
        Some(initial) => {
            let initial = host_tensor(initial, &weights.device());
            weights - initial
        }
        None => weights.clone() - weights.detach(),
    }
}
