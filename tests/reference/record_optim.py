"""Record what PyTorch's optimizers do: ``python -m tests.reference.record_optim`` writes ``optim.npz``.

Needs PyTorch and NumPy, not Lucid. Everything runs in float64, so that the reference is exact.
"""

import json
from typing import Any

import numpy as np
import torch

from tests.reference.optim_cases import CASES, FILE, OptimCase


def make(values: np.ndarray) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def main() -> None:
    # Muon rounds its Newton-Schulz iterations to bfloat16, which no other library repeats bit for bit.
    torch.Tensor.bfloat16 = torch.Tensor.clone
    arrays: dict[str, Any] = {}
    for case in CASES:
        options = dict(case.options)
        if case.optimizer == "Adafactor" and "eps" not in options:
            options["eps"] = (torch.finfo(torch.float32).eps, 1e-3)  # the default is that of the dtype
        found, saved = OptimCase(**{**case.__dict__, "options": options}).run(torch, make)
        names = [[i, name, list(value.shape)] for i, one in saved["state"].items() for name, value in one.items()]
        values = [np.ravel(value.numpy()) for one in saved["state"].values() for value in one.values()]
        arrays[f"{case.name}|parameters"] = np.stack(found).astype(np.float32)
        arrays[f"{case.name}|state"] = np.concatenate(values or [np.zeros(0)]).astype(np.float32)
        arrays[f"{case.name}|names"] = np.array(json.dumps(names))
    np.savez_compressed(FILE, **arrays)
    print(f"{FILE.name}: {len(CASES)} runs, {FILE.stat().st_size // 1024} KiB, PyTorch {torch.__version__}")


if __name__ == "__main__":
    main()
