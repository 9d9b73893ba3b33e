"""``whiten_stem``: start the first convolution with uncorrelated outputs."""

import mlx.core as mx
import numpy as np

from lucid import nn

_EPS = 5e-3  # added to the variances: small ones are noise


def whiten_stem(conv: nn.Conv2d, images: np.ndarray, seed: int = 0) -> None:
    """Set the weight of ``conv`` so that its outputs, for patches of the images, are a random rotation of white noise.

    Neighboring pixels are alike, so a random convolution mostly measures brightness. Principal components of the
    patches, scaled to equal variance and rotated, tell colors and edges apart from the first step on. With fewer
    output channels than numbers in a patch, the channels are the strongest components.

    Shapes: images (N, C, H, W), normalized like the model's inputs.

    Source: Jordan 2024, arXiv:2404.00498 (airbench), after Page 2019.

    Args:
        conv: A convolution of the images, without groups; its weight is rebound.
        images: Training images; a few thousand are enough.
        seed: Of the rotation.
    """
    out, channels, height, width = conv.weight.shape
    patches = np.lib.stride_tricks.sliding_window_view(images, (height, width), axis=(2, 3))
    patches = patches[:, :, ::height, ::width].transpose(0, 2, 3, 1, 4, 5).reshape(-1, channels * height * width)
    variances, components = np.linalg.eigh(np.cov(patches.T.astype(np.float64)))
    whitening = (components / np.sqrt(variances + _EPS)).T  # (components, patch), in ascending order of variance
    if out < len(whitening):
        weight = whitening[::-1][:out].copy()
    else:
        rotation, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(out, len(whitening))))
        weight = rotation @ whitening
    conv.weight._rebind(mx.array(weight.reshape(conv.weight.shape), conv.weight.dtype))
