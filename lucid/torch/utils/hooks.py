"""``torch.utils.hooks``."""

from lucid._tensor import RemovableHandle as RemovableHandle
