"""Training."""

import json
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._ctrnn import to_toml
from .command import call, error_of, finish, overrides, plain, start
from .errors import CtrnnError, Stopped

if TYPE_CHECKING:
    from .run import Run


def train(
    config: str | PathLike[str] | Mapping[str, object],
    settings: Mapping[str, object] | None = None,
    *,
    seed: int | None = None,
    run_dir: str | PathLike[str] | None = None,
    force: bool = False,
    threads: int | None = None,
    progress: bool = True,
    on_validation: Callable[[dict[str, Any]], object] | None = None,
    options: Sequence[str] = (),
) -> "Run":
    """Trains a network, as `train-ctrnn train` does, and returns the run.

    Parameters
    ----------
    config : str, os.PathLike or dict
        Configuration: a TOML file, or its tables as a dict, whose relative paths start at the current folder.
    settings : dict, optional
        Values that replace those of the configuration, by key: `{"model.n_units": 128}`. None removes a key.
    seed : int, optional
        Seed of the run.
    run_dir : str or os.PathLike, optional
        Folder of the run. Default: `runs/CONFIG-sSEED`; a dict has no name, so that it needs one.
    force : bool
        True to replace a run that is there.
    threads : int, optional
        Number of threads; 0 means all cores.
    progress : bool
        True to show progress and notes on stderr.
    on_validation : callable, optional
        Function that is called after each validation with a dict of its columns in metrics.csv. If it returns False, training stops, and the
        run is saved and returned.
    options : sequence of str
        Further options of the command, such as `["--init-from", "runs/a-s1"]`.

    Raises
    ------
    CtrnnError
        If the configuration is wrong or training fails.
    Stopped
        If Ctrl-C or a time limit stopped it; the run is saved.
    """
    if isinstance(config, Mapping) and run_dir is None:
        raise ValueError("`run_dir` is missing: a configuration that is a dict has no name that a run could have")
    with as_file(config) as path:
        words: list[object] = ["train", path, *overrides(settings), *options]
        words += ["--seed", seed] if seed is not None else []
        words += ["--run-dir", run_dir] if run_dir is not None else []
        words += ["--force"] if force else []
        return trained(words, threads, progress, on_validation)


@contextmanager
def as_file(config):
    """Gives the file of a configuration; a dict is written to the current folder for as long, where its relative paths start."""
    if not isinstance(config, Mapping):
        yield Path(config)
        return
    handle, name = tempfile.mkstemp(prefix=".ctrnn-", suffix=".toml", dir=Path.cwd())
    try:
        with open(handle, "w", encoding="utf-8") as file:
            file.write(to_toml(json.dumps(dict(config), default=plain)))
        yield Path(name)
    finally:
        Path(name).unlink()


def resume(run, *, threads=None, progress=True, on_validation=None):
    """Continues a run; see `Run.resume`."""
    return trained(["resume", run], threads, progress, on_validation)


def trained(words, threads, progress, on_validation):
    """Runs `train` or `resume` and returns the run."""
    from .run import load_run

    words = [*words, "--json"]
    words += ["--threads", threads] if threads is not None else []
    watch = None
    if on_validation is not None:
        watch = Watch(folder_of(words), on_validation)
    process, said = start(words, progress)
    if watch is not None:
        watch.begin(process)
    printed, exit_code = finish(process, said)
    if watch is not None:
        watch.end()
    ended = [json.loads(line) for line in printed.splitlines() if line.startswith("{")]
    run_dir = next((line["run"] for line in reversed(ended) if "run" in line), None)
    if exit_code == 75 and not (watch and watch.has_stopped):
        raise Stopped(said.text().strip(), run_dir)
    if exit_code not in (0, 75):
        raise CtrnnError(in_python(error_of(said)), exit_code)
    return load_run(run_dir)


def in_python(text):
    """Returns an error with the arguments of `train` in place of a command line, if it is about a run that exists already."""
    if not text.startswith("error[F004]") or "--force" not in text:
        return text
    what, _, _ = text.partition("\n")
    return f"{what}\nhelp: `force=True` replaces it, another `run_dir` keeps both, and `ctrnn.load_run(run_dir).resume()` continues it"


def folder_of(words):
    """Returns the folder of the run that a command would train."""
    if words[0] == "resume":
        return Path(words[1])
    # Training agrees to the programs of its configuration, which a dry run asks about.
    agreed = [] if "--trust" in words else ["--trust"]
    return Path(json.loads(call(*words, "--dry-run", *agreed))["run"])


class Watch:
    """Thread that calls a function with each new validation in the metrics of a run."""

    def __init__(self, run_dir, on_validation):
        self.run_dir, self.on_validation = run_dir, on_validation
        self.n_seen = len(self.validations()) if (run_dir / "metrics.csv").is_file() else 0
        self.has_stopped, self.failure = False, None
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def begin(self, process):
        """Starts to watch what a process trains."""
        self.process, self.began = process, time.time()
        self.thread.start()

    def end(self):
        """Reports the last validations, and raises what the function raised."""
        self.ended.set()
        self.thread.join()
        if self.failure is not None:
            raise self.failure

    def run(self):
        while not self.ended.wait(0.1):
            self.report()
        self.report()

    def report(self):
        file = self.run_dir / "metrics.csv"
        # A run that is replaced has the metrics of the one before until it begins.
        if self.has_stopped or not file.is_file() or file.stat().st_mtime < self.began - 1:
            return
        new = self.validations()
        if len(new) < self.n_seen:  # a run that is replaced begins at 0
            self.n_seen = 0
        for row in new[self.n_seen :]:
            self.n_seen += 1
            try:
                goes_on = self.on_validation(row)
            except BaseException as failure:  # raised again in the thread of the caller
                self.failure, goes_on = failure, False
            if goes_on is False:
                self.has_stopped = True
                if self.process.poll() is None:
                    self.process.send_signal(signal.SIGINT)
                return

    def validations(self):
        from ctrnn_io.run import table

        columns = table(self.run_dir / "metrics.csv", "val")
        names = [name for name in columns if name != "split"]
        rows = zip(*(columns[name] for name in names), strict=True)
        return [{name: value.item() for name, value in zip(names, row, strict=True)} for row in rows]
