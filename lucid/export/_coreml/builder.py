"""What the lowerings share: values of the program with their layout, constants, and refusals.

Lucid's images travel channels-last, those of Core ML channels-first, and the Neural Engine is fast with the latter
only. No transpose is written for that. A tensor (N, H, W, C) is kept as a variable (N, C, H, W) with the *order* (0, 2,
3, 1): tensor dimension ``i`` is dimension ``order[i]`` of the variable. ``permute`` changes the order alone. An
operation that works on single elements keeps it, a reduction translates its dimensions, a convolution asks for the
order that it needs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, NoReturn

import mlx.core as mx
import numpy as np

from lucid import _deferred
from lucid.export._errors import ExportError
from lucid.export._graph import Constant, Filled, Node, Size, Value, sizes_in

_INTEGERS = (mx.int8, mx.int16, mx.int32, mx.int64, mx.uint8, mx.uint16, mx.uint32, mx.uint64)

Order = tuple[int, ...]


class Lowered(NamedTuple):
    """A tensor of the graph as a variable of the program, and where its dimensions are."""

    var: Any
    order: Order


Lowering = Callable[..., "Lowered | list[Lowered | None]"]


def kind_of(dtype: mx.Dtype) -> str:
    """The type of Core ML's variables for a dtype: "bool", "int32" or "fp32"."""
    return "bool" if dtype == mx.bool_ else "int32" if dtype in _INTEGERS else "fp32"


def inverse(order: Sequence[int]) -> Order:
    return tuple(sorted(range(len(order)), key=lambda i: order[i]))


class Builder:
    """Writes operations of MIL for the nodes of a graph.

    Attributes:
        mb: coremltools' builder.
        node: The node that is being lowered.
    """

    def __init__(self, mb: Any) -> None:
        self.mb = mb
        self.node: Node | None = None
        self._lowered: dict[int, Lowered] = {}
        self._names: dict[str, int] = {}

    # Values ----------------------------------------------------------------------------------------------------------

    def know(self, value: Value, lowered: Lowered) -> None:
        self._lowered[id(value)] = lowered

    def lowered(self, value: Value) -> Lowered:
        """The variable of a tensor; a constant becomes one."""
        if isinstance(value, Constant):
            array = self.array(value)
            return Lowered(self.emit("const", val=array), tuple(range(array.ndim)))
        return self._lowered[id(value)]

    def arranged(self, value: Value, order: Sequence[int]) -> Any:
        """The variable of a tensor whose dimension ``i`` is its dimension ``order[i]``."""
        found = self.lowered(value)
        return self.moved(found, order)

    def moved(self, lowered: Lowered, order: Sequence[int]) -> Any:
        if tuple(order) == lowered.order:
            return lowered.var
        perm = [lowered.order[i] for i in inverse(order)]
        return self.emit("transpose", x=lowered.var, perm=perm)

    def straight(self, value: Value) -> Any:
        """The variable of a tensor with its dimensions in their own order."""
        return self.arranged(value, range(value.ndim))

    def array(self, value: Any, what: str = "a tensor") -> np.ndarray:
        """The value of a constant: float32, int32 or bool.

        Raises:
            ExportError: it is not a constant.
        """
        if isinstance(value, Filled):
            self.refuse(f"{what} has a shape that depends on the size of the input; export a fixed size")
        if not isinstance(value, Constant):
            self.refuse(f"{what} must be a constant, and it is computed from the input")
        kind = kind_of(value.dtype)
        dtype = {"bool": mx.bool_, "int32": mx.int64, "fp32": mx.float32}[kind]
        found = _deferred.to_numpy(value.array.astype(dtype))
        if kind == "int32":
            limits = np.iinfo(np.int32)
            return np.clip(found, limits.min, limits.max).astype(np.int32)
        return np.ascontiguousarray(found).reshape(found.shape)

    def aligned(self, *arguments: Any, keep: Sequence[int] = (), logical: bool = False) -> tuple[list[Any], Order]:
        """Tensors and numbers ready for an operation on single elements, and the order of its result.

        All get one rank and one order. If one is a floating-point number, all become such, but those at the positions
        ``keep``; with ``logical`` all become bool.
        """
        tensors = [one for one in arguments if isinstance(one, Value)]
        rank = max(one.ndim for one in tensors)
        leaders = [one for one in tensors if one.ndim == rank and not isinstance(one, Constant)]
        if leaders:
            leader = max(leaders, key=lambda one: int(np.prod(one.example)))
            order = self.lowered(leader).order
        else:
            order = tuple(range(rank))
        judged = [one for i, one in enumerate(arguments) if i not in keep]
        kind = "bool" if logical else self._common_kind(judged)
        return [self._aligned(one, rank, order, None if i in keep else kind) for i, one in enumerate(arguments)], order

    def _common_kind(self, arguments: Sequence[Any]) -> str:
        kinds = [
            kind_of(one.dtype) if isinstance(one, Value) else "fp32" if isinstance(one, float) else "int32"
            for one in arguments
        ]
        return "fp32" if "fp32" in kinds else "int32"

    def _aligned(self, value: Any, rank: int, order: Order, kind: str | None) -> Any:
        if not isinstance(value, Value):
            self.fixed(value)
            return {"fp32": np.float32, "int32": np.int32, "bool": np.bool_}[kind or "fp32"](value)
        if isinstance(value, Constant):
            array = self.array(value)
            if kind is not None:
                array = array.astype({"fp32": np.float32, "int32": np.int32, "bool": np.bool_}[kind])
            if array.size == 1:
                return array.reshape(())[()]
            return array.reshape((1,) * (rank - array.ndim) + array.shape).transpose(inverse(order))
        if value.ndim < rank:
            var = self.emit("expand_dims", x=self.straight(value), axes=list(range(rank - value.ndim)))
            var = self.moved(Lowered(var, tuple(range(rank))), order)
        else:
            var = self.arranged(value, order)
        return var if kind is None else self.cast(var, kind_of(value.dtype), kind)

    def cast(self, var: Any, have: str, want: str) -> Any:
        return var if have == want else self.emit("cast", x=var, dtype=want)

    # Dimensions and sizes --------------------------------------------------------------------------------------------

    def axes(self, value: Value, dim: Any) -> list[int]:
        """The dimensions ``dim`` of a tensor in its variable; None and () mean all."""
        order = self.lowered(value).order
        given = range(value.ndim) if dim is None else dim if isinstance(dim, list | tuple | range) else [dim]
        found = [order[int(one) % max(value.ndim, 1)] for one in given] if value.ndim else []
        return sorted(found) if found else list(range(value.ndim))

    def axis(self, value: Value, dim: int) -> int:
        return self.lowered(value).order[dim % value.ndim]

    def without(self, value: Value, axes: Sequence[int]) -> Order:
        """The order of a tensor after its variable has lost the dimensions ``axes``."""
        left = [place for place in self.lowered(value).order if place not in axes]
        return inverse(inverse(left))

    def fixed(self, argument: Any, what: str = "an argument") -> Any:
        """``argument``, which holds no size that varies.

        Raises:
            ExportError: it does.
        """
        if any(True for _ in sizes_in(argument)):
            self.refuse(f"{what} depends on the size of the input; export a fixed size")
        return argument

    def fixed_shape(self, value: Value, dims: Sequence[int]) -> tuple[int, ...]:
        """Sizes of a tensor that must not vary."""
        found = tuple(value.shape[dim] for dim in dims)
        if any(isinstance(one, Size) for one in found):
            self.refuse("it needs the size of the image; export a fixed size")
        return found  # type: ignore[return-value]

    # Writing ---------------------------------------------------------------------------------------------------------

    def emit(self, operation: str, **arguments: Any) -> Any:
        """Write an operation of MIL; arguments that are None are left out."""
        given = {
            key: np.ascontiguousarray(one) if isinstance(one, np.ndarray) and one.ndim else one
            for key, one in arguments.items()
            if one is not None
        }
        return getattr(self.mb, operation)(name=self._name(operation), **given)

    def _name(self, operation: str) -> str:
        """A unique name, such as "stages_0_1_dwconv_conv"."""
        module = self.node.module if self.node is not None else ""
        base = re.sub(r"\W+", "_", f"{module}_{operation}" if module else operation)
        base = base if base[:1].isalpha() or base[:1] == "_" else f"_{base}"
        count = self._names[base] = self._names.get(base, -1) + 1
        return base if not count else f"{base}_{count}"

    def refuse(self, why: str) -> NoReturn:
        raise ExportError(f"{self.node} cannot be exported to Core ML: {why}")
