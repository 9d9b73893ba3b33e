"""Every gradient that an operation declares agrees with the plain formula: value, first and second derivatives."""

import functools
import importlib
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


BAND = (mx.arange(12).reshape(3, 4) % 3) == 0


def selecting(run, plain, *shapes):
    return [(run, plain, list(shapes) or [(3, 1, 67)])]


SELECTIONS = {
    "clamp": selecting(
        lucid.clamp, lambda x, low, high: mx.minimum(mx.maximum(x, low), high), (5, 4, 7), (4, 1), (1, 7)
    )
    + selecting(lambda x: lucid.clamp(x, -0.5, 0.75), lambda x: mx.minimum(mx.maximum(x, -0.5), 0.75)),
    "clamp_max": selecting(lambda x: lucid.clamp_max(x, 0.25), lambda x: mx.where(x > 0.25, 0.25, x)),
    "clamp_min": selecting(lucid.clamp_min, mx.maximum, (3, 5), (5,)),
    "fmax": selecting(lucid.fmax, mx.maximum, (3, 5), (5,)),
    "fmin": selecting(lucid.fmin, mx.minimum, (3, 1), (1, 5)),
    "hardshrink": selecting(F.hardshrink, lambda x: mx.where(mx.abs(x) <= 0.5, 0, x)),
    "hardsigmoid": selecting(F.hardsigmoid, lambda x: mx.clip(x / 6 + 0.5, 0, 1)),
    "hardtanh": selecting(lambda x: F.hardtanh(x, -0.5, 0.75), lambda x: mx.clip(x, -0.5, 0.75)),
    "leaky_relu": selecting(lambda x: F.leaky_relu(x, 0.2), lambda x: mx.maximum(x, 0.2 * x)),
    "masked_fill": selecting(
        lambda x, value: x.masked_fill(lucid.tensor(BAND), value), lambda x, value: mx.where(BAND, value, x), (3, 1), ()
    ),
    "maximum": selecting(lucid.maximum, mx.maximum, (3, 5), (5,)),
    "minimum": selecting(lucid.minimum, mx.minimum, (3, 1), (1, 5)),
    "relu": selecting(F.relu, lambda x: mx.maximum(x, 0)),
    "relu6": selecting(F.relu6, lambda x: mx.clip(x, 0, 6)),
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
    declared -= {"hardtanh_", "leaky_relu_", "relu_", "threshold_"}  # the same, in place
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
