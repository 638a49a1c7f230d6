"""Weight files: npz, and safetensors without a package for it."""

import json
import struct
from pathlib import Path

import numpy as np

from .run import MAX_LISTINGS, Run, broken_promise, load_run
from .states import load_states

DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "U8": "u1", "BOOL": "?"}


def weights(run, checkpoint=None):
    """Returns the weights of a run by name: `input.weight` [N, I], `recurrent.weight` [N, N] (effective: after sign and mask),
    `recurrent.bias` [N], `output.weight` [O, N], `output.bias` [O], `initial_state` [N] or [condition, N] (the values of each condition are
    then in `initial_state.condition.NAME` [condition]), `tau_ms` [1 or N], and where a matrix is constrained its `weight_raw`, `mask`, `sign`
    and `fixed`; a recurrent matrix of low rank has its `left` and `right` factor [N, R], and its full part as `weight_raw`.
    A network with areas has `unit.area` and `unit.type` [N], indices of `area_names` and `cell_type_names` in `model.json`.

    `run` is a Run or a folder. `checkpoint` is "last", "best" or a number of steps, instead of the newest weights, of which
    `Run.step` is the step.
    """
    given = run
    for _ in range(MAX_LISTINGS):
        run = given if isinstance(given, Run) else load_run(given)
        path = run.newest if checkpoint is None else checkpoint_of(run, checkpoint)
        if path is None:
            raise FileNotFoundError(f"{run.path} has no weights yet")
        try:
            return load_states(path) if path.suffix == ".npz" else read_safetensors(path)[0]
        except FileNotFoundError:  # a run that trains removes checkpoints for newer ones
            if run is given:
                break
    raise FileNotFoundError(f"{path} is not there any more: the run went on; load it again with load_run")


def checkpoint_of(run, checkpoint):
    """Returns the weight file of a checkpoint: last, best or a step."""
    folder, name = run.path / "checkpoints", checkpoint
    if checkpoint in ("last", "best"):
        pointer = folder / checkpoint
        name = int(pointer.read_text(encoding="utf-8").strip().removeprefix("step-")) if pointer.is_file() else checkpoint
    steps = run.checkpoints()
    if name not in steps:
        has = f"has no checkpoint {name}; there are those of steps {', '.join(map(str, steps))}" if steps else "has no checkpoint yet"
        raise FileNotFoundError(f"{run.path} {has}")
    return folder / f"step-{name:08}" / "weights.safetensors"


def read_safetensors(path):
    """Returns the tensors of a safetensors file by name, and its metadata. The header is JSON: names, types, shapes, offsets. A file of a
    checkpoint must be the one that was written."""
    path = Path(path)
    content = path.read_bytes()
    if (path.parent / "MANIFEST.json").is_file() and (problem := broken_promise(path, content)):
        raise ValueError(problem)
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    metadata = header.pop("__metadata__", {})
    data = content[8 + length :]
    return {name: tensor(data, **entry) for name, entry in header.items()}, metadata


def tensor(data, dtype, shape, data_offsets):
    begin, end = data_offsets
    return np.frombuffer(data[begin:end], DTYPES[dtype]).reshape(shape).copy()
