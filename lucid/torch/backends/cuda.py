"""``torch.backends.cuda``: settings that are kept and have no effect."""

from __future__ import annotations

from types import SimpleNamespace

from lucid import _device

matmul = SimpleNamespace(
    allow_tf32=False,
    allow_fp16_reduced_precision_reduction=True,
    allow_bf16_reduced_precision_reduction=True,
    fp32_precision="none",
)
cufft_plan_cache = SimpleNamespace(size=0, max_size=0)


def is_built() -> bool:
    """Whether MLX was built with CUDA."""
    return _device.is_available("cuda")


def flash_sdp_enabled() -> bool:
    """True: ``scaled_dot_product_attention`` is MLX's fused one where it has one."""
    return True


mem_efficient_sdp_enabled = math_sdp_enabled = flash_sdp_enabled


def enable_flash_sdp(enabled: bool) -> None:
    """Has no effect."""


enable_mem_efficient_sdp = enable_math_sdp = enable_cudnn_sdp = enable_flash_sdp
