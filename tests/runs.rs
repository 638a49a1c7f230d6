//! The run folder, stopping and resuming, and the exit codes of training.

use std::path::Path;
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use ctrnn_files::Array;
use serde_json::json;

use crate::project::{Answer, NOISE, Project, SMOKE, TINY, is_ignored};

fn names(project: &Project, folder: &str) -> Vec<String> {
    project.tree(folder).into_keys().collect()
}

/// `["5 train", "5 val", ...]`: what each row of `metrics.csv` is about.
fn rows(project: &Project, run: &str) -> Vec<String> {
    let rows = project.metrics(run).into_iter();
    rows.map(|row| format!("{} {}", row["step"], row["split"]))
        .collect()
}

fn events(project: &Project, run: &str) -> Vec<serde_json::Value> {
    let text = project.text(format!("{run}/events.jsonl"));
    text.lines()
        .map(|line| serde_json::from_str(line).expect("a JSON line"))
        .collect()
}

/// Starts a training that would go on for hours and waits until it has saved step 5.
fn start_endless(project: &Project, run: &str) -> Child {
    let arguments = Project::training(run, &[NOISE, "train.steps=1000000"]);
    let mut command = project.command(&arguments);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let child = command.spawn().expect("the program starts");
    let (started, saved) = (Instant::now(), format!("{run}/checkpoints/last"));
    while !project.path(&saved).exists() {
        assert!(started.elapsed() < Duration::from_secs(60), "no checkpoint");
        sleep(Duration::from_millis(5));
    }
    child
}

/// The step that the pointer `last` names.
fn last_step(project: &Project, run: &str) -> u64 {
    let last = project.text(format!("{run}/checkpoints/last"));
    let digits = last.trim().strip_prefix("step-").expect("step-<digits>");
    digits.parse().expect("step-<digits>")
}

#[test]
fn a_run_folder_holds_what_the_readme_says() {
    let project = Project::new();
    project
        .train("run", &["train.steps=20", "--seed", "7"])
        .exits(0);

    let files: Vec<String> = names(&project, "run")
        .into_iter()
        .filter(|name| !name.contains("checkpoints/") && !name.starts_with("tb/"))
        .collect();
    assert_eq!(
        files,
        [
            ".lock",
            "RUN.json",
            "checkpoints",
            "config.resolved.toml",
            "config.toml",
            "events.jsonl",
            "initial",
            "initial/model.json",
            "initial/weights.safetensors",
            "manifest.json",
            "metrics.csv",
            "model",
            "model/model.json",
            "model/weights.npz",
            "model/weights.safetensors",
            "overrides.txt",
            "result.json",
            "tb",
        ]
    );
    let checkpoint = [
        "MANIFEST.json",
        "optimizer.safetensors",
        "state.json",
        "weights.safetensors",
    ];
    assert_eq!(names(&project, "run/checkpoints/step-00000020"), checkpoint);
    assert_eq!(project.text("run/config.toml"), SMOKE);
    assert!(
        project
            .text("run/overrides.txt")
            .contains("model.n_units=8\n")
    );

    let run = project.json("run/RUN.json");
    assert_eq!(run["state"], "done");
    assert_eq!(run["exit_code"], 0);
    assert_eq!(run["restarts"], 0);
    assert_eq!(project.json("run/manifest.json")["seed"], 7);
    assert_eq!(project.json("run/model/model.json")["step"], 20);
}

#[test]
fn metrics_have_one_header_and_the_promised_rows() {
    let project = Project::new();
    project.train("run", &["train.steps=7"]).exits(0);

    let text = project.text("run/metrics.csv");
    assert!(
        text.starts_with("step,wall_s,trials,split,loss,accuracy,grad_norm,lr,noise\n"),
        "{text}"
    );
    let expected = [
        "1 train", "2 train", "3 train", "4 train", "5 train", "5 val", "6 train", "7 train",
        "7 val",
    ];
    assert_eq!(rows(&project, "run"), expected);
    for row in project.metrics("run") {
        let step: u64 = row["step"].parse().unwrap();
        assert_eq!(
            row["trials"],
            (4 * step).to_string(),
            "a batch has four trials"
        );
        assert_eq!(
            row["lr"].is_empty(),
            row["split"] == "val",
            "empty = not measured"
        );
        assert!(row["loss"].parse::<f64>().unwrap().is_finite());
    }
}

/// Checkpoints at 5, 10, 15 and 20, of which the last two are kept, and the best.
#[test]
fn metrics_have_a_column_for_each_term_of_the_loss() {
    let project = Project::new();
    let penalties = [
        "train.loss.rate_l2=0.01",
        "train.loss.weight_l1.recurrent=0.02",
    ];
    project
        .train("run", &[&penalties[..], &["train.steps=5"]].concat())
        .exits(0);
    let header = "step,wall_s,trials,split,loss,loss_mse,loss_weight_l1,loss_rate_l2,accuracy,grad_norm,lr,noise\n";
    assert!(project.text("run/metrics.csv").starts_with(header));
    for row in project.metrics("run") {
        let number = |column: &str| row[column].parse::<f64>().unwrap();
        let sum = number("loss_mse") + number("loss_weight_l1") + number("loss_rate_l2");
        assert!((number("loss") - sum).abs() < 1e-6, "{row:?}");
    }
    let found = project
        .run(&["eval", "run", "--trials", "4", "--json"])
        .exits(0)
        .json();
    let terms: Vec<&String> = found["terms"].as_object().unwrap().keys().collect();
    assert_eq!(terms, ["mse", "rate_l2", "weight_l1"]);
}

#[test]
fn old_checkpoints_are_removed_except_the_best() {
    let project = Project::new();
    project
        .train("run", &["train.steps=20", "checkpoint.keep_last=2"])
        .exits(0);

    let pointer = |name| {
        project
            .text(format!("run/checkpoints/{name}"))
            .trim()
            .to_owned()
    };
    let (best, last) = (pointer("best"), pointer("last"));
    let mut expected = vec!["step-00000015".to_owned(), last.clone(), best];
    expected.sort();
    expected.dedup();
    let mut found = names(&project, "run/checkpoints");
    found.retain(|name| name.starts_with("step-") && !name.contains('/'));
    assert_eq!(found, expected);
    assert_eq!(last, "step-00000020");
}

#[test]
fn weights_are_the_same_in_both_files_and_in_the_last_checkpoint() {
    let project = Project::new();
    project.train("run", &["train.steps=5"]).exits(0);

    let safetensors =
        |name: &str| ctrnn_files::TensorFile::read(&project.path(name)).expect("a weight file");
    let model = safetensors("run/model/weights.safetensors");
    assert_eq!(model.tensors, project.arrays("run/model/weights.npz"));
    assert_eq!(
        model,
        safetensors("run/checkpoints/step-00000005/weights.safetensors")
    );
    assert_eq!(model.metadata["format"], "pt");
    let shapes: Vec<(&str, &[usize])> = model
        .tensors
        .iter()
        .map(|(name, array)| (name.as_str(), array.shape()))
        .collect();
    assert_eq!(
        shapes,
        [
            ("initial_state", &[8][..]),
            ("input.weight", &[8, 3]),
            ("output.bias", &[2]),
            ("output.weight", &[2, 8]),
            ("recurrent.bias", &[8]),
            ("recurrent.weight", &[8, 8]),
            ("tau_ms", &[1]),
        ]
    );
}

#[test]
fn no_steps_write_the_initial_network_as_a_finished_run() {
    let project = Project::new();
    project.train("run", &["train.steps=0"]).exits(0);

    assert_eq!(project.json("run/RUN.json")["state"], "done");
    assert_eq!(rows(&project, "run"), ["0 val"]);
    assert_eq!(last_step(&project, "run"), 0);
    project.run(&["eval", "run"]).exits(0);
}

#[test]
fn the_resolved_configuration_reproduces_the_run() {
    let project = Project::new();
    project.train("run", &[NOISE, "train.steps=10"]).exits(0);
    let again = ["train", "run/config.resolved.toml", "--run-dir", "again"];
    project.run(&again).exits(0);
    project.assert_same_run("run", "again");
}

/// `--max-time 0s` stops after the step in progress: here after steps 1, 2 and 3.
#[test]
fn a_stopped_and_resumed_run_equals_an_uninterrupted_one() {
    let project = Project::new();
    project.train("whole", &[NOISE, "train.steps=20"]).exits(0);
    let arguments = [NOISE, "train.steps=20"];
    let stop = [&arguments[..], &["--max-time", "0s"]].concat();
    project
        .train("parts", &stop)
        .exits(75)
        .says(&["train-ctrnn resume parts"]);
    let run = project.json("parts/RUN.json");
    assert_eq!(
        (&run["state"], &run["exit_code"]),
        (&json!("stopped"), &json!(75))
    );
    assert_eq!(project.json("parts/model/model.json")["step"], 1);

    project
        .run(&["resume", "parts", "--max-time", "0s"])
        .exits(75);
    project
        .train("parts", &[&stop[..], &["--resume", "auto"]].concat())
        .exits(75);
    project
        .train("parts", &[&arguments[..], &["--resume", "must"]].concat())
        .exits(0);

    project.assert_same_run("whole", "parts");
    let run = project.json("parts/RUN.json");
    assert_eq!(
        (&run["state"], &run["restarts"]),
        (&json!("done"), &json!(3))
    );
    let resumed: Vec<u64> = events(&project, "parts")
        .iter()
        .filter(|event| event["event"] == "resumed")
        .map(|event| event["from_step"].as_u64().expect("a step"))
        .collect();
    assert_eq!(resumed, [1, 2, 3]);
}

/// Every optimizer, schedule and penalty that remembers something, stopped after one step and resumed.
#[test]
fn what_is_remembered_survives_a_stop() {
    let project = Project::new();
    let each = [
        "train.optimizer={name=\"adam\",amsgrad=true}",
        "train.optimizer={name=\"adamw\"}",
        "train.optimizer={name=\"sgd\",momentum=0.9,nesterov=true}",
        "train.optimizer={name=\"rmsprop\",momentum=0.9,centered=true}",
        "train.optimizer={name=\"adagrad\"}",
        "train.optimizer={name=\"lbfgs\",history=3} train.clip_grad_norm=none",
        "train.schedule={name=\"cosine\",warmup_steps=2}",
        "train.schedule={name=\"exponential\",factor=0.9}",
        "train.schedule={name=\"step\",every_steps=2}",
        "train.schedule={name=\"plateau\",metric=\"val.accuracy\",patience=1}",
        "train.stop={metric=\"val.accuracy\",patience=3}",
        "train.stop={metric=\"val.loss\",at_most=0.1,over=3}",
        "train.loss.weight_deviation=0.1",
        "train.groups={recurrent={weight={lr=1e-4}},initial_state={lr=0}}",
    ];
    for (k, one) in each.into_iter().enumerate() {
        let (whole, parts) = (format!("whole{k}"), format!("parts{k}"));
        let train = |run, further: &[&str]| {
            let sizes = ["model.n_units=8", "train.batch_size=4", "validate.trials=4"];
            let steps = ["train.steps=7", "validate.every_steps=1"];
            let begin = ["train", "smoke.toml", "--run-dir", run];
            let own: Vec<&str> = one.split(' ').collect();
            project.run(&[&begin[..], &sizes, &steps, &own, further].concat())
        };
        train(&whole, &[]).exits(0);
        train(&parts, &["--max-time", "0s"]).exits(75);
        project
            .run(&["resume", &parts, "--max-time", "0s"])
            .exits(75);
        project.run(&["resume", &parts]).exits(0);
        project.assert_same_run(&whole, &parts);
    }
}

#[test]
fn a_finished_run_can_be_trained_longer() {
    let project = Project::new();
    project.train("whole", &[NOISE, "train.steps=20"]).exits(0);
    project.train("longer", &[NOISE, "train.steps=10"]).exits(0);
    project
        .run(&["resume", "longer", "train.steps=20"])
        .exits(0);
    project.assert_same_run("whole", "longer");
}

/// More threads change no result; another instruction set rounds differently, and the manifest says from where on.
#[test]
fn the_manifest_says_where_a_run_went_to_another_machine() {
    let project = Project::new();
    let stop = ["train.steps=9", "--threads=1", "--max-time=0s"];
    project.train("run", &stop).exits(75);
    let first = project.json("run/manifest.json");
    let resume = ["resume", "run", "device.threads=2", "--max-time=0s"];
    project.run(&resume).exits(75);
    let resumed = &project.json("run/manifest.json")["resumed"];
    assert_eq!(resumed[0]["now"], json!({ "threads": 2 }));
    assert_eq!(
        (&resumed[0]["bit_exact"], &resumed[0]["from_step"]),
        (&json!(true), &json!(1))
    );
    project.run(&resume).exits(75);
    let resumed = &project.json("run/manifest.json")["resumed"];
    assert_eq!(resumed.as_array().map(Vec::len), Some(1), "nothing new");

    if first["kernel_path"] == "portable" {
        return; // this CPU has no other
    }
    let mut command = project.command(&resume);
    let output = command
        .env("CTRNN_KERNEL", "portable")
        .output()
        .expect("it starts");
    let answer = Answer::from(output).exits(75);
    answer.says(&["note: resumed with another kernel_path: from step 3 on"]);
    let resumed = &project.json("run/manifest.json")["resumed"];
    assert_eq!(resumed[1]["now"], json!({ "kernel_path": "portable" }));
    assert_eq!(
        (&resumed[1]["bit_exact"], &resumed[1]["from_step"]),
        (&json!(false), &json!(3))
    );
    let resolved = project.text("run/config.resolved.toml");
    assert!(
        resolved.starts_with("# This run was made in parts")
            && resolved.contains("\n#   from step 3 on: kernel_path = \"portable\"\n"),
        "{resolved}"
    );
    let again = ["train", "run/config.resolved.toml", "--run-dir", "again"];
    project
        .run(&again)
        .exits(0)
        .says(&["belongs to a run that was made in parts"]);
}

/// Everything after the newest whole checkpoint is done again.
#[test]
fn a_killed_run_is_resumed_from_its_newest_checkpoint() {
    let project = Project::new();
    let mut child = start_endless(&project, "killed");
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(
        project.json("killed/RUN.json")["state"],
        "running",
        "nobody could say otherwise"
    );

    // The newest checkpoint may be one interval of 5 beyond the pointer, if the kill came between the two.
    let steps = format!("train.steps={}", last_step(&project, "killed") + 10);
    project.run(&["resume", "killed", &steps]).exits(0);
    project.train("whole", &[NOISE, &steps]).exits(0);
    project.assert_same_run("whole", "killed");
}

/// The older whole checkpoint is used, and the damaged one is named.
#[test]
fn a_damaged_checkpoint_is_passed_over() {
    let project = Project::new();
    project.train("whole", &[NOISE, "train.steps=15"]).exits(0);
    project
        .train("damaged", &[NOISE, "train.steps=10"])
        .exits(0);
    let weights = "damaged/checkpoints/step-00000010/weights.safetensors";
    project.write(weights, &project.bytes(weights)[..100]);

    let answer = project
        .run(&["resume", "damaged", "train.steps=15"])
        .exits(0);
    answer.says(&[weights, "is 100 bytes long", "from step 5\n"]);
    project.assert_same_run("whole", "damaged");
}

/// A run that died before its first checkpoint starts again at step 0.
#[test]
fn a_run_without_a_checkpoint_is_resumed_from_the_start() {
    let project = Project::new();
    project.train("whole", &["train.steps=10"]).exits(0);
    project.train("young", &["train.steps=10"]).exits(0);
    for folder in ["young/checkpoints", "young/model"] {
        std::fs::remove_dir_all(project.path(folder)).unwrap();
    }
    let run = project
        .text("young/RUN.json")
        .replace("\"done\"", "\"running\"");
    project.write("young/RUN.json", run);

    project.run(&["resume", "young"]).exits(0);
    project.assert_same_run("whole", "young");
}

#[cfg(unix)]
fn interrupt(child: &Child) {
    let pid = child.id().to_string();
    let status = std::process::Command::new("kill")
        .args(["-INT", &pid])
        .status();
    assert!(status.expect("kill starts").success());
}

#[cfg(unix)]
#[test]
fn an_interrupted_run_saves_and_exits_with_75() {
    if is_ignored("INT") {
        eprintln!("SKIPPED: these tests were started to ignore INT");
        return;
    }
    let project = Project::new();
    let mut child = start_endless(&project, "run");
    interrupt(&child);
    assert_eq!(child.wait().unwrap().code(), Some(75));

    let run = project.json("run/RUN.json");
    assert_eq!(
        (&run["state"], &run["exit_code"]),
        (&json!("stopped"), &json!(75))
    );
    let step = last_step(&project, "run");
    assert_eq!(project.json("run/model/model.json")["step"], step);
    // Where the signal comes while a batch is made, a validation may be last.
    let last = rows(&project, "run").pop().expect("there are rows");
    let is_of_step = last.starts_with(&format!("{step} "));
    assert!(is_of_step, "nothing is lost after step {step}: {last}");
}

#[test]
fn a_run_in_progress_is_locked() {
    let project = Project::new();
    let mut child = start_endless(&project, "run");
    for arguments in [
        &["resume", "run"][..],
        &["train", "smoke.toml", "--run-dir", "run", "--force"],
    ] {
        let answer = project.run(arguments).exits(5);
        answer.says(&[
            "error[F",
            "is in use by process",
            &child.id().to_string(),
            "train with --run-dir run-2",
        ]);
    }
    assert_eq!(child.try_wait().unwrap(), None, "the run goes on");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn an_existing_run_is_left_alone_unless_forced() {
    let project = Project::new();
    project.train("run", &["train.steps=2"]).exits(0);
    let before = project.tree("run");

    let again = ["train", "smoke.toml", "--run-dir", "run", "seed=3"];
    project.run(&again).exits(5).says(&[
        "error[F004]: the run folder run exists already",
        "train-ctrnn resume run\n",
        "train-ctrnn train smoke.toml --run-dir run seed=3 --force\n",
        "--run-dir run-every_steps50-n_units32-seed3\n",
    ]);
    let stop = "train.stop={metric=\"val.loss\",at_most=1}"; // quoted where it is printed: shells would eat it
    let again = ["train", "smoke.toml", "--run-dir", "run", stop];
    let quoted = format!("train smoke.toml --run-dir run '{stop}' --force\n");
    project.run(&again).exits(5).says(&[&quoted]);
    assert!(project.tree("run") == before, "the run was touched");

    project.train("run", &["train.steps=1", "--force"]).exits(0);
    assert_eq!(project.json("run/model/model.json")["step"], 1);
    assert_eq!(rows(&project, "run"), ["1 train", "1 val"]);
}

/// `--force` replaces runs, not whatever a slip of the finger names.
#[test]
fn force_does_not_remove_what_is_no_run() {
    let project = Project::new();
    std::fs::create_dir(project.path("thesis")).unwrap();
    project.write("thesis/chapter.txt", "years of work");
    project
        .train("thesis", &["train.steps=1", "--force"])
        .exits(5);
    assert_eq!(project.text("thesis/chapter.txt"), "years of work");
}

#[test]
fn resuming_a_finished_run_says_so() {
    let project = Project::new();
    project.train("run", &["train.steps=2"]).exits(0);
    let before = project.tree("run");
    let answer = project.run(&["resume", "run"]).exits(0);
    answer.says(&["run is finished", "train-ctrnn resume run train.steps="]);
    assert!(project.tree("run") == before, "the run was touched");
}

#[test]
fn resume_auto_starts_where_there_is_no_run() {
    let project = Project::new();
    project
        .train("run", &["train.steps=1", "--resume", "auto"])
        .exits(0);
    assert_eq!(project.json("run/RUN.json")["restarts"], 0);
}

#[test]
fn a_resumed_run_keeps_what_it_is() {
    let project = Project::new();
    project.train("run", &["train.steps=2"]).exits(0);
    let before = project.tree("run");
    for change in [
        "model.n_units=9",
        "train.optimizer.lr=1",
        "seed=2",
        "task.go_nogo.delay_ms=200",
    ] {
        let key = change.split('=').next().unwrap();
        let answer = project
            .run(&["resume", "run", "train.steps=4", change])
            .exits(2);
        answer.says(&["error[C018]", key, "help: ", "--run-dir run-"]);
    }
    assert!(project.tree("run") == before, "the run was touched");
}

/// The arguments that train a tiny network into a folder of the default name or another one, and resume by themselves.
fn by_itself<'a>(config: &'a str, arguments: &[&'a str]) -> Vec<&'a str> {
    let first = ["train", config, "--resume=auto"];
    [&first[..], &TINY, arguments].concat()
}

/// Any key may differ, also one that `resume` may change: two cells of a sweep are two runs.
#[test]
fn only_the_command_that_began_a_run_resumes_it_by_itself() {
    let project = Project::new();
    let stop = "train.stop={metric=\"val.loss\",at_most=0.001}";
    let begun = ["train.steps=10", stop];
    project.run(&by_itself("smoke.toml", &begun)).exits(0);
    let before = project.tree("runs");

    let other_stop = "train.stop={metric=\"val.loss\",at_most=0.01}";
    let different: [(&[&str], &str); 7] = [
        (&["train.steps=20", stop], "runs/smoke-s1-steps20"),
        (&["train.steps=10", other_stop], "runs/smoke-s1-at_most0.01"),
        (&["train.steps=10"], "runs/smoke-s1-no-stop"),
        (
            &["train.steps=10", stop, "checkpoint.keep_last=1"],
            "runs/smoke-s1-keep_last1",
        ),
        (
            &["train.steps=10", stop, "--threads=1"],
            "runs/smoke-s1-threads1",
        ),
        (
            &["train.steps=10", stop, "train.divergence.max_rollbacks=1"],
            "runs/smoke-s1-max_rollbacks1",
        ),
        (
            &["train.steps=10", stop, "train.optimizer.lr=3e-2"],
            "runs/smoke-s1-lr0.03",
        ),
    ];
    for (arguments, folder) in different {
        let arguments = by_itself("smoke.toml", arguments);
        let folder = format!("--run-dir {folder}\n");
        let answer = project.run(&arguments).exits(5);
        answer.says(&[
            "error[F004]: the run in runs/smoke-s1 began with another command",
            &folder,
        ]);
        let must: Vec<&str> = arguments
            .iter()
            .map(|word| {
                if *word == "--resume=auto" {
                    "--resume=must"
                } else {
                    word
                }
            })
            .collect();
        project.run(&must).exits(5).says(&["error[F004]", &folder]);
    }
    std::fs::create_dir(project.path("other")).unwrap();
    project.write(
        "other/smoke.toml",
        SMOKE.replace("seed = 1", "seed = 1\n\n[device]\nthreads = 1"),
    );
    let other = by_itself("other/smoke.toml", &begun);
    project
        .run(&other)
        .exits(5)
        .says(&["error[F004]", "--run-dir runs/smoke-s1-"]);
    assert!(project.tree("runs") == before, "the run was touched");

    project.write("smoke.toml", format!("# a remark\n{SMOKE}"));
    let mut same = project.command(&by_itself("smoke.toml", &begun));
    let same = same.env("SLURM_JOB_ID", "17").output().unwrap();
    Answer::from(same).exits(0).says(&["is finished"]);
    assert!(project.tree("runs") == before, "the run was touched");
}

#[test]
fn under_slurm_two_cells_of_a_sweep_do_not_share_a_folder() {
    let project = Project::new();
    let cell = |lr: &str| {
        let mut arguments = vec!["train", "smoke.toml", lr, "train.steps=1"];
        arguments.extend(TINY);
        let mut command = project.command(&arguments);
        Answer::from(command.env("SLURM_JOB_ID", "17").output().unwrap())
    };
    cell("train.optimizer.lr=1e-3").exits(0);
    let answer = cell("train.optimizer.lr=3e-3").exits(5);
    answer.says(&["train.optimizer.lr is", "--run-dir runs/smoke-s1-lr0.003\n"]);
}

/// With `--force` in its script, a requeued job would lose the steps that it made before.
#[test]
fn a_requeued_job_goes_on_with_its_own_run_despite_force() {
    let project = Project::new();
    let job = |number: &str, restarts: &str, further: &[&str]| {
        let mut arguments = vec!["train", "smoke.toml", "train.steps=4", "--force"];
        arguments.extend(TINY.iter().chain(further));
        let mut command = project.command(&arguments);
        command.env("SLURM_JOB_ID", number);
        if !restarts.is_empty() {
            command.env("SLURM_RESTART_COUNT", restarts);
        }
        Answer::from(command.output().unwrap())
    };
    let id = || project.json("runs/smoke-s1/RUN.json")["id"].clone();
    job("17", "", &["--max-time=0s"]).exits(75);
    let first = id();
    job("17", "1", &[]).exits(0).says(&[
        "note: runs/smoke-s1 was begun by this Slurm job before it was requeued: the run is continued",
        "from step 1",
    ]);
    assert_eq!(id(), first, "the run was replaced");
    // Another job replaces it, and so does the same one unless it was requeued.
    job("18", "1", &["--max-time=0s"]).exits(75);
    let second = id();
    assert_ne!(second, first);
    job("18", "0", &[]).exits(0);
    assert_ne!(id(), second);
}

/// A job is requeued after somebody gave its run more steps: these are made.
#[test]
fn what_a_run_was_resumed_with_holds_for_the_command_that_began_it() {
    let project = Project::new();
    let begun = ["train.steps=10", "--run-dir=run", NOISE];
    project.run(&by_itself("smoke.toml", &begun)).exits(0);
    let more = ["resume", "run", "train.steps=20", "--max-time=0s"];
    project.run(&more).exits(75);
    let answer = project.run(&by_itself("smoke.toml", &begun)).exits(0);
    answer.says(&[
        "note: run continues with train.steps = 20",
        "the command has 10",
    ]);
    assert_eq!(project.json("run/model/model.json")["step"], 20);
    project.train("whole", &[NOISE, "train.steps=20"]).exits(0);
    project.assert_same_run("whole", "run");
}

/// The learning rate of each training step.
fn rates(project: &Project, run: &str) -> Vec<f64> {
    let rows = project.metrics(run).into_iter();
    let rows = rows.filter(|row| row["split"] == "train");
    rows.map(|row| row["lr"].parse().unwrap()).collect()
}

const COSINE: &str = "train.schedule={name=\"cosine\",final_fraction=0.1}";

/// It ends at a tenth of the rate after step 10, and stays there.
#[test]
fn a_resumed_run_stays_at_the_end_of_its_schedule() {
    let project = Project::new();
    let begun = [COSINE, NOISE, "train.steps=10", "train.optimizer.lr=1e-2"];
    project.train("run", &begun).exits(0);
    let first = rates(&project, "run");
    let answer = project.run(&["resume", "run", "train.steps=20"]).exits(0);
    answer.says(&[
        "note: the cosine schedule ends at step 10: from there to step 20 the learning rate is 1.000e-3",
        "train.schedule.steps=20 stretches it",
    ]);
    let both = rates(&project, "run");
    assert_eq!(both[..10], first);
    assert!(
        both[10..].iter().all(|rate| (rate - 1e-3).abs() < 1e-12),
        "{both:?}"
    );
    let resolved = project.text("run/config.resolved.toml");
    assert!(!resolved.starts_with('#'), "{resolved}");
    let again = ["train", "run/config.resolved.toml", "--run-dir", "again"];
    project.run(&again).exits(0);
    project.assert_same_run("run", "again");
}

/// Half of the cosine is made again; this is asked for, and cannot be had from the resolved configuration alone.
#[test]
fn a_schedule_is_stretched_where_that_is_said() {
    let project = Project::new();
    let begun = [COSINE, "train.steps=10", "train.optimizer.lr=1e-2"];
    project.train("run", &begun).exits(0);
    let longer = ["resume", "run", "train.steps=20", "train.schedule.steps=20"];
    // At half of the way the factor is (1 + 0.1) / 2.
    project.run(&longer).exits(0).says(&[
        "note: the learning rate continues from step 10 at 5.500e-3; with train.schedule.steps = 10 it would be 1.000e-3",
    ]);
    assert!((rates(&project, "run")[10] - 5.5e-3).abs() < 1e-12);
    let resolved = project.text("run/config.resolved.toml");
    let header = "# This run was made in parts: it was resumed with other values, or on another machine or version, so that a new run of this file
# need not be the same to the last bit. It began with config.toml and overrides.txt. Then
#   from step 10 on: train.schedule.steps = 20 (before: 10), train.steps = 20 (before: 10)
# To repeat it, train what it began with and resume that run at the same steps with the same values.

";
    assert!(resolved.starts_with(header), "{resolved}");
    let again = ["train", "run/config.resolved.toml", "--run-dir", "again"];
    project
        .run(&again)
        .exits(0)
        .says(&["note: run/config.resolved.toml belongs to a run that was made in parts"]);
}

/// Validations come at other steps, and with them the plateaus.
#[test]
fn a_run_in_parts_says_so_and_how_to_repeat_it() {
    let project = Project::new();
    let begun = [
        "train.steps=10",
        "train.optimizer={name=\"sgd\",lr=2.0}",
        "train.schedule={name=\"plateau\",patience=1}",
    ];
    let more = ["train.steps=20", "validate.every_steps=2"];
    for run in ["run", "again"] {
        project.train(run, &begun).exits(0);
        let answer = project
            .run(&[&["resume", run], &more[..]].concat())
            .exits(0);
        answer.says(&[
            "note: validate.every_steps is 2 from step 10 on (before: 5), which also changes when train.schedule lowers the learning rate\n",
        ]);
    }
    project.assert_same_run("run", "again");
    let changed = json!([
        { "key": "train.steps", "before": 10, "now": 20 },
        { "key": "validate.every_steps", "before": 5, "now": 2 },
    ]);
    let resumed = events(&project, "run").into_iter();
    let resumed: Vec<_> = resumed
        .filter(|event| event["event"] == "resumed")
        .collect();
    assert_eq!(resumed[0]["overrides"], json!(more));
    assert_eq!(resumed[0]["changed"], changed);
    assert_eq!(
        project.json("run/manifest.json")["resumed"][0]["changed"],
        changed
    );
    let is_in_parts = || {
        project
            .text("run/config.resolved.toml")
            .starts_with("# This run was made in parts")
    };
    assert!(is_in_parts());
    project.run(&["resume", "run", "train.steps=22"]).exits(0);
    assert!(is_in_parts());
}

/// Neither the machine nor how many checkpoints are kept makes another network.
#[test]
fn a_run_resumed_with_values_that_change_no_number_is_whole() {
    let project = Project::new();
    project.train("run", &["train.steps=10", NOISE]).exits(0);
    let more = [
        "resume",
        "run",
        "train.steps=20",
        "checkpoint.keep_last=1",
        "device.threads=1",
    ];
    project.run(&more).exits(0);
    assert!(!project.text("run/config.resolved.toml").starts_with('#'));
    project
        .run(&["train", "run/config.resolved.toml", "--run-dir", "again"])
        .exits(0);
    project.assert_same_run("run", "again");
}

/// A run of no steps, such as an imported one, has made no step of its schedule, which gets its length with its steps.
#[test]
fn the_schedule_of_a_run_of_no_steps_begins_with_them() {
    let project = Project::new();
    let cosine = [COSINE, "train.optimizer.lr=1e-2"];
    project
        .train("run", &[&cosine[..], &["train.steps=0"]].concat())
        .exits(0);
    project.run(&["resume", "run", "train.steps=10"]).exits(0);
    project
        .train("whole", &[&cosine[..], &["train.steps=10"]].concat())
        .exits(0);
    assert_eq!(rates(&project, "run"), rates(&project, "whole"));
}

/// Earlier versions did not write down how long the cosine of a run is.
#[test]
fn the_schedule_of_an_earlier_version_keeps_the_length_of_its_run() {
    let project = Project::new();
    project
        .train(
            "run",
            &[COSINE, "train.steps=10", "train.optimizer.lr=1e-2"],
        )
        .exits(0);
    let resolved = project.text("run/config.resolved.toml");
    let open: String = resolved.replace(
        "[train.schedule]\nname = \"cosine\"\nwarmup_steps = 0\nsteps = 10\n",
        "[train.schedule]\nname = \"cosine\"\nwarmup_steps = 0\n",
    );
    assert_ne!(open, resolved);
    project.write("run/config.resolved.toml", open);
    project
        .run(&["resume", "run"])
        .exits(0)
        .says(&["is finished"]);
    project.run(&["resume", "run", "train.steps=20"]).exits(0);
    assert!((rates(&project, "run")[19] - 1e-3).abs() < 1e-12);
}

/// Steps that were done cannot be taken back: the run stays what it is.
#[test]
fn a_run_cannot_be_resumed_to_fewer_steps() {
    let project = Project::new();
    project.train("run", &["train.steps=10"]).exits(0);
    let before = project.text("run/config.resolved.toml");
    project
        .run(&["resume", "run", "train.steps=5"])
        .exits(2)
        .says(&[
            "error[C021]: run has made 10 steps already",
            "command line:1:13",
            "help: ",
        ]);
    assert_eq!(project.text("run/config.resolved.toml"), before);
}

/// Trials of a file that changed after the run began are other trials.
#[test]
fn changed_data_are_not_resumed_on() {
    let project = Project::new();
    let write = |value| {
        let inputs = Array::f32(&[4, 3, 1], vec![value; 12]);
        let targets = Array::f32(&[4, 3, 1], vec![0.5; 12]);
        project.write_arrays("trials.npz", [("inputs", inputs), ("targets", targets)]);
    };
    write(1.0);
    project
        .train("run", &["task.npz.files=[\"trials.npz\"]", "train.steps=2"])
        .exits(0);
    write(2.0);
    let answer = project.run(&["resume", "run", "train.steps=4"]).exits(4);
    answer.says(&["error[D", "trials.npz", "help: "]);
    let again = [
        "task.npz.files=[\"trials.npz\"]",
        "train.steps=2",
        "--resume=auto",
    ];
    project.train("run", &again).exits(4); // finished or not
    project.run(&["resume", "run", "train.steps=4"]).exits(4);
    project.run(&["eval", "run"]).exits(4);
}

/// Four trials of three time steps.
fn write_trials(project: &Project, name: &str, value: f32) {
    let inputs = Array::f32(&[4, 3, 1], vec![value; 12]);
    let targets = Array::f32(&[4, 3, 1], vec![0.5; 12]);
    project.write_arrays(name, [("inputs", inputs), ("targets", targets)]);
}

/// The data of a run have moved: it goes on from where they are, and is the same run to the bit.
#[test]
fn a_data_root_says_where_the_files_are_now() {
    let project = Project::new();
    for folder in ["data", "moved", "moved/data", "wrong"] {
        std::fs::create_dir(project.path(folder)).unwrap();
    }
    write_trials(&project, "data/trials.npz", 1.0);
    write_trials(&project, "wrong/trials.npz", 2.0);
    let files = "task.npz.files=[\"data/trials.npz\"]";
    project.train("whole", &[files, "train.steps=10"]).exits(0);
    project
        .train("moved-run", &[files, "train.steps=5"])
        .exits(0);
    std::fs::rename(
        project.path("data/trials.npz"),
        project.path("moved/data/trials.npz"),
    )
    .unwrap();

    let resume = ["resume", "moved-run", "train.steps=10"];
    project
        .run(&resume)
        .exits(4)
        .says(&["error[D001]", "does not exist"]);
    let wrong = project.run(&[&resume[..], &["--data-root", "wrong"]].concat());
    wrong
        .exits(4)
        .says(&["error[D003]", "wrong/trials.npz", "its digest differs"]);
    project
        .run(&[&resume[..], &["--data-root", "moved"]].concat())
        .exits(0);
    project.assert_same_run("whole", "moved-run");
    project
        .run(&["eval", "moved-run", "--data-root", "moved"])
        .exits(0);

    let mut again = project.command(&["train", "whole/config.resolved.toml", "--run-dir", "again"]);
    let again = again.env("CTRNN_DATA_ROOT", "moved").output().unwrap();
    assert_eq!(again.status.code(), Some(0), "{again:?}");
    project.assert_same_run("whole", "again");
    let other = [
        "train",
        "whole/config.resolved.toml",
        "--run-dir",
        "other",
        "--data-root",
        "wrong",
    ];
    project.run(&other).exits(4).says(&["its digest differs"]);
    assert!(!project.path("other").exists());
}

/// What made a run is on record: without one of these it cannot be had again.
#[test]
fn the_manifest_says_what_made_the_run() {
    let project = Project::new();
    write_trials(&project, "trials.npz", 1.0);
    project
        .train(
            "run",
            &[
                "task.npz.files=[\"trials.npz\"]",
                "train.steps=0",
                "--threads",
                "2",
            ],
        )
        .exits(0);
    let manifest = project.json("run/manifest.json");
    let keys: Vec<&String> = manifest.as_object().unwrap().keys().collect();
    assert_eq!(
        keys,
        [
            "backend",
            "channels",
            "device",
            "git",
            "initial",
            "inputs",
            "kernel_path",
            "profile",
            "program",
            "schema",
            "seed",
            "target",
            "threads",
            "versions"
        ]
    );
    for (table, keys) in [
        ("versions", &["ctrnn", "burn", "rustc"][..]),
        ("target", &["arch", "os", "features"]),
    ] {
        for key in keys {
            let value = manifest[table][key].as_str().expect("a text");
            assert!(!value.is_empty(), "{table}.{key}");
        }
    }
    assert_eq!(
        (&manifest["seed"], &manifest["threads"]),
        (&json!(1), &json!(2))
    );
    assert_eq!(manifest["backend"], "cpu");
    assert!(!manifest["kernel_path"].as_str().unwrap().is_empty());
    let digest = ctrnn_files::digest::blake3(&project.bytes("trials.npz"));
    assert_eq!(manifest["inputs"][0]["blake3"], digest);
    assert!(Path::new(manifest["inputs"][0]["path"].as_str().unwrap()).is_absolute());
    assert!(manifest["git"].get("commit").is_some() && manifest["git"].get("dirty").is_some());
}

#[test]
fn weights_of_another_run_begin_a_new_one() {
    let project = Project::new();
    project.train("first", &["train.steps=5"]).exits(0);
    project
        .train("second", &["train.steps=0", "--init-from", "first"])
        .exits(0);
    assert_eq!(
        project.arrays("first/model/weights.npz"),
        project.arrays("second/model/weights.npz")
    );

    let larger = [
        "train",
        "smoke.toml",
        "--run-dir",
        "third",
        "--init-from",
        "first",
    ];
    project.run(&larger).exits(4).says(&[
        "error[D001]: model.init.file: ",
        "has shape [8]",
        "needs [32]",
        "command line:1:17",
    ]);
    assert!(!project.path("third").exists());
}

/// The target is met at the first validation.
#[test]
fn a_met_target_ends_the_training() {
    let project = Project::new();
    let stop = "train.stop={metric=\"val.loss\",at_most=1000}";
    project
        .train("run", &["train.steps=20", stop])
        .exits(0)
        .says(&["target met"]);
    assert_eq!(project.json("run/model/model.json")["step"], 5);
    assert_eq!(last_step(&project, "run"), 5);
}

/// Nothing is learned at a rate of 1e-30, so that the first validation stays the best one.
#[test]
fn a_run_without_progress_ends() {
    let project = Project::new();
    let arguments = [
        "train.steps=50",
        "train.optimizer.lr=1e-30",
        "train.stop={metric=\"val.loss\",patience=2}",
    ];
    project
        .train("run", &arguments)
        .exits(0)
        .says(&["done, no progress for 2 validations"]);
    assert_eq!(
        last_step(&project, "run"),
        15,
        "validations at 5, 10 and 15"
    );
    assert_eq!(project.json("run/RUN.json")["state"], "done");
    let required = "train.stop={metric=\"val.loss\",patience=2,at_most=1e-30,required=true}";
    let arguments = [arguments[0], arguments[1], required];
    project
        .train("failed", &arguments)
        .exits(3)
        .says(&["error[T"]);
}

/// The rate halves after each validation that is no better than the first.
#[test]
fn a_plateau_lowers_the_learning_rate() {
    let project = Project::new();
    let arguments = [
        "train.steps=20",
        "train.optimizer.lr=1e-30",
        "train.schedule={name=\"plateau\",patience=1}",
    ];
    project.train("run", &arguments).exits(0);
    let rows = project.metrics("run");
    let rates = rows.iter().filter(|row| row["split"] == "train");
    let rates: Vec<f64> = rates.map(|row| row["lr"].parse().unwrap()).collect();
    assert_eq!([rates[0], rates[9]], [1e-30; 2]);
    assert_eq!([rates[10], rates[15]], [5e-31, 2.5e-31]);
}

#[test]
fn a_required_target_that_is_not_met_is_a_failure() {
    let project = Project::new();
    let stop = "train.stop={metric=\"val.loss\",at_most=1e-30,required=true}";
    project
        .train("run", &["train.steps=5", stop])
        .exits(3)
        .says(&["error[T", "help: "]);
    let run = project.json("run/RUN.json");
    assert_eq!(
        (&run["state"], &run["exit_code"]),
        (&json!("failed"), &json!(3))
    );
}

#[test]
fn a_diverging_training_fails() {
    let project = Project::new();
    let diverge = [
        "train.optimizer={name=\"sgd\",lr=1e30}",
        "train.clip_grad_norm=none",
        "train.steps=20",
    ];
    project
        .train("run", &diverge)
        .exits(3)
        .says(&[
            "error[T001]: the readout is not finite at step 2, with a learning rate of 1.25e29; the gradient norm before",
            "tried: going back 3 times, the last time to step 0\n",
            "train.optimizer.lr=1e28 or train.clip_grad_norm=1.0",
        ]);
    assert_eq!(project.json("run/RUN.json")["state"], "failed");
}

#[test]
fn a_dry_run_writes_nothing() {
    let project = Project::new();
    let before = project.tree("");
    project
        .train("run", &["--dry-run", "train.steps=1"])
        .exits(0);
    assert!(project.tree("") == before);
}

#[test]
fn the_run_folder_is_named_after_configuration_and_seed() {
    let project = Project::new();
    project
        .run(&["train", "smoke.toml", "train.steps=0", "--seed", "12"])
        .exits(0);
    assert!(project.path(Path::new("runs").join("smoke-s12")).is_dir());
}

/// One unit, one trial, one time step, no input: every size that may be smallest, in both forms.
#[test]
fn the_smallest_networks_train() {
    let project = Project::new();
    for n_inputs in [0, 1] {
        let inputs = Array::f32(&[2, 1, n_inputs], vec![1.0; 2 * n_inputs]);
        let labels = Array::i64(&[2, 1], vec![0, 1]);
        project.write_arrays("trials.npz", [("inputs", inputs), ("labels", labels)]);
        for form in ["voltage", "rate"] {
            let run = format!("{form}-{n_inputs}");
            let small = [
                "train",
                "smoke.toml",
                "--run-dir",
                &run,
                "task.npz.files=[\"trials.npz\"]",
                "model.n_units=1",
                "train.batch_size=1",
                "train.steps=2",
                NOISE,
                &format!("model.form={form}"),
            ];
            project.run(&small).exits(0);
            assert_eq!(
                project.arrays(&format!("{run}/model/weights.npz"))["input.weight"].shape(),
                [1, n_inputs]
            );
            project.run(&["eval", &run]).exits(0);
            project
                .run(&["simulate", &run, "--noise", "-o", "states.npz", "--force"])
                .exits(0);
            assert_eq!(
                project.arrays("states.npz")["inputs"].shape()[1..],
                [1, n_inputs]
            );
        }
    }
}
