"""Models, each in one file."""

from lucid.models.convnext import (
    ConvNeXt,
    ConvNeXtIsotropic,
    ConvNeXtV2,
    convnext_base,
    convnext_large,
    convnext_small,
    convnext_tiny,
    convnext_xlarge,
)

__all__ = [
    "ConvNeXt", "ConvNeXtIsotropic", "ConvNeXtV2", "convnext_base", "convnext_large", "convnext_small",
    "convnext_tiny", "convnext_xlarge",
]  # fmt: skip
