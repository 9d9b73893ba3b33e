"""Distillation: a model learns from the outputs, and the features, of another one."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import lucid
import lucid.nn.functional as F
from lucid import _checks, nn


class Distillation:
    """A teacher for ``Trainer(distillation=...)``: its outputs, and its features, become part of the loss.

    The loss is ``(1 - weight) * loss + weight * outputs + features * similarity``, where

    - ``outputs`` is the Kullback-Leibler divergence of the two models' softmax at a temperature T, times T squared.
      Source: Hinton et al. 2015, arXiv:1503.02531. With ``MultiLabel`` it is the same of the sigmoid of each label,
      averaged over the labels, and with ``Regression`` its loss with the teacher's outputs as targets;
    - ``similarity`` compares which samples of a batch have similar features: the squared distance between the rows of
      the two matrices of inner products, each row of length 1, averaged over the batch. So the features of the two
      models may have any widths. Source: Tung and Mori 2019, arXiv:1907.09682, who divide by the batch size once more.

    The teacher runs without gradients and in evaluation mode, on the augmented inputs that the model gets.

    Args:
        teacher: A module with the same outputs, other than the model and its parts.
        weight: Between 0, only the loss, and 1, only the teacher.
        temperature: T; higher ones show more of what the teacher thinks of the other classes.
        features: The weight of the similarity of features, 0 for none. Both models then need ``forward_features`` and
            ``forward_head``, as those of ``lucid.models`` have.
        prepare: ``prepare(inputs)`` turns the model's inputs into the teacher's, for example of another size.
        columns: The teacher's outputs for the model's classes, by number; by default all, in their order.

    Raises:
        ValueError: A number is out of range.
        TypeError: With ``features``, the teacher has no features.

    Example:
        >>> teacher, model = nn.Linear(20, 3), nn.Linear(20, 3)
        >>> distillation = training.Distillation(teacher, weight=0.9, temperature=4.0)
        >>> x, y = np.zeros((64, 20)), np.arange(64) % 3
        >>> trainer = training.Trainer(
        ...     model, training.Recipe(epochs=1, batch_size=32), train=(x, y), distillation=distillation
        ... )
    """

    def __init__(
        self, teacher: nn.Module, *, weight: float = 0.5, temperature: float = 2.0, features: float = 0.0,
        prepare: Callable[[Any], Any] | None = None, columns: Sequence[int] | None = None,
    ) -> None:  # fmt: skip
        where = "Distillation"
        if not 0 <= _checks.number(where, "weight", weight) <= 1:
            raise ValueError(f"{where}: weight must be in [0, 1], got {weight:g}")
        self.weight = float(weight)
        self.temperature = _finite("temperature", _checks.number(where, "temperature", temperature, 0, above=True))
        self.features = _finite("features", _checks.number(where, "features", features, 0))
        if not isinstance(teacher, nn.Module):
            raise TypeError(
                f"{where}: teacher must be a module, got {teacher!r:.60}; lucid.models.from_checkpoint opens a file"
            )
        self.teacher, self.prepare = teacher.eval(), prepare
        numbers = None if columns is None else [_checks.integer(where, "columns", one, 0) for one in columns]
        self.columns = None if numbers is None else lucid.tensor(numbers, dtype=lucid.int64)
        if features:
            _check_features("teacher", teacher)

    def __call__(self, model: nn.Module, x: lucid.Tensor, task: Any = None) -> tuple[Any, lucid.Tensor]:
        """The outputs of ``model``, and what the teacher adds to the loss.

        The ``task`` of the trainer says how outputs are compared; without one they are those of a classifier.
        """
        if not {id(one) for one in model.modules()}.isdisjoint(map(id, self.teacher.modules())):
            raise ValueError(
                "Distillation: the teacher must share no module with the model; pass a copy.deepcopy of it"
            )
        outputs, own = _run(model, x, self.features > 0)
        main = outputs[0] if isinstance(outputs, tuple) else outputs
        with lucid.no_grad():
            taught, others = _run(self.teacher, x if self.prepare is None else self.prepare(x), self.features > 0)
        added = lucid.zeros(())
        if self.weight:
            if self.columns is not None:
                taught = taught.index_select(1, self.columns)
            if taught.shape != main.shape:
                raise ValueError(
                    f"Distillation: the teacher's outputs must have the shape {main.shape} of the model's, "
                    f"got {taught.shape}"
                )
            distance = soft_cross_entropy if task is None else task.distance
            added = self.weight * distance(main, taught, self.temperature)
        if self.features:
            added = added + self.features * similarity_distance(own, others)
        return outputs, added

    def combine(self, loss: lucid.Tensor, added: lucid.Tensor) -> lucid.Tensor:
        """The loss to train with, from the loss of the targets and what ``__call__`` returned."""
        return (1 - self.weight) * loss + added


def soft_cross_entropy(outputs: lucid.Tensor, taught: lucid.Tensor, temperature: float) -> lucid.Tensor:
    """The divergence of ``outputs`` (N, C, ...) from those of the teacher, at a temperature; 0 if they agree."""
    if outputs.ndim < 2 or outputs.shape[1] < 2:
        raise ValueError(
            f"Distillation: outputs of classes must be (N, C) with at least two classes, got {outputs.shape}; "
            "of numbers, pass task=Regression() to the trainer"
        )
    own, others = (F.log_softmax(one.float() / temperature, dim=1) for one in (outputs, taught))
    return F.kl_div(own, others, reduction="none", log_target=True).sum(dim=1).mean() * temperature**2


def soft_binary_cross_entropy(outputs: lucid.Tensor, taught: lucid.Tensor, temperature: float) -> lucid.Tensor:
    """As ``soft_cross_entropy``, of independent labels (N, C): the mean over the labels."""
    own, others = (one.float() / temperature for one in (outputs, taught))
    parts = [
        F.logsigmoid(sign * others).exp() * (F.logsigmoid(sign * others) - F.logsigmoid(sign * own)) for sign in (1, -1)
    ]
    return (parts[0] + parts[1]).mean() * temperature**2


def similarity_distance(features: lucid.Tensor, taught: lucid.Tensor) -> lucid.Tensor:
    """How differently two models see which samples are alike, from features (N, D) and (N, E)."""
    own, others = (F.normalize(one.float() @ one.float().T, dim=1) for one in (features, taught))
    return (own - others).square().sum(dim=1).mean()


def _finite(name: str, value: float) -> float:
    if not math.isfinite(value):
        raise ValueError(f"Distillation: {name} must be finite, got {value}")
    return value


def _run(model: Any, x: lucid.Tensor, with_features: bool) -> tuple[lucid.Tensor, Any]:
    """The outputs, and the input of the classifier."""
    if not with_features:
        return model(x), None
    _check_features("model", model)
    maps = model.forward_features(x)
    return model.forward_head(maps), model.forward_head(maps, pre_logits=True)


def _check_features(name: str, model: Any) -> None:
    if not (hasattr(model, "forward_features") and hasattr(model, "forward_head")):
        raise TypeError(f"Distillation: features need a {name} with forward_features, got {type(model).__name__}")
