//! Rules of a network that no type can express, each written once.
//!
//! A rule is a function from a configuration to the violations of it. All violations are collected; a configuration file shows each
//! at the keys that it joins, a library user gets the same messages.

mod activation;
mod arrays;
mod feedback;
mod low_rank;
mod short_term_plasticity;
mod single_keys;
mod sources;
mod stack;

pub(crate) use arrays::broken_delay;

use crate::{
    Balance, CtrnnConfig, FirstValues, InitialState, Integrator, Matrix, ModelError,
    OutputNonlinearity, Parametrization, Role, TimeConstants, Topic, Violation, WeightInit, areas,
};

impl CtrnnConfig {
    /// Checks every rule that no type can express.
    ///
    /// # Errors
    /// [`ModelError::Config`] with all violations.
    pub fn check(&self) -> Result<(), ModelError> {
        let mut found = self.violations_of_table();
        found.extend(self.violations_of_sizes());
        // The rules of arrays index them by the sizes and signs that the other rules check.
        if found.is_empty() {
            found = self.violations_of_arrays();
        }
        if found.is_empty() {
            Ok(())
        } else {
            Err(ModelError::Config(found))
        }
    }

    /// Returns the violations of rules that need neither the sizes of the task nor arrays of files.
    pub fn violations_of_table(&self) -> Vec<Violation> {
        let mut found = self.by_layer(Self::own_violations_of_table);
        found.extend(stack::all(self));
        found.extend(frozen(self));
        found
    }

    /// Returns the violations of a kind of rules by each layer.
    fn by_layer(&self, of_one: impl Fn(&Self) -> Vec<Violation>) -> Vec<Violation> {
        if self.below.is_empty() {
            return of_one(self);
        }
        let of_layer = |(number, layer): (usize, &Self)| {
            let found = of_one(layer).into_iter();
            found.map(move |violation| violation.in_layer(number))
        };
        self.layers().enumerate().flat_map(of_layer).collect()
    }

    fn own_violations_of_table(&self) -> Vec<Violation> {
        let mut found = single_keys::of_table(self);
        found.extend(areas::rules::unresolved(self));
        found.extend(time_step(self));
        found.extend(gain(self));
        found.extend(initial_state(self));
        found.extend(carried_noise(self));
        found.extend(bias_range(self));
        found.extend(zero_matrix(self));
        found.extend(scaled_twice(self));
        found.extend(activation::of_dale(self));
        found.extend(signs(self));
        found.extend(balance(self));
        found.extend(cell_types(self));
        found.extend(trapped_weights(self));
        found.extend(diagonal(self));
        found.extend(low_rank::of_table(self));
        found.extend(feedback::of_table(self));
        found.extend(short_term_plasticity::all(self));
        found
    }

    /// Returns the violations of rules about the sizes that the task gives.
    pub fn violations_of_sizes(&self) -> Vec<Violation> {
        let mut found = self.by_layer(|layer| {
            let mut found: Vec<_> = single_keys::conditions(layer).into_iter().collect();
            found.extend(low_rank::of_sizes(layer));
            found.extend(softmax_of_one(layer));
            found
        });
        found.extend(single_keys::outputs(self));
        found
    }

    /// Returns the violations of rules about the arrays that files give; sizes and table must be valid.
    pub fn violations_of_arrays(&self) -> Vec<Violation> {
        self.by_layer(arrays::all)
    }
}

/// Checks that a softmax has several outputs.
fn softmax_of_one(config: &CtrnnConfig) -> Option<Violation> {
    let is_broken =
        config.output_nonlinearity == OutputNonlinearity::Softmax && config.n_outputs == 1;
    is_broken.then(|| {
        Violation::new(
            Topic::Readout,
            "the softmax of a single output is 1 whatever the network does",
            "write model.output_nonlinearity = \"sigmoid\"",
        )
        .at("model.output_nonlinearity", "")
    })
}

/// Checks that `alpha = dt / tau` lies in (0, 1], as Euler's method requires.
fn time_step(config: &CtrnnConfig) -> Option<Violation> {
    let (dt, [tau, _]) = (config.dt_ms, config.tau_ms.range_ms());
    if dt <= tau || config.integrator != Integrator::Euler {
        return None;
    }
    let whose = match config.tau_ms {
        TimeConstants::Shared(_) => format!("model.tau_ms = {tau}"),
        _ => format!("the shortest of model.tau_ms, {tau}"),
    };
    let violation = Violation::new(
        Topic::TimeStep,
        format!("time.dt_ms = {dt} is longer than {whose}"),
        format!(
            "alpha = dt / tau must lie in (0, 1]: time.dt_ms = {tau} or less, or a longer model.tau_ms"
        ),
    );
    Some(at_time_step(violation))
}

/// Checks that the gain of a time step is a positive normal number in single precision.
fn gain(config: &CtrnnConfig) -> Option<Violation> {
    let (dt, [_, tau]) = (config.dt_ms, config.tau_ms.range_ms());
    let gain = config.integrator.gain_of(dt, tau) as f32;
    if gain >= f32::MIN_POSITIVE {
        return None;
    }
    let violation = Violation::new(
        Topic::TimeStep,
        format!("alpha = dt / tau is 0 in single precision for {dt:e} ms and {tau:e} ms"),
        "a longer time.dt_ms, or a shorter model.tau_ms",
    );
    Some(at_time_step(violation))
}

fn at_time_step(violation: Violation) -> Violation {
    violation
        .at("time.dt_ms", "the time step")
        .at("model.tau_ms", "the time constant")
        .needs(&["time"])
}

/// Checks that a given initial state, or the one at which a learned one starts, has a finite number for each unit.
fn initial_state(config: &CtrnnConfig) -> Vec<Violation> {
    let state = match &config.initial_state {
        InitialState::Given(state) | InitialState::LearnedFrom(FirstValues::PerUnit(state)) => {
            &state[..]
        }
        InitialState::LearnedFrom(FirstValues::Shared(value)) => return finite_state(&[*value]),
        InitialState::LearnedFrom(FirstValues::Normal(law)) => {
            return finite_state(&[law.mean, law.std]);
        }
        _ => return Vec::new(),
    };
    if state.len() != config.n_units {
        let violation = Violation::new(
            Topic::Initial,
            format!(
                "model.initial_state has {} numbers for {} units",
                state.len(),
                config.n_units
            ),
            "give one number for each unit, or one of the words \"zero\", \"learned\", \"learned_per_condition\", \"carry\"",
        );
        return vec![
            violation
                .at("model.initial_state", "")
                .at("model.n_units", "the number of units"),
        ];
    }
    finite_state(state)
}

/// Checks that numbers of an initial state are finite.
fn finite_state(state: &[f64]) -> Vec<Violation> {
    let broken = state.iter().find(|x| !x.is_finite());
    let violation = broken.map(|x| {
        single_keys::value(
            "model.initial_state",
            x.to_string(),
            "must be a finite number",
        )
    });
    violation.into_iter().collect()
}

/// Checks that the range of the biases is one, and that there are biases to train.
fn bias_range(config: &CtrnnConfig) -> Option<Violation> {
    const KEY: &str = "model.bias.range";
    let [low, high] = config.bias.range?;
    if !(low.is_finite() && high.is_finite() && low < high) {
        let rule = "must be two finite numbers, the smaller first";
        return Some(single_keys::value(KEY, format!("[{low}, {high}]"), rule));
    }
    (!config.bias.recurrent).then(|| {
        Violation::new(
            Topic::Initial,
            "model.bias.range bounds the biases, but model.bias.recurrent = false holds them at zero",
            "remove one of the two",
        )
        .at(KEY, "the range")
        .at("model.bias.recurrent", "no biases")
    })
}

/// Checks that a carried state gets no further noise: it has that of the dynamics.
fn carried_noise(config: &CtrnnConfig) -> Option<Violation> {
    let is_broken =
        config.initial_state == InitialState::Carry && config.noise.initial_state != 0.0;
    is_broken.then(|| {
        Violation::new(
            Topic::Initial,
            "a carried initial state takes no noise besides that of the dynamics",
            "remove model.noise.initial_state, or take another model.initial_state",
        )
        .at("model.noise.initial_state", "the noise")
        .at("model.initial_state", "the state")
    })
}

/// Checks that no spectral radius is asked of a zero matrix, which has no scale.
fn zero_matrix(config: &CtrnnConfig) -> Option<Violation> {
    let radius = config
        .init
        .spectral_radius
        .and_then(super::weight_init::SpectralRadius::asked)?;
    (config.init.recurrent == WeightInit::Zero).then(|| {
        Violation::new(
            Topic::Initial,
            format!("a zero matrix cannot be scaled to spectral radius {radius}"),
            "remove model.init.spectral_radius, or draw the weights: model.init.recurrent = \"gaussian\"",
        )
        .at("model.init.spectral_radius", "asked for here")
        .at("model.init.recurrent", "all weights are zero")
    })
}

/// Checks that no scale of the recurrent weights is given that a spectral radius replaces.
fn scaled_twice(config: &CtrnnConfig) -> Option<Violation> {
    let radius = config
        .init
        .spectral_radius
        .and_then(super::weight_init::SpectralRadius::asked)?;
    config.init.recurrent.has_own_scale().then(|| {
        Violation::new(
            Topic::Initial,
            format!(
                "model.init.recurrent gives the scale of the weights, and spectral radius {radius} another one"
            ),
            "keep one of the two",
        )
        .at("model.init.recurrent", "one")
        .at("model.init.spectral_radius", "the other")
    })
}

/// Checks that a list of signs has one for each unit, none of them zero.
fn signs(config: &CtrnnConfig) -> Vec<Violation> {
    const KEY: &str = "model.dale.signs";
    let Some(signs) = config.dale.as_ref().and_then(|dale| dale.signs.as_ref()) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    if signs.len() != config.n_units {
        let violation = Violation::new(
            Topic::Connections,
            format!(
                "{KEY} has {} numbers for {} units",
                signs.len(),
                config.n_units
            ),
            "give 1 or -1 for each unit, or model.dale.excitatory_fraction in place of the list",
        );
        found.push(
            violation
                .at(KEY, "")
                .at("model.n_units", "the number of units"),
        );
    }
    if let Some(unit) = signs.iter().position(|sign| !matches!(sign, 1 | -1)) {
        let violation = Violation::new(
            Topic::Connections,
            format!(
                "{KEY} gives unit {unit} the sign {}, which is neither 1 nor -1",
                signs[unit]
            ),
            "1 makes a unit excitatory, -1 inhibitory; a unit without a sign does not obey Dale's law",
        );
        found.push(violation.at(format!("{KEY}[{unit}]"), "").needs(&[KEY]));
    }
    found
}

/// Checks that a balance is asked for under Dale's law only.
fn balance(config: &CtrnnConfig) -> Option<Violation> {
    let is_asked = config.init.balance.is_some_and(|b| b != Balance::None);
    (is_asked && config.dale.is_none()).then(|| {
        Violation::new(
            Topic::Connections,
            "model.init.balance needs Dale's law, which says which units are inhibitory",
            "add model.dale = { excitatory_fraction = 0.8 }, or remove model.init.balance",
        )
        .at("model.init.balance", "asked for here")
        .needs(&["model.dale"])
    })
}

/// Checks that time constants of cell types are given under Dale's law only.
fn cell_types(config: &CtrnnConfig) -> Option<Violation> {
    (config.tau_ms.need_cell_types() && config.dale.is_none()).then(|| {
        Violation::new(
            Topic::Connections,
            "time constants of cell types need Dale's law, which says which units are excitatory",
            "add model.dale = { excitatory_fraction = 0.8 }, or one number for model.tau_ms",
        )
        .at("model.tau_ms", "e and i")
        .needs(&["model.dale"])
    })
}

/// Checks that no weight trained as `W = s w^2` begins at zero, which it could never leave.
fn trapped_weights(config: &CtrnnConfig) -> Vec<Violation> {
    let is_trapped = |matrix: &Matrix| {
        config.parametrization(*matrix) == Some(Parametrization::Square)
            && matches!(
                config.init.of(*matrix),
                WeightInit::Zero | WeightInit::Diagonal(_)
            )
    };
    let violation = |matrix: Matrix| {
        let key = format!("model.init.{}", matrix.name());
        Violation::new(
            Topic::Connections,
            format!(
                "{key} = \"{}\" has weights at zero, which the parametrization square can never leave: the slope of w^2 is zero there",
                config.init.of(matrix)
            ),
            "model.dale.parametrization = \"abs\", or another distribution",
        )
        .at(key, "")
        .at("model.dale", "W = s w^2")
    };
    let trapped = Matrix::ALL.into_iter().filter(is_trapped);
    trapped.map(violation).collect()
}

/// Checks that a diagonal matrix may have its self-connections.
fn diagonal(config: &CtrnnConfig) -> Option<Violation> {
    let is_diagonal = matches!(config.init.recurrent, WeightInit::Diagonal(_));
    (is_diagonal && !config.self_connections).then(|| {
        Violation::new(
            Topic::Connections,
            "a diagonal W_rc consists of self-connections, which are not allowed",
            "model.self_connections = true, or model.init.recurrent = \"gaussian\"",
        )
        .at("model.init.recurrent", "")
        .at("model.self_connections", "")
    })
}

/// Checks that every frozen word is a parameter, a group of them, an area, or a projection between areas.
fn frozen(config: &CtrnnConfig) -> Vec<Violation> {
    let is_unknown = |word: &str| {
        let layers = 0..config.n_layers() as u16;
        let all = layers.flat_map(|layer| Role::ALL.map(|role| role.of_layer(layer)));
        let is_parameter = { all }.any(|parameter| parameter.is_called(word));
        let is_area = config.areas.get(word).is_some();
        !is_parameter && !is_area && !config.is_projection(word)
    };
    let (kinds, further) = if !config.areas.is_empty() {
        let names: Vec<&str> = config.areas.names().collect();
        let areas = format!(
            "; areas: {}; projections: FROM -> TO, where there are connections between two areas",
            names.join(", ")
        );
        (", a group of them, an area or a projection", areas)
    } else if !config.below.is_empty() {
        let layers = "; of one layer: layers.1.recurrent, counted from 0".to_owned();
        (" or a group of them", layers)
    } else {
        (" or a group of them", String::new())
    };
    let violation = |(index, word): (usize, &String)| {
        Violation::new(
            Topic::Word,
            format!("{word:?} in train.freeze is not a parameter{kinds}"),
            format!(
                "parameters: {}; groups: input, recurrent, output{further}",
                Role::ALL.map(Role::name).join(", ")
            ),
        )
        .at(format!("train.freeze[{index}]"), "")
    };
    let words = config.frozen.iter().enumerate();
    words
        .filter(|(_, word)| is_unknown(word))
        .map(violation)
        .collect()
}

#[cfg(test)]
mod tests;
