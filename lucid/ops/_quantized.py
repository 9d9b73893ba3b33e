"""The linear map of ``nn.QuantizedLinear``."""

import math

import mlx.core as mx

from lucid import _checks
from lucid.kernels.quantized_matmul import Scheme, check, quantized_matmul
from lucid.ops._common import array
from lucid.ops._types import TensorLike
from lucid.tape import op


@op(autocast="half")
def quantized_linear(
    input: TensorLike, weight: TensorLike, scales: TensorLike, biases: TensorLike, bias: TensorLike,
    bits: int, group_size: int, mode: str,
) -> mx.array:  # fmt: skip
    """``input @ w.T + bias`` for the matrix w (out_features, in_features) that is quantized to the next three.

    Raises:
        ValueError: the shapes or dtypes do not match.
        TypeError: ``input`` is complex.
    """
    where = "QuantizedLinear"
    x, weight, scales = array(where, input), array(where, weight, "weight"), array(where, scales, "scales")
    biases = None if biases is None else array(where, biases, "biases")
    by = Scheme(bits, group_size, mode)
    columns = scales.shape[-1] * group_size if scales.ndim else 0
    check(where, columns, weight, scales, biases, by)
    if not x.shape or x.shape[-1] != columns:
        raise _checks.ArgumentError(
            f"{where}: expected {columns} features in the last dimension of the input, got {x.shape}"
        )
    if x.dtype == mx.complex64:
        raise _checks.DtypeError(f"{where}: the input must be real, got complex64")
    features = weight.shape[0]
    y = quantized_matmul(x.reshape(math.prod(x.shape[:-1]), columns), weight, scales, biases, by)
    y = y.reshape(*x.shape[:-1], features)
    if bias is None:
        return y
    bias = array(where, bias, "bias")
    if bias.shape != (features,):
        raise _checks.ArgumentError(f"{where}: bias must have shape ({features},), got {bias.shape}")
    return y + bias
