"""Activation layers. Each calls its function; with ``inplace=True`` it writes the result to its input."""

from lucid import _checks, tape
from lucid._tensor import Tensor
from lucid._tensor_convert import as_array
from lucid.nn.module import Module
from lucid.ops import activation, elementwise
from lucid.ops._types import TensorLike


class _Activation(Module):
    """Base class of activations whose only option is ``inplace``."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = _checks.flag(type(self).__name__, "inplace", inplace)

    def _written(self, input: TensorLike, result: Tensor) -> Tensor:
        return tape.write_to(input, result, type(self).__name__) if self.inplace else result

    def extra_repr(self) -> str:
        return "inplace=True" if self.inplace else ""


class ReLU(_Activation):
    """``max(x, 0)``.

    Args:
        inplace: Whether to write the result to the input.

    Example:
        >>> nn.ReLU()(lucid.tensor([-1.0, 0.0, 2.0])).tolist()
        [0.0, 0.0, 2.0]
    """

    def forward(self, input: TensorLike) -> Tensor:
        return self._written(input, activation.relu(input))


class ReLU6(_Activation):
    """``min(max(x, 0), 6)``.

    Args:
        inplace: Whether to write the result to the input.

    Example:
        >>> nn.ReLU6()(lucid.tensor([-1.0, 3.0, 8.0])).tolist()
        [0.0, 3.0, 6.0]
    """

    def forward(self, input: TensorLike) -> Tensor:
        return self._written(input, activation.relu6(input))


class SiLU(_Activation):
    """``x * sigmoid(x)``.

    Args:
        inplace: Whether to write the result to the input.

    Example:
        >>> nn.SiLU()(lucid.tensor([-1.0, 0.0, 1.0])).round(decimals=2)
        tensor([-0.27,  0.  ,  0.73])
    """

    def forward(self, input: TensorLike) -> Tensor:
        return self._written(input, activation.silu(input))


class Mish(_Activation):
    """``x * tanh(softplus(x))``.

    Args:
        inplace: Whether to write the result to the input.

    Example:
        >>> nn.Mish()(lucid.tensor([-1.0, 0.0, 1.0])).round(decimals=2)
        tensor([-0.3 ,  0.  ,  0.87])
    """

    def forward(self, input: TensorLike) -> Tensor:
        return self._written(input, activation.mish(input))


class Hardswish(_Activation):
    """``x * min(max(x + 3, 0), 6) / 6``.

    Args:
        inplace: Whether to write the result to the input.

    Example:
        >>> nn.Hardswish()(lucid.tensor([-4.0, 0.0, 4.0])).tolist()
        [0.0, 0.0, 4.0]
    """

    def forward(self, input: TensorLike) -> Tensor:
        return self._written(input, activation.hardswish(input))


class Hardsigmoid(_Activation):
    """``min(max(x + 3, 0), 6) / 6``.

    Args:
        inplace: Whether to write the result to the input.

    Example:
        >>> nn.Hardsigmoid()(lucid.tensor([-4.0, 0.0, 4.0])).tolist()
        [0.0, 0.5, 1.0]
    """

    def forward(self, input: TensorLike) -> Tensor:
        return self._written(input, activation.hardsigmoid(input))


class Sigmoid(Module):
    """``1 / (1 + exp(-x))``.

    Example:
        >>> nn.Sigmoid()(lucid.tensor([0.0])).tolist()
        [0.5]
    """

    def forward(self, input: TensorLike) -> Tensor:
        return elementwise.sigmoid(input)


class LogSigmoid(Module):
    """``log(sigmoid(x))``.

    Example:
        >>> nn.LogSigmoid()(lucid.tensor([0.0, -100.0])).round(decimals=2)
        tensor([  -0.69, -100.  ])
    """

    def forward(self, input: TensorLike) -> Tensor:
        return activation.logsigmoid(input)


class Tanh(Module):
    """The hyperbolic tangent.

    Example:
        >>> nn.Tanh()(lucid.tensor([-1.0, 0.0, 1.0])).round(decimals=2)
        tensor([-0.76,  0.  ,  0.76])
    """

    def forward(self, input: TensorLike) -> Tensor:
        return elementwise.tanh(input)


class GELU(Module):
    """``x * Phi(x)`` with the standard normal CDF, or its tanh approximation with ``approximate="tanh"``.

    Args:
        approximate: "none" for the exact function or "tanh" for its approximation.

    Example:
        >>> nn.GELU()(lucid.tensor([-1.0, 0.0, 1.0])).round(decimals=2)
        tensor([-0.16,  0.  ,  0.84])
    """

    def __init__(self, approximate: str = "none") -> None:
        super().__init__()
        self.approximate = _checks.one_of("GELU", "approximate", approximate, ("none", "tanh"))

    def forward(self, input: TensorLike) -> Tensor:
        return activation.gelu(input, self.approximate)

    def extra_repr(self) -> str:
        return f"approximate={self.approximate!r}"


class LeakyReLU(_Activation):
    """``x`` if ``x > 0``, otherwise ``negative_slope * x``.

    Args:
        negative_slope: Slope for negative inputs.
        inplace: Whether to write the result to the input.

    Example:
        >>> nn.LeakyReLU(0.5)(lucid.tensor([-2.0, 2.0])).tolist()
        [-1.0, 2.0]
    """

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        super().__init__(inplace)
        self.negative_slope = _checks.number("LeakyReLU", "negative_slope", negative_slope)

    def forward(self, input: TensorLike) -> Tensor:
        return self._written(input, activation.leaky_relu(input, self.negative_slope))

    def extra_repr(self) -> str:
        return f"negative_slope={self.negative_slope}" + (", inplace=True" if self.inplace else "")


class ELU(_Activation):
    """``x`` if ``x > 0``, otherwise ``alpha * (exp(x) - 1)``.

    Args:
        alpha: Minus the limit for very negative inputs.
        inplace: Whether to write the result to the input.

    Example:
        >>> nn.ELU()(lucid.tensor([-1.0, 1.0])).round(decimals=2)
        tensor([-0.63,  1.  ])
    """

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__(inplace)
        self.alpha = _checks.number("ELU", "alpha", alpha)

    def forward(self, input: TensorLike) -> Tensor:
        return self._written(input, activation.elu(input, self.alpha))

    def extra_repr(self) -> str:
        return f"alpha={self.alpha}" + (", inplace=True" if self.inplace else "")


class Softplus(Module):
    """``log(1 + exp(beta * x)) / beta``, or ``x`` if ``beta * x`` exceeds ``threshold``.

    Args:
        beta: Sharpness of the bend at 0.
        threshold: The result is ``x`` where ``beta * x`` exceeds this.

    Example:
        >>> nn.Softplus()(lucid.tensor([0.0, 30.0])).round(decimals=2)
        tensor([ 0.69, 30.  ])
    """

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        super().__init__()
        self.beta = _checks.number("Softplus", "beta", beta)
        self.threshold = _checks.number("Softplus", "threshold", threshold)

    def forward(self, input: TensorLike) -> Tensor:
        return activation.softplus(input, self.beta, self.threshold)

    def extra_repr(self) -> str:
        return f"beta={self.beta}, threshold={self.threshold}"


class Softmax(Module):
    """``exp(x) / sum(exp(x))`` along ``dim``, which is required.

    Args:
        dim: The dimension along which the results sum to 1.

    Example:
        >>> nn.Softmax(dim=1)(lucid.tensor([[0.0, 0.0], [1.0, 3.0]])).round(decimals=2)
        tensor([[0.5 , 0.5 ],
                [0.12, 0.88]])
    """

    def __init__(self, dim: int | None = None) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: TensorLike) -> Tensor:
        return activation.softmax(input, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class LogSoftmax(Softmax):
    """``log(softmax(x, dim))`` without overflow.

    Args:
        dim: The dimension along which the probabilities sum to 1.

    Example:
        >>> nn.LogSoftmax(dim=1)(lucid.tensor([[0.0, 0.0], [1.0, 3.0]])).round(decimals=2)
        tensor([[-0.69, -0.69],
                [-2.13, -0.13]])
    """

    def forward(self, input: TensorLike) -> Tensor:
        return activation.log_softmax(input, self.dim)


class Softmin(Softmax):
    """``softmax(-x, dim)``.

    Args:
        dim: The dimension along which the results sum to 1.

    Example:
        >>> nn.Softmin(dim=0)(lucid.tensor([0.0, 0.0])).tolist()
        [0.5, 0.5]
    """

    def forward(self, input: TensorLike) -> Tensor:
        return activation.softmin(input, self.dim)


class Softmax2d(Module):
    """``softmax`` over the channels of (N, C, H, W) or (C, H, W).

    Example:
        >>> nn.Softmax2d()(lucid.zeros(1, 2, 1, 1)).flatten().tolist()
        [0.5, 0.5]
    """

    def forward(self, input: TensorLike) -> Tensor:
        shape = as_array(input).shape
        if len(shape) not in (3, 4):
            raise ValueError(f"Softmax2d: input must be (N, C, H, W) or (C, H, W), got shape {shape}")
        return activation.softmax(input, -3)


class Softsign(Module):
    """``x / (1 + |x|)``.

    Example:
        >>> nn.Softsign()(lucid.tensor([-1.0, 0.0, 1.0])).tolist()
        [-0.5, 0.0, 0.5]
    """

    def forward(self, input: TensorLike) -> Tensor:
        return activation.softsign(input)


class GLU(Module):
    """``a * sigmoid(b)``, with a and b the halves of the input along ``dim``.

    Args:
        dim: The dimension to split.

    Example:
        >>> nn.GLU()(lucid.tensor([3.0, 0.0])).tolist()
        [1.5]
    """

    def __init__(self, dim: int = -1) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: TensorLike) -> Tensor:
        return activation.glu(input, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"
