"""Train a ConvNeXt on CIFAR-10, CIFAR-100, or the handwritten digits that scikit-learn ships.

    python examples/train_cifar10.py --dataset digits                   # no download, half a minute on two CPU cores
    python examples/train_cifar10.py --dataset digits --recipe strong   # some minutes, averaged weights
    python examples/train_cifar10.py --recipe strong                    # CIFAR-10; downloads 162 MB the first time
    python examples/train_cifar10.py --recipe strong --resume auto      # goes on where it was stopped or killed
    python examples/train_cifar10.py --eval-only                        # tests the best weights of that run
    python examples/train_cifar10.py --recipe paper --print-config > mine.json
    python examples/train_cifar10.py --config mine.json --epochs 100    # change what you like

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
130 after Ctrl-C and 143 after SIGTERM; both save first. Needs pip install "lucid-mlx[examples]".
"""

import argparse
import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from command_line import begin, find_weights, run_options, test, train
from recipes import Parser, Recipe, choose, knob, options, read_config, sentence, settings_of, shown
from run_folder import RunFolder
from running import Diverged, Saver
from training import Trainer, augmentation, for_test, make_groups, share_of_batches

import lucid
from lucid import data, models
from lucid import distributed as dist
from lucid.data import augment
from lucid.models.weights.save import weights_metadata

DATASETS = {"cifar10": data.CIFAR10, "cifar100": data.CIFAR100, "digits": data.Digits}
TITLES = {"cifar10": "CIFAR-10", "cifar100": "CIFAR-100", "digits": "handwritten digits"}


@dataclass(frozen=True, kw_only=True)
class Settings(Recipe):
    """The recipe, and what belongs to small images and a ConvNeXt that is built for them."""

    dataset: str = knob("cifar10", "what to learn", choices=tuple(DATASETS))
    recipe: str = knob("quick", "preset for everything below", choices=("quick", "strong", "paper"))
    depths: tuple[int, ...] = knob((2, 2, 6, 2), "blocks in each stage")
    dims: tuple[int, ...] = knob((64, 128, 256, 512), "channels of each stage")
    stem: str = knob("patch", "patches side by side, or overlapping 3x3 convolutions", choices=("patch", "overlap"))
    patch_size: int = knob(2, "the stem takes N x N pixels as one", low=1)
    layer_scale_init: float = knob(1e-6, "strength of a block at first; 0: no scale", low=0)
    crop_padding: int = knob(4, "pixels around the image, before a window of its size is cut out", low=0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.depths) != len(self.dims):
            raise ValueError(f"--depths has {len(self.depths)} stages but --dims has {len(self.dims)}")
        if self.stem == "overlap" and self.patch_size not in (1, 2, 4):
            raise ValueError(f"--stem overlap needs --patch-size 1, 2 or 4, got {self.patch_size}")


# With the usual stem of 4 x 4 pixels, images of 32 x 32 leave too little to see: 75 to 81 % on CIFAR-10, whatever the
# size of the model. Smaller patches see more, at four times the work for half the size.
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
# 0.1 million parameters, 8 x 8 pixels; a mirrored digit is no digit.
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
# RandAugment leaves too little of 8 x 8 pixels: 97.5 % with "rand-m9-mstd0.5-inc1" (40 epochs, stem of patches).
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
    ("strong", False): STRONG,
    ("paper", False): PAPER,
    ("quick", True): DIGITS,
    ("strong", True): STRONG_DIGITS,
    ("paper", True): {
        **PAPER,
        **{name: DIGITS[name] for name in ["patch_size", "crop_padding", "flip", "depths", "dims"]},
    },
}


def load_datasets(name: str, folder: Path, mirror: str | None) -> tuple[Any, Any]:
    """The images to train with and the images to test with."""
    if name == "digits":
        return data.Digits(train=True), data.Digits(train=False)
    kind = DATASETS[name]
    return kind(folder, True, download=True, base_url=mirror), kind(folder, False, download=True, base_url=mirror)


def make_model(settings: Settings, channels: int, num_classes: int) -> models.ConvNeXt:
    """A ConvNeXt with random weights."""
    return models.ConvNeXt(
        num_classes=num_classes,
        depths=settings.depths,
        dims=settings.dims,
        drop_path=settings.drop_path,
        layer_scale_init=settings.layer_scale_init,
        in_chans=channels,
        patch_size=settings.patch_size,
        stem_type=settings.stem,
    )


def make_trainer(settings: Settings, train_set: Any, test_set: Any, compiled: bool) -> Trainer:
    """Everything that it takes to train. The images go to the device at once, as bytes."""
    _, channels, height, width = train_set.data.shape
    if settings.batch_size > len(train_set):
        raise ValueError(
            f"--batch-size must be at most {len(train_set)}, the number of images, got {settings.batch_size}"
        )
    if height < settings.patch_size * 2 ** (len(settings.dims) - 1):
        stages = len(settings.dims)
        raise ValueError(f"--patch-size {settings.patch_size} and {stages} stages leave nothing of {height} px")
    lucid.manual_seed(settings.seed)
    model = make_model(settings, channels, len(train_set.classes))
    places = [augment.RandomCrop((height, width), settings.crop_padding)] if settings.crop_padding else []
    dist.broadcast_parameters(model)
    dist.fold_in_rank()
    own_part = dist.DistributedSampler(test_set, shuffle=False)
    return Trainer(
        recipe=settings,
        model=model,
        groups=make_groups(settings, model),
        train_loader=augment.DeviceLoader(augment.DeviceDataset(train_set), **share_of_batches(settings, train_set)),
        test_loader=augment.DeviceLoader(
            augment.DeviceDataset(test_set), batch_size=settings.batch_size, sampler=own_part
        ),
        prepare=augmentation(settings, places, train_set.mean, train_set.std, len(train_set.classes)),
        prepare_test=augment.Normalize(train_set.mean, train_set.std),
        classes=train_set.classes,
        is_compiled=compiled,
    )


def make_folder(out: Path, settings: Settings, trainer: Trainer, test_set: Any) -> RunFolder:
    """Where the results go, and what they say about themselves."""
    parameters = sum(p.numel() for p in trainer.model.parameters())
    shape = "-".join(map(str, settings.depths)) + " blocks of " + "-".join(map(str, settings.dims)) + " channels"
    preprocessing = {"image_size": test_set.data.shape[2], "mean": test_set.mean, "std": test_set.std}
    pictures = np.rint(test_set.data * (255 / test_set.max_value)).astype(np.uint8).transpose(0, 2, 3, 1)
    return RunFolder(
        out,
        f"ConvNeXt on {TITLES[settings.dataset]}",
        {**settings_of(settings), "compiled": trainer.is_compiled},
        weights_metadata("convnext", test_set.classes, preprocessing, recipe=settings_of(settings)),
        pictures.__getitem__,
        [("parameters", f"{parameters:,}", shape)],
        ["python", *sys.argv],
    )


def make_parser() -> argparse.ArgumentParser:
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
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


if __name__ == "__main__":
    sys.exit(main())
