"""FCMAE against a sparse reference, which computes visible positions only, and its masks, patches and errors."""

import numpy as np
import pytest

import lucid
from lucid import models
from tests.models import sparse_reference as reference

RNG = np.random.default_rng(18)


def made(depths=(1, 2), dims=(4, 6), patch_size=2, stem="patch", kind=models.ConvNeXtV2, channels=3, **options):
    """A model whose parameters are all random, also those that start from zero or one."""
    more = {} if kind is models.ConvNeXtV2 else {"layer_scale_init": 1.0}
    encoder = kind(0, depths, dims, patch_size=patch_size, stem_type=stem, in_chans=channels, **more)
    model = models.FCMAE(encoder, **{"decoder_dim": 5, **options})
    values = {name: RNG.normal(0, 0.5, tensor.shape) for name, tensor in model.state_dict().items()}
    values = {name: value.astype(np.float32) for name, value in values.items()}
    model.load_state_dict({name: lucid.tensor(value) for name, value in values.items()})
    return model, {name: value.astype(np.float64) for name, value in values.items()}


def drawn(count, size=(16, 24), channels=3):
    return RNG.normal(size=(count, channels, *size)).astype(np.float32)


def masks(count, rows, columns, ratios=(0.2, 0.9)):
    """Masks of different ratios, none of which hides nothing or all."""
    found = RNG.uniform(size=(count, rows, columns)) < RNG.uniform(*ratios, size=(count, 1, 1))
    for one in found.reshape(count, -1):
        one[RNG.permutation(one.size)[:2]] = [False, True]
    return found.astype(np.float32)


def dense(features, shape):
    found = np.zeros(shape)
    for (row, column), value in features.items():
        found[:, row, column] = value
    return found


@pytest.mark.parametrize(
    ("count", "options", "strides"),
    [
        (20, {}, [2]),
        (3, {"mask_size": 8}, [2]),
        (1, {"stem": "overlap", "patch_size": 1}, [1]),
        (1, {"stem": "overlap_act", "patch_size": 4, "depths": (1,), "dims": (4,), "mask_size": 8}, [2, None, 2]),
        (3, {"stem": "overlap", "patch_size": 4, "depths": (1,), "dims": (4,)}, [2, 2]),
        (3, {"kind": models.ConvNeXt, "channels": 1}, [2]),
        (1, {"depths": (1, 1, 1), "dims": (3, 4, 5), "patch_size": 1}, [1]),
    ],
    ids=["20 masks", "large squares", "overlap", "overlap_act", "two convolutions", "V1, gray", "three stages"],
)
def test_the_masked_encoder_is_a_sparse_one(count, options, strides):
    model, weights = made(**options)
    images = drawn(count, channels=options.get("channels", 3))
    mask = masks(count, 16 // model.mask_size, 24 // model.mask_size)
    with lucid.no_grad():
        found = model.encode(lucid.tensor(images), lucid.tensor(mask)).numpy()
    padding = 0 if options.get("stem", "patch") == "patch" else 1
    for number in range(count):
        expected = reference.encode(
            weights, model.encoder.depths, images[number].astype(float), mask[number], model.mask_size, strides, padding
        )
        expected = dense(expected, found[number].shape)
        np.testing.assert_allclose(found[number], expected, rtol=2e-4, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("options", [{}, {"normalize_targets": False, "decoder_depth": 2}, {"mask_size": 8}])
def test_prediction_and_loss_are_those_of_the_formulas(options):
    model, weights = made(**options)
    images, mask = drawn(3), masks(3, 16 // model.mask_size, 24 // model.mask_size)
    with lucid.no_grad():
        loss, prediction, given = model(lucid.tensor(images), lucid.tensor(mask))
    assert given.tolist() == mask.tolist()
    errors, scale = [], model.mask_size // model.stride
    for number, image in enumerate(images.astype(float)):
        hidden = np.kron(mask[number], np.ones((scale, scale)))
        features = reference.encode(weights, (1, 2), image, mask[number], model.mask_size, [2])
        expected = reference.predict(weights, features, hidden)
        values = dense(expected, prediction.shape[1:])
        np.testing.assert_allclose(
            prediction[number].numpy(), values, rtol=1e-3, atol=2e-5 * np.abs(values).max(), err_msg=str(number)
        )
        errors += reference.loss(image, expected, hidden, model.normalize_targets)
    np.testing.assert_allclose(loss.item(), np.mean(errors), rtol=1e-5)


def test_hidden_pixels_have_no_influence():
    model, _ = made(stem="overlap", patch_size=1)
    images, mask = lucid.tensor(drawn(2), requires_grad=True), lucid.tensor(masks(2, 8, 12))
    features = model.encode(images, mask)
    others = model.hide(images.detach(), mask, 100.0)
    np.testing.assert_array_equal(features.detach().numpy(), model.encode(others, mask).detach().numpy())
    (features * lucid.tensor(RNG.normal(size=features.shape).astype(np.float32))).sum().backward()
    hidden = np.kron(mask.numpy(), np.ones((1, 2, 2)))[:, None].repeat(3, 1) == 1
    gradient = images.grad.numpy()
    assert (gradient[hidden] == 0).all() and (gradient[~hidden] != 0).all()


def test_every_parameter_gets_the_gradient_of_the_loss():
    model, _ = made()
    images, mask = lucid.tensor(drawn(2)), lucid.tensor(masks(2, 4, 6))
    model(images, mask)[0].backward()
    parameters = dict(model.named_parameters())
    assert all(np.abs(p.grad.numpy()).max() > 0 for p in parameters.values())
    for name in ("encoder.stages.0.0.grn.gamma", "encoder.downsample_layers.1.1.weight", "mask_token"):
        p = parameters[name]
        direction = RNG.normal(size=p.shape).astype(np.float32)
        before, step, losses = p.detach().numpy().copy(), 1e-2, []
        for sign in (1, -1):
            p.data = lucid.tensor(before + sign * step * direction)
            losses.append(model(images, mask)[0].item())
        p.data = lucid.tensor(before)
        slope = (losses[0] - losses[1]) / (2 * step)
        np.testing.assert_allclose((p.grad.numpy() * direction).sum(), slope, rtol=0.02, atol=2e-3, err_msg=name)


def test_masks_hide_the_same_number_of_squares():
    model, _ = made(mask_size=8)
    images = lucid.zeros(64, 3, 56, 56)
    found = model.random_mask(images).numpy()
    assert found.shape == (64, 7, 7) and set(np.unique(found)) == {0, 1}
    assert (found.sum(axis=(1, 2)) == 49 - 19).all()
    assert len(np.unique(found.reshape(64, -1), axis=0)) == 64
    assert 0.4 < found.mean(axis=0).min() < found.mean(axis=0).max() < 0.85  # each square
    assert (model.random_mask(images).numpy() != found).any()


@pytest.mark.parametrize(
    ("ratio", "side", "kept"), [(0.8, 5, 5), (0.9, 10, 10), (0.6, 5, 10), (0.6, 7, 19), (0.7, 10, 30)]
)
def test_of_l_squares_the_integer_part_remains(ratio, side, kept):
    """Of the product as it is written, 25 x 0.2, not of 4.9999..., as floating-point numbers give it."""
    model, _ = made(mask_ratio=ratio)
    found = model.random_mask(lucid.zeros(3, 3, side * model.mask_size, side * model.mask_size))
    assert (1 - found.numpy()).sum(axis=(1, 2)).tolist() == [kept] * 3


def test_in_evaluation_masks_are_the_same_and_random_numbers_are_left_alone():
    model, _ = made()
    images = lucid.tensor(drawn(2))
    model.eval()
    before = lucid.random.get_state().tolist()
    first, second = model(images), model(images)
    assert first[0].item() == second[0].item() and lucid.random.get_state().tolist() == before
    assert first[2].tolist() == second[2].tolist() and first[2][0].tolist() != first[2][1].tolist()


def test_patches_are_ordered_by_row_column_and_channel():
    model, _ = made(channels=2)
    images = drawn(2, channels=2)
    patches = model.patchify(images)
    assert patches.shape == (2, 32, 4, 6)
    assert patches[1, :, 2, 3].tolist() == images[1, :, 8:12, 12:16].transpose(1, 2, 0).ravel().tolist()
    np.testing.assert_array_equal(model.unpatchify(patches).numpy(), images)


@pytest.mark.parametrize("normalized", [True, False])
def test_a_perfect_prediction_reconstructs_the_image(normalized):
    model, _ = made(normalize_targets=normalized)
    images, mask = drawn(2), masks(2, 4, 6)
    patches = model.patchify(images).numpy().astype(np.float64)
    if normalized:
        patches = (patches - patches.mean(1, keepdims=True)) / np.sqrt(patches.var(1, keepdims=True, ddof=1) + 1e-6)
    prediction = lucid.tensor(patches.astype(np.float32))
    np.testing.assert_allclose(model.reconstruct(images, prediction, mask).numpy(), images, atol=1e-5)
    worse = model.reconstruct(images, prediction + 1, mask).numpy()
    hidden = np.kron(mask, np.ones((1, 4, 4)))[:, None].repeat(3, 1) == 1
    np.testing.assert_allclose(worse[~hidden], images[~hidden], atol=1e-6)
    assert (np.abs(worse - images)[hidden] > 0.05).all()


def test_the_encoder_continues_as_a_classifier():
    model, _ = made()
    classifier = models.ConvNeXtV2(0, (1, 2), (4, 6), patch_size=2)
    with pytest.warns(UserWarning, match="no final norm and classifier"):
        report = models.load_checkpoint(classifier, model.state_dict())
    images = lucid.tensor(drawn(2))
    nothing_hidden = model.encode(images, lucid.zeros(2, 4, 6))
    np.testing.assert_allclose(
        classifier.forward_features(images).detach().numpy(), nothing_hidden.detach().numpy(), rtol=1e-4, atol=1e-5
    )
    assert report.prefix == "encoder." and "mask_token" in report.skipped


def test_bfloat16_keeps_its_dtype():
    model, _ = made()
    with lucid.autocast(dtype=lucid.bfloat16):
        loss, prediction, _ = model(lucid.tensor(drawn(2)), lucid.tensor(masks(2, 4, 6)))
    assert loss.dtype == lucid.float32 and prediction.dtype == lucid.bfloat16 and np.isfinite(loss.item())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: models.FCMAE(models.ConvNeXtIsotropic(0, 1, 8)), "encoder must be a ConvNeXt or ConvNeXtV2, got"),
        (lambda: models.FCMAE(models.convnextv2_atto(0, output_stride=16)), "must not have an output_stride"),
        (lambda: made(mask_size=6), "mask_size must be a multiple of the total stride of the encoder, 4 px, got 6"),
        (lambda: made(mask_size=0), "mask_size must be at least 1, got 0"),
        (lambda: made(mask_ratio=1.5), "mask_ratio must be"),
        (lambda: made((1,), (4,), 1, channels=1), "normalize_targets needs patches of at least 2 values"),
        (lambda: made()[0](drawn(1, (16, 18))), "multiples of mask_size, 4 px, got 16x18"),
        (lambda: made()[0](drawn(1, channels=1)), "must have 3 channels"),
        (lambda: made()[0](drawn(1, (4, 4))), "leaves 0 of 1 squares of 4 px visible in images of 4x4 px"),
        (lambda: made(mask_ratio=0.0)[0](drawn(1)), "mask_ratio 0 leaves 24 of 24 squares"),
        (lambda: made()[0](drawn(2), np.zeros((2, 4, 4))), r"mask must have shape \(2, 4, 6\), one value for each squ"),
    ],
)
def test_wrong_arguments_are_named(call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call()
