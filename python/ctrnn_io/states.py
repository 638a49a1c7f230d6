"""Reading arrays of train-ctrnn: states, trials, inputs."""

import numpy as np


def load_states(path):
    """Loads the arrays of an npz file by name, such as the output of `train-ctrnn simulate RUN -o states.npz`: `potentials`, `rates`,
    `inputs`, `outputs` [trial, time, ..], `t_ms`, and where there were trials `targets`, `mask` and one `cond_NAME` for each
    condition; `trial_index` [trial, 2] is the number of the file and the row there, from 0, where the trials came from files. Files with
    Python objects in them are refused."""
    with np.load(path, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}
