//! Networks of other programs, which compute here what they computed there.
//!
//! `tests/fixtures/import/make_fixtures.py` made the files with the programs themselves.

use std::path::PathBuf;

use crate::project::Project;

fn fixture(name: &str) -> String {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/import");
    folder.join(name).display().to_string()
}

/// Imports a fixture, simulates its inputs, and compares rates and outputs with what its own program computed.
#[track_caller]
fn agrees(name: &str, ending: &str, from: &str, overrides: &[&str]) -> Project {
    let project = Project::new();
    let file = fixture(&format!("{name}.{ending}"));
    let import = [
        &["import", &file, "--from", from, "-o", "run"][..],
        overrides,
    ]
    .concat();
    project.run(&import).exits(0).says(&["imported 6 units"]);

    let expected = ctrnn_files::npz::read(fixture(&format!("{name}.expected.npz")).as_ref());
    let expected = expected.expect("a fixture");
    project.write_arrays("in.npz", [("inputs", expected["inputs"].clone())]);
    project
        .run(&["simulate", "run", "--inputs", "in.npz", "-o", "out.npz"])
        .exits(0);
    let found = project.arrays("out.npz");
    for array in ["rates", "outputs"] {
        let values = |array: &ctrnn_files::Array| array.to_f64().expect("numbers");
        let pairs = values(&found[array])
            .into_iter()
            .zip(values(&expected[array]));
        assert_eq!(found[array].shape(), expected[array].shape(), "{array}");
        for (found, expected) in pairs {
            assert!(
                (found - expected).abs() <= 1e-5,
                "{name} {array}: {found}, expected {expected}"
            );
        }
    }
    project
}

#[test]
fn torch_rnn() {
    let project = agrees("torch_rnn", "pt", "torch", &[]);
    assert_eq!(project.json("run/RUN.json")["state"], "done");
    let events = project.text("run/events.jsonl");
    assert!(
        events.contains("\"from\":\"torch\"") && events.contains("tanh is assumed"),
        "{events}"
    );
    project.run(&["eval", "run", "--json"]).exits(0);
    // It goes on from the weights that were imported.
    project.run(&["resume", "run", "train.steps=2"]).exits(0);
}

#[test]
fn nn4n_1_1_1() {
    agrees(
        "nn4n_1_1_1",
        "pt",
        "nn4n",
        &["model.activation=tanh", "model.tau_ms=50"],
    );
}

#[test]
fn nn4n_1_2_0_with_learned_alpha() {
    let project = agrees("nn4n_1_2_0", "pt", "nn4n", &[]);
    let tau_ms = project.json("run/model/model.json")["model"]["tau_ms"].clone();
    assert_eq!(tau_ms.as_array().map(Vec::len), Some(6), "{tau_ms}");
}

#[test]
fn psychrnn_with_dales_law_and_masks() {
    let project = agrees("psychrnn_dale", "npz", "psychrnn", &[]);
    let weights = project.arrays("run/model/weights.npz");
    assert_eq!(
        weights["recurrent.sign"].to_i64().unwrap(),
        [1, 1, 1, 1, -1, -1]
    );
    let mask = weights["recurrent.mask"].to_i64().unwrap();
    assert_eq!(
        mask.iter().sum::<i64>(),
        36 - 6 - 2,
        "no autapses, and two more are missing"
    );
}

#[test]
fn psychrnn_without_constraints() {
    agrees("psychrnn_free", "npz", "psychrnn", &[]);
}

#[test]
fn an_export_comes_back() {
    let project = Project::new();
    let dale = "model.dale={excitatory_fraction=0.5}";
    project
        .train(
            "run",
            &["train.steps=3", dale, "model.density.recurrent=0.5"],
        )
        .exits(0);
    for format in ["npz", "safetensors"] {
        let output = format!("out.{format}");
        project
            .run(&["export", "run", "--to", format, "-o", &output])
            .exits(0);
        project
            .run(&["export", "run", "--to", format, "-o", &output])
            .exits(5)
            .says(&["exists already"]);
    }
    assert_eq!(
        project.bytes("out.safetensors"),
        project.bytes("run/model/weights.safetensors")
    );
    project
        .run(&["import", "out.npz", "--from", "npz", "-o", "again"])
        .exits(0);
    assert_eq!(
        project.bytes("run/model/weights.npz"),
        project.bytes("again/model/weights.npz")
    );
    let score = |run: &str| {
        let mut score = project.run(&["eval", run, "--json"]).exits(0).json();
        score["step"] = 0.into(); // an import has made none
        score
    };
    assert_eq!(score("run"), score("again"));

    project
        .run(&["export", "run", "--to", "torch", "-o", "module"])
        .exits(0);
    let module = project.text("module/torch_model.py");
    assert!(
        module.contains("\"n_units\": 8") && !module.contains("\n{}\n"),
        "{module}"
    );
    assert_eq!(
        project.bytes("module/weights.safetensors"),
        project.bytes("out.safetensors")
    );
}

#[test]
fn arrays_by_our_names_come_in() {
    use ctrnn_files::Array;
    let project = Project::new();
    let network = [
        ("input.weight", Array::f32(&[2, 1], vec![1.0, 0.0])),
        (
            "recurrent.weight",
            Array::f32(&[2, 2], vec![0.0, 0.0, 2.0, 0.0]),
        ),
        ("output.weight", Array::f32(&[1, 2], vec![1.0, -1.0])),
    ];
    project.write_arrays("net.npz", network);
    let import = ["import", "net.npz", "--from", "npz", "-o"];
    project
        .run(&[&import[..], &["run"]].concat())
        .exits(0)
        .says(&["is assumed"]);
    // alpha is 0.2: v = [0.2 * 1, 0], then [0.8 * 0.2 + 0.2, 0.2 * 2 * 0.2]
    project.write_arrays(
        "in.npz",
        [("inputs", Array::f32(&[1, 2, 1], vec![1.0, 1.0]))],
    );
    project
        .run(&["simulate", "run", "--inputs", "in.npz", "-o", "out.npz"])
        .exits(0);
    let v = project.arrays("out.npz")["potentials"].to_f64().unwrap();
    for (v, expected) in v.into_iter().zip([0.2, 0.0, 0.36, 0.08]) {
        assert!((v - expected).abs() < 1e-6, "{v}, expected {expected}");
    }
    // Another task, whose channels are not those of the weights.
    let other = [&import[..], &["other", "task.go_nogo={}"]].concat();
    project
        .run(&other)
        .exits(4)
        .says(&["input.weight", "error[D003]"]);
    assert!(!project.path("other").exists(), "nothing is left behind");
}

/// Every refusal names the file, the rule and what to do, and leaves no run behind.
#[test]
fn foreign_and_corrupt_files_are_refused() {
    use ctrnn_files::Array;
    let project = Project::new();
    let whole = std::fs::read(fixture("torch_rnn.pt")).expect("a fixture");
    project.write("cut.pt", &whole[..whole.len() - 100]);
    project.write(
        "pickle.pt",
        b"\x80\x02cposix\nsystem\nX\x05\0\0\0touch\x85R.",
    );
    project.write("empty.pt", b"");
    let ones = |shape: &[usize]| Array::f32(shape, vec![1.0; shape.iter().product()]);
    project.write_arrays("lstm.npz", [("W_f", ones(&[2, 2]))]);
    project.write_arrays("short.npz", [("recurrent.weight", ones(&[2, 3]))]);
    project.write_arrays(
        "nan.npz",
        [("recurrent.weight", Array::f32(&[1, 1], vec![f32::NAN]))],
    );
    let torch = fixture("torch_rnn.pt");
    for (file, from, says) in [
        ("cut.pt", "torch", "is not a file of torch.save"),
        ("pickle.pt", "torch", "is not a file of torch.save"),
        ("empty.pt", "nn4n", "is not a file of torch.save"),
        (
            torch.as_str(),
            "nn4n",
            "has no array recurrent_layer.hidden_layer.weight",
        ),
        ("lstm.npz", "psychrnn", "has no array W_rec"),
        ("lstm.npz", "torch", "is an npz file"),
        ("short.npz", "npz", "must have [2, 2]"),
        ("nan.npz", "npz", "NaN or an infinity at flat index 0"),
        ("nothing.npz", "npz", "does not exist"),
    ] {
        let answer = project.run(&["import", file, "--from", from, "-o", "run"]);
        answer.exits(4).says(&["error[D", "help:", says]);
        assert!(!project.path("run").exists(), "{file}");
    }
}

/// Training programs save the weights beside other things, and under longer names.
#[test]
fn checkpoints_come_in() {
    let project = Project::new();
    let import = |file: &str, from: &str, more: &[&str]| {
        let path = fixture(file);
        let run = format!("run-{file}{}", more.concat());
        let arguments = ["import", &path, "--from", from, "-o", &run];
        (project.run(&[&arguments[..], more].concat()), run)
    };
    let (plain, plain_run) = import("torch_rnn.pt", "torch", &[]);
    plain.exits(0);
    let (answer, run) = import("torch_checkpoint.pt", "torch", &[]);
    answer.exits(0).says(&[
        "the weights are those of its entry \"model\"",
        "the recurrent network is its part \"module.rnn.\"",
        "the readout is its layer \"module.readout\"",
    ]);
    let weights = |run: &str| project.bytes(format!("{run}/model/weights.npz"));
    assert_eq!(weights(&run), weights(&plain_run));
    let (answer, _) = import("torch_two.pt", "torch", &[]);
    answer.exits(4).says(&[
        "holds 2 dictionaries of tensors; it holds: model (6 tensors), ema.model (6 tensors), epoch",
        "help: choose one: --entry NAME",
    ]);
    let (answer, run) = import("torch_two.pt", "torch", &["--entry", "ema.model"]);
    answer.exits(0).says(&["entry \"ema.model\""]);
    assert_eq!(weights(&run), weights(&plain_run));
    let (answer, _) = import("torch_two.pt", "torch", &["--entry", "epoch"]);
    answer
        .exits(4)
        .says(&["\"epoch\" is not a dictionary of tensors"]);

    let (plain, plain_run) = import("nn4n_1_2_0.pt", "nn4n", &[]);
    plain.exits(0);
    let (answer, run) = import("nn4n_wrapped.pt", "nn4n", &[]);
    answer.exits(0).says(&[
        "entry \"state_dict\"",
        "\"module.net.\" before the names was left out",
    ]);
    assert_eq!(weights(&run), weights(&plain_run));
}

/// Each refusal names what is there.
#[test]
fn networks_that_are_near_to_one_of_ours_are_refused_by_name() {
    let project = Project::new();
    let psychrnn = fixture("psychrnn_free.npz");
    for (file, from, says) in [
        (
            "torch_foreign.pt",
            "torch",
            "asks for torch.device, which was not run",
        ),
        (
            "torch_two_heads.pt",
            "torch",
            "besides the recurrent one: critic, readout",
        ),
        ("torch_h0.pt", "torch", "a linear readout has: h0"),
        (
            "torch_encoder.pt",
            "torch",
            "encoder.weight takes 3 numbers, but the recurrent network has 6 units",
        ),
        (
            "torch_cell.pt",
            "torch",
            "cell.weight_hh is that of a torch.nn.RNNCell",
        ),
        (
            "torch_rnn.pt",
            "psychrnn",
            "is a file of torch.save: import it with --from torch or --from nn4n",
        ),
        ("torch_rnn.pt", "npz", "is a file of torch.save"),
        (
            psychrnn.as_str(),
            "torch",
            "is an npz file: import it with --from npz or --from psychrnn",
        ),
    ] {
        let answer = project.run(&["import", &fixture(file), "--from", from, "-o", "run"]);
        answer.exits(4).says(&["error[D", "help:", says]);
        assert!(!project.path("run").exists(), "{file}");
    }
    let missing = project
        .run(&["import", "x.pt", "--from", "torch", "-o", "run"])
        .exits(4);
    assert_eq!(
        missing.stderr.matches("check the path").count(),
        1,
        "{missing:#?}"
    );
}

/// What the command line gives was not assumed, and is not told; where the file fixes alpha, tau follows dt.
#[test]
fn notes_are_of_what_was_assumed() {
    let project = Project::new();
    let import = |file: &str, from: &str, run: &str, more: &[&str]| {
        let path = fixture(file);
        let arguments = ["import", &path, "--from", from, "-o", run];
        project
            .run(&[&arguments[..], more].concat())
            .exits(0)
            .stderr
    };
    let relu = ["model.activation=relu", "time.dt_ms=10"];
    let told = import("torch_rnn.pt", "torch", "a", &relu);
    assert!(
        !told.contains("assumed") && !told.contains("taken for"),
        "{told}"
    );
    let resolved = project.text("a/config.resolved.toml");
    assert!(resolved.contains("tau_ms = 10.0"), "{resolved}");
    let told = import("psychrnn_free.npz", "psychrnn", "b", &["time={dt_ms=5}"]);
    assert!(
        !told.contains("say dt") && told.contains("100 ms is assumed"),
        "{told}"
    );
    let alpha = |run: &str| {
        let resolved = project
            .run(&["config", "show", run, "--json"])
            .exits(0)
            .json();
        let dt = resolved["time"]["dt_ms"].as_f64().unwrap();
        let tau = resolved["model"]["tau_ms"].as_array().unwrap().clone();
        let alpha = tau.into_iter().map(|tau| dt / tau.as_f64().unwrap());
        alpha.collect::<Vec<_>>()
    };
    import("nn4n_1_2_0.pt", "nn4n", "c", &[]);
    import("nn4n_1_2_0.pt", "nn4n", "d", &["time.dt_ms=20"]);
    for (a, b) in alpha("c").into_iter().zip(alpha("d")) {
        assert!((a - b).abs() < 1e-12, "{a} {b}");
    }
}

/// What `export --to npz` writes is a file to begin with.
#[test]
fn an_export_is_a_beginning() {
    let project = Project::new();
    project.train("run", &["train.steps=1"]).exits(0);
    project
        .run(&["export", "run", "--to", "npz", "-o", "net.npz"])
        .exits(0);
    let begin = ["model.init.file=net.npz", "train.steps=0"];
    project.train("begun", &begin).exits(0);
    assert_eq!(
        project.arrays("run/model/weights.npz")["recurrent.weight"],
        project.arrays("begun/model/weights.npz")["recurrent.weight"]
    );
    let extra = project.arrays("net.npz")["recurrent.bias"].clone();
    project.write_arrays(
        "odd.npz",
        [("recurrent.bias", extra.clone()), ("odd", extra)],
    );
    project
        .train("odd", &["model.init.file=odd.npz"])
        .exits(4)
        .says(&["odd"]);
}

/// An import makes no steps, whatever is asked of it; `resume` then makes as many as it is told.
#[test]
fn an_import_makes_no_steps_and_takes_the_options_of_the_machine() {
    let project = Project::new();
    project.train("run", &["train.steps=2"]).exits(0);
    project
        .run(&["export", "run", "--to", "npz", "-o", "net.npz"])
        .exits(0);
    let import = ["import", "net.npz", "--from", "npz", "-o", "own"];
    project
        .run(&[&import[..], &["train.steps=50", "--threads", "1"]].concat())
        .exits(0)
        .says(&["note: train.steps has no effect: an import makes no steps; `train-ctrnn resume own train.steps=50` trains it"]);
    assert_eq!(
        project.bytes("own/model/weights.npz"),
        project.bytes("run/model/weights.npz")
    );
    let resolved = project.text("own/config.resolved.toml");
    assert!(resolved.contains("\nsteps = 0\n") && resolved.contains("threads = 1"));
    project.run(&["resume", "own", "train.steps=2"]).exits(0);
    assert_eq!(project.json("own/model/model.json")["step"], 2);
    project
        .run(&[
            "import", "net.npz", "--from", "npz", "--entry", "foo", "-o", "other",
        ])
        .exits(4)
        .says(&[
            "error[D003]: net.npz: is an npz file, which has no entries: --entry is for files of torch.save",
            "help: --from names the program that wrote the file",
        ]);
}

/// Labels need not contain every class of the weights, but none beyond them.
#[test]
fn weights_say_how_many_classes_there_are() {
    use ctrnn_files::Array;
    let project = Project::new();
    let trials = |name: &str, n_classes: usize| {
        let labels = (0..24).map(|i| (i / 2 % n_classes) as i64).collect();
        project.write_arrays(
            name,
            [
                ("inputs", Array::f32(&[12, 2, 3], vec![0.5; 72])),
                ("labels", Array::i64(&[12, 2], labels)),
            ],
        );
        format!("task.npz.files=[\"{name}\"]")
    };
    let [two, three, four] =
        [("two.npz", 2), ("three.npz", 3), ("four.npz", 4)].map(|(name, n)| trials(name, n));
    project.train("run", &[&three, "train.steps=1"]).exits(0);
    project
        .run(&["export", "run", "--to", "npz", "-o", "net.npz"])
        .exits(0);
    for (output, further) in [
        ("own", "seed=1"),
        ("whole", "task.npz.validation_fraction=1"),
    ] {
        project
            .run(&[
                "import", "net.npz", "--from", "npz", "-o", output, &two, further,
            ])
            .exits(0);
        let eval = project.run(&["eval", output, "--json"]).exits(0).json();
        assert!(eval["accuracy"].is_number(), "{eval}");
    }
    let file = "model.init.file=\"net.npz\"";
    project
        .train("begun", &[&two, "train.steps=1", file])
        .exits(0);
    let from = ["train.steps=1", "--init-from", "run"];
    project
        .train("branch", &[&[&two[..]], &from[..]].concat())
        .exits(0);
    let shape = |run: &str| {
        project.arrays(&format!("{run}/model/weights.npz"))["output.weight"]
            .shape()
            .to_vec()
    };
    assert_eq!(
        (shape("own"), shape("begun"), shape("branch")),
        (vec![3, 8], vec![3, 8], vec![3, 8])
    );
    project
        .train("beyond", &[&four, "train.steps=1", file])
        .exits(4)
        .says(&["label 3 at trial 3, time step 0 has no output: the network has 3"]);
    // What is trained needs trials to train on.
    project
        .train("nothing", &[&two, file, "task.npz.validation_fraction=1"])
        .exits(2)
        .says(&["none is left to train on"]);
}
