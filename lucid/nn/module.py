"""``Module``: the base class of layers and models, as in PyTorch.

A module has parameters (trained), buffers (state that is not trained) and child modules, which are registered when they
are assigned to an attribute.

The tensors of ``state_dict()`` share their values with the module. ``load_state_dict`` checks everything first, and
changes nothing if something is wrong.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any, TypeVar, overload

import mlx.core as mx

from lucid import _threads, tape
from lucid._checks import dtype_name
from lucid._dtypes import converted
from lucid._memory_format import check_memory_format
from lucid._tensor import RemovableHandle, Tensor
from lucid._tensor_casting import conversion
from lucid.nn._common import HasForward, P, R
from lucid.nn.hooks import call_with_hooks
from lucid.nn.module_repr import repr_lines
from lucid.nn.parameter import Buffer, Parameter, Uninitialized
from lucid.nn.state import STATE_HOOKS, Stateful

Self = TypeVar("Self", bound="Module")


class _Registered:
    """Counts the attributes set on all modules, so that compiled functions notice changes."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0


registered = _Registered()


class Module(Stateful):
    """Base class: create layers in ``__init__`` after ``super().__init__()``, and compute in ``forward``.

    Attributes:
        training: Whether the module is in training mode, which ``Dropout`` and ``BatchNorm2d`` depend on.

    Example:
        >>> class Twice(nn.Module):
        ...     def forward(self, x):
        ...         return 2 * x
    """

    training: bool
    _parameters: dict[str, Parameter | None]
    _buffers: dict[str, Tensor | None]
    _modules: dict[str, Module | None]

    def __init__(self) -> None:
        _threads.prepare()
        for name, value in (
            ("training", True),
            *((kind, {}) for kind in ("_parameters", "_buffers", "_modules")),
            ("_non_persistent", set()),
            ("_forward_pre_hooks", {}),
            ("_forward_hooks", {}),
            ("_backward_hooks", {}),
            *((kind, {}) for kind in STATE_HOOKS),
        ):
            object.__setattr__(self, name, value)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The computation of the module, defined by subclasses. Call the module instead, which also runs hooks."""
        raise NotImplementedError(f"{type(self).__name__} does not define forward()")

    # For type checkers, calling a module is calling its forward(), with the same arguments and result.
    @overload
    def __call__(self: HasForward[P, R], *args: P.args, **kwargs: P.kwargs) -> R: ...
    @overload
    def __call__(self, *args: Any, **kwargs: Any) -> Any: ...
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not (self._forward_pre_hooks or self._forward_hooks or self._backward_hooks):
            return self.forward(*args, **kwargs)
        return call_with_hooks(self, args, kwargs)

    # Registration ----------------------------------------------------------------------------------------------------

    def __setattr__(self, name: str, value: Any) -> None:
        registered.count += 1
        slots = self.__dict__
        if isinstance(value, Parameter):
            self._remove_other(name, slots.get("_parameters"))
            self.register_parameter(name, value)
        elif isinstance(value, Buffer):
            self._remove_other(name, slots.get("_buffers"))
            self.register_buffer(name, value, value.persistent)
        elif isinstance(value, Module):
            self._remove_other(name, slots.get("_modules"))
            self.register_module(name, value)
        elif "_parameters" not in slots:
            object.__setattr__(self, name, value)
        elif name in slots["_parameters"]:
            if value is not None:
                raise TypeError(
                    f"{type(self).__name__}: {name} is a parameter and must be a Parameter or None, "
                    f"got {type(value).__name__}"
                )
            slots["_parameters"][name] = None
        elif name in slots["_modules"]:
            if value is not None:
                raise TypeError(
                    f"{type(self).__name__}: {name} is a module and must be a Module or None, "
                    f"got {type(value).__name__}"
                )
            slots["_modules"][name] = None
        elif name in slots["_buffers"]:
            if value is not None and not isinstance(value, Tensor):
                raise TypeError(
                    f"{type(self).__name__}: {name} is a buffer and must be a Tensor or None, "
                    f"got {type(value).__name__}"
                )
            slots["_buffers"][name] = value
        else:
            object.__setattr__(self, name, value)

    def __getattr__(self, name: str) -> Any:
        slots = self.__dict__
        for kind in ("_modules", "_parameters", "_buffers"):
            found = slots.get(kind)
            if found is not None and name in found:
                return found[name]
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    def __delattr__(self, name: str) -> None:
        registered.count += 1
        for kind in (self._parameters, self._buffers, self._modules):
            if name in kind:
                del kind[name]
                self._non_persistent.discard(name)
                return
        object.__delattr__(self, name)

    def __dir__(self) -> list[str]:
        registered = [*self._parameters, *self._buffers, *self._modules]
        return sorted({*super().__dir__(), *(name for name in registered if name.isidentifier())})

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Register ``param`` under ``name``; ``None`` registers the name without a parameter.

        Raises:
            TypeError: ``param`` is not a Parameter.
            KeyError: the name is taken, empty or contains a dot.
            AttributeError: ``super().__init__()`` was not called.
        """
        self._check_name("register_parameter", name, self.__dict__.get("_parameters"))
        if param is not None and not isinstance(param, Parameter):
            raise TypeError(f"register_parameter: {name} must be a Parameter or None, got {type(param).__name__}")
        if param is not None and not param.is_leaf:
            raise ValueError(f"register_parameter: {name} must be a leaf, but was computed from other tensors")
        self._parameters[name] = param

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Register a tensor that is state of the module but not trained, such as a running mean.

        Args:
            persistent: Whether it is part of ``state_dict``.
        """
        self._check_name("register_buffer", name, self.__dict__.get("_buffers"))
        if tensor is not None and not isinstance(tensor, Tensor):
            raise TypeError(f"register_buffer: {name} must be a Tensor or None, got {type(tensor).__name__}")
        self._buffers[name] = tensor
        (self._non_persistent.discard if persistent else self._non_persistent.add)(name)

    def register_module(self, name: str, module: Module | None) -> None:
        """Register a child module under ``name``."""
        self._check_name("add_module", name, self.__dict__.get("_modules"))
        if module is not None and not isinstance(module, Module):
            raise TypeError(f"add_module: {name} must be a Module or None, got {type(module).__name__}")
        self._modules[name] = module

    add_module = register_module

    def _check_name(self, caller: str, name: str, own: dict[str, Any] | None) -> None:
        registered.count += 1
        if own is None:
            raise AttributeError(
                f"{type(self).__name__}: call super().__init__() before assigning parameters, buffers or modules"
            )
        if not isinstance(name, str):
            raise TypeError(f"{caller}: the name must be a string, got {type(name).__name__}")
        if not name or "." in name:
            raise KeyError(f"{caller}: the name must be a non-empty string without dots, got {name!r}")
        if name not in own and hasattr(self, name):
            raise KeyError(f"{caller}: {type(self).__name__} already has an attribute {name!r}")

    def _remove_other(self, name: str, own: dict[str, Any] | None) -> None:
        """Remove anything else with this name, which an assignment replaces."""
        if own is None or name in own:
            return
        for kind in (self.__dict__, self._parameters, self._buffers, self._modules):
            kind.pop(name, None)
        self._non_persistent.discard(name)

    # Traversal -------------------------------------------------------------------------------------------------------

    def named_modules(
        self, memo: set[Module] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """This module and all its descendants with their dotted names, each once."""
        memo = set() if memo is None else memo
        if remove_duplicate and self in memo:
            return
        memo.add(self)
        yield prefix, self
        for name, child in self._modules.items():
            if child is not None:
                yield from child.named_modules(memo, f"{prefix}.{name}" if prefix else name, remove_duplicate)

    def modules(self, remove_duplicate: bool = True) -> Iterator[Module]:
        """This module and all its descendants, each once."""
        return (module for _, module in self.named_modules(remove_duplicate=remove_duplicate))

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The child modules with their names, each once."""
        seen = set()
        for name, child in self._modules.items():
            if child is not None and child not in seen:
                seen.add(child)
                yield name, child

    def children(self) -> Iterator[Module]:
        """The child modules, each once."""
        return (child for _, child in self.named_children())

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """The parameters with their dotted names, each once, even if it is shared."""
        return self._named("_parameters", prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """The parameters, each once."""
        return (parameter for _, parameter in self.named_parameters(recurse=recurse))

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """The buffers with their dotted names."""
        return self._named("_buffers", prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """The buffers, each once."""
        return (buffer for _, buffer in self.named_buffers(recurse=recurse))

    def _named(self, kind: str, prefix: str, recurse: bool, remove_duplicate: bool) -> Iterator[tuple[str, Any]]:
        modules = self.named_modules(prefix=prefix, remove_duplicate=remove_duplicate) if recurse else [(prefix, self)]
        seen = set()
        for path, module in modules:
            for name, tensor in getattr(module, kind).items():
                if tensor is None or (remove_duplicate and id(tensor) in seen):
                    continue
                seen.add(id(tensor))
                yield (f"{path}.{name}" if path else name), tensor

    def get_submodule(self, target: str) -> Module:
        """The module with a dotted name, or this module for ``""``.

        Raises:
            AttributeError: there is no such module; the message names the missing part.
        """
        module: Module = self
        for name in target.split(".") if target else ():
            child = module._modules.get(name)
            if child is None:
                raise AttributeError(
                    f"get_submodule: {target!r} has no module {name!r} in {type(module).__name__}; "
                    f"available: {', '.join(module._modules) or 'none'}"
                )
            module = child
        return module

    def get_parameter(self, target: str) -> Parameter:
        """The parameter with a dotted name."""
        return self._get("get_parameter", "_parameters", target)

    def get_buffer(self, target: str) -> Tensor:
        """The buffer with a dotted name."""
        return self._get("get_buffer", "_buffers", target)

    def _get(self, caller: str, kind: str, target: str) -> Any:
        path, _, name = target.rpartition(".")
        found = getattr(self.get_submodule(path), kind).get(name)
        if found is None:
            raise AttributeError(f"{caller}: no {kind[1:-1]} {target!r}")
        return found

    def apply(self: Self, fn: Callable[[Module], Any]) -> Self:
        """Call ``fn`` on every descendant and then on this module, as in ``model.apply(init)``. Returns itself."""
        for child in self.children():
            child.apply(fn)
        fn(self)
        return self

    # Modes and dtypes ------------------------------------------------------------------------------------------------

    def train(self: Self, mode: bool = True) -> Self:
        """Set training mode for this module and all its descendants. Returns itself.

        Raises:
            ValueError: ``mode`` is not a bool.
        """
        if not isinstance(mode, bool):
            raise ValueError(f"train: mode must be True or False, got {mode!r}")
        for module in self.modules():
            module.training = mode
        return self

    def eval(self: Self) -> Self:
        """Set evaluation mode, ``train(False)``. This does not disable gradients; ``lucid.no_grad`` does."""
        return self.train(False)

    def requires_grad_(self: Self, requires_grad: bool = True) -> Self:
        """Set whether the parameters require gradients; False freezes them. Returns itself."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Clear the gradients of all parameters, or set them to zeros with ``set_to_none=False``."""
        for parameter in self.parameters():
            parameter._clear_grad(set_to_none)

    def to(self: Self, *args: Any, **kwargs: Any) -> Self:
        """Convert floating-point parameters and buffers: ``to(dtype)``, ``to(device, dtype)`` or ``to(tensor)``.

        A device has no effect, because memory is unified. Returns itself.

        Raises:
            TypeError: the dtype is not floating point, or an argument is invalid.
        """
        wanted = conversion(args, kwargs)
        check_memory_format("to", wanted.memory_format)
        return self if wanted.dtype is None else self._cast(wanted.dtype)

    def float(self: Self) -> Self:
        """Convert to float32. Returns itself."""
        return self._cast(mx.float32)

    def double(self: Self) -> Self:
        """Convert to float64, which only the CPU supports. Returns itself."""
        return self._cast(mx.float64)

    def half(self: Self) -> Self:
        """Convert to float16. Returns itself."""
        return self._cast(mx.float16)

    def bfloat16(self: Self) -> Self:
        """Convert to bfloat16. Returns itself."""
        return self._cast(mx.bfloat16)

    def cpu(self: Self) -> Self:
        """The module itself: memory is unified."""
        return self

    def cuda(self: Self, device: object = None) -> Self:
        """The module itself: memory is unified."""
        return self

    def _cast(self: Self, dtype: mx.Dtype) -> Self:
        if not mx.issubdtype(dtype, mx.floating):
            raise TypeError(f"to: modules can only be converted to floating-point dtypes, got {dtype_name(dtype)}")
        for tensor in itertools.chain(self.parameters(), self.buffers()):
            if isinstance(tensor, Uninitialized):
                tensor.cast(dtype)
            elif tensor.is_floating_point() and tensor.dtype != dtype:
                tensor._replace(converted(tensor._array, dtype))
                if tensor.grad is not None:
                    tensor.grad = tape.wrap(converted(tensor.grad._array, dtype))
        return self

    # Hooks -----------------------------------------------------------------------------------------------------------

    def register_forward_pre_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Call ``hook(module, args)`` before ``forward``; returned arguments replace those of the call.

        Args:
            prepend: Whether to run the hook before those that are already registered.
            with_kwargs: Whether to call ``hook(module, args, kwargs)``, which returns ``None`` or (args, kwargs).
        """
        return RemovableHandle(self._forward_pre_hooks, (hook, with_kwargs), prepend)

    def register_forward_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False, always_call: bool = False
    ) -> RemovableHandle:
        """Call ``hook(module, args, output)`` after ``forward``; a returned value replaces the output.

        Args:
            prepend: Whether to run the hook before those that are already registered.
            with_kwargs: Whether to call ``hook(module, args, kwargs, output)``.
            always_call: Whether to call the hook, with ``None`` for the output, even if ``forward`` raises an error.
        """
        return RemovableHandle(self._forward_hooks, (hook, with_kwargs, always_call), prepend)

    def register_full_backward_hook(self, hook: Callable[..., Any], prepend: bool = False) -> RemovableHandle:
        """Call ``hook(module, grad_input, grad_output)`` in the backward pass.

        Both are tuples with ``None`` where there is no gradient; ``grad_input`` holds those of positional arguments. A
        returned tuple replaces ``grad_input``.
        """
        return RemovableHandle(self._backward_hooks, hook, prepend)

    # Representation --------------------------------------------------------------------------------------------------

    def num_parameters(self, trainable_only: bool = False) -> int:
        """The number of values in all parameters, and in quantized weights unless ``trainable_only``."""
        count = sum(p.numel() for p in self.parameters() if p.requires_grad or not trainable_only)
        return count if trainable_only else count + self._quantized_sizes()

    def _quantized_sizes(self) -> int:
        return sum(module._quantized_size() for module in self.modules())

    def _quantized_size(self) -> int:
        """The number of values in the module's own quantized weight, which is a buffer."""
        return 0

    def extra_repr(self) -> str:
        """The text in the parentheses of the module's repr."""
        return ""

    def __repr__(self) -> str:
        """The tree of modules with their numbers of parameters; consecutive equal modules are shown once."""
        return "\n".join(repr_lines(self))
