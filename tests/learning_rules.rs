//! Learning rules without a backward pass: what they refuse, their run folders, and resuming.

use crate::project::Project;

/// A tiny reservoir that learns a sine by FORCE.
const FORCE: &str = r#"
version = 1
seed = 1
[time]
dt_ms = 1
[task.sine]
period_ms = 50
trial_ms = 100
[model]
n_units = 20
activation = "tanh"
tau_ms = 10
initial_state = { learned = { mean = 0.0, std = 0.5 } }
feedback = {}
[train]
rule = { name = "force" }
steps = 6
batch_size = 2
log_every = 1
[validate]
every_steps = 2
trials = 1
[checkpoint]
every_steps = 2
keep_last = 20
"#;

/// Overrides that turn it into each of the other rules.
const OTHERS: [&[&str]; 5] = [
    &[
        "train.rule={name='force',feedback='target',recurrent=true}",
        "model.density.recurrent=0.4",
    ],
    &[
        "train.rule={name='force',every_steps=3,alpha=10}",
        "model.initial_state=carry",
        "model.noise={preactivation=0.1,postactivation=0.1}",
    ],
    &["train.rule.name=full_force", "model.feedback=none"],
    &[
        "train.rule.name=rflo",
        "model.low_rank={rank=2}",
        "model.feedback=none",
    ],
    &[
        "train.rule.name=eprop",
        "model.dale={}",
        "model.activation=relu",
    ],
];

fn project() -> Project {
    let project = Project::in_memory();
    project.write("force.toml", FORCE);
    project
}

fn train<'a>(run: &'a str, overrides: &[&'a str]) -> Vec<&'a str> {
    [&["train", "force.toml", "--run-dir", run][..], overrides].concat()
}

/// Interrupted after every step, each rule ends with the files of an uninterrupted training.
#[test]
fn every_rule_resumes_to_the_bit() {
    let project = project();
    let rules = [&[][..]].into_iter().chain(OTHERS);
    for (k, overrides) in rules.enumerate() {
        let [whole, parts] = ["whole", "parts"].map(|name| format!("{name}{k}"));
        project.run(&train(&whole, overrides)).exits(0);
        let stops = project.train_in_parts(&train(&parts, overrides), &parts);
        assert_eq!(stops, 5, "{overrides:?}");
        project.assert_same_run(&whole, &parts);
        let rows = project.metrics(&whole);
        assert_eq!(
            rows.iter().filter(|row| row["split"] == "train").count(),
            6,
            "{overrides:?}"
        );
    }
}

/// The commands on a run know it, and the readout is the only array that FORCE changes.
#[test]
fn a_force_run_is_a_run_like_any_other() {
    let project = project();
    project.run(&train("run", &[])).exits(0);
    project.run(&["eval", "run", "--json"]).exits(0);
    project
        .run(&["simulate", "run", "-o", "states.npz"])
        .exits(0);
    project
        .run(&["analyze", "run", "spectrum", "-o", "spectrum"])
        .exits(0);
    project.run(&["report", "run"]).exits(0);
    project
        .run(&["export", "run", "-o", "run.npz", "--to", "npz"])
        .exits(0);
    let weights = |file| {
        let read = ctrnn_files::TensorFile::read(&project.path(file));
        read.expect("a file of weights").tensors
    };
    let before = weights("run/initial/weights.safetensors");
    let after = weights("run/model/weights.safetensors");
    let changed: Vec<&String> = after
        .keys()
        .filter(|name| before.get(*name) != after.get(*name))
        .collect();
    assert_eq!(changed, ["output.bias", "output.weight"]);
    assert!(after.contains_key("feedback.weight"));
}

#[test]
fn what_a_rule_cannot_do_is_refused_by_name() {
    let project = project();
    let full = "train.rule={name='full_force'}";
    let cases: [(&[&str], &str); 16] = [
        (
            &["train.rule.name=forse"],
            "\"forse\" is not a learning rule",
        ),
        (&["train.rule.every_steps=0"], "train.rule.every_steps"),
        (&["train.rule.alpha=0"], "train.rule.alpha"),
        (&["train.rule.feedback=targets"], "train.rule.feedback"),
        (
            &["train.rule.feedback=target", "model.feedback=none"],
            "add [model.feedback]",
        ),
        (&[full], "remove model.feedback"),
        (
            &[full, "model.feedback=none", "model.initial_state=carry"],
            "model.initial_state = \"zero\"",
        ),
        (
            &["model.low_rank={rank=2}"],
            "no full matrix that could take up the feedback",
        ),
        (
            &["model.short_term_plasticity=half", "model.activation=relu"],
            "plastic synapses transmit something else",
        ),
        (
            &[
                "model.feedback=none",
                "model.short_term_plasticity=half",
                "model.activation=relu",
            ],
            "does not support synapses with a state of their own",
        ),
        (&["train.loss.rate_l2=0.1"], "not penalties"),
        (&["train.recompute=true"], "nothing to recompute"),
        (
            &["model.output_nonlinearity=sigmoid"],
            "trains a linear readout",
        ),
        (
            &["model.dale={}", "model.activation=relu"],
            "model.dale.readout = \"free\"",
        ),
        (&["train.freeze=[\"output\"]"], "has nothing to train"),
        (
            &["model.feedback.init={name='gaussian',std=-1}"],
            "model.feedback.init",
        ),
    ];
    for (overrides, expected) in cases {
        let answer = project.run(&train("run", overrides)).exits(2);
        assert!(
            answer.stderr.contains(expected),
            "{overrides:?}: {}",
            answer.stderr
        );
        assert!(!project.path("run").exists(), "{overrides:?}");
    }
    let free = [
        "model.dale={readout='free'}",
        "model.activation=relu",
        "train.optimizer.lr=0.1",
    ];
    let answer = project
        .run(&[&["check", "force.toml"][..], &free].concat())
        .exits(0);
    let said = answer.stdout + &answer.stderr;
    assert!(
        said.contains(
            "train.optimizer has no effect: train.rule = \"force\" has neither a gradient"
        ),
        "{said}"
    );
}
