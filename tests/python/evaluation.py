"""Recomputes the accuracies of `eval`, crossed and under a perturbation, with numpy from states.npz of the same trials."""

import json
import subprocess
import sys

import numpy as np

PROGRAM = sys.argv[1]
TRIALS = 400
EXCITATORY, SILENT = 12, 3
CONFIG = """
version = 1
seed = 5
[task.context_decision]
coherences = [0.3, 0.6]
fixation_ms = 100
stimulus_ms = { uniform = [100, 300] }
delay_ms = 100
response_ms = 100
[model]
n_units = 16
activation = "softplus"
dale = { excitatory_fraction = 0.75 }
noise = { preactivation = 0.05, input = 0.1 }
[train]
steps = 800
optimizer = { name = "adam", lr = 0.01 }
[validate]
every_steps = 800
trials = 32
"""
SILENCE = ["--silence", "e:0.25@stimulus"]


def program(*arguments):
    done = subprocess.run([PROGRAM, *arguments], check=True, capture_output=True, text=True)
    return done.stdout


def states(name, *options):
    program("simulate", "run", f"--trials={TRIALS}", "--noise", "-o", name, *options)
    return np.load(name, allow_pickle=False)


def is_right(states):
    """The choice is the largest output beside fixation, the output 0, at the last time step that counts."""
    steps = np.arange(states["mask"].shape[1])
    counts = states["mask"].reshape(TRIALS, len(steps), -1).max(axis=2) > 0
    last = np.where(counts, steps, -1).max(axis=1)
    choices = [states[name][np.arange(TRIALS), last, 1:].argmax(axis=1) for name in ("outputs", "targets")]
    right = choices[0] == choices[1]
    assert (states["correct"] == right).all()
    return right


def check(states, *options):
    """`eval` of these trials equals numpy: in all, for each combination of context and motion, and by context where motion is to the right."""
    right, context = is_right(states), states["cond_context"].astype(float)
    motion = np.round(states["cond_motion"].astype(float), 6)
    crossed = [(None, "context,motion", np.full(TRIALS, True)), ("motion>0", "context", motion > 0)]
    for where, by, selected in crossed:
        where = [] if where is None else [f"--where={where}"]
        report = json.loads(program("eval", "run", f"--trials={TRIALS}", f"--by={by}", "--json", *where, *options))
        assert report["accuracy"] == right[selected].mean(), (by, report["accuracy"], right[selected].mean())
        columns = {"context": context, "motion": motion}
        counted = np.full(TRIALS, False)
        for group in report["groups"]:
            own = {name: round(value, 6) for name, value in group["condition"].items()}
            assert ",".join(own) == by, own
            members = selected & np.all([columns[name] == value for name, value in own.items()], axis=0)
            found = group["right"], group["answered"], group["trials"]
            assert found == (right[members].sum(), members.sum(), members.sum()), (own, group)
            counted |= members
        assert (counted == selected).all()
    return right.mean()


with open("config.toml", "w") as file:
    file.write(CONFIG)
program("train", "config.toml", "--run-dir", "run", "--quiet")
whole, silenced = states("whole.npz"), states("silenced.npz", *SILENCE)

# A quarter of the excitatory units is silent at the steps of the stimulus, which is not equally long in all trials, and nowhere else.
# A rate of softplus is never 0 by itself.
stimulus = list(silenced["epoch_names"]).index("stimulus")
steps = np.arange(silenced["rates"].shape[1])
first, end = silenced["epoch_steps"][:, stimulus, :].T
inside = (steps >= first[:, None]) & (steps < end[:, None])
assert len(set(end - first)) > 3
is_silent = (silenced["rates"][inside] == 0).all(axis=0)
assert is_silent.sum() == is_silent[:EXCITATORY].sum() == SILENT, is_silent
assert (silenced["rates"][inside][:, ~is_silent] != 0).all() and (silenced["rates"][~inside] != 0).all()
assert (whole["rates"] != 0).all()
before = steps < first[:, None]
assert (silenced["rates"][before] == whole["rates"][before]).all()

accuracies = check(whole), check(silenced, *SILENCE)
assert accuracies[0] != accuracies[1]
print("accuracy {:.3f}, with three excitatory units silent in the stimulus {:.3f}".format(*accuracies))
