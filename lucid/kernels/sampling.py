"""Random numbers of given distributions, from a key."""

import math

import mlx.core as mx
import numpy as np


def normal(shape: tuple[int, ...], dtype: mx.Dtype, key: mx.array) -> mx.array:
    """Samples of the standard normal distribution; in complex64, with the variance 1 in total."""
    if dtype == mx.complex64:
        parts = mx.random.normal((2, *shape), scale=0.5**0.5, key=key)
        return parts[0] + 1j * parts[1]
    if dtype == mx.float64:  # MLX draws up to float32
        return mx.random.normal(shape, key=key).astype(dtype, stream=mx.cpu)
    return mx.random.normal(shape, dtype, key=key)


def uniform(shape: tuple[int, ...], dtype: mx.Dtype, key: mx.array, low: float = 0.0, high: float = 1.0) -> mx.array:
    """Uniform samples from [low, high); in complex64, of both parts."""
    if dtype == mx.complex64:
        parts = mx.random.uniform(low, high, (2, *shape), key=key)
        return parts[0] + 1j * parts[1]
    if dtype == mx.float64:
        return mx.random.uniform(low, high, shape, key=key).astype(dtype, stream=mx.cpu)
    return mx.random.uniform(low, high, shape, dtype, key=key)


def below(count: int, shape: tuple[int, ...], key: mx.array) -> mx.array:
    """Uniform random integers (int64) from [0, count)."""
    if count <= 2**24:  # beyond, MLX would skip integers, because it rounds float32 numbers
        return mx.random.randint(0, count, shape, key=key).astype(mx.int64)
    words = mx.random.randint(0, 2**16, (4, *shape), key=key).astype(mx.uint64)
    bits = words[0] + words[1] * 2**16 + words[2] * 2**32 + words[3] * mx.array(2**48, mx.uint64)
    return (bits % mx.array(np.uint64(count)) if count < 2**64 else bits).astype(mx.int64)


def _above_zero(shape: tuple[int, ...], key: mx.array) -> mx.array:
    """Uniform samples from (0, 1], whose logarithm is finite."""
    return 1 - mx.random.uniform(shape=shape, key=key)


def exponential(shape: tuple[int, ...], rate: float, key: mx.array) -> mx.array:
    """Samples of the exponential distribution, by inversion."""
    return -mx.log(_above_zero(shape, key)) / rate


def cauchy(shape: tuple[int, ...], median: float, sigma: float, key: mx.array) -> mx.array:
    """Samples of the Cauchy distribution, by inversion."""
    return median + sigma * mx.tan(math.pi * (mx.random.uniform(shape=shape, key=key) - 0.5))


def geometric(shape: tuple[int, ...], p: float, key: mx.array) -> mx.array:
    """How many trials of probability ``p`` the first success takes, from 1 on, by inversion."""
    if p == 1:
        return mx.ones(shape)
    return mx.maximum(mx.ceil(mx.log(_above_zero(shape, key)) / math.log1p(-p)), 1)
