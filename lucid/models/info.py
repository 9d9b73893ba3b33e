"""Facts about a model, without building or downloading it."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from lucid import _checks, random
from lucid._summary import summary
from lucid.models.registry import parse, short_name
from lucid.models.variants import VARIANTS
from lucid.models.weights.tags import IMAGENET_MEAN, IMAGENET_STD, Accuracy, tags_of

_PAPERS = {
    "ConvNeXt": "Liu et al. 2022, A ConvNet for the 2020s, arXiv:2201.03545",
    "ConvNeXtIsotropic": "Liu et al. 2022, A ConvNet for the 2020s, arXiv:2201.03545",
    "ConvNeXtV2": "Woo et al. 2023, ConvNeXt V2, arXiv:2301.00808",
}


def stages_text(depths: Iterable[int], dims: Iterable[int]) -> str:
    """2-2-6-2 blocks of 40-80-160-320 channels."""
    return f"{'-'.join(map(str, depths))} blocks of {'-'.join(map(str, dims))} channels"


@dataclass(frozen=True, repr=False)
class ModelInfo:
    """Facts about a model and one of its checkpoints, as returned by ``model_info``.

    Attributes:
        name: The variant.
        tag: The checkpoint, by default the one that ``pretrained=True`` loads; None if there is none.
        num_classes: Outputs of the classifier, which ``parameters`` and ``macs`` include; 0 for none.
        parameters: Number of parameters.
        macs: Multiply-adds of convolutions and linear layers for one image of ``image_size`` px.
        image_size: Size in px of the images that the checkpoint expects.
        mean, std: Normalization per channel, on the scale from 0 to 1.
        interpolation, crop_pct: Resizing filter, and the fraction of each side that the crop keeps.
        source, location: Publisher of the checkpoint, and where it is.
        license: License of the weights; ``non_commercial`` if it forbids commercial use.
        reported: Top-1 accuracies on ImageNet-1k with image size and source.
        paper: Source of the architecture.

    Example:
        >>> info = models.model_info("convnext_tiny")
        >>> info.parameters, info.image_size
        (28589128, 224)
    """

    name: str
    tag: str | None
    num_classes: int
    parameters: int
    macs: int
    image_size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    interpolation: str
    crop_pct: float
    source: str | None
    location: str | None
    license: str | None
    non_commercial: bool
    reported: tuple[Accuracy, ...]
    paper: str

    @property
    def top1(self) -> float | None:
        """The first reported accuracy in percent, or None."""
        return self.reported[0].top1 if self.reported else None

    def __str__(self) -> str:
        lines = [
            f"{self.name}: {self.parameters:,} parameters with {self.num_classes:,} classes, "
            f"{self.macs / 1e9:.3f} GMACs at {self.image_size} px",
            f"  paper: {self.paper}",
        ]
        if self.tag is None:
            return "\n".join([*lines, "  no pretrained weights"])
        license = f"{self.license} (not for commercial use)" if self.non_commercial else self.license
        lines += [
            f"  weights: {self.tag} of {self.source}, {self.location}",
            f"  license: {license}",
            f"  images: {self.image_size} px, {self.interpolation}, crop_pct {self.crop_pct}, "
            f"mean {self.mean}, std {self.std}",
        ]
        return "\n".join(
            [*lines, *(f"  top-1: {one.top1} % at {one.image_size} px ({one.source})" for one in self.reported)]
        )

    __repr__ = __str__


def model_info(name: str, image_size: int | None = None) -> ModelInfo:
    """Size, cost, origin and preprocessing of a model. Nothing is downloaded or computed.

    Args:
        name: A variant, which stands for its default checkpoint, or a checkpoint, as for ``create_model``.
        image_size: Size in px for which multiply-adds are counted, if other than the checkpoint's.

    Raises:
        ValueError: There is no such model, or ``image_size`` is too small for it.

    Example:
        >>> from lucid import models
        >>> models.model_info("convnext_tiny").parameters
        28589128
    """
    variant, tag = parse("model_info", name)
    tag = tag or next(iter(tags_of(variant)), None)
    classes = 1000 if tag is None else tag.num_classes
    size = (224 if tag is None else tag.image_size) if image_size is None else image_size
    parameters, macs = _cost(variant, classes, _checks.integer("model_info", "image_size", size, 1))
    return ModelInfo(
        name=variant,
        tag=None if tag is None else short_name(tag),
        num_classes=classes,
        parameters=parameters,
        macs=macs,
        image_size=size,
        mean=IMAGENET_MEAN if tag is None else tag.mean,
        std=IMAGENET_STD if tag is None else tag.std,
        interpolation="bicubic" if tag is None else tag.interpolation,
        crop_pct=0.875 if tag is None else tag.crop_pct,
        source=None if tag is None else tag.source,
        location=None if tag is None else tag.location,
        license=None if tag is None else tag.license,
        non_commercial=tag is not None and tag.non_commercial,
        reported=() if tag is None else tag.reported,
        paper=_PAPERS[VARIANTS[variant][0].__name__],
    )


@lru_cache(maxsize=256)
def _cost(variant: str, num_classes: int, image_size: int) -> tuple[int, int]:
    """Number of parameters and multiply-adds."""
    kind, options = VARIANTS[variant]
    with random.fork():  # building a model draws its weights
        found = summary(kind(num_classes, **options), (1, 3, image_size, image_size))
    return found.total_params, found.total_mult_adds
