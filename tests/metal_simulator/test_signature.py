"""The generated source equals what MLX prints."""

import os
import tempfile

import mlx.core as mx
import pytest

from tests.metal_simulator import generated_source


def printed_by_mlx(inputs, output_dtypes, template, atomic_outputs, **definition):
    """MLX prints while it traces, and traces without Metal in ``mx.export_function``. It prints from C++, so the file
    descriptor is redirected."""
    kernel = mx.fast.metal_kernel(**definition, atomic_outputs=atomic_outputs)
    launch = {"grid": (32, 1, 1), "threadgroup": (32, 1, 1), "verbose": True}

    def traced(*arrays):
        shapes = [(8,)] * len(output_dtypes)
        return kernel(
            inputs=list(arrays), output_shapes=shapes, output_dtypes=output_dtypes, template=template, **launch
        )[0]

    with tempfile.TemporaryFile("w+") as printed, tempfile.TemporaryDirectory() as folder:
        kept = os.dup(1)
        os.dup2(printed.fileno(), 1)
        try:
            mx.export_function(os.path.join(folder, "traced.mlxfn"), traced, *inputs)
        finally:
            os.dup2(kept, 1)
            os.close(kept)
        printed.seek(0)
        return printed.read().split("```\n", 1)[1].rsplit("\n```", 1)[0]


BIG, SMALL, SCALAR = (4, 5), (7,), ()
ALL_ATTRIBUTES = "thread_position_in_grid threads_per_grid simdgroup_index_in_threadgroup thread_index_in_simdgroup"
CASES = {
    "plain": ([BIG], 1, "y[0] = x[0];", []),
    "fewer than 8 elements": ([SMALL], 1, "y[0] = x[0];", []),
    "no elements": ([(0, 3)], 1, "y[0] = 1;", []),
    "a scalar": ([SCALAR], 1, "y[0] = x;", []),
    "a scalar whose shape the body mentions": ([SCALAR, BIG], 1, "y[0] = x; // x_shape b_shape", []),
    "shape": ([BIG], 1, "y[0] = x[x_shape[0]];", []),
    "shape, strides, ndim": ([BIG, SMALL], 1, "x_shape x_strides x_ndim b_ndim b_strides", []),
    "an attribute": ([BIG], 1, "y[thread_position_in_grid.x] = x[0];", []),
    "attributes": ([BIG, BIG], 1, ALL_ATTRIBUTES, []),
    "an attribute inside another's name": ([BIG], 1, "dispatch_threads_per_threadgroup", []),
    "several outputs": ([BIG], 3, "y[0] = z[0] = w[0] = x[0];", []),
    "several outputs and attributes": ([BIG, SCALAR], 2, "x_shape thread_position_in_grid", []),
    "several outputs and a shape, which MLX 0.32 gets wrong": ([BIG, BIG], 2, "b_shape", []),
    "template": ([BIG], 1, "y[0] = T(x[0]);", [("T", mx.bfloat16), ("K", 7), ("N", -2), ("B", True), ("C", False)]),
    "all types in a template": (
        [BIG],
        1,
        "",
        [(f"T{i}", dtype) for i, dtype in enumerate((mx.bool_, mx.uint8, mx.int64, mx.float16, mx.float32))],
    ),
}


@pytest.mark.parametrize("dtype", [mx.float32, mx.float16, mx.bfloat16, mx.int32])
@pytest.mark.parametrize(("shapes", "outputs", "source", "template"), CASES.values(), ids=CASES)
@pytest.mark.parametrize("atomic_outputs", [False, True])
def test_the_source_is_that_of_mlx(shapes, outputs, source, template, dtype, atomic_outputs):
    inputs = [mx.zeros(shape, dtype) for shape in shapes]
    definition = {
        "name": "tested",
        "input_names": ["x", "b"][: len(inputs)],
        "output_names": ["y", "z", "w"][:outputs],
        "source": source,
        "header": "// a header\ninline float twice(float a) { return 2 * a; }\n",
    }
    dtypes = [dtype, mx.float32, mx.uint8][:outputs]
    ours = generated_source(
        **definition, inputs=inputs, output_dtypes=dtypes, template=template, atomic_outputs=atomic_outputs
    )
    assert ours == printed_by_mlx(inputs, dtypes, template, atomic_outputs, **definition)


@pytest.mark.parametrize(
    "dtype", [mx.bool_, mx.uint8, mx.uint16, mx.uint32, mx.uint64, mx.int8, mx.int16, mx.int32, mx.int64]
)
def test_the_names_of_types_are_those_of_mlx(dtype):
    definition = {"name": "t", "input_names": ["x"], "output_names": ["y"], "source": "", "header": ""}
    inputs = [mx.zeros(9, dtype)]
    assert generated_source(**definition, inputs=inputs, output_dtypes=[dtype]) == printed_by_mlx(
        inputs, [dtype], [], False, **definition
    )


def test_nothing_comes_between_header_and_signature():
    definition = {
        "name": "t",
        "input_names": ["x"],
        "output_names": ["y"],
        "source": "y[0] = x[0];",
        "header": "// end",
    }
    ours = generated_source(**definition, inputs=[mx.zeros(9)], output_dtypes=[mx.float32])
    assert ours == printed_by_mlx([mx.zeros(9)], [mx.float32], [], False, **definition)


def test_other_template_arguments_are_refused():
    with pytest.raises(TypeError, match=r"metal_kernel: template arguments must be bool, int or mx.Dtype, got 1.5"):
        generated_source("t", ["x"], ["y"], "", "", [mx.zeros(1)], [mx.float32], [("F", 1.5)])
