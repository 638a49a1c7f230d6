"""Tasks in Python.

A task is a class that makes trials:

    import numpy as np
    import ctrnn

    class StrongerInput(ctrnn.Task):
        inputs = ["left", "right"]
        outputs = ["left", "right"]
        conditions = {"coh": [0.1, 0.2, 0.4], "side": [0, 1]}

        def __init__(self, noise: float = 0.1):
            self.noise = noise

        def trial(self, condition, rng, clock):
            n_steps, n_answer = clock.steps(600), clock.steps(200)
            inputs = self.noise * rng.standard_normal((n_steps, 2))
            sign = 1 - 2 * condition["side"]
            inputs[:-n_answer] += 0.5 + 0.5 * sign * condition["coh"] * np.array([1, -1])
            targets = np.zeros((n_steps, 2))
            targets[-n_answer:, int(condition["side"])] = 1
            return inputs, targets

and a configuration names its file: `[task.python]` with `file = "my_task.py"`. `ctrnn.task(NAME)` has the tasks of the program as arrays.
"""

import itertools
import typing
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Arrays that a trial may have: name to the dimensions of each, of which the first is time.
_OF_A_TRIAL = {
    "inputs": "[time, input]",
    "targets": "[time, output]",
    "labels": "[time]",
    "mask": "[time] or [time, output]",
    "unit_targets": "[time, unit]",
}


class Clock:
    """Time grid of a run.

    Attributes
    ----------
    dt_ms : float
        Time step in ms.
    """

    dt_ms: float

    def __init__(self, dt_ms: float) -> None:
        self.dt_ms = float(dt_ms)

    def steps(self, duration_ms: float) -> int:
        """Returns the number of time steps of a duration in ms, to the nearest, half up."""
        return int(np.floor(duration_ms / self.dt_ms + 0.5))


class Task:
    """Task whose trials are made in Python.

    Attributes
    ----------
    inputs : list of str
        Names of the inputs.
    outputs : list of str
        Names of the outputs.
    choices : list of str, optional
        Outputs that are choices: the largest at the last time step that counts is the answer, of a single one the sign. None: decided by
        the targets, as the task `npz` does; []: the task has no accuracy.
    conditions : dict of str to list of float, or list of dict
        Values of each condition, of which all combinations are used; or the combinations themselves. A value of NaN says that a condition
        does not apply to a trial.
    gives_labels : bool
        True if trials have `labels`, the class at each time step, in place of `targets`.
    recorded : int
        Number of units whose recorded rates are in the `unit_targets` of a trial, for `train.loss.unit_rates`; 0 without recordings.
    """

    inputs: typing.Sequence[str] = ()
    outputs: typing.Sequence[str] = ()
    choices: typing.Sequence[str] | None = None
    conditions: typing.Mapping[str, typing.Sequence[float]] | typing.Sequence[typing.Mapping[str, float]] = {}
    gives_labels: bool = False
    recorded: int = 0

    def trial(self, condition: dict[str, float], rng: np.random.Generator, clock: Clock) -> Any:
        """Makes one trial.

        Parameters
        ----------
        condition : dict of str to float
            Condition of the trial.
        rng : numpy.random.Generator
            Source of all that is random: its seed is that of the run, the step and the trial.
        clock : Clock
            Time grid.

        Returns
        -------
        tuple or dict
            `(inputs, targets)`, `(inputs, targets, mask)`, or a dict of the arrays `inputs` [time, input], `targets` [time, output] or
            `labels` [time], and `mask` [time] or [time, output] (0: does not count; absent: everything counts). Trials may differ in length.
            Recordings are in the dict as `unit_targets` [time, unit], in which NaN means missing.
        """
        raise NotImplementedError(f"{type(self).__name__} has neither `trial` nor `trials`")

    def trials(self, n_trials: int, conditions: dict[str, NDArray[np.float64]], rng: np.random.Generator, clock: Clock) -> Any:
        """Makes a batch of trials at once, which is faster with numpy; without it `trial` is called for each.

        Parameters
        ----------
        n_trials : int
            Number of trials.
        conditions : dict of str to numpy.ndarray
            Conditions, [trial].
        rng : numpy.random.Generator
            Source of all that is random: its seed is that of the run and the step.
        clock : Clock
            Time grid.

        Returns
        -------
        tuple or dict
            As `trial` does, with the trial as the first dimension of every array, and `n_steps` [trial] if the trials differ in length.
        """
        seeds = rng.bit_generator.seed_seq.spawn(n_trials)
        made = []
        for b, seed in enumerate(seeds):
            condition = {name: values[b].item() for name, values in conditions.items()}
            made.append(self._checked(self.trial(condition, np.random.default_rng(seed), clock), "trial"))
        return _padded(made)

    def is_correct(
        self, condition: dict[str, float], trial: dict[str, NDArray[Any]], outputs: NDArray[np.float32], clock: Clock
    ) -> bool | None:
        """Says whether the outputs in a trial are a correct answer, in place of what `choices` decides.

        Parameters
        ----------
        condition : dict of str to float
            Condition of the trial.
        trial : dict of str to numpy.ndarray
            `inputs` [time, input], and `targets` [time, output] or `labels` [time].
        outputs : numpy.ndarray [time, output]
            Outputs of the network, after its output nonlinearity.
        clock : Clock
            Time grid.

        Returns
        -------
        bool or None
            None if the trial has no correct answer; it is left out of the accuracy.
        """
        raise NotImplementedError(f"{type(self).__name__} has no `is_correct`: its choices decide")

    def batch(
        self, n_trials: int, *, seed: int = 0, step: int = 0, dt_ms: float = 20.0, balanced: bool = False
    ) -> dict[str, NDArray[Any]]:
        """Makes a batch of trials, as training does.

        Parameters
        ----------
        n_trials : int
            Number of trials.
        seed, step : int
            Numbers that determine the batch.
        dt_ms : float
            Time step in ms.
        balanced : bool
            True to use the conditions in turn, False to draw them.

        Returns
        -------
        dict of str to numpy.ndarray
            `inputs` [trial, time, input], `targets` [trial, time, output] or `labels` [trial, time], `mask` and `n_steps` if the task
            gives them, and `cond_NAME` [trial] for each condition.
        """
        rng = np.random.default_rng([seed, step])
        combinations = self.combinations()
        if balanced:
            drawn = np.arange(n_trials) % len(combinations)
        else:
            drawn = rng.integers(len(combinations), size=n_trials)
        names = list(combinations[0])
        conditions = {name: np.array([combinations[k][name] for k in drawn], dtype=float) for name in names}
        made = self._checked(self.trials(n_trials, conditions, rng, Clock(dt_ms)), "trials", n_trials)
        return {**made, **{f"cond_{name}": values for name, values in conditions.items()}}

    def combinations(self) -> list[dict[str, float]]:
        """Returns every condition as a dict; a single empty one for a task without conditions."""
        given = self.conditions
        if isinstance(given, typing.Mapping):
            values = [[float(value) for value in given[name]] for name in given]
            found = [dict(zip(given, combination, strict=True)) for combination in itertools.product(*values)]
        else:
            found = [{name: float(value) for name, value in condition.items()} for condition in given]
        if not found:
            raise ValueError(f"{type(self).__name__}.conditions has no combination of values; expected at least one value of each condition")
        if any(list(condition) != list(found[0]) for condition in found):
            raise ValueError(f"{type(self).__name__}.conditions differ in their names; expected the same in each, with nan where one does not apply")
        return found

    def layout(self) -> dict[str, Any]:
        """Returns the channels as the program asks for them."""
        for name in ("inputs", "outputs"):
            names = getattr(self, name)
            if isinstance(names, str) or not names or not all(isinstance(channel, str) for channel in names):
                raise ValueError(f"{type(self).__name__}.{name} is {names!r}; expected a list of names")
        layout = {
            "inputs": list(self.inputs),
            "outputs": list(self.outputs),
            "target": "classes" if self.gives_labels else "values",
            "is_correct": type(self).is_correct is not Task.is_correct,
        }
        if self.recorded:
            layout["recorded"] = int(self.recorded)
        return layout if self.choices is None else {**layout, "choices": list(self.choices)}

    def _checked(self, made, method, n_trials=None):
        """Returns the arrays that a method made, by name, with the types of a file of trials."""
        target = "labels" if self.gives_labels else "targets"
        where = f"{type(self).__name__}.{method}"
        if isinstance(made, tuple) and len(made) in (2, 3):
            made = dict(zip(("inputs", target, "mask"), made))
        if not isinstance(made, dict):
            kind = f"a tuple of {len(made)}" if isinstance(made, tuple) else type(made).__name__
            raise TypeError(f"{where} returned {kind}; expected (inputs, {target}), (inputs, {target}, mask) or a dict of arrays")
        made = {name: value for name, value in made.items() if value is not None}
        recordings = {"unit_targets"} if self.recorded else set()
        known = {"inputs", target, "mask"} | recordings | ({"n_steps"} if n_trials is not None else set())
        if unknown := set(made) - known:
            raise ValueError(f"{where} returned {sorted(unknown)[0]!r}; expected only {', '.join(sorted(known))}")
        wanted = {"inputs", target} | recordings
        if missing := wanted - set(made):
            raise ValueError(f"{where} returned no {sorted(missing)[0]}; expected {' and '.join(sorted(wanted))}")
        arrays = {name: _numbers(value, f"{name} of {where}", name in ("labels", "n_steps")) for name, value in made.items()}
        first = () if n_trials is None else (n_trials,)
        inputs = arrays["inputs"]
        if inputs.ndim != len(first) + 2:
            raise ValueError(f"inputs of {where} have shape {inputs.shape}; expected {'[trial, time, input]' if first else '[time, input]'}")
        time = (*first, inputs.shape[len(first)])
        wanted = {
            "inputs": [(*time, len(self.inputs))],
            "targets": [(*time, len(self.outputs))],
            "labels": [time],
            "mask": [time, (*time, len(self.outputs))],
            "unit_targets": [(*time, self.recorded)],
            "n_steps": [first],
        }
        for name, array in arrays.items():
            if array.shape not in wanted[name]:
                expected = " or ".join(str(shape) for shape in wanted[name])
                raise ValueError(f"{name} of {where} have shape {array.shape}; expected {expected}")
        return arrays


def _numbers(value, what, is_whole):
    """Returns an array of numbers in the type that a file of trials has."""
    array = np.asarray(value)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{what} are of type {array.dtype}; expected real numbers")
    return array.astype(np.int64 if is_whole else np.float32)


def _padded(trials):
    """Returns the arrays of trials as those of a batch, with zeros after the end of a shorter trial."""
    lengths = [len(trial["inputs"]) for trial in trials]
    longest = max(lengths)
    if any(set(trial) != set(trials[0]) for trial in trials):
        full = set().union(*trials)
        for trial in trials:
            for name in full - set(trial):  # only `mask` may be absent
                trial[name] = np.ones(len(trial["inputs"]), np.float32)
    batch = {}
    for name in trials[0]:
        shapes = {trial[name].shape[1:] for trial in trials}
        if len(shapes) > 1:  # some masks are for each output and some for all
            n_outputs = max(shape[0] for shape in shapes if shape)
            for trial in trials:
                if trial[name].ndim == 1:
                    trial[name] = np.repeat(trial[name][:, None], n_outputs, axis=1)
        whole = np.zeros((len(trials), longest, *trials[0][name].shape[1:]), trials[0][name].dtype)
        for row, trial in zip(whole, trials, strict=True):
            row[: len(trial[name])] = trial[name]
        batch[name] = whole
    if min(lengths) < longest:
        batch["n_steps"] = np.array(lengths)
    return batch
