//! Traits that the sweeps are written against: a number, a vector of them, and work that is compiled for each instruction set.

use std::fmt::{Debug, Display};
use std::ops::{Add, AddAssign, Div, Mul, Neg, Sub};

use ctrnn_random::{Key, unit_normals_lanes};

use crate::coefficients::Coefficients;
use crate::instruction_set::KernelPath;

/// Number of units whose normals are drawn at once, on every path.
pub(crate) const NORMALS: usize = 16;

/// Element type that a sweep computes with: `f32` (tuned) or `f64` (for reference and analysis).
pub trait Element:
    Vectors
    + Coefficients
    + Copy
    + Default
    + Debug
    + Display
    + PartialEq
    + PartialOrd
    + Send
    + Sync
    + Add<Output = Self>
    + AddAssign
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + From<f32>
    + Into<f64>
    + 'static
{
    /// Returns the nearest number to `x`.
    fn from_f64(x: f64) -> Self;

    /// Returns the square root.
    fn sqrt(self) -> Self;

    /// Returns e and f, `0 <= f < 1`, of a positive normal number `2^e (1 + f)`.
    fn split(self) -> [Self; 2];
}

impl Element for f32 {
    fn from_f64(x: f64) -> Self {
        x as f32
    }

    fn sqrt(self) -> Self {
        f32::sqrt(self)
    }

    /// The exponent, as the last bits of 2^23, becomes a number without a conversion, which not every vector unit has.
    #[inline(always)]
    fn split(self) -> [Self; 2] {
        let bits = self.to_bits();
        let biased = Self::from_bits((bits >> 23) | 0x4B00_0000);
        let fraction = Self::from_bits((bits & 0x007F_FFFF) | 0x3F80_0000);
        [biased - 8_388_735.0, fraction - 1.0] // 2^23 + 127
    }
}

impl Element for f64 {
    fn from_f64(x: f64) -> Self {
        x
    }

    fn sqrt(self) -> Self {
        f64::sqrt(self)
    }

    /// As in single precision, with 2^52.
    #[inline(always)]
    fn split(self) -> [Self; 2] {
        let bits = self.to_bits();
        let biased = Self::from_bits((bits >> 52) | 0x4330_0000_0000_0000);
        let fraction = Self::from_bits((bits & 0x000F_FFFF_FFFF_FFFF) | 0x3FF0_0000_0000_0000);
        [biased - 4_503_599_627_371_519.0, fraction - 1.0] // 2^52 + 1023
    }
}

/// Work that is written once for every vector type.
pub trait Job<E> {
    /// Result of the work.
    type Output;

    /// Does the work with vectors `S`. Implementations are `#[inline(always)]`, so that the instruction set of the
    /// function around them reaches every operation.
    fn run<S: Simd<Elem = E>>(self) -> Self::Output;
}

/// Vector types of an element, and the entry to the functions compiled for them.
pub trait Vectors: Sized {
    /// Runs `job` with the vectors of `path`.
    ///
    /// # Panics
    /// If the CPU lacks the instructions of `path`.
    fn dispatch<J: Job<Self>>(path: KernelPath, job: J) -> J::Output;
}

/// Length that padded rows are a multiple of: whole vectors of every path.
pub(crate) const GROUP: usize = 16;

/// Splits a padded row into groups. Code for each vector of several rows then needs no check of their lengths: see [`each_vector`].
#[inline(always)]
pub(crate) fn groups<E>(row: &[E]) -> &[[E; GROUP]] {
    row.as_chunks().0
}

/// Splits a padded row into groups, mutably; see [`groups`].
#[inline(always)]
pub(crate) fn groups_mut<E>(row: &mut [E]) -> &mut [[E; GROUP]] {
    row.as_chunks_mut().0
}

/// Runs a block for each vector of `$n` groups, with the group's number and the vector's first lane in it. It is a macro because
/// iterators and closures would not be compiled for the instruction set.
macro_rules! each_vector {
    ($simd:ty, $n:expr, |$group:ident, $lane:ident| $body:block) => {
        for $group in 0..$n {
            let mut $lane = 0;
            while $lane < $crate::simd::GROUP {
                $body
                $lane += <$simd>::LANES;
            }
        }
    };
}
pub(crate) use each_vector;

/// Vector of [`Simd::LANES`] numbers.
pub trait Simd:
    Copy
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
{
    /// Element type of a lane.
    type Elem: Element;

    /// Number of lanes.
    const LANES: usize;
    /// Number of rows that the inner loops of the products work on at once, by the number of registers: 8, 4 or 2, and no more than
    /// lanes.
    const ROWS: usize;
    /// Largest number of vectors side by side that these loops work on at once: 3 or 2.
    const VECTORS: usize;

    /// Returns a vector with `x` in every lane.
    fn splat(x: Self::Elem) -> Self;

    /// Reads a vector.
    ///
    /// # Safety
    /// `LANES` numbers must be readable from `from` on.
    unsafe fn load_from(from: *const Self::Elem) -> Self;

    /// Writes the vector.
    ///
    /// # Safety
    /// `LANES` numbers must be writable from `to` on.
    unsafe fn store_to(self, to: *mut Self::Elem);

    /// Reads `n <= LANES` numbers; the other lanes are zero.
    ///
    /// # Safety
    /// `n` numbers must be readable from `from` on.
    unsafe fn load_first(from: *const Self::Elem, n: usize) -> Self;

    /// Writes the first `n <= LANES` lanes.
    ///
    /// # Safety
    /// `n` numbers must be writable from `to` on.
    unsafe fn store_first(self, to: *mut Self::Elem, n: usize);

    /// Returns `self * b + c`, rounded once where the CPU can.
    fn mul_add(self, b: Self, c: Self) -> Self;

    /// Returns the larger of the lane and `low`; NaN stays NaN.
    fn at_least(self, low: Self) -> Self;

    /// Returns the smaller of the lane and `high`; NaN stays NaN.
    fn at_most(self, high: Self) -> Self;

    /// Returns the square root.
    fn sqrt(self) -> Self;

    /// Returns the nearest integer, ties to even.
    fn round(self) -> Self;

    /// Returns `2^n` for an integer `n` in the exponent range of normal numbers.
    fn exp2(self) -> Self;

    /// Returns `a` in the lanes where `self > 0`, else `b`.
    fn positive_or(self, a: Self, b: Self) -> Self;

    /// Returns the sum of the lanes, in an order fixed by the path.
    fn sum(self) -> Self::Elem;

    /// Runs `job` in a function of its own for this instruction set, so that it is compiled once and has all registers.
    fn outlined<J: Job<Self::Elem>>(job: J) -> J::Output;

    /// True if [`Simd::four_by_three`] is implemented, for paths whose registers it fills so exactly that the compiler fails to
    /// keep the sums in them.
    const FOUR_BY_THREE: bool = false;

    /// Runs the inner loop of the products for four rows by three vectors: `sums[m][v] += x[m] w[v]`, `n` times, with `x` and `w`
    /// moving on by a number of bytes after each.
    ///
    /// # Safety
    /// `n` numbers at each of `x` and `n` vectors at each of `w` are readable, their steps apart.
    unsafe fn four_by_three(
        _sums: [[Self; 3]; 4],
        _x: ([*const Self::Elem; 4], usize),
        _w: ([*const Self::Elem; 3], usize),
        _n: usize,
    ) -> [[Self; 3]; 4] {
        unreachable!("asked for on a path that has none")
    }

    /// Returns the normals of [`NORMALS`] adjacent units for four time steps, the same bits on every path:
    /// `ctrnn_random::unit_normals_lanes`.
    #[inline(always)]
    fn unit_normals(
        key: Key,
        first_unit: u32,
        [trial, time_block, step]: [u32; 3],
    ) -> [[f32; NORMALS]; 4] {
        unit_normals_lanes(key, first_unit, trial, time_block, step)
    }

    /// Reads the vector that starts at `from[at]`; lanes beyond the end of `from` are zero.
    #[inline(always)]
    fn load(from: &[Self::Elem], at: usize) -> Self {
        if from.len() >= at + Self::LANES {
            // SAFETY: just compared.
            unsafe { Self::load_from(from.as_ptr().add(at)) }
        } else {
            let rest = &from[at..];
            // SAFETY: as many numbers as the slice has, fewer than `LANES`.
            unsafe { Self::load_first(rest.as_ptr(), rest.len()) }
        }
    }

    /// Writes the vector from `to[at]` on; lanes beyond the end of `to` are dropped.
    #[inline(always)]
    fn store(self, to: &mut [Self::Elem], at: usize) {
        if to.len() >= at + Self::LANES {
            // SAFETY: just compared.
            unsafe { self.store_to(to.as_mut_ptr().add(at)) }
        } else {
            let rest = &mut to[at..];
            // SAFETY: as many numbers as the slice has, fewer than `LANES`.
            unsafe { self.store_first(rest.as_mut_ptr(), rest.len()) }
        }
    }

    /// Returns zero in the lanes whose size is below [`Coefficients::NEGLIGIBLE`], and the lane elsewhere; NaN stays NaN.
    #[inline(always)]
    fn without_negligible(self) -> Self {
        let size = self.at_least(-self);
        (Self::splat(Self::Elem::NEGLIGIBLE) - size)
            .positive_or(Self::splat(Self::Elem::default()), self)
    }

    /// Returns `self sign(r)`, which is zero where `r` is.
    #[inline(always)]
    fn times_sign_of(self, r: Self) -> Self {
        let zero = Self::splat(Self::Elem::default());
        r.positive_or(self, (-r).positive_or(-self, zero))
    }

    /// Returns `|self|`.
    #[inline(always)]
    fn abs(self) -> Self {
        self.positive_or(self, -self)
    }
}
