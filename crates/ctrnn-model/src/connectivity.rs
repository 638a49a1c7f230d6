//! Which connections a network has, and the rules that its weights obey.
//!
//! The weights that act on the network ("effective") are a function of the trained ones ("raw"), computed once per
//! forward pass; so a rule holds at the start, after every step of any optimizer, in every file and after loading:
//!
//! ```text
//! W[i,j] = m[i,j] g(w[i,j]) + F[i,j]
//! ```
//!
//! `m` is 1 where there is a plastic connection, else 0; `F` holds the values of the connections that are not plastic;
//! `g` is the identity, or what gives column j the sign of unit j ([`Parametrization`]).
//!
//! # References
//! Song, Yang and Wang (2016), "Training excitatory-inhibitory recurrent neural networks for cognitive tasks".

use serde::{Deserialize, Serialize};

use crate::spectrum::has_loop;
use crate::{Activation, CtrnnConfig, ModelError, Parameter};

/// Which connections a network has, and what constrains their weights; the default constrains nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Connectivity {
    /// Dale's law: all outgoing weights of a unit have one sign.
    pub dale: Option<Dale>,
    /// Whether no weight of `W_in` is below zero; by the parametrization of `dale`, or `abs` where there is none.
    pub positive_input: bool,
    /// Whether a unit may drive itself.
    pub self_connections: bool,
    /// Connections of `W_in [N,I]`.
    pub input: Connections,
    /// Connections of `W_rc [N,N]`.
    pub recurrent: Connections,
    /// Connections of `W_out [O,N]`.
    pub output: Connections,
}

impl Default for Connectivity {
    fn default() -> Self {
        Self {
            dale: None,
            positive_input: false,
            self_connections: true,
            input: Connections::default(),
            recurrent: Connections::default(),
            output: Connections::default(),
        }
    }
}

/// Dale's law: column j of `W_rc`, all outgoing weights of unit j, has one sign.
///
/// Drawn weights of one sign add up: [`CtrnnConfig::with_usual_init`] balances and scales them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Dale {
    /// Which units are excitatory.
    pub units: UnitSigns,
    /// How a weight is kept at its sign.
    pub parametrization: Parametrization,
    /// What the readout sees of the signs.
    pub readout: ReadoutSigns,
}

/// Which units are excitatory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnitSigns {
    /// The first `round(fraction N)` units are excitatory, the others inhibitory.
    ExcitatoryFraction(f64),
    /// +1 (excitatory) or -1 (inhibitory) for each unit.
    Given(Vec<f64>),
}

impl Default for UnitSigns {
    fn default() -> Self {
        Self::ExcitatoryFraction(0.8)
    }
}

impl UnitSigns {
    /// +1 or -1 for each of `n` units.
    pub fn values(&self, n: usize) -> Vec<f64> {
        match self {
            Self::ExcitatoryFraction(fraction) => {
                let excitatory = (fraction * n as f64).round() as usize;
                (0..n)
                    .map(|unit| if unit < excitatory { 1.0 } else { -1.0 })
                    .collect()
            }
            Self::Given(signs) => signs.clone(),
        }
    }
}

/// How a weight is kept at its sign s: `W = s g(w)` of the trained w.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Parametrization {
    /// `W = s |w|`; slope at zero: s, so that a weight leaves zero again (Ehrlich et al. 2021, PsychRNN).
    #[default]
    Abs,
    /// `W = s max(w, 0)`; slope at zero: s. Below zero the slope is 0: a weight that a step took there stays silent, and
    /// only momentum or weight decay can bring it back (Song et al. 2016, pycog's default).
    Rectify,
    /// `W = s w^2`. The slope at zero is 0, so no weight may begin there (NeuroTorch).
    Square,
    /// `W = w`; after every step a weight of the wrong sign is set to zero, where its slope is 1 (nn4n projects too, but
    /// before the next pass, so that what it saves may break the rule).
    Clamp,
}

impl Parametrization {
    /// Every parametrization.
    pub const ALL: [Self; 4] = [Self::Abs, Self::Rectify, Self::Square, Self::Clamp];

    /// The name used in configurations.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Abs => "abs",
            Self::Rectify => "rectify",
            Self::Square => "square",
            Self::Clamp => "clamp",
        }
    }
}

/// What the readout sees of Dale's law.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReadoutSigns {
    /// Each column of `W_out` has the sign of its unit (Song et al. 2016).
    #[default]
    Signed,
    /// As `signed`, and inhibitory units do not reach the readout (PsychRNN; the tasks of Song et al. 2016).
    Excitatory,
    /// `W_out` may have any sign.
    Free,
}

impl ReadoutSigns {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Signed, Self::Excitatory, Self::Free];

    /// The name used in configurations.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Signed => "signed",
            Self::Excitatory => "excitatory",
            Self::Free => "free",
        }
    }
}

/// The connections of one weight matrix `[post, pre]`; matrices are row-major.
///
/// The given matrices are not serialised with the configuration: weight files hold mask, signs and fixed weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Connections {
    /// Fraction of the possible connections that exist, in [0, 1]: the nearest whole number of them, drawn from the seed.
    pub density: f64,
    /// 1 where a connection exists, 0 elsewhere.
    #[serde(skip)]
    pub mask: Option<Vec<f64>>,
    /// Weights that are not trained: where this is not zero, it is the weight.
    #[serde(skip)]
    pub fixed: Option<Vec<f64>>,
    /// Multiplies every update of a weight, whatever the optimizer: at least 0; 0 leaves the weight as it is, to the bit.
    #[serde(skip)]
    pub plasticity: Option<Vec<f64>>,
}

impl Default for Connections {
    fn default() -> Self {
        Self {
            density: 1.0,
            mask: None,
            fixed: None,
            plasticity: None,
        }
    }
}

/// A weight matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Matrix {
    /// `W_in [N,I]`
    Input,
    /// `W_rc [N,N]`
    Recurrent,
    /// `W_out [O,N]`
    Output,
}

impl Matrix {
    /// Every weight matrix.
    pub const ALL: [Self; 3] = [Self::Input, Self::Recurrent, Self::Output];

    /// Its name in configurations, and before the dot in weight files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Recurrent => "recurrent",
            Self::Output => "output",
        }
    }

    /// The parameter that is trained for it.
    pub const fn parameter(self) -> Parameter {
        match self {
            Self::Input => Parameter::InputWeight,
            Self::Recurrent => Parameter::RecurrentWeight,
            Self::Output => Parameter::OutputWeight,
        }
    }

    /// The matrix that a parameter is trained for.
    pub fn of(parameter: Parameter) -> Option<Self> {
        Self::ALL.into_iter().find(|m| m.parameter() == parameter)
    }

    /// `[post, pre]`
    pub fn shape(self, config: &CtrnnConfig) -> [usize; 2] {
        match self {
            Self::Input => [config.n_units, config.n_inputs],
            Self::Recurrent => [config.n_units, config.n_units],
            Self::Output => [config.n_outputs, config.n_units],
        }
    }

    /// Name of one of its arrays in weight files: `recurrent.mask`.
    pub fn array(self, what: &str) -> String {
        format!("{}.{what}", self.name())
    }
}

impl Connectivity {
    /// The connections of a matrix.
    pub fn of(&self, matrix: Matrix) -> &Connections {
        match matrix {
            Matrix::Input => &self.input,
            Matrix::Recurrent => &self.recurrent,
            Matrix::Output => &self.output,
        }
    }

    /// The same, to be changed.
    pub fn of_mut(&mut self, matrix: Matrix) -> &mut Connections {
        match matrix {
            Matrix::Input => &mut self.input,
            Matrix::Recurrent => &mut self.recurrent,
            Matrix::Output => &mut self.output,
        }
    }

    /// How the signs of a matrix are kept; absent: its weights may have any sign.
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

    /// The sign of each presynaptic unit of a matrix, where its weights have one.
    pub fn signs(&self, matrix: Matrix, config: &CtrnnConfig) -> Option<Vec<f64>> {
        self.parametrization(matrix)?;
        let dale = self.dale.as_ref();
        match matrix {
            Matrix::Input => Some(vec![1.0; config.n_inputs]),
            _ => dale.map(|dale| dale.units.values(config.n_units)),
        }
    }

    /// Whether a connection is possible at all, whatever the density: not ruled out by a given mask, as a
    /// self-connection, or as the readout of an inhibitory unit. Absent: all are.
    pub(crate) fn possible(&self, matrix: Matrix, config: &CtrnnConfig) -> Option<Vec<f64>> {
        let [post, pre] = matrix.shape(config);
        let mut possible = self.of(matrix).mask.clone();
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
        if let (Matrix::Output, Some(dale)) = (matrix, &self.dale)
            && dale.readout == ReadoutSigns::Excitatory
        {
            let signs = dale.units.values(config.n_units);
            forbid(&|_, col| signs[col] < 0.0);
        }
        possible
    }

    /// Whether some unit can receive excitation and inhibition that are trained, whatever the density.
    pub(crate) fn can_balance(&self, config: &CtrnnConfig) -> bool {
        let (Some(signs), n) = (self.signs(Matrix::Recurrent, config), config.n_units) else {
            return false;
        };
        let possible = self.possible(Matrix::Recurrent, config);
        let fixed = self.recurrent.fixed.as_ref();
        let is_plastic = |k: usize| {
            possible.as_ref().is_none_or(|p| p[k] == 1.0) && fixed.is_none_or(|f| f[k] == 0.0)
        };
        (0..n).any(|post| {
            let receives =
                |sign: f64| (0..n).any(|pre| signs[pre] == sign && is_plastic(post * n + pre));
            receives(1.0) && receives(-1.0)
        })
    }

    /// Whether the possible recurrent connections form a loop, whatever the density.
    pub(crate) fn has_loops(&self, config: &CtrnnConfig) -> bool {
        let possible = self.possible(Matrix::Recurrent, config);
        let can_loop = possible.is_none_or(|possible| has_loop(&possible, config.n_units));
        self.recurrent.density > 0.0 && can_loop
    }

    /// Checks the rules that no type can hold.
    pub(crate) fn check(&self, config: &CtrnnConfig) -> Result<(), ModelError> {
        if let Some(dale) = &self.dale {
            dale.check(config)?;
        }
        for matrix in Matrix::ALL {
            self.check_connections(matrix, config)?;
            self.check_start(matrix, config)?;
        }
        Ok(())
    }

    fn check_connections(&self, matrix: Matrix, config: &CtrnnConfig) -> Result<(), ModelError> {
        let connections = self.of(matrix);
        let fraction = (0.0..=1.0).contains(&connections.density);
        let density = || connections.density.to_string();
        let name = |what| matrix.array(what);
        let density_key = || format!("density.{}", matrix.name());
        rule(fraction, density_key(), density, "must lie in [0, 1]")?;
        rule(
            connections.mask.is_none() || connections.density == 1.0,
            density_key(),
            density,
            "cannot be asked for where a mask is given",
        )?;
        let size: usize = matrix.shape(config).iter().product();
        let given = [
            ("mask", &connections.mask),
            ("fixed", &connections.fixed),
            ("plasticity", &connections.plasticity),
        ];
        for (what, values) in given {
            let Some(values) = values else { continue };
            rule(
                values.len() == size,
                name(what),
                || format!("{} numbers", values.len()),
                "must have one number for every pair of units",
            )?;
            let (holds, text): (fn(f64) -> bool, _) = match what {
                "mask" => (|x| x == 0.0 || x == 1.0, "must be 0 or 1 everywhere"),
                "fixed" => (f64::is_finite, "must be finite everywhere"),
                _ => (
                    |x| x.is_finite() && x >= 0.0,
                    "must be finite and at least 0 everywhere",
                ),
            };
            let broken = values.iter().position(|&x| !holds(x));
            let found = || {
                let k = broken.unwrap_or_default();
                format!("{} at index {k}", values[k])
            };
            rule(broken.is_none(), name(what), found, text)?;
        }
        self.check_fixed(matrix, config)
    }

    /// A fixed weight must obey the mask and the signs.
    fn check_fixed(&self, matrix: Matrix, config: &CtrnnConfig) -> Result<(), ModelError> {
        let Some(fixed) = &self.of(matrix).fixed else {
            return Ok(());
        };
        let possible = self.possible(matrix, config);
        let signs = self.signs(matrix, config);
        let pre = matrix.shape(config)[1];
        for (k, &weight) in fixed.iter().enumerate() {
            let value = || format!("{weight} from unit {} to unit {}", k % pre, k / pre);
            let is_possible = weight == 0.0 || possible.as_ref().is_none_or(|p| p[k] == 1.0);
            let text = "stands where the mask, self_connections or the readout's rule allows no connection";
            rule(is_possible, matrix.array("fixed"), value, text)?;
            let has_sign = signs.as_ref().is_none_or(|s| s[k % pre] * weight >= 0.0);
            let text = "has another sign than its presynaptic unit";
            rule(has_sign, matrix.array("fixed"), value, text)?;
        }
        Ok(())
    }

    /// `square` cannot leave zero, so its weights must not begin there.
    fn check_start(&self, matrix: Matrix, config: &CtrnnConfig) -> Result<(), ModelError> {
        use crate::WeightInit::{Diagonal, Zero};
        let init = config.init.of(matrix);
        let trapped = self.parametrization(matrix) == Some(Parametrization::Square)
            && matches!(init, Zero | Diagonal);
        rule(
            !trapped,
            format!("init.{}", matrix.name()),
            || init.name().to_owned(),
            "has weights at zero, which the parametrization square (W = s w^2) can never leave; use abs",
        )
    }
}

impl Dale {
    fn check(&self, config: &CtrnnConfig) -> Result<(), ModelError> {
        let fitting = Activation::ALL
            .into_iter()
            .filter(|a| a.is_nonnegative())
            .map(Activation::name);
        rule(
            config.activation.is_nonnegative(),
            "activation".to_owned(),
            || config.activation.name().to_owned(),
            &format!(
                "can be negative, so that a unit's effect has no one sign under Dale's law; these fit: {}",
                fitting.collect::<Vec<_>>().join(", ")
            ),
        )?;
        match &self.units {
            UnitSigns::ExcitatoryFraction(fraction) => rule(
                (0.0..=1.0).contains(fraction),
                "dale.excitatory_fraction".to_owned(),
                || fraction.to_string(),
                "must lie in [0, 1]",
            ),
            UnitSigns::Given(signs) => {
                rule(
                    signs.len() == config.n_units,
                    "dale.signs".to_owned(),
                    || format!("{} numbers", signs.len()),
                    "must have one number for each unit",
                )?;
                let broken = signs.iter().position(|s| s.abs() != 1.0);
                let found = || {
                    let unit = broken.unwrap_or_default();
                    format!("{} at unit {unit}", signs[unit])
                };
                rule(
                    broken.is_none(),
                    "dale.signs".to_owned(),
                    found,
                    "must be +1 or -1 for every unit; a unit without a sign is none",
                )
            }
        }
    }
}

fn rule(
    holds: bool,
    field: String,
    value: impl Fn() -> String,
    rule: &str,
) -> Result<(), ModelError> {
    if holds {
        return Ok(());
    }
    Err(ModelError::Connectivity {
        field,
        value: value(),
        rule: rule.to_owned(),
    })
}

#[cfg(test)]
mod tests;
