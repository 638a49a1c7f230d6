"""Tests of the module of PyTorch; skipped where torch is not installed."""

import tempfile
import unittest
from pathlib import Path

import numpy as np

import ctrnn

try:
    import torch

    from ctrnn.torch import CTRNN, loss
except ImportError:
    torch = None

from .test_ctrnn import SMOKE
from .test_loss import RATES, WEIGHTS, answers, asked


@unittest.skipIf(torch is None, "torch is not installed")
class Modules(unittest.TestCase):
    def setUp(self):
        torch.manual_seed(1)
        self.net = CTRNN(2, 6, 1, seed=3, dtype=torch.float64, activation="tanh", tau_ms=80.0)
        self.inputs = torch.randn(3, 5, 2, dtype=torch.float64)

    def test_gradients_pass_gradcheck(self):
        names = [name for name, _ in self.net.named_parameters()]
        state = torch.randn(3, 6, dtype=torch.float64, requires_grad=True)

        def run(inputs, state, *values):
            return tuple(torch.func.functional_call(self.net, dict(zip(names, values)), (inputs, state), {"record": ("rates",)})[:3])

        given = [self.inputs.requires_grad_(), state, *self.net.parameters()]
        self.assertTrue(torch.autograd.gradcheck(run, given))

    def test_it_equals_steps_in_torch(self):
        w = {name: torch.from_numpy(value) for name, value in self.net.weights().items()}
        alpha, v, outputs = 20.0 / 80.0, torch.zeros(3, 6, dtype=torch.float64), []
        for k in range(5):
            drive = torch.tanh(v) @ w["recurrent.weight"].T + self.inputs[:, k] @ w["input.weight"].T + w["recurrent.bias"]
            v = (1 - alpha) * v + alpha * drive
            outputs.append(torch.tanh(v) @ w["output.weight"].T + w["output.bias"])
        found = self.net(self.inputs, record=["potentials"])
        torch.testing.assert_close(found.outputs, torch.stack(outputs, 1), rtol=0, atol=1e-12)
        torch.testing.assert_close(found.final_state, v, rtol=0, atol=1e-12)
        self.assertIsNone(found.rates)

    def test_torch_trains_it(self):
        net = CTRNN(1, 32, 1, activation="relu", tau_ms=60.0, dtype=torch.float32)
        optimizer = torch.optim.Adam(net.parameters(), 1e-2)
        inputs = torch.randn(16, 20, 1)
        targets = inputs.cumsum(1) / 4
        losses = []
        for _ in range(60):
            loss = ((net(inputs).outputs - targets) ** 2).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        self.assertLess(losses[-1], 0.1 * losses[0])

    def test_the_state_dict_has_the_names_of_files(self):
        expected = {"input.weight", "recurrent.weight", "recurrent.bias", "output.weight", "output.bias", "initial_state"}
        self.assertEqual(set(self.net.state_dict()), expected)
        other = CTRNN(2, 6, 1, seed=4, dtype=torch.float64, activation="tanh", tau_ms=80.0)
        other.load_state_dict(self.net.state_dict())
        torch.testing.assert_close(other(self.inputs).outputs, self.net(self.inputs).outputs)

    def test_a_run_is_opened(self):
        with tempfile.TemporaryDirectory() as folder:
            run = ctrnn.train(SMOKE, {"train.steps": 5}, run_dir=Path(folder) / "run", progress=False)
            net = CTRNN.from_run(run, dtype=torch.float64).eval()
            inputs = np.random.default_rng(1).normal(size=(2, 6, net.n_inputs))
            found = net(torch.from_numpy(inputs)).outputs.detach().numpy()
            np.testing.assert_allclose(found, run.network.forward(inputs)["outputs"], rtol=0, atol=1e-12)

    def test_noise_is_drawn_from_the_generator_of_torch(self):
        net = CTRNN(2, 6, 1, activation="tanh", noise={"preactivation": 0.5}, dtype=torch.float64)
        run = lambda seed, **options: (torch.manual_seed(seed), net(self.inputs, **options).outputs)[1]
        self.assertTrue(torch.equal(run(1), run(1)))
        self.assertFalse(torch.equal(run(1), run(2)))
        self.assertTrue(torch.equal(run(1, noise=False), run(2, noise=False)))
        net.eval()
        self.assertTrue(torch.equal(run(1), run(2)))

    def test_it_runs_inside_a_compiled_function(self):
        run = torch.compile(lambda inputs: 2 * self.net(inputs).outputs, backend="eager")
        torch.testing.assert_close(run(self.inputs), 2 * self.net(self.inputs).outputs)

    def test_what_does_not_fit_is_refused(self):
        with self.assertRaisesRegex(TypeError, "inputs are torch.float32 on cpu; expected torch.float64 on the CPU"):
            self.net(self.inputs.float())
        with self.assertRaisesRegex(ValueError, "inputs. has shape"):
            self.net(self.inputs[:, :, :1])
        with self.assertRaisesRegex(ValueError, "record has 'rate'; expected 'rates' or 'potentials'"):
            self.net(self.inputs, record=["rate"])
        with self.assertRaisesRegex(TypeError, "expected torch.float32 or torch.float64"):
            CTRNN(1, 2, 1, dtype=torch.float16)
        with self.assertRaisesRegex(ValueError, "n_unit"):
            CTRNN(1, 2, 1, n_unitz=3)

    def test_a_term_of_the_loss_takes_tensors(self):
        text = """
            import torch
            from ctrnn.torch import loss

            @loss
            def mine(rates, weights, weight: float = 0.5):
                return weight * rates.square().sum() + weights["recurrent.weight"].sum()
        """
        (hello, _), (header, gradients), (tested, none) = answers(text, {"hello": True}, asked(), asked(gradient=False))
        self.assertEqual(hello["takes"], ["rates", "weights"])
        value = 0.5 * float(np.sum(RATES**2)) + float(np.sum(WEIGHTS["recurrent.weight"]))
        self.assertAlmostEqual(header["value"], value, places=4)
        self.assertAlmostEqual(tested["value"], value, places=4)
        self.assertEqual((set(gradients), none), ({"rates", "recurrent.weight"}, {}))
        np.testing.assert_allclose(gradients["rates"], RATES, rtol=1e-6)
        with self.assertRaisesRegex(TypeError, r"returned a tensor of shape \(3, 5, 2\); expected a tensor of one element"):
            loss(lambda rates: rates)(rates=RATES.copy())

    def test_memory_stays_flat(self):
        import resource

        net = CTRNN(2, 32, 1, activation="relu")
        inputs = torch.randn(16, 50, 2)
        peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

        def passes(n, are_learnt_from):
            for _ in range(n):
                net(inputs)  # without a backward pass
                if are_learnt_from:
                    net(inputs).outputs.sum().backward()

        for are_learnt_from in (True, False):
            passes(50, are_learnt_from)
            before = peak()
            passes(500, are_learnt_from)
            self.assertLess(peak() - before, 20_000)  # kB; 500 trajectories would be 50 MB


if __name__ == "__main__":
    unittest.main()
