//! Addresses of random numbers: seed, stream and layer, and the position within them.

use crate::normal;
use crate::philox::{philox, philox_lanes};

/// A stream of random numbers, named by its purpose. The streams of one seed are independent of each other.
///
/// The discriminants are part of every recorded result: they are never reassigned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Stream {
    /// Initial weights and masks.
    Weights = 1,
    /// Training trials.
    Trials = 2,
    /// Pre-activation noise.
    Eps = 3,
    /// Post-activation noise.
    Xi = 4,
    /// Validation trials.
    Validation = 5,
    /// Trials of `eval`, `simulate` and `tasks export`.
    Eval = 6,
    /// Choices of a curriculum.
    Curriculum = 7,
    /// Time constants.
    TimeConstants = 8,
    /// Noise of the inputs.
    InputNoise = 9,
    /// Noise of the initial state.
    InitialState = 10,
    /// Values at which a learned initial state starts.
    FirstState = 11,
    /// Values of keys in a random sweep.
    Sweep = 12,
    /// Random networks and weights of learning rules.
    LearningRule = 13,
}

/// The Philox key of one stream, given a seed and a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key(pub [u32; 2]);

impl Key {
    /// Derives the key by mixing in seed, stream and layer one after another:
    ///
    /// ```text
    /// h = mix(seed);  h = mix(h xor stream);  h = mix(h xor layer)
    /// key = [low 32 bits of h, high 32 bits of h]
    /// ```
    ///
    /// where `mix(x)` is the output of SplitMix64 for the state `x`. `mix` is one-to-one, so two
    /// seeds never share the key of a stream and layer, nor two streams or layers that of a seed.
    ///
    /// # References
    /// Steele, Lea & Flood (2014), Fast splittable pseudorandom number generators, figure 16.
    #[must_use]
    pub const fn new(seed: u64, stream: Stream, layer: u32) -> Self {
        let h = mix(seed);
        let h = mix(h ^ stream as u64);
        let h = mix(h ^ layer as u64);
        Self([h as u32, (h >> 32) as u32])
    }
}

const fn mix(state: u64) -> u64 {
    let z = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Returns the standard normals of one unit at the time steps `4 time_block .. 4 time_block + 4` of a trial
/// in a training step.
///
/// The Philox counter is `(unit, trial, time_block, step)`.
#[inline]
#[must_use]
pub fn unit_normals(key: Key, unit: u32, trial: u32, time_block: u32, step: u32) -> [f32; 4] {
    normal::from_words(philox([unit, trial, time_block, step], key.0))
}

/// Computes [`unit_normals`] for the `L` adjacent units from `first_unit` on; `result[t][lane]` is the
/// time step `4 time_block + t` of unit `first_unit + lane`.
///
/// Same bits as [`unit_normals`], and like [`philox_lanes`] it takes the instruction set of the
/// function it is inlined into.
#[inline(always)]
#[must_use]
pub fn unit_normals_lanes<const L: usize>(
    key: Key,
    first_unit: u32,
    trial: u32,
    time_block: u32,
    step: u32,
) -> [[f32; L]; 4] {
    let units = std::array::from_fn(|lane| first_unit.wrapping_add(lane as u32));
    normal::from_words_lanes(philox_lanes(
        [units, [trial; L], [time_block; L], [step; L]],
        key.0,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first outputs of SplitMix64 with state 0 and with state 1234567, as published with its C
    /// reference.
    #[test]
    fn mix_is_splitmix64() {
        assert_eq!(mix(0), 0xE220_A839_7B1D_CDAF);
        assert_eq!(mix(1_234_567), 6_457_827_717_110_365_317);
    }

    #[test]
    fn keys_differ_in_seed_stream_and_layer() {
        let base = Key::new(42, Stream::Eps, 0);
        let others = [
            Key::new(43, Stream::Eps, 0),
            Key::new(42 + (1 << 32), Stream::Eps, 0),
            Key::new(42, Stream::Xi, 0),
            Key::new(42, Stream::Eps, 1),
        ];
        assert!(others.iter().all(|&key| key != base));
    }

    #[test]
    fn lanes_equal_single_units() {
        let key = Key::new(1, Stream::Eps, 0);
        let lanes = unit_normals_lanes::<16>(key, 100, 3, 5, 8);
        for lane in 0..16 {
            assert_eq!(
                lanes.map(|t| t[lane]),
                unit_normals(key, 100 + lane as u32, 3, 5, 8)
            );
        }
    }
}
