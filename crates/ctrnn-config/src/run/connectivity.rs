//! The connections of the network: what the keys say, and what a file of masks, signs and fixed weights holds.

use std::collections::BTreeMap;
use std::path::Path;

use ctrnn_files::{Array, ErrorKind, read_arrays};
use ctrnn_model::{
    Activation, Balance, Connectivity, Dale, Matrix, Parameter, Parametrization, UnitSigns,
    WeightInit,
};
use ctrnn_tasks::Layout;

use super::Check;
use crate::diagnostic::{Code, Diagnostic};
use crate::run_config::{DensityConfig, ModelConfig};

const FILE: &str = "model.connectivity.file";
const SIGNS: &str = "model.dale.signs";
const FRACTION: &str = "model.dale.excitatory_fraction";

impl Check<'_> {
    /// The rules that join several keys.
    pub(super) fn check_connectivity(&mut self, model: &ModelConfig) {
        self.check_dale_activation(model);
        self.check_signs(model);
        self.check_balance(model);
        self.check_cell_types(model);
        self.check_square(model);
        self.check_diagonal(model);
    }

    fn check_dale_activation(&mut self, model: &ModelConfig) {
        if model.dale.is_none() || model.activation.is_nonnegative() {
            return;
        }
        if !self.is_sound(&["model.dale", "model.activation"]) {
            return;
        }
        let name = model.activation.name();
        let message = format!(
            "Dale's law needs rates that are never negative, but the activation is {name}: a negative rate turns an excitatory unit into an inhibitory one"
        );
        let fitting = Activation::ALL.into_iter().filter(|a| a.is_nonnegative());
        let fitting: Vec<&str> = fitting.map(Activation::name).collect();
        let problem = Diagnostic::new(Code::Connections, message).help(format!(
            "model.activation may be {}; or remove model.dale",
            fitting.join(", ")
        ));
        let labels = [
            ("model.activation", "can be negative"),
            ("model.dale", "Dale's law"),
        ];
        self.report(problem, &labels);
    }

    /// Signs in a list: in place of a fraction and of those of a file, one for each unit, none of them zero.
    fn check_signs(&mut self, model: &ModelConfig) {
        let Some(signs) = model.dale.as_ref().and_then(|dale| dale.signs.as_ref()) else {
            return;
        };
        if self.document.get(FRACTION).is_some() {
            let message = "model.dale has both a list of signs and a fraction";
            let problem = Diagnostic::new(Code::Connections, message)
                .help("keep one of the two: model.dale.signs says which units are excitatory");
            self.report(problem, &[(SIGNS, "one"), (FRACTION, "the other")]);
        }
        if !self.is_sound(&[SIGNS]) {
            return;
        }
        if signs.len() != model.n_units && self.is_sound(&["model.n_units"]) {
            let message = format!(
                "model.dale.signs has {} numbers for {} units",
                signs.len(),
                model.n_units
            );
            let problem = Diagnostic::new(Code::Connections, message).help(
                "give 1 or -1 for each unit, or model.dale.excitatory_fraction in place of the list",
            );
            let labels = [(SIGNS, ""), ("model.n_units", "the number of units")];
            self.report(problem, &labels);
        }
        if let Some(unit) = signs.iter().position(|sign| !matches!(sign, 1 | -1)) {
            let message = format!(
                "model.dale.signs gives unit {unit} the sign {}, which is neither 1 nor -1",
                signs[unit]
            );
            let problem = Diagnostic::new(Code::Connections, message).help(
                "1 makes a unit excitatory, -1 inhibitory; a unit without a sign does not obey Dale's law",
            );
            self.report(problem, &[(&format!("{SIGNS}[{unit}]"), "")]);
        }
    }

    fn check_balance(&mut self, model: &ModelConfig) {
        let asked = model.init.balance.is_some_and(|b| b != Balance::None);
        if !asked || model.dale.is_some() || !self.is_sound(&["model.dale"]) {
            return;
        }
        let message = "model.init.balance needs Dale's law, which says which units are inhibitory";
        let problem = Diagnostic::new(Code::Connections, message)
            .help("add model.dale = { excitatory_fraction = 0.8 }, or remove model.init.balance");
        self.report(problem, &[("model.init.balance", "asked for here")]);
    }

    fn check_cell_types(&mut self, model: &ModelConfig) {
        if !model.tau_ms.need_cell_types()
            || model.dale.is_some()
            || !self.is_sound(&["model.dale"])
        {
            return;
        }
        let message =
            "time constants of cell types need Dale's law, which says which units are excitatory";
        let problem = Diagnostic::new(Code::Connections, message)
            .help("add model.dale = { excitatory_fraction = 0.8 }, or one number for model.tau_ms");
        self.report(problem, &[("model.tau_ms", "e and i")]);
    }

    /// A weight that is trained as `W = s w^2` can never leave zero.
    fn check_square(&mut self, model: &ModelConfig) {
        let Some(dale) = &model.dale else { return };
        if dale.parametrization != Parametrization::Square {
            return;
        }
        let readout_is_signed = dale.readout != ctrnn_model::ReadoutSigns::Free;
        let matrices = [
            ("model.init.input", model.init.input, model.positive_input),
            ("model.init.recurrent", model.init.recurrent, true),
            ("model.init.output", model.init.output, readout_is_signed),
        ];
        for (key, init, is_signed) in matrices {
            if !is_signed || !matches!(init, WeightInit::Zero | WeightInit::Diagonal) {
                continue;
            }
            let message = format!(
                "{key} = \"{}\" has weights at zero, which the parametrization square can never leave: the slope of w^2 is zero there",
                init.name()
            );
            let problem = Diagnostic::new(Code::Connections, message)
                .help("model.dale.parametrization = \"abs\", or another distribution");
            self.report(problem, &[(key, ""), ("model.dale", "W = s w^2")]);
        }
    }

    fn check_diagonal(&mut self, model: &ModelConfig) {
        if model.init.recurrent != WeightInit::Diagonal || model.self_connections {
            return;
        }
        let message = "a diagonal W_rc consists of self-connections, which are not allowed";
        let problem = Diagnostic::new(Code::Connections, message)
            .help("model.self_connections = true, or model.init.recurrent = \"gaussian\"");
        let labels = [("model.init.recurrent", ""), ("model.self_connections", "")];
        self.report(problem, &labels);
    }

    /// Every word of `train.freeze` is a parameter or a group of them.
    pub(super) fn check_freeze(&mut self, words: &[String]) {
        for (index, word) in words.iter().enumerate() {
            if Parameter::ALL.into_iter().any(|p| p.is_called(word)) {
                continue;
            }
            let message = format!("{word:?} in train.freeze is no parameter and no group of them");
            let names = Parameter::ALL.map(Parameter::name).join(", ");
            let help = format!("parameters: {names}; groups: input, recurrent, output");
            let problem = Diagnostic::new(Code::UnknownWord, message).help(help);
            self.report(problem, &[(&format!("train.freeze[{index}]"), "")]);
        }
    }

    /// The connections as meant; nothing if a file cannot be taken.
    pub(super) fn connectivity(
        &mut self,
        model: &ModelConfig,
        layout: Layout,
    ) -> Option<Connectivity> {
        let signs = model.dale.as_ref().and_then(|dale| dale.signs.as_ref());
        if signs.is_some_and(|signs| signs.len() != model.n_units) {
            return None; // `check_signs` has said so
        }
        let mut connectivity = without_file(model);
        let Some(file) = &model.connectivity.file else {
            return Some(connectivity);
        };
        if !self.is_sound(&["model.n_units", FILE]) {
            return None;
        }
        let n = model.n_units;
        let shape_of = |matrix: Matrix| match matrix {
            Matrix::Input => [n, layout.inputs.len()],
            Matrix::Recurrent => [n, n],
            Matrix::Output => [layout.outputs.len(), n],
        };
        match given(&file.0).and_then(|arrays| fill(&mut connectivity, arrays, shape_of)) {
            Ok(()) => Some(connectivity),
            Err((code, message)) => {
                let problem = Diagnostic::new(code, format!("{FILE}: {message}")).help(format!(
                    "`train-ctrnn config explain {FILE}` says what it may hold"
                ));
                self.report(problem, &[(FILE, "")]);
                None
            }
        }
    }
}

/// What the keys say.
fn without_file(model: &ModelConfig) -> Connectivity {
    let mut connectivity = Connectivity {
        dale: model.dale.as_ref().map(|dale| Dale {
            units: match (&dale.signs, dale.excitatory_fraction) {
                (Some(signs), _) => UnitSigns::Given(signs.iter().map(|&s| s as f64).collect()),
                (None, Some(fraction)) => UnitSigns::ExcitatoryFraction(fraction),
                (None, None) => UnitSigns::default(),
            },
            parametrization: dale.parametrization,
            readout: dale.readout,
        }),
        positive_input: model.positive_input,
        self_connections: model.self_connections,
        ..Connectivity::default()
    };
    let DensityConfig {
        input,
        recurrent,
        output,
    } = model.density;
    connectivity.input.density = input;
    connectivity.recurrent.density = recurrent;
    connectivity.output.density = output;
    connectivity
}

/// Whether a broken rule of the network is about an array of the file.
pub(super) fn is_array(field: &str) -> bool {
    let of_matrix = |m: Matrix| {
        field
            .split_once('.')
            .is_some_and(|(first, _)| first == m.name())
    };
    field == "dale.signs" || Matrix::ALL.into_iter().any(of_matrix)
}

type Refusal = (Code, String);

fn given(path: &Path) -> Result<BTreeMap<String, Array>, Refusal> {
    read_arrays(path).map_err(|error| match error.kind() {
        ErrorKind::Io => (Code::Io, error.to_string()),
        ErrorKind::Data => (Code::Data, error.to_string()),
    })
}

/// Puts the arrays of a file in their places; their values are checked with the network.
fn fill(
    connectivity: &mut Connectivity,
    arrays: BTreeMap<String, Array>,
    shape_of: impl Fn(Matrix) -> [usize; 2],
) -> Result<(), Refusal> {
    for (name, array) in arrays {
        let refuse = |why: String| Err((Code::Data, format!("{name} {why}")));
        let values = match array.to_f64() {
            Ok(values) => values,
            Err(error) => return refuse(error.to_string()),
        };
        if name == "recurrent.sign" {
            let Some(dale) = &mut connectivity.dale else {
                return refuse("gives signs, but there is no model.dale".to_owned());
            };
            if matches!(dale.units, UnitSigns::Given(_)) {
                return refuse(format!(
                    "gives signs, and so does {SIGNS}: keep one of the two"
                ));
            }
            dale.units = UnitSigns::Given(values);
            continue;
        }
        let parts = name.split_once('.');
        let matrix =
            parts.and_then(|(first, _)| Matrix::ALL.into_iter().find(|m| m.name() == first));
        let (Some(matrix), Some((_, what))) = (matrix, parts) else {
            return refuse(UNKNOWN.to_owned());
        };
        let connections = connectivity.of_mut(matrix);
        let place = match what {
            "mask" => &mut connections.mask,
            "fixed" => &mut connections.fixed,
            "plasticity" => &mut connections.plasticity,
            _ => return refuse(UNKNOWN.to_owned()),
        };
        let expected = shape_of(matrix);
        if array.shape() != expected {
            return refuse(format!(
                "has shape {:?}, but must have {expected:?}",
                array.shape()
            ));
        }
        *place = Some(values);
    }
    Ok(())
}

const UNKNOWN: &str = "is not an array of connections: those are mask, fixed and plasticity of input, recurrent and output, and recurrent.sign";
