"""Tests of the package `ctrnn`, with the extension: `cargo test -p ctrnn-python -- --ignored`."""

import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import numpy as np

import ctrnn
import ctrnn_io

CONFIGS = Path(os.environ.get("CTRNN_CONFIGS", Path(__file__).parents[2] / "configs"))
SMOKE = CONFIGS / "smoke.toml"


def setUpModule():
    global FOLDER, RUN
    FOLDER = tempfile.TemporaryDirectory()
    RUN = ctrnn.train(SMOKE, {"train.steps": 60}, run_dir=Path(FOLDER.name) / "run", progress=False)


def tearDownModule():
    FOLDER.cleanup()


def fresh(name):
    return Path(FOLDER.name) / name


class Training(unittest.TestCase):
    def test_a_run_is_that_of_the_command_line(self):
        words = [sys.executable, "-m", "ctrnn", "train", SMOKE, "train.steps=60", "--run-dir", fresh("command"), "-q"]
        subprocess.run(words, check=True)
        one, other = (path / "model" / "weights.npz" for path in (RUN.path, fresh("command")))
        self.assertEqual(one.read_bytes(), other.read_bytes())
        self.assertEqual((RUN.state, RUN.step), ("done", 60))

    def test_a_configuration_is_a_file_or_a_dict(self):
        config = {"seed": 1, "task": {"go_nogo": {}}, "model": {"n_units": 16}, "train": {"steps": 3, "batch_size": 4}, "validate": {"every_steps": 3}}
        run = ctrnn.train(config, {"model.n_units": np.int64(12)}, run_dir=fresh("dict"), progress=False)
        self.assertEqual(run.network.n_units, 12)
        self.assertEqual(run.config["model"]["n_units"], 12)
        with self.assertRaisesRegex(ValueError, "run_dir"):
            ctrnn.train(config)

    def test_an_error_is_an_exception_with_place_and_remedy(self):
        with self.assertRaises(ctrnn.CtrnnError) as caught:
            ctrnn.train(SMOKE, {"model.n_unit": 12}, run_dir=fresh("wrong"), progress=False)
        self.assertEqual(caught.exception.exit_code, 2)
        self.assertIn("n_units", str(caught.exception))
        self.assertTrue(caught.exception.code.startswith("C"))
        self.assertFalse(fresh("wrong").exists())
        with self.assertRaises(FileNotFoundError):
            ctrnn.load_run(fresh("nothing"))
        with self.assertRaisesRegex(TypeError, "configuration"):
            ctrnn.train(SMOKE, {"train.steps": object()})

    def test_validations_are_reported_and_can_stop_a_run(self):
        seen = []
        run = ctrnn.train(SMOKE, {"train.steps": 60}, run_dir=fresh("seen"), progress=False, on_validation=seen.append)
        self.assertEqual([row["step"] for row in seen], list(run._files().metrics("val")["step"]))
        self.assertEqual(set(seen[0]), set(run._files().metrics()) - {"split"})
        stops = lambda row: False
        settings = {"train.steps": 10**6, "validate.every_steps": 10}
        stopped = ctrnn.train(SMOKE, settings, run_dir=fresh("stopped"), progress=False, on_validation=stops)
        self.assertEqual(stopped.state, "stopped")
        self.assertLess(stopped.step, 10**6)

    def test_an_exception_of_the_callback_is_raised_and_the_run_is_saved(self):
        def fails(row):
            raise KeyError("mine")

        with self.assertRaisesRegex(KeyError, "mine"):
            ctrnn.train(SMOKE, {"train.steps": 10**6, "validate.every_steps": 10}, run_dir=fresh("failed"), progress=False, on_validation=fails)
        self.assertEqual(ctrnn.load_run(fresh("failed")).state, "stopped")

    def test_a_stopped_run_goes_on(self):
        with self.assertRaises(ctrnn.Stopped) as caught:
            ctrnn.train(SMOKE, {"train.steps": 60}, run_dir=fresh("parts"), progress=False, options=["--max-time", "0s"])
        run = ctrnn.load_run(caught.exception.run_dir)
        self.assertEqual(run.state, "stopped")
        self.assertEqual(run.resume(progress=False).step, 60)
        np.testing.assert_array_equal(run.weights["recurrent.weight"], RUN.weights["recurrent.weight"])


class Results(unittest.TestCase):
    def test_metrics_are_those_of_the_file(self):
        metrics = RUN.metrics
        self.assertEqual(list(metrics), list(RUN._files().metrics()))
        self.assertGreater(len(metrics["step"]), 5)

    def test_simulations_are_named_arrays(self):
        states = RUN.simulate(trials=6, double=True)
        self.assertEqual(states["rates"].shape[::2], (6, RUN.network.n_units))
        self.assertIn("rates [6,", repr(states))
        again = RUN.simulate(inputs=states["inputs"][:2], double=True)
        n = min(again["rates"].shape[1], states["rates"].shape[1])
        np.testing.assert_allclose(again["rates"][:, :n], states["rates"][:2, :n], atol=1e-12)

    def test_an_analysis_has_arrays_sentences_and_figures(self):
        found = RUN.analyze("fixed_points", starts=20)
        self.assertIn("fixed point", str(found))
        self.assertTrue(any(name.endswith("states") or "state" in name for name in found), list(found))
        self.assertTrue(found.plot().startswith("<svg") or "<svg" in found.plot())
        self.assertEqual(found.plot("eigenvalues"), found.plot(1))
        with self.assertRaisesRegex(IndexError, "fixed_points_eigenvalues"):
            found.plot("nothing")

    def test_accuracy_is_measured(self):
        measured = RUN.eval(trials=32)
        self.assertEqual(measured["trials"], 32)
        self.assertEqual(measured["step"], 60)


class Networks(unittest.TestCase):
    def setUp(self):
        self.net = RUN.network
        self.weights = RUN.weights
        self.rng = np.random.default_rng(1)

    def own_step(self, v, u):
        """One step of the voltage form with relu."""
        w = {name: value.astype(float) for name, value in self.weights.items()}
        alpha = self.net.dt_ms / w["tau_ms"]
        drive = w["recurrent.weight"] @ np.maximum(v, 0) + w["input.weight"] @ u + w["recurrent.bias"]
        return (1 - alpha) * v + alpha * drive

    def test_a_step_is_the_equation(self):
        v, u = self.rng.normal(size=self.net.n_units), self.rng.normal(size=self.net.n_inputs)
        np.testing.assert_allclose(self.net.step(v, u), self.own_step(v, u), rtol=0, atol=1e-12)

    def test_the_jacobian_is_the_derivative_of_a_step(self):
        v, u = self.rng.normal(size=self.net.n_units), self.rng.normal(size=self.net.n_inputs)
        jacobian, h = self.net.jacobian(v, u), 1e-6
        for k in range(self.net.n_units):
            e = h * np.eye(self.net.n_units)[k]
            numeric = (self.own_step(v + e, u) - self.own_step(v - e, u)) / (2 * h)
            np.testing.assert_allclose(jacobian[:, k], numeric, atol=1e-8)

    def test_trials_are_steps_and_those_of_numpy(self):
        inputs = self.rng.normal(size=(3, 20, self.net.n_inputs))
        found = self.net.forward(inputs)
        expected = ctrnn_io.simulate(RUN.path, inputs)
        for name in ("outputs", "rates", "potentials"):
            np.testing.assert_allclose(found[name], expected[name], rtol=0, atol=1e-12)
        start = self.rng.normal(size=(3, self.net.n_units))
        first = self.net.forward(inputs, initial_state=start)["potentials"][:, 0]
        np.testing.assert_allclose(first[1], self.own_step(start[1], inputs[1, 0]), atol=1e-12)

    def test_several_layers_take_the_inputs_of_the_first(self):
        run = ctrnn.train(CONFIGS / "stack.toml", {"train.steps": 2}, run_dir=fresh("stack"), progress=False)
        net = run.network
        inputs = self.rng.normal(size=(2, 10, net.n_inputs))
        found, expected = net.forward(inputs), ctrnn_io.simulate(run.path, inputs)
        for name in ("outputs", "rates"):
            np.testing.assert_allclose(found[name], expected[name], rtol=0, atol=1e-12)
        with self.assertRaisesRegex(ValueError, f"time steps, {net.n_inputs}"):
            net.forward(np.zeros((2, 10, net.n_inputs + 1)))

    def test_lists_other_types_and_orders_are_read(self):
        inputs = self.rng.integers(0, 2, size=(2, 4, self.net.n_inputs))
        expected = self.net.forward(inputs.astype(float))["rates"]
        for given in (inputs, inputs.tolist(), np.asfortranarray(inputs, dtype=np.float32), inputs.astype(">f8"), inputs[:, ::1, ::-1][:, :, ::-1]):
            np.testing.assert_array_equal(self.net.forward(given)["rates"], expected)
        fixed = inputs.astype(float)
        fixed.flags.writeable = False
        np.testing.assert_array_equal(self.net.forward(fixed)["rates"], expected)

    def test_what_does_not_fit_is_refused(self):
        n, i = self.net.n_units, self.net.n_inputs
        for given in (np.zeros((2, 3)), np.zeros((2, 3, i + 1)), np.zeros((0, 3, i)), np.zeros((2, 0, i)), "text", None, [[["x"]]], np.zeros((2, 3, i), complex)):
            with self.subTest(given=given), self.assertRaises((ValueError, TypeError)):
                self.net.forward(given)
        with self.assertRaisesRegex(ValueError, f"expected {n}"):
            self.net.step(np.zeros(n + 1), np.zeros(i))
        with self.assertRaisesRegex(ValueError, f"expected {i}"):
            self.net.jacobian(np.zeros(n), np.zeros(i + 2))
        with self.assertRaisesRegex(ValueError, r"expected \(2, "):
            self.net.forward(np.zeros((2, 3, i)), initial_state=np.zeros((1, n)))
        with self.assertRaises(FileNotFoundError):
            ctrnn.Network(fresh("nothing"))
        with self.assertRaises(FileNotFoundError):
            RUN.checkpoint(7)

    def test_numbers_that_are_not_finite_stay_so(self):
        inputs = np.full((1, 3, self.net.n_inputs), np.nan)
        self.assertTrue(np.isnan(self.net.forward(inputs)["potentials"]).all())


class Commands(unittest.TestCase):
    def test_a_command_returns_what_it_prints(self):
        self.assertIn("go_nogo", ctrnn.call("tasks", "list"))
        with self.assertRaises(ctrnn.CtrnnError) as caught:
            ctrnn.call("tasks", "explain", "nothing")
        self.assertEqual(caught.exception.exit_code, 2)

    def test_importing_does_not_import_numpy(self):
        code = "import sys, ctrnn; sys.exit('numpy' in sys.modules)"
        self.assertEqual(subprocess.run([sys.executable, "-c", code], check=False).returncode, 0)


if __name__ == "__main__":
    unittest.main()
