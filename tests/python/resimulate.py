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
    "power": lambda v: np.maximum(v, 0) ** 2,
    "linear": lambda v: v,
}


def load(path):
    with np.load(path, allow_pickle=False) as arrays:
        return {name: arrays[name].astype(np.float64) for name in arrays.files}


def simulate(model, weights, given):
    f, voltage = ACTIVATIONS[model["activation"]], model["form"] == "voltage"
    noise, alpha = model["noise"], model["dt_ms"] / model["tau_ms"]
    u, w_rc, w_out = given["inputs"], weights["recurrent.weight"], weights["output.weight"]
    bias, bias_out = weights.get("recurrent.bias", 0.0), weights.get("output.bias", 0.0)

    silence = np.zeros((*u.shape[:2], len(w_rc)))  # [trial, time, unit]
    n = noise["preactivation"] * given.get("preactivation_noise", silence)
    xi = noise["postactivation"] * given.get("postactivation_noise", silence)
    eps = n * {"spec": 1.0, "song": np.sqrt(2 / alpha), "raw": 0.0}[noise["convention"]]
    jump = n if noise["convention"] == "raw" else silence

    state = given.get("initial_state", weights["initial_state"]) + silence[:, 0]
    potentials, rates, outputs = [], [], []
    for t in range(u.shape[1]):
        drive = (f(state) if voltage else state) @ w_rc.T + u[:, t] @ weights["input.weight"].T + bias + eps[:, t]
        state = (1 - alpha) * state + alpha * (drive if voltage else f(drive)) + jump[:, t]
        potentials.append(state if voltage else drive)
        rates.append(f(state) if voltage else state)
        outputs.append((rates[-1] + xi[:, t]) @ w_out.T + bias_out)
    return {k: np.stack(x, 1) for k, x in dict(potentials=potentials, rates=rates, outputs=outputs).items()}


def main(run, inputs, states):
    with open(f"{run}/model/model.json", encoding="utf-8") as file:
        model = json.load(file)["model"]
    found, failed = load(states), False
    for name, expected in simulate(model, load(f"{run}/model/weights.npz"), load(inputs)).items():
        if found[name].shape != expected.shape:
            sys.exit(f"{name}: shape {found[name].shape}, expected {expected.shape}")
        off = np.abs(found[name] - expected) / np.maximum(1, np.abs(expected))
        failed |= not np.all(off <= TOLERANCE)  # a NaN fails too
        print(f"{name:10} worst difference {off.max():.1e}")
    return int(failed)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
