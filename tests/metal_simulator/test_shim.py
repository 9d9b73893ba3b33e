"""Metal's numbers, vectors, functions and simdgroup operations behave as on a GPU."""

import math

import mlx.core as mx
import numpy as np
import pytest

from tests.metal_simulator import simulation

INDEX = "uint i = thread_position_in_grid.x; "
# All 65536 half patterns are finite numbers, infinities and NaN of both signs; as bfloat they span float's range.
ALL_PATTERNS = mx.arange(65536).astype(mx.uint16)


def interesting_floats():
    """Ties, subnormals, overflow, infinities, NaN and a random sample of all float32 patterns."""
    rng = np.random.default_rng(0)
    random = rng.integers(0, 2**32, 20000, dtype=np.uint32).view(np.float32)
    halves = np.arange(0x7C00, dtype=np.uint16).view(np.float16).astype(np.float32)
    ties = (halves[:-1] + halves[1:]) / 2
    edges = np.float32([0.0, -0.0, np.inf, -np.inf, np.nan, 65504, 65519.996, 65520, 2**-24, 2**-25, 2**-25 * 1.0001])
    bfloat_ties = (np.arange(0, 0x7F80, dtype=np.uint32) << 16 | 0x8000).view(np.float32)
    return np.concatenate([random, halves, ties, np.nextafter(ties, np.float32(np.inf)), edges, -edges, bfloat_ties])


def same_bits(ours, reference):
    """Equal patterns; any NaN equals any other."""
    assert ours.dtype == reference.dtype
    nan = mx.isnan(reference)
    assert mx.array_equal(mx.isnan(ours), nan)
    bits = {2: mx.uint16, 4: mx.uint32}[ours.itemsize]
    assert mx.array_equal(mx.where(nan, 0, ours.view(bits)), mx.where(nan, 0, reference.view(bits)))


@pytest.mark.parametrize("dtype", [mx.float16, mx.bfloat16])
@pytest.mark.parametrize("check", [True, False])
def test_rounding_from_float_is_to_nearest_even(run_kernel, dtype, check):
    x = mx.array(interesting_floats())
    with simulation(check=check):
        y, _ = run_kernel(INDEX + "y[i] = T(x[i]);", x, dtype=dtype, template=[("T", dtype)])
    same_bits(y, x.astype(dtype))
    if dtype == mx.float16:
        with np.errstate(over="ignore", invalid="ignore"):
            same_bits(y, mx.array(np.array(x).astype(np.float16)))


@pytest.mark.parametrize("dtype", [mx.float16, mx.bfloat16])
def test_widening_to_float_is_exact(run_kernel, dtype):
    x = ALL_PATTERNS.view(dtype)
    y, _ = run_kernel(INDEX + "y[i] = float(x[i]);", x)
    same_bits(y, x.astype(mx.float32))


@pytest.mark.parametrize("dtype", [mx.float16, mx.bfloat16])
@pytest.mark.parametrize("operation", ["+", "-", "*", "/"])
def test_arithmetic_of_two_rounds_once(run_kernel, dtype, operation):
    rng = np.random.default_rng(1)
    a, b = (mx.array(rng.permutation(65536).astype(np.uint16)).view(dtype) for _ in range(2))
    y, _ = run_kernel(INDEX + f"y[i] = x[i] {operation} x2[i];", a, b, dtype=dtype)
    with np.errstate(all="ignore"):  # signalling NaN among them
        left, right = (np.array(v.astype(mx.float32)).astype(np.float64) for v in (a, b))
        exact = {"+": np.add, "-": np.subtract, "*": np.multiply, "/": np.divide}[operation](left, right)
        reference = mx.array(exact.astype(np.float32)).astype(dtype)
    same_bits(y, reference)


def test_half_and_float_give_float(run_kernel):
    x = mx.array([1.0, 3.0], dtype=mx.float16)
    y, _ = run_kernel(INDEX + "y[i] = x[i] * 0.333333333f; y[i] += x[i] / 3.0f;", x)
    expected = np.float32([1, 3]) * np.float32(0.333333333) + np.float32([1, 3]) / np.float32(3)
    np.testing.assert_array_equal(np.array(y), expected)


def test_fma_rounds_once_and_a_product_with_a_sum_twice(run_kernel):
    a = np.float32(1 + 2**-12)
    x = mx.array(np.array([a, a]))
    y, _ = run_kernel(INDEX + "float p = x[i]; y[i] = i == 0u ? fma(p, p, -1.0f) : p * p - 1.0f;", x)
    assert y[0].item() == float(a) ** 2 - 1
    assert y[1].item() == float(a * a - np.float32(1)) != y[0].item()


def test_decimal_literals_are_floats(run_kernel):
    y, _ = run_kernel(INDEX + "y[i] = x[i] * 0.1 + 0.2;", mx.array([3.0]))
    assert y.item() == np.float32(3) * np.float32(0.1) + np.float32(0.2)


@pytest.mark.parametrize(
    ("expression", "reference"),
    [
        ("sqrt(a)", np.sqrt),
        ("rsqrt(a)", lambda a: 1 / np.sqrt(a)),
        ("exp(a)", np.exp),
        ("metal::precise::log(a)", np.log),
        ("fast::tanh(a)", np.tanh),
        ("exp2(a)", np.exp2),
        ("log2(a)", np.log2),
        ("pow(a, 1.5f)", lambda a: a**1.5),
        ("sin(a) + cos(a)", lambda a: np.sin(a) + np.cos(a)),
        ("floor(a) + ceil(a) + trunc(-a)", lambda a: np.floor(a) + np.ceil(a) + np.trunc(-a)),
        ("rint(a) + round(a)", lambda a: np.rint(a) + np.floor(a + 0.5)),
        ("abs(-a) + fabs(-a)", lambda a: 2 * a),
        (
            "min(a, 1.0f) + max(a, 2.0f) + clamp(a, 0.5f, 0.75f)",
            lambda a: np.fmin(a, 1) + np.fmax(a, 2) + a.clip(0.5, 0.75),
        ),
        ("min(a, as_type<float>(0x7fc00000u))", lambda a: a),
        ("select(1.0f, a, a > 1.0f)", lambda a: np.where(a > 1, a, 1)),
        ("float(isnan(a)) + float(isinf(1.0f / (a - a)))", lambda a: np.ones_like(a)),
        ("float(min(int(a), 1) + max(uint(a), 2u) + clamp(int(a), 0, 1) + abs(-2))", None),
        ("float(half(a) < half(1.0f)) + float(min(half(a), half(1.0f)))", None),
    ],
)
def test_functions(run_kernel, expression, reference):
    a = np.float32([0.125, 0.5, 1.25, 2.75, 3.5])
    y, _ = run_kernel(INDEX + f"float a = x[i]; y[i] = {expression};", mx.array(a))
    if expression.startswith("float(min(int"):
        expected = np.minimum(a.astype(int), 1) + np.maximum(a.astype(int), 2) + a.astype(int).clip(0, 1) + 2
    elif expression.startswith("float(half"):
        expected = (a < 1) + np.minimum(a, 1)
    else:
        expected = reference(a.astype(np.float64))
    np.testing.assert_allclose(np.array(y), expected, rtol=3e-7)


def test_vectors(run_kernel):
    body = """
    const device float4* v = (const device float4*)x;
    float4 a = v[0] * 2.0f + v[1] - float4(1.0f, 2.0f, 3.0f, 4.0f);
    a /= float4(2.0f);
    half2 h = half2(a.x, a.y);
    float2 f = float2(h) * float2(h);
    float3 t = fma(float3(a[0], a[1], a[2]), float3(1.0f), float3(0.5f));
    y[0] = a.x; y[1] = a.y; y[2] = a.z; y[3] = a.w; y[4] = f.x; y[5] = f.y;
    y[6] = t.x + t.y + t.z; y[7] = sizeof(float3);
    """
    x = mx.arange(8).astype(mx.float32)
    y, report = run_kernel(body, x, grid=(1, 1, 1))
    v = np.arange(8, dtype=np.float32).reshape(2, 4)
    a = (v[0] * 2 + v[1] - np.float32([1, 2, 3, 4])) / 2
    np.testing.assert_array_equal(np.array(y), [*a, a[0] ** 2, a[1] ** 2, a[:3].sum() + 1.5, 16])
    assert report.buffers["x"].loaded_bytes == 32


# ---------------------------------------------------------------------------------------------- simdgroup functions

SIZES = [1, 2, 31, 32, 33, 64, 100]


def by_simdgroup(values, function):
    return np.concatenate([function(values[at : at + 32]) for at in range(0, len(values), 32)])


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("order", ["forward", "reverse", "random"])
@pytest.mark.parametrize(
    ("call", "reference"),
    [
        ("simd_sum(v)", lambda v: np.full_like(v, v.sum())),
        ("simd_max(v)", lambda v: np.full_like(v, v.max())),
        ("simd_min(v)", lambda v: np.full_like(v, v.min())),
        ("simd_prefix_inclusive_sum(v)", np.cumsum),
        ("simd_prefix_exclusive_sum(v)", lambda v: np.cumsum(v) - v),
        ("simd_broadcast(v, 0)", lambda v: np.full_like(v, v[0])),
        ("simd_broadcast_first(v)", lambda v: np.full_like(v, v[0])),
        ("simd_shuffle_up(v, 1)", lambda v: np.concatenate([v[:1], v[:-1]])),
    ],
)
def test_simdgroup_functions_reach_all_existing_lanes(run_kernel, call, reference, size, order):
    values = np.random.default_rng(size).integers(-1000, 1000, size).astype(np.float32)
    with simulation(order=order, seed=size):
        y, report = run_kernel(INDEX + f"float v = x[i]; y[i] = {call};", mx.array(values), threadgroup=(128, 1, 1))
    np.testing.assert_array_equal(np.array(y), by_simdgroup(values, reference))
    assert report.simd_operations == math.ceil(size / 32)


@pytest.mark.parametrize(
    ("call", "reference"),
    [
        ("simd_shuffle_down(v, 3)", lambda v: np.concatenate([v[3:], v[-3:]])),
        ("simd_shuffle_xor(v, 5)", lambda v: v[np.arange(32) ^ 5]),
        ("simd_shuffle(v, (i * 7) % 32)", lambda v: v[np.arange(32) * 7 % 32]),
        ("simd_product(1.0f + v / 65536.0f)", lambda v: np.full_like(v, np.prod(1 + v.astype(np.float64) / 65536))),
    ],
)
def test_lanes_exchange_values(run_kernel, call, reference):
    values = np.random.default_rng(0).integers(-1000, 1000, 64).astype(np.float32)
    y, _ = run_kernel(INDEX + f"float v = x[i]; y[i] = {call};", mx.array(values))
    np.testing.assert_allclose(np.array(y), by_simdgroup(values, reference), rtol=1e-6)


def test_a_lane_that_does_not_exist_gives_nan(run_kernel):
    y, _ = run_kernel(INDEX + "y[i] = simd_shuffle_down(float(x[i]), 1);", mx.arange(5).astype(mx.float32))
    np.testing.assert_array_equal(np.array(y), [1, 2, 3, 4, np.nan])


def test_simdgroup_functions_take_other_types(run_kernel):
    body = INDEX + "int n = int(x[i]); half h = half(x[i]);\n"
    body += "y[i] = simd_sum(n) + float(simd_max(h)) + simd_or(uint(1) << i) + simd_any(n == 3) + simd_all(n < 3);\n"
    y, _ = run_kernel(body, mx.arange(5).astype(mx.float32))
    np.testing.assert_array_equal(np.array(y), [10 + 4 + 31 + 1 + 0] * 5)


def test_many_simdgroup_functions_in_a_row_do_not_mix(run_kernel):
    body = INDEX + "float v = x[i]; for (ushort s = 16; s > 0; s /= 2) { v += simd_shuffle_xor(v, s); } y[i] = v;"
    x = np.arange(64, dtype=np.float32)
    for order in ("forward", "reverse", "random"):
        with simulation(order=order):
            y, _ = run_kernel(body, mx.array(x))
        np.testing.assert_array_equal(np.array(y), by_simdgroup(x, lambda v: np.full_like(v, v.sum())))
