"""Optimizers with PyTorch's API on MLX's update rules, ``lr_scheduler`` and ``EMA``."""

from lucid.optim import lr_scheduler
from lucid.optim.adafactor import Adafactor
from lucid.optim.adagrad import Adagrad
from lucid.optim.adam import Adam, AdamW
from lucid.optim.ema import EMA
from lucid.optim.lion import Lion
from lucid.optim.muon import Muon
from lucid.optim.optimizer import Optimizer
from lucid.optim.rmsprop import RMSprop
from lucid.optim.sgd import SGD
from lucid.optim.state_file import flatten_state, unflatten_state

__all__ = [
    "Adafactor", "Adagrad", "Adam", "AdamW", "EMA", "Lion", "Muon", "Optimizer", "RMSprop", "SGD", "flatten_state",
    "lr_scheduler", "unflatten_state",
]  # fmt: skip
