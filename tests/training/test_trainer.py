"""The parts of training programs: the order of images, the schedule, the groups, what a test finds."""

import math
from types import SimpleNamespace

import numpy as np
import pytest

import lucid
from lucid import data, models, nn
from lucid.data import augment
from lucid.training import batches, optimizer, trainer


@pytest.fixture(scope="module")
def training():
    return SimpleNamespace(**{**vars(optimizer), **vars(batches), **vars(trainer)})


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    values = rng.integers(0, 256, (23, 1, 4, 4), dtype=np.uint8)
    return augment.DeviceDataset(SimpleNamespace(data=values, targets=np.arange(23) % 3, max_value=255))


def test_a_test_shares_its_batches_among_any_processes(training, monkeypatch):
    monkeypatch.setattr("lucid.distributed.get_world_size", lambda: 3)
    recipe = training.Recipe(batch_size=8, accumulate=4, ema=0.9)
    with pytest.raises(ValueError, match="--batch-size must be a multiple of 3 processes times --accumulate 4, got 8"):
        training.share_of_batches(recipe, range(40))
    tested = training.for_test(recipe)
    assert (tested.batch_size, tested.accumulate, tested.ema) == (6, 1, 0.0)
    assert len(training.share_of_batches(tested, range(40))["batch_sampler"]) > 0
    assert training.for_test(training.Recipe(batch_size=2)).batch_size == 3


def test_the_rate_rises_then_falls_to_the_floor(training):
    factor = training.warmup_cosine(4, 12, 0.1)
    found = [factor(step) for step in range(14)]
    cosine = [0.1 + 0.9 * (0.5 + 0.5 * math.cos(math.pi * step / 8)) for step in range(9)]
    np.testing.assert_allclose(found, [0.25, 0.5, 0.75, 1, *cosine, 0.1], rtol=1e-12)
    assert training.warmup_cosine(0, 0, 0.0)(0) == 1.0


@pytest.mark.parametrize(("decay", "groups"), [(1.0, 2), (0.5, 8)])
def test_biases_norms_and_scales_have_no_decay(training, decay, groups):
    model = models.ConvNeXt(3, (1, 1), (4, 8), in_chans=1, patch_size=2)
    recipe = training.Recipe(layer_decay=decay, weight_decay=0.3)
    found = training.make_groups(recipe, model)
    assert len(found) == groups
    names = {name: group["weight_decay"] for group in found for name in group["param_names"]}
    assert names == {name: 0.3 if p.ndim > 1 else 0.0 for name, p in model.named_parameters()}
    optimizer = training.make_optimizer(recipe, found)
    rates = {name: group["lr"] for group in optimizer.param_groups for name in group["param_names"]}
    assert rates["head.weight"] == 2e-3 and rates["stages.0.0.gamma"] == pytest.approx(2e-3 * decay**2)


def test_optimizers_are_those_of_the_recipe(training):
    groups = [{"params": [nn.Parameter(lucid.ones(2))]}]
    sgd = training.make_optimizer(training.Recipe(optimizer="sgd", momentum=0.8, lr=0.1), groups)
    assert isinstance(sgd, lucid.optim.SGD) and sgd.param_groups[0]["momentum"] == 0.8
    assert sgd.param_groups[0]["nesterov"] and sgd.param_groups[0]["lr"] == 0.1
    assert isinstance(training.make_optimizer(training.Recipe(), groups), lucid.optim.AdamW)


def test_the_augmentation_is_what_the_recipe_says(training):
    def names(**knobs):
        made = training.augmentation(training.Recipe(**knobs), [], (0.5,), (0.2,), 3)
        return [type(one).__name__ for one in made.transforms]

    assert names(flip=False) == ["Normalize"]
    everything = {"augment": "trivial", "color_jitter": 0.4, "erasing": 0.2, "mixup": 0.8, "cutmix": 1.0}
    assert names(**everything) == [
        "RandomHorizontalFlip", "TrivialAugmentWide", "ColorJitter", "Normalize", "RandomErasing", "Mixup",
    ]  # fmt: skip
    made = training.augmentation(training.Recipe(augment="rand-m7-mstd0.5"), [], (0.5,), (0.2,), 3)
    assert made.transforms[1].magnitude == 7 and made.transforms[1].fill == [128]
    with pytest.raises(ValueError, match="'random'"):
        training.augmentation(training.Recipe(augment="random"), [], (0.5,), (0.2,), 3)


def test_a_test_finds_counts_and_the_surest_mistakes(training, images):
    class Fixed(nn.Module):
        """Logits that grow with the first pixel, for class 1."""

        def forward(self, x):
            first = x[:, 0, 0, 0]
            return lucid.stack([first * 0, first * 0.1, first * 0 - 1], dim=1)

    trainer = SimpleNamespace(
        model=Fixed(), ema=None, classes=["a", "b", "c"], prepare_test=lambda x: x.float() / 16,
        test_loader=augment.DeviceLoader(images, batch_size=5),
    )  # fmt: skip
    found = training.evaluate(trainer)
    first = images.images.numpy()[:, 0, 0, 0] / 16
    logits = np.stack([first * 0, first * 0.1, first * 0 - 1], axis=1)
    sure = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    truth, taken = images.labels.numpy(), logits.argmax(axis=1)
    assert found.loss == pytest.approx(-np.log(sure[np.arange(23), truth]).mean(), rel=1e-5)
    assert found.accuracy == pytest.approx((truth == taken).mean())
    assert all(found.confusion[i, j] == ((truth == i) & (taken == j)).sum() for i in range(3) for j in range(3))
    wrong = sorted(np.flatnonzero(truth != taken), key=lambda i: -sure[i].max())
    assert [one[0] for one in found.mistakes] == wrong
    for number, label, class_taken, of_taken, of_truth in found.mistakes:
        assert (label, class_taken) == (truth[number], taken[number])
        assert (of_taken, of_truth) == pytest.approx((sure[number].max(), sure[number, label]), rel=1e-5)


def test_data_of_lucid_are_what_the_loader_takes(training):
    pytest.importorskip("sklearn", reason="the digits come with scikit-learn")
    loader = augment.DeviceLoader(augment.DeviceDataset(data.Digits(train=False)), batch_size=100)
    assert [len(labels) for _, labels in loader] == [100, 100, 100, 55]
