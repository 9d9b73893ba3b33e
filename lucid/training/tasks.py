"""Targets other than classes: several labels for a sample, and numbers. A task is an argument of ``Trainer``."""

import contextlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

import lucid
import lucid.nn.functional as F
from lucid import _checks
from lucid import distributed as dist
from lucid.metrics import F1Score, MeanMetric, Metric, auroc, average_precision
from lucid.training.batches import as_tensor, kind_of
from lucid.training.charts import scatter_chart
from lucid.training.class_labels import all_targets, keeps_labels
from lucid.training.distillation import soft_binary_cross_entropy, soft_cross_entropy
from lucid.training.report import bars, hint


class Task:
    """What a ``Trainer`` predicts, if not classes: the loss, the metrics, and a part of the report.

    Subclasses define ``loss`` and ``results``, and may define the rest.

    Attributes:
        classes: Names of the outputs, if they have any.
        monitor: The result that says which epoch is best, and whether by its "max" or "min".
    """

    classes: Sequence[str] = ()
    monitor: tuple[str, str] = ("loss", "min")

    def loss(self, outputs: lucid.Tensor, targets: lucid.Tensor) -> lucid.Tensor:
        """The loss of a batch, a scalar."""
        raise NotImplementedError(f"{type(self).__name__}: define loss()")

    def distance(self, outputs: lucid.Tensor, taught: lucid.Tensor, temperature: float) -> lucid.Tensor:
        """How far outputs are from those of a teacher, for ``Distillation``: by default, those of a classifier."""
        return soft_cross_entropy(outputs, taught, temperature)

    def metrics(self) -> dict[str, Metric]:
        """What is measured in training and evaluation, by name."""
        return {}

    def results(self, outputs: np.ndarray, targets: np.ndarray) -> dict[str, float]:
        """What is measured in evaluation, from the outputs and targets of all samples."""
        raise NotImplementedError(f"{type(self).__name__}: define results()")

    def sections(self, outputs: np.ndarray, targets: np.ndarray, split: str) -> list[str]:
        """Parts of the report, as HTML."""
        return []

    def check(self, name: str, targets: np.ndarray) -> None:
        """Raise a ``ValueError`` if ``targets``, all or a batch of the training or test data, are unsuitable."""


class MultiLabel(Task):
    """Each sample has any number of labels: targets (N, C) of 0 and 1, one logit for each label.

    The loss is binary cross entropy, the best epoch the one with the highest mean average precision (mAP). In training
    F1 is measured; in evaluation also mAP and the mean area under the ROC curve, exactly. Both leave out labels for
    which they are undefined, and are 0 if that is the case for all. The recipe's label smoothing has no effect.

    Args:
        classes: The names of the C labels.
        pos_weight: Factors (C,) on the loss of positive targets, for rare labels.

    Raises:
        ValueError: There are no labels, or ``pos_weight`` has another length.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(64, 20))
        >>> task = training.MultiLabel(["first", "second", "third"])
        >>> recipe = training.Recipe(epochs=1, batch_size=32)
        >>> data = (x, x[:, :3] > 0)
        >>> trainer = training.Trainer(nn.Linear(20, 3), recipe, train=data, test=data, task=task)
        >>> trainer.fit(progress=False)
        >>> list(trainer.evaluate().metrics)
        ['mean_average_precision', 'auroc', 'f1']
    """

    monitor = ("mean_average_precision", "max")

    def __init__(self, classes: Sequence[str], *, pos_weight: Sequence[float] | None = None) -> None:
        self.classes = _names("MultiLabel", "classes", classes)
        if not self.classes:
            raise ValueError("MultiLabel: expected at least one label")
        if repeated := [name for name, count in Counter(self.classes).items() if count > 1]:
            raise ValueError(f"MultiLabel: classes must differ, got {repeated[0]!r} twice")
        self.pos_weight = None if pos_weight is None else _factors(pos_weight, len(self.classes))

    def loss(self, outputs: lucid.Tensor, targets: lucid.Tensor) -> lucid.Tensor:
        expected = (len(targets), len(self.classes))
        if outputs.shape != expected or targets.shape != expected:
            raise ValueError(
                f"MultiLabel: outputs and targets must be {expected}, got {outputs.shape} and {targets.shape}"
            )
        outputs = outputs.float()
        return F.binary_cross_entropy_with_logits(outputs, targets.to(outputs.dtype), pos_weight=self.pos_weight)

    def distance(self, outputs: lucid.Tensor, taught: lucid.Tensor, temperature: float) -> lucid.Tensor:
        return soft_binary_cross_entropy(outputs, taught, temperature)

    def metrics(self) -> dict[str, Metric]:
        return {"f1": F1Score(len(self.classes), multilabel=True)}

    def results(self, outputs: np.ndarray, targets: np.ndarray) -> dict[str, float]:
        positive = targets > 0.5
        return {
            "mean_average_precision": _finite(average_precision(outputs, positive)),
            "auroc": _finite(auroc(outputs, positive)),
        }

    def sections(self, outputs: np.ndarray, targets: np.ndarray, split: str) -> list[str]:
        positive = targets > 0.5
        precision, counts = average_precision(outputs, positive, None), positive.sum(axis=0)
        known = sorted(np.flatnonzero(np.isfinite(precision)).tolist(), key=lambda k: precision[k])
        shown = bars([(self.classes[k], float(precision[k]), f"{precision[k]:.1%}, {counts[k]:,}") for k in known])
        text = hint(f"Average precision of each label, worst first, with the number of {split} samples that have it.")
        absent = [self.classes[k] for k in np.flatnonzero(~np.isfinite(precision)).tolist()]
        more = hint(f"No {split} sample has {', '.join(absent)}.") if absent else ""
        return [f"<h2>Labels</h2>\n{text}<figure>{shown}</figure>{more}"]

    def check(self, name: str, targets: np.ndarray) -> None:
        if targets.ndim != 2 or targets.shape[1] != len(self.classes):
            raise ValueError(f"MultiLabel: {name} targets must be (N, {len(self.classes)}), got {targets.shape}")
        wrong = targets[~((targets >= 0) & (targets <= 1))]  # NaN too
        if wrong.size:
            raise ValueError(f"MultiLabel: {name} targets must be 0 or 1, or between them, got {wrong[0]:g}")


class Regression(Task):
    """The targets are numbers, (N,) or (N, D): as many outputs, for which (N, 1) is the same as (N,).

    The best epoch is the one with the lowest loss. The mean absolute error is measured in training and evaluation, and
    in evaluation R squared, the share of the targets' variance that is predicted, averaged over the D numbers.
    Networks learn targets of mean 0 and variance 1 best.

    Args:
        loss: "mse", the mean squared error, or "huber", which grows linearly beyond ``delta`` and so counts outliers
            less.
        delta: For "huber", where the linear part begins.
        names: The names of the D numbers, for the report.

    Raises:
        ValueError: An argument is out of range.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(64, 20))
        >>> recipe = training.Recipe(epochs=1, batch_size=32)
        >>> data = (x, x[:, 0])
        >>> trainer = training.Trainer(nn.Linear(20, 1), recipe, train=data, test=data, task=training.Regression())
        >>> trainer.fit(progress=False)
        >>> list(trainer.evaluate().metrics)
        ['r_squared', 'absolute_error']
    """

    def __init__(self, loss: str = "mse", *, delta: float = 1.0, names: Sequence[str] = ()) -> None:
        self.kind = _checks.one_of("Regression", "loss", loss, ("mse", "huber"))
        self.delta = _checks.number("Regression", "delta", delta, 0, above=True)
        self.names = _names("Regression", "names", names)

    def loss(self, outputs: lucid.Tensor, targets: lucid.Tensor) -> lucid.Tensor:
        x, y = _same_shape(outputs, targets)
        return F.mse_loss(x, y) if self.kind == "mse" else F.huber_loss(x, y, delta=self.delta)

    def distance(self, outputs: lucid.Tensor, taught: lucid.Tensor, temperature: float) -> lucid.Tensor:
        return self.loss(outputs, taught)

    def metrics(self) -> dict[str, Metric]:
        return {"absolute_error": AbsoluteError()}

    def results(self, outputs: np.ndarray, targets: np.ndarray) -> dict[str, float]:
        x, y = (one.reshape(len(one), -1).astype(np.float64) for one in (outputs, targets))
        rest, whole = ((x - y) ** 2).sum(axis=0), ((y - y.mean(axis=0)) ** 2).sum(axis=0)
        # As in scikit-learn: of a constant target, all or nothing.
        parts = np.where(whole > 0, 1 - rest / np.where(whole > 0, whole, 1), np.where(rest > 0, 0.0, 1.0))
        return {"r_squared": float(parts.mean())}

    def sections(self, outputs: np.ndarray, targets: np.ndarray, split: str) -> list[str]:
        x, y = (one.reshape(len(one), -1) for one in (outputs, targets))
        names = (self.names or [f"target {k}" for k in range(y.shape[1])])[:_MAX_CHARTS]
        charts = [(name, scatter_chart(name, y[:, k].tolist(), x[:, k].tolist())) for k, name in enumerate(names)]
        figures = [f"<figure><figcaption>{escape(name)}</figcaption>{chart}</figure>" for name, chart in charts]
        text = hint(f"Predictions for the {split} samples over their targets; on the line both are equal.")
        return [f'<h2>Predictions</h2>\n{text}<div class="grid2">{"".join(figures)}</div>']

    def check(self, name: str, targets: np.ndarray) -> None:
        wrong = targets[~np.isfinite(targets)]
        if wrong.size:
            raise ValueError(f"Regression: {name} targets must be finite, got {wrong[0]:g}")
        width = targets.size // max(1, len(targets))
        if self.names and len(self.names) != width:
            raise ValueError(f"Regression: got {len(self.names)} names for {width} {name} targets of each sample")


_MAX_CHARTS = 8


def task_of_model(task: Task | None) -> str:
    """The ``task`` of a model that is trained on ``task``."""
    if isinstance(task, MultiLabel):
        return "multilabel"
    return "regression" if isinstance(task, Regression) else "classification"


class AbsoluteError(MeanMetric):
    """The mean absolute error, in units of which each of the D numbers has ``scale`` (D,)."""

    def __init__(self, scale: np.ndarray | None = None) -> None:
        super().__init__()
        self._scale = None if scale is None else scale.astype(np.float32).tolist()

    def update(self, outputs: Any, targets: Any) -> None:  # type: ignore[override]
        x, y = _same_shape(outputs, targets)
        errors = (x - y).abs()
        if self._scale is not None:
            errors = errors * lucid.tensor(self._scale)
        super().update(errors.mean(), len(targets))


def _same_shape(outputs: lucid.Tensor, targets: lucid.Tensor) -> tuple[lucid.Tensor, lucid.Tensor]:
    """Both as float32, (N, 1) like (N,): to subtract one from the other would give (N, N)."""
    if outputs.ndim == targets.ndim + 1 and outputs.shape[-1] == 1:
        outputs = outputs.squeeze(-1)
    if outputs.shape != targets.shape:
        raise ValueError(f"Regression: outputs must have the shape {targets.shape} of the targets, got {outputs.shape}")
    return outputs.float(), targets.float()


def _names(where: str, argument: str, names: Any) -> list[str]:
    if isinstance(names, str) or not isinstance(names, Iterable):
        raise TypeError(f"{where}: {argument} must be a list of names, got {names!r}")
    return [str(one) for one in names]


def _factors(values: Any, count: int) -> lucid.Tensor:
    array = np.asarray(values.numpy() if isinstance(values, lucid.Tensor) else values)
    if array.dtype.kind not in "iuf" or array.shape != (count,):
        got = f"{len(array)} pos_weight" if array.ndim == 1 and array.dtype.kind in "iuf" else f"pos_weight {values!r}"
        raise ValueError(f"MultiLabel: got {count} labels but {got}")
    if not (np.isfinite(array) & (array > 0)).all():
        raise ValueError(f"MultiLabel: pos_weight must be above 0 and finite, got {array.tolist()}")
    return lucid.tensor(array.astype(np.float32))


def _finite(value: float) -> float:
    """0 for a result that is undefined: rows of a history are numbers."""
    return value if np.isfinite(value) else 0.0


def evaluated(task: Task, seen: list[tuple[np.ndarray, np.ndarray]], split: str) -> tuple[dict[str, float], list[str]]:
    """The results of a task and its parts of the report, from the batches of all processes."""
    if not dist.all_reduce(lucid.tensor(len(seen)), "min").item():
        count = dist.get_world_size()
        where = f" for each of {count} processes" if count > 1 else ", got none"
        raise ValueError(f"{type(task).__name__}: expected at least one {split} sample{where}")
    outputs, targets = (_gathered(np.concatenate(part)) for part in zip(*seen, strict=True))
    return task.results(outputs, targets), task.sections(outputs, targets, split)


def _gathered(own: np.ndarray) -> np.ndarray:
    """The rows of all processes."""
    if dist.get_world_size() == 1:
        return own
    counts = [int(one.item()) for one in dist.all_gather(lucid.tensor([len(own)]))]
    padded = np.zeros((max(counts), *own.shape[1:]), np.float32)  # all processes send equally many
    padded[: len(own)] = own
    parts = dist.all_gather(lucid.tensor(padded))
    return np.concatenate([one.numpy()[:count] for one, count in zip(parts, counts, strict=True)])


def target_reader(
    task: Task | None, has_other_loss: bool, train: Any, test: Any, transform: Any
) -> Callable[[str, Any], lucid.Tensor]:  # fmt: skip
    """``read(part, targets)`` returns the targets of a batch of the part "train" or "test" as a tensor.

    A task checks the targets: those of arrays and datasets that hold them here, others when they are read. Targets that
    the ``transform`` of a trainer may change are not checked.

    Raises:
        ValueError: The trainer has another loss, or targets are unsuitable.
        TypeError: ``task`` is not a task, or targets are not numbers.
    """
    if task is None:
        return lambda part, targets: as_tensor(targets)
    if not isinstance(task, Task):
        raise TypeError(f"Trainer: task must be a Task such as MultiLabel(classes) or Regression(), got {task!r:.60}")
    if has_other_loss:
        raise ValueError("Trainer: a task has a loss and classes of its own; pass either the task or these")
    unchecked = {"train", "test"} if keeps_labels(transform) else {"test"}
    for part, source in (("train", train), ("test", test)):
        targets = all_targets(source) if part in unchecked else None
        if targets is not None:
            _check(task, part, targets)
            unchecked.remove(part)

    def read(part: str, targets: Any) -> lucid.Tensor:
        tensor = as_tensor(targets)
        if part in unchecked:  # a loader's batches are not computed on the device, so this does not wait
            _check(task, part, (tensor.float() if tensor.is_floating_point() else tensor).numpy())
        return tensor

    return read


def _check(task: Task, part: str, targets: np.ndarray) -> None:
    if targets.dtype.kind == "O":  # None is NaN
        with contextlib.suppress(TypeError, ValueError):
            targets = targets.astype(np.float64)
    if targets.dtype.kind not in "biuf":
        raise TypeError(f"{type(task).__name__}: {part} targets must be numbers, got {kind_of(targets)}")
    task.check(part, targets)


def task_metrics(task: Task | None, more: Mapping[str, Metric] | None) -> dict[str, Metric]:
    return {**({} if task is None else task.metrics()), **(more or {})}
