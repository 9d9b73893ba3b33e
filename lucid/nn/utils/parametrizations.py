"""Ready-made parametrizations: weight norm and spectral norm."""

from typing import TypeVar

from lucid import _checks, _grad_mode
from lucid._tensor import Tensor
from lucid.nn.module import Module
from lucid.nn.utils._spectral_norm import as_matrix, power_iteration, random_unit_vector, spectral, usual_dim
from lucid.nn.utils.parametrize import register_parametrization
from lucid.ops.weight_norm import norm_except_dim
from lucid.ops.weight_norm import weight_norm as normalized

__all__ = ["spectral_norm", "weight_norm"]
M = TypeVar("M", bound=Module)


def _tensor_of(caller: str, module: Module, name: str) -> Tensor:
    found = getattr(module, name, None)
    if not isinstance(found, Tensor):
        raise ValueError(f"{caller}: {type(module).__name__} has no parameter or buffer {name!r}")
    return found


class _WeightNorm(Module):
    def __init__(self, dim: int | None = 0) -> None:
        super().__init__()
        self.dim = -1 if dim is None else dim

    def forward(self, weight_g: Tensor, weight_v: Tensor) -> Tensor:
        return normalized(weight_v, weight_g, self.dim)

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        return norm_except_dim(weight, self.dim), weight


def weight_norm(module: M, name: str = "weight", dim: int | None = 0) -> M:
    """Compute the parameter ``name`` from its length ``original0`` and direction ``original1``; returns the module.

    ``dim`` is the dimension whose slices have a length each, or None for one of the whole. Source: Salimans and Kingma
    2016, arXiv:1602.07868.

    Example:
        >>> layer = nn.utils.parametrizations.weight_norm(nn.Linear(4, 3))
        >>> list(layer.state_dict())
        ['bias', 'parametrizations.weight.original0', 'parametrizations.weight.original1']
    """
    weight = _tensor_of("weight_norm", module, name)
    if dim is not None:
        _checks.dim("weight_norm", dim, weight.ndim)
    return register_parametrization(module, name, _WeightNorm(dim), unsafe=True)


class _SpectralNorm(Module):
    def __init__(self, weight: Tensor, n_power_iterations: int = 1, dim: int = 0, eps: float = 1e-12) -> None:
        super().__init__()
        self.dim = dim if dim >= 0 else dim + weight.ndim
        self.eps = eps
        self.n_power_iterations = n_power_iterations
        if weight.ndim > 1:
            rows = as_matrix(weight, self.dim)
            for name, size in zip(("_u", "_v"), rows.shape, strict=True):
                self.register_buffer(name, random_unit_vector(size, weight.dtype, eps))
            power_iteration(rows, self._u, self._v, 15, eps)

    def forward(self, weight: Tensor) -> Tensor:
        if weight.ndim == 1:
            return weight / weight.norm().clamp(min=self.eps)
        if self.training:
            with _grad_mode.set_recording(False):
                rows = as_matrix(weight.detach(), self.dim)
            power_iteration(rows, self._u, self._v, self.n_power_iterations, self.eps)
        return spectral(weight, self._u, self._v, self.dim)

    def right_inverse(self, value: Tensor) -> Tensor:
        return value


def spectral_norm(
    module: M, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12, dim: int | None = None
) -> M:
    """Divide the parameter ``name`` by its largest singular value, and return the module.

    ``n_power_iterations`` improve the singular vectors at each use during training. Source: Miyato et al. 2018,
    arXiv:1802.05957.

    Example:
        >>> layer = nn.utils.parametrizations.spectral_norm(nn.Linear(4, 3))
        >>> round(lucid.linalg.matrix_norm(layer.weight.detach(), 2).item(), 2)
        1.0
    """
    weight = _tensor_of("spectral_norm", module, name).detach()
    count = _checks.integer("spectral_norm", "n_power_iterations", n_power_iterations, 1)
    rule = _SpectralNorm(weight, count, usual_dim(module, dim), eps)
    return register_parametrization(module, name, rule)
