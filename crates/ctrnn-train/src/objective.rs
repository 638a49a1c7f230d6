//! The objective that training minimises: a loss of the readout, penalties, and custom terms added by a program.

mod chosen;
pub mod config;
mod inputs;
pub(crate) mod loss;
mod part;
pub(crate) mod penalty;
pub(crate) mod unit_rates;
mod vanishing_gradient;

use std::sync::Arc;

use burn::tensor::backend::AutodiffBackend;
use burn::tensor::{ElementConversion, Tensor, TensorData};
use ctrnn_model::{
    CtrnnConfig, CtrnnModule, Forward, FusedOmega, Record, RecurrenceBackend, TrainingBackend,
    Trajectory, Weights, host_tensor,
};

use crate::TrainError;
use crate::batch::Batch;
use crate::gradients::Gradients;
use crate::objective::config::{Loss, Normalisation, Omega};
pub(crate) use chosen::Chosen;
pub use inputs::LossInputs;
pub use part::Part;
pub use penalty::Penalty;

use crate::objective::unit_rates::FittedRates;
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
    /// Names of the terms that yield to the task: the gradient of their sum loses its component against the gradient of the loss.
    pub yielding: Vec<String>,
}

impl From<Loss> for Objective {
    /// Returns an objective without penalties.
    fn from(loss: Loss) -> Self {
        Self {
            loss,
            normalisation: Normalisation::default(),
            penalties: Vec::new(),
            omega: None,
            yielding: Vec::new(),
        }
    }
}

/// The name of the vanishing-gradient penalty.
const OMEGA: &str = "omega";

impl Objective {
    /// Returns the names of the terms in training, in order; empty if the loss is the only term.
    pub fn term_names(&self) -> Vec<String> {
        let penalties = self.penalties.iter().map(Penalty::name);
        let omega = self.omega.map(|_| OMEGA.to_owned());
        let further: Vec<_> = penalties.chain(omega).collect();
        if further.is_empty() {
            Vec::new()
        } else {
            let loss = self.loss.name().to_owned();
            std::iter::once(loss).chain(further).collect()
        }
    }

    /// Returns the names of the terms in training together with those of custom terms; empty if the loss is the only term.
    pub fn term_names_with<'n>(&self, custom: impl Iterator<Item = &'n str>) -> Vec<String> {
        self.joined(self.term_names(), custom)
    }

    /// Appends the names of custom terms to those of its own terms.
    fn joined<'n>(
        &self,
        mut names: Vec<String>,
        custom: impl Iterator<Item = &'n str>,
    ) -> Vec<String> {
        for name in custom {
            if names.is_empty() {
                names.push(self.loss.name().to_owned());
            }
            names.push(name.to_owned());
        }
        names
    }

    /// Returns the names of the terms that an evaluation measures: all except the vanishing-gradient penalty.
    pub(crate) fn measured_names(&self) -> Vec<String> {
        let mut names = self.term_names();
        names.retain(|name| name != OMEGA);
        names
    }

    /// Returns the quantities that a forward pass must record for the penalties.
    pub fn record(&self) -> Record {
        record(self.penalties.iter())
    }

    /// Returns true if the penalties need no more of the rates than their sums over trials and time steps.
    pub fn sums_suffice(&self) -> bool {
        sums_suffice(self.penalties.iter())
    }

    /// Returns the number of arrays as large as all rates that the penalties take besides the trajectory, in a training step on the CPU.
    pub fn arrays_of_rates(&self) -> f64 {
        let arrays = self.penalties.iter().map(Penalty::arrays_of_rates);
        arrays.fold(0.0, f64::max)
    }

    /// Returns true if sweeps compute the vanishing-gradient penalty on their way: the recurrent matrix is a parameter of its own. Custom
    /// terms may depend on the readout, whose gradient is to be that of the loss alone, and are not known here.
    pub fn fuses_omega(&self, network: &CtrnnConfig) -> bool {
        self.omega.is_some() && network.low_rank.is_none() && network.feedback.is_none()
    }

    /// Returns the names of the terms that are not sums over time steps and trials, so that they cannot be computed in parts of a batch.
    pub fn indivisible(&self) -> Vec<String> {
        let penalties = self.penalties.iter().filter(|penalty| !penalty.is_sum());
        let omega = self.omega.map(|_| OMEGA.to_owned());
        penalties.map(Penalty::name).chain(omega).collect()
    }

    /// Returns the term that fits rates to recordings, if there is one.
    pub(crate) fn fitted_rates(&self) -> Option<&FittedRates> {
        self.penalties.iter().find_map(|penalty| match penalty {
            Penalty::UnitRates(fitted) => Some(fitted),
            _ => None,
        })
    }

    /// Returns true if a term depends on the weights at step 0 and does not have them yet.
    pub fn needs_initial_weights(&self) -> bool {
        let needs = |penalty: &Penalty| matches!(penalty.initial_weights(), Some(None));
        self.penalties.iter().any(needs)
    }

    /// Supplies `weights` as initial values to the deviation penalties that have none yet.
    #[must_use]
    pub fn measured_from(mut self, weights: &Weights) -> Self {
        let weights = Arc::new(weights.clone());
        for penalty in &mut self.penalties {
            if let Some(from) = penalty.initial_weights_mut() {
                from.get_or_insert_with(|| Arc::clone(&weights));
            }
        }
        self
    }
}

/// Returns the quantities that a forward pass must record for some penalties.
fn record<'p>(mut penalties: impl Iterator<Item = &'p Penalty>) -> Record {
    if penalties.any(Penalty::needs_rates) {
        Record::RATES
    } else {
        Record::OUTPUTS
    }
}

/// Returns true if some penalties need no more of the rates than their sums over trials and time steps.
fn sums_suffice<'p>(mut penalties: impl Iterator<Item = &'p Penalty>) -> bool {
    penalties.all(|penalty| penalty.is_of_rate_sums() || !penalty.needs_rates())
}

/// A custom term of the objective, added by a program: maps inputs to a tensor `[1]`.
pub(crate) type CustomTerm<'a, B> =
    Box<dyn Fn(&LossInputs<B>) -> Result<Tensor<B, 1>, TrainError> + 'a>;

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
        self.objective.term_names_with(self.custom_names())
    }

    /// Returns the names of the terms that a validation measures.
    pub fn measured_names(&self) -> Vec<String> {
        let measured = self.objective.measured_names();
        self.objective.joined(measured, self.custom_names())
    }

    fn custom_names(&self) -> impl Iterator<Item = &str> {
        self.custom.iter().map(|(name, _)| name.as_str())
    }

    /// Returns the choice of all terms.
    pub fn all(&self) -> Chosen {
        Chosen::new(self.n_terms(), |_| true)
    }

    /// Returns the choice of one term.
    pub fn only(&self, number: usize) -> Chosen {
        Chosen::new(self.n_terms(), |other| other == number)
    }

    /// Returns the loss, the terms that yield to it, and the other ones, if there are terms that yield.
    pub fn divided(&self) -> Option<[Chosen; 3]> {
        let names = self.term_names();
        let yielding = &self.objective.yielding;
        let yields = |number: usize| number > 0 && yielding.contains(&names[number]);
        let of = |is_chosen: &dyn Fn(usize) -> bool| Chosen::new(self.n_terms(), is_chosen);
        let [loss, yielding] = [of(&|number| number == 0), of(&yields)];
        let others = of(&|number| number > 0 && !yields(number));
        (!yielding.is_empty()).then_some([loss, yielding, others])
    }

    fn n_terms(&self) -> usize {
        self.number_of_custom() + self.custom.len()
    }

    /// Returns the number of the first custom term, which follows the loss, the penalties and the vanishing-gradient penalty.
    fn number_of_custom(&self) -> usize {
        1 + self.objective.penalties.len() + usize::from(self.objective.omega.is_some())
    }

    fn chosen_penalties(&self, chosen: &Chosen) -> impl Iterator<Item = &Penalty> {
        let numbered = (1..).zip(&self.objective.penalties);
        let own = numbered.filter(|(number, _)| chosen.has(*number));
        own.map(|(_, penalty)| penalty)
    }

    fn has_custom(&self, chosen: &Chosen) -> bool {
        (self.number_of_custom()..self.n_terms()).any(|number| chosen.has(number))
    }

    /// Returns the quantities that a forward pass must record for all terms.
    pub fn record(&self) -> Record {
        self.record_of(&self.all())
    }

    /// Returns the quantities that a forward pass must record for some terms.
    pub fn record_of(&self, chosen: &Chosen) -> Record {
        if self.has_custom(chosen) {
            return Record::RATES; // a custom term may read the rates
        }
        record(self.chosen_penalties(chosen))
    }

    /// Returns true if some terms depend on more than the weights, or on a pass of their own.
    pub fn needs_pass(&self, chosen: &Chosen) -> bool {
        chosen.has(0) || self.record_of(chosen).rates
    }

    /// Computes the custom terms for a batch outside of training.
    ///
    /// # Errors
    /// If a term cannot be computed.
    pub fn custom_values(
        &self,
        network: &CtrnnModule<B>,
        trajectory: &Trajectory<B::InnerBackend>,
        batch: &Batch<B::InnerBackend>,
    ) -> Result<Vec<f64>, TrainError> {
        if self.custom.is_empty() {
            return Ok(Vec::new());
        }
        let trajectory = untracked(trajectory);
        let batch = Batch::from_inner(batch);
        let inputs = LossInputs::new(network, trajectory, &batch);
        self.custom
            .iter()
            .map(|(_, term)| Ok(term(&inputs)?.into_scalar().elem()))
            .collect()
    }
}

impl<B: AutodiffBackend + RecurrenceBackend> Minimised<'_, B> {
    /// Returns the pass for some terms with those that its sweeps compute on their way, if they can: sums and terms of the rates, in place
    /// of the rates where these suffice, and the vanishing-gradient penalty, whose value is complete after the backward pass of the loss
    /// ([`Evaluated::completed`]). Without perturbations and with every trial ending at its own length.
    pub fn fused(
        &self,
        network: &CtrnnModule<B>,
        mut pass: Forward<B>,
        chosen: &Chosen,
    ) -> Forward<B> {
        if !B::fuses_terms() || self.has_custom(chosen) {
            return pass;
        }
        let objective = &self.objective;
        if pass.record.rates {
            let penalties = || self.chosen_penalties(chosen);
            let needs_all = |p: &Penalty| p.needs_rates() && !p.needs_no_more_than_sums();
            pass.record.rates = penalties().any(needs_all);
            pass.record.rate_sums = penalties().any(Penalty::uses_rate_sums);
            pass.rate_terms = penalties().filter_map(Penalty::rate_term).collect();
        }
        let number = 1 + objective.penalties.len();
        if objective.fuses_omega(network.config()) && chosen.has(0) && chosen.has(number) {
            pass.omega = (objective.omega).map(|omega| FusedOmega::new(omega.term()));
        }
        pass
    }

    /// Computes the objective of a batch, given the `trajectory` of its forward pass `forward`; without the vanishing-gradient penalty
    /// where the backward pass computes it.
    ///
    /// # Errors
    /// If a custom term cannot be computed.
    pub fn of(
        &self,
        network: &CtrnnModule<B>,
        forward: &Forward<B>,
        trajectory: &Trajectory<B>,
        batch: &Batch<B>,
    ) -> Result<Evaluated<B>, TrainError> {
        self.of_chosen(network, forward, trajectory, batch, &self.all())
    }

    /// Computes some terms of the objective of a batch, as [`Minimised::of`]; the other ones are 0.
    ///
    /// # Errors
    /// If a custom term cannot be computed.
    pub fn of_chosen(
        &self,
        network: &CtrnnModule<B>,
        forward: &Forward<B>,
        trajectory: &Trajectory<B>,
        batch: &Batch<B>,
        chosen: &Chosen,
    ) -> Result<Evaluated<B>, TrainError> {
        let Objective {
            loss,
            normalisation,
            penalties,
            omega,
            ..
        } = &self.objective;
        let nonlinearity = network.config().output_nonlinearity;
        let loss = |outputs| loss.averaged(*normalisation, loss.seen(nonlinearity, outputs), batch);
        let inputs = LossInputs::new(network, trajectory.clone(), batch)
            .in_training()
            .with_rate_terms(forward.rate_terms.clone());
        let mut terms = Terms::new(network, chosen);
        terms.add(|| loss(inputs.outputs.clone()));
        for penalty in penalties {
            terms.add(|| penalty.value(&inputs));
        }
        if let Some(omega) = omega.filter(|_| forward.omega.is_none()) {
            terms.add(|| {
                let at = Sensitivity::of(network, forward, batch, loss);
                vanishing_gradient::omega(&omega, &inputs, &at)
            });
        }
        for (_, term) in &self.custom {
            terms.try_add(|| term(&inputs))?;
        }
        Ok(Evaluated::of(terms.values))
    }

    /// Computes the contribution of a part of a batch to some terms of an objective that are sums ([`Objective::indivisible`]); penalties
    /// on weights belong to the first part.
    pub fn of_part(
        &self,
        network: &CtrnnModule<B>,
        trajectory: Trajectory<B>,
        part: &Batch<B>,
        is_first: bool,
        chosen: &Chosen,
    ) -> Evaluated<B> {
        let Objective {
            loss,
            normalisation,
            penalties,
            ..
        } = &self.objective;
        let nonlinearity = network.config().output_nonlinearity;
        let inputs = LossInputs::new(network, trajectory, part);
        let mut terms = Terms::new(network, chosen);
        terms.add(|| {
            let seen = loss.seen(nonlinearity, inputs.outputs.clone());
            loss.averaged(*normalisation, seen, part)
        });
        for penalty in penalties {
            terms.add(|| {
                if is_first || penalty.needs_rates() {
                    penalty.value(&inputs)
                } else {
                    zero(network)
                }
            });
        }
        Evaluated::of(terms.values)
    }
}

/// Values of terms of an objective, in the order of their names, where terms that are not chosen are 0.
struct Terms<'a, B: AutodiffBackend> {
    network: &'a CtrnnModule<B>,
    chosen: &'a Chosen,
    values: Vec<Tensor<B, 1>>,
}

impl<'a, B: AutodiffBackend + RecurrenceBackend> Terms<'a, B> {
    const fn new(network: &'a CtrnnModule<B>, chosen: &'a Chosen) -> Self {
        Self {
            network,
            chosen,
            values: Vec::new(),
        }
    }

    /// Adds the next term, whose value is computed if it is chosen.
    fn add(&mut self, value: impl FnOnce() -> Tensor<B, 1>) {
        let added = self.try_add(|| Ok(value()));
        added.expect("the value cannot fail");
    }

    fn try_add(
        &mut self,
        value: impl FnOnce() -> Result<Tensor<B, 1>, TrainError>,
    ) -> Result<(), TrainError> {
        let is_chosen = self.chosen.has(self.values.len());
        self.values.push(if is_chosen {
            value()?
        } else {
            zero(self.network)
        });
        Ok(())
    }
}

fn zero<B: RecurrenceBackend>(network: &CtrnnModule<B>) -> Tensor<B, 1> {
    host_tensor(TensorData::new(vec![0.0], [1]), &network.device())
}

/// Returns outputs, rates and final states of a pass without gradients.
fn untracked<B: AutodiffBackend>(of: &Trajectory<B::InnerBackend>) -> Trajectory<B> {
    Trajectory {
        outputs: Tensor::from_inner(of.outputs.clone()),
        rates: of.rates.clone().map(Tensor::from_inner),
        potentials: None,
        utilisation: None,
        resources: None,
        rate_sums: of
            .rate_sums
            .clone()
            .map(|sums| sums.map(Tensor::from_inner)),
        final_state: of.final_state.clone().map(Tensor::from_inner),
        below: of.below.iter().map(untracked).collect(),
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

    /// Adds the value of a penalty that the backward pass has computed.
    #[must_use]
    pub fn completed(mut self, omega: Option<&FusedOmega>) -> Self {
        let Some(omega) = omega.and_then(FusedOmega::value) else {
            return self;
        };
        let value = self.value.detach();
        if self.terms.is_empty() {
            self.terms.push(value.clone().inner());
        }
        let term = host_tensor(TensorData::new(vec![omega], [1]), &value.device());
        self.terms.push(term);
        self.value = value + omega;
        self
    }

    /// Adds the value of another part of the batch, without their history.
    pub fn plus(self, other: Self) -> Self {
        let terms = self.terms.into_iter().zip(other.terms);
        Self {
            value: self.value.detach() + other.value.detach(),
            terms: terms.map(|(own, other)| own + other).collect(),
        }
    }

    /// Computes the gradient of the objective with respect to the parameters.
    pub fn gradients(&self, network: &CtrnnModule<B>) -> Gradients<B::InnerBackend>
    where
        B: TrainingBackend,
    {
        Gradients::of(network, self.value.backward())
    }
}

#[cfg(test)]
mod tests;
