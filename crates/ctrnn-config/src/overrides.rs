//! Command-line overrides, such as `model.n_units=64`, applied to the tree of the file.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use ctrnn_tasks::Registry;

use crate::diagnostic::{Code, ConfigErrors, Diagnostic, Place, Source};
use crate::document::{MAX_DEPTH, Node, Value, shortened};
use crate::schema;

/// An override: a key, and its new value, or none to remove the key.
pub(crate) struct Override {
    /// The parts of the key, with their ranges of bytes.
    key: Vec<(String, Range<usize>)>,
    value: Option<Node>,
    source: Arc<Source>,
}

impl Override {
    /// Parses `KEY=VALUE` or `~KEY`.
    ///
    /// The value may be any TOML value; other text is a string (`model.activation=tanh`), unless it starts like a list,
    /// a table or a quoted string. The bare word `none` is a string at first; [`remove_none`] then decides which keys
    /// it removes.
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
        let value_at = key.len() + 1 + (value.len() - value.trim_start().len());
        Ok(Self {
            key: parse_key(key.trim_end(), 0, &source)?,
            value: Some(parse_value(&source, value_at)?),
            source,
        })
    }

    /// Returns the key with dots.
    pub(crate) fn path(&self) -> String {
        let parts: Vec<&str> = self.key.iter().map(|(part, _)| part.as_str()).collect();
        parts.join(".")
    }

    /// Returns the place of the whole key.
    pub(crate) fn key_place(&self) -> Place {
        let end =
            |range: Option<&(String, Range<usize>)>| range.map_or(0..0, |(_, span)| span.clone());
        self.place(end(self.key.first()).start..end(self.key.last()).end)
    }

    /// Returns true if the override removes a key.
    pub(crate) fn is_removal(&self) -> bool {
        self.value.is_none()
    }

    /// Returns true if the value is the bare word `none`, as opposed to the string `"none"`.
    fn is_none(&self) -> bool {
        let after_key = self.source.text.split_once('=');
        self.value.is_some() && after_key.is_some_and(|(_, value)| value.trim() == NONE)
    }

    /// Returns the task whose table the override sets or changes, if any.
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

    /// Writes out the default tables of tasks if the override changes one of them and the document has none, and returns
    /// a note. Otherwise the one that is changed would replace them all.
    fn write_default_tasks(
        &self,
        schema: &serde_json::Value,
        registry: &Registry,
        document: &mut Node,
    ) -> Option<String> {
        let [(root, _), (task, _), (key, _), _, ..] = &self.key[..] else {
            return None;
        };
        let (table, path) = (format!("{root}.{task}"), format!("{root}.{task}.{key}"));
        let mut found = schema::find(schema, &path).into_iter();
        let is_of_tasks = found.any(|(_, key)| key["format"] == "tasks");
        let has_no_task = self.is_removal() && document.get(&table).is_none();
        if !is_of_tasks || has_no_task || document.get(&path).is_some() {
            return None;
        }
        let entry = registry.get(task)?;
        let defaults = entry.resolve(toml::Table::new(), registry).ok()?;
        let defaults = defaults.get(key)?.as_table()?;
        let node = self.table_at(document, 3)?; // `None` is reported when the override is applied
        let place = node.place.clone();
        let tables = defaults
            .keys()
            .map(|name| (name.clone(), Node::empty_table(&place)));
        node.table_mut().extend(tables);
        Some(format!(
            "the command line changes the {} default tasks of {task}; {path}={{...}} replaces them",
            defaults.len()
        ))
    }

    /// Returns the table at the first parts of the key, which is made if the document has none; `None` if one of them is not a table.
    fn table_at<'a>(&self, document: &'a mut Node, n_parts: usize) -> Option<&'a mut Node> {
        let mut node = document;
        for (part, span) in &self.key[..n_parts] {
            let place = self.place(span.clone());
            let Value::Table(table) = &mut node.value else {
                return None;
            };
            let entry = table.entry(part.clone());
            node = entry.or_insert_with(|| Node::empty_table(&place));
        }
        Some(node)
    }

    /// Applies the override to the tree.
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
                // A value that replaces another stays in its place among the entries of the table.
                let replaced = table.get(last).map(|old| old.key.clone());
                value.key = replaced.unwrap_or_else(|| places[places.len() - 1].clone());
                table.insert(last.clone(), value);
            }
        }
        Ok(())
    }
}

/// The word that removes a key, unless `"none"` is one of the key's values.
const NONE: &str = "none";

/// Turns `KEY=none` into a removal, except for keys that have "none" as a value.
pub(crate) fn remove_none(overrides: &mut [Override], schema: &serde_json::Value) {
    for given in overrides.iter_mut().filter(|given| given.is_none()) {
        let found = schema::find(schema, &given.path());
        let mut words = found.iter().flat_map(|(_, key)| schema::words(schema, key));
        if !words.any(|word| word == NONE) {
            given.value = None;
        }
    }
}

/// Parses all overrides; each one that cannot be parsed, and each repeated one, is a problem.
pub(crate) fn parse(texts: &[String], problems: &mut Vec<Diagnostic>) -> Vec<Override> {
    let mut seen: BTreeMap<String, Place> = BTreeMap::new();
    let mut overrides = Vec::new();
    for (i, text) in joined(texts, problems).into_iter().enumerate() {
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

/// Returns the overrides without those that the shell has split at spaces around `=`; each of these is one problem.
fn joined<'a>(texts: &'a [String], problems: &mut Vec<Diagnostic>) -> Vec<&'a str> {
    let mut whole = Vec::new();
    let mut rest = texts;
    while let [first, others @ ..] = rest {
        let parts = parts_of_one(rest);
        rest = &rest[parts..];
        if parts == 1 {
            whole.push(first.as_str());
            continue;
        }
        let apart = [std::slice::from_ref(first), &others[..parts - 1]].concat();
        let (shown, meant) = (apart.join(" "), apart.concat());
        let source = Arc::new(Source {
            order: 1,
            name: "command line".into(),
            text: shown.clone(),
            folder: PathBuf::from("."),
        });
        let message = format!("{:?} is {parts} words to the shell", shortened(&shown));
        let help = format!("write it without spaces: {}", shortened(&meant));
        problems.push(bad(message, &source, 0..shown.len()).help(help));
    }
    whole
}

/// Counts the leading words that form one override with spaces around its `=`.
fn parts_of_one(words: &[String]) -> usize {
    let is_key = |word: &str| !word.is_empty() && !word.contains(['=', '~']);
    let is_value = |word: &str| !word.is_empty() && !word.starts_with('~') && !is_override(word);
    let words: Vec<&str> = words.iter().take(3).map(String::as_str).collect();
    match words[..] {
        [key, "=", value] if is_key(key) && is_value(value) => 3,
        [key, equals_value, ..] if is_key(key) && equals_value.starts_with('=') => 2,
        [key_equals, value, ..]
            if key_equals.strip_suffix('=').is_some_and(is_key) && is_value(value) =>
        {
            2
        }
        _ => 1,
    }
}

/// Returns true if a word starts like `KEY=`.
fn is_override(word: &str) -> bool {
    let is_of_key = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    word.split_once('=')
        .is_some_and(|(key, _)| key.chars().all(is_of_key))
}

/// Applies the overrides to the tree in their order, and returns notes for the user.
///
/// An override that names another task than the file replaces the file's task, with a note. One that changes a table of
/// tasks that the file does not have changes the default tasks.
pub(crate) fn apply(
    overrides: Vec<Override>,
    registry: &Registry,
    schema: &serde_json::Value,
    document: &mut Node,
    problems: &mut Vec<Diagnostic>,
) -> Vec<String> {
    let mut notes = Vec::new();
    let task = overrides.iter().find_map(|o| {
        o.task()
            .filter(|name| registry.get(name).is_some())
            .map(str::to_owned)
    });
    if let Some(task) = task {
        notes.extend(remove_other_tasks(&task, document));
    }
    for new in overrides {
        if let Some(note) = new.write_default_tasks(schema, registry, document) {
            notes.push(note);
        }
        if let Err(problem) = new.apply(document) {
            problems.push(problem);
        }
    }
    notes
}

/// Removes all tasks but one from the tree, and returns a note for each.
fn remove_other_tasks(task: &str, document: &mut Node) -> Vec<String> {
    let Value::Table(document) = &mut document.value else {
        return Vec::new();
    };
    let Some(Value::Table(tasks)) = document.get_mut("task").map(|node| &mut node.value) else {
        return Vec::new();
    };
    let others: Vec<String> = (tasks.keys())
        .filter(|name| *name != task)
        .cloned()
        .collect();
    let note = |other: String| {
        tasks.remove(&other);
        format!("the command line replaces task {other} by {task}")
    };
    others.into_iter().map(note).collect()
}

/// Returns the value that overrides set for a key, directly or in a table around it; `None` if there is no such
/// override, or none that can be parsed.
pub fn overridden(texts: &[String], key: &str) -> Option<toml::Value> {
    let given = parse(texts, &mut Vec::new());
    given.into_iter().rev().find_map(|given| {
        let path = given.path();
        let rest = key.strip_prefix(&path)?;
        let value = given.value?;
        match rest.strip_prefix('.') {
            Some(rest) => value.get(rest).map(Node::to_toml),
            None => rest.is_empty().then(|| value.to_toml()),
        }
    })
}

/// Checks that every override is of a key under one of `tables`; all other keys are fixed.
///
/// # Errors
/// One problem for each override of another key, or that cannot be parsed.
pub fn only_under(tables: &[&str], texts: &[String]) -> Result<(), ConfigErrors> {
    only(tables, texts, |key| {
        let message = format!("{key} is fixed in a run and cannot be overridden here");
        (
            message,
            format!("override keys under {}", tables.join(", ")),
        )
    })
}

/// Checks that all overrides are options of a task, written with their full keys.
///
/// # Errors
/// One problem for each other override, and for each that cannot be parsed.
pub fn only_options_of(task: &str, texts: &[String]) -> Result<(), ConfigErrors> {
    let table = format!("task.{task}");
    only(&[&table], texts, |key| {
        let message = format!("{key} is not an option of the task {task}");
        let help = if key.contains('.') {
            format!("its options begin with {table}., as in {table}.KEY=VALUE")
        } else {
            format!("write the key in full: {table}.{key}=VALUE")
        };
        (message, help)
    })
}

/// Returns true if a key is `table` or lies below it.
pub fn is_within(key: &str, table: &str) -> bool {
    let rest = key.strip_prefix(table);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

/// Checks that all overrides are of keys under these tables; for any other key, `say` returns the message and the
/// remedy.
fn only(
    tables: &[&str],
    texts: &[String],
    say: impl Fn(&str) -> (String, String),
) -> Result<(), ConfigErrors> {
    let mut problems = Vec::new();
    for given in parse(texts, &mut problems) {
        let key = given.path();
        if !tables.iter().any(|table| is_within(&key, table)) {
            let (message, help) = say(&key);
            let problem = Diagnostic::new(Code::NotHere, message).at(&given.key_place(), "");
            problems.push(problem.help(help));
        }
    }
    if problems.is_empty() {
        Ok(())
    } else {
        Err(ConfigErrors(problems))
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

/// Splits `a.b.c`, which starts at byte `offset` of the override. A part in quotes may have any characters: `a."b -> c".d`.
fn parse_key(
    text: &str,
    offset: usize,
    source: &Arc<Source>,
) -> Result<Vec<(String, Range<usize>)>, Diagnostic> {
    let mut start = offset;
    let mut parts = Vec::new();
    for part in split_parts(text) {
        let span = start..start + part.len();
        start = span.end + 1;
        let Some(name) = name_of_part(part) else {
            let message = format!(
                "{:?} in {:?} is not a key",
                shortened(part),
                shortened(&source.text)
            );
            let help = if part.contains("->") {
                "a name with other characters is in quotes: 'model.projections.\"a -> b\".density=0.2'"
            } else {
                "a key is made of names with dots between, for instance train.optimizer.lr"
            };
            return Err(bad(message, source, span).help(help));
        };
        parts.push((name.to_owned(), span));
    }
    if parts.len() > MAX_DEPTH {
        let message = format!("a key of {} parts", parts.len());
        return Err(bad(message, source, offset..offset + text.len())
            .help("no key has so many; `train-ctrnn config schema` shows them all"));
    }
    Ok(parts)
}

/// Returns the name that a part of a key is, without quotes; `None` if it is not one.
fn name_of_part(part: &str) -> Option<&str> {
    let is_key = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let quoted = ['"', '\''].iter().find_map(|&quote| {
        let inner = part.strip_prefix(quote)?.strip_suffix(quote)?;
        (!inner.contains(quote)).then_some(inner)
    });
    let name = quoted.or_else(|| part.chars().all(is_key).then_some(part));
    name.filter(|name| !name.is_empty())
}

/// Splits a key at the dots that are not in quotes.
fn split_parts(text: &str) -> impl Iterator<Item = &str> {
    let mut open = None;
    text.split(move |c: char| {
        match open {
            Some(quote) if quote == c => open = None,
            None if c == '"' || c == '\'' => open = Some(c),
            _ => {}
        }
        c == '.' && open.is_none()
    })
}

/// Parses the value that starts at byte `offset` of the override.
fn parse_value(source: &Arc<Source>, offset: usize) -> Result<Node, Diagnostic> {
    let text = &source.text[offset..];
    if text.trim().is_empty() {
        let help = format!(
            "'~{}' removes the key",
            source.text[..offset]
                .trim_end()
                .trim_end_matches('=')
                .trim_end()
        );
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
        Ok(Node { value: Value::String(text.trim_end().to_owned()), key: place.clone(), place })
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{is_within, overridden};
    use crate::{Run, RunConfig};

    const DALE: &str = "[task.go_nogo]\n[model]\ndale = {}\n[train]\nclip_grad_norm = 1.0\n";

    fn run(overrides: &[&str]) -> Result<Run, String> {
        let overrides: Vec<String> = overrides.iter().map(|&text| text.to_owned()).collect();
        let registry = ctrnn_runs::registry();
        RunConfig::from_text(DALE, "a.toml", Path::new("/"), &overrides, &registry)
            .map_err(|errors| errors.to_string())
    }

    /// `balance` is the only key that has "none" as a value.
    #[test]
    fn none_is_a_value_where_the_key_has_it() {
        let balance = |overrides: &[&str]| run(overrides).unwrap().model.balance().name();
        assert_eq!(balance(&[]), "row");
        assert_eq!(balance(&["model.init.balance=none"]), "none");
        assert_eq!(balance(&["model.init.balance= none "]), "none");
        assert_eq!(balance(&["model.init.balance=\"none\""]), "none");
        assert_eq!(balance(&["~model.init.balance"]), "row");
    }

    #[test]
    fn none_removes_any_other_key() {
        assert!(run(&[]).unwrap().config.train.clip().is_some());
        assert!(
            run(&["train.clip_grad_norm=none"])
                .unwrap()
                .config
                .train
                .clip()
                .is_none()
        );
        assert!(run(&["model.dale=none"]).unwrap().model.dale.is_none());
        assert!(
            run(&["model.activation=\"none\""])
                .unwrap_err()
                .contains("C003")
        );
        assert!(
            run(&["model.nothing=none"])
                .unwrap_err()
                .contains("unknown key model.nothing")
        );
    }

    #[test]
    fn a_word_may_have_spaces_around_its_sign() {
        assert_eq!(run(&["model.n_units = 12"]).unwrap().model.n_units, 12);
    }

    /// The override `model.n_units = 12`, without quotes in the shell.
    #[test]
    fn words_that_a_shell_took_apart_are_one_mistake() {
        for words in [
            &["model.n_units", "=", "12"][..],
            &["model.n_units=", "12"],
            &["model.n_units", "=12"],
            &["seed=3", "model.n_units", "=", "12", "train.steps=4"],
        ] {
            let told = run(words).unwrap_err();
            assert_eq!(told.matches("error[").count(), 1, "{told}");
            assert!(
                told.contains("help: write it without spaces: model.n_units=12"),
                "{told}"
            );
        }
        for words in [
            &["model.n_units=", "train.steps=4"][..],
            &["model.n_units", "train.steps=4"],
        ] {
            let told = run(words).unwrap_err();
            assert!(!told.contains("without spaces"), "{told}");
        }
    }

    #[test]
    fn a_key_is_within_itself_and_its_tables() {
        for (key, table) in [("a.b", "a.b"), ("a.b.c", "a.b"), ("a.b[0].c", "a.b")] {
            assert!(is_within(key, table), "{key} is within {table}");
            assert!(
                key == table || !is_within(table, key),
                "{table} is around {key}"
            );
        }
        assert!(!is_within("a.bc", "a.b"));
    }

    #[test]
    fn what_is_overridden_is_found_in_tables_too() {
        let given = |texts: &[&str]| {
            let texts: Vec<String> = texts.iter().map(|&text| text.to_owned()).collect();
            overridden(&texts, "time.dt_ms")
        };
        assert_eq!(given(&["time.dt_ms=5"]), Some(5.into()));
        assert_eq!(given(&["seed=1", "time={dt_ms=2.5}"]), Some(2.5.into()));
        assert_eq!(given(&["time.dt_m=5", "time={integrator=\"euler\"}"]), None);
    }
}
