"""``torch.nn.modules``: the layers again, and the names that PyTorch does not document but others import."""

from __future__ import annotations

from typing import Any

from lucid import nn as _nn
from lucid.nn import functional as _functional
from lucid.nn.module import Module as _Module
from lucid.torch._names import fallback
from lucid.torch.nn.modules import utils as utils

_find = fallback(__name__, _nn)
# PyTorch's base classes of families: the one between these layers and Module.
_FAMILIES = {
    "_BatchNorm": "BatchNorm2d", "_InstanceNorm": "InstanceNorm2d", "_ConvTransposeNd": "ConvTranspose2d",
    "_MaxPoolNd": "MaxPool2d", "_AvgPoolNd": "AvgPool2d", "_Loss": "L1Loss", "_WeightedLoss": "CrossEntropyLoss",
}  # fmt: skip
_ROOTS = {"_NormBase": "BatchNorm2d", "_ConvNd": "Conv2d"}


def __getattr__(name: str) -> Any:
    if name in _FAMILIES:
        return getattr(_nn, _FAMILIES[name]).__bases__[0]
    if name in _ROOTS:
        lineage = getattr(_nn, _ROOTS[name]).__mro__
        return lineage[lineage.index(_Module) - 1]
    return _nn.Linear if name == "NonDynamicallyQuantizableLinear" else _find(name)


def _get_activation_fn(activation: str) -> Any:
    """The function of that name, "relu" or "gelu"."""
    if activation not in ("relu", "gelu"):
        raise RuntimeError(f"activation should be relu/gelu, not {activation}")
    return getattr(_functional, activation)
