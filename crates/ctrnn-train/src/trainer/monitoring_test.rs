//! Gradients of single terms against those of whole objectives.

use std::collections::BTreeMap;

use burn::backend::{Autodiff, NdArray};
use ctrnn_model::CtrnnConfig;

use super::parts_test::{Waves, network, settings};
use super::*;
use crate::monitors::monitored_pass;
use crate::objective::config::PerMatrix;
use crate::objective::{Objective, Penalty};
use crate::settings::TrainConfig;
use crate::{Loss, Monitored};

type Grad64 = Autodiff<NdArray<f64>>;
type Inner = NdArray<f64>;

fn penalties() -> Vec<Penalty> {
    let all = PerMatrix {
        input: 0.1,
        recurrent: 0.2,
        output: 0.3,
        ..PerMatrix::default()
    };
    vec![Penalty::WeightL2(all), Penalty::RateL2(0.2)]
}

fn trainer<'a>(
    task: &'a Waves,
    config: &CtrnnConfig,
    penalties: Vec<Penalty>,
) -> Trainer<'a, Grad64> {
    let objective = Objective {
        penalties,
        ..Loss::Mse.into()
    };
    let mut settings = settings(TrainConfig::default(), objective);
    settings.validate.trials = 5;
    settings.validate.monitors = true;
    let network = config.init(3, &Default::default()).unwrap();
    Trainer::new(network, task, settings).unwrap()
}

/// Returns the gradient of a whole objective on the monitored trials, as one vector per parameter.
fn whole(trainer: &Trainer<Grad64>) -> BTreeMap<String, Vec<f64>> {
    let set = &trainer.validation[0];
    let (batch, mut pass) = monitored_pass(&trainer.network, set, trainer.settings.seed).unwrap();
    pass.record = trainer.minimised.record();
    let trajectory = trainer.network.forward(batch.inputs.clone(), &pass);
    let loss = trainer
        .minimised
        .of(&trainer.network, &pass, &trajectory, &batch);
    numbers(&loss.unwrap().gradients(&trainer.network))
}

fn numbers(gradients: &Gradients<Inner>) -> BTreeMap<String, Vec<f64>> {
    let all = gradients.0.iter();
    all.map(|(p, g)| (p.name(), g.to_data().iter::<f64>().collect()))
        .collect()
}

/// The gradient of a penalty is the difference that it makes to the gradient of the loss alone, and the sum of those of all terms is that
/// of the objective; the norms of the monitors are theirs.
#[test]
fn gradients_of_terms_add_up_to_that_of_the_objective() {
    let task = Waves {
        lengths: vec![5, 12, 9],
    };
    let config = network();
    let mut both = trainer(&task, &config, penalties());
    let terms = both.term_gradients().unwrap();
    let names: Vec<&str> = terms.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["mse", "weight_l2", "rate_l2"]);
    let loss = whole(&trainer(&task, &config, Vec::new()));
    let mut sum: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for (k, (name, gradients)) in terms.iter().enumerate() {
        let alone = match k {
            0 => Vec::new(),
            k => vec![penalties().swap_remove(k - 1)],
        };
        let with = whole(&trainer(&task, &config, alone));
        for (parameter, own) in numbers(gradients) {
            let total = sum.entry(parameter.clone()).or_insert(vec![0.0; own.len()]);
            for (i, x) in own.iter().enumerate() {
                let before = if k == 0 { 0.0 } else { loss[&parameter][i] };
                let expected = with[&parameter][i] - before;
                assert!((x - expected).abs() < 1e-13, "{name} of {parameter}");
                total[i] += x;
            }
        }
    }
    for (parameter, expected) in whole(&both) {
        let found = &sum[&parameter];
        let is_close = found
            .iter()
            .zip(&expected)
            .all(|(a, b)| (a - b).abs() < 1e-13);
        assert!(is_close, "{parameter}: {found:?}, not {expected:?}");
    }
    let valid = burn::module::AutodiffModule::valid(&both.network);
    let Monitored { grad_norms, .. } = both.monitor(&valid).unwrap().unwrap();
    for (name, gradients) in &terms {
        let all = numbers(gradients).into_values().flatten();
        let norm = all.map(|x| x * x).sum::<f64>().sqrt();
        assert!((grad_norms[name] - norm).abs() < 1e-12 * norm, "{name}");
    }
}

#[test]
fn a_loss_without_further_terms_has_no_gradients_of_terms() {
    let task = Waves { lengths: vec![5] };
    let trainer = trainer(&task, &network(), Vec::new());
    assert!(trainer.term_gradients().unwrap().is_empty());
}

/// A penalty with the coefficient 0 for every matrix has a gradient of 0.
#[test]
fn a_penalty_without_a_coefficient_has_no_slope() {
    let task = Waves { lengths: vec![5] };
    let none = Penalty::WeightL2(PerMatrix::default());
    let trainer = trainer(&task, &network(), vec![none]);
    let terms = trainer.term_gradients().unwrap();
    let of_penalty = numbers(&terms[1].1).into_values().flatten();
    assert!(of_penalty.into_iter().all(|slope| slope == 0.0));
}
