//! The objective that training minimises: a loss of the readout, penalties, and custom terms added by a program.

pub mod config;
mod inputs;
pub(crate) mod loss;
pub(crate) mod penalty;
mod vanishing_gradient;

use std::sync::Arc;

use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{ElementConversion, Tensor, TensorData};
use ctrnn_model::{
    CtrnnModule, Forward, Matrix, Record, RecurrenceBackend, Trajectory, Weights, host_tensor,
};

use crate::batch::Batch;
use crate::gradients::Gradients;
use crate::objective::config::{
    Loss, LossConfig, Normalisation, Omega, On, PerMatrix, PopulationKl, RateSpread, RateTarget,
};
pub use inputs::LossInputs;

use crate::objective::penalty::Statistic;
use crate::objective::vanishing_gradient::Sensitivity;

/// The objective: a loss and its penalties, with all settings resolved.
#[derive(Clone, Debug, PartialEq)]
pub struct Objective {
    /// The loss of the readout.
    pub loss: Loss,
    /// Normalisation of the loss.
    pub normalisation: Normalisation,
    /// Penalties added to the loss.
    pub penalties: Vec<Penalty>,
    /// The vanishing-gradient penalty, which is computed in training only.
    pub omega: Option<Omega>,
}

impl From<Loss> for Objective {
    /// Returns an objective without penalties.
    fn from(loss: Loss) -> Self {
        Self {
            loss,
            normalisation: Normalisation::default(),
            penalties: Vec::new(),
            omega: None,
        }
    }
}

/// A penalty with its coefficient; for the formulas, see the fields of [`LossConfig`].
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the names are those of the keys")]
pub enum Penalty {
    WeightL1(PerMatrix),
    WeightL2(PerMatrix),
    /// The coefficients, and the weights at step 0; `None` until [`Objective::measured_from`] supplies them.
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

/// The name of the vanishing-gradient penalty.
const OMEGA: &str = "omega";

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

    const fn needs_rates(&self) -> bool {
        !matches!(
            self,
            Self::WeightL1(_) | Self::WeightL2(_) | Self::WeightDeviation(..)
        )
    }

    /// Computes the penalty times its coefficient, `[1]`.
    pub fn value<B: Backend>(&self, inputs: &LossInputs<B>) -> Tensor<B, 1> {
        self.of(self.statistic(inputs))
    }

    /// Computes the means on which the penalty depends.
    pub(crate) fn statistic<B: Backend>(&self, inputs: &LossInputs<B>) -> Statistic<B> {
        let batch = inputs.batch;
        let rates = || inputs.rates().swap_dims(0, 1); // [T,B,N]
        let weights = |value| Statistic::of_one(value, 1.0);
        match self {
            Self::WeightL1(c) => {
                weights(by_matrix(c, inputs.network, |_, w| penalty::weight_l1(w)))
            }
            Self::WeightL2(c) => {
                weights(by_matrix(c, inputs.network, |_, w| penalty::weight_l2(w)))
            }
            Self::WeightDeviation(c, from) => weights(by_matrix(c, inputs.network, |matrix, w| {
                let names = match c.on {
                    On::Effective => &["weight"][..],
                    On::Raw => &["weight_raw", "weight"],
                };
                let arrays = names.iter().map(|name| matrix.array(name));
                let initial = |from: &Weights| arrays.clone().find_map(|a| from.get(&a).cloned());
                penalty::weight_l2(deviation(w, from.as_deref().and_then(initial)))
            })),
            Self::RateL1(_) => penalty::rate_l1(rates(), batch),
            Self::RateL2(_) => penalty::rate_l2(rates(), batch),
            Self::RateTarget(_) | Self::RateSpread(_) => penalty::unit_rates(rates(), batch),
            Self::RateEntropy(_) => penalty::rate_entropy(rates(), batch),
            Self::PopulationKl(groups) => penalty::group_moments(rates(), batch, groups),
            Self::Hebbian(_) => penalty::hebbian(
                rates(),
                inputs.network.effective_weights(Matrix::Recurrent),
                batch,
            ),
            Self::StatePrediction(_, lag) => penalty::state_prediction(rates(), batch, *lag),
        }
    }

    /// Computes the penalty times its coefficient, `[1]`, from its statistic.
    pub(crate) fn of<B: Backend>(&self, statistic: Statistic<B>) -> Tensor<B, 1> {
        match self {
            Self::WeightL1(_) | Self::WeightL2(_) | Self::WeightDeviation(..) => statistic.one(),
            Self::RateL1(c)
            | Self::RateL2(c)
            | Self::RateEntropy(c)
            | Self::Hebbian(c)
            | Self::StatePrediction(c, _) => statistic.one() * *c,
            Self::RateTarget(target) => {
                penalty::rate_target(statistic, target.rate) * target.weight
            }
            Self::RateSpread(spread) => {
                penalty::rate_spread(statistic, spread.measure) * spread.weight
            }
            Self::PopulationKl(groups) => penalty::population_kl(statistic) * groups.weight,
        }
    }
}

/// Sums a function of each weight matrix of a network, times the coefficient of the matrix.
fn by_matrix<B: Backend>(
    coefficients: &PerMatrix,
    network: &CtrnnModule<B>,
    of_one: impl Fn(Matrix, Tensor<B, 2>) -> Tensor<B, 1>,
) -> Tensor<B, 1> {
    let weights = |matrix| match coefficients.on {
        On::Effective => network.effective_weights(matrix),
        On::Raw => network.raw_weights(matrix),
    };
    let input = of_one(Matrix::Input, weights(Matrix::Input)) * coefficients.input;
    let recurrent = of_one(Matrix::Recurrent, weights(Matrix::Recurrent)) * coefficients.recurrent;
    let output = of_one(Matrix::Output, weights(Matrix::Output)) * coefficients.output;
    input + recurrent + output
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

impl Objective {
    /// Returns the names of the terms in training, in order; empty if the loss is the only term.
    pub fn term_names(&self) -> Vec<&'static str> {
        let penalties = self.penalties.iter().map(Penalty::name);
        let further: Vec<_> = penalties.chain(self.omega.map(|_| OMEGA)).collect();
        if further.is_empty() {
            Vec::new()
        } else {
            std::iter::once(self.loss.name()).chain(further).collect()
        }
    }

    /// Returns the names of the terms that an evaluation measures: all except the vanishing-gradient penalty.
    pub(crate) fn measured_names(&self) -> Vec<String> {
        let names = self.term_names().into_iter().filter(|&name| name != OMEGA);
        names.map(str::to_owned).collect()
    }

    /// Returns the quantities that a forward pass must record for the penalties.
    pub fn record(&self) -> Record {
        if self.penalties.iter().any(Penalty::needs_rates) {
            Record::RATES
        } else {
            Record::OUTPUTS
        }
    }

    /// Returns true if a term depends on the weights at step 0 and does not have them yet.
    pub fn needs_initial_weights(&self) -> bool {
        let needs = |penalty: &Penalty| matches!(penalty, Penalty::WeightDeviation(_, None));
        self.penalties.iter().any(needs)
    }

    /// Supplies `weights` as initial values to the deviation penalties that have none yet.
    #[must_use]
    pub fn measured_from(mut self, weights: &Weights) -> Self {
        let weights = Arc::new(weights.clone());
        for penalty in &mut self.penalties {
            if let Penalty::WeightDeviation(_, from) = penalty {
                from.get_or_insert_with(|| Arc::clone(&weights));
            }
        }
        self
    }
}

/// A custom term of the objective, added by a program: maps inputs to a tensor `[1]`.
pub(crate) type CustomTerm<'a, B> = Box<dyn Fn(&LossInputs<B>) -> Tensor<B, 1> + 'a>;

/// The objective of a trainer, with its custom terms.
pub(crate) struct Minimised<'a, B: AutodiffBackend> {
    pub objective: Objective,
    pub custom: Vec<(String, CustomTerm<'a, B>)>,
}

/// Value of the objective for one batch.
pub(crate) struct Evaluated<B: AutodiffBackend> {
    /// Sum of all terms, `[1]`.
    pub value: Tensor<B, 1>,
    /// The terms in the order of their names; empty if the loss is the only term.
    pub terms: Vec<Tensor<B::InnerBackend, 1>>,
}

impl<B: AutodiffBackend> Minimised<'_, B> {
    /// Returns the names of the terms, in order; empty if the loss is the only term.
    pub fn term_names(&self) -> Vec<String> {
        let names = self.objective.term_names().into_iter().map(str::to_owned);
        self.with_custom(names.collect())
    }

    /// Returns the names of the terms that a validation measures.
    pub fn measured_names(&self) -> Vec<String> {
        self.with_custom(self.objective.measured_names())
    }

    fn with_custom(&self, mut names: Vec<String>) -> Vec<String> {
        if names.is_empty() && !self.custom.is_empty() {
            names.push(self.objective.loss.name().to_owned());
        }
        names.extend(self.custom.iter().map(|(name, _)| name.clone()));
        names
    }

    /// Returns the quantities that a forward pass must record for the terms.
    pub fn record(&self) -> Record {
        match self.custom.as_slice() {
            [] => self.objective.record(),
            // A custom term may read the rates, so they are always recorded for it.
            _ => Record::RATES,
        }
    }

    /// Computes the custom terms for a batch outside of training.
    pub fn custom_values(
        &self,
        network: &CtrnnModule<B>,
        trajectory: &Trajectory<B::InnerBackend>,
        batch: &Batch<B::InnerBackend>,
    ) -> Vec<f64> {
        if self.custom.is_empty() {
            return Vec::new();
        }
        let trajectory = Trajectory {
            outputs: Tensor::from_inner(trajectory.outputs.clone()),
            rates: trajectory.rates.clone().map(Tensor::from_inner),
            potentials: None,
            final_state: trajectory.final_state.clone().map(Tensor::from_inner),
        };
        let batch = Batch::from_inner(batch);
        let inputs = LossInputs::new(network, trajectory, &batch);
        let value = |(_, term): &(String, CustomTerm<B>)| term(&inputs).into_scalar().elem();
        self.custom.iter().map(value).collect()
    }
}

impl<B: AutodiffBackend + RecurrenceBackend> Minimised<'_, B> {
    /// Computes the objective of a batch, given the `trajectory` of its forward pass `forward`.
    pub fn of(
        &self,
        network: &CtrnnModule<B>,
        forward: &Forward<B>,
        trajectory: &Trajectory<B>,
        batch: &Batch<B>,
    ) -> Evaluated<B> {
        let Objective {
            loss,
            normalisation,
            penalties,
            omega,
        } = &self.objective;
        let nonlinearity = network.config().output_nonlinearity;
        let loss = |outputs| loss.averaged(*normalisation, loss.seen(nonlinearity, outputs), batch);
        let inputs = LossInputs::new(network, trajectory.clone(), batch);
        let mut terms = vec![loss(inputs.outputs.clone())];
        terms.extend(penalties.iter().map(|penalty| penalty.value(&inputs)));
        if let Some(omega) = omega {
            let at = Sensitivity::of(network, forward, batch, loss);
            terms.push(vanishing_gradient::omega(omega, &inputs, &at));
        }
        terms.extend(self.custom.iter().map(|(_, term)| term(&inputs)));
        Evaluated::of(terms)
    }
}

impl<B: AutodiffBackend> Evaluated<B> {
    /// Sums the terms; the first one is the loss.
    fn of(terms: Vec<Tensor<B, 1>>) -> Self {
        let sum = terms.iter().cloned().reduce(|sum, term| sum + term);
        let alone = terms.len() == 1;
        Self {
            value: sum.expect("there is a loss"),
            terms: if alone {
                Vec::new()
            } else {
                terms.into_iter().map(Tensor::inner).collect()
            },
        }
    }

    /// Computes the gradient of the objective with respect to the parameters.
    pub fn gradients(&self, network: &CtrnnModule<B>) -> Gradients<B::InnerBackend> {
        Gradients::of(network, self.value.backward())
    }
}

#[cfg(test)]
mod tests;
