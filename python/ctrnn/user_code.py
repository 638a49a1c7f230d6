"""Files of Python that a configuration names: their functions and classes, with arguments checked against annotations, and their errors."""

import importlib.util
import inspect
import sys
import traceback
import typing
from pathlib import Path

#: Largest number of characters of an error that the program shows.
_MAX_ERROR = 1900


def module_of(file):
    """Returns the module in a file of Python, which may import what lies beside it.

    Raises
    ------
    ValueError
        If the name does not end with .py.
    """
    path = Path(file).resolve()
    sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None:
        raise ValueError(f"{path} is not a file of Python; expected a name that ends with .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def checked_arguments(function, arguments, key, given=()):
    """Returns the keyword arguments of a function or class, of the types of its annotations.

    Parameters
    ----------
    function : callable
        Function or class.
    arguments : dict
        Arguments as a configuration has them.
    key : str
        Key of the configuration that has them, for messages.
    given : collection of str
        Parameters that are given otherwise.

    Raises
    ------
    TypeError
        If an argument is unknown, missing, or of another type.
    """
    name = function.__name__
    signature = inspect.signature(function).parameters
    parameters = {word: p for word, p in signature.items() if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD) and word not in given}
    takes_any = any(p.kind == p.VAR_KEYWORD for p in signature.values())
    known = f"it takes {', '.join(parameters)}" if parameters else "it takes none"
    for word in arguments:
        if word not in parameters and not takes_any:
            raise TypeError(f"{name} has no argument {word!r}; {known}")
    for word, parameter in parameters.items():
        if word not in arguments and parameter.default is parameter.empty:
            raise TypeError(f"{name} needs the argument {word!r}; give it in {key}")
    hints = _hints(function)
    return {word: of_type(value, hints.get(word, typing.Any), f"{name}: argument {word!r}") for word, value in arguments.items()}


def _hints(function):
    """Returns the annotations of a function, or of the initialiser of a class."""
    if not inspect.isclass(function):
        return typing.get_type_hints(function)
    return typing.get_type_hints(function.__init__) if "__init__" in vars(function) else {}


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


def failure(name, error):
    """Returns the text of an error: the lines of the user's code where it arose, and the error itself."""
    own = str(Path(__file__).parent)
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith((own, "<frozen"))]
    lines = traceback.format_list(frames) + traceback.format_exception_only(error)
    text = f"{name} failed:\n" + "".join(lines).rstrip()
    return text if len(text) <= _MAX_ERROR else "..." + text[-_MAX_ERROR:]
