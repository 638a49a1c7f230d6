#!/usr/bin/env python3
"""Writes nn4n.json: states of nn4n's CTRNN with Dale's law and sparsity masks, without noise.

Needs torch, numpy and nn4n 1.2.0:  pip install torch numpy matplotlib "nn4n @ git+https://github.com/NN4Neurosim/nn4n@v1.2.0"

For each activation the file holds the weights before and after nn4n enforced its constraints in one pass in training
mode, and the rates and outputs of the passes after that. nn4n's masks are [pre, post]; everything in the file is
[post, pre] and [trial, time, unit].
"""

import json
from pathlib import Path

import numpy as np
import torch
from nn4n.model import CTRNN

N, I, O, B, T = 6, 3, 2, 2, 8
DT_MS, TAU_MS = 20.0, 100.0
ACTIVATIONS = ("relu", "sigmoid", "retanh")


def wave(amplitude, phase, *shape):
    """amplitude * sin(phase + 1.3 i + 2.1 j + 3.7 k), in single precision."""
    steps = (1.3, 2.1, 3.7)
    angle = phase + sum(step * i for step, i in zip(steps, np.indices(shape)))
    return np.float32(amplitude * np.sin(angle))


SIGNS = np.array([1, 1, 1, 1, -1, -1])  # of the units
MASKS = {
    "input.mask": np.array([[(i + j) % 3 != 0 for j in range(I)] for i in range(N)], dtype=int),
    "recurrent.mask": np.array([[(i + 2 * j) % 3 != 0 and i != j for j in range(N)] for i in range(N)], dtype=int),
    "output.mask": np.array([[j < 4 for j in range(N)] for _ in range(O)], dtype=int),
}
WEIGHTS = {
    "input.weight": wave(0.9, 0.3, N, I),
    "recurrent.weight": wave(0.8, 0.5, N, N),
    "recurrent.bias": wave(0.2, 1.1, N),
    "output.weight": wave(0.7, 2.0, O, N),
    "output.bias": wave(0.3, 0.7, O),
}
INPUTS = wave(1.0, 0.2, B, T, I)
INITIAL_STATE = wave(0.5, 0.9, B, N)


def network(activation):
    """nn4n's network with our weights: positive inputs, Dale's law in the recurrent and readout columns."""
    by_pre = lambda name: torch.tensor(MASKS[name].T)
    columns = lambda n_post: torch.tensor(np.repeat(SIGNS[:, None], n_post, axis=1))
    model = CTRNN(
        dims=[I, N, O],
        activation=activation,
        dt=DT_MS,
        tau=TAU_MS,
        weights="zero",
        biases=[None, "zero", "zero"],
        sparsity_masks=[by_pre("input.mask"), by_pre("recurrent.mask"), by_pre("output.mask")],
        ei_masks=[torch.ones(I, N), columns(N), columns(O)],
    )
    layers = [model.recurrent_layer.input_layer, model.recurrent_layer.hidden_layer, model.readout_layer]
    with torch.no_grad():
        for layer, name in zip(layers, ("input", "recurrent", "output")):
            layer.weight.copy_(torch.tensor(WEIGHTS[f"{name}.weight"]))
            if name != "input":
                layer.bias.copy_(torch.tensor(WEIGHTS[f"{name}.bias"]))
    return model, layers


def case(activation):
    model, layers = network(activation)
    inputs, state = torch.tensor(INPUTS), torch.tensor(INITIAL_STATE)
    model.train()
    model(inputs, state)  # enforces the constraints
    model.eval()
    outputs, states = model(inputs, state)
    enforced = zip(("input", "recurrent", "output"), (layer.weight for layer in layers))
    return {
        "activation": activation,
        "enforced": {f"{name}.weight": listed(weight) for name, weight in enforced},
        "rates": listed(states["h"]),
        "outputs": listed(outputs),
    }


def listed(tensor):
    return tensor.detach().numpy().tolist()


def compact(value):
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def main():
    given = {name: array.tolist() for name, array in (WEIGHTS | MASKS).items()}
    given |= {"signs": SIGNS.tolist(), "inputs": INPUTS.tolist(), "initial_state": INITIAL_STATE.tolist()}
    head = {"nn4n": "1.2.0", "dt_ms": DT_MS, "tau_ms": TAU_MS}
    fields = [f'"{name}":{compact(value)}' for name, value in (head | given).items()]
    fields.append('"cases":[\n' + ",\n".join(compact(case(a)) for a in ACTIVATIONS) + "\n]")
    path = Path(__file__).with_name("nn4n.json")
    path.write_text("{" + ",\n".join(fields) + "}\n")
    print(f"{path}: {len(ACTIVATIONS)} cases, {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
