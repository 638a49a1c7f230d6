//! Many blocks of a sequence at once, with the vectors of the CPU: this crate's only `unsafe` code.
//!
//! Each function is compiled twice, for any CPU and for one with AVX2, and gives the same bits: no operation is contracted or
//! put in another order.

#![cfg_attr(
    target_arch = "x86_64",
    expect(
        unsafe_code,
        reason = "a function for a CPU feature is called where the feature has been found"
    )
)]

use crate::normal;
use crate::philox::philox_lanes;
use crate::stream::Key;

/// Number of blocks computed together: two AVX2 vectors of eight words.
pub(crate) const LANES: usize = 16;

/// Computes the words of the `LANES` blocks that start at `counter`.
pub(crate) fn words(counter: [u32; 4], key: Key, out: &mut [u32; 4 * LANES]) {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        // SAFETY: the CPU has AVX2.
        return unsafe { words_avx2(counter, key, out) };
    }
    words_of_any_cpu(counter, key, out);
}

/// Computes the standard normals of the `LANES` blocks that start at `counter`.
pub(crate) fn normals(counter: [u32; 4], key: Key, out: &mut [f32; 4 * LANES]) {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        // SAFETY: the CPU has AVX2.
        return unsafe { normals_avx2(counter, key, out) };
    }
    normals_of_any_cpu(counter, key, out);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn words_avx2(counter: [u32; 4], key: Key, out: &mut [u32; 4 * LANES]) {
    words_of_any_cpu(counter, key, out);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn normals_avx2(counter: [u32; 4], key: Key, out: &mut [f32; 4 * LANES]) {
    normals_of_any_cpu(counter, key, out);
}

#[inline(always)]
fn words_of_any_cpu(counter: [u32; 4], key: Key, out: &mut [u32; 4 * LANES]) {
    interleave(blocks(counter, key), out);
}

#[inline(always)]
fn normals_of_any_cpu(counter: [u32; 4], key: Key, out: &mut [f32; 4 * LANES]) {
    interleave(normal::from_words_lanes(blocks(counter, key)), out);
}

#[inline(always)]
fn blocks([first, trial, high, step]: [u32; 4], key: Key) -> [[u32; LANES]; 4] {
    let blocks = std::array::from_fn(|lane| first.wrapping_add(lane as u32));
    philox_lanes(
        [blocks, [trial; LANES], [high; LANES], [step; LANES]],
        key.0,
    )
}

/// Writes the items block by block: the four of the first lane, then those of the second, and so on.
#[inline(always)]
fn interleave<T: Copy>(items: [[T; LANES]; 4], out: &mut [T; 4 * LANES]) {
    for (lane, four) in out.as_chunks_mut::<4>().0.iter_mut().enumerate() {
        *four = std::array::from_fn(|i| items[i][lane]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Stream;

    #[test]
    fn every_cpu_gives_the_same_bits() {
        let key = Key::new(1, Stream::Trials, 0);
        for counter in [[0, 1, 2, 3], [u32::MAX - 3, 5, 0, 9]] {
            let (mut ours, mut any) = ([0; 4 * LANES], [0; 4 * LANES]);
            words(counter, key, &mut ours);
            words_of_any_cpu(counter, key, &mut any);
            assert_eq!(ours, any);
            let (mut ours, mut any) = ([0.0; 4 * LANES], [0.0; 4 * LANES]);
            normals(counter, key, &mut ours);
            normals_of_any_cpu(counter, key, &mut any);
            assert_eq!(ours, any);
        }
    }
}
