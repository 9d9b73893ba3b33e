"""The learning rate finder: train with a rate that grows, and see where the loss falls and where it explodes."""

import contextlib
import io
import math
import os
import tempfile
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import numpy as np

import lucid
from lucid import _checks, checkpoint
from lucid import distributed as dist
from lucid._files import write_atomically
from lucid.training.batches import as_tensor
from lucid.training.progress import Clock, ProgressBar, require
from lucid.training.recipe import SettingError
from lucid.training.trainer import DivergedError, Trainer

_SMOOTHING = 0.9  # decay of the average of the loss
_DIVERGED = 4.0  # times the lowest loss


@dataclass(frozen=True)
class LRCurve:
    """The loss after steps with growing learning rates.

    Attributes:
        lrs: (steps,) learning rates.
        losses: (steps,) the loss of each step.
        smoothed: (steps,) their running average.

    Example:
        >>> lrs, losses = np.array([0.0001, 0.01, 1.0]), np.array([2.0, 1.0, 3.0])
        >>> curve = training.LRCurve(lrs, losses, smoothed=losses)
        >>> round(curve.suggestion, 4)
        0.001
    """

    lrs: np.ndarray
    losses: np.ndarray
    smoothed: np.ndarray

    @property
    def suggestion(self) -> float:
        """The rate around which the loss falls fastest; NaN if it does not fall.

        A line is fitted to the losses of each quarter of the steps, up to the lowest smoothed loss; the rate is the
        middle of the steepest one. Shorter parts, or differences of the smoothed loss, follow the noise of the batches.
        """
        end = int(np.argmin(self.smoothed)) + 1
        size = min(end, max(2, len(self.lrs) // 4))
        if end < 2:
            return float("nan")
        rates, losses = (
            np.lib.stride_tricks.sliding_window_view(one[:end], size) for one in (np.log(self.lrs), self.losses)
        )
        middles = rates.mean(axis=1)
        distances = rates - middles[:, None]
        slopes = (distances * losses).sum(axis=1) / (distances**2).sum(axis=1)
        steepest = int(np.argmin(slopes))
        return float(np.exp(middles[steepest])) if slopes[steepest] < 0 else float("nan")

    def plot(self, path: str | os.PathLike[str]) -> None:
        """Write a picture of the curve and the suggestion as PNG.

        Raises:
            ImportError: matplotlib is not installed.
            OSError: It cannot be written.
        """
        figure = require("matplotlib.figure").Figure(figsize=(7, 4), layout="constrained")
        axes = figure.subplots()
        axes.plot(self.lrs, self.losses, color="#9ecae9", linewidth=1, label="loss")
        axes.plot(self.lrs, self.smoothed, color="#0072b2", label="running average")
        if math.isfinite(self.suggestion):
            axes.axvline(self.suggestion, color="#d55e00", linestyle="--", label=f"suggestion: {self.suggestion:.2g}")
        axes.set(xscale="log", xlabel="learning rate", ylabel="loss")
        # Where the loss explodes it leaves the picture; a loss that never falls is shown as a whole.
        lowest = int(np.argmin(self.smoothed))
        top = float(np.max(self.smoothed[: lowest + 1] if lowest else self.smoothed))
        low = float(np.min(self.losses))
        height = top - low or abs(low) or 1.0
        axes.set_ylim(low - 0.05 * height, top + 0.25 * height)
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False)
        image = io.BytesIO()
        figure.savefig(image, format="png", dpi=130)
        write_atomically(path, image.getvalue())


def find_lr(
    trainer: Trainer, *, low: float = 1e-6, high: float = 1.0, steps: int = 100, progress: bool = False
) -> LRCurve:
    """Train ``trainer``'s model with learning rates that grow from ``low`` to ``high``, and restore everything.

    The step is that of the run's first epoch: augmentation, loss, optimizer and clipping are the recipe's; each
    parameter group keeps its factor on the rate. It stops early where the running average of the loss is above four
    times its lowest value, or not finite. Afterwards ``trainer.fit()`` trains as if nothing had happened. Source: Smith
    2017, arXiv:1506.01186.

    Of several processes all must call it; they get the same curve.

    Args:
        trainer: A trainer that has not begun; its recipe's ``lr`` is above 0.
        low: The first learning rate.
        high: The last learning rate.
        steps: How many steps, at least 10.
        progress: Show a progress bar.

    Returns:
        The curve, whose ``suggestion`` is a good peak for a schedule with warm-up.

    Raises:
        ValueError: The trainer has begun, or a number is out of range.
        DivergedError: The loss is NaN or infinite from the start.
        ImportError: tqdm is missing, for progress.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(64, 20))
        >>> recipe = training.Recipe(batch_size=32)
        >>> trainer = training.Trainer(nn.Linear(20, 2), recipe, train=(x, (x[:, 0] > 0).astype(int)))
        >>> curve = training.find_lr(trainer, steps=20)
        >>> len(curve.lrs) <= 20
        True
    """
    _checks.number("find_lr", "low", low, 0, above=True)
    _checks.number("find_lr", "high", high, low, above=True)
    if not math.isfinite(high):
        raise ValueError(f"find_lr: high must be finite, got {high}")
    _checks.integer("find_lr", "steps", steps, 10)
    if trainer.history or trainer.clock.steps:
        raise ValueError("find_lr: the trainer has begun; pass a new one")
    if not trainer.recipe.lr:
        raise SettingError("lr must be above 0 for find_lr: each group's rate is a factor on it", "lr", "find_lr")
    # What a checkpoint holds is what training depends on.
    state = {**trainer.state(), "random": lucid.random}
    with tempfile.TemporaryDirectory() as folder:
        manager = checkpoint.Manager(folder, keep=1)
        manager.save(state, step=0)
        try:
            return _curve(trainer, np.geomspace(low, high, steps), progress)
        finally:
            manager.restore(state)


def _curve(trainer: Trainer, lrs: np.ndarray, progress: bool) -> LRCurve:
    groups = trainer.optimizer.param_groups
    factors = [base / trainer.recipe.lr for base in trainer.scheduler.base_lrs]
    average, found, clock = 0.0, [], Clock()
    trainer.model.train()
    trainer._set_image_size()
    with contextlib.ExitStack() as stack:
        batches = stack.enter_context(contextlib.closing(_batches(trainer.train_loader)))
        bar = ProgressBar("learning rates", len(lrs), clock, 1, trainer.unit) if progress else None
        stack.enter_context(bar or contextlib.nullcontext())
        for number, lr in enumerate(lrs.tolist(), 1):
            inputs, targets = next(batches)
            for group, factor in zip(groups, factors, strict=True):
                group["lr"] = lr * factor
            trainer.mean_loss.reset()
            trainer.step(as_tensor(inputs), trainer.as_targets("train", targets))
            dist.reduce_metrics(trainer.mean_loss)  # all processes see the same loss, and stop at the same step
            loss = trainer.mean_loss.compute().item()
            average = _SMOOTHING * average + (1 - _SMOOTHING) * loss
            smoothed = average / (1 - _SMOOTHING**number)
            if not math.isfinite(smoothed):
                break
            found.append((lr, loss, smoothed))
            if number > 10 and smoothed > _DIVERGED * min(row[2] for row in found):
                break
            clock.steps, clock.seen = number, clock.seen + len(targets) * dist.get_world_size()
            if bar is not None:
                bar.show(clock, {"loss": smoothed})
    if not found:
        raise DivergedError(f"Loss is NaN or infinite at the lowest learning rate, {lrs[0]:g}")
    return LRCurve(*np.array(found).T)


def _batches(loader: Any) -> Generator[Any, None, None]:
    """One epoch after the other."""
    while True:
        yield from loader
