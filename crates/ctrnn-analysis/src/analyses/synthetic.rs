//! Studies with given conditions and rates, for tests.

use ctrnn_model::{Activation, Form, OutputNonlinearity};
use ctrnn_random::{Key, Rng, Stream};
use ctrnn_tasks::{Clock, Condition, Layout, Task, Timeline, Trial, TrialBatch};
use ndarray::{Array1, Array2, Array3};

use crate::{Dynamics, Shared, Study};

/// Conditions, rates and choices of the trials of a task with two choices.
pub struct Synthetic {
    task: Named,
    batch: TrialBatch,
    rates: Array3<f64>,
    outputs: Array3<f64>,
    dynamics: Dynamics,
}

/// A task whose condition `context` has names.
struct Named;

impl Task for Named {
    fn layout(&self) -> Layout {
        Layout::new(["input"], ["left", "right"]).with_choices(&[0, 1])
    }

    fn conditions(&self) -> Vec<Condition> {
        vec![Condition::new([])]
    }

    fn sample_trial(&self, condition: &Condition, _: Clock, _: &mut Rng) -> Trial {
        trial(condition, 1, None)
    }

    fn value_name(&self, condition: &str, value: f64) -> Option<String> {
        let names = ["motion", "colour", "shape", "size"];
        (condition == "context").then(|| names[value as usize].to_owned())
    }
}

fn trial(condition: &Condition, n_steps: usize, correct: Option<usize>) -> Trial {
    let mut timeline = Timeline::default();
    timeline.push("stimulus", n_steps);
    let mut trial = Trial::new(&Named.layout(), condition, timeline);
    trial.correct = correct;
    trial
}

impl Synthetic {
    /// Creates trials with these values of conditions and these rates `[trial, time, unit]`, all of one length and with
    /// the choice of the first output.
    pub fn of(conditions: &[(&str, Vec<f64>)], rates: Array3<f64>) -> Self {
        let (n_trials, n_steps, n_units) = rates.dim();
        Self::with_choices(
            conditions,
            rates,
            &vec![0; n_trials],
            &vec![n_steps; n_trials],
            n_units,
        )
    }

    /// Creates trials of different lengths in which the network makes the given choices, all of them correct.
    pub fn with_choices(
        conditions: &[(&str, Vec<f64>)],
        rates: Array3<f64>,
        choices: &[usize],
        n_steps: &[usize],
        n_units: usize,
    ) -> Self {
        let (n_trials, longest, _) = rates.dim();
        let trials = (0..n_trials).map(|b| {
            let mut condition = Condition::new([]);
            condition.values = conditions
                .iter()
                .map(|(name, values)| ((*name).to_owned(), values[b]))
                .collect();
            trial(&condition, n_steps[b], Some(choices[b]))
        });
        let outputs = Array3::from_shape_fn((n_trials, longest, 2), |(b, _, k)| {
            f64::from(u8::from(choices[b] == k))
        });
        Self {
            task: Named,
            batch: TrialBatch::new(trials),
            rates,
            outputs,
            dynamics: still(n_units),
        }
    }

    /// Creates a network whose first two units drive one output each, in trials with the input 1 or -1.
    pub fn decider(n_units: usize, n_trials: usize) -> Self {
        let mut found = Self::network(n_units, n_trials);
        let sides = [-1.0f32, 1.0];
        let n_steps = found.batch.max_steps;
        for (b, own) in found.batch.inputs.chunks_exact_mut(n_steps).enumerate() {
            own.fill(sides[b % 2]);
        }
        let dynamics = &mut found.dynamics;
        dynamics.w_rc.fill(0.0);
        dynamics.w_in.fill(0.5);
        dynamics.w_in[[0, 0]] = -2.0;
        dynamics.w_in[[1, 0]] = 2.0;
        dynamics.w_out.fill(0.0);
        dynamics.w_out[[0, 0]] = 1.0;
        dynamics.w_out[[1, 1]] = 1.0;
        found
    }

    /// Creates a network of random weights with the responses of its own noise-free dynamics to random inputs.
    pub fn network(n_units: usize, n_trials: usize) -> Self {
        let mut rng = Rng::new(Key::new(5, Stream::Eval, 0), 0, 0);
        let mut matrix = |rows: usize, columns: usize, scale: f64| {
            Array2::from_shape_fn((rows, columns), |_| scale * f64::from(rng.normal()))
        };
        let mut dynamics = still(n_units);
        dynamics.w_rc = matrix(n_units, n_units, 0.6);
        dynamics.w_in = matrix(n_units, 1, 1.0);
        dynamics.w_out = matrix(2, n_units, 1.0);
        dynamics.bias_out = ndarray::array![0.3, -0.2];
        dynamics.output_nonlinearity = OutputNonlinearity::Sigmoid;
        dynamics.gain = Array1::from_elem(n_units, 0.2);
        let n_steps = 9;
        let trials = (0..n_trials).map(|b| {
            let mut trial = trial(&Condition::new([("coh", b as f64)]), n_steps, Some(b % 2));
            for (t, input) in trial.inputs.iter_mut().enumerate() {
                *input = ((b * 31 + t) as f32).sin();
            }
            trial
        });
        let batch = TrialBatch::new(trials);
        let mut potentials = Array3::zeros((n_trials, n_steps, n_units));
        let mut outputs = Array3::zeros((n_trials, n_steps, 2));
        for b in 0..n_trials {
            let mut state = Array1::zeros(n_units);
            for t in 0..n_steps {
                let input = ndarray::array![f64::from(batch.inputs[b * n_steps + t])];
                state = dynamics.next(&state, &dynamics.input_drive(&input));
                potentials.slice_mut(ndarray::s![b, t, ..]).assign(&state);
                let readout = dynamics.readout(&state).mapv(|y| 1.0 / (1.0 + (-y).exp()));
                outputs.slice_mut(ndarray::s![b, t, ..]).assign(&readout);
            }
        }
        Self {
            task: Named,
            batch,
            rates: potentials,
            outputs,
            dynamics,
        }
    }

    /// Returns the study of these trials.
    pub fn study(&self) -> Study<'_> {
        Study {
            task: &self.task,
            batch: self.batch.clone(),
            dynamics: self.dynamics.clone(),
            before: None,
            potentials: self.rates.clone(),
            rates: self.rates.clone(),
            outputs: self.outputs.clone(),
            rates_below: None,
            synapses: None,
            signs: None,
            groups: Vec::new(),
            area: None,
            metrics: None,
            peers: Vec::new(),
            by: Vec::new(),
            shared: Shared::default(),
            seed: 1,
        }
    }
}

/// Creates dynamics without weights, at 10 ms per time step.
fn still(n_units: usize) -> Dynamics {
    Dynamics {
        w_in: Array2::zeros((n_units, 1)),
        w_rc: Array2::zeros((n_units, n_units)),
        factors: None,
        bias: Array1::zeros(n_units),
        w_out: Array2::zeros((2, n_units)),
        bias_out: Array1::zeros(2),
        gain: Array1::ones(n_units),
        tau_ms: Array1::from_elem(n_units, 10.0),
        dt_ms: 10.0,
        form: Form::Voltage,
        activation: Activation::Tanh,
        output_nonlinearity: OutputNonlinearity::Identity,
        input_baseline: 0.0,
        rectifies_inputs: false,
        synapses: None,
        is_delayed: false,
    }
}

/// Draws a unit vector for each of `n` numbers: sines with random frequencies and phases, nearly orthogonal.
pub fn directions(n: usize, n_units: usize) -> Array2<f64> {
    let mut rng = Rng::new(Key::new(9, Stream::Eval, 0), 0, 0);
    let mut found = Array2::from_shape_fn((n, n_units), |_| f64::from(rng.normal()));
    for mut row in found.outer_iter_mut() {
        let norm = row.dot(&row).sqrt();
        row /= norm;
    }
    found
}
