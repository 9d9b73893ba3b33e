"""Models: the ConvNeXt family by class, by name and by function."""

from lucid.models.convnext import ConvNeXt, ConvNeXtIsotropic, ConvNeXtV2
from lucid.models.features import FeatureInfo, FeatureListNet
from lucid.models.info import ModelInfo, model_info
from lucid.models.named import (
    convnext_atto,
    convnext_base,
    convnext_femto,
    convnext_isotropic_base,
    convnext_isotropic_large,
    convnext_isotropic_small,
    convnext_large,
    convnext_nano,
    convnext_pico,
    convnext_small,
    convnext_tiny,
    convnext_xlarge,
    convnextv2_atto,
    convnextv2_base,
    convnextv2_femto,
    convnextv2_huge,
    convnextv2_large,
    convnextv2_nano,
    convnextv2_pico,
    convnextv2_tiny,
)
from lucid.models.param_groups import param_groups_layer_decay
from lucid.models.registry import create_model, list_models

__all__ = [
    "ConvNeXt", "ConvNeXtIsotropic", "ConvNeXtV2", "FeatureInfo", "FeatureListNet", "ModelInfo", "convnext_atto",
    "convnext_base", "convnext_femto", "convnext_isotropic_base", "convnext_isotropic_large",
    "convnext_isotropic_small", "convnext_large", "convnext_nano", "convnext_pico", "convnext_small", "convnext_tiny",
    "convnext_xlarge", "convnextv2_atto", "convnextv2_base", "convnextv2_femto", "convnextv2_huge", "convnextv2_large",
    "convnextv2_nano", "convnextv2_pico", "convnextv2_tiny", "create_model", "list_models", "model_info",
    "param_groups_layer_decay",
]  # fmt: skip
