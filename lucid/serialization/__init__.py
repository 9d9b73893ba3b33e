"""Reads and writes safetensors files and reads PyTorch files, without unpickling anything."""

from lucid.serialization._load import load
from lucid.serialization.pytorch_file import read_pytorch
from lucid.serialization.safetensors_file import load_with_metadata, save

__all__ = ["load", "load_with_metadata", "read_pytorch", "save"]
