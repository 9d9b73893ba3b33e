"""Loss modules with a margin. Each calls its function in ``lucid.nn.functional``."""

from collections.abc import Callable
from typing import Any

from lucid import _checks
from lucid._tensor import Tensor
from lucid.nn.loss import _Loss
from lucid.ops import margin_loss
from lucid.ops._types import TensorLike


class _MarginLoss(_Loss):
    """Base class of losses with a margin and two inputs."""

    shown = ("margin", "reduction")
    usual_margin = 0.0

    def __init__(
        self, margin: float = 0.0, size_average: bool | None = None, reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:  # fmt: skip
        super().__init__(size_average, reduce, reduction)
        self.margin = _checks.number(type(self).__name__, "margin", margin)


class MarginRankingLoss(_MarginLoss):
    """``max(0, -target * (input1 - input2) + margin)``.

    Args:
        margin: By how much the larger input must exceed the smaller one.
        size_average: Deprecated; overrides ``reduction``, as does ``reduce``.
        reduce: Deprecated.
        reduction: "mean", "sum", or "none" for one loss per element.

    Example:
        >>> criterion = nn.MarginRankingLoss(margin=0.5)
        >>> criterion(lucid.tensor([1.0]), lucid.tensor([3.0]), lucid.tensor([1.0])).item()
        2.5
    """

    def forward(self, input1: TensorLike, input2: TensorLike, target: TensorLike) -> Tensor:
        return margin_loss.margin_ranking_loss(input1, input2, target, self.margin, reduction=self.reduction)


class CosineEmbeddingLoss(_MarginLoss):
    """``1 - cos(input1, input2)`` for target 1, ``max(0, cos(input1, input2) - margin)`` for target -1.

    Args:
        margin: The cosine up to which vectors of target -1 have no loss.
        size_average: Deprecated; overrides ``reduction``, as does ``reduce``.
        reduce: Deprecated.
        reduction: "mean", "sum", or "none" for one loss per pair of vectors.

    Example:
        >>> criterion = nn.CosineEmbeddingLoss()
        >>> criterion(lucid.tensor([[1.0, 0.0]]), lucid.tensor([[0.0, 2.0]]), lucid.tensor([1])).item()
        1.0
    """

    def forward(self, input1: TensorLike, input2: TensorLike, target: TensorLike) -> Tensor:
        return margin_loss.cosine_embedding_loss(input1, input2, target, self.margin, reduction=self.reduction)


class HingeEmbeddingLoss(_MarginLoss):
    """The input, a distance, for target 1, and ``max(0, margin - input)`` for target -1.

    Args:
        margin: The distance from which inputs of target -1 have no loss.
        size_average: Deprecated; overrides ``reduction``, as does ``reduce``.
        reduce: Deprecated.
        reduction: "mean", "sum", or "none" for one loss per element.

    Example:
        >>> nn.HingeEmbeddingLoss()(lucid.tensor([0.5, 0.25]), lucid.tensor([1.0, -1.0])).item()
        0.625
    """

    def __init__(
        self, margin: float = 1.0, size_average: bool | None = None, reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:  # fmt: skip
        super().__init__(margin, size_average, reduce, reduction)

    def forward(self, input: TensorLike, target: TensorLike) -> Tensor:
        return margin_loss.hinge_embedding_loss(input, target, self.margin, reduction=self.reduction)


class SoftMarginLoss(_Loss):
    """``log(1 + exp(-target * input))`` for targets 1 and -1.

    Args:
        size_average: Deprecated; overrides ``reduction``, as does ``reduce``.
        reduce: Deprecated.
        reduction: "mean", "sum", or "none" for one loss per element.

    Example:
        >>> nn.SoftMarginLoss()(lucid.tensor([0.0, 0.0]), lucid.tensor([1.0, -1.0])).round(decimals=2)
        tensor(0.69)
    """

    def forward(self, input: TensorLike, target: TensorLike) -> Tensor:
        return margin_loss.soft_margin_loss(input, target, reduction=self.reduction)


class MultiMarginLoss(_Loss):
    """``sum over i != target of max(0, margin - input[target] + input[i])^p / C``.

    Args:
        p: 1 or 2.
        margin: By how much the target's score must exceed the others.
        weight: The weight of each class (C,).
        size_average: Deprecated; overrides ``reduction``, as does ``reduce``.
        reduce: Deprecated.
        reduction: "mean", "sum", or "none" for one loss per sample.

    Example:
        >>> nn.MultiMarginLoss()(lucid.tensor([[0.0, 1.0]]), lucid.tensor([0])).item()
        1.0
    """

    shown = ("p", "margin", "reduction")

    def __init__(
        self, p: int = 1, margin: float = 1.0, weight: TensorLike = None, size_average: bool | None = None,
        reduce: bool | None = None, reduction: str = "mean",
    ) -> None:  # fmt: skip
        super().__init__(size_average, reduce, reduction)
        self.p = _checks.integer("MultiMarginLoss", "p", p)
        if self.p not in (1, 2):
            raise ValueError(f"MultiMarginLoss: p must be 1 or 2, got {p}")
        self.margin = _checks.number("MultiMarginLoss", "margin", margin)
        self._register_constant("weight", weight)

    def forward(self, input: TensorLike, target: TensorLike) -> Tensor:
        return margin_loss.multi_margin_loss(input, target, self.p, self.margin, self.weight, reduction=self.reduction)


class MultiLabelMarginLoss(_Loss):
    """A margin of 1 between the scores of the target classes and those of the others.

    Each row of the target lists class indices up to the first -1; see ``lucid.nn.functional.multilabel_margin_loss``.

    Args:
        size_average: Deprecated; overrides ``reduction``, as does ``reduce``.
        reduce: Deprecated.
        reduction: "mean", "sum", or "none" for one loss per sample.

    Example:
        >>> scores, classes = lucid.tensor([[0.0, 1.0, 0.5]]), lucid.tensor([[1, 2, -1]])
        >>> nn.MultiLabelMarginLoss()(scores, classes).round(decimals=2)
        tensor(0.17)
    """

    def forward(self, input: TensorLike, target: TensorLike) -> Tensor:
        return margin_loss.multilabel_margin_loss(input, target, reduction=self.reduction)


class MultiLabelSoftMarginLoss(_Loss):
    """The binary cross entropy of logits (N, C), averaged over the classes.

    Args:
        weight: The weight of each class (C,).
        size_average: Deprecated; overrides ``reduction``, as does ``reduce``.
        reduce: Deprecated.
        reduction: "mean", "sum", or "none" for one loss per sample.

    Example:
        >>> nn.MultiLabelSoftMarginLoss()(lucid.zeros(1, 2), lucid.tensor([[1.0, 0.0]])).round(decimals=2)
        tensor(0.69)
    """

    def __init__(
        self, weight: TensorLike = None, size_average: bool | None = None, reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:  # fmt: skip
        super().__init__(size_average, reduce, reduction)
        self._register_constant("weight", weight)

    def forward(self, input: TensorLike, target: TensorLike) -> Tensor:
        return margin_loss.multilabel_soft_margin_loss(input, target, self.weight, reduction=self.reduction)


class TripletMarginLoss(_Loss):
    """``max(0, margin + d(anchor, positive) - d(anchor, negative))`` with the distance of order ``p``.

    Args:
        margin: By how much the negative must be farther than the positive.
        p: The order of the norm.
        eps: Added to the difference of vectors.
        swap: Whether to use the distance of positive and negative where it is smaller than that of anchor and negative.
        size_average: Deprecated; overrides ``reduction``, as does ``reduce``.
        reduce: Deprecated.
        reduction: "mean", "sum", or "none" for one loss per triplet.

    Example:
        >>> anchor, positive, negative = lucid.zeros(1, 2), lucid.zeros(1, 2), lucid.tensor([[0.5, 0.0]])
        >>> nn.TripletMarginLoss()(anchor, positive, negative).round(decimals=2)
        tensor(0.5)
    """

    shown = ("margin", "p", "eps", "swap", "reduction")

    def __init__(
        self, margin: float = 1.0, p: float = 2.0, eps: float = 1e-6, swap: bool = False,
        size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean",
    ) -> None:  # fmt: skip
        super().__init__(size_average, reduce, reduction)
        self.margin = _checks.number("TripletMarginLoss", "margin", margin, 0, above=True)
        self.p = _checks.number("TripletMarginLoss", "p", p)
        self.eps = _checks.number("TripletMarginLoss", "eps", eps)
        self.swap = _checks.flag("TripletMarginLoss", "swap", swap)

    def forward(self, anchor: TensorLike, positive: TensorLike, negative: TensorLike) -> Tensor:
        return margin_loss.triplet_margin_loss(
            anchor, positive, negative, self.margin, self.p, self.eps, self.swap, reduction=self.reduction
        )


class TripletMarginWithDistanceLoss(_Loss):
    """``TripletMarginLoss`` with any distance.

    Args:
        distance_function: A function of two tensors (N, ...) that returns (N,); by default the Euclidean distance.
        margin: By how much the negative must be farther than the positive.
        swap: Whether to use the distance of positive and negative where it is smaller than that of anchor and negative.
        reduction: "mean", "sum", or "none" for one loss per triplet.

    Example:
        >>> criterion = nn.TripletMarginWithDistanceLoss(distance_function=lambda x, y: (x - y).abs().sum(-1))
        >>> criterion(lucid.zeros(1, 2), lucid.zeros(1, 2), lucid.tensor([[0.5, 0.0]])).item()
        0.5
    """

    shown = ("margin", "swap", "reduction")

    def __init__(
        self, *, distance_function: Callable[[Any, Any], Tensor] | None = None, margin: float = 1.0, swap: bool = False,
        reduction: str = "mean",
    ) -> None:  # fmt: skip
        super().__init__(reduction=reduction)
        where = "TripletMarginWithDistanceLoss"
        if not (distance_function is None or callable(distance_function)):
            raise TypeError(f"{where}: distance_function must be callable, got {distance_function!r:.60}")
        self.distance_function = distance_function
        self.margin = _checks.number(where, "margin", margin, 0, above=True)
        self.swap = _checks.flag(where, "swap", swap)

    def forward(self, anchor: TensorLike, positive: TensorLike, negative: TensorLike) -> Tensor:
        return margin_loss.triplet_margin_with_distance_loss(
            anchor, positive, negative, distance_function=self.distance_function, margin=self.margin, swap=self.swap,
            reduction=self.reduction,
        )  # fmt: skip
