"""Runs: what was trained, and what can be asked of it."""

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

import ctrnn_io

from . import training
from ._ctrnn import Network
from .command import call, overrides, toml_value
from .results import Analysis, States


def load_run(path: str | PathLike[str]) -> "Run":
    """Returns the run in a folder; it may have ended, been stopped, or still be training.

    Raises
    ------
    FileNotFoundError
        If there is no run.
    """
    return Run(path)


class Run:
    """A run in a folder.

    Parameters
    ----------
    path : str or os.PathLike
        Folder of the run.

    Attributes
    ----------
    path : pathlib.Path
        Folder of the run.
    """

    path: Path

    def __init__(self, path: str | PathLike[str]) -> None:
        self.path = Path(path)
        ctrnn_io.load_run(self.path)  # to say at once that there is none

    def __repr__(self) -> str:
        run = self._files()
        return f"Run({str(self.path)!r}, {run.task}, {run.state}, step {run.step})"

    def _files(self) -> Any:
        return ctrnn_io.load_run(self.path)

    @property
    def state(self) -> str:
        """State of the run: created, running, stopped, done or failed."""
        return self._files().state

    @property
    def step(self) -> int:
        """Step of the newest weights."""
        return self._files().step

    @property
    def config(self) -> dict[str, Any]:
        """Resolved configuration, as a dict."""
        return json.loads(call("config", "show", self.path, "--json"))

    @property
    def metrics(self) -> Any:
        """Rows of metrics.csv: a pandas.DataFrame, or a dict of arrays where pandas is not installed."""
        columns = self._files().metrics()
        try:
            from pandas import DataFrame
        except ImportError:
            return columns
        return DataFrame(columns)

    @property
    def weights(self) -> dict[str, NDArray[Any]]:
        """Newest weights by name, [post, pre], as they act on the network; see `ctrnn_io.weights`."""
        return ctrnn_io.weights(self.path)

    @cached_property
    def network(self) -> Network:
        """Network with the newest weights, in double precision."""
        return Network(self.path)

    def checkpoint(self, which: str | int) -> Network:
        """Returns the network of a checkpoint: "last", "best" or a number of steps."""
        return Network(self.path, str(which))

    def resume(
        self, *, threads: int | None = None, progress: bool = True, on_validation: Callable[[dict[str, Any]], object] | None = None
    ) -> "Run":
        """Continues a run that was stopped, and returns it; a run that has ended needs `train.steps` above its step."""
        return training.resume(self.path, threads=threads, progress=progress, on_validation=on_validation)

    def eval(
        self,
        settings: Mapping[str, object] | None = None,
        *,
        trials: int | None = None,
        noise: bool | None = None,
        options: Sequence[str] = (),
    ) -> dict[str, Any]:
        """Measures loss and accuracy on trials of the task; returns the results by name.

        Parameters
        ----------
        settings : dict, optional
            Values of keys under task and time.
        trials : int, optional
            Number of trials.
        noise : bool, optional
            True to simulate the network's own noise. Default: as in validation.
        options : sequence of str
            Further options of the command.
        """
        words = ["--trials", trials] if trials is not None else []
        words += [] if noise is None else ["--noise" if noise else "--no-noise"]
        return json.loads(call("eval", self.path, *overrides(settings), *words, *options, "--json"))

    def simulate(
        self,
        settings: Mapping[str, object] | None = None,
        *,
        trials: int | None = None,
        inputs: ArrayLike | None = None,
        noise: bool = False,
        double: bool = False,
        checkpoint: str | int | None = None,
        options: Sequence[str] = (),
    ) -> States:
        """Runs the network and returns its states.

        Parameters
        ----------
        settings : dict, optional
            Values of keys under task and time.
        trials : int, optional
            Number of trials of the task, which cycle through its conditions.
        inputs : array_like [trial, time, input], optional
            Inputs in place of trials of the task.
        noise : bool
            True to simulate the network's own noise.
        double : bool
            True to compute in double precision.
        checkpoint : str or int, optional
            "last", "best" or a number of steps, instead of the newest weights.
        options : sequence of str
            Further options of the command: perturbations, such as `["--silence", "e:0.25@stimulus"]`.
        """
        with tempfile.TemporaryDirectory() as folder:
            words = ["--trials", trials] if trials is not None else []
            words += ["--noise"] if noise else []
            words += ["--f64"] if double else []
            words += ["--checkpoint", checkpoint] if checkpoint is not None else []
            if inputs is not None:
                np.savez(Path(folder) / "inputs.npz", inputs=np.asarray(inputs))
                words += ["--inputs", Path(folder) / "inputs.npz"]
            output = Path(folder) / "states.npz"
            call("simulate", self.path, *overrides(settings), *words, *options, "-o", output)
            return States(ctrnn_io.load_states(output))

    def analyze(
        self,
        what: str,
        settings: Mapping[str, object] | None = None,
        *,
        trials: int | None = None,
        noise: bool | None = None,
        where: str | None = None,
        by: str | None = None,
        options: Sequence[str] = (),
        **parameters: object,
    ) -> Analysis:
        """Analyses the network, as `train-ctrnn analyze` does, and returns arrays, text and figures.

        Parameters
        ----------
        what : str
            Name of an analysis: "fixed_points".
        settings : dict, optional
            Values of keys under task and time.
        trials : int, optional
            Number of trials.
        noise : bool, optional
            True to simulate the network's own noise.
        where, by : str, optional
            Selection and grouping of trials: "context=motion,coh>0.1", "context".
        options : sequence of str
            Further options of the command.
        **parameters : object
            Settings of the analysis: `starts=500`.
        """
        words = [f"{what}.{key}={toml_value(value)}" for key, value in parameters.items()]
        words += ["--trials", trials] if trials is not None else []
        words += ["--noise"] if noise else []
        words += ["--where", where] if where is not None else []
        words += ["--by", by] if by is not None else []
        printed = call("analyze", self.path, what, *overrides(settings), *words, *options, "--json")
        return Analysis(what, **json.loads(printed)["analyses"][what])

    def report(self) -> Path:
        """Writes the report of the run, one HTML page, and returns its path."""
        return Path(json.loads(call("report", self.path, "--json"))["wrote"])
