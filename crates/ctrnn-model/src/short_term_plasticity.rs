//! Short-term plasticity of the recurrent connections: its kinds in a configuration, and the constants of each unit.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::{MapAccessDeserializer, StrDeserializer};
use serde::de::{Error as _, IntoDeserializer, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Short-term plasticity of the synapses that leave each unit (Tsodyks and Markram): utilisation u, which each spike raises, and
/// resources x, which each spike uses up. With the rate r before a time step, U the utilisation at rest and dt in seconds,
///
/// ```text
/// u' = u + dt/tau_u (U - u) + dt U (1 - u) r        x' = x + dt/tau_x (1 - x) - dt u x r        both clipped to [0, 1]
/// ```
///
/// and the recurrent weights see `r u' x'` in place of r; the readout sees r. A trial starts from u = U and x = 1.
///
/// In files: `"half"`, `"facilitating"`, `"depressing"`, `{ tau_u_ms = 1500, tau_x_ms = 200, U = 0.15 }` or
/// `{ e = "facilitating", i = "depressing" }`.
///
/// # References
/// Mongillo, Barak and Tsodyks (2008), equations 1 and 2; Masse et al. (2019), equations 2 to 4.
#[derive(Clone, Debug, PartialEq)]
pub enum ShortTermPlasticity {
    /// Units 0, 2, 4, .. facilitate, the others depress, as in the networks of Masse et al. (2019).
    Half,
    /// One kind for all units.
    All(SynapseKind),
    /// A kind for each cell type of Dale's law.
    PerType {
        /// Kind of the excitatory units.
        e: SynapseKind,
        /// Kind of the inhibitory units.
        i: SynapseKind,
    },
}

/// Kind of synapses: published ones, or given constants.
#[derive(Clone, Debug, PartialEq)]
pub enum SynapseKind {
    /// [`Synapse::FACILITATING`].
    Facilitating,
    /// [`Synapse::DEPRESSING`].
    Depressing,
    /// Given constants.
    Given(Box<GivenSynapses>),
}

/// Constants of synapses, each a number for all units or a list with one for each.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GivenSynapses {
    /// Time constant in ms with which the utilisation returns to U.
    pub tau_u_ms: PerUnit,
    /// Time constant in ms with which the resources recover.
    pub tau_x_ms: PerUnit,
    /// Utilisation at rest, U.
    #[serde(rename = "U")]
    pub baseline: PerUnit,
}

/// A number for all units, or one for each.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "a number, or a list with one for each unit")]
pub enum PerUnit {
    /// One number for all.
    Shared(f64),
    /// One number for each.
    List(Vec<f64>),
}

/// Constants of the synapses of one unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Synapse {
    /// Time constant in ms with which the utilisation returns to U.
    pub tau_u_ms: f64,
    /// Time constant in ms with which the resources recover.
    pub tau_x_ms: f64,
    /// Utilisation at rest, U.
    pub baseline: f64,
}

impl Synapse {
    /// Facilitating synapses of Masse et al. (2019), from Mongillo et al. (2008).
    pub const FACILITATING: Self = Self {
        tau_u_ms: 1500.0,
        tau_x_ms: 200.0,
        baseline: 0.15,
    };
    /// Depressing synapses of Masse et al. (2019).
    pub const DEPRESSING: Self = Self {
        tau_u_ms: 200.0,
        tau_x_ms: 1500.0,
        baseline: 0.45,
    };
}

impl PerUnit {
    /// Returns the value of a unit.
    fn of(&self, unit: usize) -> f64 {
        match self {
            Self::Shared(value) => *value,
            Self::List(values) => values[unit],
        }
    }

    /// Returns all numbers that are given.
    pub(crate) fn values(&self) -> &[f64] {
        match self {
            Self::Shared(value) => std::slice::from_ref(value),
            Self::List(values) => values,
        }
    }
}

impl GivenSynapses {
    /// Returns the constants with their keys.
    pub(crate) fn by_key(&self) -> [(&'static str, &PerUnit); 3] {
        [
            ("tau_u_ms", &self.tau_u_ms),
            ("tau_x_ms", &self.tau_x_ms),
            ("U", &self.baseline),
        ]
    }
}

impl SynapseKind {
    /// Returns the constants of a unit of this kind.
    fn of(&self, unit: usize) -> Synapse {
        match self {
            Self::Facilitating => Synapse::FACILITATING,
            Self::Depressing => Synapse::DEPRESSING,
            Self::Given(given) => Synapse {
                tau_u_ms: given.tau_u_ms.of(unit),
                tau_x_ms: given.tau_x_ms.of(unit),
                baseline: given.baseline.of(unit),
            },
        }
    }

    /// Returns the time constants of all units, in ms.
    fn taus_ms(&self) -> Vec<f64> {
        let published = |synapse: Synapse| vec![synapse.tau_u_ms, synapse.tau_x_ms];
        match self {
            Self::Facilitating => published(Synapse::FACILITATING),
            Self::Depressing => published(Synapse::DEPRESSING),
            Self::Given(given) => [given.tau_u_ms.values(), given.tau_x_ms.values()].concat(),
        }
    }
}

impl ShortTermPlasticity {
    /// Returns true if the cell types have kinds of their own.
    pub(crate) const fn is_per_type(&self) -> bool {
        matches!(self, Self::PerType { .. })
    }

    /// Returns the shortest and the longest of the time constants, in ms.
    pub(crate) fn range_ms(&self) -> [f64; 2] {
        let kinds = self.kinds();
        let taus = || kinds.iter().flat_map(|(_, kind)| kind.taus_ms());
        [
            taus().fold(f64::INFINITY, f64::min),
            taus().fold(0.0, f64::max),
        ]
    }

    /// Returns the kinds with the path from the key to each.
    pub(crate) fn kinds(&self) -> Vec<(&'static str, &SynapseKind)> {
        match self {
            Self::Half => vec![
                ("", &SynapseKind::Facilitating),
                ("", &SynapseKind::Depressing),
            ],
            Self::All(kind) => vec![("", kind)],
            Self::PerType { e, i } => vec![(".e", e), (".i", i)],
        }
    }

    /// Returns the constants of each of `n_units` units, of these signs under Dale's law.
    pub fn of_units(&self, n_units: usize, signs: &[f64]) -> Vec<Synapse> {
        let of_unit = |unit: usize| match self {
            Self::Half if unit.is_multiple_of(2) => Synapse::FACILITATING,
            Self::Half => Synapse::DEPRESSING,
            Self::All(kind) => kind.of(unit),
            Self::PerType { e, .. } if signs[unit] > 0.0 => e.of(unit),
            Self::PerType { i, .. } => i.of(unit),
        };
        (0..n_units).map(of_unit).collect()
    }

    /// Returns the same plasticity as lists of constants, which depend on no cell type.
    pub(crate) fn listed(&self, n_units: usize, signs: &[f64]) -> Self {
        let synapses = self.of_units(n_units, signs);
        let list = |of: fn(&Synapse) -> f64| PerUnit::List(synapses.iter().map(of).collect());
        Self::All(SynapseKind::Given(Box::new(GivenSynapses {
            tau_u_ms: list(|synapse| synapse.tau_u_ms),
            tau_x_ms: list(|synapse| synapse.tau_x_ms),
            baseline: list(|synapse| synapse.baseline),
        })))
    }
}

impl fmt::Display for ShortTermPlasticity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Half => f.write_str("facilitating (even units) and depressing (odd units)"),
            Self::All(kind) => write!(f, "{kind}"),
            Self::PerType { e, i } => write!(f, "excitatory {e}; inhibitory {i}"),
        }
    }
}

impl fmt::Display for SynapseKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let given = match self {
            Self::Facilitating => return f.write_str(FACILITATING),
            Self::Depressing => return f.write_str(DEPRESSING),
            Self::Given(given) => given,
        };
        let parts = given.by_key().map(|(key, values)| match values {
            PerUnit::Shared(value) => format!("{key} {value}"),
            PerUnit::List(_) => format!("{key} for each unit"),
        });
        f.write_str(&parts.join(", "))
    }
}

const HALF: &str = "half";
const FACILITATING: &str = "facilitating";
const DEPRESSING: &str = "depressing";

impl Serialize for SynapseKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Facilitating => serializer.serialize_str(FACILITATING),
            Self::Depressing => serializer.serialize_str(DEPRESSING),
            Self::Given(given) => given.serialize(serializer),
        }
    }
}

impl Serialize for ShortTermPlasticity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Half => serializer.serialize_str(HALF),
            Self::All(kind) => kind.serialize(serializer),
            Self::PerType { e, i } => {
                let mut map = serializer.serialize_map(Some(2))?;
                map.serialize_entry("e", e)?;
                map.serialize_entry("i", i)?;
                map.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for SynapseKind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(KindVisitor)
    }
}

struct KindVisitor;

impl<'de> Visitor<'de> for KindVisitor {
    type Value = SynapseKind;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{FACILITATING:?}, {DEPRESSING:?} or a table of tau_u_ms, tau_x_ms and U"
        )
    }

    fn visit_str<E: serde::de::Error>(self, word: &str) -> Result<SynapseKind, E> {
        match word {
            FACILITATING => Ok(SynapseKind::Facilitating),
            DEPRESSING => Ok(SynapseKind::Depressing),
            _ => Err(E::custom(format!(
                "{word:?} is not a kind of synapses: {FACILITATING}, {DEPRESSING}, or a table of tau_u_ms, tau_x_ms and U"
            ))),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<SynapseKind, A::Error> {
        let given = GivenSynapses::deserialize(MapAccessDeserializer::new(map))?;
        Ok(SynapseKind::Given(Box::new(given)))
    }
}

impl<'de> Deserialize<'de> for ShortTermPlasticity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PlasticityVisitor)
    }
}

struct PlasticityVisitor;

/// Every key that a table of short-term plasticity may have.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    e: Option<SynapseKind>,
    i: Option<SynapseKind>,
    tau_u_ms: Option<PerUnit>,
    tau_x_ms: Option<PerUnit>,
    #[serde(rename = "U")]
    baseline: Option<PerUnit>,
}

impl<'de> Visitor<'de> for PlasticityVisitor {
    type Value = ShortTermPlasticity;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{HALF:?}, {FACILITATING:?}, {DEPRESSING:?}, or a table with e and i, or with tau_u_ms, tau_x_ms and U"
        )
    }

    fn visit_str<E: serde::de::Error>(self, word: &str) -> Result<ShortTermPlasticity, E> {
        if word == HALF {
            return Ok(ShortTermPlasticity::Half);
        }
        let word: StrDeserializer<'_, E> = word.into_deserializer();
        match SynapseKind::deserialize(word) {
            Ok(kind) => Ok(ShortTermPlasticity::All(kind)),
            Err(_) => Err(E::custom(format!("expected {}", ExpectedPlasticity))),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<ShortTermPlasticity, A::Error> {
        let table = Table::deserialize(MapAccessDeserializer::new(map))?;
        match table {
            Table {
                e: Some(e),
                i: Some(i),
                tau_u_ms: None,
                tau_x_ms: None,
                baseline: None,
            } => Ok(ShortTermPlasticity::PerType { e, i }),
            Table {
                e: None,
                i: None,
                tau_u_ms: Some(tau_u_ms),
                tau_x_ms: Some(tau_x_ms),
                baseline: Some(baseline),
            } => Ok(ShortTermPlasticity::All(SynapseKind::Given(Box::new(
                GivenSynapses {
                    tau_u_ms,
                    tau_x_ms,
                    baseline,
                },
            )))),
            _ => Err(A::Error::custom(
                "a table of short-term plasticity has either e and i, or tau_u_ms, tau_x_ms and U",
            )),
        }
    }
}

struct ExpectedPlasticity;

impl fmt::Display for ExpectedPlasticity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Visitor::expecting(&PlasticityVisitor, f)
    }
}

impl JsonSchema for ShortTermPlasticity {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ShortTermPlasticity".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let tau = |text: &str| {
            json_schema!({ "description": text, "anyOf": [
                { "type": "number", "exclusiveMinimum": 0 },
                { "type": "array", "items": { "type": "number", "exclusiveMinimum": 0 }, "minItems": 1 },
            ] })
        };
        let utilisation = json_schema!({ "type": "number", "exclusiveMinimum": 0, "maximum": 1 });
        let baseline = json_schema!({
            "description": "Utilisation at rest, U: the fraction of the resources that a spike uses. A number, or one for each unit.",
            "anyOf": [utilisation, { "type": "array", "items": utilisation, "minItems": 1 }],
        });
        let constants = json_schema!({
            "type": "object",
            "properties": {
                "tau_u_ms": tau("Time constant in ms with which the utilisation returns to U. A number, or one for each unit."),
                "tau_x_ms": tau("Time constant in ms with which the resources recover. A number, or one for each unit."),
                "U": baseline,
            },
            "required": ["tau_u_ms", "tau_x_ms", "U"],
            "additionalProperties": false,
        });
        let word = json_schema!({ "type": "string", "title": "kind of synapses", "enum": [FACILITATING, DEPRESSING] });
        let of_type =
            |text: &str| json_schema!({ "description": text, "anyOf": [word, constants] });
        json_schema!({ "anyOf": [
            { "type": "string", "title": "kind of short-term plasticity", "enum": [HALF, FACILITATING, DEPRESSING] },
            constants,
            {
                "type": "object",
                "properties": {
                    "e": of_type("Synapses of excitatory units: facilitating, depressing, or constants."),
                    "i": of_type("Synapses of inhibitory units."),
                },
                "required": ["e", "i"],
                "additionalProperties": false,
            },
        ] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<ShortTermPlasticity, String> {
        let value: serde_json::Value = serde_json::from_str(text).unwrap();
        serde_json::from_value(value).map_err(|error| error.to_string())
    }

    #[test]
    fn every_form_is_read_and_written() {
        let constants = r#"{"tau_u_ms":1500.0,"tau_x_ms":[200.0,300.0],"U":0.15}"#;
        let types = r#"{"e":"facilitating","i":{"tau_u_ms":1.0,"tau_x_ms":2.0,"U":1.0}}"#;
        for text in [
            r#""half""#,
            r#""facilitating""#,
            r#""depressing""#,
            constants,
            types,
        ] {
            let found = read(text).unwrap();
            assert_eq!(serde_json::to_string(&found).unwrap(), text);
        }
    }

    #[test]
    fn mistakes_are_named() {
        let cases = [
            (
                r#""full""#,
                r#"expected "half", "facilitating", "depressing", or a table"#,
            ),
            (
                r#"{"e":"facilitating"}"#,
                "has either e and i, or tau_u_ms, tau_x_ms and U",
            ),
            (
                r#"{"tau_u_ms":1}"#,
                "has either e and i, or tau_u_ms, tau_x_ms and U",
            ),
            (
                r#"{"e":"facilitating","i":"none"}"#,
                r#""none" is not a kind of synapses"#,
            ),
            (r#"{"tau":1}"#, "unknown field `tau`"),
            (
                r#"{"tau_u_ms":"1","tau_x_ms":1,"U":1}"#,
                "a number, or a list with one for each unit",
            ),
        ];
        for (text, expected) in cases {
            let error = read(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn each_unit_has_the_constants_of_its_kind() {
        let half = ShortTermPlasticity::Half.of_units(3, &[]);
        let [f, d] = [Synapse::FACILITATING, Synapse::DEPRESSING];
        assert_eq!(half, [f, d, f]);
        let types =
            read(r#"{"e":"depressing","i":{"tau_u_ms":[1,2],"tau_x_ms":3,"U":0.5}}"#).unwrap();
        let own = Synapse {
            tau_u_ms: 2.0,
            tau_x_ms: 3.0,
            baseline: 0.5,
        };
        assert_eq!(types.of_units(2, &[1.0, -1.0]), [d, own]);
        assert_eq!(types.listed(2, &[1.0, -1.0]).of_units(2, &[]), [d, own]);
    }
}
