//! AVX2 with FMA: 8 numbers of 32 bits or 4 of 64, 16 registers.

use std::arch::asm;
use std::arch::x86_64::*;
use std::ops::{Add, Div, Mul, Neg, Sub};

use ctrnn_random::Key;

use super::normals_avx2::unit_normals;
use super::vector::{Job, NORMALS, Simd};

/// Runs `job` with vectors of `f32`.
///
/// # Safety
/// The CPU must have the features.
#[inline(never)]
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn run_f32<J: Job<f32>>(job: J) -> J::Output {
    job.run::<F32x8>()
}

/// Runs `job` with vectors of `f64`.
///
/// # Safety
/// The CPU must have the features.
#[inline(never)]
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn run_f64<J: Job<f64>>(job: J) -> J::Output {
    job.run::<F64x4>()
}

/// Eight `f32`.
#[derive(Clone, Copy)]
pub(crate) struct F32x8(__m256);

/// Four `f64`.
#[derive(Clone, Copy)]
pub(crate) struct F64x4(__m256d);

/// Returns `2^n` by building the exponent field.
#[inline(always)]
fn exp2_f32(n: __m256) -> __m256 {
    // SAFETY: called by the vector types below alone.
    unsafe {
        let exponent = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
        _mm256_castsi256_ps(_mm256_slli_epi32::<23>(exponent))
    }
}

/// Returns `2^n` by building the exponent field.
#[inline(always)]
fn exp2_f64(n: __m256d) -> __m256d {
    // SAFETY: called by the vector types below alone.
    unsafe {
        let exponent = _mm256_cvtepi32_epi64(_mm256_cvtpd_epi32(n));
        let exponent = _mm256_add_epi64(exponent, _mm256_set1_epi64x(1023));
        _mm256_castsi256_pd(_mm256_slli_epi64::<52>(exponent))
    }
}

// Every block below calls instructions of the features that `run_f32` and `run_f64` enable, the only ways to these types.
macro_rules! vector {
    ($name:ident, $elem:ty, $lanes:literal, $run:ident, $exp2:ident,
     $splat:ident, $load:ident, $store:ident,
     $add:ident, $sub:ident, $mul:ident, $div:ident, $fma:ident, [$max:ident, $min:ident], $sqrt:ident, $round:ident,
     $compare:ident, $blend:ident,
     $four_by_three:ident, $move:literal, $broadcast:literal, $multiply_add:literal) => {
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
        /// Runs the loop of [`Simd::four_by_three`]: twelve sums, three vectors of `w` and one of `x` are all the registers.
            ///
            /// # Safety
            /// The contract of [`Simd::four_by_three`]; and the CPU must have the features.
            #[inline]
            #[target_feature(enable = "avx2,fma")]
            unsafe fn $four_by_three(
                mut sums: [[$name; 3]; 4],
                (x, x_step): ([*const $elem; 4], usize),
                (w, w_step): ([*const $elem; 3], usize),
                n: usize,
            ) -> [[$name; 3]; 4] {
                if n == 0 {
                    return sums;
                }
                // SAFETY: it reads what the caller guarantees to be readable, and writes registers alone.
                unsafe {
                    asm!(
                        "2:",
                        concat!($move, " {v0}, [{w0} + {j}]"),
                        concat!($move, " {v1}, [{w1} + {j}]"),
                        concat!($move, " {v2}, [{w2} + {j}]"),
                        concat!($broadcast, " {y}, [{x0} + {i}]"),
                        concat!($multiply_add, " {s00}, {y}, {v0}"),
                        concat!($multiply_add, " {s01}, {y}, {v1}"),
                        concat!($multiply_add, " {s02}, {y}, {v2}"),
                        concat!($broadcast, " {y}, [{x1} + {i}]"),
                        concat!($multiply_add, " {s10}, {y}, {v0}"),
                        concat!($multiply_add, " {s11}, {y}, {v1}"),
                        concat!($multiply_add, " {s12}, {y}, {v2}"),
                        concat!($broadcast, " {y}, [{x2} + {i}]"),
                        concat!($multiply_add, " {s20}, {y}, {v0}"),
                        concat!($multiply_add, " {s21}, {y}, {v1}"),
                        concat!($multiply_add, " {s22}, {y}, {v2}"),
                        concat!($broadcast, " {y}, [{x3} + {i}]"),
                        concat!($multiply_add, " {s30}, {y}, {v0}"),
                        concat!($multiply_add, " {s31}, {y}, {v1}"),
                        concat!($multiply_add, " {s32}, {y}, {v2}"),
                        "add {i}, {x_step}",
                        "add {j}, {w_step}",
                        "dec {n}",
                        "jnz 2b",
                        x0 = in(reg) x[0], x1 = in(reg) x[1], x2 = in(reg) x[2], x3 = in(reg) x[3],
                        w0 = in(reg) w[0], w1 = in(reg) w[1], w2 = in(reg) w[2],
                        x_step = in(reg) x_step, w_step = in(reg) w_step,
                        i = inout(reg) 0_usize => _, j = inout(reg) 0_usize => _, n = inout(reg) n => _,
                        v0 = out(ymm_reg) _, v1 = out(ymm_reg) _, v2 = out(ymm_reg) _, y = out(ymm_reg) _,
                        s00 = inout(ymm_reg) sums[0][0].0,
                        s01 = inout(ymm_reg) sums[0][1].0,
                        s02 = inout(ymm_reg) sums[0][2].0,
                        s10 = inout(ymm_reg) sums[1][0].0,
                        s11 = inout(ymm_reg) sums[1][1].0,
                        s12 = inout(ymm_reg) sums[1][2].0,
                        s20 = inout(ymm_reg) sums[2][0].0,
                        s21 = inout(ymm_reg) sums[2][1].0,
                        s22 = inout(ymm_reg) sums[2][2].0,
                        s30 = inout(ymm_reg) sums[3][0].0,
                        s31 = inout(ymm_reg) sums[3][1].0,
                        s32 = inout(ymm_reg) sums[3][2].0,
                        options(nostack, readonly),
                    );
                }
                sums
            }

        impl Simd for $name {
            type Elem = $elem;
            const LANES: usize = $lanes;
            const ROWS: usize = 4;
            const VECTORS: usize = 3;
            const FOUR_BY_THREE: bool = true;

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
            unsafe fn four_by_three(
                sums: [[Self; 3]; 4],
                x: ([*const $elem; 4], usize),
                w: ([*const $elem; 3], usize),
                n: usize,
            ) -> [[Self; 3]; 4] {
                // SAFETY: see above; the caller guarantees the pointers.
                unsafe { $four_by_three(sums, x, w, n) }
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
                Self(unsafe { $round::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(self.0) })
            }
            #[inline(always)]
            fn exp2(self) -> Self {
                Self($exp2(self.0))
            }
            #[inline(always)]
            fn positive_or(self, a: Self, b: Self) -> Self {
                // SAFETY: see above.
                Self(unsafe { $blend(b.0, a.0, $compare::<_CMP_GT_OQ>(self.0, $splat(0.0))) })
            }
            #[inline(always)]
            fn unit_normals(key: Key, first_unit: u32, address: [u32; 3]) -> [[f32; NORMALS]; 4] {
                // SAFETY: see above.
                unsafe { unit_normals(key, first_unit, address) }
            }
            #[inline(always)]
            fn sum(self) -> $elem {
                let mut lanes = [0.0; $lanes];
                // SAFETY: the array holds a vector.
                unsafe { self.store_to(lanes.as_mut_ptr()) };
                let mut half = $lanes / 2;
                while half > 0 {
                    for i in 0..half {
                        lanes[i] += lanes[i + half];
                    }
                    half /= 2;
                }
                lanes[0]
            }
        }
    };
}

vector!(
    F32x8,
    f32,
    8,
    run_f32,
    exp2_f32,
    _mm256_set1_ps,
    _mm256_loadu_ps,
    _mm256_storeu_ps,
    _mm256_add_ps,
    _mm256_sub_ps,
    _mm256_mul_ps,
    _mm256_div_ps,
    _mm256_fmadd_ps,
    [_mm256_max_ps, _mm256_min_ps],
    _mm256_sqrt_ps,
    _mm256_round_ps,
    _mm256_cmp_ps,
    _mm256_blendv_ps,
    four_by_three_f32,
    "vmovups",
    "vbroadcastss",
    "vfmadd231ps"
);
vector!(
    F64x4,
    f64,
    4,
    run_f64,
    exp2_f64,
    _mm256_set1_pd,
    _mm256_loadu_pd,
    _mm256_storeu_pd,
    _mm256_add_pd,
    _mm256_sub_pd,
    _mm256_mul_pd,
    _mm256_div_pd,
    _mm256_fmadd_pd,
    [_mm256_max_pd, _mm256_min_pd],
    _mm256_sqrt_pd,
    _mm256_round_pd,
    _mm256_cmp_pd,
    _mm256_blendv_pd,
    four_by_three_f64,
    "vmovupd",
    "vbroadcastsd",
    "vfmadd231pd"
);
