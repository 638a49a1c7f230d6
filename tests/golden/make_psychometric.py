"""Fits psychometric functions by maximum likelihood with scipy; prints the constants of the tests in
crates/ctrnn-analysis/src/sigmoid.rs.

    python -m pip install numpy scipy==1.17.1
    python tests/golden/make_psychometric.py

P(x) = lapse + (1 - 2 lapse) F((x - bias) / width), with the lapse from 0 to 0.4. L-BFGS-B finds the neighbourhood of the
maximum from several starts; Newton's method on the likelihood equations of the parameters that are not at a bound then
finds it to rounding.
"""

import numpy as np
from scipy.optimize import minimize, root
from scipy.special import expit, ndtr

OBSERVERS = {
    # The name, then the evidence, the number of trials and the number of choices at each level.
    "lapses": [(-0.5, 100, 4), (-0.25, 100, 7), (-0.1, 100, 14), (0.0, 100, 41), (0.1, 100, 79), (0.25, 100, 94), (0.5, 100, 97)],
    "no lapses": [(-8, 40, 0), (-4, 40, 2), (-2, 40, 9), (-1, 40, 14), (1, 40, 28), (2, 40, 34), (4, 40, 39), (8, 40, 40)],
    "rates": [(9, 50, 2), (10, 50, 5), (11, 50, 12), (12, 50, 19), (13, 50, 33), (14, 50, 38), (15, 50, 47), (16, 50, 48)],
}
SHAPES = {"Logistic": expit, "Probit": ndtr}


def main():
    for observer, levels in OBSERVERS.items():
        for shape, function in SHAPES.items():
            bias, width, lapse, likelihood = fit(np.array(levels, float).T, function)
            print(f"(Sigmoid::{shape}, [{bias:.12}, {width:.12}, {lapse:.12}], {likelihood:.12}),  // {observer}")


def fit(levels, function):
    x, n, chosen = levels
    scale = np.ptp(x) / 2

    def minus_log_likelihood(p):
        bias, width, lapse = p
        chance = lapse + (1 - 2 * lapse) * function((x - bias) / width)
        chance = np.clip(chance, 1e-12, 1 - 1e-12)
        return -np.sum(chosen * np.log(chance) + (n - chosen) * np.log(1 - chance))

    bounds = [(x.min(), x.max()), (1e-3 * scale, 10 * scale), (0, 0.4)]
    starts = [[x.mean(), width * scale, lapse] for width in (0.1, 0.3, 1) for lapse in (0.001, 0.05)]
    found = [minimize(minus_log_likelihood, start, bounds=bounds, tol=1e-14) for start in starts]
    best = min(found, key=lambda one: one.fun).x
    free = [0, 1] if best[2] < 1e-9 else [0, 1, 2]

    def slopes(q):
        p = best.copy()
        p[free] = q
        # Complex steps have no rounding error, but ndtr takes no complex numbers; central differences of the fourth
        # order are exact to about 1e-11 here.
        step = 1e-3 * np.array([scale, p[1], 0.1])
        of = lambda k, m: minus_log_likelihood(p + m * step * (np.arange(3) == k))
        return [(8 * (of(k, 1) - of(k, -1)) - of(k, 2) + of(k, -2)) / (12 * step[k]) for k in free]

    best[free] = root(slopes, best[free], tol=1e-13).x
    return [*best, -minus_log_likelihood(best)]


main()
