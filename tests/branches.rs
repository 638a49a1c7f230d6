//! Runs that begin with the weights of another one, and with the state of its optimizer.

use crate::project::Project;

/// A run of 10 steps with checkpoints after 5 and 10.
fn parent() -> Project {
    let project = Project::in_memory();
    project.train("parent", &["train.steps=10"]).exits(0);
    project
}

const BRANCH: [&str; 3] = ["--from", "parent@5", "train.steps=7"];

#[test]
fn a_branch_begins_with_weights_and_optimizer_and_says_whose() {
    let project = parent();
    let with_optimizer = [&BRANCH[..], &["--with-optimizer"]].concat();
    project.train("branch", &with_optimizer).exits(0);
    project.train("plain", &BRANCH).exits(0);
    let of_parent = project.bytes("parent/checkpoints/step-00000005/optimizer.safetensors");
    assert!(project.bytes("branch/initial/optimizer.safetensors") == of_parent);
    assert!(!project.path("plain/initial/optimizer.safetensors").exists());
    let weights =
        |run: &str, state: &str| project.bytes(format!("{run}/{state}/weights.safetensors"));
    assert!(weights("branch", "initial") == weights("plain", "initial"));
    assert!(weights("branch", "model") != weights("plain", "model"));

    let origin = |run: &str| project.json(format!("{run}/manifest.json"))["init_from"].clone();
    assert_eq!(origin("branch")["step"], 5);
    assert_eq!(origin("branch")["optimizer"], true);
    let file = project.path("parent/checkpoints/step-00000005/weights.safetensors");
    let digest = ctrnn_files::digest::blake3_file(&file).unwrap();
    assert_eq!(origin("plain")["blake3"], digest.as_str());
    assert!(origin("plain").get("optimizer").is_none());
    project.run(&["report", "branch"]).exits(0);
    let page = project.text("branch/report.html");
    assert!(page.contains("parent after step 5, with the state of its optimizer"));
}

#[cfg(unix)]
#[test]
fn a_branch_killed_before_its_first_checkpoint_begins_with_the_same_optimizer_again() {
    let project = parent();
    let arguments = [&BRANCH[..], &["--with-optimizer"]].concat();
    project.train("whole", &arguments).exits(0);
    let arguments = Project::training("killed", &arguments);
    let mut command = project.command(&arguments);
    let answer = command
        .env("CTRNN_FAIL_POINT", "staged@step-00000005")
        .output();
    assert_eq!(answer.unwrap().status.code(), None);
    std::fs::remove_dir_all(project.path("parent")).unwrap();
    project.run(&["resume", "killed"]).exits(0);
    project.assert_same_run("whole", "killed");
}

#[test]
fn an_optimizer_that_is_not_there_or_does_not_fit_is_refused() {
    let project = parent();
    let sgd = ["train.optimizer={ name = \"sgd\" }", "--with-optimizer"];
    project
        .train("sgd", &[&BRANCH[..], &sgd].concat())
        .exits(4)
        .says(&["optimizer", "--with-optimizer"]);
    assert!(!project.path("sgd").exists());
    std::fs::remove_dir_all(project.path("parent/checkpoints")).unwrap();
    project
        .train("gone", &["--from", "parent", "--with-optimizer"])
        .exits(4)
        .says(&["has no checkpoint of step 10", "remove --with-optimizer"]);
    project.train("gone", &["--with-optimizer"]).exits(2);
}
