"""Models: the ConvNeXt family, its pretrained weights and its checkpoints."""

from lucid.models._from_checkpoint import from_checkpoint
from lucid.models.convnext import ConvNeXt, ConvNeXtIsotropic, ConvNeXtV2
from lucid.models.entrypoints import (
    convnext_atto,
    convnext_atto_ols,
    convnext_base,
    convnext_femto,
    convnext_femto_ols,
    convnext_isotropic_base,
    convnext_isotropic_large,
    convnext_isotropic_small,
    convnext_large,
    convnext_large_mlp,
    convnext_nano,
    convnext_nano_ols,
    convnext_pico,
    convnext_pico_ols,
    convnext_small,
    convnext_tiny,
    convnext_tiny_hnf,
    convnext_xlarge,
    convnext_xxlarge,
    convnextv2_atto,
    convnextv2_base,
    convnextv2_femto,
    convnextv2_huge,
    convnextv2_large,
    convnextv2_nano,
    convnextv2_pico,
    convnextv2_small,
    convnextv2_tiny,
)
from lucid.models.fcmae import FCMAE
from lucid.models.features import FeatureInfo, FeatureListNet
from lucid.models.imagenet import imagenet_class_names
from lucid.models.info import ModelInfo, model_info
from lucid.models.param_groups import param_groups_layer_decay
from lucid.models.preprocessing import ImageTransform, transforms_for
from lucid.models.registry import create_model, list_models
from lucid.models.upernet import FCNHead, UPerHead, UPerNet, segmentation_logits, sliding_window_inference
from lucid.models.weights.detect import MismatchError
from lucid.models.weights.hub import DownloadError, NonCommercialLicenseWarning
from lucid.models.weights.load import load_checkpoint, load_pretrained
from lucid.models.weights.match import LoadReport
from lucid.models.weights.push import UploadError, push_to_hub
from lucid.models.weights.save import save_checkpoint
from lucid.models.weights.save_folder import save_pretrained
from lucid.models.weights.tags import Accuracy, Tag, find_tag
from lucid.models.weights.upernet import load_segmenter, save_segmenter

__all__ = [
    "Accuracy", "ConvNeXt", "ConvNeXtIsotropic", "ConvNeXtV2", "DownloadError", "FCMAE", "FCNHead",
    "FeatureInfo",
    "FeatureListNet", "ImageTransform", "LoadReport", "MismatchError", "ModelInfo", "NonCommercialLicenseWarning",
    "Tag", "UPerHead", "UPerNet", "UploadError", "convnext_atto", "convnext_atto_ols", "convnext_base",
    "convnext_femto", "convnext_femto_ols", "convnext_isotropic_base", "convnext_isotropic_large",
    "convnext_isotropic_small", "convnext_large", "convnext_large_mlp", "convnext_nano", "convnext_nano_ols",
    "convnext_pico", "convnext_pico_ols", "convnext_small", "convnext_tiny", "convnext_tiny_hnf", "convnext_xlarge",
    "convnext_xxlarge", "convnextv2_atto", "convnextv2_base", "convnextv2_femto", "convnextv2_huge",
    "convnextv2_large", "convnextv2_nano", "convnextv2_pico", "convnextv2_small", "convnextv2_tiny", "create_model",
    "find_tag", "from_checkpoint", "imagenet_class_names", "list_models", "load_checkpoint", "load_pretrained",
    "load_segmenter", "model_info", "param_groups_layer_decay", "push_to_hub", "save_checkpoint", "save_pretrained",
    "save_segmenter", "segmentation_logits", "sliding_window_inference", "transforms_for",
]  # fmt: skip
