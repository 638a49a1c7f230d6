//! Whole runs of the program on the device.

use ctrnn_files::{Array, ArrayData};

use crate::project::Project;

fn numbers(array: &Array) -> Vec<f64> {
    match array.data() {
        ArrayData::F32(numbers) => numbers.iter().copied().map(f64::from).collect(),
        other => panic!("weights are f32, not {other:?}"),
    }
}

/// `|a - b| / |b|`
fn relative_error(a: &[f64], b: &[f64]) -> f64 {
    let norm = |x: &mut dyn Iterator<Item = f64>| x.map(|x| x * x).sum::<f64>().sqrt();
    let difference = norm(&mut a.iter().zip(b).map(|(a, b)| a - b));
    difference / norm(&mut b.iter().copied())
}

fn losses(project: &Project, run: &str) -> Vec<f64> {
    let rows = project.metrics(run);
    let rows = rows.iter().filter(|row| row["split"] == "train");
    rows.map(|row| row["loss"].parse().unwrap()).collect()
}

const NOISE: &str = crate::project::NOISE;

/// 200 steps under both noises: losses stay within a thousandth, and so do weights after 20 steps.
#[test]
fn training_follows_the_cpu() {
    let project = Project::in_memory();
    for device in ["cpu", "wgpu"] {
        for steps in ["train.steps=20", "train.steps=200"] {
            let run = format!("{device}-{steps}");
            let arguments = [steps, NOISE, "--device", device];
            project.train(&run, &arguments).exits(0);
        }
    }
    let name = |device: &str, steps: u32| format!("{device}-train.steps={steps}");
    let (cpu, gpu) = (
        losses(&project, &name("cpu", 200)),
        losses(&project, &name("wgpu", 200)),
    );
    assert_eq!(cpu.len(), 200);
    for (step, (a, b)) in gpu.iter().zip(&cpu).enumerate() {
        assert!(
            (a - b).abs() < 1e-3 * b.abs(),
            "step {step}: {a} is not {b}"
        );
    }
    let weights = |device| project.arrays(&format!("{}/model/weights.npz", name(device, 20)));
    let found = weights("wgpu");
    for (tensor, expected) in weights("cpu") {
        let error = relative_error(&numbers(&found[&tensor]), &numbers(&expected));
        assert!(error < 1e-3, "{tensor}: {error:e}");
    }
}

/// Short-term plasticity has no kernels and runs by single operations, with a state that is carried from batch to batch.
#[test]
fn plastic_synapses_follow_the_cpu() {
    let project = Project::in_memory();
    let plastic = [
        "train.steps=5",
        "model.short_term_plasticity=half",
        "model.initial_state=carry",
    ];
    for device in ["cpu", "wgpu"] {
        let arguments = [&plastic[..], &["--device", device]].concat();
        project.train(device, &arguments).exits(0);
    }
    let (cpu, gpu) = (losses(&project, "cpu"), losses(&project, "wgpu"));
    assert_eq!(cpu.len(), 5);
    for (a, b) in gpu.iter().zip(&cpu) {
        assert!((a - b).abs() < 1e-4 * b.abs(), "{a} is not {b}");
    }
    let answer = project.run(&["check", "smoke.toml", "device.backend=wgpu", plastic[1]]);
    drop(answer.says(&["model.short_term_plasticity has no kernel on a GPU"]));
}

/// Areas, stacks and matrices of low rank have kernels: `check` has nothing to note, and training follows the CPU.
#[test]
fn configurations_with_structure_follow_the_cpu() {
    let project = Project::in_memory();
    let configurations = [
        ("two_areas", include_str!("../../configs/two_areas.toml")),
        ("stack", include_str!("../../configs/stack.toml")),
        ("low_rank", include_str!("../../configs/low_rank.toml")),
    ];
    for (name, text) in configurations {
        let file = format!("{name}.toml");
        project.write(&file, text);
        for device in ["cpu", "wgpu"] {
            let run = format!("{name}-{device}");
            let arguments = [
                "train",
                &file,
                "--run-dir",
                &run,
                "--device",
                device,
                "train.steps=5",
                "train.batch_size=4",
                "train.log_every=1",
                "validate.trials=4",
                "validate.every_steps=0",
            ];
            drop(project.run(&arguments).exits(0));
        }
        let (cpu, gpu) = (
            losses(&project, &format!("{name}-cpu")),
            losses(&project, &format!("{name}-wgpu")),
        );
        assert_eq!(cpu.len(), 5);
        for (a, b) in gpu.iter().zip(&cpu) {
            assert!((a - b).abs() < 1e-3 * b.abs(), "{name}: {a} is not {b}");
        }
        let answer = project
            .run(&["check", &file, "--json", "device.backend=wgpu"])
            .exits(0);
        assert_eq!(answer.json()["kernel_path"], "cubecl", "{name}");
        assert!(!answer.stderr.contains("no kernel"), "{}", answer.stderr);
    }
}

#[test]
fn a_run_goes_on_across_devices_and_its_manifest_says_where_bits_end() {
    let project = Project::in_memory();
    let steps = |n: &'static str| [n, "--device", "cpu"];
    project.train("run", &steps("train.steps=5")).exits(0);
    project
        .run(&["resume", "run", "train.steps=10", "device.backend=wgpu"])
        .exits(0);
    let resumed = &project.json("run/manifest.json")["resumed"][0];
    assert_eq!(
        (
            &resumed["from_step"],
            &resumed["bit_exact"],
            &resumed["now"]["kernel_path"]
        ),
        (&5.into(), &false.into(), &"cubecl".into())
    );
    project.train("whole", &steps("train.steps=10")).exits(0);
    let (parts, whole) = (losses(&project, "run"), losses(&project, "whole"));
    assert_eq!(parts.len(), 10);
    for (a, b) in parts.iter().zip(&whole) {
        assert!((a - b).abs() < 1e-3 * b.abs(), "{a} is not {b}");
    }
}

#[test]
fn adapters_are_listed_and_chosen_by_index_or_name() {
    let project = Project::in_memory();
    let info = project.run(&["info", "--json"]).exits(0).json();
    let first = &info["adapters"][0];
    let name = first["name"].as_str().expect("there is an adapter");
    assert_eq!(first["index"], 0);
    let chosen = project.train(
        "by_name",
        &["train.steps=1", "--device", &format!("wgpu:{name}")],
    );
    drop(chosen.exits(0));
    let manifest = project.json("by_name/manifest.json");
    assert!(manifest["device"].as_str().unwrap().contains(name));
    project
        .train("by_index", &["train.steps=1", "--device", "wgpu:0"])
        .exits(0);
    for unknown in ["wgpu:99", "wgpu:No Such Adapter"] {
        let answer = project.train("unknown", &["--device", unknown]).exits(6);
        drop(answer.says(&["error[G003]", name]));
        assert!(!project.path("unknown").exists());
    }
}

/// Vulkan's loader finds no driver where it is told to look elsewhere.
#[test]
fn without_an_adapter_the_program_says_so() {
    let project = Project::in_memory();
    let mut command = project.command(&Project::training("run", &["--device", "wgpu"]));
    for variable in ["VK_ICD_FILENAMES", "VK_DRIVER_FILES"] {
        command.env(variable, "/nonexistent.json");
    }
    let answer = crate::project::Answer::from(command.output().unwrap());
    drop(answer.exits(6).says(&["error[G002]", "--device cpu"]));
}

/// 31 time steps of 65536 trials and 4096 units in `f32`: 31.0 GiB.
#[test]
fn a_network_too_large_for_the_device_is_refused_with_the_bytes_it_needs() {
    let project = Project::in_memory();
    let arguments = [
        "train",
        "smoke.toml",
        "--run-dir",
        "run",
        "--device",
        "wgpu",
        "train.batch_size=65536",
        "model.n_units=4096",
    ];
    let answer = project.run(&arguments);
    drop(answer.exits(6).says(&["error[G004]", "31.0 GiB"]));
    assert!(!project.path("run").exists());
}

/// A software driver takes the memory of the process. It also compiles kernels there, and aborts where it cannot: which of the two
/// comes first depends on the machine.
#[cfg(target_os = "linux")]
#[ignore = "the software driver may abort before it reports a lack of memory"]
#[test]
fn a_device_that_runs_out_of_memory_is_an_error_with_what_was_needed() {
    let project = Project::in_memory();
    let answer = |kib: u32| {
        let program = project.command(&[
            "train",
            "smoke.toml",
            "--run-dir=run",
            "--device=wgpu",
            "--force",
            "model.n_units=512",
            "train.batch_size=2000",
            "train.steps=2",
            "validate.trials=4",
        ]);
        let script = format!("ulimit -v {kib}; exec timeout -s KILL 20 \"$0\" \"$@\"");
        let output = std::process::Command::new("sh")
            .args(["-c", &script])
            .arg(program.get_program())
            .args(program.get_args())
            .current_dir(project.path(""))
            .output();
        crate::project::Answer::from(output.unwrap())
    };
    let mut answers = (16..30).map(|tenth| answer(tenth * 50_000));
    let refused = answers.find(|answer| answer.stderr.contains("ran out of memory"));
    let refused = refused.expect("some limit is reached by a buffer");
    drop(
        refused
            .exits(6)
            .says(&["error[G005]", "needs about 0.60 GiB"]),
    );
}
