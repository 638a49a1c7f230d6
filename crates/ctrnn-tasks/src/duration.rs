//! How long an epoch lasts: a number of milliseconds, or a distribution.

use std::borrow::Cow;
use std::fmt;

use ctrnn_random::Rng;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};

use crate::{Clock, TaskError};

const KINDS: [&str; 3] = ["uniform", "choice", "truncated_exponential"];

/// How long an epoch lasts; drawn anew in each trial unless it is fixed.
///
/// In TOML: `100`, `{ uniform = [200, 1000] }`, `{ choice = [200, 400, 800] }` or
/// `{ truncated_exponential = { mean = 600, min = 300, max = 3000 } }`. Every number but a mean is
/// a multiple of the time step; what is drawn is on the grid by definition.
#[derive(Clone, Debug, PartialEq)]
pub enum Duration {
    /// Always this many milliseconds.
    Fixed(f64),
    /// Equally likely on the multiples of the time step from the first to the second bound.
    Uniform([f64; 2]),
    /// One of these, equally likely.
    Choice(Vec<f64>),
    /// Exponential, cut off at both ends, then taken to the nearest multiple of the time step.
    TruncatedExponential(TruncatedExponential),
}

/// Density `exp(-x / mean)` on [min, max], in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TruncatedExponential {
    /// The mean of the exponential before it is cut off.
    pub mean: f64,
    /// The shortest duration.
    pub min: f64,
    /// The longest duration.
    pub max: f64,
}

impl Duration {
    /// The shortest and the longest, in milliseconds.
    #[must_use]
    pub fn bounds_ms(&self) -> [f64; 2] {
        match self {
            Self::Fixed(ms) => [*ms, *ms],
            Self::Uniform(bounds) => *bounds,
            Self::Choice(list) => [
                list.iter().copied().fold(f64::INFINITY, f64::min),
                list.iter().copied().fold(0.0, f64::max),
            ],
            Self::TruncatedExponential(law) => [law.min, law.max],
        }
    }

    /// Draws a number of time steps. A fixed duration draws nothing.
    ///
    /// # Panics
    /// Possibly, if [`check`](Self::check) was not asked or found an error.
    #[must_use]
    pub fn draw(&self, clock: Clock, rng: &mut Rng) -> usize {
        match self {
            Self::Fixed(ms) => clock.nearest(*ms),
            Self::Uniform([low, high]) => {
                let (low, high) = (clock.nearest(*low), clock.nearest(*high));
                low + rng.below((high - low) as u32 + 1) as usize
            }
            Self::Choice(list) => clock.nearest(*rng.choose(list)),
            Self::TruncatedExponential(TruncatedExponential { mean, min, max }) => {
                clock.nearest(rng.truncated_exponential(*mean, *min, *max))
            }
        }
    }

    /// Everything that is wrong with this duration at `key` on the grid of `clock`.
    #[must_use]
    pub fn check(&self, key: &str, clock: Clock) -> Vec<TaskError> {
        let key = self
            .kind()
            .map_or(key.to_owned(), |kind| format!("{key}.{kind}"));
        let numbers = match self {
            Self::Fixed(ms) => vec![*ms],
            Self::Choice(list) => list.clone(),
            Self::Uniform(_) | Self::TruncatedExponential(_) => self.bounds_ms().to_vec(),
        };
        let off_grid = numbers.into_iter().filter_map(|ms| clock.steps(ms).err());
        let off_grid = off_grid.map(|error| error.to_string());
        off_grid
            .chain(self.misshapen())
            .map(|message| TaskError::config(&key, message))
            .collect()
    }

    /// The rule that the numbers break among themselves.
    fn misshapen(&self) -> Option<String> {
        let [low, high] = self.bounds_ms();
        match self {
            Self::Choice(list) if list.is_empty() => {
                Some("the list is empty; give at least one duration".to_owned())
            }
            Self::TruncatedExponential(law) if !(law.mean > 0.0 && law.mean.is_finite()) => {
                Some(format!("mean = {} must be a positive number", law.mean))
            }
            _ if low > high => Some(format!(
                "{low} ms to {high} ms is empty; give the shorter duration first"
            )),
            _ => None,
        }
    }

    fn kind(&self) -> Option<&'static str> {
        match self {
            Self::Fixed(_) => None,
            Self::Uniform(_) => Some(KINDS[0]),
            Self::Choice(_) => Some(KINDS[1]),
            Self::TruncatedExponential(_) => Some(KINDS[2]),
        }
    }
}

impl From<f64> for Duration {
    fn from(ms: f64) -> Self {
        Self::Fixed(ms)
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Fixed(ms) => write!(f, "{ms} ms"),
            Self::Uniform([low, high]) => write!(f, "{low} to {high} ms, uniform"),
            Self::Choice(list) => {
                let list: Vec<String> = list.iter().map(f64::to_string).collect();
                write!(f, "{} ms, equally likely", list.join(", "))
            }
            Self::TruncatedExponential(TruncatedExponential { mean, min, max }) => {
                write!(f, "{min} to {max} ms, exponential with mean {mean} ms")
            }
        }
    }
}

impl Serialize for Duration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Some(kind) = self.kind() else {
            return serializer.serialize_f64(self.bounds_ms()[0]);
        };
        let mut map = serializer.serialize_map(Some(1))?;
        match self {
            Self::Fixed(ms) => map.serialize_entry(kind, ms),
            Self::Uniform(bounds) => map.serialize_entry(kind, bounds),
            Self::Choice(list) => map.serialize_entry(kind, list),
            Self::TruncatedExponential(law) => map.serialize_entry(kind, law),
        }?;
        map.end()
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DurationVisitor)
    }
}

struct DurationVisitor;

impl<'de> Visitor<'de> for DurationVisitor {
    type Value = Duration;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(
            "a duration: a number of milliseconds, { uniform = [low, high] }, { choice = [..] } \
             or { truncated_exponential = { mean, min, max } }",
        )
    }

    fn visit_f64<E: Error>(self, ms: f64) -> Result<Duration, E> {
        Ok(Duration::Fixed(ms))
    }

    fn visit_i64<E: Error>(self, ms: i64) -> Result<Duration, E> {
        Ok(Duration::Fixed(ms as f64))
    }

    fn visit_u64<E: Error>(self, ms: u64) -> Result<Duration, E> {
        Ok(Duration::Fixed(ms as f64))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Duration, A::Error> {
        let Some(kind) = map.next_key::<String>()? else {
            return Err(Error::invalid_length(0, &self));
        };
        let duration = match kind.as_str() {
            "uniform" => Duration::Uniform(map.next_value()?),
            "choice" => Duration::Choice(map.next_value()?),
            "truncated_exponential" => Duration::TruncatedExponential(map.next_value()?),
            _ => return Err(Error::unknown_variant(&kind, &KINDS)),
        };
        match map.next_key::<String>()? {
            None => Ok(duration),
            Some(_) => Err(Error::custom(format!(
                "a duration is one of {}",
                KINDS.join(", ")
            ))),
        }
    }
}

impl JsonSchema for Duration {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let number = json_schema!({ "type": "number", "minimum": 0 });
        let with_text = |mut schema: Schema, text: &str| {
            schema.insert("description".to_owned(), text.into());
            schema
        };
        let one_of = |kind: &str, value: Schema| {
            json_schema!({
                "type": "object",
                "properties": { (kind): value },
                "required": [kind],
                "additionalProperties": false,
            })
        };
        let bounds = with_text(
            json_schema!({ "type": "array", "items": number, "minItems": 2, "maxItems": 2 }),
            "Shortest and longest in ms; every time step between is equally likely.",
        );
        let list = with_text(
            json_schema!({ "type": "array", "items": number, "minItems": 1 }),
            "Durations in ms, all equally likely.",
        );
        let law = json_schema!({
            "type": "object",
            "description": "Exponentially distributed, cut off at both ends.",
            "properties": {
                "mean": with_text(number.clone(), "Mean in ms, before the cut."),
                "min": with_text(number.clone(), "Shortest in ms."),
                "max": with_text(number.clone(), "Longest in ms."),
            },
            "required": ["mean", "min", "max"],
            "additionalProperties": false,
        });
        json_schema!({
            "anyOf": [number, one_of(KINDS[0], bounds), one_of(KINDS[1], list), one_of(KINDS[2], law)]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ctrnn_random::{Key, Stream};

    #[derive(Debug, Deserialize, Serialize)]
    struct Table {
        d: Duration,
    }

    fn parse(text: &str) -> Result<Duration, String> {
        toml::from_str::<Table>(text)
            .map(|table| table.d)
            .map_err(|e| e.message().to_owned())
    }

    fn clock() -> Clock {
        Clock::new(20.0).unwrap()
    }

    fn draws(duration: &Duration, n: u64) -> Vec<usize> {
        let key = Key::new(1, Stream::Trials, 0);
        (0..n)
            .map(|trial| duration.draw(clock(), &mut Rng::new(key, trial, 0)))
            .collect()
    }

    #[test]
    fn reads_and_writes_every_kind() {
        let law = TruncatedExponential {
            mean: 600.0,
            min: 300.0,
            max: 3000.0,
        };
        let table = [
            ("d = 100", Duration::Fixed(100.0)),
            ("d = 12.5", Duration::Fixed(12.5)),
            (
                "d = { uniform = [200, 1000] }",
                Duration::Uniform([200.0, 1000.0]),
            ),
            (
                "d = { choice = [200, 400] }",
                Duration::Choice(vec![200.0, 400.0]),
            ),
            (
                "d = { truncated_exponential = { mean = 600, min = 300, max = 3000 } }",
                Duration::TruncatedExponential(law),
            ),
        ];
        for (text, expected) in table {
            assert_eq!(parse(text).unwrap(), expected);
            let written = toml::to_string(&Table {
                d: expected.clone(),
            })
            .unwrap();
            assert_eq!(parse(&written).unwrap(), expected, "{written}");
        }
    }

    #[test]
    fn says_what_a_duration_is_when_it_is_none() {
        let kinds = "expected one of `uniform`, `choice`, `truncated_exponential`";
        let table = [
            (
                "d = \"100\"",
                "invalid type: string \"100\", expected a duration: a number of",
            ),
            (
                "d = [1, 2]",
                "invalid type: sequence, expected a duration: a number of",
            ),
            (
                "d = {}",
                "invalid length 0, expected a duration: a number of",
            ),
            ("d = { unifrom = [1, 2] }", "unknown variant `unifrom`, "),
            ("d = { unifrom = [1, 2] }", kinds),
            (
                "d = { uniform = [1] }",
                "invalid length 1, expected an array of length 2",
            ),
            (
                "d = { uniform = [1, 2], choice = [1] }",
                "a duration is one of uniform, choice, truncated_exponential",
            ),
            (
                "d = { truncated_exponential = { mean = 1, min = 0 } }",
                "missing field `max`",
            ),
            (
                "d = { truncated_exponential = { sd = 1 } }",
                "unknown field `sd`",
            ),
        ];
        for (text, expected) in table {
            let message = parse(text).unwrap_err();
            assert!(message.contains(expected), "{text}: {message}");
        }
    }

    #[test]
    fn checks_every_number_against_the_grid() {
        let table = [
            (
                "d = 110",
                "d: 110 ms is not a multiple of dt_ms = 20; the nearest are 100 and 120",
            ),
            (
                "d = { uniform = [200, 1010] }",
                "d.uniform: 1010 ms is not a multiple of dt_ms = 20; the nearest are 1000 and 1020",
            ),
            (
                "d = { uniform = [400, 200] }",
                "d.uniform: 400 ms to 200 ms is empty; give the shorter duration first",
            ),
            (
                "d = { choice = [] }",
                "d.choice: the list is empty; give at least one duration",
            ),
            (
                "d = { choice = [100, -20] }",
                "d.choice: -20 ms must be a number that is 0 or more",
            ),
            (
                "d = { truncated_exponential = { mean = 0, min = 0, max = 20 } }",
                "d.truncated_exponential: mean = 0 must be a positive number",
            ),
            ("d = nan", "d: NaN ms must be a number that is 0 or more"),
        ];
        for (text, expected) in table {
            let errors = parse(text).unwrap().check("d", clock());
            let messages: Vec<String> = errors.iter().map(TaskError::to_string).collect();
            assert_eq!(messages, [expected], "{text}");
        }
        let all = parse("d = { choice = [90, 110] }")
            .unwrap()
            .check("d", clock());
        assert_eq!(all.len(), 2);
    }

    /// 200 to 300 ms are the 6 multiples 10..=15; of 6000 draws each gets 1000 with standard
    /// deviation sqrt(6000 (1/6) (5/6)) = 29.
    #[test]
    fn uniform_is_equally_likely_on_the_grid() {
        let mut counts = [0_i32; 6];
        for steps in draws(&Duration::Uniform([200.0, 300.0]), 6000) {
            counts[steps - 10] += 1;
        }
        assert!(
            counts.iter().all(|count| (count - 1000).abs() < 145),
            "{counts:?}"
        );
    }

    /// Mean of the density: 100 + 100 - 400 / (e^4 - 1) = 192.54 ms; rounding to 20 ms moves it by
    /// less than 1 ms (its error is even around each step up to the slope of the density).
    #[test]
    fn truncated_exponential_stays_within_its_bounds() {
        let law = TruncatedExponential {
            mean: 100.0,
            min: 100.0,
            max: 500.0,
        };
        let steps = draws(&Duration::TruncatedExponential(law), 20_000);
        assert!(steps.iter().all(|steps| (5..=25).contains(steps)));
        let mean_ms = 20.0 * steps.iter().sum::<usize>() as f64 / 20_000.0;
        assert!((mean_ms - 192.54).abs() < 4.0, "{mean_ms}");
    }

    #[test]
    fn fixed_and_choice_draw_their_values() {
        assert!(
            draws(&Duration::Fixed(100.0), 9)
                .iter()
                .all(|&steps| steps == 5)
        );
        let mut steps = draws(&Duration::Choice(vec![100.0, 400.0]), 50);
        steps.sort_unstable();
        steps.dedup();
        assert_eq!(steps, [5, 20]);
    }
}
