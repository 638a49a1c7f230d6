#!/usr/bin/env python3
"""Writes trials.npz, the example of a trial file that another tool made (needs numpy).

A two-alternative perceptual decision: two noisy stimuli, the stronger one is the answer. The animal fixates while the
fixation input is on and answers when it goes off, at the last time step of the trial.

    inputs   [trial, time, input]  f32    fixation, stimulus 1, stimulus 2; zero after the end of a trial
    labels   [trial, time]         int64  0 = keep fixating; 1 | 2 = choose (last time step only)
    mask     [trial, time]         f32    1 within a trial, 0 after its end
    n_steps  [trial]               int64  length of each trial
    dt_ms                          f32    time step
    cond_coh [trial]               f32    coherence in percent; 0 has no correct answer, its label is a coin toss

The bytes depend on the seed alone: RandomState is the numpy generator whose stream is frozen.
"""

from pathlib import Path

import numpy as np

N_TRIALS = 400
DT_MS = 100.0
N_STEPS_MIN, N_STEPS_MAX = 14, 22  # one of fixation, 12 to 20 of stimulus, one of response
COHERENCES = [0.0, 6.4, 12.8, 25.6, 51.2]  # percent
NOISE = 0.1  # of each stimulus at each time step: an ideal observer errs in 4 % of the hardest trials
SEED = 20


def main():
    rng = np.random.RandomState(SEED)
    n_steps = rng.randint(N_STEPS_MIN, N_STEPS_MAX + 1, N_TRIALS)
    side = rng.randint(1, 3, N_TRIALS)
    coh = np.array(COHERENCES)[rng.randint(0, len(COHERENCES), N_TRIALS)]

    time = np.arange(N_STEPS_MAX)[None, :]
    last = n_steps[:, None] - 1
    within, response = time <= last, time == last
    stimulus = (time > 0) & (time < last)

    evidence = coh / 100 * np.where(side == 1, 1, -1)
    mean = 0.5 + 0.5 * np.stack([evidence, -evidence], axis=-1)  # [trial, stimulus]
    noise = NOISE * rng.standard_normal((N_TRIALS, N_STEPS_MAX, 2))

    inputs = np.zeros((N_TRIALS, N_STEPS_MAX, 3), np.float32)
    inputs[:, :, 0] = within & ~response
    inputs[:, :, 1:] = stimulus[:, :, None] * (mean[:, None, :] + noise)

    path = Path(__file__).with_name("trials.npz")
    np.savez_compressed(
        path,
        inputs=inputs,
        labels=np.where(response, side[:, None], 0).astype(np.int64),
        mask=within.astype(np.float32),
        n_steps=n_steps.astype(np.int64),
        dt_ms=np.float32(DT_MS),
        cond_coh=coh.astype(np.float32),
    )
    print(f"{path}: {N_TRIALS} trials, {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
