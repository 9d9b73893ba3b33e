"""Fine-tune a ConvNeXt on photos: folders of classes, or labels or numbers in a CSV file.

::

    settings = finetuning.preset(epochs=10)
    photos = finetuning.load_photos(Path("photos"), settings)
    trainer, name = finetuning.make_trainer(settings, photos, folder=Path("runs/photos"))
    trainer.fit()
"""

import contextlib
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

import lucid
from lucid import data, memory, models, nn
from lucid import distributed as dist
from lucid.data import augment
from lucid.data.transforms import DecodeImages, RandomResizedCrop
from lucid.evaluation.view_average import transform_for
from lucid.explain._grad_cam import coarse_map
from lucid.models import ImageTransform, transforms_for
from lucid.models.registry import parse
from lucid.models.weights.save import TASK_KEY, weights_metadata
from lucid.training.batches import augmentation, check_batch_size, share_of_batches, share_of_evaluation, to_size
from lucid.training.distillation import Distillation
from lucid.training.optimizer import gigabytes
from lucid.training.photo_dataset import Photos, find_photos
from lucid.training.photo_labels import LabeledPhotos, Standardized, find_labeled, teach_in_units
from lucid.training.recipe import Recipe, SettingError, setting
from lucid.training.run_folder import RunFolder
from lucid.training.tasks import Regression, Task, task_of_model
from lucid.training.trainer import Trainer

KEPT_BYTES = 1 << 30  # of decoded validation images, which then stay in memory


@dataclass(frozen=True, kw_only=True)
class Settings(Recipe):
    """The settings of a run: the recipe, the model to start from, and how images are split and cropped."""

    model: str = setting("convnext_tiny.fb_in1k", "a variant or published checkpoint, see lucid.models.list_models")
    pretrained: bool = setting(True, "start from pretrained weights")
    weights: str = setting("", "start from this ConvNeXt checkpoint file instead of --model")
    labels: str = setting("", "a CSV file of labels or numbers for each photo, in place of folders of classes")
    task: str = setting(
        "auto", "what the file of labels has; auto: labels, where that is certain",
        choices=("auto", "multilabel", "regression"),
    )  # fmt: skip
    image_size: int = setting(0, "image size in pixels; 0: that of the published checkpoint", low=0)
    val_part: float = setting(
        0.2, "fraction of each class held out for validation if there is no val folder", low=0, below=1
    )
    freeze: str = setting("none", "what to freeze: none, backbone, or a number N: the stem and the first N stages")
    head_init_scale: float = setting(1e-3, "factor on the initial weights of the classifier", low=0)
    teacher: str = setting("", "distill from this checkpoint, which has all of the classes")
    distill_weight: float = setting(0.5, "share of the teacher's outputs in the loss", low=0, high=1)
    distill_temperature: float = setting(2.0, "temperature at which outputs are compared", low=0)
    distill_features: float = setting(0.0, "weight of the similarity of features to the teacher's in the loss", low=0)
    min_crop: float = setting(0.25, "smallest fraction of the image area that a training crop covers", low=0, high=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.val_part == 0 or self.min_crop == 0:
            name = "min_crop" if self.val_part else "val_part"
            raise SettingError(f"{name} must be above 0", name)
        if self.distill_temperature == 0:
            raise SettingError("distill_temperature must be above 0", "distill_temperature")
        if self.teacher and not self.distill_weight and not self.distill_features:
            message = "teacher has no effect with distill_weight 0 and distill_features 0"
            raise SettingError(message, "teacher", "distill_weight", "distill_features")
        if self.task != "auto" and not self.labels:
            raise SettingError(f"task {self.task} needs labels, a CSV file", "task", "labels")
        if self.labels and self.label_smoothing:
            message = (
                f"label_smoothing is for folders of classes; with labels it must be 0, got {self.label_smoothing:g}"
            )
            raise SettingError(message, "label_smoothing", "labels")
        if self.labels and self.balance != "none":
            raise SettingError(f"balance {self.balance} is for folders of classes, not for labels", "balance", "labels")
        if self.task == "regression" and (self.mixup or self.cutmix):
            name = "mixup" if self.mixup else "cutmix"
            raise SettingError(f"{name} is for classes and labels, not for task regression", name, "task")
        if self.freeze not in ("none", "backbone") and not self.freeze.isdecimal():
            message = f"freeze must be none, backbone or a number of stages, got {self.freeze}"
            raise SettingError(message, "freeze")
        if self.weights and not self.pretrained:
            message = "weights and pretrained=False are mutually exclusive"
            raise SettingError(message, "weights", "pretrained")
        try:
            parse("model", self.model)
        except ValueError as error:
            raise SettingError(str(error), "model") from None


# The authors use AdamW, 5e-5 for 512 images per step and tens of thousands of steps, layer decay 0.8, no weight decay
# and no mixing. A few hundred images give a few hundred steps, which need a higher rate.
FINETUNE = {
    "epochs": 30,
    "warmup_epochs": 2,
    "batch_size": 32,
    "lr": 5e-4,
    "min_lr": 1e-6,
    "layer_decay": 0.8,
    "weight_decay": 1e-8,
    "ema": 0.9999,
    "augment": "rand-m9-mstd0.5-inc1",
    "erasing": 0.25,
}
# Linear probing.
PROBE = {**FINETUNE, "lr": 2e-3, "layer_decay": 1.0, "drop_path": 0.0, "augment": "none", "erasing": 0.0}
SCRATCH = {
    "epochs": 40,
    "warmup_epochs": 3,
    "batch_size": 16,
    "lr": 1e-3,
    "min_lr": 1e-6,
    "ema": 0.99,
    "head_init_scale": 1.0,
}


def preset(*, freeze: str = "none", pretrained: bool = True, **settings: Any) -> Settings:
    """The settings for fine-tuning, linear probing (``freeze="backbone"``) or training from scratch."""
    values = preset_values(freeze, pretrained, settings.get("labels", ""))
    return Settings(**{**values, "freeze": freeze, "pretrained": pretrained, **settings})


def preset_values(freeze: str, pretrained: bool, labels: str) -> dict[str, Any]:
    """The values in which a preset differs from the defaults."""
    values = SCRATCH if not pretrained else PROBE if freeze == "backbone" else FINETUNE
    return {**values, "label_smoothing": 0.0} if labels else dict(values)


# Model ----------------------------------------------------------------------------------------------------------------


def make_model(
    settings: Settings, classes: list[str], load_weights: bool, task: Task | None = None
) -> tuple[nn.Module, str, ImageTransform]:  # fmt: skip
    """The model with a classifier for ``classes``, its name, and the transform of its images.

    ``load_weights=False`` leaves the pretrained weights out. A classifier for the same classes is kept. With a ``task``
    the outputs are its labels or numbers.

    Raises:
        SettingError: There are fewer stages to freeze.
        ValueError: The weights are for images that are not RGB.
        DownloadError: The pretrained weights cannot be downloaded.
    """
    size, num_classes, known = settings.image_size or None, len(classes), []
    if settings.weights:
        model = models.from_checkpoint(settings.weights, image_size=size)
        if any(isinstance(module, nn.QuantizedLinear) for module in model.modules()):
            message = f"weights {settings.weights} are quantized and cannot be trained; start from the full weights"
            raise SettingError(message, "weights")
        name, transform, known = model.checkpoint_name, model.preprocessing, model.class_names
    else:
        name, tag = parse("model", settings.model)
        wanted = settings.pretrained and (True if tag is None else tag.name)
        model = models.create_model(name, wanted if load_weights else False, num_classes=num_classes)
        if settings.pretrained:
            transform = transforms_for(settings.model, image_size=size)
        else:
            size = size or transforms_for(name).image_size
            transform = ImageTransform(size, size)
    if model.in_chans != 3:
        raise ValueError(f"{settings.weights} expects {model.in_chans}-channel images, but photos have 3 channels")
    if known != classes or model.task != task_of_model(task):
        model.head_init_scale = settings.head_init_scale
        model.reset_classifier(num_classes)
        model.task = task_of_model(task)
    elif isinstance(task, Standardized):
        task.standardize(model)
    blocks = [one for one in model.modules() if hasattr(one, "drop_path")]
    for number, block in enumerate(blocks):
        rate = settings.drop_path * number / max(1, len(blocks) - 1)
        block.drop_path = nn.DropPath(rate) if rate else nn.Identity()
    freeze(model, settings.freeze)
    return model, name, transform


def freeze(model: nn.Module, what: str) -> None:
    """Freeze the first stages, or everything but the classifier, and turn off their drop path.

    Raises:
        SettingError: The model has fewer stages.
    """
    if what == "none":
        return
    if what == "backbone":
        frozen = [child for name, child in model.named_children() if name != "head"]
    elif int(what) <= len(getattr(model, "stages", [])):
        frozen = [*list(model.downsample_layers)[: int(what)], *list(model.stages)[: int(what)]]
    else:
        message = f"freeze must be at most {len(getattr(model, 'stages', []))}, the number of stages, got {what}"
        raise SettingError(message, "freeze")
    for part in frozen:
        for one in part.modules():
            if hasattr(one, "drop_path"):
                one.drop_path = nn.Identity()
        for parameter in part.parameters():
            parameter.requires_grad = False


def make_distillation(
    settings: Settings, classes: list[str], transform: ImageTransform, task: Task | None = None
) -> Distillation | None:  # fmt: skip
    """The teacher that the settings name, for images that ``transform`` normalizes; None without one.

    Raises:
        SettingError: It lacks a class, has another task, or takes images that are not RGB.
        ValueError, OSError: It cannot be loaded.
    """
    if not settings.teacher:
        return None
    teacher = models.from_checkpoint(settings.teacher)
    if teacher.in_chans != 3:
        raise SettingError(f"teacher {settings.teacher} expects {teacher.in_chans}-channel images", "teacher")
    columns = None
    if settings.distill_weight:
        if teacher.task != task_of_model(task):
            raise SettingError(
                f"teacher {settings.teacher} is for {teacher.task}, but the photos are for {task_of_model(task)}; "
                "distill_weight 0 with distill_features learns from its features alone",
                "teacher", "distill_weight", "distill_features",
            )  # fmt: skip
        missing = [name for name in classes if name not in teacher.class_names]
        if missing:
            raise SettingError(
                f"teacher {settings.teacher} has no class {missing[0]}; distill_weight 0 with distill_features learns "
                "from its features alone",
                "teacher", "distill_weight", "distill_features",
            )  # fmt: skip
        columns = [teacher.class_names.index(name) for name in classes]
        if isinstance(task, Regression):
            if not isinstance(teacher.head, nn.Linear):
                raise SettingError(f"teacher {settings.teacher} is quantized; pass the full weights", "teacher")
            teach_in_units(task, teacher)
    own = teacher.preprocessing

    def prepare(x: lucid.Tensor) -> lucid.Tensor:
        if (own.mean, own.std) != (transform.mean, transform.std):
            mean, std = (lucid.tensor(one).reshape(1, -1, 1, 1) for one in (transform.mean, transform.std))
            means, stds = (lucid.tensor(one).reshape(1, -1, 1, 1) for one in (own.mean, own.std))
            x = (x * std + mean - means) / stds
        return to_size(x, own.image_size)

    return Distillation(
        teacher, weight=settings.distill_weight, temperature=settings.distill_temperature,
        features=settings.distill_features, prepare=prepare, columns=columns,
    )  # fmt: skip


# Training -------------------------------------------------------------------------------------------------------------


def make_trainer(
    settings: Settings,
    photos: Photos,
    *,
    load_weights: bool = True,
    folder: Path | None = None,
    command: Sequence[str] = (),
    compile: bool | None = None,
    save_minutes: float = 10.0,
    cache_bytes: int = 0,
) -> tuple[Trainer, str]:
    """A trainer for a ConvNeXt on ``photos``, and the name of the model.

    ``load_weights=False`` skips the pretrained weights, for a run that is resumed; ``cache_bytes`` of decoded photos
    stay in memory.

    Raises:
        SettingError: The settings do not fit the photos or the model.
        DownloadError: The pretrained weights cannot be downloaded.
    """
    check_batch_size(settings, len(photos.train))
    task, (train, val) = None, (photos.train, photos.val)
    if isinstance(photos, LabeledPhotos):
        settings = replace(settings, task=photos.kind)
        task, (train, val) = photos.task, photos.samples  # type: ignore[assignment]
    lucid.manual_seed(settings.seed)
    model, name, transform = make_model(settings, photos.classes, load_weights, task)
    size, smallest = transform.image_size, model.feature_info[-1]["reduction"]
    if size < smallest:
        raise SettingError(f"image_size must be at least {smallest} for {name}, got {size}", "image_size")
    batch_bytes = settings.batch_size * 3 * size**2 * 4
    if batch_bytes > memory.total():
        message = f"image_size {size} makes batches of {gigabytes(batch_bytes)}, the device has "
        raise SettingError(f"{message}{gigabytes(memory.total())}", "image_size")
    # Twice the crop's size is enough of a JPEG, and much faster to decode.
    crop = RandomResizedCrop(size, (settings.min_crop, 1.0), interpolation=transform.interpolation)
    train_loader = data.DataLoader(
        train, **share_of_batches(settings, train), num_workers=2,
        batch_transform=DecodeImages(crop, 2 * size, cache_bytes=cache_bytes),
    )  # fmt: skip
    whole = transform_for(settings.views, transform)
    center = DecodeImages(lambda image, rng: whole.crop(image), 2 * whole.resize_size)
    val_loader: Any = data.DataLoader(val, **share_of_evaluation(settings, val), num_workers=2, batch_transform=center)
    if len(val) * 3 * whole.image_size**2 <= KEPT_BYTES:
        val_loader = list(val_loader)
    trainer = Trainer(
        model,
        settings,
        train=train_loader,
        test=val_loader,
        folder=None if folder is None else _run_folder(folder, settings, photos, name, transform, command),
        classes=photos.classes if task is None else (),
        task=task,
        distillation=make_distillation(settings, photos.classes, transform, task),
        transform=augmentation(settings, transform.mean, transform.std, len(photos.classes)),
        test_transform=augment.Normalize(transform.mean, transform.std),
        compile=compile,
        save_minutes=save_minutes,
        split="val",
        unit="images",
    )
    return trainer, name


def _run_folder(
    path: Path, settings: Settings, photos: Photos, name: str, transform: ImageTransform, command: Sequence[str]
) -> RunFolder:
    count, task = len(photos.train) + len(photos.val), getattr(photos, "task", None)
    more = {} if task is None else {TASK_KEY: task_of_model(task)}
    return RunFolder(
        path,
        title=f"{name} on {photos.root.name}",
        metadata=weights_metadata(name, photos.classes, asdict(transform), settings=settings.settings(), **more),
        convert=task.weights_in_units if isinstance(task, Standardized) else dict,
        image=lambda number: np.asarray(transform.crop(data.open_image(photos.val[number][0]))),
        figures=[("images", f"{count:,}", f"{len(photos.skipped):,} unreadable")],
        command=command,
        name=lambda number: photos.name(photos.val[number][0]),
        heat_maps=lambda trainer, numbers, classes: heat_maps(trainer, transform, photos, numbers, classes),
    )


def heat_maps(
    trainer: Trainer, transform: ImageTransform, photos: Photos, numbers: list[int], classes: list[int]
) -> np.ndarray:
    """What the model bases ``classes`` on in validation images: Grad-CAM (N, h, w) with the averaged weights."""
    images = lucid.stack([transform(data.open_image(photos.val[number][0])) for number in numbers])
    with contextlib.nullcontext() if trainer.ema is None else trainer.ema.applied():
        maps = coarse_map("heat_maps", trainer.model, images, classes).numpy()
    return np.nan_to_num(maps)


def load_photos(folder: Path, settings: Settings, run: Path | None = None) -> Photos:
    """Find the photos in ``folder`` and print what there is. Those of an earlier ``run`` are split as they were there.

    Raises:
        ValueError, OSError: The photos cannot be trained on, or the processes found different ones.
    """
    split = run and run / "split.csv"
    if settings.labels:
        photos: Photos = find_labeled(
            folder, settings.labels, settings.task, settings.val_part, settings.seed, split
        )  # fmt: skip
    else:
        photos = find_photos(folder, settings.val_part, settings.seed, split)
    found = lucid.tensor([zlib.crc32(photos.split_table().encode())], dtype=lucid.int64)
    if len({one.item() for one in dist.all_gather(found)}) > 1:
        raise ValueError(f"the processes found different images in {folder}; all of them must see the same files")
    if dist.is_main():
        photos.print_summary()
    return photos
