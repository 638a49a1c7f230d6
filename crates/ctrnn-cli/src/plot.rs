//! `plot`: one analysis of a trained network as a figure.

use std::path::PathBuf;

use ctrnn_files::{atomic, npz};
use ctrnn_tasks::Registry;

use crate::args::PlotArgs;
use crate::failure::{Failure, USAGE};
use crate::figure::FigureFormat;
use crate::study::{load, named, names_and_overrides, note_unused, refused, with_study};
use crate::terminal::Terminal;

/// Draws an analysis; beside each figure stands the npz that it was drawn from.
pub fn run(args: &PlotArgs, registry: &Registry, terminal: &Terminal) -> Result<u8, Failure> {
    let format = FigureFormat::of(&args.output)?;
    let (names, overrides) = names_and_overrides(&args.what);
    let [name] = &names[..] else {
        let what = format!(
            "{} names of analyses are given, but a file takes one",
            names.len()
        );
        let help =
            "give one, or write several into a folder: `train-ctrnn analyze RUN WHAT... -o DIR`";
        return Err(Failure::new(USAGE, "C033", what, help));
    };
    let analysis = named(name)?;
    let loaded = load(&args.run, &args.trials, &overrides, registry)?;
    note_unused(&args.trials, &[analysis.name], &loaded.run, terminal);
    let findings = with_study(&loaded, &args.trials, registry, |study| {
        (analysis.run)(study).map_err(|why| refused(name, &why))
    })?;
    let stem = args
        .output
        .file_stem()
        .unwrap_or_default()
        .to_string_lossy();
    let ending = args
        .output
        .extension()
        .unwrap_or_default()
        .to_string_lossy();
    for (suffix, figure) in &findings.figures {
        let path: PathBuf = args
            .output
            .with_file_name(format!("{stem}{suffix}.{ending}"));
        atomic::write(&path, &format.draw(figure)?)?;
        terminal.wrote(&path)?;
        terminal.say(format!("drew {}", path.display()));
    }
    npz::write(&args.output.with_extension("npz"), &findings.arrays)?;
    findings.summary.iter().for_each(|line| terminal.say(line));
    Ok(0)
}
