"""``torch.library``: registration of operators for PyTorch's dispatcher, which Lucid does not have.

Decorators return the function, so that modules that register something import; it is never dispatched to.
"""

from __future__ import annotations

from typing import Any


def _decorator(*args: Any, **kwargs: Any) -> Any:
    """The decorated function itself."""
    given = [one for one in args if callable(one)]
    return given[-1] if given else lambda function: function


custom_op = register_fake = register_kernel = register_autograd = register_vmap = impl_abstract = impl = _decorator
register_autocast = register_torch_dispatch = triton_op = wrap_triton = _decorator


def define(qualname: Any, schema: str = "", **kwargs: Any) -> None:
    """Has no effect."""


class Library:
    """Accepts registrations, which have no effect."""

    def __init__(self, ns: str, kind: str, dispatch_key: str = "") -> None:
        self.ns, self.kind = ns, kind

    def define(self, schema: str, alias_analysis: str = "", *, tags: Any = ()) -> None:
        """Has no effect."""

    def impl(self, op_name: Any, fn: Any, dispatch_key: str = "", **kwargs: Any) -> None:
        """Has no effect."""
