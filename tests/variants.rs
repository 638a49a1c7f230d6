//! Variants of a network that training itself must respect: time constants, noise, initial states, answers.

use std::collections::BTreeMap;

use ctrnn_files::Array;

use crate::project::Project;

const LEARNED_TAU: &str = "model.tau_ms={learned={initial=100,bounds=[20,500]}}";
const SHARED_TAU: &str = "model.tau_ms={learned={initial=100,bounds=[20,500],per_unit=false}}";
const ALL_NOISE: &str = "model.noise={preactivation=[0,0.1,0.2,0.3,0.4,0.5,0.6,0.7],postactivation=0.1,input=0.1,initial_state=0.1,convention=\"song\"}";

/// Every variant that a run must take up again where it stood.
const VARIANTS: [&[&str]; 9] = [
    &[LEARNED_TAU, ALL_NOISE, "time.integrator=exponential"],
    &[SHARED_TAU, ALL_NOISE],
    &[
        "model.tau_ms={uniform=[20,200]}",
        "model.initial_state=carry",
    ],
    &[
        "model.tau_ms={e={uniform=[50,200]},i=20}",
        "model.dale.excitatory_fraction=0.75",
    ],
    &["model.initial_state=learned_per_condition", ALL_NOISE],
    &["train.recompute=true", ALL_NOISE],
    &[
        "model.short_term_plasticity=half",
        "model.initial_state=carry",
        "train.recompute=true",
    ],
    &[
        "model.output_nonlinearity=sigmoid",
        "model.input={baseline=0.2,rectify=true}",
    ],
    &[
        "model.output_nonlinearity=softmax",
        "train.loss.name=cross_entropy",
    ],
];

#[test]
fn a_resumed_run_equals_an_uninterrupted_one_for_every_variant() {
    for variant in VARIANTS {
        let project = Project::new();
        let steps = |n: &'static str| [variant, &[n][..]].concat();
        project.train("whole", &steps("train.steps=10")).exits(0);
        project.train("parts", &steps("train.steps=5")).exits(0);
        project.run(&["resume", "parts", "train.steps=10"]).exits(0);
        project.assert_same_run("whole", "parts");
    }
}

#[test]
fn every_variant_repeats_with_any_number_of_threads() {
    for variant in VARIANTS {
        let project = Project::new();
        for (run, threads) in [("one", "1"), ("two", "2")] {
            let arguments = [variant, &["train.steps=5", "--threads", threads]].concat();
            project.train(run, &arguments).exits(0);
        }
        project.assert_same_run("one", "two");
    }
}

#[test]
fn learned_time_constants_move_within_their_bounds() {
    let project = Project::new();
    let steps = ["train.steps=20", "train.optimizer.lr=1.0", LEARNED_TAU];
    project.train("run", &steps).exits(0);
    let weights = project.arrays("run/model/weights.npz");
    let tau_ms = weights["tau_ms"].to_f64().expect("numbers");
    assert_eq!(weights["tau_raw"].shape(), [8]);
    assert!(
        tau_ms.iter().all(|tau| (20.0..=500.0).contains(tau)),
        "{tau_ms:?}"
    );
    let events = project.text("run/events.jsonl");
    let last = events.lines().rfind(|line| line.contains("\"checkpoint\""));
    let last: serde_json::Value =
        serde_json::from_str(last.expect("a checkpoint")).expect("a JSON object");
    let largest = tau_ms.iter().copied().fold(0.0, f64::max);
    assert_eq!(last["tau_ms"]["max"].as_f64(), Some(largest));
    assert!(
        tau_ms.iter().any(|tau| (tau - 100.0).abs() > 10.0),
        "{tau_ms:?}"
    );
}

/// The first batch starts from zero, as with `zero`; later ones do not.
#[test]
fn a_carried_state_changes_every_batch_but_the_first() {
    let project = Project::new();
    for state in ["zero", "carry"] {
        let state_key = format!("model.initial_state={state}");
        project
            .train(state, &[&state_key, "train.steps=3"])
            .exits(0);
    }
    let losses = |run: &str| -> Vec<String> {
        let rows = project.metrics(run).into_iter();
        rows.filter(|row| row["split"] == "train")
            .map(|row| row["loss"].clone())
            .collect()
    };
    let (zero, carry) = (losses("zero"), losses("carry"));
    assert_eq!(zero[0], carry[0]);
    assert_ne!(zero[1], carry[1]);
    project.run(&["eval", "carry"]).exits(0);
}

/// The files hold what the network answers, which adds up to 1 under softmax.
#[test]
fn simulated_outputs_are_answers() {
    let project = Project::new();
    let softmax = ["model.output_nonlinearity=softmax", "train.steps=5"];
    project.train("run", &softmax).exits(0);
    project
        .run(&["simulate", "run", "-o", "states.npz"])
        .exits(0);
    let outputs = project.arrays("states.npz")["outputs"]
        .to_f64()
        .expect("numbers");
    for answer in outputs.chunks(2) {
        assert!(
            (answer.iter().sum::<f64>() - 1.0).abs() < 1e-6,
            "{answer:?}"
        );
    }
}

/// A network that is trained at 20 ms keeps at least 95 % of its accuracy at 5 ms, with either integrator.
#[test]
fn a_network_trained_at_20_ms_runs_at_5_ms() {
    let project = Project::new();
    let config = "[task.perceptual_decision]\ncoherences = [0.128, 0.256, 0.512]\nfixation_ms = 100\nstimulus_ms = 400\nresponse_ms = 100\n\
         [model]\nn_units = 32\nnoise = { preactivation = 0.05, convention = 'song' }\n\
         [train]\nsteps = 300\nclip_grad_norm = 1.0\nstop = { metric = 'val.accuracy', at_least = 0.95 }\n\
         [validate]\ntrials = 120\nevery_steps = 25";
    project.write("decision.toml", config);
    project
        .run(&["train", "decision.toml", "--run-dir", "run"])
        .exits(0);
    let accuracy = |overrides: &[&str]| -> f64 {
        let eval = [&["eval", "run", "--trials", "300", "--json"], overrides].concat();
        project.run(&eval).exits(0).json()["accuracy"]
            .as_f64()
            .expect("an accuracy")
    };
    let trained = accuracy(&[]);
    assert!(trained > 0.9, "{trained}");
    for overrides in [
        &["time.dt_ms=5"][..],
        &["time.dt_ms=5", "time.integrator=exponential"],
    ] {
        let found = accuracy(overrides);
        assert!(
            found >= 0.95 * trained,
            "{overrides:?}: {found}, trained {trained}"
        );
    }
}

/// Initial states belong to the conditions that were trained on, by their number.
#[test]
fn states_of_conditions_are_not_given_to_others() {
    let project = Project::new();
    let train = [
        "task.perceptual_decision.coherences=[0.0,0.512]",
        "model.initial_state=learned_per_condition",
        "train.steps=2",
    ];
    project.train("run", &train).exits(0);
    let eval = |coherences: &str| {
        let given = format!("task.perceptual_decision.coherences={coherences}");
        project.run(&["eval", "run", &given])
    };
    eval("[0.0,0.512]").exits(0);
    eval("[0.512,0.0]")
        .exits(2)
        .says(&["initial state for each condition", "help: "]);
}

const PER_CONDITION: &str = "model.initial_state=learned_per_condition";

fn coherences(values: &str) -> String {
    format!("task.perceptual_decision.coherences={values}")
}

/// The initial state of each condition of a run, by its coherence and side.
fn states(project: &Project, weights: &str) -> BTreeMap<[String; 2], Vec<f64>> {
    let arrays = project.arrays(weights);
    let numbers = |name: &str| arrays[name].to_f64().unwrap();
    let (states, n) = (numbers("initial_state"), arrays["initial_state"].shape()[1]);
    let values = ["coh", "side"].map(|name| numbers(&format!("initial_state.condition.{name}")));
    let condition = |k: usize| [0, 1].map(|v: usize| values[v][k].to_string());
    let rows = states.chunks_exact(n).enumerate();
    rows.map(|(k, row)| (condition(k), row.to_vec())).collect()
}

/// Initial states follow their conditions by value into a run of other conditions, in another order; new ones begin at zero.
#[test]
fn initial_states_find_their_conditions() {
    let project = Project::new();
    let task = coherences("[0.0,0.128,0.512]");
    let train = [
        &*task,
        PER_CONDITION,
        "train.steps=4",
        "train.optimizer.lr=0.1",
    ];
    project.train("run", &train).exits(0);
    let learned = states(&project, "run/model/weights.npz");
    assert_eq!(learned.len(), 6);
    assert!(learned.values().flatten().any(|x| x.abs() > 1e-3));

    let task = coherences("[0.512,0.256,0.0]");
    let begin = [&*task, PER_CONDITION, "train.steps=0", "--init-from", "run"];
    project.train("other", &begin).exits(0).says(&[
        "note: the weights have no initial state for 2 of the 6 conditions, which begin at zero: coh = 0.256, side = -1",
    ]);
    for (condition, state) in states(&project, "other/model/weights.npz") {
        let expected = learned.get(&condition).cloned();
        let expected = expected.unwrap_or_else(|| vec![0.0; state.len()]);
        assert_eq!(state, expected, "{condition:?}");
    }
    // The same through a file of weights, and through an import.
    let export = ["export", "run", "--to", "npz", "-o", "w.npz"];
    project.run(&export).exits(0);
    let begin = [
        &*task,
        PER_CONDITION,
        "train.steps=0",
        "model.init.file=w.npz",
    ];
    project.train("file", &begin).exits(0);
    let import = ["import", "w.npz", "--from", "npz", "-o", "imported", &task];
    project
        .run(&import)
        .exits(0)
        .says(&["begin at zero: coh = 0.256"]);
    let other = states(&project, "other/model/weights.npz");
    for run in ["file", "imported"] {
        assert_eq!(
            states(&project, &format!("{run}/model/weights.npz")),
            other,
            "{run}"
        );
    }
}

/// Weights of an earlier version do not say which conditions their states are of.
#[test]
fn initial_states_without_conditions_are_taken_by_number() {
    let project = Project::new();
    let task = coherences("[0.0,0.512]");
    let train = [
        &*task,
        PER_CONDITION,
        "train.steps=2",
        "train.optimizer.lr=0.1",
    ];
    project.train("run", &train).exits(0);
    let mut arrays = project.arrays("run/model/weights.npz");
    arrays.retain(|name, _| !name.contains("condition"));
    ctrnn_files::npz::write(&project.path("old.npz"), &arrays).unwrap();
    let begin = [
        &*task,
        PER_CONDITION,
        "train.steps=0",
        "model.init.file=old.npz",
    ];
    let note = "note: the weights do not say to which conditions their initial states belong";
    project.train("other", &begin).exits(0).says(&[note]);
    let learned = states(&project, "run/model/weights.npz");
    assert_eq!(states(&project, "other/model/weights.npz"), learned);
}

/// No initial state is learned for a condition that only trials for validation have.
#[test]
fn a_condition_that_is_never_trained_is_refused() {
    let project = Project::new();
    let number = (0..10).map(f64::from).collect();
    project.write_arrays(
        "trials.npz",
        [
            ("inputs", Array::f32(&[10, 3, 1], vec![0.5; 30])),
            ("targets", Array::f32(&[10, 3, 1], vec![0.5; 30])),
            ("cond_number", Array::f64(&[10], number)),
        ],
    );
    let files = "task.npz.files=[\"trials.npz\"]";
    let says = [
        "error[C016]: model.initial_state = \"learned_per_condition\", but no trial that is trained on has the condition number = ",
        "help: ",
    ];
    let refused = project.train("run", &[files, PER_CONDITION]).exits(2);
    refused.says(&says);
    assert!(!project.path("run").exists());
    let check = ["check", "smoke.toml", files, PER_CONDITION];
    project.run(&check).exits(2).says(&says);
    // A test may have conditions that the network does not know.
    project.train("one", &[files, "train.steps=1"]).exits(0);
    let some = |numbers: Vec<f64>| {
        let n = numbers.len();
        [
            ("inputs", Array::f32(&[n, 3, 1], vec![0.5; 3 * n])),
            ("targets", Array::f32(&[n, 3, 1], vec![0.5; 3 * n])),
            ("cond_number", Array::f64(&[n], numbers)),
        ]
    };
    project.write_arrays("two.npz", some([0.0, 1.0].repeat(10)));
    project.write_arrays("test.npz", some(vec![1.0, 7.0]));
    let train = [
        "task.npz.files=[\"two.npz\"]",
        PER_CONDITION,
        "train.steps=1",
    ];
    project.train("two", &train).exits(0);
    project
        .run(&["eval", "two", "task.npz.files=[\"test.npz\"]"])
        .exits(4)
        .says(&[
            "a trial has the condition number = 7, for which the network has no initial state",
        ]);
}
