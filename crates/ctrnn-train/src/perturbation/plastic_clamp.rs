//! Plastic synapses of clamped units: they follow the clamped rate, and so transmit what changes from step to step.

use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use ctrnn_model::{CtrnnModule, Trajectory, UnitState, host_tensor};
use ndarray::{Array2, Array3, Axis, s};

use super::plastic_synapses::{PlasticSynapses, SynapseStates};

/// Course of the plastic synapses of clamped units in a pass.
pub(super) struct ClampedSynapses {
    /// Clamped units.
    units: Vec<usize>,
    /// Transmitted rates `[trial, time, unit]`, of all units; 0 for those that are not clamped.
    transmitted: Array3<f64>,
    /// States after each time step, likewise.
    states: SynapseStates<Array3<f64>>,
    /// Last time step of each trial.
    last: Vec<usize>,
}

impl ClampedSynapses {
    /// Steps the synapses of units with these rates from a state before the first time step; `None` without clamped units or without
    /// short-term plasticity. `lengths` are those of the trials, where they differ.
    pub fn of<B: Backend>(
        network: &CtrnnModule<B>,
        clamped: &[(usize, f64)],
        start: impl FnOnce() -> UnitState<Tensor<B, 2>>,
        lengths: &[usize],
        n_steps: usize,
    ) -> Option<Self> {
        let synapses = PlasticSynapses::of(network.config()).filter(|_| !clamped.is_empty())?;
        let start = start();
        let host = |x: &Tensor<B, 2>| {
            let values = x.to_data().iter::<f64>().collect();
            Array2::from_shape_vec(x.dims(), values).expect("a tensor has its shape")
        };
        let mut now = SynapseStates {
            utilisation: host(&start.utilisation),
            resources: host(&start.resources),
        };
        let (n_trials, n_units) = now.utilisation.dim();
        let mut rates = Array2::zeros((n_trials, n_units));
        for &(unit, rate) in clamped {
            rates.column_mut(unit).fill(rate);
        }
        let zeros = || Array3::zeros((n_trials, n_steps, n_units));
        let mut transmitted = zeros();
        let mut states = SynapseStates {
            utilisation: zeros(),
            resources: zeros(),
        };
        for t in 0..n_steps {
            let sent = synapses.transmit(rates.view(), &mut now);
            let at = s![.., t, ..];
            transmitted.slice_mut(at).assign(&sent);
            states.utilisation.slice_mut(at).assign(&now.utilisation);
            states.resources.slice_mut(at).assign(&now.resources);
        }
        let length = |b: usize| lengths.get(b).copied().unwrap_or(n_steps).min(n_steps);
        Some(Self {
            units: clamped.iter().map(|(unit, _)| *unit).collect(),
            transmitted,
            states,
            last: (0..n_trials).map(|b| length(b).max(1) - 1).collect(),
        })
    }

    /// Computes the drive `[trial, time, unit]` of all units by what the synapses transmit through weights `[post, pre]`, with the
    /// delays of the network.
    pub fn drive<B: Backend>(&self, network: &CtrnnModule<B>, weights: &[f64]) -> Tensor<B, 3> {
        let (n_trials, n_steps, n) = self.transmitted.dim();
        let delays = network.config().delays();
        let delay = |post: usize, pre: usize| match &delays {
            Some(delays) => delays.steps()[delays.number(post, pre)],
            None => 0,
        };
        let mut drive = Array3::zeros((n_trials, n_steps, n));
        for &pre in &self.units {
            for post in (0..n).filter(|post| weights[post * n + pre] != 0.0) {
                let (weight, delay) = (weights[post * n + pre], delay(post, pre));
                for t in 0..n_steps {
                    // Before the pass the synapses transmitted what they do in its first step, as in any sweep.
                    let sent = self.transmitted.slice(s![.., t.saturating_sub(delay), pre]);
                    drive.slice_mut(s![.., t, post]).scaled_add(weight, &sent);
                }
            }
        }
        tensor(drive, network)
    }

    /// Puts the states of the clamped units' synapses in their places in a trajectory.
    pub fn record<B: Backend>(
        &self,
        network: &CtrnnModule<B>,
        trajectory: Trajectory<B>,
    ) -> Trajectory<B> {
        let (n_trials, n_steps, n) = self.transmitted.dim();
        let mut is_clamped = Array3::zeros((n_trials, n_steps, n));
        for &unit in &self.units {
            is_clamped.slice_mut(s![.., .., unit]).fill(1.0);
        }
        let is_clamped: Tensor<B, 3> = tensor(is_clamped, network);
        let put = |to: Tensor<B, 3>, values: &Array3<f64>| {
            let mask = is_clamped.clone().greater_elem(0.5);
            to.mask_where(mask, tensor(values.clone(), network))
        };
        let put_last = |to: Tensor<B, 2>, values: &Array3<f64>| {
            let mut last = Array3::zeros((n_trials, 1, n));
            for (b, &t) in self.last.iter().enumerate() {
                let at_end = values.index_axis(Axis(0), b);
                last.slice_mut(s![b, 0, ..]).assign(&at_end.row(t));
            }
            let mask = is_clamped.clone().narrow(1, 0, 1).greater_elem(0.5);
            let to = to.reshape([n_trials, 1, n]);
            to.mask_where(mask, tensor(last, network))
                .reshape([n_trials, n])
        };
        let SynapseStates {
            utilisation: u,
            resources: x,
        } = &self.states;
        let end = trajectory.final_state;
        Trajectory {
            utilisation: trajectory.utilisation.map(|to| put(to, u)),
            resources: trajectory.resources.map(|to| put(to, x)),
            final_state: UnitState {
                activity: end.activity,
                utilisation: put_last(end.utilisation, u),
                resources: put_last(end.resources, x),
            },
            ..trajectory
        }
    }
}

fn tensor<B: Backend>(values: Array3<f64>, network: &CtrnnModule<B>) -> Tensor<B, 3> {
    let (trials, steps, units) = values.dim();
    let values = values.into_raw_vec_and_offset().0;
    host_tensor(
        TensorData::new(values, [trials, steps, units]),
        &network.device(),
    )
}
