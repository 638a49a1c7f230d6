//! Robustness of the reader: any text of a configuration or an override yields a run or errors, and never a panic.
//!
//! `CTRNN_CASES=N cargo test -p ctrnn-config any_text` tries N cases of each property (`just any-bytes`).

use std::path::Path;

use ctrnn_tasks::Registry;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::RngSeed;

use super::{Reading, Source, resolve};
use crate::diagnostic::ConfigErrors;

fn config() -> ProptestConfig {
    let cases = std::env::var("CTRNN_CASES")
        .ok()
        .and_then(|n| n.parse().ok());
    ProptestConfig {
        cases: cases.unwrap_or(10_000),
        rng_seed: RngSeed::Fixed(1),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

const CONFIGS: [&str; 3] = [
    include_str!("../../../../configs/smoke.toml"),
    include_str!("../../../../configs/perceptual_decision.toml"),
    "version = 1\nseed = 7\n[time]\ndt_ms = 20.0\n[task.go_nogo]\ndelay_ms = { uniform = [100, 200] }\n\
     [model]\ninitial_state = [1, 2]\nn_units = 2\n[train]\nstop = { metric = 'val.loss', at_most = 1 }\n\
     optimizer = { name = 'sgd', lr = 0.1 }",
];

/// Pieces of TOML text, some of which are hard to read.
const PIECES: [&str; 40] = [
    "=",
    ".",
    ",",
    "[",
    "]",
    "[[",
    "]]",
    "{",
    "}",
    "\"",
    "'",
    "\"\"\"",
    "'''",
    "\n",
    "\r\n",
    "\r",
    "#",
    "\\",
    "\\u",
    "\\U00110000",
    "\0",
    "\u{feff}",
    "\u{1b}",
    "é",
    "𝄞",
    "nan",
    "-inf",
    "1e400",
    "0x",
    "0b1",
    "1_0",
    "-",
    "true",
    "1979-05-27",
    "name",
    "task",
    "model",
    "9223372036854775808",
    "-1",
    "[task.npz]\nfiles = ['/dev/null']",
];

/// Generates a valid configuration in which some places are overwritten, cut or repeated.
fn altered() -> impl Strategy<Value = String> {
    let change = (any::<Index>(), 0..4_usize, select(&PIECES[..]));
    (select(&CONFIGS[..]), vec(change, 1..6)).prop_map(|(text, changes)| {
        let mut letters: Vec<char> = text.chars().collect();
        for (place, cut, piece) in changes {
            let start = place.index(letters.len() + 1);
            let end = (start + cut).min(letters.len());
            letters.splice(start..end, piece.chars());
        }
        letters.into_iter().collect()
    })
}

/// Generates a line of pieces.
fn pieces() -> impl Strategy<Value = String> {
    vec(select(&PIECES[..]), 0..30).prop_map(|pieces| pieces.concat())
}

thread_local! {
    static TASKS: Registry = ctrnn_runs::registry();
}

/// Reads the text. Every problem must have a place or a remedy, and must be renderable.
fn read(text: &str, overrides: &[String]) -> Result<(), TestCaseError> {
    let source = Source {
        order: 0,
        name: "run.toml".into(),
        text: text.into(),
        folder: Path::new("/lab").into(),
    };
    let resolved = TASKS.with(|registry| {
        let reading = Reading {
            overrides,
            ..Reading::new(registry)
        };
        resolve(source, &reading)
    });
    match resolved {
        Ok(values) => prop_assert!(!values.resolved().toml().is_empty()),
        Err(errors) => {
            let ConfigErrors(problems) = &errors;
            prop_assert!(!problems.is_empty());
            for problem in problems {
                prop_assert!(
                    !problem.labels.is_empty() || !problem.help.is_empty(),
                    "{problem:?}"
                );
            }
            prop_assert!(errors.render(true).contains("error["));
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn altered_configurations(text in altered()) {
        read(&text, &[])?;
    }

    #[test]
    fn pieces_of_toml(text in pieces()) {
        read(&text, &[])?;
    }

    #[test]
    fn any_characters(text in ".{0,200}") {
        read(&text, &[])?;
    }

    #[test]
    fn overrides(keys in vec(select(&["model.n_units", "train.optimizer", "task.go_nogo.delay_ms", "~train.stop", "seed", "a.b", ""][..]), 1..4), values in vec(pieces(), 4)) {
        let overrides: Vec<String> = keys.iter().zip(&values).map(|(key, value)| format!("{key}={value}")).collect();
        read(CONFIGS[2], &overrides)?;
    }

    #[test]
    fn any_override(text in "\\PC{0,60}") {
        read(CONFIGS[2], &[text])?;
    }
}
