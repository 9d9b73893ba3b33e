"""Each operation of Lucid in a program of MIL computes the same. Many go through one package, to save time."""

import numpy as np
import pytest

import lucid
import lucid.nn.functional as F
from lucid import export, nn
from lucid.export import MLProgram
from tests.export.coreml_networks import difference

pytest.importorskip("coremltools", reason="packages are written with coremltools")

GENERATOR = np.random.default_rng(3)
SHAPE = (2, 6, 7, 9)
WEIGHT = lucid.tensor(GENERATOR.normal(size=(8, 3, 3, 2)).astype(np.float32) * 0.3)
UP = lucid.tensor(GENERATOR.normal(size=(6, 4, 3, 2)).astype(np.float32) * 0.3)
MATRIX = lucid.tensor(GENERATOR.normal(size=(5, 9)).astype(np.float32) * 0.3)
CHANNELS = lucid.tensor(GENERATOR.normal(size=6).astype(np.float32))
POSITIVE = CHANNELS.abs() + 0.5
TOKENS = lucid.tensor(GENERATOR.normal(size=(9, 9)).astype(np.float32) * 0.3)

ELEMENTS = {
    "add": lambda x: x + 1,
    "add alpha": lambda x: lucid.add(x, x.relu(), alpha=0.5),
    "rsub": lambda x: 2 - x,
    "sub": lambda x: x - CHANNELS[:, None, None],
    "mul": lambda x: x * CHANNELS.reshape(1, 6, 1, 1),
    "div": lambda x: x / 3,
    "rdiv": lambda x: 1 / (x.abs() + 1),
    "floor": lambda x: lucid.div(x, 0.3, rounding_mode="floor"),
    "trunc": lambda x: lucid.div(x, 0.3, rounding_mode="trunc"),
    "neg": lambda x: -x,
    "square": lambda x: x**2,
    "root": lambda x: (x.abs() + 1) ** 0.5,
    "cube": lambda x: (x.abs() + 0.1) ** 3,
    "remainder": lambda x: x % 0.7,
    "maximum": lambda x: lucid.maximum(x, -x),
    "minimum": lambda x: lucid.minimum(x, CHANNELS[:, None, None]),
    "clamp": lambda x: x.clamp(-0.5, 0.7),
    "clamp_min": lambda x: x.clamp(min=0.1),
    "clamp_max": lambda x: x.clamp(max=0.1),
    "lerp": lambda x: lucid.lerp(x, -x, 0.3),
    "addcmul": lambda x: lucid.addcmul(x, x, x, value=0.5),
    "addcdiv": lambda x: lucid.addcdiv(x, x, x.abs() + 1, value=2),
    "where": lambda x: lucid.where(x > 0.2, x, -1.0),
    "masked_fill": lambda x: x.masked_fill(x <= 0, 3.0),
    "not": lambda x: lucid.logical_not(x > 0).float(),
    "or": lambda x: lucid.logical_or(x > 1, x < -1).float(),
    "eq": lambda x: (x.sign() == 1).float(),
    "long": lambda x: (x * 3).long(),
    "exp": lambda x: x.exp(),
    "expm1": lambda x: x.expm1(),
    "log": lambda x: (x.abs() + 0.1).log(),
    "log1p": lambda x: x.abs().log1p(),
    "log2": lambda x: (x.abs() + 0.1).log2(),
    "log10": lambda x: (x.abs() + 0.1).log10(),
    "sqrt": lambda x: (x.abs() + 0.1).sqrt(),
    "rsqrt": lambda x: (x.abs() + 0.1).rsqrt(),
    "reciprocal": lambda x: (x.abs() + 0.1).reciprocal(),
    "sin": lambda x: x.sin(),
    "cos": lambda x: x.cos(),
    "tanh": lambda x: x.tanh(),
    "atan": lambda x: x.atan(),
    "erf": lambda x: x.erf(),
    "sigmoid": lambda x: x.sigmoid(),
    "abs": lambda x: x.abs(),
    "ceil": lambda x: x.ceil(),
    "round": lambda x: (x * 3).round(),
}
ACTIVATIONS = {
    "relu": F.relu,
    "relu6": lambda x: F.relu6(4 * x),
    "gelu": F.gelu,
    "gelu tanh": lambda x: F.gelu(x, approximate="tanh"),
    "silu": F.silu,
    "leaky": lambda x: F.leaky_relu(x, 0.2),
    "elu": lambda x: F.elu(x, 0.7),
    "celu": lambda x: F.celu(x, 0.7),
    "selu": F.selu,
    "prelu": lambda x: F.prelu(x, CHANNELS),
    "prelu one": lambda x: F.prelu(x, CHANNELS[:1]),
    "hardshrink": F.hardshrink,
    "softshrink": F.softshrink,
    "tanhshrink": F.tanhshrink,
    "threshold": lambda x: F.threshold(x, 0.3, -2.0),
    "mish": F.mish,
    "softplus": F.softplus,
    "softplus beta": lambda x: F.softplus(x, 3.0),
    "logsigmoid": F.logsigmoid,
    "softsign": F.softsign,
    "hardtanh": F.hardtanh,
    "hardsigmoid": F.hardsigmoid,
    "hardswish": F.hardswish,
    "glu": lambda x: F.glu(x, 1),
    "softmax": lambda x: F.softmax(x, 1),
    "softmin": lambda x: F.softmin(x, -1),
    "log_softmax": lambda x: F.log_softmax(x, 2),
}
WINDOWS = {
    "conv2d": lambda x: F.conv2d(x, WEIGHT, stride=(2, 1), padding=(1, 2), dilation=(1, 2), groups=2),
    "same": lambda x: F.conv2d(x, WEIGHT, CHANNELS.repeat(2)[:8], padding="same", groups=2),
    "channels last": lambda x: F.conv2d(x.permute(0, 2, 3, 1), WEIGHT, groups=2, data_format="channels_last"),
    "conv1d": lambda x: F.conv1d(x.flatten(2), WEIGHT[:, :, 0], stride=3, padding=1, groups=2),
    "conv3d": lambda x: F.conv3d(x[:, :, None], WEIGHT[:, :, None], groups=2),
    "up": lambda x: F.conv_transpose2d(x, UP, stride=2, padding=1, output_padding=1),
    "up more": lambda x: F.conv_transpose2d(
        x, UP[:, :2], CHANNELS[:4], stride=3, padding=(0, 1), output_padding=(2, 0), groups=2
    ),
    "up dilated": lambda x: F.conv_transpose2d(x, UP, dilation=2),
    "max": lambda x: F.max_pool2d(x, 3, 2, 1),
    "max ceil": lambda x: F.max_pool2d(x, 3, 2, ceil_mode=True),
    "avg": lambda x: F.avg_pool2d(x, 3, 2, 1),
    "avg inside": lambda x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False),
    "avg divisor": lambda x: F.avg_pool2d(x, 2, divisor_override=3),
    "max1d": lambda x: F.max_pool1d(x.flatten(2), 4, 3),
    "avg1d": lambda x: F.avg_pool1d(x.flatten(2), 4, 3),
    "adaptive": lambda x: F.adaptive_avg_pool2d(x, (3, 4)),
    "adaptive one": lambda x: F.adaptive_avg_pool2d(x, 1),
    "adaptive even": lambda x: F.adaptive_avg_pool2d(x, (7, 3)),
    "adaptive max": lambda x: F.adaptive_max_pool2d(x, (1, 3)),
    "adaptive max one": lambda x: F.adaptive_max_pool2d(x, 1),
    "nearest": lambda x: F.interpolate(x, scale_factor=2),
    "nearest odd": lambda x: F.interpolate(x, size=(10, 5)),
    "nearest factor": lambda x: F.interpolate(x, scale_factor=1.3),
    "exact": lambda x: F.interpolate(x, size=(5, 20), mode="nearest-exact"),
    "bilinear": lambda x: F.interpolate(x, scale_factor=3, mode="bilinear"),
    "bilinear size": lambda x: F.interpolate(x, size=(5, 14), mode="bilinear"),
    "bilinear corners": lambda x: F.interpolate(x, size=(9, 5), mode="bilinear", align_corners=True),
    "bilinear factor": lambda x: F.interpolate(x, scale_factor=(1.5, 1.3), mode="bilinear"),
    "bicubic": lambda x: F.interpolate(x, scale_factor=2, mode="bicubic"),
    "antialias": lambda x: F.interpolate(x, size=(3, 4), mode="bilinear", antialias=True),
    "area": lambda x: F.interpolate(x, size=(3, 4), mode="area"),
    "shuffle": lambda x: F.pixel_shuffle(x[:, :4], 2),
    "unshuffle": lambda x: F.pixel_unshuffle(x[:, :, :6, :8], 2),
    "channel shuffle": lambda x: F.channel_shuffle(x, 3),
}
NORMS = {
    "layer": lambda x: F.layer_norm(x, (9,), TOKENS[0], TOKENS[1]),
    "layer two": lambda x: F.layer_norm(x, (7, 9)),
    "layer last": lambda x: F.layer_norm(x.permute(0, 2, 3, 1), (6,), CHANNELS, POSITIVE, 1e-6),
    "layer first": lambda x: F.layer_norm(x, (6,), CHANNELS, POSITIVE, data_format="channels_first"),
    "rms": lambda x: F.rms_norm(x, (9,), TOKENS[0]),
    "batch": lambda x: F.batch_norm(x, CHANNELS, POSITIVE, POSITIVE, CHANNELS, eps=1e-3),
    "batch flat": lambda x: F.batch_norm(x.mean((2, 3)), CHANNELS, POSITIVE, POSITIVE, CHANNELS),
    "instance": lambda x: F.instance_norm(x, weight=CHANNELS, bias=POSITIVE),
    "group": lambda x: F.group_norm(x, 3, CHANNELS, POSITIVE),
    "group last": lambda x: F.group_norm(x.permute(0, 2, 3, 1), 2, CHANNELS, POSITIVE, data_format="channels_last"),
    "response": lambda x: F.global_response_norm(x, CHANNELS, POSITIVE, data_format="channels_first"),
    "normalize": lambda x: F.normalize(x, dim=1),
    "normalize 1": lambda x: F.normalize(x, p=1.0, dim=-1),
    "local": lambda x: F.local_response_norm(x, 4, 0.5, 0.6, 1.5),
    "sum": lambda x: x.sum(1),
    "sum all": lambda x: x.sum()[None],
    "mean": lambda x: x.mean((1, 3), keepdim=True),
    "mean last": lambda x: x.permute(0, 2, 3, 1).mean((1, 2)),
    "amax": lambda x: x.amax((2, 3)),
    "amin": lambda x: x.permute(0, 3, 1, 2).amin(1),
    "max": lambda x: x.max()[None],
    "logsumexp": lambda x: x.logsumexp(2),
    "prod": lambda x: x.prod(3),
    "argmax": lambda x: x.argmax(1),
    "argmin": lambda x: x.permute(0, 2, 3, 1).argmin(-1),
    "var": lambda x: x.var((2, 3)),
    "std": lambda x: x.std(1, correction=0),
    "norm": lambda x: lucid.norm(x, dim=1),
    "cumsum": lambda x: x.cumsum(2),
}
SHAPES = {
    "permute": lambda x: x.permute(3, 0, 2, 1),
    "transpose": lambda x: x.transpose(1, 3) + 1,
    "movedim": lambda x: x.movedim(1, -1),
    "flatten": lambda x: x.permute(0, 2, 3, 1).flatten(1),
    "reshape": lambda x: x.reshape(2, 3, 2, 63),
    "unsqueeze": lambda x: x[:, 0].unsqueeze(1),
    "cat": lambda x: lucid.cat([x, x.permute(0, 1, 2, 3) * 2, CHANNELS[None, :, None, None].expand(2, 6, 7, 9)], 1),
    "cat mixed": lambda x: lucid.cat([x.permute(0, 2, 3, 1), x.permute(0, 2, 3, 1).relu()], -1),
    "stack": lambda x: lucid.stack([x, -x], 2),
    "split": lambda x: lucid.cat(x.split([1, 5], 1)[::-1], 1),
    "chunk": lambda x: x.permute(0, 2, 3, 1).chunk(2, -1)[1],
    "unbind": lambda x: x.unbind(1)[2],
    "slice": lambda x: x[:, 1:-1, ::2, 3:],
    "integer": lambda x: x[:, -1],
    "new": lambda x: x[:, None, ..., 2],
    "last": lambda x: x.permute(0, 2, 3, 1)[:, 1:, :, 0],
    "select": lambda x: x.select(3, 4),
    "narrow": lambda x: x.narrow(2, 1, 3),
    "index_select": lambda x: lucid.index_select(x, 1, lucid.tensor([3, 0, 3])),
    "flip": lambda x: x.flip((1, 3)),
    "roll": lambda x: x.roll((2, -3), (1, 3)),
    "expand": lambda x: x[:, :1].expand(2, 4, 7, 9),
    "repeat": lambda x: x.repeat(1, 2, 1, 1),
    "pad": lambda x: F.pad(x, (1, 2, 0, 3), value=0.5),
    "crop": lambda x: F.pad(x, (-1, 2)),
    "reflect": lambda x: F.pad(x, (2, 1, 3, 0), mode="reflect"),
    "replicate": lambda x: F.pad(x, (2, 1, 3, 0), mode="replicate"),
    "linear": lambda x: F.linear(x, MATRIX),
    "linear last": lambda x: F.linear(x.permute(0, 2, 3, 1), MATRIX[:, :6], MATRIX[:, 8]),
    "linear tokens": lambda x: F.linear(x[:, 0], MATRIX, MATRIX[:, 0]),
    "matmul": lambda x: x @ TOKENS,
    "bmm": lambda x: x[:, 0] @ x[:, 1].mT,
    "attention": lambda x: F.scaled_dot_product_attention(x, x * 0.5, x.relu()),
    "causal": lambda x: F.scaled_dot_product_attention(x, x, x, is_causal=True),
    "masked": lambda x: F.scaled_dot_product_attention(
        x, x, x, attn_mask=lucid.tensor(np.eye(7, dtype=bool) | (np.arange(7) < 3))
    ),
}
FAMILIES = {"elements": ELEMENTS, "activations": ACTIVATIONS, "windows": WINDOWS, "norms": NORMS, "shapes": SHAPES}


class All(nn.Module):
    def __init__(self, functions):
        super().__init__()
        self.functions = functions

    def forward(self, x):
        return [function(x) for function in self.functions.values()]


@pytest.mark.parametrize("family", FAMILIES)
def test_operations_compute_the_same(tmp_path, family):
    functions = FAMILIES[family]
    model = All(functions).eval()
    export.coreml(model, tmp_path / "m.mlpackage", lucid.zeros(*SHAPE), precision="float32")
    x = GENERATOR.normal(size=SHAPE).astype(np.float32)
    found = MLProgram(tmp_path / "m.mlpackage").run({"image": x})
    apart = {}
    for (name, function), one in zip(functions.items(), found.values(), strict=True):
        expected = function(lucid.tensor(x)).numpy()
        assert one.shape == expected.shape, name
        if not difference(one, expected) < 1e-4:
            apart[name] = difference(one, expected)
    assert apart == {}
