"""Trains and analyses continuous-time recurrent neural networks.

    import ctrnn

    run = ctrnn.train("perceptual_decision.toml", {"model.n_units": 128}, seed=3)
    run.metrics                                   # table of metrics.csv
    states = run.simulate(trials=200, noise=True) # named arrays
    fixed = run.analyze("fixed_points")           # named arrays, text and figures
    net = run.network                             # in double precision
    net.step(state, inputs), net.jacobian(state, inputs), net.forward(inputs)
    batch = ctrnn.task("yang_dm1").batch(64)      # trials of a built-in task as arrays

Weights are [post, pre], so that y = W r. Arrays are [trial, time, unit]; index k is the state after input k, at (k + 1) dt.
"""

from importlib import import_module

_HOMES = {
    "Analysis": "results",
    "BuiltinTask": "builtin",
    "Clock": "tasks",
    "CtrnnError": "errors",
    "Network": "_ctrnn",
    "Run": "run",
    "States": "results",
    "Stopped": "errors",
    "Task": "tasks",
    "call": "command",
    "load_run": "run",
    "task": "builtin",
    "train": "training",
}

__all__ = sorted(_HOMES)


def __getattr__(name):
    # Modules are imported at their first use: the command line needs none of them, and numpy takes longer to import than it takes to run.
    if name == "__version__":
        from importlib.metadata import version

        return version("train-ctrnn")
    if name in __all__:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return [*__all__, "__version__"]
