"""Write the checkpoints of ``checkpoint_cases.py`` with the libraries that people use.

    pip install torch torchvision timm transformers safetensors pytorch-lightning accelerate
    python -m tests.reference.record_checkpoints

Networks of timm, torchvision and transformers load the weights strictly and save them themselves. What needs a library
that is not installed (OpenMMLab, OpenCLIP, the authors' repositories) is written with the names and objects it writes.
"""

import argparse
import collections
import dataclasses
import datetime
import decimal
import enum
import fractions
import functools
import gzip
import io
import json
import lzma
import os
import pathlib
import pickle
import random
import shutil
import struct
import sys
import tarfile
import tempfile
import types
import uuid
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
import torchvision
import transformers
from safetensors.torch import save_file
from timm.models.convnext import ConvNeXt as TimmConvNeXt
from timm.models.convnext import checkpoint_filter_fn
from timm.utils import CheckpointSaver, ModelEmaV3
from torch import nn
from torchvision.models.convnext import CNBlockConfig
from torchvision.models.convnext import ConvNeXt as TorchvisionConvNeXt

from lucid import models
from lucid.models.weights.dialects import shape_in, translate
from tests.reference.checkpoint_cases import CLASSES, DIMS, FILE, HEAD, KINDS, images, value

Writer = Callable[[Path], None]
WRITERS: dict[str, Writer] = {}
State = OrderedDict


def writes(*files: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register a function that writes each of these files; with several, it gets the name as its second argument."""

    def register(function: Callable[..., None]) -> Callable[..., None]:
        for file in files:
            WRITERS[file] = functools.partial(function, name=file) if len(files) > 1 else function
        return function

    return register


def shapes(family: str = "ConvNeXt") -> dict[str, tuple[int, ...]]:
    model = getattr(models, family)(CLASSES, (1, 1, 1, 1), DIMS)
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}


def state(dialect: str = "official", family: str = "ConvNeXt", offset: float = 0, **options: Any) -> State:
    """The state dict of the network. With ``offset``, of one that must not be loaded."""
    found = State()
    for official, shape in shapes(family).items():
        name = translate(official, "official", dialect)
        assert name is not None, official
        array = value(official, shape) + np.float32(offset)
        found[name] = torch.from_numpy(array).reshape(shape_in(dialect, official, shape, **options))
    return found


def rule(old: str, new: str, names: State) -> State:
    return State((name.replace(old, new), tensor) for name, tensor in names.items())


def behind(prefix: str, names: State) -> State:
    return State((prefix + name, tensor) for name, tensor in names.items())


def official() -> nn.Module:
    """A module with official names."""
    root = nn.Module()
    for name, tensor in state().items():
        *path, last = name.split(".")
        at = root
        for part in path:
            if not hasattr(at, part):
                at.add_module(part, nn.Module())
            at = getattr(at, part)
        at.register_parameter(last, nn.Parameter(tensor.clone()))
    return root


def in_timm(v2: bool = False, conv_mlp: bool = False) -> TimmConvNeXt:
    options = {"use_grn": True, "ls_init_value": None} if v2 else {}
    model = TimmConvNeXt(num_classes=CLASSES, depths=(1, 1, 1, 1), dims=DIMS, conv_mlp=conv_mlp, **options)
    family = "ConvNeXtV2" if v2 else "ConvNeXt"
    model.load_state_dict(state("timm", family=family, pointwise_convolutions=conv_mlp))
    return model


def in_torchvision() -> TorchvisionConvNeXt:
    model = TorchvisionConvNeXt(
        [CNBlockConfig(*one, 1) for one in zip(DIMS, (*DIMS[1:], None), strict=True)], num_classes=CLASSES
    )
    model.load_state_dict(state("torchvision"))
    return model


def in_transformers(v2: bool = False, bare: bool = False) -> Any:
    kind = "ConvNextV2" if v2 else "ConvNext"
    options = {"depths": [1, 1, 1, 1], "hidden_sizes": list(DIMS), "num_labels": CLASSES}
    config = getattr(transformers, f"{kind}Config")(**options)
    model = getattr(transformers, f"{kind}Model" if bare else f"{kind}ForImageClassification")(config)
    names = state("huggingface", family="ConvNeXtV2" if v2 else "ConvNeXt")
    base = "" if bare else "convnextv2." if v2 else "convnext."
    names = State((name if "classifier" in name else base + name, one) for name, one in names.items())
    model.load_state_dict({name: one for name, one in names.items() if not (bare and "classifier" in name)})
    return model


def trained(model: nn.Module) -> torch.optim.Optimizer:
    """An optimizer with a state for ``model``, whose weights stay as they are."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.0, weight_decay=0.0)
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    return optimizer


def args() -> argparse.Namespace:
    return argparse.Namespace(model="convnext", lr=4e-3, output=Path("runs"), opt_betas=None, img_size=(3, 224, 224))


def fake(module: str, name: str, *bases: type, **members: Any) -> Any:
    """A class of a library that is not installed."""
    parts = module.split(".")
    for end in range(1, len(parts) + 1):
        sys.modules.setdefault(".".join(parts[:end]), types.ModuleType(".".join(parts[:end])))
    made = type(name, bases or (object,), {**members, "__module__": module})
    setattr(sys.modules[module], name, made)
    return made


# Files of torch.save -------------------------------------------------------------------------------------------------

SAVED: dict[str, Callable[[], Any]] = {
    "state_dict.pth": state,
    "wrapped_model.pth": lambda: {"model": state()},
    "wrapped_state_dict.pth.tar": lambda: {"state_dict": state(), "epoch": 3, "best_acc1": torch.tensor(81.5)},
    "parameters.pth": lambda: dict(official().named_parameters()),
    "half.pth": lambda: State((name, one.half()) for name, one in state().items()),
    "bfloat16.pth": lambda: State((name, one.bfloat16()) for name, one in state().items()),
    "float64.pth": lambda: State((name, one.double()) for name, one in state().items()),
    "float8_e4m3.pth": lambda: State((name, one.to(torch.float8_e4m3fn)) for name, one in state().items()),
    "float8_e5m2.pth": lambda: State((name, one.to(torch.float8_e5m2)) for name, one in state().items()),
    "float8_e8m0.pth": lambda: State((name, one.to(torch.float8_e8m0fnu)) for name, one in state().items()),
    "channels_last.pth": lambda: State(
        (name, one.to(memory_format=torch.channels_last) if one.ndim == 4 else one) for name, one in state().items()
    ),
    "ordered_subclass.pth": lambda: fake("mylib.states", "StateDict", OrderedDict)(state()),
    "default_dict.pth": lambda: collections.defaultdict(list, state()),
    "config_dict.pth": lambda: fake("easydict", "EasyDict", dict)(model=fake("easydict", "Inner", dict)(state())),
    "module.pth": in_timm,
    "wrapped_module.pth": lambda: {"epoch": 3, "model": in_timm()},
    "resnet.pth": lambda: {"conv1.weight": torch.ones(2, 3, 3, 3), "layer1.0.conv1.weight": torch.ones(2, 2, 3, 3)},
    "sparse.pth": lambda: State((name, one.to_sparse() if one.ndim > 1 else one) for name, one in state().items()),
    "quantized.pth": lambda: State(
        (name, torch.quantize_per_tensor(one, 0.1, 0, torch.qint8) if one.ndim > 1 else one)
        for name, one in state().items()
    ),
}  # fmt: skip


@writes(*SAVED)
def saved(path: Path, name: str) -> None:
    torch.save(SAVED[name](), path)


@writes(
    "legacy.pth", "legacy_protocol_4.pth", "protocol_4.pth", "protocol_5.pth", "protocol_0.pth", "module_legacy.pth"
)
def other_formats(path: Path, name: str) -> None:
    protocol = next((int(one) for one in "045" if one in name), 2)
    content = in_timm() if "module" in name else state()
    torch.save(content, path, pickle_protocol=protocol, _use_new_zipfile_serialization="legacy" not in name)


@writes("attributes.pth")
def attributes(path: Path) -> None:
    found = dict(official().named_parameters())
    for tensor in found.values():
        tensor.no_weight_decay = True
    plain = state()["head.bias"]
    plain.note = "a tensor with an attribute"
    torch.save({**found, "head.bias": plain}, path)


@writes("subclass.pth")
def subclass(path: Path) -> None:
    kind = fake("torchvision_like.tensors", "Weight", torch.Tensor)
    torch.save(State((name, one.as_subclass(kind)) for name, one in state().items()), path)


@writes("tied.pth")
def tied(path: Path) -> None:
    names = state()
    flat = torch.cat([one.flatten() for one in names.values()])
    parts = flat.split([one.numel() for one in names.values()])
    torch.save(
        State((name, part.view(one.shape)) for (name, one), part in zip(names.items(), parts, strict=True)), path
    )


def repacked(
    source: Path, path: Path, change: Callable[[str, bytes], bytes], compression: int = zipfile.ZIP_STORED
) -> None:
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(path, "w", compression) as new:
        for name in old.namelist():
            new.writestr(name, change(name, old.read(name)))


@writes("compressed.pth", "big_endian.pth", "truncated.pth", "flipped.pth")
def changed(path: Path, name: str) -> None:
    source = path.with_name("source")
    torch.save(state(), source)
    data = source.read_bytes()
    if name == "compressed.pth":
        repacked(source, path, lambda _, content: content, zipfile.ZIP_DEFLATED)
    elif name == "big_endian.pth":

        def swap(member: str, content: bytes) -> bytes:
            if member.endswith("byteorder"):
                return b"big"
            return np.frombuffer(content, "<f4").byteswap().tobytes() if "/data/" in member else content

        repacked(source, path, swap)
    elif name == "truncated.pth":
        path.write_bytes(data[: len(data) * 2 // 3])
    else:
        at = data.index(state()["head.weight"].numpy().tobytes())
        path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
    source.unlink()


# Training checkpoints ------------------------------------------------------------------------------------------------


@writes("authors.pth")
def authors(path: Path) -> None:
    names = state(offset=1)
    content = {
        "model": names,
        "optimizer": trained(official()).state_dict(),
        "epoch": 3,
        "args": args(),
        "model_ema": state(),
    }
    torch.save({**content, "scaler": {"scale": 65536.0, "growth_factor": 2.0, "_growth_tracker": 0}}, path)


@writes("timm_training.pth.tar", "timm_training_ema.pth.tar")
def timm_training(path: Path, name: str) -> None:
    model = in_timm()
    optimizer = trained(model)
    average = None
    if "ema" in name:
        average = ModelEmaV3(model)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter += 1
    with tempfile.TemporaryDirectory() as folder:
        saver = CheckpointSaver(model, optimizer, args(), model_ema=average, checkpoint_dir=folder, recovery_dir=folder)
        saver.save_checkpoint(3, np.float64(81.5))
        shutil.copy(Path(folder) / "last.pth.tar", path)


@writes("torchvision_training.pth")
def torchvision_training(path: Path) -> None:
    model = in_torchvision()
    optimizer = trained(model)
    average = torch.optim.swa_utils.AveragedModel(model)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 10)
    names = State((name, one + 1) for name, one in model.state_dict().items())
    content = {"model": names, "optimizer": optimizer.state_dict(), "lr_scheduler": schedule.state_dict()}
    torch.save({**content, "epoch": 3, "args": args(), "model_ema": average.state_dict()}, path)


@writes("lightning.ckpt", "lightning_namespace.ckpt", "lightning_weights.ckpt")
def lightning(path: Path, name: str) -> None:
    import pytorch_lightning as pl

    class Classifier(pl.LightningModule):
        def __init__(self, **options: Any) -> None:
            super().__init__()
            self.save_hyperparameters(args() if "namespace" in name else None)
            self.net = official()

        def training_step(self, batch: Any, index: int) -> torch.Tensor:
            return 0 * sum(parameter.sum() for parameter in self.net.parameters())

        def configure_optimizers(self) -> Any:
            optimizer = torch.optim.AdamW(self.parameters(), lr=0.0, weight_decay=0.0)
            return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 1)]

        def train_dataloader(self) -> Any:
            return torch.utils.data.DataLoader(torch.zeros(2, 1))

    with tempfile.TemporaryDirectory() as folder:
        callbacks = [pl.callbacks.ModelCheckpoint(dirpath=folder), pl.callbacks.LearningRateMonitor()]
        trainer = pl.Trainer(
            max_epochs=1, accelerator="cpu", logger=pl.loggers.CSVLogger(folder), callbacks=callbacks,
            enable_progress_bar=False, enable_model_summary=False,
        )  # fmt: skip
        trainer.fit(Classifier(lr=0.1, augment=["flip"]))
        trainer.save_checkpoint(path, weights_only="weights" in name)


PREFIXED = {
    "data_parallel.pth": lambda: nn.DataParallel(official()).state_dict(),
    "compiled.pth": lambda: behind("module.", torch.compile(official()).state_dict()),
    "compiled_blocks.pth": lambda: rule("stages.1.0.", "stages.1.0._orig_mod.", state()),
    "fsdp.pth": lambda: behind(
        "_fsdp_wrapped_module.", rule("stages.0.0.", "stages.0.0._fsdp_wrapped_module.", state())
    ),
    "activation_checkpointing.pth": lambda: rule("stages.0.0.", "stages.0.0._checkpoint_wrapped_module.", state()),
    "averaged.pth": lambda: torch.optim.swa_utils.AveragedModel(official()).state_dict(),
    "deepspeed.pt": lambda: {
        "module": state(), "buffer_names": [], "optimizer": None, "param_shapes": [OrderedDict(a=torch.Size([3]))],
        "frozen_param_shapes": None, "lr_scheduler": None, "sparse_tensor_module_names": set(), "skipped_steps": 0,
        "global_steps": 3, "dp_world_size": 1, "ds_config": {"train_batch_size": 8}, "ds_version": "0.16",
    },
}  # fmt: skip


@writes(*PREFIXED)
def prefixed(path: Path, name: str) -> None:
    torch.save(PREFIXED[name](), path)


def open_clip(mlp: bool = False) -> State:
    names = behind("visual.trunk.", state("timm"))
    weight = names.pop("visual.trunk.head.fc.weight")
    del names["visual.trunk.head.fc.bias"]
    if mlp:
        names["visual.head.mlp.fc1.weight"] = torch.from_numpy(value("pre_logits.weight", (CLASSES, DIMS[-1])))
        names["visual.head.mlp.fc1.bias"] = torch.from_numpy(value("pre_logits.bias", (CLASSES,)))
        weight = torch.from_numpy(value("head.weight", (CLASSES, CLASSES)))
    names[f"visual.head.{'mlp.fc2' if mlp else 'proj'}.weight"] = weight
    text = {
        "positional_embedding": torch.ones(4, 2),
        "text_projection": torch.ones(2, 3),
        "logit_scale": torch.tensor(2.0),
    }
    return State({**text, **names, "transformer.resblocks.0.attn.in_proj_weight": torch.ones(6, 2)})


@writes("open_clip.pt", "open_clip_mlp.pt", "open_clip_training.pt")
def open_clip_files(path: Path, name: str) -> None:
    names = open_clip(mlp="mlp" in name)
    content = {
        "epoch": 3,
        "name": "run",
        "state_dict": behind("module.", names),
        "optimizer": {"state": {}, "param_groups": []},
    }
    torch.save(content if "training" in name else names, path)


# Objects beside the weights ------------------------------------------------------------------------------------------


class Split(enum.Enum):
    """An enum of the training script."""

    TRAIN = "train"


class Options(enum.Flag):
    """A flag of the training script."""

    FLIP = 1
    CROP = 2


@dataclasses.dataclass
class Config:
    """A dataclass of the training script."""

    lr: float
    betas: tuple[float, float]


Point = collections.namedtuple("Point", "x y")


class Node:
    """An object that contains itself, through a tuple."""

    def __init__(self) -> None:
        self.loop = (self, [self])


def helper() -> None:
    """A function of the training script."""


class Malicious:
    """An object whose pickle calls os.system."""

    def __reduce__(self) -> Any:
        return os.system, ("echo this must not run",)


def cyclic() -> list[Any]:
    found: list[Any] = []
    found.append(found)
    return found


def quantized() -> list[torch.Tensor]:
    whole = torch.quantize_per_tensor(torch.arange(4.0), 0.1, 3, torch.quint8)
    return [whole, torch.quantize_per_channel(torch.ones(2, 2), torch.ones(2), torch.zeros(2), 0, torch.qint8)]


def schedulers() -> list[Any]:
    kinds = torch.optim.lr_scheduler
    made = [
        lambda one: kinds.LambdaLR(one, helper_rate), lambda one: kinds.OneCycleLR(one, 0.1, total_steps=5),
        lambda one: kinds.ReduceLROnPlateau(one), lambda one: kinds.CyclicLR(one, 0.1, 0.2, cycle_momentum=False),
        lambda one: kinds.SequentialLR(one, [kinds.ConstantLR(one), kinds.ExponentialLR(one, 0.9)], [2]),
    ]  # fmt: skip
    return [make(torch.optim.AdamW([torch.ones(1)], lr=0.1)).state_dict() for make in made]


def helper_rate(epoch: int) -> float:
    return 0.9**epoch


def random_states() -> dict[str, Any]:
    legacy = np.random.get_state()  # noqa: NPY002
    return {
        "torch": torch.get_rng_state(), "numpy": legacy, "python": random.getstate(),
        "generator": np.random.default_rng(0), "numpy_state": np.random.default_rng(0).bit_generator.state,
    }  # fmt: skip


BESIDE: dict[str, Callable[[], Any]] = {
    "namespace": lambda: [args(), types.SimpleNamespace(lr=0.1)],
    "path": lambda: {"output": Path("runs"), Path("key"): 1, "pure": pathlib.PurePosixPath("a/b")},
    "datetime": lambda: [
        datetime.datetime(2024, 1, 2, tzinfo=datetime.timezone.utc), datetime.timedelta(1), datetime.date(2024, 1, 2)
    ],
    "numbers": lambda: [decimal.Decimal("0.1"), fractions.Fraction(1, 3), uuid.UUID(int=5), range(3), slice(1, 2)],
    "numpy_scalar": lambda: [np.float64(0.5), np.int64(3), np.bool_(True), np.dtype("f4")],
    "numpy_array": lambda: [np.eye(2), np.array(["a", "ü"]), np.array([None, {}], object), np.zeros((0, 3), np.int8)],
    "rng": random_states,
    "default_dict": lambda: [
        collections.defaultdict(list, a=[1]), collections.defaultdict(int), collections.Counter("abba"),
        collections.deque([1, 2], 5), collections.deque(), collections.ChainMap({"a": 1}),
    ],
    "enum": lambda: {"split": Split.TRAIN, "options": Options.FLIP | Options.CROP, Split.TRAIN: 1},
    "dataclass": lambda: [Config(0.1, (0.9, 0.999)), Point(1, 2)],
    "function": lambda: [helper, torch.relu, nn.Linear, functools.partial(helper), "abc".upper, len],
    "bytes": lambda: [b"abc\xff", b"", bytearray(b"abc"), frozenset({1, 2}), {frozenset({1}): 1}, 1 + 2j],
    "keys": lambda: {
        "labels": {i: str(i) for i in range(22_000)}, torch.float32: 1, ((1, 2), "a"): 2, None: 3, b"b": 4
    },
    "torch": lambda: [
        torch.Size([2]), torch.device("cuda:1"), torch.bfloat16, torch.strided, torch.ones(2).untyped_storage()
    ],
    "sparse": lambda: [torch.eye(3).to_sparse(), torch.eye(3).to_sparse_csr()],
    "quantized": quantized,
    "complex": lambda: [torch.ones(2, dtype=torch.complex64).conj(), torch.ones(2, dtype=torch.complex128)],
    "meta": lambda: [torch.ones(2, device="meta")],
    "nested": lambda: [torch.nested.nested_tensor([torch.ones(2), torch.ones(3)])],
    "module": lambda: nn.CrossEntropyLoss(torch.ones(3)),
    "schedulers": lambda: [schedulers(), torch.amp.GradScaler("cpu").state_dict()],
    "cyclic_tuple": Node,
    "code": Malicious,
    "cyclic_list": cyclic,
}  # fmt: skip


@writes(*(f"beside_{name}.pth" for name in BESIDE), "beside_bytes_protocol_4.pth", "beside_quantized_legacy.pth")
def beside(path: Path, name: str) -> None:
    key = name.removeprefix("beside_").removesuffix(".pth").removesuffix("_protocol_4").removesuffix("_legacy")
    content = {"extra": BESIDE[key](), "model": state(), "epoch": 3}
    protocol = 4 if "protocol_4" in name else 2
    torch.save(content, path, pickle_protocol=protocol, _use_new_zipfile_serialization="legacy" not in name)


@writes("code.pth")
def code(path: Path) -> None:
    torch.save(Malicious(), path)


# Safetensors ---------------------------------------------------------------------------------------------------------


@writes(
    *(
        kind.file
        for kind in KINDS
        if kind.file.startswith(("official.", "half.s", "bfloat16.s", "float64.s", "float8_"))
        and kind.file.endswith(".safetensors")
    )
)
def safetensors_files(path: Path, name: str) -> None:
    dtypes = {
        "half": torch.float16, "bfloat16": torch.bfloat16, "float64": torch.float64, "float8_e4m3": torch.float8_e4m3fn,
        "float8_e5m2": torch.float8_e5m2, "float8_e8m0": torch.float8_e8m0fnu, "official": torch.float32,
    }  # fmt: skip
    save_file({key: one.to(dtypes[path.stem]) for key, one in state().items()}, path, {"format": "pt"})


@writes("truncated.safetensors", "trailing.safetensors", "overlapping.safetensors", "duplicate.safetensors")
def damaged_safetensors(path: Path, name: str) -> None:
    save_file(dict(state()), path)
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    header, body = json.loads(data[8 : 8 + size]), data[8 + size :]
    text = json.dumps(header)
    if name.startswith("truncated"):
        body = body[:-20]
    elif name.startswith("trailing"):
        body += b"\0"
    elif name.startswith("overlapping"):
        first, second = sorted(header.values(), key=lambda one: one["data_offsets"])[:2]
        size_of_second = second["data_offsets"][1] - second["data_offsets"][0]
        second["data_offsets"] = [first["data_offsets"][0], first["data_offsets"][0] + size_of_second]
        text = json.dumps(header)
    else:
        text = text[:-1] + f', "head.bias": {json.dumps(header["head.bias"])}' + "}"
    path.write_bytes(struct.pack("<Q", len(text)) + text.encode() + body)


# Names of other libraries --------------------------------------------------------------------------------------------


@writes("timm.safetensors")
def timm_safetensors(path: Path) -> None:
    save_file(in_timm().state_dict(), path, {"format": "pt"})


@writes("timm_conv_mlp.pth", "timm_v2.pth")
def timm_pth(path: Path, name: str) -> None:
    torch.save(in_timm(v2="v2" in name, conv_mlp="conv" in name).state_dict(), path)


@writes("torchvision.pth")
def torchvision_pth(path: Path) -> None:
    torch.save(in_torchvision().state_dict(), path)


@writes("transformers.safetensors", "transformers_v2.safetensors", "transformers_bare.safetensors")
def transformers_files(path: Path, name: str) -> None:
    save_file(in_transformers(v2="v2" in name, bare="bare" in name).state_dict(), path, {"format": "pt"})


@writes("dinov3_transformers.safetensors")
def dinov3(path: Path) -> None:
    config = transformers.DINOv3ConvNextConfig(hidden_sizes=list(DIMS), depths=[1] * 4)
    model = transformers.DINOv3ConvNextModel(config)
    own = state()
    names = State()
    for name, one in own.items():
        part = name.split(".")
        if part[0] == "stages":
            inner = {
                "dwconv": "depthwise_conv",
                "norm": "layer_norm",
                "pwconv1": "pointwise_conv1",
                "pwconv2": "pointwise_conv2",
            }
            name = ".".join(["stages", part[1], "layers", part[2], inner.get(part[3], part[3]), *part[4:]])
        elif part[0] == "downsample_layers":
            name = ".".join(["stages", part[1], "downsample_layers", *part[2:]])
        elif part[0] == "norm":
            name = f"layer_norm.{part[1]}"
        else:
            continue
        names[name] = one
    model.eval().load_state_dict(
        State((name if "layer_norm." in name[:11] else f"model.{name}", one) for name, one in names.items())
    )
    save_file(model.state_dict(), path, {"format": "pt"})
    with torch.no_grad():
        np.save(
            path.with_name("dinov3_transformers_outputs.npy"), model(torch.from_numpy(images())).pooler_output.numpy()
        )


def without_head(names: State) -> State:
    return State((name, one) for name, one in names.items() if name not in HEAD)


@writes("open_clip_outputs.npy", "open_clip_mlp_outputs.npy")
def open_clip_outputs(path: Path, name: str) -> None:
    """What timm computes with the file, through its own translation of OpenCLIP's names."""
    mlp = "mlp" in name
    model = TimmConvNeXt(num_classes=CLASSES, depths=(1, 1, 1, 1), dims=DIMS, head_hidden_size=CLASSES if mlp else None)
    model.load_state_dict(checkpoint_filter_fn(open_clip(mlp), model))
    with torch.no_grad():
        np.save(path, model.eval()(torch.from_numpy(images())).numpy())


@writes("dinov3_meta.pth")
def dinov3_meta(path: Path) -> None:
    names = without_head(state())
    torch.save({**names, "norms.3.weight": names["norm.weight"], "norms.3.bias": names["norm.bias"]}, path)


@writes("fcmae.pt")
def fcmae(path: Path) -> None:
    """As the authors' sparse encoder is saved: the inverse of their ``remap_checkpoint_keys``."""
    names = State()
    for name, one in without_head(state(family="ConvNeXtV2")).items():
        if name.startswith("norm."):
            continue
        stem = name.startswith("downsample_layers.0.")
        if name.endswith(".weight") and one.ndim == 4 and not stem:
            outer, inner, height, width = one.shape
            kernel = one.transpose(3, 2).reshape(outer, inner, height * width).permute(2, 1, 0)
            one = kernel[:, 0] if ".dwconv." in name else kernel
            name = name.removesuffix("weight") + "kernel"
        elif name.endswith(".bias") and (
            ".dwconv." in name or (name.startswith("downsample_layers") and ".1." in name and not stem)
        ):
            one = one[None]
        elif ".grn." in name:
            one = one.reshape(1, -1)
        elif ".pwconv" in name:
            name = name.replace(".weight", ".linear.weight").replace(".bias", ".linear.bias")
        elif not stem:
            name = name.replace(".weight", ".ln.weight").replace(".bias", ".ln.bias")
        names[f"encoder.{name}"] = one.contiguous()
    decoder = {"mask_token": torch.ones(1, 2, 1, 1), "proj.weight": torch.ones(2, 5, 1, 1), "proj.bias": torch.ones(2)}
    decoder |= {"decoder.0.dwconv.weight": torch.ones(2, 1, 7, 7), "decoder.0.grn.gamma": torch.ones(1, 1, 1, 8)}
    torch.save({"model": {**decoder, **names, "pred.weight": torch.ones(4, 2, 1, 1)}, "epoch": 3, "args": args()}, path)


def in_openmmlab() -> State:
    names = without_head(state())
    for old, new in ((".dwconv.", ".depthwise_conv."), (".pwconv", ".pointwise_conv")):
        names = rule(old, new, names)
    return behind(
        "backbone.",
        State(
            (name.replace("norm.", "norm3.") if name.startswith("norm.") else name, one) for name, one in names.items()
        ),
    )


@writes("mmpretrain.pth")
def mmpretrain(path: Path) -> None:
    history = fake("mmengine.logging.history_buffer", "HistoryBuffer")()
    history._log_history, history._count_history = np.ones(3), np.ones(3)
    full = state()
    names = State({**in_openmmlab(), "head.fc.weight": full["head.weight"], "head.fc.bias": full["head.bias"]})
    meta = {
        "mmengine_version": "0.8.3",
        "seed": 0,
        "cfg": "model = dict()",
        "time": "20230602",
        "dataset_meta": {"classes": ("a",)},
    }
    hub = {"log_scalars": {"train/loss": history}, "runtime_info": OrderedDict(iter=np.int64(3)), "resumed_keys": {}}
    torch.save({"meta": meta, "state_dict": names, "message_hub": hub, "param_schedulers": []}, path)


def dense_norms(names: State) -> State:
    norms = {
        f"backbone.norm{stage}.{part}": torch.ones(DIMS[stage]) for stage in range(3) for part in ("weight", "bias")
    }
    head = {"decode_head.conv_seg.weight": torch.ones(2, 4, 1, 1), "decode_head.conv_seg.bias": torch.ones(2)}
    return State({**names, **norms, **head, "auxiliary_head.convs.0.conv.weight": torch.ones(2, 4, 3, 3)})


@writes("mmsegmentation.pth")
def mmsegmentation(path: Path) -> None:
    torch.save(
        {"meta": {"CLASSES": ("wall",), "PALETTE": [[1, 2, 3]]}, "state_dict": dense_norms(in_openmmlab())}, path
    )


@writes("authors_segmentation.pth")
def authors_segmentation(path: Path) -> None:
    names = behind("backbone.", without_head(state()))
    names = State((name.replace("backbone.norm.", "backbone.norm3."), one) for name, one in names.items())
    torch.save({"meta": {"epoch": 3}, "state_dict": dense_norms(names), "optimizer": {}}, path)


# Classifiers of your own ---------------------------------------------------------------------------------------------


@writes("own_fc.pth", "own_sequential.pth", "own_wrapper.pth", "own_without_bias.pth", "no_classifier.pth")
def own_classifiers(path: Path, name: str) -> None:
    names = without_head(state())
    if name == "own_wrapper.pth":
        names = behind("backbone.", names)
    place = {
        "own_fc.pth": "fc",
        "own_sequential.pth": "head.1",
        "own_wrapper.pth": "classifier",
        "own_without_bias.pth": "head",
    }
    if name in place:
        names[f"{place[name]}.weight"] = state()["head.weight"]
    if name in place and name != "own_without_bias.pth":
        names[f"{place[name]}.bias"] = state()["head.bias"]
    torch.save(names, path)


@writes("own_timm.pth", "own_torchvision.pth")
def replaced_classifiers(path: Path, name: str) -> None:
    if "timm" in name:
        model: nn.Module = in_timm()
        model.head.fc = nn.Sequential(nn.Dropout(0.5), model.head.fc)
    else:
        model = in_torchvision()
        model.classifier[2] = nn.Sequential(nn.Dropout(0.5), model.classifier[2])
    torch.save(model.state_dict(), path)


# Folders -------------------------------------------------------------------------------------------------------------


@writes("transformers_folder", "transformers_shards")
def transformers_folder(path: Path, name: str) -> None:
    in_transformers().save_pretrained(path, max_shard_size="3KB" if "shards" in name else "1GB")


@writes("bin_shards", "missing_shard")
def bin_shards(path: Path, name: str) -> None:
    path.mkdir()
    names = list(in_transformers().state_dict().items())
    places = {}
    for number, part in enumerate((names[:9], names[9:]), 1):
        file = f"pytorch_model-0000{number}-of-00002.bin"
        torch.save(dict(part), path / file)
        places |= {key: file for key, _ in part}
    (path / "pytorch_model.bin.index.json").write_text(
        json.dumps({"metadata": {"total_size": 1}, "weight_map": places})
    )
    if name == "missing_shard":
        (path / "pytorch_model-00002-of-00002.bin").unlink()


@writes("trainer_folder")
def trainer_folder(path: Path) -> None:
    model = in_transformers()
    model.save_pretrained(path)
    optimizer = trained(model)
    torch.save(optimizer.state_dict(), path / "optimizer.pt")
    torch.save(torch.optim.lr_scheduler.StepLR(optimizer, 1).state_dict(), path / "scheduler.pt")
    torch.save(random_states(), path / "rng_state.pth")
    torch.save(args(), path / "training_args.bin")
    (path / "trainer_state.json").write_text("{}")


@writes("accelerate_folder")
def accelerate_folder(path: Path) -> None:
    from accelerate import Accelerator

    accelerator = Accelerator(cpu=True)
    model = in_timm()
    accelerator.prepare(model, trained(model))
    accelerator.save_state(str(path))


@writes("open_clip_folder")
def open_clip_folder(path: Path) -> None:
    path.mkdir()
    save_file(dict(open_clip()), path / "open_clip_model.safetensors")
    torch.save(open_clip(), path / "open_clip_pytorch_model.bin")
    (path / "open_clip_config.json").write_text("{}")


@writes("one_file", "two_files")
def plain_folders(path: Path, name: str) -> None:
    path.mkdir()
    torch.save(state(), path / "epoch_3.pth")
    (path / "log.txt").write_text("epoch 3")
    if name == "two_files":
        torch.save(state(), path / "epoch_4.pth")


@writes("distributed")
def distributed(path: Path) -> None:
    import torch.distributed.checkpoint

    torch.distributed.checkpoint.save({"model": state()}, checkpoint_id=str(path), no_dist=True)


# Other files ---------------------------------------------------------------------------------------------------------


@writes("torchscript.pt", "exported.pt2")
def programs(path: Path, name: str) -> None:
    model = nn.Linear(2, 2)
    if name == "torchscript.pt":
        torch.jit.trace(model, torch.ones(1, 2)).save(path)
    else:
        torch.export.save(torch.export.export(model, (torch.ones(1, 2),)), path)


@writes("pickle.pkl.bin")
def numpy_pickle(path: Path) -> None:
    path.write_bytes(pickle.dumps({name: one.numpy() for name, one in state().items()}))


@writes("arrays.npz.bin")
def numpy_archive(path: Path) -> None:
    stream = io.BytesIO()
    np.savez(stream, **{name: one.numpy() for name, one in state().items()})
    path.write_bytes(stream.getvalue())


@writes("archive.tar.bin")
def tar_archive(path: Path) -> None:
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive:
        archive.addfile(tarfile.TarInfo("model.pth"))


BYTES = {
    "lfs.safetensors": b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 114374272\n",
    "config.json.bin": b'{\n  "architectures": ["ConvNextModel"]\n}\n',
    "gzipped.pth.gz.bin": gzip.compress(b"weights", mtime=0),
    "page.pth": b"<!DOCTYPE html><html><head><title>Sign in</title></head></html>\n",
    "keras.h5.bin": b"\x89HDF\r\n\x1a\n" + bytes(64),
    "empty.pth": b"",
}


@writes(*BYTES)
def other_bytes(path: Path, name: str) -> None:
    path.write_bytes(BYTES[name])


def members(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


def main() -> None:
    warnings.simplefilter("ignore")
    torch.manual_seed(0)
    kinds = {kind.file for kind in KINDS}
    wanted = {file for file in WRITERS if not file.endswith(".npy")}
    assert kinds == wanted, kinds ^ wanted
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file in sorted(WRITERS):
            WRITERS[file](folder / file)
        # One archive, because the files have most of their bytes in common.
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as archive:
            for path in members(folder):
                info = tarfile.TarInfo(path.relative_to(folder).as_posix())
                info.size = path.stat().st_size
                with path.open("rb") as content:
                    archive.addfile(info, content)
        FILE.write_bytes(lzma.compress(stream.getvalue(), preset=9 | lzma.PRESET_EXTREME))
    versions = ", ".join(f"{one.__name__} {one.__version__}" for one in (torch, torchvision, timm, transformers))
    print(f"{FILE.name}: {len(kinds)} checkpoints, {FILE.stat().st_size // 1000} kB, {versions}")


if __name__ == "__main__":
    main()
