"""Parametrizations: parameters that are computed from others, by modules that are registered with them."""

import contextlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from lucid._tensor import Tensor
from lucid.nn.containers import ModuleDict, ModuleList
from lucid.nn.module import Module
from lucid.nn.parameter import Parameter

__all__ = [
    "ParametrizationList", "cached", "is_parametrized", "register_parametrization", "remove_parametrizations",
    "transfer_parametrizations_and_params", "type_before_parametrizations",
]  # fmt: skip
M = TypeVar("M", bound=Module)


class _Cache(threading.local):
    values: dict[tuple[int, str], Any] | None = None


_cache = _Cache()


@contextmanager
def cached() -> Iterator[None]:
    """Within the block, each parametrized tensor is computed once."""
    before = _cache.values
    _cache.values = {} if before is None else before
    try:
        yield
    finally:
        _cache.values = before


class ParametrizationList(ModuleList):
    """The modules that compute a tensor of a module, one after the other, and the parameters that they start from.

    Args:
        modules: The parametrizations.
        original: The parameter or buffer that they replace. Their ``right_inverse``, if there is one, gives the initial
            values of ``original``, or of ``original0``, ``original1``, ... if it returns several.
        unsafe: Whether not to check that they keep shape and dtype.

    Example:
        >>> layer = nn.utils.parametrizations.weight_norm(nn.Linear(4, 3))
        >>> [name for name, _ in layer.parametrizations.weight.named_parameters()]
        ['original0', 'original1']
    """

    def __init__(self, modules: Any, original: Tensor, unsafe: bool = False) -> None:
        super().__init__(modules)
        if not len(self):
            raise ValueError("ParametrizationList: expected at least one module")
        self.unsafe = unsafe
        value: Any = original.detach()
        for module in reversed(list(self)):
            if hasattr(module, "right_inverse"):
                with contextlib.suppress(NotImplementedError):
                    value = module.right_inverse(value)
        self.is_tensor = isinstance(value, Tensor)
        parts = {"original": value} if self.is_tensor else {f"original{i}": one for i, one in enumerate(value)}
        for name, part in parts.items():
            if not isinstance(part, Tensor):
                raise ValueError(f"ParametrizationList: right_inverse must return tensors, got {type(part).__name__}")
            if not isinstance(original, Parameter):
                self.register_buffer(name, part.detach())
            elif name == "original" and part.shape == original.shape and part.dtype == original.dtype:
                if part is not value or value._array is not original._array:
                    original._rebind(part._array)
                self.register_parameter(name, original)
            else:
                self.register_parameter(name, Parameter(part.detach(), original.requires_grad))
        self._originals = list(parts)
        if not unsafe:
            found = self()
            if not isinstance(found, Tensor) or found.shape != original.shape or found.dtype != original.dtype:
                raise ValueError(
                    "register_parametrization: a parametrization must keep shape and dtype unless unsafe=True, got "
                    f"{getattr(found, 'shape', type(found).__name__)} for {original.shape}"
                )

    def right_inverse(self, value: Tensor) -> None:
        """Set the original parameters so that the tensor becomes ``value``, as assigning to it does."""
        found: Any = value.detach()
        for module in reversed(list(self)):
            if not hasattr(module, "right_inverse"):
                raise RuntimeError(
                    f"ParametrizationList: {type(module).__name__} has no right_inverse, so its tensor cannot be set"
                )
            found = module.right_inverse(found)
        for name, part in zip(self._originals, [found] if self.is_tensor else found, strict=True):
            getattr(self, name)._rebind(part._array)

    def forward(self) -> Tensor:
        """The tensor in its present value."""
        first, *rest = self
        x = first(*[getattr(self, name) for name in self._originals])
        for module in rest:
            x = module(x)
        return x


def _with_properties(module: Module) -> None:
    """Give ``module`` a class with a property for each of its parametrized tensors, or its own without any."""
    base = type_before_parametrizations(module)
    names = list(module.parametrizations.keys()) if "parametrizations" in module._modules else []
    if not names:
        object.__setattr__(module, "__class__", base)
        return
    members = {name: property(_getter(name), _setter(name)) for name in names}
    made = type(f"Parametrized{base.__name__}", (base,), {**members, "_parametrized_base": base})
    object.__setattr__(module, "__class__", made)


def _getter(name: str) -> Any:
    def get(self: Module) -> Tensor:
        values = _cache.values
        if values is None:
            return self.parametrizations[name]()
        key = id(self), name
        if key not in values:
            values[key] = self.parametrizations[name]()
        return values[key]

    return get


def _setter(name: str) -> Any:
    return lambda self, value: self.parametrizations[name].right_inverse(value)


def register_parametrization(module: M, tensor_name: str, parametrization: Module, *, unsafe: bool = False) -> M:
    """Compute the parameter or buffer ``tensor_name`` of ``module`` as ``parametrization(original)``.

    The parameter itself becomes ``module.parametrizations.<tensor_name>.original``. If ``parametrization`` has a method
    ``right_inverse``, it gives the initial value of the original, and the tensor can be assigned to. A second
    parametrization of the same tensor is applied after the first. Returns the module.

    Args:
        unsafe: Whether not to check that the parametrization keeps shape and dtype.

    Example:
        >>> class Symmetric(nn.Module):
        ...     def forward(self, x):
        ...         return x.triu() + x.triu(1).t()
        >>> layer = nn.utils.parametrize.register_parametrization(nn.Linear(3, 3), "weight", Symmetric())
        >>> lucid.equal(layer.weight, layer.weight.t())
        True
    """
    where = "register_parametrization"
    for name, one in (("module", module), ("parametrization", parametrization)):
        if not isinstance(one, Module):
            raise TypeError(f"{where}: {name} must be a Module, got {type(one).__name__}")
    parametrization.train(module.training)
    if is_parametrized(module, tensor_name):
        known = module.parametrizations[tensor_name]
        before = getattr(module, tensor_name)
        if not unsafe and parametrization(before.detach()).shape != before.shape:
            raise ValueError(f"{where}: a parametrization must keep the shape unless unsafe=True")
        if hasattr(parametrization, "right_inverse"):
            known.right_inverse(parametrization.right_inverse(before.detach()))
        known.append(parametrization)
        return module
    kind = module._parameters if tensor_name in module._parameters else module._buffers
    original = kind.get(tensor_name)
    if original is None:
        raise ValueError(f"{where}: {type(module).__name__} has no parameter or buffer {tensor_name!r}")
    made = ParametrizationList([parametrization], original, unsafe)
    delattr(module, tensor_name)
    if "parametrizations" not in module._modules:
        module.parametrizations = ModuleDict()
    module.parametrizations[tensor_name] = made
    _with_properties(module)
    return module


def is_parametrized(module: Module, tensor_name: str | None = None) -> bool:
    """Whether the tensor ``tensor_name`` of ``module`` is parametrized, or any without a name."""
    parametrizations = getattr(module, "_modules", {}).get("parametrizations")
    if parametrizations is None:
        return False
    return len(parametrizations) > 0 if tensor_name is None else tensor_name in parametrizations


def remove_parametrizations(module: M, tensor_name: str, leave_parametrized: bool = True) -> M:
    """Make ``tensor_name`` a parameter or buffer again, and return the module.

    Args:
        leave_parametrized: Whether it keeps its present value; otherwise it becomes the original.
    """
    if not is_parametrized(module, tensor_name):
        raise ValueError(f"remove_parametrizations: {tensor_name!r} of {type(module).__name__} is not parametrized")
    known = module.parametrizations[tensor_name]
    if leave_parametrized:
        value = getattr(module, tensor_name).detach()
        parts = [getattr(known, name) for name in known._originals]
        trained = isinstance(parts[0], Parameter)
        if known.is_tensor and parts[0].shape == value.shape and parts[0].dtype == value.dtype:
            parts[0]._rebind(value._array)  # stays the tensor that an optimizer has
            value = parts[0]
        elif trained:
            value = Parameter(value, any(one.requires_grad for one in parts))
    elif known.is_tensor:
        value = known.original
        trained = isinstance(value, Parameter)
    else:
        raise ValueError(
            "remove_parametrizations: leave_parametrized=False needs a single original, "
            f"but {tensor_name!r} is computed from {len(known._originals)}"
        )
    del module.parametrizations[tensor_name]
    if not len(module.parametrizations):
        delattr(module, "parametrizations")
    _with_properties(module)
    (module.register_parameter if trained else module.register_buffer)(tensor_name, value)
    return module


def type_before_parametrizations(module: Module) -> type:
    """The class of ``module`` without parametrizations."""
    return getattr(type(module), "_parametrized_base", type(module))


def transfer_parametrizations_and_params(from_module: Module, to_module: M, tensor_name: str | None = None) -> M:
    """Give ``to_module`` the parametrizations of ``from_module`` and copies of their originals; returns it."""
    if not is_parametrized(from_module):
        return to_module
    for name in list(from_module.parametrizations.keys()) if tensor_name is None else [tensor_name]:
        if name not in to_module._parameters and not is_parametrized(to_module, name):
            to_module.register_parameter(name, Parameter(getattr(from_module, name).detach().clone()))
        source = from_module.parametrizations[name]
        if not is_parametrized(to_module, name):
            for one in source:
                register_parametrization(to_module, name, one, unsafe=True)
        target = to_module.parametrizations[name]
        for part in source._originals:
            getattr(target, part)._rebind(getattr(source, part)._array)
    return to_module
