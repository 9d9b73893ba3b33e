"""``torch.utils.data``: Lucid's datasets and loaders, and the sampler of distributed programs."""

from lucid import data as _data
from lucid.torch._names import fallback
from lucid.torch.utils.data import distributed
from lucid.torch.utils.data.distributed import DistributedSampler as DistributedSampler

__getattr__ = fallback(
    __name__,
    _data,
    hidden=(
        "CIFAR10", "CIFAR100", "ArchiveError", "Digits", "ImageDataset", "ImageError", "ImageFolder", "augment",
        "open_image", "stratified_split", "transforms",
    ),
)  # fmt: skip
