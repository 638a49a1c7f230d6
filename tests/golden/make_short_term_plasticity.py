#!/usr/bin/env python3
"""make_short_term_plasticity.py: writes short_term_plasticity.json, trajectories of small networks with short-term plasticity.

Computed in float64 from the equations of Mongillo et al. (2008) as Masse et al. (2019) step them, unit by unit; needs numpy. Time steps
are long and some rates high, so that utilisation and resources are clipped.
"""

import json
from pathlib import Path

import numpy as np

DT_MS, TAU_MS, TRIALS, STEPS, UNITS = 100.0, 200.0, 2, 8, 4
# Facilitating, depressing, and two of their own.
TAU_U_MS, TAU_X_MS, U = [1500.0, 200.0, 400.0, 100.0], [200.0, 1500.0, 300.0, 250.0], [0.15, 0.45, 0.9, 0.3]


def softplus(z):
    return np.logaddexp(z, 0)


def simulate(form, w, start, u, x):
    """Steps every trial and unit by itself; returns the trajectories [trial, time, unit]."""
    found = {name: np.zeros((TRIALS, STEPS, UNITS)) for name in ["potentials", "rates", "utilisation", "resources"]}
    alpha, dt_s = DT_MS / TAU_MS, DT_MS / 1000
    for b in range(TRIALS):
        state, util, res = start[b].copy(), u[b].copy(), x[b].copy()
        for t in range(STEPS):
            rate = softplus(state) if form == "voltage" else state.copy()
            sent = np.zeros(UNITS)
            for i in range(UNITS):
                old = util[i]
                util[i] += DT_MS / TAU_U_MS[i] * (U[i] - old) + dt_s * U[i] * (1 - old) * rate[i]
                res[i] += DT_MS / TAU_X_MS[i] * (1 - res[i]) - dt_s * old * res[i] * rate[i]
                util[i], res[i] = min(max(util[i], 0), 1), min(max(res[i], 0), 1)
                sent[i] = rate[i] * util[i] * res[i]
            z = w["w_rc"] @ sent + w["w_in"] @ w["inputs"][b, t] + w["bias"]
            state = (1 - alpha) * state + alpha * (z if form == "voltage" else softplus(z))
            found["potentials"][b, t] = state if form == "voltage" else z
            found["rates"][b, t] = softplus(state) if form == "voltage" else state
            found["utilisation"][b, t], found["resources"][b, t] = util, res
    found["outputs"] = found["rates"] @ w["w_out"].T + w["bias_out"]
    return found


def main():
    rng = np.random.default_rng(11)
    draw = lambda scale, *shape: np.round(scale * rng.standard_normal(shape), 3)
    w = {
        "w_in": draw(60, UNITS, 2),
        "w_rc": draw(3, UNITS, UNITS),
        "bias": draw(2, UNITS),
        "w_out": draw(1, 2, UNITS),
        "bias_out": draw(1, 2),
        "inputs": draw(1, TRIALS, STEPS, 2),
    }
    start, u, x = np.abs(draw(1, TRIALS, UNITS)), np.round(rng.random((TRIALS, UNITS)), 3), np.round(rng.random((TRIALS, UNITS)), 3)
    golden = {name: array.tolist() for name, array in w.items()}
    golden |= {"initial_state": start.tolist(), "initial_utilisation": u.tolist(), "initial_resources": x.tolist()}
    golden |= {"dt_ms": DT_MS, "tau_ms": TAU_MS, "tau_u_ms": TAU_U_MS, "tau_x_ms": TAU_X_MS, "U": U}
    golden["cases"] = []
    for form in ["voltage", "rate"]:
        found = simulate(form, w, start, u, x)
        clipped = {name: sorted({v for v in found[name].flat if v in (0.0, 1.0)}) for name in ["utilisation", "resources"]}
        assert clipped["utilisation"] == [1.0] and 0.0 in clipped["resources"], clipped
        golden["cases"].append({"form": form} | {name: array.tolist() for name, array in found.items()})
    path = Path(__file__).with_name("short_term_plasticity.json")
    path.write_text(json.dumps(golden) + "\n")


if __name__ == "__main__":
    main()
