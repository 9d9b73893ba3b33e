"""Arrays of every type and size are passed in and out; counters are exact."""

import mlx.core as mx
import numpy as np
import pytest

from tests.metal_simulator import Kernel, Options, SimulationError, simulation

INDEX = "uint i = thread_position_in_grid.x; "
DTYPES = [
    mx.bool_, mx.uint8, mx.uint16, mx.uint32, mx.uint64, mx.int8, mx.int16, mx.int32, mx.int64,
    mx.float16, mx.bfloat16, mx.float32,
]  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("check", [True, False])
def test_every_type_passes_through(run_kernel, dtype, check):
    x = mx.arange(24).reshape(2, 3, 4).astype(dtype)
    with simulation(check=check):
        y, report = run_kernel(INDEX + "y[i] = x[i];", x, dtype=dtype)
    assert y.dtype == dtype and y.shape == x.shape
    assert mx.array_equal(y, x)
    if check:
        assert report.buffers["x"].loaded_bytes == report.buffers["y"].stored_bytes == x.nbytes


@pytest.mark.parametrize("dtype", DTYPES)
def test_init_value_fills_unwritten_elements(run_kernel, dtype):
    body = INDEX + "if (i == 3u) y[i] = T(0);"
    y, report = run_kernel(body, shape=(7,), dtype=dtype, init_value=1, template=[("T", dtype)])
    assert mx.array_equal(y, mx.array([1, 1, 1, 0, 1, 1, 1]).astype(dtype))
    assert report.buffers["y"].stores == 1


@pytest.mark.parametrize("size", [1, 2, 7, 8, 9])
def test_tiny_inputs_are_in_constant_memory(run_kernel, size):
    header = "template <typename P> inline float at(P p, uint i) { return p[i]; }\n"
    x = mx.random.normal((size,))
    y, _ = run_kernel(INDEX + "y[i] = at(x, i) + x_shape[0];", x, header=header)
    assert mx.array_equal(y, x + size)


def test_scalars_come_as_references(run_kernel):
    y, _ = run_kernel(INDEX + "y[i] = x[i] * x2 + x3;", mx.arange(8), mx.array(2.5), mx.array(3, mx.int32))
    assert mx.array_equal(y, mx.arange(8) * 2.5 + 3)


def test_shapes_strides_and_axes(run_kernel):
    body = "y[0] = x_shape[0]; y[1] = x_shape[1]; y[2] = x_shape[2]; y[3] = x_strides[0]; y[4] = x_strides[1];"
    body += "y[5] = x_strides[2]; y[6] = x_ndim; y[7] = x2_ndim;"
    y, report = run_kernel(body, mx.zeros((2, 3, 5)), mx.zeros((1, 1)), shape=(8,), grid=(1, 1, 1))
    assert y.tolist() == [2, 3, 5, 15, 5, 1, 3, 2]
    assert report.loaded_bytes == 0
    assert report.buffers["x_shape"].loaded_bytes == 12 and report.buffers["x_strides"].loaded_bytes == 24


def test_transposed_inputs_arrive_row_contiguous(run_kernel):
    x = mx.arange(12).reshape(3, 4).astype(mx.float32).T
    y, _ = run_kernel(INDEX + "y[i] = x[i];", x)
    assert mx.array_equal(y, x)


@pytest.mark.parametrize("dtype", [mx.float32, mx.bfloat16], ids=str)
def test_without_row_contiguity_an_input_is_passed_as_it_lies_in_memory(simulator, dtype):
    x = mx.arange(12).reshape(3, 4).astype(dtype).T
    body = INDEX + "y[i] = x[i]; strides[0] = x_strides[0]; strides[1] = x_strides[1];"
    kernel = Kernel("k", ["x"], ["y", "strides"], body, ensure_row_contiguous=False)
    with simulation(raises=False):  # all threads write the strides
        y, strides = kernel(
            inputs=[x],
            output_shapes=[(12,), (2,)],
            output_dtypes=[dtype, mx.int32],
            grid=(12, 1, 1),
            threadgroup=(12, 1, 1),
        )
    assert y.tolist() == list(range(12)) and strides.tolist() == [1, 4]


def test_reversed_and_broadcast_inputs_lie_in_memory_once(simulator):
    kernel = Kernel("k", ["x"], ["y"], INDEX + "y[i] = x[i];", ensure_row_contiguous=False)
    launch = {"output_dtypes": [mx.float32], "threadgroup": (4, 1, 1)}
    for x in (mx.arange(4.0)[::-1], mx.broadcast_to(mx.arange(4.0)[:, None], (4, 3))):
        [y] = kernel(inputs=[x], output_shapes=[(4,)], grid=(4, 1, 1), **launch)
        assert y.tolist() == [0, 1, 2, 3]


def test_arrays_without_elements(run_kernel):
    y, _ = run_kernel("if (x_shape[0] > 0) y[0] = x[0];", mx.zeros((0, 3)), grid=(1, 1, 1))
    assert y.shape == (0, 3)


def test_several_outputs_of_several_types(simulator):
    kernel = Kernel("two", ["x"], ["a", "b"], INDEX + "a[i] = int(x[i]); if (i < 3u) b[i] = T(x[i]) / T(2.0f);")
    a, b = kernel(
        inputs=[mx.arange(5).astype(mx.float32)],
        output_shapes=[(5,), (3, 1)],
        output_dtypes=[mx.int16, mx.bfloat16],
        grid=(5, 1, 1),
        threadgroup=(5, 1, 1),
        template=[("T", mx.bfloat16)],
    )
    assert a.dtype == mx.int16 and a.tolist() == [0, 1, 2, 3, 4]
    assert b.dtype == mx.bfloat16 and b.tolist() == [[0], [0.5], [1]]


def test_numpy_arrays_and_numbers_are_converted_as_in_mlx(simulator):
    kernel = Kernel("k", ["x", "s"], ["y"], INDEX + "y[i] = x[i] * s;")
    arguments = {"output_shapes": [(9,)], "output_dtypes": [mx.float32], "grid": (9, 1, 1), "threadgroup": (9, 1, 1)}
    [y] = kernel(inputs=[np.arange(9, dtype=np.float32), 2.0], **arguments)
    assert y.tolist() == [2 * i for i in range(9)]


def test_atomic_outputs_add_up(simulator):
    kernel = Kernel(
        "total",
        ["x"],
        ["y"],
        INDEX + "atomic_fetch_add_explicit(&y[i % 2], x[i], memory_order_relaxed);",
        atomic_outputs=True,
    )
    [y] = kernel(
        inputs=[mx.arange(100).astype(mx.float32)],
        output_shapes=[(2,)],
        output_dtypes=[mx.float32],
        grid=(100, 1, 1),
        threadgroup=(32, 1, 1),
        init_value=0,
    )
    assert y.tolist() == [2450, 2500]


def test_counters_are_exact(run_kernel):
    """A moving average of five: 5 loads, 5 multiply-adds and 1 store per inner value."""
    body = INDEX + "float sum = 0.0f;\nfor (uint j = 0; j < 5; ++j) { sum = fma(x[i + j], x2[j], sum); }\ny[i] = sum;"
    x, w = mx.random.normal((100,)), mx.random.normal((5,))
    y, report = run_kernel(body, x, w, shape=(96,), grid=(96, 1, 1), threadgroup=(32, 1, 1))
    expected = np.convolve(np.array(x).astype(np.float64), np.array(w)[::-1].astype(np.float64), "valid")
    np.testing.assert_allclose(np.array(y), expected, atol=1e-5)
    assert report.threads == 96 and report.threadgroups == 3 and report.partial_threadgroups == 0
    assert report.multiply_adds == 96 * 5
    assert report.buffers["x"].loads == report.buffers["x2"].loads == 96 * 5
    assert report.loaded_bytes == 2 * 96 * 5 * 4
    assert report.buffers["y"].stores == 96 and report.stored_bytes == 96 * 4
    assert report.rewritten == 0 and report.threadgroup_loads == 0 and report.barriers == 0


@pytest.mark.parametrize(
    ("body", "loads", "multiply_adds"),
    [
        ("y[i] = fma(x[i], x[i], x[i]);", 1, 1),
        ("float a = x[i]; y[i] = a; y[i] = a + x[i];", 2, 0),  # the compiler has to assume that y may be x
        ("float r[4]; for (int j = 0; j < 4; ++j) { r[j] = x[j]; } y[i] = r[int(x[i]) & 3];", 5, 0),
    ],
)
def test_loads_are_those_of_optimized_code(run_kernel, body, loads, multiply_adds):
    _, report = run_kernel(INDEX + body)
    assert report.buffers["x"].loads == 64 * loads
    assert report.multiply_adds == 64 * multiply_adds


def test_atomic_operations_are_checked_for_bounds(simulator):
    source = INDEX + "atomic_fetch_add_explicit(&y[i], x[i], memory_order_relaxed);"
    kernel = Kernel("total", ["x"], ["y"], source, atomic_outputs=True)
    with pytest.raises(SimulationError, match="atomic operation of 4 bytes outside 'y': element 2 of 2"):
        kernel(
            inputs=[mx.zeros(3)],
            output_shapes=[(2,)],
            output_dtypes=[mx.float32],
            grid=(3, 1, 1),
            threadgroup=(3, 1, 1),
            init_value=0,
        )


@pytest.mark.parametrize("dtype", [mx.float16, mx.bfloat16])
def test_narrow_types_count_their_bytes(run_kernel, dtype):
    x = mx.arange(16).astype(dtype)
    _, report = run_kernel(INDEX + "y[i] = fma(float(x[i]), 2.0f, 1.0f);", x)
    assert report.loaded_bytes == 32 and report.stored_bytes == 64 and report.multiply_adds == 16


def test_options_of_the_kernel_override_those_of_the_block(simulator):
    kernel = Kernel("k", ["x"], ["y"], INDEX + "y[i] = x[i];")
    kernel.options = Options(check=False)
    arguments = {"output_shapes": [(9,)], "output_dtypes": [mx.float32], "grid": (9, 1, 1), "threadgroup": (9, 1, 1)}
    with simulation(check=True):
        kernel(inputs=[mx.zeros(9)], **arguments)
        assert kernel.report.loaded_bytes == 0
        kernel.options = None
        kernel(inputs=[mx.zeros(9)], **arguments)
        assert kernel.report.loaded_bytes == 36


def test_verbose_prints_the_generated_source(run_kernel, capsys):
    run_kernel(INDEX + "y[i] = x[i];", verbose=True)
    printed = capsys.readouterr().out
    assert printed.startswith(
        "Generated source code for `tested`:\n```\n[[kernel]] void custom_kernel_tested_float_float("
    )
