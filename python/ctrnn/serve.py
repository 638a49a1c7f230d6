"""Server of a task in Python: `python -m ctrnn.serve FILE [CLASS [ARGUMENTS]]`.

The protocol is that of the task `command`: `train-ctrnn tasks describe command`.
"""

import inspect
import io
import json
import sys
from pathlib import Path

import numpy as np

from .server import Server, arrays_of, serve
from .tasks import Clock, Task
from .user_code import checked_arguments, module_of


def load(file, name=""):
    """Returns the class of a task in a file of Python: that of this name, or the only one.

    Raises
    ------
    ValueError
        If the file has no such class, or several and none is named.
    """
    module, file = module_of(file), Path(file).name
    is_task = lambda value: inspect.isclass(value) and issubclass(value, Task)
    found = {key: value for key, value in vars(module).items() if is_task(value) and value.__module__ == module.__name__}
    if name and not is_task(getattr(module, name, None)):
        known = f"it has {', '.join(found)}" if found else "it has none"
        raise ValueError(f"{file} has no class {name!r} that is a ctrnn.Task; {known}")
    if not name and len(found) != 1:
        known = f"it has {', '.join(found)}: name one with `class`" if found else "expected a class that inherits from ctrnn.Task"
        raise ValueError(f"{file} has {len(found)} classes that are tasks; {known}")
    return getattr(module, name) if name else next(iter(found.values()))


class TaskServer(Server):
    """Server of one task."""

    def __init__(self, questions, answers, file, name="", arguments="{}"):
        super().__init__(questions, answers, name or Path(file).name)
        self.file, self.kind, self.arguments = file, name, json.loads(arguments)
        self.task = None

    def answer(self, question, content):
        if self.task is None:
            kind = load(self.file, self.kind)
            self.name = kind.__name__
            self.task = kind(**checked_arguments(kind, self.arguments, "task.python.arguments"))
        if "hello" in question:
            self.task.combinations()
            return self.task.layout(), b""
        if "is_correct" in question:
            return {"correct": self.judged(question, arrays_of(question, content))}, b""
        batch = self.task.batch(
            question["n_trials"], seed=question["seed"], step=question["step"], dt_ms=question["dt_ms"], balanced=question["balanced"]
        )
        file = io.BytesIO()
        np.savez(file, **batch)
        return {}, file.getvalue()

    def judged(self, question, trial):
        """Returns whether the outputs of a trial are correct: a bool, or None."""
        outputs = trial.pop("outputs")
        if "labels" in trial:
            trial["labels"] = trial["labels"].astype(int)
        found = self.task.is_correct(question["condition"], trial, outputs, Clock(question["dt_ms"]))
        if found is not None and not isinstance(found, (bool, np.bool_)):
            raise TypeError(f"{self.name}.is_correct returned {found!r}; expected True, False, or None where no answer is correct")
        return None if found is None else bool(found)


if __name__ == "__main__":
    serve(TaskServer, *sys.argv[1:])
