//! `ckpt`: the checkpoints of a run are listed, checked, shown and removed.

use serde_json::json;

use crate::project::Project;

/// A run with checkpoints at 5, 10, 15 and 20, of which none was removed.
fn run() -> Project {
    let project = Project::new();
    project
        .train("run", &["train.steps=20", "checkpoint.keep_last=9"])
        .exits(0);
    project
}

fn best(project: &Project) -> u64 {
    let name = project.text("run/checkpoints/best");
    name.trim()
        .trim_start_matches("step-")
        .parse()
        .expect("a step")
}

fn steps(project: &Project) -> Vec<u64> {
    let listed = project
        .run(&["ckpt", "list", "run", "--json"])
        .exits(0)
        .json();
    let rows = listed["checkpoints"].as_array().unwrap();
    rows.iter()
        .map(|row| row["step"].as_u64().unwrap())
        .collect()
}

#[test]
fn checkpoints_are_listed_with_their_names() {
    let project = run();
    assert_eq!(steps(&project), [5, 10, 15, 20]);
    let listed = project
        .run(&["ckpt", "list", "run", "--json"])
        .exits(0)
        .json();
    let rows = listed["checkpoints"].as_array().unwrap();
    assert_eq!(
        (&rows[3]["last"], &rows[0]["last"]),
        (&json!(true), &json!(false))
    );
    let named_best = rows.iter().find(|row| row["best"] == true).unwrap();
    assert_eq!(named_best["step"], best(&project));
    let files = ["weights.safetensors", "optimizer.safetensors", "state.json"];
    let bytes: usize = files
        .iter()
        .map(|file| {
            project
                .bytes(format!("run/checkpoints/step-00000020/{file}"))
                .len()
        })
        .sum();
    assert_eq!(rows[3]["bytes"], bytes);

    let text = project.run(&["ckpt", "list", "run"]).exits(0).stdout;
    assert_eq!(text.lines().count(), 5, "{text}");
    assert!(text.contains("last"), "{text}");
}

#[test]
fn whole_checkpoints_are_told_from_damaged_ones() {
    let project = run();
    let whole = project
        .run(&["ckpt", "verify", "run", "--json"])
        .exits(0)
        .json();
    assert_eq!(
        (&whole["whole"], &whole["damaged"]),
        (&json!([5, 10, 15, 20]), &json!([]))
    );

    let weights = "run/checkpoints/step-00000020/weights.safetensors";
    let mut bytes = project.bytes(weights);
    let end = bytes.len() - 1;
    bytes[end] ^= 1;
    project.write(weights, bytes);
    let answer = project.run(&["ckpt", "verify", "run", "--json"]).exits(4);
    let found = answer.json();
    assert_eq!(found["whole"], json!([5, 10, 15]));
    assert_eq!(found["damaged"][0]["step"], 20);
    answer.says(&[
        "error[D005]: of 4 checkpoints, 1 is damaged",
        weights,
        "help: ",
        "--checkpoint 15",
    ]);
    project
        .run(&["ckpt", "verify", "run", "5", "best"])
        .exits(if best(&project) == 20 { 4 } else { 0 });
    project.run(&["ckpt", "verify", "run", "last"]).exits(4);
    project
        .run(&["ckpt", "verify", "run", "7"])
        .exits(4)
        .says(&["steps 5, 10, 15, 20"]);
}

#[test]
fn a_checkpoint_is_shown() {
    let project = run();
    let shown = project
        .run(&["ckpt", "show", "run", "--json"])
        .exits(0)
        .json();
    assert_eq!(
        (&shown["step"], &shown["counters"]["trials"]),
        (&json!(20), &json!(80))
    );
    let weights = shown["weights"].as_array().unwrap();
    let recurrent = weights
        .iter()
        .find(|array| array["name"] == "recurrent.weight")
        .unwrap();
    assert_eq!(recurrent["shape"], json!([8, 8]));
    assert!(recurrent["min"].as_f64() < recurrent["max"].as_f64());
    let text = project.run(&["ckpt", "show", "run", "5"]).exits(0).stdout;
    assert!(
        text.contains("step 5") && text.contains("recurrent.weight.moment_1"),
        "{text}"
    );
}

#[test]
fn old_checkpoints_are_pruned_but_never_the_last_and_the_best() {
    let project = run();
    let prune = |arguments: &[&str]| {
        let arguments = [&["ckpt", "prune", "run", "--json"], arguments].concat();
        project.run(&arguments).exits(0).json()
    };
    assert_eq!(prune(&[])["removed"], json!([]), "keep_last is 9");
    let would = prune(&["--keep", "0", "--dry-run"]);
    assert_eq!(
        steps(&project),
        [5, 10, 15, 20],
        "a dry run removes nothing"
    );
    let mut stay = vec![best(&project), 20];
    stay.dedup();
    assert_eq!(would["kept"], json!(stay));

    let removed = prune(&["--keep", "0"]);
    assert_eq!(removed["removed"], would["removed"]);
    assert_eq!(steps(&project), stay);
    project.run(&["resume", "run", "train.steps=25"]).exits(0);
}

/// The steps among the best that the newest checkpoint knows stay, as they do in training.
#[test]
fn pruning_keeps_as_many_of_the_best_as_training_does() {
    let project = Project::new();
    let keep = ["checkpoint.keep_best=3", "checkpoint.keep_last=1"];
    let arguments = [&keep[..], &["train.steps=30"]].concat();
    project.train("run", &arguments).exits(0);
    let kept = steps(&project);
    assert!(kept.len() >= 3, "{kept:?}");
    project
        .run(&["ckpt", "prune", "run", "--keep", "0"])
        .exits(0);
    assert_eq!(steps(&project), kept);
}

/// The newest whole checkpoint is what a resume goes on from.
#[test]
fn pruning_keeps_the_newest_whole_checkpoint() {
    let project = run();
    for step in [15, 20] {
        project.write(&format!("run/checkpoints/step-000000{step}/state.json"), "");
    }
    project
        .run(&["ckpt", "prune", "run", "--keep", "1"])
        .exits(0);
    assert!(steps(&project).contains(&10));
}

#[test]
fn what_is_no_run_has_no_checkpoints() {
    let project = Project::new();
    for command in ["list", "verify", "show", "prune"] {
        let answer = project.run(&["ckpt", command, "missing"]).exits(4);
        answer.says(&["error[D001]: missing is not a run", "help: "]);
    }
}
