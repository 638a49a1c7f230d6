"""Errors of commands."""

import re


class CtrnnError(Exception):
    """Error of a command: its text with the place in the file and the remedy.

    Attributes
    ----------
    code : str or None
        Code of the error, such as "C003"; `None` where the command ended without one.
    message : str
        The first line of the error, without its code.
    exit_code : int
        Exit code of the command: 2 for a wrong configuration, 3 for a training that failed, 4 for data that are missing or damaged,
        5 for input and output, 6 for a device; negative for the number of a signal.
    """

    code: str | None
    message: str
    exit_code: int

    def __init__(self, text: str, exit_code: int) -> None:
        super().__init__(text or f"the command ended with exit code {exit_code}")
        found = re.search(r"error\[(\w+)\]: (.*)", text)
        self.code, self.message = found.groups() if found else (None, str(self))
        self.exit_code = exit_code


class Stopped(CtrnnError):
    """Stop of a training by Ctrl-C or a time limit. The run is saved: `ctrnn.load_run(error.run_dir).resume()` continues it.

    Attributes
    ----------
    run_dir : str
        Folder of the run.
    """

    run_dir: str

    def __init__(self, text: str, run_dir: str) -> None:
        super().__init__(text, 75)
        self.run_dir = run_dir
