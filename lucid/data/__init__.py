"""Datasets, loaders and batched transforms. Everything here works on NumPy; ``DataLoader`` gives tensors."""

from lucid.data import augment, transforms
from lucid.data.archive import ArchiveError
from lucid.data.cifar import CIFAR10, CIFAR100
from lucid.data.collate import default_collate
from lucid.data.dataset import ConcatDataset, Dataset, IterableDataset, Subset, TensorDataset, random_split
from lucid.data.decoding import ImageError, open_image
from lucid.data.digits import Digits
from lucid.data.image_folder import ImageFolder, stratified_split
from lucid.data.images import ImageDataset
from lucid.data.loader import DataLoader
from lucid.data.sampler import (
    BatchSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)

__all__ = [
    "CIFAR10",
    "CIFAR100",
    "ArchiveError",
    "BatchSampler",
    "ConcatDataset",
    "DataLoader",
    "Dataset",
    "Digits",
    "ImageDataset",
    "ImageError",
    "ImageFolder",
    "IterableDataset",
    "RandomSampler",
    "Sampler",
    "SequentialSampler",
    "Subset",
    "SubsetRandomSampler",
    "TensorDataset",
    "WeightedRandomSampler",
    "augment",
    "default_collate",
    "open_image",
    "random_split",
    "stratified_split",
    "transforms",
]
