//! Networks of several layers, of low rank and of areas: rates and all gradients against the CPU in double precision, each layer by
//! one sweep.

use std::collections::{BTreeMap, HashMap};

use burn::backend::{Autodiff, NdArray};
use burn::module::{Module, ModuleVisitor, Param, ParamId};
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{Tensor, TensorData};
use ctrnn_model::{
    Activation, Area, CtrnnConfig, CtrnnModule, Dale, Form, Forward, FullMatrix,
    LearnedTimeConstants, LowRank, Named, Noise, NoiseAddress, NoiseLevels, Projection, ReadOut,
    Record, TimeConstants, TrainingBackend, Trajectory, Weights, host_tensor, launches,
};

const TRIALS: usize = 5;
const STEPS: usize = 7;
const SEED: u64 = 5;

fn values<B: Backend, const D: usize>(x: &Tensor<B, D>) -> Vec<f64> {
    x.to_data().iter().collect()
}

/// The gradient of each parameter, by its name.
struct Gradients<'a, B: AutodiffBackend> {
    names: HashMap<ParamId, String>,
    gradients: &'a B::Gradients,
    found: BTreeMap<String, Vec<f64>>,
}

impl<B: AutodiffBackend> ModuleVisitor<B> for Gradients<'_, B> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        let name = self.names.get(&param.id);
        let gradient = param.val().grad(self.gradients);
        if let Some((name, gradient)) = name.zip(gradient) {
            self.found.insert(name.clone(), values(&gradient));
        }
    }
}

fn loss<B: Backend>(states: &Trajectory<B>) -> Tensor<B, 1> {
    let rates = states.layers().filter_map(|layer| layer.rates.clone());
    rates.fold(states.outputs.clone().square().sum(), |sum, rates| {
        sum + rates.square().mean()
    })
}

/// Runs a pass under noise and returns outputs, recorded rates and all gradients by name.
fn results<B: TrainingBackend>(
    config: &CtrnnConfig,
    weights: &Weights,
    record: Record,
) -> BTreeMap<String, Vec<f64>> {
    let device = Default::default();
    let network = CtrnnModule::<B>::from_weights(config, weights, &device).unwrap();
    let shape = [TRIALS, STEPS, config.first_layer().n_inputs];
    let inputs = (0..shape.iter().product()).map(|k: usize| (1.7 * k as f32).sin());
    let inputs = TensorData::new(inputs.collect::<Vec<f32>>(), shape);
    let forward = Forward {
        noise: Noise::Drawn(NoiseAddress {
            seed: 3,
            step: 2,
            first_trial: 0,
            ..NoiseAddress::default()
        }),
        record,
        ..Forward::default()
    };
    let states = network.forward(host_tensor(inputs, &device), &forward);
    let gradients = loss(&states).backward();
    let parameters = config.parameters_by_id().into_iter();
    let mut visitor = Gradients::<B> {
        names: parameters
            .map(|(id, parameter)| (id, format!("gradient of {}", parameter.name())))
            .collect(),
        gradients: &gradients,
        found: BTreeMap::new(),
    };
    network.visit(&mut visitor);
    let mut found = visitor.found;
    // A fixed full matrix has no gradient.
    let parameters = config.parameters();
    let trained = parameters
        .iter()
        .filter(|spec| spec.is_trained && !config.is_frozen(spec.parameter));
    assert_eq!(found.len(), trained.count());
    found.insert("outputs".to_owned(), values(&states.outputs));
    for (number, layer) in states.layers().enumerate() {
        if let Some(rates) = &layer.rates {
            found.insert(format!("rates of layer {number}"), values(rates));
        }
    }
    found
}

/// `|a - b| / |b|`
fn relative_error(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    let norm = |x: &mut dyn Iterator<Item = f64>| x.map(|x| x * x).sum::<f64>().sqrt();
    let difference = norm(&mut a.iter().zip(b).map(|(a, b)| a - b));
    difference / norm(&mut b.iter().copied()).max(1e-3)
}

/// Asserts that the network runs by one sweep for each layer, and that everything agrees with double precision.
fn assert_fused(config: &CtrnnConfig) {
    config.check().unwrap();
    assert_eq!(config.without_gpu_kernels(), [""; 0]);
    let network = config.init::<NdArray<f64>>(SEED, &Default::default());
    let weights = network.unwrap().weights();
    for record in [Record::default(), Record::RATES] {
        let before = launches();
        let found = results::<Autodiff<ctrnn_model::Gpu>>(config, &weights, record);
        let after = launches();
        let loops = [
            after.forward - before.forward,
            after.backward - before.backward,
        ];
        assert_eq!(loops, [config.n_layers(); 2], "a sweep for each layer");
        let exact = results::<Autodiff<NdArray<f64>>>(config, &weights, record);
        assert!(found.keys().eq(exact.keys()));
        for (name, exact) in exact {
            let error = relative_error(&found[&name], &exact);
            assert!(error < 1e-5, "{name}: {error:e}");
        }
    }
}

fn noise() -> NoiseLevels {
    NoiseLevels {
        preactivation: 0.2.into(),
        input: 0.1,
        initial_state: 0.1,
        ..NoiseLevels::default()
    }
}

fn voltage_layer(inputs: usize, units: usize, outputs: usize) -> CtrnnConfig {
    CtrnnConfig {
        activation: Activation::Tanh,
        tau_ms: TimeConstants::Shared(50.0),
        noise: noise(),
        ..CtrnnConfig::new(inputs, units, outputs)
    }
}

/// A layer under Dale's law with learned time constants.
fn rate_layer(units: usize) -> CtrnnConfig {
    CtrnnConfig {
        form: Form::Rate,
        activation: Activation::Softplus,
        dale: Some(Dale::default()),
        positive_input: true,
        tau_ms: TimeConstants::Learned(LearnedTimeConstants {
            initial: Box::new(80.0.into()),
            bounds: [20.0, 500.0],
            per_unit: true,
        }),
        noise: noise(),
        ..CtrnnConfig::new(0, units, 0)
    }
}

fn low_rank(full: FullMatrix) -> Option<LowRank> {
    Some(LowRank {
        rank: 2,
        full,
        ..LowRank::default()
    })
}

/// The gradient of a lower layer comes from its own rates, where they are recorded, and as that of the inputs of the layer above.
#[test]
fn each_layer_of_a_stack_is_one_sweep() {
    let last = || CtrnnConfig {
        noise: NoiseLevels {
            postactivation: 0.2,
            ..noise()
        },
        ..voltage_layer(0, 9, 2)
    };
    assert_fused(&CtrnnConfig::stacked(vec![voltage_layer(2, 33, 0), last()]));
    let three = vec![voltage_layer(2, 33, 0), rate_layer(20), last()];
    assert_fused(&CtrnnConfig::stacked(three));
}

#[test]
fn a_matrix_of_low_rank_is_one_sweep() {
    let learned = TimeConstants::Learned(LearnedTimeConstants {
        initial: Box::new(80.0.into()),
        bounds: [20.0, 500.0],
        per_unit: false,
    });
    for (full, form) in [
        (FullMatrix::None, Form::Voltage),
        (FullMatrix::Trained, Form::Rate),
        (FullMatrix::Fixed, Form::Voltage),
    ] {
        assert_fused(&CtrnnConfig {
            form,
            low_rank: low_rank(full),
            tau_ms: learned.clone(),
            ..voltage_layer(3, 40, 2)
        });
    }
}

#[test]
fn a_layer_of_low_rank_below_another_is_one_sweep() {
    let first = CtrnnConfig {
        low_rank: low_rank(FullMatrix::None),
        ..voltage_layer(2, 33, 0)
    };
    assert_fused(&CtrnnConfig::stacked(vec![first, voltage_layer(0, 9, 2)]));
}

/// Areas are masks, which the weights have passed before the sweep.
#[test]
fn areas_and_projections_are_one_sweep() {
    let names = |names: [&str; 2]| names.map(str::to_owned);
    let area = |units| Area {
        units,
        excitatory_fraction: Some(0.8),
        ..Area::default()
    };
    let motor = Area {
        inputs: Some(Vec::new()),
        read_out: Some(ReadOut::All(true)),
        ..area(15)
    };
    let sparse = Projection {
        density: Some(0.3),
        ..Projection::default()
    };
    let config = CtrnnConfig {
        activation: Activation::Softplus,
        noise: noise(),
        areas: Named::from([("sensory", area(20)), ("motor", motor)]),
        projections: Named::from([
            ("sensory -> motor", sparse.into()),
            ("motor -> sensory", Projection::default().into()),
        ]),
        ..CtrnnConfig::default()
    };
    let config = config
        .resolved(&names(["a", "b"]), &names(["x", "y"]))
        .unwrap();
    assert_fused(&config);
}
