"""Special functions: PyTorch's ``torch.special``. Loaded at the first use; ``lucid.lgamma`` and a few others are these.

Gradients are those of PyTorch, where it has them. GPUs compute in float32, because they have no float64.
"""

from lucid.ops.activation import log_softmax, softmax
from lucid.ops.elementwise import erf, erfc, erfinv, exp2, expm1, log1p, round
from lucid.ops.elementwise import sigmoid as expit
from lucid.ops.pointwise import logit, sinc, xlogy
from lucid.ops.reduction import logsumexp
from lucid.special.elementary import *
from lucid.special.elementary import __all__ as _elementary
from lucid.special.gamma import *
from lucid.special.gamma import digamma as psi
from lucid.special.gamma import lgamma as gammaln
from lucid.special.gamma import mvlgamma as multigammaln
from lucid.special.polynomials import *
from lucid.special.polynomials import __all__ as _polynomials

__all__ = [
    "digamma", "erf", "erfc", "erfinv", "exp2", "expit", "expm1", "gammainc", "gammaincc", "gammaln", "log1p",
    "log_softmax", "logit", "logsumexp", "multigammaln", "polygamma", "psi", "round", "sinc", "softmax", "xlogy",
    "zeta", *_elementary, *_polynomials,
]  # fmt: skip
