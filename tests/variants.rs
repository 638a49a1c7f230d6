//! Variants of a network that training itself must respect: time constants, noise, initial states, answers.

use crate::project::Project;

const LEARNED_TAU: &str = "model.tau_ms={learned={initial=100,bounds=[20,500]}}";
const SHARED_TAU: &str = "model.tau_ms={learned={initial=100,bounds=[20,500],per_unit=false}}";
const ALL_NOISE: &str = "model.noise={preactivation=[0,0.1,0.2,0.3,0.4,0.5,0.6,0.7],postactivation=0.1,input=0.1,initial_state=0.1,convention=\"song\"}";

/// Every variant that a run must take up again where it stood.
const VARIANTS: [&[&str]; 8] = [
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
