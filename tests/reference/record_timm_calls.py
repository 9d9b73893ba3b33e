"""Record timm's results for the calls in ``timm_calls.py``: shapes, reductions, channels, names, layers.

    pip install torch timm && python -m tests.reference.record_timm_calls

Needs neither Lucid nor a network.
"""

import json
import re
from typing import Any

import timm
import torch
from timm.optim import param_groups_layer_decay

from tests.reference.convnext_cases import numbers, weight
from tests.reference.timm_calls import FEATURES, FILE, HEADS, IMAGE_SIZES, LAYER_DECAY, LISTS, LOGITS, SMALL

_RENAMED = [  # timm's parameters to the authors', which are Lucid's
    (r"^stem\.", "downsample_layers.0."),
    (r"^stages\.(\d+)\.downsample\.", r"downsample_layers.\1."),
    (r"^stages\.(\d+)\.blocks\.(\d+)", r"stages.\1.\2"),
    (r"\.conv_dw\.", ".dwconv."),
    (r"\.mlp\.fc", ".pwconv"),
    (r"\.mlp\.grn\.weight$", ".grn.gamma"),
    (r"\.mlp\.grn\.bias$", ".grn.beta"),
    (r"^head\.norm\.", "norm."),
    (r"^head\.pre_logits\.fc\.", "pre_logits."),
    (r"^head\.fc\.", "head."),
]


def authors_name(name: str) -> str:
    for pattern, replacement in _RENAMED:
        name = re.sub(pattern, replacement, name)
    return name


def images(arguments: dict[str, Any], size: tuple[int, int]) -> torch.Tensor:
    return torch.zeros(1, arguments.get("in_chans", 3), *size)


def features() -> list[dict[str, Any]]:
    found = []
    for arguments in FEATURES:
        model = timm.create_model("convnext_tiny", features_only=True, **SMALL, **arguments).eval()
        info = model.feature_info
        found.append(
            {
                "channels": info.channels(),
                "reduction": info.reduction(),
                "module_name": info.module_name(),
                "all channels": info.channels([0, 1, 2, 3]),
                "shapes": [[list(y.shape) for y in model(images(arguments, size))] for size in IMAGE_SIZES],
            }
        )
    return found


def heads() -> list[dict[str, Any]]:
    found = []
    for arguments, reset in HEADS:
        model = timm.create_model("convnext_tiny", **SMALL, **arguments).eval()
        if reset is not None:
            model.reset_classifier(**reset)
        x = images(arguments, (64, 96))
        y = model.forward_features(x)
        found.append(
            {
                "num_classes": model.num_classes,
                "num_features": model.num_features,
                "classifier": type(model.get_classifier()).__name__ != "Identity",
                "output": list(model(x).shape),
                "features": list(y.shape),
                "pre_logits": list(model.forward_head(y, pre_logits=True).shape),
                "parameters": sum(p.numel() for p in model.parameters()),
            }
        )
    return found


def logits() -> dict[str, Any]:
    """In float64."""
    found = {}
    for case, (kind, arguments, shape) in LOGITS.items():
        name = "convnextv2_tiny" if kind == "V2" else "convnext_tiny"
        model = timm.create_model(name, num_classes=7, **SMALL, **arguments).double().eval()
        for timms, parameter in model.named_parameters():
            own = authors_name(timms)
            # a 1x1 convolution in models without pooling
            flat = own in ("head.weight", "pre_logits.weight")
            formula = weight(case, own, tuple(parameter.shape[:2] if flat else parameter.shape))
            parameter.copy_(torch.tensor(formula).reshape(parameter.shape))
        y = model(torch.tensor(numbers(f"{case}/images", shape)).double())
        found[case] = {"shape": list(y.shape), "values": [round(v, 7) for v in y.flatten().tolist()]}
    return found


def layer_decay() -> dict[str, Any]:
    found = {}
    for kind, depths in LAYER_DECAY.items():
        name = "convnextv2_tiny" if kind == "V2" else "convnext_tiny"
        model = timm.create_model(name, num_classes=10, depths=depths, dims=(4, 4, 4, 4))
        names = {id(p): authors_name(n) for n, p in model.named_parameters()}
        groups = param_groups_layer_decay(model, weight_decay=0.05, layer_decay=0.75)
        parameters = {names[id(p)]: [g["lr_scale"], g["weight_decay"]] for g in groups for p in g["params"]}
        found[kind] = {"depths": list(depths), "parameters": parameters}
    return found


def main() -> None:
    with torch.no_grad():
        answers = {
            "features": features(),
            "heads": heads(),
            "lists": [timm.list_models(**arguments) for arguments in LISTS],
            "layer decay": layer_decay(),
            "logits": logits(),
        }
    FILE.write_text(json.dumps(answers, separators=(",", ":")) + "\n")
    print(f"{FILE.name}: {FILE.stat().st_size // 1000} kB, timm {timm.__version__}")


if __name__ == "__main__":
    main()
