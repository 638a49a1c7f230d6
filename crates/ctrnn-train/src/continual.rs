//! Continual learning: what the parameters of a network did for earlier stages, and how later ones are held back.

pub mod config;
mod projection;
mod values;

use std::collections::BTreeMap;

use burn::tensor::TensorData;
use burn::tensor::backend::Backend;
use ctrnn_model::{CtrnnConfig, host_tensor};

use crate::TrainError;
use crate::gradients::Gradients;

pub(crate) use projection::{Activity, Projector};
pub(crate) use values::{Values, values_of};

/// Beginning of the names of these numbers in the state of an optimizer.
const PREFIX: &str = "continual.";

/// Names of the kinds of numbers, in the order of [`Consolidated::kinds`].
const KINDS: [&str; 4] = ["importance", "anchor", "path", "begun"];

/// Importance of the parameters for earlier stages, and their part in the present one; all empty before there is any.
#[derive(Clone, Debug)]
pub(crate) struct Consolidated<B: Backend> {
    importance: Values<B>,
    /// Values from which the parameters are held back.
    anchor: Values<B>,
    /// Part of each parameter in the fall of the loss since the stage began.
    path: Values<B>,
    /// Parameters at the beginning of the stage.
    begun: Values<B>,
    /// Activity in earlier stages.
    pub activity: Option<Activity>,
}

impl<B: Backend> Default for Consolidated<B> {
    fn default() -> Self {
        Self {
            importance: Values::new(),
            anchor: Values::new(),
            path: Values::new(),
            begun: Values::new(),
            activity: None,
        }
    }
}

impl<B: Backend> Consolidated<B> {
    fn kinds(&self) -> [&Values<B>; 4] {
        [&self.importance, &self.anchor, &self.path, &self.begun]
    }

    /// Adds to gradients that of `strength sum_k Omega_k (w_k - w*_k)^2` at the parameters `now`.
    pub fn pull(&self, strength: f64, gradients: &mut Gradients<B>, now: &Values<B>) {
        for (parameter, gradient) in &mut gradients.0 {
            let Some(importance) = self.importance.get(parameter) else {
                continue;
            };
            let away = now[parameter].clone() - self.anchor[parameter].clone();
            *gradient = gradient.clone() + importance.clone() * away * (2.0 * strength);
        }
    }

    /// Adds the part of each parameter in the fall of the loss by an update along `gradients`.
    pub fn follow(&mut self, gradients: &Gradients<B>, before: &Values<B>, after: &Values<B>) {
        if self.begun.is_empty() {
            self.begun = before.clone();
        }
        for (parameter, gradient) in &gradients.0 {
            let change = after[parameter].clone() - before[parameter].clone();
            let part = (gradient.clone() * change).neg();
            let sum = match self.path.remove(parameter) {
                Some(path) => path + part,
                None => part,
            };
            self.path.insert(*parameter, sum);
        }
    }

    /// Ends a stage under synaptic intelligence with the parameters `now`.
    pub fn consolidate_path(&mut self, damping: f64, now: &Values<B>) {
        let begun = std::mem::take(&mut self.begun);
        for (parameter, path) in std::mem::take(&mut self.path) {
            let whole = now[&parameter].clone() - begun[&parameter].clone();
            let found = path.clamp_min(0.0) / (whole.square() + damping);
            let sum = match self.importance.remove(&parameter) {
                Some(importance) => importance + found,
                None => found,
            };
            self.importance.insert(parameter, sum);
        }
        let protected = self.importance.keys();
        self.anchor = protected.map(|p| (*p, now[p].clone())).collect();
    }

    /// Ends a stage under elastic weight consolidation: the sum of the terms of all stages is one term around their weighted mean.
    pub fn consolidate_squares(&mut self, squares: Values<B>, now: &Values<B>) {
        for (parameter, squares) in squares {
            let value = now[&parameter].clone();
            let (sum, anchor) = match self.importance.remove(&parameter) {
                None => (squares, value),
                Some(importance) => {
                    let anchor = self.anchor[&parameter].clone();
                    let sum = importance + squares.clone();
                    // Where no stage cares, the anchor is of no consequence.
                    let share = squares / sum.clone().clamp_min(f64::from(f32::MIN_POSITIVE));
                    (sum, anchor.clone() + share * (value - anchor))
                }
            };
            self.importance.insert(parameter, sum);
            self.anchor.insert(parameter, anchor);
        }
    }

    /// Returns the state as named arrays.
    pub fn state(&self) -> BTreeMap<String, TensorData> {
        let mut state = BTreeMap::new();
        for (kind, values) in KINDS.iter().zip(self.kinds()) {
            for (parameter, values) in values {
                state.insert(format!("{PREFIX}{kind}.{parameter}"), values.to_data());
            }
        }
        if let Some(activity) = &self.activity {
            let arrays = activity.arrays().into_iter();
            state.extend(arrays.map(|(name, data)| (format!("{PREFIX}{name}"), data)));
        }
        state
    }

    /// Returns true if an array of an optimizer's state is one of [`Consolidated::state`].
    pub fn holds(name: &str) -> bool {
        name.starts_with(PREFIX)
    }

    /// Returns the state that [`Consolidated::state`] wrote into the arrays of an optimizer's state, among others.
    ///
    /// # Errors
    /// [`TrainError::OptimizerState`] names an array that is unknown, of the wrong length or not finite.
    pub fn restore(
        state: &BTreeMap<String, TensorData>,
        network: &CtrnnConfig,
        device: &B::Device,
    ) -> Result<Self, TrainError> {
        let refuse = |name: &str, why: &str| TrainError::OptimizerState(format!("{name} {why}"));
        let parameters = network.parameters();
        let mut found = Self::default();
        let mut activity = BTreeMap::new();
        for (name, data) in state {
            let Some(rest) = name.strip_prefix(PREFIX) else {
                continue;
            };
            if data.iter::<f64>().any(|x| !x.is_finite()) {
                return Err(refuse(name, "is not finite"));
            }
            let (kind, parameter) = rest.split_once('.').unwrap_or((rest, ""));
            let values = match KINDS.iter().position(|known| *known == kind) {
                Some(0) => &mut found.importance,
                Some(1) => &mut found.anchor,
                Some(2) => &mut found.path,
                Some(_) => &mut found.begun,
                None => {
                    activity.insert(rest.to_owned(), data.clone());
                    continue;
                }
            };
            let spec = parameters.iter().find(|s| s.parameter.name() == parameter);
            let spec = spec.ok_or_else(|| refuse(name, "is of no parameter of the network"))?;
            if data.num_elements() != spec.n_elements() {
                return Err(refuse(name, "has another length than its parameter"));
            }
            values.insert(spec.parameter, host_tensor(data.clone(), device));
        }
        if !activity.is_empty() {
            found.activity =
                Some(Activity::from_arrays(&activity).map_err(|why| refuse("continual", &why))?);
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use burn::backend::NdArray;
    use ctrnn_model::Parameter;

    use super::*;

    type F64 = NdArray<f64>;

    fn values(of: [f64; 2]) -> Values<F64> {
        let tensor = host_tensor(TensorData::new(of.to_vec(), [2]), &Default::default());
        [(Parameter::OUTPUT_BIAS, tensor)].into()
    }

    fn numbers(values: &Values<F64>) -> Vec<f64> {
        values[&Parameter::OUTPUT_BIAS].to_data().iter().collect()
    }

    fn assert_close(values: &Values<F64>, expected: [f64; 2]) {
        let found = numbers(values);
        let is_close = found
            .iter()
            .zip(expected)
            .all(|(a, b)| (a - b).abs() < 1e-12);
        assert!(is_close, "{found:?}, not {expected:?}");
    }

    /// The first parameter goes from 0 to 1 and on to 2 along gradients -3 and -1: omega = 3 + 1 = 4, D = 2, Omega = 4 / (4 + 1) = 0.8. The
    /// second goes from 1 to 0.5 and back along gradients -2 and 0, against the gradient: omega = -1, which counts as 0.
    /// In the second stage it goes from 1 to 3 along -1: omega = 2, Omega = 2 / (4 + 1) = 0.4; the first one stays.
    #[test]
    fn synaptic_intelligence_by_hand() {
        let mut state = Consolidated::<F64>::default();
        let gradients = |of| Gradients(values(of));
        state.follow(
            &gradients([-3.0, -2.0]),
            &values([0.0, 1.0]),
            &values([1.0, 0.5]),
        );
        state.follow(
            &gradients([-1.0, 0.0]),
            &values([1.0, 0.5]),
            &values([2.0, 1.0]),
        );
        assert_close(&state.path, [4.0, -1.0]);
        state.consolidate_path(1.0, &values([2.0, 1.0]));
        assert_close(&state.importance, [0.8, 0.0]);
        let mut pulled = gradients([0.25, 0.25]);
        state.pull(0.5, &mut pulled, &values([3.0, 9.0]));
        assert_close(&pulled.0, [0.25 + 0.8, 0.25]);
        state.follow(
            &gradients([0.0, -1.0]),
            &values([2.0, 1.0]),
            &values([2.0, 3.0]),
        );
        state.consolidate_path(1.0, &values([2.0, 3.0]));
        assert_close(&state.importance, [0.8, 0.4]);
        assert_close(&state.anchor, [2.0, 3.0]);
        assert!(state.path.is_empty() && state.begun.is_empty());
    }

    /// 2 (w - 1)^2 + 6 (w - 3)^2 has the slope of 8 (w - 2.5)^2; a parameter for which no stage cares is not pulled.
    #[test]
    fn elastic_weights_by_hand() {
        let mut state = Consolidated::<F64>::default();
        state.consolidate_squares(values([2.0, 0.0]), &values([1.0, 5.0]));
        state.consolidate_squares(values([6.0, 0.0]), &values([3.0, 7.0]));
        assert_close(&state.importance, [8.0, 0.0]);
        assert!((numbers(&state.anchor)[0] - 2.5).abs() < 1e-12);
        let mut pulled = Gradients(values([0.0, 0.0]));
        state.pull(0.5, &mut pulled, &values([4.0, 4.0]));
        assert_close(&pulled.0, [2.0 * (4.0 - 1.0) + 6.0 * (4.0 - 3.0), 0.0]);
    }
}
