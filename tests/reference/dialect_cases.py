"""Networks of the four public implementations whose features and logits are recorded: sizes, weights and images."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tests.reference.convnext_cases import numbers

FILE = Path(__file__).with_name("dialects.npz")
PYTORCH_FILE = Path(__file__).with_name("dialects.pth")


@dataclass(frozen=True)
class Case:
    """One network of one implementation.

    ``scaled``: with layer scale. ``pointwise``: timm's ``conv_mlp``. ``bare``: Hugging Face's model without a
    classifier. ``loudness`` scales weights and biases; a small value makes the eps of the final norm matter.
    ``options``: more options of the class.
    """

    implementation: str
    family: str = "ConvNeXt"
    depths: tuple[int, ...] = (1, 2, 1, 1)
    dims: tuple[int, ...] = (6, 10, 14, 22)
    classes: int = 7
    in_chans: int = 3
    patch_size: int = 4
    scaled: bool = True
    pointwise: bool = False
    bare: bool = False
    loudness: float = 1.0
    size: tuple[int, int] = (33, 50)
    batch: int = 2
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def image_shape(self) -> tuple[int, ...]:
        return (self.batch, self.in_chans, *self.size)


_TINY = {"depths": (3, 3, 9, 3), "dims": (96, 192, 384, 768), "classes": 10, "size": (64, 65), "batch": 1}
_V2 = {"family": "ConvNeXtV2", "scaled": False}
CASES = {
    "official": Case("official"),
    "official, small": Case("official", depths=(1, 0, 1, 1), dims=(2, 3, 4, 3), classes=3),
    "torchvision": Case("torchvision"),
    "timm": Case("timm"),
    "timm, 1x1 convolutions": Case("timm", pointwise=True),
    "huggingface": Case("huggingface"),
    "huggingface, no classifier": Case("huggingface", bare=True, classes=0),
    "huggingface, quiet": Case("huggingface", loudness=0.02),
    "official, no layer scale": Case("official", scaled=False, in_chans=1),
    "timm, no layer scale": Case("timm", scaled=False, in_chans=5),
    "huggingface, no layer scale, three stages": Case(
        "huggingface", scaled=False, depths=(2, 1, 3), dims=(5, 9, 16), in_chans=2, patch_size=2
    ),
    "official tiny": Case("official", **_TINY),
    "torchvision tiny": Case("torchvision", **_TINY),
    "timm tiny": Case("timm", **_TINY),
    "huggingface tiny": Case("huggingface", **_TINY),
    "official V2": Case("official", **_V2),
    "timm V2": Case("timm", **_V2),
    "timm V2, 1x1 convolutions": Case("timm", **_V2, pointwise=True),
    "huggingface V2": Case("huggingface", **_V2),
    "huggingface V2, no classifier": Case("huggingface", **_V2, bare=True, classes=0),
    "official isotropic": Case(
        "official", "ConvNeXtIsotropic", (3,), (11,), scaled=False, patch_size=16, size=(65, 50)
    ),
    "timm, overlap": Case("timm", pointwise=True, options={"stem_type": "overlap"}),
    "timm, overlap_tiered": Case("timm", dims=(36, 10, 14, 22), in_chans=2, options={"stem_type": "overlap_tiered"}),
    "timm, overlap_act": Case("timm", options={"stem_type": "overlap_act"}),
    "timm, head_norm_first": Case("timm", pointwise=True, options={"head_norm_first": True}),
    "timm, head_hidden_size": Case("timm", options={"head_hidden_size": 9}),
    "timm, head_hidden_size without classes": Case("timm", classes=0, options={"head_hidden_size": 9}),
    "timm, eps": Case("timm", loudness=0.02, options={"norm_eps": 1e-5}),
    "timm V2, all of timm's forms": Case(
        "timm", **_V2, options={"stem_type": "overlap_act", "head_hidden_size": 5, "norm_eps": 1e-3}
    ),
}


def value(case: str, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """The float32 value of the parameter ``name``, chosen so that every part of the network matters."""
    values = numbers(f"{case}/{name}", shape)
    if sum(size > 1 for size in shape) > 1:
        return values * np.float32(CASES[case].loudness * 1.5 / np.sqrt(np.prod(shape[1:])))
    return values * np.float32(CASES[case].loudness / 2) if name.endswith(("bias", "beta")) else 1 + values / 2
