//! `import`: a network that another program trained, as a finished run.

use std::path::Path;

use ctrnn_config::{ConfigErrors, KEYS_OF_DRAWN_WEIGHTS, Origin, Reading, Run, counted};
use ctrnn_files::{FileError, RunFolder, digest, output::check_folder};
use ctrnn_model::TrainingBackend;
use ctrnn_runs::{GivenConfig, ImportOrigin, Imported, RunError, record_import};
use ctrnn_tasks::{Programs, Registry};

use crate::args::{ImportArgs, ImportFormat};
use crate::backend::{CheckEvery, Job, device_name, with_backend};
use crate::failure::{DATA, Failure};
use crate::output::check_replaced;
use crate::shell::quoted_path;
use crate::terminal::{Terminal, path_text};

/// Imports a file of weights.
pub fn run(args: &ImportArgs, registry: &Registry, terminal: &Terminal) -> Result<(), Failure> {
    check_output(&args.output, args.force)?;
    let origin = match args.from {
        ImportFormat::Torch => ImportOrigin::Torch,
        ImportFormat::Nn4n => ImportOrigin::Nn4n,
        ImportFormat::Psychrnn => ImportOrigin::PsychRnn,
        ImportFormat::Npz => ImportOrigin::Npz,
    };
    let overrides = args.data.overrides(&args.overrides);
    let imported = origin.read(&args.file, args.entry.as_deref(), &overrides);
    let imported = imported.map_err(not_imported)?;
    let config = imported.config.to_string();
    let mut run = run_of(&imported, &config, args, &overrides, registry)?;
    terminal.notes(without_steps(&mut run, &args.output));
    terminal.notes(imported.notes(&run));
    terminal.notes(&run.notes);
    terminal.notes(drawn(&run));
    // The initial weights of the run are those of the file; drawn ones are not used.
    let initial = RunFolder::at(&args.output).initial_weights();
    let run = run.beginning_with(std::path::absolute(&initial).unwrap_or(initial));
    if let Some(program) = run.task.unstarted_program() {
        terminal.note(format!(
            "the trials of the task are made by a program, which was not started: {program}"
        ));
    }
    let job = ImportJob {
        args,
        run: &run,
        given: GivenConfig {
            config: config.into_bytes(),
            overrides,
        },
        imported: &imported,
        source: serde_json::json!({
            "from": origin.name(),
            "file": path_text(&args.file),
            "blake3": digest::blake3_file(&args.file)?,
        }),
    };
    with_backend(&run, job)?;
    say_imported(&run, &args.output, terminal)
}

/// Checks that the run can be written, so that no other file is lost.
fn check_output(path: &Path, force: bool) -> Result<(), Failure> {
    check_folder(path)?;
    if path.symlink_metadata().is_err() {
        return Ok(());
    }
    if !force || !RunFolder::at(path).run_json().is_file() {
        let path = path.to_owned();
        return Err(FileError::AlreadyExists { path }.into());
    }
    check_replaced(path)
}

/// Builds the run of a network from the configuration that its file implies and the overrides.
fn run_of(
    imported: &Imported,
    config: &str,
    args: &ImportArgs,
    overrides: &[String],
    registry: &Registry,
) -> Result<Run, ConfigErrors> {
    let layout = imported.layout();
    let reading = Reading {
        overrides,
        data_root: args.data.data_root.as_deref(),
        programs: Programs::Never {
            layout: layout.as_ref(),
        },
        ..Reading::new(registry)
    };
    let name = format!("what {} says", args.file.display());
    reading.text(config, &name, Path::new("."))
}

fn say_imported(run: &Run, path: &Path, terminal: &Terminal) -> Result<(), Failure> {
    let (model, folder) = (&run.model, path.display());
    terminal.wrote(path)?;
    terminal.say(format!(
        "imported {}, {} and {} into {folder}",
        counted(model.n_units, "unit"),
        counted(model.n_inputs, "input"),
        counted(model.n_outputs, "output"),
    ));
    terminal.say(format!("next: train-ctrnn simulate {folder} -o states.npz"));
    Ok(())
}

/// Creates the error of a file that cannot be imported.
fn not_imported(error: RunError) -> Failure {
    match error {
        RunError::Data { .. } => {
            let help = "--from names the program that wrote the file; docs/python.md says what is read of each";
            Failure::new(DATA, "D003", error.to_string(), help)
        }
        error => error.into(),
    }
}

/// Returns notes on overrides for drawn weights, which have no effect because the file provides all weights.
fn drawn(run: &Run) -> Vec<String> {
    let given = KEYS_OF_DRAWN_WEIGHTS
        .into_iter()
        .filter(|key| run.origin(key) == Origin::CommandLine);
    given
        .map(|key| format!("{key} has no effect: the weights are those of the file"))
        .collect()
}

/// Sets the number of steps to 0, which is the number that an import makes, and returns a note if it was another one.
fn without_steps(run: &mut Run, output: &Path) -> Option<String> {
    let steps = std::mem::take(&mut run.config.train.steps);
    (steps > 0).then(|| {
        format!(
            "train.steps has no effect: an import makes no steps; `train-ctrnn resume {} train.steps={steps}` trains it",
            quoted_path(output)
        )
    })
}

struct ImportJob<'a> {
    args: &'a ImportArgs,
    run: &'a Run,
    given: GivenConfig,
    imported: &'a Imported,
    source: serde_json::Value,
}

impl Job for ImportJob<'_> {
    type Output = ();

    fn run<B: TrainingBackend>(self, device: &B::Device, _: CheckEvery) -> Result<(), Failure> {
        let name = device_name::<B>(device);
        record_import::<B>(
            &self.args.output,
            self.run,
            &self.given,
            self.imported,
            &self.source,
            (&name, device),
            self.args.force,
        )?;
        Ok(())
    }
}
