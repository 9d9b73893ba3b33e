"""``torch.utils.tensorboard``: the ``SummaryWriter`` of tensorboardX."""

from typing import Any

_MISSING = (
    "torch.utils.tensorboard: SummaryWriter needs tensorboardX, which writes the same files as PyTorch's: "
    "pip install tensorboardX"
)


def __getattr__(name: str) -> Any:
    if name == "__all__":
        return ["SummaryWriter"]
    if name != "SummaryWriter":
        raise AttributeError(f"module 'torch.utils.tensorboard' has no attribute {name!r}; it has SummaryWriter")
    try:
        from tensorboardX import SummaryWriter
    except ImportError:
        raise ImportError(_MISSING) from None
    return SummaryWriter
