"""Products with a quantized matrix: ``x @ w.T`` for a w that is kept in a few bits a value, by ``mx.quantize``.

A row of w is cut into groups of neighbors. "affine" keeps the integers q, ``bits`` each, of ``w = q * scale + bias``
with one scale and one bias a group, 2 ** bits - 1 steps from the smallest value to the largest. "mxfp4", "mxfp8" and
"nvfp4" keep small floating-point numbers and one 8-bit scale a group. The values are packed into uint32, lowest bits
first.

GPUs multiply with ``mx.quantized_matmul``, which reads the packed values. On the CPU that function multiplies row by
row with plain loops, and is used for one or two rows; for more of them w is dequantized and multiplied by BLAS. What is
dequantized lives as long as the product. For 384 inputs and 1536 outputs, 8 bits in groups of 64, that takes

    rows              1     2     4     16     49    196
    loops          0.66  1.28  2.21  11.01  27.56 106.70 ms
    dequantized    1.26  0.90  0.92   1.61   1.45   3.13
    full weights   0.33  0.34  0.33   0.55   0.80   2.60

of one core (Intel Xeon, MLX 0.32.4, OpenBLAS, December 2026).

MLX reads scales without looking at how many there are, so ``check`` looks.
"""

from typing import Any, NamedTuple

import mlx.core as mx

from lucid import _checks, _device
from lucid.kernels.matmul import matmul

# By mode: the bits and the sizes of groups that MLX has, the default of each first.
MODES: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "affine": ((8, 6, 5, 4, 3, 2, 1), (64, 32, 128)),
    "mxfp4": ((4,), (32,)),
    "mxfp8": ((8,), (32,)),
    "nvfp4": ((4,), (16,)),
}
_MAX_ROWS_OF_LOOPS = 2  # on the CPU


class Scheme(NamedTuple):
    """How a matrix is quantized."""

    bits: int
    group_size: int
    mode: str

    def shapes(self, rows: int, columns: int) -> dict[str, tuple[int, int]]:
        """The shapes of what a matrix becomes: "weight", "scales" and, for "affine", "biases"."""
        groups = rows, columns // self.group_size
        found = {"weight": (rows, columns * self.bits // 32), "scales": groups}
        return found | {"biases": groups} if self.mode == "affine" else found


def scheme(caller: str, bits: Any = None, group_size: Any = None, mode: Any = "affine") -> Scheme:
    """The checked scheme; ``None`` is the default of the mode.

    Raises:
        TypeError: ``bits`` or ``group_size`` is not an integer.
        ValueError: MLX has no such scheme.
    """
    _checks.one_of(caller, "mode", mode, tuple(MODES))
    given = []
    for name, value, known in zip(("bits", "group_size"), (bits, group_size), MODES[mode], strict=True):
        number = known[0] if value is None else _checks.integer(caller, name, value)
        if number not in known:
            choices = ", ".join(map(str, sorted(known)))
            raise _checks.ArgumentError(f"{caller}: {name} of mode {mode!r} must be one of {choices}, got {number}")
        given.append(number)
    return Scheme(given[0], given[1], mode)


def check(caller: str, columns: int, weight: mx.array, scales: mx.array, biases: mx.array | None, by: Scheme) -> None:
    """Raise ValueError unless these are the parts of a matrix with that many columns, quantized by a scheme."""
    parts = {"weight": weight, "scales": scales} | ({} if biases is None else {"biases": biases})
    if columns % by.group_size:
        raise _checks.ArgumentError(f"{caller}: group_size {by.group_size} does not divide {columns} columns")
    wanted = by.shapes(weight.shape[0] if weight.ndim else 0, columns)
    if parts.keys() != wanted.keys():
        raise _checks.ArgumentError(f"{caller}: mode {by.mode!r} takes {', '.join(wanted)}, got {', '.join(parts)}")
    for name, part in parts.items():
        if part.shape != wanted[name] or not has_dtype(name, part.dtype, by):
            raise _checks.ArgumentError(
                f"{caller}: {name} must be {dtype_of(name, by)} {wanted[name]} for {by.bits} bits in groups of "
                f"{by.group_size}, got {_checks.dtype_name(part.dtype)} {part.shape}"
            )


def has_dtype(part: str, dtype: mx.Dtype, by: Scheme) -> bool:
    """Whether "weight", "scales" or "biases" of a scheme can have the dtype."""
    if part == "weight":
        return dtype == mx.uint32
    return mx.issubdtype(dtype, mx.floating) if by.mode == "affine" else dtype == mx.uint8


def dtype_of(part: str, by: Scheme) -> str:
    """The name of the dtype that a part has, for messages."""
    return "uint32" if part == "weight" else "floating-point" if by.mode == "affine" else "uint8"


def implementation(rows: int, dtype: mx.Dtype) -> str:
    """The version for a number of rows of x, with a result of this dtype, on the current device.

    - "quantized": ``mx.quantized_matmul``, on GPUs, and for a few rows of float32 on the CPU, where it adds up half
      precision in half precision.
    - "dequantized": a product with the dequantized matrix; also for float64, which MLX's function does not have.
    """
    if _device.backend() == "cpu":
        return "quantized" if rows <= _MAX_ROWS_OF_LOOPS and dtype == mx.float32 else "dequantized"
    return "dequantized" if dtype == mx.float64 else "quantized"


def quantized_matmul(x: mx.array, weight: mx.array, scales: mx.array, biases: mx.array | None, by: Scheme) -> mx.array:
    """``x @ w.T`` of x (M, K) and a quantized w (N, K), differentiable in x any number of times.

    The result has the wider dtype of x and the scales, and that of x if they have none. Integers become float32.
    """
    dtype = x.dtype if mx.issubdtype(x.dtype, mx.floating) else mx.float32
    if by.mode == "affine":
        dtype = mx.result_type(dtype, scales.dtype)
    x = x.astype(dtype)
    if not x.size:  # MLX's CPU version divides by the number of rows
        return mx.zeros((x.shape[0], weight.shape[0]), dtype)
    if implementation(x.shape[0], dtype) == "dequantized":
        return matmul(x, dequantized(weight, scales, biases, by, dtype).T)
    if by.mode == "affine" and biases is not None:
        scales, biases = scales.astype(dtype), biases.astype(dtype)
    return mx.quantized_matmul(x, weight, scales, biases, True, by.group_size, by.bits, by.mode)


def dequantized(weight: mx.array, scales: mx.array, biases: mx.array | None, by: Scheme, dtype: mx.Dtype) -> mx.array:
    """The matrix, computed in float32 if it becomes float64."""
    if by.mode == "affine" and by.bits in (8, 4, 2) and biases is not None and _device.backend() == "cpu":
        # Whole bytes with MLX's vectorized operations, in half the time of mx.dequantize.
        bytes_ = weight.view(mx.uint8)
        parts = [bytes_ >> shift & 2**by.bits - 1 for shift in range(0, 8, by.bits)] if by.bits < 8 else [bytes_]
        q = mx.stack(parts, -1).astype(mx.float32).reshape(*scales.shape, by.group_size)
        found = q * scales[..., None].astype(mx.float32) + biases[..., None].astype(mx.float32)
        return found.reshape(weight.shape[0], -1).astype(dtype)
    computed = mx.float32 if dtype == mx.float64 else dtype
    if by.mode == "affine" and biases is not None:
        scales, biases = scales.astype(computed), biases.astype(computed)
    found = mx.dequantize(weight, scales, biases, by.group_size, by.bits, by.mode, dtype=computed)
    return found.astype(dtype)
