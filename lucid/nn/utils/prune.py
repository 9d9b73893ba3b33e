"""Pruning: masks on parameters, applied before each forward pass. Lazily imported as ``nn.utils.prune``."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, TypeVar

import mlx.core as mx
import numpy as np

from lucid import _checks, _deferred, random, tape
from lucid._tensor import Tensor
from lucid.nn.module import Module
from lucid.nn.parameter import Parameter

__all__ = [
    "BasePruningMethod", "CustomFromMask", "Identity", "L1Unstructured", "LnStructured", "PruningContainer",
    "RandomStructured", "RandomUnstructured", "custom_from_mask", "global_unstructured", "identity", "is_pruned",
    "l1_unstructured", "ln_structured", "random_structured", "random_unstructured", "remove",
]  # fmt: skip
M = TypeVar("M", bound=Module)


class BasePruningMethod(ABC):
    """Base class of pruning methods: a subclass has a ``PRUNING_TYPE`` and defines ``compute_mask``.

    The parameter ``name`` becomes ``name_orig``, the mask is the buffer ``name_mask``, and a forward pre-hook sets
    ``name`` to their product. ``PRUNING_TYPE`` is "unstructured", "structured" or "global".

    Example:
        >>> class EveryOther(nn.utils.prune.BasePruningMethod):
        ...     PRUNING_TYPE = "unstructured"
        ...     def compute_mask(self, t, default_mask):
        ...         return default_mask * (lucid.arange(t.numel()).reshape(t.shape) % 2)
        >>> EveryOther.apply(nn.Linear(2, 2), "bias").name
        'bias'
    """

    PRUNING_TYPE = "unstructured"
    _tensor_name: str

    def __call__(self, module: Module, inputs: Any) -> None:
        setattr(module, self._tensor_name, self.apply_mask(module))

    @property
    def name(self) -> str:
        """The name of the parameter that is pruned."""
        return self._tensor_name

    @abstractmethod
    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """The mask of the tensor ``t``: ``default_mask``, of what is left so far, with more zeros."""

    def apply_mask(self, module: Module) -> Tensor:
        """The original parameter times the mask."""
        mask, original = (getattr(module, f"{self._tensor_name}_{part}") for part in ("mask", "orig"))
        return mask.to(original.dtype) * original

    @classmethod
    def apply(
        cls, module: Module, name: str, *args: Any, importance_scores: Tensor | None = None, **kwargs: Any
    ) -> Any:
        """Prune the parameter ``name`` of ``module``, in addition to what is pruned already; returns the method."""
        where = cls.__name__
        if not isinstance(module, Module):
            raise TypeError(f"{where}: module must be a Module, got {type(module).__name__}")
        old = [(number, hook) for number, hook in _methods(module) if hook.name == name]
        method: BasePruningMethod = cls(*args, **kwargs)
        method._tensor_name = name
        if old:
            [(number, before)] = old
            del module._forward_pre_hooks[number]
            container = before if isinstance(before, PruningContainer) else PruningContainer(before)
            container.add_pruning_method(method)
            method = container
        else:
            original = module._parameters.get(name)
            if original is None:
                raise AttributeError(f"{where}: {type(module).__name__} has no parameter {name!r}")
            delattr(module, name)
            module.register_parameter(f"{name}_orig", original)
            module.register_buffer(f"{name}_mask", original.detach().new_ones(original.shape))
        original, known = getattr(module, f"{name}_orig"), getattr(module, f"{name}_mask")
        scores = original if importance_scores is None else importance_scores
        if scores.shape != original.shape:
            raise ValueError(f"{where}: importance_scores must have shape {original.shape}, got {scores.shape}")
        mask = method.compute_mask(scores.detach(), known)
        setattr(module, f"{name}_mask", mask.to(original.dtype).detach())
        setattr(module, name, method.apply_mask(module))
        module.register_forward_pre_hook(method)
        return method

    def prune(self, t: Tensor, default_mask: Tensor | None = None, importance_scores: Tensor | None = None) -> Tensor:
        """A pruned copy of the tensor ``t``."""
        default = t.detach().new_ones(t.shape) if default_mask is None else default_mask
        return t * self.compute_mask((t if importance_scores is None else importance_scores).detach(), default)

    def remove(self, module: Module) -> None:
        """Make the pruned tensor a parameter again, without the original and the mask."""
        name = self._tensor_name
        weight = self.apply_mask(module).detach()
        original: Parameter = module._parameters[f"{name}_orig"]  # type: ignore[assignment]
        for part in ("", "_orig", "_mask"):
            delattr(module, name + part)
        original._rebind(weight._array)
        module.register_parameter(name, original)


def _nonzero(vector: mx.array) -> Tensor:
    return tape.wrap(mx.array(np.flatnonzero(_deferred.to_numpy(vector)).astype(np.int32)))


def _methods(module: Module) -> list[tuple[int, BasePruningMethod]]:
    hooks = [(number, hook) for number, (hook, _) in module._forward_pre_hooks.items()]
    return [(number, hook) for number, hook in hooks if isinstance(hook, BasePruningMethod)]


class PruningContainer(BasePruningMethod):
    """Several pruning methods of one parameter, each applied to what the former ones left.

    Example:
        >>> layer = nn.utils.prune.l1_unstructured(nn.Linear(4, 3), "weight", amount=2)
        >>> layer = nn.utils.prune.l1_unstructured(layer, "weight", amount=3)
        >>> int((layer.weight == 0).sum().item())
        5
    """

    def __init__(self, *args: BasePruningMethod) -> None:
        self._pruning_methods: tuple[BasePruningMethod, ...] = ()
        for method in args:
            if not self._pruning_methods:
                self._tensor_name = method._tensor_name
            self.add_pruning_method(method)

    def add_pruning_method(self, method: BasePruningMethod | None) -> None:
        """Add a method for the same parameter."""
        if method is None:
            return
        if not isinstance(method, BasePruningMethod):
            raise TypeError(f"PruningContainer: method must be a pruning method, got {type(method).__name__}")
        if self._tensor_name != method._tensor_name:
            raise ValueError(
                f"PruningContainer: prunes {self._tensor_name!r}, got a method for {method._tensor_name!r}"
            )
        self._pruning_methods += (method,)

    def __len__(self) -> int:
        return len(self._pruning_methods)

    def __iter__(self) -> Any:
        return iter(self._pruning_methods)

    def __getitem__(self, index: int) -> BasePruningMethod:
        return self._pruning_methods[index]

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """The mask of the last method, of what the mask of the others leaves."""
        method = self._pruning_methods[-1]
        if method.PRUNING_TYPE == "structured":  # only slices that are not zero altogether count
            dim = method.dim % t.ndim  # type: ignore[attr-defined]
            others = tuple(at for at in range(t.ndim) if at != dim)
            rows = _nonzero(mx.any(default_mask._array != 0, others))
            part = method.compute_mask(t.index_select(dim, rows), default_mask.index_select(dim, rows))
            return default_mask.index_copy(dim, rows, part.to(default_mask.dtype))
        flat = default_mask.reshape(-1)
        found = _nonzero(flat._array)
        part = method.compute_mask(t.reshape(-1).index_select(0, found), flat.index_select(0, found))
        return flat.index_copy(0, found, part.to(flat.dtype)).reshape(t.shape)


class Identity(BasePruningMethod):
    """Prunes nothing, but adds original and mask.

    Example:
        >>> nn.utils.prune.Identity().prune(lucid.ones(2)).tolist()
        [1.0, 1.0]
    """

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """``default_mask``."""
        return default_mask


def _amount(caller: str, amount: Any) -> Any:
    """A number of units, or a fraction in [0, 1]."""
    if type(amount) is int:
        return _checks.integer(caller, "amount", amount, 0)
    return _checks.number(caller, "amount", amount, 0, 1)


def _count(caller: str, amount: Any, size: int) -> int:
    if type(amount) is not int:
        return round(amount * size)
    if amount > size:
        raise ValueError(f"{caller}: amount {amount} is more than the {size} units that are left")
    return amount


def _without(mask: Tensor, scores: mx.array, count: int) -> Tensor:
    """``mask`` with zeros at the ``count`` smallest of the flat ``scores``."""
    if not count:
        return mask.clone()
    smallest = mx.argpartition(scores, count - 1)[:count] if count < scores.size else mx.arange(scores.size)
    flat = mask._array.reshape(-1)
    zeros = mx.zeros((count,), flat.dtype)
    return tape.wrap(mx.put_along_axis(flat, smallest, zeros, 0).reshape(mask.shape))


class RandomUnstructured(BasePruningMethod):
    """Prunes units at random.

    Args:
        amount: The number of units, or their fraction in [0, 1].

    Example:
        >>> nn.utils.prune.RandomUnstructured(3).prune(lucid.ones(5)).sum().item()
        2.0
    """

    def __init__(self, amount: float) -> None:
        self.amount = _amount(type(self).__name__, amount)

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """``default_mask`` with zeros at the units to prune."""
        count = _count(type(self).__name__, self.amount, t.numel())
        return _without(default_mask, self._scores(t._array).reshape(-1), count)

    def _scores(self, t: mx.array) -> mx.array:
        return mx.random.uniform(shape=t.shape, key=random.key())


class L1Unstructured(RandomUnstructured):
    """Prunes the units with the smallest absolute values.

    Args:
        amount: The number of units, or their fraction in [0, 1].

    Example:
        >>> nn.utils.prune.L1Unstructured(1).prune(lucid.tensor([3.0, -1.0, 2.0])).tolist()
        [3.0, -0.0, 2.0]
    """

    def _scores(self, t: mx.array) -> mx.array:
        return mx.abs(t)


class RandomStructured(BasePruningMethod):
    """Prunes whole slices along ``dim`` at random.

    Args:
        amount: The number of slices, or their fraction in [0, 1].
        dim: The dimension.

    Example:
        >>> nn.utils.prune.RandomStructured(1, dim=0).prune(lucid.ones(3, 2)).sum().item()
        4.0
    """

    PRUNING_TYPE = "structured"

    def __init__(self, amount: float, dim: int = -1) -> None:
        self.amount = _amount(type(self).__name__, amount)
        self.dim = dim

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """``default_mask`` with zeros in the slices to prune."""
        where = type(self).__name__
        if t.ndim < 2:
            raise ValueError(f"{where}: structured pruning needs at least 2 dimensions, got shape {t.shape}")
        dim = _checks.dim(where, self.dim, t.ndim)
        count = _count(where, self.amount, t.shape[dim])
        slices = tape.wrap(mx.ones((t.shape[dim],)))
        kept = _without(slices, self._scores(t._array, dim), count)
        return default_mask * kept.reshape([-1 if at == dim else 1 for at in range(t.ndim)]).to(default_mask.dtype)

    def _scores(self, t: mx.array, dim: int) -> mx.array:
        return mx.random.uniform(shape=(t.shape[dim],), key=random.key())


class LnStructured(RandomStructured):
    """Prunes the slices along ``dim`` with the smallest norms of order ``n``.

    Args:
        amount: The number of slices, or their fraction in [0, 1].
        n: The order of the norm.
        dim: The dimension.

    Example:
        >>> nn.utils.prune.LnStructured(1, n=2, dim=0).prune(lucid.tensor([[3.0, 1.0], [1.0, 1.0]])).tolist()
        [[3.0, 1.0], [0.0, 0.0]]
    """

    def __init__(self, amount: float, n: Any, dim: int = -1) -> None:
        super().__init__(amount, dim)
        self.n = n

    def _scores(self, t: mx.array, dim: int) -> mx.array:
        others = tuple(at for at in range(t.ndim) if at != dim)
        return tape.wrap(t).norm(self.n, dim=others if len(others) > 1 else others[0])._array


class CustomFromMask(BasePruningMethod):
    """Prunes by a given mask.

    Args:
        mask: 1 where a unit stays and 0 where it is pruned.

    Example:
        >>> nn.utils.prune.CustomFromMask(lucid.tensor([1.0, 0.0])).prune(lucid.tensor([3.0, 4.0])).tolist()
        [3.0, 0.0]
    """

    PRUNING_TYPE = "global"

    def __init__(self, mask: Tensor) -> None:
        self.mask = mask

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """The product of both masks."""
        mask = self.mask if self.mask.shape == default_mask.shape else self.mask.reshape(-1)
        return default_mask * mask.to(default_mask.dtype)


def identity(module: M, name: str) -> M:
    """Give the parameter ``name`` a mask of ones, and return the module."""
    Identity.apply(module, name)
    return module


def random_unstructured(module: M, name: str, amount: float) -> M:
    """Prune ``amount`` units of the parameter ``name`` at random, and return the module."""
    RandomUnstructured.apply(module, name, amount)
    return module


def l1_unstructured(module: M, name: str, amount: float, importance_scores: Tensor | None = None) -> M:
    """Prune the ``amount`` units of ``name`` with the smallest absolute values or scores, and return the module.

    Example:
        >>> layer = nn.utils.prune.l1_unstructured(nn.Linear(4, 3), "weight", amount=0.5)
        >>> int((layer.weight == 0).sum().item())
        6
    """
    L1Unstructured.apply(module, name, amount=amount, importance_scores=importance_scores)
    return module


def random_structured(module: M, name: str, amount: float, dim: int) -> M:
    """Prune ``amount`` slices of ``name`` along ``dim`` at random, and return the module."""
    RandomStructured.apply(module, name, amount, dim)
    return module


def ln_structured(module: M, name: str, amount: float, n: Any, dim: int, importance_scores: Tensor | None = None) -> M:
    """Prune the ``amount`` slices of ``name`` along ``dim`` with the smallest n-norms, and return the module."""
    LnStructured.apply(module, name, amount, n, dim, importance_scores=importance_scores)
    return module


def custom_from_mask(module: M, name: str, mask: Tensor) -> M:
    """Prune the parameter ``name`` by ``mask``, and return the module."""
    CustomFromMask.apply(module, name, mask)
    return module


def global_unstructured(
    parameters: Iterable[tuple[Module, str]], pruning_method: type[BasePruningMethod],
    importance_scores: dict[tuple[Module, str], Tensor] | None = None, **kwargs: Any,
) -> None:  # fmt: skip
    """Prune all ``parameters``, pairs of module and name, as if they were one vector.

    Example:
        >>> model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2))
        >>> pairs = [(model[0], "weight"), (model[1], "weight")]
        >>> nn.utils.prune.global_unstructured(pairs, nn.utils.prune.L1Unstructured, amount=0.5)
        >>> sum(int((layer.weight == 0).sum().item()) for layer in model)
        12
    """
    pairs = list(parameters)
    if not pairs or not all(isinstance(one, tuple) and len(one) == 2 for one in pairs):
        raise TypeError("global_unstructured: parameters must be pairs of module and name")
    given = importance_scores or {}
    tensors = [getattr(module, name) for module, name in pairs]
    scores = [given.get(pair, one).detach().reshape(-1)._array for pair, one in zip(pairs, tensors, strict=True)]
    masks = [
        getattr(module, f"{name}_mask", one.detach().new_ones(one.shape)).reshape(-1)._array
        for (module, name), one in zip(pairs, tensors, strict=True)
    ]
    container = PruningContainer()
    container._tensor_name = "temp"
    method = pruning_method(**kwargs)
    method._tensor_name = "temp"
    if method.PRUNING_TYPE != "unstructured":
        raise TypeError(f"global_unstructured: pruning_method must be unstructured, got {pruning_method.__name__}")
    container.add_pruning_method(method)
    whole = container.compute_mask(tape.wrap(mx.concatenate(scores)), tape.wrap(mx.concatenate(masks)))
    start = 0
    for (module, name), one in zip(pairs, tensors, strict=True):
        custom_from_mask(module, name, whole[start : start + one.numel()].reshape(one.shape))
        start += one.numel()


def remove(module: M, name: str) -> M:
    """Make the pruned parameter ``name`` permanent, without original and mask; returns the module."""
    for number, method in _methods(module):
        if method.name == name:
            method.remove(module)
            del module._forward_pre_hooks[number]
            return module
    raise ValueError(f"remove: {name!r} of {type(module).__name__} is not pruned")


def is_pruned(module: Module) -> bool:
    """Whether a parameter of the module or of a descendant is pruned."""
    return any(_methods(one) for one in module.modules())
