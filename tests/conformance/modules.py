"""Build the same layer with either library, run it, and describe its outputs, gradients and buffers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.conformance.run import Library, described, failed, run_with
from tests.conformance.values import Array, Outcome


@dataclass
class ModuleSample:
    """A layer: what its constructor and its forward method take, its state and PyTorch's outcome.

    The outputs are those of the call, then the state of the layer after it. Gradients are those of ``args``,
    ``kwargs``, then of the parameters.
    """

    op: str
    init_args: list[Any]
    init_kwargs: dict[str, Any]
    args: list[Any]
    kwargs: dict[str, Any]
    training: bool
    dtype: str
    order: int = 0
    state: dict[str, Array] = field(default_factory=dict)
    outcome: Outcome = field(default_factory=Outcome)
    init_names: list[str] | None = None
    names: list[str] | None = None

    def __repr__(self) -> str:
        calls = []
        for args, kwargs in ((self.init_args, self.init_kwargs), (self.args, self.kwargs)):
            calls.append(", ".join([*map(repr, args), *(f"{key}={value!r}" for key, value in kwargs.items())]))
        return f"({calls[0]}){'' if self.training else '.eval()'}({calls[1]})"


def module_forms(sample: ModuleSample) -> Iterator[tuple[str, ModuleSample]]:
    """The sample as it is, and with PyTorch's names for all positional arguments."""
    yield f"lucid.{sample.op}", sample
    if sample.init_names is not None and sample.names is not None:
        named = ModuleSample(**{**vars(sample), "init_args": [], "args": []})
        named.init_kwargs = dict(zip(sample.init_names, sample.init_args, strict=False)) | sample.init_kwargs
        named.kwargs = dict(zip(sample.names, sample.args, strict=False)) | sample.kwargs
        yield f"lucid.{sample.op} by keyword", named


def build(library: Library, sample: ModuleSample) -> Any:
    """The layer in the sample's mode and dtype. ``state`` is loaded if there is one."""
    init = library.native([sample.init_args, sample.init_kwargs], {})
    layer = getattr(library.root.nn, sample.op.removeprefix("nn."))(*init[0], **init[1])
    layer = layer.to(getattr(library.root, sample.dtype)).train(sample.training)
    if sample.state:
        layer.load_state_dict({name: library.tensor(array) for name, array in sample.state.items()})
    return layer


def run_module(library: Library, sample: ModuleSample) -> Outcome:
    """The outcome of one call of the layer."""
    try:
        layer = build(library, sample)
    except Exception as error:
        return failed(error)
    leaves = [one for one in layer.parameters() if one.requires_grad]
    found = run_with(library, layer, sample.args, sample.kwargs, sample.order, leaves)
    if found.error is None and not found.is_random:
        found.outputs += [described(library, one) for one in layer.state_dict().values()]
    return found
