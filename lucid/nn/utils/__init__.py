"""Utilities for gradients, parameters and sequences, under PyTorch's names."""

import importlib
from typing import TYPE_CHECKING, Any

from lucid.nn.utils import clip_grad, convert_parameters, parametrize, rnn
from lucid.nn.utils._spectral_norm import remove_spectral_norm, spectral_norm
from lucid.nn.utils._weight_norm import remove_weight_norm, weight_norm
from lucid.nn.utils.clip_grad import (
    clip_grad_norm,
    clip_grad_norm_,
    clip_grad_value_,
    clip_grads_with_norm_,
    get_total_norm,
)
from lucid.nn.utils.convert_parameters import parameters_to_vector, vector_to_parameters
from lucid.nn.utils.fusion import fuse_conv_bn_eval, fuse_conv_bn_weights, fuse_linear_bn_eval, fuse_linear_bn_weights
from lucid.nn.utils.init import skip_init

if TYPE_CHECKING:
    from lucid.nn.utils import parametrizations, prune
    from lucid.nn.utils.quantization import load_quantized, quantization_metadata
else:  # type checkers would believe that every name exists

    def __getattr__(name: str) -> Any:
        if name in ("parametrizations", "prune"):  # few programs need them
            return importlib.import_module(f"lucid.nn.utils.{name}")
        if name in ("load_quantized", "quantization_metadata"):
            return getattr(importlib.import_module("lucid.nn.utils.quantization"), name)
        raise AttributeError(f"module 'lucid.nn.utils' has no attribute {name!r}")


__all__ = [
    "clip_grad_norm", "clip_grad_norm_", "clip_grad_value_", "clip_grads_with_norm_", "fuse_conv_bn_eval",
    "fuse_conv_bn_weights", "fuse_linear_bn_eval", "fuse_linear_bn_weights", "get_total_norm", "load_quantized",
    "parameters_to_vector", "parametrizations", "prune", "quantization_metadata", "remove_spectral_norm",
    "remove_weight_norm", "skip_init", "spectral_norm", "vector_to_parameters", "weight_norm",
]  # fmt: skip
