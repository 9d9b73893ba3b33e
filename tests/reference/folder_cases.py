"""Models that are saved as folders of timm and transformers, opened there, saved by them, and opened again."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tests.reference.convnext_cases import numbers

FILE = Path(__file__).with_name("folders.npz")
CONFIGS = Path(__file__).with_name("folders.json")


@dataclass(frozen=True)
class Case:
    """One model. ``options`` are arguments of the class, ``transform`` those of ``ImageTransform``."""

    dialect: str
    family: str = "ConvNeXt"
    classes: int = 3
    names: tuple[str, ...] | None = ("cat", "dog", "Weißer Hai")
    size: tuple[int, int] = (65, 64)
    options: dict[str, Any] = field(default_factory=dict)
    transform: dict[str, Any] | None = field(default_factory=lambda: {"image_size": 64, "resize_size": 73})
    library_writes_weights: bool = True

    @property
    def arguments(self) -> dict[str, Any]:
        return {"depths": (1, 2, 1, 1), "dims": (8, 10, 12, 16), **self.options}

    @property
    def image_shape(self) -> tuple[int, ...]:
        return (2, self.arguments.get("in_chans", 3), *self.size)


_ATTO = {"depths": (2, 2, 6, 2), "dims": (40, 80, 160, 320)}
_SQUASH = {"image_size": 96, "resize_size": 96, "crop_mode": "squash", "interpolation": "bilinear"}
CASES = {
    "timm, atto": Case("timm", classes=10, names=None, options=_ATTO, transform={"image_size": 64, "resize_size": 73}),
    "timm, small": Case("timm"),
    "timm, V2": Case("timm", "ConvNeXtV2", transform=_SQUASH),
    "timm, overlap_tiered": Case("timm", options={"stem_type": "overlap_tiered", "dims": (36, 10, 12, 16)}),
    "timm, overlap_act, norm first": Case("timm", options={"stem_type": "overlap_act", "head_norm_first": True}),
    "timm, hidden layer": Case("timm", "ConvNeXtV2", options={"head_hidden_size": 9, "norm_eps": 1e-5}),
    "timm, five channels": Case("timm", options={"in_chans": 5, "layer_scale_init": 0.0}, transform=None),
    "timm, gray, dilated": Case(
        "timm", options={"in_chans": 1, "output_stride": 8, "global_pool": "max"},
        transform={"image_size": 64, "resize_size": 64, "mean": (0.5,), "std": (0.25,)},
    ),
    "timm, patches of 8 px": Case(
        "timm", options={"patch_size": 8, "output_stride": 32, "global_pool": "avgmax"}, size=(97, 96)
    ),
    "timm, features": Case("timm", classes=0, names=None),
    "huggingface, small": Case("huggingface"),
    "huggingface, V2": Case("huggingface", "ConvNeXtV2", names=None, transform={"image_size": 64, "resize_size": 70}),
    "huggingface, three stages": Case(
        "huggingface", options={"depths": (2, 1, 3), "dims": (5, 9, 16), "in_chans": 2, "patch_size": 2,
                                "layer_scale_init": 0.0}, transform=None,
    ),
    "huggingface, squashed": Case("huggingface", transform=_SQUASH),
    "huggingface, 1e-12": Case("huggingface", options={"head_norm_eps": 1e-12}),
    "huggingface, features": Case("huggingface", classes=0, names=None),
}  # fmt: skip


def value(case: str, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """The float32 value of the parameter with the official ``name``, chosen so that every part matters."""
    values = numbers(f"folder {case}/{name}", shape)
    if sum(size > 1 for size in shape) > 1:
        return values * np.float32(1.5 / np.sqrt(np.prod(shape[1:])))
    return values / 2 if name.endswith(("bias", "beta")) else 1 + values / 2


def images(case: str) -> np.ndarray:
    return numbers(f"folder {case}/images", CASES[case].image_shape)


def photo() -> np.ndarray:
    """An image with some structure, uint8 (H, W, 3)."""
    y, x = np.mgrid[:90, :120]
    planes = [128 + 100 * np.sin(x / 9 + k) * np.cos(y / (7 + k)) for k in range(3)]
    return np.stack(planes, -1).round().clip(0, 255).astype(np.uint8)
