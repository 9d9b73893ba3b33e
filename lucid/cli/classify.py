"""Classify images with a ConvNeXt: a published checkpoint, a weights file, or a run.

    lucid classify cat.jpg                                     # ConvNeXt-T, downloaded the first time
    lucid classify photos --sheet sheet.png                    # a folder, with a contact sheet of the results
    lucid classify cat.jpg --model convnextv2_base.fcmae_ft_in22k_in1k_384
    lucid classify cat.jpg --model convnext_tiny_1k_224_ema.pth --image-size 288
    lucid classify digit.png --model runs/digits --top 3
    lucid classify photos --csv classes.csv                    # path, class, probability, class_2, probability_2, ...
    lucid classify photos --jsonl - | jq .path                 # one JSON object per image
    lucid classify photos --model runs/pets --copy-to sorted   # copies in sorted/cat, sorted/dog, ...
    lucid classify photos --model runs/pets --explain heat --sheet sheet.png   # what the best class is based on
    lucid classify photos --model runs/pets --tta ten_crop     # the mean over ten crops of each image
    lucid classify photos --model convnext_base.clip_laion2b --text-embeddings pets.safetensors   # zero-shot

A run of lucid finetune --labels predicts labels or numbers: an image gets all labels whose probability is above 0.5, or
the numbers; --csv then has a column for each of them, and --jsonl all probabilities.

For --text-embeddings the model is the image tower of a CLIP model, and the file holds what its text tower returned for
the names of the classes: a safetensors file with the tensor "text_embeddings", (classes, width) or (classes, templates,
width), and in its metadata "classes", a JSON list of the names; or an .npy file with the array and a .txt file of the
same name with a class on each line.

Folders are searched with their subfolders. Every file in them is classified or named with the reason why it was not,
and the numbers are printed at the end. Results appear batch by batch, in the order of the names, while other threads
decode the next images. Ctrl-C leaves complete lines and complete copies.

EXIF orientation is applied, and transparent areas become white. HEIC photos need pillow-heif, which the extra vision
brings.

The exit code is 0 on success, 1 if no image could be read or a download fails, 2 for a usage error, and 130 after
Ctrl-C.
Requires pip install "lucid-mlx[vision]", or "lucid-mlx[train]" for a progress bar and names in all alphabets on the
sheet.
"""

import argparse
import contextlib
import io
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

import lucid
from lucid import explain, memory, nn
from lucid._files import write_atomically
from lucid.cli._common import Parser, add_bits_option, add_device_option, positive, run_job, use_device
from lucid.cli.classifier import add_text_embeddings_option, load_classifier, predicted
from lucid.cli.contact_sheet import Caption, ContactSheet, shrunk
from lucid.cli.photos import Prepared, Skipped, find_photos, prepared
from lucid.cli.results import WRITERS, Lines, Predictions, Writer, present, uninterrupted
from lucid.cli.sorted_copies import SortedCopies, put
from lucid.data.image_folder import IMG_EXTENSIONS
from lucid.evaluation import ViewAverage
from lucid.evaluation.view_average import VIEWS
from lucid.explain._classifier import task_of
from lucid.training.optimizer import gigabytes
from lucid.training.photo_dataset import printable

TOP = 5
SHEET_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")


def make_parser() -> argparse.ArgumentParser:
    parser = Parser(prog="lucid classify", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", nargs="+", help="image files, or folders of images")
    parser.add_argument(
        "--model", default="convnext_tiny.fb_in1k", metavar="NAME|PATH",
        help="a published checkpoint (lucid.models.list_models(pretrained=True)), a weights file, or a run folder "
        "(default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--image-size", type=positive, metavar="PX", help="image size, if other than the model's own")
    parser.add_argument("--top", type=positive, metavar="N", help=f"classes per image (default: {TOP})")
    parser.add_argument("--batch-size", type=positive, default=16, metavar="N", help="images per batch (default: 16)")
    parser.add_argument("--csv", metavar="FILE", help="write a CSV file; - is standard output")
    parser.add_argument("--jsonl", metavar="FILE", help="write JSON lines, one object per image; - is standard output")
    parser.add_argument("--json", action="store_const", const="-", dest="jsonl", help="the same as --jsonl -")
    parser.add_argument(
        "--copy-to", "--move-to", type=Path, metavar="FOLDER",
        help="copy each image into FOLDER/CLASS; the originals stay, and nothing is overwritten",
    )  # fmt: skip
    parser.add_argument(
        "--explain", type=Path, metavar="FOLDER",
        help="write each image, as the model sees it, with a heat map of the best class (Grad-CAM) into FOLDER, and "
        "show that on the sheet; nothing is overwritten",
    )  # fmt: skip
    parser.add_argument(
        "--sheet", type=Path, metavar="FILE", help="write a contact sheet of images and predictions (PNG, JPEG or WebP)"
    )
    add_text_embeddings_option(parser)
    parser.add_argument(
        "--tta", choices=VIEWS,
        help="average the outputs for several views of each image: mirrored, shifted by a pixel, or crops",
    )  # fmt: skip
    add_bits_option(parser)
    add_device_option(parser)
    return parser


class Results:
    """All that is made of the predictions: lines, copies, heat maps, the sheet; and how many files there were."""

    def __init__(self, args: argparse.Namespace, model: nn.Module, total: int, progress: "Progress") -> None:
        self._total, self._progress = total, progress
        self._classified = self._skipped = 0
        self._lines: list[Lines] = []
        self._writers: list[Writer] = []
        self._has_labels = task_of(model) == "multilabel"
        as_csv, as_json, as_text = WRITERS[task_of(model)]
        for place, kind in ((args.csv, as_csv), (args.jsonl, as_json)):
            if place is not None:
                self._add_writer(kind, place)
        if not self._writers:
            self._add_writer(as_text, "-")
        self._copies = args.copy_to and SortedCopies(args.copy_to, model.class_names)
        self._heat_maps: Path | None = args.explain
        title = f"{model.checkpoint_name}, {model.preprocessing.image_size} px"
        self._sheet = ContactSheet(title) if args.sheet else None

    def _add_writer(self, kind: Any, place: str) -> None:
        self._lines.append(Lines(place))
        self._writers.append(kind(self._lines[-1]))

    def close(self) -> None:
        for one in self._lines:
            one.close()

    @property
    def classified(self) -> int:
        return self._classified

    @property
    def done(self) -> int:
        return self._classified + self._skipped

    def skip(self, one: Skipped) -> None:
        with uninterrupted():
            self._progress.report(f"{printable(str(one.path))}: {one.reason}; skipped")
            self._skipped += one.files

    def add(self, one: Prepared, predictions: Predictions, heat: lucid.Tensor | None) -> None:
        """Write everything about an image, whatever Ctrl-C says meanwhile."""
        with uninterrupted():
            for writer in self._writers:
                writer.write(one.path, predictions)
            if self._copies:
                self._copies.add(one.path, predictions[0][0])
            shown = one.thumbnail
            if heat is not None and self._heat_maps is not None:
                picture = explain.overlay(one.crop, heat)
                self._heat_maps.mkdir(parents=True, exist_ok=True)
                put(self._heat_maps, f"{one.path.stem}.png", picture.save)
                shown = shrunk(picture)
            if self._sheet is not None and shown is not None:
                shown_classes = present(predictions) if self._has_labels else predictions
                named = [(name, probability) for _, name, probability in shown_classes]
                self._sheet.add(shown, Caption(printable(one.path.name), named))
            self._classified += 1

    def write_sheet(self, path: Path) -> None:
        if self._sheet is not None and self._classified:
            content = io.BytesIO()
            self._sheet.draw().save(content, Image.registered_extensions()[path.suffix.lower()], quality=90)
            write_atomically(path, content.getvalue())

    def summary(self) -> str:
        """How many files were classified and skipped, such as "3 files: 2 classified, 1 skipped"."""
        parts = [f"{self._classified} classified"]
        if self._skipped:
            parts.append(f"{self._skipped} skipped")
        if self.done < self._total:
            parts.append(f"{self._total - self.done} not reached")
        return f"{self._total} file{'s' * (self._total != 1)}: {', '.join(parts)}"


def classify(args: argparse.Namespace) -> int:
    """Classify all images, batch by batch. Returns the number of images that could be read."""
    check_outputs(args)
    entries = find_photos(args.images, [one for one in (args.copy_to, args.explain) if one is not None])
    check_no_photo_is_replaced(args, entries)
    model = load_classifier(args.model, texts=args.text_embeddings, image_size=args.image_size, bits=args.bits)
    check_task(args, task_of(model))
    top = (args.top or TOP) if task_of(model) == "classification" else None
    averaged = model if args.tta is None else ViewAverage(model, args.tta)
    model.preprocessing = averaged.preprocessing
    size = model.preprocessing.image_size
    batch_bytes = min(args.batch_size, len(entries)) * 12 * size**2
    if batch_bytes > memory.total():
        raise ValueError(
            f"--batch-size {args.batch_size} makes batches of {gigabytes(batch_bytes)} at {size} px, "
            f"this device has {gigabytes(memory.total())}"
        )
    what = {"classification": "classes", "multilabel": "labels", "regression": "numbers"}[task_of(model)]
    print(f"{model.checkpoint_name}: {len(model.class_names)} {what}, {model.preprocessing}", file=sys.stderr)
    total = sum(one.files if isinstance(one, Skipped) else 1 for one in entries)
    images = prepared(
        model, entries, args.batch_size, thumbnails=args.sheet is not None, crops=args.explain is not None
    )
    to_terminal = "-" in (args.csv, args.jsonl) or (args.csv is None and args.jsonl is None)
    progress = Progress(total, total > args.batch_size and not (to_terminal and sys.stdout.isatty()))
    results = Results(args, model, total, progress)
    try:
        for batch in in_batches(images, args.batch_size, results):
            for one, predictions, heat in predicted(model, batch, top, args.explain is not None, averaged):
                results.add(one, predictions, heat)
            progress.update(results.done)
        results.write_sheet(args.sheet)
    finally:
        images.close()
        progress.close()
        results.close()
        if results.done:
            print(results.summary(), file=sys.stderr)
    return results.classified


def check_outputs(args: argparse.Namespace) -> None:
    """Raise ValueError where an output cannot be what an option says."""
    if args.sheet and args.sheet.suffix.lower() not in SHEET_SUFFIXES:
        raise ValueError(f"--sheet must end with .png, .jpg, .jpeg or .webp, got {args.sheet}")
    files = {"--csv": args.csv, "--jsonl": args.jsonl, "--sheet": args.sheet}
    paths = {option: os.path.abspath(place) for option, place in files.items() if place is not None and place != "-"}
    for option, path in paths.items():
        if not os.path.isdir(os.path.dirname(path)):
            raise ValueError(f"{option} {files[option]}: there is no folder {os.path.dirname(path)}")
        if os.path.isdir(path):
            raise ValueError(f"{option} {files[option]} is a folder, expected a file")
    if len(set(paths.values())) < len(paths) or args.csv == args.jsonl == "-":
        raise ValueError("--csv, --jsonl and --sheet must be different files")
    for option, folder in (("--copy-to", args.copy_to), ("--explain", args.explain)):
        if folder is not None and folder.exists() and not folder.is_dir():
            raise ValueError(f"{option} {folder} is not a folder")
        if folder is not None and any(os.path.realpath(place) == os.path.realpath(folder) for place in args.images):
            raise ValueError(f"{option} must be another folder than that of the images, got {folder}")


def check_task(args: argparse.Namespace, task: str) -> None:
    """Raise ValueError where an option is for models with classes and ``args.model`` predicts labels or numbers."""
    refused = {
        "classification": (), "multilabel": ("top", "copy_to"), "regression": ("top", "copy_to", "explain", "sheet"),
    }[task]  # fmt: skip
    for name in refused:
        if getattr(args, name) is not None:
            what = "several labels, each with its own probability" if task == "multilabel" else "numbers"
            raise ValueError(f"--{name.replace('_', '-')} is for classes, but {args.model} predicts {what}")


def check_no_photo_is_replaced(args: argparse.Namespace, entries: Sequence[Any]) -> None:
    """Raise ValueError where an output is one of the files to classify."""
    photos = {os.path.realpath(one) for one in entries if isinstance(one, Path)}
    for option, place in (("--csv", args.csv), ("--jsonl", args.jsonl), ("--sheet", args.sheet)):
        if place is not None and place != "-" and os.path.realpath(place) in photos:
            raise ValueError(f"{option} {place} is one of the images")
        if option != "--sheet" and place is not None and str(place).lower().endswith(IMG_EXTENSIONS):
            raise ValueError(f"{option} {place} has the name of an image")


class Progress:
    """A bar that shows how many files are done, if tqdm is installed."""

    def __init__(self, total: int, is_shown: bool) -> None:
        self._tqdm = None
        with contextlib.suppress(ImportError):
            from tqdm import tqdm

            self._tqdm = tqdm
        self._bar = self._tqdm(total=total, unit=" files", disable=None) if self._tqdm and is_shown else None

    def update(self, done: int) -> None:
        if self._bar is not None:
            self._bar.update(done - self._bar.n)

    def report(self, line: str) -> None:
        """Write a line to standard error, above the bar."""
        if self._bar is None or self._tqdm is None:
            print(line, file=sys.stderr)
        else:
            self._tqdm.write(line, file=sys.stderr)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()


def in_batches(images: Iterator[Prepared | Skipped], size: int, results: Results) -> Iterator[list[Prepared]]:
    """Batches of the images that could be read; the others are reported."""
    batch: list[Prepared] = []
    for image in images:
        if isinstance(image, Skipped):
            results.skip(image)
            continue
        batch.append(image)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def main(argv: list[str] | None = None) -> int:
    parser = make_parser()
    args = parser.parse_args(argv)
    use_device(parser, args.device)

    def job() -> int:
        with warnings.catch_warnings():
            # Large photos, odd EXIF data: what matters of them is in the reasons.
            warnings.filterwarnings("ignore", module=r"PIL\.")
            count = classify(args)
        if not count:
            print("no image could be read", file=sys.stderr)
        return 0 if count else 1

    return run_job(parser, job)
