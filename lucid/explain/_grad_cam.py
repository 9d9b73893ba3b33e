"""Gradient-weighted class activation maps. Source: Selvaraju et al. 2017, Grad-CAM, arXiv:1610.02391.

With y the score of a class before the softmax and A_k channel k of a feature map with Z positions (equations 1 and 2):

    alpha_k = 1/Z sum over (i, j) of dy/dA_k[i, j]
    map     = relu(sum over k of alpha_k A_k)

The map has the size of the feature map and is resized to that of the images, bilinearly, as in the paper.
"""

import threading
from typing import Any

import lucid
import lucid.nn.functional as F
from lucid import _checks, nn
from lucid.explain._classifier import check_images, check_logits, evaluation_mode, target_classes, task_of
from lucid.models import ConvNeXt, ConvNeXtIsotropic

_FORMATS = ("channels_first", "channels_last")


def grad_cam(
    model: nn.Module, images: Any, target: Any = None, layer: nn.Module | str | None = None, *,
    data_format: str | None = None,
) -> lucid.Tensor:  # fmt: skip
    """Grad-CAM: where in an image the evidence for a class lies, (N, H, W) for images (N, C, H, W).

    The values are those of the paper's formula, 0 or more and without an upper limit. The resolution is that of the
    feature map: at a total stride of 32 px, the map of a 224 px image is that of 7 x 7 positions. Behind a LayerNorm of
    the pooled features, as in ConvNeXt, the sum over k averages to 0 over the positions, so that the map shows where
    there is more evidence than elsewhere; with a single position it is 0.

    The model runs in evaluation mode; its gradients and its mode do not change. Other threads may use it at the same
    time if it is in evaluation mode already.

    Args:
        model: A classifier that returns logits (N, classes).
        images: Images as the model takes them, for example from ``model.preprocessing``.
        target: The class to explain, or one for each image. By default the most probable one.
        layer: The module whose output is the feature map, or its name, such as "stages.3.2". By default the last map of
            the ConvNeXt that the model is or contains, as ``forward_features`` returns it.
        data_format: Where the output of ``layer`` has its channels, "channels_first" or "channels_last". By default
            last inside a ConvNeXt, otherwise as ``layer.data_format`` says, or first.

    Raises:
        ValueError: There is no such layer, its output is not a feature map, the logits do not depend on it, or a
            target is not a class.
        TypeError: The images are not floating-point.

    Example:
        >>> from lucid import explain
        >>> model = models.convnext_atto(num_classes=10)
        >>> explain.grad_cam(model, lucid.rand(2, 3, 64, 48), target=[3, 7]).shape
        (2, 64, 48)
    """
    images = check_images("grad_cam", images)
    maps = coarse_map("grad_cam", model, images, target, layer, data_format)
    with lucid.no_grad():
        resized: lucid.Tensor = F.interpolate(
            maps.unsqueeze(1), size=tuple(images.shape[2:]), mode="bilinear", align_corners=False
        )
        return resized.squeeze(1)


def coarse_map(
    caller: str, model: nn.Module, images: lucid.Tensor, target: Any = None, layer: nn.Module | str | None = None,
    data_format: str | None = None,
) -> lucid.Tensor:  # fmt: skip
    """``grad_cam`` in the size of the feature map, (N, h, w), for checked images."""
    module, name = _find_layer(caller, model, layer)
    if data_format is None:
        data_format = _layout(model, module)
    _checks.one_of(caller, "data_format", data_format, _FORMATS)
    with evaluation_mode(model), lucid.enable_grad():
        logits, features = _run(caller, model, images, module, name)
        chosen = target_classes(caller, target, logits, task_of(model))
        score = logits.gather(1, chosen.reshape(-1, 1)).sum()  # images do not interact in evaluation mode
        gradient = lucid.autograd.grad(score, features, allow_unused=True)[0] if score.requires_grad else None
    if gradient is None:
        raise ValueError(f"{caller}: the logits do not depend on the output of {name}")
    with lucid.no_grad():
        channels, places = (1, (2, 3)) if data_format == "channels_first" else (3, (1, 2))
        return F.relu((gradient.mean(dim=places, keepdim=True) * features).sum(dim=channels)).detach()  # (N, h, w)


def _run(
    caller: str, model: nn.Module, images: lucid.Tensor, layer: nn.Module, name: str
) -> tuple[lucid.Tensor, lucid.Tensor]:
    """The logits, and the output of ``layer`` from which they are computed, a leaf of the graph."""
    leaves: list[lucid.Tensor] = []
    thread = threading.get_ident()

    def cut(module: nn.Module, args: Any, output: Any) -> Any:
        if threading.get_ident() != thread:  # another thread calls the same model
            return None
        if not isinstance(output, lucid.Tensor) or output.ndim != 4:
            got = tuple(output.shape) if isinstance(output, lucid.Tensor) else type(output).__name__
            raise ValueError(f"{caller}: {name} must return a feature map of 4 dimensions, got {got}")
        # Nothing before the layer needs a gradient, and what was recorded of it is dropped here.
        leaves[:] = [output.detach().requires_grad_()]
        return leaves[0]

    handle = layer.register_forward_hook(cut)
    try:
        logits = check_logits(caller, model(images), len(images))
    finally:
        handle.remove()
    if not leaves:
        raise ValueError(f"{caller}: the model did not call {name}")
    return logits, leaves[0]


def _find_layer(caller: str, model: nn.Module, layer: nn.Module | str | None) -> tuple[nn.Module, str]:
    """The module to watch, and its name for messages."""
    names = {module: name for name, module in model.named_modules()}
    if layer is None:
        networks = [module for module in names if isinstance(module, ConvNeXt | ConvNeXtIsotropic)]
        if len(networks) != 1:
            convolutions = [name for module, name in names.items() if isinstance(module, nn.Conv2d)]
            hint = f", such as layer={convolutions[-1]!r}" if convolutions else ""
            raise ValueError(
                f"{caller}: {type(model).__name__} has no default layer; name one with a feature map{hint}"
            )
        norm = networks[0].norm_pre
        layer = networks[0]._layers()[-1][1] if norm is None else norm
    elif isinstance(layer, str):
        try:
            layer = model.get_submodule(layer)
        except AttributeError as error:
            raise ValueError(f"{caller}: {error}") from None
    elif not isinstance(layer, nn.Module):
        raise TypeError(f"{caller}: layer must be a module of the model or its name, got {layer!r}")
    if layer not in names:
        raise ValueError(f"{caller}: layer {type(layer).__name__} is not a module of the model")
    return layer, f"layer {names[layer]!r}" if names[layer] else "the model"


def _layout(model: nn.Module, layer: nn.Module) -> str:
    """The position of the channels in the output of a layer, as far as it is known."""
    for module in model.modules():
        inside = isinstance(module, ConvNeXt | ConvNeXtIsotropic) and module is not layer
        if inside and any(one is layer for one in module.modules()):
            return "channels_last"
    found = getattr(layer, "data_format", "channels_first")
    return found if found in _FORMATS else "channels_first"
