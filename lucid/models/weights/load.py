"""Load checkpoints into models: files and mappings in any dialect, and published weights."""

import json
import os
import warnings
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from lucid import _checks, _deferred, nn
from lucid._tensor import Tensor
from lucid.models.convnext import ConvNeXt, ConvNeXtIsotropic
from lucid.models.fcmae import FCMAE
from lucid.models.features import FeatureListNet
from lucid.models.weights.detect import (
    Architecture,
    MismatchError,
    Network,
    architecture_of,
    describe_contents,
    find_networks,
    nearest_variant,
    select_network,
    variant_of,
)
from lucid.models.weights.dialects import DIALECTS
from lucid.models.weights.foreign import FOREIGN_DIALECTS
from lucid.models.weights.hub import download
from lucid.models.weights.location import find_folder, is_location
from lucid.models.weights.match import NORM, LoadReport, match_parameters
from lucid.models.weights.tags import Tag, find_tag, tags_of
from lucid.nn.utils import quantization
from lucid.serialization import OpenedCheckpoint, open_checkpoint
from lucid.serialization.checkpoint_folder import WEIGHT_SUFFIXES

HUGGINGFACE_EPS = 1e-12  # of the final norm, unless a config.json has another
AnyConvNeXt = ConvNeXt | ConvNeXtIsotropic


def load_checkpoint(
    model: nn.Module,
    source: str | os.PathLike[str] | Mapping[str, Any],
    *,
    dialect: str | None = None,
    strict: bool = True,
    use_ema: bool = True,
) -> LoadReport:
    """Load the weights of a checkpoint in any dialect into ``model``.

    The dialect, wrappers such as ``["model"]``, prefixes such as ``module.`` and EMA copies are recognized. Values are
    converted to the dtypes of the model.

    - If the checkpoint has no classifier, or one of a different size, the model keeps its own, with a warning.
    - A stem for 3 channels is adapted to the channels of the model, see ``adapt_input_conv``.
    - Names without the prefix of the network (a segmentation head, an optimizer) are ignored.
    - The eps of the final norm becomes that of Hugging Face for its checkpoints: 1e-12, or ``layer_norm_eps`` of a
      ``config.json`` next to the file.

    Everything is checked before the model changes. Then tensors are read and replaced one by one, so that neither the
    file nor the model is in memory twice.

    Args:
        model: A ConvNeXt, a ``FeatureListNet``, or an ``FCMAE``, which keeps its own decoder if the checkpoint has
            none.
        source: A file (safetensors, ``.pth``, ``.ckpt``), a folder with one weights file or with shards, a mapping, a
            repository on the hub ("hf-hub:user/name"), or the name of a published checkpoint, such as
            "timm/convnext_tiny.fb_in1k". Weights on the hub are downloaded on first use.
        dialect: Accept this dialect only: one of ``DIALECTS``, "dinov3", "openmmlab" or "fcmae".
        strict: Reject missing and unknown names. Architecture and shapes must match in any case.
        use_ema: Of two networks, load the exponential moving average; False loads the other one.

    Returns:
        What was found, loaded and ignored. It is also stored as ``model.load_report``.

    Raises:
        MismatchError: There is no ConvNeXt or more than one, its architecture differs, or tensors are missing, unknown
            or have different shapes.
        TypeError: ``model`` is not a ConvNeXt.
        FileNotFoundError: There is no such file.
        ValueError: The file is damaged or holds no tensors.
        DownloadError: A published checkpoint cannot be downloaded.
        OSError: Reading failed halfway, after some tensors were replaced.

    Example:
        >>> from lucid import models
        >>> source, model = models.convnext_atto(), models.convnext_atto()
        >>> models.save_checkpoint(source, "atto.safetensors", "timm")
        >>> models.load_checkpoint(model, "atto.safetensors").dialect
        'timm'
    """
    model = unwrap_compiled(model)
    _body_of(model)
    if not isinstance(source, str | os.PathLike | Mapping):
        kinds = "a file, the name of a published checkpoint, or a mapping such as a state_dict()"
        raise TypeError(f"load_checkpoint: source must be {kinds}, got {type(source).__name__}")
    if dialect is not None:
        _checks.one_of("load_checkpoint", "dialect", dialect, DIALECTS + FOREIGN_DIALECTS)
    name = "the mapping" if isinstance(source, Mapping) else str(source)
    if isinstance(source, str) and is_location(source):
        source = find_folder("load_checkpoint", source) or source
    tag = _find_published(source) if isinstance(source, str) and not Path(source).exists() else None
    if tag is not None:
        source, strict = download(tag), strict and tag.has_final_norm
    opened = OpenedCheckpoint(Path(), source) if isinstance(source, Mapping) else open_checkpoint(source)
    report = load_opened(model, opened, name, dialect=dialect, strict=strict, use_ema=use_ema)
    if tag is not None:
        model.pretrained_tag = tag.name
    return report


def load_opened(
    model: nn.Module, opened: OpenedCheckpoint, name: str, *, dialect: str | None = None, strict: bool = True,
    use_ema: bool = True,
) -> LoadReport:  # fmt: skip
    """``load_checkpoint`` for a checkpoint that is open; ``name`` is what messages call it. Its tensors are dropped.

    The path of ``opened`` is ``Path()`` if it is not a file.
    """
    where = f"load_checkpoint: {name}"
    body = _body_of(model)
    own: Mapping[str, Tensor] = body.state_dict(keep_vars=True)
    _refuse_quantized(where, opened, body)
    network = _find_network(where, opened.content, dialect, use_ema)
    found = _check_architecture(where, network, body, own, whole=isinstance(model, FCMAE))
    if isinstance(model, FCMAE):
        _check_decoder(where, model, network, strict)
        own = _add_decoder(model, network, own)
    report = LoadReport(name, network.dialect, network.wrapper, network.prefix, variant_of(found) or str(found))
    plan = match_parameters(where, network, own, report, strict)
    _set_final_eps(body, None if opened.path == Path() else opened.path, report, model.__dict__.get("load_report"))
    network.tensors.clear()
    opened.drop_tensors()  # only the plan holds the arrays now, and each is freed once it is converted
    plan.reverse()
    while plan:
        tensor, array = plan.pop()
        try:
            _deferred.wait(array)
            opened.verify()
        except (RuntimeError, OSError) as error:  # keeping the old values would double the memory
            done = f"{report.loaded - len(plan) - 1} of {report.loaded} tensors were replaced"
            raise OSError(f"{where}: reading failed, {done}: {error}") from error
        tensor._rebind(array)
    model.load_report = report
    if report.kept:
        reasons = "; ".join(dict.fromkeys(report.kept.values()))
        warnings.warn(
            f"{where}: {reasons}; the model keeps its own {', '.join(report.kept)}",
            stacklevel=_checks.level_of_user(),
        )
    return report


def unwrap_compiled(model: nn.Module) -> nn.Module:
    """The module behind ``lucid.compile(module)``."""
    return model if isinstance(model, nn.Module) or not hasattr(model, "modules") else next(model.modules(), model)


def _body_of(model: nn.Module) -> AnyConvNeXt:
    return convnext_in("load_checkpoint", model.encoder if isinstance(model, FCMAE) else model)


def convnext_in(caller: str, model: nn.Module) -> AnyConvNeXt:
    """The ConvNeXt that ``model`` is, or that is the body of a ``FeatureListNet``."""
    if isinstance(model, FeatureListNet):
        model = model.body
    if isinstance(model, AnyConvNeXt):
        return model
    modules = model.named_modules() if isinstance(model, nn.Module) else ()
    inside = next((name for name, module in modules if isinstance(module, AnyConvNeXt)), None)
    hint = f"; its {inside!r} is one" if inside else ""
    raise TypeError(f"{caller}: model must be a ConvNeXt, got {type(model).__name__}{hint}")


def _find_published(name: str) -> Tag | None:
    """The published checkpoint of that name; None if the name looks like a file."""
    try:
        return find_tag(name)
    except ValueError as error:
        if name.endswith(WEIGHT_SUFFIXES):
            return None
        reason = str(error).removeprefix("pretrained: ")
        raise FileNotFoundError(f"load_checkpoint: there is no file {name}, and {reason}") from None


def _refuse_quantized(caller: str, opened: OpenedCheckpoint, body: AnyConvNeXt) -> None:
    """Raise if the file or the model is quantized."""
    if quantization.KEY in opened.metadata:
        raise MismatchError(f"{caller} holds quantized weights, which lucid.models.from_checkpoint opens")
    if any(isinstance(one, nn.QuantizedLinear) for one in body.modules()):
        raise MismatchError(f"{caller} cannot be loaded into quantized layers; load it before lucid.quantize(model)")


def _find_network(caller: str, tree: Any, dialect: str | None, use_ema: bool) -> Network:
    """The network to load."""
    found = list(find_networks(tree)) if isinstance(tree, Mapping) else []
    wanted = [one for one in found if dialect in (None, one.dialect)]
    if wanted:
        return select_network(caller, wanted, use_ema)
    if found:
        raise MismatchError(f"{caller} holds no network with {dialect} names, only one with {found[0].dialect} names")
    raise MismatchError(f"{caller} holds no ConvNeXt in any dialect; {describe_contents(tree)}")


def _check_decoder(caller: str, model: FCMAE, network: Network, strict: bool) -> None:
    """Raise if the checkpoint has a decoder of another width, or, with ``strict``, depth."""
    if "mask_token" not in network.decoder:
        return
    shape = network.decoder["mask_token"][1].shape
    found = shape[1] if len(shape) == 4 else 0, decoder_depth(network.decoder)
    wanted = model.mask_token.shape[1], decoder_depth(model.state_dict())
    if found[0] != wanted[0] or (strict and found != wanted):
        texts = [f"{depth} block{'s' * (depth != 1)} of {dim} channels" for dim, depth in (found, wanted)]
        raise MismatchError(
            f"{caller} has a decoder with {texts[0]}, the model one with {texts[1]}. "
            f"Nothing was loaded; decoder_dim={found[0]} and decoder_depth={found[1]} fit"
        )


def decoder_depth(names: Iterable[str]) -> int:
    """The number of blocks in the decoder of an ``FCMAE``, by the names of its parameters."""
    return len({name.split(".")[1] for name in names if name.startswith("decoder.")})


def _add_decoder(model: FCMAE, network: Network, own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """``own``, the parameters of the encoder, and those of the decoder; ``network`` gets the values for them."""
    for name, (original, value) in network.decoder.items():
        network.names[name], network.tensors[name] = original, value
        network.outside.remove(original)
    every = model.state_dict(keep_vars=True)
    return {**own, **{name: tensor for name, tensor in every.items() if not name.startswith("encoder.")}}


def _check_architecture(
    caller: str, network: Network, body: AnyConvNeXt, own: Mapping[str, Tensor], whole: bool
) -> Architecture:
    """The architecture of the checkpoint. Of a ``whole`` model it has all stages, even if the head is gone.

    Raises:
        MismatchError: The model has a different one. The message describes both and the fix.
    """
    if network.dialect == "timm":
        _reject_unsupported(caller, network)
    found, wanted = architecture_of(shapes_of(network.tensors)), architecture_of(shapes_of(own))
    fits = _fits(found, wanted, pruned=not any(name in own for name in NORM))
    if not fits or (whole and found.dims != wanted.dims):
        variant = variant_of(found)
        taker = f"create_model({variant!r})" if variant else str(found)
        nearest = "" if variant else f"; the nearest variant is {nearest_variant(found)}"
        raise MismatchError(
            f"{caller} holds {_describe(found)}, the model is {_describe(wanted)}. Nothing was loaded; "
            f"lucid.models.{taker} fits{nearest}"
        )
    if variant_of(found) == "convnext_xxlarge" and next(layer_norms(body)).eps != 1e-5:
        raise MismatchError(f"{caller} is convnext_xxlarge, whose norms have eps 1e-5: build it with norm_eps=1e-5")
    return found


def _describe(one: Architecture) -> str:
    name = variant_of(one)
    return f"{name} = {one}" if name else str(one)


def _reject_unsupported(caller: str, network: Network) -> None:
    for name in network.unknown:
        if name.removeprefix(network.prefix).startswith("stages.0.downsample."):
            raise MismatchError(
                f"{caller} has {name}: timm's stem with patch_size=2, followed by another downsampling, "
                "is not supported"
            )
    if not any(name.endswith("norm.bias") for name in network.tensors):
        raise MismatchError(f"{caller} has norms without bias: timm's models with RMSNorm (_rms) are not supported")


def _fits(found: Architecture, wanted: Architecture, pruned: bool) -> bool:
    """Whether they are equal, or ``wanted``, pruned by ``features_only``, has the first stages of ``found``."""
    stages = len(wanted.dims)
    same = (found.family, found.layer_scale, found.stem_type) == (wanted.family, wanted.layer_scale, wanted.stem_type)
    same = same and (pruned or found.timm_options() == wanted.timm_options())
    same = same and found.dims[:stages] == wanted.dims and (pruned or len(found.dims) == stages)
    if pruned and wanted.family == "ConvNeXtIsotropic":
        return same and found.depths >= wanted.depths
    return same and found.depths[:stages] == wanted.depths


def _set_final_eps(body: AnyConvNeXt, file: Path | None, report: LoadReport, former: LoadReport | None) -> None:
    """Set the eps of the final norm to that of the checkpoint's library, unless the model was built with another."""
    if not isinstance(body.norm, nn.LayerNorm):
        return
    others = next(layer_norms(body)).eps
    if body.norm.eps != others and (former is None or former.dialect != "huggingface"):
        return
    eps = _eps_in_config(file) if report.dialect == "huggingface" else others
    if eps != body.norm.eps:
        report.changes.append(f"eps of the model's final norm from {body.norm.eps:g} to {eps:g}")
        body.norm.eps = eps


def _eps_in_config(file: Path | None) -> float:
    """``layer_norm_eps`` in the ``config.json`` that transformers writes next to its files."""
    if file is None:
        return HUGGINGFACE_EPS
    try:
        config = json.loads((file.parent / "config.json").read_text("utf-8"))
        return float(config["layer_norm_eps"])
    except (OSError, ValueError, TypeError, KeyError):
        return HUGGINGFACE_EPS


def layer_norms(body: AnyConvNeXt) -> Iterator[nn.LayerNorm]:
    return (one for one in body.modules() if isinstance(one, nn.LayerNorm))


def shapes_of(tensors: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def resolve_tag(variant: str, pretrained: bool | str) -> Tag:
    """The tag that ``create_model(variant, pretrained)`` loads.

    ``pretrained`` is True for the default tag, a name, or the part of a name after the dot.

    Raises:
        ValueError: There is no such tag, or it belongs to a different variant.
        TypeError: ``pretrained`` is neither True nor a string.
    """
    if pretrained is True:
        own = tags_of(variant)
        if not own:
            raise ValueError(f"create_model: {variant} has no pretrained weights")
        return own[0]
    if not isinstance(pretrained, str):
        raise TypeError(f"create_model: pretrained must be True, False or the name of a checkpoint, got {pretrained!r}")
    whole = "/" in pretrained or pretrained.startswith("convnext")
    tag = find_tag(pretrained if whole else f"{variant}.{pretrained}")
    if tag.variant != variant:
        raise ValueError(f"create_model: {tag.name} has weights for {tag.variant}, not for {variant}")
    return tag


def load_pretrained(model: nn.Module, tag: Tag | str) -> LoadReport:
    """Load the weights of a published checkpoint into ``model``. They are downloaded on first use.

    The name of the checkpoint is stored as ``model.pretrained_tag``, for ``transforms_for(model)``.

    Raises:
        DownloadError: The weights cannot be downloaded.
        MismatchError: The model has a different architecture.
    """
    tag = tag if isinstance(tag, Tag) else find_tag(tag)
    report = load_checkpoint(model, download(tag), strict=tag.has_final_norm)
    model.pretrained_tag = tag.name
    return report
