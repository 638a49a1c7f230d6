//! Eigenvalues of the recurrent weights and timescales of the linearised network.

use faer::c64;
use ndarray::{Array1, Array2};

use super::{Answer, Basis, NoOptions, Unsuitable};
use crate::linear_algebra::eigenvalues;
use crate::plot::{Figure, Layer, Panel, Rgb, Ticks, colour, drawable, range_of, up_to};
use crate::study::TypicalInput;
use crate::text::{short, spoken};
use crate::{Arrays, Study};

/// Largest number of epochs at whose ends the network is linearised, and of modes drawn for each.
const MOST_EPOCHS: usize = 7;
const MOST_MODES: usize = 10;

/// Eigenvalues of the recurrent weights, and timescales of the network linearised at the ends of epochs.
#[derive(Clone, Debug)]
pub struct Spectrum {
    /// Eigenvalues before training, if they are known.
    pub before: Option<Vec<c64>>,
    /// Eigenvalues after training.
    pub after: Vec<c64>,
    /// Epochs, and the timescales in ms of the network linearised at the mean state at the end of each; `None` if that
    /// is not finite.
    pub timescales_ms: Vec<(&'static str, Option<Vec<f64>>)>,
    dt_ms: f64,
}

impl Answer for Spectrum {
    type Options = NoOptions;
    const BASIS: Basis = Basis::Trials;

    fn compute(study: &Study, _: &NoOptions) -> Result<Self, Unsuitable> {
        let of = |weights: &Array2<f64>| eigenvalues(weights.view());
        let before = study.before.as_ref().map(|network| of(&network.w_rc));
        let before = before.transpose()?;
        let after = of(&study.dynamics.w_rc)?;
        let inputs = study.typical_inputs();
        let epochs = study.epochs().into_iter().take(MOST_EPOCHS);
        let timescales = epochs.map(|epoch| Ok((epoch, timescales_ms(study, epoch, &inputs)?)));
        Ok(Self {
            before,
            after,
            timescales_ms: timescales.collect::<Result<_, Unsuitable>>()?,
            dt_ms: study.dynamics.dt_ms,
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
        for (epoch, times) in &self.timescales_ms {
            if let Some(times) = times {
                arrays = arrays.with(format!("timescales_ms_{epoch}"), times);
            }
        }
        arrays
    }

    fn statements(&self) -> Vec<String> {
        let radius = |(name, values, _): (_, &[c64], _)| {
            let radius = short(values[0].re.hypot(values[0].im));
            format!("spectral radius {name} training: {radius}")
        };
        let beyond = self.timescales_ms.iter().filter_map(|(epoch, times)| {
            let what = match times {
                Some(times) => beyond_axis(times, self.bounds_ms())?,
                None => "the states are not finite".to_owned(),
            };
            Some(format!("{}: {what}", spoken(epoch)))
        });
        self.stages().map(radius).chain(beyond).collect()
    }

    fn figures(&self) -> Vec<(&'static str, Figure)> {
        let mut figure = Figure::new(&[38.0, 50.0], &[38.0]);
        let discs = self.stages().map(|(name, values, ink)| {
            let [re, im] = parts(values);
            Layer::points(re, im, ink).radius(0.55).named(name)
        });
        let panel = figure.cell(0, 0).title("recurrent weights");
        draw_on_complex_plane(panel, discs);
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

    /// Returns the timescales below which a mode vanishes at once, and above which it neither grows nor decays.
    fn bounds_ms(&self) -> [f64; 2] {
        [1e-3 * self.dt_ms, 1e6 * self.dt_ms]
    }

    /// Draws the timescales of the ten slowest modes at the end of each epoch. Modes that neither grow nor decay, or
    /// vanish at once, do not fit on a logarithmic axis and are counted instead.
    fn draw_timescales(&self, panel: &mut Panel) {
        let [gone, lasting] = self.bounds_ms();
        let mut drawn = Vec::new();
        for (k, (epoch, times)) in self.timescales_ms.iter().enumerate() {
            let Some(times) = times else { continue };
            let slowest = times.iter().zip(1..=MOST_MODES);
            let (x, y): (Vec<f64>, Vec<f64>) = slowest
                .filter(|(time, _)| (gone..=lasting).contains(*time))
                .map(|(time, mode)| (mode as f64, time.log10()))
                .unzip();
            drawn.extend(y.iter().copied());
            panel.add(
                Layer::points(x, y, colour(k))
                    .radius(0.7)
                    .named(&spoken(epoch)),
            );
        }
        let [low, high] = range_of(drawn.iter().copied(), 0.0);
        let range = drawable([low.floor(), high.ceil()]);
        if drawn.is_empty() {
            let middle = (range[0] + range[1]) / 2.0;
            panel.add(Layer::text(5.5, middle, "none on this axis", Rgb::GREY));
        }
        panel
            .title("linearised")
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

/// Computes the timescales of the network linearised at the mean state at the end of an epoch, under its inputs; `None`
/// if that is not finite.
fn timescales_ms(
    study: &Study,
    epoch: &str,
    inputs: &[TypicalInput],
) -> Result<Option<Vec<f64>>, Unsuitable> {
    let mean = study.mean_end(epoch);
    if !mean.iter().all(|x| x.is_finite()) {
        return Ok(None);
    }
    let typical = inputs
        .iter()
        .find(|typical| typical.epochs.contains(&epoch));
    let input = match typical {
        Some(typical) => typical.input.clone(),
        None => Array1::zeros(study.batch.n_inputs),
    };
    let drive = study.dynamics.input_drive(&input);
    let modes = eigenvalues(study.dynamics.step_jacobian(&mean, &drive).view())?;
    let time = |z: &c64| study.dynamics.timescale_ms(z.re.hypot(z.im));
    Ok(Some(modes.iter().map(time).collect()))
}

/// Draws layers on the complex plane, above the axes and the unit circle; both axes have the same scale.
pub(super) fn draw_on_complex_plane(panel: &mut Panel, layers: impl IntoIterator<Item = Layer>) {
    let layers: Vec<Layer> = layers.into_iter().collect();
    let points = layers
        .iter()
        .filter(|layer| matches!(layer, Layer::Points { .. }));
    let parts = points.flat_map(|layer| layer.extent().concat());
    let reach = 1.08 * up_to(parts.map(f64::abs).chain([1.0]))[1];
    let angle = |k: usize| k as f64 / 180.0 * std::f64::consts::PI;
    let (x, y) = (0..=360).map(|k| (angle(k).cos(), angle(k).sin())).unzip();
    panel
        .x("Re λ", [-reach, reach])
        .y("Im λ", [-reach, reach])
        .add(Layer::guide([-reach, reach], [0.0, 0.0]))
        .add(Layer::guide([0.0, 0.0], [-reach, reach]))
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
