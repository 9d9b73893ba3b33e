"""Record what torchvision and timm make of small images: ``python -m tests.reference.record_augment``.

Writes ``augment.npz``. Needs PyTorch, torchvision, timm and Pillow, not Lucid. Images go through as Pillow's: that is
what both work on when they load photos, and Pillow's arithmetic is what Lucid follows.
"""

import random
from collections.abc import Callable
from unittest import mock

import numpy as np
import timm.data.auto_augment as timm_ops
import torch
from PIL import Image
from timm.data.mixup import Mixup, mixup_target
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import TrivialAugmentWide
from torchvision.transforms.v2 import functional as F

from tests.reference import augment_cases as cases

RESAMPLING = {"nearest": Image.Resampling.NEAREST, "bilinear": Image.Resampling.BILINEAR}


def each(change: Callable[[Image.Image], Image.Image], images: np.ndarray) -> np.ndarray:
    """``change`` of every image of (N, C, H, W)."""
    out = []
    for one in images:
        picture = Image.fromarray(one[0] if len(one) == 1 else np.ascontiguousarray(one.transpose(1, 2, 0)))
        array = np.asarray(change(picture))
        out.append(array[None] if array.ndim == 2 else array.transpose(2, 0, 1))
    return np.stack(out)


def colors(found: dict[str, np.ndarray], images: np.ndarray) -> None:
    channels = images.shape[1]
    for name in ("brightness", "contrast", "saturation", "sharpness"):
        adjust = getattr(F, f"adjust_{name}")
        for factor in cases.FACTORS:
            found[f"{name}|{factor}|{channels}"] = each(lambda x, f=factor, a=adjust: a(x, f), images)
    for turn in cases.TURNS:
        found[f"hue|{turn}|{channels}"] = each(lambda x, f=turn: F.adjust_hue(x, f), images)


def rand_operations(found: dict[str, np.ndarray], images: np.ndarray) -> None:
    """timm's: the argument of each magnitude, and the images."""
    channels = images.shape[1]
    for name in cases.RAND_OPERATIONS:
        for increasing in (True, False):
            full = name + "Rel" if name.startswith("Translate") else name
            if increasing and full + "Increasing" in timm_ops.NAME_TO_OP:
                full += "Increasing"
            level_to_argument, change = timm_ops.LEVEL_TO_ARG[full], timm_ops.NAME_TO_OP[full]
            for magnitude in cases.MAGNITUDES:
                for sign in (1, -1):
                    with mock.patch.object(random, "random", lambda sign=sign: 0.0 if sign > 0 else 1.0):
                        arguments = level_to_argument(magnitude, {}) if level_to_argument else ()
                    case = f"{name}|{magnitude}|{sign}|{increasing}"
                    found[f"argument|{case}"] = np.array(arguments, np.float64)
                    if name == "Posterize" and arguments[0] == 0:
                        continue  # Pillow refuses what timm asks of it here
                    for interpolation in RESAMPLING if name in cases.GEOMETRIC else ("nearest",):
                        options = {
                            "resample": RESAMPLING[interpolation],
                            "fillcolor": (cases.FILL,) * 3 if channels == 3 else cases.FILL,
                        }
                        found[f"rand|{case}|{interpolation}|{channels}"] = each(
                            lambda x, f=change, a=arguments, o=options: f(x, *a, **o), images
                        )


def wide_operations(found: dict[str, np.ndarray], images: np.ndarray) -> None:
    """torchvision's TrivialAugmentWide."""
    transform = TrivialAugmentWide(fill=cases.FILL)
    height, width = images.shape[2:]
    for name in cases.WIDE_OPERATIONS:
        magnitudes, signed = transform._AUGMENTATION_SPACE[name]
        for strength in cases.STRENGTHS:
            for sign in (1, -1) if signed else (1,):
                table = magnitudes(31, height, width)
                magnitude = 0.0 if table is None else float(table[strength]) * sign
                found[f"wide|{name}|{strength}|{sign}|{images.shape[1]}"] = each(
                    lambda x, n=name, m=magnitude: transform._apply_image_or_video_transform(
                        x, n, m, InterpolationMode.NEAREST, transform._fill
                    ),
                    images,
                )


def crops(found: dict[str, np.ndarray], images: np.ndarray) -> None:
    for i, one in enumerate(cases.CROPS):

        def change(x: Image.Image, one: cases.Crop = one) -> Image.Image:
            padded = F.pad(x, list(one.padding), one.fill, one.padding_mode)
            return F.crop(padded, one.top, one.left, *one.size)

        found[f"crop|{i}|{images.shape[1]}"] = each(change, images)


def mixing(found: dict[str, np.ndarray]) -> None:
    """timm's Mixup with numbers that are given, not drawn."""
    images, labels = cases.mixed()
    for kind, lam in (("mixup", 0.3), ("cutmix", 0.4), ("cutmix", 0.9)):
        with (
            mock.patch.object(np.random, "rand", lambda *_, kind=kind: 0.0 if kind == "cutmix" else 0.9),
            mock.patch.object(np.random, "beta", lambda *_, lam=lam, **__: lam),
            mock.patch.object(np.random, "randint", lambda low, high, size=None: high - 2),
        ):
            mix = Mixup(0.8, 1.0, num_classes=5, label_smoothing=0.1, prob=1.0)
            out, targets = mix(torch.tensor(images), torch.tensor(labels))
        found[f"{kind}|{lam}|images"], found[f"{kind}|{lam}|targets"] = out.numpy(), targets.numpy()
    found["targets|0.3"] = mixup_target(torch.tensor(labels), 5, 0.3, 0.2).numpy()


def main() -> None:
    found: dict[str, np.ndarray] = {}
    for channels in (3, 1):
        images = cases.images(channels)
        crops(found, images)
        colors(found, images)
        rand_operations(found, images)
        wide_operations(found, images)
    mixing(found)
    np.savez_compressed(cases.FILE, **packed(found))
    print(f"{cases.FILE.name}: {len(found)} arrays, {cases.FILE.stat().st_size // 1024} KiB")


def packed(found: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The same in a few large arrays, in which what occurs twice takes no place: 2000 small ones are mostly headers."""
    kinds = sorted({(str(a.dtype), a.shape) for a in found.values()})
    out: dict[str, np.ndarray] = {}
    for number, (dtype, shape) in enumerate(kinds):
        names = [name for name, a in found.items() if (str(a.dtype), a.shape) == (dtype, shape)]
        out[f"names{number}"] = np.array(names)
        out[f"values{number}"] = np.stack([found[name] for name in names])
    return out


if __name__ == "__main__":
    main()
