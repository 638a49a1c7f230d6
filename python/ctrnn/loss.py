"""Server of a term of the loss in Python: `python -m ctrnn.loss FILE FUNCTION [ARGUMENTS]`.

A term is a function of what its parameters name, which returns its value and gradients:

    import numpy as np

    def slow(rates, weight: float = 0.1):
        change = np.diff(rates, axis=1)
        gradient = np.zeros_like(rates)
        gradient[:, 1:] += change
        gradient[:, :-1] -= change
        return weight * np.mean(change**2), {"rates": 2 * weight / change.size * gradient}

and a configuration names it: `train.loss.python = { slow = { file = "my_loss.py" } }`. With the decorator `ctrnn.torch.loss` it takes tensors
and returns the value alone.
"""

import inspect
import json
import math
import sys
from numbers import Real
from pathlib import Path

import numpy as np

from .server import Server, arrays_of, serve
from .user_code import checked_arguments, module_of

#: Quantities that a function may take, besides `weights` and `gradient`.
_QUANTITIES = ("outputs", "rates", "targets", "mask", "n_steps")
#: Parameters that are not arguments of a configuration. `gradient` is False where the value alone is needed.
_GIVEN = (*_QUANTITIES, "weights", "gradient")


class LossServer(Server):
    """Server of one term."""

    def __init__(self, questions, answers, file, function, arguments="{}"):
        super().__init__(questions, answers, function)
        self.file, self.arguments = file, json.loads(arguments)
        self.function = None

    def answer(self, question, content):
        if self.function is None:
            self.load()
        if "hello" in question:
            return {"takes": [name for name in self.takes if name != "gradient"]}, b""
        return self.evaluated(arrays_of(question, content), question["gradient"])

    def load(self):
        """Finds the function, and what it takes."""
        function = getattr(module_of(self.file), self.name, None)
        if not inspect.isfunction(function):
            raise ValueError(f"{Path(self.file).name} has no function {self.name!r}")
        self.takes = [name for name in inspect.signature(function).parameters if name in _GIVEN]
        if not set(self.takes) & {"outputs", "rates", "weights"}:
            raise ValueError(f"{self.name} takes neither outputs, rates nor weights; expected one of them among its parameters")
        self.arguments = checked_arguments(function, self.arguments, "`arguments` of the term", _GIVEN)
        self.function = function

    def evaluated(self, arrays, is_training):
        """Returns the answer to a question about these arrays."""
        taken = {name: arrays[name] for name in self.takes if name in _QUANTITIES}
        weights = {name: array for name, array in arrays.items() if name not in _QUANTITIES}
        if "n_steps" in taken:
            taken["n_steps"] = taken["n_steps"].astype(int)
        if "weights" in self.takes:
            taken["weights"] = weights
        if "gradient" in self.takes:
            taken["gradient"] = is_training
        value, gradients = self.pair(self.function(**taken, **self.arguments))
        if not is_training:
            gradients = {}
        given = {name: self.gradient(name, array, arrays) for name, array in gradients.items()}
        header = {
            "value": value if math.isfinite(value) else str(value),
            "arrays": [(name, array.shape) for name, array in given.items()],
        }
        return header, b"".join(array.tobytes() for array in given.values())

    def pair(self, returned):
        """Returns the value and the gradients that the function returned."""
        expected = 'expected (value, gradients), such as (0.1, {"rates": array})'
        if not isinstance(returned, tuple) or len(returned) != 2:
            raise TypeError(f"{self.name} returned {type(returned).__name__}; {expected}")
        value, gradients = returned
        if isinstance(value, np.ndarray) and value.size == 1:
            value = value.item()
        if not isinstance(value, Real) or not isinstance(gradients, dict):
            raise TypeError(f"{self.name} returned ({type(value).__name__}, {type(gradients).__name__}); {expected}")
        return float(value), gradients

    def gradient(self, name, array, arrays):
        """Returns a gradient as it is sent."""
        if name not in arrays or name in ("targets", "mask", "n_steps"):
            known = ", ".join(name for name in arrays if name not in ("targets", "mask", "n_steps"))
            raise ValueError(f"{self.name} returned a gradient of {name!r}; expected {known}")
        array = np.asarray(array)
        if array.dtype.kind not in "biuf" or array.shape != arrays[name].shape:
            raise ValueError(
                f"the gradient of {name!r} that {self.name} returned is {array.dtype} of shape {array.shape}; "
                f"expected real numbers of shape {arrays[name].shape}"
            )
        return np.ascontiguousarray(array, "<f4")


if __name__ == "__main__":
    serve(LossServer, *sys.argv[1:])
