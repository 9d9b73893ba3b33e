"""Window functions, as in ``torch.signal.windows``.

Each returns ``M`` numbers: symmetric ones for ``sym=True``, else the first M of M + 1, of which the period is M.
"""

from collections.abc import Callable, Sequence
from typing import Any

import mlx.core as mx
import numpy as np

from lucid import _checks
from lucid._placement import check_placement, strided
from lucid._tensor import Tensor
from lucid._tensor_convert import as_array, leaf

__all__ = [
    "bartlett", "blackman", "cosine", "exponential", "gaussian", "general_cosine", "general_hamming", "hamming", "hann",
    "kaiser", "nuttall",
]  # fmt: skip


def made(
    caller: str, M: Any, sym: Any, formula: Callable[[np.ndarray, int], np.ndarray], dtype: Any, layout: Any,
    device: Any, requires_grad: bool, name: str = "M",
) -> Tensor:  # fmt: skip
    """A window from its formula of the positions and their number, in float64."""
    is_new = name == "M"  # in torch.signal, which refuses other layouts and dtypes with a ValueError
    if is_new and layout is not None and layout is not strided:
        raise ValueError(f"{caller}: layout must be lucid.strided, got {layout!r}")
    check_placement(caller, device, layout)
    length = _checks.integer(caller, name, M, 0)
    _checks.representable(caller, (length,))
    wanted = mx.float32 if dtype is None else _checks.dtype(caller, dtype)
    if not mx.issubdtype(wanted, mx.floating):
        raise _checks.ArgumentError(f"{caller}: dtype must be a floating-point dtype, got {_checks.dtype_name(wanted)}")
    if is_new and wanted not in (mx.float32, mx.float64):
        raise ValueError(f"{caller}: dtype must be float32 or float64, got {_checks.dtype_name(wanted)}")
    count = length if _checks.flag(caller, "sym", sym) else length + 1
    values = np.ones(length) if length < 2 else formula(np.arange(length, dtype=np.float64), count)
    return leaf(as_array(values, wanted), requires_grad)


def cosines(factors: Sequence[float]) -> Callable[[np.ndarray, int], np.ndarray]:
    """The sum of cosines with these factors, of alternating sign."""

    def formula(k: np.ndarray, count: int) -> np.ndarray:
        angle = 2 * np.pi * k / (count - 1)
        return np.sum([(-1) ** i * factor * np.cos(i * angle) for i, factor in enumerate(factors)], axis=0)

    return formula


def triangle(k: np.ndarray, count: int) -> np.ndarray:
    return 1 - np.abs(2 * k / (count - 1) - 1)


def bessel(beta: float) -> Callable[[np.ndarray, int], np.ndarray]:
    """Kaiser's window, of Bessel functions."""

    def formula(k: np.ndarray, count: int) -> np.ndarray:
        inside = np.maximum(1 - np.square(2 * k / (count - 1) - 1), 0)
        return np.i0(beta * np.sqrt(inside)) / np.i0(beta)

    return formula


def bartlett(
    M: int, *, sym: bool = True, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """Bartlett's window, a triangle that starts and ends at 0."""
    return made("bartlett", M, sym, triangle, dtype, layout, device, requires_grad)


def blackman(
    M: int, *, sym: bool = True, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """Blackman's window."""
    return made("blackman", M, sym, cosines((0.42, 0.5, 0.08)), dtype, layout, device, requires_grad)


def hann(
    M: int, *, sym: bool = True, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """Hann's window, a period of a cosine that starts and ends at 0.

    Example:
        >>> lucid.signal.windows.hann(3).tolist()
        [0.0, 1.0, 0.0]
    """
    return made("hann", M, sym, cosines((0.5, 0.5)), dtype, layout, device, requires_grad)


def hamming(
    M: int, *, sym: bool = True, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """Hamming's window, a period of a cosine that starts and ends at 0.08."""
    return made("hamming", M, sym, cosines((0.54, 0.46)), dtype, layout, device, requires_grad)


def nuttall(
    M: int, *, sym: bool = True, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """Nuttall's window of four terms with a minimum of 0.0003628."""
    factors = (0.3635819, 0.4891775, 0.1365995, 0.0106411)
    return made("nuttall", M, sym, cosines(factors), dtype, layout, device, requires_grad)


def cosine(
    M: int, *, sym: bool = True, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """Half a period of a sine."""

    def formula(k: np.ndarray, count: int) -> np.ndarray:
        return np.sin(np.pi * (k + 0.5) / count)

    return made("cosine", M, sym, formula, dtype, layout, device, requires_grad)


def exponential(
    M: int, *, center: float | None = None, tau: float = 1.0, sym: bool = True, dtype: Any = None, layout: Any = None,
    device: Any = None, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """``exp(-|k - center| / tau)``; a ``center`` of one's own needs ``sym=False``."""
    tau = _checks.number("exponential", "tau", tau, 0, above=True)
    if center is not None and sym:
        raise _checks.ArgumentError("exponential: center must be None for a symmetric window")

    def formula(k: np.ndarray, count: int) -> np.ndarray:
        middle = (count - 1) / 2 if center is None else _checks.number("exponential", "center", center)
        return np.exp(-np.abs(k - middle) / tau)

    return made("exponential", M, sym, formula, dtype, layout, device, requires_grad)


def gaussian(
    M: int, *, std: float = 1.0, sym: bool = True, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """The bell curve with standard deviation ``std``."""
    std = _checks.number("gaussian", "std", std, 0, above=True)

    def formula(k: np.ndarray, count: int) -> np.ndarray:
        return np.exp(-0.5 * np.square((k - (count - 1) / 2) / std))

    return made("gaussian", M, sym, formula, dtype, layout, device, requires_grad)


def kaiser(
    M: int, *, beta: float = 12.0, sym: bool = True, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """Kaiser's window of shape ``beta``."""
    beta = _checks.number("kaiser", "beta", beta, 0)
    return made("kaiser", M, sym, bessel(beta), dtype, layout, device, requires_grad)


def general_cosine(
    M: int, *, a: Sequence[float], sym: bool = True, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """The sum of cosines of multiples of a period, with the factors ``a`` of alternating sign."""
    if isinstance(a, str | bytes) or not isinstance(a, Sequence):
        raise TypeError(f"general_cosine: a must be a list of numbers, got {a!r:.60}")
    if not a:
        raise _checks.ArgumentError("general_cosine: a must not be empty")
    factors = [_checks.number("general_cosine", "a", one) for one in a]
    return made("general_cosine", M, sym, cosines(factors), dtype, layout, device, requires_grad)


def general_hamming(
    M: int, *, alpha: float = 0.54, sym: bool = True, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """``general_cosine`` with the factors ``alpha`` and ``1 - alpha``."""
    alpha = _checks.number("general_hamming", "alpha", alpha)
    return made("general_hamming", M, sym, cosines((alpha, 1 - alpha)), dtype, layout, device, requires_grad)
