"""Record PyTorch's results: ``python -m tests.architectures.record [name ...]``, all architectures by default.

Needs PyTorch and NumPy, not Lucid. The file is written beside this one and committed.
"""

import sys

import numpy as np
import torch

from tests.architectures.architecture import largest_noise, run_exactly
from tests.architectures.comparison import FILE, record
from tests.architectures.table import ARCHITECTURES


def main(names: list[str]) -> None:
    old = dict(np.load(FILE)) if FILE.exists() else {}
    records = {key: value for key, value in old.items() if key.partition("|")[0] in ARCHITECTURES.keys() - set(names)}
    for name in names or ARCHITECTURES:
        one = ARCHITECTURES[name]
        exact = run_exactly(torch, one)
        records |= record(name, exact, largest_noise(torch, one, exact))
        print(name, flush=True)
    np.savez_compressed(FILE, **records)
    print(f"{FILE}: {FILE.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(sys.argv[1:])
