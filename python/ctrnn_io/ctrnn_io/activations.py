# Firing rates as functions of potentials. The exported torch module and the package ctrnn_io hold copies of this file; the original is
# crates/ctrnn-runs/src/activations.py.


def activations(xp):
    """The activations by name, for arrays of `xp`, which is numpy or torch."""

    def relu(v):
        return xp.where(v <= 0, xp.zeros_like(v), v)

    def softplus(v):
        return xp.logaddexp(xp.zeros_like(v), v)

    return {
        "relu": relu,
        "tanh": xp.tanh,
        "sigmoid": lambda v: xp.exp(-softplus(-v)),
        "retanh": lambda v: relu(xp.tanh(v)),
        "softplus": softplus,
        "power": lambda v: relu(v) ** 2,
        "linear": lambda v: v,
    }
