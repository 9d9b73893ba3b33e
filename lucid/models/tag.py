"""What is known about a published checkpoint."""

from dataclasses import dataclass

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_NON_COMMERCIAL = ("cc-by-nc-4.0", "fair-noncommercial-research-license")


@dataclass(frozen=True)
class Accuracy:
    """A top-1 accuracy on ImageNet-1k in percent, as ``source`` reports it for images of ``image_size`` px."""

    top1: float
    image_size: int
    source: str


@dataclass(frozen=True)
class Tag:
    """One published checkpoint.

    Attributes:
        name: the full name, with its source in front.
        variant: the name of the architecture.
        source: "timm", "transformers", "torchvision" or "official".
        location: the repository on the hub, or the URL of the file.
        licence: of the weights.
        num_classes: of its classifier; 0 where it has none.
        image_size: in px, of the images that go into the model.
        crop_pct: the share of the resized image that the crop keeps, per side.
        crop_mode: "center" keeps the shape of the image and crops it, "squash" makes the whole image square.
        interpolation: "bicubic" or "bilinear".
        mean, std: per channel, on the scale from 0 to 1.
        test_image_size, test_crop_pct: those with which timm gets the best accuracy, where they are others.
        resize_size: to how many px the short side is resized, where the source states it instead of ``crop_pct``.
        reported: accuracies, the one at ``image_size`` first.
        revision: a branch, tag or commit of the repository; None is its main branch.
    """

    name: str
    variant: str
    source: str
    location: str
    licence: str
    num_classes: int
    image_size: int
    crop_pct: float
    crop_mode: str = "center"
    interpolation: str = "bicubic"
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    test_image_size: int | None = None
    test_crop_pct: float | None = None
    resize_size: int | None = None
    reported: tuple[Accuracy, ...] = ()
    revision: str | None = None

    @property
    def top1(self) -> float | None:
        """The first reported accuracy in percent, None where nobody reports one."""
        return self.reported[0].top1 if self.reported else None

    @property
    def non_commercial(self) -> bool:
        return self.licence in _NON_COMMERCIAL

    @property
    def has_final_norm(self) -> bool:
        """Masked pretraining ends before the norm in front of the classifier."""
        return not self.location.endswith(".fcmae")
