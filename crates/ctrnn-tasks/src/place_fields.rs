//! Place fields: predict the next rates of spatially tuned cells.

use std::sync::{Arc, OnceLock};

use ctrnn_random::{Key, Rng, Stream};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::random_walk::RandomWalk;
use crate::{
    Check, Clock, Condition, Duration, Epoch, Layout, Target, Task, TaskError, Timeline, Trial,
};

/// Side of a bin of the map, in cm.
const BIN_CM: f64 = 2.0;
/// Mean rate of a cell over the box.
const MEAN_RATE: f64 = 4.0;
/// Number of rates masked at a time: a buffer that fits on the stack.
const HIDDEN_AT_ONCE: usize = 512;
/// Radius of the filter in widths of the Gaussian.
const REACH: f64 = 3.0;

/// Predict the next rates of spatially tuned cells from their current rates, half of which are hidden.
///
/// An animal wanders in a square box: its heading diffuses, its speed is drawn independently in each time step, and walls
/// reflect it. Each cell has a map of rates over the box: normal random numbers in bins of 2 cm, smoothed by a Gaussian
/// of
/// width smoothing_cm, shifted to a minimum of 0 and scaled to a mean of 4. The maps depend only on map_seed. The
/// inputs are
/// the rates of all cells at the start of each time step, each of which is hidden (set to 0) with probability `hidden`,
/// independently in each time step. The outputs should be all rates at the end of the time step. There is one epoch,
/// `walk`, and one condition.
///
/// Source: the demonstration of the autoencoder of place cells of Wang et al. (NeurIPS 2024): 200 cells, a box of 100 cm,
/// 20 +- 5 cm/s, a Gaussian of 12 cm, chunks of 20 time steps of 50 ms (here of `time.dt_ms`), half of the
/// inputs hidden. There bins have 1 cm and paths are generated beforehand. The value of `turning` was chosen for this
/// program.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PlaceFields {
    /// Number of cells.
    #[schemars(range(min = 1, max = 100_000))]
    pub cells: usize,
    /// Duration of a trial.
    pub walk_ms: Duration,
    /// Side of the box, a multiple of 2.
    pub side_cm: f64,
    /// Mean speed, in cm/s.
    pub speed: f64,
    /// Standard deviation of the speed, in cm/s; negative speeds are set to 0.
    pub speed_std: f64,
    /// Standard deviation of the change of heading over one second, in radians.
    pub turning: f64,
    /// Width of the Gaussian that smooths the maps.
    pub smoothing_cm: f64,
    /// Probability that an input is hidden.
    pub hidden: f64,
    /// Seed of the maps.
    pub map_seed: u32,
    /// Largest error of the decoded position in a correct trial.
    pub tolerance_cm: f64,
    #[serde(skip)]
    maps: OnceLock<Arc<Maps>>,
}

impl Default for PlaceFields {
    fn default() -> Self {
        Self {
            cells: 200,
            walk_ms: 1000.0.into(),
            side_cm: 100.0,
            speed: 20.0,
            speed_std: 5.0,
            turning: 1.5,
            smoothing_cm: 12.0,
            hidden: 0.5,
            map_seed: 1,
            tolerance_cm: 10.0,
            maps: OnceLock::new(),
        }
    }
}

impl Task for PlaceFields {
    fn layout(&self) -> Layout {
        let names = || (0..self.cells).map(|cell| format!("cell {cell}"));
        let layout = Layout::new([], []).with_inputs(names());
        layout.with_outputs(names())
    }

    fn epochs(&self) -> Vec<Epoch> {
        vec![Epoch::new("walk", &self.walk_ms)]
    }

    fn check(&self, clock: Clock) -> Result<(), Vec<TaskError>> {
        let bins = self.side_cm / BIN_CM;
        let is_whole = bins.fract() == 0.0 && (1.0..=500.0).contains(&bins);
        let off_grid = || {
            let message = format!(
                "{} cm is not a multiple of {BIN_CM} cm up to 1000 cm",
                self.side_cm
            );
            TaskError::config("side_cm", message)
        };
        Check::new(clock)
            .number("cells", self.cells as f64, 1.0..=100_000.0)
            .epochs(&self.epochs())
            .not_zero("walk_ms", &self.walk_ms, "the animal moves during it")
            .require(is_whole, off_grid)
            .not_negative("speed", self.speed)
            .not_negative("speed_std", self.speed_std)
            .not_negative("turning", self.turning)
            .number("smoothing_cm", self.smoothing_cm, 1.0..=100.0)
            .number("hidden", self.hidden, 0.0..=1.0)
            .not_negative("tolerance_cm", self.tolerance_cm)
            .finish()
    }

    fn conditions(&self) -> Vec<Condition> {
        vec![Condition::new([])]
    }

    fn sample_trial(&self, condition: &Condition, clock: Clock, rng: &mut Rng) -> Trial {
        let (maps, walk, dt_s) = (self.maps(), self.walk(), clock.dt_ms() / 1000.0);
        let timeline = Timeline::draw(&self.epochs(), clock, rng);
        let mut trial = Trial::new(&maps.layout, condition, timeline);
        let Target::Values(target) = &mut trial.target else {
            return trial;
        };
        let mut pose = walk.anywhere(rng);
        let rows = trial.inputs.chunks_exact_mut(self.cells);
        for (input, target) in rows.zip(target.chunks_exact_mut(self.cells)) {
            input.copy_from_slice(maps.rates_at(pose.position));
            hide(input, self.hidden, rng);
            pose = walk.step(pose, dt_s, rng);
            target.copy_from_slice(maps.rates_at(pose.position));
        }
        trial
    }

    /// Decodes the last rates of target and readout to the bins with the nearest rates, and compares the bins.
    fn is_correct(&self, trial: &Trial, outputs: &[f32]) -> Option<bool> {
        let Target::Values(target) = &trial.target else {
            return None;
        };
        let maps = self.maps();
        let decoded = |values: &[f32]| maps.nearest_bin(&values[values.len() - self.cells..]);
        let (found, true_bin) = (decoded(outputs), decoded(target));
        Some(maps.distance_cm(found, true_bin) <= self.tolerance_cm)
    }

    /// Returns the middle of the bin from which the target was taken, in cm.
    fn positions(&self, trial: &Trial) -> Option<Vec<[f64; 2]>> {
        let Target::Values(target) = &trial.target else {
            return None;
        };
        let maps = self.maps();
        let middle = |rates: &[f32]| {
            let bin = maps.nearest_bin(rates);
            [bin / maps.side, bin % maps.side].map(|k| (k as f64 + 0.5) * BIN_CM)
        };
        Some(target.chunks_exact(self.cells).map(middle).collect())
    }

    fn correct_rule(&self) -> String {
        format!(
            "The position is decoded from the outputs at the last time step: the bin whose rates have the smallest \
             squared difference from them. A trial is correct if it is off by at most {} cm.",
            self.tolerance_cm
        )
    }

    /// Returns the fraction of the box within the tolerance of a position, ignoring borders: noise is decoded to the
    /// bins with
    /// the lowest rates, wherever the animal is.
    fn chance(&self) -> Option<f64> {
        let part = std::f64::consts::PI * (self.tolerance_cm / self.side_cm).powi(2);
        Some(part.min(1.0))
    }
}

impl PlaceFields {
    fn walk(&self) -> RandomWalk {
        RandomWalk {
            side_cm: self.side_cm,
            speed: self.speed,
            speed_std: self.speed_std,
            turning: self.turning,
        }
    }

    /// Returns the maps, which are drawn on first use.
    fn maps(&self) -> &Maps {
        self.maps.get_or_init(|| Arc::new(Maps::draw(self)))
    }
}

/// Hides each rate with the given probability, using 16 random bits for each.
fn hide(rates: &mut [f32], probability: f64, rng: &mut Rng) {
    let below = (probability * 65536.0).round() as u32;
    // Masks bits instead of branching: a random branch would be mispredicted half of the time.
    let shown = |rate: f32, bits: u32| {
        let mask = u32::from(bits >= below).wrapping_neg();
        f32::from_bits(rate.to_bits() & mask)
    };
    let mut words = [0; HIDDEN_AT_ONCE / 2];
    for rates in rates.chunks_mut(HIDDEN_AT_ONCE) {
        let words = &mut words[..rates.len().div_ceil(2)];
        rng.fill_u32(words);
        let (pairs, odd) = rates.as_chunks_mut::<2>();
        for ([first, second], word) in pairs.iter_mut().zip(&*words) {
            *first = shown(*first, *word & 0xFFFF);
            *second = shown(*second, *word >> 16);
        }
        for (rate, word) in odd.iter_mut().zip(words.last()) {
            *rate = shown(*rate, *word & 0xFFFF);
        }
    }
}

/// The rates of all cells in all bins of the box.
#[derive(Debug)]
struct Maps {
    /// Layout of the task, kept because building its many names takes time.
    layout: Layout,
    /// Number of bins along a side.
    side: usize,
    cells: usize,
    /// Rates, `[bin x, bin y, cell]`.
    rates: Vec<f32>,
}

impl Maps {
    fn draw(task: &PlaceFields) -> Self {
        let side = (task.side_cm / BIN_CM).round() as usize;
        let kernel = gaussian(task.smoothing_cm / BIN_CM);
        let key = Key::new(u64::from(task.map_seed), Stream::Weights, 0);
        let mut rates = vec![0.0; side * side * task.cells];
        for cell in 0..task.cells {
            let mut map = vec![0.0; side * side];
            Rng::new(key, cell as u64, 0).fill_normal(&mut map);
            let map = smooth(&smooth(&map, side, &kernel), side, &kernel);
            for (bin, rate) in scaled(map).into_iter().enumerate() {
                rates[bin * task.cells + cell] = rate;
            }
        }
        Self {
            layout: task.layout(),
            side,
            cells: task.cells,
            rates,
        }
    }

    fn rates_at(&self, position: [f64; 2]) -> &[f32] {
        let [x, y] = position.map(|cm| ((cm / BIN_CM) as usize).min(self.side - 1));
        self.rates_of(x * self.side + y)
    }

    fn rates_of(&self, bin: usize) -> &[f32] {
        &self.rates[bin * self.cells..(bin + 1) * self.cells]
    }

    /// Returns the bin whose rates have the smallest squared difference from the given ones.
    fn nearest_bin(&self, rates: &[f32]) -> usize {
        let distance = |bin: usize| -> f32 {
            let pairs = self.rates_of(bin).iter().zip(rates);
            pairs.map(|(a, b)| (a - b) * (a - b)).sum()
        };
        let distances = (0..self.side * self.side).map(|bin| (bin, distance(bin)));
        let nearest = distances.min_by(|a, b| a.1.total_cmp(&b.1));
        nearest.map_or(0, |(bin, _)| bin)
    }

    fn distance_cm(&self, a: usize, b: usize) -> f64 {
        let along = |a: usize, b: usize| BIN_CM * a.abs_diff(b) as f64;
        along(a / self.side, b / self.side).hypot(along(a % self.side, b % self.side))
    }
}

/// Returns a Gaussian of a width in bins, from its peak outwards, truncated at [`REACH`] widths.
fn gaussian(width: f64) -> Vec<f32> {
    let reach = (REACH * width).ceil() as usize;
    let value = |d: usize| (-(d as f64 / width).powi(2) / 2.0).exp() as f32;
    (0..=reach).map(value).collect()
}

/// Filters the rows of a square map and transposes it, so that calling it twice filters in both directions. Values
/// outside
/// the box count as 0.
fn smooth(map: &[f32], side: usize, kernel: &[f32]) -> Vec<f32> {
    let reach = kernel.len() - 1;
    let mut smoothed = vec![0.0; map.len()];
    for (i, row) in map.chunks_exact(side).enumerate() {
        for j in 0..side {
            let near = j.saturating_sub(reach)..(j + reach + 1).min(side);
            smoothed[j * side + i] = near.map(|k| kernel[k.abs_diff(j)] * row[k]).sum();
        }
    }
    smoothed
}

/// Shifts a map to a minimum of 0 and scales it to the mean rate.
fn scaled(map: Vec<f32>) -> Vec<f32> {
    let low = map.iter().copied().fold(f32::INFINITY, f32::min);
    let above: Vec<f32> = map.into_iter().map(|value| value - low).collect();
    let mean = above.iter().sum::<f32>() / above.len() as f32;
    let factor = if mean > 0.0 {
        MEAN_RATE as f32 / mean
    } else {
        0.0
    };
    above.into_iter().map(|value| value * factor).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small() -> PlaceFields {
        PlaceFields {
            cells: 20,
            walk_ms: 400.0.into(),
            side_cm: 40.0,
            smoothing_cm: 6.0,
            ..PlaceFields::default()
        }
    }

    fn trial(task: &PlaceFields) -> Trial {
        let mut rng = Rng::new(Key::new(1, Stream::Trials, 0), 0, 0);
        task.sample_trial(&Condition::new([]), Clock::new(20.0).unwrap(), &mut rng)
    }

    /// A single 1 becomes the Gaussian: 1, exp(-1/2), exp(-2) at 0, 1 and 2 widths along either direction.
    #[test]
    fn smoothing_by_hand() {
        let mut map = vec![0.0; 49];
        map[3 * 7 + 3] = 1.0;
        let kernel = gaussian(1.0);
        let smoothed = smooth(&smooth(&map, 7, &kernel), 7, &kernel);
        for (bin, expected) in [
            (24, 1.0f64),
            (25, (-0.5f64).exp()),
            (26, (-2.0f64).exp()),
            (32, (-1.0f64).exp()),
        ] {
            assert!((f64::from(smoothed[bin]) - expected).abs() < 1e-6, "{bin}");
        }
    }

    #[test]
    fn maps_have_a_minimum_of_zero_and_the_mean_rate() {
        let task = small();
        let maps = task.maps();
        for cell in 0..20 {
            let map: Vec<f32> = maps.rates.iter().skip(cell).step_by(20).copied().collect();
            let mean = map.iter().sum::<f32>() / 400.0;
            assert!((mean - 4.0).abs() < 1e-3, "{mean}");
            assert!(map.iter().all(|&rate| rate >= 0.0) && map.contains(&0.0));
        }
        let other = PlaceFields {
            map_seed: 2,
            ..small()
        };
        assert_ne!(other.maps().rates, maps.rates);
    }

    #[test]
    fn each_target_is_the_next_input_where_that_is_not_hidden() {
        let trial = trial(&small());
        let Target::Values(target) = &trial.target else {
            panic!("values");
        };
        let next = trial.inputs[20..].iter().zip(target);
        assert!(
            next.clone()
                .all(|(&input, &target)| input == 0.0 || input == target)
        );
        let hidden = next.filter(|(input, _)| **input == 0.0).count() as f64 / 380.0;
        assert!((hidden - 0.5).abs() < 0.13, "{hidden}"); // five standard deviations, sqrt(1/4 / 380)
    }

    /// The animal goes 0.4 cm in a time step: from one place to the next it is in the same bin or one beside it.
    #[test]
    fn positions_follow_each_other() {
        let task = small();
        let places = task.positions(&trial(&task)).unwrap();
        assert_eq!(places.len(), 20);
        for pair in places.windows(2) {
            let [dx, dy] = [0, 1].map(|k| (pair[1][k] - pair[0][k]).abs());
            assert!(dx <= BIN_CM && dy <= BIN_CM, "{pair:?}");
        }
    }

    #[test]
    fn the_position_is_decoded() {
        let task = small();
        let trial = trial(&task);
        let Target::Values(target) = &trial.target else {
            panic!("values");
        };
        let near: Vec<f32> = target.iter().map(|rate| rate + 0.01).collect();
        assert_eq!(task.is_correct(&trial, &near), Some(true));
        let maps = task.maps();
        let bin = maps.nearest_bin(&target[target.len() - 20..]);
        let far = (0..400).max_by(|&a, &b| {
            maps.distance_cm(a, bin)
                .total_cmp(&maps.distance_cm(b, bin))
        });
        let elsewhere = [&target[20..], maps.rates_of(far.unwrap())].concat();
        assert_eq!(task.is_correct(&trial, &elsewhere), Some(false));
    }

    #[test]
    fn finds_all_errors_at_once() {
        let task = PlaceFields {
            cells: 0,
            walk_ms: 30.0.into(),
            side_cm: 41.0,
            speed: -1.0,
            smoothing_cm: 0.0,
            hidden: 1.5,
            ..PlaceFields::default()
        };
        let errors = task.check(Clock::new(20.0).unwrap()).unwrap_err();
        let keys: Vec<&str> = errors.iter().map(|error| error.key.as_str()).collect();
        assert_eq!(
            keys,
            [
                "cells",
                "walk_ms",
                "side_cm",
                "speed",
                "smoothing_cm",
                "hidden"
            ]
        );
    }
}
