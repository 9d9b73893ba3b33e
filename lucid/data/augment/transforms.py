"""Device transforms as objects, with the names and arguments of torchvision and timm.

``DeviceTransform`` is the protocol: given images, a transform returns images; given images and labels, it returns both.
Without ``key=`` it draws a key from ``lucid.random``, as layers do, so every call of a compiled step draws anew.
"""

from collections.abc import Sequence
from typing import Any, Protocol

from lucid import _checks, random
from lucid.data.augment import color, erasing, geometry, mixing, policies, warping
from lucid.data.augment._batch import split_key
from lucid.ops._types import TensorLike
from lucid.tape import unwrap


class DeviceTransform(Protocol):
    """A callable that changes a batch on the device: images (N, C, H, W), and labels if it is given any.

    It runs inside the compiled step, so it must use tensor operations only, never read a value, and draw all random
    numbers from ``key``. Write one by subclassing ``Augmentation``, or as a function of this signature if the labels
    change too.

    Example:
        >>> def flip_vertically(images, labels=None, *, key=None):
        ...     images = images.flip(2)
        ...     return images if labels is None else (images, labels)
        ...
        >>> flip_vertically(lucid.tensor([[[[1], [2]]]]))
        tensor([[[[2],
                  [1]]]])
    """

    def __call__(self, images: TensorLike, labels: TensorLike = None, *, key: TensorLike = None) -> Any: ...


class Augmentation:
    """Base class for device transforms that leave labels alone: define ``apply(images, key)``.

    Example:
        >>> from lucid.data import augment
        >>> class Brightness(augment.Augmentation):
        ...     def apply(self, images, key):
        ...         with lucid.random.fork(key):  # draws from the key, also in a compiled step
        ...             factor = lucid.rand(len(images))
        ...         return augment.adjust_brightness(images, factor)
        ...
        >>> Brightness()(lucid.zeros(4, 3, 8, 8, dtype=lucid.uint8)).shape
        (4, 3, 8, 8)
    """

    def __call__(self, images: TensorLike, labels: TensorLike = None, *, key: TensorLike = None) -> Any:
        images = self.apply(images, random.key() if key is None else key)
        return images if labels is None else (images, labels)

    def apply(self, images: Any, key: Any) -> Any:
        """The changed images (N, C, H, W); subclasses define it and draw from ``key`` only."""
        raise NotImplementedError(f"{type(self).__name__}: define apply(images, key)")

    def __repr__(self) -> str:
        options = ", ".join(f"{name}={value!r}" for name, value in vars(self).items() if not name.startswith("_"))
        return f"{type(self).__name__}({options})"


class Compose:
    """Device transforms applied in order. One key is split into one for each.

    Args:
        transforms: The device transforms, in order.

    Example:
        >>> from lucid.data import augment
        >>> prepare = augment.Compose([augment.RandomCrop(32, padding=4), augment.RandomHorizontalFlip()])
        >>> prepare(lucid.zeros(4, 3, 32, 32, dtype=lucid.uint8)).shape
        (4, 3, 32, 32)
    """

    def __init__(self, transforms: Sequence[DeviceTransform]) -> None:
        self.transforms = list(transforms)

    def __call__(self, images: TensorLike, labels: TensorLike = None, *, key: TensorLike = None) -> Any:
        keys = split_key("Compose", random.key() if key is None else unwrap(key), max(len(self.transforms), 1))
        for transform, own_key in zip(self.transforms, keys, strict=False):
            if labels is None:
                images = transform(images, key=own_key)
            else:
                images, labels = transform(images, labels, key=own_key)
        return images if labels is None else (images, labels)

    def __repr__(self) -> str:
        return f"Compose([{', '.join(map(repr, self.transforms))}])"


class Normalize(Augmentation):
    """``normalize``: ``(images / max_value - mean) / std`` per channel, in float32. Draws no random numbers.

    Args:
        mean: Mean of each channel, for values in [0, 1].
        std: Standard deviation of each channel, for values in [0, 1].
        max_value: The pixel value that counts as 1.

    Example:
        >>> normalize = data.augment.Normalize(mean=[0.5], std=[0.25])
        >>> normalize(lucid.full((1, 1, 1, 1), 255, dtype=lucid.uint8)).item()
        2.0
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float], max_value: float = 255) -> None:
        self.mean, self.std = color.check_statistics("Normalize", mean, std)
        self.max_value = _checks.number("Normalize", "max_value", max_value, 0, above=True)

    def __call__(self, images: TensorLike, labels: TensorLike = None, *, key: TensorLike = None) -> Any:
        images = self.apply(images, key)  # no key drawn
        return images if labels is None else (images, labels)

    def apply(self, images: Any, key: Any) -> Any:
        return color.normalize(images, self.mean, self.std, self.max_value)


class RandomCrop(Augmentation):
    """``random_crop``: pad each image, then crop it to ``size`` at a random offset.

    Args:
        size: An integer or (height, width) in px.
        padding: Padding on all sides in px, or (horizontal, vertical).
        fill: Value of the pixels outside the image, one for all channels or one for each.
        padding_mode: "constant", "edge", "reflect" or "symmetric".

    Example:
        >>> crop = data.augment.RandomCrop(24)
        >>> crop(lucid.zeros(4, 3, 32, 32, dtype=lucid.uint8)).shape
        (4, 3, 24, 24)
    """

    def __init__(
        self, size: int | Sequence[int], padding: int | Sequence[int] = 0, fill: float | Sequence[float] = 0,
        padding_mode: str = "constant",
    ) -> None:  # fmt: skip
        self.size = _checks.pair("RandomCrop", "size", size, 1)
        self.padding = _checks.pair("RandomCrop", "padding", padding, 0)
        self.fill = fill
        self.padding_mode = _checks.one_of("RandomCrop", "padding_mode", padding_mode, geometry.PADDING_MODES)

    def apply(self, images: Any, key: Any) -> Any:
        return geometry.random_crop(images, self.size, self.padding, self.fill, self.padding_mode, key=key)


class RandomHorizontalFlip(Augmentation):
    """``random_horizontal_flip``: flip each image left to right with probability ``p``.

    Args:
        p: Probability of a flip.

    Example:
        >>> flip = data.augment.RandomHorizontalFlip(p=1.0)
        >>> flip(lucid.tensor([[[[1, 2, 3]]]], dtype=lucid.uint8)).flatten().tolist()
        [3, 2, 1]
    """

    def __init__(self, p: float = 0.5) -> None:
        self.p = _checks.probability("RandomHorizontalFlip", "p", p)

    def apply(self, images: Any, key: Any) -> Any:
        return geometry.random_horizontal_flip(images, self.p, key=key)


class ColorJitter(Augmentation):
    """``color_jitter``: randomly change brightness, contrast, saturation and hue, in random order.

    Args:
        brightness: Largest change x, for factors in [max(0, 1 - x), 1 + x], or bounds (min, max).
        contrast: Largest change x, for factors in [max(0, 1 - x), 1 + x], or bounds (min, max).
        saturation: Largest change x, for factors in [max(0, 1 - x), 1 + x], or bounds (min, max).
        hue: Largest shift x, at most 0.5, for shifts in [-x, x], or bounds (min, max).

    Example:
        >>> jitter = data.augment.ColorJitter(brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1)
        >>> jitter(lucid.zeros(4, 3, 8, 8, dtype=lucid.uint8)).shape
        (4, 3, 8, 8)
    """

    def __init__(
        self, brightness: float | Sequence[float] = 0, contrast: float | Sequence[float] = 0,
        saturation: float | Sequence[float] = 0, hue: float | Sequence[float] = 0,
    ) -> None:  # fmt: skip
        color.check_ranges("ColorJitter", brightness, contrast, saturation, hue)
        self.brightness, self.contrast, self.saturation, self.hue = brightness, contrast, saturation, hue

    def apply(self, images: Any, key: Any) -> Any:
        return color.color_jitter(images, **vars(self), key=key)


class RandAugment(Augmentation):
    """``rand_augment``: ``num_ops`` random operations per image. The defaults are timm's "rand-m9-mstd0.5-inc1".

    Args:
        num_ops: Operations per image.
        magnitude: Mean strength, from 0 to 10.
        magnitude_std: Standard deviation of the strength; above 100 it is uniform in [0, ``magnitude``].
        prob: Probability of each operation.
        increasing: Whether every operation gets stronger with the magnitude.
        magnitude_max: Upper bound of the strength.
        interpolation: "nearest" or "bilinear", for rotations and shears.
        fill: Value of the pixels outside the image, one for all channels or one for each.

    Example:
        >>> policy = data.augment.RandAugment.from_config("rand-m9-mstd0.5-inc1")
        >>> policy(lucid.zeros(4, 3, 16, 16, dtype=lucid.uint8)).shape
        (4, 3, 16, 16)
    """

    def __init__(
        self, num_ops: int = 2, magnitude: float = 9, magnitude_std: float = 0.5, prob: float = 0.5,
        increasing: bool = True, magnitude_max: float = 10, interpolation: str = "bilinear",
        fill: float | Sequence[float] = 128,
    ) -> None:  # fmt: skip
        config = policies.RandConfig(magnitude, num_ops, magnitude_std, magnitude_max, prob, increasing)
        config = policies.check_rand_config("RandAugment", config)
        self.num_ops, self.magnitude, self.magnitude_std = config.num_ops, config.magnitude, config.magnitude_std
        self.prob, self.increasing, self.magnitude_max = config.prob, config.increasing, config.magnitude_max
        self.interpolation = _checks.one_of("RandAugment", "interpolation", interpolation, warping.INTERPOLATIONS)
        self.fill = fill

    @classmethod
    def from_config(
        cls, config: str, interpolation: str = "bilinear", fill: float | Sequence[float] = 128
    ) -> "RandAugment":
        """A ``RandAugment`` from timm's notation, such as "rand-m9-mstd0.5-inc1"; see ``parse_rand_config``."""
        return cls(**policies.parse_rand_config(config)._asdict(), interpolation=interpolation, fill=fill)

    def apply(self, images: Any, key: Any) -> Any:
        return policies.rand_augment(images, **vars(self), key=key)


class TrivialAugmentWide(Augmentation):
    """``trivial_augment_wide``: one random operation of random strength per image, as in torchvision.

    Args:
        num_magnitude_bins: Number of strengths to choose from.
        interpolation: "nearest" or "bilinear", for rotations and shears.
        fill: Value of the pixels outside the image, one for all channels or one for each.

    Example:
        >>> policy = data.augment.TrivialAugmentWide()
        >>> policy(lucid.zeros(4, 3, 16, 16, dtype=lucid.uint8)).shape
        (4, 3, 16, 16)
    """

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
    """``random_erasing``: overwrite a random rectangle of some images with zeros or noise. The arguments are timm's.

    Args:
        probability: Probability of erasing in an image.
        min_area: Smallest erased fraction of the image, divided by the number of rectangles.
        max_area: Largest erased fraction of the image, divided by the number of rectangles.
        min_aspect: Smallest height divided by width of the rectangle.
        max_aspect: Largest height divided by width; by default ``1 / min_aspect``.
        mode: "const" for zeros, "rand" for one normal number per channel, "pixel" for one per value.
        min_count: Smallest number of rectangles.
        max_count: Largest number of rectangles; by default ``min_count``.

    Example:
        >>> erase = data.augment.RandomErasing(0.25, mode="pixel")
        >>> erase(lucid.ones(4, 3, 16, 16)).shape
        (4, 3, 16, 16)
    """

    def __init__(
        self, probability: float = 0.5, min_area: float = 0.02, max_area: float = 1 / 3, min_aspect: float = 0.3,
        max_aspect: float | None = None, mode: str = "const", min_count: int = 1, max_count: int | None = None,
    ) -> None:  # fmt: skip
        erasing.check_options(
            "RandomErasing", probability, min_area, max_area, min_aspect, max_aspect, mode, min_count, max_count
        )
        self.probability, self.min_area, self.max_area = probability, min_area, max_area
        self.min_aspect, self.max_aspect, self.mode = min_aspect, max_aspect, mode
        self.min_count, self.max_count = min_count, max_count

    def apply(self, images: Any, key: Any) -> Any:
        return erasing.random_erasing(images, **vars(self), key=key)


class Mixup:
    """``mixup_or_cutmix``: mixed images and soft targets from images and labels. The arguments are timm's.

    Args:
        mixup_alpha: Parameter of the beta distribution for mixup; 0 for no mixup.
        cutmix_alpha: Parameter of the beta distribution for cutmix; 0 for no cutmix.
        prob: Probability of mixing at all.
        switch_prob: Probability of cutmix rather than mixup if both are enabled.
        mode: "batch" for one choice per batch, "pair" for one per pair of images, "elem" for one per image.
        label_smoothing: The weight of the uniform distribution that is mixed into the targets.
        num_classes: Number of classes.

    Example:
        >>> mix = data.augment.Mixup(0.8, cutmix_alpha=1.0, num_classes=10)
        >>> images, targets = mix(lucid.ones(4, 3, 16, 16), lucid.tensor([1, 2, 3, 4]))
        >>> images.shape, targets.shape
        ((4, 3, 16, 16), (4, 10))
    """

    def __init__(
        self, mixup_alpha: float = 1.0, cutmix_alpha: float = 0.0, prob: float = 1.0, switch_prob: float = 0.5,
        mode: str = "batch", label_smoothing: float = 0.1, *, num_classes: int,
    ) -> None:  # fmt: skip
        self.mixup_alpha, self.cutmix_alpha = mixing.check_alphas("Mixup", mixup_alpha, cutmix_alpha)
        self.prob = _checks.probability("Mixup", "prob", prob)
        self.switch_prob = _checks.probability("Mixup", "switch_prob", switch_prob)
        self.mode = _checks.one_of("Mixup", "mode", mode, mixing.MODES)
        self.label_smoothing = _checks.probability("Mixup", "label_smoothing", label_smoothing)
        self.num_classes = _checks.integer("Mixup", "num_classes", num_classes, 1)

    def __call__(self, images: TensorLike, labels: TensorLike = None, *, key: TensorLike = None) -> Any:
        if labels is None:
            raise TypeError("Mixup: labels are required, because they are mixed too")
        return mixing.mixup_or_cutmix(images, labels, **vars(self), key=random.key() if key is None else key)

    __repr__ = Augmentation.__repr__
