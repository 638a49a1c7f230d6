#!/usr/bin/env bash
# What a machine with a GPU can tell, in one run without a network: adapters, correctness, and a training step at every shape beside the peers.
#
#   cargo build --release --features wgpu --example step_bench --bin train-ctrnn
#   cargo test --release --features wgpu --test gpu --no-run        # prints the path of the test program
#   benches/gpu.sh FOLDER_OF_PROGRAMS [OUTPUT_FOLDER]
#
# The first folder holds train-ctrnn, step_bench, and where they are wanted the test program as `gpu` (it needs no other file) and
# libvulkan.so.1, for a machine without a Vulkan loader. PYTHON names a Python with numpy, and with torch and jax for the peers.
# SHAPES="S M" and PEERS=none leave things out; SHAPE_SECONDS bounds each shape, so that a whole run takes ten minutes.
set -uo pipefail
programs=$(realpath "$1")
out=${2:-gpu-results}
here=$(dirname "$(realpath "$0")")
python=${PYTHON:-python3}
shapes=${SHAPES-TINY S M L XL LONG B1 B2 N1k PUBLIC}
peers=${PEERS-torch_eager,torch_eager_graph,torch_compile,torch_rnn,jax_scan,jax_manual}
mkdir -p "$out"
out=$(realpath "$out")
export LD_LIBRARY_PATH="$programs${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}" XDG_RUNTIME_DIR="${XDG_RUNTIME_DIR:-/tmp}"

"$programs/train-ctrnn" info | tee "$out/info.txt" || exit 6
grep -q '^wgpu:' "$out/info.txt" || { echo "no graphics adapter: see the README for what a driver needs"; exit 6; }
command -v nvidia-smi >/dev/null && nvidia-smi >"$out/nvidia-smi.txt"

# Kernels, loss, norm and optimizer against the CPU in double precision; and the launches of a training step.
if [[ -x "$programs/gpu" ]]; then
    (cd "$out" && "$programs/gpu" agreement optimizer sums step --nocapture) 2>&1 | tee "$out/correctness.txt" | tail -n 12
fi

# Loss and gradients of every program are checked against a float64 BPTT before anything is timed.
for shape in $shapes; do
    timeout "${SHAPE_SECONDS:-65}" "$python" "$here/peers/bench_peers_gpu.py" --shape "$shape" --peer "$peers" --reps 3 \
        --exec "ours=$programs/step_bench --gpu" --json "$out/$shape.json" 2>&1 | tee "$out/$shape.txt"
done

# One table of everything. TINY is a step of next to no work: what its launches cost the host.
"$python" - "$out" $shapes >"$out/table.md" <<'PYTHON'
import json, os, sys

folder, shapes = sys.argv[1], sys.argv[2:]
results = {}
for shape in shapes:
    path = os.path.join(folder, shape + ".json")
    if os.path.exists(path):
        results[shape] = {r["peer"]: r for r in json.load(open(path))["results"]}
peers = sorted({peer for row in results.values() for peer in row} - {"ours"})
print("ms per training step, wall clock, medians; the ratio is to the fastest peer that trains the same network\n")
print("| shape | ours | " + " | ".join(peers + ["fastest peer / ours", "worst error of ours"]) + " |")
print("|---|" + "--:|" * (len(peers) + 3))
for shape, row in results.items():
    ms = {peer: r["wall_ms"] for peer, r in row.items()}
    ours = row.get("ours")
    same = [ms[p] for p in peers if p in ms and p != "torch_rnn" and not p.startswith("floor")]
    cells = [f"{ms[p]:.3f}" if p in ms else "" for p in ["ours"] + peers]
    cells.append(f"{min(same) / ms['ours']:.2f}" if ours and same else "")
    cells.append(f"{max(ours['check'].values()):.1e}" if ours else "failed")
    print(f"| {shape} | " + " | ".join(cells) + " |")
PYTHON
cat "$out/table.md"
