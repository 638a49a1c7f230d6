"""Server of a task in Python: `python -m ctrnn.serve FILE [CLASS [ARGUMENTS]]` answers the questions of `train-ctrnn` on standard input.

The protocol is that of the task `command`: `train-ctrnn tasks describe command`.
"""

import importlib.util
import inspect
import io
import json
import os
import sys
import traceback
import typing
from pathlib import Path

import numpy as np

from .task import Task

#: Largest number of characters of an error that the program shows.
_MAX_ERROR = 1900


def load(file, name=""):
    """Returns the class of a task in a file of Python: that of this name, or the only one.

    Raises
    ------
    ValueError
        If the file has no such class, or several and none is named.
    """
    path = Path(file).resolve()
    sys.path.insert(0, str(path.parent))  # for what the file imports
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None:
        raise ValueError(f"{path} is not a file of Python; expected a name that ends with .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    is_task = lambda value: inspect.isclass(value) and issubclass(value, Task)
    found = {key: value for key, value in vars(module).items() if is_task(value) and value.__module__ == path.stem}
    if name and not is_task(getattr(module, name, None)):
        known = f"it has {', '.join(found)}" if found else "it has none"
        raise ValueError(f"{path.name} has no class {name!r} that is a ctrnn.Task; {known}")
    if not name and len(found) != 1:
        known = f"it has {', '.join(found)}: name one with `class`" if found else "expected a class that inherits from ctrnn.Task"
        raise ValueError(f"{path.name} has {len(found)} classes that are tasks; {known}")
    return getattr(module, name) if name else next(iter(found.values()))


def create(kind, arguments):
    """Returns a task of a class, with keyword arguments of the types of its annotations.

    Raises
    ------
    TypeError
        If an argument is unknown, missing, or of another type.
    """
    parameters = {name: p for name, p in inspect.signature(kind).parameters.items() if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}
    takes_any = any(p.kind == p.VAR_KEYWORD for p in inspect.signature(kind).parameters.values())
    known = f"it takes {', '.join(parameters)}" if parameters else "it takes none"
    for name in arguments:
        if name not in parameters and not takes_any:
            raise TypeError(f"{kind.__name__} has no argument {name!r}; {known}")
    for name, parameter in parameters.items():
        if name not in arguments and parameter.default is parameter.empty:
            raise TypeError(f"{kind.__name__} needs the argument {name!r}; give it in task.python.arguments")
    hints = typing.get_type_hints(kind.__init__) if "__init__" in vars(kind) else {}
    given = {name: of_type(value, hints.get(name, typing.Any), f"{kind.__name__}: argument {name!r}") for name, value in arguments.items()}
    return kind(**given)


def of_type(value, hint, what):
    """Returns a value of a configuration as the type of an annotation; types that a configuration cannot have are not checked."""
    wanted = typing.get_origin(hint) or hint
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if wanted in (int, float, str, bool, list, dict):
        is_wrong_bool = isinstance(value, bool) and wanted is not bool
        if not isinstance(value, wanted) or is_wrong_bool:
            raise TypeError(f"{what} is {value!r}; expected {wanted.__name__}")
        if wanted is list and typing.get_args(hint):
            return [of_type(item, typing.get_args(hint)[0], what) for item in value]
    return value


def failure(kind, error):
    """Returns the text of an error: the lines of the user's code where it arose, and the error itself."""
    own = str(Path(__file__).parent)
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith((own, "<frozen"))]
    lines = traceback.format_list(frames) + traceback.format_exception_only(error)
    text = f"{kind} failed:\n" + "".join(lines).rstrip()
    return text if len(text) <= _MAX_ERROR else "..." + text[-_MAX_ERROR:]


class Server:
    """Server of one task: reads questions and writes answers."""

    def __init__(self, questions, answers, file, name="", arguments="{}"):
        self.questions, self.answers = questions, answers
        self.file, self.name, self.arguments = file, name, json.loads(arguments)
        self.task = None

    def run(self):
        """Answers every question until there are no more."""
        for line in self.questions:
            question = json.loads(line)
            try:
                header, content = self.answer(question)
            except Exception as error:
                header, content = {"error": failure(self.name or Path(self.file).name, error)}, b""
            header = json.dumps({"id": question["id"], **header})
            self.answers.write(header.encode() + b"\n" + content)
            self.answers.flush()

    def answer(self, question):
        if self.task is None:
            kind = load(self.file, self.name)
            self.name = kind.__name__
            self.task = create(kind, self.arguments)
        if "hello" in question:
            self.task.combinations()
            return self.task.layout(), b""
        batch = self.task.batch(
            question["n_trials"], seed=question["seed"], step=question["step"], dt_ms=question["dt_ms"], balanced=question["balanced"]
        )
        file = io.BytesIO()
        np.savez(file, **batch)
        return {"bytes": file.tell()}, file.getvalue()


def main():
    """Serves the task that the command line names."""
    # What the task prints goes to standard error: standard output is for answers.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    Server(sys.stdin, answers, *sys.argv[1:]).run()


if __name__ == "__main__":
    main()
