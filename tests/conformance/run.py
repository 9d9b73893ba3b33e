"""Make the same call with either library, and describe what it gave in a form that needs neither."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from tests.conformance.values import Array, Named, Outcome, arrays_in, cotangent, tree_map

# Where PyTorch's samples name the arguments of a function in another order than the function does.
REARRANGED = {"einsum": (1, 0), "where": (1, 0, 2), "nn.functional.embedding": (1, 0)} | {
    "nn.functional.embedding_bag": (1, 0)
}
ATTRIBUTES = {"T", "H", "mT", "mH"}


class Library:
    """What ``run`` has to know of a library."""

    name: str
    root: Any
    tensor_type: type

    def tensor(self, array: Array) -> Any:
        raise NotImplementedError

    def native(self, value: Any, tensors: dict[int, Any]) -> Any:
        """Nested arguments with the library's own tensors and constants. ``tensors`` holds those by the array's id."""

        def leaf(one: Any) -> Any:
            if isinstance(one, Array):
                if id(one) not in tensors:
                    tensors[id(one)] = self.tensor(one)
                return tensors[id(one)]
            return self.constant(one) if isinstance(one, Named) else one

        return tree_map(leaf, value)

    def array(self, tensor: Any) -> Array:
        raise NotImplementedError

    def constant(self, value: Named) -> Any:
        """The library's own dtype, device or memory format."""
        raise NotImplementedError

    def named(self, value: Any) -> Named | None:
        """The reverse of ``constant``, ``None`` for anything else."""
        raise NotImplementedError

    def grad(self, outputs: Any, inputs: Any, cotangents: Any, create_graph: bool) -> Any:
        raise NotImplementedError


def lookup(root: Any, name: str) -> Any:
    """The attribute with a dotted name, ``None`` if there is none."""
    for part in name.split("."):
        root = getattr(root, part, None)
    return root


def rearranged(name: str, args: list[Any]) -> list[Any]:
    order = REARRANGED.get(name)
    return [args[i] for i in order] + args[len(order) :] if order else args


def called(library: Library, name: str) -> Callable[..., Any]:
    """The function or method of this name; attributes are read."""
    if name in ATTRIBUTES:
        return lambda x: getattr(x, name)
    function = lookup(library.root, name)
    if callable(function):
        return function
    return getattr(library.tensor_type, name, None) or getattr(library.tensor_type, f"{name}_")  # such as cauchy_


def run(library: Library, function: Callable[..., Any], args: list[Any], kwargs: dict[str, Any], order: int) -> Outcome:
    """The outcome of ``function`` with derivatives up to ``order``."""
    return run_with(library, function, args, kwargs, order, [])


def run_with(
    library: Library,
    function: Callable[..., Any],
    args: list[Any],
    kwargs: dict[str, Any],
    order: int,
    leaves: list[Any],
) -> Outcome:
    """``run`` with derivatives with respect to ``leaves`` too, tensors that the function holds."""
    tensors: dict[int, Any] = {}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            native_args, native_kwargs = library.native([args, kwargs], tensors)
            result = function(*native_args, **native_kwargs)
            found = Outcome(structure=_structure(library, result))
            flat = _flat(result)
            found.outputs = [described(library, one) for one in flat]
            if order:
                leaves = [tensors[id(one)] for one in arrays_in([args, kwargs]) if one.grad] + leaves
                _differentiate(library, flat, leaves, order, found)
    except Exception as error:
        return failed(error)
    return found


def failed(error: Exception) -> Outcome:
    lines = str(error).splitlines() or [""]
    bases = tuple(one.__name__ for one in type(error).__mro__)
    return Outcome(error=(type(error).__name__, lines[0]), bases=bases)


def _flat(value: Any) -> list[Any]:
    return [one for part in value for one in _flat(part)] if isinstance(value, tuple | list) else [value]


def _structure(library: Library, value: Any) -> str:
    """ "t" for a tensor, "p" for anything else, "(tt)" for a tuple or list of tensors."""
    if isinstance(value, tuple | list):
        return f"({''.join(_structure(library, one) for one in value)})"
    return "t" if isinstance(value, library.tensor_type) else "p"


def described(library: Library, value: Any) -> Any:
    if isinstance(value, library.tensor_type):
        return library.array(value)
    named = library.named(value)
    return value if named is None else named


def _differentiate(library: Library, flat: list[Any], leaves: list[Any], order: int, found: Outcome) -> None:
    live = [(i, o) for i, o in enumerate(flat) if isinstance(o, library.tensor_type) and o.requires_grad]
    if not live or not leaves:
        found.grads = [None] * len(leaves)
        found.second = [None] * len(leaves) if order > 1 else None
        return
    cotangents = [_like(library, o, i) for i, o in live]
    grads = library.grad([o for _, o in live], leaves, cotangents, order > 1)
    found.grads = [None if g is None else library.array(g) for g in grads]
    if order < 2:
        return
    again = [(i, g) for i, g in enumerate(grads) if g is not None and g.requires_grad]
    found.second = [None] * len(leaves)
    if again:
        directions = [_like(library, g, 100 + i) for i, g in again]
        second = library.grad([g for _, g in again], leaves, directions, False)
        found.second = [None if s is None else library.array(s) for s in second]


def _like(library: Library, tensor: Any, position: int) -> Any:
    described = library.array(tensor)
    data = np.asarray(cotangent(described.data.shape, position), described.data.dtype)
    return library.tensor(Array(data, described.dtype))
