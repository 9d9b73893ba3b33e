"""Record features and logits of ConvNeXts in the four public implementations, computed in float64.

    pip install torch torchvision timm transformers
    git clone https://github.com/facebookresearch/ConvNeXt && git clone https://github.com/facebookresearch/ConvNeXt-V2
    python -m tests.reference.record_dialects --official FOLDER   # with the two clones

Without --official the recordings of the authors' networks are kept. Needs neither Lucid nor, after the downloads, a
network. Names and shapes of all parameters are recorded too, so that tests can write the checkpoints.
"""

import argparse
import importlib
import json
import sys
import types
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
import torchvision
import transformers
from timm.models.convnext import ConvNeXt as TimmConvNeXt
from torch import nn
from torchvision.models.convnext import CNBlockConfig
from torchvision.models.convnext import ConvNeXt as TorchvisionConvNeXt

from tests.reference.convnext_cases import numbers
from tests.reference.dialect_cases import CASES, FILE, PYTORCH_FILE, Case, value

# A network, its stages, and a function for its pooled and normalized features.
Made = tuple[nn.Module, list[nn.Module], Callable[[torch.Tensor], torch.Tensor]]


def authors_module(folder: Path, name: str) -> Any:
    """A module of the authors. Both repositories call their package ``models``; V2's imports sparse convolutions."""
    for module in [one for one in sys.modules if one.partition(".")[0] == "models"]:
        del sys.modules[module]
    sys.modules.setdefault("MinkowskiEngine", types.SimpleNamespace(SparseTensor=None))
    sys.path.insert(0, str(folder))
    try:
        return importlib.import_module(f"models.{name}")
    finally:
        sys.path.remove(str(folder))


def official(case: Case, folder: Path) -> Made:
    options: dict[str, Any] = {"in_chans": case.in_chans, "num_classes": case.classes}
    if case.family == "ConvNeXtIsotropic":
        module = authors_module(folder / "ConvNeXt", "convnext_isotropic")
        model = module.ConvNeXtIsotropic(depth=case.depths[0], dim=case.dims[0], **options)
        return model, list(model.blocks), model.forward_features
    options |= {"depths": case.depths, "dims": case.dims}
    if case.family == "ConvNeXtV2":
        model = authors_module(folder / "ConvNeXt-V2", "convnextv2").ConvNeXtV2(**options)
    else:
        module = authors_module(folder / "ConvNeXt", "convnext")
        model = module.ConvNeXt(**options, layer_scale_init_value=float(case.scaled))
    return model, list(model.stages), model.forward_features


def of_torchvision(case: Case) -> Made:
    widths = [*case.dims, None]
    settings = [CNBlockConfig(widths[i], widths[i + 1], depth) for i, depth in enumerate(case.depths)]
    model = TorchvisionConvNeXt(settings, num_classes=case.classes)
    return model, list(model.features[1::2]), lambda x: model.classifier[:2](model.avgpool(model.features(x)))


def of_timm(case: Case) -> Made:
    model = TimmConvNeXt(
        in_chans=case.in_chans, num_classes=case.classes, depths=case.depths, dims=case.dims,
        patch_size=case.patch_size, ls_init_value=1e-6 if case.scaled else None, conv_mlp=case.pointwise,
        use_grn=case.family == "ConvNeXtV2", **case.options,
    )  # fmt: skip
    return model, list(model.stages), lambda x: model.forward_head(model.forward_features(x), pre_logits=True)


def of_huggingface(case: Case) -> Made:
    options = {"layer_scale_init_value": 1e-6 if case.scaled else 0.0} if case.family == "ConvNeXt" else {}
    family = case.family.replace("NeXt", "Next")
    config = getattr(transformers, f"{family}Config")(
        num_channels=case.in_chans, patch_size=case.patch_size, num_stages=len(case.dims),
        hidden_sizes=list(case.dims), depths=list(case.depths), num_labels=case.classes, **options,
    )  # fmt: skip
    if case.bare:
        model = getattr(transformers, f"{family}Model")(config)
        return model, list(model.encoder.stages), lambda x: model(x).pooler_output
    model = getattr(transformers, f"{family}ForImageClassification")(config)
    base = getattr(model, model.base_model_prefix)
    return model, list(base.encoder.stages), lambda x: base(x).pooler_output


def record(name: str, case: Case, made: Made) -> dict[str, np.ndarray]:
    model, stages, pooled = made
    model.double().eval()
    parameters = [(key, tuple(tensor.shape)) for key, tensor in model.state_dict().items()]
    model.load_state_dict({key: torch.tensor(value(name, key, shape)).double() for key, shape in parameters})
    maps: list[torch.Tensor] = []
    hooks = [stage.register_forward_hook(lambda *call: maps.append(call[2])) for stage in stages]
    images = torch.tensor(numbers(f"{name}/images", case.image_shape)).double()
    with torch.no_grad():
        found = {"features": pooled(images).flatten(1)}
        for hook in hooks:
            hook.remove()
        found |= {f"map {i}": one for i, one in enumerate(maps)}
        if case.classes:
            out = model(images)
            found["logits"] = getattr(out, "logits", out)
    if case.dims[-1] > 100:  # the feature maps are large, and the logits depend on them
        found = {key: tensor for key, tensor in found.items() if not key.startswith("map")}
    scale = found.get("logits", found["features"]).abs().mean()
    print(f"{name}: {len(parameters)} tensors, logits of scale {scale:.2f}")
    arrays = {f"{name}/{key}": tensor.numpy().astype(np.float32) for key, tensor in found.items()}
    return arrays | {f"{name}/parameters": np.array(json.dumps(parameters))}


def write_pytorch_file(folder: Path) -> None:
    """A checkpoint as written by the authors' training: network, moving average and more, in half precision."""
    model, *_ = official(CASES["official, small"], folder)
    shapes = {key: tuple(tensor.shape) for key, tensor in model.state_dict().items()}
    plain, average = (
        {key: torch.tensor(factor * value("official, small", key, shape)).half() for key, shape in shapes.items()}
        for factor in (1, 2)
    )
    torch.save({"model": plain, "model_ema": average, "epoch": 3, "optimizer": {"state": {}, "step": 7}}, PYTORCH_FILE)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--official", type=Path, help="folder with the clones ConvNeXt and ConvNeXt-V2")
    folder = parser.parse_args().official
    warnings.simplefilter("ignore")  # the authors import timm's old modules
    makers = {"torchvision": of_torchvision, "timm": of_timm, "huggingface": of_huggingface}
    found: dict[str, np.ndarray] = {}
    for name, case in CASES.items():
        if case.implementation == "official" and folder is None:
            before = np.load(FILE)
            found |= {key: before[key] for key in before.files if key.startswith(f"{name}/")}
            continue
        made = official(case, folder) if case.implementation == "official" else makers[case.implementation](case)
        found |= record(name, case, made)
    np.savez_compressed(FILE, **found)
    if folder is not None:
        write_pytorch_file(folder)
    versions = ", ".join(f"{one.__name__} {one.__version__}" for one in (torch, torchvision, timm, transformers))
    print(f"{FILE.name}: {FILE.stat().st_size // 1000} kB, {versions}")


if __name__ == "__main__":
    main()
