//! Several runs of one task, or the trials of a sweep: `analyze` and `report` of populations.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ctrnn_analysis::population::SEED;
use ctrnn_analysis::{
    Basis, Findings, Networks, Observer, OptionSet, POPULATION_ANALYSES, PopulationAnalysis,
    Unsuitable, population_page,
};
use ctrnn_config::{Code, counted, differences};
use ctrnn_files::{RunFolder, output as files};
use ctrnn_sweep::{Status, Sweep, TrialState};
use ctrnn_tasks::Registry;
use serde_json::json;

use crate::args::{AnalyzeArgs, AnalyzedTrials, ReportArgs};
use crate::failure::{Failure, USAGE};
use crate::outcomes::{self, Outcome};
use crate::output;
use crate::run_path::{Needs, recorded};
use crate::study::{
    AnalysisSettings, Loaded, SharedTrials, Words, load, load_shared, unknown, with_study_of,
};
use crate::terminal::Terminal;

/// Runs that are analysed together.
pub struct Population {
    /// Name in headings.
    name: String,
    runs: Vec<PathBuf>,
    networks: Networks,
    /// Trials of sweeps that are not among the runs, with reasons.
    left_out: Vec<String>,
    /// Folder of the sweep, if the population is a sweep.
    folder: Option<PathBuf>,
}

/// Returns true if a path is that of a sweep: its file, or its folder.
fn is_sweep(path: &Path) -> bool {
    path.is_file() || (Sweep::is_folder(path) && !is_run(path))
}

fn is_run(path: &Path) -> bool {
    RunFolder::at(path).run_json().is_file()
}

/// Returns those of the words after the first place that are further runs or sweeps, and the other words. A name of an analysis is never a
/// place: `./compare` is.
pub fn further_places(words: &[String]) -> (Vec<PathBuf>, Vec<String>) {
    let is_place = |word: &str| {
        let is_name = word == "all" || PopulationAnalysis::named(word).is_some();
        let path = Path::new(word);
        !is_name && !word.contains('=') && (is_run(path) || is_sweep(path))
    };
    let (places, words): (Vec<&String>, Vec<&String>) =
        words.iter().partition(|word| is_place(word));
    (
        places.into_iter().map(PathBuf::from).collect(),
        words.into_iter().cloned().collect(),
    )
}

impl Population {
    /// Reads the runs at some places; `None` if they are a single run.
    ///
    /// # Errors
    /// If a place is neither a run nor a sweep, or no run of a sweep is done.
    pub fn at(places: &[PathBuf], registry: &Registry) -> Result<Option<Self>, Failure> {
        match places {
            [only] if is_sweep(only) => Self::of_sweep(&sweep_at(only, registry)?).map(Some),
            [_] => Ok(None),
            places => Self::of_runs(places, registry).map(Some),
        }
    }

    /// Takes the trials of a sweep that are done; groups are those of its keys.
    fn of_sweep(sweep: &Sweep) -> Result<Self, Failure> {
        let (done, left_out) = done_trials(sweep)?;
        let value = |trial: usize, key: &String| {
            let value = sweep.trials[trial].value(key);
            value.unwrap_or_default().to_owned()
        };
        let values = done
            .iter()
            .map(|&k| sweep.keys.iter().map(|key| value(k, key)).collect());
        let names = done.iter().map(|&k| sweep.trials[k].name.clone());
        Ok(Self {
            name: sweep.file.name.clone(),
            runs: done.iter().map(|&k| root(sweep, k)).collect(),
            networks: Networks::new(names.collect(), sweep.keys.clone(), values.collect()),
            left_out,
            folder: Some(sweep.folder().to_owned()),
        })
    }

    /// Takes several runs, and the trials of sweeps among the places; groups are those of the keys in which their configurations differ.
    fn of_runs(places: &[PathBuf], registry: &Registry) -> Result<Self, Failure> {
        let (mut runs, mut left_out) = (Vec::new(), Vec::new());
        for place in places {
            if is_sweep(place) {
                let sweep = sweep_at(place, registry)?;
                let (done, waiting) = done_trials(&sweep)?;
                runs.extend(done.into_iter().map(|k| root(&sweep, k)));
                left_out.extend(waiting);
            } else {
                runs.push(place.clone());
            }
        }
        Ok(Self {
            name: counted(runs.len() as u64, "run"),
            networks: networks_of(&runs)?,
            runs,
            left_out,
            folder: None,
        })
    }

    /// Observes all networks on the trials of the first one, and joins what was observed.
    fn found(
        &self,
        wanted: &[&'static PopulationAnalysis],
        (args, words): (&AnalyzedTrials, &Words),
        needs: Needs,
        (registry, terminal): (&Registry, &Terminal),
    ) -> Result<Vec<Result<Findings, Unsuitable>>, Failure> {
        note_unused(args, terminal);
        let n = self.runs.len();
        let mut observers: Vec<Box<dyn Observer>> = wanted
            .iter()
            .map(|analysis| {
                let own = words.settings.get(analysis.name).cloned();
                analysis.observer(&own.unwrap_or_default(), n)
            })
            .collect();
        let alone = AnalyzedTrials {
            with: Vec::new(),
            by: Vec::new(),
            ..args.clone()
        };
        let overrides = &words.overrides;
        let first = load(&self.runs[0], &alone, overrides, registry, needs, terminal)?;
        let trials = SharedTrials::of(&first, &alone)?;
        let is_without_trials = first.run.task.unstarted_program().is_some();
        let mut observe = |loaded: &Loaded| {
            with_study_of(
                loaded,
                trials.clone(),
                &alone,
                registry,
                terminal,
                |study| {
                    let suited = observers.iter_mut().zip(wanted);
                    suited
                        .filter(|(_, analysis)| {
                            !is_without_trials || analysis.basis < Basis::Trials
                        })
                        .for_each(|(observer, _)| observer.observe(study));
                    Ok(())
                },
            )
        };
        observe(&first)?;
        for run in &self.runs[1..] {
            observe(&load_shared(run, &alone, overrides, registry, terminal)?)?;
        }
        let joined = observers.into_iter().zip(wanted).map(|(observer, analysis)| {
            if is_without_trials && analysis.basis >= Basis::Trials {
                let why = "needs trials, which a program makes that is not started here; if you trust it, add --trust";
                return Err(Unsuitable::Lacks(why.to_owned()));
            }
            observer.finish(&self.networks)
        });
        Ok(joined.collect())
    }
}

/// Opens the sweep of a file, or that in a folder.
fn sweep_at(place: &Path, registry: &Registry) -> Result<Sweep, Failure> {
    Ok(if place.is_dir() {
        Sweep::in_folder(place)?
    } else {
        Sweep::open(place, None, registry)?
    })
}

fn root(sweep: &Sweep, trial: usize) -> PathBuf {
    sweep.run(&sweep.trials[trial]).root().to_owned()
}

/// Returns the trials of a sweep that are done, and what is said of the others.
fn done_trials(sweep: &Sweep) -> Result<(Vec<usize>, Vec<String>), Failure> {
    let is_done = |k: &usize| {
        let run = sweep.run(&sweep.trials[*k]);
        Status::of(&run).state == TrialState::Done
    };
    let (done, others): (Vec<usize>, Vec<usize>) = (0..sweep.trials.len()).partition(is_done);
    let folder = sweep.folder().display();
    if done.is_empty() {
        let what = format!("no trial of {folder} is done");
        let help =
            "`train-ctrnn sweep run SWEEP` runs them; `sweep status` says what became of them";
        return Err(Failure::of_code(Code::Data, what, help));
    }
    let others = (!others.is_empty()).then(|| {
        let n = counted(others.len() as u64, "trial");
        format!("{n} of {folder}, since they are not done")
    });
    Ok((done, others.into_iter().collect()))
}

/// Returns the networks of some runs, with the keys in which their configurations differ.
fn networks_of(runs: &[PathBuf]) -> Result<Networks, Failure> {
    let mut tables = Vec::new();
    for run in runs {
        let folder = crate::run_path::existing_folder(run)?;
        let mut table = recorded(&folder)?;
        table.remove("device"); // it does not belong to the network
        tables.push(table);
    }
    let word = |word: String| word.trim_matches('"').to_owned();
    let mut shared: BTreeMap<String, String> = BTreeMap::new();
    let mut own: Vec<BTreeMap<String, String>> = Vec::new();
    for table in &tables {
        let mut values = BTreeMap::new();
        for found in differences(&tables[0], table) {
            shared.insert(found.key.clone(), word(found.left_word()));
            values.insert(found.key.clone(), word(found.right_word()));
        }
        own.push(values);
    }
    let mut keys: Vec<String> = shared.keys().filter(|key| *key != SEED).cloned().collect();
    keys.extend(shared.contains_key(SEED).then(|| SEED.to_owned()));
    let values = own.iter().map(|values| {
        let value = |key: &String| values.get(key).unwrap_or(&shared[key]).clone();
        keys.iter().map(value).collect()
    });
    let values = values.collect();
    Ok(Networks::new(names_of(runs), keys, values))
}

/// Returns the names of run folders; whole paths if some have the same name.
fn names_of(runs: &[PathBuf]) -> Vec<String> {
    let name = |run: &PathBuf| {
        let name = crate::folder_name::with_name(run);
        let name = name.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    };
    let names: Vec<String> = runs.iter().map(name).collect();
    let mut distinct = names.clone();
    distinct.sort();
    distinct.dedup();
    if distinct.len() == names.len() {
        return names;
    }
    runs.iter().map(|run| run.display().to_string()).collect()
}

fn note_unused(args: &AnalyzedTrials, terminal: &Terminal) {
    let given = [
        ("--with", !args.with.is_empty()),
        ("--by", !args.by.is_empty()),
    ];
    for (option, _) in given.into_iter().filter(|(_, is_given)| *is_given) {
        terminal.note(format!(
            "{option} has no effect on analyses of several networks"
        ));
    }
}

fn of_several(name: &str) -> Option<(&'static str, OptionSet)> {
    PopulationAnalysis::named(name).map(|analysis| (analysis.name, analysis.options))
}

fn named(name: &str) -> Result<&'static PopulationAnalysis, Failure> {
    PopulationAnalysis::named(name)
        .ok_or_else(|| unknown("an analysis of several networks", name, names_of_all()))
}

/// Analyses several runs, or those of a sweep.
pub fn analyze(
    args: &AnalyzeArgs,
    (population, words): (&Population, &[String]),
    registry: &Registry,
    terminal: &Terminal,
) -> Result<(), Failure> {
    let words = Words::sort(words, of_several)?;
    let wanted = words.wanted(POPULATION_ANALYSES, named)?;
    if wanted.is_empty() {
        let help = format!("name one: all, {}", names_of_all().join(", "));
        return Err(Failure::new(USAGE, "C033", "no analysis is named", help));
    }
    let folder = match (&args.output, &population.folder) {
        (Some(folder), _) => folder.clone(),
        (None, Some(folder)) => folder.join("analysis"),
        (None, None) => return Err(no_output("a folder for the results", "-o DIR")),
    };
    let names: Vec<&str> = wanted.iter().map(|analysis| analysis.name).collect();
    outcomes::check_folder(args, &names)?;
    note_left_out(population, terminal);
    let needs = Needs::Trials(args.trials.trust.consent(terminal));
    let given = (&args.trials, &words);
    let found = population.found(&wanted, given, needs, (registry, terminal))?;
    let outcomes: Vec<Outcome> = wanted
        .iter()
        .zip(found)
        .map(|(analysis, found)| Outcome {
            name: analysis.name,
            title: analysis.title,
            docs: analysis.documented(),
            found,
        })
        .collect();
    outcomes::refuse_single(&outcomes, words.asks_for_all())?;
    outcomes::prepare_folder(args, &folder, &outcomes)?;
    let networks = &population.networks;
    let about = json!({ "networks": networks.names, "groups": networks.groups });
    outcomes::write_all(args, &folder, outcomes, about, terminal)
}

fn names_of_all() -> Vec<&'static str> {
    let names = POPULATION_ANALYSES.iter().map(|analysis| analysis.name);
    names.collect()
}

fn no_output(what: &str, option: &str) -> Failure {
    let what = format!("several runs need {what}");
    let help = format!("name one: {option}; a sweep has one of its own");
    Failure::new(USAGE, "U008", what, help)
}

fn note_left_out(population: &Population, terminal: &Terminal) {
    for line in &population.left_out {
        terminal.note(format!("left out: {line}"));
    }
}

/// Writes the page about several runs, or about those of a sweep.
pub fn report(
    args: &ReportArgs,
    population: &Population,
    registry: &Registry,
    terminal: &Terminal,
) -> Result<(), Failure> {
    let path = match (&args.output, &population.folder) {
        (Some(path), _) => path.clone(),
        (None, Some(folder)) => folder.join("report.html"),
        (None, None) => return Err(no_output("a file for the page", "-o FILE.html")),
    };
    if args.output.is_none() {
        files::check_unlinked(&path)?;
    }
    let force = args.force || args.output.is_none();
    output::check(&path, force, terminal)?;
    // Without trust no program is started: a report of another user's runs uses the data that are available.
    let needs = if args.trials.trust.trust {
        Needs::Trials(args.trials.trust.consent(terminal))
    } else {
        Needs::Network
    };
    note_left_out(population, terminal);
    let everything: Vec<&'static PopulationAnalysis> = POPULATION_ANALYSES.iter().collect();
    let words = Words {
        names: Vec::new(),
        overrides: Vec::new(),
        settings: AnalysisSettings::new(),
    };
    let given = (&args.trials, &words);
    let found = population.found(&everything, given, needs, (registry, terminal))?;
    let networks = &population.networks;
    let lead = format!(
        "{} in {}",
        counted(networks.len() as u64, "network"),
        counted(networks.groups.len() as u64, "group")
    );
    let found: Vec<_> = everything.into_iter().zip(found).collect();
    let page = population_page(
        &population.name,
        &lead,
        networks,
        &population.left_out,
        &found,
    );
    files::write(&path, force, page.as_bytes())?;
    terminal.wrote(&path)?;
    terminal.say(format!("wrote {}", path.display()));
    Ok(())
}
