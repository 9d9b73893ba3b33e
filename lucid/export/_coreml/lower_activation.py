"""Activations."""

from collections.abc import Callable
from typing import Any

import numpy as np

from lucid.export._coreml.builder import Builder, Lowered
from lucid.export._graph import Value


def _plain(operation: str) -> Callable[..., Lowered]:
    def lower(b: Builder, input: Value) -> Lowered:
        x, order = b.lowered(input)
        return Lowered(b.emit(operation, x=x), order)

    return lower


def gelu(b: Builder, input: Value, approximate: str = "none") -> Lowered:
    x, order = b.lowered(input)
    return Lowered(b.emit("gelu", x=x, mode="EXACT" if approximate == "none" else "TANH_APPROXIMATION"), order)


def leaky_relu(b: Builder, input: Value, negative_slope: float = 0.01) -> Lowered:
    x, order = b.lowered(input)
    return Lowered(b.emit("leaky_relu", x=x, alpha=np.float32(negative_slope)), order)


def elu(b: Builder, input: Value, alpha: float = 1.0) -> Lowered:
    x, order = b.lowered(input)
    return Lowered(b.emit("elu", x=x, alpha=np.float32(alpha)), order)


def celu(b: Builder, input: Value, alpha: float = 1.0) -> Lowered:
    x, order = b.lowered(input)
    found = b.emit("elu", x=b.emit("mul", x=x, y=np.float32(1 / alpha)), alpha=np.float32(1))
    return Lowered(b.emit("mul", x=found, y=np.float32(alpha)), order)


def selu(b: Builder, input: Value) -> Lowered:
    """The constants are those of Klambauer et al. 2017, arXiv:1706.02515."""
    x, order = b.lowered(input)
    found = b.emit("elu", x=x, alpha=np.float32(1.6732632423543772))
    return Lowered(b.emit("mul", x=found, y=np.float32(1.0507009873554805)), order)


def prelu(b: Builder, input: Value, weight: Value) -> Lowered:
    """``relu(x) - weight * relu(-x)``, which coremltools turns into one operation where Core ML has it."""
    slopes = b.array(weight, "weight")
    x, order = b.lowered(input)
    if slopes.size == 1:
        return Lowered(b.emit("leaky_relu", x=x, alpha=np.float32(slopes.reshape(()))), order)
    shape = [1] * input.ndim
    shape[b.axis(input, 1)] = -1
    negative = b.emit("relu", x=b.emit("mul", x=x, y=np.float32(-1)))
    scaled = b.emit("mul", x=negative, y=-slopes.reshape(shape))
    return Lowered(b.emit("add", x=b.emit("relu", x=x), y=scaled), order)


def hardshrink(b: Builder, input: Value, lambd: float = 0.5) -> Lowered:
    x, order = b.lowered(input)
    outside = b.emit("greater", x=b.emit("abs", x=x), y=np.float32(lambd))
    return Lowered(b.emit("select", cond=outside, a=x, b=b.emit("mul", x=x, y=np.float32(0))), order)


def softshrink(b: Builder, input: Value, lambd: float = 0.5) -> Lowered:
    x, order = b.lowered(input)
    inside = b.emit("clip", x=x, alpha=np.float32(-lambd), beta=np.float32(lambd))
    return Lowered(b.emit("sub", x=x, y=inside), order)


def tanhshrink(b: Builder, input: Value) -> Lowered:
    x, order = b.lowered(input)
    return Lowered(b.emit("sub", x=x, y=b.emit("tanh", x=x)), order)


def threshold(b: Builder, input: Value, threshold: float, value: float) -> Lowered:
    x, order = b.lowered(input)
    above = b.emit("cast", x=b.emit("greater", x=x, y=np.float32(threshold)), dtype="fp32")
    kept = b.emit("mul", x=x, y=above)
    if not value:
        return Lowered(kept, order)
    other = b.emit("mul", x=b.emit("sub", x=np.float32(1), y=above), y=np.float32(value))
    return Lowered(b.emit("add", x=kept, y=other), order)


def mish(b: Builder, input: Value) -> Lowered:
    x, order = b.lowered(input)
    return Lowered(b.emit("mul", x=x, y=b.emit("tanh", x=b.emit("softplus", x=x))), order)


def softplus(b: Builder, input: Value, beta: float = 1.0, threshold: float = 20.0) -> Lowered:
    """Beyond its threshold PyTorch returns ``input``, which differs by less than float32 can tell."""
    if threshold < 16:
        b.refuse(f"its threshold {threshold}, below which Core ML's softplus is not linear")
    x, order = b.lowered(input)
    if beta == 1:
        return Lowered(b.emit("softplus", x=x), order)
    found = b.emit("softplus", x=b.emit("mul", x=x, y=np.float32(beta)))
    return Lowered(b.emit("mul", x=found, y=np.float32(1 / beta)), order)


def logsigmoid(b: Builder, input: Value) -> Lowered:
    x, order = b.lowered(input)
    found = b.emit("softplus", x=b.emit("mul", x=x, y=np.float32(-1)))
    return Lowered(b.emit("mul", x=found, y=np.float32(-1)), order)


def hardtanh(b: Builder, input: Value, min_val: float = -1.0, max_val: float = 1.0) -> Lowered:
    x, order = b.lowered(input)
    return Lowered(b.emit("clip", x=x, alpha=np.float32(min_val), beta=np.float32(max_val)), order)


def hardsigmoid(b: Builder, input: Value) -> Lowered:
    x, order = b.lowered(input)
    return Lowered(b.emit("sigmoid_hard", x=x, alpha=np.float32(1 / 6), beta=np.float32(0.5)), order)


def hardswish(b: Builder, input: Value) -> Lowered:
    x, order = b.lowered(input)
    gate = b.emit("sigmoid_hard", x=x, alpha=np.float32(1 / 6), beta=np.float32(0.5))
    return Lowered(b.emit("mul", x=x, y=gate), order)


def glu(b: Builder, input: Value, dim: int = -1) -> Lowered:
    x, order = b.lowered(input)
    half, gate = b.emit("split", x=x, num_splits=2, axis=b.axis(input, dim))
    return Lowered(b.emit("mul", x=half, y=b.emit("sigmoid", x=gate)), order)


def _dim(b: Builder, input: Value, dim: int | None) -> int:
    """As PyTorch chooses it."""
    return b.axis(input, (0 if input.ndim in (0, 1, 3) else 1) if dim is None else dim)


def softmax(b: Builder, input: Value, dim: int | None = None) -> Lowered:
    x, order = b.lowered(input)
    return Lowered(b.emit("softmax", x=x, axis=_dim(b, input, dim)), order)


def softmin(b: Builder, input: Value, dim: int | None = None) -> Lowered:
    x, order = b.lowered(input)
    return Lowered(b.emit("softmax", x=b.emit("mul", x=x, y=np.float32(-1)), axis=_dim(b, input, dim)), order)


def log_softmax(b: Builder, input: Value, dim: int | None = None) -> Lowered:
    x, order = b.lowered(input)
    total = b.emit("reduce_log_sum_exp", x=x, axes=[_dim(b, input, dim)], keep_dims=True)
    return Lowered(b.emit("sub", x=x, y=total), order)


LOWERINGS: dict[str, Any] = {
    **{name: _plain(name) for name in ("relu", "relu6", "silu", "softsign")},
    **{
        one.__name__: one
        for one in (
            gelu, leaky_relu, elu, celu, selu, prelu, hardshrink, softshrink, tanhshrink, threshold, mish, softplus,
            logsigmoid, hardtanh, hardsigmoid, hardswish, glu, softmax, softmin, log_softmax,
        )
    },
}  # fmt: skip
