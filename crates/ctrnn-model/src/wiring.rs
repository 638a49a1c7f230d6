//! Shape, signs and possible connections of each matrix and each parameter, as the configuration determines them.

use std::collections::HashMap;

use burn::module::ParamId;

use crate::connectivity::Matrix;
use crate::{
    Connectivity, CtrnnConfig, InitialState, LowRank, Parameter, ParameterSpec, Parametrization,
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
        self.role.shape(self.layer_in(config))
    }

    /// Returns true if a network with this configuration trains this parameter.
    pub fn is_trained(self, config: &CtrnnConfig) -> bool {
        self.role.is_trained(self.layer_in(config))
    }

    /// Returns the layer that has this parameter; the readout belongs to the last one.
    pub(crate) fn layer_in(self, config: &CtrnnConfig) -> &CtrnnConfig {
        if self.role.is_of_readout() {
            config
        } else {
            config.layer(usize::from(self.layer))
        }
    }
}

impl Role {
    /// Returns the shape of the parameter with this role in a layer.
    pub(crate) fn shape(self, config: &CtrnnConfig) -> Vec<usize> {
        let (i, n, o) = (config.n_inputs, config.n_units, config.n_outputs);
        match self {
            Role::InputWeight => vec![n, i],
            Role::RecurrentWeight => vec![n, n],
            Role::RecurrentLeft | Role::RecurrentRight => {
                vec![
                    n,
                    config.low_rank.as_ref().map_or(0, |factors| factors.rank),
                ]
            }
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

    /// Returns true if a layer trains the parameter with this role.
    pub(crate) fn is_trained(self, config: &CtrnnConfig) -> bool {
        match self {
            Role::InputWeight => true,
            Role::OutputWeight => !config.is_below(),
            Role::RecurrentWeight => config.low_rank.as_ref().is_none_or(LowRank::has_full),
            Role::RecurrentLeft | Role::RecurrentRight => config.low_rank.is_some(),
            Role::RecurrentBias => config.bias.recurrent,
            Role::OutputBias => config.bias.readout && !config.is_below(),
            Role::InitialState => config.initial_state.is_learned(),
            Role::TimeConstants => config.tau_ms.learned().is_some(),
        }
    }
}

impl CtrnnConfig {
    /// Returns the number of units whose synapses have short-term plasticity: N, or 0 without it.
    pub fn n_synapses(&self) -> usize {
        match self.short_term_plasticity {
            Some(_) => self.n_units,
            None => 0,
        }
    }

    /// Lists the parameters that such a network can have, trained or fixed, layer after layer: the one list from which weight
    /// files, gradients and optimizers are made.
    pub fn parameters(&self) -> Vec<ParameterSpec> {
        let of_layer = |(number, layer): (usize, &Self)| layer.parameters_as_layer(number);
        self.layers().enumerate().flat_map(of_layer).collect()
    }

    /// Lists the parameters of this layer alone, with this number of the layer.
    fn parameters_as_layer(&self, number: usize) -> Vec<ParameterSpec> {
        let spec = |role: Role| ParameterSpec {
            parameter: role.of_layer(number as u16),
            shape: role.shape(self),
            is_trained: role.is_trained(self),
        };
        self.roles().map(spec).collect()
    }

    /// Returns the roles of the parameters of this layer.
    fn roles(&self) -> impl Iterator<Item = Role> {
        Role::ALL.into_iter().filter(|role| {
            // Of the recurrent matrix a network has the full one, the factors, or both.
            let is_absent = role.is_recurrent_matrix() || role.is_of_readout() && self.is_below();
            role.is_trained(self) || !is_absent
        })
    }

    /// Lists the parameters of the last layer, under the names of a network of one layer.
    pub(crate) fn own_parameters(&self) -> Vec<ParameterSpec> {
        self.parameters_as_layer(0)
    }

    /// Returns the parameters that a matrix of the last layer is made of: one, or for a recurrent matrix of low rank its factors and its
    /// full part; under the names of a network of one layer.
    pub fn parameters_of(&self, matrix: Matrix) -> Vec<Parameter> {
        match matrix {
            Matrix::Recurrent => {
                let all = self.own_parameters().into_iter().map(|spec| spec.parameter);
                all.filter(|parameter| parameter.role.is_recurrent_matrix())
                    .collect()
            }
            matrix => vec![matrix.parameter()],
        }
    }

    /// Returns the parameters by their burn ids.
    pub fn parameters_by_id(&self) -> HashMap<ParamId, Parameter> {
        let mut all = HashMap::new();
        for (number, layer) in (0..).zip(self.layers()) {
            let own = layer.roles().map(|role| role.of_layer(number));
            all.extend(own.map(|parameter| (parameter.id(), parameter)));
        }
        all
    }

    /// Returns true if training leaves a parameter as it is.
    pub fn is_frozen(&self, parameter: Parameter) -> bool {
        let held = |factors: &LowRank| factors.holds(parameter.role);
        let factors = parameter.layer_in(self).low_rank.as_ref();
        factors.is_some_and(held) || self.frozen.iter().any(|word| parameter.is_called(word))
    }

    /// Names the feature of each layer for which no GPU has kernels, so that the recurrence of the layer runs there by the plain path.
    /// Layers without such a feature are not listed.
    pub fn without_gpu_kernels(&self) -> Vec<String> {
        let feature = |(number, layer): (usize, &Self)| {
            if layer.short_term_plasticity.is_some() {
                return Some(self.key_in_layer(number, "model.short_term_plasticity"));
            }
            layer.longest_delay_ms()?;
            Some(if self.below.is_empty() {
                "a delay of recurrent connections".to_owned()
            } else {
                format!("a delay of recurrent connections in model.layer[{number}]")
            })
        };
        self.layers().enumerate().filter_map(feature).collect()
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
                .filter(|dale| dale.readout != ReadoutSigns::Free && !self.is_below())
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
            && !self.is_below()
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

    /// Returns the inputs that can reach no unit.
    pub fn unheard_inputs(&self) -> Vec<usize> {
        self.first_layer().empty_columns(Matrix::Input, |_, _| true)
    }

    /// Returns the units of the last layer that can reach neither another unit nor the readout.
    pub fn unheard_units(&self) -> Vec<usize> {
        let mut units = self.empty_columns(Matrix::Recurrent, |post, pre| post != pre);
        let unread = self.empty_columns(Matrix::Output, |_, _| true);
        units.retain(|unit| unread.contains(unit));
        units
    }

    /// Returns the columns of a matrix without a possible connection among those that count.
    fn empty_columns(&self, matrix: Matrix, counts: impl Fn(usize, usize) -> bool) -> Vec<usize> {
        let [n_post, n_pre] = matrix.shape(self);
        let possible = self.possible(matrix);
        let is_possible =
            |i: usize, j: usize| possible.as_ref().is_none_or(|p| p[i * n_pre + j] == 1.0);
        let is_empty = |j: &usize| !(0..n_post).any(|i| counts(i, *j) && is_possible(i, *j));
        (0..n_pre).filter(is_empty).collect()
    }

    /// Returns the same network without constraints on its connections: no Dale's law, no masks, no fixed weights, no factors, and
    /// the default initial weights, since a balance needs Dale's law. So do time constants of cell types, which remain; short-term
    /// plasticity of cell types becomes that of each unit, and delays remain.
    #[must_use]
    pub fn unconstrained(self) -> Self {
        let free = Self::default();
        let signs = self.unit_signs().unwrap_or_default();
        let plasticity = self.short_term_plasticity.as_ref();
        Self {
            low_rank: free.low_rank,
            short_term_plasticity: plasticity.map(|p| p.listed(self.n_units, &signs)),
            dale: free.dale,
            positive_input: free.positive_input,
            density: free.density,
            self_connections: free.self_connections,
            connectivity: Connectivity {
                delay_ms: self.connectivity.delay_ms,
                ..free.connectivity
            },
            areas: free.areas,
            projections: free.projections,
            groups: free.groups,
            init: free.init,
            ..self
        }
    }
}
