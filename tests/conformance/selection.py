"""Which samples to record: each kind of arguments per kind of dtype, by the smallest samples of that kind."""

from __future__ import annotations

import math
from typing import Any

from tests.conformance.values import Array, Named, Outcome, Sample, tree_map

KINDS = {
    "float32": "float", "float64": "double", "float16": "half", "bfloat16": "half", "int32": "integer",
    "int64": "integer", "uint8": "unsigned", "bool": "bool", "complex64": "complex",
}  # fmt: skip
PER_KIND = 2
MOST = 80
LARGEST = 4000  # elements of a sample, inputs and outputs together


def pattern(value: Any) -> Any:
    """What a kind of arguments has in common: the types, and the values of what selects a behaviour."""
    if isinstance(value, Array):
        size = "0-d" if value.data.ndim == 0 else "empty" if value.data.size == 0 else "full"
        return (size, min(value.data.ndim, 1) if value.data.ndim < 4 else 4, value.dtype)
    if isinstance(value, Named):
        return (value.kind, value.name)
    if type(value) in (list, tuple):
        kinds = tuple(dict.fromkeys(pattern(one) for one in value))
        return (type(value).__name__, min(len(value), 2), kinds)
    if type(value) is dict:
        return tuple(sorted((key, pattern(one)) for key, one in value.items()))
    if isinstance(value, bool | str) or value is None or value is ...:
        return value
    if isinstance(value, int):
        return ("int", (value > 0) - (value < 0))
    if isinstance(value, float):
        return ("float", "nan" if math.isnan(value) else math.isinf(value), (value > 0) - (value < 0))
    return type(value).__name__


def size(sample: Any, inputs: bool = False) -> int:
    """The number of elements of all distinct arrays in a sample, or of its inputs."""
    found: dict[int, int] = {}

    def add(one: Any) -> None:
        if isinstance(one, Array):
            found[id(one)] = one.data.size
        elif isinstance(one, Outcome) and not inputs:
            tree_map(add, vars(one))

    tree_map(add, vars(sample))
    return sum(found.values())


class Selection:
    """Collects the smallest samples of each kind."""

    def __init__(self) -> None:
        self.found: dict[Any, list[tuple[int, Any]]] = {}
        self.seen = 0

    def wants(self, sample: Any, key: Any) -> bool:
        """Whether a sample without its outcome may belong to the smallest of its kind. Counts it as seen."""
        self.seen += 1
        known = self.found.get(key, [])
        return len(known) < PER_KIND or size(sample) < known[-1][0]

    def add(self, sample: Any, key: Any) -> None:
        # The sort is stable: of samples of one size, the first stay.
        known = sorted([*self.found.get(key, []), (size(sample, inputs=True), sample)], key=lambda one: one[0])
        self.found[key] = known[:PER_KIND]

    def samples(self) -> list[Any]:
        """What was chosen: of an operation and dtype, at most ``MOST``, evenly among all.

        Of an operation that has large samples alone, it is the smallest of them.
        """
        groups: dict[Any, list[Any]] = {}
        for known in self.found.values():
            for _, one in known:
                if size(one) <= LARGEST:
                    groups.setdefault((one.op, one.dtype), []).append(one)
        chosen = []
        for group in groups.values():
            step = max(1, len(group) / MOST)
            chosen += [group[int(i * step)] for i in range(min(MOST, len(group)))]
        has_small = {one.op for one in chosen}
        large = sorted(self.too_large(), key=size, reverse=True)
        return chosen + list({one.op: one for one in large if one.op not in has_small}.values())

    def too_large(self) -> list[Any]:
        return [one for known in self.found.values() for _, one in known if size(one) > LARGEST]


def kind(sample: Sample) -> Any:
    """The kind of an operation's sample."""
    return (sample.op, sample.variant, KINDS[sample.dtype], pattern(sample.args), pattern(sample.kwargs), sample.order)
