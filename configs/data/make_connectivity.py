#!/usr/bin/env python3
"""Writes two_areas.npz, the example of a file of connections (needs numpy). Rows are postsynaptic.

    input.mask            [unit, input]   only the first area has inputs
    recurrent.mask        [post, pre]     all within an area; between areas excitatory units only
    recurrent.sign        [unit]          +1 excitatory, -1 inhibitory
    recurrent.fixed       [post, pre]     one strong connection from each excitatory unit of area 1 to its partner in area 2
    recurrent.plasticity  [post, pre]     weights from area 2 back to area 1 learn at a tenth of the rate
    output.mask           [output, unit]  only the second area is read out
"""

from pathlib import Path

import numpy as np

N, I, O = 20, 3, 2
FIRST = np.arange(N) < N // 2
EXCITATORY = np.arange(N) % 5 != 4  # four of five, in both areas


def main():
    same_area = FIRST[:, None] == FIRST[None, :]
    forward = ~FIRST[:, None] & FIRST[None, :]
    back = FIRST[:, None] & ~FIRST[None, :]
    partners = forward & (np.arange(N)[:, None] - np.arange(N)[None, :] == N // 2)
    arrays = {
        "input.mask": np.repeat(FIRST[:, None], I, axis=1).astype(np.float32),
        "recurrent.mask": (same_area | EXCITATORY[None, :]).astype(np.float32),
        "recurrent.sign": np.where(EXCITATORY, 1, -1).astype(np.float32),
        "recurrent.fixed": (0.5 * (partners & EXCITATORY[None, :])).astype(np.float32),
        "recurrent.plasticity": np.where(back, 0.1, 1.0).astype(np.float32),
        "output.mask": np.repeat(~FIRST[None, :], O, axis=0).astype(np.float32),
    }
    path = Path(__file__).with_name("two_areas.npz")
    np.savez(path, **arrays)
    print(f"{path}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
