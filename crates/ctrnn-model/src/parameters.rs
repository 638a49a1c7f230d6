//! The trained tensors of a network by name, and their way to and from host arrays.

use std::collections::BTreeMap;
use std::fmt::{self, Write};

use burn::module::{Param, ParamId};
use burn::tensor::backend::Backend;
use burn::tensor::{Element, Tensor, TensorData};

/// Host arrays by name, as weight files hold them; rows are postsynaptic.
pub type Weights = BTreeMap<String, TensorData>;

/// Trained tensor of a network, by its layer and its role there.
///
/// Its name in weight files, optimizer state and messages is that of the role in the first layer, `recurrent.weight`, and
/// `layers.1.recurrent.weight` in the layer after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Parameter {
    /// Layer, counted from 0.
    pub layer: u16,
    /// Role of the tensor in its layer.
    pub role: Role,
}

/// Role of a trained tensor in its layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// `W_in [N,I]`
    InputWeight,
    /// `W_rc [N,N]`, or the full matrix to which the product of the factors is added
    RecurrentWeight,
    /// Left factor `[N,R]` of a recurrent matrix of low rank
    RecurrentLeft,
    /// Right factor `[N,R]` of a recurrent matrix of low rank
    RecurrentRight,
    /// `b [N]`
    RecurrentBias,
    /// `W_out [O,N]`
    OutputWeight,
    /// `b_out [O]`
    OutputBias,
    /// `v(0)` or `r(0)`, `[N]`, or `[C,N]` for C conditions
    InitialState,
    /// Raw values of the learned time constants, `[1]` or `[N]`
    TimeConstants,
}

/// Parameter of a network with its shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParameterSpec {
    /// The parameter.
    pub parameter: Parameter,
    /// Its shape.
    pub shape: Vec<usize>,
    /// True if the network trains it; otherwise it has a fixed value or none.
    pub is_trained: bool,
}

impl ParameterSpec {
    /// Returns the number of elements.
    pub fn n_elements(&self) -> usize {
        self.shape.iter().product()
    }
}

/// Name of the time constants in weight files: always written.
pub(crate) const TAU_MS: &str = "tau_ms";

/// Beginning of the names of the arrays `[C]` that say to which condition each row of `initial_state [C,N]` belongs: the name of a
/// value of the conditions follows. NaN: the value does not apply.
pub const CONDITION_VALUES: &str = "initial_state.condition.";

impl Role {
    /// All roles, in the order of weight files and optimizers.
    pub const ALL: [Self; 9] = [
        Self::InputWeight,
        Self::RecurrentWeight,
        Self::RecurrentLeft,
        Self::RecurrentRight,
        Self::RecurrentBias,
        Self::OutputWeight,
        Self::OutputBias,
        Self::InitialState,
        Self::TimeConstants,
    ];

    /// Returns the name of the parameter with this role in the first layer.
    pub const fn name(self) -> &'static str {
        match self {
            Self::InputWeight => "input.weight",
            Self::RecurrentWeight => "recurrent.weight",
            Self::RecurrentLeft => "recurrent.left",
            Self::RecurrentRight => "recurrent.right",
            Self::RecurrentBias => "recurrent.bias",
            Self::OutputWeight => "output.weight",
            Self::OutputBias => "output.bias",
            Self::InitialState => "initial_state",
            Self::TimeConstants => "tau_raw",
        }
    }

    /// Returns true if a word is the name or that of its group, the part before the dot.
    pub fn is_called(self, word: &str) -> bool {
        let name = self.name();
        name == word || name.split('.').next() == Some(word)
    }

    /// Returns true for the parameters of the readout.
    pub const fn is_of_readout(self) -> bool {
        matches!(self, Self::OutputWeight | Self::OutputBias)
    }

    /// Returns true for the parameters that a recurrent matrix is made of.
    pub const fn is_recurrent_matrix(self) -> bool {
        matches!(
            self,
            Self::RecurrentWeight | Self::RecurrentLeft | Self::RecurrentRight
        )
    }

    /// Returns the parameter with this role in a layer. A network has one readout, which is counted with the first layer.
    pub const fn of_layer(self, layer: u16) -> Parameter {
        Parameter {
            layer: if self.is_of_readout() { 0 } else { layer },
            role: self,
        }
    }
}

impl From<Role> for Parameter {
    /// Returns the parameter of the first layer.
    fn from(role: Role) -> Self {
        role.of_layer(0)
    }
}

impl fmt::Display for Parameter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.layer > 0 {
            write!(f, "layers.{}.", self.layer)?;
        }
        f.write_str(self.role.name())
    }
}

impl Parameter {
    /// [`Role::InputWeight`] of the first layer.
    pub const INPUT_WEIGHT: Self = Role::InputWeight.of_layer(0);
    /// [`Role::RecurrentWeight`] of the first layer.
    pub const RECURRENT_WEIGHT: Self = Role::RecurrentWeight.of_layer(0);
    /// [`Role::RecurrentLeft`] of the first layer.
    pub const RECURRENT_LEFT: Self = Role::RecurrentLeft.of_layer(0);
    /// [`Role::RecurrentRight`] of the first layer.
    pub const RECURRENT_RIGHT: Self = Role::RecurrentRight.of_layer(0);
    /// [`Role::RecurrentBias`] of the first layer.
    pub const RECURRENT_BIAS: Self = Role::RecurrentBias.of_layer(0);
    /// [`Role::OutputWeight`] of the first layer.
    pub const OUTPUT_WEIGHT: Self = Role::OutputWeight.of_layer(0);
    /// [`Role::OutputBias`] of the first layer.
    pub const OUTPUT_BIAS: Self = Role::OutputBias.of_layer(0);
    /// [`Role::InitialState`] of the first layer.
    pub const INITIAL_STATE: Self = Role::InitialState.of_layer(0);
    /// [`Role::TimeConstants`] of the first layer.
    pub const TIME_CONSTANTS: Self = Role::TimeConstants.of_layer(0);

    /// Returns true if a word is the name of the parameter, or that of its group, the part before the dot; without the layer, `recurrent`,
    /// it means the parameters of all layers, and with it, `layers.0.recurrent`, those of one.
    pub fn is_called(self, word: &str) -> bool {
        let of_layer = word.strip_prefix("layers.").and_then(|rest| {
            let (layer, word) = rest.split_once('.')?;
            (layer == self.layer.to_string() && !self.role.is_of_readout()).then_some(word)
        });
        self.role.is_called(of_layer.unwrap_or(word))
    }

    /// Returns the name in weight files, optimizer state and messages.
    pub fn name(self) -> String {
        self.to_string()
    }

    /// Returns the burn id: a function of the name (64-bit FNV-1a), because burn's own ids are random per process.
    pub fn id(self) -> ParamId {
        let mut hash = Fnv(0xcbf2_9ce4_8422_2325);
        write!(hash, "{self}").expect("writing cannot fail");
        ParamId::from(hash.0)
    }

    /// Returns a trained burn parameter with this one's id.
    pub(crate) fn param<B: Backend, const D: usize>(
        self,
        value: Tensor<B, D>,
    ) -> Param<Tensor<B, D>> {
        Param::initialized(self.id(), value.require_grad())
    }
}

/// Hash of the text written so far (64-bit FNV-1a).
struct Fnv(u64);

impl Write for Fnv {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 = text.bytes().fold(self.0, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        Ok(())
    }
}

/// A tensor of the backend's own float type from host values of any type.
///
/// burn's `Tensor::from_data`, `zeros` and the like take the float type that the device was first used with in this
/// process, which is another one where f32 and f64 are used side by side.
pub fn host_tensor<B: Backend, const D: usize>(
    data: TensorData,
    device: &B::Device,
) -> Tensor<B, D> {
    Tensor::from_data(
        data.convert::<B::FloatElem>(),
        (device, B::FloatElem::dtype()),
    )
}

/// A vector of one value.
pub(crate) fn constant<B: Backend>(value: f64, len: usize, device: &B::Device) -> Tensor<B, 1> {
    host_tensor(TensorData::new(vec![value; len], [len]), device)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names of a single layer are those of the weight files of version 0.1.0; a later layer has its own.
    #[test]
    fn a_parameter_is_named_by_its_layer_and_role() {
        let names = Role::ALL.map(|role| Parameter::from(role).name());
        assert_eq!(names, Role::ALL.map(Role::name));
        let later = Role::RecurrentWeight.of_layer(1);
        assert_eq!(later.name(), "layers.1.recurrent.weight");
        assert_ne!(later.id(), Parameter::RECURRENT_WEIGHT.id());
    }
}
