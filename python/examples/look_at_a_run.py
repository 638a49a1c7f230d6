"""look_at_a_run.py RUN: how the training went, what the network is, and what it does after a pulse into each input.

Needs numpy and this package. `train-ctrnn train configs/smoke.toml --run-dir RUN` makes a run.
"""

import sys

import numpy as np

import ctrnn_io


def main(path):
    run = ctrnn_io.load_run(path)
    validated = run.metrics("val")
    print(f"{run.path}: {run.task}, {run.state} after {run.step} steps")
    for step, loss, accuracy in zip(validated["step"], validated["loss"], validated["accuracy"]):
        print(f"  step {step:5.0f}  loss {loss:.4f}  accuracy {accuracy:.3f}")

    w_rc = ctrnn_io.weights(run)["recurrent.weight"]
    radius = np.abs(np.linalg.eigvals(w_rc)).max()
    print(f"{len(w_rc)} units, spectral radius of W_rc {radius:.3f}")

    n_inputs, steps = run.model["n_inputs"], 50
    pulses = np.zeros((n_inputs, steps, n_inputs))  # [trial, time, input]: a trial for each input
    pulses[np.arange(n_inputs), :5, np.arange(n_inputs)] = 1.0
    states = ctrnn_io.simulate(run, pulses)
    for i, rates in enumerate(states["rates"].mean(axis=2)):
        peak = rates.argmax()
        print(f"input {i}: mean rate {rates[peak]:.3f} at {states['t_ms'][peak]:.0f} ms, {rates[-1]:.3f} at the end")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
