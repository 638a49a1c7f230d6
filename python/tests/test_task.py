"""Tests of tasks in Python, without the extension."""

import io
import json
import tempfile
import textwrap
import unittest
from pathlib import Path

import numpy as np

from ctrnn.serve import TaskServer
from ctrnn.tasks import Clock, Task


class Pulse(Task):
    inputs = ["u"]
    outputs = ["left", "right"]
    conditions = {"coh": [0.1, 0.5], "side": [0, 1, 2]}

    def trial(self, condition, rng, clock):
        n_steps = clock.steps(100) + int(condition["side"])
        inputs = np.full((n_steps, 1), condition["coh"]) + rng.standard_normal((n_steps, 1))
        return inputs, np.zeros((n_steps, 2))


def as_sent(number, question):
    """Returns a question as bytes; its arrays, if it has any, follow its line."""
    arrays = question.pop("arrays", {})
    if not arrays:
        return json.dumps({"id": number, "dt_ms": 20.0, **question}).encode() + b"\n"
    content = b"".join(np.asarray(array, "<f4").tobytes() for array in arrays.values())
    shapes = [(name, np.shape(array)) for name, array in arrays.items()]
    header = {"id": number, "dt_ms": 20.0, "arrays": shapes, "bytes": len(content), **question}
    return json.dumps(header).encode() + b"\n" + content


def answers(text, *questions, arguments="{}", name=""):
    """Returns the answers of a server whose file has this text: pairs of a header and arrays."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "my_own_task.py"
        file.write_text("import numpy as np\nimport ctrnn\n" + textwrap.dedent(text))
        asked = io.BytesIO(b"".join(as_sent(k, question) for k, question in enumerate(questions)))
        written = io.BytesIO()
        TaskServer(asked, written, file, name, arguments).run()
    stream = io.BytesIO(written.getvalue())
    found = []
    while line := stream.readline():
        header = json.loads(line)
        content = stream.read(header.get("bytes", 0))
        found.append((header, dict(np.load(io.BytesIO(content))) if content else {}))
    return found


def error_of(text, **options):
    """Returns the error of the first batch."""
    batch = {"seed": 1, "step": 2, "n_trials": 4, "balanced": False}
    return answers(text, batch, **options)[0][0].get("error", "no error")


class Batches(unittest.TestCase):
    def test_the_same_numbers_give_the_same_batch(self):
        one, again, other = (Pulse().batch(20, seed=3, step=step) for step in (5, 5, 6))
        for name in one:
            np.testing.assert_array_equal(one[name], again[name])
        self.assertFalse(np.array_equal(one["inputs"][:, :5], other["inputs"][:, :5]))

    def test_conditions_are_used_in_turn_or_drawn(self):
        batch = Pulse().batch(12, balanced=True)
        np.testing.assert_array_equal(batch["cond_coh"], [0.1, 0.1, 0.1, 0.5, 0.5, 0.5] * 2)
        np.testing.assert_array_equal(batch["cond_side"], [0, 1, 2] * 4)
        drawn = Pulse().batch(3000)["cond_side"]
        np.testing.assert_allclose(np.bincount(drawn.astype(int)) / 3000, 1 / 3, atol=0.04)

    def test_shorter_trials_end_with_zeros(self):
        batch = Pulse().batch(6, dt_ms=10.0, balanced=True)
        np.testing.assert_array_equal(batch["n_steps"], [10, 11, 12] * 2)
        self.assertEqual((batch["inputs"].shape, batch["targets"].shape), ((6, 12, 1), (6, 12, 2)))
        self.assertEqual(batch["inputs"].dtype, np.float32)
        np.testing.assert_array_equal(batch["inputs"][0, 10:], 0)

    def test_masks_for_all_and_for_each_output_are_combined(self):
        class Mixed(Pulse):
            def trial(self, condition, rng, clock):
                inputs, targets = super().trial(condition, rng, clock)
                n = len(inputs)
                mask = [None, np.full(n, 0.5), np.full((n, 2), 0.25)][int(condition["side"])]
                return inputs, targets, mask

        batch = Mixed().batch(3, balanced=True)
        self.assertEqual(batch["mask"].shape, (3, 7, 2))
        np.testing.assert_array_equal(batch["mask"][:, 0], [[1, 1], [0.5, 0.5], [0.25, 0.25]])

    def test_time_is_rounded_half_up(self):
        clock = Clock(20)
        self.assertEqual([clock.steps(ms) for ms in (0, 9.9, 10, 50, 600)], [0, 0, 1, 3, 30])

    def test_a_list_of_conditions_is_used_as_it_is(self):
        class Listed(Pulse):
            conditions = [{"coh": 0.1, "side": 1}, {"coh": float("nan"), "side": 0}]

            def trial(self, condition, rng, clock):
                return np.zeros((4, 1)), np.zeros((4, 2))

        np.testing.assert_array_equal(Listed().batch(3, balanced=True)["cond_coh"], [0.1, np.nan, 0.1])


TASK = """
    class Mine(ctrnn.Task):
        inputs = ["u"]
        outputs = ["y"]

        def __init__(self, gain: float = 1.0, n: int = 3, words: list[str] = ()):
            self.gain, self.n = gain, n

        def trial(self, condition, rng, clock):
            return {}
"""


def mine(returned):
    return TASK.replace("return {}", f"return {returned}")


class Serving(unittest.TestCase):
    def test_a_server_names_channels_and_makes_batches(self):
        text = mine("self.gain * np.ones((self.n, 1)), np.zeros((self.n, 1))")
        batch = {"seed": 1, "step": 2, "n_trials": 4, "balanced": True}
        hello, made = answers(text, {"hello": True}, batch, arguments='{"gain": 2, "n": 5, "words": ["a"]}')
        self.assertEqual(hello[0], {"id": 0, "inputs": ["u"], "outputs": ["y"], "target": "values", "is_correct": False})
        self.assertEqual(made[0]["id"], 1)
        np.testing.assert_array_equal(made[1]["inputs"], np.full((4, 5, 1), 2.0))
        self.assertEqual(set(made[1]), {"inputs", "targets"})

    def test_recordings_are_announced_and_sent(self):
        trial = "{'inputs': np.ones((3, 1)), 'targets': np.zeros((3, 1)), 'unit_targets': np.array([[1, np.nan]] * 3)}"
        text = mine(trial).replace('inputs = ["u"]', 'inputs = ["u"]\n        recorded = 2')
        hello, made = answers(text, {"hello": True}, {"seed": 1, "step": 2, "n_trials": 4, "balanced": True})
        self.assertEqual(hello[0]["recorded"], 2)
        np.testing.assert_array_equal(made[1]["unit_targets"], np.full((4, 3, 2), [1, np.nan]))
        missing = text.replace(", 'unit_targets': np.array([[1, np.nan]] * 3)", "")
        self.assertIn("Mine.trial returned no unit_targets; expected inputs and targets and unit_targets", error_of(missing))
        self.assertIn("unit_targets of Mine.trial have shape (3, 2); expected (3, 1)", error_of(text.replace("recorded = 2", "recorded = 1")))

    def test_arguments_are_checked(self):
        text = mine("np.ones((3, 1)), np.zeros((3, 1))")
        for arguments, expected in [
            ('{"gains": 2}', "Mine has no argument 'gains'; it takes gain, n, words"),
            ('{"gain": "2"}', "argument 'gain' is '2'; expected float"),
            ('{"n": 2.5}', "argument 'n' is 2.5; expected int"),
            ('{"n": true}', "argument 'n' is True; expected int"),
            ('{"words": [1]}', "argument 'words' is 1; expected str"),
        ]:
            self.assertIn(expected, error_of(text, arguments=arguments))
        needs = text.replace("gain: float = 1.0", "gain: float")
        self.assertIn("Mine needs the argument 'gain'; give it in task.python.arguments", error_of(needs))

    def test_what_a_trial_must_not_return_is_named(self):
        for returned, expected in [
            ("None", "Mine.trial returned NoneType; expected (inputs, targets), (inputs, targets, mask) or a dict of arrays"),
            ("(1, 2, 3, 4)", "returned a tuple of 4"),
            ("np.ones((3, 1)), np.zeros((4, 1))", "targets of Mine.trial have shape (4, 1); expected (3, 1)"),
            ("np.ones((3, 2)), np.zeros((3, 1))", "inputs of Mine.trial have shape (3, 2); expected (3, 1)"),
            ("np.ones(3), np.zeros((3, 1))", "inputs of Mine.trial have shape (3,); expected [time, input]"),
            ("np.ones((3, 1)), np.zeros((3, 1)), np.ones(2)", "mask of Mine.trial have shape (2,); expected (3,) or (3, 1)"),
            ("{'inputs': np.ones((3, 1))}", "returned no targets"),
            ("{'inputs': np.ones((3, 1)), 'target': 1}", "returned 'target'; expected only inputs, mask, targets"),
            ("np.full((3, 1), 'a'), np.zeros((3, 1))", "inputs of Mine.trial are of type <U1; expected real numbers"),
        ]:
            self.assertIn(expected, error_of(mine(returned)))

    def test_an_error_shows_the_lines_of_the_user_and_serving_goes_on(self):
        text = mine("[][int(condition['k'])], 0").replace("outputs", 'conditions = {"k": [1]}\n        outputs', 1)
        batch = {"seed": 1, "step": 2, "n_trials": 4, "balanced": True}
        (first, _), (second, _) = answers(text, batch, batch)
        self.assertEqual(first["error"], second["error"])
        lines = first["error"].splitlines()
        self.assertEqual(lines[0], "Mine failed:")
        self.assertIn("my_own_task.py", lines[1])
        self.assertIn("in trial", lines[1])
        self.assertEqual(lines[-1], "IndexError: list index out of range")
        self.assertNotIn("serve.py", first["error"])

    def test_the_class_is_found_or_named(self):
        two = TASK + TASK.replace("Mine", "Other")
        self.assertIn("has 2 classes that are tasks; it has Mine, Other: name one with `class`", error_of(two))
        self.assertIn("Other.trial returned no inputs", error_of(two, name="Other"))
        self.assertIn("has no class 'Foo' that is a ctrnn.Task; it has Mine", error_of(TASK, name="Foo"))
        self.assertIn("has 0 classes that are tasks; expected a class that inherits from ctrnn.Task", error_of("x = 1"))
        self.assertIn("SyntaxError", error_of("x = ("))

    def test_a_class_decides_which_answers_are_correct(self):
        own = """
        def is_correct(self, condition, trial, outputs, clock):
            if condition["k"] == 0:
                return None
            return abs(outputs[-1, 0] - trial["targets"][-1, 0]) < clock.dt_ms / 100
"""
        text = mine("np.ones((3, 1)), np.zeros((3, 1))") + own
        trial = {"inputs": np.ones((3, 1)), "targets": np.zeros((3, 1))}
        ask = lambda k, y: {"is_correct": True, "condition": {"k": k}, "arrays": {**trial, "outputs": np.full((3, 1), y)}}
        hello, *found = answers(text, {"hello": True}, ask(1, 0.1), ask(1, 0.3), ask(0, 0.1))
        self.assertTrue(hello[0]["is_correct"])
        self.assertEqual([header["correct"] for header, _ in found], [True, False, None])
        ((header, _),) = answers(text.replace("return None", "return 1"), ask(0, 0.1))
        self.assertIn("Mine.is_correct returned 1; expected True, False, or None", header["error"])

    def test_channels_and_conditions_are_checked(self):
        for change, expected in [
            ('outputs = "y"', "Mine.outputs is 'y'; expected a list of names"),
            ("outputs = []", "Mine.outputs is []; expected a list of names"),
            ('outputs = ["y"]\n        conditions = {"k": []}', "conditions has no combination of values"),
            ('outputs = ["y"]\n        conditions = [{"k": 1}, {"j": 1}]', "differ in their names"),
        ]:
            (hello, _), = answers(TASK.replace('outputs = ["y"]', change), {"hello": True})
            self.assertIn(expected, hello["error"])


if __name__ == "__main__":
    unittest.main()
