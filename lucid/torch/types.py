"""``torch.types``: names for annotations."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from typing import Any, TypeAlias

import mlx.core as mx

from lucid._device import device
from lucid._tensor import Tensor

_dtype: TypeAlias = mx.Dtype
_device: TypeAlias = device
_size: TypeAlias = Sequence[builtins.int]
_int, _float, _bool = builtins.int, builtins.float, builtins.bool
Device: TypeAlias = device | str | builtins.int | None
Number: TypeAlias = builtins.int | builtins.float | builtins.bool
_TensorOrTensors: TypeAlias = Tensor | Sequence[Tensor]
Storage: TypeAlias = Any
FileLike: TypeAlias = Any
