"""``torch.optim``: Lucid's optimizers."""

from lucid import optim as _optim
from lucid.torch._names import fallback
from lucid.torch.optim import optimizer

__getattr__ = fallback(__name__, _optim, hidden=("EMA", "Lion", "flatten_state", "unflatten_state"))
