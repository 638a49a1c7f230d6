//! The connections of the network: checks of their keys, and of a file of masks, signs and fixed weights.

use std::collections::BTreeMap;
use std::path::Path;

use ctrnn_files::{Array, ErrorKind, read_arrays};
use ctrnn_model::{Connectivity, CtrnnConfig, Dale, Matrix};

use super::check::Check;
use crate::diagnostic::{Code, Diagnostic};

const FILE: &str = "model.connectivity.file";
const FRACTION: &str = "model.dale.excitatory_fraction";
const SIGNS: &str = "model.dale.signs";

impl Check<'_> {
    /// Checks that signs are not given both by a list and by a fraction: the list would silently take precedence.
    pub(super) fn check_one_kind_of_signs(&mut self, model: &CtrnnConfig) {
        for (number, layer) in model.layers().enumerate() {
            let [dale, signs, fraction] =
                ["model.dale", SIGNS, FRACTION].map(|key| model.key_in_layer(number, key));
            let is_listed = layer.dale.as_ref().is_some_and(|dale| dale.signs.is_some());
            if is_listed && self.document.get(&fraction).is_some() {
                let message = format!("{dale} has both a list of signs and a fraction");
                let problem = Diagnostic::new(Code::Connections, message).help(format!(
                    "keep one of the two: {signs} says which units are excitatory"
                ));
                self.report(problem, &[(&signs, "one"), (&fraction, "the other")]);
            }
        }
    }

    /// Adds the arrays of the connections files to the layers, if the files can be read.
    pub(super) fn with_connections(&mut self, network: CtrnnConfig) -> CtrnnConfig {
        let keys =
            |number| ["model.n_units", FILE, FRACTION].map(|key| network.key_in_layer(number, key));
        let keys: Vec<_> = (0..network.n_layers()).map(keys).collect();
        network.map_layers(|layer| {
            let own = keys[usize::from(layer.layer)].each_ref();
            self.with_connections_of_layer(layer, own.map(String::as_str))
        })
    }

    fn with_connections_of_layer(
        &mut self,
        mut network: CtrnnConfig,
        [n_units, file_key, fraction]: [&str; 3],
    ) -> CtrnnConfig {
        if !self.is_sound(&[n_units, file_key]) {
            return network;
        }
        let Some(file) = network.connectivity.file.take() else {
            return network;
        };
        let shapes = Matrix::ALL.map(|matrix| (matrix, matrix.shape(&network)));
        let arrays = given(&file.0);
        let filled = arrays.and_then(|arrays| fill(&mut network.connectivity, arrays, &shapes));
        if let Err((code, message)) = filled {
            let problem = Diagnostic::new(code, format!("{file_key}: {message}")).help(format!(
                "`train-ctrnn config explain {FILE}` says what it may hold"
            ));
            self.report(problem, &[(file_key, "")]);
        }
        if network.areas.is_empty() {
            self.check_fraction_beside_signs(&network, file_key, fraction);
        }
        network
    }

    /// Checks that no fraction of excitatory units is given if the connections file has a sign for each unit. The
    /// default, which earlier versions wrote into the folders of such runs, is accepted.
    fn check_fraction_beside_signs(
        &mut self,
        network: &CtrnnConfig,
        file_key: &str,
        fraction_key: &str,
    ) {
        let fraction = network
            .dale
            .as_ref()
            .and_then(|dale| dale.excitatory_fraction);
        let is_given = self.document.get(fraction_key).is_some()
            && fraction != Dale::default().excitatory_fraction;
        if is_given && network.connectivity.signs.is_some() {
            let message = format!(
                "{fraction_key} has no effect: {file_key} has recurrent.sign, a sign for each unit"
            );
            let problem = Diagnostic::new(Code::Connections, message).help(format!(
                "keep one of the two: remove {fraction_key}, or recurrent.sign from the file"
            ));
            self.report(problem, &[(fraction_key, "one"), (file_key, "the other")]);
        }
    }
}

type Refusal = (Code, String);

fn given(path: &Path) -> Result<BTreeMap<String, Array>, Refusal> {
    read_arrays(path).map_err(|error| match error.kind() {
        ErrorKind::Io => (Code::Io, error.to_string()),
        ErrorKind::Data => (Code::Data, error.to_string()),
    })
}

/// Sets the arrays of a file in the network; their values are checked later, with the network.
fn fill(
    connectivity: &mut Connectivity,
    arrays: BTreeMap<String, Array>,
    shapes: &[(Matrix, [usize; 2])],
) -> Result<(), Refusal> {
    for (name, array) in arrays {
        let refuse = |why: String| Err((Code::Data, format!("{name} {why}")));
        let values = array
            .to_f64()
            .map_err(|error| (Code::Data, format!("{name} {error}")))?;
        if name == "recurrent.sign" {
            if connectivity.signs.is_some() {
                return refuse(GIVEN_BY_AREAS.to_owned());
            }
            connectivity.signs = Some(values);
            continue;
        }
        let Some((place, expected)) = place_of(connectivity, &name, shapes) else {
            return refuse(UNKNOWN.to_owned());
        };
        if array.shape() != expected {
            return refuse(format!(
                "has shape {:?}, but must have {expected:?}",
                array.shape()
            ));
        }
        if place.is_some() {
            return refuse(GIVEN_BY_AREAS.to_owned());
        }
        *place = Some(values);
    }
    Ok(())
}

/// Returns the place of an array in the network and its shape there; `None` if there is no array of this name.
fn place_of<'a>(
    connectivity: &'a mut Connectivity,
    name: &str,
    shapes: &[(Matrix, [usize; 2])],
) -> Option<(&'a mut Option<Vec<f64>>, [usize; 2])> {
    let (first, what) = name.split_once('.')?;
    let (matrix, shape) = shapes.iter().find(|(matrix, _)| matrix.name() == first)?;
    let place = match (what, matrix) {
        ("mask", _) => &mut connectivity.of_mut(*matrix).mask,
        ("fixed", _) => &mut connectivity.of_mut(*matrix).fixed,
        ("plasticity", _) => &mut connectivity.of_mut(*matrix).plasticity,
        ("delay_ms", Matrix::Recurrent) => &mut connectivity.delay_ms,
        _ => return None,
    };
    Some((place, *shape))
}

const GIVEN_BY_AREAS: &str =
    "says the same as model.areas and model.projections: keep one of the two";

const UNKNOWN: &str = "is not an array of connections: those are mask, fixed and plasticity of input, recurrent and output, recurrent.sign and recurrent.delay_ms";
