//! Perturbations of a network, parsed from the command line.

use std::collections::BTreeSet;
use std::path::PathBuf;

use burn::tensor::backend::Backend;
use ctrnn_analysis::{Clamp, Current, Cut, Lesion, Perturbation, PerturbationError, Window};
use ctrnn_config::Run;
use ctrnn_files::{RunFolder, npz};
use ctrnn_model::{CtrnnConfig, CtrnnModule, Matrix, Parameter};
use ctrnn_random::{Key, Rng, Stream};
use ctrnn_tasks::{Clock, Trial};

use crate::args::PerturbArgs;
use crate::failure::{Failure, USAGE};

/// Largest magnitude of a clamped rate or a current, as of the inputs of trials.
const MAX_VALUE: f64 = 1e9;
/// Layer of the stream of evaluations from which random fractions of groups are drawn.
const FRACTIONS: u32 = 16;

/// Parses the perturbations of the network of a run.
///
/// # Errors
/// Names the argument that cannot be parsed, the unit or group that does not exist, or the time that is not a multiple
/// of dt.
pub fn perturbation<B: Backend>(
    args: &PerturbArgs,
    network: &CtrnnModule<B>,
    run: &Run,
    folder: &RunFolder,
) -> Result<Perturbation, Failure> {
    if args.given().is_empty() {
        return Ok(Perturbation::default());
    }
    let layers = network.layers().map(|layer| Groups {
        clusters: folder.analysis().join("task_variance.npz"),
        ..Groups::of(layer, run.config.seed)
    });
    let found = parsed(args, &layers.collect::<Vec<_>>(), run.clock)?;
    let config = network.config();
    let checked = found.check_delays(config);
    checked.map_err(|error| refused(&error, config.n_units))?;
    Ok(found)
}

fn refused(error: &PerturbationError, n_units: usize) -> Failure {
    let help = match error {
        PerturbationError::NoSuchUnit { .. } => format!("units are 0 to {}", n_units - 1),
        PerturbationError::Delayed => {
            "leave the window out, so that it acts all the time; a --current may have a window"
                .to_owned()
        }
        PerturbationError::Twice { unit, .. } => format!(
            "--silence, --lesion and --clamp may hold a unit once at a time: remove unit {unit} from one of them, or give both windows in ms or both as epochs"
        ),
    };
    Failure::new(USAGE, "C036", error.to_string(), help)
}

/// Parses the perturbations of a network whose layers have these groups, from the inputs up.
fn parsed(args: &PerturbArgs, layers: &[Groups], clock: Clock) -> Result<Perturbation, Failure> {
    let mut words: Vec<Vec<Word>> = layers.iter().map(|_| Vec::new()).collect();
    for (option, word) in args.given() {
        let (layer, own) = layer_of(option, word, layers.len())?;
        words[layer].push(Word {
            option,
            word: own.to_owned(),
            groups: &layers[layer],
            clock,
        });
    }
    let of_layers = words.iter().zip(layers);
    let of_layers = of_layers.map(|(words, groups)| parsed_layer(words, groups.n_units));
    let mut below = of_layers.collect::<Result<Vec<_>, Failure>>()?;
    let last = below.pop().unwrap_or_default();
    if below.iter().all(Perturbation::is_none) {
        below.clear();
    }
    Ok(Perturbation { below, ..last })
}

/// Splits a word of a perturbation into the layer of its units and the rest: `layers.0.3,8-11`; without a layer it is the last one.
fn layer_of<'a>(option: &str, word: &'a str, n_layers: usize) -> Result<(usize, &'a str), Failure> {
    let split = (word.strip_prefix("layers.")).and_then(|rest| rest.split_once('.'));
    let Some((number, own)) = split else {
        return Ok((n_layers - 1, word));
    };
    let layer = number.parse().ok().filter(|layer| *layer < n_layers);
    layer.map(|layer| (layer, own)).ok_or_else(|| {
        let what = format!("{option} {word}: there is no layer {number}");
        let help = match n_layers {
            1 => "the network has one layer: leave `layers.` out".to_owned(),
            n => format!("layers: 0 to {}", n - 1),
        };
        Failure::new(USAGE, "C036", what, help)
    })
}

/// Parses the perturbations of a layer.
fn parsed_layer(words: &[Word], n_units: usize) -> Result<Perturbation, Failure> {
    let of = |option: &'static str| words.iter().filter(move |word| word.option == option);
    let silenced = of("--silence").map(|word| word.clamp_to(Some(0.0)));
    let clamped = of("--clamp").map(|word| word.clamp_to(None));
    let found = Perturbation {
        lesioned: of("--lesion").map(Word::lesion).collect::<Result<_, _>>()?,
        cut: of("--cut").map(Word::cut).collect::<Result<_, _>>()?,
        clamped: silenced.chain(clamped).collect::<Result<_, _>>()?,
        currents: of("--current")
            .map(Word::current)
            .collect::<Result<_, _>>()?,
        below: Vec::new(),
    };
    let checked = found.check(n_units);
    checked.map_err(|error| refused(&error, n_units))?;
    Ok(found)
}

impl PerturbArgs {
    /// Returns the options that are given, with their values.
    pub fn given(&self) -> Vec<(&'static str, &str)> {
        let all = [
            ("--silence", &self.silence),
            ("--lesion", &self.lesion),
            ("--clamp", &self.clamp),
            ("--current", &self.current),
            ("--cut", &self.cut),
        ];
        let each = all
            .into_iter()
            .flat_map(|(option, words)| words.iter().map(move |word| (option, word.as_str())));
        each.collect()
    }

    /// Returns the options as they were typed.
    pub fn words(&self) -> Vec<String> {
        let given = self.given().into_iter();
        given
            .map(|(option, word)| format!("{option} {word}"))
            .collect()
    }
}

/// Groups of units that can be named.
struct Groups {
    n_units: usize,
    seed: u64,
    /// Signs of the units under Dale's law.
    signs: Option<Vec<f64>>,
    /// Sums of the outgoing recurrent weights of each unit.
    outgoing: Vec<f64>,
    /// Units of each area, `area:NAME`, and of each cell type.
    named: Vec<(String, Vec<usize>)>,
    /// File of the analysis `task_variance`, whose array `cluster` holds the cluster of each unit.
    clusters: PathBuf,
}

impl Groups {
    fn of<B: Backend>(network: &CtrnnModule<B>, seed: u64) -> Self {
        let n_units = network.config().n_units;
        let weights = network.layer(network.n_layers() - 1).weights();
        let w_rc: Vec<f64> = weights[&Parameter::RECURRENT_WEIGHT.name()]
            .iter()
            .collect();
        let sum = |pre: usize| w_rc.iter().skip(pre).step_by(n_units).sum();
        Self {
            n_units,
            seed,
            signs: network.config().signs(Matrix::Recurrent),
            outgoing: (0..n_units).map(sum).collect(),
            named: named(network.config()),
            clusters: PathBuf::new(),
        }
    }

    /// Returns the units of a word of the command line: `3,8-11`, `e`, `i:0.25`, in ascending order.
    ///
    /// # Errors
    /// Describes a part that is neither units nor a group.
    fn units(&self, word: &str) -> Result<Vec<usize>, NoUnits> {
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
        let units: Vec<usize> = match (name, &self.signs) {
            ("all", _) => those(&|_| true),
            ("e", Some(signs)) => those(&|i| signs[i] > 0.0),
            ("i", Some(signs)) => those(&|i| signs[i] < 0.0),
            ("sign:+", _) => those(&|i| self.outgoing[i] > 0.0),
            ("sign:-", _) => those(&|i| self.outgoing[i] < 0.0),
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
        let mut arrays =
            npz::read(&self.clusters).map_err(|error| NoUnits::Clusters(error.to_string()))?;
        let labels = arrays
            .remove("cluster")
            .and_then(|array| array.to_f64().ok());
        let labels = labels.filter(|labels| labels.len() == self.n_units);
        let labels = labels.ok_or_else(|| {
            let (path, n) = (self.clusters.display(), self.n_units);
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
        let of_signs = match self.signs {
            Some(_) => "all, e, i, sign:+, sign:-, cluster:K",
            None => "all, sign:+, sign:-, cluster:K (e and i under Dale's law)",
        };
        let named = self.named.iter().map(|(name, _)| name.as_str());
        [of_signs]
            .into_iter()
            .chain(named)
            .collect::<Vec<_>>()
            .join(", ")
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
enum NoUnits {
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

/// An argument of an option.
struct Word<'a> {
    option: &'static str,
    word: String,
    groups: &'a Groups,
    clock: Clock,
}

impl Word<'_> {
    fn lesion(&self) -> Result<Lesion, Failure> {
        let (units, when) = self.units_and_window(&self.word)?;
        Ok(Lesion { units, when })
    }

    /// Parses clamped units: `4,7@delay=0.5`, or without the rate if it is given.
    fn clamp_to(&self, rate: Option<f64>) -> Result<Clamp, Failure> {
        let (place, rate) = match rate {
            Some(rate) => (self.word.as_str(), rate),
            None => self.place_and_value()?,
        };
        let (units, when) = self.units_and_window(place)?;
        Ok(Clamp { units, rate, when })
    }

    /// Parses a current: `0-9@200..400=0.5`.
    fn current(&self) -> Result<Current, Failure> {
        let (place, value) = self.place_and_value()?;
        let (units, when) = self.units_and_window(place)?;
        Ok(Current { units, value, when })
    }

    /// Parses a cut: `0-9>20-29@delay`.
    fn cut(&self) -> Result<Cut, Failure> {
        let (pre, post) = self.word.split_once('>').ok_or_else(|| self.unreadable())?;
        let pre = self.units(pre)?;
        let (post, when) = self.units_and_window(post)?;
        Ok(Cut { post, pre, when })
    }

    fn place_and_value(&self) -> Result<(&str, f64), Failure> {
        let (place, value) = self
            .word
            .rsplit_once('=')
            .ok_or_else(|| self.unreadable())?;
        let value: f64 = value.trim().parse().map_err(|_| self.unreadable())?;
        if value.abs() <= MAX_VALUE {
            return Ok((place, value));
        }
        let what = format!(
            "{} {}: {value:e} is too large to compute with",
            self.option, self.word
        );
        Err(Failure::new(USAGE, "C036", what, "values are at most 1e9"))
    }

    fn units_and_window(&self, place: &str) -> Result<(Vec<usize>, Window), Failure> {
        match place.split_once('@') {
            None => Ok((self.units(place)?, Window::Always)),
            Some((units, window)) => Ok((self.units(units)?, self.window(window.trim())?)),
        }
    }

    fn units(&self, word: &str) -> Result<Vec<usize>, Failure> {
        self.groups.units(word).map_err(|why| {
            let what = match why {
                NoUnits::Clusters(what) => {
                    let help = "`train-ctrnn analyze RUN task_variance` writes them";
                    let what = format!("{} {}: {what}", self.option, self.word);
                    return Failure::new(USAGE, "C036", what, help);
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
            Failure::new(USAGE, "C036", format!("{} {}: {what}", self.option, self.word), help)
        })
    }

    /// Parses a window: `200..400`, `200..`, `..400`, or the name of an epoch. The input of a time step acts from its
    /// time on, so 200..400 at a dt of 20 are the time steps 10 to 19.
    fn window(&self, word: &str) -> Result<Window, Failure> {
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
        let step = |ms: &str, open: usize| -> Result<usize, Failure> {
            match ms.trim() {
                "" => Ok(open),
                ms => self.step(ms.parse().map_err(|_| self.unreadable())?),
            }
        };
        let steps = step(from, 0)?..step(to, usize::MAX)?;
        if steps.is_empty() {
            let what = format!(
                "{} {}: {word} ms is an empty interval",
                self.option, self.word
            );
            let help = "give the earlier time first";
            return Err(Failure::new(USAGE, "C036", what, help));
        }
        Ok(Window::Steps(steps))
    }

    fn step(&self, ms: f64) -> Result<usize, Failure> {
        self.clock.steps(ms).map_err(|error| {
            let help = format!("times are multiples of dt_ms = {}", self.clock.dt_ms());
            let what = format!("{} {}: {error}", self.option, self.word);
            Failure::new(USAGE, "C036", what, help)
        })
    }

    fn unreadable(&self) -> Failure {
        let example = match self.option {
            "--lesion" => "3,8-11",
            "--silence" => "e:0.25@stimulus",
            "--clamp" => "4@200..400=0.5",
            "--cut" => "'0-9>20-29'",
            _ => "0-9@200..400=0.5",
        };
        let what = format!("{:?} is not a value of {}", self.word, self.option);
        let help = format!("expected for instance {} {example}", self.option);
        Failure::new(USAGE, "C036", what, help)
    }
}

/// Length and epochs of a trial, as windows need them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shown {
    n_steps: usize,
    epochs: Vec<&'static str>,
}

impl Shown {
    pub fn of(trial: &Trial) -> Self {
        let epochs = trial.timeline.epochs.iter();
        let lasting = epochs.filter(|(_, steps)| !steps.is_empty());
        Self {
            n_steps: trial.n_steps,
            epochs: lasting.map(|(name, _)| *name).collect(),
        }
    }

    /// Returns the trials of a file of inputs, which have no epochs.
    pub fn of_file(n_steps: usize) -> Self {
        Self {
            n_steps,
            epochs: Vec::new(),
        }
    }
}

/// Refuses windows that no trial has: epochs of other names, and times after the end of all trials. `trials` are asked
/// for only if there are windows.
///
/// # Errors
/// Names the epochs that exist, or the end of the longest trial.
pub fn check_windows(
    perturbation: &Perturbation,
    trials: impl FnOnce() -> Vec<Shown>,
    run: &Run,
) -> Result<(), Failure> {
    let (asked, latest) = (perturbation.epochs(), perturbation.latest_start());
    if asked.is_empty() && latest.is_none() {
        return Ok(());
    }
    let trials = trials();
    let n_steps = trials.iter().map(|trial| trial.n_steps).max().unwrap_or(0);
    let mut known: Vec<&str> = Vec::new();
    for epoch in trials.iter().flat_map(|trial| &trial.epochs) {
        if !known.contains(epoch) {
            known.push(epoch);
        }
    }
    if let Some(unknown) = asked.iter().find(|epoch| !known.contains(epoch)) {
        let what = format!("no trial has an epoch {unknown}");
        let help = if known.is_empty() {
            "the inputs of a file have no epochs: give times in ms, such as 200..400".to_owned()
        } else {
            let known = known.join(", ");
            format!("epochs are {known}; or give times in ms, such as 200..400")
        };
        return Err(Failure::new(USAGE, "C036", what, help));
    }
    if let Some(start) = latest.filter(|start| *start >= n_steps) {
        let ms = |steps: usize| steps as f64 * run.clock.dt_ms();
        let what = format!(
            "a perturbation from {} ms on has no effect: the longest trial ends at {} ms",
            ms(start),
            ms(n_steps)
        );
        return Err(Failure::new(USAGE, "C036", what, "give an earlier time"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use ctrnn_files::Array;
    use ctrnn_files::output::OutputFile;

    use super::*;

    /// Creates a network of 30 units, of which the first 20 are excitatory.
    fn groups() -> Groups {
        Groups {
            n_units: 30,
            seed: 1,
            signs: Some((0..30).map(|i| if i < 20 { 1.0 } else { -1.0 }).collect()),
            outgoing: (0..30).map(|i| f64::from(i) - 10.0).collect(),
            named: vec![
                ("area:motor".to_owned(), (10..30).collect()),
                ("pv".to_owned(), vec![25, 26]),
            ],
            clusters: PathBuf::from("without/task_variance.npz"),
        }
    }

    #[test]
    fn areas_and_cell_types_are_groups() {
        let args = PerturbArgs {
            silence: words(&["pv", "area:motor:0.5@delay"]),
            ..PerturbArgs::default()
        };
        let found = read(&args).unwrap_err();
        assert!(found.contains("clamped twice"), "{found}"); // all of pv are in the motor area, half of which is drawn
        let args = PerturbArgs {
            lesion: words(&["area:motor"]),
            cut: words(&["pv>area:motor"]),
            ..PerturbArgs::default()
        };
        let found = read(&args).unwrap();
        assert_eq!(found.lesioned[0].units, (10..30).collect::<Vec<_>>());
        assert_eq!(found.cut[0].pre, [25, 26]);
        let args = PerturbArgs {
            lesion: words(&["area:sensory"]),
            ..PerturbArgs::default()
        };
        let refused = read(&args).unwrap_err();
        assert!(
            refused.contains("sign:-, cluster:K, area:motor, pv;"),
            "{refused}"
        );
    }

    fn read(args: &PerturbArgs) -> Result<Perturbation, String> {
        let clock = Clock::new(20.0).unwrap();
        parsed(args, &[groups()], clock).map_err(|failure| failure.render(false))
    }

    /// A word names the layer of its units; without one it is the last.
    #[test]
    fn words_name_a_layer() {
        let layers = [
            Groups {
                n_units: 5,
                signs: None,
                ..groups()
            },
            groups(),
        ];
        let clock = Clock::new(20.0).unwrap();
        let args = |silence: &[&str]| PerturbArgs {
            silence: words(silence),
            cut: words(&["layers.0.0-1>2@delay"]),
            ..PerturbArgs::default()
        };
        let found = parsed(&args(&["layers.0.4", "4", "layers.1.i"]), &layers, clock);
        let found = found.map_err(|failure| failure.render(false)).unwrap();
        assert_eq!(found.below[0].clamped[0].units, [4]);
        assert_eq!(found.below[0].cut[0].pre, [0, 1]);
        let units: Vec<usize> = found
            .clamped
            .iter()
            .map(|clamp| clamp.units.len())
            .collect();
        assert_eq!((units, found.cut.len()), (vec![1, 10], 0));
        assert!(found.epochs().contains("delay"));
        for (word, problem) in [
            ("layers.2.4", "there is no layer 2"),
            ("layers.0.5", "there is no unit 5"),
            ("layers.0.e", "e and i under Dale's law"),
        ] {
            let refused = parsed(&args(&[word]), &layers, clock)
                .unwrap_err()
                .render(false);
            assert!(refused.contains(problem), "{refused}");
        }
    }

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn words_become_perturbations() {
        let args = PerturbArgs {
            current: words(&["0-1@200..400=-0.5"]),
            lesion: words(&["3,8-9", "12@delay"]),
            cut: words(&["0>20-21@..40"]),
            clamp: words(&["4,5=0.5"]),
            silence: words(&["6@400.."]),
        };
        let expected = Perturbation {
            below: Vec::new(),
            lesioned: vec![
                Lesion {
                    units: vec![3, 8, 9],
                    when: Window::Always,
                },
                Lesion {
                    units: vec![12],
                    when: Window::Epoch("delay".to_owned()),
                },
            ],
            cut: vec![Cut {
                post: vec![20, 21],
                pre: vec![0],
                when: Window::Steps(0..2),
            }],
            clamped: vec![
                Clamp {
                    units: vec![6],
                    rate: 0.0,
                    when: Window::Steps(20..usize::MAX),
                },
                Clamp {
                    units: vec![4, 5],
                    rate: 0.5,
                    when: Window::Always,
                },
            ],
            currents: vec![Current {
                units: vec![0, 1],
                value: -0.5,
                when: Window::Steps(10..20),
            }],
        };
        assert_eq!(read(&args), Ok(expected));
    }

    #[test]
    fn groups_are_units() {
        let units = |word: &str| groups().units(word).ok().unwrap();
        assert_eq!(units("e"), (0..20).collect::<Vec<_>>());
        assert_eq!(units("i,3"), [vec![3], (20..30).collect()].concat());
        assert_eq!(units("sign:+"), (11..30).collect::<Vec<_>>());
        assert_eq!(units("sign:-"), (0..10).collect::<Vec<_>>());
        let (quarter, half) = (units("e:0.25"), units("e:0.5"));
        assert_eq!(
            (quarter.len(), half.len(), units("sign:-:0.01").len()),
            (5, 10, 1)
        );
        assert!(quarter.iter().all(|unit| half.contains(unit) && *unit < 20));
        let other = Groups {
            seed: 2,
            ..groups()
        };
        assert_ne!(other.units("e:0.25").ok(), Some(quarter));
    }

    #[test]
    fn clusters_are_those_of_the_analysis() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("task_variance.npz");
        let labels: Vec<f64> = (0..30).map(|i| f64::from(i % 3) - 1.0).collect();
        let arrays = BTreeMap::from([("cluster".to_owned(), Array::f64(&[30], labels))]);
        npz::write_to(OutputFile::create(&path, false).unwrap(), &arrays).unwrap();
        let groups = Groups {
            clusters: path,
            ..groups()
        };
        let units = |word: &str| groups.units(word).ok();
        let first: Vec<usize> = (1..30).step_by(3).collect();
        assert_eq!(units("cluster:0").unwrap(), first);
        assert_eq!(units("cluster:1:0.2").unwrap().len(), 2);
        assert!(matches!(groups.units("cluster:2"), Err(NoUnits::Empty(_))));
    }

    #[test]
    fn mistakes_are_told() {
        let lesion = |word: &str| PerturbArgs {
            lesion: words(&[word]),
            ..PerturbArgs::default()
        };
        let current = |word: &str| PerturbArgs {
            current: words(&[word]),
            ..PerturbArgs::default()
        };
        let clamps = |given: &[&str]| PerturbArgs {
            clamp: words(given),
            ..PerturbArgs::default()
        };
        for (args, message) in [
            (lesion("9-3"), "\"9-3\" is not a value of --lesion"),
            (lesion("30"), "there is no unit 30"),
            (
                lesion("area:visual"),
                "\"area:visual\" is not a group of units",
            ),
            (lesion("excitatory"), "or groups: all, e, i, sign:+, sign:-"),
            (lesion("e:1.5"), "is not a fraction of a group"),
            (
                lesion("cluster:2"),
                "without/task_variance.npz does not exist",
            ),
            (lesion("cluster:2"), "analyze RUN task_variance"),
            (lesion("cluster:x"), "\"cluster:x\" is not a group of units"),
            (lesion("3@"), "\"3@\" is not a value of --lesion"),
            (current("0@0..50=1"), "multiples of dt_ms = 20"),
            (current("0@40..40=1"), "40..40 ms is an empty interval"),
            (
                PerturbArgs {
                    lesion: words(&["3-5"]),
                    clamp: words(&["4=1"]),
                    ..PerturbArgs::default()
                },
                "unit 4 is both lesioned and clamped",
            ),
            (clamps(&["0-3=0.5", "2=0.7"]), "unit 2 is clamped twice"),
            (
                clamps(&["2@delay=0.5", "2@0..40=0.7"]),
                "windows that may overlap",
            ),
            (clamps(&["0=1e39"]), "1e39 is too large"),
            (current("0@0..40=-1e10"), "is too large to compute with"),
            (current("0@0..40=NaN"), "too large"),
        ] {
            let found = read(&args).unwrap_err();
            assert!(found.contains(message), "{message:?}: {found}");
        }
        let apart = clamps(&["2@0..40=0.5", "2@40..80=0.7", "2@80..=0.1"]);
        assert_eq!(read(&apart).unwrap().clamped.len(), 3);
    }
}
