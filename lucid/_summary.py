"""``lucid.summary``: a table of a model's layers with output shapes, parameters and multiply-adds.

The model is called once and nothing is evaluated, so this works even for a model that does not fit into memory. The
names of the totals are torchinfo's.
"""

from __future__ import annotations

import html
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import mlx.core as mx

from lucid import _checks, _deferred, _grad_mode, nn, random, tape
from lucid._dtypes import as_dtype
from lucid._tensor import Tensor
from lucid._tensor_convert import as_array

Sizes = Sequence[int] | Sequence[Sequence[int]]


@dataclass(frozen=True)
class Layer:
    """A row of the table: a module and its position in the tree.

    Attributes:
        output_shapes: The shapes of the outputs of its last call, empty if it was not called.
        parameters: The number of parameters of the module and its children.
        mult_adds: The multiply-adds of the module and its children, in all calls.
        same_as: The name of its first occurrence, if the module occurs several times.
    """

    name: str
    class_name: str
    depth: int
    calls: int
    output_shapes: tuple[tuple[int, ...], ...]
    parameters: int
    mult_adds: int
    same_as: str | None = None


@dataclass(frozen=True)
class Summary:
    """The result of ``lucid.summary``, which prints as a table, in notebooks as HTML.

    ``layers`` has the whole tree, of which the table shows ``depth`` levels. ``total_output_bytes`` counts the outputs
    of the innermost layers.
    """

    model_name: str
    input_size: tuple[tuple[int, ...], ...]
    layers: tuple[Layer, ...]
    total_params: int
    trainable_params: int
    total_mult_adds: int
    total_input: int
    total_output_bytes: int
    total_param_bytes: int
    depth: int | None = 3

    _HEAD = ("Layer", "Output shape", "Parameters", "Multiply-adds")

    def __str__(self) -> str:
        rows = [self._HEAD, *self._rows()]
        widths = [max(len(row[i]) for row in rows) for i in range(4)]
        texts = ["  ".join([*map(str.ljust, row[:2], widths), *map(str.rjust, row[2:], widths[2:])]) for row in rows]
        rule = "─" * (sum(widths) + 6)
        return "\n".join([texts[0], rule, *texts[1:], rule, *self._totals()])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        def row(cells: Sequence[str], tag: str) -> str:
            left = 'style="text-align: left; white-space: pre"'
            return "".join(
                f"<{tag} {left if i < 2 else ''}>{html.escape(cell)}</{tag}>" for i, cell in enumerate(cells)
            )

        body = "".join(f"<tr>{row(cells, 'td')}</tr>" for cells in self._rows())
        totals = "<br>".join(html.escape(line) for line in self._totals())
        return f"<table><tr>{row(self._HEAD, 'th')}</tr>{body}</table><p>{totals}</p>"

    def _rows(self) -> list[tuple[str, str, str, str]]:
        shown = [one for one in self.layers if self.depth is None or one.depth <= self.depth]
        rows = []
        for branch, layer in zip(_branches([one.depth for one in shown]), shown, strict=True):
            word = layer.name.rpartition(".")[2]
            label = f"{branch}{word}: {layer.class_name}" if word else layer.class_name
            if layer.same_as is not None:
                rows.append((label, f"the same as {layer.same_as}", "", ""))
                continue
            shape = ", ".join(map(str, layer.output_shapes[:3])) + (", ..." if len(layer.output_shapes) > 3 else "")
            shape += f" × {layer.calls}" if layer.calls > 1 else ""
            cost = f"{layer.mult_adds:,}" if layer.mult_adds else ""
            rows.append((label, shape or "-", f"{layer.parameters:,}" if layer.parameters else "", cost))
        return rows

    def _totals(self) -> list[str]:
        frozen = self.total_params - self.trainable_params
        sizes = ", ".join(map(str, self.input_size))
        return [
            f"Parameters: {self.total_params:,}" + (f", of which {frozen:,} are frozen" if frozen else ""),
            f"Multiply-adds of convolutions and linear layers: {_readable(self.total_mult_adds)}, for inputs {sizes}",
            f"Inputs {self.total_input / 1e6:,.2f} MB, outputs of layers {self.total_output_bytes / 1e6:,.2f} MB, "
            f"parameters {self.total_param_bytes / 1e6:,.2f} MB",
        ]


def summary(
    model: nn.Module,
    input_size: Sizes | None = None,
    *,
    input_data: Any = None,
    dtypes: Any = None,
    depth: int | None = 3,
    **kwargs: Any,
) -> Summary:
    """A table of the layers of ``model`` with output shapes, parameters and multiply-adds.

    As in the literature, only convolution and linear layers are counted; a convolution costs its weights per filter for
    each output value. Biases, norms, activations, pooling and operations outside of layers are not counted.

    The model is called in evaluation mode and without gradients. Nothing is evaluated, and the model, its training
    mode, its running statistics and the random state are left unchanged.

    Args:
        input_size: The shape of the input, (N, C, H, W), or a list of shapes for several inputs. For models with a
            Conv2d, (C, H, W) means a batch of one.
        input_data: The input, one or several tensors, instead of ``input_size``.
        dtypes: The dtypes of the inputs, one for all or one for each; by default the model's.
        depth: The number of levels of the tree to show, or ``None`` for all.
        **kwargs: Passed to the model.

    Raises:
        ValueError: neither or both of ``input_size`` and ``input_data`` are given.

    Example:
        >>> result = lucid.summary(nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 2)), (1, 8))
        >>> result.total_params, result.total_mult_adds
        (178, 160)
    """
    if not isinstance(model, nn.Module) and hasattr(model, "modules"):
        model = next(model.modules(), model)  # the module that lucid.compile(module) wraps
    if not isinstance(model, nn.Module):
        raise TypeError(f"summary: model must be a Module, got {type(model).__name__}")
    if depth is not None:
        _checks.integer("summary", "depth", depth, 0)
    inputs = _inputs(model, input_size, input_data, dtypes)
    recorder = _Recorder()
    with ExitStack() as stack:
        for context in (_grad_mode.replaying(), _grad_mode.set_recording(False), _deferred.collecting(), random.fork()):
            stack.enter_context(context)
        stack.enter_context(_evaluation_mode(model))
        for module in model.modules():
            handle = module.register_forward_hook(recorder.record, with_kwargs=True)
            stack.callback(handle.remove)
        model(*inputs, **kwargs)

    return Summary(
        model_name=type(model).__name__,
        input_size=tuple(one.shape for one in inputs),
        layers=tuple(_layers(model, recorder)),
        total_params=model.num_parameters(),
        trainable_params=model.num_parameters(trainable_only=True),
        total_mult_adds=sum(recorder.mult_adds.values()),
        total_input=sum(one._array.nbytes for one in inputs),
        total_output_bytes=recorder.output_bytes,
        total_param_bytes=sum(one._array.nbytes for one in [*model.parameters(), *_quantized_parts(model)]),
        depth=depth,
    )


def _quantized_parts(model: nn.Module) -> Iterator[Tensor]:
    """The buffers of quantized layers, which are parameters but in name."""
    for module in model.modules():
        if isinstance(module, nn.QuantizedLinear):
            yield from module.buffers(recurse=False)


class _Recorder:
    """Calls, output shapes and costs, by module."""

    def __init__(self) -> None:
        self.calls: Counter[nn.Module] = Counter()
        self.mult_adds: Counter[nn.Module] = Counter()
        self.shapes: dict[nn.Module, tuple[tuple[int, ...], ...]] = {}
        self.output_bytes = 0

    def record(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        tensors = list(_tensors(output))
        self.calls[module] += 1
        self.shapes[module] = tuple(one.shape for one in tensors)
        if next(module.children(), None) is None:
            self.output_bytes += sum(one._array.nbytes for one in tensors)
        cost = next((cost for kind, cost in _COSTS.items() if isinstance(module, kind)), None)
        if cost is not None and tensors:
            given = next(_tensors([*args, *kwargs.values()]), tensors[0])
            self.mult_adds[module] += cost(module, given, tensors[0])


_COSTS: dict[type[nn.Module], Callable[..., int]] = {
    nn.Linear: lambda layer, given, output: output.numel() * layer.in_features,
    nn.QuantizedLinear: lambda layer, given, output: output.numel() * layer.in_features,
    nn.Conv1d: lambda layer, given, output: output.numel() * math.prod(layer.weight.shape[1:]),
    nn.Conv2d: lambda layer, given, output: output.numel() * math.prod(layer.weight.shape[1:]),
    # transposed: every input value is multiplied by all weights of its channel
    nn.ConvTranspose1d: lambda layer, given, output: given.numel() * math.prod(layer.weight.shape[1:]),
    nn.ConvTranspose2d: lambda layer, given, output: given.numel() * math.prod(layer.weight.shape[1:]),
}


def _inputs(model: nn.Module, size: Any, data: Any, dtypes: Any) -> list[Tensor]:
    if (size is None) == (data is None):
        raise ValueError(f"summary: pass either input_size or input_data, got {'neither' if size is None else 'both'}")
    if data is not None:
        given = data if isinstance(data, tuple | list) else [data]
        return [one if isinstance(one, Tensor) else tape.wrap(as_array(one)) for one in given]
    if not isinstance(size, Iterable) or isinstance(size, str):
        raise TypeError(f"summary: input_size must be a shape such as (1, 3, 224, 224), or several, got {size!r}")
    several = not all(hasattr(one, "__index__") for one in size)
    shapes = [_checks.shape("summary", (one,), "input_size") for one in (size if several else [size])]
    if any(isinstance(module, nn.Conv2d) for module in model.modules()):
        shapes = [(1, *shape) if len(shape) == 3 else shape for shape in shapes]
    own = next((p.dtype for p in model.parameters() if p.is_floating_point()), mx.float32)
    given = dtypes if isinstance(dtypes, tuple | list) else [own if dtypes is None else dtypes] * len(shapes)
    expected = [as_dtype(one) for one in given]
    if len(expected) != len(shapes):
        raise ValueError(
            f"summary: dtypes must hold one dtype for each of the {len(shapes)} inputs, got {len(expected)}"
        )
    return [tape.wrap(mx.zeros(shape, dtype)) for shape, dtype in zip(shapes, expected, strict=True)]


@contextmanager
def _evaluation_mode(model: nn.Module) -> Iterator[None]:
    modes = [(module, module.training) for module in model.modules()]
    try:
        model.eval()
        yield
    finally:
        for module, mode in modes:
            module.training = mode


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, tuple | list):
        for one in value:
            yield from _tensors(one)
    elif isinstance(value, dict):
        yield from _tensors(list(value.values()))


def _layers(model: nn.Module, recorder: _Recorder) -> Iterator[Layer]:
    first: dict[nn.Module, str] = {}

    def walk(name: str, module: nn.Module, depth: int) -> Iterator[Layer]:
        row = partial(
            Layer, name, type(module).__name__, depth, recorder.calls[module], recorder.shapes.get(module, ())
        )
        if module in first:
            yield row(0, 0, same_as=first[module])
            return
        first[module] = name
        yield row(module.num_parameters(), sum(recorder.mult_adds[one] for one in module.modules()))
        for word, child in module._modules.items():
            if child is not None:
                yield from walk(f"{name}.{word}" if name else word, child, depth + 1)

    return walk("", model, 0)


def _branches(depths: list[int]) -> list[str]:
    """The box-drawing prefix of each row of a tree, given the depths of the rows."""
    found = []
    open_levels: set[int] = set()  # levels with another row further down
    for depth in reversed(depths):
        corner = "" if not depth else "├─ " if depth in open_levels else "└─ "
        found.append("".join("│  " if level in open_levels else "   " for level in range(1, depth)) + corner)
        open_levels = {level for level in open_levels if level < depth} | {depth}
    return found[::-1]


def _readable(count: int) -> str:
    for unit, size in (("T", 1e12), ("G", 1e9), ("M", 1e6)):
        if count >= size:
            return f"{count / size:.3f} {unit}"
    return f"{count:,}"
