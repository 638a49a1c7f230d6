//! Validation against the schema: walks the tree of a configuration and finds everything that does not conform.
//!
//! Values that do not conform are removed from the tree, so that the checks of meaning that follow can read it; they
//! skip everything that depends on a removed key.

use std::path::{Component, Path, PathBuf};

use ctrnn_files::RunFolder;
use serde_json::Value as Json;

use crate::diagnostic::{Code, Diagnostic, Place};
use crate::document::{Node, Value, shortened};
use crate::schema::{self, describe, is_named, join, keys_of, name_of, shapes, types, words};
use crate::suggestion::{quoted, tasks_like, word_like};

/// An input file named in a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputFile {
    /// The path given in the configuration, made absolute.
    pub named: PathBuf,
    /// The actual path of the file: the same, or below the data root.
    pub path: PathBuf,
}

/// Result of a walk.
#[derive(Clone, Debug, Default)]
pub(crate) struct Findings {
    /// The problems found.
    pub(crate) problems: Vec<Diagnostic>,
    /// The full paths of the removed keys.
    pub(crate) removed: Vec<String>,
    /// The files named in the configuration.
    pub(crate) files: Vec<InputFile>,
}

/// Checks a document. Afterwards it holds only values that conform to the schema, and all paths to files are absolute.
///
/// With a data root, the files named in the configuration file are searched for there.
pub(crate) fn check(document: &mut Node, schema: &Json, data_root: Option<&Path>) -> Findings {
    let tasks: Vec<String> = match document.get("task") {
        Some(tasks) => tasks.entries().map(|(name, _)| name.clone()).collect(),
        None => Vec::new(),
    };
    let tasks: Vec<&str> = tasks.iter().map(String::as_str).collect();
    let mut walk = Walk {
        root: schema,
        tasks: &tasks,
        data_root,
        found: Findings::default(),
    };
    walk.conforms(document, schema, "");
    walk.found
}

/// Largest number of problems reported. A file with more is most likely not a configuration.
const MAX_PROBLEMS: usize = 100;

/// Longest path to a file, in bytes.
const MAX_PATH_BYTES: usize = 4096;

struct Walk<'a> {
    root: &'a Json,
    /// The tasks named in the document.
    tasks: &'a [&'a str],
    data_root: Option<&'a Path>,
    found: Findings,
}

/// Checks of single values: each method returns true if the value at `path` may stay, and otherwise reports the
/// problem.
impl Walk<'_> {
    fn conforms(&mut self, node: &mut Node, schema: &Json, path: &str) -> bool {
        if self.found.problems.len() >= MAX_PROBLEMS {
            return false;
        }
        if is_named(self.root, schema) && matches!(node.value, Value::Table(_)) {
            return self.named_table_conforms(node, schema, path);
        }
        let all = shapes(self.root, schema);
        let fitting: Vec<&Json> = all
            .into_iter()
            .filter(|shape| fits(&node.value, shape))
            .collect();
        match (fitting.as_slice(), &node.value) {
            ([], _) => self.reject(self.wrong_type(node, schema, path)),
            (_, Value::String(word)) if !is_word(self.root, word, &fitting) => {
                self.reject(unknown_word(self.root, word, schema, path, &node.place))
            }
            ([shape], _) => self.shape_conforms(node, shape, path),
            (several, _) => self.best_shape_conforms(node, several, path),
        }
    }

    /// Checks a value against several shapes and keeps the result for the shape that it violates least; shapes that
    /// have all of its keys take precedence. A table with keys, none of which is in any shape, violates all of them.
    fn best_shape_conforms(&mut self, node: &mut Node, shapes: &[&Json], path: &str) -> bool {
        if is_foreign(node, shapes) {
            for (key, child) in node.entries().take(MAX_PROBLEMS) {
                self.reject(self.unknown_key(&join(path, key), child, shapes));
            }
            return false;
        }
        let knows_all = |shape: &&&Json| {
            let keys = &shape["properties"];
            node.entries().all(|(key, _)| keys.get(key).is_some())
        };
        let knowing: Vec<&Json> = shapes.iter().filter(knows_all).copied().collect();
        let shapes = match knowing.as_slice() {
            [] => shapes,
            knowing => knowing,
        };
        let tries = shapes.iter().map(|shape| {
            let mut node = node.clone();
            let mut walk = Walk {
                found: Findings::default(),
                ..*self
            };
            let stays = walk.shape_conforms(&mut node, shape, path);
            (stays, node, walk.found)
        });
        let best = tries.min_by_key(|(stays, _, found)| (found.problems.len(), !stays));
        let (stays, tried, found) = best.expect("there are several shapes");
        *node = tried;
        self.found.problems.extend(found.problems);
        self.found.removed.extend(found.removed);
        self.found.files.extend(found.files);
        stays
    }

    fn named_table_conforms(&mut self, node: &mut Node, schema: &Json, path: &str) -> bool {
        let mut kinds = shapes(self.root, schema);
        kinds.retain(|shape| name_of(shape).is_some());
        let Some(name) = node.get("name") else {
            return match kinds.iter().find(|shape| !is_required(shape, "name")) {
                Some(default) => self.shape_conforms(node, default, path),
                None if is_foreign(node, &kinds) => self.best_shape_conforms(node, &kinds, path),
                None => self.reject(self.missing(node.start(), &join(path, "name"))),
            };
        };
        let Value::String(word) = &name.value else {
            return self.reject(self.wrong_type_of(name, "a string", &join(path, "name")));
        };
        match kinds.into_iter().find(|shape| name_of(shape) == Some(word)) {
            Some(kind) => self.shape_conforms(node, kind, path),
            None => self.reject(unknown_word(self.root, word, schema, path, &name.place)),
        }
    }

    /// Checks a value whose type is already known to fit the shape.
    fn shape_conforms(&mut self, node: &mut Node, shape: &Json, path: &str) -> bool {
        let subject = format!("{path} = {}", node.value);
        match &mut node.value {
            Value::Table(_) => self.table_conforms(node, shape, path),
            Value::Array(items) => {
                let conform = |all, (i, item): (usize, &mut Node)| {
                    self.conforms(item, &shape["items"], &format!("{path}[{i}]")) && all
                };
                let length = items.len() as f64;
                items.iter_mut().enumerate().fold(true, conform)
                    && self.obeys(length_rule(length, shape), path, path, &node.place)
            }
            Value::String(file) if shape["format"] == "path" => {
                self.file_conforms(file, &node.place, path)
            }
            Value::Integer(number) => self.obeys(
                range_rule(*number as f64, shape),
                path,
                &subject,
                &node.place,
            ),
            Value::Float(number) => {
                self.obeys(range_rule(*number, shape), path, &subject, &node.place)
            }
            Value::String(_) | Value::Boolean(_) | Value::Datetime(_) => true,
        }
    }

    /// Checks the path of a file, replaces it by the place where the file is now, and lists the file.
    fn file_conforms(&mut self, file: &mut String, place: &Place, key: &str) -> bool {
        let broken = (file.len() > MAX_PATH_BYTES).then(|| {
            format!(
                "has {} bytes, at most {MAX_PATH_BYTES} are read",
                file.len()
            )
        });
        if !self.obeys(broken, key, key, place) {
            return false;
        }
        let named = absolute(place, file);
        let is_in_file = place.source.order == 0;
        let is_kept = is_kept_by_run(&place.source.folder, &named);
        let root = self.data_root.filter(|_| is_in_file && !is_kept);
        let path = root.map_or_else(|| named.clone(), |root| re_pointed(&named, root));
        let odd = [&named, &path]
            .into_iter()
            .find(|path| path.to_str().is_none());
        let broken = odd.map(|odd| {
            format!(
                "leads to {}, which is not UTF-8, as a configuration is",
                odd.display()
            )
        });
        if !self.obeys(broken, key, key, place) {
            return false;
        }
        *file = path.to_string_lossy().into_owned();
        self.found.files.push(InputFile { named, path });
        true
    }

    fn table_conforms(&mut self, node: &mut Node, shape: &Json, path: &str) -> bool {
        let (others, entry) = (&shape["additionalProperties"], schema::entry_of(shape));
        node.table_mut().retain(|key, child| {
            if self.found.problems.len() >= MAX_PROBLEMS {
                return false;
            }
            let child_path = join(path, key);
            let schema = shape["properties"].get(key).or(entry);
            let stays = match schema {
                Some(_) if is_misspelt(shape, key, child) => {
                    self.reject(self.unknown_key(&child_path, child, &[shape]))
                }
                Some(schema) => self.conforms(child, schema, &child_path),
                None if *others != Json::Bool(false) => true,
                None if path == "task" || shape["format"] == "tasks" => {
                    self.reject(unknown_task(self.root, key, child, shape))
                }
                None => self.reject(self.unknown_key(&child_path, child, &[shape])),
            };
            if !stays {
                self.found.removed.push(child_path);
            }
            stays
        });
        let mut is_whole = true;
        for key in required(shape).filter(|key| node.get(key).is_none()) {
            let key = join(path, key);
            is_whole = false;
            if !self.found.removed.contains(&key) {
                self.reject(self.missing(node.start(), &key));
            }
        }
        is_whole
    }

    fn obeys(&mut self, broken: Option<String>, path: &str, subject: &str, place: &Place) -> bool {
        let Some(rule) = broken else { return true };
        let problem = Diagnostic::new(Code::OutOfRange, format!("{subject} {rule}"));
        self.reject(problem.at(place, "").help(self.remedy(path)))
    }

    /// Reports a problem and returns false.
    fn reject(&mut self, problem: Diagnostic) -> bool {
        self.found.problems.push(problem);
        false
    }

    fn unknown_key(&self, path: &str, node: &Node, table: &[&Json]) -> Diagnostic {
        schema::unknown_key(self.root, path, table, self.tasks).at(&node.key, "")
    }

    fn wrong_type(&self, node: &Node, schema: &Json, path: &str) -> Diagnostic {
        let expected = describe(self.root, schema);
        let problem = self.wrong_type_of(node, &expected, path);
        match keys_of(self.root, schema) {
            keys if !keys.is_empty() => problem.help(format!("Keys of [{path}]: {}", keys.join(", "))),
            _ if expected == "a list" => problem.help(format!(
                "a list needs brackets: [{}]; on the command line, put the override between single quotes",
                node.value
            )),
            _ => problem,
        }
    }

    fn wrong_type_of(&self, node: &Node, expected: &str, path: &str) -> Diagnostic {
        let message = format!(
            "{path} must be {expected}, but is {}",
            node.value.describe()
        );
        Diagnostic::new(Code::WrongType, message)
            .at(&node.place, format!("expected {expected}"))
            .help(self.remedy(path))
    }

    fn missing(&self, table: &Place, path: &str) -> Diagnostic {
        let key = path.rsplit('.').next().unwrap_or(path);
        Diagnostic::new(Code::MissingKey, format!("{path} is missing"))
            .at(table, format!("has no {key}"))
            .help(self.remedy(path))
    }

    /// Suggests a value for a key: its default, its allowed words, or a pointer to its explanation; for a key without a
    /// schema, those of its table.
    fn remedy(&self, path: &str) -> String {
        let path = path.split('[').next().unwrap_or(path);
        let found = schema::find(self.root, path);
        let Some((_, schema)) = found.first() else {
            return path
                .rsplit_once('.')
                .map(|(table, _)| self.remedy(table))
                .unwrap_or_default();
        };
        match (schema.get("default"), words(self.root, schema).as_slice()) {
            (Some(default), _) => format!("the default is {path} = {default}"),
            (None, []) => format!("`train-ctrnn config explain {path}` says what it means"),
            (None, words) if is_number_too(self.root, schema) => format!(
                "{path} is a number, or one of {}",
                quoted(words.iter().copied())
            ),
            (None, words) => format!("{path} is one of {}", quoted(words.iter().copied())),
        }
    }
}

/// Returns true if a key that takes words takes numbers as well.
fn is_number_too(root: &Json, schema: &Json) -> bool {
    let is_number = |shape: &Json| shape["type"] == "number" || shape["type"] == "integer";
    shapes(root, schema).into_iter().any(is_number)
}

/// Returns true if the shape allows the type of the value.
fn fits(value: &Value, shape: &Json) -> bool {
    let types = types(shape);
    let allows = |kind| types.contains(&kind);
    types.is_empty()
        || match value {
            Value::String(_) => allows("string"),
            Value::Integer(_) => allows("integer") || allows("number"),
            Value::Float(_) => allows("number"),
            Value::Boolean(_) => allows("boolean"),
            Value::Array(_) => allows("array"),
            Value::Table(_) => allows("object"),
            Value::Datetime(_) => false,
        }
}

/// Returns true if a string is one of the words of the shapes, or if a shape does not restrict strings.
fn is_word(root: &Json, word: &str, shapes: &[&Json]) -> bool {
    shapes.iter().any(|shape| match words(root, shape) {
        words if words.is_empty() => shape.get("pattern").is_none() || has_form(word, shape),
        words => words.contains(&word),
    })
}

/// Returns true if a word matches the shape's pattern, which has one of the two forms in use: `^PREFIX.+$`, and
/// `^PREFIX[^.]+\.(A|B)$`.
fn has_form(word: &str, shape: &Json) -> bool {
    let pattern = shape["pattern"].as_str().unwrap_or_default();
    let pattern = pattern.replace("\\.", ".");
    let inner = pattern.strip_prefix('^').and_then(|p| p.strip_suffix('$'));
    let inner = inner.unwrap_or_default();
    if let Some((prefix, ends)) = inner.split_once("[^.]+.(") {
        let rest = word.strip_prefix(prefix);
        let parts = rest.and_then(|rest| rest.split_once('.'));
        let mut ends = ends.trim_end_matches(')').split('|');
        return parts.is_some_and(|(name, end)| !name.is_empty() && ends.any(|e| e == end));
    }
    let prefix = inner.strip_suffix(".+");
    let rest = prefix.and_then(|prefix| word.strip_prefix(prefix));
    rest.is_some_and(|rest| !rest.is_empty())
}

/// Returns true if a key of a table that has both keys of its own and tables with names of the user is neither.
fn is_misspelt(shape: &Json, key: &str, node: &Node) -> bool {
    let own = &shape["properties"];
    own.is_object() && own.get(key).is_none() && !matches!(node.value, Value::Table(_))
}

/// Returns true if a table has keys, but none of them is in any shape.
fn is_foreign(node: &Node, shapes: &[&Json]) -> bool {
    let is_known = |key: &str| {
        shapes
            .iter()
            .any(|shape| shape["properties"].get(key).is_some())
    };
    node.entries().next().is_some() && !node.entries().any(|(key, _)| is_known(key))
}

fn required(shape: &Json) -> impl Iterator<Item = &str> {
    shape["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Json::as_str)
}

fn is_required(shape: &Json, key: &str) -> bool {
    required(shape).any(|required| required == key)
}

/// Finds the rule of a range that a number breaks.
fn range_rule(number: f64, shape: &Json) -> Option<String> {
    if !number.is_finite() {
        return Some("must be a finite number".to_owned());
    }
    let broken = |key: &str, breaks: fn(&f64, &f64) -> bool, rule: &str| {
        let bound = shape[key].as_f64().filter(|bound| breaks(&number, bound))?;
        Some(format!("must be {rule} {bound}"))
    };
    broken("minimum", f64::lt, "at least")
        .or_else(|| broken("maximum", f64::gt, "at most"))
        .or_else(|| broken("exclusiveMinimum", f64::le, "above"))
        .or_else(|| broken("exclusiveMaximum", f64::ge, "below"))
        .or_else(|| single_precision_rule(number, shape))
}

/// Finds the rule that a number breaks once it is rounded to single precision, in which networks compute: it must
/// remain finite, and strictly within exclusive bounds. A number that must be above 0 is a divisor, so subnormal
/// numbers, which lack full precision, are refused too.
fn single_precision_rule(number: f64, shape: &Json) -> Option<String> {
    let rounded = number as f32;
    let reaches = |key: &str, other: fn(&f64, &f64) -> bool| {
        shape[key]
            .as_f64()
            .filter(|bound| other(&f64::from(rounded), bound))
    };
    let largest = format!("{:.1e}", f32::MAX);
    let smallest = f32::MIN_POSITIVE;
    if rounded.is_infinite() {
        let sign = if number < 0.0 {
            "at least -"
        } else {
            "at most "
        };
        return Some(format!(
            "must be {sign}{largest}: networks compute in single precision"
        ));
    }
    if shape["exclusiveMinimum"] == 0 && rounded < smallest {
        return Some(format!(
            "must be at least {smallest:.1e}: networks compute in single precision, where it is 0"
        ));
    }
    let bound = reaches("exclusiveMinimum", f64::le).or(reaches("exclusiveMaximum", f64::ge))?;
    Some(format!(
        "is {bound} in single precision, in which networks compute"
    ))
}

/// Finds the rule that the length of a list breaks.
fn length_rule(length: f64, shape: &Json) -> Option<String> {
    let bound = |key: &str| shape[key].as_f64();
    match (bound("minItems"), bound("maxItems")) {
        (Some(min), Some(max)) if min == max && length != min => {
            Some(format!("must have {min} items, not {length}"))
        }
        (Some(min), _) if length < min => {
            Some(format!("must have at least {min} items, not {length}"))
        }
        (_, Some(max)) if length > max => {
            Some(format!("must have at most {max} items, not {length}"))
        }
        _ => None,
    }
}

/// Resolves a path to an absolute one, relative to the folder of the text in which it is written.
fn absolute(place: &Place, path: &str) -> PathBuf {
    canonical(place.source.folder.join(path))
}

/// Returns a path with links followed if it exists, and absolute in any case.
pub fn canonical(path: PathBuf) -> PathBuf {
    let absolute = path.canonicalize().or_else(|_| std::path::absolute(&path));
    absolute.unwrap_or(path)
}

/// Returns true if a file is the copy of the initial weights that a run keeps in its own folder, next to its
/// configuration.
fn is_kept_by_run(folder: &Path, file: &Path) -> bool {
    let run = RunFolder::at(folder);
    run.run_json().is_file() && canonical(run.initial_weights()) == file
}

/// Returns the location of a file below the data root: the longest suffix of its path that exists there, or else its
/// name.
pub(crate) fn re_pointed(named: &Path, root: &Path) -> PathBuf {
    let parts: Vec<_> = named
        .components()
        .filter(|part| matches!(part, Component::Normal(_)))
        .collect();
    let ends = (0..parts.len()).map(|from| root.join(parts[from..].iter().collect::<PathBuf>()));
    let name = root.join(named.file_name().unwrap_or_default());
    canonical(ends.into_iter().find(|path| path.is_file()).unwrap_or(name))
}

fn unknown_word(root: &Json, word: &str, schema: &Json, path: &str, place: &Place) -> Diagnostic {
    let words = words(root, schema);
    let titles = shapes(root, schema).into_iter().chain([schema]);
    let shown = shortened(word);
    let message = match titles.filter_map(|shape| shape["title"].as_str()).next() {
        Some(title) => format!("{shown:?} is not {} {title}", article(title)),
        None => format!("{shown:?} is not a value of {path}"),
    };
    let meant = word_like(word, words.iter().copied());
    let meant = meant
        .map(|meant| format!("did you mean {meant:?}? "))
        .unwrap_or_default();
    let help = format!("{meant}{path} is one of {}", quoted(words));
    Diagnostic::new(Code::UnknownWord, message)
        .at(place, "")
        .help(help)
}

fn article(noun: &str) -> &'static str {
    if noun.starts_with(['a', 'e', 'i', 'o', 'u']) {
        "an"
    } else {
        "a"
    }
}

fn unknown_task(root: &Json, name: &str, node: &Node, tasks: &Json) -> Diagnostic {
    let names = keys_of(root, tasks);
    let word = if let Value::String(word) = &node.value {
        word
    } else {
        name
    };
    let near = tasks_like(word, names.iter().copied());
    let help = match (near.as_slice(), &node.value) {
        ([], _) => String::new(),
        (_, Value::Table(_)) => {
            format!(
                "did you mean {}? ",
                quoted(near.iter().copied()).replace(", ", " or ")
            )
        }
        ([meant, ..], _) => format!("a task is a table of its name: [task.{meant}]. "),
    };
    Diagnostic::new(
        Code::UnknownTask,
        format!("unknown task {}", shortened(name)),
    )
    .at(&node.key, "")
    .help(format!("{help}`train-ctrnn tasks list` shows all tasks"))
}
