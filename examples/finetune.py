"""Teach a trained ConvNeXt your own classes: a folder of pictures in, a classifier out.

    photos/cats/1.jpg  photos/cats/2.png  photos/dogs/...      # a folder for each class, whatever the files are called

    python examples/finetune.py photos                         # ConvNeXt-T, downloaded the first time
    python examples/classify.py PHOTO --model runs/photos/best.safetensors

    python examples/finetune.py photos --resume auto           # goes on where it was stopped or killed
    python examples/finetune.py photos --model convnextv2_nano.fcmae_ft_in22k_in1k --epochs 40
    python examples/finetune.py photos --freeze backbone       # trains the classifier alone: quick, for few pictures
    python examples/finetune.py photos --weights convnext_base_22k_224.pth   # any checkpoint of a ConvNeXt
    python examples/finetune.py photos --no-pretrained --model convnext_atto --image-size 64   # from nothing
    python examples/finetune.py photos --eval-only             # tests the best weights of that run
    mlx.launch -n 2 -- python examples/finetune.py photos --distributed   # two processes share each batch

The pictures: where the folder has train and val, these are what they are called; otherwise a fifth of each class is
tested with (--val-part, --seed). No file is moved or changed. Pictures are turned as the camera was held; grey,
transparent and 16-bit ones are fine, small and huge ones too. What cannot be read is skipped, with the reason. Threads
read and cut the pictures while the model learns; the line of an epoch says how much of the time it waited for them.

The recipe is the one of ConvNeXt's authors for fine-tuning, with a higher learning rate for the few steps that small
data sets give: AdamW, lower rates for earlier layers, RandAugment, random erasing, averaged weights. --no-pretrained
and --freeze backbone have presets of their own; --print-config shows what would be used.

Under --out (runs/FOLDER) there lie, beside the results of an epoch (see train_cifar10.py: report.html, history.csv,
curves.png, best.safetensors, last.safetensors, checkpoints):

- split.csv: which pictures are trained and which are tested with;
- skipped.csv: which could not be read, and why.

The exit code is 0 at the end, 2 for something that you can put right, 1 if the loss is no number or a download fails,
130 after Ctrl-C and 143 after SIGTERM; both save first. Needs pip install "lucid-mlx[examples]".
"""

import argparse
import json
import shutil
import sys
import warnings
import zlib
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from command_line import begin, find_weights, run_options, test, train
from photos import Photos, find_photos, tell, write_tables
from recipes import Parser, Recipe, choose, knob, options, read_config, sentence, settings_of, shown
from run_folder import RunFolder
from running import Diverged, Saver
from training import Trainer, augmentation, for_test, make_groups, share_of_batches

import lucid
from lucid import data, models, nn
from lucid import distributed as dist
from lucid.data import augment
from lucid.data.transforms import DecodeImages, RandomResizedCrop
from lucid.models import DownloadError, ImageTransform, transforms_for
from lucid.models.registry import parse
from lucid.models.weights.save import weights_metadata

KEPT_BYTES = 1 << 30  # of test pictures that are read once and kept


@dataclass(frozen=True, kw_only=True)
class Settings(Recipe):
    """The recipe, and what belongs to pictures and a model that exists already."""

    model: str = knob("convnext_tiny.fb_in1k", "a variant or a checkpoint of one, see lucid.models.list_models")
    pretrained: bool = knob(True, "start from the trained weights of --model")
    weights: str = knob("", "start from this file: weights of any ConvNeXt, in place of --model")
    image_size: int = knob(0, "px; 0: as the weights were trained with", low=0)
    val_part: float = knob(0.2, "part of each class to test with, where there is no folder val", low=0, below=1)
    freeze: str = knob("none", "what stays as it is: none, backbone, or a number: the stem and so many stages")
    head_init_scale: float = knob(1e-3, "factor on the first weights of the new classifier", low=0)
    min_crop: float = knob(0.25, "smallest part of a picture that is cut out to train with", low=0, high=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.val_part == 0 or self.min_crop == 0:
            raise ValueError(f"--{'min-crop' if self.val_part else 'val-part'} must be above 0")
        if self.freeze not in ("none", "backbone") and not self.freeze.isdecimal():
            raise ValueError(f"--freeze must be none, backbone or a number of stages, got {self.freeze}")
        if self.weights and not self.pretrained:
            raise ValueError("--weights and --no-pretrained exclude each other")
        parse("--model", self.model)


# The authors': AdamW, 5e-5 for 512 images a step and tens of thousands of steps, layer decay 0.8, no weight decay, no
# mixing. A few hundred pictures give a few hundred steps; these have to be longer.
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
# Only a linear map has to be found.
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


# Model ----------------------------------------------------------------------------------------------------------------


def make_model(settings: Settings, classes: list[str], trained: bool) -> tuple[nn.Module, str, ImageTransform]:
    """The network, its name, and how its images are prepared. ``trained=False``: its weights do not matter."""
    size, num_classes, known = settings.image_size or None, len(classes), []
    if settings.weights:
        model = models.from_checkpoint(settings.weights, image_size=size)
        name, transform, known = model.checkpoint_name, model.preprocessing, model.class_names
    else:
        name, tag = parse("--model", settings.model)
        wanted = settings.pretrained and (True if tag is None else tag.name)
        model = models.create_model(name, wanted if trained else False, num_classes=num_classes)
        if settings.pretrained:
            transform = transforms_for(settings.model, image_size=size)
        else:
            size = size or transforms_for(name).image_size
            transform = ImageTransform(size, size)
    if model.in_chans != 3:
        raise ValueError(f"{settings.weights} is for images of {model.in_chans} channels, pictures have 3")
    if known != classes:
        model.head_init_scale = settings.head_init_scale
        model.reset_classifier(num_classes)
    blocks = [one for one in model.modules() if hasattr(one, "drop_path")]
    for number, block in enumerate(blocks):
        rate = settings.drop_path * number / max(1, len(blocks) - 1)
        block.drop_path = nn.DropPath(rate) if rate else nn.Identity()
    freeze(model, settings.freeze)
    return model, name, transform


def freeze(model: nn.Module, what: str) -> None:
    """Take the first stages, or all but the classifier, out of training; they drop no paths either.

    Raises:
        ValueError: the model has fewer stages.
    """
    if what == "none":
        return
    if what == "backbone":
        frozen = [child for name, child in model.named_children() if name != "head"]
    elif int(what) <= len(getattr(model, "stages", [])):
        frozen = [*list(model.downsample_layers)[: int(what)], *list(model.stages)[: int(what)]]
    else:
        raise ValueError(f"--freeze {what}: the model has {len(getattr(model, 'stages', []))} stages")
    for part in frozen:
        for one in part.modules():
            if hasattr(one, "drop_path"):
                one.drop_path = nn.Identity()
        for parameter in part.parameters():
            parameter.requires_grad = False


# Training -------------------------------------------------------------------------------------------------------------


def make_trainer(
    settings: Settings, photos: Photos, resumed: bool, compiled: bool, cache_bytes: int
) -> tuple[Trainer, dict]:
    """Everything that it takes to train, and what the files of weights say about themselves."""
    if settings.batch_size > len(photos.train):
        raise ValueError(
            f"--batch-size must be at most {len(photos.train)}, the number of pictures to train with, "
            f"got {settings.batch_size}"
        )
    lucid.manual_seed(settings.seed)
    model, name, transform = make_model(settings, photos.classes, trained=not resumed)
    dist.broadcast_parameters(model)
    dist.fold_in_rank()
    size, smallest = transform.image_size, model.feature_info[-1]["reduction"]
    if size < smallest:
        raise ValueError(f"--image-size must be at least {smallest} for {name}, got {size}")
    # JPEGs twice as large as needed are as good as whole: Pillow's thumbnails are made so.
    crop = RandomResizedCrop(size, (settings.min_crop, 1.0), interpolation=transform.interpolation)
    train_loader = data.DataLoader(
        photos.train, **share_of_batches(settings, photos.train), num_workers=2,
        batch_transform=DecodeImages(crop, 2 * size, cache_bytes=cache_bytes),
    )  # fmt: skip
    middle = DecodeImages(lambda image, rng: transform.crop(image), 2 * transform.resize_size)
    own_part = dist.DistributedSampler(photos.val, shuffle=False)
    val_loader: Any = data.DataLoader(
        photos.val, settings.batch_size, sampler=own_part, num_workers=2, batch_transform=middle
    )
    if len(photos.val) * 3 * size**2 <= KEPT_BYTES:
        val_loader = list(val_loader)
    trainer = Trainer(
        recipe=settings,
        model=model,
        groups=make_groups(settings, model),
        train_loader=train_loader,
        test_loader=val_loader,
        prepare=augmentation(settings, [], transform.mean, transform.std, len(photos.classes)),
        prepare_test=augment.Normalize(transform.mean, transform.std),
        classes=photos.classes,
        part="val",
        is_compiled=compiled,
    )
    return trainer, weights_metadata(name, photos.classes, asdict(transform), settings=settings_of(settings))


def make_folder(out: Path, settings: Settings, photos: Photos, trainer: Trainer, metadata: dict) -> RunFolder:
    """Where the results go, and what they say about themselves."""
    parameters = list(trainer.model.parameters())
    trained = sum(p.numel() for p in parameters if p.requires_grad)
    transform = ImageTransform(**json.loads(metadata["preprocessing"]))
    figures = [
        ("parameters", f"{sum(p.numel() for p in parameters):,}", f"{trained:,} are trained"),
        ("pictures", f"{len(photos.train) + len(photos.val):,}", f"{len(photos.skipped):,} cannot be read"),
    ]
    return RunFolder(
        out,
        f"{metadata['model']} on {photos.root.name}",
        {**settings_of(settings), "compiled": trainer.is_compiled},
        metadata,
        lambda number: np.asarray(transform.crop(data.open_image(photos.val[number][0]))),
        figures,
        ["python", *sys.argv],
        lambda number: photos.name(photos.val[number][0]),
    )


def make_parser() -> argparse.ArgumentParser:
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
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
    photos = look(args, settings)
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
    photos = look(args, settings)
    if photos.classes != (classes := json.loads(metadata["classes"])):
        raise ValueError(f"{path} is for the classes {', '.join(classes)}")
    if own_run:  # one picture more divides them anew: some to test with would be such as it was trained with
        check_split(out, photos, "--weights tests a file of weights with others")
    settings = replace(fitting(for_test(settings), photos), weights=path, pretrained=True)
    return make_trainer(settings, photos, resumed=False, compiled=False, cache_bytes=0)[0]


def find_out(args: argparse.Namespace) -> Path:
    """The folder for the results: ``--out``, or one that is called as the folder of pictures."""
    return args.out or Path("runs") / args.folder.resolve().name


def look(args: argparse.Namespace, settings: Settings) -> Photos:
    """The pictures, and what there is to say about them.

    Raises:
        ValueError, OSError: they do not do, or other processes find other ones.
    """
    photos = find_photos(args.folder, settings.val_part, settings.seed)
    found = lucid.tensor([zlib.crc32(photos.split_table().encode())], dtype=lucid.int64)
    if len({one.item() for one in dist.all_gather(found)}) > 1:
        raise ValueError(f"the processes find different pictures in {args.folder}; it must be the same for all")
    if dist.is_main():
        tell(photos)
    return photos


def fitting(settings: Settings, photos: Photos) -> Settings:
    """``settings`` with a batch that the pictures are enough for."""
    if settings.batch_size <= len(photos.train):
        return settings
    parts = dist.get_world_size() * settings.accumulate
    return replace(settings, batch_size=max(parts, len(photos.train) // parts * parts))


def check_split(out: Path, photos: Photos, advice: str) -> None:
    """Refuse to go on with other pictures than the run was begun with; ``advice`` says what to do instead.

    Raises:
        ValueError: a picture has come, gone, or belongs elsewhere now.
        OSError: split.csv cannot be read.
    """
    before = set((out / "split.csv").read_text(encoding="utf-8").splitlines())
    now = set(photos.split_table().splitlines())
    if before != now:
        one = min(before ^ now).partition(",")[0]
        raise ValueError(
            f"{photos.root} holds other pictures than the run in {out} was begun with, see {one}; {advice}"
        )


def train_and_tell(trainer: Trainer, folder: RunFolder, saver: Saver) -> int:
    code = train(trainer, folder, saver)
    if code == 0 and dist.is_main():
        print(f"python examples/classify.py PHOTO --model {folder.folder / 'best.safetensors'}")
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


if __name__ == "__main__":
    sys.exit(main())
