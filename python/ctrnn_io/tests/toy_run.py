"""A run folder of two units, written by hand: what train-ctrnn leaves behind, as far as this package reads it."""

import json
from pathlib import Path

import numpy as np

MODEL = {
    "dt_ms": 20.0,
    "integrator": "euler",
    "form": "voltage",
    "activation": "relu",
    "output_nonlinearity": "identity",
    "noise": {"preactivation": 0.0, "postactivation": 0.0, "input": 0.0, "input_tau_ms": 100.0, "convention": "spec"},
    "input": {"baseline": 0.0, "rectify": False},
}
WEIGHTS = {
    "input.weight": [[1.0], [0.0]],
    "recurrent.weight": [[0.0, 0.0], [2.0, 0.0]],  # unit 0 drives unit 1
    "recurrent.bias": [0.0, 0.5],
    "output.weight": [[1.0, -1.0]],
    "output.bias": [0.25],
    "initial_state": [1.0, -1.0],
    "tau_ms": [100.0],
}
METRICS = "step,wall_s,trials,split,loss,accuracy,grad_norm,lr\n1,0.1,4,train,0.5,,2.0,0.001\n1,0.2,4,val,0.4,0.75,,\n"


def write(folder, model=None, weights=None):
    """Writes the run into `folder` and gives its path."""
    folder = Path(folder)
    (folder / "model").mkdir(parents=True)
    (folder / "checkpoints" / "step-00000001").mkdir(parents=True)
    (folder / "checkpoints" / "last").write_text("step-00000001\n")
    arrays = {name: np.float32(w) for name, w in (WEIGHTS | (weights or {})).items()}
    np.savez(folder / "model" / "weights.npz", **arrays)
    write_safetensors(folder / "checkpoints" / "step-00000001" / "weights.safetensors", arrays)
    described = {"schema": 1, "step": 1, "task": "toy", "model": MODEL | (model or {}), "config": {"seed": 1}}
    (folder / "model" / "model.json").write_text(json.dumps(described))
    (folder / "RUN.json").write_text('{"state": "done"}')
    (folder / "metrics.csv").write_text(METRICS)
    (folder / "events.jsonl").write_text('{"event": "started"}\n{"event": "done"}\n')
    return folder


def write_safetensors(path, arrays):
    header, data = {"__metadata__": {"format": "pt"}}, b""
    for name, array in arrays.items():
        content = array.tobytes()
        place = [len(data), len(data) + len(content)]
        header[name] = {"dtype": "F32", "shape": list(array.shape), "data_offsets": place}
        data += content
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
