"""Describe this installation, a model, a weights file or a run.

    lucid info                                     # machine, versions, devices, optional packages, caches
    lucid info convnext_tiny.fb_in22k_ft_in1k      # parameters, image size, license, reported accuracy
    lucid info runs/photos/best.safetensors        # architecture, classes, preprocessing, settings
    lucid info runs/photos                         # the same, and the best epoch
    lucid info runs/pretrain-photos                # encoder and decoder of a pre-training
    lucid info runs/segment-streets                # backbone and heads of a segmenter

A file may come from any library that lucid.models.from_checkpoint or load_segmenter reads, or hold any model trained
with lucid.training.
"""

import argparse
import csv
import importlib.util
import io
import json
import math
import os
import warnings
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lucid
from lucid import _device, models, nn
from lucid._files import read_regular
from lucid._machine import describe_machine
from lucid.cli._common import Parser, message_of
from lucid.kernels import native
from lucid.kernels.depthwise_conv2d import tiling
from lucid.models._from_checkpoint import from_opened
from lucid.models.info import stages_text
from lucid.models.weights.detect import Network, find_networks, select_network
from lucid.models.weights.folder import read_config
from lucid.models.weights.load import decoder_depth
from lucid.models.weights.upernet import segmenter_in
from lucid.serialization import OpenedCheckpoint, open_checkpoint

MAX_SHOWN_CLASSES = 10
SUFFIXES = (".safetensors", ".pth", ".pt", ".bin", ".ckpt")  # of files that may be missing
# What each extra brings, by the name that is imported.
EXTRAS = {"hub": ["huggingface_hub"], "vision": ["PIL"], "train": ["tqdm", "matplotlib", "sklearn"]}


def make_parser() -> argparse.ArgumentParser:
    parser = Parser(prog="lucid info", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", metavar="NAME|PATH", help="a model, a weights file or a run folder")
    return parser


def describe_installation() -> dict[str, str]:
    """Machine, versions, devices, caches and extras, as lines to print."""
    machine = describe_machine()
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    devices = [kind for kind in ("cpu", "gpu") if _device.is_available(kind)]
    extras = [f"{name} ({_extra_state(packages)})" for name, packages in EXTRAS.items()]
    return {
        "versions": versions,
        "system": f"{machine['system']}, {machine['cpus']} CPUs",
        "device": f"{machine['device']} ({machine['backend']})",
        "devices": ", ".join(devices),
        "BLAS": machine["blas"] or "MLX's own",
        **({"native kernels": native.status()} if machine["backend"] == "cpu" else {}),
        "extras": ", ".join(extras),
        "weights": _hub_cache(),
        "tiling": _tiling_file(),
    }


def _tiling_file() -> str:
    try:
        return str(tiling.path())
    except OSError as error:
        return f"none: {error}"


def _extra_state(packages: list[str]) -> str:
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    return f"missing {', '.join(missing)}" if missing else "installed"


def _hub_cache() -> str:
    """The folder where published weights are cached, as huggingface_hub finds it."""
    home = os.environ.get("HF_HOME") or os.path.join(os.environ.get("XDG_CACHE_HOME", "~/.cache"), "huggingface")
    folder = os.path.expanduser(os.environ.get("HF_HUB_CACHE") or os.path.join(home, "hub"))
    return "none: this user has no home folder; HF_HOME names a folder" if folder.startswith("~") else folder


def describe_weights(path: Path) -> dict[str, str]:
    """What a weights file or a run folder holds, as lines to print."""
    file = path
    if path.is_dir():
        file = next((path / name for name in ("best.safetensors", "last.safetensors") if (path / name).exists()), path)
    opened = open_checkpoint(file)
    metadata = opened.metadata
    found = _describe_model(path, opened)
    if path.is_dir():
        found["best epoch"] = _best_epoch(path / "history.csv")
    for key in ("recipe", "settings"):
        if key in metadata:
            settings = json.loads(metadata[key])
            if not isinstance(settings, dict):
                raise ValueError(f"{file}: {key!r} in the metadata must be a JSON object, got {metadata[key][:40]}")
            found[key] = ", ".join(f"{name}={_words(value)}" for name, value in settings.items())
    return {name: value for name, value in found.items() if value}


def _describe_model(path: Path, opened: OpenedCheckpoint) -> dict[str, str]:
    metadata, autoencoder = opened.metadata, {}
    # Before the model is built, which drops the tensors.
    tensors = _describe_tensors(opened.content) if metadata.get("settings") else ""
    try:
        network = _network_in(path, opened.content)
        if network is not None and any(name.endswith("decode_head.conv_seg.weight") for name in network.outside):
            return {"name": metadata.get("model", path.stem), **_describe_segmenter(segmenter_in(opened))}
        if network is not None and "mask_token" in network.decoder:
            autoencoder = _describe_autoencoder(network)
        del network
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            # A folder of timm or transformers is described by its config.json.
            is_foreign = path.is_dir() and read_config(path) is not None
            model = models.from_checkpoint(path) if is_foreign else from_opened(opened, opened.path)
    except ValueError:
        if not tensors:  # not written by a Trainer either
            raise
        return {
            "name": metadata.get("model", ""),
            "tensors": tensors,
            "classes": _class_list(json.loads(metadata.get("classes", "[]"))),
        }
    layers = {"architecture": type(model).__name__, "parameters": f"{model.num_parameters():,}"}
    note = "; ".join(str(one.message) for one in caught)
    if autoencoder:
        layers, note = {**autoencoder, "encoder": f"{_layout(model)}, {autoencoder['encoder']}"}, ""
    return {
        "name": model.checkpoint_name,
        **layers,
        "quantized": _schemes(model),
        "channels": str(model.in_chans),
        **_outputs(model),
        "preprocessing": str(model.preprocessing),
        "note": note,
    }


def _outputs(model: nn.Module) -> dict[str, str]:
    """What the outputs are, and their names."""
    names = _class_list(model.class_names)
    if model.task == "multilabel":
        return {"labels": f"{names}; each with a probability of its own, the sigmoid of an output"}
    if model.task == "regression":
        return {"numbers": names}
    return {"classes": names or "none, it gives features"}


def _network_in(path: Path, content: Any) -> Network | None:
    """The ConvNeXt in the content of a file or folder, if there is one."""
    found = list(find_networks(content)) if isinstance(content, Mapping) else []
    return select_network(str(path), found, use_ema=True) if found else None


def _describe_tensors(content: Any) -> str:
    values = [one for one in content.values() if isinstance(one, lucid.Tensor)] if isinstance(content, Mapping) else []
    return f"{len(values)} with {sum(one.numel() for one in values):,} numbers"


def _describe_autoencoder(network: Network) -> dict[str, str]:
    """The architecture of an ``FCMAE``."""
    decoder = {name: value for name, (_, value) in network.decoder.items()}
    first, second = (sum(math.prod(one.shape) for one in part.values()) for part in (network.tensors, decoder))
    depth = decoder_depth(decoder)
    blocks = f"{depth} block{'s' * (depth != 1)} of {decoder['mask_token'].shape[1]} channels"
    return {
        "architecture": "FCMAE, a masked autoencoder; models.from_checkpoint loads its encoder",
        "encoder": f"{first:,} parameters",
        "decoder": f"{blocks}, {second:,} parameters",
    }


def _describe_segmenter(model: models.UPerNet) -> dict[str, str]:
    body: nn.Module = model.backbone.body
    auxiliary = model.auxiliary_head
    return {
        "architecture": "UPerNet, for segmentation; models.load_segmenter loads it",
        "backbone": f"{_layout(body)}, {_count(body):,} parameters",
        "head": f"{model.channels} channels, {_count(model.decode_head):,} parameters",
        "auxiliary head": ""
        if auxiliary is None
        else f"{auxiliary.conv_seg.in_channels} channels, {_count(auxiliary):,} parameters, for training",
        "parameters": f"{_count(model):,}",
        "channels": str(body.in_chans),
        "classes": _class_list(model.class_names),
        "preprocessing": f"mean {model.preprocessing.mean}, std {model.preprocessing.std}, images of any size",
    }


def _layout(model: Any) -> str:
    kind = type(model).__name__
    return f"{kind}, {stages_text(model.depths, model.dims)}" if hasattr(model, "depths") else kind


def _count(model: nn.Module) -> int:
    return sum(one.numel() for one in model.parameters())


def _schemes(model: nn.Module) -> str:
    """How many layers are quantized, and how."""
    found = Counter(one.scheme for one in model.modules() if isinstance(one, nn.QuantizedLinear))
    kinds = [f"{n} layers to {by.bits} bits in groups of {by.group_size} ({by.mode})" for by, n in found.items()]
    return ", ".join(kinds)


def _class_list(names: list[str]) -> str:
    shown = ", ".join(names[:MAX_SHOWN_CLASSES]) + (", ..." if len(names) > MAX_SHOWN_CLASSES else "")
    return f"{len(names)}: {shown}" if names else ""


def _best_epoch(path: Path) -> str:
    found = best_result(path)
    if found is None:
        return ""
    epoch, epochs, name, value = found
    return f"{epoch} of {epochs}, {name} " + (f"{value:.2%}" if name.endswith("accuracy") else f"{value:.4g}")


def best_result(path: Path) -> tuple[int, int, str, float] | None:
    """The best epoch in the history of a run, the number of epochs, and the name and value of what it is best in.

    None if there is no such file, or if it has neither accuracies nor losses of evaluations.

    Raises:
        ValueError: The file is something else.
    """
    if not path.exists():
        return None
    try:
        rows = list(csv.DictReader(io.StringIO(read_regular(path).decode("utf-8"), newline=""), strict=True))
        for ending, choose in (
            ("_mean_iou", max),
            ("_accuracy", max),
            ("_mean_average_precision", max),
            ("_loss", min),
        ):
            columns = [name for name in rows[0] if name.endswith(ending) and not name.startswith("train_")]
            if columns:
                best = choose(rows, key=lambda row: float(row[columns[0]]))
                return int(best["epoch"]), len(rows), columns[0].replace("_", " "), float(best[columns[0]])
    except (ValueError, KeyError, TypeError, IndexError, csv.Error):
        raise ValueError(f"{path} is not the history of a run") from None
    return None


def _words(value: Any) -> str:
    return "x".join(map(str, value)) if isinstance(value, list) else str(value)


def main(argv: list[str] | None = None) -> int:
    parser = make_parser()
    args = parser.parse_args(argv)
    try:
        if args.what is None:
            found = describe_installation()
        elif Path(args.what).exists() or Path(args.what).suffix in SUFFIXES:
            found = describe_weights(Path(args.what))
        else:
            print(models.model_info(args.what))
            return 0
    except (ValueError, OSError) as error:
        parser.error(message_of(error))
    width = max(map(len, found))
    for name, value in found.items():
        print(f"{name:<{width}}  {value}")
    return 0
