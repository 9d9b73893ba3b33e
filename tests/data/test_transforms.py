"""Host transforms: arrays in the loader's threads, random crops of Pillow images, and decoding in a pool of threads."""

from collections import namedtuple

import numpy as np
import pytest

from lucid import data
from lucid.data import augment
from lucid.data import transforms as T
from lucid.data.decoding import opened_image
from lucid.data.transforms import DecodeImages, RandomResizedCrop

try:
    from PIL import Image
except ImportError:
    Image = None
needs_pillow = pytest.mark.skipif(Image is None, reason="requires Pillow")


class RandomShift(T.Transform):
    """A custom host transform."""

    def __init__(self, pixels):
        self.pixels = pixels

    def apply(self, images, rng):
        shifts = rng.integers(-self.pixels, self.pixels + 1, len(images))
        return np.stack([np.roll(image, shift, axis=-1) for image, shift in zip(images, shifts, strict=True)])


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (7, 3, 6, 5)).astype(np.uint8)


def test_host_and_device_transforms_share_no_name():
    assert not set(T.__all__) & set(augment.__all__)


def test_to_float_scales_to_one(images):
    out = T.ToFloat()(images)
    assert out.dtype == np.float32
    np.testing.assert_allclose(out, images / 255, rtol=1e-6)
    np.testing.assert_allclose(T.ToFloat(16)(np.full((1, 1, 1), 16, np.uint8)), 1)


def test_center_crop_takes_the_center(images):
    np.testing.assert_array_equal(T.CenterCrop((2, 3))(images), images[:, :, 2:4, 1:4])


def test_inputs_are_not_modified_and_the_generator_decides(images):
    before = images.copy()
    for transform in (RandomShift(2), T.CenterCrop(3), T.ToFloat()):
        first, again, other = (transform(images, np.random.default_rng(seed)) for seed in (1, 1, 2))
        np.testing.assert_array_equal(first, again)
        assert (first != other).any() == isinstance(transform, RandomShift)
        np.testing.assert_array_equal(images, before)


def test_only_the_first_field_of_a_batch_changes(images):
    Batch = namedtuple("Batch", "image label")
    labels = np.arange(7)
    crop = T.CenterCrop(4)
    for batch in ([images, labels], (images, labels), Batch(images, labels)):
        out = crop(batch)
        assert type(out) is type(batch) and out[1] is labels
        np.testing.assert_array_equal(out[0], images[:, :, 1:5, :4])
    np.testing.assert_array_equal(crop(images[0]), images[0, :, 1:5, :4])


def test_reprs_show_the_options():
    assert repr(T.CenterCrop(32)) == "CenterCrop(size=(32, 32))"
    assert repr(RandomShift(2)) == "RandomShift(pixels=2)"
    decode = repr(DecodeImages(T.ToFloat(), num_threads=3))
    assert decode == "DecodeImages(ToFloat(max_value=255.0), short_side=None, num_threads=3, cache_bytes=0)"


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: T.CenterCrop(9)(np.zeros((1, 1, 8, 9))), ValueError, r"\(9, 9\) is larger than the images of 8 x 9"),
        (lambda: T.CenterCrop(0), ValueError, "size must be at least 1, got 0"),
        (lambda: T.ToFloat(0), ValueError, "max_value must be above 0, got 0"),
        (lambda: T.ToFloat()(np.zeros((2, 2))), ValueError, r"got shape \(2, 2\)"),
        (lambda: T.ToFloat()({"image": 1}), TypeError, "expected NumPy images, .* got dict"),
        (lambda: T.Transform()(np.zeros((1, 1, 1))), NotImplementedError, "define apply"),
    ],
)
def test_invalid_arguments_raise(make, error, message):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_function_of_a_batch_and_a_generator_is_a_host_transform(images, num_workers):
    def add_noise(batch, rng):
        images, labels = batch
        return images + rng.normal(0, 0.1, images.shape).astype(np.float32), labels

    def epoch(transform):
        dataset = data.TensorDataset(images, np.arange(7))
        loader = data.DataLoader(dataset, 4, seed=5, num_workers=num_workers, batch_transform=transform)
        batches = [(x.numpy(), y.numpy()) for x, y in loader]
        return [np.concatenate(field) for field in zip(*batches, strict=True)]

    plain, _ = epoch(None)
    noisy, labels = epoch(add_noise)
    assert noisy.dtype == np.float32 and 0.05 < (noisy - plain).std() < 0.15
    np.testing.assert_array_equal(noisy, epoch(add_noise)[0])
    np.testing.assert_array_equal(labels, np.arange(7))


class Scripted:
    """A generator that returns given numbers, for boxes computed by hand."""

    def __init__(self, uniforms, integers):
        self.uniforms, self.ints = iter(uniforms), iter(integers)

    def uniform(self, low, high):
        return low + next(self.uniforms) * (high - low)

    def integers(self, stop):
        value = next(self.ints)
        assert value < stop
        return value


def test_boxes_follow_the_definition():
    # Half of 100 x 80 px with ratio 1: 63.2 px per side.
    crop = RandomResizedCrop(8, scale=(0.25, 0.75))
    assert crop.sample_box(100, 80, Scripted([0.5, 0.5], [36, 17])) == (36, 17, 63, 63)
    # A quarter with ratio 4/3: sqrt(2000 * 4/3) x sqrt(2000 * 3/4).
    assert crop.sample_box(100, 80, Scripted([0.0, 1.0], [0, 3])) == (0, 3, 52, 39)
    # 0.75 of the area at 3/4 is 67 x 89, which does not fit, so it is drawn again.
    assert crop.sample_box(100, 80, Scripted([1.0, 0.0, 0.5, 0.5], [0, 0])) == (0, 0, 63, 63)


@pytest.mark.parametrize(("size", "box"), [
    ((100, 10), (43, 0, 13, 10)),  # 10 * 4/3 wide
    ((10, 100), (0, 43, 10, 13)),
    ((1, 1000), (0, 499, 1, 1)),
    ((1, 1), (0, 0, 1, 1)),
    ((100, 90), (0, 0, 100, 90)),
])  # fmt: skip
def test_the_fallback_is_the_center(size, box):
    crop = RandomResizedCrop(8, scale=(1, 1) if size != (100, 90) else (2, 2))
    if size == (1, 1):
        assert crop.sample_box(*size, np.random.default_rng(0)) == box
    else:
        assert crop.sample_box(*size, Scripted([0.5, 0.5] * 10, [])) == box


def test_boxes_have_the_given_areas_and_ratios_and_uniform_positions():
    crop, rng = RandomResizedCrop(8, scale=(0.1, 0.5), ratio=(0.5, 2)), np.random.default_rng(0)
    left, top, width, height = np.array([crop.sample_box(400, 300, rng) for _ in range(4000)]).T
    area, ratio = width * height / 120_000, width / height
    assert 0.097 < area.min() < 0.11 and 0.49 < area.max() < 0.51 and abs(area.mean() - 0.3) < 0.01
    assert ratio.min() > 0.48 and ratio.max() < 2.1 and abs(np.log(ratio).mean()) < 0.03
    assert (left >= 0).all() and (top >= 0).all() and (left + width <= 400).all() and (top + height <= 300).all()
    assert abs((left / (401 - width)).mean() - 0.5) < 0.02 and abs((top / (301 - height)).mean() - 0.5) < 0.02


@needs_pillow
def test_images_are_cropped_then_resized():
    pixels = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    crop = RandomResizedCrop((6, 10), interpolation="bilinear")
    rngs = [np.random.default_rng(5) for _ in range(2)]
    left, top, width, height = crop.sample_box(40, 30, rngs[0])
    expected = Image.fromarray(pixels[top : top + height, left : left + width]).resize(
        (10, 6), Image.Resampling.BILINEAR
    )
    np.testing.assert_array_equal(np.asarray(crop(Image.fromarray(pixels), rngs[1])), np.asarray(expected))
    assert np.asarray(expected).shape == (6, 10, 3)


def test_options_are_checked():
    for scale in ((1, 0.5), (0.1, 0.5, 1), 0.5):
        with pytest.raises(ValueError, match="RandomResizedCrop: scale must be .min, max., got"):
            RandomResizedCrop(8, scale=scale)
    with pytest.raises(ValueError, match="RandomResizedCrop: ratio must be above 0"):
        RandomResizedCrop(8, ratio=(0, 1))
    with pytest.raises(ValueError, match="RandomResizedCrop: size must be at least 1"):
        RandomResizedCrop(0)
    with pytest.raises(ValueError, match="interpolation must be 'nearest', 'bilinear'"):
        RandomResizedCrop(8, interpolation="best")
    with pytest.raises(ValueError, match="DecodeImages: num_threads must be at least 1"):
        DecodeImages(RandomResizedCrop(8), num_threads=0)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder, rng = tmp_path_factory.mktemp("files"), np.random.default_rng(0)
    for number in range(12):
        pixels = rng.integers(0, 256, (20 + number, 40 - number, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:02}.png")
    return sorted(map(str, folder.iterdir()))


@needs_pillow
def test_a_batch_consists_of_the_crops_of_its_images(files):
    crop = RandomResizedCrop(8)
    images, labels = DecodeImages(crop, num_threads=3)([files, np.arange(12)], np.random.default_rng(7))
    seeds = np.random.default_rng(7).integers(2**63, size=12)
    expected = [np.asarray(crop(data.open_image(path), np.random.default_rng(int(seed)))).transpose(2, 0, 1)
              for path, seed in zip(files, seeds, strict=True)]  # fmt: skip
    np.testing.assert_array_equal(images, np.stack(expected))
    assert images.dtype == np.uint8 and images.shape == (12, 3, 8, 8) and labels.tolist() == list(range(12))


@needs_pillow
def test_epochs_are_reproducible_with_any_number_of_threads(files):
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
def test_the_cache_does_not_change_results_and_keeps_to_its_size(files, monkeypatch):
    opened, sizes = [], [4 * image.width * image.height for image in map(data.open_image, files)]

    def counted(path, short_side):
        opened.append(path)
        return opened_image(path, short_side)

    monkeypatch.setattr("lucid.data.transforms.opened_image", counted)
    expected = [DecodeImages(RandomResizedCrop(8))(files, np.random.default_rng(seed)) for seed in (1, 2)]
    for cache_bytes, again in ((sum(sizes), 0), (sum(sizes[:5]), 7), (min(sizes) - 1, 12)):
        decode = DecodeImages(RandomResizedCrop(8), num_threads=1, cache_bytes=cache_bytes)
        opened.clear()
        for seed in (1, 2):
            np.testing.assert_array_equal(decode(files, np.random.default_rng(seed)), expected[seed - 1])
        assert len(opened) <= 12 + again and len(opened) >= 12 + (0 if again == 0 else 1)
    assert len(opened) == 24  # nothing fits into the last cache


@needs_pillow
def test_an_unreadable_file_is_named(files, tmp_path):
    (tmp_path / "broken.jpg").write_bytes(b"nothing")
    decode = DecodeImages(RandomResizedCrop(8))
    loader = data.DataLoader([*files, str(tmp_path / "broken.jpg")], 13, num_workers=1, batch_transform=decode)
    with pytest.raises(data.ImageError, match=r"broken.jpg: not an image in a supported format"):
        next(iter(loader))


@needs_pillow
def test_a_function_of_an_image_and_a_generator_decodes_photos(files):
    def random_gray(image, rng):
        image = image.resize((9, 7))
        return np.full((7, 9, 3), 50, np.uint8) if rng.random() < 0.5 else image  # Pillow or NumPy

    images = DecodeImages(random_gray)(files, np.random.default_rng(0))
    assert images.shape == (12, 3, 7, 9) and images.dtype == np.uint8
    gray = (images == 50).all(axis=(1, 2, 3))
    assert gray.any() and not gray.all()
    np.testing.assert_array_equal(images, DecodeImages(random_gray, num_threads=1)(files, np.random.default_rng(0)))


@needs_pillow
def test_fields_besides_the_paths_are_passed_through(files):
    Batch = namedtuple("Batch", "image label")
    labels = np.arange(12)
    decode = DecodeImages(RandomResizedCrop(4))
    for batch in ([files, labels], (files, labels), Batch(files, labels)):
        out = decode(batch, np.random.default_rng(0))
        assert type(out) is type(batch) and out[1] is labels and out[0].shape == (12, 3, 4, 4)
