"""The state of modules: ``state_dict`` and ``load_state_dict``, with PyTorch's hooks and methods to override.

Loading checks everything before anything changes: ``_load_from_state_dict`` plans what to load, unless it is
called by itself.
"""

from __future__ import annotations

import warnings
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import mlx.core as mx

from lucid import _checks
from lucid._dtypes import converted
from lucid._tensor import RemovableHandle, Tensor
from lucid._tensor_convert import as_array
from lucid.nn.parameter import Uninitialized, is_lazy

if TYPE_CHECKING:
    from lucid.nn.module import Module

STATE_HOOKS = (
    "_state_dict_pre_hooks", "_state_dict_hooks", "_load_state_dict_pre_hooks", "_load_state_dict_post_hooks",
)  # fmt: skip
_EXTRA = "_extra_state"
_Plan = list[tuple[Tensor, mx.array, Any]]  # what to load into which tensor, and the value that it comes from


class IncompatibleKeys(NamedTuple):
    """Names that are missing from the state dict, and names that the module does not have."""

    missing_keys: list[str]
    unexpected_keys: list[str]


def positional_state_dict_arguments(
    given: tuple[Any, ...], destination: Any, prefix: str, keep_vars: bool
) -> tuple[Any, str, bool]:
    """The arguments of ``state_dict`` in the order that PyTorch deprecates, with its warning.

    Raises:
        TypeError: there are more than three.
    """
    if len(given) > 3:
        raise TypeError(f"state_dict: expected at most 3 positional arguments, got {len(given)}")
    warnings.warn(
        "state_dict: positional arguments are deprecated; pass destination, prefix and keep_vars by name",
        FutureWarning,
        stacklevel=_checks.level_of_user(),
    )
    rest = (destination, prefix, keep_vars)[len(given) :]
    found = (*given, *rest)
    return found[0], found[1], found[2]


class Stateful:
    """Base class of ``Module`` with the methods for its state."""

    _parameters: dict[str, Any]
    _buffers: dict[str, Tensor | None]
    _modules: dict[str, Module | None]
    _non_persistent: set[str]
    _state_dict_pre_hooks: dict[int, Any]
    _state_dict_hooks: dict[int, Any]
    _load_state_dict_pre_hooks: dict[int, Any]
    _load_state_dict_post_hooks: dict[int, Any]
    _optional_state: ClassVar[frozenset[str]] = frozenset()  # buffers that a state dict may lack

    def state_dict(
        self, *args: Any, destination: Any = None, prefix: str = "", keep_vars: bool = False
    ) -> OrderedDict[str, Tensor]:
        """All parameters and persistent buffers by dotted name.

        The tensors share their values with the module, as ``detach()`` does: they follow its training, and a write to
        them changes the module. ``copy.deepcopy(model.state_dict())`` is a snapshot.

        Args:
            *args: Deprecated: destination, prefix and keep_vars as positional arguments.
            destination: The dict to add the tensors to, a new one by default.
            prefix: Prepended to all names.
            keep_vars: Whether to return the parameters themselves.

        Example:
            ``lucid.save(model.state_dict(), "model.safetensors")``
        """
        if args:
            destination, prefix, keep_vars = positional_state_dict_arguments(args, destination, prefix, keep_vars)
        found: OrderedDict[str, Tensor] = OrderedDict() if destination is None else destination
        for hook in list(self._state_dict_pre_hooks.values()):
            hook(self, prefix, keep_vars)
        self._save_to_state_dict(found, prefix, keep_vars)
        for name, child in self._modules.items():
            if child is not None:
                child.state_dict(destination=found, prefix=f"{prefix}{name}.", keep_vars=keep_vars)
        for hook in list(self._state_dict_hooks.values()):
            changed = hook(self, found, prefix, {})
            found = found if changed is None else changed
        return found

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        """Add the state of this module without its children to ``destination``."""
        for name, tensor in self._own_state():
            destination[prefix + name] = tensor if keep_vars else tensor.detach()
        extra = self.get_extra_state() if self._has_extra_state() else None
        if extra is not None:
            destination[prefix + _EXTRA] = extra

    def _own_state(self) -> list[tuple[str, Tensor]]:
        named = [*self._parameters.items(), *self._buffers.items()]
        return [(name, one) for name, one in named if one is not None and name not in self._non_persistent]

    def _has_extra_state(self) -> bool:
        return type(self).get_extra_state is not Stateful.get_extra_state

    def get_extra_state(self) -> Any:
        """State besides parameters and buffers, to be overridden. Only tensors can be saved to a file."""
        raise NotImplementedError(f"{type(self).__name__} does not define get_extra_state()")

    def set_extra_state(self, state: Any) -> None:
        """Take over what ``get_extra_state`` returned, to be overridden with it."""
        raise NotImplementedError(f"{type(self).__name__} does not define set_extra_state()")

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> IncompatibleKeys:
        """Load the values of ``state_dict``, a mapping of names to tensors, NumPy or MLX arrays.

        Args:
            strict: Whether missing and unexpected names are errors. Shapes must match in any case.
            assign: Whether to keep the dtypes of the values, instead of converting them to those of the module. Tensors
                then share their values with the module.

        Returns:
            The missing and the unexpected names.

        Raises:
            RuntimeError: names or shapes do not match; the message lists all of them, and nothing is loaded.
            TypeError: ``state_dict`` is not a mapping, or one of its values is not an array.
        """
        if not isinstance(state_dict, Mapping):
            raise TypeError(f"load_state_dict: expected a mapping of names to tensors, got {type(state_dict).__name__}")
        given = OrderedDict(state_dict)
        plan: _Plan = []
        keys, errors = IncompatibleKeys([], []), _Errors()
        finished: list[Callable[[], None]] = []
        _plan_module(self, given, "", {"assign_to_params_buffers": assign, "plan": plan}, keys, errors, finished)
        place = {key: at for at, key in enumerate(given)}
        keys.unexpected_keys.sort(key=lambda key: place.get(key, len(place)))
        errors.check(type(self).__name__, keys, strict)
        _load(plan, assign)
        for call in finished:
            call()
        return keys

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, local_metadata: dict[str, Any], strict: bool,
        missing_keys: list[str], unexpected_keys: list[str], error_msgs: list[str],
    ) -> None:  # fmt: skip
        """Load this module without its children. Classes override it to change ``state_dict``, a copy, before."""
        rest = (state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs)
        for hook, with_module in list(self._load_state_dict_pre_hooks.values()):
            hook(self, *rest) if with_module else hook(*rest)
        assign = local_metadata.get("assign_to_params_buffers", False)
        plan: _Plan = []
        own = dict(self._own_state())
        for name, tensor in own.items():
            key = prefix + name
            if key not in state_dict:
                if strict and name not in self._optional_state:
                    missing_keys.append(key)
                continue
            if is_lazy(tensor) and is_lazy(state_dict[key]):
                continue
            try:
                array = as_array(state_dict[key])
            except (TypeError, ValueError) as error:
                raise TypeError(f"load_state_dict: the value of {key!r} is not an array: {error}") from None
            if not is_lazy(tensor) and array.shape != tensor.shape:
                error_msgs.append(f"wrong shape: {key} has shape {array.shape}, the module expects {tensor.shape}")
            else:
                plan.append((tensor, array, state_dict[key]))
        if strict and self._has_extra_state() and prefix + _EXTRA not in state_dict:
            missing_keys.append(prefix + _EXTRA)
        if strict:
            known = {*own, *self._modules, *([_EXTRA] if self._has_extra_state() else [])}
            for key in state_dict:
                first, dot, _ = key[len(prefix) :].partition(".")
                if key.startswith(prefix) and (first not in known or bool(dot) != (first in self._modules)):
                    unexpected_keys.append(key)
        if "plan" in local_metadata:
            local_metadata["plan"].extend(plan)
        else:
            _load(plan, assign)

    # Hooks -----------------------------------------------------------------------------------------------------------

    def register_state_dict_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call ``hook(module, prefix, keep_vars)`` before ``state_dict`` collects the state of this module."""
        return RemovableHandle(self._state_dict_pre_hooks, hook)

    def register_state_dict_post_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call ``hook(module, state_dict, prefix, local_metadata)`` after ``state_dict``, to change it in place."""
        return RemovableHandle(self._state_dict_hooks, hook)

    _register_state_dict_hook = register_state_dict_post_hook

    def register_load_state_dict_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call a hook before ``load_state_dict`` loads this module, which may change the copied ``state_dict``.

        It is called as ``hook(module, state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys,
        error_msgs)``.
        """
        return self._register_load_state_dict_pre_hook(hook, with_module=True)

    def _register_load_state_dict_pre_hook(
        self, hook: Callable[..., Any], with_module: bool = False
    ) -> RemovableHandle:
        return RemovableHandle(self._load_state_dict_pre_hooks, (hook, with_module))

    def register_load_state_dict_post_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call ``hook(module, incompatible_keys)`` after ``load_state_dict``; the keys can be changed in place."""
        return RemovableHandle(self._load_state_dict_post_hooks, hook)


class _Errors(list[str]):
    """The messages of a ``load_state_dict``."""

    def check(self, caller: str, keys: IncompatibleKeys, strict: bool) -> None:
        """Raise if there are messages, or with ``strict`` if keys are missing or unexpected."""
        misshaped = len(self)
        faults = list(self)
        if strict:
            faults += [f"missing: {one}" for one in keys.missing_keys]
            faults += [f"unexpected: {one}" for one in keys.unexpected_keys]
        if not faults:
            return
        counts = f"{len(keys.missing_keys)} missing, {len(keys.unexpected_keys)} unexpected, {misshaped} of wrong shape"
        hint = "" if misshaped else "; strict=False loads what matches"
        raise RuntimeError(
            f"load_state_dict: the state dict does not match {caller} ({counts}{hint}), nothing was loaded:\n  "
            + "\n  ".join(faults)
        )


def _plan_module(
    module: Stateful, given: dict[str, Any], prefix: str, metadata: dict[str, Any], keys: IncompatibleKeys,
    errors: _Errors, finished: list[Callable[[], None]],
) -> None:  # fmt: skip
    """Call ``_load_from_state_dict`` of ``module`` and its descendants; ``finished`` is to be called after loading."""
    module._load_from_state_dict(given, prefix, metadata, True, keys.missing_keys, keys.unexpected_keys, errors)
    if module._has_extra_state() and prefix + _EXTRA in given:
        finished.append(lambda: module.set_extra_state(given[prefix + _EXTRA]))
    for name, child in module._modules.items():
        if child is not None:
            start = f"{prefix}{name}."
            part = OrderedDict((key, value) for key, value in given.items() if key.startswith(start))
            _plan_module(child, part, start, metadata, keys, errors, finished)
    for hook in list(module._load_state_dict_post_hooks.values()):
        finished.append(lambda hook=hook: hook(module, keys))  # type: ignore[misc]


def _load(plan: _Plan, assign: bool) -> None:
    for tensor, array, value in plan:
        if isinstance(tensor, Uninitialized):
            tensor.materialize(array.shape)
        if not assign:
            tensor._rebind(array if array.dtype == tensor.dtype else converted(array, tensor.dtype))
        elif isinstance(value, Tensor):
            tensor.data = value
        else:
            tensor._replace(array)
