//! Gradients of objectives with terms that yield to the task, against the projection of separate gradients.

use std::collections::BTreeMap;

use burn::backend::{Autodiff, NdArray};
use ctrnn_model::CtrnnConfig;

use super::parts_test::{Waves, assert_close, gradients_of, network, settings};
use super::*;
use crate::Loss;
use crate::objective::config::{Omega, Pairing, PerMatrix};
use crate::objective::{Objective, Penalty};
use crate::settings::TrainConfig;

type Grad64 = Autodiff<NdArray<f64>>;

/// A gradient, by parameter.
type Numbers = BTreeMap<String, Vec<f64>>;

fn task() -> Waves {
    Waves {
        lengths: vec![10, 7, 12],
    }
}

fn weight_l2() -> Penalty {
    Penalty::WeightL2(PerMatrix {
        input: 0.1,
        recurrent: 0.2,
        output: 0.3,
        ..PerMatrix::default()
    })
}

/// Returns an objective of these penalties; terms with these names yield to the task.
fn objective(penalties: Vec<Penalty>, yielding: &[&str]) -> Objective {
    Objective {
        penalties,
        yielding: yielding.iter().map(|name| (*name).to_owned()).collect(),
        ..Loss::Mse.into()
    }
}

/// Computes the gradient of the first batch, and the loss with its terms.
fn found(config: &CtrnnConfig, train: &TrainConfig, objective: Objective) -> (Numbers, Vec<f64>) {
    let network = config.init::<Grad64>(3, &Default::default()).unwrap();
    let settings = settings(train.clone(), objective);
    let found = gradients_of(network, &task(), settings).unwrap();
    let all = found.gradients.0.iter();
    let gradients = all.map(|(p, g)| (p.name(), g.to_data().iter::<f64>().collect()));
    let numbers = found.numbers.unwrap();
    let values = std::iter::once(numbers.loss).chain(numbers.terms);
    (gradients.collect(), values.collect())
}

fn combined(left: &Numbers, right: &Numbers, factor: f64) -> Numbers {
    let mut all = left.clone();
    for (name, right) in right {
        let own = all.entry(name.clone()).or_insert(vec![0.0; right.len()]);
        own.iter_mut()
            .zip(right)
            .for_each(|(x, y)| *x += factor * y);
    }
    all
}

fn dot(left: &Numbers, right: &Numbers) -> f64 {
    let pairs = left
        .iter()
        .filter_map(|(name, own)| Some((own, right.get(name)?)));
    pairs
        .flat_map(|(a, b)| a.iter().zip(b))
        .map(|(a, b)| a * b)
        .sum()
}

/// Checks the gradient of an objective of which the term `name` yields; returns its product with the gradient of the loss before and after
/// the projection.
fn check(
    config: &CtrnnConfig,
    train: &TrainConfig,
    own: &Objective,
    others: Vec<Penalty>,
    name: &str,
) -> [f64; 2] {
    let (task, _) = found(config, train, Loss::Mse.into());
    let (with_own, _) = found(config, train, own.clone());
    let (with_others, _) = found(config, train, objective(others.clone(), &[]));
    let penalty = combined(&with_own, &task, -1.0);
    let product = dot(&penalty, &task);
    let share = product.min(0.0) / dot(&task, &task);
    let expected = combined(&combined(&with_others, &penalty, 1.0), &task, -share);
    let mut whole = own.clone();
    whole.penalties.extend(others);
    let (_, plain_values) = found(config, train, whole.clone());
    whole.yielding = vec![name.to_owned()];
    let (gradients, values) = found(config, train, whole);
    assert_close(&values, &plain_values, 1e-12, "values of the terms");
    for (parameter, expected) in &expected {
        assert_close(&gradients[parameter], expected, 1e-11, parameter);
    }
    let of_penalty = combined(&gradients, &with_others, -1.0);
    [product, dot(&of_penalty, &task)]
}

/// A penalty and its opposite oppose the task in turn: one is projected, the other stays as it is; with other penalties and without, in
/// whole batches, in parts of them, and in windows of time.
#[test]
fn a_penalty_that_yields_does_not_oppose_the_task() {
    let whole = TrainConfig {
        batch_size: 6,
        ..TrainConfig::default()
    };
    let in_parts = TrainConfig {
        batch_size: 2,
        accumulate: 3,
        ..TrainConfig::default()
    };
    let truncated = TrainConfig {
        truncate_steps: Some(4),
        ..whole.clone()
    };
    let others = [Vec::new(), vec![weight_l2()], vec![Penalty::RateL2(0.4)]];
    let mut n_opposed = 0;
    for (train, others) in [whole.clone(), in_parts, truncated, whole]
        .iter()
        .zip(others.iter().cycle())
    {
        for weight in [0.3, -0.3] {
            let own = objective(vec![Penalty::RateEntropy(weight)], &[]);
            let [before, after] = check(&network(), train, &own, others.clone(), "rate_entropy");
            n_opposed += usize::from(before < -1e-6);
            assert!(
                after > -1e-12 && (after - before.max(0.0)).abs() < 1e-12,
                "{before} {after}"
            );
        }
    }
    assert_eq!(n_opposed, 4, "one of two in each setting");
}

/// Sums of the rates within the sweep, penalties on weights alone, and Omega, which otherwise belongs to the backward pass of the loss.
#[test]
fn penalties_of_every_kind_yield() {
    let train = TrainConfig {
        batch_size: 6,
        ..TrainConfig::default()
    };
    let plain = CtrnnConfig::new(2, 3, 1);
    for (penalty, name) in [
        (Penalty::RateL2(0.5), "rate_l2"),
        (weight_l2(), "weight_l2"),
    ] {
        let own = objective(vec![penalty], &[]);
        let [_, after] = check(&plain, &train, &own, vec![Penalty::RateL1(0.2)], name);
        assert!(after > -1e-12, "{name}: {after}");
    }
    let mut own = objective(Vec::new(), &[]);
    own.omega = Some(Omega {
        weight: 0.7,
        pairing: Pairing::Paper,
        bound: 1e-20,
    });
    let [_, after] = check(&plain, &train, &own, vec![Penalty::RateL2(0.2)], "omega");
    assert!(after > -1e-12, "omega: {after}");
}

/// A term of the program's own yields, too, and a list of terms that are not there changes nothing.
#[test]
fn a_custom_term_yields() {
    let trained = |yielding: &[&str], weight: f64| {
        let network = network().init::<Grad64>(3, &Default::default()).unwrap();
        let settings = settings(TrainConfig::default(), objective(Vec::new(), yielding));
        let task = task();
        let mut trainer = Trainer::new(network, &task, settings).unwrap();
        trainer.add_loss("own", move |inputs| inputs.rates().square().mean() * weight);
        trainer.run().unwrap();
        let weights = trainer.network().weights();
        weights["layers.1.recurrent.weight"]
            .to_vec::<f64>()
            .unwrap()
    };
    assert_eq!(trained(&[], 0.4), trained(&["other"], 0.4));
    let differ = [0.4, -0.4].map(|weight| trained(&["own"], weight) != trained(&[], weight));
    assert!(differ.contains(&true), "one of the two opposes the task");
}
