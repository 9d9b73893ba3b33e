"""Preprocessing compared with timm, torchvision and transformers (tests/reference/record_preprocessing.py)."""

import sys

import numpy as np
import pytest

from lucid import nn
from lucid.data import DataLoader, Dataset
from lucid.models.preprocessing import ImageTransform, transforms_for
from lucid.models.weights.tags import find_tag

Image = pytest.importorskip("PIL.Image", reason="needs Pillow to resize images")

from tests.reference import preprocessing_cases as cases  # noqa: E402 - needs Pillow


@pytest.fixture(scope="module")
def recorded():
    with np.load(cases.FILE) as file:
        return dict(file)


def transform_of(tag, size):
    if size == "test":
        return transforms_for(tag, use_test_size=True)
    return transforms_for(tag, image_size=size)


@pytest.mark.parametrize(("tag", "size", "name"), cases.CASES)
def test_pixels_match_the_library(recorded, tag, size, name):
    transform = transform_of(tag, size)
    out = transform(cases.image(name)).numpy()
    assert out.dtype == np.float32 and out.shape == (3, transform.image_size, transform.image_size)
    pixels = (out.transpose(1, 2, 0) * np.array(transform.std) + np.array(transform.mean)) * 255
    pixels = pixels.round(3)  # bytes again, up to float32 rounding
    wanted = recorded[cases.key(tag, size, name)]
    assert np.abs(pixels[:: cases.STEP, :: cases.STEP] - wanted).max() <= 1  # 0 with the same version of Pillow
    height, width, *sums = recorded[cases.key(tag, size, name) + " sum"]
    assert pixels.shape[:2] == (height, width)
    assert np.abs(pixels.mean((0, 1)) - np.array(sums) / (height * width)).max() < 0.05


def test_mean_and_std_come_from_the_tag():
    """With constant images, which resizing does not change."""
    for name in ("timm/convnext_base.clip_laion2b", "torchvision/convnext_tiny.tv_in1k", "facebook/convnext-tiny-224"):
        tag = find_tag(name)
        transform = transforms_for(tag)
        for value in (0, 255):
            out = transform(np.full((50, 40, 3), value, np.uint8)).numpy()
            wanted = (value / 255 - np.array(tag.mean)) / np.array(tag.std)
            np.testing.assert_allclose(out, np.broadcast_to(wanted[:, None, None], out.shape), rtol=1e-6, atol=1e-6)


def test_arrays_and_pillow_images_agree():
    transform = ImageTransform(32, 36)
    rgb, gray, rgba = cases.pattern(50, 70), cases.pattern(50, 70, 1), cases.pattern(50, 70, 4)
    for array, image in [
        (rgb, Image.fromarray(rgb)),
        (gray, Image.fromarray(gray[..., 0])),
        (gray[..., 0], Image.fromarray(gray[..., 0])),
        (rgba, Image.fromarray(rgba)),
    ]:
        np.testing.assert_array_equal(transform(array).numpy(), transform(image).numpy())


def test_batches_of_images_of_any_size():
    transform = ImageTransform(32, 36)
    images = [Image.fromarray(cases.pattern(50, 70)), cases.pattern(33, 20), cases.pattern(40, 40, 1)]
    out = transform(images)
    assert out.shape == (3, 3, 32, 32)
    for one, image in zip(out.numpy(), images, strict=True):
        np.testing.assert_array_equal(one, transform(image).numpy())
    stacked = np.stack([cases.pattern(40, 50), cases.pattern(40, 50)[::-1]])
    np.testing.assert_array_equal(transform(stacked).numpy(), transform(list(stacked)).numpy())


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_dataset_may_transform_its_images(num_workers):
    class Photos(Dataset):
        def __len__(self):
            return 6

        def __getitem__(self, index):
            return transform(cases.pattern(40 + index, 50)), index

    transform = ImageTransform(32, 36)
    for images, labels in DataLoader(Photos(), batch_size=3, num_workers=num_workers):
        wanted = transform([cases.pattern(40 + index, 50) for index in labels.tolist()])
        np.testing.assert_array_equal(images.numpy(), wanted.numpy())


def test_the_image_is_not_modified():
    image = Image.fromarray(cases.pattern(50, 70))
    before = np.array(image)
    ImageTransform(32, 36)(image)
    np.testing.assert_array_equal(np.array(image), before)


def test_crop_returns_the_image_before_normalization():
    image = Image.fromarray(cases.pattern(50, 70))
    transform = transforms_for("convnext_tiny.fb_in1k")
    crop = transform.crop(image)
    assert crop.mode == "RGB" and crop.size == (224, 224)
    np.testing.assert_array_equal(transform(crop.resize((256, 256))).numpy().shape, (3, 224, 224))


@pytest.mark.parametrize("turned", [False, True])
def test_only_the_center_of_an_extreme_aspect_ratio_is_resized(turned):
    transform = ImageTransform(8, 10)
    image = Image.fromarray((np.arange(1001) % 256).astype(np.uint8)[None].repeat(3, 0))  # aspect ratio 334
    whole = image.resize((int(10 * 1001 / 3), 10), Image.Resampling.BICUBIC)
    left = round((whole.width - 8) / 2)
    wanted = np.asarray(whole.crop((left, 1, left + 8, 9)).convert("RGB"), dtype=int)
    found = np.asarray(transform.crop(image.transpose(Image.Transpose.TRANSPOSE) if turned else image), dtype=int)
    assert abs((found.transpose(1, 0, 2) if turned else found) - wanted).max() <= 1
    # Resizing all of this one would take 12 GB.
    assert ImageTransform(224, 256).crop(Image.new("RGB", (60_000, 1))).size == (224, 224)


@pytest.mark.parametrize(
    ("name", "image_size", "resize_size", "crop_mode"),
    [
        ("convnext_tiny", 224, 235, "center"),  # timm's default tag, in12k_ft_in1k
        ("convnext_isotropic_base", 224, 256, "center"),
        ("official/convnext_base_1k_384", 384, 384, "squash"),
        ("convnext_tiny.tv_in1k", 224, 236, "center"),
        ("convnextv2_huge.fcmae_ft_in22k_in1k_512", 512, 512, "squash"),
    ],
)
def test_transforms_for_a_checkpoint_or_variant(name, image_size, resize_size, crop_mode):
    transform = transforms_for(name)
    assert (transform.image_size, transform.resize_size, transform.crop_mode) == (image_size, resize_size, crop_mode)


@pytest.mark.parametrize(
    ("name", "size", "resize_size", "crop_mode"),
    [
        ("timm/convnext_tiny.fb_in1k", 384, 438, "center"),
        ("facebook/convnext-tiny-224", 384, 384, "squash"),
        ("facebook/convnext-base-384", 224, 256, "center"),
        ("official/convnext_tiny_1k_224_ema", 512, 512, "squash"),
        ("torchvision/convnext_tiny.tv_in1k", 448, 472, "center"),
    ],
)
def test_another_size_follows_the_rule_of_the_source(name, size, resize_size, crop_mode):
    transform = transforms_for(name, image_size=size)
    assert (transform.image_size, transform.resize_size, transform.crop_mode) == (size, resize_size, crop_mode)


def test_transforms_for_a_pretrained_model():
    model = nn.Identity()
    with pytest.raises(ValueError, match="this Identity has no pretrained weights; pass the name of a checkpoint"):
        transforms_for(model)
    for tag in ("timm/convnext_tiny.fb_in1k", find_tag("timm/convnext_tiny.fb_in1k")):
        model.pretrained_tag = tag
        assert transforms_for(model) == transforms_for("timm/convnext_tiny.fb_in1k")


def test_repr_lists_the_steps():
    assert repr(transforms_for("convnext_tiny.fb_in1k")) == (
        "ImageTransform(resize short side to 256 px (bicubic), center crop 224x224 px, "
        "mean (0.485, 0.456, 0.406), std (0.229, 0.224, 0.225))"
    )
    assert repr(transforms_for("facebook/convnext-base-384")).startswith(
        "ImageTransform(resize both sides to 384 px (bicubic), m"
    )


@pytest.mark.parametrize(
    ("image", "error", "message"),
    [
        (np.zeros((4, 4, 3)), TypeError, "uint8 array, got float64; scale it to 0..255 and convert it"),
        (np.array(["a"]), TypeError, "uint8 array, got <U1$"),
        (np.zeros((3, 9, 8), np.uint8), ValueError, r"got \(3, 9, 8\); channels come last: transpose\(1, 2, 0\)"),
        (np.zeros((9, 8, 2), np.uint8), ValueError, r"must have the shape \(H, W\), .*got \(9, 8, 2\)$"),
        (np.zeros((0, 8, 3), np.uint8), ValueError, r"got \(0, 8, 3\)"),
        ([], ValueError, "ImageTransform: expected at least one image"),
        ("cat.jpg", TypeError, "or a uint8 array, got str; open it with lucid.data.open_image"),
        (None, TypeError, "must be a Pillow image or a uint8 array, got NoneType"),
    ],
)
def test_other_inputs_raise(image, error, message):
    with pytest.raises(error, match=message):
        ImageTransform()(image)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image_size": 0}, "image_size must be at least 1, got 0"),
        ({"resize_size": 100}, "resize_size must be at least 224, got 100"),
        ({"crop_mode": "border"}, "crop_mode must be 'center' or 'squash', got 'border'"),
        ({"interpolation": "nearest"}, "interpolation must be 'bicubic' or 'bilinear', got 'nearest'"),
        ({"mean": 0.5}, "mean must be 3 numbers, or 1 for all channels, got 0.5"),
        ({"mean": (0.5, 0.5)}, "mean must be 3 numbers"),
        ({"std": (0.2, 0, 0.2)}, "std must be above 0, got 0"),
    ],
)
def test_options_out_of_range_raise(options, message):
    with pytest.raises(ValueError, match=f"ImageTransform: {message}"):
        ImageTransform(**options)


def test_lists_from_json_compare_equal():
    assert ImageTransform(mean=[0.3], std=[0.2, 0.2, 0.2]) == ImageTransform(mean=(0.3,), std=(0.2, 0.2, 0.2))


def test_unknown_sources_raise():
    with pytest.raises(ValueError, match="transforms_for: there is no checkpoint 'convnext_tiney'; did you mean "):
        transforms_for("convnext_tiney")
    with pytest.raises(TypeError, match="source must be a name, a Tag or a model, got 3"):
        transforms_for(3)
    with pytest.raises(ValueError, match="transforms_for: image_size must be at least 1, got 0"):
        transforms_for("convnext_tiny", image_size=0)


def test_without_pillow_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ImportError, match=r'ImageTransform: Pillow is required; pip install "lucid-mlx\[vision\]"'):
        ImageTransform()(np.zeros((8, 8, 3), np.uint8))
