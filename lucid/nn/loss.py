"""Loss modules. Each calls its function in ``lucid.nn.functional``, which also says what deprecated arguments mean."""

import math
from collections.abc import Sequence
from typing import Any, ClassVar

from lucid import _checks
from lucid._tensor import Tensor, tensor
from lucid.nn.linear import Linear
from lucid.nn.module import Module
from lucid.ops import linear_loss, loss
from lucid.ops._losses import reduction_of
from lucid.ops._types import TensorLike


class _Loss(Module):
    reductions: ClassVar[tuple[str, ...]] = ("mean", "sum", "none")
    shown: ClassVar[tuple[str, ...]] = ("reduction",)  # the options shown in the repr

    def __init__(self, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean") -> None:
        super().__init__()
        where = type(self).__name__
        reduction = reduction_of(where, reduction, size_average, reduce)
        self.reduction = _checks.one_of(where, "reduction", reduction, self.reductions)

    def _register_constant(self, name: str, value: Any) -> None:
        """Register a constant tensor as a buffer, as PyTorch does."""
        self.register_buffer(name, value if value is None or isinstance(value, Tensor) else tensor(value))

    def extra_repr(self) -> str:
        return ", ".join(f"{name}={getattr(self, name)!r}" for name in self.shown)


class MSELoss(_Loss):
    """``(input - target)²``.

    Args:
        size_average: Deprecated; overrides ``reduction``, as does ``reduce``.
        reduce: Deprecated.
        reduction: "mean", "sum", or "none" for one loss per element.

    Example:
        >>> nn.MSELoss()(lucid.tensor([1.0, 3.0]), lucid.tensor([1.0, 1.0])).item()
        2.0
    """

    def forward(self, input: TensorLike, target: TensorLike) -> Tensor:
        return loss.mse_loss(input, target, reduction=self.reduction)


class L1Loss(_Loss):
    """``|input - target|``.

    Args:
        size_average: Deprecated; overrides ``reduction``, as does ``reduce``.
        reduce: Deprecated.
        reduction: "mean", "sum", or "none" for one loss per element.

    Example:
        >>> nn.L1Loss()(lucid.tensor([1.0, 3.0]), lucid.tensor([1.0, 1.0])).item()
        1.0
    """

    def forward(self, input: TensorLike, target: TensorLike) -> Tensor:
        return loss.l1_loss(input, target, reduction=self.reduction)


class SmoothL1Loss(_Loss):
    """Quadratic below ``beta`` and linear above; see ``lucid.nn.functional.smooth_l1_loss``.

    Args:
        size_average: Deprecated; overrides ``reduction``, as does ``reduce``.
        reduce: Deprecated.
        reduction: "mean", "sum", or "none" for one loss per element.
        beta: The error at which the loss becomes linear.

    Example:
        >>> nn.SmoothL1Loss(reduction="none")(lucid.tensor([0.5, 3.0]), lucid.tensor([0.0, 0.0])).tolist()
        [0.125, 2.5]
    """

    shown = ("reduction", "beta")

    def __init__(
        self, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean", beta: float = 1.0
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.beta = _checks.number("SmoothL1Loss", "beta", beta, 0)

    def forward(self, input: TensorLike, target: TensorLike) -> Tensor:
        return loss.smooth_l1_loss(input, target, reduction=self.reduction, beta=self.beta)


class HuberLoss(_Loss):
    """Quadratic up to ``delta`` and linear above; see ``lucid.nn.functional.huber_loss``.

    Args:
        reduction: "mean", "sum", or "none" for one loss per element.
        delta: The error at which the loss becomes linear.

    Example:
        >>> nn.HuberLoss(reduction="none", delta=2.0)(lucid.tensor([1.0, 3.0]), lucid.tensor([0.0, 0.0])).tolist()
        [0.5, 4.0]
    """

    shown = ("reduction", "delta")

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction=reduction)
        self.delta = _checks.number("HuberLoss", "delta", delta, 0, above=True)

    def forward(self, input: TensorLike, target: TensorLike) -> Tensor:
        return loss.huber_loss(input, target, self.reduction, self.delta)


class BCELoss(_Loss):
    """Binary cross entropy of probabilities.

    Args:
        weight: A factor for each loss, broadcast to the input.
        size_average: Deprecated; overrides ``reduction``, as does ``reduce``.
        reduce: Deprecated.
        reduction: "mean", "sum", or "none" for one loss per element.

    Example:
        >>> nn.BCELoss()(lucid.tensor([0.9, 0.2]), lucid.tensor([1.0, 0.0])).round(decimals=2)
        tensor(0.16)
    """

    def __init__(
        self, weight: TensorLike = None, size_average: bool | None = None, reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:  # fmt: skip
        super().__init__(size_average, reduce, reduction)
        self._register_constant("weight", weight)

    def forward(self, input: TensorLike, target: TensorLike) -> Tensor:
        return loss.binary_cross_entropy(input, target, self.weight, reduction=self.reduction)


class BCEWithLogitsLoss(_Loss):
    """Binary cross entropy of logits, without overflow.

    Args:
        weight: A factor for each loss, broadcast to the input.
        size_average: Deprecated; overrides ``reduction``, as does ``reduce``.
        reduce: Deprecated.
        reduction: "mean", "sum", or "none" for one loss per element.
        pos_weight: A factor for the loss of positive targets, one per class.

    Example:
        >>> criterion = nn.BCEWithLogitsLoss()
        >>> criterion(lucid.tensor([0.0, 0.0]), lucid.tensor([1.0, 0.0])).round(decimals=2)
        tensor(0.69)
    """

    def __init__(
        self, weight: TensorLike = None, size_average: bool | None = None, reduce: bool | None = None,
        reduction: str = "mean", pos_weight: TensorLike = None,
    ) -> None:  # fmt: skip
        super().__init__(size_average, reduce, reduction)
        self._register_constant("weight", weight)
        self._register_constant("pos_weight", pos_weight)

    def forward(self, input: TensorLike, target: TensorLike) -> Tensor:
        return loss.binary_cross_entropy_with_logits(
            input, target, self.weight, reduction=self.reduction, pos_weight=self.pos_weight
        )


class KLDivLoss(_Loss):
    """The Kullback-Leibler divergence; see ``lucid.nn.functional.kl_div``.

    Args:
        size_average: Deprecated; overrides ``reduction``, as does ``reduce``.
        reduce: Deprecated.
        reduction: "mean" over all elements, "batchmean" over the batch only (the divergence itself), "sum" or "none".
        log_target: Whether the target holds log-probabilities, too.

    Example:
        >>> criterion = nn.KLDivLoss(reduction="batchmean")
        >>> log_p = F.log_softmax(lucid.zeros(2, 4), dim=1)
        >>> criterion(log_p, lucid.full((2, 4), 0.5)).round(decimals=2)  # log(2), and log(4) for the sum
        tensor(1.39)
    """

    reductions = ("mean", "sum", "none", "batchmean")
    shown = ("reduction", "log_target")

    def __init__(
        self, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean",
        log_target: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(size_average, reduce, reduction)
        self.log_target = log_target

    def forward(self, input: TensorLike, target: TensorLike) -> Tensor:
        return loss.kl_div(input, target, reduction=self.reduction, log_target=self.log_target)


class NLLLoss(_Loss):
    """The negative log-probability of the target's class; see ``lucid.nn.functional.nll_loss``.

    Args:
        weight: The weight of each class (C,).
        size_average: Deprecated; overrides ``reduction``, as does ``reduce``.
        ignore_index: Targets with this class index are ignored.
        reduce: Deprecated.
        reduction: "mean", "sum", or "none" for one loss per sample.

    Example:
        >>> log_p = F.log_softmax(lucid.zeros(2, 4), dim=1)
        >>> nn.NLLLoss()(log_p, lucid.tensor([0, 3])).round(decimals=2)  # log(4)
        tensor(1.39)
    """

    shown = ("reduction", "ignore_index")

    def __init__(
        self, weight: TensorLike = None, size_average: bool | None = None, ignore_index: int = -100,
        reduce: bool | None = None, reduction: str = "mean",
    ) -> None:  # fmt: skip
        super().__init__(size_average, reduce, reduction)
        self._register_constant("weight", weight)
        self.ignore_index = _checks.integer(type(self).__name__, "ignore_index", ignore_index)

    def forward(self, input: TensorLike, target: TensorLike) -> Tensor:
        return loss.nll_loss(input, target, self.weight, ignore_index=self.ignore_index, reduction=self.reduction)


class CrossEntropyLoss(_Loss):
    """The negative log-probability that logits assign to the target; see ``lucid.nn.functional.cross_entropy``.

    Args:
        weight: The weight of each class (C,).
        size_average: Deprecated; overrides ``reduction``, as does ``reduce``.
        ignore_index: Targets with this class index are ignored.
        reduce: Deprecated.
        reduction: "mean", "sum", or "none" for one loss per sample.
        label_smoothing: The weight of the uniform distribution that is mixed into the targets.

    Example:
        >>> criterion = nn.CrossEntropyLoss(label_smoothing=0.1)
        >>> criterion(lucid.zeros(2, 4), lucid.tensor([0, 3])).round(decimals=2)  # log(4)
        tensor(1.39)
    """

    shown = ("reduction", "ignore_index", "label_smoothing")

    def __init__(
        self, weight: TensorLike = None, size_average: bool | None = None, ignore_index: int = -100,
        reduce: bool | None = None, reduction: str = "mean", label_smoothing: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__(size_average, reduce, reduction)
        self._register_constant("weight", weight)
        self.ignore_index = _checks.integer(type(self).__name__, "ignore_index", ignore_index)
        self.label_smoothing = _checks.probability("CrossEntropyLoss", "label_smoothing", label_smoothing)

    def forward(self, input: TensorLike, target: TensorLike) -> Tensor:
        return loss.cross_entropy(
            input, target, self.weight, ignore_index=self.ignore_index, reduction=self.reduction,
            label_smoothing=self.label_smoothing,
        )  # fmt: skip


class LinearCrossEntropyLoss(_Loss):
    """The cross entropy of the outputs of a linear layer that it contains.

    Shapes: input (N, in_features) or (in_features,); target as for ``CrossEntropyLoss`` with the logits
    (N, num_classes, *out_features).

    Args:
        in_features: Size of the last dimension of the input.
        num_classes: Number of classes.
        out_features: Sizes of further dimensions of the logits.
        bias: Whether the layer has a bias.
        device: Accepted for compatibility with PyTorch; memory is unified.
        dtype: The dtype of the layer, float32 by default.
        reduction: "mean", "sum", or "none" for one loss per sample.
        weight: The weight of each class (C,).
        ignore_index: Targets with this class index are ignored, -100 by default.
        label_smoothing: The weight of the uniform distribution that is mixed into the targets.
        options: Must be None: PyTorch's computation in chunks is not supported.

    Raises:
        ValueError: ``weight`` does not have one value per class, or an option is out of range.

    Example:
        >>> criterion = nn.LinearCrossEntropyLoss(8, 3)
        >>> criterion(lucid.zeros(2, 8), lucid.tensor([0, 2])).detach().round(decimals=2)  # log(3)
        tensor(1.1)
    """

    def __init__(
        self, in_features: int, num_classes: int, *, out_features: Sequence[int] = (), bias: bool = False,
        device: object = None, dtype: object = None, reduction: str = "mean", weight: TensorLike = None,
        ignore_index: int | None = None, label_smoothing: float = 0.0, options: None = None,
    ) -> None:  # fmt: skip
        super().__init__(reduction=reduction)
        where = type(self).__name__
        self.num_classes = _checks.integer(where, "num_classes", num_classes, 1)
        self.out_features = tuple(_checks.integer(where, "out_features", one, 1) for one in out_features)
        self._register_constant("weight", weight)
        if self.weight is not None and self.weight.shape != (num_classes,):
            raise _checks.ArgumentError(f"{where}: weight must have shape {(num_classes,)}, got {self.weight.shape}")
        self.ignore_index = None if ignore_index is None else _checks.integer(where, "ignore_index", ignore_index)
        self.label_smoothing = _checks.probability(where, "label_smoothing", label_smoothing)
        self.linear = Linear(in_features, math.prod(self.out_features, start=num_classes), bias, device, dtype)
        if options is not None:
            raise TypeError(f"{where}: options must be None, got {options!r:.60}")
        self.options = options

    def forward(self, input: TensorLike, target: TensorLike) -> Tensor:
        shape = (self.num_classes, *self.out_features)
        bias = self.linear.bias
        return linear_loss.linear_cross_entropy(
            input, self.linear.weight.reshape((*shape, self.linear.in_features)), target,
            linear_bias=None if bias is None else bias.reshape(shape), weight=self.weight, reduction=self.reduction,
            ignore_index=self.ignore_index, label_smoothing=self.label_smoothing,
        )  # fmt: skip

    def extra_repr(self) -> str:
        return (
            f"in_features={self.linear.in_features}, num_classes={self.num_classes}, "
            f"out_features={self.out_features}, bias={self.linear.bias is not None}, reduction={self.reduction}, "
            f"ignore_index={self.ignore_index}, label_smoothing={self.label_smoothing}, options={self.options}"
        )
