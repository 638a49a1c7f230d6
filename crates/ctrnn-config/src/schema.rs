//! The JSON schema of a configuration: generated from the types, used to check a file and to explain keys.
//!
//! The schema is draft 7. Definitions that are used in many places, a duration and the tables of tasks, are stored once
//! and referred to by `$ref`. A table with a `name` is a `oneOf` of tables whose `name` is a `const`; a value of
//! several shapes is an `anyOf`; a string with `"format": "path"` is a file that is read, a table with `"format":
//! "tasks"` holds tables of tasks.

use std::collections::BTreeSet;

use ctrnn_tasks::{Duration, Registry, TaskEntry};
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value as Json, json};

use crate::diagnostic::{Code, Diagnostic};
use crate::document::shortened;
use crate::run_config::RunConfig;
use crate::suggestion::{self, split};

/// Returns the schema of a configuration with the tasks of `registry`, generated on the first call.
pub fn schema(registry: &Registry) -> &Json {
    registry.schema(make)
}

fn make(registry: &Registry) -> Json {
    let settings = SchemaSettings::draft07().with(|settings| settings.inline_subschemas = true);
    let mut schema = Json::from(
        settings
            .into_generator()
            .into_root_schema_for::<RunConfig>(),
    );
    let tasks: Map<String, Json> = registry
        .entries()
        .map(|task| (task.name.clone(), task_schema(task, registry)))
        .collect();
    schema["properties"]["version"]["const"] = json!(crate::run_config::VERSION);
    let task = &mut schema["properties"]["task"];
    task["properties"] = Json::Object(tasks);
    task["additionalProperties"] = json!(false);
    task["maxProperties"] = json!(1);
    tidy(&mut schema);
    refer_to_durations(&mut schema);
    schema["properties"]["model"]["properties"]["layer"]["items"] = layer_schema(&schema);
    schema["$schema"] = json!("http://json-schema.org/draft-07/schema#");
    schema
}

/// Returns the schema of a layer: a table with references to the keys of `[model]`, without those that only the whole network has.
fn layer_schema(schema: &Json) -> Json {
    let keys = schema["properties"]["model"]["properties"].as_object();
    let of_network = ["layer", "areas", "projections"];
    let own = { keys.into_iter().flatten() }.filter(|(key, _)| !of_network.contains(&key.as_str()));
    let reference = |key| json!({ "$ref": format!("#/properties/model/properties/{key}") });
    let keys: Map<String, Json> = own.map(|(key, _)| (key.clone(), reference(key))).collect();
    json!({ "type": "object", "properties": keys, "additionalProperties": false })
}

/// Returns the schema of a task's table, with references to the tasks that it may contain.
fn task_schema(task: &TaskEntry, registry: &Registry) -> Json {
    let mut schema = task.schema().clone();
    let keys = schema["properties"].as_object_mut();
    for tables in keys.into_iter().flat_map(Map::values_mut) {
        if tables["format"] == "tasks" {
            let others = registry.names().filter(|other| *other != task.name);
            let table = |name| json!({ "$ref": format!("#/properties/task/properties/{name}") });
            let tasks: Map<String, Json> = others
                .map(|other| (other.to_owned(), table(other)))
                .collect();
            tables["properties"] = Json::Object(tasks);
            tables["additionalProperties"] = json!(false);
        }
    }
    schema
}

/// Replaces every duration by a reference to a single definition of its shapes.
fn refer_to_durations(schema: &mut Json) {
    let mut duration = Json::from(SchemaGenerator::default().root_schema_for::<Duration>());
    tidy(&mut duration);
    let shapes = duration["anyOf"].take();
    refer(
        schema,
        &shapes,
        &json!([{ "$ref": "#/definitions/duration" }]),
    );
    schema["definitions"] = json!({ "duration": { "anyOf": shapes } });
}

/// Replaces every `anyOf` of these shapes by the reference.
fn refer(schema: &mut Json, shapes: &Json, reference: &Json) {
    match schema {
        Json::Array(items) => items
            .iter_mut()
            .for_each(|item| refer(item, shapes, reference)),
        Json::Object(map) => {
            for (key, value) in map {
                if key == "anyOf" && value == shapes {
                    *value = reference.clone();
                } else {
                    refer(value, shapes, reference);
                }
            }
        }
        _ => {}
    }
}

/// Removes redundant entries: null, which TOML does not have, defaults of whole tables, formats of numbers.
fn tidy(schema: &mut Json) {
    if let Json::Array(shapes) = schema {
        shapes.iter_mut().for_each(tidy);
    }
    let Json::Object(map) = schema else { return };
    forget_null(map);
    map.retain(|key, value| match key.as_str() {
        "default" => !value.is_null() && !value.is_object(),
        "format" => value == "path" || value == "tasks",
        "$schema" => false,
        _ => true,
    });
    for (key, value) in map.iter_mut().filter(|(key, _)| *key != "default") {
        match value {
            Json::Object(properties) if key == "properties" => {
                properties.values_mut().for_each(tidy);
            }
            _ => tidy(value),
        }
    }
}

/// Simplifies "this or null" to this.
fn forget_null(map: &mut Map<String, Json>) {
    if let Some(Json::Array(types)) = map.get_mut("type") {
        types.retain(|kind| kind != "null");
        if let [only] = types.as_slice() {
            map["type"] = only.clone();
        }
    }
    let Some(Json::Array(shapes)) = map.get_mut("anyOf") else {
        return;
    };
    shapes.retain(|shape| shape["type"] != "null");
    if let [Json::Object(only)] = shapes.as_slice() {
        let only = only.clone();
        map.remove("anyOf");
        only.into_iter().for_each(|(key, value)| {
            map.entry(key).or_insert(value);
        });
    }
}

/// Explanation of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The full path of the key.
    pub key: String,
    /// The `name` of the table in which the key exists, if it depends on one.
    pub of: Option<String>,
    /// The type in words.
    pub kind: String,
    /// The default as written in TOML; absent if there is none.
    pub default: Option<String>,
    /// The unit, if the value has one.
    pub unit: Option<&'static str>,
    /// The range of a number in words; absent if any finite number is allowed.
    pub range: Option<String>,
    /// The allowed words; empty if the value is not limited to words.
    pub words: Vec<String>,
    /// The description: meaning, formula, units, source.
    pub text: String,
    /// The keys of a table, each with the first sentence of its description.
    pub keys: Vec<(String, String)>,
}

/// Explains a key of `schema`, given by its full path; returns several explanations if a `name` selects the meaning.
/// The empty path is the whole configuration.
///
/// # Errors
/// An unknown key, with suggestions.
pub fn explain(schema: &Json, key: &str) -> Result<Vec<Explanation>, Diagnostic> {
    if key.is_empty() {
        return Ok(vec![explanation(schema, key, None, schema)]);
    }
    let found = find(schema, key);
    if found.is_empty() {
        return Err(unknown_path(schema, key));
    }
    Ok(found
        .into_iter()
        .map(|(of, found)| explanation(schema, key, of, found))
        .collect())
}

fn explanation(root: &Json, key: &str, of: Option<&str>, schema: &Json) -> Explanation {
    if is_name_of(root, key, schema) {
        return Explanation {
            key: key.to_owned(),
            of: None,
            kind: "a word".to_owned(),
            default: None,
            unit: None,
            range: None,
            words: words(root, schema).into_iter().map(str::to_owned).collect(),
            text: text(root, schema),
            keys: Vec::new(),
        };
    }
    Explanation {
        key: key.to_owned(),
        of: of.map(str::to_owned),
        kind: describe(root, schema),
        default: schema.get("default").map(Json::to_string),
        unit: key.ends_with("_ms").then_some("ms"),
        range: range(root, schema),
        words: words(root, schema).into_iter().map(str::to_owned).collect(),
        text: text(root, schema),
        keys: lines(root, schema),
    }
}

/// Returns the keys of a table, and those of an entry of a table of names, each with the first sentence of its description.
fn lines(root: &Json, schema: &Json) -> Vec<(String, String)> {
    let lines = |table, name: &str| -> Vec<(String, String)> {
        let keys = keys_of(root, table).into_iter();
        keys.map(|key| (format!("{name}{key}"), summary(root, table, key)))
            .collect()
    };
    let entries = shapes(root, schema).into_iter().find_map(entry_of);
    let of_entries = entries.map(|entry| lines(entry, "NAME."));
    let mut all = lines(schema, "");
    all.extend(of_entries.into_iter().flatten());
    all
}

/// Returns the schema of the entries of a table whose keys are names that the user chooses.
pub(crate) fn entry_of(shape: &Json) -> Option<&Json> {
    Some(&shape["additionalProperties"]).filter(|entry| entry.is_object())
}

/// Returns true if a key is the `name` of a table of several kinds; the lookup then finds the schema of the table
/// itself.
fn is_name_of(root: &Json, key: &str, found: &Json) -> bool {
    split(key).1 == "name" && is_named(root, found)
}

/// Returns the first sentence of the description of a key of a table.
fn summary(root: &Json, table: &Json, key: &str) -> String {
    if is_name_of(root, key, table) {
        return format!("Kind: {}", words(root, table).join(", "));
    }
    let keys = shapes(root, table)
        .into_iter()
        .map(|shape| &shape["properties"][key]);
    let text = |key: &Json| {
        let own = key["description"].as_str();
        own.or(resolved(root, key)["description"].as_str())
            .map(join_lines)
    };
    let text = keys
        .map(text)
        .find(Option::is_some)
        .flatten()
        .unwrap_or_default();
    first_sentence(&text).to_owned()
}

/// Cuts a text after its first sentence or paragraph. A full stop ends a sentence unless a lowercase letter or "et al"
/// is next to it.
fn first_sentence(text: &str) -> &str {
    let paragraph = text.split("\n\n").next().unwrap_or_default();
    let mut ends = paragraph.match_indices(". ").map(|(end, _)| end);
    let end = ends.find(|&end| {
        let next = paragraph[end + 2..].chars().next();
        !paragraph[..end].ends_with("et al") && next.is_some_and(|c| !c.is_lowercase())
    });
    paragraph[..end.unwrap_or(paragraph.len())].trim_end_matches('.')
}

/// Describes the bounds of a number, or of the items of a list.
fn range(root: &Json, schema: &Json) -> Option<String> {
    shapes(root, schema).into_iter().find_map(|shape| {
        let numbers = match shape.get("items") {
            Some(items) => items,
            None => shape,
        };
        let bound = |key: &str, word: &str| {
            let bound = numbers.get(key).filter(|bound| bound.is_number())?;
            Some(format!("{word} {bound}"))
        };
        let bounds: Vec<String> = [
            bound("minimum", "at least"),
            bound("exclusiveMinimum", "above"),
            bound("maximum", "at most"),
            bound("exclusiveMaximum", "below"),
        ]
        .into_iter()
        .flatten()
        .collect();
        (!bounds.is_empty()).then(|| bounds.join(", "))
    })
}

/// Returns the description of a schema, followed by the descriptions of its words.
fn text(root: &Json, schema: &Json) -> String {
    let mut lines: Vec<String> = schema["description"]
        .as_str()
        .map(join_lines)
        .into_iter()
        .collect();
    for shape in shapes(root, schema)
        .into_iter()
        .filter(|shape| !std::ptr::eq(*shape, schema))
    {
        if let (Some(word), Some(says)) = (shape["const"].as_str(), shape["description"].as_str()) {
            lines.push(format!("{word}: {}", join_lines(says)));
        }
    }
    lines.join("\n")
}

/// Joins the lines of each paragraph.
fn join_lines(text: &str) -> String {
    let paragraphs: Vec<String> = text
        .split("\n\n")
        .map(|paragraph| paragraph.replace('\n', " "))
        .collect();
    paragraphs.join("\n\n")
}

/// Returns the schemas of a full path, each with the `name` that its table must have.
pub(crate) fn find<'a>(schema: &'a Json, path: &str) -> Vec<(Option<&'a str>, &'a Json)> {
    path.split('.').fold(vec![(None, schema)], |found, key| {
        found
            .into_iter()
            .flat_map(|(of, found)| child(schema, of, found, key))
            .collect()
    })
}

/// Returns the schemas of `key` in all shapes of a table.
fn child<'a>(
    root: &'a Json,
    of: Option<&'a str>,
    schema: &'a Json,
    key: &str,
) -> Vec<(Option<&'a str>, &'a Json)> {
    if is_named(root, schema) && key == "name" {
        return vec![(of, schema)];
    }
    let mut found: Vec<(Option<&str>, &Json)> = Vec::new();
    for shape in shapes(root, schema) {
        if let Some(child) = shape["properties"].get(key).or_else(|| entry_of(shape)) {
            found.push((name_of(shape).or(of), resolved(root, child)));
        }
    }
    found
}

/// Returns the full paths of all keys of a schema, including tables.
pub fn keys(schema: &Json) -> Vec<String> {
    keys_that(schema, &|_| true).into_iter().collect()
}

/// Returns the full paths of the keys for which `suits` returns true; other tables are not entered.
fn keys_that(schema: &Json, suits: &dyn Fn(&str) -> bool) -> BTreeSet<String> {
    let mut keys = BTreeSet::new();
    collect_keys(schema, schema, "", suits, &mut keys);
    keys
}

fn collect_keys(
    root: &Json,
    schema: &Json,
    table: &str,
    suits: &dyn Fn(&str) -> bool,
    keys: &mut BTreeSet<String>,
) {
    for shape in shapes(root, schema) {
        for (key, child) in shape["properties"].as_object().into_iter().flatten() {
            let path = join(table, key);
            if suits(&path) {
                collect_keys(root, child, &path, suits, keys);
                keys.insert(path);
            }
        }
    }
}

/// Reports an unknown key, with suggestions.
///
/// `table` holds the shapes of its table, `given_tasks` the tasks of the configuration; keys of other tasks are not
/// suggested.
pub(crate) fn unknown_key(
    schema: &Json,
    path: &str,
    table: &[&Json],
    given_tasks: &[&str],
) -> Diagnostic {
    let (parent, _) = split(path);
    let suits = |key: &str| match key.strip_prefix("task.") {
        _ if key == path => false,
        Some(rest) => given_tasks.contains(&rest.split('.').next().unwrap_or(rest)),
        None => true,
    };
    let mut keys = keys_that(schema, &suits);
    let own = table.iter().flat_map(|shape| keys_of(schema, shape));
    keys.extend(own.map(|key| join(parent, key))); // those of a table with a name of the user are not in the schema
    let known: Vec<&str> = keys.iter().map(String::as_str).collect();
    let near = suggestion::keys_like(path, &known)
        .into_iter()
        .map(|meant| match split(meant) {
            (table, last) if table == parent => last,
            _ => meant,
        });
    let meant = suggestion::quoted(near).replace(", ", " or ");
    let meant = if meant.is_empty() {
        meant
    } else {
        format!("did you mean {meant}? ")
    };
    let unknown = Diagnostic::new(Code::UnknownKey, format!("unknown key {}", shortened(path)));
    if parent.starts_with("model.layer[") && ["areas", "projections"].contains(&split(path).1) {
        return unknown.help("a network has areas or several layers; within a layer, connectivity.file gives masks and signs, dale an excitatory fraction");
    }
    unknown.help(format!("{meant}{}", list_keys(schema, parent, table)))
}

/// Lists the keys of a table: "Keys of [model]: ..."
fn list_keys(root: &Json, path: &str, table: &[&Json]) -> String {
    let name = match table {
        [only] => name_of(only)
            .map(|name| format!(" with name = {name:?}"))
            .unwrap_or_default(),
        _ => String::new(),
    };
    let mut keys: Vec<&str> = table
        .iter()
        .flat_map(|shape| keys_of(root, shape))
        .collect();
    keys.sort_unstable();
    keys.dedup();
    let keys = keys.join(", ");
    if path.is_empty() {
        format!("Tables and keys: {keys}")
    } else {
        format!("Keys of [{path}]{name}: {keys}")
    }
}

/// Returns the schemas of the table that contains `path`.
fn table_of<'a>(schema: &'a Json, path: &str) -> Vec<&'a Json> {
    match split(path) {
        ("", _) => vec![schema],
        (table, _) => find(schema, table)
            .into_iter()
            .map(|(_, table)| table)
            .collect(),
    }
}

/// Reports an unknown key that is not in a configuration, but explained or removed by the user.
pub(crate) fn unknown_path(schema: &Json, path: &str) -> Diagnostic {
    let parts = path
        .match_indices('.')
        .map(|(end, _)| &path[..end])
        .chain([path]);
    let unknown = parts
        .filter(|path| !table_of(schema, path).is_empty())
        .find(|part| find(schema, part).is_empty())
        .unwrap_or(path);
    let tasks = keys_of(schema, &schema["properties"]["task"]);
    unknown_key(schema, unknown, &table_of(schema, unknown), &tasks)
}

/// Returns the shapes that a value may have, with references resolved: the alternatives of `anyOf` and `oneOf`, without
/// null, or the schema itself. `root` is the schema of the whole configuration, also in the functions below.
pub(crate) fn shapes<'a>(root: &'a Json, schema: &'a Json) -> Vec<&'a Json> {
    let schema = resolved(root, schema);
    let alternatives = schema
        .get("anyOf")
        .or_else(|| schema.get("oneOf"))
        .and_then(Json::as_array);
    match alternatives {
        None => vec![schema],
        Some(all) => all
            .iter()
            .filter(|shape| shape["type"] != "null")
            .flat_map(|shape| shapes(root, shape))
            .collect(),
    }
}

/// Returns the target of a reference; any other schema unchanged.
fn resolved<'a>(root: &'a Json, schema: &'a Json) -> &'a Json {
    let path = schema["$ref"]
        .as_str()
        .and_then(|path| path.strip_prefix('#'));
    path.and_then(|path| root.pointer(path)).unwrap_or(schema)
}

/// Returns true if a schema is that of a table whose `name` selects its keys, or of the name alone.
pub(crate) fn is_named(root: &Json, schema: &Json) -> bool {
    if schema.get("oneOf").is_none() {
        return false;
    }
    let shapes = shapes(root, schema);
    let mut tables = shapes
        .iter()
        .filter(|shape| types(shape).contains(&"object"))
        .peekable();
    tables.peek().is_some() && tables.all(|shape| name_of(shape).is_some())
}

/// Returns the `name` that a table must have.
pub(crate) fn name_of(schema: &Json) -> Option<&str> {
    schema["properties"]["name"]["const"].as_str()
}

/// Returns the keys of a table in all its shapes, sorted.
pub(crate) fn keys_of<'a>(root: &'a Json, schema: &'a Json) -> Vec<&'a str> {
    let mut keys = Vec::new();
    for key in shapes(root, schema)
        .iter()
        .flat_map(|shape| shape["properties"].as_object())
        .flat_map(Map::keys)
    {
        if !keys.contains(&key.as_str()) {
            keys.push(key.as_str());
        }
    }
    keys.sort_unstable();
    keys
}

/// Returns the words allowed for a string, or the names of a table with a `name`; empty if any string is allowed.
pub(crate) fn words<'a>(root: &'a Json, schema: &'a Json) -> Vec<&'a str> {
    let mut all: Vec<&str> = Vec::new();
    for shape in shapes(root, schema) {
        let words: Vec<&str> = match &shape["enum"] {
            Json::Array(words) => words.iter().filter_map(Json::as_str).collect(),
            _ => shape["const"]
                .as_str()
                .or_else(|| name_of(shape))
                .into_iter()
                .collect(),
        };
        // A name may be written alone or in a table.
        all.extend(
            words
                .into_iter()
                .filter(|word| !all.contains(word))
                .collect::<Vec<_>>(),
        );
    }
    all
}

/// Returns the JSON types that a shape allows.
pub(crate) fn types(shape: &Json) -> Vec<&str> {
    match &shape["type"] {
        Json::String(one) => vec![one],
        Json::Array(several) => several.iter().filter_map(Json::as_str).collect(),
        _ if shape.get("const").is_some_and(Json::is_string) => vec!["string"],
        _ => Vec::new(),
    }
}

/// Describes the type of a schema: `an integer`, `a number or a table`, `"mse" or "cross_entropy"`.
pub(crate) fn describe(root: &Json, schema: &Json) -> String {
    let mut kinds: Vec<String> = Vec::new();
    for shape in shapes(root, schema) {
        let words = words(root, shape);
        if !words.is_empty() && name_of(shape).is_none() {
            kinds.extend(words.iter().map(|word| format!("{word:?}")));
            continue;
        }
        for kind in types(shape).into_iter().filter_map(kind_in_words) {
            if !kinds.iter().any(|known| known == kind) {
                kinds.push(kind.to_owned());
            }
        }
    }
    kinds.join(" or ")
}

fn kind_in_words(kind: &str) -> Option<&'static str> {
    match kind {
        "integer" => Some("an integer"),
        "number" => Some("a number"),
        "string" => Some("a string"),
        "boolean" => Some("true or false"),
        "array" => Some("a list"),
        "object" => Some("a table"),
        _ => None,
    }
}

/// Joins a table and a key to a full path.
pub(crate) fn join(table: &str, key: &str) -> String {
    if table.is_empty() {
        key.to_owned()
    } else {
        format!("{table}.{key}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explained(key: &str) -> Vec<Explanation> {
        explain(schema(&ctrnn_runs::registry()), key).unwrap()
    }

    /// `UPDATE_SCHEMA=1 cargo test -p ctrnn-config schema` regenerates the file.
    #[test]
    fn the_committed_schema_is_that_of_the_types() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../configs/ctrnn.schema.json"
        );
        let new = format!("{:#}\n", schema(&ctrnn_runs::registry()));
        if std::env::var_os("UPDATE_SCHEMA").is_some() {
            std::fs::write(path, &new).unwrap();
        }
        let committed = std::fs::read_to_string(path).unwrap(); // as text: numbers such as 1/11 are not read to the bit
        assert!(
            committed == new,
            "run UPDATE_SCHEMA=1 cargo test -p ctrnn-config schema"
        );
    }

    /// The `name` of a table of several kinds is a word; its explanation is limited to the words.
    #[test]
    fn a_name_is_one_of_the_kinds() {
        let [name] = &explained("train.schedule.name")[..] else {
            panic!("one explanation")
        };
        let kinds = ["constant", "cosine", "exponential", "step", "plateau"];
        assert_eq!(
            (&name.words[..], &name.keys[..]),
            (&kinds.map(str::to_owned)[..], &[][..])
        );
        let [table] = &explained("train.schedule")[..] else {
            panic!("one explanation")
        };
        let line = ("name".to_owned(), format!("Kind: {}", kinds.join(", ")));
        assert!(table.keys.contains(&line), "{:?}", table.keys);
    }

    #[test]
    fn every_key_is_explained() {
        let registry = ctrnn_runs::registry();
        let schema = schema(&registry);
        for key in keys(schema).iter().filter(|key| !key.starts_with("task.")) {
            for explanation in explain(schema, key).unwrap() {
                let is_name = key.ends_with(".name");
                assert!(
                    is_name || !explanation.text.is_empty(),
                    "{key} has no explanation"
                );
                assert!(!explanation.kind.is_empty(), "{key} has no type");
            }
        }
    }

    #[test]
    fn an_explanation_says_type_default_and_words() {
        let [tau] = explained("model.tau_ms").try_into().unwrap();
        assert_eq!(
            (tau.kind.as_str(), tau.default.as_deref()),
            ("a number or a list or a table", Some("100.0"))
        );
        assert_eq!(
            (tau.unit, tau.range.as_deref()),
            (Some("ms"), Some("above 0"))
        );
        let [units] = explained("model.n_units").try_into().unwrap();
        assert_eq!(
            (units.unit, units.range.as_deref()),
            (None, Some("at least 1, at most 16384"))
        );
        let [best] = explained("checkpoint.best").try_into().unwrap();
        let words = [
            "val.loss",
            "val.accuracy",
            "val.min_accuracy",
            "val.task_accuracy",
            "val.min_task_accuracy",
        ];
        assert_eq!(best.words, words);
        assert!(
            best.text.contains("val.accuracy: Fraction of"),
            "{}",
            best.text
        );
        let [stimulus] = explained("task.go_nogo.stimulus_ms").try_into().unwrap();
        assert_eq!(
            (stimulus.kind.as_str(), stimulus.default.as_deref()),
            ("a number or a table", Some("200.0"))
        );
        let mixed = "task.multitask.tasks.go_nogo.stimulus_ms";
        let [in_a_mixture] = explained(mixed).try_into().unwrap();
        assert_eq!(
            (in_a_mixture.kind, in_a_mixture.default),
            (stimulus.kind, stimulus.default)
        );
        let [model] = explained("model").try_into().unwrap();
        let n_units = model.keys.iter().find(|(key, _)| key == "n_units");
        assert_eq!(n_units.unwrap().1, "Number of recurrent units, N");
    }

    #[test]
    fn every_key_of_a_table_has_a_line() {
        let [whole] = explained("").try_into().unwrap();
        let names: Vec<&str> = whole.keys.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(
            names,
            [
                "checkpoint",
                "device",
                "model",
                "seed",
                "task",
                "time",
                "train",
                "validate",
                "version"
            ]
        );
        let registry = ctrnn_runs::registry();
        let is_one_of_many =
            |key: &String| key.starts_with("task.") && !key.starts_with("task.go_nogo");
        let keys = keys(schema(&registry)).into_iter();
        for table in keys
            .filter(|key| !is_one_of_many(key))
            .chain([String::new()])
        {
            for table in explained(&table) {
                for (key, line) in &table.keys {
                    assert!(!line.is_empty(), "{}.{key}", table.key);
                    assert!(!line.contains('\n'), "{}.{key}: {line}", table.key);
                }
            }
        }
        let [tasks] = explained("task").try_into().unwrap();
        let anti = tasks.keys.iter().find(|(name, _)| name == "anti").unwrap();
        assert!(
            anti.1.starts_with("Respond towards a stimulus"),
            "{}",
            anti.1
        );
    }

    #[test]
    fn a_sentence_ends_before_the_next_one() {
        for (text, first) in [
            ("One. Two.", "One"),
            (
                "As in Song et al. (2016). More.",
                "As in Song et al. (2016)",
            ),
            ("A number, 0.5 at most.\n\nMore.", "A number, 0.5 at most"),
            ("`a`: b. `c`: d.", "`a`: b"),
            ("", ""),
        ] {
            assert_eq!(first_sentence(text), first);
        }
    }

    #[test]
    fn a_key_that_depends_on_a_name_is_explained_for_each() {
        let [adam, _, sgd, _, _, _] = explained("train.optimizer.lr").try_into().unwrap();
        assert_eq!(
            (adam.of.as_deref(), adam.default.as_deref()),
            (Some("adam"), Some("0.001"))
        );
        assert_eq!(
            (sgd.of.as_deref(), sgd.default.as_deref()),
            (Some("sgd"), Some("0.01"))
        );
        let [name] = explained("train.optimizer.name").try_into().unwrap();
        let words = ["adam", "adamw", "sgd", "rmsprop", "adagrad", "lbfgs"];
        assert_eq!(name.words, words);
    }

    #[test]
    fn an_unknown_key_is_not_explained() {
        let registry = ctrnn_runs::registry();
        let problem = explain(schema(&registry), "train.learning_rate").unwrap_err();
        insta::assert_snapshot!(problem.render(false), @r#"
        error[C001]: unknown key train.learning_rate
        help: did you mean "train.optimizer.lr"? Keys of [train]: accumulate, batch_size, clip_grad_norm, clip_grad_norm_per_tensor, clip_grad_value, continual, divergence, dropout, freeze, groups, log_every, loss, noise_schedule, optimizer, perturbation, recompute, rule, schedule, stage, steps, stop, teacher_forcing, truncate_steps, truncate_stride
        "#);
    }
}
