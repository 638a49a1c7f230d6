//! Analyses of several networks, against numbers of numpy and by hand.

use ndarray::Array3;
use serde_json::{Map, Value, json};

use super::{Networks, POPULATION_ANALYSES, PopulationAnalysis, population_page};
use crate::analyses::synthetic::Synthetic;
use crate::plot::is_clean;
use crate::{Dynamics, Findings, Metrics, Study, Unsuitable};

/// Returns networks of these groups; each has a seed of its own.
fn networks(sizes: &[&str]) -> Networks {
    let keys = vec!["model.n_units".to_owned(), "seed".to_owned()];
    let values = sizes.iter().enumerate();
    let values = values.map(|(k, size)| vec![(*size).to_owned(), k.to_string()]);
    let names = (0..sizes.len()).map(|k| format!("net{k}"));
    Networks::new(names.collect(), keys, values.collect())
}

fn found(
    name: &str,
    options: Value,
    networks: &Networks,
    studies: &[Study],
) -> Result<Findings, Unsuitable> {
    let analysis = PopulationAnalysis::named(name).unwrap();
    let options: Map<String, Value> = serde_json::from_value(options).unwrap();
    let mut observer = analysis.observer(&options, studies.len());
    studies.iter().for_each(|study| observer.observe(study));
    observer.finish(networks)
}

/// Asserts that all arrays are documented with the right number of axes, and that figures are clean.
#[track_caller]
fn is_documented(name: &str, findings: &Findings) {
    let docs = PopulationAnalysis::named(name).unwrap().documented();
    for (array, values) in findings.arrays.iter() {
        let doc = docs.iter().find(|doc| doc.is_of(array));
        let doc = doc.unwrap_or_else(|| panic!("{name}: {array} is not documented"));
        assert_eq!(doc.rank(), values.shape().len(), "{name}: {array}");
    }
    for (suffix, figure) in &findings.figures {
        assert!(is_clean(&figure.to_svg()), "{name}{suffix}");
        assert!(
            figure.unexplained().is_empty(),
            "{name}{suffix}: {:?}",
            figure.unexplained()
        );
    }
}

fn numbers(findings: &Findings, name: &str) -> Vec<f64> {
    findings.arrays[name].to_f64().unwrap()
}

#[track_caller]
fn are_near(found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len(), "{found:?}");
    let near = |(a, b): (&f64, &f64)| (a - b).abs() < 1e-6 || (a.is_nan() && b.is_nan());
    assert!(
        found.iter().zip(expected).all(near),
        "{found:?} {expected:?}"
    );
}

/// Rates of network k: unit u of trial b at time t.
fn rates(k: usize, n_units: usize) -> Array3<f64> {
    Array3::from_shape_fn((4, 6, n_units), |(b, t, u)| {
        ((b * 7 + t * (k + 1) + u * u) as f64 * 0.37 + k as f64).sin()
    })
}

/// `tests/golden/make_similarity.py` computes these numbers with numpy from the same rates.
#[test]
fn similarities_are_those_of_numpy() {
    let synthetic: Vec<Synthetic> = [(0, 3), (1, 3), (2, 4)]
        .iter()
        .map(|&(k, n_units)| {
            Synthetic::of(&[("coh", vec![-1.0, 1.0, -2.0, 2.0])], rates(k, n_units))
        })
        .collect();
    let studies: Vec<Study> = synthetic.iter().map(Synthetic::study).collect();
    let findings = found(
        "similarity",
        json!({}),
        &networks(&["3", "3", "4"]),
        &studies,
    )
    .unwrap();
    is_documented("similarity", &findings);
    are_near(&numbers(&findings, "cka"), &CKA);
    are_near(&numbers(&findings, "procrustes_angle"), &PROCRUSTES);
    are_near(&numbers(&findings, "procrustes_angle_points"), &POINTS);
    assert_eq!(findings.arrays["dsa"].shape(), [3, 3]);
    assert!(
        findings
            .statements
            .iter()
            .any(|line| line.contains("between networks of a group"))
    );
    let few = found(
        "similarity",
        json!({"most_dsa": 2}),
        &networks(&["3", "3", "4"]),
        &studies,
    )
    .unwrap();
    assert!(!few.arrays.contains_key("dsa"));
    assert!(
        few.statements[0].contains("most_dsa = 2"),
        "{:?}",
        few.statements
    );
    let alone = found("similarity", json!({}), &networks(&["3"]), &studies[..1]).unwrap_err();
    assert!(alone.to_string().contains("one network"), "{alone}");
}

const CKA: [f64; 9] = [
    1.000000000,
    0.536354132,
    0.128900843,
    0.536354132,
    1.000000000,
    0.427941167,
    0.128900843,
    0.427941167,
    1.000000000,
];
const PROCRUSTES: [f64; 9] = [
    0.000000000,
    0.688913842,
    1.200747389,
    0.688913842,
    0.000000000,
    0.766356901,
    1.200747389,
    0.766356901,
    0.000000000,
];
const POINTS: [f64; 6] = [
    -0.581726708,
    -0.149010284,
    -0.037028637,
    0.272779111,
    0.618755345,
    -0.123768827,
];

/// Losses 1, 2 and 6 at step 5 have the mean 3 and the deviation sqrt 7; at step 10 the second network has ended, and 3 and 5 have the mean 4
/// and the deviation sqrt 2.
#[test]
fn learning_curves_have_mean_and_spread() {
    let texts = [
        "step,split,loss,accuracy\n5,val,1,0.5\n10,val,3,0.75\n",
        "step,split,loss,accuracy\n5,val,2,0.5\n",
        "step,split,loss,accuracy\n5,val,6,0.5\n10,val,5,0.25\n",
        "step,split,loss,accuracy\n5,val,8,1\n",
    ];
    let synthetic = Synthetic::of(&[], rates(0, 3));
    let studies: Vec<Study> = texts
        .iter()
        .map(|text| Study {
            metrics: Some(Metrics::parse(text)),
            ..synthetic.study()
        })
        .collect();
    let networks = networks(&["8", "8", "8", "16"]);
    let findings = found("curves", json!({}), &networks, &studies).unwrap();
    is_documented("curves", &findings);
    are_near(&numbers(&findings, "steps"), &[5.0, 10.0]);
    are_near(&numbers(&findings, "loss_mean"), &[3.0, 4.0, 8.0, f64::NAN]);
    let nan = f64::NAN;
    are_near(
        &numbers(&findings, "loss_std"),
        &[7f64.sqrt(), 2f64.sqrt(), nan, nan],
    );
    are_near(&numbers(&findings, "loss_n"), &[3.0, 2.0, 1.0, 0.0]);
    are_near(
        &numbers(&findings, "accuracy_last"),
        &[0.75, 0.5, 0.25, 1.0],
    );
    let line =
        "n_units = 8: validation loss 3.33 ± 1.53, accuracy 0.5 ± 0.25 at the end (3 networks)";
    assert_eq!(findings.statements[0], line);

    let unseen = Study {
        metrics: None,
        ..synthetic.study()
    };
    let some = [studies.into_iter().next().unwrap(), unseen];
    let findings = found("curves", json!({}), &self::networks(&["8", "8"]), &some).unwrap();
    assert!(
        findings.statements[1].starts_with("net1 is left out"),
        "{:?}",
        findings.statements
    );
    are_near(&numbers(&findings, "group_index"), &[0.0]);
}

/// At the evidence 1 two networks choose right in 2 of 2 and 1 of 2 trials: 0.75 +- t(0.975, 1) sqrt(0.125 / 2) = 0.75 +- 12.706205 x 0.25.
#[test]
fn psychometric_curves_have_confidence_over_networks() {
    let coh: Vec<f64> = [-2.0, -1.0, 1.0, 2.0].repeat(2);
    let choices = [[0, 0, 1, 1, 0, 1, 1, 1], [0, 1, 0, 1, 0, 0, 1, 1]];
    let rates = Array3::zeros((8, 3, 2));
    let synthetic: Vec<Synthetic> = choices
        .iter()
        .map(|choices| {
            Synthetic::with_choices(&[("coh", coh.clone())], rates.clone(), choices, &[3; 8], 2)
        })
        .collect();
    let mut studies: Vec<Study> = synthetic.iter().map(Synthetic::study).collect();
    for study in &mut studies {
        let right = coh.iter().map(|coh| Some(usize::from(*coh > 0.0)));
        study.batch.correct = right.collect();
    }
    let findings = found("psychometric", json!({}), &networks(&["2", "2"]), &studies).unwrap();
    is_documented("psychometric", &findings);
    are_near(&numbers(&findings, "evidence"), &[-2.0, -1.0, 1.0, 2.0]);
    are_near(
        &numbers(&findings, "fraction"),
        &[0.0, 0.5, 1.0, 1.0, 0.0, 0.5, 0.5, 1.0],
    );
    let half = 12.706_205 * 0.25;
    let expected = [
        [0.0, 0.0, 0.0],
        [0.5, 0.5, 0.5],
        [0.75, 0.75 - half, 0.75 + half],
        [1.0, 1.0, 1.0],
    ];
    are_near(&numbers(&findings, "mean"), expected.as_flattened());
    assert_eq!(findings.arrays["group_probit"].shape(), [1, 3, 3]);
}

/// A unit with the self-connection 2 has three fixed points, one of them unstable; with 0.5 it has the origin alone.
#[test]
fn solutions_are_counted_by_their_fixed_points() {
    let synthetic = Synthetic::of(
        &[("coh", vec![-1.0, 1.0, -1.0, 1.0])],
        Array3::zeros((4, 6, 1)),
    );
    let of = |weight: f64| {
        let study = synthetic.study();
        let dynamics = Dynamics {
            w_rc: ndarray::array![[weight]],
            gain: ndarray::array![0.2],
            ..study.dynamics.clone()
        };
        let visited =
            Array3::from_shape_fn((4, 6, 1), |(b, t, _)| (b as f64 - 1.5) * t as f64 * 0.3);
        Study {
            dynamics,
            potentials: visited.clone(),
            rates: visited.mapv(f64::tanh),
            ..study
        }
    };
    let studies = [of(2.0), of(0.5), of(2.5)];
    let findings = found(
        "fixed_points",
        json!({}),
        &networks(&["1", "1", "2"]),
        &studies,
    )
    .unwrap();
    is_documented("fixed_points", &findings);
    are_near(&numbers(&findings, "n_stable"), &[2.0, 1.0, 2.0]);
    are_near(&numbers(&findings, "n_saddles"), &[1.0, 0.0, 1.0]);
    are_near(&numbers(&findings, "type_index"), &[0.0, 1.0, 0.0]);
    are_near(&numbers(&findings, "n_networks"), &[1.0, 1.0, 1.0, 0.0]);
    assert_eq!(
        findings.statements[0],
        "type 1: 2 of 3 networks (1 in n_units = 1; 1 in n_units = 2): 2 stable points and 1 saddle under every input"
    );
}

#[test]
fn networks_stand_side_by_side() {
    let synthetic = [Synthetic::network(4, 6), Synthetic::network(6, 6)];
    let studies: Vec<Study> = synthetic.iter().map(Synthetic::study).collect();
    let findings = found("compare", json!({}), &networks(&["4", "6"]), &studies).unwrap();
    is_documented("compare", &findings);
    for (k, study) in studies.iter().enumerate() {
        let mean = study.rates.mean().unwrap();
        assert!((numbers(&findings, "mean_rate")[k] - mean).abs() < 1e-12);
    }
    assert_eq!(findings.arrays["values"].shape(), [2, 2]);
    assert_eq!(findings.statements.len(), 2);

    let unsuited = Err(Unsuitable::lacks("no <metrics>"));
    let all = [
        (PopulationAnalysis::named("compare").unwrap(), Ok(findings)),
        (PopulationAnalysis::named("curves").unwrap(), unsuited),
    ];
    let left_out = ["1 trial".to_owned()];
    let page = population_page("s", "2 networks", &networks(&["4", "6"]), &left_out, &all);
    for part in [
        "<h2>Networks</h2>",
        "<h2>Side by side</h2>",
        "<td>net1</td>",
        "curves: no &lt;metrics&gt;",
        "<li>1 trial</li>",
    ] {
        assert!(page.contains(part), "{part}");
    }
    assert!(!page.contains("<h2>Learning curves</h2>"));
}

#[test]
fn names_are_those_of_files_and_settings() {
    for analysis in POPULATION_ANALYSES {
        assert!(
            analysis
                .arrays
                .iter()
                .all(|doc| doc.rank() > 0 && !doc.meaning.ends_with('.'))
        );
        let given = Map::from_iter([("no_such".to_owned(), json!(1))]);
        let why = analysis.options.check(&given).unwrap_err().to_string();
        assert!(
            why.contains(&format!("not an option of {}", analysis.name)),
            "{why}"
        );
    }
}
