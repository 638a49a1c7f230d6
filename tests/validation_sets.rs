//! Named sets of validation trials: what each measures, what their metrics decide, and `eval` on the same trials.

use crate::project::Project;

/// A set with another task, one without noise on the trials of the main one, and the end and the best by their metrics.
const SETS: &str = r#"
version = 1
seed = 1
[task.go_nogo]
fixation_ms = 40
stimulus_ms = 60
delay_ms = 40
response_ms = 60
[model]
n_units = 8
noise = { preactivation = 0.2 }
[train]
steps = 6
batch_size = 4
stop = { metric = "val.long.loss", at_most = 0.0 }
[validate]
every_steps = 2
trials = 8
[validate.silent]
noise = false
[validate.long]
trials = 12
task.go_nogo.delay_ms = 400
[checkpoint]
every_steps = 2
best = "val.silent.loss"
"#;

fn trained(more: &str) -> Project {
    let project = Project::in_memory();
    project.write("sets.toml", format!("{SETS}{more}"));
    let arguments = ["train", "sets.toml", "--run-dir", "run"];
    project.run(&arguments).exits(0);
    project
}

/// The losses of a split, by step.
fn losses(project: &Project, split: &str) -> Vec<(u64, f64)> {
    let rows = project.metrics("run").into_iter();
    let rows = rows.filter(|row| row["split"] == split);
    rows.map(|row| (row["step"].parse().unwrap(), row["loss"].parse().unwrap()))
        .collect()
}

#[test]
fn every_set_is_measured_at_every_validation_as_eval_measures_it() {
    let project = trained("");
    for (set, trials, noise) in [("silent", 8, false), ("long", 12, true)] {
        let found = losses(&project, &format!("val.{set}"));
        let steps: Vec<u64> = found.iter().map(|(step, _)| *step).collect();
        assert_eq!(steps, [2, 4, 6]);
        let option = format!("--validation={set}");
        let eval = project
            .run(&["eval", "run", &option, "--json"])
            .exits(0)
            .json();
        assert_eq!(eval["loss"].as_f64(), Some(found[2].1), "{set}");
        assert_eq!(eval["trials"], trials);
        assert_eq!(eval["noise"], noise);
        assert_eq!(eval["validation_set"], set);
    }
    // The trials of the set without noise are those of the main one.
    let main = ["eval", "run", "--validation", "--no-noise", "--json"];
    let main = project.run(&main).exits(0).json();
    assert_eq!(
        main["loss"].as_f64(),
        Some(losses(&project, "val.silent")[2].1)
    );
    let result = project.json("run/result.json");
    let of_long = &result["validation_sets"]["long"];
    assert_eq!(
        of_long["loss"].as_f64(),
        Some(losses(&project, "val.long")[2].1)
    );
    let best = losses(&project, "val.silent");
    let best = best
        .iter()
        .copied()
        .reduce(|a, b| if b.1 < a.1 { b } else { a });
    assert_eq!(result["best"]["metric"], "val.silent.loss");
    assert_eq!(result["best"]["step"].as_u64(), best.map(|(step, _)| step));
    assert_eq!(result["best"]["value"].as_f64(), best.map(|(_, loss)| loss));
}

/// Sets change nothing of the training, nor of the main validation.
#[test]
fn a_run_with_sets_is_the_run_without_them() {
    let project = trained("");
    let removed = [
        "~validate.silent",
        "~validate.long",
        "~train.stop",
        "checkpoint.best=val.loss",
    ];
    let arguments = [&["train", "sets.toml", "--run-dir", "plain"][..], &removed].concat();
    project.run(&arguments).exits(0);
    let rows = |run: &str| {
        let rows = project.metrics(run).into_iter();
        rows.filter(|row| !row["split"].contains('.'))
            .collect::<Vec<_>>()
    };
    assert_eq!(rows("run"), rows("plain"));
    let weights = |run: &str| project.arrays(&format!("{run}/model/weights.npz"));
    assert_eq!(
        weights("run")["recurrent.weight"],
        weights("plain")["recurrent.weight"]
    );
}

#[test]
fn a_training_with_sets_stopped_after_every_step_equals_an_uninterrupted_one() {
    let project = trained("");
    let begin = [
        "train",
        "sets.toml",
        "--run-dir",
        "parts",
        "--max-time",
        "0s",
    ];
    project.run(&begin).exits(75);
    for _ in 0..4 {
        let resumed = project.run(&["resume", "parts", "--max-time", "0s"]);
        resumed.exits(75);
    }
    project.run(&["resume", "parts"]).exits(0);
    project.assert_same_run("run", "parts");
    let again = ["train", "run/config.resolved.toml", "--run-dir", "again"];
    project.run(&again).exits(0);
    project.assert_same_run("run", "again");
}

#[test]
fn a_metric_of_a_set_ends_a_stage() {
    let until = "[[train.stage]]\nuntil = { metric = \"val.long.loss\", at_most = 1000.0 }\n\
        validate.long.trials = 6\n[[train.stage]]\n";
    let project = trained(until);
    let rows = project.metrics("run");
    let of_first = rows
        .iter()
        .filter(|row| row["stage"] == "1" && row["split"] == "val.long");
    assert_eq!(of_first.count(), 1);
    let result = project.json("run/result.json");
    assert_eq!(result["stage"], "2");
    let trials = |stage: &str| {
        let words = [
            "eval",
            "run",
            "--validation=long",
            "--stage",
            stage,
            "--json",
        ];
        project.run(&words).exits(0).json()["trials"].clone()
    };
    assert_eq!([trials("1"), trials("2")], [6, 12]);
}

#[test]
fn the_report_has_a_curve_for_each_set() {
    let project = trained("");
    let found = ["analyze", "run", "curves", "-o", "found"];
    let said = project.run(&found).exits(0);
    assert!(said.stderr.contains("validation (long)") || said.stdout.contains("validation (long)"));
    let arrays = project.arrays("found/curves.npz");
    assert_eq!(
        arrays["val_long_loss_step"].to_f64().unwrap(),
        [2.0, 4.0, 6.0]
    );
    project.run(&["report", "run"]).exits(0);
    assert!(
        project
            .text("run/report.html")
            .contains("validation (silent)")
    );
}

#[test]
fn a_set_that_cannot_be_is_refused_at_its_place() {
    let project = Project::in_memory();
    let refused = |change: &str, says: &[&str]| {
        project.write("sets.toml", SETS);
        let arguments = ["train", "sets.toml", "--run-dir", "wrong", change];
        project.run(&arguments).exits(2).says(says);
        assert!(!project.path("wrong").exists());
    };
    refused(
        "checkpoint.best=val.lang.loss",
        &[
            "there is no set of validation trials called \"lang\"",
            "long, silent",
        ],
    );
    refused(
        "validate.trial=9",
        &["unknown key validate.trial", "trials"],
    );
    refused(
        "validate.long.trial=9",
        &["unknown key validate.long.trial", "trials"],
    );
    refused("validate.long.trials=0", &["validate.long.trials"]);
    refused(
        "validate.long.task.go_nogo.delay_mss=9",
        &["in validate.long: unknown key task.go_nogo.delay_mss"],
    );
    refused(
        "validate.long.task={sine={}}",
        &["in validate.long:", "inputs and"],
    );
    refused(
        "validate={\"a b\"={trials=3}}",
        &["\"a b\" is not a name of a set of validation trials"],
    );
    project.write("sets.toml", SETS);
    project
        .run(&["train", "sets.toml", "--run-dir", "run"])
        .exits(0);
    project
        .run(&["eval", "run", "--validation=lang"])
        .exits(2)
        .says(&[
            "there is no set of validation trials called \"lang\"",
            "long, silent",
        ]);
    let explained = project
        .run(&["config", "explain", "validate"])
        .exits(0)
        .stdout;
    assert!(explained.contains("NAME.task") && explained.contains("every_steps"));
}
