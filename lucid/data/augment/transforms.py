"""The augmentations as objects, with the names and arguments of torchvision and timm.

Called with images, they give images; with images and labels, both. The key is drawn from ``lucid.random`` unless one is
given, as a layer does it, so inside of ``lucid.compile`` every call draws anew.
"""

from collections.abc import Sequence
from typing import Any

from lucid import _checks, random
from lucid.data.augment import color, erasing, mixing, placing, policies, warping
from lucid.data.augment._batch import keys_from
from lucid.ops._types import TensorLike
from lucid.tape import unwrap


class Augmentation:
    """A random change of a batch of images. Subclasses define ``apply(images, key)``."""

    def __call__(self, images: TensorLike, labels: TensorLike = None, *, key: TensorLike = None) -> Any:
        images = self.apply(images, random.key() if key is None else key)
        return images if labels is None else (images, labels)

    def apply(self, images: Any, key: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__}: define apply(images, key)")

    def __repr__(self) -> str:
        options = ", ".join(f"{name}={value!r}" for name, value in vars(self).items() if not name.startswith("_"))
        return f"{type(self).__name__}({options})"


class Compose:
    """Several augmentations, one after the other, from one key: each gets a part of its own."""

    def __init__(self, transforms: Sequence[Any]) -> None:
        self.transforms = list(transforms)

    def __call__(self, images: TensorLike, labels: TensorLike = None, *, key: TensorLike = None) -> Any:
        keys = keys_from("Compose", random.key() if key is None else unwrap(key), max(len(self.transforms), 1))
        for transform, one in zip(self.transforms, keys, strict=False):
            if labels is None:
                images = transform(images, key=one)
            else:
                images, labels = transform(images, labels, key=one)
        return images if labels is None else (images, labels)

    def __repr__(self) -> str:
        return f"Compose([{', '.join(map(repr, self.transforms))}])"


class Normalize(Augmentation):
    """``normalize``: float32 images, each channel less its ``mean`` and divided by its ``std``. Draws nothing."""

    def __init__(self, mean: Sequence[float], std: Sequence[float], max_value: float = 255) -> None:
        self.mean, self.std = placing.check_statistics("Normalize", mean, std)
        self.max_value = _checks.number("Normalize", "max_value", max_value, 0, above=True)

    def __call__(self, images: TensorLike, labels: TensorLike = None, *, key: TensorLike = None) -> Any:
        images = self.apply(images, key)  # no key drawn
        return images if labels is None else (images, labels)

    def apply(self, images: Any, key: Any) -> Any:
        return placing.normalize(images, self.mean, self.std, self.max_value)


class RandomCrop(Augmentation):
    """``random_crop``: a window of ``size`` at a random place of each image, after ``padding`` was added."""

    def __init__(
        self, size: int | Sequence[int], padding: int | Sequence[int] = 0, fill: float | Sequence[float] = 0,
        padding_mode: str = "constant",
    ) -> None:  # fmt: skip
        self.size = _checks.pair("RandomCrop", "size", size, 1)
        self.padding = _checks.pair("RandomCrop", "padding", padding, 0)
        self.fill = fill
        self.padding_mode = _checks.one_of("RandomCrop", "padding_mode", padding_mode, placing.PADDING_MODES)

    def apply(self, images: Any, key: Any) -> Any:
        return placing.random_crop(images, self.size, self.padding, self.fill, self.padding_mode, key=key)


class RandomHorizontalFlip(Augmentation):
    """``random_horizontal_flip``: each image mirrored left to right with probability ``p``."""

    def __init__(self, p: float = 0.5) -> None:
        self.p = _checks.probability("RandomHorizontalFlip", "p", p)

    def apply(self, images: Any, key: Any) -> Any:
        return placing.random_horizontal_flip(images, self.p, key=key)


class ColorJitter(Augmentation):
    """``color_jitter``: brightness, contrast, saturation and hue changed by random amounts, in random order."""

    def __init__(
        self, brightness: float | Sequence[float] = 0, contrast: float | Sequence[float] = 0,
        saturation: float | Sequence[float] = 0, hue: float | Sequence[float] = 0,
    ) -> None:  # fmt: skip
        color.checked_ranges("ColorJitter", brightness, contrast, saturation, hue)
        self.brightness, self.contrast, self.saturation, self.hue = brightness, contrast, saturation, hue

    def apply(self, images: Any, key: Any) -> Any:
        return color.color_jitter(images, **vars(self), key=key)


class RandAugment(Augmentation):
    """``rand_augment``: ``num_ops`` of timm's 15 operations for each image. The defaults are "rand-m9-mstd0.5-inc1"."""

    def __init__(
        self, num_ops: int = 2, magnitude: float = 9, magnitude_std: float = 0.5, prob: float = 0.5,
        increasing: bool = True, magnitude_max: float = 10, interpolation: str = "bilinear",
        fill: float | Sequence[float] = 128,
    ) -> None:  # fmt: skip
        config = policies.RandConfig(magnitude, num_ops, magnitude_std, magnitude_max, prob, increasing)
        config = policies.checked_rand_config("RandAugment", config)
        self.num_ops, self.magnitude, self.magnitude_std = config.num_ops, config.magnitude, config.magnitude_std
        self.prob, self.increasing, self.magnitude_max = config.prob, config.increasing, config.magnitude_max
        self.interpolation = _checks.one_of("RandAugment", "interpolation", interpolation, warping.INTERPOLATIONS)
        self.fill = fill

    @classmethod
    def from_config(
        cls, config: str, interpolation: str = "bilinear", fill: float | Sequence[float] = 128
    ) -> "RandAugment":
        """From timm's way to write one, "rand-m9-mstd0.5-inc1"; see ``parse_rand_config``."""
        return cls(**policies.parse_rand_config(config)._asdict(), interpolation=interpolation, fill=fill)

    def apply(self, images: Any, key: Any) -> Any:
        return policies.rand_augment(images, **vars(self), key=key)


class TrivialAugmentWide(Augmentation):
    """``trivial_augment_wide``: one of torchvision's 14 operations, of a random strength, for each image."""

    def __init__(
        self, num_magnitude_bins: int = 31, interpolation: str = "nearest", fill: float | Sequence[float] = 0
    ) -> None:
        self.num_magnitude_bins = _checks.integer("TrivialAugmentWide", "num_magnitude_bins", num_magnitude_bins, 2)
        self.interpolation = _checks.one_of(
            "TrivialAugmentWide", "interpolation", interpolation, warping.INTERPOLATIONS
        )
        self.fill = fill

    def apply(self, images: Any, key: Any) -> Any:
        return policies.trivial_augment_wide(images, **vars(self), key=key)


class RandomErasing(Augmentation):
    """``random_erasing``, with timm's arguments: a rectangle of some images overwritten with zeros or noise."""

    def __init__(
        self, probability: float = 0.5, min_area: float = 0.02, max_area: float = 1 / 3, min_aspect: float = 0.3,
        max_aspect: float | None = None, mode: str = "const", min_count: int = 1, max_count: int | None = None,
    ) -> None:  # fmt: skip
        erasing.checked_options(
            "RandomErasing", probability, min_area, max_area, min_aspect, max_aspect, mode, min_count, max_count
        )
        self.probability, self.min_area, self.max_area = probability, min_area, max_area
        self.min_aspect, self.max_aspect, self.mode = min_aspect, max_aspect, mode
        self.min_count, self.max_count = min_count, max_count

    def apply(self, images: Any, key: Any) -> Any:
        return erasing.random_erasing(images, **vars(self), key=key)


class Mixup:
    """``mixup_or_cutmix``, with timm's arguments: ``mix(images, labels)`` gives mixed images and soft targets."""

    def __init__(
        self, mixup_alpha: float = 1.0, cutmix_alpha: float = 0.0, prob: float = 1.0, switch_prob: float = 0.5,
        mode: str = "batch", label_smoothing: float = 0.1, *, num_classes: int,
    ) -> None:  # fmt: skip
        self.mixup_alpha, self.cutmix_alpha = mixing.checked_alphas("Mixup", mixup_alpha, cutmix_alpha)
        self.prob = _checks.probability("Mixup", "prob", prob)
        self.switch_prob = _checks.probability("Mixup", "switch_prob", switch_prob)
        self.mode = _checks.one_of("Mixup", "mode", mode, mixing.MODES)
        self.label_smoothing = _checks.probability("Mixup", "label_smoothing", label_smoothing)
        self.num_classes = _checks.integer("Mixup", "num_classes", num_classes, 1)

    def __call__(self, images: TensorLike, labels: TensorLike, *, key: TensorLike = None) -> Any:
        return mixing.mixup_or_cutmix(images, labels, **vars(self), key=random.key() if key is None else key)

    __repr__ = Augmentation.__repr__
