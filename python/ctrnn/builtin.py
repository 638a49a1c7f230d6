"""Tasks of the program, whose trials are arrays for any other program."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _ctrnn
from .command import plain


class BuiltinTask:
    """Task of the program.

    Attributes
    ----------
    name : str
        Name of the task.
    inputs, outputs, choices : list of str
        Names of the inputs, of the outputs, and of the outputs that are choices.
    dt_ms : float
        Time step in ms.
    """

    name: str
    inputs: list[str]
    outputs: list[str]
    choices: list[str]
    dt_ms: float

    def __init__(self, name: str, settings: Mapping[str, object] | None = None, *, dt_ms: float = 20.0) -> None:
        self.name = name
        self._task = _ctrnn.BuiltinTask(name, json.dumps(dict(settings or {}), default=plain), float(dt_ms))
        self.inputs, self.outputs, self.choices, self.dt_ms = self._task.inputs, self._task.outputs, self._task.choices, self._task.dt_ms

    def __repr__(self) -> str:
        return f"BuiltinTask({self.name!r}, {len(self.inputs)} inputs, {len(self.outputs)} outputs, dt {self.dt_ms} ms)"

    def batch(self, n_trials: int, *, seed: int = 0, step: int = 0, balanced: bool = False) -> dict[str, NDArray[Any]]:
        """Makes a batch of trials: that of the training step `step` of a run with this seed.

        Parameters
        ----------
        n_trials : int
            Number of trials.
        seed, step : int
            Numbers that determine the batch.
        balanced : bool
            True to use the conditions in turn: at step 0, the validation trials of a run with this seed.

        Returns
        -------
        dict of str to numpy.ndarray
            `inputs` [trial, time, input], `targets` [trial, time, output] or `labels` [trial, time], `mask` [trial, time] or
            [trial, time, output] (0: does not count), `n_steps` [trial], the length of each trial, after which everything is 0,
            `correct` [trial], the output that is the correct choice (-1: none), and `cond_NAME` [trial] for each condition.
        """
        return self._task.batch(n_trials, seed=seed, step=step, balanced=balanced)

    def score(self, outputs: ArrayLike, *, seed: int = 0, step: int = 0, balanced: bool = False) -> NDArray[np.float64]:
        """Says in which trials of a batch the outputs are correct, as the accuracy of the program does.

        Parameters
        ----------
        outputs : array_like [trial, time, output]
            Outputs for the batch of these numbers.
        seed, step, balanced
            Numbers of the batch, as in `batch`.

        Returns
        -------
        numpy.ndarray [trial]
            1 where the answer is correct, 0 where it is not, nan where there is no correct answer: `numpy.nanmean` of it is the accuracy.

        Raises
        ------
        TypeError
            If the outputs are not real numbers.
        ValueError
            If their shape is not that of the batch.
        """
        given = np.asarray(outputs)
        if given.dtype.kind not in "fiub":
            raise TypeError(f"`outputs` is an array of {given.dtype}; expected real numbers")
        return self._task.score(np.ascontiguousarray(given, np.float32), seed=seed, step=step, balanced=balanced)


def task(name: str, settings: Mapping[str, object] | None = None, *, dt_ms: float = 20.0) -> BuiltinTask:
    """Returns a task of the program, whose trials any other program can use.

    Parameters
    ----------
    name : str
        Name of the task: `ctrnn.call("tasks", "list")` lists them.
    settings : dict, optional
        Values of keys of its table: `{"delay_ms": 500}`.
    dt_ms : float
        Time step in ms.

    Raises
    ------
    KeyError
        If there is no such task.
    ValueError
        If a key is wrong.
    """
    return BuiltinTask(name, settings, dt_ms=dt_ms)
