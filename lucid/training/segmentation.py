"""Train a UPerNet on photos with masks.

::

    settings = segmentation.Settings(**segmentation.SEGMENT)
    pairs = segmentation.load_pairs(Path("shapes"), settings)
    trainer = segmentation.make_trainer(settings, pairs, folder=Path("runs/shapes"))
    trainer.fit()
"""

import contextlib
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np

import lucid
import lucid.nn.functional as F
from lucid import data, models, nn
from lucid import distributed as dist
from lucid._files import read_regular, write_atomically
from lucid.data import augment
from lucid.data.image_folder import num_cores
from lucid.data.masks import mask_palette, open_pair
from lucid.data.seeds import SPLIT, derived_generator
from lucid.data.workers import run_ahead
from lucid.metrics import MeanIoU, Metric
from lucid.models.info import stages_text
from lucid.models.registry import parse
from lucid.models.weights.detect import architecture_of, describe_contents, find_networks, select_network, variant_of
from lucid.models.weights.upernet import segmenter_metadata
from lucid.training.batches import check_batch_size, share_of_batches
from lucid.training.evaluation import Evaluation
from lucid.training.photo_dataset import as_csv, printable
from lucid.training.progress import require
from lucid.training.recipe import Recipe, SettingError, check_stages, setting
from lucid.training.report import Gallery, Sample, bars
from lucid.training.run_folder import RunFolder
from lucid.training.trainer import Trainer

_PARTS = {"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
_SHOWN, _SHOWN_PX, _GAP_PX = 6, 320, 2  # images in the report, the largest side of each, and what is between its views
_SHOWN_CLASSES = 50  # in the legend of their colors


@dataclass(frozen=True, kw_only=True)
class Settings(Recipe):
    """The settings of a run: the recipe, the backbone, the head, and how images are cropped and split."""

    model: str = setting("convnext_tiny.fb_in1k", "backbone: a variant or published checkpoint")
    pretrained: bool = setting(True, "start from pretrained weights of the backbone")
    weights: str = setting("", "start from this ConvNeXt checkpoint file, which also determines the backbone")
    depths: tuple[int, ...] = setting((), "blocks per stage of an untrained backbone; none: those of the variant")
    dims: tuple[int, ...] = setting((), "channels per stage of an untrained backbone; none: those of the variant")
    patch_size: int = setting(4, "stride of an untrained backbone's stem; 2 for small images", low=1)
    channels: int = setting(512, "channels inside the head", low=1)
    auxiliary_weight: float = setting(0.4, "weight of the auxiliary head's loss; 0: no such head", low=0)
    crop_size: int = setting(512, "size of a training crop in pixels", low=32)
    min_scale: float = setting(0.5, "smallest factor by which a training image is scaled", low=0.01)
    max_scale: float = setting(2.0, "largest factor by which a training image is scaled", low=0.01)
    window: int = setting(0, "evaluate overlapping windows of this size in pixels; 0: whole images", low=0)
    ignore_index: int = setting(data.masks.IGNORED, "class number of pixels that do not count", low=0)
    val_part: float = setting(0.2, "fraction of the images held out if there is no val folder", low=0.001, below=1)

    # The loss is that of pixels, and what changes the image would have to change its mask.
    absent = frozenset({
        "label_smoothing", "balance", "augment", "erasing", "mixup", "cutmix", "mix_switch", "image_sizes", "shrink",
        "test_flip", "tta",
    })  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.min_scale > self.max_scale:
            message = f"min_scale must be at most max_scale, {self.max_scale:g}, got {self.min_scale:g}"
            raise SettingError(message, "min_scale", "max_scale")
        if self.weights and not self.pretrained:
            raise SettingError("weights and pretrained=False are mutually exclusive", "weights", "pretrained")
        check_stages(self.depths, self.dims)
        if self.pretrained and not self.weights and (self.depths or self.patch_size != 4):
            names = ("depths", "dims") if self.depths else ("patch_size",)
            raise SettingError(
                f"pretrained weights determine the architecture, so {' and '.join(names)} must not be given", *names
            )
        if 0 < self.window < 32:
            raise SettingError(f"window must be 0 or at least 32, got {self.window}", "window")
        try:
            parse("model", self.model)
        except ValueError as error:
            raise SettingError(str(error), "model") from None

    @property
    def backbone(self) -> str:
        """The backbone as it is named in logs and reports."""
        return stages_text(self.depths, self.dims) if self.depths else self.model


# The authors' recipe for ADE20K: AdamW, 1e-4, layer decay 0.9, linear decay, drop path 0.4 for ConvNeXt-T.
SEGMENT = {
    "epochs": 50,
    "warmup_epochs": 1,
    "batch_size": 16,
    "lr": 1e-4,
    "schedule": "linear",
    "layer_decay": 0.9,
    "drop_path": 0.4,
    "color_jitter": 0.4,
}
SCRATCH = {**SEGMENT, "optimizer": "muon", "lr": 1e-2, "layer_decay": 1.0, "drop_path": 0.0}


@dataclass(frozen=True)
class Pairs:
    """What was found in a folder: pairs of photo and mask for training and validation, and the classes."""

    root: Path
    train: list[tuple[str, str]]
    val: list[tuple[str, str]]
    classes: list[str]
    palette: list[tuple[int, int, int]]  # of the masks; empty if they have none
    empty: list[str]  # classes without a pixel
    left_out: int  # pairs in a folder test, beside a folder val

    def split_table(self) -> str:
        """Which image is in which part, as CSV."""
        images = self.root / "images"
        parts = (("train", self.train), ("val", self.val))
        rows = [(part, printable(os.path.relpath(image, images))) for part, pairs in parts for image, _ in pairs]
        return as_csv(("part", "image"), rows)


def load_pairs(folder: Path, settings: Settings) -> Pairs:
    """Find photos and masks, check all of them, and split them.

    Class names are the lines of ``classes.txt`` in the folder, or else numbers up to the largest in the masks.

    Raises:
        ValueError, OSError: There are no pairs, one cannot be used, a class number has no name, or there is only one.
    """
    found, names = data.MaskFolder(folder), _class_names(folder)
    inspected = _inspected(found)
    if broken := [one for one in inspected if isinstance(one, str)]:
        raise ValueError(f"{len(broken)} of {len(found)} pairs cannot be used: {'; '.join(broken[:3])}")
    numbers = [one for one in inspected if not isinstance(one, str)]
    present = _present(found, numbers, names, settings.ignore_index)
    classes = names or [f"class {i}" for i in range(present[-1] + 1)]
    known = {*present, settings.ignore_index}
    chosen: dict[str, list[tuple[str, str]]] = {"train": [], "val": [], "": []}
    for sample, part in zip(found.samples, _parts(found, settings), strict=True):
        chosen[part].append(sample)
    return Pairs(
        found.root, chosen["train"], chosen["val"], classes, _palette(found.samples[0][1]),
        [name for number, name in enumerate(classes) if number not in known], len(chosen[""]),
    )  # fmt: skip


def _class_names(folder: Path) -> list[str]:
    """The lines of classes.txt, none if there is no such file."""
    path = folder / "classes.txt"
    if not path.exists():
        return []
    try:
        lines = [line.strip() for line in read_regular(path).decode("utf-8-sig").rstrip().splitlines()]
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} must be UTF-8: {error}") from error
    if "" in lines:
        raise ValueError(f"{path}: line {lines.index('') + 1} is empty, but each line names a class, from number 0 on")
    if twice := [number for number, name in enumerate(lines) if name in lines[:number]]:
        raise ValueError(f"{path}: line {twice[0] + 1} repeats the class {lines[twice[0]]}")
    return lines


def _inspected(found: data.MaskFolder) -> list[np.ndarray | str]:
    """What ``_inspect`` says of every pair, with a progress bar."""
    threads = num_cores()
    results = run_ahead((partial(_inspect, one) for one in found.samples), threads, ahead=4 * threads)
    disable = None if dist.is_main() else True  # None: without a terminal
    tqdm = require("tqdm").tqdm
    return list(tqdm(results, f"checking {found.root}", len(found), leave=False, unit=" pairs", disable=disable))


def _present(found: data.MaskFolder, numbers: list[np.ndarray], names: list[str], ignored: int) -> list[int]:
    """The class numbers in all masks, sorted, without the ignored one."""
    every = np.unique(np.concatenate(numbers))
    present = every[every != ignored].tolist()
    if not present:
        raise ValueError(f"all pixels of all masks in {found.root} are {ignored}, which is ignored")

    def mask_with(number: int) -> str:
        return found.samples[next(i for i, ones in enumerate(numbers) if number in ones)][1]

    last = present[-1]
    if present[0] < 0:
        raise ValueError(f"{mask_with(present[0])} has class {present[0]}, but class numbers start at 0")
    if names and last >= len(names):
        classes = f"{found.root / 'classes.txt'} names {len(names)} classes, 0 to {len(names) - 1}"
    elif not names and last > data.masks.IGNORED:
        classes = f"{found.root} has no classes.txt with that many names"
    elif len(present) == 1:
        also = f" or {ignored}, which is ignored" if ignored in every else ""
        hint = "; white must be 1 in masks of black and white" if also and (last, ignored) == (0, 255) else ""
        raise ValueError(f"all pixels of all masks in {found.root} are {last}{also}, but 2 classes are needed{hint}")
    else:
        return present
    raise SettingError(
        f"{mask_with(last)} has class {last}, but {classes}; if these pixels do not count, set ignore_index to {last}",
        "ignore_index",
    )


def _parts(found: data.MaskFolder, settings: Settings) -> list[str]:
    """The part of each pair, train or val, by its folder or else at random; "" for those in test, if there is val."""
    images = found.root / "images"
    parts = [_PARTS.get(name.partition("/")[0].lower(), "") if "/" in name else "" for name in found.names]
    kinds = set(parts)
    is_split = "train" in kinds and kinds & {"val", "test"}
    if not is_split and "" not in kinds:
        raise ValueError(f"{images} must have images in both train and val")
    if is_split:
        if "" in kinds:
            raise ValueError(
                f"{images} has folders for training and validation, but {found.samples[parts.index('')][0]} is in "
                "neither; move it, or remove it with its mask"
            )
        if "val" not in kinds:
            return ["val" if part == "test" else part for part in parts]
        return ["" if part == "test" else part for part in parts]
    count = max(1, round(len(found) * settings.val_part))
    if count >= len(found):
        raise ValueError(f"{found.root} has {len(found)} pairs, at least 2 are needed")
    held = set(derived_generator(settings.seed, SPLIT).permutation(len(found))[:count].tolist())
    return ["val" if number in held else "train" for number in range(len(found))]


def _palette(path: str) -> list[tuple[int, int, int]]:
    """The colors of a mask; none if they are the shades of gray that Pillow makes of a grayscale image."""
    palette = mask_palette(path)
    return [] if all(color == (number,) * 3 for number, color in enumerate(palette)) else palette


def _inspect(pair: tuple[str, str]) -> np.ndarray | str:
    """The class numbers in a mask, sorted; or why the pair cannot be used."""
    try:
        return np.unique(open_pair(*pair)[1])
    except data.ImageError as error:
        return str(error)


def backbone_settings(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The settings of the backbone that a checkpoint holds: a variant, and its sizes if they are others.

    Raises:
        ValueError: It holds no ConvNeXt with stages.
        OSError: It cannot be read.
    """
    content = lucid.load(path)
    networks = list(find_networks(content)) if isinstance(content, Mapping) else []
    if not networks:
        raise ValueError(f"{path} holds no ConvNeXt; {describe_contents(content)}")
    network = select_network(str(path), networks, use_ema=True)
    shapes = {name: tuple(tensor.shape) for name, tensor in network.tensors.items()}
    architecture = architecture_of(shapes)
    if architecture.family == "ConvNeXtIsotropic":
        raise ValueError(f"{path} holds a ConvNeXtIsotropic, which has no pyramid of maps")
    if variant := variant_of(architecture):
        found: dict[str, Any] = {"model": variant}
    else:
        family = {"ConvNeXtV2": "convnextv2_atto"}.get(architecture.family, "convnext_atto")
        found = {"model": family, "depths": list(architecture.depths), "dims": list(architecture.dims)}
    stem = shapes["downsample_layers.0.0.weight"]
    return found | ({"patch_size": stem[2]} if architecture.stem_type == "patch" else {})


def make_model(settings: Settings, num_classes: int, load_weights: bool = True) -> models.UPerNet:
    """A UPerNet with the backbone of the settings."""
    variant = parse("model", settings.model)[0] if not settings.pretrained or settings.weights else settings.model
    pretrained = settings.pretrained and load_weights and not settings.weights
    options: dict[str, Any] = {"features_only": True, "drop_path": settings.drop_path}
    if not settings.pretrained or settings.weights:
        options["patch_size"] = settings.patch_size
        if settings.depths:
            options |= {"depths": settings.depths, "dims": settings.dims}
    if not settings.pretrained and "v2" not in variant:
        options["layer_scale_init"] = 1.0  # blocks scaled by 1e-6 are slow to learn from random weights
    backbone = models.create_model(variant, pretrained, **options)
    if settings.weights and load_weights:
        models.load_checkpoint(backbone, settings.weights)
    auxiliary = settings.channels // 2 if settings.auxiliary_weight else 0
    return models.UPerNet(backbone, num_classes, settings.channels, auxiliary_channels=auxiliary)


def segmentation_loss(auxiliary_weight: float, ignore_index: int = data.masks.IGNORED) -> Callable[[Any, Any], Any]:
    """The mean cross entropy of all pixels that count, plus that of the auxiliary head times its weight."""

    def one(logits: lucid.Tensor, masks: lucid.Tensor) -> lucid.Tensor:
        counted = (masks != ignore_index).sum().clamp(min=1)  # a crop without any has loss 0
        return F.cross_entropy(logits, masks, ignore_index=ignore_index, reduction="sum") / counted

    def loss(outputs: Any, masks: lucid.Tensor) -> lucid.Tensor:
        if not isinstance(outputs, tuple):
            return one(outputs, masks)
        return one(outputs[0], masks) + auxiliary_weight * one(outputs[1], masks)

    return loss


class SegmentationTrainer(Trainer):
    """A ``Trainer`` for a ``UPerNet``, which is evaluated on whole images by the mean IoU of all pixels."""

    def __init__(self, model: models.UPerNet, recipe: Settings, *, names: Sequence[str], **options: Any) -> None:
        self.names = list(names)
        super().__init__(model, recipe, loss=segmentation_loss(recipe.auxiliary_weight, recipe.ignore_index), **options)
        self.classes = self.names  # of the pixels; the base class would take them for those of whole images

    @property
    def monitor(self) -> tuple[str, str]:
        return f"{self.split}_mean_iou", "max"

    def _evaluation_metrics(self) -> dict[str, Metric]:
        self._iou = MeanIoU(len(self.names), ignore_index=cast(Settings, self.recipe).ignore_index)
        return {"mean_iou": self._iou}

    def evaluate(self) -> Evaluation:
        """The loss, mean IoU, accuracy and confusion of the pixels of the test images, each at its own size."""
        evaluation = super().evaluate()
        if math.isnan(evaluation.metrics["mean_iou"]):  # no pixel counts, and rows of a history are numbers
            evaluation.metrics["mean_iou"] = 0.0
        evaluation.confusion = found = self._iou.counts().numpy()
        evaluation.metrics["accuracy"] = float(found.trace() / max(1, found.sum()))
        evaluation.sections = [self._iou_section()]
        return evaluation

    def _iou_section(self) -> str:
        """A bar for each class in the report."""
        values = {name: one for name, one in zip(self.names, self._iou.per_class().tolist(), strict=True) if one == one}
        rows = [(name, values[name], f"{values[name]:.1%}") for name in sorted(values, key=values.__getitem__)]
        caption = "<figcaption>intersection over union by class, worst first</figcaption>"
        return f"<h2>Intersection over union</h2>\n<figure>{caption}{bars(rows)}</figure>" if rows else ""

    def logits(self, images: lucid.Tensor) -> lucid.Tensor:
        """Logits of images (N, C, H, W) of uint8."""
        x = cast(Any, self.test_transform)(images)
        return models.segmentation_logits(self.model, x, cast(Settings, self.recipe).window)

    def _outputs(self, inputs: lucid.Tensor) -> lucid.Tensor:
        return self.logits(inputs)


def make_trainer(
    settings: Settings,
    pairs: Pairs,
    *,
    load_weights: bool = True,
    folder: Path | None = None,
    command: Sequence[str] = (),
    compile: bool | None = None,
    save_minutes: float = 10.0,
) -> SegmentationTrainer:
    """A trainer for a UPerNet on ``pairs``. ``load_weights=False`` skips the pretrained weights, to resume a run.

    Raises:
        SettingError: The settings do not fit the pairs.
        DownloadError: The pretrained weights cannot be downloaded.
    """
    check_batch_size(settings, len(pairs.train))
    parts = settings.accumulate  # of the batch; batch norms see those of all processes together
    if settings.batch_size < 2 * parts:
        message = f"batch_size must be at least {2 * parts}, 2 images for each batch norm"
        raise SettingError(f"{message}, got {settings.batch_size}", "batch_size")
    lucid.manual_seed(settings.seed)
    model = make_model(settings, len(pairs.classes), load_weights)
    stride = max(model.backbone.feature_info.reduction())
    for name in ("crop_size", "window"):
        if 0 < (size := getattr(settings, name)) < stride:
            raise SettingError(f"{name} must be at least {stride}, the stride of the backbone, got {size}", name)
    if dist.get_world_size() > 1:
        nn.SyncBatchNorm.convert_sync_batchnorm(model)
    transform = models.ImageTransform(settings.crop_size, settings.crop_size)
    mean, std = transform.mean, transform.std
    crop = data.RandomScaledCrop(
        settings.crop_size, (settings.min_scale, settings.max_scale), flip=settings.flip,
        ignore_index=settings.ignore_index,
    )  # fmt: skip
    train = data.DataLoader(
        pairs.train, **share_of_batches(settings, pairs.train), num_workers=2, batch_transform=data.DecodePairs(crop)
    )
    sampler = dist.DistributedSampler(pairs.val, shuffle=False)
    test = data.DataLoader(pairs.val, 1, sampler=sampler, num_workers=2, batch_transform=data.DecodePairs())
    jitter = [augment.ColorJitter(*[settings.color_jitter] * 3)] if settings.color_jitter else []
    run = None
    if folder is not None:
        metadata = {
            **segmenter_metadata(model, pairs.classes, pairs.palette, transform),
            "model": f"UPerNet, {settings.backbone}",
            "settings": settings.to_json(),
        }
        count = len(pairs.train) + len(pairs.val)
        run = RunFolder(
            folder, title=f"UPerNet on {pairs.root.resolve().name}", metadata=metadata, architecture=settings.backbone,
            figures=[("images", f"{count:,}", f"{len(pairs.val):,} for validation")], command=command,
            galleries=lambda trainer: [_gallery(trainer, pairs)], counted="pixels",
        )  # fmt: skip
    return SegmentationTrainer(
        model,
        settings,
        names=pairs.classes,
        train=train,
        test=test,
        folder=run,
        transform=augment.Compose([*jitter, augment.Normalize(mean, std)]),
        test_transform=augment.Normalize(mean, std),
        compile=compile,
        save_minutes=save_minutes,
        split="val",
        unit="images",
    )


def write_split(pairs: Pairs, out: Path) -> None:
    """Write split.csv into the folder of a run."""
    out.mkdir(parents=True, exist_ok=True)
    write_atomically(out / "split.csv", pairs.split_table().encode())


@lucid.no_grad()
def _gallery(trainer: Any, pairs: Pairs) -> Gallery:
    """Some validation images with their masks and the predicted ones."""
    shown = []
    trainer.model.eval()
    with contextlib.nullcontext() if trainer.ema is None else trainer.ema.applied():
        for image_path, mask_path in pairs.val[:_SHOWN]:
            image, mask = open_pair(image_path, mask_path)
            pixels = np.asarray(image)
            logits = trainer.logits(lucid.tensor(pixels.transpose(2, 0, 1)[None]))
            found = logits.argmax(1)[0].numpy()
            ignored = trainer.recipe.ignore_index
            overlays = (data.overlay(image, one, pairs.palette, 0.6, ignore_index=ignored) for one in (mask, found))
            views = [pixels, *map(np.asarray, overlays)]
            step = -(-max(image.size) // _SHOWN_PX)
            small = [np.pad(one[::step, ::step], ((0, 0), (0, _GAP_PX), (0, 0)), constant_values=255) for one in views]
            shown.append(Sample(np.concatenate(small, 1)[:, :-_GAP_PX], printable(Path(image_path).name)))
    colors = [*pairs.palette, *data.voc_palette()[len(pairs.palette) :]]
    legend = list(zip(pairs.classes[1:_SHOWN_CLASSES], colors[1:], strict=False))  # class 0 is not drawn
    hint = "Validation images: the photo, its mask, and the prediction of the last epoch."
    return Gallery("Segmentations", hint, shown, 3, legend)
