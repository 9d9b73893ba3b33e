"""Image files that are broken in various ways."""

import io
import struct
import zlib

import numpy as np


def encoded(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def png_header(width, height):
    """A PNG whose header states this size, with almost no data."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


def broken_files(image):
    """{name: (content, part of the reason)}, made from the Pillow image ``image``."""
    jpeg, png, tiff = (encoded(image, kind) for kind in ("JPEG", "PNG", "TIFF"))
    bmp, gif, webp = (encoded(image, kind) for kind in ("BMP", "GIF", "WEBP"))
    flipped = bytearray(png)
    flipped[len(png) // 2] ^= 0xFF
    noise = np.random.default_rng(0).bytes(3000)
    not_image = "not an image in a supported format"
    return {
        "empty.jpg": (b"", "the file is empty"),
        "half.jpg": (jpeg[: len(jpeg) // 2], "truncated"),
        "most.jpg": (jpeg[:-60], "truncated"),
        "header.jpg": (jpeg[:20], not_image),
        "start.jpg": (b"\xff\xd8\xff", not_image),
        "half.png": (png[: len(png) // 2], "truncated"),
        "most.png": (png[:-40], "truncated"),
        "flipped.png": (bytes(flipped), ""),
        "bomb.png": (png_header(40_000, 40_000), "1600000000 pixels exceed the limit of Pillow"),
        "hollow.png": (png_header(64, 64), "truncated"),
        "half.tif": (tiff[: len(tiff) // 2], ""),
        "half.bmp": (bmp[: len(bmp) // 2], "truncated"),
        "half.gif": (gif[: len(gif) // 2], "truncated"),
        "half.webp": (webp[: len(webp) // 2], ""),
        "text.jpg": (b"This is no image.\n", not_image),
        "page.png": (b"<!DOCTYPE html><html>404 Not Found</html>", not_image),
        "noise.jpg": (noise, not_image),
        "zeros.png": (bytes(3000), not_image),
        "archive.jpg": (b"PK\x03\x04" + noise, not_image),
        "wrong.webp": (b"RIFF\x00\x00\x00\x00WEBPVP8 " + noise[:100], ""),
    }
