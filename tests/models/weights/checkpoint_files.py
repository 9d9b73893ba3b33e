"""Checkpoints as the four implementations write them, and models for them."""

import json
import struct

import mlx.core as mx
import numpy as np

from lucid import models
from tests.reference.dialect_cases import CASES, FILE, value

RECORDED = np.load(FILE)
TIMM_OPTIONS = [
    {"stem_type": "overlap"}, {"stem_type": "overlap_tiered"}, {"stem_type": "overlap_act"}, {"head_norm_first": True},
    {"head_hidden_size": 9}, {"head_hidden_size": 8},
]  # fmt: skip


def built(case, classes=None, **options):
    one = CASES[case]
    options = {"in_chans": one.in_chans, "patch_size": one.patch_size, **one.options, **options}
    classes = one.classes if classes is None else classes
    if one.family == "ConvNeXtIsotropic":
        return models.ConvNeXtIsotropic(classes, one.depths[0], one.dims[0], **options)
    if one.family == "ConvNeXt":
        options["layer_scale_init"] = float(one.scaled)
    return getattr(models, one.family)(classes, one.depths, one.dims, **options)


def tensors(case):
    """The checkpoint as the implementation has it."""
    return {name: value(case, name, tuple(shape)) for name, shape in json.loads(str(RECORDED[f"{case}/parameters"]))}


def written(case, path):
    mx.save_safetensors(str(path), {name: mx.array(array) for name, array in tensors(case).items()})
    return path


def contents(path):
    """The names, dtypes, shapes and bytes of a safetensors file, and its metadata: read by hand."""
    data = path.read_bytes()
    [length] = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    metadata = header.pop("__metadata__", {})
    body = data[8 + length :]
    return {k: (v["dtype"], v["shape"], body[slice(*v["data_offsets"])]) for k, v in header.items()}, metadata


def values(model):
    return {name: tensor.tolist() for name, tensor in model.state_dict().items()}


def relative_error(got, wanted):
    assert got.shape == wanted.shape
    return np.abs(got.numpy() - wanted).max() / np.abs(wanted).max()
