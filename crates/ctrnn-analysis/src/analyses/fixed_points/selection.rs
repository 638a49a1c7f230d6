//! Selection vectors: how the leading mode at a point reads the stimuli of a task, in each context.

use faer::c64;
use ndarray::{Array1, Array2};

use super::point::FixedPoint;
use super::search::{FoundPoints, MOST_VISITED};
use crate::held_inputs::{HeldInputs, Stimulus};
use crate::linear_algebra::from_rows;
use crate::text::{listed, short};
use crate::{Arrays, Dynamics, Study};

/// Largest number of stimuli.
const MOST_STIMULI: usize = 2;

/// Axes of choice and stimuli in the state space, and the selection vectors (left eigenvectors of the leading mode) on
/// them.
///
/// # References
/// Mante, Sussillo, Shenoy & Newsome (2013), Context-dependent computation, figure 5 and supplement section 7.
#[derive(Clone, Debug)]
pub struct SelectionVectors {
    /// Epoch of the stimuli.
    pub epoch: &'static str,
    /// Indices of the held inputs of that epoch.
    pub inputs: Vec<usize>,
    /// Unit vector `[N]` along which the second of the two choices is read out, against the first.
    pub choice_axis: Array1<f64>,
    /// Labels of the stimuli, which are quantities that change the inputs of the epoch.
    pub stimuli: Vec<String>,
    /// Unit vectors `[stimulus, N]` along which the stimuli drive the network, without their part along the choice axis.
    pub stimulus_axes: Array2<f64>,
    /// Cosine of the selection vector with the effect of each stimulus at every point, `[point, stimulus]`; NaN for an
    /// oscillating mode. The right eigenvector points to the second choice.
    pub cosines: Array2<f64>,
    /// Names of the inputs, and for each the cosines at its slowest point.
    slowest: Vec<(String, Vec<f64>)>,
}

impl SelectionVectors {
    /// Returns `None` unless the task has two choices and an epoch with several held inputs and a stimulus.
    pub fn of(study: &Study, held: &HeldInputs, found: &[FoundPoints]) -> Option<Self> {
        let choice_axis = unit(choice_axis(study)?)?;
        let epoch = held.stimuli.iter().map(|stimulus| stimulus.epoch);
        let epoch = epoch.max_by_key(|epoch| inputs_in(held, epoch).len())?;
        let inputs = inputs_in(held, epoch);
        let kept = stimuli_in(study, held, epoch, &choice_axis);
        if inputs.len() < 2 || kept.is_empty() {
            return None;
        }
        let cosine = |k: usize, point: &FixedPoint| -> Vec<f64> {
            let input = &held.inputs[k].input;
            let jacobian = study.dynamics.input_jacobian(&point.state, input);
            let effects = kept.iter().map(|(own, _)| jacobian.dot(&own.change));
            effects
                .map(|effect| selected(point, &choice_axis, &effect))
                .collect()
        };
        let slowest = inputs.iter().filter_map(|&k| {
            let point = slowest(&study.dynamics, &found[k].points)?;
            Some((held.inputs[k].name.clone(), cosine(k, point)))
        });
        let points = found
            .iter()
            .enumerate()
            .flat_map(|(k, found)| found.points.iter().map(move |point| (k, point)))
            .map(|(k, point)| Array1::from(cosine(k, point)));
        Some(Self {
            epoch,
            slowest: slowest.collect(),
            cosines: from_rows(points, kept.len()),
            stimulus_axes: from_rows(kept.iter().map(|(_, axis)| axis.clone()), choice_axis.len()),
            stimuli: kept
                .iter()
                .map(|(Stimulus { label, .. }, _)| label.clone())
                .collect(),
            inputs,
            choice_axis,
        })
    }

    /// Adds the arrays of the axes and cosines.
    pub fn arrays(&self, arrays: Arrays) -> Arrays {
        arrays
            .with("choice_axis", &self.choice_axis)
            .with("stimulus_names", &self.stimuli)
            .with("stimulus_axes", &self.stimulus_axes)
            .with("selection_cosines", &self.cosines)
    }

    /// Describes the selection vectors of each input.
    pub fn statements(&self) -> Vec<String> {
        let of = |(name, cosines): &(String, Vec<f64>)| {
            let each = self.stimuli.iter().zip(cosines);
            let each: Vec<String> = each
                .map(|(stimulus, cosine)| format!("{} with {stimulus}", short(*cosine)))
                .collect();
            format!(
                "{name}: at the slowest point the selection vector has the cosine {}",
                listed(&each)
            )
        };
        self.slowest.iter().map(of).collect()
    }
}

/// Returns the indices of the held inputs of an epoch.
fn inputs_in(held: &HeldInputs, epoch: &str) -> Vec<usize> {
    let has = |k: &usize| {
        let mut places = held.inputs[*k].places.iter();
        places.any(|place| place.epoch == epoch)
    };
    (0..held.inputs.len()).filter(has).collect()
}

/// Returns the first stimuli of an epoch with their axes: unit vectors without their part along the choice axis.
fn stimuli_in<'a>(
    study: &Study,
    held: &'a HeldInputs,
    epoch: &str,
    choice_axis: &Array1<f64>,
) -> Vec<(&'a Stimulus, Array1<f64>)> {
    let own = held.stimuli.iter().filter(|other| other.epoch == epoch);
    let with_axis = own.filter_map(|stimulus| {
        let drive = study.dynamics.w_in.dot(&stimulus.change);
        let along = drive.dot(choice_axis);
        Some((stimulus, unit(drive - choice_axis * along)?))
    });
    with_axis.take(MOST_STIMULI).collect()
}

/// Returns the point whose leading mode is real and changes most slowly.
pub fn slowest<'a>(dynamics: &Dynamics, points: &'a [FixedPoint]) -> Option<&'a FixedPoint> {
    let rate = |point: &FixedPoint| dynamics.rate_per_ms(point.modes.values[0]).re.abs();
    let real = points
        .iter()
        .filter(|point| point.modes.values[0].im == 0.0);
    real.min_by(|a, b| rate(a).total_cmp(&rate(b)))
}

/// Computes the gradient `[N]` of the difference of the two choices' readouts at the mean state; `None` without two
/// choices, or for a layer that is not read out.
fn choice_axis(study: &Study) -> Option<Array1<f64>> {
    let layout = study.layout();
    let w_out = &study.dynamics.w_out;
    let weights = match layout.choices[..] {
        _ if w_out.is_empty() => return None,
        [only] => w_out.row(only).to_owned(),
        [first, second] => &w_out.row(second) - &w_out.row(first),
        _ => return None,
    };
    let places: Vec<(usize, usize)> = study.visited_steps().collect();
    let mean = study
        .states_at(&places, MOST_VISITED)
        .mean_axis(ndarray::Axis(0))?;
    Some(match study.dynamics.form {
        ctrnn_model::Form::Voltage => weights * mean.mapv(|v| study.dynamics.activation.slope(v)),
        ctrnn_model::Form::Rate => weights,
    })
}

/// Computes the cosine of the selection vector with the effect of a stimulus; NaN for an oscillating mode.
fn selected(point: &FixedPoint, choice_axis: &Array1<f64>, effect: &Array1<f64>) -> f64 {
    if point.modes.values[0].im != 0.0 {
        return f64::NAN;
    }
    let [_, left] = oriented(point, choice_axis);
    let size = (left.dot(&left) * effect.dot(effect)).sqrt();
    if size > 0.0 {
        left.dot(effect) / size
    } else {
        0.0
    }
}

/// Returns the right and the left eigenvector of a real leading mode, with the right one towards the second choice.
pub fn oriented(point: &FixedPoint, choice_axis: &Array1<f64>) -> [Array1<f64>; 2] {
    let real = |vector: &Array1<c64>| vector.mapv(|z| z.re);
    let [right, left] = [real(&point.modes.right[0]), real(&point.modes.left[0])];
    let sign = if right.dot(choice_axis) < 0.0 {
        -1.0
    } else {
        1.0
    };
    [right * sign, left * sign]
}

fn unit(x: Array1<f64>) -> Option<Array1<f64>> {
    let length = x.dot(&x).sqrt();
    (length > 0.0 && length.is_finite()).then(|| x / length)
}
