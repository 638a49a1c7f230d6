"""A run folder of two units, written by hand: what train-ctrnn leaves behind, as far as this package reads it."""

import json
from pathlib import Path

import numpy as np

from ctrnn_io.digest import xxh3

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
    np.savez(folder / "model" / "weights.npz", **arrays_of(weights))
    write_checkpoint(folder, 1, weights)
    (folder / "model" / "model.json").write_text(described(1, model))
    (folder / "RUN.json").write_text('{"state": "done"}')
    (folder / "metrics.csv").write_text(METRICS)
    (folder / "events.jsonl").write_text('{"event": "started"}\n{"event": "done"}\n')
    return folder


def write_begun(folder):
    """Writes a run that was killed, or still trains, before its first checkpoint, and in the middle of a line."""
    folder = Path(folder)
    (folder / "initial").mkdir(parents=True)
    write_safetensors(folder / "initial" / "weights.safetensors", arrays_of())
    (folder / "initial" / "model.json").write_text(described(0))
    (folder / "RUN.json").write_text('{"state": "running"}')
    (folder / "metrics.csv").write_text(METRICS + "2,0.3,8,tra")
    (folder / "events.jsonl").write_text('{"event": "started"}\n{"eve')
    return folder


def write_checkpoint(folder, step, weights=None):
    """Writes the checkpoint of a step, which `last` then names, and gives its path."""
    checkpoint = folder / "checkpoints" / f"step-{step:08}"
    checkpoint.mkdir(parents=True)
    file = checkpoint / "weights.safetensors"
    write_safetensors(file, arrays_of(weights))
    promised = {"schema": 1, "step": step, "files": {file.name: {"bytes": file.stat().st_size, "xxh3": xxh3(file.read_bytes())}}}
    (checkpoint / "MANIFEST.json").write_text(json.dumps(promised))
    (folder / "checkpoints" / "last").write_text(f"{checkpoint.name}\n")
    return checkpoint


def arrays_of(weights=None):
    return {name: np.float32(w) for name, w in (WEIGHTS | (weights or {})).items()}


def described(step, model=None):
    return json.dumps({"schema": 1, "step": step, "task": "toy", "model": MODEL | (model or {}), "config": {"seed": 1}})


def write_safetensors(path, arrays):
    config = json.dumps({"seed": 1, "task": {"toy": {}}})
    header, data = {"__metadata__": {"format": "pt", "ctrnn.config": config}}, b""
    for name, array in arrays.items():
        content = array.tobytes()
        place = [len(data), len(data) + len(content)]
        header[name] = {"dtype": "F32", "shape": list(array.shape), "data_offsets": place}
        data += content
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
