"""``spectral_norm`` by a hook, and the power iteration. Source: Miyato et al. 2018, arXiv:1802.05957."""

from typing import Any, TypeVar

import mlx.core as mx

from lucid import _checks, random, tape
from lucid._tensor import Tensor
from lucid.nn.module import Module
from lucid.nn.parameter import Parameter
from lucid.nn.utils._weight_norm import parameter_of
from lucid.ops import arithmetic, matrix, shape

M = TypeVar("M", bound=Module)


def as_matrix(weight: Tensor, dim: int) -> Tensor:
    """``weight`` as a matrix with ``dim`` as its rows."""
    weight = shape.movedim(weight, dim, 0) if dim else weight
    return weight.reshape(weight.shape[0], -1)


def random_unit_vector(size: int, dtype: mx.Dtype, eps: float) -> Tensor:
    drawn = mx.random.normal((size,), key=random.key()).astype(dtype)
    return tape.wrap(_unit(drawn, eps))


def _unit(x: mx.array, eps: float) -> mx.array:
    return x / mx.maximum(mx.linalg.norm(x), eps)


def power_iteration(weight: Tensor, u: Tensor, v: Tensor, count: int, eps: float) -> None:
    """Move ``u`` and ``v`` toward the first singular vectors of the matrix ``weight``, in place."""
    w, left, right = mx.stop_gradient(weight._array), u._array, v._array
    for _ in range(count):
        left = _unit(w @ right, eps)
        right = _unit(w.T @ left, eps)
    u._update(left)
    v._update(right)


def spectral(weight: Tensor, u: Tensor, v: Tensor, dim: int) -> Tensor:
    """``weight`` divided by its largest singular value, whose singular vectors are ``u`` and ``v``."""
    rows = as_matrix(weight, dim)
    sigma = arithmetic.mul(u.detach().clone(), matrix.mv(rows, v.detach().clone())).sum()
    return weight / sigma


def usual_dim(module: Module, dim: int | None) -> int:
    """Dimension 1 for transposed convolutions, whose weight has the inputs first; otherwise 0."""
    return (1 if type(module).__name__.startswith("ConvTranspose") else 0) if dim is None else dim


class SpectralNorm:
    """A forward pre-hook that computes a parameter as a weight divided by its largest singular value."""

    def __init__(self, name: str, n_power_iterations: int, dim: int, eps: float) -> None:
        self.name, self.n_power_iterations, self.dim, self.eps = name, n_power_iterations, dim, eps

    def compute_weight(self, module: Module, do_power_iteration: bool) -> Tensor:
        """The parameter in its present value."""
        weight, u, v = (getattr(module, f"{self.name}_{part}") for part in ("orig", "u", "v"))
        if do_power_iteration:
            power_iteration(as_matrix(weight.detach(), self.dim), u, v, self.n_power_iterations, self.eps)
        return spectral(weight, u, v, self.dim)

    def __call__(self, module: Module, inputs: Any) -> None:
        setattr(module, self.name, self.compute_weight(module, module.training))


def spectral_norm(
    module: M, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12, dim: int | None = None
) -> M:
    """Divide the parameter ``name`` by its largest singular value before each forward pass, and return the module.

    The value itself is the parameter ``name_orig``. The singular vectors, in the buffers ``name_u`` and ``name_v``, are
    improved by ``n_power_iterations`` at each call during training.

    Example:
        >>> layer = nn.utils.spectral_norm(nn.Linear(4, 3))
        >>> list(layer.state_dict())
        ['bias', 'weight_orig', 'weight_u', 'weight_v']
    """
    count = _checks.integer("spectral_norm", "n_power_iterations", n_power_iterations, 1)
    weight = parameter_of("spectral_norm", module, name)
    if any(isinstance(hook, SpectralNorm) and hook.name == name for hook, _ in module._forward_pre_hooks.values()):
        raise RuntimeError(f"spectral_norm: {name!r} is normalized already")
    hook = SpectralNorm(name, count, usual_dim(module, dim), eps)
    rows = as_matrix(weight.detach(), hook.dim)
    delattr(module, name)
    module.register_parameter(f"{name}_orig", weight)
    setattr(module, name, weight.detach().clone())
    for part, size in zip(("u", "v"), rows.shape, strict=True):
        module.register_buffer(f"{name}_{part}", random_unit_vector(size, weight.dtype, eps))
    module.register_forward_pre_hook(hook)
    return module


def remove_spectral_norm(module: M, name: str = "weight") -> M:
    """Undo ``spectral_norm``: the parameter keeps its present, divided value. Returns the module."""
    for number, (hook, _) in list(module._forward_pre_hooks.items()):
        if isinstance(hook, SpectralNorm) and hook.name == name:
            weight = hook.compute_weight(module, do_power_iteration=False).detach()
            for part in ("", "_orig", "_u", "_v"):
                delattr(module, name + part)
            module.register_parameter(name, Parameter(weight))
            del module._forward_pre_hooks[number]
            return module
    raise ValueError(f"remove_spectral_norm: {name!r} of {type(module).__name__} is not normalized")
