"""Conversion between parameters and a vector."""

from collections.abc import Iterable
from typing import Any

import mlx.core as mx

from lucid import tape
from lucid._tensor import Tensor
from lucid.nn.utils.clip_grad import tensor_list


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """The parameters flattened and concatenated into one vector (numel,), differentiably.

    Example:
        >>> nn.utils.parameters_to_vector(nn.Linear(4, 2).parameters()).shape
        (10,)
    """
    flat = [one.reshape(-1) for one in tensor_list("parameters_to_vector", parameters)]
    if not flat:
        raise ValueError("parameters_to_vector: expected at least one parameter")
    return _concatenate(flat)


@tape.op
def _concatenate(parts: list[Any]) -> mx.array:
    return mx.concatenate(parts)


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Set the parameters to the values of ``vec`` (numel,), in order.

    Raises:
        ValueError: the length of ``vec`` is not the number of values of the parameters.
    """
    listed = tensor_list("vector_to_parameters", parameters)
    if not isinstance(vec, Tensor):
        raise TypeError(f"vector_to_parameters: vec must be a Tensor, got {type(vec).__name__}")
    count = sum(one.numel() for one in listed)
    if vec.shape != (count,):
        raise ValueError(f"vector_to_parameters: vec must have shape ({count},), got {vec.shape}")
    start = 0
    for one in listed:
        one._rebind(vec._array[start : start + one.numel()].reshape(one.shape).astype(one.dtype))
        start += one.numel()
