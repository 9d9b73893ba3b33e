"""Negative log-likelihoods of Poisson and of normal distributions."""

import math
from typing import TYPE_CHECKING

import mlx.core as mx

from lucid import _bounds, _checks
from lucid.kernels import float64
from lucid.ops._common import array
from lucid.ops._losses import broadcast_pair, compute_array, loss_op, reduced
from lucid.ops._types import TensorLike
from lucid.tape import op

if TYPE_CHECKING:
    from lucid._tensor import Tensor

__all__ = ["gaussian_nll_loss", "poisson_nll_loss"]


@loss_op
def poisson_nll_loss(
    input: TensorLike, target: TensorLike, log_input: bool = True, full: bool = False,
    size_average: bool | None = None, eps: float = 1e-8, reduce: bool | None = None, reduction: str = "mean",
) -> mx.array:  # fmt: skip
    """``exp(input) - target * input``: the negative log-likelihood of counts ``target`` with log-rates ``input``.

    With ``log_input=False``, ``input`` holds rates: ``input - target * log(input + eps)``.

    Args:
        full: Whether to add Stirling's approximation of ``log(target!)`` for targets above 1.
        eps: Keeps the logarithm of a rate of 0 finite.
    """
    where = "poisson_nll_loss"
    eps = _checks.number(where, "eps", eps)
    x, count, dtype = broadcast_pair(where, input, target)
    if _checks.flag(where, "log_input", log_input):
        loss = float64.exp(x) - count * x
    else:
        loss = x - count * mx.log(x + eps)
    if _checks.flag(where, "full", full):
        large = count > 1
        safe = mx.where(large, count, 2)
        loss = loss + mx.where(large, safe * mx.log(safe) - safe + 0.5 * mx.log(2 * math.pi * safe), 0)
    return reduced(where, loss, reduction, dtype)


def gaussian_nll_loss(
    input: TensorLike, target: TensorLike, var: TensorLike, full: bool = False, eps: float = 1e-6,
    reduction: str = "mean",
) -> "Tensor":  # fmt: skip
    """``0.5 (log(var) + (input - target)² / var)``: the negative log-likelihood of normal distributions.

    Shapes: input and target (N, ...); var a number, the shape of the input, or that shape with a last dimension of
    size 1 or none. Source: Nix and Weigend 1994, doi:10.1109/ICNN.1994.374138.

    Args:
        full: Whether to add the constant ``0.5 log(2 pi)``.
        eps: Smaller variances are replaced by this, with the gradient of the variance itself.

    Raises:
        ValueError: a variance is negative, as far as values are checked, see ``lucid.debug``.
    """
    return _gaussian_nll_loss(input, target, var, full, eps, reduction)


@op(autocast="float32")
def _gaussian_nll_loss(
    input: TensorLike, target: TensorLike, var: TensorLike, full: bool, eps: float, reduction: str
) -> mx.array:
    where = "gaussian_nll_loss"
    eps = _checks.number(where, "eps", eps, 0, above=True)
    x, mean, dtype = broadcast_pair(where, input, target)
    given = array(where, var, "var")
    variance = _variance(where, given, array(where, input).shape).astype(x.dtype)
    if given.ndim:
        dtype = mx.result_type(mx.array(0, dtype), given) if given.dtype == mx.float64 else dtype
    if _bounds.first_value(where, mx.stop_gradient(variance), lambda values: values < 0) is not None:
        raise ValueError(f"{where}: var must not be negative")
    _checks.broadcast_shapes(where, x.shape, mean.shape, variance.shape)
    variance = mx.where(variance < eps, variance + mx.stop_gradient(eps - variance), variance)
    loss = 0.5 * (mx.log(variance) + mx.square(x - mean) / variance)
    if _checks.flag(where, "full", full):
        loss = loss + 0.5 * math.log(2 * math.pi)
    return reduced(where, loss, reduction, dtype)


def _variance(caller: str, var: mx.array, shape: tuple[int, ...]) -> mx.array:
    """``var`` in a shape that broadcasts to the input's."""
    if var.ndim == 0 or var.shape == shape:
        return compute_array(
            caller, var.astype(mx.float32) if not mx.issubdtype(var.dtype, mx.floating) else var, "var"
        )
    var = compute_array(caller, var, "var")
    if shape[:-1] == var.shape:
        return var[..., None]
    is_allowed = len(shape) == var.ndim and all(
        size in (1, wanted) for size, wanted in zip(var.shape, shape, strict=True)
    )
    if not is_allowed:
        raise ValueError(f"{caller}: var must broadcast to the input, {shape}, got shape {var.shape}")
    return var
