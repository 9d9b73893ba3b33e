"""Every kind of fault listed in the README is caught, with its thread and message."""

import mlx.core as mx
import pytest

from tests.metal_simulator import Kernel, SimulationError, simulation

INDEX = "uint i = thread_position_in_grid.x; "
SHARED = INDEX + "threadgroup float s[64]; s[i] = x[i]; "
BARRIER = "threadgroup_barrier(mem_flags::mem_threadgroup); "

CHECKED = [
    ("load behind the end", INDEX + "y[i] = x[i + 1];", "load of 4 bytes outside 'x': element 64 of 64: thread (63,"),
    (
        "load before the start",
        INDEX + "y[i] = x[int(i) - 1];",
        "load of 4 bytes outside 'x': element -1 of 64",
    ),
    ("load far away", INDEX + "y[i] = x[i * 1000000];", "load of 4 bytes outside 'x': element 1000000 of 64"),
    ("vector over the end", INDEX + "y[i] = ((const device float4*)(x + 62))[0].w;", "outside 'x': element 65 of 64"),
    (
        "store behind the end",
        INDEX + "y[i + 1] = x[i];",
        "store of 4 bytes outside 'y': element 64 of 64: thread (63,",
    ),
    ("store before the start", INDEX + "y[int(i) - 1] = x[i];", "store of 4 bytes outside 'y': element -1 of 64"),
    ("store far away", INDEX + "y[i * 1000000] = x[i];", "store of 4 bytes outside 'y': element 1000000 of 64"),
    ("output never written", INDEX + "if (i != 5) y[i] = x[i];", "1 of 64 elements of output 'y' are never written"),
    (
        "two writers",
        INDEX + "y[i / 2] = x[i]; y[63 - i / 2] = x[i];",
        "element 0 of output 'y' is written by two threads",
    ),
    ("store to an input", INDEX + "((device float*)x)[i] = 1.0f; y[i] = x[i];", "store to input 'x', element 0"),
    (
        "load of an unwritten output",
        INDEX + "y[i] = y[i] + x[i];",
        "element 0 of output 'y', which no thread has written",
    ),
    (
        "load of another thread's output",
        INDEX + "y[i] = x[i]; if (i) y[i] = y[i - 1];",
        "'y', which another thread wrote",
    ),
    (
        "load after a store, no barrier",
        SHARED + "y[i] = s[63 - i];",
        "is loaded after another thread's store without a barrier",
    ),
    (
        "store after a load, no barrier",
        SHARED + BARRIER + "float a = s[63 - i]; s[i] = 2.0f; y[i] = a;",
        "race on threadgroup memory: 's', element 32 is stored after another thread's load",
    ),
    ("two stores, no barrier", SHARED + "s[i / 2] = 1.0f; y[i] = x[i];", "is stored by two threads without a barrier"),
    (
        "a simdgroup barrier between simdgroups",
        SHARED + "simdgroup_barrier(mem_flags::mem_threadgroup); y[i] = s[63 - i];",
        "race on threadgroup memory",
    ),
    (
        "a race behind a simdgroup barrier",
        SHARED + "simdgroup_barrier(mem_flags::mem_threadgroup); s[i] = 2.0f; y[i] = s[i ^ 1];",
        "is loaded after another thread's store without a barrier",
    ),
    (
        "simd_sum, which is no barrier",
        SHARED + "float sum = simd_sum(x[i]); y[i] = sum + s[i ^ 1];",
        "is loaded after another thread's store without a barrier",
    ),
    (
        "uninitialized threadgroup memory",
        INDEX + "threadgroup float s[64]; s[i / 2] = 1.0f; y[i] = s[i];",
        "load of uninitialized threadgroup memory: 's', element 1",
    ),
    (
        "threadgroup index behind the end, through a pointer",
        SHARED + "threadgroup float* p = s; p[i + 1] = x[i]; y[i] = x[i];",
        "store of 4 bytes outside 's': element 64 of 64",
    ),
    (
        "threadgroup memory of another threadgroup",
        INDEX + "threadgroup float s[1]; if (i == 0) s[0] = 1.0f; " + BARRIER + "y[i] = s[0];",
        "load of uninitialized threadgroup memory: 's', element 0: thread (32, 0, 0), which is (0, 0, 0) of threadgr",
    ),
    (
        "barrier in a branch",
        SHARED + "if (i < 32) " + BARRIER + "y[i] = x[i];",
        "barrier is not reached by every",
    ),
    (
        "barrier after a return",
        SHARED + "if (i >= 60) return; " + BARRIER + "y[i] = x[i];",
        "barrier is not reached by every",
    ),
    (
        "different barriers",
        SHARED + "if (i < 32) { " + BARRIER + "}\nelse { " + BARRIER + "} y[i] = x[i];",
        "threads wait at different threadgroup barriers: source line 1 and source line 2",
    ),
    (
        "too much threadgroup memory",
        INDEX + "threadgroup float s[8193]; s[i] = x[i]; y[i] = s[i];",
        "32772 bytes of threadgroup memory, more than the available 32768",
    ),
    (
        "simd_sum in a branch",
        INDEX + "y[i] = 0; if (i % 2) y[i] = simd_sum(x[i]);",
        "is not reached by every lane: source",
    ),
    (
        "simd_sum in a branch, a barrier behind it",
        INDEX + "y[i] = 0; if (i % 2) y[i] = simd_sum(x[i]); " + BARRIER,
        "a simdgroup function is not reached by every lane: source line 1",
    ),
    (
        "simd_sum after a return",
        INDEX + "y[i] = 0; if (i > 60) return; y[i] = simd_sum(x[i]);",
        "is not reached by every lane: source",
    ),
    (
        "different simdgroup functions",
        INDEX + "float a;\nif (i % 2) a = simd_sum(x[i]);\nelse a = simd_max(x[i]);\ny[i] = a;",
        "lanes of one simdgroup wait in different simdgroup functions: source line 3 and source line 2",
    ),
    ("null pointer", INDEX + "const device float* p = 0; y[i] = p[i];", "which belongs to no buffer"),
]
EITHER = [
    (
        "register array behind the end",
        INDEX + "float a[4]; int n = int(x[i] * 0) + 5; for (int j = 0; j < n; ++j) a[j] = x[i]; y[i] = a[0];",
        "index outside an array, source line 1: thread (0, 0, 0)",
    ),
    (
        "threadgroup array behind the end",
        SHARED + "s[i + 1] = 0.0f; y[i] = x[i];",
        "index outside an array",
    ),
    (
        "signed overflow",
        INDEX + "int n = 2000000000; n += int(i) * 100000000; y[i] = n;",
        "signed integer overflow in an addition",
    ),
    (
        "overflow of an index",
        INDEX + "int n = int(i) * 100000000; y[i] = n;",
        "signed integer overflow in a multiplication",
    ),
    (
        "division by zero",
        INDEX + "int n = int(i); y[i] = 100 / n;",
        "integer division by zero or overflow, source line 1",
    ),
    ("shift too far", INDEX + "int n = int(i); y[i] = 1 << n;", "shift by a negative or too large amount"),
]


def messages(run_kernel, body, **arguments):
    with pytest.raises(SimulationError) as caught:
        run_kernel(body, **arguments)
    return str(caught.value)


@pytest.mark.parametrize(("body", "message"), [c[1:] for c in CHECKED + EITHER], ids=[c[0] for c in CHECKED + EITHER])
def test_check_mode_catches(run_kernel, body, message):
    threadgroup = (32, 1, 1) if "of threadgr" in message else (64, 1, 1)
    assert message in messages(run_kernel, body, threadgroup=threadgroup)


@pytest.mark.parametrize(("body", "message"), [c[1:] for c in EITHER], ids=[c[0] for c in EITHER])
def test_fast_mode_catches(run_kernel, body, message):
    with simulation(check=False):
        assert message in messages(run_kernel, body)


@pytest.mark.parametrize(
    ("body", "low_guard", "message"),
    [
        (INDEX + "y[i] = x[i + 1];", False, "access to memory outside 'x': element 64 of 64: thread (63,"),
        (INDEX + "y[i + 1] = x[i];", False, "access to memory outside 'y': element 64 of 64: thread (63,"),
        (INDEX + "y[i] = x[int(i) - 1];", True, "access to memory outside 'x': element -1 of 64: thread (0, 0, 0)"),
        (INDEX + "y[i * 1000] = x[i];", False, "access to memory outside 'y': element 1000 of 64"),
    ],
)
def test_fast_mode_guards_the_pages_around_buffers(run_kernel, body, low_guard, message):
    with simulation(check=False, low_guard=low_guard):
        assert message in messages(run_kernel, body)


def test_faults_name_the_line_of_the_shader(run_kernel):
    header = "// one\ninline float at(const device float* p, int i) {\n  return p[i];\n}\n"
    found = messages(run_kernel, f"\n{INDEX}\ny[i] = at(x, int(i) + 1);", header=header)
    assert "(header line 3)" in found
    assert "(source line 3)" in messages(run_kernel, f"\n{INDEX}\ny[i] = x[i + 1];")


def test_all_faults_are_counted_and_the_first_shown(run_kernel):
    found = messages(run_kernel, INDEX + "y[i] = x[i + 32];")
    assert "tested: 32 fault(s)" in found
    assert found.count("outside 'x'") == 3
    assert "and 29 more" in found


def test_a_launch_rounded_up_as_on_cuda_shows_the_missing_bound(run_kernel):
    x = mx.arange(60).astype(mx.float32)
    unguarded, guarded = INDEX + "y[i] = x[i];", INDEX + "if (i < 60u) y[i] = x[i];"
    run_kernel(unguarded, x, threadgroup=(32, 1, 1))
    with simulation(round_up_grid=True):
        assert "element 60 of 60" in messages(
            lambda body, **k: run_kernel(body, x, **k), unguarded, threadgroup=(32, 1, 1)
        )
        y, report = run_kernel(guarded, x, threadgroup=(32, 1, 1))
    assert mx.array_equal(y, x)
    assert report.threads == 64 and report.partial_threadgroups == 0


def test_uninitialized_registers_hold_a_conspicuous_number(run_kernel):
    body = INDEX + "float a; if (x[i] < 10.0f) a = 1.0f; y[i] = a;"
    for check in (True, False):
        with simulation(check=check):
            y, _ = run_kernel(body)
        assert mx.all(y[:10] == 1).item()
        assert mx.all(mx.abs(y[10:]) > 1e30).item()


def test_a_full_stack_is_reported(run_kernel):
    body = INDEX + "volatile float a[100000]; a[i] = x[i]; y[i] = a[i];"
    assert "the thread's stack is full" in messages(run_kernel, body)


def test_compiler_errors_name_the_line(run_kernel):
    found = messages(run_kernel, "\ny[0] = frobnicate(x[0]);")
    assert "source:2:" in found and "frobnicate" in found


def test_faults_can_be_collected_instead_of_raised(run_kernel):
    with simulation(raises=False):
        y, report = run_kernel(INDEX + "if (i != 5) y[i] = x[i];")
    assert report.fault_count == 1 and report.buffers["y"].unwritten == 1
    assert mx.isnan(y[5]).item()


def test_rewriting_an_output_is_counted(run_kernel):
    y, report = run_kernel(INDEX + "y[i] = 1.0f; float a = x[i]; y[i] = a;")
    assert mx.array_equal(y, mx.arange(64))
    assert report.rewritten in (0, 64)  # the compiler may see that the first store is dead
    _, report = run_kernel(INDEX + "for (int j = 0; j < 3; ++j) { y[i] = x[j]; }")
    assert report.rewritten == 128


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"grid": (0, 1, 1)}, "metal_kernel tested: grid must be three positive numbers, got (0, 1, 1)"),
        ({"threadgroup": (32, 32, 2)}, "threadgroup must have at most 1024 threads, got (32, 32, 2)"),
    ],
)
def test_impossible_launches_are_refused(run_kernel, arguments, message):
    with pytest.raises(ValueError) as caught:
        run_kernel("y[0] = x[0];", **arguments)
    assert message in str(caught.value)


def test_wrong_numbers_of_arrays_are_refused():
    kernel = Kernel("k", ["a", "b"], ["y"], "")
    launch = {"output_shapes": [(1,)], "output_dtypes": [mx.float32], "grid": (1, 1, 1), "threadgroup": (1, 1, 1)}
    with pytest.raises(ValueError, match="metal_kernel k: expected 2 inputs, got 1"):
        kernel(inputs=[mx.zeros(1)], **launch)
    with pytest.raises(ValueError, match="expected 1 output_shapes and output_dtypes, got 1 and 2"):
        kernel(inputs=[mx.zeros(1)] * 2, **(launch | {"output_dtypes": [mx.float32] * 2}))


def test_unknown_options_are_refused():
    with pytest.raises(ValueError, match="order must be one of"), simulation(order="sideways"):
        pass
    with pytest.raises(ValueError, match="low_guard requires check=False"), simulation(low_guard=True):
        pass
