"""Reads and writes safetensors files and reads PyTorch files, without unpickling anything."""

from lucid.serialization._load import OpenedCheckpoint, load, open_checkpoint
from lucid.serialization.placeholder import Placeholder
from lucid.serialization.pytorch_file import read_pytorch
from lucid.serialization.safetensors_file import load_with_metadata, save

__all__ = [
    "OpenedCheckpoint", "Placeholder", "load", "load_with_metadata", "open_checkpoint", "read_pytorch", "save",
]  # fmt: skip
