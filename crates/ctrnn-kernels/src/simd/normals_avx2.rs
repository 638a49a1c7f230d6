//! Standard normals with AVX2, eight units at once.

use std::arch::x86_64::*;

use ctrnn_random::{Key, normal};

use super::vector::NORMALS;

/// Computes `ctrnn_random::unit_normals_lanes`, operation by operation; a test compares the bits.
///
/// # Safety
/// The CPU must have AVX2.
#[inline(always)]
pub(super) unsafe fn unit_normals(
    key: Key,
    first_unit: u32,
    address: [u32; 3],
) -> [[f32; NORMALS]; 4] {
    let mut normals = [[0.0; NORMALS]; 4];
    for half in [0, 8] {
        // SAFETY: the caller guarantees what the callees need; each array has room for eight numbers from `half` on.
        unsafe {
            let [w0, w1, w2, w3] = words(key, first_unit.wrapping_add(half as u32), address);
            let (a, b) = box_muller(w0, w1);
            let (c, d) = box_muller(w2, w3);
            for (normals, eight) in normals.iter_mut().zip([a, b, c, d]) {
                _mm256_storeu_ps(normals.as_mut_ptr().add(half), eight);
            }
        }
    }
    normals
}

/// Returns the four words of eight adjacent units: `ctrnn_random::philox` with each word in the low half of a 64-bit lane. The
/// multiplication reads that half alone, so the content of the other does not matter.
///
/// # Safety
/// The CPU must have AVX2.
#[inline(always)]
unsafe fn words(key: Key, first_unit: u32, address: [u32; 3]) -> [__m256i; 4] {
    // SAFETY: the caller guarantees what the callees need.
    unsafe {
        let (m0, m1) = (word(0xD251_1F53), word(0xCD9E_8D57));
        let rest = [word(address[0]), word(address[1]), word(address[2])];
        let first = word(first_unit);
        // In this order `low_words`, which works within halves of a vector, puts units in theirs.
        let units = [
            _mm256_add_epi32(first, _mm256_setr_epi64x(0, 1, 4, 5)),
            _mm256_add_epi32(first, _mm256_setr_epi64x(2, 3, 6, 7)),
        ];
        let [mut c0, mut c1, mut c2, mut c3] = [units, [rest[0]; 2], [rest[1]; 2], [rest[2]; 2]];
        for [k0, k1] in round_keys(key) {
            let (k0, k1) = (word(k0), word(k1));
            for half in 0..2 {
                let a = _mm256_mul_epu32(c0[half], m0);
                let b = _mm256_mul_epu32(c2[half], m1);
                let (high_a, high_b) = (_mm256_srli_epi64::<32>(a), _mm256_srli_epi64::<32>(b));
                c0[half] = _mm256_xor_si256(_mm256_xor_si256(high_b, c1[half]), k0);
                c2[half] = _mm256_xor_si256(_mm256_xor_si256(high_a, c3[half]), k1);
                (c1[half], c3[half]) = (b, a);
            }
        }
        [low_words(c0), low_words(c1), low_words(c2), low_words(c3)]
    }
}

/// Returns the keys of Philox's rounds.
#[inline(always)]
fn round_keys(Key([k0, k1]): Key) -> [[u32; 2]; 10] {
    std::array::from_fn(|round| {
        let round = round as u32;
        [
            k0.wrapping_add(round.wrapping_mul(0x9E37_79B9)),
            k1.wrapping_add(round.wrapping_mul(0xBB67_AE85)),
        ]
    })
}

/// Returns the low words of 64-bit lanes, in each half of a vector those of the first before those of the second. It is a function
/// because a closure would not be compiled for the instruction set.
///
/// # Safety
/// The CPU must have AVX2.
#[inline(always)]
unsafe fn low_words([first, second]: [__m256i; 2]) -> __m256i {
    // SAFETY: the caller guarantees what the callees need.
    unsafe {
        let (first, second) = (_mm256_castsi256_ps(first), _mm256_castsi256_ps(second));
        _mm256_castps_si256(_mm256_shuffle_ps::<0b10_00_10_00>(first, second))
    }
}

/// Returns a word in every lane.
///
/// # Safety
/// The CPU must have AVX2.
#[inline(always)]
unsafe fn word(x: u32) -> __m256i {
    // SAFETY: the caller guarantees what the callees need.
    unsafe { _mm256_set1_epi32(x as i32) }
}

/// Computes `ctrnn_random::normal::box_muller`.
///
/// # Safety
/// The CPU must have AVX2.
#[inline(always)]
unsafe fn box_muller(radius: __m256i, angle: __m256i) -> (__m256, __m256) {
    // SAFETY: the caller guarantees what the callees need.
    unsafe {
        let r = _mm256_sqrt_ps(_mm256_mul_ps(_mm256_set1_ps(-2.0), ln(radius)));
        let (sin, cos) = sin_cos_2pi(angle);
        (_mm256_mul_ps(r, cos), _mm256_mul_ps(r, sin))
    }
}

/// Computes `ctrnn_random::normal::ln`.
///
/// # Safety
/// The CPU must have AVX2.
#[inline(always)]
unsafe fn ln(word: __m256i) -> __m256 {
    // SAFETY: the caller guarantees what the callees need.
    unsafe {
        let signed = _mm256_cvtepi32_ps(_mm256_or_si256(word, _mm256_set1_epi32(1)));
        let bits = _mm256_castps_si256(signed);
        let exponent = _mm256_sub_epi32(_mm256_srli_epi32::<23>(bits), _mm256_set1_epi32(126 + 32));
        let mantissa = _mm256_and_si256(bits, _mm256_set1_epi32(0x007F_FFFF));
        let mantissa =
            _mm256_castsi256_ps(_mm256_or_si256(mantissa, _mm256_set1_epi32(0x3F00_0000)));
        let upper = _mm256_castsi256_ps(_mm256_srai_epi32::<31>(bits));
        let f = _mm256_blendv_ps(
            _mm256_sub_ps(mantissa, _mm256_set1_ps(1.0)),
            _mm256_mul_ps(signed, _mm256_set1_ps(normal::WORD)),
            upper,
        );
        let ln_2 = _mm256_set1_ps(std::f32::consts::LN_2);
        let whole = _mm256_andnot_ps(upper, _mm256_mul_ps(_mm256_cvtepi32_ps(exponent), ln_2));
        _mm256_add_ps(whole, _mm256_mul_ps(f, polynomial(&normal::LN, f)))
    }
}

/// Computes `ctrnn_random::normal::sin_cos_2pi`.
///
/// # Safety
/// The CPU must have AVX2.
#[inline(always)]
unsafe fn sin_cos_2pi(word: __m256i) -> (__m256, __m256) {
    // SAFETY: the caller guarantees what the callees need.
    unsafe {
        let quadrant = _mm256_srli_epi32::<30>(_mm256_add_epi32(word, _mm256_set1_epi32(1 << 29)));
        let rest = _mm256_sub_epi32(word, _mm256_slli_epi32::<30>(quadrant));
        let t = _mm256_mul_ps(_mm256_cvtepi32_ps(rest), _mm256_set1_ps(normal::WORD));
        let z = _mm256_mul_ps(t, t);
        let sin = _mm256_mul_ps(t, polynomial(&normal::SIN, z));
        let cos = polynomial(&normal::COS, z);
        let swap = _mm256_castsi256_ps(_mm256_slli_epi32::<31>(quadrant));
        let next = _mm256_add_epi32(quadrant, _mm256_set1_epi32(1));
        (
            negated_if_bit_1(_mm256_blendv_ps(sin, cos, swap), quadrant),
            negated_if_bit_1(_mm256_blendv_ps(cos, sin, swap), next),
        )
    }
}

/// Returns `-x` in the lanes where bit 1 of `quadrant` is set, `x` in the others.
///
/// # Safety
/// The CPU must have AVX2.
#[inline(always)]
unsafe fn negated_if_bit_1(x: __m256, quadrant: __m256i) -> __m256 {
    // SAFETY: the caller guarantees what the callees need.
    unsafe {
        let sign = _mm256_slli_epi32::<30>(_mm256_and_si256(quadrant, _mm256_set1_epi32(2)));
        _mm256_xor_ps(x, _mm256_castsi256_ps(sign))
    }
}

/// Evaluates a polynomial by Horner's scheme, with multiplication and addition rounded separately as in `ctrnn_random::normal`.
///
/// # Safety
/// The CPU must have AVX2.
#[inline(always)]
unsafe fn polynomial<const N: usize>(coefficients: &[f32; N], x: __m256) -> __m256 {
    // SAFETY: the caller guarantees what the callees need.
    unsafe {
        let mut sum = _mm256_set1_ps(coefficients[N - 1]);
        for i in (0..N - 1).rev() {
            sum = _mm256_add_ps(_mm256_mul_ps(sum, x), _mm256_set1_ps(coefficients[i]));
        }
        sum
    }
}
