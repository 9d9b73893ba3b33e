"""Train a ConvNeXt on small images: CIFAR-10, CIFAR-100, or the handwritten digits that come with scikit-learn.

::

    settings = small_images.preset("strong", "digits", epochs=20)
    train_set, test_set = small_images.load_datasets("digits", Path("data"))
    trainer = small_images.make_trainer(settings, train_set, test_set, folder=Path("runs/digits"))
    trainer.fit()
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lucid
from lucid import data, models, nn
from lucid.data import augment
from lucid.models.info import stages_text
from lucid.models.weights.save import weights_metadata
from lucid.training.batches import augmentation, check_batch_size, share_of_batches, share_of_evaluation
from lucid.training.recipe import Recipe, SettingError, check_stages, setting
from lucid.training.run_folder import RunFolder
from lucid.training.trainer import Trainer
from lucid.training.whitening import whiten_stem

DATASETS = {"cifar10": data.CIFAR10, "cifar100": data.CIFAR100, "digits": data.Digits}


WHITENED = 5000  # images whose patches whiten the stem
MAX_BLOCKS = 10_000  # each is some 20 Python objects
TITLES = {"cifar10": "CIFAR-10", "cifar100": "CIFAR-100", "digits": "handwritten digits"}


@dataclass(frozen=True, kw_only=True)
class Settings(Recipe):
    """The settings of a run: the recipe, the dataset and the architecture."""

    dataset: str = setting("cifar10", "dataset", choices=tuple(DATASETS))
    recipe: str = setting("quick", "preset of all settings below", choices=("quick", "laptop", "strong", "paper"))
    depths: tuple[int, ...] = setting((2, 2, 6, 2), "blocks per stage")
    dims: tuple[int, ...] = setting((64, 128, 256, 512), "channels per stage")
    stem: str = setting(
        "patch", "non-overlapping patches, or overlapping 3x3 convolutions", choices=("patch", "overlap")
    )
    patch_size: int = setting(2, "stride of the stem in pixels", low=1)
    whiten_stem: bool = setting(False, "start with a stem whose outputs are uncorrelated for the training images")
    layer_scale_init: float = setting(1e-6, "initial layer scale; 0: no layer scale", low=0)
    grn: bool = setting(False, "a ConvNeXt V2: global response normalization instead of layer scale")
    weights: str = setting("", "start from this checkpoint, for example of lucid pretrain; it sets the architecture")
    crop_padding: int = setting(4, "padding in pixels before a random crop of the image's size", low=0)
    crop_padding_mode: str = setting(
        "constant", "what the padding shows: black or a reflection", choices=("constant", "reflect")
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_stages(self.depths, self.dims)
        if sum(self.depths) > MAX_BLOCKS:
            raise SettingError(f"depths has {sum(self.depths):,} blocks, the most are {MAX_BLOCKS:,}", "depths")
        if self.stem == "overlap" and self.patch_size not in (1, 2, 4):
            message = f"stem overlap needs patch_size 1, 2 or 4, got {self.patch_size}"
            raise SettingError(message, "stem", "patch_size")


# Most of the time goes into matrix products, so images are small at first: parts of the whole images, which are also
# harder to memorize. docs/cifar10.md compares the choices.
LAPTOP = {
    "epochs": 70,
    "warmup_epochs": 1,
    "depths": (2, 2, 3),
    "dims": (64, 128, 256),
    "drop_path": 0.0,
    "whiten_stem": True,
    "layer_scale_init": 1.0,
    "crop_padding": 4,
    "crop_padding_mode": "reflect",
    "erasing": 0.25,
    "optimizer": "muon",
    "lr": 1e-2,
    "schedule": "linear",
    "momentum": 0.95,
    "beta2": 0.98,
    "augment": "rand-m7-mstd0.5-inc1",
    "image_sizes": (*[24] * 12, 28, 32),
    "shrink": "crop",
}
# With the usual 4x4 stem, 32x32 images reach 75 to 81 % on CIFAR-10, whatever the size of the model. A stem of half the
# stride costs four times the compute.
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
# 0.1 million parameters for 8x8 pixels. A flipped digit is not a digit.
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
# RandAugment destroys 8x8 pixels: 97.5 % with "rand-m9-mstd0.5-inc1" (40 epochs, patch stem).
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
    ("laptop", False): LAPTOP,
    ("strong", False): STRONG,
    ("paper", False): PAPER,
    ("quick", True): DIGITS,
    ("laptop", True): DIGITS,  # takes half a minute as it is
    ("strong", True): STRONG_DIGITS,
    ("paper", True): {
        **PAPER,
        **{name: DIGITS[name] for name in ["patch_size", "crop_padding", "flip", "depths", "dims"]},
    },
}


def preset(recipe: str = "quick", dataset: str = "cifar10", **settings: Any) -> Settings:
    """The settings of a preset; ``settings`` override some of them."""
    return Settings(**{**PRESETS[recipe, dataset == "digits"], "recipe": recipe, "dataset": dataset, **settings})


def load_datasets(name: str, folder: Path, mirror: str | None = None) -> tuple[Any, Any]:
    """The training and test images; CIFAR is downloaded to ``folder``, from ``mirror`` if given.

    Raises:
        ArchiveError: The data cannot be downloaded, or the archive is damaged.
    """
    if name == "digits":
        return data.Digits(train=True), data.Digits(train=False)
    kind = DATASETS[name]
    return kind(folder, True, download=True, base_url=mirror), kind(folder, False, download=True, base_url=mirror)


def pretrained_architecture(path: str) -> dict[str, Any]:
    """The settings with which a model fits the weights in ``path``, a file or a run folder.

    Raises:
        SettingError: They are those of an isotropic ConvNeXt.
        ValueError, OSError: The file cannot be read, or holds no ConvNeXt.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*the model keeps its own")
        model = models.from_checkpoint(path)
    if not isinstance(model, models.ConvNeXt):
        raise SettingError(f"weights must be those of a ConvNeXt with stages, got {type(model).__name__}", "weights")
    return {
        "depths": model.depths,
        "dims": model.dims,
        "stem": model.stem_type,
        "patch_size": model.patch_size,
        "grn": isinstance(model, models.ConvNeXtV2),
        "whiten_stem": False,
        **({} if any(name.endswith(".gamma") for name, _ in model.named_parameters()) else {"layer_scale_init": 0.0}),
    }


def make_model(settings: Settings, channels: int, num_classes: int) -> models.ConvNeXt:
    """A ConvNeXt, or with ``grn`` a ConvNeXt V2, with random weights."""
    options: dict[str, Any] = {
        "depths": settings.depths,
        "dims": settings.dims,
        "drop_path": settings.drop_path,
        "in_chans": channels,
        "patch_size": settings.patch_size,
        "stem_type": settings.stem,
    }
    if settings.grn:
        return models.ConvNeXtV2(num_classes, **options)
    return models.ConvNeXt(num_classes, layer_scale_init=settings.layer_scale_init, **options)


def make_trainer(
    settings: Settings,
    train_set: data.ImageDataset,
    test_set: data.ImageDataset,
    *,
    load_weights: bool = True,
    folder: Path | None = None,
    command: Sequence[str] = (),
    compile: bool | None = None,
    save_minutes: float = 10.0,
) -> Trainer:
    """A trainer for a ConvNeXt on images that are kept on the device.

    ``load_weights=False`` ignores ``settings.weights``, for a run that is resumed.

    Raises:
        SettingError: The settings do not fit the images.
        MismatchError: The weights are for a different network.
    """
    _, channels, height, width = train_set.data.shape
    check_batch_size(settings, len(train_set), "images")
    if height < settings.patch_size * 2 ** (len(settings.dims) - 1):
        message = f"patch_size {settings.patch_size} and {len(settings.dims)} stages leave nothing of {height} px"
        raise SettingError(message, "patch_size")
    if settings.crop_padding > height:
        raise SettingError(f"crop_padding must be at most {height}, got {settings.crop_padding}", "crop_padding")
    lucid.manual_seed(settings.seed)
    mean, std, num_classes = train_set.mean, train_set.std, len(train_set.classes)
    model = make_model(settings, channels, num_classes)
    if settings.weights and load_weights:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*the model keeps its own")
            models.load_checkpoint(model, settings.weights)
    train_images = augment.DeviceDataset(train_set)
    if settings.whiten_stem:
        images = augment.Normalize(mean, std)(train_images.images[:WHITENED])
        whiten_stem(next(layer for layer in model.modules() if isinstance(layer, nn.Conv2d)), images.numpy())
    padding, mode = settings.crop_padding, settings.crop_padding_mode
    crops = [augment.RandomCrop((height, width), padding, padding_mode=mode)] if padding else []
    test_images = augment.DeviceDataset(test_set)
    return Trainer(
        model,
        settings,
        train=augment.DeviceLoader(train_images, **share_of_batches(settings, train_set)),
        test=augment.DeviceLoader(test_images, **share_of_evaluation(settings, test_set)),
        folder=None if folder is None else _run_folder(folder, settings, test_set, test_images, command),
        classes=train_set.classes,
        transform=augmentation(settings, mean, std, num_classes, crops=crops),
        test_transform=augment.Normalize(mean, std),
        compile=compile,
        save_minutes=save_minutes,
        unit="images",
    )


def _run_folder(
    path: Path,
    settings: Settings,
    test_set: data.ImageDataset,
    test_images: augment.DeviceDataset,
    command: Sequence[str],
) -> RunFolder:
    preprocessing = {"image_size": test_set.data.shape[2], "mean": test_set.mean, "std": test_set.std}
    return RunFolder(
        path,
        title=f"ConvNeXt on {TITLES[settings.dataset]}",
        metadata=weights_metadata("convnext", test_set.classes, preprocessing, recipe=settings.settings()),
        image=lambda number: test_images.images[number].numpy().transpose(1, 2, 0),
        architecture=stages_text(settings.depths, settings.dims),
        command=command,
    )
