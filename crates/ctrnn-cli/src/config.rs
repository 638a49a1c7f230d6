//! `config`: the schema, every value of a run, one key.

use std::fmt::Write as _;
use std::path::Path;

use ctrnn_files::RunFolder;
use ctrnn_tasks::Registry;
use ctrnn_train::{Explanation, RunConfig, explain, keys, schema};

use crate::args::{ConfigArgs, ConfigCommand};
use crate::failure::Failure;
use crate::terminal::Terminal;

/// Answers a question about configurations.
pub fn run(args: &ConfigArgs, registry: &Registry, terminal: &Terminal) -> Result<u8, Failure> {
    match &args.command {
        ConfigCommand::Schema => {
            let schema = schema(registry);
            let pretty = || serde_json::to_string_pretty(&schema).expect("a JSON value");
            terminal.print(pretty, || schema.clone())?;
        }
        ConfigCommand::Show { run, overrides } => show(run, overrides, registry, terminal)?,
        ConfigCommand::Explain { key } => {
            let schema = schema(registry);
            let full = full_key(&schema, key);
            let found = explain(&schema, full.as_deref().unwrap_or(key))?;
            let json = || serde_json::json!({ "explanations": found.iter().map(explanation_json).collect::<Vec<_>>() });
            let text = || {
                found
                    .iter()
                    .map(explanation_text)
                    .collect::<Vec<_>>()
                    .join("\n")
            };
            terminal.print(text, json)?;
        }
    }
    Ok(0)
}

/// The full path of a key given by its last part, where only one key ends so.
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
    let file = match path.is_dir() {
        true => RunFolder::at(path).resolved(),
        false => path.to_owned(),
    };
    let run = RunConfig::load(&file, overrides, registry)?;
    let json = || serde_json::to_value(run.resolved_table()).expect("TOML fits JSON");
    terminal.print(|| run.resolved_toml(), json)
}

fn explanation_text(e: &Explanation) -> String {
    let mut text = e.key.clone();
    if let Some(of) = &e.of {
        let _ = write!(text, " (of {of})");
    }
    let _ = writeln!(text, ": {}", e.kind);
    let _ = writeln!(text, "  {}", e.text.replace('\n', "\n  "));
    if let Some(default) = &e.default {
        let _ = writeln!(text, "  default: {default}");
    }
    if !e.words.is_empty() {
        let _ = writeln!(text, "  one of:  {}", e.words.join(", "));
    }
    if !e.keys.is_empty() {
        let _ = writeln!(text, "  keys:    {}", e.keys.join(", "));
    }
    text
}

fn explanation_json(e: &Explanation) -> serde_json::Value {
    serde_json::json!({
        "key": e.key, "of": e.of, "type": e.kind, "default": e.default, "words": e.words, "keys": e.keys, "text": e.text,
    })
}
