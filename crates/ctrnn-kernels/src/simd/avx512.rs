//! AVX-512: 16 numbers of 32 bits or 8 of 64, 32 registers, masked loads and stores.

use std::arch::x86_64::*;
use std::ops::{Add, Div, Mul, Neg, Sub};

use ctrnn_random::{Key, normal};

use super::{Job, NORMALS, Simd};

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
     $add:ident, $sub:ident, $mul:ident, $div:ident, $fma:ident, $max:ident, $sqrt:ident, $round:ident, $scale:ident,
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
                // SAFETY: see above; the caller vouches for the pointer.
                Self(unsafe { $load(from) })
            }
            #[inline(always)]
            unsafe fn store_to(self, to: *mut $elem) {
                // SAFETY: see above; the caller vouches for the pointer.
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
                // The second operand is the result where one is not a number.
                // SAFETY: see above.
                Self(unsafe { $max(low.0, self.0) })
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
    _mm512_max_ps,
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
    _mm512_max_pd,
    _mm512_sqrt_pd,
    _mm512_roundscale_pd,
    _mm512_scalef_pd,
    _mm512_cmp_pd_mask,
    _mm512_mask_blend_pd,
    _mm512_reduce_add_pd
);

/// `ctrnn_random::unit_normals_lanes`, operation by operation; a test compares the bits.
///
/// # Safety
/// The CPU must have the features of `run_f32`.
#[inline(always)]
unsafe fn unit_normals(key: Key, first_unit: u32, address: [u32; 3]) -> [[f32; NORMALS]; 4] {
    // SAFETY: handed on to the caller.
    unsafe {
        let units = _mm512_setr_epi64(0, 1, 2, 3, 4, 5, 6, 7);
        let low = philox(
            key,
            _mm512_add_epi64(units, _mm512_set1_epi64(i64::from(first_unit))),
            address,
        );
        let high = philox(
            key,
            _mm512_add_epi64(units, _mm512_set1_epi64(i64::from(first_unit) + 8)),
            address,
        );
        let (a, b) = box_muller(low_words(low[0], high[0]), low_words(low[1], high[1]));
        let (c, d) = box_muller(low_words(low[2], high[2]), low_words(low[3], high[3]));
        let mut normals = [[0.0; NORMALS]; 4];
        _mm512_storeu_ps(normals[0].as_mut_ptr(), a);
        _mm512_storeu_ps(normals[1].as_mut_ptr(), b);
        _mm512_storeu_ps(normals[2].as_mut_ptr(), c);
        _mm512_storeu_ps(normals[3].as_mut_ptr(), d);
        normals
    }
}

/// The low halves of 64-bit lanes, those of `first` before those of `second`. (A function, as a closure would not be compiled
/// for the instruction set.)
///
/// # Safety
/// The CPU must have the features of `run_f32`.
#[inline(always)]
unsafe fn low_words(first: __m512i, second: __m512i) -> __m512i {
    // SAFETY: handed on to the caller.
    unsafe {
        let first = _mm512_castsi256_si512(_mm512_cvtepi64_epi32(first));
        _mm512_inserti64x4::<1>(first, _mm512_cvtepi64_epi32(second))
    }
}

/// `ctrnn_random::philox` with each word in the low half of a 64-bit lane. The multiplication reads that half alone, so whatever
/// is left in the other does no harm.
///
/// # Safety
/// The CPU must have the features of `run_f32`.
#[inline(always)]
unsafe fn philox(key: Key, units: __m512i, address: [u32; 3]) -> [__m512i; 4] {
    // SAFETY: handed on to the caller.
    unsafe {
        let word = |x: u32| _mm512_set1_epi64(i64::from(x));
        let (m0, m1) = (word(0xD251_1F53), word(0xCD9E_8D57));
        let [mut k0, mut k1] = key.0;
        let [mut c0, mut c1, mut c2, mut c3] =
            [units, word(address[0]), word(address[1]), word(address[2])];
        for _ in 0..10 {
            let (a, b) = (_mm512_mul_epu32(c0, m0), _mm512_mul_epu32(c2, m1));
            c0 = _mm512_ternarylogic_epi64::<XOR3>(_mm512_srli_epi64::<32>(b), c1, word(k0));
            c2 = _mm512_ternarylogic_epi64::<XOR3>(_mm512_srli_epi64::<32>(a), c3, word(k1));
            (c1, c3) = (b, a);
            k0 = k0.wrapping_add(0x9E37_79B9);
            k1 = k1.wrapping_add(0xBB67_AE85);
        }
        [c0, c1, c2, c3]
    }
}

/// `a ^ b ^ c` as a truth table.
const XOR3: i32 = 0x96;

/// `ctrnn_random::normal::box_muller`.
///
/// # Safety
/// The CPU must have the features of `run_f32`.
#[inline(always)]
unsafe fn box_muller(radius: __m512i, angle: __m512i) -> (__m512, __m512) {
    // SAFETY: handed on to the caller.
    unsafe {
        let r = _mm512_sqrt_ps(_mm512_mul_ps(_mm512_set1_ps(-2.0), ln(radius)));
        let (sin, cos) = sin_cos_2pi(angle);
        (_mm512_mul_ps(r, cos), _mm512_mul_ps(r, sin))
    }
}

/// `ctrnn_random::normal::ln`.
///
/// # Safety
/// The CPU must have the features of `run_f32`.
#[inline(always)]
unsafe fn ln(word: __m512i) -> __m512 {
    // SAFETY: handed on to the caller.
    unsafe {
        let signed = _mm512_cvtepi32_ps(_mm512_or_si512(word, _mm512_set1_epi32(1)));
        let bits = _mm512_castps_si512(signed);
        let exponent = _mm512_sub_epi32(_mm512_srli_epi32::<23>(bits), _mm512_set1_epi32(126 + 32));
        let mantissa = _mm512_and_si512(bits, _mm512_set1_epi32(0x007F_FFFF));
        let mantissa =
            _mm512_castsi512_ps(_mm512_or_si512(mantissa, _mm512_set1_epi32(0x3F00_0000)));
        let lower = _mm512_cmp_ps_mask::<_CMP_GE_OQ>(signed, _mm512_setzero_ps());
        let upper = _mm512_mul_ps(signed, _mm512_set1_ps(normal::WORD));
        let f = _mm512_mask_sub_ps(upper, lower, mantissa, _mm512_set1_ps(1.0));
        let ln_2 = _mm512_set1_ps(std::f32::consts::LN_2);
        let whole = _mm512_maskz_mul_ps(lower, _mm512_cvtepi32_ps(exponent), ln_2);
        _mm512_add_ps(whole, _mm512_mul_ps(f, polynomial(&normal::LN, f)))
    }
}

/// `ctrnn_random::normal::sin_cos_2pi`.
///
/// # Safety
/// The CPU must have the features of `run_f32`.
#[inline(always)]
unsafe fn sin_cos_2pi(word: __m512i) -> (__m512, __m512) {
    // SAFETY: handed on to the caller.
    unsafe {
        let quadrant = _mm512_srli_epi32::<30>(_mm512_add_epi32(word, _mm512_set1_epi32(1 << 29)));
        let rest = _mm512_sub_epi32(word, _mm512_slli_epi32::<30>(quadrant));
        let t = _mm512_mul_ps(_mm512_cvtepi32_ps(rest), _mm512_set1_ps(normal::WORD));
        let z = _mm512_mul_ps(t, t);
        let sin = _mm512_mul_ps(t, polynomial(&normal::SIN, z));
        let cos = polynomial(&normal::COS, z);
        let swap = _mm512_test_epi32_mask(quadrant, _mm512_set1_epi32(1));
        let next = _mm512_add_epi32(quadrant, _mm512_set1_epi32(1));
        (
            negated_if_bit_1(_mm512_mask_blend_ps(swap, sin, cos), quadrant),
            negated_if_bit_1(_mm512_mask_blend_ps(swap, cos, sin), next),
        )
    }
}

/// `-x` in the lanes where bit 1 of `quadrant` is set.
///
/// # Safety
/// The CPU must have the features of `run_f32`.
#[inline(always)]
unsafe fn negated_if_bit_1(x: __m512, quadrant: __m512i) -> __m512 {
    // SAFETY: handed on to the caller.
    unsafe {
        let sign = _mm512_slli_epi32::<30>(_mm512_and_si512(quadrant, _mm512_set1_epi32(2)));
        _mm512_castsi512_ps(_mm512_xor_si512(_mm512_castps_si512(x), sign))
    }
}

/// Horner's scheme, with multiplication and addition rounded apart as in `ctrnn_random::normal`.
///
/// # Safety
/// The CPU must have the features of `run_f32`.
#[inline(always)]
unsafe fn polynomial<const N: usize>(coefficients: &[f32; N], x: __m512) -> __m512 {
    // SAFETY: handed on to the caller.
    unsafe {
        let mut sum = _mm512_set1_ps(coefficients[N - 1]);
        for i in (0..N - 1).rev() {
            sum = _mm512_add_ps(_mm512_mul_ps(sum, x), _mm512_set1_ps(coefficients[i]));
        }
        sum
    }
}
