//! Several networks side by side.

use ctrnn_tasks::counted;
use ndarray::Array2;

use super::{Networks, PopulationAnswer, Spread};
use crate::analyses::{Basis, NoOptions};
use crate::linear_algebra::eigenvalues;
use crate::plot::{Figure, Layer, Rgb, Ticks, colour};
use crate::{ArrayDoc, Arrays, Pca, Study, Unsuitable};

/// Largest number of groups with a row in the figure.
const MOST_ROWS: usize = 40;
/// Number of panels side by side.
const COLUMNS: usize = 3;
/// Largest number of states from which principal components are computed.
const MOST_STATES: usize = 20_000;

/// Name in arrays and name in figures of each measure.
const MEASURES: [(&str, &str); 6] = [
    ("accuracy", "accuracy"),
    ("loss", "validation loss"),
    ("steps", "training steps"),
    ("mean_rate", "mean rate"),
    ("participation_ratio", "participation ratio"),
    ("spectral_radius", "spectral radius"),
];

/// Measures of networks, by network and by group.
#[derive(Clone, Debug)]
pub struct Compare {
    networks: Networks,
    /// Measures `[measure][network]`, in the order of [`MEASURES`]; NaN where a network has none.
    measured: Vec<Vec<f64>>,
}

impl PopulationAnswer for Compare {
    type Options = NoOptions;
    type Observation = [f64; 6];

    const BASIS: Basis = Basis::Trials;
    const ARRAYS: &'static [ArrayDoc] = &[
        ArrayDoc::new("keys", "[key]", "", "keys in which the networks differ"),
        ArrayDoc::new("values", "[network, key]", "", "values of these keys"),
        ArrayDoc::new(
            "accuracy",
            "[network]",
            "",
            "fraction of correct trials; NaN for a task without correct answers",
        ),
        ArrayDoc::new(
            "loss",
            "[network]",
            "",
            "last loss of validation in training",
        ),
        ArrayDoc::new("steps", "[network]", "", "training steps until then"),
        ArrayDoc::new(
            "mean_rate",
            "[network]",
            "",
            "mean of the rates over units, time and trials",
        ),
        ArrayDoc::new(
            "participation_ratio",
            "[network]",
            "",
            "participation ratio of the states: the number of dimensions that they fill",
        ),
        ArrayDoc::new(
            "spectral_radius",
            "[network]",
            "",
            "largest modulus of the eigenvalues of the recurrent weights",
        ),
        ArrayDoc::new(
            "group_{}",
            "[group, 3]",
            "",
            "number of networks with a value of this measure, its mean, and its standard deviation (n - 1)",
        ),
    ];

    fn observe(study: &Study, _: usize, _: &NoOptions) -> Result<[f64; 6], Unsuitable> {
        let correct: Vec<bool> = study.is_correct().into_iter().flatten().collect();
        let n_right = correct.iter().filter(|right| **right).count();
        let (steps, losses) = study
            .metrics
            .as_ref()
            .map_or_else(Default::default, |metrics| metrics.curve("val", "loss"));
        let last = |values: &[f64]| values.last().copied().unwrap_or(f64::NAN);
        let radius = eigenvalues(study.dynamics.w_rc.view())?;
        let radius = radius.first().map_or(0.0, |value| value.re.hypot(value.im));
        let is_finite = study.first_nonfinite().is_none() && study.batch.n_trials > 0;
        let (rate, ratio) = if is_finite {
            let places: Vec<(usize, usize)> = study.visited_steps().collect();
            let states = study.states_at(&places, MOST_STATES);
            let rate = study.counted(&study.rates).mean().unwrap_or(f64::NAN);
            (rate, Pca::of(states.view())?.participation_ratio())
        } else {
            (f64::NAN, f64::NAN)
        };
        Ok([
            n_right as f64 / correct.len() as f64,
            last(&losses),
            last(&steps),
            rate,
            ratio,
            radius,
        ])
    }

    fn join(
        networks: &Networks,
        observed: Vec<[f64; 6]>,
        _: &NoOptions,
    ) -> Result<Self, Unsuitable> {
        let of = |m: usize| observed.iter().map(|own| own[m]).collect();
        Ok(Self {
            networks: networks.clone(),
            measured: (0..MEASURES.len()).map(of).collect(),
        })
    }

    fn arrays(&self) -> Arrays {
        let Networks { keys, values, .. } = &self.networks;
        let arrays = Arrays::default().with("keys", keys).with_texts(
            "values",
            [values.len(), keys.len()],
            values.concat(),
        );
        let measures = MEASURES.iter().enumerate();
        measures.fold(arrays, |arrays, (m, (name, _))| {
            let groups: Vec<Spread> = self.groups(m).collect();
            let table = Array2::from_shape_fn((groups.len(), 3), |(g, k)| {
                [groups[g].n as f64, groups[g].mean, groups[g].deviation][k]
            });
            arrays
                .with(*name, &self.measured[m])
                .with(format!("group_{name}"), &table)
        })
    }

    fn statements(&self) -> Vec<String> {
        let known = self.known();
        let of_group = |g: usize| {
            let n = self.networks.of_group(g).len();
            let words = known.iter().map(|&m| {
                let spread = Spread::of(self.of_group(m, g));
                format!("{} {spread}", MEASURES[m].1)
            });
            let words: Vec<String> = words.collect();
            let group = &self.networks.groups[g];
            format!(
                "{group} ({}): {}",
                counted(n as u64, "network"),
                words.join(", ")
            )
        };
        (0..self.networks.groups.len()).map(of_group).collect()
    }

    /// Draws a panel for each measure: a row for each group, a point for each network, and the mean with its standard deviation.
    fn figures(&self) -> Vec<(&'static str, Figure)> {
        let known = self.known();
        let n_rows = self.networks.groups.len().min(MOST_ROWS);
        let columns = vec![38.0; known.len().min(COLUMNS)];
        let rows = vec![4.0 + 4.0 * n_rows as f64; known.len().div_ceil(COLUMNS)];
        let mut figure = Figure::new(&columns, &rows);
        let names: Vec<String> = self.networks.groups[..n_rows].to_vec();
        let blank = vec![String::new(); n_rows];
        for (place, &m) in known.iter().enumerate() {
            let (row, column) = (place / COLUMNS, place % COLUMNS);
            let panel = figure.cell(row, column);
            for g in 0..n_rows {
                let values: Vec<f64> = self.of_group(m, g).filter(|x| x.is_finite()).collect();
                let (y, spread) = (g as f64 + 0.5, Spread::of(values.iter().copied()));
                let at = vec![y; values.len()];
                panel.add(Layer::points(values, at, colour(5)).radius(0.4));
                if spread.n > 1 {
                    let [low, high] = [-1.0, 1.0].map(|side| spread.mean + side * spread.deviation);
                    panel.add(Layer::line(vec![low, high], vec![y; 2], Rgb::BLACK).wide(0.25));
                }
                if spread.n > 0 {
                    panel.add(Layer::points(vec![spread.mean], vec![y], Rgb::BLACK).radius(0.6));
                }
            }
            panel.fit(0.08).x_label(MEASURES[m].1);
            panel.y("", [n_rows as f64, 0.0]);
            panel.y_ticks(Ticks::named(if column == 0 { &names } else { &blank }));
        }
        vec![("", figure)]
    }
}

impl Compare {
    /// Returns the measures that some network has.
    fn known(&self) -> Vec<usize> {
        let is_known = |m: &usize| self.measured[*m].iter().any(|x| x.is_finite());
        (0..MEASURES.len()).filter(is_known).collect()
    }

    fn of_group(&self, measure: usize, group: usize) -> impl Iterator<Item = f64> {
        let networks = self.networks.of_group(group).into_iter();
        networks.map(move |k| self.measured[measure][k])
    }

    fn groups(&self, measure: usize) -> impl Iterator<Item = Spread> {
        let groups = 0..self.networks.groups.len();
        groups.map(move |g| Spread::of(self.of_group(measure, g)))
    }
}
