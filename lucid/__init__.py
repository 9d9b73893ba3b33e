"""Lucid: a deep-learning library with PyTorch's API on MLX.

``import lucid`` provides ``lucid.Tensor`` and its functions, ``lucid.nn``, ``lucid.optim``, ``lucid.data`` and
``lucid.models``. Start with ``examples/train_cifar10.py``.
"""

from typing import TYPE_CHECKING

_distribution = "lucid-mlx"  # first, because lucid/_checks.py reads it

from lucid import _interrupts  # first: the imports below take the time  # isort: skip
from lucid import _device  # second: loads the BLAS and explains a missing backend  # isort: skip

from lucid import (
    _late,
    amp,
    autograd,
    checkpoint,
    data,
    distributed,
    memory,
    metrics,
    models,
    nn,
    optim,
    random,
    utils,
)
from lucid._bounds import debug
from lucid._compile import compile
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
from lucid._profile import profile
from lucid._queries import *
from lucid._summary import summary
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
from lucid.optim import swa_utils as _swa_utils
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
    randn,
    randn_like,
    randperm,
    seed,
    set_rng_state,
    uniform,
)
from lucid.serialization import load, save

float = float32  # PyTorch's names; Python's builtins are not affected
bool = bool_
int = int32

if not TYPE_CHECKING:  # type checkers would believe that every name exists

    def __getattr__(name):
        if name in _late.NAMES:
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
    *_late.NAMES,
    "BFloat16Tensor", "BoolTensor", "ByteTensor", "CharTensor", "DoubleTensor", "FloatTensor", "Generator",
    "HalfTensor", "IntTensor", "LongTensor", "ShortTensor", "Tensor", "__version__", "abs", "absolute", "acos", "acosh",
    "add", "addbmm", "addcdiv", "addcmul", "addmm", "addmv", "addr", "alias_copy", "all", "allclose", "amax", "amin",
    "aminmax", "amp", "any", "arange", "arccos", "arccosh", "arcsin", "arcsinh", "arctan", "arctan2", "arctanh",
    "argmax", "argmin", "argsort", "argwhere", "as_tensor", "asarray", "asin", "asinh", "atan", "atan2", "atanh",
    "atleast_1d", "atleast_2d", "atleast_3d", "autocast", "autograd", "baddbmm", "bernoulli", "bfloat16", "bincount",
    "bitwise_and", "bitwise_left_shift", "bitwise_not", "bitwise_or", "bitwise_right_shift", "bitwise_xor",
    "block_diag", "bmm", "bool", "bool_", "broadcast_shapes", "broadcast_tensors", "broadcast_to", "can_cast",
    "cartesian_prod", "cat", "ceil", "celu", "celu_", "channels_last", "channels_last_3d", "checkpoint", "chunk",
    "clamp", "clamp_max", "clamp_min", "clip", "clone", "column_stack", "combinations", "compile", "complex64",
    "concat", "concatenate", "contiguous", "contiguous_format", "copysign", "cos", "cosh", "count_nonzero", "cummax",
    "cummin", "cumprod", "cumsum", "cumulative_trapezoid", "data", "debug", "default_generator", "deg2rad", "device",
    "diag", "diag_embed", "diagflat", "diagonal", "diagonal_copy", "diff", "distributed", "div", "divide", "dot",
    "double", "dsplit", "dstack", "einsum", "empty", "empty_like", "enable_grad", "eq", "equal", "erf", "erfc",
    "erfinv", "exp", "exp2", "expand", "expand_as", "expand_copy", "expm1", "eye", "fill", "finfo", "fix", "flatten",
    "flip", "fliplr", "flipud", "float", "float16", "float32", "float64", "float_power", "floor", "floor_divide",
    "fmax", "fmin", "fmod", "frac", "frexp", "from_dlpack", "from_numpy", "frombuffer", "full", "full_like", "gather",
    "gcd", "ge", "get_default_device", "get_default_dtype", "get_rng_state", "gradient", "greater", "greater_equal",
    "gt", "half", "hardshrink", "heaviside", "hsplit", "hstack", "hypot", "iinfo", "index_add", "index_copy",
    "index_fill", "index_select", "inference_mode", "initial_seed", "inner", "int", "int16", "int32", "int64", "int8",
    "is_autocast_enabled", "is_complex", "is_floating_point", "is_grad_enabled", "is_nonzero", "is_same_size",
    "is_signed", "is_tensor", "isclose", "isfinite", "isinf", "isnan", "isneginf", "isposinf", "isreal", "kron",
    "kthvalue", "layout", "lcm", "ldexp", "le", "lerp", "less", "less_equal", "linalg", "linspace", "load", "log",
    "log10", "log1p", "log2", "log_softmax", "logaddexp", "logaddexp2", "logcumsumexp", "logical_and", "logical_not",
    "logical_or", "logical_xor", "logit", "logspace", "logsumexp", "long", "lt", "manual_seed", "masked_fill",
    "masked_select", "matmul", "max", "maximum", "mean", "median", "memory", "memory_format", "meshgrid", "metrics",
    "min", "minimum", "mm", "models", "moveaxis", "movedim", "mul", "multinomial", "multiply", "mv", "nan_to_num",
    "nanmean", "nanmedian", "nanquantile", "nansum", "narrow", "narrow_copy", "ne", "neg", "negative", "nextafter",
    "nn", "no_grad", "nonzero", "norm", "normal", "not_equal", "numel", "one_hot", "ones", "ones_like", "optim",
    "outer", "pad", "permutation", "permute", "permute_copy", "positive", "pow", "prelu", "preserve_format", "prod",
    "profile", "promote_types", "quantile", "rad2deg", "rand", "rand_like", "randint", "randn", "randn_like", "random",
    "randperm", "ravel", "reciprocal", "relu", "relu_", "remainder", "repeat", "repeat_interleave", "reshape",
    "reshape_as", "result_type", "roll", "rot90", "round", "row_stack", "rsqrt", "rsub", "save", "scatter",
    "scatter_add", "searchsorted", "seed", "select", "select_copy", "selu", "selu_", "set_default_device",
    "set_default_dtype", "set_default_tensor_type", "set_grad_enabled", "set_printoptions", "set_rng_state", "sgn",
    "short", "sigmoid", "sign", "signbit", "sin", "sinc", "sinh", "softmax", "sort", "split", "split_copy",
    "split_with_sizes", "split_with_sizes_copy", "sqrt", "square", "squeeze", "squeeze_copy", "stack", "std",
    "std_mean", "strided", "sub", "subtract", "sum", "sum_to_size", "summary", "swapaxes", "swapdims", "t", "t_copy",
    "take", "take_along_dim", "tan", "tanh", "tensor", "tensor_split", "tensordot", "threshold", "threshold_", "tile",
    "topk", "trace", "transpose", "transpose_copy", "trapezoid", "trapz", "tril", "triu", "true_divide", "trunc",
    "uint16", "uint32", "uint64", "uint8", "unbind", "unbind_copy", "unflatten", "unfold", "unfold_copy", "uniform",
    "unique", "unsafe_chunk", "unsafe_split", "unsafe_split_with_sizes", "unsqueeze", "unsqueeze_copy", "utils",
    "vander", "var", "var_mean", "view", "view_as", "view_copy", "vsplit", "vstack", "where", "xlogy", "zeros",
    "zeros_like",
]  # fmt: skip
