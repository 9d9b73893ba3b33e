"""Utilities for gradients, parameters and sequences, under PyTorch's names."""

from lucid.nn.utils import clip_grad, convert_parameters, rnn
from lucid.nn.utils.clip_grad import clip_grad_norm_, clip_grad_value_, get_total_norm
from lucid.nn.utils.convert_parameters import parameters_to_vector, vector_to_parameters

__all__ = [
    "clip_grad_norm_", "clip_grad_value_", "get_total_norm", "parameters_to_vector", "vector_to_parameters",
]  # fmt: skip
