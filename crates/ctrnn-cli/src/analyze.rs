//! `analyze`: analyses of a trained network, as arrays and figures.

use ctrnn_analysis::ANALYSES;
use ctrnn_tasks::Registry;
use serde_json::json;

use crate::args::AnalyzeArgs;
use crate::failure::Failure;
use crate::outcomes::{Outcome, check_folder, prepare_folder, refuse_single, write_all};
use crate::population::{self, Population, further_places};
use crate::run_path::Needs;
use crate::study::{Words, analyse, load, named, note_unused, of_one_network, with_study};
use crate::terminal::Terminal;

/// Analyses a run, several runs, or those of a sweep.
pub fn run(args: &AnalyzeArgs, registry: &Registry, terminal: &Terminal) -> Result<(), Failure> {
    let (further, words) = further_places(&args.what);
    let places = [vec![args.run.clone()], further].concat();
    match Population::at(&places, registry)? {
        Some(population) => population::analyze(args, (&population, &words), registry, terminal),
        None => of_run(args, registry, terminal),
    }
}

/// Analyses a run.
fn of_run(args: &AnalyzeArgs, registry: &Registry, terminal: &Terminal) -> Result<(), Failure> {
    let words = Words::sort(&args.what, of_one_network)?;
    let wanted = words.wanted(ANALYSES, named)?;
    let names: Vec<&str> = wanted.iter().map(|analysis| analysis.name).collect();
    check_folder(args, &names)?;
    let needs = Needs::Trials(args.trials.trust.consent(terminal));
    let loaded = load(
        &args.run,
        &args.trials,
        &words.overrides,
        registry,
        needs,
        terminal,
    )?;
    note_unused(&args.trials, &wanted, &loaded.run, terminal);
    let found = with_study(&loaded, &args.trials, registry, terminal, |study| {
        Ok(analyse(study, &wanted, &words.settings))
    })?;
    let outcomes = found.into_iter().map(|(analysis, found)| Outcome {
        name: analysis.name,
        title: analysis.title,
        docs: analysis.arrays.to_vec(),
        found,
    });
    let outcomes: Vec<Outcome> = outcomes.collect();
    refuse_single(&outcomes, words.asks_for_all())?;
    let folder = args.output.clone();
    let folder = folder.unwrap_or_else(|| loaded.folder.analysis());
    prepare_folder(args, &folder, &outcomes)?;
    let about = json!({ "step": loaded.weights.step });
    write_all(args, &folder, outcomes, about, terminal)
}
