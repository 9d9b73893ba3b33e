"""Digits: values, the fixed split, and errors when scikit-learn or its file is missing."""

import gzip
import importlib.util
from types import SimpleNamespace

import numpy as np
import pytest

from lucid.data import ArchiveError, Digits

datasets = pytest.importorskip("sklearn.datasets", reason="the digits come with scikit-learn")


def test_every_image_is_in_exactly_one_split():
    table = datasets.load_digits()
    images = (table.images.astype(np.uint8)).reshape(-1, 1, 8, 8)
    is_test = np.zeros(len(images), bool)
    seen = [0] * 10
    for i, target in enumerate(table.target):  # every fifth of its class
        seen[target] += 1
        is_test[i] = seen[target] % 5 == 0
    train, test = Digits(train=True), Digits(train=False)
    assert (len(train), len(test)) == (1442, 355) == ((~is_test).sum(), is_test.sum())
    for part, chosen in ((train, ~is_test), (test, is_test)):
        np.testing.assert_array_equal(part.data, images[chosen])
        np.testing.assert_array_equal(part.targets, table.target[chosen])


def test_no_test_image_is_a_training_image_and_classes_are_balanced():
    train, test = Digits(), Digits(train=False)
    assert not {image.tobytes() for image in train.data} & {image.tobytes() for image in test.data}
    assert np.bincount(train.targets).min() >= 139 and np.bincount(train.targets).max() <= 147
    assert np.bincount(test.targets).min() >= 34 and np.bincount(test.targets).max() <= 36


def test_dtypes_range_and_published_mean():
    train = Digits()
    assert train.data.dtype == np.uint8 and train.targets.dtype == np.int64
    assert (train.data.min(), train.data.max()) == (0, 16) == (0, Digits.max_value)
    scaled = train.data / 16
    np.testing.assert_allclose([scaled.mean(), scaled.std()], [*Digits.mean, *Digits.std], atol=5e-5)
    assert train.classes == tuple("0123456789")
    assert repr(train) == "Digits(train: 1442 images (1, 8, 8), 10 classes)"


def test_transforms():
    image, target = Digits(False, lambda image: image.mean(), lambda target: target + 1)[0]
    assert 0 < image < 16 and target == Digits(False).targets[0] + 1


def found_in(folder):
    return lambda name: SimpleNamespace(submodule_search_locations=[str(folder)])


def test_without_scikit_learn_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ArchiveError, match=r'not installed: pip install "lucid-mlx\[train\]"'):
        Digits()


def zipped(content):
    return gzip.compress(content, mtime=0)  # no time stamp: it would change the test ids


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot read .*digits.csv.gz"),
        (b"not gzip", "cannot read .*digits.csv.gz"),
        (zipped(b"1,2,x\n"), "cannot read .*digits.csv.gz"),
        (zipped(b"1,2,3\n")[:-4], "cannot read .*digits.csv.gz"),
        (zipped(b"1,2,3\n"), "is not the expected table of 1797 digits"),
        (zipped((b"17," + b"0," * 63 + b"0\n") * 1797), "is not the expected table of 1797 digits"),
        (zipped((b"0," * 64 + b"10\n") * 1797), "is not the expected table of 1797 digits"),
        (zipped((b"-1," + b"0," * 63 + b"0\n") * 1797), "is not the expected table of 1797 digits"),
        (zipped((b"nan," + b"0," * 63 + b"0\n") * 1797), "is not the expected table of 1797 digits"),
        (zipped((b"0.5," + b"0," * 63 + b"0\n") * 1797), "is not the expected table of 1797 digits"),
    ],
)
def test_an_unexpected_file_raises(tmp_path, monkeypatch, content, message):
    (tmp_path / "datasets" / "data").mkdir(parents=True)
    if content is not None:
        (tmp_path / "datasets" / "data" / "digits.csv.gz").write_bytes(content)
    monkeypatch.setattr(importlib.util, "find_spec", found_in(tmp_path))
    with pytest.raises(ArchiveError, match=message):
        Digits()
