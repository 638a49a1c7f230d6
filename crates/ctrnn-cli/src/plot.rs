//! `plot`: one analysis of a trained network as a figure.

use std::path::{Path, PathBuf};

use ctrnn_files::npz;
use ctrnn_files::output::{self as files, OutputFile};
use ctrnn_tasks::Registry;

use crate::args::PlotArgs;
use crate::failure::{Failure, USAGE};
use crate::figure::{FigureFormat, styled};
use crate::output;
use crate::run_path::Needs;
use crate::study::{
    Words, load, named, note_unused, of_one_network, refused, settings_for, with_study,
};
use crate::terminal::{Terminal, path_text};

/// Draws an analysis, and writes its arrays and a script that draws each figure next to them.
pub fn run(args: &PlotArgs, registry: &Registry, terminal: &Terminal) -> Result<(), Failure> {
    let format = FigureFormat::of(&args.output)?;
    output::check(&args.output, args.force, terminal)?;
    if !files::is_stream(&args.output) {
        output::check(&args.output.with_extension("npz"), args.force, terminal)?;
    }
    let Words {
        names,
        overrides,
        settings,
    } = Words::sort(&args.what, of_one_network)?;
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
    let needs = Needs::Trials(args.trials.trust.consent(terminal));
    let loaded = load(
        &args.run,
        &args.trials,
        &overrides,
        registry,
        needs,
        terminal,
    )?;
    note_unused(&args.trials, &[analysis], &loaded.run, terminal);
    let mut findings = with_study(&loaded, &args.trials, registry, terminal, |study| {
        let found = analysis.run_with(study, &settings_for(&settings, analysis));
        found.map_err(|why| refused(name, &why))
    })?;
    for (_, figure) in &mut findings.figures {
        *figure = styled(figure, &args.style)?;
    }
    let scripts = findings.scripts(analysis.title, &stem(&args.output));
    findings.document(analysis.arrays);
    let figures = &findings.figures;
    // A pipe has no folder for the other files.
    let is_alone = files::is_stream(&args.output);
    if is_alone && figures.len() > 1 {
        return Err(too_many(name, figures.len(), &args.output));
    }
    let files = if is_alone {
        vec![args.output.clone()]
    } else {
        let suffixes = figures.iter().map(|(suffix, _)| suffix);
        let drawn: Vec<PathBuf> = suffixes
            .map(|suffix| with_suffix(&args.output, suffix))
            .collect();
        let scripts = drawn.iter().map(|path| path.with_extension("py"));
        let scripts: Vec<PathBuf> = scripts.collect();
        let arrays = args.output.with_extension("npz");
        [drawn, scripts, vec![arrays]].concat()
    };
    for path in &files {
        output::check(path, args.force, terminal)?;
    }
    for (path, (_, figure)) in files.iter().zip(figures) {
        files::write(path, args.force, &format.draw(figure)?)?;
        terminal.say(format!("drew {}", path.display()));
    }
    if let (false, Some(path)) = (is_alone, files.last()) {
        for (path, script) in files[figures.len()..].iter().zip(&scripts) {
            files::write(path, args.force, script.as_bytes())?;
        }
        npz::write_to(OutputFile::create(path, args.force)?, &findings.arrays)?;
    }
    let json = || {
        let files: Vec<String> = files.iter().map(|path| path_text(path)).collect();
        serde_json::json!({ "wrote": files[0], "files": files })
    };
    terminal.print_json(json)?;
    for line in &findings.statements {
        terminal.say(line);
    }
    Ok(())
}

/// Returns the name of a file without its extension, as text.
fn stem(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or_default();
    stem.to_string_lossy().into_owned()
}

/// Adds a suffix to the name of a file: `folder/name.svg` becomes `folder/name<suffix>.svg`.
fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_stem().unwrap_or_default().to_owned();
    name.push(suffix);
    if let Some(ending) = path.extension() {
        name.push(".");
        name.push(ending);
    }
    path.with_file_name(name)
}

fn too_many(name: &str, n: usize, path: &Path) -> Failure {
    let what = format!("{name} has {n} figures, but {} takes one", path.display());
    let help = format!("write them into a folder: `train-ctrnn analyze RUN {name} -o DIR`");
    Failure::new(USAGE, "C033", what, help)
}
