//! A random network and its trials, for tests: owned arrays in f64, from which a [`SweepSlices`] of either element type is made, and
//! the equations as a plain loop.

use ctrnn_kernels::{
    Activation, Delays, DrawAddress, Element, Form, GradientSlices, NoiseSource, NoiseTarget,
    OmegaTerm, Operands, RateMeasure, RateTerm, Saved, SegmentSlices, Shape, SweepElement,
    SweepResults, SweepSlices, SynapseConstants, TrajectorySlices, TrialLengths, UnitState,
    UpstreamSlices, Workspace, backward, backward_recomputing, backward_with_omega, forward,
    forward_keeping_states, kept_states, kept_synapses, rate_terms,
};
use ctrnn_random::{Key, Rng, Stream, unit_normals};

/// Source of the noise of a test.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Normals {
    None,
    Drawn,
    Given,
}

#[derive(Clone, Copy, Debug)]
pub struct Kind {
    pub shape: Shape,
    pub form: Form,
    pub activation: Activation,
    pub noise_target: NoiseTarget,
    pub normals: Normals,
    /// Delays of the connections, if there are any: the k-th entry of the list for every k-th connection, or in blocks.
    pub delays: Delay,
}

/// Delays of the connections of a test.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Delay {
    None,
    /// Connection k of the matrix has the (k mod 3)-rd of three delays.
    Scattered([usize; 3]),
    /// The first third of the units and the others are joined by delays, one in each direction.
    Between([usize; 2]),
}

impl Delay {
    /// The delay of a connection.
    pub fn of(self, units: usize, post: usize, pre: usize) -> usize {
        let is_first = |unit: usize| 3 * unit < units;
        match self {
            Self::None => 0,
            Self::Scattered(three) => three[(post * units + pre) % 3],
            Self::Between([there, back]) => match (is_first(post), is_first(pre)) {
                (false, true) => there,
                (true, false) => back,
                _ => 0,
            },
        }
    }
}

pub const EPS: Key = Key([3, 4]);
pub const XI: Key = Key([5, 6]);
pub const STEP: u32 = 11;
pub const FIRST_TRIAL: u32 = 7;
pub const SIGMA_POST: f64 = 0.3;

/// Number of arrays that a loss can be differentiated by.
const OPERANDS: usize = Operands::<()>::COUNT;
const RESULTS: usize = SweepResults::<()>::COUNT;

/// Names of the arrays that a loss can be differentiated by, in the order of [`Operands`].
pub fn names() -> [&'static str; OPERANDS] {
    Operands::NAMES.into_array()
}

/// Names of the results that a loss has coefficients for, in the order of [`SweepResults`].
fn names_of_results() -> [&'static str; RESULTS] {
    SweepResults::NAMES.into_array()
}

/// Results of a sweep, in the order of the loss's coefficients.
pub struct Results<E> {
    pub rates: Vec<E>,
    pub responses: Vec<E>,
    pub potentials: Vec<E>,
    pub outputs: Vec<E>,
    pub utilisation: Vec<E>,
    pub resources: Vec<E>,
    /// Sums of rates, of their absolute values and of their squares.
    pub moments: [Vec<E>; 3],
    pub rate_terms: Vec<E>,
    /// Utilisation and resources that the backward sweep needs; not of the reference.
    pub kept_synapses: [Vec<E>; 2],
    pub final_state: UnitState<Vec<E>>,
}

impl<E: Copy + Default> Results<E> {
    fn zeros(shape: &Shape) -> Self {
        let zeros = |n| vec![E::default(); n];
        Self {
            rates: zeros(shape.history()),
            responses: zeros(shape.states()),
            potentials: zeros(shape.states()),
            outputs: zeros(shape.steps * shape.trials * shape.outputs),
            utilisation: zeros(shape.steps * shape.trials * shape.synapses),
            resources: zeros(shape.steps * shape.trials * shape.synapses),
            moments: [(); 3].map(|()| zeros(shape.units)),
            rate_terms: zeros(shape.rate_terms),
            kept_synapses: [const { Vec::new() }; 2],
            final_state: UnitState::lens(shape).map(zeros),
        }
    }
}

/// A network, its trials, and the coefficients of a loss that is linear in all results of a sweep.
#[derive(Clone)]
pub struct Network<E> {
    pub kind: Kind,
    pub parameters: [Vec<E>; OPERANDS],
    pub eps: Vec<E>,
    pub xi: Vec<E>,
    pub synapses: SynapseConstants<Vec<E>>,
    pub upstream: [Vec<E>; RESULTS], // in the order of SweepResults
    pub delays: Option<Delays>,
    /// Number of the first trial, where noise is drawn.
    pub first_trial: u32,
    /// Time steps of each trial; empty if all of them take every time step.
    pub lengths: Vec<usize>,
    pub rate_terms: Vec<RateTerm>,
}

impl Network<f64> {
    pub fn random(kind: Kind) -> Self {
        let Shape {
            trials: b,
            steps: t,
            inputs: i,
            units: n,
            outputs: o,
            rank,
            synapses: s,
            ..
        } = kind.shape;
        let mut rng = Rng::new(Key::new(1, Stream::Weights, 0), n as u64, t as u64);
        let mut normals = |count: usize, scale: f64| -> Vec<f64> {
            (0..count)
                .map(|_| scale * f64::from(rng.normal()))
                .collect()
        };
        let mut positive =
            |low: f64| -> Vec<f64> { normals(n, 0.1).iter().map(|x| low + x.abs()).collect() };
        let (decay, gain) = (positive(0.6), positive(0.3));
        let mut own = Rng::new(Key::new(2, Stream::Weights, 0), n as u64, t as u64);
        let mut between = |count: usize, low: f64, high: f64| -> Vec<f64> {
            (0..count).map(|_| own.uniform_in(low, high)).collect()
        };
        let mut further = Rng::new(Key::new(3, Stream::Weights, 0), n as u64, t as u64);
        let mut moments = || (0..n).map(|_| further.uniform_in(-0.3, 0.3)).collect();
        let delay = |k: usize| kind.delays.of(n, k / n, k % n);
        Self {
            kind,
            parameters: [
                normals(t * b * i, 1.0),
                normals(n * i, 0.5),
                normals(kind.shape.full_rows() * n, 0.8 / (n as f64).sqrt()),
                normals(n * rank, 0.5),
                normals(n * rank, 0.5),
                normals(n, 0.2),
                normals(o * n, 1.0 / (n as f64).sqrt()),
                normals(o, 0.2),
                decay,
                gain,
                normals(n, 0.2),
                normals(b * n, 0.5),
                between(b * s, 0.2, 0.9),
                between(b * s, 0.2, 0.9),
            ],
            // Many a step of the resources is so long that they are clipped.
            synapses: SynapseConstants {
                baseline: between(s, 0.2, 0.8),
                utilisation_gain: between(s, 0.1, 0.5),
                resources_gain: between(s, 0.1, 0.5),
                spikes: between(s, 0.5, 3.0),
            },
            eps: normals(t * b * n, 1.0),
            xi: normals(t * b * n, 1.0),
            upstream: [
                normals(t * b * o, 1.0),
                normals(t * b * n, 0.3),
                normals(t * b * n, 0.3),
                between(t * b * s, -0.5, 0.5),
                between(t * b * s, -0.5, 0.5),
                moments(),
                moments(),
                moments(),
                vec![0.7, -0.4, 0.3, 0.9][..kind.shape.rate_terms].to_vec(),
                normals(b * n, 1.0),
                between(b * s, -1.0, 1.0),
                between(b * s, -1.0, 1.0),
            ],
            delays: Delays::new(&(0..n * n).map(delay).collect::<Vec<_>>()),
            first_trial: FIRST_TRIAL,
            lengths: Vec::new(),
            rate_terms: terms(n)[..kind.shape.rate_terms].to_vec(),
        }
    }

    pub fn to<E: SweepElement>(&self) -> Network<E> {
        let to = |x: &Vec<f64>| x.iter().map(|&x| E::from_f64(x)).collect::<Vec<E>>();
        Network {
            kind: self.kind,
            parameters: std::array::from_fn(|p| to(&self.parameters[p])),
            eps: to(&self.eps),
            xi: to(&self.xi),
            synapses: self.synapses.each_ref().map(to),
            upstream: std::array::from_fn(|p| to(&self.upstream[p])),
            delays: self.delays.clone(),
            first_trial: self.first_trial,
            lengths: self.lengths.clone(),
            rate_terms: self.rate_terms.clone(),
        }
    }

    /// The network with one of its trials in a sweep of `steps` time steps.
    pub fn alone(&self, trial: usize, steps: usize) -> Self {
        let Shape { trials, .. } = self.kind.shape;
        let of_trial = |all: &Vec<f64>, times: usize| -> Vec<f64> {
            let width = all.len() / (times * trials);
            let row = |t| &all[(t * trials + trial) * width..][..width];
            (0..times.min(steps)).flat_map(row).copied().collect()
        };
        let all_steps = self.kind.shape.steps;
        let mut alone = self.clone();
        alone.kind.shape.trials = 1;
        alone.kind.shape.steps = steps;
        alone.first_trial += trial as u32;
        alone.lengths.clear();
        for (name, own) in names().iter().zip(&mut alone.parameters) {
            match *name {
                "inputs" => *own = of_trial(own, all_steps),
                "activity" | "utilisation" | "resources" => *own = of_trial(own, 1),
                _ => {}
            }
        }
        alone.eps = of_trial(&self.eps, all_steps);
        alone.xi = of_trial(&self.xi, all_steps);
        for (k, own) in alone.upstream.iter_mut().enumerate() {
            match names_of_results()[k] {
                "activity" | "utilisation" | "resources" if k + 3 >= RESULTS => {
                    *own = of_trial(own, 1);
                }
                "rate_sums" | "rate_sizes" | "rate_squares" | "rate_terms" => {}
                _ => *own = of_trial(own, all_steps),
            }
        }
        alone
    }

    /// A standard normal of `eps` or `xi`.
    fn normal(&self, given: &[f64], key: Key, t: usize, trial: usize, unit: usize) -> f64 {
        let Shape { trials, units, .. } = self.kind.shape;
        match self.kind.normals {
            Normals::None => 0.0,
            Normals::Given => given[(t * trials + trial) * units + unit],
            Normals::Drawn => {
                let trial = FIRST_TRIAL + trial as u32;
                f64::from(unit_normals(key, unit as u32, trial, t as u32 / 4, STEP)[t % 4])
            }
        }
    }

    /// The equations of the crate's documentation, one number at a time.
    pub fn reference(&self) -> Results<f64> {
        let Shape {
            trials,
            steps,
            inputs,
            units,
            outputs,
            rank,
            without_full,
            synapses,
            ..
        } = self.kind.shape;
        let [
            u,
            w_in,
            w_rc,
            left,
            right,
            bias,
            w_out,
            bias_out,
            decay,
            gain,
            noise_scale,
            initial,
            initial_utilisation,
            initial_resources,
        ] = &self.parameters;
        let f = |v| self.kind.activation.value(v);
        let mut results = Results::zeros(&self.kind.shape);
        let n_synapses = trials * synapses;
        for trial in 0..trials {
            let mut state = initial[trial * units..][..units].to_vec();
            let [mut utilisation, mut resources] = [initial_utilisation, initial_resources]
                .map(|all| all[trial * synapses..][..synapses].to_vec());
            for (j, &state) in state.iter().enumerate() {
                results.rates[trial * units + j] = match self.kind.form {
                    Form::Voltage => f(state),
                    Form::Rate => state,
                };
            }
            let mut sent = Vec::new();
            for t in 0..steps {
                let mut before = results.rates[(t * trials + trial) * units..][..units].to_vec();
                for (j, r) in before.iter_mut().enumerate().take(synapses) {
                    let at = (t * trials + trial) * units + j;
                    let (u, x) = (utilisation[j], resources[j]);
                    let c = self.synapses.each_ref().map(|values| values[j]);
                    let next_u = u
                        + c.utilisation_gain * (c.baseline - u)
                        + c.spikes * c.baseline * (1.0 - u) * *r;
                    let next_x = x + c.resources_gain * (1.0 - x) - c.spikes * u * x * *r;
                    let [next_u, next_x] = [next_u, next_x].map(|value: f64| value.clamp(0.0, 1.0));
                    (utilisation[j], resources[j]) = (next_u, next_x);
                    results.utilisation[at] = next_u;
                    results.resources[at] = next_x;
                    *r *= next_u * next_x;
                }
                sent.push(before);
                for j in 0..units {
                    let mut z = bias[j];
                    for k in 0..units {
                        let mut weight = if without_full {
                            0.0
                        } else {
                            w_rc[j * units + k]
                        };
                        for d in 0..rank {
                            weight += left[j * rank + d] * right[k * rank + d] / units as f64;
                        }
                        let time = t.saturating_sub(self.kind.delays.of(units, j, k));
                        z += weight * sent[time][k];
                    }
                    for k in 0..inputs {
                        z += w_in[j * inputs + k] * u[(t * trials + trial) * inputs + k];
                    }
                    let noise = noise_scale[j] * self.normal(&self.eps, EPS, t, trial, j);
                    let at = (t * trials + trial) * units + j;
                    let rate = match (self.kind.form, self.kind.noise_target) {
                        (Form::Voltage, _) => {
                            state[j] = decay[j] * state[j] + gain[j] * z + noise;
                            results.potentials[at] = state[j];
                            f(state[j])
                        }
                        (Form::Rate, NoiseTarget::Drive) => {
                            results.potentials[at] = z + noise;
                            state[j] = decay[j] * state[j] + gain[j] * f(z + noise);
                            state[j]
                        }
                        (Form::Rate, NoiseTarget::State) => {
                            results.potentials[at] = z;
                            state[j] = decay[j] * state[j] + gain[j] * f(z) + noise;
                            state[j]
                        }
                    };
                    results.responses[at] = f(results.potentials[at]);
                    results.rates[at + trials * units] = rate;
                }
                for o in 0..outputs {
                    let mut y = bias_out[o];
                    for j in 0..units {
                        let xi = self.normal(&self.xi, XI, t, trial, j);
                        let rate = results.rates[((t + 1) * trials + trial) * units + j];
                        y += w_out[o * units + j] * (rate + SIGMA_POST * xi);
                    }
                    results.outputs[(t * trials + trial) * outputs + o] = y;
                }
            }
            results.final_state.activity[trial * units..][..units].copy_from_slice(&state);
        }
        for (k, &r) in results.rates[trials * units..].iter().enumerate() {
            for (sums, value) in results.moments.iter_mut().zip([r, r.abs(), r * r]) {
                sums[k % units] += value;
            }
        }
        self.add_rate_terms(&results.rates, &mut results.rate_terms);
        let last = (steps - 1) * n_synapses..;
        results.final_state.utilisation = results.utilisation[last.clone()].to_vec();
        results.final_state.resources = results.resources[last].to_vec();
        results
    }

    /// Adds the terms of the rates, one number at a time.
    fn add_rate_terms(&self, rates: &[f64], to: &mut [f64]) {
        let Shape {
            trials,
            steps,
            units,
            ..
        } = self.kind.shape;
        for (to, term) in to.iter_mut().zip(&self.rate_terms) {
            let own = term.units.clone().unwrap_or(0..units);
            let row = |at: usize, trial: usize| {
                &rates[(at * trials + trial) * units..][..units][own.clone()]
            };
            for (at, trial) in (1..=steps).flat_map(|at| (0..trials).map(move |b| (at, b))) {
                let now = row(at, trial);
                *to += match term.measure {
                    RateMeasure::Entropy => {
                        let sum: f64 = now.iter().map(|r| r.abs()).sum();
                        let shares = now.iter().map(|r| r.abs() / (sum + 1e-12));
                        -shares.map(|p| p * (p + 1e-12).ln()).sum::<f64>()
                    }
                    RateMeasure::Change { lag } if at > lag => {
                        let pairs = now.iter().zip(row(at - lag, trial));
                        pairs.map(|(now, before)| (now - before).powi(2)).sum()
                    }
                    RateMeasure::Change { .. } => 0.0,
                };
            }
        }
    }

    /// The loss of the reference.
    pub fn loss(&self) -> f64 {
        let results = self.reference();
        let after_start = self.kind.shape.trials * self.kind.shape.units;
        let [rate_sums, rate_sizes, rate_squares] = &results.moments;
        let values = SweepResults {
            rate_sums: &rate_sums[..],
            rate_sizes,
            rate_squares,
            rate_terms: &results.rate_terms,
            outputs: &results.outputs[..],
            rates: &results.rates[after_start..],
            potentials: &results.potentials,
            utilisation: &results.utilisation,
            resources: &results.resources,
            final_state: results.final_state.each_ref().map(Vec::as_slice),
        };
        values
            .into_array()
            .into_iter()
            .zip(&self.upstream)
            .flat_map(|(values, coefficients)| values.iter().zip(coefficients))
            .map(|(value, coefficient)| value * coefficient)
            .sum()
    }
}

impl<E: SweepElement> Network<E> {
    pub fn sweep(&self) -> SweepSlices<'_, E> {
        let source = |given, key| match self.kind.normals {
            Normals::None => NoiseSource::None,
            Normals::Given => NoiseSource::Given(given),
            Normals::Drawn => NoiseSource::Drawn(DrawAddress {
                key,
                step: STEP,
                first_trial: self.first_trial,
                first_time_block: 0,
            }),
        };
        SweepSlices {
            shape: self.kind.shape,
            form: self.kind.form,
            activation: self.kind.activation,
            noise_target: self.kind.noise_target,
            operands: Operands::from_array(self.parameters.each_ref()).map(Vec::as_slice),
            synapses: self.synapses.each_ref().map(Vec::as_slice),
            eps: source(&self.eps[..], EPS),
            xi: source(&self.xi[..], XI),
            sigma_post: E::from_f64(SIGMA_POST),
            delays: self.delays.as_ref(),
            lengths: (!self.lengths.is_empty()).then(|| TrialLengths::new(&self.lengths)),
            rate_terms: &self.rate_terms,
        }
    }

    /// Everything that the forward sweep can record.
    pub fn forward(&self, workspace: &Workspace<E>) -> Results<E> {
        let mut results = Results::zeros(&self.kind.shape);
        let kept = kept_synapses(&self.kind.shape, self.delays.as_ref());
        results.kept_synapses = [(); 2].map(|()| vec![E::default(); kept]);
        let trajectory = TrajectorySlices {
            rates: Some(&mut results.rates),
            responses: (self.kind.form == Form::Rate).then_some(&mut results.responses),
            potentials: Some(&mut results.potentials),
            outputs: Some(&mut results.outputs),
            utilisation: Some(&mut results.utilisation),
            resources: Some(&mut results.resources),
            kept_synapses: Some(results.kept_synapses.each_mut().map(Vec::as_mut_slice)),
            moments: Some(results.moments.each_mut().map(Vec::as_mut_slice)),
            final_state: (results.final_state.each_mut()).map(|state| Some(&mut state[..])),
        };
        forward(&self.sweep(), trajectory, workspace);
        let to = &mut results.rate_terms;
        rate_terms(&self.sweep(), &results.rates, to, workspace);
        results
    }

    /// Every gradient, in the order of [`Operands`].
    pub fn gradients(&self, results: &Results<E>, workspace: &Workspace<E>) -> [Vec<E>; OPERANDS] {
        let saved = Saved {
            rates: &results.rates,
            responses: Some(&results.responses[..]).filter(|_| self.kind.form == Form::Rate),
            potentials: Some(&results.potentials),
            synapses: Some(results.kept_synapses.each_ref().map(Vec::as_slice)),
        };
        self.gradients_by(|sweep, upstream, gradients| {
            backward(sweep, &saved, upstream, gradients, workspace);
        })
    }

    /// Outputs, moments of the rates, final state and every gradient by way of recomputation.
    pub fn recomputed(
        &self,
        segment: usize,
        workspace: &Workspace<E>,
    ) -> (Results<E>, [Vec<E>; OPERANDS]) {
        let shape = &self.kind.shape;
        let zeros = |n| vec![E::default(); n];
        let mut states = kept_states(shape, segment).map(zeros);
        let mut results = Results::zeros(shape);
        let places = SegmentSlices {
            states: states.each_mut().map(Vec::as_mut_slice),
            outputs: &mut results.outputs,
            moments: Some(results.moments.each_mut().map(Vec::as_mut_slice)),
            final_state: results.final_state.each_mut().map(Vec::as_mut_slice),
        };
        forward_keeping_states(&self.sweep(), segment, places, workspace);
        let gradients = self.gradients_by(|sweep, upstream, gradients| {
            let states = states.each_ref().map(Vec::as_slice);
            backward_recomputing(sweep, segment, states, upstream, gradients, workspace);
        });
        (results, gradients)
    }

    fn gradients_by(
        &self,
        take_back: impl FnOnce(&SweepSlices<'_, E>, &UpstreamSlices<'_, E>, GradientSlices<'_, E>),
    ) -> [Vec<E>; OPERANDS] {
        let mut arrays: [Vec<E>; OPERANDS] =
            std::array::from_fn(|p| vec![E::default(); self.parameters[p].len()]);
        let gradients = Operands::from_array(arrays.each_mut()).map(|to| Some(to.as_mut_slice()));
        let upstream = self.upstream();
        take_back(&self.sweep(), &upstream, gradients);
        arrays
    }

    /// Value of Omega, and every gradient with its own.
    pub fn gradients_with_omega(
        &self,
        results: &Results<E>,
        omega: &OmegaTerm,
        workspace: &Workspace<E>,
    ) -> (f64, [Vec<E>; OPERANDS]) {
        let saved = Saved {
            rates: &results.rates,
            potentials: Some(&results.potentials),
            ..Saved::default()
        };
        let mut value = 0.0;
        let gradients = self.gradients_by(|sweep, upstream, gradients| {
            value = backward_with_omega(sweep, &saved, upstream, gradients, omega, workspace);
        });
        (value, gradients)
    }

    pub fn upstream(&self) -> UpstreamSlices<'_, E> {
        SweepResults::from_array(self.upstream.each_ref()).map(|g| Some(g.as_slice()))
    }
}

/// Terms of the rates of all units and of some.
fn terms(units: usize) -> [RateTerm; 4] {
    let term = |measure, units| RateTerm { units, measure };
    let some = units / 3..units - units / 5;
    [
        term(RateMeasure::Entropy, None),
        term(RateMeasure::Entropy, Some(some.clone())),
        term(RateMeasure::Change { lag: 2 }, None),
        term(RateMeasure::Change { lag: 1 }, Some(some)),
    ]
}

/// The distance of two arrays relative to the length of the second; absolute where that is below one.
pub fn distance<A: Element, B: Element>(a: &[A], b: &[B]) -> f64 {
    assert_eq!(a.len(), b.len());
    let (mut difference, mut length) = (0.0_f64, 0.0_f64);
    for (&a, &b) in a.iter().zip(b) {
        let (a, b): (f64, f64) = (a.into(), b.into());
        difference += (a - b) * (a - b);
        length += b * b;
    }
    difference.sqrt() / length.sqrt().max(1e-3)
}
