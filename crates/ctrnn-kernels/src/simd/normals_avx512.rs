//! Standard normals with AVX-512, sixteen units at once.

use std::arch::x86_64::*;

use ctrnn_random::{Key, normal};

use super::vector::NORMALS;

/// Computes `ctrnn_random::unit_normals_lanes`, operation by operation; a test compares the bits.
///
/// # Safety
/// The CPU must have the features of `avx512.rs`.
#[inline(always)]
pub(super) unsafe fn unit_normals(
    key: Key,
    first_unit: u32,
    address: [u32; 3],
) -> [[f32; NORMALS]; 4] {
    // SAFETY: the caller guarantees what the callees need.
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

/// Returns the low halves of 64-bit lanes, those of `first` before those of `second`. It is a function because a closure would not
/// be compiled for the instruction set.
///
/// # Safety
/// The CPU must have the features of `avx512.rs`.
#[inline(always)]
unsafe fn low_words(first: __m512i, second: __m512i) -> __m512i {
    // SAFETY: the caller guarantees what the callees need.
    unsafe {
        let first = _mm512_castsi256_si512(_mm512_cvtepi64_epi32(first));
        _mm512_inserti64x4::<1>(first, _mm512_cvtepi64_epi32(second))
    }
}

/// Applies `ctrnn_random::philox` with each word in the low half of a 64-bit lane. The multiplication reads that half alone, so the
/// content of the other does not matter.
///
/// # Safety
/// The CPU must have the features of `avx512.rs`.
#[inline(always)]
unsafe fn philox(key: Key, units: __m512i, address: [u32; 3]) -> [__m512i; 4] {
    // SAFETY: the caller guarantees what the callees need.
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

/// Truth table of `a ^ b ^ c`.
const XOR3: i32 = 0x96;

/// Computes `ctrnn_random::normal::box_muller`.
///
/// # Safety
/// The CPU must have the features of `avx512.rs`.
#[inline(always)]
unsafe fn box_muller(radius: __m512i, angle: __m512i) -> (__m512, __m512) {
    // SAFETY: the caller guarantees what the callees need.
    unsafe {
        let r = _mm512_sqrt_ps(_mm512_mul_ps(_mm512_set1_ps(-2.0), ln(radius)));
        let (sin, cos) = sin_cos_2pi(angle);
        (_mm512_mul_ps(r, cos), _mm512_mul_ps(r, sin))
    }
}

/// Computes `ctrnn_random::normal::ln`.
///
/// # Safety
/// The CPU must have the features of `avx512.rs`.
#[inline(always)]
unsafe fn ln(word: __m512i) -> __m512 {
    // SAFETY: the caller guarantees what the callees need.
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

/// Computes `ctrnn_random::normal::sin_cos_2pi`.
///
/// # Safety
/// The CPU must have the features of `avx512.rs`.
#[inline(always)]
unsafe fn sin_cos_2pi(word: __m512i) -> (__m512, __m512) {
    // SAFETY: the caller guarantees what the callees need.
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

/// Returns `-x` in the lanes where bit 1 of `quadrant` is set, `x` in the others.
///
/// # Safety
/// The CPU must have the features of `avx512.rs`.
#[inline(always)]
unsafe fn negated_if_bit_1(x: __m512, quadrant: __m512i) -> __m512 {
    // SAFETY: the caller guarantees what the callees need.
    unsafe {
        let sign = _mm512_slli_epi32::<30>(_mm512_and_si512(quadrant, _mm512_set1_epi32(2)));
        _mm512_castsi512_ps(_mm512_xor_si512(_mm512_castps_si512(x), sign))
    }
}

/// Evaluates a polynomial by Horner's scheme, with multiplication and addition rounded separately as in `ctrnn_random::normal`.
///
/// # Safety
/// The CPU must have the features of `avx512.rs`.
#[inline(always)]
unsafe fn polynomial<const N: usize>(coefficients: &[f32; N], x: __m512) -> __m512 {
    // SAFETY: the caller guarantees what the callees need.
    unsafe {
        let mut sum = _mm512_set1_ps(coefficients[N - 1]);
        for i in (0..N - 1).rev() {
            sum = _mm512_add_ps(_mm512_mul_ps(sum, x), _mm512_set1_ps(coefficients[i]));
        }
        sum
    }
}
