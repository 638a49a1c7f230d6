"""Numbers of `analyze low_rank` for a small network by formula, with numpy alone: the expectations of the tests in
crates/ctrnn-analysis/src/analyses/low_rank/tests.rs. Usage: python make_low_rank.py"""

import numpy as np

N, ALPHA, DT = 6, 0.2, 10.0


def wave(scale, phase, *shape):
    return (scale * np.sin(1.7 * np.arange(np.prod(shape)) + phase)).reshape(shape)


def show(name, values):
    print(name, np.array2string(np.asarray(values).ravel(), precision=12, separator=", "))


left, right, w_in, w_out = wave(1.5, 0.1, N, 1), wave(2.0, 0.2, N, 1), wave(0.7, 2.0, N, 1), wave(0.3, 3.0, 2, N)
potentials = wave(1.0, 0.4, 2, 3, N) ** 3
vectors = np.hstack([left, right, w_in, N * w_out.T])
show("overlaps", vectors.T @ vectors / N)
basis = np.hstack([left, w_in])
coordinates = np.linalg.lstsq(basis, potentials.reshape(-1, N).T, rcond=None)[0]
show("kappa", coordinates[0])
show("inputs", coordinates[1])
outside = potentials.reshape(-1, N).T - basis @ coordinates
show("explained", 1 - (outside**2).sum() / (potentials**2).sum())


def velocity(kappa, u):
    return ALPHA / DT * (-kappa + (right.T @ np.tanh(left * kappa + w_in * u)).item() / N)


for u in [0.0, 0.5]:
    show(f"velocity under {u} at -1, 0.3", [velocity(-1.0, u), velocity(0.3, u)])
    grid = np.linspace(-4, 4, 8001)
    signs = np.sign([velocity(k, u) for k in grid])
    rests = []
    for a, b in zip(grid[:-1][signs[:-1] != signs[1:]], grid[1:][signs[:-1] != signs[1:]]):
        for _ in range(80):
            middle = (a + b) / 2
            a, b = (middle, b) if np.sign(velocity(middle, u)) == np.sign(velocity(a, u)) else (a, middle)
        rests.append((a + b) / 2)
    show(f"rests under {u}", rests)

left, right = wave(1.5, 0.1, N, 2), wave(2.0, 0.2, N, 2)
show("overlap of rank 2 (row: right, column: left)", right.T @ left / N)
kappa = np.array([0.4, -0.9])
show("velocity of rank 2", ALPHA / DT * (-kappa + right.T @ np.tanh(left @ kappa + w_in[:, 0] * 0.5) / N))
