"""Checkpoints of ConvNeXt in any of the four dialects, into a model and back to a file.

    model = lucid.models.create_model("convnext_tiny")
    print(lucid.models.load_checkpoint(model, "convnext_tiny_1k_224_ema.pth"))
    lucid.models.save_checkpoint(model, "model.safetensors", dialect="timm")

``contents`` finds the network, ``dialects`` translates its names, ``architecture`` says which one it is, ``fitting``
decides what goes where.
"""

import json
import os
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import mlx.core as mx

from lucid import _checks, nn, serialization
from lucid._tensor import Tensor
from lucid.models.convnext import ConvNeXt, ConvNeXtIsotropic
from lucid.models.features import FeatureListNet
from lucid.models.weights.detect import (
    Architecture,
    MismatchError,
    Network,
    architecture_of,
    choose,
    nearest_variant,
    networks,
    variant_of,
)
from lucid.models.weights.dialects import DIALECTS
from lucid.models.weights.hub import download
from lucid.models.weights.match import NORM, LoadReport, plan_fitting
from lucid.models.weights.tags import Tag, find_tag, tags_of

_HUGGINGFACE_EPS = 1e-12  # of the final norm, unless the checkpoint's config.json says another
_FILES = (".safetensors", ".pth", ".pt", ".bin")
_Body = ConvNeXt | ConvNeXtIsotropic


def load_checkpoint(
    model: nn.Module,
    source: str | os.PathLike[str] | Mapping[str, Any],
    *,
    dialect: str | None = None,
    strict: bool = True,
    use_ema: bool = True,
) -> LoadReport:
    """Take over the weights of a checkpoint in any dialect.

    ``source``: a file (safetensors, ``.pth``), a mapping, or the name of a published checkpoint, which is downloaded,
    "timm/convnext_tiny.fb_in1k" for instance. The dialect, wrappers such as ``["model"]``, prefixes such as ``module.``
    and EMA copies are recognized. Values are converted to the dtypes of the model. The report says what was found, what
    was left out and why; it stays in ``model.load_report``.

    - A classifier of another size, or none in the checkpoint: the model keeps its own, with a warning.
    - A stem for 3 channels in a model for another number: see ``fitting.adapt_input_conv``.
    - Names not behind the network's prefix (a segmentation head, an optimizer) are left out.
    - ``dialect``: look for this one only. ``use_ema``: of two networks take the average; False takes the other.
    - ``strict=False`` lets names be missing or unknown. Architecture and shapes have to agree all the same.

    Hugging Face's final norm has another eps, 1e-12 or what a ``config.json`` beside the file says; the model's is set
    to it. All is checked first: on an error the model is as it was. Then tensors are read and replaced one by one, so
    that neither a safetensors file nor the model is ever in memory twice.

    Raises:
        MismatchError: no ConvNeXt or several, another architecture, missing, unknown or misshaped tensors.
        TypeError: ``model`` is no ConvNeXt.
        FileNotFoundError: there is no such file. ValueError: it is damaged or not a file of tensors.
        DownloadError: a published checkpoint cannot be had.
        OSError: the file cannot be read to its end, for which only its length was checked; some tensors are replaced.
    """
    model = _module_itself(model)
    body = _body("load_checkpoint", model)
    own = body.state_dict(keep_vars=True)
    if not isinstance(source, str | os.PathLike | Mapping):
        kinds = "a file, the name of a published checkpoint, or a mapping such as a state_dict()"
        raise TypeError(f"load_checkpoint: source must be {kinds}, got {type(source).__name__}")
    if dialect is not None:
        _checks.one_of("load_checkpoint", "dialect", dialect, DIALECTS)
    name = "the mapping" if isinstance(source, Mapping) else str(source)
    where = f"load_checkpoint: {name}"
    tag = _published(source) if isinstance(source, str) and not Path(source).exists() else None
    if tag is not None:
        source, strict = download(tag), strict and tag.has_final_norm
    network = _network(where, source, dialect, use_ema)
    found = _checked_architecture(where, network, body, own)
    report = LoadReport(name, network.dialect, network.wrapper, network.prefix, variant_of(found) or str(found))
    plan = plan_fitting(where, network, own, report, strict)
    _set_final_eps(body, source, report, model.__dict__.get("load_report"))
    network.tensors.clear()  # now the plan alone holds the arrays, and each is let go once it is read and converted
    plan.reverse()
    while plan:
        tensor, array = plan.pop()
        try:
            mx.eval(array)
        except RuntimeError as error:  # nothing was kept with which to go back: that would be the model twice
            done = f"{report.loaded - len(plan) - 1} of {report.loaded} tensors are replaced"
            raise OSError(f"{where}: reading broke off, {done}: {error}") from error
        tensor._rebind(array)
    model.load_report = report
    if tag is not None:
        model.pretrained_tag = tag.name
    if report.kept:
        reasons = "; ".join(dict.fromkeys(report.kept.values()))
        warnings.warn(
            f"{where}: {reasons}; the model keeps its own {', '.join(report.kept)}",
            stacklevel=_checks.level_of_user(),
        )
    return report


def _module_itself(model: nn.Module) -> nn.Module:
    """What ``lucid.compile(module)`` was made of, whose methods the compiled module has."""
    return model if isinstance(model, nn.Module) or not hasattr(model, "modules") else next(model.modules(), model)


def _body(where: str, model: nn.Module) -> _Body:
    """The network itself."""
    if isinstance(model, FeatureListNet):
        model = model.body
    if isinstance(model, _Body):
        return model
    modules = model.named_modules() if isinstance(model, nn.Module) else ()
    inside = next((name for name, one in modules if isinstance(one, _Body)), None)
    hint = f"; its {inside!r} is one" if inside else ""
    raise TypeError(f"{where}: model must be a ConvNeXt, got {type(model).__name__}{hint}")


def _published(name: str) -> Tag | None:
    """The published checkpoint of that name; None if it looks like the name of a file."""
    try:
        return find_tag(name)
    except ValueError as error:
        if name.endswith(_FILES):
            return None
        reason = str(error).removeprefix("pretrained: ")
        raise FileNotFoundError(f"load_checkpoint: there is no file {name}, and {reason}") from None


def _network(where: str, source: Any, dialect: str | None, use_ema: bool) -> Network:
    """The one network to load."""
    tree = source if isinstance(source, Mapping) else serialization.load(source)
    names = [str(name) for name in tree] if isinstance(tree, Mapping) else []
    found = list(networks(tree)) if isinstance(tree, Mapping) else []
    wanted = [one for one in found if dialect in (None, one.dialect)]
    if wanted:
        return choose(where, wanted, use_ema)
    if found:
        raise MismatchError(f"{where} holds no network with {dialect} names, but one with {found[0].dialect} names")
    start = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
    raise MismatchError(f"{where} holds no ConvNeXt in any dialect; its names are {start or 'none'}")


def _checked_architecture(where: str, network: Network, body: _Body, own: Mapping[str, Tensor]) -> Architecture:
    """The architecture of the checkpoint, if the model can take it.

    Raises:
        MismatchError: it is another, with both named and what to do.
    """
    if network.dialect == "timm":
        _refuse_unsupported(where, network)
    found, wanted = architecture_of(_shapes(network.tensors)), architecture_of(_shapes(own))
    if not _fits(found, wanted, pruned=not any(name in own for name in NORM)):
        variant = variant_of(found)
        taker = f"create_model({variant!r})" if variant else str(found)
        nearest = "" if variant else f"; the nearest variant is {nearest_variant(found)}"
        raise MismatchError(
            f"{where} holds {_described(found)}, the model is {_described(wanted)}. Nothing was loaded; "
            f"lucid.models.{taker} takes it{nearest}"
        )
    if variant_of(found) == "convnext_xxlarge" and next(_norms(body)).eps != 1e-5:
        raise MismatchError(f"{where} is convnext_xxlarge, whose norms have eps 1e-5: build it with norm_eps=1e-5")
    return found


def _described(one: Architecture) -> str:
    name = variant_of(one)
    return f"{name} = {one}" if name else str(one)


def _refuse_unsupported(where: str, network: Network) -> None:
    for name in network.unknown:
        if name.removeprefix(network.prefix).startswith("stages.0.downsample."):
            form = "with patch_size=2, which is halved again before the first stage,"
            raise MismatchError(f"{where} has {name}: timm's form of ConvNeXt {form} is not supported")
    if not any(name.endswith("norm.bias") for name in network.tensors):
        raise MismatchError(f"{where} has norms without bias: timm's form with RMSNorm (_rms) is not supported")


def _fits(found: Architecture, wanted: Architecture, pruned: bool) -> bool:
    """Whether they are the same, or ``wanted`` the first stages of ``found``: what ``features_only`` may leave."""
    stages = len(wanted.dims)
    same = (found.family, found.layer_scale, found.stem_type) == (wanted.family, wanted.layer_scale, wanted.stem_type)
    same = same and (pruned or found.forms() == wanted.forms())
    same = same and found.dims[:stages] == wanted.dims and (pruned or len(found.dims) == stages)
    if pruned and wanted.family == "ConvNeXtIsotropic":
        return same and found.depths >= wanted.depths
    return same and found.depths[:stages] == wanted.depths


def _set_final_eps(body: _Body, source: Any, report: LoadReport, former: LoadReport | None) -> None:
    """Give the final norm the eps that it has in the checkpoint's library, unless the model was built with another."""
    if not isinstance(body.norm, nn.LayerNorm):
        return
    others = next(_norms(body)).eps
    if body.norm.eps != others and (former is None or former.dialect != "huggingface"):
        return
    eps = _configured_eps(source) if report.dialect == "huggingface" else others
    if eps != body.norm.eps:
        report.changes.append(f"eps of the model's final norm from {body.norm.eps:g} to {eps:g}")
        body.norm.eps = eps


def _configured_eps(source: Any) -> float:
    """``layer_norm_eps`` of the ``config.json`` that transformers keeps beside its files."""
    if isinstance(source, Mapping):
        return _HUGGINGFACE_EPS
    try:
        config = json.loads((Path(source).parent / "config.json").read_text("utf-8"))
        return float(config["layer_norm_eps"])
    except (OSError, ValueError, TypeError, KeyError):
        return _HUGGINGFACE_EPS


def _norms(body: _Body) -> Iterator[nn.LayerNorm]:
    return (one for one in body.modules() if isinstance(one, nn.LayerNorm))


def _shapes(tensors: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def resolve(variant: str, pretrained: bool | str) -> Tag:
    """The tag that ``create_model(variant, pretrained=...)`` means: True, a name, or what follows the dot in it.

    Raises:
        ValueError: there is no such tag, or it is one of another architecture.
        TypeError: ``pretrained`` is neither True nor a string.
    """
    if pretrained is True:
        own = tags_of(variant)
        if not own:
            raise ValueError(f"pretrained: there are no trained weights of {variant}")
        return own[0]
    if not isinstance(pretrained, str):
        raise TypeError(f"pretrained: must be True, False or the name of a tag, got {pretrained!r}")
    whole = "/" in pretrained or pretrained.startswith("convnext")
    tag = find_tag(pretrained if whole else f"{variant}.{pretrained}")
    if tag.variant != variant:
        raise ValueError(f"pretrained: {tag.name} holds weights of {tag.variant}, not of {variant}")
    return tag


def load_pretrained(model: nn.Module, tag: Tag | str) -> LoadReport:
    """Download the weights of a tag, or take them from the cache, and load them into ``model``.

    The model keeps the name of the tag as ``pretrained_tag``, for ``transforms_for(model)``.

    Raises:
        DownloadError: the weights cannot be had.
        MismatchError: they are of another architecture.
    """
    tag = tag if isinstance(tag, Tag) else find_tag(tag)
    report = load_checkpoint(model, download(tag), strict=tag.has_final_norm)
    model.pretrained_tag = tag.name
    return report
