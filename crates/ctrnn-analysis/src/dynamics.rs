//! Noise-free dynamics of a network in double precision on the host: step, Jacobian, readout.

use ctrnn_model::{Activation, Form, OutputNonlinearity};
use faer::c64;
use ndarray::{Array1, Array2, Axis};

use crate::{PlasticSynapses, Unsuitable};

/// A network as a map from state to state. With `F(s, u)`, the target towards which the state moves,
///
/// ```text
/// s' = s + gain (F(s, u) - s)       voltage form: F = W_rc f(v) + W_in u + b        s = v
///                                   rate form:    F = f(W_rc r + W_in u + b)        s = r
/// ```
///
/// Fixed points are the states with `F(s, u) = s`: they depend on neither dt nor tau.
#[derive(Clone, Debug)]
pub struct Dynamics {
    /// Input weights `W_in [N,I]`.
    pub w_in: Array2<f64>,
    /// Effective recurrent weights `W_rc [N,N]`.
    pub w_rc: Array2<f64>,
    /// Factors of the recurrent weights, where these are of low rank.
    pub factors: Option<Factors>,
    /// Bias `b [N]`.
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
    /// Short-term plasticity of the synapses, which the map of this type leaves out: analyses that follow the map refuse such networks.
    pub synapses: Option<PlasticSynapses>,
    /// True if recurrent connections are delayed: then the next state depends on earlier ones, and the methods of this type that
    /// step or linearise the network describe the one without delays, which has the same fixed points.
    pub is_delayed: bool,
    /// True for a layer above the first of a stack: its inputs are the rates of the layer below instead of those of the task.
    pub is_above_layer: bool,
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

    /// Checks that the state determines the next one.
    ///
    /// # Errors
    /// If connections are delayed; `what` is the subject of the sentence.
    pub fn check_undelayed(&self, what: &str) -> Result<(), Unsuitable> {
        if self.is_delayed {
            return Err(Unsuitable::lacks(format!(
                "{what} the next state as a function of the state, but recurrent connections are delayed, so that it depends on earlier states as well"
            )));
        }
        Ok(())
    }

    /// Computes `W_in u + b`, with baseline and rectification of the inputs.
    pub fn input_drive(&self, input: &Array1<f64>) -> Array1<f64> {
        let seen = input.mapv(|u| match u + self.input_baseline {
            u if self.rectifies_inputs => u.max(0.0),
            u => u,
        });
        self.w_in.dot(&seen) + &self.bias
    }

    /// Computes the rates `r` of a state.
    pub fn rates(&self, state: &Array1<f64>) -> Array1<f64> {
        match self.form {
            Form::Voltage => state.mapv(|v| self.activation.value(v)),
            Form::Rate => state.clone(),
        }
    }

    /// Computes the target `F(s, u)` for `input_drive = W_in u + b`.
    pub fn target(&self, state: &Array1<f64>, input_drive: &Array1<f64>) -> Array1<f64> {
        let drive = self.w_rc.dot(&self.rates(state)) + input_drive;
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
        match self.form {
            Form::Voltage => &self.w_rc * &state.mapv(|v| self.activation.slope(v)),
            Form::Rate => {
                let z = self.w_rc.dot(state) + input_drive;
                let slopes = z.mapv(|z| self.activation.slope(z));
                &self.w_rc * &slopes.insert_axis(Axis(1))
            }
        }
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

    /// Computes the readout `y = W_out r + b_out`, before the output nonlinearity.
    pub fn readout(&self, state: &Array1<f64>) -> Array1<f64> {
        self.w_out.dot(&self.rates(state)) + &self.bias_out
    }

    /// Computes the states `[k, N]` after one time step from those in the rows of `states`.
    pub fn next_of_all(&self, states: &Array2<f64>, input_drive: &Array1<f64>) -> Array2<f64> {
        let f = |z: f64| self.activation.value(z);
        let target = match self.form {
            Form::Voltage => states.mapv(f).dot(&self.w_rc.t()) + input_drive,
            Form::Rate => (states.dot(&self.w_rc.t()) + input_drive).mapv(f),
        };
        states + &((target - states) * &self.gain)
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
                let z = self.w_rc.dot(state) + self.input_drive(input);
                let slopes = z.mapv(|z| self.activation.slope(z));
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
            is_above_layer: false,
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
            let all = dynamics.next_of_all(&states, &drive);
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
