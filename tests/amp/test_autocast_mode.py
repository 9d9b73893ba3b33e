"""lucid.amp.autocast: the dtype of every operation, and gradients in the dtype of the parameters."""

import importlib
import json
import pkgutil
import threading

import numpy as np
import pytest

import lucid
from lucid import models, nn, ops
from lucid._checks import dtype_name
from lucid.data.digits import Digits
from lucid.nn import functional as F
from lucid.utils import checkpoint
from tests.reference import amp_cases

RECORDED = json.loads(amp_cases.FILE.read_text())
# PyTorch on CPU returns these in bfloat16 and accumulates in float32; on CUDA most of them return float32. Lucid has
# the same rule on every device: norms, probabilities, reductions, exponentials and powers return float32.
HIGHER = {
    "layer_norm", "layer_norm with float32 weight", "group_norm", "softmax", "log_softmax", "sum", "mean", "var",
    "cumsum", "cumprod", "norm", "logsumexp", "exp", "log", "pow", "rsqrt", "softplus",
}  # fmt: skip
# PyTorch on CPU omits these two, although they are matrix products too.
LOWER = {"mv", "dot"}


@pytest.mark.parametrize("case", amp_cases.CASES)
def test_dtypes_match_pytorch_except_for_the_listed_ones(case):
    got = amp_cases.run(lucid, case, lucid.tensor)
    if case in HIGHER:
        assert (got, RECORDED[case]) == ("float32", "bfloat16")
    elif case in LOWER:
        assert (got, RECORDED[case]) == ("bfloat16", "float32")
    else:
        assert got == RECORDED[case]


# Every operation that autocast treats specially; all others follow their inputs.
HALF = {
    "linear", "matmul", "mm", "bmm", "mv", "dot", "vdot", "inner", "addmm", "addmv", "addr", "addbmm", "baddbmm",
    "tensordot", "einsum", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d",
    "attention", "bilinear", "prelu", "quantized_linear", "recurrent_layer",
}  # fmt: skip
FLOAT32 = {
    "layer_norm", "rms_norm", "group_norm", "batch_norm_with_statistics", "batch_norm_of_batch",
    "global_response_norm", "normalize",
    "softmax", "log_softmax", "softmin", "logsigmoid", "softplus", "cross_entropy", "nll_loss", "kl_div", "mse_loss",
    "l1_loss", "smooth_l1_loss", "huber_loss", "binary_cross_entropy", "binary_cross_entropy_with_logits",
    "cosine_similarity",
    "sum", "mean", "prod", "var", "std", "var_mean", "std_mean", "norm", "vector_norm", "matrix_norm", "logsumexp",
    "cumsum", "cumprod", "trace",
    "exp", "exp2", "expm1", "log", "log1p", "log2", "log10", "logaddexp", "pow", "square", "rsqrt", "reciprocal",
    "tan", "sinh", "cosh", "asin", "acos", "erfinv",
    "_affine_grid", "_ctc", "_gaussian_nll_loss", "_safe_softmax", "_sampled", "_triplet", "cdist", "channel_moments",
    "cosine_embedding_loss", "cross_map_lrn2d", "float_power", "gumbel_softmax", "hinge_embedding_loss",
    "instance_norm_of_batch", "local_response_norm", "logaddexp2", "logcumsumexp", "margin_ranking_loss",
    "multi_margin_loss", "multilabel_margin_loss", "multilabel_soft_margin_loss", "nanmean", "nanquantile", "nansum",
    "poisson_nll_loss", "quantile", "soft_margin_loss",
}  # fmt: skip


def operations():
    """The autocast policy of every operation, by module and name."""
    modules = [importlib.import_module(f"lucid.ops.{info.name}") for info in pkgutil.iter_modules(ops.__path__)]
    return {
        module.__name__.rpartition(".")[2]: {
            function.__wrapped__.__name__.rstrip("_"): getattr(function, "autocast", None)
            for function in vars(module).values()
            if hasattr(function, "__wrapped__") and function.__module__ == module.__name__
        }
        for module in [*modules, importlib.import_module("lucid.linalg.norms")]
    }


@pytest.mark.parametrize(("policy", "names"), [("half", HALF), ("float32", FLOAT32)])
def test_the_operations_of_each_policy_are_exactly_these(policy, names):
    found = operations().values()
    assert {name for family in found for name, declared in family.items() if declared == policy} == names
    assert {declared for family in found for declared in family.values()} == {"half", "float32", None}


def test_every_operation_of_some_families_has_a_policy():
    found = operations()
    of_others = {"attention", "bilinear", "linear", "prelu", "quantized_linear", "recurrent_layer", "vdot"}
    assert set(found["convolution"]) | set(found["matrix"]) - {"outer"} | of_others == HALF
    for family in ("normalization", "loss", "norms"):
        assert set(found[family]) - {"multiply"} <= FLOAT32, family
    chosen = {"max", "min", "amax", "amin", "aminmax", "argmax", "argmin", "any", "all", "count_nonzero", "median",
              "kthvalue"}  # fmt: skip  # these do not round
    assert set(found["reduction"]) - chosen <= FLOAT32


def network():
    lucid.manual_seed(1)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.GELU(), nn.Conv2d(8, 8, 5, padding=2, groups=8),
        nn.Flatten(), nn.LayerNorm(8 * 25), nn.Linear(8 * 25, 7),
    )  # fmt: skip


IMAGES = np.random.default_rng(0).normal(size=(4, 3, 5, 5)).astype(np.float32)
CLASSES = np.array([0, 3, 6, 2])


def gradients(inside, **options):
    model = network()
    with lucid.amp.autocast(**options):
        loss = F.cross_entropy(model(lucid.tensor(IMAGES)), lucid.tensor(CLASSES))
        if inside:
            loss.backward()
    if not inside:
        loss.backward()
    return loss, {name: p.grad for name, p in model.named_parameters()}, model


@pytest.mark.parametrize(("dtype", "rtol"), [(lucid.bfloat16, 3e-2), (lucid.float16, 4e-3)])
def test_loss_gradients_and_buffers_stay_float32_and_close(dtype, rtol):
    plain_loss, plain, _ = gradients(False, enabled=False)
    loss, found, model = gradients(False, dtype=dtype)
    assert loss.dtype == lucid.float32 and abs(loss.item() - plain_loss.item()) < rtol * plain_loss.item()
    for name, gradient in found.items():
        assert gradient.dtype == lucid.float32
        # Batch norm cancels the first bias, so its gradient is only rounding error.
        scale = max(plain[name].abs().max().item(), 1e-3 if name == "0.bias" else 0.0)
        assert (gradient - plain[name]).abs().max().item() < 4 * rtol * scale + (5e-3 if name == "0.bias" else 0), name
    assert {tensor.dtype for tensor in model.state_dict().values()} <= {lucid.float32, lucid.int64}


@pytest.mark.parametrize("dtype", [lucid.bfloat16, lucid.float16])
def test_the_cast_is_a_rounding_of_both_operands(dtype):
    x, w = lucid.randn(3, 5, requires_grad=True), lucid.randn(7, 5, requires_grad=True)
    with lucid.autocast(dtype=dtype):
        y = F.linear(x, w)
    rounded = [t.detach().to(dtype).to(lucid.float32).numpy().astype(np.float64) for t in (x, w)]
    np.testing.assert_allclose(y.float().numpy(force=True), rounded[0] @ rounded[1].T, rtol=2e-2, atol=2e-2)
    y.backward(lucid.ones(3, 7))
    np.testing.assert_allclose(x.grad.numpy(), np.ones((3, 7)) @ rounded[1], rtol=2e-2, atol=2e-2)
    np.testing.assert_allclose(w.grad.numpy(), np.ones((7, 3)) @ rounded[0], rtol=2e-2, atol=2e-2)


def test_kernels_keep_their_own_gradients():
    """The declared ones in an ordinary backward pass, and those of mx.vjp for a second derivative."""
    x, w = lucid.randn(2, 5, 6, 3, requires_grad=True), lucid.randn(3, 1, 3, 3, requires_grad=True)
    bias = lucid.randn(3, requires_grad=True)
    with lucid.autocast():
        y = F.conv2d(x, w, bias=bias, padding=1, groups=3, data_format="channels_last")
    assert y.dtype == lucid.bfloat16 and y.grad_fn.vjp is not None
    cotangent = lucid.randn(y.shape)
    own = lucid.autograd.grad(y, [x, w, bias], cotangent, retain_graph=True)
    plain = lucid.autograd.grad(y, [x, w, bias], cotangent, create_graph=True)
    for got, want in zip(own, plain, strict=True):
        assert got.dtype == lucid.float32
        np.testing.assert_allclose(got.numpy(), want.numpy(force=True), rtol=2e-2, atol=2e-2)


def test_backward_does_the_same_inside_and_outside():
    inside, outside = gradients(True)[1], gradients(False)[1]
    assert all(lucid.equal(inside[name], outside[name]) for name in inside)


def test_hooks_and_functions_run_backward_without_autocast():
    seen = []

    class Double(lucid.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            seen.append(lucid.is_autocast_enabled())
            return x * 2

        @staticmethod
        def backward(ctx, gradient):
            seen.append(lucid.is_autocast_enabled())
            return gradient * 2

    x = lucid.ones(2, 2, requires_grad=True)
    with lucid.autocast():
        y = Double.apply(x)
        y.register_hook(lambda gradient: seen.append((gradient @ gradient).dtype))
        y.sum().backward()
    assert seen == [True, lucid.float32, False]


def test_operands_other_than_tensors_are_cast_too():
    x = lucid.randn(2, 3)
    with lucid.autocast():
        assert (x @ np.ones((3, 2))).dtype == lucid.bfloat16
        assert lucid.einsum("ij,jk", [x, lucid.ones(3, 2)]).dtype == lucid.bfloat16
        assert F.linear(x, weight=lucid.ones(2, 3), bias=lucid.ones(2)).dtype == lucid.bfloat16


def test_float64_and_integers_are_not_cast():
    with lucid.device("cpu"), lucid.autocast():
        double = lucid.ones(2, 2, dtype=lucid.float64)
        assert (double @ double).dtype == lucid.float64
        assert double.exp().dtype == lucid.float64
        whole = lucid.ones(2, 2, dtype=lucid.int64)
        assert (whole @ whole).dtype == lucid.int64
        assert whole.sum().dtype == lucid.int64


def test_nesting_and_disabling():
    x = lucid.ones(2, 2)
    with lucid.autocast():
        with lucid.autocast(enabled=False):
            assert (x @ x).dtype == lucid.float32 and not lucid.is_autocast_enabled()
        with lucid.autocast("cuda", lucid.float16):
            assert (x @ x).dtype == lucid.float16
        assert (x @ x).dtype == lucid.bfloat16 and lucid.is_autocast_enabled("cuda")
    assert (x @ x).dtype == lucid.float32


def test_an_error_inside_ends_it():
    with pytest.raises(ZeroDivisionError), lucid.autocast():
        raise ZeroDivisionError
    assert not lucid.is_autocast_enabled()


def test_as_a_decorator():
    @lucid.amp.autocast("cpu", dtype="float16")
    def product(x, depth=2):
        """The product."""
        return product(x, depth - 1) if depth else x @ x

    assert product.__doc__ == "The product."
    assert product(lucid.ones(2, 2)).dtype == lucid.float16
    assert not lucid.is_autocast_enabled()


def test_other_threads_are_not_affected():
    seen = []
    with lucid.autocast():
        thread = threading.Thread(target=lambda: seen.append(lucid.is_autocast_enabled()))
        thread.start()
        thread.join()
    assert seen == [False]


def test_a_checkpoint_is_recomputed_in_the_same_precision():
    results, dtypes = [], []
    for run in (lambda f, *a: f(*a), checkpoint):
        lucid.manual_seed(2)
        x, w = lucid.randn(5, 5, requires_grad=True), lucid.randn(5, 5, requires_grad=True)

        def function(x, w=w):
            y = x @ w
            dtypes.append(y.dtype)
            return y.tanh() @ w

        with lucid.autocast():
            y = run(function, x)
        y.sum().backward()
        results.append((x.grad, w.grad))
    assert len(dtypes) >= 3 and set(dtypes) == {lucid.bfloat16}
    assert all(lucid.equal(plain, again) for plain, again in zip(*results, strict=True))


def train_on_digits(low):
    """The loss of the last epoch, and the dtypes of the training state."""
    digits = Digits()
    images = [digits[i] for i in range(256)]
    x = lucid.tensor(np.stack([one for one, _ in images]).astype(np.float32) / Digits.max_value)
    y = lucid.tensor(np.array([target for _, target in images]))
    lucid.manual_seed(0)
    model = models.ConvNeXt(10, [1, 1], [12, 24], in_chans=1, patch_size=2, layer_scale_init=1.0)
    optimizer = lucid.optim.AdamW(model.parameters(), lr=6e-3)
    losses = []
    for step in range(40):
        batch = slice(step % 4 * 64, step % 4 * 64 + 64)
        optimizer.zero_grad()
        with lucid.autocast(enabled=low):
            loss = F.cross_entropy(model(x[batch]), y[batch])
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    kept = [*model.state_dict().values(), *optimizer.state_tensors(), *(p.grad for p in model.parameters())]
    return losses[0], np.mean(losses[-4:]), {tensor.dtype for tensor in kept}


def test_convnext_in_bfloat16_trains_to_the_loss_of_float32():
    first, plain, _ = train_on_digits(False)
    _, low, dtypes = train_on_digits(True)
    assert plain < 0.4 * first
    assert abs(low - plain) < 0.02 * plain
    assert dtypes == {lucid.float32}


def test_a_compiled_function_uses_its_callers_precision():
    w = lucid.randn(4, 3)
    product = lucid.compile(lambda x: x @ w)
    x = lucid.randn(2, 4)
    plain = product(x)
    with lucid.autocast():
        low = product(x)
        assert low.dtype == lucid.bfloat16 and lucid.equal(low, x @ w)
    assert plain.dtype == product(x).dtype == lucid.float32


def test_second_derivatives():
    x, w = lucid.randn(3, 4, requires_grad=True), lucid.randn(4, 2, requires_grad=True)

    def penalty(low):
        with lucid.autocast(enabled=low):
            y = (x @ w).exp().sum()
        (first,) = lucid.autograd.grad(y, x, create_graph=True)
        assert first.dtype == lucid.float32
        return lucid.autograd.grad((first**2).sum(), [x, w])

    for low, plain in zip(penalty(True), penalty(False), strict=True):
        assert low.dtype == lucid.float32
        assert (low - plain).abs().max().item() < 0.05 * plain.abs().max().item()


def test_without_recording():
    with lucid.no_grad(), lucid.autocast():
        logits = network()(lucid.tensor(IMAGES))
    assert logits.dtype == lucid.bfloat16 and not logits.requires_grad


def test_in_place_writes_keep_the_dtype():
    x = lucid.ones(2, 2)
    half = lucid.ones(2, dtype=lucid.bfloat16)
    with lucid.autocast():
        x += x @ x
        half.exp_()
    assert x.dtype == lucid.float32 and half.dtype == lucid.bfloat16


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"dtype": lucid.float32}, ValueError, "autocast: dtype must be float16 or bfloat16, got float32"),
        ({"dtype": "fp16"}, TypeError, "autocast: dtype must be one of .*, got 'fp16'"),
        (
            {"device_type": lucid.float16},
            TypeError,
            "autocast: device_type must be a string, got .*pass a dtype as dtype=",
        ),
        ({"device_type": "tpu"}, ValueError, "autocast: device_type must be 'cpu', .* or 'mps', got 'tpu'"),
    ],
)
def test_wrong_arguments_are_named(arguments, error, message):
    with pytest.raises(error, match=message):
        lucid.amp.autocast(**arguments)


def test_dtype_names_match_the_record():
    assert set(RECORDED.values()) <= {dtype_name(lucid.float32), dtype_name(lucid.bfloat16)}
    assert set(RECORDED) == set(amp_cases.CASES)
