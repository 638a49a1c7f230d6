//! The files that a network names.

use std::path::PathBuf;

use ctrnn_model::{CtrnnConfig, InputPath, PreactivationNoise};

/// Returns the files that the layers of a network name, besides that of initial weights.
pub(super) fn files(model: &CtrnnConfig) -> impl Iterator<Item = PathBuf> {
    let of_layer = |layer: &CtrnnConfig| {
        let covariance = match &layer.noise.preactivation {
            PreactivationNoise::CovarianceFile { covariance } => Some(covariance.0.clone()),
            _ => None,
        };
        let connectivity = layer.connectivity.file.as_ref();
        covariance
            .into_iter()
            .chain(connectivity.map(|file| file.0.clone()))
    };
    model.layers().flat_map(of_layer)
}

/// Calls a function for each path of a file that a network names.
pub(super) fn change_files(model: &mut CtrnnConfig, mut change: impl FnMut(&mut InputPath)) {
    *model = std::mem::take(model).map_layers(|mut layer| {
        let covariance = match &mut layer.noise.preactivation {
            PreactivationNoise::CovarianceFile { covariance } => Some(covariance),
            _ => None,
        };
        let files = [
            layer.init.file.as_mut(),
            layer.connectivity.file.as_mut(),
            covariance,
        ];
        files.into_iter().flatten().for_each(&mut change);
        layer
    });
}
