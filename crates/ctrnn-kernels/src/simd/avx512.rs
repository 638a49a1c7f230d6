//! AVX-512: 16 numbers of 32 bits or 8 of 64, 32 registers, masked loads and stores.

use std::arch::x86_64::*;
use std::ops::{Add, Div, Mul, Neg, Sub};

use ctrnn_random::Key;

use super::normals_avx512::unit_normals;
use super::vector::{Job, NORMALS, Simd};

/// Runs `job` with vectors of `f32`.
///
/// # Safety
/// The CPU must have the features.
#[inline(never)]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
pub(super) unsafe fn run_f32<J: Job<f32>>(job: J) -> J::Output {
    job.run::<F32x16>()
}

/// Runs `job` with vectors of `f64`.
///
/// # Safety
/// The CPU must have the features.
#[inline(never)]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
pub(super) unsafe fn run_f64<J: Job<f64>>(job: J) -> J::Output {
    job.run::<F64x8>()
}

/// Sixteen `f32`.
#[derive(Clone, Copy)]
pub(crate) struct F32x16(__m512);

/// Eight `f64`.
#[derive(Clone, Copy)]
pub(crate) struct F64x8(__m512d);

// Every block below calls instructions of the features that `run_f32` and `run_f64` enable, the only ways to these types.
macro_rules! vector {
    ($name:ident, $elem:ty, $lanes:literal, $run:ident, $mask:ty,
     $splat:ident, $load:ident, $store:ident, $load_masked:ident, $store_masked:ident,
     $add:ident, $sub:ident, $mul:ident, $div:ident, $fma:ident, [$max:ident, $min:ident], $sqrt:ident, $round:ident, $scale:ident,
     $compare:ident, $blend:ident, $sum:ident) => {
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
            const ROWS: usize = 8;
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
                // SAFETY: see above; lanes outside the mask are not touched.
                Self(unsafe { $load_masked(((1u32 << n) - 1) as $mask, from) })
            }
            #[inline(always)]
            unsafe fn store_first(self, to: *mut $elem, n: usize) {
                // SAFETY: see above; lanes outside the mask are not touched.
                unsafe { $store_masked(to, ((1u32 << n) - 1) as $mask, self.0) }
            }
            #[inline(always)]
            fn mul_add(self, b: Self, c: Self) -> Self {
                // SAFETY: see above.
                Self(unsafe { $fma(self.0, b.0, c.0) })
            }
            #[inline(always)]
            fn at_least(self, low: Self) -> Self {
                // The instruction returns its second operand if one is NaN, so that a NaN lane stays NaN.
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
                Self(unsafe { $round::<0>(self.0) })
            }
            #[inline(always)]
            fn exp2(self) -> Self {
                // SAFETY: see above.
                Self(unsafe { $scale($splat(1.0), self.0) })
            }
            #[inline(always)]
            fn positive_or(self, a: Self, b: Self) -> Self {
                // SAFETY: see above.
                Self(unsafe { $blend($compare::<_CMP_GT_OQ>(self.0, $splat(0.0)), b.0, a.0) })
            }
            #[inline(always)]
            fn unit_normals(key: Key, first_unit: u32, address: [u32; 3]) -> [[f32; NORMALS]; 4] {
                // SAFETY: see above.
                unsafe { unit_normals(key, first_unit, address) }
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
    F32x16,
    f32,
    16,
    run_f32,
    __mmask16,
    _mm512_set1_ps,
    _mm512_loadu_ps,
    _mm512_storeu_ps,
    _mm512_maskz_loadu_ps,
    _mm512_mask_storeu_ps,
    _mm512_add_ps,
    _mm512_sub_ps,
    _mm512_mul_ps,
    _mm512_div_ps,
    _mm512_fmadd_ps,
    [_mm512_max_ps, _mm512_min_ps],
    _mm512_sqrt_ps,
    _mm512_roundscale_ps,
    _mm512_scalef_ps,
    _mm512_cmp_ps_mask,
    _mm512_mask_blend_ps,
    _mm512_reduce_add_ps
);
vector!(
    F64x8,
    f64,
    8,
    run_f64,
    __mmask8,
    _mm512_set1_pd,
    _mm512_loadu_pd,
    _mm512_storeu_pd,
    _mm512_maskz_loadu_pd,
    _mm512_mask_storeu_pd,
    _mm512_add_pd,
    _mm512_sub_pd,
    _mm512_mul_pd,
    _mm512_div_pd,
    _mm512_fmadd_pd,
    [_mm512_max_pd, _mm512_min_pd],
    _mm512_sqrt_pd,
    _mm512_roundscale_pd,
    _mm512_scalef_pd,
    _mm512_cmp_pd_mask,
    _mm512_mask_blend_pd,
    _mm512_reduce_add_pd
);
