"""Image files in every format that is read, compared with Pillow and a formula for transparency."""

import io
import random
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from lucid.data import ImageError, open_image
from lucid.data.decoding import FORMATS

from tests.fuzz.runner import scratch_file  # isort: skip

_MAX_PIXELS = 250_000  # of an image that is decoded here; larger ones are refused, as bombs are
_PNG = b"\x89PNG\r\n\x1a\n"
_MODES = {
    "JPEG": ("RGB", "L", "CMYK"), "PNG": ("RGB", "L", "P", "RGBA", "LA", "1", "I;16"), "WEBP": ("RGB", "RGBA"),
    "TIFF": ("RGB", "L", "P", "RGBA", "LA", "1", "I;16", "CMYK", "F"), "GIF": ("RGB", "L", "P"),
    "BMP": ("RGB", "L", "P", "1"),
    "PPM": ("RGB", "L", "1"), "JPEG2000": ("RGB", "L", "RGBA"), "TGA": ("RGB", "L", "RGBA"), "AVIF": ("RGB", "RGBA"),
    "MPO": ("RGB",),
}  # fmt: skip
_OPTIONS = {
    "JPEG": ({"progressive": True}, {"exif": True}), "PNG": ({"exif": True}, {"transparency": 3}),
    "TIFF": tuple({"compression": name} for name in ("tiff_lzw", "tiff_adobe_deflate", "jpeg", "packbits")),
    "WEBP": ({"lossless": True}, {"exif": True}), "GIF": ({"transparency": 3}, {"append": True}),
    "TGA": ({"compression": "tga_rle"},), "MPO": ({"append": True},),
}  # fmt: skip


def seeds() -> list[bytes]:
    Image.init()
    pixels = np.random.default_rng(0).integers(0, 256, (12, 20, 4), dtype=np.uint8)
    pixels[:6] = pixels[:1]
    color = Image.fromarray(pixels)
    found = []
    for kind, modes in _MODES.items():
        for mode in modes if kind in Image.SAVE else ():
            if mode == "I;16":
                image = Image.fromarray(pixels[..., 0].astype(np.uint16) * 257)
            elif mode == "F":
                image = Image.fromarray(pixels[..., 0].astype(np.float32))
            else:
                image = color.convert("RGB").quantize(8) if mode == "P" else color.convert(mode)
            for options in ({}, *_OPTIONS.get(kind, ())):
                try:
                    found.append(_encoded(image, kind, dict(options)))
                except (OSError, ValueError, KeyError, TypeError, RuntimeError):  # not in this mode, or not built in
                    continue
    return found


def _encoded(image: Image.Image, kind: str, options: dict) -> bytes:
    stream, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = 6
    if options.pop("exif", False):
        options["exif"] = exif
    if options.pop("append", False):
        options |= {"save_all": True, "append_images": [image.rotate(180)]}
    image.save(stream, kind, **options)
    return stream.getvalue()


def mutate(data: bytes, rng: random.Random) -> bytes:
    """Change a chunk of a PNG and its checksum, or a number of two or four bytes in another file."""
    if not data.startswith(_PNG):
        changed = bytearray(data)
        for _ in range(rng.randint(1, 3)):
            size, at = rng.choice((2, 4)), rng.randrange(min(len(data), rng.choice((40, 200, len(data)))))
            number = rng.choice((0, 1, 7, 8, 12, 20, 255, 256, 499, 2**15, 2**16 - 1, 2**31 - 1, 2**32 - 1))
            changed[at : at + size] = (number % 256**size).to_bytes(size, rng.choice(("little", "big")))
        return bytes(changed)
    chunks, at = [], len(_PNG)
    while at + 12 <= len(data):
        [length] = struct.unpack(">I", data[at : at + 4])
        chunks.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += length + 12
    number = rng.randrange(len(chunks))
    kind, content = chunks[number]
    match rng.randrange(6):
        case 0 | 1 if content:
            place = rng.randrange(len(content))
            content = content[:place] + rng.randbytes(1) + content[place + 1 :]
        case 2 if kind == b"IDAT":
            content = zlib.compress(zlib.decompress(content)[: rng.randrange(400)] + rng.randbytes(rng.randrange(400)))
        case 3:
            kind = rng.choice(
                (b"PLTE", b"tRNS", b"iCCP", b"tEXt", b"zTXt", b"eXIf", b"acTL", b"fcTL", b"fdAT", b"sBIT")
            )
        case 4:
            chunks.insert(rng.randrange(len(chunks) + 1), rng.choice(chunks))
        case 5:
            content = content[: rng.randrange(len(content) + 1)]
    chunks[min(number, len(chunks) - 1)] = kind, content
    parts = (struct.pack(">I", len(c)) + k + c + struct.pack(">I", zlib.crc32(k + c)) for k, c in chunks)
    return _PNG + b"".join(parts)


def check(data: bytes) -> None:
    path = scratch_file("x.jpg")  # whatever it is
    path.write_bytes(data)
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, _MAX_PIXELS // 2
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about damaged metadata
            whole, small = _open(path, None), _open(path, 4)
            if whole is None:
                return
            assert whole.mode == "RGB" and whole.width * whole.height <= _MAX_PIXELS, whole
            assert small is None or (small.mode == "RGB" and max(small.size) <= max(whole.size))
            expected, tolerance = _reference(path)
            np.testing.assert_allclose(np.asarray(whole).astype(int), expected, rtol=0, atol=tolerance)
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def _open(path: Path, short_side: int | None) -> Image.Image | None:
    try:
        return open_image(path, short_side)
    except ImageError as error:
        reason = error.reason
    assert len(reason) > 1 and "\n" not in reason and str(path) not in reason, reason
    return None


def _reference(path: Path) -> tuple[np.ndarray, int]:
    """Pixels (H, W, 3), and how much rounding may change them."""
    with Image.open(path, formats=[name for name in FORMATS if name in Image.OPEN]) as image:
        image.load()
        try:
            image = ImageOps.exif_transpose(image)
        except Exception:  # damaged metadata is ignored
            image = image.copy()
        if image.mode.startswith("I"):
            grey = np.asarray(image).astype(np.int64).clip(0, 65535) // 257
            return np.stack([grey] * 3, axis=2), 0
        if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
            pixels = np.asarray(image.convert("RGBA")).astype(float)
            share = pixels[..., 3:] / 255
            return (pixels[..., :3] * share + 255 * (1 - share)).round().astype(int), 1
        return np.asarray(image.convert("RGB")).astype(int), 0
