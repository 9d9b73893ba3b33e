"""Averages of a model's weights, and the learning rate schedule for stochastic weight averaging.

Source: Izmailov et al. 2018, arXiv:1803.05407. ``lucid.optim.EMA`` is shorter for exponential moving averages.
"""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable, Iterable
from typing import Any

from lucid import _checks, _deferred, _grad_mode
from lucid._creation import tensor
from lucid._tensor import Tensor
from lucid.nn.batch_normalization import _BatchNorm
from lucid.nn.module import Module
from lucid.optim.lr_scheduler.base import LRScheduler, numbers_per_group
from lucid.optim.optimizer import Optimizer

__all__ = [
    "AveragedModel", "SWALR", "get_ema_avg_fn", "get_ema_multi_avg_fn", "get_swa_avg_fn", "get_swa_multi_avg_fn",
    "update_bn",
]  # fmt: skip

Average = Callable[[Tensor, Tensor, Any], Tensor]
MultiAverage = Callable[[list[Tensor], list[Tensor], Any], None]


def get_ema_avg_fn(decay: float = 0.999) -> Average:
    """A function for ``AveragedModel`` that computes ``decay * average + (1 - decay) * parameter``.

    Raises:
        ValueError: ``decay`` is outside [0, 1].
    """
    decay = _checks.probability("get_ema_avg_fn", "decay", decay)
    return lambda average, parameter, num_averaged: decay * average + (1 - decay) * parameter


def get_swa_avg_fn() -> Average:
    """A function for ``AveragedModel`` that computes the mean of all models so far."""
    return lambda average, parameter, num_averaged: average + (parameter - average) / (num_averaged + 1)


def get_ema_multi_avg_fn(decay: float = 0.999) -> MultiAverage:
    """``get_ema_avg_fn`` for lists of tensors, which are updated in place.

    Raises:
        ValueError: ``decay`` is outside [0, 1].
    """
    return _in_place(get_ema_avg_fn(_checks.probability("get_ema_multi_avg_fn", "decay", decay)))


def get_swa_multi_avg_fn() -> MultiAverage:
    """``get_swa_avg_fn`` for lists of tensors, which are updated in place."""
    return _in_place(get_swa_avg_fn())


def _in_place(average_of: Average) -> MultiAverage:
    def update(averages: list[Tensor], parameters: list[Tensor], num_averaged: Any) -> None:
        with _grad_mode.set_recording(False):
            for average, parameter in zip(averages, parameters, strict=True):
                average.copy_(average_of(average, parameter, num_averaged))

    return update


class AveragedModel(Module):
    """A copy of a model whose parameters are an average over the training of the model.

    The first ``update_parameters`` copies the model; each later one averages. ``state_dict()`` holds the copy under
    "module." and the number of averaged models, but not the functions.

    Args:
        model: The model that is trained.
        device: Accepted for compatibility with PyTorch: memory is unified.
        avg_fn: ``avg_fn(average, parameter, num_averaged)`` gives the new average; None: the mean.
        multi_avg_fn: The same for lists of tensors, updating the averages in place.
        use_buffers: Average buffers too, instead of copying them.

    Raises:
        TypeError: ``model`` is no module.
        ValueError: both functions are given.

    Example:
        >>> from lucid.optim.swa_utils import AveragedModel, get_ema_avg_fn
        >>> model = nn.Linear(4, 1)
        >>> averaged = AveragedModel(model, avg_fn=get_ema_avg_fn(0.9))
        >>> averaged.update_parameters(model)  # after each step of the optimizer
        >>> averaged(lucid.ones(2, 4)).shape
        (2, 1)
    """

    n_averaged: Tensor

    def __init__(
        self,
        model: Module,
        device: Any = None,
        avg_fn: Average | None = None,
        multi_avg_fn: MultiAverage | None = None,
        use_buffers: bool = False,
    ) -> None:
        super().__init__()
        if not isinstance(model, Module):
            raise TypeError(f"AveragedModel: model must be a module, got {type(model).__name__}")
        if avg_fn is not None and multi_avg_fn is not None:
            raise ValueError("AveragedModel: give avg_fn or multi_avg_fn, not both")
        self.module = copy.deepcopy(model).to(device) if device is not None else copy.deepcopy(model)
        self.register_buffer("n_averaged", tensor(0))
        self.avg_fn, self.multi_avg_fn = avg_fn, multi_avg_fn
        self.use_buffers = use_buffers

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.module(*args, **kwargs)

    def update_parameters(self, model: Module) -> None:
        """Take the current parameters of ``model`` into the average."""
        averages, values = (self._averaged(one) for one in (self.module, model))
        average_of = self.avg_fn or get_swa_avg_fn()
        with _grad_mode.set_recording(False):
            if int(self.n_averaged.item()) == 0:
                average_all: MultiAverage = _in_place(lambda average, value, count: value)
            else:
                average_all = self.multi_avg_fn or _in_place(average_of)
            if averages:
                average_all(averages, values, self.n_averaged)
            if not self.use_buffers:
                for own, buffer in zip(self.module.buffers(), model.buffers(), strict=True):
                    own.copy_(buffer)
            self.n_averaged += 1
        _deferred.evaluate([one._array for one in (*self.module.parameters(), *self.buffers())])

    def _averaged(self, model: Module) -> list[Tensor]:
        buffers = model.buffers() if self.use_buffers else ()
        return [one.detach() for one in itertools.chain(model.parameters(), buffers)]


def update_bn(loader: Iterable[Any], model: Module, device: Any = None) -> None:
    """Compute the running statistics of all batch norms anew, as means over the batches of ``loader``.

    Args:
        loader: Batches, each the input of ``model`` or a list or tuple that starts with it.
        model: A model, often an ``AveragedModel``, whose own statistics belong to other weights.
        device: Accepted for compatibility with PyTorch: memory is unified.
    """
    norms = [one for one in model.modules() if isinstance(one, _BatchNorm)]
    if not norms:
        return
    momenta, was_training = [one.momentum for one in norms], model.training
    model.train()
    try:
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None
        with _grad_mode.set_recording(False):
            for batch in loader:
                images = batch[0] if isinstance(batch, list | tuple) else batch
                model(images if device is None else images.to(device))
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        model.train(was_training)


class SWALR(LRScheduler):
    """Anneals the learning rate to a constant, at which weights are averaged.

    It goes on from the current learning rate, so that it can follow another schedule.

    Args:
        optimizer: The optimizer whose groups are scheduled.
        swa_lr: The constant learning rate, or a list with one per group. It becomes the option "swa_lr" of the group.
        anneal_epochs: Number of calls of ``step`` until it is reached; 0 sets it at once.
        anneal_strategy: "cos" or "linear".
        last_epoch: As in other schedules, but without effect on the annealing, which counts the calls of ``step``.

    Raises:
        ValueError: an option is out of range, or there are not as many rates as groups.

    Example:
        >>> from lucid.optim.swa_utils import SWALR
        >>> optimizer = optim.SGD(nn.Linear(4, 1).parameters(), lr=0.1)
        >>> scheduler = SWALR(optimizer, swa_lr=0.05, anneal_epochs=1)
        >>> optimizer.step()
        >>> scheduler.step()
        >>> scheduler.get_last_lr()
        [0.05]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        swa_lr: float | list[float],
        anneal_epochs: int = 10,
        anneal_strategy: str = "cos",
        last_epoch: int = -1,
    ) -> None:
        for rate, group in zip(
            numbers_per_group(self._name, "swa_lr", optimizer, swa_lr), optimizer.param_groups, strict=True
        ):
            group["swa_lr"] = rate
        self._anneal_strategy = _checks.one_of(self._name, "anneal_strategy", anneal_strategy, ("cos", "linear"))
        self.anneal_epochs = _checks.integer(self._name, "anneal_epochs", anneal_epochs, 0)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        step = self._step_count - 1
        if self.anneal_epochs == 0:
            step = max(1, step)
        before, now = self._part(step - 1), self._part(step)
        rates = []
        for group, lr in zip(self.optimizer.param_groups, self._current_lrs(), strict=True):
            goal = group["swa_lr"]
            start = goal if before == 1 else (lr - before * goal) / (1 - before)
            rates.append(goal * now + start * (1 - now))
        return rates

    def _part(self, step: int) -> float:
        """The part of the way to ``swa_lr`` at ``step``."""
        part = max(0.0, min(1.0, step / max(1, self.anneal_epochs)))
        return part if self._anneal_strategy == "linear" else (1 - math.cos(math.pi * part)) / 2
