//! `analyze`: analyses of a trained network, as arrays and figures.

use std::path::{Path, PathBuf};

use ctrnn_analysis::{ANALYSES, Analysis, Findings};
use ctrnn_config::counted;
use ctrnn_files::npz;
use ctrnn_files::output::{self, OutputFile};
use ctrnn_tasks::Registry;
use serde_json::json;

use crate::args::AnalyzeArgs;
use crate::failure::{Failure, IO};
use crate::run_path::Needs;
use crate::study::{Words, analyse, load, named, note_unused, refused, with_study};
use crate::terminal::{Terminal, path_text};

/// Analyses a run.
pub fn run(args: &AnalyzeArgs, registry: &Registry, terminal: &Terminal) -> Result<(), Failure> {
    let Words {
        names,
        overrides,
        settings,
    } = Words::sort(&args.what)?;
    let is_all = names.iter().any(|name| name == "all");
    let wanted: Vec<&'static Analysis> = if is_all {
        ANALYSES.iter().collect()
    } else {
        names
            .iter()
            .map(|name| named(name))
            .collect::<Result<_, _>>()?
    };
    if let Some(folder) = &args.output {
        output::check_folder(folder)?;
        for analysis in wanted.iter().filter(|_| folder.is_dir()) {
            output::check(&folder.join(format!("{}.npz", analysis.name)), args.force)?;
        }
    }
    let needs = Needs::Trials(args.trials.trust.consent(terminal));
    let loaded = load(
        &args.run,
        &args.trials,
        &overrides,
        registry,
        needs,
        terminal,
    )?;
    note_unused(&args.trials, &wanted, &loaded.run, terminal);
    let folder = args
        .output
        .clone()
        .unwrap_or_else(|| loaded.folder.analysis());
    let found = with_study(&loaded, &args.trials, registry, terminal, |study| {
        Ok(analyse(study, &wanted, &settings))
    })?;
    if let Some((analysis, Err(why))) = found.iter().find(|(_, found)| found.is_err() && !is_all) {
        return Err(refused(analysis.name, why));
    }
    // `RUN/analysis` contains only results of analyses, so they may be replaced.
    let force = args.force || args.output.is_none();
    let outputs = found
        .iter()
        .filter_map(|(analysis, found)| Some((analysis.name, found.as_ref().ok()?)));
    if args.output.is_none() {
        output::check_unlinked(&folder)?;
    }
    std::fs::create_dir_all(&folder).map_err(|error| {
        let what = format!("cannot make {}: {error}", folder.display());
        Failure::new(IO, "F002", what, "choose another folder: -o DIR")
    })?;
    for path in outputs.flat_map(|(name, findings)| paths(&folder, name, findings)) {
        if args.output.is_none() {
            output::check_unlinked(&path)?;
        }
        output::check(&path, force)?;
    }
    let (mut all, mut left_out) = (serde_json::Map::new(), serde_json::Map::new());
    for (analysis, found) in found {
        match found {
            Ok(mut findings) => {
                let scripts = findings.scripts(analysis.title, analysis.name);
                findings.document(analysis);
                let files = write(&folder, analysis.name, &findings, &scripts, force)?;
                terminal.say(format!("{}:", analysis.name));
                findings
                    .statements
                    .iter()
                    .for_each(|line| terminal.say(format!("  {line}")));
                all.insert(
                    analysis.name.to_owned(),
                    json!({ "summary": findings.statements, "files": files }),
                );
            }
            Err(why) => {
                left_out.insert(analysis.name.to_owned(), why.to_string().into());
            }
        }
    }
    let n_files: usize = all
        .values()
        .map(|found| found["files"].as_array().map_or(0, Vec::len))
        .sum();
    if !left_out.is_empty() {
        terminal.say("left out:");
        for (name, why) in &left_out {
            terminal.say(format!("  {name}: {}", why.as_str().unwrap_or_default()));
        }
    }
    let step = loaded.weights.step;
    terminal.print_json(
        || json!({ "wrote": path_text(&folder), "step": step, "analyses": all, "left_out": left_out }),
    )?;
    terminal.say(format!(
        "wrote {} to {}",
        counted(n_files, "file"),
        folder.display()
    ));
    Ok(())
}

/// Returns the paths of the results: `<name>.npz`, and `<name><suffix>.svg` and `<name><suffix>.py` for every figure.
fn paths(folder: &Path, name: &str, findings: &Findings) -> Vec<PathBuf> {
    let arrays = format!("{name}.npz");
    let figures = [".svg", ".py"].into_iter().flat_map(|kind| {
        let suffixes = findings.figures.iter().map(|(suffix, _)| suffix);
        suffixes.map(move |suffix| format!("{name}{suffix}{kind}"))
    });
    std::iter::once(arrays)
        .chain(figures)
        .map(|file| folder.join(file))
        .collect()
}

/// Writes the results of an analysis; returns their paths as text.
fn write(
    folder: &Path,
    name: &str,
    findings: &Findings,
    scripts: &[String],
    force: bool,
) -> Result<Vec<String>, Failure> {
    let files = paths(folder, name, findings);
    npz::write_to(OutputFile::create(&files[0], force)?, &findings.arrays)?;
    let figures = findings.figures.iter().map(|(_, figure)| figure.to_svg());
    let contents = figures.chain(scripts.iter().cloned());
    for (path, content) in files[1..].iter().zip(contents) {
        output::write(path, force, content.as_bytes())?;
    }
    Ok(files.iter().map(|path| path_text(path)).collect())
}
