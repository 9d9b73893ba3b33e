"""Every gradient that an operation declares agrees with the plain formula: value, first and second derivatives."""

import functools
import importlib
import itertools
import math
import pkgutil
from pathlib import Path
from types import FunctionType

import mlx.core as mx
import numpy as np
import pytest

import lucid
from lucid import _device
from lucid.nn import functional as F

TOLERANCE = {mx.float32: 1e-5, mx.float16: 4e-3, mx.bfloat16: 3e-2}


def plain_gelu(x):
    return x * (0.5 + 0.5 * mx.erf(x * math.sqrt(0.5)))


def depthwise(data_format, x, weight, bias=None, **options):
    return F.conv2d(x, weight, bias=bias, groups=weight.shape[0], data_format=data_format, **options)


def plain_depthwise(data_format, x, weight, *bias, stride=1, padding=0, dilation=1):
    """A sum of shifted slices, one per weight."""
    if data_format == "channels_first":
        x = x.transpose(0, 2, 3, 1)
    x = mx.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    kh, kw = weight.shape[2:]
    height, width = x.shape[1] - dilation * (kh - 1), x.shape[2] - dilation * (kw - 1)
    y = sum(bias)
    for i in range(kh):
        for j in range(kw):
            rows, columns = (
                slice(at * dilation, at * dilation + size, stride) for at, size in ((i, height), (j, width))
            )
            y = y + x[:, rows, columns] * weight[:, 0, i, j]
    return y.transpose(0, 3, 1, 2) if data_format == "channels_first" else y


def convolution(data_format, shapes, **options):
    run, plain = (functools.partial(one, data_format, **options) for one in (depthwise, plain_depthwise))
    return run, plain, shapes


def max_pooling(name, shape, size, stride=None, padding=0, dilation=1):
    """The operation and the plain formula: the first of the largest values in each window."""
    dims = int(name[-2])
    stride = stride or size

    def run(x):
        return getattr(F, name)(x, size, stride, padding, dilation)

    def plain(x):
        x = mx.pad(x, [(0, 0)] * (x.ndim - dims) + [(padding, padding)] * dims, constant_values=-math.inf)
        counts = [(n - dilation * (size - 1) - 1) // stride + 1 for n in x.shape[-dims:]]
        values = []
        for place in itertools.product(range(size), repeat=dims):
            spans = [
                slice(at * dilation, at * dilation + (n - 1) * stride + 1, stride)
                for at, n in zip(place, counts, strict=True)
            ]
            values.append(x[(..., *spans)])
        values = mx.stack(values, -1)
        return mx.take_along_axis(values, mx.argmax(mx.stop_gradient(values), -1, keepdims=True), -1).squeeze(-1)

    return [(run, plain, [shape])]


BAND = (mx.arange(12).reshape(3, 4) % 3) == 0


def selecting(run, plain, *shapes):
    return [(run, plain, list(shapes) or [(3, 1, 67)])]


SELECTIONS = {
    "celu": selecting(lambda x: F.celu(x, 0.7), lambda x: mx.where(x > 0, x, 0.7 * (mx.exp(x / 0.7) - 1))),
    "clamp": selecting(
        lucid.clamp, lambda x, low, high: mx.minimum(mx.maximum(x, low), high), (5, 4, 7), (4, 1), (1, 7)
    )
    + selecting(lambda x: lucid.clamp(x, -0.5, 0.75), lambda x: mx.minimum(mx.maximum(x, -0.5), 0.75)),
    "clamp_max": selecting(lambda x: lucid.clamp_max(x, 0.25), lambda x: mx.where(x > 0.25, 0.25, x)),
    "clamp_min": selecting(lucid.clamp_min, mx.maximum, (3, 5), (5,)),
    "elu": selecting(lambda x: F.elu(x, 1.3), lambda x: mx.where(x > 0, x, 1.3 * (mx.exp(x) - 1))),
    "fmax": selecting(lucid.fmax, mx.maximum, (3, 5), (5,)),
    "fmin": selecting(lucid.fmin, mx.minimum, (3, 1), (1, 5)),
    "hardshrink": selecting(F.hardshrink, lambda x: mx.where(mx.abs(x) <= 0.5, 0, x)),
    "hardsigmoid": selecting(F.hardsigmoid, lambda x: mx.clip(x / 6 + 0.5, 0, 1)),
    "hardtanh": selecting(lambda x: F.hardtanh(x, -0.5, 0.75), lambda x: mx.clip(x, -0.5, 0.75)),
    "leaky_relu": selecting(lambda x: F.leaky_relu(x, 0.2), lambda x: mx.maximum(x, 0.2 * x)),
    "masked_fill": selecting(
        lambda x, value: x.masked_fill(lucid.tensor(BAND), value), lambda x, value: mx.where(BAND, value, x), (3, 1), ()
    ),
    "max_pool1d": max_pooling("max_pool1d", (2, 3, 17), 4, 3, 2),
    "max_pool2d": max_pooling("max_pool2d", (2, 3, 7, 9), 3, 2, 1)
    + max_pooling("max_pool2d", (3, 6, 8), 2)
    + max_pooling("max_pool2d", (1, 2, 9, 8), 3, 1, 0, 2),
    "max_pool3d": max_pooling("max_pool3d", (1, 2, 4, 5, 6), 2, 1, 1),
    "maximum": selecting(lucid.maximum, mx.maximum, (3, 5), (5,)),
    "minimum": selecting(lucid.minimum, mx.minimum, (3, 1), (1, 5)),
    "relu": selecting(F.relu, lambda x: mx.maximum(x, 0)),
    "relu6": selecting(F.relu6, lambda x: mx.clip(x, 0, 6)),
    "selu": selecting(
        F.selu, lambda x: 1.0507009873554805 * mx.where(x > 0, x, 1.6732632423543772 * (mx.exp(x) - 1))
    ),
    "softshrink": selecting(F.softshrink, lambda x: mx.sign(x) * mx.maximum(mx.abs(x) - 0.5, 0)),
    "threshold": selecting(lambda x: F.threshold(x, 0.25, 3.0), lambda x: mx.where(x > 0.25, x, 3.0)),
    "where": selecting(
        lambda x, other: lucid.where(lucid.tensor(BAND), x, other), lambda x, other: mx.where(BAND, x, other), (4,),
        (3, 1),
    ),
}  # fmt: skip
# Per operation: how it is called, the plain formula on arrays, the shapes of its arguments.
COMPARISONS = {
    "gelu": [(F.gelu, plain_gelu, [(3, 1, 67)])],
    "conv2d": [
        convolution("channels_first", [(2, 3, 9, 8), (3, 1, 3, 2), (3,)], padding=1),
        convolution("channels_first", [(4, 3, 6, 7), (3, 1, 3, 3), (3,)], padding=1),
        convolution("channels_last", [(2, 9, 8, 3), (3, 1, 3, 3), (3,)], stride=2, padding=2),
        convolution("channels_last", [(1, 9, 8, 3), (3, 1, 2, 3)], padding=1, dilation=2),
    ],
    **SELECTIONS,
}
# Compared with the layers they replace, by tests/models/test_fused_block.py.
OF_THE_FUSED_BLOCK = {"add_branch", "add_product", "biased_gelu", "conv2d_and_input", "gelu_grn", "grn_product"}
# What needs several processes: compared in tests/distributed/test_sync_batch_norm.py.
OF_ALL_RANKS = {"gathered"}
# The files whose functions of arrays declare their gradient, each used by an operation above or with comparisons of its
# own in tests/kernels: because the plain formula is wrong somewhere, or because the operation has no declared gradient.
# The profiler's are the identity.
CUSTOM_VJPS = {
    "_profile/marks.py", "kernels/bessel_functions.py", "kernels/biased_gelu.py",
    "kernels/depthwise_conv2d/dispatch.py", "kernels/factorizations.py", "kernels/float64.py",
    "kernels/gamma_functions.py", "kernels/gelu.py", "kernels/gelu_grn.py", "kernels/grn_product.py",
    "kernels/incomplete_gamma.py",
    "kernels/layer_norm.py", "kernels/matmul.py", "kernels/normal_functions.py", "kernels/power.py",
    "kernels/scatter_product.py", "kernels/spectra.py", "ops/number_parts.py", "ops/pointwise.py",
    "ops/synchronized.py",
}  # fmt: skip


def test_every_declared_gradient_has_a_comparison():
    modules = [importlib.import_module(one.name) for one in pkgutil.walk_packages(lucid.__path__, "lucid.")]
    functions = [one for module in modules for one in vars(module).values() if isinstance(one, FunctionType)]
    declared = {one.__name__ for one in functions if getattr(one, "vjp", None) is not None}
    declared -= {
        f"{name}_" for name in ("celu", "elu", "hardtanh", "leaky_relu", "relu", "selu", "threshold")
    }  # in place
    declared -= {f"max_pool{dims}d_with_indices" for dims in (1, 2, 3)}  # the same with return_indices=True
    assert declared == set(COMPARISONS) | OF_THE_FUSED_BLOCK | OF_ALL_RANKS


def test_every_custom_vjp_belongs_to_an_operation_with_a_comparison():
    root = Path(lucid.__file__).parent
    using = {str(path.relative_to(root)) for path in root.rglob("*.py") if "import custom_vjp" in path.read_text()}
    assert using == CUSTOM_VJPS
    assert [path.name for path in root.rglob("*.py") if "mx.custom_function(" in path.read_text()] == ["custom_vjp.py"]


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize(
    ("run", "plain", "shapes"),
    [
        pytest.param(*comparison, id=f"{name}-{number}")
        for name, listed in COMPARISONS.items()
        for number, comparison in enumerate(listed)
    ],
)
def test_a_declared_gradient_is_that_of_the_plain_formula(run, plain, shapes, dtype):
    compare_with_plain(run, plain, shapes, dtype)


def compare_with_plain(run, plain, shapes, dtype):
    """Compare ``run`` on tensors of ``dtype`` with ``plain`` on the same values as float32 arrays."""
    rng = np.random.default_rng(0)

    def random(shape):
        return mx.array(rng.normal(size=shape).astype(np.float32)).astype(dtype)

    def close(got, wanted, what):
        assert got.dtype == dtype and tuple(got.shape) == wanted.shape, what
        error = mx.abs(got.mlx.astype(mx.float32) - wanted).max().item()
        assert error <= TOLERANCE[dtype] * max(mx.abs(wanted).max().item(), 1.0), what

    arrays, directions = ([random(shape) for shape in shapes] for _ in range(2))
    exact = [one.astype(mx.float32) for one in arrays]
    exact_directions = [one.astype(mx.float32) for one in directions]
    tensors = [lucid.tensor(one, requires_grad=True) for one in arrays]

    y = run(*tensors)
    close(y, plain(*exact), "value")
    cotangent = lucid.tensor(random(y.shape), requires_grad=True)
    if _device.backend() == "cpu":  # a GPU has a fast erf, whose gradient MLX derives
        node = y.grad_fn
        assert node.vjp.function(cotangent.mlx, *node.args, **node.kwargs) is not None, (
            "the declared gradient is unused"
        )

    def gradients(*values):
        return mx.vjp(plain, list(values[:-1]), [values[-1]])[1]

    exact_cotangent = cotangent.mlx.astype(mx.float32)
    first = gradients(*exact, exact_cotangent)
    recorded = lucid.autograd.grad(y, tensors, cotangent, create_graph=True)
    y.backward(cotangent.detach(), retain_graph=True)
    for at, wanted in enumerate(first):
        close(tensors[at].grad, wanted, f"gradient {at}")
        close(recorded[at], wanted, f"recorded gradient {at}")

    second = mx.vjp(gradients, [*exact, exact_cotangent], exact_directions)[1]
    found = lucid.autograd.grad(
        recorded, [*tensors, cotangent], [lucid.tensor(one) for one in directions], materialize_grads=True
    )
    for at, (got, wanted) in enumerate(zip(found, second, strict=True)):
        close(got, wanted, f"second derivative {at}")


POINTS = [-4.0, -1.0, 0.25, 1.0, 7.0]
# PyTorch's gradients at POINTS for a cotangent that is infinite where the value is not selected.
UNSELECTED = {
    "where": (lambda x: lucid.where(x > 0, x, lucid.zeros(5)), [0, 0, 1, 1, 1]),
    "masked_fill": (lambda x: x.masked_fill(x <= 0, 0.0), [0, 0, 1, 1, 1]),
    "relu": (F.relu, [0, 0, 1, 1, 1]),
    "relu6": (F.relu6, [0, 0, 1, 1, 0]),
    "threshold": (lambda x: F.threshold(x, 0.5, 0.0), [0, 0, 0, 1, 1]),
    "hardtanh": (lambda x: F.hardtanh(x, 0.0, 2.0), [0, 0, 1, 1, 0]),
    "hardshrink": (F.hardshrink, [1, 1, 0, 1, 1]),
    "softshrink": (F.softshrink, [1, 1, 0, 1, 1]),
    "hardsigmoid": (F.hardsigmoid, [0, 1 / 6, 1 / 6, 1 / 6, 0]),
    "clamp": (lambda x: x.clamp(0.0, 2.0), [0, 0, 1, 1, 0]),
    "clamp_min": (lambda x: x.clamp_min(0.0), [0, 0, 1, 1, 1]),
    "clamp_max": (lambda x: x.clamp_max(2.0), [1, 1, 1, 1, 0]),
    "maximum": (lambda x: lucid.maximum(x, lucid.zeros(5)), [0, 0, 1, 1, 1]),
    "minimum": (lambda x: lucid.minimum(x, lucid.ones(5) * 2), [1, 1, 1, 1, 0]),
    "fmax": (lambda x: lucid.fmax(x, lucid.zeros(5)), [0, 0, 1, 1, 1]),
    "fmin": (lambda x: lucid.fmin(x, lucid.ones(5) * 2), [1, 1, 1, 1, 0]),
}


@pytest.mark.parametrize("name", UNSELECTED)
@pytest.mark.parametrize("value", [math.inf, math.nan])
def test_what_is_not_selected_gets_no_gradient(name, value):
    function, wanted = UNSELECTED[name]
    x = lucid.tensor(POINTS, requires_grad=True)
    function(x).backward(lucid.tensor([1.0 if one else value for one in wanted]))
    np.testing.assert_allclose(x.grad.numpy(), wanted, rtol=1e-6)


def test_a_root_behind_relu_has_finite_gradients():
    x = lucid.tensor([-1.0, 4.0], requires_grad=True)
    F.relu(x).sqrt().sum().backward()
    assert x.grad.tolist() == [0.0, 0.25]


BORDERS = [-math.inf, -4.0, -1.0, 0.0, 0.25, 7.0, math.inf, math.nan]
# PyTorch 2.13's gradients at BORDERS for a cotangent of 1; alpha is 1.5.
EXPONENTIAL = {
    "elu": (lambda x: F.elu(x, 1.5), [0, 0.027473459, 0.55181921, 1.5, 1, 1, 1, 1]),
    "celu": (lambda x: F.celu(x, 1.5), [0, 0.069483444, 0.51341712, 1, 1, 1, 1, 1]),
    "selu": (F.selu, [0, 0.032200713, 0.64676863, 1.7580993, 1.050701, 1.050701, 1.050701, 1.050701]),
}


@pytest.mark.parametrize("name", EXPONENTIAL)
@pytest.mark.parametrize("cotangent", [1.0, math.inf, math.nan])
@pytest.mark.parametrize("is_recorded", [False, True])
def test_exponential_units_at_their_borders(name, cotangent, is_recorded):
    function, slopes = EXPONENTIAL[name]
    x = lucid.tensor(BORDERS, requires_grad=True)
    [found] = lucid.autograd.grad(function(x), x, lucid.full((8,), cotangent), create_graph=is_recorded)
    # In PyTorch 2.13 an infinite cotangent gives inf everywhere but at -inf, where the slope is 0.
    wanted = [slope * cotangent for slope in slopes]
    np.testing.assert_allclose(found.detach().numpy(), wanted, rtol=2e-6)


def test_exponential_units_in_float64():
    points = np.array([-30.0, -1.5, -1e-9, 0.0, 2.0])
    x = lucid.tensor(points, dtype=lucid.float64, requires_grad=True)
    F.elu(x, 1.5).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), np.where(points > 0, 1, 1.5 * np.exp(points)), rtol=1e-14)


_INF, _NAN = math.inf, math.nan
IMAGE = [[1, _INF, 3, -_INF], [_NAN, 2, -_INF, -_INF], [5, 5, -1, _NAN], [0, 5, _NAN, 2]]


# PyTorch 2.13's gradients for cotangents that are infinite for the first window and NaN for the last one.
@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({"kernel_size": 2}, [[0, 0, 2, 0], [_INF, 0, 0, 0], [3, 0, 0, 0], [0, 0, _NAN, 0]]),
        ({"kernel_size": 3, "stride": 1}, [[0, 0, 0, 0], [_INF, 0, 0, 0], [0, 0, 0, 2], [0, 0, _NAN, 0]]),
        ({"kernel_size": 3, "stride": 2, "padding": 1}, [[0, 2, 0, 0], [_INF, 0, 0, 0], [0] * 4, [0, 0, _NAN, 0]]),
    ],
)
@pytest.mark.parametrize("return_indices", [False, True])
@pytest.mark.parametrize("is_recorded", [False, True])
def test_max_pooling_passes_gradients_to_the_maximum_alone(options, wanted, return_indices, is_recorded):
    x = lucid.tensor([[IMAGE]], requires_grad=True)
    y = F.max_pool2d(x, **options, return_indices=return_indices)
    cotangent = lucid.tensor([[[[_INF, 2.0], [3.0, _NAN]]]])
    found = lucid.autograd.grad(y[0] if return_indices else y, x, cotangent, create_graph=is_recorded)[0]
    np.testing.assert_array_equal(found.detach().numpy()[0, 0], wanted)
