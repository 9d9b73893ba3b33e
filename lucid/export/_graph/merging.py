"""Several recordings of a model, for inputs of different sizes, as one graph."""

from collections.abc import Sequence
from typing import Any

import mlx.core as mx
import numpy as np

from lucid import _deferred
from lucid.export._errors import ExportError
from lucid.export._graph import recording as recordings
from lucid.export._graph.recording import Call, Recording, Ref
from lucid.export._graph.values import Constant, Expanded, Filled, Node, Shape, Size, Value

_Constants = dict[int, Constant]


class DifferentPaths(ExportError):
    """``forward`` computes something else for inputs of another size."""


def live_calls(recording: Recording) -> list[int]:
    """The numbers of the calls that the result depends on, in order."""
    needed: set[int] = set()
    stack = list(_refs(recording.result))
    while stack:
        number = stack.pop().call
        if number >= 0 and number not in needed:
            needed.add(number)
            stack.extend(_refs(tuple(recording.calls[number].arguments.values())))
    return sorted(needed)


def _refs(value: Any) -> list[Ref]:
    if isinstance(value, Ref):
        return [value]
    if isinstance(value, dict):
        value = tuple(value.values())
    if isinstance(value, tuple):
        return [ref for one in value for ref in _refs(one)]
    return []


class Merge:
    """``nodes``, ``inputs`` and ``result`` of the graph that all recordings are one case of, the example first.

    Raises:
        DifferentPaths: the recordings differ in more than sizes.
    """

    def __init__(self, recordings: Sequence[Recording]) -> None:
        self._recordings = recordings
        self._constants: _Constants = {}  # by the id of the example's
        first = recordings[0]
        self.inputs = [
            Value(self._shape([one.inputs[i] for one in recordings]), dtype, None, i)
            for i, dtype in enumerate(first.dtypes)
        ]
        self.nodes: list[Node] = []
        self._values: list[dict[Ref, Value]] = [
            {Ref(-1, i): value for i, value in enumerate(self.inputs)} for _ in recordings
        ]
        lists = [[(number, one.calls[number]) for number in live_calls(one)] for one in recordings]
        for calls in zip(*lists, strict=False):
            self._add(calls)
        if len({len(one) for one in lists}) > 1:
            shortest = min(map(len, lists))
            extra = next(one[shortest][1] for one in lists if len(one) > shortest)
            raise DifferentPaths(f"{extra} runs for some sizes of the inputs only")
        self.result = self._merge([one.result for one in recordings], "the result of forward")

    def _add(self, calls: Sequence[tuple[int, Call]]) -> None:
        example = calls[0][1]
        for _, other in calls:
            if (other.operation, list(other.arguments)) != (example.operation, list(example.arguments)):
                raise DifferentPaths(f"for some sizes of the inputs, {other} runs in place of {example}")
            if other.dtypes != example.dtypes or [len(one) for one in other.shapes] != [
                len(one) for one in example.shapes
            ]:
                raise DifferentPaths(f"the number of dimensions or the dtype of {example} depends on the inputs' sizes")
        node = Node(example.operation, {}, [], example.module, example.line)
        for name in example.arguments:
            node.arguments[name] = self._merge([one.arguments[name] for _, one in calls], f"{example}: {name}")
        for index, dtype in enumerate(example.dtypes):
            value = Value(self._shape([one.shapes[index] for _, one in calls]), dtype, node, index)
            node.outputs.append(value)
            for values, (number, _) in zip(self._values, calls, strict=True):
                values[Ref(number, index)] = value
        self.nodes.append(node)

    @staticmethod
    def _shape(shapes: Sequence[tuple[int, ...]]) -> Shape:
        return tuple(_integer(sizes) for sizes in zip(*shapes, strict=True))

    def _merge(self, found: Sequence[Any], where: str) -> Any:
        """One argument for the same argument in all recordings."""
        example = found[0]
        if len({type(one) for one in found}) > 1:
            raise DifferentPaths(f"{where} depends on the sizes of the inputs: {_shown(found)}")
        if isinstance(example, Ref):
            values = [known[one] for known, one in zip(self._values, found, strict=True)]
            if any(one is not values[0] for one in values):
                raise DifferentPaths(f"{where} is another tensor for some sizes of the inputs")
            return values[0]
        if isinstance(example, recordings.Constant):
            return self._constant(found, where)
        if isinstance(example, dict):
            if any(list(one) != list(example) for one in found):
                raise DifferentPaths(f"{where} has other keys for some sizes of the inputs")
            return {key: self._merge([one[key] for one in found], where) for key in example}
        if isinstance(example, tuple):
            if len({len(one) for one in found}) > 1:
                raise DifferentPaths(f"{where} depends on the sizes of the inputs: {_shown(found)}")
            return tuple(self._merge(one, where) for one in zip(*found, strict=True))
        if isinstance(example, slice):
            parts = [[getattr(one, part) for one in found] for part in ("start", "stop", "step")]
            return slice(*(self._merge(one, where) for one in parts))
        if isinstance(example, int) and not isinstance(example, bool):
            return _integer(found)
        if any(one is not example and one != example and not (one != one and example != example) for one in found):
            raise DifferentPaths(f"{where} depends on the sizes of the inputs: {_shown(found)}")
        return example

    def _constant(self, found: Sequence[recordings.Constant], where: str) -> Constant:
        example = found[0]
        if id(example) in self._constants:
            return self._constants[id(example)]
        arrays, dtype = [one.array for one in found], example.array.dtype
        where = f"{where}{f', made by {example.origin},' if example.origin else ''}"
        if any(one.name != example.name or one.array.dtype != dtype for one in found):
            raise DifferentPaths(f"{where} is another tensor for some sizes of the inputs")
        if all(one is arrays[0] or (one.shape == arrays[0].shape and _equal(one, arrays[0])) for one in arrays):
            constant = Constant(arrays[0].shape, dtype, array=arrays[0], name=example.name)
        else:
            constant = self._varying(arrays, where)
        self._constants[id(example)] = constant
        return constant

    def _varying(self, arrays: list[mx.array], where: str) -> Constant:
        """A constant that differs in shape: repeated, the same value everywhere, or numbers that count up.

        Raises:
            DifferentPaths: it is something else.
        """
        shapes = [one.shape for one in arrays]
        values = [_deferred.to_numpy(one).reshape(-1) for one in arrays]
        if len({len(one) for one in shapes}) == 1 and len(set(shapes)) > 1 and all(one.size for one in values):
            start = values[0][0]
            shape = self._shape(shapes)
            if all((one == start).all() for one in values):
                return Filled(shape, arrays[0].dtype, array=arrays[0], start=start.item())
            longest = max(values, key=len)
            step = longest[1] - start if longest.dtype != np.bool_ else np.int64(0)
            is_line = all(sum(size != 1 for size in one) <= 1 for one in shapes)
            if is_line and all((one == start + step * np.arange(one.size)).all() for one in values):
                return Filled(shape, arrays[0].dtype, array=arrays[0], start=start.item(), step=step.item())
            varying = [dim for dim, size in enumerate(shape) if isinstance(size, Size)]
            first = _deferred.to_numpy(arrays[0])
            base = first[tuple(slice(0, 1) if dim in varying else slice(None) for dim in range(first.ndim))]
            if all(np.array_equal(np.broadcast_to(base, one.shape), _deferred.to_numpy(one)) for one in arrays):
                return Expanded(shape, arrays[0].dtype, array=mx.array(base))
        if len(set(shapes)) == 1:
            raise DifferentPaths(f"{where} is a tensor whose values change from call to call, or with the sizes")
        raise DifferentPaths(
            f"{where} is a tensor whose values depend on the sizes of the inputs; a file can compute arange, and "
            "what expand() makes"
        )


def _integer(found: Sequence[int]) -> Any:
    return found[0] if all(one == found[0] for one in found) else Size(tuple(found))


def _equal(one: mx.array, other: mx.array) -> bool:
    return bool(_deferred.item(mx.array_equal(one, other, equal_nan=one.dtype in (mx.float32, mx.float16))))


def _shown(found: Sequence[Any]) -> str:
    return " or ".join(dict.fromkeys(f"{one!r:.60}" for one in found))


def named_outputs(result: Any) -> dict[str, Any]:
    """The leaves of a result by name, see ``lucid.export._graph``."""
    if not isinstance(result, dict | tuple):
        return {"output": result}

    def visit(value: Any, path: str) -> dict[str, Any]:
        if not isinstance(value, dict | tuple):
            return {path: value}
        items = value.items() if isinstance(value, dict) else enumerate(value)
        found: dict[str, Any] = {}
        for key, one in items:
            found |= visit(one, f"{path}.{key}" if path else str(key))
        return found

    return visit(result, "")


def constants_of(nodes: Sequence[Node], outputs: Sequence[Value]) -> list[Constant]:
    """The constants that a graph uses, each once, in the order of their first use."""
    used = [one for node in nodes for one in node.inputs()] + list(outputs)
    return list(dict.fromkeys(one for one in used if isinstance(one, Constant)))
