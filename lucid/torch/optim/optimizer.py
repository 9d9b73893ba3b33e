"""``torch.optim.optimizer``: the base class, and the names that optimizers of other packages import."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from lucid._tensor import Tensor
from lucid.autograd import no_grad
from lucid.optim import optimizer as _optimizer
from lucid.optim.optimizer import Optimizer as Optimizer
from lucid.optim.optimizer import required as required
from lucid.torch._names import fallback

ParamsT: TypeAlias = Iterable[Tensor] | Iterable[dict[str, Any]] | Iterable[tuple[str, Tensor]]
params_t = _params_t = ParamsT
__getattr__ = fallback(__name__, _optimizer)


def _use_grad_for_differentiable(func: Callable[..., Any]) -> Callable[..., Any]:
    """``func``, which records no gradients."""
    return no_grad()(func)


def _default_to_fused_or_foreach(params: Any, differentiable: bool, use_fused: bool = False) -> tuple[bool, bool]:
    """(False, False): the plain implementation, as all operations are lazy."""
    return False, False


def _get_value(x: Any) -> Any:
    """The value of a tensor with one element."""
    return x.item() if isinstance(x, Tensor) else x


def _get_capturable_supported_devices(supports_xla: bool = True) -> list[str]:
    """The devices that can capture a step in a graph: none."""
    return []


def _get_foreach_kernels_supported_devices() -> list[str]:
    """None."""
    return []


_get_fused_kernels_supported_devices = _get_foreach_kernels_supported_devices
