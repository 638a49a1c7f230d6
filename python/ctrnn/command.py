"""Commands in a process of their own, with the same program as `train-ctrnn`.

A process of its own keeps Python responsive, is stopped by Ctrl-C as in a terminal, and takes its memory with it.
"""

import json
import signal
import subprocess
import sys
import threading

from ._ctrnn import to_toml_value
from .errors import CtrnnError


def call(*words: object, progress: bool = False) -> str:
    """Runs a command of `train-ctrnn` and returns what it prints on stdout.

    Parameters
    ----------
    *words : object
        Words of the command line, without the name of the program: `call("tasks", "list")`.
    progress : bool
        True to show what the command says on stderr while it runs: notes and progress.

    Raises
    ------
    CtrnnError
        If the command fails; the text of the exception is the program's.
    """
    process, said = start(words, progress)
    printed, exit_code = finish(process, said)
    if exit_code != 0:
        raise CtrnnError(error_of(said), exit_code)
    return printed


def start(words, progress):
    """Starts a command; returns its process and the thread that collects its stderr."""
    command = [sys.executable, "-m", "ctrnn", *map(str, words)]
    shows_bar = progress and sys.stderr is sys.__stderr__ and sys.stderr is not None and sys.stderr.isatty()
    if shows_bar:
        command += ["--progress", "bar", "--color", "always"]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    said = Said(process.stderr, progress)
    return process, said


class Said(threading.Thread):
    """Thread that collects what a process writes to stderr, and shows it if asked."""

    def __init__(self, stream, shows):
        super().__init__(daemon=True)
        self.stream, self.shows, self.parts = stream, shows, []
        self.start()

    def run(self):
        with self.stream as stream:
            while part := stream.read1(65536):
                self.parts.append(part)
                if self.shows:
                    sys.stderr.write(part.decode("utf-8", "replace"))
                    sys.stderr.flush()

    def text(self):
        self.join()
        return b"".join(self.parts).decode("utf-8", "replace")


def finish(process, said):
    """Waits for a process; Ctrl-C is passed on to it, and it is waited for while it saves. Returns its stdout and its exit code."""
    printed = b""
    while True:
        try:
            printed += process.stdout.read()
            process.stdout.close()
            exit_code = process.wait()
            said.join()
            return printed.decode("utf-8", "replace"), exit_code
        except KeyboardInterrupt:
            # A terminal has sent it to the process already; a notebook has not. A second one stops at once, so it is not sent twice.
            if not sys.stdin or not sys.stdin.isatty():
                process.send_signal(signal.SIGINT)


def error_of(said):
    """Returns the error at the end of what a command said on stderr."""
    text = said.text()
    start = text.rfind("error[")
    return text[start:].strip() if start >= 0 else text.strip()


def overrides(settings):
    """Returns settings by key as the words of a command line: `model.n_units=64`, and `~KEY` for None."""
    return [f"~{key}" if value is None else f"{key}={toml_value(value)}" for key, value in (settings or {}).items()]


def toml_value(value):
    """Returns a value as TOML."""
    return to_toml_value(json.dumps(value, default=plain))


def plain(value):
    """Returns a number or an array of numpy, or a path, as what JSON has."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if hasattr(value, "__fspath__"):
        return value.__fspath__()
    raise TypeError(f"{value!r} is not a value of a configuration; expected a number, text, a list or a dict")
