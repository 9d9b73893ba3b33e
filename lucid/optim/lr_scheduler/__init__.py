"""Learning rate schedulers with PyTorch's API.

For a warm-up followed by another schedule, chain ``LinearLR`` and the other with ``SequentialLR``.
"""

from lucid.optim.lr_scheduler.base import LambdaLR, LRScheduler, MultiplicativeLR
from lucid.optim.lr_scheduler.composed import ChainedScheduler, SequentialLR
from lucid.optim.lr_scheduler.cosine import CosineAnnealingLR, CosineAnnealingWarmRestarts
from lucid.optim.lr_scheduler.cyclic import CyclicLR
from lucid.optim.lr_scheduler.one_cycle import OneCycleLR
from lucid.optim.lr_scheduler.plateau import ReduceLROnPlateau
from lucid.optim.lr_scheduler.stepwise import ConstantLR, ExponentialLR, LinearLR, MultiStepLR, PolynomialLR, StepLR

__all__ = [
    "ChainedScheduler", "ConstantLR", "CosineAnnealingLR", "CosineAnnealingWarmRestarts", "CyclicLR", "ExponentialLR",
    "LRScheduler", "LambdaLR", "LinearLR", "MultiStepLR", "MultiplicativeLR", "OneCycleLR", "PolynomialLR",
    "ReduceLROnPlateau", "SequentialLR", "StepLR",
]  # fmt: skip
