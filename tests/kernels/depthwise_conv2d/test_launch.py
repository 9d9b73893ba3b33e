"""Which function is launched, and on which grid; test_dispatch.py runs the shaders themselves."""

import mlx.core as mx
import pytest

from lucid import _device
from lucid.kernels import library, native, use_reference
from lucid.kernels.depthwise_conv2d import depthwise_conv2d, dispatch, tiling
from lucid.kernels.depthwise_conv2d.geometry import Geometry
from lucid.kernels.depthwise_conv2d.launch import Launcher
from tests.kernels.recorded_launches import recording_kernel

ROLLING = ["rolling_forward", "rolling_weight_gradient", "rolling_forward"]
GENERAL = ["general_forward", "general_weight_gradient", "general_forward"]
STRIDED = ["general_forward", "general_weight_gradient", "strided_input_gradient"]


@pytest.fixture
def launches(monkeypatch):
    """Everything that is launched; the kernels compute nothing."""
    listed = []

    monkeypatch.setattr(library, "kernel", recording_kernel(listed))
    monkeypatch.setattr(_device, "backend", lambda: "metal")
    monkeypatch.setenv("LUCID_TUNING", "off")
    return listed


def run(x, weight, bias=None, **options):
    """Forward and all gradients, evaluated."""
    arrays = [x, weight] if bias is None else [x, weight, bias]
    shape = depthwise_conv2d(*arrays, **options).shape
    outputs, gradients = mx.vjp(lambda *values: depthwise_conv2d(*values, **options), arrays, [mx.zeros(shape)])
    mx.eval(outputs, gradients)
    assert [one.shape for one in gradients] == [one.shape for one in arrays]


@pytest.mark.parametrize(
    ("kernel", "options", "names"),
    [
        ((7, 7), {"padding": 3}, ROLLING),
        ((1, 7), {}, ROLLING),
        ((8, 7), {"padding": 3}, GENERAL),
        ((7, 9), {"padding": 4}, GENERAL),
        ((3, 3), {"dilation": 2}, GENERAL),
        ((3, 3), {"dilation": (1, 2)}, GENERAL),
        ((3, 3), {"stride": 2}, STRIDED),
        ((3, 3), {"stride": (1, 2)}, STRIDED),
    ],
)
@pytest.mark.parametrize("has_bias", [False, True])
def test_the_geometry_chooses_the_function(launches, kernel, options, names, has_bias):
    x, weight = mx.zeros((2, 20, 19, 5)), mx.zeros((5, 1, *kernel))
    run(x, weight, mx.zeros((5,)) if has_bias else None, **options)
    assert {one["name"] for one in launches} == set(names)
    for one in launches:  # the call is the last line, after declarations of threadgroup memory
        assert one["call"].splitlines()[-1].startswith(f"{one['name']}<") and one["shader"] == "depthwise_conv2d"
    assert {dict(one["template"]).get("BIAS") for one in launches} >= {has_bias}


def test_every_constant_is_short_enough_for_constant_memory(launches):
    for options in ({"padding": 3}, {"stride": 2}, {"dilation": 2}):
        run(mx.zeros((2, 20, 19, 5)), mx.zeros((5, 1, 7, 7)), **options)
    whole = [array for one in launches for array in one["inputs"] if array.dtype == mx.int32]
    assert whole and all(array.size < 8 for array in whole)


def test_grids_cover_every_output(launches):
    run(mx.zeros((3, 56, 56, 96)), mx.zeros((96, 1, 7, 7)), padding=3)
    forward, weights = (next(one for one in launches if one["name"] == name) for name in ROLLING[:2])
    strip = dict(forward["template"])["S"]
    chunk_rows = forward["inputs"][3].tolist()[5]
    assert forward["grid"] == (96, -(-56 // strip) * -(-56 // chunk_rows), 3)
    assert forward["threadgroup"] == (32, 4, 1)
    strip, (rows, count) = dict(weights["template"])["S"], weights["inputs"][3].tolist()
    units = 3 * -(-56 // rows) * -(-56 // strip)
    [(chunks, taps, channels)] = weights["output_shapes"]
    assert (taps, channels) == (50, 96) and chunks == -(-units // (8 * count))
    assert weights["grid"] == (96, 8 * chunks, 1) and weights["threadgroup"] == (32, 8, 1)
    assert weights["output_dtypes"] == [mx.float32]


def test_every_pipeline_supports_the_threadgroup(launches):
    """MLX raises above the pipeline's limit, which falls with the registers: 384 threads with all 256 of an M1."""
    for kernel, options in ((7, {"padding": 3}), (9, {"padding": 4}), (3, {"stride": 2})):
        run(mx.zeros((3, 56, 56, 96)), mx.zeros((96, 1, kernel, kernel)), **options)
    assert {one["name"] for one in launches} == {*ROLLING, *STRIDED}
    for one in launches:
        x, y, z = one["threadgroup"]
        assert x % 32 == 0 and 64 <= x * y <= 384 and z == 1


def test_equal_shapes_of_other_sizes_compile_nothing_new(launches):
    for size in (20, 33, 50):
        run(mx.zeros((2, size, size + 3, 5)), mx.zeros((5, 1, 3, 3)), stride=2, padding=1)
    compiled = {(one["name"], str(one["template"])) for one in launches}
    assert len(compiled) == 3


@pytest.mark.parametrize("dtype", [mx.float32, mx.float16, mx.bfloat16], ids=str)
def test_the_dtype_is_a_template_argument(launches, dtype):
    for kernel, options in ((7, {"padding": 3}), (9, {"padding": 4}), (3, {"stride": 2})):
        x, weight = mx.zeros((2, 20, 19, 5), dtype), mx.zeros((5, 1, kernel, kernel), dtype)
        mx.eval(mx.vjp(lambda *a, o=options: depthwise_conv2d(*a, **o), [x, weight],
                       [mx.zeros(depthwise_conv2d(x, weight, **options).shape, dtype)]))  # fmt: skip
    assert {one["name"] for one in launches} == {*ROLLING, *STRIDED}
    assert all(dict(one["template"])["T"] == dtype for one in launches)


def test_a_tuned_tiling_is_used(launches, monkeypatch):
    monkeypatch.setattr(tiling, "forward_tiling", lambda *_: tiling.Tiling(2, 5, 64))
    run(mx.zeros((3, 20, 20, 8)), mx.zeros((8, 1, 3, 3)), padding=1)
    forward = next(one for one in launches if one["name"] == "rolling_forward")
    assert forward["grid"] == (8, 50, 3) and forward["threadgroup"] == (32, 2, 1)
    assert forward["inputs"][3].tolist() == [1, 1, 20, 20, 0, 4]


@pytest.mark.parametrize("language", ["metal", "cuda"])
def test_the_gpu_chooses_the_language(launches, monkeypatch, language):
    monkeypatch.setattr(_device, "backend", lambda: language)
    run(mx.zeros((1, 5, 5, 2)), mx.zeros((2, 1, 3, 3)))
    assert {one["language"] for one in launches} == {language}


@pytest.mark.parametrize(
    ("shape", "dtype", "version"),
    [
        ((4, 8, 8, 5), mx.float32, "native"),
        ((1, 8, 8, 5), mx.bfloat16, "native"),
        ((4, 8, 8, 5), mx.float64, "shifted_sums"),
        ((4, 8, 8, 0), mx.float32, "shifted_sums"),
        ((0, 8, 8, 5), mx.float32, "shifted_sums"),
    ],
)
def test_the_compiler_chooses_on_the_cpu(monkeypatch, shape, dtype, version):
    monkeypatch.setattr(_device, "backend", lambda: "cpu")
    geometry = dispatch.Geometry(shape[1:3], (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1))
    monkeypatch.setattr(native, "library", lambda: None)
    assert dispatch.implementation(shape, dtype, geometry) == "shifted_sums"
    monkeypatch.setattr(native, "library", object)
    assert dispatch.implementation(shape, dtype, geometry) == version


@pytest.mark.parametrize(
    ("backend", "shape", "dtype", "version"),
    [
        ("metal", (1, 8, 8, 4), mx.float32, "metal"),
        ("metal", (1, 8, 8, 4), mx.bfloat16, "metal"),
        ("cuda", (1, 8, 8, 4), mx.float16, "cuda"),
        ("metal", (0, 8, 8, 4), mx.float32, "shifted_sums"),
        ("metal", (1, 8, 8, 4), mx.float64, "reference"),
        ("metal", (1, 2**15, 2**15, 2), mx.float32, "reference"),
        ("metal", (1, 2**15, 2**15, 1), mx.float32, "metal"),
        ("metal", (2**16, 8, 8, 4), mx.float32, "metal"),
        ("metal", (2**28, 8, 8, 1), mx.float32, "reference"),
        ("metal", (2**25, 8, 8, 1), mx.float32, "reference"),
        ("metal", (2**25 - 1, 8, 8, 1), mx.float32, "metal"),
        ("cuda", (2**16, 8, 8, 4), mx.float32, "reference"),
        ("cuda", (1, 2**16, 8, 4), mx.float32, "reference"),
        ("cuda", (1, 8, 2**16, 4), mx.float32, "reference"),
    ],
)
def test_a_stated_condition_chooses(monkeypatch, backend, shape, dtype, version):
    monkeypatch.setattr(_device, "backend", lambda: backend)
    geometry = Geometry(shape[1:3], (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1))
    assert dispatch.implementation(shape, dtype, geometry) == version
    with use_reference():
        assert dispatch.implementation(shape, dtype, geometry) == "reference"


@pytest.mark.parametrize(
    ("kernel", "stride", "names"), [((7, 7), (1, 1), ROLLING), ((9, 9), (1, 1), GENERAL), ((3, 3), (2, 2), STRIDED)]
)
@pytest.mark.parametrize("dtype", [mx.float32, mx.float16, mx.bfloat16], ids=str)
def test_mlx_accepts_every_launch(tmp_path, kernel, stride, names, dtype):
    """MLX builds the graph with the kernels, which needs no GPU and checks names, templates, grids and dtypes."""
    geometry = Geometry((20, 19), kernel, stride, ((3, 2), (3, 3)), (1, 1))
    launcher = Launcher("metal")
    x, weight, bias = mx.zeros((2, 20, 19, 5), dtype), mx.zeros((*kernel, 5), dtype), mx.zeros((5,), dtype)
    gradient = mx.zeros((2, *geometry.output, 5), dtype)

    def all_three(x, weight, bias, gradient):
        return (
            launcher.forward(x, weight, bias, geometry),
            launcher.input_gradient(gradient, weight, geometry),
            *launcher.weight_gradient(x, gradient, geometry),
        )

    library.clear_cache()
    mx.export_function(str(tmp_path / "all.mlxfn"), all_three, x, weight, bias, gradient)
    exported = (tmp_path / "all.mlxfn").read_bytes()
    assert all(f"custom_kernel_lucid_{name}".encode() in exported for name in names)


@pytest.mark.parametrize("dtype", [mx.float32, mx.float16, mx.bfloat16], ids=str)
@pytest.mark.parametrize(
    ("shape", "kernel", "options"),
    [
        ((2, 9, 11, 5), 7, {"padding": 3}),
        ((1, 20, 6, 33), 3, {"padding": 1}),
        ((2, 12, 12, 5), 7, {"padding": 6, "dilation": 2}),
        ((2, 12, 12, 5), 9, {"padding": 4}),
    ],
    ids=str,
)
def test_an_input_gradient_starts_from_another(gpu, shape, kernel, options, dtype):
    def normal(shape, seed):
        return mx.random.normal(shape, key=mx.random.key(seed)).astype(dtype)

    geometry = Geometry.checked("test", shape[1:3], (kernel, kernel), 1, options["padding"], options.get("dilation", 1))
    dy, start = normal((shape[0], *geometry.output, shape[3]), 0), normal(shape, 1)
    weight = normal((kernel, kernel, shape[3]), 2)
    launcher = Launcher("metal")
    expected = launcher.input_gradient(dy.astype(mx.float32), weight.astype(mx.float32), geometry) + start
    found = launcher.input_gradient(dy, weight, geometry, start)
    assert found.dtype == dtype
    assert (
        mx.abs(found.astype(mx.float32) - expected).max().item()
        <= mx.finfo(dtype).eps * 4 * mx.abs(expected).max().item()
    )


def test_the_start_takes_no_launch_of_its_own(launches):
    geometry = Geometry.checked("test", (8, 8), (7, 7), 1, 3, 1)
    Launcher("metal").input_gradient(mx.zeros((2, 8, 8, 5)), mx.zeros((7, 7, 5)), geometry, mx.zeros((2, 8, 8, 5)))
    assert [one["name"] for one in launches] == ["rolling_forward"]
    assert dict(launches[0]["template"])["MAP"] is True
