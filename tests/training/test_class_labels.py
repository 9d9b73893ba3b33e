"""Which data show all their class labels before training."""

from types import SimpleNamespace

import numpy as np
import pytest

import lucid
from lucid import data
from lucid.data import augment
from lucid.data.transforms import DecodeImages
from lucid.training.batches import ArrayDataset
from lucid.training.class_labels import ClassLabels, all_labels

LABELS = np.array([3, 1, 4, 1, 5])
PIXELS = np.zeros((5, 3, 4, 4), np.uint8)
DEVICE = augment.DeviceDataset(SimpleNamespace(data=PIXELS, targets=LABELS, max_value=255))


@pytest.mark.parametrize(
    "source",
    [
        (PIXELS, LABELS),
        (PIXELS, lucid.tensor(LABELS)),
        ArrayDataset(PIXELS, LABELS),
        data.TensorDataset(PIXELS, LABELS),
        data.DataLoader(data.TensorDataset(PIXELS, LABELS), 2, shuffle=True),
        data.Subset(data.TensorDataset(PIXELS, LABELS[::-1]), [4, 3, 2, 1, 0]),
        DEVICE,
        augment.DeviceLoader(DEVICE, batch_size=2),
    ],
    ids=lambda source: type(source).__name__,
)
def test_they_are_found(source):
    np.testing.assert_array_equal(all_labels(source), LABELS)


def test_those_of_image_datasets_are_found():
    digits = pytest.importorskip("sklearn", reason="the digits come with scikit-learn") and data.Digits(train=False)
    np.testing.assert_array_equal(all_labels(digits), digits.targets)
    assert all_labels(data.Digits(train=False, target_transform=lambda label: label % 2)) is None

    class Parity(data.Digits):
        def __getitem__(self, index):
            return self.data[index], self.targets[index] % 2

    assert all_labels(Parity(train=False)) is None


@pytest.mark.parametrize(
    "source",
    [
        None,
        (PIXELS, LABELS.astype(np.float32)),
        [(PIXELS, LABELS)],
        SimpleNamespace(targets=LABELS),  # nobody knows what its samples are
        data.TensorDataset(PIXELS, LABELS, LABELS),
        data.DataLoader(data.TensorDataset(PIXELS, LABELS), 2, collate_fn=list),
        data.DataLoader(
            data.TensorDataset(PIXELS, LABELS), 2, batch_transform=DecodeImages(lambda image, rng: image, 8)
        ),
    ],
)
def test_others_are_left_to_the_loss(source):
    assert all_labels(source) is None


@pytest.mark.parametrize(
    ("transform", "is_known"),
    [
        (None, True),
        (augment.Compose([augment.RandomHorizontalFlip(), augment.Mixup(0.8, 1.0, num_classes=3)]), True),
        (augment.Compose([lambda images, labels, key: (images, labels // 2)]), False),
        (lambda images, labels: (images, labels // 2), False),
    ],
)
def test_a_transform_of_labels_leaves_them_to_the_loss(transform, is_known):
    labels = ClassLabels((PIXELS, LABELS), None, transform)
    if is_known:
        with pytest.raises(IndexError, match="Trainer: train label 3 is out of range for 3 classes"):
            labels.check(lucid.zeros(2, 3))
    labels.check(lucid.zeros(2, 6))
    if not is_known:
        labels.check(lucid.zeros(2, 3))
