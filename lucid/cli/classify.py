"""Classify images with a ConvNeXt: a published checkpoint, a weights file, or a run.

    lucid classify cat.jpg                                     # ConvNeXt-T, downloaded the first time
    lucid classify photos --sheet sheet.png                    # a folder, with a contact sheet of the results
    lucid classify cat.jpg --model convnextv2_base.fcmae_ft_in22k_in1k_384
    lucid classify cat.jpg --model convnext_tiny_1k_224_ema.pth --image-size 288
    lucid classify digit.png --model runs/digits --top 3
    lucid classify photos --json | jq .path                    # one JSON object per image

EXIF orientation is applied, and transparent areas become white. Images that cannot be read are reported and skipped.
The exit code is 0 on success, 1 if no image could be read or a download fails, 2 for a usage error, and 130 after
Ctrl-C.
Requires pip install "lucid-mlx[train]".
"""

import argparse
import io
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from tqdm import tqdm

import lucid
from lucid import memory, models, nn
from lucid._files import write_atomically
from lucid.cli._common import Parser, add_bits_option, add_device_option, message_of, positive, quantize, use_device
from lucid.cli.contact_sheet import Caption, ContactSheet, shrunk
from lucid.data import ImageError
from lucid.data.decoding import FORMATS, opened_image
from lucid.data.image_folder import IMG_EXTENSIONS, is_ignored
from lucid.training.optimizer import gigabytes
from lucid.training.photo_dataset import printable

SHEET_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
# JPEGs of more than 8 times the model's size are decoded at a reduced size, which changes no digit that is printed.
SIZES_TO_DECODE = 8


def make_parser() -> argparse.ArgumentParser:
    parser = Parser(prog="lucid classify", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", nargs="+", help="image files, or folders of images")
    parser.add_argument(
        "--model", default="convnext_tiny.fb_in1k", metavar="NAME|PATH",
        help="a published checkpoint (lucid.models.list_models(pretrained=True)), a weights file, or a run folder "
        "(default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--image-size", type=positive, metavar="PX", help="image size, if other than the model's own")
    parser.add_argument("--top", type=positive, default=5, metavar="N", help="classes per image (default: 5)")
    parser.add_argument("--batch-size", type=positive, default=16, metavar="N", help="images per batch (default: 16)")
    parser.add_argument(
        "--sheet", type=Path, metavar="FILE", help="write a contact sheet of images and predictions (PNG, JPEG or WebP)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object per image, one per line")
    add_bits_option(parser)
    add_device_option(parser)
    return parser


def classify(args: argparse.Namespace) -> int:
    """Classify all images, batch by batch. Returns the number of images that could be read."""
    paths = find_images(args.images)
    if args.sheet and args.sheet.suffix.lower() not in SHEET_SUFFIXES:
        raise ValueError(f"--sheet must end with .png, .jpg, .jpeg or .webp, got {args.sheet}")
    if args.sheet and not args.sheet.absolute().parent.is_dir():
        raise ValueError(f"--sheet {args.sheet}: there is no folder {args.sheet.absolute().parent}")
    model = models.from_checkpoint(args.model, image_size=args.image_size)
    quantize(model, args.bits)
    if not model.class_names:
        raise ValueError(f"--model {args.model} has no classifier; its outputs are features")
    size = model.preprocessing.image_size
    batch_bytes = min(args.batch_size, len(paths)) * 12 * size**2
    if batch_bytes > memory.total():
        raise ValueError(
            f"--batch-size {args.batch_size} makes batches of {gigabytes(batch_bytes)} at {size} px, "
            f"this device has {gigabytes(memory.total())}"
        )
    print(f"{model.checkpoint_name}: {len(model.class_names)} classes, {model.preprocessing}", file=sys.stderr)
    sheet = ContactSheet(f"{model.checkpoint_name}, {model.preprocessing.image_size} px")
    count = 0
    with tqdm(total=len(paths), unit=" images", disable=None if len(paths) > args.batch_size else True) as progress:
        for batch in in_batches(prepared(model, paths, bool(args.sheet)), args.batch_size):
            rows = probabilities(model, lucid.stack([one.pixels for one in batch]))
            for one, row in zip(batch, rows, strict=True):
                values, numbers = row.topk(min(args.top, len(model.class_names)))
                found = list(zip(numbers.tolist(), values.tolist(), strict=True))
                print_classes(model, one.path, found, args.json)
                if one.thumbnail is not None:
                    named = [(model.class_names[number], probability) for number, probability in found]
                    sheet.add(one.thumbnail, Caption(printable(one.path.name), named))
            count += len(batch)
            progress.update(len(batch))
    if args.sheet and count:
        content = io.BytesIO()
        sheet.draw().save(content, Image.registered_extensions()[args.sheet.suffix.lower()], quality=90)
        write_atomically(args.sheet, content.getvalue())
    return count


def find_images(places: Iterable[str]) -> list[Path]:
    """The files given, and the images in the folders given and their subfolders, sorted.

    Places without an image are reported, unless there is nothing else.

    Raises:
        ValueError: None of them has an image.
    """
    found: list[Path] = []
    faults = []
    for place in map(Path, places):
        if place.is_dir():
            inside = _images_in(place)
            found += inside
            if not inside:
                faults.append(f"there are no images in {place}")
        elif place.exists():
            found.append(place)
        else:
            faults.append(f"there is no file or folder {place}")
    if faults and not found:
        raise ValueError(printable("; ".join(faults)))
    for fault in faults:
        print(f"{printable(fault)}; skipped", file=sys.stderr)
    return found


def _images_in(folder: Path) -> list[Path]:
    """The images in a folder and its subfolders, also in formats that Pillow may lack, such as HEIC."""
    suffixes = {*IMG_EXTENSIONS, *(suffix for suffix, kind in Image.registered_extensions().items() if kind in FORMATS)}
    return sorted(
        one
        for one in folder.rglob("*")
        if one.suffix.lower() in suffixes
        and not any(map(is_ignored, one.relative_to(folder).parts))
        and (one.is_file() or one.is_symlink())
    )


@dataclass
class Prepared:
    """An image as the model takes it; the decoded image, which may be a thousand times larger, is not kept."""

    path: Path
    pixels: lucid.Tensor  # (C, H, W)
    thumbnail: Image.Image | None  # for the contact sheet


def prepared(model: nn.Module, paths: Sequence[Path], for_sheet: bool) -> Iterator[Prepared]:
    """The images that can be read; the others are reported."""
    if model.in_chans not in (1, 3):
        raise ValueError(f"the model expects {model.in_chans}-channel images; only 1 and 3 channels are supported")
    short_side = SIZES_TO_DECODE * model.preprocessing.resize_size
    for path in paths:
        try:
            with opened_image(path, short_side) as image:
                thumbnail = shrunk(image) if for_sheet else None
                pixels = model.preprocessing(image if model.in_chans == 3 else image.convert("L"))
                del image  # not alive when the next one is decoded
        except ImageError as error:
            print(f"{printable(str(error))}; skipped", file=sys.stderr)
        else:
            yield Prepared(path, pixels[: model.in_chans], thumbnail)


def in_batches(images: Iterator[Prepared], size: int) -> Iterator[list[Prepared]]:
    batch: list[Prepared] = []
    for image in images:
        batch.append(image)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def probabilities(model: nn.Module, pixels: lucid.Tensor) -> lucid.Tensor:
    """The probability of each class, (N, classes)."""
    with lucid.no_grad():
        result: lucid.Tensor = model(pixels).softmax(dim=1)
    return result


def print_classes(model: nn.Module, path: Path, found: Sequence[tuple[int, float]], as_json: bool) -> None:
    """Print the class numbers and probabilities ``found`` for an image."""
    if as_json:
        classes = [{"class": model.class_names[n], "number": n, "probability": round(p, 6)} for n, p in found]
        print(json.dumps({"path": str(path), "predictions": classes}))
    else:
        lines = [f"{probability:8.2%}  {model.class_names[number]}" for number, probability in found]
        print("\n".join([printable(str(path)), *lines]))


def main(argv: list[str] | None = None) -> int:
    parser = make_parser()
    args = parser.parse_args(argv)
    use_device(parser, args.device)
    try:
        count = classify(args)
    except models.DownloadError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"\n{parser.prog}: interrupted", file=sys.stderr)
        return 130
    except (ValueError, OSError, ImportError) as error:
        parser.error(message_of(error))
    if not count:
        print("no image could be read", file=sys.stderr)
    return 0 if count else 1
