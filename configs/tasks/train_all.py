#!/usr/bin/env python3
"""Trains the configurations of this folder one after another and writes docs/task_trainings.md.

    python3 configs/tasks/train_all.py [--binary target/release/train-ctrnn] [--threads 2] [--note TEXT] [NAME ...]

Without names, all except the slow ones. Rows of other tasks are kept. Needs Python 3.11 or newer.
"""
import argparse
import csv
import datetime
import os
import platform
import subprocess
import tempfile
import tomllib
from pathlib import Path

HERE = Path(__file__).resolve().parent
TABLE = HERE.parent.parent / "docs" / "task_trainings.md"
# They train, but not in a minute.
LONG = ["multitask"]
HEAD = """# Trainings of tasks

Each row is one training of the unchanged `configs/tasks/<task>.toml`, up to the accuracy at which it stops. Accuracy is that of the
validation trials of the last row of `metrics.csv`, with the noise of the network; what counts as correct differs from task to task: `train-ctrnn tasks describe TASK`.
`just train-tasks` measures all rows again, `just train-tasks sine` only that one. Steps and accuracy repeat exactly on one kind of
processor; wall time is that of training alone and depends on the machine.

| task | units | batch | accuracy asked for | accuracy reached | steps | wall time | ms per step | seed | measured |
|---|---|---|---|---|---|---|---|---|---|
"""


def known_rows():
    """The rows of the table so far, by task."""
    if not TABLE.exists():
        return {}
    lines = TABLE.read_text().splitlines()
    rows = [line for line in lines if line.startswith("| `")]
    return {row.split("`")[1]: row for row in rows}


def quick():
    """The configurations of this folder but those that take long."""
    return sorted(path.stem for path in HERE.glob("*.toml") if path.stem not in LONG)


def machine(threads, note):
    """When and on what it was measured, in words."""
    model = platform.processor() or platform.machine()
    if os.path.exists("/proc/cpuinfo"):
        with open("/proc/cpuinfo") as info:
            models = [line.split(":")[1].strip() for line in info if line.startswith("model name")]
        model = models[0] if models else model
    count = "1 thread" if threads == 1 else f"{threads} threads"
    parts = [str(datetime.date.today()), count, model, note]
    return ", ".join(part for part in parts if part)


def row(name, run, measured):
    """The row of a finished run."""
    resolved = tomllib.loads((run / "config.resolved.toml").read_text())
    with open(run / "metrics.csv", newline="") as metrics:
        last = [entry for entry in csv.DictReader(metrics) if entry["split"] == "val"][-1]
    steps, wall_s = int(last["step"]), float(last["wall_s"])
    cells = [
        f"`{name}`",
        resolved["model"]["n_units"],
        resolved["train"]["batch_size"],
        f"{resolved['train']['stop']['at_least']:.3g}",
        f"{float(last['accuracy']):.3f}",
        steps,
        f"{wall_s:.1f} s",
        f"{1e3 * wall_s / steps:.1f}",
        resolved["seed"],
        measured,
    ]
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def train(name, options):
    """Trains one configuration; its row."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        command = [options.binary, "train", HERE / f"{name}.toml", "--run-dir", run, "--quiet"]
        subprocess.run([*command, "--threads", str(options.threads)], check=True)
        return row(name, run, machine(options.threads, options.note))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binary", default="target/release/train-ctrnn")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--note", default="", help="stands in the column `measured`")
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    rows = known_rows()
    for name in options.names or quick():
        rows[name] = train(name, options)
        print(rows[name], flush=True)
        TABLE.write_text(HEAD + "\n".join(rows[name] for name in sorted(rows)) + "\n")


if __name__ == "__main__":
    main()
