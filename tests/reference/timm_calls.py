"""Calls for which timm and Lucid must agree, and the file with timm's results."""

from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("timm_calls.json")

SMALL: dict[str, Any] = {"depths": (1, 1, 2, 1), "dims": (8, 12, 16, 20)}
IMAGE_SIZES = [(64, 64), (33, 50), (225, 70)]

# Feature maps: arguments of create_model besides features_only=True.
FEATURES: list[dict[str, Any]] = [
    {},
    {"out_indices": (1, 3)},
    {"out_indices": (-2, -1)},
    {"out_indices": (0,)},
    {"out_indices": 2},
    {"output_stride": 16},
    {"output_stride": 8},
    {"output_stride": 8, "out_indices": (2, 3)},
    {"in_chans": 1},
    {"in_chans": 5, "output_stride": 16},
    {"patch_size": 8, "output_stride": 32},
    {"patch_size": 1},
    {"stem_type": "overlap_tiered"},
    {"stem_type": "overlap_act", "output_stride": 8, "in_chans": 2},
    {"head_norm_first": True, "out_indices": (1, 3)},
    {"head_hidden_size": 9},
]

# Classifiers: arguments of create_model, and of reset_classifier (None: not called).
HEADS: list[tuple[dict[str, Any], dict[str, Any] | None]] = [
    ({}, None),
    ({"num_classes": 10}, None),
    ({"num_classes": 0}, None),
    ({"num_classes": 0, "global_pool": ""}, None),
    ({"num_classes": 10, "global_pool": "max"}, None),
    ({"num_classes": 10, "global_pool": ""}, None),
    ({"num_classes": 10, "in_chans": 1}, None),
    ({"num_classes": 10, "in_chans": 4, "output_stride": 8}, None),
    ({}, {"num_classes": 7}),
    ({}, {"num_classes": 0}),
    ({"num_classes": 0}, {"num_classes": 7}),
    ({}, {"num_classes": 7, "global_pool": "max"}),
    ({}, {"num_classes": 0, "global_pool": ""}),
    ({"global_pool": ""}, {"num_classes": 7, "global_pool": "avg"}),
    ({"num_classes": 10, "stem_type": "overlap"}, None),
    ({"num_classes": 10, "head_norm_first": True}, None),
    ({"num_classes": 0, "head_norm_first": True, "global_pool": ""}, None),
    ({"head_norm_first": True}, {"num_classes": 7, "global_pool": "max"}),
    ({"num_classes": 10, "head_hidden_size": 9}, None),
    ({"num_classes": 0, "head_hidden_size": 9}, None),
    ({"num_classes": 10, "head_hidden_size": 9, "global_pool": ""}, None),
    ({"head_hidden_size": 9}, {"num_classes": 7}),
    ({"head_hidden_size": 9}, {"num_classes": 0, "global_pool": ""}),
]

# Logits of small networks with synthetic weights: class, arguments, shape of the images.
LOGITS: dict[str, tuple[str, dict[str, Any], tuple[int, int, int, int]]] = {
    "stride 8": ("V1", {"output_stride": 8}, (2, 3, 33, 50)),
    "stride 16": ("V1", {"output_stride": 16}, (1, 3, 70, 97)),
    "patch 8, stride 8": ("V1", {"output_stride": 8, "patch_size": 8}, (1, 3, 64, 41)),
    "V2, stride 8": ("V2", {"output_stride": 8}, (2, 3, 41, 64)),
    "V2": ("V2", {}, (3, 3, 50, 64)),
    "max": ("V1", {"global_pool": "max"}, (2, 3, 64, 64)),
    "average and max": ("V1", {"global_pool": "avgmax"}, (2, 3, 64, 64)),
    "map": ("V2", {"global_pool": "", "output_stride": 16}, (1, 3, 64, 50)),
    "eps": ("V1", {"norm_eps": 1e-2}, (1, 3, 32, 32)),
    "overlapping stem, stride 8": ("V1", {"stem_type": "overlap_tiered", "output_stride": 8}, (1, 3, 33, 50)),
    "norm first, max": ("V2", {"head_norm_first": True, "global_pool": "max"}, (2, 3, 64, 41)),
    "hidden layer, map": ("V1", {"head_hidden_size": 9, "global_pool": ""}, (1, 3, 64, 50)),
}

# Arguments of list_models. Lucid has no models with RMSNorm.
LISTS: list[dict[str, Any]] = [
    {"filter": "convnext*"},
    {"filter": "convnextv2_*"},
    {"filter": "*tiny"},
    {"filter": ["convnext_nano", "*large"]},
    {"filter": "convnext*", "exclude_filters": "*v2*"},
    {"filter": "convnext_base", "pretrained": True},
    {"filter": "convnext_small*", "pretrained": True},
    {"filter": "convnext*.fb_in22k", "pretrained": True},
    {"filter": "convnextv2*", "pretrained": True, "exclude_filters": ["*_384", "*.fcmae"]},
]

# Depths of models for layer-wise learning rate decay.
LAYER_DECAY = {"V1": (1, 2, 3, 1), "V2": (2, 1, 4, 2)}
