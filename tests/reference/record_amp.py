"""Record what PyTorch's mixed precision does on the CPU: ``python -m tests.reference.record_amp``.

Writes ``amp_dtypes.json``, the dtypes that autocast gives, and ``amp_scaler.npz``, training with a ``GradScaler``.
Needs PyTorch and NumPy, not Lucid. An operation that refuses its operands is recorded as "refused".
"""

import json
import warnings

import numpy as np
import torch

from tests.reference import amp_cases, scaler_cases


def dtype(case: str) -> str:
    try:
        return amp_cases.run(torch, case, torch.tensor)
    except RuntimeError:
        return "refused"


def main() -> None:
    found = {case: dtype(case) for case in amp_cases.CASES}
    amp_cases.FILE.write_text(json.dumps(found, indent=1) + "\n")
    print(f"{amp_cases.FILE.name}: {len(found)} operations")
    # Where the first step is skipped, PyTorch thinks that the schedule began before the optimizer.
    warnings.filterwarnings("ignore", "Detected call of `lr_scheduler.step")
    arrays = {
        f"{case.name}|{key}": values
        for case in scaler_cases.CASES
        for key, values in case.run(torch, torch.tensor).items()
    }
    np.savez_compressed(scaler_cases.FILE, **arrays)
    print(f"{scaler_cases.FILE.name}: {len(scaler_cases.CASES)} runs, {scaler_cases.FILE.stat().st_size // 1024} KiB")


if __name__ == "__main__":
    main()
