"""``torch.cuda.amp``, PyTorch's former place of ``torch.amp``."""

from __future__ import annotations

from typing import Any

import mlx.core as mx

from lucid import amp as _amp
from lucid.torch.amp import custom_bwd as custom_bwd
from lucid.torch.amp import custom_fwd as custom_fwd


class autocast(_amp.autocast):
    """``torch.amp.autocast`` with the former order of arguments; the default is float16, as on CUDA in PyTorch."""

    def __init__(self, enabled: bool = True, dtype: Any = None, cache_enabled: bool = True) -> None:
        super().__init__("cuda", mx.float16 if dtype is None else dtype, enabled, cache_enabled)


class GradScaler(_amp.GradScaler):
    """``torch.amp.GradScaler`` with the former order of arguments."""

    def __init__(
        self, init_scale: float = 2.0**16, growth_factor: float = 2.0, backoff_factor: float = 0.5,
        growth_interval: int = 2000, enabled: bool = True,
    ) -> None:  # fmt: skip
        super().__init__("cuda", init_scale, growth_factor, backoff_factor, growth_interval, enabled)
