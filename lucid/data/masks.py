"""Photos with masks, for semantic segmentation: a folder of pairs, their decoding, and crops of both."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from lucid import _checks
from lucid.data.dataset import Dataset
from lucid.data.decoding import ImageError, image_header, load_pillow, open_image, reason_of, upright
from lucid.data.image_folder import IMG_EXTENSIONS, files_below, num_cores

if TYPE_CHECKING:
    from PIL import Image

IGNORED = 255  # the class number of pixels that count neither in training nor in evaluation
_MASK_FOLDERS = ("masks", "annotations", "labels")
_MASK_EXTENSIONS = (".png", ".tif", ".tiff", ".bmp", ".gif")  # without losses
_MODES = ("1", "L", "P", "I", "I;16", "I;16B", "I;16L")


def open_mask(path: str | os.PathLike[str]) -> np.ndarray:
    """The class numbers (H, W) in a mask file, int32.

    They are the values of a grayscale image of 8 or 16 bits, the indices of an image with a palette, or 0 and 1 of a
    black and white one. EXIF orientation is applied, as ``open_image`` does.

    Raises:
        ImageError: The file does not exist, is damaged, or has colors instead of numbers.

    Example:
        >>> from PIL import Image
        >>> Image.fromarray(np.array([[0, 1], [2, 255]], np.uint8)).save("mask.png")
        >>> data.open_mask("mask.png").tolist()
        [[0, 1], [2, 255]]
    """
    name, pillow = os.fspath(path), load_pillow()
    try:
        with image_header(path) as file:
            if file.mode not in _MODES:
                raise ImageError(
                    name,
                    f"a mask has one number per pixel (modes 1, L, P, I;16), but this image is {file.mode}; "
                    "data.save_mask writes masks from class numbers",
                )
            file.load()
            return np.asarray(upright(pillow, file)).astype(np.int32)
    except ImageError:
        raise
    except Exception as error:  # anything, as in open_image
        raise ImageError(name, reason_of(pillow, name, error)) from error


def mask_palette(path: str | os.PathLike[str]) -> list[tuple[int, int, int]]:
    """The colors of a mask with a palette, by class number; empty without one."""
    with image_header(path) as file:
        values = (file.getpalette() or []) if file.mode == "P" else []
    return [(values[i], values[i + 1], values[i + 2]) for i in range(0, len(values) - 2, 3)]


class MaskFolder(Dataset[tuple[str, str]]):
    """Pairs of a photo and a mask: ``root/images/NAME.jpg`` and ``root/masks/NAME.png``.

    Sample i is the two paths; ``DecodePairs`` turns batches of them into arrays. Names may contain subfolders, such as
    ``images/train/a/1.jpg`` and ``masks/train/a/1.png``. The folder of the masks may also be called ``annotations`` or
    ``labels``. Photos and masks are matched by name without extension; a mask may end with ``_mask`` in addition.

    Args:
        root: The folder.

    Attributes:
        samples: The paths of photo and mask, sorted by name.
        names: The name of each sample, without extension.

    Raises:
        FileNotFoundError: The folder, or that of the images or the masks, does not exist or is empty.
        ValueError: A photo has no mask or a mask no photo, or two files have the same name.

    Example:
        >>> shapes = data.MaskFolder("shapes")
        >>> len(shapes), shapes.names[0]
        (2, '0')
        >>> decode = data.DecodePairs(data.RandomScaledCrop(32))
        >>> loader = data.DataLoader(shapes, batch_size=2, batch_transform=decode)
        >>> images, masks = next(iter(loader))
        >>> images.shape, masks.shape
        ((2, 3, 32, 32), (2, 32, 32))
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = Path(root)
        if not self.root.is_dir():
            raise FileNotFoundError(f"MaskFolder: there is no folder {self.root}")
        folders = [name for name in _MASK_FOLDERS if (self.root / name).is_dir()]
        if not (self.root / "images").is_dir() or len(folders) != 1:
            found = ", ".join(sorted(one.name for one in self.root.iterdir() if one.is_dir())) or "none"
            raise FileNotFoundError(
                f"MaskFolder: {self.root} must have a folder images and one of {', '.join(_MASK_FOLDERS)}, "
                f"got the folders: {found}"
            )
        images = self._find(self.root / "images", IMG_EXTENSIONS)
        masks = self._find(self.root / folders[0], _MASK_EXTENSIONS)
        if not any(name in images for name in masks):
            masks = {name.removesuffix("_mask"): path for name, path in masks.items()}
        for kind, ones, others, other in (("image", images, masks, "mask"), ("mask", masks, images, "image")):
            alone = sorted(set(ones) - set(others))
            if alone:
                hint = _unfit_mask(self.root / folders[0], alone[0]) if kind == "image" else ""
                raise ValueError(
                    f"MaskFolder: {len(alone)} of {len(ones)} {kind}s have no {other}, for example "
                    f"{ones[alone[0]]}{hint}"
                )
        if not images:
            raise FileNotFoundError(f"MaskFolder: {self.root / 'images'} has no images")
        self.names = sorted(images)
        self.samples = [(images[name], masks[name]) for name in self.names]

    @staticmethod
    def _find(folder: Path, extensions: Sequence[str]) -> dict[str, str]:
        """The files with one of the ``extensions`` by name: their path in ``folder`` without extension."""
        found: dict[str, str] = {}
        for path in map(Path, files_below(folder)):
            if path.suffix.lower() not in extensions:
                continue
            name = path.relative_to(folder).with_suffix("").as_posix()
            if name in found:
                raise ValueError(f"MaskFolder: {found[name]} and {path} have the same name")
            found[name] = str(path)
        return found

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[str, str]:
        return self.samples[index]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.root}: {len(self)} images with masks)"


def _unfit_mask(folder: Path, name: str) -> str:
    """What to say of a file that would be the mask of image ``name``, if it had another suffix."""
    for path in map(Path, files_below(folder)):
        if path.relative_to(folder).with_suffix("").as_posix() in (name, f"{name}_mask"):
            return f"; {path} is none, masks are {', '.join(_MASK_EXTENSIONS)}"
    return ""


class PairTransform(Protocol):
    """A callable that changes a Pillow image and its mask (H, W) together, with random numbers from ``rng`` alone.

    Example:
        >>> def whole(image, mask, rng):
        ...     return image, mask
        ...
        >>> decode = data.DecodePairs(whole)
    """

    def __call__(self, image: Image.Image, mask: np.ndarray, rng: np.random.Generator, /) -> tuple[Any, np.ndarray]: ...


class RandomScaledCrop:
    """Scale image and mask by a random factor, crop ``size``, flip half of them: mmsegmentation's training pipeline.

    Parts of the crop outside the image are gray, and ignored in the mask. A crop of which a single class covers more
    than ``max_share`` is drawn again, ten times at most.

    Args:
        size: Height and width of the crop in px, or one number for both.
        scale: Bounds of the factor.
        max_share: The largest share of one class.
        flip: Flip half of the pairs horizontally.
        ignore_index: The class number outside the image; it is not counted in ``max_share``.

    Example:
        >>> from PIL import Image
        >>> crop = data.RandomScaledCrop(64)
        >>> image, mask = Image.new("RGB", (100, 80)), np.zeros((80, 100), np.int32)
        >>> image, mask = crop(image, mask, np.random.default_rng(0))
        >>> image.size, mask.shape
        ((64, 64), (64, 64))
    """

    def __init__(
        self,
        size: int | Sequence[int],
        scale: Sequence[float] = (0.5, 2.0),
        max_share: float = 0.75,
        flip: bool = True,
        ignore_index: int = IGNORED,
    ) -> None:
        where = "RandomScaledCrop"
        self.size = _checks.pair(where, "size", size, 1)
        low, high = (_checks.number(where, "scale", one, 0, above=True) for one in scale)
        if low > high:
            raise ValueError(f"{where}: scale must be (min, max), got {tuple(scale)}")
        self.scale = (low, high)
        self.max_share = _checks.number(where, "max_share", max_share, 0, 1)
        self.flip, self.ignore_index = flip, ignore_index

    def __call__(
        self, image: Image.Image, mask: np.ndarray, rng: np.random.Generator
    ) -> tuple[Image.Image, np.ndarray]:
        factor = rng.uniform(*self.scale)
        width, height = (max(1, round(side * factor)) for side in image.size)
        rows = _nearest(mask.shape[0], height)
        columns = _nearest(mask.shape[1], width)
        for _ in range(10):
            top, left = (
                int(rng.integers(max(0, whole - part) + 1))
                for whole, part in zip((height, width), self.size, strict=True)
            )
            part = mask[rows[top : top + self.size[0], None], columns[left : left + self.size[1]]]
            counts = np.unique(part[part != self.ignore_index], return_counts=True)[1]
            if len(counts) and counts.max() <= self.max_share * counts.sum():
                break
        bottom, right = top + part.shape[0], left + part.shape[1]
        # The area of the crop in the pixels of the image, so that only these are resized.
        box = (left / width * image.width, top / height * image.height, right / width * image.width,
               bottom / height * image.height)  # fmt: skip
        resampling = load_pillow().Image.Resampling.BILINEAR
        pixels = image.resize((part.shape[1], part.shape[0]), resampling, box=box)
        if self.flip and rng.random() < 0.5:
            pixels = pixels.transpose(load_pillow().Image.Transpose.FLIP_LEFT_RIGHT)
            part = part[:, ::-1]
        if part.shape == self.size:
            return pixels, part
        canvas = load_pillow().Image.new("RGB", (self.size[1], self.size[0]), (124, 116, 104))
        canvas.paste(pixels, (0, 0))
        full = np.full(self.size, self.ignore_index, part.dtype)
        full[: part.shape[0], : part.shape[1]] = part
        return canvas, full

    def __repr__(self) -> str:
        options = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
        return f"{type(self).__name__}({options})"


def _nearest(source: int, target: int) -> np.ndarray:
    """The index in ``source`` px of each of ``target`` px, by the position of their centers."""
    return np.minimum(((np.arange(target) + 0.5) * source / target).astype(np.int64), source - 1)


class DecodePairs:
    """Turn batches of paths from a ``MaskFolder`` into images (N, 3, H, W) of uint8 and masks (N, H, W) of int32.

    For ``DataLoader(batch_transform=...)``. Threads decode the files; every pair gets its own generator, so results do
    not depend on their number.

    Args:
        transform: Gives all pairs of a batch the same size, such as ``RandomScaledCrop``. None: whole images.
        num_threads: Threads in the pool; the number of cores by default.

    Raises:
        ImageError: A file cannot be read, or image and mask differ in size.
        ValueError: The pairs of a batch differ in size.

    Example:
        >>> decode = data.DecodePairs(data.RandomScaledCrop(32))
        >>> loader = data.DataLoader(data.MaskFolder("shapes"), batch_size=2, batch_transform=decode)
    """

    def __init__(self, transform: PairTransform | None = None, num_threads: int | None = None) -> None:
        self.transform = transform
        threads = num_cores() if num_threads is None else num_threads
        self.num_threads = _checks.integer("DecodePairs", "num_threads", threads, 1)
        self._pool = ThreadPoolExecutor(self.num_threads, "lucid-decode-pairs")

    def __call__(self, batch: Any, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        images, masks = batch
        seeds = rng.integers(2**63, size=len(images)).tolist()
        pairs = list(self._pool.map(self._pair, images, masks, seeds))
        for path, (_, mask) in zip(masks, pairs, strict=True):
            if mask.shape != pairs[0][1].shape:
                raise ValueError(
                    f"DecodePairs: the pairs of a batch must have one size, but {masks[0]} has {_size(pairs[0][1])} px "
                    f"and {path} {_size(mask)}; pass a transform such as RandomScaledCrop, or batch_size=1"
                )
        return np.stack([image for image, _ in pairs]), np.stack([mask for _, mask in pairs])

    def _pair(self, image_path: str, mask_path: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
        image, mask = open_pair(image_path, mask_path)
        pixels: Any = image
        if self.transform is not None:
            pixels, mask = self.transform(image, mask, np.random.default_rng(seed))
        return np.asarray(pixels).transpose(2, 0, 1), mask

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.transform!r}, num_threads={self.num_threads})"


def open_pair(image_path: str, mask_path: str) -> tuple[Image.Image, np.ndarray]:
    """A photo and its mask (H, W).

    Raises:
        ImageError: A file cannot be read, or they differ in size.
    """
    image, mask = open_image(image_path), open_mask(mask_path)
    if mask.shape != (image.height, image.width):
        turned = mask.T.shape == (image.height, image.width)
        hint = "; a mask of a photo that EXIF data turn must be upright, as the photo is shown" if turned else ""
        raise ImageError(
            mask_path, f"the mask has {_size(mask)} px, but {image_path} has {image.width}x{image.height}{hint}"
        )
    return image, mask


def _size(mask: np.ndarray) -> str:
    return f"{mask.shape[1]}x{mask.shape[0]}"
