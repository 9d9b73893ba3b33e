"""Teach a trained ConvNeXt your own classes: a folder of pictures in, a classifier out.

    photos/cats/1.jpg  photos/cats/2.png  photos/dogs/...      # a folder for each class, whatever the files are called

    lucid finetune photos                         # ConvNeXt-T, downloaded the first time
    lucid classify PHOTO --model runs/photos/best.safetensors

    lucid finetune photos --resume auto           # goes on where it was stopped or killed
    lucid finetune photos --model convnextv2_nano.fcmae_ft_in22k_in1k --epochs 40
    lucid finetune photos --freeze backbone       # trains the classifier alone: quick, for few pictures
    lucid finetune photos --weights convnext_base_22k_224.pth   # any checkpoint of a ConvNeXt
    lucid finetune photos --no-pretrained --model convnext_atto --image-size 64   # from nothing
    lucid finetune photos --eval-only             # tests the best weights of that run
    mlx.launch -n 2 -- python -m lucid finetune photos --distributed   # two processes share each batch

The pictures: where the folder has train and val, these are what they are called; otherwise a fifth of each class is
tested with (--val-part, --seed). No file is moved or changed. Pictures are turned as the camera was held; grey,
transparent and 16-bit ones are fine, small and huge ones too. What cannot be read is skipped, with the reason. Threads
read and cut the pictures while the model learns; the line of an epoch says how much of the time it waited for them.

The recipe is the one of ConvNeXt's authors for fine-tuning, with a higher learning rate for the few steps that small
data sets give: AdamW, lower rates for earlier layers, RandAugment, random erasing, averaged weights. --no-pretrained
and --freeze backbone have presets of their own; --print-config shows what would be used.

Under --out (runs/FOLDER) there lie, beside the results of an epoch (see lucid train: report.html, history.csv,
curves.png, best.safetensors, last.safetensors, checkpoints):

- split.csv: which pictures are trained and which are tested with;
- skipped.csv: which could not be read, and why.

The exit code is 0 at the end, 2 for something that you can put right, 1 if the loss is no number or a download fails,
130 after Ctrl-C and 143 after SIGTERM; both save first. Needs pip install "lucid-mlx[train]".
"""

import argparse
import json
import shutil
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import lucid
from lucid import distributed as dist
from lucid.cli._common import Parser, choose, options, run_options, sentence, test, train
from lucid.models import DownloadError
from lucid.training.batches import for_test
from lucid.training.finetuning import (
    FINETUNE,
    PROBE,
    SCRATCH,
    Settings,
    check_split,
    fitting,
    look,
    make_folder,
    make_trainer,
)
from lucid.training.photo_dataset import write_tables
from lucid.training.recipe import read_config, shown
from lucid.training.resume import Saver, begin, find_weights
from lucid.training.run_folder import RunFolder
from lucid.training.trainer import Diverged, Trainer


def make_parser() -> argparse.ArgumentParser:
    parser = Parser(prog="lucid finetune", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="pictures in CLASS/, or in train/CLASS/ and val/CLASS/")
    group = parser.add_argument_group("what to do")
    run_options(group, "runs/FOLDER")
    group.add_argument(
        "--cache-gb", type=float, default=1.0, metavar="X", help="memory for pictures that need not be read again (1)"
    )
    decisive = "Defaults depend on --pretrained and --freeze, see --print-config; --resume takes the checkpoint's."
    options(parser.add_argument_group("what decides the outcome", decisive), Settings)
    return parser


def choose_settings(args: argparse.Namespace, saved: dict[str, Any] | None) -> Settings:
    """The options that were given, completed by the checkpoint, or else by --config and the preset."""
    if saved is not None:
        return choose(Settings, args, saved, saved=True)
    config = read_config(args.config, Settings) if args.config else {}

    def given(name: str, default: Any) -> Any:
        value = getattr(args, name)
        return config.get(name, default) if value is None else value

    preset = PROBE if given("freeze", "none") == "backbone" else FINETUNE
    return choose(Settings, args, {**(preset if given("pretrained", True) else SCRATCH), **config})


def start(args: argparse.Namespace) -> tuple[Trainer, RunFolder, Saver]:
    """Everything in its place, as the options say, and a run that shall be resumed where it was.

    Raises:
        ValueError, TypeError, OSError: with a sentence for the user.
    """
    if not 0 <= args.cache_gb < 1e6:
        raise ValueError(f"--cache-gb must be at least 0, got {args.cache_gb:g}")
    out = find_out(args)
    if args.folder.resolve() in (out.resolve(), *out.resolve().parents):
        raise ValueError(f"--out must not lie in {args.folder}, where results would be taken for pictures, got {out}")
    saver, saved, path = begin(args, out)
    dist.barrier()  # all have looked before anything there changes
    settings = choose_settings(args, saved)
    photos = look(args.folder, settings)
    if args.batch_size is None:
        settings = fitting(settings, photos)
    if saved:
        check_split(out, photos, "--overwrite begins anew")
    compiled = lucid.device().type == "gpu" if args.compile is None else args.compile
    trainer, metadata = make_trainer(settings, photos, bool(saved), compiled, int(args.cache_gb * 1e9))
    if saved:
        saver.restore(trainer, path)
    elif dist.is_main():
        shutil.rmtree(saver.manager.folder, ignore_errors=True)
        write_tables(photos, out)
    if dist.is_main():
        parameters = sum(p.numel() for p in trainer.model.parameters())
        print(
            f"{metadata['model']} with {parameters:,} parameters on {lucid.device()}; results go to {out}", flush=True
        )
    return trainer, make_folder(out, settings, photos, trainer, metadata), saver


def start_test(args: argparse.Namespace) -> Trainer:
    """A model that this program has trained, and the pictures to test it with.

    Raises:
        ValueError, TypeError, OSError: with a sentence for the user.
    """
    out, own_run = find_out(args), args.weights is None
    path, _, metadata = find_weights(args, out, "settings")
    args.weights = None  # in training it says where to begin
    settings = choose_settings(args, json.loads(metadata["settings"]))
    photos = look(args.folder, settings)
    if photos.classes != (classes := json.loads(metadata["classes"])):
        raise ValueError(f"{path} is for the classes {', '.join(classes)}")
    if own_run:  # one picture more divides them anew: some to test with would be such as it was trained with
        check_split(out, photos, "--weights tests a file of weights with others")
    settings = replace(fitting(for_test(settings), photos), weights=path, pretrained=True)
    return make_trainer(settings, photos, resumed=False, compiled=False, cache_bytes=0)[0]


def find_out(args: argparse.Namespace) -> Path:
    """The folder for the results: ``--out``, or one that is called as the folder of pictures."""
    return args.out or Path("runs") / args.folder.resolve().name


def train_and_tell(trainer: Trainer, folder: RunFolder, saver: Saver) -> int:
    code = train(trainer, folder, saver)
    if code == 0 and dist.is_main():
        print(f"lucid classify PHOTO --model {folder.folder / 'best.safetensors'}")
    return code


def main(argv: list[str] | None = None) -> int:
    # Pillow's remarks on files that it reads all the same; what it cannot read is reported. Large photos are fine.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    warnings.filterwarnings("ignore", message=".*the model keeps its own head")
    parser = make_parser()
    args = parser.parse_args(argv)
    has_begun = False
    try:
        if args.device:
            lucid.device(args.device)
        if args.distributed:
            dist.init_process_group()
        if args.print_config:
            print(shown(choose_settings(args, None)))
            return 0
        ready = start_test(args) if args.eval_only else start(args)
        has_begun = True
        return test(ready) if isinstance(ready, Trainer) else train_and_tell(*ready)
    except DownloadError as error:
        others = "--weights takes a file of weights, --no-pretrained does without"
        print(f"{parser.prog}: {error}; {others}", file=sys.stderr)
        return 1
    except Diverged as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted: --resume auto goes on from the last checkpoint, if there is one.", file=sys.stderr)
        return 130
    except (ValueError, TypeError, RuntimeError, OSError, ImportError) as error:
        if has_begun and not isinstance(error, OSError):  # but for a full disk, a fault of the program itself
            raise
        parser.error(" ".join(sentence(error).split()))  # ends the program with code 2
