//! Rate maps of spatial tasks.

use ctrnn_random::{Key, Rng, Stream};
use ndarray::{Array1, Array2, Array3};
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Answer, Unsuitable};
use crate::plot::{BAR_MM, ColourMap, Figure, Layer, Rgb, Ticks, range_of, up_to};
use crate::rate_map::{RateMap, Visits};
use crate::statistics::q_values;
use crate::text::{rounded, short};
use crate::{ArrayDoc, Arrays, Study};

/// Number of units with maps in the figure: those most tuned to place.
const SHOWN: usize = 16;
const COLUMNS: usize = 8;

/// Number of the random numbers of shuffles.
const PURPOSE: u32 = 24;
/// Largest false discovery rate of spatial information that is called significant.
const LEVEL: f64 = 0.05;
/// Least shift of rates against positions, as a fraction of all time steps.
const LEAST_SHIFT: f64 = 0.05;
/// Percentile of the shuffled grid scores of all units that a grid exceeds.
const PERCENTILE: f64 = 0.95;

/// Settings of rate maps.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RateMapsOptions {
    /// Number of shuffles for the significance of the tuning to place, of every unit, and of grid scores, of all units
    /// together: rates are shifted in time against positions. 0 for none.
    pub shuffles: usize,
    /// Least rate within a field, as a fraction of the largest rate of the unit.
    pub field_threshold: f64,
    /// Least number of bins of a field.
    pub field_bins: usize,
}

impl Default for RateMapsOptions {
    fn default() -> Self {
        Self {
            shuffles: 100,
            field_threshold: 0.2,
            field_bins: 9,
        }
    }
}

/// Firing rates as a function of position in a box.
#[derive(Clone, Debug)]
pub struct RateMaps {
    /// Rate map of each unit.
    pub maps: Vec<RateMap>,
    /// Spatial information of each unit, in bits per spike; NaN if a rate is negative, for which it is not defined.
    pub information_bits: Vec<f64>,
    /// Fraction of the variance of each unit's rate that the bins explain.
    pub variance_explained: Vec<f64>,
    /// True if a rate is negative.
    pub is_signed: bool,
    /// Grid score of each unit.
    pub grid_score: Vec<f64>,
    /// Sparsity of each unit; NaN if a rate is negative.
    pub sparsity: Vec<f64>,
    /// Number of fields of each unit; empty if a rate is negative.
    pub n_fields: Vec<usize>,
    /// p-values of the spatial information of each unit, or of its variance explained if a rate is negative; empty without
    /// shuffles.
    pub p: Vec<f64>,
    /// p-values corrected for the number of units.
    pub q: Vec<f64>,
    /// Grid scores of shuffled maps of all units, in ascending order.
    pub shuffled_grid_scores: Vec<f64>,
    /// Range of positions along both sides of the box.
    pub range: [f64; 2],
}

impl Answer for RateMaps {
    type Options = RateMapsOptions;
    const SEES_GROUPS: bool = false;

    const ARRAYS: &'static [ArrayDoc] = &[
        ArrayDoc::new(
            "maps",
            "[unit, bin y, bin x]",
            "rate",
            "mean rate by position, from the lower left corner; NaN where the path does not lead",
        ),
        ArrayDoc::new("visits", "[bin y, bin x]", "time steps", "number of visits"),
        ArrayDoc::new(
            "information_bits",
            "[unit]",
            "bits per spike",
            "spatial information; NaN if a rate of the network is negative, for which it is not defined",
        ),
        ArrayDoc::new(
            "variance_explained",
            "[unit]",
            "fraction",
            "variance of the rate that its means in the bins explain (eta squared), without smoothing",
        ),
        ArrayDoc::new(
            "information_p",
            "[unit]",
            "",
            "p-values from shuffles of the spatial information, or of the variance explained if a rate is negative",
        ),
        ArrayDoc::new(
            "information_q",
            "[unit]",
            "",
            "p-values corrected for the number of units",
        ),
        ArrayDoc::new(
            "sparsity",
            "[unit]",
            "",
            "sparsity of the map: 1 if it is flat; NaN if a rate is negative",
        ),
        ArrayDoc::new(
            "n_fields",
            "[unit]",
            "",
            "number of fields; empty if a rate is negative",
        ),
        ArrayDoc::new(
            "grid_score",
            "[unit]",
            "",
            "grid score; NaN if it is not defined",
        ),
        ArrayDoc::new(
            "shuffled_grid_score",
            "[k]",
            "",
            "grid scores of shuffled maps, in ascending order",
        ),
        ArrayDoc::new("range", "[2]", "cm", "ends of both sides of the box"),
    ];

    fn compute(study: &Study, options: &RateMapsOptions) -> Result<Self, Unsuitable> {
        let (positions, states) = visited(study)?;
        let range = range_of(positions.iter().copied(), 0.0);
        let n_bins = ((positions.nrows() as f64 / 20.0).sqrt() as usize).clamp(10, 40);
        let visits = Visits::of(positions.view(), range, n_bins, 1.0);
        let n_units = study.dynamics.n_units();
        let rates = |unit: usize| -> Array1<f64> {
            states
                .iter()
                .map(|&(b, t)| study.rates[[b, t, unit]])
                .collect()
        };
        let maps: Vec<RateMap> = (0..n_units)
            .into_par_iter()
            .map(|unit| visits.map(rates(unit).view()))
            .collect();
        // Rounding of a rate of 0 makes no rate negative.
        let is_signed = states
            .iter()
            .any(|&(b, t)| (0..n_units).any(|unit| study.rates[[b, t, unit]] < -1e-6));
        let shuffles = Shuffles {
            visits: &visits,
            is_signed,
            n_states: states.len(),
            seed: study.seed,
        };
        let variance_explained: Vec<f64> = (0..n_units)
            .into_par_iter()
            .map(|unit| visits.variance_explained(rates(unit).view()))
            .collect();
        let unless_signed = |value: f64| if is_signed { f64::NAN } else { value };
        let information_bits: Vec<f64> = maps
            .iter()
            .map(|map| unless_signed(map.information()))
            .collect();
        let tuning = if is_signed {
            &variance_explained
        } else {
            &information_bits
        };
        let p = shuffles.p_values(options.shuffles, tuning, rates);
        let n_fields = |map: &RateMap| map.n_fields(options.field_threshold, options.field_bins);
        Ok(Self {
            information_bits,
            grid_score: maps.par_iter().map(RateMap::grid_score).collect(),
            sparsity: maps
                .iter()
                .map(|map| unless_signed(map.sparsity()))
                .collect(),
            n_fields: maps.iter().filter(|_| !is_signed).map(n_fields).collect(),
            variance_explained,
            is_signed,
            q: q_values(&p),
            p,
            shuffled_grid_scores: shuffles.grid_scores(options.shuffles, n_units, rates),
            maps,
            range,
        })
    }

    fn arrays(&self) -> Arrays {
        let (n_rows, n_columns) = self.maps[0].rates.dim();
        let shape = (self.maps.len(), n_rows, n_columns);
        let maps = Array3::from_shape_fn(shape, |(unit, y, x)| self.maps[unit].rates[[y, x]]);
        let arrays = Arrays::default();
        let arrays = if self.p.is_empty() {
            arrays
        } else {
            arrays
                .with("information_p", &self.p)
                .with("information_q", &self.q)
                .with("shuffled_grid_score", &self.shuffled_grid_scores)
        };
        arrays
            .with("maps", &maps)
            .with("visits", &self.maps[0].visits)
            .with("information_bits", &self.information_bits)
            .with("variance_explained", &self.variance_explained)
            .with("sparsity", &self.sparsity)
            .with("n_fields", &self.n_fields)
            .with("grid_score", &self.grid_score)
            .with("range", &self.range[..])
    }

    fn statements(&self) -> Vec<String> {
        let n_units = self.maps.len();
        let count = |values: &[f64], bound: f64| values.iter().filter(|x| **x > bound).count();
        let with_fields = self.n_fields.iter().filter(|n| **n > 0).count();
        let n_tuned = self.q.iter().filter(|q| **q < LEVEL).count();
        let mut lines = vec![match (self.is_signed, self.p.is_empty()) {
            (true, true) => {
                let n = count(&self.variance_explained, 0.5);
                format!(
                    "place explains more than half of the variance of {n} of {n_units} units; without shuffles none is tested"
                )
            }
            (true, false) => format!(
                "units whose rates depend on place: {n_tuned} of {n_units} (variance explained, shuffles, false discovery rate {LEVEL})"
            ),
            (false, true) => {
                let n = count(&self.information_bits, 0.5);
                format!(
                    "{n} of {n_units} units carry more than 0.5 bits per spike of place; without shuffles none is tested"
                )
            }
            (false, false) => format!(
                "units that carry spatial information: {n_tuned} of {n_units} (shuffles, false discovery rate {LEVEL})"
            ),
        }];
        lines.push(if self.is_signed {
            "rates are of both signs, for which spatial information (bits per spike), sparsity and fields are not defined; the variance that place explains is given instead".to_owned()
        } else {
            format!("units with a field: {with_fields}")
        });
        lines.push(match self.grid_bound() {
            Some(bound) => format!(
                "units with a grid score above {}, the percentile {} of shuffled maps: {}",
                short(bound),
                short(100.0 * PERCENTILE),
                count(&self.grid_score, bound)
            ),
            None => format!(
                "units with a grid score above 0.3: {}",
                count(&self.grid_score, 0.3)
            ),
        });
        lines
    }

    fn figures(&self) -> Vec<(&'static str, Figure)> {
        let tuning = self.tuning();
        let mut order: Vec<usize> = (0..tuning.len()).collect();
        order.sort_by(|&a, &b| tuning[b].total_cmp(&tuning[a]));
        order.truncate(SHOWN);
        let n_columns = order.len().min(COLUMNS);
        let mut columns_mm = vec![16.0; n_columns];
        columns_mm.push(BAR_MM);
        let rows_mm = vec![16.0; order.len().div_ceil(COLUMNS)];
        let mut figure = Figure::new(&columns_mm, &rows_mm);
        figure.title = format!(
            "unit: {}, grid score; box from {} to {} cm",
            if self.is_signed {
                "variance explained by place"
            } else {
                "spatial information (bits per spike)"
            },
            rounded(self.range[0], 2),
            rounded(self.range[1], 2)
        );
        let whole = [0.0, 1.0];
        let (map, bar_range) = if self.is_signed {
            (ColourMap::BlueWhiteRed, [-1.0, 1.0])
        } else {
            (ColourMap::Blues, whole)
        };
        for (k, unit) in order.into_iter().enumerate() {
            let rates = &self.maps[unit].rates;
            let scale = if self.is_signed {
                let [_, largest] = up_to(rates.iter().map(|rate| rate.abs()));
                [-largest, largest]
            } else {
                up_to(rates.iter().copied())
            };
            figure
                .cell(k / COLUMNS, k % COLUMNS)
                .title(self.title(unit))
                .x("", whole)
                .x_ticks(Ticks::None)
                .y("", whole)
                .y_ticks(Ticks::None)
                .heat_map(rates, [whole, whole], scale, map)
                .add(
                    Layer::line(
                        vec![0.0, 1.0, 1.0, 0.0, 0.0],
                        vec![0.0, 0.0, 1.0, 1.0, 0.0],
                        Rgb::GREY,
                    )
                    .wide(0.15),
                );
        }
        let bar = figure.cell(0, n_columns);
        bar.colour_bar(bar_range, map, "rate / largest");
        vec![("", figure)]
    }
}

/// Maps of rates that are shifted in time against positions.
struct Shuffles<'a> {
    visits: &'a Visits,
    is_signed: bool,
    n_states: usize,
    seed: u64,
}

impl Shuffles<'_> {
    /// Returns shuffle `number` of the rates of a unit: they are rotated by a random number of time steps.
    fn rotated(&self, unit: usize, rates: &Array1<f64>, number: usize) -> Array1<f64> {
        let key = Key::new(self.seed, Stream::Eval, PURPOSE);
        let part =
            Rng::new(key, unit as u64, number as u64).uniform_in(LEAST_SHIFT, 1.0 - LEAST_SHIFT);
        let shift = (part * self.n_states as f64) as usize;
        let rotated = (0..self.n_states).map(|k| rates[(k + shift) % self.n_states]);
        rotated.collect()
    }

    /// Returns the rate map of a shuffle.
    fn map(&self, unit: usize, rates: &Array1<f64>, number: usize) -> RateMap {
        self.visits.map(self.rotated(unit, rates, number).view())
    }

    /// Computes the tuning to place of a shuffle: the variance explained if a rate is negative, otherwise the information.
    fn tuning(&self, unit: usize, rates: &Array1<f64>, number: usize) -> f64 {
        if self.is_signed {
            let rotated = self.rotated(unit, rates, number);
            return self.visits.variance_explained(rotated.view());
        }
        self.map(unit, rates, number).information()
    }

    /// Returns the p-values of the tuning of all units; none without shuffles.
    fn p_values(
        &self,
        n_shuffles: usize,
        observed: &[f64],
        rates: impl Fn(usize) -> Array1<f64> + Sync,
    ) -> Vec<f64> {
        if n_shuffles == 0 {
            return Vec::new();
        }
        (0..observed.len())
            .into_par_iter()
            .map(|unit| self.p_value(unit, &rates(unit), observed[unit], n_shuffles))
            .collect()
    }

    /// Computes the finite grid scores of `n` shuffles of all units in turn, in ascending order.
    fn grid_scores(
        &self,
        n: usize,
        n_units: usize,
        rates: impl Fn(usize) -> Array1<f64> + Sync,
    ) -> Vec<f64> {
        let score = |number: usize| {
            let unit = number % n_units;
            self.map(unit, &rates(unit), n + number).grid_score()
        };
        let mut scores: Vec<f64> = (0..n).into_par_iter().map(score).collect();
        scores.retain(|score| score.is_finite());
        scores.sort_by(f64::total_cmp);
        scores
    }

    /// Returns the p-value of the tuning of a unit.
    fn p_value(&self, unit: usize, rates: &Array1<f64>, observed: f64, n_shuffles: usize) -> f64 {
        let drawn = (0..n_shuffles).map(|number| self.tuning(unit, rates, number));
        let count = drawn.filter(|bits| *bits >= observed - 1e-12).count();
        (count + 1) as f64 / (n_shuffles + 1) as f64
    }
}

/// Positions `[n, 2]` of all trials, with the trial and time step of each.
type Visited = (Array2<f64>, Vec<(usize, usize)>);

/// Returns the positions in all trials.
fn visited(study: &Study) -> Result<Visited, Unsuitable> {
    let mut positions: Vec<[f64; 2]> = Vec::new();
    let mut states: Vec<(usize, usize)> = Vec::new();
    for b in 0..study.batch.n_trials {
        let path = study.task.positions(&study.batch.trial(b));
        let path =
            path.ok_or_else(|| Unsuitable::lacks("the task has no movement through a box"))?;
        states.extend((0..path.len()).map(|t| (b, t)));
        positions.extend(path);
    }
    let positions = Array2::from_shape_fn((positions.len(), 2), |(i, k)| positions[i][k]);
    Ok((positions, states))
}

impl RateMaps {
    /// Returns the tuning to place of every unit: the variance explained if a rate is negative, otherwise the information.
    fn tuning(&self) -> &[f64] {
        if self.is_signed {
            &self.variance_explained
        } else {
            &self.information_bits
        }
    }

    /// Returns the grid score that a grid exceeds: a percentile of those of shuffled maps; `None` without shuffles.
    fn grid_bound(&self) -> Option<f64> {
        let n = self.shuffled_grid_scores.len();
        let place = (PERCENTILE * n as f64) as usize;
        self.shuffled_grid_scores
            .get(place.min(n.saturating_sub(1)))
            .copied()
    }

    fn title(&self, unit: usize) -> String {
        let tuning = rounded(self.tuning()[unit], 2);
        let grid = self.grid_score[unit];
        if grid.is_finite() {
            format!("{unit}: {tuning}, {}", rounded(grid, 2))
        } else {
            format!("{unit}: {tuning}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// No shuffle tunes a place cell as well, many tune a unit at random as well, and all a constant one.
    #[test]
    fn shuffles_tell_place_cells_from_chance() {
        const N_STATES: usize = 3000;
        const N_SHUFFLES: usize = 40;
        let drawn = |which: u64| -> Array1<f64> {
            let mut rng = Rng::new(Key::new(3, Stream::Eval, PURPOSE), which, 0);
            (0..N_STATES).map(|_| rng.uniform_in(0.0, 1.0)).collect()
        };
        let path = [drawn(0), drawn(1)];
        let positions = Array2::from_shape_fn((N_STATES, 2), |(t, k)| path[k][t]);
        let visits = Visits::of(positions.view(), [0.0, 1.0], 12, 1.0);
        let distance = |t: usize| (path[0][t] - 0.3).powi(2) + (path[1][t] - 0.6).powi(2);
        let place_cell = (0..N_STATES).map(|t| (-distance(t) / 0.05).exp());
        let units = [
            place_cell.collect(),
            drawn(2),
            Array1::from_elem(N_STATES, 0.5),
        ];
        for is_signed in [false, true] {
            let shuffles = Shuffles {
                visits: &visits,
                is_signed,
                n_states: N_STATES,
                seed: 1,
            };
            let observed = units.each_ref().map(|rates| {
                if is_signed {
                    visits.variance_explained(rates.view())
                } else {
                    visits.map(rates.view()).information()
                }
            });
            let p = shuffles.p_values(N_SHUFFLES, &observed, |unit| units[unit].clone());
            assert!((p[0] - 1.0 / 41.0).abs() < 1e-12, "{p:?}");
            assert!(p[1] > LEVEL && p[2] == 1.0, "{p:?}");
            let rotated = shuffles.rotated(0, &units[0], 7);
            assert!((rotated.sum() - units[0].sum()).abs() < 1e-9 && rotated != units[0]);
        }
    }
}
