"""Tensors on disk: safetensors written and read, PyTorch's files read, nothing ever unpickled."""

from lucid.serialization._load import load
from lucid.serialization.pytorch_file import read_pytorch
from lucid.serialization.safetensors_file import load_with_metadata, save

__all__ = ["load", "load_with_metadata", "read_pytorch", "save"]
