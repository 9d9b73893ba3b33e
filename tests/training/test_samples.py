"""What the report shows of the training data."""

import numpy as np
import pytest

import lucid
from lucid import nn, training
from lucid.data import Digits, augment
from lucid.training import samples
from lucid.training.batches import ArrayDataset

CLASSES = ["a", "b", "c"]


def test_classes_are_counted_where_the_targets_are_at_hand():
    count = samples.class_counts
    assert count(ArrayDataset(np.zeros((4, 2)), np.array([0, 2, 2, 0])), 3) == [2, 0, 2]
    assert count([("x.jpg", 1), ("y.jpg", 1)], 3) == [0, 2, 0]
    for nothing in (
        None,
        [],
        ArrayDataset(np.zeros((2, 2)), np.zeros((2, 3))),
        ArrayDataset(np.zeros((2, 2)), np.array([0, 3])),
    ):
        assert count(nothing, 3) == []
    pytest.importorskip("sklearn", reason="the digits come with scikit-learn")
    digits = Digits(train=False)
    assert sum(count(augment.DeviceDataset(digits), 10)) == len(digits) == sum(count(digits, 10))


def trainer(transform=None, test_transform=None):
    x = np.random.default_rng(0).integers(0, 256, (8, 3, 4, 5)).astype(np.uint8)
    model = nn.Sequential(nn.Flatten(), nn.Linear(60, 3))
    made = training.Trainer(
        model, training.Recipe(epochs=1, warmup_epochs=0, batch_size=8), train=(x, np.arange(8) % 3), classes=CLASSES,
        transform=transform, test_transform=test_transform,
    )  # fmt: skip
    return made, lucid.tensor(x), lucid.tensor(np.arange(8) % 3)


def test_normalized_images_are_shown_in_their_own_colors():
    normalize = augment.Normalize([0.5, 0.4, 0.3], [0.2, 0.3, 0.4])
    made, x, y = trainer(lambda images, labels: (normalize(images), labels), normalize)
    lucid.manual_seed(1)  # of a mixture whose smaller part is shown
    before = lucid.random.get_state().tolist()
    found = samples.augmented_samples(made, x, y)
    assert lucid.random.get_state().tolist() == before
    for one, pixels in zip(found, x.numpy().transpose(0, 2, 3, 1), strict=True):
        np.testing.assert_array_equal(one.image, pixels)
    assert [one.label for one in found[:4]] == ["a", "b", "c", "a"]


def test_the_transform_is_applied_and_draws_from_the_random_state_without_changing_it():
    normalize = augment.Normalize([0.5] * 3, [0.5] * 3)
    made, x, y = trainer(augment.Compose([normalize, augment.Mixup(0.8, num_classes=3)]))
    before = lucid.random.get_state().tolist()
    found = samples.augmented_samples(made, x, y)
    assert lucid.random.get_state().tolist() == before
    assert len(found) == 8 and all(one.image.shape == (4, 5, 3) and one.image.dtype == np.uint8 for one in found)
    assert any("%" in one.label for one in found)


def test_images_without_a_transform_are_shown_as_they_are_and_other_data_not_at_all():
    made, x, y = trainer()
    np.testing.assert_array_equal(samples.augmented_samples(made, x, y)[3].image, x.numpy()[3].transpose(1, 2, 0))
    assert samples.augmented_samples(made, x.float().flatten(1), y) == []


@pytest.mark.parametrize(
    ("target", "label"),
    [(1, "b"), (np.float32(2.5), "2.5"), ([0.0, 1.0, 0.0], "b"), ([0.25, 0.7, 0.05], "b 70%, a 25%")],
)
def test_labels_name_the_classes(target, label):
    assert samples._label(np.asarray(target) if isinstance(target, list) else target, CLASSES) == label
