"""Record PyTorch's signatures: ``python -m tests.conformance.record_signatures``. Needs PyTorch.

Writes ``signatures.json`` beside this file: the overloads of all public functions, methods of tensors, layers,
optimizers, schedules and data classes, by Lucid's name, one a line.
"""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Iterator
from typing import Any

import torch
import torch.utils.checkpoint
import torch.utils.data

from tests.conformance.signatures import FILE
from tests.conformance.torch_signatures import Overload, function_overloads, inspected, method_overloads

NAMESPACES = ("nn.functional", "linalg", "fft", "special")
CLASSES = {  # of these modules, under Lucid's name: the constructors and the methods that the classes define
    "nn": torch.nn,
    "optim": torch.optim,
    "optim.lr_scheduler": torch.optim.lr_scheduler,
    "data": torch.utils.data,
    "amp": torch.amp,
}
FUNCTIONS = {
    "nn.init": torch.nn.init,
    "nn.utils": torch.nn.utils,
    "autograd": torch.autograd,
    "utils": torch.utils.checkpoint,
}


def public(owner: Any) -> list[str]:
    return [name for name in dir(owner) if not name.startswith("_")]


def found() -> Iterator[tuple[str, list[Overload]]]:
    for name in public(torch):
        one = getattr(torch, name)
        if not callable(one):
            continue
        yield name, inspected(one.__init__, drop_self=True) if inspect.isclass(one) else function_overloads(name)
    for space in NAMESPACES:
        for name in public(_attribute(space)):
            one = getattr(_attribute(space), name)
            if callable(one) and not inspect.isclass(one):
                yield f"{space}.{name}", function_overloads(f"{space}.{name}")
    for name in public(torch.Tensor):
        if callable(getattr(torch.Tensor, name)):
            yield f"Tensor.{name}", method_overloads(name)
    for space, module in CLASSES.items():
        for name in public(module):
            one = getattr(module, name)
            if not inspect.isclass(one):
                continue
            yield f"{space}.{name}", inspected(one.__init__, drop_self=True)
            for method in public(one):
                function = inspect.getattr_static(one, method)
                if inspect.isfunction(function) and (method in vars(one) or method == "forward"):
                    yield f"{space}.{name}.{method}", inspected(function, drop_self=True)
    for space, module in FUNCTIONS.items():
        for name in public(module):
            one = getattr(module, name)
            if inspect.isfunction(one):
                yield f"{space}.{name}", inspected(one)


def _attribute(dotted: str) -> Any:
    found: Any = torch
    for part in dotted.split("."):
        found = getattr(found, part)
    return found


def main() -> int:
    lines = {}
    for name, overloads in found():
        if overloads:
            rows = [[[p.name, p.kind, p.default] for p in one.parameters] for one in overloads]
            lines[name] = json.dumps(rows, separators=(",", ":"))
    text = ",\n".join(f"{json.dumps(name)}:{rows}" for name, rows in sorted(lines.items()))
    FILE.write_text(f"{{\n{text}\n}}\n")
    print(f"{FILE.name}: {len(lines)} names, {FILE.stat().st_size // 1000} kB, torch {torch.__version__}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
