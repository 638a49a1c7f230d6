//! Tests of the invariants of training: signs, masks, fixed and frozen weights, for every optimizer and any gradient.

use std::path::Path;

use burn::backend::{Autodiff, NdArray};
use burn::tensor::{Tensor, TensorData};
use ctrnn_files::TensorFile;
use ctrnn_model::{
    Activation, Area, Balance, CtrnnConfig, CtrnnModule, Dale, Factor, Forward, FullMatrix,
    InitialState, LearnedTimeConstants, LowRank, Matrix, Named, Parameter, Parametrization,
    Projection, ReadoutSigns, TimeConstants, Weights, host_tensor,
};
use ctrnn_random::{Key, Rng, Stream};
use ctrnn_train::{AdaGrad, Adam, AdamW, Clip, Gradients, Optimizer, OptimizerState, RmsProp, Sgd};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use crate::weights::weight_file::{safetensors_bytes, tensors_of};

type Inner = NdArray<f32>;
type Grad = Autodiff<Inner>;

const N: usize = 6;

/// Returns every optimizer, with all options enabled that move a weight apart from its gradient.
fn optimizers(lr: f64) -> Vec<Optimizer> {
    vec![
        Optimizer::Adam(Adam {
            lr,
            weight_decay: 0.1,
            ..Adam::default()
        }),
        Optimizer::AdamW(AdamW {
            lr,
            weight_decay: 0.1,
            ..AdamW::default()
        }),
        Optimizer::Sgd(Sgd {
            lr,
            momentum: 0.9,
            nesterov: true,
            weight_decay: 0.1,
        }),
        Optimizer::RmsProp(RmsProp {
            lr,
            ..RmsProp::default()
        }),
        Optimizer::AdaGrad(AdaGrad {
            lr,
            ..AdaGrad::default()
        }),
    ]
}

/// Draws constraints of every kind: given or random masks, fixed weights and plasticity of each matrix, signs by a
/// fraction or a list.
fn any_constraints(rng: &mut Rng) -> CtrnnConfig {
    let mut coin = || rng.below(2) == 0;
    let (has_dale, is_listed) = (!coin() || coin(), coin());
    let mut config = CtrnnConfig {
        positive_input: coin(),
        self_connections: coin(),
        ..CtrnnConfig::new(3, N, 2)
    };
    if has_dale {
        let signs = is_listed.then(|| (0..N).map(|_| sign(rng)).collect());
        let fraction = (!is_listed).then(|| rng.uniform());
        config.dale = Some(Dale {
            signs,
            excitatory_fraction: fraction,
            parametrization: Parametrization::ALL[rng.below(4) as usize],
            readout: ReadoutSigns::ALL[rng.below(3) as usize],
        });
    }
    for matrix in Matrix::ALL {
        add_constraints(&mut config, matrix, rng);
    }
    config
}

fn sign(rng: &mut Rng) -> i64 {
    [1, -1][rng.below(2) as usize]
}

fn add_constraints(config: &mut CtrnnConfig, matrix: Matrix, rng: &mut Rng) {
    let signs = signs_of(config, matrix);
    let has_self_connections = config.self_connections;
    let is_for_excitation = matrix == Matrix::Output
        && (config.dale.as_ref()).is_some_and(|d| d.readout == ReadoutSigns::Excitatory);
    let [post, pre] = matrix.shape(config);
    let connections = config.connectivity.of_mut(matrix);
    match rng.below(3) {
        0 => {
            *match matrix {
                Matrix::Input => &mut config.density.input,
                Matrix::Recurrent => &mut config.density.recurrent,
                Matrix::Output => &mut config.density.output,
            } = rng.uniform();
        }
        1 => {
            let mask = (0..post * pre).map(|_| rng.below(2) as f64);
            connections.mask = Some(mask.collect());
        }
        _ => {}
    }
    if rng.below(2) == 0 {
        let fixed = |k: usize| {
            let (row, col) = (k / pre, k % pre);
            let is_possible = connections.mask.as_ref().is_none_or(|mask| mask[k] == 1.0)
                && (matrix != Matrix::Recurrent || has_self_connections || row != col)
                && !(is_for_excitation && signs.as_ref().is_some_and(|s| s[col] < 0.0));
            let sign = signs.as_ref().map_or(1.0, |signs| signs[col]);
            if is_possible && k % 4 == 1 {
                0.3 * sign
            } else {
                0.0
            }
        };
        connections.fixed = Some((0..post * pre).map(fixed).collect());
    }
    if rng.below(2) == 0 {
        let rate = (0..post * pre).map(|_| 0.5 * rng.below(4) as f64);
        connections.plasticity = Some(rate.collect());
    }
}

/// Returns the sign of each presynaptic unit as configured.
fn signs_of(config: &CtrnnConfig, matrix: Matrix) -> Option<Vec<f64>> {
    match (matrix, &config.dale) {
        (Matrix::Input, _) => config.positive_input.then(|| vec![1.0; 3]),
        (Matrix::Output, Some(dale)) if dale.readout == ReadoutSigns::Free => None,
        (_, dale) => dale.as_ref().map(|dale| dale.unit_signs(N)),
    }
}

/// Creates a network with constraints of every kind, and randomly with learned time constants and frozen groups.
fn any_network(seed: u64) -> CtrnnModule<Grad> {
    let rng = &mut Rng::new(Key::new(seed, Stream::Trials, 0), 1, 0);
    let mut config = any_constraints(rng);
    if rng.below(2) == 0 {
        config.tau_ms = TimeConstants::Learned(LearnedTimeConstants {
            initial: Box::new(100.0.into()),
            bounds: [20.0, 500.0],
            per_unit: rng.below(2) == 0,
        });
    }
    let groups = ["input", "recurrent.bias", "output", "tau_raw"];
    let is_frozen = |_: &&str| rng.below(4) == 0;
    config.frozen = groups
        .into_iter()
        .filter(is_frozen)
        .map(str::to_owned)
        .collect();
    config.init.balance = Some(Balance::None); // such constraints may rule it out
    config.init(seed, &Default::default()).unwrap()
}

/// Draws normal gradients for every parameter, including frozen and masked ones: a stricter test than the gradient of
/// any loss.
fn any_gradients(network: &CtrnnModule<Grad>, seed: u64, step: u64) -> Gradients<Inner> {
    let mut rng = Rng::new(Key::new(seed, Stream::Trials, 0), 0, step);
    let mut draw = |p: Parameter| {
        let len = p.shape(network.config()).iter().product();
        let values: Vec<f32> = (0..len).map(|_| rng.normal()).collect();
        (
            p,
            host_tensor(TensorData::new(values, [len]), &Default::default()),
        )
    };
    let all = network.config().parameters().into_iter();
    let trained = all.filter(|spec| spec.is_trained);
    Gradients(trained.map(|spec| draw(spec.parameter)).collect())
}

/// Checks effective weights against the configured rules.
fn assert_obeys(weights: &Weights, initial: &Weights, config: &CtrnnConfig) {
    let connectivity = &config.connectivity;
    let taus: Vec<f64> = weights["tau_ms"].iter().collect();
    assert!(
        taus.iter().all(|tau| (20.0..=500.0).contains(tau)),
        "{taus:?}"
    );
    let all = config.parameters().into_iter().map(|spec| spec.parameter);
    for p in all.filter(|&p| config.is_frozen(p)) {
        assert_eq!(weights.get(&p.name()), initial.get(&p.name()), "{p:?}");
    }
    let values = |weights: &Weights, name: &str| -> Option<Vec<f64>> {
        weights.get(name).map(|data| data.iter().collect())
    };
    for matrix in Matrix::ALL {
        let name = matrix.array("weight");
        let effective = values(weights, &name).unwrap();
        let [_, pre] = weights[&name].shape[..] else {
            panic!("a matrix")
        };
        let mask = values(initial, &matrix.array("mask"));
        assert_eq!(values(weights, &matrix.array("mask")), mask);
        let fixed = connectivity.of(matrix).fixed.as_ref();
        let signs = signs_of(config, matrix);
        for (k, &w) in effective.iter().enumerate() {
            let (row, col) = (k / pre, k % pre);
            let at = format!("{name}[{row}, {col}] = {w}");
            assert!(w.is_finite(), "{at}");
            assert!(
                signs.as_ref().is_none_or(|s| s[col] * w >= 0.0),
                "{at}: sign"
            );
            assert!(
                mask.as_ref().is_none_or(|m| m[k] == 1.0 || w == 0.0),
                "{at}: mask"
            );
            let fixed = fixed.map_or(0.0, |f| f[k]);
            assert!(fixed == 0.0 || w == f64::from(fixed as f32), "{at}: fixed");
            let is_loop = matrix == Matrix::Recurrent && row == col;
            assert!(
                config.self_connections || !is_loop || w == 0.0,
                "{at}: self-connection"
            );
        }
        let plasticity = connectivity.of(matrix).plasticity.as_ref();
        let before = values(initial, &name).unwrap();
        let stays = |k: usize| plasticity.is_none_or(|p| p[k] > 0.0) || effective[k] == before[k];
        assert!(
            (0..effective.len()).all(stays),
            "{name}: a synapse without plasticity moved"
        );
    }
    if let (Some(dale), Some(w)) = (&config.dale, values(weights, "output.weight")) {
        let signs = dale.unit_signs(N);
        let reaches = |k: usize| signs[k % N] > 0.0 || w[k] == 0.0;
        assert!(dale.readout != ReadoutSigns::Excitatory || (0..w.len()).all(reaches));
    }
}

/// Returns the weights after writing them to a file and reading them back.
fn through_a_file(weights: &Weights) -> Weights {
    let bytes = safetensors_bytes(weights, Default::default());
    tensors_of(
        TensorFile::from_bytes(&bytes, Path::new("weights"))
            .unwrap()
            .tensors,
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, rng_seed: RngSeed::Fixed(5), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_step_of_any_optimizer_breaks_a_constraint(
        lr in 1e-4..0.1,
        rule in 0..5_usize,
        seed in 0..1_000_000_u64,
    ) {
        let mut network = any_network(seed);
        let config = network.config().clone();
        let initial = network.weights();
        assert_obeys(&initial, &initial, &config);
        let rule = optimizers(lr).swap_remove(rule);
        let mut optimizer = OptimizerState::<Inner>::new(rule);
        for step in 0..50 {
            let gradients = any_gradients(&network, seed, step);
            network = optimizer.step(lr, network, gradients);
            assert_obeys(&network.weights(), &initial, &config);
        }
        let written = network.weights();
        let read = through_a_file(&written);
        assert_obeys(&read, &initial, &config);
        let loaded = CtrnnModule::<Grad>::from_weights(&config, &read, &Default::default()).unwrap();
        prop_assert_eq!(loaded.weights(), written);
    }
}

/// Trains ten steps with true gradients.
fn trained(mut network: CtrnnModule<Grad>, rule: Optimizer) -> CtrnnModule<Grad> {
    let mut optimizer = OptimizerState::<Inner>::new(rule.clone());
    for _ in 0..10 {
        let inputs: Tensor<Grad, 3> = host_tensor(
            TensorData::new(vec![1.0; 24], [2, 4, 3]),
            &Default::default(),
        );
        let outputs = network.forward(inputs, &Forward::default()).outputs;
        let loss = (outputs - 1.0).square().sum();
        let gradients = Gradients::of(&network, loss.backward());
        let norm = gradients.global_norm();
        network = optimizer.step(
            rule.lr(),
            network,
            gradients.clipped(&norm, Clip::GlobalNorm(1.0)),
        );
    }
    network
}

fn bits(weights: &Weights) -> Vec<(String, Vec<u32>)> {
    let bits = |data: &TensorData| data.iter::<f32>().map(f32::to_bits).collect();
    weights
        .iter()
        .map(|(name, data)| (name.clone(), bits(data)))
        .collect()
}

#[test]
fn what_is_frozen_keeps_every_bit() {
    for rule in optimizers(0.1) {
        let mut config = CtrnnConfig::new(3, N, 2);
        let free = ["input.weight", "initial_state"];
        config.frozen = vec![
            "recurrent".into(),
            "output.weight".into(),
            "output.bias".into(),
        ];
        let start = config.init::<Grad>(1, &Default::default()).unwrap();
        let end = trained(start.clone(), rule.clone());
        for (before, after) in bits(&start.weights()).iter().zip(bits(&end.weights())) {
            let is_free = free.contains(&before.0.as_str());
            assert_eq!(*before != after, is_free, "{}: {rule:?}", before.0);
        }
        config.frozen = vec![
            "input".into(),
            "recurrent".into(),
            "output".into(),
            "initial_state".into(),
        ];
        let start = config.init::<Grad>(1, &Default::default()).unwrap();
        assert_eq!(
            bits(&trained(start.clone(), rule).weights()),
            bits(&start.weights())
        );
    }
}

/// All parameters of the 2 units of a frozen area keep every bit, and those of the other 4 units change: rows of weights, biases,
/// initial states and time constants.
#[test]
fn a_frozen_area_keeps_every_bit() {
    let area = |units| Area {
        units,
        ..Area::default()
    };
    for rule in optimizers(0.1) {
        let config = CtrnnConfig {
            areas: Named::from([("a", area(2)), ("b", area(4))]),
            projections: Named::from([("* -> *", Projection::default().into())]),
            frozen: vec!["a".to_owned()],
            activation: Activation::Tanh, // no unit is without a gradient
            tau_ms: TimeConstants::Learned(LearnedTimeConstants {
                initial: Box::new(100.0.into()),
                bounds: [20.0, 500.0],
                per_unit: true,
            }),
            ..CtrnnConfig::default()
        };
        let names = |n| (0..n).map(|k| k.to_string()).collect::<Vec<_>>();
        let config = config.resolved(&names(3), &names(2)).unwrap();
        let start = config.init::<Grad>(1, &Default::default()).unwrap();
        let end = bits(&trained(start.clone(), rule.clone()).weights());
        for ((name, before), (_, after)) in bits(&start.weights()).iter().zip(&end) {
            let width = before.len() / N;
            let moved = |k: &usize| before[*k] != after[*k];
            if name.starts_with("output") || name.starts_with("unit") {
                assert_eq!(before != after, name.starts_with("output"), "{name}");
            } else {
                let which: Vec<usize> = (0..before.len()).filter(moved).collect();
                let expected: Vec<usize> = (2 * width..before.len()).collect();
                assert_eq!(which, expected, "{name}: {rule:?}");
            }
        }
    }
}

/// The trained parts of a recurrent matrix of low rank change, the held ones keep every bit, and a weight file returns all of them.
#[test]
fn factors_are_trained_as_they_are_told_and_survive_their_file() {
    let parts = ["recurrent.weight_raw", "recurrent.left", "recurrent.right"];
    let cases = [
        (
            FullMatrix::None,
            vec![Factor::Left, Factor::Right],
            &parts[1..],
        ),
        (
            FullMatrix::Trained,
            vec![Factor::Left, Factor::Right],
            &parts[..],
        ),
        (FullMatrix::Fixed, vec![Factor::Right], &parts[2..]),
        (FullMatrix::Trained, vec![Factor::Left], &parts[..2]),
        (FullMatrix::Fixed, vec![], &[]),
    ];
    for (rule, (full, train, expected)) in optimizers(0.1).into_iter().zip(cases) {
        let config = CtrnnConfig {
            low_rank: Some(LowRank {
                rank: 2,
                full,
                train,
                ..LowRank::default()
            }),
            ..CtrnnConfig::new(3, N, 2)
        };
        let start = config.init::<Grad>(1, &Default::default()).unwrap();
        let end = trained(start.clone(), rule.clone());
        let (before, after) = (start.weights(), end.weights());
        let changed: Vec<&str> = parts
            .into_iter()
            .filter(|name| before.get(*name) != after.get(*name))
            .collect();
        assert_eq!(changed, expected, "{rule:?}");
        let effective = ["recurrent.weight"; 1].map(|name| before[name] != after[name]);
        assert_eq!(effective, [!expected.is_empty()]);
        let read = through_a_file(&after);
        let again = CtrnnModule::<Grad>::from_weights(&config, &read, &Default::default());
        assert_eq!(bits(&again.unwrap().weights()), bits(&after));
    }
}

#[test]
fn a_synapse_without_plasticity_keeps_every_bit_and_another_learns_at_its_rate() {
    for (rule, parametrization) in optimizers(0.01)
        .into_iter()
        .zip([Parametrization::Abs, Parametrization::Clamp])
    {
        let mut config = CtrnnConfig {
            dale: Some(Dale {
                parametrization,
                ..Dale::default()
            }),
            ..CtrnnConfig::new(3, N, 2)
        };
        for matrix in Matrix::ALL {
            let [post, pre] = matrix.shape(&config);
            config.connectivity.of_mut(matrix).plasticity = Some(vec![0.0; post * pre]);
        }
        config.initial_state = InitialState::Zero;
        config.frozen = vec!["recurrent.bias".into(), "output.bias".into()];
        let start = config.init::<Grad>(3, &Default::default()).unwrap();
        let end = trained(start.clone(), rule.clone());
        assert_eq!(bits(&end.weights()), bits(&start.weights()));

        // After one step, half the plasticity must give half the update.
        let moved = |rate: f64| {
            let mut config = config.clone();
            config.connectivity.recurrent.plasticity = Some(vec![rate; N * N]);
            let start = config.init::<Grad>(3, &Default::default()).unwrap();
            let gradients = any_gradients(&start, 3, 0);
            let end =
                OptimizerState::<Inner>::new(rule.clone()).step(1e-4, start.clone(), gradients);
            let raw = |network: &CtrnnModule<Grad>| {
                network.weights()["recurrent.weight_raw"]
                    .iter::<f64>()
                    .collect::<Vec<_>>()
            };
            raw(&end)
                .iter()
                .zip(raw(&start))
                .map(|(a, b)| (a - b).abs())
                .sum::<f64>()
        };
        let (half, whole) = (moved(0.5), moved(1.0));
        assert!(
            half > 0.0 && (whole / half - 2.0).abs() < 0.05,
            "{half} {whole}"
        );
    }
}
