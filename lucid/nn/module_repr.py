"""The repr of a module: the tree of its children, with their numbers of parameters."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from lucid.nn.parameter import is_lazy

if TYPE_CHECKING:
    from lucid.nn.module import Module


def repr_lines(module: Module) -> list[str]:
    """The lines of the tree; consecutive equal modules are shown once."""
    children = [(name, child) for name, child in module._modules.items() if child is not None]
    count = sum(one.numel() for one in module.parameters() if not is_lazy(one)) + module._quantized_sizes()
    note = f"  # {count:,} parameters" if count else ""
    head = f"{type(module).__name__}({module.extra_repr()}"
    if not children:
        return [f"{head}){note}"]
    lines = [head + note]
    texts = [(name, repr_lines(child)) for name, child in children]
    for text, run in itertools.groupby(texts, key=lambda one: one[1]):
        names = [name for name, _ in run]
        label = f"({names[0]})" if len(names) == 1 else f"({names[0]}-{names[-1]}): {len(names)} x"
        first = f"  {label}: {text[0]}" if len(names) == 1 else f"  {label} {text[0]}"
        lines += [first, *(f"  {line}" for line in text[1:])]
    return [*lines, ")"]
