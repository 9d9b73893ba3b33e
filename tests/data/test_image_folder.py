"""ImageFolder: which files and classes are found, checks, transforms, and stratified splits."""

import errno
import os
import threading

import numpy as np
import pytest

import lucid
from lucid import data
from tests.data.broken_images import broken_files, encoded

Image = pytest.importorskip("PIL.Image", reason="requires Pillow")


def draw(root, files):
    """Save small images, each of its own color, to these paths."""
    for number, name in enumerate(files):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (6, 4), (number, 0, 0)).save(path, "PNG")


@pytest.fixture
def root(tmp_path):
    draw(tmp_path, ["b/2.png", "b/1.PNG", "a/deep/er/x.jpeg", "a/y.webp", "c/z.png"])
    return tmp_path


def names_of(folder, root):
    return [(os.path.relpath(path, root), number) for path, number in folder.samples]


def test_images_are_found_by_class_and_path(root):
    folder = data.ImageFolder(root)
    assert folder.classes == ["a", "b", "c"] and folder.class_to_idx == {"a": 0, "b": 1, "c": 2}
    assert names_of(folder, root) == [("a/deep/er/x.jpeg", 0), ("a/y.webp", 0), ("b/1.PNG", 1), ("b/2.png", 1),
                                      ("c/z.png", 2)]  # fmt: skip
    assert folder.targets == [0, 0, 1, 1, 2] and folder.imgs is folder.samples and len(folder) == 5
    image, number = folder[3]
    assert image.mode == "RGB" and image.size == (6, 4) and image.getpixel((0, 0)) == (0, 0, 0) and number == 1
    assert repr(folder) == f"ImageFolder({root}: 5 images, 3 classes)"


def test_transforms_and_loaders_are_used(root):
    folder = data.ImageFolder(root, lambda image: np.asarray(image)[0, 0, 0], lambda number: 10 * number)
    assert [folder[i] for i in range(5)] == [(2, 0), (3, 0), (1, 10), (0, 10), (4, 20)]
    assert data.ImageFolder(root, loader=os.path.basename)[2] == ("1.PNG", 1)
    images, labels = next(iter(data.DataLoader(folder, 5)))
    assert images.tolist() == [2, 3, 1, 0, 4] and labels.tolist() == [0, 0, 10, 10, 20]


class TorchLikeTensor:
    """The part of another library's tensor that collating uses."""

    def __init__(self, array):
        self.array = array

    def numpy(self):
        return self.array


class TorchvisionLikeCompose:
    def __init__(self, transforms):
        self.transforms = transforms

    def __call__(self, image):
        for transform in self.transforms:
            image = transform(image)
        return image


def to_array(image):
    return np.asarray(image).transpose(2, 0, 1) / np.float32(255)


@pytest.mark.parametrize(
    "last", [to_array, lambda image: TorchLikeTensor(to_array(image)), lambda image: lucid.tensor(to_array(image))],
    ids=["array", "tensor of another library", "tensor"],
)  # fmt: skip
def test_a_compose_like_torchvisions_works_as_the_transform_of_a_dataset(root, last):
    transform = TorchvisionLikeCompose([lambda image: image.resize((3, 2)), last])
    [(images, labels)] = data.DataLoader(data.ImageFolder(root, transform), 5)
    assert images.shape == (5, 3, 2, 3) and images.dtype == lucid.float32 and labels.tolist() == [0, 0, 1, 1, 2]
    np.testing.assert_allclose(images[:, 0, 0, 0].numpy(), np.array([2, 3, 1, 0, 4]) / 255, atol=1e-7)


def test_a_transform_that_returns_pillow_images_needs_a_collate_fn(root):
    folder = data.ImageFolder(root, TorchvisionLikeCompose([lambda image: image.crop((0, 0, 2, 2))]))
    image, _ = folder[0]
    assert isinstance(image, Image.Image) and image.size == (2, 2)
    with pytest.raises(TypeError, match="got Image; give the loader a collate_fn"):
        next(iter(data.DataLoader(folder, 5)))
    loader = data.DataLoader(folder, 5, collate_fn=lambda samples: np.stack([to_array(image) for image, _ in samples]))
    assert next(iter(loader)).shape == (5, 3, 2, 2)


def test_a_compose_of_torchvision_works_as_the_transform_of_a_dataset(root):
    T = pytest.importorskip("torchvision.transforms", reason="checks transforms of torchvision")
    transform = T.Compose([T.Resize((4, 4)), T.ToTensor(), T.Normalize([0.5] * 3, [0.25] * 3)])
    [(images, _)] = data.DataLoader(data.ImageFolder(root, transform), 5, num_workers=2)
    expected = np.stack([transform(data.open_image(path)).numpy() for path, _ in data.ImageFolder(root).samples])
    np.testing.assert_array_equal(images.numpy(), expected)


def test_other_files_are_skipped_and_counted(root):
    for name in ("a/notes.txt", "a/.hidden.png", "b/._1.png", "c/Thumbs.db", "b/labels.TXT", "README.md", "c/plain"):
        (root / name).write_text("no image")
    draw(root, [".ipynb_checkpoints/1.png", "a/.cache/1.png", "loose.png"])
    folder = data.ImageFolder(root)
    assert len(folder) == 5 and folder.classes == ["a", "b", "c"]
    assert folder.ignored == {".txt": 2, ".db": 1, "": 1}
    assert names_of(data.ImageFolder(root, extensions=[".PNG"], allow_empty=True), root) == [
        ("b/1.PNG", 1), ("b/2.png", 1), ("c/z.png", 2),
    ]  # fmt: skip
    assert data.ImageFolder(root, extensions=".png", allow_empty=True).extensions == (".png",)
    only = data.ImageFolder(root, is_valid_file=lambda path: path.endswith(("x.jpeg", "2.png", "plain")))
    assert [os.path.basename(path) for path, _ in only.samples] == ["x.jpeg", "2.png", "plain"]


def test_names_may_be_in_any_language(tmp_path):
    files = ["кошки/мурка 1.png", "狗/🐕.png", "São Paulo/a b'c\"d.png", "a%s{}/x.png"]
    draw(tmp_path, files)
    folder = data.ImageFolder(tmp_path)
    assert folder.classes == sorted(name.split("/")[0] for name in files)
    assert list(folder.check()) == [None] * 4


def test_links_are_followed_once(root, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    draw(elsewhere, ["p.png", "q/r.png"])
    (root / "d").symlink_to(elsewhere)
    (root / "b" / "link.png").symlink_to(elsewhere / "p.png")
    (root / "b" / "dangling.png").symlink_to(elsewhere / "gone.png")
    (root / "a" / "deep" / "round").symlink_to(root / "a")
    folder = data.ImageFolder(root)
    assert names_of(folder, root) == [
        ("a/deep/er/x.jpeg", 0), ("a/y.webp", 0), ("b/1.PNG", 1), ("b/2.png", 1), ("b/dangling.png", 1),
        ("b/link.png", 1), ("c/z.png", 2), ("d/p.png", 3), ("d/q/r.png", 3),
    ]  # fmt: skip
    assert [reason for reason in folder.check() if reason] == ["No such file or directory"]


def test_links_into_other_classes_are_not_followed(root, tmp_path_factory):
    """Their images belong to another class."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    draw(elsewhere, ["p.png"])
    (elsewhere / "back").symlink_to(root)
    (root / "a" / "all").symlink_to(root)
    (root / "a" / "parent").symlink_to(root.parent)
    (root / "a" / "deep" / "others").symlink_to("../../b")
    (root / "a" / "one.png").symlink_to(root / "b" / "2.png")
    (root / "a" / "own.png").symlink_to("y.webp")
    (root / "a" / "outside").symlink_to(elsewhere)
    (root / "everything").symlink_to(".")
    folder = data.ImageFolder(root, allow_empty=True)
    assert names_of(folder, root) == [
        ("a/deep/er/x.jpeg", 0), ("a/outside/p.png", 0), ("a/own.png", 0), ("a/y.webp", 0), ("b/1.PNG", 1),
        ("b/2.png", 1), ("c/z.png", 2),
    ]  # fmt: skip
    assert folder.ignored == {"": 5, ".png": 1}
    with pytest.raises(FileNotFoundError, match="has no images of class everything"):
        data.ImageFolder(root)


def test_a_root_may_be_a_link(root, tmp_path_factory):
    link = tmp_path_factory.mktemp("elsewhere") / "link"
    link.symlink_to(root)
    (root / "a" / "all").symlink_to(link)
    assert len(data.ImageFolder(link)) == 5


@pytest.mark.parametrize("name", ["__MACOSX", "@eaDir", "$RECYCLE.BIN", "lost+found"])
def test_folders_of_the_system_are_left_out(root, name):
    draw(root, [f"{name}/a/1.png", f"b/{name}/1.png", f"{name}/1.png"])
    (root / name / "b").mkdir()
    (root / name / "b" / "._2.png").write_bytes(b"\0\5\x16\7")
    folder = data.ImageFolder(root)
    assert folder.classes == ["a", "b", "c"] and len(folder) == 5 and not folder.ignored


def test_an_unreadable_folder_raises(root, monkeypatch):
    scandir = os.scandir

    def forbidding(path):
        if os.fspath(path).endswith("deep"):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", forbidding)
    with pytest.raises(PermissionError, match="Permission denied: .*deep"):
        data.ImageFolder(root)


def test_missing_folders_and_empty_classes_raise(root):
    with pytest.raises(FileNotFoundError, match="ImageFolder: there is no folder .*nowhere"):
        data.ImageFolder(root / "nowhere")
    with pytest.raises(FileNotFoundError, match="ImageFolder: there is no folder .*z.png"):
        data.ImageFolder(root / "c" / "z.png")
    with pytest.raises(FileNotFoundError, match="c has no subfolders; expected one folder of images per class"):
        data.ImageFolder(root / "c")
    (root / "d").mkdir()
    (root / "e").mkdir()
    (root / "e" / "x.txt").touch()
    with pytest.raises(FileNotFoundError, match="has no images of class d, e; supported extensions are .jpg"):
        data.ImageFolder(root)
    folder = data.ImageFolder(root, allow_empty=True)
    assert folder.classes == ["a", "b", "c", "d", "e"] and len(folder) == 5


def test_class_indices_can_be_given(root):
    folder = data.ImageFolder(root, class_to_idx={"c": 0, "zebra": 1, "a": 2, "b": 3}, allow_empty=True)
    assert folder.classes == ["c", "zebra", "a", "b"] and folder.targets == [0, 2, 2, 3, 3]
    with pytest.raises(ValueError, match="class_to_idx is missing classes of .*: b, c"):
        data.ImageFolder(root, class_to_idx={"a": 0})


def test_check_finds_broken_images(root):
    noisy = Image.fromarray(np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    broken = broken_files(noisy)
    for name, (content, _) in broken.items():
        (root / "b" / name).write_bytes(content)
    (root / "b" / "whole.jpg").write_bytes(encoded(noisy, "JPEG"))
    folder = data.ImageFolder(root)
    before = set(threading.enumerate())
    for num_threads in (None, 1, 3):
        reasons = list(folder.check(num_threads))
        found = {os.path.basename(path) for (path, _), reason in zip(folder.samples, reasons, strict=True) if reason}
        assert found == set(broken)
    assert set(threading.enumerate()) <= before  # threads of other tests may have ended


# Splits ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fraction", [0.1, 0.25, 0.5, 0.9])
def test_splits_take_a_fraction_of_each_class(fraction):
    targets = np.random.default_rng(0).permutation([0] * 40 + [1] * 20 + [2] * 3 + [3] * 2 + [4])
    first, second = data.stratified_split(targets, fraction, seed=1)
    assert sorted(first + second) == list(range(len(targets))) and first == sorted(first) and second == sorted(second)
    counts = np.bincount(targets[second], minlength=5).tolist()
    assert counts[:2] == [round(40 * fraction), round(20 * fraction)]
    assert counts[2] == min(2, max(1, round(3 * fraction))) and counts[3:] == [1, 0]


def test_splits_depend_on_the_seed_alone():
    targets = [0, 1] * 30
    assert data.stratified_split(targets, 0.3, 5) == data.stratified_split(targets, 0.3, 5)
    assert data.stratified_split(targets, 0.3, 5) != data.stratified_split(targets, 0.3, 6)
    # Another class does not affect the split of the others.
    more = data.stratified_split([*targets, *[2] * 10], 0.3, 5)[1]
    assert [number for number in more if number < 60] == data.stratified_split(targets, 0.3, 5)[1]
    for fraction in (0, 1, -0.5, 1.5):
        with pytest.raises(ValueError, match="fraction must be above 0 and below 1"):
            data.stratified_split(targets, fraction, 0)


def test_a_folder_feeds_a_loader(root):
    decode = data.transforms.DecodeImages(data.transforms.RandomResizedCrop(8))
    folder = data.ImageFolder(root, loader=str)
    [(images, labels)] = data.DataLoader(folder, 5, num_workers=2, batch_transform=decode)
    assert images.shape == (5, 3, 8, 8) and images.dtype == lucid.uint8 and labels.tolist() == folder.targets
    assert images[:, 0, 0, 0].tolist() == [2, 3, 1, 0, 4]
