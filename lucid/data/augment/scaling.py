"""From whole numbers to what a network takes."""

from collections.abc import Sequence

import mlx.core as mx

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
    if images.shape[1] != len(mean):
        raise ValueError(f"normalize: images have {images.shape[1]} channels but mean has {len(mean)}")
    scale = 1.0 if images.dtype in FLOATING else 1 / max_value
    factor = mx.array([scale / s for s in std])[:, None, None]
    shift = mx.array([-m / s for m, s in zip(mean, std, strict=True)])[:, None, None]
    return images.astype(mx.float32) * factor + shift


def check_statistics(
    where: str, mean: Sequence[float], std: Sequence[float]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    mean, std = tuple(float(value) for value in mean), tuple(float(value) for value in std)
    if len(mean) != len(std):
        raise ValueError(f"{where}: mean has {len(mean)} channels but std has {len(std)}")
    if not all(value > 0 for value in std):
        raise ValueError(f"{where}: std must be positive, got {std}")
    return mean, std
