"""Match the tensors of a checkpoint with the parameters of a model, and report what was converted and ignored."""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import mlx.core as mx

from lucid._checks import dtype_name
from lucid._tensor import Tensor
from lucid._tensor_convert import as_array
from lucid.models.weights.detect import CLASSIFIER, MismatchError, Network, describe_location
from lucid.models.weights.dialects import translate
from lucid.models.weights.foreign import is_decoder

NORM = ("norm.weight", "norm.bias", "norm_pre.weight", "norm_pre.bias")
STEM = ("downsample_layers.0.0.weight", "stem.weight")
_MAX_LISTED = 20  # lines of an error message
_MISSING = "missing from the checkpoint"


@dataclass
class LoadReport:
    """What ``load_checkpoint`` found and did. ``str`` gives a summary.

    Attributes:
        source: The file.
        dialect: The library whose names the checkpoint has: one of ``DIALECTS``, "dinov3", "openmmlab" or "fcmae".
        wrapper: Keys of the nested mappings that contained the network, such as ``("state_dict_ema",)``.
        prefix: Prefix of its names, such as ``"module."``.
        architecture: The name of the variant, or the call that builds the network.
        loaded: Number of tensors loaded.
        skipped: Names in the checkpoint that were not used, with reasons.
        kept: Parameters of the model that were not replaced, with reasons.
        changes: Conversions of dtypes, shapes and channels, and changes to the model's final norm.
        pointwise_convolutions: The checkpoint has 1x1 convolutions instead of Linear layers, like timm's small models.

    Example:
        >>> model = models.ConvNeXt(2, [1], [16])
        >>> models.save_checkpoint(model, "model.safetensors")
        >>> report = models.load_checkpoint(model, "model.safetensors")
        >>> report.dialect, report.loaded, report.missing_keys
        ('official', 17, [])
    """

    source: str
    dialect: str
    wrapper: tuple[str, ...]
    prefix: str
    architecture: str
    loaded: int = 0
    skipped: dict[str, str] = field(default_factory=dict)
    kept: dict[str, str] = field(default_factory=dict)
    changes: list[str] = field(default_factory=list)
    pointwise_convolutions: bool = False

    @property
    def missing_keys(self) -> list[str]:
        """The names in ``kept``, as PyTorch's ``load_state_dict`` calls them."""
        return list(self.kept)

    @property
    def unexpected_keys(self) -> list[str]:
        """The names in ``skipped``, as PyTorch's ``load_state_dict`` calls them."""
        return list(self.skipped)

    def __str__(self) -> str:
        found = describe_location(self.dialect, self.wrapper, self.prefix)
        lines = [f"{self.source}: {self.architecture}, {found}: {self.loaded} tensors loaded"]
        lines += [f"  changed: {one}" for one in self.changes]
        for what, names in (("kept", self.kept), ("skipped", self.skipped)):
            for reason in dict.fromkeys(names.values()):
                listed = [name for name, why in names.items() if why == reason]
                lines.append(f"  {what} {', '.join(listed)}: {reason}")
        return "\n".join(lines)

    __repr__ = __str__


def match_parameters(
    caller: str, network: Network, own: Mapping[str, Tensor], report: LoadReport, strict: bool
) -> list[tuple[Tensor, mx.array]]:
    """Pair the parameters in ``own`` with their new values, and fill in ``report``.

    Raises:
        MismatchError: Names, shapes or dtypes do not fit; with ``strict`` also if names are missing or unknown.
    """
    _note_unused(network, own, report)
    plan, faults, changes = [], [], Counter[str]()
    if strict:
        faults += [f"missing: {_dialect_name(network, name)}" for name, why in report.kept.items() if why == _MISSING]
        faults += [f"unknown: {name}" for name in network.unknown]
    lenient = len(faults)
    faults += [
        f"{network.names[name]} is {one.name}, which is not supported"
        for name, one in network.unsupported.items()
        if name in own
    ]
    for name, tensor in own.items():
        if name in report.kept or name not in network.tensors:
            continue
        array = as_array(network.tensors[name])
        fault = _mismatch(name, array, tensor)
        if fault:
            faults.append(f"{network.names[name]} {fault}")
        else:
            # GPUs cannot even convert float64.
            with mx.stream(mx.cpu if array.dtype == mx.float64 else mx.default_device()):
                plan.append((tensor, _converted(name, array, tensor, changes, report)))
    if faults:
        hint = "; strict=False loads what fits" if lenient == len(faults) else ""
        more = [f"... and {len(faults) - _MAX_LISTED} more"] if len(faults) > _MAX_LISTED else []
        listed = "\n  ".join(faults[:_MAX_LISTED] + more)
        raise MismatchError(f"{caller} does not fit the model{hint}; nothing was loaded:\n  {listed}")
    report.loaded = len(plan)
    report.changes += [f"{count} tensors {change}" for change, count in changes.items()]
    return plan


def _note_unused(network: Network, own: Mapping[str, Tensor], report: LoadReport) -> None:
    """Report which tensors of the checkpoint are not used and which parameters are not replaced, with reasons."""
    report.skipped |= dict.fromkeys(network.outside, "not part of the network")
    report.skipped |= dict.fromkeys(network.unknown, f"no parameter of {network.dialect}'s ConvNeXt")
    tensors = network.tensors
    for name in tensors:
        if name not in own:
            part = "classifier" if name in CLASSIFIER else "final norm" if name in NORM else "such layer"
            report.skipped[network.names[name]] = f"the model has no {part}"
    wanted_names = {*tensors, *network.unsupported}
    report.kept |= {name: _MISSING for name in own if name not in wanted_names}
    if not network.decoder:
        report.kept |= {name: "the checkpoint has no decoder" for name in own if is_decoder(name)}
    if not any(name in wanted_names for name in CLASSIFIER):
        bare = not any(name in wanted_names for name in NORM)  # V2 after the authors' self-supervised pretraining
        left, reason = (NORM + CLASSIFIER, "final norm and classifier") if bare else (CLASSIFIER, "classifier")
        report.kept |= {name: f"the checkpoint has no {reason}" for name in left if name in own}
    elif "head.weight" in own and "head.weight" in tensors:
        classes, wanted = (next(iter(some["head.weight"].shape), 1) for some in (tensors, own))
        if classes != wanted:
            report.skipped |= {
                network.names[name]: f"a classifier of {classes} classes, the model has {wanted}"
                for name in CLASSIFIER
                if name in tensors
            }
            report.kept |= dict.fromkeys(CLASSIFIER, f"the checkpoint's classifier has {classes} classes, not {wanted}")


def _mismatch(name: str, array: mx.array, tensor: Tensor) -> str | None:
    """Why ``array`` cannot be the value of ``tensor``, or None."""
    if not mx.issubdtype(array.dtype, mx.floating):
        return f"is {dtype_name(array.dtype)}, weights must be floating-point numbers"
    if name in STEM and array.ndim == tensor.ndim and array.shape[2:] != tensor.shape[2:]:
        return f"has patches of {array.shape[2:]} px, the model of {tensor.shape[2:]}: build it with this patch_size"
    if name in STEM and array.ndim == tensor.ndim and array.shape[0] == tensor.shape[0]:
        if array.shape[1] in (3, tensor.shape[1]):
            return None
        return f"takes {array.shape[1]} channels, the model {tensor.shape[1]}; only 3 channels can be adapted"
    if _squeezed(array.shape) != _squeezed(tensor.shape):
        return f"has shape {array.shape}, the model needs {tensor.shape}"
    return None


def _converted(name: str, array: mx.array, tensor: Tensor, changes: Counter[str], report: LoadReport) -> mx.array:
    """``array`` in the shape and dtype of ``tensor``."""
    if array.shape != tensor.shape:
        if name in STEM and array.ndim == tensor.ndim:
            report.changes.append(f"the stem from {array.shape[1]} to {tensor.shape[1]} channels")
            array = adapt_input_conv(tensor.shape[1], array)
        else:
            changes["reshaped"] += 1
            report.pointwise_convolutions |= ".pwconv" in name
            array = array.reshape(tensor.shape)
    if array.dtype != tensor.dtype:
        changes[f"from {dtype_name(array.dtype)} to {dtype_name(tensor.dtype)}"] += 1
        array = array.astype(tensor.dtype)
    return array


def adapt_input_conv(in_chans: int, weight: mx.array) -> mx.array:
    """Adapt the weight of a stem for RGB images (O, 3, h, w) to other channels (O, in_chans, h, w), as timm does.

    One channel gets the sum, so that a gray image gives the same output as in RGB. More channels repeat the three,
    scaled by 3 / in_chans to keep the scale of the output. Computed in float32.
    """
    dtype, weight = weight.dtype, weight.astype(mx.float32)
    if in_chans == 1:
        weight = weight.sum(axis=1, keepdims=True)
    elif in_chans != 3:
        weight = mx.tile(weight, (1, math.ceil(in_chans / 3), 1, 1))[:, :in_chans] * (3 / in_chans)
    return weight.astype(dtype)


def _dialect_name(network: Network, name: str) -> str:
    return translate(name, "official", network.dialect) or name


def _squeezed(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(size for size in shape if size != 1)
