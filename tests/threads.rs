//! How many threads compute: one number, decided once, and the same one on record everywhere.

use serde_json::Value;

use crate::project::{Answer, Project};

/// Trains the 32 units of `smoke.toml`, which are enough for one thread.
const SMALL: &[&str] = &["train.steps=1"];
/// Trains a network that is large enough for more.
const LARGE: &[&str] = &["train.steps=1", "model.n_units=64"];

fn training<'a>(run: &'a str, arguments: &[&'a str]) -> Vec<&'a str> {
    let training = ["train", "smoke.toml", "--run-dir", run, "validate.trials=4"];
    [&training[..], arguments].concat()
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The number of threads in the manifest of a run that is trained with these variables set.
fn on_record(
    project: &Project,
    run: &str,
    variables: &[(&str, &str)],
    arguments: &[&str],
) -> Value {
    let mut command = project.command(&training(run, arguments));
    command.envs(variables.iter().copied());
    Answer::from(command.output().expect("the program starts")).exits(0);
    project.json(format!("{run}/manifest.json"))["threads"].clone()
}

#[test]
fn the_first_that_is_given_decides() {
    let project = Project::new();
    let (rayon, slurm) = (("RAYON_NUM_THREADS", "3"), ("SLURM_CPUS_PER_TASK", "2"));
    let key = ["train.steps=1", "--threads=4"];
    let cases: [(&str, &[_], &[_], usize); 8] = [
        ("key", &[rayon, slurm], &key, 4),
        ("rayon", &[rayon, slurm], SMALL, 3),
        ("slurm", &[slurm], LARGE, 2),
        ("one", &[("SLURM_CPUS_PER_TASK", "1")], LARGE, 1),
        ("cores", &[], LARGE, cores()),
        ("small", &[], SMALL, 1),
        ("small_on_slurm", &[slurm], SMALL, 1),
        ("odd", &[("RAYON_NUM_THREADS", "many")], SMALL, 1),
    ];
    for (run, variables, arguments, expected) in cases {
        let found = on_record(&project, run, variables, arguments);
        assert_eq!(found, expected, "{run}");
    }
}

/// Thousands of threads on a few cores would do nothing but wait for each other.
#[test]
fn no_more_threads_start_than_can_be_used() {
    let project = Project::new();
    let most = (4 * cores()).max(16);
    let many = [("RAYON_NUM_THREADS", "5000")];
    assert_eq!(on_record(&project, "run", &many, SMALL), most);
    let answer = project.run(&training("many", &["train.steps=1", "--threads=1000"]));
    let expected =
        format!("note: 1000 threads are more than this machine can use, which is {most}");
    answer.exits(0).says(&[&expected]);
    assert_eq!(project.json("many/manifest.json")["threads"], most);
}

/// `check` and `info` say what runs.
#[test]
fn every_number_of_threads_is_the_one_that_runs() {
    let project = Project::new();
    let check = |arguments: &[&str]| {
        let check = [&["check", "smoke.toml", "--json"], arguments].concat();
        project.run(&check).exits(0).json()
    };
    assert_eq!(check(&[])["threads"], 1);
    assert_eq!(check(&["model.n_units=64"])["threads"], cores());
    let three = check(&["--threads=3"]);
    assert_eq!(three["threads"], 3);
    assert!(three["advice"].as_str().unwrap().contains("3 threads"));
    let mut info = project.command(&["info", "--json"]);
    let info = info.env("SLURM_CPUS_PER_TASK", "7").output().unwrap();
    let info: Value = serde_json::from_slice(&info.stdout).unwrap();
    assert_eq!(info["threads"], 7);
}

/// The number of threads of a process, as the operating system counts them.
#[cfg(target_os = "linux")]
#[test]
fn one_thread_is_one_thread() {
    let project = Project::new();
    let endless = training("run", &["train.steps=100000000", "train.log_every=1"]);
    let count = |threads: &str| {
        let arguments = [&endless[..], &["--force", threads]].concat();
        let mut child = project
            .command(&arguments)
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let (pid, metrics) = (child.id(), project.path("run/metrics.csv"));
        let trains =
            || std::fs::read_to_string(&metrics).is_ok_and(|rows| rows.lines().count() > 2);
        let tasks = || {
            let tasks = std::fs::read_dir(format!("/proc/{pid}/task"));
            tasks.unwrap().count()
        };
        while !trains() {
            assert!(child.try_wait().unwrap().is_none(), "the run ended");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        let counted = tasks();
        child.kill().unwrap();
        child.wait().unwrap();
        std::fs::remove_dir_all(project.path("run")).unwrap();
        counted
    };
    // Up to two wait for signals: none for those that this process was started to ignore.
    let one = count("--threads=1");
    assert!(one <= 3, "{one} threads");
    assert_eq!(count("--threads=4"), one + 4);
}

/// Every command that computes takes the number.
#[test]
fn every_command_that_computes_takes_a_number_of_threads() {
    let project = Project::new();
    project.run(&training("run", SMALL)).exits(0);
    let commands: [&[&str]; 7] = [
        &["eval", "run"],
        &["simulate", "run", "-o", "a.npz"],
        &["simulate", "run", "--f64", "-o", "b.npz"],
        &["analyze", "run", "fixed_points", "--trials=8"],
        &["plot", "run", "weights", "--trials=8", "-o", "c.svg"],
        &["report", "run", "--trials=8"],
        &["resume", "run", "train.steps=2"],
    ];
    for command in commands {
        project.run(&[command, &["--threads=2"]].concat()).exits(0);
    }
    assert_eq!(
        project.json("run/manifest.json")["resumed"][0]["now"]["threads"],
        2
    );
    assert!(
        project
            .text("run/config.resolved.toml")
            .contains("threads = 2")
    );
}

/// A limit on processes is an error with a remedy. Root has none, so the program runs as nobody.
#[cfg(target_os = "linux")]
#[test]
fn threads_that_cannot_be_started_are_an_error() {
    use std::os::unix::fs::PermissionsExt;
    let project = Project::new();
    let open = std::fs::Permissions::from_mode(0o777);
    std::fs::set_permissions(project.path(""), open).unwrap();
    let program = env!("CARGO_BIN_EXE_train-ctrnn");
    // A user whom nobody else is, so that only this process counts.
    let script = "ulimit -u 1 && exec setpriv --reuid 54321 --clear-groups \"$@\"";
    let run = |arguments: &[&str]| {
        let mut command = std::process::Command::new("sh");
        command.args(["-c", script, "sh"]).args(arguments);
        command.current_dir(project.path("")).output().unwrap()
    };
    if !run(&["true"]).status.success() || run(&["sh", "-c", "sleep 0 & wait"]).status.success() {
        return; // not root, or no limits here
    }
    if !run(&["test", "-x", program]).status.success() {
        return; // the program lies where only root can read
    }
    for (arguments, code) in [
        (&["eval", "missing", "--threads=4"][..], 4),
        (&["check", "smoke.toml", "--threads=4"], 6),
    ] {
        let answer = Answer::from(run(&[&[program], arguments].concat())).exits(code);
        if code == 6 {
            answer.says(&["error[G006]: cannot start 4 threads", "--threads 1"]);
        }
    }
    let alone = run(&[program, "check", "smoke.toml", "--threads=1"]);
    Answer::from(alone).exits(0);
}
