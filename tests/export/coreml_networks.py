"""Small networks for the tests of Core ML, with parameters that are not at their initial values."""

import mlx.core as mx
import numpy as np

import lucid
import lucid.nn.functional as F
from lucid import models, nn
from lucid.models.preprocessing import ImageTransform

PREPARED = ImageTransform(37, 40, mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.4))
NAMES = ["cat", "dog", "ant"]


def settled(model, seed=5):
    """``model`` in evaluation mode, with random parameters and statistics."""
    for i, (name, one) in enumerate([*model.named_parameters(), *model.named_buffers()]):
        if one._array.dtype != mx.float32:
            continue
        noise = mx.random.normal(one.shape, key=mx.random.key(seed + i))
        if one.ndim > 1:
            one._rebind(noise / np.sqrt(np.prod(one.shape[1:])))
        else:  # variances are positive, the other vectors are scales, shifts and means
            one._rebind(mx.abs(noise) * 0.3 + 0.5 if name.endswith(("var", "weight", "gamma")) else noise * 0.3)
    return model.eval()


class ResNetLike(nn.Module):
    """A stem with batch norm and pooling, a residual block with a projection, a classifier."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 8, 7, 2, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)
        )
        self.one = nn.Sequential(
            nn.Conv2d(8, 12, 3, 2, 1, bias=False), nn.BatchNorm2d(12), nn.ReLU(), nn.Conv2d(12, 12, 3, 1, 1, groups=3),
            nn.BatchNorm2d(12),
        )  # fmt: skip
        self.short = nn.Sequential(nn.Conv2d(8, 12, 1, 2), nn.BatchNorm2d(12))
        self.pool, self.fc = nn.AdaptiveAvgPool2d(1), nn.Linear(12, 3)

    def forward(self, x):
        x = self.stem(x)
        x = F.relu(self.one(x) + self.short(x))
        return self.fc(lucid.flatten(self.pool(x), 1))


class UNetLike(nn.Module):
    """Two levels, group norm, a transposed convolution and a bilinear one, skip connections, a map of classes."""

    def __init__(self):
        super().__init__()
        self.down = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.GroupNorm(2, 8), nn.SiLU())
        self.low = nn.Sequential(nn.Conv2d(8, 12, 3, 2, 1), nn.InstanceNorm2d(12, affine=True), nn.LeakyReLU(0.1))
        self.lowest = nn.Sequential(nn.Conv2d(12, 16, 3, 2, 1), nn.Hardswish())
        self.up = nn.ConvTranspose2d(16, 12, 2, 2)
        self.mix = nn.Conv2d(24, 8, 3, padding=1)
        self.head = nn.Conv2d(16, 5, 1)

    def forward(self, x):
        a = self.down(x)
        b = self.low(a)
        c = lucid.cat([self.up(self.lowest(b)), b], dim=1)
        d = F.interpolate(self.mix(c), scale_factor=2, mode="bilinear", align_corners=False)
        return self.head(lucid.cat([d, a], dim=1))


def attached(model, transform=PREPARED, names=NAMES):
    """``model`` as ``from_checkpoint`` returns it."""
    model.preprocessing, model.class_names = transform, names
    return model


def convnext(kind=models.ConvNeXt, **options):
    lucid.manual_seed(5)
    if kind is models.ConvNeXtIsotropic:
        return attached(settled(kind(3, 2, 12, patch_size=8, layer_scale_init=0.5, **options)))
    return attached(settled(kind(3, **{"depths": (1, 1), "dims": (8, 12), **options})))


def logits_of(model, array):
    with lucid.no_grad():
        return model(lucid.as_tensor(np.asarray(array, np.float32))).numpy()


def probabilities_of(logits, axis=1):
    shifted = np.exp(logits.astype(np.float64) - logits.max(axis=axis, keepdims=True))
    return shifted / shifted.sum(axis=axis, keepdims=True)


def normalized(pixels, transform=PREPARED):
    """Pixels (H, W, 3) as input of a model, in float64."""
    scaled = (pixels.astype(np.float64) / 255 - transform.mean) / transform.std
    return scaled.transpose(2, 0, 1)[None]


def difference(found, expected):
    """The largest, relative to the largest number."""
    found, expected = np.asarray(found, np.float64).reshape(-1), np.asarray(expected, np.float64).reshape(-1)
    return np.abs(found - expected).max() / np.abs(expected).max()
