//! Files and folders that a user names with `-o` or `--run-dir`: nothing that is there is lost, and only files are replaced.

use std::fs;

use crate::project::Project;

fn run() -> Project {
    let project = Project::new();
    project.train("run", &["train.steps=2"]).exits(0);
    project
}

/// Every command that writes a file, and a name for it.
const WRITERS: [(&[&str], &str); 7] = [
    (&["simulate", "run", "--trials", "2"], "out.npz"),
    (&["plot", "run", "weights", "--trials", "8"], "out.svg"),
    (&["report", "run", "--trials", "8"], "out.html"),
    (&["export", "run", "--to", "npz"], "out.npz"),
    (&["export", "run", "--to", "safetensors"], "out.safetensors"),
    (&["tasks", "preview", "go_nogo"], "out.svg"),
    (&["tasks", "export", "go_nogo", "--trials", "2"], "out.npz"),
];

fn write(command: &[&'static str], path: &'static str) -> Vec<&'static str> {
    [command, &["-o", path]].concat()
}

#[test]
fn a_file_is_replaced_only_by_force() {
    let project = run();
    for (command, path) in WRITERS {
        project.write(path, "years of work");
        let arguments = write(command, path);
        let answer = project.run(&arguments).exits(5);
        answer.says(&[
            &format!("error[F002]: {path} exists already; nothing was overwritten"),
            "replace it: --force",
        ]);
        assert_eq!(project.text(path), "years of work", "{command:?}");
        let forced = [&arguments[..], &["--force"]].concat();
        project.run(&forced).exits(0);
        assert_ne!(project.bytes(path), b"years of work", "{command:?}");
    }
    // Beside a figure stand its arrays.
    fs::remove_file(project.path("out.svg")).unwrap();
    let plot = ["plot", "run", "weights", "--trials=8", "-o", "out.svg"];
    project
        .run(&plot)
        .exits(5)
        .says(&["out.npz exists already"]);
    assert!(!project.path("out.svg").exists());
}

/// A run among the files of another would be lost with them.
#[test]
fn a_run_does_not_begin_among_the_files_of_another() {
    let project = run();
    for path in [
        "run/model/inner",
        "run/initial/inner",
        "run/checkpoints/inner",
        "run/tb/inner",
    ] {
        project.train(path, &["train.steps=1"]).exits(5).says(&[
            &format!("error[F002]: {path} is where the run "),
            "keeps its own files",
            "help: ",
        ]);
        assert!(!project.path(path).exists(), "{path}");
    }
    project.train("run/inner", &["train.steps=1"]).exits(0);
}

#[test]
fn the_files_of_a_run_stay_even_by_force() {
    let project = run();
    let before = project.tree("run");
    for (command, _) in WRITERS {
        for path in [
            "run/RUN.json",
            "run/config.toml",
            "run/metrics.csv",
            "run/../run/checkpoints/last",
            "run/model/weights.npz",
            "run/model/new.svg",
            "run/checkpoints/new.svg",
        ] {
            let forced = [&write(command, path)[..], &["--force"]].concat();
            let answer = project.run(&forced);
            if answer.code != Some(2) {
                answer.exits(5).says(&["keeps its own files", "help: "]);
            } // a figure must end in .svg, .pdf or .png
        }
    }
    for output in ["run/model", "run/model/torch", "run/checkpoints/torch"] {
        let export = ["export", "run", "--to", "torch", "--force", "-o", output];
        project.run(&export).exits(5);
    }
    let analyze = ["analyze", "run", "pca", "--force", "-o", "run/model"];
    project.run(&analyze).exits(5);
    let import = ["import", "run/model/weights.npz", "--from", "npz"];
    let import = [&import[..], &["--force", "-o", "run/model/imported"]].concat();
    project.run(&import).exits(5);
    assert!(project.tree("run") == before, "the run was touched");
}

#[test]
fn what_is_no_place_for_a_file_is_refused() {
    let project = run();
    fs::create_dir(project.path("folder")).unwrap();
    for (command, _) in WRITERS {
        for path in ["folder", "missing/out.svg", "smoke.toml/out.svg", ""] {
            let forced = [&write(command, path)[..], &["--force"]].concat();
            let answer = project.run(&forced);
            assert!(matches!(answer.code, Some(2 | 5)), "{answer:#?}");
            answer.says(&["error[", "help: "]);
        }
    }
}

/// Results have a place of their own, where they are replaced; where a user names one, files stay.
#[test]
fn analyses_and_reports_are_repeated() {
    let project = run();
    let analyze = ["analyze", "run", "weights", "--trials", "8"];
    let report = ["report", "run", "--trials", "8"];
    for _ in 0..2 {
        project.run(&analyze).exits(0);
        project.run(&report).exits(0);
    }
    let named = [&analyze[..], &["-o", "found"]].concat();
    project.run(&named).exits(0);
    let before = project.tree("found");
    project.run(&named).exits(5).says(&["--force"]);
    assert!(project.tree("found") == before);
    // One file is in the way: none is written.
    fs::remove_file(project.path("found/weights.npz")).unwrap();
    project.run(&named).exits(5);
    assert!(!project.path("found/weights.npz").exists());
    project.run(&[&named[..], &["--force"]].concat()).exits(0);
    assert!(project.tree("found") == before);
}

#[test]
fn a_folder_of_an_export_is_replaced_if_nothing_else_is_in_it() {
    let project = run();
    let export = ["export", "run", "--to", "torch", "-o", "module"];
    let forced = [&export[..], &["--force"]].concat();
    project.run(&export).exits(0);
    project.run(&export).exits(5).says(&["exists already"]);
    project.run(&forced).exits(0);
    project.write("module/notes.md", "years of work");
    let answer = project.run(&forced).exits(5);
    answer.says(&["module also holds notes.md, which would be lost"]);
    assert_eq!(project.text("module/notes.md"), "years of work");
}

#[test]
fn an_imported_run_replaces_a_run_by_force() {
    let project = run();
    let import = ["import", "run/model/weights.npz", "--from", "npz", "-o"];
    let again = |run: &'static str, more: &[&'static str]| {
        project.run(&[&import[..], &[run], more].concat())
    };
    again("imported", &[]).exits(0);
    again("imported", &[]).exits(5).says(&["--force"]);
    again("imported", &["--force"]).exits(0);
    project.write("imported/notes.md", "years of work");
    again("imported", &["--force"]).exits(5).says(&["notes.md"]);
    fs::create_dir(project.path("thesis")).unwrap();
    again("thesis", &["--force"]).exits(5);
}

/// `--force` names what it would lose, and loses nothing.
#[test]
fn a_run_with_other_files_is_not_replaced() {
    let project = run();
    project.run(&["report", "run", "--trials=8"]).exits(0);
    let analyze = ["analyze", "run", "weights", "--trials=8"];
    project.run(&analyze).exits(0);
    let force = || project.train("run", &["train.steps=1", "--force"]);
    force().exits(0); // reports and analyses are of the run that goes
    assert!(!project.path("run/report.html").exists());

    project.train("run/nested", &["train.steps=1"]).exits(0);
    fs::create_dir(project.path("run/figures")).unwrap();
    project.write("run/figures/figure1.svg", "years of work");
    project.write("run/notes.md", "years of work");
    project.write("run/checkpoints/why.txt", "years of work");
    let before = project.tree("run");
    force().exits(5).says(&[
        "run also holds figures, nested, notes.md, checkpoints/why.txt, which would be lost",
        "help: move these files",
    ]);
    assert!(project.tree("run") == before, "the run was touched");
}

#[cfg(unix)]
mod nodes {
    use std::fs::{self, File};
    use std::io::Read;
    use std::os::unix::fs::{FileTypeExt, symlink};
    use std::process::{Command, Stdio};
    use std::thread;

    use ctrnn_files::npz::NpzReader;

    use super::{WRITERS, run, write};

    fn make(program: &str, arguments: &[&str], folder: &std::path::Path) -> bool {
        let mut command = Command::new(program);
        let made = command.args(arguments).current_dir(folder).output();
        made.is_ok_and(|made| made.status.success())
    }

    #[test]
    fn a_link_stays_and_its_target_is_written() {
        let project = run();
        fs::create_dir(project.path("elsewhere")).unwrap();
        for (command, name) in WRITERS {
            let target = project.path("elsewhere").join(name);
            let link = project.path(name);
            let beside = project.path("out.npz");
            for old in [&target, &link, &beside] {
                let _ = fs::remove_file(old);
            }
            symlink(format!("elsewhere/{name}"), &link).unwrap();
            let arguments = write(command, name);
            project.run(&arguments).exits(0); // nothing was there
            assert!(link.is_symlink() && target.is_file(), "{command:?}");
            fs::write(&target, "years of work").unwrap();
            project.run(&arguments).exits(5);
            assert_eq!(fs::read(&target).unwrap(), b"years of work");
            let forced = [&arguments[..], &["--force"]].concat();
            project.run(&forced).exits(0);
            assert!(link.is_symlink(), "{command:?}");
            assert_ne!(fs::read(&target).unwrap(), b"years of work");
        }
        // A link to a run, too.
        symlink("run", project.path("link")).unwrap();
        project
            .train("link", &["train.steps=1", "--force"])
            .exits(0);
        assert!(project.path("link").is_symlink());
        assert_eq!(project.json("run/model/model.json")["step"], 1);
        let export = ["export", "run", "--to", "torch", "--force", "-o", "linked"];
        fs::create_dir(project.path("elsewhere/module")).unwrap();
        symlink("elsewhere/module", project.path("linked")).unwrap();
        project.run(&export).exits(0);
        assert!(project.path("linked").is_symlink());
        assert!(project.path("elsewhere/module/torch_model.py").is_file());
    }

    #[test]
    fn a_link_into_a_run_is_refused() {
        let project = run();
        let before = project.tree("run");
        symlink("run/RUN.json", project.path("out.npz")).unwrap();
        let simulate = ["simulate", "run", "--force", "-o", "out.npz"];
        project.run(&simulate).exits(5).says(&["keeps its own"]);
        assert!(project.tree("run") == before);
    }

    /// A reader at the other end gets what a file would hold.
    #[test]
    fn a_pipe_is_written_through() {
        let project = run();
        for (command, name) in WRITERS {
            let _ = fs::remove_file(project.path(name));
            let _ = fs::remove_file(project.path("out.npz"));
            project.run(&write(command, name)).exits(0);
            let expected = project.bytes(name);
            fs::remove_file(project.path(name)).unwrap();
            if !make("mkfifo", &[name], &project.path("")) {
                return;
            }
            let pipe = project.path(name);
            let reader = thread::spawn(move || {
                let mut read = Vec::new();
                File::open(pipe).unwrap().read_to_end(&mut read).unwrap();
                read
            });
            project.run(&write(command, name)).exits(0);
            let there = fs::symlink_metadata(project.path(name)).unwrap();
            assert!(there.file_type().is_fifo(), "{command:?}");
            assert!(reader.join().unwrap() == expected, "{command:?}");
        }
    }

    /// Devices like `/dev/null` and `/dev/full`, made in the folder of the test: only root can.
    #[test]
    fn a_device_is_written_through() {
        let project = run();
        let folder = project.path("");
        let null = ["null.svg", "c", "1", "3"];
        if !make("mknod", &null, &folder) || !make("mknod", &["full", "c", "1", "7"], &folder) {
            return;
        }
        if File::options()
            .write(true)
            .open(project.path("full"))
            .is_err()
        {
            return; // the file system has no devices
        }
        for (command, _) in WRITERS {
            project.run(&write(command, "null.svg")).exits(0);
            let there = fs::symlink_metadata(project.path("null.svg")).unwrap();
            assert!(there.file_type().is_char_device(), "{command:?}");
            let full = project.run(&write(command, "full"));
            full.exits(5)
                .says(&["cannot write full", "free some space"]);
        }
        let many = ["plot", "run", "fixed_points", "-o", "null.svg"];
        let answer = project.run(&many);
        if answer.code == Some(2) {
            answer.says(&["null.svg takes one", "analyze RUN fixed_points -o DIR"]);
        }
        let there = fs::symlink_metadata(project.path("null.svg")).unwrap();
        assert!(there.file_type().is_char_device());
        assert!(!project.path("null.npz").exists());
    }

    /// A link like `/dev/stdout` leads wherever the output goes: to a pipe, or to a file of the shell.
    #[cfg(target_os = "linux")]
    #[test]
    fn the_standard_output_is_written_through() {
        let project = run();
        symlink("/proc/self/fd/1", project.path("stdout")).unwrap();
        let simulate = ["simulate", "run", "--trials", "2", "-o"];
        let to = |path| [&simulate[..], &[path]].concat();
        project.run(&to("out.npz")).exits(0);
        let expected = project.bytes("out.npz");
        let piped = project.command(&to("stdout")).output().unwrap();
        assert!(piped.stdout == expected);

        let file = File::create(project.path("redirected.npz")).unwrap();
        let mut command = project.command(&to("stdout"));
        let status = command.stdout(file).stderr(Stdio::null()).status();
        assert!(status.unwrap().success());
        assert!(project.bytes("redirected.npz") == expected);
        assert!(NpzReader::open(&project.path("redirected.npz")).is_ok());

        let json = [&to("stdout")[..], &["--json"]].concat();
        let answer = project.run(&json).exits(2);
        assert_eq!(answer.stdout, "");
        answer.says(&["error[U005]", "leave out --json"]);
        let page = project.run(&["report", "run", "-o", "stdout"]);
        assert!(page.stdout.starts_with("<!DOCTYPE html>"));
        let plot = ["plot", "run", "weights", "-o", "stdout"];
        assert!(project.run(&plot).exits(0).stdout.starts_with("<svg"));
        assert!(project.path("stdout").is_symlink());
    }

    /// Whoever reads has seen enough.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_reader_may_leave() {
        let project = run();
        symlink("/proc/self/fd/1", project.path("stdout")).unwrap();
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let report = ["report", "run", "--trials", "8", "-o", "stdout"];
        let mut command = project.command(&report);
        let output = command.stdout(writer).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
}

/// A run may come from anybody: a link in it, at a place that the program itself chooses, must not lead to the user's files.
#[cfg(unix)]
#[test]
fn links_in_a_run_are_not_followed() {
    use std::os::unix::fs::symlink;
    let project = run();
    project.write("precious", "years of work");
    let precious = project.path("precious");
    symlink(&precious, project.path("run/report.html")).unwrap();
    fs::create_dir(project.path("run/analysis")).unwrap();
    symlink(&precious, project.path("run/analysis/weights.svg")).unwrap();
    let report: &[&str] = &["report", "run", "--trials", "8"];
    let analyze: &[&str] = &["analyze", "run", "weights", "--trials", "8"];
    for command in [report, analyze] {
        project.run(command).exits(4).says(&["is a link", "help: "]);
    }
    assert_eq!(project.text("precious"), "years of work");
}

/// A folder that is missing is found before the work, and named without what is written in between.
#[test]
fn a_missing_folder_is_found_before_the_work() {
    let project = Project::new();
    project.train("run", &["train.steps=1"]).exits(0);
    project.write("file", "");
    for command in [
        &["simulate", "run", "-o", "missing/x.npz"][..],
        &["plot", "run", "pca", "-o", "missing/x.svg"],
        &["report", "run", "-o", "missing/x.html"],
        &["export", "run", "--to", "npz", "-o", "missing/x.npz"],
        &[
            "export",
            "run",
            "--to",
            "safetensors",
            "-o",
            "missing/x.safetensors",
        ],
        &[
            "tasks",
            "export",
            "go_nogo",
            "--trials",
            "4",
            "-o",
            "missing/x.npz",
        ],
    ] {
        let answer = project.run(command).exits(5);
        let says = "missing is not a folder";
        let answer = answer.says(&[
            "cannot write missing/x.",
            says,
            "help: make it: mkdir -p missing",
        ]);
        assert!(!answer.stderr.contains("tmp"), "{answer:?}");
    }
    for command in [
        &["analyze", "run", "pca", "-o", "file/x"][..],
        &["export", "run", "--to", "torch", "-o", "file/x"],
        &[
            "train",
            "smoke.toml",
            "train.steps=1",
            "--run-dir",
            "file/x",
        ],
    ] {
        project
            .run(command)
            .exits(5)
            .says(&["file is not a folder", "help: "]);
    }
}

/// Files among the states of a run are named before the states are replaced.
#[test]
fn files_among_the_states_of_a_run_are_kept() {
    let project = Project::new();
    project.train("run", &["train.steps=5"]).exits(0);
    for file in [
        "model/mine.npz",
        "initial/mine.npz",
        "checkpoints/step-00000005/mine.npz",
        "analysis/ratesofchange.svg",
    ] {
        let path = project.path("run").join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "mine").unwrap();
        let again = project.train("run", &["train.steps=5", "--force"]);
        again.exits(5).says(&["which would be lost", file]);
        if file.starts_with("model") {
            let resume = ["resume", "run", "train.steps=10"];
            project.run(&resume).exits(5).says(&[file]);
        }
        fs::remove_file(&path).unwrap();
    }
    project.train("run", &["train.steps=5", "--force"]).exits(0);
    let inside = project.train("run/model/other", &["train.steps=1"]);
    inside.exits(5).says(&["is where the run"]);
}
