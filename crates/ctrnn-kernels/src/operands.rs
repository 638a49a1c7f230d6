//! Tensors that a sweep takes and returns, each listed once.
//!
//! Whatever exists for every tensor of a sweep (its slice, its buffer on a device, its gradient, whether that gradient is wanted)
//! is an [`Operands`] or a [`SweepResults`] of it. A new tensor is one line in a table below, and its use.

use crate::Shape;

/// Defines a struct with one `T` per tensor from the list of tensors with their sizes, outermost first; what follows a semicolon is a
/// field of [`UnitState`]. A size is a field of [`Shape`], or a method of it: `rows()`.
macro_rules! table {
    (
        $(#[$doc:meta])*
        pub struct $table:ident {
            $($(#[$field_doc:meta])* $field:ident: [$($size:ident $(($($call:tt)*))?),+],)+
            $(; $(#[$states_doc:meta])* $states:ident,)?
        }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $table<T> {
            $($(#[$field_doc])* pub $field: T,)+
            $($(#[$states_doc])* pub $states: UnitState<T>,)?
        }

        impl<T> $table<T> {
            /// Number of tensors.
            pub const COUNT: usize = table!(@count $($field)+; $($states)?);

            /// Calls `value` for each tensor in the order of the list.
            pub fn from_fn(mut value: impl FnMut() -> T) -> Self {
                Self { $($field: value(),)+ $($states: UnitState::from_fn(&mut value),)? }
            }

            /// Applies `f` to each value.
            pub fn map<U>(self, mut f: impl FnMut(T) -> U) -> $table<U> {
                $table { $($field: f(self.$field),)+ $($states: self.$states.map(&mut f),)? }
            }

            /// Borrows each value.
            pub fn each_ref(&self) -> $table<&T> {
                $table { $($field: &self.$field,)+ $($states: self.$states.each_ref(),)? }
            }

            /// Borrows each value mutably.
            pub fn each_mut(&mut self) -> $table<&mut T> {
                $table { $($field: &mut self.$field,)+ $($states: self.$states.each_mut(),)? }
            }

            /// Pairs the values of two tables.
            pub fn zip<U>(self, other: $table<U>) -> $table<(T, U)> {
                $table {
                    $($field: (self.$field, other.$field),)+
                    $($states: self.$states.zip(other.$states),)?
                }
            }

            /// Returns the values in the order of the list.
            pub fn into_array(self) -> [T; table!(@count $($field)+; $($states)?)] {
                let values = [$(self.$field),+].into_iter();
                $(let values = values.chain(self.$states.into_array());)?
                let mut values = values;
                std::array::from_fn(|_| values.next().expect("a value for each tensor"))
            }

            /// Returns the table of values in the order of the list.
            pub fn from_array(values: [T; table!(@count $($field)+; $($states)?)]) -> Self {
                let mut values = values.into_iter();
                Self::from_fn(|| values.next().expect("a value for each tensor"))
            }
        }

        impl<T> $table<Option<T>> {
            /// Returns the table of values, if every value is present.
            pub fn all(self) -> Option<$table<T>> {
                Some($table { $($field: self.$field?,)+ $($states: self.$states.all()?,)? })
            }
        }

        impl $table<&'static str> {
            /// Names of the tensors.
            pub const NAMES: Self = Self {
                $($field: stringify!($field),)+
                $($states: UnitState::NAMES,)?
            };
        }

        impl $table<Vec<usize>> {
            /// Returns the shape of each tensor.
            pub fn shapes(shape: &Shape) -> Self {
                Self {
                    $($field: vec![$(shape.$size $(($($call)*))?),+],)+
                    $($states: UnitState::shapes(shape),)?
                }
            }
        }

        impl $table<usize> {
            /// Returns the number of elements of each tensor.
            pub fn lens(shape: &Shape) -> Self {
                Self {
                    $($field: [$(shape.$size $(($($call)*))?),+].iter().product(),)+
                    $($states: UnitState::lens(shape),)?
                }
            }
        }
    };
    (@count $($field:ident)+; $($states:ident)?) => {
        [$(stringify!($field)),+].len() $(+ table!(@states $states))?
    };
    (@states $states:ident) => { UnitState::<()>::COUNT };
}

table! {
    /// One `T` for each number that a unit carries from one time step to the next.
    pub struct UnitState {
        /// Variable that the leak acts on, `[B, N]`: the potential `v` in the voltage form, the rate `r` in the rate form.
        activity: [trials, units],
        /// Utilisation `u` of the synapses that leave a unit, `[B, N]`; empty without short-term plasticity, as the resources are.
        utilisation: [trials, synapses],
        /// Resources `x` of the synapses that leave a unit, `[B, N]`.
        resources: [trials, synapses],
    }
}

table! {
    /// One `T` for each constant of the short-term plasticity of the synapses that leave a unit, `[N]`; empty without it.
    pub struct SynapseConstants {
        /// Utilisation at rest, `U`.
        baseline: [synapses],
        /// Fraction of the way to `U` that the utilisation returns in a time step, `dt / tau_u`.
        utilisation_gain: [synapses],
        /// Fraction of the way to 1 that the resources recover in a time step, `dt / tau_x`.
        resources_gain: [synapses],
        /// Number of spikes in a time step at a rate of 1: the time step in seconds.
        spikes: [synapses],
    }
}

table! {
    /// One `T` for each tensor that a sweep takes and that has a gradient. Matrices are `[post, pre]`, row by row.
    pub struct Operands {
        /// Inputs `u [T, B, I]`.
        inputs: [steps, trials, inputs],
        /// Effective input weights `[N, I]`.
        w_in: [units, inputs],
        /// Effective recurrent weights `[N, N]`, or `[0, N]` where the recurrent matrix is the product of its factors alone:
        /// `W_rc = w_rc + left right' / N`.
        w_rc: [full_rows(), units],
        /// Left factor of the recurrent matrix `[N, R]`.
        left: [units, rank],
        /// Right factor of the recurrent matrix `[N, R]`.
        right: [units, rank],
        /// Recurrent bias `[N]`.
        bias: [units],
        /// Effective readout weights `[O, N]`.
        w_out: [outputs, units],
        /// Readout bias `[O]`.
        bias_out: [outputs],
        /// Decay factor `[N]`: the fraction of a unit's state that survives a time step.
        decay: [units],
        /// Gain `[N]`: the factor of the drive in the new state.
        gain: [units],
        /// Noise scale `[N]`: the factor of the standard normals of `eps`.
        noise_scale: [units],
        ;
        /// State before the first input.
        initial_state,
    }
}

table! {
    /// One `T` for each result of a sweep. Index k of a trial is the state after input k.
    pub struct SweepResults {
        /// Readout `y [T, B, O]`.
        outputs: [steps, trials, outputs],
        /// Rates `r [T, B, N]`.
        rates: [steps, trials, units],
        /// Potentials `[T, B, N]`: `v` in the voltage form, `z` in the rate form.
        potentials: [steps, trials, units],
        /// Utilisation `u [T, B, N]`; empty without short-term plasticity, as the resources are.
        utilisation: [steps, trials, synapses],
        /// Resources `x [T, B, N]`.
        resources: [steps, trials, synapses],
        /// Sum of each unit's rates over the time steps of all trials, `[N]`.
        rate_sums: [units],
        /// Sum of their absolute values, `[N]`.
        rate_sizes: [units],
        /// Sum of their squares, `[N]`.
        rate_squares: [units],
        /// Values of the terms of the rates, `[K]`.
        rate_terms: [rate_terms],
        ;
        /// State after the last time step.
        final_state,
    }
}

impl<E> SynapseConstants<&[E]> {
    /// Asserts that each slice has the length that the shape implies.
    pub(crate) fn assert_lens(&self, shape: &Shape) {
        assert_lens(
            self.map(Some).into_array(),
            SynapseConstants::lens(shape).into_array(),
            SynapseConstants::NAMES.into_array(),
        );
    }
}

impl<E> Operands<&[E]> {
    /// Asserts that each slice has the length that the shape implies.
    pub(crate) fn assert_lens(&self, shape: &Shape) {
        assert_lens(
            self.map(Some).into_array(),
            Operands::lens(shape).into_array(),
            Operands::NAMES.into_array(),
        );
    }
}

/// Destinations of the gradients of a loss with respect to the operands of a sweep. Each is overwritten; those that are `None`
/// are not computed.
pub type GradientSlices<'a, E> = Operands<Option<&'a mut [E]>>;

impl<E> GradientSlices<'_, E> {
    pub(crate) fn assert_lens(&self, shape: &Shape) {
        let slices = self.each_ref().map(|gradient| gradient.as_deref());
        assert_lens(
            slices.into_array(),
            Operands::lens(shape).into_array(),
            Operands::NAMES.into_array(),
        );
    }
}

/// Gradients of a loss with respect to the results of a forward sweep; `None` where the loss does not use a result.
pub type UpstreamSlices<'a, E> = SweepResults<Option<&'a [E]>>;

impl<T: Copy> SweepResults<T> {
    /// Returns the sums of the rates, of their absolute values and of their squares.
    pub const fn moments(&self) -> [T; 3] {
        [self.rate_sums, self.rate_sizes, self.rate_squares]
    }
}

impl<E> UpstreamSlices<'_, E> {
    pub(crate) fn assert_lens(&self, shape: &Shape) {
        assert_lens(
            self.into_array(),
            SweepResults::lens(shape).into_array(),
            SweepResults::NAMES.into_array(),
        );
    }
}

fn assert_lens<E, const N: usize>(slices: [Option<&[E]>; N], lens: [usize; N], names: [&str; N]) {
    for ((slice, len), name) in slices.into_iter().zip(lens).zip(names) {
        if let Some(slice) = slice {
            assert_len(name, slice, len);
        }
    }
}

/// Asserts that `slice` has the expected length.
pub(crate) fn assert_len<E>(name: &str, slice: &[E], expected: usize) {
    assert_eq!(
        slice.len(),
        expected,
        "length of {name} (left) and the length that the shape implies (right)"
    );
}
