"""``lucid.profile``: the kernels that a step launches on a GPU, and the bytes that they move."""

from collections.abc import Callable, Iterator
from typing import Any

import mlx.core as mx

from lucid._compile.function import Compiled
from lucid._profile import fusion, graph
from lucid._profile.capture import capture, capture_arrays
from lucid._profile.program import program
from lucid._profile.result import Profile
from lucid._tensor import Tensor


def profile(
    step: Callable[..., Any], *args: Any, state: Any = (), compiled: bool | None = None, **kwargs: Any
) -> Profile:
    """Count what ``step(*args, **kwargs)`` does on an Apple GPU: kernels, bytes read and written, arithmetic.

    Nothing is evaluated and no memory is needed for the arrays, so this works on any machine for any batch size.
    Models, optimizers and the random state are left as they are. The counts are those of the steady state, when
    gradients and moments exist already, and the same on every machine.

    The graph is MLX's own. Which elementwise operations run as one kernel and which kernels and copies a primitive
    takes follows MLX 0.32 and an M-series Pro; see docs/traffic.md.

    Args:
        step: A function of tensors, such as a training step. A compiled function is traced again. A function of
            ``mx.array``s, without state, is traced as by ``mx.compile``: a step in mlx.nn, for example.
        *args: Its arguments. Their values do not matter: ``lucid.zeros(64, 3, 224, 224)`` costs nothing.
        state: The modules and optimizers that it uses, as for ``lucid.compile``. Compiled functions have theirs.
        compiled: Count one compiled graph, or an eager run. By default, as ``step`` is.
        **kwargs: Its keyword arguments.

    Raises:
        TypeError: ``step`` is not callable, or ``state`` holds an unsupported object.

    Example:
        >>> layer = nn.Linear(256, 256)
        >>> found = lucid.profile(lambda x: F.relu(layer(x)), lucid.zeros(1024, 256), state=layer, compiled=True)
        >>> [kernel.name for kernel in found.kernels]
        ['AddMM', 'LessEqual+Select']
    """
    if not callable(step):
        raise TypeError(f"profile: step must be a function, got {type(step).__name__}")
    if isinstance(step, Compiled) and not _is_empty(state):
        raise TypeError("profile: a compiled function has its own state; leave state out")
    compiled = isinstance(step, Compiled) if compiled is None else bool(compiled)
    if isinstance(step, Compiled):
        found, forward = capture(step, args, kwargs, compiled, "metal")
    elif _is_empty(state) and _holds_arrays([args, kwargs]):
        found, forward = capture_arrays(step, args, kwargs, compiled, "metal")
    else:
        found, forward = capture(Compiled(step, state), args, kwargs, compiled, "metal")
    if compiled:
        found = fusion.fused(graph.merged(found))
    else:
        found = graph.with_groups(found, fusion.fused)
    launched = program(found, forward)
    return Profile(tuple(launched.kernels), launched.held_bytes, compiled)


def _is_empty(state: Any) -> bool:
    return isinstance(state, tuple | list) and not state


def _holds_arrays(value: Any) -> bool:
    """Whether there are ``mx.array``s in ``value``, and no tensors."""
    leaves = list(_leaves(value))
    return any(isinstance(one, mx.array) for one in leaves) and not any(isinstance(one, Tensor) for one in leaves)


def _leaves(value: Any) -> Iterator[Any]:
    items = list(value.values()) if isinstance(value, dict) else value
    if not isinstance(items, list | tuple):
        yield value
        return
    for one in items:
        yield from _leaves(one)
