"""Ready-made parametrizations: weight norm, spectral norm and orthogonal matrices."""

from typing import TypeVar

import mlx.core as mx

from lucid import _checks, _grad_mode, linalg, random, tape
from lucid._tensor import Tensor
from lucid.nn.module import Module
from lucid.nn.utils._spectral_norm import as_matrix, power_iteration, random_unit_vector, spectral, usual_dim
from lucid.nn.utils.parametrize import register_parametrization
from lucid.ops import joining, matrix
from lucid.ops.weight_norm import norm_except_dim
from lucid.ops.weight_norm import weight_norm as normalized

__all__ = ["orthogonal", "spectral_norm", "weight_norm"]
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


_MAPS = ("matrix_exp", "cayley", "householder")


class _Orthogonal(Module):
    """Maps a matrix (..., n, k) to one with orthonormal columns, or rows if it is wide."""

    def __init__(self, orthogonal_map: str, use_trivialization: bool) -> None:
        super().__init__()
        self.orthogonal_map = orthogonal_map
        self.use_trivialization = use_trivialization
        self.register_buffer("base", None)

    def forward(self, X: Tensor) -> Tensor:
        wide = X.shape[-2] < X.shape[-1]
        X = X.transpose(-2, -1) if wide else X
        n, k = X.shape[-2:]
        if self.orthogonal_map == "householder":
            vectors = X.tril(-1)
            q = linalg.householder_product(vectors, 2.0 / (1.0 + (vectors * vectors).sum(-2)))
            q = q * X.detach().diagonal(dim1=-2, dim2=-1).sign().unsqueeze(-2)
        else:
            lower = X.tril()
            if n != k:
                lower = joining.cat([lower, lower.new_zeros((*X.shape[:-2], n, n - k))], -1)
            skew = lower - lower.transpose(-2, -1)
            if self.orthogonal_map == "matrix_exp":
                q = linalg.matrix_exp(skew)
            else:
                unit = tape.wrap(mx.eye(n, dtype=skew.dtype))
                q = linalg.solve(unit - 0.5 * skew, unit + 0.5 * skew)
            q = q[..., :k]
        q = q if self.base is None else matrix.matmul(self.base, q)
        return q.transpose(-2, -1) if wide else q

    def right_inverse(self, Q: Tensor) -> Tensor:
        if not self.use_trivialization:
            raise NotImplementedError("orthogonal: without use_trivialization, the tensor cannot be set")
        wide = Q.shape[-2] < Q.shape[-1]
        tall = Q._array.swapaxes(-1, -2) if wide else Q._array
        n, k = tall.shape[-2:]
        if n != k:  # any further columns
            rest = mx.random.normal((*tall.shape[:-2], n, n - k), key=random.key()).astype(tall.dtype)
            tall = mx.concatenate([tall, rest], -1)
        q, r = mx.linalg.qr(tall, stream=mx.cpu)
        signs = mx.sign(mx.diagonal(r, axis1=-2, axis2=-1))
        self.base = tape.wrap(q * mx.expand_dims(signs, -2))
        start = -mx.eye(n, k, dtype=tall.dtype)  # where all maps give the identity
        return tape.wrap(mx.broadcast_to(start.T if wide else start, Q.shape))


def orthogonal(
    module: M, name: str = "weight", orthogonal_map: str | None = None, *, use_trivialization: bool = True
) -> M:
    """Keep the matrix ``name`` (..., n, k) orthogonal: its columns are orthonormal, or its rows if n < k.

    Returns the module. Source: Lezcano-Casado and Martínez-Rubio 2019, arXiv:1901.08428.

    Args:
        orthogonal_map: "matrix_exp" (the default for square matrices), "cayley" or "householder" (otherwise).
        use_trivialization: Whether to multiply by an orthogonal matrix that is fixed when the tensor is set, which
            starts with the tensor's own; without it the tensor cannot be set.

    Raises:
        ValueError: the tensor has less than two dimensions, or ``orthogonal_map`` is unknown.

    Example:
        >>> layer = nn.utils.parametrizations.orthogonal(nn.Linear(3, 3))
        >>> lucid.allclose(layer.weight @ layer.weight.t(), lucid.eye(3), atol=1e-5)
        True
    """
    weight = _tensor_of("orthogonal", module, name)
    if weight.ndim < 2:
        raise ValueError(f"orthogonal: the tensor must have at least 2 dimensions, got shape {weight.shape}")
    if orthogonal_map is None:
        orthogonal_map = "matrix_exp" if weight.shape[-2] == weight.shape[-1] else "householder"
    rule = _Orthogonal(_checks.one_of("orthogonal", "orthogonal_map", orthogonal_map, _MAPS), bool(use_trivialization))
    return register_parametrization(module, name, rule, unsafe=True)
