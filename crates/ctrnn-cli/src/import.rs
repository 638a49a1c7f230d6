//! `import`: a network that another program trained, as a finished run.

use std::path::Path;

use burn::tensor::backend::AutodiffBackend;
use ctrnn_config::{KEYS_OF_DRAWN_WEIGHTS, Origin, Reading, Run};
use ctrnn_files::{FileError, RunFolder, digest, output::check_folder};
use ctrnn_model::RecurrenceBackend;
use ctrnn_runs::{Given, ImportOrigin, Imported, record_import};
use ctrnn_tasks::{Programs, Registry};

use crate::args::{ImportArgs, ImportFormat};
use crate::backend::{CheckEvery, Job, device_name, with_backend};
use crate::failure::Failure;
use crate::output::check_replaced;
use crate::terminal::{Terminal, path_text};

/// Imports a file of weights.
pub fn run(args: &ImportArgs, registry: &Registry, terminal: &Terminal) -> Result<u8, Failure> {
    check_folder(&args.output)?;
    if args.output.symlink_metadata().is_ok() {
        if !args.force || !RunFolder::at(&args.output).run_json().is_file() {
            return Err(FileError::AlreadyExists {
                path: args.output.clone(),
            }
            .into());
        }
        check_replaced(&args.output)?;
    }
    let origin = match args.from {
        ImportFormat::Torch => ImportOrigin::Torch,
        ImportFormat::Nn4n => ImportOrigin::Nn4n,
        ImportFormat::Psychrnn => ImportOrigin::PsychRnn,
        ImportFormat::Npz => ImportOrigin::Npz,
    };
    let entry = args.entry.as_deref();
    let imported = origin.read(&args.file, entry, &args.overrides)?;
    let source = serde_json::json!({
        "from": origin.name(),
        "file": path_text(&args.file),
        "blake3": digest::blake3_file(&args.file)?,
    });
    let config = imported.config.to_string();
    let name = format!("what {} says", args.file.display());
    let layout = imported.layout();
    let reading = Reading {
        overrides: &args.overrides,
        programs: Programs::Never {
            layout: layout.as_ref(),
        },
        ..Reading::new(registry)
    };
    let run = reading.text(&config, &name, Path::new("."))?;
    let notes = [&imported.notes(&run), &run.notes, &drawn(&run)];
    notes
        .into_iter()
        .flatten()
        .for_each(|note| terminal.note(note));
    // What it began with are the weights of the file, whatever is drawn from the seed.
    let initial = RunFolder::at(&args.output).initial_weights();
    let run = run.beginning_with(std::path::absolute(&initial).unwrap_or(initial));
    if let Some(program) = run.task.unstarted_program() {
        terminal.note(format!(
            "the trials of the task are made by a program, which was not started: {program}"
        ));
    }
    let given = Given {
        config: config.into_bytes(),
        overrides: args.overrides.clone(),
    };
    let job = ImportJob {
        args,
        run: &run,
        given,
        imported: &imported,
        source,
    };
    with_backend(&run, job)?;
    terminal.wrote(&args.output)?;
    terminal.say(format!(
        "imported {} units, {} inputs and {} outputs into {}",
        run.model.n_units,
        run.model.n_inputs,
        run.model.n_outputs,
        args.output.display()
    ));
    terminal.say(format!(
        "next: train-ctrnn simulate {} -o states.npz",
        args.output.display()
    ));
    Ok(0)
}

/// Notes on what the command line says of weights that are drawn: the file has all of them.
fn drawn(run: &Run) -> Vec<String> {
    let given = KEYS_OF_DRAWN_WEIGHTS
        .into_iter()
        .filter(|key| run.origin(key) == Origin::CommandLine);
    given
        .map(|key| format!("{key} has no effect: the weights are those of the file"))
        .collect()
}

struct ImportJob<'a> {
    args: &'a ImportArgs,
    run: &'a Run,
    given: Given,
    imported: &'a Imported,
    source: serde_json::Value,
}

impl Job for ImportJob<'_> {
    type Output = ();

    fn run<B>(self, device: &B::Device, _: CheckEvery) -> Result<(), Failure>
    where
        B: AutodiffBackend + RecurrenceBackend,
        B::InnerBackend: RecurrenceBackend,
    {
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
