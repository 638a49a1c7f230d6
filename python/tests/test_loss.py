"""Tests of terms of the loss in Python, without the extension."""

import io
import json
import tempfile
import textwrap
import unittest
from pathlib import Path

import numpy as np

from ctrnn.loss import LossServer

from .test_task import as_sent

RATES = np.random.default_rng(1).normal(size=(3, 5, 2)).astype(np.float32)
WEIGHTS = {"input.weight": np.ones((2, 1), np.float32), "recurrent.weight": np.eye(2, dtype=np.float32)}


def answers(text, *questions, name="mine", arguments="{}"):
    """Returns the answers of a server whose file has this text: pairs of a header and arrays."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "my_loss.py"
        file.write_text("import numpy as np\n" + textwrap.dedent(text))
        asked = io.BytesIO(b"".join(as_sent(k, question) for k, question in enumerate(questions)))
        written = io.BytesIO()
        LossServer(asked, written, file, name, arguments).run()
    stream = io.BytesIO(written.getvalue())
    found = []
    while line := stream.readline():
        header = json.loads(line)
        content, arrays = stream.read(header.get("bytes", 0)), {}
        for array, shape in header.get("arrays", []):
            n = int(np.prod(shape))
            arrays[array], content = np.frombuffer(content, "<f4", n).reshape(shape), content[4 * n :]
        found.append((header, arrays))
    return found


def asked(**options):
    return {"arrays": {"rates": RATES, **WEIGHTS}, "gradient": True, **options}


SLOW = """
    def mine(rates, weights, weight: float = 0.5):
        w = weights["recurrent.weight"]
        return weight * np.sum(rates**2) + np.sum(w), {"rates": 2 * weight * rates, "recurrent.weight": np.ones_like(w)}
"""


class Terms(unittest.TestCase):
    def test_a_function_is_given_what_its_parameters_name(self):
        (hello, _), (header, gradients) = answers(SLOW, {"hello": True}, asked(), arguments='{"weight": 2}')
        self.assertEqual(hello["takes"], ["rates", "weights"])
        self.assertAlmostEqual(header["value"], 2 * float(np.sum(RATES**2)) + 2, places=4)
        np.testing.assert_allclose(gradients["rates"], 4 * RATES, rtol=1e-6)
        np.testing.assert_array_equal(gradients["recurrent.weight"], np.ones((2, 2)))

    def test_a_validation_has_no_gradients(self):
        ((header, gradients),) = answers(SLOW, asked(gradient=False))
        self.assertEqual((header["arrays"], gradients), ([], {}))

    def test_values_that_are_not_finite_are_sent(self):
        ((header, _),) = answers("def mine(rates):\n    return np.inf, {}", asked())
        self.assertEqual(header["value"], "inf")

    def test_what_is_wrong_is_named(self):
        for text, expected in [
            ("def other(rates): pass", "my_loss.py has no function 'mine'"),
            ("def mine(rate): pass", "mine takes neither outputs, rates nor weights"),
            ("def mine(rates): return 3.0", "mine returned float; expected (value, gradients)"),
            ("def mine(rates): return 'a', {}", "mine returned (str, dict); expected (value, gradients)"),
            ("def mine(rates): return 1.0, {'rate': rates}", "gradient of 'rate'; expected rates, input.weight, recurrent.weight"),
            ("def mine(rates): return 1.0, {'rates': rates[0]}", "is float32 of shape (5, 2); expected real numbers of shape (3, 5, 2)"),
            ("def mine(rates): return 1.0, {'rates': 1j * rates}", "is complex64 of shape (3, 5, 2); expected real numbers"),
            ("def mine(rates, other): pass", "mine needs the argument 'other'; give it in `arguments` of the term"),
            ("def mine(rates):\n    return rates[7]", "IndexError: index 7 is out of bounds"),
        ]:
            with self.subTest(text):
                ((header, _),) = answers(text, asked())
                self.assertIn(expected, header["error"])
        ((header, _),) = answers(SLOW, asked(), arguments='{"weights": 1, "wight": 2}')
        self.assertIn("mine has no argument 'weights'; it takes weight", header["error"])


if __name__ == "__main__":
    unittest.main()
