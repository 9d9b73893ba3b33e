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
from lucid.models.features import FeatureInfo, FeatureListNet
from lucid.models.param_groups import param_groups_layer_decay

__all__ = [
    "ConvNeXt", "ConvNeXtIsotropic", "ConvNeXtV2", "FeatureInfo", "FeatureListNet", "convnext_base", "convnext_large",
    "convnext_small", "convnext_tiny", "convnext_xlarge", "param_groups_layer_decay",
]  # fmt: skip
