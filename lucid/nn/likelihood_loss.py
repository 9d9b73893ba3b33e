"""Loss modules that are negative log-likelihoods. Each calls its function in ``lucid.nn.functional``."""

import warnings

from lucid import _checks
from lucid._tensor import Tensor
from lucid.nn.loss import NLLLoss, _Loss
from lucid.ops import ctc, likelihood_loss
from lucid.ops._types import TensorLike


class PoissonNLLLoss(_Loss):
    """The negative log-likelihood of counts under Poisson distributions.

    Args:
        log_input: Whether the input holds logarithms of the rates.
        full: Whether to add Stirling's approximation of ``log(target!)``.
        size_average: Deprecated; overrides ``reduction``, as does ``reduce``.
        eps: Keeps the logarithm of a rate of 0 finite.
        reduce: Deprecated.
        reduction: "mean", "sum", or "none" for one loss per element.

    Example:
        >>> nn.PoissonNLLLoss()(lucid.tensor([0.0, 0.0]), lucid.tensor([1.0, 3.0])).item()
        1.0
    """

    shown = ("log_input", "full", "eps", "reduction")

    def __init__(
        self, log_input: bool = True, full: bool = False, size_average: bool | None = None, eps: float = 1e-8,
        reduce: bool | None = None, reduction: str = "mean",
    ) -> None:  # fmt: skip
        super().__init__(size_average, reduce, reduction)
        self.log_input = _checks.flag("PoissonNLLLoss", "log_input", log_input)
        self.full = _checks.flag("PoissonNLLLoss", "full", full)
        self.eps = _checks.number("PoissonNLLLoss", "eps", eps)

    def forward(self, log_input: TensorLike, target: TensorLike) -> Tensor:
        return likelihood_loss.poisson_nll_loss(
            log_input, target, self.log_input, self.full, eps=self.eps, reduction=self.reduction
        )


class GaussianNLLLoss(_Loss):
    """The negative log-likelihood of targets under normal distributions with mean ``input`` and variance ``var``.

    Args:
        full: Whether to add the constant ``0.5 log(2 pi)``.
        eps: Smaller variances are replaced by this.
        reduction: "mean", "sum", or "none" for one loss per element.

    Example:
        >>> nn.GaussianNLLLoss()(lucid.tensor([0.0, 0.0]), lucid.tensor([1.0, 3.0]), lucid.ones(2)).item()
        2.5
    """

    shown = ("full", "eps", "reduction")

    def __init__(self, *, full: bool = False, eps: float = 1e-6, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)
        self.full = _checks.flag("GaussianNLLLoss", "full", full)
        self.eps = _checks.number("GaussianNLLLoss", "eps", eps, 0, above=True)

    def forward(self, input: TensorLike, target: TensorLike, var: TensorLike) -> Tensor:
        return likelihood_loss.gaussian_nll_loss(
            input, target, var, full=self.full, eps=self.eps, reduction=self.reduction
        )


class CTCLoss(_Loss):
    """The negative log-likelihood of label sequences under all alignments; see ``lucid.nn.functional.ctc_loss``.

    Shapes: log_probs (T, N, C), targets (N, S) or concatenated, input_lengths and target_lengths (N,).

    Args:
        blank: The class that stands for no label.
        reduction: "mean", "sum", or "none" for one loss per sample.
        zero_infinity: Whether infinite losses become 0.

    Example:
        >>> log_probs = F.log_softmax(lucid.zeros(4, 1, 3), dim=2)
        >>> nn.CTCLoss()(log_probs, lucid.tensor([[1, 2]]), lucid.tensor([4]), lucid.tensor([2])).round(decimals=2)
        tensor(0.84)
    """

    shown = ("blank", "reduction", "zero_infinity")

    def __init__(self, blank: int = 0, reduction: str = "mean", zero_infinity: bool = False) -> None:
        super().__init__(reduction=reduction)
        self.blank = _checks.integer("CTCLoss", "blank", blank, 0)
        self.zero_infinity = _checks.flag("CTCLoss", "zero_infinity", zero_infinity)

    def forward(
        self, log_probs: TensorLike, targets: TensorLike, input_lengths: TensorLike, target_lengths: TensorLike
    ) -> Tensor:
        return ctc.ctc_loss(
            log_probs, targets, input_lengths, target_lengths, self.blank, self.reduction, self.zero_infinity
        )


class NLLLoss2d(NLLLoss):
    """Deprecated name of ``NLLLoss``, which takes images (N, C, H, W) too.

    Args:
        weight: The weight of each class (C,).
        size_average: Deprecated; overrides ``reduction``, as does ``reduce``.
        ignore_index: Targets with this class index are ignored.
        reduce: Deprecated.
        reduction: "mean", "sum", or "none" for one loss per sample.

    Example:
        >>> import warnings
        >>> with warnings.catch_warnings():
        ...     warnings.simplefilter("ignore", FutureWarning)
        ...     criterion = nn.NLLLoss2d()
        ...
        >>> criterion(F.log_softmax(lucid.zeros(1, 4, 2, 2), dim=1), lucid.zeros(1, 2, 2).long()).round(decimals=2)
        tensor(1.39)
    """

    def __init__(
        self, weight: TensorLike = None, size_average: bool | None = None, ignore_index: int = -100,
        reduce: bool | None = None, reduction: str = "mean",
    ) -> None:  # fmt: skip
        warnings.warn("NLLLoss2d is deprecated; use NLLLoss", FutureWarning, _checks.level_of_user())
        super().__init__(weight, size_average, ignore_index, reduce, reduction)
