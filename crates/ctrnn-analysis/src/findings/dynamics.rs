//! Fixed points, flow, Lyapunov exponents, spectra.

use ctrnn_random::{Key, Rng, Stream};
use faer::c64;
use ndarray::{Array1, Array2, Array3, Axis as Side};

use super::layers::{
    BAR_MM, colour_bar, discs, guide, log_ticks, panel_mm, range_of, rings, short, spoken, thick,
    up_to,
};
use super::{Findings, Unsuitable, lacks};
use crate::fixed_points::{FixedPoint, Search, fixed_points as search_fixed_points};
use crate::linear_algebra::eigenvalues;
use crate::plot::{Axis, ColourMap, Figure, HeatMap, Layer, Panel, Rgb, colour, drawable};
use crate::study::{TypicalInput, steps_of};
use crate::{Pca, Study};

/// Where a search begins: visited states, and the same with noise.
const MOST_STARTS: usize = 200;
/// Most panels in a row.
const MOST_INPUTS: usize = 4;
/// From so many marginal points on they are a continuum: isolated ones are rare, and each start finds another one on a line or a plane of them.
const CONTINUUM: usize = 10;

/// Visited states, half of them moved by normal numbers of half of the standard deviation of each unit.
fn starts(study: &Study, states: &Array2<f64>) -> Array2<f64> {
    let n = (MOST_STARTS * 64 / study.dynamics.n_units().max(64))
        .max(64)
        .min(states.nrows());
    let std = states.std_axis(Side(0), 0.0);
    let mut rng = Rng::new(Key::new(study.seed, Stream::Eval, 4), 0, 0);
    let chosen: Vec<usize> = (0..n)
        .map(|_| rng.below(states.nrows() as u32) as usize)
        .collect();
    let mut starts = states.select(Side(0), &chosen);
    for (k, mut row) in starts.outer_iter_mut().enumerate() {
        if k % 2 == 1 {
            row.zip_mut_with(&std, |v, std| *v += 0.5 * std * f64::from(rng.normal()));
        }
    }
    starts
}

/// The points under every typical input.
fn all_points(study: &Study, inputs: &[TypicalInput]) -> Result<Vec<Vec<FixedPoint>>, Unsuitable> {
    let states = study.all_states();
    let starts = starts(study, &states);
    let under = |typical: &TypicalInput| {
        let drive = study.dynamics.input_drive(&typical.input);
        Ok(search_fixed_points(
            &study.dynamics,
            &drive,
            relaxed(study, starts.clone(), &drive).view(),
            &Search::default(),
        )?)
    };
    inputs.iter().map(under).collect()
}

/// The starts, every fourth of them after ten seconds of the noise-free network: what attracts is found at once.
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

/// The typical inputs, of which there is one at least.
fn typical_inputs(study: &Study) -> Result<Vec<TypicalInput>, Unsuitable> {
    let inputs = study.typical_inputs();
    if inputs.is_empty() {
        return Err(lacks("the trials do not say when their epochs are"));
    }
    Ok(inputs)
}

/// Says in a sentence how many points there are of each kind.
fn census(points: &[FixedPoint]) -> String {
    let count = |is: fn(&FixedPoint) -> bool| points.iter().filter(|p| p.is_fixed && is(p)).count();
    let (stable, marginal) = (count(FixedPoint::is_stable), count(FixedPoint::is_marginal));
    let unstable = count(|p| p.n_unstable() > 0);
    let slow = points.iter().filter(|p| !p.is_fixed).count();
    let directions = points
        .iter()
        .filter(|p| p.is_fixed && p.is_marginal())
        .map(FixedPoint::n_marginal)
        .min()
        .unwrap_or(0);
    match marginal {
        0 => format!("{stable} stable and {unstable} unstable fixed points, {slow} slow points"),
        n => format!(
            "{stable} stable, {unstable} unstable and {n} marginal fixed points{}, {slow} slow points",
            match n {
                CONTINUUM.. => format!(
                    " (a continuum: at least {directions} marginal direction{})",
                    if directions == 1 { "" } else { "s" }
                ),
                _ => String::new(),
            }
        ),
    }
}

pub fn fixed_points(study: &Study) -> Result<Findings, Unsuitable> {
    let inputs = typical_inputs(study)?;
    let found = all_points(study, &inputs)?;
    let mut findings = Findings::default();
    for (typical, points) in inputs.iter().zip(&found) {
        findings.say(format!("{}: {}", title(typical), census(points)));
    }
    record(study, &mut findings, &inputs, &found);
    let states = study.all_states();
    let pca = Pca::of(states.view())?;
    if pca.components.nrows() > 1 {
        findings.draw("", map_of_points(study, &pca, &inputs, &found));
    }
    findings.draw("_eigenvalues", eigenvalue_figure(&inputs, &found));
    Ok(findings)
}

fn title(typical: &TypicalInput) -> String {
    typical
        .epochs
        .iter()
        .map(|name| name.replace('_', " "))
        .collect::<Vec<_>>()
        .join(", ")
}

fn record(
    study: &Study,
    findings: &mut Findings,
    inputs: &[TypicalInput],
    found: &[Vec<FixedPoint>],
) {
    let n = study.dynamics.n_units();
    let points: Vec<(usize, &FixedPoint)> = found
        .iter()
        .enumerate()
        .flat_map(|(k, points)| points.iter().map(move |point| (k, point)))
        .collect();
    let flags = |of: fn(&FixedPoint) -> bool| {
        points
            .iter()
            .map(|(_, p)| usize::from(of(p)))
            .collect::<Vec<_>>()
    };
    findings.put(
        "inputs",
        &Array2::from_shape_fn((inputs.len(), study.batch.n_inputs), |(k, i)| {
            inputs[k].input[i]
        }),
    );
    findings.put_numbers("input_index", points.iter().map(|(k, _)| *k));
    findings.put(
        "states",
        &Array2::from_shape_fn((points.len(), n), |(i, j)| points[i].1.state[j]),
    );
    let readouts: Vec<Array1<f64>> = points
        .iter()
        .map(|(_, p)| study.dynamics.readout(&p.state))
        .collect();
    findings.put(
        "readouts",
        &Array2::from_shape_fn((points.len(), study.batch.n_outputs), |(i, j)| {
            readouts[i][j]
        }),
    );
    findings.put_list("q", &points.iter().map(|(_, p)| p.q).collect::<Vec<_>>());
    findings.put_numbers("is_fixed", flags(|p| p.is_fixed));
    findings.put_numbers("is_stable", flags(FixedPoint::is_stable));
    findings.put_numbers("is_marginal", flags(FixedPoint::is_marginal));
    findings.put_numbers("n_unstable", points.iter().map(|(_, p)| p.n_unstable()));
    findings.put_numbers("n_marginal", points.iter().map(|(_, p)| p.n_marginal()));
    let value = |part: fn(&c64) -> f64| {
        Array2::from_shape_fn((points.len(), n), |(i, j)| {
            part(&points[i].1.modes.values[j])
        })
    };
    findings.put("eigenvalues_real", &value(|z| z.re));
    findings.put("eigenvalues_imag", &value(|z| z.im));
    let modulus = value(|z| z.re.hypot(z.im));
    findings.put(
        "timescales_ms",
        &modulus.mapv(|m| study.dynamics.timescale_ms(m)),
    );
    let kept = n.min(3);
    let mode = |part: fn(&c64) -> f64| {
        Array3::from_shape_fn((points.len(), kept, n), |(i, k, j)| {
            part(&points[i].1.modes.vectors[[j, k]])
        })
    };
    findings.put("modes_real", &mode(|z| z.re));
    findings.put("modes_imag", &mode(|z| z.im));
}

/// Points on the plane of the first two components, of a single input also on that of the first and the third, over the trajectories of some trials.
fn map_of_points(
    study: &Study,
    pca: &Pca,
    inputs: &[TypicalInput],
    found: &[Vec<FixedPoint>],
) -> Figure {
    let planes: Vec<(usize, usize)> = match inputs.len() {
        1 if pca.components.nrows() > 2 => vec![(0, 1), (0, 2)],
        n => (0..n.min(MOST_INPUTS)).map(|k| (k, 1)).collect(),
    };
    let mut figure = Figure::new(&vec![panel_mm(planes.len(), 42.0); planes.len()], &[38.0]);
    for (place, &(k, second)) in planes.iter().enumerate() {
        let mut layers = trajectories(study, pca, second, 24);
        let of = |keep: fn(&FixedPoint) -> bool| {
            let rows: Vec<_> = found[k]
                .iter()
                .filter(|p| keep(p))
                .map(|p| p.state.view())
                .collect();
            match ndarray::stack(Side(0), &rows) {
                Ok(states) => {
                    let seen = pca.project(states.view(), 3);
                    (seen.column(0).to_vec(), seen.column(second).to_vec())
                }
                Err(_) => (Vec::new(), Vec::new()),
            }
        };
        if found[k].is_empty() {
            layers.push(nothing_found(&layers));
        }
        let name = |layer: Layer, name: &str| {
            if place + 1 == planes.len() {
                layer.named(name)
            } else {
                layer
            }
        };
        let (x, y) = of(|p| !p.is_fixed);
        layers.push(name(discs(x, y, colour(4), 0.5), "slow"));
        let (x, y) = of(|p| p.is_fixed && p.n_unstable() > 0);
        let [outer, inner] = rings(&x, &y, colour(1), 0.85);
        layers.extend([name(outer, "unstable"), inner]);
        if has_marginal(found) {
            let (x, y) = of(|p| p.is_fixed && p.is_marginal());
            layers.push(name(discs(x, y, MARGINAL, 0.7), "marginal"));
        }
        let (x, y) = of(|p| p.is_fixed && p.is_stable());
        layers.push(name(discs(x, y, Rgb::BLACK, 0.95), "stable"));
        let range = |side: usize| {
            range_of(
                layers.iter().flat_map(|layer| match layer {
                    Layer::Line { x, y, .. } | Layer::Points { x, y, .. } => {
                        [x.clone(), y.clone()][side].clone()
                    }
                    _ => Vec::new(),
                }),
                0.08,
            )
        };
        let ([xl, xh], [yl, yh]) = (range(0), range(1));
        figure.place(
            0,
            place,
            Panel {
                title: title(&inputs[k]),
                x: Axis::new("PC 1").with_range(xl, xh),
                y: Axis::new(&format!("PC {}", second + 1)).with_range(yl, yh),
                layers,
            },
        );
    }
    figure
}

/// The colour of marginal points, which a legend names only where there are some.
const MARGINAL: Rgb = Rgb([0, 114, 178]);

fn has_marginal(found: &[Vec<FixedPoint>]) -> bool {
    found
        .iter()
        .flatten()
        .any(|p| p.is_fixed && p.is_marginal())
}

/// A remark in the middle of a panel.
fn nothing_found(layers: &[Layer]) -> Layer {
    let middle = |side: usize| {
        let values = layers.iter().flat_map(|layer| match layer {
            Layer::Line { x, y, .. } => [x.clone(), y.clone()][side].clone(),
            _ => Vec::new(),
        });
        let [low, high] = range_of(values, 0.0);
        (low + high) / 2.0
    };
    Layer::text(middle(0), middle(1), "none found", Rgb::GREY)
}

fn trajectories(study: &Study, pca: &Pca, second: usize, most: usize) -> Vec<Layer> {
    let line = |b: usize| {
        let states = study
            .states()
            .slice(ndarray::s![b, ..study.batch.n_steps[b], ..])
            .to_owned();
        let seen = pca.project(states.view(), 3);
        thick(
            seen.column(0).to_vec(),
            seen.column(second).to_vec(),
            Rgb([205, 205, 205]),
            0.15,
        )
    };
    (0..study.batch.n_trials.min(most)).map(line).collect()
}

fn eigenvalue_figure(inputs: &[TypicalInput], found: &[Vec<FixedPoint>]) -> Figure {
    /// Eigenvalues of one kind of points in a panel.
    const MOST: usize = 4000;
    let shown = inputs.len().min(MOST_INPUTS);
    let side = panel_mm(shown, 38.0);
    let mut figure = Figure::new(&vec![side; shown], &[side]);
    let mut kinds: Vec<(Kind, Rgb, &str)> = vec![
        (|p| p.n_unstable() > 0, colour(1), "unstable"),
        (FixedPoint::is_stable, Rgb::BLACK, "stable"),
    ];
    if has_marginal(found) {
        kinds.insert(1, (FixedPoint::is_marginal, MARGINAL, "marginal"));
    }
    for k in 0..shown {
        let values = |is: Kind| -> (Vec<f64>, Vec<f64>) {
            let points = found[k].iter().filter(|p| p.is_fixed && is(p));
            let n_units = found[k].first().map_or(1, |p| p.state.len());
            points
                .take((MOST / n_units).clamp(1, 16))
                .flat_map(|p| p.modes.values.iter().map(|z| (z.re, z.im)))
                .unzip()
        };
        let mut layers = circle();
        for &(is, colour, name) in &kinds {
            let (x, y) = values(is);
            let points = discs(x, y, colour, 0.45);
            layers.push(if k + 1 == shown {
                points.named(name)
            } else {
                points
            });
        }
        if !found[k].iter().any(|point| point.is_fixed) {
            layers.push(Layer::text(0.0, 0.3, "no fixed point", Rgb::GREY));
        }
        figure.place(0, k, square_panel(&title(&inputs[k]), layers, k == 0));
    }
    figure
}

/// Whether a point is of a kind.
type Kind = fn(&FixedPoint) -> bool;

/// The unit circle and the axes.
fn circle() -> Vec<Layer> {
    let angle = |k: usize| k as f64 / 180.0 * std::f64::consts::PI;
    let (x, y) = (0..=360).map(|k| (angle(k).cos(), angle(k).sin())).unzip();
    vec![
        guide([-9.0, 9.0], [0.0, 0.0]),
        guide([0.0, 0.0], [-9.0, 9.0]),
        thick(x, y, Rgb([170, 170, 170]), 0.2),
    ]
}

/// Equal scales on both axes.
fn square_panel(title: &str, mut layers: Vec<Layer>, is_first: bool) -> Panel {
    let seen = layers.iter().flat_map(|layer| match layer {
        Layer::Points { x, y, .. } => x.iter().chain(y).map(|v| v.abs()).collect::<Vec<_>>(),
        _ => Vec::new(),
    });
    let reach = 1.08 * up_to(seen.chain([1.0]))[1];
    layers[0] = guide([-reach, reach], [0.0, 0.0]);
    layers[1] = guide([0.0, 0.0], [-reach, reach]);
    Panel {
        title: title.to_owned(),
        x: Axis::new("Re λ").with_range(-reach, reach),
        y: Axis::new(if is_first { "Im λ" } else { "" }).with_range(-reach, reach),
        layers,
    }
}

pub fn flow(study: &Study) -> Result<Findings, Unsuitable> {
    /// Arrows, and places of which the speed is shown, along each axis.
    const GRID: usize = 15;
    const FINE: usize = 81;
    let states = study.all_states();
    let pca = Pca::of(states.view())?;
    if pca.rank() < 2 {
        return Err(lacks(match pca.rank() {
            _ if states.ncols() < 2 => "a plane needs two units",
            0 => "a plane needs two directions, but all states are the same",
            _ => "a plane needs two directions, but all states lie on a line",
        }));
    }
    let axes = pca.components.slice(ndarray::s![..2, ..]);
    let seen = pca.project(states.view(), 2);
    let range = |k: usize| range_of(seen.column(k).to_vec(), 0.1);
    let ranges = [range(0), range(1)];
    let inputs = typical_inputs(study)?;
    let shown = inputs.len().min(MOST_INPUTS);
    let mut findings = Findings::default();
    let mut flows = Vec::new();
    for typical in &inputs[..shown] {
        let drive = study.dynamics.input_drive(&typical.input);
        let fine = crate::flow::flow(&study.dynamics, &drive, &pca.mean, axes, ranges, FINE);
        flows.push((
            crate::flow::flow(&study.dynamics, &drive, &pca.mean, axes, ranges, GRID),
            fine,
        ));
    }
    let speeds = flows.iter().flat_map(|(_, fine)| fine.speed.iter());
    let fastest = 1000.0 * speeds.copied().fold(0.0, f64::max);
    let scale = up_to([fastest]);
    let mut figure = Figure::new(
        &[vec![panel_mm(shown, 42.0); shown], vec![BAR_MM]].concat(),
        &[38.0],
    );
    for (k, (coarse, fine)) in flows.iter().enumerate() {
        findings.put(&format!("velocity_{k}"), &fine.velocity);
        findings.put(&format!("speed_{k}"), &fine.speed);
        let mut layers = vec![Layer::HeatMap(HeatMap {
            x: ranges[0],
            y: ranges[1],
            columns: FINE,
            values: fine.speed.iter().map(|v| 1000.0 * v).collect(),
            scale,
            map: ColourMap::Blues,
        })];
        layers.extend(arrows(coarse, ranges, GRID));
        figure.place(
            0,
            k,
            Panel {
                title: title(&inputs[k]),
                x: Axis::new("PC 1").with_range(ranges[0][0], ranges[0][1]),
                y: Axis::new(if k == 0 { "PC 2" } else { "" })
                    .with_range(ranges[1][0], ranges[1][1]),
                layers,
            },
        );
    }
    figure.place(0, shown, colour_bar(scale, ColourMap::Blues, "speed (1/s)"));
    findings.put("axes", &axes.to_owned());
    findings.put("origin", &pca.mean);
    findings.put(
        "inputs",
        &Array2::from_shape_fn((shown, study.batch.n_inputs), |(k, i)| inputs[k].input[i]),
    );
    for side in 0..2 {
        findings.put(&format!("places_{side}"), &flows[0].1.places[side]);
    }
    findings.say(format!(
        "the flow on the plane of the first two components reaches {} per second",
        short(fastest)
    ));
    findings.draw("", figure);
    Ok(findings)
}

/// An arrow at each place, as long as a cell where the flow is fastest, never shorter than a fifth of that.
fn arrows(flow: &crate::flow::Flow, ranges: [[f64; 2]; 2], n: usize) -> Vec<Layer> {
    let cell = ranges.map(|[low, high]| (high - low) / n as f64);
    // In units of cells, so that an arrow has its direction on paper.
    let in_cells = |i: usize, j: usize| [0, 1].map(|k| flow.velocity[[i, j, k]] / cell[k]);
    let length = |[x, y]: [f64; 2]| x.hypot(y);
    let all = || (0..n).flat_map(|i| (0..n).map(move |j| (i, j)));
    let longest = all()
        .map(|(i, j)| length(in_cells(i, j)))
        .fold(1e-300, f64::max);
    let mut layers = Vec::new();
    for (i, j) in all() {
        let [dx, dy] = in_cells(i, j);
        let size = length([dx, dy]);
        if size < 1e-9 * longest {
            continue;
        }
        let reach = 0.85 * (size / longest).sqrt().max(0.25) / size;
        let (dx, dy) = (dx * reach, dy * reach);
        let at = |u: f64, v: f64| {
            [
                flow.places[0][j] + u * cell[0],
                flow.places[1][i] + v * cell[1],
            ]
        };
        let (tail, head) = (at(-dx / 2.0, -dy / 2.0), at(dx / 2.0, dy / 2.0));
        let wing = |side: f64| at(0.1 * dx - side * 0.25 * dy, 0.1 * dy + side * 0.25 * dx);
        let line = |points: &[[f64; 2]]| {
            thick(
                points.iter().map(|p| p[0]).collect(),
                points.iter().map(|p| p[1]).collect(),
                Rgb([40, 40, 40]),
                0.15,
            )
        };
        layers.push(line(&[tail, head]));
        layers.push(line(&[wing(1.0), head, wing(-1.0)]));
    }
    layers
}

pub fn lyapunov(study: &Study) -> Result<Findings, Unsuitable> {
    const MOST_STEPS: usize = 3000;
    let n = study.dynamics.n_units().min(20);
    let mut rows: Vec<Array1<f64>> = Vec::new();
    for k in 0.. {
        let inputs = study.inputs(k % study.batch.n_trials);
        rows.extend(inputs.outer_iter().map(|row| row.to_owned()));
        if rows.len() >= MOST_STEPS {
            break;
        }
    }
    rows.truncate(MOST_STEPS);
    let inputs = Array2::from_shape_fn((rows.len(), study.batch.n_inputs), |(t, k)| rows[t][k]);
    let start = study.states().slice(ndarray::s![0, 0, ..]).to_owned();
    let found =
        crate::lyapunov::lyapunov(&study.dynamics, &start, inputs.view(), n, MOST_STEPS / 6)?;
    let largest = found.exponents_per_s[0];
    let mut findings = Findings::default();
    findings.put("exponents_per_s", &found.exponents_per_s);
    findings.put("convergence", &found.convergence);
    findings.put_list("dimension", &[found.dimension()]);
    let word = if largest > 0.0 {
        "neighbouring trajectories part"
    } else {
        "neighbouring trajectories meet"
    };
    findings.say(format!(
        "largest Lyapunov exponent {} per second: {word}; Kaplan-Yorke dimension {}",
        short(largest),
        short(found.dimension())
    ));
    let mut figure = Figure::new(&[40.0, 40.0], &[34.0]);
    let x: Vec<f64> = (1..=n).map(|k| k as f64).collect();
    figure.place(
        0,
        0,
        Panel {
            x: Axis::new("exponent").with_range(0.4, n as f64 + 0.6),
            y: Axis::new("Lyapunov exponent (1/s)"),
            layers: vec![
                guide([0.4, n as f64 + 0.6], [0.0, 0.0]),
                discs(x, found.exponents_per_s.to_vec(), colour(0), 0.7),
            ],
            ..Panel::default()
        },
    );
    let stretch = (MOST_STEPS - MOST_STEPS / 6) as f64 / found.convergence.nrows() as f64
        * study.dynamics.dt_ms
        / 1000.0;
    let t: Vec<f64> = (1..=found.convergence.nrows())
        .map(|k| k as f64 * stretch)
        .collect();
    let course = |k: usize| {
        thick(
            t.clone(),
            found.convergence.column(k).to_vec(),
            colour(k),
            0.3,
        )
        .named(&(k + 1).to_string())
    };
    figure.place(
        0,
        1,
        Panel {
            x: Axis::new("simulated time (s)"),
            y: Axis::new("estimate (1/s)"),
            layers: (0..n.min(4)).map(course).collect(),
            ..Panel::default()
        },
    );
    findings.draw("", figure);
    Ok(findings)
}

pub fn spectrum(study: &Study) -> Result<Findings, Unsuitable> {
    let mut findings = Findings::default();
    let mut figure = Figure::new(&[38.0, 50.0], &[38.0]);
    let mut layers = circle();
    let networks = [
        ("before", study.before.as_ref(), Rgb([170, 170, 170])),
        ("after", Some(&study.dynamics), colour(0)),
    ];
    for (name, network, ink) in networks {
        let Some(network) = network else { continue };
        let values = eigenvalues(network.w_rc.view())?;
        let (re, im): (Vec<f64>, Vec<f64>) = values.iter().map(|z| (z.re, z.im)).unzip();
        findings.put_list(&format!("{name}_real"), &re);
        findings.put_list(&format!("{name}_imag"), &im);
        findings.say(format!(
            "spectral radius {} training: {}",
            name,
            short(values[0].re.hypot(values[0].im))
        ));
        layers.push(discs(re, im, ink, 0.55).named(name));
    }
    figure.place(0, 0, square_panel("recurrent weights", layers, true));
    figure.place(0, 1, timescale_panel(study, &mut findings)?);
    findings.draw("", figure);
    Ok(findings)
}

/// The timescales of the ten slowest modes of the network, linearised at the mean state at the end of each epoch. Those of modes that neither
/// grow nor decay, or are gone at once, have no place on a logarithmic axis: they are counted.
fn timescale_panel(study: &Study, findings: &mut Findings) -> Result<Panel, Unsuitable> {
    const MOST_MODES: usize = 10;
    let dynamics = &study.dynamics;
    let inputs = study.typical_inputs();
    let (mut layers, mut drawn) = (Vec::new(), Vec::new());
    for (k, epoch) in study.epochs().into_iter().enumerate().take(7) {
        let mean = mean_end(study, epoch);
        if !mean.iter().all(|x| x.is_finite()) {
            findings.say(format!("{}: the states are not finite", spoken(epoch)));
            continue;
        }
        let typical = inputs
            .iter()
            .find(|typical| typical.epochs.contains(&epoch));
        let input =
            typical.map_or_else(|| Array1::zeros(study.batch.n_inputs), |t| t.input.clone());
        let jacobian = dynamics.step_jacobian(&mean, &dynamics.input_drive(&input));
        let times: Vec<f64> = eigenvalues(jacobian.view())?
            .iter()
            .map(|z| dynamics.timescale_ms(z.re.hypot(z.im)))
            .collect();
        findings.put_list(&format!("timescales_ms_{epoch}"), &times);
        let [lasting, gone] = [1e6 * dynamics.dt_ms, 1e-3 * dynamics.dt_ms];
        if let Some(sentence) = beyond_axis(&times, [gone, lasting]) {
            findings.say(format!("{}: {sentence}", spoken(epoch)));
        }
        let slowest = times.iter().zip(1..=MOST_MODES);
        let (x, y): (Vec<f64>, Vec<f64>) = slowest
            .filter(|(time, _)| (gone..=lasting).contains(*time))
            .map(|(time, mode)| (mode as f64, time.log10()))
            .unzip();
        drawn.extend(y.iter().copied());
        layers.push(discs(x, y, colour(k), 0.7).named(&spoken(epoch)));
    }
    let [low, high] = range_of(drawn.iter().copied(), 0.0);
    let range = drawable([low.floor(), high.ceil()]);
    if drawn.is_empty() {
        let middle = (range[0] + range[1]) / 2.0;
        layers.push(Layer::text(5.5, middle, "none on this axis", Rgb::GREY));
    }
    Ok(Panel {
        title: "linearised".to_owned(),
        x: Axis::new("mode").with_range(0.4, MOST_MODES as f64 + 0.6),
        y: Axis::new("timescale (ms)")
            .with_range(range[0], range[1])
            .with_ticks(log_ticks(range)),
        layers,
    })
}

/// The mean over trials of the state at the end of an epoch.
fn mean_end(study: &Study, epoch: &str) -> Array1<f64> {
    let end = |b: usize| {
        let last = steps_of(&study.batch, b, epoch).last()?;
        Some(study.states().slice(ndarray::s![b, last, ..]).to_owned())
    };
    let ends: Vec<Array1<f64>> = (0..study.batch.n_trials).filter_map(end).collect();
    let none = Array1::<f64>::zeros(study.dynamics.n_units());
    ends.iter().fold(none, |a, b| a + b) / ends.len().max(1) as f64
}

/// Counts the timescales below and above bounds, where there are any.
fn beyond_axis(times: &[f64], [gone, lasting]: [f64; 2]) -> Option<String> {
    let modes = |n: usize, [one, several]: [&str; 2]| match n {
        0 => None,
        1 => Some(format!("1 mode {one}")),
        n => Some(format!("{n} modes {several}")),
    };
    let count = |is: &dyn Fn(&f64) -> bool| times.iter().filter(|time| is(time)).count();
    let parts = [
        modes(
            count(&|time| *time > lasting),
            [
                "neither grows nor decays within a million time steps",
                "neither grow nor decay within a million time steps",
            ],
        ),
        modes(
            count(&|time| *time < gone),
            [
                "vanishes within one time step",
                "vanish within one time step",
            ],
        ),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timescales_without_a_place_on_the_axis_are_counted() {
        let bounds = [0.02, 2e7];
        assert_eq!(beyond_axis(&[20.0, 100.0], bounds), None);
        assert_eq!(
            beyond_axis(&[f64::INFINITY, 1e9, 20.0, 0.0, 0.0], bounds).unwrap(),
            "2 modes neither grow nor decay within a million time steps, 2 modes vanish within one time step"
        );
        let one = beyond_axis(&[f64::INFINITY], bounds).unwrap();
        assert_eq!(
            one,
            "1 mode neither grows nor decays within a million time steps"
        );
    }
}
