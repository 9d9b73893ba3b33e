"""Products with quantized matrices, against packed values that NumPy unpacks and multiplies in float64."""

import mlx.core as mx
import numpy as np
import pytest

from lucid.kernels import quantized_matmul as kernel
from lucid.kernels.quantized_matmul import MODES, Scheme, check, quantized_matmul, scheme

AFFINE = [Scheme(bits, group, "affine") for bits in MODES["affine"][0] for group in MODES["affine"][1]]
FLOATS = [Scheme(MODES[mode][0][0], MODES[mode][1][0], mode) for mode in MODES if mode != "affine"]


def unpacked(weight, bits):
    """The integers in rows of uint32, lowest bits first."""
    words = np.array(weight)
    stream = (words[..., None] >> np.arange(32, dtype=np.uint32) & 1).reshape(words.shape[0], -1, bits)
    return (stream.astype(np.int64) << np.arange(bits)).sum(-1)


# OCP Microscaling Formats 1.0: E2M1, E4M3 and the exponent E8M0; NVFP4 has E4M3 scales.
E2M1 = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6])


def e4m3(codes):
    sign, exponent, fraction = codes >> 7, codes >> 3 & 15, codes & 7
    value = np.where(exponent == 0, fraction / 8 * 2.0**-6, (1 + fraction / 8) * 2.0 ** (exponent - 7.0))
    return np.where(sign, -value, value)


def matrix(parts, by):
    """The quantized matrix in float64."""
    codes = unpacked(parts[0], by.bits)
    scales = np.array(parts[1]).astype(np.float64 if by.mode == "affine" else np.int64)
    if by.mode == "affine":
        values, biases = codes, np.array(parts[2]).astype(np.float64)
    else:
        values = e4m3(codes) if by.bits == 8 else np.where(codes >> 3, -1, 1) * E2M1[codes & 7]
        scales, biases = e4m3(scales) if by.mode == "nvfp4" else 2.0 ** (scales - 127), np.zeros(scales.shape)
    rest = [np.repeat(one, by.group_size, 1) for one in (scales, biases)]
    return values * rest[0] + rest[1]


def quantized(by, rows=5, columns=256, seed=0, dtype=mx.float32):
    w = mx.random.normal((rows, columns), key=mx.random.key(seed)).astype(dtype)
    parts = mx.quantize(w, by.group_size, by.bits, by.mode)
    return w, (*parts, None)[:3]


def rows_of(shape, seed=1):
    return mx.random.normal(shape, key=mx.random.key(seed))


@pytest.mark.parametrize("by", AFFINE + FLOATS, ids=str)
@pytest.mark.parametrize("rows", [1, 2, 17])
def test_products_are_those_of_the_unpacked_matrix(by, rows):
    _, parts = quantized(by)
    x = rows_of((rows, 256))
    expected = np.array(x).astype(np.float64) @ matrix(parts, by).T
    rtol = 2e-6 if by.bits == 1 else 1e-7  # neither of the two values is near zero, so the terms of a sum are large
    np.testing.assert_allclose(np.array(quantized_matmul(x, *parts, by)), expected, rtol=rtol, atol=3e-5)


@pytest.mark.parametrize("by", AFFINE, ids=str)
def test_no_value_is_farther_than_half_a_step(by):
    w, parts = quantized(by)
    if by.bits == 1:
        return  # MLX does not use both ends of the range
    steps = np.repeat(np.abs(np.array(parts[1])), by.group_size, 1)
    # MLX moves the grid so that it has an exact zero, which can cost the other end half a step more.
    assert (np.abs(matrix(parts, by) - np.array(w)) <= 1.01 * steps).all()


@pytest.mark.parametrize("by", [AFFINE[0], *FLOATS], ids=str)
@pytest.mark.parametrize("implementation", ["quantized", "dequantized"])
def test_both_versions_agree_in_value_and_gradients(by, implementation, monkeypatch):
    _, parts = quantized(by)
    monkeypatch.setattr(kernel, "implementation", lambda rows, dtype: implementation)
    x, c, d = rows_of((3, 256)), rows_of((3, 5), 2), rows_of((3, 256), 3)
    w = matrix(parts, by)
    gradient = lambda c: mx.vjp(lambda x: quantized_matmul(x, *parts, by), [x], [c])[1][0]  # noqa: E731
    np.testing.assert_allclose(np.array(quantized_matmul(x, *parts, by)), np.array(x) @ w.T, atol=3e-5)
    np.testing.assert_allclose(np.array(gradient(c)), np.array(c) @ w, atol=3e-5)
    [second] = mx.vjp(gradient, [c], [d])[1]
    np.testing.assert_allclose(np.array(second), np.array(d) @ w.T, atol=3e-5)


@pytest.mark.parametrize("by", [AFFINE[0], FLOATS[0]], ids=str)
def test_dtypes(by):
    _, parts = quantized(by)
    has_own = by.mode == "affine"
    for rows in (0, 1, 7):
        for dtype in (mx.float32, mx.float16, mx.bfloat16):
            found = quantized_matmul(rows_of((rows, 256)).astype(dtype), *parts, by)
            assert (found.shape, found.dtype) == ((rows, 5), mx.float32 if has_own else dtype)
            halved = [one if one is None or one.dtype == mx.uint32 else one.astype(dtype) for one in parts]
            found = quantized_matmul(rows_of((rows, 256)).astype(dtype), *(halved if has_own else parts), by)
            assert found.dtype == dtype
            expected = np.array(rows_of((rows, 256))) @ matrix(parts, by).T
            tolerance = {mx.float32: 1e-4, mx.float16: 0.08, mx.bfloat16: 0.5}[dtype]
            np.testing.assert_allclose(np.array(found.astype(mx.float32)), expected, atol=tolerance)
        assert quantized_matmul(mx.ones((rows, 256), mx.int32), *parts, by).dtype == mx.float32
        with mx.stream(mx.cpu):
            wide = quantized_matmul(mx.ones((rows, 256), mx.float64), *parts, by)
            np.testing.assert_allclose(np.array(wide), np.ones((rows, 256)) @ matrix(parts, by).T, rtol=1e-6)


def test_a_few_rows_are_multiplied_without_dequantizing(on_cpu):
    assert kernel.implementation(2, mx.float32) == "quantized"
    assert kernel.implementation(3, mx.float32) == "dequantized"
    assert kernel.implementation(1, mx.float64) == kernel.implementation(1, mx.bfloat16) == "dequantized"


def test_rows_that_are_not_contiguous():
    _, parts = quantized(AFFINE[0])
    w = matrix(parts, AFFINE[0])
    for x in (rows_of((256, 5)).T, rows_of((4, 512))[:, ::2], rows_of((8, 256))[::3], rows_of((8, 256))[1:2]):
        found = quantized_matmul(x, *parts, AFFINE[0])
        np.testing.assert_allclose(np.array(found), np.array(x) @ w.T, atol=3e-5)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((7,), r"f: bits of mode 'affine' must be one of 1, 2, 3, 4, 5, 6, 8, got 7"),
        ((8, 16), r"f: group_size of mode 'affine' must be one of 32, 64, 128, got 16"),
        ((8, 64, "mxfp8"), r"f: group_size of mode 'mxfp8' must be one of 32, got 64"),
        ((8, None, "nvfp4"), r"f: bits of mode 'nvfp4' must be one of 4, got 8"),
        ((8, 64, "q8_0"), r"f: mode must be 'affine', 'mxfp4', 'mxfp8' or 'nvfp4', got 'q8_0'"),
        ((8.0,), r"f: bits must be an integer, got 8\.0"),
        ((True,), r"f: bits must be an integer, got True"),
        ((10**30,), r"f: bits must fit in 64 bits"),
    ],
)
def test_schemes_that_mlx_lacks(given, message):
    with pytest.raises((ValueError, TypeError), match=message):
        scheme("f", *given)


def test_defaults_of_the_modes():
    assert scheme("f") == (8, 64, "affine") and scheme("f", mode="mxfp8") == (8, 32, "mxfp8")
    assert scheme("f", mode="mxfp4") == (4, 32, "mxfp4") and scheme("f", mode="nvfp4") == (4, 16, "nvfp4")


@pytest.mark.parametrize(
    "change",
    [
        lambda w, s, b: (w, s[:3], b[:3]),  # MLX reads beyond the end of these
        lambda w, s, b: (w, s, b[:3]),
        lambda w, s, b: (w[:, :-1], s, b),
        lambda w, s, b: (w, s, b[:, :1]),
        lambda w, s, b: (w, s, None),
        lambda w, s, b: (w.astype(mx.int32), s, b),
        lambda w, s, b: (w, s.astype(mx.int32), b),
        lambda w, s, b: (w, s.reshape(-1), b),
        lambda w, s, b: (mx.array(1, mx.uint32), s, b),
    ],
)
def test_parts_that_do_not_belong_together_are_refused(change):
    _, parts = quantized(AFFINE[0])
    check("f", 256, *parts, AFFINE[0])
    with pytest.raises(ValueError, match="^f: "):
        check("f", 256, *change(*parts), AFFINE[0])
    with pytest.raises(ValueError, match="f: group_size 64 does not divide 250 columns"):
        check("f", 250, *parts, AFFINE[0])
