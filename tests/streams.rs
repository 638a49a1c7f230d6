//! Every command as the command line defines it, read from its own help, so that a new one is tried like the others: under
//! `--json` with every kind of failure, on a closed pipe, on a full device, and with paths that are not UTF-8.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use serde_json::Value;

use crate::project::{Answer, Project, TINY};

/// A command and what its usage asks for.
#[derive(Debug)]
struct Leaf {
    /// Its name, such as `tasks export`.
    words: Vec<String>,
    /// Required options and their placeholders: `--trials <N>`.
    options: Vec<(String, String)>,
    /// Placeholders of its positional arguments: `<RUN>`, `[KEY=VALUE]...`.
    positional: Vec<String>,
    help: String,
}

impl Leaf {
    fn name(&self) -> String {
        self.words.join(" ")
    }

    fn has(&self, option: &str) -> bool {
        self.help.contains(&format!("{option} <"))
    }

    fn takes_overrides(&self) -> bool {
        let takes = |word: &String| word.contains("KEY=VALUE") || word.contains("WHAT");
        self.positional.iter().any(takes)
    }

    fn works_for(&self, option: &str, placeholder: &str) -> String {
        match (option, self.words[0].as_str()) {
            ("--output", "import") => "imported".to_owned(),
            ("--from" | "--to", _) => "npz".to_owned(),
            _ => works(placeholder).expect("a required option has a value"),
        }
    }

    /// A command line that works. Each call has outputs of its own; `given` replaces what a placeholder stands for.
    fn works(&self, given: &BTreeMap<&str, &str>) -> Vec<String> {
        let mut line = self.words.clone();
        for placeholder in &self.positional {
            let value = given.get(placeholder.as_str()).copied();
            line.extend(value.map(str::to_owned).or_else(|| works(placeholder)));
        }
        for (option, placeholder) in &self.options {
            let value = self.works_for(option, placeholder);
            line.extend([option.clone(), value]);
        }
        if self.positional.iter().any(|word| word == "<CONFIG>") {
            line.extend(TINY.map(str::to_owned));
            line.push("train.steps=1".to_owned());
        }
        if self.help.contains("--force") {
            line.push("--force".to_owned());
        }
        line
    }
}

/// A value that works for a placeholder; none where it may be left out.
fn works(placeholder: &str) -> Option<String> {
    static PROJECTS: AtomicUsize = AtomicUsize::new(0);
    let value = match placeholder {
        "<CONFIG>" | "<B>" => "smoke.toml",
        "<RUN>" | "<A>" => "run",
        "<FILE>" => "run/model/weights.npz",
        "<NAME>" => "go_nogo",
        "<SHELL>" => "bash",
        "<KEY>" => "tau_ms",
        "<WHAT>..." => "weights",
        "<N>" | "<TRIALS>" => "2",
        "<FILE.npz>" | "<STATES.npz>" | "<PATH>" => "out.npz",
        "<FIG>" => "out.svg",
        "<SWEEP>" => "sweep.toml",
        "<TRIAL>..." => "1",
        "<TABLE>" => "out.csv",
        "<FILE.html>" => "out.html",
        "[DIR]" => return Some(format!("project{}", PROJECTS.fetch_add(1, Relaxed))),
        "[WHICH]" | "[WHICH]..." | "[RUN]..." | "[KEY]" | "[KEY=VALUE]..." => return None,
        _ => panic!("say in `works` what stands for {placeholder}"),
    };
    Some(value.to_owned())
}

/// Every command that does something, found through `--help`.
fn leaves(project: &Project) -> Vec<Leaf> {
    let (mut leaves, mut pending) = (Vec::new(), vec![Vec::<String>::new()]);
    while let Some(words) = pending.pop() {
        let mut arguments: Vec<&str> = words.iter().map(String::as_str).collect();
        arguments.push("--help");
        let help = project.run(&arguments).exits(0).stdout;
        let commands = section(&help, "Commands:");
        if words == ["sweep", "submit"] {
            continue; // needs Slurm
        }
        if commands.is_empty() {
            leaves.push(leaf(words, help));
            continue;
        }
        let names = commands
            .iter()
            .filter(|line| line.starts_with("  ") && !line.starts_with("   "));
        let names = names.filter_map(|line| line.split_whitespace().next());
        for name in names.filter(|name| *name != "help") {
            pending.push([&words[..], &[name.to_owned()]].concat());
        }
    }
    assert!(leaves.len() > 20, "{leaves:#?}");
    leaves
}

fn section<'a>(help: &'a str, title: &str) -> Vec<&'a str> {
    let lines = help.lines().skip_while(|line| *line != title).skip(1);
    lines.take_while(|line| !line.is_empty()).collect()
}

fn leaf(words: Vec<String>, help: String) -> Leaf {
    let usage = help
        .lines()
        .find_map(|line| line.strip_prefix("Usage: train-ctrnn "));
    let usage = usage.expect("a usage");
    let mut tokens = usage.split(' ').skip(words.len());
    let (mut options, mut positional) = (Vec::new(), Vec::new());
    while let Some(token) = tokens.next() {
        match token {
            "[OPTIONS]" => {}
            option if option.starts_with("--") => {
                let placeholder = tokens.next().expect("a placeholder");
                options.push((option.to_owned(), placeholder.to_owned()));
            }
            word => positional.push(word.to_owned()),
        }
    }
    Leaf {
        words,
        options,
        positional,
        help,
    }
}

/// A project with a run, and runs and configurations that are broken in many ways.
fn project() -> (Project, Vec<String>, Vec<String>) {
    let project = Project::new();
    project.train("run", &["train.steps=5"]).exits(0);
    let sweep = "base = \"smoke.toml\"\n[grid]\ntrain.steps = [1]\n";
    project.write("sweep.toml", sweep);
    project.run(&["sweep", "run", "sweep.toml"]).exits(0);
    fs::create_dir(project.path("empty")).unwrap();
    project.write("garbage", b"\xff\x00garbage");
    let mut runs = vec![
        "missing".to_owned(),
        "empty".to_owned(),
        "garbage".to_owned(),
    ];
    for (name, file, content) in [
        ("no_toml", "config.resolved.toml", Some("garbage [")),
        ("no_config", "config.resolved.toml", None),
        (
            "odd_config",
            "config.resolved.toml",
            Some("[model]\nhiden = 3\n"),
        ),
        ("no_weights", "model/weights.safetensors", Some("garbage")),
        ("no_model", "model", None),
        ("no_checkpoints", "checkpoints", None),
        ("no_pointer", "checkpoints/last", Some("nowhere")),
        (
            "cut",
            "checkpoints/step-00000005/weights.safetensors",
            Some(""),
        ),
        ("no_state", "RUN.json", Some("{")),
        ("no_manifest", "manifest.json", Some("{")),
        ("no_metrics", "metrics.csv", Some("")),
    ] {
        copy(&project.path("run"), &project.path(name));
        let path = project.path(name).join(file);
        match content {
            Some(content) => fs::write(path, content).unwrap(),
            None if path.is_dir() => fs::remove_dir_all(path).unwrap(),
            None => fs::remove_file(path).unwrap(),
        }
        runs.push(name.to_owned());
    }
    let mut configs = vec![
        "missing.toml".to_owned(),
        "empty".to_owned(),
        "garbage".to_owned(),
    ];
    for (name, text) in [
        ("syntax.toml", "[model\n"),
        ("unknown_key.toml", "[task.go_nogo]\n[model]\nhiden = 3\n"),
        ("unknown_task.toml", "[task.nonsense]\n"),
        ("no_trials.toml", "[task.npz]\nfiles = ['none.npz']\n"),
        (
            "no_program.toml",
            "[task.command]\ncommand = ['no_such_program']\n",
        ),
        (
            "large.toml",
            "[task.go_nogo]\n[model]\nn_units = 999999999\n",
        ),
        (
            "no_device.toml",
            "[task.go_nogo]\n[device]\nbackend = 'wgpu:none'\n",
        ),
    ] {
        project.write(name, text);
        configs.push(name.to_owned());
    }
    (project, runs, configs)
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// All command lines to try with a command.
fn lines(leaf: &Leaf, runs: &[String], configs: &[String]) -> Vec<Vec<String>> {
    let plain = leaf.works(&BTreeMap::new());
    let with = |more: &[&str]| {
        let more = more.iter().map(|word| (*word).to_owned());
        plain.iter().cloned().chain(more).collect::<Vec<_>>()
    };
    let mut lines = vec![leaf.words.clone(), plain.clone(), with(&["--frobnicate"])];
    let replaced = |placeholder: &str, by: &str| leaf.works(&BTreeMap::from([(placeholder, by)]));
    for placeholder in &leaf.positional {
        let bad: Vec<&str> = match placeholder.as_str() {
            "<RUN>" | "<A>" => runs.iter().map(String::as_str).collect(),
            "<CONFIG>" | "<B>" => configs.iter().map(String::as_str).collect(),
            _ => vec!["nonsense", "garbage", "empty", "smoke.toml", "", "99"],
        };
        lines.extend(bad.iter().map(|bad| replaced(placeholder, bad)));
    }
    if leaf.takes_overrides() {
        for bad in [
            "model.hiden=3",
            "=",
            "time.dt_ms=[",
            "task.nonsense={}",
            "~",
            "seed=-1",
        ] {
            lines.push(with(&[bad]));
        }
    }
    if leaf.has("--output") {
        let without: Vec<String> = leaf
            .words
            .iter()
            .cloned()
            .chain(positionals(leaf))
            .collect();
        for bad in [
            "garbage",
            "empty",
            "none/out.svg",
            "smoke.toml/out.svg",
            "run/RUN.json",
        ] {
            let mut line = without.clone();
            for (option, placeholder) in leaf.options.iter().filter(|(name, _)| name != "--output")
            {
                line.extend([option.clone(), leaf.works_for(option, placeholder)]);
            }
            line.extend(["--output".to_owned(), bad.to_owned()]);
            lines.push(line);
        }
    }
    for (option, bad) in [
        ("--checkpoint", "7"),
        ("--checkpoint", "nonsense"),
        ("--trials", "0"),
        ("--threads", "many"),
        ("--threads", "5000"),
        ("--data-root", "none"),
        ("--inputs", "garbage"),
        ("--with", "missing"),
        ("--run-dir", "garbage"),
        ("--run-dir", "smoke.toml/run"),
        ("--init-from", "missing"),
        ("--max-time", "soon"),
        ("--lesion", "99"),
    ] {
        if leaf.has(option) {
            lines.push(with(&[option, bad]));
        }
    }
    lines
}

fn positionals(leaf: &Leaf) -> impl Iterator<Item = String> {
    leaf.positional.iter().filter_map(|word| works(word))
}

/// Asserts that a script can read what is on stdout, and that nothing broke.
#[track_caller]
fn assert_readable(line: &[String], answer: &Answer) {
    for text in answer.stdout.lines() {
        let parsed = serde_json::from_str::<Value>(text);
        assert!(parsed.is_ok(), "{line:?}: {answer:#?}");
    }
    assert_unbroken(line, answer);
}

#[track_caller]
fn assert_unbroken(line: &[String], answer: &Answer) {
    let is_known = matches!(answer.code, Some(0 | 2..=6));
    assert!(
        is_known && !answer.stderr.contains("panicked"),
        "{line:?}: {answer:#?}"
    );
}

#[test]
fn under_json_stdout_is_empty_or_json() {
    let (project, runs, configs) = project();
    for leaf in leaves(&project) {
        let mut codes = BTreeMap::<i32, usize>::new();
        for line in lines(&leaf, &runs, &configs) {
            let mut arguments: Vec<&str> = line.iter().map(String::as_str).collect();
            arguments.push("--json");
            let answer = project.run(&arguments);
            assert_readable(&line, &answer);
            *codes.entry(answer.code.unwrap()).or_default() += 1;
        }
        assert!(
            codes.contains_key(&0),
            "{}: nothing works: {codes:?}",
            leaf.name()
        );
        assert!(codes.contains_key(&2), "{}: {codes:?}", leaf.name());
        for asked in ["--help", "--version"] {
            let arguments: Vec<&str> = leaf.words.iter().map(String::as_str).collect();
            let answer = project.run(&[&arguments[..], &[asked, "--json"]].concat());
            assert_readable(&leaf.words, &answer);
        }
    }
}

/// One object, not two: `jq` and `json.loads` read it whole.
#[test]
fn a_command_that_works_prints_one_object() {
    let (project, ..) = project();
    for leaf in leaves(&project) {
        let line = leaf.works(&BTreeMap::new());
        let mut arguments: Vec<&str> = line.iter().map(String::as_str).collect();
        arguments.push("--json");
        let answer = project.run(&arguments).exits(0);
        assert!(answer.json().is_object(), "{line:?}: {answer:#?}");
    }
}

#[cfg(unix)]
mod unix {
    use std::ffi::{OsStr, OsString};
    use std::fs::{self, File};
    use std::os::unix::ffi::OsStrExt;
    use std::process::Stdio;

    use super::*;

    /// Whoever reads has seen enough: `train-ctrnn completions bash | head -1`.
    #[test]
    fn a_closed_pipe_ends_every_command_silently() {
        let (project, ..) = project();
        let mut all: Vec<Vec<String>> = Vec::new();
        for leaf in leaves(&project) {
            all.push(
                leaf.words
                    .iter()
                    .cloned()
                    .chain(["--help".to_owned()])
                    .collect(),
            );
            all.push(leaf.works(&BTreeMap::new()));
            all.push([leaf.works(&BTreeMap::new()), vec!["--json".to_owned()]].concat());
        }
        all.push(vec!["--version".to_owned()]);
        for line in all {
            let (reader, writer) = std::io::pipe().unwrap();
            drop(reader);
            let arguments: Vec<&str> = line.iter().map(String::as_str).collect();
            let mut command = project.command(&[&arguments[..], &["--quiet"]].concat());
            let output = command.stdout(writer).output().unwrap();
            let answer = Answer::from(output);
            assert_eq!(
                (answer.code, answer.stderr.as_str()),
                (Some(0), ""),
                "{line:?}"
            );
        }
    }

    /// A result that cannot be printed is an error of input and output, for help as for results.
    #[test]
    fn a_full_device_is_an_error() {
        let (project, ..) = project();
        if !Path::new("/dev/full").exists() {
            return;
        }
        let full = || File::options().write(true).open("/dev/full").unwrap();
        for leaf in leaves(&project) {
            let words = |more: &[&str]| -> Vec<String> {
                let more = more.iter().map(|word| (*word).to_owned());
                leaf.words.iter().cloned().chain(more).collect()
            };
            let works = || leaf.works(&BTreeMap::new());
            let lines: [&dyn Fn() -> Vec<String>; 4] = [
                &|| words(&["--help"]),
                &|| words(&["--help", "--json"]),
                &works,
                &|| [works(), vec!["--json".to_owned()]].concat(),
            ];
            for line in lines {
                let run = |stdout: Stdio| {
                    let mut command = project.command(&[]);
                    Answer::from(command.args(line()).stdout(stdout).output().unwrap())
                };
                let is_printing = !run(Stdio::piped()).exits(0).stdout.is_empty();
                let answer = run(full().into());
                if is_printing {
                    answer
                        .exits(5)
                        .says(&["error[F001]: cannot write to stdout"]);
                } else {
                    answer.exits(0);
                }
            }
        }
    }

    /// A folder from a machine with another encoding: every command reads and writes there.
    #[test]
    fn paths_need_not_be_utf_8() {
        let (project, ..) = project();
        let odd = |name: &str| [name.as_bytes(), b"\xff"].concat();
        let named = |name: &str| OsStr::from_bytes(&odd(name)).to_owned();
        copy(&project.path("run"), &project.path(named("run")));
        fs::copy(project.path("smoke.toml"), project.path(named("smoke"))).unwrap();
        for leaf in leaves(&project) {
            for json in [&[][..], &["--json"]] {
                let mut line: Vec<OsString> = leaf.words.iter().map(Into::into).collect();
                for word in leaf.works(&BTreeMap::new()).split_off(line.len()) {
                    line.push(match word.as_str() {
                        "run" => named("run"),
                        "smoke.toml" => named("smoke"),
                        "run/model/weights.npz" => {
                            OsStr::from_bytes(b"run\xff/model/weights.npz").to_owned()
                        }
                        "imported" => named(&word),
                        project if project.starts_with("project") => named(&word),
                        "out.npz" => named("out"),
                        "out.svg" => OsStr::from_bytes(b"out\xff.svg").to_owned(),
                        _ => word.into(),
                    });
                }
                match leaf.name().as_str() {
                    "analyze" | "report" => line.extend(["-o".into(), named(&leaf.name())]),
                    "tasks preview" => {
                        let figure = OsStr::from_bytes(b"preview\xff.svg");
                        line.extend(["-o".into(), figure.to_owned()]);
                    }
                    "train" => line.extend(["--run-dir".into(), named("trained")]),
                    _ => {}
                }
                let mut command = project.command(&[]);
                command.args(&line).args(json).stdin(Stdio::null());
                let answer = Answer::from(command.output().unwrap()).exits(0);
                let is_object = |text: &str| serde_json::from_str::<Value>(text).is_ok();
                assert!(
                    json.is_empty() || is_object(&answer.stdout),
                    "{line:?}: {answer:#?}"
                );
            }
        }
        for name in ["imported", "out", "trained", "analyze", "report"] {
            assert!(project.path(named(name)).exists(), "{name}");
        }
        let refused = |line: &[OsString]| {
            let mut command = project.command(&[]);
            Answer::from(command.args(line).arg("--json").output().unwrap())
        };
        // What a configuration would have to name.
        let init_from = [
            "train".into(),
            "smoke.toml".into(),
            "--init-from".into(),
            named("run"),
        ];
        refused(&init_from)
            .exits(2)
            .says(&["is not UTF-8", "rename"]);
        let again = [
            "train".into(),
            named("smoke"),
            "--run-dir".into(),
            named("trained"),
        ];
        refused(&again)
            .exits(5)
            .says(&["exists already", "--force"]);
    }

    /// The folder in which a command is run may have any name, too; a file of trials in it cannot be named.
    #[test]
    fn the_current_folder_need_not_be_utf_8() {
        let project = Project::new();
        let here = project.path(OsStr::from_bytes(b"here\xff"));
        fs::create_dir(&here).unwrap();
        fs::copy(project.path("smoke.toml"), here.join("smoke.toml")).unwrap();
        let run = |arguments: &[&str]| {
            let mut command = project.command(arguments);
            Answer::from(command.current_dir(&here).output().unwrap())
        };
        run(&Project::training("run", &["train.steps=1", "--json"])).exits(0);
        run(&["eval", "run", "--json"]).exits(0);
        let export = [
            "tasks",
            "export",
            "go_nogo",
            "--trials=6",
            "-o",
            "trials.npz",
        ];
        run(&export).exits(0);
        let files = "task.npz.files=['trials.npz']";
        let answer = run(&Project::training("npz", &[files, "--json"])).exits(2);
        answer.says(&["task.npz.files[0] leads to", "which is not UTF-8"]);
    }
}
