"""Writes two_contexts.npz: a random network with the inputs of the task context_decision, and its fixed points.

In each context the fixed points v = W tanh(v) + W_in u are found by Newton's method from 3000 random starts, under the
inputs of a stimulus of coherence 0: fixation 1, the context 1, and 0.5 in each of the four inputs of motion and colour.

    python tests/golden/make_two_contexts.py tests/golden/two_contexts.npz
"""

import sys

import numpy as np

N, STARTS = 10, 3000
rng = np.random.default_rng(2)
w_rc = 3.0 * rng.normal(size=(N, N)) / np.sqrt(N)
w_in = 0.4 * rng.normal(size=(N, 7))
w_out = rng.normal(size=(3, N)) / N


def newton(v, drive):
    for _ in range(200):
        residual = w_rc @ np.tanh(v) + drive - v
        if residual @ residual < 1e-24:
            return v
        jacobian = w_rc * (1 - np.tanh(v) ** 2) - np.eye(N)
        step = np.linalg.solve(jacobian, -residual)
        v = v + step * min(1.0, 2.0 / np.linalg.norm(step))
    return None


def fixed_points(u):
    drive, found = w_in @ u, []
    for _ in range(STARTS):
        v = newton(rng.normal(size=N) * 2.0, drive)
        if v is not None and all(np.linalg.norm(v - known) > 1e-6 for known in found):
            found.append(v)
    jacobian = [0.8 * np.eye(N) + 0.2 * w_rc * (1 - np.tanh(v) ** 2) for v in found]
    unstable = [int((abs(np.linalg.eigvals(j)) > 1).sum()) for j in jacobian]
    return np.array(found), np.array(unstable)


arrays = {"w_rc": w_rc, "w_in": w_in, "w_out": w_out}
for k in range(2):
    u = np.array([1.0, k == 0, k == 1, 0.5, 0.5, 0.5, 0.5])
    points, unstable = fixed_points(u)
    print(f"context {k}: {len(points)} points, unstable directions {sorted(unstable.tolist())}")
    arrays |= {f"points_{k}": points, f"unstable_{k}": unstable}
np.savez(sys.argv[1], **arrays)
