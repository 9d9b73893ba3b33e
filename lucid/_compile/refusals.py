"""What a function changes beside its state, found and named before it would be frozen in a graph."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from lucid._compile.closure import name_of, variables
from lucid._compile.state import State
from lucid._compile.watch import Snapshot
from lucid._tensor import Tensor
from lucid.nn.module import Module
from lucid.optim.optimizer import Optimizer

Rates = list[tuple[str, Any, Tensor]]  # of each parameter group: the optimizer, what was set, the tensor of the step


def check_reached(where: str, function: Callable[..., Any], state: State) -> None:
    """Refuse modules, optimizers, metrics and the like that the function uses by name and that are not state.

    Raises:
        RuntimeError: there is one; the message has its name.
    """
    known = {id(one) for one in state.objects()}
    for name, one in _reached(function):
        stateful = isinstance(one, Module | Optimizer) or _has_state_tensors(one)
        if stateful and id(one) not in known:
            what = "its parameters" if isinstance(one, Module) else "its state"
            raise RuntimeError(
                f"{where}: the function uses {name!r} ({type(one).__name__}), which is not in state, so {what} "
                f"would be frozen; list it: lucid.compile(function, state=[{name}])"
            )


def bare_modules(function: Callable[..., Any]) -> Iterator[tuple[str, Module]]:
    """Modules without tensors that the function uses by name, losses for instance: nobody has to list them."""
    for name, one in _reached(function):
        if isinstance(one, Module) and next(one.parameters(), None) is None and next(one.buffers(), None) is None:
            yield name, one


def _reached(function: Callable[..., Any]) -> Iterator[tuple[str, Any]]:
    """The variables that the function uses, and what the containers among them hold."""
    for name, value in variables(function):
        inside = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
        for one in (value, *inside):
            yield name, one


def _has_state_tensors(thing: Any) -> bool:
    # A class has the method too, and no state.
    return not isinstance(thing, type) and callable(getattr(thing, "state_tensors", None)) and thing.state_tensors()


def _called(thing: Any, function: Callable[..., Any]) -> str:
    name = name_of(thing, function)
    if isinstance(thing, Tensor):
        return f"{name or 'a tensor'} (shape {thing.shape})"
    return f"{name} ({type(thing).__name__})" if name else type(thing).__name__


def _is_number(text: str) -> bool:
    return text.lstrip("-").replace(".", "", 1).isdigit()


def rates_of(state: State) -> Rates:
    """The learning rates that are state."""
    return [(name, group["lr"], group.rate) for name, one in state.optimizers.items() for group in one.param_groups]


def check_changes(
    where: str, function: Callable[..., Any], state: State, before: Snapshot, rates: Rates, expected: set[int]
) -> None:
    """Refuse schedulers and unlisted optimizers that took a step, learning rates that were set, and changed tensors.

    Raises:
        RuntimeError: there is one of them; the message has its name.
    """
    for one in before.stepped():
        if not isinstance(one, Optimizer):
            raise RuntimeError(
                f"{where}: {type(one).__name__}.step() was called inside, and the learning rate would stand still; "
                "call it after the compiled function: the new rate is taken without another trace"
            )
        if not any(one is other for other in state.optimizers.values()):
            raise RuntimeError(
                f"{where}: {_called(one, function)} took a step inside but is not in state, so its state would be "
                "frozen; list it: lucid.compile(function, state=[..., optimizer])"
            )
    for (name, was, rate), (_, now, tensor) in zip(rates, rates_of(state), strict=False):
        if tensor is not rate or (isinstance(was, float) and now != was):
            raise RuntimeError(
                f"{where}: the learning rate of {name} was set inside, from {was} to {now}, and would stand still; "
                "set it after the compiled function: the new rate is taken without another trace"
            )
    for tensor, what in before.changed(expected):
        raise RuntimeError(
            f"{where}: the {what} of {_called(tensor, function)} was changed inside but is not in state, so it would "
            "be frozen; list what it belongs to: lucid.compile(function, state=[...]), or return the new value"
        )


def check_kept(where: str, function: Callable[..., Any], before: Snapshot, expected: set[int]) -> None:
    """Refuse tensors that were computed inside and are still held by something.

    Raises:
        RuntimeError: there is one; the message says where it is held.
    """
    for tensor in before.kept(expected):
        raise RuntimeError(
            f"{where}: {_called(tensor, function)} was computed inside and kept, and has no value outside; "
            "return it instead"
        )


def counters(where: str, before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[str]:
    """The Python numbers that the function has changed; the user is warned of each."""
    for name, was in before.items():
        now = after.get(name, was)
        if now != was and _is_number(was) and _is_number(now):
            warnings.warn(
                f"{where}: {name} changed from {was} to {now} inside; the Python of a compiled function runs only when "
                "it is traced, so it will stand still: make it a buffer or a tensor in state, or count outside",
                UserWarning,
                stacklevel=2,
            )
            yield name
