//! A sweep: its trials and its folder.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use ctrnn_analysis::population::SEED;
use ctrnn_config::{ConfigErrors, MAX_CONFIG_BYTES, Reading};
use ctrnn_files::{FileError, RunFolder, Versions, atomic, digest, json, read_at_most};
use ctrnn_tasks::{Programs, Registry};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::SweepError;
use crate::columns::without_quotes;
use crate::expansion::Point;
use crate::file::SweepFile;
use crate::identity::{FileDigests, Resolved};

/// Largest list of trials that is read: 256 MiB.
const MOST_LIST_BYTES: u64 = 256 << 20;
/// Name of the file that records a sweep.
const RECORD: &str = "sweep.json";

/// A trial of a sweep.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial {
    /// Name of its run folder, the digest of its resolved configuration.
    pub name: String,
    /// Overrides by which it differs from the base configuration; the seed, if the sweep sets it, comes last.
    pub overrides: Vec<String>,
}

impl Trial {
    /// Returns the value of a key as TOML has it.
    pub fn setting(&self, key: &str) -> Option<&str> {
        self.overrides.iter().find_map(|given| {
            let (name, value) = given.split_once('=')?;
            (name == key).then_some(value)
        })
    }

    /// Returns the value of a key as text; strings without quotes.
    pub fn value(&self, key: &str) -> Option<&str> {
        self.setting(key).map(without_quotes)
    }

    /// Returns the settings in short words, such as `lr=0.01 n_units=64 seed=3`.
    pub fn words(&self) -> String {
        let words = self.overrides.iter().map(|given| {
            let (key, value) = given.split_once('=').unwrap_or((given, ""));
            format!("{}={value}", key.rsplit('.').next().unwrap_or(key))
        });
        words.collect::<Vec<_>>().join(" ")
    }
}

/// Record of a sweep in its folder: that to which its trials belong.
#[derive(Debug, Serialize, Deserialize)]
struct SweepJson {
    schema: u32,
    name: String,
    base: PathBuf,
    base_blake3: String,
    /// Digest of everything from which the list of trials was made.
    trials_of: String,
}

impl SweepJson {
    const VERSIONS: Versions = Versions(&[]);
}

/// A sweep: its file, its trials, and the folder that holds their runs.
#[derive(Debug)]
pub struct Sweep {
    /// Sweep file.
    pub file: SweepFile,
    /// All trials, in the order of the file.
    pub trials: Vec<Trial>,
    /// Keys that vary, the seed last.
    pub keys: Vec<String>,
    /// Number of trials that were left out because another one has the same configuration.
    pub n_repeated: usize,
    folder: PathBuf,
    base_blake3: String,
    trials_of: String,
    /// True if the folder has the list of these trials.
    is_listed: bool,
}

impl Sweep {
    /// Reads a sweep file and resolves the configuration of every trial; `folder` is `sweeps/NAME` by default. No program
    /// is started and nothing is written.
    ///
    /// # Errors
    /// All problems of the file, or of the configuration of the first trials that have some.
    pub fn open(
        path: &Path,
        folder: Option<&Path>,
        registry: &Registry,
    ) -> Result<Self, SweepError> {
        let file = SweepFile::read(path)?;
        let folder = folder.map_or_else(|| Path::new("sweeps").join(&file.name), Path::to_owned);
        let base = read_at_most(&file.base, MAX_CONFIG_BYTES).unwrap_or_default(); // reported when it is resolved
        let base_blake3 = digest::blake3(values_of(&base).as_bytes());
        let of = [
            file.text.as_bytes(),
            base_blake3.as_bytes(),
            env!("CARGO_PKG_VERSION").as_bytes(),
        ];
        let trials_of = digest::blake3(&of.join(&0));
        let mut sweep = Self::without_trials(file, folder, base_blake3, trials_of);
        match sweep.listed_trials() {
            Some(trials) => (sweep.trials, sweep.is_listed) = (trials, true),
            None => sweep.resolve(registry)?,
        }
        Ok(sweep)
    }

    /// Reads the sweep that is recorded in a folder: the trials that were run last, whatever has become of its file. Its runs can be read; to
    /// run more, open the file.
    ///
    /// # Errors
    /// If the folder holds no sweep, or its record is damaged.
    pub fn in_folder(folder: &Path) -> Result<Self, SweepError> {
        let recorded: SweepJson = SweepJson::VERSIONS.read(&folder.join(RECORD))?;
        let path = folder.join("sweep.toml");
        let text = read_at_most(&path, MAX_CONFIG_BYTES)?;
        let text = String::from_utf8_lossy(&text);
        let mut file = SweepFile::from_text(&text, &path.display().to_string(), Path::new(""))?;
        (file.name, file.base) = (recorded.name, recorded.base);
        let folder = folder.to_owned();
        let mut sweep =
            Self::without_trials(file, folder, recorded.base_blake3, recorded.trials_of);
        let Some(trials) = sweep.listed_trials() else {
            return Err(SweepError::DamagedList { path: sweep.list() });
        };
        (sweep.trials, sweep.is_listed) = (trials, true);
        Ok(sweep)
    }

    /// Returns true if a folder holds a sweep.
    pub fn is_folder(folder: &Path) -> bool {
        folder.join(RECORD).is_file()
    }

    fn without_trials(
        file: SweepFile,
        folder: PathBuf,
        base_blake3: String,
        trials_of: String,
    ) -> Self {
        let mut keys: Vec<String> = file.keys().iter().map(ToString::to_string).collect();
        keys.extend(file.seeds.is_some().then(|| SEED.to_owned()));
        Self {
            trials: Vec::new(),
            n_repeated: 0,
            file,
            keys,
            folder,
            base_blake3,
            trials_of,
            is_listed: false,
        }
    }

    /// Returns the keys that vary between groups: all but the seed.
    pub fn group_keys(&self) -> impl Iterator<Item = &String> + Clone {
        self.keys.iter().filter(|key| *key != SEED)
    }

    /// Returns the folder of the sweep.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns the run folder of a trial.
    pub fn run(&self, trial: &Trial) -> RunFolder {
        RunFolder::at(self.folder.join(&trial.name))
    }

    /// Returns the path of the log of a trial: everything that its processes printed.
    pub fn log(&self, trial: &Trial) -> PathBuf {
        self.folder.join("logs").join(format!("{}.log", trial.name))
    }

    /// Returns the arguments with which the program trains a trial, or continues it if its run exists.
    pub fn arguments(&self, trial: &Trial) -> Vec<String> {
        let run = self.run(trial);
        let folder = run.root().to_string_lossy().into_owned();
        let words: Vec<String> = if run.run_json().is_file() {
            vec!["resume".to_owned(), folder, "device.threads=1".to_owned()]
        } else {
            let base = self.file.base.to_string_lossy().into_owned();
            let begin = ["train".to_owned(), base].into_iter();
            let given = trial.overrides.iter().cloned();
            let place = ["--threads=1", "--resume=never", "--run-dir"].map(str::to_owned);
            begin.chain(given).chain(place).chain([folder]).collect()
        };
        words
    }

    /// Returns the trial with a number, counted from 1, or with a name that begins with some digits.
    ///
    /// # Errors
    /// If there is none, or more than one.
    pub fn trial(&self, word: &str) -> Result<&Trial, SweepError> {
        let number = word
            .parse::<usize>()
            .ok()
            .filter(|&n| (1..=self.trials.len()).contains(&n));
        if let Some(number) = number {
            return Ok(&self.trials[number - 1]);
        }
        let mut named = self
            .trials
            .iter()
            .filter(|trial| trial.name.starts_with(word));
        match (named.next(), named.next()) {
            (Some(trial), None) if word.len() >= 4 => Ok(trial),
            _ => Err(SweepError::NoTrial {
                word: word.to_owned(),
                n_trials: self.trials.len(),
            }),
        }
    }

    /// Checks that the base configuration is the one with which the sweep began.
    ///
    /// # Errors
    /// [`SweepError::ChangedBase`]
    fn check_base(&self) -> Result<(), SweepError> {
        match self.recorded()? {
            Some(recorded) if recorded.base_blake3 != self.base_blake3 => {
                Err(SweepError::ChangedBase {
                    base: self.file.base.clone(),
                    folder: self.folder.clone(),
                })
            }
            _ => Ok(()),
        }
    }

    /// Records the sweep in its folder, with the list of its trials. An earlier record is replaced; with another base
    /// configuration only if `new_base` is set.
    ///
    /// # Errors
    /// [`SweepError::ChangedBase`], or if the folder cannot be written.
    pub fn record(&self, new_base: bool) -> Result<(), SweepError> {
        if !new_base {
            self.check_base()?;
        }
        ctrnn_files::output::check_folder(&self.folder)?; // not among the files of a run
        let logs = self.folder.join("logs");
        fs::create_dir_all(&logs).map_err(FileError::io("create", &logs))?;
        if self.is_listed {
            return Ok(());
        }
        let lines = self
            .trials
            .iter()
            .map(|trial| serde_json::to_string(trial).expect("texts have a JSON form") + "\n");
        atomic::write(&self.list(), lines.collect::<String>().as_bytes())?;
        atomic::write(&self.folder.join("sweep.toml"), self.file.text.as_bytes())?;
        let record = SweepJson {
            schema: SweepJson::VERSIONS.current(),
            name: self.file.name.clone(),
            base: self.file.base.clone(),
            base_blake3: self.base_blake3.clone(),
            trials_of: self.trials_of.clone(),
        };
        let text = serde_json::to_vec_pretty(&record).expect("a JSON value");
        Ok(atomic::write(&self.folder.join(RECORD), &text)?)
    }

    fn list(&self) -> PathBuf {
        self.folder.join("trials.jsonl")
    }

    fn recorded(&self) -> Result<Option<SweepJson>, FileError> {
        match SweepJson::VERSIONS.read(&self.folder.join(RECORD)) {
            Ok(recorded) => Ok(Some(recorded)),
            Err(FileError::Missing { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Returns the list of trials in the folder if it was made from the same files, so that ten thousand configurations
    /// need not be resolved again.
    fn listed_trials(&self) -> Option<Vec<Trial>> {
        let recorded = self.recorded().ok()??;
        if recorded.trials_of != self.trials_of {
            return None;
        }
        let list = read_at_most(&self.list(), MOST_LIST_BYTES).ok()?;
        let lines = list
            .split(|&byte| byte == b'\n')
            .filter(|line| !line.is_empty());
        lines
            .map(|line| serde_json::from_slice(line).ok())
            .collect()
    }

    /// Resolves the configuration of every trial; those that occur twice are left out.
    fn resolve(&mut self, registry: &Registry) -> Result<(), SweepError> {
        let points = self.file.points()?;
        let digests = FileDigests::default();
        let metric = self.file.metric.as_ref();
        let metric: Vec<String> = metric
            .map(|metric| format!("checkpoint.best=\"{metric}\""))
            .into_iter()
            .collect();
        let trials: Result<Vec<Vec<Trial>>, ConfigErrors> = points
            .par_iter()
            .map(|point| {
                let given = point.iter().map(crate::Setting::as_override);
                let overrides: Vec<String> = metric.iter().cloned().chain(given).collect();
                self.trials_at(point, overrides, &digests, registry)
            })
            .collect();
        let mut seen = BTreeSet::new();
        for trial in trials?.into_iter().flatten() {
            if seen.insert(trial.name.clone()) {
                self.trials.push(trial);
            } else {
                self.n_repeated += 1;
            }
        }
        Ok(())
    }

    fn trials_at(
        &self,
        point: &Point,
        overrides: Vec<String>,
        digests: &FileDigests,
        registry: &Registry,
    ) -> Result<Vec<Trial>, ConfigErrors> {
        let reading = Reading {
            overrides: &overrides,
            programs: Programs::NEVER,
            ..Reading::new(registry)
        };
        let values = reading.values(&self.file.base);
        let values = values.map_err(|errors| with_places(errors, point, &self.file))?;
        let mut resolved = Resolved::of(&values, digests);
        let seeds = match &self.file.seeds {
            Some(seeds) => seeds.iter().copied().map(Some).collect(),
            None => vec![None],
        };
        let trial = |seed: Option<i64>| Trial {
            name: resolved.name(seed),
            overrides: overrides
                .iter()
                .cloned()
                .chain(seed.map(|seed| format!("{SEED}={seed}")))
                .collect(),
        };
        Ok(seeds.into_iter().map(trial).collect())
    }
}

/// Returns the values of a configuration as text, without comments and layout; a text that is not TOML as it is.
fn values_of(config: &[u8]) -> String {
    let text = String::from_utf8_lossy(config);
    match text.parse::<toml::Table>() {
        Ok(table) => toml::to_string(&table).unwrap_or_default(),
        Err(_) => text.into_owned(),
    }
}

/// Replaces places on the command line by those in the sweep file.
fn with_places(mut errors: ConfigErrors, point: &Point, file: &SweepFile) -> ConfigErrors {
    for problem in &mut errors.0 {
        let is_unread_base =
            problem.labels.is_empty() && problem.code == ctrnn_config::Code::Unreadable;
        if is_unread_base {
            problem.labels.push(ctrnn_config::Label {
                place: file.base_place.clone(),
                text: String::new(),
            });
        }
        for label in &mut problem.labels {
            let given = point
                .iter()
                .find(|setting| setting.as_override() == label.place.source.text);
            if let Some(setting) = given {
                label.place = setting.place.clone();
            }
        }
    }
    errors
}

/// Reads a JSON file of a run, if it is there.
pub(crate) fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Option<T> {
    json::read(path).ok()
}
