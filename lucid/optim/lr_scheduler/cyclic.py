"""``CyclicLR``: learning rates that rise and fall linearly, again and again."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from typing import Any

from lucid import _checks
from lucid.optim.lr_scheduler.base import (
    LRScheduler,
    attributes_of,
    check_momentum,
    numbers_per_group,
    restore_attributes,
)
from lucid.optim.optimizer import Optimizer

_MODES = ("triangular", "triangular2", "exp_range")


class CyclicLR(LRScheduler):
    """Rises from ``base_lr`` to ``max_lr`` and falls back, again and again, while the momentum does the reverse.

    Call ``step()`` after every batch. Source: Smith 2017, arXiv:1506.01186.

    Args:
        optimizer: The optimizer whose groups are scheduled.
        base_lr: The lowest learning rate, or a list with one per group.
        max_lr: The highest learning rate of the first cycle, or a list with one per group.
        step_size_up: Number of steps of the rise.
        step_size_down: Number of steps of the fall; None: ``step_size_up``.
        mode: "triangular" keeps the height, "triangular2" halves it every cycle, "exp_range" multiplies it by
            ``gamma`` every step.
        gamma: The factor of "exp_range".
        scale_fn: A function of the cycle (from 1) or of the step that gives the height's factor, instead of ``mode``.
            It is not part of ``state_dict()``; of a callable object the attributes are.
        scale_mode: What ``scale_fn`` is given, "cycle" or "iterations".
        cycle_momentum: Also change the momentum or first beta.
        base_momentum: The lowest momentum, or a list with one per group.
        max_momentum: The highest momentum, or a list with one per group.
        last_epoch: The step to resume from; -1 starts anew.

    Raises:
        ValueError: ``mode`` is unknown and there is no ``scale_fn``, or the optimizer has no momentum.

    Example:
        >>> optimizer = optim.SGD(nn.Linear(4, 1).parameters(), lr=0.1, momentum=0.9)
        >>> scheduler = optim.lr_scheduler.CyclicLR(optimizer, 0.01, 0.1, step_size_up=3)
        >>> for _ in range(3):
        ...     optimizer.step()
        ...     scheduler.step()
        ...
        >>> scheduler.get_last_lr()
        [0.1]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        base_lr: float | list[float],
        max_lr: float | list[float],
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: str = "triangular",
        gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None,
        scale_mode: str = "cycle",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.8,
        max_momentum: float | list[float] = 0.9,
        last_epoch: int = -1,
    ) -> None:
        where = self._name
        lowest = numbers_per_group(where, "base_lr", optimizer, base_lr)
        self.max_lrs = numbers_per_group(where, "max_lr", optimizer, max_lr)
        up = _checks.number(where, "step_size_up", step_size_up, 0.0, above=True)
        down = (
            up if step_size_down is None else _checks.number(where, "step_size_down", step_size_down, 0.0, above=True)
        )
        self.total_size, self.step_ratio = up + down, up / (up + down)
        if scale_fn is None:
            _checks.one_of(where, "mode", mode, _MODES)
            scale_mode = "iterations" if mode == "exp_range" else "cycle"
        self.mode = mode
        self.gamma = _checks.number(where, "gamma", gamma)
        self.scale_mode = _checks.one_of(where, "scale_mode", scale_mode, ("cycle", "iterations"))
        self._scale_fn_custom = scale_fn
        self.cycle_momentum = bool(cycle_momentum)
        if self.cycle_momentum:
            check_momentum(where, optimizer)
            self.base_momentums = numbers_per_group(where, "base_momentum", optimizer, base_momentum)
            self.max_momentums = numbers_per_group(where, "max_momentum", optimizer, max_momentum)
        if last_epoch == -1:
            for number, (group, lr) in enumerate(zip(optimizer.param_groups, lowest, strict=True)):
                group.set_lr(lr)
                if self.cycle_momentum:
                    high, low = self.max_momentums[number], self.base_momentums[number]
                    group.set_momentum(high)
                    group.update(max_momentum=high, base_momentum=low)
        super().__init__(optimizer, last_epoch)
        self.base_lrs = lowest

    def scale_fn(self, x: float) -> float:
        """The factor of the height in cycle or step ``x``."""
        if self._scale_fn_custom is not None:
            return self._scale_fn_custom(x)
        return {"triangular": 1.0, "triangular2": 0.5 ** (x - 1), "exp_range": self.gamma**x}[self.mode]

    def get_lr(self) -> list[float]:
        cycle = math.floor(1 + self.last_epoch / self.total_size)
        place = 1.0 + self.last_epoch / self.total_size - cycle
        height = place / self.step_ratio if place <= self.step_ratio else (place - 1) / (self.step_ratio - 1)
        height *= self.scale_fn(cycle if self.scale_mode == "cycle" else self.last_epoch)
        if self.cycle_momentum:
            ends = zip(self.optimizer.param_groups, self.base_momentums, self.max_momentums, strict=True)
            for group, low, high in ends:
                group.set_momentum(high - (high - low) * height)
        return [low + (high - low) * height for low, high in zip(self.base_lrs, self.max_lrs, strict=True)]

    def state_dict(self) -> dict[str, Any]:
        state = {
            key: copy.deepcopy(value)
            for key, value in vars(self).items()
            if key not in ("optimizer", "_scale_fn_custom")
        }
        return state | {"_scale_fn_custom": attributes_of(self._scale_fn_custom)}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        function = self._scale_fn_custom
        super().load_state_dict(state_dict)
        restore_attributes(function, state_dict["_scale_fn_custom"])
        self._scale_fn_custom = function
