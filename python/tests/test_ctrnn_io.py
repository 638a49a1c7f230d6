"""`python3 -m unittest` from the folder of the package; numpy is all it needs."""

import shutil
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import numpy as np

import ctrnn_io
from ctrnn_io.digest import xxh3
from tests import toy_run

RUN, WEIGHTS = sys.modules["ctrnn_io.run"], sys.modules["ctrnn_io.weights"]


DIGESTS = {
    241: "fa3e3f950b821a67",
    256: "5d47b716ae4e6cc9",
    1024: "a3115476086f73f1",
    1025: "66b070bd27327c00",
    1088: "c1e20c0fd2599af8",
    5000: "924c0d5e41418245",
    5000000: "72e0afb6ed5860bb",
}
"""By the reference implementation, of bytes k * k % 251."""


class ToyRun(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def run_of(self, name="run", **differs):
        return ctrnn_io.load_run(toy_run.write(Path(self.folder.name) / name, **differs))


class Files(ToyRun):
    def test_a_run_says_what_it_is(self):
        run = self.run_of()
        self.assertEqual((run.task, run.step, run.state), ("toy", 1, "done"))
        self.assertEqual([event["event"] for event in run.events()], ["started", "done"])
        self.assertEqual(run.checkpoints(), [1])

    def test_metrics_are_columns(self):
        run = self.run_of()
        np.testing.assert_equal(run.metrics()["accuracy"], [np.nan, 0.75])
        self.assertEqual(list(run.metrics("val")["loss"]), [0.4])
        self.assertEqual(list(run.metrics()["split"]), ["train", "val"])

    def test_both_weight_files_hold_the_same(self):
        run = self.run_of()
        npz = ctrnn_io.weights(run)
        for checkpoint in ("last", 1):
            safetensors = ctrnn_io.weights(run.path, checkpoint)
            self.assertEqual(sorted(npz), sorted(safetensors))
            for name, array in npz.items():
                np.testing.assert_array_equal(array, safetensors[name])

    def test_the_newest_weights_are_those_of_a_checkpoint_after_model(self):
        path = toy_run.write(Path(self.folder.name) / "run")  # model/ is of step 1
        newer = toy_run.write_checkpoint(path, 7, {"tau_ms": [70.0]})
        (path / "RUN.json").write_text('{"state": "running"}')
        run = ctrnn_io.load_run(path)
        self.assertEqual((run.step, run.state), (7, "running"))
        self.assertEqual(ctrnn_io.weights(run)["tau_ms"], [70.0])
        self.assertEqual(ctrnn_io.weights(run, 1)["tau_ms"], [100.0])
        (newer / "weights.safetensors").write_bytes(b"cut")
        with self.assertWarnsRegex(UserWarning, "step 7.* is 3 bytes long"):
            self.assertEqual(ctrnn_io.load_run(path).step, 1)

    def test_a_flipped_bit_is_found(self):
        path = toy_run.write(Path(self.folder.name) / "run")
        newer = toy_run.write_checkpoint(path, 7, {"tau_ms": [70.0]})
        file = newer / "weights.safetensors"
        content = bytearray(file.read_bytes())
        content[-1] ^= 1
        file.write_bytes(content)
        with self.assertWarnsRegex(UserWarning, "step 7.*its digest differs"):
            self.assertEqual(ctrnn_io.load_run(path).step, 1)
        with self.assertRaisesRegex(ValueError, "its digest differs"):
            ctrnn_io.weights(path, 7)
        model = path / "model" / "weights.npz"
        content = bytearray(model.read_bytes())
        content[100] ^= 1
        model.write_bytes(content)
        with self.assertWarnsRegex(UserWarning, "step 1.*is damaged in"):
            self.assertEqual(ctrnn_io.load_run(path).newest.name, "weights.safetensors")

    def test_digests_are_those_of_the_reference(self):
        for length, digest in DIGESTS.items():
            self.assertEqual(xxh3(bytes(k * k % 251 for k in range(length))), digest, length)

    def test_a_checkpoint_may_be_replaced_while_it_is_read(self):
        path = toy_run.write_begun(Path(self.folder.name) / "run")
        toy_run.write_checkpoint(path, 1)
        description, read = RUN.description, WEIGHTS.read_safetensors

        def replace(old, new):
            shutil.rmtree(path / "checkpoints" / f"step-{old:08}")
            toy_run.write_checkpoint(path, new)

        def description_after(*arguments, steps=[(1, 2)]):
            if steps:
                replace(*steps.pop())
            return description(*arguments)

        with mock.patch.object(RUN, "description", description_after):
            self.assertEqual(ctrnn_io.load_run(path).step, 2)

        def read_after(*arguments, steps=[(2, 3)]):
            if steps:
                replace(*steps.pop())
            return read(*arguments)

        with mock.patch.object(WEIGHTS, "read_safetensors", read_after):
            self.assertEqual(ctrnn_io.weights(path)["tau_ms"], [100.0])

    def test_damage_beside_whole_states_is_passed_over(self):
        path = toy_run.write(Path(self.folder.name) / "run")  # model/ and checkpoint of step 1
        checkpoint = path / "checkpoints" / "step-00000001"
        for name in ("step-00000001.bak", "step-", "step-900"):
            shutil.copytree(checkpoint, path / "checkpoints" / name)
        self.assertEqual((ctrnn_io.load_run(path).step, ctrnn_io.load_run(path).checkpoints()), (1, [1]))
        shutil.copytree(checkpoint, path / "checkpoints" / "step-00000900")
        with self.assertWarnsRegex(UserWarning, "is the checkpoint of step 1"):
            self.assertEqual(ctrnn_io.load_run(path).step, 1)
        shutil.rmtree(path / "checkpoints" / "step-00000900")
        for text in ('{"schema": 1, "st', "{}", ""):
            (path / "model" / "model.json").write_text(text)
            with self.assertWarnsRegex(UserWarning, "whose step cannot be read"):
                run = ctrnn_io.load_run(path)
            self.assertEqual((run.step, run.newest.parent.name), (1, "step-00000001"))
        (path / "RUN.json").write_text('{"sta')
        with self.assertWarnsRegex(UserWarning, "RUN.json cannot be read"):
            self.assertEqual(ctrnn_io.load_run(path).state, "unknown")

    def test_killed_and_running_runs_without_model(self):
        path = toy_run.write_begun(Path(self.folder.name) / "run")
        run = ctrnn_io.load_run(path)
        self.assertEqual((run.task, run.step, run.state), ("toy", 0, "running"))
        self.assertEqual(ctrnn_io.weights(run)["tau_ms"], [100.0])
        self.assertEqual([event["event"] for event in run.events()], ["started"])
        self.assertEqual(list(run.metrics("val")["loss"]), [0.4])
        with self.assertRaisesRegex(FileNotFoundError, "has no checkpoint yet"):
            ctrnn_io.weights(run, "last")
        toy_run.write_checkpoint(path, 5, {"tau_ms": [50.0]})
        run = ctrnn_io.load_run(path)
        self.assertEqual(run.step, 5)
        np.testing.assert_allclose(ctrnn_io.simulate(run, [[[1.0]]])["t_ms"], [20.0])

    def test_a_running_run_of_an_early_version_has_metrics_and_checkpoints(self):
        path = toy_run.write_begun(Path(self.folder.name) / "run")
        for file in ("weights.safetensors", "model.json"):
            (path / "initial" / file).unlink()
        run = ctrnn_io.load_run(path)
        self.assertEqual((run.step, run.model, len(run.metrics()["step"])), (None, None, 2))
        with self.assertRaisesRegex(FileNotFoundError, "has no weights yet"):
            ctrnn_io.weights(run)
        toy_run.write_checkpoint(path, 5)
        run = ctrnn_io.load_run(path)
        self.assertEqual((run.step, run.task), (5, "toy"))
        self.assertEqual(ctrnn_io.weights(run)["tau_ms"], [100.0])
        with self.assertRaisesRegex(ValueError, "no model.json yet"):
            ctrnn_io.simulate(run, [[[1.0]]])

    def test_what_is_no_run_is_refused(self):
        with self.assertRaisesRegex(FileNotFoundError, "is not a run"):
            ctrnn_io.load_run(self.folder.name)

    def test_pickles_are_refused(self):
        path = Path(self.folder.name) / "states.npz"
        np.savez(path, rates=np.array([None]))
        with self.assertRaisesRegex(ValueError, "allow_pickle"):
            ctrnn_io.load_states(path)


class Dynamics(ToyRun):
    """One time step by hand; alpha = 20 / 100."""

    def one_step(self, u=2.0, n=None, **differs):
        noise = {} if n is None else {"preactivation_noise": np.full((1, 1, 2), n)}
        states = ctrnn_io.simulate(self.run_of(**differs), [[[u]]], **noise)
        return [states[name][0, 0] for name in ("potentials", "rates", "outputs")]

    def test_voltage_form(self):
        # v = 0.8 [1, -1] + 0.2 [2, 2 relu(1) + 0.5]; y = r0 - r1 + 0.25
        v, r, y = self.one_step()
        np.testing.assert_allclose(v, [1.2, -0.3], rtol=1e-6)
        np.testing.assert_allclose(r, [1.2, 0.0], rtol=1e-6)
        np.testing.assert_allclose(y, [1.45], rtol=1e-6)

    def test_rate_form(self):
        # z = [2, 2 * 1 + 0.5]; r = 0.8 [1, -1] + 0.2 tanh(z)
        z, r, _ = self.one_step(model={"form": "rate", "activation": "tanh"})
        np.testing.assert_allclose(z, [2.0, 2.5], rtol=1e-6)
        np.testing.assert_allclose(r, [0.8 + 0.2 * np.tanh(2), -0.8 + 0.2 * np.tanh(2.5)], rtol=1e-6)

    def test_exponential_integrator_and_a_tau_for_each_unit(self):
        v, _, _ = self.one_step(model={"integrator": "exponential"}, weights={"tau_ms": [20.0, 40.0]})
        d = np.exp([-1.0, -0.5])
        np.testing.assert_allclose(v, d * [1, -1] + (1 - d) * [2, 2.5], rtol=1e-6)

    def test_noise_conventions(self):
        silent, _, _ = self.one_step()
        # v receives: alpha sigma n; sqrt(2 alpha) sigma n; sigma n
        for convention, added in [("spec", 0.2 * 0.3), ("song", np.sqrt(0.4) * 0.3), ("raw", 0.3)]:
            noise = toy_run.MODEL["noise"] | {"preactivation": 0.3, "convention": convention}
            v, _, _ = self.one_step(n=1.0, name=convention, model={"noise": noise})
            np.testing.assert_allclose(v - silent, added, rtol=1e-5)

    def test_an_unknown_noise_convention_is_refused(self):
        noise = toy_run.MODEL["noise"] | {"convention": "new"}
        with self.assertRaisesRegex(ValueError, "`new` is not a noise convention; expected one of spec, song, raw"):
            self.one_step(model={"noise": noise})

    def test_covariance(self):
        covariance = np.array([[4.0, 2.0, 0.0], [2.0, 1.0, 0.0], [0.0, 0.0, 9.0]])  # of rank 2
        lower = ctrnn_io.simulation.factor(covariance)
        np.testing.assert_allclose(lower @ lower.T, covariance, atol=1e-12)

    def test_readout_nonlinearities(self):
        two = {"output.weight": [[1.0, 0.0], [0.0, 1.0]], "output.bias": [0.0, 0.0]}
        for name, expected in [("sigmoid", 1 / (1 + np.exp([-1.2, 0]))), ("softmax", np.exp([1.2, 0]) / (1 + np.exp(1.2)))]:
            _, _, y = self.one_step(name=name, model={"output_nonlinearity": name}, weights=two)
            np.testing.assert_allclose(y, expected, rtol=1e-6)

    def test_baseline_and_rectification(self):
        v, _, _ = self.one_step(u=-0.5, model={"input": {"baseline": 0.2, "rectify": True}})
        np.testing.assert_allclose(v[0], 0.8, rtol=1e-6)

    def test_each_condition_has_its_initial_state(self):
        run = self.run_of(weights={"initial_state": [[1.0, 0.0], [0.0, 1.0]], "input.weight": [[0.0], [0.0]]})
        states = ctrnn_io.simulate(run, np.zeros((2, 1, 1)), conditions=[1, 0])
        np.testing.assert_allclose(states["potentials"][:, 0, 0], [0.0, 0.8], rtol=1e-6)
        with self.assertRaisesRegex(ValueError, "conditions"):
            ctrnn_io.simulate(run, np.zeros((2, 1, 1)))

    def test_wrong_shapes_are_refused(self):
        run = self.run_of()
        with self.assertRaisesRegex(ValueError, r"must be \[trial, time, 1\]"):
            ctrnn_io.simulate(run, np.zeros((2, 3, 4)))
        with self.assertRaisesRegex(ValueError, "preactivation_noise has shape"):
            ctrnn_io.simulate(run, np.zeros((1, 3, 1)), preactivation_noise=np.zeros((1, 3, 1)))


if __name__ == "__main__":
    unittest.main()
