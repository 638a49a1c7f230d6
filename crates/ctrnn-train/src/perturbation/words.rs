//! Perturbations as words: `e:0.25@stimulus`, `4@200..400=0.5`, `0-9>20-29`.

use std::collections::BTreeSet;
use std::path::PathBuf;

use burn::tensor::backend::Backend;
use ctrnn_files::npz;
use ctrnn_model::{CtrnnConfig, CtrnnModule, Matrix, Parameter};
use ctrnn_random::{Key, Rng, Stream};
use ctrnn_tasks::Clock;

use super::{Clamp, Current, Cut, Lesion, Perturbation, PerturbationError, Window};

/// Largest magnitude of a clamped rate or a current, as of the inputs of trials.
const MAX_VALUE: f64 = 1e9;
/// Layer of the stream of evaluations from which random fractions of groups are drawn.
const FRACTIONS: u32 = 16;

ctrnn_model::words! {
    /// Way to perturb units.
    pub enum Kind: "way to perturb units" {
        /// Rates are clamped to 0.
        Silence = "silence",
        /// Outgoing weights are 0.
        Lesion = "lesion",
        /// Rates are clamped to a value.
        Clamp = "clamp",
        /// A current is injected.
        Current = "current",
        /// Connections between two groups are 0.
        Cut = "cut",
    }
}

/// A word that describes a perturbation, and where it is written.
#[derive(Clone, Debug)]
pub struct Written<'a> {
    /// The way to perturb units.
    pub kind: Kind,
    /// The option or the key.
    pub place: String,
    /// True for a key of a configuration, whose value follows an equals sign.
    pub is_key: bool,
    /// The word.
    pub word: &'a str,
}

impl Written<'_> {
    /// Returns the place with a word, as it is written.
    fn shown(&self, word: &str) -> String {
        if self.is_key {
            format!("{} = {word:?}", self.place)
        } else {
            format!("{} {word}", self.place)
        }
    }

    fn refused(&self, what: &str, help: impl Into<String>) -> WordError {
        WordError {
            what: format!("{}: {what}", self.shown(self.word)),
            help: help.into(),
        }
    }
}

/// A word that describes no perturbation of the network: the problem and its remedy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WordError {
    /// The problem.
    pub what: String,
    /// The remedy.
    pub help: String,
}

impl PerturbationError {
    /// Returns the error of a network of this many units, with its remedy.
    pub fn with_remedy(&self, n_units: usize) -> WordError {
        let help = match self {
            Self::NoSuchUnit { .. } => format!("units are 0 to {}", n_units - 1),
            Self::Delayed => {
                "leave the window out, so that it acts all the time; a current may have a window"
                    .to_owned()
            }
            Self::Twice { unit, .. } => format!(
                "silence, lesion and clamp may hold a unit once at a time: remove unit {unit} from one of them, or give both windows in ms or both as epochs"
            ),
        };
        WordError {
            what: self.to_string(),
            help,
        }
    }
}

impl Perturbation {
    /// Reads the perturbations of a network whose layers have these groups, from the inputs up.
    ///
    /// # Errors
    /// Names the word that cannot be read, the unit or group that does not exist, or the time that is not a multiple of dt.
    pub fn from_words(
        all: &[Written],
        layers: &[UnitGroups],
        clock: Clock,
    ) -> Result<Self, WordError> {
        let mut words: Vec<Vec<Word>> = layers.iter().map(|_| Vec::new()).collect();
        for written in all {
            let (layer, own) = layer_of(written, layers.len())?;
            words[layer].push(Word {
                written: Written {
                    word: own,
                    ..written.clone()
                },
                groups: &layers[layer],
                clock,
            });
        }
        let of_layers = words.iter().zip(layers);
        let of_layers = of_layers.map(|(words, groups)| of_layer(words, groups.n_units));
        let mut below = of_layers.collect::<Result<Vec<_>, WordError>>()?;
        let last = below.pop().unwrap_or_default();
        if below.iter().all(Self::is_none) {
            below.clear();
        }
        Ok(Self { below, ..last })
    }
}

/// Splits a word of a perturbation into the layer of its units and the rest: `layers.0.3,8-11`; without a layer it is the last one.
fn layer_of<'a>(written: &Written<'a>, n_layers: usize) -> Result<(usize, &'a str), WordError> {
    let split = (written.word.strip_prefix("layers.")).and_then(|rest| rest.split_once('.'));
    let Some((number, own)) = split else {
        return Ok((n_layers - 1, written.word));
    };
    let layer = number.parse().ok().filter(|layer| *layer < n_layers);
    layer.map(|layer| (layer, own)).ok_or_else(|| {
        let help = match n_layers {
            1 => "the network has one layer: leave `layers.` out".to_owned(),
            n => format!("layers: 0 to {}", n - 1),
        };
        written.refused(&format!("there is no layer {number}"), help)
    })
}

/// Reads the perturbations of a layer.
fn of_layer(words: &[Word], n_units: usize) -> Result<Perturbation, WordError> {
    let of = |kind: Kind| words.iter().filter(move |word| word.written.kind == kind);
    let silenced = of(Kind::Silence).map(|word| word.clamp_to(Some(0.0)));
    let clamped = of(Kind::Clamp).map(|word| word.clamp_to(None));
    let found = Perturbation {
        lesioned: of(Kind::Lesion)
            .map(Word::lesion)
            .collect::<Result<_, _>>()?,
        cut: of(Kind::Cut).map(Word::cut).collect::<Result<_, _>>()?,
        clamped: silenced.chain(clamped).collect::<Result<_, _>>()?,
        currents: of(Kind::Current)
            .map(Word::current)
            .collect::<Result<_, _>>()?,
        ..Perturbation::default()
    };
    let checked = found.check(n_units);
    checked.map_err(|error| error.with_remedy(n_units))?;
    Ok(found)
}

/// Groups of the units of a layer that can be named.
#[derive(Clone, Debug)]
pub struct UnitGroups {
    /// Number of units.
    pub n_units: usize,
    /// Seed of the run, from which fractions of groups are drawn.
    pub seed: u64,
    /// Signs of the units under Dale's law.
    pub signs: Option<Vec<f64>>,
    /// Sums of the outgoing recurrent weights of each unit; absent before there are weights, so that `sign:+` and `sign:-` are no groups.
    pub outgoing: Option<Vec<f64>>,
    /// Units of each area, `area:NAME`, and of each cell type.
    pub named: Vec<(String, Vec<usize>)>,
    /// File of the analysis `task_variance`, whose array `cluster` holds the cluster of each unit; absent before there is a run.
    pub clusters: Option<PathBuf>,
}

impl UnitGroups {
    /// Returns the groups of a layer that do not depend on its weights.
    pub fn of_config(config: &CtrnnConfig, seed: u64) -> Self {
        Self {
            n_units: config.n_units,
            seed,
            signs: config.signs(Matrix::Recurrent),
            outgoing: None,
            named: named(config),
            clusters: None,
        }
    }

    /// Returns the groups of the last layer of a network.
    pub fn of<B: Backend>(network: &CtrnnModule<B>, seed: u64) -> Self {
        let n_units = network.config().n_units;
        let weights = network.layer(network.n_layers() - 1).weights();
        let w_rc: Vec<f64> = weights[&Parameter::RECURRENT_WEIGHT.name()]
            .iter()
            .collect();
        let sum = |pre: usize| w_rc.iter().skip(pre).step_by(n_units).sum();
        Self {
            outgoing: Some((0..n_units).map(sum).collect()),
            ..Self::of_config(network.config(), seed)
        }
    }

    /// Returns the units of a word: `3,8-11`, `e`, `i:0.25`, in ascending order.
    ///
    /// # Errors
    /// Describes a part that is neither units nor a group.
    pub fn units(&self, word: &str) -> Result<Vec<usize>, NoUnits> {
        let mut all = BTreeSet::new();
        for part in word.split(',').map(str::trim) {
            let of_numbers = numbers(part);
            all.extend(match of_numbers {
                Some(units) => units,
                None => self.fraction(part)?,
            });
        }
        Ok(all.into_iter().collect())
    }

    /// Returns the units of `GROUP` or `GROUP:FRACTION`.
    ///
    /// The units of a group are shuffled by the seed of the run, and the first `round(FRACTION n)`, at least one, are
    /// taken: a larger fraction contains a smaller one.
    fn fraction(&self, word: &str) -> Result<Vec<usize>, NoUnits> {
        if cluster_number(word).is_some() {
            return self.group(word); // the number is not a fraction
        }
        let Some((group, fraction)) = word
            .rsplit_once(':')
            .and_then(|(group, fraction)| Some((group, fraction.parse::<f64>().ok()?)))
        else {
            return self.group(word);
        };
        let mut units = self.group(group)?;
        if !(fraction > 0.0 && fraction <= 1.0) {
            return Err(NoUnits::Fraction(word.to_owned()));
        }
        let n = ((units.len() as f64 * fraction).round() as usize).max(1);
        Rng::new(Key::new(self.seed, Stream::Eval, FRACTIONS), 0, 0).shuffle(&mut units);
        units.truncate(n);
        Ok(units)
    }

    /// Returns the units of a named group.
    fn group(&self, name: &str) -> Result<Vec<usize>, NoUnits> {
        let those =
            |is_in: &dyn Fn(usize) -> bool| (0..self.n_units).filter(|&i| is_in(i)).collect();
        if let Some(k) = cluster_number(name) {
            return self.cluster(k);
        }
        let units: Vec<usize> = match (name, &self.signs, &self.outgoing) {
            ("all", ..) => those(&|_| true),
            ("e", Some(signs), _) => those(&|i| signs[i] > 0.0),
            ("i", Some(signs), _) => those(&|i| signs[i] < 0.0),
            ("sign:+", _, Some(outgoing)) => those(&|i| outgoing[i] > 0.0),
            ("sign:-", _, Some(outgoing)) => those(&|i| outgoing[i] < 0.0),
            _ => {
                let named = self.named.iter().find(|(own, _)| own == name);
                let named = named.ok_or_else(|| NoUnits::Group(name.to_owned()))?;
                named.1.clone()
            }
        };
        if units.is_empty() {
            return Err(NoUnits::Empty(name.to_owned()));
        }
        Ok(units)
    }

    /// Returns the units of a cluster that the analysis `task_variance` of the run found.
    fn cluster(&self, k: usize) -> Result<Vec<usize>, NoUnits> {
        let path = self.clusters.as_ref();
        let path = path.ok_or_else(|| NoUnits::Group(format!("cluster:{k}")))?;
        let mut arrays = npz::read(path).map_err(|error| NoUnits::Clusters(error.to_string()))?;
        let labels = arrays
            .remove("cluster")
            .and_then(|array| array.to_f64().ok());
        let labels = labels.filter(|labels| labels.len() == self.n_units);
        let labels = labels.ok_or_else(|| {
            let (path, n) = (path.display(), self.n_units);
            NoUnits::Clusters(format!("{path} has no array cluster [{n}]"))
        })?;
        let is_in = |unit: &usize| labels[*unit] == k as f64;
        let units: Vec<usize> = (0..self.n_units).filter(is_in).collect();
        if units.is_empty() {
            return Err(NoUnits::Empty(format!("cluster:{k}")));
        }
        Ok(units)
    }

    /// Lists the names of the groups.
    fn known(&self) -> String {
        let mut names = vec!["all"];
        if self.signs.is_some() {
            names.extend(["e", "i"]);
        }
        if self.outgoing.is_some() {
            names.extend(["sign:+", "sign:-"]);
        }
        if self.clusters.is_some() {
            names.push("cluster:K");
        }
        let mut known = names.join(", ");
        if self.signs.is_none() {
            known += " (e and i under Dale's law)";
        }
        for (name, _) in &self.named {
            known = known + ", " + name;
        }
        known
    }
}

/// Returns the units of each area and of each cell type that the network knows by name.
fn named(config: &CtrnnConfig) -> Vec<(String, Vec<usize>)> {
    let areas = config.areas.names().filter_map(|area| {
        let units = config.area_units(area)?;
        Some((format!("area:{area}"), units.collect()))
    });
    let types = config.type_names().into_iter();
    let types = types.filter(|name| !["e", "i"].contains(name));
    let types = types.map(|name| (name.to_owned(), config.type_units(name)));
    areas.chain(types).collect()
}

/// Returns the number of a cluster from `cluster:K`.
fn cluster_number(name: &str) -> Option<usize> {
    name.strip_prefix("cluster:")?.parse().ok()
}

/// Reason why a word names no units.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoUnits {
    /// The group does not exist.
    Group(String),
    /// The clusters of the run are not known.
    Clusters(String),
    /// The group has no units.
    Empty(String),
    /// The fraction is not above 0 and at most 1.
    Fraction(String),
}

/// Parses a unit or a range of units: `3`, `8-11`.
fn numbers(part: &str) -> Option<Vec<usize>> {
    let number = |word: &str| word.trim().parse::<usize>().ok();
    match part.split_once('-') {
        None => number(part).map(|unit| vec![unit]),
        Some((first, last)) => {
            let range = number(first)?..=number(last)?;
            (!range.is_empty()).then(|| range.collect())
        }
    }
}

/// A word of a layer.
struct Word<'a> {
    written: Written<'a>,
    groups: &'a UnitGroups,
    clock: Clock,
}

impl Word<'_> {
    fn lesion(&self) -> Result<Lesion, WordError> {
        let (units, when) = self.units_and_window(self.written.word)?;
        Ok(Lesion { units, when })
    }

    /// Parses clamped units: `4,7@delay=0.5`, or without the rate if it is given.
    fn clamp_to(&self, rate: Option<f64>) -> Result<Clamp, WordError> {
        let (place, rate) = match rate {
            Some(rate) => (self.written.word, rate),
            None => self.place_and_value()?,
        };
        let (units, when) = self.units_and_window(place)?;
        Ok(Clamp { units, rate, when })
    }

    /// Parses a current: `0-9@200..400=0.5`.
    fn current(&self) -> Result<Current, WordError> {
        let (place, value) = self.place_and_value()?;
        let (units, when) = self.units_and_window(place)?;
        Ok(Current { units, value, when })
    }

    /// Parses a cut: `0-9>20-29@delay`.
    fn cut(&self) -> Result<Cut, WordError> {
        let (pre, post) = self
            .written
            .word
            .split_once('>')
            .ok_or_else(|| self.unreadable())?;
        let pre = self.units(pre)?;
        let (post, when) = self.units_and_window(post)?;
        Ok(Cut { post, pre, when })
    }

    fn place_and_value(&self) -> Result<(&str, f64), WordError> {
        let (place, value) = self
            .written
            .word
            .rsplit_once('=')
            .ok_or_else(|| self.unreadable())?;
        let value: f64 = value.trim().parse().map_err(|_| self.unreadable())?;
        if value.abs() <= MAX_VALUE {
            return Ok((place, value));
        }
        let what = format!("{value:e} is too large to compute with");
        Err(self.written.refused(&what, "values are at most 1e9"))
    }

    fn units_and_window(&self, place: &str) -> Result<(Vec<usize>, Window), WordError> {
        match place.split_once('@') {
            None => Ok((self.units(place)?, Window::Always)),
            Some((units, window)) => Ok((self.units(units)?, self.window(window.trim())?)),
        }
    }

    fn units(&self, word: &str) -> Result<Vec<usize>, WordError> {
        self.groups.units(word).map_err(|why| {
            let what = match why {
                NoUnits::Clusters(what) => {
                    let help = "`train-ctrnn analyze RUN task_variance` writes them";
                    return self.written.refused(&what, help);
                }
                NoUnits::Group(name) if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) => {
                    return self.unreadable();
                }
                NoUnits::Group(name) => format!("{name:?} is not a group of units"),
                NoUnits::Empty(name) => format!("no unit is in the group {name}"),
                NoUnits::Fraction(word) => {
                    format!("{word:?} is not a fraction of a group; expected a number above 0 and at most 1")
                }
            };
            let help = format!(
                "units are numbers such as 3,8-11, or groups: {}; GROUP:0.25 is a random quarter of one",
                self.groups.known()
            );
            self.written.refused(&what, help)
        })
    }

    /// Parses a window: `200..400`, `200..`, `..400`, or the name of an epoch. The input of a time step acts from its
    /// time on, so 200..400 at a dt of 20 are the time steps 10 to 19.
    fn window(&self, word: &str) -> Result<Window, WordError> {
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let Some((from, to)) = word.split_once("..") else {
            let is_epoch =
                word.starts_with(|c: char| c.is_ascii_alphabetic()) && word.chars().all(is_name);
            return if is_epoch {
                Ok(Window::Epoch(word.to_owned()))
            } else {
                Err(self.unreadable())
            };
        };
        let step = |ms: &str, open: usize| -> Result<usize, WordError> {
            match ms.trim() {
                "" => Ok(open),
                ms => self.step(ms.parse().map_err(|_| self.unreadable())?),
            }
        };
        let steps = step(from, 0)?..step(to, usize::MAX)?;
        if steps.is_empty() {
            let what = format!("{word} ms is an empty interval");
            return Err(self.written.refused(&what, "give the earlier time first"));
        }
        Ok(Window::Steps(steps))
    }

    fn step(&self, ms: f64) -> Result<usize, WordError> {
        self.clock.steps(ms).map_err(|error| {
            let help = format!("times are multiples of dt_ms = {}", self.clock.dt_ms());
            self.written.refused(&error.to_string(), help)
        })
    }

    fn unreadable(&self) -> WordError {
        let example = match (self.written.kind, self.written.is_key) {
            (Kind::Lesion, _) => "3,8-11",
            (Kind::Silence, _) => "e:0.25@stimulus",
            (Kind::Clamp, _) => "4@200..400=0.5",
            (Kind::Cut, false) => "'0-9>20-29'",
            (Kind::Cut, true) => "0-9>20-29",
            (Kind::Current, _) => "0-9@200..400=0.5",
        };
        WordError {
            what: format!(
                "{:?} is not a value of {}",
                self.written.word, self.written.place
            ),
            help: format!("expected for instance {}", self.written.shown(example)),
        }
    }
}
