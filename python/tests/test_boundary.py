"""Arbitrary arrays at the boundary to the extension, threads, forks and signals, and memory over many calls."""

import os
import random
import resource
import subprocess
import sys
import tempfile
import textwrap
import threading
import unittest
from pathlib import Path

import numpy as np

import ctrnn

CONFIGS = Path(os.environ.get("CTRNN_CONFIGS", Path(__file__).parents[2] / "configs"))

DTYPES = [np.float64, np.float32, np.float16, np.int64, np.uint8, np.bool_, np.complex64, object, "U3", "M8[s]", ">f8"]


def setUpModule():
    global FOLDER, NETWORK
    FOLDER = tempfile.TemporaryDirectory()
    config = {"seed": 1, "task": {"go_nogo": {}}, "model": {"n_units": 8}, "train": {"steps": 2, "batch_size": 4}, "validate": {"every_steps": 2}}
    NETWORK = ctrnn.train(config, run_dir=Path(FOLDER.name) / "run", progress=False).network


def tearDownModule():
    FOLDER.cleanup()


class Arbitrary:
    """Random values for the arguments of a function that takes arrays."""

    def __init__(self, seed):
        self.random = random.Random(seed)

    def array(self):
        shape = tuple(self.random.choice([0, 1, 2, 3, 8]) for _ in range(self.random.randrange(5)))
        dtype = np.dtype(self.random.choice(DTYPES))
        values = np.zeros(shape, dtype)
        if dtype.kind in "fc" and values.size:
            values.flat[self.random.randrange(values.size)] = self.random.choice([np.nan, np.inf, -np.inf, 6e4, 0.5])
        if values.ndim and self.random.random() < 0.3:
            values = np.repeat(values, 2, axis=-1)[..., ::2]  # not contiguous
        if values.ndim > 1 and self.random.random() < 0.3:
            values = np.asfortranarray(values)
        if self.random.random() < 0.3:
            values.flags.writeable = False
        return values

    def value(self):
        others = [None, -1, 2**70, "last", b"\0", float("nan"), [], [[1.0], [1.0, 2.0]], {}, {"a": 1}, object()]
        return self.array() if self.random.random() < 0.7 else self.random.choice(others)


class Boundary(unittest.TestCase):
    def test_an_argument_that_does_not_fit_is_an_exception(self):
        """Either a result or an ordinary exception: a panic is neither (PanicException is no Exception), and ends the process of a test."""
        batches = ctrnn.task("go_nogo")
        functions = [
            (NETWORK.step, 2),
            (NETWORK.jacobian, 2),
            (NETWORK.forward, 3),
            (batches.batch, 1),
            (lambda n, seed, step: batches.batch(n, seed=seed, step=step), 3),
            (batches.score, 1),
        ]
        results = exceptions = 0
        for seed in range(3000):
            arbitrary = Arbitrary(seed)
            function, n = functions[seed % len(functions)]
            arguments = [arbitrary.value() for _ in range(n)]
            with self.subTest(seed=seed, arguments=arguments):
                try:
                    function(*arguments)
                    results += 1
                except Exception as error:
                    exceptions += 1
                    self.assertNotEqual(str(error), "")
        self.assertGreater(exceptions, 1000)
        self.assertGreater(results, 0)

    def test_arrays_that_fit_are_read_in_any_order_and_type(self):
        inputs = np.random.default_rng(0).normal(size=(3, 5, NETWORK.n_inputs))
        expected = NETWORK.forward(inputs)["outputs"]
        read_only = inputs.copy()
        read_only.flags.writeable = False
        repeated = np.repeat(inputs, 2, axis=-1)[..., ::2]
        for form in (np.asfortranarray(inputs), read_only, repeated, inputs[::-1][::-1], inputs.astype(">f8"), inputs.tolist()):
            np.testing.assert_array_equal(NETWORK.forward(form)["outputs"], expected)

    def test_threads_wait_for_each_other(self):
        inputs = np.zeros((16, 50, NETWORK.n_inputs))
        expected = NETWORK.forward(inputs)["outputs"]
        batches = ctrnn.task("go_nogo")
        found = []

        def works():
            for _ in range(20):
                batches.batch(8)
                found.append(NETWORK.forward(inputs)["outputs"])

        threads = [threading.Thread(target=works, daemon=True) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        self.assertEqual(len(found), 80)
        for outputs in found:
            np.testing.assert_array_equal(outputs, expected)

    @unittest.skipUnless(hasattr(os, "fork"), "this system has no fork")
    def test_a_forked_process_computes(self):
        """Workers of PyTorch's DataLoader and of multiprocessing are forked; the threads of their parent are not there."""
        text = """
            import os, signal, sys
            import numpy as np
            import ctrnn

            network, batches = ctrnn.load_run(sys.argv[1]).network, ctrnn.task("go_nogo")
            inputs = np.zeros((64, 50, network.n_inputs))
            expected = network.forward(inputs)["outputs"], batches.batch(64)["inputs"]
            child = os.fork()
            if child == 0:
                signal.alarm(60)
                same = np.array_equal(network.forward(inputs)["outputs"], expected[0])
                os._exit(0 if same and np.array_equal(batches.batch(64)["inputs"], expected[1]) else 1)
            assert os.waitpid(child, 0)[1] == 0, "the child was stopped, or computed something else"
        """
        words = [sys.executable, "-c", textwrap.dedent(text), Path(FOLDER.name) / "run"]
        done = subprocess.run(words, capture_output=True, text=True, timeout=120)
        self.assertEqual(done.returncode, 0, done.stderr)

    @unittest.skipIf(sys.platform == "win32", "signals of this system are others")
    def test_ctrl_c_during_a_task_in_python_saves_the_run(self):
        text = """
            import os, signal, sys
            from pathlib import Path
            import ctrnn

            folder = Path(sys.argv[1])
            (folder / "mine.py").write_text(
                "import ctrnn, numpy as np\\n"
                "class Mine(ctrnn.Task):\\n"
                "    inputs, outputs = ['u'], ['y']\\n"
                "    def trials(self, n_trials, conditions, rng, clock):\\n"
                "        return np.ones((n_trials, 5, 1)), np.zeros((n_trials, 5, 1))\\n"
            )
            config = {
                "seed": 1,
                "task": {"python": {"file": str(folder / "mine.py"), "class": "Mine"}},
                "model": {"n_units": 8},
                "train": {"steps": 10**6, "batch_size": 4},
                "validate": {"every_steps": 20, "trials": 4},
            }
            seen = lambda row: os.killpg(0, signal.SIGINT) if row["step"] == 40 else None  # as a terminal sends it
            try:
                ctrnn.train(config, run_dir=folder / "run", progress=False, on_validation=seen)
            except (ctrnn.Stopped, KeyboardInterrupt):
                print(ctrnn.load_run(folder / "run").state)
        """
        with tempfile.TemporaryDirectory() as folder:
            words = [sys.executable, "-c", textwrap.dedent(text), folder]
            done = subprocess.run(words, capture_output=True, text=True, timeout=120, start_new_session=True)
        self.assertEqual((done.returncode, done.stdout.strip()), (0, "stopped"), done.stderr)

    def test_a_thousand_passes_leave_memory_flat(self):
        inputs = np.zeros((16, 200, NETWORK.n_inputs))
        peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # kB
        for _ in range(50):
            NETWORK.forward(inputs)
        before = peak()
        for _ in range(1000):
            NETWORK.forward(inputs)
        self.assertLess(peak() - before, 10_000)  # a thousand results would be 500 MB

    def test_two_thousand_steps_of_a_task_in_python_leave_memory_flat(self):
        text = """
            import resource, sys
            import ctrnn
            from pathlib import Path

            folder = Path(sys.argv[1])
            (folder / "my_task.py").write_text('''
            import ctrnn
            import numpy as np

            class Mine(ctrnn.Task):
                inputs = ["u"]
                outputs = ["y"]

                def trials(self, n_trials, conditions, rng, clock):
                    return rng.standard_normal((n_trials, 10, 1)), np.zeros((n_trials, 10, 1))
            '''.replace("\\n            ", "\\n"))
            config = {
                "seed": 1,
                "task": {"python": {"file": str(folder / "my_task.py"), "class": "Mine"}},
                "model": {"n_units": 8},
                "train": {"steps": 2000, "batch_size": 8},
                "validate": {"every_steps": 200, "trials": 8},
            }
            peaks = []
            seen = lambda row: peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
            ctrnn.train(config, run_dir=folder / "run", progress=False, on_validation=seen)
            print(len(peaks), peaks[-1] - peaks[1])
        """
        with tempfile.TemporaryDirectory() as folder:
            words = [sys.executable, "-c", textwrap.dedent(text), folder]
            done = subprocess.run(words, capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        count, growth = map(int, done.stdout.split())
        self.assertGreaterEqual(count, 10)
        self.assertLess(growth, 1_500)  # kB, over 1600 steps; keeping every batch would take 2 MB


if __name__ == "__main__":
    unittest.main()
