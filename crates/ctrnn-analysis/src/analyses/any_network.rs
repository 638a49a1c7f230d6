//! Property tests: for any network and trials, every analysis returns findings that can be drawn or a reason why it is
//! unsuitable, and never panics.
//!
//! `CTRNN_CASES=N cargo test -p ctrnn-analysis any_network` tries N networks (`just any-networks`).

use burn::backend::NdArray;
use burn::tensor::TensorData;
use ctrnn_files::Array;
use ctrnn_model::{
    Activation, CtrnnConfig, CtrnnModule, Form, Forward, LowRank, ModelError, ShortTermPlasticity,
    Weights,
};
use ctrnn_random::{Key, Rng, Stream};
use ctrnn_tasks::{Clock, Condition, Layout, Task, Timeline, Trial, TrialBatch};
use ndarray::Array3;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::RngSeed;

use super::{ANALYSES, Analysis, Findings};
use crate::metrics::Metrics;
use crate::plot::{Style, is_clean};
use crate::{Dynamics, Peer, Shared, Study, SynapseStates, simulate, three_dimensional};

/// Size limit of the figures of a small network; none should need more.
const MOST_BYTES: usize = 2_000_000;

fn config() -> ProptestConfig {
    let cases = std::env::var("CTRNN_CASES").ok();
    ProptestConfig {
        cases: cases.and_then(|n| n.parse().ok()).unwrap_or(120),
        rng_seed: RngSeed::Fixed(1),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// Description of a random network.
#[derive(Clone, Debug)]
struct Drawn {
    n_units: usize,
    /// Name of the recurrent matrix, and its scaling factor.
    recurrent: (&'static str, f64),
    input: f64,
    bias: f64,
    output: f64,
    tau_ms: f64,
    form: Form,
    activation: Activation,
    /// Rank of the recurrent matrix, if it has factors: columns of the matrix, and the same in turn.
    rank: Option<usize>,
    /// True if every third connection has a delay.
    is_delayed: bool,
    /// Excitatory fraction, under Dale's law.
    excitatory: Option<f64>,
    /// True for short-term plasticity, where the activation permits it.
    plastic: bool,
    trials: Trials,
    /// Factor of `W_rc` before training, and in another network on the same trials.
    others: [Option<f64>; 2],
    metrics: Option<&'static str>,
}

/// Description of random trials.
#[derive(Clone, Debug)]
struct Trials {
    /// Number of time steps of each trial.
    n_steps: Vec<usize>,
    n_inputs: usize,
    n_outputs: usize,
    magnitude: f32,
    /// Kind of epochs: one, two, or one that only some trials have.
    epochs: &'static str,
    /// Kind of conditions: none, one, two independent ones, or evidence that determines the choice.
    conditions: &'static str,
}

/// Training metrics as in the file of a run.
const METRICS: &[Option<&str>] = &[
    None,
    Some("step,split,loss,accuracy"),
    Some("step,split,loss,accuracy\n1,train,0,\n1,val,1e308,0.5"),
    Some("step,split,loss,accuracy\n5,val,0.25,"),
    Some("step,split,loss,accuracy\n1,train,-1e-320,\n2,train,inf,\n3,train,NaN,"),
];

fn networks() -> impl Strategy<Value = Drawn> {
    let numbers = (
        select(&[1usize, 2, 3, 4, 9][..]),
        select(&["zero", "unit", "jordan", "turn", "ones", "random"][..]),
        select(&[0.0, 1e-40, 0.5, 1.0, 1.0 + 1e-7, -1.0, 3.0, 1e18, 1e30][..]),
        select(&[0.0, 1.0, 1e20][..]),
        select(&[0.0, -100.0, 0.3, 1e30][..]),
        select(&[0.0, 1.0, 1e20][..]),
        select(&[20.0, 100.0, 1e9][..]),
    );
    let kinds = (
        select(&[Form::Voltage, Form::Rate][..]),
        select(&Activation::ALL[..]),
        select(&[None, None, Some(0.0), Some(0.5), Some(1.0)][..]),
        select(&[None, None, Some(1), Some(2), Some(3)][..]),
        any::<bool>(),
        select(&[false, false, true][..]),
    );
    let other = || select(&[None, Some(0.0), Some(0.7), Some(1e30)][..]);
    let metrics = select(METRICS);
    (numbers, kinds, trials(), other(), other(), metrics).prop_map(
        |(numbers, kinds, trials, before, peer, metrics)| Drawn {
            n_units: numbers.0,
            recurrent: (numbers.1, numbers.2),
            input: numbers.3,
            bias: numbers.4,
            output: numbers.5,
            tau_ms: numbers.6,
            form: kinds.0,
            activation: kinds.1,
            excitatory: kinds.2,
            rank: kinds.3,
            plastic: kinds.4,
            is_delayed: kinds.5,
            trials,
            others: [before, peer],
            metrics,
        },
    )
}

fn trials() -> impl Strategy<Value = Trials> {
    let drawn = (
        prop_oneof![
            Just(vec![1]),
            Just(vec![1, 1]),
            Just(vec![1; 6]),
            vec(1usize..4, 1..12),
            vec(select(&[2usize, 5, 6, 9][..]), 1..9),
            Just(vec![7; 1]),
        ],
        0usize..3,
        1usize..4,
        select(&[0.0f32, 0.004, 1.0, 1e30][..]),
        select(&["one", "two", "some"][..]),
        select(&["none", "one", "two", "evidence"][..]),
    );
    drawn.prop_map(
        |(n_steps, n_inputs, n_outputs, magnitude, epochs, conditions)| Trials {
            n_steps,
            n_inputs,
            n_outputs,
            magnitude,
            epochs,
            conditions,
        },
    )
}

impl Task for Trials {
    fn layout(&self) -> Layout {
        let mut layout = Layout::new([], [])
            .with_inputs((0..self.n_inputs).map(|k| format!("input {k}")))
            .with_outputs((0..self.n_outputs).map(|k| format!("output {k}")));
        layout.choices = (0..self.n_outputs).collect();
        layout
    }

    fn conditions(&self) -> Vec<Condition> {
        vec![Condition::new([])]
    }

    fn sample_trial(&self, _: &Condition, _: Clock, _: &mut Rng) -> Trial {
        self.trial(0)
    }
}

impl Trials {
    fn trial(&self, b: usize) -> Trial {
        let n_steps = self.n_steps[b];
        let mut timeline = Timeline::default();
        let first = match self.epochs {
            "one" => n_steps,
            "some" if b.is_multiple_of(2) => n_steps,
            _ => n_steps / 2,
        };
        timeline.push("stimulus", first);
        timeline.push("delay", n_steps - first);
        let side = if b.is_multiple_of(2) { 1.0 } else { -1.0 };
        let condition = match self.conditions {
            "none" => Condition::new([]),
            "one" => Condition::new([("rule", 1.0)]),
            "two" => Condition::new([("side", side), ("rule", (b / 2 % 2) as f64)]),
            _ => Condition::new([("strength", side * (1 + b / 2) as f64 * 1e-3)]),
        };
        let mut trial = Trial::new(&self.layout(), &condition, timeline);
        for (k, input) in trial.inputs.iter_mut().enumerate() {
            *input = self.magnitude * (side as f32) * (1.0 + k as f32);
        }
        if self.conditions != "none" {
            trial.correct = Some(usize::from(side > 0.0).min(self.n_outputs - 1));
        }
        trial
    }

    fn batch(&self) -> TrialBatch {
        TrialBatch::new((0..self.n_steps.len()).map(|b| self.trial(b)))
    }
}

impl Drawn {
    /// Creates the network with `W_rc` scaled by `gain`.
    fn network(&self, gain: f64) -> Result<CtrnnModule<NdArray>, ModelError> {
        let (n, trials) = (self.n_units, &self.trials);
        let rank = self.rank.map(|rank| rank.min(n));
        let mut config = CtrnnConfig {
            low_rank: rank.map(|rank| LowRank {
                rank,
                ..LowRank::default()
            }),
            tau_ms: self.tau_ms.into(),
            form: self.form,
            activation: self.activation,
            short_term_plasticity: (self.plastic && self.activation.is_nonnegative())
                .then_some(ShortTermPlasticity::Half),
            ..CtrnnConfig::new(trials.n_inputs, n, trials.n_outputs)
        };
        if self.is_delayed && self.rank.is_none() {
            let delays = (0..n * n).map(|k| if k % 3 == 0 { 40.0 } else { 0.0 });
            config.connectivity.delay_ms = Some(delays.collect());
        }
        let wave = |n: usize, scale: f64| (0..n).map(|k| scale * (k as f64).cos()).collect();
        let mut weights: Weights = config.init::<NdArray>(1, &Default::default())?.weights();
        for (name, values, shape) in [
            ("recurrent.weight", self.recurrent_weights(gain), vec![n, n]),
            (
                "input.weight",
                wave(n * trials.n_inputs, self.input),
                vec![n, trials.n_inputs],
            ),
            ("recurrent.bias", vec![self.bias; n], vec![n]),
            (
                "output.weight",
                wave(trials.n_outputs * n, self.output),
                vec![trials.n_outputs, n],
            ),
        ] {
            let values: Vec<f64> = values;
            // As in a file, values must be finite in single precision.
            let values = values
                .into_iter()
                .map(|x| x.clamp(-3e38, 3e38))
                .collect::<Vec<_>>();
            weights.insert(name.to_owned(), TensorData::new(values, shape));
        }
        if let Some(rank) = rank {
            let matrix = weights.remove("recurrent.weight").expect("a line above");
            let matrix: Vec<f64> = matrix.iter().collect();
            for (name, turn) in [("recurrent.left", 0), ("recurrent.right", 1)] {
                // The product must be finite in single precision.
                let entry = |k: usize| matrix[(k + turn) % matrix.len()].clamp(-1e15, 1e15);
                let values: Vec<f64> = (0..n * rank).map(entry).collect();
                weights.insert(name.to_owned(), TensorData::new(values, [n, rank]));
            }
        }
        CtrnnModule::from_weights(&config, &weights, &Default::default())
    }

    fn recurrent_weights(&self, gain: f64) -> Vec<f64> {
        let n = self.n_units;
        let mut rng = Rng::new(Key::new(n as u64, Stream::Eval, 0), 0, 0);
        let (kind, scale) = self.recurrent;
        let mut weight = |i: usize, j: usize| match kind {
            "zero" => 0.0,
            "unit" => f64::from(u8::from(i == j)),
            // A Jordan block: one eigenvalue with a single eigenvector.
            "jordan" => f64::from(u8::from(i == j || i + 1 == j)),
            // A cyclic permutation: all eigenvalues lie on the unit circle.
            "turn" => f64::from(u8::from((i + 1) % n == j)),
            "ones" => 1.0,
            _ => f64::from(rng.normal()),
        };
        (0..n * n)
            .map(|k| gain * scale * weight(k / n, k % n))
            .collect()
    }

    fn study(&self) -> Study<'_> {
        let batch = self.trials.batch();
        let shape = [batch.n_trials, batch.max_steps, batch.n_inputs];
        let inputs = Array::f32(&shape, batch.inputs.clone());
        let ran = |gain: f64| {
            let network = self.network(gain).expect("finite weights");
            let states = simulate(&network, &inputs, Forward::default());
            (Dynamics::of(&network), states)
        };
        let (dynamics, states) = ran(1.0);
        let array = |values: &Array| -> Array3<f64> { three_dimensional(values) };
        Study {
            by: Vec::new(),
            groups: Vec::new(),
            area: None,
            shared: Shared::default(),
            task: &self.trials,
            dynamics,
            before: self.others[0].map(|gain| ran(gain).0),
            potentials: array(&states.potentials),
            rates: array(&states.rates),
            outputs: array(&states.outputs),
            rates_below: None,
            synapses: states
                .synapses
                .as_ref()
                .map(|[utilisation, resources]| SynapseStates {
                    utilisation: array(utilisation),
                    resources: array(resources),
                }),
            signs: self.excitatory.map(|part| {
                let n = self.n_units;
                let is_excitatory = |unit: usize| (unit as f64) < part * n as f64;
                (0..n)
                    .map(|unit| if is_excitatory(unit) { 1.0 } else { -1.0 })
                    .collect()
            }),
            metrics: self.metrics.map(Metrics::parse),
            peers: self.others[1]
                .map(|gain| Peer {
                    name: "another".to_owned(),
                    rates: array(&ran(gain).1.rates),
                    metrics: self.metrics.map(Metrics::parse),
                })
                .into_iter()
                .collect(),
            seed: 1,
            batch,
        }
    }
}

/// Lists the defects in the texts and figures of all analyses of a study.
fn faults(study: &Study) -> Vec<String> {
    let mut faults = Vec::new();
    for analysis in ANALYSES {
        let mut fault = |what: String| faults.push(format!("{}: {what}", analysis.name));
        let mut findings = match analysis.run(study) {
            Ok(findings) => findings,
            Err(why) if why.to_string().contains("NaN") => {
                fault(why.to_string());
                continue;
            }
            Err(_) => continue,
        };
        if findings.arrays.is_empty() || findings.figures.is_empty() {
            fault("nothing is found".to_owned());
        }
        findings.scripts(analysis.title, analysis.name);
        findings.document(analysis.arrays);
        array_faults(analysis, &findings, &mut fault);
        let is_undefined = |line: &&String| {
            ["NaN", "inf ", "undefined"]
                .iter()
                .any(|word| line.contains(word))
        };
        findings
            .statements
            .iter()
            .filter(is_undefined)
            .cloned()
            .for_each(&mut fault);
        figure_faults(&findings, &mut fault);
    }
    faults
}

/// Reports arrays without documentation or of another number of dimensions.
fn array_faults(analysis: &Analysis, findings: &Findings, fault: &mut dyn FnMut(String)) {
    for (name, array) in findings.arrays.iter() {
        let doc = analysis.documented().find(|doc| doc.is_of(name));
        match doc.map(|doc| doc.rank() == array.shape().len()) {
            Some(true) => {}
            Some(false) => fault(format!("{name} has shape {:?}, not {doc:?}", array.shape())),
            None => fault(format!("the array {name} is not documented")),
        }
    }
}

/// Reports figures with numbers that are not finite, unexplained colours, or too many bytes.
fn figure_faults(findings: &Findings, fault: &mut dyn FnMut(String)) {
    for (suffix, figure) in &findings.figures {
        for what in figure.unexplained() {
            fault(format!("figure {suffix:?}: {what}"));
        }
        let column = Style {
            width_mm: Some(85.0),
            font_pt: 7.0,
        };
        if let Err(why) = figure.styled(&column) {
            fault(format!("figure {suffix:?} has no room in a column: {why}"));
        }
        match figure.to_svg() {
            svg if !is_clean(&svg) => fault(format!("figure {suffix:?} is {svg}")),
            svg if svg.len() > MOST_BYTES => {
                fault(format!("figure {suffix:?} has {} bytes", svg.len()));
            }
            _ => {}
        }
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn is_analysed_or_refused_with_a_reason(drawn in networks()) {
        let faults = faults(&drawn.study());
        prop_assert!(faults.is_empty(), "{faults:#?}");
    }
}
