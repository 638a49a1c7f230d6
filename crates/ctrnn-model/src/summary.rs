//! Summary of a network, in numbers.

use burn::tensor::backend::Backend;

use crate::parameters::TAU_MS;
use crate::spectrum::MOST_UNITS_FOR_RADIUS;
use crate::synapses::{Constraints, range_of_plasticity};
use crate::{CtrnnModule, Matrix, ModelError, Parameter, ParameterSpec, Role, spectral_radius};

/// Summary of a network: its parameters, and the time constants and recurrent weights of its last layer.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// Trained parameters of all layers.
    pub parameters: Vec<ParameterSummary>,
    /// Shortest and longest time constant, in ms.
    pub tau_ms: [f64; 2],
    /// Spectral radius of the effective recurrent matrix; absent for networks of more than 1024 units.
    pub spectral_radius: Option<f64>,
    /// Sum of the positive recurrent weights.
    pub excitation: f64,
    /// Magnitude of the sum of the negative recurrent weights.
    pub inhibition: f64,
    /// Largest of `|E - I| / (E + I)` over the units, with E and I the excitation and inhibition onto a unit.
    pub largest_imbalance: f64,
}

/// One trained parameter.
#[derive(Clone, Debug, PartialEq)]
pub struct ParameterSummary {
    /// Name, as in weight files.
    pub name: String,
    /// Shape.
    pub shape: Vec<usize>,
    /// Number of entries.
    pub count: usize,
    /// Number of entries that training can change.
    pub free: usize,
    /// Constraints in words; empty if there are none.
    pub constraint: String,
}

impl Summary {
    /// Returns the number of trained entries of all parameters.
    pub fn count(&self) -> usize {
        self.parameters.iter().map(|p| p.count).sum()
    }

    /// Returns the number of entries that training can change.
    pub fn free(&self) -> usize {
        self.parameters.iter().map(|p| p.free).sum()
    }
}

impl<B: Backend> CtrnnModule<B> {
    /// Returns the summary of the network.
    ///
    /// # Errors
    /// [`ModelError::Eigenvalues`] if the recurrent weights are not finite.
    pub fn summary(&self) -> Result<Summary, ModelError> {
        let weights = self.own_weights();
        let n = self.config().n_units;
        let recurrent: Vec<f64> = weights[&Parameter::RECURRENT_WEIGHT.name()]
            .iter()
            .collect();
        let taus = || weights[TAU_MS].iter::<f64>();
        let sum_of = |sign: f64, w: &[f64]| w.iter().map(|w| (sign * w).max(0.0)).sum::<f64>();
        let imbalance = |row: &[f64]| {
            let (e, i) = (sum_of(1.0, row), sum_of(-1.0, row));
            (e - i).abs() / (e + i).max(f64::MIN_POSITIVE)
        };
        let all = self.config().parameters().into_iter();
        let trained = all.filter(|spec| spec.is_trained);
        Ok(Summary {
            parameters: trained.map(|p| self.parameter_summary(&p)).collect(),
            tau_ms: [
                taus().fold(f64::INFINITY, f64::min),
                taus().fold(0.0, f64::max),
            ],
            spectral_radius: if n <= MOST_UNITS_FOR_RADIUS {
                Some(spectral_radius(&recurrent, n)?)
            } else {
                None
            },
            excitation: sum_of(1.0, &recurrent),
            inhibition: sum_of(-1.0, &recurrent),
            largest_imbalance: recurrent.chunks(n).map(imbalance).fold(0.0, f64::max),
        })
    }

    fn parameter_summary(&self, spec: &ParameterSpec) -> ParameterSummary {
        let (parameter, count) = (spec.parameter, spec.n_elements());
        let is_frozen = self.config().is_frozen(parameter);
        let layer = self.layer_of(parameter);
        let factors = self.config().update_factors(parameter);
        let constraints = Matrix::of(parameter).map(|m| layer.synapses(m).constraints());
        let free = match constraints {
            _ if is_frozen => 0,
            Some(constraints) => constraints.n_free(),
            None => factors
                .iter()
                .flatten()
                .fold(count, |free, &factor| free - usize::from(factor == 0.0)),
        };
        let mut words = constraints.map_or(Vec::new(), Constraints::words);
        words.extend(factors.as_deref().map(range_of_plasticity));
        if let Some(longest) = layer.config().longest_delay_ms()
            && parameter.role == Role::RecurrentWeight
        {
            words.push(format!("delays up to {longest} ms"));
        }
        if is_frozen {
            words.push("frozen".to_owned());
        }
        ParameterSummary {
            name: parameter.name(),
            shape: spec.shape.clone(),
            count,
            free,
            constraint: words.join(", "),
        }
    }
}

#[cfg(test)]
mod tests {
    use burn_ndarray::NdArray;

    use crate::{Activation, CtrnnConfig, Dale, ReadoutSigns};

    /// 3 inputs, 10 units of which 8 are excitatory, 2 outputs.
    #[test]
    fn a_summary_counts_what_is_left_free() {
        let mut config = CtrnnConfig::new(3, 10, 2);
        config.activation = Activation::Relu;
        config.dale = Some(Dale {
            readout: ReadoutSigns::Excitatory,
            ..Dale::default()
        });
        config.self_connections = false;
        config.density.recurrent = 0.5;
        let mut fixed = vec![0.0; 100];
        fixed[1] = 0.5;
        config.connectivity.recurrent.fixed = Some(fixed);
        config.frozen = vec!["input".to_owned()];
        config.init.spectral_radius = Some(1.2.into());
        config.connectivity.delay_ms = Some((0..100).map(|k| 20.0 * f64::from(k % 3)).collect());
        let network = config.init::<NdArray>(1, &Default::default()).unwrap();
        let summary = network.summary().unwrap();
        let found: Vec<_> = summary
            .parameters
            .iter()
            .map(|p| (p.name.as_str(), p.count, p.free, p.constraint.as_str()))
            .collect();
        let expected = [
            ("input.weight", 30, 0, "frozen"),
            (
                "recurrent.weight",
                100,
                44,
                "abs, 45 of 100 connections, 1 fixed, delays up to 40 ms",
            ),
            ("recurrent.bias", 10, 10, ""),
            ("output.weight", 20, 16, "abs, 16 of 20 connections"),
            ("output.bias", 2, 2, ""),
            ("initial_state", 10, 10, ""),
        ];
        assert_eq!(found, expected);
        assert_eq!((summary.count(), summary.free()), (172, 82));
        assert_eq!(summary.tau_ms, [100.0, 100.0]);
        assert!((summary.spectral_radius.unwrap() - 1.2).abs() < 1e-5);
        assert!(summary.excitation > 0.0 && summary.inhibition > 0.0);
        assert!(summary.largest_imbalance > 0.0);
    }
}
