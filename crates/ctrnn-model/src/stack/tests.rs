//! Stacks against their layers run one after the other, gradients against finite differences, names.

use burn::tensor::{Tensor, TensorData};
use burn_autodiff::Autodiff;
use burn_ndarray::NdArray;

use super::*;
use crate::recurrence::tests::assert_close;
use crate::{
    Activation, Dale, Form, LearnedTimeConstants, LowRank, NoiseAddress, NoiseLevels,
    RecurrenceBackend, TimeConstants, host_tensor,
};

type F64 = NdArray<f64>;
type Grad = Autodiff<F64>;

/// Three layers that differ in size, form, time constants, constraints and noise.
fn three_layers() -> CtrnnConfig {
    let first = CtrnnConfig {
        activation: Activation::Tanh,
        tau_ms: TimeConstants::Shared(50.0),
        noise: NoiseLevels {
            preactivation: 0.3.into(),
            initial_state: 0.1,
            ..NoiseLevels::default()
        },
        ..CtrnnConfig::new(2, 4, 0)
    };
    let second = CtrnnConfig {
        form: Form::Rate,
        activation: Activation::Softplus,
        dale: Some(Dale::default()),
        tau_ms: TimeConstants::Learned(LearnedTimeConstants {
            initial: Box::new(80.0.into()),
            bounds: [20.0, 500.0],
            per_unit: true,
        }),
        noise: NoiseLevels {
            preactivation: 0.2.into(),
            input: 0.1,
            ..NoiseLevels::default()
        },
        ..CtrnnConfig::new(0, 5, 0)
    };
    let last = CtrnnConfig {
        activation: Activation::Sigmoid,
        low_rank: Some(LowRank {
            rank: 2,
            ..LowRank::default()
        }),
        noise: NoiseLevels {
            postactivation: 0.2,
            ..NoiseLevels::default()
        },
        ..CtrnnConfig::new(0, 3, 2)
    };
    CtrnnConfig::stacked(vec![first, second, last])
}

fn inputs<B: Backend>() -> Tensor<B, 3> {
    let values: Vec<f64> = (0..24).map(|k| (1.7 * f64::from(k)).sin()).collect();
    host_tensor(TensorData::new(values, [2, 6, 2]), &Default::default())
}

fn pass<B: Backend>() -> Forward<B> {
    Forward {
        noise: Noise::Drawn(NoiseAddress {
            seed: 3,
            step: 2,
            ..NoiseAddress::default()
        }),
        ..Forward::default()
    }
}

fn values<B: Backend, const D: usize>(x: &Tensor<B, D>) -> Vec<f64> {
    x.to_data().iter().collect()
}

#[test]
fn a_stack_is_its_layers_one_after_the_other() {
    let network = three_layers().init::<F64>(5, &Default::default()).unwrap();
    let record = Forward {
        record: Record::ALL,
        ..pass()
    };
    let stack = network.forward(inputs(), &record);
    let mut seen = inputs();
    for (number, states) in stack.layers().enumerate() {
        let alone = network.layer(number).forward(seen, &record);
        let rates = alone.rates.unwrap();
        assert_eq!(values(states.rates.as_ref().unwrap()), values(&rates));
        assert_eq!(
            values(states.potentials.as_ref().unwrap()),
            values(&alone.potentials.unwrap())
        );
        assert_eq!(values(&states.outputs), values(&alone.outputs));
        seen = rates;
    }
    assert_eq!(stack.outputs.dims(), [2, 6, 2]);
    let unrecorded = network.forward(inputs(), &pass());
    assert!(unrecorded.layers().all(|states| states.rates.is_none()));
    assert_eq!(values(&unrecorded.outputs), values(&stack.outputs));
}

/// A first layer draws what a network of one layer draws; a later one of the same kind has draws of its own.
#[test]
fn layers_have_draws_of_their_own() {
    let alone = CtrnnConfig::new(4, 4, 2);
    let stack = CtrnnConfig::stacked(vec![alone.clone(), alone.clone()]);
    let device = Default::default();
    let [one, two] = [alone, stack].map(|config| config.init::<F64>(7, &device).unwrap().weights());
    for name in ["input.weight", "recurrent.weight"] {
        assert_eq!(one[name], two[name]);
        assert_ne!(two[&format!("layers.1.{name}")], two[name]);
    }
}

#[test]
fn the_fused_path_agrees_with_the_plain_one() {
    fn largest_difference<B: RecurrenceBackend>() -> f64 {
        let network = three_layers().init::<B>(5, &Default::default()).unwrap();
        let record = Forward {
            record: Record::ALL,
            ..pass()
        };
        let fused = network.forward(inputs(), &record);
        let plain = network.forward_reference(inputs(), &record);
        let all = |states: &Trajectory<B>| {
            let rates = states
                .layers()
                .flat_map(|layer| values(layer.rates.as_ref().unwrap()));
            rates.chain(values(&states.outputs)).collect::<Vec<_>>()
        };
        let differences = all(&fused).into_iter().zip(all(&plain));
        differences.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
    }
    assert!(largest_difference::<F64>() < 1e-12);
    assert!(largest_difference::<NdArray<f32>>() < 1e-5);
}

fn loss<B: Backend>(states: &Trajectory<B>) -> Tensor<B, 1> {
    let rates = states
        .layers()
        .map(|layer| layer.rates.clone().unwrap().square().mean());
    rates.fold(states.outputs.clone().square().sum(), |sum, rates| {
        sum + rates
    })
}

fn recorded<B: Backend>(recompute: bool) -> Forward<B> {
    Forward {
        record: Record::RATES,
        recompute,
        ..pass()
    }
}

/// Central differences in double precision, for each entry of each parameter of each layer; with and without recomputation.
#[test]
fn gradients_agree_with_finite_differences() {
    let config = three_layers();
    let device = Default::default();
    let weights = config.init::<F64>(5, &device).unwrap().weights();
    let at = |weights: &Weights| {
        let network = CtrnnModule::<F64>::from_weights(&config, weights, &device).unwrap();
        values(&loss(&network.forward(inputs(), &recorded(false))))[0]
    };
    let network = CtrnnModule::<Grad>::from_weights(&config, &weights, &device).unwrap();
    let found = |recompute| {
        let grads = loss(&network.forward(inputs(), &recorded(recompute))).backward();
        gradients(&network, &grads)
    };
    let (found, recomputed) = (found(false), found(true));
    let trained = config
        .parameters()
        .into_iter()
        .filter(|spec| spec.is_trained);
    for spec in trained {
        let own = &found[&spec.parameter];
        assert_close(&recomputed[&spec.parameter], own, 1e-12);
        let layer = config.layer(usize::from(spec.parameter.layer));
        let name = spec.parameter.name();
        let raw = format!("{name}_raw");
        let is_raw = layer.dale.is_some() && weights.contains_key(&raw);
        let name = if is_raw { raw } else { name };
        for (k, own) in own.iter().enumerate() {
            let moved = |by: f64| {
                let mut weights = weights.clone();
                let data = &weights[&name];
                let shape = data.shape.clone();
                let mut values: Vec<f64> = data.iter().collect();
                values[k] += by;
                weights.insert(name.clone(), TensorData::new(values, shape));
                // The effective weights, and the time constants, follow from what is trained.
                for follows in [
                    "layers.1.recurrent.weight",
                    "layers.2.recurrent.weight",
                    "layers.1.tau_ms",
                ] {
                    weights.remove(follows);
                }
                at(&weights)
            };
            let expected = (moved(1e-5) - moved(-1e-5)) / 2e-5;
            assert!(
                (own - expected).abs() <= 1e-6 * (1.0 + expected.abs()),
                "{name} {k}: {own} is not {expected}"
            );
        }
    }
}

fn gradients(
    network: &CtrnnModule<Grad>,
    grads: &<Grad as burn::tensor::backend::AutodiffBackend>::Gradients,
) -> std::collections::BTreeMap<Parameter, Vec<f64>> {
    struct Collect<'a> {
        by_id: std::collections::HashMap<burn::module::ParamId, Parameter>,
        grads: &'a <Grad as burn::tensor::backend::AutodiffBackend>::Gradients,
        found: std::collections::BTreeMap<Parameter, Vec<f64>>,
    }
    impl burn::module::ModuleVisitor<Grad> for Collect<'_> {
        fn visit_float<const D: usize>(&mut self, param: &burn::module::Param<Tensor<Grad, D>>) {
            if let (Some(parameter), Some(gradient)) =
                (self.by_id.get(&param.id), param.val().grad(self.grads))
            {
                let before = self.found.insert(*parameter, values(&gradient));
                assert_eq!(before, None, "{parameter} twice");
            }
        }
    }
    let mut collect = Collect {
        by_id: network.config().parameters_by_id(),
        grads,
        found: Default::default(),
    };
    burn::module::Module::visit(network, &mut collect);
    collect.found
}

#[test]
fn names_begin_with_the_layer_but_those_of_the_readout() {
    let network = three_layers().init::<F64>(5, &Default::default()).unwrap();
    let names: Vec<String> = network.weights().into_keys().collect();
    let expected = [
        "initial_state",
        "input.weight",
        "layers.1.initial_state",
        "layers.1.input.weight",
        "layers.1.recurrent.bias",
        "layers.1.recurrent.sign",
        "layers.1.recurrent.weight",
        "layers.1.recurrent.weight_raw",
        "layers.1.tau_ms",
        "layers.1.tau_raw",
        "layers.2.initial_state",
        "layers.2.input.weight",
        "layers.2.recurrent.bias",
        "layers.2.recurrent.left",
        "layers.2.recurrent.right",
        "layers.2.recurrent.weight",
        "layers.2.tau_ms",
        "output.bias",
        "output.weight",
        "recurrent.bias",
        "recurrent.weight",
        "tau_ms",
    ];
    assert_eq!(names, expected);
    let parameters = network.config().parameters();
    let mut trained = parameters.iter().filter(|spec| spec.is_trained);
    assert!(trained.all(|spec| names.contains(&spec.parameter.name())));
    assert_eq!(network.summary().unwrap().parameters.len(), 16);
}

#[test]
fn weights_are_written_and_read_and_replaced_by_layer() {
    let config = three_layers();
    let device = Default::default();
    let network = config.init::<F64>(5, &device).unwrap();
    let weights = network.weights();
    let again = CtrnnModule::<F64>::from_weights(&config, &weights, &device).unwrap();
    assert_eq!(again.weights(), weights);
    let bias = TensorData::new(vec![0.5; 5], [5]);
    let name = "layers.1.recurrent.bias".to_owned();
    let changed = network
        .clone()
        .with_weights(&[(name.clone(), bias.clone())].into());
    let changed = changed.unwrap().weights();
    assert_eq!(changed[&name], bias);
    assert_eq!(changed["recurrent.bias"], weights["recurrent.bias"]);
    let refused = |name: &str, data: TensorData| {
        let given = [(name.to_owned(), data)].into();
        network
            .clone()
            .with_weights(&given)
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        refused(
            "layers.1.recurrent.bias",
            TensorData::new(vec![0.5; 4], [4])
        ),
        "layers.1.recurrent.bias has shape [4], but this network needs [5]"
    );
    assert_eq!(
        refused("layers.3.recurrent.bias", bias.clone()),
        "layers.3.recurrent.bias is not a tensor of this network; it has the layers 0 to 2"
    );
    for unknown in [
        "layers.0.recurrent.bias",
        "layers.1.output.bias",
        "layers.x",
    ] {
        let said = refused(unknown, bias.clone());
        assert!(
            said.starts_with(&format!("{unknown} is not a tensor")),
            "{said}"
        );
    }
}

/// Trials agree until their ends in every layer; everything later is 0.
#[test]
fn a_trial_may_end_early_in_every_layer() {
    let network = three_layers().init::<F64>(5, &Default::default()).unwrap();
    let record = |lengths| Forward {
        lengths,
        record: Record::RATES,
        ..pass()
    };
    let whole = network.forward(inputs(), &record(Vec::new()));
    let short = network.forward(inputs(), &record(vec![6, 3]));
    for (short, whole) in short.layers().zip(whole.layers()) {
        let rates = |states: &Trajectory<F64>| values(states.rates.as_ref().unwrap());
        let (short, whole) = (rates(short), rates(whole));
        let half = short.len() * 3 / 4;
        assert_close(&short[..half], &whole[..half], 1e-12);
        assert!(short[half..].iter().all(|&rate| rate == 0.0));
    }
    let second = whole.of_trials(&[1]);
    assert_eq!(second.below[0].rates.as_ref().unwrap().dims(), [1, 6, 4]);
    assert_eq!(second.below[0].outputs.dims(), [1, 6, 0]);
}

#[test]
fn each_layer_carries_its_own_state() {
    let carries = |config| CtrnnConfig {
        initial_state: InitialState::Carry,
        ..config
    };
    let layers = [CtrnnConfig::new(2, 4, 0), CtrnnConfig::new(0, 3, 2)];
    let config = CtrnnConfig::stacked(layers.map(carries).to_vec());
    let device = Default::default();
    let mut network = config.init::<F64>(5, &device).unwrap();
    let whole = network.forward(inputs(), &Forward::default());
    let half = |first: usize| inputs().narrow(1, first, 3);
    let first = network.forward(half(0), &Forward::default());
    network.carry_states(&first);
    let again = CtrnnModule::<F64>::from_weights(&config, &network.weights(), &device).unwrap();
    let carried = Forward {
        initial_state: again.carried_state(2),
        below: again.carried_below(2, &Noise::Off),
        ..Forward::default()
    };
    let second = again.forward(half(3), &carried);
    let expected = whole.outputs.narrow(1, 3, 3);
    assert_close(&values(&second.outputs), &values(&expected), 1e-12);
    assert!(again.carried_below(1, &Noise::Off).is_empty());
}

#[test]
fn a_word_freezes_all_layers_or_one() {
    let frozen = |word: &str| {
        let mut config = three_layers();
        config.frozen = vec![word.to_owned()];
        config.check().unwrap();
        let all = config.parameters().into_iter().map(|spec| spec.parameter);
        let frozen = all.filter(|parameter| config.is_frozen(*parameter));
        frozen.map(Parameter::name).collect::<Vec<_>>()
    };
    assert_eq!(
        frozen("input"),
        [
            "input.weight",
            "layers.1.input.weight",
            "layers.2.input.weight"
        ]
    );
    assert_eq!(
        frozen("layers.2.recurrent"),
        [
            "layers.2.recurrent.left",
            "layers.2.recurrent.right",
            "layers.2.recurrent.bias"
        ]
    );
    assert_eq!(frozen("layers.0.initial_state"), ["initial_state"]);
    assert_eq!(frozen("output"), ["output.weight", "output.bias"]);
    for unknown in ["layers.3.recurrent", "layers.1.output", "layers.1"] {
        let mut config = three_layers();
        config.frozen = vec![unknown.to_owned()];
        let said = config.check().unwrap_err().to_string();
        assert!(said.contains("of one layer: layers.1.recurrent"), "{said}");
    }
}

#[test]
fn rules_name_the_layer() {
    let broken = |change: &dyn Fn(&mut CtrnnConfig)| {
        let mut config = three_layers();
        change(&mut config);
        let Err(ModelError::Config(found)) = config.check() else {
            panic!("not refused");
        };
        let all = found
            .iter()
            .map(|v| (v.keys.first().map(|(key, _)| key.clone()), v.to_string()));
        all.collect::<Vec<_>>()
    };
    let one = |change: &dyn Fn(&mut CtrnnConfig)| {
        let [(key, said)] = &broken(change)[..] else {
            panic!("{:?}", broken(change));
        };
        (key.clone().unwrap_or_default(), said.clone())
    };
    let (key, said) = one(&|config| config.below[1].activation = Activation::Tanh);
    assert_eq!(key, "model.layer[1].activation");
    assert!(said.contains("model.layer[1].activation may be"), "{said}");
    let (key, said) = one(&|config| config.noise.input = -1.0);
    assert_eq!(key, "model.layer[2].noise.input");
    assert!(
        said.contains("`train-ctrnn config explain model.noise.input`"),
        "{said}"
    );
    let (key, said) = one(&|config| config.below[0].noise.postactivation = 0.1);
    assert_eq!(key, "model.layer[0].noise.postactivation");
    assert!(said.contains("give it in the last layer"), "{said}");
    let (_, said) = one(&|config| config.below[0].n_units = 6);
    assert!(said.contains("CtrnnConfig::stacked"), "{said}");
    let (key, _) = one(&|config| config.n_outputs = 0);
    assert_eq!(key, "");
}

/// Another time step is that of every layer.
#[test]
fn a_stack_runs_at_another_time_step() {
    let network = three_layers().init::<F64>(5, &Default::default()).unwrap();
    let faster = network.clone().with_dt_ms(10.0).unwrap();
    assert!(faster.config().layers().all(|layer| layer.dt_ms == 10.0));
    let rates = |network: &CtrnnModule<F64>| {
        let states = network.forward(
            inputs(),
            &Forward {
                record: Record::RATES,
                ..Forward::default()
            },
        );
        values(states.below[0].rates.as_ref().unwrap())
    };
    assert_ne!(rates(&faster), rates(&network));
    assert!(network.with_dt_ms(60.0).is_err());
}
