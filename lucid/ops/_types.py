"""The one annotation that all operations share."""

from typing import Any, TypeAlias

# What a caller may pass where a tensor is wanted: a tensor, an MLX or NumPy array, a list of numbers. Bodies see an
# mx.array in its place. (Any, because one signature serves both sides of ``tape.op``.)
TensorLike: TypeAlias = Any
