//! Shape, signs and possible connections of each matrix and each parameter, as the configuration determines them.

use std::collections::HashMap;

use burn::module::ParamId;

use crate::connectivity::Matrix;
use crate::{
    Connectivity, CtrnnConfig, InitialState, Parameter, ParameterSpec, Parametrization,
    ReadoutSigns, Role,
};

impl Matrix {
    /// Returns the shape `[post, pre]` in a network.
    pub fn shape(self, config: &CtrnnConfig) -> [usize; 2] {
        match self {
            Self::Input => [config.n_units, config.n_inputs],
            Self::Recurrent => [config.n_units, config.n_units],
            Self::Output => [config.n_outputs, config.n_units],
        }
    }
}

impl Parameter {
    /// Returns the shape of this parameter in a network.
    pub fn shape(self, config: &CtrnnConfig) -> Vec<usize> {
        let (i, n, o) = (config.n_inputs, config.n_units, config.n_outputs);
        match self.role {
            Role::InputWeight => vec![n, i],
            Role::RecurrentWeight => vec![n, n],
            Role::RecurrentBias => vec![n],
            Role::OutputWeight => vec![o, n],
            Role::OutputBias => vec![o],
            Role::InitialState => match config.initial_state {
                InitialState::LearnedPerCondition => vec![config.n_conditions, n],
                _ => vec![n],
            },
            Role::TimeConstants => vec![config.tau_ms.count(n)],
        }
    }

    /// Returns true if a network with this configuration trains this parameter.
    pub fn is_trained(self, config: &CtrnnConfig) -> bool {
        match self.role {
            Role::InputWeight | Role::RecurrentWeight | Role::OutputWeight => true,
            Role::RecurrentBias => config.bias.recurrent,
            Role::OutputBias => config.bias.readout,
            Role::InitialState => config.initial_state.is_learned(),
            Role::TimeConstants => config.tau_ms.learned().is_some(),
        }
    }
}

impl CtrnnConfig {
    /// Lists the parameters that such a network can have, trained or fixed, layer after layer: the one list from which weight
    /// files, gradients and optimizers are made.
    pub fn parameters(&self) -> Vec<ParameterSpec> {
        Role::ALL
            .map(|role| {
                let parameter = role.of_layer(0);
                ParameterSpec {
                    parameter,
                    shape: parameter.shape(self),
                    is_trained: parameter.is_trained(self),
                }
            })
            .into()
    }

    /// Returns the parameters by their burn ids.
    pub fn parameters_by_id(&self) -> HashMap<ParamId, Parameter> {
        let all = self.parameters().into_iter().map(|spec| spec.parameter);
        all.map(|parameter| (parameter.id(), parameter)).collect()
    }

    /// Returns true if training leaves a parameter as it is.
    pub fn is_frozen(&self, parameter: Parameter) -> bool {
        self.frozen
            .iter()
            .any(|word| parameter.role.is_called(word))
    }

    /// Returns the fraction of the possible connections of a matrix that exist.
    pub fn density_of(&self, matrix: Matrix) -> f64 {
        match matrix {
            Matrix::Input => self.density.input,
            Matrix::Recurrent => self.density.recurrent,
            Matrix::Output => self.density.output,
        }
    }

    /// Returns the parametrization that keeps the signs of a matrix; `None` if its weights may have any sign.
    pub fn parametrization(&self, matrix: Matrix) -> Option<Parametrization> {
        let dale = self.dale.as_ref();
        match matrix {
            Matrix::Input => self
                .positive_input
                .then(|| dale.map_or(Parametrization::Abs, |dale| dale.parametrization)),
            Matrix::Recurrent => dale.map(|dale| dale.parametrization),
            Matrix::Output => dale
                .filter(|dale| dale.readout != ReadoutSigns::Free)
                .map(|dale| dale.parametrization),
        }
    }

    /// Returns the sign of each unit under Dale's law, +1 excitatory and -1 inhibitory: those of the file of connections, of
    /// the list, or of the fraction.
    pub fn unit_signs(&self) -> Option<Vec<f64>> {
        let dale = self.dale.as_ref()?;
        let given = self.connectivity.signs.clone();
        Some(given.unwrap_or_else(|| dale.unit_signs(self.n_units)))
    }

    /// Returns the sign of each presynaptic unit of a matrix, where its weights have one.
    pub fn signs(&self, matrix: Matrix) -> Option<Vec<f64>> {
        self.parametrization(matrix)?;
        match matrix {
            Matrix::Input => Some(vec![1.0; self.n_inputs]),
            Matrix::Recurrent | Matrix::Output => self.unit_signs(),
        }
    }

    /// Returns 1 for each connection that is possible at all, whatever the density: not ruled out by a given mask, as a
    /// self-connection, or as the readout of an inhibitory unit. None: all are.
    pub(crate) fn possible(&self, matrix: Matrix) -> Option<Vec<f64>> {
        let [post, pre] = matrix.shape(self);
        let mut possible = self.connectivity.of(matrix).mask.clone();
        let mut forbid = |is_forbidden: &dyn Fn(usize, usize) -> bool| {
            let allowed = possible.get_or_insert_with(|| vec![1.0; post * pre]);
            for (k, allowed) in allowed.iter_mut().enumerate() {
                if is_forbidden(k / pre, k % pre) {
                    *allowed = 0.0;
                }
            }
        };
        if matrix == Matrix::Recurrent && !self.self_connections {
            forbid(&|row, col| row == col);
        }
        if matrix == Matrix::Output
            && self
                .dale
                .as_ref()
                .is_some_and(|dale| dale.readout == ReadoutSigns::Excitatory)
            && let Some(signs) = self.unit_signs()
        {
            forbid(&|_, col| signs[col] < 0.0);
        }
        possible
    }

    /// Returns the same network without constraints on its connections: no Dale's law, no masks, no fixed weights, and
    /// the default initial weights, since a balance needs Dale's law. So do time constants of cell types, which remain, as do
    /// delays.
    #[must_use]
    pub fn unconstrained(self) -> Self {
        let free = Self::default();
        Self {
            dale: free.dale,
            positive_input: free.positive_input,
            density: free.density,
            self_connections: free.self_connections,
            connectivity: Connectivity {
                delay_ms: self.connectivity.delay_ms,
                ..free.connectivity
            },
            init: free.init,
            ..self
        }
    }
}
