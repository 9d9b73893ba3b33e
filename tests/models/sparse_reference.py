"""FCMAE in NumPy and float64, on dictionaries of visible positions: what is hidden is never computed.

Source: github.com/facebookresearch/ConvNeXt-V2, ``models/convnextv2_sparse.py`` and ``models/fcmae.py``, with the
statistics of GRN per image.
"""

import math

import numpy as np

EPS = 1e-6
_erf = np.vectorize(math.erf, otypes=[float])


def convolve(x, weight, bias, stride=1, padding=0, depthwise=False):
    """A submanifold convolution of {(row, column): channels}: only visible positions have outputs, and count."""
    found = {}
    for row, column in {(row // stride, column // stride) for row, column in x}:
        total = bias.copy()
        for i in range(weight.shape[2]):
            for j in range(weight.shape[3]):
                neighbor = x.get((row * stride - padding + i, column * stride - padding + j))
                if neighbor is not None:
                    kernel = weight[:, :, i, j]
                    total += kernel[:, 0] * neighbor if depthwise else kernel @ neighbor
        found[row, column] = total
    return found


def layer_norm(x, weight, bias):
    return {at: (v - v.mean()) / np.sqrt(v.var() + EPS) * weight + bias for at, v in x.items()}


def linear(x, weight, bias):
    return {at: weight @ v + bias for at, v in x.items()}


def gelu(x):
    return {at: 0.5 * v * (1 + _erf(v / math.sqrt(2))) for at, v in x.items()}


def grn(x, gamma, beta):
    norm = np.sqrt(sum(v**2 for v in x.values()))
    norm = norm / (norm.mean() + EPS)
    return {at: gamma.ravel() * (v * norm) + beta.ravel() + v for at, v in x.items()}


def block(x, own):
    y = convolve(x, own["dwconv.weight"], own["dwconv.bias"], padding=3, depthwise=True)
    y = layer_norm(y, own["norm.weight"], own["norm.bias"])
    y = gelu(linear(y, own["pwconv1.weight"], own["pwconv1.bias"]))
    if "grn.gamma" in own:
        y = grn(y, own["grn.gamma"], own["grn.beta"])
    y = linear(y, own["pwconv2.weight"], own["pwconv2.bias"])
    return {at: x[at] + own.get("gamma", 1.0) * v for at, v in y.items()}


def part(weights, prefix):
    return {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}


def encode(weights, depths, image, mask, mask_size, strides, padding=0):
    """The features {(row, column): channels} of the visible part of an image (C, H, W).

    ``strides`` are those of the convolutions of the stem, which ``padding`` makes overlap; None is a GELU.
    """
    rows, columns = np.nonzero(np.kron(mask, np.ones((mask_size, mask_size))) == 0)
    x = {(row, column): image[:, row, column] for row, column in zip(rows.tolist(), columns.tolist(), strict=True)}
    for stage, depth in enumerate(depths):
        own = part(weights, f"encoder.downsample_layers.{stage}.")
        if stage:
            x = layer_norm(x, own["0.weight"], own["0.bias"])
            x = convolve(x, own["1.weight"], own["1.bias"], 2)
        else:
            for number, stride in enumerate(strides):
                if stride is None:
                    x = gelu(x)
                else:
                    x = convolve(x, own[f"{number}.weight"], own[f"{number}.bias"], stride, padding)
            x = layer_norm(x, own[f"{len(strides)}.weight"], own[f"{len(strides)}.bias"])
        for number in range(depth):
            x = block(x, part(weights, f"encoder.stages.{stage}.{number}."))
    return x


def predict(weights, features, hidden):
    """The prediction {(row, column): values} for all positions; ``hidden`` (rows, columns) is 1 where one is."""
    x = linear(features, weights["proj.weight"][:, :, 0, 0], weights["proj.bias"])
    x |= {at: weights["mask_token"].ravel() for at in zip(*np.nonzero(hidden), strict=True)}
    assert len(x) == hidden.size
    for number in range(sum(name.endswith("dwconv.bias") for name in part(weights, "decoder."))):
        x = block(x, part(weights, f"decoder.{number}."))
    return linear(x, weights["pred.weight"][:, :, 0, 0], weights["pred.bias"])


def loss(image, prediction, hidden, normalized=True):
    """The squared error of each hidden patch; its values are ordered by row, column, channel."""
    channels, height, width = image.shape
    p = height // hidden.shape[0]
    patches = np.einsum("chpwq->hwpqc", image.reshape(channels, height // p, p, width // p, p))
    errors = []
    for row, column in zip(*np.nonzero(hidden), strict=True):
        target = patches[row, column].ravel()
        if normalized:
            target = (target - target.mean()) / np.sqrt(target.var(ddof=1) + EPS)
        errors.append(((prediction[row, column] - target) ** 2).mean())
    return errors
