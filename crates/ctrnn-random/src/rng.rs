//! A sequence of draws that starts at an address.

use crate::lanes::{self, LANES};
use crate::normal;
use crate::philox::philox;
use crate::stream::Key;

/// A sequence of random draws that starts at the address (key, trial, step).
///
/// Counter words of block `b`: `(b, low half of trial, x, low half of step)` with `x = high half of
/// trial xor (high half of step rotated left by 16)`; so addresses with trial and step below 2^48
/// never share a block. An address has 2^32 blocks of four words.
///
/// Integers and normals are taken from separate blocks: a draw of either kind opens the next block
/// when its own is used up.
#[derive(Clone, Debug)]
pub struct Rng {
    key: Key,
    /// The counter of the next block.
    counter: [u32; 4],
    words: Buffer<u32>,
    normals: Buffer<f32>,
    /// True if every normal is 0.
    is_noiseless: bool,
}

/// A partly used block: the items from `next` on are still to be drawn.
#[derive(Clone, Debug)]
struct Buffer<T> {
    items: [T; 4],
    next: usize,
}

impl<T: Copy + Default> Buffer<T> {
    fn empty() -> Self {
        Self {
            items: [T::default(); 4],
            next: 4,
        }
    }

    fn pop(&mut self) -> Option<T> {
        let item = self.items.get(self.next).copied()?;
        self.next += 1;
        Some(item)
    }

    fn n_left(&self) -> usize {
        self.items.len() - self.next
    }

    /// Takes over a new block and returns its first item.
    fn refill(&mut self, items: [T; 4]) -> T {
        *self = Self { items, next: 1 };
        items[0]
    }
}

impl Rng {
    /// Creates the generator of an address, before its first draw.
    #[must_use]
    pub fn new(key: Key, trial: u64, step: u64) -> Self {
        let high = (trial >> 32) as u32 ^ ((step >> 32) as u32).rotate_left(16);
        Self {
            key,
            counter: [0, trial as u32, high, step as u32],
            words: Buffer::empty(),
            normals: Buffer::empty(),
            is_noiseless: false,
        }
    }

    /// Creates the generator of an address whose normals are all 0; its other draws are those of [`new`](Self::new). A
    /// trial that is drawn from it is the same trial without noise on its inputs.
    #[must_use]
    pub fn noiseless(key: Key, trial: u64, step: u64) -> Self {
        Self {
            is_noiseless: true,
            ..Self::new(key, trial, step)
        }
    }

    fn block(&mut self) -> [u32; 4] {
        let words = philox(self.counter, self.key.0);
        self.counter[0] = self.counter[0].wrapping_add(1);
        words
    }

    /// Returns 32 random bits.
    pub fn next_u32(&mut self) -> u32 {
        match self.words.pop() {
            Some(word) => word,
            None => {
                let block = self.block();
                self.words.refill(block)
            }
        }
    }

    /// Fills `out` with random words: the same as one call of [`next_u32`](Self::next_u32) per element, but faster.
    pub fn fill_u32(&mut self, out: &mut [u32]) {
        let buffered = self.words.n_left().min(out.len());
        let (start, rest) = out.split_at_mut(buffered);
        start.fill_with(|| self.next_u32());
        let (chunks, rest) = rest.as_chunks_mut();
        for chunk in chunks {
            lanes::words(self.counter, self.key, chunk);
            self.counter[0] = self.counter[0].wrapping_add(LANES as u32);
        }
        rest.fill_with(|| self.next_u32());
    }

    /// Draws uniformly from [0, 1), a multiple of 2^-53. Uses two words.
    pub fn uniform(&mut self) -> f64 {
        let high = u64::from(self.next_u32() >> 5);
        let low = u64::from(self.next_u32() >> 6);
        (high << 26 | low) as f64 / (1_u64 << 53) as f64
    }

    /// Draws uniformly from `low` (included) to `high` (excluded).
    pub fn uniform_in(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.uniform()
    }

    /// Draws one of `0..n`, all exactly equally likely.
    ///
    /// # Panics
    /// If `n` is 0.
    ///
    /// # References
    /// Lemire (2019), Fast random integer generation in an interval, algorithm 5.
    pub fn below(&mut self, n: u32) -> u32 {
        assert!(n > 0, "below(0): there is nothing to choose from");
        // 2^32 mod n of the products are redrawn, so that every result has equally many.
        let surplus = n.wrapping_neg() % n;
        loop {
            let product = u64::from(self.next_u32()) * u64::from(n);
            if product as u32 >= surplus {
                return (product >> 32) as u32;
            }
        }
    }

    /// Draws a standard normal.
    pub fn normal(&mut self) -> f32 {
        let normal = match self.normals.pop() {
            Some(normal) => normal,
            None => {
                let block = self.block();
                self.normals.refill(normal::from_words(block))
            }
        };
        if self.is_noiseless { 0.0 } else { normal }
    }

    /// Fills `out` with standard normals: the same as one call of [`normal`](Self::normal) per element, but faster.
    pub fn fill_normal(&mut self, out: &mut [f32]) {
        let buffered = self.normals.n_left().min(out.len());
        let (start, rest) = out.split_at_mut(buffered);
        start.fill_with(|| self.normal());
        let (chunks, rest) = rest.as_chunks_mut();
        for chunk in chunks {
            lanes::normals(self.counter, self.key, chunk);
            self.counter[0] = self.counter[0].wrapping_add(LANES as u32);
            if self.is_noiseless {
                chunk.fill(0.0);
            }
        }
        rest.fill_with(|| self.normal());
    }

    /// Draws from a truncated exponential distribution: between `min` and `max`, with a density proportional to `exp(-x
    /// / mean)`.
    ///
    /// `mean` belongs to the exponential before truncation: the mean of the draws is smaller than `min + mean`. Uses
    /// rejection sampling, which accepts more than 63 % of the proposals: exponential ones if the interval is longer than
    /// `mean`, uniform ones if it is shorter.
    ///
    /// # Panics
    /// If `mean` is not positive or `min > max`.
    pub fn truncated_exponential(&mut self, mean: f64, min: f64, max: f64) -> f64 {
        assert!(
            mean > 0.0 && min <= max,
            "truncated_exponential(mean {mean}, min {min}, max {max}): expected a positive mean and min <= max"
        );
        let length = max - min;
        loop {
            if length > mean {
                let x = mean * self.exponential();
                if x <= length {
                    return min + x;
                }
            } else {
                let x = length * self.uniform();
                if mean * self.exponential() > x {
                    return min + x;
                }
            }
        }
    }

    /// Draws from the exponential distribution with mean 1.
    fn exponential(&mut self) -> f64 {
        -f64::from(normal::ln(self.next_u32()))
    }

    /// Draws one of the items, all equally likely.
    ///
    /// # Panics
    /// If there are none, or more than 2^32.
    pub fn choose<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        let n = u32::try_from(items.len()).expect("choose: more than 2^32 items");
        &items[self.below(n) as usize]
    }

    /// Shuffles the items, all orders equally likely.
    ///
    /// # Panics
    /// If there are more than 2^32.
    ///
    /// # References
    /// Durstenfeld (1964), Algorithm 235: random permutation.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        let n = u32::try_from(items.len()).expect("shuffle: more than 2^32 items");
        for last in (1..n).rev() {
            let other = self.below(last + 1);
            items.swap(last as usize, other as usize);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::Stream;

    fn rng(trial: u64, step: u64) -> Rng {
        Rng::new(Key::new(7, Stream::Trials, 0), trial, step)
    }

    #[test]
    fn words_are_the_same_one_by_one_and_filled() {
        let (mut single, mut filled) = (rng(3, 9), rng(3, 9));
        for length in [1, 2, 200, 3, 64, 0, 129] {
            let expected: Vec<u32> = (0..length).map(|_| single.next_u32()).collect();
            let mut words = vec![0; length];
            filled.fill_u32(&mut words);
            assert_eq!(words, expected);
            assert_eq!(filled.normal(), single.normal());
        }
    }

    #[test]
    fn normals_are_the_same_one_by_one_and_filled() {
        let (mut single, mut filled) = (rng(3, 9), rng(3, 9));
        for length in [1, 2, 200, 3, 64, 0, 129] {
            let expected: Vec<f32> = (0..length).map(|_| single.normal()).collect();
            let mut normals = vec![0.0; length];
            filled.fill_normal(&mut normals);
            assert_eq!(normals, expected);
            assert_eq!(filled.next_u32(), single.next_u32());
        }
    }

    /// Uniform draws between normals are the same with and without noise.
    #[test]
    fn without_noise_all_else_is_the_same() {
        let key = Key::new(7, Stream::Trials, 0);
        let (mut noisy, mut quiet) = (Rng::new(key, 3, 9), Rng::noiseless(key, 3, 9));
        for length in [1, 200, 3, 129] {
            let mut normals = vec![1.0; length];
            noisy.fill_normal(&mut normals);
            quiet.fill_normal(&mut normals);
            assert!(normals.iter().all(|normal| *normal == 0.0));
            assert_eq!(quiet.next_u32(), noisy.next_u32());
            assert_ne!(noisy.normal(), quiet.normal());
            assert_eq!(quiet.uniform(), noisy.uniform());
        }
    }

    #[test]
    fn addresses_differ_in_every_half() {
        let addresses = [
            (0, 0),
            (1, 0),
            (0, 1),
            (1 << 32, 0),
            (0, 1 << 32),
            (1 << 47, 0),
            (0, 1 << 47),
        ];
        let mut first: Vec<u32> = addresses
            .map(|(trial, step)| rng(trial, step).next_u32())
            .to_vec();
        first.sort_unstable();
        first.dedup();
        assert_eq!(first.len(), addresses.len());
    }

    /// Mean 1/2 and variance 1/12 with standard errors sqrt(1/12/n) = 0.0009 and sqrt(1/180/n) =
    /// 0.00024 for n = 1e5.
    #[test]
    fn uniform_has_the_moments_of_the_unit_interval() {
        let mut rng = rng(0, 0);
        let draws: Vec<f64> = (0..100_000).map(|_| rng.uniform()).collect();
        let mean = draws.iter().sum::<f64>() / 1e5;
        let variance = draws.iter().map(|u| (u - mean).powi(2)).sum::<f64>() / 1e5;
        assert!(draws.iter().all(|u| (0.0..1.0).contains(u)));
        assert!(
            (mean - 0.5).abs() < 0.004 && (variance - 1.0 / 12.0).abs() < 0.001,
            "{mean} {variance}"
        );
    }

    /// 70 000 draws of 0..7: each count is 10 000 with standard deviation sqrt(70000 (1/7) (6/7)) =
    /// 92.6.
    #[test]
    fn below_is_even() {
        let mut rng = rng(0, 0);
        let mut counts = [0_i32; 7];
        for _ in 0..70_000 {
            counts[rng.below(7) as usize] += 1;
        }
        assert!(
            counts.iter().all(|count| (count - 10_000).abs() < 460),
            "{counts:?}"
        );
    }

    /// For n = 3 * 2^30 a quarter of the products is redrawn: without that, multiples of
    /// 3 would be twice as likely. The bound is five standard deviations, sqrt(30000 (1/3) (2/3)) = 82.
    #[test]
    fn below_is_unbiased_for_large_n() {
        let mut rng = rng(0, 0);
        let multiples = (0..30_000)
            .filter(|_| rng.below(3 << 30).is_multiple_of(3))
            .count() as i32;
        assert!((multiples - 10_000).abs() < 410, "{multiples}");
    }

    /// Density exp(-x/m) on [0, L] has the mean m - L / (exp(L/m) - 1). Both branches: L/m = 3 and
    /// L/m = 1/2.
    #[test]
    fn truncated_exponential_has_its_mean() {
        let mut rng = rng(0, 0);
        for (mean, min, max) in [(100.0, 50.0, 350.0), (600.0, 100.0, 400.0)] {
            let length: f64 = max - min;
            let expected = min + mean - length / ((length / mean).exp() - 1.0);
            let draws: Vec<f64> = (0..50_000)
                .map(|_| rng.truncated_exponential(mean, min, max))
                .collect();
            assert!(draws.iter().all(|x| (min..=max).contains(x)));
            let found = draws.iter().sum::<f64>() / 5e4;
            assert!(
                (found - expected).abs() < 0.025 * mean,
                "mean {found}, expected {expected}"
            ); // > 5 standard errors
        }
    }

    /// Each of the 6 orders of 3 items is expected 1000 times in 6000, with standard deviation sqrt(6000
    /// (1/6) (5/6)) = 29.
    #[test]
    fn shuffle_gives_every_order_equally_often() {
        let mut rng = rng(0, 0);
        let mut counts = std::collections::BTreeMap::new();
        for _ in 0..6000 {
            let mut items = [0, 1, 2];
            rng.shuffle(&mut items);
            *counts.entry(items).or_insert(0_i32) += 1;
        }
        assert_eq!(counts.len(), 6);
        assert!(
            counts.values().all(|count| (count - 1000).abs() < 145),
            "{counts:?}"
        );
    }

    #[test]
    #[should_panic(expected = "nothing to choose from")]
    fn choosing_from_nothing_panics() {
        rng(0, 0).choose::<u8>(&[]);
    }
}
