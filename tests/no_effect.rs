//! Keys and options without effect beside the others are refused, or told in a note.

use ctrnn_files::Array;

use crate::project::{NOISE, Project};

/// A run with noise, and one without.
fn project() -> Project {
    let project = Project::new();
    project.train("run", &["train.steps=1", NOISE]).exits(0);
    let silent = "model.noise={preactivation=0,postactivation=0}";
    project.train("silent", &["train.steps=1", silent]).exits(0);
    project
}

#[test]
fn keys_of_a_configuration() {
    let project = Project::new();
    let silent = "model.noise={preactivation=0,postactivation=0,convention=\"raw\"}";
    let held = "train.groups={recurrent={weight={lr=0.1}}}";
    let two = "task.multitask={turn_steps=7,tasks={go_nogo={},anti={}}}";
    let stop = "train.stop={metric=\"val.loss\",at_most=0}";
    let patient = "train.stop={metric=\"val.loss\",patience=5}";
    for (overrides, key) in [
        (&[silent][..], "model.noise.convention"),
        (&["model.noise.input_tau_ms=50"], "model.noise.input_tau_ms"),
        (
            &["task.sine={}", "model.input.baseline=0.2"],
            "model.input.baseline",
        ),
        (
            &["train.divergence={max_rollbacks=0,lr_factor=0.1}"],
            "train.divergence.lr_factor",
        ),
        (
            &[held, "train.freeze=[\"recurrent\"]"],
            "train.groups.recurrent.weight",
        ),
        (
            &["train.freeze=[\"output.bias\"]", "model.bias.readout=false"],
            "train.freeze",
        ),
        (&["train.steps=5", "train.log_every=10"], "train.log_every"),
        (&["validate.every_steps=0", stop], "train.stop"),
        (
            &["train.steps=20", "validate.every_steps=5", patient],
            "train.stop.patience",
        ),
        (
            &["train.steps=20", "train.schedule={name=\"plateau\"}"],
            "train.schedule.patience",
        ),
        (
            &["train.steps=20", "train.schedule={name=\"step\"}"],
            "train.schedule.every_steps",
        ),
        (&[two], "task.multitask.turn_steps"),
        (&["validate.noise=false"], "validate.noise"),
        (&["validate.balance=conditions"], "validate.balance"),
    ] {
        let arguments = [&["check", "smoke.toml"], overrides].concat();
        let told = format!("{key} has no effect");
        project.run(&arguments).exits(0).says(&[&told]);
    }
    let plain = project.run(&["check", "smoke.toml"]).exits(0);
    assert!(!plain.stderr.contains("no effect"), "{plain:#?}");
}

#[test]
fn beginnings_that_a_file_replaces() {
    let project = project();
    let begin = ["train", "smoke.toml", "--init-from", "run", "--dry-run"];
    let radius = "model.init.spectral_radius=2";
    project
        .run(&[&begin[..], &["--run-dir", "other", radius]].concat())
        .exits(0)
        .says(&["model.init.spectral_radius has no effect: on the weights"]);
    project
        .run(&["export", "run", "--to", "npz", "-o", "net.npz"])
        .exits(0);
    project
        .run(&["import", "net.npz", "--from", "npz", "-o", "again", radius])
        .exits(0)
        .says(&["model.init.spectral_radius has no effect: the weights are those of the file"]);
}

#[test]
fn options_of_eval_simulate_and_analyze() {
    let project = project();
    let simulate = |arguments: &[&str]| {
        project.run(&[&["simulate"], arguments, &["-o", "s.npz", "--force"]].concat())
    };
    let no_noise = "--noise has no effect: every level of model.noise is 0";
    project
        .run(&["eval", "silent", "--noise"])
        .exits(0)
        .says(&[no_noise]);
    simulate(&["silent", "--noise"]).exits(0).says(&[no_noise]);
    assert!(
        !project
            .run(&["eval", "run", "--noise"])
            .exits(0)
            .stderr
            .contains("no effect")
    );

    for (arguments, says) in [
        (
            &["eval", "run", "validate.every_steps=3"][..],
            "error[C019]",
        ),
        (
            &["eval", "run", "--trials", "3", "validate.trials=4"],
            "error[U005]",
        ),
        (
            &["simulate", "run", "validate.trials=4", "-o", "t.npz"],
            "error[C019]",
        ),
        (
            &["analyze", "run", "pca", "validate.trials=4"],
            "error[C019]",
        ),
        (
            &[
                "simulate",
                "run",
                "--current",
                "0@90000..90020=1",
                "-o",
                "t.npz",
            ],
            "--current from 90000 ms on has no effect",
        ),
    ] {
        project.run(arguments).exits(2).says(&[says, "help: "]);
    }

    project.write_arrays("u.npz", [("inputs", Array::f32(&[1, 5, 3], vec![0.0; 15]))]);
    simulate(&["run", "--inputs", "u.npz", "task.go_nogo.delay_ms=400"])
        .exits(2)
        .says(&["error[C019]", "override keys under time"]);
    let quiet = Array::f32(&[1, 5, 8], vec![0.0; 40]);
    let u = Array::f32(&[1, 5, 3], vec![0.0; 15]);
    project.write_arrays("n.npz", [("inputs", u), ("preactivation_noise", quiet)]);
    simulate(&["run", "--inputs", "n.npz", "--noise"])
        .exits(2)
        .says(&["error[U005]", "contains the noise"]);

    let curves = ["analyze", "run", "curves", "--checkpoint", "last"];
    project
        .run(&curves)
        .exits(0)
        .says(&["--checkpoint has no effect"]);
    project
        .run(&["analyze", "run", "rates", "--with", "silent"])
        .exits(0)
        .says(&["--with has no effect"]);
    project
        .run(&["resume", "run", "validate.trials=5"])
        .exits(0)
        .says(&["the overrides have no effect, because the run is finished"]);
}

/// Values that nothing reads are told, and those with which nothing would be trained are refused.
#[test]
fn further_keys_options_and_variables() {
    let project = Project::new();
    let cosine = "train.schedule={name=\"cosine\",steps=300}";
    project.train("cosine", &["train.steps=5", cosine]).exits(0).says(&[
        "note: train.schedule.steps has no effect: from step 5 on, which the run of 5 steps does not reach",
    ]);
    let all = "train.freeze=[\"input\",\"recurrent\",\"output\",\"initial_state\"]";
    let bias = "model.bias={recurrent=false,readout=false}";
    project
        .train("frozen", &[all, bias])
        .exits(2)
        .says(&["train.freeze leaves nothing to train", "help: "]);
    project
        .train("frozen", &[all, bias, "train.steps=0"])
        .exits(0);
    project
        .train("nowhere", &["--data-root", "/nowhere"])
        .exits(4)
        .says(&["--data-root: /nowhere is not a folder", "help: "]);
    assert!(!project.path("nowhere").exists());

    let analyze = ["analyze", "cosine", "weights", "--trials", "9"];
    project
        .run(&analyze)
        .exits(0)
        .says(&["note: --trials has no effect: the weights are enough for these analyses"]);

    for (name, value) in [
        ("RAYON_NUM_THREADS", "abc"),
        ("SLURM_CPUS_PER_TASK", "0"),
        ("SLURM_CPUS_PER_TASK", "two"),
    ] {
        let eval = project
            .command(&["eval", "cosine"])
            .env(name, value)
            .output();
        let note = format!("note: {name} = {value:?} has no effect: it is not a number of threads");
        crate::project::Answer::from(eval.unwrap())
            .exits(0)
            .says(&[&note]);
    }
    let config = project
        .command(&["config", "show", "smoke.toml"])
        .env("RAYON_NUM_THREADS", "abc")
        .output();
    let config = crate::project::Answer::from(config.unwrap());
    assert!(!config.stderr.contains("RAYON"), "{config:?}");

    let trials = |n: usize| {
        [
            ("inputs", Array::f32(&[n, 3, 1], vec![0.5; 3 * n])),
            ("targets", Array::f32(&[n, 3, 1], vec![0.5; 3 * n])),
        ]
    };
    project.write_arrays("a.npz", trials(10));
    project.write_arrays("b.npz", trials(10));
    project
        .train("npz", &["task.npz.files=[\"a.npz\"]", "train.steps=1"])
        .exits(0);
    let test = "task.npz.files=[\"b.npz\"]";
    project
        .run(&["eval", "npz", test, "task.npz.validation_fraction=0.5"])
        .exits(0)
        .says(&["note: task.npz.validation_fraction has no effect: other files"]);
    let eval = project.run(&["eval", "npz", test]).exits(0);
    assert!(!eval.stderr.contains("has no effect"), "{eval:?}");
}
