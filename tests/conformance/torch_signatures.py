"""PyTorch's signatures, from its type stubs, its Python functions and its docstrings. Needs PyTorch."""

from __future__ import annotations

import ast
import functools
import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

ROOT = Path(torch.__file__).parent
REQUIRED = "required"  # stands for a default where there is none


@dataclass(frozen=True)
class Parameter:
    """``kind`` is "positional", "keyword" (only), "varargs" or "varkw"; ``default`` its source text."""

    name: str
    kind: str
    default: str = REQUIRED


@dataclass(frozen=True)
class Overload:
    parameters: tuple[Parameter, ...]

    def positional_names(self) -> list[str]:
        return [one.name for one in self.parameters if one.kind == "positional"]


@functools.cache
def stub(path: str, owner: str = "") -> dict[str, list[Overload]]:
    """The functions of a stub file, or the methods of its class ``owner``."""
    body = ast.parse((ROOT / path).read_text()).body
    if owner:
        [found] = [one for one in body if isinstance(one, ast.ClassDef) and one.name == owner]
        body = found.body
    overloads: dict[str, list[Overload]] = {}
    for one in body:
        if isinstance(one, ast.FunctionDef):
            overload = _from_ast(one.args, drop_self=bool(owner))
            if overload not in overloads.setdefault(one.name, []):
                overloads[one.name].append(overload)
    return overloads


def _from_ast(args: ast.arguments, drop_self: bool) -> Overload:
    positional = [*args.posonlyargs, *args.args]
    defaults = [None] * (len(positional) - len(args.defaults)) + list(args.defaults)
    found = [_parameter(a.arg, "positional", d) for a, d in zip(positional, defaults, strict=True)]
    if args.vararg is not None:
        found.append(Parameter(args.vararg.arg, "varargs"))
    found += [_parameter(a.arg, "keyword", d) for a, d in zip(args.kwonlyargs, args.kw_defaults, strict=True)]
    if args.kwarg is not None:
        found.append(Parameter(args.kwarg.arg, "varkw"))
    return Overload(tuple(found[drop_self:]))


def _parameter(name: str, kind: str, default: ast.expr | None) -> Parameter:
    return Parameter(name, kind, REQUIRED if default is None else ast.unparse(default))


KINDS = {
    inspect.Parameter.POSITIONAL_ONLY: "positional",
    inspect.Parameter.POSITIONAL_OR_KEYWORD: "positional",
    inspect.Parameter.VAR_POSITIONAL: "varargs",
    inspect.Parameter.KEYWORD_ONLY: "keyword",
    inspect.Parameter.VAR_KEYWORD: "varkw",
}


def inspected(function: Callable[..., Any], drop_self: bool = False) -> list[Overload]:
    """The signature of a Python function; none if it has no useful one."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return []
    found = [Parameter(one.name, KINDS[one.kind], _text(one.default)) for one in parameters[drop_self:]]
    if [one.kind for one in found] == ["varargs", "varkw"]:
        return []
    return [Overload(tuple(found))]


def _text(default: Any) -> str:
    if default is inspect.Parameter.empty:
        return REQUIRED
    if isinstance(default, type | ModuleType):
        return default.__name__
    shown = repr(default)
    return "..." if " at 0x" in shown else shown


def from_docstring(function: Callable[..., Any], name: str) -> list[Overload]:
    """The signatures on the first lines of a docstring: ``linalg.norm(A, ord=None, ...) -> Tensor``."""
    found = []
    for line in (function.__doc__ or "").splitlines()[:12]:
        matched = re.match(rf"\s*(?:torch\.)?(?:\w+\.)*{name}\((.*)\)\s*->", line)
        if matched:
            text = matched.group(1)
            try:
                [definition] = ast.parse(f"def f({text}): ...").body
            except SyntaxError:
                continue
            assert isinstance(definition, ast.FunctionDef)
            found.append(_from_ast(definition.args, drop_self=False))
    return found


# Where the type stubs say something else than the parser takes.
STUB_ERRORS = {
    "requires_grad_": [Overload((Parameter("requires_grad", "positional", "True"),))],
    "nn.functional.one_hot": [
        Overload((Parameter("input", "positional"), Parameter("num_classes", "positional", "-1")))
    ],
}


def function_overloads(name: str) -> list[Overload]:
    """The signatures of ``torch.<name>``."""
    parent, _, last = name.rpartition(".")
    owner = functools.reduce(getattr, parent.split("."), torch) if parent else torch
    function = getattr(owner, last)
    if name in STUB_ERRORS:
        return STUB_ERRORS[name]
    if parent == "nn.functional":
        dispatched = getattr(owner, f"_{last}", None)
        found = inspected(function) or (inspected(dispatched) if dispatched else [])
        if found:
            return found
        native = getattr(function, "__name__", last)
        return stub("_C/_VariableFunctions.pyi").get(native) or stub("_C/_nn.pyi").get(native) or []
    found = stub("_C/_VariableFunctions.pyi").get(last, []) if not parent else []
    return found or inspected(function) or from_docstring(function, last)


def method_overloads(name: str) -> list[Overload]:
    """The signatures of ``torch.Tensor.<name>``, without ``self``."""
    method = getattr(torch.Tensor, name)
    if inspect.isfunction(method):
        return inspected(method, drop_self=True)
    found = stub("_C/__init__.pyi", "TensorBase").get(name, [])
    return STUB_ERRORS.get(name, found)
