//! Perturbations of a network: lesions, cut connections, clamped rates, injected currents, each always or in a window.

mod plastic_clamp;
mod plastic_synapses;
mod window;
mod words;

use std::collections::BTreeSet;
use std::ops::Range;

use burn::module::Param;
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use ctrnn_model::{
    Biases, CtrnnConfig, CtrnnModule, LearnedTimeConstants, Matrix, ModelError, Parameter,
    TimeConstants, UNIT_AREA, UNIT_TYPE, host_tensor,
};
use ctrnn_tasks::Timeline;
use thiserror::Error;

pub use plastic_synapses::{PlasticSynapses, SynapseSlopes, SynapseStates};
pub use window::{Window, forward_perturbed};
pub use words::{Kind, NoUnits, UnitGroups, WordError, Written};

/// Perturbation of a network during a simulation; the default is none. That of a stack is the one of its last layer, and holds those of
/// the layers below.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Perturbation {
    /// Perturbations of the layers below the last one of a stack, from the inputs up; missing ones are none.
    pub below: Vec<Perturbation>,
    /// Lesioned units: their outgoing weights are zero.
    pub lesioned: Vec<Lesion>,
    /// Recurrent connections, from presynaptic to postsynaptic units, that are zero.
    pub cut: Vec<Cut>,
    /// Units whose rate is clamped to a value.
    pub clamped: Vec<Clamp>,
    /// Currents injected into units.
    pub currents: Vec<Current>,
    /// Factors of the outgoing weights of all units, in all time steps; absent: 1.
    pub outgoing: Option<Vec<f64>>,
}

/// Units without outgoing connections; their own rates are unaffected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lesion {
    /// Lesioned units.
    pub units: Vec<usize>,
    /// Time of the lesion.
    pub when: Window,
}

/// Units whose rate is held at a value, which connections and readout see and which is recorded. Their potential goes
/// on underneath, and determines the rate after the window.
#[derive(Clone, Debug, PartialEq)]
pub struct Clamp {
    /// Clamped units.
    pub units: Vec<usize>,
    /// Their rate.
    pub rate: f64,
    /// Time of the clamp.
    pub when: Window,
}

/// All connections from some units to others, which are cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Postsynaptic units.
    pub post: Vec<usize>,
    /// Presynaptic units.
    pub pre: Vec<usize>,
    /// Time of the cut.
    pub when: Window,
}

/// A current injected into some units, in addition to `W_in u`.
#[derive(Clone, Debug, PartialEq)]
pub struct Current {
    /// Units that receive the current.
    pub units: Vec<usize>,
    /// Strength, in the units of the drive `W_rc r + W_in u + b`.
    pub value: f64,
    /// Time of the current.
    pub when: Window,
}

/// Error of a perturbation that the network cannot have: of a unit that does not exist, or of one that two perturbations hold at the same
/// time.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PerturbationError {
    /// A unit that the network does not have.
    #[error("there is no unit {unit}: the network has {n_units}, numbered from 0")]
    NoSuchUnit {
        /// Requested index of a unit.
        unit: usize,
        /// Number of units of the network.
        n_units: usize,
    },
    /// A lesion, cut or clamp in a window, in a network with delays.
    #[error(
        "recurrent connections are delayed: they would carry on what was before the window, which a lesion, a cut or a clamp in a window does not"
    )]
    Delayed,
    /// A unit that is clamped by two perturbations, or lesioned and clamped.
    #[error("unit {unit} is {how} at the same time, or windows that may overlap")]
    Twice {
        /// Index of the unit.
        unit: usize,
        /// The two perturbations: "clamped twice" or "both lesioned and clamped".
        how: &'static str,
    },
}

/// The parts of a perturbation that act at a time, for each lesion, cut and clamp.
type Active = Vec<bool>;

/// Time steps of a trial, from the first up to the second, in which the same lesions, cuts and clamps act.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Segment {
    steps: [usize; 2],
    active: Active,
}

impl Perturbation {
    /// Returns true if nothing is perturbed.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// Returns the perturbation of a layer of a stack, counted from the inputs up, as that of a network of its own.
    #[must_use]
    pub fn of_layer(&self, number: usize, n_layers: usize) -> Self {
        if number + 1 < n_layers {
            return self.below.get(number).cloned().unwrap_or_default();
        }
        Self {
            below: Vec::new(),
            ..self.clone()
        }
    }

    /// Returns both perturbations together.
    #[must_use]
    pub fn joined(mut self, other: Self) -> Self {
        let mut below = self.below.into_iter();
        let mut of_other = other.below.into_iter();
        let n_below = below.len().max(of_other.len());
        let both = (0..n_below).map(|_| {
            let own = below.next().unwrap_or_default();
            own.joined(of_other.next().unwrap_or_default())
        });
        self.below = both.collect();
        self.lesioned.extend(other.lesioned);
        self.cut.extend(other.cut);
        self.clamped.extend(other.clamped);
        self.currents.extend(other.currents);
        self.outgoing = self.outgoing.or(other.outgoing);
        self
    }

    /// Checks that no lesion, cut or clamp has a window if connections of its layer are delayed.
    ///
    /// # Errors
    /// [`PerturbationError::Delayed`].
    pub fn check_delays(&self, config: &CtrnnConfig) -> Result<(), PerturbationError> {
        let layers = self.below.iter().zip(&config.below);
        let all = layers.chain([(self, config)]);
        let is_delayed = |(own, config): (&Self, &CtrnnConfig)| {
            let has_window = own.held_windows().any(|when| *when != Window::Always);
            has_window && config.longest_delay_ms().is_some()
        };
        if all.into_iter().any(is_delayed) {
            return Err(PerturbationError::Delayed);
        }
        Ok(())
    }

    /// Checks that all units exist, and that no unit is held in two ways at once; of a stack, those of the last layer.
    ///
    /// # Errors
    /// Names the first unit that does not exist or is held in two ways.
    pub fn check(&self, n_units: usize) -> Result<(), PerturbationError> {
        let lesioned = self.lesioned.iter().map(|lesion| &lesion.units);
        let cut = self.cut.iter().flat_map(|cut| [&cut.post, &cut.pre]);
        let clamped = self.clamped.iter().map(|clamp| &clamp.units);
        let currents = self.currents.iter().map(|current| &current.units);
        let all = lesioned.chain(cut).chain(clamped).chain(currents);
        if let Some(unit) = all.flatten().copied().find(|&unit| unit >= n_units) {
            return Err(PerturbationError::NoSuchUnit { unit, n_units });
        }
        for (k, clamp) in self.clamped.iter().enumerate() {
            let again = self.clamped[..k]
                .iter()
                .map(|c| (&c.units, &c.when, "clamped twice"));
            let lesions = self.lesioned.iter();
            let lesions = lesions.map(|l| (&l.units, &l.when, "both lesioned and clamped"));
            for (units, when, how) in again.chain(lesions) {
                let shared = clamp.units.iter().find(|unit| units.contains(unit));
                if let Some(&unit) = shared.filter(|_| clamp.when.may_overlap(when)) {
                    return Err(PerturbationError::Twice { unit, how });
                }
            }
        }
        Ok(())
    }

    /// Returns the windows of all parts, in all layers.
    fn windows(&self) -> impl Iterator<Item = &Window> {
        let layers = self.below.iter().chain([self]);
        layers.flat_map(|layer| {
            let currents = layer.currents.iter().map(|current| &current.when);
            layer.held_windows().chain(currents)
        })
    }

    /// Returns the windows of lesions, cuts and clamps, in the order of [`Active`].
    fn held_windows(&self) -> impl Iterator<Item = &Window> {
        let lesioned = self.lesioned.iter().map(|lesion| &lesion.when);
        let cut = self.cut.iter().map(|cut| &cut.when);
        let clamped = self.clamped.iter().map(|clamp| &clamp.when);
        lesioned.chain(cut).chain(clamped)
    }

    /// Returns the names of the epochs that are windows.
    pub fn epochs(&self) -> BTreeSet<&str> {
        let mut epochs = BTreeSet::new();
        for window in self.windows() {
            if let Window::Epoch(name) = window {
                epochs.insert(name.as_str());
            }
        }
        epochs
    }

    /// Returns the latest time step with which a window of fixed times begins.
    pub fn latest_start(&self) -> Option<usize> {
        let start = |window: &Window| match window {
            Window::Steps(steps) => Some(steps.start),
            _ => None,
        };
        self.windows().filter_map(start).max()
    }

    /// Returns the part of the perturbation that acts all the time.
    #[must_use]
    pub fn lasting(&self) -> Self {
        let lasts = |when: &Window| *when == Window::Always;
        let mut lasting = self.clone();
        lasting.lesioned.retain(|lesion| lasts(&lesion.when));
        lasting.cut.retain(|cut| lasts(&cut.when));
        lasting.clamped.retain(|clamp| lasts(&clamp.when));
        lasting.currents.retain(|current| lasts(&current.when));
        lasting.below = self.below.iter().map(Self::lasting).collect();
        lasting
    }

    /// Returns a network of one layer with all lesions, cuts and clamps, as if they acted all the time; without any, as it is.
    ///
    /// # Errors
    /// See [`CtrnnModule::from_weights`].
    pub fn apply<B: Backend>(
        &self,
        network: &CtrnnModule<B>,
    ) -> Result<CtrnnModule<B>, ModelError> {
        match self.held_windows().count() {
            0 => Ok(network.clone()),
            n => self.applied(&vec![true; n], network),
        }
    }

    /// Returns the network with the active lesions, cuts and clamps. It has the effective weights of the original and no
    /// constraints, because a weight that is now zero may have been fixed at another value. Its tensors are functions of the original's
    /// parameters, which gradients reach.
    ///
    /// The outgoing weights of clamped units are set to zero, and their constant contribution `W c` is added to the
    /// biases, except that of plastic recurrent synapses, which is not constant ([`ClampedSynapses`](plastic_clamp::ClampedSynapses)).
    fn applied<B: Backend>(
        &self,
        active: &[bool],
        network: &CtrnnModule<B>,
    ) -> Result<CtrnnModule<B>, ModelError> {
        let is_changed = active.contains(&true) || self.outgoing.is_some();
        // All variants of a layer below the last one have the readout that `unconstrained` gives it.
        if !is_changed && network.config().n_outputs > 0 {
            return Ok(network.clone());
        }
        let mut free = unconstrained(network)?;
        let held: Vec<(usize, f64)> = self.held_rates(active).collect();
        let n = network.config().n_units;
        let mut kept = self.outgoing.clone().unwrap_or_else(|| vec![1.0; n]);
        held.iter().for_each(|&(unit, _)| kept[unit] = 0.0);
        let row = |values: Vec<f64>| -> Tensor<B, 2> {
            host_tensor(TensorData::new(values, [1, n]), &network.device())
        };
        let w_rc = self.cut_from(active, free.w_rc_raw.val());
        let w_out = free.w_out_raw.val();
        if held.iter().any(|&(_, rate)| rate != 0.0) {
            let mut rates = vec![0.0; n];
            held.iter().for_each(|&(unit, rate)| rates[unit] = rate);
            let rates = row(rates);
            let added = |bias: &Option<Param<Tensor<B, 1>>>, w: &Tensor<B, 2>| {
                let bias = bias.clone()?;
                let constant = (w.clone() * rates.clone())
                    .sum_dim(1)
                    .reshape([w.dims()[0]]);
                Some(Param::initialized(bias.id, bias.val() + constant))
            };
            if network.config().short_term_plasticity.is_none() {
                free.bias = added(&free.bias, &w_rc);
            }
            free.bias_out = added(&free.bias_out, &w_out);
        }
        let kept = row(kept);
        free.w_rc_raw = Param::initialized(free.w_rc_raw.id, w_rc * kept.clone());
        free.w_out_raw = Param::initialized(free.w_out_raw.id, w_out * kept);
        Ok(free)
    }

    /// Returns recurrent weights `[post, pre]` without the connections that active cuts take out.
    fn cut_from<B: Backend>(&self, active: &[bool], w_rc: Tensor<B, 2>) -> Tensor<B, 2> {
        if self.active_cuts(active).next().is_none() {
            return w_rc;
        }
        let [n, _] = w_rc.dims();
        let mut uncut = vec![1.0f32; n * n];
        for cut in self.active_cuts(active) {
            for i in &cut.post {
                cut.pre.iter().for_each(|j| uncut[i * n + j] = 0.0);
            }
        }
        let uncut = host_tensor(TensorData::new(uncut, [n, n]), &w_rc.device());
        w_rc * uncut
    }

    /// Returns the effective recurrent weights `[post, pre]` that are left by the active cuts.
    fn recurrent_weights<B: Backend>(&self, active: &[bool], network: &CtrnnModule<B>) -> Vec<f64> {
        let w_rc = self.cut_from(active, network.effective_weights(Matrix::Recurrent));
        w_rc.to_data().iter().collect()
    }

    fn active_cuts<'a>(&'a self, active: &'a [bool]) -> impl Iterator<Item = &'a Cut> {
        let active = active.iter().skip(self.lesioned.len());
        let cuts = self.cut.iter().zip(active);
        cuts.filter_map(|(cut, is_active)| is_active.then_some(cut))
    }

    /// Returns the units of active clamps with their rates.
    fn clamped_rates<'a>(&'a self, active: &'a [bool]) -> impl Iterator<Item = (usize, f64)> + 'a {
        let active = active.iter().skip(self.lesioned.len() + self.cut.len());
        let clamped = self.clamped.iter().zip(active);
        let clamped = clamped.filter_map(|(clamp, is_active)| is_active.then_some(clamp));
        clamped.flat_map(|clamp| clamp.units.iter().map(|&unit| (unit, clamp.rate)))
    }

    /// Returns the units of active lesions and clamps with the rates that their connections carry.
    fn held_rates<'a>(&'a self, active: &'a [bool]) -> impl Iterator<Item = (usize, f64)> + 'a {
        let lesioned = self.lesioned.iter().zip(active);
        let lesioned = lesioned.filter_map(|(lesion, is_active)| is_active.then_some(lesion));
        let lesioned = lesioned.flat_map(|lesion| lesion.units.iter().map(|&unit| (unit, 0.0)));
        lesioned.chain(self.clamped_rates(active))
    }

    /// Returns the segments of a trial in which the same lesions, cuts and clamps act.
    fn segments(&self, timeline: &Timeline, n_steps: usize) -> Vec<Segment> {
        let windows: Vec<Vec<Range<usize>>> = self
            .held_windows()
            .map(|window| window.steps(timeline, n_steps))
            .collect();
        let ends = windows
            .iter()
            .flatten()
            .flat_map(|steps| [steps.start, steps.end]);
        let ends: BTreeSet<usize> = ends.chain([0, n_steps]).collect();
        let ends: Vec<usize> = ends.into_iter().collect();
        let mut segments: Vec<Segment> = Vec::new();
        for pair in ends.windows(2) {
            let is_active =
                |window: &Vec<Range<usize>>| window.iter().any(|steps| steps.contains(&pair[0]));
            let active: Active = windows.iter().map(is_active).collect();
            match segments.last_mut() {
                Some(before) if before.active == active => before.steps[1] = pair[1],
                _ => segments.push(Segment {
                    steps: [pair[0], pair[1]],
                    active,
                }),
            }
        }
        segments
    }

    /// Returns the injected currents `[trial, time, unit]`, or `None` if there are none.
    fn drive(&self, timelines: &[&Timeline], n_steps: usize, n_units: usize) -> Option<TensorData> {
        if self.currents.is_empty() {
            return None;
        }
        let mut drive = vec![0.0; timelines.len() * n_steps * n_units];
        for (timeline, trial) in timelines
            .iter()
            .zip(drive.chunks_exact_mut(n_steps * n_units))
        {
            for current in &self.currents {
                for t in current.when.steps(timeline, n_steps).into_iter().flatten() {
                    let units = current.units.iter();
                    units.for_each(|unit| trial[t * n_units + unit] += current.value);
                }
            }
        }
        Some(TensorData::new(drive, [timelines.len(), n_steps, n_units]))
    }
}

/// Returns a network without constraints and factors, and with biases: its weights are the effective ones of `network`, whose
/// parameters gradients reach. A layer below the last one gets a readout of zeros, since a network has outputs.
fn unconstrained<B: Backend>(network: &CtrnnModule<B>) -> Result<CtrnnModule<B>, ModelError> {
    let mut config = network.config().clone().unconstrained();
    config.bias = Biases {
        recurrent: true,
        readout: true,
        range: None,
    };
    let behind = ["mask", "sign", "fixed", "weight_raw", "left", "right"];
    let mut weights = network.weights();
    weights.retain(|name, _| {
        let is_label = [UNIT_AREA, UNIT_TYPE].contains(&name.as_str());
        !is_label && !name.split('.').any(|part| behind.contains(&part))
    });
    if config.n_outputs == 0 {
        config.n_outputs = 1;
        for p in [Parameter::OUTPUT_WEIGHT, Parameter::OUTPUT_BIAS] {
            let shape = p.shape(&config);
            let zeros = vec![0.0; shape.iter().product()];
            let zeros = TensorData::new(zeros, shape).convert::<B::FloatElem>();
            weights.insert(p.name(), zeros);
        }
    }
    if config.tau_ms.need_cell_types() {
        let tau_ms = TimeConstants::PerUnit(weights["tau_ms"].iter().collect());
        config.tau_ms = match config.tau_ms.learned() {
            Some(learned) => TimeConstants::Learned(LearnedTimeConstants {
                initial: Box::new(tau_ms),
                ..learned.clone()
            }),
            None => tau_ms,
        };
    }
    let mut free = CtrnnModule::from_weights(&config, &weights, &network.device())?;
    let same = |to: &mut Param<Tensor<B, 2>>, matrix: Matrix| {
        *to = Param::initialized(to.id, network.effective_weights(matrix));
    };
    if config.n_inputs > 0 {
        same(&mut free.w_in_raw, Matrix::Input);
    }
    same(&mut free.w_rc_raw, Matrix::Recurrent);
    if network.config().n_outputs > 0 {
        same(&mut free.w_out_raw, Matrix::Output);
    }
    free.bias = network.bias.clone().or(free.bias);
    free.bias_out = network.bias_out.clone().or(free.bias_out);
    free.initial_state.clone_from(&network.initial_state);
    free.condition_states.clone_from(&network.condition_states);
    free.tau_raw.clone_from(&network.tau_raw);
    Ok(free)
}
