"""A task of your own in Python: which of two noisy inputs is stronger?

    train-ctrnn train examples/my_task.toml
"""

import numpy as np

import ctrnn


class StrongerInput(ctrnn.Task):
    inputs = ["left", "right"]
    outputs = ["left", "right"]
    conditions = {"coh": [0.1, 0.2, 0.4], "side": [0, 1]}

    def __init__(self, noise: float = 0.1):
        self.noise = noise

    def trials(self, n_trials, conditions, rng, clock):
        n_steps, n_answer = clock.steps(600), clock.steps(200)
        side = conditions["side"].astype(int)
        difference = (0.5 - side) * conditions["coh"]
        inputs = self.noise * rng.standard_normal((n_trials, n_steps, 2))
        inputs[:, :-n_answer] += 0.5 + difference[:, None, None] * np.array([1, -1])
        targets = np.zeros((n_trials, n_steps, 2))
        targets[np.arange(n_trials), -n_answer:, side] = 1
        return inputs, targets
