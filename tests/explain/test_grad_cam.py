"""Grad-CAM equals the paper's formula, with gradients by finite differences in float64 NumPy, and reports mistakes."""

import threading

import numpy as np
import pytest

import lucid
from lucid import explain, models, nn


def resized(maps, size):
    """Bilinear interpolation with the centers of pixels at half integers, as PyTorch's ``align_corners=False``."""
    for axis, length in ((1, size[0]), (2, size[1])):
        place = np.clip((np.arange(length) + 0.5) * maps.shape[axis] / length - 0.5, 0, maps.shape[axis] - 1)
        low = np.minimum(place.astype(int), max(0, maps.shape[axis] - 2))
        part = place - low
        high = np.minimum(low + 1, maps.shape[axis] - 1)
        shape = [1, 1, 1]
        shape[axis] = length
        part = part.reshape(shape)
        maps = (1 - part) * maps.take(low, axis) + part * maps.take(high, axis)
    return maps


def formula(features, score, targets, size, step=1e-4):
    """Equations 1 and 2 of the paper; ``score(features)`` gives logits (N, classes) of features (N, C, h, w)."""
    rows = np.arange(len(features))
    gradient = np.zeros_like(features)
    for place in np.ndindex(features.shape[1:]):
        moved = np.zeros_like(features)
        moved[(slice(None), *place)] = step
        change = score(features + moved) - score(features - moved)
        gradient[(slice(None), *place)] = change[rows, targets] / (2 * step)
    alpha = gradient.mean(axis=(2, 3), keepdims=True)
    return resized(np.maximum((alpha * features).sum(axis=1), 0), size)


def array(tensor):
    return tensor.detach().numpy().astype(np.float64)


def convnext(classes=4, dims=(4, 6, 8), **options):
    lucid.manual_seed(3)
    model = models.ConvNeXt(classes, (1,) * len(dims), dims, patch_size=2, layer_scale_init=1.0, **options).eval()
    rng = np.random.default_rng(0)
    for one in model.parameters():  # every parameter matters
        one._rebind(lucid.tensor(rng.normal(0, 0.5, one.shape).astype(np.float32))._array)
    return model


def head_of(model):
    """The head of a ConvNeXt in float64: mean, LayerNorm, Linear."""
    gain, shift, weight, bias = map(array, (model.norm.weight, model.norm.bias, model.head.weight, model.head.bias))

    def score(features):
        pooled = features.mean(axis=(2, 3))
        centered = pooled - pooled.mean(axis=1, keepdims=True)
        normed = centered / np.sqrt((centered**2).mean(axis=1, keepdims=True) + 1e-6) * gain + shift
        return normed @ weight.T + bias

    return score


@pytest.mark.parametrize("size", [(24, 24), (29, 17), (16, 9)])
@pytest.mark.parametrize("targets", [None, 2, [3, 0, 1], np.array([1, 1, 2])])
def test_the_default_layer_of_a_convnext_gives_the_formula(size, targets):
    model = convnext()
    images = lucid.tensor(np.random.default_rng(1).normal(size=(3, 3, *size)).astype(np.float32))
    logits = array(model(images))
    wanted = logits.argmax(1) if targets is None else np.broadcast_to(targets, 3)
    expected = formula(array(model.forward_features(images)), head_of(model), wanted, size)
    assert expected.max() > 0.01
    found = explain.grad_cam(model, images, targets)
    assert found.dtype == lucid.float32 and not found.requires_grad
    np.testing.assert_allclose(array(found), expected, atol=1e-5 * expected.max(), rtol=1e-4)


def test_a_norm_before_the_pooling_belongs_to_the_map():
    model = convnext(head_norm_first=True)
    images = lucid.tensor(np.random.default_rng(1).normal(size=(2, 3, 24, 16)).astype(np.float32))
    weight, bias = array(model.head.weight), array(model.head.bias)
    features = array(model.forward_features(images))
    expected = formula(features, lambda one: one.mean(axis=(2, 3)) @ weight.T + bias, [1, 3], (24, 16))
    np.testing.assert_allclose(array(explain.grad_cam(model, images, [1, 3])), expected, atol=1e-5 * expected.max())


class Small(nn.Module):
    """The classifier works on the map after one more convolution and a nonlinearity, so gradients differ by place."""

    def __init__(self, data_format="channels_first"):
        super().__init__()
        lucid.manual_seed(0)
        self.first = nn.Conv2d(2, 5, 3, stride=2, data_format=data_format)
        self.head = nn.Linear(5, 3)
        self.rate = nn.Dropout(0.5)
        self.last = data_format == "channels_last"

    def forward(self, x):
        x = self.first(x.permute(0, 2, 3, 1) if self.last else x)
        x = x.permute(0, 3, 1, 2) if self.last else x
        x = self.rate((x * x).tanh() + 0.5 * x)
        return self.head(x.mean(dim=(2, 3)))


@pytest.mark.parametrize("data_format", ["channels_first", "channels_last"])
@pytest.mark.parametrize("by_name", [True, False])
def test_a_layer_of_any_module_gives_the_formula(data_format, by_name):
    model = Small(data_format)  # in training mode, with dropout
    images = np.random.default_rng(2).normal(size=(2, 2, 11, 14)).astype(np.float32)
    weight, bias = array(model.head.weight), array(model.head.bias)

    def score(features):
        return (np.tanh(features**2) + 0.5 * features).mean(axis=(2, 3)) @ weight.T + bias

    moved = images.transpose(0, 2, 3, 1) if model.last else images
    features = array(model.first(lucid.tensor(moved)))
    features = features.transpose(0, 3, 1, 2) if model.last else features
    expected = formula(features, score, [2, 0], (11, 14))
    found = explain.grad_cam(model, images, [2, 0], "first" if by_name else model.first)
    np.testing.assert_allclose(array(found), expected, atol=1e-5 * expected.max(), rtol=1e-4)
    assert model.training and model.rate.training
    assert all(one.grad is None for one in model.parameters()) and not model.first._forward_hooks


@pytest.mark.parametrize("options", [{}, {"head_norm_first": True}, {"head_hidden_size": 5}, {"global_pool": "avgmax"}])
def test_maps_of_a_batch_are_those_of_its_images(options):
    model = convnext(**options)
    images = lucid.tensor(np.random.default_rng(1).normal(size=(3, 3, 16, 16)).astype(np.float32))
    with lucid.no_grad():
        together = array(explain.grad_cam(model, images))
        apart = np.concatenate([array(explain.grad_cam(model, images[i : i + 1])) for i in range(3)])
    np.testing.assert_allclose(together, apart, atol=1e-5 * apart.max())


def test_layers_inside_a_convnext_have_their_channels_last():
    lucid.manual_seed(0)
    isotropic = models.ConvNeXtIsotropic(3, 2, 8, patch_size=4).eval()
    wrapped = nn.Sequential(isotropic, nn.Linear(3, 2)).eval()
    images = lucid.rand(2, 3, 16, 20)
    default = array(explain.grad_cam(wrapped, images, 1))
    assert default.shape == (2, 16, 20)
    for layer in ("0.blocks.1", isotropic.blocks[1]):
        np.testing.assert_array_equal(default, array(explain.grad_cam(wrapped, images, 1, layer)))
    for layer in ("0.stem", "0.blocks.0.dwconv", "0.blocks.0"):
        assert explain.grad_cam(wrapped, images, 1, layer).shape == (2, 16, 20)
    other = explain.grad_cam(wrapped, images, 1, "0.blocks.1", data_format="channels_first")
    assert other.shape == (2, 16, 20) and not np.array_equal(default, array(other))


def test_other_threads_may_use_the_model_meanwhile():
    model = convnext()
    images = lucid.tensor(np.random.default_rng(1).normal(size=(2, 3, 16, 16)).astype(np.float32))
    wanted, maps, faults = array(model(images)), array(explain.grad_cam(model, images)), []

    def work(explains):
        for _ in range(10):
            found = array(explain.grad_cam(model, images) if explains else model(images))
            if not np.allclose(found, maps if explains else wanted, atol=1e-4 * abs(wanted).max()):
                faults.append(explains)

    threads = [threading.Thread(target=work, args=(number % 2 == 0,)) for number in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert faults == [] and not any(module._forward_hooks for module in model.modules())


class Unused(Small):
    def forward(self, x):
        self.first(x)
        return self.head(lucid.ones(len(x), 5))


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        ({"images": np.zeros((3, 16, 16), np.float32)}, ValueError, r"images must have 4 dimensions \(N, C, H, W\)"),
        ({"images": np.zeros((1, 3, 16, 16), np.uint8)}, TypeError, "must be floating-point, got uint8; model.prep"),
        ({"images": np.zeros((0, 3, 16, 16), np.float32)}, ValueError, r"must not be empty, got \(0, 3, 16, 16\)"),
        ({"target": 4}, ValueError, r"target must be in \[0, 3\] for 4 classes, got 4"),
        ({"target": -1}, ValueError, "got -1"),
        ({"target": 1.5}, TypeError, "target must be an integer, got 1.5"),
        ({"target": "cat"}, TypeError, "target must be an integer, got 'cat'"),
        ({"target": [0, 1]}, ValueError, "one class, or one for each of 1 images, got 2"),
        ({"layer": "stages.7"}, ValueError, "'stages.7' has no module '7' in ModuleList; available: 0, 1, 2"),
        ({"layer": 3}, TypeError, "layer must be a module of the model or its name, got 3"),
        ({"layer": nn.Linear(1, 1)}, ValueError, "layer Linear is not a module of the model"),
        ({"layer": "head"}, ValueError, r"layer 'head' must return a feature map of 4 dimensions, got \(1, 4\)"),
        ({"layer": ""}, ValueError, "the model must return a feature map of 4 dimensions"),
        ({"layer": "stages"}, ValueError, "the model did not call layer 'stages'"),
        ({"data_format": "NCHW"}, ValueError, "data_format must be 'channels_first' or 'channels_last', got 'NCHW'"),
        ({"model": Small()}, ValueError, "Small has no default layer; name one with a feature map, such as layer='fir"),
        ({"model": nn.Linear(2, 2)}, ValueError, "Linear has no default layer; name one with a feature map$"),
        ({"model": models.create_model("convnext_atto", num_classes=0, global_pool="")}, ValueError, "return logits"),
        (
            {"model": Unused(), "images": np.zeros((1, 2, 8, 8), np.float32), "layer": "first"},
            ValueError,
            "the logits do not depend on the output of layer 'first'",
        ),
    ],
)
def test_mistakes_are_reported(change, kind, message):
    arguments = {"model": convnext(), "images": np.zeros((1, 3, 32, 32), np.float32), **change}
    with pytest.raises(kind, match=message) as caught:
        explain.grad_cam(**arguments)
    assert str(caught.value).startswith("grad_cam: ")
    assert not any(module._forward_hooks for module in arguments["model"].modules())
