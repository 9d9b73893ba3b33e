"""A folder of 60 files as people have them: photos in many formats, broken files, odd names, links, other things."""

import importlib.util
import io
import os

import numpy as np
from PIL import Image

from tests.data.broken_images import broken_files, encoded
from tests.training.drawn_photos import ORIENTATION

COUNT = 60
HAS_HEIC = importlib.util.find_spec("pillow_heif") is not None


def noise(seed=0, size=(50, 40)):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (*size[::-1], 3), np.uint8))


def turned(image):
    """A JPEG that its EXIF data turn."""
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    return encoded(image.rotate(90, expand=True), "JPEG", exif=exif)


def animation():
    file = io.BytesIO()
    noise(0).save(file, "GIF", save_all=True, append_images=[noise(1), noise(2)], duration=100)
    return file.getvalue()


def heic(image):
    if not HAS_HEIC:
        return b"\x00\x00\x00\x18ftypheic" + bytes(100)
    import pillow_heif

    file = io.BytesIO()
    pillow_heif.from_pillow(image).save(file)
    return file.getvalue()


def readable():
    """{path: content} of images."""
    image = noise()
    gray = Image.fromarray(np.random.default_rng(1).integers(0, 65536, (40, 50), np.uint16))
    return {
        "a.jpg": encoded(image, "JPEG"),
        "cmyk.jpg": encoded(image.convert("CMYK"), "JPEG"),
        "gray.jpg": encoded(image.convert("L"), "JPEG"),
        "turned.JPG": turned(image),
        "16 bits.png": encoded(gray, "PNG"),
        "palette.png": encoded(image.convert("P"), "PNG"),
        "clear.png": encoded(image.convert("RGBA"), "PNG"),
        "one bit.png": encoded(image.convert("1"), "PNG"),
        "moving.gif": animation(),
        "a.webp": encoded(image, "WEBP"),
        "a.tiff": encoded(image, "TIFF", compression="tiff_lzw"),
        "a.bmp": encoded(image, "BMP"),
        "a.tga": encoded(image, "TGA"),
        "png named.jpg": encoded(image, "PNG"),
        "wide.png": encoded(noise(3, (3000, 2)), "PNG"),
        "one pixel.png": encoded(noise(3, (1, 1)), "PNG"),
        "large.jpg": encoded(noise(4, (40, 30)).resize((2400, 1800)), "JPEG"),
        "grüße.png": encoded(image, "PNG"),
        "写真 😀.jpg": encoded(image, "JPEG"),
        'comma, quote " and ; tab\t.jpg': encoded(image, "JPEG"),
        "new\nline.jpg": encoded(image, "JPEG"),
        "=1+2.jpg": encoded(image, "JPEG"),
        "-option.jpg": encoded(image, "JPEG"),
        "x" * 251 + ".jpg": encoded(image, "JPEG"),
        "trip/a.jpg": encoded(noise(5), "JPEG"),
        "trip/day 1/a.jpg": encoded(noise(6), "JPEG"),
        "trip/day 1/night/deep/a.jpg": encoded(noise(7), "JPEG"),
        "trip.jpg/a.jpg": encoded(noise(8), "JPEG"),
    }


def write_mixed(root):
    """Write the folder. Returns {path: number of files} of what is skipped; everything else is an image."""
    image, skipped = noise(), {}
    good = readable()
    for name, content in good.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    (root / "phone.heic").write_bytes(heic(image))
    if not HAS_HEIC:
        skipped["phone.heic"] = 1
    for name, (content, _) in broken_files(noise(0, (90, 90))).items():  # truncated, empty, text, bombs, ...
        (root / "broken").mkdir(exist_ok=True)
        (root / "broken" / name).write_bytes(content)
        skipped[f"broken/{name}"] = 1
    for name in ("notes.txt", ".DS_Store", "trip/._a.jpg"):
        (root / name).write_bytes(b"\0\0\0\1")
        skipped[name] = 1
    (root / ".thumbnails").mkdir()
    for name in ("1.png", "2.png"):
        (root / ".thumbnails" / name).write_bytes(encoded(image, "PNG"))
    skipped[".thumbnails"] = 2
    (root / "empty folder").mkdir()
    (root / "to a.jpg").symlink_to("a.jpg")  # is read
    (root / "nowhere.jpg").symlink_to("gone.jpg")
    (root / "itself.jpg").symlink_to("itself.jpg")
    (root / "trip" / "up").symlink_to(root)
    os.mkfifo(root / "pipe.jpg")
    (root / "secret.jpg").write_bytes(good["a.jpg"])
    (root / "secret.jpg").chmod(0)
    for name in ("nowhere.jpg", "itself.jpg", "trip/up", "pipe.jpg"):
        skipped[name] = 1
    if not os.access(root / "secret.jpg", os.R_OK):  # root may read everything
        skipped["secret.jpg"] = 1
    return skipped
