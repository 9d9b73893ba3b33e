"""The max pooling functions of ``lucid.nn.functional`` that always return the positions of the maxima too."""

import functools
import inspect
from collections.abc import Callable
from typing import Any

from lucid.nn import functional_fractional
from lucid.ops import adaptive_pooling, pooling

__all__ = [
    "adaptive_max_pool1d_with_indices", "adaptive_max_pool2d_with_indices", "adaptive_max_pool3d_with_indices",
    "fractional_max_pool2d_with_indices", "fractional_max_pool3d_with_indices", "max_pool1d_with_indices",
    "max_pool2d_with_indices", "max_pool3d_with_indices",
]  # fmt: skip


def _with_indices(function: Callable[..., Any]) -> Callable[..., Any]:
    """``function`` with ``return_indices=True``, whatever is given."""
    signature = inspect.signature(function)
    position = list(signature.parameters).index("return_indices")

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if len(args) > position:
            args = (*args[:position], True, *args[position + 1 :])
        else:
            kwargs["return_indices"] = True
        return function(*args, **kwargs)

    call.__name__ = call.__qualname__ = f"{function.__name__}_with_indices"
    call.__module__ = __name__
    call.__doc__ = f"``{function.__name__}`` with ``return_indices=True``: the values and their positions."
    return call


adaptive_max_pool1d_with_indices = _with_indices(adaptive_pooling.adaptive_max_pool1d)
adaptive_max_pool2d_with_indices = _with_indices(adaptive_pooling.adaptive_max_pool2d)
adaptive_max_pool3d_with_indices = _with_indices(adaptive_pooling.adaptive_max_pool3d)
fractional_max_pool2d_with_indices = _with_indices(functional_fractional.fractional_max_pool2d)
fractional_max_pool3d_with_indices = _with_indices(functional_fractional.fractional_max_pool3d)
max_pool1d_with_indices = _with_indices(pooling.max_pool1d)
max_pool2d_with_indices = _with_indices(pooling.max_pool2d)
max_pool3d_with_indices = _with_indices(pooling.max_pool3d)
