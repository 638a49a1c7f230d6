//! Every key of the schema, broken in three ways: misspelt, of the wrong type, and out of range or not one of its
//! words.
//!
//! The mistakes and the expected messages are derived from the schema, so that a new key is tested at once; only a
//! fixed sample is a snapshot. `INSTA_UPDATE=always cargo test -p ctrnn-config broken_keys` updates it.

use std::path::Path;

use ctrnn_tasks::Registry;
use serde_json::Value as Json;

use super::RunConfig;
use crate::diagnostic::{Code, ConfigErrors, Diagnostic};
use crate::schema::{self, is_named, keys, shapes, types, words};
use crate::suggestion::split;

/// A configuration with one mistake.
struct Mistake {
    text: String,
    /// Line and column to which an error must point.
    place: (usize, usize),
    /// The codes that are accepted.
    codes: &'static [Code],
}

/// Builds a configuration that sets one key; returns also the line of the key, and the columns of its last part and of
/// its value.
pub(super) fn setting(
    path: &str,
    of: Option<&str>,
    table: Option<&str>,
    value: &str,
) -> (String, usize, [usize; 2]) {
    let mut lines = Vec::new();
    if let (Some(name), Some(table)) = (of, table) {
        lines.push(format!("{table}.name = {name:?}"));
    }
    lines.push(format!("{path} = {value}"));
    let line = lines.len();
    if !path.starts_with("task") {
        lines.push("[task.go_nogo]".to_owned());
    }
    let key = path.chars().count() - split(path).1.chars().count() + 1;
    (lines.join("\n"), line, [key, path.chars().count() + 4])
}

/// Returns the table around a key, if its `name` selects its keys.
pub(super) fn named_table<'a>(schema: &Json, path: &'a str) -> Option<&'a str> {
    let ends = path.match_indices('.').map(|(end, _)| end);
    let tables = ends.map(|end| &path[..end]).collect::<Vec<_>>();
    let is_named = |table: &&&str| {
        schema::find(schema, table)
            .iter()
            .any(|(_, found)| is_named(schema, found))
    };
    tables.iter().rev().find(is_named).copied()
}

/// Returns a value that breaks the rule of a key but has the right type, and the codes for that mistake.
fn beyond(root: &Json, schema: &Json) -> Option<(String, &'static [Code])> {
    if let Some(version) = schema.get("const").and_then(Json::as_i64) {
        return Some((format!("{}", version + 1), &[Code::Version]));
    }
    let all = shapes(root, schema);
    let is_word =
        |shape: &&&Json| types(shape).contains(&"string") && !words(root, shape).is_empty();
    if all.iter().any(|shape| is_word(&shape)) {
        return Some((r#""no_such_word""#.to_owned(), &[Code::UnknownWord]));
    }
    let number = all.iter().find(|shape| {
        let types = types(shape);
        types.contains(&"number") || types.contains(&"integer")
    })?;
    let bound = |key: &str| number[key].as_f64();
    let value = match (
        bound("minimum"),
        bound("exclusiveMinimum"),
        bound("maximum"),
    ) {
        (Some(least), _, _) => format!("{}", least - 1.0),
        (_, Some(bound), _) => format!("{bound}"),
        (_, _, Some(most)) => format!("{}", most + 1.0),
        _ => "nan".to_owned(),
    };
    Some((value, &[Code::OutOfRange]))
}

fn mistakes(root: &Json, path: &str, of: Option<&str>, schema: &Json) -> [Mistake; 3] {
    let table = named_table(root, path);
    let is_name = split(path).1 == "name";
    let of = of.filter(|_| !is_name);
    let allows = |kind| {
        shapes(root, schema)
            .iter()
            .any(|shape| types(shape).contains(&kind))
    };
    let at_value = |value: &str, codes| {
        let (text, line, [_, column]) = setting(path, of, table, value);
        Mistake {
            text,
            place: (line, column),
            codes,
        }
    };
    let misspelt = format!("{path}zz");
    let (text, line, [column, _]) = setting(&misspelt, of, table, "1");
    let wrong_type = if allows("boolean") {
        r#""yes""#
    } else {
        "true"
    };
    let (beyond, codes) = match beyond(root, schema) {
        _ if is_name && is_named(root, schema) => {
            (r#""no_such_word""#.to_owned(), &[Code::UnknownWord][..])
        }
        Some(found) => found,
        // Neither a range nor words: use another wrong type.
        None => ("1979-05-27".to_owned(), &[Code::WrongType][..]),
    };
    [
        Mistake {
            text,
            place: (line, column),
            codes: &[Code::UnknownKey, Code::UnknownTask],
        },
        at_value(wrong_type, &[Code::WrongType]),
        at_value(&beyond, codes),
    ]
}

fn errors(text: &str, registry: &Registry) -> ConfigErrors {
    RunConfig::from_text(text, "run.toml", Path::new("/lab"), &[], registry)
        .expect_err("something is wrong with it")
}

/// Returns the fault of the answer to a mistake, if any.
fn complaint(mistake: &Mistake, registry: &Registry) -> Option<String> {
    let errors = errors(&mistake.text, registry);
    let is_it = |problem: &Diagnostic| {
        let place = problem
            .labels
            .first()
            .map(|label| label.place.line_column());
        mistake.codes.contains(&problem.code)
            && place == Some(mistake.place)
            && !problem.help.is_empty()
    };
    let is_found = errors.exit_code() == 2 && errors.0.iter().any(is_it);
    (!is_found).then(|| {
        format!(
            "{}\nshould be {:?} at {:?}, but is\n{errors}",
            mistake.text, mistake.codes, mistake.place
        )
    })
}

/// Returns the faults of the answers to mistakes in the keys of one registry's schema.
fn complaints(registry: &Registry, is_wanted: impl Fn(&str) -> bool) -> Vec<String> {
    let root = schema::schema(registry);
    let mut complaints = Vec::new();
    for path in keys(root).into_iter().filter(|path| is_wanted(path)) {
        for (of, found) in schema::find(root, &path) {
            let mistakes = mistakes(root, &path, of, found);
            let found = mistakes.iter().filter_map(|m| complaint(m, registry));
            complaints.extend(found);
        }
    }
    complaints
}

/// The keys of each task are tested in a schema with that task only: the schema of all tasks takes long to generate.
#[test]
fn every_key_broken_in_three_ways_is_shown_with_its_place() {
    let of_tasks = |path: &str| path.starts_with("task.");
    let mut all = Vec::new();
    for registry in ctrnn_runs::registry().one_by_one() {
        all.extend(complaints(&registry, of_tasks));
        if registry.get("go_nogo").is_some() {
            all.extend(complaints(&registry, |path| !of_tasks(path)));
        }
    }
    assert!(all.is_empty(), "{}", all.join("\n\n"));
}

#[test]
fn a_sample_of_what_is_said() {
    let registry = ctrnn_runs::registry();
    let root = schema::schema(&registry);
    let shown = |path: &str| {
        let (of, found) = schema::find(root, path)[0];
        mistakes(root, path, of, found)
            .map(|mistake| errors(&mistake.text, &registry).to_string())
            .join("\n")
    };
    let sample = ["model.tau_ms", "model.activation", "task.go_nogo.delay_ms"];
    insta::assert_snapshot!(sample.map(shown).join("\n"));
}
