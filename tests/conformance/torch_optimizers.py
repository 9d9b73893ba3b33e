"""PyTorch's own test inputs of optimizers, and what PyTorch makes of them and of schedules. Needs PyTorch."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import torch
from torch.testing._internal.common_optimizers import OptimizerErrorEnum, optim_db

from tests.conformance.optimizers import IMPLEMENTATIONS, OptimizerSample, ScheduleSample, run_optimizer, run_schedule
from tests.conformance.schedule_cases import CASES
from tests.conformance.torch_samples import TORCH, Unsupported, neutral
from tests.conformance.torch_signatures import inspected


def optimizers() -> dict[str, Any]:
    """The entries of optim_db by name, such as "optim.SGD"."""
    return {f"optim.{info.optim_cls.__name__}": info for info in optim_db}


def optimizer_samples(info: Any, dtypes: list[str]) -> Iterator[OptimizerSample]:
    name = f"optim.{info.optim_cls.__name__}"
    for count, one in enumerate([*info.optim_inputs_func("cpu"), *_errors(info)]):
        try:
            kwargs = neutral(dict(one.kwargs))
        except Unsupported:
            continue
        for flag in (None, *(key for key in IMPLEMENTATIONS if key in info.supported_impls and count < 2)):
            options = kwargs if flag is None else {**kwargs, flag: False}
            for dtype in dtypes if flag is None else ["float32"]:
                sample = OptimizerSample(name, options, dtype)
                sample.outcome = run_optimizer(TORCH, sample)
                yield sample
    for own in ({"lr": 0.3}, {"weight_decay": 0.05}):
        sample = OptimizerSample(name, {"lr": 0.01}, second_group=own)
        sample.outcome = run_optimizer(TORCH, sample)
        yield sample


def _errors(info: Any) -> list[Any]:
    if info.optim_error_inputs_func is None:
        return []
    found = info.optim_error_inputs_func("cpu", torch.float32)
    return [one.optimizer_error_input for one in found if one.error_on == OptimizerErrorEnum.CONSTRUCTION_ERROR]


def schedule_samples() -> Iterator[ScheduleSample]:
    """The cases by position and by name, with two optimizers, as far as PyTorch has the schedule."""
    for name, args, kwargs in CASES:
        home = "swa_utils" if name == "SWALR" else "lr_scheduler"
        owner = getattr(torch.optim, home)
        [overload] = inspected(getattr(owner, name).__init__, drop_self=True)
        names = overload.positional_names()
        chained = name == "ChainedScheduler"
        by_name = dict(zip(names if chained else names[1:], args, strict=False)) | kwargs
        for optimizer in ("SGD", "Adam"):
            for given in ((args, kwargs), ([], by_name if chained else {"optimizer": True, **by_name})):
                sample = ScheduleSample(f"optim.{home}.{name}", list(given[0]), dict(given[1]), optimizer)
                if "epoch" in inspect.signature(getattr(owner, name).step).parameters and "Plateau" not in name:
                    sample.epochs = [3, 4, 17, 0, 25]
                sample.outcome = run_schedule(TORCH, sample)
                yield sample
