"""UPerNet beside mmsegmentation's, recorded; its files and names; sliding windows; sizes that hurt."""

import json

import mlx.core as mx
import numpy as np
import pytest

import lucid
from lucid import models, nn
from tests.reference.upernet_cases import (
    AUXILIARY_CHANNELS,
    CHANNELS,
    CLASSES,
    FILE,
    IMAGE,
    WIDTHS,
    drawn,
    maps,
)

HEADS = {
    "decode_head": lambda: models.UPerHead(WIDTHS, CLASSES, CHANNELS),
    "auxiliary_head": lambda: models.FCNHead(WIDTHS[2], CLASSES, AUXILIARY_CHANNELS),
}


@pytest.fixture(scope="module")
def recorded():
    with np.load(FILE) as file:
        return dict(file)


def small(classes=CLASSES, **options):
    backbone = models.FeatureListNet(models.ConvNeXt(0, [1, 1, 1, 1], WIDTHS))
    return models.UPerNet(backbone, classes, CHANNELS, auxiliary_channels=AUXILIARY_CHANNELS, **options)


def with_drawn(module, prefix):
    state = {
        name: lucid.tensor(drawn(f"{prefix}.{name}", tuple(value.shape))) if value.dtype == lucid.float32 else value
        for name, value in module.state_dict().items()
    }
    module.load_state_dict(state)
    return module.eval()


@pytest.mark.parametrize("name", HEADS)
def test_heads_give_the_logits_of_mmsegmentation(name, recorded):
    head = with_drawn(HEADS[name](), name)
    assert sorted(head.state_dict()) == recorded[f"{name}.names"].tolist()
    inputs = [lucid.tensor(one) for one in maps()]
    with lucid.no_grad():
        logits = head(inputs if name == "decode_head" else inputs[2])
    scale = abs(recorded[name]).max()
    np.testing.assert_allclose(logits.numpy(), recorded[name], rtol=0, atol=1e-5 * scale)
    resized = nn.functional.interpolate(logits, IMAGE, mode="bilinear", align_corners=False)
    expected = recorded[f"{name}.resized"]
    np.testing.assert_allclose(resized.numpy()[:1, :1, ::7, ::7], expected, rtol=0, atol=1e-5 * scale)


def test_network_joins_backbone_norms_and_heads():
    lucid.manual_seed(0)
    model = small().eval()
    x = lucid.randn(2, 3, 67, 91)
    found = model.backbone(x)
    normed = []
    for one, norm in zip(found, model.norms, strict=True):  # LayerNorm over channels, eps 1e-6
        values = one.detach().numpy().astype(np.float64)
        centered = values - values.mean(1, keepdims=True)
        scaled = centered / np.sqrt((centered**2).mean(1, keepdims=True) + 1e-6)
        normed.append(
            lucid.tensor((scaled * norm.weight.detach().numpy()[:, None, None]).astype(np.float32))
            + norm.bias.reshape(-1, 1, 1)
        )
    expected = nn.functional.interpolate(model.decode_head(normed), (67, 91), mode="bilinear")
    np.testing.assert_allclose(model(x).detach().numpy(), expected.detach().numpy(), rtol=0, atol=1e-5)
    model.train()
    logits, auxiliary = model(x)
    assert logits.shape == auxiliary.shape == (2, CLASSES, 67, 91)
    assert isinstance(small(norm=False).norms[0], nn.Identity)


def test_every_parameter_gets_a_gradient():
    lucid.manual_seed(0)
    model = small(dropout=0.0)
    logits, auxiliary = model(lucid.randn(2, 3, 64, 64))
    (logits.square().mean() + auxiliary.square().mean()).backward()
    missing = [name for name, one in model.named_parameters() if one.grad is None or not one.grad.abs().max().item()]
    # The pooled map of size 1 has one value per image and channel, and batch norm of two values is nearly a sign.
    assert not missing


@pytest.mark.parametrize("size", [(32, 32), (33, 47), (64, 32), (97, 61)])
def test_sizes(size):
    model = small().eval()
    assert model(lucid.randn(1, 3, *size)).shape == (1, CLASSES, *size)


@pytest.mark.parametrize("size", [(1, 1), (5, 70), (31, 33)])
def test_logits_of_small_and_odd_images_are_those_of_the_padded_image(size):
    lucid.manual_seed(0)
    model = small().eval()
    x = lucid.randn(1, 3, *size)
    with lucid.no_grad():
        found = models.segmentation_logits(model, x)
    assert found.shape == (1, CLASSES, *size)
    padded = nn.functional.pad(x, (0, -size[1] % 32, 0, -size[0] % 32))
    np.testing.assert_array_equal(found.numpy(), logits_of(model, padded)[:, :, : size[0], : size[1]])


def test_wrong_arguments():
    backbone = models.FeatureListNet(models.ConvNeXt(0, [1, 1], [8, 12]))
    with pytest.raises(TypeError, match="UPerNet: backbone must have feature_info"):
        models.UPerNet(nn.Linear(2, 2), 5)
    with pytest.raises(ValueError, match="num_classes"):
        models.UPerNet(backbone, 0)
    with pytest.raises(ValueError, match="pool_scales"):
        models.UPerNet(backbone, 2, pool_scales=(0,))
    one = models.FeatureListNet(models.ConvNeXt(0, [1, 1], [8, 12]), out_indices=[1])
    with pytest.raises(ValueError, match="at least 2 maps, got 1"):
        models.UPerNet(one, 2)


# Sliding windows ------------------------------------------------------------------------------------------------------


class Positions(nn.Module):
    """Two classes: the values, and their mean in the window."""

    def forward(self, x):
        return lucid.cat([x[:, :1], x[:, :1].mean(dim=(2, 3), keepdim=True).expand(-1, -1, *x.shape[2:])], 1)


def slide(x, window, stride):
    """mmsegmentation's ``slide_inference`` of ``Positions`` in NumPy."""
    n, _, h, w = x.shape
    total, count = np.zeros((n, 2, h, w)), np.zeros((n, 1, h, w))
    rows = max(h - window[0] + stride[0] - 1, 0) // stride[0] + 1
    columns = max(w - window[1] + stride[1] - 1, 0) // stride[1] + 1
    for i in range(rows):
        for j in range(columns):
            bottom, right = min(i * stride[0] + window[0], h), min(j * stride[1] + window[1], w)
            place = (..., slice(max(bottom - window[0], 0), bottom), slice(max(right - window[1], 0), right))
            part = x[place]
            total[place] += np.stack(
                [part[:, 0], np.broadcast_to(part[:, 0].mean((1, 2), keepdims=True), part[:, 0].shape)], 1
            )
            count[place] += 1
    return total / count


@pytest.mark.parametrize("size", [(40, 40), (33, 71), (20, 90), (64, 41)])
@pytest.mark.parametrize(("window", "stride"), [(40, 27), ((32, 40), (32, 13)), (40, 40)])
def test_sliding_windows_are_mmsegmentations(size, window, stride):
    x = np.random.default_rng(0).normal(size=(2, 1, *size)).astype(np.float32)
    found = models.sliding_window_inference(Positions(), lucid.tensor(x), window, stride).numpy()
    both = [(one, one) if isinstance(one, int) else one for one in (window, stride)]
    np.testing.assert_allclose(found, slide(x.astype(np.float64), *both), rtol=0, atol=1e-5)


def test_sliding_windows_refuse_gaps():
    with pytest.raises(ValueError, match="stride must be at most the window"):
        models.sliding_window_inference(Positions(), lucid.zeros(1, 1, 50, 50), 20, 21)
    with pytest.raises(ValueError, match=r"\(N, C, H, W\), got shape \(50, 50\)"):
        models.sliding_window_inference(Positions(), lucid.zeros(50, 50), 20)


def test_windows_are_computed_one_after_the_other(settled):
    """The memory is that of one window and some copies of the sum, however many windows there are."""
    model, x, side = small().eval(), lucid.randn(1, 3, 512, 512), 64
    mx.clear_cache()

    def peak(function):
        mx.reset_peak_memory()
        before = mx.get_active_memory()
        with lucid.no_grad():
            function().numpy()
        return mx.get_peak_memory() - before

    one = peak(lambda: model(x[:, :, :side, :side]))
    total = 4 * CLASSES * 512 * 512
    assert peak(lambda: models.sliding_window_inference(model, x, side)) < 2 * one + 5 * total


# Files ----------------------------------------------------------------------------------------------------------------


def logits_of(model, x):
    with lucid.no_grad():
        return model.eval()(x).numpy()


def mmsegmentation_names(state):
    """The names of mmsegmentation with the backbone of mmpretrain."""
    renamed = {}
    for name, value in state.items():
        name = name.replace("backbone.body.", "backbone.").replace(".dwconv.", ".depthwise_conv.")
        name = name.replace(".pwconv", ".pointwise_conv").replace("norms.", "backbone.norm")
        renamed[name] = value
    return renamed


def authors_names(state):
    """The names of the authors' checkpoints."""
    return {n.replace("backbone.body.", "backbone.").replace("norms.", "backbone.norm"): v for n, v in state.items()}


@pytest.mark.parametrize("auxiliary", [True, False])
@pytest.mark.parametrize("rename", [mmsegmentation_names, authors_names, dict], ids=["mmseg", "authors", "own"])
@pytest.mark.parametrize("wrap", [lambda state: state, lambda state: {"meta": {"epoch": 1}, "state_dict": state}])
def test_checkpoints_of_others_load(rename, wrap, auxiliary, tmp_path):
    lucid.manual_seed(1)
    model = small()
    state = {k: v for k, v in model.state_dict().items() if auxiliary or not k.startswith("auxiliary_head")}
    lucid.save(wrap(rename(state)), tmp_path / "segmenter.safetensors")
    found = models.load_segmenter(tmp_path / "segmenter.safetensors")
    x = lucid.randn(1, 3, 64, 96)
    np.testing.assert_array_equal(logits_of(found, x), logits_of(model, x))
    assert found.class_names == [f"class {i}" for i in range(CLASSES)]
    assert (found.auxiliary_head is not None) == auxiliary


@pytest.mark.parametrize(
    ("body", "options"),
    [
        (lambda: models.ConvNeXtV2(0, [1, 2], [8, 12]), {}),
        (lambda: models.ConvNeXt(0, [1, 1, 1], [8, 12, 16], patch_size=2), {"pool_scales": (1, 3)}),
        (lambda: models.ConvNeXt(0, [1, 1], [8, 12], stem_type="overlap", patch_size=2), {"norm": False}),
        (lambda: models.ConvNeXt(0, [1, 1], [8, 12], in_chans=1), {"auxiliary_channels": 0}),
    ],
)
def test_own_files_keep_every_option(body, options, tmp_path):
    lucid.manual_seed(2)
    model = models.UPerNet(models.FeatureListNet(body()), 3, 8, **options)
    path = tmp_path / "mine.safetensors"
    models.save_segmenter(
        model, path, class_names=["a", "b", "ü"], preprocessing=models.ImageTransform(mean=(0.1,) * 3)
    )
    found = models.load_segmenter(path)
    x = lucid.randn(1, model.backbone.body.in_chans, 48, 56)
    np.testing.assert_array_equal(logits_of(found, x), logits_of(model, x))
    assert found.class_names == ["a", "b", "ü"] and found.preprocessing.mean == (0.1,) * 3


def test_palettes_are_kept(tmp_path):
    path, colors = tmp_path / "mine.safetensors", [(0, 0, 0), (255, 1, 2), (3, 4, 5)]
    model = models.UPerNet(models.FeatureListNet(models.ConvNeXt(0, [1, 1], [8, 12])), 3, 8)
    models.save_segmenter(model, path, palette=[*colors, (9, 9, 9)])
    assert models.load_segmenter(path).palette == colors
    models.save_segmenter(model, path)
    assert models.load_segmenter(path).palette == []
    with pytest.raises(ValueError, match=r"save_segmenter: colors must be .* from 0 to 255, got \(0, 256, 0\)"):
        models.save_segmenter(model, path, palette=[(0, 256, 0)])


@pytest.mark.parametrize(
    "wrap",
    [
        lambda names, colors: {"CLASSES": names, "PALETTE": colors},  # versions below 1
        lambda names, colors: {"dataset_meta": {"classes": names, "palette": colors}},
    ],
)
def test_class_names_and_colors_of_mmsegmentation(wrap, tmp_path):
    state, names = mmsegmentation_names(small().state_dict()), tuple("abcde")
    colors = [[i, 2 * i, 255 - i] for i in range(CLASSES)]
    path = tmp_path / "upernet.pth"
    lucid.save({"meta": wrap(names, colors), "state_dict": state}, path)
    found = models.load_segmenter(path)
    assert found.class_names == list(names) and found.palette == [tuple(one) for one in colors]
    lucid.save({"meta": wrap(names[:2], colors[:2]), "state_dict": state}, path)  # of a head that was replaced
    found = models.load_segmenter(path)
    assert found.class_names[0] == "class 0" and found.palette == []


def test_files_that_are_no_segmenters(tmp_path):
    path = tmp_path / "file.safetensors"
    models.save_checkpoint(models.ConvNeXt(2, [1, 1], [8, 12]), path)
    with pytest.raises(models.MismatchError, match=r"file.safetensors holds a ConvNeXt, but no head of a UPerNet"):
        models.load_segmenter(path)
    lucid.save({"weight": lucid.zeros(2)}, path)
    with pytest.raises(models.MismatchError, match="holds no ConvNeXt; its names are weight"):
        models.load_segmenter(path)
    state = small().state_dict()
    del state["decode_head.bottleneck.bn.weight"]
    lucid.save(state, path)
    with pytest.raises(models.MismatchError, match=r"decode_head\.bottleneck\.bn\.weight"):
        models.load_segmenter(path)
    with pytest.raises(FileNotFoundError):
        models.load_segmenter(tmp_path / "none.safetensors")


@pytest.mark.parametrize(
    "metadata",
    [
        {"segmentation": "[]"},
        {"segmentation": "{"},
        {"segmentation": json.dumps({"depth": 3})},
        {"segmentation": json.dumps({"pool_scales": [0, 1, 2, 3]})},
        {"segmentation": json.dumps({"pool_scales": [1]})},
        {"classes": json.dumps(["one"])},
        {"classes": "{}"[:1]},
        {"preprocessing": json.dumps({"mean": 3})},
        {"preprocessing": "[]"},
        {"palette": "3"},
        {"palette": json.dumps([[0, 0]])},
    ],
)
def test_wrong_metadata_is_named(metadata, tmp_path):
    path = tmp_path / "file.safetensors"
    lucid.save(small().state_dict(), path, metadata)
    with pytest.raises(models.MismatchError, match=r"load_segmenter: .*file\.safetensors: "):
        models.load_segmenter(path)
