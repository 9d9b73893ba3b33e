"""Quantize the linear layers of a model, undo it, and keep quantized weights in files.

Files hold the packed weights under the names of the state dict. Their metadata says under ``quantization`` which layers
are quantized and how, a JSON object: ``{"head": {"bits": 8, "group_size": 64, "mode": "affine"}}``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import mlx.core as mx

from lucid import _checks, _deferred
from lucid.kernels.quantized_matmul import Scheme, scheme
from lucid.nn.linear import Linear
from lucid.nn.module import Module
from lucid.nn.multihead_attention import MultiheadAttention
from lucid.nn.quantized import QuantizedLinear
from lucid.serialization import OpenedCheckpoint, open_checkpoint

__all__ = ["dequantize", "load_quantized", "quantization_metadata", "quantize"]

KEY = "quantization"
"""The entry of the metadata."""
_FIELDS = Scheme._fields
_MAX_SHOWN = 60  # characters of what a file says, in messages


def quantize(
    model: Any,
    bits: int | None = None,
    group_size: int | None = None,
    mode: str = "affine",
    *,
    predicate: Callable[[str, Linear], bool | Mapping[str, Any]] | None = None,
) -> Any:
    """Replace the ``Linear`` layers of a model by ``QuantizedLinear``, in place, and return the model.

    ``lucid.quantize(copy.deepcopy(model))`` keeps the original. Layers whose ``in_features`` the group size does not
    divide are left as they are, and so are subclasses of ``Linear``, parametrized and pruned layers, the projections of
    ``MultiheadAttention``, convolutions and embeddings. A second call quantizes what the first one left, never a
    quantized layer again.

    The layers are converted one by one, so that the model is never in memory twice. Afterwards ``bias`` and all other
    parameters can be trained; the quantized weights are no parameters, and an optimizer that has the old ones keeps
    them alive. Waits for the values.

    Args:
        model: A module, or one that ``lucid.compile`` wraps. A ``Linear`` itself is not changed; its quantized form is
            returned.
        bits: Bits for each weight: 1, 2, 3, 4, 5, 6 or 8 with mode "affine". 8 by default, 4 for "mxfp4" and "nvfp4".
        group_size: Neighboring weights that share a scale: 32, 64 (the default) or 128 with mode "affine". The other
            modes have their own, 32 and 16.
        mode: "affine", "mxfp4", "mxfp8" or "nvfp4", see ``mx.quantize``.
        predicate: Called with the name of each layer and the layer; returns whether to quantize it, or a dictionary
            with other ``bits``, ``group_size`` and ``mode`` for it.

    Raises:
        ValueError: there is no such mode, number of bits or group size; the model has no layer to quantize, or one with
            weights that are NaN, infinite or float64; a group size from ``predicate`` does not divide ``in_features``.
            The model is unchanged.
        TypeError: ``model`` is not a module, or ``predicate`` returns anything else.

    Example:
        >>> model = nn.Sequential(nn.Linear(64, 128), nn.GELU(), nn.Linear(128, 2))
        >>> lucid.quantize(model, bits=4, predicate=lambda name, layer: name != "2")
        Sequential(  # 8,578 parameters
          (0): QuantizedLinear(in_features=64, out_features=128, bias=True, bits=4, group_size=64)  # 8,320 parameters
          (1): GELU(approximate='none')
          (2): Linear(in_features=128, out_features=2, bias=True)  # 258 parameters
        )
    """
    where = "quantize"
    root = _module_in(where, model)
    plan = _plan(root, scheme(where, bits, group_size, mode), predicate)
    for name, layer, _ in plan:
        weight = layer.weight._array
        if weight.dtype == mx.float64:
            raise _checks.DtypeError(f"{where}: {_shown(name)} has a float64 weight; model.float() converts it")
        if not _deferred.item(mx.isfinite(weight).all()):
            raise _checks.ArgumentError(f"{where}: the weight of {_shown(name)} has NaN or infinite values")
    return _convert(where, model, root, plan, lambda layer, by: QuantizedLinear.from_linear(layer, *by))


def dequantize(model: Any) -> Any:
    """Replace the ``QuantizedLinear`` layers of a model by ``Linear``, in place, and return the model.

    The weights have the dtype of the scales, and stay as coarse as the quantized ones. They can be trained.

    Args:
        model: A module, or one that ``lucid.compile`` wraps. A ``QuantizedLinear`` itself is not changed; its full form
            is returned.

    Raises:
        ValueError: the model has no quantized layer.
        TypeError: ``model`` is not a module.

    Example:
        >>> model = lucid.quantize(nn.Sequential(nn.Linear(64, 2)))
        >>> lucid.dequantize(model)[0].weight.shape
        (2, 64)
    """
    where = "dequantize"
    root = _module_in(where, model)
    plan = [(name, one, one.scheme) for name, one in root.named_modules() if isinstance(one, QuantizedLinear)]
    if not plan:
        raise _checks.ArgumentError(f"{where}: {type(root).__name__} has no quantized layer")
    return _convert(where, model, root, plan, lambda layer, by: layer.to_linear())


def quantization_metadata(model: Module) -> dict[str, str]:
    """Which layers of a model are quantized and how, for the metadata of a safetensors file; {} if there are none.

    Example:
        >>> model = lucid.quantize(nn.Sequential(nn.Linear(64, 2)))
        >>> lucid.save(model.state_dict(), "model.safetensors", nn.utils.quantization_metadata(model))
        >>> model = nn.utils.load_quantized(nn.Sequential(nn.Linear(64, 2)), "model.safetensors")
    """
    root = _module_in("quantization_metadata", model)
    found = {name: one.scheme._asdict() for name, one in root.named_modules() if isinstance(one, QuantizedLinear)}
    return {KEY: json.dumps(found)} if found else {}


def load_quantized(model: Any, path: str | os.PathLike[str]) -> Any:
    """Quantize a model as a safetensors file says, in place, load the file, and return the model.

    The layers become quantized ones without values, into which the file is read, so that their full weights are never
    computed if nobody has used them yet, as in a new model. Everything is checked before the model changes.

    Args:
        model: A module that has the layers of the file, quantized as there or not at all.
        path: The file, with ``quantization_metadata(model)`` in its metadata. ``models.save_checkpoint`` writes such
            files too, and ``models.from_checkpoint`` opens these.

    Raises:
        ValueError: the file has no such metadata, or they do not fit the model or the tensors.
        FileNotFoundError: there is no such file.
        OSError: reading failed halfway, after some tensors were replaced.
    """
    where = "load_quantized"
    root = _module_in(where, model)
    opened = open_checkpoint(path)
    if KEY not in opened.metadata:
        raise _checks.ArgumentError(
            f"{where}: {path} does not say how its layers are quantized; the metadata need {KEY!r}"
        )
    try:
        loaded = load_opened(root, opened)
    except (ValueError, TypeError, RuntimeError) as error:
        raise _checks.ArgumentError(f"{where}: {path}: {error}") from error
    return model if loaded is root else loaded


def load_opened(root: Module, opened: OpenedCheckpoint) -> Module:
    """``root`` with the quantized layers and the tensors of a file, or the loaded layer if ``root`` itself is one.

    Raises:
        ValueError, TypeError, RuntimeError: the file does not fit; the model is unchanged.
        OSError: reading failed.
    """
    new = _without_values(root, schemes_in(opened.metadata))
    loaded = new.get(root, root)
    _replace(root, new)
    try:
        loaded.load_state_dict(opened.content)
    except Exception:
        _replace(root, {layer: old for old, layer in new.items()})
        raise
    new.clear()
    opened.drop_tensors()  # each is freed once it is converted to another dtype
    try:
        for tensor in loaded.state_dict().values():
            _deferred.wait(tensor._array)
    except RuntimeError as error:
        raise OSError(f"reading failed: {error}") from error
    opened.verify()
    return loaded


def schemes_in(metadata: Mapping[str, str]) -> dict[str, Scheme]:
    """The quantized layers by name, from the metadata of a file.

    Raises:
        ValueError: they are not what ``quantization_metadata`` writes.
    """
    where = f"{KEY!r} in the metadata"
    try:
        found = json.loads(metadata[KEY])
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{where} is not JSON: {error}") from None
    if not isinstance(found, dict) or not found:
        raise ValueError(f"{where} must be a JSON object of layers, got {_shown(found)}")
    schemes = {}
    for name, value in found.items():
        if not isinstance(value, dict) or value.keys() != set(_FIELDS) or len(repr(value)) > 2 * _MAX_SHOWN:
            raise ValueError(f"{where}: {_shown(name)} must have {', '.join(_FIELDS)}, got {_shown(value)}")
        schemes[name] = scheme(f"{where}: {_shown(name)}", **value)
    return schemes


def _without_values(root: Module, schemes: Mapping[str, Scheme]) -> dict[Module, Module]:
    """The layers to replace, and their quantized forms without values."""
    modules, linears = dict(root.named_modules()), dict(_linears(root))
    new: dict[Module, Module] = {}
    for name, by in schemes.items():
        layer = modules.get(name)
        if layer is None:
            raise ValueError(f"{KEY!r} in the metadata: the model has no layer {_shown(name)}")
        if isinstance(layer, QuantizedLinear) and layer.scheme == by:
            continue
        if name not in linears:
            found = type(layer).__name__ + (" of another scheme" if isinstance(layer, QuantizedLinear) else "")
            raise ValueError(f"{KEY!r} in the metadata: {_shown(name)} must be a Linear, the model has a {found}")
        new[layer] = QuantizedLinear.like(linears[name], *by)
    return new


def _module_in(caller: str, model: Any) -> Module:
    """The module that ``model`` is, or that ``lucid.compile`` wraps."""
    if not isinstance(model, Module) and hasattr(model, "modules"):
        model = next(model.modules(), model)
    if not isinstance(model, Module):
        raise TypeError(f"{caller}: model must be a Module, got {type(model).__name__}")
    return model


def _linears(root: Module) -> Iterator[tuple[str, Linear]]:
    """The layers that can be quantized, each once: calling them computes ``Linear.forward`` of their parameters."""
    # Attention reads the weights of its projections.
    taken = {one for parent in root.modules() if isinstance(parent, MultiheadAttention) for one in parent.children()}
    for name, layer in root.named_modules():
        if type(layer) is Linear and layer not in taken and "forward" not in layer.__dict__:
            weight = layer._parameters.get("weight")
            if weight is not None and "bias" in layer._parameters and weight._array.size:
                yield name, layer


def _plan(root: Module, usual: Scheme, predicate: Any) -> list[tuple[str, Linear, Scheme]]:
    """What to quantize, and how."""
    plan, refused, uneven = [], 0, []
    for name, layer in _linears(root):
        wanted = True if predicate is None else predicate(name, layer)
        if not isinstance(wanted, bool | Mapping):
            raise TypeError(f"quantize: predicate must return a bool or a dictionary, got {type(wanted).__name__}")
        if wanted is False:
            refused += 1
        elif wanted is not True:
            by = _own_scheme(name, usual, wanted)
            _checks.divisible(
                f"quantize: {_shown(name)}", "in_features", layer.in_features, "group_size", by.group_size
            )
            plan.append((name, layer, by))
        elif layer.in_features % usual.group_size:
            uneven.append(layer.in_features)
        else:
            plan.append((name, layer, usual))
    if plan:
        return plan
    done = sum(isinstance(one, QuantizedLinear) for one in root.modules())
    reasons = [f"predicate leaves {refused} out"] * bool(refused)
    if uneven:
        sizes = ", ".join(map(str, sorted(set(uneven))[:5]))
        reasons.append(f"group_size {usual.group_size} does not divide the in_features of the others ({sizes})")
    what = f"is quantized already, {done} layer{'s' * (done > 1)}" if done else "has no layer to quantize"
    why = "; ".join(reasons) or ("" if done else "there is no Linear")
    raise _checks.ArgumentError(f"quantize: {type(root).__name__} {what}{why and ': ' + why}")


def _own_scheme(name: str, usual: Scheme, given: Mapping[str, Any]) -> Scheme:
    """The scheme of a layer for which ``predicate`` returned a dictionary."""
    where = f"quantize: predicate for {_shown(name)}"
    unknown = [key for key in given if key not in _FIELDS]
    if unknown:
        raise TypeError(f"{where} may return {', '.join(_FIELDS)}, got {_shown(unknown[0])}")
    if given.get("mode", usual.mode) != usual.mode:
        return scheme(where, **given)
    return scheme(where, **{**usual._asdict(), **given})


def _convert(caller: str, model: Any, root: Module, plan: list[Any], convert: Callable[[Any, Scheme], Module]) -> Any:
    """``model`` with the layers in ``plan`` converted, one by one, or the converted form of ``root`` itself."""
    while plan:
        _, layer, by = plan.pop()
        if layer is root and model is not root:
            raise _checks.ArgumentError(
                f"{caller}: a compiled {type(root).__name__} cannot change; compile it afterwards"
            )
        new = convert(layer, by)
        if layer is root:
            return new
        _replace(root, {layer: new})
    return model


def _replace(root: Module, new: Mapping[Module, Module]) -> None:
    """Put the values of ``new`` in the place of its keys, wherever they are."""
    for parent in list(root.modules()):
        for name, child in list(parent._modules.items()):
            if child is not None and child in new:
                parent.register_module(name, new[child])


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}..."
