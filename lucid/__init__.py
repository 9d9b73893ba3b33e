"""Lucid: a deep-learning library with PyTorch's API on MLX.

``import lucid`` provides ``lucid.Tensor`` and its functions, ``lucid.nn``, ``lucid.optim``, ``lucid.data`` and
``lucid.models``. Start with ``examples/train_cifar10.py``.
"""

from typing import TYPE_CHECKING

_distribution = "lucid-mlx"  # first, because lucid/_checks.py reads it

from lucid import _interrupts  # first: the imports below take the time  # isort: skip
from lucid import _device  # second: loads the BLAS and explains a missing backend  # isort: skip

from lucid import _late, amp, autograd, memory, metrics, nn, optim, random, utils
from lucid._bounds import debug
from lucid._creation import *
from lucid._device import device, get_default_device, set_default_device
from lucid._dtypes import (
    bfloat16,
    bool_,
    can_cast,
    complex64,
    double,
    finfo,
    float16,
    float32,
    float64,
    get_default_dtype,
    half,
    iinfo,
    int8,
    int16,
    int32,
    int64,
    long,
    promote_types,
    set_default_dtype,
    short,
    uint8,
    uint16,
    uint32,
    uint64,
)
from lucid._generator import Generator, default_generator
from lucid._memory_format import (
    channels_last,
    channels_last_3d,
    contiguous_format,
    memory_format,
    preserve_format,
)
from lucid._placement import layout, strided
from lucid._queries import *
from lucid._tensor import Tensor
from lucid._tensor_repr import set_printoptions
from lucid._typed_tensors import (
    BFloat16Tensor,
    BoolTensor,
    ByteTensor,
    CharTensor,
    DoubleTensor,
    FloatTensor,
    HalfTensor,
    IntTensor,
    LongTensor,
    ShortTensor,
)
from lucid._version import __version__
from lucid.amp import autocast, is_autocast_enabled
from lucid.autograd import enable_grad, inference_mode, is_grad_enabled, no_grad, set_grad_enabled
from lucid.ops.activation import celu as celu
from lucid.ops.activation import celu_ as celu_
from lucid.ops.activation import hardshrink as hardshrink
from lucid.ops.activation import log_softmax as log_softmax
from lucid.ops.activation import prelu as prelu
from lucid.ops.activation import relu as relu
from lucid.ops.activation import relu_ as relu_
from lucid.ops.activation import selu as selu
from lucid.ops.activation import selu_ as selu_
from lucid.ops.activation import softmax as softmax
from lucid.ops.activation import threshold as threshold
from lucid.ops.activation import threshold_ as threshold_
from lucid.ops.arithmetic import *
from lucid.ops.assembling import *
from lucid.ops.comparison import *
from lucid.ops.difference import *
from lucid.ops.elementwise import *
from lucid.ops.gather_scatter import *
from lucid.ops.indexing import *
from lucid.ops.integration import *
from lucid.ops.joining import *
from lucid.ops.matrix import *
from lucid.ops.nan_reduction import *
from lucid.ops.number_parts import *
from lucid.ops.padding import *
from lucid.ops.pointwise import *
from lucid.ops.quantiles import *
from lucid.ops.reduction import *
from lucid.ops.scan import *
from lucid.ops.shape import *
from lucid.ops.sorting import *
from lucid.ops.splitting import *
from lucid.random import (
    bernoulli,
    get_rng_state,
    initial_seed,
    manual_seed,
    multinomial,
    normal,
    permutation,
    rand,
    rand_like,
    randint,
    randint_like,
    randn,
    randn_like,
    randperm,
    seed,
    set_rng_state,
    uniform,
)

float = float32  # PyTorch's names; Python's builtins are not affected
bool = bool_
int = int32

if TYPE_CHECKING:  # what lucid._late imports when it is first used
    from collections.abc import Callable

    from lucid import (
        checkpoint,
        data,
        distributed,
        distributions,
        fft,
        func,
        linalg,
        masked,
        models,
        serialization,
        signal,
        special,
    )
    from lucid._compile import compile
    from lucid._profile import profile
    from lucid._summary import summary
    from lucid.autograd.modes import is_inference_mode_enabled
    from lucid.autograd.vectorizing import vmap
    from lucid.linalg.decompositions import cholesky, geqrf, lu_unpack, ormqr
    from lucid.linalg.determinants import det, logdet, slogdet
    from lucid.linalg.low_rank import pca_lowrank, svd_lowrank
    from lucid.linalg.products import matrix_exp, matrix_power
    from lucid.linalg.top_level import (
        chain_matmul,
        cholesky_inverse,
        cholesky_solve,
        cross,
        dist,
        inverse,
        lu,
        lu_solve,
        orgqr,
        pinverse,
        qr,
        svd,
        triangular_solve,
    )
    from lucid.nn.native import native_batch_norm
    from lucid.nn.utils.quantization import dequantize, quantize
    from lucid.ops.complex_numbers import (
        angle,
        complex,
        conj,
        conj_physical,
        imag,
        is_conj,
        is_neg,
        polar,
        real,
        resolve_conj,
        resolve_neg,
        view_as_complex,
        view_as_real,
    )
    from lucid.ops.distance import cdist, renorm
    from lucid.ops.native import (
        _safe_softmax,
        affine_grid_generator,
        constant_pad_nd,
        grid_sampler,
        grid_sampler_2d,
        grid_sampler_3d,
        max_pool2d_with_indices_backward,
        native_channel_shuffle,
        native_group_norm,
        native_layer_norm,
    )
    from lucid.ops.positions import nonzero_static, tril_indices, triu_indices, unique_consecutive, unravel_index
    from lucid.ops.scattering import (
        diagonal_scatter,
        index_put,
        index_reduce,
        masked_scatter,
        put,
        scatter_reduce,
        select_scatter,
        slice_scatter,
    )
    from lucid.ops.searching import bucketize, isin, msort, vdot
    from lucid.ops.statistics import corrcoef, cov, histc, histogram, histogramdd, mode
    from lucid.ops.strided import as_strided, as_strided_copy, as_strided_scatter
    from lucid.serialization import load, save
    from lucid.signal.periodic_windows import (
        bartlett_window,
        blackman_window,
        hamming_window,
        hann_window,
        kaiser_window,
    )
    from lucid.signal.short_time import istft, stft
    from lucid.special.elementary import i0
    from lucid.special.gamma import digamma, igamma, igammac, lgamma, mvlgamma, polygamma

    abs_: Callable[..., Tensor]
    acos_: Callable[..., Tensor]
    acosh_: Callable[..., Tensor]
    addmv_: Callable[..., Tensor]
    arccos_: Callable[..., Tensor]
    arccosh_: Callable[..., Tensor]
    arcsin_: Callable[..., Tensor]
    arcsinh_: Callable[..., Tensor]
    arctan_: Callable[..., Tensor]
    arctanh_: Callable[..., Tensor]
    asin_: Callable[..., Tensor]
    asinh_: Callable[..., Tensor]
    atan_: Callable[..., Tensor]
    atanh_: Callable[..., Tensor]
    ceil_: Callable[..., Tensor]
    clamp_: Callable[..., Tensor]
    clamp_max_: Callable[..., Tensor]
    clamp_min_: Callable[..., Tensor]
    clip_: Callable[..., Tensor]
    cos_: Callable[..., Tensor]
    cosh_: Callable[..., Tensor]
    deg2rad_: Callable[..., Tensor]
    erf_: Callable[..., Tensor]
    erfc_: Callable[..., Tensor]
    exp2_: Callable[..., Tensor]
    exp_: Callable[..., Tensor]
    expm1_: Callable[..., Tensor]
    fix_: Callable[..., Tensor]
    floor_: Callable[..., Tensor]
    frac_: Callable[..., Tensor]
    gcd_: Callable[..., Tensor]
    i0_: Callable[..., Tensor]
    index_put_: Callable[..., Tensor]
    lcm_: Callable[..., Tensor]
    ldexp_: Callable[..., Tensor]
    log10_: Callable[..., Tensor]
    log1p_: Callable[..., Tensor]
    log2_: Callable[..., Tensor]
    log_: Callable[..., Tensor]
    logit_: Callable[..., Tensor]
    nan_to_num_: Callable[..., Tensor]
    neg_: Callable[..., Tensor]
    negative_: Callable[..., Tensor]
    rad2deg_: Callable[..., Tensor]
    reciprocal_: Callable[..., Tensor]
    round_: Callable[..., Tensor]
    rsqrt_: Callable[..., Tensor]
    sigmoid_: Callable[..., Tensor]
    sin_: Callable[..., Tensor]
    sinc_: Callable[..., Tensor]
    sinh_: Callable[..., Tensor]
    sqrt_: Callable[..., Tensor]
    square_: Callable[..., Tensor]
    tan_: Callable[..., Tensor]
    tanh_: Callable[..., Tensor]
    trunc_: Callable[..., Tensor]
    xlogy_: Callable[..., Tensor]
else:  # type checkers would believe that every name exists

    def __getattr__(name):
        if name in _late.NAMES or name in _late.JOBS:
            globals()[name] = found = _late.load(name)
            return found
        if name in ("cuda", "backends", "mps", "xpu"):
            raise AttributeError(
                f"module 'lucid' has no attribute {name!r}: lucid.get_default_device() is the current device, "
                "lucid.set_default_device('gpu') computes on the GPU, and memory is unified, so that nothing has to be "
                "moved"
            )
        reason = f": {_late.REASONS[name]}" if name in _late.REASONS else ""
        raise AttributeError(f"module 'lucid' has no attribute {name!r}{reason}")


def __dir__():
    return sorted({*globals(), *_late.NAMES})


__all__ = [
    "BFloat16Tensor", "BoolTensor", "ByteTensor", "CharTensor", "DoubleTensor", "FloatTensor", "Generator",
    "HalfTensor", "IntTensor", "LongTensor", "ShortTensor", "Size", "Tensor", "__version__", "abs", "abs_", "absolute",
    "acos", "acos_", "acosh", "acosh_", "add", "addbmm", "addcdiv", "addcmul", "addmm", "addmv", "addmv_", "addr",
    "affine_grid_generator", "alias_copy", "all", "allclose", "amax", "amin", "aminmax", "amp", "angle", "any",
    "arange", "arccos", "arccos_", "arccosh", "arccosh_", "arcsin", "arcsin_", "arcsinh", "arcsinh_", "arctan",
    "arctan2", "arctan_", "arctanh", "arctanh_", "argmax", "argmin", "argsort", "argwhere", "as_strided",
    "as_strided_copy", "as_strided_scatter", "as_tensor", "asarray", "asin", "asin_", "asinh", "asinh_", "atan",
    "atan2", "atan_", "atanh", "atanh_", "atleast_1d", "atleast_2d", "atleast_3d", "autocast", "autograd", "baddbmm",
    "bartlett_window", "bernoulli", "bfloat16", "bincount", "bitwise_and", "bitwise_left_shift", "bitwise_not",
    "bitwise_or", "bitwise_right_shift", "bitwise_xor", "blackman_window", "block_diag", "bmm", "bool", "bool_",
    "broadcast_shapes", "broadcast_tensors", "broadcast_to", "bucketize", "can_cast", "cartesian_prod", "cat", "cdist",
    "ceil", "ceil_", "celu", "celu_", "chain_matmul", "channels_last", "channels_last_3d", "checkpoint", "cholesky",
    "cholesky_inverse", "cholesky_solve", "chunk", "clamp", "clamp_", "clamp_max", "clamp_max_", "clamp_min",
    "clamp_min_", "clip", "clip_", "clone", "column_stack", "combinations", "compile", "complex", "complex64", "concat",
    "concatenate", "conj", "conj_physical", "constant_pad_nd", "contiguous", "contiguous_format", "copysign",
    "corrcoef", "cos", "cos_", "cosh", "cosh_", "count_nonzero", "cov", "cross", "cummax", "cummin", "cumprod",
    "cumsum", "cumulative_trapezoid", "data", "debug", "default_generator", "deg2rad", "deg2rad_", "dequantize", "det",
    "device", "diag", "diag_embed", "diagflat", "diagonal", "diagonal_copy", "diagonal_scatter", "diff", "digamma",
    "dist", "distributed", "distributions", "div", "divide", "dot", "double", "dsplit", "dstack", "einsum", "empty",
    "empty_like", "empty_permuted", "empty_strided", "enable_grad", "eq", "equal", "erf", "erf_", "erfc", "erfc_",
    "erfinv", "exp", "exp2", "exp2_", "exp_", "expand", "expand_as", "expand_copy", "expm1", "expm1_", "eye", "fft",
    "fill", "finfo", "fix", "fix_", "flatten", "flip", "fliplr", "flipud", "float", "float16", "float32", "float64",
    "float_power", "floor", "floor_", "floor_divide", "fmax", "fmin", "fmod", "frac", "frac_", "frexp", "from_dlpack",
    "from_numpy", "frombuffer", "full", "full_like", "func", "gather", "gcd", "gcd_", "ge", "geqrf",
    "get_default_device", "get_default_dtype", "get_rng_state", "gradient", "greater", "greater_equal", "grid_sampler",
    "grid_sampler_2d", "grid_sampler_3d", "gt", "half", "hamming_window", "hann_window", "hardshrink", "heaviside",
    "histc", "histogram", "histogramdd", "hsplit", "hstack", "hypot", "i0", "i0_", "igamma", "igammac", "iinfo", "imag",
    "index_add", "index_copy", "index_fill", "index_put", "index_put_", "index_reduce", "index_select",
    "inference_mode", "initial_seed", "inner", "int", "int16", "int32", "int64", "int8", "inverse",
    "is_autocast_enabled", "is_complex", "is_conj", "is_floating_point", "is_grad_enabled", "is_inference_mode_enabled",
    "is_neg", "is_nonzero", "is_same_size", "is_signed", "is_tensor", "isclose", "isfinite", "isin", "isinf", "isnan",
    "isneginf", "isposinf", "isreal", "istft", "kaiser_window", "kron", "kthvalue", "layout", "lcm", "lcm_", "ldexp",
    "ldexp_", "le", "lerp", "less", "less_equal", "lgamma", "linalg", "linspace", "load", "log", "log10", "log10_",
    "log1p", "log1p_", "log2", "log2_", "log_", "log_softmax", "logaddexp", "logaddexp2", "logcumsumexp", "logdet",
    "logical_and", "logical_not", "logical_or", "logical_xor", "logit", "logit_", "logspace", "logsumexp", "long", "lt",
    "lu", "lu_solve", "lu_unpack", "manual_seed", "masked", "masked_fill", "masked_scatter", "masked_select", "matmul",
    "matrix_exp", "matrix_power", "max", "max_pool2d_with_indices_backward", "maximum", "mean", "median", "memory",
    "memory_format", "meshgrid", "metrics", "min", "minimum", "mm", "mode", "models", "moveaxis", "movedim", "msort",
    "mul", "multinomial", "multiply", "mv", "mvlgamma", "nan_to_num", "nan_to_num_", "nanmean", "nanmedian",
    "nanquantile", "nansum", "narrow", "narrow_copy", "native_batch_norm", "native_channel_shuffle",
    "native_group_norm", "native_layer_norm", "ne", "neg", "neg_", "negative", "negative_", "nextafter", "nn",
    "no_grad", "nonzero", "nonzero_static", "norm", "normal", "not_equal", "numel", "one_hot", "ones", "ones_like",
    "optim", "orgqr", "ormqr", "outer", "pad", "pca_lowrank", "permutation", "permute", "permute_copy", "pinverse",
    "polar", "polygamma", "positive", "pow", "prelu", "preserve_format", "prod", "profile", "promote_types", "put",
    "qr", "quantile", "quantize", "rad2deg", "rad2deg_", "rand", "rand_like", "randint", "randint_like", "randn",
    "randn_like", "random", "randperm", "ravel", "real", "reciprocal", "reciprocal_", "relu", "relu_", "remainder",
    "renorm", "repeat", "repeat_interleave", "reshape", "reshape_as", "resolve_conj", "resolve_neg", "result_type",
    "roll", "rot90", "round", "round_", "row_stack", "rsqrt", "rsqrt_", "rsub", "save", "scalar_tensor", "scatter",
    "scatter_add", "scatter_reduce", "searchsorted", "seed", "select", "select_copy", "select_scatter", "selu", "selu_",
    "serialization", "set_default_device", "set_default_dtype", "set_default_tensor_type", "set_grad_enabled",
    "set_printoptions", "set_rng_state", "sgn", "short", "sigmoid", "sigmoid_", "sign", "signal", "signbit", "sin",
    "sin_", "sinc", "sinc_", "sinh", "sinh_", "slice_scatter", "slogdet", "softmax", "sort", "special", "split",
    "split_copy", "split_with_sizes", "split_with_sizes_copy", "sqrt", "sqrt_", "square", "square_", "squeeze",
    "squeeze_copy", "stack", "std", "std_mean", "stft", "strided", "sub", "subtract", "sum", "sum_to_size", "summary",
    "svd", "svd_lowrank", "swapaxes", "swapdims", "t", "t_copy", "take", "take_along_dim", "tan", "tan_", "tanh",
    "tanh_", "tensor", "tensor_split", "tensordot", "threshold", "threshold_", "tile", "topk", "trace", "transpose",
    "transpose_copy", "trapezoid", "trapz", "triangular_solve", "tril", "tril_indices", "triu", "triu_indices",
    "true_divide", "trunc", "trunc_", "uint16", "uint32", "uint64", "uint8", "unbind", "unbind_copy", "unflatten",
    "unfold", "unfold_copy", "uniform", "unique", "unique_consecutive", "unravel_index", "unsafe_chunk", "unsafe_split",
    "unsafe_split_with_sizes", "unsqueeze", "unsqueeze_copy", "utils", "vander", "var", "var_mean", "vdot", "view",
    "view_as", "view_as_complex", "view_as_real", "view_copy", "vmap", "vsplit", "vstack", "where", "xlogy", "xlogy_",
    "zeros", "zeros_like",
]  # fmt: skip
