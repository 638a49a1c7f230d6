//! Recursive least squares: running estimates of the inverse correlation matrices of the rates, and the update of weights along them.
//!
//! For an error `e = w x - f` at rates x, with P the estimate,
//!
//! ```text
//! k = P x / (1 + x' P x)        P <- P - k (P x)'        w <- w - e k
//! ```
//!
//! Weights onto different units or outputs that come from the same presynaptic units share one P. With masks there is one for each set of
//! presynaptic units, so that absent connections stay absent.
//!
//! # References
//! Haykin (2002), "Adaptive Filter Theory"; Sussillo and Abbott (2009), equations 4 and 5.

use std::collections::BTreeMap;

use burn::tensor::TensorData;
use burn::tensor::backend::Backend;
use ctrnn_model::{
    CtrnnConfig, CtrnnModule, Matrix, Parameter, Weights, add_scaled, subtract_square,
};

use super::config::Rule;
use super::weights::OnlineWeights;
use crate::TrainError;

/// Beginning of the names of the estimates in the state of an optimizer; a number follows.
const NAME: &str = "inverse_correlation.";

/// Recursive least squares on the readout, and on the recurrent weights if these are trained.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Rls {
    groups: Vec<Group>,
    parameters: Vec<Parameter>,
}

/// Rows of weights from the same presynaptic units.
#[derive(Clone, Debug, PartialEq)]
struct Group {
    /// True if the regressors are the rates with readout noise.
    sees_noise: bool,
    /// Presynaptic units; N stands for the constant before the bias.
    columns: Vec<usize>,
    /// Outputs whose weights are trained.
    outputs: Vec<usize>,
    /// Units whose incoming weights are trained.
    units: Vec<usize>,
    /// Estimate of the inverse correlation matrix of the regressors, row by row.
    p: Vec<f64>,
}

/// Rates at an update, each with a constant 1 after them, and the errors.
pub(crate) struct Sample<'a> {
    /// Rates that the network sees.
    pub rates: &'a [f64],
    /// Rates that the readout sees.
    pub seen: &'a [f64],
    /// Error of each output; `None` where it does not count.
    pub outputs: &'a [Option<f64>],
    /// Error of the drive of each unit; empty if recurrent weights are not trained.
    pub units: &'a [Option<f64>],
}

impl Rls {
    /// Creates the estimates `I / alpha` for the trained weights of a network: those of the readout, and with `recurrent` those of the
    /// recurrence.
    pub fn new<B: Backend>(network: &CtrnnModule<B>, alpha: f64, recurrent: bool) -> Self {
        let config = network.config();
        let matrices = [Matrix::Output, Matrix::Recurrent];
        let matrices = &matrices[..1 + usize::from(recurrent)];
        let is_noisy = config.noise.postactivation > 0.0;
        let weights = network.weights();
        let mut rows: BTreeMap<(bool, Vec<usize>), [Vec<usize>; 2]> = BTreeMap::new();
        let mut parameters = Vec::new();
        for (side, &matrix) in matrices.iter().enumerate() {
            let (weight, bias) = (matrix.parameter(), bias_of(matrix));
            if config.is_frozen(weight) {
                continue;
            }
            let has_bias = bias.is_trained(config) && !config.is_frozen(bias);
            parameters.push(weight);
            parameters.extend(has_bias.then_some(bias));
            let sees_noise = is_noisy && matrix == Matrix::Output;
            for (row, mut columns) in columns(config, matrix, &weights).into_iter().enumerate() {
                columns.extend(has_bias.then_some(config.n_units));
                if !columns.is_empty() {
                    rows.entry((sees_noise, columns)).or_default()[side].push(row);
                }
            }
        }
        let group =
            |((sees_noise, columns), [outputs, units]): ((bool, Vec<usize>), [Vec<usize>; 2])| {
                let m = columns.len();
                let mut p = vec![0.0; m * m];
                p.iter_mut().step_by(m + 1).for_each(|x| *x = 1.0 / alpha);
                Group {
                    sees_noise,
                    columns,
                    outputs,
                    units,
                    p,
                }
            };
        Self {
            groups: rows.into_iter().map(group).collect(),
            parameters,
        }
    }

    /// Creates the estimates of a learning rule, if it is one of recursive least squares.
    pub fn of<B: Backend>(rule: &Rule, network: &CtrnnModule<B>) -> Option<Self> {
        let alpha = match rule {
            Rule::Force(force) => force.alpha,
            Rule::FullForce(full_force) => full_force.alpha,
            _ => return None,
        };
        Some(Self::new(network, alpha, rule.squares_recurrence()))
    }

    /// Returns true if another state belongs to the same weights.
    pub fn is_of(&self, other: &Self) -> bool {
        let rows = |rls: &Self| {
            let groups = rls.groups.iter().cloned();
            groups
                .map(|group| Group {
                    p: Vec::new(),
                    ..group
                })
                .collect::<Vec<_>>()
        };
        rows(self) == rows(other) && self.parameters == other.parameters
    }

    /// Returns the parameters that are trained.
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// Updates the estimates and the weights by one sample.
    pub fn learn(&mut self, sample: &Sample, weights: &mut OnlineWeights) {
        self.groups
            .iter_mut()
            .for_each(|group| group.learn(sample, weights));
    }

    /// Returns the mean of the diagonals of the estimates: the learning rate of the next update per unit of squared rate.
    pub fn rate(&self) -> f64 {
        let size: usize = self.groups.iter().map(|group| group.columns.len()).sum();
        let trace = |group: &Group| group.p.iter().step_by(group.columns.len() + 1).sum::<f64>();
        self.groups.iter().map(trace).sum::<f64>() / size.max(1) as f64
    }

    /// Returns the estimates as named arrays.
    pub fn state(&self) -> BTreeMap<String, TensorData> {
        let named = |(k, group): (usize, &Group)| {
            let m = group.columns.len();
            (
                format!("{NAME}{k}"),
                TensorData::new(group.p.clone(), [m, m]),
            )
        };
        self.groups.iter().enumerate().map(named).collect()
    }

    /// Returns true if an array of an optimizer's state is one of [`Rls::state`].
    pub fn holds(name: &str) -> bool {
        name.starts_with(NAME)
    }

    /// Takes the estimates from arrays that [`Rls::state`] returned.
    ///
    /// # Errors
    /// [`TrainError::OptimizerState`] if one is missing, unknown or of another size.
    pub fn restored(mut self, state: &BTreeMap<String, TensorData>) -> Result<Self, TrainError> {
        let refuse = TrainError::OptimizerState;
        if state.len() != self.groups.len() {
            return Err(refuse(format!(
                "it holds {} inverse correlation matrices, the rule has {}",
                state.len(),
                self.groups.len()
            )));
        }
        for (k, group) in self.groups.iter_mut().enumerate() {
            let name = format!("{NAME}{k}");
            let given = state.get(&name).map(|data| data.iter::<f64>().collect());
            let given: Vec<f64> = given.ok_or_else(|| refuse(format!("{name} is missing")))?;
            if given.len() != group.p.len() {
                return Err(refuse(format!("{name} has another size than the rule's")));
            }
            group.p = given;
        }
        Ok(self)
    }
}

impl Group {
    fn learn(&mut self, sample: &Sample, weights: &mut OnlineWeights) {
        let rates = if self.sees_noise {
            sample.seen
        } else {
            sample.rates
        };
        let error = |errors: &[Option<f64>], row: &usize| errors[*row];
        let outputs = self.outputs.iter().map(|row| error(sample.outputs, row));
        let units = self.units.iter().map(|row| error(sample.units, row));
        if outputs.clone().chain(units.clone()).all(|e| e.is_none()) {
            return;
        }
        let [outputs, units] =
            [outputs.collect::<Vec<_>>(), units.collect::<Vec<_>>()].map(|errors| {
                errors
                    .into_iter()
                    .map(|e| e.unwrap_or(0.0))
                    .collect::<Vec<f64>>()
            });
        let x: Vec<f64> = self.columns.iter().map(|&j| rates[j]).collect();
        let gains = self.gains(&x);
        for (&j, gain) in self.columns.iter().zip(gains) {
            let row = weights.output.row_mut(j);
            for (&o, e) in self.outputs.iter().zip(&outputs) {
                row[o] -= gain * e;
            }
            if units.is_empty() {
                continue;
            }
            let row = weights.recurrent.row_mut(j);
            if units.len() == row.len() {
                add_scaled(row, -gain, &units); // all units, in their order
            } else {
                for (&i, e) in self.units.iter().zip(&units) {
                    row[i] -= gain * e;
                }
            }
        }
    }

    /// Updates the estimate by regressors x and returns the gains `k`. The estimate stays symmetric to the bit.
    fn gains(&mut self, x: &[f64]) -> Vec<f64> {
        let m = x.len();
        let mut px = vec![0.0; m];
        for (row, &x) in self.p.chunks_exact(m).zip(x) {
            add_scaled(&mut px, x, row);
        }
        let c = 1.0 / (1.0 + x.iter().zip(&px).map(|(x, px)| x * px).sum::<f64>());
        subtract_square(&mut self.p, c, &px);
        px.iter_mut().for_each(|px| *px *= c);
        px
    }
}

/// Returns the bias of the units or outputs onto which a matrix projects.
fn bias_of(matrix: Matrix) -> Parameter {
    match matrix {
        Matrix::Output => Parameter::OUTPUT_BIAS,
        _ => Parameter::RECURRENT_BIAS,
    }
}

/// Returns the presynaptic units of each row of a matrix from which there is a trained connection.
fn columns(config: &CtrnnConfig, matrix: Matrix, weights: &Weights) -> Vec<Vec<usize>> {
    let [post, pre] = matrix.shape(config);
    let array = |what: &str| {
        let array = weights.get(&matrix.array(what))?;
        Some(array.iter::<f64>().collect::<Vec<_>>())
    };
    let (mask, fixed) = (array("mask"), array("fixed"));
    let plasticity = &config.connectivity.of(matrix).plasticity;
    let is_trained = |k: usize| {
        mask.as_ref().is_none_or(|mask| mask[k] != 0.0)
            && fixed.as_ref().is_none_or(|fixed| fixed[k] == 0.0)
            && plasticity.as_ref().is_none_or(|factor| factor[k] > 0.0)
    };
    let row = |i: usize| (0..pre).filter(|j| is_trained(i * pre + j)).collect();
    (0..post).map(row).collect()
}

#[cfg(test)]
mod tests {
    use burn::backend::NdArray;
    use ctrnn_model::Densities;

    use super::*;

    type F64 = NdArray<f64>;

    fn network(config: &CtrnnConfig) -> CtrnnModule<F64> {
        config.init(2, &Default::default()).unwrap()
    }

    /// Two units without biases: rates (1, 1), then (1, 0), error 3, then 1, from P = I / 2.
    /// First P x = (1/2, 1/2), 1 + x'Px = 2, k = (1/4, 1/4), P = I/2 - [1 1; 1 1]/8 = [3 -1; -1 3]/8.
    /// Then P x = (3/8, -1/8), 1 + x'Px = 11/8, k = (3/11, -1/11).
    #[test]
    fn steps_by_hand() {
        let mut config = CtrnnConfig::new(1, 2, 1);
        (config.bias.recurrent, config.bias.readout) = (false, false);
        let network = network(&config);
        let before = OnlineWeights::of(&network.weights());
        let mut weights = before.clone();
        let mut rls = Rls::new(&network, 2.0, true);
        let sample = |rates: &'static [f64],
                      outputs: &'static [Option<f64>],
                      units: &'static [Option<f64>]| Sample {
            rates,
            seen: rates,
            outputs,
            units,
        };
        rls.learn(
            &sample(&[1.0, 1.0, 1.0], &[Some(3.0)], &[Some(2.0), Some(-4.0)]),
            &mut weights,
        );
        let change = |weights: &OnlineWeights| {
            let [now, was] = [weights, &before]
                .map(|w| [w.output.split()[0].clone(), w.recurrent.split()[0].clone()].concat());
            now.iter()
                .zip(&was)
                .map(|(a, b)| a - b)
                .collect::<Vec<f64>>()
        };
        let assert_close = |found: Vec<f64>, expected: &[f64]| {
            let pairs = found.iter().zip(expected);
            assert!(
                pairs.clone().count() == expected.len() && { pairs }
                    .all(|(a, b)| (a - b).abs() < 1e-15),
                "{found:?}"
            );
        };
        assert_close(change(&weights), &[-0.75, -0.75, -0.5, -0.5, 1.0, 1.0]);
        assert_close(rls.groups[0].p.clone(), &[0.375, -0.125, -0.125, 0.375]);
        assert_eq!((rls.groups.len(), rls.rate()), (1, 0.375));
        // The readout does not count; the second unit alone has an error.
        rls.learn(
            &sample(&[1.0, 0.0, 1.0], &[None], &[Some(0.0), Some(11.0)]),
            &mut weights,
        );
        assert_close(
            change(&weights),
            &[-0.75, -0.75, -0.5, -0.5, 1.0 - 3.0, 1.0 + 1.0],
        );
        // Nothing counts.
        let (kept, p) = (weights.clone(), rls.clone());
        rls.learn(
            &sample(&[5.0, 1.0, 1.0], &[None], &[None, None]),
            &mut weights,
        );
        assert_eq!((weights, &rls), (kept, &p));
        let again = Rls::new(&network, 2.0, true)
            .restored(&rls.state())
            .unwrap();
        assert_eq!(again, rls);
        assert!(
            Rls::new(&network, 2.0, false)
                .restored(&BTreeMap::new())
                .is_err()
        );
    }

    /// After enough samples with alpha near 0, recursive least squares are least squares: the weights reproduce any linear readout, with
    /// its bias, of the units to which they are connected, and absent connections stay at zero.
    #[test]
    fn masked_weights_are_regressed_on_what_they_see() {
        let config = CtrnnConfig {
            density: Densities {
                output: 0.5,
                ..Densities::default()
            },
            ..CtrnnConfig::new(1, 6, 2)
        };
        let network = network(&config);
        let mask: Vec<f64> = network.weights()["output.mask"].iter().collect();
        let truth: Vec<f64> = mask
            .iter()
            .enumerate()
            .map(|(k, m)| m * (k as f64 - 4.0))
            .collect();
        let mut weights = OnlineWeights::of(&network.weights());
        let mut rls = Rls::new(&network, 1e-9, false);
        for t in 0..200 {
            let mut rates: Vec<f64> = (0..6)
                .map(|j| ((t * (j + 1)) as f64 * 0.37).sin())
                .collect();
            let target = |o: usize| {
                0.5 + truth[6 * o..][..6]
                    .iter()
                    .zip(&rates)
                    .map(|(w, r)| w * r)
                    .sum::<f64>()
            };
            let targets = [target(0), target(1)];
            rates.push(1.0);
            let outputs: Vec<_> = weights
                .output
                .times(&rates)
                .iter()
                .zip(targets)
                .map(|(y, f)| Some(y - f))
                .collect();
            let sample = Sample {
                rates: &rates,
                seen: &rates,
                outputs: &outputs,
                units: &[],
            };
            rls.learn(&sample, &mut weights);
        }
        let [found, bias] = weights.output.split();
        assert!(
            found.iter().zip(&truth).all(|(a, b)| (a - b).abs() < 1e-6),
            "{found:?}"
        );
        assert!(bias.iter().all(|b| (b - 0.5).abs() < 1e-6), "{bias:?}");
        assert!(found.iter().zip(&mask).all(|(w, m)| *m == 1.0 || *w == 0.0));
        assert_eq!(
            weights.recurrent,
            OnlineWeights::of(&network.weights()).recurrent
        );
    }
}
