"""Fine-tune a pretrained ConvNeXt on your own photos: a folder of images in, a classifier out.

    photos/cats/1.jpg  photos/cats/2.png  photos/dogs/...      # one folder per class

    lucid finetune photos                         # ConvNeXt-T, downloaded the first time
    lucid classify PHOTO --model runs/photos/best.safetensors

    lucid finetune photos --find-lr               # suggests a value for --lr
    lucid finetune photos --resume auto           # continues a run that was stopped or killed
    lucid finetune photos --model convnextv2_nano.fcmae_ft_in22k_in1k --epochs 40
    lucid finetune photos --freeze backbone       # trains the classifier only: fast, for few images
    lucid finetune photos --weights convnext_base_22k_224.pth   # any ConvNeXt checkpoint
    lucid finetune photos --weights runs/pretrain-photos   # what lucid pretrain learned
    lucid finetune photos --no-pretrained --model convnext_atto --image-size 64   # from scratch
    lucid finetune photos --balance weights       # for classes of different sizes; or sampling
    lucid finetune photos --labels labels.csv     # several labels for each photo
    lucid finetune photos --labels ages.csv --task regression   # numbers
    lucid finetune photos --model convnext_atto --teacher runs/photos --out runs/small   # distillation
    lucid finetune photos --eval-only             # evaluates the best weights of that run
    lucid finetune photos --eval-only --tta ten_crop   # with the mean over ten crops of each photo
    mlx.launch -n 2 -- python -m lucid finetune photos --distributed   # two processes share each batch

Subfolders named train and val are used as the split; otherwise a fifth of each class is held out for validation
(--val-part, --seed). No file is moved or changed. EXIF orientation is applied; images may be grayscale, transparent or
16-bit, and of any size. Unreadable files are skipped and reported. Copies of an image and photos of one burst stay in
one part; images that are in both train and val are reported. Threads decode and crop images during training; the line
printed for each epoch shows how much time was spent waiting for them, if it was above 5 %.

With --labels FILE no folders of classes are needed. The first line of the CSV file (UTF-8) names its columns; the first
column has the names of photos, relative to the folder. Then comes either one column of lists such as "cat dog", which
may be empty, and whose labels are separated by semicolons if the column has any, otherwise by spaces; or a column of 0
and 1 for each label; or, with --task regression, columns of numbers. What could be either needs --task. Photos without
a row are ignored. The rows are the split if they name photos in subfolders train and val.

The recipe follows the ConvNeXt authors' fine-tuning recipe, with a higher learning rate for the few steps of a small
dataset: AdamW, layer-wise learning rate decay, RandAugment, random erasing, averaged weights. --no-pretrained and
--freeze backbone have their own presets; --print-config shows all settings.

The output folder, --out (default: runs/FOLDER), contains what "lucid train" writes (report.html, history.csv,
curves.png, best.safetensors, best.json, last.safetensors, checkpoints) and:

- split.csv: which images are for training and which for validation;
- skipped.csv: which images cannot be read, and why.

The exit code is 0 on success, 1 if the loss diverges or a download fails, 2 for a usage error, 130 after Ctrl-C and 143
after SIGTERM; a run stopped by either saves a checkpoint first. Requires pip install "lucid-mlx[train]".
"""

import argparse
import json
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import lucid
from lucid import distributed as dist
from lucid.cli._common import (
    Parser,
    add_run_options,
    add_setting_options,
    choose,
    find_weights,
    read_config,
    run_training,
    saved_settings,
    trains,
    with_views,
)
from lucid.training.batches import fit_batch_size, for_evaluation
from lucid.training.finetuning import Settings, load_photos, make_trainer, preset_values
from lucid.training.photo_dataset import Photos, check_split, write_tables
from lucid.training.photo_labels import LabeledPhotos
from lucid.training.recipe import SettingError
from lucid.training.resume import Checkpoints
from lucid.training.tasks import MultiLabel
from lucid.training.trainer import Trainer


def make_parser() -> argparse.ArgumentParser:
    parser = Parser(prog="lucid finetune", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="images in CLASS/, or in train/CLASS/ and val/CLASS/; or --labels")
    group = parser.add_argument_group("run")
    add_run_options(group, "runs/FOLDER", "finetune")
    group.add_argument(
        "--cache-gb", type=float, default=1.0, metavar="X", help="memory for decoded images, in GB (default: 1)"
    )
    about = "Defaults depend on --pretrained and --freeze, see --print-config; --resume uses the checkpoint's settings."
    add_setting_options(parser.add_argument_group("settings", about), Settings)
    return parser


def choose_settings(args: argparse.Namespace, saved: dict[str, Any] | None) -> Settings:
    """The options given, completed by the checkpoint, or else by --config and the preset."""
    if saved is not None:
        return choose(Settings, args, saved, saved=True)
    config = read_config(args.config, Settings)

    def given(name: str, default: Any) -> Any:
        value = getattr(args, name)
        return config.get(name, default) if value is None else value

    preset = preset_values(given("freeze", "none"), given("pretrained", True), given("labels", ""))
    return choose(Settings, args, {**preset, **config})


def find_out(args: argparse.Namespace) -> Path:
    """The output folder: ``--out``, or one named after the folder of images."""
    return args.out or Path("runs") / args.folder.resolve().name


def find_saved(args: argparse.Namespace, out: Path) -> dict[str, Any] | None:
    """The settings of the checkpoint to resume from. What its task is decides which epoch was best."""
    starts_over = args.overwrite and args.resume is None
    before = {} if starts_over else Checkpoints(out / "checkpoints", args.save_minutes).recipe() or {}
    best, mode = {"multilabel": MultiLabel.monitor, "regression": ("loss", "min")}.get(
        str(before.get("task")), ("accuracy", "max")
    )
    return saved_settings(args, out, best=best, mode=mode)


def with_task(settings: Settings, photos: Photos) -> Settings:
    """``settings`` with the task that the file of labels turned out to have."""
    return replace(settings, task=photos.kind) if isinstance(photos, LabeledPhotos) else settings


def start(args: argparse.Namespace, command: list[str]) -> Trainer:
    """The trainer that the options describe, at the point where the run starts or resumes."""
    if not 0 <= args.cache_gb < 1e6:
        raise ValueError(f"--cache-gb must be at least 0, got {args.cache_gb:g}")
    out = find_out(args)
    if args.folder.resolve() in (out.resolve(), *out.resolve().parents):
        raise ValueError(f"--out must not be inside {args.folder}, where its images would be found, got {out}")
    saved = find_saved(args, out)
    settings = choose_settings(args, saved)
    for name in ("distill_weight", "distill_temperature", "distill_features"):
        if getattr(args, name) is not None and not settings.teacher:
            raise SettingError(f"{name} needs teacher", name, "teacher")
    photos = load_photos(args.folder, settings, out if saved else None)
    settings = with_task(settings, photos)
    if args.batch_size is None:
        settings = fit_batch_size(settings, len(photos.train))
    if saved:
        check_split(out, photos, "--overwrite starts over")
    trainer, name = make_trainer(
        settings, photos, load_weights=not saved, folder=None if args.find_lr else out, command=command,
        compile=args.compile, save_minutes=args.save_minutes, cache_bytes=int(args.cache_gb * 1e9),
    )  # fmt: skip
    trainer.prepare(resume=args.resume, overwrite=args.overwrite)
    if dist.is_main():
        if not (saved or args.find_lr):
            write_tables(photos, out)
        parameters = sum(p.numel() for p in trainer.model.parameters())
        print(f"{name} with {parameters:,} parameters on {lucid.get_default_device().type}; output: {out}", flush=True)
    return trainer


def start_evaluation(args: argparse.Namespace) -> Trainer:
    """A trainer with the weights of a run. ``--tta`` may differ from that of the run."""
    out, is_own_run = find_out(args), args.weights is None
    path, _, metadata = find_weights(args, out, "settings")
    args.weights, labels, args.labels = None, args.labels, None  # in training, the weights to start from
    settings = choose_settings(args, with_views(args, metadata["settings"]))
    if labels and not settings.labels:
        raise ValueError(f"{path} was trained on folders of classes, not on --labels")
    settings = replace(settings, labels=labels or settings.labels)
    photos = load_photos(args.folder, settings, out if is_own_run else None)
    settings = with_task(settings, photos)
    if photos.classes != (classes := json.loads(metadata["classes"])):
        raise ValueError(
            f"{path} was trained on the {'labels' if settings.labels else 'classes'} {', '.join(classes)}, but "
            f"{settings.labels or args.folder} has {', '.join(photos.classes)}"
        )
    if is_own_run:  # an added file changes the split, and the model would be evaluated on images it was trained on
        check_split(out, photos, "pass --weights to evaluate on these")
    settings = fit_batch_size(for_evaluation(settings), len(photos.train))
    settings = replace(settings, weights=path, pretrained=True, teacher="")
    return make_trainer(settings, photos, compile=False)[0]


def main(argv: list[str] | None = None) -> int:
    # Pillow warns about large files and about some that it can read. Those that it cannot read are reported.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    warnings.filterwarnings("ignore", message=".*the model keeps its own (head|norm)")
    words = sys.argv[1:] if argv is None else argv
    parser = make_parser()
    args = parser.parse_args(words)
    code = run_training(
        parser,
        args,
        lambda: find_out(args),
        show_config=lambda: choose_settings(args, None),
        make_trainer=lambda: start(args, ["lucid", "finetune", *words]),
        make_evaluator=lambda: start_evaluation(args),
        advice="; --weights takes a weights file, --no-pretrained trains from scratch",
    )
    if code == 0 and dist.is_main() and trains(args):
        print(f"lucid classify PHOTO --model {find_out(args) / 'best.safetensors'}")
    return code
