"""Random draws with the probabilities that a tensor holds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import mlx.core as mx
import numpy as np

from lucid import _bounds, _checks, tape
from lucid._checks import dtype_name
from lucid._generator import Generator, key
from lucid._placement import check_placement
from lucid._tensor_convert import as_array
from lucid.ops._types import TensorLike

if TYPE_CHECKING:
    from lucid._tensor import Tensor

Shape = int | Sequence[int]


def bernoulli(
    input: TensorLike, p: float | None = None, size: Shape | None = None, *, generator: Generator | None = None,
    out: None = None,
) -> Tensor:  # fmt: skip
    """Zeros and ones in the shape of ``input``, which holds the probability of each one; ``p`` overrides it.

    ``bernoulli(0.3, size=(2, 3))`` takes a number and a shape.

    Raises:
        ArgumentError: a probability is outside [0, 1], checked where ``lucid.debug`` says.
    """
    check_placement("bernoulli", out=out)
    array = as_array(input)
    if p is not None:
        p = _checks.probability("bernoulli", "p", p)
    elif isinstance(input, int | float):
        _checks.probability("bernoulli", "input", input)
    elif (wrong := _bounds.first_value("bernoulli", array, _outside_probability)) is not None:
        raise _checks.ArgumentError(f"bernoulli: input must be at least 0 and at most 1, got {wrong}")
    dtype = array.dtype if mx.issubdtype(array.dtype, mx.floating) else mx.float32
    shape = array.shape if size is None else _checks.shape("bernoulli", (size,))
    if _checks.broadcast_shapes("bernoulli", shape, array.shape) != shape:
        raise _checks.ArgumentError(f"bernoulli: input of shape {array.shape} cannot be broadcast to size {shape}")
    return tape.wrap(
        mx.random.bernoulli(array.astype(dtype) if p is None else p, shape, key=key(generator, "bernoulli")).astype(
            dtype
        )
    )


def _outside_probability(values: np.ndarray) -> np.ndarray:
    return ~((values >= 0) & (values <= 1))


def _has_no_chance(values: np.ndarray) -> np.ndarray:
    return np.logical_not(np.any(values, -1, keepdims=True))


def multinomial(
    input: TensorLike, num_samples: int, replacement: bool = False, *, generator: Generator | None = None,
    out: None = None,
) -> Tensor:  # fmt: skip
    """Indices sampled with the (unnormalized) probabilities along the last dimension of ``input``.

    Shapes: input (K,) or (N, K); out (num_samples,) or (N, num_samples).

    Raises:
        ArgumentError: without replacement, ``num_samples`` exceeds K; a probability is negative, infinite or NaN, or
            all of a row are 0. The values are checked where ``lucid.debug`` says.
    """
    check_placement("multinomial", out=out)
    array = as_array(input)
    _checks.rank("multinomial", "input", array.shape, (1, 2), "(..., K)")
    if not mx.issubdtype(array.dtype, mx.floating):
        raise _checks.DtypeError(f"multinomial: input must be floating point, got {dtype_name(array.dtype)}")
    _checks.integer("multinomial", "num_samples", num_samples, 1)
    if not array.shape[-1]:
        raise _checks.ArgumentError(f"multinomial: input must not be empty, got shape {array.shape}")
    if not replacement and num_samples > array.shape[-1]:
        raise _checks.ArgumentError(
            f"multinomial: num_samples must be at most {array.shape[-1]} without replacement, got {num_samples}"
        )
    wrong = _bounds.first_value("multinomial", array, lambda values: ~((values >= 0) & np.isfinite(values)))
    if wrong is not None:
        raise _checks.ArgumentError(f"multinomial: input must be finite and at least 0, got {wrong}")
    if _bounds.first_value("multinomial", array, _has_no_chance) is not None:
        raise _checks.ArgumentError("multinomial: input must have a probability above 0 in each row")
    logits = mx.log(array.astype(mx.float32))
    if replacement:
        shape = (*logits.shape[:-1], num_samples)
        return tape.wrap(
            mx.random.categorical(mx.expand_dims(logits, -2), -1, shape, key=key(generator, "multinomial")).astype(
                mx.int64
            )
        )
    noisy = logits + mx.random.gumbel(logits.shape, key=key(generator, "multinomial"))
    return tape.wrap(mx.argsort(-noisy, -1)[..., :num_samples].astype(mx.int64))
