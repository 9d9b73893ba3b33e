"""The parts of a training run: how each gives its state and takes it back, all of them or none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from lucid.checkpoint.folder import CheckpointError, check_part_name
from lucid.checkpoint.tree import Tensors, pack

# The second is that of lucid.random and numpy.random, the third that of Python's random.
_PROTOCOLS = (("state_dict", "load_state_dict"), ("get_state", "set_state"), ("getstate", "setstate"))


def _state_methods(part: Any) -> tuple[Callable[[], Any], Callable[[Any], Any]] | None:
    """What gives the state of a part and what takes it back; None for a plain value."""
    for names in _PROTOCOLS:
        give, take = (getattr(part, name, None) for name in names)
        if callable(give) and callable(take):
            return give, take
    return None


def check_parts(where: str, parts: Any) -> Mapping[str, Any]:
    """``parts`` when it is a dictionary with names that files can have."""
    if not isinstance(parts, Mapping) or not parts:
        raise TypeError(f'{where}: state must be a dictionary such as {{"model": model}}, got {parts!r:.60}')
    for name in parts:
        check_part_name(where, name)
    return parts


def pack_parts(where: str, parts: Mapping[str, Any]) -> dict[str, tuple[Any, Tensors]]:
    """The state of each part as JSON and tensors.

    Raises:
        TypeError: there is something in it that cannot be saved.
    """
    packed = {}
    for name, part in parts.items():
        access = _state_methods(part)
        packed[name] = pack(part if access is None else access[0](), f"{where}: {name!r}")
    return packed


def load_parts(where: str, parts: Mapping[str, Any], saved: Mapping[str, Any], strict: bool) -> dict[str, Any]:
    """Hand each part its saved state; those without a way to take it are returned by name.

    Raises:
        CheckpointError: a name is missing on either side (with ``strict``), or a part refuses its state. All parts are
            as they were before.
    """
    missing = [name for name in parts if name not in saved]
    unexpected = [name for name in saved if name not in parts]
    if strict and (missing or unexpected):
        faults = [f"missing in the checkpoint: {name}" for name in missing]
        faults += [f"not asked for: {name}" for name in unexpected]
        raise CheckpointError(
            f"{where} does not have the parts that were asked for, nothing was loaded; strict=False loads what is on "
            "both sides:\n  " + "\n  ".join(faults)
        )
    shared = [name for name in parts if name in saved]
    takers: list[tuple[Callable[[Any], Any], Any]] = []  # with the state before
    try:
        for name in shared:
            access = _state_methods(parts[name])
            if access is not None:
                give, take = access
                takers.append((take, give()))
                take(saved[name])
    except Exception as error:
        for take, before in takers:
            take(before)
        raise CheckpointError(f"{where}: {name!r} does not fit, nothing was loaded: {error}") from error
    return {name: saved[name] for name in shared if _state_methods(parts[name]) is None}
