//! A configuration as a tree in which every key and value has its place in the source text.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use ctrnn_files::{FileError, RunFolder, read_at_most};
use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue};

use crate::diagnostic::{Code, Diagnostic, Place, Source};

/// A value, with the place where it is written and that of its key.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) value: Value,
    pub(crate) place: Place,
    /// Place of the key; for an item of a list and for the whole document, that of the value.
    pub(crate) key: Place,
}

/// A TOML value whose parts have places.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    String(String),
    Integer(i64),
    Float(f64),
    Boolean(bool),
    Datetime(toml::value::Datetime),
    Array(Vec<Node>),
    Table(BTreeMap<String, Node>),
}

/// Largest configuration that is read: 1 MiB. The longest list, an initial state of 16384 units, takes a third of it.
pub const MAX_CONFIG_BYTES: u64 = 1 << 20;

/// Largest number of syntax errors reported. A file with more is most likely not a configuration.
const MAX_SYNTAX_ERRORS: usize = 10;

/// Largest nesting depth of tables and lists. Valid configurations have at most ten levels.
pub(crate) const MAX_DEPTH: usize = 64;

impl Node {
    /// Parses a whole document; returns the readable part together with the errors.
    pub(crate) fn parse(source: &Arc<Source>) -> (Self, Vec<Diagnostic>) {
        let (table, errors) = DeTable::parse_recoverable(&source.text);
        let mut problems: Vec<_> = errors
            .iter()
            .map(|error| syntax_error(error, source, 0))
            .collect();
        let span = 0..source.text.len();
        problems.truncate(MAX_SYNTAX_ERRORS);
        let place = Place {
            source: source.clone(),
            span,
        };
        let value = Value::from_table(
            table.into_inner(),
            &SourceReader {
                source,
                offset: 0,
                depth: 0,
            },
            &mut problems,
        );
        let mut document = Self {
            value,
            key: place.clone(),
            place,
        };
        let lines: Vec<Range<usize>> = problems.iter().filter_map(first_line).collect();
        document.forget_lines(&lines);
        (document, problems)
    }

    /// Parses a single value: the part of `source` that starts at byte `offset`.
    pub(crate) fn parse_value(source: &Arc<Source>, offset: usize) -> Result<Self, Diagnostic> {
        let value = DeValue::parse(&source.text[offset..]);
        let value = value.map_err(|error| syntax_error(&error, source, offset))?;
        let mut problems = Vec::new();
        let reader = SourceReader {
            source,
            offset,
            depth: 0,
        };
        let node = Self::from_spanned(value, None, &reader, &mut problems);
        problems.pop().map_or(Ok(node), Err)
    }

    fn from_spanned(
        value: Spanned<DeValue<'_>>,
        key: Option<Place>,
        reader: &SourceReader<'_>,
        problems: &mut Vec<Diagnostic>,
    ) -> Self {
        let place = reader.place(value.span());
        if reader.depth > MAX_DEPTH {
            problems.push(too_deep(&place));
            return Self::empty_table(&key.unwrap_or(place));
        }
        let reader = &reader.deeper();
        let value = match value.into_inner() {
            DeValue::String(text) => Value::String(text.into_owned()),
            DeValue::Integer(number) => Value::Integer(integer(&number).unwrap_or_else(|| {
                problems.push(too_large(number.as_str(), &place));
                0
            })),
            DeValue::Float(number) => Value::Float(number.as_str().parse().unwrap_or(f64::NAN)),
            DeValue::Boolean(truth) => Value::Boolean(truth),
            DeValue::Datetime(time) => Value::Datetime(time),
            DeValue::Array(items) => {
                let read = |item| Self::from_spanned(item, None, reader, problems);
                Value::Array(items.into_iter().map(read).collect())
            }
            DeValue::Table(table) => Value::from_table(table, reader, problems),
        };
        Self {
            value,
            key: key.unwrap_or_else(|| place.clone()),
            place,
        }
    }

    /// Removes all values on lines with a syntax error: their recovered form is meaningless.
    fn forget_lines(&mut self, lines: &[Range<usize>]) {
        if let Value::Table(table) = &mut self.value {
            let is_in_one = |start| lines.iter().any(|line| line.contains(&start));
            table.retain(|_, child| {
                matches!(child.value, Value::Table(_)) || !is_in_one(child.key.span.start)
            });
            table
                .values_mut()
                .for_each(|child| child.forget_lines(lines));
        }
    }

    /// Returns the place of the key, or that of the value if an override has replaced the one that the key was written with.
    pub(crate) fn start(&self) -> &Place {
        if Arc::ptr_eq(&self.key.source, &self.place.source) {
            &self.key
        } else {
            &self.place
        }
    }

    /// Returns the value at a path such as `task.npz.files[0]`.
    pub(crate) fn get(&self, path: &str) -> Option<&Self> {
        let mut keys = path.split(['.', '[']).map(|key| key.trim_end_matches(']'));
        keys.try_fold(self, |node, key| match &node.value {
            Value::Table(table) => table.get(key),
            Value::Array(items) => items.get(key.parse::<usize>().ok()?),
            _ => None,
        })
    }

    /// Returns the entries of a table; empty for any other value.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&String, &Self)> {
        let table = if let Value::Table(table) = &self.value {
            Some(table)
        } else {
            None
        };
        table.into_iter().flatten()
    }

    /// Returns the entries of a table; any other value is replaced by an empty table first.
    pub(crate) fn table_mut(&mut self) -> &mut BTreeMap<String, Self> {
        if !matches!(self.value, Value::Table(_)) {
            self.value = Value::Table(BTreeMap::new());
        }
        let Value::Table(table) = &mut self.value else {
            unreachable!("just made a table")
        };
        table
    }

    /// Creates an empty table.
    pub(crate) fn empty_table(key: &Place) -> Self {
        Self {
            value: Value::Table(BTreeMap::new()),
            place: key.clone(),
            key: key.clone(),
        }
    }

    /// Converts to a TOML value without places.
    pub(crate) fn to_toml(&self) -> toml::Value {
        match &self.value {
            Value::String(text) => toml::Value::String(text.clone()),
            Value::Integer(number) => toml::Value::Integer(*number),
            Value::Float(number) => toml::Value::Float(*number),
            Value::Boolean(truth) => toml::Value::Boolean(*truth),
            Value::Datetime(time) => toml::Value::Datetime(*time),
            Value::Array(items) => items.iter().map(Self::to_toml).collect::<Vec<_>>().into(),
            Value::Table(table) => toml::Value::Table(
                table
                    .iter()
                    .map(|(key, node)| (key.clone(), node.to_toml()))
                    .collect(),
            ),
        }
    }
}

impl Value {
    fn from_table(
        table: DeTable<'_>,
        reader: &SourceReader<'_>,
        problems: &mut Vec<Diagnostic>,
    ) -> Self {
        let read = |(key, value): (Spanned<_>, _)| {
            let place = reader.place(key.span());
            let name: Cow<'_, str> = key.into_inner();
            (
                name.into_owned(),
                Node::from_spanned(value, Some(place), reader, problems),
            )
        };
        Self::Table(table.into_iter().map(read).collect())
    }

    /// Describes the value in words: `the string "many"`, `the integer 3`, `a table`.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::String(_) => format!("the string {self}"),
            Self::Integer(_) => format!("the integer {self}"),
            Self::Float(_) => format!("the number {self}"),
            Self::Boolean(_) => self.to_string(),
            Self::Datetime(_) => format!("the date {self}"),
            Self::Array(_) | Self::Table(_) => self.to_string(),
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::String(text) => write!(f, "{:?}", shortened(text)),
            Self::Integer(number) => write!(f, "{number}"),
            Self::Float(number) if is_long(*number) => write!(f, "{number:e}"),
            Self::Float(number) => write!(f, "{}", toml::Value::Float(*number)),
            Self::Boolean(truth) => write!(f, "{truth}"),
            Self::Datetime(time) => write!(f, "{time}"),
            Self::Array(_) => f.write_str("a list"),
            Self::Table(_) => f.write_str("a table"),
        }
    }
}

/// Returns true if a number has many digits unless it is written with an exponent.
fn is_long(number: f64) -> bool {
    let size = number.abs();
    size.is_finite() && (size >= 1e16 || (size > 0.0 && size < 1e-5))
}

/// Shortens a text for a message: a long one is cut to its beginning.
pub fn shortened(text: &str) -> Cow<'_, str> {
    const LONGEST: usize = 80;
    match text.char_indices().nth(LONGEST) {
        None => text.into(),
        Some((end, _)) => format!("{}...", &text[..end]).into(),
    }
}

/// Returns the remedy for a folder in place of a configuration file.
fn file_in(folder: &Path) -> String {
    let run = RunFolder::at(folder);
    if run.run_json().is_file() {
        format!(
            "it is a run: resume it (`train-ctrnn resume`), or name its configuration, {}",
            run.resolved().display()
        )
    } else {
        format!(
            "name a file in it, for instance {}",
            folder.join("run.toml").display()
        )
    }
}

/// Reads the configuration file.
pub(crate) fn read(path: &Path) -> Result<Source, Diagnostic> {
    let name = path.display().to_string();
    let unreadable =
        |why: String| Diagnostic::new(Code::Unreadable, format!("cannot read {name}: {why}"));
    if path.is_dir() {
        return Err(unreadable("it is a folder".into()).help(file_in(path)));
    }
    let bytes = read_at_most(path, MAX_CONFIG_BYTES).map_err(|error| match error {
        FileError::Missing { .. } => unreadable("there is no such file".into())
            .help("check the path; `train-ctrnn init` makes a configuration to start from"),
        FileError::NotAFile { .. } => unreadable("it is not a regular file".into())
            .help("write the configuration to a file and name that"),
        FileError::Format { rule, .. } => unreadable(format!("it {rule}"))
            .help("a configuration is a TOML text; weights and trials are named inside it"),
        FileError::Io { error, .. } => unreadable(error.to_string()).help("check its permissions"),
        other => unreadable(other.to_string()),
    })?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        unreadable(format!("it is not UTF-8 text (byte {at})"))
            .help("a configuration is a TOML text; weights and trials are named inside it")
    })?;
    let folder = path.parent().map(Path::to_path_buf).unwrap_or_default();
    Ok(Source {
        order: 0,
        name,
        text,
        folder,
    })
}

/// Converts ranges of bytes from the parser to places of the source.
struct SourceReader<'a> {
    source: &'a Arc<Source>,
    offset: usize,
    /// Number of tables and lists around the value.
    depth: usize,
}

impl SourceReader<'_> {
    fn deeper(&self) -> Self {
        Self {
            source: self.source,
            offset: self.offset,
            depth: self.depth + 1,
        }
    }

    fn place(&self, span: Range<usize>) -> Place {
        Place {
            source: self.source.clone(),
            span: span.start + self.offset..span.end + self.offset,
        }
    }
}

fn integer(number: &DeInteger<'_>) -> Option<i64> {
    i64::from_str_radix(number.as_str(), number.radix()).ok()
}

fn too_large(number: &str, place: &Place) -> Diagnostic {
    Diagnostic::new(
        Code::OutOfRange,
        format!("{} does not fit in 64 bits", shortened(number)),
    )
    .at(place, "")
    .help("integers lie between -2^63 and 2^63 - 1")
}

fn too_deep(place: &Place) -> Diagnostic {
    let message = format!("more than {MAX_DEPTH} tables and lists in each other");
    Diagnostic::new(Code::Syntax, message)
        .at(place, "")
        .help("no key needs so many; `train-ctrnn config schema` shows them all")
}

fn syntax_error(error: &toml::de::Error, source: &Arc<Source>, offset: usize) -> Diagnostic {
    let end = source.text.len() - offset;
    let span = error.span().unwrap_or(end..end);
    let place = Place {
        source: source.clone(),
        span: span.start + offset..span.end + offset,
    };
    Diagnostic::new(Code::Syntax, format!("not TOML: {}", error.message()))
        .at(&place, "")
        .help("write `key = value` under a [table]; a string needs double quotes")
}

/// Returns the range of bytes of the line on which a problem begins.
fn first_line(problem: &Diagnostic) -> Option<Range<usize>> {
    problem.labels.first().map(|label| label.place.line_span())
}
