//! The optimizer's update on the device against burn's in double precision.

use burn::backend::{Autodiff, NdArray};
use burn::tensor::TensorData;
use ctrnn_model::{
    AdamStep, AdamUpdate, CtrnnConfig, FusedOps, ParameterSpec, RecurrenceBackend, Weights,
    host_tensor, launches,
};
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

/// The numbers are sums of terms of this size.
fn assert_near(name: &str, size: f64, found: &TensorData, exact: &TensorData) {
    for (a, b) in found.iter::<f64>().zip(exact.iter::<f64>()) {
        assert!((a - b).abs() < 1e-6 * b.abs().max(size), "{name}: {a} {b}");
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
            assert_near(name, 0.1, &weights[name], exact);
        }
        assert_eq!(moments.len(), exact_moments.len());
        for (name, exact) in &exact_moments {
            assert_near(name, 0.1, &moments[name], exact);
        }
    }
}

/// Six parameters take 30 buffers; every device of today has as many for a launch.
#[test]
fn an_update_of_all_parameters_is_one_launch() {
    let before = launches().other;
    trained::<ctrnn_model::Gpu>(&Optimizer::default());
    assert_eq!(launches().other - before, 3);
}

/// Updates of more parameters than the software driver takes in a launch, each with its own length, coefficients and numbers.
fn updates<B: RecurrenceBackend>() -> Vec<AdamUpdate<B>> {
    let update = |(k, n): (usize, usize)| {
        let rng = &mut Rng::new(Key::new(7, Stream::Weights, 0), k as u64, 0);
        let mut normals = || {
            let numbers: Vec<f32> = (0..n).map(|_| rng.normal()).collect();
            host_tensor(TensorData::new(numbers, [n]), &Default::default())
        };
        let x = k as f32;
        AdamUpdate {
            weights: normals(),
            gradient: normals(),
            moments: [normals(), normals().abs()],
            step: AdamStep {
                keep: 1.0 - 0.01 * k as f64,
                penalty: 0.1 * x,
                betas: [0.9 - 0.05 * x, 0.99 - 0.03 * x],
                lr: 0.001 * (k + 1) as f64,
                correction: 1.0 + 0.5 * x,
                eps: 0.01 * (x + 1.0),
            },
        }
    };
    [1, 300, 7, 256, 1000, 3, 64, 257, 2, 5000]
        .into_iter()
        .enumerate()
        .map(update)
        .collect()
}

#[test]
fn parameters_of_different_lengths_and_coefficients_agree_with_the_cpu() {
    let found = ctrnn_model::Gpu::adam(updates());
    let exact = NdArray::<f64>::adam(updates());
    assert_eq!(found.len(), exact.len());
    for (k, (found, exact)) in found.into_iter().zip(exact).enumerate() {
        for (found, exact) in found.into_iter().zip(exact) {
            assert_eq!(found.dims(), exact.dims());
            assert_near(
                &format!("parameter {k}"),
                1.0,
                &found.to_data(),
                &exact.to_data(),
            );
        }
    }
}
