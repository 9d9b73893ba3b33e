"""A ConvNeXt for small images: CIFAR-10, CIFAR-100, or the handwritten digits that scikit-learn ships."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import lucid
from lucid import data, models
from lucid import distributed as dist
from lucid.data import augment
from lucid.training.batches import augmentation, share_of_batches
from lucid.training.optimizer import make_groups
from lucid.training.recipe import Recipe, knob, settings_of
from lucid.training.run_folder import RunFolder, weights_metadata
from lucid.training.trainer import Trainer

DATASETS = {"cifar10": data.CIFAR10, "cifar100": data.CIFAR100, "digits": data.Digits}


TITLES = {"cifar10": "CIFAR-10", "cifar100": "CIFAR-100", "digits": "handwritten digits"}


@dataclass(frozen=True, kw_only=True)
class Settings(Recipe):
    """The recipe, and what belongs to small images and a ConvNeXt that is built for them."""

    dataset: str = knob("cifar10", "what to learn", choices=tuple(DATASETS))
    recipe: str = knob("quick", "preset for everything below", choices=("quick", "strong", "paper"))
    depths: tuple[int, ...] = knob((2, 2, 6, 2), "blocks in each stage")
    dims: tuple[int, ...] = knob((64, 128, 256, 512), "channels of each stage")
    stem: str = knob("patch", "patches side by side, or overlapping 3x3 convolutions", choices=("patch", "overlap"))
    patch_size: int = knob(2, "the stem takes N x N pixels as one", low=1)
    layer_scale_init: float = knob(1e-6, "strength of a block at first; 0: no scale", low=0)
    crop_padding: int = knob(4, "pixels around the image, before a window of its size is cut out", low=0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.depths) != len(self.dims):
            raise ValueError(f"--depths has {len(self.depths)} stages but --dims has {len(self.dims)}")
        if self.stem == "overlap" and self.patch_size not in (1, 2, 4):
            raise ValueError(f"--stem overlap needs --patch-size 1, 2 or 4, got {self.patch_size}")


# With the usual stem of 4 x 4 pixels, images of 32 x 32 leave too little to see: 75 to 81 % on CIFAR-10, whatever the
# size of the model. Smaller patches see more, at four times the work for half the size.
STRONG = {
    "epochs": 100,
    "stem": "overlap",
    "patch_size": 1,
    "min_lr": 1e-5,
    "ema": 0.999,
    "augment": "rand-m9-mstd0.5-inc1",
    "erasing": 0.25,
    "mixup": 0.8,
    "cutmix": 1.0,
}


PAPER = {
    "epochs": 300,
    "warmup_epochs": 20,
    "depths": (3, 3, 9, 3),
    "dims": (96, 192, 384, 768),
    "batch_size": 512,
    "accumulate": 4,
    "lr": 5e-4,  # 4e-3 for a batch of 4096
    "min_lr": 1e-6,
    "clip_norm": 0.0,
    "ema": 0.9999,
    "augment": "rand-m9-mstd0.5-inc1",
    "erasing": 0.25,
    "mixup": 0.8,
    "cutmix": 1.0,
}


# 0.1 million parameters, 8 x 8 pixels; a mirrored digit is no digit.
DIGITS = {
    "depths": (2, 2),
    "dims": (32, 64),
    "patch_size": 1,
    "drop_path": 0.0,
    "layer_scale_init": 1.0,
    "crop_padding": 1,
    "flip": False,
    "epochs": 20,
    "warmup_epochs": 2,
    "batch_size": 64,
    "lr": 4e-3,
}


# RandAugment leaves too little of 8 x 8 pixels: 97.5 % with "rand-m9-mstd0.5-inc1" (40 epochs, stem of patches).
STRONG_DIGITS = {
    **DIGITS,
    "epochs": 40,
    "stem": "overlap",
    "drop_path": 0.1,
    "min_lr": 1e-5,
    "ema": 0.995,
    "mixup": 0.2,
}


PRESETS: dict[tuple[str, bool], dict[str, Any]] = {
    ("quick", False): {},
    ("strong", False): STRONG,
    ("paper", False): PAPER,
    ("quick", True): DIGITS,
    ("strong", True): STRONG_DIGITS,
    ("paper", True): {
        **PAPER,
        **{name: DIGITS[name] for name in ["patch_size", "crop_padding", "flip", "depths", "dims"]},
    },
}


def load_datasets(name: str, folder: Path, mirror: str | None) -> tuple[Any, Any]:
    """The images to train with and the images to test with."""
    if name == "digits":
        return data.Digits(train=True), data.Digits(train=False)
    kind = DATASETS[name]
    return kind(folder, True, download=True, base_url=mirror), kind(folder, False, download=True, base_url=mirror)


def make_model(settings: Settings, channels: int, num_classes: int) -> models.ConvNeXt:
    """A ConvNeXt with random weights."""
    return models.ConvNeXt(
        num_classes=num_classes,
        depths=settings.depths,
        dims=settings.dims,
        drop_path=settings.drop_path,
        layer_scale_init=settings.layer_scale_init,
        in_chans=channels,
        patch_size=settings.patch_size,
        stem_type=settings.stem,
    )


def make_trainer(settings: Settings, train_set: Any, test_set: Any, compiled: bool) -> Trainer:
    """Everything that it takes to train. The images go to the device at once, as bytes."""
    _, channels, height, width = train_set.data.shape
    if settings.batch_size > len(train_set):
        raise ValueError(
            f"--batch-size must be at most {len(train_set)}, the number of images, got {settings.batch_size}"
        )
    if height < settings.patch_size * 2 ** (len(settings.dims) - 1):
        stages = len(settings.dims)
        raise ValueError(f"--patch-size {settings.patch_size} and {stages} stages leave nothing of {height} px")
    lucid.manual_seed(settings.seed)
    model = make_model(settings, channels, len(train_set.classes))
    places = [augment.RandomCrop((height, width), settings.crop_padding)] if settings.crop_padding else []
    dist.broadcast_parameters(model)
    dist.fold_in_rank()
    own_part = dist.DistributedSampler(test_set, shuffle=False)
    return Trainer(
        recipe=settings,
        model=model,
        groups=make_groups(settings, model),
        train_loader=augment.DeviceLoader(augment.DeviceDataset(train_set), **share_of_batches(settings, train_set)),
        test_loader=augment.DeviceLoader(
            augment.DeviceDataset(test_set), batch_size=settings.batch_size, sampler=own_part
        ),
        prepare=augmentation(settings, places, train_set.mean, train_set.std, len(train_set.classes)),
        prepare_test=augment.Normalize(train_set.mean, train_set.std),
        classes=train_set.classes,
        is_compiled=compiled,
    )


def make_folder(out: Path, settings: Settings, trainer: Trainer, test_set: Any) -> RunFolder:
    """Where the results go, and what they say about themselves."""
    parameters = sum(p.numel() for p in trainer.model.parameters())
    shape = "-".join(map(str, settings.depths)) + " blocks of " + "-".join(map(str, settings.dims)) + " channels"
    preprocessing = {"image_size": test_set.data.shape[2], "mean": test_set.mean, "std": test_set.std}
    pictures = np.rint(test_set.data * (255 / test_set.max_value)).astype(np.uint8).transpose(0, 2, 3, 1)
    return RunFolder(
        out,
        f"ConvNeXt on {TITLES[settings.dataset]}",
        {**settings_of(settings), "compiled": trainer.is_compiled},
        weights_metadata("convnext", test_set.classes, preprocessing, recipe=settings_of(settings)),
        pictures.__getitem__,
        [("parameters", f"{parameters:,}", shape)],
        ["lucid", *sys.argv[1:]],
    )
