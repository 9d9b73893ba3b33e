"""From whole numbers to what a network takes."""

from collections.abc import Iterable, Sequence

import mlx.core as mx

from lucid import _checks
from lucid.data.augment._batch import batch_of
from lucid.ops._common import FLOATING
from lucid.ops._types import TensorLike
from lucid.tape import op


@op
def normalize(images: TensorLike, mean: Sequence[float], std: Sequence[float], max_value: float = 255) -> mx.array:
    """``(images / max_value - mean) / std`` per channel, float32; images of floats are from 0 to 1 already.

    Shapes: images (N, C, H, W), mean and std of C numbers on the scale from 0 to 1.

    Raises:
        ValueError: lengths that do not fit each other or the channels, or a ``std`` that is not positive.
    """
    images = batch_of("normalize", images)
    mean, std = check_statistics("normalize", mean, std)
    max_value = _checks.number("normalize", "max_value", max_value, 0, above=True)
    if images.shape[1] != len(mean):
        raise ValueError(f"normalize: images have {images.shape[1]} channels but mean has {len(mean)}")
    scale = 1.0 if images.dtype in FLOATING else 1 / max_value
    factor = mx.array([scale / s for s in std])[:, None, None]
    shift = mx.array([-m / s for m, s in zip(mean, std, strict=True)])[:, None, None]
    return images.astype(mx.float32) * factor + shift


def check_statistics(
    where: str, mean: Sequence[float], std: Sequence[float]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    for name, values in (("mean", mean), ("std", std)):
        if not isinstance(values, Iterable):
            raise TypeError(f"{where}: {name} must have a number for each channel, got {values!r}")
    mean = tuple(_checks.number(where, "mean", value) for value in mean)
    std = tuple(_checks.number(where, "std", value, 0, above=True) for value in std)
    if len(mean) != len(std):
        raise ValueError(f"{where}: mean has {len(mean)} channels but std has {len(std)}")
    return mean, std
