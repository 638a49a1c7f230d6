//! What a network is: sizes, time constants, dynamics, noise, how its weights begin.

use ctrnn_kernels::{Activation, Form};
use serde::{Deserialize, Serialize};

use crate::{
    Connectivity, InitialState, Integrator, Matrix, ModelError, NoiseLevels, OutputNonlinearity,
    Parameter, TimeConstants,
};

/// Above this number of units nobody looks for a spectral radius unasked: finding it takes long.
pub(crate) const MOST_UNITS_FOR_RADIUS: usize = 1024;

/// A network as meant: every value decided.
///
/// ```
/// use ctrnn_model::{Activation, CtrnnConfig};
/// let config = CtrnnConfig { activation: Activation::Tanh, ..CtrnnConfig::new(3, 64, 2) };
/// assert_eq!(config.alpha_range(), [0.2, 0.2]); // dt 20 ms, tau 100 ms
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CtrnnConfig {
    /// Number of inputs, I; 0 is legal.
    pub n_inputs: usize,
    /// Number of recurrent units, N.
    pub n_units: usize,
    /// Number of outputs, O.
    pub n_outputs: usize,
    /// Time step.
    pub dt_ms: f64,
    /// Time constants of the units; at least `dt_ms` under Euler's integrator.
    pub tau_ms: TimeConstants,
    /// How the state follows its drive over a step.
    pub integrator: Integrator,
    /// Which variable the leak acts on.
    pub form: Form,
    /// Firing rate as a function of potential.
    pub activation: Activation,
    /// What the network answers as a function of the readout.
    pub output_nonlinearity: OutputNonlinearity,
    /// Which biases are trained; an absent bias is zero.
    pub bias: Biases,
    /// The state at the start of a trial: `v(0)` (voltage form) or `r(0)` (rate form).
    pub initial_state: InitialState,
    /// Noise of the inputs, the initial state, the dynamics and the readout.
    pub noise: NoiseLevels,
    /// What happens to the inputs before the network sees them.
    pub input: InputStage,
    /// How the weights begin.
    pub init: WeightInits,
    /// Which connections there are, and what constrains their weights.
    #[serde(default)]
    pub connectivity: Connectivity,
    /// Parameters that training leaves as they are: the name of one (`recurrent.bias`), or what stands before the dot
    /// (`input`, `recurrent`, `output`) for all of a group.
    #[serde(default)]
    pub frozen: Vec<String>,
}

/// Which biases are trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Biases {
    /// `b` of the recurrence.
    pub recurrent: bool,
    /// `b_out` of the readout.
    pub readout: bool,
}

impl Default for Biases {
    fn default() -> Self {
        Self {
            recurrent: true,
            readout: true,
        }
    }
}

/// What happens to the inputs before the network sees them: `u <- u + baseline + noise`, then `max(u, 0)` if `rectify`.
///
/// # References
/// Song, Yang and Wang (2016), equation 4: inputs are firing rates of upstream units, baseline 0.2, rectified.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct InputStage {
    /// Added to every input at every time step.
    pub baseline: f64,
    /// Whether what is negative becomes zero.
    pub rectify: bool,
}

/// How each weight matrix begins, and the spectral radius of the effective recurrent matrix.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WeightInits {
    /// `W_in`, fan-in I.
    pub input: WeightInit,
    /// `W_rc`, fan-in N.
    pub recurrent: WeightInit,
    /// `W_out`, fan-in N.
    pub output: WeightInit,
    /// Cancels excitation by inhibition in `W_rc`, before `spectral_radius`.
    pub balance: Balance,
    /// Scales the effective `W_rc` to this largest modulus of an eigenvalue; absent: the natural scale of `recurrent`.
    pub spectral_radius: Option<f64>,
}

impl WeightInits {
    /// The distribution of a matrix.
    pub const fn of(&self, matrix: Matrix) -> WeightInit {
        match matrix {
            Matrix::Input => self.input,
            Matrix::Recurrent => self.recurrent,
            Matrix::Output => self.output,
        }
    }
}

/// Where the inhibitory weights of `W_rc` are scaled so that they cancel the excitatory ones. Fixed weights count and stay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Balance {
    /// Nowhere.
    #[default]
    None,
    /// In each row: the weights onto every unit sum to zero (Song et al. 2016). A row without inhibition or without
    /// excitation stays as drawn.
    Row,
    /// In the whole matrix: all weights together sum to zero (nn4n).
    Total,
}

impl Balance {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::None, Self::Row, Self::Total];

    /// The name used in configurations.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Row => "row",
            Self::Total => "total",
        }
    }
}

/// A distribution of initial weights. F is the fan-in: the number of presynaptic units, or of connections per
/// postsynaptic unit where a mask leaves fewer. Under Dale's law the magnitude is what is drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WeightInit {
    /// Normal with standard deviation `1 / sqrt(F)`.
    #[default]
    Gaussian,
    /// Uniform in `[-1/sqrt(F), 1/sqrt(F))`.
    Uniform,
    /// Magnitude from the gamma distribution of shape 2 with mean square `1 / F` (Song et al. 2016); without Dale's law
    /// either sign is equally likely.
    Gamma,
    /// Magnitude `exp(n - 1) / sqrt(F)` with n standard normal, mean square `1 / F`; signs as for `gamma`.
    Lognormal,
    /// Orthonormal rows or columns, whichever are fewer; uniform over such matrices. Mask and signs act afterwards.
    Orthogonal,
    /// 1 on the diagonal, else zero (Yang et al. 2019, with spectral radius 0.5).
    Diagonal,
    /// All zero.
    Zero,
}

impl WeightInit {
    /// Every distribution.
    pub const ALL: [Self; 7] = [
        Self::Gaussian,
        Self::Uniform,
        Self::Gamma,
        Self::Lognormal,
        Self::Orthogonal,
        Self::Diagonal,
        Self::Zero,
    ];

    /// The name used in configurations.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gaussian => "gaussian",
            Self::Uniform => "uniform",
            Self::Gamma => "gamma",
            Self::Lognormal => "lognormal",
            Self::Orthogonal => "orthogonal",
            Self::Diagonal => "diagonal",
            Self::Zero => "zero",
        }
    }
}

impl CtrnnConfig {
    /// A network of the default kind: relu, voltage form, dt 20 ms, tau 100 ms, both biases,
    /// learned initial state, no noise, gaussian weights of their natural scale.
    pub fn new(n_inputs: usize, n_units: usize, n_outputs: usize) -> Self {
        Self {
            n_inputs,
            n_units,
            n_outputs,
            dt_ms: 20.0,
            tau_ms: TimeConstants::Shared(100.0),
            integrator: Integrator::default(),
            form: Form::default(),
            activation: Activation::Relu,
            output_nonlinearity: OutputNonlinearity::default(),
            bias: Biases::default(),
            initial_state: InitialState::default(),
            noise: NoiseLevels::default(),
            input: InputStage::default(),
            init: WeightInits::default(),
            connectivity: Connectivity::default(),
            frozen: Vec::new(),
        }
    }

    /// Whether training leaves a parameter as it is.
    pub fn is_frozen(&self, parameter: Parameter) -> bool {
        self.frozen.iter().any(|word| parameter.is_called(word))
    }

    /// The sign of each unit under Dale's law, +1 excitatory and -1 inhibitory; empty without it.
    pub(crate) fn unit_signs(&self) -> Vec<f64> {
        let signs = self.connectivity.signs(Matrix::Recurrent, self);
        signs.unwrap_or_default()
    }

    /// The smallest and the largest gain that a unit can have: `alpha = dt / tau` under Euler's integrator. Within (0, 1].
    pub fn alpha_range(&self) -> [f64; 2] {
        let [shortest, longest] = self.tau_ms.range_ms();
        [longest, shortest].map(|tau| self.integrator.gain_of(self.dt_ms, tau))
    }

    /// The same network, whose recurrent weights begin with the balance and the spectral radius that are usual for its
    /// connections: what a configuration file gets that says nothing of them.
    ///
    /// ```
    /// use ctrnn_model::{Balance, CtrnnConfig, Dale};
    /// let mut config = CtrnnConfig::new(3, 128, 2);
    /// config.connectivity.dale = Some(Dale::default());
    /// let config = config.with_usual_init();
    /// assert_eq!((config.init.balance, config.init.spectral_radius), (Balance::Row, Some(1.0)));
    /// ```
    #[must_use]
    pub fn with_usual_init(mut self) -> Self {
        self.init.balance = self.usual_balance();
        self.init.spectral_radius = self.usual_spectral_radius();
        self
    }

    /// `row` under Dale's law (Song et al. 2016): without it the columns of four excitatory units to one inhibitory add up
    /// to an eigenvalue of about `0.5 sqrt(N)`, and rates grow without bound. `none` where no unit can receive both kinds, or
    /// the weights are not random.
    pub fn usual_balance(&self) -> Balance {
        let is_random = !matches!(self.init.recurrent, WeightInit::Zero | WeightInit::Diagonal);
        match is_random && self.connectivity.can_balance(self) {
            true => Balance::Row,
            false => Balance::None,
        }
    }

    /// 1 under Dale's law, as unconstrained gaussian weights have it: neither rates nor gradients grow with the length of a
    /// trial. 0.2 for `power`, whose slope grows with the rate. Absent (the natural scale) without Dale's law, where no loop
    /// of connections gives a radius, beside fixed weights, which are a scale of their own, and above 1024 units, where
    /// finding it takes minutes.
    pub fn usual_spectral_radius(&self) -> Option<f64> {
        let is_asked = self.connectivity.dale.is_some()
            && self.connectivity.recurrent.fixed.is_none()
            && self.n_units <= MOST_UNITS_FOR_RADIUS
            && self.init.recurrent != WeightInit::Zero;
        let usual = match self.activation {
            Activation::Power => 0.2,
            _ => 1.0,
        };
        (is_asked && self.connectivity.has_loops(self)).then_some(usual)
    }

    /// Checks the rules that no type can hold.
    ///
    /// # Errors
    /// Names the field, its value and the rule that it breaks.
    pub fn check(&self) -> Result<(), ModelError> {
        let rule = |holds: bool, field: &'static str, value: String, rule: &'static str| {
            holds
                .then_some(())
                .ok_or(ModelError::Config { field, value, rule })
        };
        let size = |n: usize, field| rule(n > 0, field, n.to_string(), "must be at least 1");
        let above_zero = |x: f64, field| {
            rule(
                x.is_finite() && x > 0.0,
                field,
                x.to_string(),
                "must be a finite number above 0",
            )
        };
        size(self.n_units, "n_units")?;
        size(self.n_outputs, "n_outputs")?;
        rule(
            self.output_nonlinearity != OutputNonlinearity::Softmax || self.n_outputs > 1,
            "output_nonlinearity",
            self.output_nonlinearity.name().to_owned(),
            "of a single output is 1 whatever the network does",
        )?;
        above_zero(self.dt_ms, "dt_ms")?;
        let longest_dt_ms = match self.integrator {
            Integrator::Euler => self.dt_ms,
            Integrator::Exponential => 0.0,
        };
        self.tau_ms.check(self.n_units, longest_dt_ms)?;
        rule(
            self.connectivity.dale.is_some() || !self.tau_ms.need_cell_types(),
            "tau_ms",
            self.tau_ms.to_string(),
            "needs Dale's law, which says which units are excitatory and which inhibitory",
        )?;
        self.noise.check(self.n_units)?;
        rule(
            self.input.baseline.is_finite(),
            "input.baseline",
            self.input.baseline.to_string(),
            "must be a finite number",
        )?;
        if let InitialState::LearnedPerCondition(n_conditions) = self.initial_state {
            size(n_conditions, "initial_state.learned_per_condition")?;
        }
        if let Some(radius) = self.init.spectral_radius {
            above_zero(radius, "init.spectral_radius")?;
            rule(
                self.init.recurrent != WeightInit::Zero,
                "init.spectral_radius",
                radius.to_string(),
                "cannot be asked of a zero matrix",
            )?;
        }
        rule(
            self.init.balance == Balance::None || self.connectivity.dale.is_some(),
            "init.balance",
            self.init.balance.name().to_owned(),
            "needs Dale's law, which says what is excitation and what inhibition",
        )?;
        if let InitialState::Given(state) = &self.initial_state {
            rule(
                state.len() == self.n_units && state.iter().all(|x| x.is_finite()),
                "initial_state",
                format!("{} numbers", state.len()),
                "must be n_units finite numbers",
            )?;
        }
        for word in &self.frozen {
            let is_known = Parameter::ALL.into_iter().any(|p| p.is_called(word));
            rule(
                is_known,
                "frozen",
                format!("{word:?}"),
                "is neither a parameter nor a group of them",
            )?;
        }
        self.connectivity.check(self)
    }
}
