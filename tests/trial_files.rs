use ctrnn_files::{Array, ArrayData, npz};
use serde_json::json;

use crate::project::{Project, TINY};

/// 12 trials of two time steps and class `b % 3`, which the input shows.
fn three_classes(n_trials: usize) -> [(&'static str, Array); 3] {
    let class = |i: usize| i / 2 % 3;
    let input = |i: usize| f32::from(u8::from(class(i / 3) == i % 3));
    [
        (
            "inputs",
            Array::f32(&[n_trials, 2, 3], (0..6 * n_trials).map(input).collect()),
        ),
        (
            "labels",
            Array::i64(
                &[n_trials, 2],
                (0..2 * n_trials).map(|i| class(i) as i64).collect(),
            ),
        ),
        (
            "cond_number",
            Array::i64(&[n_trials], (0..n_trials as i64).collect()),
        ),
    ]
}

fn files(name: &str) -> String {
    format!("task.npz.files=[\"{name}\"]")
}

/// Another file than the run's tests its network: every trial, in the order of the file, whatever classes it holds.
#[test]
fn another_file_is_evaluated_as_a_whole() {
    let project = Project::new();
    project.write_arrays("train.npz", three_classes(12));
    project.write_arrays("test.npz", three_classes(10));
    project.write_arrays("few.npz", three_classes(2)); // without class 2
    project.write_arrays("one.npz", three_classes(1));
    project
        .train("run", &[&files("train.npz"), "train.steps=2"])
        .exits(0);

    let trials = |arguments: &[&str]| {
        let eval = [&["eval", "run", "--json"], arguments].concat();
        project.run(&eval).exits(0).json()["trials"].clone()
    };
    assert_eq!(trials(&[]), 2); // a fifth of 12
    assert_eq!(trials(&[&files("train.npz")]), 2, "the run's own file");
    assert_eq!(trials(&["task.npz.validation_fraction=1"]), 12);
    for (name, n) in [("test.npz", 10), ("few.npz", 2), ("one.npz", 1)] {
        assert_eq!(trials(&[&files(name)]), n, "{name}");
    }
    assert_eq!(trials(&[&files("test.npz"), "--trials", "4"]), 4);
    let eval = ["eval", "run", &files("test.npz"), "--trials", "50"];
    project
        .run(&eval)
        .exits(0)
        .says(&["note: --trials 50: there are only 10 trials"]);
    let eval = ["eval", "run", "--trials", "50"];
    project
        .run(&eval)
        .exits(0)
        .says(&["note: --trials 50: only 2 of 12 trials are held out of training"]);

    let simulate = ["simulate", "run", &files("test.npz"), "-o", "states.npz"];
    project.run(&simulate).exits(0);
    let states = project.arrays("states.npz");
    let index: Vec<i64> = (0..10).flat_map(|row| [0, row]).collect();
    assert_eq!(states["trial_index"], Array::i64(&[10, 2], index));
    let number: Vec<f32> = (0..10).map(|b| b as f32).collect();
    assert_eq!(states["cond_number"], Array::f32(&[10], number));
    assert_eq!(states["outputs"].shape(), [10, 2, 3]);

    let simulate = ["simulate", "run", "--trials", "2", "-o", "own.npz"];
    project.run(&simulate).exits(0);
    let own = project.arrays("own.npz");
    let rows: Vec<i64> = own["trial_index"].to_i64().unwrap();
    let numbers = own["cond_number"].to_f64().unwrap();
    assert_eq!([rows[1] as f64, rows[3] as f64], [numbers[0], numbers[1]]);

    let analyze = [
        "analyze",
        "run",
        "accuracy",
        &files("test.npz"),
        "-o",
        "found",
    ];
    project.run(&analyze).exits(0);
    assert_eq!(
        project.arrays("found/accuracy.npz")["is_correct"].shape(),
        [10]
    );
}

#[test]
fn a_test_must_fit_the_network() {
    let project = Project::new();
    project.write_arrays("train.npz", three_classes(12));
    project
        .train("run", &[&files("train.npz"), "train.steps=1"])
        .exits(0);
    let [inputs, (_, labels), _] = three_classes(3);
    let number = ("cond_number", Array::i64(&[3], vec![0, 1, 2]));
    let wide = Array::f32(&[3, 2, 4], vec![0.0; 24]);
    let more = labels
        .to_i64()
        .unwrap()
        .iter()
        .map(|label| label + 1)
        .collect();
    project.write_arrays(
        "wide.npz",
        [("inputs", wide), ("labels", labels), number.clone()],
    );
    project.write_arrays(
        "more.npz",
        [inputs, ("labels", Array::i64(&[3, 2], more)), number],
    );
    for (name, says) in [
        ("wide.npz", "has 4 inputs, but the network has 3"),
        ("more.npz", "label 3 at trial 2, time step 0 has no output"),
    ] {
        let eval = project.run(&["eval", "run", &files(name)]);
        eval.exits(4)
            .says(&["error[D001]", says, "help: test a network"]);
    }
}

/// Nobody reads a line for each of a thousand angles.
#[test]
fn continuous_conditions_are_summed_up() {
    let project = Project::new();
    let [inputs, labels, _] = three_classes(60);
    let angle = (0..60).map(|b| f64::from(b) / 4.0).collect();
    let block = (0..60)
        .map(|b| if b < 6 { f64::NAN } else { f64::from(b % 3) })
        .collect();
    project.write_arrays(
        "trials.npz",
        [
            inputs,
            labels,
            ("cond_angle", Array::f64(&[60], angle)),
            ("cond_block", Array::f64(&[60], block)),
        ],
    );
    let whole = "task.npz.validation_fraction=1";
    project
        .train("run", &[&files("trials.npz"), "train.steps=1"])
        .exits(0);
    let text = project.run(&["eval", "run", whole]).exits(0).stdout;
    assert!(
        text.contains("angle: 60 values from 0 to 14.75; --json has the score of each"),
        "{text}"
    );
    assert!(
        text.contains("block = 2") && text.contains("block does not apply"),
        "{text}"
    );
    assert!(text.lines().count() < 20, "{text}");
    let report = project
        .run(&["eval", "run", whole, "--json"])
        .exits(0)
        .json();
    assert_eq!(report["by"]["angle"].as_object().unwrap().len(), 60);
    assert_eq!(report["by"]["block"]["NaN"]["trials"], 6);
    project
        .run(&["analyze", "run", "all", whole, "-o", "found"])
        .exits(0);
}

#[test]
fn check_says_what_a_file_holds() {
    let project = Project::new();
    let [inputs, _, number] = three_classes(10);
    let n_steps = (
        "n_steps",
        Array::i64(&[10], vec![1, 2, 2, 2, 2, 2, 2, 2, 2, 2]),
    );
    let labels = (
        "labels",
        Array::i64(&[10, 2], (0..20).map(|i| 1 + i % 2).collect()),
    );
    project.write_arrays("trials.npz", [inputs, labels, n_steps, number]);
    let check = ["check", "smoke.toml", &files("trials.npz")];
    let answer = project.run(&check).exits(0);
    assert!(
        answer
            .stdout
            .contains("10 of 1 to 2 time steps, 2 of them held out for validation"),
        "{}",
        answer.stdout
    );
    answer.says(&[
        "note: class 0 never occurs among the labels",
        "labels = labels - 1",
    ]);
    let found = project
        .run(&[&check[..], &["--json"]].concat())
        .exits(0)
        .json();
    assert_eq!(
        found["trials"],
        json!({"training": 8, "held_out": 2, "steps": [1, 2]})
    );
}

/// Each format has a name, and a line that makes an npz file of it.
#[test]
fn other_formats_are_named() {
    let project = Project::new();
    let torch = std::fs::read(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/fixtures/import/torch_rnn.pt"
    ))
    .unwrap();
    let hdf5 = [&[0; 512][..], b"\x89HDF\r\n\x1a\n"].concat();
    let table: [(&[u8], [&str; 2]); 8] = [
        (
            b"MATLAB 5.0 MAT-file, Platform",
            ["a MATLAB file", "scipy.io.loadmat"],
        ),
        (
            b"MATLAB 7.3 MAT-file, Platform",
            ["version 7.3", "h5py.File"],
        ),
        (&hdf5, ["an HDF5 file", "h5py.File"]),
        (b"\x93NUMPY\x01\0v\0", ["a single array (.npy)", "np.load"]),
        (
            b"\x80\x04\x95\x10\0\0\0\0\0\0\0}",
            ["a Python pickle", "pickle.load"],
        ),
        (&torch, ["a file of torch.save", "torch.load"]),
        (b"trial,t,u\n0,0,0.5\n", ["text, such as CSV", "np.loadtxt"]),
        (b"\x1f\x8b\x08\0\0", ["a compressed file", "gunzip"]),
    ];
    for (content, [name, remedy]) in table {
        project.write("trials.npz", content);
        let train = project.train("run", &[&files("trials.npz")]);
        train.exits(4).says(&[
            "error[D001]",
            name,
            "not an npz (zip) archive",
            "help: ",
            remedy,
        ]);
    }
    std::fs::remove_file(project.path("trials.npz")).unwrap();
    let train = project.train("run", &[&files("trials.npz")]);
    train
        .exits(4)
        .says(&["trials.npz does not exist", "help: relative paths start at"]);
}

/// Arrays stay as the file holds them: there is no memory for each trial, and no copy in another type.
#[cfg(target_os = "linux")]
#[test]
fn a_file_of_trials_takes_as_much_memory_as_its_arrays() {
    const MIB: usize = 1 << 20;
    let project = Project::new();
    let values = |n: usize| (0..n).map(|i| (i % 7) as f64);
    let classes = |shape: &[usize]| {
        let n = shape.iter().product();
        Array::new(
            shape,
            ArrayData::U8((0..n).map(|i| (i % 2) as u8).collect()),
        )
    };
    let n = 2 * MIB; // 8 MiB of inputs, 2 of labels, 16 of conditions, each another one
    project.write_arrays(
        "short.npz",
        [
            (
                "inputs",
                Array::f32(&[n, 1, 1], values(n).map(|x| x as f32).collect()),
            ),
            ("labels", classes(&[n, 1])),
            (
                "cond_angle",
                Array::f64(&[n], (0..n).map(|i| i as f64).collect()),
            ),
        ],
    );
    let n = 16 * MIB; // 128 MiB of inputs, which the network takes in single precision
    project.write_arrays(
        "long.npz",
        [
            (
                "inputs",
                Array::f64(&[n / 256, 256, 1], values(n).collect()),
            ),
            ("labels", classes(&[n / 256, 256])),
        ],
    );
    for name in ["short.npz", "long.npz"] {
        let size = project.path(name).metadata().unwrap().len() / 1024;
        let train = [
            "train",
            "smoke.toml",
            "--run-dir",
            name.trim_end_matches(".npz"),
            &files(name),
        ];
        let small = ["--threads", "1", "train.steps=2"];
        let arguments = [&train[..], &small, &TINY].concat();
        let peak = crate::project::peak_kilobytes(&mut project.command(&arguments));
        assert!(
            peak > size && peak < size * 3 / 2 + 110 * 1024,
            "{name}: {size} kB take {peak} kB"
        );
    }
}

/// Numbers whose squares are infinite in single precision are refused where they are read, and named where a task makes them.
#[test]
fn numbers_too_large_to_train_on_are_refused() {
    let project = Project::new();
    let trials = |[input, target, mask]: [f32; 3]| {
        let mut inputs = vec![0.5; 30];
        inputs[29] = input;
        [
            ("inputs", Array::f32(&[10, 3, 1], inputs)),
            ("targets", Array::f32(&[10, 3, 1], vec![target; 30])),
            ("mask", Array::f32(&[10, 3], vec![mask; 30])),
        ]
    };
    let train = [&files("trials.npz"), "train.steps=1"];
    for (numbers, says) in [
        (
            [1e25, 0.5, 1.0],
            "inputs holds 1e25 at trial 9, time step 2, input 0, which is too large to train on: at most 1e9",
        ),
        (
            [0.5, -1e25, 1.0],
            "targets holds -1e25 at trial 0, time step 0, output 0, which is too large to train on: at most 1e9",
        ),
        (
            [0.5, 0.5, 1e25],
            "mask holds 1e25 at trial 0, time step 0; it must be 0 (does not count) or more, at most 1e9",
        ),
    ] {
        project.write_arrays("trials.npz", trials(numbers));
        project
            .train("run", &train)
            .exits(4)
            .says(&[says, "help: "]);
        assert!(!project.path("run").exists());
    }
    // The largest that is allowed trains.
    project.write_arrays("trials.npz", trials([1e9, 1e9, 1.0]));
    let linear = [&train[..], &["model.activation=linear"]].concat();
    project.train("run", &linear).exits(0);
}

#[test]
fn weights_beyond_single_precision_are_refused() {
    let project = Project::new();
    project.train("run", &["train.steps=0"]).exits(0);
    let mut arrays = project.arrays("run/model/weights.npz");
    let n = arrays["output.bias"].shape()[0];
    let bias = (0..n).map(|k| if k == 1 { 1e39 } else { 0.0 }).collect();
    arrays.insert("output.bias".to_owned(), Array::f64(&[n], bias));
    let file = ctrnn_files::TensorFile {
        tensors: arrays.clone(),
        ..Default::default()
    };
    project.write("w.safetensors", file.to_bytes());
    npz::write(&project.path("w.npz"), &arrays).unwrap();
    let says = ["output.bias holds 1e39 at flat index 1"];
    let import = ["import", "w.npz", "--from", "npz", "-o", "imported"];
    project.run(&import).exits(4).says(&says);
    for file in ["model.init.file=w.npz", "model.init.file=w.safetensors"] {
        project.train("other", &[file]).exits(4).says(&says);
    }
    assert!(!project.path("imported").exists() && !project.path("other").exists());
}

/// A network with an initial state for each condition numbers them by the file that it was trained on: that file must be as it was.
#[test]
fn conditions_are_those_of_the_file_of_the_training() {
    let project = Project::new();
    let trials = |first: i64| {
        let [inputs, labels, _] = three_classes(12);
        let side = (0..12).map(|b| (b + first) % 2).collect();
        [inputs, labels, ("cond_side", Array::i64(&[12], side))]
    };
    project.write_arrays("train.npz", trials(0));
    project.write_arrays("test.npz", trials(0));
    let per_condition = "model.initial_state=learned_per_condition";
    let train = [&files("train.npz"), "train.steps=1", per_condition];
    project.train("run", &train).exits(0);
    let eval = ["eval", "run", &files("test.npz")];
    project.run(&eval).exits(0);
    project.write_arrays("train.npz", trials(1));
    let answer = project.run(&eval);
    answer.exits(4).says(&["error[D003]", "train.npz"]);
}

/// A test need not show every choice. The choices stand in the manifest of the run, whose file of trials may be gone.
#[test]
fn choices_are_those_of_the_training_without_its_file() {
    let project = Project::new();
    let trials = |n: usize, low: f32| {
        let target = |i: usize| if (i / 2).is_multiple_of(2) { 1.0 } else { low };
        [
            ("inputs", Array::f32(&[n, 2, 1], vec![0.5; 2 * n])),
            (
                "targets",
                Array::f32(&[n, 2, 1], (0..2 * n).map(target).collect()),
            ),
        ]
    };
    project.write_arrays("train.npz", trials(12, -1.0));
    project.write_arrays("test.npz", trials(4, 1.0));
    project
        .train("run", &[&files("train.npz"), "train.steps=1"])
        .exits(0);
    let accuracy = || {
        let eval = ["eval", "run", "--json", &files("test.npz")];
        project.run(&eval).exits(0).json()["accuracy"].clone()
    };
    let with_file = accuracy();
    assert!(with_file.is_number(), "{with_file}");
    std::fs::remove_file(project.path("train.npz")).unwrap();
    assert_eq!(accuracy(), with_file);
}

/// The states of short trials overflow behind their ends, beside long ones in which nothing happens.
#[test]
fn what_lies_behind_the_end_of_a_trial_changes_nothing() {
    let project = Project::new();
    let trials = |name: &str, n_steps: &[i64]| {
        let (n, longest) = (n_steps.len(), 400);
        let mut inputs = vec![0.0; n * longest];
        for (b, &steps) in n_steps.iter().enumerate() {
            inputs[b * longest] = f32::from(u8::from(steps == 5));
        }
        project.write_arrays(
            name,
            [
                ("inputs", Array::f32(&[n, longest, 1], inputs)),
                (
                    "targets",
                    Array::f32(&[n, longest, 1], vec![0.0; n * longest]),
                ),
                ("n_steps", Array::i64(&[n], n_steps.to_vec())),
            ],
        );
    };
    trials("train.npz", &[5, 400, 5, 400, 5, 400]);
    trials("short.npz", &[5, 5]);
    trials("both.npz", &[5, 400]);
    let train = [
        &files("train.npz"),
        "model.activation=linear",
        "model.init.spectral_radius=3",
        "model.initial_state=zero",
        "model.bias={recurrent=false,readout=false}",
        "train.loss.rate_l2=0.1",
        "train.steps=2",
    ];
    project.train("run", &train).exits(0);
    let terms = |file: &str| {
        let eval = ["eval", "run", "--json", &files(file)];
        let terms = project.run(&eval).exits(0).json()["terms"].clone();
        ["mse", "rate_l2"].map(|name| terms[name].as_f64().expect("a number"))
    };
    // The long trial adds nothing but its time steps.
    for (short, both) in terms("short.npz").into_iter().zip(terms("both.npz")) {
        assert!(short > 0.0 && (both * 405.0 / (short * 5.0) - 1.0).abs() < 1e-4);
    }
    let analyze = ["analyze", "run", "pca", &files("both.npz"), "-o", "found"];
    project.run(&analyze).exits(0);
}

/// A file that is named twice would be set aside for validation and trained on.
#[test]
fn a_file_named_twice_is_refused() {
    let project = Project::new();
    project.write_arrays("a.npz", three_classes(12));
    let path = project.path("a.npz");
    for second in ["a.npz", "./a.npz", path.to_str().unwrap()] {
        let files = format!("task.npz.files=[\"a.npz\",\"{second}\"]");
        project
            .run(&["check", "smoke.toml", &files])
            .exits(2)
            .says(&[
                "error[C014]: task.npz.files: ",
                "is named twice",
                "help: name each file once",
            ]);
    }
}

/// The arrays of a file of inputs are not copied as a whole.
#[cfg(target_os = "linux")]
#[test]
fn inputs_of_a_simulation_take_as_much_memory_as_their_file() {
    const STEPS: usize = 64;
    let project = Project::new();
    project.train("run", &["train.steps=0"]).exits(0);
    let n = 1 << 16; // 96 MiB in double precision, 48 in single
    let values = (0..n * STEPS * 3).map(|i| (i % 7) as f64 * 0.1);
    let wide: Vec<f64> = values.collect();
    let narrow: Vec<f32> = wide.iter().map(|&x| x as f32).collect();
    project.write_arrays("f64.npz", [("inputs", Array::f64(&[n, STEPS, 3], wide))]);
    project.write_arrays("f32.npz", [("inputs", Array::f32(&[n, STEPS, 3], narrow))]);
    for name in ["f64.npz", "f32.npz"] {
        let size = project.path(name).metadata().unwrap().len() / 1024;
        let simulate = [
            "simulate", "run", "--inputs", name, "-o", "s.npz", "--force",
        ];
        let small = ["--record", "outputs", "--threads", "1"];
        let arguments = [&simulate[..], &small].concat();
        let peak = crate::project::peak_kilobytes(&mut project.command(&arguments));
        assert!(
            peak > size && peak < size * 3 / 2 + 110 * 1024,
            "{name}: {size} kB take {peak} kB"
        );
    }
}

/// NaN, infinities and labels that are no classes, after the end of a trial and under a mask of 0, train byte for byte like zeros there;
/// inside a trial they are refused with trial and time step.
#[test]
fn what_does_not_count_trains_like_zeros() {
    let project = Project::new();
    let ends: [i64; 6] = [2, 4, 3, 4, 2, 3];
    let within = |b: usize, t: usize| (t as i64) < ends[b];
    let counts = |b: usize, t: usize| within(b, t) && !(b + t).is_multiple_of(3);
    // Returns an array `[trial, time, width]` with `other` where `is_kept` is false.
    let filled = |width: usize, other: f32, is_kept: &dyn Fn(usize, usize) -> bool| {
        let value = |k: usize| {
            let (b, t) = (k / (4 * width), k / width % 4);
            let value = ((b * 7 + k * 3) % 5) as f32 / 2.0;
            if is_kept(b, t) { value } else { other }
        };
        Array::f32(&[6, 4, width], (0..24 * width).map(value).collect())
    };
    let mask = |other: f32| {
        let value = |k: usize| match (within(k / 4, k % 4), counts(k / 4, k % 4)) {
            (false, _) => other,
            (true, counts) => f32::from(u8::from(counts)),
        };
        Array::f32(&[6, 4], (0..24).map(value).collect())
    };
    let labels = |other: f32| {
        let value = |k: usize| {
            if counts(k / 4, k % 4) {
                (k % 2) as f32
            } else {
                other
            }
        };
        Array::f32(&[6, 4], (0..24).map(value).collect())
    };
    let n_steps = || ("n_steps", Array::i64(&[6], ends.to_vec()));
    let inputs = |other: f32| ("inputs", filled(2, other, &within));
    // All runs read a file of this name, since weight files hold a digest of the configuration.
    let train = |run: &str| {
        let arguments = [
            &files("trials.npz"),
            "train.steps=5",
            "task.npz.validation_fraction=0.34",
        ];
        project.train(run, &arguments)
    };
    for name in ["targets", "labels"] {
        for (run, other) in [
            ("zeros", 0.0),
            ("nan", f32::NAN),
            ("inf", f32::NEG_INFINITY),
        ] {
            let target = if name == "targets" {
                filled(2, other, &counts)
            } else {
                labels(other)
            };
            let arrays = [
                inputs(other),
                (name, target),
                ("mask", mask(other)),
                n_steps(),
            ];
            project.write_arrays("trials.npz", arrays);
            train(&format!("{name}_{run}")).exits(0);
        }
        for other in ["nan", "inf"] {
            project.assert_same_run(&format!("{name}_zeros"), &format!("{name}_{other}"));
        }
    }
    let inside = |b: usize, t: usize| within(b, t) && (b, t) != (3, 2);
    let broken = [
        [
            ("inputs", filled(2, f32::NAN, &inside)),
            ("targets", filled(2, 0.0, &within)),
        ],
        [
            inputs(0.0),
            ("targets", filled(2, f32::NAN, &|b, t| (b, t) != (1, 1))),
        ],
    ];
    let says = [
        "inputs holds NaN at trial 3, time step 2",
        "targets holds NaN at trial 1, time step 1",
    ];
    for ([a, b], says) in broken.into_iter().zip(says) {
        project.write_arrays("trials.npz", [a, b, ("mask", mask(0.0)), n_steps()]);
        train("broken").exits(4).says(&[says, "help:"]);
    }
}
