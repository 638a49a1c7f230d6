"""Reference numbers of population analyses, by numpy and scipy: constants in the tests of ctrnn-analysis.

    python tests/golden/make_populations.py
"""

import itertools

import numpy as np
from scipy.optimize import curve_fit


def tdr():
    """Targeted dimensionality reduction (Mante et al. 2013), for tdr/regression/tests.rs."""

    def wave(k):
        return np.sin(k * 1.7)

    n_trials, n_steps, n_units, n_components = 24, 7, 6, 3
    design = np.array([[[-1.0, 1.0][b % 2], [-1.0, 0.0, 1.0][b // 2 % 3]] for b in range(n_trials)])
    lengths = [7 if b < 8 else 5 for b in range(n_trials)]
    trials = []
    for b in range(n_trials):
        raw = np.array([
            [
                design[b, 0] * wave(n * 3 + t) + design[b, 1] * wave(n * 5 + 2 * t + 1) + 0.3 * wave(b * 42 + t * 6 + n)
                for n in range(n_units)
            ]
            for t in range(n_steps)
        ])[: lengths[b]]
        d = np.subtract.outer(np.arange(lengths[b]), np.arange(lengths[b]))
        kernel = np.exp(-0.5 * d**2) * (abs(d) <= 4)
        trials.append(kernel @ raw / kernel.sum(1, keepdims=True))
    states = np.concatenate(trials)
    mean, std = states.mean(0), states.std(0)
    trials = [(trial - mean) / std for trial in trials]

    averages = []
    for a, c in itertools.product([-1.0, 1.0], [-1.0, 0.0, 1.0]):
        own = [b for b in range(n_trials) if tuple(design[b]) == (a, c)]
        n_common = sorted(lengths[b] for b in own)[len(own) // 2]  # the longer half of the trials
        averages.extend(np.mean([trials[b][:n_common] for b in own if lengths[b] >= n_common], axis=0))
    averages = np.array(averages)
    _, _, vt = np.linalg.svd(averages - averages.mean(0), full_matrices=False)
    denoise = vt[:n_components].T @ vt[:n_components]

    coefficients = []
    for t in range(5):  # at least half of the trials are running
        own = [b for b in range(n_trials) if lengths[b] > t]
        x = np.column_stack([np.ones(len(own)), design[own]])
        beta, *_ = np.linalg.lstsq(x, np.array([trials[b][t] for b in own]), rcond=None)
        coefficients.append(beta[1:] @ denoise)
    coefficients = np.array(coefficients)
    peaks = np.linalg.norm(coefficients, axis=2).argmax(0)
    at_peak = np.stack([coefficients[peaks[k], k] for k in range(2)])
    q, r = np.linalg.qr(at_peak.T)
    print("NUMPY_PEAKS", list(peaks))
    print("NUMPY_AXES", (q * np.sign(np.diag(r))).T.tolist())


def dpca():
    """Demixed principal components (Kobak et al. 2016), for dpca/demixing/tests.rs."""
    x = np.array([
        [[np.sin(float(c * 20 + t * 4 + n) ** 2) + np.cos(c * 0.5 + n) for n in range(4)] for t in range(5)]
        for c in range(6)
    ]).reshape(2, 3, 5, 4)
    x = x - x.mean((0, 1, 2))
    time = x.mean((0, 1), keepdims=True)
    first = x.mean(1, keepdims=True) - time
    second = x.mean(0, keepdims=True) - time
    parts = [np.broadcast_to(part, x.shape) for part in (time, first, second)]
    parts.append(x - sum(parts))
    flat = x.reshape(-1, 4).T
    total = (flat**2).sum()
    print("NUMPY_VARIANCES", [(part**2).sum() / total for part in parts])
    penalty = (1e-7) ** 2 * total
    explained = []
    for part in parts:
        part = part.reshape(-1, 4).T
        a = part @ flat.T @ np.linalg.inv(flat @ flat.T + penalty * np.eye(4))
        u, _, _ = np.linalg.svd(a @ flat, full_matrices=False)
        f, d = u[:, :1], u[:, :1].T @ a
        explained.append(1 - ((flat - f @ d @ flat) ** 2).sum() / total)
    print("NUMPY_EXPLAINED", explained)


def decay():
    """Exponential decay with offset (Murray et al. 2014), for timescales.rs."""
    lag = 50.0 * np.arange(1, 15)
    values = 0.6 * (np.exp(-lag / 180.0) + 0.2) + 0.01 * np.sin(np.arange(14) * 2.3)
    found, _ = curve_fit(
        lambda lag, tau, a, b: a * (np.exp(-lag / tau) + b), lag, values, p0=[150, 0.5, 0.1], xtol=1e-12, ftol=1e-12
    )
    print("SCIPY_DECAY", found.tolist())


def task_variance():
    """Task variance (Yang et al. 2019) with conditions of equal weight, for task_variance.rs."""
    rates = np.array([[[np.sin(b * 5.0 + t * 2.0 + n) for n in range(3)] for t in range(4)] for b in range(7)])
    weights = np.array([1 / 3, 1 / 3, 1 / 3, 1 / 2, 1 / 2, 1, 1])
    weights = weights / weights.sum()
    mean = np.einsum("b,btn->tn", weights, rates)
    print("NUMPY_VARIANCE", np.einsum("b,btn->tn", weights, (rates - mean) ** 2).mean(0).tolist())


for name in (tdr, dpca, decay, task_variance):
    name()
