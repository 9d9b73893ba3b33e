"""Schedulers that multiply the current learning rate by a factor that depends on the epoch."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from lucid import _checks
from lucid.optim.lr_scheduler.base import LRScheduler
from lucid.optim.optimizer import Optimizer


class _MultiplicativeScheduler(LRScheduler):
    """``lr = lr * factor`` at every epoch."""

    def get_lr(self) -> list[float]:
        factor = self._factor(self.last_epoch)
        return [rate * factor for rate in self._current_lrs()]

    def _lr_of_epoch(self) -> list[float]:
        factor = math.prod(self._factor(epoch) for epoch in range(self.last_epoch + 1))
        return [base * factor for base in self.base_lrs]

    def _factor(self, epoch: int) -> float:
        raise NotImplementedError


class StepLR(_MultiplicativeScheduler):
    """Multiplies by ``gamma`` every ``step_size`` epochs.

    Args:
        optimizer: The optimizer whose groups are scheduled.
        step_size: Number of epochs between the changes.
        gamma: Factor on the learning rate.
        last_epoch: The epoch to resume from; -1 starts anew.

    Example:
        >>> optimizer = optim.SGD(nn.Linear(4, 1).parameters(), lr=0.1)
        >>> scheduler = optim.lr_scheduler.StepLR(optimizer, step_size=2)
        >>> for _ in range(2):
        ...     optimizer.step()
        ...     scheduler.step()
        ...
        >>> round(scheduler.get_last_lr()[0], 4)
        0.01
    """

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1) -> None:
        self.step_size = _checks.integer(self._name, "step_size", step_size, 1)
        self.gamma = _checks.number(self._name, "gamma", gamma)
        super().__init__(optimizer, last_epoch)

    def _factor(self, epoch: int) -> float:
        return self.gamma if epoch > 0 and epoch % self.step_size == 0 else 1.0


class MultiStepLR(_MultiplicativeScheduler):
    """Multiplies by ``gamma`` at each epoch in ``milestones``; repeated milestones apply repeatedly.

    Args:
        optimizer: The optimizer whose groups are scheduled.
        milestones: Epochs; one that is repeated applies repeatedly.
        gamma: Factor on the learning rate.
        last_epoch: The epoch to resume from; -1 starts anew.

    Example:
        >>> optimizer = optim.SGD(nn.Linear(4, 1).parameters(), lr=0.1)
        >>> scheduler = optim.lr_scheduler.MultiStepLR(optimizer, milestones=[1, 3])
        >>> optimizer.step()
        >>> scheduler.step()
        >>> round(scheduler.get_last_lr()[0], 4)
        0.01
    """

    def __init__(
        self, optimizer: Optimizer, milestones: Iterable[int], gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        if not isinstance(milestones, Iterable):
            raise TypeError(f"{self._name}: milestones must be a list of integers, got {milestones!r:.60}")
        self.milestones = sorted(_checks.integer(self._name, "milestones", one, 0) for one in milestones)
        self.gamma = _checks.number(self._name, "gamma", gamma)
        super().__init__(optimizer, last_epoch)

    def _of_pytorch(self, state_dict: Mapping[str, Any]) -> dict[str, Any]:
        found = super()._of_pytorch(state_dict)
        if isinstance(found.get("milestones"), Mapping):  # how often each occurs
            found["milestones"] = sorted(one for one, times in found["milestones"].items() for _ in range(times))
        return found

    def _factor(self, epoch: int) -> float:
        return self.gamma ** self.milestones.count(epoch)


class ExponentialLR(_MultiplicativeScheduler):
    """Multiplies by ``gamma`` at every epoch.

    Args:
        optimizer: The optimizer whose groups are scheduled.
        gamma: Factor on the learning rate.
        last_epoch: The epoch to resume from; -1 starts anew.

    Example:
        >>> optimizer = optim.SGD(nn.Linear(4, 1).parameters(), lr=0.1)
        >>> scheduler = optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.9)
        >>> optimizer.step()
        >>> scheduler.step()
        >>> round(scheduler.get_last_lr()[0], 4)
        0.09
    """

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = _checks.number(self._name, "gamma", gamma)
        super().__init__(optimizer, last_epoch)

    def _factor(self, epoch: int) -> float:
        return 1.0 if self._is_initial or epoch == 0 else self.gamma


class ConstantLR(_MultiplicativeScheduler):
    """Multiplies by ``factor`` until epoch ``total_iters``.

    Args:
        optimizer: The optimizer whose groups are scheduled.
        factor: Factor on the learning rate until epoch ``total_iters``.
        total_iters: Number of epochs that the schedule takes.
        last_epoch: The epoch to resume from; -1 starts anew.

    Example:
        >>> optimizer = optim.SGD(nn.Linear(4, 1).parameters(), lr=0.1)
        >>> scheduler = optim.lr_scheduler.ConstantLR(optimizer, factor=0.5, total_iters=5)
        >>> scheduler.get_last_lr()
        [0.05]
    """

    def __init__(
        self, optimizer: Optimizer, factor: float = 1.0 / 3, total_iters: int = 5, last_epoch: int = -1
    ) -> None:
        self.factor = _checks.number(self._name, "factor", factor, 0.0, 1.0, above=True)
        self.total_iters = _checks.integer(self._name, "total_iters", total_iters, 1)
        super().__init__(optimizer, last_epoch)

    def _factor(self, epoch: int) -> float:
        if epoch == 0:
            return self.factor
        return 1.0 / self.factor if epoch == self.total_iters else 1.0


class LinearLR(_MultiplicativeScheduler):
    """Linear warm-up: from ``start_factor`` to ``end_factor`` times the learning rate in ``total_iters`` equal steps.

    ``SequentialLR`` shows a warm-up that is followed by a cosine.

    Args:
        optimizer: The optimizer whose groups are scheduled.
        start_factor: Factor on the learning rate at the start.
        end_factor: Factor on the learning rate from epoch ``total_iters`` on.
        total_iters: Number of epochs that the schedule takes.
        last_epoch: The epoch to resume from; -1 starts anew.

    Example:
        >>> optimizer = optim.SGD(nn.Linear(4, 1).parameters(), lr=0.1)
        >>> scheduler = optim.lr_scheduler.LinearLR(optimizer, start_factor=0.1, total_iters=9)
        >>> optimizer.step()
        >>> scheduler.step()
        >>> round(scheduler.get_last_lr()[0], 4)
        0.02
    """

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1.0 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        self.start_factor = _checks.number(self._name, "start_factor", start_factor, 0.0, 1.0, above=True)
        self.end_factor = _checks.number(self._name, "end_factor", end_factor, 0.0, 1.0)
        self.total_iters = _checks.integer(self._name, "total_iters", total_iters, 1)
        super().__init__(optimizer, last_epoch)

    def _factor(self, epoch: int) -> float:
        if epoch == 0:
            return self.start_factor
        if self._is_initial or epoch > self.total_iters:
            return 1.0
        change = self.end_factor - self.start_factor
        return 1.0 + change / (self.total_iters * self.start_factor + (epoch - 1) * change)


class PolynomialLR(_MultiplicativeScheduler):
    """Decays to 0 at epoch ``total_iters`` as ``(1 - epoch / total_iters) ** power``.

    Args:
        optimizer: The optimizer whose groups are scheduled.
        total_iters: Number of epochs that the schedule takes.
        power: Exponent of the decay.
        last_epoch: The epoch to resume from; -1 starts anew.

    Example:
        >>> optimizer = optim.SGD(nn.Linear(4, 1).parameters(), lr=0.1)
        >>> scheduler = optim.lr_scheduler.PolynomialLR(optimizer, total_iters=10)
        >>> optimizer.step()
        >>> scheduler.step()
        >>> round(scheduler.get_last_lr()[0], 4)
        0.09
    """

    def __init__(self, optimizer: Optimizer, total_iters: int = 5, power: float = 1.0, last_epoch: int = -1) -> None:
        self.total_iters = _checks.integer(self._name, "total_iters", total_iters, 1)
        self.power = _checks.number(self._name, "power", power, 0.0)
        super().__init__(optimizer, last_epoch)

    def _factor(self, epoch: int) -> float:
        if self._is_initial or not 0 < epoch <= self.total_iters:
            return 1.0
        left, before = self.total_iters - epoch, self.total_iters - epoch + 1
        return (left / before) ** self.power
