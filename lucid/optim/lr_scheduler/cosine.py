"""Cosine schedules, with and without restarts."""

from __future__ import annotations

import math
from typing import Any

from lucid import _checks
from lucid.optim.lr_scheduler.base import LRScheduler
from lucid.optim.optimizer import Optimizer


class CosineAnnealingLR(LRScheduler):
    """Half a cosine from the initial learning rate to ``eta_min`` at epoch ``T_max``, rising again afterward.

    Source: Loshchilov and Hutter 2017, arXiv:1608.03983, without the restarts.

    Args:
        optimizer: The optimizer whose groups are scheduled.
        T_max: Number of epochs to the minimum.
        eta_min: The lowest learning rate.
        last_epoch: The epoch to resume from; -1 starts anew.

    Example:
        >>> optimizer = optim.SGD(nn.Linear(4, 1).parameters(), lr=0.1)
        >>> scheduler = optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=10)
        >>> for _ in range(5):
        ...     optimizer.step()
        ...     scheduler.step()
        ...
        >>> round(scheduler.get_last_lr()[0], 4)
        0.05
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1) -> None:
        self.T_max = _checks.integer(self._name, "T_max", T_max, 1)
        self.eta_min = _checks.number(self._name, "eta_min", eta_min)
        super().__init__(optimizer, last_epoch)

    def _lr_of_epoch(self) -> list[float]:
        height = (1 + math.cos(math.pi * self.last_epoch / self.T_max)) / 2
        return [self.eta_min + (base - self.eta_min) * height for base in self.base_lrs]

    def get_lr(self) -> list[float]:
        if self._is_initial:
            return self._current_lrs()
        now, before = (1 + math.cos(math.pi * epoch / self.T_max) for epoch in (self.last_epoch, self.last_epoch - 1))
        if (self.last_epoch - 1 - self.T_max) % (2 * self.T_max) == 0:  # at the minimum the ratio is 0 / 0
            rise = (1 - math.cos(math.pi / self.T_max)) / 2
            return [
                lr + (base - self.eta_min) * rise for lr, base in zip(self._current_lrs(), self.base_lrs, strict=True)
            ]
        return [now / before * (lr - self.eta_min) + self.eta_min for lr in self._current_lrs()]


class CosineAnnealingWarmRestarts(LRScheduler):
    """A cosine to ``eta_min`` over ``T_0`` epochs, restarted with cycles ``T_mult`` times as long as the previous one.

    ``step(epoch)`` also accepts fractions of an epoch. Source: Loshchilov and Hutter 2017, arXiv:1608.03983.

    Args:
        optimizer: The optimizer whose groups are scheduled.
        T_0: Number of epochs of the first cycle.
        T_mult: Factor on the length of each further cycle.
        eta_min: The lowest learning rate.
        last_epoch: The epoch to resume from; -1 starts anew.

    Example:
        >>> optimizer = optim.SGD(nn.Linear(4, 1).parameters(), lr=0.1)
        >>> scheduler = optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, T_0=4, T_mult=2)
        >>> optimizer.step()
        >>> scheduler.step(2.0)
        >>> round(scheduler.get_last_lr()[0], 4)
        0.05
    """

    def __init__(
        self, optimizer: Optimizer, T_0: int, T_mult: int = 1, eta_min: float = 0.0, last_epoch: int = -1
    ) -> None:
        self.T_0 = _checks.integer(self._name, "T_0", T_0, 1)
        self.T_mult = _checks.integer(self._name, "T_mult", T_mult, 1)
        self.eta_min = _checks.number(self._name, "eta_min", eta_min)
        self.T_i = self.T_0
        self.T_cur: float = last_epoch
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        height = (1 + math.cos(math.pi * self.T_cur / self.T_i)) / 2
        return [self.eta_min + (base - self.eta_min) * height for base in self.base_lrs]

    def step(self, epoch: Any = None) -> None:
        """Advance to the next epoch, or to the given one, which may be fractional: ``step(epoch + batch / batches)``.

        Raises:
            ValueError: ``epoch`` is negative.
        """
        at = _checks.number(f"{self._name}.step", "epoch", 0 if epoch is None else epoch, 0.0)
        self._count_step()
        if epoch is None and self.last_epoch >= 0:
            self.last_epoch += 1
            self.T_cur += 1
            if self.T_cur >= self.T_i:
                self.T_cur -= self.T_i
                self.T_i *= self.T_mult
        else:
            self.last_epoch = math.floor(at)
            self.T_cur, self.T_i = self._place(at)
        self._set_lrs(self.get_lr())

    def _place(self, epoch: float) -> tuple[float, int]:
        """The position of ``epoch`` within its cycle, and the length of that cycle."""
        if self.T_mult == 1:
            return epoch % self.T_0, self.T_0
        start, length = 0, self.T_0
        while epoch >= start + length:
            start, length = start + length, length * self.T_mult
        return epoch - start, length
