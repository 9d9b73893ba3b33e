"""Record what PyTorch's optimizers and schedulers do: ``python -m tests.reference.record_optim``.

Writes ``optim.npz`` and ``optim_schedules.npz``. Needs PyTorch and NumPy, not Lucid. Everything runs in float64, so
that the reference is exact.
"""

import json
import warnings
from typing import Any

import numpy as np
import torch

from tests.reference import optim_cases, scheduler_cases
from tests.reference.optim_cases import OptimCase
from tests.reference.scheduler_cases import SchedulerCase


def make(values: np.ndarray) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def optimizers() -> dict[str, Any]:
    arrays: dict[str, Any] = {}
    # Muon rounds its Newton-Schulz iterations to bfloat16, which no other library repeats bit for bit: recorded as it
    # is, to show how far that goes, and then without.
    for case in optim_cases.CASES:
        if case.optimizer == "Muon":
            arrays[f"{case.name}|bfloat16"] = np.stack(case.run(torch, make)[0]).astype(np.float32)
    torch.Tensor.bfloat16 = torch.Tensor.clone
    for case in optim_cases.CASES:
        options = dict(case.options)
        if case.optimizer == "Adafactor" and "eps" not in options:
            options["eps"] = (torch.finfo(torch.float32).eps, 1e-3)  # the default is that of the dtype
        found, saved = OptimCase(**{**case.__dict__, "options": options}).run(torch, make)
        names = [[i, name, list(value.shape)] for i, one in saved["state"].items() for name, value in one.items()]
        values = [np.ravel(value.numpy()) for one in saved["state"].values() for value in one.values()]
        arrays[f"{case.name}|parameters"] = np.stack(found).astype(np.float32)
        arrays[f"{case.name}|state"] = np.concatenate(values or [np.zeros(0)]).astype(np.float32)
        arrays[f"{case.name}|names"] = np.array(json.dumps(names))
    return arrays


def schedule(case: SchedulerCase) -> np.ndarray:
    if case.optimizer == "Lion":  # PyTorch has none; its Adam has the same betas
        case = SchedulerCase(**{**case.__dict__, "optimizer": "Adam"})
    optimizer, scheduler = case.start(torch)
    rows = [case.row(optimizer, scheduler)]
    for step in range(1, case.steps + 1):
        case.advance(optimizer, scheduler, step)
        rows.append(case.row(optimizer, scheduler))
    return np.array(rows)


def main() -> None:
    warnings.simplefilter("error")
    np.savez_compressed(optim_cases.FILE, **optimizers())
    np.savez_compressed(scheduler_cases.FILE, **{case.name: schedule(case) for case in scheduler_cases.CASES})
    for cases in (optim_cases, scheduler_cases):
        print(f"{cases.FILE.name}: {len(cases.CASES)} runs, {cases.FILE.stat().st_size // 1024} KiB")


if __name__ == "__main__":
    main()
