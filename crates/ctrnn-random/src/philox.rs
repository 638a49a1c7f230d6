//! Philox4x32-10: the integers under every random number.

/// Multipliers of the two halves of the counter.
const MULTIPLIERS: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
/// Weyl constants added to the key after each round (golden ratio; sqrt(3) - 1).
const KEY_STEPS: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];
/// Number of rounds recommended by the authors, with a margin over the 7 that pass their tests.
const ROUNDS: usize = 10;

/// Returns 128 random bits at the address `counter` of the stream `key`, by Philox4x32 with ten rounds.
///
/// # References
/// Salmon, Moraes, Dror & Shaw (2011), Parallel random numbers: as easy as 1, 2, 3, section 3.3.
#[inline]
#[must_use]
pub fn philox(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    philox_lanes(counter.map(|word| [word]), key).map(|[word]| word)
}

/// Computes [`philox`] for `L` counters at once; `counters[w][lane]` is word `w` of a lane, in and out.
///
/// Plain loops over lanes: inlined into a function with `#[target_feature]`, the compiler uses that
/// instruction set, and the result is the same.
#[inline(always)]
#[must_use]
pub fn philox_lanes<const L: usize>(counters: [[u32; L]; 4], key: [u32; 2]) -> [[u32; L]; 4] {
    let [mut c0, mut c1, mut c2, mut c3] = counters;
    let [mut k0, mut k1] = key;
    for _ in 0..ROUNDS {
        for lane in 0..L {
            let a = u64::from(c0[lane]) * u64::from(MULTIPLIERS[0]);
            let b = u64::from(c2[lane]) * u64::from(MULTIPLIERS[1]);
            c0[lane] = high(b) ^ c1[lane] ^ k0;
            c2[lane] = high(a) ^ c3[lane] ^ k1;
            c1[lane] = low(b);
            c3[lane] = low(a);
        }
        k0 = k0.wrapping_add(KEY_STEPS[0]);
        k1 = k1.wrapping_add(KEY_STEPS[1]);
    }
    [c0, c1, c2, c3]
}

#[inline(always)]
const fn low(product: u64) -> u32 {
    product as u32
}

#[inline(always)]
const fn high(product: u64) -> u32 {
    (product >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The known-answer vectors of Random123 1.14 (`tests/kat_vectors`, rows `philox4x32 10`):
    /// zeros, ones, digits of pi.
    #[test]
    fn known_answers() {
        let pi = (
            [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
            [0xa409_3822, 0x299f_31d0],
        );
        let table = [
            (
                ([0; 4], [0; 2]),
                [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8],
            ),
            (
                ([u32::MAX; 4], [u32::MAX; 2]),
                [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd],
            ),
            (pi, [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]),
        ];
        for ((counter, key), expected) in table {
            assert_eq!(philox(counter, key), expected);
        }
    }

    #[test]
    fn lanes_equal_single_counters() {
        let counters: [[u32; 5]; 4] =
            std::array::from_fn(|w| std::array::from_fn(|lane| (w * 7 + lane * 1013) as u32));
        let lanes = philox_lanes(counters, [3, 4]);
        for lane in 0..5 {
            assert_eq!(
                philox(counters.map(|word| word[lane]), [3, 4]),
                lanes.map(|word| word[lane])
            );
        }
    }
}
