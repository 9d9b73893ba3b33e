"""How each part of a training run saves and loads its state; loading is all or nothing."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

from lucid.checkpoint.folder import CheckpointError, check_part_name
from lucid.serialization.tree import Tensors, pack

# Second: lucid.random and numpy.random. Third: Python's random.
_PROTOCOLS = (("state_dict", "load_state_dict"), ("get_state", "set_state"), ("getstate", "setstate"))


def _state_methods(part: Any) -> tuple[Callable[[], Any], Callable[[Any], Any]] | None:
    """The methods that save and load the state of a part; None for a plain value."""
    for names in _PROTOCOLS:
        save, load = (getattr(part, name, None) for name in names)
        if callable(save) and callable(load):
            return save, load
    return None


def check_parts(caller: str, parts: Any) -> Mapping[str, Any]:
    """Return ``parts`` if it is a dictionary whose keys are valid file names."""
    if not isinstance(parts, Mapping) or not parts:
        raise TypeError(f'{caller}: state must be a dictionary such as {{"model": model}}, got {parts!r:.60}')
    for name in parts:
        check_part_name(caller, name)
    return parts


def pack_parts(caller: str, parts: Mapping[str, Any]) -> dict[str, tuple[Any, Tensors]]:
    """The state of each part as JSON and tensors.

    Raises:
        TypeError: a part holds an object that cannot be saved.
    """
    packed = {}
    for name, part in parts.items():
        access = _state_methods(part)
        packed[name] = pack(part if access is None else access[0](), f"{caller}: {name!r}")
    return packed


def load_parts(caller: str, parts: Mapping[str, Any], saved: Mapping[str, Any], strict: bool) -> dict[str, Any]:
    """Load each part's saved state; plain values are returned by name.

    Raises:
        CheckpointError: a name is missing on either side (with ``strict``), or a part rejects its state. All parts are
            left unchanged.
    """
    missing = [name for name in parts if name not in saved]
    unexpected = [name for name in saved if name not in parts]
    if strict and (missing or unexpected):
        faults = [f"missing in the checkpoint: {name}" for name in missing]
        faults += [f"not requested: {name}" for name in unexpected]
        raise CheckpointError(
            f"{caller}: parts do not match, nothing was loaded; strict=False loads the common parts:\n  "
            + "\n  ".join(faults)
        )
    shared = [name for name in parts if name in saved]
    undo: list[tuple[Callable[[Any], Any], Any]] = []  # with the previous state
    try:
        for name in shared:
            access = _state_methods(parts[name])
            if access is not None:
                save, load = access
                undo.append((load, copy.deepcopy(save())))  # a state that shares its values with the part changes
                load(saved[name])
    except Exception as error:
        for load, previous in undo:
            load(previous)
        raise CheckpointError(f"{caller}: {name!r} does not fit, nothing was loaded: {error}") from error
    return {name: saved[name] for name in shared if _state_methods(parts[name]) is None}
