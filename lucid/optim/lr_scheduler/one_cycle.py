"""The one-cycle policy."""

from __future__ import annotations

import math
from typing import Any

from lucid import _checks
from lucid.optim.lr_scheduler.base import LRScheduler, check_momentum, check_optimizer, numbers_per_group
from lucid.optim.optimizer import Optimizer


class OneCycleLR(LRScheduler):
    """Rises from ``max_lr / div_factor`` to ``max_lr``, then falls to ``1 / final_div_factor`` of the initial value.

    The rise takes a fraction ``pct_start`` of ``total_steps`` (or ``epochs * steps_per_epoch``); call ``step()`` after
    every batch. With ``three_phase`` the fall to the initial value is as long as the rise, and the rest of the steps
    lead to the final value. Momentum, or the first beta, moves inversely between ``max_momentum`` and
    ``base_momentum``.

    Source: Smith and Topin 2017, arXiv:1708.07120.

    Args:
        optimizer: The optimizer whose groups are scheduled.
        max_lr: The highest learning rate, one for all groups or one for each.
        total_steps: Number of steps of the whole schedule.
        epochs: Number of epochs, instead of ``total_steps``.
        steps_per_epoch: Number of steps in an epoch, with ``epochs``.
        pct_start: The fraction of steps that rises.
        anneal_strategy: "cos" or "linear".
        cycle_momentum: Move the momentum inversely to the learning rate.
        base_momentum: The lowest momentum.
        max_momentum: The highest momentum.
        div_factor: ``max_lr`` divided by the initial learning rate.
        final_div_factor: The initial learning rate divided by the final one.
        three_phase: Fall to the initial value in as many steps as the rise takes, then to the final value.
        last_epoch: The epoch to resume from; -1 starts anew.

    Raises:
        ValueError: the number of steps is missing, an option is out of range, or the optimizer has no momentum for
            ``cycle_momentum``. ``step()`` raises it after ``total_steps``.

    Example:
        >>> optimizer = optim.SGD(nn.Linear(4, 1).parameters(), lr=0.1, momentum=0.9)
        >>> scheduler = optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.1, total_steps=100)
        >>> for _ in range(30):
        ...     optimizer.step()
        ...     scheduler.step()
        ...
        >>> round(scheduler.get_last_lr()[0], 2)
        0.1
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | list[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.85,
        max_momentum: float | list[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        where = self._name
        check_optimizer(where, optimizer)
        if total_steps is not None:
            self.total_steps = _checks.integer(where, "total_steps", total_steps, 1)
        elif epochs is None or steps_per_epoch is None:
            raise ValueError(f"{where}: pass total_steps, or epochs and steps_per_epoch")
        else:
            self.total_steps = _checks.integer(where, "epochs", epochs, 1) * _checks.integer(
                where, "steps_per_epoch", steps_per_epoch, 1
            )
        self.pct_start = _checks.probability(where, "pct_start", pct_start)
        self.anneal_strategy = _checks.one_of(where, "anneal_strategy", anneal_strategy, ("cos", "linear"))
        self.three_phase = bool(three_phase)
        self.cycle_momentum = bool(cycle_momentum)
        div = _checks.number(where, "div_factor", div_factor, 0.0, above=True)
        final_div = _checks.number(where, "final_div_factor", final_div_factor, 0.0, above=True)
        max_lrs = numbers_per_group(where, "max_lr", optimizer, max_lr, 0.0)
        high = numbers_per_group(where, "max_momentum", optimizer, max_momentum, 0.0)
        low = numbers_per_group(where, "base_momentum", optimizer, base_momentum, 0.0)
        if self.cycle_momentum:
            check_momentum(where, optimizer)
        if last_epoch == -1:
            for group, top, most, least in zip(optimizer.param_groups, max_lrs, high, low, strict=True):
                group.update(initial_lr=top / div, max_lr=top, min_lr=top / div / final_div)
                if self.cycle_momentum:
                    group.update(max_momentum=most, base_momentum=least)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        if self.last_epoch > self.total_steps:
            raise ValueError(f"{self._name}: the schedule has {self.total_steps} steps, this is step {self.last_epoch}")
        start, end, part = self._phase(self.last_epoch)
        momenta = {"initial_lr": "max_momentum", "max_lr": "base_momentum", "min_lr": "max_momentum"}
        rates = []
        for group in self.optimizer.param_groups:
            rates.append(self._anneal(group[start], group[end], part))
            if self.cycle_momentum:
                group.set_momentum(self._anneal(group[momenta[start]], group[momenta[end]], part))
        return rates

    def _phase(self, step: int) -> tuple[str, str, float]:
        """The keys of the learning rates between which ``step`` lies, and the fraction of the way between them."""
        peak, last = self.pct_start * self.total_steps - 1, self.total_steps - 1
        phases: list[Any] = [(peak, "initial_lr", "max_lr"), (last, "max_lr", "min_lr")]
        if self.three_phase:
            back = 2 * self.pct_start * self.total_steps - 2
            phases[1:] = [(back, "max_lr", "initial_lr"), (last, "initial_lr", "min_lr")]
        begin = 0.0
        finish, start, end = phases[0]
        for following in phases[1:]:
            if step <= finish:
                break
            begin = finish
            finish, start, end = following
        # A phase of zero length is already complete.
        return start, end, (step - begin) / (finish - begin) if finish != begin else 1.0

    def _anneal(self, start: float, end: float, part: float) -> float:
        if self.anneal_strategy == "linear":
            return start + (end - start) * part
        return end + (start - end) / 2 * (1 + math.cos(math.pi * part))
