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
const ALPHA: f64 = 20.0 / 100.0; // dt 20 ms, tau 100 ms

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
    form: &str,
    convention: &str,
    activation: fn(f64) -> f64,
) -> [Vec<f64>; 3] {
    let [w_in, w_rc, w_out] =
        ["input", "recurrent", "output"].map(|w| values(weights, &format!("{w}.weight")));
    let [b, b_out] = ["recurrent", "output"].map(|b| values(weights, &format!("{b}.bias")));
    let noise = |name| {
        given
            .get(name)
            .map(|noise| noise.to_f64().expect("real numbers"))
    };
    let (n, xi) = (noise("preactivation_noise"), noise("postactivation_noise"));
    let inputs = values(given, "inputs");
    // A standard normal number enters the bracket as eps, or the new state as a jump.
    let (eps, jump) = match convention {
        "spec" => (SIGMA, 0.0),
        "song" => ((2.0 / ALPHA).sqrt() * SIGMA, 0.0),
        "raw" => (0.0, SIGMA),
        _ => unreachable!("{convention}"),
    };
    let voltage = form == "voltage";

    let [mut potentials, mut rates, mut outputs] = [vec![], vec![], vec![]];
    for trial in 0..N_TRIALS {
        let mut state = values(weights, "initial_state");
        for t in 0..N_STEPS {
            let at = trial * N_STEPS + t;
            let r: Vec<f64> = match voltage {
                true => state.iter().map(|&v| activation(v)).collect(),
                false => state.clone(),
            };
            let recurrent = product(&w_rc, &r);
            let input = product(&w_in, &inputs[at * N_INPUTS..][..N_INPUTS]);
            for i in 0..N_UNITS {
                let n = n.as_ref().map_or(0.0, |n| n[at * N_UNITS + i]);
                let z = recurrent[i] + input[i] + b[i] + eps * n;
                let target = if voltage { z } else { activation(z) };
                state[i] = (1.0 - ALPHA) * state[i] + ALPHA * target + jump * n;
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
            outputs.extend(
                product(&w_out, &seen)
                    .iter()
                    .zip(&b_out)
                    .map(|(y, b)| y + b),
            );
        }
    }
    [potentials, rates, outputs]
}

/// Simulates injected noise of each kind and compares; returns the potentials and outputs of each file of inputs.
fn check(
    form: &str,
    convention: &str,
    name: &str,
    activation: fn(f64) -> f64,
) -> Vec<[Vec<f64>; 2]> {
    let project = Project::new();
    let noise = format!(
        "model.noise={{preactivation={SIGMA},postactivation={SIGMA_POST},convention=\"{convention}\"}}"
    );
    let [form_key, activation_key] = [
        format!("model.form={form}"),
        format!("model.activation={name}"),
    ];
    project
        .train(
            "run",
            &["train.steps=5", &noise, &form_key, &activation_key],
        )
        .exits(0);
    let weights = project.arrays("run/model/weights.npz");

    let shape = [N_TRIALS, N_STEPS, N_UNITS];
    let inputs = || ("inputs", numbers(&[N_TRIALS, N_STEPS, N_INPUTS], 0));
    let pre = || ("preactivation_noise", numbers(&shape, 1));
    let post = || ("postactivation_noise", numbers(&shape, 2));
    project.write_arrays("none.npz", [inputs()]);
    project.write_arrays("pre.npz", [inputs(), pre()]);
    project.write_arrays("post.npz", [inputs(), post()]);
    project.write_arrays("both.npz", [inputs(), pre(), post()]);

    let simulated = |file: &str| {
        let simulate = ["simulate", "run", "--inputs", file, "-o", "states.npz"];
        project.run(&simulate).exits(0);
        let states = project.arrays("states.npz");
        let expected = recompute(
            &weights,
            &project.arrays(file),
            form,
            convention,
            activation,
        );
        for (name, expected) in ["potentials", "rates", "outputs"].iter().zip(expected) {
            for (found, expected) in values(&states, name).iter().zip(&expected) {
                let scale = expected.abs().max(1.0);
                assert!(
                    (found - expected).abs() <= 1e-5 * scale,
                    "{form} {convention} {file}: {name} {found}, expected {expected}"
                );
            }
            assert_eq!(states[*name].data().len(), expected.len(), "{name}");
        }
        [values(&states, "potentials"), values(&states, "outputs")]
    };
    ["none.npz", "pre.npz", "post.npz", "both.npz"]
        .map(simulated)
        .into()
}

#[test]
fn states_follow_the_formulas() {
    let relu = |v: f64| v.max(0.0);
    for (form, convention, name, activation) in [
        ("voltage", "spec", "relu", relu as fn(f64) -> f64),
        ("voltage", "song", "tanh", f64::tanh),
        ("voltage", "raw", "sigmoid", |v| 1.0 / (1.0 + (-v).exp())),
        ("rate", "spec", "softplus", |v| v.exp().ln_1p()),
        ("rate", "song", "retanh", |v| v.tanh().max(0.0)),
        ("rate", "raw", "power", |v| v.max(0.0).powi(2)),
    ] {
        let [none, pre, post, both] = check(form, convention, name, activation)
            .try_into()
            .expect("four files");
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
