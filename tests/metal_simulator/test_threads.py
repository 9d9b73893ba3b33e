"""Threads, threadgroups, barriers and execution orders."""

import math

import mlx.core as mx
import numpy as np
import pytest

from tests.metal_simulator import Kernel, simulation

ORDERS = ["forward", "reverse", "random"]
# A tree reduction of each threadgroup in shared memory.
TREE_SUM = """
    uint i = thread_position_in_threadgroup.x;
    threadgroup float partial[128];
    partial[i] = x[thread_position_in_grid.x];
    for (uint step = 64; step > 0; step /= 2) {
        threadgroup_barrier(mem_flags::mem_threadgroup);
        if (i < step) { partial[i] += partial[i + step]; }
    }
    if (i == 0) { y[threadgroup_position_in_grid.x] = partial[0]; }
"""


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("check", [True, False])
def test_a_sum_in_shared_memory(run_kernel, order, check):
    x = np.random.default_rng(0).integers(-100, 100, 512).astype(np.float32)
    with simulation(order=order, check=check, seed=5):
        y, report = run_kernel(TREE_SUM, mx.array(x), shape=(4,), threadgroup=(128, 1, 1))
    np.testing.assert_array_equal(np.array(y), x.reshape(4, 128).sum(1))
    assert report.barriers == 4 * 7
    assert report.threads == 512 and report.threadgroups == 4
    if check:
        assert report.threadgroup_bytes == 512
        assert report.threadgroup_stores == 4 * (128 + 127)
        assert report.threadgroup_loads == 4 * (2 * 127 + 1)


@pytest.mark.parametrize("order", ORDERS)
def test_a_simdgroup_barrier_orders_the_threads_of_one_simdgroup(run_kernel, order):
    body = """
    uint i = thread_position_in_threadgroup.x;
    threadgroup float shared[64];
    shared[i] = x[i];
    simdgroup_barrier(mem_flags::mem_threadgroup);
    float other = shared[i ^ 1];
    simdgroup_barrier(mem_flags::mem_threadgroup);
    shared[i] = other;
    y[i] = shared[i];
    """
    with simulation(order=order):
        y, _ = run_kernel(body)
    np.testing.assert_array_equal(np.array(y), np.arange(64) ^ 1)


def test_threads_run_in_the_given_order(run_kernel):
    """Atomic counters number the threads in their order of execution."""
    kernel = Kernel(
        "order",
        ["x"],
        ["place", "next"],
        "uint i = thread_position_in_grid.x;\n"
        "atomic_store_explicit(&place[i], atomic_fetch_add_explicit(&next[0], 1, memory_order_relaxed), "
        "memory_order_relaxed);",
        atomic_outputs=True,
    )

    def places(**options):
        with simulation(**options):
            place, total = kernel(
                inputs=[mx.zeros(8)],
                output_shapes=[(64,), (1,)],
                output_dtypes=[mx.int32, mx.int32],
                grid=(64, 1, 1),
                threadgroup=(64, 1, 1),
                init_value=0,
            )
        assert total.item() == 64
        return np.array(place)

    np.testing.assert_array_equal(places(order="forward"), np.arange(64))
    np.testing.assert_array_equal(places(order="reverse"), np.arange(64)[::-1])
    first, again, other = (places(order="random", seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    np.testing.assert_array_equal(np.sort(first), np.arange(64))


@pytest.mark.parametrize(
    ("grid", "threadgroup"),
    [((1, 1, 1), (1, 1, 1)), ((7, 5, 3), (4, 2, 2)), ((64, 2, 1), (32, 1, 1)), ((3, 3, 3), (64, 4, 4))],
)
def test_attributes(run_kernel, grid, threadgroup):
    attributes = [
        *(f"thread_position_in_grid.{axis}" for axis in "xyz"),
        *(f"thread_position_in_threadgroup.{axis}" for axis in "xyz"),
        *(f"threadgroup_position_in_grid.{axis}" for axis in "xyz"),
        *(f"threads_per_threadgroup.{axis}" for axis in "xyz"),
        *(f"threadgroups_per_grid.{axis}" for axis in "xyz"),
        "thread_index_in_threadgroup",
        "thread_index_in_simdgroup",
        "simdgroup_index_in_threadgroup",
        "simdgroups_per_threadgroup",
        "threads_per_simdgroup",
    ]
    stores = "\n".join(f"y[at + {i}] = {attribute};" for i, attribute in enumerate(attributes))
    body = (
        "uint3 p = thread_position_in_grid, n = threads_per_grid;\n"
        f"uint at = ((p.z * n.y + p.y) * n.x + p.x) * {len(attributes)};\n{stores}"
    )
    total = math.prod(grid)
    y, report = run_kernel(body, shape=(total, len(attributes)), dtype=mx.uint32, grid=grid, threadgroup=threadgroup)
    full = [min(t, g) for t, g in zip(threadgroup, grid, strict=True)]
    groups = [-(-g // f) for g, f in zip(grid, full, strict=True)]
    expected, partial = [], set()
    for z, yy, x in np.ndindex(*grid[::-1]):
        position = np.array([x, yy, z])
        local, group = position % full, position // full
        size = np.minimum(full, np.array(grid) - group * full)
        index = local[0] + size[0] * (local[1] + size[1] * local[2])
        count = math.prod(size.tolist())
        if count < math.prod(full):
            partial.add(tuple(group.tolist()))
        simd = [index, index % 32, index // 32, -(-count // 32), 32]
        expected.append([*position, *local, *group, *size, *groups, *simd])
    np.testing.assert_array_equal(np.array(y), expected)
    assert report.threads == total
    assert report.partial_threadgroups == len(partial)


def test_a_correct_kernel_gives_the_same_in_every_order_and_mode(run_kernel):
    x = mx.random.normal((300,))
    results = []
    for options in (
        *({"order": order, "seed": 3} for order in ORDERS),
        {"check": False},
        {"check": False, "low_guard": True, "order": "random"},
        {"round_up_grid": True},
    ):
        with simulation(**options):
            y, report = run_kernel(
                "uint i = thread_position_in_grid.x; if (i < 300u) { y[i] = fma(x[i], x[i], 1.0f); }",
                x,
                threadgroup=(128, 1, 1),
            )
            assert report.faults == []
            results.append(y)
    assert all(mx.array_equal(results[0], result) for result in results)
