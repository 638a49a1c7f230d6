"""Derives the polynomial coefficients of `src/normal.rs` (needs mpmath).

    python3 crates/ctrnn-random/scripts/minimax.py

Each polynomial p(x) = fixed + x q(x) starts with a coefficient that is fixed to its f32 value; q comes from Remez'
exchange algorithm on the relative error p/f - 1, in 40 digits. Coefficients are then rounded to f32 from the lowest
power up, each time refitting those above, so that the higher ones absorb the rounding of the lower ones. Printed are the
coefficients, as Rust writes them, and the largest relative error of the rounded polynomial evaluated exactly.
"""

import struct

from mpmath import mp, mpf, cos, linspace, log1p, lu_solve, matrix, pi, sin, sqrt

mp.dps = 40


def f32(x):
    """The nearest f32, as an exact number."""
    return mpf(struct.unpack("f", struct.pack("f", float(x)))[0])


def shortest(x):
    """The fewest digits that read back as the same f32."""
    for digits in range(1, 18):
        text = f"{float(x):.{digits}g}"
        if f32(text) == x:
            return text
    raise ValueError(x)


def horner(coefficients, x):
    total = mpf(0)
    for c in reversed(coefficients):
        total = total * x + c
    return total


def remez(f, fixed, n_free, low, high, rounds=8):
    """The n_free higher coefficients of the polynomial that starts with `fixed`, minimising the relative error."""
    k = len(fixed)
    nodes = [(low + high) / 2 - (high - low) / 2 * cos(pi * i / n_free) for i in range(n_free + 1)]
    nodes = [x if x != 0 else (high - low) / 1000 * (1 if high > 0 else -1) for x in nodes]
    grid = [x for x in linspace(low, high, 1001) if x != 0]
    for _ in range(rounds):
        rows, right = matrix(n_free + 1, n_free + 1), matrix(n_free + 1, 1)
        for i, x in enumerate(nodes):
            for j in range(n_free):
                rows[i, j] = x ** (k + j) / f(x)
            rows[i, n_free] = (-1) ** i
            right[i] = 1 - horner(fixed, x) / f(x)
        solution = lu_solve(rows, right)
        free = [solution[j] for j in range(n_free)]
        error = [horner(fixed + free, x) / f(x) - 1 for x in grid]
        nodes = extrema(grid, error, n_free + 1)
    return free


def extrema(grid, error, count):
    """The points of largest error in each run of equal sign; of the runs, the `count` neighbours with the largest."""
    runs = []
    for x, e in zip(grid, error):
        if runs and (runs[-1][1] > 0) == (e > 0):
            if abs(e) > abs(runs[-1][1]):
                runs[-1] = (x, e)
        else:
            runs.append((x, e))
    if len(runs) < count:
        raise ValueError(f"{len(runs)} alternations, {count} are needed")
    while len(runs) > count:
        runs.pop(0 if abs(runs[0][1]) < abs(runs[-1][1]) else -1)
    return [x for x, _ in runs]


def fit(name, f, first, degree, low, high):
    low, high = mpf(low), mpf(high)
    rounded = [f32(first)]
    while len(rounded) < degree + 1:
        rounded.append(f32(remez(f, rounded, degree + 1 - len(rounded), low, high)[0]))
    worst = max(abs(horner(rounded, x) / f(x) - 1) for x in linspace(low, high, 20001) if x != 0)
    print(f"{name}: degree {degree}, largest relative error {float(worst):.1e}")
    print("   ", ", ".join(shortest(c) for c in rounded))


turn = 2 * pi
fit("LN    ln(1+f)/f         on [-1/2, 0] ", lambda f: log1p(f) / f, 1, 8, "-0.5", "0")
fit("SIN   sin(2 pi t)/t     in z = t^2 on [0, 1/64]", lambda z: sin(turn * sqrt(z)) / sqrt(z), turn, 3, "0", "0.015625")
fit("COS   cos(2 pi t)       in z = t^2 on [0, 1/64]", lambda z: cos(turn * sqrt(z)), 1, 4, "0", "0.015625")
