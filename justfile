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
    cargo run --locked -- config schema > configs/ctrnn.schema.json

# Make the committed golden numbers and example trials anew (needs numpy)
data:
    python3 tests/golden/make_ctrnn.py
    python3 configs/data/make_trials.py

# A binary that can also train on a GPU
build-gpu:
    cargo build --release --locked --features wgpu
