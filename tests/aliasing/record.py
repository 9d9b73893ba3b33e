"""Record what PyTorch computes for the random programs of ``programs.py``, in an environment with PyTorch::

    python -m tests.aliasing.record

Values and gradients are exact, so a checksum of each program is enough. Programs whose results differ in float64, and
so are not exact in float32, are left out.
"""

from pathlib import Path

import numpy as np

from tests.aliasing.programs import run

FILE = Path(__file__).with_name("programs.npz")
COUNT = 5000


def main() -> None:
    import torch

    torch.set_warn_always(False)
    kept = []
    for seed in range(COUNT):
        found = run(torch, seed)
        wide = run(torch, seed, found.refused, torch.float64)
        if found.digests == wide.digests and found.differentiated == wide.differentiated:
            mask = sum(1 << number for number in found.refused)
            kept.append((seed, *found.digests, found.differentiated, mask))
    columns = np.array(kept, np.uint64).T
    np.savez_compressed(
        FILE,
        seed=columns[0].astype(np.uint16),
        values=columns[1].astype(np.uint32),
        gradients=columns[2].astype(np.uint32),
        differentiated=columns[3].astype(bool),
        refused=columns[4],
        version=np.array(torch.__version__),
    )
    print(f"{len(kept)} of {COUNT} programs, {FILE.stat().st_size} bytes")


if __name__ == "__main__":
    main()
