"""PyTorch's own test inputs and what PyTorch makes of them. Needs PyTorch."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch.testing._internal.common_methods_invocations import op_db

from tests.conformance.run import ATTRIBUTES, Library, called, lookup, rearranged, run
from tests.conformance.torch_signatures import function_overloads, method_overloads
from tests.conformance.values import Array, Named, Outcome, Sample, arrays_in, tree_map

DTYPES = ("float32", "float64", "float16", "bfloat16", "int32", "int64", "uint8", "bool", "complex64")
NOT_IN_MLX = ("complex128", "complex32")
ORDER = {"float32": 1, "float64": 1}  # of the derivatives to compare
SECOND = 4  # samples per operation in float64 whose second derivatives are compared
_RANDOM = re.compile(r"attention|dropout|fractional|rrelu|gumbel|rand|normal|bernoulli|multinomial|uniform|empty")


class Unsupported(Exception):
    """An argument that has no form without PyTorch, such as a sparse tensor."""


class Torch(Library):
    name = "torch"
    root = torch
    tensor_type = torch.Tensor

    def tensor(self, array: Array) -> torch.Tensor:
        found = torch.tensor(array.data, dtype=getattr(torch, array.dtype))
        return found.requires_grad_() if array.grad else found

    def array(self, tensor: torch.Tensor) -> Array:
        if tensor.layout != torch.strided or tensor.is_quantized:
            raise Unsupported(str(tensor.layout))
        name = str(tensor.dtype).rpartition(".")[2]
        if name in NOT_IN_MLX:
            raise Unsupported(name)
        values = tensor.detach().resolve_conj().resolve_neg()
        try:
            return Array((values.float() if name == "bfloat16" else values).numpy(force=True).copy(), name)
        except (TypeError, ValueError, NotImplementedError, RuntimeError) as error:
            raise Unsupported(name) from error

    def constant(self, value: Named) -> Any:
        return torch.device(value.name) if value.kind == "device" else getattr(torch, value.name)

    def named(self, value: Any) -> Named | None:
        for kind in (torch.dtype, torch.memory_format, torch.layout, torch.device):
            if isinstance(value, kind):
                return Named(kind.__name__, str(value).rpartition(".")[2])
        return None

    def grad(self, outputs: Any, inputs: Any, cotangents: Any, create_graph: bool) -> Any:
        return torch.autograd.grad(outputs, inputs, cotangents, create_graph=create_graph, allow_unused=True)


TORCH = Torch()


def neutral(value: Any) -> Any:
    """Nested arguments without anything of PyTorch's."""
    seen: dict[int, Array] = {}

    def leaf(one: Any) -> Any:
        if isinstance(one, torch.Tensor):
            if id(one) not in seen:
                seen[id(one)] = TORCH.array(one)
                seen[id(one)].grad = one.requires_grad
            return seen[id(one)]
        named = TORCH.named(one)
        if named is not None:
            return named
        if isinstance(one, torch.Size):
            return tuple(one)
        if isinstance(one, np.generic):
            return one.item()
        if one is None or one is ... or isinstance(one, bool | int | float | complex | str):
            return one
        raise Unsupported(repr(type(one)))

    return tree_map(leaf, value)


def operations() -> dict[str, list[Any]]:
    """The entries of op_db by name."""
    found: dict[str, list[Any]] = {}
    for info in op_db:
        found.setdefault(info.name, []).append(info)
    return found


def names(info: Any) -> list[str]:
    """The name of an entry and its aliases, dotted below ``torch``, or of a method of tensors."""
    aliases = [one.name for one in info.aliases] if getattr(info.op, "__name__", "") != "<lambda>" else []
    return [one for one in (info.name, *aliases) if lookup(torch, one) or hasattr(torch.Tensor, one)]


def samples(
    info: Any, dtype: str, wanted: list[str], limit: int | None = None, wants: Callable[[Sample], bool] | None = None
) -> Iterator[Sample]:
    """The samples of an entry in a dtype under each wanted name, with PyTorch's outcomes.

    PyTorch computes nothing for samples that ``wants`` rejects.
    """
    torch_dtype = getattr(torch, dtype)
    if torch_dtype not in info.supported_dtypes("cpu"):
        return
    order = (
        ORDER.get(dtype, 0) if torch_dtype in info.supported_backward_dtypes("cpu") and info.supports_autograd else 0
    )
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002 - the state that op_db reads
    seconds = 0
    for count, found in enumerate(info.sample_inputs("cpu", torch_dtype, requires_grad=bool(order))):
        if limit is not None and count >= limit:
            return
        second = order == 1 and dtype == "float64" and seconds < SECOND and info.supports_gradgrad
        seconds += second
        for name in wanted:
            yield from _sample(name, info, found, dtype, 2 if second else order, wants)
    if dtype == "float32" and info.error_inputs_func is not None:
        try:
            errors = list(info.error_inputs("cpu"))
        except Exception:  # some generators are for accelerators only
            errors = []
        for error in errors[:limit]:
            for name in wanted:
                for sample in _sample(name, info, error.sample_input, dtype, 0):
                    if sample.outcome.error is not None:
                        yield sample


def _sample(
    name: str,
    info: Any,
    found: Any,
    dtype: str,
    order: int,
    wants: Callable[[Sample], bool] | None = None,
) -> Iterator[Sample]:
    try:
        args, kwargs = neutral([found.input, *found.args]), neutral(dict(found.kwargs))
    except Unsupported:
        return
    if not any(one.grad for one in arrays_in([args, kwargs])):
        order = 0
    sample = Sample(name, args, kwargs, Outcome(), dtype, variant=info.variant_test_name, order=order)
    if wants is None or wants(sample):
        with contextlib.suppress(Unsupported):
            yield complete(sample)


def complete(sample: Sample) -> Sample:
    """The sample with PyTorch's outcome, and the forms in which PyTorch takes it."""
    name, args, kwargs = sample.op, sample.args, sample.kwargs
    function = called(TORCH, name)
    is_function = callable(lookup(torch, name))
    ordered = rearranged(name, args) if is_function else args
    sample.outcome = _outcome(name, function, ordered, kwargs, sample.order)
    if name in ATTRIBUTES:
        return sample
    if is_function:
        sample.keywords = _keywords(function_overloads(name), function, [], ordered, kwargs, sample.outcome)
    if "." in name or not args or not isinstance(args[0], Array) or not hasattr(torch.Tensor, name):
        return sample
    method = getattr(torch.Tensor, name)
    if _outcome(name, method, args, kwargs, 0).error is None or sample.outcome.error is not None:
        names = _keywords(method_overloads(name), method, args[:1], args[1:], kwargs, sample.outcome)
        sample.method_keywords = names or []
    if hasattr(torch.Tensor, f"{name}_"):
        changed = _outcome(
            name, lambda x, *rest, **named: getattr(x.clone(), f"{name}_")(*rest, **named), args, kwargs, sample.order
        )
        sample.inplace = changed
    return sample


def _outcome(name: str, function: Any, args: list[Any], kwargs: dict[str, Any], order: int) -> Outcome:
    torch.manual_seed(0)
    found = run(TORCH, function, args, kwargs, order)
    if _RANDOM.search(name) and found.error is None:
        for seed in (1, 2, 3):
            torch.manual_seed(seed)
            again = run(TORCH, function, args, kwargs, 0)
            if "empty" in name or "fractional" in name or repr(again.outputs) != repr(found.outputs):
                found.is_random, found.grads, found.second = True, None, None
    return found


def _keywords(
    overloads: list[Any], function: Any, fixed: list[Any], args: list[Any], kwargs: dict[str, Any], wanted: Outcome
) -> list[str] | None:
    """The names of the positional arguments in the first overload that PyTorch takes them by."""
    if wanted.error is not None:
        return None
    for overload in overloads:
        names = overload.positional_names()
        if len(names) < len(args) or set(names[: len(args)]) & set(kwargs):
            continue
        named = dict(zip(names, args, strict=False))
        found = run(TORCH, function, fixed, {**named, **kwargs}, 0)
        if found.error is None and found.structure == wanted.structure:
            return names[: len(args)]
    return None
