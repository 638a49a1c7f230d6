//! Doc comments of all crates: none opens with a word that only makes sense after the line above it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// A function's documentation opens with a verb, that of a type, field or variant with its standard term. These words open neither.
const OPENINGS: [&str; 9] = [
    "What", "Of", "Those", "That", "Which", "How", "Whose", "Whether", "Where",
];

/// Doc comments that still open with such a word, by crate. The numbers may only fall; a crate that is not listed has none.
const LEFT: [(&str, usize); 4] = [
    ("ctrnn-config", 66),
    ("ctrnn-kernels", 56),
    ("ctrnn-model", 88),
    ("ctrnn-train", 115),
];

#[test]
fn doc_comments_open_with_a_verb_or_a_term() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("crates");
    let allowed = BTreeMap::from(LEFT);
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for path in rust_files(&root) {
        let inside = path.strip_prefix(&root).expect("below the crates");
        let name = inside.iter().next().expect("a crate").to_string_lossy();
        let text = fs::read_to_string(&path).expect("a source file");
        let places =
            openings(&text).map(|(line, text)| format!("{}:{line}: {text}", inside.display()));
        found.entry(name.into_owned()).or_default().extend(places);
    }
    assert!(
        found.len() > 5,
        "the crates were not found in {}",
        root.display()
    );
    for (name, places) in found {
        let most = allowed.get(name.as_str()).copied().unwrap_or(0);
        assert!(
            places.len() <= most,
            "{name} has {} such doc comments, at most {most} are allowed; open with a verb or a term:\n{}",
            places.len(),
            places.join("\n")
        );
    }
}

/// Returns the first lines of doc comments that open with one of the words, with their line numbers from 1.
fn openings(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut is_inside = false;
    text.lines().enumerate().filter_map(move |(index, line)| {
        let line = line.trim_start();
        let doc = line
            .strip_prefix("///")
            .or_else(|| line.strip_prefix("//!"));
        let words = doc.map(str::trim).filter(|words| !words.is_empty());
        let is_first = words.is_some() && !is_inside;
        is_inside = words.is_some();
        let first = words?.split(|c: char| !c.is_alphabetic()).next()?;
        (is_first && OPENINGS.contains(&first)).then_some((index + 1, line))
    })
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

#[test]
fn an_opening_is_found_only_at_the_start_of_a_paragraph() {
    let text = "/// What it is.\n/// Which is more.\nfn f() {}\n\n    /// Returns x.\n    ///\n    /// Of these.\n// How\n//! Whether\n/// Whatever";
    let lines: Vec<usize> = openings(text).map(|(line, _)| line).collect();
    assert_eq!(lines, [1, 7, 9]);
}
