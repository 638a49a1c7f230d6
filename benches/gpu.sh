#!/usr/bin/env bash
# What a machine with a GPU can tell, in one run without a network: adapters, correctness, and a training step at every shape beside the peers.
#
#   cargo build --release --features wgpu --example step_bench --bin train-ctrnn
#   cargo test --release --features wgpu --test gpu --no-run        # prints the path of the test program
#   benches/gpu.sh FOLDER_OF_PROGRAMS [OUTPUT_FOLDER]
#
# The first folder holds train-ctrnn, step_bench, the test program as `gpu`, and, where the machine has no Vulkan loader, libvulkan.so.1.
# PYTHON names a Python with numpy, and with torch and jax for the peers. SHAPES="S M" and PEERS="" leave things out.
set -uo pipefail
programs=$(realpath "$1")
out=${2:-gpu-results}
here=$(dirname "$(realpath "$0")")
python=${PYTHON:-python3}
shapes=${SHAPES-S M L XL LONG B1 B2 N1k}
peers=${PEERS-torch_eager,torch_eager_graph,torch_compile,torch_rnn,jax_scan,jax_manual}
mkdir -p "$out"
out=$(realpath "$out")
export LD_LIBRARY_PATH="$programs${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}" XDG_RUNTIME_DIR="${XDG_RUNTIME_DIR:-/tmp}"

"$programs/train-ctrnn" info | tee "$out/info.txt" || exit 6
command -v nvidia-smi >/dev/null && nvidia-smi >"$out/nvidia-smi.txt"

if [[ -x "$programs/gpu" ]]; then
    "$programs/gpu" agreement 2>&1 | tee "$out/agreement.txt" | tail -n 12
fi

sizes() { # of the shapes that the scripts have no name for
    case $1 in
        B1) echo --batch 1024 --time 200 --hidden 256 --inputs 6 --outputs 3 ;;
        B2) echo --batch 4096 --time 200 --hidden 128 --inputs 6 --outputs 3 ;;
        N1k) echo --batch 64 --time 200 --hidden 1024 --inputs 6 --outputs 3 ;;
        *) echo --shape "$1" ;;
    esac
}

# Loss and gradients of ours are checked against a float64 BPTT before anything is timed.
for shape in $shapes; do
    # shellcheck disable=SC2046
    timeout "${OURS_SECONDS:-60}" "$python" "$here/peers/bench_peers.py" $(sizes "$shape") --peer none --reps 3 \
        --exec "ours=$programs/step_bench --gpu" --json "$out/$shape-ours.json" 2>&1 | tee "$out/$shape-ours.txt"
    if [[ -n $peers ]]; then
        # shellcheck disable=SC2046
        timeout "${PEER_SECONDS:-90}" "$python" "$here/peers/bench_peers_gpu.py" $(sizes "$shape") --peer "$peers" --reps 3 \
            --json "$out/$shape-peers.json" 2>&1 | tee "$out/$shape-peers.txt"
    fi
done

# One table of everything, a line for each program and shape.
{
    echo "| shape | ms per training step |"
    echo "|---|---|"
    for shape in $shapes; do
        echo "| $shape | $(cat "$out/$shape"-*.txt | grep -E '^(ours|torch|jax|nn4n|floor)' | tr -s ' ' | cut -c1-60 | paste -sd ';') |"
    done
} >"$out/table.md"
cat "$out/table.md"
