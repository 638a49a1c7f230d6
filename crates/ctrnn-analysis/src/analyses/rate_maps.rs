//! Rate maps of spatial tasks.

use ndarray::{Array1, Array2, Array3};

use super::{Answer, NoOptions, Unsuitable};
use crate::plot::{ColourMap, Figure, Ticks, range_of, up_to};
use crate::rate_map::RateMap;
use crate::text::rounded;
use crate::{Arrays, Study};

/// Number of units with maps in the figure: those with the most spatial information.
const SHOWN: usize = 16;
const COLUMNS: usize = 8;

/// Firing rates as a function of position in a box.
#[derive(Clone, Debug)]
pub struct RateMaps {
    /// Rate map of each unit.
    pub maps: Vec<RateMap>,
    /// Spatial information of each unit, in bits per spike.
    pub information_bits: Vec<f64>,
    /// Grid score of each unit.
    pub grid_score: Vec<f64>,
    /// Range of positions along both sides of the box.
    pub range: [f64; 2],
}

impl Answer for RateMaps {
    type Options = NoOptions;

    fn compute(study: &Study, _: &NoOptions) -> Result<Self, Unsuitable> {
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
        let range = range_of(positions.iter().copied(), 0.0);
        let n_bins = ((positions.nrows() as f64 / 20.0).sqrt() as usize).clamp(10, 40);
        let map = |unit: usize| {
            let rates = states.iter().map(|&(b, t)| study.rates[[b, t, unit]]);
            let rates: Array1<f64> = rates.collect();
            RateMap::of(positions.view(), rates.view(), range, n_bins, 1.0)
        };
        let maps: Vec<RateMap> = (0..study.dynamics.n_units()).map(map).collect();
        Ok(Self {
            information_bits: maps.iter().map(RateMap::information).collect(),
            grid_score: maps.iter().map(RateMap::grid_score).collect(),
            maps,
            range,
        })
    }

    fn arrays(&self) -> Arrays {
        let (n_rows, n_columns) = self.maps[0].rates.dim();
        let shape = (self.maps.len(), n_rows, n_columns);
        let maps = Array3::from_shape_fn(shape, |(unit, y, x)| self.maps[unit].rates[[y, x]]);
        Arrays::default()
            .with("maps", &maps)
            .with("visits", &self.maps[0].visits)
            .with("information_bits", &self.information_bits)
            .with("grid_score", &self.grid_score)
            .with("range", &self.range[..])
    }

    fn statements(&self) -> Vec<String> {
        let count = |values: &[f64], bound: f64| values.iter().filter(|x| **x > bound).count();
        vec![format!(
            "{} of {} units carry more than 0.5 bits of place, {} have a grid score above 0.3",
            count(&self.information_bits, 0.5),
            self.maps.len(),
            count(&self.grid_score, 0.3)
        )]
    }

    fn figures(&self) -> Vec<(&'static str, Figure)> {
        let bits = &self.information_bits;
        let mut order: Vec<usize> = (0..bits.len()).collect();
        order.sort_by(|&a, &b| bits[b].total_cmp(&bits[a]));
        order.truncate(SHOWN);
        let columns_mm = vec![16.0; order.len().min(COLUMNS)];
        let rows_mm = vec![16.0; order.len().div_ceil(COLUMNS)];
        let mut figure = Figure::new(&columns_mm, &rows_mm);
        let whole = [0.0, 1.0];
        for (k, unit) in order.into_iter().enumerate() {
            let rates = &self.maps[unit].rates;
            let scale = up_to(rates.iter().copied());
            figure
                .cell(k / COLUMNS, k % COLUMNS)
                .title(self.title(unit))
                .x("", whole)
                .x_ticks(Ticks::None)
                .y("", whole)
                .y_ticks(Ticks::None)
                .heat_map(rates, [whole, whole], scale, ColourMap::Blues);
        }
        vec![("", figure)]
    }
}

impl RateMaps {
    fn title(&self, unit: usize) -> String {
        let bits = rounded(self.information_bits[unit], 2);
        let grid = self.grid_score[unit];
        if grid.is_finite() {
            format!("unit {unit}: {bits} bit, grid {}", rounded(grid, 2))
        } else {
            format!("unit {unit}: {bits} bit")
        }
    }
}
