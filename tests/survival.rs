//! Runs that are killed, stopped, crowded out, or left without room: nothing is lost, and nothing is half written.
//!
//! Moments of kills and signals are drawn at random within the time that the run takes here; what is asserted holds
//! at every moment. The ignored tests are the same ones in large numbers: `just survival`, `just soak`.

#![cfg(unix)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use ctrnn_files::{RunFolder, RunJson, RunState};
use serde_json::{Value, json};

use crate::project::{NOISE, Project, is_ignored};

/// Steps between two checkpoints of a toy run.
const INTERVAL: u64 = 20;
/// Far more than anything here should take.
const WATCHDOG: Duration = Duration::from_secs(100);

/// The arguments of a toy run: 32 units, 20 trials, both noises.
fn toy<'a>(run: &'a str, arguments: &[&'a str]) -> Vec<&'a str> {
    let toy = [
        "train",
        "smoke.toml",
        "--run-dir",
        run,
        "--resume=auto",
        "--threads=1",
        "train.batch_size=20",
        "train.log_every=1",
        "validate.every_steps=20",
        "validate.trials=20",
        "checkpoint.every_steps=20",
        NOISE,
    ];
    [&toy[..], arguments].concat()
}

fn start(project: &Project, arguments: &[&str]) -> Child {
    let mut command = project.command(arguments);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().expect("the program starts")
}

/// Waits until something is true of a process that is still at work.
#[track_caller]
fn wait_until(what: &str, mut is_true: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_true() {
        assert!(begun.elapsed() < WATCHDOG, "{what} did not happen");
        thread::sleep(Duration::from_millis(2));
    }
}

fn events(project: &Project, run: &str) -> Vec<Value> {
    let text = project.text(format!("{run}/events.jsonl"));
    assert!(
        text.is_empty() || text.ends_with('\n'),
        "half a line in {run}"
    );
    let lines = text.lines();
    lines
        .map(|line| serde_json::from_str(line).expect("a JSON line"))
        .collect()
}

/// The step of the last whole row of `metrics.csv`.
fn last_row(project: &Project, run: &str) -> u64 {
    let text = project.text(format!("{run}/metrics.csv"));
    let mut rows = text.split_inclusive('\n').filter(|row| row.ends_with('\n'));
    let step = rows.next_back().and_then(|row| row.split(',').next());
    step.and_then(|step| step.parse().ok()).unwrap_or(0)
}

/// Names of hidden files that writers leave when they are killed.
fn leftovers(project: &Project, run: &str) -> Vec<String> {
    let names = project.tree(run).into_keys();
    names.filter(|name| name.contains(".tmp-")).collect()
}

/// Numbers in [0, 1), the same ones every time.
struct Moments(u64);

impl Iterator for Moments {
    type Item = f64;
    fn next(&mut self) -> Option<f64> {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        Some((self.0 >> 40) as f64 / (1u64 << 24) as f64)
    }
}

/// Does something `n` times, with a moment for each, on two threads.
fn on_two_threads(n: usize, seed: u64, one: impl Fn(usize, f64) + Sync) {
    let moments: Vec<f64> = Moments(seed).take(n).collect();
    thread::scope(|scope| {
        for first in 0..2 {
            let (one, moments) = (&one, &moments);
            scope.spawn(move || {
                for i in (first..n).step_by(2) {
                    one(i, moments[i]);
                }
            });
        }
    });
}

/// A whole toy run named `whole`, and how long it took.
fn whole_run(project: &Project, arguments: &[&str]) -> Duration {
    let begun = Instant::now();
    project.run(&toy("whole", arguments)).exits(0);
    begun.elapsed()
}

// ---- 1: killed at a random moment

/// A training of 200 steps.
const PLAIN: &[&str] = &["train.steps=200"];
/// One with two stages, monitors, penalties one of which yields to the task, and a second set of validation trials; most checkpoints are not at a validation.
const STAGED: &[&str] = &[
    "train.stage=[{steps=90,validate={every_steps=15}},{steps=110,carry=[],model={noise={preactivation=0.2}}}]",
    "validate.monitors=true",
    "validate.quiet={noise=false}",
    "train.loss.rate_l2=0.01",
    "train.loss.participation={weight=0.1,at_most=2}",
    "train.loss.yield_to_task=[\"rate_l2\"]",
];

/// One with a truncated, accumulated stage with dropout, and one with perturbed trials under annealed noise.
const INTERVENED: &[&str] = &[
    "train.stage=[{steps=50,train={truncate_steps=12,truncate_stride=6,accumulate=2,batch_size=10,dropout=0.1}},{steps=150,train={perturbation=[{silence=[\"0-7@stimulus\"],fraction=0.4},{current=[\"8-11@40..80=0.3\"]}],noise_schedule={from=2,to=0.5,steps=80}}}]",
];

/// One with a stage for every other learning rule and for L-BFGS, each with a state of its own in the checkpoints.
const RULES: &[&str] = &[
    "train.stage=[{steps=30,train={rule={name=\"force\",every_steps=4},batch_size=5}},{steps=30,train={rule={name=\"full_force\",every_steps=4},batch_size=5}},{steps=30,train={rule={name=\"rflo\"}}},{steps=30,train={rule={name=\"eprop\"}}},{steps=80,train={optimizer={name=\"lbfgs\",history=3}}}]",
    "model.initial_state={learned={mean=0.0,std=0.3}}",
    "train.clip_grad_norm=none",
];

/// One with each protection of earlier stages.
const PROTECTED: &[&str] = &[
    "train.stage=[{steps=70,train={continual={name=\"ewc\",trials=16}}},{steps=70,train={continual={name=\"synaptic_intelligence\"}}},{steps=60,train={continual={name=\"projection\",trials=16}}}]",
];

/// Kills a run at a fraction of the time that it takes, resumes it until the end, and compares.
fn kill_and_resume(project: &Project, run: &str, moment: Duration, arguments: &[&str]) {
    let mut child = start(project, &toy(run, arguments));
    thread::sleep(moment);
    child.kill().unwrap();
    child.wait().unwrap();
    let was_there = project.path(run).is_dir();
    let reached = if was_there { last_row(project, run) } else { 0 };

    project.run(&toy(run, arguments)).exits(0);
    let resumed = events(project, run)
        .into_iter()
        .find(|event| event["event"] == "resumed");
    match resumed {
        Some(event) => {
            let from = event["from_step"].as_u64().expect("a step");
            assert!(
                reached - from <= INTERVAL,
                "{run} fell from {reached} to {from}"
            );
        }
        None => assert!(
            reached == 0 || reached == 200,
            "{run} was not resumed from {reached}"
        ),
    }
    assert_eq!(leftovers(project, run), [""; 0]);
    assert_eq!(project.json(format!("{run}/RUN.json"))["state"], "done");
    project.assert_same_run("whole", run);
    let units = |run: &str| fs::read(project.path(format!("{run}/units.csv"))).ok();
    assert_eq!(units("whole"), units(run));
    fs::remove_dir_all(project.path(run)).unwrap();
}

fn kills(n: usize, arguments: &[&str]) {
    let project = Project::in_memory();
    let took = whole_run(&project, arguments);
    on_two_threads(n, 1, |i, moment| {
        let run = format!("killed-{i}");
        kill_and_resume(&project, &run, took.mul_f64(1.5 * moment), arguments);
    });
}

#[test]
fn killed_runs_resume_to_the_same_end() {
    kills(16, PLAIN);
}

#[test]
fn killed_runs_with_stages_and_monitors_resume_to_the_same_end() {
    kills(8, STAGED);
}

#[test]
fn killed_runs_in_parts_and_under_interventions_resume_to_the_same_end() {
    kills(8, INTERVENED);
}

#[test]
fn killed_runs_under_every_rule_resume_to_the_same_end() {
    kills(6, RULES);
}

#[test]
fn killed_runs_with_protected_stages_resume_to_the_same_end() {
    kills(6, PROTECTED);
}

#[test]
#[ignore = "minutes: just survival"]
fn survival_of_800_kills() {
    kills(300, PLAIN);
    kills(200, STAGED);
    kills(100, INTERVENED);
    kills(100, RULES);
    kills(100, PROTECTED);
}

// ---- 2: killed at each point of a checkpoint

/// Every point of writing the checkpoint of step 10, of naming it `last` and `best`, and of removing an old one.
const FAIL_POINTS: [&str; 19] = [
    "staged@step-00000010",
    "torn@step-00000010+optimizer.safetensors",
    "torn@step-00000010+state.json",
    "torn@step-00000010+weights.safetensors",
    "torn@step-00000010+MANIFEST.json",
    "filled@step-00000010",
    "synced@step-00000010",
    "made_room@step-00000010",
    "renamed@step-00000010",
    "written@checkpoints/last",
    "synced@checkpoints/last",
    "renamed@checkpoints/last",
    "written@checkpoints/best",
    "synced@checkpoints/best",
    "renamed@checkpoints/best",
    "set_aside@step-00000005",
    "set_aside@step-00000010",
    "renamed@model",
    "written@RUN.json",
];

#[test]
fn a_writer_killed_at_any_point_leaves_the_previous_checkpoint_whole() {
    let project = Project::in_memory();
    let arguments = [NOISE, "train.steps=20", "checkpoint.keep_last=1"];
    project.train("whole", &arguments).exits(0);
    for (i, point) in FAIL_POINTS.into_iter().enumerate() {
        let run = format!("run-{i}");
        let arguments = Project::training(&run, &arguments);
        let mut command = project.command(&arguments);
        let answer = command
            .env("CTRNN_FAIL_POINT", point)
            .output()
            .expect("it starts");
        assert_eq!(
            answer.status.code(),
            None,
            "{point} was not met: {answer:?}"
        );
        if project.path(&run).is_dir() {
            let newest = RunFolder::at(project.path(&run))
                .newest_whole_checkpoint()
                .unwrap();
            assert!(
                newest.step >= point.contains("step-00000010").then_some(5),
                "{point}"
            );
            assert!(newest.passed_over.is_empty(), "{point}: {newest:?}");
        }
        let again = [&arguments[..], &["--resume=auto"]].concat();
        project.run(&again).exits(0);
        assert_eq!(leftovers(&project, ""), [""; 0], "{point}");
        project.assert_same_run("whole", &run);
    }
}

// ---- 5: no room, no folder, no permission

/// A file system of 1 MiB, gone at the end of the test; none where this user may not mount one.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(path: PathBuf) -> Option<Self> {
        fs::create_dir(&path).unwrap();
        let mut mount = Command::new("mount");
        mount
            .args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"])
            .arg(&path);
        let is_mounted = mount.output().is_ok_and(|output| output.status.success());
        is_mounted.then_some(Self(path))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

/// 64 units: a checkpoint takes about 70 kB, so that the second one no longer fits beside the ballast.
const CROWDED: [&str; 2] = ["model.n_units=64", "train.steps=1500"];
const BALLAST: usize = 870_000;

fn assert_nothing_is_torn(project: &Project, run: &str) {
    events(project, run);
    let metrics = project.text(format!("{run}/metrics.csv"));
    assert!(metrics.ends_with('\n'), "half a row");
    assert!(
        metrics.lines().all(|row| row.split(',').count() == 9),
        "{metrics}"
    );
    let newest = RunFolder::at(project.path(run))
        .newest_whole_checkpoint()
        .unwrap();
    assert!(
        newest.step.is_some() && newest.passed_over.is_empty(),
        "{newest:?}"
    );
    assert_eq!(leftovers(project, run), [""; 0]);
}

#[test]
fn a_full_disk_stops_a_run_which_goes_on_once_there_is_room() {
    let project = Project::in_memory();
    let Some(_disk) = SmallDisk::mount(project.path("disk")) else {
        eprintln!(
            "SKIPPED: this user may not mount a file system; a limit on file sizes is tested"
        );
        return;
    };
    let short = [CROWDED[0], "train.steps=60"];
    whole_run(&project, &short);
    project.write("disk/ballast", vec![0; BALLAST]);
    let answer = project.run(&toy("disk/run", &short)).exits(5);
    let answer = answer.says(&["error[F002]", "disk/run", "free some space", "help: "]);
    assert!(!answer.stderr.contains(".tmp-"), "{}", answer.stderr);
    assert_nothing_is_torn(&project, "disk/run");
    let run = project.json("disk/run/RUN.json");
    assert_eq!(
        (&run["state"], &run["exit_code"]),
        (&json!("failed"), &json!(5))
    );

    fs::remove_file(project.path("disk/ballast")).unwrap();
    project.run(&["resume", "disk/run"]).exits(0);
    project.assert_same_run("whole", "disk/run");
}

#[test]
fn a_full_disk_can_be_waited_for() {
    let project = Project::in_memory();
    let Some(_disk) = SmallDisk::mount(project.path("disk")) else {
        eprintln!("SKIPPED: this user may not mount a file system");
        return;
    };
    let arguments = [
        &CROWDED[..],
        &["checkpoint.on_error=retry", "--progress=plain"],
    ]
    .concat();
    whole_run(&project, &arguments);
    project.write("disk/ballast", vec![0; BALLAST]);
    let said = fs::File::create(project.path("said")).unwrap();
    let mut command = project.command(&toy("disk/run", &arguments));
    let mut child = command.stdout(Stdio::null()).stderr(said).spawn().unwrap();
    wait_until("a note about the full disk", || {
        project
            .text("said")
            .contains("training continues and tries again")
    });
    assert_nothing_is_torn(&project, "disk/run");
    fs::remove_file(project.path("disk/ballast")).unwrap();
    assert_eq!(
        child.wait().unwrap().code(),
        Some(0),
        "{}",
        project.text("said")
    );
    assert_nothing_is_torn(&project, "disk/run");
    assert!(
        events(&project, "disk/run")
            .iter()
            .any(|event| event["event"] == "trouble")
    );
    project.assert_same_run("whole", "disk/run");
}

/// 8 blocks are 4 or 8 kB, depending on the shell: less than the weights, more than anything before them.
#[test]
fn a_limit_on_the_size_of_files_stops_a_run() {
    let project = Project::in_memory();
    let steps = ["model.n_units=64", "train.steps=25"];
    whole_run(&project, &steps);
    // 28 KiB: room for the weights of the beginning, but not for the optimizer's state.
    let program = env!("CARGO_BIN_EXE_train-ctrnn");
    let mut command = Command::new("sh");
    command
        .current_dir(project.path(""))
        .args(["-c", "ulimit -f 56; exec \"$@\"", "sh", program])
        .args(toy("run", &steps));
    let answer = command.output().unwrap();
    let said = String::from_utf8_lossy(&answer.stderr).into_owned();
    assert_eq!(answer.status.code(), Some(5), "{said}");
    assert!(
        said.contains("error[F002]") && said.contains("ulimit -f"),
        "{said}"
    );
    let run = project.json("run/RUN.json");
    assert_eq!(
        (&run["state"], &run["exit_code"]),
        (&json!("failed"), &json!(5))
    );
    assert_eq!(leftovers(&project, "run"), [""; 0]);

    project.run(&["resume", "run"]).exits(0);
    project.assert_same_run("whole", "run");
}

#[test]
fn a_removed_folder_ends_the_run_and_is_not_made_again() {
    let project = Project::in_memory();
    let mut child = start(&project, &toy("run", &["train.steps=1000000"]));
    wait_until("the first checkpoint", || {
        project.path("run/checkpoints/last").exists()
    });
    fs::rename(project.path("run"), project.path("gone")).unwrap();
    fs::remove_dir_all(project.path("gone")).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(5));
    assert!(!project.path("run").exists());
}

/// Renames the folder `run` to `old` and puts something else in its place.
fn put_in_its_place(project: &Project, what: &str) {
    let run = project.path("run");
    fs::rename(&run, project.path("old")).unwrap();
    let link_to = |folder: &str| std::os::unix::fs::symlink(project.path(folder), &run).unwrap();
    match what {
        "nothing" => {}
        "an empty folder" => fs::create_dir(&run).unwrap(),
        "another run" => fs::rename(project.path("other"), &run).unwrap(),
        "a link to another run" => link_to("other"),
        "a link to a folder" => {
            fs::create_dir(project.path("folder")).unwrap();
            link_to("folder");
        }
        other => panic!("{other}"),
    }
}

/// The process is halted meanwhile, so that it finds the folder exchanged whatever it is in the middle of.
#[test]
fn a_run_whose_folder_is_exchanged_ends_and_writes_nothing_there() {
    for what in [
        "nothing",
        "an empty folder",
        "another run",
        "a link to another run",
        "a link to a folder",
    ] {
        for on_error in ["checkpoint.on_error=stop", "checkpoint.on_error=retry"] {
            let project = Project::in_memory();
            project.run(&toy("other", &["train.steps=20"])).exits(0);
            let endless = toy("run", &["train.steps=1000000", on_error]);
            let mut command = project.command(&endless);
            command.stdout(Stdio::null()).stderr(Stdio::piped());
            let child = command.spawn().unwrap();
            wait_until("the first checkpoint", || {
                project.path("run/checkpoints/last").exists()
            });
            send("STOP", &child);
            put_in_its_place(&project, what);
            let is_there = project.path("run").exists();
            let before = is_there.then(|| project.tree("run"));
            send("CONT", &child);

            let output = child.wait_with_output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(5), "{what}: {said}");
            let place = fs::canonicalize(project.path("old")).unwrap();
            let expected = if cfg!(target_os = "linux") {
                format!("was renamed to {}", place.display())
            } else {
                "was removed or replaced, or its .lock was removed".to_owned()
            };
            assert!(
                said.contains("error[F002]: the folder of the run at run "),
                "{said}"
            );
            assert!(said.contains(&expected), "{said}");
            assert_eq!(project.path("run").exists(), is_there, "{what}");
            let after = is_there.then(|| project.tree("run"));
            assert!(before == after, "{what} was written to");

            // What it had saved is where it is now, and goes on from there; a checkpoint that was being written is removed.
            project.run(&["resume", "old", "--max-time=0s"]).exits(75);
            assert_nothing_is_torn(&project, "old");
        }
    }
}

/// The checkpoints of another run would be overwritten and pruned.
#[cfg(unix)]
#[test]
fn checkpoints_that_are_a_link_are_refused() {
    let project = Project::new();
    for run in ["a", "b"] {
        project.train(run, &["train.steps=10"]).exits(0);
    }
    fs::remove_dir_all(project.path("b/checkpoints")).unwrap();
    std::os::unix::fs::symlink("../a/checkpoints", project.path("b/checkpoints")).unwrap();
    let before = project.tree("a");
    project
        .run(&["resume", "b", "train.steps=20", "checkpoint.keep_last=1"])
        .exits(4)
        .says(&["checkpoints", "help: "]);
    assert!(project.tree("a") == before);
}

/// The lock is what tells folders apart: a run without it no longer knows that it is alone. Nothing else is lost.
#[test]
fn a_run_whose_lock_is_removed_ends() {
    let project = Project::in_memory();
    let mut command = project.command(&toy("run", &["train.steps=1000000"]));
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    wait_until("the first checkpoint", || {
        project.path("run/checkpoints/last").exists()
    });
    fs::remove_file(project.path("run/.lock")).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(5), "{said}");
    assert!(said.contains("train-ctrnn resume run"), "{said}");
    project.run(&["resume", "run", "--max-time=0s"]).exits(75);
}

#[test]
fn a_folder_that_may_not_be_written_ends_the_run() {
    use std::os::unix::fs::PermissionsExt;
    let project = Project::in_memory();
    let mut child = start(&project, &toy("run", &["train.steps=1000000"]));
    wait_until("the first checkpoint", || {
        project.path("run/checkpoints/last").exists()
    });
    let mode = |mode| {
        let folder = project.path("run/checkpoints");
        fs::set_permissions(folder, fs::Permissions::from_mode(mode)).unwrap();
    };
    mode(0o555);
    if fs::write(project.path("run/checkpoints/probe"), b"").is_ok() {
        eprintln!("SKIPPED: this user may write everywhere");
        child.kill().unwrap();
        child.wait().unwrap();
        return;
    }
    assert_eq!(child.wait().unwrap().code(), Some(5));
    mode(0o755);
    assert_eq!(project.json("run/RUN.json")["exit_code"], 5);
    assert_nothing_is_torn(&project, "run");
}

// ---- 6: signals

const SIGNALS: [&str; 5] = ["INT", "TERM", "USR1", "USR2", "HUP"];

fn send(signal: &str, child: &Child) {
    let pid = child.id().to_string();
    let mut kill = Command::new("kill");
    let sent = kill
        .args([format!("-{signal}"), pid])
        .stderr(Stdio::null())
        .status();
    sent.expect("kill starts"); // a run that has ended meanwhile gets none
}

/// How long a run took to stop after it was asked to, for all that asked: printed, since times depend on the machine.
#[derive(Default)]
struct StopTimes(Mutex<Vec<Duration>>);

impl StopTimes {
    /// Ten times what a stop should take fails.
    #[track_caller]
    fn note(&self, what: &str, took: Duration, should: Duration) {
        assert!(took < 10 * should, "{what} took {took:?}");
        self.0.lock().unwrap().push(took);
    }

    fn print(&self, of: &str, should: Duration) {
        let mut times = self.0.lock().unwrap();
        times.sort_unstable();
        let (median, slowest) = (times[times.len() / 2], times[times.len() - 1]);
        println!(
            "{of}: {} stops, median {median:.2?}, slowest {slowest:.2?} (should be under {should:?})",
            times.len()
        );
    }
}

/// What a stop of a toy run may take.
const SOON: Duration = Duration::from_secs(2);

/// Whether `RUN.json` says that the process trains.
fn trains(project: &Project, run: &str, child: &Child) -> bool {
    let json = RunJson::load(&project.path(run).join("RUN.json"));
    json.is_ok_and(|json| json.state == RunState::Running && json.pid == child.id())
}

/// Sends a signal at some moment of a run, resumes it, and compares.
fn signal_and_resume(
    project: &Project,
    run: &str,
    signal: &str,
    moment: Duration,
    times: &StopTimes,
) {
    let arguments = toy(run, &["train.steps=100"]);
    let mut child = start(project, &arguments);
    wait_until("the run folder", || project.path(run).is_dir());
    thread::sleep(moment);
    let sent = Instant::now();
    send(signal, &child);
    let code = child.wait().unwrap().code();
    let took = sent.elapsed();
    let state = project.json(format!("{run}/RUN.json"));
    match code {
        Some(75) => {
            times.note(signal, took, SOON);
            assert_eq!(state["state"], "stopped");
            assert_eq!(state["reason"], format!("signal SIG{signal}"));
            let model = project.json(format!("{run}/model/model.json"));
            assert_eq!(model["step"], last_row(project, run), "nothing is lost");
        }
        code => {
            assert_eq!(
                (code, &state["state"]),
                (Some(0), &json!("done")),
                "SIG{signal} at {moment:?}"
            );
        }
    }
    project.run(&arguments).exits(0);
    project.assert_same_run("whole", run);
    fs::remove_dir_all(project.path(run)).unwrap();
}

fn signals(n: usize) {
    let project = Project::in_memory();
    let took = whole_run(&project, &["train.steps=100"]);
    let times = StopTimes::default();
    for (seed, signal) in SIGNALS.into_iter().enumerate() {
        if is_ignored(signal) {
            eprintln!("SKIPPED: these tests were started to ignore {signal}");
            continue;
        }
        on_two_threads(n, seed as u64, |i, moment| {
            let run = format!("{signal}-{i}");
            signal_and_resume(&project, &run, signal, took.mul_f64(moment), &times);
        });
    }
    times.print("a toy run", SOON);
}

#[test]
fn every_signal_saves_and_the_run_goes_on_from_there() {
    signals(8);
}

#[test]
#[ignore = "minutes: just survival"]
fn survival_of_50_times_each_signal() {
    signals(50);
}

/// The same run goes on from one stop to the next; the last is by the limit on its time.
#[test]
fn a_thousand_units_stop_in_time() {
    let project = Project::in_memory();
    let should = Duration::from_secs(10);
    let times = StopTimes::default();
    let arguments = [
        "train",
        "smoke.toml",
        "--resume=auto",
        "--run-dir=run",
        "model.n_units=1000",
        "train.log_every=1",
        "train.steps=1000000",
    ];
    for (signal, moment) in SIGNALS.into_iter().zip(Moments(6)) {
        if is_ignored(signal) {
            continue;
        }
        let mut child = start(&project, &arguments);
        wait_until("training", || trains(&project, "run", &child));
        thread::sleep(Duration::from_secs(1).mul_f64(moment));
        let sent = Instant::now();
        send(signal, &child);
        assert_eq!(child.wait().unwrap().code(), Some(75));
        times.note(signal, sent.elapsed(), should);
    }
    let (limit, begun) = (Duration::from_secs(2), Instant::now());
    project
        .run(&[&arguments[..], &["--max-time=2s"]].concat())
        .exits(75);
    times.note("--max-time", begun.elapsed() - limit, should);
    times.print("1000 units", should);
}

/// One step takes a second and more, so that both signals meet it. Sent at once, they could be one to the system.
#[test]
fn a_second_interrupt_stops_at_once() {
    let project = Project::in_memory();
    let large = |run| {
        let sizes = [
            "model.n_units=1024",
            "train.batch_size=512",
            "train.steps=2",
            "validate.trials=1",
        ];
        [
            &[
                "train",
                "smoke.toml",
                "--threads=1",
                "--resume=auto",
                "--run-dir",
                run,
            ][..],
            &sizes,
        ]
        .concat()
    };
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        if is_ignored(signal) {
            eprintln!("SKIPPED: these tests were started to ignore {signal}");
            return;
        }
        let mut child = start(&project, &large(signal));
        wait_until("training", || trains(&project, signal, &child));
        send(signal, &child);
        thread::sleep(Duration::from_millis(300));
        send(signal, &child);
        assert_eq!(child.wait().unwrap().code(), Some(code));
        let run = project.json(format!("{signal}/RUN.json"));
        assert_eq!(
            (&run["state"], &run["exit_code"]),
            (&json!("stopped"), &json!(code))
        );
        let reason = format!("stopped at once by a second SIG{signal}");
        assert_eq!(run["reason"], reason);
        assert!(run["ended"].is_string(), "{run}");
        assert_eq!(leftovers(&project, signal), [""; 0]);
        assert!(
            events(&project, signal)
                .iter()
                .all(|event| event["event"] != "stopped")
        );
    }
    // Nothing was saved, so that whoever comes next does the steps again, and says so.
    project
        .run(&[&large("INT")[..], &["--max-time=0s"]].concat())
        .exits(75);
    let told = events(&project, "INT").into_iter();
    let told: Vec<Value> = told.map(|event| event["event"].clone()).take(3).collect();
    assert_eq!(told, ["started", "killed", "resumed"]);
}

/// Starts a toy run by way of another program, sends it a signal that this one told it to ignore, and sees it train on until
/// another signal stops it.
fn ignores(by_way_of: &[&str], signal: &str) {
    let project = Project::in_memory();
    let program = env!("CARGO_BIN_EXE_train-ctrnn");
    let mut command = Command::new(by_way_of[0]);
    command.current_dir(project.path("")).args(&by_way_of[1..]);
    command
        .arg(program)
        .args(toy("run", &["train.steps=1000000"]));
    command.stdin(Stdio::null());
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().expect("it starts");
    let mut pid = 0;
    wait_until("training", || {
        let json = RunJson::load(&project.path("run/RUN.json"));
        let trains = json.ok().filter(|json| json.state == RunState::Running);
        pid = trains.map_or(0, |json| json.pid);
        pid != 0
    });
    let send = |signal: &str| {
        let mut kill = Command::new("kill");
        let sent = kill.args([format!("-{signal}"), pid.to_string()]).status();
        assert!(sent.expect("kill starts").success(), "{by_way_of:?}");
    };
    send(signal);
    let row = last_row(&project, "run");
    wait_until("twenty further steps", || {
        let ended = child.try_wait().unwrap();
        assert_eq!(ended, None, "{by_way_of:?}: SIG{signal} ended it");
        last_row(&project, "run") > row + 20
    });
    let other = if signal == "TERM" { "USR1" } else { "TERM" };
    send(other);
    assert_eq!(child.wait().unwrap().code(), Some(75), "{by_way_of:?}");
    let run = project.json("run/RUN.json");
    assert_eq!(run["reason"], format!("signal SIG{other}"), "{by_way_of:?}");
}

#[test]
fn a_signal_that_was_ignored_at_the_start_stays_ignored() {
    ignores(&["nohup"], "HUP");
    // What a script starts in the background ignores INT.
    ignores(&["sh", "-c", "\"$@\" & wait $!", "sh"], "INT");
    for signal in SIGNALS {
        let trap = format!("trap '' {signal}; exec \"$@\"");
        ignores(&["sh", "-c", &trap, "sh"], signal);
    }
}

/// A job that Slurm requeues is started by the same command again.
#[test]
fn under_slurm_the_same_command_resumes() {
    let project = Project::in_memory();
    let arguments: Vec<&str> = toy("run", &["train.steps=3", "--max-time=0s"]);
    let arguments: Vec<&str> = arguments
        .into_iter()
        .filter(|word| *word != "--resume=auto")
        .collect();
    for step in 1..=2 {
        let mut command = project.command(&arguments);
        let status = command.env("SLURM_JOB_ID", "17").output().unwrap().status;
        assert_eq!(status.code(), Some(75));
        assert_eq!(project.json("run/model/model.json")["step"], step);
    }
    project.run(&arguments).exits(5);
}

// ---- 11: twenty at once

/// Starts 20 processes with the same arguments; all but one end at once and name the one that trains, which is returned.
fn crowd(project: &Project, arguments: &[&str]) -> Child {
    let spawn = |_| {
        let mut command = project.command(arguments);
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        command.spawn().expect("the program starts")
    };
    let mut children: Vec<Child> = (0..20).map(spawn).collect();
    wait_until("the end of 19 processes", || {
        let running = children
            .iter_mut()
            .filter_map(|child| child.try_wait().unwrap().is_none().then_some(()));
        running.count() == 1
    });
    let owner = children
        .iter_mut()
        .position(|child| child.try_wait().unwrap().is_none());
    let owner = children.swap_remove(owner.expect("one goes on"));
    let who = format!("is in use by process {} on ", owner.id());
    for child in children {
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(5), "{said}");
        assert!(said.contains(&who), "{who:?} is not in {said}");
    }
    owner
}

/// Has a run save and end.
fn stop(mut owner: Child) {
    send("TERM", &owner);
    assert_eq!(owner.wait().unwrap().code(), Some(75));
}

#[test]
fn of_twenty_processes_one_trains() {
    let project = Project::in_memory();
    let long = "train.steps=1000000";
    let mut owner = crowd(&project, &toy("run", &[long]));
    owner.kill().unwrap();
    owner.wait().unwrap();
    stop(crowd(&project, &["resume", "run"])); // and clears away what the kill may have left
    let never = ["--resume=never", long];
    stop(crowd(
        &project,
        &[&["train", "smoke.toml", "--run-dir", "other"], &never[..]].concat(),
    ));
    assert_eq!(leftovers(&project, ""), [""; 0]);
}

// ---- 12: a long run

/// Resident memory in bytes and open files of a process (Linux).
fn resources(pid: u32) -> Option<(u64, usize)> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    let files = fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count();
    Some((1024 * kilobytes, files))
}

/// The number of steps is a million, or what the environment says; there are 200 checkpoints.
#[test]
#[ignore = "a quarter of an hour: just soak"]
fn soak_memory_and_files_stay_what_they_are() {
    let steps: u64 = std::env::var("SOAK_STEPS").map_or(1_000_000, |steps| steps.parse().unwrap());
    let project = Project::in_memory();
    let every = steps / 200;
    let arguments = [
        format!("train.steps={steps}"),
        format!("checkpoint.every_steps={every}"),
        format!("validate.every_steps={every}"),
    ];
    let fixed = [
        "train",
        "smoke.toml",
        "--run-dir=run",
        "train.batch_size=20",
        "train.log_every=100",
    ];
    let varied = arguments.iter().map(String::as_str);
    let arguments: Vec<&str> = fixed.into_iter().chain(varied).collect();
    let mut child = start(&project, &arguments);
    let (begun, mut seen) = (Instant::now(), BTreeMap::new());
    while child.try_wait().unwrap().is_none() {
        if let Some((memory, files)) = resources(child.id()).filter(|(memory, _)| *memory > 0) {
            seen.insert(begun.elapsed().as_secs(), (memory, files));
        }
        thread::sleep(Duration::from_secs(1));
    }
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let after = |from: u64, to: u64| seen.range(from..to).map(|(_, (memory, _))| *memory).max();
    let end = *seen.keys().last().expect("it was looked at");
    let (early, late) = (
        after(30, 60).expect("a minute"),
        after(60, end).expect("more than a minute"),
    );
    let files: Vec<usize> = seen.range(5..end).map(|(_, (_, files))| *files).collect();
    let (fewest, most) = (files.iter().min().unwrap(), files.iter().max().unwrap());
    println!(
        "{steps} steps in {end} s: memory {early} bytes in the first minute, {late} after; {fewest} to {most} open files"
    );
    assert!(
        late as f64 <= 1.01 * early as f64,
        "memory grew from {early} to {late} bytes"
    );
    assert!(
        most - fewest <= 4,
        "files of a checkpoint in the making come and go: {files:?}"
    );
}

// ---- what is kept

/// Three of the best, besides the newest.
#[test]
fn the_best_checkpoints_are_kept() {
    let project = Project::in_memory();
    let arguments = [
        "train.steps=40",
        "checkpoint.keep_last=1",
        "checkpoint.keep_best=3",
    ];
    project.train("run", &arguments).exits(0);
    let losses = project
        .metrics("run")
        .into_iter()
        .filter(|row| row["split"] == "val");
    let mut losses: Vec<(f64, u64)> = losses
        .map(|row| (row["loss"].parse().unwrap(), row["step"].parse().unwrap()))
        .collect();
    losses.sort_by(|left, right| left.partial_cmp(right).unwrap());
    let mut expected: Vec<u64> = losses[..3]
        .iter()
        .map(|(_, step)| *step)
        .chain([40])
        .collect();
    expected.sort_unstable();
    expected.dedup();
    let folder = RunFolder::at(project.path(Path::new("run")));
    assert_eq!(folder.list_checkpoints().unwrap(), expected);
    assert_eq!(
        ctrnn_files::read_pointer(&folder.best()).unwrap(),
        losses[0].1
    );
}
