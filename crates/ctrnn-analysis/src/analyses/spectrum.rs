//! Eigenvalues of the recurrent weights and timescales of the linearised network.

use faer::c64;
use ndarray::Array2;
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Answer, Basis, Unsuitable};
use crate::held_inputs::{HELD_ARRAYS, HeldInput, HeldInputs, HeldOptions, drawn_of};
use crate::linear_algebra::eigenvalues;
use crate::plot::{Figure, Layer, Marker, Panel, Rgb, Ticks, beside, colour, drawable, range_of};
use crate::text::short;
use crate::{ArrayDoc, Arrays, Study};

/// Largest number of inputs whose timescales are drawn, and of modes drawn for each.
const MOST_DRAWN: usize = 7;
const MOST_MODES: usize = 10;

/// Settings of the spectrum.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SpectrumOptions {
    /// Inputs to hold.
    #[serde(flatten)]
    pub held: HeldOptions,
}

/// Eigenvalues of the recurrent weights, and timescales of the network linearised at the ends of epochs.
#[derive(Clone, Debug)]
pub struct Spectrum {
    /// Eigenvalues before training, if they are known.
    pub before: Option<Vec<c64>>,
    /// Eigenvalues after training.
    pub after: Vec<c64>,
    /// Inputs that were held; `None` if the trials have no epochs or connections are delayed.
    pub held: Option<HeldInputs>,
    /// Modes of the network linearised under each input, at the mean state at the end of its epochs, by falling
    /// timescale; `None` if that is not finite.
    pub modes: Vec<Option<Vec<Mode>>>,
    /// Number of modes of the linearised network.
    n_states: usize,
    dt_ms: f64,
    is_delayed: bool,
}

/// Mode of a linearised network.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mode {
    /// Time in ms in which the mode grows or decays by a factor of e.
    pub timescale_ms: f64,
    /// True if the mode grows.
    pub is_growing: bool,
}

impl Answer for Spectrum {
    type Options = SpectrumOptions;
    const BASIS: Basis = Basis::Trials;
    const NEEDS_WHOLE: bool = true;
    const ARRAYS: &'static [ArrayDoc] = &[
        ArrayDoc {
            name: "{}_real",
            shape: "[mode]",
            unit: "",
            meaning: "eigenvalues of the recurrent weights `before` and `after` training by falling modulus, real parts",
        },
        ArrayDoc {
            name: "{}_imag",
            shape: "[mode]",
            unit: "",
            meaning: "imaginary parts of the same",
        },
        HELD_ARRAYS[0],
        HELD_ARRAYS[1],
        ArrayDoc {
            name: "timescales_ms",
            shape: "[held input, mode]",
            unit: "ms",
            meaning: "time scales of the network linearised under each held input at the mean state at the end of its epochs, in falling order; NaN if that is not finite",
        },
        ArrayDoc {
            name: "is_growing",
            shape: "[held input, mode]",
            unit: "",
            meaning: "1 for a mode that grows with its time scale, 0 for one that decays; NaN if the state is not finite",
        },
    ];

    fn compute(study: &Study, options: &SpectrumOptions) -> Result<Self, Unsuitable> {
        let of = |weights: &Array2<f64>| eigenvalues(weights.view());
        let before = study.before.as_ref().map(|network| of(&network.w_rc));
        let before = before.transpose()?;
        let after = of(&study.dynamics.w_rc)?;
        let is_delayed = study.dynamics.is_delayed;
        let held = if is_delayed {
            None
        } else {
            HeldInputs::if_any(study, &options.held, 24)?
        };
        let inputs = held.as_ref().map_or(&[][..], |held| &held.inputs);
        let modes = inputs.par_iter().map(|held| modes(study, held));
        Ok(Self {
            before,
            after,
            modes: modes.collect::<Result<_, Unsuitable>>()?,
            held,
            n_states: study.dynamics.n_states(),
            dt_ms: study.dynamics.dt_ms,
            is_delayed,
        })
    }

    fn arrays(&self) -> Arrays {
        let mut arrays = Arrays::default();
        for (name, values, _) in self.stages() {
            let [re, im] = parts(values);
            arrays = arrays
                .with(format!("{name}_real"), &re)
                .with(format!("{name}_imag"), &im);
        }
        let Some(held) = &self.held else {
            return arrays;
        };
        let table = |of: &dyn Fn(&Mode) -> f64| {
            Array2::from_shape_fn((held.inputs.len(), self.n_states), |(k, j)| {
                self.modes[k].as_ref().map_or(f64::NAN, |own| of(&own[j]))
            })
        };
        held.add_to(arrays)
            .with("timescales_ms", &table(&|mode| mode.timescale_ms))
            .with(
                "is_growing",
                &table(&|mode| f64::from(u8::from(mode.is_growing))),
            )
    }

    fn statements(&self) -> Vec<String> {
        let radius = |(name, values, _): (_, &[c64], _)| {
            let radius = short(values[0].re.hypot(values[0].im));
            format!("spectral radius {name} training: {radius}")
        };
        let place = self.held.as_ref().map(|_| {
            "linearised under each held input at the mean state at the end of its epochs, over all its trials, which need not be a fixed point".to_owned()
        });
        let beyond = self.held_modes().filter_map(|(held, modes)| {
            let what = match modes {
                Some(modes) => {
                    let times: Vec<f64> = modes.iter().map(|mode| mode.timescale_ms).collect();
                    let parts: Vec<String> = growing(modes)
                        .into_iter()
                        .chain(beyond_axis(&times, self.bounds_ms()))
                        .collect();
                    (!parts.is_empty()).then(|| parts.join(", "))?
                }
                None => "the states are not finite".to_owned(),
            };
            Some(format!("{}: {what}", held.name))
        });
        let notes = self.held.iter().flat_map(|held| held.notes.iter().cloned());
        let left_out = self.is_delayed.then(|| {
            "recurrent connections are delayed: time scales of the linearised network are left out"
                .to_owned()
        });
        self.stages()
            .map(radius)
            .chain(place)
            .chain(beyond)
            .chain(notes)
            .chain(left_out)
            .collect()
    }

    fn figures(&self) -> Vec<(&'static str, Figure)> {
        let mut figure = Figure::new(&[38.0, 50.0], &[38.0]);
        let discs = self.stages().map(|(name, values, ink)| {
            let [re, im] = parts(values);
            Layer::points(re, im, ink).radius(0.55).named(name)
        });
        let discs: Vec<Layer> = discs.collect();
        let panel = figure.cell(0, 0).title("recurrent weights");
        draw_on_complex_plane(panel, "λ", complex_window(&discs), discs);
        self.draw_timescales(figure.cell(0, 1));
        vec![("", figure)]
    }
}

impl Spectrum {
    /// Returns the eigenvalues before and after training, with their names and colours.
    fn stages(&self) -> impl Iterator<Item = (&'static str, &[c64], Rgb)> {
        let before = self.before.iter();
        let before = before.map(|values| ("before", &values[..], Rgb([170, 170, 170])));
        before.chain([("after", &self.after[..], colour(0))])
    }

    /// Returns the inputs with their modes.
    fn held_modes(&self) -> impl Iterator<Item = (&HeldInput, &Option<Vec<Mode>>)> {
        let inputs = self.held.iter().flat_map(|held| &held.inputs);
        inputs.zip(&self.modes)
    }

    /// Returns the timescales that fit on the axis: a thousandth of a time step to a million of them.
    fn bounds_ms(&self) -> [f64; 2] {
        [1e-3 * self.dt_ms, 1e6 * self.dt_ms]
    }

    /// Draws the timescales of the ten slowest modes at the end of each epoch: discs decay, rings grow. Modes that
    /// neither grow nor decay, or change within a thousandth of a time step, do not fit on a logarithmic axis and are
    /// counted instead.
    fn draw_timescales(&self, panel: &mut Panel) {
        let [gone, lasting] = self.bounds_ms();
        let mut drawn = Vec::new();
        let mut has_growing = false;
        let n_drawn = self.held_modes().count().min(MOST_DRAWN);
        for (k, (held, modes)) in self.held_modes().take(MOST_DRAWN).enumerate() {
            let Some(modes) = modes else { continue };
            let slowest = || {
                let numbered = modes.iter().zip(1..=MOST_MODES);
                numbered.filter(|(mode, _)| (gone..=lasting).contains(&mode.timescale_ms))
            };
            let points = |is_growing: bool| {
                let own = slowest().filter(move |(mode, _)| mode.is_growing == is_growing);
                let (x, y): (Vec<f64>, Vec<f64>) = own
                    .map(|(mode, number)| {
                        let place = number as f64 + beside(k, n_drawn);
                        (place, mode.timescale_ms.log10())
                    })
                    .unzip();
                Layer::points(x, y, colour(k)).radius(0.7)
            };
            drawn.extend(slowest().map(|(mode, _)| mode.timescale_ms.log10()));
            has_growing |= slowest().any(|(mode, _)| mode.is_growing);
            panel
                .add(points(false).named(&held.name))
                .add(points(true).marked(Marker::Ring));
        }
        if has_growing {
            let none = Layer::points(Vec::new(), Vec::new(), Rgb::GREY);
            panel.add(none.marked(Marker::Ring).named("growing"));
        }
        let [low, high] = range_of(drawn.iter().copied(), 0.0);
        let range = drawable([low.floor(), high.ceil()]);
        if drawn.is_empty() {
            let middle = (range[0] + range[1]) / 2.0;
            panel.add(Layer::text(5.5, middle, "none on this axis", Rgb::GREY));
        }
        panel
            .title(drawn_of(
                "linearised at mean end states",
                MOST_DRAWN,
                self.held_modes().count(),
            ))
            .x("mode", [0.4, MOST_MODES as f64 + 0.6])
            .y("timescale (ms)", range)
            .y_ticks(Ticks::logarithmic(range));
    }
}

/// Returns the real and imaginary parts.
fn parts(values: &[c64]) -> [Vec<f64>; 2] {
    let (re, im) = values.iter().map(|z| (z.re, z.im)).unzip();
    [re, im]
}

/// Computes the modes of the network linearised under a held input, at the mean state at the end of its epochs, by
/// falling timescale; `None` if that is not finite.
fn modes(study: &Study, held: &HeldInput) -> Result<Option<Vec<Mode>>, Unsuitable> {
    let mean = held.mean_end(study);
    if !mean.iter().all(|x| x.is_finite()) {
        return Ok(None);
    }
    let drive = study.dynamics.input_drive(&held.input);
    let synapses = held.mean_end_synapses(study);
    let jacobian = study
        .dynamics
        .joint_jacobian(&mean, synapses.as_ref(), &drive);
    let found = eigenvalues(jacobian.view())?;
    let mode = |m: &c64| Mode {
        timescale_ms: study.dynamics.timescale_ms(*m),
        is_growing: m.re.hypot(m.im) > 1.0,
    };
    let mut modes: Vec<Mode> = found.iter().map(mode).collect();
    modes.sort_by(|a, b| b.timescale_ms.total_cmp(&a.timescale_ms));
    Ok(Some(modes))
}

/// Counts the modes that grow, if there are any.
fn growing(modes: &[Mode]) -> Option<String> {
    match modes.iter().filter(|mode| mode.is_growing).count() {
        0 => None,
        1 => Some("1 mode grows".to_owned()),
        n => Some(format!("{n} modes grow")),
    }
}

/// Returns the smallest square of the complex plane that holds the layers and 1, where modes begin to grow, with some room:
/// the unit circle whole would leave slow modes no room.
pub(super) fn complex_window<'a>(layers: impl IntoIterator<Item = &'a Layer>) -> [[f64; 2]; 2] {
    let extents: Vec<[Vec<f64>; 2]> = layers.into_iter().map(Layer::extent).collect();
    let side = |side: usize, border: f64| {
        let values = extents.iter().flat_map(|extent| extent[side].clone());
        range_of(values.chain([border]), 0.0)
    };
    let sides = [side(0, 1.0), side(1, 0.0)];
    let half = sides
        .iter()
        .map(|[low, high]| 0.56 * (high - low))
        .fold(0.05, f64::max);
    sides
        .map(|[low, high]| (low + high) / 2.0)
        .map(|middle| [middle - half, middle + half])
}

/// Draws layers in a square window of the complex plane of the eigenvalues `symbol`, above the axes and the unit circle.
pub(super) fn draw_on_complex_plane(
    panel: &mut Panel,
    symbol: &str,
    window: [[f64; 2]; 2],
    layers: impl IntoIterator<Item = Layer>,
) {
    let [re, im] = window;
    let angle = |k: usize| k as f64 / 1000.0 * std::f64::consts::PI;
    let (x, y) = (0..=2000).map(|k| (angle(k).cos(), angle(k).sin())).unzip();
    panel
        .x(&format!("Re {symbol}"), re)
        .y(&format!("Im {symbol}"), im)
        .add(Layer::guide(re, [0.0, 0.0]))
        .add(Layer::guide([0.0, 0.0], im))
        .add(Layer::line(x, y, Rgb([170, 170, 170])).wide(0.2))
        .extend(layers);
}

/// Formats the numbers of timescales below and above the bounds, if there are any.
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
                "changes within a thousandth of a time step",
                "change within a thousandth of a time step",
            ],
        ),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A linear network with decay factors 0.9, 1.1 and 0.5 a time step: slowest first, and only the second grows.
    #[test]
    fn modes_fall_and_growing_ones_are_marked() {
        use crate::analyses::synthetic::Synthetic;
        use crate::dynamics::tests::map;
        use ctrnn_model::{Activation, Form};
        let rates = ndarray::Array3::zeros((2, 3, 3));
        let synthetic = Synthetic::of(&[("coh", vec![0.0, 1.0])], rates);
        let mut study = synthetic.study();
        let w = Array2::from_diag(&ndarray::array![0.5, 1.1, 0.9]);
        study.dynamics = map(w, Activation::Linear, Form::Voltage);
        let held = HeldInput {
            input: ndarray::Array1::zeros(study.dynamics.w_in.ncols()),
            name: "none".to_owned(),
            places: Vec::new(),
        };
        let found = modes(&study, &held).unwrap().unwrap();
        assert!(found.is_sorted_by(|a, b| a.timescale_ms >= b.timescale_ms));
        assert_eq!(found.iter().filter(|mode| mode.is_growing).count(), 1);
        assert_eq!(growing(&found).unwrap(), "1 mode grows");
    }

    #[test]
    fn timescales_without_a_place_on_the_axis_are_counted() {
        let bounds = [0.02, 2e7];
        assert_eq!(beyond_axis(&[20.0, 100.0], bounds), None);
        assert_eq!(
            beyond_axis(&[f64::INFINITY, 1e9, 20.0, 0.0, 0.0], bounds).unwrap(),
            "2 modes neither grow nor decay within a million time steps, 2 modes change within a thousandth of a time step"
        );
        let one = beyond_axis(&[f64::INFINITY], bounds).unwrap();
        assert_eq!(
            one,
            "1 mode neither grows nor decays within a million time steps"
        );
    }
}
