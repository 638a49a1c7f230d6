"""The folder that a training leaves behind."""

import csv
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

TEXT_COLUMNS = ("split",)


@dataclass(frozen=True)
class Run:
    """A run: where it is, what its network is, and how its training went."""

    path: Path
    """The run folder."""
    model: dict
    """What the network is: sizes, dt_ms, tau_ms, form, activation, noise and the rest of `model` in model/model.json."""
    config: dict
    """The resolved configuration, without the device."""
    task: str
    """Name of the task."""
    step: int
    """Updates behind the weights in model/."""
    state: str
    """created, running, stopped, done or failed."""

    def metrics(self, split=None):
        """Columns of metrics.csv by name, as arrays; NaN where nothing was measured. `split` is "train" or "val", or None for
        all rows."""
        with open(self.path / "metrics.csv", newline="", encoding="utf-8") as file:
            rows = csv.DictReader(file)
            names, rows = rows.fieldnames, [row for row in rows if split in (None, row["split"])]
        number = lambda text: float(text) if text else np.nan
        column = lambda name: [row[name] if name in TEXT_COLUMNS else number(row[name]) for row in rows]
        return {name: np.array(column(name)) for name in names}

    def events(self):
        """What happened, in order: the objects of events.jsonl."""
        with open(self.path / "events.jsonl", encoding="utf-8") as file:
            return [json.loads(line) for line in file]

    def checkpoints(self):
        """The steps of which there is a checkpoint, in order."""
        folders = (self.path / "checkpoints").glob("step-*")
        return sorted(int(folder.name.removeprefix("step-")) for folder in folders)


def load_run(path):
    """The run in the folder `path`, which has ended or been stopped: its weights are in model/.

    Raises FileNotFoundError where there is no such run.
    """
    path = Path(path)
    if not (path / "RUN.json").is_file():
        raise FileNotFoundError(f"{path} is not a run: it has no RUN.json")
    if not (path / "model" / "model.json").is_file():
        raise FileNotFoundError(f"{path} has no model/: continue it with `train-ctrnn resume {path}`")
    described = read_json(path / "model" / "model.json")
    return Run(
        path=path,
        model=described["model"],
        config=described["config"],
        task=described["task"],
        step=described["step"],
        state=read_json(path / "RUN.json")["state"],
    )


def read_json(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)
