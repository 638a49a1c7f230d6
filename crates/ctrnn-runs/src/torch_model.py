"""The network of a run of train-ctrnn, for PyTorch. This file needs torch and `weights.safetensors` beside it, nothing else.

    from torch_model import load

    network = load()                                  # load(dtype=torch.float64) computes in double precision
    answer = network(inputs)                          # inputs [trial, time, input]
    answer["outputs"], answer["rates"], answer["potentials"]

It computes what `train-ctrnn simulate` does:

    voltage form   v' = (1 - gain) v + gain [W_rc f(v) + W_in u + b + eps]                 r = f(v)
    rate form      r' = (1 - gain) r + gain f(z)      z = W_rc r + W_in u + b + eps
    readout        y = f_out(W_out [r + xi] + b_out)

In a network of several layers (MODEL["layers"]) u of a layer are the rates of the layer below at the same time step, and the answer has
their states as "layers.0.rates" and so on. The layers are network.layers.

A connection with a delay d (recurrent.delay_ms) takes what was sent d earlier, before the trial what the first time step sends. With
feedback of the readout (feedback.weight, which is no parameter) the bracket has a further term, W_fb (W_out r + b_out).

gain is dt / tau under Euler's integrator and 1 - exp(-dt / tau) under the exponential one. Index k of a result is the state after
input k. With short-term plasticity (MODEL["synapses"]) W_rc sees r p q in place of r, where the utilisation p and the resources q of each
unit's synapses step first, both clipped to [0, 1], with dt in seconds; the answer then has "utilisation" and "resources":

    p' = p + gain_u (U - p) + dt U (1 - p) r        q' = q + gain_x (1 - q) - dt p q r

Weights are [post, pre] and parameters, so that the network can be trained on; what constrained them before (Dale's
law, masks, low rank) does not here.
"""

import json
import struct
from pathlib import Path

import torch

from activations import activation

MODEL = json.loads(r"""
{}
""")

OUTPUTS = {
    "identity": lambda y: y,
    "sigmoid": torch.sigmoid,
    "softmax": lambda y: torch.softmax(y, -1),
}
CONVENTIONS = ["spec", "song", "raw"]
NAMES = {
    "w_in": "input.weight",
    "w_rc": "recurrent.weight",
    "bias": "recurrent.bias",
    "w_out": "output.weight",
    "bias_out": "output.bias",
    "initial_state": "initial_state",
}


class CTRNN(torch.nn.Module):
    """A leaky recurrent network; `weights` holds tensors by their names in weights.safetensors."""

    def __init__(self, weights, model=MODEL):
        super().__init__()
        self.model = model
        if "recurrent.left" in weights:  # in the file their product is rounded to single precision
            product = weights["recurrent.left"] @ weights["recurrent.right"].T / len(weights["recurrent.left"])
            weights = {**weights, "recurrent.weight": product + weights.get("recurrent.weight_raw", 0.0)}
        for name, of_file in NAMES.items():
            if of_file.startswith("output.") and not model["n_outputs"]:
                continue  # a layer below the last one
            setattr(self, name, torch.nn.Parameter(weights[of_file].clone()))
        self.register_buffer("fixed_tau_ms", weights["tau_ms"].clone())
        self.register_buffer("delay_ms", weights.get("recurrent.delay_ms", torch.zeros_like(self.w_rc)).clone())
        if "feedback.weight" in weights:
            self.register_buffer("feedback", weights["feedback.weight"].clone())
        if "tau_raw" in weights:
            self.tau_raw = torch.nn.Parameter(weights["tau_raw"].clone())

    def forward(
        self,
        inputs,
        initial_state=None,
        initial_utilisation=None,
        initial_resources=None,
        conditions=None,
        preactivation_noise=None,
        postactivation_noise=None,
        input_noise=None,
        noise=False,
    ):
        """Runs the network on `inputs` [trial, time, input].

        `initial_state` [unit] or [trial, unit] stands instead of the network's own; where that is one for each condition, give it or
        `conditions` [trial]. `initial_utilisation` and `initial_resources` stand instead of those of synapses at rest. The noises [trial, time, unit or input] are standard normal, scaled by the model's sigma and
        convention; with `noise` those that are not given are drawn, else they are zero.
        """
        model, levels = self.model, self.model["noise"]
        inputs = inputs.to(self.w_rc.dtype)
        silence = inputs.new_zeros(*inputs.shape[:2], len(self.w_rc))
        draws = lambda given, like: given if given is not None else torch.randn_like(like) if noise else torch.zeros_like(like)
        gain = self.gain(self.tau_ms())
        eps, jump = self.noise(gain, draws(preactivation_noise, silence).to(silence))
        xi = levels["postactivation"] * draws(postactivation_noise, silence).to(silence)
        u = self.seen(inputs, draws(input_noise, inputs).to(inputs))
        state = self.start(initial_state, conditions, silence[:, 0])
        if noise and initial_state is None and levels["initial_state"]:
            state = state + levels["initial_state"] * torch.randn_like(state)

        f, voltage = activation(torch, model["activation"]), model["form"] == "voltage"
        w_rc, bias = self.closed_loop()
        driven = u @ self.w_in.T + bias + eps
        past, by_delay = [], self.by_delay(w_rc)
        potentials, rates = [], []
        synapses = Synapses(self, silence[:, 0], initial_utilisation, initial_resources) if "synapses" in model else None
        plastic = {name: [] for name in ("utilisation", "resources") if synapses}
        for t in range(inputs.shape[1]):
            rate = f(state) if voltage else state
            past.append(synapses.transmit(rate) if synapses else rate)
            drive = sum(past[max(t - delay, 0)] @ w.T for delay, w in by_delay) + driven[:, t]
            state = (1 - gain) * state + gain * (drive if voltage else f(drive)) + jump[:, t]
            potentials.append(state if voltage else drive)
            rates.append(f(state) if voltage else state)
            for name in plastic:
                plastic[name].append(getattr(synapses, name))
        rates = torch.stack(rates, 1)
        states = {"potentials": potentials} | plastic
        answer = {name: torch.stack(values, 1) for name, values in states.items()} | {"rates": rates}
        if model["n_outputs"]:
            answer["outputs"] = OUTPUTS[model["output_nonlinearity"]]((rates + xi) @ self.w_out.T + self.bias_out)
        return answer

    def closed_loop(self):
        """Recurrent weights and bias, with the feedback of the readout where there is some."""
        if not hasattr(self, "feedback"):
            return self.w_rc, self.bias
        return self.w_rc + self.feedback @ self.w_out, self.bias + self.feedback @ self.bias_out

    def by_delay(self, w_rc):
        """The recurrent weights of each delay in time steps."""
        steps = torch.round(self.delay_ms / self.model["dt_ms"])
        return [(int(delay), w_rc * (steps == delay)) for delay in torch.unique(steps)]

    def tau_ms(self):
        """The time constants; learned ones are kept within their bounds by the parameter that is trained."""
        if not hasattr(self, "tau_raw"):
            return self.fixed_tau_ms
        low, high = self.model["tau_ms"]["learned"]["bounds"]
        return low + (high - low) * torch.sigmoid(self.tau_raw)

    def gain(self, tau_ms):
        """What a step of dt adds of the drive."""
        ratio = self.model["dt_ms"] / tau_ms
        return ratio if self.model["integrator"] == "euler" else -torch.expm1(-ratio)

    def convention(self, gain):
        """What the noise convention multiplies sigma n with, inside the bracket of the equation."""
        convention = self.model["noise"]["convention"]
        if convention not in CONVENTIONS:
            raise ValueError(f"`{convention}` is not a noise convention; expected one of {', '.join(CONVENTIONS)}")
        if convention != "song":
            return torch.ones_like(gain)
        return torch.sqrt(2 / gain if self.model["integrator"] == "euler" else 2 / gain - 1)

    def noise(self, gain, normals):
        """The pre-activation noise: eps inside the bracket, and what is added to the new state itself (convention raw)."""
        sigma = self.model["noise"]["preactivation"]
        if isinstance(sigma, dict):
            n = normals @ factor(torch.tensor(sigma["covariance"], dtype=torch.float64)).to(normals).T
        else:
            n = torch.tensor(sigma, dtype=torch.float64).to(normals) * normals
        if self.model["noise"]["convention"] == "raw":
            return torch.zeros_like(n), n
        return self.convention(gain) * n, torch.zeros_like(n)

    def seen(self, inputs, normals):
        """u + baseline + noise, without what is negative if the model says so."""
        levels, stage = self.model["noise"], self.model["input"]
        scale = self.convention(self.gain(torch.tensor(levels["input_tau_ms"], dtype=torch.float64)))
        seen = inputs + stage["baseline"] + levels["input"] * scale.to(inputs) * normals
        return torch.relu(seen) if stage["rectify"] else seen

    def start(self, given, conditions, like):
        """The state [trial, unit] before the first input."""
        own = self.initial_state
        if given is None and own.ndim == 2:
            if conditions is None:
                raise ValueError("the network has an initial state for each condition: give `conditions` or `initial_state`")
            own = own[torch.as_tensor(conditions)]
        state = own if given is None else given.to(like)
        return state.expand_as(like)


class Stack(torch.nn.Module):
    """A network of several layers; `weights` holds tensors by their names in weights.safetensors."""

    def __init__(self, weights, model=MODEL):
        super().__init__()
        layers = enumerate(model["layers"])
        self.layers = torch.nn.ModuleList(CTRNN(of_layer(weights, k), layer) for k, layer in layers)

    def forward(self, inputs, conditions=None, noise=False):
        """Runs the network on `inputs` [trial, time, input]; with `noise` the noise of each layer is drawn, else there is none."""
        answer, last = {}, len(self.layers) - 1
        for k, layer in enumerate(self.layers):
            states = layer(inputs, conditions=conditions, noise=noise)
            inputs = states["rates"]
            answer |= states if k == last else {f"layers.{k}.{name}": values for name, values in states.items()}
        return answer


def of_layer(weights, k):
    """The weights of a layer by the names of a network of one layer; the readout is that of the last layer."""
    prefix = f"layers.{k}." if k else ""
    own = {name[len(prefix) :]: w for name, w in weights.items() if name.startswith(prefix) and (k or not name.startswith("layers."))}
    return own | {name: w for name, w in weights.items() if name.startswith("output.")}


class Synapses:
    """Short-term plasticity of the synapses that leave each unit: utilisation and resources [trial, unit], at rest unless given."""

    def __init__(self, network, like, utilisation=None, resources=None):
        exact = {name: torch.tensor(values, dtype=torch.float64) for name, values in network.model["synapses"].items()}
        self.baseline, self.dt = exact["U"].to(like), network.model["dt_ms"] / 1000
        self.gains = [network.gain(exact[name]).to(like) for name in ("tau_u_ms", "tau_x_ms")]
        self.utilisation = (self.baseline if utilisation is None else utilisation.to(like)).expand_as(like)
        self.resources = torch.ones_like(like) if resources is None else resources.to(like).expand_as(like)

    def transmit(self, rate):
        """What the synapses transmit in a time step that begins with these rates."""
        u, x, spikes = self.utilisation, self.resources, self.dt * rate
        used = u + self.gains[0] * (self.baseline - u) + self.baseline * (1 - u) * spikes
        left = x + self.gains[1] * (1 - x) - u * x * spikes
        self.utilisation, self.resources = used.clamp(0, 1), left.clamp(0, 1)
        return rate * self.utilisation * self.resources


def factor(covariance):
    """The lower triangular L with C = L L'; directions without variance are allowed."""
    lower = torch.zeros_like(covariance)
    tolerance = 1e-9 * covariance.abs().max()
    for j in range(len(covariance)):
        rest = covariance[j:, j] - lower[j:, :j] @ lower[j, :j]
        if rest[0] > tolerance:
            lower[j:, j] = rest / rest[0].sqrt()
    return lower


def read_safetensors(path):
    """The tensors of a safetensors file by name: a JSON header of names, types, shapes and places, then the numbers."""
    content = Path(path).read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    header.pop("__metadata__", None)
    types = {"F32": torch.float32, "F64": torch.float64, "I64": torch.int64}
    tensors = {}
    for name, entry in header.items():
        begin, end = (8 + length + offset for offset in entry["data_offsets"])
        flat = torch.frombuffer(bytearray(content[begin:end]), dtype=types[entry["dtype"]]) if end > begin else torch.empty(0)
        tensors[name] = flat.reshape(entry["shape"])
    return tensors


def load(path=None, dtype=torch.float32):
    """The network with the weights of `path`, as a rule the weights.safetensors beside this file."""
    path = path or Path(__file__).with_name("weights.safetensors")
    kind = Stack if "layers" in MODEL else CTRNN
    return kind({name: tensor.to(dtype) for name, tensor in read_safetensors(path).items()})
