"""Schedulers that multiply the current learning rate by a factor that depends on the epoch."""

from __future__ import annotations

from collections.abc import Iterable

from lucid import _checks
from lucid.optim.lr_scheduler.base import LRScheduler
from lucid.optim.optimizer import Optimizer


class _MultiplicativeScheduler(LRScheduler):
    """``lr = lr * factor`` at every epoch."""

    def get_lr(self) -> list[float]:
        factor = self._factor(self.last_epoch)
        return [rate * factor for rate in self._current_lrs()]

    def _factor(self, epoch: int) -> float:
        raise NotImplementedError


class StepLR(_MultiplicativeScheduler):
    """Multiplies by ``gamma`` every ``step_size`` epochs."""

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1) -> None:
        self.step_size = _checks.integer(self._name, "step_size", step_size, 1)
        self.gamma = _checks.number(self._name, "gamma", gamma)
        super().__init__(optimizer, last_epoch)

    def _factor(self, epoch: int) -> float:
        return self.gamma if epoch > 0 and epoch % self.step_size == 0 else 1.0


class MultiStepLR(_MultiplicativeScheduler):
    """Multiplies by ``gamma`` at each epoch in ``milestones``; repeated milestones apply repeatedly."""

    def __init__(
        self, optimizer: Optimizer, milestones: Iterable[int], gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        self.milestones = sorted(_checks.integer(self._name, "milestones", one, 0) for one in milestones)
        self.gamma = _checks.number(self._name, "gamma", gamma)
        super().__init__(optimizer, last_epoch)

    def _factor(self, epoch: int) -> float:
        return self.gamma ** self.milestones.count(epoch)


class ExponentialLR(_MultiplicativeScheduler):
    """Multiplies by ``gamma`` at every epoch."""

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = _checks.number(self._name, "gamma", gamma)
        super().__init__(optimizer, last_epoch)

    def _factor(self, epoch: int) -> float:
        return 1.0 if self._is_initial else self.gamma


class ConstantLR(_MultiplicativeScheduler):
    """Multiplies by ``factor`` until epoch ``total_iters``."""

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

    Warm-up followed by a cosine: ``SequentialLR(optimizer, [LinearLR(optimizer, 0.01, total_iters=5),
    CosineAnnealingLR(optimizer, 95)], milestones=[5])``.
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
    """Decays to 0 at epoch ``total_iters`` as ``(1 - epoch / total_iters) ** power``."""

    def __init__(self, optimizer: Optimizer, total_iters: int = 5, power: float = 1.0, last_epoch: int = -1) -> None:
        self.total_iters = _checks.integer(self._name, "total_iters", total_iters, 1)
        self.power = _checks.number(self._name, "power", power)
        super().__init__(optimizer, last_epoch)

    def _factor(self, epoch: int) -> float:
        if self._is_initial or epoch > self.total_iters:
            return 1.0
        left, before = self.total_iters - epoch, self.total_iters - epoch + 1
        return (left / before) ** self.power
