"""Reads and writes safetensors files and files of PyTorch, without unpickling anything."""

from lucid.serialization._load import OpenedCheckpoint, load, open_checkpoint
from lucid.serialization._save import save
from lucid.serialization.placeholder import Placeholder
from lucid.serialization.pytorch_file import read_pytorch
from lucid.serialization.pytorch_writer import save_pytorch
from lucid.serialization.safetensors_file import load_with_metadata

__all__ = [
    "OpenedCheckpoint", "Placeholder", "load", "load_with_metadata", "open_checkpoint", "read_pytorch", "save",
    "save_pytorch",
]  # fmt: skip
