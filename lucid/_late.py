"""Families of functions that are imported when first used, so that ``import lucid`` stays fast.

``lucid.X`` and ``Tensor.X`` for the names below are the functions of these modules. A name that only tensors have, or
only the package, stands in one table.
"""

import importlib
from typing import Any

# The names of ``lucid`` by the module that defines them; modules themselves have the entry "".
_FAMILIES: dict[str, tuple[str, ...]] = {
    "lucid._compile": ("compile",),
    "lucid._profile": ("profile",),
    "lucid._summary": ("summary",),
    "lucid.autograd.modes": ("is_inference_mode_enabled",),
    "lucid.autograd.vectorizing": ("vmap",),
    "lucid.checkpoint": ("",),
    "lucid.data": ("",),
    "lucid.distributed": ("",),
    "lucid.distributions": ("",),
    "lucid.fft": ("",),
    "lucid.func": ("",),
    "lucid.linalg": ("",),
    "lucid.masked": ("",),
    "lucid.models": ("",),
    "lucid.nn.utils.quantization": ("dequantize", "quantize"),
    "lucid.ops.scattering": (
        "diagonal_scatter", "index_put", "index_reduce", "masked_scatter", "put", "scatter_reduce", "select_scatter",
        "slice_scatter",
    ),
    "lucid.serialization": ("", "load", "save"),
    "lucid.special": ("",),
    "lucid.special.elementary": ("i0",),
    "lucid.special.gamma": ("digamma", "igamma", "igammac", "lgamma", "mvlgamma", "polygamma"),
    "lucid.ops.distance": ("cdist", "renorm"),
    "lucid.ops.positions": (
        "nonzero_static", "tril_indices", "triu_indices", "unique_consecutive", "unravel_index",
    ),
    "lucid.ops.statistics": ("corrcoef", "cov", "histc", "histogram", "histogramdd", "mode"),
    "lucid.ops.strided": ("as_strided", "as_strided_copy", "as_strided_scatter"),
    "lucid.ops.searching": ("bucketize", "isin", "msort", "vdot"),
    "lucid.signal": ("",),
    "lucid.signal.periodic_windows": (
        "bartlett_window", "blackman_window", "hamming_window", "hann_window", "kaiser_window",
    ),
    "lucid.signal.short_time": ("istft", "stft"),
    "lucid.nn.native": ("native_batch_norm",),
    "lucid.ops.native": (
        "_safe_softmax", "affine_grid_generator", "constant_pad_nd", "grid_sampler", "grid_sampler_2d",
        "grid_sampler_3d", "max_pool2d_with_indices_backward", "native_channel_shuffle", "native_group_norm",
        "native_layer_norm",
    ),
    "lucid.ops.complex_numbers": (
        "angle", "complex", "conj", "conj_physical", "imag", "is_conj", "is_neg", "polar", "real", "resolve_conj",
        "resolve_neg", "view_as_complex", "view_as_real",
    ),
    "lucid.linalg.top_level": (
        "chain_matmul", "cholesky_inverse", "cholesky_solve", "cross", "dist", "inverse", "lu", "lu_solve", "orgqr",
        "pinverse", "qr", "svd", "triangular_solve",
    ),
    "lucid.linalg.decompositions": ("cholesky", "geqrf", "lu_unpack", "ormqr"),
    "lucid.linalg.determinants": ("det", "logdet", "slogdet"),
    "lucid.linalg.low_rank": ("pca_lowrank", "svd_lowrank"),
    "lucid.linalg.products": ("matrix_exp", "matrix_power"),
}  # fmt: skip
_NOT_METHODS = {
    "_safe_softmax", "affine_grid_generator", "as_strided_copy", "bartlett_window", "blackman_window", "bucketize",
    "cdist", "chain_matmul", "compile", "complex", "constant_pad_nd", "dequantize", "grid_sampler", "grid_sampler_2d",
    "grid_sampler_3d", "hamming_window", "hann_window", "histogramdd", "imag", "is_inference_mode_enabled", "isin",
    "kaiser_window", "load", "lu_unpack", "max_pool2d_with_indices_backward", "native_batch_norm",
    "native_channel_shuffle", "native_group_norm", "native_layer_norm", "pca_lowrank", "polar", "polygamma", "profile",
    "quantize", "real", "save", "summary", "svd_lowrank", "tril_indices", "triu_indices", "unravel_index",
    "view_as_complex", "view_as_real", "vmap",
}  # fmt: skip

MODULES = {name.rpartition(".")[2]: name for name, names in _FAMILIES.items() if "" in names}
FUNCTIONS = {name: module for module, names in _FAMILIES.items() for name in names if name}
METHODS = {name: module for name, module in FUNCTIONS.items() if name not in _NOT_METHODS}
METHODS["cfloat"] = "lucid.ops.complex_numbers"  # ``lucid.cfloat`` would be a dtype
# ``lucid.exp_(x)`` is ``x.exp_()``, for the methods that PyTorch has as functions too.
IN_PLACE = {
    "abs_", "acos_", "acosh_", "addmv_", "arccos_", "arccosh_", "arcsin_", "arcsinh_", "arctan_", "arctanh_", "asin_",
    "asinh_", "atan_", "atanh_", "ceil_", "clamp_", "clamp_max_", "clamp_min_", "clip_", "cos_", "cosh_", "deg2rad_",
    "erf_", "erfc_", "exp2_", "exp_", "expm1_", "fix_", "floor_", "frac_", "gcd_", "i0_",
    "index_put_", "lcm_", "ldexp_", "log10_", "log1p_", "log2_", "log_", "logit_", "nan_to_num_", "neg_", "negative_",
    "rad2deg_", "reciprocal_", "round_", "rsqrt_", "sigmoid_", "sin_", "sinc_", "sinh_", "sqrt_", "square_", "tan_",
    "tanh_", "trunc_", "xlogy_",
}  # fmt: skip
REASONS = {
    "lobpcg": "it is for sparse matrices, which MLX does not have; lucid.linalg.eigh computes all eigenvalues",
}
NAMES = sorted([*MODULES, *FUNCTIONS, *IN_PLACE])


JOBS = ("benchmark", "evaluation", "explain", "export", "training")  # packages that themselves import lucid


def load(name: str) -> Any:
    """The module or function that is ``lucid.<name>``."""
    if name in JOBS:
        return importlib.import_module(f"lucid.{name}")
    if name in MODULES:
        return importlib.import_module(MODULES[name])
    if name in IN_PLACE:
        return getattr(importlib.import_module("lucid._tensor").Tensor, name)
    return getattr(importlib.import_module(FUNCTIONS[name]), name)


class LateMethod:
    """A method of a class that takes its function's place once that is imported."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, instance: Any, owner: type) -> Any:
        function = getattr(importlib.import_module(METHODS[self._name]), self._name)
        for base in owner.__mro__:
            if vars(base).get(self._name) is self:
                setattr(base, self._name, function)
        return function if instance is None else function.__get__(instance, owner)
