"""Pre-train a ConvNeXt on images without labels: FCMAE, see ``lucid.models.FCMAE``.

::

    settings = pretraining.preset("quick", "photos", epochs=50)
    images = pretraining.load_images("photos", settings)
    trainer = pretraining.make_trainer(settings, images, folder=Path("runs/pretrain"))
    trainer.fit()

The weights in the run folder are those of the autoencoder. ``models.from_checkpoint`` reads the encoder, without head.
"""

import warnings
import zlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

import lucid
from lucid import data, models
from lucid import distributed as dist
from lucid.data import augment
from lucid.data.transforms import DecodeImages, RandomResizedCrop
from lucid.models import FCMAE, ImageTransform
from lucid.models.info import stages_text
from lucid.models.registry import parse
from lucid.models.variants import VARIANTS
from lucid.models.weights.save import extra_options, weights_metadata
from lucid.training.batches import augmentation, check_batch_size, share_of_batches, share_of_evaluation
from lucid.training.photo_dataset import Photos, find_unlabeled
from lucid.training.recipe import Recipe, SettingError, check_stages, setting
from lucid.training.reconstructions import Reconstructions
from lucid.training.run_folder import RunFolder
from lucid.training.small_images import DATASETS, TITLES, load_datasets
from lucid.training.trainer import Trainer

KEPT_BYTES = 1 << 30  # of decoded validation images, which then stay in memory
SHOWN = 8  # reconstructed images in the report


@dataclass(frozen=True, kw_only=True)
class Settings(Recipe):
    """The settings of a run: the recipe, the encoder, what is hidden, and how images are cropped."""

    recipe: str = setting("quick", "preset of all settings below", choices=("quick", "paper"))
    model: str = setting("convnextv2_atto", "the variant to pre-train, see lucid.models.list_models")
    weights: str = setting("", "start from this checkpoint, of pre-training or of a classifier")
    depths: tuple[int, ...] = setting((), "blocks per stage; none: those of the variant")
    dims: tuple[int, ...] = setting((), "channels per stage; none: those of the variant")
    stem: str = setting(
        "patch", "non-overlapping patches, or overlapping 3x3 convolutions", choices=("patch", "overlap")
    )
    patch_size: int = setting(4, "stride of the stem in pixels", low=1)
    mask_size: int = setting(0, "side of the hidden squares in pixels; 0: the total stride of the encoder", low=0)
    mask_ratio: float = setting(0.6, "part of the squares that are hidden", low=0, below=1)
    decoder_dim: int = setting(512, "channels of the decoder", low=1)
    decoder_depth: int = setting(1, "blocks of the decoder", low=0)
    normalize_targets: bool = setting(True, "predict pixels normalized by the mean and deviation of their patch")
    image_size: int = setting(224, "size in pixels to which photos are cropped", low=1)
    min_crop: float = setting(0.2, "smallest fraction of a photo's area that a training crop covers", low=0, high=1)
    crop_padding: int = setting(4, "padding in pixels before a random crop of a small image", low=0)
    val_part: float = setting(0.1, "fraction of the photos for validation if there is no val folder", low=0, below=1)

    # They need classes.
    absent = frozenset({"label_smoothing", "balance", "mixup", "cutmix", "mix_switch", "test_flip", "tta"})

    def __post_init__(self) -> None:
        super().__post_init__()
        check_stages(self.depths, self.dims)
        if self.val_part == 0 or self.min_crop == 0:
            name = "min_crop" if self.val_part else "val_part"
            raise SettingError(f"{name} must be above 0", name)
        try:
            variant, tag = parse("model", self.model)
        except ValueError as error:
            raise SettingError(str(error), "model") from None
        if tag is not None or not issubclass(VARIANTS[variant][0], models.ConvNeXt):
            message = f"model must be a variant of ConvNeXt, such as convnextv2_atto, got {self.model}"
            raise SettingError(f"{message}; weights takes a checkpoint" if tag else message, "model", "weights")


# The authors' recipe for ImageNet: 1.5e-4 for each 256 images of a batch.
PAPER = {
    "model": "convnextv2_base",
    "epochs": 800,
    "warmup_epochs": 40,
    "batch_size": 512,
    "accumulate": 8,
    "lr": 3e-4,
    "beta2": 0.95,
    "clip_norm": 0.0,
    "drop_path": 0.0,
}
# A smaller network, and a higher rate for fewer steps.
PHOTOS = {**PAPER, "model": "convnextv2_atto", "epochs": 100, "warmup_epochs": 10, "batch_size": 64, "accumulate": 1,
          "lr": 1e-3, "clip_norm": 1.0}  # fmt: skip
# Squares of 8 px, 16 in an image.
SMALL = {
    **PHOTOS,
    "depths": (2, 2, 2),
    "dims": (64, 128, 192),
    "patch_size": 2,
    "decoder_dim": 256,
    "epochs": 50,
    "warmup_epochs": 5,
    "batch_size": 128,
    "lr": 2e-3,
}
# 8x8 pixels, in squares of 2. A flipped digit is not a digit.
DIGITS = {
    **SMALL,
    "depths": (2, 2),
    "dims": (32, 64),
    "patch_size": 1,
    "decoder_dim": 64,
    "crop_padding": 1,
    "flip": False,
    "batch_size": 64,
    "lr": 4e-3,
}
PRESETS: dict[tuple[str, str], dict[str, Any]] = {
    ("quick", "photos"): PHOTOS,
    ("quick", "small"): SMALL,
    ("quick", "digits"): DIGITS,
    ("paper", "photos"): PAPER,
    ("paper", "small"): {**PAPER, "model": "convnextv2_atto", "patch_size": 1},
    ("paper", "digits"): {**PAPER, **{name: DIGITS[name] for name in ("depths", "dims", "patch_size", "decoder_dim",
                                                                     "crop_padding", "flip")}},
}  # fmt: skip


def kind_of(source: str) -> str:
    """Which presets are for ``source``, "cifar10", "cifar100", "digits" or a folder: "small", "digits" or "photos"."""
    return "digits" if source == "digits" else "small" if source in DATASETS else "photos"


def preset(recipe: str = "quick", source: str = "cifar10", **settings: Any) -> Settings:
    """The settings of a preset for ``source``, see ``kind_of``; ``settings`` override some of them."""
    return Settings(**{**PRESETS[recipe, kind_of(source)], "recipe": recipe, **settings})


# Images ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SmallImages:
    """Images that are kept on the device; their labels are not used."""

    name: str
    train: data.ImageDataset
    test: data.ImageDataset


def load_images(
    source: str, settings: Settings, *, data_dir: Path = Path("data"), mirror: str | None = None,
    run: Path | None = None,
) -> SmallImages | Photos:  # fmt: skip
    """The images of ``source``: "cifar10", "cifar100", "digits", or a folder with images at any depth.

    Prints what there is. Photos of an earlier ``run`` are split as they were there.

    Raises:
        ArchiveError: CIFAR cannot be downloaded to ``data_dir``, or the archive is damaged.
        ValueError, OSError: The folder has too few images, or the processes found different ones.
    """
    if source in DATASETS:
        images = SmallImages(source, *load_datasets(source, data_dir, mirror))
        if dist.is_main():
            print(images.train, flush=True)
        return images
    photos = find_unlabeled(Path(source), settings.val_part, settings.seed, run and run / "split.csv")
    found = lucid.tensor([zlib.crc32(photos.split_table().encode())], dtype=lucid.int64)
    if len({one.item() for one in dist.all_gather(found)}) > 1:
        raise ValueError(f"the processes found different images in {source}; all of them must see the same files")
    if dist.is_main():
        skipped = f", {len(photos.skipped)} cannot be read" if photos.skipped else ""
        print(f"{source}: {len(photos.train)} training and {len(photos.val)} validation images{skipped}", flush=True)
    return photos


# Model and trainer ----------------------------------------------------------------------------------------------------


def make_model(settings: Settings, channels: int = 3, *, load_weights: bool = True) -> FCMAE:
    """The autoencoder, with random weights or those of ``settings.weights``.

    Raises:
        SettingError: The settings do not fit each other.
        MismatchError: The weights are for a different network.
    """
    own: dict[str, Any] = {"depths": settings.depths, "dims": settings.dims} if settings.depths else {}
    try:
        encoder: Any = models.create_model(
            settings.model, num_classes=0, in_chans=channels, patch_size=settings.patch_size,
            stem_type=None if settings.stem == "patch" else settings.stem, drop_path=settings.drop_path, **own,
        )  # fmt: skip
        model = FCMAE(
            encoder, mask_size=settings.mask_size or None, mask_ratio=settings.mask_ratio,
            decoder_dim=settings.decoder_dim, decoder_depth=settings.decoder_depth,
            normalize_targets=settings.normalize_targets,
        )  # fmt: skip
    except ValueError as error:
        raise SettingError(str(error), "mask_size", "patch_size", "normalize_targets") from error
    if settings.weights and load_weights:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*the checkpoint has no decoder")
            models.load_checkpoint(model, settings.weights)
    return model


def make_trainer(
    settings: Settings,
    images: SmallImages | Photos,
    *,
    load_weights: bool = True,
    folder: Path | None = None,
    command: Sequence[str] = (),
    compile: bool | None = None,
    save_minutes: float = 10.0,
    cache_bytes: int = 0,
) -> Trainer:
    """A trainer for an autoencoder on ``images``; its report shows reconstructions.

    ``load_weights=False`` ignores ``settings.weights``, for a run that is resumed; ``cache_bytes`` of decoded photos
    stay in memory.

    Raises:
        SettingError: The settings do not fit the images.
        MismatchError: The weights are for a different network.
    """
    check_batch_size(settings, len(images.train))
    lucid.manual_seed(settings.seed)
    shape = images.train.data.shape[1:] if isinstance(images, SmallImages) else (3, *[settings.image_size] * 2)
    model = make_model(settings, shape[0], load_weights=load_weights)
    try:
        model.random_mask(lucid.zeros(1, *shape))
    except ValueError as error:
        raise SettingError(str(error), "mask_ratio", "mask_size") from error
    parts = _small(settings, images) if isinstance(images, SmallImages) else _photos(settings, images, cache_bytes)
    normalize = augment.Normalize(parts.input.mean, parts.input.std)
    augmented = augmentation(settings, parts.input.mean, parts.input.std, 0, crops=parts.crops)

    def transform(inputs: Any, targets: Any) -> tuple[Any, Any]:
        return augmented(inputs, targets)[0], lucid.zeros(len(targets), 0)  # there are no targets

    return Trainer(
        model,
        settings,
        train=parts.train,
        test=parts.test,
        folder=None if folder is None else _run_folder(folder, settings, model, parts, command),
        loss=lambda outputs, targets: outputs[0],
        transform=transform,
        test_transform=normalize,
        compile=compile,
        save_minutes=save_minutes,
        split=parts.split,
        unit="images",
    )


@dataclass(frozen=True)
class _Parts:
    """What differs between small images and photos."""

    name: str
    train: Any  # loaders
    test: Any
    split: str  # what ``test`` is called
    input: ImageTransform  # from an image to the input of the model
    crops: Sequence[Any]  # of training batches on the device
    examples: Callable[[], np.ndarray]  # images for the report


def _small(settings: Settings, images: SmallImages) -> _Parts:
    train, test = augment.DeviceDataset(images.train), augment.DeviceDataset(images.test)
    _, _, height, width = images.train.data.shape
    padding = settings.crop_padding
    if padding > height:
        raise SettingError(f"crop_padding must be at most {height}, got {padding}", "crop_padding")
    return _Parts(
        TITLES.get(images.name, images.name),
        augment.DeviceLoader(train, **share_of_batches(settings, images.train)),
        augment.DeviceLoader(test, **share_of_evaluation(settings, images.test)),
        "test",
        ImageTransform(height, height, mean=images.train.mean, std=images.train.std),
        [augment.RandomCrop((height, width), padding, padding_mode="reflect")] if padding else [],
        lambda: test.images[:SHOWN].numpy(),
    )


def _photos(settings: Settings, photos: Photos, cache_bytes: int) -> _Parts:
    size = settings.image_size
    transform = ImageTransform(size, size)
    # Twice the crop's size is enough of a JPEG, and much faster to decode.
    crop = RandomResizedCrop(size, (settings.min_crop, 1.0), interpolation=transform.interpolation)
    train_loader = data.DataLoader(
        photos.train, **share_of_batches(settings, photos.train), num_workers=2,
        batch_transform=DecodeImages(crop, 2 * size, cache_bytes=cache_bytes),
    )  # fmt: skip
    center = DecodeImages(lambda image, rng: transform.crop(image), 2 * size)
    val_loader: Any = data.DataLoader(
        photos.val, **share_of_evaluation(settings, photos.val), num_workers=2, batch_transform=center
    )
    if len(photos.val) * 3 * size**2 <= KEPT_BYTES:
        val_loader = list(val_loader)
    shown = [path for path, _ in photos.val[:SHOWN]]
    return _Parts(
        photos.root.resolve().name, train_loader, val_loader, "val", transform, [],
        lambda: center(shown, np.random.default_rng(0)),
    )  # fmt: skip


def _run_folder(path: Path, settings: Settings, model: FCMAE, parts: _Parts, command: Sequence[str]) -> RunFolder:
    encoder = model.encoder
    kind = stages_text(encoder.depths, encoder.dims)
    return RunFolder(
        path,
        title=f"FCMAE on {parts.name}",
        metadata=weights_metadata(
            settings.model, [], asdict(parts.input), options=extra_options(encoder), settings=settings.settings()
        ),
        architecture=f"{kind}, and the decoder",
        figures=[("hidden", f"{settings.mask_ratio:.0%}", f"of squares of {model.mask_size} px")],
        command=command,
        galleries=Reconstructions(parts.examples),
    )
