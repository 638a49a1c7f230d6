"""Tests of the adapters of gymnasium and neurogym; skipped where these are not installed."""

import unittest
from importlib.util import find_spec

import numpy as np

import ctrnn

if find_spec("gymnasium"):
    from ctrnn.gym import NeurogymTask, TaskEnv


class Flat(ctrnn.Task):
    """One trial of known numbers."""

    inputs = ["u"]
    outputs = ["y"]
    choices: list[str] = []

    def trial(self, condition, rng, clock):
        return np.array([[1.0], [2.0], [3.0]]), np.array([[0.0], [0.5], [1.0]]), np.array([0.0, 1.0, 1.0])


@unittest.skipIf(find_spec("gymnasium") is None, "gymnasium is not installed")
class Environments(unittest.TestCase):
    def test_an_episode_is_a_trial_and_the_right_choices_are_rewarded(self):
        task = ctrnn.task("go_nogo")
        env = TaskEnv(task)
        batch = task.batch(64, seed=5)
        observation, info = env.reset(seed=5)
        for trial in range(3):
            n_steps = batch["n_steps"][trial]
            for t in range(n_steps):
                np.testing.assert_array_equal(observation, batch["inputs"][trial, t])
                observation, reward, is_over, _, info = env.step(info["gt"])
                self.assertEqual(is_over, t == n_steps - 1)
                total = reward if t == 0 else total + reward
            self.assertEqual(total, 1)
            observation, info = env.reset()

    def test_the_wrong_choice_is_not_rewarded(self):
        env = TaskEnv(ctrnn.task("go_nogo"))
        _, info = env.reset(seed=1)
        is_over, rewards = False, []
        while not is_over:
            _, reward, is_over, _, info = env.step(1 - info["gt"])
            rewards.append(reward)
        self.assertEqual(sum(rewards), 0)

    def test_outputs_are_actions_without_choices(self):
        env = TaskEnv(Flat())
        observation, info = env.reset(seed=1)
        self.assertEqual((observation.tolist(), info["gt"].tolist()), ([1], [0]))
        rewards = [env.step(np.array([1.0]))[1] for _ in range(3)]
        self.assertEqual(rewards, [0, -0.25, 0])

    def test_gymnasium_accepts_it(self):
        from gymnasium.utils.env_checker import check_env

        check_env(TaskEnv(ctrnn.task("go_nogo")), skip_render_check=True)

    @unittest.skipIf(find_spec("neurogym") is None, "neurogym is not installed")
    def test_an_environment_of_neurogym_is_a_task(self):
        class Decision(NeurogymTask):
            env = "PerceptualDecisionMaking-v0"
            settings = {"sigma": 0.5}
            conditions = {"coh": [6.4, 51.2], "ground_truth": [0, 1]}

        task = Decision()
        self.assertEqual(task.layout()["inputs"], ["fixation", "stimulus 0", "stimulus 1"])
        self.assertEqual(task.layout()["outputs"], ["fixation", "choice 0", "choice 1"])
        batch = task.batch(8, balanced=True, dt_ms=100)
        self.assertEqual(batch["labels"].shape, (8, 22))
        np.testing.assert_array_equal(batch["labels"][:, -1], 1 + batch["cond_ground_truth"])
        again = task.batch(8, balanced=True, dt_ms=100)
        np.testing.assert_array_equal(batch["inputs"], again["inputs"])


if __name__ == "__main__":
    unittest.main()
