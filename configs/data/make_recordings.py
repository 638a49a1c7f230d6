#!/usr/bin/env python3
"""Writes recordings.npz, the example of recordings to which a network is fitted (needs numpy).

The recordings are those of a network of 20 units with random weights, of which 8 were recorded, as in an experiment in two
sessions: units 0 to 5 in the first 24 trials, units 2 to 7 in the others. What was not recorded is NaN, as are a few lost bins.

    inputs       [trial, time, input]  f32    two stimuli
    unit_targets [trial, time, unit]   f32    rates of the 8 units after each time step; NaN: missing
    dt_ms                              f32    time step

The bytes depend on the seed alone: RandomState is the numpy generator whose stream is frozen.
"""

from pathlib import Path

import numpy as np

N_TRIALS = 48
N_STEPS = 30
N_UNITS = 20
N_RECORDED = 8
DT_MS = 20.0
TAU_MS = 100.0
GAIN = 1.3  # of the recurrent weights: rich, but not chaotic
LOST = 0.002  # fraction of lost bins
SEED = 4


def main():
    rng = np.random.RandomState(SEED)
    w_rc = GAIN * rng.standard_normal((N_UNITS, N_UNITS)) / np.sqrt(N_UNITS)
    w_in = rng.standard_normal((N_UNITS, 2))
    frequency = rng.uniform(0.5, 2, (N_TRIALS, 1, 2))  # in Hz
    phase = rng.uniform(0, 2 * np.pi, (N_TRIALS, 1, 2))
    t = (np.arange(N_STEPS) * DT_MS / 1000)[None, :, None]
    inputs = np.sin(2 * np.pi * frequency * t + phase).astype(np.float32)

    alpha = DT_MS / TAU_MS
    v = np.zeros((N_TRIALS, N_UNITS))
    rates = np.zeros((N_TRIALS, N_STEPS, N_UNITS))
    for k in range(N_STEPS):
        v = (1 - alpha) * v + alpha * (np.tanh(v) @ w_rc.T + inputs[:, k] @ w_in.T)
        rates[:, k] = np.tanh(v)

    recorded = rates[:, :, :N_RECORDED].astype(np.float32)
    recorded[: N_TRIALS // 2, :, 6:] = np.nan
    recorded[N_TRIALS // 2 :, :, :2] = np.nan
    recorded[rng.uniform(size=recorded.shape) < LOST] = np.nan

    path = Path(__file__).with_name("recordings.npz")
    np.savez_compressed(path, inputs=inputs, unit_targets=recorded, dt_ms=np.float32(DT_MS))
    print(f"{path}: {N_TRIALS} trials, {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
