"""Datasets, loaders and transforms. Datasets work in NumPy; ``DataLoader`` yields tensors.

There are two kinds of transforms, and each name exists in only one of them. *Host transforms*
(``lucid.data.transforms``) are called as ``transform(value, rng)`` in the threads of the loader, with a NumPy batch or
a Pillow image and a NumPy generator. Use them for what has to happen before a batch fits in one array: decoding photos
and cropping them to one size, as in ``DataLoader(..., batch_transform=DecodeImages(RandomResizedCrop(224)))``. *Device
transforms* (``lucid.data.augment``) are called as ``transform(images, labels, key=key)`` with batches of tensors, in
the training step, compiled or not. Use them for everything else: crops and flips of images of one size, colors,
RandAugment, normalization, erasing, mixup. The ``transform`` of a dataset is called with one sample, as in torchvision:
a ``torchvision.transforms.Compose``, or any function of a Pillow image, works there too, one image at a time.
"""

from lucid.data import augment, transforms
from lucid.data.archive import ArchiveError
from lucid.data.cifar import CIFAR10, CIFAR100
from lucid.data.collate import default_collate
from lucid.data.dataset import (
    ChainDataset,
    ConcatDataset,
    Dataset,
    IterableDataset,
    StackDataset,
    Subset,
    TensorDataset,
    random_split,
)
from lucid.data.decoding import ImageError, open_image
from lucid.data.digits import Digits
from lucid.data.image_folder import ImageFolder, stratified_split
from lucid.data.images import ImageDataset
from lucid.data.loader import DataLoader
from lucid.data.mask_colors import overlay, save_mask, voc_palette
from lucid.data.masks import DecodePairs, MaskFolder, PairTransform, RandomScaledCrop, open_mask
from lucid.data.sampler import (
    BatchSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)
from lucid.data.worker_info import get_worker_info

__all__ = [
    "CIFAR10",
    "CIFAR100",
    "ArchiveError",
    "BatchSampler",
    "ChainDataset",
    "ConcatDataset",
    "DataLoader",
    "Dataset",
    "DecodePairs",
    "Digits",
    "ImageDataset",
    "ImageError",
    "ImageFolder",
    "IterableDataset",
    "MaskFolder",
    "PairTransform",
    "RandomSampler",
    "RandomScaledCrop",
    "Sampler",
    "SequentialSampler",
    "StackDataset",
    "Subset",
    "SubsetRandomSampler",
    "TensorDataset",
    "WeightedRandomSampler",
    "augment",
    "default_collate",
    "get_worker_info",
    "open_image",
    "open_mask",
    "overlay",
    "random_split",
    "save_mask",
    "stratified_split",
    "transforms",
    "voc_palette",
]
