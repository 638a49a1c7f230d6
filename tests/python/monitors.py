"""Recomputes every number of the monitors from the files of a run: weights of its checkpoints, and states of `simulate --validation`.

Gradients are carried back through the recorded states by hand. No column of the monitors may be missing here."""

import csv
import subprocess
import sys

import numpy as np

PROGRAM = sys.argv[1]
TRIALS, SILENT, NEAR_BOUND, SATURATED = 32, 0.01, 0.95, 0.5
ALPHA, RATE_L2, WEIGHT_L2 = 20 / 100, 0.1, 0.02
MATRICES = ["input.weight", "recurrent.weight", "output.weight"]
SLOPES = {"relu": lambda r: (r > 0) * 1.0, "tanh": lambda r: 1 - r * r}
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
loss = {{ name = "mse", rate_l2 = 0.1, weight_l2 = 0.02 }}
[validate]
every_steps = 5
trials = {trials}
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
    change = sum(((new[name] - old[name]) ** 2).sum() for name in MATRICES)
    return np.sqrt(change / sum((old[name] ** 2).sum() for name in MATRICES))


def carried_back(weights, slope, begin, trial, by_rate, by_output):
    """Gradients of a function of rates and outputs, by backpropagation through the states of a trial."""
    rates, inputs = trial
    before = np.concatenate([begin[None], rates[:-1]])
    by_rate = by_rate + by_output @ weights["output.weight"]
    by_state, later = np.zeros_like(rates), np.zeros(len(begin))
    for t in reversed(range(len(rates))):
        through = ALPHA * weights["recurrent.weight"].T @ later
        later = by_state[t] = slope(rates[t]) * (by_rate[t] + through) + (1 - ALPHA) * later
    return {
        "input.weight": ALPHA * by_state.T @ inputs,
        "recurrent.weight": ALPHA * by_state.T @ before,
        "recurrent.bias": ALPHA * by_state.sum(axis=0),
        "initial_state": slope(begin) * (ALPHA * weights["recurrent.weight"].T @ later) + (1 - ALPHA) * later,
        "output.weight": by_output.T @ rates,
        "output.bias": by_output.sum(axis=0),
    }


def gradients_of_terms(weights, activation, arrays):
    """Norm of the gradient of each term of the loss, and the mean squared error itself."""
    slope = SLOPES[activation]
    begin = {"relu": lambda v: np.maximum(v, 0), "tanh": np.tanh}[activation](weights["initial_state"])
    n_steps = arrays["n_steps"][:TRIALS]
    within = sum(n_steps) * len(begin)
    every = [{name: arrays[name][b, :n].astype(float) for name in ["rates", "inputs", "outputs", "targets", "mask"]} for b, n in enumerate(n_steps)]
    for trial in every:
        trial["mask"] = np.broadcast_to(trial["mask"].reshape(len(trial["rates"]), -1), trial["targets"].shape)
    scored = sum(trial["mask"].sum() for trial in every)
    sums = {"mse": {}, "rate_l2": {}}
    error = 0.0
    for trial in every:
        off = trial["outputs"] - trial["targets"]
        error += (trial["mask"] * off**2).sum() / scored
        rates = trial["rates"]
        sources = {
            "mse": (np.zeros_like(rates), 2 * trial["mask"] * off / scored),
            "rate_l2": (2 * RATE_L2 * rates / within, np.zeros_like(off)),
        }
        for term, (by_rate, by_output) in sources.items():
            found = carried_back(weights, slope, begin, (rates, trial["inputs"]), by_rate, by_output)
            for name, gradient in found.items():
                sums[term][name] = sums[term].get(name, 0.0) + gradient
    sums["weight_l2"] = {name: 2 * WEIGHT_L2 * weights[name] / weights[name].size for name in MATRICES}
    norms = {f"grad_norm_{term}": np.sqrt(sum((g**2).sum() for g in of.values())) for term, of in sums.items()}
    return norms, error


def recomputed(run, activation, step, bound):
    states = f"{run}-{step}.npz"
    program("simulate", run, "--checkpoint", str(step), "--validation", "--noise", "-o", states)
    with np.load(states, allow_pickle=False) as file:
        arrays = dict(file)
    rates, n_steps = arrays["rates"][:TRIALS].astype(float), arrays["n_steps"][:TRIALS]
    rows = np.concatenate([trial[:n] for trial, n in zip(rates, n_steps)])
    peak = np.abs(rows).max(axis=0)
    near = (np.abs(rows) >= NEAR_BOUND * bound).mean(axis=0)
    covariance = np.cov(rows.T, bias=True)
    weights = weights_at(run, step)
    norms, error = gradients_of_terms(weights, activation, arrays)
    return rows.mean(axis=0), peak, error, norms | {
        "silent": (peak <= SILENT).mean(),
        "saturated": (near >= SATURATED).mean(),
        "participation": np.trace(covariance) ** 2 / (covariance**2).sum(),
        "radius": np.abs(np.linalg.eigvals(weights["recurrent.weight"])).max(),
        "drift": distance(weights, weights_at(run, 0)),
        "drift_last": distance(weights, weights_at(run, step - 5)),
    }


def check(activation, bound, trials):
    with open(f"{activation}.toml", "w") as file:
        file.write(CONFIG.format(activation=activation, trials=trials))
    program("train", f"{activation}.toml", "--run-dir", activation)
    with open(f"{activation}/metrics.csv", newline="") as file:
        rows = {int(row["step"]): row for row in csv.DictReader(file) if row["split"] == "val"}
    with open(f"{activation}/units.csv", newline="") as file:
        units = list(csv.DictReader(file))
    assert sorted(rows) == [5, 10, 15] and len(units) == 3 * 12
    for step, row in rows.items():
        mean, peak, error, expected = recomputed(activation, activation, step, bound)
        monitors = set(row) - {"step", "wall_s", "trials", "split", "loss", "accuracy", "grad_norm", "lr", "noise"}
        assert monitors - {f"loss_{term}" for term in ["mse", "rate_l2", "weight_l2"]} == set(expected), monitors
        if trials == TRIALS:  # the monitors see all trials of the validation
            assert abs(float(row["loss_mse"]) - error) <= 2e-5 * error, (row["loss_mse"], error)
        for name, value in expected.items():
            assert abs(float(row[name]) - value) <= 2e-5 * max(1, abs(value)), (activation, step, name, row[name], value)
        own = [unit for unit in units if int(unit["step"]) == step]
        assert [int(unit["unit"]) for unit in own] == list(range(12))
        np.testing.assert_allclose([float(unit["mean"]) for unit in own], mean, atol=2e-6)
        np.testing.assert_allclose([float(unit["peak"]) for unit in own], peak, atol=2e-6)
        print(activation, step, {name: round(float(value), 4) for name, value in expected.items()})


check("relu", np.inf, 80)
check("tanh", 1.0, TRIALS)
