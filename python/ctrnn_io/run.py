"""Reading run folders."""

import csv
import json
import re
import struct
import warnings
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .digest import SHORTEST, xxh3

TEXT_COLUMNS = ("split",)
MAX_LISTINGS = 20
"""Maximum number of attempts to list a run that is training, which removes old checkpoints while its folder is read."""


@dataclass(frozen=True)
class Run:
    """A run: its folder, the description of its network, and the record of its training."""

    path: Path
    """The run folder."""
    model: dict | None
    """Description of the network: sizes, dt_ms, tau_ms, form, activation, noise and the rest of `model` in model.json. None for an
    unfinished run of an early version."""
    config: dict | None
    """The resolved configuration, without the device."""
    task: str | None
    """Name of the task."""
    step: int | None
    """Step of the newest weights: those in model/, or in a newer checkpoint of a run that is training or was killed. None if there
    are no weights yet."""
    state: str
    """State of the run: created, running, stopped, done or failed; unknown if RUN.json is damaged."""
    newest: Path | None
    """File of the newest weights."""

    def metrics(self, split=None):
        """Returns the columns of metrics.csv by name, as arrays; NaN where nothing was measured. `split` is "train", "val" or "val.NAME" of a named validation set, or None for
        all rows. An incomplete last row is left out."""
        return table(self.path / "metrics.csv", split)

    def events(self):
        """Returns the events of the run, in order: the objects of events.jsonl. An incomplete last line is left out."""
        with open(self.path / "events.jsonl", encoding="utf-8") as file:
            return [json.loads(line) for line in file if line.endswith("\n")]

    def checkpoints(self):
        """Returns the steps of all checkpoints, in order."""
        return sorted(step for step, _ in checkpoint_folders(self.path))


def table(path, split=None):
    """Returns the columns of a metrics.csv by name; see `Run.metrics`."""
    with open(path, newline="", encoding="utf-8") as file:
        lines = [line for line in file if line.endswith("\n")]
    rows = csv.DictReader(lines)
    names, rows = rows.fieldnames or [], [row for row in rows if split in (None, row["split"])]
    number = lambda text: float(text) if text else np.nan
    column = lambda name: [row[name] if name in TEXT_COLUMNS else number(row[name]) for row in rows]
    return {name: np.array(column(name)) for name in names}


def load_run(path):
    """Loads the run in the folder `path`, which may have ended, been stopped or killed, or still be training.

    Raises FileNotFoundError if there is no run. A damaged state is skipped with a warning.
    """
    path = Path(path)
    if not (path / "RUN.json").is_file():
        raise FileNotFoundError(f"{path} is not a run: it has no RUN.json")
    for _ in range(MAX_LISTINGS):
        step, newest = newest_weights(path)
        try:
            described = description(path, newest)
            break
        except FileNotFoundError:  # the run has removed it for a newer one
            continue
    else:
        raise FileNotFoundError(f"{newest} is not there any more")
    return Run(
        path=path,
        model=described.get("model"),
        config=described.get("config"),
        task=described.get("task"),
        step=step,
        state=state_of(path),
        newest=newest,
    )


def state_of(path):
    try:
        return read_json(path / "RUN.json")["state"]
    except (ValueError, KeyError, TypeError) as error:
        warnings.warn(f"{path / 'RUN.json'} cannot be read: {error!r}", stacklevel=3)
        return "unknown"


def newest_weights(path):
    """Returns step and file of the newest undamaged state: model/, which does not change while a resumed run is training, or a newer
    checkpoint, or else the initial weights; (None, None) if there is nothing."""
    damaged = []
    for _ in range(MAX_LISTINGS):
        for step, _, file in sorted(states(path), reverse=True):
            problem = damage(file)
            if problem is None:
                return step, file
            # Else the run has removed or replaced it since it was listed.
            if file.parent.exists() and damage(file) is not None:
                damaged.append(step)
                warnings.warn(f"skipped the damaged state of step {step}: {problem}", stacklevel=3)
        initial = path / "initial" / "weights.safetensors"
        if damaged or not states(path):
            return (0, initial) if initial.is_file() and not damaged else (None, None)
    return None, None


def states(path):
    """Returns step, rank and file of model/ and of each checkpoint."""
    found = [(step, 0, folder / "weights.safetensors") for step, folder in checkpoint_folders(path)]
    model = path / "model"
    if (model / "model.json").is_file():
        try:
            found.append((int(read_json(model / "model.json")["step"]), 1, model / "weights.npz"))
        except (ValueError, KeyError, TypeError) as error:
            warnings.warn(f"passed over {model}, whose step cannot be read: {error!r}", stacklevel=4)
    return found


def checkpoint_folders(path):
    """The checkpoints with their steps; other folders, such as a copy named step-00000200.bak, are not ours."""
    for folder in (path / "checkpoints").glob("step-*"):
        digits = folder.name.removeprefix("step-")
        if re.fullmatch("[0-9]{8,}", digits) and folder.name == f"step-{int(digits):08}":
            yield int(digits), folder


def damage(weights):
    """Returns the damage to the files of a state, or None: their lengths and digests, or the checksums in an npz file."""
    try:
        if weights.suffix == ".npz":
            with zipfile.ZipFile(weights) as file:
                broken = file.testzip()
            return None if broken is None else f"{weights} is damaged in {broken}"
        manifest = read_json(weights.parent / "MANIFEST.json")
        if f"step-{manifest['step']:08}" != weights.parent.name:
            return f"{weights.parent} is the checkpoint of step {manifest['step']}"
        for name in manifest["files"]:
            problem = broken_promise(weights.parent / name, (weights.parent / name).read_bytes())
            if problem is not None:
                return problem
    except (OSError, ValueError, KeyError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        return str(error)
    return None


def broken_promise(path, content):
    """What the manifest beside a file of a checkpoint says against its content."""
    promised = read_json(path.parent / "MANIFEST.json")["files"][path.name]
    if len(content) != promised["bytes"]:
        return f"{path} is {len(content)} bytes long, but {promised['bytes']} were written"
    if "xxh3" in promised and len(content) >= SHORTEST and xxh3(content) != promised["xxh3"]:
        return f"{path} is damaged: its digest differs"
    return None


def description(path, newest):
    """Returns the content of model.json, final or initial, with the configuration of the newest weights."""
    said = {}
    for folder in ("model", "initial"):
        file = path / folder / "model.json"
        if file.is_file():
            try:
                said = read_json(file)
                break
            except ValueError:  # cut short: a process was killed, or the file is damaged
                continue
    if newest is None or newest.suffix != ".safetensors":  # arrays of numpy have no configuration
        return said
    with open(newest, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
    config = json.loads(header.get("__metadata__", {}).get("ctrnn.config", "{}"))
    if config:
        said["config"] = config
        said.setdefault("task", next(iter(config.get("task", {})), None))
    return said


def read_json(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)
