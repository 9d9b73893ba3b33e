"""The depthwise convolution against formulas in float64: values, gradients, gradients of gradients, errors."""

import mlx.core as mx
import numpy as np
import pytest

import lucid
from lucid import _device, nn
from lucid.kernels import library, use_reference
from lucid.kernels.depthwise_conv2d import depthwise_conv2d, launch, tiling
from lucid.kernels.depthwise_conv2d.tiling import Tiling, WeightGradientTiling
from tests.kernels.depthwise_conv2d.formulas import (
    TOLERANCE,
    arrays,
    expected,
    expected_gradients,
    float64,
    pairs,
    relative_error,
    slices_per_tap,
)
from tests.kernels.shader_text import check_legal_metal
from tests.metal_simulator import simulation

# x (N, H, W, C), kernel, stride, padding, dilation
SHAPES = [
    ((1, 14, 14, 96), (7, 7), 1, 3, 1),
    ((2, 7, 7, 40), (7, 7), 1, 3, 1),
    ((4, 9, 11, 5), (7, 7), 1, 3, 1),
    ((3, 5, 6, 3), (3, 3), 1, 1, 1),
    ((1, 12, 13, 33), (5, 3), (1, 1), (2, 1), 1),
    ((1, 7, 7, 16), (7, 7), 1, 0, 1),
    ((1, 10, 6, 8), (3, 7), 1, ((0, 1), (5, 4)), 1),
    ((1, 1, 1, 4), (7, 7), 1, 3, 1),
    ((1, 6, 7, 1), (1, 1), 1, 0, 1),
    ((1, 6, 5, 2), (1, 3), 1, 4, 1),
    ((1, 14, 15, 40), (3, 3), 2, 1, 1),
    ((2, 13, 9, 8), (5, 5), (2, 1), ((2, 0), (4, 3)), (1, 2)),
    ((1, 17, 17, 6), (7, 7), 4, 3, 1),
    ((1, 11, 12, 7), (3, 3), 1, (3, 2), (3, 2)),
    ((1, 15, 33, 2), (1, 31), (1, 3), (0, 15), 1),
    ((8, 4, 4, 3), (3, 3), 3, 0, 1),
]


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize(("shape", "kernel", "stride", "padding", "dilation"), SHAPES, ids=str)
def test_value_and_gradients(cpu_kernels, shape, kernel, stride, padding, dilation, dtype):
    x, weight, bias, cotangent = arrays(shape, kernel, dtype, stride, padding, dilation)

    def run(x, weight, bias):
        return depthwise_conv2d(x, weight, bias, stride, padding, dilation)

    [y], gradients = mx.vjp(run, [x, weight, bias], [cotangent])
    assert y.dtype == dtype and all(one.dtype == dtype for one in gradients)
    wanted = expected(float64(x), float64(weight), float64(bias), stride, padding, dilation)
    assert relative_error(y, wanted) < TOLERANCE[dtype]
    all_wanted = expected_gradients(float64(x), float64(weight), float64(cotangent), stride, padding, dilation)
    for got, wanted in zip(gradients, all_wanted, strict=True):
        assert relative_error(got, wanted) < TOLERANCE[dtype]


@pytest.mark.parametrize("wanted", [(0,), (1,), (2,), (0, 2), (1, 2), (0, 1)])
def test_gradients_of_some_arguments_only(wanted):
    x, weight, bias, cotangent = arrays((2, 6, 5, 3), (3, 3), mx.float32, padding=1)

    def loss(*values):
        return (depthwise_conv2d(*values, padding=1) * cotangent).sum()

    some = mx.grad(loss, argnums=wanted)(x, weight, bias)
    some = some if len(wanted) > 1 else [some]  # MLX unpacks a tuple of one
    every = mx.grad(loss, argnums=(0, 1, 2))(x, weight, bias)
    for got, position in zip(some, wanted, strict=True):
        assert mx.array_equal(got, every[position])


def test_without_bias():
    x, weight, bias, _ = arrays((2, 6, 5, 3), (3, 3), mx.float32)
    assert mx.allclose(depthwise_conv2d(x, weight) + bias, depthwise_conv2d(x, weight, bias), atol=1e-5)
    d_x, d_weight = mx.grad(lambda *values: depthwise_conv2d(*values).square().sum(), argnums=(0, 1))(x, weight)
    assert d_x.shape == x.shape and d_weight.shape == weight.shape


def slices_formula(x, weight, bias, stride, padding, dilation):
    """The same as a sum of slices times weights, which MLX differentiates any number of times."""
    _, spans, _ = slices_per_tap(np.zeros(x.shape), np.zeros(weight.shape), stride, padding, dilation)
    rows, columns = (pairs(one) for one in pairs(padding))
    padded = mx.pad(x, ((0, 0), rows, columns, (0, 0)))
    return sum(padded[spans[i, j]] * weight[:, 0, i, j] for i, j in spans) + bias


@pytest.mark.parametrize(("stride", "padding", "dilation"), [(1, 1, 1), (2, ((0, 2), (1, 0)), 1), (1, 2, (2, 1))])
def test_second_derivatives(cpu_kernels, stride, padding, dilation):
    x, weight, bias, cotangent = arrays((2, 7, 6, 3), (3, 2), mx.float32, stride, padding, dilation)
    directions = [mx.random.normal(one.shape) for one in (x, weight, bias)]

    def second_derivatives(convolution):
        def loss(x, weight, bias, cotangent):
            """The tanh makes every second derivative nonzero."""
            return (mx.tanh(convolution(x, weight, bias, stride, padding, dilation)) * cotangent).sum()

        def slope(x, weight, bias, cotangent):
            gradients = mx.grad(loss, argnums=(0, 1, 2))(x, weight, bias, cotangent)
            return sum((one * along).sum() for one, along in zip(gradients, directions, strict=True))

        return mx.grad(slope, argnums=(0, 1, 2, 3))(x, weight, bias, cotangent)

    ours, wanted = second_derivatives(depthwise_conv2d), second_derivatives(slices_formula)
    for got, one in zip(ours, wanted, strict=True):
        assert relative_error(got, float64(one)) < 1e-5


def test_the_reference_path_gives_the_same():
    x, weight, bias, cotangent = arrays((2, 7, 6, 3), (3, 2), mx.float32, 2, 1, 1)

    def run():
        return mx.vjp(lambda *values: depthwise_conv2d(*values, 2, 1, 1), [x, weight, bias], [cotangent])

    ours = run()
    with use_reference():
        reference = run()
    for got, wanted in zip(ours[0] + ours[1], reference[0] + reference[1], strict=True):
        assert relative_error(got, float64(wanted)) < 1e-5


@pytest.mark.parametrize("padding", [0, 2])
def test_second_derivatives_of_the_reference(padding):
    """With a stride that leaves rows, of the input or of the padding, after the last position of the kernel."""
    with use_reference():
        test_second_derivatives(None, 3, padding, 1)


def test_inside_compile_and_checkpoint(cpu_kernels):
    x, weight, bias, cotangent = arrays((2, 9, 8, 5), (5, 5), mx.bfloat16, padding=2)

    def loss(x, weight, bias):
        return (mx.tanh(depthwise_conv2d(x, weight, bias, padding=2)) * cotangent).sum()

    gradients = mx.grad(loss, argnums=(0, 1, 2))
    plain = gradients(x, weight, bias)
    for other in (mx.compile(gradients), mx.grad(mx.checkpoint(loss), argnums=(0, 1, 2))):
        for got, wanted in zip(other(x, weight, bias), plain, strict=True):
            assert relative_error(got, float64(wanted)) < TOLERANCE[mx.bfloat16]


def test_mixed_dtypes_are_promoted_and_gradients_come_back_in_their_own():
    x, weight, bias, _ = arrays((1, 5, 5, 3), (3, 3), mx.float32)
    values = x.astype(mx.bfloat16), weight, bias.astype(mx.float16)
    assert depthwise_conv2d(*values).dtype == mx.float32
    gradients = mx.grad(lambda *values: depthwise_conv2d(*values).sum(), argnums=(0, 1, 2))(*values)
    assert [one.dtype for one in gradients] == [mx.bfloat16, mx.float32, mx.float16]


def test_empty_batch():
    x, weight, bias = mx.zeros((0, 5, 5, 3)), mx.ones((3, 1, 3, 3)), mx.ones((3,))
    assert depthwise_conv2d(x, weight, bias).shape == (0, 3, 3, 3)
    _, [d_x, d_weight] = mx.vjp(lambda *values: depthwise_conv2d(*values, bias), [x, weight], [mx.ones((0, 3, 3, 3))])
    assert d_x.shape == x.shape
    assert mx.array_equal(d_weight, mx.zeros(weight.shape))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"weight": mx.zeros((6, 1, 3, 3))}, ValueError, "depthwise_conv2d: x has 8 channels but weight has 6 filters"),
        (
            {"weight": mx.zeros((8, 2, 3, 3))},
            ValueError,
            r"weight must have shape \(C, 1, KH, KW\), got \(8, 2, 3, 3\)",
        ),
        ({"weight": mx.zeros((8, 3, 3))}, ValueError, "weight must have 4 dimensions"),
        ({"weight": mx.zeros((8, 1, 0, 3))}, ValueError, r"the kernel must not be empty, got size \(0, 3\)"),
        ({"x": mx.zeros((5, 5, 8))}, ValueError, r"x must have 4 dimensions \(N, H, W, C\), got \(5, 5, 8\)"),
        ({"x": np.zeros((1, 5, 5, 8))}, TypeError, "x must be an mx.array, got ndarray"),
        ({"x": mx.zeros((1, 5, 5, 8), mx.int32)}, TypeError, "x must hold floating-point numbers, got int32"),
        ({"bias": mx.zeros((1, 8))}, ValueError, r"bias must have shape \(8,\), got \(1, 8\)"),
        ({"stride": 0}, ValueError, "stride must be at least 1, got 0"),
        ({"dilation": (1, 0)}, ValueError, "dilation must be at least 1, got 0"),
        ({"padding": -1}, ValueError, "padding must be at least 0, got -1"),
        ({"padding": ((1, 1), (1, 1), (1, 1))}, ValueError, "padding must be"),
        ({"dilation": 4, "padding": 1}, ValueError, "the kernel spans 9x9 pixels but the padded input has only 7x7"),
    ],
)
def test_errors(change, error, message):
    arguments = {"x": mx.zeros((1, 5, 5, 8)), "weight": mx.zeros((8, 1, 3, 3)), **change}
    with pytest.raises(error, match=message):
        depthwise_conv2d(**arguments)


# The shaders: on a Mac's GPU, elsewhere in the simulator --------------------------------------------------------------

STAGES = [(56, 96), (28, 192), (14, 384), (7, 768)]
# The rolling kernels are compiled for each of these sizes; the general ones for none.
ROLLING_KERNELS = [(7, 7), (3, 3), (5, 2), (1, 7), (6, 1)]


def check_all(shape, kernel, stride, padding, dilation, dtype):
    """The output and all gradients against float64."""
    x, weight, bias, cotangent = arrays(shape, kernel, dtype, stride, padding, dilation)
    [y], gradients = mx.vjp(
        lambda *values: depthwise_conv2d(*values, stride, padding, dilation), [x, weight, bias], [cotangent]
    )
    exact = [float64(one) for one in (x, weight, bias)]
    wanted = [expected(*exact, stride, padding, dilation)]
    wanted += expected_gradients(*exact[:2], float64(cotangent), stride, padding, dilation)
    for name, got, one in zip(("y", "d_x", "d_weight", "d_bias"), (y, *gradients), wanted, strict=True):
        assert got.dtype == dtype
        assert relative_error(got, one) < TOLERANCE[dtype], name


def random_case(number):
    """A difficult case: odd, prime or 1x1 sizes, any stride, dilation and uneven padding that fit."""
    rng = np.random.default_rng([number, 3])

    def one_of(*values):
        return values[rng.integers(len(values))]

    while True:
        n, c = (
            int(rng.integers(1, 4)),
            int(one_of(1, 2, 3, 7, 8, 31, 32, 33, 64, 97, 127, 128, 133, rng.integers(1, 134))),
        )
        size = [int(one_of(1, 2, 5, 7, 11, 13, 17, 23, rng.integers(1, 40))) for _ in range(2)]
        padding = tuple(tuple(int(one) for one in rng.integers(0, one_of(1, 4, 16), 2)) for _ in range(2))
        if number % 3 == 0:
            kernel, stride, dilation = one_of(*ROLLING_KERNELS), (1, 1), (1, 1)
        else:
            kernel = tuple(int(one_of(1, 2, 3, 5, 7, 9, 31, rng.integers(1, 32))) for _ in range(2))
            stride = tuple(int(one) for one in rng.integers(1, 5, 2))
            dilation = tuple(int(one) for one in rng.integers(1, 5, 2))
        extents = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
        fits = all(s + sum(p) >= e for s, p, e in zip(size, padding, extents, strict=True))
        if fits and n * c * size[0] * size[1] * kernel[0] * kernel[1] < 20_000_000:
            return (n, *size, c), kernel, stride, padding, dilation


@pytest.mark.parametrize("number", range(300))
def test_random_shapes_on_the_gpu(gpu, number):
    case = random_case(number)
    for dtype in TOLERANCE:
        check_all(*case, dtype)


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize(("size", "channels"), STAGES)
@pytest.mark.parametrize("images", [1, 2, 3])
def test_the_stages_of_convnext_tiny_on_the_gpu(gpu, images, size, channels, dtype):
    check_all((images, size, size, channels), (7, 7), 1, 3, 1, dtype)


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize(("shape", "kernel", "stride", "padding", "dilation"), SHAPES, ids=str)
def test_the_same_shapes_on_the_gpu(gpu, shape, kernel, stride, padding, dilation, dtype):
    check_all(shape, kernel, stride, padding, dilation, dtype)


@pytest.mark.parametrize(("stride", "padding", "dilation"), [(1, 1, 1), (2, ((0, 2), (1, 0)), 1), (1, 2, (2, 1))])
def test_second_derivatives_on_the_gpu(gpu, stride, padding, dilation):
    test_second_derivatives(None, stride, padding, dilation)


@pytest.mark.parametrize("low_guard", [False, True])
def test_nothing_outside_of_a_buffer_is_accessed_at_either_end(simulator, low_guard):
    """Without the simulator's own checks: an unreadable page comes right before or after each buffer."""
    with simulation(check=False, low_guard=low_guard):
        for case in (SHAPES[2], SHAPES[6], SHAPES[10], SHAPES[11], SHAPES[13]):
            check_all(*case, mx.float32)


def test_whole_threadgroups_as_cuda_launches_them(simulator):
    with simulation(round_up_grid=True):
        for case in SHAPES:
            check_all(*case, mx.float32)


# y[n,h,w,c] is the same sum in the same order for every tiling and in both families.
@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize(("shape", "kernel", "padding"), [((2, 30, 13, 5), (7, 7), 3), ((1, 9, 8, 33), (3, 3), (0, 2))])
def test_results_do_not_depend_on_the_tiling(gpu, monkeypatch, shape, kernel, padding, dtype):
    x, weight, bias, _ = arrays(shape, kernel, dtype, 1, padding, 1)
    plain = depthwise_conv2d(x, weight, bias, padding=padding)
    out = (shape[0], shape[3], plain.shape[1], plain.shape[2])
    tilings = [one for one in tiling.candidates("metal", kernel, out) if one.threads == 32]
    assert {one.strip for one in tilings} == {1, 2, 3, 4} and max(one.chunks for one in tilings) > 1
    for chosen in tilings:
        monkeypatch.setattr(tiling, "forward_tiling", lambda *_, chosen=chosen: chosen)
        assert mx.array_equal(depthwise_conv2d(x, weight, bias, padding=padding), plain)
    monkeypatch.setattr(launch, "_is_rolling", lambda geometry: False)
    assert mx.array_equal(depthwise_conv2d(x, weight, bias, padding=padding), plain)


@pytest.mark.parametrize("strip", tiling.STRIPS)
@pytest.mark.parametrize("count", [1, 3, 50])
def test_the_weight_gradient_is_right_for_every_tiling(gpu, strip, count):
    shape, kernel = (3, 15, 14, 33), (7, 7)
    x, weight, _, cotangent = arrays(shape, kernel, mx.float32, 1, 3, 1)
    units = 3 * 3 * -(-14 // strip)
    tiles = WeightGradientTiling(strip, 6, count, -(-units // (count * tiling.GROUPS)))
    geometry = launch.Geometry.checked("test", shape[1:3], kernel, 1, 3, 1)
    found = launch.Launcher("metal").weight_gradient(x, cotangent, geometry, tiles)
    _, wanted, bias = expected_gradients(float64(x), float64(weight), float64(cotangent), 1, 3, 1)
    assert relative_error(found[0].transpose(2, 0, 1)[:, None], wanted) < TOLERANCE[mx.float32]
    assert relative_error(found[1], bias) < TOLERANCE[mx.float32]
    again = launch.Launcher("metal").weight_gradient(x, cotangent, geometry, tiles)
    assert all(mx.array_equal(a, b) for a, b in zip(found, again, strict=True))  # in another order of the threads


@pytest.mark.parametrize("threads", [32, 64, 256])
def test_gradients_do_not_depend_on_the_threadgroup(gpu, monkeypatch, threads):
    x, weight, bias, cotangent = arrays((3, 15, 14, 20), (7, 7), mx.float32, 1, 3, 1)

    def gradients():
        return mx.vjp(lambda *values: depthwise_conv2d(*values, padding=3), [x, weight, bias], [cotangent])[1]

    before = gradients()
    run = launch.Launcher._run

    def with_threads(*args, **options):
        if args[1] != "rolling_weight_gradient":  # which adds up the sums of a threadgroup
            options["threadgroup"] = (32, threads // 32, 1)
        return run(*args, **options)

    monkeypatch.setattr(launch.Launcher, "_run", with_threads)
    assert all(mx.array_equal(a, b) for a, b in zip(gradients(), before, strict=True))


def test_few_bytes_are_loaded_and_little_threadgroup_memory(simulator):
    """MLX's own forward kernel loads 212 bytes per output here, and 49 values from threadgroup memory."""
    x, weight, bias, cotangent = arrays((1, 56, 56, 96), (7, 7), mx.float32, 1, 3, 1)
    mx.eval(mx.vjp(lambda *values: depthwise_conv2d(*values, padding=3), [x, weight, bias], [cotangent]))
    outputs = 56 * 56 * 96
    assert set(simulator.names) == {"lucid_rolling_forward", "lucid_rolling_weight_gradient"}
    for name, report in simulator:
        is_forward = name == "lucid_rolling_forward"
        assert report.loaded_bytes / outputs <= (18 if is_forward else 19)
        assert (report.threadgroup_loads + report.threadgroup_stores) / outputs <= 3
        assert report.rewritten == 0
        assert report.multiply_adds <= 49 * outputs


# Plausible mistakes in the shader: (correct code, mutated code). The tests must fail for each of them.
MUTATIONS = {
    "bound off by one": ("first + COUNT <= width", "first + COUNT <= width + 1"),
    "missing border check": ("column >= 0 && column < width ? value", "true ? value"),
    "border check off by one": ("column >= 0 && column < width ? value", "column >= 0 && column <= width ? value"),
    "border check one short": ("column >= 0 && column < width ? value", "column >= 0 && column < width - 1 ? value"),
    "border check after the first": ("column >= 0 && column < width ? value", "column > 0 && column < width ? value"),
    "pointer past the last column": ("column < width - 1 ? channels", "column < width ? channels"),
    "pointer short of the last column": ("column < width - 1 ? channels", "column < width - 2 ? channels"),
    "pointer from the first column": ("row += clamp(first, 0, width - 1) * channels;", ""),
    "pointer that moves before the row": ("row += column >= 0 &&", "row += "),
    "shifted center": ("lowest + (KH - 1) - top;", "lowest + (KH - 1) - top + 1;"),
    "shifted columns": ("int first = column - bounds[1];", "int first = column - bounds[1] + 1;"),
    "transposed weight": ("const int number = i * KW + j;", "const int number = j * KH + i;"),
    "weight of one channel": ("weight += size_t(c - lane) * size_t(KH * KW);", "weight += 0;"),
    "gradient without the flip": ("FLIP ? KH * KW - 1 - number : number", "number"),
    "general gradient without the flip": ("FLIP ? kh * kw - 1 - number : number", "number"),
    "general weight of one channel": ("weight += size_t(c) * size_t(kh * kw);", "weight += 0;"),
    "flipped weight": ("tap[KH - 1 - r][j]", "tap[r][j]"),
    "lost bias": ("BIAS ? float(bias[c]) : 0.0f;", "0.0f;"),
    "bias of another channel": ("BIAS ? float(bias[c])", "BIAS ? float(bias[0])"),
    "missing row check": ("if (row >= 0 && row < height) {", "if (row < height) {"),
    "stores after the last column": ("lowest >= begin && column + s < out_width", "lowest >= begin"),
    "stores to rows of the previous chunk": ("lowest >= begin && column", "lowest >= 0 && column"),
    "chunks that overlap": ("const int end = min(begin + rows,", "const int end = min(begin + rows + 1,"),
    "chunk too short": ("const int end = min(begin + rows,", "const int end = min(begin + rows - 1,"),
    "every image is the first": ("y += size_t(at.z)", "y += size_t(0)"),
    "sums that are not reset": ("sums[KH - 1][s] = start;", ""),
    "uninitialized sums": ("sums[r][s] = start;\n", ";\n"),
    "channels that wrap late": ("const int c = int(at.x) % channels;", "const int c = int(at.x) % (channels + 1);"),
    "dy of the next unit counted": ("if (out_row < end) {", "if (out_row < out_height) {"),
    "partial sums in one place": ("partial += size_t(int(at.y) / GROUPS)", "partial += size_t(0)"),
    "units counted twice": ("min(next + count, units)", "min(next + count + 1, units)"),
    "units after the last": ("c < channels ? min(next + count, units) : next", "c < channels ? next + count : next"),
    "channels after the last": ("c < channels ? min(next + count, units) : next", "min(next + count, units)"),
    "stores of channels after the last": ("if (c < channels) {\n        partial", "if (true) {\n        partial"),
    "strips of the next image": ("const int n = chunk / row_chunks;", "const int n = unit / row_chunks;"),
    "units of one column": ("(unit - chunk * strips) * S", "0"),
    "missing barrier before the sums": (
        "    threadgroup_barrier(mem_flags::mem_threadgroup);\n    const int",
        "    const int",
    ),
    "missing barrier after the sums": ("      threadgroup_barrier(mem_flags::mem_threadgroup);  //", "      //"),
    "sums of one thread": ("sum += shared[(g * (KW + 1)", "sum += shared[(group * (KW + 1)"),
    "sum of dy of one row": ("const int wanted = i == 0 ? KW + 1 : KW;", "const int wanted = KW;"),
    "rows of dy that do not move": ("dys[i][s] = dys[i - 1][s];", "dys[i][s] = dys[i][s];"),
    "lost sum of dy": ("total += float(dys[0][s]);", ""),
    "stride and dilation exchanged": ("* stride_h + i * dilation_h - top", "* dilation_h + i * stride_h - top"),
    "window that does not slide": ("window[s] = window[s + STEP];", "window[s] = window[s];"),
    "ignored remainder": ("w < out_width && w * stride_w == across", "w < out_width"),
    "columns after the kernel": ("if (j0 + j < kw) {\n      partial", "if (true) {\n      partial"),
    "rows counted twice": ("min(begin + count, lines);", "min(begin + count + 1, lines);"),
}
MUTATION_CASES = [
    ((1, 6, 11, 3), (3, 9), 1, (1, 4), 1),
    ((2, 30, 9, 40), (7, 7), 1, 3, 1),
    ((2, 9, 11, 40), (3, 9), (2, 1), ((2, 1), (4, 4)), (1, 1)),
    ((1, 9, 11, 3), (3, 3), (2, 3), 1, (1, 2)),
    ((1, 8, 9, 5), (7, 7), 1, 0, 1),
]


def check_mutation_cases(monkeypatch):
    """Cases that use every function, with several chunks each."""
    monkeypatch.setattr(tiling, "forward_tiling", lambda *_: Tiling(4, 3))
    monkeypatch.setattr(tiling, "weight_gradient_tiling", two_chunks)
    with simulation(round_up_grid=True):
        for case in MUTATION_CASES:
            check_all(*case, mx.float32)


def two_chunks(_language, _kernel, shape, _itemsize):
    """Units of 4 columns and half of the rows, two chunks of threads, the last threads without units."""
    images, _, height, width = shape
    rows = -(-height // 2)
    units = images * -(-height // rows) * -(-width // 4)
    count = max(1, units // (tiling.GROUPS + 3))
    return WeightGradientTiling(4, rows, count, -(-units // (count * tiling.GROUPS)))


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_a_mutation_of_the_shader_is_caught(simulator, monkeypatch, tmp_path, mutation):
    right, wrong = MUTATIONS[mutation]
    shader = library.source("depthwise_conv2d.metal")
    assert right in shader
    (tmp_path / "depthwise_conv2d.metal").write_text(shader.replace(right, wrong))
    monkeypatch.setattr(library, "METAL_FOLDER", tmp_path)
    library.clear_cache()
    with pytest.raises(AssertionError):  # SimulationError is one, and so is a wrong result
        check_mutation_cases(monkeypatch)


def test_without_a_mutation_the_same_cases_pass(simulator, monkeypatch):
    check_mutation_cases(monkeypatch)


def test_inside_checkpoint_on_the_gpu(gpu):
    x, weight, bias, cotangent = arrays((2, 9, 8, 5), (5, 2), mx.bfloat16, padding=2)

    def loss(x, weight, bias):
        return (mx.tanh(depthwise_conv2d(x, weight, bias, padding=2)) * cotangent).sum()

    plain = mx.grad(loss, argnums=(0, 1, 2))(x, weight, bias)
    for got, wanted in zip(mx.grad(mx.checkpoint(loss), argnums=(0, 1, 2))(x, weight, bias), plain, strict=True):
        assert mx.array_equal(got, wanted)


@pytest.mark.parametrize("data_format", ["channels_first", "channels_last"])
def test_conv2d_uses_the_kernels_in_both_data_formats(gpu, data_format):
    layer = nn.Conv2d(6, 6, (5, 2), padding=1, groups=6, data_format=data_format)
    images = lucid.randn(2, 6, 7, 8) if data_format == "channels_first" else lucid.randn(2, 7, 8, 6)
    layer(images).square().sum().backward()
    if gpu is not None:
        assert set(gpu.names) == {"lucid_rolling_forward", "lucid_rolling_weight_gradient"}
    x = images.mlx.transpose(0, 2, 3, 1) if data_format == "channels_first" else images.mlx
    weight, bias = layer.weight.mlx, layer.bias.mlx
    wanted = mx.grad(lambda w, b: slices_formula(x, w, b, 1, 1, 1).square().sum(), argnums=(0, 1))(weight, bias)
    for got, one in zip((layer.weight.grad.mlx, layer.bias.grad.mlx), wanted, strict=True):
        assert relative_error(got, float64(one)) < 2e-5


# Cases that launch every function with inputs in both of Metal's address spaces: MLX passes inputs of fewer than 8
# elements in `constant` and others in `device`.
LEGAL_CASES = [SHAPES[0], SHAPES[7], SHAPES[8], SHAPES[11], SHAPES[13], ((1, 2, 3, 1), (1, 2), (2, 1), 0, 1)]


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("case", LEGAL_CASES, ids=str)
def test_the_shader_is_legal_metal(monkeypatch, case, dtype):
    shape, kernel, *options = case
    x, weight, bias, cotangent = arrays(shape, kernel, dtype, *options)

    def launch_all():
        gradients = mx.vjp(lambda *values: depthwise_conv2d(*values, *options), [x, weight, bias], [cotangent])
        return gradients, depthwise_conv2d(x, weight, None, *options)

    assert len(check_legal_metal(monkeypatch, launch_all)) >= 3


# The formulas that everything is compared with, by finite differences in float64 ---------------------------------


@pytest.mark.parametrize(("stride", "padding", "dilation"), [(1, 1, 1), ((2, 3), ((0, 2), (1, 0)), (1, 2))])
def test_gradients_and_their_gradients_by_finite_differences(monkeypatch, stride, padding, dilation):
    monkeypatch.setattr(_device, "backend", lambda: "cpu")  # a Mac's GPU has no float64
    rng = np.random.default_rng(0)
    step, shape, kernel = 1e-5, (2, 6, 7, 3), (3, 2)
    start = [rng.normal(size=size) for size in (shape, (3, 1, *kernel), (3,))]
    cotangent = rng.normal(size=slices_per_tap(start[0], start[1], stride, padding, dilation)[2])
    directions = [rng.normal(size=one.shape) for one in start]

    def loss(*values):
        """The tanh makes every second derivative nonzero."""
        return (mx.tanh(depthwise_conv2d(*values, stride, padding, dilation)) * mx.array(cotangent, mx.float64)).sum()

    def slopes(*values):
        return mx.grad(loss, argnums=(0, 1, 2))(*values)

    def along(gradients):
        return sum((one * mx.array(d, mx.float64)).sum() for one, d in zip(gradients, directions, strict=True))

    def at(distance, function):
        moved = [mx.array(one + distance * d, mx.float64) for one, d in zip(start, directions, strict=True)]
        return function(*moved)

    with mx.stream(mx.cpu):
        first = along(at(0, slopes)).item()
        assert first == pytest.approx((at(step, loss) - at(-step, loss)).item() / (2 * step), rel=1e-7)
        bends = at(0, lambda *values: mx.grad(lambda *v: along(slopes(*v)), argnums=(0, 1, 2))(*values))
        second = along(bends).item()
        assert second == pytest.approx(
            (along(at(step, slopes)) - along(at(-step, slopes))).item() / (2 * step), rel=1e-6
        )
