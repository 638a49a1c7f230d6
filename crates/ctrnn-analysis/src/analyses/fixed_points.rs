//! Fixed and slow points under the inputs of every epoch, and their stability.

mod search;

use ctrnn_random::{Key, Rng, Stream};
use faer::c64;
use ndarray::{Array1, Array2, Array3, Axis, s};

use super::spectrum::draw_on_complex_plane;
use super::{Answer, Unsuitable};
use crate::plot::{Figure, Layer, Panel, Rgb, colour, panel_mm, range_of};
use crate::study::TypicalInput;
use crate::{ArrayDoc, Arrays, Pca, Study};

pub use search::{FixedPoint, Search};

/// Largest number of initial states of a search.
const MOST_STARTS: usize = 200;
/// Largest number of panels in a row.
pub(super) const MOST_INPUTS: usize = 4;
/// Number of marginal points from which they are reported as a continuum: isolated ones are rare, whereas on a line or
/// plane of them each start finds a different one.
const CONTINUUM: usize = 10;
/// Largest number of trials whose trajectories are drawn.
const MOST_TRAJECTORIES: usize = 24;
/// Largest number of eigenvalues drawn in a panel for each kind of point.
const MOST_EIGENVALUES: usize = 4000;

/// Fixed and slow points under every typical input.
#[derive(Clone, Debug)]
pub struct FixedPoints {
    /// Typical inputs, `[input, I]`.
    pub inputs: Array2<f64>,
    /// Epochs with each of the inputs.
    pub epochs: Vec<String>,
    /// Fixed and slow points under each input.
    pub points: Vec<Vec<FixedPoint>>,
    /// Readout at every point, `[point, output]`.
    pub readouts: Array2<f64>,
    /// Timescale of every mode of every point in ms, `[point, unit]`.
    pub timescales_ms: Array2<f64>,
    /// Principal components of the visited states.
    pub pca: Pca,
    /// Projections of some trials on the first components.
    trajectories: Vec<Array2<f64>>,
}

/// Class of fixed points in figures.
#[derive(Clone, Copy)]
struct Kind {
    name: &'static str,
    colour: Rgb,
    radius_mm: f64,
    holds: fn(&FixedPoint) -> bool,
}

const UNSTABLE: Kind = Kind {
    name: "unstable",
    colour: Rgb([213, 94, 0]),
    radius_mm: 0.85,
    holds: |p| p.is_fixed && p.n_unstable() > 0,
};
const MARGINAL: Kind = Kind {
    name: "marginal",
    colour: Rgb([0, 114, 178]),
    radius_mm: 0.7,
    holds: |p| p.is_fixed && p.is_marginal(),
};
const STABLE: Kind = Kind {
    name: "stable",
    colour: Rgb::BLACK,
    radius_mm: 0.95,
    holds: |p| p.is_fixed && p.is_stable(),
};

impl Answer for FixedPoints {
    type Options = Search;
    const ARRAYS: &'static [ArrayDoc] = &[
        ArrayDoc::new(
            "inputs",
            "[held input, input]",
            "",
            "inputs that are held constant",
        ),
        ArrayDoc::new(
            "input_epochs",
            "[held input]",
            "",
            "epochs with each of the inputs",
        ),
        ArrayDoc::new(
            "input_index",
            "[point]",
            "",
            "held input of each point, from 0",
        ),
        ArrayDoc::new(
            "states",
            "[point, unit]",
            "",
            "potentials at each point (firing rates in the rate form)",
        ),
        ArrayDoc::new("readouts", "[point, output]", "", "outputs at each point"),
        ArrayDoc::new("q", "[point]", "", "|F(s) - s|^2 / 2 of one time step F"),
        ArrayDoc::new(
            "is_fixed",
            "[point]",
            "",
            "1 for a fixed point, 0 for a slow point",
        ),
        ArrayDoc::new("is_stable", "[point]", "", "1 if all modes decay"),
        ArrayDoc::new(
            "is_marginal",
            "[point]",
            "",
            "1 if no mode grows and one neither grows nor decays",
        ),
        ArrayDoc::new("n_unstable", "[point]", "", "number of growing modes"),
        ArrayDoc::new(
            "n_marginal",
            "[point]",
            "",
            "number of modes that neither grow nor decay",
        ),
        ArrayDoc::new(
            "eigenvalues_real",
            "[point, unit]",
            "per time step",
            "real parts of the eigenvalues of the Jacobian of one time step, largest modulus first",
        ),
        ArrayDoc::new(
            "eigenvalues_imag",
            "[point, unit]",
            "per time step",
            "imaginary parts of the eigenvalues",
        ),
        ArrayDoc::new(
            "timescales_ms",
            "[point, unit]",
            "ms",
            "timescale of each mode",
        ),
        ArrayDoc::new(
            "modes_real",
            "[point, mode, unit]",
            "",
            "real parts of the right eigenvectors of the leading modes",
        ),
        ArrayDoc::new(
            "modes_imag",
            "[point, mode, unit]",
            "",
            "imaginary parts of the right eigenvectors of the leading modes",
        ),
    ];

    fn compute(study: &Study, options: &Search) -> Result<Self, Unsuitable> {
        let inputs = study.some_typical_inputs()?;
        let states = study.all_states();
        let starts = starts(study, &states);
        let under = |typical: &TypicalInput| {
            let drive = study.dynamics.input_drive(&typical.input);
            let starts = relaxed(study, starts.clone(), &drive);
            Ok(options.run(&study.dynamics, &drive, starts.view())?)
        };
        let points: Vec<Vec<FixedPoint>> = inputs
            .iter()
            .map(under)
            .collect::<Result<_, Unsuitable>>()?;
        let pca = Pca::of(states.view())?;
        let trajectory = |b: usize| {
            let states = study.states().slice(s![b, ..study.batch.n_steps[b], ..]);
            pca.project(states, 3)
        };
        let shown = 0..study.batch.n_trials.min(MOST_TRAJECTORIES);
        let all: Vec<&FixedPoint> = points.iter().flatten().collect();
        let readouts = all.iter().map(|p| study.dynamics.readout(&p.state));
        Ok(Self {
            inputs: TypicalInput::table(&inputs, study.batch.n_inputs),
            epochs: inputs.iter().map(TypicalInput::title).collect(),
            readouts: table(readouts, study.batch.n_outputs),
            timescales_ms: moduli(&all, study.dynamics.n_units())
                .mapv(|modulus| study.dynamics.timescale_ms(modulus)),
            trajectories: shown.map(trajectory).collect(),
            points,
            pca,
        })
    }

    fn arrays(&self) -> Arrays {
        let n = self.pca.mean.len();
        let points: Vec<&FixedPoint> = self.points.iter().flatten().collect();
        let inputs = (0..).zip(&self.points);
        let input_index = inputs.flat_map(|(k, points)| vec![k; points.len()]);
        let numbers =
            |of: fn(&FixedPoint) -> usize| points.iter().map(|p| of(p)).collect::<Vec<_>>();
        let q: Vec<f64> = points.iter().map(|p| p.q).collect();
        let value = |part: fn(&c64) -> f64| {
            Array2::from_shape_fn((points.len(), n), |(i, j)| part(&points[i].modes.values[j]))
        };
        let mode = |part: fn(&c64) -> f64| {
            Array3::from_shape_fn((points.len(), n.min(3), n), |(i, k, j)| {
                part(&points[i].modes.vectors[[j, k]])
            })
        };
        Arrays::default()
            .with("inputs", &self.inputs)
            .with("input_epochs", &self.epochs)
            .with("input_index", &input_index.collect::<Vec<usize>>())
            .with("states", &table(points.iter().map(|p| p.state.clone()), n))
            .with("readouts", &self.readouts)
            .with("q", &q)
            .with("is_fixed", &numbers(|p| p.is_fixed.into()))
            .with("is_stable", &numbers(|p| p.is_stable().into()))
            .with("is_marginal", &numbers(|p| p.is_marginal().into()))
            .with("n_unstable", &numbers(FixedPoint::n_unstable))
            .with("n_marginal", &numbers(FixedPoint::n_marginal))
            .with("eigenvalues_real", &value(|z| z.re))
            .with("eigenvalues_imag", &value(|z| z.im))
            .with("timescales_ms", &self.timescales_ms)
            .with("modes_real", &mode(|z| z.re))
            .with("modes_imag", &mode(|z| z.im))
    }

    fn statements(&self) -> Vec<String> {
        let inputs = self.epochs.iter().zip(&self.points);
        let statement = |(epochs, points): (_, &Vec<_>)| format!("{epochs}: {}", census(points));
        inputs.map(statement).collect()
    }

    fn figures(&self) -> Vec<(&'static str, Figure)> {
        let eigenvalues = ("_eigenvalues", self.eigenvalue_figure());
        if self.pca.components.nrows() > 1 {
            vec![("", self.map()), eigenvalues]
        } else {
            vec![eigenvalues]
        }
    }
}

impl FixedPoints {
    fn has_marginal(&self) -> bool {
        self.points.iter().flatten().any(MARGINAL.holds)
    }

    /// Draws points over the trajectories of some trials, in the plane of the first two components, and for a single
    /// input also in that of the first and the third.
    fn map(&self) -> Figure {
        let planes: Vec<(usize, usize)> = match self.points.len() {
            1 if self.pca.components.nrows() > 2 => vec![(0, 1), (0, 2)],
            n => (0..n.min(MOST_INPUTS)).map(|k| (k, 1)).collect(),
        };
        let n = planes.len();
        let mut figure = Figure::new(&vec![panel_mm(n, 42.0); n], &[38.0]);
        for (place, &(input, second)) in planes.iter().enumerate() {
            let panel = figure.cell(0, place);
            self.draw_plane(panel, input, second, place + 1 == n);
        }
        figure
    }

    fn draw_plane(&self, panel: &mut Panel, input: usize, second: usize, is_named: bool) {
        let pale = Rgb([205, 205, 205]);
        panel.extend(self.trajectories.iter().map(|seen| {
            let [x, y] = [0, second].map(|k| seen.column(k).to_vec());
            Layer::line(x, y, pale).wide(0.15)
        }));
        if self.points[input].is_empty() {
            panel.add(nothing_found(&self.trajectories, second));
        }
        let seen = |holds: fn(&FixedPoint) -> bool| {
            let kept = self.points[input].iter().filter(|p| holds(p));
            let states: Vec<_> = kept.map(|p| p.state.view()).collect();
            match ndarray::stack(Axis(0), &states) {
                Ok(states) => {
                    let seen = self.pca.project(states.view(), 3);
                    [0, second].map(|k| seen.column(k).to_vec())
                }
                Err(_) => [Vec::new(), Vec::new()],
            }
        };
        let named = |layer: Layer, name| if is_named { layer.named(name) } else { layer };
        let discs = |kind: Kind| {
            let [x, y] = seen(kind.holds);
            named(
                Layer::points(x, y, kind.colour).radius(kind.radius_mm),
                kind.name,
            )
        };
        let [x, y] = seen(|p| !p.is_fixed);
        panel.add(named(Layer::points(x, y, colour(4)).radius(0.5), "slow"));
        let [x, y] = seen(UNSTABLE.holds);
        let [outer, inner] = Layer::rings(x, y, UNSTABLE.colour, UNSTABLE.radius_mm);
        panel.extend([named(outer, UNSTABLE.name), inner]);
        if self.has_marginal() {
            panel.add(discs(MARGINAL));
        }
        panel
            .add(discs(STABLE))
            .fit(0.08)
            .title(&*self.epochs[input])
            .x_label("PC 1")
            .y_label(&format!("PC {}", second + 1));
    }

    fn eigenvalue_figure(&self) -> Figure {
        let shown = self.points.len().min(MOST_INPUTS);
        let side = panel_mm(shown, 38.0);
        let mut figure = Figure::new(&vec![side; shown], &[side]);
        let mut kinds = vec![UNSTABLE, STABLE];
        if self.has_marginal() {
            kinds.insert(1, MARGINAL);
        }
        for (k, points) in self.points[..shown].iter().enumerate() {
            let n_units = points.first().map_or(1, |p| p.state.len());
            let most = (MOST_EIGENVALUES / n_units).clamp(1, 16);
            let mut layers: Vec<Layer> = Vec::new();
            for kind in &kinds {
                let kept = points.iter().filter(|p| (kind.holds)(p)).take(most);
                let values = kept.flat_map(|p| p.modes.values.iter().map(|z| (z.re, z.im)));
                let (x, y) = values.unzip();
                let discs = Layer::points(x, y, kind.colour).radius(0.45);
                layers.push(if k + 1 == shown {
                    discs.named(kind.name)
                } else {
                    discs
                });
            }
            if !points.iter().any(|point| point.is_fixed) {
                layers.push(Layer::text(0.0, 0.3, "no fixed point", Rgb::GREY));
            }
            let panel = figure.cell(0, k).title(&*self.epochs[k]);
            draw_on_complex_plane(panel, layers);
            if k > 0 {
                panel.y_label("");
            }
        }
        figure
    }
}

/// Returns a matrix with the given vectors of `n` numbers as rows.
fn table(rows: impl Iterator<Item = Array1<f64>>, n: usize) -> Array2<f64> {
    let rows: Vec<Array1<f64>> = rows.collect();
    Array2::from_shape_fn((rows.len(), n), |(i, j)| rows[i][j])
}

/// Returns the moduli of the eigenvalues of points, `[point, unit]`.
fn moduli(points: &[&FixedPoint], n_units: usize) -> Array2<f64> {
    Array2::from_shape_fn((points.len(), n_units), |(i, j)| {
        let z = points[i].modes.values[j];
        z.re.hypot(z.im)
    })
}

/// Draws visited states as starts, half of them perturbed by normal noise of half the standard deviation of each unit.
fn starts(study: &Study, states: &Array2<f64>) -> Array2<f64> {
    let n = (MOST_STARTS * 64 / study.dynamics.n_units().max(64))
        .max(64)
        .min(states.nrows());
    let std = states.std_axis(Axis(0), 0.0);
    let mut rng = Rng::new(Key::new(study.seed, Stream::Eval, 4), 0, 0);
    let chosen: Vec<usize> = (0..n)
        .map(|_| rng.below(states.nrows() as u32) as usize)
        .collect();
    let mut starts = states.select(Axis(0), &chosen);
    for (k, mut row) in starts.outer_iter_mut().enumerate() {
        if k % 2 == 1 {
            row.zip_mut_with(&std, |v, std| *v += 0.5 * std * f64::from(rng.normal()));
        }
    }
    starts
}

/// Returns the starts, every fourth of them advanced by ten seconds of noise-free dynamics, so that attractors are
/// found quickly.
fn relaxed(study: &Study, mut starts: Array2<f64>, drive: &Array1<f64>) -> Array2<f64> {
    let n_steps = ((10_000.0 / study.dynamics.dt_ms) as usize).min(1000);
    for mut row in starts.outer_iter_mut().step_by(4) {
        let settled = (0..n_steps).fold(row.to_owned(), |state, _| {
            study.dynamics.next(&state, drive)
        });
        if settled.iter().all(|x| x.is_finite()) {
            row.assign(&settled);
        }
    }
    starts
}

/// Describes the number of points of each kind in a sentence.
fn census(points: &[FixedPoint]) -> String {
    let count = |kind: Kind| points.iter().filter(|p| (kind.holds)(p)).count();
    let (stable, unstable) = (count(STABLE), count(UNSTABLE));
    let slow = points.iter().filter(|p| !p.is_fixed).count();
    let n = count(MARGINAL);
    if n == 0 {
        return format!("{stable} stable and {unstable} unstable fixed points, {slow} slow points");
    }
    let marginal = points.iter().filter(|p| (MARGINAL.holds)(p));
    let continuum = match marginal.map(FixedPoint::n_marginal).min() {
        Some(1) if n >= CONTINUUM => " (a continuum: at least 1 marginal direction)".to_owned(),
        Some(d) if n >= CONTINUUM => format!(" (a continuum: at least {d} marginal directions)"),
        _ => String::new(),
    };
    format!(
        "{stable} stable, {unstable} unstable and {n} marginal fixed points{continuum}, {slow} slow points"
    )
}

/// Returns a note, placed in the middle of the trajectories, that nothing was found.
fn nothing_found(trajectories: &[Array2<f64>], second: usize) -> Layer {
    let [x, y] = [0, second].map(|k| {
        let seen = trajectories.iter().flat_map(|seen| seen.column(k).to_vec());
        let [low, high] = range_of(seen, 0.0);
        (low + high) / 2.0
    });
    Layer::text(x, y, "none found", Rgb::GREY)
}
