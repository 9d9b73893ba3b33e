"""Modules as functions of their parameters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from lucid._tensor import Tensor
from lucid.nn.module import Module
from lucid.ops import joining


def functional_call(
    module: Module,
    parameter_and_buffer_dicts: Any,
    args: Any = None,
    kwargs: dict[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """``module(*args, **kwargs)`` with other parameters and buffers.

    Args:
        parameter_and_buffer_dicts: Tensors by the names of ``named_parameters()`` and ``named_buffers()``, or several
            such dictionaries. Names that are missing keep their tensors.
        args: A tuple, or the only argument.
        tie_weights: Whether a tensor that the module has under several names is replaced under all of them.
        strict: Whether all names have to be given.

    Raises:
        RuntimeError: a name is missing with ``strict``.
        ValueError: a name is given twice, or the module does not have it.

    Example:
        >>> layer = nn.Linear(2, 1, bias=False)
        >>> lucid.func.functional_call(layer, {"weight": lucid.ones(1, 2)}, lucid.ones(2)).tolist()
        [2.0]
    """
    listed = parameter_and_buffer_dicts
    listed = [listed] if isinstance(listed, dict) else list(listed)
    given: dict[str, Tensor] = {}
    for one in listed:
        for name, tensor in one.items():
            if name in given:
                raise ValueError(f"functional_call: {name} is given by two dictionaries")
            given[name] = tensor
    arguments = () if args is None else args if isinstance(args, tuple) else (args,)
    with _replaced(module, given, tie_weights, strict):
        return module(*arguments, **(kwargs or {}))


@contextmanager
def _replaced(module: Module, given: dict[str, Tensor], tie_weights: bool, strict: bool) -> Iterator[None]:
    owners: dict[str, tuple[dict[str, Any], str]] = {}
    for prefix, part in module.named_modules(remove_duplicate=False):
        for store in (part._parameters, part._buffers):
            for name in store:
                owners[f"{prefix}.{name}" if prefix else name] = (store, name)
    unknown = sorted(given.keys() - owners.keys())
    missing = sorted(owners.keys() - given.keys())
    if unknown:
        raise ValueError(f"functional_call: the module has no parameter or buffer {unknown[0]!r}")
    tensors = dict(given)
    if tie_weights:
        by_tensor = {id(owners[name][0][owners[name][1]]): tensor for name, tensor in given.items()}
        for name in missing:
            store, key = owners[name]
            if id(store[key]) in by_tensor:
                tensors[name] = by_tensor[id(store[key])]
    if strict and owners.keys() - tensors.keys():
        raise RuntimeError(
            f"functional_call: {sorted(owners.keys() - tensors.keys())[0]!r} is missing, and strict is true"
        )
    before = {name: owners[name][0][owners[name][1]] for name in tensors}
    try:
        for name, tensor in tensors.items():
            store, key = owners[name]
            store[key] = tensor  # type: ignore[assignment]
        yield
    finally:
        for name, tensor in before.items():
            store, key = owners[name]
            store[key] = tensor


def stack_module_state(models: Sequence[Module]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The parameters and the buffers of modules of one class, stacked along a new first dimension, for ``vmap``.

    The stacked parameters are leaves that require gradients if the parameters do.

    Raises:
        RuntimeError: there are no modules, or they differ in class or mode.
    """
    if not models:
        raise RuntimeError("stack_module_state: expected at least one module")
    if any(one.training != models[0].training for one in models):
        raise RuntimeError("stack_module_state: all modules must be in training mode, or all in evaluation mode")
    if any(type(one) is not type(models[0]) for one in models):
        raise RuntimeError("stack_module_state: all modules must have one class")
    parameters, buffers = {}, {}
    for name, first in models[0].named_parameters():
        stacked = joining.stack([dict(one.named_parameters())[name].detach() for one in models])
        parameters[name] = stacked.requires_grad_(first.requires_grad)
    for name, _ in models[0].named_buffers():
        buffers[name] = joining.stack([dict(one.named_buffers())[name].detach() for one in models])
    return parameters, buffers
