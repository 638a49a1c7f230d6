#!/usr/bin/env python3
"""Writes truncated.json: gradients of truncated backpropagation through time in float64, from their definition alone (needs numpy).

    v(t+1) = (1 - alpha) v(t) + alpha [W_rc r(t) + W_in u(t) + b]     r = tanh(v)     y(t) = W_out r(t+1) + b_out
    L      = sum_t m(t) (y(t) - target(t))^2 / sum_t m(t)

With a window w and a stride s, the loss of the time steps k s .. (k + 1) s - 1 is differentiated with the state before time step
max(0, (k + 1) s - w) held constant. No step is taken back in time: the derivative of the state by each parameter runs forward beside
the state, from zero where a window begins.

Weights are rounded formulas, and trials are rounded to single precision, as tasks have them: what the file says is exactly what was
computed with.
"""

import json
from pathlib import Path

import numpy as np

N, I, T = 3, 2, 7
ALPHA = 0.25
CASES = [(7, 7), (3, 1), (3, 3), (4, 2), (1, 1), (5, 5), (8, 4)]


def wave(amplitude, phase, *shape):
    """amplitude * sin(phase + 1.3 i + 2.1 j), rounded to 4 decimals."""
    angle = phase + sum(step * i for step, i in zip((1.3, 2.1), np.indices(shape)))
    return np.round(amplitude * np.sin(angle), 4)


PARAMETERS = {
    "input.weight": wave(0.9, 0.3, N, I),
    "recurrent.weight": wave(1.1, 0.5, N, N),
    "recurrent.bias": wave(0.2, 1.1, N),
    "output.weight": wave(0.7, 2.0, 1, N),
    "output.bias": wave(0.3, 0.7, 1),
    "initial_state": wave(0.5, 0.9, N),
}
INPUTS = wave(1.0, 0.2, T, I).astype(np.float32).astype(float)
TARGETS = wave(0.8, 1.7, T).astype(np.float32).astype(float)
MASK = np.array([0.0, 1.0, 0.5, 1.0, 0.0, 0.5, 1.0])  # sums to 4: burn rounds the gradient of a division to single precision


def states():
    """Returns the state before each time step, and after the last."""
    p, v = PARAMETERS, [PARAMETERS["initial_state"]]
    for t in range(T):
        drive = p["recurrent.weight"] @ np.tanh(v[t]) + p["input.weight"] @ INPUTS[t] + p["recurrent.bias"]
        v.append((1 - ALPHA) * v[t] + ALPHA * drive)
    return v


def from_window(v, start, seen, gradients):
    """Adds the gradients of the loss of the time steps `seen`, with the state before time step `start` held constant."""
    p = PARAMETERS
    by = {name: np.zeros((N, *value.shape)) for name, value in p.items() if not name.startswith("output")}
    if start == 0:
        by["initial_state"] = np.eye(N)
    for t in range(start, seen.stop):
        rates, slopes = np.tanh(v[t]), 1 - np.tanh(v[t]) ** 2
        carried = (1 - ALPHA) * np.eye(N) + ALPHA * p["recurrent.weight"] * slopes
        by = {name: np.tensordot(carried, dv, 1) for name, dv in by.items()}
        for i in range(N):
            by["recurrent.weight"][i, i] += ALPHA * rates
            by["input.weight"][i, i] += ALPHA * INPUTS[t]
            by["recurrent.bias"][i, i] += ALPHA
        if t not in seen:
            continue
        rates, slopes = np.tanh(v[t + 1]), 1 - np.tanh(v[t + 1]) ** 2
        y = p["output.weight"] @ rates + p["output.bias"]
        error = 2 * MASK[t] * (y - TARGETS[t]) / MASK.sum()
        gradients["output.weight"] += np.outer(error, rates)
        gradients["output.bias"] += error
        by_state = (error @ p["output.weight"]) * slopes
        for name, dv in by.items():
            gradients[name] += np.tensordot(by_state, dv, 1)


def truncated(window, stride):
    gradients = {name: np.zeros_like(value) for name, value in PARAMETERS.items()}
    v = states()
    for first in range(0, T, stride):
        start = max(0, first + stride - window)
        from_window(v, start, range(first, min(first + stride, T)), gradients)
    return {"window": window, "stride": stride, "gradients": {k: g.ravel().tolist() for k, g in gradients.items()}}


def main():
    found = {
        "alpha": ALPHA,
        "parameters": {name: value.tolist() for name, value in PARAMETERS.items()},
        "inputs": INPUTS.tolist(),
        "targets": TARGETS.tolist(),
        "mask": MASK.tolist(),
        "cases": [truncated(*case) for case in CASES],
    }
    path = Path(__file__).with_name("truncated.json")
    path.write_text(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
