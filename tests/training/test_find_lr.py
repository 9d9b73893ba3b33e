"""The learning rate finder: where the loss falls, and that nothing remains of it."""

import numpy as np
import pytest

import lucid
from lucid import models, nn, training
from lucid.training import LRCurve, find_lr


def trainer(lr=1e-2, **options):
    lucid.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 32), nn.GELU(), nn.Dropout(0.2), nn.Linear(32, 3))
    rng = np.random.default_rng(0)
    x = rng.normal(size=(100, 5)).astype(np.float32)
    recipe = training.Recipe(epochs=2, batch_size=20, lr=lr, ema=0.9, **options)
    return training.Trainer(model, recipe, train=(x, x[:, :3].argmax(axis=1)))


def test_the_loss_falls_and_then_explodes():
    curve = find_lr(trainer(optimizer="sgd", clip_norm=0.0, label_smoothing=0.0), low=1e-4, high=1e4, steps=80)
    np.testing.assert_allclose(curve.lrs, np.geomspace(1e-4, 1e4, 80)[: len(curve.lrs)])
    assert len(curve.lrs) < 80  # it stopped early
    lowest = int(curve.smoothed.argmin())
    assert curve.smoothed[lowest] < 0.9 * curve.smoothed[0] and curve.smoothed[-1] > 2 * curve.smoothed[lowest]
    assert 1e-3 < curve.suggestion < curve.lrs[lowest]


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_training_is_as_if_nothing_had_happened(optimizer):
    results = []
    for is_searched in (False, True):
        one = trainer(optimizer=optimizer)
        if is_searched:
            find_lr(one, steps=12)
        one.fit(progress=False)
        rows = [[row["train_loss"], row["train_accuracy"], row["lr"]] for row in one.history]
        results.append((rows, [p.detach().numpy() for p in one.model.parameters()], one.weights()))
    assert results[0][0] == results[1][0]
    for before, after in zip(results[0][1], results[1][1], strict=True):
        np.testing.assert_array_equal(before, after)
    for name, tensor in results[0][2].items():
        np.testing.assert_array_equal(tensor.numpy(), results[1][2][name].numpy())


def test_the_rate_is_that_of_the_last_layers():
    lucid.manual_seed(0)
    model = models.ConvNeXt(3, (1, 1), (4, 8), patch_size=2)
    images = np.random.default_rng(0).integers(0, 256, size=(40, 3, 16, 16)).astype(np.uint8)
    recipe = training.Recipe(batch_size=20, layer_decay=0.5, image_sizes=(8, 16))
    augment = training.augmentation(recipe, [0.5] * 3, [0.25] * 3, 3)
    one = training.Trainer(model, recipe, train=(images, np.arange(40) % 3), transform=augment)
    steps, sizes = [], set()
    model.register_forward_hook(lambda module, inputs, output: sizes.add(inputs[0].shape[-1]))
    mean_loss_of, one.mean_loss.compute = one.mean_loss.compute, lambda: steps.append(rates(one)) or mean_loss_of()
    curve = find_lr(one, steps=10)
    assert [max(step) for step in steps] == pytest.approx(curve.lrs.tolist())
    # The head, the second stage, the first and the stem: each half of the rate of the one after it.
    assert sorted({round(rate / max(steps[3]), 6) for rate in steps[3]}) == [0.125, 0.25, 0.5, 1.0]
    assert sizes == {8}  # of the first epoch


def rates(one):
    return [group["lr"] for group in one.optimizer.param_groups]


def test_a_loss_that_is_nan_from_the_start():
    x = np.full((40, 5), np.nan, np.float32)
    one = training.Trainer(nn.Linear(5, 2), training.Recipe(batch_size=20), train=(x, np.arange(40) % 2))
    with pytest.raises(training.DivergedError, match="NaN or infinite at the lowest learning rate, 1e-05"):
        find_lr(one, low=1e-5)


def test_the_suggestion_is_the_steepest_descent():
    lrs = np.geomspace(1e-4, 1, 5)
    losses = np.array([3, 2.9, 1.5, 1.2, 9.0])
    assert LRCurve(lrs, losses, losses).suggestion == pytest.approx(10**-2.5)
    for losses in ([1, 2, 3, 4, 5.0], [1, 1, 1, 1, 1.0], [1.0]):
        assert np.isnan(LRCurve(lrs[: len(losses)], np.array(losses), np.array(losses)).suggestion)


@pytest.mark.parametrize("steps", [60, 100, 300])
def test_the_suggestion_follows_the_loss_and_not_its_noise(steps):
    """A loss that falls between 1e-3 and 1e-1, with as much noise as small batches have."""
    lrs = np.geomspace(1e-6, 1, steps)
    places = np.log10(lrs)
    mean = 1 - 0.6 / (1 + np.exp(-3 * (places + 2))) + np.exp(20 * (places + 0.3))
    for seed in range(50):
        losses = mean + np.random.default_rng(seed).normal(scale=0.1, size=steps)
        averages, average = [], 0.0
        for number, loss in enumerate(losses, 1):
            average = 0.9 * average + 0.1 * loss
            averages.append(average / (1 - 0.9**number))
        assert 1e-3 < LRCurve(lrs, losses, np.array(averages)).suggestion < 1e-1


def test_small_batches_do_not_make_the_first_steps_the_suggestion():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(120, 5)).astype(np.float32)
    for batch_size in (4, 20):
        lucid.manual_seed(0)
        recipe = training.Recipe(epochs=1, batch_size=batch_size)
        one = training.Trainer(nn.Linear(5, 2), recipe, train=(x, (x[:, 0] > 0).astype(int)))
        assert 1e-3 < find_lr(one, high=10.0).suggestion < 1


def test_the_curve_is_drawn(tmp_path):
    pytest.importorskip("matplotlib", reason="drawn with matplotlib")
    image = pytest.importorskip("PIL.Image", reason="read with Pillow")
    lrs = np.geomspace(1e-4, 1, 5)
    for number, values in enumerate(([3, 2.9, 1.5, 1.2, 9.0], [1, 2, 3, 4, 5.0], [1, 1, 1, 1, 1.0])):
        LRCurve(lrs, np.array(values), np.array(values)).plot(tmp_path / f"{number}.png")
        with image.open(tmp_path / f"{number}.png") as picture:
            assert picture.size == (910, 520)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"low": 0}, "low must be above 0"),
        ({"low": 1.0, "high": 0.5}, "high must be above 1"),
        ({"high": float("inf")}, "high must be finite, got inf"),
        ({"steps": 9}, "steps must be at least 10"),
    ],
)
def test_wrong_options_are_explained(options, message):
    with pytest.raises(ValueError, match=message):
        find_lr(trainer(), **options)


def test_trainers_that_cannot_be_searched():
    with pytest.raises(ValueError, match="lr must be above 0"):
        find_lr(trainer(lr=0.0))
    one = trainer()
    one.fit(progress=False)
    with pytest.raises(ValueError, match="the trainer has begun"):
        find_lr(one)
