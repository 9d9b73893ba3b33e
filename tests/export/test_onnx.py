"""``lucid.export.onnx``: models against onnxruntime, what the file holds, and what is refused."""

import errno
import json
import sys
from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest

import lucid
from lucid import models, nn
from lucid.export import ExportError
from lucid.export import onnx as export
from lucid.models.preprocessing import ImageTransform
from lucid.nn import functional as F

onnx = pytest.importorskip("onnx", reason="the extra onnx is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")

PREPARED = ImageTransform(37, 40, mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.4))


def noise(*shape, seed=0):
    return lucid.Tensor(mx.random.normal(shape, key=mx.random.key(seed + sum(shape))))


def trained(model):
    """The model with values where they start near zero."""
    for i, (name, tensor) in enumerate([*model.named_parameters(), *model.named_buffers()]):
        if "gamma" in name or "beta" in name or name.endswith("running_mean"):
            tensor._rebind(mx.random.normal(tensor.shape, key=mx.random.key(i)))
    return model.eval()


def network(**options):
    lucid.manual_seed(5)
    return trained(models.ConvNeXt(3, (1, 1), (4, 8), **options))


def outputs(path, *inputs):
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_inputs()]
    return session.run(None, {name: np.asarray(one.numpy()) for name, one in zip(names, inputs, strict=True)})


def difference(path, model, *inputs):
    """The largest difference of the first output, relative to its largest value."""
    with lucid.no_grad():
        expected = model(*inputs)
    expected = (next(iter(expected.values())) if isinstance(expected, dict) else expected).numpy()
    found = outputs(path, *inputs)[0]
    assert found.shape == expected.shape and found.dtype == np.float32
    return np.abs(found - expected).max() / np.abs(expected).max()


# Models ---------------------------------------------------------------------------------------------------------------


class Residual(nn.Module):
    def __init__(self, before, after, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(after)
        self.conv2 = nn.Conv2d(after, after, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(after)
        self.relu = nn.ReLU(inplace=True)
        self.shortcut = nn.Identity()
        if stride != 1 or before != after:
            self.shortcut = nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))

    def forward(self, x):
        y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        y += self.shortcut(x)
        return self.relu(y)


class ResNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 8, 7, 2, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(3, 2, 1)
        )
        self.blocks = nn.Sequential(Residual(8, 8, 1), Residual(8, 16, 2), Residual(16, 24, 2))
        self.head = nn.Linear(24, 5)

    def forward(self, x):
        return self.head(
            F.dropout(lucid.flatten(F.adaptive_avg_pool2d(self.blocks(self.stem(x)), 1), 1), 0.5, self.training)
        )


class UNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.down1, self.down2 = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 8, 3, padding=1)
        self.norm = nn.GroupNorm(2, 8)
        self.up = nn.ConvTranspose2d(8, 6, 2, stride=2)
        self.out = nn.Conv2d(12, 4, 1)

    def forward(self, x):
        a = F.leaky_relu(self.down1(x), 0.1)
        b = F.silu(self.norm(self.down2(F.max_pool2d(a, 2))))
        return F.softmax(self.out(lucid.cat([a, self.up(b)], dim=1)), dim=1)


class Pyramid(nn.Module):
    """Features at three scales, added from coarse to fine, for images of any size."""

    def __init__(self):
        super().__init__()
        self.stages = nn.ModuleList([nn.Conv2d(i, o, 3, 2, 1) for i, o in ((3, 6), (6, 8), (8, 10))])
        self.sides = nn.ModuleList([nn.Conv2d(c, 7, 1) for c in (6, 8, 10)])

    def forward(self, x):
        maps = []
        for stage in self.stages:
            x = F.gelu(stage(x))
            maps.append(x)
        found = [self.sides[-1](maps[-1])]
        for side, y in zip(list(self.sides)[-2::-1], maps[-2::-1], strict=True):
            found.append(side(y) + F.interpolate(found[-1], size=y.shape[-2:], mode="nearest"))
        n, c, h, w = found[-1].shape
        tokens = found[-1].reshape(n, c, h * w).permute(0, 2, 1)
        return {"map": found[-1], "coarse": tuple(found[:-1]), "tokens": tokens[:, : h * w // 2].mean(1)}


class Tokens(nn.Module):
    """A small vision transformer, with a class token and positions."""

    def __init__(self):
        super().__init__()
        self.patch = nn.Conv2d(3, 8, 4, 4)
        self.token, self.position = nn.Parameter(noise(1, 1, 8)), nn.Parameter(noise(1, 17, 8))
        self.block = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, activation="gelu")

    def forward(self, x):
        y = self.patch(x).flatten(2).transpose(1, 2)
        y = lucid.cat([self.token.expand(x.shape[0], -1, -1), y], 1) + self.position
        return self.block(y)[:, 0]


CONVNEXTS = {
    "atto": lambda: models.ConvNeXt(10, (2, 2, 6, 2), (4, 6, 8, 10)),
    "v2": lambda: models.ConvNeXtV2(10, (1, 1, 2, 1), (4, 6, 8, 10)),
    "isotropic": lambda: models.ConvNeXtIsotropic(10, 2, 8, patch_size=16),
    "overlap": lambda: models.ConvNeXt(10, (1, 1, 1, 1), (4, 6, 8, 10), stem_type="overlap_act"),
    "hidden": lambda: models.ConvNeXt(10, (1, 1, 1, 1), (4, 6, 8, 10), head_hidden_size=12),
    "norm_first": lambda: models.ConvNeXt(10, (1, 1, 1, 1), (4, 6, 8, 10), head_norm_first=True, global_pool="avgmax"),
    "dilated": lambda: models.ConvNeXt(10, (1, 1, 1, 1), (4, 6, 8, 10), output_stride=8, global_pool=""),
}


@pytest.mark.parametrize("name", CONVNEXTS)
def test_convnext_is_the_same(tmp_path, name):
    lucid.manual_seed(3)
    model = trained(CONVNEXTS[name]())
    export(model, tmp_path / "m.onnx", image_size=224 if name == "atto" else 64, dynamic=("batch", "size"))
    for shape in ((1, 3, 224, 224), (2, 3, 61, 75)):
        assert difference(tmp_path / "m.onnx", model, noise(*shape)) <= 1e-5
    export(model, tmp_path / "half.onnx", image_size=64, dtype="float16")
    assert difference(tmp_path / "half.onnx", model, noise(2, 3, 64, 64)) <= 1e-2
    weights = {one.name: one.data_type for one in onnx.load(str(tmp_path / "half.onnx")).graph.initializer}
    matrices = {key for key, tensor in model.state_dict().items() if tensor.ndim in (2, 4) and "grn" not in key}
    assert {weights[key] for key in matrices} == {onnx.TensorProto.FLOAT16}


@pytest.mark.parametrize(
    ("kind", "multiple", "sizes"),
    [(ResNet, 1, [(33, 47), (64, 61)]), (UNet, 2, [(34, 48), (50, 22)]), (Pyramid, 1, [(33, 47), (64, 61)])],
)
def test_a_network_of_the_user_is_the_same(tmp_path, kind, multiple, sizes):
    lucid.manual_seed(4)
    model = trained(kind())
    found = export(model, tmp_path / "m.onnx", noise(2, 3, 32, 32), dynamic=("batch", "size"), verify=True)
    assert found["multiples"] == {"batch": 1, "height": multiple, "width": multiple}
    assert found["difference"] <= 1e-5
    for batch, size in zip((1, 3), sizes, strict=True):
        assert difference(tmp_path / "m.onnx", model, noise(batch, 3, *size)) <= 1e-5
    export(model, tmp_path / "m.onnx", noise(2, 3, 32, 32), dtype="float16")
    assert difference(tmp_path / "m.onnx", model, noise(2, 3, 32, 32)) <= 1e-2


def test_a_transformer_is_the_same(tmp_path):
    model = Tokens().eval()
    export(model, tmp_path / "m.onnx", noise(2, 3, 16, 16))
    for batch in (1, 5):
        assert difference(tmp_path / "m.onnx", model, noise(batch, 3, 16, 16)) <= 1e-5


def test_dimensions_have_names_of_the_users_choice(tmp_path):
    class Words(nn.Module):
        def __init__(self):
            super().__init__()
            self.table, self.out = nn.Embedding(9, 4), nn.Linear(4, 2)

        def forward(self, words, scale):
            y = self.table(words) * scale + lucid.arange(words.shape[1], dtype=lucid.float32).unsqueeze(-1)
            return self.out(F.scaled_dot_product_attention(y, y, y, is_causal=True))

    model, words = Words().eval(), lucid.tensor([[1, 2, 8, 0], [3, 3, 7, 1]])
    found = export(
        model, tmp_path / "m.onnx", [words, lucid.tensor([2.0])], verify=True,
        dynamic={"sentences": [(0, 0)], "length": [(0, 1)]},
    )  # fmt: skip
    assert found["inputs"] == {"input_0": ["sentences", "length"], "input_1": [1]}
    assert found["outputs"] == {"output": ["sentences", "length", 2]}
    assert difference(tmp_path / "m.onnx", model, lucid.tensor([[5] * 7]), lucid.tensor([0.5])) <= 1e-5


# What the file holds ------------------------------------------------------------------------------------------------


def test_parameters_keep_their_names(tmp_path):
    model = network()
    export(model, tmp_path / "m.onnx", image_size=32)
    proto = onnx.load(str(tmp_path / "m.onnx"))
    found = {one.name: onnx.numpy_helper.to_array(one) for one in proto.graph.initializer}
    for name, tensor in model.state_dict().items():
        assert np.array_equal(found[name], tensor.numpy()), name


def test_pixels_and_softmax_are_inside(tmp_path):
    model = network()
    model.preprocessing, model.class_names = PREPARED, ["a", "b", "c"]
    pixels = lucid.as_tensor(mx.random.randint(0, 256, (3, 37, 37, 3), key=mx.random.key(1)).astype(mx.uint8))
    images = ((pixels.float() / 255 - lucid.tensor(PREPARED.mean)) / lucid.tensor(PREPARED.std)).permute(0, 3, 1, 2)
    with lucid.no_grad():
        expected = F.softmax(model(images), 1).numpy()
    for kind, sent in (("nhwc", pixels), ("nchw", pixels.float().permute(0, 3, 1, 2))):
        found = export(model, tmp_path / f"{kind}.onnx", pixels=kind, softmax=True, verify=True)
        assert np.abs(outputs(tmp_path / f"{kind}.onnx", sent)[0] - expected).max() <= 1e-5
        assert list(found["outputs"]) == ["probabilities"]
    words = {one.key: one.value for one in onnx.load(str(tmp_path / "nhwc.onnx")).metadata_props}
    assert json.loads(words["classes"]) == ["a", "b", "c"] and words["pixels"] == "nhwc"
    assert json.loads(words["preprocessing"])["image_size"] == 37


def test_a_fixed_batch(tmp_path):
    found = export(network(), tmp_path / "m.onnx", image_size=(32, 40), dynamic=(), batch_size=4)
    assert found["inputs"] == {"images": [4, 3, 32, 40]} and found["outputs"] == {"output": [4, 3]}
    with pytest.raises(Exception, match="Got: 2 Expected: 4"):
        outputs(tmp_path / "m.onnx", noise(2, 3, 32, 40))


# Mistakes -----------------------------------------------------------------------------------------------------------


class Of(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function
        self.eval()

    def forward(self, x):
        return self.function(x)


def reads(x):
    return x if x.max() > 0 else -x


def in_training():
    return network().train()


def with_dropout():
    return nn.Sequential(nn.Flatten(), nn.Dropout(0.5).train(), nn.Linear(12, 2).eval())


IMAGES = (2, 3, 2, 2)
MISTAKES = {
    "unknown operation": (lambda: Of(lambda x: lucid.sort(x)[0] + lucid.erfinv(x)), {}, "as ONNX: sort .*erfinv"),
    "unsupported argument": (lambda: Of(lambda x: F.max_pool2d(x, 2, return_indices=True)[0]), {}, "return_indices"),
    "training mode": (in_training, {}, r"ConvNeXt: it is in training mode; call model.eval\(\)"),
    "dropout": (with_dropout, {}, "Sequential: it is in training mode|its module '1' is in training mode"),
    "active dropout": (lambda: Of(lambda x: F.dropout(x)), {}, "dropout .*draws random numbers"),
    "noise": (lambda: Of(lambda x: x + lucid.randn(2)), {}, "draws random numbers"),
    "a branch": (lambda: Of(reads), {}, r"test_onnx.py, line \d+: a Python branch"),
    "item": (lambda: Of(lambda x: x * x.max().item()), {}, r"item\(\) reads the value"),
    "mlx": (lambda: Of(lambda x: x + lucid.Tensor(mx.exp(x.mlx))), {}, "without an operation of Lucid"),
    "complex numbers": (lambda: Of(lambda x: lucid.view_as_real(x.to(lucid.complex64))), {}, "as ONNX: view_as"),
    "bfloat16": (lambda: Of(lambda x: x.bfloat16()), {}, "bfloat16 is not supported"),
    "a fixed size": (lambda: Of(lambda x: x.reshape(2, 12)), {}, "variable batch, only for 2: it fails for"),
    "a path of its own": (lambda: Of(lambda x: x + 1 if x.shape[0] == 2 else x), {}, "variable batch"),
    "dtype": (network, {"dtype": "int8"}, "onnx: dtype must be 'float32' or 'float16', got 'int8'|dtype"),
    "pixels": (network, {"pixels": "nhwc"}, "pixels needs model.preprocessing"),
    "kind of pixels": (network, {"pixels": "rgb"}, "pixels must be"),
    "dynamic": (network, {"dynamic": ("time",)}, "dynamic must be"),
    "batch": (network, {"example_inputs": None, "image_size": 32, "batch_size": 3}, "batch_size is for a fixed batch"),
    "two sizes": (network, {"image_size": 32}, "image_size and batch_size cannot be passed too"),
    "no size": (network, {"example_inputs": None}, "pass image_size or example_inputs"),
    "a small image": (network, {"example_inputs": None, "image_size": 3}, "at least 8x8"),
    "channels": (network, {"example_inputs": lucid.zeros(1, 4, 32, 32)}, "must have 3 channels"),
    "softmax": (lambda: Of(lambda x: x.flatten(2)), {"softmax": True}, "softmax needs a model with one output"),
    "an output": (lambda: Of(lambda x: (x, "name")), {}, "forward returned a str"),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_clear_sentence_and_writes_nothing(tmp_path, name):
    make, options, message = MISTAKES[name]
    (tmp_path / "m.onnx").write_text("former")
    model = make()
    options = {"example_inputs": noise(*IMAGES), **options}
    with pytest.raises((ExportError, ValueError), match=message) as caught:
        export(model, tmp_path / "m.onnx", **options)
    assert len(str(caught.value)) < 500
    assert [one.name for one in tmp_path.iterdir()] == ["m.onnx"] and (tmp_path / "m.onnx").read_text() == "former"


@pytest.mark.parametrize(("path", "error"), [("nowhere/m.onnx", FileNotFoundError), ("folder.onnx", IsADirectoryError)])
def test_places_that_cannot_be_written(tmp_path, path, error):
    (tmp_path / "folder.onnx").mkdir()
    with pytest.raises(error, match="folder"):
        export(network(), tmp_path / path, image_size=32)
    assert [one.name for one in tmp_path.iterdir()] == ["folder.onnx"]


def test_a_full_disk_leaves_the_former_file(tmp_path, monkeypatch):
    def write(path, content):
        with path.open("wb") as file:
            file.write(content[:100])
        raise OSError(errno.ENOSPC, "No space left on device")

    (tmp_path / "m.onnx").write_text("former")
    monkeypatch.setattr(Path, "write_bytes", write)
    with pytest.raises(OSError, match="No space left on device: .*m.onnx"):
        export(network(), tmp_path / "m.onnx", image_size=32)
    assert [one.name for one in tmp_path.iterdir()] == ["m.onnx"] and (tmp_path / "m.onnx").read_text() == "former"


@pytest.mark.parametrize(("package", "options"), [("onnx", {}), ("onnxruntime", {"verify": True})])
def test_a_missing_package_is_named(tmp_path, monkeypatch, package, options):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=rf'{package}: pip install "lucid-mlx\[onnx\]"'):
        export(network(), tmp_path / "m.onnx", image_size=32, **options)
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_file_is_not_kept(tmp_path, monkeypatch):
    from lucid.export._onnx import checking
    from lucid.export._onnx.table import LOWERINGS

    monkeypatch.setitem(LOWERINGS, "gelu", lambda b, node: b.add("Relu", b.name(node.arguments["input"])))
    with pytest.raises(
        ExportError, match=r"m.onnx: output differs from the model's by .*, for inputs \(2, 3, 32, 32\)"
    ):
        export(network(), tmp_path / "m.onnx", image_size=32, verify=True)
    monkeypatch.setattr(checking, "_session", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        export(network(), tmp_path / "m.onnx", image_size=32, verify=True)
    assert list(tmp_path.iterdir()) == []


def test_too_many_weights_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("lucid.export._onnx.writing._MAX_BYTES", 1000)
    with pytest.raises(ExportError, match="exceed the 2 GB of an ONNX file; use dtype='float16'"):
        export(network(), tmp_path / "m.onnx", image_size=32)
    assert list(tmp_path.iterdir()) == []
