"""The parts of a training run: how each gives its state and takes it back, all of them or none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lucid.checkpoint.folder import CheckpointError, check_part_name
from lucid.checkpoint.tree import Tensors, pack


def _has(part: Any, *names: str) -> bool:
    return all(callable(getattr(part, name, None)) for name in names)


def _state_of(part: Any) -> Any:
    if _has(part, "state_dict", "load_state_dict"):
        return part.state_dict()
    if _has(part, "get_state", "set_state"):  # lucid.random
        return part.get_state()
    return part


def _load(part: Any, state: Any) -> None:
    if _has(part, "state_dict", "load_state_dict"):
        part.load_state_dict(state)
    else:
        part.set_state(state)


def _is_live(part: Any) -> bool:
    return _has(part, "state_dict", "load_state_dict") or _has(part, "get_state", "set_state")


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
    return {name: pack(_state_of(part), f"{where}: {name!r}") for name, part in parts.items()}


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
    shared = {name: part for name, part in parts.items() if name in saved}
    live = {name: part for name, part in shared.items() if _is_live(part)}
    before = {name: _state_of(part) for name, part in live.items()}
    touched = []
    try:
        for name, part in live.items():
            touched.append(name)
            _load(part, saved[name])
    except Exception as error:
        for one in touched:
            _load(parts[one], before[one])
        raise CheckpointError(f"{where}: {name!r} does not fit, nothing was loaded: {error}") from error
    return {name: saved[name] for name in shared if name not in live}
