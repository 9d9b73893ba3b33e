"""Initialization of parameters, under PyTorch's names. Each function fills the tensor in place and returns it.

Random values use ``lucid.random``'s key, so ``lucid.manual_seed`` makes the initialization reproducible.
"""

import math
from typing import Any

import mlx.core as mx
import numpy as np

from lucid import _checks, _grad_mode, random, tape
from lucid._tensor import Tensor

_GAINS = {
    "linear": 1.0, "conv1d": 1.0, "conv2d": 1.0, "conv_transpose1d": 1.0, "conv_transpose2d": 1.0, "sigmoid": 1.0,
    "tanh": 5.0 / 3, "relu": math.sqrt(2.0), "selu": 3.0 / 4,
}  # fmt: skip


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor that compensates for how a nonlinearity changes the standard deviation.

    Args:
        param: The negative slope of "leaky_relu", by default 0.01.
    """
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else _checks.number("calculate_gain", "param", param)
        return math.sqrt(2.0 / (1 + slope**2))
    _checks.one_of("calculate_gain", "nonlinearity", nonlinearity, (*_GAINS, "leaky_relu"))
    return _GAINS[nonlinearity]


def _fill(caller: str, tensor: Tensor, array: mx.array) -> Tensor:
    value = tape.wrap(mx.broadcast_to(array, tensor.shape).astype(tensor.dtype))
    with _grad_mode.set_recording(False):
        return tensor._become(value, caller, lazy=True)


def _checked(caller: str, tensor: Any) -> Tensor:
    if not isinstance(tensor, Tensor):
        raise TypeError(f"{caller}: tensor must be a Tensor, got {type(tensor).__name__}")
    return tensor


def constant_(tensor: Tensor, val: float) -> Tensor:
    """Fill ``tensor`` with ``val``."""
    value = _checks.number("constant_", "val", val)
    return _fill("constant_", _checked("constant_", tensor), mx.array(value))


def zeros_(tensor: Tensor) -> Tensor:
    """Fill ``tensor`` with zeros."""
    return constant_(tensor, 0.0)


def ones_(tensor: Tensor) -> Tensor:
    """Fill ``tensor`` with ones."""
    return constant_(tensor, 1.0)


def eye_(tensor: Tensor) -> Tensor:
    """Fill a matrix with the identity."""
    _checks.rank("eye_", "tensor", _checked("eye_", tensor).shape, 2)
    return _fill("eye_", tensor, mx.eye(tensor.shape[0], tensor.shape[1]))


def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """Fill a convolution weight (O, I / groups, ...) with the Dirac delta, so that it preserves its input channels."""
    _checks.rank("dirac_", "tensor", _checked("dirac_", tensor).shape, (3, 4, 5))
    groups = _checks.integer("dirac_", "groups", groups, 1)
    filters = _checks.divisible("dirac_", "filters", tensor.shape[0], "groups", groups) // groups
    value = np.zeros(tensor.shape, np.float32)
    middle = tuple(size // 2 for size in tensor.shape[2:])
    for i in range(min(filters, tensor.shape[1])):
        for group in range(groups):
            value[group * filters + i, i][middle] = 1
    return _fill("dirac_", tensor, mx.array(value))


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: random.Generator | None = None) -> Tensor:
    """Fill ``tensor`` with uniform samples from [a, b)."""
    a, b = _checks.number("uniform_", "a", a), _checks.number("uniform_", "b", b)
    if not a <= b:
        raise _checks.ArgumentError(f"uniform_: a must not exceed b, got {a:g} and {b:g}")
    return _fill(
        "uniform_",
        _checked("uniform_", tensor),
        mx.random.uniform(a, b, tensor.shape, key=random.key(generator, "uniform_")),
    )


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: random.Generator | None = None) -> Tensor:
    """Fill ``tensor`` with samples of a normal distribution."""
    mean, std = _checks.number("normal_", "mean", mean), _checks.number("normal_", "std", std, 0)
    shape = _checked("normal_", tensor).shape
    return _fill("normal_", tensor, mx.random.normal(shape, loc=mean, scale=std, key=random.key(generator, "normal_")))


def trunc_normal_(
    tensor: Tensor, mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0,
    generator: random.Generator | None = None,
) -> Tensor:  # fmt: skip
    """Fill ``tensor`` with samples of a normal distribution truncated to [a, b] (values, not multiples of std).

    Example:
        >>> weight = nn.init.trunc_normal_(nn.Parameter(lucid.empty(8, 4)), std=0.02)
        >>> weight.abs().max().item() < 2
        True
    """
    shape = _checked("trunc_normal_", tensor).shape
    mean, a, b = (_checks.number("trunc_normal_", *one) for one in (("mean", mean), ("a", a), ("b", b)))
    if not a < b:
        raise ValueError(f"trunc_normal_: a must be less than b, got {a} and {b}")
    std = _checks.number("trunc_normal_", "std", std, 0, above=True)
    low, high = (a - mean) / std, (b - mean) / std
    drawn = mx.random.truncated_normal(low, high, shape, key=random.key(generator, "trunc_normal_"))
    return _fill("trunc_normal_", tensor, mx.clip(drawn * std + mean, a, b))


def _fans(caller: str, tensor: Tensor) -> tuple[int, int]:
    shape = _checked(caller, tensor).shape
    if len(shape) < 2:
        raise ValueError(
            f"{caller}: tensor must have at least 2 dimensions to have a fan in and fan out, got shape {shape}"
        )
    field = math.prod(shape[2:])
    return shape[1] * field, shape[0] * field


def xavier_uniform_(tensor: Tensor, gain: float = 1.0, generator: random.Generator | None = None) -> Tensor:
    """Fill ``tensor`` with uniform samples of variance gain² 2 / (fan_in + fan_out). Source: Glorot and Bengio 2010."""
    gain = _checks.number("xavier_uniform_", "gain", gain)
    bound = gain * math.sqrt(6.0 / max(sum(_fans("xavier_uniform_", tensor)), 1))
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: random.Generator | None = None) -> Tensor:
    """Fill ``tensor`` with normal samples of variance gain² 2 / (fan_in + fan_out). Source: Glorot and Bengio 2010."""
    gain = _checks.number("xavier_normal_", "gain", gain)
    return normal_(tensor, 0.0, gain * math.sqrt(2.0 / max(sum(_fans("xavier_normal_", tensor)), 1)), generator)


def kaiming_uniform_(
    tensor: Tensor, a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu",
    generator: random.Generator | None = None,
) -> Tensor:  # fmt: skip
    """Fill ``tensor`` with uniform samples of variance gain² / fan.

    ``a`` is the negative slope of "leaky_relu". Source: He et al. 2015, arXiv:1502.01852.
    """
    bound = math.sqrt(3.0) * _kaiming_std("kaiming_uniform_", tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Tensor, a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu",
    generator: random.Generator | None = None,
) -> Tensor:  # fmt: skip
    """Fill ``tensor`` with normal samples of variance gain² / fan.

    ``a`` is the negative slope of "leaky_relu". Source: He et al. 2015, arXiv:1502.01852.

    Example:
        >>> conv = nn.Conv2d(3, 64, 7)
        >>> weight = nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    """
    return normal_(tensor, 0.0, _kaiming_std("kaiming_normal_", tensor, a, mode, nonlinearity), generator)


def _kaiming_std(caller: str, tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    _checks.one_of(caller, "mode", mode, ("fan_in", "fan_out"))
    fan = _fans(caller, tensor)[0 if mode == "fan_in" else 1]
    return calculate_gain(nonlinearity, a) / math.sqrt(max(fan, 1))


def orthogonal_(tensor: Tensor, gain: float = 1.0, generator: random.Generator | None = None) -> Tensor:
    """Fill ``tensor``, as a matrix (first dimension, all others), with a random orthogonal matrix.

    Source: Saxe et al. 2013, arXiv:1312.6120.
    """
    shape = _checked("orthogonal_", tensor).shape
    gain = _checks.number("orthogonal_", "gain", gain)
    if len(shape) < 2:
        raise ValueError(f"orthogonal_: tensor must have at least 2 dimensions, got shape {shape}")
    rows, columns = shape[0], math.prod(shape[1:])
    drawn = mx.random.normal((max(rows, columns), min(rows, columns)), key=random.key(generator, "orthogonal_"))
    q, r = mx.linalg.qr(drawn, stream=mx.cpu)
    q = q * mx.sign(mx.diag(r))  # makes the distribution uniform over orthogonal matrices
    return _fill("orthogonal_", tensor, gain * (q.T if rows < columns else q).reshape(shape))


# The names of PyTorch's private helpers, which public programs call.
def _calculate_fan_in_and_fan_out(tensor: Tensor) -> tuple[int, int]:
    return _fans("_calculate_fan_in_and_fan_out", tensor)


def _calculate_correct_fan(tensor: Tensor, mode: str) -> int:
    mode = _checks.one_of("_calculate_correct_fan", "mode", mode.lower(), ("fan_in", "fan_out"))
    return _fans("_calculate_correct_fan", tensor)[mode == "fan_out"]


_no_grad_uniform_ = uniform_
_no_grad_normal_ = normal_
_no_grad_trunc_normal_ = trunc_normal_


def _no_grad_fill_(tensor: Tensor, val: float) -> Tensor:
    return constant_(tensor, val)


def _no_grad_zero_(tensor: Tensor) -> Tensor:
    return zeros_(tensor)
