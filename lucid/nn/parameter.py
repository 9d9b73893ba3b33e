"""``Parameter``: a tensor that is trained as part of a module."""

from __future__ import annotations

from lucid import _aliases
from lucid._tensor import Tensor
from lucid._tensor_convert import as_array
from lucid.ops._types import TensorLike


class Parameter(Tensor):
    """A leaf tensor that is registered when it is assigned to an attribute of a module.

    ``data`` is anything that ``lucid.tensor`` takes. A tensor shares its values with the parameter: a write to one is
    seen by both. Operations on parameters return plain tensors.

    Args:
        data: Anything that ``lucid.tensor`` takes.
        requires_grad: Whether to compute gradients for it.

    Raises:
        RuntimeError: ``requires_grad`` is true for data that is not floating point.

    Example:
        >>> weight = nn.Parameter(lucid.zeros(2, 3))
        >>> weight.requires_grad
        True
    """

    __slots__ = ()

    def __init__(self, data: TensorLike = (), requires_grad: bool = True) -> None:
        self._set_leaf(as_array(data), requires_grad)
        if isinstance(data, Tensor):
            _aliases.detached(data, into=self)

    def __repr__(self) -> str:
        return f"Parameter containing:\n{super().__repr__()}"
