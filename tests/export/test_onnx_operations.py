"""Each translation to ONNX against onnxruntime: a module of all cases of a family, exported and run at two sizes.

Every operation in the table has a case.
"""

import mlx.core as mx
import numpy as np
import pytest

import lucid
from lucid import nn
from lucid.export import onnx as export
from lucid.export._graph import record
from lucid.nn import functional as F
from lucid.ops import shape

pytest.importorskip("onnx", reason="the extra onnx is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")


def noise(*shape, seed=0):
    return lucid.Tensor(mx.random.normal(shape, key=mx.random.key(seed + sum(shape))))


W3, W1, BIAS = noise(6, 2, 3, 3), noise(6, 4, 1, 1), noise(6)
VEC, VEC4, PLUS = noise(7), noise(4), noise(4).abs() + 0.5
TABLE, INDEX = noise(9, 5), lucid.tensor([[2, 0], [1, 2]])

# Each case takes images x (N, 4, 6, 7) and y of the same shape.
FAMILIES = {
    "convolutions": {
        "plain": lambda x, y: F.conv2d(x, W1, BIAS),
        "groups": lambda x, y: F.conv2d(x, W3, None, stride=(2, 1), padding=(1, 2), groups=2),
        "same": lambda x, y: F.conv2d(x, noise(3, 4, 2, 3), padding="same", dilation=2),
        "last": lambda x, y: F.conv2d(x.permute(0, 2, 3, 1), noise(3, 4, 3, 3), padding=1, data_format="channels_last"),
        "last_again": lambda x, y: F.conv2d(
            F.conv2d(x, noise(3, 7, 2, 2), data_format="channels_last"), noise(2, 3, 1, 1), data_format="channels_last"
        ),
        "unbatched": lambda x, y: F.conv2d(x[0], W1),
        "signals": lambda x, y: F.conv1d(x[:, 0], noise(2, 6, 3), padding=1),
        "volumes": lambda x, y: F.conv3d(x.unsqueeze(1), noise(2, 1, 2, 3, 2), padding=1),
        "transposed": lambda x, y: F.conv_transpose2d(x, noise(4, 3, 3, 2), noise(3), 2, 1, 1),
        "transposed_groups": lambda x, y: F.conv_transpose2d(x, noise(4, 3, 3, 3), None, 1, groups=2, dilation=2),
        "transposed_signals": lambda x, y: F.conv_transpose1d(x[:, :, 0], noise(4, 3, 4), stride=3),
        "transposed_volumes": lambda x, y: F.conv_transpose3d(x.unsqueeze(2), noise(4, 1, 2, 2, 2), stride=2),
    },
    "pooling": {
        "max": lambda x, y: F.max_pool2d(x, 3, 2, 1),
        "max_dilated": lambda x, y: F.max_pool2d(x, (2, 3), 1, dilation=2),
        "max_ceil": lambda x, y: F.max_pool2d(x, 2, 2, ceil_mode=True),
        "max_last": lambda x, y: F.max_pool2d(x, 2, data_format="channels_last"),
        "max_1": lambda x, y: F.max_pool1d(x[:, 0], 2),
        "max_3": lambda x, y: F.max_pool3d(x, 2),
        "avg": lambda x, y: F.avg_pool2d(x, 3, 2, 1),
        "avg_without_padding": lambda x, y: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False),
        "avg_divisor": lambda x, y: F.avg_pool2d(x, 2, divisor_override=3),
        "avg_1": lambda x, y: F.avg_pool1d(x[:, 0], 3, 1),
        "avg_3": lambda x, y: F.avg_pool3d(x, 2),
        "global": lambda x, y: F.adaptive_avg_pool2d(x, 1),
        "adaptive": lambda x, y: F.adaptive_avg_pool2d(x, (4, 3)),
        "adaptive_keeps": lambda x, y: F.adaptive_avg_pool2d(x, (None, 2)),
        "adaptive_1": lambda x, y: F.adaptive_avg_pool1d(x[:, 0], 4),
        "adaptive_3": lambda x, y: F.adaptive_avg_pool3d(x.unsqueeze(1), (3, 1, 5)),
        "adaptive_max": lambda x, y: F.adaptive_max_pool2d(x, (3, 7)),
        "adaptive_max_1": lambda x, y: F.adaptive_max_pool1d(x[:, 0], 1),
        "adaptive_max_3": lambda x, y: F.adaptive_max_pool3d(x.unsqueeze(1), (2, 3, 1)),
    },
    "norms": {
        "layer": lambda x, y: F.layer_norm(x, (7,), VEC, VEC + 1),
        "layer_of_two": lambda x, y: F.layer_norm(x, (6, 7), eps=1e-3),
        "layer_first": lambda x, y: F.layer_norm(x, 4, VEC4, None, data_format="channels_first"),
        "rms": lambda x, y: F.rms_norm(x, (7,), VEC, 1e-5),
        "rms_eps": lambda x, y: F.rms_norm(x, (6, 7)),
        "batch": lambda x, y: F.batch_norm(x, VEC4, PLUS, VEC4, None),
        "batch_last": lambda x, y: nn.BatchNorm2d(7, data_format="channels_last").eval()(x),
        "batch_of_features": lambda x, y: F.batch_norm(x[:, :, 0, 0], VEC4, PLUS, None, VEC4),
        "instance": lambda x, y: F.instance_norm(x, weight=VEC4, bias=VEC4),
        "group": lambda x, y: F.group_norm(x, 2, VEC4, VEC4),
        "group_last": lambda x, y: F.group_norm(x, 7, VEC, None, data_format="channels_last"),
        "response": lambda x, y: F.global_response_norm(x, VEC, VEC),
        "response_first": lambda x, y: F.global_response_norm(x, VEC4, VEC4, data_format="channels_first"),
        "unit": lambda x, y: F.normalize(x, dim=1),
        "unit_l1": lambda x, y: F.normalize(x, p=1.0, dim=-1),
        "local": lambda x, y: F.local_response_norm(x, 3),
    },
    "activations": {
        **{
            name: (lambda x, y, name=name: getattr(F, name)(x * 3))
            for name in (
                "relu", "relu6", "leaky_relu", "elu", "celu", "selu", "hardshrink", "softshrink", "tanhshrink", "gelu",
                "silu", "mish", "softplus", "logsigmoid", "softsign", "hardtanh", "hardsigmoid", "hardswish",
            )
        },
        "gelu_tanh": lambda x, y: F.gelu(x, approximate="tanh"),
        "softplus_beta": lambda x, y: F.softplus(x * 9, beta=3.0, threshold=10.0),
        "prelu": lambda x, y: F.prelu(x, VEC4),
        "prelu_of_one": lambda x, y: F.prelu(x, VEC4[:1]),
        "threshold": lambda x, y: F.threshold(x, 0.1, -2.0),
        "glu": lambda x, y: F.glu(x, 1),
        "softmax": lambda x, y: F.softmax(x, 1),
        "log_softmax": lambda x, y: F.log_softmax(x, -1),
        "softmin": lambda x, y: F.softmin(x, 2),
        "relu_inplace": lambda x, y: F.relu(x + 0, inplace=True),
    },
    "attention": {
        "plain": lambda x, y: F.scaled_dot_product_attention(x, y, x),
        "causal": lambda x, y: F.scaled_dot_product_attention(x, y, x, is_causal=True),
        "mask": lambda x, y: F.scaled_dot_product_attention(x, y, x, lucid.ones(6, 6).tril().bool(), scale=0.3),
        "bias": lambda x, y: F.scaled_dot_product_attention(x, y, x, noise(6, 6)),
        "layer": lambda x, y: ATTENTION(x[:, 0], x[:, 1], x[:, 2])[0],
        "encoder": lambda x, y: ENCODER(x[:, 0]),
    },
    "elementwise": {
        **{
            name: (lambda x, y, name=name: getattr(lucid, name)(x))
            for name in (
                "exp", "abs", "neg", "sign", "sin", "cos", "tan", "atan", "sinh", "cosh", "tanh", "asinh", "erf",
                "erfc", "floor", "ceil", "round", "trunc", "frac", "square", "exp2", "expm1", "sigmoid", "deg2rad",
                "rad2deg", "isnan", "isinf", "isfinite", "clone", "positive",
            )
        },
        **{
            name: (lambda x, y, name=name: getattr(lucid, name)(x.abs() + 0.5))
            for name in ("log", "sqrt", "rsqrt", "reciprocal", "log1p", "log2", "log10", "acosh")
        },
        **{
            name: (lambda x, y, name=name: getattr(lucid, name)(x.sin() * 0.9)) for name in ("asin", "acos", "atanh")
        },
        "acosh": lambda x, y: lucid.acosh(x.abs() + 1),
        "types": lambda x, y: x.to(lucid.int64).to(lucid.float32) + x.int().float() + x.long() + x.bool(),
        "type_as": lambda x, y: (x > 0).type_as(y),
        "more_types": lambda x, y: x.short().char().double().float() + (x * 9).abs().byte(),
        "half": lambda x, y: x.half().float(),
    },
    "arithmetic": {
        "add": lambda x, y: x + y + 1 + VEC,
        "alpha": lambda x, y: lucid.add(x, y, alpha=2) - lucid.sub(x, y, alpha=0.5) + lucid.rsub(x, y),
        "reflected": lambda x, y: (3 - x) / (2 + y.abs()) + 2**x,
        "mul": lambda x, y: x * y * 0.5,
        "div": lambda x, y: lucid.div(x, PLUS[0], rounding_mode="trunc") + x // 0.3 + x.int() / 2,
        "remainder": lambda x, y: lucid.remainder(x, 0.7) + lucid.fmod(y, 0.7) + lucid.floor_divide(x, 0.7),
        "pow": lambda x, y: x**2 + x.abs() ** 0.5,
        "extremes": lambda x, y: lucid.maximum(x, y) - lucid.minimum(x, y) + lucid.max(x, y),
        "clamp": lambda x, y: x.clamp(-0.5, 1) + x.clamp(min=0) + x.clamp_max(y) + lucid.clamp_min(y, 0.1),
        "lerp": lambda x, y: lucid.lerp(x, y, 0.3),
        "addcmul": lambda x, y: lucid.addcmul(x, y, y, value=0.5) + lucid.addcdiv(x, y, y.abs() + 1),
        "compare": lambda x, y: lucid.stack([x == y, x != y, x < y, x <= 0, x > y, x >= 0.5]).float(),
        "logic": lambda x, y: (
            ((x > 0) & (y > 0)).float() + ((x > 0) | (y > 0)).float() + ((x > 0) ^ (y > 0)).int() + (~(x > 0)).float()
        ),
        "logical": lambda x, y: lucid.stack([
            lucid.logical_and(x, y > 0), lucid.logical_or(x > 1, y > 1), lucid.logical_xor(x > 0, y > 0),
            lucid.logical_not(x > 0),
        ]).float(),
        "where": lambda x, y: lucid.where(x > 0, x, 0) + x.masked_fill(y > 0, -1.0) + lucid.where(y > 0, x, y),
        "one_hot": lambda x, y: F.one_hot((x > 0).long(), 3),
    },
    "reductions": {
        "sum": lambda x, y: x.sum((2, 3)) + x.sum() + x.prod(1)[:, :1, 0],
        "mean": lambda x, y: x.mean() + x.mean(dim=(1, 2), keepdim=True),
        "extremes": lambda x, y: x.amax((2, 3)) + x.amin(1)[:, :4, 0] + x.max() - x.min(),
        "with_index": lambda x, y: x.max(1).values + x.min(1, keepdim=True)[0][:, 0] + x.max(1).indices,
        "arg": lambda x, y: x.argmax(1) + x.argmin(1, keepdim=True)[:, 0] + x[0].argmax(),
        "any": lambda x, y: (x > 1).any(1).float() + (x > -1).all(2, keepdim=True)[:, 0].float(),
        "var": lambda x, y: x.var(1) + x.std((1, 2), keepdim=True)[:, 0] + x.var(1, unbiased=False),
        "var_mean": lambda x, y: sum(lucid.var_mean(x, (2, 3))) + lucid.std_mean(x, (2, 3), keepdim=True)[1][..., 0, 0],
        "logsumexp": lambda x, y: x.logsumexp(1) + x.cumsum(1)[:, 0],
        "norm": lambda x, y: x.norm(dim=1) + x.norm(p=1, dim=1) + lucid.norm(x),
        "integers": lambda x, y: x.int().sum(1),
    },
    "products": {
        "linear": lambda x, y: F.linear(x, noise(3, 7), noise(3)),
        "linear_of_rows": lambda x, y: F.linear(x[:, 0, 0], noise(3, 7), noise(3)) @ noise(3, 2),
        "linear_without_bias": lambda x, y: F.linear(x, noise(3, 7)),
        "matmul": lambda x, y: x @ y.transpose(-1, -2) @ noise(6),
        "mm": lambda x, y: lucid.mm(x[0, 0], y[0, 0].t()) + lucid.bmm(x[:, 0], y[:, 0].mT)[0],
        "addmm": lambda x, y: lucid.addmm(x[0, 0, :, :6], x[0, 0], y[0, 0].t(), beta=0.5, alpha=2),
        "baddbmm": lambda x, y: lucid.baddbmm(x[:, 0, :, :6], x[:, 0], y[:, 0].mT),
        "vectors": lambda x, y: lucid.dot(x[0, 0, 0], VEC) + lucid.mv(x[0, 0], VEC),
        "outer": lambda x, y: lucid.outer(VEC, x[0, 0, 0]),
        "einsum": lambda x, y: lucid.einsum("nchw, ncqw -> nhq", x, y),
        "embedding": lambda x, y: F.embedding((x[:, 0] > 0).long() * 3, TABLE),
    },
    "shapes": {
        "reshape": lambda x, y: x.reshape(x.shape[0], -1) + x.flatten(1) + x.view(x.size(0), 4 * 6 * 7),
        "like": lambda x, y: x.reshape_as(y) + x.view_as(y) + x.ravel().reshape(x.shape),
        "unflatten": lambda x, y: x.unflatten(1, (2, 2)) + x.flatten(1, 2).reshape(-1, 2, 12, 7)[:, :, None, :6],
        "squeeze": lambda x, y: x[:, :1].squeeze(1) + x.unsqueeze(2).squeeze(2)[:, 0] + x[:, :1].squeeze(1, 2),
        "expand": lambda x, y: x[:, :1].expand(-1, 4, 6, 7) + x[:1].expand_as(y) + x[..., :1].broadcast_to(x.shape),
        "permute": lambda x, y: x.permute(0, 3, 1, 2).transpose(1, 2).swapaxes(-1, -2).movedim(1, -1),
        "t": lambda x, y: shape.contiguous(x[0, 0].t()) + x[0, 1].T + lucid.atleast_1d(x.sum()),
        "cat": lambda x, y: lucid.cat([x, y, lucid.cat([x, y], -1)[..., :7]], 1) * lucid.hstack([x, y, x, x])[:, :12],
        "stack": lambda x, y: lucid.stack([x, y], -1),
        "split": lambda x, y: lucid.cat(x.split(3, 1)[::-1], 1) + lucid.cat(x.split([1, 3], 1), 1),
        "chunk": lambda x, y: x.chunk(2, 1)[0] * x.chunk(2, 1)[1] + x.unsafe_chunk(2, 1)[0],
        "unbind": lambda x, y: sum(x.unbind(1)) + sum(part for part in x.permute(1, 0, 2, 3)),
        "more_splits": lambda x, y: x.split_with_sizes((1, 3), 1)[0] + x.unsafe_split(3, 1)[1],
        "repeat": lambda x, y: x.repeat(1, 2, 1, 1)[:, :4] + x.tile(2, 1)[:, :, :6] + VEC.repeat(6, 1),
        "flip": lambda x, y: x.flip(1, -1) + x.flip((2,)) + lucid.fliplr(x) + lucid.flipud(x[:1])[:, :4],
        "roll": lambda x, y: x.roll((1, -2), (1, 3)),
        "narrow": lambda x, y: x.narrow(1, 1, 2) + x.select(1, -1).unsqueeze(1),
        "tril": lambda x, y: x.tril() + x.triu(1),
        "pad": lambda x, y: F.pad(x, (1, 2, -1, 3), value=0.5),
        "pad_modes": lambda x, y: (
            F.pad(x, (1, 2, 3, 0), "reflect") + F.pad(x, (1, 2, 3, 0), "replicate") + F.pad(x, (1, 2, 3, 0), "circular")
        ),
    },
    "indexing": {
        "slices": lambda x, y: x[:, 1:-1, ::2, 3:] + x[..., 1:3, :3, 2:6],
        "integers": lambda x, y: x[:, 1, -1] + x[0, 0, 0] + x[-1, 1:2, 0, :],
        "reversed": lambda x, y: x[:, lucid.tensor([3, 2, 1, 0])] + x.flip(1),
        "new": lambda x, y: x[:, None, :, 0, None],
        "tensors": lambda x, y: x[:, INDEX][:, 0, 1] + x[:, 1:][:, lucid.tensor([-1, 0])].sum(1),
        "setitem": lambda x, y: written(x, y),
        "gather": lambda x, y: lucid.gather(x, 1, (y[:, :2] > 0).long()),
        "take": lambda x, y: lucid.take_along_dim(x, (y > 0).long(), 3),
        "index_select": lambda x, y: x.index_select(1, lucid.tensor([2, 2, 0])),
    },
    "images": {
        "nearest": lambda x, y: F.interpolate(x, scale_factor=2),
        "nearest_of_a_size": lambda x, y: F.interpolate(x, size=(9, 4)),
        "nearest_factor": lambda x, y: F.interpolate(x, scale_factor=1.7),
        "nearest_exact": lambda x, y: F.interpolate(x, size=(9, 4), mode="nearest-exact"),
        "bilinear": lambda x, y: F.interpolate(x, scale_factor=(2, 1.5), mode="bilinear"),
        "bilinear_size": lambda x, y: F.interpolate(x, size=(3, 11), mode="bilinear"),
        "corners": lambda x, y: F.interpolate(x, size=(9, 4), mode="bilinear", align_corners=True),
        "recompute": lambda x, y: F.interpolate(x, scale_factor=1.6, mode="bilinear", recompute_scale_factor=True),
        "bicubic": lambda x, y: F.interpolate(x, size=(9, 4), mode="bicubic"),
        "antialias": lambda x, y: F.interpolate(x, size=(3, 4), mode="bilinear", antialias=True),
        "area": lambda x, y: F.interpolate(x, size=(3, 4), mode="area"),
        "linear": lambda x, y: F.interpolate(x[:, 0], size=11, mode="linear"),
        "last": lambda x, y: F.interpolate(x, scale_factor=2, mode="bilinear", data_format="channels_last"),
        "shuffle": lambda x, y: F.pixel_shuffle(x, 2),
        "unshuffle": lambda x, y: F.pixel_unshuffle(x[..., :6], 3),
        "channels": lambda x, y: F.channel_shuffle(x, 2),
    },
}  # fmt: skip
ATTENTION = nn.MultiheadAttention(7, 1, batch_first=True).eval()
ENCODER = nn.TransformerEncoderLayer(7, 7, 12, batch_first=True).eval()


def written(x, y):
    z = x * 1
    z[:, 1] = 0.0
    z[:, 2:] = y[:, 2:]
    z[..., 0] = y[..., 1]
    z[:] = z + 1
    return z


class Family(nn.Module):
    def __init__(self, cases):
        super().__init__()
        self.cases = cases
        self.eval()

    def forward(self, x, y):
        return {name: case(x, y) for name, case in self.cases.items()}


def inputs(batch=2):
    return [noise(batch, 4, 6, 7, seed=1), noise(batch, 4, 6, 7, seed=2)]


def run(path, model, arrays):
    """The outputs of the file and of the model, by name."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    found = session.run(
        None, {one.name: array.numpy() for one, array in zip(session.get_inputs(), arrays, strict=True)}
    )
    with lucid.no_grad():
        expected = model(*arrays)
    return {
        one.name: (array, expected[one.name].numpy()) for one, array in zip(session.get_outputs(), found, strict=True)
    }


@pytest.mark.parametrize("family", FAMILIES)
def test_onnxruntime_computes_the_same(tmp_path, family):
    model = Family(FAMILIES[family])
    export(model, tmp_path / "m.onnx", inputs())
    for batch in (2, 3, 1):
        for name, (found, expected) in run(tmp_path / "m.onnx", model, inputs(batch)).items():
            assert found.shape == expected.shape and found.dtype == expected.dtype, name
            np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-5 * np.abs(expected).max(), err_msg=name)


@pytest.mark.parametrize("family", ["convolutions", "norms", "attention", "images"])
def test_half_precision_is_close(tmp_path, family):
    model = Family(FAMILIES[family])
    export(model, tmp_path / "m.onnx", inputs(), dtype="float16")
    for name, (found, expected) in run(tmp_path / "m.onnx", model, inputs()).items():
        assert found.dtype == np.float32
        assert np.abs(found - expected).max() <= 1e-2 * np.abs(expected).max(), name


def test_every_translation_has_a_case():
    from lucid.export._onnx.table import LOWERINGS

    seen = {node.operation for cases in FAMILIES.values() for node in record(Family(cases), inputs()).nodes}
    missing = sorted(set(LOWERINGS) - seen - {"bfloat16"})
    assert not missing, " ".join(missing)
