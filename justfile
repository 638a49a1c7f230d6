# `just` lists the recipes.

[private]
default:
    @just --list

# Everything that CI runs
check:
    .ci/run

# Format the code
fmt:
    cargo fmt --all

# The test suite
test *ARGS:
    cargo test --workspace --locked {{ ARGS }}

# Train the smallest network (seconds); takes overrides such as model.n_units=16
smoke *ARGS:
    cargo run --release --locked -- train configs/smoke.toml --run-dir target/smoke --force {{ ARGS }}

# Train the main example to 90 %
train *ARGS:
    cargo run --release --locked -- train configs/perceptual_decision.toml {{ ARGS }}

# The documentation of all crates, in the browser
doc:
    cargo doc --workspace --no-deps --locked --open

# Known vulnerabilities in the dependencies (needs cargo-deny and the network)
advisories:
    cargo deny --locked check advisories

# Write the committed schema of the configuration anew
schema:
    UPDATE_SCHEMA=1 cargo test -p ctrnn-train --locked schema

# Make the committed golden numbers and example trials anew (needs numpy)
data:
    python3 tests/golden/make_ctrnn.py
    python3 configs/data/make_trials.py

# Python reads what a run writes (needs Python with numpy, pandas and safetensors: PYTHON=.venv/bin/python just python)
python:
    cargo test --locked --test main -- --ignored python

# 500 kills and 250 signals at random moments, each resumed and compared (minutes)
survival:
    cargo test --locked --test main -- --ignored survival_of --nocapture

# A million toy steps: memory and open files must not grow (a quarter of an hour); SOAK_STEPS=N for fewer
soak:
    cargo test --locked --test main -- --ignored soak --nocapture

# Time the parts of a training step
bench:
    cargo bench --locked --bench training_step

# Side by side with PyTorch, JAX and nn4n (see benches/peers/README.md): just peers --shape M --threads 1
peers *ARGS:
    cargo build --release --locked --example step_bench
    python3 benches/peers/bench_peers.py --keep-heap --exec "ours=target/release/examples/step_bench" {{ ARGS }}

# A binary that can also train on a GPU
build-gpu:
    cargo build --release --locked --features wgpu
