#!/usr/bin/env python3
"""Trains the configurations of this folder one after another and writes docs/task_trainings.md.

    python3 configs/tasks/train_all.py [--binary target/release/train-ctrnn] [--threads 2] [NAME ...]

Without names, those of the table so far. Rows of tasks that are not named stay as they are. Needs Python 3.11 or newer.
"""
import argparse
import csv
import datetime
import os
import platform
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

HERE = Path(__file__).resolve().parent
TABLE = HERE.parent.parent / "docs" / "task_trainings.md"
HEAD = """# Trainings of tasks

Each row is one training of `configs/tasks/<task>.toml` as it stands, up to the accuracy at which it stops. Accuracy is that of the
validation trials of the last row of `metrics.csv`; what counts as correct differs from task to task: `train-ctrnn tasks describe TASK`.
`just train-tasks` measures all rows anew, `just train-tasks sine` that one. Steps and accuracy repeat to the digit on one kind of
processor; wall time is that of training alone, and of the machine.

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


def machine(threads):
    """The processor in words."""
    model = platform.processor() or platform.machine()
    if os.path.exists("/proc/cpuinfo"):
        with open("/proc/cpuinfo") as info:
            models = [line.split(":")[1].strip() for line in info if line.startswith("model name")]
        model = models[0] if models else model
    return f"{datetime.date.today()}, {threads} threads, {model}"


def train(binary, name, threads):
    """Trains one configuration; its row."""
    config = HERE / f"{name}.toml"
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        command = [binary, "train", config, "--run-dir", run, "--threads", str(threads), "--quiet"]
        subprocess.run(command, check=True)
        resolved = tomllib.loads((run / "config.resolved.toml").read_text())
        with open(run / "metrics.csv", newline="") as metrics:
            rows = [row for row in csv.DictReader(metrics) if row["split"] == "val"]
    last, stop = rows[-1], resolved["train"]["stop"]
    steps, wall_s = int(last["step"]), float(last["wall_s"])
    cells = [
        f"`{name}`",
        resolved["model"]["n_units"],
        resolved["train"]["batch_size"],
        f"{stop['at_least']:.3g}",
        f"{float(last['accuracy']):.3f}",
        steps,
        f"{wall_s:.1f} s",
        f"{1e3 * wall_s / steps:.2f}",
        resolved["seed"],
        machine(threads),
    ]
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binary", default="target/release/train-ctrnn")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    rows = known_rows()
    for name in options.names or list(rows):
        rows[name] = train(options.binary, name, options.threads)
        print(rows[name], flush=True)
        TABLE.write_text(HEAD + "\n".join(rows[name] for name in sorted(rows)) + "\n")
    if not rows:
        sys.exit("name at least one task")


if __name__ == "__main__":
    main()
