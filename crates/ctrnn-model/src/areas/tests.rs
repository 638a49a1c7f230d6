//! Areas, cell types and projections: what they resolve to, and the rules that they can break.

use burn_ndarray::NdArray;

use super::*;
use crate::{
    CtrnnConfig, Dale, LearnedTimeConstants, LowRank, Matrix, ModelError, Named, Parameter,
    TimeConstants, Weights,
};

fn area(units: usize) -> Area {
    Area {
        units,
        ..Area::default()
    }
}

fn density(density: f64) -> Projection {
    Projection {
        density: Some(density),
        ..Projection::default()
    }
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// A network of these areas and projections for the inputs a and b and the outputs x and y.
fn resolved<const A: usize, const P: usize>(
    areas: [(&str, Area); A],
    projections: [(&str, Projections); P],
) -> Result<CtrnnConfig, ModelError> {
    changed(areas, projections, |_| {})
}

fn changed<const A: usize, const P: usize>(
    areas: [(&str, Area); A],
    projections: [(&str, Projections); P],
    change: impl FnOnce(&mut CtrnnConfig),
) -> Result<CtrnnConfig, ModelError> {
    let mut config = CtrnnConfig {
        areas: Named::from(areas),
        projections: Named::from(projections),
        ..CtrnnConfig::default()
    };
    change(&mut config);
    config.resolved(&names(&["a", "b"]), &names(&["x", "y"]))
}

fn weights(config: &CtrnnConfig, seed: u64) -> Weights {
    config
        .init::<NdArray>(seed, &Default::default())
        .unwrap()
        .weights()
}

/// Rows of a matrix, written as digits.
fn rows(values: &[f64], width: usize) -> Vec<String> {
    let row = |row: &[f64]| {
        row.iter()
            .map(|x| if *x == 0.0 { '.' } else { '1' })
            .collect()
    };
    values.chunks(width).map(row).collect()
}

#[test]
fn areas_are_blocks_of_the_three_matrices() {
    let sensory = Area {
        inputs: Some(names(&["b"])),
        ..area(2)
    };
    let motor = Area {
        inputs: Some(Vec::new()),
        read_out: Some(ReadOut::All(true)),
        ..area(3)
    };
    let config = resolved(
        [("sensory", sensory), ("motor", motor)],
        [("sensory -> motor", Projection::default().into())],
    )
    .unwrap();
    let mask = |matrix| config.possible(matrix).unwrap();
    let expected = ["11...", "11...", "11111", "11111", "11111"];
    assert_eq!(rows(&mask(Matrix::Recurrent), 5), expected);
    assert_eq!(
        rows(&mask(Matrix::Input), 2),
        [".1", ".1", "..", "..", ".."]
    );
    assert_eq!(rows(&mask(Matrix::Output), 5), ["..111", "..111"]);
    assert_eq!(
        (config.n_units, config.area_units("motor")),
        (5, Some(2..5))
    );
    assert_eq!(config.unit_area(1), Some("sensory"));
    assert_eq!(config.dale, None);
    config.check().unwrap();
}

/// A network of one area with all inputs and outputs is the plain one.
#[test]
fn a_single_area_constrains_nothing() {
    let config = resolved([("all", area(6))], []).unwrap();
    let plain = CtrnnConfig::new(2, 6, 2);
    let mut found = weights(&config, 3);
    let labels: Vec<i64> = found.remove(UNIT_AREA).unwrap().iter().collect();
    assert_eq!(labels, [0; 6]);
    assert_eq!(found, weights(&plain, 3));
}

#[test]
fn cell_types_have_signs_and_time_constants_and_excitatory_ones_come_first() {
    let cell = |fraction, sign, tau_ms| CellType {
        fraction,
        sign: Some(sign),
        tau_ms,
        index: None,
    };
    let types = [
        ("pv", cell(0.2, Sign::Inhibitory, Some(30.0))),
        ("pyr", cell(0.7, Sign::Excitatory, None)),
        ("sst", cell(0.1, Sign::Inhibitory, Some(60.0))),
    ];
    let mixed = Area {
        types: Named::from(types),
        tau_ms: Some(90.0),
        ..area(10)
    };
    let halves = Area {
        excitatory_fraction: Some(0.5),
        ..area(4)
    };
    let config = resolved(
        [("mixed", mixed), ("halves", halves), ("usual", area(5))],
        [],
    )
    .unwrap();
    let of = |word| config.type_units(word);
    assert_eq!(of("pyr"), [0, 1, 2, 3, 4, 5, 6]);
    assert_eq!((of("pv"), of("sst")), (vec![7, 8], vec![9]));
    assert_eq!(of("i"), [7, 8, 9, 12, 13, 18]); // the last area has the default of Dale's law, 0.8
    let signs = config.unit_signs().unwrap();
    let negative = (0..19).filter(|&unit| signs[unit] == -1.0);
    assert_eq!(negative.collect::<Vec<_>>(), of("i"));
    assert_eq!(config.dale, Some(Dale::default()));
    let TimeConstants::PerUnit(tau_ms) = &config.tau_ms else {
        panic!("{:?}", config.tau_ms)
    };
    assert_eq!(tau_ms[6..11], [90.0, 30.0, 30.0, 60.0, 100.0]);
    config.check().unwrap();
}

#[test]
fn time_constants_of_areas_are_the_beginning_of_learned_ones() {
    let learned = LearnedTimeConstants {
        initial: Box::new(100.0.into()),
        bounds: [20.0, 500.0],
        per_unit: true,
    };
    let fast = Area {
        tau_ms: Some(40.0),
        ..area(2)
    };
    let areas = [("fast", fast), ("slow", area(1))];
    let config = changed(areas, [], |c| c.tau_ms = TimeConstants::Learned(learned)).unwrap();
    let tau_ms: Vec<f64> = weights(&config, 1)["tau_ms"].iter().collect();
    for (found, expected) in tau_ms.into_iter().zip([40.0, 40.0, 100.0]) {
        assert!((found - expected).abs() < 1e-4, "{found}");
    }
}

fn count(mask: &[f64], post: Range<usize>, pre: Range<usize>, n: usize) -> usize {
    let pairs = post.flat_map(|i| pre.clone().map(move |j| i * n + j));
    pairs.filter(|&k| mask[k] == 1.0).count()
}

#[test]
fn sparse_projections_are_drawn_one_by_one() {
    let build = |back: Projection| {
        resolved(
            [("a", area(20)), ("b", area(30))],
            [("a -> b", density(0.2).into()), ("b -> a", back.into())],
        )
        .unwrap()
    };
    let mask = |config: &CtrnnConfig, seed| -> Vec<f64> {
        let weights = weights(config, seed);
        let again = CtrnnConfig::init::<NdArray>(config, seed, &Default::default()).unwrap();
        assert_eq!(again.weights(), weights);
        weights["recurrent.mask"].iter().collect()
    };
    let degree = Projection {
        in_degree: Some(3),
        ..Projection::default()
    };
    let (first, second) = (build(degree.clone()), build(density(0.5)));
    let (one, two) = (mask(&first, 7), mask(&second, 7));
    assert_eq!(count(&one, 0..20, 0..20, 50), 400);
    assert_eq!(count(&one, 20..50, 0..20, 50), 120); // 0.2 * 600
    assert!((0..20).all(|i| count(&one, i..i + 1, 20..50, 50) == 3));
    assert_eq!(count(&two, 0..20, 20..50, 50), 300);
    let block = |mask: &[f64]| mask[20 * 50..].to_vec();
    assert_eq!(block(&one), block(&two)); // a projection's draws are its own
    assert_ne!(block(&one), block(&mask(&first, 8)));
    let out = Projection {
        out_degree: Some(2),
        ..Projection::default()
    };
    let third = mask(&build(out), 7);
    assert!((20..50).all(|j| count(&third, 0..20, j..j + 1, 50) == 2));
}

/// A drawn mask in a file that is not one of the configuration is refused.
#[test]
fn a_mask_with_another_degree_contradicts_the_configuration() {
    let degree = Projection {
        in_degree: Some(2),
        ..Projection::default()
    };
    let config = resolved(
        [("a", area(4)), ("b", area(4))],
        [("a -> b", degree.into())],
    )
    .unwrap();
    let drawn = weights(&config, 1);
    let mut mask: Vec<f64> = drawn["recurrent.mask"].iter().collect();
    let row = 4 * 8;
    let (absent, present) = (
        (row..row + 4).find(|&k| mask[k] == 0.0).unwrap(),
        (row + 8..row + 12).find(|&k| mask[k] == 1.0).unwrap(),
    );
    (mask[absent], mask[present]) = (1.0, 0.0); // as many as before, but 3 onto unit 4 and 1 onto unit 5
    let mut changed = drawn.clone();
    let data = burn::tensor::TensorData::new(mask, [8, 8]);
    changed.insert("recurrent.mask".to_owned(), data);
    changed.remove("recurrent.weight");
    let load = |weights| {
        crate::CtrnnModule::<NdArray>::from_weights(&config, weights, &Default::default())
    };
    load(&drawn).unwrap();
    let error = load(&changed).unwrap_err().to_string();
    assert!(error.contains("it has 3 connections"), "{error}");
}

#[test]
fn projections_between_cell_types_and_patterns_of_areas() {
    let halves = || Area {
        excitatory_fraction: Some(0.5),
        ..area(2)
    };
    let between = |from: &str, to: &str| Projection {
        from: Some(from.to_owned()),
        to: Some(to.to_owned()),
        ..Projection::default()
    };
    let list = Projections::Several(vec![between("e", "i"), between("i", "e")]);
    let config = resolved(
        [("a", halves()), ("b", halves())],
        [
            ("* -> *", density(0.0).into()),
            ("a -> b", list),
            ("* -> a", between("i", "e").into()),
        ],
    )
    .unwrap();
    let mask = config.possible(Matrix::Recurrent).unwrap();
    // Columns: excitatory and inhibitory of a, then of b. Nothing within b, where only "* -> *" holds.
    assert_eq!(rows(&mask, 4), [".1.1", "....", ".1..", "1..."]);
}

#[test]
fn a_frozen_projection_has_no_plasticity() {
    let slow = Projection {
        plasticity: Some(0.5),
        ..Projection::default()
    };
    let areas = || [("a", area(1)), ("b", area(2))];
    let projections = || {
        [
            ("a -> b", slow.clone().into()),
            ("b -> a", density(1.0).into()),
        ]
    };
    let build = |words: &[&str]| {
        let frozen = names(words);
        changed(areas(), projections(), |c| c.frozen = frozen)
            .unwrap()
            .connectivity
            .recurrent
            .plasticity
    };
    assert_eq!(
        build(&[]).unwrap(),
        [1.0, 1.0, 1.0, 0.5, 1.0, 1.0, 0.5, 1.0, 1.0]
    );
    let within = build(&["b -> b", "a->b"]).unwrap();
    assert_eq!(within, [1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
}

/// Rows are postsynaptic: the plasticity 0.5 of b multiplies that of the projection onto it; nothing onto the frozen a moves.
#[test]
fn the_plasticity_of_an_area_is_that_of_all_parameters_of_its_units() {
    let half = || Some(0.5);
    let slow = Projection {
        plasticity: half(),
        ..Projection::default()
    };
    let areas = || {
        let b = Area {
            plasticity: half(),
            ..area(2)
        };
        [("a", area(1)), ("b", b)]
    };
    let projections = || {
        [
            ("a -> b", slow.clone().into()),
            ("b -> a", density(1.0).into()),
        ]
    };
    let learned = |per_unit| {
        TimeConstants::Learned(LearnedTimeConstants {
            initial: Box::new(100.0.into()),
            bounds: [20.0, 500.0],
            per_unit,
        })
    };
    let build = |per_unit, words: &[&str]| {
        changed(areas(), projections(), |c| {
            c.frozen = names(words);
            c.tau_ms = learned(per_unit);
        })
    };
    let config = build(true, &["a"]).unwrap();
    let of = |matrix| config.connectivity.of(matrix).plasticity.clone().unwrap();
    assert_eq!(
        of(Matrix::Recurrent),
        [0.0, 0.0, 0.0, 0.25, 0.5, 0.5, 0.25, 0.5, 0.5]
    );
    assert_eq!(of(Matrix::Input), [0.0, 0.0, 0.5, 0.5, 0.5, 0.5]);
    assert_eq!(config.connectivity.output.plasticity, None);
    for parameter in [
        Parameter::RECURRENT_BIAS,
        Parameter::INITIAL_STATE,
        Parameter::TIME_CONSTANTS,
    ] {
        let factors = config.update_factors(parameter);
        assert_eq!(factors, Some(vec![0.0, 0.5, 0.5]), "{parameter}");
    }
    assert_eq!(config.update_factors(Parameter::OUTPUT_BIAS), None);
    let held = |config: &CtrnnConfig| {
        let all = config.parameters().into_iter().map(|spec| spec.parameter);
        all.filter(|&p| config.is_held(p))
            .map(Parameter::name)
            .collect::<Vec<_>>()
    };
    assert!(held(&config).is_empty());
    let all = build(true, &["a", "b"]).unwrap();
    let of_units = [
        "input.weight",
        "recurrent.weight",
        "recurrent.bias",
        "initial_state",
        "tau_raw",
    ];
    assert_eq!(held(&all), of_units);
    assert_refused(
        build(false, &["a"]),
        "model.areas.b has another plasticity than other areas, but all share the learned time constant",
        "model.areas.b",
        "per_unit = true",
    );
    assert!(build(false, &["a", "tau_raw"]).is_ok());
    let broken = Area {
        plasticity: Some(-1.0),
        ..area(1)
    };
    assert_refused(
        resolved([("a", broken)], []),
        "model.areas.a.plasticity = -1 must be a finite number of at least 0",
        "model.areas.a.plasticity",
        "config explain",
    );
}

#[test]
fn inputs_and_outputs_may_be_named_by_a_part() {
    let all = names(&["fixation", "ring_0", "ring_1", "rule"]);
    let own = Area {
        inputs: Some(names(&["ring_*", "rule"])),
        ..area(1)
    };
    assert_eq!(own.channels_received(&all), [1, 2, 3]);
    for (name, channel, is_meant) in [
        ("*", "a", true),
        ("*_1", "ring_1", true),
        ("r*_0", "ring_1", false),
        ("aa*aa", "aaa", false),
    ] {
        assert_eq!(is_name_of(name, channel), is_meant, "{name}");
    }
}

fn assert_refused(result: Result<CtrnnConfig, ModelError>, message: &str, key: &str, help: &str) {
    let Err(ModelError::Config(found)) = result else {
        panic!("{message} is accepted")
    };
    let [violation] = &found[..] else {
        panic!("{found:?}")
    };
    assert!(violation.message.contains(message), "{violation}");
    assert!(violation.help.contains(help), "{violation}");
    assert!(
        violation.keys.iter().any(|(own, _)| own == key),
        "{:?}",
        violation.keys
    );
}

#[test]
fn rules_of_areas() {
    let cell = |fraction, sign| CellType {
        fraction,
        sign,
        ..CellType::default()
    };
    let typed = |types: [(&str, CellType); 2]| Area {
        types: Named::from(types),
        ..area(10)
    };
    let (e, i) = (Some(Sign::Excitatory), Some(Sign::Inhibitory));
    let cases: [(Area, &str, &str, &str); 8] = [
        (
            area(0),
            "units = 0 must be at least 1",
            "model.areas.a.units",
            "config explain",
        ),
        (
            Area {
                excitatory_fraction: Some(1.2),
                ..area(5)
            },
            "excitatory_fraction = 1.2 must lie in [0, 1]",
            "model.areas.a.excitatory_fraction",
            "config explain",
        ),
        (
            Area {
                tau_ms: Some(0.0),
                ..area(5)
            },
            "tau_ms = 0 must be a finite number above 0",
            "model.areas.a.tau_ms",
            "config explain",
        ),
        (
            typed([("pyr", cell(0.8, e)), ("pv", cell(0.1, i))]),
            "the fractions of model.areas.a.types add up to 0.9",
            "model.areas.a.types",
            "must add up to 1",
        ),
        (
            Area {
                excitatory_fraction: Some(0.8),
                ..typed([("p", cell(0.5, e)), ("q", cell(0.5, i))])
            },
            "has both cell types and a fraction",
            "model.areas.a.types",
            "keep one of the two",
        ),
        (
            typed([("p", cell(0.99, e)), ("q", cell(0.01, i))]),
            "model.areas.a.types.q: 0.01 of 10 units is not a unit",
            "model.areas.a.types.q",
            "more units",
        ),
        (
            typed([("e", cell(0.5, i)), ("q", cell(0.5, i))]),
            "e and i mean all excitatory and all inhibitory units",
            "model.areas.a.types.e",
            "another name",
        ),
        (
            typed([("p", cell(0.5, e)), ("q", cell(0.5, None))]),
            "model.areas.a.types.q has no sign",
            "model.areas.a.types.q",
            "add sign",
        ),
    ];
    for (own, message, key, help) in cases {
        assert_refused(resolved([("a", own)], []), message, key, help);
    }
    assert_refused(
        resolved([("a b", area(3))], []),
        "\"a b\" is not a name of an area",
        "model.areas.a b",
        "letters, digits",
    );
}

#[test]
fn rules_of_projections() {
    let both = Projection {
        in_degree: Some(2),
        ..density(0.1)
    };
    let degree = Projection {
        in_degree: Some(4),
        ..Projection::default()
    };
    let from = |word: &str| Projection {
        from: Some(word.to_owned()),
        ..Projection::default()
    };
    let twice = Projections::Several(vec![from("e"), Projection::default()]);
    let cases: [(&str, Projections, &str, &str, &str); 8] = [
        (
            "sensori -> motor",
            density(0.1).into(),
            "\"sensori\" in model.projections.\"sensori -> motor\" is not an area",
            "model.projections.sensori -> motor",
            "did you mean \"sensory\"? areas: \"sensory\", \"motor\"",
        ),
        (
            "sensory",
            density(0.1).into(),
            "is not a projection",
            "model.projections.sensory",
            "FROM -> TO",
        ),
        (
            "sensory -> motor",
            density(1.1).into(),
            "density = 1.1 must lie in [0, 1]",
            "model.projections.sensory -> motor.density",
            "config explain",
        ),
        (
            "sensory -> motor",
            both.into(),
            "has both density and in_degree",
            "model.projections.sensory -> motor.density",
            "keep one",
        ),
        (
            "sensory -> motor",
            degree.into(),
            "in_degree = 4, but there are 3 units",
            "model.projections.sensory -> motor.in_degree",
            "3 or less",
        ),
        (
            "sensory -> motor",
            from("pv").into(),
            "the area has no such cell type",
            "model.projections.sensory -> motor.from",
            "\"e\", \"i\"",
        ),
        (
            "sensory -> motor",
            twice,
            "connect the same units",
            "model.projections.sensory -> motor[1]",
            "other cell types",
        ),
        (
            "sensory -> motor",
            Projections::Several(Vec::new()),
            "is a list of 0 projections",
            "model.projections.sensory -> motor",
            "density = 0",
        ),
    ];
    let areas = || {
        let sensory = Area {
            excitatory_fraction: Some(0.7),
            ..area(3)
        };
        [("sensory", sensory), ("motor", area(3))]
    };
    for (key, projections, message, place, help) in cases {
        assert_refused(
            resolved(areas(), [(key, projections)]),
            message,
            place,
            help,
        );
    }
    let dense = || Projections::from(Projection::default());
    assert_refused(
        resolved(
            areas(),
            [("sensory -> *", dense()), ("* -> motor", dense())],
        ),
        "which both hold from sensory to motor",
        "model.projections.* -> motor",
        "add \"sensory -> motor\"",
    );
    assert_refused(
        resolved([("a", area(2))], [("* -> *", dense()), ("a -> a", dense())]),
        "model.projections.\"* -> *\" has no effect",
        "model.projections.* -> *",
        "remove it",
    );
    assert_refused(
        resolved([], [("a -> b", dense())]),
        "there is no model.areas",
        "model.projections",
        "add the areas",
    );
}

#[test]
fn rules_with_other_keys() {
    let areas = || {
        [(
            "a",
            Area {
                tau_ms: Some(50.0),
                ..area(4)
            },
        )]
    };
    assert_refused(
        changed(areas(), [], |c| c.density.recurrent = 0.5),
        "model.density.recurrent cannot be given",
        "model.density.recurrent",
        "* -> *",
    );
    assert_refused(
        changed(areas(), [], |c| {
            c.dale = Some(Dale {
                signs: Some(vec![1; 4]),
                ..Dale::default()
            });
        }),
        "model.dale.signs cannot be given",
        "model.dale.signs",
        "remove it",
    );
    assert_refused(
        changed(areas(), [], |c| {
            c.tau_ms = TimeConstants::Uniform([50.0, 100.0]);
        }),
        "model.areas.a has time constants of its own",
        "model.tau_ms",
        "one number",
    );
    let mut config = CtrnnConfig {
        areas: Named::from(areas()),
        n_units: 5,
        ..CtrnnConfig::default()
    };
    let [violation] = &config.violations_of_areas()[..] else {
        panic!("one violation")
    };
    assert_eq!(
        violation.message,
        "the areas have 4 units together, but model.n_units = 5"
    );
    config.n_units = 4;
    let error = config.check().unwrap_err().to_string();
    assert!(
        error.contains("model.areas has not been resolved"),
        "{error}"
    );
    config.frozen = names(&["a -> c"]);
    let found = config.violations_of_table();
    let message = "\"a -> c\" in train.freeze is not a parameter";
    assert!(
        found.iter().any(|v| v.message.contains(message)),
        "{found:?}"
    );
}

/// Arrays of a file, and plasticities of areas, are checked with areas as without.
#[test]
fn arrays_are_checked_with_areas_too() {
    let broken = |change: &dyn Fn(&mut CtrnnConfig)| {
        let config = CtrnnConfig {
            n_units: 2,
            areas: Named::from([("a", area(2))]),
            ..CtrnnConfig::default()
        };
        let mut config = config.resolved(&names(&["a"]), &names(&["x"])).unwrap();
        change(&mut config);
        config.check().unwrap_err().to_string()
    };
    let found = broken(&|c| c.connectivity.delay_ms = Some(vec![0.0, 15.0, 0.0, 0.0]));
    assert!(
        found.contains("recurrent.delay_ms = 15 from unit 1 to unit 0"),
        "{found}"
    );
    let found = broken(&|c| {
        c.low_rank = Some(LowRank::default());
        c.connectivity.recurrent.mask = Some(vec![1.0, 0.0, 1.0, 1.0]);
    });
    assert!(
        found.contains("recurrent.mask is about single entries of W_rc"),
        "{found}"
    );
    let frozen = changed([("a", area(2))], [], |c| {
        c.low_rank = Some(LowRank::default());
        c.frozen = names(&["* -> *"]);
    });
    let found = frozen
        .and_then(|config| config.check())
        .unwrap_err()
        .to_string();
    assert!(
        found.contains("recurrent.plasticity is about single entries of W_rc"),
        "{found}"
    );
}

#[test]
fn a_time_step_that_does_not_divide_a_delay_is_refused() {
    let delayed = Projection {
        delay_ms: Some(40.0),
        ..Projection::default()
    };
    let projections = [("a -> b", Projections::One(delayed))];
    let config = resolved([("a", area(1)), ("b", area(1))], projections).unwrap();
    let network = config.init::<NdArray>(1, &Default::default()).unwrap();
    assert!(network.clone().with_dt_ms(10.0).is_ok());
    let error = network.with_dt_ms(15.0).unwrap_err().to_string();
    assert!(
        error.contains("a whole multiple of time.dt_ms = 15"),
        "{error}"
    );
}

#[test]
fn rules_of_inputs_and_outputs() {
    let with = |inputs: Option<&[&str]>, read_out| Area {
        inputs: inputs.map(names),
        read_out,
        ..area(2)
    };
    assert_refused(
        resolved([("s", with(Some(&["a", "c*"]), None))], []),
        "\"c*\" in model.areas.s.inputs is not an input of the task",
        "model.areas.s.inputs[1]",
        "the task has: \"a\", \"b\"",
    );
    let unknown = ReadOut::Of(names(&["z"]));
    assert_refused(
        resolved([("s", with(None, Some(unknown)))], []),
        "is not an output of the task",
        "model.areas.s.read_out[0]",
        "\"x\", \"y\"",
    );
    assert_refused(
        resolved([("s", with(Some(&[]), None))], []),
        "the inputs reach no unit",
        "model.areas",
        "name the inputs",
    );
    let one = ReadOut::Of(names(&["x"]));
    assert_refused(
        resolved([("s", with(None, Some(one)))], []),
        "no area drives the output \"y\"",
        "model.areas",
        "read_out = true",
    );
}

/// A network of the areas that stand for a case of nn4n (`tests/golden/make_areas.py`), with as many inputs and outputs as its
/// masks have.
fn of_golden(model: &serde_json::Value, n_inputs: usize, n_outputs: usize) -> CtrnnConfig {
    let config: CtrnnConfig = serde_json::from_value(model.clone()).unwrap();
    let channels = |kind: &str, n: usize| (0..n).map(|k| format!("{kind}_{k}")).collect::<Vec<_>>();
    config
        .resolved(&channels("in", n_inputs), &channels("out", n_outputs))
        .unwrap()
}

fn golden() -> serde_json::Value {
    serde_json::from_str(include_str!("../../../../tests/golden/areas.json")).unwrap()
}

/// Every mask of nn4n without random numbers, to the last entry, with the signs of its units.
#[test]
fn masks_of_nn4n() {
    let golden = golden();
    let cases = golden["exact"].as_array().unwrap();
    assert_eq!(cases.len(), 5);
    for case in cases {
        let text = |matrix: Matrix| -> Vec<&str> {
            let rows = case[matrix.name()].as_array().unwrap();
            rows.iter().map(|row| row.as_str().unwrap()).collect()
        };
        let (n_inputs, n_outputs) = (text(Matrix::Input)[0].len(), text(Matrix::Output).len());
        let config = of_golden(&case["model"], n_inputs, n_outputs);
        for matrix in Matrix::ALL {
            let [n_post, n_pre] = matrix.shape(&config);
            let possible = config.possible(matrix);
            let signs = config.signs(matrix).filter(|_| matrix != Matrix::Input);
            let entry = |k: usize| match (&possible, &signs) {
                (Some(possible), _) if possible[k] == 0.0 => '.',
                (_, Some(signs)) if signs[k % n_pre] < 0.0 => '-',
                _ => '+',
            };
            let row = |i: usize| (0..n_pre).map(|j| entry(i * n_pre + j)).collect::<String>();
            let found: Vec<String> = (0..n_post).map(row).collect();
            assert_eq!(found, text(matrix), "{}: {matrix:?}", case["name"]);
        }
    }
}

/// Drawn masks: nn4n draws each connection with a probability, we draw the nearest number; both agree within four standard
/// deviations.
#[test]
fn drawn_masks_of_nn4n() {
    let golden = golden();
    let case = &golden["drawn"]["multi_area"];
    let config = of_golden(&case["model"], 3, 2);
    let mask: Vec<f64> = weights(&config, 1)["recurrent.mask"].iter().collect();
    let ends = [0..20, 20..60];
    for (post, pre) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        let found = count(&mask, ends[post].clone(), ends[pre].clone(), 60) as f64;
        let theirs = case["connections"][post][pre].as_f64().unwrap();
        let n = (ends[post].len() * ends[pre].len()) as f64;
        let deviation = (found * (1.0 - found / n)).sqrt();
        assert!(
            (found - theirs).abs() <= 4.0 * deviation,
            "{found}, {theirs}"
        );
    }
    let random = &golden["drawn"]["random_input"];
    let n = |key: &str| random[key].as_u64().unwrap() as usize;
    let (receiving, read) = (n("receiving"), n("read"));
    let part = |units, inputs: Option<&[&str]>, read_out| Area {
        inputs: inputs.map(names),
        read_out: Some(ReadOut::All(read_out)),
        ..area(units)
    };
    let areas = [
        ("receiving", part(receiving, None, false)),
        ("between", part(60 - receiving - read, Some(&[]), false)),
        ("read", part(read, Some(&[]), true)),
    ];
    let config = resolved(areas, [("* -> *", Projection::default().into())]).unwrap();
    assert_eq!(config.possible(Matrix::Recurrent), None);
    let sums = |matrix: Matrix| config.possible(matrix).unwrap().iter().sum::<f64>();
    assert_eq!((sums(Matrix::Input), sums(Matrix::Output)), (36.0, 30.0)); // 18 units, 15 units
    assert_eq!(n("both"), 0);
}
