"""Reads the runs of train-ctrnn, and simulates their networks with numpy.

    import ctrnn_io

    run = ctrnn_io.load_run("runs/smoke-s1")
    w_rc = ctrnn_io.weights(run)["recurrent.weight"]      # [post, pre]
    states = ctrnn_io.simulate(run, inputs)               # inputs [trial, time, input]
    same = ctrnn_io.load_states("states.npz")             # as `train-ctrnn simulate` writes them

Weights are [post, pre], so that y = W r. Arrays are [trial, time, unit]; index k is the state after input k, at (k + 1) dt.
"""

from .run import Run, load_run
from .simulation import simulate
from .states import load_states
from .weights import read_safetensors, weights

__all__ = ["Run", "load_run", "load_states", "read_safetensors", "simulate", "weights"]
__version__ = "0.1.0"
