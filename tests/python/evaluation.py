"""Recomputes the accuracies of `eval`, crossed and under a perturbation, with numpy from states.npz of the same trials."""

import json
import subprocess
import sys

import numpy as np

PROGRAM = sys.argv[1]
TRIALS = 400
CONFIG = """
version = 1
seed = 5
[task.context_decision]
fixation_ms = 100
stimulus_ms = { uniform = [100, 300] }
delay_ms = 100
response_ms = 100
[model]
n_units = 16
dale = { excitatory_fraction = 0.75 }
noise = { preactivation = 0.3, input = 0.1 }
[train]
steps = 60
optimizer = { name = "adam", lr = 0.01 }
[validate]
every_steps = 60
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
    """The choice is the largest output beside fixation, the output 0, at the last time step of a trial."""
    last = states["n_steps"] - 1
    trials = np.arange(TRIALS)
    choices = [states[name][trials, last, 1:].argmax(axis=1) for name in ("outputs", "targets")]
    return choices[0] == choices[1]


def check(states, *options):
    """`eval` of these trials equals numpy, in each combination of context and motion and in all."""
    report = json.loads(program("eval", "run", f"--trials={TRIALS}", "--by=context,motion", "--json", *options))
    right = is_right(states)
    motion = np.round(states["cond_motion"].astype(float), 6)
    groups = {(g["condition"]["context"], round(g["condition"]["motion"], 6)): g for g in report["groups"]}
    assert set(groups) == set(zip(states["cond_context"], motion)), groups.keys()
    for (context, coh), group in groups.items():
        members = (states["cond_context"] == context) & (motion == coh)
        found = group["right"], group["answered"], group["trials"]
        assert found == (right[members].sum(), members.sum(), members.sum()), (context, coh, group)
    assert report["accuracy"] == right.mean(), (report["accuracy"], right.mean())
    return report["accuracy"]


with open("config.toml", "w") as file:
    file.write(CONFIG)
program("train", "config.toml", "--run-dir", "run", "--quiet")
whole, silenced = states("whole.npz"), states("silenced.npz", *SILENCE)

# A quarter of twelve units is silent at the steps of the stimulus, which last from trial to trial differently long, and nowhere else.
stimulus = list(silenced["epoch_names"]).index("stimulus")
steps = np.arange(silenced["rates"].shape[1])
first, end = silenced["epoch_steps"][:, stimulus, :].T
inside = (steps >= first[:, None]) & (steps < end[:, None])
assert len(set(end - first)) > 3
is_held = (silenced["rates"][inside] == 0).all(axis=0) & ~(whole["rates"][inside] == 0).all(axis=0)
assert is_held.sum() == 3 and is_held[:12].sum() == 3, is_held
before = steps < first[:, None]
assert (silenced["rates"][before] == whole["rates"][before]).all()

accuracies = check(whole), check(silenced, *SILENCE)
assert accuracies[0] != accuracies[1]
print("accuracy {:.3f}, with three excitatory units silent in the stimulus {:.3f}".format(*accuracies))
