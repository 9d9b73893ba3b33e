"""Pre-train a ConvNeXt without labels: FCMAE, the fully convolutional masked autoencoder of ConvNeXt V2.

    lucid pretrain photos                        # all images in a folder and its subfolders
    lucid finetune labeled --weights runs/pretrain-photos

    lucid pretrain digits                        # no download; for trying it out
    lucid train --dataset digits --weights runs/pretrain-digits
    lucid pretrain cifar10                       # downloads 162 MB the first time
    lucid pretrain photos --resume auto          # continues a run that was stopped or killed
    lucid pretrain photos --eval-only            # evaluates the best weights of that run
    lucid pretrain photos --recipe paper         # as the authors pre-train on ImageNet
    lucid pretrain photos --model convnextv2_tiny --image-size 128 --mask-ratio 0.5
    lucid pretrain photos --weights convnextv2_atto_1k_224_fcmae.pt   # go on from a checkpoint
    mlx.launch -n 2 -- python -m lucid pretrain photos --distributed   # two processes share each batch

Squares of each image are hidden. The encoder, a ConvNeXt V2, sees the others, and a small decoder predicts the pixels
of the hidden ones; the loss is the squared error there. Source: Woo et al. 2023, arXiv:2301.00808.

A folder may have any structure. Its subfolders train and val are used as the split; otherwise a tenth of the images is
held out to measure the loss on (--val-part, --seed). Unreadable files are skipped and reported.

Recipes: "quick" is for a small network and few images; "paper" is that of the authors, with a learning rate scaled to
the batch size. --print-config shows all settings.

Every epoch updates these files in --out (default: runs/pretrain-SOURCE):

- report.html: curves, reconstructions of eight images, configuration and machine on one page;
- reconstructions.png: each image, its visible part, and the reconstruction;
- history.csv and curves.png: the loss by epoch;
- best.safetensors and last.safetensors: weights, for lucid finetune, lucid train and lucid.models.from_checkpoint;
- checkpoints: the newest three and the best, from which --resume continues exactly;
- split.csv and skipped.csv, for a folder: which images are for training, and which cannot be read.

The exit code is 0 on success, 1 if the loss diverges or a download fails, 2 for a usage error, 130 after Ctrl-C and 143
after SIGTERM; a run stopped by either saves a checkpoint first. Requires pip install "lucid-mlx[train]".
"""

import argparse
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
)
from lucid.training.batches import fit_batch_size, for_evaluation
from lucid.training.photo_dataset import Photos, check_split, write_tables
from lucid.training.pretraining import PRESETS, Settings, kind_of, load_images, make_trainer
from lucid.training.small_images import DATASETS
from lucid.training.trainer import Trainer


def make_parser() -> argparse.ArgumentParser:
    parser = Parser(prog="lucid pretrain", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", help=f"a folder of images, or {', '.join(DATASETS)}")
    group = parser.add_argument_group("run")
    add_run_options(group, "runs/pretrain-SOURCE", "pretrain")
    group.add_argument(
        "--data-dir", type=Path, default=Path("data"), help="folder for the CIFAR archives (default: data)"
    )
    group.add_argument("--mirror", metavar="URL", help="download the archives from this address")
    group.add_argument(
        "--cache-gb", type=float, default=1.0, metavar="X", help="memory for decoded photos, in GB (default: 1)"
    )
    about = "Defaults depend on --recipe and SOURCE, see --print-config; --resume uses the checkpoint's settings."
    add_setting_options(parser.add_argument_group("settings", about), Settings)
    return parser


def choose_settings(args: argparse.Namespace, saved: dict[str, Any] | None) -> Settings:
    """The options given, completed by the checkpoint, or else by --config and the preset."""
    if saved is not None:
        return choose(Settings, args, saved, saved=True)
    config = read_config(args.config, Settings)
    recipe = str(args.recipe or config.get("recipe") or "quick")
    preset = PRESETS.get((recipe, kind_of(args.source)), {})
    return choose(Settings, args, {**preset, **config, "recipe": recipe})


def find_out(args: argparse.Namespace) -> Path:
    """The output folder: ``--out``, or one named after the source."""
    return args.out or Path("runs") / f"pretrain-{Path(args.source).resolve().name}"


def start(args: argparse.Namespace, command: list[str]) -> Trainer:
    """The trainer that the options describe, at the point where the run starts or resumes."""
    if not 0 <= args.cache_gb < 1e6:
        raise ValueError(f"--cache-gb must be at least 0, got {args.cache_gb:g}")
    out = find_out(args)
    if args.source not in DATASETS and Path(args.source).resolve() in (out.resolve(), *out.resolve().parents):
        raise ValueError(f"--out must not be inside {args.source}, where its images would be found, got {out}")
    saved = saved_settings(args, out, best="loss", mode="min")
    settings = choose_settings(args, saved)
    images = load_images(args.source, settings, data_dir=args.data_dir, mirror=args.mirror, run=out if saved else None)
    if isinstance(images, Photos):
        if args.batch_size is None:
            settings = fit_batch_size(settings, len(images.train))
        if saved:
            check_split(out, images, "--overwrite starts over")
    trainer = make_trainer(
        settings, images, load_weights=not saved, folder=None if args.find_lr else out, command=command,
        compile=args.compile, save_minutes=args.save_minutes, cache_bytes=int(args.cache_gb * 1e9),
    )  # fmt: skip
    trainer.prepare(resume=args.resume, overwrite=args.overwrite)
    if dist.is_main():
        if isinstance(images, Photos) and not (saved or args.find_lr):
            write_tables(images, out)
        model: Any = trainer.model
        encoder, whole = (sum(p.numel() for p in one.parameters()) for one in (model.encoder, model))
        print(
            f"{type(model.encoder).__name__} with {encoder:,} parameters and a decoder with {whole - encoder:,} on "
            f"{lucid.get_default_device().type}; output: {out}",
            flush=True,
        )
    return trainer


def start_evaluation(args: argparse.Namespace) -> Trainer:
    """A trainer with the weights of a run."""
    out, is_own_run = find_out(args), args.weights is None
    _, weights, metadata = find_weights(args, out, "settings")
    args.weights = None  # in training, the weights to start from
    settings = choose_settings(args, metadata["settings"])
    images = load_images(
        args.source, settings, data_dir=args.data_dir, mirror=args.mirror, run=out if is_own_run else None
    )
    settings = for_evaluation(settings)
    if isinstance(images, Photos):
        if is_own_run:
            check_split(out, images, "pass --weights to evaluate on these")
        settings = fit_batch_size(settings, len(images.train))
    trainer = make_trainer(replace(settings, weights=""), images, compile=False)
    trainer.model.load_state_dict(weights)
    return trainer


def main(argv: list[str] | None = None) -> int:
    # Pillow warns about large files and about some that it can read. Those that it cannot read are reported.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    words = sys.argv[1:] if argv is None else argv
    parser = make_parser()
    args = parser.parse_args(words)
    code = run_training(
        parser,
        args,
        lambda: find_out(args),
        show_config=lambda: choose_settings(
            args, saved_settings(args, find_out(args), best="loss", mode="min") if args.resume else None
        ),
        make_trainer=lambda: start(args, ["lucid", "pretrain", *words]),
        make_evaluator=lambda: start_evaluation(args),
        advice="; digits needs no download",
    )
    if code == 0 and dist.is_main() and trains(args):
        command = f"train --dataset {args.source}" if args.source in DATASETS else "finetune LABELED_PHOTOS"
        print(f"lucid {command} --weights {find_out(args)}")
    return code
