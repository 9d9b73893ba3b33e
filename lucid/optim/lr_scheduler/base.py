"""The base class of schedulers: ``step()`` sets the learning rates of the next epoch.

The constructor sets the learning rates of epoch 0. ``get_lr()`` returns those of ``last_epoch``, usually derived from
the current ones, so that several schedulers can act on the same optimizer.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Mapping
from types import FunctionType
from typing import Any

from lucid import _checks
from lucid._tensor import Tensor
from lucid.optim.optimizer import Optimizer

# In the states of PyTorch's schedulers: what Lucid does not keep, and what they rebuild instead of saving.
_PYTORCHS = frozenset(
    ("_get_lr_called_within_step", "_is_initial", "verbose", "mode_worse", "default_min_lr", "_anneal_func_type",
     "_schedule_phases", "use_beta1")
)  # fmt: skip
_UNSAVED = frozenset(("_last_lr", "_step_count", "anneal_strategy", "pct_start", "three_phase"))


class LRScheduler:
    """Base class: a subclass sets its attributes, calls ``super().__init__`` last, and defines ``get_lr()``.

    If ``last_epoch`` is not -1, the schedule resumes from there, and all groups must have an "initial_lr".

    Args:
        optimizer: The optimizer whose groups are scheduled.
        last_epoch: The epoch to resume from; -1 starts anew.

    Raises:
        TypeError: ``optimizer`` is not a ``lucid.optim.Optimizer``.

    Example:
        >>> class HalveEveryEpoch(optim.lr_scheduler.LRScheduler):
        ...     def get_lr(self):
        ...         return [lr * 0.5**self.last_epoch for lr in self.base_lrs]
        ...
        >>> optimizer = optim.SGD(nn.Linear(4, 1).parameters(), lr=0.1)
        >>> scheduler = HalveEveryEpoch(optimizer)
        >>> optimizer.step()
        >>> scheduler.step()
        >>> scheduler.get_last_lr()
        [0.05]
    """

    optimizer: Optimizer
    base_lrs: list[float]
    last_epoch: int
    _is_initial = False  # True while the constructor sets the first learning rates

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        self.optimizer = check_optimizer(self._name, optimizer)
        self.last_epoch = _checks.integer(self._name, "last_epoch", last_epoch, -1)
        for number, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", current_lr(group))
            elif "initial_lr" not in group:
                raise ValueError(
                    f"{self._name}: last_epoch {last_epoch} resumes a schedule, but group {number} has no "
                    "'initial_lr'; load the optimizer's state first"
                )
        self.base_lrs = [float(group["initial_lr"]) for group in optimizer.param_groups]
        self._start()

    @property
    def _name(self) -> str:
        return type(self).__name__

    def get_lr(self) -> list[float]:
        """The learning rates of ``last_epoch``, one per group. Called by ``step()``; users call ``get_last_lr()``."""
        raise NotImplementedError(f"{self._name}: define get_lr()")

    def get_last_lr(self) -> list[float]:
        """The most recently set learning rates, one per group."""
        return list(self._last_lr)

    def step(self, epoch: int | None = None) -> None:
        """Advance to the next epoch and set its learning rates. Call it after ``optimizer.step()``.

        ``step(epoch)``, which goes to any epoch, is deprecated as in PyTorch.
        """
        self._count_step()
        if epoch is None:
            self.last_epoch += 1
            self._set_lrs(self.get_lr())
            return
        self._go_to(epoch)
        self._set_lrs(self._lr_of_epoch())

    def _go_to(self, epoch: int) -> None:
        """Set the number of the epoch, as the deprecated argument of ``step`` does."""
        where = f"{self._name}.step"
        message = f"{where}: epoch is deprecated; call step() without it"
        warnings.warn(message, UserWarning, stacklevel=_checks.level_of_user())
        self.last_epoch = _checks.integer(where, "epoch", epoch)

    # For the schedulers of this package -----------------------------------------------------------------------------

    def _lr_of_epoch(self) -> list[float]:
        """``get_lr()`` without the learning rates of the epoch before, for schedules that derive theirs from those."""
        return self.get_lr()

    def _current_lrs(self) -> list[float]:
        """The current learning rates."""
        return [current_lr(group) for group in self.optimizer.param_groups]

    def _set_lrs(self, lrs: list[float]) -> None:
        for group, lr in zip(self.optimizer.param_groups, lrs, strict=True):
            group.set_lr(lr)
        self._last_lr = self._current_lrs()

    def _count_step(self) -> None:
        self._check_groups(len(self.base_lrs))
        if self._step_count == 1 and not self.optimizer._step_calls:
            warnings.warn(
                f"{self._name}.step() was called before optimizer.step(): the first learning rate is skipped",
                UserWarning,
                stacklevel=3,
            )
        self._step_count += 1

    def _check_groups(self, initial_count: int) -> None:
        count = len(self.optimizer.param_groups)
        if count != initial_count:
            raise ValueError(
                f"{self._name}: the schedule started with {initial_count} groups, but the optimizer now has {count}; "
                "create the scheduler after adding groups"
            )

    def _start(self) -> None:
        self._step_count = 0
        self._is_initial = True
        try:
            self.step()
        finally:
            del self._is_initial

    def _begin(self) -> None:
        """Restart at epoch 0 from the current learning rates."""
        self.last_epoch = -1
        self._start()

    def _restart(self) -> None:
        """Restart at epoch 0 from the initial learning rates."""
        self._set_lrs(self.base_lrs)
        self._begin()

    # State ----------------------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """The state of the schedule as JSON-serializable numbers, strings and lists."""
        return {key: copy.deepcopy(value) for key, value in vars(self).items() if key != "optimizer"}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Load a ``state_dict()`` of Lucid or PyTorch. The learning rates are part of the optimizer's state.

        Raises:
            ValueError: the state is from a different scheduler class, or has a different number of groups.
        """
        own = set(self.state_dict())
        state_dict = self._of_pytorch(state_dict) if _PYTORCHS & set(state_dict) else state_dict
        if set(state_dict) != own:
            raise ValueError(
                f"{self._name}.load_state_dict: the state must have {', '.join(sorted(own))}; "
                f"got {', '.join(sorted(map(str, state_dict)))}"
            )
        count = len(self.optimizer.param_groups)
        if "base_lrs" in own and len(state_dict["base_lrs"]) != count:
            raise ValueError(
                f"{self._name}.load_state_dict: the state has {len(state_dict['base_lrs'])} groups, "
                f"the optimizer has {count}"
            )
        vars(self).update(copy.deepcopy(dict(state_dict)))

    def _of_pytorch(self, state_dict: Mapping[str, Any]) -> dict[str, Any]:
        """A state of PyTorch without what only PyTorch keeps, and with what it does not save."""
        own = self.state_dict()
        unsaved = {name: own[name] for name in _UNSAVED & set(own) if name not in state_dict}
        return {name: value for name, value in state_dict.items() if name in own or name not in _PYTORCHS} | unsaved

    def __repr__(self) -> str:
        hidden = ("base_lrs", "last_epoch")
        settings = {name: value for name, value in vars(self).items() if name[0] != "_" and name not in hidden}
        shown = [f"{name}={value!r}" for name, value in settings.items() if isinstance(value, int | float | str | list)]
        rates = ", ".join(f"{rate:g}" for rate in self._last_lr)
        return f"{self._name}({', '.join([*self._parts(), *shown, f'last_epoch={self.last_epoch}'])}, lr=[{rates}])"

    def _parts(self) -> list[str]:
        """What else the repr shows first."""
        return []


def attributes_of(function: Any) -> dict[str, Any] | None:
    """A copy of the attributes of a callable object for a state; None for functions, as in PyTorch."""
    return None if isinstance(function, FunctionType) else copy.deepcopy(getattr(function, "__dict__", None) or None)


def restore_attributes(function: Any, attributes: Mapping[str, Any] | None) -> None:
    """Give a callable object the attributes that ``attributes_of`` saved."""
    if attributes:
        vars(function).update(copy.deepcopy(dict(attributes)))


class LambdaLR(LRScheduler):
    """Initial learning rate times a function of the epoch; one function for all groups, or a list with one per group.

    ``state_dict()`` does not hold functions; for callable objects it holds the attributes.

    Args:
        optimizer: The optimizer whose groups are scheduled.
        lr_lambda: A function of the epoch, or a list with one per group.
        last_epoch: The epoch to resume from; -1 starts anew.

    Example:
        >>> optimizer = optim.SGD(nn.Linear(4, 1).parameters(), lr=0.1)
        >>> scheduler = optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: 1 / (1 + epoch))
        >>> optimizer.step()
        >>> scheduler.step()
        >>> scheduler.get_last_lr()
        [0.05]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        lr_lambda: Callable[[int], float] | list[Callable[[int], float]],
        last_epoch: int = -1,
    ) -> None:
        self.lr_lambdas = per_group(self._name, "lr_lambda", optimizer, lr_lambda)
        for one in self.lr_lambdas:
            if not callable(one):
                raise TypeError(f"{self._name}: lr_lambda must be a function of the epoch, got {one!r}")
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        return [base * one(self.last_epoch) for base, one in zip(self.base_lrs, self.lr_lambdas, strict=True)]

    def state_dict(self) -> dict[str, Any]:
        state = {
            key: copy.deepcopy(value) for key, value in vars(self).items() if key not in ("optimizer", "lr_lambdas")
        }
        state["lr_lambdas"] = list(map(attributes_of, self.lr_lambdas))
        return state

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        functions = self.lr_lambdas
        super().load_state_dict(state_dict)
        for function, attributes in zip(functions, state_dict["lr_lambdas"], strict=True):
            restore_attributes(function, attributes)
        self.lr_lambdas = functions


class MultiplicativeLR(LambdaLR):
    """Multiplies the learning rate by a function of the epoch, one for all groups or a list with one per group.

    ``state_dict()`` does not hold functions; for callable objects it holds the attributes.

    Args:
        optimizer: The optimizer whose groups are scheduled.
        lr_lambda: A function of the epoch, or a list with one per group.
        last_epoch: The epoch to resume from; -1 starts anew.

    Example:
        >>> optimizer = optim.SGD(nn.Linear(4, 1).parameters(), lr=0.1)
        >>> scheduler = optim.lr_scheduler.MultiplicativeLR(optimizer, lambda epoch: 0.5)
        >>> optimizer.step()
        >>> scheduler.step()
        >>> scheduler.get_last_lr()
        [0.05]
    """

    def get_lr(self) -> list[float]:
        rates = self._current_lrs()
        if self._is_initial:
            return rates
        return [lr * one(self.last_epoch) for lr, one in zip(rates, self.lr_lambdas, strict=True)]


def check_optimizer(caller: str, optimizer: Any) -> Optimizer:
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"{caller}: optimizer must be a lucid.optim.Optimizer, got {type(optimizer).__name__}")
    return optimizer


def check_momentum(caller: str, optimizer: Any) -> None:
    """Raise ValueError if a schedule of the momentum has nothing to change."""
    if not {"momentum", "betas"} & set(check_optimizer(caller, optimizer).defaults):
        raise ValueError(
            f"{caller}: {type(optimizer).__name__} has no momentum and no betas; pass cycle_momentum=False"
        )


def current_lr(group: Mapping[str, Any]) -> float:
    """The current learning rate of a group as a number."""
    rate = group["lr"]
    return float(rate.item()) if isinstance(rate, Tensor) else rate


def per_group(caller: str, name: str, optimizer: Any, value: Any) -> list[Any]:
    """One value per group, from a list with one per group or a single value for all."""
    count = len(check_optimizer(caller, optimizer).param_groups)
    if not isinstance(value, list | tuple):
        return [value] * count
    if len(value) != count:
        raise ValueError(
            f"{caller}: {name} must be one value or a list of {count} values, one per group, got {len(value)}"
        )
    return list(value)


def numbers_per_group(caller: str, name: str, optimizer: Any, value: Any, minimum: float | None = None) -> list[float]:
    return [_checks.number(caller, name, one, minimum) for one in per_group(caller, name, optimizer, value)]
