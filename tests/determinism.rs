//! The same seed gives the same run to the bit: twice in a row, and with any number of threads.

use ctrnn_files::Array;

use crate::project::{NOISE, Project};

const STEPS: &str = "train.steps=20";

/// Trains the same thing three times, twice with one thread and once with two, and compares.
fn assert_repeats(project: &Project, arguments: &[&str]) {
    for (run, threads) in [("once", "1"), ("twice", "1"), ("threads", "2")] {
        let arguments = [arguments, &[STEPS, "--threads", threads]].concat();
        project.train(run, &arguments).exits(0);
    }
    project.assert_same_run("once", "twice");
    project.assert_same_run("once", "threads");
}

#[test]
fn mean_squared_error_repeats() {
    assert_repeats(&Project::new(), &[NOISE, "task.go_nogo.input_noise=0.1"]);
}

#[test]
fn cross_entropy_repeats() {
    assert_repeats(&Project::new(), &[NOISE, "train.loss.name=cross_entropy"]);
}

#[test]
fn penalties_repeat() {
    let penalties = [
        NOISE,
        "train.loss.rate_l2=0.01",
        "train.loss.rate_range={weight=0.1,at_least=0.3,at_most=0.4}",
        "train.loss.in_degree={weight=0.1,at_most=0.5}",
        "train.loss.participation={weight=0.1,at_least=5}",
        "train.loss.yield_to_task=[\"rate_range\",\"omega\",\"hebbian\"]",
        "train.loss.rate_entropy=0.01",
        "train.loss.rate_spread={weight=0.1,measure=\"cv\"}",
        "train.loss.state_prediction={weight=0.1,lag_ms=40}",
        "train.loss.population_kl={weight=0.01,first=[0,4],second=[4,8]}",
        "train.loss.weight_l2=0.01",
        "train.loss.hebbian=0.01",
        "train.loss.omega={weight=0.1}",
    ];
    assert_repeats(&Project::new(), &penalties);
}

/// More than one block of units and of trials, so that a second thread has work.
#[test]
fn a_larger_network_repeats() {
    let project = Project::new();
    let sizes = ["model.n_units=100", "train.batch_size=33", NOISE];
    for (run, threads) in [("one", "1"), ("two", "2")] {
        let run = [
            "train",
            "smoke.toml",
            "--run-dir",
            run,
            "--threads",
            threads,
        ];
        project
            .run(&[&run[..], &sizes, &["train.steps=5"]].concat())
            .exits(0);
    }
    project.assert_same_run("one", "two");
}

/// Every number of threads five times, one digest.
#[test]
fn twenty_runs_of_one_seed_are_one() {
    let project = Project::in_memory();
    let digests = ["1", "2", "4", "8"]
        .repeat(5)
        .into_iter()
        .enumerate()
        .map(|(i, threads)| {
            let run = i.to_string();
            let arguments = [
                "train",
                "smoke.toml",
                "--run-dir",
                &run,
                "model.n_units=64",
                "train.batch_size=33",
                "train.steps=10",
                "--threads",
                threads,
                NOISE,
            ];
            project.run(&arguments).exits(0);
            let files = [
                "model/weights.safetensors",
                "checkpoints/step-00000010/optimizer.safetensors",
            ];
            files.map(|file| ctrnn_files::digest::blake3(&project.bytes(format!("{run}/{file}"))))
        });
    let digests: std::collections::BTreeSet<_> = digests.collect();
    assert_eq!(digests.len(), 1, "{digests:?}");
}

#[test]
fn trials_from_a_file_repeat() {
    let project = Project::new();
    let (n_trials, n_steps) = (20, 6);
    let input = |i: usize| (i * 37 % 19) as f32 / 19.0 - 0.5; // any numbers do
    project.write_arrays(
        "trials.npz",
        [
            (
                "inputs",
                Array::f32(
                    &[n_trials, n_steps, 1],
                    (0..n_trials * n_steps).map(input).collect(),
                ),
            ),
            (
                "labels",
                Array::i64(
                    &[n_trials, n_steps],
                    (0..n_trials * n_steps).map(|i| (i % 2) as i64).collect(),
                ),
            ),
        ],
    );
    assert_repeats(&project, &["task.npz.files=[\"trials.npz\"]"]);
}

#[test]
fn another_seed_is_another_run() {
    let project = Project::new();
    project.train("one", &["--seed", "1", STEPS]).exits(0);
    project.train("two", &["--seed", "2", STEPS]).exits(0);

    let weights = |run| project.bytes(format!("{run}/model/weights.npz"));
    assert_ne!(weights("one"), weights("two"));
}

/// Evaluation draws its trials and its noise from streams of their own, anew at every call.
#[test]
fn evaluation_and_simulation_repeat() {
    let project = Project::new();
    project.train("run", &[NOISE, "train.steps=5"]).exits(0);
    let eval = || {
        project
            .run(&["eval", "run", "--noise", "--json"])
            .exits(0)
            .stdout
    };
    let states = |file| {
        let simulate = ["simulate", "run", "--trials", "3", "--noise", "-o", file];
        project.run(&simulate).exits(0);
        project.bytes(file)
    };
    assert_eq!(eval(), eval());
    assert_eq!(states("one.npz"), states("two.npz"));
}
