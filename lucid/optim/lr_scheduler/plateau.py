"""Reduces the learning rate when a metric stops improving."""

from __future__ import annotations

import math
from typing import Any

from lucid import _checks
from lucid.optim.lr_scheduler.base import LRScheduler, check_optimizer, numbers_per_group
from lucid.optim.optimizer import Optimizer


class ReduceLROnPlateau(LRScheduler):
    """Multiplies by ``factor`` if the metric has not improved for more than ``patience`` calls of ``step(metric)``.

    An improvement is a value below the best so far (``mode="min"``) or above it (``"max"``) by more than ``threshold``,
    relative to the best (``threshold_mode="rel"``) or absolute (``"abs"``). After a reduction, ``cooldown`` calls are
    not counted. The learning rate stays at or above ``min_lr``, and changes of at most ``eps`` are skipped.

    Args:
        optimizer: The optimizer whose groups are scheduled.
        mode: "min" if lower metrics are better, "max" if higher ones are.
        factor: Factor on the learning rate, below 1.
        patience: Number of calls without an improvement that are tolerated.
        threshold: Smallest change that is an improvement.
        threshold_mode: "rel" for a threshold relative to the best metric, "abs" for an absolute one.
        cooldown: Number of calls after a reduction that are not counted.
        min_lr: The lowest learning rate, one for all groups or one for each.
        eps: Changes of the learning rate of at most this are skipped.

    Raises:
        ValueError: an option is out of range.

    Example:
        >>> optimizer = optim.SGD(nn.Linear(4, 1).parameters(), lr=0.1)
        >>> scheduler = optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=1)
        >>> for loss in (1.0, 0.9, 0.9, 0.9):
        ...     optimizer.step()
        ...     scheduler.step(loss)
        ...
        >>> round(scheduler.get_last_lr()[0], 4)
        0.01
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float | list[float] = 0.0,
        eps: float = 1e-8,
    ) -> None:
        where = self._name
        self.optimizer = check_optimizer(where, optimizer)
        self.mode = _checks.one_of(where, "mode", mode, ("min", "max"))
        self.factor = _checks.number(where, "factor", factor, 0.0)
        if self.factor >= 1:
            raise ValueError(f"{where}: factor must be below 1, got {factor!r}")
        self.patience = _checks.integer(where, "patience", patience, 0)
        self.threshold = _checks.number(where, "threshold", threshold)
        self.threshold_mode = _checks.one_of(where, "threshold_mode", threshold_mode, ("rel", "abs"))
        self.cooldown = _checks.integer(where, "cooldown", cooldown, 0)
        self.min_lrs = numbers_per_group(where, "min_lr", optimizer, min_lr, 0.0)
        self.eps = _checks.number(where, "eps", eps, 0.0)
        self.last_epoch = 0
        self.best = math.inf if mode == "min" else -math.inf
        self.cooldown_counter = 0
        self.num_bad_epochs = 0
        self._last_lr = self._current_lrs()

    def step(self, metrics: Any, epoch: int | None = None) -> None:  # type: ignore[override]
        """Process the metric of an epoch: a number, or a one-element tensor, which is evaluated.

        ``epoch``, the number of the epoch, is deprecated as in PyTorch.
        """
        self._check_groups(len(self.min_lrs))
        current = float(metrics)
        if epoch is None:
            self.last_epoch += 1
        else:
            self._go_to(epoch)
        if self._is_better(current):
            self.best = current
            self.num_bad_epochs = 0
        else:
            self.num_bad_epochs += 1
        if self.in_cooldown:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            self._reduce()
            self.cooldown_counter = self.cooldown
            self.num_bad_epochs = 0
        self._last_lr = self._current_lrs()

    @property
    def in_cooldown(self) -> bool:
        """Whether calls are not counted because of a recent reduction."""
        return self.cooldown_counter > 0

    def _is_better(self, metric: float) -> bool:
        sign = 1 if self.mode == "max" else -1
        if self.threshold_mode == "abs":
            return sign * metric > sign * self.best + self.threshold
        return sign * metric > sign * self.best * (1 + sign * self.threshold)

    def _reduce(self) -> None:
        lrs = self._current_lrs()
        reduced = [max(lr * self.factor, min_lr) for lr, min_lr in zip(lrs, self.min_lrs, strict=True)]
        self._set_lrs([new if old - new > self.eps else old for old, new in zip(lrs, reduced, strict=True)])
