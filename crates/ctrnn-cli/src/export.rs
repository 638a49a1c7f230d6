//! `export`: the weights of a run as files for other programs.

use ctrnn_config::Run;
use ctrnn_files::output::check_folder;
use ctrnn_model::TrainingBackend;
use ctrnn_runs::{Export, RunWeights};
use ctrnn_tasks::Registry;

use crate::args::{ExportArgs, ExportFormat};
use crate::backend::{CheckEvery, Job, with_backend};
use crate::failure::Failure;
use crate::output;
use crate::run_path::{Needs, RunPart, existing, weights_of};
use crate::terminal::Terminal;

/// Exports a run.
pub fn run(args: &ExportArgs, registry: &Registry, terminal: &Terminal) -> Result<(), Failure> {
    let (last, network) = (RunPart::LAST, Needs::Network);
    let (folder, run) = existing(&args.run, &args.data, &[], registry, network, last)?;
    match args.to {
        ExportFormat::Torch => check_folder(&args.output)?,
        _ => output::check(&args.output, args.force, terminal)?,
    }
    let weights = weights_of(&folder, &run, args.checkpoint.as_deref(), terminal)?;
    let job = ExportJob {
        args,
        run: &run,
        weights: &weights,
    };
    with_backend(&run, job)?;
    terminal.wrote(&args.output)?;
    terminal.say(format!("wrote {}", args.output.display()));
    Ok(())
}

struct ExportJob<'a> {
    args: &'a ExportArgs,
    run: &'a Run,
    weights: &'a RunWeights,
}

impl Job for ExportJob<'_> {
    type Output = ();

    fn run<B: TrainingBackend>(self, device: &B::Device, _: CheckEvery) -> Result<(), Failure> {
        let Self { args, run, weights } = self;
        let network = weights.network::<B::InnerBackend>(run, device)?;
        let export = match args.to {
            ExportFormat::Npz => Export::Npz,
            ExportFormat::Safetensors => Export::Safetensors,
            ExportFormat::Torch => Export::Torch,
        };
        Ok(export.write(run, &network, &args.output, args.force)?)
    }
}
