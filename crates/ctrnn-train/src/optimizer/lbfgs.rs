//! L-BFGS: directions from the last steps and the changes of the gradient along them, and a line search along each direction.
//!
//! Vectors hold all trained parameters, one after another, in double precision.
//!
//! # References
//! Nocedal and Wright (2006), "Numerical Optimization", algorithms 3.5, 3.6 and 7.4.

use std::collections::{BTreeMap, VecDeque};

use burn::tensor::TensorData;
use burn::tensor::backend::Backend;
use ctrnn_model::{CtrnnConfig, Parameter, add_scaled};

use crate::TrainError;
use crate::continual::Values;
use crate::gradients::flat;

/// Beginning of the names of the vectors in the state of an optimizer; what they are, their number and a parameter follow.
const PREFIX: &str = "curvature.";

/// Names of the two vectors of a pair.
const VECTORS: [&str; 2] = ["step", "gradient_change"];

/// Least fall of the value along a step, as a fraction of the fall that the slope at its beginning predicts: c1 in the reference.
const LEAST_FALL: f64 = 1e-4;

/// Largest slope at the end of a step, as a fraction of the slope at its beginning: c2 in the reference.
const LARGEST_SLOPE: f64 = 0.9;

/// Parameters whose values a vector holds, with their numbers of values.
pub(crate) type Layout = Vec<(Parameter, usize)>;

/// Returns the layout of the numbers of some parameters.
pub(crate) fn layout_of<B: Backend>(values: &Values<B>) -> Layout {
    let length = |(parameter, tensor): (&Parameter, &burn::tensor::Tensor<B, 1>)| {
        (*parameter, tensor.shape().num_elements())
    };
    values.iter().map(length).collect()
}

/// Returns the numbers of the parameters of a layout as a vector.
///
/// # Panics
/// If a parameter has none.
pub(crate) fn vector<B: Backend>(layout: &Layout, values: &Values<B>) -> Vec<f64> {
    let of_parameter = |(parameter, _): &(Parameter, usize)| values[parameter].to_data();
    let all = layout.iter().map(of_parameter);
    all.flat_map(|data| data.iter::<f64>().collect::<Vec<_>>())
        .collect()
}

/// Returns a vector as the numbers of the parameters of a layout.
pub(crate) fn values<B: Backend>(layout: &Layout, vector: &[f64], device: &B::Device) -> Values<B> {
    let mut rest = vector;
    let mut next = |length: usize| {
        let (own, after) = rest.split_at(length);
        rest = after;
        flat(own.to_vec(), device)
    };
    layout
        .iter()
        .map(|(parameter, length)| (*parameter, next(*length)))
        .collect()
}

/// A step, and the change of the gradient along it.
type Pair = [Vec<f64>; 2];

/// Curvature of the objective as the last steps found it, oldest first: the history of L-BFGS.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Curvature {
    layout: Layout,
    pairs: VecDeque<Pair>,
}

impl Curvature {
    /// Creates an empty history of vectors with a layout.
    pub fn new(layout: Layout) -> Self {
        Self {
            layout,
            pairs: VecDeque::new(),
        }
    }

    /// Returns the layout of the vectors.
    pub const fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Returns true if there is no pair yet.
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// Returns the negative gradient times the estimate of the inverse Hessian.
    pub fn direction(&self, gradient: &[f64]) -> Vec<f64> {
        let mut direction: Vec<f64> = gradient.iter().map(|g| -g).collect();
        let mut parts = Vec::new();
        for [step, change] in self.pairs.iter().rev() {
            let part = dot(step, &direction) / dot(step, change);
            add_scaled(&mut direction, -part, change);
            parts.push(part);
        }
        if let Some([step, change]) = self.pairs.back() {
            let scale = dot(step, change) / dot(change, change);
            direction.iter_mut().for_each(|x| *x *= scale);
        }
        for ([step, change], part) in self.pairs.iter().zip(parts.into_iter().rev()) {
            let own = dot(change, &direction) / dot(step, change);
            add_scaled(&mut direction, part - own, step);
        }
        direction
    }

    /// Adds a step, and removes the oldest ones beyond `history`. A step along which the objective is not convex is left out.
    pub fn push(&mut self, step: Vec<f64>, change: Vec<f64>, history: usize) {
        if dot(&step, &change) > f64::EPSILON * dot(&change, &change) {
            self.pairs.push_back([step, change]);
        }
        let surplus = self.pairs.len().saturating_sub(history);
        self.pairs.drain(..surplus);
    }

    /// Returns the history as named arrays.
    pub fn state(&self) -> BTreeMap<String, TensorData> {
        let mut state = BTreeMap::new();
        for (number, pair) in self.pairs.iter().enumerate() {
            for (name, vector) in VECTORS.iter().zip(pair) {
                let mut rest = vector.as_slice();
                for (parameter, length) in &self.layout {
                    let (own, after) = rest.split_at(*length);
                    rest = after;
                    let data = TensorData::new(own.to_vec(), [*length]);
                    state.insert(format!("{PREFIX}{name}.{number}.{parameter}"), data);
                }
            }
        }
        state
    }

    /// Returns true if an array of an optimizer's state is one of [`Curvature::state`].
    pub fn holds(name: &str) -> bool {
        name.starts_with(PREFIX)
    }

    /// Returns the history that [`Curvature::state`] wrote into the arrays of an optimizer's state, among others.
    ///
    /// # Errors
    /// [`TrainError::OptimizerState`] names an array that is unknown, missing, of the wrong length or not finite.
    pub fn restore(
        state: &BTreeMap<String, TensorData>,
        network: &CtrnnConfig,
    ) -> Result<Self, TrainError> {
        let first = |parameter: Parameter| format!("{PREFIX}{}.0.{parameter}", VECTORS[0]);
        let mut specs = network.parameters();
        specs.retain(|spec| state.contains_key(&first(spec.parameter)));
        specs.sort_by_key(|spec| spec.parameter);
        let layout = specs.iter().map(|s| (s.parameter, s.n_elements()));
        let mut curvature = Self::new(layout.collect());
        let of_history = state.keys().filter(|name| Self::holds(name)).count();
        let of_pair = VECTORS.len() * specs.len();
        if !of_history.is_multiple_of(of_pair.max(1)) || (of_pair == 0 && of_history > 0) {
            return Err(refuse("the history", "is of other parameters"));
        }
        for number in 0..of_history.checked_div(of_pair).unwrap_or(0) {
            let read = |name: &str| curvature.read(state, &format!("{PREFIX}{name}.{number}"));
            let pair = [read(VECTORS[0])?, read(VECTORS[1])?];
            curvature.pairs.push_back(pair);
        }
        Ok(curvature)
    }

    /// Returns the vector whose parts are the arrays with this name and those of the parameters.
    fn read(
        &self,
        state: &BTreeMap<String, TensorData>,
        name: &str,
    ) -> Result<Vec<f64>, TrainError> {
        let mut vector = Vec::new();
        for (parameter, length) in &self.layout {
            let part = format!("{name}.{parameter}");
            let data = state.get(&part);
            let data = data.ok_or_else(|| refuse(&part, "is missing"))?;
            if data.num_elements() != *length {
                return Err(refuse(&part, "has another length than its parameter"));
            }
            vector.extend(data.iter::<f64>());
        }
        if vector.iter().any(|x| !x.is_finite()) {
            return Err(refuse(name, "is not finite"));
        }
        Ok(vector)
    }
}

fn refuse(name: &str, why: &str) -> TrainError {
    TrainError::OptimizerState(format!("{name} {why}"))
}

/// Value and slope of an objective on a line, at a length from its beginning.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Point {
    pub length: f64,
    pub value: f64,
    pub slope: f64,
}

/// Searches a line for a length at which the value has fallen and the slope has become flatter (the strong Wolfe conditions), from its
/// beginning, where the slope is negative. `evaluate` returns the point at a length, with what else is known there.
///
/// Returns what was found where both hold, or after `evaluations` what was found at the lowest value that has fallen enough; `None` if there
/// is none.
///
/// # Errors
/// If `evaluate` fails.
pub(crate) fn line_search<T, E>(
    begin: Point,
    first: f64,
    evaluations: usize,
    mut evaluate: impl FnMut(f64) -> Result<(Point, T), E>,
) -> Result<Option<(Point, T)>, E> {
    // The length lies between the lowest point so far and `high`, once there is one.
    let mut lowest = begin;
    let mut found = None;
    let mut high: Option<Point> = None;
    let mut length = first;
    for _ in 0..evaluations {
        let (point, own) = evaluate(length)?;
        let before = lowest;
        let predicted = begin.value + LEAST_FALL * point.length * begin.slope;
        if point.value <= predicted && point.value < lowest.value {
            if point.slope.abs() <= -LARGEST_SLOPE * begin.slope {
                return Ok(Some((point, own)));
            }
            let ahead = high.map_or(1.0, |high| high.length - lowest.length);
            if point.slope * ahead >= 0.0 {
                high = Some(lowest);
            }
            (lowest, found) = (point, Some(own));
        } else {
            high = Some(point);
        }
        length = match high {
            Some(high) => interpolated(lowest, high, [0.1, 0.9], 0.5),
            None => interpolated(before, lowest, [1.1, 10.0], 2.0),
        };
    }
    Ok(found.map(|own| (lowest, own)))
}

/// Returns the length of the minimum of the cubic through two points with their slopes, within a range in units of their distance;
/// `otherwise` if there is none.
fn interpolated(from: Point, to: Point, [least, most]: [f64; 2], otherwise: f64) -> f64 {
    let width = to.length - from.length;
    let mean = from.slope + to.slope - 3.0 * (from.value - to.value) / (from.length - to.length);
    let root = (mean * mean - from.slope * to.slope).sqrt() * width.signum();
    let back = (to.slope + root - mean) / (to.slope - from.slope + 2.0 * root);
    let part = 1.0 - back;
    let part = if part.is_finite() {
        part.clamp(least, most)
    } else {
        otherwise
    };
    from.length + part * width
}

/// Returns the inner product of two vectors.
pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// f = (x^2 + 4 y^2) / 2 with gradient (x, 4 y). After the step s = (1, 0) the gradient changed by (1, 0), and after (0, 1) by (0, 4), so
    /// the history has the whole Hessian, and the direction from (2, 3) is Newton's, (-2, -3). With the last pair alone it is the
    /// gradient (2, 12) over 4 where that pair says nothing: (-0.5, -3).
    #[test]
    fn directions_by_hand() {
        let mut curvature = Curvature::default();
        assert_eq!(curvature.direction(&[2.0, 12.0]), [-2.0, -12.0]);
        curvature.push(vec![1.0, 0.0], vec![1.0, 0.0], 5);
        curvature.push(vec![0.0, 1.0], vec![0.0, 4.0], 5);
        assert_eq!(curvature.direction(&[2.0, 12.0]), [-2.0, -3.0]);
        curvature.push(vec![1.0, 0.0], vec![-1.0, 0.0], 1); // not convex
        assert_eq!(curvature.pairs.len(), 1);
        assert_eq!(curvature.direction(&[2.0, 12.0]), [-0.5, -3.0]);
    }

    /// Returns the lengths that a search of a function with a derivative evaluates, and the one that it finds.
    fn searched(
        function: impl Fn(f64) -> [f64; 2],
        first: f64,
        evaluations: usize,
    ) -> (Vec<f64>, Option<f64>) {
        let mut lengths = Vec::new();
        let point = |length: f64| {
            let [value, slope] = function(length);
            Point {
                length,
                value,
                slope,
            }
        };
        let found = line_search(point(0.0), first, evaluations, |length| {
            lengths.push(length);
            Ok::<_, ()>((point(length), ()))
        });
        (lengths, found.unwrap().map(|(point, ())| point.length))
    }

    /// (a - 1)^2 - 1: the cubic through two of its points is the parabola itself, whose minimum is at 1. A length of 0.01 leaves a slope
    /// of 0.99 of the first, above 0.9, and the next is ten times as long, whose slope of exactly 0.9 will do.
    #[test]
    fn lengths_by_hand() {
        let parabola = |a: f64| [(a - 1.0).powi(2) - 1.0, 2.0 * (a - 1.0)];
        assert_eq!(searched(parabola, 1.0, 9), (vec![1.0], Some(1.0)));
        let (lengths, found) = searched(parabola, 3.0, 9);
        assert_eq!(lengths[0], 3.0);
        assert!((found.unwrap() - 1.0).abs() < 1e-12 && lengths.len() == 2);
        let (lengths, found) = searched(parabola, 0.01, 9);
        assert!((lengths[1] - 0.1).abs() < 1e-12, "{lengths:?}");
        assert!(found.unwrap() > 0.099);
    }

    /// A value that is not finite halves the length; a function that does not fall has no length, and neither has a search without
    /// evaluations; a fall that is too steep at the end is better than none.
    #[test]
    fn lengths_where_there_is_no_minimum() {
        let wall = |a: f64| {
            if a < 1.0 {
                [(a - 0.5).powi(2), 2.0 * (a - 0.5)]
            } else {
                [f64::INFINITY, f64::NAN]
            }
        };
        assert_eq!(
            searched(wall, 4.0, 9),
            (vec![4.0, 2.0, 1.0, 0.5], Some(0.5))
        );
        let rising = |a: f64| [a, if a == 0.0 { -1.0 } else { 1.0 }];
        assert_eq!(searched(rising, 1.0, 5).1, None);
        assert_eq!(searched(|a| [-a, -1.0], 1.0, 0).1, None);
        let (lengths, found) = searched(|a| [-a, -1.0], 1.0, 3);
        assert_eq!((lengths.len(), found), (3, lengths.last().copied()));
    }

    /// Minimises a function with its gradient; returns the number of evaluations and the end.
    fn minimised<const N: usize>(
        function: impl Fn(&[f64]) -> (f64, [f64; N]),
        begin: [f64; N],
        steps: usize,
    ) -> (usize, Vec<f64>) {
        let mut curvature = Curvature::default();
        let (mut at, mut evaluations) = (begin.to_vec(), 0);
        for _ in 0..steps {
            let (value, gradient) = function(&at);
            let direction = curvature.direction(&gradient);
            let begin = Point {
                length: 0.0,
                value,
                slope: dot(&gradient, &direction),
            };
            let first = if curvature.is_empty() {
                1.0f64.min(1.0 / gradient.iter().map(|g| g.abs()).sum::<f64>())
            } else {
                1.0
            };
            let found = line_search(begin, first, 20, |length| {
                evaluations += 1;
                let mut there = at.clone();
                add_scaled(&mut there, length, &direction);
                let (value, gradient) = function(&there);
                let slope = dot(&gradient, &direction);
                let point = Point {
                    length,
                    value,
                    slope,
                };
                Ok::<_, ()>((point, (there, gradient)))
            });
            let Some((_, (there, after))) = found.unwrap() else {
                break;
            };
            let difference = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a - b).collect();
            curvature.push(difference(&there, &at), difference(&after, &gradient), 10);
            at = there;
        }
        (evaluations, at)
    }

    /// The minimum of Rosenbrock's function is at (1, 1), at the end of a bent valley; that of the other one is at (1, 1, 1, 1).
    #[test]
    fn rosenbrock_and_a_long_valley_are_minimised() {
        let rosenbrock = |at: &[f64]| {
            let [x, y] = [at[0], at[1]];
            let across = y - x * x;
            let gradient = [-2.0 * (1.0 - x) - 400.0 * x * across, 200.0 * across];
            ((1.0 - x).powi(2) + 100.0 * across * across, gradient)
        };
        let (evaluations, at) = minimised(rosenbrock, [-1.2, 1.0], 60);
        let error = (at[0] - 1.0).abs().max((at[1] - 1.0).abs());
        assert!(error < 1e-8, "{at:?} after {evaluations} evaluations");
        // Curvatures of 1, 10, 100, 1000: a quadratic of four dimensions.
        let valley = |at: &[f64]| {
            let weights = [1.0, 10.0, 100.0, 1000.0];
            let gradient = std::array::from_fn(|k| weights[k] * (at[k] - 1.0));
            let value = (0..4).map(|k| 0.5 * weights[k] * (at[k] - 1.0).powi(2));
            (value.sum(), gradient)
        };
        let (evaluations, at) = minimised(valley, [0.0; 4], 40);
        let error = at.iter().map(|x| (x - 1.0).abs()).fold(0.0, f64::max);
        assert!(error < 1e-8, "{at:?} after {evaluations} evaluations");
    }
}
