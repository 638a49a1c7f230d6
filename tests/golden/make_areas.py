#!/usr/bin/env python3
"""Writes areas.json: masks of nn4n's MultiArea, MultiAreaEI, MultiIO and RandomInput, with the areas that give the same.

Needs numpy and nn4n 1.2.0:  pip install numpy "nn4n @ git+https://github.com/NN4Neurosim/nn4n@v1.2.0"
nn4n imports torch and matplotlib, which its masks do not use; where they are missing, empty modules take their places.

`get_masks` returns every mask transposed, [pre, post], and the layers transpose them once more; everything in the file is
[post, pre]. "exact" cases have densities of 0 and 1 only. "drawn" ones hold the number of connections in each block.
"""

import importlib
import json
import sys
from pathlib import Path
from unittest.mock import MagicMock

import numpy as np

for missing in ("torch", "torch.nn", "torch.nn.functional", "matplotlib", "matplotlib.pyplot", "scipy", "scipy.stats"):
    try:
        importlib.import_module(missing)
    except ImportError:
        sys.modules[missing] = MagicMock()

from nn4n.mask import MultiArea, MultiAreaEI, MultiIO, RandomInput  # noqa: E402


def rows(mask):
    return ["".join(".+-"[int(x)] for x in row) for row in np.asarray(mask)]


def masks(made):
    """Masks as text: + is a connection, - one of an inhibitory unit, . none."""
    input_mask, recurrent, output = (mask.T for mask in made.get_masks())
    return {"input": rows(input_mask), "recurrent": rows(recurrent), "output": rows(output)}


def exact(name, made, model):
    return {"name": name, "model": model, **masks(made)}


DENSE, NONE, FROM_E = {}, {"density": 0}, {"from": "e"}

EXACT = [
    exact(
        "MultiArea, two areas of different sizes, one way",
        MultiArea(
            dims=[3, 10, 2],
            n_areas=[4, 6],
            area_connectivities=np.array([[1, 0], [1, 1]]),
            input_areas=[0],
            readout_areas=[1],
        ),
        {
            "areas": {"area_1": {"units": 4}, "area_2": {"units": 6, "inputs": [], "read_out": True}},
            "projections": {"area_1 -> area_2": DENSE},
        },
    ),
    exact(
        "MultiArea, a loop of three areas without connections within the last",
        MultiArea(
            dims=[2, 9, 2],
            n_areas=3,
            area_connectivities=np.array([[1, 0, 1], [1, 1, 0], [0, 1, 0]]),
            input_areas=[0, 1],
            readout_areas=[2],
        ),
        {
            "areas": {
                "area_1": {"units": 3},
                "area_2": {"units": 3},
                "area_3": {"units": 3, "inputs": [], "read_out": True},
            },
            "projections": {
                "area_1 -> area_2": DENSE,
                "area_2 -> area_3": DENSE,
                "area_3 -> area_1": DENSE,
                "area_3 -> area_3": NONE,
            },
        },
    ),
    exact(
        "MultiAreaEI, long-range connections of excitatory units, which alone are read out",
        MultiAreaEI(
            dims=[2, 20, 2],
            n_areas=2,
            area_connectivities=[1, 1],
            exc_pct=0.8,
            inter_area_connections=[True, True, False, False],
            inh_readout=False,
        ),
        {
            "areas": {
                "area_1": {"units": 10, "excitatory_fraction": 0.8},
                "area_2": {"units": 10, "excitatory_fraction": 0.8},
            },
            "projections": {"area_1 -> area_2": FROM_E, "area_2 -> area_1": FROM_E},
            "dale": {"readout": "excitatory"},
        },
    ),
    exact(
        "MultiAreaEI, long-range connections between different signs only",
        MultiAreaEI(
            dims=[2, 10, 2],
            n_areas=[4, 6],
            area_connectivities=np.array([[1, 1], [1, 1]]),
            exc_pct=0.5,
            inter_area_connections=[False, True, True, False],
            readout_areas=[0],
        ),
        {
            "areas": {
                "area_1": {"units": 4, "excitatory_fraction": 0.5, "read_out": True},
                "area_2": {"units": 6, "excitatory_fraction": 0.5},
            },
            "projections": {
                "area_1 -> area_2": [{"from": "e", "to": "i"}, {"from": "i", "to": "e"}],
                "area_2 -> area_1": [{"from": "e", "to": "i"}, {"from": "i", "to": "e"}],
            },
        },
    ),
    exact(
        "MultiIO, two groups of inputs and of outputs with a part of the units each",
        MultiIO(
            dims=[5, 6, 3],
            input_dims=[1, 4],
            readout_dims=[2, 1],
            input_table=np.array([[1, 1, 0, 0, 0, 0], [0, 0, 1, 1, 0, 0]]),
            readout_table=np.array([[0, 0, 1, 1, 1, 1], [1, 1, 0, 0, 0, 0]]),
        ),
        {
            "areas": {
                "area_1": {"units": 2, "inputs": ["in_0"], "read_out": ["out_2"]},
                "area_2": {"units": 2, "inputs": ["in_1", "in_2", "in_3", "in_4"], "read_out": ["out_0", "out_1"]},
                "area_3": {"units": 2, "inputs": [], "read_out": ["out_0", "out_1"]},
            },
            "projections": {"* -> *": DENSE},
        },
    ),
]


def drawn():
    """Numbers of connections of drawn masks, [post, pre] by area."""
    np.random.seed(1)
    areas = MultiArea(dims=[3, 60, 2], n_areas=[20, 40], area_connectivities=[0.1, 0.3])
    recurrent = areas.get_masks()[1].T
    ends = [areas.get_area_indices(area) for area in (0, 1)]
    counts = [[int(recurrent[np.ix_(post, pre)].sum()) for pre in ends] for post in ends]
    some = RandomInput(dims=[3, 60, 2], input_spar=0.3, readout_spar=0.25, overlap=False)
    receiving, read = some.get_input_indices(), some.get_readout_indices()
    return {
        "multi_area": {
            "model": {
                "areas": {"area_1": {"units": 20}, "area_2": {"units": 40}},
                "projections": {"area_1 -> area_2": {"density": 0.1}, "area_2 -> area_1": {"density": 0.3}},
            },
            "connections": counts,
        },
        "random_input": {
            "receiving": len(receiving),
            "read": len(read),
            "both": len(np.intersect1d(receiving, read)),
            "inputs_of_each": sorted({int(n) for n in some.get_masks()[0].T[receiving].sum(axis=1)}),
        },
    }


if __name__ == "__main__":
    golden = {"exact": EXACT, "drawn": drawn()}
    Path(__file__).with_name("areas.json").write_text(json.dumps(golden, indent=1) + "\n")
