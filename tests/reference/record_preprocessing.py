"""Record how timm, torchvision and transformers prepare the images of preprocessing_cases.py.

    pip install timm torchvision transformers && python -m tests.reference.record_preprocessing

Needs neither Lucid nor a network. Normalized pixels are converted back to bytes, which loses nothing.
"""

from typing import Any

import numpy as np
import timm
import torch
from PIL import Image
from timm.data import create_transform, resolve_data_config
from timm.models import get_pretrained_cfg
from torchvision.models import get_model_weights
from transformers import ConvNextImageProcessorPil

from tests.reference.preprocessing_cases import CASES, FILE, STEP, image, key

IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def prepare(tag: str, size: Any, source_image: Image.Image) -> tuple[np.ndarray, Any, Any]:
    """Pixels (3, H, W) from the library, and the mean and std that it used."""
    source, name = tag.split("/")
    rgb = source_image.convert("RGB")
    if source == "timm":
        args = {"img_size": size} if isinstance(size, int) else {}
        cfg = get_pretrained_cfg(name).to_dict()
        config = resolve_data_config(args, pretrained_cfg=cfg, use_test_size=size == "test")
        return create_transform(**config)(rgb).numpy(), config["mean"], config["std"]
    if source == "torchvision":
        [weights] = get_model_weights(name.partition(".")[0])
        transforms = weights.transforms()
        return transforms(rgb).numpy(), transforms.mean, transforms.std
    # The settings of the repositories, from transformers' conversion scripts. The results of its torchvision backend
    # differ by up to 2/255 from those of this one, which uses Pillow.
    edge = int(name.rpartition("-")[2])
    processor = ConvNextImageProcessorPil(
        size={"shortest_edge": edge}, crop_pct=224 / 256, image_mean=IMAGENET[0], image_std=IMAGENET[1]
    )
    return processor(rgb, return_tensors="np")["pixel_values"][0], *IMAGENET


def main() -> None:
    torch.set_num_threads(1)
    found: dict[str, np.ndarray] = {}
    for tag, size, name in CASES:
        normalized, mean, std = prepare(tag, size, image(name))
        exact = (normalized.astype(np.float64).transpose(1, 2, 0) * std + mean) * 255
        pixels = np.rint(exact).astype(np.uint8)
        assert np.abs(exact - pixels).max() < 1e-2, (tag, name)
        found[key(tag, size, name)] = pixels[::STEP, ::STEP]
        found[key(tag, size, name) + " sum"] = np.array([*pixels.shape[:2], *pixels.sum((0, 1), dtype=np.int64)])
    np.savez_compressed(FILE, **found)
    print(f"{FILE.name}: {FILE.stat().st_size // 1000} kB, timm {timm.__version__}, torch {torch.__version__}")


if __name__ == "__main__":
    main()
