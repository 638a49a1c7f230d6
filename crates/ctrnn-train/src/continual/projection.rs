//! Projected updates: the activity of earlier stages, and the directions in which weights may still change.
//!
//! # References
//! Duncker, Driscoll, Shenoy, Sahani and Sussillo (2020), "Organizing recurrent network dynamics by task-computation to enable continual
//! learning".

use std::collections::BTreeMap;

use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use ctrnn_model::{CtrnnConfig, HostSweep, Parameter, Weights, add_scaled, host_tensor};
use faer::Mat;
use faer::linalg::solvers::{DenseSolveCore, PartialPivLu};

use super::values::Values;
use crate::online::{OnlineWeights, run_trial, with_constant};

/// Parameters that are weights onto the units, in the order in which their columns stand beside each other.
const DRIVE: [Parameter; 3] = [
    Parameter::RECURRENT_WEIGHT,
    Parameter::RECURRENT_BIAS,
    Parameter::INPUT_WEIGHT,
];
/// The same of the readout.
const READOUT: [Parameter; 2] = [Parameter::OUTPUT_WEIGHT, Parameter::OUTPUT_BIAS];

/// Second moments of activity, summed over earlier stages: of what comes in through weights that are trained together, and of what it
/// drives.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Activity {
    drive: Moments,
    readout: Moments,
}

/// Mean outer products of inputs z `[M]` of some weights W and of their products `W z`.
#[derive(Clone, Debug, PartialEq)]
struct Moments {
    pre: Vec<f64>,
    post: Vec<f64>,
}

/// Returns those of some parameters that are trained.
fn trained<'a>(
    parameters: &'a [Parameter],
    config: &'a CtrnnConfig,
) -> impl Iterator<Item = Parameter> + 'a {
    let is_trained = move |p: &Parameter| p.is_trained(config) && !config.is_frozen(*p);
    parameters.iter().copied().filter(is_trained)
}

/// Returns the number of columns of a parameter: those of a matrix, or one.
fn columns(parameter: Parameter, config: &CtrnnConfig) -> usize {
    parameter.shape(config).get(1).copied().unwrap_or(1)
}

impl Activity {
    /// Measures the activity of a network with these weights on batches of trials, each with the numbers of their time steps.
    pub fn of(
        config: &CtrnnConfig,
        weights: &Weights,
        batches: &[(HostSweep, Vec<usize>)],
    ) -> Self {
        let matrices = OnlineWeights::of(weights);
        let [n, inputs, outputs] = [config.n_units, config.n_inputs, config.n_outputs];
        let mut drive = Moment::new(n + 1 + inputs);
        let mut readout = Moment::new(n + 1);
        for (sweep, n_steps) in batches {
            for (trial, &steps) in n_steps.iter().enumerate() {
                run_trial(sweep, &matrices, [trial, steps], |at, rates, state| {
                    drive.add(&[rates, sweep.inputs(at)].concat());
                    readout.add(&with_constant(&sweep.seen_rates(at, state)));
                });
            }
        }
        let kept = |parameters: &[Parameter], starts: &[usize]| -> Vec<usize> {
            let trained = trained(parameters, config);
            let range = |p: Parameter| {
                let index = parameters
                    .iter()
                    .position(|q| *q == p)
                    .expect("one of them");
                starts[index]..starts[index] + columns(p, config)
            };
            trained.flat_map(range).collect()
        };
        let table = |parameters: &[Parameter], rows: usize| -> Vec<f64> {
            let all = parameters.iter().map(|p| {
                let values: Vec<f64> = weights[&p.name()].iter().collect();
                (values, columns(*p, config))
            });
            let all: Vec<(Vec<f64>, usize)> = all.collect();
            let row = |i: usize| {
                all.iter()
                    .flat_map(move |(values, width)| values[i * width..][..*width].to_vec())
            };
            (0..rows).flat_map(row).collect()
        };
        Self {
            drive: drive.moments(&table(&DRIVE, n), &kept(&DRIVE, &[0, n, n + 1])),
            readout: readout.moments(&table(&READOUT, outputs), &kept(&READOUT, &[0, n])),
        }
    }

    /// Adds the activity in another stage.
    pub fn add(&mut self, other: &Self) {
        for (own, other) in [
            (&mut self.drive, &other.drive),
            (&mut self.readout, &other.readout),
        ] {
            own.pre
                .iter_mut()
                .zip(&other.pre)
                .for_each(|(a, b)| *a += b);
            own.post
                .iter_mut()
                .zip(&other.post)
                .for_each(|(a, b)| *a += b);
        }
    }

    /// Returns the moments as named arrays.
    pub fn arrays(&self) -> BTreeMap<String, TensorData> {
        let named = [("drive", &self.drive), ("readout", &self.readout)];
        let arrays = named.into_iter().flat_map(|(name, moments)| {
            [("pre", &moments.pre), ("post", &moments.post)].map(|(side, values)| {
                let size = values.len().isqrt();
                let data = TensorData::new(values.clone(), [size, size]);
                (format!("activity.{name}_{side}"), data)
            })
        });
        arrays.collect()
    }

    /// Reads the moments that [`Activity::arrays`] returned.
    ///
    /// # Errors
    /// Names an array that is missing, or one that is unknown.
    pub fn from_arrays(arrays: &BTreeMap<String, TensorData>) -> Result<Self, String> {
        let values = |name: &str| -> Result<Vec<f64>, String> {
            let name = format!("activity.{name}");
            let data = arrays.get(&name).ok_or(format!("lacks {name}"))?;
            Ok(data.iter().collect())
        };
        let moments = |name: &str| -> Result<Moments, String> {
            Ok(Moments {
                pre: values(&format!("{name}_pre"))?,
                post: values(&format!("{name}_post"))?,
            })
        };
        let found = Self {
            drive: moments("drive")?,
            readout: moments("readout")?,
        };
        let known = found.arrays();
        match arrays.keys().find(|name| !known.contains_key(*name)) {
            None => Ok(found),
            Some(name) => Err(format!("holds {name}, which is unknown")),
        }
    }
}

/// Mean outer product `[M,M]` of vectors.
struct Moment {
    size: usize,
    sum: Vec<f64>,
    count: usize,
}

impl Moment {
    fn new(size: usize) -> Self {
        Self {
            size,
            sum: vec![0.0; size * size],
            count: 0,
        }
    }

    fn add(&mut self, z: &[f64]) {
        for (row, &a) in self.sum.chunks_exact_mut(self.size).zip(z) {
            add_scaled(row, a, z);
        }
        self.count += 1;
    }

    /// Returns the moments of the columns `kept`, and of the products with weights `[post, M]`.
    fn moments(&self, weights: &[f64], kept: &[usize]) -> Moments {
        let m = self.size;
        let mean = |i: usize, j: usize| self.sum[i * m + j] / self.count.max(1) as f64;
        let post = weights.len() / m;
        let weights = Mat::from_fn(post, m, |i, j| weights[i * m + j]);
        let all = Mat::from_fn(m, m, mean);
        let of_products = &weights * all * weights.transpose();
        let pairs = kept.iter().flat_map(|&i| kept.iter().map(move |&j| (i, j)));
        Moments {
            pre: pairs.map(|(i, j)| mean(i, j)).collect(),
            post: (0..post * post)
                .map(|k| of_products[(k / post, k % post)])
                .collect(),
        }
    }
}

/// Projections of the updates that are left after earlier stages.
#[derive(Clone, Debug)]
pub(crate) struct Projector<B: Backend> {
    drive: [Tensor<B, 2>; 2],
    readout: [Tensor<B, 2>; 2],
}

impl<B: Backend> Projector<B> {
    /// Computes the projections `(S / alpha + 1)^-1`.
    pub fn new(activity: &Activity, alpha: f64, device: &B::Device) -> Self {
        let inverse = |moment: &Vec<f64>| -> Tensor<B, 2> {
            let n = moment.len().isqrt();
            let one = |i, j| f64::from(u8::from(i == j));
            let matrix = Mat::from_fn(n, n, |i, j| moment[i * n + j] / alpha + one(i, j));
            let inverse = PartialPivLu::new(matrix.as_ref()).inverse();
            let values = (0..n * n)
                .map(|k| inverse[(k / n, k % n)])
                .collect::<Vec<_>>();
            host_tensor(TensorData::new(values, [n, n]), device)
        };
        let both = |moments: &Moments| [inverse(&moments.post), inverse(&moments.pre)];
        Self {
            drive: both(&activity.drive),
            readout: both(&activity.readout),
        }
    }

    /// Returns the parameters after a projected update, given those before it and those that an optimizer proposes. Parameters that are no
    /// weights and no biases stay.
    pub fn settled(
        &self,
        config: &CtrnnConfig,
        before: &Values<B>,
        proposed: &Values<B>,
    ) -> Values<B> {
        let mut settled = before.clone();
        for (parameters, projectors) in [(&DRIVE[..], &self.drive), (&READOUT[..], &self.readout)] {
            let all = trained(parameters, config).map(|p| (p, columns(p, config)));
            let parts: Vec<(Parameter, usize)> = all.filter(|(_, width)| *width > 0).collect();
            if !parts.is_empty() {
                settled.extend(projected(projectors, &parts, before, proposed));
            }
        }
        settled
    }
}

/// Returns the parameters after a projected update of the matrix whose columns are theirs, as many as the numbers beside them say.
fn projected<B: Backend>(
    [post, pre]: &[Tensor<B, 2>; 2],
    parts: &[(Parameter, usize)],
    before: &Values<B>,
    proposed: &Values<B>,
) -> Values<B> {
    let [rows, _] = post.dims();
    let change = |&(p, width): &(Parameter, usize)| {
        let change = proposed[&p].clone() - before[&p].clone();
        change.reshape([rows, width])
    };
    let changes = Tensor::cat(parts.iter().map(change).collect(), 1);
    let left = post.clone().matmul(changes).matmul(pre.clone());
    let mut from = 0;
    let mut settled = Values::new();
    for &(parameter, width) in parts {
        let own = left.clone().narrow(1, from, width).reshape([rows * width]);
        settled.insert(parameter, before[&parameter].clone() + own);
        from += width;
    }
    settled
}

#[cfg(test)]
mod tests {
    use burn::backend::NdArray;

    use super::*;

    type F64 = NdArray<f64>;

    /// One unit with one output and no inputs, without biases; the rate was 2 all the time, W = 3, W_out = 5. With alpha 4:
    /// S = 4, W S W = 36, so an update D of W becomes D / ((4/4 + 1) (36/4 + 1)) = D / 20; of the readout D / (2 (100/4 + 1)) = D / 52.
    #[test]
    fn a_projection_by_hand() {
        let mut config = CtrnnConfig::new(0, 1, 1);
        (config.bias.recurrent, config.bias.readout) = (false, false);
        config.initial_state = ctrnn_model::InitialState::Learned;
        let moments = |w: f64| Moments {
            pre: vec![4.0],
            post: vec![w * w * 4.0],
        };
        let activity = Activity {
            drive: moments(3.0),
            readout: moments(5.0),
        };
        let again = Activity::from_arrays(&activity.arrays()).unwrap();
        assert_eq!(again, activity);
        let device = Default::default();
        let value = |x: f64| host_tensor::<F64, 1>(TensorData::new(vec![x], [1]), &device);
        let all = |x: f64| -> Values<F64> {
            [
                Parameter::RECURRENT_WEIGHT,
                Parameter::OUTPUT_WEIGHT,
                Parameter::INITIAL_STATE,
            ]
            .map(|p| (p, value(x)))
            .into()
        };
        let projector = Projector::<F64>::new(&activity, 4.0, &device);
        let settled = projector.settled(&config, &all(1.0), &all(1.0 + 520.0));
        let found: Vec<f64> = settled.values().map(|x| x.clone().into_scalar()).collect();
        let expected = [1.0 + 26.0, 1.0 + 10.0, 1.0];
        assert!(
            found
                .iter()
                .zip(expected)
                .all(|(a, b)| (a - b).abs() < 1e-12),
            "{found:?}"
        );
        let mut sum = activity.clone();
        sum.add(&activity);
        assert_eq!(
            (&sum.drive.pre, &sum.readout.post),
            (&vec![8.0], &vec![200.0])
        );
    }
}
