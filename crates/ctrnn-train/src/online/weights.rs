//! Weights in double precision while a rule changes them within a trial.

use burn::tensor::TensorData;
use ctrnn_model::{CtrnnConfig, Parameter, Weights, add_scaled};

/// Weight matrix with its bias, one row for each presynaptic unit and a last one for the bias: `[pre + 1, post]`, in the order in which
/// products and updates go through it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Table {
    width: usize,
    values: Vec<f64>,
}

impl Table {
    /// Turns weights `[post, pre]` and biases `[post]` into a table.
    pub fn of(weights: &[f64], bias: &[f64]) -> Self {
        let (post, pre) = (bias.len(), weights.len() / bias.len());
        let mut values = vec![0.0; (pre + 1) * post];
        for (i, row) in weights.chunks(pre).enumerate() {
            for (j, &weight) in row.iter().enumerate() {
                values[j * post + i] = weight;
            }
        }
        values[pre * post..].copy_from_slice(bias);
        Self {
            width: post,
            values,
        }
    }

    /// Returns the weights `[post, pre]` and the biases.
    pub fn split(&self) -> [Vec<f64>; 2] {
        let (weights, bias) = self.values.split_at(self.values.len() - self.width);
        let (post, pre) = (self.width, weights.len() / self.width);
        let turned = (0..post * pre).map(|k| weights[(k % pre) * post + k / pre]);
        [turned.collect(), bias.to_vec()]
    }

    /// Returns the number of postsynaptic units or outputs.
    pub const fn width(&self) -> usize {
        self.width
    }

    /// Returns the weights from a presynaptic unit, or the biases, `[post]`.
    pub fn row_mut(&mut self, pre: usize) -> &mut [f64] {
        &mut self.values[pre * self.width..][..self.width]
    }

    /// Computes the product with rates that have a constant 1 after them, `W r + b`.
    pub fn times(&self, rates: &[f64]) -> Vec<f64> {
        let mut product = vec![0.0; self.width];
        for (row, &rate) in self.values.chunks_exact(self.width).zip(rates) {
            add_scaled(&mut product, rate, row);
        }
        product
    }
}

/// Recurrent and output weights of a network while a rule changes them.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct OnlineWeights {
    /// `W_rc` and `b`.
    pub recurrent: Table,
    /// `W_out` and `b_out`.
    pub output: Table,
}

impl OnlineWeights {
    /// Reads the weights of a network.
    pub fn of(weights: &Weights) -> Self {
        let table = |matrix: Parameter, bias: Parameter| {
            let values = |p: Parameter| weights[&p.name()].iter::<f64>().collect::<Vec<_>>();
            Table::of(&values(matrix), &values(bias))
        };
        Self {
            recurrent: table(Parameter::RECURRENT_WEIGHT, Parameter::RECURRENT_BIAS),
            output: table(Parameter::OUTPUT_WEIGHT, Parameter::OUTPUT_BIAS),
        }
    }

    /// Returns the arrays of some parameters by name, for [`ctrnn_model::CtrnnModule::with_weights`].
    pub fn arrays(&self, of: &[Parameter], config: &CtrnnConfig) -> Weights {
        let [w_rc, bias] = self.recurrent.split();
        let [w_out, bias_out] = self.output.split();
        let all = [
            (Parameter::RECURRENT_WEIGHT, w_rc),
            (Parameter::RECURRENT_BIAS, bias),
            (Parameter::OUTPUT_WEIGHT, w_out),
            (Parameter::OUTPUT_BIAS, bias_out),
        ];
        let chosen = all.into_iter().filter(|(p, _)| of.contains(p));
        chosen
            .map(|(p, values)| (p.name(), TensorData::new(values, p.shape(config))))
            .collect()
    }

    /// Returns the root of the sum of squares of the differences from other weights.
    pub fn distance(&self, other: &Self) -> f64 {
        let pairs = [
            (&self.recurrent, &other.recurrent),
            (&self.output, &other.output),
        ];
        let all = pairs
            .into_iter()
            .flat_map(|(a, b)| a.values.iter().zip(&b.values));
        all.map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt()
    }
}
