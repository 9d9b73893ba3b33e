"""Say what is in pictures, with any ConvNeXt: a published checkpoint by name, or a file of weights.

    lucid classify cat.jpg                                     # ConvNeXt-T, downloaded the first time
    lucid classify photos --sheet sheet.png                    # a folder, and a picture of the result
    lucid classify cat.jpg --model convnextv2_base.fcmae_ft_in22k_in1k_384
    lucid classify cat.jpg --model convnext_tiny_1k_224_ema.pth --image-size 288
    lucid classify digit.png --model runs/digits/best.safetensors --top 3
    lucid classify photos --json | jq .path                    # one JSON object for each picture

Pictures are turned as the camera was held, and transparent parts are white. Which cannot be read is said, and the rest
goes on. The exit code is 0, 1 if no picture could be read or the download fails, 2 for something to put right in the
command, 130 after Ctrl-C. Needs pip install "lucid-mlx[train,hub]"; hub only to download.
"""

import argparse
import io
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from PIL import Image
from tqdm import tqdm

import lucid
from lucid._files import write_atomically
from lucid.cli._common import Parser, positive, use_device
from lucid.cli.contact_sheet import Caption, ContactSheet
from lucid.data import ImageError, open_image
from lucid.models.weights.hub import DownloadError
from lucid.training.inference import Trained, open_trained
from lucid.training.photo_dataset import printable


def find_pictures(places: Iterable[str]) -> list[Path]:
    """The files named, and the images in the folders named and the folders in them, sorted.

    Raises:
        ValueError: there is no such place, or no image in it.
    """
    suffixes = {suffix for suffix, kind in Image.registered_extensions().items() if kind in Image.OPEN}
    found: list[Path] = []
    for place in map(Path, places):
        if place.is_dir():
            inside = sorted(one for one in place.rglob("*") if one.suffix.lower() in suffixes and one.is_file())
            found += [one for one in inside if not one.name.startswith(".")]
            if not inside:
                raise ValueError(f"there is no image in the folder {place}")
        elif place.exists():
            found.append(place)
        else:
            raise ValueError(f"there is no file or folder {place}")
    return found


def probabilities(trained: Trained, images: Sequence[Image.Image]) -> lucid.Tensor:
    """(N, classes), each row adding up to 1."""
    channels = trained.model.in_chans
    if channels == 1:
        pixels = trained.transform([image.convert("L") for image in images])[:, :1]
    elif channels == 3:
        pixels = trained.transform(images)
    else:
        raise ValueError(f"the model takes images of {channels} channels; a picture has 1 or 3")
    with lucid.no_grad():
        return trained.model(pixels).softmax(dim=1)


def guesses(trained: Trained, row: lucid.Tensor, top: int) -> list[tuple[int, float]]:
    """The ``top`` most probable classes by number, and their probabilities."""
    values, numbers = row.topk(top)
    return list(zip(numbers.tolist(), values.tolist(), strict=True))


def readable(paths: Sequence[Path]) -> Iterator[tuple[Path, Image.Image]]:
    """The pictures that can be read; the others are reported."""
    for path in paths:
        try:
            yield path, open_image(path)
        except ImageError as error:
            print(f"{printable(str(error))}; skipped", file=sys.stderr)


def in_batches(pictures: Iterator[tuple[Path, Image.Image]], size: int) -> Iterator[list[tuple[Path, Image.Image]]]:
    batch: list[tuple[Path, Image.Image]] = []
    for picture in pictures:
        batch.append(picture)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def show(trained: Trained, path: Path, found: Sequence[tuple[int, float]], as_json: bool) -> None:
    if as_json:
        classes = [{"class": trained.classes[n], "number": n, "probability": round(p, 6)} for n, p in found]
        print(json.dumps({"path": str(path), "predictions": classes}))
    else:
        lines = [f"{probability:8.2%}  {trained.classes[number]}" for number, probability in found]
        print("\n".join([printable(str(path)), *lines]))


def classify(args: argparse.Namespace) -> int:
    """All pictures, batch by batch; how many could be read."""
    paths = find_pictures(args.pictures)
    if args.sheet and args.sheet.suffix.lower() not in (".png", ".jpg", ".jpeg", ".webp"):
        raise ValueError(f"--sheet must be called *.png, *.jpg or *.webp, got {args.sheet}")
    if args.sheet and not args.sheet.absolute().parent.is_dir():
        raise ValueError(f"--sheet {args.sheet}: there is no folder {args.sheet.absolute().parent}")
    trained = open_trained(args.model, args.image_size)
    if not trained.classes:
        raise ValueError(f"--model {args.model} is a ConvNeXt without classes: it gives features")
    print(f"{trained.name}: {len(trained.classes)} classes, {trained.transform}", file=sys.stderr)
    sheet = ContactSheet(f"{trained.name}, {trained.transform.image_size} px")
    count = 0
    with tqdm(total=len(paths), unit="picture", disable=None if len(paths) > args.batch_size else True) as progress:
        for batch in in_batches(readable(paths), args.batch_size):
            rows = probabilities(trained, [image for _, image in batch])
            for (path, image), row in zip(batch, rows, strict=True):
                found = guesses(trained, row, min(args.top, len(trained.classes)))
                show(trained, path, found, args.json)
                if args.sheet:
                    named = [(trained.classes[number], probability) for number, probability in found]
                    sheet.add(image, Caption(printable(path.name), named))
            count += len(batch)
            progress.update(len(batch))
    if args.sheet and count:
        picture = io.BytesIO()
        sheet.draw().save(picture, Image.registered_extensions()[args.sheet.suffix.lower()], quality=90)
        write_atomically(args.sheet, picture.getvalue())
    return count


def make_parser() -> argparse.ArgumentParser:
    parser = Parser(prog="lucid classify", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", nargs="+", help="files, and folders of them")
    parser.add_argument(
        "--model", default="convnext_tiny.fb_in1k", metavar="NAME|FILE",
        help="a checkpoint (lucid.models.list_models(pretrained=True)), or a file of weights (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--image-size", type=positive, metavar="PX", help="other than the model was trained for")
    parser.add_argument("--top", type=positive, default=5, metavar="N", help="classes for each picture (5)")
    parser.add_argument("--batch-size", type=positive, default=16, metavar="N", help="pictures at a time (16)")
    parser.add_argument("--sheet", type=Path, metavar="FILE", help="draw all pictures and classes: a PNG, JPEG or WebP")
    parser.add_argument("--json", action="store_true", help="one JSON object for each picture, a line each")
    parser.add_argument("--device", choices=["cpu", "gpu"], help="default: the GPU where there is one")
    return parser


def main(argv: list[str] | None = None) -> int:
    parser = make_parser()
    args = parser.parse_args(argv)
    use_device(parser, args.device)
    try:
        count = classify(args)
    except DownloadError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"\n{parser.prog}: interrupted", file=sys.stderr)
        return 130
    except (ValueError, OSError, ImportError) as error:
        parser.error(" ".join(str(error).split()))
    if not count:
        print("no picture could be read", file=sys.stderr)
    return 0 if count else 1
