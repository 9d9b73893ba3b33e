"""Device transforms: the key decides, lucid.random supplies one otherwise, and eager and compiled agree."""

import mlx.core as mx
import numpy as np
import pytest

import lucid
from lucid.data import augment
from tests.reference import augment_cases as cases

KEY = mx.random.key(4)
BYTES = [
    augment.RandomCrop((9, 13), padding=2),
    augment.RandomCrop(7, padding=2, padding_mode="reflect"),
    augment.RandomHorizontalFlip(),
    augment.ColorJitter(0.4, 0.4, 0.4),
    augment.RandAugment(prob=1.0),
    augment.TrivialAugmentWide(),
    augment.Normalize([0.5] * 3, [0.25] * 3),
]
FLOATS = [
    augment.RandomErasing(1.0),
    augment.RandomErasing(1.0, mode="rand", max_count=2),
    augment.RandomErasing(1.0, mode="pixel"),
    augment.Mixup(0.8, 1.0, mode="elem", num_classes=4),
]
ALL = [*BYTES, *FLOATS]
NAMES = [type(one).__name__ for one in ALL]
LABELS = np.array([3, 0, 1, 2, 0])


def given(transform):
    images = cases.images(3)
    return lucid.tensor(images if transform in BYTES else (images / 255).astype(np.float32)), lucid.tensor(LABELS)


def same(a, b):
    return all(np.array_equal(x.numpy(), y.numpy()) for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize("transform", ALL, ids=NAMES)
def test_the_key_decides_and_without_one_every_call_differs(transform):
    batch = given(transform)
    before = [one.numpy().copy() for one in batch]
    assert same(transform(*batch, key=KEY), transform(*batch, key=KEY))
    lucid.manual_seed(1)
    first, *others = (transform(*batch) for _ in range(4))
    assert all(same(first, other) for other in others) == isinstance(transform, augment.Normalize)
    lucid.manual_seed(1)
    assert same(transform(*batch), first) and same(transform(*batch), others[0])
    assert all(np.array_equal(x, y.numpy()) for x, y in zip(before, batch, strict=True))


def test_eager_and_compiled_agree():
    # All in one function: on a CPU each kernel takes half a second to compile, and these share theirs.
    on_bytes = [
        augment.RandomCrop((9, 13), padding=2),
        augment.RandomHorizontalFlip(),
        augment.ColorJitter(0.4, 0.4, 0.4),
        augment.RandAugment(1, prob=1.0),
        augment.TrivialAugmentWide(interpolation="bilinear", fill=128),
        augment.Normalize([0.5] * 3, [0.25] * 3),
    ]
    on_floats = [augment.RandomErasing(1.0, mode="pixel"), augment.Mixup(0.8, 1.0, mode="elem", num_classes=4)]
    images, labels = given(BYTES[0])
    pairs = [(one, images) for one in on_bytes] + [(one, images.float() / 255) for one in on_floats]

    def run(pairs, labels, keys):
        return [one(images, labels, key=key) for (one, images), key in zip(pairs, keys, strict=True)]

    batch = pairs, labels, list(mx.random.split(KEY, len(pairs)))
    for (transform, _), *pair in zip(pairs, run(*batch), lucid.compile(run)(*batch), strict=True):
        for eager, compiled in zip(*pair, strict=True):
            assert eager.dtype == compiled.dtype
            np.testing.assert_allclose(eager.numpy(), compiled.numpy(), atol=2e-6, err_msg=repr(transform))


def test_every_call_of_a_compiled_chain_differs():
    chain = augment.Compose([augment.RandomCrop(9, padding=3), augment.RandomHorizontalFlip()])
    run = lucid.compile(lambda images: chain(images))
    images = lucid.tensor(cases.images(3))
    lucid.manual_seed(5)
    eager = [chain(images).numpy() for _ in range(3)]
    lucid.manual_seed(5)
    for expected in eager:
        np.testing.assert_array_equal(run(images).numpy(), expected)
    assert (eager[0] != eager[1]).any() and run.retraces.count == 0


def test_compose_passes_images_and_labels_on():
    chain = augment.Compose([BYTES[0], BYTES[4], BYTES[6], FLOATS[3]])
    images, targets = chain(*given(BYTES[0]), key=KEY)
    assert images.shape == (5, 3, 9, 13) and images.dtype == lucid.float32 and targets.shape == (5, 4)
    keys = mx.random.split(KEY, 4)
    expected = given(BYTES[0])
    for transform, key in zip(chain.transforms, keys, strict=True):
        expected = transform(*expected, key=key)
    assert same((images, targets), expected)
    only = augment.Compose([BYTES[0], BYTES[2]])
    assert isinstance(only(given(BYTES[0])[0], key=KEY), lucid.Tensor)
    x = given(BYTES[0])[0]
    assert augment.Compose([])(x) is x


def test_a_chain_does_not_modify_its_input_and_its_key_decides():
    images = cases.images(3)
    chain = augment.Compose(
        [augment.RandomCrop(7, padding=2), augment.RandomHorizontalFlip(), augment.Normalize([0] * 3, [1] * 3)]
    )
    batch = lucid.tensor(images)
    first, again, other = (chain(batch, key=mx.random.key(seed)).numpy() for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    np.testing.assert_array_equal(batch.numpy(), images)


class Brightness(augment.Augmentation):
    """A custom device transform that leaves the labels alone."""

    def __init__(self, highest):
        self.highest = highest

    def apply(self, images, key):
        with lucid.random.fork(key):
            factor = lucid.rand(len(images)) * self.highest
        return augment.adjust_brightness(images, factor)


def shuffled(images, labels=None, *, key=None):
    """A custom device transform that changes the labels too."""
    order = lucid.tensor(mx.random.permutation(len(images), key=lucid.random.key() if key is None else key))
    return images[order] if labels is None else (images[order], labels[order])


@pytest.mark.parametrize("transform", [Brightness(2.0), shuffled], ids=["class", "function"])
def test_custom_device_transforms_work_eager_compiled_and_composed(transform):
    images, labels = given(BYTES[0])
    first, again, other = (transform(images, labels, key=mx.random.key(seed)) for seed in (1, 1, 5))
    assert same(first, again) and not same(first, other)
    chain = augment.Compose([augment.RandomHorizontalFlip(), transform, augment.Normalize([0.5] * 3, [0.25] * 3)])
    step = lucid.compile(lambda images, labels: chain(images, labels))
    lucid.manual_seed(3)
    eager = [chain(images, labels) for _ in range(2)]
    state = lucid.random.get_state().tolist()
    lucid.manual_seed(3)
    for expected in eager:
        for one, two in zip(expected, step(images, labels), strict=True):
            np.testing.assert_allclose(one.numpy(), two.numpy(), atol=2e-6)
    assert lucid.random.get_state().tolist() == state and not same(*eager)
    assert chain(images).shape == images.shape


def test_reprs_of_custom_transforms_show_the_options():
    assert repr(augment.Compose([Brightness(1.5)])) == "Compose([Brightness(highest=1.5)])"


def test_normalize_draws_no_random_numbers():
    state = lucid.random.get_state().tolist()
    BYTES[6](*given(BYTES[6]))
    assert lucid.random.get_state().tolist() == state


def test_reprs_show_the_options():
    shown = "RandomCrop(size=(32, 32), padding=(4, 4), fill=0, padding_mode='constant')"
    assert repr(augment.Compose([augment.RandomCrop(32, padding=4), augment.RandomHorizontalFlip()])) == (
        f"Compose([{shown}, RandomHorizontalFlip(p=0.5)])"
    )
    assert repr(augment.Mixup(0.8, num_classes=3)).startswith("Mixup(mixup_alpha=0.8, cutmix_alpha=0.0, prob=1.0,")


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: augment.RandomCrop(0), ValueError, "RandomCrop: size must be at least 1"),
        (lambda: augment.RandomCrop(2, padding_mode="wrap"), ValueError, "RandomCrop: padding_mode must be"),
        (lambda: augment.RandomHorizontalFlip(2), ValueError, "RandomHorizontalFlip: p must be"),
        (lambda: augment.Mixup(0, 0, num_classes=2), ValueError, "Mixup: mixup_alpha or cutmix_alpha must be above 0"),
        (lambda: augment.Mixup(num_classes=2, mode="all"), ValueError, "Mixup: mode must be 'batch', 'pair' or 'elem'"),
        (lambda: augment.Normalize([1], [0]), ValueError, "Normalize: std must be above 0"),
        (lambda: augment.TrivialAugmentWide(1), ValueError, "TrivialAugmentWide: num_magnitude_bins must be at least"),
        (lambda: augment.Normalize([0], [1, 1]), ValueError, "Normalize: mean has 1 channels but std has 2"),
        (lambda: augment.Normalize([0], [1])(lucid.ones(1, 3, 2, 2)), ValueError, "3 channels but mean has 1"),
        (lambda: augment.RandomCrop(9)(lucid.ones(1, 1, 8, 9)), ValueError, r"\(9, 9\) is larger than .* of 8 x 9"),
        (lambda: augment.RandomCrop(2, padding=-1), ValueError, "RandomCrop: padding must be at least 0, got -1"),
        (lambda: augment.RandomHorizontalFlip(-0.5), ValueError, "RandomHorizontalFlip: p must be .*, got -0.5"),
        (
            lambda: augment.Mixup(num_classes=2)(lucid.ones(1, 3, 2, 2)),
            TypeError,
            "Mixup: labels are required, because they are mixed too",
        ),
        (lambda: augment.Augmentation()(lucid.ones(1)), NotImplementedError, "define apply"),
        (lambda: BYTES[0](lucid.ones(2, 3, 9, 13), key=3), TypeError, "random_crop: key must be a random key"),
    ],
)
def test_invalid_options_raise(make, error, message):
    with pytest.raises(error, match=message):
        make()
