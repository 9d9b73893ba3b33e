"""open_image: modes and formats, errors for damaged files, and JPEGs decoded at reduced size."""

import importlib.util
import os

import numpy as np
import pytest

from lucid import data
from tests.data.broken_images import broken_files, encoded

Image = pytest.importorskip("PIL.Image", reason="requires Pillow")

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


def test_heic_says_what_to_install(tmp_path):
    if importlib.util.find_spec("pillow_heif"):
        pytest.skip("pillow-heif is installed")
    (tmp_path / "a.HEIC").write_bytes(b"\x00\x00\x00\x18ftypheic" + bytes(100))
    with pytest.raises(
        data.ImageError, match=r"a.HEIC: Pillow reads HEIC only with pillow-heif: pip install pillow-heif"
    ):
        data.open_image(tmp_path / "a.HEIC")
