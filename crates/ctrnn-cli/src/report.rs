//! `report`: an HTML page about a run, as a single self-contained file.

use ctrnn_analysis::{ANALYSES, Analysis, ReportedRun, report};
use ctrnn_config::MAX_CONFIG_BYTES;
use ctrnn_files::read_at_most;
use ctrnn_runs::is_in_parts;
use ctrnn_tasks::Registry;

use crate::args::ReportArgs;
use crate::eval::note_unused_noise;
use crate::failure::Failure;
use crate::output;
use crate::population::{self, Population};
use crate::run_path::Needs;
use crate::study::{AnalysisSettings, analyse, load, with_study};
use crate::terminal::Terminal;

/// Writes the report of a run, of several runs, or of a sweep.
pub fn run(args: &ReportArgs, registry: &Registry, terminal: &Terminal) -> Result<(), Failure> {
    let places = [vec![args.run.clone()], args.further.clone()].concat();
    match Population::at(&places, registry)? {
        Some(population) => population::report(args, &population, registry, terminal),
        None => of_run(args, registry, terminal),
    }
}

/// Writes the report of a run.
fn of_run(args: &ReportArgs, registry: &Registry, terminal: &Terminal) -> Result<(), Failure> {
    if let Some(path) = &args.output {
        output::check(path, args.force, terminal)?;
    }
    // Without trust no program is started: a report of another user's run uses the data that are available.
    let needs = if args.trials.trust.trust {
        Needs::Trials(args.trials.trust.consent(terminal))
    } else {
        Needs::Network
    };
    let loaded = load(&args.run, &args.trials, &[], registry, needs, terminal)?;
    note_unused_noise(args.trials.noise, &loaded.run, terminal);
    let path = args
        .output
        .clone()
        .unwrap_or_else(|| loaded.folder.report());
    if args.output.is_none() {
        ctrnn_files::output::check_unlinked(&path)?;
    }
    let force = args.force || args.output.is_none();
    output::check(&path, force, terminal)?;
    let config = read_at_most(&loaded.folder.resolved(), MAX_CONFIG_BYTES)?;
    let run = &loaded.run;
    let perturbed = args.trials.perturb.words().into_iter();
    let perturbed = perturbed.map(|word| format!("the network is perturbed: {word}"));
    let notes: Vec<String> = loaded
        .weights
        .notes
        .iter()
        .cloned()
        .chain(perturbed)
        .collect();
    let about = ReportedRun {
        folder: &loaded.folder,
        config: &String::from_utf8_lossy(&config),
        is_in_parts: is_in_parts(&config),
        task: &run.task_name,
        model: &run.model,
        n_steps: run.config.train.steps,
        batch_size: run.config.train.trials_of_step(),
        optimizer: run.config.train.optimizer.name(),
        seed: run.config.seed,
        step: loaded.weights.step,
        notes: &notes,
        has_noise: args.trials.noise,
    };
    let everything: Vec<&'static Analysis> = ANALYSES.iter().collect();
    let page = with_study(&loaded, &args.trials, registry, terminal, |study| {
        Ok(report(
            &about,
            study,
            &analyse(study, &everything, &AnalysisSettings::new()),
        )?)
    })?;
    ctrnn_files::output::write(&path, force, page.as_bytes())?;
    terminal.wrote(&path)?;
    if let Some(program) = run.task.unstarted_program() {
        terminal.note(format!(
            "the report leaves out what needs trials, which this program makes: {program}; if you trust it, add --trust"
        ));
    }
    terminal.say(format!("wrote {}", path.display()));
    Ok(())
}
