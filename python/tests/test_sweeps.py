"""Tests of passes and their gradients on arrays of numpy, with the extension."""

import json
import unittest

import numpy as np

from ctrnn._ctrnn import Sweeps

NETWORKS = {
    "voltage": {"activation": "tanh"},
    "rate": {"activation": "softplus", "form": "rate", "tau_ms": {"uniform": [50.0, 150.0]}},
    "dale": {"activation": "softplus", "dale": {"excitatory_fraction": 0.75}},
    "learned": {"activation": "tanh", "tau_ms": {"learned": {"initial": 100.0, "bounds": [30.0, 400.0]}}, "initial_state": "learned"},
    "low_rank": {"activation": "tanh", "low_rank": {"rank": 2}},
}


def drawn(model, is_double=True, **options):
    table = json.dumps({"n_units": 8, **model})
    return Sweeps.drawn(table, [2, 3], options.get("dt_ms", 20.0), options.get("seed", 1), is_double)


def parameters(sweeps):
    weights = sweeps.weights({})
    return {name: weights[name] for name in sweeps.names}


class Gradients(unittest.TestCase):
    def setUp(self):
        self.rng = np.random.default_rng(2)
        self.inputs, self.state = self.rng.normal(size=(4, 7, 2)), self.rng.normal(size=(4, 8))
        sizes = {"outputs": (7, 4, 3), "final_state": (1, 4, 8), "rates": (7, 4, 8), "potentials": (7, 4, 8)}
        self.upstream = {name: self.rng.normal(size=size) for name, size in sizes.items()}

    def loss(self, sweeps, inputs, values, state):
        results, backward = sweeps.forward(inputs, values, state, None, ["rates", "potentials"], False, False)
        self.assertIsNone(backward)
        return sum((results[name] * upstream).sum() for name, upstream in self.upstream.items())

    def assert_derivative(self, gradient, value, loss):
        """Compares a gradient with central differences along random directions."""
        for _ in range(3):
            direction, h = self.rng.normal(size=value.shape), 1e-6
            numeric = (loss(value + h * direction) - loss(value - h * direction)) / (2 * h)
            np.testing.assert_allclose((gradient.reshape(value.shape) * direction).sum(), numeric, rtol=1e-6, atol=1e-7)

    def test_they_are_derivatives(self):
        for name, model in NETWORKS.items():
            with self.subTest(name):
                sweeps = drawn(model)
                values = parameters(sweeps)
                state = None if name == "learned" else self.state
                results, backward = sweeps.forward(self.inputs, values, state, None, ["rates", "potentials"], True, True)
                self.assertEqual(set(results), set(self.upstream))
                found = backward(self.upstream)
                self.assert_derivative(found["inputs"].swapaxes(0, 1), self.inputs, lambda x: self.loss(sweeps, x, values, state))
                if state is not None:
                    self.assert_derivative(found["given_state"], state, lambda x: self.loss(sweeps, self.inputs, values, x))
                self.assertEqual("initial_state" in found, state is None)  # a given state takes the place of the learned one
                for key, value in values.items():
                    if key not in found:
                        continue
                    self.assert_derivative(found[key], value, lambda x, key=key: self.loss(sweeps, self.inputs, {**values, key: x}, state))

    def test_a_pass_is_the_same_with_and_without_gradients(self):
        sweeps = drawn(NETWORKS["dale"], is_double=False)
        inputs, values = self.inputs.astype(np.float32), parameters(sweeps)
        tracked, _ = sweeps.forward(inputs, values, None, (3, 0), ["rates"], True, True)
        plain, _ = sweeps.forward(inputs, values, None, (3, 0), ["rates"], False, False)
        for name in plain:
            np.testing.assert_array_equal(plain[name], tracked[name])

    def test_noise_is_that_of_its_seed(self):
        sweeps = drawn({**NETWORKS["voltage"], "noise": {"preactivation": 0.3}})
        values = parameters(sweeps)
        run = lambda noise: sweeps.forward(self.inputs, values, None, noise, [], False, False)[0]["outputs"]
        np.testing.assert_array_equal(run((3, 0)), run((3, 0)))
        self.assertGreater(abs(run((3, 0)) - run((4, 0))).max(), 1e-3)
        self.assertGreater(abs(run((3, 0)) - run(None)).max(), 1e-3)

    def test_a_backward_pass_is_made_once(self):
        sweeps = drawn(NETWORKS["voltage"])
        _, backward = sweeps.forward(self.inputs, parameters(sweeps), None, None, [], True, False)
        self.assertEqual(set(backward({"outputs": self.upstream["outputs"]})), set(sweeps.names))
        with self.assertRaisesRegex(RuntimeError, "has been made already"):
            backward({})

    def test_what_does_not_fit_is_refused(self):
        sweeps = drawn(NETWORKS["voltage"])
        values = parameters(sweeps)
        for inputs, given, state, expected in [
            (self.inputs[:, :, :1], {}, None, r"`inputs` has shape \[4, 7, 1\]; expected \[trials, time steps, 2\]"),
            (self.inputs[0], {}, None, r"`inputs` has shape \[7, 2\]"),
            (self.inputs[:, :0], {}, None, "at least one of each"),
            (self.inputs, {"w": values["input.weight"]}, None, "`w` is not a trained parameter; expected one of initial|`w` is not a trained parameter"),
            (self.inputs, {"input.weight": np.zeros((3, 3))}, None, r"`input.weight` has shape \[3, 3\]; expected \[8, 2\]"),
            (self.inputs, {}, self.state[:2], r"`initial_state` has shape \[2, 8\]; expected \[4, 8\]"),
        ]:
            with self.assertRaisesRegex(ValueError, expected):
                sweeps.forward(inputs, given, state, None, [], False, False)
        for wrong in (self.inputs.astype(np.float32), self.inputs.tolist(), None, self.inputs.astype(complex)):
            with self.assertRaisesRegex(TypeError, "`inputs` is not an array of float64"):
                sweeps.forward(wrong, {}, None, None, [], False, False)
        with self.assertRaisesRegex(ValueError, "n_unit"):
            Sweeps.drawn('{"n_unit": 3}', [1, 1], 20.0, 1, True)
        with self.assertRaisesRegex(ValueError, "tau_ms"):
            Sweeps.drawn('{"n_units": 3, "tau_ms": 5}', [1, 1], 20.0, 1, True)

    def test_arrays_of_any_layout_are_read(self):
        sweeps = drawn(NETWORKS["voltage"])
        values = parameters(sweeps)
        run = lambda inputs: sweeps.forward(inputs, values, None, None, [], False, False)[0]["outputs"]
        fixed = self.inputs.copy()
        fixed.flags.writeable = False
        for given in (np.asfortranarray(self.inputs), self.inputs[:, ::-1][:, ::-1], fixed):
            np.testing.assert_array_equal(run(given), run(self.inputs))

    def test_signs_are_kept_by_settling(self):
        sweeps = drawn({"activation": "relu", "dale": {"excitatory_fraction": 0.75, "parametrization": "clamp"}})
        values = {name: value + self.rng.normal(size=value.shape) for name, value in parameters(sweeps).items()}
        settled = sweeps.settled(values)
        weights = sweeps.weights(settled)
        signs = np.sign(weights["recurrent.weight"]).sum(axis=0)
        self.assertTrue((np.array(settled["recurrent.weight_raw"])[:, :6] >= 0).all(), settled["recurrent.weight_raw"])
        self.assertTrue((signs[:6] >= 0).all() and (signs[6:] <= 0).all())

    def test_biases_are_kept_in_their_range_by_settling(self):
        sweeps = drawn({"activation": "relu", "bias": {"range": [-0.25, 0.5]}})
        values = {"recurrent.bias": np.linspace(-1, 1, 8), "input.weight": parameters(sweeps)["input.weight"]}
        settled = sweeps.settled(values)
        np.testing.assert_array_equal(settled["recurrent.bias"], np.clip(values["recurrent.bias"], -0.25, 0.5))
        np.testing.assert_array_equal(settled["input.weight"], values["input.weight"])
        with self.assertRaisesRegex(ValueError, r"`recurrent.bias` has shape \[3\]; expected \[8\]"):
            sweeps.settled({"recurrent.bias": np.zeros(3)})


if __name__ == "__main__":
    unittest.main()
