"""``torch.nn``: Lucid's layers, and ``DataParallel`` and ``DistributedDataParallel``."""

from lucid import nn as _nn
from lucid.torch._names import fallback
from lucid.torch.nn import modules, parallel
from lucid.torch.nn.parallel import DataParallel as DataParallel

__getattr__ = fallback(__name__, _nn, hidden=("DropPath", "GlobalResponseNorm"))
