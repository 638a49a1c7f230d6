use burn::backend::NdArray;
use ctrnn_files::{Array, npz};
use ctrnn_model::{Activation, CtrnnConfig, Form, Forward};
use ctrnn_random::{Key, Stream};
use ctrnn_tasks::{
    BatchRequest, Clock, Condition, ConditionOrder, ContextDecision, FlipFlop, GoNogo, Task,
    TrialBatch,
};
use ndarray::{Array1, Array2, Array3, Axis, array, concatenate, s};

use super::*;
use crate::analyses::lyapunov::Lyapunov;
use crate::analyses::observer;
use crate::dynamics::tests::map;
use crate::held_inputs::HeldOptions;
use crate::linear_algebra::eigenvalues;
use crate::{Answer, Dynamics, Shared, simulate, three_dimensional};

/// Runs a network on some trials of a task, from states that are 0.
fn study(task: &dyn Task, dynamics: Dynamics, n_trials: usize) -> Study<'_> {
    let request = BatchRequest {
        clock: Clock::new(dynamics.dt_ms).unwrap(),
        first_trial: 0,
        n_trials,
        key: Key::new(1, Stream::Eval, 0),
        step: 0,
        conditions: ConditionOrder::Balanced,
    };
    let batch: TrialBatch = task.sample_batch(&request).unwrap();
    let shape = (n_trials, batch.max_steps);
    let mut potentials = Array3::zeros((shape.0, shape.1, dynamics.n_units()));
    let mut rates = potentials.clone();
    let mut outputs = Array3::zeros((shape.0, shape.1, dynamics.w_out.nrows()));
    for b in 0..n_trials {
        let mut state = Array1::zeros(dynamics.n_units());
        for t in 0..batch.n_steps[b] {
            let place = (b * batch.max_steps + t) * batch.n_inputs;
            let input = &batch.inputs[place..place + batch.n_inputs];
            let input: Array1<f64> = input.iter().map(|u| f64::from(*u)).collect();
            state = dynamics.next(&state, &dynamics.input_drive(&input));
            potentials.slice_mut(s![b, t, ..]).assign(&state);
            rates
                .slice_mut(s![b, t, ..])
                .assign(&dynamics.rates(&state));
            outputs
                .slice_mut(s![b, t, ..])
                .assign(&dynamics.readout(&state));
        }
    }
    Study {
        task,
        batch,
        dynamics,
        before: None,
        potentials,
        rates,
        outputs,
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

fn names(held: &HeldInputs) -> Vec<&str> {
    held.inputs.iter().map(|held| &*held.name).collect()
}

/// Reads the network of `make_two_contexts.py` and its fixed points in each context.
fn two_contexts() -> (Dynamics, [Array2<f64>; 2], [Vec<i64>; 2]) {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/golden/two_contexts.npz"
    );
    let arrays = npz::read(std::path::Path::new(path)).unwrap();
    let matrix = |name: &str| {
        let shape = arrays[name].shape();
        let values = arrays[name].to_f64().unwrap();
        Array2::from_shape_vec((shape[0], shape[1]), values).unwrap()
    };
    let w_out = matrix("w_out");
    let dynamics = Dynamics {
        w_in: matrix("w_in"),
        bias_out: Array1::zeros(w_out.nrows()),
        w_out,
        gain: Array1::from_elem(10, 0.2),
        tau_ms: Array1::from_elem(10, 100.0),
        ..map(matrix("w_rc"), Activation::Tanh, Form::Voltage)
    };
    let points = ["points_0", "points_1"].map(matrix);
    let unstable = ["unstable_0", "unstable_1"].map(|name| arrays[name].to_i64().unwrap());
    (dynamics, points, unstable)
}

/// The trials have noise on their inputs and coherences of both signs; the inputs are held without either, one for each
/// context, and the points are those of an independent search.
#[test]
fn each_context_has_its_own_points() {
    let (dynamics, points, unstable) = two_contexts();
    let task = ContextDecision::default();
    let found = FixedPoints::compute(&study(&task, dynamics, 72), &Search::default()).unwrap();
    let seen = names(&found.held);
    assert_eq!([seen[0], seen[3]], ["fixation", "response"]);
    assert!(
        seen.len() == 4
            && seen[1..3]
                .iter()
                .all(|name| name.starts_with("stimulus, context = "))
    );
    for (k, context) in [(1, 0), (2, 1)] {
        let [motion, colour] = [context == 0, context == 1].map(|is| f64::from(u8::from(is)));
        let input = &found.held.inputs[k].input;
        let expected = array![1.0, motion, colour, 0.5, 0.5, 0.5, 0.5];
        assert!(
            (input - &expected).iter().all(|x| x.abs() < 1e-7),
            "{input}"
        );
        let seen = &found.found[k].points;
        assert_eq!(seen.len(), points[context].nrows());
        for (state, n_unstable) in points[context].outer_iter().zip(&unstable[context]) {
            let is_here =
                |point: &&FixedPoint| (&point.state - &state).iter().all(|x| x.abs() < 1e-5);
            let point = seen
                .iter()
                .find(is_here)
                .expect("the point of the other search");
            assert_eq!(point.n_unstable as i64, *n_unstable);
        }
    }
    let notes = found.held.notes.join("\n");
    assert!(
        notes.contains("motion coherence and colour coherence at the median in stimulus"),
        "{notes}"
    );
    let selection = found.selection.expect("two choices and two stimuli");
    assert_eq!(selection.stimuli, ["motion coherence", "colour coherence"]);
}

/// `--by` holds an input for each group. Between two contexts there is none, so it is that of one trial, with its context.
#[test]
fn inputs_are_grouped_on_request() {
    let (dynamics, ..) = two_contexts();
    let task = ContextDecision {
        coherences: vec![0.5],
        ..ContextDecision::default()
    };
    let mut study = study(&task, dynamics, 16);
    let held = HeldInputs::of(&study, &HeldOptions::default(), 24).unwrap();
    assert_eq!(held.inputs.len(), 1 + 8 + 1, "{:?}", names(&held));
    study.by = vec!["motion".to_owned()];
    let held = HeldInputs::of(&study, &HeldOptions::default(), 24).unwrap();
    assert_eq!(
        names(&held),
        [
            "fixation",
            "stimulus, motion coherence = −50 %, context = motion, colour coherence = −50 %",
            "stimulus, motion coherence = 50 %, context = motion, colour coherence = −50 %",
            "response"
        ]
    );
    assert_eq!(held.inputs[1].input[3], 0.75);
    let contexts = held.inputs[1].input.slice(ndarray::s![1..3]);
    assert_eq!(
        contexts.to_vec(),
        [1.0, 0.0],
        "one context, not half of each"
    );
    let held = HeldInputs::of(&study, &HeldOptions::default(), 2).unwrap();
    assert_eq!(held.inputs.len(), 2);
    assert!(
        held.notes
            .last()
            .unwrap()
            .starts_with("2 of 4 inputs are left out")
    );
}

#[test]
fn inputs_by_hand_are_read() {
    let (dynamics, ..) = two_contexts();
    let task = ContextDecision::default();
    let study = study(&task, dynamics, 4);
    let of = |text: &str| {
        let options = HeldOptions {
            inputs: text.to_owned(),
            most_inputs: None,
        };
        HeldInputs::of(&study, &options, 24)
    };
    let held = of("1,0,0,0.25,0,0,0; 0,0,0,0,0,0,-1e-3").unwrap();
    assert_eq!(held.table().row(1)[6], -1e-3);
    assert_eq!(
        held.inputs[0].channels(&study),
        "fixation 1, motion left 0.25"
    );
    for (text, word) in [
        ("1,0", "this network has 7 inputs"),
        ("1,0,x,0,0,0,0", "\"x\" is not a number"),
        ("missing.npz", "cannot be read"),
        ("1,0,0,0,0,0,inf", "not finite"),
    ] {
        let why = of(text).unwrap_err().to_string();
        assert!(why.contains(word), "{why}");
    }
    // The command line makes numbers and lists of what looks like them.
    for (given, text) in [
        ("3", "3"),
        ("[1,0.5]", "1,0.5"),
        ("[[1,2],[3,4]]", "1,2; 3,4"),
    ] {
        let options: Search = serde_json::from_str(&format!("{{\"inputs\":{given}}}")).unwrap();
        assert_eq!(options.held.inputs, text);
    }
    let options = Search {
        held: HeldOptions {
            inputs: "0,0,0,0,0,0,0".to_owned(),
            most_inputs: None,
        },
        ..Search::default()
    };
    let found = FixedPoints::compute(&study, &options).unwrap();
    assert_eq!(found.arrays()["inputs"].shape(), [1, 7]);
    // The origin of a network without bias.
    let is_origin = |point: &FixedPoint| point.state.iter().all(|v| v.abs() < 1e-9);
    assert!(found.found[0].points.iter().any(is_origin));
}

/// A network without input weights rests at the origin in all trials; its points are at +-1.9150, where
/// `v = 2 tanh(v)`, and 0.
#[test]
fn starts_that_coincide_are_spread() {
    let dynamics = Dynamics {
        w_in: Array2::zeros((1, 3)),
        w_out: Array2::zeros((3, 1)),
        bias_out: Array1::zeros(3),
        ..map(array![[2.0]], Activation::Tanh, Form::Voltage)
    };
    let task = FlipFlop::default();
    let study = study(&task, dynamics, 4);
    assert!(study.potentials.iter().all(|v| *v == 0.0));
    let found = FixedPoints::compute(&study, &Search::default()).unwrap();
    let mut points: Vec<f64> = found.found[0].points.iter().map(|p| p.state[0]).collect();
    points.sort_by(f64::total_cmp);
    assert_eq!(points.len(), 3);
    assert!((points[2] - 1.915_008_1).abs() < 1e-6 && points[1].abs() < 1e-9);
}

/// Input 0.004 with a weight of 250 drives the state to `v = tanh(v) / 2 + 1`; without it the only point is the origin.
#[test]
fn a_small_input_is_held_as_it_is() {
    let dynamics = Dynamics {
        w_in: array![[250.0]],
        ..map(array![[0.5]], Activation::Tanh, Form::Voltage)
    };
    let task = Steps;
    let found = FixedPoints::compute(&study(&task, dynamics, 3), &Search::default()).unwrap();
    assert_eq!(names(&found.held), ["off", "on"]);
    let states = [0, 1].map(|k| found.found[k].points[0].state[0]);
    assert!(states[0].abs() < 1e-9);
    assert!((states[1] - 0.5 * states[1].tanh() - 250.0 * f64::from(0.004f32)).abs() < 1e-9);
}

/// A task whose only input is 0 and then 0.004.
struct Steps;

impl Task for Steps {
    fn layout(&self) -> ctrnn_tasks::Layout {
        ctrnn_tasks::Layout::new(["drive"], ["out"])
    }

    fn conditions(&self) -> Vec<Condition> {
        vec![Condition::new([])]
    }

    fn sample_trial(
        &self,
        condition: &Condition,
        _: Clock,
        _: &mut ctrnn_random::Rng,
    ) -> ctrnn_tasks::Trial {
        let mut timeline = ctrnn_tasks::Timeline::default();
        timeline.push("off", 10);
        timeline.push("on", 10);
        let mut trial = ctrnn_tasks::Trial::new(&self.layout(), condition, timeline);
        trial.set_input(10..20, 0, 0.004);
        trial
    }
}

/// `v' = 1.5 max(v, 0) + 1` has no fixed point: the analysis says when the states leave, and draws them.
#[test]
fn a_network_that_runs_away_is_reported() {
    let dynamics = Dynamics {
        w_in: Array2::zeros((1, 3)),
        w_out: Array2::zeros((3, 1)),
        bias_out: Array1::zeros(3),
        gain: array![0.01],
        tau_ms: array![2000.0],
        bias: array![1.0],
        ..map(array![[1.5]], Activation::Relu, Form::Voltage)
    };
    let task = FlipFlop::default();
    let study = study(&task, dynamics, 4);
    let found = FixedPoints::compute(&study, &Search::default()).unwrap();
    let lines = found.statements();
    assert!(
        lines[0].contains("no fixed points; the states diverge: 8 of 8"),
        "{lines:?}"
    );
    assert!(found.arrays()["diverges_ms"].to_f64().unwrap()[0] > 0.0);
    let figures = found.figures();
    assert_eq!(
        figures
            .iter()
            .map(|(suffix, _)| *suffix)
            .collect::<Vec<_>>(),
        ["_followed"]
    );
    assert!(figures[0].1.to_svg().contains("diverges"));
}

/// In the rate form the derivative of a point's target by the inputs depends on the point; it is written for each.
#[test]
fn input_jacobians_are_those_at_the_points() {
    let (mut dynamics, ..) = two_contexts();
    dynamics.form = Form::Rate;
    let task = ContextDecision::default();
    let found = FixedPoints::compute(&study(&task, dynamics, 72), &Search::default()).unwrap();
    let arrays = found.arrays();
    let shape = arrays["input_jacobian"].shape().to_vec();
    assert_eq!(shape[1..], [10, 7]);
    let jacobians = arrays["input_jacobian"].to_f64().unwrap();
    let jacobians = Array3::from_shape_vec((shape[0], 10, 7), jacobians).unwrap();
    for ((k, point), jacobian) in found.points().zip(jacobians.axis_iter(Axis(0))) {
        let target = |by: f64| {
            let mut input = found.held.inputs[k].input.clone();
            input[1] += by;
            let drive = found.dynamics.input_drive(&input);
            found.dynamics.target(&point.state, &drive)
        };
        let difference = (target(1e-6) - target(-1e-6)) / 2e-6;
        let error = (&difference - &jacobian.column(1)).mapv(f64::abs).sum();
        assert!(error < 1e-7, "{error}");
    }
}

/// A unit without recurrence decays by the same factor in each time step, whatever the input.
#[test]
fn exponents_under_held_inputs() {
    let task = GoNogo::default();
    let layout = task.layout();
    let dynamics = Dynamics {
        w_in: Array2::ones((1, layout.inputs.len())),
        w_out: Array2::zeros((layout.outputs.len(), 1)),
        bias_out: Array1::zeros(layout.outputs.len()),
        gain: array![0.002],
        tau_ms: array![1000.0],
        dt_ms: 20.0,
        ..map(array![[0.0]], Activation::Tanh, Form::Voltage)
    };
    let study = study(&task, dynamics, 4);
    let found = Lyapunov::compute(&study, &Default::default()).unwrap();
    assert!(!found.held_exponents.is_empty());
    for exponents in found.held_exponents.iter().flatten() {
        assert!((exponents[0] - 50.0 * (1.0f64 - 0.002).ln()).abs() < 1e-9);
    }
}

/// A layer above the first, whose layer below rests by the end of each epoch: its fixed point is where the stack comes to rest, and its
/// eigenvalues are some of those of a time step of both layers (by central differences).
#[test]
fn a_layer_rests_where_its_stack_does() {
    let task = GoNogo {
        fixation_ms: 4000.0.into(),
        stimulus_ms: 4000.0.into(),
        delay_ms: 4000.0.into(),
        response_ms: 4000.0.into(),
        input_noise: 0.0,
        ..GoNogo::default()
    };
    let batch = observer::batch(&task, 4);
    let layer = |sizes: [usize; 3], tau: f64| {
        let [inputs, units, outputs] = sizes;
        let mut layer = CtrnnConfig::new(inputs, units, outputs);
        (layer.tau_ms, layer.activation) = (tau.into(), Activation::Tanh);
        layer.init.spectral_radius = Some(0.5.into());
        layer
    };
    let sizes = [[batch.n_inputs, 5, 0], [5, 4, batch.n_outputs]];
    let layers = vec![layer(sizes[0], 40.0), layer(sizes[1], 60.0)];
    let network = CtrnnConfig::stacked(layers).init::<NdArray<f64>>(3, &Default::default());
    let network = network.unwrap();
    let shape = [batch.n_trials, batch.max_steps, batch.n_inputs];
    let inputs = Array::f32(&shape, batch.inputs.clone());
    let states = simulate(&network, &inputs, Forward::default());
    let [first, second] = [0, 1].map(|k| Dynamics::of_layer(&network, k));
    let study = Study {
        dynamics: second.clone(),
        potentials: three_dimensional(&states.potentials),
        rates: three_dimensional(&states.rates),
        rates_below: Some(three_dimensional(&states.below[0].rates)),
        ..observer::study(&task, batch, three_dimensional(&states.outputs))
    };
    let below = three_dimensional(&states.below[0].potentials);
    let found = FixedPoints::compute(&study, &Search::default()).unwrap();
    assert!(found.held.inputs.len() >= 4, "{:?}", names(&found.held));
    for (held, found) in found.held.inputs.iter().zip(&found.found) {
        let [point] = &found.points[..] else {
            panic!("{}: {} points", held.name, found.points.len());
        };
        let (b, epoch) = (held.places[0].trials[0], held.places[0].epoch);
        let t = crate::study::steps_of(&study.batch, b, epoch).end - 1;
        let ends = [&below, &study.potentials].map(|all| all.slice(s![b, t, ..]).to_owned());
        let distance = (&point.state - &ends[1]).mapv(f64::abs).sum();
        assert!(distance < 1e-9, "{}: {distance}", held.name);
        let input: Array1<f64> = study.inputs(b).row(t).to_owned();
        let step = |whole: &Array1<f64>| {
            let below = first.next(&whole.slice(s![..5]).to_owned(), &first.input_drive(&input));
            let drive = second.input_drive(&first.rates(&below));
            let own = second.next(&whole.slice(s![5..]).to_owned(), &drive);
            concatenate![Axis(0), below, own]
        };
        let whole = concatenate![Axis(0), ends[0], ends[1]];
        let jacobian = Array2::from_shape_fn((9, 9), |(i, j)| {
            let moved = |by: f64| {
                let mut whole = whole.clone();
                whole[j] += by;
                step(&whole)[i]
            };
            (moved(1e-6) - moved(-1e-6)) / 2e-6
        });
        let of_stack = eigenvalues(jacobian.view()).unwrap();
        for value in &point.modes.values {
            let nearest = of_stack.iter().map(|other| (other - value).norm());
            assert!(nearest.fold(f64::INFINITY, f64::min) < 1e-7);
        }
    }
}
