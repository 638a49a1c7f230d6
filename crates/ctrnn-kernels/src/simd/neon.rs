//! NEON on 64-bit ARM: 4 numbers of 32 bits or 2 of 64, 32 registers.

use std::arch::aarch64::*;
use std::ops::{Add, Div, Mul, Neg, Sub};

use super::vector::{Job, Simd};

/// Runs `job` with vectors of `f32`.
///
/// # Safety
/// The CPU must have the feature.
#[inline(never)]
#[target_feature(enable = "neon")]
pub(super) unsafe fn run_f32<J: Job<f32>>(job: J) -> J::Output {
    job.run::<F32x4>()
}

/// Runs `job` with vectors of `f64`.
///
/// # Safety
/// The CPU must have the feature.
#[inline(never)]
#[target_feature(enable = "neon")]
pub(super) unsafe fn run_f64<J: Job<f64>>(job: J) -> J::Output {
    job.run::<F64x2>()
}

/// Four `f32`.
#[derive(Clone, Copy)]
pub(crate) struct F32x4(float32x4_t);

/// Two `f64`.
#[derive(Clone, Copy)]
pub(crate) struct F64x2(float64x2_t);

/// Returns `2^n` by building the exponent field.
#[inline(always)]
fn exp2_f32(n: float32x4_t) -> float32x4_t {
    // SAFETY: called by the vector types below alone.
    unsafe {
        let exponent = vaddq_s32(vcvtnq_s32_f32(n), vdupq_n_s32(127));
        vreinterpretq_f32_s32(vshlq_n_s32::<23>(exponent))
    }
}

/// Returns `2^n` by building the exponent field.
#[inline(always)]
fn exp2_f64(n: float64x2_t) -> float64x2_t {
    // SAFETY: called by the vector types below alone.
    unsafe {
        let exponent = vaddq_s64(vcvtnq_s64_f64(n), vdupq_n_s64(1023));
        vreinterpretq_f64_s64(vshlq_n_s64::<52>(exponent))
    }
}

// Every block below calls instructions of the feature that `run_f32` and `run_f64` enable, the only ways to these types.
macro_rules! vector {
    ($name:ident, $elem:ty, $lanes:literal, $run:ident, $exp2:ident,
     $splat:ident, $load:ident, $store:ident,
     $add:ident, $sub:ident, $mul:ident, $div:ident, $fma:ident, [$max:ident, $min:ident], $sqrt:ident, $round:ident,
     $greater:ident, $select:ident, $sum:ident) => {
        impl Add for $name {
            type Output = Self;
            #[inline(always)]
            fn add(self, o: Self) -> Self {
                // SAFETY: see above.
                Self(unsafe { $add(self.0, o.0) })
            }
        }
        impl Sub for $name {
            type Output = Self;
            #[inline(always)]
            fn sub(self, o: Self) -> Self {
                // SAFETY: see above.
                Self(unsafe { $sub(self.0, o.0) })
            }
        }
        impl Mul for $name {
            type Output = Self;
            #[inline(always)]
            fn mul(self, o: Self) -> Self {
                // SAFETY: see above.
                Self(unsafe { $mul(self.0, o.0) })
            }
        }
        impl Div for $name {
            type Output = Self;
            #[inline(always)]
            fn div(self, o: Self) -> Self {
                // SAFETY: see above.
                Self(unsafe { $div(self.0, o.0) })
            }
        }
        impl Neg for $name {
            type Output = Self;
            #[inline(always)]
            fn neg(self) -> Self {
                Self::splat(-0.0) - self
            }
        }
        impl Simd for $name {
            type Elem = $elem;
            const LANES: usize = $lanes;
            const ROWS: usize = $lanes;
            const VECTORS: usize = 3;

            #[inline(always)]
            fn outlined<J: Job<$elem>>(job: J) -> J::Output {
                // SAFETY: see above.
                unsafe { $run(job) }
            }
            #[inline(always)]
            fn splat(x: $elem) -> Self {
                // SAFETY: see above.
                Self(unsafe { $splat(x) })
            }
            #[inline(always)]
            unsafe fn load_from(from: *const $elem) -> Self {
                // SAFETY: see above; the caller guarantees the pointer.
                Self(unsafe { $load(from) })
            }
            #[inline(always)]
            unsafe fn store_to(self, to: *mut $elem) {
                // SAFETY: see above; the caller guarantees the pointer.
                unsafe { $store(to, self.0) }
            }
            #[inline(always)]
            unsafe fn load_first(from: *const $elem, n: usize) -> Self {
                let mut lanes = [0.0; $lanes];
                // SAFETY: the caller guarantees `n` numbers; the array holds a vector.
                unsafe {
                    lanes[..n].copy_from_slice(std::slice::from_raw_parts(from, n));
                    Self::load_from(lanes.as_ptr())
                }
            }
            #[inline(always)]
            unsafe fn store_first(self, to: *mut $elem, n: usize) {
                let mut lanes = [0.0; $lanes];
                // SAFETY: the array holds a vector; the caller guarantees `n` numbers.
                unsafe {
                    self.store_to(lanes.as_mut_ptr());
                    std::slice::from_raw_parts_mut(to, n).copy_from_slice(&lanes[..n]);
                }
            }
            #[inline(always)]
            fn mul_add(self, b: Self, c: Self) -> Self {
                // SAFETY: see above.
                Self(unsafe { $fma(c.0, self.0, b.0) })
            }
            #[inline(always)]
            fn at_least(self, low: Self) -> Self {
                // This instruction keeps NaN.
                // SAFETY: see above.
                Self(unsafe { $max(low.0, self.0) })
            }
            #[inline(always)]
            fn at_most(self, high: Self) -> Self {
                // SAFETY: see above; NaN as in `at_least`.
                Self(unsafe { $min(high.0, self.0) })
            }
            #[inline(always)]
            fn sqrt(self) -> Self {
                // SAFETY: see above.
                Self(unsafe { $sqrt(self.0) })
            }
            #[inline(always)]
            fn round(self) -> Self {
                // SAFETY: see above.
                Self(unsafe { $round(self.0) })
            }
            #[inline(always)]
            fn exp2(self) -> Self {
                Self($exp2(self.0))
            }
            #[inline(always)]
            fn positive_or(self, a: Self, b: Self) -> Self {
                // SAFETY: see above.
                Self(unsafe { $select($greater(self.0, $splat(0.0)), a.0, b.0) })
            }
            #[inline(always)]
            fn sum(self) -> $elem {
                // SAFETY: see above.
                unsafe { $sum(self.0) }
            }
        }
    };
}

vector!(
    F32x4,
    f32,
    4,
    run_f32,
    exp2_f32,
    vdupq_n_f32,
    vld1q_f32,
    vst1q_f32,
    vaddq_f32,
    vsubq_f32,
    vmulq_f32,
    vdivq_f32,
    vfmaq_f32,
    [vmaxq_f32, vminq_f32],
    vsqrtq_f32,
    vrndnq_f32,
    vcgtq_f32,
    vbslq_f32,
    vaddvq_f32
);
vector!(
    F64x2,
    f64,
    2,
    run_f64,
    exp2_f64,
    vdupq_n_f64,
    vld1q_f64,
    vst1q_f64,
    vaddq_f64,
    vsubq_f64,
    vmulq_f64,
    vdivq_f64,
    vfmaq_f64,
    [vmaxq_f64, vminq_f64],
    vsqrtq_f64,
    vrndnq_f64,
    vcgtq_f64,
    vbslq_f64,
    vaddvq_f64
);
