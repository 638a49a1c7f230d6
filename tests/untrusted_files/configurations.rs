//! Configurations and overrides from anybody.

use super::{Case, Evil, assert_all_refused, case};
use crate::project::{Project, SMOKE};

fn nested(open: &str, close: &str, depth: usize) -> String {
    format!("x = {}1{}", open.repeat(depth), close.repeat(depth))
}

fn cases() -> Vec<Case> {
    let lines =
        |line: fn(usize) -> String, count: usize| -> String { (0..count).map(line).collect() };
    let dotted = vec!["a"; 79].join(".");
    vec![
        case("nothing", "", "names no task"),
        case("a program", b"\x7fELF\x02\x01\x01\0".to_vec(), "not TOML"),
        case(
            "not UTF-8",
            b"version = 1\n# \xff\xfe".to_vec(),
            "not UTF-8",
        ),
        case("zeros", vec![0; 1000], "not TOML"),
        case(
            "a mebibyte and 1",
            vec![b'#'; (1 << 20) + 1],
            "at most 1048576 are read",
        ),
        case(
            "8 GiB of nothing",
            Evil::Hole(vec![], 8 << 30),
            "at most 1048576 are read",
        ),
        case(
            "100000 lists in each other",
            nested("[", "]", 100_000),
            "not TOML",
        ),
        case(
            "100000 open lists",
            format!("x = {}", "[".repeat(100_000)),
            "not TOML",
        ),
        case(
            "100000 tables in each other",
            nested("{a = ", "}", 100_000),
            "not TOML",
        ),
        case(
            "a key of 100000 parts",
            format!("{} = 1", vec!["a"; 100_000].join(".")),
            "not TOML",
        ),
        case(
            "a table of 100000 parts",
            format!("[{}]", vec!["a"; 100_000].join(".")),
            "not TOML",
        ),
        case(
            "tables of 79 parts in each other",
            nested(&format!("{{{dotted} = "), "}", 75),
            "in each other",
        ),
        case(
            "70 lists in each other",
            nested("[", "]", 70),
            "in each other",
        ),
        case(
            "30000 unknown keys",
            lines(|k| format!("key{k} = {k}\n"), 30_000),
            "unknown key",
        ),
        case(
            "30000 unknown tables",
            lines(|k| format!("[t{k}]\n"), 30_000),
            "unknown key",
        ),
        case(
            "30000 unknown tasks",
            lines(|k| format!("[task.t{k}]\n"), 30_000),
            "unknown task",
        ),
        case(
            "one key 100000 times",
            "seed = 1\n".repeat(100_000),
            "not TOML",
        ),
        case("100000 errors", "= \n".repeat(100_000), "not TOML"),
        case(
            "a list of 200000 words",
            format!("{SMOKE}\n[model.x]\ny = [{}]", "'a',".repeat(200_000)),
            "unknown key",
        ),
        case(
            "a wrong list of 100000",
            format!(
                "model.initial_state = [{}]\ntask.go_nogo = {{}}",
                "'a',".repeat(100_000)
            ),
            "model.initial_state[0] must be a number",
        ),
        case(
            "a word of 500000 letters",
            format!("seed = '{}'", "x".repeat(500_000)),
            "seed must be an integer",
        ),
        case(
            "a key of 500000 letters",
            format!("{} = 1", "x".repeat(500_000)),
            "unknown key",
        ),
        case(
            "a path of 500000 letters",
            format!(
                "model.init.file = '{}/w.npz'\ntask.go_nogo = {{}}",
                "x/".repeat(250_000)
            ),
            "model.init.file has 500006 bytes",
        ),
        case(
            "an integer of 500000 digits",
            format!("seed = {}", "9".repeat(500_000)),
            "does not fit in 64 bits",
        ),
        case(
            "a float beyond all floats",
            "[train]\noptimizer = { lr = 1e400 }",
            "must be a finite number",
        ),
        case(
            "a duration of a million years",
            "[task.go_nogo]\ndelay_ms = 3e19",
            "more than 1000000 time steps",
        ),
        case(
            "more units than any machine has",
            "model.n_units = 9223372036854775807\n[task.go_nogo]",
            "at most 16384",
        ),
        case("an escape sequence", "\"\\u001b[2J\" = 1", "unknown key"),
        case("a raw escape sequence", "\x1b[2J = 1", "not TOML"),
        case(
            "a date",
            "seed = 1979-05-27T07:32:00Z",
            "seed must be an integer",
        ),
        case(
            "another version",
            "version = 999",
            "this build reads version 1",
        ),
        case("a folder", Evil::Folder, "it is a folder"),
        #[cfg(unix)]
        case("a pipe", Evil::Pipe, "not a regular file"),
        #[cfg(unix)]
        case("a device", Evil::LinkTo("/dev/zero"), "not a regular file"),
        #[cfg(unix)]
        case("a link to itself", Evil::LinkTo("evil.toml"), "cannot read"),
    ]
}

#[test]
fn configurations() {
    let project = Project::new();
    let train = ["train", "evil.toml", "--run-dir=run"];
    assert_all_refused(&project, "evil.toml", cases(), &train, 2);
    assert!(!project.path("run").exists());
}

#[test]
fn overrides() {
    let project = Project::new();
    let deep = format!("{}=1", vec!["a"; 50_000].join("."));
    let lists = format!("model.initial_state={}", "[".repeat(100_000));
    let tables = format!("model={}1{}", "{a=".repeat(30_000), "}".repeat(30_000));
    let long = format!("model.activation={}", "x".repeat(100_000));
    for (text, says) in [
        (deep.as_str(), "a key of 50000 parts"),
        (&lists, "not TOML"),
        (&tables, "not TOML"),
        (&long, "is not an activation"),
        ("\x1b[2J=1", "is not a key"),
    ] {
        let cases = vec![case("an override", SMOKE, says)];
        let train = ["train", "evil.toml", text, "--run-dir=run"];
        assert_all_refused(&project, "evil.toml", cases, &train, 2);
    }
}

/// A sweep file is one more configuration from anybody.
#[test]
fn sweep_files() {
    let project = Project::new();
    let check = ["sweep", "check", "evil.toml"];
    let mut cases = cases();
    let own = [
        (
            "lists in each other",
            format!(
                "base = 'b'\n[grid]\na = [{}1{}]",
                "[".repeat(60),
                "]".repeat(60)
            ),
            "in each other",
        ),
        (
            "keys of 70 parts in each other",
            format!(
                "base = 'b'\n[[list]]\n{0} = {{ {0} = 1 }}",
                vec!["a"; 70].join(".")
            ),
            "in each other",
        ),
        (
            "a distribution of 70 parts",
            format!(
                "base = 'b'\n[random]\nn = 3\n{} = {{ choice = [1] }}",
                vec!["a"; 70].join(".")
            ),
            "in each other",
        ),
        (
            "more trials than there are numbers",
            format!(
                "base = 'b'\nseeds = 100000\n[grid]\n{}",
                (0..40)
                    .map(|k| format!("a{k} = [1, 2, 3]\n"))
                    .collect::<String>()
            ),
            "more than 100000 trials",
        ),
        (
            "a folder outside",
            "base = 'b'\nname = '../../etc'".to_owned(),
            "cannot be the name of a folder",
        ),
    ];
    let of_any_file = ["not TOML", "not UTF-8", "at most 1048576 are read"];
    cases.retain(|(_, _, says)| of_any_file.contains(says));
    cases.extend(
        own.into_iter()
            .map(|(name, text, says)| case(name, text, says)),
    );
    assert_all_refused(&project, "evil.toml", cases, &check, 2);
    assert!(!project.path("sweeps").exists());
}
