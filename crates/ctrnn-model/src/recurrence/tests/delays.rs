//! Delays of connections against numbers worked out by hand, finite differences and weight files.

use super::*;

/// Delays of 0, 1, 2 and 7 steps in a trial of 4.
#[test]
fn gradients_agree_through_delays() {
    for form in [Form::Voltage, Form::Rate] {
        for tau_ms in [learned_tau(true), 60.0.into()] {
            let mut config = CtrnnConfig {
                tau_ms,
                ..small(form, Activation::Tanh)
            };
            let steps = [0.0, 1.0, 2.0, 7.0];
            config.connectivity.delay_ms = Some((0..9).map(|k| 20.0 * steps[k % 4]).collect());
            check_gradients(&config, 2, 4);
            check_gradients(&noisy(config, 0.1.into()), 2, 4);
        }
    }
}

/// A chain of two linear units without memory (dt = tau): unit 1 is one step behind unit 0, and two more with a delay of 40 ms.
#[test]
fn a_delay_of_40_ms_shifts_an_impulse_by_two_steps() {
    let output = |delay_ms: f64| {
        let mut config = CtrnnConfig {
            tau_ms: 20.0.into(),
            activation: Activation::Linear,
            initial_state: InitialState::Zero,
            ..CtrnnConfig::new(1, 2, 1)
        };
        config.connectivity.delay_ms = Some(vec![0.0, 0.0, delay_ms, 0.0]);
        let matrix = |name: &str, values: &[f64], shape: [usize; 2]| {
            (name.to_owned(), TensorData::new(values.to_vec(), shape))
        };
        let weights = [
            matrix("input.weight", &[1.0, 0.0], [2, 1]),
            matrix("recurrent.weight", &[0.0, 0.0, 0.5, 0.0], [2, 2]),
            matrix("output.weight", &[0.0, 1.0], [1, 2]),
        ];
        let network = config.init::<F64>(0, &Default::default()).unwrap();
        let network = network.with_weights(&weights.into()).unwrap();
        let impulse = TensorData::new(vec![1.0, 0.0, 0.0, 0.0, 0.0], [1, 5, 1]);
        let pass = network.forward(crate::host_tensor(impulse, &Default::default()), &all());
        values(&pass.outputs)
    };
    assert_eq!(output(0.0), [0.0, 0.5, 0.0, 0.0, 0.0]);
    assert_eq!(output(40.0), [0.0, 0.0, 0.0, 0.5, 0.0]);
}

/// One unit with alpha 0.2 and w_rc 0.5 whose connection to itself takes longer than the trial sees v(0) = 1 all the time:
/// v = 0.8 v + 0.1 from 1 is 0.9, 0.82, 0.756.
#[test]
fn before_the_trial_rates_are_those_of_the_initial_state() {
    let mut config = CtrnnConfig {
        initial_state: InitialState::Given(vec![1.0]),
        ..CtrnnConfig::new(0, 1, 1)
    };
    config.connectivity.delay_ms = Some(vec![200.0]);
    let half = TensorData::new(vec![0.5], [1, 1]);
    let weights = [("recurrent.weight".to_owned(), half)].into();
    let network = config.init::<F64>(0, &Default::default()).unwrap();
    let network = network.with_weights(&weights).unwrap();
    let no_inputs = Tensor::zeros([1, 3, 0], &Default::default());
    for pass in [
        network.forward(no_inputs.clone(), &all()),
        network.forward_reference(no_inputs, &all()),
    ] {
        assert_close(
            &values(&pass.potentials.unwrap()),
            &[0.9, 0.82, 0.756],
            1e-15,
        );
    }
}

#[test]
fn weight_files_hold_the_delays() {
    let mut config = CtrnnConfig::new(1, 2, 1);
    config.connectivity.delay_ms = Some(vec![0.0, 20.0, 40.0, 0.0]);
    let network = config.init::<NdArray<f32>>(0, &Default::default()).unwrap();
    let mut weights = network.weights();
    let held: Vec<f32> = weights["recurrent.delay_ms"].to_vec().unwrap();
    assert_eq!(held, [0.0, 20.0, 40.0, 0.0]);
    let build = |weights: &Weights| {
        CtrnnModule::<NdArray<f32>>::from_weights(&config, weights, &Default::default())
    };
    assert!(build(&weights).is_ok());
    weights.insert(
        "recurrent.delay_ms".to_owned(),
        TensorData::new(vec![0.0, 20.0, 60.0, 0.0], [2, 2]),
    );
    let error = build(&weights).unwrap_err().to_string();
    assert!(
        error.contains("60 ms at [1, 0]; the configuration says 40 ms"),
        "{error}"
    );
    let error = network.with_dt_ms(15.0).unwrap_err().to_string();
    assert!(
        error.contains("a whole multiple of time.dt_ms = 15"),
        "{error}"
    );
}
