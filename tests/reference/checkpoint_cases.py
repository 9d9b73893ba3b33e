"""Kinds of checkpoints that people have: small files, and whether they load. ``record_checkpoints.py`` writes them.

All files that load hold the same small ConvNeXt, whose values depend only on the official names of its parameters.
"""

import tarfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.reference.convnext_cases import numbers

FILE = Path(__file__).with_name("checkpoints.tar.xz")
DIMS = (2, 3, 4, 5)
CLASSES = 3
HEAD = ("head.weight", "head.bias")
NORM = ("norm.weight", "norm.bias")


@dataclass(frozen=True)
class Kind:
    """One kind of checkpoint.

    ``title`` and ``reason`` are for the documentation. ``refused``: words of the error. ``absent``: parameters that the
    file does not have. ``zeros``: those that are zero. ``tolerance``: relative, for narrower dtypes.
    """

    file: str
    title: str
    refused: str = ""
    reason: str = ""
    family: str = "ConvNeXt"
    absent: tuple[str, ...] = ()
    zeros: tuple[str, ...] = ()
    tolerance: float = 0.0
    has_head: bool = True


_ONE_OBJECT = "needs its class, and nothing is imported"
_NOT_WEIGHTS = "not a weights file"
_DAMAGED = "damaged"
_LACKS = "MLX has no such tensors"

SECTIONS: dict[str, list[Kind]] = {
    "Files of `torch.save`": [
        Kind("state_dict.pth", "`torch.save(model.state_dict())`"),
        Kind("legacy.pth", "the same in the format before PyTorch 1.6"),
        Kind("protocol_4.pth", "the same with `pickle_protocol=4`"),
        Kind("protocol_5.pth", "the same with `pickle_protocol=5`"),
        Kind("legacy_protocol_4.pth", "the format before PyTorch 1.6 with `pickle_protocol=4`"),
        Kind(
            "protocol_0.pth",
            "`pickle_protocol=0`",
            "protocol 0",
            "protocols 0 and 1 are not supported",
        ),
        Kind("wrapped_model.pth", '`{"model": state_dict}`'),
        Kind("wrapped_state_dict.pth.tar", '`{"state_dict": state_dict, "epoch": ..., "best_acc1": tensor}`'),
        Kind("parameters.pth", "`dict(model.named_parameters())`, which are Parameters"),
        Kind("attributes.pth", "Parameters and tensors with Python attributes"),
        Kind("subclass.pth", "tensors of a subclass of Tensor"),
        Kind("tied.pth", "tensors that share their storage"),
        Kind("channels_last.pth", "weights in memory format `channels_last`"),
        Kind("half.pth", "float16 weights", tolerance=1e-3),
        Kind("bfloat16.pth", "bfloat16 weights", tolerance=1e-2),
        Kind("float64.pth", "float64 weights"),
        Kind("float8_e4m3.pth", "float8_e4m3fn weights", tolerance=0.07),
        Kind("float8_e5m2.pth", "float8_e5m2 weights", tolerance=0.13),
        Kind("float8_e8m0.pth", "float8_e8m0fnu weights", "float8_e8m0fnu", _LACKS),
        Kind("compressed.pth", "zip members that were compressed afterwards"),
        Kind("big_endian.pth", "written on a big-endian machine"),
        Kind("ordered_subclass.pth", "a state dict that is a subclass of OrderedDict"),
        Kind("default_dict.pth", "a state dict that is a defaultdict"),
        Kind("config_dict.pth", "nested dictionaries of another library's class"),
    ],
    "Training checkpoints": [
        Kind("authors.pth", "the authors' `save_model`: model, EMA, optimizer, scaler, `args` as a Namespace"),
        Kind("timm_training.pth.tar", "timm's `CheckpointSaver`: Namespace, optimizer, NumPy metric"),
        Kind("timm_training_ema.pth.tar", "the same with `ModelEmaV3`"),
        Kind("torchvision_training.pth", "torchvision's references: model, optimizer, `model_ema`, Namespace"),
        Kind("lightning.ckpt", "Lightning's `Trainer.save_checkpoint`: hyperparameters, callbacks, loops"),
        Kind("lightning_namespace.ckpt", "Lightning with hyperparameters in a Namespace, Paths and enums"),
        Kind("lightning_weights.ckpt", "Lightning with `save_weights_only=True`"),
        Kind("data_parallel.pth", "`nn.DataParallel` (`module.`)"),
        Kind("compiled.pth", "`torch.compile` within DistributedDataParallel (`module._orig_mod.`)"),
        Kind("compiled_blocks.pth", "`torch.compile` of single blocks"),
        Kind("fsdp.pth", "FSDP with wrapped blocks (`_fsdp_wrapped_module.`)"),
        Kind("activation_checkpointing.pth", "activation checkpointing (`_checkpoint_wrapped_module.`)"),
        Kind("averaged.pth", "`torch.optim.swa_utils.AveragedModel`"),
        Kind("deepspeed.pt", "DeepSpeed's `mp_rank_00_model_states.pt`"),
        Kind("open_clip_training.pt", "OpenCLIP's training checkpoint", zeros=("head.bias",)),
    ],
    "Objects beside the weights": [
        Kind("beside_namespace.pth", "`argparse.Namespace`, `types.SimpleNamespace`"),
        Kind("beside_path.pth", "`pathlib.Path`, `PurePosixPath`, also as keys"),
        Kind("beside_datetime.pth", "`datetime`, `timedelta`, `timezone`"),
        Kind("beside_numbers.pth", "`Decimal`, `Fraction`, `UUID`, `range`, `slice`"),
        Kind("beside_numpy_scalar.pth", "NumPy scalars and dtypes"),
        Kind("beside_numpy_array.pth", "NumPy arrays of numbers, strings and objects"),
        Kind("beside_rng.pth", "random states of PyTorch, NumPy and Python, and a `numpy.random.Generator`"),
        Kind("beside_default_dict.pth", "`defaultdict`, `Counter`, `deque`, `ChainMap`"),
        Kind("beside_enum.pth", "enums and flags"),
        Kind("beside_dataclass.pth", "dataclasses and named tuples"),
        Kind("beside_function.pth", "functions, methods, classes and `functools.partial`"),
        Kind("beside_bytes.pth", "`bytes`, `bytearray`, `frozenset`, `complex`"),
        Kind("beside_bytes_protocol_4.pth", "the same with `pickle_protocol=4`"),
        Kind("beside_keys.pth", "dictionaries with 22,000 integer keys, and with dtypes and tuples as keys"),
        Kind("beside_torch.pth", "`torch.Size`, `torch.device`, dtypes, layouts, a storage"),
        Kind("beside_sparse.pth", "sparse tensors (COO, CSR)"),
        Kind("beside_quantized.pth", "quantized tensors"),
        Kind("beside_quantized_legacy.pth", "the same in the format before PyTorch 1.6"),
        Kind("beside_complex.pth", "complex tensors, also lazily conjugated, and complex128"),
        Kind("beside_meta.pth", "tensors on the device `meta`"),
        Kind("beside_nested.pth", "nested tensors"),
        Kind("beside_module.pth", "a whole module, e.g. a loss"),
        Kind("beside_schedulers.pth", "states of every scheduler, and GradScaler"),
        Kind("beside_cyclic_tuple.pth", "objects that contain themselves through an attribute"),
        Kind("beside_code.pth", "a call of `os.system`, which is not made"),
        Kind(
            "beside_cyclic_list.pth",
            "a list that contains itself",
            "contains itself",
            "containers that contain themselves are not supported",
        ),
    ],
    "Safetensors": [
        Kind("official.safetensors", "`safetensors.torch.save_file`"),
        Kind("half.safetensors", "float16 weights", tolerance=1e-3),
        Kind("bfloat16.safetensors", "bfloat16 weights", tolerance=1e-2),
        Kind("float64.safetensors", "float64 weights"),
        Kind("float8_e4m3.safetensors", "float8_e4m3fn weights", tolerance=0.07),
        Kind("float8_e5m2.safetensors", "float8_e5m2 weights", tolerance=0.13),
        Kind("float8_e8m0.safetensors", "float8_e8m0fnu weights", "'F8_E8M0', which is not supported", _LACKS),
        Kind("truncated.safetensors", "cut off", "not a complete safetensors file", _DAMAGED),
        Kind("trailing.safetensors", "bytes after the last tensor", "not a complete safetensors file", _DAMAGED),
        Kind("overlapping.safetensors", "two tensors in the same bytes", "but the one before it ends at", _DAMAGED),
        Kind("duplicate.safetensors", "two tensors of one name", "two entries", _DAMAGED),
    ],
    "Names of other libraries": [
        Kind("timm.safetensors", "timm"),
        Kind("timm_conv_mlp.pth", "timm with `conv_mlp=True`"),
        Kind("timm_v2.pth", "timm's ConvNeXt V2", family="ConvNeXtV2"),
        Kind("torchvision.pth", "torchvision"),
        Kind("transformers.safetensors", "transformers' `ConvNextForImageClassification`"),
        Kind("transformers_v2.safetensors", "transformers' `ConvNextV2ForImageClassification`", family="ConvNeXtV2"),
        Kind("transformers_bare.safetensors", "transformers' `ConvNextModel`", has_head=False),
        Kind("dinov3_transformers.safetensors", "DINOv3 in transformers", has_head=False),
        Kind("dinov3_meta.pth", "DINOv3 of Meta, with `norms.3` beside `norm`", has_head=False),
        Kind("fcmae.pt", "ConvNeXt V2's FCMAE pretraining", family="ConvNeXtV2", absent=NORM, has_head=False),
        Kind("mmpretrain.pth", "OpenMMLab's mmpretrain, with its message hub"),
        Kind("mmsegmentation.pth", "OpenMMLab's mmsegmentation and mmdetection (`norm0` to `norm3`)", has_head=False),
        Kind("authors_segmentation.pth", "the authors' segmentation and detection", has_head=False),
        Kind("open_clip.pt", "OpenCLIP, the projection as the head", zeros=("head.bias",)),
        Kind("open_clip_mlp.pt", "OpenCLIP with an MLP as the head", zeros=("head.bias",)),
        Kind(
            "resnet.pth",
            "another network",
            "holds no ConvNeXt in any dialect",
            "not a ConvNeXt",
        ),
    ],
    "Classifiers of your own": [
        Kind("own_fc.pth", "`fc` instead of `head`"),
        Kind("own_sequential.pth", "`head = Sequential(Dropout, Linear)`"),
        Kind("own_timm.pth", "timm's `head.fc` replaced by a Sequential"),
        Kind("own_torchvision.pth", "torchvision's `classifier[2]` replaced by a Sequential"),
        Kind("own_wrapper.pth", "a module with `backbone` and `classifier`"),
        Kind("own_without_bias.pth", "a classifier without bias", zeros=("head.bias",)),
        Kind("no_classifier.pth", "no classifier", has_head=False),
    ],
    "Folders": [
        Kind("transformers_folder", "`save_pretrained`"),
        Kind("transformers_shards", "`save_pretrained` in shards (`model.safetensors.index.json`)"),
        Kind("bin_shards", "shards of `torch.save` (`pytorch_model.bin.index.json`)"),
        Kind("trainer_folder", "transformers' Trainer: optimizer, scheduler and random state beside the weights"),
        Kind("accelerate_folder", "accelerate's `save_state`"),
        Kind("open_clip_folder", "OpenCLIP's `open_clip_model.safetensors`", zeros=("head.bias",)),
        Kind("one_file", "one file of any name"),
        Kind(
            "distributed",
            "`torch.distributed.checkpoint` (`.distcp`)",
            "distributed checkpoint",
            "convert it with `dcp_to_torch_save`",
        ),
        Kind("two_files", "several weights files", "has 2 weights files", "pass one of them"),
        Kind("missing_shard", "a shard is missing", "which is missing", "download it"),
    ],
    "Other files": [
        Kind("module.pth", "`torch.save(model)`", "'timm.models.convnext.ConvNeXt'", _ONE_OBJECT),
        Kind(
            "module_legacy.pth",
            "the same in the format before PyTorch 1.6",
            "'timm.models.convnext.ConvNeXt'",
            _ONE_OBJECT,
        ),
        Kind(
            "wrapped_module.pth",
            '`{"model": model}`',
            "'model' is a pickled timm.models.convnext.ConvNeXt",
            _ONE_OBJECT,
        ),
        Kind("torchscript.pt", "`torch.jit.save`", "TorchScript", "a program, not a state dict"),
        Kind(
            "exported.pt2", "`torch.export.save`", "must have one member NAME/data.pkl", "a program, not a state dict"
        ),
        Kind("quantized.pth", "a quantized network", "_rebuild_qtensor, which is not supported", _LACKS),
        Kind("sparse.pth", "a network with sparse weights", "_rebuild_sparse_tensor, which is not supported", _LACKS),
        Kind("code.pth", "a call of `os.system` instead of weights", "it holds 'posix.system'", _ONE_OBJECT),
        Kind(
            "pickle.pkl.bin",
            "`pickle.dump` of NumPy arrays",
            "not written by torch.save",
            "use `numpy.savez` or safetensors",
        ),
        Kind("arrays.npz.bin", "`numpy.savez`", "NumPy archive", "pass `dict(numpy.load(path))` to `load_checkpoint`"),
        Kind("truncated.pth", "cut off", "damaged zip archive", _DAMAGED),
        Kind("flipped.pth", "a flipped bit", "CRC", _DAMAGED),
        Kind("lfs.safetensors", "a Git LFS pointer", "is a Git LFS pointer", _NOT_WEIGHTS),
        Kind("config.json.bin", "JSON", "is a JSON file", _NOT_WEIGHTS),
        Kind("gzipped.pth.gz.bin", "gzip", "is compressed with gzip", "unpack it first"),
        Kind("archive.tar.bin", "a tar archive", "is a tar archive", "unpack it first"),
        Kind("page.pth", "a web page instead of a download", "is a web page", _NOT_WEIGHTS),
        Kind("keras.h5.bin", "HDF5 of Keras", "is an HDF5 file", "other layouts of weights"),
        Kind("empty.pth", "an empty file", "is empty", _NOT_WEIGHTS),
    ],
}
KINDS = [kind for kinds in SECTIONS.values() for kind in kinds]


def value(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """The float32 value of the parameter with this official name."""
    return numbers(f"checkpoints/{name}", shape) + np.float32(1.5)


def images() -> np.ndarray:
    """The images for which outputs are recorded."""
    return numbers("checkpoints/images", (2, 3, 65, 70))


def extract(folder: Path) -> Path:
    """Unpack the files into ``folder``."""
    with tarfile.open(FILE) as archive:
        for member in archive:
            content = archive.extractfile(member)
            assert content is not None
            path = folder / member.name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.read())
    return folder


def table() -> str:
    """The kinds as tables in Markdown, for docs/checkpoint-files.md."""
    lines: list[str] = []
    for section, kinds in SECTIONS.items():
        lines += [f"## {section}", "", "| kind | result |", "|--|--|"]
        for kind in kinds:
            note = f"rejected: {kind.reason}" if kind.refused else "loads"
            if kind.absent:
                note += f"; without {', '.join(f'`{name}`' for name in kind.absent)}, which it does not have"
            lines.append(f"| {kind.title} | {note} |")
        lines.append("")
    return "\n".join(lines)
