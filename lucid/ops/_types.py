"""The type annotation that all operations share."""

from typing import Any, TypeAlias

# What a caller may pass as a tensor: a tensor, an MLX or NumPy array, a number or a list of numbers. The body gets an
# mx.array in place of a tensor. It is Any because one signature serves both sides of ``tape.op``.
TensorLike: TypeAlias = Any
