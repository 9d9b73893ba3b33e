"""Random windows of images, and batches of them read in threads."""

import numpy as np
import pytest

from lucid import data
from lucid.data.transforms import DecodeImages, RandomResizedCrop

Image = pytest.importorskip("PIL.Image", reason="images are read by Pillow")


class Scripted:
    """A generator that gives these numbers, for windows computed by hand."""

    def __init__(self, uniforms, integers):
        self.uniforms, self.ints = iter(uniforms), iter(integers)

    def uniform(self, low, high):
        return low + next(self.uniforms) * (high - low)

    def integers(self, stop):
        value = next(self.ints)
        assert value < stop
        return value


def test_windows_follow_the_definition():
    # Half of 100 x 80 px, of the ratio 4/3 ** 0 = 1: 63.2 px a side.
    crop = RandomResizedCrop(8, scale=(0.25, 0.75))
    assert crop.window(100, 80, Scripted([0.5, 0.5], [36, 17])) == (36, 17, 63, 63)
    # A quarter of it, of the ratio 4/3: sqrt(2000 * 4/3) x sqrt(2000 * 3/4).
    assert crop.window(100, 80, Scripted([0.0, 1.0], [0, 3])) == (0, 3, 52, 39)
    # 0.75 of the area at 3/4 is 67 x 89: too high, so it is drawn again.
    assert crop.window(100, 80, Scripted([1.0, 0.0, 0.5, 0.5], [0, 0])) == (0, 0, 63, 63)


@pytest.mark.parametrize(("size", "window"), [
    ((100, 10), (43, 0, 13, 10)),  # 10 * 4/3 wide
    ((10, 100), (0, 43, 10, 13)),
    ((1, 1000), (0, 499, 1, 1)),
    ((1, 1), (0, 0, 1, 1)),
    ((100, 90), (0, 0, 100, 90)),
])  # fmt: skip
def test_the_last_resort_is_the_middle(size, window):
    crop = RandomResizedCrop(8, scale=(1, 1) if size != (100, 90) else (2, 2))
    if size == (1, 1):
        assert crop.window(*size, np.random.default_rng(0)) == window
    else:
        assert crop.window(*size, Scripted([0.5, 0.5] * 10, [])) == window


def test_windows_have_the_areas_and_places_that_were_asked_for():
    crop, rng = RandomResizedCrop(8, scale=(0.1, 0.5), ratio=(0.5, 2)), np.random.default_rng(0)
    left, top, width, height = np.array([crop.window(400, 300, rng) for _ in range(4000)]).T
    area, ratio = width * height / 120_000, width / height
    assert 0.097 < area.min() < 0.11 and 0.49 < area.max() < 0.51 and abs(area.mean() - 0.3) < 0.01
    assert ratio.min() > 0.48 and ratio.max() < 2.1 and abs(np.log(ratio).mean()) < 0.03
    assert (left >= 0).all() and (top >= 0).all() and (left + width <= 400).all() and (top + height <= 300).all()
    assert abs((left / (401 - width)).mean() - 0.5) < 0.02 and abs((top / (301 - height)).mean() - 0.5) < 0.02


def test_crops_are_cut_then_resized():
    pixels = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    crop = RandomResizedCrop((6, 10), interpolation="bilinear")
    rngs = [np.random.default_rng(5) for _ in range(2)]
    left, top, width, height = crop.window(40, 30, rngs[0])
    wanted = Image.fromarray(pixels[top : top + height, left : left + width]).resize((10, 6), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(np.asarray(crop(Image.fromarray(pixels), rngs[1])), np.asarray(wanted))
    assert np.asarray(wanted).shape == (6, 10, 3)


def test_options_are_checked():
    for scale in ((1, 0.5), (0.1, 0.5, 1), 0.5):
        with pytest.raises(ValueError, match="RandomResizedCrop: scale must be a smaller number and a larger one"):
            RandomResizedCrop(8, scale=scale)
    with pytest.raises(ValueError, match="RandomResizedCrop: ratio must be above 0"):
        RandomResizedCrop(8, ratio=(0, 1))
    with pytest.raises(ValueError, match="RandomResizedCrop: size must be at least 1"):
        RandomResizedCrop(0)
    with pytest.raises(ValueError, match="interpolation must be 'nearest', 'bilinear'"):
        RandomResizedCrop(8, interpolation="best")
    with pytest.raises(ValueError, match="DecodeImages: num_threads must be at least 1"):
        DecodeImages(RandomResizedCrop(8), num_threads=0)


# Batches --------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder, rng = tmp_path_factory.mktemp("files"), np.random.default_rng(0)
    for number in range(12):
        pixels = rng.integers(0, 256, (20 + number, 40 - number, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:02}.png")
    return sorted(map(str, folder.iterdir()))


def test_a_batch_is_its_crops(files):
    crop = RandomResizedCrop(8)
    images, labels = DecodeImages(crop, num_threads=3)([files, np.arange(12)], np.random.default_rng(7))
    seeds = np.random.default_rng(7).integers(2**63, size=12)
    wanted = [np.asarray(crop(data.open_image(path), np.random.default_rng(int(seed)))).transpose(2, 0, 1)
              for path, seed in zip(files, seeds, strict=True)]  # fmt: skip
    np.testing.assert_array_equal(images, np.stack(wanted))
    assert images.dtype == np.uint8 and images.shape == (12, 3, 8, 8) and labels.tolist() == list(range(12))


def test_the_same_epoch_is_the_same_again(files):
    samples = [(path, number) for number, path in enumerate(files)]

    def epochs(num_workers, num_threads):
        decode = DecodeImages(RandomResizedCrop(8), num_threads=num_threads)
        loader = data.DataLoader(samples, 5, True, seed=3, num_workers=num_workers, batch_transform=decode)
        return [np.concatenate([images.numpy() for images, _ in loader]) for _ in range(2)]

    first, second = epochs(0, 1)
    assert not np.array_equal(first, second)
    for other in (epochs(2, 4), epochs(3, 2)):
        np.testing.assert_array_equal(other[0], first)
        np.testing.assert_array_equal(other[1], second)


def test_the_cache_changes_nothing_and_keeps_to_its_size(files, monkeypatch):
    opened, sizes = [], [4 * image.width * image.height for image in map(data.open_image, files)]

    def counted(path, short_side):
        opened.append(path)
        return data.open_image(path, short_side)

    monkeypatch.setattr("lucid.data.cropping.open_image", counted)
    wanted = [DecodeImages(RandomResizedCrop(8))(files, np.random.default_rng(seed)) for seed in (1, 2)]
    for cache_bytes, again in ((sum(sizes), 0), (sum(sizes[:5]), 7), (min(sizes) - 1, 12)):
        decode = DecodeImages(RandomResizedCrop(8), num_threads=1, cache_bytes=cache_bytes)
        opened.clear()
        for seed in (1, 2):
            np.testing.assert_array_equal(decode(files, np.random.default_rng(seed)), wanted[seed - 1])
        assert len(opened) <= 12 + again and len(opened) >= 12 + (0 if again == 0 else 1)
    assert len(opened) == 24  # nothing fits into the last one


def test_an_unreadable_file_is_named(files, tmp_path):
    (tmp_path / "broken.jpg").write_bytes(b"nothing")
    decode = DecodeImages(RandomResizedCrop(8))
    loader = data.DataLoader([*files, str(tmp_path / "broken.jpg")], 13, num_workers=1, batch_transform=decode)
    with pytest.raises(data.ImageError, match=r"broken.jpg: not an image in a format that Pillow reads"):
        next(iter(loader))
