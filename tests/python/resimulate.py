#!/usr/bin/env python3
"""resimulate.py RUN in.npz states.npz: recomputes `train-ctrnn simulate RUN --inputs in.npz -o states.npz` in float64.

Needs numpy. Exit status 1 where a potential, rate or output is off by more than 1e-5 (relative above 1, absolute below).
"""

import json
import sys

import numpy as np

TOLERANCE = 1e-5
ACTIVATIONS = {
    "relu": lambda v: np.maximum(v, 0),
    "tanh": np.tanh,
    "sigmoid": lambda v: 1 / (1 + np.exp(-v)),
    "retanh": lambda v: np.maximum(np.tanh(v), 0),
    "softplus": lambda v: np.logaddexp(0, v),
    "power": lambda v, exponent=2, gain=1, threshold=0: gain * np.maximum(v - threshold, 0) ** exponent,
    "linear": lambda v: v,
    "leaky_relu": lambda v, slope=0.01: np.maximum(v, 0) + slope * np.minimum(v, 0),
    "clipped_relu": lambda v, maximum=1: np.clip(v, 0, maximum),
    "cubic": lambda v: np.clip(v, -1, 1) - np.clip(v, -1, 1) ** 3 / 3,
}
OUTPUTS = {
    "identity": lambda y: y,
    "sigmoid": lambda y: 1 / (1 + np.exp(-y)),
    "softmax": lambda y: (e := np.exp(y - y.max(-1, keepdims=True))) / e.sum(-1, keepdims=True),
}


def load(path):
    with np.load(path, allow_pickle=False) as arrays:
        numbers = {name: arrays[name] for name in arrays.files if arrays[name].dtype.kind in "biuf"}
        return {name: array.astype(np.float64) for name, array in numbers.items()}


def gain_of(model, tau_ms):
    """What a step of dt adds of the drive: alpha = dt / tau under Euler's integrator."""
    ratio = model["dt_ms"] / tau_ms
    return ratio if model["integrator"] == "euler" else -np.expm1(-ratio)


def eps_scale(model, gain):
    """What the noise convention multiplies sigma n with, within the bracket of the equation."""
    if model["noise"]["convention"] != "song":
        return np.ones_like(gain)
    return np.sqrt(2 / gain if model["integrator"] == "euler" else 2 / gain - 1)


def seen_inputs(model, given):
    """u + baseline + noise, rectified if the model asks for it."""
    u, noise = given["inputs"], model["noise"]
    std = noise["input"] * eps_scale(model, gain_of(model, noise["input_tau_ms"]))
    u = u + model["input"]["baseline"] + std * given.get("input_noise", np.zeros_like(u))
    return np.maximum(u, 0) if model["input"]["rectify"] else u


def scaled(sigma, normals):
    """sigma n: one sigma, one for each unit, or a (positive definite) covariance."""
    if isinstance(sigma, dict):
        return normals @ np.linalg.cholesky(sigma["covariance"]).T
    return np.asarray(sigma) * normals


def activation(written):
    table = {"name": written} if isinstance(written, str) else dict(written)
    f = ACTIVATIONS[table.pop("name")]
    return lambda v: f(v, **table)


def simulate(model, weights, given):
    f, voltage = activation(model["activation"]), model["form"] == "voltage"
    f_out = OUTPUTS[model["output_nonlinearity"]]
    noise, gain = model["noise"], gain_of(model, weights["tau_ms"])  # [1 or unit]
    u, w_rc, w_out = seen_inputs(model, given), weights["recurrent.weight"], weights["output.weight"]
    if "recurrent.left" in weights:  # of low rank: from what is trained, to which the effective matrix must belong
        product = weights["recurrent.left"] @ weights["recurrent.right"].T / len(w_rc)
        w_rc = weights.get("recurrent.weight_raw", 0.0) + product
    w_fb = weights.get("feedback.weight", np.zeros_like(w_out.T))
    bias, bias_out = weights.get("recurrent.bias", 0.0), weights.get("output.bias", 0.0)

    silence = np.zeros((*u.shape[:2], len(w_rc)))  # [trial, time, unit]
    n = scaled(noise["preactivation"], given.get("preactivation_noise", silence))
    xi = noise["postactivation"] * given.get("postactivation_noise", silence)
    raw = noise["convention"] == "raw"
    eps, jump = (silence, n) if raw else (eps_scale(model, gain) * n, silence)

    start = weights["initial_state"]
    if start.ndim == 2 and "initial_state" not in given:  # one for each condition
        start = start[given["conditions"].astype(int)]
    state = given.get("initial_state", start) + silence[:, 0]
    potentials, rates, outputs, utilisation, resources = [], [], [], [], []
    plastic = {name: np.array(values) for name, values in model.get("synapses", {}).items()}
    used, left = plastic.get("U", 0) + silence[:, 0], 1 + silence[:, 0]
    steps = np.rint(weights.get("recurrent.delay_ms", np.zeros_like(w_rc)) / model["dt_ms"])
    past, by_delay = [], [(int(d), w_rc * (steps == d)) for d in np.unique(steps)]
    for t in range(u.shape[1]):
        sent = f(state) if voltage else state
        if plastic:
            spikes, before = sent * model["dt_ms"] / 1000, used
            used = used + gain_of(model, plastic["tau_u_ms"]) * (plastic["U"] - used) + plastic["U"] * (1 - used) * spikes
            left = left + gain_of(model, plastic["tau_x_ms"]) * (1 - left) - before * left * spikes
            used, left = np.clip(used, 0, 1), np.clip(left, 0, 1)
            sent = sent * used * left
            utilisation.append(used)
            resources.append(left)
        fed_back = (sent @ w_out.T + bias_out) @ w_fb.T  # of the readout before the time step
        past.append(sent)
        drive = sum(past[max(t - d, 0)] @ w.T for d, w in by_delay) + fed_back
        drive = drive + u[:, t] @ weights["input.weight"].T + bias + eps[:, t]
        state = (1 - gain) * state + gain * (drive if voltage else f(drive)) + jump[:, t]
        potentials.append(state if voltage else drive)
        rates.append(f(state) if voltage else state)
        outputs.append(f_out((rates[-1] + xi[:, t]) @ w_out.T + bias_out))
    states = dict(potentials=potentials, rates=rates, outputs=outputs, utilisation=utilisation, resources=resources)
    return {k: np.stack(x, 1) for k, x in states.items() if x}


def main(run, inputs, states):
    with open(f"{run}/model/model.json", encoding="utf-8") as file:
        model = json.load(file)["model"]
    found, failed = load(states), False
    for name, expected in simulate(model, load(f"{run}/model/weights.npz"), load(inputs)).items():
        if found[name].shape != expected.shape:
            sys.exit(f"{name}: shape {found[name].shape}, expected {expected.shape}")
        off = np.abs(found[name] - expected) / np.maximum(1, np.abs(expected))
        failed |= not np.all(off <= TOLERANCE)  # a NaN fails too
        print(f"{name:11} worst difference {off.max():.1e}")
    return int(failed)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
