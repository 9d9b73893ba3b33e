"""Matching tensors with parameters: shapes, dtypes, channels, and the report."""

import mlx.core as mx
import numpy as np
import pytest

from lucid import models
from lucid.models.weights.detect import MismatchError, find_networks
from lucid.models.weights.match import LoadReport, adapt_input_conv, match_parameters


def fit(model, tensors, strict=True):
    [network] = find_networks(tensors)
    report = LoadReport("c", network.dialect, network.wrapper, network.prefix, "?")
    return match_parameters("c", network, model.state_dict(keep_vars=True), report, strict), report


def checkpoint(model):
    return {name: mx.array(tensor._array) for name, tensor in model.state_dict().items()}


def small(classes=3, **options):
    return models.ConvNeXt(classes, [1, 1], [4, 6], **options)


def test_a_model_matches_itself():
    model = small()
    plan, report = fit(model, checkpoint(model))
    assert len(plan) == report.loaded == len(model.state_dict())
    assert not report.skipped and not report.kept and not report.changes


# timm's adapt_input_conv by hand: the sum, or the three channels repeated and scaled by 3 / n
@pytest.mark.parametrize(
    ("in_chans", "expected"),
    [
        (1, [6.0]),
        (2, [1.0 * 3 / 2, 2.0 * 3 / 2]),
        (3, [1.0, 2.0, 3.0]),
        (5, [0.6, 1.2, 1.8, 0.6, 1.2]),
        (7, [3 / 7, 6 / 7, 9 / 7, 3 / 7, 6 / 7, 9 / 7, 3 / 7]),
    ],
)
def test_adapting_the_stem_to_other_channels(in_chans, expected):
    weight = mx.broadcast_to(mx.array([1.0, 2.0, 3.0]).reshape(1, 3, 1, 1), (4, 3, 2, 2))
    adapted = np.array(adapt_input_conv(in_chans, weight))
    np.testing.assert_allclose(adapted, np.broadcast_to(np.reshape(expected, (1, -1, 1, 1)), (4, in_chans, 2, 2)))
    assert adapt_input_conv(in_chans, weight.astype(mx.bfloat16)).dtype == mx.bfloat16


def test_half_precision_stems_are_summed_in_float32():
    weight = mx.array(np.array([1000.0, 0.4, 0.4], np.float16).reshape(1, 3, 1, 1))
    assert adapt_input_conv(1, weight).item() == np.float16(1000.8)


def test_match_parameters_adapts_the_stem():
    given = checkpoint(small())
    plan, report = fit(small(in_chans=1), given)
    stem = next(array for tensor, array in plan if tensor.shape == (4, 1, 4, 4))
    assert mx.allclose(stem, given["downsample_layers.0.0.weight"].sum(axis=1, keepdims=True))
    assert report.changes == ["the stem from 3 to 1 channels"]
    with pytest.raises(MismatchError, match="takes 2 channels, the model 5; only 3 channels can be adapted"):
        fit(small(in_chans=5), checkpoint(small(in_chans=2)))


def test_another_patch_size_raises():
    with pytest.raises(MismatchError, match=r"has patches of \(4, 4\) px, the model of \(2, 2\): build it with"):
        fit(small(patch_size=2), checkpoint(small()))


def test_shapes_may_differ_in_dimensions_of_1():
    model = small(patch_size=1, in_chans=1)
    given = {name: array.reshape([n for n in array.shape if n > 1]) for name, array in checkpoint(model).items()}
    plan, report = fit(model, given)
    assert [array.shape for _, array in plan] == [tensor.shape for tensor in model.state_dict().values()]
    assert report.changes == ["3 tensors reshaped"]  # the stem and the depthwise weights


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_values_are_converted_to_the_dtype_of_the_model(dtype):
    model = small()
    plan, report = fit(model, {name: array.astype(getattr(mx, dtype)) for name, array in checkpoint(model).items()})
    assert {array.dtype for _, array in plan} == {mx.float32}
    assert report.changes == [f"{len(plan)} tensors from {dtype} to float32"]
    plan, _ = fit(small().half(), checkpoint(model))
    assert {array.dtype for _, array in plan} == {mx.float16}


def test_float64_is_converted_on_the_cpu(monkeypatch):
    devices = []
    stream = mx.stream
    monkeypatch.setattr(mx, "stream", lambda device: devices.append(device) or stream(mx.cpu))
    monkeypatch.setattr(mx, "default_device", lambda: mx.gpu)  # as on a machine with a GPU
    model = small(in_chans=1)
    given = checkpoint(small())
    for name, array in given.items():
        if name != "norm.bias":
            given[name] = array.astype(mx.float64)
    plan, report = fit(model, given)
    assert devices == [mx.gpu if name == "norm.bias" else mx.cpu for name in model.state_dict()]
    assert {array.dtype for _, array in plan} == {mx.float32}
    assert report.changes == ["the stem from 3 to 1 channels", f"{len(plan) - 1} tensors from float64 to float32"]


def test_the_error_lists_every_mismatch():
    model = small()
    given = checkpoint(model)
    del given["stages.0.0.norm.bias"]
    given["stages.9.norm.bias"] = mx.zeros(3)
    given["stages.1.0.dwconv.weight"] = mx.zeros((6, 1, 5, 5))
    given["norm.weight"] = mx.zeros(6, mx.int8)
    with pytest.raises(MismatchError) as caught:
        fit(model, given)
    text = str(caught.value)
    assert "does not fit the model; nothing was loaded" in text
    assert "missing: stages.0.0.norm.bias\n" in text
    assert "unknown: stages.9.norm.bias\n" in text
    assert "stages.1.0.dwconv.weight has shape (6, 1, 5, 5), the model needs (6, 1, 7, 7)" in text
    assert "norm.weight is int8, weights must be floating-point numbers" in text
    with pytest.raises(MismatchError, match="dwconv.weight has shape") as caught:
        fit(model, given, strict=False)
    assert "missing" not in str(caught.value)


def test_missing_names_are_those_of_the_dialect_and_long_lists_are_cut():
    [network] = find_networks(
        {"features.0.0.weight": mx.zeros((4, 3, 4, 4)), "features.1.0.block.0.weight": mx.zeros(1)}
    )
    report = LoadReport("c", "torchvision", (), "", "?")
    with pytest.raises(MismatchError, match="missing: features.0.0.bias") as caught:
        match_parameters("c", network, models.convnext_tiny().state_dict(keep_vars=True), report, True)
    assert "strict=False loads what fits" not in str(caught.value)  # it does not help with a wrong shape
    assert "... and 158 more" in str(caught.value)


def test_strict_errors_are_reported_otherwise():
    model = small()
    given = checkpoint(model)
    del given["stages.0.0.norm.bias"]
    given["stages.9.norm.bias"] = mx.zeros(3)
    with pytest.raises(MismatchError, match="strict=False loads what fits"):
        fit(model, given)
    plan, report = fit(model, given, strict=False)
    assert len(plan) == len(model.state_dict()) - 1
    assert report.kept == {"stages.0.0.norm.bias": "missing from the checkpoint"}
    assert report.missing_keys == ["stages.0.0.norm.bias"] and report.unexpected_keys == ["stages.9.norm.bias"]


def test_the_report_is_readable():
    report = LoadReport("a.pth", "timm", ("model",), "module.", "convnext_tiny", 180)
    report.skipped = {"head.fc.weight": "too large", "head.fc.bias": "too large", "lr": "not part of the network"}
    report.kept = {"head.weight": "own"}
    report.changes = ["180 tensors from float16 to float32"]
    assert str(report).splitlines() == [
        "a.pth: convnext_tiny, timm names in ['model'] with prefix 'module.': 180 tensors loaded",
        "  changed: 180 tensors from float16 to float32",
        "  kept head.weight: own",
        "  skipped head.fc.weight, head.fc.bias: too large",
        "  skipped lr: not part of the network",
    ]
