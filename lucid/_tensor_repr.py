"""Print tensors as PyTorch does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import mlx.core as mx
import numpy as np

from lucid._checks import dtype_name, integer, number, one_of

if TYPE_CHECKING:
    from lucid._tensor import Tensor

_SHAPE_IS_SHOWN_FROM = 1000  # elements from which on the values are abbreviated and the shape is printed


def describe(tensor: Tensor, name: str) -> str:
    """``tensor([...], dtype=..., requires_grad=True)`` as PyTorch prints it; large tensors also show their shape."""
    parts = [_values(tensor.numpy(force=True), len(name) + 1)]
    if tensor.numel() >= _SHAPE_IS_SHOWN_FROM or tensor.numel() == 0:
        parts.append(f"shape={tensor.shape}")
    if tensor.dtype not in (mx.float32, mx.int64, mx.bool_):
        parts.append(f"dtype=lucid.{dtype_name(tensor.dtype)}")
    if tensor._node is not None:
        parts.append(f"grad_fn=<{tensor._node.name}>")
    elif tensor._requires_grad:
        parts.append("requires_grad=True")
    return f"{name}({', '.join(parts)})"


class _Options:
    """How numbers are printed, see ``set_printoptions``."""

    precision = 4
    threshold = _SHAPE_IS_SHOWN_FROM
    edgeitems = 3
    linewidth: int | None = None
    sci_mode: bool | None = None


_PROFILES: dict[str, dict[str, Any]] = {
    "default": {"precision": 4, "threshold": _SHAPE_IS_SHOWN_FROM, "edgeitems": 3, "linewidth": None},
    "short": {"precision": 2, "threshold": _SHAPE_IS_SHOWN_FROM, "edgeitems": 2, "linewidth": None},
    "full": {"precision": 4, "threshold": 2**62, "edgeitems": 3, "linewidth": None},
}


def set_printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """Set how tensors are printed.

    Args:
        precision: Digits after the decimal point, 4 by default.
        threshold: The number of elements from which on values are abbreviated, 1000 by default.
        edgeitems: How many values are shown at the beginning and end of each dimension then, 3 by default.
        linewidth: Characters per line, by default NumPy's.
        profile: "default", "short" or "full" sets the others, which take precedence.
        sci_mode: Whether to use scientific notation, by default as the values require.

    Raises:
        ValueError: there is no such profile.
    """
    options = (
        {} if profile is None else dict(_PROFILES[one_of("set_printoptions", "profile", profile, list(_PROFILES))])
    )
    given = {"precision": precision, "edgeitems": edgeitems, "linewidth": linewidth}
    options |= {name: integer("set_printoptions", name, one, 0) for name, one in given.items() if one is not None}
    if threshold is not None:
        options["threshold"] = int(min(number("set_printoptions", "threshold", threshold), 2.0**62))
    for name, one in options.items():
        setattr(_Options, name, one)
    _Options.sci_mode = sci_mode


def _scientific(value: float) -> str:
    return f"{value:.{_Options.precision}e}"


def _values(values: np.ndarray, indent: int) -> str:
    formatter: Any = {"float_kind": _scientific} if _Options.sci_mode and values.dtype.kind == "f" else None
    return np.array2string(
        values,
        precision=_Options.precision,
        suppress_small=_Options.sci_mode is False,
        formatter=formatter,
        separator=", ",
        prefix=" " * indent,
        threshold=_Options.threshold - 1,
        edgeitems=_Options.edgeitems,
        max_line_width=_Options.linewidth,
    )
