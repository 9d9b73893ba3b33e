"""Record the results of PyTorch's modules: ``python -m tests.reference.record_nn [nn nn_sequences]``, all by default.

Needs PyTorch and NumPy, not Lucid. Everything runs in float64, so that the reference is exact.
"""

import sys
from pathlib import Path

import numpy as np
import torch

from tests.reference import nn_cases, nn_sequence_cases
from tests.reference.nn_cases import ModuleCase


def make(values: np.ndarray) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64 if values.dtype.kind == "f" else torch.int64)


TABLES = (nn_cases, nn_sequence_cases)


def main(names: list[str]) -> None:
    for table in TABLES:
        if names and table.FILE.stem not in names:
            continue
        arrays = recorded(table.CASES)
        if table is nn_cases:
            arrays["losses"] = nn_cases.train(torch, nn_cases.convnet(torch).double(), make)
        save(table.FILE, table.CASES, arrays)


def recorded(cases: list[ModuleCase]) -> dict[str, np.ndarray]:
    arrays: dict[str, np.ndarray] = {}
    for case in cases:
        module = case.build(torch).double()
        names = [f"{name} {tuple(one.shape)}" for name, one in module.state_dict().items()]
        arrays[f"{case.name}|names"] = np.array(names)
        for key, value in case.run(module, make).items():
            arrays[f"{case.name}|{key}"] = value.astype(np.float32)
    return arrays


def save(file: Path, cases: list[ModuleCase], arrays: dict[str, np.ndarray]) -> None:
    np.savez_compressed(file, **arrays)
    print(f"{file.name}: {len(cases)} modules, {file.stat().st_size // 1000} kB")


if __name__ == "__main__":
    main(sys.argv[1:])
