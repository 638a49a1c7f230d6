//! Numbers of tests/golden/make_low_rank.py, which computes them with numpy.

use ctrnn_model::{CtrnnConfig, ShortTermPlasticity};

use super::flow::{Field, velocities};
use super::*;
use crate::PlasticSynapses;
use crate::analyses::synthetic::Synthetic;
use crate::plot::is_clean;

const N: usize = 6;

/// Values by formula, as in the script.
fn wave(scale: f64, phase: f64, rows: usize, columns: usize) -> Array2<f64> {
    Array2::from_shape_fn((rows, columns), |(i, j)| {
        scale * (1.7 * (i * columns + j) as f64 + phase).sin()
    })
}

fn synthetic() -> Synthetic {
    let potentials = wave(1.0, 0.4, 6, N).mapv(|x| x.powi(3));
    let potentials = Array3::from_shape_fn((2, 3, N), |(b, t, unit)| potentials[[3 * b + t, unit]]);
    Synthetic::of(&[("coh", vec![-1.0, 1.0])], potentials)
}

/// The network of the script, of this rank.
fn study(synthetic: &Synthetic, rank: usize) -> Study<'_> {
    let mut study = synthetic.study();
    let dynamics = &mut study.dynamics;
    let (left, right) = (wave(1.5, 0.1, N, rank), wave(2.0, 0.2, N, rank));
    dynamics.w_rc = left.dot(&right.t()) / N as f64;
    dynamics.w_in = wave(0.7, 2.0, N, 1);
    dynamics.w_out = wave(0.3, 3.0, 2, N);
    dynamics.gain = Array1::from_elem(N, 0.2);
    dynamics.tau_ms = Array1::from_elem(N, 50.0);
    dynamics.factors = Some(Factors {
        left,
        right,
        has_full: false,
    });
    study
}

fn options(inputs: &str) -> LowRankOptions {
    LowRankOptions {
        held: HeldOptions {
            inputs: inputs.to_owned(),
            most_inputs: None,
        },
        ..LowRankOptions::default()
    }
}

fn assert_near<'a>(found: impl IntoIterator<Item = &'a f64>, expected: &[f64], tolerance: f64) {
    let found: Vec<f64> = found.into_iter().copied().collect();
    assert_eq!(found.len(), expected.len());
    for (a, b) in found.iter().zip(expected) {
        assert!((a - b).abs() < tolerance, "{found:?} is not {expected:?}");
    }
}

#[test]
fn overlaps_and_coordinates_are_those_of_numpy() {
    let synthetic = synthetic();
    let found = LowRank::compute(&study(&synthetic, 1), &options("0; 0.5")).unwrap();
    assert_eq!(
        found.names,
        [
            "left 1",
            "right 1",
            "input input",
            "output left",
            "output right"
        ]
    );
    let rows = [
        [
            1.025931967192,
            1.349397542273,
            -0.193523106488,
            -1.220551747048,
            1.006401730916,
        ],
        [
            1.349397542273,
            1.796404258672,
            -0.18302574589,
            -1.558886458508,
            1.422555926693,
        ],
    ];
    assert_near(found.overlaps.slice(s![..2, ..]), &rows.concat(), 1e-11);
    assert_near(&found.kappa, &KAPPA, 1e-11);
    assert_near(&found.inputs, &INPUTS, 1e-11);
    assert!((found.explained - EXPLAINED).abs() < 1e-11);
    assert_eq!(found.input_axes, ["input"]);
    let first = found.statements();
    assert_eq!(
        first[0],
        "rank 1; moduli of the eigenvalues of the product: 1.35"
    );
    assert!(
        first[1]
            .starts_with("right 1 . left 1 / N = 1.35; largest cosines: right 1 with input input"),
        "{first:?}"
    );
}

const KAPPA: [f64; 6] = [
    0.377799700497,
    -0.468243428247,
    0.06660674415,
    0.486263471173,
    -0.381668800649,
    0.465964980218,
];
const INPUTS: [f64; 6] = [
    0.188522827568,
    -1.201056782756,
    0.953335228604,
    -0.538414402012,
    -0.127765325394,
    1.175861475135,
];
const EXPLAINED: f64 = 0.944783428715;

/// The rests of a line are the zeros of the velocity under the held input; the outer ones are stable.
#[test]
fn the_flow_on_a_line_is_that_of_numpy() {
    let synthetic = synthetic();
    let study = study(&synthetic, 1);
    let factors = study.dynamics.factors.as_ref().unwrap();
    let places = ndarray::array![[-1.0], [0.3]];
    let velocity = |u: f64| {
        let drive = study.dynamics.input_drive(&ndarray::array![u]);
        velocities(&study.dynamics, factors, &drive, &places)
    };
    assert_near(&velocity(0.0), &[0.001292160608, 0.001742824853], 1e-12);
    assert_near(
        &velocity(0.5),
        &[2.065287597750e-03, 4.716692410034e-07],
        1e-12,
    );
    let found = LowRank::compute(&study, &options("0; 0.5")).unwrap();
    let flow = found.flow.as_ref().unwrap();
    let expected = [
        [-0.8750224072306, 0.0, 0.8750224072306],
        [-0.816321412654, 0.299910678244, 0.833955579928],
    ];
    for (field, expected) in flow.fields.iter().zip(expected) {
        let Field::Line { rests, .. } = field else {
            panic!("rank 1 has a line");
        };
        let kappa: Vec<f64> = rests.iter().map(|rest| rest.kappa).collect();
        assert_near(&kappa, &expected, 1e-9);
        let stable: Vec<bool> = rests.iter().map(|rest| rest.is_stable).collect();
        assert_eq!(stable, [true, false, true]);
    }
    let arrays = found.arrays();
    assert_eq!(arrays["rest_is_stable_1"].to_i64().unwrap(), [1, 0, 1]);
    let all = found.statements().join("\n");
    assert!(
        all.contains("input 1: kappa rests at −0.816, 0.3 (unstable) and 0.834"),
        "{all}"
    );
    assert!(
        found
            .figures()
            .iter()
            .all(|(_, figure)| is_clean(&figure.to_svg()))
    );
}

#[test]
fn the_flow_on_a_plane_is_that_of_numpy() {
    let synthetic = synthetic();
    let study = study(&synthetic, 2);
    let factors = study.dynamics.factors.as_ref().unwrap();
    let drive = study.dynamics.input_drive(&ndarray::array![0.5]);
    let found = velocities(
        &study.dynamics,
        factors,
        &drive,
        &ndarray::array![[0.4, -0.9]],
    );
    assert_near(&found, &[-0.010142833778, 0.005291208909], 1e-12);
    let found = LowRank::compute(&study, &options("0.5")).unwrap();
    let product = found.overlaps.slice(s![2..4, ..2]);
    let expected = [
        1.513280214855,
        0.923266141406,
        0.626262282819,
        1.222530169746,
    ];
    assert_near(product, &expected, 1e-11);
    let Field::Plane(fields) = &found.flow.as_ref().unwrap().fields[0] else {
        panic!("rank 2 has a plane");
    };
    let [fine, _] = &**fields;
    // Rows of the field are places along the second dimension.
    let place = ndarray::array![[fine.places[0][7], fine.places[1][20]]];
    let velocity = velocities(&study.dynamics, factors, &drive, &place);
    assert_near(
        fine.velocity.slice(s![20, 7, ..]),
        &velocity.into_raw_vec_and_offset().0,
        1e-15,
    );
    let svg = found.figures()[2].1.to_svg();
    assert!(is_clean(&svg) && svg.contains("kappa 2"));
}

#[test]
fn what_does_not_determine_the_change_of_kappa_has_no_flow() {
    let synthetic = synthetic();
    let mut study = study(&synthetic, 1);
    let why = |study: &Study| {
        LowRank::compute(study, &options("0"))
            .unwrap()
            .flow
            .unwrap_err()
    };
    study.dynamics.gain[2] = 0.1;
    assert!(why(&study).contains("different time constants"));
    study.dynamics.gain[2] = 0.2;
    study.dynamics.synapses = PlasticSynapses::of(&CtrnnConfig {
        short_term_plasticity: Some(ShortTermPlasticity::Half),
        ..CtrnnConfig::new(1, study.dynamics.n_units(), 1)
    });
    assert!(why(&study).contains("short-term plasticity"));
    study.dynamics.synapses = None;
    study.dynamics.factors.as_mut().unwrap().has_full = true;
    assert!(why(&study).contains("the full matrix moves the states"));
    study.dynamics.factors = None;
    let refused = LowRank::compute(&study, &options("0")).unwrap_err();
    assert!(
        refused
            .to_string()
            .contains("the recurrent weights have no factors")
    );
}

/// 60 units, the second half with the opposite sign of right and left entries.
#[test]
fn populations_are_those_of_the_loadings() {
    let potentials = Array3::from_shape_fn((1, 3, 60), |(_, t, unit)| ((t * unit) as f64).sin());
    let synthetic = Synthetic::of(&[("coh", vec![1.0])], potentials);
    let mut study = synthetic.study();
    let draw = crate::analyses::synthetic::directions(2, 60);
    let column = |k: usize| draw.row(k).to_owned().insert_axis(Axis(1)) * 60f64.sqrt();
    let (left, mut right) = (column(0), column(0) + 0.1 * column(1));
    right.slice_mut(s![30.., ..]).mapv_inplace(|x| -x);
    study.dynamics.factors = Some(Factors {
        left,
        right,
        has_full: false,
    });
    let found = LowRank::compute(&study, &options("0")).unwrap();
    let labels = &found.mixtures[found.best].labels;
    let agree = (0..60)
        .filter(|unit| (labels[*unit] == labels[0]) == (*unit < 30))
        .count();
    assert!(found.best == 1 && agree > 55, "{labels:?}");
    let arrays = found.arrays();
    let covariance = |p: usize| {
        arrays[&*format!("population_overlaps_{p}")]
            .to_f64()
            .unwrap()[1]
    };
    assert!(covariance(labels[0]) > 0.5 && covariance(1 - labels[0]) < -0.5);
    let names: Vec<&String> = found.loading_places().map(|k| &found.names[k]).collect();
    assert_eq!(names, ["left 1", "right 1"]);
}
