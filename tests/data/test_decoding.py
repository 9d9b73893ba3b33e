"""open_image: modes and formats, errors for damaged files, and JPEGs decoded at reduced size."""

import importlib
import io
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lucid import data
from lucid.data import decoding
from tests.data.broken_images import broken_files, encoded

Image = pytest.importorskip("PIL.Image", reason="requires Pillow")

ROOT = Path(__file__).parents[2]
ORIENTATION = 0x0112


@pytest.fixture(scope="module")
def image():
    """96 x 64 px: red, green, blue and white quarters."""
    pixels = np.zeros((64, 96, 3), np.uint8)
    pixels[:32, :48, 0] = pixels[:32, 48:, 1] = pixels[32:, :48, 2] = 255
    pixels[32:, 48:] = 255
    return Image.fromarray(pixels)


def corners(image):
    return "".join({(1, 0, 0): "r", (0, 1, 0): "g", (0, 0, 1): "b", (1, 1, 1): "w"}[tuple(value)] for value in (
        np.asarray(image)[[5, 5, -5, -5], [5, -5, 5, -5]] > 127).astype(int))  # fmt: skip


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM"])
def test_formats_are_read(image, tmp_path, kind):
    path = tmp_path / "image"  # the contents decide, not the extension
    path.write_bytes(encoded(image, kind))
    image = data.open_image(path)
    assert image.mode == "RGB" and image.size == (96, 64) and corners(image) == "rgbw"


@pytest.mark.parametrize(
    ("orientation", "found"),
    [(1, "rgbw"), (2, "grwb"), (3, "wbgr"), (4, "bwrg"), (5, "rbgw"), (6, "brwg"), (7, "wgbr"), (8, "gwrb")],
)
@pytest.mark.parametrize("short_side", [None, 32])
def test_exif_orientation_is_applied(image, tmp_path, orientation, found, short_side):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    (tmp_path / "a.jpg").write_bytes(encoded(image, "JPEG", exif=exif))
    image = data.open_image(tmp_path / "a.jpg", short_side)
    assert corners(image) == found and image.size[0] // image.size[1] == (0 if orientation > 4 else 1)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_a_damaged_orientation_is_ignored(image, tmp_path):
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    content = exif.tobytes()
    (tmp_path / "a.jpg").write_bytes(encoded(image, "JPEG", exif=content[:12] + b"\xff" * 9))
    assert corners(data.open_image(tmp_path / "a.jpg")) == "rgbw"


def pixel_of(image, tmp_path, kind="PNG"):
    """The upper left pixel of the decoded image."""
    path = tmp_path / f"a.{kind.lower()}"
    path.write_bytes(encoded(image, kind))
    found = data.open_image(path)
    assert found.mode == "RGB"
    return found.getpixel((0, 0))


@pytest.mark.parametrize(("mode", "color", "rgb"), [
    ("L", 100, (100, 100, 100)),
    ("1", 1, (255, 255, 255)),
    ("LA", (100, 255), (100, 100, 100)),
    ("LA", (100, 0), (255, 255, 255)),
    ("RGBA", (10, 20, 30, 255), (10, 20, 30)),
    ("RGBA", (10, 20, 30, 0), (255, 255, 255)),
])  # fmt: skip
def test_modes_become_rgb_on_white(tmp_path, mode, color, rgb):
    assert pixel_of(Image.new(mode, (4, 4), color), tmp_path) == rgb


def test_half_transparent_pixels_are_blended(tmp_path):
    np.testing.assert_allclose(pixel_of(Image.new("RGBA", (4, 4), (0, 255, 0, 128)), tmp_path), (127, 255, 127), atol=1)


def test_palettes_with_and_without_transparency(tmp_path):
    image = Image.new("P", (4, 4), 1)
    image.putpalette([0, 0, 0, 9, 8, 7])
    assert pixel_of(image, tmp_path) == (9, 8, 7)
    for transparency in (1, b"\xff\x00"):
        (tmp_path / "b.png").write_bytes(encoded(image, "PNG", transparency=transparency))
        assert data.open_image(tmp_path / "b.png").getpixel((0, 0)) == (255, 255, 255)


def test_cmyk_becomes_rgb(tmp_path):
    for kind in ("JPEG", "TIFF"):
        np.testing.assert_allclose(pixel_of(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), tmp_path, kind), (255, 0, 0),
                                   atol=3)  # fmt: skip


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_become_eight(tmp_path, kind):
    for value in (0, 128, 257, 25_700, 65_535):
        image = Image.fromarray(np.full((4, 4), value, np.uint16))
        assert pixel_of(image, tmp_path, kind) == (value // 257,) * 3


def test_floating_point_images_raise(tmp_path):
    (tmp_path / "a.tif").write_bytes(encoded(Image.fromarray(np.zeros((4, 4), np.float32)), "TIFF"))
    with pytest.raises(data.ImageError, match="floating-point pixels have no known range"):
        data.open_image(tmp_path / "a.tif")


@pytest.mark.parametrize(("short_side", "size"), [
    (None, (96, 64)), (1000, (96, 64)), (64, (96, 64)), (33, (96, 64)), (32, (48, 32)), (16, (24, 16)), (1, (12, 8)),
])  # fmt: skip
def test_jpegs_are_decoded_at_reduced_size(image, tmp_path, short_side, size):
    (tmp_path / "a.jpg").write_bytes(encoded(image, "JPEG"))
    assert data.open_image(tmp_path / "a.jpg", short_side).size == size
    (tmp_path / "a.png").write_bytes(encoded(image, "PNG"))
    assert data.open_image(tmp_path / "a.png", short_side).size == (96, 64)


def test_multi_frame_files_give_their_first_frame(image, tmp_path):
    Image.init()
    for kind in [one for one in ("GIF", "TIFF", "WEBP", "MPO") if one in Image.SAVE_ALL]:  # Pillow 9.2 cannot write MPO
        (tmp_path / "a").write_bytes(encoded(image, kind, save_all=True, append_images=[image.rotate(180)]))
        assert corners(data.open_image(tmp_path / "a", 30)) == "rgbw"


@pytest.mark.parametrize("short_side", [None, 1])
def test_broken_files_raise_with_a_reason(tmp_path, short_side):
    noisy = Image.fromarray(np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    for name, (content, reason) in broken_files(noisy).items():
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(data.ImageError) as caught:
            data.open_image(path, short_side)
        error = caught.value
        assert reason in error.reason and str(error) == f"{path}: {error.reason}" and error.path == str(path)
        assert str(tmp_path) not in error.reason and "\n" not in error.reason and len(error.reason) > 3, name


def test_missing_files_and_folders_raise(tmp_path):
    (tmp_path / "link.jpg").symlink_to(tmp_path / "nowhere.jpg")
    for name in ("nothing.jpg", "link.jpg"):
        with pytest.raises(data.ImageError, match="No such file"):
            data.open_image(tmp_path / name)
    os.mkfifo(tmp_path / "pipe.jpg")
    for path in (tmp_path, tmp_path / "pipe.jpg"):
        with pytest.raises(data.ImageError, match=f"{path}: not a file"):
            data.open_image(path)
    with pytest.raises(ValueError, match="open_image: short_side must be at least 1, got 0"):
        data.open_image(tmp_path / "a.jpg", 0)


def test_heic_names_the_extra_to_install(tmp_path):
    """Also under another name, as phones export it."""
    code = (
        "import sys; sys.modules['pillow_heif'] = None\n"
        "from lucid import data\n"
        "for name in sys.argv[1:]:\n"
        "    try:\n"
        "        data.open_image(name)\n"
        "    except data.ImageError as error:\n"
        "        print(error)\n"
    )
    names = []
    for name in ("a.HEIC", "a.jpg"):
        for brand in ("heic", "mif1"):
            names.append(str(tmp_path / f"{brand} {name}"))
            Path(names[-1]).write_bytes(b"\x00\x00\x00\x18ftyp" + brand.encode() + bytes(100))
    done = subprocess.run([sys.executable, "-W", "error", "-c", code, *names], capture_output=True, text=True, cwd=ROOT)
    reason = 'Pillow reads HEIC only with pillow-heif: pip install "lucid-mlx[vision]"'
    assert done.stdout.splitlines() == [f"{name}: {reason}" for name in names], done.stderr


POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n%%EOF\n"


@pytest.mark.parametrize("name", ["cat.jpg", "cat.eps"])
def test_postscript_starts_no_program(tmp_path, monkeypatch, name):
    gs = tmp_path / "gs"
    gs.write_text(f"#!/bin/sh\ntouch {tmp_path}/started\n")
    gs.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    plugin = importlib.import_module("PIL.EpsImagePlugin")
    monkeypatch.setattr(plugin, "gs_binary", None)  # looks for the program again
    (tmp_path / name).write_bytes(POSTSCRIPT)
    with pytest.raises(data.ImageError, match="not an image in a supported format"):
        data.open_image(tmp_path / name)
    assert not (tmp_path / "started").exists()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_only_formats_of_photos_are_read(tmp_path):
    Image.init()
    for kind in sorted(set(Image.SAVE) & set(Image.OPEN) - set(decoding.FORMATS)):
        content = io.BytesIO()
        try:
            Image.new("L" if kind in ("MSP", "XBM") else "RGB", (16, 16)).save(content, kind)
        except (OSError, ValueError):  # needs another mode, or another program
            continue
        (tmp_path / "a.jpg").write_bytes(content.getvalue())
        with pytest.raises(data.ImageError, match="not an image in a supported format"):
            data.open_image(tmp_path / "a.jpg")


def test_images_are_opened_in_one_place():
    """Where Pillow gets the list of formats."""
    root = Path(__file__).parents[2]
    files = [*(root / "lucid").rglob("*.py"), *(root / "examples").rglob("*.py")]
    found = {path.name for path in files if re.search(r"\b(Image|pillow|PIL)\.open\(", path.read_text("utf-8"))}
    assert found == {"decoding.py"}


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "I;16"])
def test_colors_of_large_images_are_converted_in_bands(tmp_path, monkeypatch, kind, mode):
    """With the same result as at once, in less memory."""
    pixels = np.random.default_rng(0).integers(0, 256, (37, 23, 4), dtype=np.uint8)
    options = {}
    if mode == "I;16":
        image = Image.fromarray(pixels[..., 0].astype(np.uint16) * 256 + pixels[..., 1])
    elif mode == "P":
        if kind == "TIFF":
            pytest.skip("TIFF has no transparent palette")
        image, options = Image.fromarray(pixels[..., :3]).quantize(16), {"transparency": 3}
    else:
        image = Image.fromarray(pixels).convert(mode)
    (tmp_path / "a").write_bytes(encoded(image, kind, **options))
    whole = np.asarray(data.open_image(tmp_path / "a"))
    monkeypatch.setattr(decoding, "_BAND_PIXELS", 5 * 23)
    np.testing.assert_array_equal(np.asarray(data.open_image(tmp_path / "a")), whole)


def test_threads_share_a_limit_of_pixels(image, tmp_path, monkeypatch):
    """96 x 64 px are below the limit, twice as many above. What a thread holds itself does not count."""
    (tmp_path / "a.png").write_bytes(encoded(image, "PNG"))
    monkeypatch.setattr(decoding, "PIXELS_AT_ONCE", 10_000)
    held = []

    def crop(image, rng):
        with data.decoding.opened_image(tmp_path / "a.png"):  # a second one in this thread
            held.append(decoding._budget._used)
        return image.crop((0, 0, 8, 8))

    decode = data.transforms.DecodeImages(crop, num_threads=8)
    batch = decode([str(tmp_path / "a.png")] * 64, np.random.default_rng(0))
    assert batch.shape == (64, 3, 8, 8) and held == [2 * 96 * 64] * 64 and decoding._budget._used == 0


def test_an_image_above_the_limit_is_decoded_alone(image, tmp_path, monkeypatch):
    (tmp_path / "a.png").write_bytes(encoded(image, "PNG"))
    monkeypatch.setattr(decoding, "PIXELS_AT_ONCE", 100)
    with decoding.opened_image(tmp_path / "a.png") as found:
        assert corners(found) == "rgbw" and decoding._budget._used == 96 * 64
    (tmp_path / "a.png").write_bytes(encoded(image, "PNG")[:-60])
    with pytest.raises(data.ImageError):
        data.open_image(tmp_path / "a.png")
    assert decoding._budget._used == 0
