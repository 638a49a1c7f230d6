//! What `check` says of a configuration that can be read.

use crate::project::Project;

const UNSTABLE: [&str; 3] = [
    "model.init.spectral_radius=20",
    "task.go_nogo.stimulus_ms=4000",
    "train.clip_grad_norm=1.0",
];

/// A network whose states overflow in its first trial: everything is printed before the error, whose remedies fit.
#[test]
fn a_divergence_is_reported_after_everything_else() {
    let project = Project::new();
    let check = [&["check", "smoke.toml"], &UNSTABLE[..]].concat();
    let answer = project.run(&check).exits(3).says(&[
        "error[T001]: the states overflow in a trial of ",
        "from time step ",
        "no update was made",
        "model.init.spectral_radius=1 (now 20.000)",
        "time.dt_ms (now 20)",
        "saturating model.activation",
    ]);
    for line in [
        "spectral radius 20.0000",
        "MiB for the training",
        "recurrent.weight",
        "up to 220 steps",
    ] {
        assert!(answer.stdout.contains(line), "{line}: {answer:#?}");
    }
    for other in ["clip_grad_norm", "checkpoint", "train.optimizer.lr="] {
        assert!(!answer.stderr.contains(other), "{other}: {answer:#?}");
    }
    let json = project
        .run(&[&check[..], &["--json"]].concat())
        .exits(3)
        .json();
    assert!(
        json["overflow"]
            .as_str()
            .unwrap()
            .starts_with("the states overflow"),
        "{json}"
    );
    assert_eq!(json["max_steps_in_a_trial"], 220);
}

/// The same in `train`: there was no checkpoint to go on from.
#[test]
fn a_training_that_never_began_says_why() {
    let project = Project::new();
    let answer = project
        .train(
            "run",
            &["model.init.spectral_radius=1000", UNSTABLE[1], UNSTABLE[2]],
        )
        .exits(3)
        .says(&["no update was made"]);
    assert!(!answer.stderr.contains("resume"), "{answer:#?}");
}

/// A batch of a mixture has trials of one task only.
#[test]
fn the_longest_trial_is_that_of_all_tasks() {
    let project = Project::new();
    let mixture = "task.multitask={tasks={go_nogo={},anti={delay_ms=5000}}}";
    let sine = "task.multitask={tasks={go_nogo={},anti={delay_ms=40}}}";
    let longest = |task: &str| {
        let check = ["check", "smoke.toml", task, "--json"];
        project.run(&check).exits(0).json()["max_steps_in_a_trial"]
            .as_u64()
            .unwrap()
    };
    let (long, short) = (longest(mixture), longest(sine));
    assert!(long > 250 && short < 100, "{long} {short}");
}

#[test]
fn no_gpu_is_advised_in_a_program_without_one() {
    let project = Project::new();
    let large = "model.n_units=256";
    for sizes in [&["train.batch_size=4"][..], &[large, "train.batch_size=64"]] {
        let check = [&["check", "smoke.toml", "--json"], sizes].concat();
        let json = project.run(&check).exits(0).json();
        let advice = json["advice"].as_str().unwrap();
        assert!(
            advice.starts_with("cpu: ") || cfg!(any(feature = "wgpu", feature = "cuda")),
            "{advice}"
        );
    }
}
