"""Record the metadata of timm's and torchvision's ConvNeXt checkpoints, to compare Lucid's table of tags with.

    pip install timm torchvision && python -m tests.reference.record_tags

Needs neither Lucid nor a network. Tags are in the order of the library: timm's default comes first.
"""

import json
from pathlib import Path
from typing import Any

import timm
import torchvision
from timm.models import convnext
from torchvision.models import get_model_weights

FILE = Path(__file__).with_name("tags.json")
SIZES = {
    "convnext": (
        "atto", "femto", "pico", "nano", "tiny", "small", "base", "large", "xlarge", "xxlarge", "large_mlp", "tiny_hnf",
        "atto_ols", "femto_ols", "pico_ols", "nano_ols",
    ),
    "convnextv2": ("atto", "femto", "pico", "nano", "tiny", "base", "large", "huge"),
}  # fmt: skip


def timm_tags(variant: str) -> dict[str, dict[str, Any]]:
    return {
        tag: {
            "repository": cfg.hf_hub_id + (f"{variant}.{tag}" if cfg.hf_hub_id.endswith("/") else ""),
            "file": cfg.url,
            "license": cfg.license,
            "num_classes": cfg.num_classes,
            "image_size": cfg.input_size[-1],
            "crop_pct": cfg.crop_pct,
            "crop_mode": cfg.crop_mode,
            "interpolation": cfg.interpolation,
            "mean": cfg.mean,
            "std": cfg.std,
            "test_image_size": cfg.test_input_size and cfg.test_input_size[-1],
            "test_crop_pct": cfg.test_crop_pct,
        }
        for tag, cfg in convnext.default_cfgs[variant].cfgs.items()
        if cfg.hf_hub_id
    }


def torchvision_tag(variant: str) -> dict[str, Any]:
    [weights] = get_model_weights(variant)
    transforms = weights.transforms()
    return {
        "file": weights.url,
        "num_classes": len(weights.meta["categories"]),
        "image_size": transforms.crop_size[0],
        "resize_size": transforms.resize_size[0],
        "interpolation": transforms.interpolation.value,
        "mean": transforms.mean,
        "std": transforms.std,
        "top1": weights.meta["_metrics"]["ImageNet-1K"]["acc@1"],
    }


def main() -> None:
    variants = [f"{model}_{size}" for model, sizes in SIZES.items() for size in sizes]
    found = {
        "versions": {"timm": timm.__version__, "torchvision": torchvision.__version__},
        "timm": {variant: timm_tags(variant) for variant in variants},
        "torchvision": {f"convnext_{size}": torchvision_tag(f"convnext_{size}") for size in SIZES["convnext"][4:8]},
    }
    FILE.write_text(json.dumps(found, separators=(",", ":")) + "\n")
    print(f"{FILE.name}: {FILE.stat().st_size // 1000} kB, {found['versions']}")


if __name__ == "__main__":
    main()
