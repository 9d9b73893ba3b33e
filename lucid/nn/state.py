"""Loading a state dict: everything is compared before anything changes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import mlx.core as mx

from lucid._tensor import Tensor
from lucid._tensor_convert import as_array


class IncompatibleKeys(NamedTuple):
    """Names that the state dict lacks, and names that the module does not know."""

    missing_keys: list[str]
    unexpected_keys: list[str]


def plan_loading(
    where: str, own: Mapping[str, Tensor], given: Mapping[str, Any], strict: bool
) -> tuple[list[tuple[Tensor, mx.array]], IncompatibleKeys]:
    """Which tensor gets which array.

    Raises:
        RuntimeError: names or shapes that do not fit; all are listed.
        TypeError: not a mapping, or a value that is no array.
    """
    if not isinstance(given, Mapping):
        raise TypeError(f"load_state_dict: a mapping of names to tensors is needed, got {type(given).__name__}")
    keys = IncompatibleKeys([name for name in own if name not in given], [name for name in given if name not in own])
    plan, misshaped = [], []
    for name, tensor in own.items():
        if name not in given:
            continue
        try:
            array = as_array(given[name])
        except (TypeError, ValueError) as error:
            raise TypeError(f"load_state_dict: the value of {name!r} is no array: {error}") from None
        if array.shape != tensor.shape:
            misshaped.append(f"{name} has shape {array.shape}, the module wants {tensor.shape}")
        else:
            plan.append((tensor, array))
    faults = [f"wrong shape: {one}" for one in misshaped]
    if strict:
        faults += [f"missing: {one}" for one in keys.missing_keys]
        faults += [f"unexpected: {one}" for one in keys.unexpected_keys]
    if faults:
        counts = f"{len(keys.missing_keys)} missing, {len(keys.unexpected_keys)} unexpected, {len(misshaped)} misshaped"
        hint = "" if misshaped else "; strict=False loads what fits"
        raise RuntimeError(
            f"load_state_dict: the state dict does not fit {where} ({counts}{hint}), nothing was loaded:\n  "
            + "\n  ".join(faults)
        )
    return plan, keys
