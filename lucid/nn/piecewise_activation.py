"""Activation layers that treat positive and negative inputs, or inputs within bounds, differently."""

import warnings

from lucid import _checks
from lucid._tensor import Tensor
from lucid.nn import functional, init
from lucid.nn._common import empty_parameter, parameter_dtype
from lucid.nn.activation import _Activation
from lucid.nn.module import Module
from lucid.ops import activation
from lucid.ops._types import TensorLike


class PReLU(Module):
    """``x`` if ``x > 0``, otherwise ``weight * x`` with a learned slope.

    Shapes: input (N, C, ...), out the same; weight (num_parameters,).

    Args:
        num_parameters: 1 for a common slope, or the number of channels.
        init: The initial slope.
        device: Accepted for compatibility with PyTorch; memory is unified.
        dtype: The dtype of the parameters, float32 by default.

    Example:
        >>> nn.PReLU()(lucid.tensor([-4.0, 2.0])).tolist()
        [-1.0, 2.0]
    """

    def __init__(
        self, num_parameters: int = 1, init: float = 0.25, device: object = None, dtype: object = None
    ) -> None:
        super().__init__()
        kept = parameter_dtype("PReLU", device, dtype)
        _checks.integer("PReLU", "num_parameters", num_parameters, 1)  # num_parameters() is a method of all modules
        self.init = _checks.number("PReLU", "init", init)
        self.weight = empty_parameter(num_parameters, dtype=kept)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set the slopes to their initial value."""
        init.constant_(self.weight, self.init)

    def forward(self, input: TensorLike) -> Tensor:
        return activation.prelu(input, self.weight)

    def extra_repr(self) -> str:
        return f"num_parameters={self.weight.numel()}"


class RReLU(_Activation):
    """``x`` if ``x > 0``, otherwise ``slope * x`` with a random slope for each value during training.

    In evaluation mode, the slope is the mean of ``lower`` and ``upper``.

    Args:
        lower: The smallest slope.
        upper: The largest slope.
        inplace: Whether to write the result to the input.

    Example:
        >>> nn.RReLU(0.25, 0.75).eval()(lucid.tensor([-4.0, 2.0])).tolist()
        [-2.0, 2.0]
    """

    def __init__(self, lower: float = 1.0 / 8, upper: float = 1.0 / 3, inplace: bool = False) -> None:
        super().__init__(inplace)
        self.lower = _checks.number("RReLU", "lower", lower)
        self.upper = _checks.number("RReLU", "upper", upper)

    def forward(self, input: TensorLike) -> Tensor:
        return functional.rrelu(input, self.lower, self.upper, self.training, self.inplace)

    def extra_repr(self) -> str:
        return f"lower={self.lower}, upper={self.upper}" + (", inplace=True" if self.inplace else "")


class SELU(_Activation):
    """``1.0507 elu(x, 1.6733)``, which keeps mean 0 and variance 1.

    Args:
        inplace: Whether to write the result to the input.

    Example:
        >>> nn.SELU()(lucid.tensor([-1.0, 1.0])).round(decimals=2)
        tensor([-1.11,  1.05])
    """

    def forward(self, input: TensorLike) -> Tensor:
        return self._written(input, activation.selu(input))


class CELU(_Activation):
    """``x`` if ``x > 0``, otherwise ``alpha * (exp(x / alpha) - 1)``.

    Args:
        alpha: Minus the limit for very negative inputs.
        inplace: Whether to write the result to the input.

    Example:
        >>> nn.CELU()(lucid.tensor([-1.0, 1.0])).round(decimals=2)
        tensor([-0.63,  1.  ])
    """

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__(inplace)
        self.alpha = _checks.number("CELU", "alpha", alpha)

    def forward(self, input: TensorLike) -> Tensor:
        return self._written(input, activation.celu(input, self.alpha))

    def extra_repr(self) -> str:
        return f"alpha={self.alpha}" + (", inplace=True" if self.inplace else "")


class Hardtanh(_Activation):
    """``x`` limited to [``min_val``, ``max_val``].

    Args:
        min_val: The lower bound.
        max_val: The upper bound.
        inplace: Whether to write the result to the input.
        min_value: Deprecated name of ``min_val``.
        max_value: Deprecated name of ``max_val``.

    Example:
        >>> nn.Hardtanh()(lucid.tensor([-4.0, 0.5, 4.0])).tolist()
        [-1.0, 0.5, 1.0]
    """

    def __init__(
        self, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False, min_value: float | None = None,
        max_value: float | None = None,
    ) -> None:  # fmt: skip
        super().__init__(inplace)
        for name, old in (("min_val", min_value), ("max_val", max_value)):
            if old is not None:
                warnings.warn(f"Hardtanh: {name}ue is deprecated; pass {name}", FutureWarning, _checks.level_of_user())
        self.min_val = _checks.number("Hardtanh", "min_val", min_val if min_value is None else min_value)
        self.max_val = _checks.number("Hardtanh", "max_val", max_val if max_value is None else max_value)
        if self.min_val > self.max_val:
            raise ValueError(f"Hardtanh: min_val must not exceed max_val, got {self.min_val} and {self.max_val}")

    def forward(self, input: TensorLike) -> Tensor:
        return self._written(input, activation.hardtanh(input, self.min_val, self.max_val))

    def extra_repr(self) -> str:
        return f"min_val={self.min_val}, max_val={self.max_val}" + (", inplace=True" if self.inplace else "")


class Threshold(_Activation):
    """``x`` where it exceeds ``threshold``, otherwise ``value``.

    Args:
        threshold: The threshold.
        value: The value for inputs up to the threshold.
        inplace: Whether to write the result to the input.

    Example:
        >>> nn.Threshold(0.5, -1.0)(lucid.tensor([0.0, 0.5, 1.0])).tolist()
        [-1.0, -1.0, 1.0]
    """

    def __init__(self, threshold: float, value: float, inplace: bool = False) -> None:
        super().__init__(inplace)
        self.threshold = _checks.number("Threshold", "threshold", threshold)
        self.value = _checks.number("Threshold", "value", value)

    def forward(self, input: TensorLike) -> Tensor:
        return self._written(input, activation.threshold(input, self.threshold, self.value))

    def extra_repr(self) -> str:
        return f"threshold={self.threshold}, value={self.value}" + (", inplace=True" if self.inplace else "")


class Hardshrink(Module):
    """``x``, or 0 where ``|x| <= lambd``.

    Args:
        lambd: Values up to this size become 0.

    Example:
        >>> nn.Hardshrink()(lucid.tensor([-1.0, 0.5, 1.0])).tolist()
        [-1.0, 0.0, 1.0]
    """

    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__()
        self.lambd = _checks.number(type(self).__name__, "lambd", lambd)

    def forward(self, input: TensorLike) -> Tensor:
        return activation.hardshrink(input, self.lambd)

    def extra_repr(self) -> str:
        return str(self.lambd)


class Softshrink(Hardshrink):
    """``x`` moved toward 0 by ``lambd``, and 0 where ``|x| <= lambd``.

    Args:
        lambd: How far to move.

    Example:
        >>> nn.Softshrink()(lucid.tensor([-1.0, 0.25, 1.0])).tolist()
        [-0.5, 0.0, 0.5]
    """

    def forward(self, input: TensorLike) -> Tensor:
        return activation.softshrink(input, self.lambd)


class Tanhshrink(Module):
    """``x - tanh(x)``.

    Example:
        >>> nn.Tanhshrink()(lucid.tensor([-1.0, 0.0, 1.0])).round(decimals=2)
        tensor([-0.24,  0.  ,  0.24])
    """

    def forward(self, input: TensorLike) -> Tensor:
        return activation.tanhshrink(input)
