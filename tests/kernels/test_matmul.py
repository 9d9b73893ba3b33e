"""Matrix products in C++ against float64: every way of dividing rows, columns and sums; gradients; the choice."""

import ctypes
from concurrent.futures import ThreadPoolExecutor

import mlx.core as mx
import numpy as np
import pytest

from lucid import _device
from lucid.kernels import matmul as module
from lucid.kernels import native, use_reference
from lucid.kernels.matmul import implementation, matmul


def random(*shape):
    return mx.random.normal(shape)


def error(got, *factors, bias=0.0):
    """The largest error, relative to what the rounding of each product may add up to."""
    a, b = (np.array(one).astype(np.float64) for one in factors)
    wanted, size = a @ b + np.array(bias).astype(np.float64), np.abs(a) @ np.abs(b) + 1
    assert got.shape == wanted.shape
    return (np.abs(np.array(got) - wanted) / size).max()


@pytest.mark.parametrize("columns", [16, 17, 31, 32, 33, 40, 47, 48, 49, 63, 64, 65, 100, 300])
@pytest.mark.parametrize(("rows", "inner"), [(1, 5), (7, 1), (12, 40), (29, 17), (203, 8)])
def test_every_division_of_rows_and_columns(cpp, rows, inner, columns):
    a, b, bias = random(rows, inner), random(inner, columns), random(columns)
    assert error(cpp.matmul(a, b, None), a, b) < 1e-6
    assert error(cpp.matmul(a, b, bias), a, b, bias=bias) < 1e-6


@pytest.mark.parametrize("inner", [1023, 1024, 1025, 5000])
def test_long_sums(cpp, inner):
    a, b, bias = random(13, inner), random(inner, 40), random(40)
    assert error(cpp.matmul(a, b, bias), a, b, bias=bias) < 1e-6
    wide = random(inner, 300)
    assert error(cpp.matmul(a, wide, None), a, wide) < 1e-6


def test_any_layout_is_read(cpp):
    a, b = random(50, 37), random(37, 300)
    wanted = cpp.matmul(a, b, None)
    turned_a, turned_b = mx.contiguous(a.T).T, mx.contiguous(b.T).T
    for one in (a, turned_a, mx.concatenate([a, a], 1)[:, 37:], mx.repeat(a, 2, 0)[::2], mx.repeat(a, 2, 1)[:, ::2]):
        for other in (b, turned_b, mx.repeat(b, 2, 1)[:, ::2], b[::-1][::-1]):
            assert mx.array_equal(cpp.matmul(one, other, None), wanted)
    row = mx.broadcast_to(a[:1], a.shape)
    assert mx.array_equal(cpp.matmul(row, b, None), mx.broadcast_to(wanted[:1], wanted.shape))


def test_the_number_of_threads_changes_no_bit(cpp):
    a, b, bias = random(300, 1500), random(1500, 180), random(180)
    results = []
    for threads in (1, 2, 3, 16):
        cpp.set_thread_count(threads)
        results.append([cpp.matmul(a, b, bias), cpp.matmul(b.T, a.T, None), cpp.matmul(a, mx.contiguous(b.T).T, bias)])
        mx.eval(results[-1])
    for found in results[1:]:
        assert all(mx.array_equal(one, other) for one, other in zip(found, results[0], strict=True))


def test_infinity_and_nan_stay_in_their_rows_and_columns(cpp):
    a, b = mx.ones((30, 20)).at[3, 4].add(float("inf")), mx.ones((20, 50)).at[1, 7].add(float("nan"))
    found = np.array(cpp.matmul(a, b, None))
    wanted = np.full((30, 50), 20.0)
    wanted[3], wanted[:, 7] = np.inf, np.nan
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("core", ["Zen", "SkylakeX"])
@pytest.mark.parametrize("given", [True, False], ids=["with bias", "without bias"])
def test_first_and_second_derivatives(cpu_kernels, monkeypatch, given, core):
    monkeypatch.setattr(module, "_MIN_WORK", 0)
    monkeypatch.setattr(module, "_MIN_DIVIDED", 0)
    monkeypatch.setattr(_device, "openblas_core", lambda: core)
    monkeypatch.setattr("sys.platform", "linux")
    values = [random(21, 17), random(17, 33), *([random(33)] if given else [])]
    dy, directions = random(21, 33), [random(*one.shape) for one in values]

    def second(product):
        def gradients(*values_and_dy):
            return mx.vjp(product, list(values_and_dy[:-1]), [values_and_dy[-1]])[1]

        return gradients(*values, dy), mx.vjp(gradients, [*values, dy], directions)[1]

    ours = second(matmul)
    wanted = second(lambda a, b, *bias: sum(bias, a @ b))
    for got, one in zip((*ours[0], *ours[1]), (*wanted[0], *wanted[1]), strict=True):
        assert mx.allclose(got, one, rtol=1e-5, atol=1e-5 * mx.abs(one).max().item())


def test_compiled_and_eager_agree_bit_for_bit(cpp):
    x, weight, bias = random(100, 40), random(64, 40), random(64)
    step = mx.value_and_grad(lambda *values: mx.square(matmul(values[0], values[1].T, values[2])).sum(), (0, 1, 2))
    assert implementation(x, weight.T, bias) == "native"
    (loss, gradients), (again, compiled) = step(x, weight, bias), mx.compile(step)(x, weight, bias)
    assert loss.item() == again.item()
    assert all(mx.array_equal(one, other) for one, other in zip(gradients, compiled, strict=True))


@pytest.fixture
def blas(cpp):
    if not cpp.has_blas():
        pytest.skip("OpenBLAS is not loaded")
    return cpp


@pytest.mark.parametrize(
    ("rows", "inner", "columns"),
    [(4100, 40, 33), (33, 40, 4100), (130, 20, 129), (33, 16400, 65), (3, 9000, 1), (1, 1, 1), (600, 8200, 500)],
    ids=[
        "rows",
        "columns",
        "few rows",
        "a long sum",
        "a long sum of vectors",
        "one number",
        "a long sum of a large map",
    ],
)
def test_openblas_multiplies_parts(blas, rows, inner, columns):
    a, b, bias = random(rows, inner), random(inner, columns), random(columns)
    assert error(blas.blas_matmul(a, b, None), a, b) < 1e-6
    assert error(blas.blas_matmul(a, b, bias), a, b, bias=bias) < 1e-6


@pytest.mark.parametrize("shape", [(2100, 40, 100), (50, 8300, 70)], ids=["rows", "a long sum"])
def test_openblas_reads_any_layout_with_any_number_of_threads(blas, shape):
    m, k, n = shape
    a, b, bias = random(m, k), random(k, n), random(n)
    wanted = np.array(a).astype(np.float64) @ np.array(b).astype(np.float64) + np.array(bias).astype(np.float64)
    before = openblas_threads()
    for one in (a, mx.contiguous(a.T).T, mx.concatenate([a, a], 1)[:, k:], mx.repeat(a, 2, 1)[:, ::2]):
        for other in (b, mx.contiguous(b.T).T, mx.concatenate([b, b], 1)[:, n:], b[::-1][::-1]):
            results = []
            for threads in (1, 2, 3, 16):
                blas.set_thread_count(threads)
                results.append(np.array(blas.blas_matmul(one, other, bias)))
            assert all(np.array_equal(results[0], result) for result in results)
            np.testing.assert_allclose(results[0], wanted, rtol=1e-5, atol=2e-3)
    assert openblas_threads() == before


def openblas_threads():
    return ctypes.CDLL(_device.openblas).openblas_get_num_threads()


def test_products_of_several_streams_leave_openblas_as_it_was(blas):
    before, a = openblas_threads(), random(500, 500)
    wanted = np.array(blas.blas_matmul(a, a, None))

    def multiply():
        with mx.stream(mx.new_stream(mx.cpu)):
            return [np.array(blas.blas_matmul(a, a, None)) for _ in range(20)]

    with ThreadPoolExecutor(4) as pool:
        for results in [one.result() for one in [pool.submit(multiply) for _ in range(4)]]:
            assert all(np.array_equal(wanted, result) for result in results)
    assert openblas_threads() == before


class Library:
    matmul_columns = staticmethod(lambda: 16)
    has_blas = staticmethod(lambda: True)


class WithoutBlas(Library):
    has_blas = staticmethod(lambda: False)


@pytest.mark.parametrize(
    ("shape", "blas", "other"),
    [
        ((8192, 40, 160), "native", {}),
        ((1024, 1024, 1024), "blas", {}),
        ((1024, 1024, 1024), "native", {"openblas": None}),
        ((8192, 40, 15), "blas", {}),
        ((8, 8, 16), "blas", {}),
        ((0, 8, 16), "blas", {}),
        ((8192, 40, 160), "blas", {"platform": "darwin"}),
        ((8192, 40, 160), "blas", {"backend": "metal"}),
        ((8192, 40, 160), "blas", {"dtype": mx.float16}),
        ((8192, 40, 160), "blas", {"library": None}),
        ((8192, 40, 160), "divided", {"core": "SkylakeX"}),
        ((1024, 1024, 1024), "divided", {"core": "SapphireRapids"}),
        ((128, 128, 128), "blas", {"core": "SkylakeX"}),
        ((8192, 40, 160), "blas", {"core": "SkylakeX", "library": WithoutBlas}),
        ((8192, 40, 160), "blas", {"core": "SkylakeX", "library": None}),
    ],
)
def test_a_stated_condition_chooses(monkeypatch, shape, blas, other):
    monkeypatch.setattr(_device, "openblas", other.get("openblas", "libopenblas.so.0"))
    monkeypatch.setattr(_device, "openblas_core", lambda: other.get("core", "Zen"))
    monkeypatch.setattr(_device, "backend", lambda: other.get("backend", "cpu"))
    monkeypatch.setattr("sys.platform", other.get("platform", "linux"))
    monkeypatch.setattr(native, "library", lambda: other.get("library", Library))
    m, k, n = shape
    dtype = other.get("dtype", mx.float32)
    a, b, bias = mx.zeros((m, k), dtype), mx.zeros((k, n), dtype), mx.zeros((n,))
    assert implementation(a, b) == implementation(a, b, bias) == blas
    assert implementation(a, b, bias.astype(mx.bfloat16)) == "blas"
    with use_reference():
        assert implementation(a, b) == "blas"


def test_arguments_that_do_not_fit_are_refused(cpp):
    a, b = random(4, 5), random(6, 20)
    with pytest.raises(ValueError, match="a must be .M, K. and b .K, N."):
        cpp.matmul(a, b, None)
    with pytest.raises(ValueError, match="bias must be float32"):
        cpp.matmul(a, random(5, 20), random(19))
    with pytest.raises(ValueError, match="a vector of columns"):
        cpp.matmul(a, random(5, 1), None)
    if cpp.has_blas():
        with pytest.raises(ValueError, match="a must be .M, K. and b .K, N."):
            cpp.blas_matmul(a, b, None)
        with pytest.raises(ValueError, match="must not be empty"):
            cpp.blas_matmul(mx.zeros((0, 5)), random(5, 20), None)
