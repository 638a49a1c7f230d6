"""A generator of trials for the task `command`: which of two noisy inputs is stronger?

    train-ctrnn train examples/trials_from_python.toml

`describe` names the channels, `make_batch` makes trials; the rest is the protocol and stays as it is. Only answers may go
to standard output: print to sys.stderr instead. Needs numpy.
"""

import io
import json
import sys

import numpy as np


def describe(dt_ms):
    return {"inputs": ["left", "right"], "outputs": ["left", "right"]}


def make_batch(rng, n_trials, dt_ms, balanced):
    n_steps, n_answer = int(600 / dt_ms), int(200 / dt_ms)
    coherences = np.array([0.1, 0.2, 0.4])
    if balanced:  # validation: every condition in turn
        condition = np.arange(n_trials) % 6
    else:
        condition = rng.integers(6, size=n_trials)
    coherence, side = coherences[condition // 2], condition % 2
    inputs = 0.1 * rng.standard_normal((n_trials, n_steps, 2))
    stimulus = slice(0, n_steps - n_answer)
    inputs[:, stimulus, 0] += (0.5 + (0.5 - side) * coherence)[:, None]
    inputs[:, stimulus, 1] += (0.5 - (0.5 - side) * coherence)[:, None]
    targets = np.zeros((n_trials, n_steps, 2))
    targets[np.arange(n_trials), -n_answer:, side] = 1
    mask = np.ones((n_trials, n_steps))
    return {
        "inputs": inputs.astype(np.float32),
        "targets": targets.astype(np.float32),
        "mask": mask.astype(np.float32),
        "cond_coh": coherence,
        "cond_side": side.astype(float),
    }


def answer(question, header, content=b""):
    header = {"id": question["id"], **header}  # says which question this answers
    sys.stdout.buffer.write(json.dumps(header).encode() + b"\n" + content)
    sys.stdout.buffer.flush()


def main():
    for line in sys.stdin:
        question = json.loads(line)
        if "hello" in question:
            answer(question, describe(question["dt_ms"]))
            continue
        # The same seed and step give the same batch, whatever was asked before.
        rng = np.random.default_rng([question["seed"], question["step"]])
        batch = make_batch(rng, question["n_trials"], question["dt_ms"], question["balanced"])
        file = io.BytesIO()
        np.savez(file, **batch)
        answer(question, {"bytes": file.tell()}, file.getvalue())


if __name__ == "__main__":
    main()
