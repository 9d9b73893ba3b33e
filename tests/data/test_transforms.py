from collections import namedtuple

import numpy as np
import pytest

from lucid import data
from lucid.data import transforms as T
from lucid.data.transforms import DecodeImages, RandomResizedCrop

try:
    from PIL import Image
except ImportError:
    Image = None
needs_pillow = pytest.mark.skipif(Image is None, reason="images are read by Pillow")


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (7, 3, 6, 5)).astype(np.uint8)


def test_to_float_scales_to_one(images):
    out = T.ToFloat()(images)
    assert out.dtype == np.float32
    np.testing.assert_allclose(out, images / 255, rtol=1e-6)
    np.testing.assert_allclose(T.ToFloat(16)(np.full((1, 1, 1), 16, np.uint8)), 1)


def test_normalize_is_per_channel(images):
    mean, std = (0.1, 0.5, 0.9), (0.5, 1.0, 2.0)
    x = T.ToFloat()(images)
    before = x.copy()
    out = T.Normalize(mean, std)(x)
    wanted = (x - np.reshape(mean, (3, 1, 1))) / np.reshape(std, (3, 1, 1))
    assert out.dtype == np.float32
    np.testing.assert_allclose(out, wanted, atol=1e-6)
    np.testing.assert_array_equal(x, before)


def test_random_crop_takes_a_window_of_each_padded_image(images):
    out = T.RandomCrop((6, 5), padding=(1, 2), fill=9)(images, np.random.default_rng(1))
    assert out.shape == images.shape and out.dtype == np.uint8
    padded = np.pad(images, ((0, 0), (0, 0), (2, 2), (1, 1)), constant_values=9)
    places = []
    for one, source in zip(out, padded, strict=True):
        found = [(t, f) for t in range(5) for f in range(3) if (source[:, t : t + 6, f : f + 5] == one).all()]
        assert len(found) == 1
        places += found
    assert len(set(places)) > 3


def test_random_crop_reaches_every_place_equally_often():
    image = np.arange(25, dtype=np.float32).reshape(1, 1, 5, 5)
    out = T.RandomCrop(3)(np.repeat(image, 9000, axis=0), np.random.default_rng(0))
    corners, counts = np.unique(out[:, 0, 0, 0], return_counts=True)
    assert corners.tolist() == [0, 1, 2, 5, 6, 7, 10, 11, 12]
    assert abs(counts - 1000).max() < 150


@pytest.mark.parametrize("mode", ["edge", "reflect", "symmetric"])
def test_random_crop_padding_modes_show_no_foreign_pixels(images, mode):
    out = T.RandomCrop(6, padding=2, padding_mode=mode)(images, np.random.default_rng(2))
    for one, source in zip(out, images, strict=True):
        assert set(one.ravel()) <= set(source.ravel())


def test_center_crop_takes_the_middle(images):
    np.testing.assert_array_equal(T.CenterCrop((2, 3))(images), images[:, :, 2:4, 1:4])


def test_flip_mirrors_whole_images_with_probability_p(images):
    np.testing.assert_array_equal(T.RandomHorizontalFlip(1)(images), images[..., ::-1])
    np.testing.assert_array_equal(T.RandomHorizontalFlip(0)(images), images)
    many = np.repeat(images[:1], 4000, axis=0)
    flipped = (T.RandomHorizontalFlip(0.25)(many, np.random.default_rng(0)) == images[0, :, :, ::-1]).all((1, 2, 3))
    assert abs(flipped.mean() - 0.25) < 0.03


def test_inputs_are_left_alone_and_the_generator_decides(images):
    before = images.copy()
    both = T.Compose([T.RandomCrop(4, padding=2), T.RandomHorizontalFlip(), T.ToFloat(), T.Normalize([0] * 3, [1] * 3)])
    first, again, other = (both(images, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    np.testing.assert_array_equal(images, before)


def test_only_the_first_field_of_a_batch_changes(images):
    Batch = namedtuple("Batch", "image label")
    labels = np.arange(7)
    flip = T.RandomHorizontalFlip(1)
    for batch in ([images, labels], (images, labels), Batch(images, labels)):
        out = flip(batch)
        assert type(out) is type(batch) and out[1] is labels
        np.testing.assert_array_equal(out[0], images[..., ::-1])
    np.testing.assert_array_equal(flip(images[0]), images[0][..., ::-1])


def test_reprs_show_the_options():
    crop = "RandomCrop(size=(32, 32), padding=(4, 4), fill=0, padding_mode='constant')"
    assert repr(T.Compose([T.RandomCrop(32, padding=4), T.ToFloat()])) == f"Compose([{crop}, ToFloat(max_value=255.0)])"


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: T.Normalize([0], [1, 1]), ValueError, "mean has 1 channels but std has 2"),
        (lambda: T.Normalize([0], [0]), ValueError, "std must be positive"),
        (lambda: T.Normalize([0], [1])(np.zeros((1, 1, 2, 2), np.uint8)), TypeError, "put ToFloat before it"),
        (lambda: T.Normalize([0], [1])(np.zeros((1, 3, 2, 2))), ValueError, "3 channels but mean has 1"),
        (lambda: T.RandomCrop(9)(np.zeros((1, 1, 8, 9))), ValueError, r"\(9, 9\) does not fit into images of 8 x 9"),
        (lambda: T.RandomCrop(0), ValueError, "size must be at least 1, got 0"),
        (lambda: T.RandomCrop(2, padding=-1), ValueError, "padding must be at least 0, got -1"),
        (lambda: T.RandomCrop(2, padding_mode="wrap"), ValueError, "padding_mode must be 'constant', .* got 'wrap'"),
        (lambda: T.RandomHorizontalFlip(1.5), ValueError, "p must be .*, got 1.5"),
        (lambda: T.ToFloat(0), ValueError, "max_value must be above 0, got 0"),
        (lambda: T.ToFloat()(np.zeros((2, 2))), ValueError, r"got shape \(2, 2\)"),
        (lambda: T.ToFloat()({"image": 1}), TypeError, "got dict"),
        (lambda: T.Transform()(np.zeros((1, 1, 1))), NotImplementedError, "define apply"),
    ],
)
def test_transforms_refuse(make, error, message):
    with pytest.raises(error, match=message):
        make()


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


@needs_pillow
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


@needs_pillow
def test_a_batch_is_its_crops(files):
    crop = RandomResizedCrop(8)
    images, labels = DecodeImages(crop, num_threads=3)([files, np.arange(12)], np.random.default_rng(7))
    seeds = np.random.default_rng(7).integers(2**63, size=12)
    wanted = [np.asarray(crop(data.open_image(path), np.random.default_rng(int(seed)))).transpose(2, 0, 1)
              for path, seed in zip(files, seeds, strict=True)]  # fmt: skip
    np.testing.assert_array_equal(images, np.stack(wanted))
    assert images.dtype == np.uint8 and images.shape == (12, 3, 8, 8) and labels.tolist() == list(range(12))


@needs_pillow
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


@needs_pillow
def test_the_cache_changes_nothing_and_keeps_to_its_size(files, monkeypatch):
    opened, sizes = [], [4 * image.width * image.height for image in map(data.open_image, files)]

    def counted(path, short_side):
        opened.append(path)
        return data.open_image(path, short_side)

    monkeypatch.setattr("lucid.data.transforms.open_image", counted)
    wanted = [DecodeImages(RandomResizedCrop(8))(files, np.random.default_rng(seed)) for seed in (1, 2)]
    for cache_bytes, again in ((sum(sizes), 0), (sum(sizes[:5]), 7), (min(sizes) - 1, 12)):
        decode = DecodeImages(RandomResizedCrop(8), num_threads=1, cache_bytes=cache_bytes)
        opened.clear()
        for seed in (1, 2):
            np.testing.assert_array_equal(decode(files, np.random.default_rng(seed)), wanted[seed - 1])
        assert len(opened) <= 12 + again and len(opened) >= 12 + (0 if again == 0 else 1)
    assert len(opened) == 24  # nothing fits into the last one


@needs_pillow
def test_an_unreadable_file_is_named(files, tmp_path):
    (tmp_path / "broken.jpg").write_bytes(b"nothing")
    decode = DecodeImages(RandomResizedCrop(8))
    loader = data.DataLoader([*files, str(tmp_path / "broken.jpg")], 13, num_workers=1, batch_transform=decode)
    with pytest.raises(data.ImageError, match=r"broken.jpg: not an image in a format that Pillow reads"):
        next(iter(loader))
