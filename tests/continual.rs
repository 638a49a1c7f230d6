//! Protection of earlier stages: resuming to the bit, its effect on the weights, forgetting, and what is refused.

use crate::project::Project;

/// Two tasks in turn, in a mixture.
const TURNS: &str = r#"
version = 1
seed = 1
[task.multitask]
mixing = "blocks"
tasks = { go_nogo = { fixation_ms = 40, stimulus_ms = 60, delay_ms = 40, response_ms = 60 }, anti = {} }
[model]
n_units = 8
[train]
steps = 3
batch_size = 4
optimizer = { name = "adam", lr = 0.01 }
[validate]
every_steps = 1
trials = 8
[checkpoint]
every_steps = 2
keep_last = 20
[[train.stage]]
name = "first"
task.multitask.turns = ["go_nogo"]
[[train.stage]]
name = "second"
carry = []
task.multitask.turns = ["anti"]
[[train.stage]]
name = "third"
"#;

const PROTECTIONS: [&str; 3] = [
    "train.continual={name='synaptic_intelligence',strength=10}",
    "train.continual={name='ewc',trials=4}",
    "train.continual={name='projection',trials=4}",
];

fn project() -> Project {
    let project = Project::in_memory();
    project.write("turns.toml", TURNS);
    project
}

fn train<'a>(run: &'a str, overrides: &[&'a str]) -> Vec<&'a str> {
    [&["train", "turns.toml", "--run-dir", run][..], overrides].concat()
}

/// The first stage is that of an unprotected training, and the second is not; interrupted after every step but the last of a stage, each ends with the same files.
#[test]
fn protected_trainings_resume_to_the_bit() {
    let project = project();
    project.run(&train("free", &[])).exits(0);
    let after = |run: &str, step: u64| {
        let path = format!("{run}/checkpoints/step-{step:08}/weights.safetensors");
        let weights = ctrnn_files::TensorFile::read(&project.path(path)).unwrap();
        weights.tensors["recurrent.weight"].to_f64().unwrap()
    };
    for (k, protection) in PROTECTIONS.iter().enumerate() {
        let [whole, parts] = ["whole", "parts"].map(|name| format!("{name}{k}"));
        project.run(&train(&whole, &[protection])).exits(0);
        assert_eq!(after("free", 3), after(&whole, 3), "{protection}");
        assert_ne!(after("free", 6), after(&whole, 6), "{protection}");
        let stops = project.train_in_parts(&train(&parts, &[protection]), &parts);
        assert_eq!(stops, 6, "{protection}");
        project.assert_same_run(&whole, &parts);
    }
}

/// `analyze forgetting` has the accuracies of metrics.csv at the ends of the stages; a training without stages has none.
#[test]
fn forgetting_is_read_off_the_ends_of_stages() {
    let project = project();
    project.run(&train("run", &[])).exits(0);
    project
        .run(&["analyze", "run", "forgetting", "-o", "found"])
        .exits(0);
    let arrays = project.arrays("found/forgetting.npz");
    let found = arrays["accuracy"].to_f64().unwrap();
    let rows = project.metrics("run");
    let mut expected = Vec::new();
    for step in ["3", "6", "9"] {
        let is_end = |row: &&std::collections::BTreeMap<String, String>| {
            row["step"] == step && row["split"] == "val"
        };
        let row = rows.iter().find(is_end).unwrap();
        for column in ["accuracy_anti", "accuracy_go_nogo"] {
            expected.push(row[column].parse::<f64>().unwrap_or(f64::NAN));
        }
    }
    assert_eq!(arrays["accuracy"].shape(), [3, 2]);
    let is_same = |(a, b): (&f64, &f64)| a == b || a.is_nan() && b.is_nan();
    assert!(
        found.iter().zip(&expected).all(is_same),
        "{found:?}, not {expected:?}"
    );
    project
        .run(&train("single", &["train.stage=none"]))
        .exits(0);
    let answer = project.run(&["analyze", "single", "forgetting", "-o", "none"]);
    assert!(
        answer.stderr.contains("fewer than two stages"),
        "{}",
        answer.stderr
    );
}

#[test]
fn a_protection_that_cannot_hold_is_refused() {
    let project = project();
    let projection = "train.continual.name=projection";
    let cases: [(&[&str], &str); 6] = [
        (
            &["train.continual.name=si"],
            "\"si\" is not a protection of earlier stages",
        ),
        (
            &["train.continual={name='ewc',trials=0}"],
            "train.continual.trials",
        ),
        (&[projection, "model.dale={}"], "signs, masks"),
        (&[projection, "model.density.recurrent=0.5"], "signs, masks"),
        (
            &[projection, "model.low_rank={rank=2}"],
            "one layer with full recurrent weights",
        ),
        (
            &[
                "train.continual.name=ewc",
                "train.rule.name=force",
                "train.loss.name=mse",
            ],
            "holds gradients back",
        ),
    ];
    for (overrides, expected) in cases {
        let answer = project.run(&train("run", overrides)).exits(2);
        assert!(
            answer.stderr.contains(expected),
            "{overrides:?}: {}",
            answer.stderr
        );
    }
}
