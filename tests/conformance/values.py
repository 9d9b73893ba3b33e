"""Arguments and results of two libraries in one form that needs neither, and the comparison of results."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

# Relative and absolute tolerance of values, by dtype; other dtypes are compared exactly. The absolute one is at least
# a unit in the last place of the largest value. Gradients get GRADIENT_FACTOR times as much, because their terms
# cancel.
TOLERANCES = {
    "float64": (1e-9, 1e-9),
    "float32": (1e-5, 1e-5),
    "complex64": (1e-5, 1e-5),
    "float16": (4e-3, 2e-3),
    "bfloat16": (3e-2, 1.6e-2),
}
GRADIENT_FACTOR = 10
EPSILON = {"float64": 2**-52, "float32": 2**-23, "complex64": 2**-23, "float16": 2**-10, "bfloat16": 2**-7}


@dataclass(eq=False)
class Array:
    """A tensor. bfloat16 values are held as float32."""

    data: np.ndarray
    dtype: str
    grad: bool = False

    def __repr__(self) -> str:
        values = np.array2string(self.data, threshold=8, precision=4, separator=", ").replace("\n", "")
        shown = values if self.data.size <= 8 else f"{values[:60]}..."
        return f"{self.dtype}{list(self.data.shape)}({shown})"


@dataclass(frozen=True)
class Named:
    """A constant of the library, such as ``torch.float32``: Named("dtype", "float32")."""

    kind: str
    name: str

    def __repr__(self) -> str:
        return self.name


@dataclass
class Outcome:
    """What a call gave: an error (type, message), or outputs with their first and second derivatives.

    ``grads`` and ``second`` hold an array for each argument that requires a gradient, ``None`` if it is unused.
    """

    error: tuple[str, str] | None = None
    structure: str = ""
    outputs: list[Any] = field(default_factory=list)
    grads: list[Array | None] | None = None
    second: list[Array | None] | None = None
    is_random: bool = False
    bases: tuple[str, ...] = ()


@dataclass
class Sample:
    """A call: the operation, its arguments and PyTorch's outcome.

    ``keywords`` are PyTorch's names of the positional arguments of the function, ``method_keywords`` of the method;
    ``None`` where PyTorch has no such form.
    """

    op: str
    args: list[Any]
    kwargs: dict[str, Any]
    outcome: Outcome
    dtype: str = ""
    keywords: list[str] | None = None
    method_keywords: list[str] | None = None
    inplace: Outcome | None = None
    variant: str = ""
    order: int = 0

    def __repr__(self) -> str:
        parts = [repr(one) for one in self.args] + [f"{key}={value!r}" for key, value in self.kwargs.items()]
        return f"({', '.join(parts)})"


@dataclass(frozen=True)
class Difference:
    """One way in which a call is not PyTorch's."""

    op: str
    form: str
    kind: str
    detail: str
    sample: Any

    def __str__(self) -> str:
        return f"{self.form} {self.kind}: {self.detail}  {self.sample!r}"


def tree_map(function: Callable[[Any], Any], value: Any) -> Any:
    """``function`` of every leaf of nested lists, tuples, dicts and slices."""
    if type(value) in (list, tuple):
        return type(value)(tree_map(function, one) for one in value)
    if type(value) is dict:
        return {key: tree_map(function, one) for key, one in value.items()}
    if type(value) is slice:
        return slice(*(tree_map(function, one) for one in (value.start, value.stop, value.step)))
    return function(value)


def arrays_in(value: Any) -> list[Array]:
    """The distinct arrays in nested arguments, in order."""
    found: dict[int, Array] = {}
    tree_map(lambda one: found.setdefault(id(one), one) if isinstance(one, Array) else None, value)
    return list(found.values())


def cotangent(shape: tuple[int, ...], position: int) -> np.ndarray:
    """The same random numbers in [-1, 1] for the same output, in multiples of 1/64 that all dtypes hold."""
    rng = np.random.default_rng([position, *shape])
    return rng.integers(-64, 65, shape) / 64


def unlike(wanted: Array | None, got: Array | None, factor: float = 1) -> str:
    """How the values differ beyond the tolerance; empty if they agree."""
    if wanted is None or got is None:
        given = got if wanted is None else wanted
        is_zero = given is None or not np.any(given.data)
        return "" if is_zero else f"{'PyTorch' if wanted is None else 'Lucid'} has none"
    if wanted.data.shape != got.data.shape:
        return f"shape {got.data.shape}, PyTorch {wanted.data.shape}"
    if wanted.dtype not in TOLERANCES or got.data.dtype.kind not in "fc":
        same = np.equal(wanted.data, got.data) | (_is_nan(wanted.data) & _is_nan(got.data))
    else:
        relative, absolute = TOLERANCES[wanted.dtype]
        with np.errstate(all="ignore"):
            absolute = max(absolute, _last_place(wanted))
            close = np.abs(wanted.data - got.data) <= factor * (absolute + relative * np.abs(wanted.data))
        nan = _is_nan(wanted.data) & _is_nan(got.data)
        same = (close & np.isfinite(wanted.data)) | np.equal(wanted.data, got.data) | nan
    if same.all():
        return ""
    at = tuple(int(i) for i in np.argwhere(~same)[0])
    return f"{int((~same).sum())} of {same.size} values: {got.data[at]} at {list(at)}, PyTorch {wanted.data[at]}"


def _last_place(array: Array) -> float:
    """A unit in the last place of the largest value: sums of numbers of that size cannot be more exact."""
    sizes = np.abs(array.data[np.isfinite(array.data)])
    return float(sizes.max(initial=0)) * EPSILON[array.dtype]


def same_choice(source: Array, wanted: Array, got: Array) -> bool:
    """Whether two arrays of indices pick equal values of ``source`` in some dimension: PyTorch's order of ties is
    its own."""
    for dim in range(source.data.ndim):
        for shape in (wanted.data.shape, (*wanted.data.shape[:dim], 1, *wanted.data.shape[dim:])):
            try:
                a, b = (np.take_along_axis(source.data, one.data.reshape(shape), dim) for one in (wanted, got))
            except (ValueError, IndexError):
                continue
            if np.array_equal(a, b, equal_nan=True):
                return True
    return False


def _is_nan(data: np.ndarray) -> np.ndarray:
    return np.isnan(data) if data.dtype.kind in "fc" else np.zeros(data.shape, bool)
