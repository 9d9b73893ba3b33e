"""Masks: files of all kinds, pairs in folders, crops of both, overlays."""

import numpy as np
import pytest

from lucid import data
from lucid.data.masks import mask_palette, open_pair

Image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")


def save(path, array, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, **options)


def palette_image(numbers):
    image = Image.fromarray(numbers)
    image.putpalette([7 * k % 256 for k in range(768)])
    return image


@pytest.fixture
def numbers():
    return np.random.default_rng(0).integers(0, 6, (7, 5)).astype(np.uint8)


@pytest.mark.parametrize("kind", ["gray", "palette", "16 bits", "tiff", "bmp", "gif"])
def test_masks_of_every_kind(kind, numbers, tmp_path):
    path = tmp_path / f"mask.{kind if kind in ('tiff', 'bmp', 'gif') else 'png'}"
    if kind == "palette":
        palette_image(numbers).save(path)
        assert mask_palette(path)[1] == (21, 28, 35)
    elif kind == "16 bits":
        save(path, numbers.astype(np.uint16) * 1000)
    else:
        save(path, numbers)
    expected = numbers.astype(np.int32) * (1000 if kind == "16 bits" else 1)
    found = data.open_mask(path)
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found, expected)


def test_black_and_white_masks_are_0_and_1(tmp_path):
    bits = np.random.default_rng(0).integers(0, 2, (9, 11)).astype(bool)
    Image.fromarray(bits).save(tmp_path / "mask.png")
    np.testing.assert_array_equal(data.open_mask(tmp_path / "mask.png"), bits.astype(np.int32))


# What EXIF orientations 1 to 8 say to do with the pixels.
TURNS = {
    1: lambda x: x,
    2: lambda x: x[:, ::-1],
    3: lambda x: x[::-1, ::-1],
    4: lambda x: x[::-1],
    5: lambda x: x.T,
    6: lambda x: np.rot90(x, -1),
    7: lambda x: x[::-1, ::-1].T,
    8: np.rot90,
}


@pytest.mark.parametrize("orientation", TURNS)
@pytest.mark.parametrize("kind", ["L", "P", "I;16"])
def test_masks_are_turned_like_photos(kind, orientation, numbers, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = {"L": Image.fromarray, "P": palette_image, "I;16": lambda x: Image.fromarray(x.astype(np.uint16))}[kind]
    image(numbers).save(tmp_path / "mask.png", exif=exif)
    Image.fromarray(40 * np.stack([numbers] * 3, -1)).save(tmp_path / "photo.png", exif=exif)
    photo, mask = open_pair(str(tmp_path / "photo.png"), str(tmp_path / "mask.png"))
    np.testing.assert_array_equal(mask, TURNS[orientation](numbers))
    np.testing.assert_array_equal(np.asarray(photo)[..., 0], 40 * mask)


def test_masks_that_are_none(numbers, tmp_path):
    path = tmp_path / "mask.png"

    def reason(path=path):
        with pytest.raises(data.ImageError) as raised:
            data.open_mask(path)
        assert str(raised.value).count(str(path)) == 1
        return raised.value.reason

    save(path, np.zeros((3, 3, 3), np.uint8))
    assert reason() == (
        "a mask has one number per pixel (modes 1, L, P, I;16), but this image is RGB; data.save_mask writes masks "
        "from class numbers"
    )
    path.write_bytes(b"")
    assert reason() == "the file is empty"
    path.write_text("0 1 2")
    assert reason() == "not an image in a supported format"
    save(path, numbers)
    path.write_bytes(path.read_bytes()[:45])
    assert reason()
    assert reason(tmp_path / "none.png") == "No such file or directory"


@pytest.mark.parametrize("largest", [5, 255, 256, 65535])
def test_saved_masks_come_back(largest, tmp_path):
    mask = np.random.default_rng(0).integers(0, largest + 1, (6, 4))
    mask[0, 0] = largest
    data.save_mask(tmp_path / "mask.png", mask, [(1, 2, 3)])
    np.testing.assert_array_equal(data.open_mask(tmp_path / "mask.png"), mask)
    if largest <= 255:
        assert mask_palette(tmp_path / "mask.png")[:2] == [(1, 2, 3), (128, 0, 0)]


def test_a_palette_may_be_an_array(tmp_path):
    colors = np.array([[1, 2, 3], [4, 5, 6]])
    data.save_mask(tmp_path / "mask.png", np.array([[0, 1]]), colors)
    assert mask_palette(tmp_path / "mask.png")[:3] == [(1, 2, 3), (4, 5, 6), (0, 128, 0)]
    assert np.asarray(data.overlay(np.zeros((1, 1, 3), np.uint8), np.array([[1]]), colors, 1)).tolist() == [[[4, 5, 6]]]


@pytest.mark.parametrize(
    "mask", [np.zeros(3, int), np.zeros((2, 2)), np.array([[-1]]), np.array([[65536]]), np.zeros((0, 2), int)]
)
def test_masks_that_cannot_be_saved(mask, tmp_path):
    with pytest.raises(ValueError, match="save_mask"):
        data.save_mask(tmp_path / "mask.png", mask)
    assert not list(tmp_path.iterdir())


def test_palette_is_pascal_vocs():
    known = {
        0: (0, 0, 0),
        1: (128, 0, 0),
        5: (128, 0, 128),
        15: (192, 128, 128),
        20: (0, 64, 128),
        255: (224, 224, 192),
    }
    palette = data.voc_palette()
    assert len(palette) == 256
    assert {number: palette[number] for number in known} == known


def test_overlay_mixes_colors_where_there_is_a_class():
    image = np.full((1, 4, 3), 100, np.uint8)
    mixed = np.asarray(data.overlay(image, np.array([[0, 1, 2, 255]]), [(9, 9, 9), (200, 0, 50)], alpha=0.25))
    assert mixed[0, 0].tolist() == mixed[0, 3].tolist() == [100, 100, 100]
    assert mixed[0, 1].tolist() == [125, 75, 88]  # 0.75 * 100 + 0.25 * color
    assert mixed[0, 2].tolist() == [75, 107, 75]  # Pascal VOC's color of class 2
    with pytest.raises(ValueError, match="differ in size"):
        data.overlay(image, np.zeros((2, 2), int))


def test_overlay_of_numbers_above_255_and_of_another_ignored_one():
    image, colors = np.zeros((1, 4, 3), np.uint8), [(number, 0, 0) for number in range(256)]
    mixed = np.asarray(data.overlay(image, np.array([[255, 256, 509, 65535]]), colors, 1, ignore_index=65535))
    assert mixed[0, :, 0].tolist() == [255, 2, 1, 0]
    with pytest.raises(ValueError, match="alpha"):
        data.overlay(image, np.zeros((1, 4), int), alpha=2)


# Folders --------------------------------------------------------------------------------------------------------------


def test_pairs_are_found_by_name(numbers, tmp_path):
    for name in ("train/b", "train/a", "val/ä c"):
        save(tmp_path / "images" / f"{name}.jpg", np.zeros((7, 5, 3), np.uint8))
        save(tmp_path / "annotations" / f"{name}.png", numbers)
    save(tmp_path / "images" / ".hidden.jpg", np.zeros((7, 5, 3), np.uint8))
    (tmp_path / "images" / "notes.txt").write_text("x")
    found = data.MaskFolder(tmp_path)
    assert found.names == ["train/a", "train/b", "val/ä c"]
    assert found[0] == (str(tmp_path / "images/train/a.jpg"), str(tmp_path / "annotations/train/a.png"))
    assert repr(found) == f"MaskFolder({tmp_path}: 3 images with masks)"
    np.testing.assert_array_equal(data.open_mask(found[0][1]), numbers)


def test_masks_may_have_a_suffix(numbers, tmp_path):
    save(tmp_path / "images/1.jpg", np.zeros((7, 5, 3), np.uint8))
    save(tmp_path / "masks/1_mask.png", numbers)
    assert data.MaskFolder(tmp_path).names == ["1"]


def test_links_to_folders_are_followed(numbers, tmp_path):
    for name in ("images", "masks"):
        save(tmp_path / "elsewhere" / name / "1.png", numbers)
        (tmp_path / "set" / name).mkdir(parents=True)
        (tmp_path / "set" / name / "train").symlink_to(tmp_path / "elsewhere" / name)
        (tmp_path / "elsewhere" / name / "back").symlink_to(tmp_path / "set" / name)
    assert data.MaskFolder(tmp_path / "set").names == ["train/1"]


@pytest.mark.parametrize("name", ["1.jpg", "1_mask.webp"])
def test_a_mask_in_a_format_with_losses_is_named(name, numbers, tmp_path):
    save(tmp_path / "images/1.jpg", np.zeros((7, 5, 3), np.uint8))
    save(tmp_path / "masks" / name, numbers)
    with pytest.raises(ValueError, match=rf"1\.jpg; .*masks/{name} is none, masks are \.png, \.tif, .*\.gif$"):
        data.MaskFolder(tmp_path)


def test_folders_with_faults(numbers, tmp_path):
    photo = np.zeros((7, 5, 3), np.uint8)
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        data.MaskFolder(tmp_path / "none")
    save(tmp_path / "images/1.jpg", photo)
    with pytest.raises(
        FileNotFoundError, match="must have a folder images and one of masks, .* got the folders: images"
    ):
        data.MaskFolder(tmp_path)
    (tmp_path / "masks").mkdir()
    with pytest.raises(ValueError, match=r"1 of 1 images have no mask, for example .*1\.jpg"):
        data.MaskFolder(tmp_path)
    save(tmp_path / "masks/1.png", numbers)
    save(tmp_path / "masks/2.png", numbers)
    with pytest.raises(ValueError, match=r"1 of 2 masks have no image, for example .*2\.png"):
        data.MaskFolder(tmp_path)
    (tmp_path / "masks/2.png").unlink()
    save(tmp_path / "images/1.png", photo)
    with pytest.raises(ValueError, match="have the same name"):
        data.MaskFolder(tmp_path)


def test_pairs_of_different_sizes_are_refused(numbers, tmp_path):
    save(tmp_path / "1.jpg", np.zeros((7, 6, 3), np.uint8))
    save(tmp_path / "1.png", numbers)
    with pytest.raises(data.ImageError, match=r"1\.png: the mask has 5x7 px, but .*1\.jpg has 6x7"):
        open_pair(str(tmp_path / "1.jpg"), str(tmp_path / "1.png"))
    exif = Image.Exif()
    exif[0x0112] = 8
    save(tmp_path / "1.jpg", np.zeros((7, 5, 3), np.uint8), exif=exif)
    with pytest.raises(data.ImageError, match=r"5x7 px, but .*1\.jpg has 7x5; a mask .* must be upright"):
        open_pair(str(tmp_path / "1.jpg"), str(tmp_path / "1.png"))


def test_whole_pairs_of_different_sizes_make_no_batch(tmp_path):
    for name, size in (("1", (4, 6)), ("2", (8, 6))):
        save(tmp_path / f"{name}.jpg", np.zeros((*size, 3), np.uint8))
        save(tmp_path / f"{name}.png", np.zeros(size, np.uint8))
    images, masks = ([str(tmp_path / f"{name}{suffix}") for name in "12"] for suffix in (".jpg", ".png"))
    with pytest.raises(ValueError, match=r"one size, but .*1\.png has 6x4 px and .*2\.png 6x8; pass a transform"):
        data.DecodePairs()((images, masks), np.random.default_rng(0))
    assert data.DecodePairs()((images[:1], masks[:1]), np.random.default_rng(0))[1].shape == (1, 4, 6)


# Crops ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(40, 60), (20, 20), (9, 100)])
@pytest.mark.parametrize("scale", [(1.0, 1.0), (0.5, 2.0)])
def test_crops_keep_image_and_mask_together(size, scale):
    """Each class has a color, so the mask can be told from the pixels away from borders."""
    rng = np.random.default_rng(0)
    mask = np.kron(rng.integers(0, 4, (-(-size[0] // 10), -(-size[1] // 10))), np.ones((10, 10), int))[
        : size[0], : size[1]
    ]
    image = Image.fromarray((60 * mask[..., None] + np.zeros(3)).astype(np.uint8))
    crop = data.RandomScaledCrop(24, scale)
    for seed in range(20):
        pixels, part = crop(image, mask.astype(np.int32), np.random.default_rng(seed))
        values = np.asarray(pixels)[..., 0].astype(float) / 60
        assert part.shape == (24, 24) and np.asarray(pixels).shape == (24, 24, 3)
        inside = part != 255
        same = abs(values - part) < 0.05
        assert same[inside].mean() > (0.999 if scale == (1.0, 1.0) else 0.6)
        assert (np.asarray(pixels)[~inside] == (124, 116, 104)).all()


def test_crop_is_flipped_half_of_the_time_and_reproducible():
    mask = np.tile(np.arange(30, dtype=np.int32), (30, 1))
    image = Image.fromarray(np.tile(np.arange(30, dtype=np.uint8)[None, :, None], (30, 1, 3)))
    crop = data.RandomScaledCrop(10, (1, 1))
    found = [crop(image, mask, np.random.default_rng(seed))[1] for seed in range(200)]
    flipped = np.mean([one[0, 0] > one[0, 1] for one in found])
    assert 0.4 < flipped < 0.6
    np.testing.assert_array_equal(found[3], crop(image, mask, np.random.default_rng(3))[1])
    assert not any(
        one[0, 0] > one[0, 1]
        for one in (
            data.RandomScaledCrop(10, (1, 1), flip=False)(image, mask, np.random.default_rng(s))[1] for s in range(20)
        )
    )


def test_crop_avoids_a_single_class():
    mask = np.zeros((100, 100), np.int32)
    mask[:, 70:] = 1
    image = Image.new("RGB", (100, 100))
    share = [
        (data.RandomScaledCrop(20, (1, 1), one)(image, mask, np.random.default_rng(s))[1] == 1).mean()
        for one in (1.0, 0.75)
        for s in range(100)
    ]
    mixed = [(0.25 <= one <= 0.75) for one in share]
    assert np.mean(mixed[100:]) > np.mean(mixed[:100]) + 0.2


def test_crop_of_ignored_pixels_only():
    pixels, part = data.RandomScaledCrop(8)(
        Image.new("RGB", (9, 9)), np.full((9, 9), 255, np.int32), np.random.default_rng(0)
    )
    assert (part == 255).all() and pixels.size == (8, 8)


@pytest.mark.parametrize(
    "options", [{"size": 0}, {"size": 8, "scale": (2, 1)}, {"size": 8, "scale": (0, 1)}, {"size": 8, "max_share": 2}]
)
def test_wrong_crops(options):
    with pytest.raises((ValueError, TypeError), match="RandomScaledCrop"):
        data.RandomScaledCrop(**options)


def test_loader_of_pairs_does_not_depend_on_threads(numbers, tmp_path):
    for i in range(6):
        save(tmp_path / f"images/{i}.png", np.random.default_rng(i).integers(0, 256, (20 + i, 30, 3)).astype(np.uint8))
        save(tmp_path / f"masks/{i}.png", np.random.default_rng(i).integers(0, 3, (20 + i, 30)).astype(np.uint8))

    def batches(threads):
        decode = data.DecodePairs(data.RandomScaledCrop(16), threads)
        loader = data.DataLoader(
            data.MaskFolder(tmp_path), 3, shuffle=True, seed=1, num_workers=2, batch_transform=decode
        )
        return [(images.numpy(), masks.numpy()) for images, masks in loader]

    for one, other in zip(batches(1), batches(4), strict=True):
        for a, b in zip(one, other, strict=True):
            np.testing.assert_array_equal(a, b)
    images, masks = batches(2)[0]
    assert images.shape == (3, 3, 16, 16) and images.dtype == np.uint8 and masks.shape == (3, 16, 16)
