//! `config`: the schema, all values of a run, the differences of two configurations, and the explanation of a key.

use std::fmt::Write as _;
use std::path::Path;

use ctrnn_config::{
    Difference, Explanation, MAX_CONFIG_BYTES, Origin, Reading, Values, differences, explain,
    is_within, keys, schema,
};
use ctrnn_files::{RunFolder, digest, read_at_most};
use ctrnn_runs::recorded_layout;
use ctrnn_tasks::{Programs, Registry};

use crate::args::{ConfigArgs, ConfigCommand};
use crate::failure::Failure;
use crate::run_path::{existing_folder, recorded};
use crate::terminal::Terminal;

/// Runs a subcommand of `config`.
pub fn run(args: &ConfigArgs, registry: &Registry, terminal: &Terminal) -> Result<(), Failure> {
    match &args.command {
        ConfigCommand::Schema => {
            let schema = schema(registry);
            let pretty = || serde_json::to_string_pretty(schema).expect("a JSON value");
            terminal.print(pretty, || schema.clone())
        }
        ConfigCommand::Show { run, overrides } => show(run, overrides, registry, terminal),
        ConfigCommand::Diff { a, b } => diff(a, b, registry, terminal),
        ConfigCommand::Explain { key } => {
            let schema = schema(registry);
            let key = key.as_deref().unwrap_or_default();
            let full = full_key(schema, key);
            let found = explain(schema, full.as_deref().unwrap_or(key))?;
            let json = || serde_json::json!({ "explanations": found.iter().map(explanation_json).collect::<Vec<_>>() });
            let text = || {
                found
                    .iter()
                    .map(explanation_text)
                    .collect::<Vec<_>>()
                    .join("\n")
            };
            terminal.print(text, json)
        }
    }
}

/// Returns the full path of a key given by its last part, if only one key ends in it.
fn full_key(schema: &serde_json::Value, key: &str) -> Option<String> {
    let end = format!(".{key}");
    let mut matching = keys(schema)
        .into_iter()
        .filter(|full| full == key || full.ends_with(&end));
    let only = matching.next()?;
    matching.next().is_none().then_some(only)
}

fn show(
    path: &Path,
    overrides: &[String],
    registry: &Registry,
    terminal: &Terminal,
) -> Result<(), Failure> {
    let folder = path.is_dir().then(|| RunFolder::at(path));
    let layout = folder.as_ref().and_then(recorded_layout);
    let reading = Reading {
        overrides,
        programs: Programs::Never {
            layout: layout.as_ref(),
        },
        ..Reading::new(registry)
    };
    let file = folder.map_or_else(|| path.to_owned(), |folder| folder.resolved());
    let values = reading.values(&file)?;
    if let Values::Undecided { .. } = &values {
        values.notes().iter().for_each(|note| terminal.note(note));
    }
    let json = || serde_json::to_value(values.resolved().table()).expect("TOML fits JSON");
    terminal.print(|| values.resolved().toml(), json)
}

/// One side of a comparison: the values of a configuration and their origins.
struct Side {
    values: toml::Table,
    origin: Box<dyn Fn(&str) -> Origin>,
}

/// Adds the digest to the file of initial weights, which has the same name in all runs.
fn with_digest(mut values: toml::Table, folder: &RunFolder) -> toml::Table {
    let init = values
        .get_mut("model")
        .and_then(|model| model.get_mut("init"));
    if let Some(toml::Value::String(file)) = init.and_then(|init| init.get_mut("file"))
        && file.as_str() == RunFolder::INITIAL_WEIGHTS
        && let Ok(digest) = digest::blake3_file(&folder.initial_weights())
    {
        file.push_str(&format!(" ({})", &digest[..16]));
    }
    values
}

impl Side {
    /// Reads a run as it was recorded, even if its data are missing, or a configuration file.
    fn read(path: &Path, registry: &Registry) -> Result<Self, Failure> {
        if path.is_dir() {
            let folder = existing_folder(path)?;
            let given = GivenKeys::read(&folder)?;
            return Ok(Self {
                values: with_digest(recorded(&folder)?, &folder),
                origin: Box::new(move |key| given.origin(key)),
            });
        }
        let values = Reading::new(registry).values(path)?;
        Ok(Self {
            values: values.resolved().table(),
            origin: Box::new(move |key| values.origin(key)),
        })
    }

    /// Formats a value with its origin, or "absent".
    fn word(&self, key: &str, value: Option<&toml::Value>) -> String {
        value.map_or("absent".to_owned(), |value| {
            format!("{value} ({})", (self.origin)(key))
        })
    }

    fn json(&self, key: &str, value: Option<&toml::Value>) -> serde_json::Value {
        let origin = value.map(|_| (self.origin)(key).to_string());
        serde_json::json!({ "value": value, "origin": origin })
    }
}

fn diff(a: &Path, b: &Path, registry: &Registry, terminal: &Terminal) -> Result<(), Failure> {
    let (left, right) = (Side::read(a, registry)?, Side::read(b, registry)?);
    let found = differences(&left.values, &right.values);
    let text = || {
        if found.is_empty() {
            return "no differences".to_owned();
        }
        found.iter().map(|d| line(d, &left, &right)).collect()
    };
    let json = || {
        let rows = found.iter().map(|d| {
            serde_json::json!({
                "key": d.key,
                "left": left.json(&d.key, d.left.as_ref()),
                "right": right.json(&d.key, d.right.as_ref()),
            })
        });
        serde_json::json!({ "same": found.is_empty(), "differences": rows.collect::<Vec<_>>() })
    };
    terminal.print(text, json)
}

/// Formats a difference: `model.n_units: 32 (file) | 64 (command line)`.
fn line(d: &Difference, left: &Side, right: &Side) -> String {
    let (left, right) = (
        left.word(&d.key, d.left.as_ref()),
        right.word(&d.key, d.right.as_ref()),
    );
    format!("{}: {left} | {right}\n", d.key)
}

/// The configuration file and overrides of a run, which tell the origin of each of its values.
struct GivenKeys {
    file: toml::Table,
    /// Keys of the overrides.
    overrides: Vec<String>,
}

impl GivenKeys {
    fn read(folder: &RunFolder) -> Result<Self, Failure> {
        let text = |path: &Path| -> Result<String, Failure> {
            let bytes = read_at_most(path, MAX_CONFIG_BYTES)?;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        };
        let key = |line: &str| {
            let key = line.split('=').next().unwrap_or(line);
            key.trim_start_matches('~').to_owned()
        };
        Ok(Self {
            file: text(&folder.config())?.parse().unwrap_or_default(),
            overrides: text(&folder.overrides())?.lines().map(key).collect(),
        })
    }

    fn origin(&self, key: &str) -> Origin {
        let is_overridden = |given: &String| is_within(key, given) || is_within(given, key);
        if self.overrides.iter().any(is_overridden) {
            return Origin::CommandLine;
        }
        let (first, rest) = key.split_once('.').unwrap_or((key, ""));
        let mut parts = rest.split('.').filter(|part| !part.is_empty());
        let first = self.file.get(first);
        match first.and_then(|first| parts.try_fold(first, |value, part| value.get(part))) {
            Some(_) => Origin::File,
            None => Origin::Default,
        }
    }
}

fn explanation_text(e: &Explanation) -> String {
    let (mut text, table) = match e.key.as_str() {
        "" => ("a configuration".to_owned(), "TABLE".to_owned()),
        key => (key.to_owned(), format!("{key}.KEY")),
    };
    if let Some(of) = &e.of {
        let _ = write!(text, " (of {of})");
    }
    let _ = writeln!(text, ": {}", e.kind);
    let _ = writeln!(text, "  {}", e.text.replace('\n', "\n  "));
    let words = (!e.words.is_empty()).then(|| e.words.join(", "));
    let facts = [
        ("default:", e.default.as_deref()),
        ("unit:", e.unit),
        ("range:", e.range.as_deref()),
        ("one of:", words.as_deref()),
    ];
    for (name, fact) in facts {
        if let Some(fact) = fact {
            let _ = writeln!(text, "  {name:<8} {fact}");
        }
    }
    if !e.keys.is_empty() {
        let width = e.keys.iter().map(|(key, _)| key.len()).max().unwrap_or(0);
        let _ = writeln!(text, "  keys:");
        for (key, line) in &e.keys {
            let _ = writeln!(text, "    {key:width$}  {line}");
        }
        let _ = writeln!(text, "`train-ctrnn config explain {table}` explains a key");
    }
    text
}

fn explanation_json(e: &Explanation) -> serde_json::Value {
    let names: Vec<&str> = e.keys.iter().map(|(key, _)| key.as_str()).collect();
    let summaries: serde_json::Map<String, serde_json::Value> = e
        .keys
        .iter()
        .map(|(key, line)| (key.clone(), line.as_str().into()))
        .collect();
    serde_json::json!({
        "key": e.key, "of": e.of, "type": e.kind, "default": e.default, "unit": e.unit, "range": e.range, "words": e.words, "keys": names,
        "summaries": summaries, "text": e.text,
    })
}
