"""The methods of a tensor that are functions of ``lucid.ops``: ``Tensor.sum is lucid.sum``."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from lucid import _late, tape
from lucid.ops import (
    activation,
    arithmetic,
    assembling,
    comparison,
    difference,
    elementwise,
    gather_scatter,
    indexing,
    joining,
    matrix,
    nan_reduction,
    number_parts,
    padding,
    pointwise,
    quantiles,
    reduction,
    scan,
    sorting,
    splitting,
)
from lucid.ops import shape as shapes

if TYPE_CHECKING:
    from lucid._tensor import Tensor


class TensorMethods(tape.TensorBase):
    """Base class of ``lucid.Tensor`` with the methods that compute."""

    __slots__ = ()

    def norm(self, p: float | str | None = "fro", dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Tensor:
        """``lucid.norm(self, ...)``, which has ``out`` before ``dtype``."""
        return reduction.norm(self, p, dim, keepdim, None, dtype)

    def polygamma(self, n: int) -> Tensor:
        """``lucid.polygamma(n, self)``."""
        return cast("Tensor", _late.load("polygamma")(n, self))

    add = arithmetic.add
    sub = arithmetic.sub
    true_divide = arithmetic.div
    subtract = arithmetic.subtract
    mul = arithmetic.mul
    multiply = arithmetic.multiply
    div = arithmetic.div
    divide = arithmetic.divide
    floor_divide = arithmetic.floor_divide
    remainder = arithmetic.remainder
    fmod = arithmetic.fmod
    pow = arithmetic.pow
    neg = arithmetic.neg
    negative = arithmetic.negative
    maximum = arithmetic.maximum
    minimum = arithmetic.minimum
    clamp = arithmetic.clamp
    clip = arithmetic.clip
    lerp = arithmetic.lerp
    addcmul = arithmetic.addcmul
    addcdiv = arithmetic.addcdiv
    clamp_min = arithmetic.clamp_min
    clamp_max = arithmetic.clamp_max
    logaddexp = arithmetic.logaddexp
    hypot = arithmetic.hypot
    positive = arithmetic.positive

    exp = elementwise.exp
    log = elementwise.log
    log1p = elementwise.log1p
    log2 = elementwise.log2
    log10 = elementwise.log10
    expm1 = elementwise.expm1
    exp2 = elementwise.exp2
    sqrt = elementwise.sqrt
    rsqrt = elementwise.rsqrt
    square = elementwise.square
    abs = elementwise.abs
    absolute = elementwise.absolute
    sign = elementwise.sign
    sin = elementwise.sin
    cos = elementwise.cos
    tan = elementwise.tan
    asin = elementwise.asin
    acos = elementwise.acos
    atan = elementwise.atan
    atan2 = elementwise.atan2
    sinh = elementwise.sinh
    cosh = elementwise.cosh
    tanh = elementwise.tanh
    asinh = elementwise.asinh
    acosh = elementwise.acosh
    atanh = elementwise.atanh
    arcsin = elementwise.arcsin
    arccos = elementwise.arccos
    arctan = elementwise.arctan
    arctan2 = elementwise.arctan2
    arcsinh = elementwise.arcsinh
    arccosh = elementwise.arccosh
    arctanh = elementwise.arctanh
    erf = elementwise.erf
    erfinv = elementwise.erfinv
    erfc = elementwise.erfc
    deg2rad = elementwise.deg2rad
    rad2deg = elementwise.rad2deg
    floor = elementwise.floor
    ceil = elementwise.ceil
    round = elementwise.round
    trunc = elementwise.trunc
    fix = elementwise.fix
    frac = elementwise.frac
    reciprocal = elementwise.reciprocal
    sigmoid = elementwise.sigmoid
    isnan = elementwise.isnan
    isinf = elementwise.isinf
    isfinite = elementwise.isfinite
    nan_to_num = elementwise.nan_to_num
    astype = elementwise.astype
    clone = elementwise.clone
    float = elementwise.float
    half = elementwise.half
    bfloat16 = elementwise.bfloat16
    double = elementwise.double
    int = elementwise.int
    long = elementwise.long
    byte = elementwise.byte
    char = elementwise.char
    short = elementwise.short
    bool = elementwise.bool
    type_as = elementwise.type_as

    copysign = number_parts.copysign
    float_power = pointwise.float_power
    fmax = pointwise.fmax
    fmin = pointwise.fmin
    frexp = number_parts.frexp
    gcd = pointwise.gcd
    heaviside = pointwise.heaviside
    isneginf = number_parts.isneginf
    isposinf = number_parts.isposinf
    isreal = number_parts.isreal
    lcm = pointwise.lcm
    ldexp = number_parts.ldexp
    logaddexp2 = pointwise.logaddexp2
    logit = pointwise.logit
    nextafter = number_parts.nextafter
    sgn = number_parts.sgn
    signbit = number_parts.signbit
    sinc = pointwise.sinc
    xlogy = pointwise.xlogy

    eq = comparison.eq
    ne = comparison.ne
    lt = comparison.lt
    le = comparison.le
    gt = comparison.gt
    ge = comparison.ge
    logical_and = comparison.logical_and
    logical_or = comparison.logical_or
    logical_not = comparison.logical_not
    logical_xor = comparison.logical_xor
    isclose = comparison.isclose
    allclose = comparison.allclose
    equal = comparison.equal
    not_equal = comparison.not_equal
    less = comparison.less
    less_equal = comparison.less_equal
    greater = comparison.greater
    greater_equal = comparison.greater_equal
    bitwise_and = arithmetic.bitwise_and
    bitwise_or = arithmetic.bitwise_or
    bitwise_xor = arithmetic.bitwise_xor
    bitwise_not = arithmetic.bitwise_not
    bitwise_left_shift = arithmetic.bitwise_left_shift
    bitwise_right_shift = arithmetic.bitwise_right_shift

    sum = reduction.sum
    mean = reduction.mean
    var = reduction.var
    std = reduction.std
    max = reduction.max
    min = reduction.min
    amax = reduction.amax
    amin = reduction.amin
    aminmax = reduction.aminmax
    argmax = reduction.argmax
    argmin = reduction.argmin
    prod = reduction.prod
    any = reduction.any
    all = reduction.all
    logsumexp = reduction.logsumexp
    cumsum = reduction.cumsum
    cumprod = reduction.cumprod
    count_nonzero = reduction.count_nonzero
    median = reduction.median
    kthvalue = reduction.kthvalue

    reshape = shapes.reshape
    view = shapes.view
    flatten = shapes.flatten
    unflatten = shapes.unflatten
    permute = shapes.permute
    transpose = shapes.transpose
    swapaxes = shapes.swapaxes
    swapdims = shapes.swapdims
    movedim = shapes.movedim
    moveaxis = shapes.moveaxis
    squeeze = shapes.squeeze
    unsqueeze = shapes.unsqueeze
    expand = shapes.expand
    expand_as = shapes.expand_as
    repeat = joining.repeat
    tile = joining.tile
    repeat_interleave = joining.repeat_interleave
    split = joining.split
    chunk = joining.chunk
    unbind = joining.unbind
    flip = shapes.flip
    fliplr = shapes.fliplr
    flipud = shapes.flipud
    rot90 = shapes.rot90
    roll = shapes.roll
    pad = padding.pad
    broadcast_to = shapes.broadcast_to
    t = shapes.t
    tril = shapes.tril
    triu = shapes.triu
    diag = shapes.diag
    diagonal = shapes.diagonal
    diag_embed = shapes.diag_embed
    trace = shapes.trace
    reshape_as = shapes.reshape_as
    view_as = shapes.view_as
    narrow = shapes.narrow

    softmax = activation.softmax
    log_softmax = activation.log_softmax
    relu = activation.relu
    prelu = activation.prelu
    hardshrink = activation.hardshrink

    gather = gather_scatter.gather
    scatter = gather_scatter.scatter
    scatter_add = gather_scatter.scatter_add
    index_select = gather_scatter.index_select
    take = gather_scatter.take
    take_along_dim = gather_scatter.take_along_dim
    masked_fill = indexing.masked_fill
    masked_select = indexing.masked_select
    index_add = gather_scatter.index_add
    index_copy = gather_scatter.index_copy
    index_fill = gather_scatter.index_fill
    nonzero = indexing.nonzero
    argwhere = indexing.argwhere
    select = shapes.select

    matmul = matrix.matmul
    mm = matrix.mm
    bmm = matrix.bmm
    mv = matrix.mv
    dot = matrix.dot
    inner = matrix.inner
    outer = matrix.outer
    addbmm = matrix.addbmm
    addmm = matrix.addmm
    addmv = matrix.addmv
    addr = matrix.addr
    baddbmm = matrix.baddbmm

    sort = sorting.sort
    argsort = sorting.argsort
    topk = sorting.topk
    unique = sorting.unique
    bincount = sorting.bincount

    cummax = scan.cummax
    cummin = scan.cummin
    logcumsumexp = scan.logcumsumexp

    diff = difference.diff

    nanmean = nan_reduction.nanmean
    nanmedian = nan_reduction.nanmedian
    nanquantile = quantiles.nanquantile
    nansum = nan_reduction.nansum
    quantile = quantiles.quantile

    diagflat = assembling.diagflat
    kron = assembling.kron

    dsplit = splitting.dsplit
    hsplit = splitting.hsplit
    narrow_copy = splitting.narrow_copy
    ravel = splitting.ravel
    split_with_sizes = splitting.split_with_sizes
    sum_to_size = splitting.sum_to_size
    tensor_split = splitting.tensor_split
    unfold = splitting.unfold
    unsafe_chunk = splitting.unsafe_chunk
    unsafe_split = splitting.unsafe_split
    unsafe_split_with_sizes = splitting.unsafe_split_with_sizes
    vsplit = splitting.vsplit

    if TYPE_CHECKING:  # the methods of lucid._late
        angle: Callable[..., Tensor]
        as_strided: Callable[..., Tensor]
        as_strided_scatter: Callable[..., Tensor]
        cfloat: Callable[..., Tensor]
        cholesky: Callable[..., Tensor]
        cholesky_inverse: Callable[..., Tensor]
        cholesky_solve: Callable[..., Tensor]
        conj: Callable[..., Tensor]
        conj_physical: Callable[..., Tensor]
        corrcoef: Callable[..., Tensor]
        cov: Callable[..., Tensor]
        cross: Callable[..., Tensor]
        det: Callable[..., Tensor]
        diagonal_scatter: Callable[..., Tensor]
        digamma: Callable[..., Tensor]
        dist: Callable[..., Tensor]
        geqrf: Callable[..., Any]
        histc: Callable[..., Tensor]
        histogram: Callable[..., Any]
        i0: Callable[..., Tensor]
        igamma: Callable[..., Tensor]
        igammac: Callable[..., Tensor]
        index_put: Callable[..., Tensor]
        index_reduce: Callable[..., Tensor]
        inverse: Callable[..., Tensor]
        is_conj: Callable[..., Any]
        is_neg: Callable[..., Any]
        istft: Callable[..., Tensor]
        lgamma: Callable[..., Tensor]
        logdet: Callable[..., Tensor]
        lu: Callable[..., Any]
        lu_solve: Callable[..., Tensor]
        masked_scatter: Callable[..., Tensor]
        matrix_exp: Callable[..., Tensor]
        matrix_power: Callable[..., Tensor]
        mode: Callable[..., Any]
        msort: Callable[..., Tensor]
        mvlgamma: Callable[..., Tensor]
        nonzero_static: Callable[..., Tensor]
        orgqr: Callable[..., Tensor]
        ormqr: Callable[..., Tensor]
        pinverse: Callable[..., Tensor]
        put: Callable[..., Tensor]
        qr: Callable[..., Any]
        renorm: Callable[..., Tensor]
        resolve_conj: Callable[..., Tensor]
        resolve_neg: Callable[..., Tensor]
        scatter_reduce: Callable[..., Tensor]
        select_scatter: Callable[..., Tensor]
        slice_scatter: Callable[..., Tensor]
        slogdet: Callable[..., Any]
        stft: Callable[..., Tensor]
        svd: Callable[..., Any]
        triangular_solve: Callable[..., Any]
        unique_consecutive: Callable[..., Any]
        vdot: Callable[..., Tensor]


for _name in _late.METHODS:
    setattr(TensorMethods, _name, _late.LateMethod(_name))
