"""Compare gradients with central differences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import mlx.core as mx
import numpy as np

from lucid import _checks, _grad_mode, tape
from lucid._tensor import Tensor, tensor
from lucid.autograd.gradients import grad


def gradcheck(
    func: Callable[..., Any],
    inputs: Tensor | Sequence[Any],
    *,
    eps: float | None = None,
    atol: float | None = None,
    rtol: float | None = None,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_batched_forward_grad: bool = False,
    check_forward_ad: bool = False,
    check_backward_ad: bool = True,
    fast_mode: bool = False,
    masked: bool | None = None,
) -> bool:
    """Whether the gradients of ``func`` agree with central differences.

    Perturbs every element of every input that requires gradients. The other arguments of PyTorch's function are
    accepted and have no effect, except that checks of what Lucid does not have raise.

    Args:
        eps: The step of the differences: by default 1e-6 if all inputs that require gradients are float64, else 1e-2.
        atol: The absolute tolerance: by default 1e-5, or 1e-2.
        rtol: The relative tolerance: by default 1e-3, or 1e-2.
        raise_exception: Whether to raise instead of returning False.

    Raises:
        ValueError: no input requires gradients.
        NotImplementedError: ``check_forward_ad`` or ``check_batched_forward_grad`` is true.
        RuntimeError: a gradient differs and ``raise_exception`` is true; the message names the input and the element.

    Example:
        >>> x = lucid.tensor([0.5, 1.5], dtype=lucid.float64, requires_grad=True)
        >>> with lucid.device("cpu"):  # float64 runs on the CPU
        ...     print(lucid.autograd.gradcheck(lucid.sin, (x,)))
        ...
        True
    """
    args = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    chosen = [i for i, a in enumerate(args) if isinstance(a, Tensor) and a.requires_grad]
    if not chosen:
        raise ValueError("gradcheck: at least one input must require grad")
    if check_forward_ad or check_batched_forward_grad:
        raise NotImplementedError("gradcheck: forward-mode gradients are not supported; pass check_forward_ad=False")
    defaults = (1e-6, 1e-5, 1e-3) if all(args[i].dtype == mx.float64 for i in chosen) else (1e-2, 1e-2, 1e-2)
    eps, atol, rtol = (
        default if one is None else one for one, default in zip((eps, atol, rtol), defaults, strict=True)
    )
    leaves = [a.detach().requires_grad_() if i in chosen else a for i, a in enumerate(args)]
    outputs = _floating_outputs(func(*leaves))
    rng = np.random.default_rng(0)
    cotangents = [rng.uniform(0.5, 1.5, o.shape).astype(np.float32) for o in outputs]
    live = [(o, c) for o, c in zip(outputs, cotangents, strict=True) if o.requires_grad]
    targets = [leaves[i] for i in chosen]
    if live:
        analytic = grad([o for o, _ in live], targets, [c for _, c in live], materialize_grads=True)
    else:
        analytic = tuple(tape.wrap(mx.zeros(t.shape, t.dtype)) for t in targets)

    def weighted_sum(values: list[Any]) -> float:
        with _grad_mode.set_recording(True):
            results = _floating_outputs(func(*values))
        pairs = zip(results, cotangents, strict=True)
        return float(sum(np.sum(r.detach().numpy().astype(np.float64) * c) for r, c in pairs))

    for slot, gradient in zip(chosen, analytic, strict=True):
        base = leaves[slot].detach().numpy()
        for index in np.ndindex(base.shape):
            sides = []
            for sign in (1, -1):
                moved = base.copy()
                moved[index] += sign * eps
                sides.append((weighted_sum([*leaves[:slot], _leaf(moved), *leaves[slot + 1 :]]), float(moved[index])))
            numeric = (sides[0][0] - sides[1][0]) / (sides[0][1] - sides[1][1])
            ours = float(gradient.detach().numpy()[index])
            if not abs(ours - numeric) <= atol + rtol * abs(numeric):
                if raise_exception:
                    raise RuntimeError(
                        f"gradcheck: input {slot}, element {index}: the gradient is {ours:.6g}, "
                        f"but central differences give {numeric:.6g}"
                    )
                return False
    return True


def gradgradcheck(
    func: Callable[..., Any],
    inputs: Tensor | Sequence[Any],
    grad_outputs: Tensor | Sequence[Tensor] | None = None,
    *,
    gen_non_contig_grad_outputs: bool = False,
    check_fwd_over_rev: bool = False,
    check_rev_over_rev: bool = True,
    **kwargs: Any,
) -> bool:
    """Whether the second derivatives of ``func`` agree with central differences of its gradient.

    Args:
        grad_outputs: The gradients with respect to the outputs of ``func``, random by default.
        **kwargs: Arguments of ``gradcheck``.
    """
    if check_fwd_over_rev:
        raise NotImplementedError("gradgradcheck: forward-mode gradients are not supported")
    args = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    chosen = [i for i, a in enumerate(args) if isinstance(a, Tensor) and a.requires_grad]
    shapes = [o.shape for o in _floating_outputs(func(*args))]
    rng = np.random.default_rng(1)
    if grad_outputs is None:
        weights = [tape.wrap(mx.array(rng.uniform(0.5, 1.5, s).astype(np.float32))) for s in shapes]
    else:
        weights = [grad_outputs] if isinstance(grad_outputs, Tensor) else list(grad_outputs)

    def first(*values: Any) -> tuple[Tensor, ...]:
        outputs = _floating_outputs(func(*values))
        live = [(o, w) for o, w in zip(outputs, weights, strict=True) if o.requires_grad]
        targets = [values[i] for i in chosen]
        return grad([o for o, _ in live], targets, [w for _, w in live], create_graph=True, materialize_grads=True)

    return gradcheck(first, args, **kwargs)


def _leaf(values: np.ndarray) -> Tensor:
    return tensor(values, dtype=_checks.dtype("gradcheck", values.dtype), requires_grad=True)


def _floating_outputs(out: Any) -> list[Tensor]:
    outputs = list(out) if isinstance(out, tuple | list) else [out]
    return [o for o in outputs if isinstance(o, Tensor) and o.is_floating_point()]
