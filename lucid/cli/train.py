"""Train a ConvNeXt on CIFAR-10, CIFAR-100, or the handwritten digits that scikit-learn ships.

    lucid train --dataset digits                   # no download, half a minute on two CPU cores
    lucid train --dataset digits --recipe strong   # some minutes, averaged weights
    lucid train --recipe strong                    # CIFAR-10; downloads 162 MB the first time
    lucid train --recipe strong --resume auto      # goes on where it was stopped or killed
    lucid train --eval-only                        # tests the best weights of that run
    lucid train --recipe paper --print-config > mine.json
    lucid train --config mine.json --epochs 100    # change what you like

CIFAR wants a GPU: two CPU cores need the better part of an hour for an epoch of the quick recipe.

Recipes: "quick" is the shortest way to see it learn; "strong" has all that helps from scratch on small images: a stem
that keeps every pixel, RandAugment, mixup and cutmix, random erasing, averaged weights; "paper" is the ConvNeXt paper's
own for ImageNet with ConvNeXt-T, the learning rate scaled to the batch, and a 2x2 stem.

After every epoch there lie under --out:

- report.html: curves, confusion matrix, worst mistakes, configuration and machine on one page;
- history.csv and curves.png: loss (in training, that of the smoothed labels) and accuracy, epoch by epoch;
- best.safetensors and last.safetensors: weights, for model.load_state_dict(lucid.load(path));
- checkpoints: all that --resume needs to go on as if nothing had happened; the newest three and the best;
- events, for TensorBoard, where tensorboardX is installed.

The exit code is 0 at the end, 2 for something that you can put right, 1 if the loss is no number or a download fails,
130 after Ctrl-C and 143 after SIGTERM; both save first. Needs pip install "lucid-mlx[train]".
"""

import argparse
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import lucid
from lucid import data
from lucid import distributed as dist
from lucid.cli._common import Parser, choose, options, run_options, sentence, test, train
from lucid.training.batches import for_test
from lucid.training.recipe import read_config, shown
from lucid.training.resume import Saver, begin, find_weights
from lucid.training.run_folder import RunFolder
from lucid.training.small_images import PRESETS, Settings, load_datasets, make_folder, make_trainer
from lucid.training.trainer import Diverged, Trainer


def make_parser() -> argparse.ArgumentParser:
    parser = Parser(prog="lucid train", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    group = parser.add_argument_group("what to do")
    run_options(group, "runs/DATASET")
    group.add_argument(
        "--data-dir", type=Path, default=Path("data"), help="where CIFAR's archives are, or go to (data)"
    )
    group.add_argument("--mirror", metavar="URL", help="download the archives from here, not from their home page")
    group.add_argument("--weights", type=Path, metavar="FILE", help="for --eval-only (default: OUT/best.safetensors)")
    decisive = "Defaults are those of --recipe for the data set, see --print-config; --resume takes the checkpoint's."
    options(parser.add_argument_group("what decides the outcome", decisive), Settings)
    return parser


def choose_settings(args: argparse.Namespace, saved: dict[str, Any] | None) -> Settings:
    """The options that were given, completed by the checkpoint, or else by --config and the preset."""
    if saved is not None:
        return choose(Settings, args, saved, saved=True)
    config = read_config(args.config, Settings) if args.config else {}
    chosen = {
        name: getattr(args, name) or config.get(name) or Settings.__dataclass_fields__[name].default
        for name in ("dataset", "recipe")
    }
    preset = PRESETS.get((str(chosen["recipe"]), chosen["dataset"] == "digits"), {})
    return choose(Settings, args, {**preset, **config, **chosen})


def find_out(args: argparse.Namespace) -> Path:
    """The folder for the results: ``--out``, or one that is called as the data set."""
    config = read_config(args.config, Settings) if args.config else {}
    return args.out or Path("runs") / str(args.dataset or config.get("dataset", "cifar10"))


def start(args: argparse.Namespace) -> tuple[Trainer, RunFolder, Saver]:
    """Everything in its place, as the options say, and a run that shall be resumed where it was.

    Raises:
        ValueError, TypeError, OSError: with a sentence for the user.
    """
    if args.weights:
        raise ValueError("--weights is for --eval-only; training begins with random weights, or goes on with --resume")
    out = find_out(args)
    saver, saved, path = begin(args, out)
    dist.barrier()  # all have looked before anything there changes
    settings = choose_settings(args, saved)
    train_set, test_set = load_datasets(settings.dataset, args.data_dir, args.mirror)
    compiled = lucid.device().type == "gpu" if args.compile is None else args.compile
    trainer = make_trainer(settings, train_set, test_set, compiled)
    if saved:
        saver.restore(trainer, path)
    elif dist.is_main():
        shutil.rmtree(saver.manager.folder, ignore_errors=True)
    if dist.is_main():
        parameters = sum(p.numel() for p in trainer.model.parameters())
        print(
            f"{train_set}\nConvNeXt with {parameters:,} parameters on {lucid.device()}; results go to {out}", flush=True
        )
    return trainer, make_folder(out, settings, trainer, test_set), saver


def start_test(args: argparse.Namespace) -> Trainer:
    """A model with weights that lie somewhere, and the images to test it with.

    Raises:
        ValueError, TypeError, OSError: with a sentence for the user.
    """
    _, weights, metadata = find_weights(args, find_out(args), "recipe")
    settings = for_test(choose_settings(args, json.loads(metadata["recipe"])))
    trainer = make_trainer(settings, *load_datasets(settings.dataset, args.data_dir, args.mirror), compiled=False)
    trainer.model.load_state_dict(weights)
    return trainer


def main(argv: list[str] | None = None) -> int:
    parser = make_parser()
    args = parser.parse_args(argv)
    has_begun = False
    try:
        if args.device:
            lucid.device(args.device)
        if args.distributed:
            dist.init_process_group()
        if args.print_config:
            saved = begin(args, find_out(args))[1] if args.resume is not None else None
            print(shown(choose_settings(args, saved)))
            return 0
        ready = start_test(args) if args.eval_only else start(args)
        has_begun = True
        return test(ready) if isinstance(ready, Trainer) else train(*ready)
    except data.ArchiveError as error:
        advice = ", or train on the digits, which need no download: --dataset digits"
        print(f"{error}{'' if args.dataset == 'digits' else advice}", file=sys.stderr)
        return 1
    except Diverged as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted: --resume auto goes on from the last checkpoint, if there is one.", file=sys.stderr)
        return 130
    except (ValueError, TypeError, RuntimeError, OSError) as error:
        if has_begun and not isinstance(error, OSError):  # but for a full disk, a fault of the program itself
            raise
        parser.error(sentence(error))  # ends the program with code 2
