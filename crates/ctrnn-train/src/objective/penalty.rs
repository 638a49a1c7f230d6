//! The penalties: their list, and the value of each with its coefficient. Their formulas are in `formulas.rs`.

mod formulas;

use std::sync::Arc;

use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use ctrnn_model::{
    CtrnnConfig, CtrnnModule, Direction, FusedOps, Matrix, RateMeasure, RateTerm, Weights,
    host_tensor, layer_prefix,
};

use crate::objective::config::{
    AreaPenalties, LossConfig, On, PerMatrix, PopulationKl, ProjectionPenalties, RangePenalty,
    RateSpread, RateTarget,
};
use crate::objective::inputs::LossInputs;
use crate::objective::part::Part;
use crate::objective::unit_rates::FittedRates;
pub(crate) use formulas::{Statistic, participation_ratio};

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
    RateRange(RangePenalty),
    RateEntropy(f64),
    Participation(RangePenalty),
    InDegree(RangePenalty),
    PopulationKl(PopulationKl),
    Hebbian(f64),
    /// The coefficient, and the lag in time steps.
    StatePrediction(f64, usize),
    /// The error of the rates of recorded units.
    UnitRates(FittedRates),
    /// A penalty on a part of the network, after the path of the part in [`LossConfig`].
    OfPart(String, Part, Box<Self>),
}

impl LossConfig {
    /// Returns the penalties that are set, in the order of the fields; `lag` is that of `state_prediction` in time
    /// steps. Areas and projections that the network does not have are left out.
    pub fn penalties(&self, lag: usize, network: &CtrnnConfig) -> Vec<Penalty> {
        let fitted = self
            .unit_rates
            .as_ref()
            .and_then(|own| own.of_network(network));
        let of_network = self.of_whole_network(lag).into_iter().flatten();
        let of_network = of_network.chain(fitted.map(Penalty::UnitRates));
        let of_areas = self.areas.iter().flat_map(|(name, own)| {
            let part = network.area_units(name).map(Part::Units);
            on_part(format!("areas.{name}"), part, own.penalties())
        });
        let of_projections = self.projections.iter().flat_map(|(key, own)| {
            let units = Direction::parse(key).and_then(|direction| network.units_of(direction));
            on_part(
                format!("projections.{key}"),
                units.map(Part::Weights),
                own.penalties(),
            )
        });
        of_network.chain(of_areas).chain(of_projections).collect()
    }

    /// Returns the penalties that act on all units and weights.
    fn of_whole_network(&self, lag: usize) -> [Option<Penalty>; 14] {
        [
            self.weight_l1.map(Penalty::WeightL1),
            self.weight_l2.map(Penalty::WeightL2),
            self.weight_deviation
                .map(|c| Penalty::WeightDeviation(c, None)),
            self.rate_l1.map(Penalty::RateL1),
            self.rate_l2.map(Penalty::RateL2),
            self.rate_target.map(Penalty::RateTarget),
            self.rate_spread.map(Penalty::RateSpread),
            self.rate_range.map(Penalty::RateRange),
            self.rate_entropy.map(Penalty::RateEntropy),
            self.participation.map(Penalty::Participation),
            self.in_degree.map(Penalty::InDegree),
            self.population_kl.map(Penalty::PopulationKl),
            self.hebbian.map(Penalty::Hebbian),
            self.state_prediction
                .map(|p| Penalty::StatePrediction(p.weight, lag)),
        ]
    }
}

impl AreaPenalties {
    fn penalties(&self) -> Vec<Penalty> {
        let all = [
            self.rate_l1.map(Penalty::RateL1),
            self.rate_l2.map(Penalty::RateL2),
            self.rate_target.map(Penalty::RateTarget),
            self.rate_spread.map(Penalty::RateSpread),
            self.rate_range.map(Penalty::RateRange),
            self.rate_entropy.map(Penalty::RateEntropy),
            self.participation.map(Penalty::Participation),
        ];
        all.into_iter().flatten().collect()
    }
}

impl ProjectionPenalties {
    fn penalties(&self) -> Vec<Penalty> {
        let of = |recurrent| PerMatrix {
            recurrent,
            ..PerMatrix::default()
        };
        let deviation = |c| Penalty::WeightDeviation(of(c), None);
        let all = [
            self.weight_l1.map(|c| Penalty::WeightL1(of(c))),
            self.weight_l2.map(|c| Penalty::WeightL2(of(c))),
            self.weight_deviation.map(deviation),
            self.in_degree.map(Penalty::InDegree),
        ];
        all.into_iter().flatten().collect()
    }
}

/// Returns penalties restricted to a part of the network; none without it.
fn on_part(path: String, part: Option<Part>, penalties: Vec<Penalty>) -> Vec<Penalty> {
    let Some(part) = part else {
        return Vec::new();
    };
    let of_part = |penalty| Penalty::OfPart(path.clone(), part.clone(), Box::new(penalty));
    penalties.into_iter().map(of_part).collect()
}

impl Penalty {
    /// Returns the key of the penalty in `[train.loss]`: `rate_l2`, or `areas.motor.rate_l2`.
    pub fn name(&self) -> String {
        let key = match self {
            Self::OfPart(path, _, penalty) => return format!("{path}.{}", penalty.name()),
            Self::WeightL1(_) => "weight_l1",
            Self::WeightL2(_) => "weight_l2",
            Self::WeightDeviation(..) => "weight_deviation",
            Self::RateL1(_) => "rate_l1",
            Self::RateL2(_) => "rate_l2",
            Self::RateTarget(_) => "rate_target",
            Self::RateSpread(_) => "rate_spread",
            Self::RateRange(_) => "rate_range",
            Self::RateEntropy(_) => "rate_entropy",
            Self::Participation(_) => "participation",
            Self::InDegree(_) => "in_degree",
            Self::PopulationKl(_) => "population_kl",
            Self::Hebbian(_) => "hebbian",
            Self::StatePrediction(..) => "state_prediction",
            Self::UnitRates(_) => "unit_rates",
        };
        key.to_owned()
    }

    /// Returns the coefficient by which the penalty is multiplied; of one that has a coefficient for each weight matrix, `None`, or that of
    /// the recurrent matrix if it acts on a part of it.
    pub fn coefficient(&self) -> Option<f64> {
        match self {
            Self::OfPart(_, _, penalty) => match **penalty {
                Self::WeightL1(c) | Self::WeightL2(c) | Self::WeightDeviation(c, _) => {
                    Some(c.recurrent)
                }
                _ => penalty.coefficient(),
            },
            Self::WeightL1(_) | Self::WeightL2(_) | Self::WeightDeviation(..) => None,
            Self::RateL1(c)
            | Self::RateL2(c)
            | Self::RateEntropy(c)
            | Self::Hebbian(c)
            | Self::StatePrediction(c, _) => Some(*c),
            Self::RateTarget(target) => Some(target.weight),
            Self::RateSpread(spread) => Some(spread.weight),
            Self::RateRange(range) | Self::Participation(range) | Self::InDegree(range) => {
                Some(range.weight)
            }
            Self::PopulationKl(groups) => Some(groups.weight),
            Self::UnitRates(fitted) => Some(fitted.config.weight),
        }
    }

    /// Returns true if the penalty depends on the rates of a pass.
    pub(crate) fn needs_rates(&self) -> bool {
        match self {
            Self::OfPart(_, _, penalty) => penalty.needs_rates(),
            Self::WeightL1(_)
            | Self::WeightL2(_)
            | Self::WeightDeviation(..)
            | Self::InDegree(_) => false,
            _ => true,
        }
    }

    /// Returns true if the penalty is a function of the sums of the rates over trials and time steps.
    pub(crate) fn is_of_rate_sums(&self) -> bool {
        match self {
            Self::OfPart(_, _, penalty) => penalty.is_of_rate_sums(),
            Self::RateL1(_)
            | Self::RateL2(_)
            | Self::RateTarget(_)
            | Self::RateSpread(_)
            | Self::RateRange(_) => true,
            _ => false,
        }
    }

    /// Returns the number of temporary arrays of a training step, each as large as all rates, measured on the CPU.
    pub(crate) fn arrays_of_rates(&self) -> f64 {
        match self {
            Self::OfPart(_, _, penalty) => penalty.arrays_of_rates(),
            Self::Participation(_) | Self::Hebbian(_) => 2.3,
            Self::UnitRates(_) => 5.0,
            _ => 0.0,
        }
    }

    /// Returns the term of the rates that the penalty is, if sweeps can compute it.
    pub(crate) fn rate_term(&self) -> Option<RateTerm> {
        let measure = match self {
            Self::OfPart(_, Part::Units(units), penalty) => {
                let units = Some(units.clone());
                return Some(RateTerm {
                    units,
                    ..penalty.rate_term()?
                });
            }
            Self::RateEntropy(_) => RateMeasure::Entropy,
            Self::StatePrediction(_, lag) if *lag > 0 => RateMeasure::Change { lag: *lag },
            _ => return None,
        };
        Some(RateTerm {
            units: None,
            measure,
        })
    }

    /// Returns true if a training step has a use for the sums of the rates.
    pub(crate) fn uses_rate_sums(&self) -> bool {
        match self {
            Self::OfPart(_, _, penalty) => penalty.uses_rate_sums(),
            Self::PopulationKl(_) | Self::Participation(_) => true,
            _ => self.needs_no_more_than_sums(),
        }
    }

    /// Returns true if the penalty needs no more of the rates than their sums and terms, as sweeps can compute them.
    pub(crate) fn needs_no_more_than_sums(&self) -> bool {
        self.is_of_rate_sums() || self.rate_term().is_some()
    }

    /// Returns true if the penalty is a sum over time steps and trials, or does not depend on them.
    pub(crate) fn is_sum(&self) -> bool {
        match self {
            Self::OfPart(_, _, penalty) => penalty.is_sum(),
            Self::RateL1(_) | Self::RateL2(_) | Self::RateEntropy(_) | Self::UnitRates(_) => true,
            _ => !self.needs_rates(),
        }
    }

    /// Returns the weights at step 0 of a penalty that depends on them: `None` inside until they are supplied.
    pub(crate) fn initial_weights(&self) -> Option<&Option<Arc<Weights>>> {
        match self {
            Self::OfPart(_, _, penalty) => penalty.initial_weights(),
            Self::WeightDeviation(_, from) => Some(from),
            _ => None,
        }
    }

    /// Returns [`Penalty::initial_weights`], to be supplied.
    pub(crate) fn initial_weights_mut(&mut self) -> Option<&mut Option<Arc<Weights>>> {
        match self {
            Self::OfPart(_, _, penalty) => penalty.initial_weights_mut(),
            Self::WeightDeviation(_, from) => Some(from),
            _ => None,
        }
    }

    /// Computes the penalty times its coefficient, `[1]`.
    pub fn value<B: FusedOps>(&self, inputs: &LossInputs<B>) -> Tensor<B, 1> {
        self.of(self.statistics(inputs))
    }

    /// Computes the means on which the penalty depends, for each layer on which it acts: all of them, but for `population_kl` and
    /// `unit_rates`, which concern units of the last one.
    pub(crate) fn statistics<B: FusedOps>(&self, inputs: &LossInputs<B>) -> Vec<Statistic<B>> {
        let n_layers = inputs.network.n_layers();
        let first = match self {
            Self::PopulationKl(_) | Self::UnitRates(_) => n_layers - 1,
            _ => 0,
        };
        let layers = inputs.network.layers().enumerate().skip(first);
        let statistic = |(number, layer)| self.statistic(inputs, number, layer);
        layers.map(statistic).collect()
    }

    /// Computes the means on which the penalty of a layer depends.
    fn statistic<B: FusedOps>(
        &self,
        inputs: &LossInputs<B>,
        number: usize,
        layer: &CtrnnModule<B>,
    ) -> Statistic<B> {
        let weights = |value| Statistic::of_one(value, 1.0);
        match self {
            Self::OfPart(_, part, penalty) => {
                penalty.statistic(&inputs.of_part(part), number, layer)
            }
            Self::WeightL1(c) => weights(by_matrix(
                c,
                (number, layer),
                inputs,
                |_, w| w,
                formulas::weight_l1,
            )),
            Self::WeightL2(c) => weights(by_matrix(
                c,
                (number, layer),
                inputs,
                |_, w| w,
                formulas::weight_l2,
            )),
            Self::WeightDeviation(c, from) => {
                let change = |name: &str, w| {
                    let plain = name.strip_suffix("_raw"); // where raw and effective weights are the same
                    let names = [Some(name), plain].into_iter().flatten();
                    let initial = |from: &Weights| names.clone().find_map(|n| from.get(n).cloned());
                    deviation(w, from.as_deref().and_then(initial))
                };
                weights(by_matrix(
                    c,
                    (number, layer),
                    inputs,
                    change,
                    formulas::weight_l2,
                ))
            }
            Self::InDegree(range) => {
                let w_rc = inputs.weights_of_part(layer.effective_weights(Matrix::Recurrent));
                weights(formulas::in_degree(w_rc, range))
            }
            _ => self.statistic_of_rates(inputs, number, layer),
        }
    }

    /// Computes the means on which a penalty on the rates of a layer depends: from their sums and terms where the pass has them.
    fn statistic_of_rates<B: FusedOps>(
        &self,
        inputs: &LossInputs<B>,
        number: usize,
        layer: &CtrnnModule<B>,
    ) -> Statistic<B> {
        let batch = inputs.batch;
        let sums = inputs.rate_sums_of_layer(number);
        if let Some(sums) = sums.clone().filter(|_| self.is_of_rate_sums()) {
            return match self {
                Self::RateL1(_) => formulas::mean_of_sums(sums.sizes, batch),
                Self::RateL2(_) => formulas::mean_of_sums(sums.squares, batch),
                _ => formulas::unit_rates_of_sums(sums.rates, batch),
            };
        }
        let term = |measure| inputs.rate_term_of_layer(number, measure);
        let rates = || inputs.rates_of_layer(number).swap_dims(0, 1); // [T,B,N]
        match self {
            Self::RateL1(_) => formulas::rate_l1(rates(), batch),
            Self::RateL2(_) => formulas::rate_l2(rates(), batch),
            Self::RateTarget(_) | Self::RateSpread(_) | Self::RateRange(_) => {
                formulas::unit_rates(rates(), batch)
            }
            Self::RateEntropy(_) => match term(RateMeasure::Entropy) {
                Some(sum) => formulas::rate_entropy_of_sum(sum, batch),
                None => formulas::rate_entropy(rates(), batch),
            },
            Self::Participation(_) => formulas::covariance(rates(), sums, batch),
            Self::PopulationKl(groups) => match sums {
                Some(sums) => formulas::group_moments_of_sums(sums, rates(), batch, groups),
                None => formulas::group_moments(rates(), batch, groups),
            },
            Self::Hebbian(_) => {
                formulas::hebbian(rates(), layer.effective_weights(Matrix::Recurrent), batch)
            }
            &Self::StatePrediction(_, lag) => match term(RateMeasure::Change { lag }) {
                Some(sum) => {
                    let units = layer.config().n_units;
                    formulas::state_prediction_of_sum(sum, batch, lag, units)
                }
                None => formulas::state_prediction(rates(), batch, lag),
            },
            Self::UnitRates(fitted) => fitted.statistic(rates(), batch),
            _ => unreachable!("a penalty on weights, or on a part"),
        }
    }

    /// Computes the penalty times its coefficient, `[1]`, from the statistics of the layers: their sum.
    pub(crate) fn of<B: Backend>(&self, layers: Vec<Statistic<B>>) -> Tensor<B, 1> {
        let all = layers.into_iter().map(|layer| self.of_layer(layer));
        all.reduce(|sum, layer| sum + layer)
            .expect("a network has a layer")
    }

    fn of_layer<B: Backend>(&self, statistic: Statistic<B>) -> Tensor<B, 1> {
        let value = match self {
            Self::OfPart(_, _, penalty) => return penalty.of_layer(statistic),
            Self::RateTarget(target) => formulas::rate_target(statistic, target.rate),
            Self::RateSpread(spread) => formulas::rate_spread(statistic, spread.measure),
            Self::RateRange(range) => formulas::rate_range(statistic, range),
            Self::Participation(range) => formulas::participation(statistic, range),
            Self::PopulationKl(_) => formulas::population_kl(statistic),
            _ => statistic.one(),
        };
        match self.coefficient() {
            Some(coefficient) => value * coefficient,
            None => value, // each matrix was multiplied by its own
        }
    }
}

/// Sums a measure of each weight matrix of a layer, times the coefficient of the matrix. What is measured is a function of the matrix
/// and its name in weight files, restricted to the weights on which the penalty acts; of the raw weights of a recurrent matrix of
/// low rank it is one factor after the other.
fn by_matrix<B: Backend>(
    coefficients: &PerMatrix,
    (number, layer): (usize, &CtrnnModule<B>),
    inputs: &LossInputs<B>,
    entries: impl Fn(&str, Tensor<B, 2>) -> Tensor<B, 2>,
    measure: impl Fn(Tensor<B, 2>) -> Tensor<B, 1>,
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
        .map(|((name, w), coefficient)| {
            measure(inputs.weights_of_part(entries(&name, w))) * coefficient
        });
    // A function of the weights, which has a gradient like any other.
    let none = || layer.effective_weights(Matrix::Recurrent).sum() * 0.0;
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
