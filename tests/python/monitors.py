"""Recomputes every number of the monitors from the files of a run: weights of its checkpoints, and states of `simulate --validation`."""

import csv
import subprocess
import sys

import numpy as np

PROGRAM = sys.argv[1]
TRIALS, SILENT, NEAR_BOUND, SATURATED = 32, 0.01, 0.95, 0.5
CONFIG = """
version = 1
seed = 3
[task.go_nogo]
delay_ms = {{ uniform = [40, 120] }}
[model]
n_units = 12
activation = "{activation}"
noise = {{ preactivation = 0.3, convention = "song" }}
init = {{ spectral_radius = 1.8 }}
[train]
steps = 15
batch_size = 8
optimizer = {{ name = "adam", lr = 0.05 }}
[validate]
every_steps = 5
trials = 80
monitors = true
[checkpoint]
every_steps = 5
keep_last = 20
"""


def program(*arguments):
    subprocess.run([PROGRAM, *arguments], check=True, capture_output=True)


def npz_weights(file):
    """Reads a safetensors file of f32 arrays, without the library."""
    import json
    import struct

    data = file.read()
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + size])
    header.pop("__metadata__", None)
    body = data[8 + size :]
    return {
        name: np.frombuffer(body[slice(*entry["data_offsets"])], "<f4").reshape(entry["shape"]).astype(float)
        for name, entry in header.items()
        if entry["dtype"] == "F32"
    }


def weights_at(run, step):
    path = f"{run}/initial/weights.safetensors" if step == 0 else f"{run}/checkpoints/step-{step:08}/weights.safetensors"
    with open(path, "rb") as file:
        return npz_weights(file)


def distance(new, old):
    names = ["input.weight", "recurrent.weight", "output.weight"]
    change = sum(((new[name] - old[name]) ** 2).sum() for name in names)
    return np.sqrt(change / sum((old[name] ** 2).sum() for name in names))


def recomputed(run, step, bound):
    states = f"{run}-{step}.npz"
    program("simulate", run, "--checkpoint", str(step), "--validation", "--noise", "-o", states)
    with np.load(states, allow_pickle=False) as arrays:
        rates, n_steps = arrays["rates"][:TRIALS].astype(float), arrays["n_steps"][:TRIALS]
    rows = np.concatenate([trial[:n] for trial, n in zip(rates, n_steps)])
    peak = np.abs(rows).max(axis=0)
    near = (np.abs(rows) >= NEAR_BOUND * bound).mean(axis=0)
    covariance = np.cov(rows.T, bias=True)
    weights = weights_at(run, step)
    return rows.mean(axis=0), peak, {
        "silent": (peak <= SILENT).mean(),
        "saturated": (near >= SATURATED).mean(),
        "participation": np.trace(covariance) ** 2 / (covariance**2).sum(),
        "radius": np.abs(np.linalg.eigvals(weights["recurrent.weight"])).max(),
        "drift": distance(weights, weights_at(run, 0)),
        "drift_last": distance(weights, weights_at(run, step - 5)),
    }


def check(activation, bound):
    with open(f"{activation}.toml", "w") as file:
        file.write(CONFIG.format(activation=activation))
    program("train", f"{activation}.toml", "--run-dir", activation)
    with open(f"{activation}/metrics.csv", newline="") as file:
        rows = {int(row["step"]): row for row in csv.DictReader(file) if row["split"] == "val"}
    with open(f"{activation}/units.csv", newline="") as file:
        units = list(csv.DictReader(file))
    assert sorted(rows) == [5, 10, 15] and len(units) == 3 * 12
    for step, row in rows.items():
        mean, peak, expected = recomputed(activation, step, bound)
        for name, value in expected.items():
            assert abs(float(row[name]) - value) <= 2e-5 * max(1, abs(value)), (activation, step, name, row[name], value)
        own = [unit for unit in units if int(unit["step"]) == step]
        assert [int(unit["unit"]) for unit in own] == list(range(12))
        np.testing.assert_allclose([float(unit["mean"]) for unit in own], mean, atol=2e-6)
        np.testing.assert_allclose([float(unit["peak"]) for unit in own], peak, atol=2e-6)
        print(activation, step, {name: round(float(value), 4) for name, value in expected.items()})


check("relu", np.inf)
check("tanh", 1.0)
