//! Noise-free dynamics of a network in double precision on the host: step, Jacobian, readout.

use ctrnn_model::{Activation, Form, OutputNonlinearity};
use faer::c64;
use ndarray::{Array1, Array2, Axis, s};

use crate::{PlasticSynapses, SynapseStates, Unsuitable};

/// A network as a map from state to state. With `F(s, u)`, the target towards which the state moves,
///
/// ```text
/// s' = s + gain (F(s, u) - s)       voltage form: F = W_rc f(v) + W_in u + b        s = v
///                                   rate form:    F = f(W_rc r + W_in u + b)        s = r
/// ```
///
/// Fixed points are the states with `F(s, u) = s`: they depend on neither dt nor tau.
///
/// With short-term plasticity `W_rc` sees what the synapses transmit, `r u x`. Methods that take a state alone take the synapses to rest
/// at its rates, as they do at every fixed point; [`joint_jacobian`](Self::joint_jacobian) is that of the whole state (s, u, x).
#[derive(Clone, Debug)]
pub struct Dynamics {
    /// Input weights `W_in [N,I]`.
    pub w_in: Array2<f64>,
    /// Effective recurrent weights `W_rc [N,N]`, with feedback of the readout `W_rc + W_fb W_out`.
    pub w_rc: Array2<f64>,
    /// Factors of the recurrent weights, where these are of low rank.
    pub factors: Option<Factors>,
    /// Bias `b [N]`, with feedback `b + W_fb b_out`.
    pub bias: Array1<f64>,
    /// Output weights `W_out [O,N]`.
    pub w_out: Array2<f64>,
    /// Readout bias `b_out [O]`.
    pub bias_out: Array1<f64>,
    /// Fraction of the way to its target that a step moves each unit, `[N]`: `dt / tau` for Euler's method.
    pub gain: Array1<f64>,
    /// Time constants in ms, `[N]`.
    pub tau_ms: Array1<f64>,
    /// Time step in ms.
    pub dt_ms: f64,
    /// Form of the dynamics: the state is potentials or rates.
    pub form: Form,
    /// Activation function `f`.
    pub activation: Activation,
    /// Nonlinearity `f_out` of the outputs.
    pub output_nonlinearity: OutputNonlinearity,
    /// Baseline that is added to every input.
    pub input_baseline: f64,
    /// True if negative inputs are set to zero.
    pub rectifies_inputs: bool,
    /// Short-term plasticity of the synapses.
    pub synapses: Option<PlasticSynapses>,
    /// True if recurrent connections are delayed: then the next state depends on earlier ones, and the methods of this type that
    /// step or linearise the network describe the one without delays, which has the same fixed points.
    pub is_delayed: bool,
}

/// Factors of recurrent weights of low rank, `W_rc = F + left right' / N`.
#[derive(Clone, Debug, PartialEq)]
pub struct Factors {
    /// Left factor `[N,R]`.
    pub left: Array2<f64>,
    /// Right factor `[N,R]`.
    pub right: Array2<f64>,
    /// True if there is a full matrix F.
    pub has_full: bool,
}

impl Dynamics {
    /// Returns the number of units N.
    pub fn n_units(&self) -> usize {
        self.w_rc.nrows()
    }

    /// Returns the number of variables of the state: N, or 3 N with the utilisation and the resources of plastic synapses.
    pub fn n_states(&self) -> usize {
        self.n_units() * if self.synapses.is_some() { 3 } else { 1 }
    }

    /// Checks that the state determines the next one.
    ///
    /// # Errors
    /// If connections are delayed; `what` is the subject of the sentence.
    pub fn check_undelayed(&self, what: &str) -> Result<(), Unsuitable> {
        if self.is_delayed {
            return Err(Unsuitable::lacks(format!(
                "{what} the next state as a function of the state, but recurrent connections are delayed, so it depends on earlier states as well"
            )));
        }
        Ok(())
    }

    /// Computes `W_in u + b`, with baseline and rectification of the inputs.
    pub fn input_drive(&self, input: &Array1<f64>) -> Array1<f64> {
        self.w_in.dot(&input.mapv(|u| self.seen_input(u))) + &self.bias
    }

    /// Returns an input with baseline and rectification.
    pub fn seen_input(&self, u: f64) -> f64 {
        match u + self.input_baseline {
            u if self.rectifies_inputs => u.max(0.0),
            u => u,
        }
    }

    /// Computes the rates `r` of a state.
    pub fn rates(&self, state: &Array1<f64>) -> Array1<f64> {
        match self.form {
            Form::Voltage => state.mapv(|v| self.activation.value(v)),
            Form::Rate => state.clone(),
        }
    }

    /// Computes the drive `W_rc r + W_in u + b` at these rates, where synapses with short-term plasticity rest at them.
    fn drive(&self, mut rates: Array1<f64>, input_drive: &Array1<f64>) -> Array1<f64> {
        if let Some(synapses) = &self.synapses {
            let SynapseStates {
                utilisation,
                resources,
            } = synapses.at_rest(&rates);
            rates *= &(utilisation * resources);
        }
        self.w_rc.dot(&rates) + input_drive
    }

    /// Computes the target `F(s, u)` for `input_drive = W_in u + b`.
    pub fn target(&self, state: &Array1<f64>, input_drive: &Array1<f64>) -> Array1<f64> {
        let drive = self.drive(self.rates(state), input_drive);
        match self.form {
            Form::Voltage => drive,
            Form::Rate => drive.mapv(|z| self.activation.value(z)),
        }
    }

    /// Computes the state after one time step.
    pub fn next(&self, state: &Array1<f64>, input_drive: &Array1<f64>) -> Array1<f64> {
        let moved = &self.target(state, input_drive) - state;
        state + &(&self.gain * &moved)
    }

    /// Computes `dF/ds [N,N]`: `W_rc diag(f'(v))` in the voltage form, `diag(f'(z)) W_rc` in the rate form.
    pub fn jacobian(&self, state: &Array1<f64>, input_drive: &Array1<f64>) -> Array2<f64> {
        let transmitted = match &self.synapses {
            Some(synapses) => &self.w_rc * &synapses.slopes_at_rest(&self.rates(state)),
            None => self.w_rc.clone(),
        };
        match self.form {
            Form::Voltage => transmitted * state.mapv(|v| self.activation.slope(v)),
            Form::Rate => transmitted * self.target_slopes(state, input_drive).insert_axis(Axis(1)),
        }
    }

    /// Computes the slopes `f'(z)` of the targets in the rate form.
    fn target_slopes(&self, state: &Array1<f64>, input_drive: &Array1<f64>) -> Array1<f64> {
        let z = self.drive(state.clone(), input_drive);
        z.mapv(|z| self.activation.slope(z))
    }

    /// Computes the Jacobian of one time step, `I + diag(gain) (dF/ds - I)`.
    pub fn step_jacobian(&self, state: &Array1<f64>, input_drive: &Array1<f64>) -> Array2<f64> {
        let mut jacobian = self.jacobian(state, input_drive);
        for (i, mut row) in jacobian.outer_iter_mut().enumerate() {
            row[i] -= 1.0;
            row *= self.gain[i];
            row[i] += 1.0;
        }
        jacobian
    }

    /// Computes the Jacobian of one time step of the whole state: that of [`step_jacobian`](Self::step_jacobian) or, with short-term
    /// plasticity, the one of (s, u, x), `[3N, 3N]`, with the synapses in these states; if none are given, at rest.
    pub fn joint_jacobian(
        &self,
        state: &Array1<f64>,
        states: Option<&SynapseStates<Array1<f64>>>,
        input_drive: &Array1<f64>,
    ) -> Array2<f64> {
        let Some(synapses) = &self.synapses else {
            return self.step_jacobian(state, input_drive);
        };
        let n = self.n_units();
        let rates = self.rates(state);
        let rest = synapses.at_rest(&rates);
        let states = states.unwrap_or(&rest);
        let slopes = synapses.slopes(&rates, states);
        let of_rates = match self.form {
            Form::Voltage => state.mapv(|v| self.activation.slope(v)),
            Form::Rate => Array1::ones(n),
        };
        let of_targets = match self.form {
            Form::Voltage => Array1::ones(n),
            Form::Rate => {
                let transmitted = synapses.transmitted(&rates, states);
                (self.w_rc.dot(&transmitted) + input_drive).mapv(|z| self.activation.slope(z))
            }
        };
        let moved = (&of_targets * &self.gain).insert_axis(Axis(1));
        let mut jacobian = Array2::zeros((3 * n, 3 * n));
        for by in 0..3 {
            let chain = |slopes: &Array1<f64>| match by {
                0 => slopes * &of_rates,
                _ => slopes.clone(),
            };
            let columns = by * n..(by + 1) * n;
            let units = &self.w_rc * &chain(&slopes.transmitted[by]) * &moved;
            jacobian.slice_mut(s![..n, columns.clone()]).assign(&units);
            let of_synapses = [&slopes.utilisation[by], &slopes.resources[by]];
            for (k, slopes) in of_synapses.into_iter().enumerate() {
                let rows = (k + 1) * n..(k + 2) * n;
                let mut part = jacobian.slice_mut(s![rows, columns.clone()]);
                part.diag_mut().assign(&chain(slopes));
            }
        }
        for i in 0..n {
            jacobian[[i, i]] += 1.0 - self.gain[i];
        }
        jacobian
    }

    /// Computes the readout `y = W_out r + b_out`, before the output nonlinearity.
    pub fn readout(&self, state: &Array1<f64>) -> Array1<f64> {
        self.w_out.dot(&self.rates(state)) + &self.bias_out
    }

    /// Computes the states `[k, N]` after one time step from those in the rows of `states`, whose synapses are in the states
    /// `synapses [k, N]`, if they have any ([`rested`](Self::rested)); these are stepped, too.
    pub fn next_of_all(
        &self,
        states: &Array2<f64>,
        synapses: &mut Option<SynapseStates<Array2<f64>>>,
        input_drive: &Array1<f64>,
    ) -> Array2<f64> {
        let f = |z: f64| self.activation.value(z);
        let mut rates = match self.form {
            Form::Voltage => states.mapv(f),
            Form::Rate => states.clone(),
        };
        if let (Some(plastic), Some(synapses)) = (&self.synapses, synapses) {
            rates = plastic.transmit(rates.view(), synapses);
        }
        let drive = rates.dot(&self.w_rc.t()) + input_drive;
        let target = match self.form {
            Form::Voltage => drive,
            Form::Rate => drive.mapv(f),
        };
        states + &((target - states) * &self.gain)
    }

    /// Returns the synapses of the states in the rows of `states [k, N]` at rest; none without short-term plasticity.
    pub fn rested(&self, states: &Array2<f64>) -> Option<SynapseStates<Array2<f64>>> {
        let synapses = self.synapses.as_ref()?;
        let mut rest = SynapseStates {
            utilisation: states.clone(),
            resources: states.clone(),
        };
        for (k, state) in states.outer_iter().enumerate() {
            let own = synapses.at_rest(&self.rates(&state.to_owned()));
            rest.utilisation.row_mut(k).assign(&own.utilisation);
            rest.resources.row_mut(k).assign(&own.resources);
        }
        Some(rest)
    }

    /// Computes `dF/du [N,I]`: `W_in` in the voltage form, `diag(f'(z)) W_in` in the rate form; the columns of inputs
    /// that rectification sets to zero are zero.
    pub fn input_jacobian(&self, state: &Array1<f64>, input: &Array1<f64>) -> Array2<f64> {
        let slope = |u: &f64| f64::from(!self.rectifies_inputs || u + self.input_baseline > 0.0);
        let seen: Array1<f64> = input.iter().map(slope).collect();
        let weights = &self.w_in * &seen;
        match self.form {
            Form::Voltage => weights,
            Form::Rate => {
                let slopes = self.target_slopes(state, &self.input_drive(input));
                weights * slopes.insert_axis(Axis(1))
            }
        }
    }

    /// Returns the eigenvalue per ms, `Re λ / tau` in the literature, of `tau ds/dt = F(s, u) - s` that belongs to an
    /// eigenvalue m of the Jacobian of one time step:
    ///
    /// ```text
    /// (m - 1) / h,   h = mean of gain_i tau_i
    /// ```
    ///
    /// With Euler's method `h = dt`; the eigenvalue is exact there, and with any other method if all units have the same
    /// time constant.
    pub fn rate_per_ms(&self, m: c64) -> c64 {
        let h = (&self.gain * &self.tau_ms).mean().unwrap_or(self.dt_ms);
        c64::new((m.re - 1.0) / h, m.im / h)
    }

    /// Returns the time in which a mode with this eigenvalue per time step falls to 1/e or grows by e, `1 / |Re λ|` with
    /// the [rate](Self::rate_per_ms) λ: infinite if it does neither.
    pub fn timescale_ms(&self, m: c64) -> f64 {
        1.0 / self.rate_per_ms(m).re.abs()
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use ctrnn_model::{CtrnnConfig, ShortTermPlasticity};

    /// Creates a network of weights `w` without inputs, whose steps reach their target: `s' = F(s)`.
    pub fn map(w: Array2<f64>, activation: Activation, form: Form) -> Dynamics {
        let n = w.nrows();
        Dynamics {
            w_in: Array2::zeros((n, 0)),
            w_rc: w,
            factors: None,
            bias: Array1::zeros(n),
            w_out: Array2::eye(n),
            bias_out: Array1::zeros(n),
            gain: Array1::ones(n),
            tau_ms: Array1::from_elem(n, 20.0),
            dt_ms: 20.0,
            form,
            activation,
            output_nonlinearity: OutputNonlinearity::Identity,
            input_baseline: 0.0,
            rectifies_inputs: false,
            synapses: None,
            is_delayed: false,
        }
    }

    #[test]
    fn jacobians_agree_with_finite_differences() {
        let w = Array2::from_shape_fn((3, 3), |(i, j)| ((3 * i + j) as f64 * 0.7).sin());
        let state = ndarray::array![0.3, -0.4, 0.8];
        for activation in Activation::ALL {
            for form in [Form::Voltage, Form::Rate] {
                let mut dynamics = map(w.clone(), activation, form);
                dynamics.gain = ndarray::array![0.2, 0.5, 1.0];
                let drive = ndarray::array![0.1, 0.2, -0.3];
                let jacobian = dynamics.step_jacobian(&state, &drive);
                for j in 0..3 {
                    let moved = |by: f64| {
                        let mut state = state.clone();
                        state[j] += by;
                        dynamics.next(&state, &drive)
                    };
                    let difference = (moved(1e-6) - moved(-1e-6)) / 2e-6;
                    for i in 0..3 {
                        let error = (jacobian[[i, j]] - difference[i]).abs();
                        assert!(error < 1e-8, "{activation:?} {form:?} {i} {j} {error}");
                    }
                }
            }
        }
    }

    /// Returns the synapses of as many units, of which those with even numbers facilitate.
    pub fn half_plastic(n_units: usize) -> Option<PlasticSynapses> {
        PlasticSynapses::of(&CtrnnConfig {
            short_term_plasticity: Some(ShortTermPlasticity::Half),
            dt_ms: 10.0,
            ..CtrnnConfig::new(1, n_units, 1)
        })
    }

    /// The Jacobian of units and synapses, away from rest and at it, where that of the units alone is the one of slow units.
    #[test]
    fn joint_jacobians_agree_with_finite_differences() {
        let w = Array2::from_shape_fn((3, 3), |(i, j)| ((3 * i + j) as f64 * 0.7).sin());
        let drive = ndarray::array![0.1, 0.2, -0.3];
        for form in [Form::Voltage, Form::Rate] {
            let mut dynamics = map(w.clone(), Activation::Softplus, form);
            dynamics.gain = ndarray::array![0.2, 0.5, 1.0];
            dynamics.synapses = half_plastic(3);
            let state = ndarray::array![3.0, 8.0, 15.0];
            let states = SynapseStates {
                utilisation: ndarray::array![0.3, 0.6, 0.9],
                resources: ndarray::array![0.9, 0.4, 0.2],
            };
            let step = |whole: &Array1<f64>| {
                let rows = |k: usize| {
                    let part = whole.slice(s![3 * k..3 * k + 3]);
                    part.to_owned().insert_axis(Axis(0))
                };
                let mut synapses = Some(SynapseStates {
                    utilisation: rows(1),
                    resources: rows(2),
                });
                let next = dynamics.next_of_all(&rows(0), &mut synapses, &drive);
                let synapses = synapses.unwrap();
                let parts = [next, synapses.utilisation, synapses.resources];
                parts.iter().flatten().copied().collect::<Array1<f64>>()
            };
            let whole = [&state, &states.utilisation, &states.resources];
            let whole: Array1<f64> = whole.into_iter().flatten().copied().collect();
            let jacobian = dynamics.joint_jacobian(&state, Some(&states), &drive);
            for j in 0..9 {
                let moved = |by: f64| {
                    let mut whole = whole.clone();
                    whole[j] += by;
                    step(&whole)
                };
                let difference = (moved(1e-6) - moved(-1e-6)) / 2e-6;
                let error = (&jacobian.column(j) - &difference).mapv(f64::abs).sum();
                assert!(error < 1e-7, "{form:?} {j} {error}");
            }
            let jacobian = dynamics.jacobian(&state, &drive);
            for j in 0..3 {
                let moved = |by: f64| {
                    let mut state = state.clone();
                    state[j] += by;
                    dynamics.target(&state, &drive)
                };
                let difference = (moved(1e-6) - moved(-1e-6)) / 2e-6;
                let error = (&jacobian.column(j) - &difference).mapv(f64::abs).sum();
                assert!(error < 1e-7, "{form:?} {j} {error}");
            }
        }
    }

    #[test]
    fn input_jacobians_agree_with_finite_differences() {
        let w = Array2::from_shape_fn((3, 3), |(i, j)| ((3 * i + j) as f64 * 0.7).sin());
        let (state, input) = (ndarray::array![0.3, -0.4, 0.8], ndarray::array![0.4, -0.6]);
        for activation in Activation::ALL {
            for (form, rectifies) in [
                (Form::Voltage, true),
                (Form::Rate, true),
                (Form::Rate, false),
            ] {
                let mut dynamics = map(w.clone(), activation, form);
                dynamics.w_in = Array2::from_shape_fn((3, 2), |(i, k)| (i as f64 - k as f64).cos());
                (dynamics.input_baseline, dynamics.rectifies_inputs) = (0.2, rectifies);
                let jacobian = dynamics.input_jacobian(&state, &input);
                for k in 0..2 {
                    let target = |by: f64| {
                        let mut input = input.clone();
                        input[k] += by;
                        dynamics.target(&state, &dynamics.input_drive(&input))
                    };
                    let difference = (target(1e-6) - target(-1e-6)) / 2e-6;
                    let error = (&jacobian.column(k) - &difference).mapv(f64::abs).sum();
                    assert!(error < 1e-8, "{activation:?} {form:?} {k} {error}");
                }
                assert_eq!(jacobian.column(1).iter().all(|x| *x == 0.0), rectifies);
            }
        }
    }

    /// Euler's method with `dt / tau = 0.2`: the mode of `dF/ds = 0.5` decays at `(0.5 - 1) / 100 ms`.
    #[test]
    fn rates_do_not_depend_on_the_time_step() {
        for gain in [0.2, 0.01] {
            let mut dynamics = map(ndarray::array![[0.5]], Activation::Linear, Form::Voltage);
            dynamics.gain = ndarray::array![gain];
            dynamics.tau_ms = ndarray::array![100.0];
            dynamics.dt_ms = 100.0 * gain;
            let m = dynamics.step_jacobian(&ndarray::array![0.0], &ndarray::array![0.0])[[0, 0]];
            let rate = dynamics.rate_per_ms(c64::new(m, 0.0));
            assert!((rate.re + 0.005).abs() < 1e-12, "{}", rate.re);
            assert!((dynamics.timescale_ms(c64::new(m, 0.0)) - 200.0).abs() < 1e-9);
        }
    }

    #[test]
    fn all_states_step_alike() {
        let w = Array2::from_shape_fn((3, 3), |(i, j)| ((3 * i + j) as f64 * 0.7).sin());
        let states = ndarray::array![[0.3, -0.4, 0.8], [1.0, 0.0, -2.0]];
        let drive = ndarray::array![0.1, 0.2, -0.3];
        for form in [Form::Voltage, Form::Rate] {
            let mut dynamics = map(w.clone(), Activation::Tanh, form);
            dynamics.gain = ndarray::array![0.2, 0.5, 1.0];
            let all = dynamics.next_of_all(&states, &mut None, &drive);
            for (state, next) in states.outer_iter().zip(all.outer_iter()) {
                let error = &dynamics.next(&state.to_owned(), &drive) - &next;
                assert!(error.iter().all(|x| x.abs() < 1e-15));
            }
        }
    }

    #[test]
    fn a_delayed_network_is_not_a_map() {
        let mut dynamics = map(Array2::eye(1), Activation::Linear, Form::Voltage);
        assert_eq!(dynamics.check_undelayed("a flow field needs"), Ok(()));
        dynamics.is_delayed = true;
        let refusal = dynamics.check_undelayed("a flow field needs").unwrap_err();
        assert!(
            refusal.to_string().contains("connections are delayed"),
            "{refusal}"
        );
    }

    /// Baseline 0.5 and rectification turn inputs (-1, 1) into (0, 1.5).
    #[test]
    fn inputs_are_seen_as_the_network_sees_them() {
        let mut dynamics = map(Array2::zeros((1, 1)), Activation::Linear, Form::Voltage);
        dynamics.w_in = ndarray::array![[1.0, 2.0]];
        dynamics.input_baseline = 0.5;
        dynamics.rectifies_inputs = true;
        assert_eq!(dynamics.input_drive(&ndarray::array![-1.0, 1.0])[0], 3.0);
    }
}
