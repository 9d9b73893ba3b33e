"""What the explanations share: checked images, the model in evaluation mode, logits and target classes."""

import contextlib
import operator
from collections.abc import Iterator
from typing import Any

import lucid
from lucid import _checks, nn


def check_images(caller: str, images: Any) -> lucid.Tensor:
    """``images`` as a detached floating-point tensor (N, C, H, W) with N > 0."""
    images = lucid.as_tensor(images)
    _checks.rank(caller, "images", images.shape, 4, "(N, C, H, W)")
    if not images.is_floating_point():
        raise TypeError(
            f"{caller}: images must be floating-point, got {_checks.dtype_name(images.dtype)}; "
            "model.preprocessing prepares Pillow images and uint8 arrays"
        )
    if 0 in images.shape:
        raise ValueError(f"{caller}: images must not be empty, got {images.shape}")
    return images.detach()


@contextlib.contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Modules of ``model`` that are in training mode are in evaluation mode inside the block."""
    trained = [module for module in model.modules() if module.training]
    for module in trained:
        module.training = False
    try:
        yield
    finally:
        for module in trained:
            module.training = True


def check_logits(caller: str, logits: Any, count: int) -> lucid.Tensor:
    """The output of a model, which must be logits (N, classes)."""
    if not isinstance(logits, lucid.Tensor) or logits.ndim != 2 or logits.shape[0] != count or not logits.shape[1]:
        got = tuple(logits.shape) if isinstance(logits, lucid.Tensor) else type(logits).__name__
        raise ValueError(f"{caller}: the model must return logits ({count}, classes), got {got}")
    return logits


def task_of(model: nn.Module) -> str:
    """What the model predicts: "classification", unless it says "multilabel" or "regression"."""
    return str(getattr(model, "task", "classification"))


def as_predictions(outputs: lucid.Tensor, task: str) -> lucid.Tensor:
    """The outputs of a model, (N, outputs), as probabilities of its classes or labels, or as its numbers."""
    if task == "regression":
        return outputs
    return outputs.sigmoid() if task == "multilabel" else outputs.softmax(dim=1)


def target_classes(caller: str, target: Any, logits: lucid.Tensor, task: str = "classification") -> lucid.Tensor:
    """The class to explain for each image, (N,): those given, or the most probable ones."""
    count, classes = logits.shape
    if target is None and task == "regression" and classes > 1:
        raise ValueError(f"{caller}: the model predicts {classes} numbers; target must say which of them to explain")
    if target is None:
        return logits.detach().argmax(dim=1)
    values = target.tolist() if hasattr(target, "tolist") else target
    numbers = list(values) if isinstance(values, list | tuple | range) else [values] * count
    if len(numbers) != count:
        raise ValueError(f"{caller}: target must be one class, or one for each of {count} images, got {len(numbers)}")
    for number in numbers:
        _checks.integer(caller, "target", number)
        if not 0 <= operator.index(number) < classes:
            raise ValueError(f"{caller}: target must be in [0, {classes - 1}] for {classes} classes, got {number}")
    return lucid.tensor(numbers, dtype=lucid.int64)
