"""Tasks as environments of gymnasium, and environments of neurogym as tasks. Needs the extra `gym`: `pip install train-ctrnn[gym]`.

    from ctrnn.gym import TaskEnv
    env = TaskEnv(ctrnn.task("go_nogo"))           # an episode is a trial, an action is a choice
    observation, info = env.reset(seed=1)

    from ctrnn.gym import NeurogymTask             # needs neurogym, which is not in the extra: it pins its numpy
    class Decision(NeurogymTask):
        env = "PerceptualDecisionMaking-v0"
        conditions = {"coh": [6.4, 25.6], "ground_truth": [0, 1]}
"""

from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from .builtin import BuiltinTask
from .tasks import Clock, Task

#: Number of trials that are made at once.
_TOGETHER = 64


class TaskEnv(gymnasium.Env[NDArray[np.float32], Any]):
    """Environment of gymnasium whose episodes are the trials of a task.

    The observation at a time step is the input [input]. If the task has choices, an action is the number of one of them, and the reward is 1 for
    the correct choice at the last time step that counts, 0 otherwise. If it has none, an action is the value of each output [output], and the reward
    is the negative mean squared error times the mask. `info["gt"]` has the target of the time step in the form of an action, and
    `info["condition"]` the condition of the trial.

    Parameters
    ----------
    task : BuiltinTask or Task
        Task whose trials are the episodes.
    dt_ms : float
        Time step in ms, for a task that is a class in Python; a task of the program has its own.
    """

    metadata = {"render_modes": []}

    def __init__(self, task: BuiltinTask | Task, *, dt_ms: float = 20.0) -> None:
        self.task = task
        self._options = {"dt_ms": dt_ms} if isinstance(task, Task) else {}
        names = task.outputs if task.choices is None else task.choices
        self._choices = [list(task.outputs).index(name) for name in names]
        n_inputs, n_outputs = len(task.inputs), len(task.outputs)
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (n_inputs,), np.float32)
        if self._choices:
            self.action_space = gymnasium.spaces.Discrete(max(2, len(self._choices)))
        else:
            self.action_space = gymnasium.spaces.Box(-np.inf, np.inf, (n_outputs,), np.float32)
        self._seed, self._number = 0, -1

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Begins the next trial, or with a seed the first one of this seed; returns the first input and `info`."""
        super().reset(seed=seed)
        if seed is not None:
            self._seed, self._number = seed, -1
        self._number += 1
        step, row = divmod(self._number, _TOGETHER)
        if row == 0:
            self._batch = self.task.batch(_TOGETHER, seed=self._seed, step=step, **self._options)
        self._trial = {name: array[row] for name, array in self._batch.items()}
        self._n_steps = int(self._trial.get("n_steps", len(self._trial["inputs"])))
        mask = self._trial.get("mask", np.ones(self._n_steps, np.float32))
        self._mask = mask[: self._n_steps].reshape(self._n_steps, -1)
        counted = np.flatnonzero(self._mask.any(axis=1))
        self._last_counted = counted[-1] if counted.size else self._n_steps - 1
        self._t = 0
        return self._trial["inputs"][0], self._info()

    def step(self, action: Any) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Answers at the present time step; returns the next input, reward, whether the trial is over, False, and `info`."""
        reward = self._reward(action)
        self._t += 1
        is_over = self._t == self._n_steps
        if is_over:
            return np.zeros(self.observation_space.shape, np.float32), reward, True, False, self._info(self._t - 1)
        return self._trial["inputs"][self._t], reward, False, False, self._info()

    def _reward(self, action):
        target = self._target(self._t)
        if not self._choices:
            return -float(np.mean(self._mask[self._t] * (np.asarray(action) - target) ** 2))
        has_answer = self._trial.get("correct", 0) >= 0
        return float(self._t == self._last_counted and has_answer and action == target)

    def _target(self, t):
        """Returns the target of a time step in the form of an action."""
        if "labels" in self._trial:
            return self._choices.index(int(self._trial["labels"][t]))
        target = self._trial["targets"][t]
        if not self._choices:
            return target
        if len(self._choices) == 1:
            return int(target[self._choices[0]] > 0)
        return int(np.argmax(target[self._choices]))

    def _info(self, t=None):
        conditions = {name.removeprefix("cond_"): float(value) for name, value in self._trial.items() if name.startswith("cond_")}
        return {"gt": self._target(self._t if t is None else t), "condition": conditions}


class NeurogymTask(Task):
    """Task whose trials are those of an environment of neurogym: subclass it in the file that a configuration names.

    Inputs and outputs are those of the observation and the action space; the ground truth is the target, as labels if actions are choices.

    Attributes
    ----------
    env : str
        Name of the environment, such as "PerceptualDecisionMaking-v0".
    settings : dict
        Arguments of the environment, but for dt.
    conditions : dict or list of dict
        Arguments of `new_trial`, as conditions of a Task. Empty: the environment draws them, and conditions are not known.
    """

    env: str = ""
    settings: dict[str, Any] = {}

    def __init__(self) -> None:
        self._made = {}
        made = self._of(20.0)
        self.gives_labels = isinstance(made.action_space, gymnasium.spaces.Discrete)
        self.inputs = _names(made.observation_space, made.observation_space.shape[0])
        self.outputs = _names(made.action_space, made.action_space.n if self.gives_labels else made.action_space.shape[0])

    def _of(self, dt_ms):
        """Returns the environment with a time step."""
        if dt_ms not in self._made:
            import neurogym

            self._made[dt_ms] = neurogym.make(self.env, dt=dt_ms, **self.settings).unwrapped
        return self._made[dt_ms]

    def trial(self, condition: dict[str, float], rng: np.random.Generator, clock: Clock) -> Any:
        made = self._of(clock.dt_ms)
        made.seed(int(rng.integers(2**31)))
        whole = {name: int(value) if float(value).is_integer() else value for name, value in condition.items()}
        made.new_trial(**whole)
        return made.ob, made.gt


def _names(space, n):
    """Returns the names of the entries of a space of neurogym: its own, with numbers where several share one."""
    names = [str(k) for k in range(n)]
    for name, places in (getattr(space, "name", None) or {}).items():
        places = np.atleast_1d(places)
        for number, place in enumerate(places):
            names[place] = name if len(places) == 1 else f"{name} {number}"
    return names
