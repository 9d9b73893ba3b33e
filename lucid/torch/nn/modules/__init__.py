"""``torch.nn.modules``: the layers again, and the names that PyTorch does not document but others import."""

from __future__ import annotations

from typing import Any

from lucid import nn as _nn
from lucid.nn import conv, loss, normalization
from lucid.torch._names import fallback
from lucid.torch.nn.modules import utils as utils

_find = fallback(__name__, _nn)
# The base classes of families: (module of Lucid, name there). What Lucid has no base class for is a Module.
_BASES = {
    "_BatchNorm": (normalization, "_BatchNorm"), "_NormBase": (normalization, "_BatchNorm"),
    "_ConvNd": (conv, "_Conv"), "_ConvTransposeNd": (conv, "_TransposedConvolution"), "_Loss": (loss, "_Loss"),
    "_WeightedLoss": (loss, "_Loss"), "NonDynamicallyQuantizableLinear": (_nn, "Linear"),
}  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _BASES:
        return getattr(*_BASES[name])
    return _find(name)
