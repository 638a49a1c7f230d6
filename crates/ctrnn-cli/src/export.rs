//! `export`: the weights of a run as files for other programs.

use burn::tensor::backend::AutodiffBackend;
use ctrnn_files::{RunFolder, output::check_folder};
use ctrnn_model::RecurrenceBackend;
use ctrnn_tasks::Registry;
use ctrnn_train::{Export, Run, trained_network};

use crate::args::{ExportArgs, ExportFormat};
use crate::backend::{CheckEvery, Job, with_backend};
use crate::failure::Failure;
use crate::output;
use crate::run_path::existing;
use crate::terminal::Terminal;

/// Exports a run.
pub fn run(args: &ExportArgs, registry: &Registry, terminal: &Terminal) -> Result<u8, Failure> {
    let (folder, run) = existing(&args.run, &args.data, &[], registry)?;
    match args.to {
        ExportFormat::Torch => check_folder(&args.output)?,
        _ => output::check(&args.output, args.force, terminal)?,
    }
    let job = ExportJob {
        args,
        run: &run,
        folder: &folder,
    };
    with_backend(&run, job)?;
    terminal.wrote(&args.output)?;
    terminal.say(format!("wrote {}", args.output.display()));
    Ok(0)
}

struct ExportJob<'a> {
    args: &'a ExportArgs,
    run: &'a Run,
    folder: &'a RunFolder,
}

impl Job for ExportJob<'_> {
    type Output = ();

    fn run<B>(self, device: &B::Device, _: CheckEvery) -> Result<(), Failure>
    where
        B: AutodiffBackend + RecurrenceBackend,
        B::InnerBackend: RecurrenceBackend,
    {
        let Self { args, run, folder } = self;
        let network =
            trained_network::<B::InnerBackend>(run, folder, args.checkpoint.as_deref(), device)?;
        let export = match args.to {
            ExportFormat::Npz => Export::Npz,
            ExportFormat::Safetensors => Export::Safetensors,
            ExportFormat::Torch => Export::Torch,
        };
        Ok(export.write(run, &network, &args.output, args.force)?)
    }
}
