"""Every operation against recorded results of timm and torchvision on Pillow images."""

import numpy as np
import pytest

import lucid
from lucid.data import augment
from lucid.data.augment import policies
from tests.reference import augment_cases as cases

RECORDED = cases.load()


def apply(channels, names, arguments, interpolation="nearest"):
    """All cases of one operation in one batch: (cases, 5, C, H, W)."""
    images = cases.images(channels)
    many = lucid.tensor(np.tile(images, (len(names), 1, 1, 1)))
    repeat = [list(np.repeat(one, len(images))) for one in (names, arguments)]
    out = augment.apply_operation(many, *repeat, interpolation, cases.FILL)
    return out.numpy().reshape(len(names), *images.shape)


@pytest.mark.parametrize("channels", [3, 1])
@pytest.mark.parametrize("name", cases.WIDE_OPERATIONS)
def test_trivial_augment_operations_match_torchvision(name, channels):
    variants = [(k, s) for k in cases.STRENGTHS for s in (1, -1) if f"wide|{name}|{k}|{s}|{channels}" in RECORDED]
    assert len(variants) >= len(cases.STRENGTHS)
    arguments = [policies.wide_argument(name, strength, sign, 31) for strength, sign in variants]
    out = apply(channels, [name] * len(variants), arguments)
    for (strength, sign), one in zip(variants, out, strict=True):
        expected = RECORDED[f"wide|{name}|{strength}|{sign}|{channels}"]
        np.testing.assert_array_equal(one, expected, err_msg=f"{strength} {sign}")


@pytest.mark.parametrize("channels", [3, 1])
@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
@pytest.mark.parametrize("name", cases.RAND_OPERATIONS)
def test_rand_augment_operations_match_timm(name, interpolation, channels):
    if interpolation == "bilinear" and name not in cases.GEOMETRIC:
        interpolation = "nearest"
    variants = [
        (m, s, i)
        for m in cases.MAGNITUDES
        for s in (1, -1)
        for i in (True, False)
        if f"rand|{name}|{m}|{s}|{i}|{interpolation}|{channels}" in RECORDED
    ]
    assert len(variants) >= 12
    arguments = [policies.rand_argument(name, *variant, *cases.images(channels).shape[2:]) for variant in variants]
    out = apply(channels, [name] * len(variants), arguments, interpolation).astype(int)
    for variant, one in zip(variants, out, strict=True):
        case = "|".join(map(str, (name, *variant)))
        difference = np.abs(one - RECORDED[f"rand|{case}|{interpolation}|{channels}"])
        if interpolation == "nearest":
            assert difference.max() == 0, case
        else:  # Pillow interpolates in float64: close to an integer we may differ by one
            assert difference.max() <= 1 and (difference > 0).mean() < 0.05, case


@pytest.mark.parametrize("name", cases.RAND_OPERATIONS)
def test_arguments_of_magnitudes_match_timm(name):
    for magnitude in cases.MAGNITUDES:
        for sign in (1, -1):
            for increasing in (True, False):
                recorded = RECORDED[f"argument|{name}|{magnitude}|{sign}|{increasing}"]
                # timm's translations are relative: the size is one pixel
                found = policies.rand_argument(name, magnitude, sign, increasing, 1, 1)
                assert found == pytest.approx(recorded[0] if len(recorded) else 0.0, abs=1e-12)


def test_equalize_handles_few_colors_and_large_flat_areas():
    flat = np.full((1, 1, 40, 40), 200, np.uint8)
    flat[0, 0, :3, :40] = 10  # 120 of 1600 pixels, fewer than 255, are below the maximum: unchanged
    np.testing.assert_array_equal(augment.apply_operation(lucid.tensor(flat), "Equalize").numpy(), flat)
    half = np.where(np.arange(1600).reshape(1, 1, 40, 40) % 2, 10, 20).astype(np.uint8)
    assert set(augment.apply_operation(lucid.tensor(half), "Equalize").numpy().ravel()) == {0, 255}


def test_posterizing_to_0_bits_is_black_and_to_8_bits_the_identity():
    images = lucid.tensor(cases.images(3))
    assert augment.apply_operation(images, "Posterize", 0).numpy().max() == 0
    np.testing.assert_array_equal(augment.apply_operation(images, "Posterize", 8).numpy(), images.numpy())


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: augment.apply_operation(x, "Blur"), ValueError, "operation must be 'Identity', .* got 'Blur'"),
        (lambda x: augment.apply_operation(x, ["Rotate"], 3), ValueError, "5 images but 1 operations"),
        (
            lambda x: augment.apply_operation(x, "Rotate", [1, 2]),
            ValueError,
            r"argument must be a number or one per image \(5\)",
        ),
        (lambda x: augment.apply_operation(x, "Rotate", np.nan), ValueError, "argument must be a number .* got nan"),
        (lambda x: augment.apply_operation(x, "Rotate", 3, "cubic"), ValueError, "must be 'nearest' or 'bilinear'"),
        (
            lambda x: augment.apply_operation(x, "Rotate", 3, fill=[1, 2]),
            ValueError,
            "a number or one per channel .3., got",
        ),
        (lambda x: augment.apply_operation(x.float(), "Rotate"), TypeError, "uint8 from 0 to 255, got float32"),
    ],
)
def test_invalid_operations_raise(call, error, message):
    with pytest.raises(error, match=message):
        call(lucid.tensor(cases.images(3)))
