//! Programs that a configuration names: started only for trials and only with consent, out of reach of signals, and gone when
//! we are.

#![cfg(unix)]

use std::fs;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use ctrnn_files::{Array, RunJson, RunState};

use crate::project::{Answer, Project, TINY, is_ignored};

/// Makes trials of 3 inputs and 2 outputs, as `go_nogo` has them, out of files, and leaves a mark that it was started.
const GENERATOR: &str = r#"
: > "$(dirname "$0")/mark"
echo $$ > "$(dirname "$0")/pid"
key() { echo "$question" | sed "s/.*\"$1\":\([0-9]*\).*/\1/"; }
while read -r question; do
    case $question in
    *hello*) echo "{\"id\": $(key id), \"inputs\": [\"a\", \"b\", \"c\"], \"outputs\": [\"left\", \"right\"]}" ;;
    *)
        batch="$(dirname "$0")/batch-$(key n_trials).npz"
        echo "{\"id\": $(key id), \"bytes\": $(wc -c < "$batch")}"
        cat "$batch"
        ;;
    esac
done
"#;

/// A project with a configuration `command.toml`, whose program is `generator.sh`, and nothing agreed to.
fn project() -> Project {
    let project = Project::new();
    project.write("generator.sh", GENERATOR);
    project.write(
        "command.toml",
        "version = 1\n[task.command]\ncommand = [\"sh\"]\nscript = \"generator.sh\"\n[train]\nsteps = 5\n",
    );
    for n in [1, 3, 4, 64] {
        let (steps, zeros) = (20, |width: usize| vec![0.5; n * 20 * width]);
        project.write_arrays(
            &format!("batch-{n}.npz"),
            [
                ("inputs", Array::f32(&[n, steps, 3], zeros(3))),
                ("targets", Array::f32(&[n, steps, 2], zeros(2))),
            ],
        );
    }
    let inputs = Array::f32(&[1, 20, 3], vec![0.5; 60]);
    project.write_arrays("inputs.npz", [("inputs", inputs)]);
    project
}

/// The arguments that train `command.toml`, made tiny.
fn training<'a>(run: &'a str, arguments: &[&'a str]) -> Vec<&'a str> {
    let train = ["train", "command.toml", "--run-dir", run];
    [&train, &TINY[..], arguments].concat()
}

/// A stranger's work, seen by a user who has agreed to nothing: the run `run`, trained elsewhere, and its exported weights.
fn strangers_work() -> Project {
    let project = project();
    project.run(&training("run", &[])).exits(0);
    for (format, name) in [("npz", "evil.npz"), ("safetensors", "evil.safetensors")] {
        project
            .run(&["export", "run", "--to", format, "-o", name])
            .exits(0);
    }
    fs::remove_dir_all(project.home().join(".local")).expect("what was agreed to");
    fs::remove_file(project.path("mark")).expect("the mark of the training");
    project
}

impl Project {
    #[track_caller]
    fn assert_nothing_started(&self, arguments: &[&str]) {
        assert!(
            !self.path("mark").exists(),
            "{arguments:?} started the program"
        );
    }
}

/// Commands that need no trials.
const WITHOUT_TRIALS: &[&[&str]] = &[
    &["import", "evil.npz", "--from", "npz", "-o", "imported"],
    &["config", "show", "run"],
    &["config", "show", "run", "model.tau_ms=50"],
    &["config", "show", "imported"],
    &["config", "show", "command.toml"],
    &["config", "diff", "run", "command.toml"],
    &["config", "diff", "command.toml", "imported"],
    &["config", "explain", "task.command.command"],
    &["config", "schema"],
    &["export", "run", "--to", "npz", "-o", "a.npz"],
    &[
        "export",
        "run",
        "--to",
        "safetensors",
        "-o",
        "a.safetensors",
    ],
    &["export", "run", "--to", "torch", "-o", "a_torch"],
    &["export", "imported", "--to", "npz", "-o", "b.npz"],
    &["report", "run", "-o", "a.html"],
    &["report", "imported", "-o", "b.html"],
    &["ckpt", "list", "run"],
    &["ckpt", "verify", "run"],
    &["ckpt", "show", "run"],
    &["ckpt", "prune", "run"],
    &["check", "command.toml", "--no-trials"],
    &["check", "run/config.resolved.toml", "--no-trials"],
    &[
        "simulate",
        "run",
        "--inputs",
        "inputs.npz",
        "-o",
        "given.npz",
    ],
    &["tasks", "list"],
    &["tasks", "describe", "command"],
    &["info"],
    &[
        "train",
        "smoke.toml",
        "--run-dir",
        "own",
        "model.n_units=8",
        "train.steps=1",
        "train.batch_size=2",
        "model.init.file=evil.safetensors",
    ],
    &[
        "train",
        "smoke.toml",
        "--run-dir",
        "from",
        "model.n_units=8",
        "train.steps=1",
        "train.batch_size=2",
        "--init-from",
        "run",
    ],
    &[
        "analyze",
        "own",
        "comparison",
        "--with",
        "run",
        "--trials",
        "8",
    ],
];

/// Commands that need trials.
const WITH_TRIALS: &[&[&str]] = &[
    &[
        "check",
        "command.toml",
        "train.batch_size=4",
        "validate.trials=4",
        "model.n_units=8",
    ],
    &["train", "command.toml", "--dry-run"],
    &["eval", "run"],
    &["simulate", "run", "--trials", "4", "-o", "states.npz"],
    &["simulate", "imported", "--trials", "4", "-o", "states2.npz"],
    &["analyze", "run", "pca", "--trials", "4"],
    &["plot", "run", "rates", "--trials", "4", "-o", "rates.svg"],
    &["resume", "run", "train.steps=6"],
    &[
        "tasks",
        "preview",
        "command",
        "task.command.command=[\"sh\"]",
        "task.command.script=generator.sh",
        "-o",
        "trials.svg",
    ],
    &[
        "tasks",
        "export",
        "command",
        "task.command.command=[\"sh\"]",
        "task.command.script=generator.sh",
        "--trials",
        "4",
        "-o",
        "trials.npz",
    ],
];

#[test]
fn a_program_is_started_for_trials_alone_and_with_consent() {
    let project = strangers_work();
    for arguments in WITHOUT_TRIALS {
        let answer = project.run(arguments);
        project.assert_nothing_started(arguments);
        answer.exits(0);
    }
    let noted = "this program makes: sh /";
    project
        .run(&["report", "run", "-o", "d.html"])
        .says(&[noted]);
    let report = project.text("a.html");
    assert!(report.contains("Learning curves") && report.contains("Connectivity"));
    assert!(
        report.contains("pca: needs trials, which a program makes that is not started here: sh ")
    );
    for arguments in WITH_TRIALS {
        let answer = project.run(arguments);
        project.assert_nothing_started(arguments);
        answer.exits(4).says(&[
            "error[D006]: task.command.command: the configuration names a program that you have not agreed to start:\n    sh /",
            "/generator.sh",
            "repeat the command with --trust",
        ]);
    }
    let asked: Vec<&[&str]> = WITH_TRIALS
        .iter()
        .copied()
        .chain([&["report", "run"][..]])
        .collect();
    for arguments in asked {
        let is_report = arguments[0] == "report";
        let trusting = [
            arguments,
            if is_report {
                &["--trust", "--trials", "4"]
            } else {
                &["--trust"]
            },
        ]
        .concat();
        project.run(&trusting).exits(0);
        fs::remove_file(project.path("mark")).expect("a mark of the program");
    }
    // What was agreed to once is remembered.
    project.run(&["eval", "run"]).exits(0);
    fs::remove_file(project.path("mark")).expect("a mark of the program");
    project.run(&["report", "run", "-o", "c.html"]).exits(0);
    project.assert_nothing_started(&["report"]);
}

/// Somebody else's program is on somebody else's machine.
#[test]
fn what_needs_no_trials_needs_no_program() {
    let project = strangers_work();
    fs::remove_file(project.path("generator.sh")).unwrap();
    for arguments in [
        &["import", "evil.npz", "--from", "npz", "-o", "imported"][..],
        &["config", "show", "run"],
        &["config", "show", "command.toml"],
        &["export", "run", "--to", "torch", "-o", "a_torch"],
        &["report", "run"],
        &["report", "imported"],
        &["check", "command.toml", "--no-trials"],
        &[
            "simulate",
            "run",
            "--inputs",
            "inputs.npz",
            "-o",
            "given.npz",
        ],
    ] {
        project.run(arguments).exits(0);
    }
}

/// A run of an earlier version does not say which inputs and outputs its task has; its network does.
#[test]
fn runs_of_earlier_versions_start_nothing_either() {
    let project = strangers_work();
    let mut manifest = project.json("run/manifest.json");
    manifest
        .as_object_mut()
        .unwrap()
        .remove("channels")
        .expect("inputs and outputs");
    project.write("run/manifest.json", manifest.to_string());
    for arguments in [
        &["config", "show", "run"][..],
        &["export", "run", "--to", "npz", "-o", "old.npz"],
        &["report", "run"],
    ] {
        project.run(arguments).exits(0);
        project.assert_nothing_started(arguments);
    }
    fs::remove_file(project.path("run/model/model.json")).unwrap();
    project
        .run(&["config", "show", "run"])
        .exits(0)
        .says(&["note: what follows from the task's inputs and outputs is not shown"]);
    let export = ["export", "run", "--to", "npz", "-o", "older.npz"];
    project.run(&export).exits(4).says(&[
        "error[D006]",
        "only this program knows the inputs and outputs of the task",
    ]);
    project.assert_nothing_started(&export);
    project
        .run(&["resume", "run", "train.steps=6", "--trust"])
        .exits(0);
    assert_eq!(
        project.json("run/manifest.json")["channels"]["inputs"][2],
        "c"
    );
}

#[test]
fn training_agrees_until_the_program_changes() {
    let project = project();
    project.run(&training("run", &[])).exits(0);
    let elsewhere = |project: &Project| -> Answer {
        let run = project.path("run");
        let mut command = project.command(&["eval", run.to_str().unwrap()]);
        command.current_dir(project.home());
        command.output().unwrap().into()
    };
    elsewhere(&project).exits(0);
    project.write("generator.sh", format!("{GENERATOR}\n: another program"));
    fs::remove_file(project.path("mark")).unwrap();
    project.run(&["eval", "run", "--data-root", "."]).exits(4);
    elsewhere(&project).exits(4);
    project.assert_nothing_started(&["eval"]);
}

/// `-m trials` is another program in another folder.
#[test]
fn consent_to_relative_words_holds_in_their_folder() {
    let project = project();
    let words = "task.command.arguments=[\"-x\"]";
    project.run(&training("run", &[words])).exits(0);
    project.run(&["eval", "run"]).exits(0);
    let run = project.path("run");
    let mut command = project.command(&["eval", run.to_str().unwrap()]);
    let answer: Answer = command.current_dir(project.home()).output().unwrap().into();
    answer.exits(4).says(&["generator.sh -x\n    in /"]);
}

#[test]
fn a_home_that_cannot_be_written_is_a_note() {
    let project = project();
    let train = |run: &str, home: &str| -> Answer {
        let mut command = project.command(&training(run, &[]));
        command.env("HOME", home).env("XDG_STATE_HOME", "state");
        command.output().unwrap().into()
    };
    let note = ["so other commands will require --trust"];
    train("a", "/dev/null").exits(0).says(&note);
    train("b", "relative").exits(0).says(&note);
    assert!(
        !project.path("state").exists(),
        "a relative folder is not the user's"
    );
    project.run(&["eval", "a"]).exits(4);
}

#[test]
fn what_a_terminal_would_obey_is_not_shown() {
    let project = project();
    let odd = "version = 1\n[task.command]\ncommand = [\"\\u001b[2Jtouch\", \"mark\"]\n";
    project.write("odd.toml", odd);
    for arguments in [
        &["check", "odd.toml"][..],
        &["check", "odd.toml", "--no-trials"],
    ] {
        let answer = project.run(arguments);
        assert!(!answer.stderr.contains('\u{1b}'), "{answer:?}");
        project.assert_nothing_started(arguments);
    }
}

/// Starts a training in a process group of its own, as a shell does.
fn start(project: &Project, arguments: &[&str]) -> Child {
    let mut command = project.command(arguments);
    command
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    command.spawn().unwrap()
}

fn wait_for(path: PathBuf) {
    let began = Instant::now();
    while !path.exists() {
        assert!(
            began.elapsed() < Duration::from_secs(60),
            "{}",
            path.display()
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[track_caller]
fn assert_stopped(project: &Project, run: &str, child: Child) {
    let answer: Answer = child.wait_with_output().unwrap().into();
    answer.exits(75);
    let json = project.json(format!("{run}/RUN.json"));
    assert_eq!(json["state"], "stopped", "{json}");
    let reached = project.text(format!("{run}/checkpoints/last"));
    project
        .run(&["resume", run, "train.steps=1"])
        .exits(2)
        .says(&["has made "]);
    assert!(!reached.trim().is_empty());
}

fn kill(signal: &str, targets: &[String]) {
    let status = Command::new("kill")
        .args(["-s", signal, "--"])
        .args(targets)
        .status();
    assert!(status.unwrap().success());
}

/// Ctrl-C, TERM and a terminal that closes reach the whole group: the program that makes the trials must not be in it.
#[test]
fn signals_of_the_terminal_stop_and_save() {
    let project = project();
    for threads in ["1", "2"] {
        for signal in ["INT", "TERM", "HUP"] {
            if is_ignored(signal) {
                continue;
            }
            let run = format!("{signal}{threads}");
            let child = start(
                &project,
                &training(&run, &["train.steps=1000000", "--threads", threads]),
            );
            wait_for(project.path(format!("{run}/checkpoints/last")));
            kill(signal, &[format!("-{}", child.id())]);
            assert_stopped(&project, &run, child);
        }
    }
}

/// A batch system may signal every process of a job, whatever its group.
#[test]
fn a_signal_to_every_process_stops_and_saves() {
    let project = project();
    let child = start(
        &project,
        &training("run", &["train.steps=1000000", "--threads", "1"]),
    );
    wait_for(project.path("run/checkpoints/last"));
    let generator = project.text("pid").trim().to_owned();
    kill("TERM", &[generator, child.id().to_string()]);
    assert_stopped(&project, "run", child);
}

/// The program does not answer; what was trained is saved long before its time is over.
#[test]
fn a_stop_is_noticed_while_an_answer_is_awaited() {
    let project = project();
    let hangs = "    *'\"step\":9'*) : > waits; sleep 600 ;;\n    *)\n";
    project.write("generator.sh", GENERATOR.replace("    *)\n", hangs));
    for threads in ["1", "2"] {
        let run = format!("run{threads}");
        let patient = "task.command.timeout_ms=1000000";
        let overrides = ["train.steps=20", patient, "--threads", threads];
        let child = start(&project, &training(&run, &overrides));
        wait_for(project.path("waits"));
        kill("TERM", &[child.id().to_string()]);
        assert_stopped(&project, &run, child);
        let last = fs::read_to_string(project.path(format!("{run}/checkpoints/last"))).unwrap();
        assert!(last.trim().ends_with('9'), "{last}");
        fs::remove_file(project.path("waits")).unwrap();
    }
}

#[test]
fn a_program_that_hangs_does_not_survive_a_kill() {
    let project = project();
    let hanging = "mkfifo \"$0.pipe\"\nexec 3> \"$0.pipe\"\nread -r question\n\
         echo '{\"id\": 1, \"inputs\": [\"a\"], \"outputs\": [\"b\"]}'\nsleep 600\n";
    project.write("generator.sh", hanging);
    let mut child = start(&project, &training("run", &[]));
    wait_for(project.path("generator.sh.pipe"));
    let mut pipe = fs::File::open(project.path("generator.sh.pipe")).unwrap(); // once it is open at the other end, too
    child.kill().unwrap();
    child.wait().unwrap();
    let (ended, end) = mpsc::channel();
    std::thread::spawn(move || ended.send(pipe.read(&mut [0])));
    let read = end.recv_timeout(Duration::from_secs(30));
    assert_eq!(
        read.expect("the pipe is not closed; expected the program to have ended")
            .unwrap(),
        0
    );
}

/// What was trained before a program failed is kept, and `resume` goes on from there.
#[test]
fn a_program_that_fails_loses_no_step() {
    let project = project();
    let fails = GENERATOR.replace("    *)\n", "    *'\"step\":9'*) exit 1 ;;\n    *)\n");
    project.write("generator.sh", fails);
    let often = ["train.steps=20", "--threads", "1"];
    project.run(&training("run", &often)).exits(4);
    let state = RunJson::load(&project.path("run/RUN.json")).unwrap();
    assert_eq!(state.state, RunState::Failed);
    let last = fs::read_to_string(project.path("run/checkpoints/last")).unwrap();
    assert!(
        last.trim().ends_with("00000009") || last.trim() == "9",
        "{last}"
    );
}

/// A stop is noticed while an answer is waited for: the steps that were made are saved.
#[test]
fn a_stop_does_not_wait_for_the_generator() {
    let project = project();
    // The batch of the fourth step never comes.
    let stuck = "    *'\"step\":3'*) sleep 600 ;;\n    *hello*)";
    let generator = GENERATOR.replacen("    *hello*)", stuck, 1);
    assert_ne!(generator, GENERATOR);
    project.write("generator.sh", generator);
    let begun = Instant::now();
    let limits = ["train.steps=50", "--max-time", "2s", "--threads", "1"];
    let answer = project.run(&training("run", &limits)).exits(75);
    assert!(begun.elapsed() < Duration::from_secs(40), "{answer:?}"); // the answer may take 60
    assert!(answer.stderr.contains("3 steps"), "{answer:?}");
}

/// A program that is named as a word of the command is part of the run, as a script is.
#[test]
fn a_program_in_the_command_belongs_to_the_run() {
    let project = project();
    let command = "task.command={command=[\"sh\",\"generator.sh\"]}";
    let train = training("run", &[command, "--resume=auto"]);
    project.run(&train).exits(0);
    project.write("generator.sh", format!("{GENERATOR}# another one\n"));
    project
        .run(&train)
        .exits(4)
        .says(&["generator.sh: is not the file that this run was trained on"]);
}

/// Two channels of one name could not be told apart.
#[test]
fn channels_have_names_of_their_own() {
    let project = project();
    let twice = GENERATOR.replace("\\\"b\\\"", "\\\"a\\\"");
    assert_ne!(twice, GENERATOR);
    project.write("generator.sh", twice);
    let refused = project.run(&training("run", &[])).exits(4);
    refused.says(&["names the input \"a\" twice"]);
}
