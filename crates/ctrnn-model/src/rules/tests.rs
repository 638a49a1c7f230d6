//! Every rule that can be broken in Rust, and its message.

use super::*;
use crate::{
    Activation, Balance, Dale, Factor, FullMatrix, GivenSynapses, LearnedTimeConstants, LogNormal,
    LowRank, NoiseLevels, PerType, PerUnit, PreactivationNoise, ShortTermPlasticity, SynapseKind,
};

/// 3 inputs, 5 units, 2 outputs, with a change.
fn network(change: impl FnOnce(&mut CtrnnConfig)) -> CtrnnConfig {
    let mut config = CtrnnConfig {
        activation: Activation::Softplus,
        ..CtrnnConfig::new(3, 5, 2)
    };
    change(&mut config);
    config
}

/// The messages of all violations.
fn messages(config: &CtrnnConfig) -> Vec<String> {
    match config.check() {
        Ok(()) => Vec::new(),
        Err(ModelError::Config(found)) => found.into_iter().map(|v| v.message).collect(),
        Err(other) => panic!("{other:?}"),
    }
}

fn assert_refused(config: &CtrnnConfig, expected: &str) {
    let found = messages(config);
    assert!(
        found.iter().any(|message| message.contains(expected)),
        "{found:?}\nhas nothing of\n{expected}"
    );
}

#[test]
fn all_violations_are_collected() {
    let config = network(|c| {
        c.activation = Activation::Tanh;
        c.dale = Some(Dale {
            signs: Some(vec![1, 0]),
            ..Dale::default()
        });
        c.dt_ms = 200.0;
        c.noise.input = -1.0;
        c.frozen = vec!["recurrent".to_owned(), "wrong".to_owned()];
    });
    let found = messages(&config);
    assert_eq!(found.len(), 6, "{found:?}");
    let error = config.check().unwrap_err().to_string();
    assert_eq!(error.lines().count(), 6, "{error}");
}

#[test]
fn rules_of_single_keys() {
    let fraction = |fraction| Dale {
        excitatory_fraction: Some(fraction),
        ..Dale::default()
    };
    let cases: [(CtrnnConfig, &str); 9] = [
        (
            network(|c| c.n_units = 0),
            "model.n_units = 0 must be at least 1",
        ),
        (network(|c| c.n_outputs = 0), "the network has no outputs"),
        (
            network(|c| c.dt_ms = 0.0),
            "time.dt_ms = 0 must be a finite number above 0",
        ),
        (
            network(|c| c.input.baseline = f64::NAN),
            "model.input.baseline = NaN must be a finite number",
        ),
        (
            network(|c| c.init.spectral_radius = Some(0.0.into())),
            "model.init.spectral_radius = 0 must be a finite number above 0",
        ),
        (
            network(|c| c.dale = Some(fraction(1.2))),
            "model.dale.excitatory_fraction = 1.2 must lie in [0, 1]",
        ),
        (
            network(|c| c.density.recurrent = -0.1),
            "model.density.recurrent = -0.1 must lie in [0, 1]",
        ),
        (
            network(|c| c.initial_state = InitialState::Given(vec![f64::INFINITY; 5])),
            "model.initial_state = inf must be a finite number",
        ),
        (
            network(|c| c.initial_state = InitialState::LearnedPerCondition),
            "initial_state.learned_per_condition = 0 must be at least 1",
        ),
    ];
    for (config, expected) in cases {
        assert_refused(&config, expected);
    }
}

#[test]
fn rules_that_join_keys() {
    let dale = || Some(Dale::default());
    let square = |c: &mut CtrnnConfig| {
        c.dale = Some(Dale {
            parametrization: Parametrization::Square,
            ..Dale::default()
        });
    };
    let cases: [(CtrnnConfig, &str); 9] = [
        (
            network(|c| c.initial_state = InitialState::Given(vec![0.0])),
            "model.initial_state has 1 numbers for 5 units",
        ),
        (
            network(|c| {
                c.initial_state = InitialState::Carry;
                c.noise.initial_state = 0.1;
            }),
            "a carried initial state takes no noise",
        ),
        (
            network(|c| {
                c.init.recurrent = WeightInit::Zero;
                c.init.spectral_radius = Some(1.0.into());
            }),
            "a zero matrix cannot be scaled to spectral radius 1",
        ),
        (
            network(|c| (c.activation, c.dale) = (Activation::Linear, dale())),
            "but the activation is linear",
        ),
        (
            network(|c| c.init.balance = Some(Balance::Row)),
            "model.init.balance needs Dale's law",
        ),
        (
            network(|c| {
                square(c);
                c.init.recurrent = WeightInit::Zero;
            }),
            "model.init.recurrent = \"zero\" has weights at zero",
        ),
        (
            network(|c| {
                square(c);
                c.positive_input = true;
                c.init.input = WeightInit::DIAGONAL;
            }),
            "model.init.input = \"diagonal\" has weights at zero",
        ),
        (
            network(|c| {
                c.init.recurrent = WeightInit::DIAGONAL;
                c.self_connections = false;
            }),
            "a diagonal W_rc consists of self-connections",
        ),
        (
            network(|c| {
                c.n_outputs = 1;
                c.output_nonlinearity = OutputNonlinearity::Softmax;
            }),
            "the softmax of a single output is 1",
        ),
    ];
    for (config, expected) in cases {
        assert_refused(&config, expected);
    }
    let fitting = network(|c| (c.activation, c.dale) = (Activation::Tanh, dale()));
    let error = fitting.check().unwrap_err().to_string();
    assert!(
        error.contains("may be relu, sigmoid, retanh, softplus, power, clipped_relu;"),
        "{error}"
    );
}

#[test]
fn rules_of_arrays() {
    let at = |k: usize, value: f64| {
        let values = (0..25).map(|i| if i == k { value } else { 0.0 });
        Some(values.collect::<Vec<f64>>())
    };
    let signs = |signs: Vec<f64>| {
        network(|c| {
            c.dale = Some(Dale::default());
            c.connectivity.signs = Some(signs);
        })
    };
    let recurrent = |mask: Option<Vec<f64>>, fixed: Option<Vec<f64>>| {
        network(|c| {
            c.connectivity.recurrent.mask = mask;
            c.connectivity.recurrent.fixed = fixed;
        })
    };
    let delays = |delay_ms: Vec<f64>| network(|c| c.connectivity.delay_ms = Some(delay_ms));
    let cases: [(CtrnnConfig, &str); 14] = [
        (
            delays(at(7, 30.0).unwrap()),
            "recurrent.delay_ms = 30 from unit 2 to unit 1 must be 0 or a whole multiple of time.dt_ms = 20",
        ),
        (
            delays(at(1, -20.0).unwrap()),
            "recurrent.delay_ms = -20 from unit 1 to unit 0 must be 0",
        ),
        (
            delays(vec![20.0; 24]),
            "recurrent.delay_ms = 24 numbers must have one number for every pair",
        ),
        (
            signs(vec![1.0, 1.0, 0.0, -1.0, -1.0]),
            "dale.signs = 0 at unit 2 must be +1 or -1 for every unit",
        ),
        (
            signs(vec![1.0]),
            "dale.signs = 1 numbers must have one number for each unit",
        ),
        (
            network(|c| c.connectivity.signs = Some(vec![1.0; 5])),
            "recurrent.sign gives signs, but there is no model.dale",
        ),
        (
            CtrnnConfig {
                density: crate::Densities {
                    recurrent: 0.5,
                    ..Default::default()
                },
                ..recurrent(Some(vec![1.0; 25]), None)
            },
            "density.recurrent = 0.5 cannot be asked for where a mask is given",
        ),
        (
            recurrent(Some(vec![0.5; 25]), None),
            "recurrent.mask = 0.5 at index 0 must be 0 or 1",
        ),
        (
            recurrent(Some(vec![1.0; 24]), None),
            "recurrent.mask = 24 numbers must have one number for every pair",
        ),
        (
            recurrent(None, at(3, f64::NAN)),
            "recurrent.fixed = NaN at index 3 must be finite",
        ),
        (
            network(|c| c.connectivity.recurrent.plasticity = Some(vec![-1.0; 25])),
            "recurrent.plasticity = -1 at index 0 must be finite and at least 0",
        ),
        (
            CtrnnConfig {
                self_connections: false,
                ..recurrent(None, at(6, 1.0))
            },
            "recurrent.fixed = 1 from unit 1 to unit 1 stands where",
        ),
        (
            CtrnnConfig {
                dale: Some(Dale::default()),
                ..recurrent(None, at(4, 1.0))
            },
            "recurrent.fixed = 1 from unit 4 to unit 0 has another sign",
        ),
        (
            network(|c| c.connectivity.file = Some(crate::InputPath("c.npz".into()))),
            "model.connectivity.file: c.npz has not been read",
        ),
    ];
    for (config, expected) in cases {
        assert_refused(&config, expected);
    }
}

#[test]
fn rules_of_noise() {
    let noise = |preactivation| {
        network(|c| {
            c.noise = NoiseLevels {
                preactivation,
                ..NoiseLevels::default()
            };
        })
    };
    for (preactivation, expected) in [
        (
            PreactivationNoise::Shared(-1.0),
            "model.noise.preactivation = -1 must be a finite number, at least 0",
        ),
        (
            PreactivationNoise::PerUnit(vec![0.1]),
            "a list of 1 must have",
        ),
        (
            PreactivationNoise::Covariance {
                covariance: vec![vec![1.0]],
            },
            "a covariance of 1 rows must have a row and a column for each unit",
        ),
        (
            PreactivationNoise::CovarianceFile {
                covariance: crate::InputPath("c.npz".into()),
            },
            "c.npz has not been read",
        ),
    ] {
        assert_refused(&noise(preactivation), expected);
    }
}

#[test]
fn rules_of_time_constants() {
    let learned = |initial: TimeConstants, per_unit| {
        TimeConstants::Learned(LearnedTimeConstants {
            initial: Box::new(initial),
            bounds: [20.0, 500.0],
            per_unit,
        })
    };
    let per_type = |e, i| TimeConstants::PerType(Box::new(PerType { e, i }));
    let law = |median, sigma| {
        TimeConstants::LogNormal(LogNormal {
            median,
            sigma,
            min: 40.0,
            max: 400.0,
        })
    };
    for (tau_ms, rule) in [
        (TimeConstants::Shared(0.0), "above 0"),
        (TimeConstants::Shared(f64::NAN), "above 0"),
        (TimeConstants::PerUnit(vec![100.0]), "for each unit"),
        (TimeConstants::Uniform([200.0, 50.0]), "smaller bound first"),
        (
            per_type(10.0.into(), 50.0.into()),
            "time.dt_ms = 20 is longer than the shortest of model.tau_ms, 10",
        ),
        (
            per_type(100.0.into(), TimeConstants::PerUnit(vec![50.0; 5])),
            "model.tau_ms.i = 50 to 50 ms, given for each unit must be a number, uniform or lognormal",
        ),
        (
            per_type(100.0.into(), 50.0.into()),
            "time constants of cell types need Dale's law",
        ),
        (
            TimeConstants::Shared(10.0),
            "time.dt_ms = 20 is longer than model.tau_ms = 10",
        ),
        (learned(500.0.into(), true), "strictly within"),
        (
            learned(learned(100.0.into(), true), true),
            "must not be learned",
        ),
        (
            learned(TimeConstants::PerUnit(vec![50.0; 5]), false),
            "must be one number",
        ),
        (law(100.0, 0.0), "sigma above 0"),
        (law(10.0, 0.5), "median within"),
    ] {
        assert_refused(&network(|c| c.tau_ms = tau_ms), rule);
    }
    let exponential = network(|c| {
        c.tau_ms = 10.0.into();
        c.integrator = Integrator::Exponential;
    });
    assert_eq!(exponential.check(), Ok(()));
}

#[test]
fn rules_of_low_rank() {
    let factors = |change: &dyn Fn(&mut LowRank)| {
        network(|c| {
            let mut factors = LowRank {
                rank: 2,
                ..LowRank::default()
            };
            change(&mut factors);
            c.low_rank = Some(factors);
        })
    };
    let with = |change: &dyn Fn(&mut CtrnnConfig)| {
        let mut config = factors(&|_| {});
        change(&mut config);
        config
    };
    assert_eq!(messages(&factors(&|_| {})), [""; 0]);
    let cases: [(CtrnnConfig, &str); 17] = [
        (
            factors(&|f| f.rank = 0),
            "model.low_rank.rank = 0 must be at least 1",
        ),
        (
            factors(&|f| f.rank = 6),
            "model.low_rank.rank = 6 is larger than the number of units, 5",
        ),
        (
            factors(&|f| f.gain = -1.0),
            "model.low_rank.gain = -1 must be a finite number, at least 0",
        ),
        (
            factors(&|f| f.train = vec![Factor::Left; 2]),
            "model.low_rank.train names left twice",
        ),
        (
            factors(&|f| (f.init.left_std, f.init.right_std) = (0.0, 0.0)),
            "both factors begin at zero",
        ),
        (
            factors(&|f| f.init.right_std = f64::NAN),
            "model.low_rank.init.right_std = NaN must be a finite number",
        ),
        (
            factors(&|f| f.init.overlap = Some(vec![vec![1.0]; 2])),
            "model.low_rank.init.overlap must have 2 rows, one for each dimension, of 2 numbers",
        ),
        (
            factors(&|f| f.init.overlap = Some(vec![vec![f64::INFINITY; 2]; 2])),
            "model.low_rank.init.overlap must hold finite numbers",
        ),
        (
            factors(&|f| f.init.input_overlap = Some(vec![vec![0.0; 2]; 2])),
            "of 3 numbers, one for each of the inputs",
        ),
        (
            factors(&|f| f.init.output_overlap = Some(vec![vec![0.0; 2]])),
            "of 2 numbers, one for each of the outputs",
        ),
        (
            with(&|c| c.init.spectral_radius = Some(1.5.into())),
            "there is no full matrix to scale to spectral radius 1.5",
        ),
        (
            with(&|c| {
                c.init.spectral_radius = Some(1.5.into());
                let factors = c.low_rank.as_mut().unwrap();
                (factors.full, factors.gain) = (FullMatrix::Fixed, 2.0);
            }),
            "both set the scale of the full matrix",
        ),
        (
            with(&|c| c.dale = Some(Dale::default())),
            "Dale's law gives each entry of W_rc a sign",
        ),
        (
            with(&|c| c.density.recurrent = 0.5),
            "model.density.recurrent = 0.5 takes single entries out of W_rc",
        ),
        (
            with(&|c| c.self_connections = false),
            "the diagonal of a product of factors cannot be left out",
        ),
        (
            with(&|c| c.connectivity.recurrent.mask = Some(vec![1.0; 25])),
            "recurrent.mask is about single entries of W_rc",
        ),
        (
            with(&|c| c.connectivity.recurrent.plasticity = Some(vec![1.0; 25])),
            "recurrent.plasticity is about single entries of W_rc",
        ),
    ];
    for (config, expected) in cases {
        assert_refused(&config, expected);
    }
    let scaled = with(&|c| {
        c.init.spectral_radius = Some(1.5.into());
        c.low_rank.as_mut().unwrap().full = FullMatrix::Trained;
    });
    assert_eq!(messages(&scaled), [""; 0]);
}

/// Given constants, one number each.
fn synapses(tau_u_ms: f64, tau_x_ms: f64, baseline: f64) -> GivenSynapses {
    GivenSynapses {
        tau_u_ms: PerUnit::Shared(tau_u_ms),
        tau_x_ms: PerUnit::Shared(tau_x_ms),
        baseline: PerUnit::Shared(baseline),
    }
}

#[test]
fn rules_of_short_term_plasticity() {
    let plastic = |kind: SynapseKind| {
        network(|c| c.short_term_plasticity = Some(ShortTermPlasticity::All(kind)))
    };
    let given = |given: GivenSynapses| plastic(SynapseKind::Given(Box::new(given)));
    let cases: [(CtrnnConfig, &str); 8] = [
        (
            CtrnnConfig {
                activation: Activation::Tanh,
                ..plastic(SynapseKind::Facilitating)
            },
            "short-term plasticity needs rates that are never negative, but the activation is tanh",
        ),
        (
            network(|c| {
                let [e, i] = [SynapseKind::Facilitating, SynapseKind::Depressing];
                c.short_term_plasticity = Some(ShortTermPlasticity::PerType { e, i });
            }),
            "short-term plasticity of cell types needs Dale's law",
        ),
        (
            given(synapses(0.0, 100.0, 0.5)),
            "model.short_term_plasticity.tau_u_ms = 0 must be a finite number of milliseconds above 0",
        ),
        (
            given(synapses(100.0, f64::INFINITY, 0.5)),
            "model.short_term_plasticity.tau_x_ms = inf must be a finite number",
        ),
        (
            given(synapses(100.0, 100.0, 1.5)),
            "model.short_term_plasticity.U = 1.5 must lie in (0, 1]",
        ),
        (
            given(GivenSynapses {
                baseline: PerUnit::List(vec![0.5; 4]),
                ..synapses(100.0, 100.0, 0.5)
            }),
            "model.short_term_plasticity.U has 4 numbers for 5 units",
        ),
        (
            given(synapses(10.0, 100.0, 0.5)),
            "time.dt_ms = 20 is longer than the shortest time constant of model.short_term_plasticity, 10 ms",
        ),
        (
            CtrnnConfig {
                dt_ms: 250.0,
                tau_ms: 300.0.into(),
                ..network(|c| c.short_term_plasticity = Some(ShortTermPlasticity::Half))
            },
            "time.dt_ms = 250 is longer than the shortest time constant of model.short_term_plasticity, 200 ms",
        ),
    ];
    for (config, expected) in cases {
        assert_refused(&config, expected);
        assert_eq!(messages(&config).len(), 1, "{:?}", messages(&config));
    }
    let exponential = CtrnnConfig {
        integrator: Integrator::Exponential,
        ..given(synapses(10.0, 100.0, 0.5))
    };
    assert_eq!(messages(&exponential), Vec::<String>::new());
}
