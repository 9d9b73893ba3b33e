"""Schedulers composed of schedulers: in sequence or all at once."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any

from lucid import _checks
from lucid.optim.lr_scheduler.base import LRScheduler, check_optimizer
from lucid.optim.lr_scheduler.plateau import ReduceLROnPlateau
from lucid.optim.optimizer import Optimizer


class _ComposedScheduler(LRScheduler):
    _schedulers: list[LRScheduler]

    def _adopt(self, optimizer: Optimizer | None, schedulers: Sequence[LRScheduler]) -> None:
        self._schedulers = list(schedulers)
        if not self._schedulers:
            raise ValueError(f"{self._name}: schedulers is empty")
        for number, one in enumerate(self._schedulers):
            if not isinstance(one, LRScheduler):
                raise TypeError(f"{self._name}: scheduler {number} must be a scheduler, got {type(one).__name__}")
            if isinstance(one, ReduceLROnPlateau):
                raise ValueError(
                    f"{self._name}: scheduler {number} is ReduceLROnPlateau, which needs a metric at each step"
                )
        self.optimizer = check_optimizer(self._name, optimizer or self._schedulers[0].optimizer)
        for number, one in enumerate(self._schedulers):
            if one.optimizer is not self.optimizer:
                raise ValueError(f"{self._name}: scheduler {number} belongs to another optimizer")
        self.base_lrs = list(self._schedulers[0].base_lrs)

    def _parts(self) -> list[str]:
        milestones = getattr(self, "_milestones", None)
        names = f"[{', '.join(one._name for one in self._schedulers)}]"
        return [names] if milestones is None else [names, f"milestones={milestones}"]

    def state_dict(self) -> dict[str, Any]:
        state = {key: list(v) if isinstance(v, list) else v for key, v in vars(self).items() if key != "optimizer"}
        state["_schedulers"] = [one.state_dict() for one in self._schedulers]
        return state

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        states, own = state_dict.get("_schedulers", ()), self._schedulers
        if len(states) != len(own):
            raise ValueError(
                f"{self._name}.load_state_dict: the state has {len(states)} schedulers, this has {len(own)}"
            )
        super().load_state_dict(state_dict)
        self._schedulers = own
        for one, state in zip(own, states, strict=True):
            one.load_state_dict(state)


class SequentialLR(_ComposedScheduler):
    """Runs schedulers in sequence: at each milestone the next one starts at its epoch 0.

    ``last_epoch`` exists for PyTorch's argument order and must be -1; resume with ``load_state_dict``.

    Args:
        optimizer: The optimizer whose groups are scheduled.
        schedulers: Schedulers of one optimizer.
        milestones: Epochs at which the next scheduler takes over, one fewer than schedulers.
        last_epoch: Must be -1; resume with ``load_state_dict``.

    Example:
        >>> from lucid.optim.lr_scheduler import CosineAnnealingLR, LinearLR, SequentialLR
        >>> optimizer = optim.SGD(nn.Linear(4, 1).parameters(), lr=0.1)
        >>> warmup = LinearLR(optimizer, start_factor=0.1, total_iters=5)
        >>> cosine = CosineAnnealingLR(optimizer, T_max=95)
        >>> scheduler = SequentialLR(optimizer, [warmup, cosine], milestones=[5])
        >>> round(scheduler.get_last_lr()[0], 4)
        0.01
    """

    def __init__(
        self, optimizer: Optimizer, schedulers: Sequence[LRScheduler], milestones: Sequence[int], last_epoch: int = -1
    ) -> None:
        self._adopt(check_optimizer(self._name, optimizer), schedulers)
        self._milestones = [_checks.integer(self._name, "milestones", one, 0) for one in milestones]
        if len(self._milestones) != len(self._schedulers) - 1:
            raise ValueError(
                f"{self._name}: there must be one milestone fewer than schedulers, "
                f"got {len(self._milestones)} and {len(self._schedulers)}"
            )
        if sorted(set(self._milestones)) != self._milestones:
            raise ValueError(f"{self._name}: milestones must increase, got {self._milestones}")
        if last_epoch != -1:
            raise ValueError(f"{self._name}: last_epoch must be -1, got {last_epoch}; resume with load_state_dict()")
        # All schedulers have already set learning rates when created; restart with the first one only.
        self._set_lrs([float(group["initial_lr"]) for group in optimizer.param_groups])
        self._begin()

    def step(self) -> None:  # type: ignore[override]
        self.last_epoch += 1
        index = bisect_right(self._milestones, self.last_epoch)
        scheduler = self._schedulers[index]
        if index and self._milestones[index - 1] == self.last_epoch:
            scheduler._restart()
        else:
            scheduler.step()
        self._last_lr = scheduler.get_last_lr()

    def _begin(self) -> None:
        self.last_epoch = 0
        first = self._schedulers[bisect_right(self._milestones, 0)]
        first._begin()
        self._last_lr = first.get_last_lr()


class ChainedScheduler(_ComposedScheduler):
    """Runs all schedulers at every step; each modifies the learning rates set by the previous ones.

    Args:
        schedulers: Schedulers of one optimizer.
        optimizer: The optimizer of the schedulers; taken from them by default.

    Example:
        >>> from lucid.optim.lr_scheduler import ChainedScheduler, ConstantLR, ExponentialLR
        >>> optimizer = optim.SGD(nn.Linear(4, 1).parameters(), lr=0.1)
        >>> schedulers = [ConstantLR(optimizer, factor=0.5, total_iters=4), ExponentialLR(optimizer, gamma=0.9)]
        >>> scheduler = ChainedScheduler(schedulers)
        >>> optimizer.step()
        >>> scheduler.step()
        >>> round(scheduler.get_last_lr()[0], 4)
        0.045
    """

    def __init__(self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None = None) -> None:
        self._adopt(optimizer, schedulers)
        self.last_epoch = 0
        self._last_lr = self._current_lrs()

    def step(self) -> None:  # type: ignore[override]
        self.last_epoch += 1
        for one in self._schedulers:
            one.step()
        self._last_lr = self._current_lrs()

    def _begin(self) -> None:
        self.last_epoch = 0
        for one in self._schedulers:
            one._begin()
        self._last_lr = self._current_lrs()
