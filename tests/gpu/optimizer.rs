//! The optimizer's update on the device against burn's in double precision.

use burn::backend::{Autodiff, NdArray};
use burn::tensor::TensorData;
use ctrnn_model::{CtrnnConfig, ParameterSpec, RecurrenceBackend, Weights, host_tensor, launches};
use ctrnn_random::{Key, Rng, Stream};
use ctrnn_train::{Adam, AdamW, Gradients, Optimizer, OptimizerState};

type Trained = (Weights, std::collections::BTreeMap<String, TensorData>);

/// Gradients that are the same on every backend; 300 units are more than a cube has threads.
fn gradients<B: RecurrenceBackend>(config: &CtrnnConfig, step: u64) -> Gradients<B> {
    let rng = &mut Rng::new(Key::new(3, Stream::Weights, 0), step, 0);
    let trained = config.parameters().into_iter().filter(|p| p.is_trained);
    let gradient = |p: ParameterSpec| {
        let n = p.n_elements();
        let numbers: Vec<f32> = (0..n).map(|_| rng.normal()).collect();
        let data = TensorData::new(numbers, [n]);
        (p.parameter, host_tensor(data, &Default::default()))
    };
    Gradients(trained.map(gradient).collect())
}

/// Weights and moments after three updates.
fn trained<B: RecurrenceBackend>(rule: &Optimizer) -> Trained {
    let config = CtrnnConfig::new(3, 300, 2);
    let device = B::Device::default();
    let mut network = config.init::<Autodiff<B>>(1, &device).unwrap();
    let mut optimizer = OptimizerState::<B>::new(rule.clone());
    for step in 0..3 {
        network = optimizer.step(0.01, network, gradients(&config, step));
    }
    (network.weights(), optimizer.state())
}

fn assert_near(name: &str, found: &TensorData, exact: &TensorData) {
    for (a, b) in found.iter::<f64>().zip(exact.iter::<f64>()) {
        assert!((a - b).abs() < 1e-6 * b.abs().max(0.1), "{name}: {a} {b}");
    }
}

#[test]
fn an_update_agrees_with_the_cpu() {
    let adam = |weight_decay| {
        Optimizer::Adam(Adam {
            weight_decay,
            ..Adam::default()
        })
    };
    let adamw = Optimizer::AdamW(AdamW {
        weight_decay: 0.5,
        ..AdamW::default()
    });
    for rule in [adam(0.0), adam(0.3), adamw] {
        let (weights, moments) = trained::<ctrnn_model::Gpu>(&rule);
        let (exact_weights, exact_moments) = trained::<NdArray<f64>>(&rule);
        for (name, exact) in &exact_weights {
            assert_near(name, &weights[name], exact);
        }
        assert_eq!(moments.len(), exact_moments.len());
        for (name, exact) in &exact_moments {
            assert_near(name, &moments[name], exact);
        }
    }
}

#[test]
fn an_update_is_one_launch_for_each_parameter() {
    let before = launches().other;
    let (_, moments) = trained::<ctrnn_model::Gpu>(&Optimizer::default());
    let parameters = moments.keys().filter(|name| name.ends_with("updates"));
    assert_eq!(launches().other - before, 3 * parameters.count());
}
