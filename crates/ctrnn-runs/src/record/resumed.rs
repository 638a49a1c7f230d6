//! Resumed runs: the recorded configuration, and the consequences of changed values.

use std::fmt::Write as _;

use ctrnn_config::{Difference, MAX_CONFIG_BYTES, Run};
use ctrnn_files::{RunFolder, read_at_most};
use ctrnn_tasks::from_toml;
use ctrnn_train::Schedule;
use serde_json::{Map, Value, json};
use toml::Table;

use crate::RunError;
use crate::record::manifest::THREADS;

const SCHEDULE_STEPS: &str = "train.schedule.steps";

/// Returns the resolved configuration recorded in a run folder; the files that it names may be missing.
///
/// # Errors
/// If it is missing or is not valid TOML.
pub fn recorded(folder: &RunFolder) -> Result<Table, RunError> {
    let path = folder.resolved();
    let bytes = read_at_most(&path, MAX_CONFIG_BYTES)?;
    let damaged = |reason: String| RunError::Data {
        path: path.clone(),
        reason,
    };
    let text = String::from_utf8(bytes).map_err(|error| damaged(error.to_string()))?;
    let table: Result<Table, toml::de::Error> = text.parse();
    let mut table = table.map_err(|error| damaged(error.message().to_owned()))?;
    for (key, value) in open_values(&table) {
        let (path, last) = key.rsplit_once('.').expect("a key of a table");
        let mut inner = Some(&mut table);
        for word in path.split('.') {
            inner = inner.and_then(|table| table.get_mut(word)?.as_table_mut());
        }
        if let Some(inner) = inner {
            inner.insert(last.to_owned(), value);
        }
    }
    Ok(table)
}

/// Returns keys that an earlier version left open in a resolved configuration, each with the value that it meant.
pub fn left_open(folder: &RunFolder) -> Vec<(&'static str, toml::Value)> {
    let text = read_at_most(&folder.resolved(), MAX_CONFIG_BYTES).unwrap_or_default();
    let table: Option<Table> = String::from_utf8_lossy(&text).parse().ok();
    table.as_ref().map(open_values).unwrap_or_default()
}

/// Returns the keys that a recorded configuration lacks but whose value follows from the version that wrote it: the length
/// of a cosine schedule was the number of steps; validation had no noise, its trials were dealt over the conditions of
/// all tasks, and each validation alone was compared with the bound of `train.stop`.
fn open_values(recorded: &Table) -> Vec<(&'static str, toml::Value)> {
    let lacks = |table: Option<&toml::Value>, key: &str| {
        table.is_some_and(|table| table.is_table() && table.get(key).is_none())
    };
    let (train, validate) = (recorded.get("train"), recorded.get("validate"));
    let stop = train.and_then(|train| train.get("stop"));
    let earlier = [
        (validate, "noise", "validate.noise", false.into()),
        (validate, "balance", "validate.balance", "conditions".into()),
        (stop, "over", "train.stop.over", 1.into()),
    ];
    let open = earlier
        .into_iter()
        .filter(|(table, key, ..)| lacks(*table, key));
    let length = open_length(recorded).map(|steps| (SCHEDULE_STEPS, steps));
    let open = open.map(|(.., key, value)| (key, value));
    open.chain(length).collect()
}

fn open_length(recorded: &Table) -> Option<toml::Value> {
    let train = recorded.get("train")?;
    let steps = train.get("steps")?.as_integer()?.try_into().ok()?;
    let schedule = train.get("schedule")?;
    let given: Schedule = from_toml(schedule.clone()).ok()?;
    let fixed = given.clone().of_fixed_length(steps);
    match (given != fixed, fixed) {
        (true, Schedule::Cosine(cosine)) => Some(i64::try_from(cosine.steps?).ok()?.into()),
        _ => None,
    }
}

/// Returns notes on side effects of changed values on a run that continues from `step`.
pub(crate) fn effects(changed: &[Difference], run: &Run, step: u64) -> Vec<String> {
    let mut notes = schedule_effects(changed, run, step);
    let train = &run.config.train;
    let mut readers = Vec::new();
    if matches!(train.schedule, Schedule::Plateau(_)) {
        readers.push("when train.schedule lowers the learning rate");
    }
    if train.stop.is_some() {
        readers.push("when train.stop ends the run");
    }
    for found in changed.iter().filter(|d| d.key.starts_with("validate.")) {
        if readers.is_empty() {
            continue;
        }
        notes.push(format!(
            "{} is {} from step {step} on (before: {}), which also changes {}",
            found.key,
            found.right_word(),
            found.left_word(),
            readers.join(" and ")
        ));
    }
    if changed.iter().any(|d| d.key == "checkpoint.best") {
        let metric = run.config.checkpoint.best.name();
        notes.push(format!(
            "the best checkpoint is that of {metric} now, and is looked for from step {step} on"
        ));
    }
    notes
}

/// Returns a note if a schedule keeps its original length, so that further steps are made at its last rate.
fn schedule_effects(changed: &[Difference], run: &Run, step: u64) -> Vec<String> {
    let train = &run.config.train;
    let rate =
        |schedule: &Schedule, step| train.optimizer.lr() * schedule.factor(step, train.steps);
    let Schedule::Cosine(cosine) = &train.schedule else {
        return Vec::new();
    };
    let is_changed = |key: &str| changed.iter().find(|d| d.key == key);
    let mut notes = Vec::new();
    let before = is_changed(SCHEDULE_STEPS).and_then(|d| d.left.as_ref()?.as_integer());
    if let Some(before) = before.and_then(|steps| u64::try_from(steps).ok()) {
        let mut earlier = cosine.clone();
        earlier.steps = Some(before);
        notes.push(format!(
            "the learning rate continues from step {step} at {}; with {SCHEDULE_STEPS} = {before} it would be {}",
            short(rate(&train.schedule, step)),
            short(rate(&Schedule::Cosine(earlier), step))
        ));
    }
    let is_asked = is_changed("train.steps")
        .or(is_changed(SCHEDULE_STEPS))
        .is_some();
    if let Some(end) = train
        .schedule
        .end()
        .filter(|end| is_asked && *end < train.steps)
    {
        notes.push(format!(
            "the cosine schedule ends at step {end}: from there to step {} the learning rate is {}; \
             {SCHEDULE_STEPS}={} stretches it",
            train.steps,
            short(rate(&train.schedule, end)),
            train.steps - cosine.warmup_steps
        ));
    }
    notes
}

fn short(rate: f64) -> String {
    if rate == 0.0 {
        "0".to_owned()
    } else {
        format!("{rate:.3e}")
    }
}

/// Returns the changes on resume, as stored in the event and the manifest.
pub(crate) fn changes_json(changed: &[Difference]) -> Value {
    let one = |d: &Difference| json!({ "key": d.key, "before": d.left, "now": d.right });
    changed.iter().map(one).collect()
}

const PARTS: &str = "# This run was made in parts";

/// Returns true if a configuration is the resolved one of a run made in parts.
pub fn is_in_parts(config: &[u8]) -> bool {
    config.starts_with(PARTS.as_bytes())
}

/// Returns the comment above the resolved configuration of a run made in parts, which it alone does not reproduce;
/// empty otherwise.
pub(crate) fn parts_header(manifest: &Map<String, Value>, run: &Run) -> String {
    let entries = manifest.get("resumed").and_then(Value::as_array);
    let parts: Vec<ResumedPart> = entries.into_iter().flatten().map(ResumedPart::of).collect();
    let is_felt = |part: &ResumedPart| {
        let mut changes = part.changed.iter();
        !part.machine.is_empty() || changes.any(|change| is_felt(change, run))
    };
    if !parts.iter().any(is_felt) {
        return String::new();
    }
    let mut header = format!(
        "{PARTS}: it was resumed with other values, or on another machine or version, so that a new run of this file\n\
         # need not be the same to the last bit. It began with config.toml and overrides.txt. Then\n"
    );
    for part in parts {
        let changed = part.changed.iter().map(change_text);
        let machine = part
            .machine
            .iter()
            .map(|(field, now)| machine_text(field, now));
        let changes: Vec<String> = changed.chain(machine).collect();
        if !changes.is_empty() {
            let _ = writeln!(
                header,
                "#   from step {} on: {}",
                part.from_step,
                changes.join(", ")
            );
        }
    }
    header.push_str(
        "# To repeat it, train what it began with and resume that run at the same steps with the same values.\n\n",
    );
    header
}

/// A part of a run, from a resume on.
struct ResumedPart<'a> {
    from_step: &'a Value,
    /// Changed values of the configuration.
    changed: &'a [Value],
    /// Fields of the machine that changed so that numbers can differ in the last bits, with their new values.
    machine: Vec<(&'a String, &'a Value)>,
}

impl<'a> ResumedPart<'a> {
    /// Returns the part that an entry of `resumed` in the manifest describes.
    fn of(entry: &'a Value) -> Self {
        // From step 0 on there is no earlier part.
        let is_later = entry["from_step"].as_u64().is_some_and(|step| step > 0);
        let machine = entry["now"].as_object().filter(|_| is_later);
        let machine = machine.into_iter().flatten();
        Self {
            from_step: &entry["from_step"],
            changed: entry["changed"].as_array().map_or(&[], Vec::as_slice),
            machine: machine.filter(|(field, _)| *field != THREADS).collect(),
        }
    }
}

/// Formats a changed field of the machine for one line of a comment: `kernel_path = "portable"`.
fn machine_text(field: &str, now: &Value) -> String {
    format!("{field} = {now}").replace('\n', " ")
}

/// Returns true if the change of a key can affect the final network, compared with a run that had the last values from
/// the beginning.
fn is_felt(change: &Value, run: &Run) -> bool {
    let key = change["key"].as_str().unwrap_or_default();
    // The last step of a part is validated, even if no validation is due.
    let counts_validations = matches!(run.config.train.schedule, Schedule::Plateau(_))
        || run.config.train.stop.is_some();
    match key {
        "train.steps" => counts_validations,
        SCHEDULE_STEPS => !change["before"].is_null(), // otherwise no step was made before
        "checkpoint.keep_last" | "checkpoint.keep_best" | "checkpoint.on_error" => false,
        key => !key.starts_with("device."),
    }
}

/// Formats a change for one line of a comment: `train.steps = 400 (before: 200)`.
fn change_text(change: &Value) -> String {
    let word = |value: &Value| match value {
        Value::Null => "absent".to_owned(),
        value => value.to_string(), // JSON has no line feeds
    };
    let key = change["key"].as_str().unwrap_or_default();
    let (now, before) = (word(&change["now"]), word(&change["before"]));
    format!("{key} = {now} (before: {before})").replace('\n', " ")
}
