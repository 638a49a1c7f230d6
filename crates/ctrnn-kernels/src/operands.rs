//! The tensors that a sweep takes and gives, each listed once.
//!
//! Whatever exists for every tensor of a sweep (its slice, its buffer on a device, its gradient, whether that gradient is wanted)
//! is an [`Operands`] or a [`SweepResults`] of it. A new tensor is one line in a table below, and its use.

use crate::Shape;

/// Defines a struct with one `T` per tensor from the list of tensors with their sizes, outermost first.
macro_rules! table {
    (
        $(#[$doc:meta])*
        pub struct $table:ident {
            $($(#[$field_doc:meta])* $field:ident: [$($size:ident),+],)+
        }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $table<T> {
            $($(#[$field_doc])* pub $field: T,)+
        }

        impl<T> $table<T> {
            /// The number of tensors.
            pub const COUNT: usize = [$(stringify!($field)),+].len();

            /// Applies `f` to each value.
            pub fn map<U>(self, mut f: impl FnMut(T) -> U) -> $table<U> {
                $table { $($field: f(self.$field),)+ }
            }

            /// Borrows each value.
            pub fn each_ref(&self) -> $table<&T> {
                $table { $($field: &self.$field,)+ }
            }

            /// Borrows each value mutably.
            pub fn each_mut(&mut self) -> $table<&mut T> {
                $table { $($field: &mut self.$field,)+ }
            }

            /// Pairs the values of two tables.
            pub fn zip<U>(self, other: $table<U>) -> $table<(T, U)> {
                $table { $($field: (self.$field, other.$field),)+ }
            }

            /// The values in the order of the list.
            pub fn into_array(self) -> [T; [$(stringify!($field)),+].len()] {
                [$(self.$field),+]
            }

            /// The table of values in the order of the list.
            pub fn from_array(values: [T; [$(stringify!($field)),+].len()]) -> Self {
                let [$($field),+] = values;
                Self { $($field),+ }
            }
        }

        impl $table<&'static str> {
            /// The name of each tensor.
            pub const NAMES: Self = Self { $($field: stringify!($field),)+ };
        }

        impl $table<Vec<usize>> {
            /// The shape of each tensor.
            pub fn shapes(shape: &Shape) -> Self {
                Self { $($field: vec![$(shape.$size),+],)+ }
            }
        }

        impl $table<usize> {
            /// The number of elements of each tensor.
            pub fn lens(shape: &Shape) -> Self {
                Self { $($field: [$(shape.$size),+].iter().product(),)+ }
            }
        }
    };
}

table! {
    /// One `T` for each tensor that a sweep takes and has a gradient for. Matrices are `[post, pre]`, row by row.
    pub struct Operands {
        /// Inputs `u [T, B, I]`.
        inputs: [steps, trials, inputs],
        /// Effective input weights `[N, I]`.
        w_in: [units, inputs],
        /// Effective recurrent weights `[N, N]`.
        w_rc: [units, units],
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
        /// State before the first input `[B, N]`: potentials in the voltage form, rates in the rate form.
        initial_state: [trials, units],
    }
}

table! {
    /// One `T` for each tensor that a sweep gives. Index k of a trial is the state after input k.
    pub struct SweepResults {
        /// Readout `y [T, B, O]`.
        outputs: [steps, trials, outputs],
        /// Rates `r [T, B, N]`.
        rates: [steps, trials, units],
        /// Potentials `[T, B, N]`: `v` in the voltage form, `z` in the rate form.
        potentials: [steps, trials, units],
        /// State after the last time step `[B, N]`: `v` in the voltage form, `r` in the rate form.
        final_state: [trials, units],
    }
}

impl<E> Operands<&[E]> {
    /// Panics if a slice does not have the length that the shape implies.
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
pub type Gradients<'a, E> = Operands<Option<&'a mut [E]>>;

impl<E> Gradients<'_, E> {
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
pub type Upstream<'a, E> = SweepResults<Option<&'a [E]>>;

impl<E> Upstream<'_, E> {
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

/// Panics if `slice` has another length.
pub(crate) fn assert_len<E>(name: &str, slice: &[E], expected: usize) {
    assert_eq!(
        slice.len(),
        expected,
        "length of {name} (left) and the length that the shape implies (right)"
    );
}
