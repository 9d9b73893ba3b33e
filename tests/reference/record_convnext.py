"""Record logits and gradients of small ConvNeXts in Hugging Face's implementation, computed in float64.

    pip install torch transformers && python -m tests.reference.record_convnext

Needs neither Lucid nor a network. Parameters are renamed to the authors' names, which are Lucid's.
"""

import re

import numpy as np
import torch
from transformers import ConvNextConfig, ConvNextForImageClassification

from tests.reference.convnext_cases import CASES, FILE, numbers, weight

_RENAMED = [
    (r"^convnext\.", ""),
    (r"^embeddings\.patch_embeddings\.", "downsample_layers.0.0."),
    (r"^embeddings\.layernorm\.", "downsample_layers.0.1."),
    (r"^encoder\.stages\.(\d+)\.downsampling_layer\.", r"downsample_layers.\1."),
    (r"^encoder\.stages\.(\d+)\.layers\.", r"stages.\1."),
    (r"^layernorm\.", "norm."),
    (r"\.layernorm\.", ".norm."),
    (r"\.layer_scale_parameter$", ".gamma"),
    (r"^classifier\.", "head."),
]


def authors_name(name: str) -> str:
    for pattern, replacement in _RENAMED:
        name = re.sub(pattern, replacement, name)
    return name


def main() -> None:
    found: dict[str, np.ndarray] = {}
    for case, (depths, dims, in_chans, patch_size, scaled, classes, shape) in CASES.items():
        config = ConvNextConfig(
            num_channels=in_chans, patch_size=patch_size, num_stages=len(dims), hidden_sizes=list(dims),
            depths=list(depths), layer_scale_init_value=1e-6 if scaled else 0.0, layer_norm_eps=1e-6,
            num_labels=classes, hidden_act="gelu",
        )  # fmt: skip
        model = ConvNextForImageClassification(config).double()
        parameters = {authors_name(name): parameter for name, parameter in model.named_parameters()}
        with torch.no_grad():
            for name, parameter in parameters.items():
                parameter.copy_(torch.tensor(weight(case, name, tuple(parameter.shape))))
        images = torch.tensor(numbers(f"{case}/images", shape), dtype=torch.float64, requires_grad=True)
        features = model.convnext(images).pooler_output
        logits = model.classifier(features) if classes else features
        cotangent = torch.tensor(numbers(f"{case}/cotangent", tuple(logits.shape)), dtype=torch.float64)
        logits.backward(cotangent)
        found[f"{case}/logits"] = logits.detach().numpy().astype(np.float32)
        found[f"{case}/images.grad"] = images.grad.numpy().astype(np.float32)
        for name, parameter in parameters.items():
            if parameter.grad is not None:  # the classifier of a model without classes
                found[f"{case}/{name}.grad"] = parameter.grad.numpy().astype(np.float32)
        print(f"{case}: logits of scale {logits.abs().mean():.2f}, {len(parameters)} parameters")
    np.savez_compressed(FILE, **found)
    print(f"{FILE.name}: {FILE.stat().st_size // 1000} kB, torch {torch.__version__}")


if __name__ == "__main__":
    main()
