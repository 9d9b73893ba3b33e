"""Optimizers with PyTorch's words on MLX's update rules, and ``lucid.optim.lr_scheduler``."""

from lucid.optim.adam import Adam, AdamW
from lucid.optim.optimizer import Optimizer
from lucid.optim.sgd import SGD
