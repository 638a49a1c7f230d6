"""Tests of the package `ctrnn`, with the extension: `cargo test -p ctrnn-python -- --ignored`."""

import os
import subprocess
import sys
import tempfile
import textwrap
import unittest
from pathlib import Path

import numpy as np

import ctrnn
import ctrnn_io

CONFIGS = Path(os.environ.get("CTRNN_CONFIGS", Path(__file__).parents[2] / "configs"))
EXAMPLES = Path(os.environ.get("CTRNN_EXAMPLES", Path(__file__).parents[2] / "examples"))
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
        with self.assertRaisesRegex(ctrnn.CtrnnError, "exists already\nhelp: `force=True` replaces it") as caught:
            ctrnn.train(SMOKE, {"train.steps": 3}, run_dir=RUN.path, progress=False)
        self.assertEqual(caught.exception.code, "F004")
        command = subprocess.run([sys.executable, "-m", "ctrnn", "train", SMOKE, "--run-dir", RUN.path], capture_output=True, text=True)
        self.assertIn(f"train-ctrnn train {SMOKE} --run-dir {RUN.path} --force", command.stderr)
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


class Tasks(unittest.TestCase):
    def test_a_batch_is_that_of_the_training(self):
        task = ctrnn.task("go_nogo", {"delay_ms": 100}, dt_ms=10)
        batch = task.batch(16, seed=3, step=5)
        self.assertEqual(batch["inputs"].shape, (16, batch["inputs"].shape[1], len(task.inputs)))
        self.assertEqual((batch["targets"].shape[2], batch["inputs"].dtype), (len(task.outputs), np.float32))
        again, other = task.batch(16, seed=3, step=5), task.batch(16, seed=3, step=6)
        for name, array in batch.items():
            np.testing.assert_array_equal(array, again[name])
        self.assertFalse(np.array_equal(batch["inputs"], other["inputs"]))

    def test_balanced_trials_are_those_of_validation(self):
        settings = {"train.steps": 0, "validate.trials": 8}
        run = ctrnn.train({"seed": 4, "task": {"yang_dm1": {}}, "model": {"n_units": 8}}, settings, run_dir=fresh("dm1"), progress=False)
        states = run.simulate(options=["--validation"])
        batch = ctrnn.task("yang_dm1").batch(8, seed=4, balanced=True)
        np.testing.assert_array_equal(batch["inputs"], states["inputs"])

    def test_outputs_are_scored_as_the_program_does(self):
        task = ctrnn.task("go_nogo")
        batch = task.batch(40, seed=1, balanced=True)
        self.assertEqual(set(task.score(batch["targets"], seed=1, balanced=True)), {1.0})
        wrong = task.score(-batch["targets"], seed=1, balanced=True)
        self.assertLess(np.nanmean(wrong), 0.6)
        self.assertEqual(set(batch["correct"]), {0, 1})

    def test_labels_and_trials_of_several_lengths_are_padded(self):
        batch = ctrnn.task("perceptual_decision").batch(30)
        longest = batch["n_steps"].max()
        self.assertLess(batch["n_steps"].min(), longest)
        self.assertEqual(batch["inputs"].shape[1], longest)
        shortest = int(batch["n_steps"].argmin())
        self.assertTrue((batch["inputs"][shortest, batch["n_steps"][shortest] :] == 0).all())

    def test_what_is_wrong_is_named(self):
        with self.assertRaisesRegex(KeyError, "go_nogoo.*did you mean go_nogo"):
            ctrnn.task("go_nogoo")
        with self.assertRaisesRegex(ValueError, "delay_mss"):
            ctrnn.task("go_nogo", {"delay_mss": 100})
        with self.assertRaisesRegex(ValueError, "multiple of dt_ms"):
            ctrnn.task("go_nogo", {"delay_ms": 105})
        task = ctrnn.task("go_nogo")
        with self.assertRaisesRegex(ValueError, "n_trials"):
            task.batch(0)
        with self.assertRaisesRegex(ValueError, "outputs. has shape"):
            task.score(np.zeros((3, 2, 1)))
        with self.assertRaises((TypeError, ValueError)):
            task.score("text")


class OwnLosses(unittest.TestCase):
    TERM = """
        import numpy as np

        def slow(rates, weights, weight: float = 1.0):
            change = np.diff(rates, axis=1)
            gradient = np.zeros_like(rates)
            gradient[:, 1:] += change
            gradient[:, :-1] -= change
            w = weights["recurrent.weight"]
            return weight * (np.mean(change**2) + np.mean(w**2)), {
                "rates": 2 * weight / change.size * gradient,
                "recurrent.weight": 2 * weight / w.size * w,
            }
    """

    def train(self, name, settings, term=TERM, **options):
        file = fresh(f"{name}.py")
        file.write_text(textwrap.dedent(term))
        whole = {"train.steps": 20, "train.log_every": 1, "validate.every_steps": 10, "train.loss.python.slow.file": file, **settings}
        return ctrnn.train(SMOKE, whole, run_dir=fresh(name), progress=False, **options)

    def test_a_term_of_ones_own_is_that_of_the_program(self):
        """`weight_l2` as a function in Python gives the same training as the penalty of the program."""
        term = """
            import numpy as np

            def slow(weights):
                w = weights["recurrent.weight"]
                return 0.5 * np.mean(w**2), {"recurrent.weight": w / w.size}
        """
        own = self.train("own", {}, term)
        settings = {"train.steps": 20, "train.log_every": 1, "validate.every_steps": 10, "train.loss.weight_l2": {"recurrent": 0.5}}
        ours = ctrnn.train(SMOKE, settings, run_dir=fresh("ours"), progress=False)
        np.testing.assert_allclose(own.weights["recurrent.weight"], ours.weights["recurrent.weight"], atol=1e-5)
        found, expected = own._files().metrics(), ours._files().metrics()
        np.testing.assert_allclose(found["loss_slow"], expected["loss_weight_l2"], rtol=1e-4)

    def test_its_value_is_a_column_and_its_gradient_acts(self):
        weighted = lambda weight: self.train(f"weight_{weight}", {"train.loss.python.slow.arguments.weight": weight})
        plain, slow = weighted(0.0), weighted(100.0)
        metrics = slow._files().metrics()
        np.testing.assert_allclose(metrics["loss"], metrics["loss_mse"] + metrics["loss_slow"], rtol=1e-4)
        self.assertGreater(metrics["loss_slow"].min(), 0)
        self.assertEqual(plain._files().metrics()["loss_slow"].max(), 0)
        change = lambda run: np.mean(np.diff(run.simulate(trials=20)["rates"], axis=1) ** 2)
        self.assertLess(change(slow), 0.9 * change(plain))

    def test_a_stopped_run_goes_on_and_is_the_same(self):
        whole = self.train("whole", {})
        with self.assertRaises(ctrnn.Stopped):
            self.train("in_parts", {"validate.every_steps": 5}, options=["--max-time", "0s"])
        parts = ctrnn.load_run(fresh("in_parts")).resume(progress=False)
        self.assertEqual(parts.step, 20)
        again = self.train("again", {"validate.every_steps": 5})
        np.testing.assert_array_equal(parts.weights["recurrent.weight"], again.weights["recurrent.weight"])
        np.testing.assert_array_equal(whole.weights["recurrent.weight"], again.weights["recurrent.weight"])

    def test_errors_show_the_lines_of_the_user_and_the_run_is_saved(self):
        for name, term, settings, expected in [
            ("missing", "x = 1", {}, "has no function 'slow'"),
            ("raises", "def slow(rates):\n    return [][0]", {}, "IndexError"),
            ("later", "n = 0\ndef slow(rates):\n    global n\n    n += 1\n    return (1.0, {}) if n < 5 else [][n]", {}, "IndexError"),
            ("quits", "import os\ndef slow(rates):\n    os._exit(3)", {}, "ended without an answer"),
            ("hangs", "import time\ndef slow(rates):\n    time.sleep(60)", {"train.loss.python.slow.timeout_ms": 300}, "no answer within 300 ms"),
        ]:
            with self.subTest(name), self.assertRaises(ctrnn.CtrnnError) as caught:
                self.train(name, settings, term)
            self.assertIn(expected, str(caught.exception))
            self.assertIn("train.loss.python.slow", str(caught.exception))
        self.assertGreater(ctrnn.load_run(fresh("later")).step, 0)

    def test_the_example_trains(self):
        run = ctrnn.train(EXAMPLES / "my_loss.toml", {"train.steps": 5}, run_dir=fresh("example"), progress=False)
        self.assertIn("loss_slow", run.metrics)

    def test_names_are_checked(self):
        for settings, expected in [
            ({"train.loss.python.mse.file": "x.py"}, "is the name of another term"),
            ({"train.recompute": True}, "does not keep the rates"),
        ]:
            with self.subTest(expected), self.assertRaises(ctrnn.CtrnnError) as caught:
                self.train("wrong_names", settings)
            self.assertIn(expected, str(caught.exception))


class Commands(unittest.TestCase):
    def test_the_console_script_is_the_same_program(self):
        script = Path(sys.executable).with_name("train-ctrnn")
        if not script.exists():
            self.skipTest("the package is not installed")
        subprocess.run([script, "train", SMOKE, "train.steps=60", "--run-dir", fresh("script"), "-q"], check=True)
        self.assertEqual((RUN.path / "model" / "weights.npz").read_bytes(), (fresh("script") / "model" / "weights.npz").read_bytes())

    def test_a_sweep_trains_its_networks(self):
        file = fresh("rates.toml")
        file.write_text(f'base = "{SMOKE}"\n[grid]\ntrain.steps = [2, 3]\n')
        ctrnn.call("sweep", "run", file, "--dir", fresh("sweep"))
        self.assertIn("2 done", ctrnn.call("sweep", "status", file, "--dir", fresh("sweep")))

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
