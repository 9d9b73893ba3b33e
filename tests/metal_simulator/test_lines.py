"""Cache lines are counted per access of a simdgroup."""

import mlx.core as mx
import pytest

from tests.metal_simulator import Options, simulation

INDEX = "uint i = thread_position_in_grid.x; "


def counts(run_kernel, body, x, **arguments):
    with simulation(lines=True, order=arguments.pop("order", "forward")):
        _, report = run_kernel(INDEX + body, x, **arguments)
    return report


@pytest.mark.parametrize("order", ["forward", "reverse", "random"])
@pytest.mark.parametrize(("dtype", "lines"), [(mx.float32, 1), (mx.float16, 1), (mx.int64, 2)])
def test_neighboring_lanes_share_lines(run_kernel, order, dtype, lines):
    report = counts(run_kernel, "y[i] = x[i];", mx.arange(128).astype(dtype), dtype=dtype, order=order)
    x, y = report.buffers["x"], report.buffers["y"]
    assert (x.load_accesses, x.load_lines) == (y.store_accesses, y.store_lines) == (4, 4 * lines)
    assert report.lines == 8 * lines


@pytest.mark.parametrize(("stride", "lines"), [(1, 1), (2, 2), (8, 8), (32, 32)])
def test_lanes_apart_take_a_line_each(run_kernel, stride, lines):
    x = mx.zeros((32 * stride,))
    report = counts(run_kernel, f"y[i] = x[i * {stride}];", x, shape=(32,), grid=(32, 1, 1))
    assert (report.buffers["x"].load_accesses, report.buffers["x"].load_lines) == (1, lines)


def test_a_value_across_two_lines_and_an_unaligned_start(run_kernel):
    report = counts(run_kernel, "y[i] = x[i + 1];", mx.zeros((33,)), shape=(32,), grid=(32, 1, 1))
    assert report.buffers["x"].load_lines == 2
    # Copying packed vectors of 12 bytes: 384 bytes in 3 lines, of 3 accesses of 4 bytes or one of 12.
    body = "for (int k = 0; k < 3; ++k) y[3 * i + k] = x[3 * i + k];"
    report = counts(run_kernel, body, mx.zeros((96,)), grid=(32, 1, 1))
    assert (report.buffers["x"].load_accesses, report.buffers["x"].load_lines) == (3, 9)


def test_each_turn_of_a_loop_is_an_access(run_kernel):
    body = "float sum = 0; for (uint k = 0; k < 5; ++k) sum += x[k * 64 + i]; y[i] = sum;"
    report = counts(run_kernel, body, mx.zeros((320,)), shape=(64,), grid=(64, 1, 1))
    assert (report.buffers["x"].load_accesses, report.buffers["x"].load_lines) == (10, 10)


def test_barriers_do_not_divide_an_access(run_kernel):
    body = "float a = x[i]; threadgroup_barrier(mem_flags::mem_threadgroup); y[i] = a + x[i + 64];"
    report = counts(run_kernel, body, mx.zeros((128,)), shape=(64,), grid=(64, 1, 1), order="random")
    assert (report.buffers["x"].load_accesses, report.buffers["x"].load_lines) == (4, 4)


def test_lines_are_not_counted_unless_wanted(run_kernel):
    _, report = run_kernel(INDEX + "y[i] = x[i];")
    assert report.lines == 0
    with pytest.raises(ValueError, match="lines requires check=True"):
        Options(check=False, lines=True)
