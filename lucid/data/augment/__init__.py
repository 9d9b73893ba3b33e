"""Augmentation of whole batches on the device, from one random key, also inside of a compiled step.

Images are (N, C, H, W); every image of a batch draws its own numbers, without a loop over images. ::

    from lucid.data import augment

    train = augment.DeviceDataset(CIFAR10("data"))  # one uint8 array
    prepare = augment.Compose([
        augment.RandomCrop(32, padding=4),
        augment.RandomHorizontalFlip(),
        augment.RandAugment.from_config("rand-m9-mstd0.5-inc1"),
        augment.Normalize(CIFAR10.mean, CIFAR10.std),  # floats from here on
        augment.RandomErasing(0.25, mode="pixel"),
        augment.Mixup(0.8, 1.0, num_classes=10),  # labels become probabilities, smoothed
    ])

    @lucid.compile(state=[model, optimizer])
    def step(index):
        images, targets = prepare(*train[index])
        optimizer.zero_grad()
        loss = F.cross_entropy(model(images), targets)
        ...

Each class is a thin cover of a pure function of images, options and ``key=``: same key, same result, eager or compiled.
Images before ``Normalize`` are uint8 from 0 to 255 (``DeviceDataset`` brings ``Digits`` there), and colours and
positions are computed as Pillow does it, value for value. Distributions and probabilities are those of torchvision and
timm, cut into 65536 steps (RandAugment's probability into 2000).
"""

from lucid.data.augment.color import (
    adjust_brightness,
    adjust_contrast,
    adjust_hue,
    adjust_saturation,
    adjust_sharpness,
    color_jitter,
)
from lucid.data.augment.device import DeviceDataset, DeviceLoader
from lucid.data.augment.erasing import erase, random_erasing
from lucid.data.augment.mixing import cutmix, mix_images, mixup, mixup_or_cutmix, soft_targets
from lucid.data.augment.operations import OPERATIONS, apply_operation
from lucid.data.augment.placing import crop_at, normalize, random_crop, random_horizontal_flip
from lucid.data.augment.policies import parse_rand_config, rand_augment, trivial_augment_wide
from lucid.data.augment.transforms import (
    Augmentation,
    ColorJitter,
    Compose,
    Mixup,
    Normalize,
    RandAugment,
    RandomCrop,
    RandomErasing,
    RandomHorizontalFlip,
    TrivialAugmentWide,
)
from lucid.data.augment.warping import affine

__all__ = [
    "Augmentation",
    "ColorJitter",
    "Compose",
    "DeviceDataset",
    "DeviceLoader",
    "Mixup",
    "Normalize",
    "OPERATIONS",
    "RandAugment",
    "RandomCrop",
    "RandomErasing",
    "RandomHorizontalFlip",
    "TrivialAugmentWide",
    "adjust_brightness",
    "adjust_contrast",
    "adjust_hue",
    "adjust_saturation",
    "adjust_sharpness",
    "affine",
    "apply_operation",
    "color_jitter",
    "crop_at",
    "cutmix",
    "erase",
    "mix_images",
    "mixup",
    "mixup_or_cutmix",
    "normalize",
    "parse_rand_config",
    "rand_augment",
    "random_crop",
    "random_erasing",
    "random_horizontal_flip",
    "soft_targets",
    "trivial_augment_wide",
]
