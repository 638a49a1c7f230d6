//! Tests of the penalties: by hand, against finite differences, under padding, and combined in an objective.

use burn::backend::{Autodiff, NdArray};
use burn::module::AutodiffModule;
use burn::tensor::TensorData;
use ctrnn_model::{
    Activation, Area, CtrnnConfig, Dale, Forward, LowRank, Named, Noise, NoiseAddress, Parameter,
    Parametrization, Projection, UnitState,
};
use ctrnn_random::{Key, Stream};
use ctrnn_tasks::{Clock, ConditionOrder, Duration, Integrator, Mask, Target};

use super::config::{
    LossConfig, On, PerMatrix, PopulationKl, RangePenalty, RateSpread, RateTarget,
};
use super::*;
use crate::burn_test::{batch, outputs, values};
use crate::evaluation::{Breakdown, EvaluationTrials, Scored, evaluate_terms, evaluation_trials};
use crate::objective::config::{Pairing, Spread, StatePrediction};

type Inner = NdArray<f64>;
type Grad = Autodiff<Inner>;

/// Builds a network of `n` units with 1 input and 1 output; weights by name.
fn network(n: usize, weights: &[(&str, Vec<f64>)]) -> CtrnnModule<Grad> {
    let mut config = CtrnnConfig::new(1, n, 1);
    config.activation = Activation::Softplus;
    let network = config.init(3, &Default::default()).unwrap();
    let shapes = [
        ("input.weight", [n, 1]),
        ("recurrent.weight", [n, n]),
        ("output.weight", [1, n]),
    ];
    let given = weights.iter().map(|(name, values)| {
        let shape = shapes.iter().find(|(of, _)| of == name).unwrap().1;
        ((*name).to_owned(), TensorData::new(values.clone(), shape))
    });
    network.with_weights(&given.collect()).unwrap()
}

/// Builds trials of these lengths whose mask is 1 everywhere.
fn trials(lengths: &[usize]) -> Batch<Grad> {
    let trial = |&n: &usize| (Target::Values(vec![0.0; n]), Mask::Steps(vec![1.0; n]));
    batch(&lengths.iter().map(trial).collect::<Vec<_>>(), 1)
}

/// Wraps rates `[trial, time, unit]` in a trajectory.
fn trajectory(rates: Tensor<Grad, 3>) -> Trajectory<Grad> {
    let [trials, steps, units] = rates.dims();
    let none = Tensor::from_data(
        TensorData::new(Vec::<f64>::new(), [trials, 0]),
        &rates.device(),
    );
    Trajectory {
        outputs: outputs([trials, steps, 1], &vec![0.0; trials * steps]),
        final_state: UnitState {
            activity: rates
                .clone()
                .narrow(1, steps - 1, 1)
                .reshape([trials, units]),
            utilisation: none.clone(),
            resources: none,
        },
        rates: Some(rates),
        potentials: None,
        utilisation: None,
        resources: None,
        rate_sums: None,
        below: Vec::new(),
    }
}

/// Computes a penalty for these rates in trials of these lengths; rates after the end of a trial are padding.
fn value(
    penalty: &Penalty,
    network: &CtrnnModule<Grad>,
    shape: [usize; 3],
    rates: &[f64],
    lengths: &[usize],
) -> f64 {
    let batch = trials(lengths);
    let inputs = LossInputs::new(network, trajectory(outputs(shape, rates)), &batch);
    values(&penalty.value(&inputs))[0]
}

fn assert_near(found: f64, expected: f64) {
    assert!((found - expected).abs() < 1e-9, "{found} is not {expected}");
}

/// W_in (1, -2), W_rc (1, -1; 2, 0), W_out (3, 0): means of moduli 1.5, 1, 1.5 and of squares 2.5, 1.5, 4.5.
#[test]
fn penalties_on_weights_by_hand() {
    let network = network(
        2,
        &[
            ("input.weight", vec![1.0, -2.0]),
            ("recurrent.weight", vec![1.0, -1.0, 2.0, 0.0]),
            ("output.weight", vec![3.0, 0.0]),
        ],
    );
    let c = PerMatrix {
        input: 1.0,
        recurrent: 10.0,
        output: 100.0,
        on: On::Effective,
    };
    let of = |penalty: &Penalty| value(penalty, &network, [1, 1, 2], &[0.0; 2], &[1]);
    assert_near(of(&Penalty::WeightL1(c)), 1.5 + 10.0 + 150.0);
    assert_near(of(&Penalty::WeightL2(c)), 2.5 + 15.0 + 450.0);
    assert_near(of(&Penalty::WeightDeviation(c, None)), 0.0);
    // Every weight of W_rc differs by 1 from its initial value.
    let mut from = network.weights();
    let shifted = TensorData::new(vec![0.0, 0.0, 1.0, -1.0], [2, 2]);
    from.insert("recurrent.weight".to_owned(), shifted);
    let deviation = Penalty::WeightDeviation(c, Some(Arc::new(from)));
    assert_near(of(&deviation), 10.0);
}

/// Rates of area b alone are -1 and 3, of which the mean square is 5 and the mean modulus 2; weights from a to b: 2, of which the
/// initial value was 5.
#[test]
fn penalties_on_areas_and_projections_by_hand() {
    let text = "areas = { b = { rate_l2 = 2, rate_l1 = 1, rate_target = { weight = 1, rate = 0 }, rate_range = { weight = 4, at_most = 0.5 } } }\n\
                projections = { \"a -> b\" = { weight_l1 = 10, weight_deviation = 1, in_degree = { weight = 4, at_most = 0.5 } }, \"* -> a\" = { weight_l2 = 1 } }";
    let config: LossConfig = toml::from_str(text).unwrap();
    let area = |units| Area {
        units,
        ..Area::default()
    };
    let areas = CtrnnConfig {
        areas: Named::from([("a", area(1)), ("b", area(1))]),
        projections: Named::from([("* -> *", Projection::default().into())]),
        ..CtrnnConfig::default()
    };
    let areas = areas.resolved(&[], &["y".to_owned()]).unwrap();
    let network = network(2, &[("recurrent.weight", vec![1.0, -3.0, 2.0, 7.0])]);
    let mut from = network.weights();
    let earlier = TensorData::new(vec![0.0, 0.0, 5.0, 0.0], [2, 2]);
    from.insert("recurrent.weight".to_owned(), earlier);
    let mut objective = Objective::from(Loss::Mse);
    objective.penalties = config.penalties(1, &areas);
    assert!(objective.needs_initial_weights() && objective.record().rates);
    let objective = objective.measured_from(&from);
    assert!(!objective.needs_initial_weights());
    let found: Vec<(String, f64)> = objective
        .penalties
        .iter()
        .map(|p| {
            let rates = [9.0, -1.0, 9.0, 3.0];
            (p.name(), value(p, &network, [1, 2, 2], &rates, &[2]))
        })
        .collect();
    let expected = [
        ("areas.b.rate_l1", 2.0),
        ("areas.b.rate_l2", 10.0),
        ("areas.b.rate_target", 1.0), // the mean rate is 1
        ("areas.b.rate_range", 1.0),
        ("projections.* -> a.weight_l2", 5.0),
        ("projections.a -> b.weight_l1", 20.0),
        ("projections.a -> b.weight_deviation", 9.0),
        ("projections.a -> b.in_degree", 9.0),
    ];
    for ((name, found), (expected_name, expected)) in found.iter().zip(expected) {
        assert_eq!(name, expected_name);
        assert_near(*found, expected);
    }
    assert_eq!(found.len(), expected.len());
}

/// Under Dale's law a raw weight acts by its absolute value: with the opposite sign it acts the same, but its deviation
/// is 2 |w|.
#[test]
fn penalties_on_raw_weights_see_no_sign() {
    let mut config = CtrnnConfig::new(1, 2, 1);
    config.dale = Some(Dale {
        parametrization: Parametrization::Abs,
        ..Dale::default()
    });
    let network = config.init::<Grad>(3, &Default::default()).unwrap();
    let turned = network.weights();
    let raw = turned["recurrent.weight_raw"].to_vec::<f64>().unwrap();
    let of = |on: On, from: &Weights| {
        let c = PerMatrix {
            recurrent: 1.0,
            on,
            ..PerMatrix::default()
        };
        let penalty = Penalty::WeightDeviation(c, Some(Arc::new(from.clone())));
        value(&penalty, &network, [1, 1, 2], &[0.0; 2], &[1])
    };
    // Flip the sign of every raw weight; the effective weights stay the same.
    let mut from = turned.clone();
    let opposite: Vec<f64> = raw.iter().map(|w| -w).collect();
    from.insert(
        "recurrent.weight_raw".to_owned(),
        TensorData::new(opposite, [2, 2]),
    );
    assert_near(of(On::Effective, &from), 0.0);
    let mean_square = raw.iter().map(|w| w * w).sum::<f64>() / 4.0;
    assert_near(of(On::Raw, &from), 4.0 * mean_square);
}

/// left (2, 1), right (1, -1): W = left right' / 2 = [[1, -1], [0.5, -0.5]], mean square 0.625, mean modulus 0.75. The factors have the
/// mean squares 2.5 and 1, and the mean moduli 1.5 and 1; from left = (1, 1) the first deviates by (1, 0).
#[test]
fn penalties_on_factors_by_hand() {
    let config = CtrnnConfig {
        low_rank: Some(LowRank::default()),
        ..CtrnnConfig::new(1, 2, 1)
    };
    let vector = |values: [f64; 2]| TensorData::new(values.to_vec(), [2, 1]);
    let given = [("left", vector([2.0, 1.0])), ("right", vector([1.0, -1.0]))];
    let given = given.map(|(name, values)| (format!("recurrent.{name}"), values));
    let network = config.init::<Grad>(3, &Default::default()).unwrap();
    let network = network.with_weights(&given.into()).unwrap();
    let of = |penalty: &dyn Fn(PerMatrix) -> Penalty, on: On| {
        let c = PerMatrix {
            recurrent: 2.0,
            on,
            ..PerMatrix::default()
        };
        value(&penalty(c), &network, [1, 1, 2], &[0.0; 2], &[1])
    };
    assert_near(of(&Penalty::WeightL2, On::Effective), 1.25);
    assert_near(of(&Penalty::WeightL1, On::Effective), 1.5);
    assert_near(of(&Penalty::WeightL2, On::Raw), 7.0);
    assert_near(of(&Penalty::WeightL1, On::Raw), 5.0);
    let mut from = network.weights();
    from.insert("recurrent.left".to_owned(), vector([1.0, 1.0]));
    let deviation = |c| Penalty::WeightDeviation(c, Some(Arc::new(from.clone())));
    assert_near(of(&deviation, On::Raw), 1.0);
    assert_near(of(&deviation, On::Effective), 0.0);
}

/// Two trials of 2 and 1 time steps, two units: rates (1, -1), (3, 0); (2, 4), then padding of 9. Three samples of two units.
/// |r|: 2 + 3 + 6 = 11, / 6. r^2: 2 + 9 + 20 = 31, / 6. Means of the units: (1 + 3 + 2) / 3 = 2 and (-1 + 0 + 4) / 3 = 1.
const RATES: [f64; 8] = [1.0, -1.0, 3.0, 0.0, 2.0, 4.0, 9.0, 9.0];

fn of_rates(penalty: &Penalty) -> f64 {
    let weights = ("recurrent.weight", vec![0.0, 1.0, 2.0, 0.0]);
    value(penalty, &network(2, &[weights]), [2, 2, 2], &RATES, &[2, 1])
}

#[test]
fn penalties_on_the_size_of_rates_by_hand() {
    assert_near(of_rates(&Penalty::RateL1(6.0)), 11.0);
    assert_near(of_rates(&Penalty::RateL2(6.0)), 31.0);
}

/// Means 2 and 1 against 0.5: (2.25 + 0.25) / 2.
#[test]
fn the_distance_from_a_target_rate_by_hand() {
    let target = RateTarget {
        weight: 2.0,
        rate: 0.5,
    };
    assert_near(of_rates(&Penalty::RateTarget(target)), 2.5);
}

/// Means 2 and 1 lie 0.5 from their mean 1.5: sd 0.5 (divided by N), cv 1/3, both absolute deviations 0.5.
#[test]
fn the_spread_of_rates_by_hand() {
    for (measure, expected) in [
        (Spread::Sd, 0.5),
        (Spread::Cv, 1.0 / 3.0),
        (Spread::MeanAd, 0.5),
        (Spread::MaxAd, 0.5),
    ] {
        let weight = 1.0;
        assert_near(
            of_rates(&Penalty::RateSpread(RateSpread { weight, measure })),
            expected,
        );
    }
}

fn range(
    weight: f64,
    at_least: impl Into<Option<f64>>,
    at_most: impl Into<Option<f64>>,
) -> RangePenalty {
    RangePenalty {
        weight,
        at_least: at_least.into(),
        at_most: at_most.into(),
    }
}

/// The mean 2 is 0.25 above 1.75, the mean 1 is 0.5 below 1.5: 2 (0.0625 + 0.25) / 2. The slopes in the means are 2 * 0.25 and
/// -2 * 0.5, of which each of the three samples has a third, and padding nothing.
#[test]
fn the_range_of_rates_by_hand() {
    let penalty = Penalty::RateRange(range(2.0, 1.5, 1.75));
    assert_near(of_rates(&penalty), 0.3125);
    assert_near(of_rates(&Penalty::RateRange(range(2.0, 1.0, 2.0))), 0.0);
    assert_near(
        of_rates(&Penalty::RateRange(range(2.0, None, 1.75))),
        0.0625,
    );
    let rates = outputs([2, 2, 2], &RATES).require_grad();
    let (network, batch) = (network(2, &[]), trials(&[2, 1]));
    let inputs = LossInputs::new(&network, trajectory(rates.clone()), &batch);
    let grads = penalty.value(&inputs).backward();
    let found: Vec<f64> = rates.grad(&grads).unwrap().into_data().iter().collect();
    let (high, low) = (1.0 / 6.0, -1.0 / 3.0);
    for (found, expected) in found
        .into_iter()
        .zip([high, low, high, low, high, low, 0.0, 0.0])
    {
        // burn divides by the number of samples in single precision on the way back.
        assert!((found - expected).abs() < 1e-7, "{found} is not {expected}");
    }
}

/// Deviations (-1, 1, 0) and (-2, -1, 3): C = (2, 1; 1, 14) / 3, PR = 16^2 / (4 + 1 + 1 + 196) = 128 / 101. Rates that do not change
/// have 0 dimensions and no slope.
#[test]
fn the_range_of_the_participation_ratio_by_hand() {
    let above = Penalty::Participation(range(3.0, None, 1.0));
    assert_near(of_rates(&above), 3.0 * (27.0f64 / 101.0).powi(2));
    let below = Penalty::Participation(range(1.0, 2.0, None));
    assert_near(of_rates(&below), (37.0f64 / 101.0).powi(2));
    let rates = outputs([1, 2, 2], &[0.3, 0.1, 0.3, 0.1]).require_grad();
    let (network, batch) = (network(2, &[]), trials(&[2]));
    let inputs = LossInputs::new(&network, trajectory(rates.clone()), &batch);
    let value = below.value(&inputs);
    let slopes = rates.grad(&value.backward()).unwrap().into_data();
    assert_near(values(&value)[0], 1.0);
    assert!(slopes.iter::<f64>().all(|slope| slope == 0.0), "{slopes}");
}

/// Sums of moduli 1.5 and 2 against 1: 4 (0.25 + 1) / 2, with the slopes 4 * 0.5 and 4 * 1 times the signs of the weights; against 1.75
/// from below: (0.0625 + 0) / 2.
#[test]
fn the_range_of_the_in_degree_by_hand() {
    let weights = ("recurrent.weight", vec![0.5, -1.0, 2.0, 0.0]);
    let (network, batch) = (network(2, &[weights]), trials(&[1]));
    let of = |range| {
        let inputs = LossInputs::new(&network, trajectory(outputs([1, 1, 2], &[0.0; 2])), &batch);
        Penalty::InDegree(range).value(&inputs)
    };
    assert_near(values(&of(range(1.0, 1.75, None)))[0], 0.03125);
    let value = of(range(4.0, None, 1.0));
    assert_near(values(&value)[0], 2.5);
    let gradients = Gradients::of(&network, value.backward());
    let of_weights = gradients.0[&Parameter::RECURRENT_WEIGHT].to_data();
    let expected = [2.0, -2.0, 4.0, 0.0];
    for (found, expected) in of_weights.iter::<f64>().zip(expected) {
        assert_near(found, expected);
    }
}

/// p is (1/2, 1/2), (1, 0), (1/3, 2/3): entropies ln 2, 0, and ln 3 - 2/3 ln 2; their mean.
#[test]
fn the_entropy_of_rates_by_hand() {
    let expected = (2.0f64.ln() + 3.0f64.ln() - 2.0 / 3.0 * 2.0f64.ln()) / 3.0;
    assert_near(of_rates(&Penalty::RateEntropy(1.0)), expected);
}

/// Unit 0 has mean 2 and variance (1 + 1 + 0) / 3 = 2/3, unit 1 mean 1 and variance (4 + 1 + 9) / 3 = 14/3; d^2 = 1:
/// ((2/3 + 1) / (14/3) + (14/3 + 1) / (2/3) - 2) / 4 = (5/14 + 17/2 - 2) / 4.
#[test]
fn the_divergence_of_populations_by_hand() {
    let groups = PopulationKl {
        weight: 4.0,
        first: [0, 1],
        second: [1, 2],
    };
    assert_near(of_rates(&Penalty::PopulationKl(groups)), 5.0 / 14.0 + 6.5);
}

/// W = (0, 1; 2, 0): r^T W r = 3 r_0 r_1, that is -3 and 0 in the first trial, whose mean is -1.5, and 24 in the second:
/// (1.5 + 24) / 2. The modulus is taken after the mean over time.
#[test]
fn the_hebbian_penalty_by_hand() {
    assert_near(of_rates(&Penalty::Hebbian(1.0)), 12.75);
}

/// A lag of 1 fits into the first trial alone, from (1, -1) to (3, 0): (4 + 1) / 2. A lag of 2 fits nowhere.
#[test]
fn state_prediction_by_hand() {
    assert_near(of_rates(&Penalty::StatePrediction(1.0, 1)), 2.5);
    assert_near(of_rates(&Penalty::StatePrediction(1.0, 2)), 0.0);
}

/// Returns every penalty, with its coefficient.
fn every_penalty() -> Vec<Penalty> {
    let c = PerMatrix {
        input: 0.3,
        recurrent: 0.5,
        output: 0.7,
        on: On::Effective,
    };
    let from = network(4, &[]).weights();
    let config = LossConfig {
        weight_l1: Some(c),
        weight_l2: Some(c),
        weight_deviation: Some(c),
        rate_l1: Some(0.9),
        rate_l2: Some(1.1),
        rate_target: Some(RateTarget {
            weight: 1.3,
            rate: 0.2,
        }),
        rate_range: Some(range(1.6, 0.5, 0.6)),
        rate_entropy: Some(-0.6),
        participation: Some(range(0.9, 3.5, None)),
        in_degree: Some(range(0.8, None, 0.3)),
        population_kl: Some(PopulationKl {
            weight: 0.05,
            first: [0, 2],
            second: [2, 4],
        }),
        hebbian: Some(0.4),
        state_prediction: Some(StatePrediction {
            weight: 0.8,
            lag_ms: 40.0,
        }),
        ..LossConfig::default()
    };
    let spreads = [Spread::Sd, Spread::Cv, Spread::MeanAd, Spread::MaxAd].map(|measure| {
        Penalty::RateSpread(RateSpread {
            weight: 1.7,
            measure,
        })
    });
    let objective = Objective {
        loss: Loss::Mse,
        normalisation: Normalisation::Mask,
        penalties: config
            .penalties(2, &CtrnnConfig::default())
            .into_iter()
            .chain(spreads)
            .collect(),
        omega: None,
        yielding: Vec::new(),
    };
    objective.measured_from(&from).penalties
}

/// Four units, trials of 5 and 3 time steps, input 1.
struct Case {
    network: CtrnnModule<Grad>,
    batch: Batch<Grad>,
}

impl Case {
    fn new() -> Self {
        let batch = trials(&[5, 3]);
        Self {
            network: network(4, &[("input.weight", vec![0.7, -0.4, 0.2, 1.1])]),
            batch: Batch {
                inputs: outputs(
                    [2, 5, 1],
                    &[1.0, 0.5, -1.0, 2.0, 0.3, 0.1, 1.5, -0.7, 4.0, 4.0],
                ),
                ..batch
            },
        }
    }

    fn forward() -> Forward<Grad> {
        Forward {
            record: Record::RATES,
            ..Forward::default()
        }
    }

    fn trajectory(&self, network: &CtrnnModule<Grad>) -> Trajectory<Grad> {
        network.forward(self.batch.inputs.clone(), &Self::forward())
    }

    fn minimised(penalties: Vec<Penalty>) -> Minimised<'static, Grad> {
        Minimised {
            objective: Objective {
                loss: Loss::Mse,
                normalisation: Normalisation::Trials,
                penalties,
                omega: None,
                yielding: Vec::new(),
            },
            custom: Vec::new(),
        }
    }

    fn evaluated(
        &self,
        minimised: &Minimised<Grad>,
        network: &CtrnnModule<Grad>,
    ) -> Evaluated<Grad> {
        let trajectory = self.trajectory(network);
        let found = minimised.of(network, &Self::forward(), &trajectory, &self.batch);
        found.expect("no term fails")
    }

    /// Computes the slope of the objective in one entry of a parameter, by central differences.
    fn slope(&self, minimised: &Minimised<Grad>, parameter: Parameter, at: usize) -> f64 {
        let value = |h: f64| {
            let mut weights = self.network.weights();
            let data = weights.get_mut(&parameter.name()).unwrap();
            let mut values: Vec<f64> = data.iter().collect();
            values[at] += h;
            *data = TensorData::new(values, data.shape.clone());
            let network = self.network.clone().with_weights(&weights).unwrap();
            let value = self.evaluated(minimised, &network).value;
            value.into_scalar()
        };
        (value(1e-5) - value(-1e-5)) / 2e-5
    }

    fn assert_gradient_is_the_slope(&self, minimised: &Minimised<Grad>) {
        let found = self
            .evaluated(minimised, &self.network)
            .gradients(&self.network);
        for (parameter, gradient) in &found.0 {
            for (at, found) in gradient.to_data().iter::<f64>().enumerate() {
                let slope = self.slope(minimised, *parameter, at);
                assert!(
                    (found - slope).abs() < 1e-6 * (1.0 + slope.abs()),
                    "{:?}: {}[{at}] {found} is not {slope}",
                    minimised.term_names(),
                    parameter.name()
                );
            }
        }
    }
}

#[test]
fn the_gradient_of_every_penalty_is_the_slope() {
    for penalty in every_penalty() {
        Case::new().assert_gradient_is_the_slope(&Case::minimised(vec![penalty]));
    }
}

#[test]
fn the_gradient_of_every_loss_is_the_slope() {
    for loss in [
        Loss::Mse,
        Loss::Bce,
        Loss::CrossEntropy,
        Loss::SoftCrossEntropy,
    ] {
        for normalisation in [
            Normalisation::Mask,
            Normalisation::Entries,
            Normalisation::Trials,
        ] {
            let mut minimised = Case::minimised(Vec::new());
            minimised.objective.loss = loss;
            minimised.objective.normalisation = normalisation;
            Case::new().assert_gradient_is_the_slope(&minimised);
        }
    }
}

#[test]
fn the_gradient_of_all_terms_together_is_the_slope_and_repeats() {
    let case = Case::new();
    let mut minimised = Case::minimised(every_penalty());
    let custom = |inputs: &LossInputs<Grad>| {
        let weights = inputs.network.w_out_raw.val().square().sum();
        Ok((inputs.outputs.clone().square().mean() + inputs.rates().mean()) * weights)
    };
    minimised.custom.push(("mine".to_owned(), Box::new(custom)));
    case.assert_gradient_is_the_slope(&minimised);
    let gradients = || {
        let found = case
            .evaluated(&minimised, &case.network)
            .gradients(&case.network);
        let data = found.0.into_iter().map(|(p, g)| (p, g.into_data()));
        data.collect::<Vec<_>>()
    };
    assert_eq!(gradients(), gradients());
}

#[test]
fn the_terms_add_up_to_the_value() {
    let case = Case::new();
    let minimised = Case::minimised(every_penalty());
    let evaluated = case.evaluated(&minimised, &case.network);
    let sum: f64 = evaluated
        .terms
        .iter()
        .map(|term| term.clone().into_scalar())
        .sum();
    assert_near(evaluated.value.into_scalar(), sum);
    assert_eq!(evaluated.terms.len(), minimised.term_names().len());
    assert!(
        case.evaluated(&Case::minimised(Vec::new()), &case.network)
            .terms
            .is_empty()
    );
}

/// Without penalties nothing is recorded, named, or computed besides the loss.
#[test]
fn a_loss_alone_is_only_that() {
    let minimised = Case::minimised(Vec::new());
    assert_eq!(minimised.record(), Record::OUTPUTS);
    assert!(minimised.term_names().is_empty());
    let on_weights = Case::minimised(vec![Penalty::WeightL2(PerMatrix::default())]);
    assert_eq!(on_weights.record(), Record::OUTPUTS);
    assert_eq!(on_weights.term_names(), ["mse", "weight_l2"]);
}

/// A short trial has the same cost alone as in a batch with a longer one whose rates are all zero, except for the
/// means.
#[test]
fn no_penalty_sees_padding() {
    let network = network(4, &[]);
    let rates: Vec<f64> = (0..12).map(|k| f64::from(k % 5) - 1.3).collect();
    let padded: Vec<f64> = rates.iter().copied().chain([7.0; 8]).collect();
    for penalty in every_penalty() {
        let alone = value(&penalty, &network, [1, 3, 4], &rates, &[3]);
        let batch = trials(&[3]);
        let with_padding = Batch {
            within: outputs([5, 1, 1], &[1.0, 1.0, 1.0, 0.0, 0.0]),
            ..batch
        };
        let inputs = LossInputs::new(
            &network,
            trajectory(outputs([1, 5, 4], &padded)),
            &with_padding,
        );
        assert_near(values(&penalty.value(&inputs))[0], alone);
    }
}

#[test]
fn the_inner_backend_gives_the_same_values() {
    let case = Case::new();
    let network = case.network.valid();
    let trajectory = case.trajectory(&case.network);
    let inner_batch = Batch::<Inner> {
        inputs: case.batch.inputs.clone().inner(),
        targets: case.batch.targets.clone().inner(),
        mask: case.batch.mask.clone().inner(),
        mask_of_trials: case.batch.mask_of_trials.clone().inner(),
        mask_sum: case.batch.mask_sum,
        within: case.batch.within.clone().inner(),
        recordings: None,
        within_sum: case.batch.within_sum,
        n_steps: case.batch.n_steps.clone(),
        counted_trials: case.batch.counted_trials,
    };
    let inner = Trajectory {
        outputs: trajectory.outputs.clone().inner(),
        rates: trajectory.rates.clone().map(Tensor::inner),
        potentials: None,
        utilisation: None,
        resources: None,
        rate_sums: None,
        final_state: trajectory.final_state.clone().map(Tensor::inner),
        below: Vec::new(),
    };
    let inputs = LossInputs::new(&network, inner, &inner_batch);
    let tracked = LossInputs::new(&case.network, trajectory, &case.batch);
    for penalty in every_penalty() {
        assert_eq!(
            penalty.value(&inputs).into_scalar(),
            penalty.value(&tracked).into_scalar()
        );
    }
}

/// 600 trials of 5 to 50 time steps, short ones first, have the same loss, penalties and accuracy in blocks of any size
/// as in one block.
#[test]
fn no_number_of_an_evaluation_depends_on_its_blocks() {
    let task = Integrator {
        trial_ms: Duration::Uniform([100.0, 1000.0]),
        tolerance: 1.0,
        ..Integrator::default()
    };
    let clock = Clock::new(20.0).unwrap();
    let key = Key::new(1, Stream::Validation, 0);
    let mut trials =
        evaluation_trials(&task, clock, key, ConditionOrder::Balanced, 0..600).unwrap();
    trials.sort_by_key(|trial| trial.n_steps);
    let trials = EvaluationTrials::Made(trials.into());
    let network = network(4, &[]).valid();
    let draws = Noise::Drawn(NoiseAddress::default());
    for normalisation in [
        Normalisation::Mask,
        Normalisation::Entries,
        Normalisation::Trials,
    ] {
        let mut objective = Case::minimised(every_penalty()).objective;
        objective.normalisation = normalisation;
        let report = |together| {
            let scored = Scored {
                objective: &objective,
                names: (0..=objective.penalties.len())
                    .map(|k| format!("{k}"))
                    .collect(),
                record: Record::RATES,
                further: &|_, _| Ok(Vec::new()),
                together,
                run: None,
            };
            let all = Breakdown::default();
            evaluate_terms::<Inner>(&network, &task, &trials, &scored, &draws, all).unwrap()
        };
        let whole = report(600);
        for together in [1, 100, 256] {
            let blocks = report(together);
            for (name, expected) in &whole.terms {
                let found = blocks.terms[name];
                assert!(
                    (found - expected).abs() < 1e-9 * expected.abs().max(1e-3),
                    "{together}: {name} {found} is not {expected}"
                );
            }
            assert_eq!(blocks.accuracy, whole.accuracy);
        }
    }
}

/// Computes an objective of trials that end at their own lengths, with its gradients; `fused`: within the sweeps.
fn of_pass(
    case: &Case,
    minimised: &Minimised<Grad>,
    is_fused: bool,
) -> (Forward<Grad>, Evaluated<Grad>, Gradients<Inner>) {
    let lengths = case.batch.n_steps.clone();
    let pass = Forward {
        lengths,
        record: minimised.record(),
        ..Forward::default()
    };
    let pass = if is_fused {
        minimised.fused(&case.network, pass, &minimised.all())
    } else {
        pass
    };
    let trajectory = case.network.forward(case.batch.inputs.clone(), &pass);
    let found = (minimised.of(&case.network, &pass, &trajectory, &case.batch)).unwrap();
    let gradients = found.gradients(&case.network);
    let found = found.completed(pass.omega.as_ref());
    (pass, found, gradients)
}

/// Terms that sweeps compute on their way have the values and gradients of those that are computed from the rates or by a second pass.
#[test]
fn fused_terms_are_those_of_the_tensors() {
    let omega = |pairing| Omega {
        weight: 0.7,
        pairing,
        bound: 1e-20,
    };
    let weights = || Penalty::WeightL2(PerMatrix::default());
    let with_omega = [
        (weights(), omega(Pairing::Paper)),
        (weights(), omega(Pairing::Code)),
        (Penalty::RateL2(0.3), omega(Pairing::Paper)),
        (Penalty::Hebbian(0.3), omega(Pairing::Paper)),
    ];
    let of_area = |penalty| {
        let part = Part::Units(1..3);
        Penalty::OfPart("areas.b".to_owned(), part, Box::new(penalty))
    };
    let of_areas = [
        Penalty::RateEntropy(0.4),
        Penalty::Participation(range(0.9, 3.5, None)),
    ];
    let penalties = every_penalty().into_iter().chain(of_areas.map(of_area));
    let cases = penalties.map(|penalty| (penalty, None));
    let cases = cases.chain(with_omega.map(|(penalty, omega)| (penalty, Some(omega))));
    let mut n_fused = 0;
    for (penalty, omega) in cases {
        let mut minimised = Case::minimised(vec![penalty]);
        minimised.objective.omega = omega;
        let case = Case::new();
        let (pass, fused, fused_gradients) = of_pass(&case, &minimised, true);
        let (_, expected, gradients) = of_pass(&case, &minimised, false);
        let (names, own) = (minimised.term_names(), &minimised.objective);
        let of_sums = own.penalties.iter().any(Penalty::uses_rate_sums);
        assert_eq!(pass.record.rate_sums, of_sums, "{names:?}");
        let suffice = own.penalties.iter().all(Penalty::needs_no_more_than_sums);
        let needs_rates = own.penalties.iter().any(Penalty::needs_rates);
        assert_eq!(pass.record.rates, needs_rates && !suffice, "{names:?}");
        assert_eq!(pass.omega.is_some(), omega.is_some());
        n_fused += usize::from(of_sums || omega.is_some());
        assert_near(fused.value.into_scalar(), expected.value.into_scalar());
        assert_eq!(fused.terms.len(), names.len());
        for (fused, expected) in fused.terms.iter().zip(&expected.terms) {
            assert_near(fused.clone().into_scalar(), expected.clone().into_scalar());
        }
        for (parameter, expected) in &gradients.0 {
            let found = fused_gradients.0[parameter].to_data();
            for (found, expected) in found.iter::<f64>().zip(expected.to_data().iter::<f64>()) {
                assert!(
                    (found - expected).abs() < 1e-12,
                    "{names:?}, {}: {found} is not {expected}",
                    parameter.name()
                );
            }
        }
    }
    assert_eq!(
        n_fused, 18,
        "l1, l2, target, range, four spreads, two entropies, state_prediction, two of participation, population_kl, four of Omega"
    );
}

/// A recurrent matrix of factors, or one that the readout feeds into, keeps Omega in a second pass.
#[test]
fn omega_is_fused_where_the_recurrent_matrix_is_a_parameter() {
    let objective = Objective {
        omega: Some(Omega {
            weight: 1.0,
            pairing: Pairing::Paper,
            bound: 1e-20,
        }),
        ..Objective::from(Loss::Mse)
    };
    let plain = CtrnnConfig::new(1, 4, 1);
    let low_rank = CtrnnConfig {
        low_rank: Some(LowRank {
            rank: 1,
            ..LowRank::default()
        }),
        ..plain.clone()
    };
    assert!(objective.fuses_omega(&plain) && !objective.fuses_omega(&low_rank));
    assert!(!Objective::from(Loss::Mse).fuses_omega(&plain));
}
