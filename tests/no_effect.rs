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
    let turns = "task.multitask={mixing=\"blocks\",turns=[\"go_nogo\"],tasks={go_nogo={},anti={}}}";
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
        (&[turns], "task.multitask.tasks.anti"),
        (
            &["train.steps=20", "validate.every_steps=60"],
            "validate.every_steps",
        ),
        (
            &["train.steps=20", "checkpoint.every_steps=60"],
            "checkpoint.every_steps",
        ),
        (
            &["train.schedule={name=\"exponential\",factor=1}"],
            "train.schedule.factor",
        ),
        (
            &["train.schedule={name=\"cosine\",final_fraction=1}"],
            "train.schedule.final_fraction",
        ),
        (&["train.loss.weight_l1=0"], "train.loss.weight_l1"),
        (&["train.loss.omega={weight=0}"], "train.loss.omega"),
        (
            &[
                "train.loss.weight_l2={recurrent=0.1}",
                "train.freeze=[\"recurrent.weight\"]",
            ],
            "train.loss.weight_l2",
        ),
        (
            &["train.loss.state_prediction={weight=0.1,lag_ms=600}"],
            "train.loss.state_prediction",
        ),
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
            "a perturbation from 90000 ms on has no effect",
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

/// Checks that the command line changes the default tasks that it names, and that no other task is lost.
#[test]
fn the_default_tasks_of_a_mixture_are_changed_one_by_one() {
    let project = Project::new();
    project.write("mix.toml", "[task.multitask]\n[model]\nn_units = 8\n");
    let n_tasks = |overrides: &[&str]| {
        let show = [&["config", "show", "mix.toml", "--json"], overrides].concat();
        let shown = project.run(&show).exits(0).json();
        let tasks = shown["task"]["multitask"]["tasks"].as_object();
        tasks.expect("a table of tasks").len()
    };
    assert_eq!(n_tasks(&[]), 20);
    assert_eq!(n_tasks(&["~task.multitask.tasks.yang_dm1"]), 19);
    assert_eq!(n_tasks(&["task.multitask.tasks.yang_dm1=none"]), 19);
    let slower = "task.multitask.tasks.yang_dm1.stimulus_ms=400";
    assert_eq!(n_tasks(&[slower, "task.multitask.tasks.anti={}"]), 21);
    assert_eq!(n_tasks(&["task.multitask.tasks={anti={}}"]), 1);
    project
        .run(&["check", "mix.toml", "--no-trials", slower])
        .exits(0)
        .says(&[
            "note: the command line changes the 20 default tasks of multitask; task.multitask.tasks={...} replaces them",
        ]);
    project.write(
        "two.toml",
        "[task.multitask.tasks]\ngo_nogo = {}\nanti = {}\n[model]\nn_units = 8\n",
    );
    let less = ["config", "show", "two.toml", "~task.multitask.tasks.anti"];
    let shown = project.run(&less).exits(0);
    assert!(!shown.stdout.contains("anti"), "{shown:?}");
}

/// A file's own signs decide which units are excitatory, so that a fraction beside them is refused, and not recorded.
#[test]
fn a_fraction_beside_the_signs_of_a_file() {
    let project = Project::new();
    let signs = [1.0, 1.0, -1.0, 1.0, 1.0, -1.0, 1.0, 1.0].to_vec();
    project.write_arrays("signs.npz", [("recurrent.sign", Array::f64(&[8], signs))]);
    let file = "model.connectivity.file=\"signs.npz\"";
    let (own, other) = ("model.dale={}", "model.dale={excitatory_fraction=0.5}");
    let begun = ["train.steps=1", file];
    project
        .train("run", &[&begun[..], &[own]].concat())
        .exits(0);
    let resolved = project.text("run/config.resolved.toml");
    assert!(!resolved.contains("excitatory_fraction"), "{resolved}");
    project
        .train("other", &[&begun[..], &[other]].concat())
        .exits(2)
        .says(&[
            "error[C023]: model.dale.excitatory_fraction has no effect: model.connectivity.file has recurrent.sign",
            "help: keep one of the two",
        ]);
    project.run(&["eval", "run"]).exits(0);
}

/// Values of `no_answer` that no trial has are told with those that exist.
#[test]
fn conditions_without_answer_that_no_trial_has() {
    let project = Project::new();
    let coherences = (0..12).map(|b| [0.1, 0.2, f64::NAN][b % 3]).collect();
    let trials = [
        ("inputs", Array::f32(&[12, 3, 1], vec![0.5; 36])),
        (
            "labels",
            Array::i64(&[12, 3], (0..36).map(|i| i / 3 % 2).collect()),
        ),
        ("cond_coh", Array::f64(&[12], coherences)),
    ];
    project.write_arrays("a.npz", trials);
    let check = |no_answer: &str| {
        let no_answer = format!("task.npz.no_answer={no_answer}");
        let file = "task.npz.files=[\"a.npz\"]";
        project
            .run(&["check", "smoke.toml", file, &no_answer])
            .exits(0)
    };
    check("{coh=[0.1,5]}")
        .says(&["note: task.npz.no_answer: no trial has coh = 5; there are 0.1, 0.2\n"]);
    check("{side=[1]}")
        .says(&["note: task.npz.no_answer has no effect: no trial has a condition side"]);
    for known in ["{coh=[0.1,0.2]}", "{}"] {
        let told = check(known);
        assert!(!told.stderr.contains("no_answer"), "{told:?}");
    }
}
