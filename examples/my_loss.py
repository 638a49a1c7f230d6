"""A term of the loss of your own in Python: slow rates.

    train-ctrnn train examples/my_loss.toml
"""

import numpy as np


def slow(rates, weight: float = 1.0):
    """Returns the mean squared change of the rates [trial, time, unit] times `weight`, and its gradient."""
    change = np.diff(rates, axis=1)
    gradient = np.zeros_like(rates)
    gradient[:, 1:] += change
    gradient[:, :-1] -= change
    return weight * np.mean(change**2), {"rates": 2 * weight / change.size * gradient}
