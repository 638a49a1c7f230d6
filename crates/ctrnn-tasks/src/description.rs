//! The generated part of the text of `tasks describe`, which follows the documentation of a task's struct.

use serde_json::Value;

use crate::{Layout, TargetKind, Task};

/// Describes epochs, inputs, outputs, conditions and the rule for correct trials, in Markdown.
pub(crate) fn describe(task: &dyn Task) -> String {
    let Layout {
        inputs,
        outputs,
        target,
        ..
    } = task.layout();
    let target = match target {
        TargetKind::Values => "compared with values",
        TargetKind::Classes => "compared with classes",
    };
    let mut text = section(
        "Epochs",
        task.epochs()
            .iter()
            .map(|e| format!("{}: {}", e.name, e.duration)),
    );
    text += &section("Inputs", populations(&inputs));
    text += &section(&format!("Outputs, {target}"), populations(&outputs));
    text += &section("Conditions", describe_conditions(task));
    text += &format!("## Correct\n\n{}\n", task.correct_rule());
    if let Some(chance) = task.chance() {
        text += &format!("Chance: {:.1} %.\n", 100.0 * chance);
    }
    text
}

/// Describes the keys of a table with their defaults and allowed words, in Markdown.
pub(crate) fn describe_options(schema: &Value) -> String {
    let properties = schema["properties"].as_object().into_iter().flatten();
    let required: Vec<&str> = schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    section(
        "Options",
        properties.map(|(key, property)| {
            let default = property["default"].clone();
            let given = match toml::Value::try_from(default) {
                Ok(default) => format!("`{key} = {default}`"),
                Err(_) if required.contains(&key.as_str()) => format!("`{key}` (required)"),
                Err(_) => format!("`{key}`"),
            };
            format!(
                "{given}: {}{}",
                in_a_line(property),
                describe_words(property)
            )
        }),
    )
}

/// Returns an indented line for each word that a key allows.
fn describe_words(property: &Value) -> String {
    let shapes = ["oneOf", "anyOf"].map(|key| property[key].as_array());
    let shapes = shapes.into_iter().flatten().flatten();
    let line = |shape: &Value| {
        let word = shape["const"].as_str()?;
        Some(format!("\n  * `{word}`: {}", in_a_line(shape)))
    };
    shapes.filter_map(line).collect()
}

/// Returns the description of a schema without line breaks.
fn in_a_line(schema: &Value) -> String {
    let text = schema["description"].as_str().unwrap_or_default();
    text.replace('\n', " ")
}

/// Formats a heading and a list; returns an empty text if the list is empty.
fn section(heading: &str, items: impl IntoIterator<Item = String>) -> String {
    let list: String = items
        .into_iter()
        .map(|item| format!("* {item}\n"))
        .collect();
    if list.is_empty() {
        list
    } else {
        format!("## {heading}\n\n{list}\n")
    }
}

/// Lists the names, but shortens a population (`cell 0`, `cell 1`, ...) to its first and last.
fn populations(names: &[String]) -> Vec<String> {
    let member = |name: &str| -> Option<(String, usize)> {
        let (population, number) = name.rsplit_once(' ')?;
        Some((population.to_owned(), number.parse().ok()?))
    };
    let follows = |a: &String, b: &String| match (member(a), member(b)) {
        (Some((a, i)), Some((b, j))) => a == b && i + 1 == j,
        _ => false,
    };
    let list = names.chunk_by(follows).map(|chunk| match chunk {
        [first, .., last] => format!("{first} to {last}"),
        [name] => name.clone(),
        [] => String::new(),
    });
    list.collect()
}

/// Lists each name with its values in order of appearance, and with the names of these.
fn describe_conditions(task: &dyn Task) -> Vec<String> {
    let conditions = task.conditions();
    let names = conditions
        .first()
        .into_iter()
        .flat_map(|condition| &condition.values);
    names
        .map(|(name, _)| {
            let mut values: Vec<String> = Vec::new();
            for condition in &conditions {
                let value = condition.value(name);
                let text = match task.value_name(name, value) {
                    Some(meaning) => format!("{value} ({meaning})"),
                    None => value.to_string(),
                };
                if !values.contains(&text) {
                    values.push(text);
                }
            }
            format!("{name}: {}", values.join(", "))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::populations;
    use crate::Registry;

    #[test]
    fn a_population_is_one_item() {
        let names = [
            "fixation", "ring1 0", "ring1 1", "ring1 2", "ring2 0", "rule a", "rule b",
        ];
        let listed = populations(&names.map(str::to_owned));
        let expected = [
            "fixation",
            "ring1 0 to ring1 2",
            "ring2 0",
            "rule a",
            "rule b",
        ];
        assert_eq!(listed, expected);
    }

    #[test]
    fn the_words_of_a_key_have_a_line_each() {
        let registry = Registry::built_in();
        let text = registry.get("multitask").unwrap().description();
        for expected in [
            "* `mixing = \"batches\"`: Order of the tasks in training. Validation cycles through all of them: see validate.balance.\n  \
             * `trials`: A task is drawn by weight for each trial.\n  * `batches`: ",
            "\n  * `sequence`: The tasks take one turn each",
            "* `weights`: Weights of the tasks",
        ] {
            assert!(text.contains(expected), "{expected}\n--\n{text}");
        }
    }

    /// The summary of a family is that of its own defaults.
    #[test]
    fn a_variant_has_one_summary() {
        let registry = Registry::built_in();
        let described = |name: &str| registry.get(name).unwrap().description();
        assert!(described("abca").starts_with(
            "Find the sample again in a sequence of tests without repetitions.\n\nDirections are shown"
        ));
        for (name, family) in [
            ("abca", "twice"),
            ("dmrs_90", "matches a sample direction seen before"),
            (
                "delayed_match_to_category",
                "matches a sample direction seen before",
            ),
        ] {
            assert!(!described(name).contains(family), "{name}");
        }
    }

    #[test]
    fn describes_a_task_from_its_defaults() {
        let registry = Registry::built_in();
        let entry = registry.get("go_nogo").unwrap();
        assert_eq!(
            entry.summary(),
            "Respond after one cue and withhold the response after the other"
        );
        for expected in [
            "The fixation input is 1 until the response epoch",
            "* `delay_ms = { uniform = [100.0, 400.0] }`: Duration of the delay between the cue and the response.\n",
            "* `go_fraction = 0.5`: Fraction of go trials in training.\n",
            "## Epochs\n\n* fixation: 100 ms\n* stimulus: 200 ms\n* delay: 100 to 400 ms, uniform\n",
            "## Inputs\n\n* fixation\n* go_cue\n* nogo_cue\n",
            "## Outputs, compared with values\n\n* fixation\n* go\n",
            "## Conditions\n\n* go: 0 (no-go), 1 (go)\n",
            "## Correct\n\nThe choice is the largest of the outputs fixation, go at the last time",
        ] {
            assert!(
                entry.description().contains(expected),
                "{expected}\n--\n{}",
                entry.description()
            );
        }
    }
}
