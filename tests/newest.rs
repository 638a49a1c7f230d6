//! The network of a run is its newest whole state, wherever it stands; a run keeps what it began with, and others branch off.

use std::fs;
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

use ctrnn_files::Array;
use serde_json::json;

use crate::project::{Answer, Project};

/// `model/` is of step 10, the newest checkpoint of step 30, and the process was killed after step 32: what is left of a finished
/// run that was trained longer.
fn killed_after_a_resume() -> Project {
    let project = Project::new();
    project
        .train("run", &["train.steps=10", "checkpoint.keep_last=9"])
        .exits(0);
    fs::rename(project.path("run/model"), project.path("old")).unwrap();
    project.run(&["resume", "run", "train.steps=32"]).exits(0);
    fs::remove_dir_all(project.path("run/model")).unwrap();
    fs::remove_dir_all(project.path("run/checkpoints/step-00000032")).unwrap();
    project.write("run/checkpoints/last", "step-00000030\n");
    fs::rename(project.path("old"), project.path("run/model")).unwrap();
    say_running(&project, "run");
    project
}

/// Nobody could say that the process ended.
fn say_running(project: &Project, run: &str) {
    let path = format!("{run}/RUN.json");
    let text = project.text(&path).replace("\"done\"", "\"running\"");
    project.write(&path, text);
}

const NEWEST: &str =
    "note: run: the network of step 30, its newest checkpoint; the run has not ended";

fn eval(project: &Project, arguments: &[&str]) -> serde_json::Value {
    project
        .run(&[&["eval", "run", "--json"], arguments].concat())
        .exits(0)
        .json()
}

#[test]
fn every_command_reads_the_newest_state() {
    let project = killed_after_a_resume();
    assert_eq!(eval(&project, &[]), eval(&project, &["--checkpoint", "30"]));
    assert_eq!(eval(&project, &[])["step"], 30);
    assert_ne!(
        eval(&project, &[])["loss"],
        eval(&project, &["--checkpoint", "10"])["loss"]
    );
    project.run(&["eval", "run"]).exits(0).says(&[NEWEST]);

    let newest = "run/checkpoints/step-00000030/weights.safetensors";
    let export = [
        "export",
        "run",
        "--to",
        "safetensors",
        "-o",
        "out.safetensors",
    ];
    project.run(&export).exits(0).says(&[NEWEST]);
    assert!(project.bytes("out.safetensors") == project.bytes(newest));

    let simulate = ["simulate", "run", "--record=outputs", "-o"];
    project
        .run(&[&simulate[..], &["a.npz"]].concat())
        .exits(0)
        .says(&[NEWEST]);
    project
        .run(&[&simulate[..], &["b.npz", "--checkpoint=30"]].concat())
        .exits(0);
    assert_eq!(project.arrays("a.npz"), project.arrays("b.npz"));

    let analyze = ["analyze", "run", "weight_change", "--json", "-o"];
    let found = project
        .run(&[&analyze[..], &["a"]].concat())
        .exits(0)
        .says(&[NEWEST]);
    assert_eq!(found.json()["step"], 30);
    let after = &project.arrays("a/weight_change.npz")["recurrent_after"];
    let weights = ctrnn_files::TensorFile::read(&project.path(newest)).unwrap();
    let expected = weights.tensors["recurrent.weight"].to_f64();
    assert_eq!(after.to_f64(), expected);

    let plot = ["plot", "run", "weight_change", "-o", "fig.svg"];
    project.run(&plot).exits(0).says(&[NEWEST]);
    assert_eq!(
        project.arrays("fig.npz")["recurrent_after"].to_f64(),
        expected
    );
}

/// Curves end where the figures are, and the page says which network it shows.
#[test]
fn a_report_shows_one_step() {
    let project = killed_after_a_resume();
    project.run(&["report", "run"]).exits(0).says(&[NEWEST]);
    let page = project.text("run/report.html");
    assert!(page.contains("<b>30</b><span>steps of 4 trials"));
    assert!(page.contains("<td>30 of at most 32 steps of 4 trials"));
    assert!(page.contains("killed while training"));
    assert!(page.contains("the network of step 30, its newest checkpoint; the run has not ended"));
    project
        .run(&["analyze", "run", "curves", "-o", "a"])
        .exits(0);
    let steps = project.arrays("a/curves.npz")["train_loss_step"]
        .to_f64()
        .unwrap();
    assert_eq!(
        steps.last(),
        Some(&30.0),
        "rows of steps 31 and 32 are taken back by a resume"
    );
}

#[test]
fn peers_and_branches_take_the_newest_state() {
    let project = killed_after_a_resume();
    project
        .train("other", &["train.steps=5", "--seed=2"])
        .exits(0);
    let compare = ["analyze", "other", "comparison", "--with", "run", "-o", "a"];
    project.run(&compare).exits(0).says(&[NEWEST]);
    project
        .train("branch", &["train.steps=0", "--init-from", "run"])
        .exits(0)
        .says(&[NEWEST]);
    let initial =
        ctrnn_files::TensorFile::read(&project.path("branch/initial/weights.safetensors"));
    let newest = project.path("run/checkpoints/step-00000030/weights.safetensors");
    assert_eq!(
        initial.unwrap().tensors,
        ctrnn_files::TensorFile::read(&newest).unwrap().tensors
    );
}

#[test]
fn a_finished_run_is_read_without_a_word() {
    let project = Project::new();
    project.train("run", &["train.steps=5"]).exits(0);
    let answer = project.run(&["eval", "run", "--json"]).exits(0);
    assert_eq!(
        (answer.json()["step"].as_u64(), answer.stderr.as_str()),
        (Some(5), "")
    );
}

#[test]
fn a_stopped_run_says_where_it_was_stopped() {
    let project = Project::new();
    project
        .train("run", &["train.steps=9", "--max-time=0s"])
        .exits(75);
    project
        .run(&["eval", "run"])
        .exits(0)
        .says(&["note: run: the network of step 1; the run was stopped before its end"]);
}

#[test]
fn damaged_states_are_passed_over_by_name() {
    let project = killed_after_a_resume();
    let weights = |step: u64| format!("run/checkpoints/step-{step:08}/weights.safetensors");
    project.write(&weights(30), &project.bytes(weights(30))[..100]);
    let answer = project.run(&["eval", "run"]).exits(0);
    answer.says(&[
        "passed over the checkpoint of step 30, which is damaged: run/checkpoints/step-00000030/weights.safetensors",
        "note: run: the network of step 25",
    ]);
    for step in [15, 20, 25] {
        project.write(&weights(step), "");
    }
    project
        .run(&["eval", "run"])
        .exits(0)
        .says(&["note: run: the network of step 10;"]);
    project.write("run/model/weights.safetensors", "");
    assert_eq!(eval(&project, &[])["step"], 10, "from its checkpoint");
    for step in [5, 10] {
        project.write(&weights(step), "");
    }
    // The weights of the beginning stand in for no damaged ones.
    let answer = project.run(&["eval", "run"]).exits(4);
    assert!(!answer.stderr.contains("`resume`"), "{answer:?}");
    answer.says(&["error[D005]", "help: "]);
}

/// A run that was killed before its first checkpoint, or has not come so far.
#[test]
fn a_run_without_a_checkpoint_is_what_it_began_with() {
    let project = Project::new();
    project.train("run", &["train.steps=9"]).exits(0);
    for folder in ["run/checkpoints", "run/model"] {
        fs::remove_dir_all(project.path(folder)).unwrap();
    }
    say_running(&project, "run");
    project.train("begun", &["train.steps=0"]).exits(0);
    let says = "note: run: the network of step 0, with which it began: it has no checkpoint yet; the run has not ended";
    let answer = project
        .run(&["eval", "run", "--json"])
        .exits(0)
        .says(&[says]);
    let begun = project.run(&["eval", "begun", "--json"]).exits(0);
    assert_eq!(answer.json(), begun.json());
    for command in [
        &["simulate", "run", "-o", "states.npz"][..],
        &["analyze", "run", "pca", "-o", "a"],
        &["plot", "run", "weights", "-o", "fig.svg"],
        &["report", "run", "-o", "report.html"],
        &["export", "run", "--to", "npz", "-o", "out.npz"],
        &[
            "train",
            "run/config.resolved.toml",
            "train.steps=0",
            "--run-dir",
            "b",
            "--init-from",
            "run",
        ],
    ] {
        project.run(command).exits(0).says(&[says]);
    }
    for command in [
        &["eval", "run", "--checkpoint", "last"][..],
        &["simulate", "run", "-o", "other.npz", "--checkpoint", "5"],
        &["ckpt", "show", "run"],
        &[
            "train",
            "smoke.toml",
            "--init-from",
            "run",
            "--checkpoint",
            "best",
        ],
    ] {
        let answer = project.run(command).exits(4);
        assert!(!answer.stderr.contains("resume"), "{answer:?}");
        answer.says(&["error[D007]: run has no checkpoint yet", "help: "]);
    }
}

#[cfg(unix)]
#[test]
fn a_run_is_read_while_it_trains() {
    let project = Project::new();
    let arguments = Project::training("run", &["train.steps=1000000", "--threads=1"]);
    let mut command = project.command(&arguments);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().expect("the program starts");
    let begun = Instant::now();
    while !project.path("run/checkpoints/last").exists() {
        assert!(begun.elapsed() < Duration::from_secs(60), "no checkpoint");
        sleep(Duration::from_millis(5));
    }
    let answers: Vec<Answer> = (0..5).map(|_| project.run(&["eval", "run"])).collect();
    let branch = project.train("branch", &["train.steps=1", "--init-from", "run"]);
    child.kill().unwrap();
    child.wait().unwrap();
    for answer in answers {
        answer
            .exits(0)
            .says(&["its newest checkpoint; the run has not ended"]);
    }
    branch.exits(0);
}

/// Someone who removes the newest checkpoint goes back; what the run had become before is not the run any more.
#[test]
fn a_run_that_goes_on_from_an_earlier_step_leaves_its_model() {
    let project = Project::new();
    project.train("run", &["train.steps=10"]).exits(0);
    fs::remove_dir_all(project.path("run/checkpoints/step-00000010")).unwrap();
    project
        .run(&["resume", "run", "train.steps=20", "--max-time=0s"])
        .exits(75)
        .says(&["removed model/, the network of step 10: the run continues from step 5"]);
    assert_eq!(project.json("run/model/model.json")["step"], 6);
}

// ---- what a run began with

fn write_network(project: &Project) {
    let numbers = |shape: [usize; 2], scale: f32| {
        let n = shape[0] * shape[1];
        let values = (0..n).map(|k| scale * ((7 * k + 3) % 11) as f32 - 5.0 * scale);
        Array::f32(&shape, values.collect())
    };
    let network = [
        ("input.weight", numbers([6, 3], 0.2)),
        ("recurrent.weight", numbers([6, 6], 0.05)),
        ("output.weight", numbers([2, 6], 0.1)),
    ];
    project.write_arrays("net.npz", network);
}

const IMPORT: [&str; 12] = [
    "import",
    "net.npz",
    "--from",
    "npz",
    "-o",
    "run",
    "task.go_nogo={}",
    "train.loss.weight_deviation=1.0",
    "train.log_every=1",
    "train.batch_size=4",
    "train.optimizer={name=\"sgd\",lr=0.01}",
    "validate.trials=4",
];

/// The recurrent weights before training, as an analysis shows them.
fn before(project: &Project, run: &str) -> Vec<f64> {
    project
        .run(&["analyze", run, "weight_change", "-o", "change", "--force"])
        .exits(0);
    project.arrays("change/weight_change.npz")["recurrent_before"]
        .to_f64()
        .unwrap()
}

#[test]
fn an_imported_run_began_with_what_was_imported() {
    let project = Project::new();
    write_network(&project);
    project.run(&IMPORT).exits(0);
    let imported = project.arrays("net.npz")["recurrent.weight"]
        .to_f64()
        .unwrap();
    assert_eq!(before(&project, "run"), imported);

    project.run(&["resume", "run", "train.steps=6"]).exits(0);
    let rows = project.metrics("run");
    let trained: Vec<_> = rows.iter().filter(|row| row["split"] == "train").collect();
    assert_eq!(
        trained[0]["loss_weight_deviation"], "0",
        "nothing has changed in step 1"
    );
    assert!(trained[5]["loss_weight_deviation"].parse::<f64>().unwrap() > 0.0);
    assert_eq!(before(&project, "run"), imported);

    // Wherever the folder is: the same network is trained by its resolved configuration, and goes on.
    project
        .run(&["train", "run/config.resolved.toml", "--run-dir", "again"])
        .exits(0);
    fs::create_dir(project.path("elsewhere")).unwrap();
    fs::rename(project.path("run"), project.path("elsewhere/moved")).unwrap();
    let moved = "elsewhere/moved/config.resolved.toml";
    project
        .run(&["train", moved, "--run-dir", "from-moved"])
        .exits(0);
    project
        .run(&[
            "train",
            moved,
            "--run-dir",
            "rooted",
            "--data-root",
            "again/checkpoints",
        ])
        .exits(0);
    for run in ["again", "from-moved", "rooted"] {
        assert_eq!(
            project.metrics(run),
            rows[rows.len() - project.metrics(run).len()..],
            "{run}"
        );
        let weights = |run: &str| project.arrays(&format!("{run}/model/weights.npz"));
        assert_eq!(weights(run), weights("elsewhere/moved"), "{run}");
    }
    assert_eq!(before(&project, "elsewhere/moved"), imported);
    project
        .run(&["resume", "elsewhere/moved", "train.steps=8"])
        .exits(0);
    assert_eq!(before(&project, "elsewhere/moved"), imported);

    project.write(
        "elsewhere/moved/initial/weights.safetensors",
        project.bytes("again/model/weights.safetensors"),
    );
    project
        .run(&["train", moved, "--run-dir", "other"])
        .exits(4)
        .says(&["its digest differs"]);
    project
        .run(&["resume", "elsewhere/moved", "train.steps=9"])
        .exits(4)
        .says(&["its digest differs"]);
}

/// The run that gave the weights goes on, or is gone: the one that began with them does not change.
#[test]
fn a_branch_keeps_what_it_began_with() {
    let project = Project::new();
    let deviation = ["train.loss.weight_deviation=1.0", "train.steps=6"];
    let branch = [&deviation[..], &["--init-from", "first"]].concat();
    let goes_on = [&branch[..], &["--resume=auto"]].concat();
    project.train("first", &["train.steps=5"]).exits(0);
    project.train("whole", &branch).exits(0);
    project
        .train("parts", &[&branch[..], &["--max-time=0s"]].concat())
        .exits(75);
    let initial = before(&project, "parts");
    project.run(&["resume", "first", "train.steps=10"]).exits(0);
    // The same command goes on, although the newest weights of the first run are other ones now.
    project.train("parts", &goes_on).exits(0);
    project.assert_same_run("whole", "parts");
    assert_eq!(before(&project, "parts"), initial);
    fs::remove_dir_all(project.path("first")).unwrap();
    project
        .run(&["train", "whole/config.resolved.toml", "--run-dir", "again"])
        .exits(0);
    project.assert_same_run("whole", "again");
    project.run(&["resume", "parts", "train.steps=7"]).exits(0);

    project
        .train("second", &["train.steps=5", "--seed=2"])
        .exits(0);
    let other = [&deviation[..], &["--init-from", "second", "--resume=auto"]].concat();
    project
        .train("parts", &other)
        .exits(2)
        .says(&["error[C018]: model.init.file"]);
    let diff = project.run(&["config", "diff", "whole", "again"]).exits(0);
    assert!(!diff.stdout.contains("model.init.file"), "{diff:?}");
    project
        .train(
            "seconds",
            &[&deviation[..], &["--init-from", "second"]].concat(),
        )
        .exits(0);
    let diff = project
        .run(&["config", "diff", "whole", "seconds"])
        .exits(0);
    assert!(diff.stdout.contains("model.init.file"), "{diff:?}");
}

/// A later version may draw other weights from a seed.
#[test]
fn initial_weights_are_kept_with_their_digest() {
    let project = Project::new();
    project.train("run", &["train.steps=5"]).exits(0);
    project.train("begun", &["train.steps=0"]).exits(0);
    assert!(
        project.bytes("run/initial/weights.safetensors")
            != project.bytes("run/model/weights.safetensors")
    );
    let tensors = |file| {
        ctrnn_files::TensorFile::read(&project.path(file))
            .unwrap()
            .tensors
    };
    assert_eq!(
        tensors("run/initial/weights.safetensors"),
        tensors("begun/model/weights.safetensors")
    );
    let digest = ctrnn_files::digest::blake3(&project.bytes("run/initial/weights.safetensors"));
    let promised = json!({ "path": "initial/weights.safetensors", "blake3": digest });
    assert_eq!(project.json("run/manifest.json")["initial"], promised);
    project.write("run/initial/weights.safetensors", "");
    project
        .run(&["analyze", "run", "spectrum", "-o", "a"])
        .exits(0)
        .says(&["note: the network before training is not known: run/initial/weights.safetensors"]);
}

// ---- branches

/// The command that a refusal names, without the name of the program.
fn named_command(answer: &Answer) -> Vec<String> {
    let line = answer
        .stderr
        .lines()
        .find_map(|line| line.trim().strip_prefix("train-ctrnn "));
    let line = line.unwrap_or_else(|| panic!("no command in {answer:?}"));
    line.split(' ')
        .map(|word| word.trim_matches('\'').to_owned())
        .collect()
}

#[test]
fn a_refused_change_names_the_command_that_makes_it() {
    let project = Project::new();
    project.train("run", &["train.steps=10"]).exits(0);
    for refused in [
        project
            .run(&["resume", "run", "train.steps=12", "train.optimizer.lr=1e-5"])
            .exits(2),
        project
            .train(
                "run",
                &["train.steps=12", "train.optimizer.lr=1e-5", "--resume=auto"],
            )
            .exits(5),
        project
            .run(&[
                "resume",
                "run",
                "train.steps=12",
                "train.optimizer.lr=1e-5",
                "--checkpoint",
                "5",
            ])
            .exits(2),
    ] {
        let command = named_command(&refused);
        assert!(command.contains(&"--init-from".to_owned()), "{command:?}");
        let words: Vec<&str> = command.iter().map(String::as_str).collect();
        project.run(&words).exits(0);
        assert_eq!(project.json("run-branch/model/model.json")["step"], 12);
        let rows = project.metrics("run-branch");
        assert_eq!(rows[0]["lr"].parse::<f64>().unwrap(), 1e-5, "{rows:?}");
        fs::remove_dir_all(project.path("run-branch")).unwrap();
    }
}

#[test]
fn a_branch_begins_with_any_checkpoint() {
    let project = Project::new();
    project.train("run", &["train.steps=10"]).exits(0);
    let tensors = |file: String| {
        ctrnn_files::TensorFile::read(&project.path(file))
            .unwrap()
            .tensors
    };
    for (k, source) in [
        &["run", "--checkpoint", "5"][..],
        &["run@5"],
        &["run/checkpoints/step-00000005"],
        &["run/checkpoints/step-00000005/"],
    ]
    .into_iter()
    .enumerate()
    {
        let branch = format!("branch{k}");
        project
            .train(
                &branch,
                &[&["train.steps=0", "--init-from"], source].concat(),
            )
            .exits(0);
        assert_eq!(
            tensors(format!("{branch}/model/weights.safetensors")),
            tensors("run/checkpoints/step-00000005/weights.safetensors".to_owned())
        );
    }
    for (source, says) in [
        (
            &["run", "--checkpoint", "7"][..],
            "error[D007]: run has no checkpoint of step 7; there are those of steps 5, 10",
        ),
        (&["run@7"], "there are those of steps 5, 10"),
        (
            &["run@5", "--checkpoint", "5"],
            "error[U005]: two checkpoints are given",
        ),
        (&["smoke.toml"], "give the folder of a run"),
        (
            &["run/model/weights.npz"],
            "model.init.file=run/model/weights.npz",
        ),
        (
            &["missing"],
            "error[D001]: missing is not a run to begin with",
        ),
    ] {
        let answer = project.train("refused", &[&["--init-from"], source].concat());
        answer.says(&[says, "help: "]);
        assert!(!project.path("refused").exists());
    }
}

/// The file of a run's initial weights has another content when its command is given again.
#[test]
fn a_requeued_command_says_that_its_weights_are_others_now() {
    let project = Project::new();
    for (run, seed) in [("one", "seed=1"), ("two", "seed=2")] {
        project.train(run, &["train.steps=1", seed]).exits(0);
    }
    let copy = |run: &str| {
        let weights = format!("{run}/model/weights.safetensors");
        fs::copy(project.path(weights), project.path("w.safetensors")).unwrap();
    };
    let command = [
        "model.init.file=w.safetensors",
        "train.steps=2",
        "--resume=auto",
    ];
    copy("one");
    project.train("run", &command).exits(0);
    let note = "run continues with its own initial weights";
    let same = project.train("run", &command).exits(0);
    assert!(!same.stderr.contains(note), "{same:?}");
    copy("two");
    project.train("run", &command).exits(0).says(&[note]);
}

/// The source of the weights is needed only where a run begins.
#[test]
fn a_requeued_command_goes_on_without_its_source() {
    let project = Project::new();
    project.train("source", &["train.steps=10"]).exits(0);
    let begin = |checkpoint: &'static [&'static str]| {
        [
            &["train.steps=2", "--resume=auto", "--init-from", "source"],
            checkpoint,
        ]
        .concat()
    };
    let five = begin(&["--checkpoint", "5"]);
    project.train("run", &five).exits(0);
    fs::remove_dir_all(project.path("source/checkpoints/step-00000005")).unwrap();
    project.train("run", &five).exits(0).says(&["is finished"]);
    project.train("new", &five).exits(4).says(&["error[D007]"]);
    // Another state of the source is another beginning.
    for other in [begin(&["--checkpoint", "10"]), begin(&[])] {
        let answer = project.train("run", &other);
        assert!(matches!(answer.code, Some(2 | 5)), "{answer:?}");
    }
    fs::remove_dir_all(project.path("source")).unwrap();
    project.train("run", &five).exits(0).says(&["is finished"]);

    project.train("other", &["train.steps=0"]).exits(0);
    let weights = project.bytes("other/model/weights.safetensors");
    project.write("w.safetensors", weights);
    let named = [
        "train.steps=2",
        "--resume=auto",
        "model.init.file=w.safetensors",
    ];
    project.train("named", &named).exits(0);
    fs::remove_file(project.path("w.safetensors")).unwrap();
    project
        .train("named", &named)
        .exits(0)
        .says(&["is finished"]);
    let mistyped = [
        "train.steps=2",
        "--resume=auto",
        "model.init.file=v.safetensors",
    ];
    let refused = project.train("named", &mistyped);
    assert!(matches!(refused.code, Some(2 | 4)), "{refused:?}");
}

/// Weights of a whole run and those of one of its checkpoints begin two runs, not one.
#[test]
fn a_run_that_began_with_a_checkpoint_is_not_that_of_the_newest_weights() {
    let project = Project::new();
    project.train("source", &["train.steps=10"]).exits(0);
    let begin = ["train.steps=2", "--resume=auto", "--init-from"];
    let run = |source: &[&str]| project.train("run", &[&begin[..], source].concat());
    run(&["source", "--checkpoint", "5"]).exits(0);
    for same in [&["source@5"][..], &["source/checkpoints/step-00000005"]] {
        run(same).exits(0).says(&["is finished"]);
    }
    let other = run(&["source"]);
    assert!(matches!(other.code, Some(2 | 5)), "{other:?}");
}

#[test]
fn a_named_branch_can_be_begun() {
    let project = Project::new();
    project.train("run", &["train.steps=10"]).exits(0);
    fs::create_dir(project.path("data")).unwrap();
    let resume = |arguments: &[&str]| project.run(&[&["resume", "run"], arguments].concat());

    let lr = "train.optimizer.lr=1e-5";
    resume(&[lr, "--data-root", "data"])
        .exits(2)
        .says(&["--data-root data --run-dir run-branch --init-from run"]);
    let larger = resume(&["model.n_units=9"]).exits(2);
    assert!(!larger.stderr.contains("--init-from"), "{larger:?}");
    let missing = resume(&["--checkpoint", "99"]).exits(4);
    missing
        .says(&["error[D007]: run has no checkpoint of step 99; there are those of steps 5, 10"]);
    fs::create_dir(project.path("run-branch")).unwrap();
    resume(&[lr]).exits(2).says(&["--run-dir run-branch-2 "]);

    let inside = project.path("run");
    let mut command = project.command(&["resume", ".", lr]);
    let answer: Answer = command.current_dir(&inside).output().unwrap().into();
    let run = inside.canonicalize().unwrap();
    let branch = format!("--run-dir {0}-branch-2 --init-from {0}", run.display());
    assert!(answer.stderr.contains(&branch), "{answer:?}");
    assert!(!answer.stderr.contains(" .-"), "{answer:?}");

    project
        .train(
            "last",
            &["train.steps=0", "--init-from", "run/checkpoints/last"],
        )
        .exits(0);
    project
        .train("none", &["--init-from", "run/model"])
        .exits(4)
        .says(&["--init-from run, and a checkpoint"]);
    project
        .train("none", &["--init-from", "run/metrics.csv"])
        .exits(4)
        .says(&["--init-from run, and a checkpoint"]);
}

/// A finished run has been trained on the file that it was begun with.
#[test]
fn a_changed_file_of_a_finished_run_is_named() {
    let project = Project::new();
    let trials = |value: f32| {
        [
            ("inputs", Array::f32(&[10, 3, 1], vec![value; 30])),
            ("targets", Array::f32(&[10, 3, 1], vec![value; 30])),
        ]
    };
    project.write_arrays("trials.npz", trials(0.5));
    let train = [
        "task.npz.files=[\"trials.npz\"]",
        "train.steps=1",
        "--resume=auto",
    ];
    project.train("run", &train).exits(0);
    project.train("run", &train).exits(0).says(&["is finished"]);
    project.write_arrays("trials.npz", trials(0.6));
    let says = ["trials.npz: is not the file that this run was trained on"];
    project.train("run", &train).exits(4).says(&says);
    project.run(&["resume", "run"]).exits(4).says(&says);
}

/// A network that was trained is not lost because its checkpoints were removed to save space.
#[test]
fn a_run_without_its_checkpoints_is_not_begun_again() {
    let project = Project::new();
    project.train("run", &["train.steps=10"]).exits(0);
    fs::remove_dir_all(project.path("run/checkpoints")).unwrap();
    let before = project.tree("run");
    project
        .run(&["resume", "run", "train.steps=12"])
        .exits(4)
        .says(&[
            "error[D007]: run has no checkpoint to continue from, but model/ holds its network of step 10",
            "--run-dir run-branch --init-from run",
        ]);
    let without_lock = |mut tree: std::collections::BTreeMap<String, Option<Vec<u8>>>| {
        tree.remove(".lock");
        tree
    };
    assert!(without_lock(before) == without_lock(project.tree("run")));
    project.run(&["eval", "run"]).exits(0);
    // Without its network too, it is not the one that it began with.
    fs::remove_dir_all(project.path("run/model")).unwrap();
    let says = "has no network any more";
    project.run(&["eval", "run"]).exits(4).says(&[says]);
}

#[cfg(unix)]
#[test]
fn a_link_in_a_run_is_found_before_it_is_changed() {
    let project = Project::new();
    project.train("run", &["train.steps=5"]).exits(0);
    fs::rename(project.path("run/tb"), project.path("tb")).unwrap();
    std::os::unix::fs::symlink(project.path("tb"), project.path("run/tb")).unwrap();
    let before = project.text("run/RUN.json");
    let resume = ["resume", "run", "train.steps=10"];
    project.run(&resume).exits(4).says(&["run/tb"]);
    assert_eq!(project.text("run/RUN.json"), before);
}
