import numpy as np
import pytest

from lucid.data.images import ImageDataset


class Shades(ImageDataset):
    classes = ("dark", "bright")
    max_value = 255
    mean = (0.5,)
    std = (0.25,)

    def __init__(self, train=True, transform=None, target_transform=None):
        data = np.arange(5 * 6, dtype=np.uint8).reshape(5, 1, 2, 3)
        super().__init__(data, np.array([0, 1, 1, 0, 1]), train, transform, target_transform)


def test_a_sample_is_an_image_and_an_int():
    image, target = Shades()[-2]
    np.testing.assert_array_equal(image, np.arange(18, 24).reshape(1, 2, 3))
    assert target == 0 and type(target) is int and len(Shades()) == 5
    with pytest.raises(IndexError):
        Shades()[5]


def test_class_indices_and_repr():
    assert Shades().class_to_idx == {"dark": 0, "bright": 1}
    assert repr(Shades(train=False)) == "Shades(test: 5 images (1, 2, 3), 2 classes)"


@pytest.mark.parametrize("indices", [[3, 0, 3], np.array([4]), range(5), []])
def test_a_batch_is_its_samples_stacked(indices):
    dataset = Shades()
    images, targets = dataset.get_batch(indices)
    assert images.shape == (len(indices), 1, 2, 3) and targets.shape == (len(indices),)
    assert images.dtype == np.uint8 and targets.dtype == np.int64
    for i, index in enumerate(indices):
        np.testing.assert_array_equal(images[i], dataset[index][0])
        assert targets[i] == dataset[index][1]


def test_transforms_are_applied_to_each_sample_of_a_batch():
    dataset = Shades(transform=lambda image: image[:, :1] / 2, target_transform=lambda target: {"class": target})
    images, targets = dataset.get_batch([1, 4])
    np.testing.assert_array_equal(images, [dataset[1][0], dataset[4][0]])
    assert targets["class"].tolist() == [1, 1] and dataset[4][1] == {"class": 1}


def test_writing_to_a_batch_does_not_change_the_dataset():
    dataset = Shades()
    dataset.get_batch([0, 1])[0][:] = 9
    assert dataset.data[0].tolist() == [[[0, 1, 2], [3, 4, 5]]]
