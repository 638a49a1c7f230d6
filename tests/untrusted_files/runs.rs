//! Run folders from anybody.

use super::{Case, Evil, assert_all_refused, case};
use crate::project::Project;

/// A run with checkpoints at steps 5 and 10.
fn run() -> Project {
    let project = Project::new();
    project.train("run", &["train.steps=10"]).exits(0);
    project
}

const LAST: &str = "run/checkpoints/step-00000010";

/// Each case is put in the place of one file; afterwards the file is there again.
fn assert_refused_in_place(
    project: &Project,
    file: &str,
    cases: Vec<Case>,
    arguments: &[&str],
    code: i32,
) {
    let whole = project.bytes(file);
    assert_all_refused(project, file, cases, arguments, code);
    project.write(file, whole);
}

fn no_json() -> Vec<Case> {
    let mut cases = vec![
        case("nothing", "", "not the JSON"),
        case("deep JSON", "[".repeat(1_000_000), "not the JSON"),
        case("deep objects", r#"{"a":"#.repeat(500_000), "not the JSON"),
        case("4 MiB and 1", vec![b' '; (4 << 20) + 1], "at most 4194304"),
        case(
            "8 GiB of nothing",
            Evil::Hole(vec![], 8 << 30),
            "at most 4194304",
        ),
        case("another schema", r#"{"schema": 99}"#, "schema version 99"),
        case(
            "a schema of 2^63",
            r#"{"schema": 9223372036854775808}"#,
            "not the JSON",
        ),
        case("not UTF-8", vec![b'"', 0xff, b'"'], "not the JSON"),
        case("a folder", Evil::Folder, ""),
    ];
    #[cfg(unix)]
    cases.push(case("a pipe", Evil::Pipe, ""));
    cases
}

#[test]
fn run_json() {
    let project = run();
    let resume = ["resume", "run", "train.steps=20"];
    assert_refused_in_place(&project, "run/RUN.json", no_json(), &resume, 4);
}

#[test]
fn manifests_of_checkpoints() {
    let project = run();
    let manifest = project.text(format!("{LAST}/MANIFEST.json"));
    let with = |from: &str, to: &str| {
        assert!(manifest.contains(from), "{manifest}");
        manifest.replace(from, to)
    };
    let mut cases = no_json();
    cases.extend([
        case(
            "a file outside of its folder",
            with("state.json", "../../RUN.json"),
            "is not an allowed name",
        ),
        case(
            "an absolute file",
            with("state.json", "/etc/hostname"),
            "is not an allowed name",
        ),
        case(
            "itself",
            with("state.json", "MANIFEST.json"),
            "is not an allowed name",
        ),
        case(
            "a file that is not there",
            with("state.json", "nothing.json"),
            "does not exist",
        ),
        case(
            "another step",
            with("\"step\": 10", "\"step\": 11"),
            "belongs to step 11",
        ),
        case(
            "a step of 2^64",
            with("\"step\": 10", "\"step\": 18446744073709551616"),
            "not the JSON",
        ),
        case(
            "files of 2^63 bytes",
            with("\"bytes\": ", "\"bytes\": 922337203685477"),
            "but the manifest says",
        ),
        case(
            "negative files",
            with("\"bytes\": ", "\"bytes\": -"),
            "not the JSON",
        ),
        case(
            "a key of its own",
            with("\"schema\": 1,", "\"schema\": 1, \"run\": 1,"),
            "not the JSON",
        ),
        case(
            "another digest",
            with("\"xxh3\": \"", "\"xxh3\": \"0"),
            "has digest",
        ),
    ]);
    let file = format!("{LAST}/MANIFEST.json");
    let verify = ["eval", "run", "--checkpoint", "last"];
    assert_refused_in_place(&project, &file, cases, &verify, 4);
}

/// The manifest keeps its promises; what it promises is refused.
#[test]
fn checkpoints_with_true_manifests() {
    let project = run();
    let folder = project.path(LAST);
    let files = ctrnn_files::read_checkpoint(&folder).unwrap();
    let state = String::from_utf8(files["state.json"].clone()).unwrap();
    let with = |from: &str, to: &str| {
        assert!(state.contains(from), "{state}");
        state.replace(from, to).into_bytes()
    };
    let mut nan = files["weights.safetensors"].clone();
    let end = nan.len();
    nan[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    for (file, content, says) in [
        (
            "state.json",
            b"{}".to_vec(),
            "is not the JSON expected here",
        ),
        (
            "state.json",
            "[".repeat(1_000_000).into_bytes(),
            "is not the JSON expected here",
        ),
        (
            "state.json",
            with("\"step\": 10", "\"step\": 9"),
            "is that of step 9",
        ),
        (
            "state.json",
            with("\"step\": 10", "\"step\": -1"),
            "is not the JSON expected here",
        ),
        (
            "state.json",
            with("\"schema\": 1", "\"schema\": 2"),
            "has schema version 2",
        ),
        ("weights.safetensors", nan, "NaN"),
        ("weights.safetensors", b"".to_vec(), "needs 8 bytes"),
        (
            "weights.safetensors",
            files["optimizer.safetensors"].clone(),
            "error[D003]",
        ),
        (
            "optimizer.safetensors",
            u64::MAX.to_le_bytes().to_vec(),
            "it declares",
        ),
    ] {
        let mut evil = files.clone();
        evil.insert(file.into(), content);
        let run = ctrnn_files::RunFolder::at(project.path("run"));
        run.write_checkpoint(10, &evil).unwrap();
        let refused = |arguments: &[&str]| {
            let cases = vec![case(file, "", says)];
            assert_all_refused(&project, "unused", cases, arguments, 4);
        };
        refused(&["resume", "run", "train.steps=20"]);
        refused(&["eval", "run", "--checkpoint", "10"]);
    }
}

#[test]
fn files_of_a_checkpoint_that_are_no_files() {
    let project = run();
    let file = format!("{LAST}/state.json");
    let mut cases = vec![
        case("a folder", Evil::Folder, "not a regular file"),
        case(
            "8 GiB of nothing",
            Evil::Hole(vec![], 8 << 30),
            "is 8589934592 bytes long",
        ),
    ];
    #[cfg(unix)]
    cases.extend([
        case("a pipe", Evil::Pipe, "not a regular file"),
        case(
            "a link to a copy",
            Evil::LinkTo("../step-00000005/state.json"),
            "not a regular file",
        ),
        case("a device", Evil::LinkTo("/dev/zero"), "not a regular file"),
    ]);
    let eval = ["eval", "run", "--checkpoint", "last"];
    assert_refused_in_place(&project, &file, cases, &eval, 4);
}

#[test]
fn pointers() {
    let project = run();
    let mut cases = vec![
        case("nothing", "", "not the name of a checkpoint"),
        case(
            "a parent folder",
            "../../other/step-00000010\n",
            "not the name of a checkpoint",
        ),
        case(
            "a step beyond 64 bits",
            "step-99999999999999999999\n",
            "not the name of a checkpoint",
        ),
        case("a mebibyte", vec![b'0'; 1 << 20], "at most 64 are read"),
        case("a folder", Evil::Folder, "not a regular file"),
    ];
    #[cfg(unix)]
    cases.push(case("a pipe", Evil::Pipe, "not a regular file"));
    let eval = ["eval", "run", "--checkpoint", "last"];
    assert_refused_in_place(&project, "run/checkpoints/last", cases, &eval, 4);
}

/// What is written into must be the run's own, else a run folder from somebody could change any file.
#[cfg(unix)]
#[test]
fn links_where_a_run_is_written() {
    let project = run();
    for file in ["run/.lock", "run/events.jsonl"] {
        project.write("thesis.txt", "years of work");
        let target = project.path("thesis.txt");
        let resume = ["resume", "run", "train.steps=20"];
        let cases = vec![
            case("a link", Evil::LinkTo("../thesis.txt"), "is a link"),
            case("a pipe", Evil::Pipe, "not a regular file"),
        ];
        let whole = project.bytes(file);
        assert_all_refused(&project, file, cases, &resume, 4);
        std::fs::hard_link(&target, project.path(file)).unwrap();
        project.run(&resume).exits(4).says(&["is a link"]);
        std::fs::remove_file(project.path(file)).unwrap();
        project.write(file, whole);
        assert_eq!(project.text("thesis.txt"), "years of work");
    }
}

/// These are replaced, never written through.
#[cfg(unix)]
#[test]
fn links_where_a_file_is_replaced() {
    let project = run();
    for file in [
        "run/metrics.csv",
        "run/checkpoints/last",
        "run/config.resolved.toml",
    ] {
        let outside = project.bytes(file);
        project.write("outside", &outside);
        std::fs::remove_file(project.path(file)).unwrap();
        std::os::unix::fs::symlink(project.path("outside"), project.path(file)).unwrap();
        project.run(&["resume", "run", "train.steps=11"]);
        assert_eq!(project.bytes("outside"), outside, "{file}");
    }
}
