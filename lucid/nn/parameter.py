"""``Parameter``: a tensor that is trained as part of a module."""

from __future__ import annotations

from typing import Any, ClassVar, NoReturn

import mlx.core as mx

from lucid import _aliases, _checks, _device
from lucid._dtypes import get_default_dtype
from lucid._tensor import Tensor
from lucid._tensor_convert import as_array
from lucid.ops._types import TensorLike
from lucid.tape import TensorBase


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


class Buffer(Tensor):
    """A tensor that is registered as a buffer when it is assigned to an attribute of a module.

    As with ``Parameter``, a tensor shares its values with the buffer.

    Args:
        data: Anything that ``lucid.tensor`` takes, nothing by default.
        persistent: Whether it is part of the ``state_dict`` of the module.

    Example:
        >>> layer = nn.Module()
        >>> layer.count = nn.Buffer(lucid.zeros(2))
        >>> [name for name, _ in layer.named_buffers()]
        ['count']
    """

    __slots__ = ("_persistent",)

    def __init__(self, data: TensorLike = None, *, persistent: bool = True) -> None:
        self._set_leaf(mx.zeros(0) if data is None else as_array(data))
        self._persistent = persistent
        if isinstance(data, Tensor):
            self._requires_grad = data.requires_grad
            _aliases.detached(data, into=self)

    @property
    def persistent(self) -> bool:
        """Whether it is part of the ``state_dict`` of a module."""
        return getattr(self, "_persistent", True)


_slot: Any = vars(TensorBase)["_array"]  # where a tensor keeps its array


class Uninitialized(Tensor):
    """Base class of tensors whose shape follows from the first input of their module. Only their dtype is known."""

    __slots__ = ()

    cls_to_become: ClassVar[type[Tensor]] = Tensor

    def __init__(self, requires_grad: bool = True, device: object = None, dtype: object = None) -> None:
        if device is not None:
            _device.resolve(type(self).__name__, device)
        kept = get_default_dtype() if dtype is None else _checks.dtype(type(self).__name__, dtype)
        self._set_leaf(mx.zeros(0, kept))
        self._requires_grad = requires_grad

    def _refuse(self) -> NoReturn:
        raise ValueError(
            f"{type(self).__name__}: the shape and the values are not known before the first call of the lazy module; "
            "call the module with an input first"
        )

    # Every use of the values reads this.
    _array: Any = property(_refuse, lambda self, array: _slot.__set__(self, array))

    @property
    def dtype(self) -> mx.Dtype:
        return _slot.__get__(self).dtype

    def is_floating_point(self) -> bool:
        return mx.issubdtype(self.dtype, mx.floating)

    def requires_grad_(self, requires_grad: bool = True) -> Any:
        self._requires_grad = requires_grad
        return self

    def detach(self) -> Tensor:
        """The tensor itself, so that a state dict shows which tensors are not initialized."""
        return self

    def cast(self, dtype: mx.Dtype) -> None:
        """Set the dtype that the values will have."""
        _slot.__set__(self, mx.zeros(0, dtype))

    def materialize(self, shape: tuple[int, ...], device: object = None, dtype: object = None) -> None:
        """Become an ordinary tensor of this shape, with values to be initialized.

        Args:
            shape: The sizes.
            device: Accepted for compatibility with PyTorch; memory is unified.
            dtype: Another dtype than that so far.
        """
        kept = self.dtype if dtype is None else _checks.dtype("materialize", dtype)
        self.__class__ = self.cls_to_become  # type: ignore[assignment]
        self._array = mx.zeros(_checks.shape("materialize", shape), kept)

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        if id(self) not in memo:
            memo[id(self)] = type(self)(self._requires_grad, None, self.dtype)
        return memo[id(self)]

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"


class UninitializedParameter(Uninitialized, Parameter):
    """A parameter of a lazy module, which becomes a ``Parameter`` at the first call of the module.

    Args:
        requires_grad: Whether to compute gradients for it.
        device: Accepted for compatibility with PyTorch; memory is unified.
        dtype: The dtype that it will have, float32 by default.

    Raises:
        ValueError: its shape or values are used before the first call.

    Example:
        >>> layer = nn.LazyLinear(2)
        >>> layer.weight
        <UninitializedParameter>
        >>> _ = layer(lucid.ones(1, 3))
        >>> layer.weight.shape
        (2, 3)
    """

    __slots__ = ()

    cls_to_become = Parameter


class UninitializedBuffer(Uninitialized):
    """A buffer of a lazy module, which becomes a tensor at the first call of the module.

    Args:
        requires_grad: Whether to compute gradients for it.
        device: Accepted for compatibility with PyTorch; memory is unified.
        dtype: The dtype that it will have, float32 by default.

    Example:
        >>> nn.LazyBatchNorm1d().running_mean
        <UninitializedBuffer>
    """

    __slots__ = ()

    def __init__(self, requires_grad: bool = False, device: object = None, dtype: object = None) -> None:
        super().__init__(requires_grad, device, dtype)


def is_lazy(value: object) -> bool:
    """Whether ``value`` is a parameter or buffer that is not initialized."""
    return isinstance(value, Uninitialized)
