"""Train a ConvNeXt on CIFAR-10, CIFAR-100, or the handwritten digits that come with scikit-learn.

    lucid train --dataset digits                   # no download; half a minute on two CPU cores
    lucid train --dataset digits --recipe strong   # a minute or two, with averaged weights
    lucid train --recipe laptop                    # CIFAR-10 on a CPU; downloads 162 MB the first time
    lucid train --recipe strong                    # CIFAR-10 on a GPU
    lucid train --recipe strong --resume           # continues a run that was stopped or killed
    lucid train --find-lr                          # suggests a value for --lr
    lucid train --eval-only                        # evaluates the best weights of that run
    lucid train --eval-only --tta shift            # with the mean over six views of each image
    lucid train --dataset digits --weights runs/pretrain-digits   # starts from what lucid pretrain learned
    lucid train --recipe paper --print-config > mine.json
    lucid train --config mine.json --epochs 100    # settings of your own

Without a GPU use the laptop recipe. Its 70 epochs take 108 minutes on two CPU cores with AVX-512 (AMD EPYC); on an
older Intel Xeon, a step takes 2.6 times as long.

Recipes: "laptop" trains a small model: Muon, a whitened stem, RandAugment, images that grow from 24 to 32 px; "quick"
is a plain recipe for the usual small ConvNeXt; "strong" has everything that helps when training on small images
from scratch: a stem that keeps the full resolution, RandAugment, mixup, cutmix, random erasing and averaged weights;
"paper" is the ConvNeXt paper's recipe for ImageNet, with ConvNeXt-T, the learning rate scaled to the batch size, and a
2x2 stem.

Every epoch updates these files in --out:

- report.html: curves, confusion matrix, most confident mistakes, configuration and machine on one page;
- history.csv and curves.png: loss and accuracy by epoch (the training loss includes label smoothing);
- best.safetensors and last.safetensors: weights, for lucid.models.from_checkpoint;
- best.json: the confusion matrix and mistakes of the best epoch, for the report;
- checkpoints: the newest three and the best, from which --resume continues exactly;
- events: for TensorBoard, if tensorboardX is installed.

The exit code is 0 on success, 1 if the loss diverges or a download fails, 2 for a usage error, 130 after Ctrl-C and 143
after SIGTERM; a run stopped by either saves a checkpoint first. Requires pip install "lucid-mlx[train]".
"""

import argparse
import sys
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
    with_views,
)
from lucid.training.batches import for_evaluation
from lucid.training.small_images import PRESETS, Settings, load_datasets, make_trainer, pretrained_architecture
from lucid.training.trainer import Trainer


def make_parser() -> argparse.ArgumentParser:
    parser = Parser(prog="lucid train", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    group = parser.add_argument_group("run")
    add_run_options(group, "runs/DATASET", "train")
    group.add_argument(
        "--data-dir", type=Path, default=Path("data"), help="folder for the CIFAR archives (default: data)"
    )
    group.add_argument("--mirror", metavar="URL", help="download the archives from this address")
    about = "Defaults depend on --recipe and --dataset, see --print-config; --resume uses the checkpoint's settings."
    add_setting_options(parser.add_argument_group("settings", about), Settings)
    return parser


def choose_settings(args: argparse.Namespace, saved: dict[str, Any] | None) -> Settings:
    """The options given, completed by the checkpoint, or else by --config and the preset."""
    if saved is not None:
        return choose(Settings, args, saved, saved=True)
    config = read_config(args.config, Settings)
    chosen = {
        name: getattr(args, name) or config.get(name) or Settings.__dataclass_fields__[name].default
        for name in ("dataset", "recipe")
    }
    preset = PRESETS.get((str(chosen["recipe"]), chosen["dataset"] == "digits"), {})
    weights = args.weights or config.get("weights")
    if weights and not args.eval_only:
        preset = {**preset, **pretrained_architecture(str(weights))}
    return choose(Settings, args, {**preset, **config, **chosen})


def find_out(args: argparse.Namespace) -> Path:
    """The output folder: ``--out``, or one named after the dataset."""
    return args.out or Path("runs") / str(args.dataset or read_config(args.config, Settings).get("dataset", "cifar10"))


def start(args: argparse.Namespace, command: list[str]) -> Trainer:
    """The trainer that the options describe, at the point where the run starts or resumes."""
    out = find_out(args)
    saved = saved_settings(args, out)
    settings = choose_settings(args, saved)
    train_set, test_set = load_datasets(settings.dataset, args.data_dir, args.mirror)
    trainer = make_trainer(
        settings,
        train_set,
        test_set,
        load_weights=not saved,
        folder=None if args.find_lr else out,
        command=command,
        compile=args.compile,
        save_minutes=args.save_minutes,
    )
    trainer.prepare(resume=args.resume, overwrite=args.overwrite)
    if dist.is_main():
        parameters = sum(p.numel() for p in trainer.model.parameters())
        print(
            f"{train_set}\nConvNeXt with {parameters:,} parameters on {lucid.get_default_device().type}; output: {out}",
            flush=True,
        )
    return trainer


def start_evaluation(args: argparse.Namespace) -> Trainer:
    """A trainer with the weights of a run. ``--tta`` may differ from that of the run."""
    _, weights, metadata = find_weights(args, find_out(args), "recipe")
    args.weights = None  # in training, the weights to start from
    settings = for_evaluation(choose_settings(args, with_views(args, metadata["recipe"])))
    train_set, test_set = load_datasets(settings.dataset, args.data_dir, args.mirror)
    trainer = make_trainer(settings, train_set, test_set, load_weights=False, compile=False)
    trainer.model.load_state_dict(weights)
    return trainer


def main(argv: list[str] | None = None) -> int:
    words = sys.argv[1:] if argv is None else argv
    parser = make_parser()
    args = parser.parse_args(words)
    return run_training(
        parser,
        args,
        lambda: find_out(args),
        show_config=lambda: choose_settings(args, saved_settings(args, find_out(args)) if args.resume else None),
        make_trainer=lambda: start(args, ["lucid", "train", *words]),
        make_evaluator=lambda: start_evaluation(args),
        advice="" if args.dataset == "digits" else "; --dataset digits needs no download",
    )
