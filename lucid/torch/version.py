"""``torch.version``: the version of PyTorch whose API Lucid follows."""

from __future__ import annotations

import re
from typing import Any

import mlx.core as mx

from lucid._device import gpu_backend


class TorchVersion(str):
    """A version that compares with strings and tuples of numbers, as that of PyTorch.

    Example:
        >>> TorchVersion("2.13.0+lucid") >= "2.9", TorchVersion("2.13.0+lucid") < (3, 0)
        (True, True)
    """

    __slots__ = ()

    def _compared(self, other: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
        own, given = _numbers(str(self)), _numbers(other)
        length = max(len(own), len(given))
        return own + (0,) * (length - len(own)), given + (0,) * (length - len(given))

    def __lt__(self, other: Any) -> bool:
        own, given = self._compared(other)
        return own < given

    def __le__(self, other: Any) -> bool:
        own, given = self._compared(other)
        return own <= given

    def __gt__(self, other: Any) -> bool:
        own, given = self._compared(other)
        return own > given

    def __ge__(self, other: Any) -> bool:
        own, given = self._compared(other)
        return own >= given

    def __eq__(self, other: object) -> bool:
        return str(self) == other if isinstance(other, str) else super().__eq__(other)

    __hash__ = str.__hash__


def _numbers(version: Any) -> tuple[int, ...]:
    """The release numbers of a version: (2, 13, 0) of "2.13.0+lucid"."""
    if isinstance(version, str):
        return tuple(int(one) for one in re.findall(r"\d+", re.split(r"[+a-z]", version, maxsplit=1)[0]))
    return tuple(int(one) for one in version)


__version__ = TorchVersion("2.13.0+lucid")
debug = False
git_version = "lucid"
hip = None
rocm = None
xpu = None
# Only that there is one: MLX does not tell the version of CUDA that it was built with.
cuda = "13.0" if gpu_backend() == "cuda" and mx.cuda.is_available() else None
