from os import PathLike
from typing import Any

from numpy import float32, float64
from numpy.typing import ArrayLike, NDArray

def main(words: list[str]) -> int: ...
def to_toml(json: str) -> str: ...
def to_toml_value(json: str) -> str: ...

class Network:
    """A trained network, computed in double precision.

    Parameters
    ----------
    run : str or os.PathLike
        Folder of a run.
    checkpoint : str, optional
        "last", "best" or a number of steps, instead of the newest weights.

    Raises
    ------
    FileNotFoundError
        If there is no run, or its weights are missing or damaged.
    ValueError
        If its configuration cannot be read.
    """

    def __init__(self, run: str | PathLike[str], checkpoint: str | None = None) -> None: ...
    @property
    def n_units(self) -> int:
        """Number of units, N."""

    @property
    def n_inputs(self) -> int:
        """Number of inputs, I: of several layers, those of the first."""

    @property
    def n_outputs(self) -> int:
        """Number of outputs, O."""

    @property
    def dt_ms(self) -> float:
        """Time step in ms."""

    @property
    def trained_steps(self) -> int:
        """Step of the training at which the weights were saved."""

    @property
    def tau_ms(self) -> NDArray[float64]:
        """Time constants in ms, [unit]."""

    @property
    def weights(self) -> dict[str, NDArray[float64]]:
        """Weights by name, as weight files have them: `recurrent.weight` is [post, pre]."""

    def step(self, state: ArrayLike, inputs: ArrayLike) -> NDArray[float64]:
        """Computes the state [unit] after one time step without noise, from `state` [unit] and `inputs` [input].

        The state is the potentials in the voltage form and the rates in the rate form. Of several layers it is that of the last one, whose
        inputs are the rates of the layer below it.
        """

    def jacobian(self, state: ArrayLike, inputs: ArrayLike) -> NDArray[float64]:
        """Computes the Jacobian [unit, unit] of `step` with respect to the state: its rows are the units of the next state."""

    def forward(
        self, inputs: ArrayLike, initial_state: ArrayLike | None = None, conditions: list[int] | None = None
    ) -> dict[str, NDArray[float64]]:
        """Runs trials without noise: `inputs` [trial, time, input].

        Parameters
        ----------
        inputs : array_like [trial, time, input]
            Inputs; `inputs[:, k]` acts in the step to the state at index k.
        initial_state : array_like [trial, unit], optional
            States to start from, instead of the network's own.
        conditions : list of int, optional
            Number of the condition of each trial, for a network with an initial state for each condition.

        Returns
        -------
        dict
            `outputs` [trial, time, output], before the output nonlinearity; `rates` and `potentials` [trial, time, unit]; with short-term
            plasticity `utilisation` and `resources`; `final_state` [trial, unit].
        """

class BuiltinTask:
    """A task of the program; see `ctrnn.BuiltinTask`. `table` has the keys of its table, as JSON."""

    def __init__(self, name: str, table: str, dt_ms: float) -> None: ...
    @property
    def inputs(self) -> list[str]: ...
    @property
    def outputs(self) -> list[str]: ...
    @property
    def choices(self) -> list[str]: ...
    @property
    def dt_ms(self) -> float: ...
    def batch(self, n_trials: int, *, seed: int = 0, step: int = 0, balanced: bool = False) -> dict[str, NDArray[Any]]: ...
    def score(
        self, outputs: NDArray[float32], *, seed: int = 0, step: int = 0, balanced: bool = False
    ) -> NDArray[float64]: ...

class Sweeps:
    """A network whose passes have gradients; see `ctrnn.torch.CTRNN`. Results, and the gradients of inputs, are time-major."""

    @staticmethod
    def drawn(table: str, sizes: list[int], dt_ms: float, seed: int, is_double: bool) -> Sweeps: ...
    @staticmethod
    def of_run(run: str | PathLike[str], checkpoint: str | None, is_double: bool) -> Sweeps: ...
    @property
    def sizes(self) -> dict[str, int]: ...
    @property
    def dt_ms(self) -> float: ...
    @property
    def names(self) -> list[str]: ...
    def weights(self, parameters: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]: ...
    def settled(self, parameters: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]: ...
    def forward(
        self,
        inputs: NDArray[Any],
        parameters: dict[str, NDArray[Any]],
        initial_state: NDArray[Any] | None,
        noise: tuple[int, int] | None,
        record: list[str],
        is_tracked: bool,
        wants_inputs: bool,
    ) -> tuple[dict[str, NDArray[Any]], Backward | None]: ...

class Backward:
    """Backward pass of one forward pass; it can be used once."""

    def __call__(self, upstream: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]: ...
