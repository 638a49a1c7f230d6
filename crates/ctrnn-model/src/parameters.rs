//! The trained tensors of a network by name, and their way to and from host arrays.

use std::collections::BTreeMap;

use burn::module::{Param, ParamId};
use burn::tensor::backend::Backend;
use burn::tensor::{Element, Tensor, TensorData};

/// Host arrays by name, as weight files hold them; rows are postsynaptic.
pub type Weights = BTreeMap<String, TensorData>;

/// A trained tensor of a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Parameter {
    /// `W_in [N,I]`
    InputWeight,
    /// `W_rc [N,N]`
    RecurrentWeight,
    /// `b [N]`
    RecurrentBias,
    /// `W_out [O,N]`
    OutputWeight,
    /// `b_out [O]`
    OutputBias,
    /// `v(0)` or `r(0)`, `[N]`, or `[C,N]` for C conditions
    InitialState,
    /// What the learned time constants are computed from, `[1]` or `[N]`
    TimeConstants,
}

/// Name of the time constants in weight files: always written.
pub(crate) const TAU_MS: &str = "tau_ms";

/// Beginning of the names of the arrays `[C]` that say to which condition each row of `initial_state [C,N]` belongs: the name of a
/// value of the conditions follows. NaN: the value does not apply.
pub const CONDITION_VALUES: &str = "initial_state.condition.";

impl Parameter {
    /// Every parameter that a network can have.
    pub const ALL: [Self; 7] = [
        Self::InputWeight,
        Self::RecurrentWeight,
        Self::RecurrentBias,
        Self::OutputWeight,
        Self::OutputBias,
        Self::InitialState,
        Self::TimeConstants,
    ];

    /// Its name in weight files, optimizer state and messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::InputWeight => "input.weight",
            Self::RecurrentWeight => "recurrent.weight",
            Self::RecurrentBias => "recurrent.bias",
            Self::OutputWeight => "output.weight",
            Self::OutputBias => "output.bias",
            Self::InitialState => "initial_state",
            Self::TimeConstants => "tau_raw",
        }
    }

    /// Whether a word is its name or that of its group, what stands before the dot.
    pub fn is_called(self, word: &str) -> bool {
        let name = self.name();
        name == word || name.split('.').next() == Some(word)
    }

    /// Its burn id: a function of the name (64-bit FNV-1a), where burn's own ids are random per process.
    pub fn id(self) -> ParamId {
        let hash = self
            .name()
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
            });
        ParamId::from(hash)
    }

    /// The parameter with a burn id.
    pub fn from_id(id: ParamId) -> Option<Self> {
        Self::ALL.into_iter().find(|parameter| parameter.id() == id)
    }

    /// A trained burn parameter with this one's id.
    pub(crate) fn param<B: Backend, const D: usize>(
        self,
        value: Tensor<B, D>,
    ) -> Param<Tensor<B, D>> {
        Param::initialized(self.id(), value.require_grad())
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
