"""Record the results of PyTorch's modules in ``nn.npz`` and others: ``python -m tests.reference.record_nn``.

``python -m tests.reference.record_nn nn_spatial_cases`` records only these.

Needs PyTorch and NumPy, not Lucid. Everything runs in float64, so that the reference is exact.
"""

import importlib
import sys
from typing import Any

import numpy as np
import torch

from tests.reference import nn_cases
from tests.reference.nn_cases import FAMILIES


def make(values: np.ndarray) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64 if values.dtype.kind == "f" else torch.int64)


def record(family: Any) -> None:
    arrays: dict[str, np.ndarray] = {}
    for case in family.CASES:
        module = case.build(torch).double()
        names = [f"{name} {tuple(one.shape)}" for name, one in module.state_dict().items()]
        arrays[f"{case.name}|names"] = np.array(names)
        for key, value in case.run(module, make).items():
            arrays[f"{case.name}|{key}"] = value.astype(np.float32)
    if family is nn_cases:
        arrays["losses"] = nn_cases.train(torch, nn_cases.convnet(torch).double(), make)
    np.savez_compressed(family.FILE, **arrays)
    print(f"{family.FILE.name}: {len(family.CASES)} modules, {family.FILE.stat().st_size // 1000} kB")


if __name__ == "__main__":
    for name in sys.argv[1:] or FAMILIES:
        record(importlib.import_module(f"tests.reference.{name}"))
