"""Loading a state dict: everything is checked before anything changes."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Set
from typing import Any, NamedTuple

import mlx.core as mx

from lucid import _checks
from lucid._tensor import Tensor
from lucid._tensor_convert import as_array
from lucid.nn.parameter import is_lazy


class IncompatibleKeys(NamedTuple):
    """Names that are missing from the state dict, and names that the module does not have."""

    missing_keys: list[str]
    unexpected_keys: list[str]


def positional_state_dict_arguments(
    given: tuple[Any, ...], destination: Any, prefix: str, keep_vars: bool
) -> tuple[Any, str, bool]:
    """The arguments of ``state_dict`` in the order that PyTorch deprecates, with its warning.

    Raises:
        TypeError: there are more than three.
    """
    if len(given) > 3:
        raise TypeError(f"state_dict: expected at most 3 positional arguments, got {len(given)}")
    warnings.warn(
        "state_dict: positional arguments are deprecated; pass destination, prefix and keep_vars by name",
        FutureWarning,
        stacklevel=_checks.level_of_user(),
    )
    rest = (destination, prefix, keep_vars)[len(given) :]
    found = (*given, *rest)
    return found[0], found[1], found[2]


def plan_loading(
    caller: str, own: Mapping[str, Tensor], given: Mapping[str, Any], strict: bool, optional: Set[str]
) -> tuple[list[tuple[Tensor, mx.array, Any]], IncompatibleKeys]:
    """The array to load into each tensor, with the value it comes from, and the names that do not match.

    Those in ``optional`` are never missing.

    Raises:
        RuntimeError: names or shapes do not match; the message lists all of them.
        TypeError: ``given`` is not a mapping, or one of its values is not an array.
    """
    if not isinstance(given, Mapping):
        raise TypeError(f"load_state_dict: expected a mapping of names to tensors, got {type(given).__name__}")
    missing = [name for name in own if name not in given and name not in optional]
    keys = IncompatibleKeys(missing, [name for name in given if name not in own])
    plan, misshaped = [], []
    for name, tensor in own.items():
        if name not in given or (is_lazy(tensor) and is_lazy(given[name])):
            continue
        try:
            array = as_array(given[name])
        except (TypeError, ValueError) as error:
            raise TypeError(f"load_state_dict: the value of {name!r} is not an array: {error}") from None
        if not is_lazy(tensor) and array.shape != tensor.shape:
            misshaped.append(f"{name} has shape {array.shape}, the module expects {tensor.shape}")
        else:
            plan.append((tensor, array, given[name]))
    faults = [f"wrong shape: {one}" for one in misshaped]
    if strict:
        faults += [f"missing: {one}" for one in keys.missing_keys]
        faults += [f"unexpected: {one}" for one in keys.unexpected_keys]
    if faults:
        counts = (
            f"{len(keys.missing_keys)} missing, {len(keys.unexpected_keys)} unexpected, {len(misshaped)} of wrong shape"
        )
        hint = "" if misshaped else "; strict=False loads what matches"
        raise RuntimeError(
            f"load_state_dict: the state dict does not match {caller} ({counts}{hint}), nothing was loaded:\n  "
            + "\n  ".join(faults)
        )
    return plan, keys
