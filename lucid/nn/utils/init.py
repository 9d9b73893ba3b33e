"""``skip_init``."""

from typing import Any, TypeVar

from lucid.nn.module import Module

__all__ = ["skip_init"]
M = TypeVar("M", bound=Module)


def skip_init(module_cls: type[M], *args: Any, **kwargs: Any) -> M:
    """``module_cls(*args, **kwargs)``, to be loaded afterwards. Initial values are lazy here, so nothing is computed.

    Example:
        >>> nn.utils.skip_init(nn.Linear, 4, 3).weight.shape
        (3, 4)
    """
    if not (isinstance(module_cls, type) and issubclass(module_cls, Module)):
        raise RuntimeError(f"skip_init: expected a Module class, got {module_cls!r:.60}")
    return module_cls(*args, **kwargs)
