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

# Train on every task, or on those named, and rewrite docs/task_trainings.md (a quarter of an hour; needs Python)
train-tasks *NAMES:
    cargo build --release --locked
    python3 configs/tasks/train_all.py {{ NAMES }}

# Time the making of a batch against a training step on it, for every task or for those named
task-times *NAMES:
    cargo run --release --locked --example trial_bench -- {{ NAMES }}

# The documentation of all crates, in the browser
doc:
    cargo doc --workspace --no-deps --locked --open

# Known vulnerabilities in the dependencies (needs cargo-deny and the network)
advisories:
    cargo deny --locked check advisories

# Test every reader of untrusted files, with more than the 100000 cases of each property in a test run
any-bytes CASES="1000000":
    CTRNN_CASES={{ CASES }} cargo test -p ctrnn-files --locked --test untrusted_files
    CTRNN_CASES={{ CASES }} cargo test -p ctrnn-config --locked any_text

# Test every analysis and figure on more random networks and numbers than in a test run
any-networks CASES="3000":
    CTRNN_CASES={{ CASES }} cargo test -p ctrnn-analysis --locked any_

# Fuzz one reader: npz, safetensors, checkpoint_manifest, config_text, overrides (needs cargo-fuzz)
fuzz TARGET SECONDS="1200":
    mkdir -p fuzz/corpus/{{ TARGET }}
    RUSTC_BOOTSTRAP=1 cargo fuzz run -s none {{ TARGET }} fuzz/corpus/{{ TARGET }} fuzz/seeds/{{ TARGET }} -- -max_total_time={{ SECONDS }} -timeout=10 -rss_limit_mb=512

# Regenerate the committed schema of the configuration
schema:
    UPDATE_SCHEMA=1 cargo test -p ctrnn-config --locked schema

# Regenerate docs/tasks.md and the pictures of all tasks
task-pages:
    UPDATE_DOCS=1 cargo test --test main --locked task_pages

# Draw the figures of docs/analysis.md again: the README's network, a flip-flop, a reaction-time task (a minute)
analysis-figures BINARY="":
    #!/usr/bin/env bash
    set -euo pipefail
    program="{{ BINARY }}"
    if [ -z "$program" ]; then cargo build --release --locked; program=target/release/train-ctrnn; fi
    runs=$(mktemp -d); trap 'rm -r "$runs"' EXIT
    draw() { # CONFIG ANALYSIS... : trains and draws
        config=$1; shift
        "$program" train "$config" --run-dir "$runs/run" --force --quiet
        for name in "$@"; do
            "$program" plot "$runs/run" "$name" -o "$runs/$name.svg"
            cp "$runs/$name.svg" docs/analysis/
        done
    }
    draw configs/perceptual_decision.toml psychometric pca flow tuning weights
    draw configs/tasks/flip_flop.toml fixed_points
    draw configs/tasks/perceptual_decision_reaction_time.toml chronometric

# Regenerate the committed golden numbers and example trials (needs numpy)
data:
    python3 tests/golden/make_ctrnn.py
    python3 configs/data/make_trials.py
    python3 configs/data/make_connectivity.py
    python3 configs/data/make_recordings.py

# Store runs of this version as fixtures, which every later version must read (once per version)
fixture:
    cargo test --locked --test main -- --ignored write_the_fixture

# Regenerate the comparison with nn4n (needs torch, numpy and nn4n 1.2.0; see the script)
data-nn4n:
    python3 tests/golden/make_nn4n.py

# Compare requested and actual spectral radius: 200 units, 100 seeds, every parametrization (a minute)
radius:
    cargo test -p ctrnn-model --locked the_radius_of_200_units -- --ignored --nocapture

# Find the 27 fixed points of a network of 100 units that remembers three bits (seconds; unoptimised it would be minutes)
fixed-points:
    cargo test --release -p ctrnn-analysis --locked the_27_points -- --ignored

# Test that Python reads runs and computes the same states (needs numpy, pandas, pyarrow, safetensors, tensorboard, matplotlib; torch if installed):
# PYTHON=.venv/bin/python just python
python:
    cargo test --locked --test main -- --ignored python --nocapture
    cd python && "${PYTHON:-python3}" -m unittest tests.test_ctrnn_io

# Test the Python package as a wheel of what `just test` has compiled, in an environment of its own
python-package:
    python3 -m venv target/python
    target/python/bin/pip install -q numpy pandas safetensors matplotlib gymnasium mypy maturin
    .ci/wheel target/python

# Build the wheel of the Python package and its source distribution into target/wheels (needs maturin and, for manylinux, ziglang)
wheel:
    cd python && maturin build --release --zig --compatibility manylinux2014 --locked -o ../target/wheels
    cd python && maturin sdist -o ../target/wheels

# The same with numpy alone
python-numpy:
    cargo test --locked --test main -- --ignored python_computes --nocapture
    cd python && "${PYTHON:-python3}" -m unittest tests.test_ctrnn_io

# 500 kills and 250 signals at random moments, each resumed and compared (minutes)
survival:
    cargo test --locked --test main -- --ignored survival_of --nocapture

# Time stopping of runs and refusal of malicious files, with the release build
stop-times:
    cargo build --release --locked
    CTRNN_PROGRAM="$PWD/target/release/train-ctrnn" cargo test --locked --test main -- --nocapture a_thousand_units_stop every_signal untrusted_files

# A million toy steps of the release build: memory and open files must not grow (a quarter of an hour); SOAK_STEPS=N for fewer
soak:
    cargo build --release --locked
    CTRNN_PROGRAM="$PWD/target/release/train-ctrnn" cargo test --locked --test main -- --ignored soak --nocapture

# Time the parts of a training step
bench:
    cargo bench --locked --bench training_step

# Time each variant of a network against the plain one: constraints, time constants, noises, initial states (minutes)
variants *ARGS:
    # As the program keeps freed memory (ADR 6).
    MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=2147483647 cargo run --release --locked --example variants_bench -- {{ ARGS }}

# Compare the speed with PyTorch, JAX and nn4n (see benches/peers/README.md): just peers --shape M --threads 1
peers *ARGS:
    cargo build --release --locked --example step_bench
    python3 benches/peers/bench_peers.py --keep-heap --exec "ours=target/release/examples/step_bench" {{ ARGS }}

# Run the tests of the GPU path on a software Vulkan driver, which is installed when run as root
gpu-tests *ARGS:
    driver=$(.ci/vulkan) && VK_ICD_FILENAMES=$driver cargo test --workspace --features wgpu --locked --test gpu {{ ARGS }}

# A binary that can also train on a GPU
build-gpu:
    cargo build --release --locked --features wgpu
