//! Rate maps: firing rates by position in a box, and measures of spatial tuning.

use ndarray::{Array2, ArrayView1, ArrayView2};

use crate::statistics::correlation;

/// Mean rate of a unit in each bin of a square box.
#[derive(Clone, Debug)]
pub struct RateMap {
    /// Mean rates `[bin y, bin x]`; NaN in bins that were not visited.
    pub rates: Array2<f64>,
    /// Number of visits, without smoothing, `[bin y, bin x]`.
    pub visits: Array2<f64>,
}

/// Bins of a square box in which an animal was, for the maps of many units.
#[derive(Clone, Debug)]
pub struct Visits {
    /// Bin of each state.
    bins: Vec<[usize; 2]>,
    visits: Array2<f64>,
    smooth: Array2<f64>,
    smoothing: f64,
}

impl Visits {
    /// Assigns `positions [n, 2]` (x, y) to `n_bins` by `n_bins` bins over `[low, high]` along both sides; maps are
    /// smoothed with a Gaussian of `smoothing` bins.
    pub fn of(
        positions: ArrayView2<f64>,
        [low, high]: [f64; 2],
        n_bins: usize,
        smoothing: f64,
    ) -> Self {
        let bin = |x: f64| (((x - low) / (high - low) * n_bins as f64) as usize).min(n_bins - 1);
        let place = |place: ArrayView1<f64>| {
            [
                bin(place[1].clamp(low, high)),
                bin(place[0].clamp(low, high)),
            ]
        };
        let bins: Vec<[usize; 2]> = positions.outer_iter().map(place).collect();
        let mut visits = Array2::zeros((n_bins, n_bins));
        bins.iter().for_each(|&at| visits[at] += 1.0);
        Self {
            smooth: smoothed(&visits, smoothing),
            bins,
            visits,
            smoothing,
        }
    }

    /// Computes the fraction of the variance of a rate, `[n]`, that its means in the bins explain (eta squared); 0 for a
    /// constant rate. Unlike spatial information it is defined for rates of either sign.
    pub fn variance_explained(&self, rates: ArrayView1<f64>) -> f64 {
        let mean = rates.mean().unwrap_or(0.0);
        let mut sums = Array2::<f64>::zeros(self.visits.dim());
        for (&at, rate) in self.bins.iter().zip(rates) {
            sums[at] += rate - mean;
        }
        let total: f64 = rates.iter().map(|rate| (rate - mean).powi(2)).sum();
        let of_bins = sums.iter().zip(&self.visits).filter(|(_, n)| **n > 0.0);
        let between: f64 = of_bins.map(|(sum, n)| sum * sum / n).sum();
        // A smaller variance is rounding of a constant rate.
        if total > 1e-18 * rates.len() as f64 {
            (between / total).min(1.0)
        } else {
            0.0
        }
    }

    /// Averages the rate of a unit, `[n]`, in each bin.
    pub fn map(&self, rates: ArrayView1<f64>) -> RateMap {
        let mut sums = Array2::zeros(self.visits.dim());
        for (&at, rate) in self.bins.iter().zip(rates) {
            sums[at] += rate;
        }
        let mut rates = smoothed(&sums, self.smoothing) / &self.smooth;
        rates.zip_mut_with(&self.visits, |rate, &n| {
            if n == 0.0 {
                *rate = f64::NAN;
            }
        });
        RateMap {
            rates,
            visits: self.visits.clone(),
        }
    }
}

impl RateMap {
    /// Averages `rates [n]` at `positions [n, 2]` (x, y) in `n_bins` by `n_bins` bins over `[low, high]` along both
    /// sides, smoothed over neighbouring bins with a Gaussian of `smoothing` bins.
    pub fn of(
        positions: ArrayView2<f64>,
        rates: ArrayView1<f64>,
        [low, high]: [f64; 2],
        n_bins: usize,
        smoothing: f64,
    ) -> Self {
        Visits::of(positions, [low, high], n_bins, smoothing).map(rates)
    }

    /// Computes the spatial information in bits per spike, `sum p_i (r_i / r) log2(r_i / r)`: 0 for a flat map.
    ///
    /// # References
    /// Skaggs et al. (1993), An information-theoretic approach to deciphering the hippocampal code.
    pub fn information(&self) -> f64 {
        let total: f64 = self.visits.sum();
        let visited = || {
            self.rates
                .iter()
                .zip(&self.visits)
                .filter(|(rate, _)| rate.is_finite())
        };
        let mean: f64 = visited().map(|(rate, n)| rate.max(0.0) * n / total).sum();
        let bits = |(rate, n): (&f64, &f64)| match rate.max(0.0) / mean {
            ratio if ratio > 0.0 => n / total * ratio * ratio.log2(),
            _ => 0.0,
        };
        if mean > 0.0 {
            visited().map(bits).sum()
        } else {
            0.0
        }
    }

    /// Computes the sparsity `(sum p_i r_i)^2 / sum p_i r_i^2`: 1 for a flat map, the fraction of the box in which the unit
    /// fires if it fires equally there and nowhere else; NaN for a silent unit.
    ///
    /// # References
    /// Skaggs et al. (1996), Theta phase precession in hippocampal neuronal populations.
    pub fn sparsity(&self) -> f64 {
        let pairs = self.rates.iter().zip(&self.visits);
        let visited = pairs.filter(|(rate, _)| rate.is_finite());
        let (mut sum, mut square, mut n) = (0.0, 0.0, 0.0);
        for (rate, visits) in visited {
            let rate = rate.max(0.0);
            sum += visits * rate;
            square += visits * rate * rate;
            n += visits;
        }
        if square > 0.0 {
            sum * sum / (n * square)
        } else {
            f64::NAN
        }
    }

    /// Counts the fields: groups of at least `least_bins` bins that touch along a side, with rates above the fraction
    /// `threshold` of the largest.
    pub fn n_fields(&self, threshold: f64, least_bins: usize) -> usize {
        let largest = self
            .rates
            .iter()
            .copied()
            .filter(|r| r.is_finite())
            .fold(0.0, f64::max);
        let mut is_open = self
            .rates
            .mapv(|rate| largest > 0.0 && rate > threshold * largest);
        let (n_rows, n_columns) = is_open.dim();
        let mut n_fields = 0;
        for start in 0..n_rows * n_columns {
            let size = close_field(&mut is_open, [start / n_columns, start % n_columns]);
            n_fields += usize::from(size >= least_bins.max(1));
        }
        n_fields
    }

    /// Computes the spatial autocorrelation, for shifts up to half of the box in steps of a bin, `[2 h + 1, 2 h + 1]`.
    pub fn autocorrelation(&self) -> Array2<f64> {
        let n = self.rates.nrows() as isize;
        let half = n / 2;
        let size = (2 * half + 1) as usize;
        Array2::from_shape_fn((size, size), |(i, j)| {
            let (dy, dx) = (i as isize - half, j as isize - half);
            let mut pairs = Vec::new();
            for y in 0.max(-dy)..n.min(n - dy) {
                for x in 0.max(-dx)..n.min(n - dx) {
                    let a = self.rates[[y as usize, x as usize]];
                    let b = self.rates[[(y + dy) as usize, (x + dx) as usize]];
                    if a.is_finite() && b.is_finite() {
                        pairs.push((a, b));
                    }
                }
            }
            correlation(pairs.into_iter())
        })
    }

    /// Computes the grid score: the smaller correlation of the ring around the centre of the autocorrelation with
    /// itself rotated by 60 and 120 degrees, minus the largest one for 30, 90 and 150 degrees; the maximum over all
    /// outer radii, NaN if no ring fits. Maps above about 0.3 are called grids.
    ///
    /// # References
    /// Sargolini et al. (2006), Conjunctive representation of position, direction, and velocity.
    pub fn grid_score(&self) -> f64 {
        let auto = self.autocorrelation();
        let half = (auto.nrows() / 2) as f64;
        let radii = (4..=auto.nrows() / 2).map(|r| r as f64);
        let inner = inner_radius(&auto);
        let score = |outer: f64| {
            let turned =
                |degrees: f64| turned_correlation(&auto, degrees, [inner, outer.min(half)]);
            let with = [60.0, 120.0].map(turned);
            let against = [30.0, 90.0, 150.0].map(turned);
            with[0].min(with[1]) - against.into_iter().fold(f64::NEG_INFINITY, f64::max)
        };
        radii
            .filter(|outer| *outer > inner + 1.0)
            .map(score)
            .fold(f64::NAN, f64::max)
    }
}

/// Closes the open bins that are connected to a bin along their sides, and returns their number.
fn close_field(is_open: &mut Array2<bool>, start: [usize; 2]) -> usize {
    let (n_rows, n_columns) = is_open.dim();
    let mut border = vec![start];
    let mut size = 0;
    while let Some([y, x]) = border.pop() {
        if !std::mem::take(&mut is_open[[y, x]]) {
            continue;
        }
        size += 1;
        let sides = [
            [y.wrapping_sub(1), x],
            [y + 1, x],
            [y, x.wrapping_sub(1)],
            [y, x + 1],
        ];
        let is_inside = |[y, x]: &[usize; 2]| *y < n_rows && *x < n_columns;
        border.extend(sides.into_iter().filter(is_inside));
    }
    size
}

/// Returns the radius of the central peak of an autocorrelation: the first one with a mean correlation below 0.
fn inner_radius(auto: &Array2<f64>) -> f64 {
    let half = auto.nrows() / 2;
    let mean = |r: usize| {
        let n = 8 * r.max(1);
        let at = |k: usize| {
            let angle = k as f64 / n as f64 * std::f64::consts::TAU;
            value_at(auto, r as f64 * angle.cos(), r as f64 * angle.sin())
        };
        let values: Vec<f64> = (0..n).map(at).filter(|v| v.is_finite()).collect();
        values.iter().sum::<f64>() / values.len() as f64
    };
    (1..half).find(|&r| mean(r) < 0.0).unwrap_or(half / 2) as f64
}

/// Computes the correlation of a ring of an autocorrelation with itself rotated about the centre.
fn turned_correlation(auto: &Array2<f64>, degrees: f64, [inner, outer]: [f64; 2]) -> f64 {
    let half = (auto.nrows() / 2) as isize;
    let (sin, cos) = degrees.to_radians().sin_cos();
    let mut pairs = Vec::new();
    for y in -half..=half {
        for x in -half..=half {
            let (fx, fy) = (x as f64, y as f64);
            if (inner..=outer).contains(&fx.hypot(fy)) {
                let a = value_at(auto, fx, fy);
                let b = value_at(auto, cos * fx - sin * fy, sin * fx + cos * fy);
                if a.is_finite() && b.is_finite() {
                    pairs.push((a, b));
                }
            }
        }
    }
    correlation(pairs.into_iter())
}

/// Interpolates an autocorrelation between the four nearest bins, at x and y from its centre; NaN outside of it.
fn value_at(auto: &Array2<f64>, x: f64, y: f64) -> f64 {
    let half = (auto.nrows() / 2) as f64;
    let (x, y) = (x + half, y + half);
    let most = auto.nrows() as f64 - 1.0;
    if !(0.0..=most).contains(&x) || !(0.0..=most).contains(&y) {
        return f64::NAN;
    }
    let (j, i) = (x.floor().min(most - 1.0), y.floor().min(most - 1.0));
    let (fx, fy) = (x - j, y - i);
    let at = |di: usize, dj: usize| auto[[i as usize + di, j as usize + dj]];
    (1.0 - fy) * ((1.0 - fx) * at(0, 0) + fx * at(0, 1))
        + fy * ((1.0 - fx) * at(1, 0) + fx * at(1, 1))
}

fn smoothed(map: &Array2<f64>, width: f64) -> Array2<f64> {
    if width <= 0.0 {
        return map.clone();
    }
    let reach = (3.0 * width).ceil() as isize;
    let weight = |d: isize| (-0.5 * (d as f64 / width).powi(2)).exp();
    let n = map.nrows() as isize;
    let along = |get: &dyn Fn(isize, isize) -> f64| {
        Array2::from_shape_fn(map.dim(), |(i, j)| {
            let (i, j) = (i as isize, j as isize);
            (-reach..=reach)
                .filter(|d| (0..n).contains(&(j + d)))
                .map(|d| weight(d) * get(i, j + d))
                .sum()
        })
    };
    let rows = along(&|i, j| map[[i as usize, j as usize]]);
    let columns = along(&|i, j| rows[[j as usize, i as usize]]);
    columns.t().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(rate: impl Fn(f64, f64) -> f64) -> RateMap {
        let n = 40;
        let positions = Array2::from_shape_fn((n * n, 2), |(k, side)| {
            let index = if side == 0 { k % n } else { k / n };
            (index as f64 + 0.5) / n as f64
        });
        let rates: ndarray::Array1<f64> =
            positions.outer_iter().map(|p| rate(p[0], p[1])).collect();
        RateMap::of(positions.view(), rates.view(), [0.0, 1.0], n, 0.0)
    }

    /// Three waves at 60 degrees form a triangular grid; two at 90 degrees a square one, which does not score as a
    /// grid.
    #[test]
    fn triangles_score_and_squares_do_not() {
        let wave = |x: f64, y: f64, degrees: f64| {
            let (sin, cos) = degrees.to_radians().sin_cos();
            (std::f64::consts::TAU * 3.5 * (cos * x + sin * y)).cos()
        };
        let triangles = map(|x, y| 3.0 + wave(x, y, 10.0) + wave(x, y, 70.0) + wave(x, y, 130.0));
        let squares = map(|x, y| 2.0 + wave(x, y, 10.0) + wave(x, y, 100.0));
        assert!(triangles.grid_score() > 1.0, "{}", triangles.grid_score());
        assert!(squares.grid_score() < 0.0, "{}", squares.grid_score());
    }

    /// Activity in one quarter of the box: log2 4 = 2 bits. Uniform activity: none.
    #[test]
    fn information_by_hand() {
        let quarter = map(|x, y| f64::from(u8::from(x < 0.5 && y < 0.5)));
        assert!((quarter.information() - 2.0).abs() < 1e-9);
        assert!(map(|_, _| 5.0).information().abs() < 1e-9);
        assert_eq!(quarter.rates[[0, 39]], 0.0);
    }

    /// A quarter of the box: sparsity 1/4. Two separate squares are two fields, of which one is large.
    #[test]
    fn sparsity_and_fields_by_hand() {
        let quarter = map(|x, y| f64::from(u8::from(x < 0.5 && y < 0.5)));
        assert!((quarter.sparsity() - 0.25).abs() < 1e-12);
        assert!((map(|_, _| 5.0).sparsity() - 1.0).abs() < 1e-12);
        assert!(map(|_, _| 0.0).sparsity().is_nan());
        let two = map(|x, y| f64::from(u8::from((x < 0.2 && y < 0.2) || (x > 0.95 && y > 0.95))));
        assert_eq!([1, 9, 100].map(|least| two.n_fields(0.2, least)), [2, 1, 0]);
        assert_eq!(map(|_, _| 0.0).n_fields(0.2, 1), 0);
    }

    /// Rates -1 and 1 in either half of the box and nothing else: all of the variance. Noise that is the same everywhere,
    /// one of each sign in every bin: none. Half of either: half.
    #[test]
    fn variance_explained_by_hand() {
        let positions = Array2::from_shape_fn((8, 2), |(k, _)| if k < 4 { 0.1 } else { 0.9 });
        let visits = Visits::of(positions.view(), [0.0, 1.0], 2, 0.0);
        let of = |rate: &dyn Fn(usize) -> f64| {
            visits.variance_explained((0..8).map(rate).collect::<ndarray::Array1<f64>>().view())
        };
        let side = |k: usize| if k < 4 { -1.0 } else { 1.0 };
        let noise = |k: usize| if k.is_multiple_of(2) { -1.0 } else { 1.0 };
        assert!((of(&side) - 1.0).abs() < 1e-12);
        assert!(of(&noise).abs() < 1e-12 && of(&|_| 0.3) == 0.0);
        assert!((of(&|k| side(k) + noise(k)) - 0.5).abs() < 1e-12);
    }

    #[test]
    fn smoothing_keeps_a_flat_map_and_unvisited_bins() {
        let positions = ndarray::array![[0.1, 0.1], [0.9, 0.1]];
        let found = RateMap::of(
            positions.view(),
            ndarray::array![2.0, 2.0].view(),
            [0.0, 1.0],
            2,
            1.0,
        );
        assert!((found.rates[[0, 0]] - 2.0).abs() < 1e-12 && found.rates[[1, 1]].is_nan());
    }
}
