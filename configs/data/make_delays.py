#!/usr/bin/env python3
"""Writes delays.npz, the example of connections with delays (needs numpy). Rows are postsynaptic.

    recurrent.mask      [post, pre]   all within an area; half of the connections between areas
    recurrent.delay_ms  [post, pre]   0 within an area, 20 ms from area 1 to area 2 and 40 ms back
    input.mask          [unit, input]   only the first area has inputs
    output.mask         [output, unit]  only the second area is read out
"""

from pathlib import Path

import numpy as np

N, I, O = 32, 3, 2
FIRST = np.arange(N) < N // 2


def main():
    same_area = FIRST[:, None] == FIRST[None, :]
    forward = ~FIRST[:, None] & FIRST[None, :]
    half = np.add.outer(np.arange(N), np.arange(N)) % 2 == 0
    arrays = {
        "recurrent.mask": (same_area | half).astype(np.float32),
        "recurrent.delay_ms": np.where(same_area, 0, np.where(forward, 20, 40)).astype(np.float32),
        "input.mask": np.repeat(FIRST[:, None], I, axis=1).astype(np.float32),
        "output.mask": np.repeat(~FIRST[None, :], O, axis=0).astype(np.float32),
    }
    path = Path(__file__).with_name("delays.npz")
    np.savez(path, **arrays)
    print(f"{path}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
