"""Window functions under their older names: ``lucid.hann_window`` and its relatives, periodic by default."""

from collections.abc import Callable
from typing import Any

import numpy as np

from lucid import _checks
from lucid._tensor import Tensor
from lucid.signal.windows import bessel, cosines, made, triangle


def _window(
    caller: str, length: Any, periodic: Any, formula: Callable[[np.ndarray, int], np.ndarray], dtype: Any, layout: Any,
    device: Any, requires_grad: bool,
) -> Tensor:  # fmt: skip
    sym = not _checks.flag(caller, "periodic", periodic)
    return made(caller, length, sym, formula, dtype, layout, device, requires_grad, "window_length")


def hann_window(
    window_length: int, periodic: bool = True, *, dtype: Any = None, layout: Any = None, device: Any = None,
    pin_memory: bool = False, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """``lucid.signal.windows.hann``, of which ``window_length`` is the period if ``periodic``.

    Example:
        >>> lucid.hann_window(4).tolist()
        [0.0, 0.5, 1.0, 0.5]
    """
    return _window("hann_window", window_length, periodic, cosines((0.5, 0.5)), dtype, layout, device, requires_grad)


def hamming_window(
    window_length: int, periodic: bool = True, alpha: float = 0.54, beta: float = 0.46, *, dtype: Any = None,
    layout: Any = None, device: Any = None, pin_memory: bool = False, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """``alpha - beta * cos``, of which ``window_length`` is the period if ``periodic``."""
    factors = _checks.number("hamming_window", "alpha", alpha), _checks.number("hamming_window", "beta", beta)
    return _window("hamming_window", window_length, periodic, cosines(factors), dtype, layout, device, requires_grad)


def blackman_window(
    window_length: int, periodic: bool = True, *, dtype: Any = None, layout: Any = None, device: Any = None,
    pin_memory: bool = False, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """``lucid.signal.windows.blackman``, of which ``window_length`` is the period if ``periodic``."""
    formula = cosines((0.42, 0.5, 0.08))
    return _window("blackman_window", window_length, periodic, formula, dtype, layout, device, requires_grad)


def bartlett_window(
    window_length: int, periodic: bool = True, *, dtype: Any = None, layout: Any = None, device: Any = None,
    pin_memory: bool = False, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """``lucid.signal.windows.bartlett``, of which ``window_length`` is the period if ``periodic``."""
    return _window("bartlett_window", window_length, periodic, triangle, dtype, layout, device, requires_grad)


def kaiser_window(
    window_length: int, periodic: bool = True, beta: float = 12.0, *, dtype: Any = None, layout: Any = None,
    device: Any = None, pin_memory: bool = False, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """``lucid.signal.windows.kaiser``, of which ``window_length`` is the period if ``periodic``."""
    formula = bessel(_checks.number("kaiser_window", "beta", beta))
    return _window("kaiser_window", window_length, periodic, formula, dtype, layout, device, requires_grad)
