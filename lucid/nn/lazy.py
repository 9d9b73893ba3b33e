"""Lazy modules, whose parameters get their shapes from the first input, and ``LazyLinear``."""

from typing import Any, ClassVar

from lucid import _checks
from lucid._tensor_convert import as_array
from lucid.nn.linear import Linear
from lucid.nn.module import Module
from lucid.nn.parameter import UninitializedBuffer, UninitializedParameter, is_lazy
from lucid.ops._types import TensorLike


class LazyModuleMixin(Module):
    """Base class of modules whose parameters get their shapes from the first input.

    A subclass derives from it first and then from a module, has ``UninitializedParameter``s, and defines
    ``initialize_parameters``, which gets the arguments of the first call. Afterwards, the module becomes one of the
    class ``cls_to_become``, if that is given.

    Create compiled functions after the first call. ``state_dict`` holds the uninitialized tensors before
    it; loading initialized values gives them their shapes.

    Example:
        >>> model = nn.Sequential(nn.LazyLinear(8), nn.ReLU(), nn.LazyLinear(2))
        >>> model(lucid.randn(4, 5)).shape
        (4, 2)
        >>> model
        Sequential(  # 66 parameters
          (0): Linear(in_features=5, out_features=8, bias=True)  # 48 parameters
          (1): ReLU()
          (2): Linear(in_features=8, out_features=2, bias=True)  # 18 parameters
        )
    """

    cls_to_become: ClassVar[type[Module] | None] = None
    _is_sized = False  # whether the parameters have the shapes of an input

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self._infer_parameters(self, args, kwargs)
        return Module.__call__(self, *args, **kwargs)

    def initialize_parameters(self, *args: Any, **kwargs: Any) -> None:
        """Give the parameters their shapes, and values, for the arguments of the first call."""
        raise NotImplementedError(f"{type(self).__name__} does not define initialize_parameters()")

    def has_uninitialized_params(self) -> bool:
        """Whether a parameter or buffer of this module is not initialized."""
        return any(map(is_lazy, (*self._parameters.values(), *self._buffers.values())))

    def reset_parameters(self) -> None:
        """Reset the parameters to new initial values, if they have shapes."""
        if self._is_sized and not self.has_uninitialized_params():
            super().reset_parameters()  # type: ignore[misc]

    def _infer_parameters(self, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any] | None = None) -> None:
        module.initialize_parameters(*args, **(kwargs or {}))
        if module.has_uninitialized_params():
            raise RuntimeError(f"{type(self).__name__}: initialize_parameters() left parameters without a shape")
        if module.cls_to_become is not None:
            module.__dict__.pop("_is_sized", None)
            module.__class__ = module.cls_to_become

    def _forget_shapes(self) -> None:
        """Replace parameters and floating-point buffers by uninitialized ones."""
        for name, parameter in self._parameters.items():
            if parameter is not None:
                self._parameters[name] = UninitializedParameter(dtype=parameter.dtype)
        for name, buffer in self._buffers.items():
            if buffer is not None and buffer.is_floating_point():
                self._buffers[name] = UninitializedBuffer(dtype=buffer.dtype)

    def _materialize(self, **shapes: tuple[int, ...]) -> None:
        for name, shape in shapes.items():
            found = getattr(self, name)
            if isinstance(found, UninitializedParameter | UninitializedBuffer):
                found.materialize(shape)
        object.__setattr__(self, "_is_sized", True)
        self.reset_parameters()


class LazyLinear(LazyModuleMixin, Linear):
    """``Linear`` whose ``in_features`` is the size of the last dimension of the first input.

    Args:
        out_features: Size of the last dimension of the output.
        bias: Whether to add a learned bias.
        device: Accepted for compatibility with PyTorch; memory is unified.
        dtype: The dtype of the parameters, float32 by default.

    Example:
        >>> layer = nn.LazyLinear(30)
        >>> layer(lucid.randn(4, 20)).shape
        (4, 30)
        >>> layer.in_features
        20
    """

    cls_to_become = Linear

    def __init__(self, out_features: int, bias: bool = True, device: object = None, dtype: object = None) -> None:
        super().__init__(0, out_features, bias, device, dtype)
        self._forget_shapes()

    def initialize_parameters(self, input: TensorLike) -> None:
        """Give the parameters the shapes that the input needs."""
        if self.in_features == 0:
            shape = as_array(input).shape
            if not shape:
                raise _checks.ArgumentError("LazyLinear: input must be (..., in_features), got a 0-d tensor")
            self.in_features = shape[-1]
        if self.has_uninitialized_params():
            self._materialize(weight=(self.out_features, self.in_features), bias=(self.out_features,))
