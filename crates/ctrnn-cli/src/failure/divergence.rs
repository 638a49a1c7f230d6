//! Remedies for numbers that are not finite.

use ctrnn_config::Run;
use ctrnn_files::RunFolder;
use ctrnn_train::{Culprit, NotFinite};

/// Returns the remedy that suits the cause and the settings of the run. `spectral_radius` is that of the network before
/// its first step, `folder` the folder of the run, if there is one.
pub fn remedy(
    found: &NotFinite,
    run: &Run,
    spectral_radius: Option<f64>,
    folder: Option<&RunFolder>,
) -> String {
    if found.what.is_data() {
        remedy_anywhere(found)
    } else if found.is_before_any_update() {
        large_data(found).unwrap_or_else(|| unstable_states(found, run, spectral_radius))
    } else {
        unstable_updates(found, run, folder)
    }
}

/// Returns the remedy that does not depend on the configuration.
pub fn remedy_anywhere(found: &NotFinite) -> String {
    if found.what.is_data() {
        "the numbers come from the task, not from training: check its table and its files"
            .to_owned()
    } else {
        format!(
            "a smaller learning rate usually helps: train.optimizer.lr={:.0e}",
            found.lr / 10.0
        )
    }
}

/// Standard deviation of the readout noise above which it explains a loss that is not finite.
const LARGE_NOISE: f64 = 1e6;

/// Returns the remedy for inputs or targets so large that their squares or products are not finite.
fn large_data(found: &NotFinite) -> Option<String> {
    const LARGE: f64 = 1e6;
    let named = ["inputs", "targets"].into_iter().zip(found.largest?);
    let large = named.filter(|(_, largest)| *largest > LARGE);
    let shown: Vec<String> = large
        .map(|(name, largest)| format!("{name} as large as {largest:.1e}"))
        .collect();
    (!shown.is_empty()).then(|| {
        format!(
            "no update was made: the task gives {}, whose squares or products are not finite in single precision. \
             Scale them to about 1 where the trials are made",
            shown.join(" and ")
        )
    })
}

/// Returns the remedy for states that diverge before the first update, or numbers besides them that are too large.
fn unstable_states(found: &NotFinite, run: &Run, spectral_radius: Option<f64>) -> String {
    let noise = run.model.noise.postactivation;
    let mut remedies = calmer_states(run, spectral_radius);
    let why = match found.what {
        Culprit::Loss => {
            let besides = "smaller targets, or a mask nearer to 1, in the trials; smaller coefficients in train.loss";
            remedies.insert(0, besides.to_owned());
            "the readout is finite, the loss is not"
        }
        Culprit::Outputs if noise > LARGE_NOISE => {
            remedies = vec![format!(
                "a smaller model.noise.postactivation (now {noise:e})"
            )];
            "the noise of the readout is too large"
        }
        _ => "the states themselves grow over a trial",
    };
    format!(
        "no update was made: {why}, whatever the learning rate. Possible remedies:\n        {}",
        remedies.join("\n        ")
    )
}

/// Lists the settings with which the states of a network grow less over a trial.
fn calmer_states(run: &Run, spectral_radius: Option<f64>) -> Vec<String> {
    let model = &run.model;
    let radius = spectral_radius
        .filter(|radius| *radius > 1.0)
        .map(|radius| match run.init_file {
            Some(_) => format!(
                "smaller recurrent weights in the file of model.init.file (their spectral radius is {radius:.3})"
            ),
            None => format!("model.init.spectral_radius=1 (now {radius:.3})"),
        });
    let time_step = format!("a smaller time.dt_ms (now {})", model.dt_ms);
    let activation = model.activation.range()[1].is_infinite().then(|| {
        let others = match model.dale {
            Some(_) => "retanh or sigmoid",
            None => "tanh, retanh or sigmoid",
        };
        let name = model.activation.name();
        format!("a saturating model.activation: {others} (now {name})")
    });
    radius
        .into_iter()
        .chain([time_step])
        .chain(activation)
        .collect()
}

/// Returns the remedy for numbers that have become too large through updates.
fn unstable_updates(found: &NotFinite, run: &Run, folder: Option<&RunFolder>) -> String {
    let (bound, clip) = match run.config.train.clip() {
        Some(_) => ("", ""),
        None => (
            " or a bound on the gradient",
            " or train.clip_grad_norm=1.0",
        ),
    };
    let mut help = format!(
        "a smaller learning rate{bound} usually helps: train again with\n        train.optimizer.lr={:.0e}{clip}",
        found.lr / 10.0
    );
    let newest =
        folder.and_then(|folder| Some((folder, folder.newest_whole_checkpoint().ok()?.step?)));
    if let Some((folder, step)) = newest {
        help += &format!(
            "; or continue from the checkpoint of step {step} and allow more attempts:\n        \
             train-ctrnn resume {} train.divergence.max_rollbacks={}",
            folder.root().display(),
            2 * found.rollbacks.max(2)
        );
    }
    help
}
