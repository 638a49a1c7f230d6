"""The network as a module of PyTorch: its forward and backward pass are the fused sweeps of `train-ctrnn`, on CPU tensors.

    import torch
    from ctrnn.torch import CTRNN

    net = CTRNN(3, 128, 2, tau_ms=100.0, activation="relu", dt_ms=20.0)
    optimizer = torch.optim.Adam(net.parameters(), 1e-3)
    for inputs, targets in batches:            # [trial, time, input], [trial, time, output]
        loss = ((net(inputs).outputs - targets) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        net.settle_()                          # only needed with Dale's law by clamping, or a range of biases
"""

import functools
import inspect
import json
from collections.abc import Callable, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from ._ctrnn import Sweeps
from .command import plain

if TYPE_CHECKING:
    from .run import Run

_DTYPES = {torch.float32: False, torch.float64: True}


class Trajectory(NamedTuple):
    """Results of a pass.

    Attributes
    ----------
    outputs : torch.Tensor [trial, time, output]
        Readout, before the output nonlinearity; index k is that after input k.
    final_state : torch.Tensor [trial, unit]
        State after the last step: potentials in the voltage form, rates in the rate form.
    rates, potentials : torch.Tensor [trial, time, unit] or None
        Firing rates and potentials, if recorded.
    """

    outputs: torch.Tensor
    final_state: torch.Tensor
    rates: torch.Tensor | None
    potentials: torch.Tensor | None


class CTRNN(torch.nn.Module):
    """Leaky recurrent network, trained by PyTorch.

    Names of parameters are those of weight files, such as `recurrent.weight` [post, pre]; with Dale's law or masks `recurrent.weight_raw`
    holds the trained numbers, and `weights()` the effective ones. Masks, and everything else that is drawn but not trained, follow from
    `seed` and are not in the `state_dict`.

    Parameters
    ----------
    n_inputs, n_units, n_outputs : int
        Numbers of inputs, units and outputs.
    dt_ms : float
        Time step in ms.
    seed : int
        Seed of the weights, as of a run.
    dtype : torch.dtype, optional
        torch.float32 or torch.float64. Default: torch's default.
    **model : object
        Keys of the table `[model]` of a configuration: `tau_ms`, `activation`, `form`, `dale`, `density`, `noise`, ...
        (`train-ctrnn config explain model`).

    Raises
    ------
    ValueError
        If the network is refused, with the key and the remedy.
    """

    n_inputs: int
    n_units: int
    n_outputs: int
    dt_ms: float

    def __init__(
        self,
        n_inputs: int,
        n_units: int,
        n_outputs: int,
        *,
        dt_ms: float = 20.0,
        seed: int = 0,
        dtype: torch.dtype | None = None,
        **model: object,
    ) -> None:
        is_double = _is_double(dtype or torch.get_default_dtype())
        table = json.dumps({"n_units": n_units, **model}, default=plain)
        self._begin(Sweeps.drawn(table, [n_inputs, n_outputs], float(dt_ms), seed, is_double), is_double)

    @classmethod
    def from_run(
        cls, run: "str | PathLike[str] | Run", checkpoint: str | None = None, *, dtype: torch.dtype | None = None
    ) -> "CTRNN":
        """Opens the network of a run.

        Parameters
        ----------
        run : str, os.PathLike or ctrnn.Run
            Folder of the run.
        checkpoint : str, optional
            "last", "best" or a number of steps, instead of the newest weights.
        dtype : torch.dtype, optional
            torch.float32 or torch.float64. Default: torch's default.
        """
        is_double = _is_double(dtype or torch.get_default_dtype())
        net = cls.__new__(cls)
        net._begin(Sweeps.of_run(getattr(run, "path", run), checkpoint, is_double), is_double)
        return net

    def _begin(self, sweeps, is_double):
        super().__init__()
        self._sweeps, self._is_double = sweeps, is_double
        self.dt_ms = sweeps.dt_ms
        for name, size in sweeps.sizes.items():
            setattr(self, name, size)
        first = sweeps.weights({})
        for name in sweeps.names:
            *path, last = name.split(".")
            owner = self
            for part in path:
                if part not in owner._modules:
                    owner.add_module(part, torch.nn.Module())
                owner = owner._modules[part]
            owner.register_parameter(last, torch.nn.Parameter(torch.from_numpy(first[name])))

    @torch.compiler.disable  # a compiled function calls it as it is
    def forward(
        self,
        inputs: torch.Tensor,
        initial_state: torch.Tensor | None = None,
        *,
        noise: bool | None = None,
        record: Sequence[str] = (),
    ) -> Trajectory:
        """Runs trials.

        Parameters
        ----------
        inputs : torch.Tensor [trial, time, input]
            Inputs; `inputs[:, k]` acts in the step to the state at index k.
        initial_state : torch.Tensor [trial, unit], optional
            States to start from, instead of the network's own.
        noise : bool, optional
            True to add the noise of the network, drawn from torch's generator. Default: in training mode (`net.train()`).
        record : sequence of str
            Further results: "rates", "potentials".

        Returns
        -------
        Trajectory
        """
        if unknown := set(record) - {"rates", "potentials"}:
            raise ValueError(f"record has {sorted(unknown)[0]!r}; expected 'rates' or 'potentials'")
        for name, tensor in (("inputs", inputs), ("initial_state", initial_state)):
            if tensor is not None and (tensor.dtype not in _DTYPES or _DTYPES[tensor.dtype] != self._is_double or tensor.device.type != "cpu"):
                wanted = torch.float64 if self._is_double else torch.float32
                raise TypeError(f"{name} are {tensor.dtype} on {tensor.device}; expected {wanted} on the CPU, the type of the network")
        address = None
        if self.training if noise is None else noise:
            address = (int(torch.randint(2**62, ()).item()), 0)
        names, values = zip(*self.named_parameters(), strict=True)
        options = (self._sweeps, names, address, tuple(record), torch.is_grad_enabled())  # always off inside of an autograd function
        outputs, final_state, rates, potentials = _Pass.apply(options, inputs, initial_state, *values)
        return Trajectory(
            outputs,
            final_state,
            rates if "rates" in record else None,
            potentials if "potentials" in record else None,
        )

    def settle_(self) -> "CTRNN":
        """Projects the parameters onto what the network allows: signs under Dale's law by clamping, for instance. Call it after each step."""
        with torch.no_grad():
            for name, values in self._sweeps.settled(self._arrays()).items():
                self.get_parameter(name).copy_(torch.from_numpy(values))
        return self

    def weights(self) -> dict[str, Any]:
        """Returns all arrays of a weight file: effective weights, masks, time constants, ... (dict of numpy.ndarray)."""
        return self._sweeps.weights(self._arrays())

    def _arrays(self):
        return {name: value.detach().numpy() for name, value in self.named_parameters()}

    def extra_repr(self):
        return f"{self.n_inputs} inputs, {self.n_units} units, {self.n_outputs} outputs, dt {self.dt_ms} ms"


def loss(function: Callable[..., torch.Tensor]) -> Callable[..., Any]:
    """Makes a term of the loss of a function of tensors: a decorator for `train.loss.python`.

        @ctrnn.torch.loss
        def slow(rates, weight: float = 0.1):
            return weight * rates.diff(dim=1).square().mean()

    Parameters
    ----------
    function : callable
        Function of what its parameters name (`outputs`, `rates`, `weights`, `targets`, `mask`, `n_steps`, and arguments of the configuration),
        which returns a tensor of one element; see `ctrnn.loss`.
    """

    @functools.wraps(function)
    def term(*, gradient=True, **given):
        leaves = {}

        def leaf(name, array):
            leaves[name] = torch.from_numpy(array).requires_grad_(gradient)
            return leaves[name]

        for name, value in given.items():
            if name == "weights":
                given[name] = {own: leaf(own, array) for own, array in value.items()}
            elif name in ("outputs", "rates"):
                given[name] = leaf(name, value)
            elif name in ("targets", "mask", "n_steps"):
                given[name] = torch.from_numpy(value)
        value = function(**given)
        if not isinstance(value, torch.Tensor) or value.numel() != 1:
            what = f"a tensor of shape {tuple(value.shape)}" if isinstance(value, torch.Tensor) else type(value).__name__
            raise TypeError(f"{function.__name__} returned {what}; expected a tensor of one element")
        if not value.requires_grad:
            return value.item(), {}
        found = torch.autograd.grad(value, list(leaves.values()), allow_unused=True)
        return value.item(), {name: gradient.numpy() for name, gradient in zip(leaves, found, strict=True) if gradient is not None}

    signature = inspect.signature(function)
    asked = inspect.Parameter("gradient", inspect.Parameter.KEYWORD_ONLY, default=True)
    own = list(signature.parameters.values())
    n_named = sum(parameter.kind != parameter.VAR_KEYWORD for parameter in own)
    term.__signature__ = signature.replace(parameters=[*own[:n_named], asked, *own[n_named:]])
    return term


def _is_double(dtype):
    if dtype not in _DTYPES:
        raise TypeError(f"`dtype` is {dtype}; expected torch.float32 or torch.float64")
    return _DTYPES[dtype]


class _Pass(torch.autograd.Function):
    @staticmethod
    def forward(ctx, options, inputs, initial_state, *values):
        ctx.options = options
        results, ctx.pullback = _swept(ctx, inputs, initial_state, *values)
        ctx.save_for_backward(inputs, initial_state, *values)
        ctx.set_materialize_grads(False)
        found = {name: torch.from_numpy(value).transpose(0, 1) for name, value in results.items()}
        absent = [inputs.new_empty(0) for _ in range(2)]
        return (
            found["outputs"],
            found["final_state"][:, 0],
            found.get("rates", absent[0]),
            found.get("potentials", absent[1]),
        )

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, outputs, final_state, rates, potentials):
        given = ctx.saved_tensors
        pullback, ctx.pullback = ctx.pullback, None
        if pullback is None:  # a second time through a graph that is kept: the sweep is run again
            _, pullback = _swept(ctx, *given)
        upstream = {
            "outputs": outputs,
            "final_state": None if final_state is None else final_state[:, None],
            "rates": rates,
            "potentials": potentials,
        }
        # A result that was not recorded is empty, and so is its gradient.
        upstream = {name: value for name, value in upstream.items() if value is not None and value.numel()}
        found = pullback({name: value.transpose(0, 1).contiguous().numpy() for name, value in upstream.items()})
        if "inputs" in found:
            found["inputs"] = found["inputs"].swapaxes(0, 1)
        names = ["inputs", "given_state", *ctx.options[1]]
        gradients = [
            torch.from_numpy(found[name]).reshape(tensor.shape) if name in found else None for name, tensor in zip(names, given, strict=True)
        ]
        return (None, *gradients)


def _swept(ctx, inputs, initial_state, *values):
    """Runs the sweep; returns its results and, if a gradient is needed, its backward pass."""
    sweeps, names, noise, record, is_enabled = ctx.options
    needed = ctx.needs_input_grad  # of tensors, whether gradients are enabled or not
    parameters = {name: value.detach().numpy() for name, value in zip(names, values, strict=True)}
    state = None if initial_state is None else initial_state.detach().numpy()
    return sweeps.forward(inputs.detach().numpy(), parameters, state, noise, list(record), is_enabled and any(needed), needed[1])
