"""What an architecture of this directory is, and what PyTorch and Lucid compute with it.

A family (``residual.py``, ``recurrent.py``, ...) defines its architectures with ``@architecture`` as functions of the
library: ``make(torch)`` builds a small model with names that PyTorch and Lucid share. ``run`` gives the model weights
that depend only on their names, and computes outputs, losses, gradients, buffers, and five steps of SGD and AdamW.

``python -m tests.architectures.record`` records PyTorch's results, which ``test_architectures.py`` compares with;
``python -m tests.architectures.live`` compares with an installed PyTorch, torchvision and timm.
"""

import math
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

Inputs = tuple[Callable[[np.random.Generator], np.ndarray], ...]
Results = dict[str, np.ndarray]

STEPS = 5
OPTIMIZERS = {
    "SGD": {"lr": 0.01, "momentum": 0.9, "weight_decay": 0.01},
    "AdamW": {"lr": 0.001, "weight_decay": 0.05},
}


@dataclass(frozen=True)
class Architecture:
    """A model, what goes into it, and its losses, each with the prefix of the parameters that it trains."""

    name: str
    make: Callable[[Any], Any]
    inputs: Inputs
    losses: dict[str, Callable[..., tuple[Any, Any]]]

    def arrays(self) -> list[np.ndarray]:
        rng = np.random.default_rng(zlib.crc32(self.name.encode()))
        return [one(rng) for one in self.inputs]


ARCHITECTURES: dict[str, Architecture] = {}


def images(*shape: int) -> Callable[[np.random.Generator], np.ndarray]:
    """Normal float32 numbers of this shape: images, or any other real input."""
    return lambda rng: rng.standard_normal(shape).astype(np.float32)


def integers(high: int, *shape: int) -> Callable[[np.random.Generator], np.ndarray]:
    """Integers from [0, ``high``): classes, tokens."""
    return lambda rng: rng.integers(0, high, shape)


def classification(torch: Any, model: Any, *inputs: Any) -> tuple[Any, Any]:
    """Outputs and loss: the cross-entropy of the classes, the last input. Classes are the last dimension."""
    logits = model(*inputs[:-1])
    classes = logits.shape[-1]
    return logits, torch.nn.functional.cross_entropy(logits.reshape(-1, classes), inputs[-1].reshape(-1))


def segmentation(torch: Any, model: Any, x: Any, target: Any) -> tuple[Any, Any]:
    """The same with the classes in dimension 1."""
    logits = model(x)
    return logits, torch.nn.functional.cross_entropy(logits, target)


def regression(torch: Any, model: Any, *inputs: Any) -> tuple[Any, Any]:
    """Outputs and loss: the mean squared error from the last input."""
    output = model(*inputs[:-1])
    return output, torch.nn.functional.mse_loss(output, inputs[-1])


def architecture(
    *inputs: Callable[[np.random.Generator], np.ndarray],
    loss: Callable[..., tuple[Any, Any]] = classification,
    losses: dict[str, Callable[..., tuple[Any, Any]]] | None = None,
) -> Callable[[Callable[[Any], Any]], Callable[[Any], Any]]:
    """Register ``make(torch)`` under its name. ``loss(torch, model, *inputs)`` returns (outputs, loss)."""

    def register(make: Callable[[Any], Any]) -> Callable[[Any], Any]:
        ARCHITECTURES[make.__name__] = Architecture(make.__name__, make, inputs, losses or {"": loss})
        return make

    return register


def run(torch: Any, one: Architecture, perturbation: int = 0) -> Results:
    """Every result by name, computed in float32 by ``torch``, which is PyTorch or Lucid.

    A ``perturbation`` other than 0 changes the weights by less than float32's precision, differently for each number.
    """
    return _run(torch, one, torch.float32, perturbation)


def run_exactly(torch: Any, one: Architecture) -> Results:
    """The same computed in float64, by PyTorch."""
    torch.set_default_dtype(torch.float64)
    try:
        return _run(torch, one, torch.float64, 0)
    finally:
        torch.set_default_dtype(torch.float32)


def largest_noise(torch: Any, one: Architecture, exact: Results) -> dict[str, float]:
    """For each result, the largest difference from ``exact`` of three runs of PyTorch in float32."""
    runs = [run(torch, one, perturbation) for perturbation in range(3)]
    return {name: max(largest(found[name] - array) for found in runs) for name, array in exact.items()}


def largest(array: np.ndarray) -> float:
    """The largest absolute value, 0 of an empty array."""
    return float(np.abs(array).max(initial=0))


def _run(torch: Any, one: Architecture, dtype: Any, perturbation: int) -> Results:
    model = one.make(torch).to(dtype)
    inputs = [torch.tensor(a, dtype=dtype if a.dtype.kind == "f" else torch.int64) for a in one.arrays()]
    initial = {name: weights(name, tuple(p.shape), perturbation) for name, p in model.named_parameters()}
    found: Results = {}

    _reset(torch, model, initial, dtype)
    for part, loss in one.losses.items():
        outputs, value = loss(torch, model, *inputs)
        model.zero_grad()
        value.backward()
        found[f"{part}loss"] = _numpy(value)
        found |= {f"{part}output {at}": _numpy(output) for at, output in enumerate(_flat(outputs))}
        found |= {
            f"gradient {name}": _numpy(p.grad)
            for name, p in model.named_parameters()
            if name.startswith(part) and p.grad is not None
        }
    found |= {f"buffer {name}": _numpy(buffer) for name, buffer in model.named_buffers()}

    for optimizer, options in OPTIMIZERS.items():
        _reset(torch, model, initial, dtype)
        steps = {
            part: getattr(torch.optim, optimizer)(
                [p for name, p in model.named_parameters() if name.startswith(part)], **options
            )
            for part in one.losses
        }
        losses = []
        for _ in range(STEPS):
            for part, step in steps.items():
                step.zero_grad()
                _, value = one.losses[part](torch, model, *inputs)
                value.backward()
                step.step()
                losses.append(value.item())
        found[f"{optimizer} losses"] = np.asarray(losses)
        for name, p in model.named_parameters():
            found[f"{optimizer} {name}"] = _numpy(p) - initial[name]

    model.eval()
    with torch.no_grad():
        for part, loss in one.losses.items():
            outputs, _ = loss(torch, model, *inputs)
            found |= {f"{part}evaluation {at}": _numpy(output) for at, output in enumerate(_flat(outputs))}
    return found


def weights(name: str, shape: tuple[int, ...], perturbation: int = 0) -> np.ndarray:
    """Initial float32 weights that depend on name and shape only, of a size that keeps activations near 1."""
    seed = zlib.crc32(name.encode())
    values = np.random.default_rng(seed).uniform(-1, 1, shape)
    if len(shape) > 1:
        values *= math.sqrt(4 / math.prod(shape[1:]))
    else:
        values = 0.1 * values + (1 if name.endswith("weight") else 0)
    if perturbation:
        values *= 1 + 2**-23 * np.random.default_rng([seed, perturbation]).uniform(-1, 1, shape)
    return values.astype(np.float32)


def _reset(torch: Any, model: Any, initial: Results, dtype: Any) -> None:
    """Initial parameters and running statistics, in training mode."""
    with torch.no_grad():
        for name, p in model.named_parameters():
            p.copy_(torch.tensor(initial[name], dtype=dtype))
        for name, buffer in model.named_buffers():
            if "running" in name:
                start = 0.1 * weights(name, tuple(buffer.shape)) + ("var" in name)
                buffer.copy_(torch.tensor(start.astype(np.float32), dtype=dtype))
            elif name.endswith("num_batches_tracked"):
                buffer.zero_()
    model.train()


def _flat(outputs: Any) -> Iterator[Any]:
    if isinstance(outputs, tuple | list):
        for one in outputs:
            yield from _flat(one)
    else:
        yield outputs


def _numpy(value: Any) -> np.ndarray:
    return np.array(value.detach().numpy(), dtype=np.float64)  # a copy: the array may share the memory of the tensor
