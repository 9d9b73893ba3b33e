"""Run a sample with Lucid in all its forms, and say how each differs from PyTorch's outcome. Needs no PyTorch."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import mlx.core as mx
import numpy as np

import lucid
from lucid import tape
from tests.conformance.modules import ModuleSample, module_forms, run_module
from tests.conformance.optimizers import OptimizerSample, ScheduleSample, run_optimizer, run_schedule
from tests.conformance.run import ATTRIBUTES, Library, called, lookup, rearranged, run
from tests.conformance.values import GRADIENT_FACTOR, Array, Difference, Named, Outcome, Sample, same_choice, unlike

# Operations whose indices are arbitrary where values are equal.
TIES = {"topk", "kthvalue", "median", "nanmedian", "sort", "argsort", "mode"}
# "caller: ..." is an error of Lucid's own, "f() got an unexpected keyword argument 'x'" one of Python's for a call.
_OWN = re.compile(
    r"[A-Za-z_]\w*(\.\w+)*(\(\))?: "
    r"|.*(unexpected keyword|multiple values|required positional|takes .* positional|required keyword)"
)


class Lucid(Library):
    name = "lucid"
    root = lucid
    tensor_type = lucid.Tensor

    def tensor(self, array: Array) -> lucid.Tensor:
        dtype = getattr(mx, "bool_" if array.dtype == "bool" else array.dtype)
        found = tape.wrap(mx.array(array.data, dtype=dtype))
        return found.requires_grad_() if array.grad else found

    def array(self, tensor: lucid.Tensor) -> Array:
        name = str(tensor.dtype).rpartition(".")[2].removesuffix("_")
        values = tensor.detach()
        return Array(np.array((values.float() if name == "bfloat16" else values).numpy()), name)

    def constant(self, value: Named) -> Any:
        return getattr(lucid, value.name, value.name)

    def named(self, value: Any) -> Named | None:
        if isinstance(value, mx.Dtype):
            return Named("dtype", str(value).rpartition(".")[2].removesuffix("_"))
        return None

    def grad(self, outputs: Any, inputs: Any, cotangents: Any, create_graph: bool) -> Any:
        return lucid.autograd.grad(outputs, inputs, cotangents, create_graph=create_graph, allow_unused=True)


LUCID = Lucid()


def forms(sample: Sample) -> Iterator[tuple[str, Callable[..., Any], list[Any], dict[str, Any], Outcome]]:
    """(name, function, positional and keyword arguments, PyTorch's outcome) for each way to make this call."""
    name = sample.op
    args, kwargs, outcome = sample.args, sample.kwargs, sample.outcome
    function = lookup(lucid, name)
    if name in ATTRIBUTES:
        yield f"Tensor.{name}", called(LUCID, name), args, kwargs, outcome
        return
    if function is not None and callable(function) and not isinstance(function, mx.Dtype):
        ordered = rearranged(name, args)
        yield f"lucid.{name}", function, ordered, kwargs, outcome
        if sample.keywords is not None:
            named = dict(zip(sample.keywords, ordered, strict=False))
            yield f"lucid.{name} by keyword", function, [], {**named, **kwargs}, outcome
    if "." in name or not args or not isinstance(args[0], Array):
        return
    method = getattr(lucid.Tensor, name, None)
    if callable(method) and sample.method_keywords is not None:
        yield f"Tensor.{name}", method, args, kwargs, outcome
        if len(args) > 1 and sample.method_keywords:
            named = dict(zip(sample.method_keywords, args[1:], strict=False))
            yield f"Tensor.{name} by keyword", method, args[:1], {**named, **kwargs}, outcome
    changed = getattr(lucid.Tensor, f"{name}_", None)
    if changed is not None and sample.inplace is not None:
        yield f"Tensor.{name}_", _on_a_copy(f"{name}_"), args, kwargs, sample.inplace


def _on_a_copy(name: str) -> Callable[..., Any]:
    return lambda x, *args, **kwargs: getattr(x.clone(), name)(*args, **kwargs)


def exists(name: str) -> bool:
    """Whether Lucid has the operation, as a function, a method or an attribute."""
    return callable(lookup(lucid, name)) or (
        "." not in name and (hasattr(lucid.Tensor, name) or hasattr(lucid.Tensor, f"{name}_"))
    )


def home(name: str) -> str:
    """The module that defines the operation."""
    found = lookup(lucid, name) or getattr(lucid.Tensor, name, None)
    return getattr(found, "__module__", None) or "lucid._tensor"


def differences(sample: Sample) -> list[Difference]:
    """How Lucid's outcomes of the sample differ from PyTorch's."""
    found: list[Difference] = []
    seen: set[tuple[str, str]] = set()
    for form, function, args, kwargs, wanted in forms(sample):
        got = run(LUCID, function, args, kwargs, order=_order(wanted))
        for kind, detail in compare(wanted, got):
            if kind == "value" and _only_ties(sample, wanted, got):
                continue
            if kind == "raises" and form.endswith("by keyword"):
                kind = "keyword"
            if (kind, detail) in seen:  # the same as in another form
                continue
            seen.add((kind, detail))
            found.append(Difference(sample.op, form, kind, detail, sample))
    return found


def module_differences(sample: ModuleSample) -> list[Difference]:
    """How Lucid's outcome of a layer differs from PyTorch's."""
    found: dict[tuple[str, str], Difference] = {}  # each once, by the first form that shows it
    for form, one in module_forms(sample):
        one.order = _order(sample.outcome)
        for what in compare(sample.outcome, run_module(LUCID, one)):
            found.setdefault(what, Difference(sample.op, form, *what, sample))
    return list(found.values())


def optimizer_differences(sample: OptimizerSample) -> list[Difference]:
    """How Lucid's outcome of an optimizer differs from PyTorch's."""
    got = run_optimizer(LUCID, sample)
    return [Difference(sample.op, f"lucid.{sample.op}", *what, sample) for what in compare(sample.outcome, got)]


def schedule_differences(sample: ScheduleSample) -> list[Difference]:
    """How Lucid's outcome of a schedule differs from PyTorch's."""
    got = run_schedule(LUCID, sample)
    return [Difference(sample.op, f"lucid.{sample.op}", *what, sample) for what in compare(sample.outcome, got)]


def all_differences(sample: Any) -> list[Difference]:
    """How Lucid differs from PyTorch in a sample of any class."""
    if isinstance(sample, ModuleSample):
        return module_differences(sample)
    if isinstance(sample, OptimizerSample):
        return optimizer_differences(sample)
    return schedule_differences(sample) if isinstance(sample, ScheduleSample) else differences(sample)


def _only_ties(sample: Sample, wanted: Outcome, got: Outcome) -> bool:
    """Whether results of sorting differ in nothing but which of equal values they name."""
    if sample.op not in TIES or not sample.args or not isinstance(sample.args[0], Array):
        return False
    *values, indices = zip(wanted.outputs, got.outputs, strict=True)
    return not any(unlike(a, b) for a, b in values) and same_choice(sample.args[0], *indices)


def _order(wanted: Outcome) -> int:
    return 0 if wanted.grads is None else 1 if wanted.second is None else 2


def compare(wanted: Outcome, got: Outcome) -> Iterator[tuple[str, str]]:
    """(kind, detail) of each difference."""
    if got.error is not None:
        what = "{}: {}".format(*got.error)
        is_own = bool(_OWN.match(got.error[1]))
        if wanted.error is None:
            yield "raises" if is_own else "obscure", what
        elif not is_own:
            yield "obscure", f"{what}, PyTorch {wanted.error[0]}: {wanted.error[1]}"
        elif wanted.error[0] not in got.bases:
            yield "error type", f"{what}, PyTorch {wanted.error[0]}: {wanted.error[1]}"
        return
    if wanted.error is not None:
        yield "accepts", f"gives {got.outputs!r:.100}, PyTorch {wanted.error[0]}: {wanted.error[1]}"
        return
    if wanted.structure != got.structure:
        yield "structure", f"{got.structure}, PyTorch {wanted.structure}"
        return
    if len(wanted.outputs) != len(got.outputs):
        yield "structure", f"{len(got.outputs)} outputs and buffers, PyTorch {len(wanted.outputs)}"
        return
    for a, b in zip(wanted.outputs, got.outputs, strict=True):
        yield from _output(a, b, wanted.is_random)
    for kind, theirs, ours in (("grad", wanted.grads, got.grads), ("second", wanted.second, got.second)):
        for position, a in enumerate(theirs or ()):
            wrong = unlike(a, ours[position] if ours else None, GRADIENT_FACTOR)
            if wrong:
                yield kind, f"of input {position}: {wrong}"


def _output(wanted: Any, got: Any, is_random: bool) -> Iterator[tuple[str, str]]:
    if not isinstance(wanted, Array):
        same = type(wanted) is type(got) and (wanted == got or (wanted != wanted and got != got))
        if isinstance(wanted, float) and isinstance(got, float) and not same:
            same = bool(np.isclose(wanted, got, 1e-5, 1e-7))
        if not same and not is_random:
            yield "value", f"{got!r}, PyTorch {wanted!r}"
        return
    if wanted.data.shape != got.data.shape:
        yield "shape", f"{got.data.shape}, PyTorch {wanted.data.shape}"
        return
    if wanted.dtype != got.dtype:
        yield "dtype", f"{got.dtype}, PyTorch {wanted.dtype}"
    wrong = "" if is_random else unlike(wanted, got)
    if wrong:
        yield "value", wrong
