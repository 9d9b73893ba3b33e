"""Optimizers with PyTorch's API on MLX's update rules, ``lr_scheduler``, ``swa_utils`` and ``EMA``."""

import importlib
from typing import TYPE_CHECKING, Any

from lucid.optim import lr_scheduler
from lucid.optim.adadelta import Adadelta
from lucid.optim.adafactor import Adafactor
from lucid.optim.adagrad import Adagrad
from lucid.optim.adam import Adam, AdamW
from lucid.optim.adamax import Adamax
from lucid.optim.asgd import ASGD
from lucid.optim.ema import EMA
from lucid.optim.lbfgs import LBFGS
from lucid.optim.lion import Lion
from lucid.optim.muon import Muon
from lucid.optim.nadam import NAdam
from lucid.optim.optimizer import Optimizer
from lucid.optim.radam import RAdam
from lucid.optim.rmsprop import RMSprop
from lucid.optim.rprop import Rprop
from lucid.optim.sgd import SGD
from lucid.optim.sparse_adam import SparseAdam
from lucid.optim.state_file import flatten_state, unflatten_state

__all__ = [
    "ASGD", "Adadelta", "Adafactor", "Adagrad", "Adam", "AdamW", "Adamax", "EMA", "LBFGS", "Lion", "Muon", "NAdam",
    "Optimizer", "RAdam", "RMSprop", "Rprop", "SGD", "SparseAdam", "flatten_state", "lr_scheduler", "unflatten_state",
]  # fmt: skip

if TYPE_CHECKING:
    from lucid.optim import swa_utils
else:  # type checkers would believe that every name exists

    def __getattr__(name: str) -> Any:
        if name == "swa_utils":  # few programs need it
            return importlib.import_module("lucid.optim.swa_utils")
        raise AttributeError(f"module 'lucid.optim' has no attribute {name!r}")
