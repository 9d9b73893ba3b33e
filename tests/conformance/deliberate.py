"""Where Lucid is not PyTorch on purpose: the only differences that the recorded samples and signatures may show.

``docs/pytorch-differences.md`` is written from these tables by ``python -m tests.conformance.document``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.conformance.values import Difference, arrays_in


@dataclass(frozen=True)
class Deliberate:
    """A kind of difference: in which operations and cases, what either library does, and why.

    ``ops``, ``kinds`` and ``detail`` are patterns of a difference's fields, ``when`` a condition of its sample.
    ``title`` names the operations for readers.
    """

    title: str
    pytorch: str
    lucid: str
    why: str
    ops: str
    kinds: str = ".*"
    detail: str = ""
    when: Callable[[Any], bool] = lambda sample: True

    def covers(self, found: Difference) -> bool:
        return bool(
            re.fullmatch(self.ops, found.op)
            and re.fullmatch(self.kinds, found.kind)
            and re.search(self.detail, found.detail)
            and self.when(found.sample)
        )


@dataclass(frozen=True)
class Parameter:
    """A parameter that is not PyTorch's: patterns of the name and of the mismatch, and the same for readers."""

    title: str
    lucid: str
    why: str
    names: str
    mismatch: str

    def covers(self, name: str, mismatch: str) -> bool:
        return bool(re.fullmatch(self.names, name) and re.fullmatch(self.mismatch, mismatch))


SAMPLES: list[Deliberate] = [
    Deliberate(
        "the gradient of `as_strided_scatter`",
        "gives the input the gradient of `src`, and none to the elements that are kept",
        "gives the input the gradient of the elements that are kept",
        "PyTorch's is wrong",
        ops="as_strided_scatter",
        kinds="grad|second",
    ),
    Deliberate(
        "the second derivative of `native_layer_norm` without a weight",
        "`RuntimeError`",
        "computes it",
        "PyTorch's is an internal error",
        ops="native_layer_norm",
        kinds="accepts",
        detail="Expected a proper Tensor but got None",
    ),
    Deliberate(
        "`x.addbmm_(batch1, batch2)` of a result larger than `x`",
        "gives `x` the shape of the result",
        "`RuntimeError`",
        "operations in place keep the shape, as PyTorch's others do",
        ops="addbmm",
        kinds="raises|keyword",
        detail="addbmm_: cannot write a result of shape",
    ),
    Deliberate(
        "functions of tensors: `maximum(x, 2)`, `eq(2, x)`, `logaddexp(x, 1)`",
        "some take a number for each tensor, some raise `TypeError`",
        "all take numbers, as arrays without dimensions",
        "one rule for all functions; every call that PyTorch accepts means the same",
        ops=r".*",
        kinds="accepts|error type",
        detail=r"TypeError: .*(must be Tensor, not (int|float|bool|complex)|got \((int|float), )",
    ),
    Deliberate(
        "`out=`",
        "writes the result there",
        "refused by name; `out=None` is accepted",
        "an operation builds a graph, and has no memory to save by writing into a tensor",
        ops=".*",
        kinds="error type",
        detail="out= is not supported",
    ),
    Deliberate(
        "`l1_loss(complex64, float64)` and other mixtures of complex64 and float64",
        "gives complex128 or float64",
        "gives complex64 or float32",
        "MLX has no complex128",
        ops=r"nn\.functional\.l1_loss",
        kinds="dtype|value",
        when=lambda sample: {"complex64", "float64"} <= {one.dtype for one in arrays_in([sample.args, sample.kwargs])},
    ),
    Deliberate(
        "`embedding(..., sparse=True)`, `embedding_bag(..., sparse=True)`",
        "the gradient is a sparse tensor",
        "`ValueError`",
        "MLX has no sparse tensors",
        ops=r"nn\.functional\.embedding(_bag)?",
        kinds="raises|keyword",
        detail="sparse gradients are not supported",
    ),
    Deliberate(
        "eigenvectors and singular vectors of `linalg.eigh`, `linalg.eig` and `linalg.svd`, and what depends on them",
        "gives those of its LAPACK",
        "gives those of MLX's LAPACK: another sign or phase",
        "they are determined up to that; PyTorch's differ between machines too",
        ops=r"linalg\.(eigh|eig|svd)|svd",
        kinds="value|grad|second",
    ),
    Deliberate(
        "the order of the eigenvalues of `linalg.eig` and `linalg.eigvals`",
        "is that of its LAPACK",
        "is that of MLX's LAPACK",
        "it is not defined",
        ops=r"linalg\.(eig|eigvals)",
        kinds="value|grad|second",
    ),
    Deliberate(
        "the gradient of a function that depends on the phase of eigenvectors or singular vectors",
        "raises an error for complex ones",
        "computes one",
        "whether it depends on the phase is only known once all values are",
        ops=r"linalg\.(eigh|eig|svd)|svd",
        kinds="accepts",
        detail="linalg_eig|svd_backward|ill-defined",
    ),
    Deliberate(
        "transforms and eigenvalues of float64",
        "are complex128 or float64",
        "are complex64 or float32",
        "MLX has no complex128",
        ops=r"fft\..*|linalg\.(eig|eigvals)|i?stft|complex|polar|view_as_complex",
        when=lambda sample: sample.dtype == "float64",
    ),
    Deliberate(
        "`matrix_exp` of half precision",
        "gives NaN where an intermediate result overflows",
        "computes in float32, and rounds once",
        "float32 is more exact",
        ops=r"(linalg\.)?matrix_exp",
        kinds="value",
        when=lambda sample: sample.dtype in ("float16", "bfloat16"),
    ),
    Deliberate(
        "complex numbers of float16 parts",
        "are complex32",
        "are complex64",
        "MLX has no complex32",
        ops="complex|view_as_complex",
        kinds="accepts",
        detail="complex32",
    ),
    Deliberate(
        "`linalg.pinv` with a tolerance that requires gradients",
        "raises an error",
        "ignores it",
        "the result does not depend on it, where it has a derivative",
        ops=r"linalg\.pinv",
        kinds="accepts",
        detail="not differentiable with respect to argument",
    ),
    Deliberate(
        "losses of half precision: `soft_margin_loss`, `hinge_embedding_loss`, `poisson_nll_loss`, "
        "`cosine_embedding_loss`",
        "rounds every intermediate result, and overflows",
        "computes in float32, and rounds once",
        "float32 is more exact",
        ops=r"nn\.functional\.(soft_margin|hinge_embedding|poisson_nll|cosine_embedding)_loss|nn\.CosineEmbeddingLoss",
        kinds="value",
        when=lambda sample: sample.dtype in ("float16", "bfloat16"),
    ),
    Deliberate(
        "second derivatives of `ctc_loss`",
        "`RuntimeError`",
        "computes them",
        "MLX differentiates every operation",
        ops=r"nn\.functional\.ctc_loss",
        kinds="accepts",
        detail="is not implemented",
    ),
    Deliberate(
        "second derivatives of norms at zero",
        "NaN",
        "zero",
        "the first derivative is defined as zero there, in both; a NaN would spread through the whole model",
        ops=r"norm|linalg\.(vector_|matrix_)?norm",
        kinds="second",
        detail="PyTorch nan",
    ),
    Deliberate(
        "`acosh_`, `asinh_` and `atanh_` of a tensor that requires grad",
        "have no derivative",
        "have that of `acosh`, `asinh` and `atanh`",
        "an operation in place is the operation",
        ops="(a|arc)(cosh|sinh|tanh)",
        kinds="accepts",
        detail="derivative for 'inplace version of a(cosh|sinh|tanh)'",
    ),
    Deliberate(
        "`special.airy_ai`, `bessel_j0`, `bessel_j1`, `bessel_y0` and `bessel_y1` of float64",
        "are exact to 1e-6",
        "are exact to 1e-13",
        "they agree with SciPy's",
        ops=r"special\.(airy_ai|bessel_[jy][01])",
        kinds="value",
        when=lambda sample: sample.dtype == "float64",
    ),
    Deliberate(
        "`cov` with negative weights",
        "`RuntimeError`",
        "computes the formula",
        "values are not read",
        ops="cov",
        kinds="accepts",
        detail="weights cannot be negative",
    ),
    Deliberate(
        "`local_response_norm` of integers",
        "computes in integers where the batch is small",
        "`TypeError`",
        "a quotient of integers loses its fraction",
        ops=r"nn\.functional\.local_response_norm",
        kinds="raises|keyword",
        detail="must hold floating-point numbers, got int",
    ),
    Deliberate(
        "`polygamma` of float32 next to a pole",
        "is exact to 1e-4",
        "is exact to 1e-6",
        "the distance from the pole is taken before it is squared",
        ops=r"(special\.)?polygamma",
        kinds="value|grad",
        detail=r"[1-3] of \d+ values",
    ),
    Deliberate(
        "`logcumsumexp` of complex64",
        "adds multiples of 2 pi to the imaginary part",
        "gives the principal value",
        "both are logarithms of the sum",
        ops="logcumsumexp",
        kinds="value",
        when=lambda sample: sample.dtype == "complex64",
    ),
    Deliberate(
        "`float_power` and `block_diag` of complex64 with float64",
        "gives complex128",
        "gives complex64",
        "MLX has no complex128",
        ops="float_power|block_diag",
        kinds="accepts",
        detail="Unsupported: complex128|base given to float_power_ has dtype ComplexFloat",
    ),
    Deliberate(
        "the gradient of `logcumsumexp` at values above 1000 in float32",
        "is correct to 1e-3",
        "is correct to 1e-6",
        "PyTorch's formula takes differences of large logarithms",
        ops="logcumsumexp",
        kinds="grad|second",
        detail=r"of input 0: \d+ of \d+ values",
    ),
    Deliberate(
        "`narrow_copy` with a dimension out of range",
        "raises `RuntimeError`",
        "raises `IndexError`",
        "as `narrow` does, in both",
        ops="narrow_copy",
        kinds="error type",
    ),
    Deliberate(
        "`grid_sample` in half precision",
        "rounds positions and weights to half precision",
        "computes them in float32",
        "float32 is more exact: positions of half precision are up to a pixel off in an image of some hundred",
        ops=r"nn\.functional\.grid_sample|grid_sampler_[23]d",
        kinds="value|grad|second",
        when=lambda sample: sample.dtype in ("float16", "bfloat16"),
    ),
    Deliberate(
        "`special.round` of integers",
        "is not implemented",
        "gives the integers, as `round` does in both",
        "it is the same function",
        ops=r"special\.round",
        kinds="accepts",
    ),
    Deliberate(
        "`optim.Muon`",
        "orthogonalizes in bfloat16",
        "orthogonalizes in float32",
        "float32 is more exact; both agree to 2 %",
        ops=r"optim\.Muon",
        kinds="value",
        detail=r"of \d+ values",
    ),
    Deliberate(
        "gradients of `masked` functions where a whole row is masked out",
        "0",
        "NaN where the gradient of the result is NaN, as it is behind 0 / 0",
        "MLX multiplies the gradient of a choice by 0 instead of leaving it out",
        ops=r"masked\..*",
        kinds="grad|second",
        detail="nan",
    ),
    Deliberate(
        "`optim.SparseAdam`",
        "takes sparse gradients only",
        "takes dense gradients, and updates the rows that are not all zero",
        "MLX has no sparse tensors",
        ops=r"optim\.SparseAdam",
        kinds="accepts",
        detail="does not support dense gradients",
    ),
    Deliberate(
        "optimizers with `lr` as a tensor and `foreach=True`, or with a number and a tensor as `betas`",
        "refuses them, the former unless `capturable=True`",
        "accepts them",
        "`foreach` and `capturable` choose an implementation that Lucid does not have; they are accepted and ignored",
        ops=r"optim\..*",
        kinds="accepts",
        detail="capturable|foreach|both floats or both Tensors",
    ),
]

# What the comparison leaves out on purpose: (where, PyTorch, Lucid, why).
LEFT_OUT = [
    (
        "`CrossMapLRN2d`",
        "keeps the first channel in sums that it should have left, and has a gradient that is not that of its values",
        "computes the documented formula and its gradient",
        "both are mistakes of PyTorch's layer, which its own test inputs do not contain",
    ),
    (
        "overloads with a scalar before a tensor: `add(input, alpha, other)`, `addmm(beta, input, mat1, mat2)`",
        "accepts them with a warning",
        "refuses them; `alpha` and `beta` are keywords",
        "PyTorch deprecated them",
    ),
    ("`names=`", "makes named tensors, a prototype", "has none", "they are a prototype"),
    (
        "`tensor`, `as_tensor` and `from_numpy` of NumPy's float64, `default_collate` of Python's numbers",
        "gives float64",
        "gives float32, unless `dtype=float64` is given",
        "GPUs of a Mac have no float64",
    ),
    (
        "calls that PyTorch refuses: `softmax` of integers without `dtype`, `matmul(int64, float32)`, "
        "`cross_entropy` with class numbers in int32, `x[0] = [1, 2]`, `x[::-1]`",
        "raise an error",
        "compute what Python or NumPy would, with the promoted dtype",
        "the meaning is clear; every call that PyTorch accepts means the same",
    ),
    (
        "`load_state_dict` without `num_batches_tracked`",
        "raises an error if the dictionary is the one that `state_dict()` returned, which carries a version",
        "keeps the number, as PyTorch does with plain dictionaries",
        "state dicts carry no version",
    ),
    (
        "which of several equal values `topk`, `kthvalue`, `median` and an unstable `sort` name",
        "is not defined",
        "may be another one",
        "the values are equal",
    ),
]

PARAMETERS: list[Parameter] = [
    Parameter(
        "`compile`",
        "`compile(function, state=[model, optimizer])`",
        "a compiled function of MLX needs to know the state that it changes; PyTorch's arguments choose a compiler",
        names="compile",
        mismatch=".*",
    ),
    Parameter(
        "`save`",
        "`save(obj, f, metadata)` takes named tensors, and none of `pickle_module`, `pickle_protocol`, "
        "`_use_new_zipfile_serialization` and `_disable_byteorder_record`",
        "it writes safetensors or PyTorch's format; nothing is pickled",
        names="save",
        mismatch="(pickle_|_).* is missing",
    ),
    Parameter(
        "`dequantize`",
        "`dequantize(model)` undoes `lucid.quantize(model)`",
        "it is for the layers of a model; there are no quantized dtypes",
        names="dequantize",
        mismatch=".* is missing",
    ),
    Parameter(
        "`result_type`",
        "the parameters are called `tensor1` and `tensor2`",
        "PyTorch has other names for numbers",
        names="result_type",
        mismatch=r"(tensor|other|scalar\d?) is missing",
    ),
    Parameter(
        "`isin`",
        "a number is passed as `elements` or `test_elements` too",
        "PyTorch has other names for numbers",
        names="isin",
        mismatch="(element|test_element) is missing",
    ),
    Parameter(
        "`amp.GradScaler`",
        "`device` is `None` by default, not `'cuda'`",
        "it has no effect: memory is unified",
        names=r"amp\.GradScaler",
        mismatch="device is None by default.*",
    ),
    Parameter(
        "`autograd.gradcheck`",
        "`eps`, `atol` and `rtol` are `None` by default: PyTorch's numbers for float64 inputs, 1e-2 for others",
        "GPUs of a Mac have no float64",
        names=r"autograd\.gradcheck",
        mismatch="(eps|atol|rtol) is None by default.*",
    ),
]


def explained(found: Difference) -> bool:
    return any(one.covers(found) for one in SAMPLES)


def explained_parameter(name: str, mismatch: str) -> bool:
    return any(one.covers(name, mismatch) for one in PARAMETERS)
