#!/usr/bin/env python3
"""Writes ctrnn.json: trajectories of a small network in float64, from the equations alone (needs numpy).

    voltage   v(t+1) = (1 - alpha) v(t) + alpha [W_rc r(t) + W_in u(t) + b + eps(t)]      r(t) = f(v(t))
    rate      r(t+1) = (1 - alpha) r(t) + alpha f(z(t))           z = W_rc r(t) + W_in u(t) + b + eps(t)
    both      y(t)   = W_out [r(t) + sigma_post xi(t)] + b_out

With n the standard normal draws that the file holds:

    spec   eps = sigma n
    song   eps = sqrt(2 / alpha) sigma n
    raw    eps = 0, and sigma n is added to the new state v(t+1) or r(t+1)

Index k of potentials (v, or z in the rate form), rates and outputs is what the update by input k left. Weights are
[post, pre], arrays [trial, time, unit]. A case without a convention has no noise of either kind.

Weights are rounded formulas: what the file says is exactly what was computed with. Results have 12 significant digits.
"""

import json
from pathlib import Path

import numpy as np

N, I, O, B, T = 3, 2, 2, 2, 5
DT_MS, TAU_MS = 20.0, 80.0
ALPHA = DT_MS / TAU_MS
SIGMA, SIGMA_POST = 0.2, 0.1

ACTIVATIONS = {
    "relu": lambda v: np.maximum(v, 0),
    "tanh": np.tanh,
    "sigmoid": lambda v: 1 / (1 + np.exp(-v)),
    "retanh": lambda v: np.maximum(np.tanh(v), 0),
    "softplus": lambda v: np.log(1 + np.exp(v)),
    "power": lambda v: np.maximum(v, 0) ** 2,
    "linear": lambda v: v,
    "leaky_relu": lambda v: np.where(v > 0, v, 0.01 * v),
    "clipped_relu": lambda v: np.clip(v, 0, 1),
    "cubic": lambda v: np.clip(v, -1, 1) - np.clip(v, -1, 1) ** 3 / 3,
}


def wave(amplitude, phase, *shape):
    """amplitude * sin(phase + 1.3 i + 2.1 j + 3.7 k), rounded to 4 decimals."""
    steps = (1.3, 2.1, 3.7)
    angle = phase + sum(step * i for step, i in zip(steps, np.indices(shape)))
    return np.round(amplitude * np.sin(angle), 4)


NETWORK = {
    "w_in": wave(0.9, 0.3, N, I),
    "w_rc": wave(0.8, 0.5, N, N),
    "bias": wave(0.2, 1.1, N),
    "w_out": wave(0.7, 2.0, O, N),
    "bias_out": wave(0.3, 0.7, O),
}
TRIALS = {
    "inputs": wave(1.0, 0.2, B, T, I),
    "initial_state": wave(0.5, 0.9, B, N),
    "preactivation_noise": wave(1.5, 0.4, B, T, N),
    "postactivation_noise": wave(1.5, 2.6, B, T, N),
}


def simulate(form, activation, convention):
    w_in, w_rc, bias, w_out, bias_out = NETWORK.values()
    inputs, state, n, xi = TRIALS.values()
    f = ACTIVATIONS[activation]
    scale = {None: 0.0, "spec": SIGMA, "song": np.sqrt(2 / ALPHA) * SIGMA, "raw": 0.0}[convention]
    jump = SIGMA if convention == "raw" else 0.0
    readout_noise = 0.0 if convention is None else SIGMA_POST

    potentials, rates, outputs = [], [], []
    for t in range(T):
        rate = f(state) if form == "voltage" else state
        drive = rate @ w_rc.T + inputs[:, t] @ w_in.T + bias + scale * n[:, t]
        gained = drive if form == "voltage" else f(drive)
        state = (1 - ALPHA) * state + ALPHA * gained + jump * n[:, t]
        rate = f(state) if form == "voltage" else state
        potentials.append(state if form == "voltage" else drive)
        rates.append(rate)
        outputs.append((rate + readout_noise * xi[:, t]) @ w_out.T + bias_out)
    return {
        "form": form,
        "activation": activation,
        "convention": convention,
        "potentials": rounded(np.stack(potentials, axis=1)),
        "rates": rounded(np.stack(rates, axis=1)),
        "outputs": rounded(np.stack(outputs, axis=1)),
    }


def rounded(array):
    """Nested lists with 12 significant digits."""
    if array.ndim > 0:
        return [rounded(part) for part in array]
    return float(f"{array:.12g}")


def main():
    head = {"dt_ms": DT_MS, "tau_ms": TAU_MS, "sigma": SIGMA, "sigma_post": SIGMA_POST}
    arrays = {name: array.tolist() for name, array in (NETWORK | TRIALS).items()}
    cases = [
        simulate(form, activation, convention)
        for form in ("voltage", "rate")
        for activation in ACTIVATIONS
        for convention in (None, "spec", "song", "raw")
    ]
    fields = [f'"{name}":{compact(value)}' for name, value in (head | arrays).items()]
    fields.append('"cases":[\n' + ",\n".join(map(compact, cases)) + "\n]")
    path = Path(__file__).with_name("ctrnn.json")
    path.write_text("{" + ",\n".join(fields) + "}\n")
    print(f"{path}: {len(cases)} cases, {path.stat().st_size} bytes")


def compact(value):
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


if __name__ == "__main__":
    main()
