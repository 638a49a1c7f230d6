//! Plain Rust: four numbers in an array, which the compiler may put into vector registers of the baseline.

use std::ops::{Add, Div, Mul, Neg, Sub};

use super::vector::{Element, Job, Simd};

const LANES: usize = 4;

/// Vector of four numbers.
#[derive(Clone, Copy)]
#[repr(align(16))]
pub(crate) struct Array<E>([E; LANES]);

/// Scalar functions that [`Element`] does not have.
pub(crate) trait Scalar: Element {
    fn square_root(self) -> Self;
    fn nearest(self) -> Self;
    fn power_of_two(self) -> Self;
}

impl Scalar for f32 {
    #[inline(always)]
    fn square_root(self) -> Self {
        self.sqrt()
    }
    /// Rounds by adding 1.5 2^23, which leaves no bits for a fraction; right for |x| < 2^22, far beyond any exponent.
    #[inline(always)]
    fn nearest(self) -> Self {
        const SHIFT: f32 = 12_582_912.0;
        (self + SHIFT) - SHIFT
    }
    #[inline(always)]
    fn power_of_two(self) -> Self {
        Self::from_bits(((self as i32 + 127) as u32) << 23)
    }
}

impl Scalar for f64 {
    #[inline(always)]
    fn square_root(self) -> Self {
        self.sqrt()
    }
    /// Rounds by adding 1.5 2^52, which leaves no bits for a fraction; right for |x| < 2^51, far beyond any exponent.
    #[inline(always)]
    fn nearest(self) -> Self {
        const SHIFT: f64 = 6_755_399_441_055_744.0;
        (self + SHIFT) - SHIFT
    }
    #[inline(always)]
    fn power_of_two(self) -> Self {
        Self::from_bits(((self as i64 + 1023) as u64) << 52)
    }
}

impl<E: Element> Array<E> {
    #[inline(always)]
    fn zip(self, o: Self, f: impl Fn(E, E) -> E) -> Self {
        Self([
            f(self.0[0], o.0[0]),
            f(self.0[1], o.0[1]),
            f(self.0[2], o.0[2]),
            f(self.0[3], o.0[3]),
        ])
    }
}

impl<E: Element> Add for Array<E> {
    type Output = Self;
    #[inline(always)]
    fn add(self, o: Self) -> Self {
        self.zip(o, |a, b| a + b)
    }
}

impl<E: Element> Sub for Array<E> {
    type Output = Self;
    #[inline(always)]
    fn sub(self, o: Self) -> Self {
        self.zip(o, |a, b| a - b)
    }
}

impl<E: Element> Mul for Array<E> {
    type Output = Self;
    #[inline(always)]
    fn mul(self, o: Self) -> Self {
        self.zip(o, |a, b| a * b)
    }
}

impl<E: Element> Div for Array<E> {
    type Output = Self;
    #[inline(always)]
    fn div(self, o: Self) -> Self {
        self.zip(o, |a, b| a / b)
    }
}

impl<E: Element> Neg for Array<E> {
    type Output = Self;
    #[inline(always)]
    fn neg(self) -> Self {
        Self(self.0.map(|x| -x))
    }
}

impl<E: Scalar> Simd for Array<E> {
    type Elem = E;
    const LANES: usize = LANES;
    const ROWS: usize = 4;
    const VECTORS: usize = 2;

    #[inline(never)]
    fn outlined<J: Job<E>>(job: J) -> J::Output {
        job.run::<Self>()
    }
    #[inline(always)]
    fn splat(x: E) -> Self {
        Self([x; LANES])
    }
    #[inline(always)]
    unsafe fn load_from(from: *const E) -> Self {
        // SAFETY: the caller guarantees a whole vector.
        Self(unsafe { from.cast::<[E; LANES]>().read_unaligned() })
    }
    #[inline(always)]
    unsafe fn store_to(self, to: *mut E) {
        // SAFETY: the caller guarantees a whole vector.
        unsafe { to.cast::<[E; LANES]>().write_unaligned(self.0) }
    }
    #[inline(always)]
    unsafe fn load_first(from: *const E, n: usize) -> Self {
        let mut lanes = [E::default(); LANES];
        // SAFETY: the caller guarantees `n` numbers.
        lanes[..n].copy_from_slice(unsafe { std::slice::from_raw_parts(from, n) });
        Self(lanes)
    }
    #[inline(always)]
    unsafe fn store_first(self, to: *mut E, n: usize) {
        // SAFETY: the caller guarantees `n` numbers.
        unsafe { std::slice::from_raw_parts_mut(to, n) }.copy_from_slice(&self.0[..n]);
    }
    #[inline(always)]
    fn mul_add(self, b: Self, c: Self) -> Self {
        self * b + c
    }
    #[inline(always)]
    fn at_least(self, low: Self) -> Self {
        self.zip(low, |x, low| if x < low { low } else { x })
    }
    #[inline(always)]
    fn at_most(self, high: Self) -> Self {
        self.zip(high, |x, high| if x > high { high } else { x })
    }
    #[inline(always)]
    fn sqrt(self) -> Self {
        Self(self.0.map(E::square_root))
    }
    #[inline(always)]
    fn round(self) -> Self {
        Self(self.0.map(E::nearest))
    }
    #[inline(always)]
    fn exp2(self) -> Self {
        Self(self.0.map(E::power_of_two))
    }
    #[inline(always)]
    fn positive_or(self, a: Self, b: Self) -> Self {
        let zero = E::default();
        Self(std::array::from_fn(|i| {
            if self.0[i] > zero { a.0[i] } else { b.0[i] }
        }))
    }
    #[inline(always)]
    fn sum(self) -> E {
        (self.0[0] + self.0[2]) + (self.0[1] + self.0[3])
    }
}
