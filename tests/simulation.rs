//! The exported weights and the formulas of the README, recomputed here in double precision, give the states that
//! `simulate` writes. (`tests/python/resimulate.py` is the same for users of numpy.)

use std::collections::BTreeMap;

use ctrnn_files::Array;

use crate::project::Project;

const N_TRIALS: usize = 2;
const N_STEPS: usize = 100;
const N_UNITS: usize = 8;
const N_INPUTS: usize = 3;
const SIGMA: f64 = 0.2;
const SIGMA_POST: f64 = 0.3;
const DT_MS: f64 = 20.0;
const SIGMA_IN: f64 = 0.1;
const BASELINE: f64 = 0.2;

/// What the formulas depend on.
#[derive(Clone, Copy)]
struct Dynamics {
    form: &'static str,
    convention: &'static str,
    activation: (&'static str, fn(f64) -> f64),
    integrator: &'static str,
    /// `model.tau_ms`
    tau_ms: &'static str,
    output: &'static str,
    /// Whether inputs have a baseline and noise, and are rectified.
    inputs_are_rates: bool,
}

const PLAIN: Dynamics = Dynamics {
    form: "voltage",
    convention: "spec",
    activation: ("relu", relu),
    integrator: "euler",
    tau_ms: "100.0",
    output: "identity",
    inputs_are_rates: false,
};

fn relu(v: f64) -> f64 {
    v.max(0.0)
}

impl Dynamics {
    /// What a step adds of the drive.
    fn gain(self, tau_ms: f64) -> f64 {
        match self.integrator {
            "euler" => DT_MS / tau_ms,
            _ => 1.0 - (-DT_MS / tau_ms).exp(),
        }
    }

    /// What the convention multiplies a normal with: in the bracket as eps, or in the new state as a jump.
    fn noise(self, gain: f64) -> (f64, f64) {
        match (self.convention, self.integrator) {
            ("spec", _) => (1.0, 0.0),
            ("song", "euler") => ((2.0 / gain).sqrt(), 0.0),
            ("song", _) => (((2.0 - gain) / gain).sqrt(), 0.0),
            _ => (0.0, 1.0),
        }
    }

    /// The input that the network sees.
    fn seen(self, u: f64, n: f64) -> f64 {
        let (eps, jump) = self.noise(self.gain(100.0));
        if self.inputs_are_rates {
            (u + BASELINE + SIGMA_IN * (eps + jump) * n).max(0.0)
        } else {
            u
        }
    }

    /// What the network answers.
    fn answer(self, y: Vec<f64>) -> Vec<f64> {
        let exp: Vec<f64> = y.iter().map(|y| y.exp()).collect();
        match self.output {
            "identity" => y,
            "sigmoid" => exp.iter().map(|e| e / (1.0 + e)).collect(),
            _ => exp.iter().map(|e| e / exp.iter().sum::<f64>()).collect(),
        }
    }
}

/// Numbers between -1 and 1 that follow no pattern of trials, time steps or units.
fn numbers(shape: &[usize], seed: usize) -> Array {
    let wave = |i| (1.0 + (i + 1000 * seed) as f32 * 12.9898).sin();
    Array::f32(shape, (0..shape.iter().product()).map(wave).collect())
}

fn values(arrays: &BTreeMap<String, Array>, name: &str) -> Vec<f64> {
    arrays[name].to_f64().expect("real numbers")
}

/// `w x`, with `w [rows, x.len()]`.
fn product(w: &[f64], x: &[f64]) -> Vec<f64> {
    let row = |row: &[f64]| row.iter().zip(x).map(|(w, x)| w * x).sum();
    w.chunks_exact(x.len()).map(row).collect()
}

/// Potentials, rates and outputs, `[trial, time, unit]`, flat.
fn recompute(
    weights: &BTreeMap<String, Array>,
    given: &BTreeMap<String, Array>,
    dynamics: Dynamics,
) -> [Vec<f64>; 3] {
    let activation = dynamics.activation.1;
    let [w_in, w_rc, w_out] =
        ["input", "recurrent", "output"].map(|w| values(weights, &format!("{w}.weight")));
    let [b, b_out] = ["recurrent", "output"].map(|b| values(weights, &format!("{b}.bias")));
    let noise = |name| {
        given
            .get(name)
            .map(|noise| noise.to_f64().expect("real numbers"))
    };
    let (n, xi) = (noise("preactivation_noise"), noise("postactivation_noise"));
    let input_noise = noise("input_noise");
    let inputs: Vec<f64> = values(given, "inputs")
        .iter()
        .enumerate()
        .map(|(k, &u)| dynamics.seen(u, input_noise.as_ref().map_or(0.0, |n| n[k])))
        .collect();
    let tau_ms = values(weights, "tau_ms");
    let voltage = dynamics.form == "voltage";

    let [mut potentials, mut rates, mut outputs] = [vec![], vec![], vec![]];
    for trial in 0..N_TRIALS {
        let mut state = values(weights, "initial_state");
        for t in 0..N_STEPS {
            let at = trial * N_STEPS + t;
            let r: Vec<f64> = if voltage {
                state.iter().map(|&v| activation(v)).collect()
            } else {
                state.clone()
            };
            let recurrent = product(&w_rc, &r);
            let input = product(&w_in, &inputs[at * N_INPUTS..][..N_INPUTS]);
            for i in 0..N_UNITS {
                let n = n.as_ref().map_or(0.0, |n| n[at * N_UNITS + i]);
                let gain = dynamics.gain(tau_ms[i % tau_ms.len()]);
                let (eps, jump) = dynamics.noise(gain);
                let z = recurrent[i] + input[i] + b[i] + eps * SIGMA * n;
                let target = if voltage { z } else { activation(z) };
                state[i] = (1.0 - gain) * state[i] + gain * target + jump * SIGMA * n;
                potentials.push(if voltage { state[i] } else { z });
                rates.push(if voltage {
                    activation(state[i])
                } else {
                    state[i]
                });
            }
            let xi = |i| {
                xi.as_ref()
                    .map_or(0.0, |xi| SIGMA_POST * xi[at * N_UNITS + i])
            };
            let seen: Vec<f64> = (0..N_UNITS)
                .map(|i| rates[at * N_UNITS + i] + xi(i))
                .collect();
            let y = product(&w_out, &seen);
            let y = y.iter().zip(&b_out).map(|(y, b)| y + b).collect();
            outputs.extend(dynamics.answer(y));
        }
    }
    [potentials, rates, outputs]
}

/// Simulates injected noise of each kind and compares; returns the potentials and outputs of each file of inputs.
fn check(dynamics: Dynamics) -> Vec<[Vec<f64>; 2]> {
    let project = Project::new();
    let Dynamics {
        form,
        convention,
        activation: (name, _),
        integrator,
        tau_ms,
        output,
        inputs_are_rates,
    } = dynamics;
    let [sigma_in, baseline] = if inputs_are_rates {
        [SIGMA_IN, BASELINE]
    } else {
        [0.0, 0.0]
    };
    let settings = [
        "train.steps=5".to_owned(),
        format!(
            "model.noise={{preactivation={SIGMA},postactivation={SIGMA_POST},input={sigma_in:?},convention=\"{convention}\"}}"
        ),
        format!("model.input={{baseline={baseline:?},rectify={inputs_are_rates}}}"),
        format!("model.form={form}"),
        format!("model.activation={name}"),
        format!("time.integrator={integrator}"),
        format!("model.tau_ms={tau_ms}"),
        format!("model.output_nonlinearity={output}"),
    ];
    let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
    project.train("run", &settings).exits(0);
    let weights = project.arrays("run/model/weights.npz");

    let shape = [N_TRIALS, N_STEPS, N_UNITS];
    let inputs = || ("inputs", numbers(&[N_TRIALS, N_STEPS, N_INPUTS], 0));
    let pre = || ("preactivation_noise", numbers(&shape, 1));
    let post = || ("postactivation_noise", numbers(&shape, 2));
    let input = || ("input_noise", numbers(&[N_TRIALS, N_STEPS, N_INPUTS], 3));
    project.write_arrays("none.npz", [inputs()]);
    project.write_arrays("pre.npz", [inputs(), pre()]);
    project.write_arrays("post.npz", [inputs(), post()]);
    project.write_arrays("both.npz", [inputs(), pre(), post()]);
    project.write_arrays("all.npz", [inputs(), pre(), post(), input()]);

    let simulated = |file: &str| {
        let simulate = [
            "simulate",
            "run",
            "--inputs",
            file,
            "-o",
            "states.npz",
            "--force",
        ];
        project.run(&simulate).exits(0);
        let states = project.arrays("states.npz");
        let expected = recompute(&weights, &project.arrays(file), dynamics);
        for (name, expected) in ["potentials", "rates", "outputs"].iter().zip(expected) {
            for (found, expected) in values(&states, name).iter().zip(&expected) {
                let scale = expected.abs().max(1.0);
                assert!(
                    (found - expected).abs() <= 1e-5 * scale,
                    "{form} {convention} {integrator} {file}: {name} {found}, expected {expected}"
                );
            }
            assert_eq!(states[*name].data().len(), expected.len(), "{name}");
        }
        [values(&states, "potentials"), values(&states, "outputs")]
    };
    ["none.npz", "pre.npz", "post.npz", "both.npz", "all.npz"]
        .map(simulated)
        .into()
}

#[test]
fn states_follow_the_formulas() {
    type Rate = fn(f64) -> f64;
    let activations: [(&str, Rate); 6] = [
        ("relu", relu),
        ("tanh", f64::tanh),
        ("sigmoid", |v| 1.0 / (1.0 + (-v).exp())),
        ("softplus", |v| v.exp().ln_1p()),
        ("retanh", |v| v.tanh().max(0.0)),
        ("power", |v| v.max(0.0).powi(2)),
    ];
    let kinds = [("voltage", "spec"), ("voltage", "song"), ("voltage", "raw")]
        .into_iter()
        .chain([("rate", "spec"), ("rate", "song"), ("rate", "raw")]);
    for ((form, convention), activation) in kinds.zip(activations) {
        let [none, pre, post, both, _] = check(Dynamics {
            form,
            convention,
            activation,
            ..PLAIN
        })
        .try_into()
        .expect("five files");
        let ([none, none_outputs], [post, post_outputs]) = (none, post);
        assert_eq!(none, post, "the readout's noise entered the recurrence");
        assert_ne!(
            none_outputs, post_outputs,
            "the readout's noise was not seen"
        );
        assert_eq!(
            pre[0], both[0],
            "the readout's noise entered the recurrence"
        );
        assert_ne!(none, pre[0], "the dynamics' noise was not seen");
    }
}

#[test]
fn states_follow_the_formulas_of_every_variant() {
    const LEARNED: &str = "{learned={initial=60,bounds=[20,200]}}";
    for (form, convention, integrator, tau_ms, output) in [
        ("voltage", "song", "euler", LEARNED, "sigmoid"),
        (
            "rate",
            "song",
            "exponential",
            "{uniform=[20,200]}",
            "softmax",
        ),
        ("voltage", "raw", "exponential", LEARNED, "softmax"),
        (
            "voltage",
            "spec",
            "exponential",
            "[20,30,40,50,60,70,80,90]",
            "sigmoid",
        ),
    ] {
        let found = check(Dynamics {
            form,
            convention,
            integrator,
            tau_ms,
            output,
            activation: ("tanh", f64::tanh),
            inputs_are_rates: true,
        });
        assert_ne!(found[3], found[4], "the noise of the inputs was not seen");
    }
}

/// Rates that a perturbation holds, by unit, in the trial of `batch` with this number, at a time step.
type Held<'a> = dyn Fn(usize, usize) -> Vec<(usize, f64)> + 'a;

/// Rates and outputs `[trial, time, unit]` of the voltage form with softplus and without noise, in double precision, with rates held in
/// some steps: connections of that step, readout and record see the held ones.
fn recompute_held(weights: &BTreeMap<String, Array>, inputs: &Array, held: &Held) -> [Vec<f64>; 2] {
    let [w_in, w_rc, w_out] =
        ["input", "recurrent", "output"].map(|w| values(weights, &format!("{w}.weight")));
    let [b, b_out] = ["recurrent", "output"].map(|b| values(weights, &format!("{b}.bias")));
    let [trials, steps, n_inputs] = inputs.shape()[..] else {
        panic!("inputs [trial, time, input]")
    };
    let gain = DT_MS / values(weights, "tau_ms")[0];
    let u = inputs.to_f64().expect("real numbers");
    let [mut rates, mut outputs] = [vec![], vec![]];
    for trial in 0..trials {
        let mut v = values(weights, "initial_state");
        for t in 0..steps {
            let seen = |v: &[f64]| {
                let mut r: Vec<f64> = v.iter().map(|v| v.exp().ln_1p()).collect();
                held(trial, t)
                    .iter()
                    .for_each(|&(unit, rate)| r[unit] = rate);
                r
            };
            let recurrent = product(&w_rc, &seen(&v));
            let input = product(&w_in, &u[(trial * steps + t) * n_inputs..][..n_inputs]);
            for i in 0..v.len() {
                v[i] += gain * (recurrent[i] + input[i] + b[i] - v[i]);
            }
            let r = seen(&v);
            let y = product(&w_out, &r);
            outputs.extend(y.iter().zip(&b_out).map(|(y, b)| y + b));
            rates.extend(r);
        }
    }
    [rates, outputs]
}

/// A quarter of the excitatory units is silenced in an epoch whose time differs from trial to trial, another unit is
/// clamped in a window of fixed times, and a third loses its connections: `simulate` and `eval` are what the exported
/// weights and the formulas give.
#[test]
fn silencing_by_group_and_window_follows_the_formulas() {
    const TRIALS: usize = 40;
    let project = Project::new();
    project
        .train(
            "run",
            &[
                "train.steps=20",
                "model.dale={excitatory_fraction=0.75}",
                "model.activation=softplus",
                "model.noise={preactivation=0,postactivation=0}",
                "task.go_nogo.delay_ms={uniform=[100,400]}",
            ],
        )
        .exits(0);
    let perturbation = [
        "--silence",
        "e:0.34@stimulus",
        "--clamp",
        "7@100..200=0.5",
        "--lesion",
        "6@response",
    ];
    let simulate = ["simulate", "run", "--trials", "40", "-o", "states.npz"];
    project
        .run(&[&simulate[..], &perturbation].concat())
        .exits(0);
    let states = project.arrays("states.npz");
    let weights = project.arrays("run/model/weights.npz");
    let rates = values(&states, "rates");
    let max_steps = states["rates"].shape()[1];
    let mask = values(&states, "mask");
    let n_masks = mask.len() / (TRIALS * max_steps);
    // The last step of a trial counts, and padding does not.
    let n_steps: Vec<usize> = mask
        .chunks_exact(max_steps * n_masks)
        .map(|mask| mask.iter().rposition(|&m| m > 0.0).expect("it counts") / n_masks + 1)
        .collect();

    // 34 % of six units are two, whose rates are 0 throughout the stimulus: 100 to 300 ms, steps 5 to 14. Without the
    // perturbation no rate of softplus is 0.
    let is_silent = |unit: &usize| {
        let rate = |trial: usize, t: usize| rates[(trial * max_steps + t) * N_UNITS + unit];
        (0..TRIALS).all(|trial| (5..15).all(|t| rate(trial, t) == 0.0))
    };
    let silenced: Vec<usize> = (0..6).filter(is_silent).collect();
    assert_eq!(silenced.len(), 2, "{silenced:?}");

    // The response is the last 200 ms of a trial, 10 steps.
    let in_response = |trial: usize, t: usize| {
        let end = n_steps[trial];
        (end - 10..end).contains(&t)
    };
    let held = |trial: usize, t: usize| {
        let mut held = Vec::new();
        if (5..15).contains(&t) {
            held.extend(silenced.iter().map(|&unit| (unit, 0.0)));
        }
        if (5..10).contains(&t) {
            held.push((7, 0.5));
        }
        if in_response(trial, t) {
            held.push((6, 0.0));
        }
        held
    };
    let [expected_rates, expected] = recompute_held(&weights, &states["inputs"], &held);
    let outputs = values(&states, "outputs");
    let n_outputs = outputs.len() / (TRIALS * max_steps);
    let is_near =
        |found: f64, expected: f64| (found - expected).abs() <= 1e-5 * expected.abs().max(1.0);
    let (mut errors, mut weight) = (0.0, 0.0);
    let targets = values(&states, "targets");
    for (trial, &n_steps) in n_steps.iter().enumerate().take(TRIALS) {
        for t in 0..n_steps {
            let at = trial * max_steps + t;
            for unit in 0..N_UNITS {
                // The lesioned unit's own rate goes on.
                if unit != 6 || !in_response(trial, t) {
                    let (found, expected) = (
                        rates[at * N_UNITS + unit],
                        expected_rates[at * N_UNITS + unit],
                    );
                    assert!(
                        is_near(found, expected),
                        "trial {trial}, step {t}, unit {unit}: {found}, expected {expected}"
                    );
                }
            }
            for k in 0..n_outputs {
                let (found, expected) = (outputs[at * n_outputs + k], expected[at * n_outputs + k]);
                assert!(
                    is_near(found, expected),
                    "trial {trial}, step {t}, output {k}: {found}, expected {expected}"
                );
                let m = mask[at * n_masks + k % n_masks];
                errors += m * (expected - targets[at * n_outputs + k]).powi(2);
                weight += m;
            }
        }
    }
    let eval = |further: &[&str]| {
        let eval = ["eval", "run", "--trials", "40", "--json"];
        let found = project.run(&[&eval[..], further].concat()).exits(0).json();
        let perturbations = found["perturbations"].as_array();
        assert_eq!(perturbations.map_or(0, Vec::len), further.len() / 2);
        found["loss"].as_f64().unwrap()
    };
    let loss = eval(&perturbation);
    assert!(
        is_near(loss, errors / weight),
        "{loss}, expected {}",
        errors / weight
    );
    assert_ne!(loss, eval(&[]));
}

/// Windows that no trial has are refused, with those that exist; analyses take the same options.
#[test]
fn windows_and_groups_that_do_not_exist() {
    let project = Project::new();
    project.train("run", &["train.steps=5"]).exits(0);
    for (option, word, says) in [
        (
            "--silence",
            "0-3@stimulos",
            "epochs are fixation, stimulus, delay, response",
        ),
        ("--silence", "e@stimulus", "\"e\" is not a group of units"),
        ("--lesion", "area:motor", "groups: all, sign:+, sign:-"),
        ("--clamp", "0@2000..=1", "the longest trial ends at 600 ms"),
        ("--current", "0=1e39", "too large to compute with"),
    ] {
        for command in [
            &["eval", "run"][..],
            &["analyze", "run", "accuracy"],
            &["simulate", "run", "-o", "x.npz"],
        ] {
            project
                .run(&[command, &[option, word]].concat())
                .exits(2)
                .says(&["error[C036]", says]);
        }
    }
    project.write_arrays("u.npz", [("inputs", Array::f32(&[1, 5, 3], vec![0.0; 15]))]);
    project
        .run(&[
            "simulate",
            "run",
            "--inputs",
            "u.npz",
            "-o",
            "x.npz",
            "--silence",
            "0@stimulus",
        ])
        .exits(2)
        .says(&["the inputs of a file have no epochs"]);
    let silent = ["--silence", "all@stimulus"];
    project
        .run(&[&["analyze", "run", "accuracy", "rates"], &silent[..]].concat())
        .exits(0)
        .says(&["perturbations with a window are seen in the states"]);
    let figure = ["plot", "run", "accuracy", "-o", "a.svg"];
    project.run(&[&figure[..], &silent].concat()).exits(0);
    let page = ["report", "run", "-o", "a.html"];
    project.run(&[&page[..], &silent].concat()).exits(0);
    let page = project.text("a.html");
    assert!(page.contains("the network is perturbed: --silence all@stimulus"));
}
