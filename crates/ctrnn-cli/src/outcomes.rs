//! Outcomes of analyses of one or several networks, and the files into which they are written.

use std::path::{Path, PathBuf};

use ctrnn_analysis::{ArrayDoc, Findings, Unsuitable};
use ctrnn_config::counted;
use ctrnn_files::npz;
use ctrnn_files::output::{self, OutputFile};
use serde_json::json;

use crate::args::AnalyzeArgs;
use crate::failure::{Failure, IO};
use crate::study::refused;
use crate::terminal::{Terminal, path_text};

/// Results of an analysis of one or of several networks, to be written.
pub struct Outcome {
    /// Name of the analysis and of its files.
    pub name: &'static str,
    /// Heading of its figures.
    pub title: &'static str,
    /// Documentation of its arrays.
    pub docs: Vec<ArrayDoc>,
    /// Results, or the reason why there are none.
    pub found: Result<Findings, Unsuitable>,
}

/// Refuses analyses without a result that were asked for by name.
pub fn refuse_single(outcomes: &[Outcome], is_all: bool) -> Result<(), Failure> {
    for Outcome { name, found, .. } in outcomes.iter().filter(|_| !is_all) {
        if let Err(why) = found {
            return Err(refused(name, why));
        }
    }
    Ok(())
}

/// Checks the folder of `-o` before anything is computed.
pub fn check_folder(args: &AnalyzeArgs, wanted: &[&str]) -> Result<(), Failure> {
    if let Some(folder) = &args.output {
        output::check_folder(folder)?;
        for name in wanted.iter().filter(|_| folder.is_dir()) {
            output::check(&folder.join(format!("{name}.npz")), args.force)?;
        }
    }
    Ok(())
}

/// Returns true if existing files may be replaced: `RUN/analysis` contains only results of analyses.
fn replaces(args: &AnalyzeArgs) -> bool {
    args.force || args.output.is_none()
}

/// Creates the folder of the results, and checks every path in it before the first file is written.
pub fn prepare_folder(
    args: &AnalyzeArgs,
    folder: &Path,
    outcomes: &[Outcome],
) -> Result<(), Failure> {
    let is_own = args.output.is_none();
    if is_own {
        output::check_unlinked(folder)?;
    }
    std::fs::create_dir_all(folder).map_err(|error| {
        let what = format!("cannot make {}: {error}", folder.display());
        Failure::new(IO, "F002", what, "choose another folder: -o DIR")
    })?;
    let outputs = outcomes
        .iter()
        .filter_map(|outcome| Some((outcome.name, outcome.found.as_ref().ok()?)));
    for path in outputs.flat_map(|(name, findings)| paths(args, folder, name, findings)) {
        if is_own {
            output::check_unlinked(&path)?;
        }
        output::check(&path, replaces(args))?;
    }
    Ok(())
}

/// Writes all results, and prints what they say; `about` says in JSON what was analysed.
pub fn write_all(
    args: &AnalyzeArgs,
    folder: &Path,
    outcomes: Vec<Outcome>,
    about: serde_json::Value,
    terminal: &Terminal,
) -> Result<(), Failure> {
    let (mut all, mut left_out) = (serde_json::Map::new(), serde_json::Map::new());
    let mut n_files = 0;
    for outcome in outcomes {
        let name = outcome.name.to_owned();
        match outcome.found {
            Ok(mut findings) => {
                for (suffix, figure) in &mut findings.figures {
                    match figure.styled(&args.style) {
                        Ok(styled) => *figure = styled,
                        Err(why) => {
                            terminal.note(format!("{name}{suffix} keeps its own size: {why}"));
                        }
                    }
                }
                let scripts = findings.scripts(outcome.title, &name);
                findings.document(&outcome.docs);
                let files = write(args, folder, &name, &findings, &scripts)?;
                n_files += files.len();
                terminal.say(format!("{name}:"));
                let lines = findings.statements.iter();
                lines.for_each(|line| terminal.say(format!("  {line}")));
                let summary = json!({ "summary": findings.statements, "files": files });
                all.insert(name, summary);
            }
            Err(why) => drop(left_out.insert(name, why.to_string().into())),
        }
    }
    if !left_out.is_empty() {
        terminal.say("left out:");
        for (name, why) in &left_out {
            terminal.say(format!("  {name}: {}", why.as_str().unwrap_or_default()));
        }
    }
    terminal.print_json(|| {
        let mut summary = about;
        summary["wrote"] = path_text(folder).into();
        summary["analyses"] = all.into();
        summary["left_out"] = left_out.clone().into();
        summary
    })?;
    let n_files = counted(n_files, "file");
    terminal.say(format!("wrote {n_files} to {}", folder.display()));
    Ok(())
}

/// Returns the paths of the results: `<name>.npz`, and `<name><suffix>.svg` and `<name><suffix>.py` for every figure,
/// with the extensions of the requested formats.
fn paths(args: &AnalyzeArgs, folder: &Path, name: &str, findings: &Findings) -> Vec<PathBuf> {
    let arrays = format!("{name}.npz");
    let formats = args.format.iter().map(|format| format.extension());
    let figures = formats.chain(["py"]).flat_map(|kind| {
        let suffixes = findings.figures.iter().map(|(suffix, _)| suffix);
        suffixes.map(move |suffix| format!("{name}{suffix}.{kind}"))
    });
    std::iter::once(arrays)
        .chain(figures)
        .map(|file| folder.join(file))
        .collect()
}

/// Writes the results of an analysis; returns their paths as text.
fn write(
    args: &AnalyzeArgs,
    folder: &Path,
    name: &str,
    findings: &Findings,
    scripts: &[String],
) -> Result<Vec<String>, Failure> {
    let force = replaces(args);
    let files = paths(args, folder, name, findings);
    npz::write_to(OutputFile::create(&files[0], force)?, &findings.arrays)?;
    let mut left = files[1..].iter();
    for format in &args.format {
        for ((_, figure), path) in findings.figures.iter().zip(&mut left) {
            output::write(path, force, &format.draw(figure)?)?;
        }
    }
    for (script, path) in scripts.iter().zip(left) {
        output::write(path, force, script.as_bytes())?;
    }
    Ok(files.iter().map(|path| path_text(path)).collect())
}
