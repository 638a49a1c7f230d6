//! Overrides on the command line, `model.n_units=64`, laid over the tree of the file.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use crate::diagnostic::{Code, ConfigErrors, Diagnostic, Place, Source};
use crate::document::{MAX_DEPTH, Node, Value, shortened};

/// One override: a key, and its value or nothing to remove it.
pub(crate) struct Override {
    /// The parts of the key with their bytes.
    key: Vec<(String, Range<usize>)>,
    value: Option<Node>,
    source: Arc<Source>,
}

impl Override {
    /// Reads `KEY=VALUE`, `KEY=none` or `~KEY`.
    ///
    /// A value is any TOML value; what starts like none of them is a string (`model.activation=tanh`).
    fn parse(text: &str, order: usize) -> Result<Self, Diagnostic> {
        let source = Arc::new(Source {
            order,
            name: "command line".into(),
            text: text.into(),
            folder: PathBuf::from("."),
        });
        if let Some(key) = text.strip_prefix('~') {
            return Ok(Self {
                key: parse_key(key, 1, &source)?,
                value: None,
                source,
            });
        }
        let Some((key, value)) = text.split_once('=') else {
            let message = format!("the override {:?} is not KEY=VALUE", shortened(text));
            return Err(bad(message, &source, 0..text.len())
                .help("for instance model.n_units=64, or ~train.stop to remove a key"));
        };
        let value = match value.trim() {
            "none" => None,
            _ => Some(parse_value(&source, key.len() + 1)?),
        };
        Ok(Self {
            key: parse_key(key, 0, &source)?,
            value,
            source,
        })
    }

    /// The key with dots.
    pub(crate) fn path(&self) -> String {
        let parts: Vec<&str> = self.key.iter().map(|(part, _)| part.as_str()).collect();
        parts.join(".")
    }

    /// The place of the whole key.
    pub(crate) fn key_place(&self) -> Place {
        let end =
            |range: Option<&(String, Range<usize>)>| range.map_or(0..0, |(_, span)| span.clone());
        self.place(end(self.key.first()).start..end(self.key.last()).end)
    }

    /// Whether it removes a key.
    pub(crate) fn is_removal(&self) -> bool {
        self.value.is_none()
    }

    /// The task that the override speaks of, if it does.
    fn task(&self) -> Option<&str> {
        match self.key.as_slice() {
            [(table, _), (name, _), ..] if table == "task" && self.value.is_some() => Some(name),
            _ => None,
        }
    }

    fn place(&self, span: Range<usize>) -> Place {
        Place {
            source: self.source.clone(),
            span,
        }
    }

    /// Lays the override over the tree.
    fn apply(self, document: &mut Node) -> Result<(), Diagnostic> {
        let places: Vec<Place> = self
            .key
            .iter()
            .map(|(_, span)| self.place(span.clone()))
            .collect();
        let Some(((last, _), tables)) = self.key.split_last() else {
            return Ok(());
        };
        let mut node = document;
        for ((part, _), place) in tables.iter().zip(&places) {
            let Value::Table(table) = &mut node.value else {
                unreachable!("only tables are entered")
            };
            if self.value.is_none() && !table.contains_key(part) {
                return Ok(());
            }
            node = table
                .entry(part.clone())
                .or_insert_with(|| Node::empty_table(place));
            if !matches!(node.value, Value::Table(_)) {
                let given = node.place.clone();
                let message = format!(
                    "{part} is {} and has no keys to override",
                    node.value.describe()
                );
                let problem = Diagnostic::new(Code::BadOverride, message)
                    .at(place, "")
                    .at(&given, "given here");
                return Err(problem.help(format!("override {part} itself")));
            }
        }
        let table = node.table_mut();
        match self.value {
            None => drop(table.remove(last)),
            Some(mut value) => {
                value.key = places[places.len() - 1].clone();
                table.insert(last.clone(), value);
            }
        }
        Ok(())
    }
}

/// Reads all overrides; every one that cannot be read, and every repeated one, is a problem.
pub(crate) fn parse(texts: &[String], problems: &mut Vec<Diagnostic>) -> Vec<Override> {
    let mut seen: BTreeMap<String, Place> = BTreeMap::new();
    let mut overrides = Vec::new();
    for (i, text) in texts.iter().enumerate() {
        match Override::parse(text, i + 1) {
            Err(problem) => problems.push(problem),
            Ok(new) => {
                let (path, place) = (new.path(), new.key_place());
                if let Some(first) = seen.get(&path) {
                    let message = format!("{path} is overridden twice");
                    let problem = Diagnostic::new(Code::RepeatedOverride, message);
                    problems.push(
                        problem
                            .at(&place, "again")
                            .at(first, "first")
                            .help("keep one of them"),
                    );
                } else {
                    seen.insert(path, place);
                    overrides.push(new);
                }
            }
        }
    }
    overrides
}

/// Lays the overrides over the tree in their order.
///
/// One that names another task than the file replaces the file's task; a note says so.
pub(crate) fn apply(
    overrides: Vec<Override>,
    is_task: impl Fn(&str) -> bool,
    document: &mut Node,
    problems: &mut Vec<Diagnostic>,
) -> Vec<String> {
    let mut notes = Vec::new();
    let task = overrides
        .iter()
        .find_map(|o| o.task().filter(|name| is_task(name)).map(str::to_owned));
    if let (Some(task), Some(given)) = (task, document.get("task")) {
        let others: Vec<String> = given
            .entries()
            .map(|(name, _)| name.clone())
            .filter(|name| *name != task)
            .collect();
        if let Value::Table(tasks) = &mut document
            .table_mut()
            .get_mut("task")
            .expect("just found")
            .value
        {
            for other in others {
                tasks.remove(&other);
                notes.push(format!("the command line replaces task {other} by {task}"));
            }
        }
    }
    for new in overrides {
        if let Err(problem) = new.apply(document) {
            problems.push(problem);
        }
    }
    notes
}

/// Checks that every override is of a key under one of `tables`, where the others are fixed.
///
/// # Errors
/// One problem for each override that is not, or that cannot be read.
pub fn only_under(tables: &[&str], texts: &[String]) -> Result<(), ConfigErrors> {
    only(tables, texts, |key| {
        let message = format!("{key} is fixed in a run and cannot be overridden here");
        (
            message,
            format!("override keys under {}", tables.join(", ")),
        )
    })
}

/// Checks that all overrides are options of a task, by their full keys.
///
/// # Errors
/// One problem for each override that is not, or that cannot be read.
pub fn only_options_of(task: &str, texts: &[String]) -> Result<(), ConfigErrors> {
    let table = format!("task.{task}");
    only(&[&table], texts, |key| {
        let message = format!("{key} is not an option of the task {task}");
        let help = match key.contains('.') {
            true => format!("its options begin with {table}., as in {table}.KEY=VALUE"),
            false => format!("write the key in full: {table}.{key}=VALUE"),
        };
        (message, help)
    })
}

/// Checks that all overrides are of keys under these tables; `say` gives the message and the remedy for another key.
fn only(
    tables: &[&str],
    texts: &[String],
    say: impl Fn(&str) -> (String, String),
) -> Result<(), ConfigErrors> {
    let is_under = |key: &str| {
        tables.iter().any(|table| {
            key.strip_prefix(table)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        })
    };
    let mut problems = Vec::new();
    for given in parse(texts, &mut problems) {
        let key = given.path();
        if !is_under(&key) {
            let (message, help) = say(&key);
            let problem = Diagnostic::new(Code::NotHere, message).at(&given.key_place(), "");
            problems.push(problem.help(help));
        }
    }
    match problems.is_empty() {
        true => Ok(()),
        false => Err(ConfigErrors(problems)),
    }
}

fn bad(message: String, source: &Arc<Source>, span: Range<usize>) -> Diagnostic {
    Diagnostic::new(Code::BadOverride, message).at(
        &Place {
            source: source.clone(),
            span,
        },
        "",
    )
}

/// Splits `a.b.c`, which starts at byte `offset` of the override.
fn parse_key(
    text: &str,
    offset: usize,
    source: &Arc<Source>,
) -> Result<Vec<(String, Range<usize>)>, Diagnostic> {
    let mut start = offset;
    let mut parts = Vec::new();
    for part in text.split('.') {
        let span = start..start + part.len();
        start = span.end + 1;
        let is_key = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if part.is_empty() || !part.chars().all(is_key) {
            let message = format!(
                "{:?} in {:?} is not a key",
                shortened(part),
                shortened(&source.text)
            );
            return Err(bad(message, source, span).help(
                "a key is made of names with dots between, for instance train.optimizer.lr",
            ));
        }
        parts.push((part.to_owned(), span));
    }
    if parts.len() > MAX_DEPTH {
        let message = format!("a key of {} parts", parts.len());
        return Err(bad(message, source, offset..offset + text.len())
            .help("no key has so many; `train-ctrnn config schema` shows them all"));
    }
    Ok(parts)
}

/// Reads the value that starts at byte `offset` of the override.
fn parse_value(source: &Arc<Source>, offset: usize) -> Result<Node, Diagnostic> {
    let text = &source.text[offset..];
    if text.trim().is_empty() {
        let help = format!("{}none removes the key", &source.text[..offset]);
        return Err(bad(
            format!("{:?} has no value", shortened(&source.text)),
            source,
            offset..offset,
        )
        .help(help));
    }
    Node::parse_value(source, offset).or_else(|problem| {
        if text.starts_with(['[', '{', '"', '\'']) {
            let help = "put the whole override between single quotes, so that the shell leaves its quotes alone: 'a.b=[\"x\"]'";
            return Err(Diagnostic { code: Code::BadOverride, ..problem }.help(help));
        }
        let place = Place { source: source.clone(), span: offset..source.text.len() };
        Ok(Node { value: Value::String(text.to_owned()), key: place.clone(), place })
    })
}
