"""Results: named arrays of simulations and analyses."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from ctrnn_io import load_states


class States(Mapping[str, NDArray[Any]]):
    """Named arrays of a simulation: `states["rates"]` is [trial, time, unit]. Index k is the state after input k."""

    def __init__(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        self._arrays = dict(arrays)

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self._arrays[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)

    def __repr__(self) -> str:
        shapes = (f"{name} {list(array.shape)}" for name, array in self._arrays.items())
        return f"{type(self).__name__}({', '.join(shapes)})"

    def to_xarray(self) -> Any:
        """Returns the arrays over trials and time as an xarray.Dataset with the dimensions trial, time and unit, input or output."""
        from xarray import Dataset

        last = {"rates": "unit", "potentials": "unit", "utilisation": "unit", "resources": "unit", "inputs": "input", "outputs": "output"}
        variables = {name: (("trial", "time", last[name]), self[name]) for name in last if name in self}
        coordinates = {"time": ("time", self["t_ms"], {"units": "ms"})} if "t_ms" in self else {}
        return Dataset(variables, coordinates)


class Analysis(States):
    """Results of an analysis: named arrays as `docs/arrays.md` describes them, sentences and figures.

    Attributes
    ----------
    name : str
        Name of the analysis.
    summary : list of str
        Results in sentences.
    files : list of pathlib.Path
        Files that were written: arrays, figures, and a script for matplotlib beside each figure.
    """

    name: str
    summary: list[str]
    files: list[Path]

    def __init__(self, name: str, summary: list[str], files: list[str], **_: object) -> None:
        self.name, self.summary, self.files = name, summary, [Path(file) for file in files]
        arrays = next((file for file in self.files if file.suffix == ".npz"), None)
        super().__init__(load_states(arrays) if arrays else {})

    def __str__(self) -> str:
        return "\n".join([f"{self.name}:", *(f"  {line}" for line in self.summary)])

    @property
    def figures(self) -> list[Path]:
        """Files of the figures, SVG."""
        return [file for file in self.files if file.suffix == ".svg"]

    def plot(self, figure: int | str = 0) -> "Picture":
        """Returns one of the figures to display in a notebook: its number, or the end of its name."""
        return Picture(self._figure(figure).read_text(encoding="utf-8"))

    def figure(self, figure: int | str = 0) -> Any:
        """Draws one of the figures with matplotlib, by the script beside it, and returns its matplotlib.figure.Figure."""
        import runpy
        import sys
        import tempfile
        from unittest import mock

        import matplotlib.pyplot as plt

        script = self._figure(figure).with_suffix(".py")
        with tempfile.TemporaryDirectory() as folder, plt.rc_context():
            arguments = [str(script), "-o", f"{folder}/figure.png"]
            with mock.patch.object(sys, "argv", arguments):
                return runpy.run_path(str(script))["figure"]

    def _figure(self, figure: int | str) -> Path:
        figures = self.figures
        if isinstance(figure, str):
            figures, figure = [file for file in figures if file.stem in (figure, f"{self.name}_{figure}")], 0
        if figure >= len(figures):
            names = ", ".join(file.stem for file in self.figures) or "none"
            raise IndexError(f"the analysis {self.name} has no such figure; it has {names}")
        return figures[figure]

    def _repr_html_(self) -> str:
        from html import escape

        return f"<pre>{escape(str(self))}</pre>" + "".join(file.read_text(encoding="utf-8") for file in self.figures)


class Picture(str):
    """An SVG picture, which notebooks display."""

    def _repr_svg_(self) -> str:
        return str(self)
