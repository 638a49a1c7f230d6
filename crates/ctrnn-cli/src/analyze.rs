//! `analyze`: what a trained network does, as arrays and figures.

use std::path::{Path, PathBuf};

use ctrnn_analysis::{ANALYSES, Analysis, Findings};
use ctrnn_files::{atomic, npz};
use ctrnn_tasks::Registry;
use serde_json::json;

use crate::args::AnalyzeArgs;
use crate::failure::{Failure, IO};
use crate::study::{analyse, load, named, names_and_overrides, note_unused, refused, with_study};
use crate::terminal::Terminal;

/// Analyses a run.
pub fn run(args: &AnalyzeArgs, registry: &Registry, terminal: &Terminal) -> Result<u8, Failure> {
    let (names, overrides) = names_and_overrides(&args.what);
    let is_all = names.iter().any(|name| name == "all");
    let wanted: Vec<&'static Analysis> = match is_all {
        true => ANALYSES.iter().collect(),
        false => names
            .iter()
            .map(|name| named(name))
            .collect::<Result<_, _>>()?,
    };
    let loaded = load(&args.run, &args.trials, &overrides, registry)?;
    let wanted_names: Vec<&str> = wanted.iter().map(|analysis| analysis.name).collect();
    note_unused(&args.trials, &wanted_names, &loaded.run, terminal);
    let folder = args
        .output
        .clone()
        .unwrap_or_else(|| loaded.folder.analysis());
    let found = with_study(&loaded, &args.trials, registry, |study| {
        Ok(analyse(study, &wanted))
    })?;
    if let Some((analysis, Err(why))) = found.iter().find(|(_, found)| found.is_err() && !is_all) {
        return Err(refused(analysis.name, why));
    }
    std::fs::create_dir_all(&folder).map_err(|error| {
        let what = format!("cannot make {}: {error}", folder.display());
        Failure::new(IO, "F002", what, "choose another folder: -o DIR")
    })?;
    let mut all = serde_json::Map::new();
    for (analysis, found) in found {
        match found {
            Ok(findings) => {
                let files = write(&folder, analysis.name, &findings)?;
                terminal.say(format!("{}:", analysis.name));
                findings
                    .summary
                    .iter()
                    .for_each(|line| terminal.say(format!("  {line}")));
                all.insert(
                    analysis.name.to_owned(),
                    json!({ "summary": findings.summary, "files": files }),
                );
            }
            Err(why) => terminal.detail(format!("{}: left out: {why}", analysis.name)),
        }
    }
    let n_files: usize = all
        .values()
        .map(|found| found["files"].as_array().map_or(0, Vec::len))
        .sum();
    terminal.print_json(|| json!({ "wrote": folder, "analyses": all }))?;
    terminal.say(format!("wrote {n_files} files to {}", folder.display()));
    Ok(0)
}

/// `<name>.npz`, and `<name><suffix>.svg` of every figure.
fn write(folder: &Path, name: &str, findings: &Findings) -> Result<Vec<PathBuf>, Failure> {
    let arrays = folder.join(format!("{name}.npz"));
    npz::write(&arrays, &findings.arrays)?;
    let mut files = vec![arrays];
    for (suffix, figure) in &findings.figures {
        let path = folder.join(format!("{name}{suffix}.svg"));
        atomic::write(&path, figure.to_svg().as_bytes())?;
        files.push(path);
    }
    Ok(files)
}
