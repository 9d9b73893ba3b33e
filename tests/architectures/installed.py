"""Compare Lucid with PyTorch on models of the installed torchvision and timm, on top of ``lucid.torch``.

``python -m tests.architectures.live`` runs this file twice, in processes of their own: with PyTorch, which writes its
results to a file, and with Lucid as ``torch``, which compares. Most models have reduced widths and depths.
"""

import argparse
import importlib
import importlib.util
import re
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import lucid.torch
from tests.architectures.architecture import (
    Architecture,
    classification,
    images,
    integers,
    largest_noise,
    run,
    run_exactly,
)
from tests.architectures.comparison import record, recorded_differences

CLASSES = 4
# Names of timm.create_model, or classes of timm.models.
TIMM = {
    "convnext_atto": {"depths": (1, 1, 1, 1), "dims": (8, 12, 16, 24)},
    "convnextv2_atto": {"depths": (1, 1, 1, 1), "dims": (8, 12, 16, 24)},
    "vit_tiny_patch16_224": {"img_size": 32, "patch_size": 8, "embed_dim": 24, "depth": 2, "num_heads": 3},
    "deit_tiny_distilled_patch16_224": {
        "img_size": 32, "patch_size": 8, "embed_dim": 24, "depth": 2, "num_heads": 3,
    },
    "swin_tiny_patch4_window7_224": {
        "img_size": 32, "window_size": 4, "embed_dim": 12, "depths": (2, 2), "num_heads": (2, 4),
    },
    "resnet10t": {"channels": (8, 12, 16, 24), "stem_width": 8},
    "mobilenetv3_small_050": {},
    "MlpMixer": {"img_size": 32, "patch_size": 8, "embed_dim": 16, "num_blocks": 2},
    "ConvMixer": {"dim": 16, "depth": 2, "patch_size": 4, "kernel_size": 5},
}  # fmt: skip


def torchvision_models() -> dict[str, Callable[[Any], Any]]:
    """The models by name, as functions of ``torchvision.models``."""

    def convnext(models: Any) -> Any:
        config = models.convnext.CNBlockConfig
        return models.ConvNeXt([config(8, 12, 1), config(12, None, 1)], num_classes=CLASSES)

    def densenet(models: Any) -> Any:
        return models.DenseNet(4, (2, 2), num_init_features=8, num_classes=CLASSES)

    def efficientnet(models: Any) -> Any:
        config = models.efficientnet.MBConvConfig
        settings = [config(1, 3, 1, 16, 8, 1), config(4, 5, 2, 8, 12, 2), config(4, 3, 2, 12, 16, 1)]
        return models.EfficientNet(settings, dropout=0.0, stochastic_depth_prob=0.0, num_classes=CLASSES)

    def resnext(models: Any) -> Any:
        block = models.resnet.Bottleneck
        return models.ResNet(block, [1, 1, 1, 1], num_classes=CLASSES, groups=4, width_per_group=1)

    def swin(models: Any, **options: Any) -> Any:
        return models.SwinTransformer(
            [4, 4], 8, [2, 2], [2, 2], [4, 4], stochastic_depth_prob=0.0, num_classes=CLASSES, **options
        )

    def swin_v2(models: Any) -> Any:
        module = models.swin_transformer
        return swin(models, block=module.SwinTransformerBlockV2, downsample_layer=module.PatchMergingV2)

    def vit(models: Any) -> Any:
        return models.VisionTransformer(64, 16, 2, 2, 16, 24, num_classes=CLASSES)

    return {
        "convnext": convnext,
        "densenet": densenet,
        "efficientnet": efficientnet,
        "mobilenet_v2": lambda models: models.mobilenet_v2(width_mult=0.25, num_classes=CLASSES),
        "mobilenet_v3_small": lambda models: models.mobilenet_v3_small(num_classes=CLASSES),
        "resnext": resnext,
        "shufflenet_v2_x0_5": lambda models: models.shufflenet_v2_x0_5(num_classes=CLASSES),
        "squeezenet1_1": lambda models: models.squeezenet1_1(num_classes=CLASSES),
        "swin": swin,
        "swin_v2": swin_v2,
        "vit": vit,
    }


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("library", choices=("pytorch", "lucid"))
    parser.add_argument("file", type=Path, help="PyTorch's results: written with pytorch, read with lucid")
    parser.add_argument("pattern", nargs="?", default="", help="a regular expression that names contain")
    options = parser.parse_args(arguments)
    warnings.simplefilter("ignore")
    if options.library == "lucid":
        lucid.torch.install()
    torch = importlib.import_module("torch")
    records = dict(np.load(options.file)) if options.file.exists() else {}
    wrong = 0
    for one in architectures(options.pattern):
        start = time.perf_counter()
        try:
            if options.library == "pytorch":
                exact = run_exactly(torch, one)
                records |= record(one.name, exact, largest_noise(torch, one, exact))
                np.savez(options.file, **records)
                continue
            differences = recorded_differences(run(torch, one), records, one.name)
        except Exception:
            differences = [traceback.format_exc()]
        wrong += bool(differences)
        print(f"{one.name}: {len(differences)} differences, {time.perf_counter() - start:.1f} s", flush=True)
        for line in differences[:10]:
            print(f"    {line}")
    return wrong


def architectures(pattern: str) -> Iterator[Architecture]:
    """Those whose package is installed and whose name, such as "timm convnext_atto", matches."""
    if importlib.util.find_spec("torchvision"):
        models = importlib.import_module("torchvision.models")
        for name, make in torchvision_models().items():
            if re.search(pattern, f"torchvision {name}"):
                yield _classifier(f"torchvision {name}", lambda torch, make=make: make(models), 64)
    if importlib.util.find_spec("timm"):
        timm = importlib.import_module("timm")
        for name, options in TIMM.items():
            if re.search(pattern, f"timm {name}"):

                def create(torch: Any, name: str = name, options: dict[str, Any] = options) -> Any:
                    make = getattr(timm.models, name) if name[0].isupper() else partial(timm.create_model, name)
                    return make(num_classes=CLASSES, **options)

                yield _classifier(f"timm {name}", create, options.get("img_size", 64))


def _classifier(name: str, make: Callable[[Any], Any], side: int) -> Architecture:
    def without_dropout(torch: Any) -> Any:
        model = make(torch)
        for module in model.modules():
            for rate in ("p", "drop_prob"):
                if isinstance(getattr(module, rate, None), float):
                    setattr(module, rate, 0.0)
        return model

    return Architecture(name, without_dropout, (images(2, 3, side, side), integers(CLASSES, 2)), {"": classification})


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
