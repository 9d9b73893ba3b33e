"""Normalization agrees with PyTorch or its formula in both layouts and rejects invalid sizes."""

import numpy as np
import pytest

import lucid
from lucid.nn import functional as F
from tests.checking import check, recorded
from tests.ops.layouts import same_in_both


@pytest.mark.parametrize(("case", "record"), recorded("ops_normalization"))
def test_agrees_with_pytorch(case, record):
    check(case, record)


def with_statistics(x, weight, bias, *, data_format):
    c = weight.shape[0]
    mean, var = lucid.linspace(-1, 1, c), lucid.linspace(0.5, 2, c)
    return F.batch_norm(x, mean, var, weight, bias, data_format=data_format)


def of_batch(x, weight, bias, *, data_format):
    return F.batch_norm(x, None, None, weight, bias, True, data_format=data_format)


def over_channels(x, weight, bias, *, data_format):
    return F.layer_norm(x, weight.shape, weight, bias, data_format=data_format)


def in_groups(x, weight, bias, *, data_format):
    return F.group_norm(x, 2, weight, bias, data_format=data_format)


IMAGES, OTHERS, PIXEL = [(2, 4, 3, 5)], [(3, 4, 7), (5, 4)], [(1, 4, 1, 1)]


@pytest.mark.parametrize(
    ("op", "shape"),
    [(op, shape) for op in (with_statistics, over_channels, in_groups) for shape in IMAGES + OTHERS + PIXEL]
    + [(of_batch, shape) for shape in IMAGES + OTHERS]
    + [(F.global_response_norm, shape) for shape in IMAGES + PIXEL],
)
def test_channels_last_agrees_with_channels_first(op, shape):
    same_in_both(op, shape, (4,), (4,))


def test_running_statistics_agree_in_both_layouts():
    x = np.random.default_rng(0).standard_normal((3, 2, 4, 5)).astype(np.float32)
    found = []
    for data_format, image in (("channels_first", x), ("channels_last", np.moveaxis(x, 1, -1))):
        mean, var = lucid.zeros(2), lucid.ones(2)
        F.batch_norm(lucid.tensor(image), mean, var, training=True, momentum=1.0, data_format=data_format)
        found.append([mean.numpy(), var.numpy()])
    want = [x.mean((0, 2, 3)), x.var((0, 2, 3), ddof=1)]
    np.testing.assert_allclose(found[0], want, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found[1], want, rtol=1e-5, atol=1e-6)


def test_running_statistics_carry_no_graph():
    x = lucid.randn(4, 2, requires_grad=True)
    mean = lucid.zeros(2)
    F.batch_norm(x, mean, None, training=True)
    assert not mean.requires_grad and mean.tolist() != [0, 0]


def test_half_precision_batches_update_float32_statistics():
    x = lucid.full((8, 1), 3.0, dtype=lucid.float16)
    mean, var = lucid.zeros(1), lucid.ones(1)
    y = F.batch_norm(x, mean, var, training=True)
    assert y.dtype == lucid.float16 and mean.dtype == lucid.float32
    np.testing.assert_allclose([mean.item(), var.item()], [0.3, 0.9], rtol=1e-6)


@pytest.mark.parametrize("op", [F.layer_norm, F.rms_norm])
def test_the_dtype_of_the_input_is_kept_with_a_float32_weight(op):
    y = op(lucid.ones(2, 4, dtype=lucid.bfloat16), (4,), lucid.ones(4))
    assert y.dtype == lucid.bfloat16


def test_float64_is_exact(on_cpu):
    rng = np.random.default_rng(2)
    x, weight, bias = rng.standard_normal((3, 4, 5)), rng.standard_normal(4), rng.standard_normal(4)
    tensors = [lucid.tensor(one, dtype=lucid.float64) for one in (x, weight, bias)]
    column = (None, slice(None), None)

    def normal(values, dims):
        mean, var = values.mean(dims, keepdims=True), values.var(dims, keepdims=True)
        return (values - mean) / np.sqrt(var + 1e-5)

    for found, want in (
        (F.layer_norm(tensors[0], (4, 5)), normal(x, (1, 2))),
        (F.batch_norm(tensors[0], None, None, *tensors[1:], True), normal(x, (0, 2)) * weight[column] + bias[column]),
        (F.group_norm(tensors[0], 2), normal(x.reshape(3, 2, 2, 5), (2, 3)).reshape(x.shape)),
        (F.rms_norm(tensors[0], (5,)), x / np.sqrt((x**2).mean(-1, keepdims=True) + np.finfo(np.float64).eps)),
        (F.normalize(tensors[0], dim=2), x / np.sqrt((x**2).sum(2, keepdims=True))),
    ):
        np.testing.assert_allclose(found.numpy(), want, rtol=1e-13, atol=1e-14)


def test_normalize_of_complex_numbers():
    x = np.array([[3 + 4j, 0], [1j, 2 - 2j]], np.complex64)
    want = x / np.abs(x).sum(1, keepdims=True)
    np.testing.assert_allclose(F.normalize(lucid.tensor(x), p=1.0, dim=1).numpy(), want, rtol=1e-6)
    mean_square = (x.astype(np.complex128) ** 2).mean(-1, keepdims=True)  # as in PyTorch, not of the absolute values
    want = x / np.sqrt(mean_square + 1e-3)
    np.testing.assert_allclose(F.rms_norm(lucid.tensor(x), (2,), eps=1e-3).numpy(), want, rtol=1e-5)


def test_an_empty_batch_has_no_statistics():
    mean, var = lucid.zeros(3), lucid.ones(3)
    assert F.batch_norm(lucid.zeros(0, 3, 2), mean, var, lucid.ones(3), training=True).shape == (0, 3, 2)
    assert F.batch_norm(lucid.zeros(0), lucid.zeros(0), lucid.zeros(0), training=True).shape == (0,)
    assert mean.tolist() == [0] * 3 and var.tolist() == [1] * 3


def response_norm(x, weight, bias, eps):
    size = np.sqrt((x**2).sum((1, 2), keepdims=True))
    return weight * (x * (size / (size.mean(-1, keepdims=True) + eps))) + bias + x


@pytest.mark.parametrize(("shape", "eps"), [((2, 3, 4, 5), 1e-6), ((1, 1, 1, 1), 1e-6), ((3, 5, 1, 2), 0.5)])
def test_global_response_norm_agrees_with_its_formula(shape, eps):
    rng = np.random.default_rng(1)
    inputs = [rng.standard_normal(one) for one in (shape, shape[-1:], shape[-1:])]
    cotangent = rng.standard_normal(shape)
    tensors = [lucid.tensor(one, requires_grad=True) for one in inputs]
    y = F.global_response_norm(*tensors, eps)
    np.testing.assert_allclose(y.detach().numpy(), response_norm(*inputs, eps), rtol=1e-5, atol=1e-5)
    y.backward(cotangent)
    for at, tensor in enumerate(tensors):
        want = np.zeros(inputs[at].shape)
        for index in np.ndindex(*want.shape):
            ends = []
            for step in (-1e-5, 1e-5):
                moved = [one.copy() for one in inputs]
                moved[at][index] += step
                ends.append((response_norm(*moved, eps) * cotangent).sum())
            want[index] = (ends[1] - ends[0]) / 2e-5
        np.testing.assert_allclose(tensor.grad.numpy(), want, rtol=1e-4, atol=1e-4)


def test_global_response_norm_of_zeros_has_finite_gradients():
    x = lucid.zeros(1, 2, 2, 3, requires_grad=True)
    F.global_response_norm(x, lucid.ones(3), lucid.ones(3)).sum().backward()
    assert x.grad.numpy().tolist() == np.ones((1, 2, 2, 3)).tolist()


def test_global_response_norm_takes_a_weight_in_the_papers_shape():
    x, weight = lucid.randn(1, 2, 3, 4), lucid.randn(1, 1, 1, 4)
    shaped = F.global_response_norm(x, weight, lucid.zeros(1, 1, 1, 4))
    flat = F.global_response_norm(x, weight.reshape(4), lucid.zeros(4))
    assert shaped.tolist() == flat.tolist()


def ones(*shape):
    return lucid.ones(*shape)


@pytest.mark.parametrize(
    ("use", "error", "message"),
    [
        (
            lambda: F.batch_norm(ones(2, 3), None, None, training=True, eps=0),
            ValueError,
            "batch_norm: eps must be above 0, got 0",
        ),
        (
            lambda: F.batch_norm(ones(2, 3), ones(3), ones(3), eps=-1e-5),
            ValueError,
            "batch_norm: eps must be at least 0, got -1e-05",
        ),
        (
            lambda: F.group_norm(ones(1, 3), 3),
            ValueError,
            r"group_norm: needs more than one value per group, got shape \(1, 3\) with 3 groups",
        ),
        (
            lambda: F.layer_norm(ones(2, 3).to(lucid.complex64), (3,)),
            TypeError,
            "layer_norm: input must hold real numbers, got complex64",
        ),
        (lambda: F.normalize(ones(2, 3), out=ones(2, 3)), TypeError, "normalize: out= is not supported"),
        (
            lambda: F.layer_norm(ones(2, 3), (4,)),
            ValueError,
            r"layer_norm: the last dimensions of the input must be normalized_shape \(4,\), got \(2, 3\)",
        ),
        (
            lambda: F.layer_norm(ones(2, 3), ()),
            ValueError,
            r"layer_norm: the last dimensions of the input must be .*\(\)",
        ),
        (
            lambda: F.layer_norm(ones(2, 3), (3,), ones(2)),
            ValueError,
            r"layer_norm: weight must have shape \(3,\), got \(2,\)",
        ),
        (
            lambda: F.layer_norm(ones(2, 3), (3,), None, ones(3, 1)),
            ValueError,
            r"layer_norm: bias must have shape \(3,\), got \(3, 1\)",
        ),
        (
            lambda: F.layer_norm(ones(2, 3), (2,), data_format="channels_first"),
            ValueError,
            r"layer_norm: input must be \(N, C, ...\) with normalized_shape \(2,\) as C, got \(2, 3\)",
        ),
        (
            lambda: F.layer_norm(ones(2, 3), (3,), data_format="NCHW"),
            ValueError,
            "layer_norm: data_format must be 'channels_first' or 'channels_last', got 'NCHW'",
        ),
        (
            lambda: F.layer_norm(ones(2, 3).long(), (3,)),
            TypeError,
            "layer_norm: input must hold floating-point numbers, got int64",
        ),
        (lambda: F.rms_norm(ones(2, 3), (2,)), ValueError, "rms_norm: the last dimensions of the input must be"),
        (lambda: F.rms_norm(ones(2, 3), (3,), ones(4)), ValueError, r"rms_norm: weight must have shape \(3,\)"),
        (
            lambda: F.batch_norm(ones(2, 3), None, None),
            ValueError,
            "batch_norm: running_mean and running_var are required when not training",
        ),
        (
            lambda: F.batch_norm(ones(1, 3), None, None, training=True),
            ValueError,
            r"batch_norm: training needs more than one value per channel, got shape \(1, 3\)",
        ),
        (
            lambda: F.batch_norm(ones(2, 3), ones(2), ones(3)),
            ValueError,
            r"batch_norm: running_mean must have shape \(3,\), got \(2,\)",
        ),
        (
            lambda: F.batch_norm(ones(2, 3), ones(3), ones(4), training=True),
            ValueError,
            r"batch_norm: running_var must have shape \(3,\), got \(4,\)",
        ),
        (
            lambda: F.batch_norm(ones(3), ones(3), ones(3)),
            ValueError,
            r"batch_norm: input must have at least 2 dimensions, \(N, C, ...\), got \(3,\)",
        ),
        (
            lambda: F.group_norm(ones(2, 6), 4),
            ValueError,
            "group_norm: channels 6 must be divisible by num_groups 4",
        ),
        (lambda: F.group_norm(ones(2, 6), 0), ValueError, "group_norm: num_groups must be at least 1, got 0"),
        (
            lambda: F.global_response_norm(ones(2, 3), ones(3), ones(3)),
            ValueError,
            r"global_response_norm: input must have 4 dimensions",
        ),
        (
            lambda: F.global_response_norm(ones(1, 2, 2, 3), ones(2), ones(3)),
            ValueError,
            r"global_response_norm: weight must hold 3 values, got shape \(2,\)",
        ),
        (lambda: F.normalize(ones(2), dim=1), IndexError, r"normalize: dim must be in \[-1, 0\]"),
        (lambda: F.normalize(ones(2, 2), "two"), TypeError, "normalize: p must be a number, got 'two'"),
    ],
)
def test_invalid_arguments_raise(use, error, message):
    with pytest.raises(error, match=message):
        use()


def test_nothing_changes_if_running_statistics_are_invalid():
    mean = lucid.zeros(3)
    with pytest.raises(ValueError, match="running_var"):
        F.batch_norm(lucid.randn(4, 3), mean, lucid.ones(4), training=True)
    assert mean.tolist() == [0, 0, 0]
