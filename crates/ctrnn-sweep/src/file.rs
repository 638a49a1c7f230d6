//! The sweep file: what varies between trials.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ctrnn_config::{
    Code, ConfigErrors, Diagnostic, MAX_CONFIG_BYTES, Measure, Metric, Place, Source, word_like,
};
use ctrnn_files::read_at_most;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::expansion::{Axis, MOST_TRIALS, Point, Setting, combinations};
use crate::random::Distribution;

/// Largest number of seeds and of draws.
const MOST: i64 = MOST_TRIALS as i64;
/// Largest nesting depth of tables and lists: functions here call themselves for each level.
const MOST_NESTED: usize = 32;
/// Keys of a sweep file.
const KEYS: [&str; 7] = ["base", "name", "metric", "seeds", "grid", "list", "random"];

/// A sweep file, as written.
#[derive(Clone, Debug)]
pub struct SweepFile {
    /// Name of the sweep, by which its folder is called; the name of the file by default.
    pub name: String,
    /// Configuration that all trials share, relative to the current folder.
    pub base: PathBuf,
    /// Place of `base`.
    pub base_place: Place,
    /// Metric by which trials are compared, as `checkpoint.best` of each; that of the base configuration by default.
    pub metric: Option<String>,
    /// Seeds of the trials of each point; absent: the seed of the base configuration.
    pub seeds: Option<Vec<i64>>,
    /// Text of the file.
    pub text: String,
    axes: Vec<Axis>,
    whole: Place,
}

impl SweepFile {
    /// Reads a sweep file.
    ///
    /// # Errors
    /// All problems of the file at once.
    pub fn read(path: &Path) -> Result<Self, ConfigErrors> {
        let unreadable = |why: String| {
            let message = format!("cannot read {}: {why}", path.display());
            let help =
                "name a sweep file: a TOML text with `base`, `[grid]` and `seeds` (docs/sweeps.md)";
            ConfigErrors::from(Diagnostic::new(Code::Unreadable, message).help(help))
        };
        let bytes =
            read_at_most(path, MAX_CONFIG_BYTES).map_err(|error| unreadable(error.to_string()))?;
        let text =
            String::from_utf8(bytes).map_err(|_| unreadable("it is not UTF-8 text".to_owned()))?;
        let folder = path.parent().unwrap_or(Path::new(""));
        Self::from_text(&text, &path.display().to_string(), folder)
    }

    /// Reads a sweep file from a text; messages call it `name`, and `base` starts from `folder`.
    ///
    /// # Errors
    /// All problems of the file at once.
    pub fn from_text(text: &str, name: &str, folder: &Path) -> Result<Self, ConfigErrors> {
        let source = Arc::new(Source {
            order: 0,
            name: name.to_owned(),
            text: text.to_owned(),
            folder: folder.to_owned(),
        });
        let (table, errors) = DeTable::parse_recoverable(text);
        let mut reader = SweepFileReader {
            problems: Vec::new(),
            source: &source,
            settings: BTreeMap::new(),
        };
        if !errors.is_empty() {
            for error in errors.iter().take(10) {
                let span = error.span().unwrap_or(text.len()..text.len());
                let message = format!("not TOML: {}", error.message());
                let help = "write `key = value` under a [table]; a string needs double quotes";
                reader.problem(Code::Syntax, span, message, help);
            }
            return Err(ConfigErrors(reader.problems));
        }
        if let Some(span) = too_deep(table.get_ref(), MOST_NESTED) {
            let message = format!("more than {MOST_NESTED} tables and lists in each other");
            let help = "no key needs so many; `train-ctrnn config schema` shows them all";
            reader.problem(Code::Syntax, span, message, help);
            return Err(ConfigErrors(reader.problems));
        }
        let file = reader.file(table.get_ref(), name);
        match file {
            Some(file) if reader.problems.is_empty() => Ok(file),
            _ => Err(ConfigErrors(reader.problems)),
        }
    }

    /// Returns the combinations of all settings, without seeds; seeds vary fastest among the trials.
    ///
    /// # Errors
    /// If there are more than [`MOST_TRIALS`](crate::MOST_TRIALS).
    pub fn points(&self) -> Result<Vec<Point>, ConfigErrors> {
        let n_seeds = self.seeds.as_ref().map_or(1, Vec::len);
        combinations(&self.axes, n_seeds, &self.whole)
    }

    /// Returns the keys that vary, in the order of the file, without the seed.
    pub fn keys(&self) -> Vec<Arc<str>> {
        let mut keys: Vec<Arc<str>> = Vec::new();
        for setting in self.axes.iter().flat_map(|axis| axis.0.iter().flatten()) {
            if !keys.contains(&setting.key) {
                keys.push(setting.key.clone());
            }
        }
        keys
    }
}

/// Reads the parts of a sweep file and collects their problems.
struct SweepFileReader<'a> {
    problems: Vec<Diagnostic>,
    source: &'a Arc<Source>,
    /// Keys that are set already, and the place of each.
    settings: BTreeMap<String, Range<usize>>,
}

type Entry<'a, 'b> = (String, Range<usize>, &'a Spanned<DeValue<'b>>);

impl SweepFileReader<'_> {
    fn file(&mut self, table: &DeTable<'_>, name: &str) -> Option<SweepFile> {
        for key in table.keys().filter(|key| !KEYS.contains(&&**key.get_ref())) {
            self.unknown(key.get_ref(), key.span(), &KEYS);
        }
        let base = self.text(table, "base");
        if base.is_none() && !table.contains_key("base") {
            let message = "the sweep has no base configuration";
            self.problem(
                Code::MissingKey,
                0..0,
                message,
                "add a line such as: base = \"my.toml\"",
            );
        }
        let metric = self.text(table, "metric");
        if let Some((metric, span)) = &metric
            && metric.parse::<Metric>().is_err()
        {
            let message = format!("metric: {metric:?} is not a metric");
            let help = format!(
                "expected one of {}, or val.NAME.loss and so on for [validate.NAME]",
                Measure::ALL.map(Measure::name).join(", ")
            );
            self.problem(Code::UnknownWord, span.clone(), message, &help);
        }
        let name_key = self.text(table, "name");
        if let Some((name, span)) = &name_key {
            let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
            if name.is_empty() || name.starts_with('.') || !name.chars().all(is_plain) {
                let message = format!("name: {name:?} cannot be the name of a folder");
                let help =
                    "use letters, digits, `-`, `_` and `.`, and begin with a letter or digit";
                self.problem(Code::OutOfRange, span.clone(), message, help);
            }
        }
        let seeds = table.get("seeds").and_then(|value| self.seeds(value));
        if let Some((key, _)) = table.get_key_value("seeds") {
            self.settings.insert("seed".to_owned(), key.span());
        }
        let mut axes = self.grid(table);
        axes.extend(self.list(table));
        axes.extend(self.random(table));
        let (base, base_span) = base?;
        let stem = Path::new(name)
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy();
        Some(SweepFile {
            name: name_key.map_or_else(|| stem.into_owned(), |(name, _)| name),
            base: self.source.folder.join(base),
            base_place: self.place(base_span),
            metric: metric.map(|(metric, _)| metric),
            seeds,
            text: self.source.text.clone(),
            axes,
            whole: self.place(0..self.source.text.len()),
        })
    }

    fn place(&self, span: Range<usize>) -> Place {
        Place {
            source: self.source.clone(),
            span,
        }
    }

    fn problem(&mut self, code: Code, span: Range<usize>, message: impl Into<String>, help: &str) {
        let problem = Diagnostic::new(code, message).at(&self.place(span), "");
        self.problems.push(problem.help(help));
    }

    fn unknown(&mut self, word: &str, span: Range<usize>, known: &[&str]) {
        let help = match word_like(word, known.iter().copied()) {
            Some(like) => format!("did you mean `{like}`?"),
            None => format!("expected one of {}", known.join(", ")),
        };
        self.problem(Code::UnknownKey, span, format!("unknown key {word}"), &help);
    }

    fn text(&mut self, table: &DeTable<'_>, key: &str) -> Option<(String, Range<usize>)> {
        let value = table.get(key)?;
        match value.get_ref() {
            DeValue::String(text) => Some((text.to_string(), value.span())),
            _ => {
                let message = format!("{key} is not a text");
                self.problem(
                    Code::WrongType,
                    value.span(),
                    message,
                    "write it in double quotes",
                );
                None
            }
        }
    }

    fn seeds(&mut self, value: &Spanned<DeValue<'_>>) -> Option<Vec<i64>> {
        let help = "seeds = 32 means the seeds 1 to 32; seeds = [3, 7] lists them";
        match to_toml(value.get_ref()) {
            toml::Value::Integer(n) if (1..=MOST).contains(&n) => Some((1..=n).collect()),
            toml::Value::Array(items) if !items.is_empty() => {
                let seeds = items
                    .iter()
                    .map(|item| item.as_integer().filter(|&seed| seed >= 0));
                let seeds: Option<Vec<i64>> = seeds.collect();
                if seeds.is_none() {
                    let message = "a seed is an integer from 0 to 2^63 - 1";
                    self.problem(Code::OutOfRange, value.span(), message, help);
                }
                seeds
            }
            _ => {
                let message =
                    format!("seeds is neither a number from 1 to {MOST} nor a list of seeds");
                self.problem(Code::WrongType, value.span(), message, help);
                None
            }
        }
    }

    /// Returns the entries below a table: keys with all their parts, down to the first value for which `is_leaf` is true.
    fn entries<'a, 'b>(
        &mut self,
        table: &'a DeTable<'b>,
        is_leaf: &dyn Fn(&DeValue<'_>) -> bool,
    ) -> Vec<Entry<'a, 'b>> {
        let mut found = Vec::new();
        collect(table, "", is_leaf, &mut found);
        found.sort_by_key(|(_, span, _)| span.start); // the order of the file
        found
    }

    /// Notes that a key is set, and reports it if it is set elsewhere already.
    fn claim(&mut self, key: &str, span: &Range<usize>) {
        if let Some(other) = self.settings.get(key) {
            let problem = Diagnostic::new(Code::RepeatedOverride, format!("{key} is set twice"))
                .at(&self.place(span.clone()), "")
                .at(&self.place(other.clone()), "set here, too");
            self.problems.push(problem.help("keep one of them"));
        }
        self.settings.insert(key.to_owned(), span.clone());
    }

    fn grid(&mut self, table: &DeTable<'_>) -> Vec<Axis> {
        let Some(grid) = self.table(
            table,
            "grid",
            "[grid] holds lists: train.optimizer.lr = [1e-3, 1e-2]",
        ) else {
            return Vec::new();
        };
        let mut axes = Vec::new();
        for (key, span, value) in self.entries(grid, &|value| !value.is_table()) {
            self.claim(&key, &span);
            let Some(items) = value.get_ref().as_array().filter(|items| !items.is_empty()) else {
                let message = format!("grid.{key} is not a list of values");
                let help = format!(
                    "write a list: {key} = [...]; a value that all trials share belongs in the base configuration"
                );
                self.problem(Code::WrongType, value.span(), message, &help);
                continue;
            };
            let key: Arc<str> = key.into();
            let setting = |item: &Spanned<DeValue<'_>>| {
                vec![Setting {
                    key: key.clone(),
                    value: to_toml(item.get_ref()),
                    place: self.place(item.span()),
                }]
            };
            axes.push(Axis(items.iter().map(setting).collect()));
        }
        axes
    }

    fn list(&mut self, table: &DeTable<'_>) -> Option<Axis> {
        let value = table.get("list")?;
        let help = "each [[list]] holds values that belong together: model.n_units = 64 and train.batch_size = 128";
        let items = value.get_ref().as_array();
        let tables: Option<Vec<_>> = items.and_then(|items| {
            let tables = items.iter().map(|item| item.get_ref().as_table());
            tables.collect()
        });
        let Some(tables) = tables.filter(|tables| !tables.is_empty()) else {
            self.problem(
                Code::WrongType,
                value.span(),
                "list is not a list of tables",
                help,
            );
            return None;
        };
        let mut claimed = Vec::new();
        let points = tables.into_iter();
        let points = points.map(|table| self.point(table, &mut claimed));
        Some(Axis(points.collect()))
    }

    /// Reads the settings of a table of the list. `claimed` are the keys of the tables before it.
    fn point(&mut self, table: &DeTable<'_>, claimed: &mut Vec<String>) -> Point {
        let mut point = Point::new();
        for (key, span, value) in self.entries(table, &|value| !value.is_table()) {
            if !claimed.contains(&key) {
                self.claim(&key, &span);
                claimed.push(key.clone());
            }
            point.push(Setting {
                key: key.into(),
                value: to_toml(value.get_ref()),
                place: self.place(value.span()),
            });
        }
        point
    }

    fn random(&mut self, table: &DeTable<'_>) -> Option<Axis> {
        let help = "[random] holds n = 20, and distributions: train.optimizer.lr = { log_uniform = [1e-4, 1e-2] }";
        let random = self.table(table, "random", help)?;
        let n = self.integer(random, "n", 1..=MOST)?;
        let seed = match random.get("seed") {
            Some(_) => self.integer(random, "seed", 0..=i64::MAX)?,
            None => 0,
        };
        let mut keys: Vec<(Arc<str>, Distribution, Place)> = Vec::new();
        let is_leaf = |value: &DeValue<'_>| {
            let words = Distribution::WORDS;
            value
                .as_table()
                .is_none_or(|table| words.iter().any(|word| table.contains_key(*word)))
        };
        for (key, span, value) in self.entries(random, &is_leaf) {
            if matches!(key.as_str(), "n" | "seed") {
                continue;
            }
            self.claim(&key, &span);
            if let Some(distribution) = self.distribution(&key, value) {
                keys.push((key.into(), distribution, self.place(value.span())));
            }
        }
        let point = |k: i64| {
            let settings = keys.iter().map(|(key, distribution, place)| Setting {
                key: key.clone(),
                value: distribution.draw(seed as u64, key, k as u64),
                place: place.clone(),
            });
            settings.collect()
        };
        Some(Axis((0..n).map(point).collect()))
    }

    fn distribution(&mut self, key: &str, value: &Spanned<DeValue<'_>>) -> Option<Distribution> {
        let help = format!(
            "expected one of: {key} = {{ uniform = [0.1, 0.9] }}, {{ log_uniform = [1e-4, 1e-2] }}, {{ integer = [16, 128] }}, {{ choice = [\"tanh\", \"relu\"] }}"
        );
        let found = value.get_ref().as_table().filter(|table| table.len() == 1);
        let found = found.and_then(|table| table.iter().next());
        let parsed = found.and_then(|(word, items)| {
            let toml::Value::Array(items) = to_toml(items.get_ref()) else {
                return None;
            };
            distribution(word.get_ref(), items)
        });
        if parsed.is_none() {
            let message = format!("random.{key} is not a distribution with its range");
            self.problem(Code::WrongType, value.span(), message, &help);
        }
        parsed
    }

    fn integer(
        &mut self,
        table: &DeTable<'_>,
        key: &str,
        range: std::ops::RangeInclusive<i64>,
    ) -> Option<i64> {
        let found = table.get(key);
        let span = found.map_or(0..0, Spanned::span);
        let number = found.and_then(|value| to_toml(value.get_ref()).as_integer());
        let number = number.filter(|number| range.contains(number));
        if number.is_none() {
            let message = format!(
                "random.{key} is not an integer of at least {}",
                range.start()
            );
            self.problem(
                Code::OutOfRange,
                span,
                message,
                "write for instance n = 20 and seed = 1 below [random]",
            );
        }
        number
    }

    fn table<'a, 'b>(
        &mut self,
        table: &'a DeTable<'b>,
        key: &str,
        help: &str,
    ) -> Option<&'a DeTable<'b>> {
        let value = table.get(key)?;
        let found = value.get_ref().as_table();
        if found.is_none() {
            self.problem(
                Code::WrongType,
                value.span(),
                format!("{key} is not a table"),
                help,
            );
        }
        found
    }
}

fn distribution(word: &str, items: Vec<toml::Value>) -> Option<Distribution> {
    let number = |value: &toml::Value| match value {
        toml::Value::Float(number) => Some(*number),
        toml::Value::Integer(number) => Some(*number as f64),
        _ => None,
    };
    let range = || match items.as_slice() {
        [low, high] => {
            let (low, high) = (number(low)?, number(high)?);
            (low.is_finite() && high.is_finite() && low < high).then_some((low, high))
        }
        _ => None,
    };
    match word {
        "uniform" => range().map(|(low, high)| Distribution::Uniform(low, high)),
        "log_uniform" => {
            let (low, high) = range()?;
            (low > 0.0).then_some(Distribution::LogUniform(low, high))
        }
        "integer" => match items.as_slice() {
            [toml::Value::Integer(low), toml::Value::Integer(high)] if low <= high => {
                let is_small = high.abs_diff(*low) < u64::from(u32::MAX);
                is_small.then_some(Distribution::Integer(*low, *high))
            }
            _ => None,
        },
        "choice" => (!items.is_empty()).then_some(Distribution::Choice(items)),
        _ => None,
    }
}

fn collect<'a, 'b>(
    table: &'a DeTable<'b>,
    above: &str,
    is_leaf: &dyn Fn(&DeValue<'_>) -> bool,
    found: &mut Vec<Entry<'a, 'b>>,
) {
    for (key, value) in table {
        let name = match above {
            "" => key.get_ref().to_string(),
            above => format!("{above}.{}", key.get_ref()),
        };
        match value.get_ref().as_table() {
            Some(table) if !is_leaf(value.get_ref()) => collect(table, &name, is_leaf, found),
            _ => found.push((name, key.span(), value)),
        }
    }
}

/// Returns the place of a value that is nested deeper than `room` levels.
fn too_deep(table: &DeTable<'_>, room: usize) -> Option<Range<usize>> {
    table.values().find_map(|value| is_deeper(value, room))
}

fn is_deeper(value: &Spanned<DeValue<'_>>, room: usize) -> Option<Range<usize>> {
    if room == 0 {
        return Some(value.span());
    }
    match value.get_ref() {
        DeValue::Table(table) => too_deep(table, room - 1),
        DeValue::Array(items) => items.iter().find_map(|item| is_deeper(item, room - 1)),
        _ => None,
    }
}

/// Converts to a value without places; an integer beyond 64 bits becomes a text, which no key takes.
fn to_toml(value: &DeValue<'_>) -> toml::Value {
    match value {
        DeValue::String(text) => toml::Value::String(text.to_string()),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => toml::Value::Integer(number),
            Err(_) => toml::Value::String(number.as_str().to_owned()),
        },
        DeValue::Float(number) => toml::Value::Float(number.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::Boolean(truth) => toml::Value::Boolean(*truth),
        DeValue::Datetime(time) => toml::Value::Datetime(*time),
        DeValue::Array(items) => {
            let items = items.iter().map(|item| to_toml(item.get_ref()));
            items.collect::<Vec<_>>().into()
        }
        DeValue::Table(table) => {
            let entries = table
                .iter()
                .map(|(key, value)| (key.get_ref().to_string(), to_toml(value.get_ref())));
            toml::Value::Table(entries.collect())
        }
    }
}
