"""Run the same optimizer or schedule with either library: same start, same gradients, same options."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tests.conformance.run import Library, described, failed
from tests.conformance.values import Array, Outcome

STEPS = 6
SCHEDULE_STEPS = 40
SHAPES = ((), (5,), (4, 3))
MATRICES = ((4, 3), (2, 6))
# Ways to run the same computation, which say nothing about the result.
IMPLEMENTATIONS = ("capturable", "foreach", "fused", "differentiable")


@dataclass
class OptimizerSample:
    """An optimizer's options; the parameters may be in two groups, the second with options of its own.

    The outputs are the parameters after each step, then the numbers of the parameter groups by name.
    """

    op: str
    kwargs: dict[str, Any]
    dtype: str = "float32"
    second_group: dict[str, Any] | None = None
    outcome: Outcome = field(default_factory=Outcome)

    def __repr__(self) -> str:
        shown = ", ".join(f"{key}={value!r}" for key, value in self.kwargs.items())
        return f"({shown})" + ("" if self.second_group is None else f" with a group {self.second_group}")


@dataclass
class ScheduleSample:
    """A schedule's arguments after the optimizer. The outputs are the learning rates and momenta after each step.

    ``epochs`` are those to go to by ``step(epoch)``, which is deprecated, after all steps.
    """

    op: str
    args: list[Any]
    kwargs: dict[str, Any]
    optimizer: str = "SGD"
    epochs: list[int] = field(default_factory=list)
    dtype: str = ""
    outcome: Outcome = field(default_factory=Outcome)

    def __repr__(self) -> str:
        shown = [self.optimizer, *map(repr, self.args), *(f"{key}={value!r}" for key, value in self.kwargs.items())]
        return f"({', '.join(shown)}), then epochs {self.epochs}" if self.epochs else f"({', '.join(shown)})"


def _wave(shape: tuple[int, ...], phase: float) -> np.ndarray:
    return np.round(np.sin(1.7 * np.arange(int(np.prod(shape))) + phase), 4).reshape(shape)


def run_optimizer(library: Library, sample: OptimizerSample) -> Outcome:
    """The outcome of a few steps. The gradients depend on the parameters, so that errors are carried on."""
    shapes = MATRICES if sample.op == "optim.Muon" else SHAPES
    try:
        parameters = [
            library.tensor(Array(_wave(shape, 0.3 + i), sample.dtype, grad=True)) for i, shape in enumerate(shapes)
        ]
        kwargs, own = library.native([sample.kwargs, sample.second_group], {})
        groups: Any = parameters
        if own is not None:
            groups = [{"params": parameters[:1]}, {"params": parameters[1:], **own}]
        optimizer = getattr(library.root.optim, sample.op.removeprefix("optim."))(groups, **kwargs)
        options = [
            (key, float(value) if isinstance(value, library.tensor_type) and value.ndim == 0 else value)
            for group in optimizer.param_groups
            for key, value in group.items()
            if key != "params" and not _has_tensor(library, value)
        ]
        found = Outcome(structure="steps")
        for step in range(STEPS):
            optimizer.zero_grad()
            for i, parameter in enumerate(parameters):
                if (step + i) % 4 != 3:  # in some steps, some have no gradient
                    noise = library.tensor(Array(_wave(tuple(parameter.shape), 0.9 * step + i), sample.dtype))
                    parameter.grad = parameter.detach() * 0.5 + noise
            optimizer.step()
            found.outputs += [described(library, one.detach() * 1) for one in parameters]
        found.outputs += [f"{key}={_number(value)!r}" for key, value in sorted(options, key=lambda one: one[0])]
    except Exception as error:
        return failed(error)
    return found


def _number(value: Any) -> Any:
    return float(value) if type(value) is int else value


def _has_tensor(library: Library, value: Any) -> bool:
    values = value if isinstance(value, tuple | list) else [value]
    return any(isinstance(one, library.tensor_type) and one.ndim for one in values)


def metric(step: int) -> float:
    """For ReduceLROnPlateau: falls for a while, then stays."""
    return 1 / (1 + min(step, 12)) + 0.001 * (step % 3)


FUNCTIONS: dict[str, Callable[[int], float]] = {
    "inverse": lambda epoch: 1 / (1 + epoch),
    "power": lambda epoch: 0.95**epoch,
}


def run_schedule(library: Library, sample: ScheduleSample) -> Outcome:
    """The outcome of a schedule over two groups. Strings of ``FUNCTIONS`` stand for functions, ``{"schedule": ...}``
    for schedules inside of others."""
    try:
        first, second = (library.tensor(Array(np.zeros(2), "float32", grad=True)) for _ in range(2))
        options = {"SGD": {"momentum": 0.9}, "Adam": {}}[sample.optimizer]
        optimizer = getattr(library.root.optim, sample.optimizer)(
            [{"params": [first]}, {"params": [second], "lr": 0.02}], lr=0.1, **options
        )
        schedule = _schedule(library, optimizer, sample.op, sample.args, sample.kwargs)
        found = Outcome(structure="rates")
        for step in range(SCHEDULE_STEPS):
            for group in optimizer.param_groups:
                momentum = group["betas"][0] if "betas" in group else group["momentum"]
                found.outputs += [float(group["lr"]), float(momentum)]
            found.outputs += [float(one) for one in schedule.get_last_lr()]
            optimizer.step()
            schedule.step(*([metric(step)] if sample.op.endswith("ReduceLROnPlateau") else []))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for epoch in sample.epochs:
                schedule.step(epoch)
                found.outputs += [float(one) for one in schedule.get_last_lr()]
    except Exception as error:
        return failed(error)
    return found


def _schedule(library: Library, optimizer: Any, name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
    def native(value: Any) -> Any:
        if isinstance(value, dict) and "schedule" in value:
            return _schedule(library, optimizer, value["schedule"], value.get("args", []), value.get("kwargs", {}))
        if isinstance(value, str) and value in FUNCTIONS:
            return FUNCTIONS[value]
        return [native(one) for one in value] if isinstance(value, list) else value

    short = name.rpartition(".")[2]
    make = getattr(library.root.optim.swa_utils if short == "SWALR" else library.root.optim.lr_scheduler, short)
    named = {key: native(value) for key, value in kwargs.items()}
    if name.endswith("ChainedScheduler"):
        return make(*map(native, args), **named)
    if named.pop("optimizer", False):
        return make(optimizer=optimizer, **named)
    return make(optimizer, *map(native, args), **named)
