"""Record the results of PyTorch's modules: ``python -m tests.reference.record_nn`` writes ``nn.npz``.

Needs PyTorch and NumPy, not Lucid. Everything runs in float64, so that the reference is exact.
"""

import numpy as np
import torch

from tests.reference import nn_cases


def make(values: np.ndarray) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64 if values.dtype.kind == "f" else torch.int64)


def main() -> None:
    arrays: dict[str, np.ndarray] = {}
    for case in nn_cases.CASES:
        module = case.build(torch).double()
        names = [f"{name} {tuple(one.shape)}" for name, one in module.state_dict().items()]
        arrays[f"{case.name}|names"] = np.array(names)
        for key, value in case.run(module, make).items():
            arrays[f"{case.name}|{key}"] = value.astype(np.float32)
    arrays["losses"] = nn_cases.train(torch, nn_cases.convnet(torch).double(), make)
    np.savez_compressed(nn_cases.FILE, **arrays)
    print(f"{nn_cases.FILE.name}: {len(nn_cases.CASES)} modules, {nn_cases.FILE.stat().st_size // 1000} kB")


if __name__ == "__main__":
    main()
