"""The cross entropy of a linear layer's outputs."""

import math
from typing import TYPE_CHECKING, Any

from lucid import _checks
from lucid.ops import affine, loss
from lucid.ops._common import array
from lucid.ops._types import TensorLike
from lucid.tape import unwrap

if TYPE_CHECKING:
    from lucid._tensor import Tensor

__all__ = ["linear_cross_entropy"]


def linear_cross_entropy(
    input: TensorLike, linear_weight: TensorLike, target: TensorLike, *, linear_bias: TensorLike = None,
    weight: TensorLike = None, reduction: str = "mean", ignore_index: int | None = None, label_smoothing: float = 0.0,
    options: None = None,
) -> "Tensor":  # fmt: skip
    """``cross_entropy(linear(input, linear_weight, linear_bias), target)``.

    Shapes: input (N, features) or (features,); linear_weight (C, features), or (C, ..., features) for a loss with more
    dimensions; linear_bias (C, ...); target as for ``cross_entropy``.

    Args:
        weight: The weight of each class (C,).
        ignore_index: Targets with this class index are ignored, -100 by default.
        options: Must be None: PyTorch's computation in chunks is not supported.

    Raises:
        ValueError: the shapes do not match, or ``ignore_index`` is given with probabilities.
    """
    where = "linear_cross_entropy"
    if options is not None:
        raise TypeError(f"{where}: options must be None, got {options!r:.60}")
    x, matrix = array(where, unwrap(input)), array(where, unwrap(linear_weight), "linear_weight")
    labels = array(where, unwrap(target), "target")
    if x.ndim not in (1, 2) or matrix.ndim < 2 or x.shape[-1] != matrix.shape[-1] or (x.ndim == 1 < matrix.ndim - 1):
        raise _checks.ArgumentError(
            f"{where}: input must be (N, features) and linear_weight (C, ..., features), got {x.shape} and "
            f"{matrix.shape}"
        )
    classes = matrix.shape[:-1]
    if linear_bias is not None and array(where, unwrap(linear_bias), "linear_bias").shape != classes:
        raise _checks.ArgumentError(f"{where}: linear_bias must have shape {classes}")
    shape = (*x.shape[:-1], *classes)
    if labels.shape == shape and ignore_index is not None:
        raise _checks.ArgumentError(f"{where}: ignore_index must be None for a target of probabilities")
    rows: Any = linear_weight
    bias: Any = linear_bias
    if len(classes) > 1:
        rows = rows.reshape((math.prod(classes), matrix.shape[-1]))
        bias = bias if bias is None else bias.reshape((math.prod(classes),))
    logits = affine.linear(input, rows, bias).reshape(shape)
    return loss.cross_entropy(
        logits, target, weight, ignore_index=-100 if ignore_index is None else ignore_index, reduction=reduction,
        label_smoothing=label_smoothing,
    )  # fmt: skip
