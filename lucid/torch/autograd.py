"""``torch.autograd``."""

from __future__ import annotations

from typing import Any

from lucid import autograd as _autograd
from lucid._tensor import Tensor
from lucid.torch._names import fallback

__getattr__ = fallback(__name__, _autograd)


class _VariableType(type):
    def __instancecheck__(cls, value: object) -> bool:
        return isinstance(value, Tensor)

    def __call__(cls, data: Tensor, requires_grad: bool = False, volatile: Any = None) -> Tensor:
        return data.detach().requires_grad_() if requires_grad else data


class Variable(metaclass=_VariableType):
    """A former name for tensors: ``Variable(x)`` is ``x``, and every tensor is an instance."""
