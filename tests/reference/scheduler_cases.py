"""The learning rate schedules that PyTorch records and Lucid repeats."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("optim_schedules.npz")
STEPS = 60


@dataclass(frozen=True)
class SchedulerCase:
    """``make(lib.optim.lr_scheduler, optimizer)`` gives the scheduler. ``metric``: it wants one at each step."""

    name: str
    make: Callable[[Any, Any], Any]
    optimizer: str = "SGD"
    metric: Callable[[int], float] | None = None
    steps: int = STEPS

    def start(self, lib: Any) -> tuple[Any, Any]:
        """An optimizer with two groups, and the scheduler on it."""
        one, two = (lib.zeros(2).requires_grad_() for _ in range(2))
        groups = [{"params": [one]}, {"params": [two], "lr": 0.02}]
        options = {"SGD": {"momentum": 0.5}, "Adagrad": {}}.get(self.optimizer, {})
        optimizer = getattr(lib.optim, self.optimizer)(groups, lr=0.1, **options)
        return optimizer, self.make(lib.optim.lr_scheduler, optimizer)

    def row(self, optimizer: Any, scheduler: Any) -> list[float]:
        """The learning rates by two ways, and the momenta."""
        groups = optimizer.param_groups
        momenta = [g["betas"][0] if "betas" in g else g.get("momentum", 0.0) for g in groups]
        return [float(g["lr"]) for g in groups] + list(map(float, scheduler.get_last_lr())) + momenta

    def advance(self, optimizer: Any, scheduler: Any, step: int) -> None:
        optimizer.step()
        if self.metric is None:
            scheduler.step()
        else:
            scheduler.step(self.metric(step))


def _warm_up(s: Any, o: Any) -> Any:
    return s.SequentialLR(o, [s.LinearLR(o, 0.01, total_iters=7), s.CosineAnnealingLR(o, 50, 1e-4)], milestones=[7])


def _many(s: Any, o: Any) -> Any:
    parts = [
        s.ConstantLR(o, 0.2, 3),
        s.ExponentialLR(o, 0.8),
        s.StepLR(o, 3, 0.5),
        s.LambdaLR(o, lambda epoch: 1 / (1 + epoch)),
        s.MultiStepLR(o, [0, 2, 2, 9], 0.7),
    ]
    return s.SequentialLR(o, parts, [5, 11, 22, 30])


def _plateau(**options: Any) -> Callable[[Any, Any], Any]:
    return lambda s, o: s.ReduceLROnPlateau(o, **options)


def _falling(step: int) -> float:
    return 1 / (1 + min(step, 12)) + 0.01 * math.sin(step)


def _rising(step: int) -> float:
    return min(step, 20) + math.cos(step)


CASES = [
    SchedulerCase("LambdaLR", lambda s, o: s.LambdaLR(o, lambda epoch: 0.95**epoch)),
    SchedulerCase("LambdaLR, two", lambda s, o: s.LambdaLR(o, [lambda e: 1 / (e + 1), lambda e: math.sin(e) + 2])),
    SchedulerCase("MultiplicativeLR", lambda s, o: s.MultiplicativeLR(o, [lambda e: 0.9, lambda e: 1 - 0.5 / (e + 1)])),
    SchedulerCase("CyclicLR", lambda s, o: s.CyclicLR(o, 0.01, [0.2, 0.1], 4, 3, base_momentum=[0.7, 0.6])),
    SchedulerCase("CyclicLR, halved", lambda s, o: s.CyclicLR(o, 0.01, 0.2, 5, mode="triangular2")),
    SchedulerCase("CyclicLR, exponential", lambda s, o: s.CyclicLR(o, 0.01, 0.2, 5, mode="exp_range", gamma=0.95)),
    SchedulerCase(
        "CyclicLR, own scale",
        lambda s, o: s.CyclicLR(
            o, 0.01, 0.2, 5, scale_fn=lambda x: 1 / (x + 1), scale_mode="iterations", cycle_momentum=False
        ),
    ),
    SchedulerCase("StepLR", lambda s, o: s.StepLR(o, 7)),
    SchedulerCase("StepLR, gamma", lambda s, o: s.StepLR(o, step_size=1, gamma=0.9)),
    SchedulerCase("MultiStepLR", lambda s, o: s.MultiStepLR(o, [30, 5, 5, 41], gamma=0.3)),
    SchedulerCase("ConstantLR", lambda s, o: s.ConstantLR(o)),
    SchedulerCase("ConstantLR, options", lambda s, o: s.ConstantLR(o, factor=0.7, total_iters=13)),
    SchedulerCase("LinearLR", lambda s, o: s.LinearLR(o)),
    SchedulerCase("LinearLR, options", lambda s, o: s.LinearLR(o, start_factor=0.9, end_factor=0.1, total_iters=37)),
    SchedulerCase("ExponentialLR", lambda s, o: s.ExponentialLR(o, 0.97)),
    SchedulerCase("PolynomialLR", lambda s, o: s.PolynomialLR(o)),
    SchedulerCase("PolynomialLR, options", lambda s, o: s.PolynomialLR(o, total_iters=50, power=2.5)),
    SchedulerCase("CosineAnnealingLR", lambda s, o: s.CosineAnnealingLR(o, T_max=60)),
    SchedulerCase("CosineAnnealingLR, up again", lambda s, o: s.CosineAnnealingLR(o, 9, eta_min=0.003)),
    SchedulerCase("CosineAnnealingLR, short", lambda s, o: s.CosineAnnealingLR(o, 1, eta_min=0.01)),
    SchedulerCase("CosineAnnealingWarmRestarts", lambda s, o: s.CosineAnnealingWarmRestarts(o, 11)),
    SchedulerCase(
        "CosineAnnealingWarmRestarts, options",
        lambda s, o: s.CosineAnnealingWarmRestarts(o, T_0=5, T_mult=3, eta_min=1e-3),
    ),
    SchedulerCase("OneCycleLR", lambda s, o: s.OneCycleLR(o, max_lr=0.5, total_steps=61)),
    SchedulerCase("OneCycleLR, Adam", lambda s, o: s.OneCycleLR(o, [0.5, 0.1], epochs=7, steps_per_epoch=9), "AdamW"),
    SchedulerCase(
        "OneCycleLR, three phases",
        lambda s, o: s.OneCycleLR(
            o, 0.5, 70, three_phase=True, anneal_strategy="linear", pct_start=0.4, div_factor=10, final_div_factor=3
        ),
        "Lion",
    ),
    SchedulerCase("OneCycleLR, no momentum", lambda s, o: s.OneCycleLR(o, 1.0, 61, cycle_momentum=False), "Adagrad"),
    SchedulerCase(
        "OneCycleLR, momenta",
        lambda s, o: s.OneCycleLR(o, 1.0, 61, pct_start=0.0, base_momentum=[0.3, 0.4], max_momentum=0.9),
        "RMSprop",
    ),
    SchedulerCase("SequentialLR, warm-up", _warm_up),
    SchedulerCase("SequentialLR, many", _many),
    SchedulerCase(
        "SequentialLR, one",
        lambda s, o: s.SequentialLR(o, [s.CosineAnnealingWarmRestarts(o, 4, 2)], []),
    ),
    SchedulerCase(
        "SequentialLR, restarts",
        lambda s, o: s.SequentialLR(
            o, [s.PolynomialLR(o, 12), s.CosineAnnealingWarmRestarts(o, 6, 2), s.OneCycleLR(o, 0.3, 30)], [9, 31]
        ),
    ),
    SchedulerCase(
        "ChainedScheduler",
        lambda s, o: s.ChainedScheduler([s.ConstantLR(o, 0.1, 4), s.ExponentialLR(o, 0.9), s.MultiStepLR(o, [20, 33])]),
    ),
    SchedulerCase(
        "ChainedScheduler, warm-up",
        lambda s, o: s.ChainedScheduler([s.LinearLR(o, 0.1, total_iters=10), s.StepLR(o, 8, 0.6)], optimizer=o),
    ),
    SchedulerCase("ReduceLROnPlateau", _plateau(), metric=_falling),
    SchedulerCase("ReduceLROnPlateau, max", _plateau(mode="max", factor=0.5, patience=2, cooldown=3), metric=_rising),
    SchedulerCase(
        "ReduceLROnPlateau, abs",
        _plateau(factor=0.3, patience=0, threshold=0.05, threshold_mode="abs", min_lr=[0.02, 1e-3], cooldown=1),
        metric=_falling,
    ),
    SchedulerCase(
        "ReduceLROnPlateau, max abs",
        _plateau(mode="max", patience=1, threshold=1.0, threshold_mode="abs", min_lr=1e-6, eps=1e-4),
        metric=_rising,
    ),
]
