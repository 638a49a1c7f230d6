#!/usr/bin/env python3
"""agreement.py PROGRAM: numpy, and torch where it is installed, compute what `PROGRAM simulate` does, over 1000 time steps.

Runs in the current folder, which holds smoke.toml. Needs numpy; looks for the package ctrnn_io in python. Exit status 1
where something is off by more than 1e-5 in single and 1e-10 in double precision (relative above 1, absolute below), for a stack of
layers 1e-12.
"""

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2] / "python"))
import ctrnn_io

TRIALS, STEPS = 2, 1000
NOISE = "model.noise={preactivation=0.1,postactivation=0.1,input=0.1,convention=\"%s\"}"
ACTIVATIONS = ["relu", "tanh", "sigmoid", "retanh", "softplus", "power", "linear", "leaky_relu", "clipped_relu", "cubic",
               '{name="power",exponent=2.2,gain=0.04,threshold=-1}', '{name="leaky_relu",slope=0.2}', '{name="clipped_relu",maximum=0.3}']
FORMS = ["voltage", "rate"]
VARIANTS = [
    [f"model.form={form}", f"model.activation={activation}", NOISE % convention]
    for k, activation in enumerate(ACTIVATIONS)
    for form, convention in zip(FORMS, (["spec", "song", "raw"] * 6)[k:])
] + [
    ["time.integrator=exponential", "model.tau_ms={uniform=[20,200]}", NOISE % "song", "model.output_nonlinearity=softmax"],
    ["model.form=rate", "time.integrator=exponential", NOISE % "song", "model.output_nonlinearity=sigmoid"],
    ["model.tau_ms={learned={initial=60,bounds=[20,200]}}", "model.input={baseline=0.2,rectify=true}", NOISE % "raw"],
    ["model.short_term_plasticity=half", "model.activation=relu", NOISE % "spec"],
    ["model.short_term_plasticity={tau_u_ms=300,tau_x_ms=100,U=0.6}", "model.form=rate", "model.activation=softplus", "time.integrator=exponential"],
    ["model.dale={excitatory_fraction=0.75}", "model.short_term_plasticity={e=\"facilitating\",i=\"depressing\"}"],
    ["model.connectivity.file=delays.npz", "model.activation=tanh", NOISE % "song"],
    ["model.connectivity.file=delays.npz", "model.activation=tanh", "model.form=rate"],
    ["model.connectivity.file=delays.npz", "model.short_term_plasticity=half", "model.activation=relu"],
    ["model.dale={excitatory_fraction=0.75}", "model.density.recurrent=0.5", "model.initial_state=learned_per_condition"],
    ["model.feedback={}", "model.activation=tanh", NOISE % "song"],
    ["model.feedback={init={name='gaussian',gain=0.7}}", "model.form=rate", "model.dale={excitatory_fraction=0.75}", "model.density.output=0.5"],
    ["model.low_rank={rank=2}"],
    ["model.low_rank={rank=3,full='fixed'}", "model.form=rate", "model.activation=tanh"],
    ["model.layer=[{n_units=16,tau_ms=40},{n_units=12,form='rate',activation='tanh',tau_ms=150}]"],
    ["model.layer=[{n_units=16,short_term_plasticity='half'},{n_units=12,dale={excitatory_fraction=0.75},positive_input=true},"
     "{n_units=8,low_rank={rank=2},input={baseline=0.2}}]", "time.integrator=exponential"],
]


def given(run, rng):
    """Inputs, conditions and every noise, as `simulate --inputs` takes them."""
    if "layers" in run.model:  # takes inputs alone
        return {"inputs": 0.5 * rng.standard_normal((TRIALS, STEPS, run.model["layers"][0]["n_inputs"]))}
    n, i = run.model["n_units"], run.model["n_inputs"]
    arrays = {
        "inputs": 0.5 * rng.standard_normal((TRIALS, STEPS, i)),
        "preactivation_noise": rng.standard_normal((TRIALS, STEPS, n)),
        "postactivation_noise": rng.standard_normal((TRIALS, STEPS, n)),
        "input_noise": rng.standard_normal((TRIALS, STEPS, i)),
    }
    if ctrnn_io.weights(run)["initial_state"].ndim == 2:
        arrays["conditions"] = np.array([1, 0])
    return arrays


def compute_with_torch(folder, arrays, single):
    import torch

    spec = importlib.util.spec_from_file_location("torch_model", folder / "torch_model.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    network = module.load(dtype=torch.float32 if single else torch.float64)
    with torch.no_grad():
        answer = network(**{name: torch.tensor(array) for name, array in arrays.items()})
    return {name: tensor.numpy() for name, tensor in answer.items()}


def worst(found, expected):
    states = ("potentials", "rates", "outputs", "utilisation", "resources")
    names = [name for name in expected if name.split(".")[-1] in states]
    off = [np.abs(found[name] - expected[name]) / np.maximum(1, np.abs(expected[name])) for name in names]
    return max(part.max() for part in off)


def main(program):
    has_torch = importlib.util.find_spec("torch") is not None
    most, failed = {}, False
    np.savez("delays.npz", **{"recurrent.delay_ms": 20.0 * (np.arange(256).reshape(16, 16) * 7 % 5)})
    for k, overrides in enumerate(VARIANTS):
        folder = Path(f"run{k}")
        call = lambda *words: subprocess.run([program, "-q", *map(str, words)], check=True)
        is_stack = overrides[0].startswith("model.layer")
        small = ["~model.n_units" if is_stack else "model.n_units=16", "train.steps=0"]
        if not is_stack and overrides != ["model.low_rank={rank=2}"]:  # whose matrix is the product alone
            small.append("model.init.spectral_radius=0.5")
        call("train", "smoke.toml", "--run-dir", folder, *small, *overrides)
        run = ctrnn_io.load_run(folder)
        arrays = given(run, np.random.default_rng(k))
        np.savez(f"in{k}.npz", **arrays)
        if has_torch:
            call("export", folder, "--to", "torch", "-o", f"module{k}")
        for single, tolerance in [(True, 1e-5), (False, 1e-12 if is_stack else 1e-10)]:
            call("simulate", folder, "--inputs", f"in{k}.npz", "-o", "out.npz", "--force", *([] if single else ["--f64"]))
            expected = ctrnn_io.load_states("out.npz")
            found = {"numpy": worst(ctrnn_io.simulate(run, **arrays), expected)}
            if has_torch:
                found["torch"] = worst(compute_with_torch(Path(f"module{k}"), arrays, single), expected)
            for what, off in found.items():
                key = f"{what} {'f32' if single else 'f64'}"
                most[key] = max(most.get(key, 0), off)
                if not off <= tolerance:  # a NaN fails too
                    failed = True
                    print(f"{key}: {off:.1e} off for {' '.join(overrides)}")
    for key, off in most.items():
        print(f"{key}: worst difference {off:.1e} over {len(VARIANTS)} networks of {STEPS} steps")
    return int(failed)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1]))
