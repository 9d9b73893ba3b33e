"""Semantic segmentation with UPerNet on a ConvNeXt: a class for every pixel.

    streets/images/1.jpg  streets/masks/1.png  streets/classes.txt      # a photo, its mask, one class name a line

    lucid segment train streets                                # ConvNeXt-T, downloaded the first time
    lucid segment train streets --resume                       # continues a run that was stopped or killed
    lucid segment train streets --eval-only                    # evaluates the best weights of that run
    lucid segment train streets --no-pretrained --model convnext_atto --crop-size 64 --channels 64    # from scratch
    lucid segment train streets --weights runs/pretrain/last.safetensors    # from a checkpoint of your own
    mlx.launch -n 2 -- python -m lucid segment train streets --distributed

    lucid segment predict photos --model runs/segment-streets --out results
    lucid segment predict photo.jpg --model upernet_convnext_tiny_1k_512x512.pth --window 512

A mask has the size of its photo and one class number per pixel, as a PNG (or TIFF, BMP, GIF) in grayscale of 8 or 16
bits or with a palette; 255 is not counted. Names may have subfolders: those in train/ and val/ are used as the split,
otherwise a fifth is held out (--val-part, --seed). Without classes.txt the classes are numbers.

"train" follows the ConvNeXt authors' recipe for ADE20K: random scale and crop, flip, AdamW with layer-wise learning
rate decay, linear schedule, an auxiliary head. It evaluates whole images by mean IoU (intersection over union). The
output folder has what "lucid train" writes, with segmented images in report.html, and split.csv.

"predict" writes NAME.png, the class numbers with a palette, and NAME.overlay.jpg for every photo, and prints the share
of each class. It overwrites nothing. It takes runs, and checkpoints of mmsegmentation and of the ConvNeXt authors.

The exit code is 0 on success, 1 if the loss diverges, a download fails or no image could be read, 2 for a usage error,
130 after Ctrl-C and 143 after SIGTERM; a run stopped by either saves a checkpoint first. Requires
pip install "lucid-mlx[train]".
"""

import argparse
import io
import json
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import lucid
from lucid import data, models
from lucid import distributed as dist
from lucid._files import write_atomically
from lucid.cli._common import (
    Parser,
    add_device_option,
    add_run_options,
    add_setting_options,
    choose,
    find_weights,
    positive,
    read_config,
    run_job,
    run_training,
    saved_settings,
    trains,
    use_device,
)
from lucid.cli.photos import find_photos
from lucid.data import augment
from lucid.training.batches import fit_batch_size, for_evaluation
from lucid.training.photo_dataset import check_split, printable
from lucid.training.segmentation import (
    SCRATCH,
    SEGMENT,
    Pairs,
    Settings,
    backbone_settings,
    load_pairs,
    make_trainer,
    write_split,
)
from lucid.training.trainer import Trainer


def make_parser() -> tuple[argparse.ArgumentParser, argparse.ArgumentParser, argparse.ArgumentParser]:
    """The parser of the command, and those of ``train`` and ``predict``."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = Parser(prog="lucid segment", description=__doc__, formatter_class=raw)
    actions = parser.add_subparsers(dest="action", required=True, metavar="train|predict", parser_class=Parser)
    train = actions.add_parser("train", help="train on photos with masks", description=__doc__, formatter_class=raw)
    train.add_argument("folder", type=Path, help="images in images/, their masks in masks/")
    group = train.add_argument_group("run")
    add_run_options(group, "runs/segment-FOLDER", "segment train")
    about = "Defaults depend on --pretrained, see --print-config; --resume uses the checkpoint's settings."
    add_setting_options(train.add_argument_group("settings", about), Settings)
    predict = actions.add_parser("predict", help="segment photos", description=__doc__, formatter_class=raw)
    predict.add_argument("images", nargs="+", help="image files, or folders of images")
    predict.add_argument("--model", required=True, metavar="PATH", help="a run folder, or a checkpoint file")
    predict.add_argument("--out", type=Path, default=Path("segmented"), help="output folder (default: segmented)")
    predict.add_argument(
        "--window", type=positive, metavar="PX", help="segment overlapping windows of this size; saves memory"
    )
    predict.add_argument("--json", action="store_true", help="print one JSON object per image, one per line")
    add_device_option(predict)
    return parser, train, predict


# train ----------------------------------------------------------------------------------------------------------------


def choose_settings(args: argparse.Namespace, saved: dict[str, Any] | None) -> Settings:
    """The options given, completed by the checkpoint, or else by --config and the preset."""
    if saved is not None:
        return choose(Settings, args, saved, saved=True)
    config = read_config(args.config, Settings)
    pretrained = config.get("pretrained", True) if args.pretrained is None else args.pretrained
    base = {**(SEGMENT if pretrained else SCRATCH), **config}
    weights = config.get("weights") if args.weights is None else args.weights
    sizes = ("model", "depths", "dims", "patch_size")
    if weights and pretrained and not any(name in config or getattr(args, name) is not None for name in sizes):
        base |= {"weights": str(weights), **backbone_settings(weights)}
    return choose(Settings, args, base)


def find_out(args: argparse.Namespace) -> Path:
    """The output folder: ``--out``, or one named after the folder of images."""
    return args.out or Path("runs") / f"segment-{args.folder.resolve().name}"


def start(args: argparse.Namespace, command: list[str]) -> Trainer:
    """The trainer that the options describe, at the point where the run starts or resumes."""
    out = find_out(args)
    saved = saved_settings(args, out)
    settings = choose_settings(args, saved)
    pairs = _load_pairs(args.folder, settings)
    if args.batch_size is None and saved is None:
        settings = fit_batch_size(settings, len(pairs.train))
    if saved:
        check_split(out, pairs, "--overwrite starts over")
    trainer = make_trainer(
        settings, pairs, load_weights=not saved, folder=None if args.find_lr else out, command=command,
        compile=args.compile, save_minutes=args.save_minutes,
    )  # fmt: skip
    trainer.prepare(resume=args.resume, overwrite=args.overwrite)
    if dist.is_main():
        if not (saved or args.find_lr):
            write_split(pairs, out)
        count = sum(p.numel() for p in trainer.model.parameters())
        name = lucid.get_default_device().type
        print(f"UPerNet, {settings.backbone}, with {count:,} parameters on {name}; output: {out}", flush=True)
    return trainer


def start_evaluation(args: argparse.Namespace) -> Trainer:
    """A trainer with the weights of a run."""
    out, is_own_run = find_out(args), args.weights is None
    path, weights, metadata = find_weights(args, out, "settings")
    args.weights = None  # in training, the weights to start from
    settings = choose_settings(args, metadata["settings"])
    pairs = _load_pairs(args.folder, settings)
    if is_own_run:  # an added file changes the split, and the model would be evaluated on images it was trained on
        check_split(out, pairs, "pass --weights to evaluate on these")
    if pairs.classes != (classes := json.loads(metadata["classes"])):
        raise ValueError(
            f"{path} was trained on {len(classes)} classes: {', '.join(classes)}; {args.folder} has "
            f"{len(pairs.classes)}: {', '.join(pairs.classes)}"
        )
    settings = replace(fit_batch_size(for_evaluation(settings), len(pairs.train)), pretrained=False, weights="")
    trainer = make_trainer(settings, pairs, compile=False)
    trainer.model.load_state_dict(weights)
    return trainer


def _load_pairs(folder: Path, settings: Settings) -> Pairs:
    pairs = load_pairs(folder, settings)
    if dist.is_main():
        names = ", ".join(pairs.classes[:8]) + (", ..." if len(pairs.classes) > 8 else "")
        found = f"{len(pairs.train):,} images for training, {len(pairs.val):,} for validation"
        left_out = f" ({pairs.left_out:,} for testing are left out)" if pairs.left_out else ""
        print(f"{found}{left_out}; {len(pairs.classes)} classes: {printable(names)}", flush=True)
        if pairs.empty:
            more = ", ..." if len(pairs.empty) > 8 else ""
            print(f"no mask has {printable(', '.join(pairs.empty[:8]))}{more}", flush=True)
    return pairs


# predict --------------------------------------------------------------------------------------------------------------


@lucid.no_grad()
def predict(args: argparse.Namespace) -> int:
    """Segment all images. Returns the number of those that could be read."""
    paths = [one for one in find_photos(args.images, [args.out]) if isinstance(one, Path)]
    model = models.load_segmenter(args.model)
    stride = max(model.backbone.feature_info.reduction())
    if args.window is not None and args.window < stride:
        raise ValueError(f"--window must be at least {stride}, the stride of the backbone, got {args.window}")
    names = _output_names(paths)
    for name in names.values():
        for path in (args.out / f"{name}.png", args.out / f"{name}.overlay.jpg"):
            if path.exists():
                raise ValueError(f"{path} exists, and nothing is overwritten; choose another --out")
    args.out.mkdir(parents=True, exist_ok=True)
    normalize = augment.Normalize(model.preprocessing.mean, model.preprocessing.std)
    count = 0
    for path in paths:
        try:
            image = data.open_image(path)
        except data.ImageError as error:
            print(f"{printable(str(error))}; skipped", file=sys.stderr)
            continue
        pixels = np.asarray(image).transpose(2, 0, 1)[None]
        logits = models.segmentation_logits(model, normalize(lucid.tensor(pixels)), args.window or 0)
        mask = logits.argmax(1)[0].numpy()
        data.save_mask(args.out / f"{names[path]}.png", mask, model.palette)
        content = io.BytesIO()
        data.overlay(image, mask, model.palette).save(content, "JPEG", quality=90)
        write_atomically(args.out / f"{names[path]}.overlay.jpg", content.getvalue())
        _print_shares(path, mask, model.class_names, args.json)
        count += 1
    return count


def _output_names(paths: list[Path]) -> dict[Path, str]:
    """A file name for each image, without extension; images of the same name get numbers."""
    found: dict[Path, str] = {}
    taken: set[str] = set()
    for path in paths:
        name, number = path.stem, 1
        while name.lower() in taken:
            number += 1
            name = f"{path.stem}_{number}"
        taken.add(name.lower())
        found[path] = name
    return found


def _print_shares(path: Path, mask: np.ndarray, names: list[str], as_json: bool) -> None:
    """Print the share of each class in an image, the largest first."""
    shares = np.bincount(mask.ravel(), minlength=len(names)) / mask.size
    order = [number for number in np.argsort(-shares, kind="stable").tolist() if shares[number]]
    if as_json:
        classes = [{"class": names[n], "number": n, "share": round(float(shares[n]), 6)} for n in order]
        print(json.dumps({"path": str(path), "classes": classes}), flush=True)
    else:
        lines = [f"{shares[n]:8.2%}  {printable(names[n])}" for n in order]
        print("\n".join([printable(str(path)), *lines]), flush=True)


def main(argv: list[str] | None = None) -> int:
    words = sys.argv[1:] if argv is None else argv
    warnings.filterwarnings("ignore", module=r"PIL\.")
    parser, train_parser, predict_parser = make_parser()
    args = parser.parse_args(words)
    if args.action == "train":
        code = run_training(
            train_parser,
            args,
            lambda: find_out(args),
            show_config=lambda: choose_settings(args, None),
            make_trainer=lambda: start(args, ["lucid", "segment", *words]),
            make_evaluator=lambda: start_evaluation(args),
            advice="; --weights takes a weights file, --no-pretrained trains from scratch",
        )
        if code == 0 and dist.is_main() and trains(args):
            print(f"lucid segment predict PHOTO --model {find_out(args)}")
        return code
    use_device(predict_parser, args.device)

    def job() -> int:
        count = predict(args)
        if not count:
            print("no image could be read", file=sys.stderr)
        return 0 if count else 1

    return run_job(predict_parser, job)
