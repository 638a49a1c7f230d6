//! Perturbations of a network, parsed from the command line.

use burn::tensor::backend::Backend;
use ctrnn_config::Run;
use ctrnn_files::RunFolder;
use ctrnn_model::CtrnnModule;
use ctrnn_tasks::{Clock, Trial};
use ctrnn_train::perturbation::{Kind, Perturbation, UnitGroups, WordError, Written};

use crate::args::PerturbArgs;
use crate::failure::{Failure, USAGE};

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
    let layers = network.layers().map(|layer| UnitGroups {
        clusters: Some(folder.analysis().join("task_variance.npz")),
        ..UnitGroups::of(layer, run.config.seed)
    });
    let found = parsed(args, &layers.collect::<Vec<_>>(), run.clock)?;
    let config = network.config();
    let checked = found.check_delays(config);
    checked.map_err(|error| error.with_remedy(config.n_units))?;
    Ok(found)
}

/// Parses the perturbations of a network whose layers have these groups, from the inputs up.
fn parsed(
    args: &PerturbArgs,
    layers: &[UnitGroups],
    clock: Clock,
) -> Result<Perturbation, Failure> {
    let written: Vec<Written> = (args.given().into_iter())
        .map(|(kind, word)| Written {
            kind,
            place: option(kind),
            is_key: false,
            word,
        })
        .collect();
    Ok(Perturbation::from_words(&written, layers, clock)?)
}

/// Returns the option of a way to perturb units.
fn option(kind: Kind) -> String {
    format!("--{kind}")
}

impl From<WordError> for Failure {
    fn from(error: WordError) -> Self {
        Self::new(USAGE, "C036", error.what, error.help)
    }
}

impl PerturbArgs {
    /// Returns the perturbations that are given, with their values.
    pub fn given(&self) -> Vec<(Kind, &str)> {
        let all = Kind::ALL.into_iter().flat_map(|kind| {
            let words = match kind {
                Kind::Silence => &self.silence,
                Kind::Lesion => &self.lesion,
                Kind::Clamp => &self.clamp,
                Kind::Current => &self.current,
                Kind::Cut => &self.cut,
            };
            words.iter().map(move |word| (kind, word.as_str()))
        });
        all.collect()
    }

    /// Returns the options as they were typed.
    pub fn words(&self) -> Vec<String> {
        let given = self.given().into_iter();
        given
            .map(|(kind, word)| format!("{} {word}", option(kind)))
            .collect()
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
        return Err(unknown_epoch(unknown, &known));
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

/// Creates the error of an epoch that no trial has.
fn unknown_epoch(unknown: &str, known: &[&str]) -> Failure {
    let what = format!("no trial has an epoch {unknown}");
    let help = if known.is_empty() {
        "the inputs of a file have no epochs: give times in ms, such as 200..400".to_owned()
    } else {
        let known = known.join(", ");
        format!("epochs are {known}; or give times in ms, such as 200..400")
    };
    Failure::new(USAGE, "C036", what, help)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::PathBuf;

    use ctrnn_files::output::OutputFile;
    use ctrnn_files::{Array, npz};
    use ctrnn_train::perturbation::{Clamp, Current, Cut, Lesion, NoUnits, Window};

    use super::*;

    /// Creates a network of 30 units, of which the first 20 are excitatory.
    fn groups() -> UnitGroups {
        UnitGroups {
            n_units: 30,
            seed: 1,
            signs: Some((0..30).map(|i| if i < 20 { 1.0 } else { -1.0 }).collect()),
            outgoing: Some((0..30).map(|i| f64::from(i) - 10.0).collect()),
            named: vec![
                ("area:motor".to_owned(), (10..30).collect()),
                ("pv".to_owned(), vec![25, 26]),
            ],
            clusters: Some(PathBuf::from("without/task_variance.npz")),
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
            UnitGroups {
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
            ..Perturbation::default()
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
        let other = UnitGroups {
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
        let groups = UnitGroups {
            clusters: Some(path),
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
