# Firing rates as functions of potentials. The exported torch module and the package ctrnn_io hold copies of this file; the original is
# crates/ctrnn-runs/src/activations.py.


def activation(xp, written):
    """The activation of a model's description: a name, or a table of a name and its parameters. `xp` is numpy or torch."""
    table = {"name": written} if isinstance(written, str) else dict(written)
    return activations(xp, **{key: value for key, value in table.items() if key != "name"})[table["name"]]


def activations(xp, exponent=2.0, gain=1.0, threshold=0.0, slope=0.01, maximum=1.0):
    """The activations by name, for arrays of `xp`, which is numpy or torch."""

    def relu(v):
        return xp.where(v <= 0, xp.zeros_like(v), v)

    def softplus(v):
        return xp.logaddexp(xp.zeros_like(v), v)

    def cubic(v):
        v = xp.clip(v, -1.0, 1.0)
        return v - v ** 3 / 3

    return {
        "relu": relu,
        "tanh": xp.tanh,
        "sigmoid": lambda v: xp.exp(-softplus(-v)),
        "retanh": lambda v: relu(xp.tanh(v)),
        "softplus": softplus,
        "power": lambda v: gain * relu(v - threshold) ** exponent,
        "linear": lambda v: v,
        "leaky_relu": lambda v: xp.where(v <= 0, slope * v, v),
        "clipped_relu": lambda v: xp.where(v >= maximum, maximum * xp.ones_like(v), relu(v)),
        "cubic": cubic,
    }
