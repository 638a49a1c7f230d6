"""Tests that the notebooks run from top to bottom, each in a folder and a process of its own, that their outputs are stripped and their types
are right, and that README's section on Python runs as it is written."""

import json
import os
import subprocess
import sys
import tempfile
import unittest
from importlib.util import find_spec
from pathlib import Path

from .test_ctrnn import CONFIGS

NOTEBOOKS = Path(os.environ.get("CTRNN_NOTEBOOKS", Path(__file__).parents[1] / "notebooks"))
README = Path(os.environ.get("CTRNN_README", Path(__file__).parents[2] / "README.md"))

#: Packages without which a notebook is skipped.
NEEDS = {"1_first_network": "matplotlib", "2_your_own_task": "matplotlib", "5_sweep": "pandas", "6_from_pytorch": "torch"}


def cells(path):
    """Returns the source of the cells of code, each with a file that it writes, if it does: `%%writefile NAME`."""
    found = []
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        source = "".join(cell["source"])
        first, _, rest = source.partition("\n")
        magic, _, name = first.partition(" ")
        if cell["cell_type"] == "code":
            found.append((rest, name) if magic == "%%writefile" else (source, None))
    return found


def script(path, folder):
    """Writes the files of a notebook, and a script with its other cells, to a folder; returns the path of the script."""
    parts = []
    for source, name in cells(path):
        if name is None:
            parts.append(source)
        else:
            Path(folder, name).write_text(source + "\n", encoding="utf-8")
    written = Path(folder, f"notebook_{path.stem}.py")
    written.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    return written


class Notebooks(unittest.TestCase):
    def test_outputs_are_stripped(self):
        found = sorted(NOTEBOOKS.glob("*.ipynb"))
        self.assertEqual(len(found), 6)
        for path in found:
            for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
                self.assertEqual((cell.get("outputs", []), cell.get("execution_count")), ([], None), path.name)

    def run_notebook(self, name):
        needed = NEEDS.get(name)
        if needed and find_spec(needed) is None:
            self.skipTest(f"{needed} is not installed")
        with tempfile.TemporaryDirectory() as folder:
            self.succeeds([script(NOTEBOOKS / f"{name}.ipynb", folder)], folder)

    def succeeds(self, words, folder):
        environment = {**os.environ, "MPLBACKEND": "agg"}
        ended = subprocess.run([sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True, check=False)
        self.assertEqual(ended.returncode, 0, (ended.stdout + ended.stderr)[-3000:])

    def test_first_network(self):
        self.run_notebook("1_first_network")

    def test_your_own_task(self):
        self.run_notebook("2_your_own_task")

    def test_constraints_and_areas(self):
        self.run_notebook("3_constraints_and_areas")

    def test_what_did_it_learn(self):
        self.run_notebook("4_what_did_it_learn")

    def test_sweep(self):
        self.run_notebook("5_sweep")

    def test_from_pytorch(self):
        self.run_notebook("6_from_pytorch")

    @unittest.skipIf(find_spec("mypy") is None, "mypy is not installed")
    def test_types_are_right(self):
        with tempfile.TemporaryDirectory() as folder:
            scripts = [script(path, folder) for path in NOTEBOOKS.glob("*.ipynb") if find_spec(NEEDS.get(path.stem, "ctrnn"))]
            # What a stub says of a package that has none is not ours.
            self.succeeds(["-m", "mypy", "--strict", "--disable-error-code=import-untyped", *scripts], folder)
            self.succeeds(["-m", "mypy", "--strict", "-p", "ctrnn._ctrnn"], folder)

    def test_the_section_of_the_readme_runs(self):
        section = README.read_text(encoding="utf-8").split("\n## In Python\n")[1]
        code = section.split("```python\n")[1].split("```")[0]
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "configs").symlink_to(CONFIGS.resolve())
            self.succeeds(["-c", code], folder)


if __name__ == "__main__":
    unittest.main()
