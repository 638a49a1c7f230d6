//! Trainings with stages: what a stage changes, what its end is, what it takes over, and resuming inside of one.

use serde_json::json;

use crate::project::Project;

/// Three stages: one that ends at its bound, one that ends after its steps and begins with new moments, one with another task.
const STAGES: &str = r#"
version = 1
seed = 1
[task.go_nogo]
fixation_ms = 40
stimulus_ms = 60
delay_ms = 40
response_ms = 60
[model]
n_units = 8
noise = { preactivation = 0.05 }
[train]
steps = 6
batch_size = 4
log_every = 1
optimizer = { name = "adam", lr = 0.01 }
schedule = { name = "cosine" }
[validate]
every_steps = 1
trials = 8
[checkpoint]
every_steps = 2
keep_last = 20
[[train.stage]]
name = "easy"
until = { metric = "val.loss", at_most = 1000.0, over = 3 }
[[train.stage]]
carry = []
steps = 4
task.go_nogo.delay_ms = 80
train = { freeze = ["input"], loss = { rate_l2 = 0.01 } }
[[train.stage]]
name = "hard"
carry = ["optimizer", "schedule"]
until = { metric = "val.loss", at_most = 0.0, patience = 1000 }
task.go_nogo.delay_ms = { uniform = [80, 120] }
validate.trials = 12
[train.stage.model.noise]
preactivation = 0.1
"#;

fn project() -> Project {
    let project = Project::in_memory();
    project.write("stages.toml", STAGES);
    project
}

fn train(run: &str) -> [&str; 4] {
    ["train", "stages.toml", "--run-dir", run]
}

#[test]
fn stages_follow_one_another() {
    let project = project();
    project.run(&train("run")).exits(0);
    let rows = project.metrics("run");
    let steps_of = |stage: &str| -> Vec<u64> {
        let rows = rows.iter().filter(|row| row["stage"] == stage);
        let rows = rows.filter(|row| row["split"] == "train");
        rows.map(|row| row["step"].parse().unwrap()).collect()
    };
    assert_eq!(steps_of("easy"), [1, 2, 3]);
    assert_eq!(steps_of("2"), [4, 5, 6, 7]);
    assert_eq!(steps_of("hard"), (8..=13).collect::<Vec<_>>());
    // Cosine over the steps of a stage: lr (1 + cos(pi s / n)) / 2. The last one counts steps from the beginning of the run.
    let rate = |step: usize| -> f64 {
        let of = |row: &&std::collections::BTreeMap<String, String>| {
            row["split"] == "train" && row["step"] == step.to_string()
        };
        rows.iter().find(of).unwrap()["lr"].parse().unwrap()
    };
    let cosine = |s: f64, n: f64| 0.01 * (1.0 + (std::f64::consts::PI * s / n).cos()) / 2.0;
    for (step, expected) in [
        (1, cosine(0.0, 6.0)),
        (3, cosine(2.0, 6.0)),
        (4, cosine(0.0, 4.0)),
        (7, cosine(3.0, 4.0)),
        (8, 0.0),
    ] {
        assert!((rate(step) - expected).abs() < 1e-12, "step {step}");
    }
    assert_eq!(
        project.json("run/manifest.json")["stages"],
        json!([
            { "name": "easy", "from_step": 0 },
            { "name": "2", "from_step": 3 },
            { "name": "hard", "from_step": 7 },
        ])
    );
    // What a stage freezes does not move in it, and does in the others.
    let input = |step: u64| {
        let path = format!("run/checkpoints/step-{step:08}/weights.safetensors");
        let weights = ctrnn_files::TensorFile::read(&project.path(path)).unwrap();
        weights.tensors["input.weight"].to_f64().unwrap()
    };
    assert_ne!(input(2), input(3));
    assert_eq!(input(3), input(7));
}

#[test]
fn a_training_stopped_after_every_step_equals_an_uninterrupted_one() {
    let project = project();
    project.run(&train("whole")).exits(0);
    let begin = [&train("parts")[..], &["--max-time", "0s"]].concat();
    project.run(&begin).exits(75);
    for _ in 1..12 {
        let resumed = project.run(&["resume", "parts", "--max-time", "0s"]);
        resumed.exits(75);
    }
    project.run(&["resume", "parts"]).exits(0);
    project.assert_same_run("whole", "parts");
    let stages = |run: &str| project.json(format!("{run}/manifest.json"))["stages"].clone();
    assert_eq!(stages("whole"), stages("parts"));
}

/// Steps 3 and 7 are the ends of stages: the checkpoint that is there, or the one before it, is continued.
#[cfg(unix)]
#[test]
fn a_training_killed_between_two_stages_resumes_to_the_same_end() {
    let project = project();
    project.run(&train("whole")).exits(0);
    for (i, point) in [
        "staged@step-00000003",
        "renamed@step-00000003",
        "renamed@step-00000007",
        "filled@step-00000008",
        "renamed@step-00000012",
    ]
    .into_iter()
    .enumerate()
    {
        let run = format!("run-{i}");
        let mut command = project.command(&train(&run));
        let answer = command.env("CTRNN_FAIL_POINT", point).output().unwrap();
        assert_eq!(answer.status.code(), None, "{point} was not met");
        project.run(&["resume", &run]).exits(0);
        project.assert_same_run("whole", &run);
    }
}

#[test]
fn commands_take_the_task_of_the_last_stage_or_of_the_one_that_is_named() {
    let project = project();
    project.run(&train("run")).exits(0);
    let trials = |arguments: &[&str]| {
        let words = [&["eval", "run", "--validation", "--json"], arguments].concat();
        project.run(&words).exits(0).json()
    };
    let last = trials(&[]);
    assert_eq!(last["trials"], 12);
    let rows = project.metrics("run");
    let validated = rows.iter().rfind(|row| row["split"] == "val").unwrap();
    let loss: f64 = validated["loss"].parse().unwrap();
    assert_eq!(last["loss"].as_f64(), Some(loss));
    assert_eq!(trials(&["--stage", "easy"])["trials"], 8);
    assert_eq!(trials(&["--stage", "hard"]), last);
    project
        .run(&["eval", "run", "--stage", "harder"])
        .exits(2)
        .says(&["there is no stage \"harder\"", "easy, 2, hard"]);
    project.run(&["report", "run"]).exits(0);
    let page = project.text("run/report.html");
    assert!(page.contains("easy from step 0, 2 from step 3, hard from step 7"));
}

#[test]
fn the_resolved_configuration_is_the_same_training() {
    let project = project();
    project.run(&train("run")).exits(0);
    let again = ["train", "run/config.resolved.toml", "--run-dir", "again"];
    project.run(&again).exits(0);
    assert_eq!(project.metrics("run"), project.metrics("again"));
    let resolved = |run: &str| project.text(format!("{run}/config.resolved.toml"));
    assert_eq!(resolved("run"), resolved("again"));
}

#[test]
fn a_stage_that_cannot_be_is_refused_at_its_place() {
    let project = project();
    let refused = |more: &str, says: &[&str]| {
        project.write("wrong.toml", format!("{STAGES}{more}"));
        let arguments = ["train", "wrong.toml", "--run-dir", "wrong"];
        project.run(&arguments).exits(2).says(says);
        assert!(!project.path("wrong").exists());
    };
    let stage = |keys: &str| format!("[[train.stage]]\n{keys}\n");
    refused(
        &stage("model.n_units = 9"),
        &[
            "in stage 4: model.n_units is that of the whole training",
            "wrong.toml:46",
        ],
    );
    refused(
        &stage("train.steps = 9"),
        &[
            "train.steps is not a key that a stage can replace",
            "steps = N",
        ],
    );
    refused(
        &stage("train.batch_sise = 9"),
        &["in stage 4: unknown key train.batch_sise", "batch_size"],
    );
    refused(&stage("seed = 9"), &["unknown key train.stage[3].seed"]);
    refused(
        &stage("name = \"easy\""),
        &["\"easy\" is the name of two stages"],
    );
    refused(
        &stage("task.sine.period_ms = 100"),
        &["in stage 4:", "inputs and", "all stages train one network"],
    );
    refused(
        &stage("until = { metric = \"val.loss\" }"),
        &["in stage 4: train.stop has no bound"],
    );
}
