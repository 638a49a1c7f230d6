//! Perturbed simulations against numbers worked out by hand.

use burn::backend::NdArray;
use burn::tensor::{Tensor, TensorData};
use ctrnn_files::Array;
use ctrnn_model::{
    Activation, CtrnnConfig, CtrnnModule, Dale, Forward, InitialState, Noise, NoiseAddress,
    NoiseLevels, Record, ShortTermPlasticity, SynapseKind, TimeConstants, Weights,
};
use ctrnn_tasks::Timeline;

use crate::simulation::{States, simulate, simulate_perturbed};
use crate::{
    Clamp, Current, Cut, Lesion, Perturbation, PerturbationError, Window, forward_perturbed,
};

type B = NdArray<f64>;

/// Creates two linear units with alpha = 1; the first projects to the second with weight 2, which is read out with
/// weight 1.
fn network() -> CtrnnModule<B> {
    let config = CtrnnConfig {
        tau_ms: TimeConstants::Shared(20.0),
        activation: Activation::Linear,
        initial_state: InitialState::Zero,
        ..CtrnnConfig::new(1, 2, 1)
    };
    let put = |values: &[f64], shape: &[usize]| TensorData::new(values.to_vec(), shape.to_vec());
    let given: Weights = [
        ("input.weight", put(&[1.0, 0.0], &[2, 1])),
        ("recurrent.weight", put(&[0.0, 0.0, 2.0, 0.0], &[2, 2])),
        ("output.weight", put(&[0.0, 1.0], &[1, 2])),
    ]
    .map(|(name, data)| (name.to_owned(), data))
    .into();
    let drawn = config.init(1, &Default::default()).unwrap();
    drawn.with_weights(&given).unwrap()
}

fn lesion(unit: usize, when: Window) -> Perturbation {
    Perturbation {
        lesioned: vec![Lesion {
            units: vec![unit],
            when,
        }],
        ..Perturbation::default()
    }
}

fn clamp(unit: usize, rate: f64, when: Window) -> Perturbation {
    Perturbation {
        clamped: vec![Clamp {
            units: vec![unit],
            rate,
            when,
        }],
        ..Perturbation::default()
    }
}

fn current(when: Window) -> Perturbation {
    Perturbation {
        currents: vec![Current {
            units: vec![1],
            value: 0.5,
            when,
        }],
        ..Perturbation::default()
    }
}

fn cut(when: Window) -> Perturbation {
    Perturbation {
        cut: vec![Cut {
            post: vec![1],
            pre: vec![0],
            when,
        }],
        ..Perturbation::default()
    }
}

/// Returns the output over four time steps under a constant input of 1.
fn outputs(perturbation: &Perturbation) -> Vec<f64> {
    let inputs = Array::f64(&[1, 4, 1], vec![1.0; 4]);
    let pass = Forward::default();
    let states = simulate_perturbed(&network(), &inputs, pass, &[], perturbation).unwrap();
    states.outputs.to_f64().unwrap()
}

/// The first unit is 0, 1, 1, 1 before the four steps, and the second twice that after each.
#[test]
fn every_perturbation_by_hand() {
    let always = || Window::Always;
    assert_eq!(outputs(&Perturbation::default()), [0.0, 2.0, 2.0, 2.0]);
    assert_eq!(outputs(&lesion(0, always())), [0.0; 4]);
    assert_eq!(outputs(&cut(always())), [0.0; 4]);
    assert_eq!(outputs(&clamp(0, 3.0, always())), [6.0; 4]);
    assert_eq!(outputs(&current(always())), [0.5, 2.5, 2.5, 2.5]);
}

/// Only the steps of the window are changed: the first unit has no memory, and its rate is 1 again after the window.
#[test]
fn every_perturbation_in_a_window() {
    let window = || Window::Steps(2..3);
    assert_eq!(outputs(&lesion(0, window())), [0.0, 2.0, 0.0, 2.0]);
    assert_eq!(outputs(&cut(window())), [0.0, 2.0, 0.0, 2.0]);
    assert_eq!(outputs(&clamp(0, 3.0, window())), [0.0, 2.0, 6.0, 2.0]);
    assert_eq!(outputs(&clamp(1, 7.0, window())), [0.0, 2.0, 7.0, 2.0]);
    let late = Window::Steps(2..usize::MAX);
    assert_eq!(outputs(&current(late)), [0.0, 2.0, 2.5, 2.5]);
    let mut both = lesion(0, Window::Steps(1..2));
    both.currents = current(Window::Steps(1..3)).currents;
    assert_eq!(outputs(&both), [0.0, 0.5, 2.5, 2.0]);
}

/// Each trial has its own epochs, and the second one has none of this name.
#[test]
fn an_epoch_is_a_window_of_each_trial() {
    let timeline = |epochs: &[(&'static str, usize)]| {
        let mut timeline = Timeline::default();
        epochs
            .iter()
            .for_each(|(name, steps)| timeline.push(name, *steps));
        timeline
    };
    let timelines = [
        timeline(&[("fixation", 1), ("go", 1), ("delay", 1), ("go", 1)]),
        timeline(&[("fixation", 4)]),
        timeline(&[("fixation", 2), ("go", 2)]),
        timeline(&[("fixation", 4)]),
    ];
    let inputs = Array::f64(&[4, 4, 1], vec![1.0; 16]);
    let silenced = clamp(0, 0.0, Window::Epoch("go".to_owned()));
    let pass = Forward::default();
    let states = simulate_perturbed(&network(), &inputs, pass, &timelines, &silenced).unwrap();
    let plain = [0.0, 2.0, 2.0, 2.0];
    let expected = [[0.0, 0.0, 2.0, 0.0], plain, [0.0, 2.0, 0.0, 0.0], plain];
    assert_eq!(states.outputs.to_f64().unwrap(), expected.concat());
    let first: Vec<f64> = states.rates.to_f64().unwrap();
    let first: Vec<f64> = first.chunks_exact(2).map(|row| row[0]).collect();
    assert_eq!(first[..4], [1.0, 0.0, 1.0, 0.0]);
    assert_eq!(first[8..12], [1.0, 1.0, 0.0, 0.0]);
}

#[test]
fn a_clamped_rate_is_recorded_and_an_unknown_unit_refused() {
    let clamped = clamp(1, 7.0, Window::Always);
    let inputs = Array::f64(&[1, 2, 1], vec![1.0; 2]);
    let pass = Forward::default();
    let states = simulate_perturbed(&network(), &inputs, pass, &[], &clamped).unwrap();
    assert_eq!(states.rates.to_f64().unwrap(), [1.0, 7.0, 1.0, 7.0]);
    let unknown = PerturbationError::NoSuchUnit {
        unit: 1,
        n_units: 1,
    };
    assert_eq!(clamped.check(1), Err(unknown));
}

/// With a delay of one step the second unit is that much later. A lesion in a window would need the rates before it.
#[test]
fn a_delayed_network_is_perturbed_all_the_time_or_by_currents() {
    let (original, weights) = (network(), network().weights());
    let mut config = original.config().clone();
    config.connectivity.delay_ms = Some(vec![0.0, 0.0, 20.0, 0.0]);
    let network = CtrnnModule::<B>::from_weights(&config, &weights, &Default::default()).unwrap();
    let inputs = Array::f64(&[1, 4, 1], vec![1.0; 4]);
    let outputs = |perturbation: &Perturbation| {
        perturbation.check_delays(&config).unwrap();
        let pass = Forward::default();
        let states = simulate_perturbed(&network, &inputs, pass, &[], perturbation).unwrap();
        states.outputs.to_f64().unwrap()
    };
    assert_eq!(outputs(&Perturbation::default()), [0.0, 0.0, 2.0, 2.0]);
    assert_eq!(outputs(&lesion(0, Window::Always)), [0.0; 4]);
    assert_eq!(outputs(&current(Window::Steps(0..1))), [0.5, 0.0, 2.0, 2.0]);
    let window = lesion(0, Window::Steps(1..2));
    assert_eq!(
        window.check_delays(&config),
        Err(PerturbationError::Delayed)
    );
    assert_eq!(window.check_delays(original.config()), Ok(()));
}

/// Without Dale's law there are no cell types, which balance and time constants may name.
#[test]
fn cell_types_are_perturbed() {
    for tau_ms in [
        serde_json::json!({ "e": 100.0, "i": 50.0 }),
        serde_json::json!({ "learned": { "initial": { "e": 100.0, "i": 50.0 }, "bounds": [20.0, 200.0] } }),
    ] {
        let config = CtrnnConfig {
            dale: Some(Dale::default()),
            tau_ms: serde_json::from_value(tau_ms).unwrap(),
            ..CtrnnConfig::new(1, 5, 1)
        };
        let config = config.written_out();
        let network = config.init::<B>(3, &Default::default()).unwrap();
        let inputs = Array::f64(&[1, 6, 1], vec![1.0; 6]);
        let none = lesion(0, Window::Steps(9..9));
        let all = clamp(4, 0.0, Window::Always);
        let of = |perturbation: &Perturbation| {
            let pass = Forward::default();
            simulate_perturbed(&network, &inputs, pass, &[], perturbation).unwrap()
        };
        let plain = simulate(&network, &inputs, Forward::default());
        assert_eq!(of(&none).potentials, plain.potentials);
        let rates = of(&all).rates.to_f64().unwrap();
        assert!(rates.chunks_exact(5).all(|row| row[4] == 0.0));
        assert_ne!(of(&all).potentials, plain.potentials);
    }
}

/// A window at the very end leaves everything before it as it is, noise of every kind included; a lesion of no effect
/// leaves all of it.
#[test]
fn noise_is_that_of_the_network_without_perturbation() {
    let config = CtrnnConfig {
        noise: NoiseLevels {
            preactivation: 0.3.into(),
            postactivation: 0.2,
            input: 0.1,
            initial_state: 0.4,
            ..NoiseLevels::default()
        },
        ..CtrnnConfig::new(2, 5, 2)
    };
    let network = config.init::<B>(3, &Default::default()).unwrap();
    let inputs = Array::f64(
        &[3, 8, 2],
        (0..48).map(|k| 0.1 * f64::from(k % 7)).collect(),
    );
    let pass = || Forward {
        noise: Noise::Drawn(NoiseAddress {
            seed: 5,
            step: 2,
            first_trial: 4,
            first_time_step: 0,
        }),
        ..Forward::default()
    };
    let plain = simulate(&network, &inputs, pass());
    let of = |perturbation: &Perturbation| {
        simulate_perturbed(&network, &inputs, pass(), &[], perturbation).unwrap()
    };
    let values = |array: &Array| array.to_f64().unwrap();
    let late = of(&clamp(2, 0.7, Window::Steps(6..8)));
    let no_units = Perturbation {
        lesioned: vec![Lesion {
            units: Vec::new(),
            when: Window::Steps(3..5),
        }],
        ..Perturbation::default()
    };
    let unchanged = of(&no_units);
    for (plain, late, unchanged, width) in [
        (
            &plain.potentials,
            &late.potentials,
            &unchanged.potentials,
            5,
        ),
        (&plain.outputs, &late.outputs, &unchanged.outputs, 2),
    ] {
        let [plain, late, unchanged] = [plain, late, unchanged].map(values);
        for (at, expected) in plain.iter().enumerate() {
            let (trial, step) = (at / (8 * width), at / width % 8);
            let is_near = |found: f64| (found - expected).abs() < 1e-12;
            assert!(is_near(unchanged[at]), "trial {trial}, step {step}");
            assert!(step >= 6 || is_near(late[at]), "trial {trial}, step {step}");
        }
        assert_ne!(plain, late);
    }
}

/// Plastic synapses of a unit that is held at its own rate do what they do without the perturbation; held at another, they follow the
/// equations of Tsodyks and Markram, and carry their state out of the window.
#[test]
fn plastic_synapses_follow_the_rate_of_a_clamp() {
    let linear = network();
    let config = CtrnnConfig {
        short_term_plasticity: Some(ShortTermPlasticity::All(SynapseKind::Facilitating)),
        activation: Activation::Relu,
        ..linear.config().clone()
    };
    let network: CtrnnModule<B> =
        CtrnnModule::from_weights(&config, &linear.weights(), &linear.device()).unwrap();
    let run = |perturbation: &Perturbation| {
        let inputs = Array::f64(&[1, 6, 1], vec![1.0; 6]);
        let pass = Forward::default();
        simulate_perturbed(&network, &inputs, pass, &[], perturbation).unwrap()
    };
    let of = |array: &Array| array.to_f64().unwrap();
    let states = |of_run: &States| of_run.synapses.as_ref().unwrap().each_ref().map(of);
    let assert_near = |found: &[f64], expected: &[f64]| {
        let is_near = |(a, b): (&f64, &f64)| (a - b).abs() < 1e-12;
        assert!(
            found.iter().zip(expected).all(is_near),
            "{found:?} {expected:?}"
        );
    };
    let free = run(&Perturbation::default());
    // The first unit has the rate 1 from the second step on.
    let held = run(&clamp(0, 1.0, Window::Steps(2..5)));
    assert_near(&of(&held.outputs), &of(&free.outputs));
    assert_near(&states(&held).concat(), &states(&free).concat());
    // dt 20 ms, tau_u 1500, tau_x 200, U 0.15, at rate 3 from the state before step 2.
    let held = run(&clamp(0, 3.0, Window::Steps(2..5)));
    let [utilisation, resources] = states(&held);
    let (mut u, mut x) = (utilisation[2], resources[2]);
    for t in 2..5 {
        let emitted = 0.02 * 3.0;
        let next = u + 20.0 / 1500.0 * (0.15 - u) + emitted * 0.15 * (1.0 - u);
        x += 20.0 / 200.0 * (1.0 - x) - emitted * u * x;
        u = next;
        assert_near(&[utilisation[2 * t], resources[2 * t]], &[u, x]);
        assert_near(&of(&held.outputs)[t..=t], &[2.0 * 3.0 * u * x]);
    }
    // After the window the unit has its own rate, 1, again, and its synapses go on from there.
    let emitted = 0.02;
    let next = u + 20.0 / 1500.0 * (0.15 - u) + emitted * 0.15 * (1.0 - u);
    x += 20.0 / 200.0 * (1.0 - x) - emitted * u * x;
    assert_near(&of(&held.outputs)[5..], &[2.0 * next * x]);
}

/// Each layer has perturbations of its own: the stack gives what its layers give one after the other, with the same noise.
#[test]
fn layers_are_perturbed_one_by_one() {
    let layer = |n_inputs, n_units, n_outputs| CtrnnConfig {
        noise: NoiseLevels {
            preactivation: 0.1.into(),
            ..NoiseLevels::default()
        },
        ..CtrnnConfig::new(n_inputs, n_units, n_outputs)
    };
    let config = CtrnnConfig::stacked(vec![layer(1, 4, 0), layer(4, 3, 2)]);
    let stack: CtrnnModule<B> = config.init(3, &Default::default()).unwrap();
    let below = Perturbation {
        lesioned: lesion(1, Window::Always).lesioned,
        ..clamp(0, 2.0, Window::Steps(3..7))
    };
    let both = Perturbation {
        below: vec![below.clone()],
        ..current(Window::Steps(2..5))
    };
    both.check_delays(&config).unwrap();
    let untouched = Perturbation::default().apply(&stack.layer(0)).unwrap();
    assert_eq!(untouched.config(), stack.layer(0).config());
    assert_eq!(both.latest_start(), Some(3));
    assert_eq!(both.lasting().below[0].lesioned.len(), 1);
    assert!(both.lasting().below[0].clamped.is_empty());
    let inputs: Tensor<B, 3> = Tensor::ones([2, 10, 1], &Default::default());
    let forward = Forward {
        noise: Noise::Drawn(NoiseAddress::default()),
        record: Record::ALL,
        ..Forward::default()
    };
    let values = |tensor: &Tensor<B, 3>| tensor.to_data().iter::<f64>().collect::<Vec<f64>>();
    let run = |perturbation: &Perturbation| {
        forward_perturbed(&stack, perturbation, &[], inputs.clone(), &forward).unwrap()
    };
    let found = run(&both);
    let pass = |network: &CtrnnModule<B>, own: &Perturbation, seen, pass: &Forward<B>| {
        forward_perturbed(network, own, &[], seen, pass).unwrap()
    };
    let first = pass(
        &stack.layer(0),
        &below,
        inputs.clone(),
        &forward.of_layer(0),
    );
    let rates = first.rates.unwrap();
    let second = pass(
        &stack.layer(1),
        &current(Window::Steps(2..5)),
        rates.clone(),
        &forward,
    );
    assert_eq!(values(&found.outputs), values(&second.outputs));
    assert_eq!(
        values(found.below[0].rates.as_ref().unwrap()),
        values(&rates)
    );
    let clamped = rates.slice([0..2, 3..7, 0..1]);
    assert_eq!(values(&clamped), vec![2.0; 8]);
    let none = stack.forward(inputs.clone(), &forward);
    assert_eq!(
        values(&run(&Perturbation::default()).outputs),
        values(&none.outputs)
    );
    assert_ne!(values(&none.outputs), values(&second.outputs));
}
