"""Fitting a checkpoint's tensors to a model's parameters: which goes where, what changes, what is left out and why."""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import mlx.core as mx

from lucid._checks import dtype_name
from lucid._tensor import Tensor, as_array
from lucid.models.weights.detect import MismatchError, Network, place_in_words
from lucid.models.weights.dialects import translate

NORM = ("norm.weight", "norm.bias", "norm_pre.weight", "norm_pre.bias")
CLASSIFIER = ("head.weight", "head.bias")
STEM = ("downsample_layers.0.0.weight", "stem.weight")
_LISTED = 20  # faults that an error message lists
_MISSING = "missing from the checkpoint"


@dataclass
class LoadReport:
    """What ``load_checkpoint`` found and did. As a string, a short account.

    Attributes:
        source: the file.
        dialect: whose names the checkpoint has, one of ``DIALECTS``.
        wrapper: the keys of the mappings that the network lay in, ``("state_dict_ema",)`` for instance.
        prefix: what stood before its names, ``"module."`` for instance.
        architecture: the name of the variant, or the call that builds it.
        loaded: how many tensors the model took over.
        skipped: the names of the checkpoint that were not used, and why.
        kept: the names of the model that keep the values they had, and why.
        changes: what was done to values: other dtypes, shapes, channels, and to the model's final norm.
        pointwise_convolutions: the checkpoint has 1x1 convolutions for Linear layers, as timm's small models do.
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
        """The names in ``kept``, in the words of PyTorch's ``load_state_dict``."""
        return list(self.kept)

    @property
    def unexpected_keys(self) -> list[str]:
        """The names in ``skipped``, in the words of PyTorch's ``load_state_dict``."""
        return list(self.skipped)

    def __str__(self) -> str:
        found = place_in_words(self.dialect, self.wrapper, self.prefix)
        lines = [f"{self.source}: {self.architecture}, {found}: {self.loaded} tensors loaded"]
        lines += [f"  changed: {one}" for one in self.changes]
        for what, names in (("kept", self.kept), ("skipped", self.skipped)):
            for reason in dict.fromkeys(names.values()):
                listed = [name for name, why in names.items() if why == reason]
                lines.append(f"  {what} {', '.join(listed)}: {reason}")
        return "\n".join(lines)

    __repr__ = __str__


def plan_fitting(
    where: str, network: Network, own: Mapping[str, Tensor], report: LoadReport, strict: bool
) -> list[tuple[Tensor, mx.array]]:
    """Which parameter of ``own`` gets which array. ``report`` is filled in.

    Raises:
        MismatchError: names, shapes or dtypes that do not fit; with ``strict`` also missing and unknown names.
    """
    _leave_out(network, own, report)
    plan, faults, changes = [], [], Counter[str]()
    if strict:
        faults += [f"missing: {_named(network, name)}" for name, why in report.kept.items() if why == _MISSING]
        faults += [f"unknown: {name}" for name in network.unknown]
    lenient = len(faults)
    for name, tensor in own.items():
        if name in report.kept:
            continue
        array = as_array(network.tensors[name])
        fault = _fault(name, array, tensor)
        if fault:
            faults.append(f"{network.names[name]} {fault}")
        else:
            # GPUs have no float64, not even to convert it.
            with mx.stream(mx.cpu if array.dtype == mx.float64 else mx.default_device()):
                plan.append((tensor, _fitted(name, array, tensor, changes, report)))
    if faults:
        hint = "; strict=False loads what fits" if lenient == len(faults) else ""
        more = [f"... and {len(faults) - _LISTED} more"] if len(faults) > _LISTED else []
        listed = "\n  ".join(faults[:_LISTED] + more)
        raise MismatchError(f"{where} does not fit the model{hint}; nothing was loaded:\n  {listed}")
    report.loaded = len(plan)
    report.changes += [f"{count} tensors {change}" for change, count in changes.items()]
    return plan


def _leave_out(network: Network, own: Mapping[str, Tensor], report: LoadReport) -> None:
    """What of the checkpoint is not used, what of the model is not replaced, with reasons."""
    report.skipped |= dict.fromkeys(network.outside, "not of the network")
    report.skipped |= dict.fromkeys(network.unknown, f"no parameter of {network.dialect}'s ConvNeXt")
    tensors = network.tensors
    for name in tensors:
        if name not in own:
            part = "classifier" if name in CLASSIFIER else "final norm" if name in NORM else "such layer"
            report.skipped[network.names[name]] = f"the model has no {part}"
    report.kept |= {name: _MISSING for name in own if name not in tensors}
    if not any(name in tensors for name in CLASSIFIER):
        bare = not any(name in tensors for name in NORM)  # V2 as its authors' self-supervised training leaves it
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


def _fault(name: str, array: mx.array, tensor: Tensor) -> str | None:
    """What keeps ``array`` from becoming the value of ``tensor``."""
    if not mx.issubdtype(array.dtype, mx.floating):
        return f"is {dtype_name(array.dtype)}, weights must be floating-point numbers"
    if name in STEM and array.ndim == tensor.ndim and array.shape[2:] != tensor.shape[2:]:
        return f"has patches of {array.shape[2:]} px, the model of {tensor.shape[2:]}: build it with this patch_size"
    if name in STEM and array.ndim == tensor.ndim and array.shape[0] == tensor.shape[0]:
        if array.shape[1] in (3, tensor.shape[1]):
            return None
        return f"takes {array.shape[1]} channels, the model {tensor.shape[1]}; only 3 channels are turned into others"
    if _without_ones(array.shape) != _without_ones(tensor.shape):
        return f"has shape {array.shape}, the model wants {tensor.shape}"
    return None


def _fitted(name: str, array: mx.array, tensor: Tensor, changes: Counter[str], report: LoadReport) -> mx.array:
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
    """The weight (O, in_chans, h, w) that a stem for RGB images, (O, 3, h, w), becomes for other images, as in timm.

    One channel gets the sum, so that a grey image gives what it gave as RGB. More get the three again and again,
    scaled by 3 / in_chans, so that outputs keep their scale. Computed in float32.
    """
    dtype, weight = weight.dtype, weight.astype(mx.float32)
    if in_chans == 1:
        weight = weight.sum(axis=1, keepdims=True)
    elif in_chans != 3:
        weight = mx.tile(weight, (1, math.ceil(in_chans / 3), 1, 1))[:, :in_chans] * (3 / in_chans)
    return weight.astype(dtype)


def _named(network: Network, name: str) -> str:
    return translate(name, "official", network.dialect) or name


def _without_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(size for size in shape if size != 1)
