"""The dynamics of a network, in numpy and double precision.

    voltage form   v' = (1 - gain) v + gain [W_rc f(v) + W_in u + b + eps]                 r = f(v)
    rate form      r' = (1 - gain) r + gain f(z)      z = W_rc r + W_in u + b + eps
    readout        y = f_out(W_out [r + xi] + b_out)

In a network of several layers (`[[model.layer]]`) u of a layer are the rates of the layer below at the same time step.

gain is dt / tau under Euler's integrator and 1 - exp(-dt / tau) under the exponential one. With short-term plasticity W_rc sees r p q
in place of r, where the utilisation p and the resources q of each unit's synapses step first:

    p' = p + gain_u (U - p) + dt U (1 - p) r        q' = q + gain_x (1 - q) - dt p q r        both clipped to [0, 1], dt in seconds

A connection with a delay d (recurrent.delay_ms) takes what was sent d earlier, before the trial what the first time step sends. With
feedback of the readout (feedback.weight) the bracket has a further term, W_fb (W_out r + b_out).
"""

import numpy as np

from .activations import activation
from .run import Run, load_run
from .weights import weights as weights_of

OUTPUTS = {
    "identity": lambda y: y,
    "sigmoid": lambda y: 0.5 * (1 + np.tanh(0.5 * y)),
    "softmax": lambda y: (e := np.exp(y - y.max(-1, keepdims=True))) / e.sum(-1, keepdims=True),
}
CONVENTIONS = ["spec", "song", "raw"]


def simulate(
    run,
    inputs,
    *,
    weights=None,
    initial_state=None,
    initial_utilisation=None,
    initial_resources=None,
    conditions=None,
    preactivation_noise=None,
    postactivation_noise=None,
    input_noise=None,
    dt_ms=None,
):
    """Runs the network of a run on `inputs` [trial, time, input], as `train-ctrnn simulate RUN --inputs FILE.npz` does.

    `run` is a Run or a folder; `weights` replace its own weights, by the same names. `initial_state` [unit] or [trial, unit] replaces
    the run's own; a run with one for each condition needs this or `conditions` [trial], numbered from 0. `initial_utilisation` and
    `initial_resources` replace those of synapses at rest, where the network has short-term plasticity. The noises are
    standard normal draws, which are scaled by the model's sigma and convention, and zero if absent: `preactivation_noise` and
    `postactivation_noise` [trial, time, unit], `input_noise` [trial, time, input]. `dt_ms` replaces the run's time step.

    A network of several layers takes no initial states and no noise. Its results are those of the last layer, and `layers.0.rates` and so
    on for the layers below it.

    Returns `potentials`, `rates` [trial, time, unit], `outputs` [trial, time, output] and `t_ms` [time]; with short-term plasticity also
    `utilisation` and `resources` [trial, time, unit].
    """
    run = run if isinstance(run, Run) else load_run(run)
    if run.model is None:
        raise ValueError(f"{run.path} has no model.json yet: an early version of train-ctrnn wrote it when training ended")
    given = dict(
        initial_state=initial_state, initial_utilisation=initial_utilisation, initial_resources=initial_resources,
        preactivation_noise=preactivation_noise, postactivation_noise=postactivation_noise, input_noise=input_noise,
    )
    weights, dt = weights or weights_of(run), {} if dt_ms is None else {"dt_ms": dt_ms}
    if "layers" not in run.model:
        return simulate_layer(run.model | dt, closed_loop(with_exact_product(weights)), inputs, conditions, given)
    if any(value is not None for value in given.values()):
        raise ValueError("a network of several layers takes inputs and conditions, no initial states and no noise")
    results, last = {}, len(run.model["layers"]) - 1
    for k, model in enumerate(run.model["layers"]):
        own = with_exact_product(weights_of_layer(weights, k))
        if k == last:
            own |= {name: w for name, w in weights.items() if name.startswith("output.")}
        states = simulate_layer(model | dt, closed_loop(own), inputs, conditions, {})
        inputs = states["rates"]
        results |= states if k == last else {f"layers.{k}.{name}": states[name] for name in states if name != "t_ms"}
    return results


def weights_of_layer(weights, k):
    """Returns the weights of a layer, without the readout, by the names of a network of one layer."""
    prefix = f"layers.{k}." if k else ""
    others = () if k else ("layers.",)
    return {
        name[len(prefix) :]: w for name, w in weights.items()
        if name.startswith(prefix) and not name.startswith((*others, "output."))
    }


def simulate_layer(model, weights, inputs, conditions, given):
    """Runs a network of one layer, or a layer, with its weights; `given` has the initial states and the noise by the names of `simulate`.
    Without weights of a readout there are no `outputs`."""
    weights = {name: np.asarray(w, float) for name, w in weights.items()}
    inputs = np.asarray(inputs, float)
    n_units, n_inputs = weights["input.weight"].shape
    if inputs.ndim != 3 or inputs.shape[2] != n_inputs:
        raise ValueError(f"inputs has shape {inputs.shape}, but must be [trial, time, {n_inputs}]")

    shape = (*inputs.shape[:2], n_units)
    gain = gain_of(model, tau_of(model, weights))
    u = seen_inputs(model, inputs, normals("input_noise", given, inputs.shape))
    eps, jump = noise_of(model, gain, normals("preactivation_noise", given, shape))
    xi = model["noise"]["postactivation"] * normals("postactivation_noise", given, shape)
    state = start(weights["initial_state"], given.get("initial_state"), conditions, (len(inputs), n_units))

    f, voltage = activation(np, model["activation"]), model["form"] == "voltage"
    driven = u @ weights["input.weight"].T + weights["recurrent.bias"] + eps
    past, by_delay = [], recurrent_by_delay(model, weights)
    potentials, rates = np.empty(shape), np.empty(shape)
    synapses = Synapses(model, state.shape, given.get("initial_utilisation"), given.get("initial_resources")) if "synapses" in model else None
    plastic = {name: np.empty(shape) for name in ("utilisation", "resources") if synapses}
    for t in range(shape[1]):
        rate = f(state) if voltage else state
        past.append(synapses.transmit(rate) if synapses else rate)
        drive = sum(past[max(t - delay, 0)] @ w.T for delay, w in by_delay) + driven[:, t]
        state = (1 - gain) * state + gain * (drive if voltage else f(drive)) + jump[:, t]
        potentials[:, t] = state if voltage else drive
        rates[:, t] = f(state) if voltage else state
        for name in plastic:
            plastic[name][:, t] = getattr(synapses, name)
    states = {"potentials": potentials, "rates": rates}
    if "output.weight" in weights:
        readout = (rates + xi) @ weights["output.weight"].T + weights["output.bias"]
        states["outputs"] = OUTPUTS[model["output_nonlinearity"]](readout)
    return states | {
        "t_ms": model["dt_ms"] * np.arange(1, shape[1] + 1),
    } | plastic


class Synapses:
    """Short-term plasticity of the synapses that leave each unit: utilisation and resources [trial, unit]."""

    def __init__(self, model, shape, utilisation=None, resources=None):
        constants = {name: np.array(values) for name, values in model["synapses"].items()}
        self.baseline, self.dt = constants["U"], model["dt_ms"] / 1000
        self.gains = [gain_of(model, constants[name]) for name in ("tau_u_ms", "tau_x_ms")]
        self.utilisation = np.broadcast_to(self.baseline if utilisation is None else utilisation, shape)
        self.resources = np.broadcast_to(1.0 if resources is None else resources, shape)

    def transmit(self, rate):
        """Takes one time step that begins with these rates and returns what the synapses transmit in it."""
        u, x, spikes = self.utilisation, self.resources, self.dt * rate
        used = u + self.gains[0] * (self.baseline - u) + self.baseline * (1 - u) * spikes
        left = x + self.gains[1] * (1 - x) - u * x * spikes
        self.utilisation, self.resources = np.clip(used, 0, 1), np.clip(left, 0, 1)
        return rate * self.utilisation * self.resources


def with_exact_product(weights):
    """Returns weights whose recurrent matrix of low rank is computed from its factors: in the file it is rounded to single precision."""
    if "recurrent.left" not in weights:
        return weights
    left, right = (np.asarray(weights[f"recurrent.{side}"], float) for side in ("left", "right"))
    full = weights.get("recurrent.weight_raw", 0.0)
    return weights | {"recurrent.weight": full + left @ right.T / len(left)}


def closed_loop(weights):
    """Returns weights in which feedback of the readout, W_fb y with y = W_out r + b_out, is part of W_rc and b."""
    if "feedback.weight" not in weights:
        return weights
    w_fb, w_out, b_out, w_rc, b = (
        np.asarray(weights[name], float)
        for name in ("feedback.weight", "output.weight", "output.bias", "recurrent.weight", "recurrent.bias")
    )
    return weights | {"recurrent.weight": w_rc + w_fb @ w_out, "recurrent.bias": b + w_fb @ b_out}


def recurrent_by_delay(model, weights):
    """Returns the recurrent weights of each delay in time steps."""
    w_rc = weights["recurrent.weight"]
    steps = np.asarray(weights.get("recurrent.delay_ms", np.zeros_like(w_rc))) / model["dt_ms"]
    if np.abs(steps - np.rint(steps)).max() > 1e-4:
        raise ValueError(f"a delay is not a multiple of dt_ms = {model['dt_ms']}")
    return [(int(delay), w_rc * (np.rint(steps) == delay)) for delay in np.unique(np.rint(steps))]


def tau_of(model, weights):
    """Returns the time constants; learned ones from the trained parameter, because `tau_ms` in the file is rounded to single precision."""
    if "tau_raw" not in weights:
        return weights["tau_ms"]
    low, high = model["tau_ms"]["learned"]["bounds"]
    return low + (high - low) / (1 + np.exp(-weights["tau_raw"]))


def gain_of(model, tau_ms):
    """Returns the gain: the fraction of the drive that a time step adds."""
    ratio = model["dt_ms"] / tau_ms
    return ratio if model["integrator"] == "euler" else -np.expm1(-ratio)


def convention_scale(model, gain):
    """Returns the factor of sigma n under the noise convention, inside the bracket of the equation."""
    convention = model["noise"]["convention"]
    if convention not in CONVENTIONS:
        raise ValueError(f"`{convention}` is not a noise convention; expected one of {', '.join(CONVENTIONS)}")
    if convention != "song":
        return np.ones_like(gain)
    return np.sqrt(2 / gain if model["integrator"] == "euler" else 2 / gain - 1)


def seen_inputs(model, inputs, draws):
    """Returns the effective inputs: u + baseline + noise, rectified if the model requires it."""
    noise = model["noise"]
    std = noise["input"] * convention_scale(model, gain_of(model, noise["input_tau_ms"]))
    seen = inputs + model["input"]["baseline"] + std * draws
    return np.maximum(seen, 0) if model["input"]["rectify"] else seen


def noise_of(model, gain, draws):
    """Returns the pre-activation noise: eps inside the bracket, and the noise added to the new state itself (convention raw)."""
    sigma = model["noise"]["preactivation"]
    if isinstance(sigma, dict):
        n = draws @ factor(np.array(sigma["covariance"])).T
    else:
        n = np.asarray(sigma) * draws
    if model["noise"]["convention"] == "raw":
        return np.zeros_like(n), n
    return convention_scale(model, gain) * n, np.zeros_like(n)


def factor(covariance):
    """Returns the lower triangular L with C = L L' (Cholesky); directions without variance are allowed."""
    lower = np.zeros_like(covariance)
    tolerance = 1e-9 * np.abs(covariance).max()
    for j in range(len(covariance)):
        rest = covariance[j:, j] - lower[j:, :j] @ lower[j, :j]
        if rest[0] > tolerance:
            lower[j:, j] = rest / np.sqrt(rest[0])
    return lower


def normals(name, given, shape):
    draws = given.get(name)
    if draws is None:
        return np.zeros(shape)
    if np.shape(draws) != shape:
        raise ValueError(f"{name} has shape {np.shape(draws)}, but must be {shape}")
    return np.asarray(draws, float)


def start(own, given, conditions, shape):
    """Returns the state [trial, unit] before the first input."""
    if given is None and own.ndim == 2:
        if conditions is None:
            raise ValueError("the run has an initial state for each condition: give `conditions` or `initial_state`")
        own = own[np.asarray(conditions, int)]
    state = own if given is None else np.asarray(given, float)
    return np.broadcast_to(state, shape).copy()
