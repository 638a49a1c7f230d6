//! Sweeps: trials, identity, the pool under kills, tables.

#![cfg(unix)]

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use ctrnn_files::{Holder, RunFolder, RunJson, RunLock, RunState};

use crate::project::{Answer, Project};

/// A project with a small base configuration, whose trials last a few hundredths of a second.
fn project() -> Project {
    let project = Project::new();
    project.write(
        "base.toml",
        "version = 1\n[task.go_nogo]\n[model]\nn_units = 8\nnoise.preactivation = 0.1\n\
         [train]\nsteps = 40\nbatch_size = 4\nlog_every = 5\n\
         [validate]\ntrials = 4\nevery_steps = 10\n[checkpoint]\nevery_steps = 10\n",
    );
    project
}

/// Three learning rates, three seeds and two sizes: the sweep of a newcomer.
const NEWCOMER: &str = "base = \"base.toml\"\nseeds = 3\n[grid]\n\
    train.optimizer.lr = [1e-3, 3e-3, 1e-2]\nmodel.n_units = [8, 12]\n";

/// Returns the names of the trials of a sweep that have begun.
fn begun(project: &Project, folder: &str) -> Vec<String> {
    let entries = fs::read_dir(project.path(folder)).into_iter().flatten();
    let paths = entries.map(|entry| entry.unwrap().path());
    let runs = paths.filter(|path| path.join("RUN.json").is_file());
    runs.map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
        .collect()
}

/// Returns, by trial, what is the same to the bit in two equal sweeps: the network, the final metrics and the log without its times.
fn outcome(project: &Project, folder: &str) -> BTreeMap<String, Vec<Vec<u8>>> {
    let of = |trial: String| {
        let read = |name: &str| project.bytes(format!("{folder}/{trial}/{name}"));
        let metrics = String::from_utf8(read("metrics.csv")).unwrap();
        let metrics = metrics.lines().map(|row| {
            let mut fields: Vec<&str> = row.split(',').collect();
            fields.remove(1); // wall_s
            fields.join(",")
        });
        let metrics = metrics.collect::<Vec<_>>().join("\n").into_bytes();
        let files = vec![
            read("model/weights.safetensors"),
            read("result.json"),
            metrics,
        ];
        (trial, files)
    };
    begun(project, folder).into_iter().map(of).collect()
}

/// Asserts that every run of a sweep ended once.
#[track_caller]
fn each_is_done_once(project: &Project, folder: &str, n: usize) {
    let names = outcome(project, folder).into_keys().collect::<Vec<_>>();
    assert_eq!(names.len(), n);
    for name in names {
        let events = project.text(format!("{folder}/{name}/events.jsonl"));
        let ends = events.matches("\"event\":\"done\"").count();
        // A trial may end between the look of a driver at its folder and the start of its own process, which then finds nothing to do.
        let last = project.text(format!("{folder}/{name}/checkpoints/last"));
        let last: u64 = last.trim().trim_start_matches("step-").parse().unwrap();
        let idle = events.matches(&format!("\"from_step\":{last},")).count();
        assert_eq!(ends - idle, 1, "{name}: {events}");
    }
}

#[test]
fn a_newcomer_needs_two_commands() {
    let project = project();
    project.write("lr.toml", NEWCOMER);
    project
        .run(&["sweep", "run", "lr.toml", "--jobs", "2"])
        .exits(0);
    let table = project
        .run(&["sweep", "collect", "lr.toml", "-o", "lr.csv"])
        .exits(0);
    assert_eq!(table.stdout.lines().count(), 7, "{table:#?}");
    assert!(table.stdout.contains("3/3"), "{table:#?}");
    let csv = project.text("lr.csv");
    let head = "trial,state,train.optimizer.lr,model.n_units,seed,metric,best,best_step,steps,val_loss,val_accuracy,";
    assert!(csv.starts_with(head), "{csv}");
    assert_eq!(csv.lines().filter(|row| row.contains(",done,")).count(), 18);
    project
        .run(&["sweep", "collect", "lr.toml", "--means", "-o", "means.csv"])
        .exits(0);
    assert_eq!(project.text("means.csv").lines().count(), 7);

    let page = ["sweep", "report", "lr.toml", "-o", "lr.html"];
    project.run(&page).exits(0);
    let page = project.text("lr.html");
    for part in ["<!DOCTYPE html>", "<svg", "train.optimizer.lr", "0.003"] {
        assert!(page.contains(part), "{part}");
    }
    let links = page.matches("http:").count() + page.matches("https:").count();
    let names = page.matches("http://www.w3.org/2000/svg").count();
    assert_eq!(links, names, "nothing is loaded from elsewhere");

    // Every run is what training it alone gives.
    let alone = [
        "train",
        "base.toml",
        "train.optimizer.lr=0.003",
        "model.n_units=12",
        "--seed=2",
        "--run-dir=alone",
    ];
    project.run(&alone).exits(0);
    let row = csv
        .lines()
        .find(|row| row.contains(",done,0.003,12,2,"))
        .unwrap();
    let name = row.split(',').next().unwrap();
    let weights =
        |run: &str| fs::read(project.path(format!("{run}/model/weights.safetensors"))).unwrap();
    assert_eq!(weights("alone"), weights(&format!("sweeps/lr/{name}")));
    assert_eq!(
        project.text("alone/result.json"),
        project.text(format!("sweeps/lr/{name}/result.json"))
    );
}

/// The total is the sum over trials; on several processes it is a share, or the longest trial.
#[test]
fn a_check_gives_the_cost_of_each_trial() {
    let project = project();
    project.write("lr.toml", NEWCOMER);
    let check = ["sweep", "check", "lr.toml", "--jobs", "4", "--json"];
    let cost = project.run(&check).exits(0).json();
    let number = |value: &serde_json::Value| value.as_f64().unwrap();
    let trials = cost["trials"].as_array().unwrap();
    let seconds: Vec<f64> = trials.iter().map(|own| number(&own["seconds"])).collect();
    assert_eq!(seconds.len(), 18);
    assert!(seconds.iter().all(|&s| s > 0.0), "{cost}");
    let total: f64 = seconds.iter().sum();
    assert!((number(&cost["total_s"]) / total - 1.0).abs() < 1e-9);
    let longest = seconds.iter().copied().fold(0.0, f64::max);
    let expected = (total / 4.0).max(longest);
    assert!((number(&cost["on_jobs_s"]) / expected - 1.0).abs() < 1e-9);
    assert!(!project.path("sweeps").exists(), "nothing is written");
    let text = project.run(&["sweep", "check", "lr.toml"]).exits(0).stdout;
    assert!(text.contains("18 trials into sweeps/lr"), "{text}");
}

#[test]
fn values_that_are_added_run_alone_and_another_base_is_refused() {
    let project = project();
    project.write(
        "s.toml",
        "base = \"base.toml\"\nseeds = 2\n[grid]\nmodel.n_units = [4, 8]\n",
    );
    project.run(&["sweep", "run", "s.toml"]).exits(0);
    let first = outcome(&project, "sweeps/s");
    assert_eq!(first.len(), 4);
    project.write(
        "s.toml",
        "base = \"base.toml\"\nseeds = 3\n[grid]\nmodel.n_units = [4, 8, 6]\n",
    );
    let dry = project
        .run(&["sweep", "status", "s.toml", "--json"])
        .exits(0)
        .json();
    assert_eq!(dry["counts"]["done"], 4);
    assert_eq!(dry["counts"]["waiting"], 5);
    project.run(&["sweep", "run", "s.toml"]).exits(0);
    let second = outcome(&project, "sweeps/s");
    assert_eq!(second.len(), 9);
    assert!(first.iter().all(|(name, files)| second[name] == *files));
    each_is_done_once(&project, "sweeps/s", 9);

    // Comments are no change; values are.
    let base = project.text("base.toml");
    project.write("base.toml", format!("# a comment\n{base}"));
    project.run(&["sweep", "run", "s.toml"]).exits(0);
    project.write(
        "base.toml",
        base.replace("batch_size = 4", "batch_size = 5"),
    );
    project
        .run(&["sweep", "run", "s.toml"])
        .exits(2)
        .says(&["base.toml has other values", "--new-base"]);
    assert_eq!(outcome(&project, "sweeps/s"), second);
    project
        .run(&["sweep", "run", "s.toml", "--new-base"])
        .exits(0);
    assert_eq!(outcome(&project, "sweeps/s").len(), 18);
}

#[test]
fn mistakes_are_shown_where_they_are() {
    let project = project();
    let refused = |text: &str, parts: &[&str]| {
        project.write("s.toml", text);
        project
            .run(&["sweep", "check", "s.toml"])
            .exits(2)
            .says(parts);
        assert!(!project.path("sweeps").exists());
    };
    refused(
        "seeds = 3\n",
        &["no base configuration", "base = \"my.toml\""],
    );
    refused(
        "base = \"none.toml\"\n",
        &["there is no such file", "s.toml:1:8"],
    );
    let base = |rest: &str| format!("base = \"base.toml\"\n{rest}");
    refused(
        &base("seed = 3\n"),
        &["unknown key seed", "s.toml:2:1", "`seeds`"],
    );
    refused(
        &base("[grid]\nmodel.n_unit = [4]\n"),
        &["s.toml:3", "n_units"],
    );
    refused(&base("[grid]\nmodel.n_units = [4, -1]\n"), &["s.toml:3:21"]);
    refused(
        &base("[grid]\nmodel.n_units = 4\n"),
        &["not a list", "s.toml:3:17"],
    );
    refused(
        &base("seeds = 2\n[grid]\nseed = [1, 2]\n"),
        &["seed is set twice", "s.toml:4:1"],
    );
    refused(
        &base("[random]\nn = 3\ntrain.optimizer.lr = { log_uniform = [0, 1] }\n"),
        &["not a distribution", "s.toml:4"],
    );
    refused(
        &base("seeds = 1000\n[random]\nn = 1000\n"),
        &["more than 100000 trials"],
    );
    refused(
        &base("metric = \"accuracy\"\n"),
        &["not a metric", "val.accuracy"],
    );
    refused(&base("[grid\n"), &["not TOML", "s.toml:2"]);
    let deep = ["a"; 50].join(".");
    refused(
        &base(&format!("[grid]\n{deep} = [1]\n")),
        &["more than 32 tables", "s.toml:3"],
    );
}

#[test]
fn a_failure_stops_no_other_trial() {
    let project = project();
    project.write(
        "s.toml",
        "base = \"base.toml\"\n[grid]\ntrain.optimizer.lr = [1e-3, 1e30]\n",
    );
    let ended = project.run(&["sweep", "run", "s.toml"]).exits(3);
    let ended = ended.says(&["1 done, 1 failed", "repeat: train-ctrnn resume sweeps/s/"]);
    drop(ended);
    project
        .run(&["sweep", "collect", "s.toml", "-o", "t.csv"])
        .exits(0);
    let table = project.text("t.csv");
    assert!(table.contains(",failed,1"), "{table}");
    // Its training would fail in the same way, so it is listed only.
    project
        .run(&["sweep", "run", "s.toml"])
        .exits(3)
        .says(&["1 done, 1 failed"]);
}

/// Kills the driver whenever a further part of the trials has begun, a few milliseconds later each time: in the middle of trials, at their
/// ends and beginnings. Nothing depends on which.
fn kills(n_kills: usize, n_seeds: usize) {
    let project = project();
    let text = format!("base = \"base.toml\"\nseeds = {n_seeds}\n[grid]\nmodel.n_units = [6, 8]\n");
    for name in ["whole.toml", "killed.toml"] {
        project.write(name, &text);
    }
    project.run(&["sweep", "run", "whole.toml"]).exits(0);
    let (n_trials, mut n_killed) = (2 * n_seeds, 0);
    for k in 0..n_kills {
        let mut command = project.command(&["sweep", "run", "killed.toml", "--jobs", "2"]);
        let mut driver = command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        while begun(&project, "sweeps/killed").len() < (k + 1) * n_trials / (n_kills + 1)
            && driver.try_wait().unwrap().is_none()
        {
            thread::sleep(Duration::from_millis(5));
        }
        thread::sleep(Duration::from_millis((97 * k % 130) as u64));
        driver.kill().unwrap();
        n_killed += usize::from(!driver.wait().unwrap().success());
    }
    assert!(n_killed > n_kills / 2, "{n_killed}");
    project.run(&["sweep", "run", "killed.toml"]).exits(0);
    each_is_done_once(&project, "sweeps/killed", n_trials);
    assert_eq!(
        outcome(&project, "sweeps/killed"),
        outcome(&project, "sweeps/whole")
    );
}

#[test]
fn a_driver_that_is_killed_loses_nothing() {
    kills(4, 8);
}

#[test]
#[ignore = "minutes: 200 trainings"]
fn a_driver_that_is_killed_twenty_times_loses_nothing() {
    kills(20, 50);
}

/// Two drivers at once share the trials, and trials that are killed are continued.
#[test]
fn children_that_are_killed_are_continued() {
    let project = project();
    let text = "base = \"base.toml\"\nseeds = 4\n[grid]\ntrain.steps = [300]\n";
    for name in ["whole.toml", "killed.toml"] {
        project.write(name, text);
    }
    project.run(&["sweep", "run", "whole.toml"]).exits(0);
    let start = || {
        let mut command = project.command(&[
            "sweep",
            "run",
            "killed.toml",
            "--jobs",
            "2",
            "--retries",
            "1000",
        ]);
        command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    };
    let mut drivers = [start(), start()];
    let running = || -> Option<u32> {
        let entries = fs::read_dir(project.path("sweeps/killed")).ok()?;
        let mut folders = entries.filter_map(|entry| Some(RunFolder::at(entry.ok()?.path())));
        folders.find_map(|folder| {
            let json = RunJson::load(&folder.run_json()).ok()?;
            (json.state == RunState::Running && folder.is_in_use()).then_some(json.pid)
        })
    };
    let mut n_killed = 0;
    while drivers
        .iter_mut()
        .any(|driver| driver.try_wait().unwrap().is_none())
    {
        thread::sleep(Duration::from_millis(40));
        if let Some(pid) = running().filter(|_| n_killed < 5) {
            let killed = Command::new("kill").args(["-9", &pid.to_string()]).status();
            n_killed += u32::from(killed.unwrap().success());
        }
    }
    for mut driver in drivers {
        assert!(driver.wait().unwrap().success());
    }
    assert!(n_killed > 0);
    assert_eq!(
        outcome(&project, "sweeps/killed"),
        outcome(&project, "sweeps/whole")
    );
}

/// An engine takes exit code 0 for done, so a task waits for a trial that another process trains, and continues it if that process ends early.
#[test]
fn a_task_waits_for_a_trial_that_another_process_trains() {
    let project = project();
    project.write("s.toml", "base = \"base.toml\"\nseeds = [1]\n");
    let mut killed = project.command(&["sweep", "run-task", "s.toml", "1", "--retries", "2"]);
    killed.env("CTRNN_FAIL_POINT", "staged@step-00000020");
    let killed = Answer::from(killed.output().expect("the program starts"));
    let killed = killed.exits(3).says(&["0 done, 1 failed"]);
    let name = begun(&project, "sweeps/s").pop().expect("a trial");
    let repeat = format!("repeat: train-ctrnn resume sweeps/s/{name}");
    killed.says(&["its process was killed", &repeat]);
    let log = project.text(format!("sweeps/s/logs/{name}.log"));
    assert_eq!(log.matches("$ train-ctrnn ").count(), 3, "{log}");

    let run = project.path(format!("sweeps/s/{name}"));
    let other = RunLock::acquire(&run, &Holder::this_process("2026-01-01T00:00:00Z")).unwrap();
    let mut task = project.command(&["sweep", "run-task", "s.toml", "1"]);
    let mut task = task.stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(task.stderr.take().unwrap()).lines();
    let waits = |line: &String| line.contains("another process trains it; waiting for its end");
    assert!(lines.any(|line| waits(&line.unwrap())));
    assert!(task.try_wait().unwrap().is_none());
    drop(other);
    let rest: Vec<String> = lines.map(Result::unwrap).collect();
    assert!(task.wait().unwrap().success(), "{rest:?}");
    assert!(rest.iter().any(|line| line.starts_with("1 done, 0 failed")));
    each_is_done_once(&project, "sweeps/s", 1);
}

/// One TERM, or the USR2 of Slurm's time limits, stops the driver and its children, which save; the same command goes on.
#[test]
fn a_sweep_that_is_stopped_goes_on_later() {
    let project = project();
    project.write(
        "s.toml",
        "base = \"base.toml\"\nseeds = 2\n[grid]\ntrain.steps = [1000000]\n",
    );
    let states = || -> Vec<String> {
        let status = project
            .run(&["sweep", "status", "s.toml", "--json"])
            .exits(0)
            .json();
        let trials = status["trials"].as_array().unwrap().clone();
        trials
            .iter()
            .map(|trial| trial["state"].as_str().unwrap().to_owned())
            .collect()
    };
    let start = || {
        let mut command = project.command(&["sweep", "run", "s.toml", "--jobs", "2"]);
        let quiet = command.stdout(Stdio::null()).stderr(Stdio::null());
        let driver = quiet.spawn().unwrap();
        while states() != ["running", "running"] {
            thread::sleep(Duration::from_millis(20));
        }
        driver
    };
    for signal in ["TERM", "USR2"] {
        let mut driver = start();
        let id = driver.id().to_string();
        Command::new("kill")
            .args(["-s", signal, &id])
            .status()
            .unwrap();
        assert_eq!(driver.wait().unwrap().code(), Some(75), "{signal}");
        assert_eq!(states(), ["stopped", "stopped"], "{signal}");
    }

    let mut driver = start();
    project.run(&["sweep", "cancel", "s.toml"]).exits(0);
    assert_eq!(driver.wait().unwrap().code(), Some(75));
    assert_eq!(states(), ["stopped", "stopped"]);
}

/// A job script runs without Slurm, too: each task of the array has its part of the missing trials, and asks to be requeued at its time limit.
#[test]
fn a_job_script_runs_the_missing_trials() {
    let project = project();
    let submit = |file: &str| {
        let words = ["sweep", "submit", file, "--slurm", "--dry-run", "--json"];
        let packed = ["--pack=2", "--cpus=2", "--at-once=5"];
        let options = ["--", "--account=lab", "--time=1:00:00"];
        let answer = project.run(&[&words[..], &packed, &options].concat());
        let answer = answer.exits(0).json();
        answer["wrote"].as_str().map(str::to_owned)
    };
    project.write("scontrol", "#!/bin/sh\necho \"$@\" > requeued\nexit 1\n"); // refuses, so that the script ends at once
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(project.path("scontrol"), executable).unwrap();
    let task = |script: &str, number: &str| {
        let mut command = Command::new("bash");
        let path = std::env::var("PATH").unwrap();
        command.env("PATH", format!("{}:{path}", project.path("").display()));
        command.env("SLURM_ARRAY_JOB_ID", "7");
        command.env("SLURM_ARRAY_TASK_ID", number);
        command.env("HOME", project.home()).arg(script);
        command.current_dir(project.path("")).stderr(Stdio::null());
        command.spawn().unwrap()
    };

    project.write("s.toml", "base = \"base.toml\"\nseeds = 3\n");
    let script = submit("s.toml").expect("a script");
    let text = project.text(&script);
    for line in [
        "#SBATCH --array=1-2%5",
        "#SBATCH --cpus-per-task=2",
        "#SBATCH --requeue",
        "#SBATCH --account=lab\n#SBATCH --time=1:00:00",
    ] {
        assert!(text.contains(line), "{line} is not in {text}");
    }
    assert!(task(&script, "2").wait().unwrap().success());
    each_is_done_once(&project, "sweeps/s", 1);
    let script = submit("s.toml").expect("a script");
    assert!(project.text(&script).contains("--array=1-1%5"));
    assert!(task(&script, "1").wait().unwrap().success());
    each_is_done_once(&project, "sweeps/s", 3);
    assert_eq!(submit("s.toml"), None);

    project.write(
        "long.toml",
        "base = \"base.toml\"\n[grid]\ntrain.steps = [1000000]\n",
    );
    let mut limited = task(&submit("long.toml").expect("a script"), "1");
    while begun(&project, "sweeps/long").is_empty() {
        thread::sleep(Duration::from_millis(20));
    }
    let id = limited.id().to_string();
    let sent = Command::new("kill").args(["-s", "USR1", &id]).status();
    assert!(sent.unwrap().success());
    assert_eq!(limited.wait().unwrap().code(), Some(75));
    assert_eq!(project.text("requeued"), "requeue 7_1\n");
}
