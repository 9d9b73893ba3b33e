"""PyTorch's own test inputs of layers and what PyTorch makes of them. Needs PyTorch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch.testing import make_tensor
from torch.testing._internal.common_modules import FunctionInput, ModuleErrorEnum, ModuleInfo, ModuleInput, module_db

from tests.conformance.modules import ModuleSample, build, run_module
from tests.conformance.torch_samples import SECOND, TORCH, Unsupported, neutral
from tests.conformance.torch_signatures import inspected

DTYPES = ("float32", "float64", "float16", "bfloat16")

# Layers that module_db does not have: arguments of the constructor, and the shape of the input.
OTHERS: dict[str, list[tuple[tuple[Any, ...], dict[str, Any], tuple[int, ...]]]] = {
    "Dropout": [((0.3,), {}, (40, 40)), ((), {"p": 0.0, "inplace": True}, (3, 4)), ((1.0, False), {}, (3, 4))],
    "Dropout2d": [((0.5,), {}, (20, 20, 2, 2)), ((0.0, True), {}, (2, 3, 2, 2))],
    "Flatten": [((), {}, (2, 3, 4)), ((0,), {}, (2, 3, 4)), ((-3, -2), {}, (2, 3, 4)), ((), {"end_dim": 1}, (2, 3, 0))],
    "Hardsigmoid": [((), {}, (2, 3, 4)), ((True,), {}, ())],
    "Identity": [((), {}, (2, 3)), ((1, 2), {"anything": 3}, (4,))],
    "Unflatten": [((1, (2, 3)), {}, (4, 6)), ((), {"dim": -1, "unflattened_size": [3, 1, 2]}, (2, 6))],
    "Upsample": [
        ((4,), {}, (2, 3, 2)),
        (((5, 3), None, "bilinear", True), {}, (1, 2, 4, 4)),
        ((), {"scale_factor": 1.5, "mode": "bicubic"}, (1, 2, 4, 4)),
        ((), {"scale_factor": (2.0, 0.6), "mode": "bilinear", "recompute_scale_factor": True}, (1, 2, 4, 5)),
        ((None, 2, "nearest"), {}, (1, 1, 2, 3)),
    ],
}


def _other(name: str) -> Any:
    """A row of ``OTHERS`` in the form of module_db."""

    def inputs(info: Any, device: str, dtype: torch.dtype, requires_grad: bool, training: bool) -> list[ModuleInput]:
        return [
            ModuleInput(
                FunctionInput(*args, **kwargs),
                FunctionInput(make_tensor(shape, dtype=dtype, device=device, requires_grad=requires_grad)),
            )
            for args, kwargs, shape in OTHERS[name]
        ]

    return ModuleInfo(getattr(torch.nn, name), module_inputs_func=inputs)


def module_samples(info: Any, dtype: str, limit: int | None = None) -> Iterator[ModuleSample]:
    """The samples of an entry of module_db in a dtype, in training and in evaluation."""
    torch_dtype = getattr(torch, dtype)
    if torch_dtype not in info.dtypes and dtype not in ("float16", "bfloat16"):
        return
    differentiable = dtype in ("float32", "float64")
    for training in (True, False):
        torch.manual_seed(0)
        inputs = info.module_inputs_func(info, "cpu", torch_dtype, requires_grad=differentiable, training=training)
        for count, one in enumerate(inputs[:limit]):
            second = dtype == "float64" and count < SECOND and info.supports_gradgrad
            sample = _sample(info, one, dtype, training, (1 + second) if differentiable else 0)
            if sample is not None and (differentiable or sample.outcome.error is None):
                yield sample
    if dtype == "float32" and info.module_error_inputs_func is not None:
        for error in info.module_error_inputs_func(
            info, device="cpu", dtype=torch_dtype, requires_grad=False, training=True
        ):
            one = error.module_error_input
            if error.error_on == ModuleErrorEnum.CONSTRUCTION_ERROR and one.forward_input is None:
                one.forward_input = one.constructor_input
            sample = _sample(info, one, dtype, True, 0)
            if sample is not None and sample.outcome.error is not None:
                yield sample


def modules() -> dict[str, Any]:
    """The entries of module_db and of ``OTHERS`` by name, such as "nn.Linear"."""
    entries = [*module_db, *map(_other, OTHERS)]
    return {f"nn.{info.module_cls.__name__}": info for info in entries}


def _sample(info: Any, one: Any, dtype: str, training: bool, order: int) -> ModuleSample | None:
    try:
        init = neutral([list(one.constructor_input.args), dict(one.constructor_input.kwargs)])
        call = neutral([list(one.forward_input.args), dict(one.forward_input.kwargs)])
    except Unsupported:
        return None
    name = f"nn.{info.module_cls.__name__}"
    sample = ModuleSample(name, *init, *call, training, dtype, order)
    torch.manual_seed(0)
    try:
        layer = build(TORCH, sample)
        sample.state = {key: TORCH.array(value) for key, value in layer.state_dict().items()}
    except Exception:  # the sample is about an error of the constructor; its outcome will be that error
        sample.state = {}
    outcomes = []
    for seed in range(2):
        torch.manual_seed(seed)
        outcomes.append(run_module(TORCH, sample))
    sample.outcome = outcomes[0]
    if sample.outcome.error is not None and "not implemented" in sample.outcome.error[1] and order:
        return _sample(info, one, dtype, training, order - 1)  # PyTorch has no derivative of that order
    # Lazy layers draw their parameters in the first call, from other random numbers.
    is_drawn = "Dropout" in name or (".Lazy" in name and "Norm" not in name)
    if is_drawn and repr(outcomes[0].outputs) != repr(outcomes[1].outputs):
        sample.outcome.is_random, sample.outcome.grads, sample.outcome.second = True, None, None
    sample.init_names = _names(info.module_cls.__init__, len(init[0]))
    sample.names = _names(info.module_cls.forward, len(call[0]))
    return sample


def _names(function: Any, count: int) -> list[str] | None:
    for overload in inspected(function, drop_self=True):
        if len(overload.positional_names()) >= count:
            return overload.positional_names()[:count]
    return None
