//! Gradients in parts and interventions in the whole program: memory, numbers, resuming.

use crate::project::{NOISE, Project};

/// Returns the arguments of a training on one trial of this many time steps at a time.
#[cfg(target_os = "linux")]
fn one_trial(run: &str, n_steps: usize) -> Vec<String> {
    let trial = format!("task.sine.trial_ms={n_steps}");
    let arguments = [
        "train",
        "long.toml",
        "--run-dir",
        run,
        "--threads=1",
        &trial,
        "train.truncate_steps=100",
    ];
    arguments.map(str::to_owned).into()
}

/// One trial of 100 000 time steps, 100 units: the states alone are 40 MB, and as much again is needed to go back through them.
#[cfg(target_os = "linux")]
#[test]
fn memory_does_not_grow_with_the_states_of_a_trial() {
    let project = Project::new();
    project.write(
        "long.toml",
        "seed = 1\n[time]\ndt_ms = 1\n[task.sine]\nperiod_ms = 500\n[model]\nn_units = 100\nnoise.preactivation = 0.1\n\
         [train]\nsteps = 1\nbatch_size = 1\n[validate]\ntrials = 1\n",
    );
    let peak = |run: &str, n_steps: usize| {
        let arguments = one_trial(run, n_steps);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let kilobytes = crate::project::peak_kilobytes(&mut project.command(&arguments));
        assert!(project.path(format!("{run}/model/weights.npz")).is_file());
        kilobytes
    };
    let [short, long] = [peak("short", 1000), peak("long", 100_000)];
    println!("peak resident memory: {short} kB for 1000 time steps, {long} kB for 100 000");
    assert!(long < 200 * 1024, "{long} kB");
}

/// Trains with a window of the whole trial as without one, to rounding, and otherwise with a short one.
#[test]
fn a_whole_window_trains_as_before() {
    let project = Project::new();
    let loss = |run: &str, arguments: &[&str]| -> f64 {
        let all = [
            arguments,
            &[NOISE, "train.steps=5", "train.loss.rate_l2=1e-3"],
        ]
        .concat();
        project.train(run, &all).exits(0);
        let rows = project.metrics(run);
        let last = rows
            .iter()
            .rfind(|row| row["split"] == "val")
            .expect("a validation");
        last["loss"].parse().expect("a number")
    };
    let plain = loss("plain", &[]);
    let window = loss("window", &["train.truncate_steps=30"]);
    let short = loss("short", &["train.truncate_steps=3"]);
    assert!(
        (window - plain).abs() < 1e-5 * plain,
        "{window} is not {plain}"
    );
    assert!((short - plain).abs() > 1e-5 * plain, "{short}");
}

#[test]
fn a_stopped_run_in_parts_and_under_interventions_equals_an_uninterrupted_one() {
    let project = Project::new();
    let arguments = [
        NOISE,
        "train.steps=12",
        "train.accumulate=2",
        "train.dropout=0.2",
        "train.noise_schedule={from=2,to=0}",
        "train.perturbation=[{silence=[\"0-3@stimulus\"],fraction=0.5},{lesion=[\"5\"]}]",
        "model.initial_state=\"carry\"",
    ];
    project.train("whole", &arguments).exits(0);
    let stopped = [&arguments[..], &["--max-time", "0s"]].concat();
    project.train("parts", &stopped).exits(75);
    project.run(&["resume", "parts"]).exits(0);
    project.assert_same_run("whole", "parts");
    let plain: Vec<&str> = (arguments.iter().copied())
        .filter(|argument| !argument.starts_with("train.perturbation"))
        .collect();
    project.train("plain", &plain).exits(0);
    let weights =
        |run: &str| project.arrays(&format!("{run}/model/weights.npz"))["recurrent.weight"].clone();
    assert!(weights("plain") != weights("whole"));
}
