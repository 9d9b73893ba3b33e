"""Synthetic photos of three classes in random colors and sizes, as files of many formats."""

import io
import json
import shutil

import numpy as np
from PIL import Image

import lucid
from lucid import models
from tests.data.broken_images import broken_files

CLASSES = ["balls", "fences", "stairs"]
ORIENTATION = 0x0112


def draw(rng, label, size):
    """An image of ``size``: a ball, or vertical or horizontal bars, bright on a dark background, with noise."""
    width, height = size
    y, x = np.mgrid[:height, :width] / min(size)  # the short side is 1
    place, period, phase = rng.uniform(0.3, 0.7, 2), rng.uniform(0.25, 0.5), rng.uniform(0, 2 * np.pi)
    if label == "balls":
        distance = np.hypot(x - place[0] * width / min(size), y - place[1] * height / min(size))
        pattern = distance < rng.uniform(0.2, 0.4)
    else:
        pattern = np.sin(2 * np.pi * (x if label == "fences" else y) / period + phase) > rng.uniform(-0.3, 0.3)
    ground, color = rng.uniform(0, 110, 3), rng.uniform(140, 255, 3)
    pixels = np.where(pattern[..., None], color, ground) + rng.uniform(-30, 30) * x[..., None]
    return Image.fromarray((pixels + rng.normal(0, 10, pixels.shape)).clip(0, 255).astype(np.uint8))


def files(rng, count):
    """(name, content) of ``count`` images and of 20 broken ones."""
    for number in range(count):
        label = CLASSES[number % 3]
        size = tuple(int(side) for side in rng.integers(40, 160, 2))
        name, content = encode(draw(rng, label, size), number // 3)
        yield f"{label}/{number:03}{name}", content
    broken = broken_files(draw(rng, "balls", (90, 90)))
    for number, (name, (content, _)) in enumerate(broken.items()):
        yield f"{CLASSES[number % 3]}/broken {name}", content


def encode(image, number):
    """The end of a file name, and the content of a file in one of many formats."""
    file, options = io.BytesIO(), {}
    kind, end = [("JPEG", ".jpg"), ("PNG", ".png"), ("WEBP", ".webp"), ("JPEG", ".JPEG")][number % 4]
    if number % 10 == 3:
        image = image.convert("L")
    elif number % 10 == 5:
        kind, end, image = "PNG", "_transparent.png", image.convert("RGBA")
    elif number % 10 == 6:
        kind, end, image = "JPEG", "_cmyk.jpg", image.convert("CMYK")
    elif number % 10 == 7:
        kind, end, image = "PNG", "_palette.png", image.convert("P")
    elif number % 10 == 8:
        kind, end = "PNG", "_16bit.png"
        image = Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)
    elif number % 10 == 9:
        kind, end, exif = "JPEG", "_turned.jpg", Image.Exif()
        image = image.transpose(Image.Transpose.ROTATE_90)
        exif[ORIENTATION] = 6  # turn it back
        options["exif"] = exif
    image.save(file, kind, **options)
    return end, file.getvalue()


def write_photos(root, count=280, seed=0):
    """Write ``count`` images and 20 broken ones in folders of three classes, with a hidden and another file."""
    rng = np.random.default_rng(seed)
    for name, content in files(rng, count):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (root / "balls" / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
    (root / "stairs" / "notes.txt").write_text("not an image")


def copy_photos(source_folder, root, parts):
    """Copy photos to folders of other names: {"train/balls": ("balls", 5)} for five of the balls."""
    for name, (source, count) in parts.items():
        (root / name).mkdir(parents=True)
        for path in sorted((source_folder / source).glob("[0-9]*"))[:count]:
            shutil.copy(path, root / name)


def write_weights(path, size):
    """A small network for 5 classes and images of ``size`` px, in place of a pretrained one."""
    lucid.manual_seed(3)
    model = models.ConvNeXt(5, (1, 1, 1), (16, 32, 64), layer_scale_init=1.0)
    preprocessing = {"image_size": size, "resize_size": size, "mean": [0.5] * 3, "std": [0.25] * 3}
    lucid.save(model.state_dict(), path, {"format": "pt", "preprocessing": json.dumps(preprocessing)})
    return path
